#include "engine/control.h"

#include <apr_strings.h>
#include <string.h>

#include "core/encode.h"

#define MAX_ACTION 32
#define MAX_NAME   255
#define MAX_REPLY  1024 /* octets of its text */
#define MAX_COUNT  1000000

static acme_err_t *refuse(const char *what, const char *why, apr_pool_t *pool)
{
    return acme_err_make(pool, ACME_E_STORE_REQUEST,
                         acme_encode_printable(what, MAX_ACTION, pool), why,
                         NULL);
}

static apr_status_t forget(void *data)
{
    json_decref(data);
    return APR_SUCCESS;
}

static json_t *own(json_t *object, apr_pool_t *pool)
{
    if (object) {
        apr_pool_cleanup_register(pool, object, forget, apr_pool_cleanup_null);
    }
    return object;
}

/* --- what may be in it ------------------------------------------------------------ */

int acme_control_id_valid(const char *id)
{
    return strlen(id) == ACME_CONTROL_ID
           && strspn(id, "0123456789abcdef") == ACME_CONTROL_ID;
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

static int value_valid(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_STRING:
        return json_string_length(value) <= ACME_CONTROL_TEXT
               && strlen(json_string_value(value)) == json_string_length(value);
    case JSON_INTEGER:
    case JSON_TRUE:
    case JSON_FALSE:
        return 1;
    case JSON_OBJECT:
    case JSON_ARRAY:
    case JSON_REAL:
    case JSON_NULL:
    default:
        return 0;
    }
}

static int args_valid(json_t *args)
{
    const char *name;
    json_t *value;

    if (!json_is_object(args) || json_object_size(args) > ACME_CONTROL_ARGS) {
        return 0;
    }
    json_object_foreach(args, name, value)
    {
        if (!action_valid(name) || !value_valid(value)) {
            return 0;
        }
    }
    return 1;
}

static acme_err_t *check(const acme_control_t *request, apr_pool_t *pool)
{
    if (!action_valid(request->action)) {
        return refuse(request->action ? request->action : "?",
                      "its action has characters it cannot have", pool);
    }
    if (request->certificate && !name_valid(request->certificate)) {
        return refuse(
            request->action,
            "the name of the certificate has characters it cannot have", pool);
    }
    if (request->account && !name_valid(request->account)) {
        return refuse(request->action,
                      "the name of the account has characters it cannot have",
                      pool);
    }
    if (request->args && !args_valid(request->args)) {
        return refuse(request->action,
                      "an argument is too long, or of another kind than text, "
                      "number, yes or no",
                      pool);
    }
    return NULL;
}

/* --- arguments -------------------------------------------------------------------- */

static void set(acme_control_t *request, const char *name, json_t *value,
                apr_pool_t *pool)
{
    if (!request->args) {
        request->args = own(json_object(), pool);
    }
    /* What JSON cannot hold is null, which the check refuses. */
    request->lacks |=
        json_object_set_new(request->args, name, value ? value : json_null());
}

void acme_control_set_text(acme_control_t *request, const char *name,
                           const char *value, apr_pool_t *pool)
{
    set(request, name, json_string(value), pool);
}

void acme_control_set_number(acme_control_t *request, const char *name,
                             apr_int64_t value, apr_pool_t *pool)
{
    set(request, name, json_integer(value), pool);
}

void acme_control_set_flag(acme_control_t *request, const char *name,
                           apr_pool_t *pool)
{
    set(request, name, json_true(), pool);
}

const char *acme_control_text(const acme_control_t *request, const char *name)
{
    return acme_json_string(request->args, name);
}

apr_int64_t acme_control_number(const acme_control_t *request, const char *name,
                                apr_int64_t fallback)
{
    const json_t *value = json_object_get(request->args, name);
    return json_is_integer(value) ? json_integer_value(value) : fallback;
}

int acme_control_flag(const acme_control_t *request, const char *name)
{
    return json_is_true(json_object_get(request->args, name));
}

/* --- JSON: the request ------------------------------------------------------------- */

/* @return not 0: there is no memory */
static int put_object(json_t *object, const char *name, json_t *value)
{
    return value ? json_object_set(object, name, value) : 0;
}

acme_err_t *acme_control_format(const char **json,
                                const acme_control_t *request,
                                const char *sealed, apr_pool_t *pool)
{
    ACME_TRY(check(request, pool));
    json_t *object = json_object();
    int failed =
        request->lacks | acme_json_put_text(object, "action", request->action)
        | acme_json_put_text(object, "certificate", request->certificate)
        | acme_json_put_text(object, "account", request->account)
        | put_object(object, "arguments", request->args)
        | acme_json_put_text(object, "sealed", sealed);
    return acme_json_message(json, object, failed, "writing a request", pool);
}

static const char *copy(const json_t *object, const char *name,
                        apr_pool_t *pool)
{
    const char *text = acme_json_string(object, name);
    return text ? apr_pstrdup(pool, text) : NULL;
}

acme_err_t *acme_control_parse(acme_control_t **request, const char **sealed,
                               const char *id, const char *json, apr_size_t len,
                               apr_pool_t *pool)
{
    acme_control_t *made = apr_pcalloc(pool, sizeof(*made));
    json_t *object;
    acme_err_t *err =
        acme_json_parse(&object, json, len, len, "a request", pool);

    if (err) {
        return err->msg == ACME_E_MEMORY
                   ? err
                   : refuse(id, "it is not a JSON object", pool);
    }
    made->id = apr_pstrdup(pool, id);
    made->action = copy(object, "action", pool);
    made->certificate = copy(object, "certificate", pool);
    made->account = copy(object, "account", pool);
    made->args = json_object_get(object, "arguments");
    ACME_TRY(check(made, pool));
    *sealed = copy(object, "sealed", pool);
    *request = made;
    return NULL;
}

/* --- JSON: the answer --------------------------------------------------------------- */

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

int acme_control_over(const acme_control_reply_t *reply)
{
    return !strcmp(reply->state, "done") || !strcmp(reply->state, "failed");
}

acme_err_t *acme_control_format_reply(const char **json,
                                      const acme_control_reply_t *reply,
                                      apr_pool_t *pool)
{
    if (!known_state(reply->state)) {
        return refuse(reply->state ? reply->state : "?",
                      "this is no state of a request", pool);
    }
    const char *text =
        acme_encode_printable(reply->text ? reply->text : "", MAX_REPLY, pool);
    const char *since =
        reply->since ? acme_time_format(reply->since, pool) : NULL;
    json_t *object = json_pack("{s:s, s:s, s:i, s:i, s:i}", "state",
                               reply->state, "text", text, "code", reply->code,
                               "done", reply->done, "total", reply->total);
    int failed = acme_json_put_text(object, "since", since)
                 | put_object(object, "result", reply->result);
    return acme_json_message(json, object, failed, "writing an answer", pool);
}

static int bounded(const json_t *object, const char *name, int max)
{
    json_int_t value = json_integer_value(json_object_get(object, name));
    return value > 0 && value <= max ? (int)value : 0;
}

acme_err_t *acme_control_parse_reply(acme_control_reply_t **reply,
                                     const char *id, const char *json,
                                     apr_size_t len, apr_pool_t *pool)
{
    acme_control_reply_t *made = apr_pcalloc(pool, sizeof(*made));
    json_t *object = NULL;
    acme_err_t *err =
        acme_json_parse(&object, json, len, ACME_CONTROL_RESULT + 4 * MAX_REPLY,
                        "an answer", pool);
    if (err && err->msg == ACME_E_MEMORY) {
        return err;
    }
    const char *text = acme_json_string(object, "text");
    const char *since = acme_json_string(object, "since");

    made->state = known_state(acme_json_string(object, "state"));
    if (!made->state) {
        return refuse(id, "the server's answer is not readable", pool);
    }
    made->text = acme_encode_printable(text ? text : "", MAX_REPLY, pool);
    made->code = bounded(object, "code", 9999);
    made->done = bounded(object, "done", MAX_COUNT);
    made->total = bounded(object, "total", MAX_COUNT);
    made->since = since ? acme_time_parse_rfc3339(since) : 0;
    made->result = json_object_get(object, "result");
    if (!json_is_object(made->result)) {
        made->result = NULL;
    }
    *reply = made;
    return NULL;
}
