#include "message.h"

#include <apr_hash.h>
#include <stdlib.h>
#include <strings.h>

#include "fuzz.h"

#define MAX_ANSWERS 100 /* so that no input takes long */

static void take_header(acme_reply_t *reply, const char *name,
                        const char *value)
{
    if (!strcasecmp(name, "Location")) {
        reply->location = value;
    }
    else if (!strcasecmp(name, "Replay-Nonce")) {
        reply->nonce = value;
    }
    else if (!strcasecmp(name, "Retry-After")) {
        reply->retry_after = value;
    }
    else if (!strcasecmp(name, "Content-Type")) {
        reply->content_type = value;
    }
    else if (!strcasecmp(name, "Link") && reply->links->nelts < 32) {
        APR_ARRAY_PUSH(reply->links, const char *) = value;
    }
}

void fuzz_message(acme_reply_t *reply, char *text, apr_pool_t *pool)
{
    char *line = fuzz_part(&text, '\n');

    memset(reply, 0, sizeof(*reply));
    reply->body = "";
    reply->links = apr_array_make(pool, 4, sizeof(const char *));
    reply->status = line ? atoi(line) : 0;
    if (reply->status < 100 || reply->status > 599) {
        reply->status = 0;
        reply->failure =
            acme_err_make(pool, ACME_E_CA_TIMEOUT, "ca.test", NULL);
        return;
    }
    while ((line = fuzz_part(&text, '\n')) != NULL && *line) {
        char *value = strchr(line, ':');

        if (value) {
            *value++ = '\0';
            take_header(reply, line, value + strspn(value, " "));
        }
    }
    if (text) {
        reply->body = text;
        reply->len = strlen(text);
    }
}

/* --- sequences ---------------------------------------------------------------- */

struct fuzz_script_t {
    apr_pool_t *pool;
    apr_hash_t *replies; /* label -> array of const char *, and ... */
    apr_hash_t *next;    /* ... -> int *: the next of them */
    int answers;
};

fuzz_script_t *fuzz_script(const char *data, apr_pool_t *pool)
{
    fuzz_script_t *script = apr_pcalloc(pool, sizeof(*script));
    char *rest = apr_pstrdup(pool, data), *text;

    script->pool = pool;
    script->replies = apr_hash_make(pool);
    script->next = apr_hash_make(pool);
    while ((text = fuzz_part(&rest, '%')) != NULL) {
        const char *label = fuzz_part(&text, '\n');
        apr_array_header_t *list =
            apr_hash_get(script->replies, label, APR_HASH_KEY_STRING);

        if (!list) {
            list = apr_array_make(pool, 4, sizeof(const char *));
            apr_hash_set(script->replies, label, APR_HASH_KEY_STRING, list);
            apr_hash_set(script->next, label, APR_HASH_KEY_STRING,
                         apr_pcalloc(pool, sizeof(int)));
        }
        APR_ARRAY_PUSH(list, const char *) = text ? text : "";
    }
    return script;
}

void fuzz_script_answer(fuzz_script_t *script, const char *label,
                        acme_reply_t *reply, apr_pool_t *pool)
{
    apr_array_header_t *list =
        apr_hash_get(script->replies, label, APR_HASH_KEY_STRING);
    int *next = apr_hash_get(script->next, label, APR_HASH_KEY_STRING);
    const char *text = "";

    if (list && script->answers++ < MAX_ANSWERS) {
        text = APR_ARRAY_IDX(list, (*next)++ % list->nelts, const char *);
    }
    fuzz_message(reply, apr_pstrdup(pool, text), pool);
}
