/**
 * What the files of the store share. Nobody else includes this.
 */
#ifndef ACME_STORE_IMPL_H
#define ACME_STORE_IMPL_H

#include <apr_hash.h>
#include <sys/stat.h>
#include <time.h>

#include "engine/fsfile.h"
#include "engine/seal.h"
#include "engine/store.h"

#define ACME_STORE_FILE "store.json"
/* One file, so that a key and the URL it is registered under change together. */
#define ACME_STORE_ACCOUNT    "account.json"
#define ACME_STORE_MAX_NUMBER 999999999 /* of a set: nine digits */
#define ACME_STORE_ARCHIVED   3         /* replaced sets that are kept */
#define ACME_STORE_TRIES      8         /* sets looked at until one is whole */

/** Directories directly below AcmeStore. */
typedef enum acme_part_t {
    ACME_PART_CERTIFICATES,
    ACME_PART_PLACEHOLDER,
    ACME_PART_ARCHIVE,
    ACME_PART_CONTROL,
    ACME_PART_ACCOUNTS,
    ACME_PART_WORK,
    ACME_PART_FRESH,
    ACME_PART_KEYS,
    ACME_PART_REPLIES,
    ACME_PART_JOURNAL,
    ACME_PART_AUDIT,
} acme_part_t;
#define ACME_PARTS 11

/** See store_current.c. */
typedef struct acme_verdict_t acme_verdict_t;

struct acme_store_t {
    apr_pool_t *pool;
    uid_t opener;         /* whose process opened it */
    int wary;             /* others could write in certificates/ */
    int bars_promotion;   /* something is not well that it goes by */
    int made;             /* part of it, just now */
    apr_hash_t *verdicts; /* "<dir>/<family>" -> acme_verdict_t * */
    const char *lock_path;
    acme_place_t base; /* AcmeStore itself */
    acme_place_t parts[ACME_PARTS];
    uid_t owner;  /* of root's part */
    uid_t worker; /* of the worker's; may be the same */
    gid_t worker_gid;
    acme_lease_t *lease; /* or NULL: nobody else writes */
    unsigned char secret[ACME_SEAL_SECRET];
    int placeholders;              /* made since the last sync */
    EVP_PKEY *placeholder_key;     /* of those made by this process; or NULL */
    const char *placeholder_pem;   /* the same */
    int placeholders_clean;        /* leftovers were looked for */
    struct timespec requests_seen; /* state of control/ at the last look */
    int requests_quiet;            /* and all of them were answered */
};

/** @return E_STORE_NAME unless dir is one step, and not hidden */
acme_err_t *acme_store_check_name(const char *dir,
                                  apr_pool_t *pool) ACME_MUST_CHECK;

/** @param forbidden  permission bits that must not be there
 *  @return E_STORE_OWNER */
acme_err_t *acme_store_check_owner(const struct stat *st, uid_t owner,
                                   mode_t forbidden, const char *path,
                                   apr_pool_t *pool) ACME_MUST_CHECK;

/** Read the secret, or make one where nothing is sealed yet.
 *  @return E_STORE_DAMAGED, E_STORE_VERSION, E_STORE_OWNER, E_STORE_IO */
acme_err_t *acme_store_settle_secret(acme_store_t *store, int create,
                                     apr_pool_t *pool) ACME_MUST_CHECK;

/** One root writer at a time (httpd starting, acmectl): locks store.json, which
 *  only root can open, until *fd is closed. */
acme_err_t *acme_store_lock_root(int *fd, const acme_store_t *store,
                                 apr_pool_t *pool) ACME_MUST_CHECK;

/** Run a change to the worker's part under the lease, if one is set: by way of
 *  the stage of its epoch, so that nothing comes of it where that is over.
 *  @return E_LEASE_LOST, E_STORE_ROLE (root, and the worker is not), or what
 *          commit returns */
typedef acme_err_t *acme_commit_fn_t(void *baton, apr_pool_t *scratch);
acme_err_t *acme_store_commit(acme_store_t *store, acme_commit_fn_t *commit,
                              void *baton, apr_pool_t *scratch) ACME_MUST_CHECK;

/** End of a verb: err moves from its subpool to pool, the subpool ends. */
acme_err_t *acme_store_leave(acme_err_t *err, apr_pool_t *sub,
                             apr_pool_t *pool) ACME_MUST_CHECK;
apr_pool_t *acme_store_subpool(apr_pool_t *pool);

/** "ecdsa.7"; from pool. */
const char *acme_store_set_name(acme_family_t family, int number,
                                apr_pool_t *pool);
/** The reverse. @return 0 if name is not one of this family */
int acme_store_set_number(const char *name, acme_family_t family);

/** Numbers of the sets of a family in a directory of part, the highest first.
 *  @param numbers  int; empty if there is no such directory */
acme_err_t *acme_store_numbers(apr_array_header_t **numbers,
                               const acme_place_t *part, const char *dir,
                               acme_family_t family,
                               apr_pool_t *pool) ACME_MUST_CHECK;

/** Number the symlink of the promoted set shows, whole or not; 0 if none. */
int acme_store_linked(const acme_store_t *store, const char *dir,
                      acme_family_t family);
/** The same, but 0 if acme_store_current has found that set damaged. */
int acme_store_in_service(const acme_store_t *store, const char *dir,
                          acme_family_t family);

/** Whether this process can read all of the store: the one that opened it, or
 *  every one where the worker is no other user. */
int acme_store_is_opener(const acme_store_t *store);

/** What acme_store_current has found damaged; NULL: nothing. */
const acme_verdict_t *acme_store_verdict(const acme_store_t *store,
                                         const char *dir, acme_family_t family);
/** Where what acme_store_current has given lies: certificates/ or archive/. */
acme_part_t acme_store_current_part(const acme_store_t *store, const char *dir,
                                    acme_family_t family);
/** It is mended. */
void acme_store_acquit(acme_store_t *store, const char *dir,
                       acme_family_t family);
/** Whether the thing itself is bad, not the way to it. */
int acme_store_is_damage(const acme_err_t *err);
/** Whether it is worth a second look: OpenSSL and jansson call bad what they have no
 *  memory for, for a moment, and what is damaged is given up. @param err  or NULL */
int acme_store_doubts(const acme_err_t *err);

/** @return E_STORE_DAMAGED if it is another set's */
acme_err_t *acme_store_check_record(const acme_record_t *record,
                                    acme_family_t family, int number,
                                    const char *what,
                                    apr_pool_t *pool) ACME_MUST_CHECK;
acme_err_t *acme_store_copy_record(acme_record_t **copy,
                                   const acme_record_t *record,
                                   apr_pool_t *pool,
                                   apr_pool_t *scratch) ACME_MUST_CHECK;

/** Names of the placeholder, acme_ident_t *: root's own word for what was once
 *  configured. Empty if there is none that can be read. */
const apr_array_header_t *acme_store_placeholder_idents(
    const acme_store_t *store, const char *dir, apr_pool_t *pool);

/** As acme_store_load_fresh; also for root: trusts nothing in fresh/. Errors and
 *  result from pool, all else from scratch. */
acme_err_t *acme_store_read_fresh(acme_set_t **set, const acme_store_t *store,
                                  const char *dir, const char *set_name,
                                  apr_pool_t *pool) ACME_MUST_CHECK;

#endif
