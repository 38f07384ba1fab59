/* Requests of the administrator and the answers to them. Two directories, for
 * two writers: a request counts because only root could have written it. */
#include <apr_strings.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/encode.h"
#include "engine/store_impl.h"

#define MAX_REQUESTS 100   /* handed out at once; the rest come next time */
#define MAX_AGE      86400 /* seconds that a request or reply is kept */

/* A directory changed within so many seconds may change again without a
 * difference in its time: the clock that stamps it is coarse, and on a network
 * it is another machine's. */
#define TIME_GRAIN 3

/* --- texts ----------------------------------------------------------------------- */

static const char *file_name(const char *id, apr_pool_t *pool)
{
    return apr_pstrcat(pool, id, ".json", NULL);
}

static const char *secret_binding(const char *id, apr_pool_t *pool)
{
    return apr_pstrcat(pool, "request ", id, NULL);
}

static acme_err_t *refuse(const char *what, const char *why, apr_pool_t *pool)
{
    return acme_err_make(pool, ACME_E_STORE_REQUEST, what, why, NULL);
}

/* --- acmectl --------------------------------------------------------------------- */

static acme_err_t *write_text(const acme_place_t *part, const char *name,
                              mode_t mode, const char *text,
                              apr_pool_t *scratch)
{
    acme_fsfile_clean(part, scratch);
    const acme_fsfile_entry_t entry = { name, mode, text, strlen(text) };
    return acme_fsfile_put(part, &entry, scratch);
}

/* What the worker must be able to read, every program of the same user can. */
static acme_err_t *seal_secret(const char **text, const acme_store_t *store,
                               const acme_control_t *request, const char *id,
                               apr_pool_t *scratch)
{
    const unsigned char *sealed;
    apr_size_t len, secret_len = strlen(request->secret);

    if (secret_len > ACME_CONTROL_SECRET) {
        return refuse(request->action, "what it has to hide is too long",
                      scratch);
    }
    ACME_TRY(
        acme_seal(&sealed, &len, store->secret, secret_binding(id, scratch),
                  (const unsigned char *)request->secret, secret_len, scratch));
    *text = acme_encode_base64url(sealed, len, scratch);
    return NULL;
}

static acme_err_t *put_request(const acme_control_t *request,
                               acme_store_t *store, const char *id,
                               apr_pool_t *scratch)
{
    const char *json, *sealed = NULL;
    int lock;

    if (request->secret) {
        ACME_TRY(seal_secret(&sealed, store, request, id, scratch));
    }
    ACME_TRY(acme_control_format(&json, request, sealed, scratch));
    ACME_TRY(acme_store_lock_root(&lock, store, scratch));
    acme_err_t *err = write_text(&store->parts[ACME_PART_CONTROL],
                                 file_name(id, scratch), 0644, json, scratch);
    close(lock);
    return err;
}

acme_err_t *acme_store_put_request(acme_control_t *request, acme_store_t *store,
                                   apr_pool_t *pool)
{
    unsigned char random[ACME_CONTROL_ID / 2];

    if (RAND_bytes(random, sizeof(random)) != 1) {
        return acme_err_ssl(pool, ACME_E_MEMORY, "drawing a random number",
                            NULL);
    }
    const char *id = acme_encode_hex(random, sizeof(random), pool);
    apr_pool_t *sub = acme_store_subpool(pool);
    ACME_TRY(acme_store_leave(put_request(request, store, id, sub), sub, pool));
    request->id = id;
    return NULL;
}

acme_err_t *acme_store_get_reply(acme_control_reply_t **reply,
                                 acme_store_t *store, const char *id,
                                 apr_pool_t *pool)
{
    apr_pool_t *sub = acme_store_subpool(pool);
    const char *text = NULL;
    apr_size_t len = 0;

    *reply = NULL;
    acme_err_t *err =
        acme_control_id_valid(id)
            ? acme_fsfile_read(&text, &len, &store->parts[ACME_PART_REPLIES],
                               file_name(id, sub), store->worker, sub)
            : refuse(id, "this is not the id of a request", sub);
    if (!err && text) {
        err = acme_control_parse_reply(reply, id, text, len, pool);
    }
    return acme_store_leave(err, sub, pool);
}

void acme_store_remove_request(acme_store_t *store, const char *id,
                               apr_pool_t *scratch)
{
    static const acme_part_t parts[] = { ACME_PART_CONTROL, ACME_PART_REPLIES };

    if (!acme_control_id_valid(id)) {
        return;
    }
    for (unsigned i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        /* Unlinking follows nothing, whatever the worker has put there; and
         * what is left is only seen again. */
        acme_err_t *kept = acme_fsfile_remove(&store->parts[parts[i]],
                                              file_name(id, scratch), scratch);
        (void)kept;
    }
}

static apr_status_t wipe(void *data)
{
    OPENSSL_cleanse(data, strlen(data));
    return APR_SUCCESS;
}

/* --- the engine ------------------------------------------------------------------ */

/* Whether control/ is as it was when nothing in it was open. */
static int unchanged(const acme_store_t *store, struct stat *st)
{
    if (fstat(store->parts[ACME_PART_CONTROL].fd, st) != 0) {
        memset(st, 0, sizeof(*st));
        return 0;
    }
    return store->requests_quiet
           && st->st_mtim.tv_sec == store->requests_seen.tv_sec
           && st->st_mtim.tv_nsec == store->requests_seen.tv_nsec;
}

/* The id in "<id>.json". @return NULL: it is another file */
static const char *id_of(const char *name, apr_pool_t *pool)
{
    size_t len = strlen(name);

    if (len != ACME_CONTROL_ID + 5
        || strcmp(name + ACME_CONTROL_ID, ".json") != 0) {
        return NULL;
    }
    const char *id = apr_pstrndup(pool, name, ACME_CONTROL_ID);
    return acme_control_id_valid(id) ? id : NULL;
}

/* Not answered yet; or answered, but not for the last time. @return E_MEMORY */
static acme_err_t *get_wanted(int *wanted, acme_store_t *store, const char *id,
                              int interrupted, apr_pool_t *scratch)
{
    int answered = acme_fsfile_is_there(&store->parts[ACME_PART_REPLIES],
                                        file_name(id, scratch));
    acme_control_reply_t *reply;

    *wanted = interrupted == answered;
    if (!interrupted || !answered) {
        return NULL;
    }
    acme_err_t *err = acme_store_get_reply(&reply, store, id, scratch);
    *wanted = err || !reply || !acme_control_over(reply);
    return err && err->msg == ACME_E_MEMORY ? err : NULL;
}

static acme_err_t *read_secret(acme_control_t *request,
                               const acme_store_t *store, const char *sealed,
                               apr_pool_t *pool)
{
    const unsigned char *octets, *secret;
    apr_size_t len, secret_len;

    if (acme_decode_base64url(&octets, &len, sealed, pool) != APR_SUCCESS) {
        return refuse(request->id, "its secret is damaged", pool);
    }
    ACME_TRY(acme_unseal(&secret, &secret_len, store->secret,
                         secret_binding(request->id, pool), octets, len, pool));
    char *text = apr_pstrmemdup(pool, (const char *)secret, secret_len);
    apr_pool_cleanup_register(pool, text, wipe, apr_pool_cleanup_null);
    request->secret = text;
    return NULL;
}

static acme_err_t *read_request(acme_control_t **request,
                                const acme_store_t *store, const char *id,
                                apr_pool_t *pool, apr_pool_t *scratch)
{
    const char *text, *sealed;
    apr_size_t len;

    ACME_TRY(acme_fsfile_read(&text, &len, &store->parts[ACME_PART_CONTROL],
                              file_name(id, scratch), store->owner, scratch));
    if (!text) {
        *request = NULL;
        return NULL;
    }
    ACME_TRY(acme_control_parse(request, &sealed, id, text, len, pool));
    return sealed ? read_secret(*request, store, sealed, pool) : NULL;
}

static acme_err_t *list_requests(apr_array_header_t *found, acme_store_t *store,
                                 int interrupted, apr_pool_t *pool,
                                 apr_pool_t *scratch)
{
    apr_array_header_t *names;

    ACME_TRY(acme_fsfile_list(&names, &store->parts[ACME_PART_CONTROL], NULL,
                              scratch));
    for (int i = 0; names && i < names->nelts && found->nelts < MAX_REQUESTS;
         i++) {
        const char *id = id_of(APR_ARRAY_IDX(names, i, const char *), scratch);
        acme_control_t *request = NULL;
        acme_err_t *err = NULL;
        int wanted = 0;
        if (id) {
            ACME_TRY(get_wanted(&wanted, store, id, interrupted, scratch));
        }
        if (wanted) {
            err = read_request(&request, store, id, pool, scratch);
        }
        if (err && err->msg == ACME_E_MEMORY) {
            return err;
        }
        /* One that cannot be read is passed over: root's tool wrote another. */
        if (!err && request) {
            APR_ARRAY_PUSH(found, acme_control_t *) = request;
        }
    }
    return NULL;
}

acme_err_t *acme_store_get_interrupted(apr_array_header_t **requests,
                                       acme_store_t *store, apr_pool_t *pool)
{
    apr_pool_t *sub = acme_store_subpool(pool);

    *requests = apr_array_make(pool, 1, sizeof(acme_control_t *));
    return acme_store_leave(list_requests(*requests, store, 1, pool, sub), sub,
                            pool);
}

acme_err_t *acme_store_get_requests(apr_array_header_t **requests,
                                    acme_store_t *store, apr_pool_t *pool)
{
    apr_array_header_t *found =
        apr_array_make(pool, 1, sizeof(acme_control_t *));
    struct stat st;

    *requests = found;
    if (unchanged(store, &st)) {
        return NULL;
    }
    apr_pool_t *sub = acme_store_subpool(pool);
    ACME_TRY(
        acme_store_leave(list_requests(found, store, 0, pool, sub), sub, pool));
    store->requests_seen = st.st_mtim;
    store->requests_quiet =
        found->nelts == 0 && time(NULL) - st.st_mtim.tv_sec >= TIME_GRAIN;
    return NULL;
}

typedef struct put_reply_t {
    acme_store_t *store;
    const char *id;
    const char *json;
} put_reply_t;

static acme_err_t *put_reply(void *baton, apr_pool_t *scratch)
{
    const put_reply_t *put = baton;

    return write_text(&put->store->parts[ACME_PART_REPLIES],
                      file_name(put->id, scratch), 0600, put->json, scratch);
}

acme_err_t *acme_store_put_reply(acme_store_t *store, const char *id,
                                 const acme_control_reply_t *reply,
                                 apr_pool_t *scratch)
{
    if (!acme_control_id_valid(id)) {
        return refuse(id, "this is not the id of a request", scratch);
    }
    apr_pool_t *sub = acme_store_subpool(scratch);
    put_reply_t put = { store, id, NULL };
    acme_err_t *err = acme_control_format_reply(&put.json, reply, sub);

    if (!err) {
        err = acme_store_commit(store, put_reply, &put, sub);
    }
    return acme_store_leave(err, sub, scratch);
}

/* --- at a start ------------------------------------------------------------------ */

/* "<id>.json", whatever it is; one that is not ours stays. */
static int is_stale(const acme_place_t *part, const char *name, apr_time_t now)
{
    struct stat st;

    return strlen(name) == ACME_CONTROL_ID + 5
           && strspn(name, "0123456789abcdef") == ACME_CONTROL_ID
           && strcmp(name + ACME_CONTROL_ID, ".json") == 0
           && fstatat(part->fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0
           && S_ISREG(st.st_mode) && apr_time_sec(now) - st.st_mtime > MAX_AGE;
}

/* Unfinished puts of root's, besides those of certificates: promotion sees to
 * them. */
static void clean_root(const acme_store_t *store, apr_pool_t *scratch)
{
    int lock;
    acme_err_t *err = acme_store_lock_root(&lock, store, scratch);

    if (err) {
        return; /* the next start does it */
    }
    acme_fsfile_clean(&store->base, scratch);
    acme_fsfile_clean(&store->parts[ACME_PART_CONTROL], scratch);
    close(lock);
}

void acme_store_prune(acme_store_t *store, apr_time_t now, apr_pool_t *scratch)
{
    static const acme_part_t parts[] = { ACME_PART_CONTROL, ACME_PART_REPLIES };
    apr_pool_t *sub = acme_store_subpool(scratch);

    clean_root(store, sub);
    for (unsigned i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        const acme_place_t *part = &store->parts[parts[i]];
        apr_array_header_t *names;
        acme_err_t *err = acme_fsfile_list(&names, part, NULL, sub);
        for (int k = 0; !err && names && k < names->nelts; k++) {
            const char *name = APR_ARRAY_IDX(names, k, const char *);
            /* What cannot be removed is only seen again. */
            if (is_stale(part, name, now)) {
                acme_fsfile_step();
                (void)unlinkat(part->fd, name, 0);
            }
        }
    }
    apr_pool_destroy(sub);
}
