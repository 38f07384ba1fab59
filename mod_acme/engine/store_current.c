/* What is in service, and whether it is whole.
 *
 * mod_ssl ends the server over a certificate or key that it cannot use, so root
 * hands over nothing that he has not looked through. Parsing each would cost a
 * start of thousands dearly; instead the record of a promoted set has a digest
 * of its files, which finds any damage. Only where it differs, or is not there,
 * the files are parsed and held against each other. */
#include <apr_strings.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/encode.h"
#include "engine/store_impl.h"

/* "<dir>/<family>.<n>" of the longest directory name, and a file in it. */
#define MAX_SET      288
#define MAX_RELATIVE 320

/* What was found damaged: kept for the worker, who cannot read the keys, and
 * for the next promotion, which mends it. */
struct acme_verdict_t {
    int linked;            /* the number that was in service */
    acme_record_t *record; /* used instead, or NULL */
    int archived;          /* it lies in archive/ */
};

/* One set to be read. */
typedef struct reading_t {
    const acme_store_t *store;
    const acme_place_t *part; /* certificates/ or archive/ */
    const char *dir;
    acme_family_t family;
    int number;
    char set[MAX_SET]; /* "<dir>/<family>.<n>" */
} reading_t;

static void reading_init(reading_t *r, const acme_store_t *store,
                         acme_part_t part, const char *dir,
                         acme_family_t family)
{
    r->store = store;
    r->part = &store->parts[part];
    r->dir = dir;
    r->family = family;
}

static void reading_number(reading_t *r, int number)
{
    r->number = number;
    snprintf(r->set, sizeof(r->set), "%s/%s.%d", r->dir,
             acme_family_name(r->family), number);
}

static acme_err_t *damaged(const reading_t *r, const char *how,
                           apr_pool_t *pool)
{
    return acme_err_make(pool, ACME_E_STORE_DAMAGED,
                         acme_fsfile_path(r->part, r->set, pool), how, NULL);
}

/* --- the symlink ------------------------------------------------------------------ */

int acme_store_linked(const acme_store_t *store, const char *dir,
                      acme_family_t family)
{
    char link[MAX_RELATIVE], target[64];

    snprintf(link, sizeof(link), "%s/%s", dir, acme_family_name(family));
    ssize_t len = readlinkat(store->parts[ACME_PART_CERTIFICATES].fd, link,
                             target, sizeof(target) - 1);
    if (len <= 0) {
        return 0;
    }
    target[len] = '\0';
    return acme_store_set_number(target, family);
}

/* --- verdicts --------------------------------------------------------------------- */

static const char *verdict_key(const char *dir, acme_family_t family,
                               apr_pool_t *pool)
{
    return apr_pstrcat(pool, dir, "/", acme_family_name(family), NULL);
}

const acme_verdict_t *acme_store_verdict(const acme_store_t *store,
                                         const char *dir, acme_family_t family)
{
    char key[MAX_RELATIVE];

    /* Nothing is damaged, as good as always. */
    if (apr_hash_count(store->verdicts) == 0) {
        return NULL;
    }
    snprintf(key, sizeof(key), "%s/%s", dir, acme_family_name(family));
    return apr_hash_get(store->verdicts, key, APR_HASH_KEY_STRING);
}

int acme_store_in_service(const acme_store_t *store, const char *dir,
                          acme_family_t family)
{
    const acme_verdict_t *verdict = acme_store_verdict(store, dir, family);
    int linked = acme_store_linked(store, dir, family);

    return verdict && verdict->linked == linked ? 0 : linked;
}

void acme_store_acquit(acme_store_t *store, const char *dir,
                       acme_family_t family)
{
    if (acme_store_verdict(store, dir, family)) {
        apr_hash_set(store->verdicts, verdict_key(dir, family, store->pool),
                     APR_HASH_KEY_STRING, NULL);
    }
}

acme_err_t *acme_store_copy_record(acme_record_t **copy,
                                   const acme_record_t *record,
                                   apr_pool_t *pool, apr_pool_t *scratch)
{
    const char *json;
    acme_record_t *made;

    ACME_TRY(acme_record_format(&json, record, scratch));
    ACME_TRY(acme_record_parse(&made, json, strlen(json), record->name, pool));
    made->from = record->from;
    *copy = made;
    return NULL;
}

static void convict(acme_store_t *store, const reading_t *r, int linked,
                    const acme_record_t *record, apr_pool_t *scratch)
{
    acme_verdict_t *verdict = apr_pcalloc(store->pool, sizeof(*verdict));

    verdict->linked = linked;
    verdict->archived = r->part == &store->parts[ACME_PART_ARCHIVE];
    if (record
        && acme_store_copy_record(&verdict->record, record, store->pool,
                                  scratch)) {
        verdict->record = NULL;
    }
    apr_hash_set(store->verdicts, verdict_key(r->dir, r->family, store->pool),
                 APR_HASH_KEY_STRING, verdict);
}

/* --- reading one set --------------------------------------------------------------- */

acme_err_t *acme_store_check_record(const acme_record_t *record,
                                    acme_family_t family, int number,
                                    const char *what, apr_pool_t *pool)
{
    if (record->number != number
        || acme_key_family(record->key_type) != family) {
        return acme_err_make(pool, ACME_E_STORE_DAMAGED, what,
                             "it is the record of another set", NULL);
    }
    return NULL;
}

/* A file of the set that must be there. */
static acme_err_t *read_file(const char **text, apr_size_t *len,
                             const reading_t *r, const char *name,
                             apr_pool_t *pool)
{
    char path[MAX_RELATIVE];

    snprintf(path, sizeof(path), "%s/%s", r->set, name);
    acme_err_t *err =
        acme_fsfile_read(text, len, r->part, path, r->store->owner, pool);
    if (err && err->msg == ACME_E_STORE_OWNER && r->store->wary) {
        err =
            acme_fsfile_read(text, len, r->part, path, r->store->worker, pool);
    }
    if (err) {
        return err;
    }
    if (!*text || *len == 0) {
        return damaged(r, apr_pstrcat(pool, name, " is missing or empty", NULL),
                       pool);
    }
    return NULL;
}

static acme_err_t *read_record(acme_record_t **record, const reading_t *r,
                               apr_pool_t *pool)
{
    acme_record_t *parsed;
    const char *json;
    apr_size_t len;

    ACME_TRY(read_file(&json, &len, r, "record.json", pool));
    const char *what =
        apr_pstrcat(pool, r->part->path, "/", r->set, "/record.json", NULL);
    ACME_TRY(acme_record_parse(&parsed, json, len, what, pool));
    ACME_TRY(acme_store_check_record(parsed, r->family, r->number, what, pool));
    *record = parsed;
    return NULL;
}

typedef struct files_t {
    const char *chain, *key;
    apr_size_t chain_len, key_len;
} files_t;

static apr_status_t wipe_key(void *data)
{
    const files_t *files = data;

    OPENSSL_cleanse((void *)(apr_uintptr_t)files->key, files->key_len);
    return APR_SUCCESS;
}

static acme_err_t *read_files(files_t **files, const reading_t *r,
                              apr_pool_t *pool)
{
    files_t *made = apr_pcalloc(pool, sizeof(*made));

    ACME_TRY(read_file(&made->chain, &made->chain_len, r, "chain.pem", pool));
    ACME_TRY(read_file(&made->key, &made->key_len, r, "key.pem", pool));
    apr_pool_cleanup_register(pool, made, wipe_key, apr_pool_cleanup_null);
    *files = made;
    return NULL;
}

const char *acme_store_digest(const char *chain, apr_size_t chain_len,
                              const char *key, apr_size_t key_len,
                              apr_pool_t *pool)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int len = 0;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    int done = ctx && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1
               && EVP_DigestUpdate(ctx, chain, chain_len) == 1
               && EVP_DigestUpdate(ctx, "", 1) == 1
               && EVP_DigestUpdate(ctx, key, key_len) == 1
               && EVP_DigestFinal_ex(ctx, digest, &len) == 1;

    EVP_MD_CTX_free(ctx);
    return done ? acme_encode_hex(digest, len, pool) : NULL;
}

static int as_promoted(const acme_record_t *record, const files_t *files,
                       apr_pool_t *pool)
{
    const char *digest =
        record->files ? acme_store_digest(files->chain, files->chain_len,
                                          files->key, files->key_len, pool)
                      : NULL;

    return digest && strcmp(digest, record->files) == 0;
}

/* --- looking closely --------------------------------------------------------------- */

/* Of the dates one that holds is taken: an expired certificate is whole. */
static acme_err_t *parse_files(acme_chain_t **chain, EVP_PKEY **key,
                               const reading_t *r, const files_t *files,
                               apr_pool_t *pool)
{
    acme_cert_info_t *info;
    acme_err_t *err =
        acme_chain_parse(chain, files->chain, files->chain_len, pool);

    if (!err) {
        err = acme_key_from_pem(key, files->key, files->key_len, pool);
    }
    if (!err) {
        err = acme_cert_info(&info, (*chain)->leaf, pool);
    }
    if (!err) {
        err = acme_chain_verify(*chain, *key, NULL, info->not_after, pool);
    }
    if (err) {
        return damaged(r, err->text, pool);
    }
    return acme_key_sound(*key) ? NULL : damaged(r, "key.pem is altered", pool);
}

/* What a certificate can say of itself, where its record cannot. */
static acme_err_t *make_record(acme_record_t **record, const reading_t *r,
                               const acme_chain_t *chain, EVP_PKEY *key,
                               apr_pool_t *pool)
{
    acme_record_t *made = apr_pcalloc(pool, sizeof(*made));

    if (acme_key_type_of(&made->key_type, key) != 0
        || acme_key_family(made->key_type) != r->family) {
        return damaged(r, "its key is of another type", pool);
    }
    made->name = r->dir;
    made->number = r->number;
    ACME_TRY(acme_record_describe(made, chain->leaf, pool));
    *record = made;
    return NULL;
}

/* The files are not as they were promoted, or nobody knows how they were.
 * @param record  in: of this set, or NULL; out: one to go by */
static acme_err_t *look_closely(acme_record_t **record, const reading_t *r,
                                const files_t *files, apr_pool_t *pool)
{
    acme_chain_t *chain;
    acme_record_t *described = NULL;
    EVP_PKEY *key;

    ACME_TRY(parse_files(&chain, &key, r, files, pool));
    ACME_TRY(make_record(&described, r, chain, key, pool));
    if (!*record) {
        *record = described;
        return NULL;
    }
    if (strcmp((*record)->fingerprint, described->fingerprint) != 0) {
        return damaged(r, "it is another certificate than its record says",
                       pool);
    }
    return NULL;
}

/* Root's look at a set.
 * @param record  also with an error, if the set can be used all the same */
static acme_err_t *read_whole(acme_record_t **record, const reading_t *r,
                              apr_pool_t *pool)
{
    acme_record_t *parsed = NULL;
    files_t *files;

    ACME_TRY(read_files(&files, r, pool));
    acme_err_t *err = read_record(&parsed, r, pool);
    int same = !err && as_promoted(parsed, files, pool);
    if (!same || r->store->wary) {
        int digest_missing = !err && !parsed->files;
        ACME_TRY(look_closely(&parsed, r, files, pool));
        if (!err && !same && !digest_missing) {
            err =
                damaged(r, "its files were altered, but fit each other", pool);
        }
    }
    *record = parsed;
    return err;
}

static int has(const reading_t *r, const char *file)
{
    char path[MAX_RELATIVE];

    snprintf(path, sizeof(path), "%s/%s", r->set, file);
    return acme_fsfile_is_there(r->part, path);
}

/* The worker's: he cannot open the key, so what root found out counts. */
static acme_err_t *read_promoted(acme_record_t **record, const reading_t *r,
                                 apr_pool_t *pool)
{
    if (acme_store_is_opener(r->store)) {
        return read_whole(record, r, pool);
    }
    if (!has(r, "chain.pem") || !has(r, "key.pem")) {
        return damaged(r, "files of it are missing or empty", pool);
    }
    return read_record(record, r, pool);
}

/* --- finding one ------------------------------------------------------------------- */

int acme_store_is_damage(const acme_err_t *err)
{
    return err->msg == ACME_E_STORE_DAMAGED || err->msg == ACME_E_STORE_OWNER
           || err->msg == ACME_E_SEAL;
}

/* What cannot be read at all would end mod_ssl's start as well. To the worker it
 * tells nothing: the disk may be back in a moment. */
static int may_pass_over(const reading_t *r, const acme_err_t *err)
{
    return acme_store_is_damage(err) || acme_store_is_opener(r->store);
}

/* The newest whole one there, whatever the symlink shows.
 * @param record  NULL if there is none */
static acme_err_t *read_newest(acme_record_t **record, reading_t *r,
                               apr_pool_t *pool)
{
    apr_array_header_t *numbers;

    *record = NULL;
    ACME_TRY(acme_store_numbers(&numbers, r->part, r->dir, r->family, pool));
    for (int i = 0; i < numbers->nelts && i < ACME_STORE_TRIES && !*record;
         i++) {
        reading_number(r, APR_ARRAY_IDX(numbers, i, int));
        acme_err_t *err = read_promoted(record, r, pool);
        if (err && !may_pass_over(r, err)) {
            return err;
        }
    }
    return NULL;
}

/* The one that is linked is not whole, or none is. There is one beside it after
 * a promotion that was cut off, or where the symlink was lost; the archive is
 * asked only about damage: a set that was taken away stays away.
 * @param damage  of the linked one, or NULL
 * @return damage, or what was found on the way */
static acme_err_t *find_another(acme_record_t **record, reading_t *r,
                                acme_err_t *damage, apr_pool_t *pool)
{
    acme_err_t *err = read_newest(record, r, pool);

    if (err && !may_pass_over(r, err)) {
        return err;
    }
    damage = damage ? damage : err;
    if (!*record && damage && acme_store_is_opener(r->store)) {
        r->part = &r->store->parts[ACME_PART_ARCHIVE];
        /* Damage there as well is nothing more to tell. */
        acme_err_t *more = read_newest(record, r, pool);
        (void)more;
    }
    if (*record) {
        (*record)->from = damage ? ACME_RECORD_INSTEAD : ACME_RECORD_IN_SERVICE;
    }
    return damage;
}

/* @return also with a record: damage that was passed over */
static acme_err_t *find_current(acme_record_t **record, reading_t *r,
                                int linked, apr_pool_t *pool)
{
    acme_err_t *damage = NULL;

    if (linked) {
        reading_number(r, linked);
        damage = read_promoted(record, r, pool);
        if (*record) {
            (*record)->from = ACME_RECORD_IN_SERVICE;
        }
        if (!damage || *record || !may_pass_over(r, damage)) {
            return damage;
        }
    }
    return find_another(record, r, damage, pool);
}

/* @return 1 if root has found the set in service damaged before he forked */
static int ask_verdict(acme_record_t **record, const reading_t *r, int linked)
{
    const acme_verdict_t *verdict =
        acme_store_is_opener(r->store)
            ? NULL
            : acme_store_verdict(r->store, r->dir, r->family);

    if (!verdict || verdict->linked != linked) {
        return 0;
    }
    *record = verdict->record;
    return 1;
}

acme_err_t *acme_store_current(acme_record_t **record, acme_store_t *store,
                               const char *dir, acme_family_t family,
                               apr_pool_t *pool)
{
    reading_t r;

    *record = NULL;
    ACME_TRY(acme_store_check_name(dir, pool));
    reading_init(&r, store, ACME_PART_CERTIFICATES, dir, family);
    int linked = acme_store_linked(store, dir, family);
    if (ask_verdict(record, &r, linked)) {
        return NULL;
    }
    acme_err_t *damage = find_current(record, &r, linked, pool);
    if (acme_store_is_opener(store)) {
        if (damage) {
            convict(store, &r, linked, *record, pool);
        }
        else {
            acme_store_acquit(store, dir, family);
        }
    }
    return damage;
}

acme_part_t acme_store_current_part(const acme_store_t *store, const char *dir,
                                    acme_family_t family)
{
    const acme_verdict_t *verdict = acme_store_verdict(store, dir, family);

    return verdict && verdict->archived ? ACME_PART_ARCHIVE
                                        : ACME_PART_CERTIFICATES;
}

void acme_store_current_files(const char **chain, const char **key,
                              const acme_store_t *store, const char *dir,
                              acme_family_t family, int number,
                              apr_pool_t *pool)
{
    acme_part_t part = acme_store_current_part(store, dir, family);
    const char *set = apr_psprintf(pool, "%s/%s/%s.%d", store->parts[part].path,
                                   dir, acme_family_name(family), number);

    *chain = apr_pstrcat(pool, set, "/chain.pem", NULL);
    *key = apr_pstrcat(pool, set, "/key.pem", NULL);
}
