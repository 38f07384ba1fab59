#include "engine/gate_spec.h"

#include <apr_strings.h>
#include <string.h>

#include "core/encode.h"

#define KIND         "gate"
#define MAX_PROGRAMS 64
#define MAX_ARGS     64
#define PORT_HTTP    80
#define PORT_TLS     443

static int port_of(const acme_policy_t *policy, acme_proof_type_t type)
{
    if (type == ACME_PROOF_HTTP_01) {
        return policy->port_80 ? policy->port_80 : PORT_HTTP;
    }
    return policy->port_443 ? policy->port_443 : PORT_TLS;
}

static apr_array_header_t *programs_for(const apr_array_header_t *hooks,
                                        acme_event_kind_t event,
                                        apr_pool_t *pool)
{
    apr_array_header_t *programs =
        apr_array_make(pool, 2, sizeof(const apr_array_header_t *));

    for (int i = 0; hooks && i < hooks->nelts; i++) {
        const acme_hook_t *hook = APR_ARRAY_IDX(hooks, i, acme_hook_t *);

        if (hook->events & ACME_EVENT_BIT(event)
            && programs->nelts < MAX_PROGRAMS) {
            APR_ARRAY_PUSH(programs, const apr_array_header_t *) =
                hook->command;
        }
    }
    return programs;
}

void acme_gate_spec_make(acme_gate_spec_t *spec, const acme_managed_t *managed,
                         const acme_proof_t *proof, apr_pool_t *pool)
{
    const apr_array_header_t *hooks = managed->policy->hooks;

    spec->type = proof->type;
    spec->port = port_of(managed->policy, proof->type);
    spec->certificate = managed->name;
    spec->domain = proof->ident->value;
    spec->opens = programs_for(hooks, ACME_EVENT_CHALLENGE_OPEN, pool);
    spec->closes = programs_for(hooks, ACME_EVENT_CHALLENGE_CLOSE, pool);
}

static apr_array_header_t *copy_programs(const apr_array_header_t *programs,
                                         apr_pool_t *pool)
{
    apr_array_header_t *copy = apr_array_make(
        pool, programs->nelts + 1, sizeof(const apr_array_header_t *));

    for (int i = 0; i < programs->nelts; i++) {
        const apr_array_header_t *program =
            APR_ARRAY_IDX(programs, i, const apr_array_header_t *);
        apr_array_header_t *words =
            apr_array_make(pool, program->nelts + 1, sizeof(const char *));

        for (int k = 0; k < program->nelts; k++) {
            APR_ARRAY_PUSH(words, const char *) =
                apr_pstrdup(pool, APR_ARRAY_IDX(program, k, const char *));
        }
        APR_ARRAY_PUSH(copy, const apr_array_header_t *) = words;
    }
    return copy;
}

void acme_gate_spec_copy(acme_gate_spec_t *to, const acme_gate_spec_t *from,
                         apr_pool_t *pool)
{
    to->type = from->type;
    to->port = from->port;
    to->certificate = apr_pstrdup(pool, from->certificate);
    to->domain = apr_pstrdup(pool, from->domain);
    to->opens = copy_programs(from->opens, pool);
    to->closes = copy_programs(from->closes, pool);
}

static const char *programs_text(const apr_array_header_t *programs,
                                 apr_pool_t *pool)
{
    const char *text = "";

    for (int i = 0; i < programs->nelts; i++) {
        text = apr_pstrcat(
            pool, text, "\n",
            apr_array_pstrcat(
                pool, APR_ARRAY_IDX(programs, i, const apr_array_header_t *),
                '\1'),
            NULL);
    }
    return text;
}

const char *acme_gate_spec_id(const acme_gate_spec_t *spec, apr_pool_t *pool)
{
    const char *text = apr_psprintf(
        pool, KIND " %s %d%s\n%s", acme_proof_type_name(spec->type), spec->port,
        programs_text(spec->opens, pool), programs_text(spec->closes, pool));
    unsigned char digest[ACME_SHA256];

    acme_sha256(digest, text, strlen(text));
    return acme_encode_hex(digest, 16, pool);
}

/* --- journal ------------------------------------------------------------------ */

/* @return NULL: there is no memory */
static json_t *format_programs(const apr_array_header_t *programs)
{
    json_t *list = json_array();
    int failed = 0;

    for (int i = 0; i < programs->nelts; i++) {
        const apr_array_header_t *program =
            APR_ARRAY_IDX(programs, i, const apr_array_header_t *);
        failed |= json_array_append_new(list, acme_json_texts(program));
    }
    if (failed) {
        json_decref(list);
        return NULL;
    }
    return list;
}

acme_err_t *acme_gate_spec_format(const char **json,
                                  const acme_gate_spec_t *spec,
                                  apr_pool_t *pool)
{
    json_t *object = json_pack(
        "{s:s, s:s, s:i, s:s, s:s, s:o, s:o}", "kind", KIND, "type",
        acme_proof_type_name(spec->type), "port", spec->port, "certificate",
        spec->certificate, "domain", spec->domain, "open",
        format_programs(spec->opens), "close", format_programs(spec->closes));

    return acme_json_document(json, object, "writing the journal", pool);
}

/* @return NULL: damaged */
static apr_array_header_t *parse_program(const json_t *words, apr_pool_t *pool)
{
    size_t count = json_array_size(words);
    apr_array_header_t *program =
        apr_array_make(pool, (int)count + 1, sizeof(const char *));

    for (size_t i = 0; i < count; i++) {
        const char *word = json_string_value(json_array_get(words, i));

        if (!word) {
            return NULL;
        }
        APR_ARRAY_PUSH(program, const char *) = word;
    }
    return count < 1 || count > MAX_ARGS ? NULL : program;
}

static apr_array_header_t *parse_programs(const json_t *list, apr_pool_t *pool)
{
    size_t count = json_array_size(list);
    apr_array_header_t *programs =
        json_is_array(list) && count <= MAX_PROGRAMS ? apr_array_make(
            pool, (int)count + 1, sizeof(const apr_array_header_t *))
                                                     : NULL;

    for (size_t i = 0; programs && i < count; i++) {
        apr_array_header_t *program =
            parse_program(json_array_get(list, i), pool);

        if (!program) {
            return NULL;
        }
        APR_ARRAY_PUSH(programs, const apr_array_header_t *) = program;
    }
    return programs;
}

const char *acme_gate_spec_read(acme_gate_spec_t *spec, const char *kind,
                                const json_t *object, apr_pool_t *pool)
{
    memset(spec, 0, sizeof(*spec));
    if (strcmp(kind, KIND)) {
        return NULL;
    }
    const char *type = acme_json_string(object, "type");
    json_int_t port = json_integer_value(json_object_get(object, "port"));
    spec->certificate = acme_json_string(object, "certificate");
    spec->domain = acme_json_string(object, "domain");
    spec->opens = parse_programs(json_object_get(object, "open"), pool);
    spec->closes = parse_programs(json_object_get(object, "close"), pool);
    if (!type || acme_proof_type_parse(&spec->type, type) || port < 1
        || port > 65535 || !spec->certificate || !spec->domain || !spec->opens
        || !spec->closes) {
        spec->closes = NULL;
        return "members are missing in it";
    }
    spec->port = (int)port;
    return NULL;
}

/* --- programs ------------------------------------------------------------------- */

void acme_gate_spec_command(acme_command_spec_t *command,
                            const acme_gate_spec_t *spec,
                            const apr_array_header_t *program,
                            acme_event_kind_t event, const char *store,
                            apr_pool_t *pool)
{
    apr_array_header_t *argv = apr_array_copy(pool, program);
    apr_array_header_t *env = apr_array_make(pool, 8, sizeof(const char *));
    const char *type = acme_proof_type_name(spec->type);
    const char *port = apr_itoa(pool, spec->port);

    APR_ARRAY_PUSH(argv, const char *) = acme_event_name(event);
    APR_ARRAY_PUSH(argv, const char *) = spec->certificate;
    APR_ARRAY_PUSH(argv, const char *) = type;
    APR_ARRAY_PUSH(argv, const char *) = port;
    APR_ARRAY_PUSH(argv, const char *) = NULL;
    acme_hook_env(env, "ACME_EVENT", acme_event_name(event));
    acme_hook_env(env, "ACME_CERTIFICATE", spec->certificate);
    acme_hook_env(env, "ACME_DOMAIN", spec->domain);
    acme_hook_env(env, "ACME_CHALLENGE_TYPE", type);
    acme_hook_env(env, "ACME_PORT", port);
    acme_hook_env(env, "ACME_STORE", store);
    APR_ARRAY_PUSH(env, const char *) = NULL;
    command->argv = (const char *const *)(const void *)argv->elts;
    command->env = (const char *const *)(const void *)env->elts;
}
