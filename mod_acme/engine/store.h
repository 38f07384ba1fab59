/**
 * Everything that is kept, behind few transactional verbs. No other file knows
 * a file name below AcmeStore; a second backend would implement this page.
 *
 * Two writers, never at the same things: root, before the children start (and
 * acmectl): sets in service, placeholders, requests; the worker, under the
 * lease: accounts, work, fresh sets, replies. Every put is a whole: written
 * beside, fsynced, renamed, its directory fsynced; after a crash the old or the
 * new one is there. Reads refuse symlinks (in the worker's part), files that
 * are not regular, and more than 1 MiB.
 *
 *   store.json                              root 0600  version, sealing secret
 *   managed.json                            root 0600  names of the configuration
 *   certificates/<certificate>/<family>.<n>/ root       chain.pem record.json
 *                                                       key.pem (0600)
 *   certificates/<certificate>/<family>      symlink to the one in service
 *   placeholder/<certificate>/chain.pem key.pem root
 *   archive/<certificate>/<family>.<n>/      root       the last three
 *   control/<id>.json                        root       requests
 *   accounts/<account>/account.json          worker     with the key, sealed
 *   accounts/<ca>/limits.json                worker
 *   work/<certificate>/<family>.order ...    worker
 *   keys/<certificate>/<family>.next         worker     sealed
 *   fresh/<certificate>/<family>.<n>/        worker     chain.pem record.json key
 *   fresh/<certificate>/refused.<family>.<n>/ worker    the same, of no use
 *   replies/<id>.json                        worker
 *   journal/<id>.json                        worker     what is to be undone
 *   audit/<n>.jsonl                          worker     audit trail
 *   audit.json                               root 0600  where it once was, verified
 *   lock                                     worker     lease
 */
#ifndef ACME_STORE_H
#define ACME_STORE_H

#include <apr_pools.h>
#include <apr_tables.h>
#include <openssl/evp.h>
#include <sys/types.h>

#include "core/account.h"
#include "core/cert.h"
#include "core/err.h"
#include "core/ident.h"
#include "engine/control.h"
#include "engine/lease.h"
#include "engine/record.h"

#define ACME_STORE_VERSION 1

typedef struct acme_store_t acme_store_t;

typedef struct acme_store_options_t {
    const char *root; /* absolute path */
    uid_t worker_uid; /* who owns the worker's part; ignored unless root */
    gid_t worker_gid;
    int create; /* make what is missing */
} acme_store_options_t;

/** Root's view (or that of the one user where httpd runs without root): opens,
 *  makes what is missing, reads the secret. Not a single certificate is read.
 *  Never removes anything it did not make. The secret is zeroed with pool.
 *  @return E_STORE_IO, E_STORE_OWNER (belongs to another user, or writable by
 *          others), E_STORE_VERSION (newer), E_STORE_DAMAGED (store.json) */
acme_err_t *acme_store_open(acme_store_t **store,
                            const acme_store_options_t *options,
                            apr_pool_t *pool) ACME_MUST_CHECK;

/** Whether acme_store_open was about to make this store when it was killed: an empty
 *  directory, or one of parts alone. The lock is made last. */
int acme_store_is_begun(const char *root, apr_pool_t *scratch);

/** What is left where acme_store_open refuses: promoted sets can be looked up
 *  with acme_store_current and acme_store_current_files, and fresh ones promoted
 *  where acme_store_can_promote; nothing else. Makes nothing. Files may be root's
 *  or, after a chown -R, the worker's; where others than root could have written,
 *  each set is parsed, whatever its record says.
 *  @return E_STORE_IO, E_STORE_OWNER: there is nothing left */
acme_err_t *acme_store_open_rest(acme_store_t **store,
                                 const acme_store_options_t *options,
                                 apr_pool_t *pool) ACME_MUST_CHECK;

/** Whether all is well that a promotion goes by: the secret, what is promoted, the
 *  placeholders and fresh/. Always, but for what acme_store_open_rest has opened. */
int acme_store_can_promote(const acme_store_t *store);

/** Root, at a start: requests and replies of more than a day ago are removed;
 *  their acmectl was interrupted. So are unfinished puts of root's. Files of other
 *  names are left alone. */
void acme_store_prune(acme_store_t *store, apr_time_t now, apr_pool_t *scratch);

/** The engine's lease must be set before its verbs below are used; each of them
 *  is a commit under it. They are the worker's: root, where the worker is
 *  another, gets E_STORE_ROLE. */
void acme_store_set_lease(acme_store_t *store, acme_lease_t *lease);
/** acme_lease_beat of that lease; nothing if none is set. @return E_LEASE_LOST */
acme_err_t *acme_store_beat(acme_store_t *store, apr_time_t now,
                            apr_pool_t *scratch) ACME_MUST_CHECK;
/** acme_lease_prove of it; nothing if none is set. @return E_LEASE_LOST */
acme_err_t *acme_store_prove(const acme_store_t *store,
                             apr_pool_t *scratch) ACME_MUST_CHECK;
/** One of this store, not held. */
acme_lease_t *acme_store_make_lease(const acme_store_t *store,
                                    apr_pool_t *pool);
/** Path of the lease's file. */
const char *acme_store_lock_path(const acme_store_t *store);

/* --- sets: root ---------------------------------------------------------- */

/** SHA-256, in hexadecimal, of chain.pem, one zero octet and key.pem: what
 *  record.json of a promoted set has as "files_sha256". NULL: no memory. */
const char *acme_store_digest(const char *chain, apr_size_t chain_len,
                              const char *key, apr_size_t key_len,
                              apr_pool_t *pool);

/** The set in service (promoted). Root gets none that mod_ssl could not use: its
 *  files have the digest of its record, or else are parsed, and fit each other.
 *  (The digest adds 10 us to the reading of the record; parsing takes a
 *  millisecond, where it must be.) The worker, who cannot read keys, gets what root
 *  found before the fork.
 *  @param record  NULL if there is none
 *  @return E_STORE_DAMAGED, E_STORE_OWNER, E_STORE_IO also with a record: then
 *          it is that of the newest whole set beside the damaged one or in the
 *          archive (its from says so), or of the damaged one, if that is fit for
 *          use all the same; to be used in either case */
acme_err_t *acme_store_current(acme_record_t **record, acme_store_t *store,
                               const char *dir, acme_family_t family,
                               apr_pool_t *pool) ACME_MUST_CHECK;

/** What a start needs to know of a set in service. */
typedef struct acme_serving_t {
    int number; /* 0: there is none */
    acme_record_from_t from;
    int must_staple;
    char serial[48]; /* as in its record; empty if it is longer than RFC 5280
                        allows (20 octets) */
} acme_serving_t;

/** What was found whole at earlier looks, for a process that looks again and
 *  again: two passes of a start, each reload. About 250 octets for each set. */
typedef struct acme_sights_t acme_sights_t;
acme_sights_t *acme_sights_make(apr_pool_t *pool);

/** acme_store_current of root, at a tenth of its price where the set's files
 *  (inode, size, time of change) are those that seen knows as whole.
 *  @return as acme_store_current: also with a set to be used */
acme_err_t *acme_store_serving(acme_serving_t *serving, acme_store_t *store,
                               acme_sights_t *seen, const char *dir,
                               acme_family_t family, apr_time_t now,
                               apr_pool_t *pool) ACME_MUST_CHECK;

/** Paths of the set in service for mod_ssl: the real files, not through the
 *  symlink. @param number  as in its record */
void acme_store_current_files(const char **chain, const char **key,
                              const acme_store_t *store, const char *dir,
                              acme_family_t family, int number,
                              apr_pool_t *pool);

struct acme_set_t;

/** Whether a handshake can be made with a set. @return NULL, or why not; from pool */
typedef const char *acme_try_fn_t(void *baton, const struct acme_set_t *set,
                                  apr_pool_t *pool);

/** What root puts into service, and when. */
typedef struct acme_promotion_t {
    const apr_array_header_t *allowed; /* acme_ident_t *: names configured */
    apr_time_t now;
    apr_interval_time_t delay; /* a set stays where it is for so long after its
                                  issue, while the one in service is valid */
    int waits;                 /* set by promotion: the newest does */
    int unwritten;             /* set by promotion: it failed in writing, which
                                  says nothing of the set */
    const apr_array_header_t *former; /* acme_ident_t *: names that the last
                                         configuration had; or NULL */
    acme_try_fn_t *try;               /* NULL: nobody can say */
    void *baton;                      /* its */
} acme_promotion_t;

/** Bring the newest fresh set into service, if there is one newer than current.
 *  Read once with O_NOFOLLOW, unsealed, looked at (acme_fit_set) and tried. What it
 *  may hold besides allowed and former names are those of the set it replaces, or
 *  before the first set those of the placeholder. New files are written from memory;
 *  the replaced set goes to the archive, pruned to three. A set in service that
 *  acme_store_current has found damaged is mended by the one of the same number in
 *  fresh/.
 *  @param promoted  the record now in service, or NULL if nothing was done
 *  @return E_PROMOTE with the reason; the old set stays in service */
acme_err_t *acme_store_promote(acme_record_t **promoted, acme_store_t *store,
                               const char *dir, acme_family_t family,
                               acme_promotion_t *how,
                               apr_pool_t *pool) ACME_MUST_CHECK;

/** Paths of the placeholder; made where it is missing or damaged (ECDSA P-256,
 *  no fsync each: call acme_store_sync once after the last). */
acme_err_t *acme_store_placeholder(const char **chain, const char **key,
                                   acme_store_t *store, const char *dir,
                                   const apr_array_header_t *idents,
                                   apr_time_t now,
                                   apr_pool_t *pool) ACME_MUST_CHECK;
/** One syncfs for the placeholders made since the last call; nothing if none. */
void acme_store_sync(acme_store_t *store);

/* --- sets: worker -------------------------------------------------------- */

typedef struct acme_set_t {
    acme_record_t *record;
    acme_chain_t *chain;
    EVP_PKEY *key;
} acme_set_t;

/** Number of the newest whole set, promoted or fresh; 0 if none. Cheap: reads
 *  directory entries only. */
int acme_store_newest_number(acme_store_t *store, const char *dir,
                             acme_family_t family, apr_pool_t *scratch);

/** Record of the newest whole set, promoted or fresh (its from says which); NULL
 *  if none. A fresh one newer than the promoted is opened as by
 *  acme_store_load_fresh, and described by its certificate. A damaged one is
 *  passed over for the next older; the error tells of it all the same, with the
 *  record set. */
acme_err_t *acme_store_newest(acme_record_t **record, acme_store_t *store,
                              const char *dir, acme_family_t family,
                              apr_pool_t *pool) ACME_MUST_CHECK;

/** Chain of a whole set, promoted or fresh.
 *  @return E_STORE_IO (also: there is none), E_STORE_DAMAGED */
acme_err_t *acme_store_get_chain(acme_chain_t **chain, acme_store_t *store,
                                 const char *dir, acme_family_t family,
                                 int number, apr_pool_t *pool) ACME_MUST_CHECK;

/** What was issued. */
typedef struct acme_issued_t {
    acme_record_t *record; /* gets its number: the next one */
    const char *chain_pem;
    EVP_PKEY *key;
    int served;  /* number of the set in service, which is not to go; 0: none */
    int refused; /* as if by acme_store_refuse_fresh at once */
} acme_issued_t;

/** Store an issued set; under the lease. Older fresh sets are removed once it is in
 *  place, but for the one in service: the new one may not follow it at once, or
 *  be taken back. One that is refused removes none but those refused before. */
acme_err_t *acme_store_put_fresh(acme_store_t *store, const char *dir,
                                 const acme_issued_t *issued,
                                 apr_pool_t *scratch) ACME_MUST_CHECK;
/** Fresh sets older than number, which is in service, go; under the lease. What
 *  cannot be removed goes with the next one. So does what a process that was killed
 *  has left there. @param number  0: that alone */
void acme_store_drop_older(acme_store_t *store, const char *dir,
                           acme_family_t family, int number,
                           apr_pool_t *scratch);

/** A fresh set must not come into service: from now on nobody finds it, root
 *  neither. The next one gets another number. */
acme_err_t *acme_store_refuse_fresh(acme_store_t *store, const char *dir,
                                    acme_family_t family, int number,
                                    apr_pool_t *scratch) ACME_MUST_CHECK;

/** Load one fresh set for service; any child, no lease, no writes.
 *  @return E_STORE_IO (also: not there any more), E_STORE_DAMAGED, E_SEAL */
acme_err_t *acme_store_load_fresh(acme_set_t **set, acme_store_t *store,
                                  const char *dir, acme_family_t family,
                                  int number, apr_pool_t *pool) ACME_MUST_CHECK;

/** Whether there is such a fresh set, whole or not.
 *  @return E_STORE_IO: it cannot be told */
acme_err_t *acme_store_is_fresh(int *there, acme_store_t *store,
                                const char *dir, acme_family_t family,
                                int number,
                                apr_pool_t *scratch) ACME_MUST_CHECK;

/* --- work in progress: worker ------------------------------------------------ */

/** Small JSON documents of one certificate and family. */
typedef enum acme_doc_t {
    ACME_DOC_ORDER,  /* the order in progress (acme_order_save) */
    ACME_DOC_JOB,    /* failures so far, next attempt, last error */
    ACME_DOC_ARI,    /* what the CA suggests for the newest set */
    ACME_DOC_OCSP,   /* OCSP response to staple (staple.h) */
    ACME_DOC_EVENTS, /* what was raised last (events.h) */
} acme_doc_t;

acme_err_t *acme_store_put_doc(acme_store_t *store, const char *dir,
                               acme_family_t family, acme_doc_t doc,
                               const char *json,
                               apr_pool_t *scratch) ACME_MUST_CHECK;
/** *json NULL if there is none. */
acme_err_t *acme_store_get_doc(const char **json, apr_size_t *len,
                               acme_store_t *store, const char *dir,
                               acme_family_t family, acme_doc_t doc,
                               apr_pool_t *pool) ACME_MUST_CHECK;
acme_err_t *acme_store_remove_doc(acme_store_t *store, const char *dir,
                                  acme_family_t family, acme_doc_t doc,
                                  apr_pool_t *scratch) ACME_MUST_CHECK;

/** Key of the order in progress, sealed. *key NULL if there is none. */
acme_err_t *acme_store_put_work_key(acme_store_t *store, const char *dir,
                                    acme_family_t family, EVP_PKEY *key,
                                    apr_pool_t *scratch) ACME_MUST_CHECK;
acme_err_t *acme_store_get_work_key(EVP_PKEY **key, acme_store_t *store,
                                    const char *dir, acme_family_t family,
                                    apr_pool_t *pool) ACME_MUST_CHECK;
/** Order and its key are gone for good: issued, or given up. */
acme_err_t *acme_store_remove_work(acme_store_t *store, const char *dir,
                                   acme_family_t family,
                                   apr_pool_t *scratch) ACME_MUST_CHECK;

/** What a process that was killed has left: puts it did not finish, a key without
 *  its order. To be called where no order is begun; under the lease, if there is
 *  anything. */
void acme_store_tidy_work(acme_store_t *store, const char *dir,
                          acme_family_t family, apr_pool_t *scratch);

/** The key that the next order shall use, made ahead; sealed. *key NULL if there is
 *  none. */
acme_err_t *acme_store_put_next_key(acme_store_t *store, const char *dir,
                                    acme_family_t family, EVP_PKEY *key,
                                    apr_pool_t *scratch) ACME_MUST_CHECK;
acme_err_t *acme_store_get_next_key(EVP_PKEY **key, acme_store_t *store,
                                    const char *dir, acme_family_t family,
                                    apr_pool_t *pool) ACME_MUST_CHECK;
acme_err_t *acme_store_remove_next_key(acme_store_t *store, const char *dir,
                                       acme_family_t family,
                                       apr_pool_t *scratch) ACME_MUST_CHECK;

/* --- accounts: worker ------------------------------------------------------ */

typedef struct acme_account_t {
    const char *directory_url;
    EVP_PKEY *key;
    acme_account_state_t state;
    EVP_PKEY *next_key; /* the CA has been told, or is about to be told, that it
                           is the key; NULL: there is none */
    const char *change; /* id of the request that changed it last; or NULL */
} acme_account_t;

/** *account NULL if there is none. */
acme_err_t *acme_store_get_account(acme_account_t **account,
                                   acme_store_t *store, const char *account_dir,
                                   apr_pool_t *pool) ACME_MUST_CHECK;
/** It cannot be used: kept under another name (account.json.1 ... .9) for one who
 *  can mend it, so that a new one can be put.
 *  @return E_STORE_IO: it cannot be read, for a moment perhaps, and stays */
acme_err_t *acme_store_set_account_aside(acme_store_t *store,
                                         const char *account_dir,
                                         apr_pool_t *scratch) ACME_MUST_CHECK;
/** acme_store_put_account; the one that was there is kept as by
 *  acme_store_set_account_aside, and in use until the other is there. */
acme_err_t *acme_store_replace_account(acme_store_t *store,
                                       const char *account_dir,
                                       const acme_account_t *account,
                                       apr_pool_t *scratch) ACME_MUST_CHECK;
acme_err_t *acme_store_put_account(acme_store_t *store, const char *account_dir,
                                   const acme_account_t *account,
                                   apr_pool_t *scratch) ACME_MUST_CHECK;

/* --- journal: worker --------------------------------------------------------- */

/** Something begun outside of the store (a DNS record), to be undone by whoever
 *  works on it next. */
typedef struct acme_journal_t {
    const char *id; /* up to 64 lower-case hexadecimal digits */
    const char *json;
    apr_size_t len;
} acme_journal_t;

acme_err_t *acme_store_put_journal(acme_store_t *store, const char *id,
                                   const char *json,
                                   apr_pool_t *scratch) ACME_MUST_CHECK;
/** None of that id is well, too. */
acme_err_t *acme_store_remove_journal(acme_store_t *store, const char *id,
                                      apr_pool_t *scratch) ACME_MUST_CHECK;
/** Under the lease: puts that were not finished go.
 *  @param entries  acme_journal_t *; in no order
 *  @param damage   why one could not be read; NULL if all could */
acme_err_t *acme_store_get_journal(apr_array_header_t **entries,
                                   acme_err_t **damage, acme_store_t *store,
                                   apr_pool_t *pool) ACME_MUST_CHECK;
/** Whether there is anything in it. For root as well: no entry is read. */
int acme_store_is_owed(acme_store_t *store, apr_pool_t *scratch);

/** AcmeStore itself, for messages and programs. */
const char *acme_store_root(const acme_store_t *store);

/** What is spent of a CA's limits: a JSON document. *json NULL if there is none.
 *  @param ca_dir  acme_policy_ca_dir */
acme_err_t *acme_store_get_limits(const char **json, apr_size_t *len,
                                  acme_store_t *store, const char *ca_dir,
                                  apr_pool_t *pool) ACME_MUST_CHECK;
acme_err_t *acme_store_put_limits(acme_store_t *store, const char *ca_dir,
                                  const char *json,
                                  apr_pool_t *scratch) ACME_MUST_CHECK;

/* --- audit trail: see audit.h ------------------------------------------------ */

/** How the newest file ends. */
typedef enum acme_audit_end_t {
    ACME_AUDIT_WHOLE,
    ACME_AUDIT_HALF,     /* its last line has no end: it gets one first */
    ACME_AUDIT_UNUSABLE, /* it is left as it is, and another one begun */
} acme_audit_end_t;

/** Under the lease: nobody but our epoch adds to the trail from now on, of whom an
 *  earlier one had it open, too. Before its end is looked for. */
acme_err_t *acme_store_own_audit(acme_store_t *store,
                                 apr_pool_t *scratch) ACME_MUST_CHECK;

/** The worker, under the lease: add a line, which goes to the disk at once. Files
 *  of half a megabyte; the last 32 are kept.
 *  @param line  without its end
 *  @return E_AUDIT_NUMBER: there is no name for another file */
acme_err_t *acme_store_append_audit(acme_store_t *store, const char *line,
                                    acme_audit_end_t end,
                                    apr_pool_t *scratch) ACME_MUST_CHECK;
/** Names of its files, the oldest first. @param names  const char * */
acme_err_t *acme_store_list_audit(apr_array_header_t **names,
                                  acme_store_t *store,
                                  apr_pool_t *pool) ACME_MUST_CHECK;
/** Paths of what may look like one of them and is none: nobody reads, follows or
 *  removes it. @param paths  const char *, sorted */
acme_err_t *acme_store_list_audit_strangers(apr_array_header_t **paths,
                                            acme_store_t *store,
                                            apr_pool_t *pool) ACME_MUST_CHECK;
/** Whether there are so many that older ones have gone by age. */
int acme_store_audit_is_rotated(const apr_array_header_t *names);
acme_err_t *acme_store_get_audit(const char **text, apr_size_t *len,
                                 acme_store_t *store, const char *name,
                                 apr_pool_t *pool) ACME_MUST_CHECK;
/** What root knows of it. *json NULL: nothing. */
acme_err_t *acme_store_get_anchor(const char **json, apr_size_t *len,
                                  acme_store_t *store,
                                  apr_pool_t *pool) ACME_MUST_CHECK;
acme_err_t *acme_store_put_anchor(acme_store_t *store, const char *json,
                                  apr_pool_t *scratch) ACME_MUST_CHECK;

/* --- the administrator's: root ------------------------------------------------ */

/** Certificates that anything is kept of, by directory, sorted.
 *  @param dirs  const char * */
acme_err_t *acme_store_list(apr_array_header_t **dirs, acme_store_t *store,
                            apr_pool_t *pool) ACME_MUST_CHECK;
/** Directories in accounts/, the same. Not all of them have an account. */
acme_err_t *acme_store_list_accounts(apr_array_header_t **dirs,
                                     acme_store_t *store,
                                     apr_pool_t *pool) ACME_MUST_CHECK;
/** Names of the placeholder: what was configured. acme_ident_t *; perhaps empty. */
const apr_array_header_t *acme_store_names(acme_store_t *store, const char *dir,
                                           apr_pool_t *pool);
/** The newest whole set with its key, promoted or fresh, described by its
 *  certificate. *set NULL: none. */
acme_err_t *acme_store_get_set(acme_set_t **set, acme_store_t *store,
                               const char *dir, acme_family_t family,
                               apr_pool_t *pool) ACME_MUST_CHECK;

/** Which sets will do. */
typedef struct acme_choice_t {
    int (*fits)(void *baton, const acme_set_t *set);
    void *baton;
} acme_choice_t;

/** The newest that fits: of those that are newer than what is promoted, as many are
 *  looked at as by acme_store_promote; then what is promoted. *set NULL: none.
 *  @return also with a set: the first that was damaged */
acme_err_t *acme_store_find_set(acme_set_t **set, acme_store_t *store,
                                const char *dir, acme_family_t family,
                                const acme_choice_t *choice,
                                apr_pool_t *pool) ACME_MUST_CHECK;
/** Everything of a certificate in root's part goes. None is well, too. */
acme_err_t *acme_store_remove_promoted(acme_store_t *store, const char *dir,
                                       apr_pool_t *scratch) ACME_MUST_CHECK;
/** The same in the worker's part; the worker's, under the lease. */
acme_err_t *acme_store_remove_fresh(acme_store_t *store, const char *dir,
                                    apr_pool_t *scratch) ACME_MUST_CHECK;

/** A certificate of the configuration that httpd was last started with. */
typedef struct acme_use_t {
    const char *name;  /* identity */
    const char *where; /* "shop.conf:12" */
    int in_use;        /* a virtual host serves it */
    const apr_array_header_t
        *names; /* const char *: all; NULL: just that one */
} acme_use_t;

/** AcmePortMap: the local ports that the world's arrive at; 0: none does. */
typedef struct acme_ports_t {
    int port_80, port_443;
} acme_ports_t;

/** At a start: so that it is known while the server is stopped. Written only
 *  where it is another than before.
 *  @param uses       acme_use_t
 *  @param externals  of AcmeExternalAccount: file -> key identifier */
acme_err_t *acme_store_put_uses(acme_store_t *store,
                                const apr_array_header_t *uses,
                                const acme_ports_t *ports,
                                const apr_table_t *externals,
                                apr_pool_t *scratch) ACME_MUST_CHECK;
/** What the last start has said of AcmeExternalAccount. @param externals  never
 *  NULL; empty where nothing is known */
acme_err_t *acme_store_get_externals(apr_table_t **externals,
                                     acme_store_t *store,
                                     apr_pool_t *pool) ACME_MUST_CHECK;
/** *uses NULL: no server has ever said.
 *  @param ports  80 and 443 where it is not known; or NULL: of no interest */
acme_err_t *acme_store_get_uses(apr_array_header_t **uses, acme_ports_t *ports,
                                acme_store_t *store,
                                apr_pool_t *pool) ACME_MUST_CHECK;

/* --- requests of the administrator ----------------------------------------- */

/* See control.h. */

/** acmectl's side. put makes the id. */
acme_err_t *acme_store_put_request(acme_control_t *request, acme_store_t *store,
                                   apr_pool_t *pool) ACME_MUST_CHECK;
acme_err_t *acme_store_get_reply(acme_control_reply_t **reply,
                                 acme_store_t *store, const char *id,
                                 apr_pool_t *pool) ACME_MUST_CHECK;
/** Request and reply. */
void acme_store_remove_request(acme_store_t *store, const char *id,
                               apr_pool_t *scratch);

/** The engine's side. Requests without a reply; costs one stat if nothing
 *  changed since the last call. *requests: acme_control_t *, perhaps empty. */
acme_err_t *acme_store_get_requests(apr_array_header_t **requests,
                                    acme_store_t *store,
                                    apr_pool_t *pool) ACME_MUST_CHECK;
/** Those with a reply that is not the last: whoever gave it may be gone. */
acme_err_t *acme_store_get_interrupted(apr_array_header_t **requests,
                                       acme_store_t *store,
                                       apr_pool_t *pool) ACME_MUST_CHECK;
acme_err_t *acme_store_put_reply(acme_store_t *store, const char *id,
                                 const acme_control_reply_t *reply,
                                 apr_pool_t *scratch) ACME_MUST_CHECK;

#endif
