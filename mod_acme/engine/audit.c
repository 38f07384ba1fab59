#include "engine/audit.h"

#include <apr_strings.h>
#include <jansson.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/encode.h"

#define MAX_TEXT 1024
#define MAX_LINE 8192
/* What comes before the first line. */
#define GENESIS                                                                \
    "0000000000000000000000000000000000000000000000000000000000000000"

const char *acme_audit_event(acme_msg_t msg)
{
    static const struct {
        acme_msg_t msg;
        const char *event;
    } EVENTS[] = {
        { ACME_I_ISSUED, "issued" },
        { ACME_I_ACCOUNT, "account" },
        { ACME_I_REQUESTED, "requested" },
        { ACME_I_CONTACTS, "contacts" },
        { ACME_I_TERMS_AGREED, "terms" },
        { ACME_I_CONTACTS_SET, "contacts" },
        { ACME_I_ROLLED_OVER, "rollover" },
        { ACME_I_DEACTIVATED, "deactivated" },
        { ACME_I_IMPORTED, "imported" },
        { ACME_I_ACCOUNT_ASIDE, "account-aside" },
        { ACME_I_REVOKED, "revoked" },
        { ACME_E_OCSP_REVOKED, "revoked" },
        { ACME_I_ACTIVATED, "activated" },
        { ACME_I_WAITS, "waits" },
        { ACME_I_RELOADED, "activated" },
        { ACME_E_SELF_TEST, "refused" },
        { ACME_E_NOT_SERVED, "withdrawn" },
    };

    for (size_t i = 0; i < sizeof(EVENTS) / sizeof(EVENTS[0]); i++) {
        if (EVENTS[i].msg == msg) {
            return EVENTS[i].event;
        }
    }
    return NULL;
}

static void digest(char *hash, const char *line, apr_size_t len)
{
    unsigned char raw[SHA256_DIGEST_LENGTH];

    SHA256((const unsigned char *)line, len, raw);
    for (int i = 0; i < SHA256_DIGEST_LENGTH; i++) {
        snprintf(hash + 2 * i, 3, "%02x", raw[i]);
    }
}

/* --- lines ------------------------------------------------------------------------- */

/* What a line says of its place; NULL members: it is none of ours. */
typedef struct place_t {
    apr_int64_t seq;
    const char *prev;
    int after_torn;
} place_t;

static void parse(place_t *place, const char *line, apr_size_t len,
                  apr_pool_t *pool)
{
    json_t *doc;
    acme_err_t *err =
        len <= MAX_LINE
            ? acme_json_parse(&doc, line, len, MAX_LINE, "audit trail", pool)
            : NULL;

    memset(place, 0, sizeof(*place));
    if (len > MAX_LINE || err || !json_is_object(doc)) {
        return;
    }
    place->seq = json_integer_value(json_object_get(doc, "seq"));
    place->prev = acme_json_string(doc, "prev");
    place->after_torn = json_is_true(json_object_get(doc, "after_torn"));
    if (place->seq <= 0 || !place->prev) {
        place->seq = 0;
        place->prev = NULL;
    }
}

/* Every octet up to the next line feed, or to the end.
 * @return 0: there is no more */
static int next_line(const char **line, apr_size_t *len, const char **at,
                     const char *end)
{
    const char *stop;

    if (*at >= end) {
        return 0;
    }
    stop = memchr(*at, '\n', (size_t)(end - *at));
    *line = *at;
    *len = (apr_size_t)((stop ? stop : end) - *at);
    *at = stop ? stop + 1 : end;
    return 1;
}

/* --- writing ----------------------------------------------------------------------- */

static void take_line(acme_audit_t *audit, const char *line, apr_size_t len,
                      apr_pool_t *pool)
{
    place_t place;

    parse(&place, line, len, pool);
    digest(audit->hash, line, len);
    audit->torn = !place.prev;
    if (place.prev) {
        audit->seq = place.seq;
    }
}

/* Where another process has left it. */
static acme_err_t *find_end(acme_audit_t *audit, acme_store_t *store,
                            apr_pool_t *pool)
{
    apr_array_header_t *names;

    memset(audit, 0, sizeof(*audit));
    memcpy(audit->hash, GENESIS, sizeof(audit->hash));
    ACME_TRY(acme_store_list_audit(&names, store, pool));
    /* The newest may have nothing but half a line: its number is before it. */
    for (int i = names->nelts > 1 ? names->nelts - 2 : 0; i < names->nelts;
         i++) {
        const char *text, *line, *at;
        apr_size_t len;
        ACME_TRY(acme_store_get_audit(
            &text, &len, store, APR_ARRAY_IDX(names, i, const char *), pool));
        const char *end = text ? text + len : NULL;
        for (at = text; text && next_line(&line, &len, &at, end);) {
            take_line(audit, line, len, pool);
        }
        audit->open_end = text && end > text && end[-1] != '\n';
    }
    audit->known = 1;
    return NULL;
}

/* "[shop.example/ecdsa order=done]" */
static void add_subject(json_t *doc, const char *prefix, apr_pool_t *pool)
{
    const char *begin = *prefix == '[' ? prefix + 1 : prefix;
    const char *name = apr_pstrmemdup(pool, begin, strcspn(begin, " ]"));

    if (*name) {
        json_object_set_new(
            doc, "subject",
            json_string(acme_encode_printable(name, 300, pool)));
    }
}

static const char *make_line(const acme_audit_t *audit, acme_msg_t msg,
                             const char *prefix, const char *text,
                             apr_time_t now, apr_pool_t *pool)
{
    json_t *doc = json_pack(
        "{s:I, s:s, s:s, s:s}", "seq", (json_int_t)audit->seq + 1, "time",
        acme_time_format(now, pool), "event", acme_audit_event(msg), "code",
        apr_psprintf(pool, "ACME%04d", (int)msg));
    char *json;

    if (!doc) {
        return NULL;
    }
    add_subject(doc, prefix, pool);
    json_object_set_new(
        doc, "text", json_string(acme_encode_printable(text, MAX_TEXT, pool)));
    if (audit->torn) {
        json_object_set_new(doc, "after_torn", json_true());
    }
    json_object_set_new(doc, "prev", json_string(audit->hash));
    json = json_dumps(doc, JSON_COMPACT | JSON_ENSURE_ASCII);
    json_decref(doc);
    const char *line = json ? apr_pstrdup(pool, json) : NULL;
    free(json);
    return line;
}

acme_err_t *acme_audit_add(acme_audit_t *audit, acme_store_t *store,
                           acme_msg_t msg, const char *prefix, const char *text,
                           apr_time_t now, apr_pool_t *scratch)
{
    apr_pool_t *pool;

    apr_pool_create(&pool, scratch);
    acme_err_t *err = audit->known ? NULL : find_end(audit, store, pool);
    const char *line =
        err ? NULL : make_line(audit, msg, prefix, text, now, pool);
    if (!err && !line) {
        err = acme_err_make(pool, ACME_E_MEMORY, "the audit trail", NULL);
    }
    if (!err) {
        err = acme_store_append_audit(store, line, audit->open_end, pool);
        audit->known = !err; /* what a failure has left there is looked at */
    }
    if (!err) {
        take_line(audit, line, strlen(line), pool);
        audit->open_end = 0;
    }
    err = err ? acme_err_dup(err, scratch) : NULL;
    apr_pool_destroy(pool);
    return err;
}

/* --- reading ------------------------------------------------------------------------- */

typedef struct check_t {
    acme_audit_report_t *report;
    char before[ACME_AUDIT_HASH]; /* of the line before */
    int torn;                     /* that one is not whole */
    int any;                      /* there was one */
    apr_int64_t anchor;           /* seq; 0: there is none */
    const char *anchor_hash;
    const char *fault; /* the first that was found, in words; or NULL */
    apr_pool_t *pool, *scratch;
} check_t;

static void find_fault(check_t *check, const char *words, apr_int64_t seq)
{
    if (!check->fault) {
        check->fault =
            apr_psprintf(check->pool, "%s %" APR_INT64_T_FMT, words, seq);
    }
}

static void check_place(check_t *check, const place_t *place, const char *hash)
{
    acme_audit_report_t *report = check->report;

    if (check->torn != place->after_torn) {
        find_fault(check, "a line was damaged before entry", place->seq);
    }
    if (check->any && strcmp(place->prev, check->before)) {
        find_fault(check, "what stands before it was changed: entry",
                   place->seq);
    }
    if (report->last && place->seq != report->last + 1) {
        find_fault(check, "entries are missing before entry", place->seq);
    }
    /* the first of all, unless the oldest files have gone by age */
    if (!check->any && place->seq == 1 && strcmp(place->prev, GENESIS)) {
        find_fault(check, "the beginning was changed: entry", place->seq);
    }
    if (place->seq == check->anchor && strcmp(hash, check->anchor_hash)) {
        find_fault(check,
                   "all is written anew since it was last verified: entry",
                   place->seq);
    }
    report->first = report->first ? report->first : place->seq;
    report->last = place->seq;
    memcpy(report->hash, hash, ACME_AUDIT_HASH);
}

static void check_line(check_t *check, const char *line, apr_size_t len,
                       acme_audit_line_fn_t *tell, void *baton)
{
    char hash[ACME_AUDIT_HASH];
    place_t place;

    apr_pool_clear(check->scratch);
    parse(&place, line, len, check->scratch);
    digest(hash, line, len);
    if (place.prev) {
        check_place(check, &place, hash);
        if (tell) {
            tell(baton, apr_pstrmemdup(check->scratch, line, len));
        }
    }
    else if (check->torn) { /* a writer ends one such line, and says so */
        find_fault(check, "two lines were damaged after entry",
                   check->report->last);
    }
    else {
        check->report->torn++;
    }
    check->torn = !place.prev;
    check->any = 1;
    memcpy(check->before, hash, sizeof(hash));
}

static acme_err_t *read_anchor(check_t *check, acme_store_t *store)
{
    const char *json = NULL;
    apr_size_t len;
    json_t *doc;

    ACME_TRY(acme_store_get_anchor(&json, &len, store, check->pool));
    if (json) {
        ACME_TRY(
            acme_json_parse(&doc, json, len, MAX_LINE, "anchor", check->pool));
        check->anchor = json_integer_value(json_object_get(doc, "seq"));
        check->anchor_hash = acme_json_string(doc, "hash");
        check->anchor = check->anchor_hash ? check->anchor : 0;
    }
    return NULL;
}

acme_err_t *acme_audit_read(acme_audit_report_t *report, acme_store_t *store,
                            acme_audit_line_fn_t *tell, void *baton,
                            apr_pool_t *pool)
{
    check_t check = { .report = report, .pool = pool };
    apr_array_header_t *names;
    apr_pool_t *file;

    memset(report, 0, sizeof(*report));
    apr_pool_create(&check.scratch, pool);
    apr_pool_create(&file, pool);
    ACME_TRY(read_anchor(&check, store));
    ACME_TRY(acme_store_list_audit(&names, store, pool));
    for (int i = 0; i < names->nelts; i++) {
        const char *text, *line, *at;
        apr_size_t len;
        apr_pool_clear(file);
        acme_err_t *err = acme_store_get_audit(
            &text, &len, store, APR_ARRAY_IDX(names, i, const char *), file);
        if (err) {
            return acme_err_dup(err, pool);
        }
        const char *end = text ? text + len : NULL;
        for (at = text; text && next_line(&line, &len, &at, end);) {
            check_line(&check, line, len, tell, baton);
        }
    }
    if (report->last < check.anchor) {
        find_fault(&check, "the end is missing, which went up to entry",
                   check.anchor);
    }
    return check.fault
               ? acme_err_make(pool, ACME_E_AUDIT_BROKEN, check.fault, NULL)
               : NULL;
}

acme_err_t *acme_audit_anchor(acme_store_t *store,
                              const acme_audit_report_t *report,
                              apr_pool_t *scratch)
{
    const char *json = apr_psprintf(
        scratch, "{\"seq\":%" APR_INT64_T_FMT ",\"hash\":\"%s\"}\n",
        report->last, report->hash);

    return report->last ? acme_store_put_anchor(store, json, scratch) : NULL;
}
