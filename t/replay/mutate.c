#include "mutate.h"

#include <apr_strings.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define EVIL "https://evil.test"

/* What a mutation changes. */
enum {
    STATUS,
    STATUS_BARE, /* and there is no body, but a redirection to follow */
    FAILURE,
    LOCATION,
    NONCE,
    RETRY_AFTER,
    CONTENT_TYPE,
    LINK,
    LINKS, /* as many as are let in */
    BODY,  /* the whole */
    CUT,   /* it ends after so many hundredths */
    BEHIND,
    BEFORE,
    INSIDE,  /* in the middle */
    REPLACE, /* a value of the JSON */
    REMOVE,
    TWICE,  /* the same member again ... */
    TWICE_, /* ... with another value */
    RENAME, /* the member's name in capitals */
    WRAP,   /* the value in an array */
    MANY,   /* an array with the value so many times */
};

/* --- what is put in ----------------------------------------------------------- */

static const char *const statuses[] = {
    "100", "101", "200", "201", "202", "203", "204", "206", "299", "300",
    "301", "302", "303", "304", "307", "308", "400", "401", "403", "404",
    "405", "408", "409", "410", "412", "413", "418", "421", "425", "429",
    "451", "500", "501", "502", "503", "504", "511", "599",
};

static const char *const types[] = {
    "null",
    "true",
    "false",
    "0",
    "-1",
    "1e308",
    "1e999",
    "2147483648",
    "9223372036854775807",
    "99999999999999999999999",
    "3.141592653589793",
    "\"\"",
    "\"x\"",
    "[]",
    "{}",
    "[null]",
    "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]",
    "{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":[]}}}}}}}}",
    "NaN",
    "undefined",
    "'x'",
    "\"unfinished",
};

/* In place of a text, whatever it means: URLs, tokens, names, dates, statuses. */
static const char *const texts[] = {
    "http://ca.test/plain",
    "HTTP://ca.test/plain",
    "file:///etc/passwd",
    "ftp://ca.test/x",
    "gopher://ca.test:70/_x",
    "javascript:alert(1)",
    "data:text/plain,x",
    "https:ca.test/x",
    "https:/ca.test/x",
    "https://",
    "https:///x",
    "//evil.test/x",
    "/relative",
    "../../relative",
    "?",
    EVIL "/x",
    "https://ca.test@evil.test/x",
    "https://user:password@ca.test/x",
    "https://ca.test:0/x",
    "https://ca.test:22/x",
    "https://ca.test:99999/x",
    "https://ca.test:-1/x",
    "https://ca.test:443x/x",
    "https://127.0.0.1/x",
    "https://[::1]/x",
    "https://[::1%25lo]/x",
    "https://2130706433/x",
    "https://ca.test.evil.test/x",
    "https://ca.test/x#fragment",
    "https://ca.test/x y",
    "https://ca.test/x\\r\\nHost: evil.test",
    "https://ca.test/x\\u0000.evil.test",
    "https://ca.test\\\\@evil.test/x",
    "https://%65vil.test/x",
    "https://\\u00e9vil.test/x",
    "https://ca.test/directory",
    "https://ca.test/nonce",
    "https://ca.test/new-account",
    "https://ca.test/new-order",
    "https://ca.test/order",
    "https://ca.test/authz/0",
    "https://ca.test/authz/1",
    "https://ca.test/authz/-1",
    "https://ca.test/chall/1/http-01",
    "https://ca.test/finalize",
    "https://ca.test/cert",
    "pending",
    "ready",
    "processing",
    "valid",
    "invalid",
    "deactivated",
    "expired",
    "revoked",
    "dancing",
    "VALID",
    "valid\\u0000",
    "http-01",
    "tls-alpn-01",
    "dns-01",
    "dns",
    "ip",
    "a.example",
    "b.example",
    "*.a.example",
    "a.example.",
    "A.EXAMPLE",
    "a.example,b.example",
    "a.example\\u0000.b.example",
    "192.0.2.1",
    "../../../../etc/passwd",
    "..\\\\..\\\\boot.ini",
    "%2e%2e%2f%2e%2e%2fetc%2fpasswd",
    "$(reboot)",
    "`reboot`",
    "a;reboot",
    "<script>alert(1)</script>",
    "%s%s%s%n",
    "a\\r\\nSet-Cookie: x",
    "abc\\u0000def",
    "\\u001b[31mred",
    "\\u202egnp.exe",
    "\\ud83d\\ude00",
    "\\ud83d",
    "\xc0\xaf",
    "\xff\xfe",
    "-",
    " ",
    "AAAAAAAAAAAAAAAAAAAAAA==",
    "urn:ietf:params:acme:error:",
    "urn:ietf:params:acme:error:badNonce",
    "urn:ietf:params:acme:error:accountDoesNotExist",
    "urn:ietf:params:acme:error:userActionRequired",
    "urn:ietf:params:acme:error:rateLimited",
    "urn:ietf:params:acme:error:unauthorized",
    "urn:ietf:params:acme:error:orderNotReady",
    "urn:ietf:params:acme:error:badSignatureAlgorithm",
    "urn:ietf:params:acme:error:nothing",
    "1970-01-01T00:00:00Z",
    "9999-12-31T23:59:59Z",
    "2026-11-22T08:00:00.999999999999999999+23:59",
    "0000-00-00T00:00:00Z",
    "2027-02-30T00:00:00Z",
};

static const char *const nonces[] = {
    "", " ", "=", "a b", "a\r", "\xff", "\"},{\"a\"", "nonce-\x01",
};

static const char *const retry_afters[] = {
    "",
    "0",
    "-1",
    "-99999999999999999999",
    "1",
    "1.5",
    "1e30",
    "0x10",
    "86400",
    "86401",
    "2147483648",
    "9223372036854775807",
    "9223372036854775808",
    "99999999999999999999999999999999999999",
    "1, 2",
    "soon",
    "Fri, 31 Dec 9999 23:59:59 GMT",
    "Thu, 01 Jan 1970 00:00:00 GMT",
    "Sun, 22 Nov 2026 08:00:05 GMT",
    "Sun, 99 Nov 2026 99:99:99 GMT",
    "Sun Nov 22 08:00:05 2026",
    "Mon, 00 Jan 0000 00:00:00 GMT",
};

static const char *const content_types[] = {
    "",
    "text/html",
    "text/html; charset=utf-8",
    "application/problem+json",
    "application/json",
    "application/pem-certificate-chain",
    "application/octet-stream",
    "APPLICATION/JSON;CHARSET=\"",
    ";;;",
};

static const char *const links[] = {
    "",
    "<",
    "<>;rel=alternate",
    "<https://ca.test/cert/other",
    "<https://ca.test/cert/other>",
    "<https://ca.test/cert/other>;rel=\"alternate",
    "<http://ca.test/cert/other>;rel=\"alternate\"",
    "<file:///etc/passwd>;rel=\"alternate\"",
    "<https://u:p@ca.test/cert/other>;rel=\"alternate\"",
    "<" EVIL "/cert>;rel=\"alternate\"",
    "<https://ca.test/cert/none>;rel=\"alternate\"",
    "<https://ca.test/cert/junk>;rel=\"alternate\"",
    "<https://ca.test/cert>;rel=\"alternate\"",
    "<https://ca.test/directory>;rel=\"alternate\"",
    "<cert/other>;rel=\"alternate\"",
    "</../../cert/other>;rel=\"alternate\",<x>;rel=alternate,<y>;rel=alternate",
    "<https://ca.test/cert/other>;rel=\"alternate\";rel=\"up\"",
    "<" EVIL "/terms>;rel=\"terms-of-service\"",
    "<javascript:x>;rel=\"terms-of-service\"",
    ",,,,,,,;;;;\"\"\"\"<<<<>>>>",
};

static const char *const bodies[] = {
    "",
    "null",
    "true",
    "0",
    "\"text\"",
    "[]",
    "{}",
    "{\"status\":\"valid\"}",
    "{\"type\":\"urn:ietf:params:acme:error:serverInternal\"}",
    "{\"type\":\"urn:ietf:params:acme:error:badNonce\"}",
    "<!DOCTYPE html><html><body><h1>502 Bad Gateway</h1></body></html>",
    "{\"a\":1,\"a\":2}",
    "\xef\xbb\xbf{}",
    "\xff\xfe{\0}\0",
    "\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xab\xae\x05\x00\x43\xbf\xa6\xa3",
    "-----BEGIN CERTIFICATE-----",
    "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n",
    "-----BEGIN PRIVATE KEY-----\nMAAA\n-----END PRIVATE KEY-----\n",
};

static const char *const pieces[] = {
    " ",
    "x",
    "{}",
    "\"",
    ",",
    "\x01",
    "\xff",
    "\r\n",
    "---",
    "-",
    "-----B",
    "-----BEGIN",
    "-----BEGIN CERTIFICATE-----\n",
    "-----END CERTIFICATE-----\n",
    "-----BEGIN PRIVATE KEY-----\nMAAA\n-----END PRIVATE KEY-----\n",
    "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n"
    "-----END EC PARAMETERS-----\n",
};

static const char *const cuts[] = { "1", "25", "50", "75", "98" };
static const char *const counts[] = { "2", "33", "101", "1000", "30000" };
static const char *const lengths[] = { "129", "300", "2100", "9000", "70000" };

/* --- the list ----------------------------------------------------------------- */

static void add(apr_array_header_t *list, int kind, const char *path,
                const char *value, const char *what)
{
    mutation_t *mutation = apr_array_push(list);

    mutation->kind = kind;
    mutation->path = path;
    mutation->value = value;
    mutation->what =
        apr_pstrcat(list->pool, path ? path : "", " ", what, " ",
                    value && strlen(value) < 100 ? value : "(long)", NULL);
}

#define ADD_EACH(list, kind, path, values, what)                               \
    for (size_t each_ = 0; each_ < sizeof(values) / sizeof((values)[0]);       \
         each_++) {                                                            \
        add(list, kind, path, (values)[each_], what);                          \
    }

static const char *repeat(const char *unit, int count, apr_pool_t *pool)
{
    size_t len = strlen(unit);
    char *text = apr_palloc(pool, len * (size_t)count + 1);

    for (int i = 0; i < count; i++) {
        memcpy(text + (size_t)i * len, unit, len);
    }
    text[len * (size_t)count] = '\0';
    return text;
}

static const char *quoted(const char *text, apr_pool_t *pool)
{
    return apr_pstrcat(pool, "\"", text, "\"", NULL);
}

static void add_long_texts(apr_array_header_t *list, const char *path)
{
    apr_pool_t *pool = list->pool;

    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        int len = atoi(lengths[i]);
        add(list, REPLACE, path, quoted(repeat("A", len, pool), pool), "=");
        add(list, REPLACE, path,
            quoted(apr_pstrcat(pool, "https://ca.test/", repeat("a", len, pool),
                               NULL),
                   pool),
            "=");
    }
}

static void add_value(apr_array_header_t *list, const json_t *value,
                      const char *path, int is_member)
{
    ADD_EACH(list, REPLACE, path, types, "=");
    ADD_EACH(list, MANY, path, counts, "many times");
    add(list, WRAP, path, "", "in an array");
    if (*path) {
        add(list, REMOVE, path, "", "removed");
    }
    if (is_member) {
        add(list, TWICE, path, "", "twice");
        add(list, TWICE_, path, "", "twice, once false");
        add(list, RENAME, path, "", "in capitals");
    }
    if (json_is_string(value)) {
        for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
            add(list, REPLACE, path, quoted(texts[i], list->pool), "=");
        }
        add_long_texts(list, path);
    }
}

/* value and what is below it. */
static void add_values(apr_array_header_t *list, const json_t *value,
                       const char *path, int is_member)
{
    const char *name;
    json_t *child;
    size_t i;

    add_value(list, value, path, is_member);
    json_object_foreach((json_t *)(intptr_t)value, name, child)
    {
        add_values(list, child, apr_pstrcat(list->pool, path, "/", name, NULL),
                   1);
    }
    json_array_foreach(value, i, child)
    {
        add_values(list, child, apr_psprintf(list->pool, "%s/%d", path, (int)i),
                   0);
    }
}

static void add_headers(apr_array_header_t *list, const acme_reply_t *reply)
{
    apr_pool_t *pool = list->pool;

    ADD_EACH(list, STATUS, NULL, statuses, "status");
    ADD_EACH(list, STATUS_BARE, NULL, statuses, "bare status");
    add(list, FAILURE, NULL, "", "connection reset");
    ADD_EACH(list, RETRY_AFTER, NULL, retry_afters, "Retry-After");
    add(list, RETRY_AFTER, NULL, NULL, "Retry-After");
    ADD_EACH(list, CONTENT_TYPE, NULL, content_types, "Content-Type");
    add(list, CONTENT_TYPE, NULL, NULL, "Content-Type");
    ADD_EACH(list, NONCE, NULL, nonces, "Replay-Nonce");
    add(list, NONCE, NULL, repeat("n", 8192, pool), "Replay-Nonce");
    add(list, NONCE, NULL, NULL, "Replay-Nonce");
    ADD_EACH(list, LINK, NULL, links, "Link");
    add(list, LINK, NULL,
        repeat("<https://ca.test/cert/none>;rel=alternate,", 190, pool),
        "Link");
    add(list, LINKS, NULL, links[9], "32 times Link");
    add(list, LOCATION, NULL, NULL, "Location");
    for (size_t i = 0; reply->location && i < sizeof(texts) / sizeof(texts[0]);
         i++) {
        add(list, LOCATION, NULL, texts[i], "Location");
    }
    add(list, LOCATION, NULL, repeat("https://ca.test/", 512, pool),
        "Location");
}

apr_array_header_t *mutations_of(const acme_reply_t *reply, apr_pool_t *pool)
{
    apr_array_header_t *list = apr_array_make(pool, 1000, sizeof(mutation_t));
    json_t *json = json_loadb(reply->body, reply->len, 0, NULL);

    add_headers(list, reply);
    ADD_EACH(list, BODY, NULL, bodies, "body");
    add(list, BODY, NULL, repeat("[", 60000, pool), "body");
    add(list, BODY, NULL, repeat("{\"a\":", 12000, pool), "body");
    add(list, BODY, NULL, repeat(" ", 60000, pool), "body");
    add(list, BODY, NULL, repeat("0", 300000, pool), "body");
    ADD_EACH(list, CUT, NULL, cuts, "cut at %");
    ADD_EACH(list, BEHIND, NULL, pieces, "behind the body");
    ADD_EACH(list, BEFORE, NULL, pieces, "before the body");
    ADD_EACH(list, INSIDE, NULL, pieces, "inside the body");
    add(list, INSIDE, NULL, "", "NUL inside the body");
    if (json) {
        add_values(list, json, "", 0);
    }
    json_decref(json);
    return list;
}

/* --- doing it ----------------------------------------------------------------- */

static const char *dump(const json_t *value, const char *path,
                        const mutation_t *mutation, apr_pool_t *pool);

static const char *capitals(const char *name, apr_pool_t *pool)
{
    char *copy = apr_pstrdup(pool, name);

    for (char *at = copy; *at; at++) {
        *at = (char)(*at >= 'a' && *at <= 'z' ? *at - 'a' + 'A' : *at);
    }
    return copy;
}

/* "name":value, once or twice or not at all */
static const char *dump_member(const char *name, const json_t *value,
                               const char *path, const mutation_t *mutation,
                               apr_pool_t *pool)
{
    int here = !strcmp(path, mutation->path);
    const char *text = dump(value, path, mutation, pool), *shown = name;

    if (here && mutation->kind == REMOVE) {
        return NULL;
    }
    if (here && mutation->kind == RENAME) {
        shown = capitals(name, pool);
    }
    text = apr_pstrcat(pool, "\"", shown, "\":", text, NULL);
    if (here && (mutation->kind == TWICE || mutation->kind == TWICE_)) {
        text = apr_pstrcat(pool, "\"", name, "\":",
                           mutation->kind == TWICE
                               ? dump(value, path, mutation, pool)
                               : "false",
                           ",", text, NULL);
    }
    return text;
}

static const char *dump_object(const json_t *object, const char *path,
                               const mutation_t *mutation, apr_pool_t *pool)
{
    const char *text = "", *name;
    json_t *child;

    json_object_foreach((json_t *)(intptr_t)object, name, child)
    {
        const char *member =
            dump_member(name, child, apr_pstrcat(pool, path, "/", name, NULL),
                        mutation, pool);

        if (member) {
            text = apr_pstrcat(pool, text, *text ? "," : "", member, NULL);
        }
    }
    return apr_pstrcat(pool, "{", text, "}", NULL);
}

static const char *dump_array(const json_t *array, const char *path,
                              const mutation_t *mutation, apr_pool_t *pool)
{
    const char *text = "";
    json_t *child;
    size_t i;

    json_array_foreach(array, i, child)
    {
        const char *below = apr_psprintf(pool, "%s/%d", path, (int)i);

        if (strcmp(below, mutation->path) || mutation->kind != REMOVE) {
            text = apr_pstrcat(pool, text, *text ? "," : "",
                               dump(child, below, mutation, pool), NULL);
        }
    }
    return apr_pstrcat(pool, "[", text, "]", NULL);
}

static const char *dump(const json_t *value, const char *path,
                        const mutation_t *mutation, apr_pool_t *pool)
{
    int here = !strcmp(path, mutation->path);
    const char *text;

    if (here && mutation->kind == REPLACE) {
        return mutation->value;
    }
    if (json_is_object(value)) {
        text = dump_object(value, path, mutation, pool);
    }
    else if (json_is_array(value)) {
        text = dump_array(value, path, mutation, pool);
    }
    else {
        char *made = json_dumps(value, JSON_ENCODE_ANY);
        text = apr_pstrdup(pool, made);
        free(made);
    }
    if (here && mutation->kind == WRAP) {
        text = apr_pstrcat(pool, "[", text, "]", NULL);
    }
    if (here && mutation->kind == MANY) {
        const char *more = apr_pstrcat(pool, ",", text, NULL);
        text = apr_pstrcat(pool, "[", text,
                           repeat(more, atoi(mutation->value) - 1, pool), "]",
                           NULL);
    }
    return text;
}

static void set_body(acme_reply_t *reply, const char *body)
{
    reply->body = body;
    reply->len = strlen(body);
}

static void put_inside(acme_reply_t *reply, const char *piece, apr_size_t at,
                       apr_pool_t *pool)
{
    apr_size_t len = strlen(piece);
    apr_size_t room = len ? len : 1; /* "" stands for a NUL */
    char *body = apr_pcalloc(pool, reply->len + room + 1);

    memcpy(body, reply->body, at);
    memcpy(body + at, piece, len);
    memcpy(body + at + room, reply->body + at, reply->len - at);
    reply->body = body;
    reply->len += room;
}

static void set_links(acme_reply_t *reply, const char *value, int count,
                      apr_pool_t *pool)
{
    reply->links = apr_array_make(pool, count, sizeof(const char *));
    for (int i = 0; i < count; i++) {
        APR_ARRAY_PUSH(reply->links, const char *) = value;
    }
}

static void mutate_header(acme_reply_t *reply, const mutation_t *mutation,
                          apr_pool_t *pool)
{
    const char *value = mutation->value;

    switch (mutation->kind) {
    case STATUS_BARE:
        set_body(reply, "");
        if (*value == '3') {
            reply->location = EVIL "/redirected";
        }
        /* fall through */
    case STATUS:
        reply->status = atoi(value);
        break;
    case LOCATION:
        reply->location = value;
        break;
    case NONCE:
        reply->nonce = value;
        break;
    case RETRY_AFTER:
        reply->retry_after = value;
        break;
    case CONTENT_TYPE:
        reply->content_type = value;
        break;
    case LINK:
        set_links(reply, value, 1, pool);
        break;
    case LINKS:
        set_links(reply, value, 32, pool);
        break;
    case FAILURE:
    default:
        memset(reply, 0, sizeof(*reply));
        reply->body = "";
        reply->failure = acme_err_make(pool, ACME_E_CA_UNREACHABLE, EVIL,
                                       "connection reset", NULL);
        break;
    }
}

static void mutate_body(acme_reply_t *reply, const mutation_t *mutation,
                        apr_pool_t *pool)
{
    switch (mutation->kind) {
    case BODY:
        set_body(reply, mutation->value);
        break;
    case CUT:
        reply->len = reply->len * (apr_size_t)atoi(mutation->value) / 100;
        reply->body = apr_pstrmemdup(pool, reply->body, reply->len);
        break;
    case BEHIND:
        put_inside(reply, mutation->value, reply->len, pool);
        break;
    case BEFORE:
        put_inside(reply, mutation->value, 0, pool);
        break;
    case INSIDE:
    default:
        put_inside(reply, mutation->value, reply->len / 2, pool);
        break;
    }
}

void mutate(acme_reply_t *reply, const mutation_t *mutation, apr_pool_t *pool)
{
    json_t *json;

    if (mutation->kind < BODY) {
        mutate_header(reply, mutation, pool);
    }
    else if (mutation->kind < REPLACE) {
        mutate_body(reply, mutation, pool);
    }
    else {
        json = json_loadb(reply->body, reply->len, 0, NULL);
        if (json) {
            set_body(reply, dump(json, "", mutation, pool));
        }
        json_decref(json);
    }
}
