#include "core/problem.h"

#include <apr_strings.h>
#include <apr_tables.h>
#include <string.h>

#include "core/blame.h"
#include "core/encode.h"
#include "core/jws.h"
#include "core/reaction.h"

#define URN             "urn:ietf:params:acme:error:"
#define MAX_TYPE        64  /* octets kept of an unknown type */
#define MAX_NAME        256 /* octets kept of an identifier */
#define MAX_SUBPROBLEMS 128
#define MAX_ALGORITHMS  16                    /* named */
#define MAX_ALGORITHM   32                    /* octets kept of one */
#define MAX_SUMMARY     (8 * ACME_MAX_DETAIL) /* of all subproblems together */

/* RFC 8555 section 6.7, RFC 9773 section 7.4, draft-ietf-acme-profiles. */
typedef struct problem_type_t {
    const char *type;
    acme_msg_t in_reply;      /* to a request of ours */
    acme_msg_t in_validation; /* what the CA met when it validated */
} problem_type_t;

#define SAME(type, msg)                                                        \
    {                                                                          \
        type, ACME_E_CA_PROBLEM_##msg, ACME_E_CA_PROBLEM_##msg                 \
    }
static const problem_type_t problem_types[] = {
    SAME("accountDoesNotExist", ACCOUNT),
    SAME("alreadyReplaced", REPLACED),
    SAME("alreadyRevoked", REVOKED),
    SAME("badCSR", CSR),
    SAME("badNonce", NONCE),
    SAME("badPublicKey", KEY),
    SAME("badRevocationReason", REASON),
    SAME("badSignatureAlgorithm", ALGORITHM),
    SAME("caa", CAA),
    SAME("conflict", CONFLICT),
    SAME("connection", CONNECTION),
    SAME("dns", DNS),
    SAME("externalAccountRequired", EAB),
    SAME("incorrectResponse", ANSWER),
    SAME("invalidContact", CONTACT),
    SAME("invalidProfile", PROFILE),
    SAME("malformed", MALFORMED),
    SAME("orderNotReady", NOT_READY),
    SAME("rateLimited", RATE),
    SAME("rejectedIdentifier", REJECTED),
    SAME("serverInternal", INTERNAL),
    SAME("tls", TLS),
    { "unauthorized", ACME_E_CA_PROBLEM_UNAUTHORIZED,
      ACME_E_CA_PROBLEM_ANSWER },
    SAME("unsupportedContact", CONTACT),
    SAME("unsupportedIdentifier", UNSUPPORTED),
    SAME("userActionRequired", ACTION),
};
#undef SAME
#define PROBLEM_TYPES (sizeof(problem_types) / sizeof(problem_types[0]))

const char *acme_problem_type(const json_t *problem, apr_pool_t *pool)
{
    const char *type = acme_json_string(problem, "type");

    if (!type || strncmp(type, URN, sizeof(URN) - 1)) {
        return "";
    }
    return acme_encode_printable(type + sizeof(URN) - 1, MAX_TYPE, pool);
}

static const problem_type_t *find_type(const char *type)
{
    apr_size_t i;

    for (i = 0; i < PROBLEM_TYPES; i++) {
        if (!strcmp(problem_types[i].type, type)) {
            return &problem_types[i];
        }
    }
    return NULL;
}

static const char *identifier_of(const json_t *problem, apr_pool_t *pool)
{
    const json_t *identifier = json_object_get(problem, "identifier");

    return acme_encode_printable(acme_json_string(identifier, "value"),
                                 MAX_NAME, pool);
}

static const char *detail_of(const json_t *problem, apr_pool_t *pool)
{
    return acme_encode_printable(acme_json_string(problem, "detail"),
                                 ACME_MAX_DETAIL, pool);
}

/* What subproblems (RFC 8555 section 6.7.1) add up to. */
typedef struct summary_t {
    const problem_type_t *worst; /* NULL: none of a known type */
    const char *identifier;      /* of the worst, or of the first */
    const char *text;            /* "a.example: words; b.example: words" */
} summary_t;

/* Each name that has something against it. */
static void add_blames(acme_err_t *err, const json_t *problem, int validation,
                       apr_pool_t *pool)
{
    const json_t *list = json_object_get(problem, "subproblems");
    apr_size_t i;

    for (i = 0; i < json_array_size(list) && i < MAX_SUBPROBLEMS; i++) {
        const json_t *entry = json_array_get(list, i);
        const problem_type_t *known = find_type(acme_problem_type(entry, pool));
        const char *name = identifier_of(entry, pool);
        acme_err_t *one;

        if (!name || !known) {
            continue;
        }
        one = acme_err_make(
            pool, validation ? known->in_validation : known->in_reply, NULL);
        one->detail = detail_of(entry, pool);
        if (acme_reaction(one->msg)->one_name) {
            acme_blame_add(err, name, one->msg, acme_err_line(one, pool), pool);
        }
    }
}

static void summarise(summary_t *summary, const json_t *problem,
                      apr_pool_t *pool)
{
    const json_t *list = json_object_get(problem, "subproblems");
    apr_array_header_t *parts = apr_array_make(pool, 4, sizeof(const char *));
    int worst = -1;
    apr_size_t i;

    memset(summary, 0, sizeof(*summary));
    for (i = 0; i < json_array_size(list) && i < MAX_SUBPROBLEMS; i++) {
        const json_t *entry = json_array_get(list, i);
        const char *type = acme_problem_type(entry, pool);
        const char *name = identifier_of(entry, pool);
        const char *detail = detail_of(entry, pool);
        const problem_type_t *known = find_type(type);
        int bad =
            known ? acme_blame_severity(acme_msg_entry(known->in_reply)->class)
                  : 0;

        if (bad > worst) {
            worst = bad;
            summary->worst = known;
            summary->identifier = name;
        }
        APR_ARRAY_PUSH(parts, const char *) =
            apr_pstrcat(pool, name ? name : "?", ": ", detail ? detail : type,
                        i + 1 < json_array_size(list) ? "; " : "", NULL);
    }
    if (parts->nelts) {
        summary->text = acme_encode_printable(
            apr_array_pstrcat(pool, parts, '\0'), MAX_SUMMARY, pool);
    }
}

/* What the CA takes instead, RFC 8555 section 6.2, and how it can be had. */
static void add_algorithms(acme_err_t *err, const json_t *problem,
                           apr_pool_t *pool)
{
    const json_t *list = json_object_get(problem, "algorithms");
    const char *text = "";
    apr_size_t i;

    for (i = 0; i < json_array_size(list) && i < MAX_ALGORITHMS; i++) {
        const char *alg = acme_encode_printable(
            json_string_value(json_array_get(list, i)), MAX_ALGORITHM, pool);
        const char *type = alg ? acme_jws_key_type(alg) : NULL;
        if (alg) {
            text = apr_pstrcat(pool, text, *text ? ", " : "; it accepts ", alg,
                               type ? " (AcmeAccountKey " : "",
                               type ? type : "", type ? ")" : "", NULL);
        }
    }
    err->text = apr_pstrcat(pool, err->text, text, NULL);
}

static acme_err_t *error_by_status(int status, const char *type,
                                   apr_pool_t *pool)
{
    int passes = status >= 500 || status == 408;
    const char *what = apr_itoa(pool, status);

    if (status == 429) {
        return acme_err_make(pool, ACME_E_CA_PROBLEM_RATE, NULL);
    }
    if (*type) {
        what = apr_pstrcat(pool, what, ", problem ", type, NULL);
    }
    return acme_err_make(pool, passes ? ACME_E_CA_BUSY : ACME_E_CA_REFUSED,
                         what, NULL);
}

static acme_err_t *make_error(const json_t *problem, int validation, int status,
                              apr_pool_t *pool)
{
    const char *type = acme_problem_type(problem, pool), *instance;
    const problem_type_t *known = find_type(type);
    summary_t summary;
    acme_err_t *err;

    summarise(&summary, problem, pool);
    if (!known) {
        known = summary.worst;
    }
    if (known) {
        err = acme_err_make(
            pool, validation ? known->in_validation : known->in_reply, NULL);
    }
    else {
        err = error_by_status(status, type, pool);
    }
    if (err->msg == ACME_E_CA_PROBLEM_ALGORITHM) {
        add_algorithms(err, problem, pool);
    }
    err->identifier = identifier_of(problem, pool);
    if (!err->identifier) {
        err->identifier = summary.identifier;
    }
    err->detail = detail_of(problem, pool);
    if (summary.text) {
        err->detail = err->detail ? apr_pstrcat(pool, err->detail, " [",
                                                summary.text, "]", NULL)
                                  : summary.text;
    }
    add_blames(err, problem, validation, pool);
    instance = acme_json_string(problem, "instance");
    err->instance = acme_encode_printable(instance, ACME_MAX_URL, pool);
    return err;
}

acme_err_t *acme_problem_of_reply(const json_t *problem, int status,
                                  apr_pool_t *pool)
{
    if (!problem) {
        return error_by_status(status, "", pool);
    }
    return make_error(problem, 0, status, pool);
}

acme_err_t *acme_problem_parse(const json_t *error, apr_pool_t *pool)
{
    json_t *status = json_object_get(error, "status");
    int code = 0;

    if (!json_is_object(error)) {
        return NULL;
    }
    if (json_is_integer(status) && json_integer_value(status) >= 100
        && json_integer_value(status) <= 599) {
        code = (int)json_integer_value(status);
    }
    /* Without either type or status: as if the CA had had trouble. */
    return make_error(error, 1, code ? code : 500, pool);
}
