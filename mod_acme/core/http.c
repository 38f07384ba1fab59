#include "core/http.h"

#include <apr_date.h>
#include <apr_lib.h>
#include <apr_strings.h>
#include <string.h>

#include "core/encode.h"
#include "core/problem.h"

#define MAX_LINKS  16
#define MAX_DIGITS 9 /* of delta-seconds: more is more than a day anyhow */

int acme_reply_is_success(const acme_reply_t *reply)
{
    return !reply->failure && reply->status >= 200 && reply->status <= 299;
}

/* --- Retry-After ---------------------------------------------------------- */

/* delta-seconds = 1*DIGIT; -1 for anything else. */
static apr_interval_time_t parse_delta_seconds(const char *text)
{
    apr_size_t digits = strspn(text, "0123456789");
    const char *rest = text + digits;

    if (!digits || rest[strspn(rest, " \t")]) {
        return -1;
    }
    if (digits > MAX_DIGITS) {
        return ACME_MAX_RETRY_AFTER;
    }
    return apr_time_from_sec(apr_atoi64(text));
}

apr_time_t acme_reply_retry_after(const acme_reply_t *reply, apr_time_t now)
{
    const char *text = reply->retry_after;
    apr_interval_time_t delay;

    if (!text) {
        return 0;
    }
    text += strspn(text, " \t");
    delay = parse_delta_seconds(text);
    if (delay < 0) {
        apr_time_t date = apr_date_parse_http(text);
        if (date == APR_DATE_BAD) {
            return 0;
        }
        delay = date > now ? date - now : 0;
    }
    return now + (delay < ACME_MAX_RETRY_AFTER ? delay : ACME_MAX_RETRY_AFTER);
}

/* --- references ------------------------------------------------------------ */

/* RFC 3986 section 5.2.4, on the path of a reference, in place. */
static void remove_dot_segments(char *path)
{
    char *out = path, *in = path;

    while (*in) {
        apr_size_t len = 1 + strcspn(in + 1, "/");
        int last = in[len] == '\0';

        if (len == 3 && !strncmp(in, "/..", 3)) {
            while (out > path && *--out != '/') {
            }
        }
        else if (len != 2 || strncmp(in, "/.", 2)) {
            memmove(out, in, len);
            out += len;
            last = 0;
        }
        if (last) {
            *out++ = '/'; /* "/a/.." is the directory "/" */
        }
        in += len;
    }
    *out = '\0';
}

/* A path with or without a query; authority is "https://host". */
static const char *join(const char *authority, const char *directory,
                        const char *rest, apr_pool_t *pool)
{
    apr_size_t len = strcspn(rest, "?#");
    char *path =
        apr_pstrcat(pool, directory, apr_pstrmemdup(pool, rest, len), NULL);

    remove_dot_segments(path);
    return apr_pstrcat(pool, authority, path, rest + len, NULL);
}

const char *acme_url_resolve(const char *base, const char *reference,
                             apr_pool_t *pool)
{
    apr_size_t host = 8 + strcspn(base + 8, "/?#");
    apr_size_t path = host + strcspn(base + host, "?#"), directory = path;
    const char *authority = apr_pstrmemdup(pool, base, host), *url;

    while (directory > host && base[directory - 1] != '/') {
        directory--;
    }
    if (reference[strcspn(reference, ":/?#")] == ':') {
        url = reference; /* it has a scheme */
    }
    else if (!strncmp(reference, "//", 2)) {
        url = apr_pstrcat(pool, "https:", reference, NULL);
    }
    else if (*reference == '/') {
        url = join(authority, "", reference, pool);
    }
    else if (*reference == '?' || !*reference) {
        url = apr_pstrcat(pool, apr_pstrmemdup(pool, base, path), reference,
                          NULL);
    }
    else {
        url = join(authority,
                   directory > host
                       ? apr_pstrmemdup(pool, base + host, directory - host)
                       : "/",
                   reference, pool);
    }
    return acme_url_valid(url) ? apr_pstrdup(pool, url) : NULL;
}

/* --- Link ----------------------------------------------------------------- */

/* A scanner over one Link header, RFC 8288 section 3:
 *   Link       = #link-value
 *   link-value = "<" URI-Reference ">" *( OWS ";" OWS [ link-param ] )
 *   link-param = token BWS [ "=" BWS ( token / quoted-string ) ]  */

static void skip_space(const char **at)
{
    *at += strspn(*at, " \t");
}

/* A token or a quoted string, unquoted; from pool. */
static const char *scan_value(const char **at, apr_pool_t *pool)
{
    char *value, *out;

    if (**at != '"') {
        apr_size_t len = strcspn(*at, " \t;,");
        value = apr_pstrmemdup(pool, *at, len);
        *at += len;
        return value;
    }
    out = value = apr_palloc(pool, strlen(*at) + 1);
    for (++*at; **at && **at != '"'; ++*at) {
        if (**at == '\\' && (*at)[1]) {
            ++*at;
        }
        *out++ = **at;
    }
    *out = '\0';
    if (**at) {
        ++*at;
    }
    return value;
}

/* The parameters after a target. @return the first rel's value, or NULL:
 * RFC 8288 section 3.3 has later ones ignored. */
static const char *scan_params(const char **at, apr_pool_t *pool)
{
    const char *rel = NULL;

    for (skip_space(at); **at == ';'; skip_space(at)) {
        const char *name, *value = "";
        apr_size_t len;

        ++*at;
        skip_space(at);
        name = *at;
        len = strcspn(name, " \t=;,");
        *at += len;
        skip_space(at);
        if (**at == '=') {
            ++*at;
            skip_space(at);
            value = scan_value(at, pool);
        }
        if (!rel && len == 3 && !strncasecmp(name, "rel", 3)) {
            rel = value;
        }
    }
    return rel;
}

/* Whether rel, a list of relation types separated by spaces, holds type. */
static int has_relation(const char *rel, const char *type)
{
    apr_size_t len = strlen(type);

    while (*rel) {
        apr_size_t word;

        rel += strspn(rel, " \t");
        word = strcspn(rel, " \t");
        if (word == len && !strncasecmp(rel, type, len)) {
            return 1;
        }
        rel += word;
    }
    return 0;
}

static void scan_link(apr_array_header_t *urls, const char *header,
                      const char *type, const char *base, apr_pool_t *pool)
{
    const char *at = header;

    while (urls->nelts < MAX_LINKS && (at = strchr(at, '<'))) {
        const char *end = strchr(++at, '>'), *target, *rel;

        if (!end) {
            return;
        }
        target = apr_pstrmemdup(pool, at, (apr_size_t)(end - at));
        at = end + 1;
        rel = scan_params(&at, pool);
        if (rel && has_relation(rel, type)) {
            if (base) {
                target = acme_url_resolve(base, target, pool);
            }
            if (acme_url_valid(target)) {
                APR_ARRAY_PUSH(urls, const char *) = target;
            }
        }
        at += strspn(at, " \t");
        if (*at != ',') {
            return; /* what follows is no list element: nothing to trust */
        }
    }
}

apr_array_header_t *acme_reply_links(const acme_reply_t *reply, const char *rel,
                                     const char *base, apr_pool_t *pool)
{
    apr_array_header_t *urls = apr_array_make(pool, 2, sizeof(const char *));
    int i;

    for (i = 0; reply->links && i < reply->links->nelts; i++) {
        scan_link(urls, APR_ARRAY_IDX(reply->links, i, const char *), rel, base,
                  pool);
    }
    return urls;
}

/* --- errors --------------------------------------------------------------- */

/* The problem document of a reply, or NULL. Its content type is not looked at:
 * some CAs send application/json.
 * @return E_MEMORY: the CA may have said more than its status */
static acme_err_t *get_problem(json_t **problem, const acme_reply_t *reply,
                               apr_pool_t *pool)
{
    acme_err_t *err;

    *problem = NULL;
    if (reply->failure || reply->status < 400 || !reply->len) {
        return NULL;
    }
    err = acme_json_parse(problem, reply->body, reply->len, ACME_MAX_JSON,
                          "problem document", pool);
    return err && err->msg == ACME_E_MEMORY ? err : NULL;
}

/* Some CAs send a bare JSON string in place of a problem document. */
static const char *bare_string(const acme_reply_t *reply, apr_pool_t *pool)
{
    const char *text = NULL;
    json_t *value;

    if (reply->len > ACME_MAX_JSON || reply->body[0] != '"') {
        return NULL;
    }
    value = json_loadb(reply->body, reply->len, JSON_DECODE_ANY, NULL);
    if (json_is_string(value)) {
        text = acme_encode_printable(json_string_value(value), ACME_MAX_DETAIL,
                                     pool);
    }
    json_decref(value);
    return text;
}

static const char *terms_link(const acme_reply_t *reply, apr_pool_t *pool)
{
    apr_array_header_t *urls =
        acme_reply_links(reply, "terms-of-service", NULL, pool);
    return urls->nelts ? APR_ARRAY_IDX(urls, 0, const char *) : NULL;
}

/* RFC 8555 section 7.3.3: where to agree, and the terms to be agreed to. */
static void show_terms(acme_err_t *err, const char *terms, apr_pool_t *pool)
{
    if (terms && err->instance) {
        err->detail = apr_pstrcat(pool, err->detail ? err->detail : "",
                                  err->detail ? "; " : "",
                                  "the terms of service: ", terms, NULL);
    }
    else if (terms) {
        err->instance = terms;
    }
}

/* The address in a sentence; NULL if none can be used. From the CA's own words,
 * since it may be longer than what is kept of them. */
static const char *address_in(const char *text, apr_pool_t *pool)
{
    const char *start = text ? strstr(text, "https://") : NULL;
    apr_size_t len = start ? strcspn(start, " \t\r\n\"<>") : 0;
    const char *url;

    while (len && strchr(".,;:)", start[len - 1])) {
        len--;
    }
    if (!len || len > ACME_MAX_URL) {
        return NULL;
    }
    url = apr_pstrmemdup(pool, start, len);
    return acme_url_valid(url) ? url : NULL;
}

acme_err_t *acme_reply_error(const acme_reply_t *reply, apr_time_t now,
                             apr_pool_t *pool)
{
    json_t *problem;
    acme_err_t *err;

    if (reply->failure) {
        return acme_err_dup(reply->failure, pool);
    }
    ACME_TRY(get_problem(&problem, reply, pool));
    err = acme_problem_of_reply(problem, reply->status, pool);
    if (!problem) {
        err->detail = bare_string(reply, pool);
    }
    err->retry_at = acme_reply_retry_after(reply, now);
    if (err->msg == ACME_E_CA_PROBLEM_ACTION) {
        show_terms(err, terms_link(reply, pool), pool);
    }
    if (err->msg == ACME_E_CA_PROBLEM_RATE && !err->retry_at && err->detail
        && strstr(err->detail, "https://")) {
        /* No time given but a page to visit: Let's Encrypt has paused it. */
        acme_err_t *paused =
            acme_err_make(pool, ACME_E_CA_PROBLEM_PAUSED, NULL);
        paused->detail = err->detail;
        paused->identifier = err->identifier;
        paused->instance = err->instance;
        if (!paused->instance) {
            paused->instance =
                address_in(acme_json_string(problem, "detail"), pool);
        }
        return paused;
    }
    return err;
}

const char *acme_reply_problem_type(const acme_reply_t *reply, apr_pool_t *pool)
{
    json_t *problem;
    acme_err_t *err = get_problem(&problem, reply, pool);

    return !err && problem ? acme_problem_type(problem, pool) : "";
}
