#include "engine/audit.h"

#include <apr_escape.h>
#include <apr_strings.h>
#include <jansson.h>
#include <string.h>

#include "core/encode.h"

#define MAX_TEXT 1024
#define MAX_LINE 8192
#define MAX_SEQ  APR_INT64_C(1000000000000000) /* of a line: nobody gets there */
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
        { ACME_I_DELETED, "deleted" },
        { ACME_I_RESTORED, "restored" },
        { ACME_I_TAKEN_OVER, "taken-over" },
        { ACME_I_EXPORTED, "exported" },
        { ACME_I_BACKED_UP, "backup" },
        { ACME_I_AUDIT_ACCEPTED, "accepted" },
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
    unsigned char raw[ACME_SHA256];

    acme_sha256(raw, line, len);
    apr_escape_hex(hash, raw, sizeof(raw), 0, NULL);
}

/* --- lines ------------------------------------------------------------------------- */

/* What a line says of its place; NULL members: it is none of ours. */
typedef struct place_t {
    apr_int64_t seq;
    const char *prev;
    int after_torn;
} place_t;

/* @return 0: there is none that a line could have */
static apr_int64_t get_seq(const json_t *doc)
{
    json_int_t seq = json_integer_value(json_object_get(doc, "seq"));

    return seq > 0 && seq <= MAX_SEQ ? (apr_int64_t)seq : 0;
}

/* @return NULL: it is none */
static json_t *read_line(const char *line, apr_size_t len, apr_pool_t *pool)
{
    json_t *doc = NULL;
    acme_err_t *err =
        acme_json_parse(&doc, line, len, MAX_LINE, "audit trail", pool);

    return err ? NULL : doc;
}

static void parse(place_t *place, const char *line, apr_size_t len,
                  apr_pool_t *pool)
{
    const json_t *doc;
    memset(place, 0, sizeof(*place));
    /* Ours are ASCII: others could say something to the terminal they are shown on. */
    for (apr_size_t i = 0; i < len; i++) {
        if (line[i] < 0x20 || line[i] > 0x7e) {
            return;
        }
    }
    doc = read_line(line, len, pool);
    if (!doc) {
        return;
    }
    place->seq = get_seq(doc);
    place->prev = place->seq ? acme_json_string(doc, "prev") : NULL;
    place->after_torn = json_is_true(json_object_get(doc, "after_torn"));
}

typedef void line_fn_t(void *baton, const char *line, apr_size_t len,
                       apr_pool_t *scratch);

/* Every octet up to a line feed, or to the end.
 * @param whole  0: its last line does not end
 * @return why it cannot be read; then there is no line */
static acme_err_t *each_line(int *whole, acme_store_t *store, const char *name,
                             line_fn_t *tell, void *baton, apr_pool_t *pool)
{
    apr_pool_t *file, *scratch;
    const char *text, *at, *stop = NULL;
    apr_size_t len = 0;

    apr_pool_create(&file, pool);
    apr_pool_create(&scratch, file);
    acme_err_t *err = acme_err_dup(
        acme_store_get_audit(&text, &len, store, name, file), pool);
    const char *end = !err && text ? text + len : NULL;
    for (at = end ? text : NULL; at != end; at = stop ? stop + 1 : end) {
        stop = memchr(at, '\n', (size_t)(end - at));
        apr_pool_clear(scratch);
        tell(baton, at, (apr_size_t)((stop ? stop : end) - at), scratch);
    }
    *whole = !len || stop;
    apr_pool_destroy(file);
    return err;
}

/* --- writing ----------------------------------------------------------------------- */

static void take_line(void *baton, const char *line, apr_size_t len,
                      apr_pool_t *pool)
{
    acme_audit_t *audit = baton;
    place_t place;

    parse(&place, line, len, pool);
    digest(audit->hash, line, len);
    audit->torn = !place.prev;
    if (place.prev) {
        audit->seq = place.seq;
    }
}

/* Where another process has left it. The newest files may have nothing but half a
 * line, or not be readable: then its number is before them. Of the newest itself it
 * matters how it ends, and whether it can be read: else nothing can be written
 * behind it. */
static acme_err_t *find_end(acme_audit_t *audit, acme_store_t *store,
                            apr_pool_t *pool)
{
    apr_array_header_t *names;

    ACME_TRY(acme_store_list_audit(&names, store, pool));
    memset(audit, 0, sizeof(*audit));
    for (int i = names->nelts; i-- > 0 && !audit->seq;) {
        acme_audit_t file = { 0 };
        int whole;
        acme_err_t *err =
            each_line(&whole, store, APR_ARRAY_IDX(names, i, const char *),
                      take_line, &file, pool);
        if (i == names->nelts - 1) {
            audit->open_end = !whole;
            audit->unusable = err;
        }
        if (!*audit->hash) {
            memcpy(audit->hash, file.hash, sizeof(file.hash));
            audit->torn = file.torn;
        }
        audit->seq = file.seq;
    }
    if (!*audit->hash) {
        memcpy(audit->hash, GENESIS, sizeof(audit->hash));
    }
    audit->known = 1;
    return NULL;
}

/* --- what was told of late ---------------------------------------------------------- */

/* "certificate with serial 4711af issued by ..." */
static const char *told_of(const char *event, const char *text,
                           apr_pool_t *pool)
{
    const char *serial = text ? strstr(text, "serial ") : NULL;

    return event && serial ? apr_pstrcat(
               pool, event, " ",
               apr_pstrmemdup(pool, serial + 7,
                              strspn(serial + 7, "0123456789abcdef")),
               NULL)
                           : NULL;
}

/* What came so was issued elsewhere: of that this trail tells nothing. */
static int brings(const char *event)
{
    return event
           && (!strcmp(event, "restored") || !strcmp(event, "taken-over"));
}

static void look_at(void *baton, const char *line, apr_size_t len,
                    apr_pool_t *scratch)
{
    acme_audit_recent_t *recent = baton;
    const json_t *doc = read_line(line, len, scratch);

    if (!doc) {
        return;
    }
    const char *time = acme_json_string(doc, "time");
    const char *event = acme_json_string(doc, "event");
    if (time && (!recent->since || brings(event))) {
        recent->since = acme_time_parse_rfc3339(time);
    }
    const char *told = told_of(event, acme_json_string(doc, "text"), scratch);
    if (told) {
        apr_hash_set(recent->told, apr_pstrdup(recent->pool, told),
                     APR_HASH_KEY_STRING, "");
    }
}

acme_err_t *acme_audit_look(acme_audit_recent_t *recent, acme_store_t *store,
                            apr_pool_t *pool)
{
    apr_array_header_t *names;
    acme_err_t *err = NULL;

    recent->since = 0;
    apr_pool_create(&recent->pool, pool);
    recent->told = apr_hash_make(recent->pool);
    ACME_TRY(acme_store_list_audit(&names, store, recent->pool));
    for (int i = names->nelts > 2 ? names->nelts - 2 : 0; i < names->nelts;
         i++) {
        int whole;
        err = each_line(&whole, store, APR_ARRAY_IDX(names, i, const char *),
                        look_at, recent, recent->pool);
        if (err) {
            recent->since = 0; /* only what comes behind it is known */
        }
    }
    return err;
}

int acme_audit_lacks(const acme_audit_recent_t *recent, acme_msg_t msg,
                     const char *serial, apr_time_t when)
{
    char key[128];

    apr_snprintf(key, sizeof(key), "%s %s", acme_audit_event(msg), serial);
    return recent->since && when >= recent->since
           && !apr_hash_get(recent->told, key, APR_HASH_KEY_STRING);
}

/* --- adding to it ------------------------------------------------------------------- */

/* @return not 0: no memory */
static int set(json_t *doc, const char *name, json_t *value)
{
    return json_object_set_new(doc, name, value);
}

/* "[shop.example/ecdsa order=done]" */
static int add_subject(json_t *doc, const char *prefix, apr_pool_t *pool)
{
    const char *begin = *prefix == '[' ? prefix + 1 : prefix;
    const char *name = apr_pstrmemdup(pool, begin, strcspn(begin, " ]"));

    return *name ? set(doc, "subject",
                       json_string(acme_encode_printable(name, 300, pool)))
                 : 0;
}

/* @return NULL: no memory */
static const char *make_line(const acme_audit_t *audit, acme_msg_t msg,
                             const char *prefix, const char *text,
                             apr_time_t now, apr_pool_t *pool)
{
    json_t *doc = json_pack(
        "{s:I, s:s, s:s, s:s}", "seq", (json_int_t)audit->seq + 1, "time",
        acme_time_format(now, pool), "event", acme_audit_event(msg), "code",
        apr_psprintf(pool, "ACME%04d", (int)msg));
    int failed =
        add_subject(doc, prefix, pool)
        || set(doc, "text",
               json_string(acme_encode_printable(text, MAX_TEXT, pool)))
        || (audit->torn && set(doc, "after_torn", json_true()))
        || set(doc, "prev", json_string(audit->hash));
    const char *line =
        acme_json_text(doc, JSON_COMPACT | JSON_ENSURE_ASCII, pool);

    return failed ? NULL : line;
}

/* Behind a file that cannot be used another one is begun.
 * @return W_AUDIT_FILE: so it was */
static acme_err_t *append(acme_audit_t *audit, acme_store_t *store,
                          const char *line, apr_pool_t *pool)
{
    const acme_err_t *unusable = audit->unusable;
    acme_audit_end_t end = unusable          ? ACME_AUDIT_UNUSABLE
                           : audit->open_end ? ACME_AUDIT_HALF
                                             : ACME_AUDIT_WHOLE;
    acme_err_t *err = acme_store_append_audit(store, line, end, pool);

    audit->known = !err; /* what a failure has left there is looked at */
    audit->unusable = NULL;
    if (err) {
        return err;
    }
    audit->open_end = 0;
    take_line(audit, line, strlen(line), pool);
    return unusable
               ? acme_err_make(pool, ACME_W_AUDIT_FILE, unusable->text, NULL)
               : NULL;
}

/* The file that was written to until now may have become another's. */
static acme_err_t *append_after(acme_audit_t *audit, acme_store_t *store,
                                const char *line, acme_err_t *failure,
                                apr_pool_t *pool)
{
    acme_audit_t seen;
    acme_err_t *err = find_end(&seen, store, pool);

    if (err || !seen.unusable) {
        return failure;
    }
    audit->unusable = seen.unusable;
    return append(audit, store, line, pool);
}

static acme_err_t *add(acme_audit_t *audit, acme_store_t *store, acme_msg_t msg,
                       const char *prefix, const char *text, apr_time_t now,
                       apr_pool_t *pool)
{
    int known = audit->known;

    if (!known) {
        ACME_TRY(acme_store_own_audit(store, pool));
        ACME_TRY(find_end(audit, store, pool));
    }
    const char *line = make_line(audit, msg, prefix, text, now, pool);
    if (!line) { /* no memory, for a moment perhaps */
        line = make_line(audit, msg, prefix, text, now, pool);
    }
    if (!line) {
        audit->known = 0; /* why its file is of no use goes with pool */
        return acme_err_make(pool, ACME_E_MEMORY, "the audit trail", NULL);
    }
    acme_err_t *err = append(audit, store, line, pool);
    return err && known && err->msg == ACME_E_STORE_IO
               ? append_after(audit, store, line, err, pool)
               : err;
}

acme_err_t *acme_audit_add(acme_audit_t *audit, acme_store_t *store,
                           acme_msg_t msg, const char *prefix, const char *text,
                           apr_time_t now, apr_pool_t *scratch)
{
    apr_pool_t *pool;

    apr_pool_create(&pool, scratch);
    acme_err_t *err =
        acme_err_dup(add(audit, store, msg, prefix, text, now, pool), scratch);
    apr_pool_destroy(pool);
    return err;
}

/* --- reading ------------------------------------------------------------------------- */

typedef struct check_t {
    acme_audit_report_t *report;
    char before[ACME_AUDIT_HASH]; /* of the line before */
    int torn;                     /* that one is not whole */
    int any;                      /* there was one */
    int rotated;                  /* the oldest files have gone by age */
    acme_audit_anchor_t anchor;   /* seq 0: there is none */
    acme_audit_line_fn_t *tell;
    void *baton;
    apr_pool_t *pool;
} check_t;

static void find_fault(check_t *check, const char *words, apr_int64_t seq)
{
    if (!check->report->fault) {
        check->report->fault =
            apr_psprintf(check->pool, "%s %" APR_INT64_T_FMT, words, seq);
    }
}

/* Of the first entry there is. */
static void check_first(check_t *check, const place_t *place)
{
    const acme_audit_anchor_t *anchor = &check->anchor;

    if (anchor->seq && place->seq > anchor->seq + 1 && check->rotated) {
        find_fault(check, "entries are missing before entry", place->seq);
    }
    if (place->seq > (anchor->seq ? anchor->first : 1) && !check->rotated) {
        find_fault(check, "the beginning is missing before entry", place->seq);
    }
    if (place->seq == 1 && !check->any && strcmp(place->prev, GENESIS)) {
        find_fault(check, "the beginning was changed: entry", place->seq);
    }
    if (anchor->seq && place->seq == anchor->seq + 1 && !place->after_torn
        && strcmp(place->prev, anchor->hash)) {
        find_fault(check, "it does not follow what was last verified: entry",
                   place->seq);
    }
    check->report->first = place->seq;
}

static void check_place(check_t *check, const place_t *place, const char *hash)
{
    acme_audit_report_t *report = check->report;

    if (!report->first) {
        check_first(check, place);
    }
    else if (place->seq != report->last + 1) {
        find_fault(check, "entries are missing before entry", place->seq);
    }
    if (check->any && check->torn != place->after_torn) {
        find_fault(check, "a line was damaged before entry", place->seq);
    }
    if (check->any && strcmp(place->prev, check->before)) {
        find_fault(check, "what stands before it was changed: entry",
                   place->seq);
    }
    if (place->seq == check->anchor.seq && strcmp(hash, check->anchor.hash)) {
        find_fault(check,
                   "all is written anew since it was last verified: entry",
                   place->seq);
    }
    report->last = place->seq;
    memcpy(report->hash, hash, ACME_AUDIT_HASH);
    if (place->seq == report->accepted.seq
        && !strcmp(hash, report->accepted.hash)) {
        check->report->fault = NULL; /* the administrator knows of it */
    }
}

static void check_line(void *baton, const char *line, apr_size_t len,
                       apr_pool_t *scratch)
{
    check_t *check = baton;
    char hash[ACME_AUDIT_HASH];
    place_t place;

    parse(&place, line, len, scratch);
    digest(hash, line, len);
    if (place.prev) {
        check_place(check, &place, hash);
        if (check->tell) {
            check->tell(check->baton, apr_pstrmemdup(scratch, line, len));
        }
    }
    else {
        check->report->torn++;
    }
    check->torn = !place.prev;
    check->any = 1;
    memcpy(check->before, hash, sizeof(hash));
}

static int has_hash(const char *hash)
{
    return hash && strspn(hash, "0123456789abcdef") == ACME_AUDIT_HASH - 1;
}

static void get_place(apr_int64_t *seq, char *hash, const json_t *doc)
{
    const char *text = acme_json_string(doc, "hash");

    *seq = has_hash(text) ? get_seq(doc) : 0;
    apr_cpystrn(hash, has_hash(text) ? text : "", ACME_AUDIT_HASH);
}

static const char *get_text(const json_t *doc, const char *name,
                            apr_pool_t *pool)
{
    const char *text = acme_json_string(doc, name);

    return acme_encode_printable(text ? text : "?", MAX_TEXT, pool);
}

static acme_err_t *read_anchor(check_t *check, acme_store_t *store)
{
    acme_audit_anchor_t *anchor = &check->anchor;
    acme_audit_accepted_t *accepted = &check->report->accepted;
    const char *json = NULL;
    apr_size_t len;
    json_t *doc, *part;

    ACME_TRY(acme_store_get_anchor(&json, &len, store, check->pool));
    if (!json) {
        return NULL;
    }
    ACME_TRY(acme_json_parse(&doc, json, len, MAX_LINE, "anchor", check->pool));
    get_place(&anchor->seq, anchor->hash, doc);
    anchor->first = json_integer_value(json_object_get(doc, "first"));
    anchor->first =
        anchor->first > 0 ? anchor->first : 1; /* older ones have none */
    part = json_object_get(doc, "accepted");
    if (part) {
        get_place(&accepted->seq, accepted->hash, part);
        accepted->time = get_text(part, "time", check->pool);
        accepted->by = get_text(part, "by", check->pool);
        accepted->fault = get_text(part, "fault", check->pool);
    }
    return NULL;
}

acme_err_t *acme_audit_read(acme_audit_report_t *report, acme_store_t *store,
                            acme_audit_line_fn_t *tell, void *baton,
                            apr_pool_t *pool)
{
    check_t check = {
        .report = report, .tell = tell, .baton = baton, .pool = pool
    };
    apr_array_header_t *names;

    memset(report, 0, sizeof(*report));
    ACME_TRY(read_anchor(&check, store));
    ACME_TRY(acme_store_list_audit(&names, store, pool));
    check.rotated = acme_store_audit_is_rotated(names);
    for (int i = 0; i < names->nelts; i++) {
        int whole;
        acme_err_t *err =
            each_line(&whole, store, APR_ARRAY_IDX(names, i, const char *),
                      check_line, &check, pool);
        if (err && !report->fault) {
            report->fault = err->text;
        }
    }
    if (report->last < check.anchor.seq) {
        find_fault(&check, "the end is missing, which went up to entry",
                   check.anchor.seq);
    }
    return report->fault
               ? acme_err_make(pool, ACME_E_AUDIT_BROKEN, report->fault, NULL)
               : NULL;
}

acme_err_t *acme_audit_anchor(acme_store_t *store,
                              const acme_audit_report_t *report,
                              apr_pool_t *scratch)
{
    const acme_audit_accepted_t *accepted = &report->accepted;
    json_t *doc =
        json_pack("{s:I, s:I, s:s}", "first", (json_int_t)report->first, "seq",
                  (json_int_t)report->last, "hash", report->hash);
    int failed = accepted->time
                 && set(doc, "accepted",
                        json_pack("{s:I, s:s, s:s, s:s, s:s}", "seq",
                                  (json_int_t)accepted->seq, "hash",
                                  accepted->hash, "time", accepted->time, "by",
                                  accepted->by, "fault", accepted->fault));
    const char *text =
        acme_json_text(doc, JSON_COMPACT | JSON_ENSURE_ASCII, scratch);

    return failed || !text
               ? acme_err_make(scratch, ACME_E_MEMORY, "the anchor", NULL)
               : acme_store_put_anchor(
                   store, apr_pstrcat(scratch, text, "\n", NULL), scratch);
}

acme_err_t *acme_audit_accept(acme_store_t *store,
                              const acme_audit_report_t *report, const char *by,
                              apr_time_t now, apr_pool_t *scratch)
{
    acme_audit_report_t kept = *report;

    kept.accepted.seq = report->last;
    memcpy(kept.accepted.hash, report->hash, sizeof(report->hash));
    kept.accepted.time = acme_time_format(now, scratch);
    kept.accepted.by = by;
    kept.accepted.fault = report->fault ? report->fault : "?";
    return acme_audit_anchor(store, &kept, scratch);
}
