/* JSON: read with bounds, written whole or not at all. */
#include <apr_strings.h>
#include <string.h>

#include "core/encode.h"

#define MAX_DEPTH 32

/* jansson recurses once a level; its own limit of 2048 is much for the stack
 * of a server's thread. */
static int too_deep(const char *body, apr_size_t len)
{
    int depth = 0, quoted = 0;
    apr_size_t i;

    for (i = 0; i < len; i++) {
        if (quoted && body[i] == '\\') {
            i++;
        }
        else if (body[i] == '"') {
            quoted = !quoted;
        }
        else if (!quoted && (body[i] == '{' || body[i] == '[')) {
            if (++depth > MAX_DEPTH) {
                return 1;
            }
        }
        else if (!quoted && (body[i] == '}' || body[i] == ']')) {
            depth--;
        }
    }
    return 0;
}

static apr_status_t release(void *object)
{
    json_decref(object);
    return APR_SUCCESS;
}

/* Of a text that it has no memory for jansson says that it is not the token which is
 * expected, though no text can be wrong at its closing quote there; of all else it says
 * nothing. */
static int lacks_memory(const json_error_t *reason, const char *text)
{
    return !*reason->text
           || (reason->position > 0 && text[reason->position - 1] == '"'
               && (!strncmp(reason->text, "invalid token", 13)
                   || !strncmp(reason->text, "string or '}' expected", 22)));
}

acme_err_t *acme_json_load(json_t **object, const char *text, apr_size_t len,
                           const char *what, apr_pool_t *pool)
{
    json_error_t reason;
    json_t *json = json_loadb(text, len, JSON_REJECT_DUPLICATES, &reason);

    if (!json && lacks_memory(&reason, text)) { /* for a moment, perhaps */
        json = json_loadb(text, len, JSON_REJECT_DUPLICATES, &reason);
    }
    if (!json && lacks_memory(&reason, text)) {
        return acme_err_make(pool, ACME_E_MEMORY,
                             apr_pstrcat(pool, "reading ", what, NULL), NULL);
    }
    if (!json_is_object(json)) {
        const char *why = json ? "it is not an object" : reason.text;
        json_decref(json);
        return acme_err_make(pool, ACME_E_CA_JSON, what, why, NULL);
    }
    *object = json;
    return NULL;
}

acme_err_t *acme_json_parse(json_t **object, const char *body, apr_size_t len,
                            apr_size_t max, const char *what, apr_pool_t *pool)
{
    json_t *json;

    if (len > max) {
        return acme_err_make(pool, ACME_E_CA_JSON, what, "it is too large",
                             NULL);
    }
    if (too_deep(body, len)) {
        return acme_err_make(pool, ACME_E_CA_JSON, what,
                             "it is nested too deeply", NULL);
    }
    ACME_TRY(acme_json_load(&json, body, len, what, pool));
    apr_pool_cleanup_register(pool, json, release, apr_pool_cleanup_null);
    *object = json;
    return NULL;
}

int acme_json_put_text(json_t *object, const char *name, const char *value)
{
    return value ? json_object_set_new(object, name, json_string(value)) : 0;
}

json_t *acme_json_texts(const apr_array_header_t *texts)
{
    json_t *list = json_array();
    int failed = 0;

    for (int i = 0; texts && i < texts->nelts; i++) {
        failed |= json_array_append_new(
            list, json_string(APR_ARRAY_IDX(texts, i, const char *)));
    }
    if (failed) {
        json_decref(list);
        return NULL;
    }
    return list;
}

int acme_json_put_json(json_t *object, const char *name, const char *json)
{
    json_t *value = json_loads(json, 0, NULL);

    /* Without memory json_loads() may lose a letter, and says nothing. */
    if (json_dumpb(value, NULL, 0, JSON_COMPACT) != strlen(json)) {
        json_decref(value);
        return -1;
    }
    return json_object_set_new(object, name, value);
}

/* Not json_dumps(), which without memory may lose the name of a member, and says
 * nothing. */
const char *acme_json_text(json_t *json, size_t flags, apr_pool_t *pool)
{
    size_t size = json_dumpb(json, NULL, 0, flags);
    char *text = size ? apr_pcalloc(pool, size + 1) : NULL;

    if (text && json_dumpb(json, text, size, flags) != size) {
        text = NULL;
    }
    json_decref(json);
    return text;
}

acme_err_t *acme_json_document(const char **text, json_t *json,
                               const char *what, apr_pool_t *pool)
{
    const char *made = acme_json_text(json, JSON_INDENT(1), pool);

    if (!made) {
        return acme_err_make(pool, ACME_E_MEMORY, what, NULL);
    }
    *text = apr_pstrcat(pool, made, "\n", NULL);
    return NULL;
}

acme_err_t *acme_json_message(const char **text, json_t *json, int failed,
                              const char *what, apr_pool_t *pool)
{
    const char *made = acme_json_text(json, JSON_COMPACT, pool);

    if (failed || !made) {
        return acme_err_make(pool, ACME_E_MEMORY, what, NULL);
    }
    *text = made;
    return NULL;
}

const char *acme_json_string(const json_t *object, const char *name)
{
    const json_t *member = json_object_get(object, name);
    const char *text = json_string_value(member);

    return text && strlen(text) == json_string_length(member) ? text : NULL;
}
