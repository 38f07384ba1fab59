/* Requests of the administrator and the answers to them. Two directories, for
 * two writers: a request counts because only root could have written it. */
#include <apr_strings.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/encode.h"
#include "engine/store_impl.h"

#define ID_LENGTH    16
#define MAX_REQUESTS 100 /* handed out at once; the rest come next time */
#define MAX_ACTION   32
#define MAX_NAME     255
#define MAX_TEXT     1024
#define MAX_AGE      86400 /* seconds that a request or reply is kept */

/* A directory changed within so many seconds may change again without a
 * difference in its time: the clock that stamps it is coarse, and on a network
 * it is another machine's. */
#define TIME_GRAIN 3

/* --- texts ----------------------------------------------------------------------- */

static int id_valid(const char *id)
{
    return strlen(id) == ID_LENGTH
           && strspn(id, "0123456789abcdef") == ID_LENGTH;
}

static int action_valid(const char *action)
{
    size_t len = action ? strlen(action) : 0;

    return len >= 1 && len <= MAX_ACTION
           && strspn(action, "abcdefghijklmnopqrstuvwxyz-") == len;
}

static int name_valid(const char *name)
{
    size_t len = name ? strlen(name) : 0;

    if (len < 1 || len > MAX_NAME) {
        return 0;
    }
    for (const char *c = name; *c; c++) {
        if (*c <= ' ' || *c >= 0x7f) {
            return 0;
        }
    }
    return 1;
}

static const char *known_state(const char *state)
{
    static const char *const states[] = { "accepted", "working", "done",
                                          "failed" };

    for (unsigned i = 0; state && i < sizeof(states) / sizeof(states[0]); i++) {
        if (strcmp(state, states[i]) == 0) {
            return states[i];
        }
    }
    return NULL;
}

static const char *file_name(const char *id, apr_pool_t *pool)
{
    return apr_pstrcat(pool, id, ".json", NULL);
}

static acme_err_t *refuse(const char *what, const char *why, apr_pool_t *pool)
{
    return acme_err_make(pool, ACME_E_STORE_REQUEST, what, why, NULL);
}

/* --- acmectl --------------------------------------------------------------------- */

static acme_err_t *write_json(const acme_place_t *part, const char *name,
                              mode_t mode, json_t *object, apr_pool_t *scratch)
{
    char *text = object ? json_dumps(object, JSON_INDENT(1)) : NULL;

    if (!text) {
        return acme_err_make(scratch, ACME_E_MEMORY, "writing a request", NULL);
    }
    acme_fsfile_clean(part, scratch);
    const acme_fsfile_entry_t entry = { name, mode, text, strlen(text) };
    acme_err_t *err = acme_fsfile_put(part, &entry, scratch);
    free(text);
    return err;
}

static acme_err_t *put_request(acme_control_t *request, acme_store_t *store,
                               const char *id, apr_pool_t *scratch)
{
    int lock;

    if (!action_valid(request->action) || !name_valid(request->certificate)) {
        return refuse(request->action ? request->action : "?",
                      "action or certificate has characters it cannot have",
                      scratch);
    }
    ACME_TRY(acme_store_lock_root(&lock, store, scratch));
    json_t *object = json_pack("{s:s, s:s}", "action", request->action,
                               "certificate", request->certificate);
    acme_err_t *err = write_json(&store->parts[ACME_PART_CONTROL],
                                 file_name(id, scratch), 0644, object, scratch);
    json_decref(object);
    close(lock);
    return err;
}

acme_err_t *acme_store_put_request(acme_control_t *request, acme_store_t *store,
                                   apr_pool_t *pool)
{
    unsigned char random[ID_LENGTH / 2];

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

static acme_err_t *read_object(json_t **object, const acme_place_t *part,
                               const char *id, uid_t owner, apr_pool_t *scratch)
{
    const char *text;
    apr_size_t len;
    const char *name = file_name(id, scratch);

    *object = NULL;
    ACME_TRY(acme_fsfile_read(&text, &len, part, name, owner, scratch));
    if (!text) {
        return NULL;
    }
    *object = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
    if (!json_is_object(*object)) {
        json_decref(*object);
        *object = NULL;
        return acme_err_make(scratch, ACME_E_STORE_DAMAGED,
                             acme_fsfile_path(part, name, scratch),
                             "it is not a JSON object", NULL);
    }
    return NULL;
}

acme_err_t *acme_store_get_reply(acme_control_reply_t **reply,
                                 acme_store_t *store, const char *id,
                                 apr_pool_t *pool)
{
    apr_pool_t *sub = acme_store_subpool(pool);
    json_t *object = NULL;

    *reply = NULL;
    acme_err_t *err =
        id_valid(id) ? read_object(&object, &store->parts[ACME_PART_REPLIES],
                                   id, store->worker, sub)
                     : refuse(id, "this is not the id of a request", sub);
    if (object) {
        const char *text = acme_json_string(object, "text");
        json_int_t code = json_integer_value(json_object_get(object, "code"));
        acme_control_reply_t *made = apr_pcalloc(pool, sizeof(*made));
        made->state = known_state(acme_json_string(object, "state"));
        made->text = acme_encode_printable(text ? text : "", MAX_TEXT, pool);
        made->code = code > 0 && code < 10000 ? (int)code : 0;
        if (made->state) {
            *reply = made;
        }
        else {
            err = refuse(id, "the server's answer is not readable", sub);
        }
        json_decref(object);
    }
    return acme_store_leave(err, sub, pool);
}

void acme_store_remove_request(acme_store_t *store, const char *id,
                               apr_pool_t *scratch)
{
    static const acme_part_t parts[] = { ACME_PART_CONTROL, ACME_PART_REPLIES };

    if (!id_valid(id)) {
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

/* "<id>.json" of control/ without an answer of the same name. */
static const char *open_request(const acme_store_t *store, const char *name,
                                apr_pool_t *pool)
{
    size_t len = strlen(name);

    if (len != ID_LENGTH + 5 || strcmp(name + ID_LENGTH, ".json") != 0) {
        return NULL;
    }
    const char *id = apr_pstrndup(pool, name, ID_LENGTH);
    if (!id_valid(id)
        || acme_fsfile_is_there(&store->parts[ACME_PART_REPLIES], name)) {
        return NULL;
    }
    return id;
}

static acme_control_t *read_request(const acme_store_t *store, const char *id,
                                    apr_pool_t *pool, apr_pool_t *scratch)
{
    json_t *object;
    acme_control_t *request = NULL;

    /* One that cannot be read is passed over: root's tool wrote another. */
    if (read_object(&object, &store->parts[ACME_PART_CONTROL], id, store->owner,
                    scratch)
        || !object) {
        return NULL;
    }
    const char *action = acme_json_string(object, "action");
    const char *certificate = acme_json_string(object, "certificate");
    if (action_valid(action) && name_valid(certificate)) {
        request = apr_palloc(pool, sizeof(*request));
        request->id = apr_pstrdup(pool, id);
        request->action = apr_pstrdup(pool, action);
        request->certificate = apr_pstrdup(pool, certificate);
    }
    json_decref(object);
    return request;
}

static acme_err_t *list_requests(apr_array_header_t *found,
                                 const acme_store_t *store, apr_pool_t *pool,
                                 apr_pool_t *scratch)
{
    apr_array_header_t *names;

    ACME_TRY(acme_fsfile_list(&names, &store->parts[ACME_PART_CONTROL], NULL,
                              scratch));
    for (int i = 0; names && i < names->nelts && found->nelts < MAX_REQUESTS;
         i++) {
        const char *id =
            open_request(store, APR_ARRAY_IDX(names, i, const char *), scratch);
        acme_control_t *request =
            id ? read_request(store, id, pool, scratch) : NULL;
        if (request) {
            APR_ARRAY_PUSH(found, acme_control_t *) = request;
        }
    }
    return NULL;
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
        acme_store_leave(list_requests(found, store, pool, sub), sub, pool));
    store->requests_seen = st.st_mtim;
    store->requests_quiet =
        found->nelts == 0 && time(NULL) - st.st_mtim.tv_sec >= TIME_GRAIN;
    return NULL;
}

typedef struct put_reply_t {
    acme_store_t *store;
    const char *id;
    json_t *object;
} put_reply_t;

static acme_err_t *put_reply(void *baton, apr_pool_t *scratch)
{
    const put_reply_t *put = baton;

    return write_json(&put->store->parts[ACME_PART_REPLIES],
                      file_name(put->id, scratch), 0600, put->object, scratch);
}

acme_err_t *acme_store_put_reply(acme_store_t *store, const char *id,
                                 const acme_control_reply_t *reply,
                                 apr_pool_t *scratch)
{
    if (!id_valid(id) || !known_state(reply->state)) {
        return refuse(id, "this is not the id of a request, or no state of one",
                      scratch);
    }
    apr_pool_t *sub = acme_store_subpool(scratch);
    const char *text =
        acme_encode_printable(reply->text ? reply->text : "", MAX_TEXT, sub);
    put_reply_t put = { store, id,
                        json_pack("{s:s, s:s, s:i}", "state", reply->state,
                                  "text", text, "code", reply->code) };
    acme_err_t *err = acme_store_commit(store, put_reply, &put, sub);

    json_decref(put.object);
    return acme_store_leave(err, sub, scratch);
}

/* --- at a start ------------------------------------------------------------------ */

/* "<id>.json", whatever it is; one that is not ours stays. */
static int is_stale(const acme_place_t *part, const char *name, apr_time_t now)
{
    struct stat st;

    return strlen(name) == ID_LENGTH + 5
           && strspn(name, "0123456789abcdef") == ID_LENGTH
           && strcmp(name + ID_LENGTH, ".json") == 0
           && fstatat(part->fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0
           && S_ISREG(st.st_mode) && apr_time_sec(now) - st.st_mtime > MAX_AGE;
}

void acme_store_prune(acme_store_t *store, apr_time_t now, apr_pool_t *scratch)
{
    static const acme_part_t parts[] = { ACME_PART_CONTROL, ACME_PART_REPLIES };
    apr_pool_t *sub = acme_store_subpool(scratch);

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
