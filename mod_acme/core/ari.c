#include "core/ari.h"

#include <apr_strings.h>
#include <string.h>

#include "core/encode.h"
#include "core/renewal.h"

#define MINUTE apr_time_from_sec(60)
#define DAY    apr_time_from_sec(24 * 60 * 60)

/* RFC 9773 sections 4.3.2 and 4.3.3. */
#define SOONEST   MINUTE
#define LATEST    DAY
#define LONG_TERM apr_time_from_sec(6 * 60 * 60)

#define MAX_BODY     (16 * 1024) /* of an object with two times and a URL */
#define MAX_FAILURES 1000

static acme_err_t *bad(apr_pool_t *pool, const char *why)
{
    return acme_err_make(pool, ACME_E_CA_RESOURCE, "renewal information", why,
                         NULL);
}

acme_err_t *acme_ari_request(acme_request_t *request, const char *renewal_info,
                             const char *cert_id, apr_pool_t *pool)
{
    apr_size_t len = strlen(renewal_info);
    const char *slash = len && renewal_info[len - 1] == '/' ? "" : "/";
    const char *url = apr_pstrcat(pool, renewal_info, slash, cert_id, NULL);

    if (!acme_url_valid(url)) {
        return bad(pool, "its URL is too long");
    }
    memset(request, 0, sizeof(*request));
    request->method = ACME_METHOD_GET;
    request->url = url;
    request->max_body = MAX_BODY;
    request->label = "renewalInfo";
    return NULL;
}

/* --- the answer ------------------------------------------------------------- */

static void take_url(acme_ari_t *ari, const json_t *object)
{
    const char *url = acme_json_string(object, "explanationURL");

    ari->url[0] = '\0';
    if (url && acme_url_valid(url) && strlen(url) < sizeof(ari->url)) {
        apr_cpystrn(ari->url, url, sizeof(ari->url));
    }
}

static acme_err_t *parse(acme_ari_t *ari, const char *body, apr_size_t len,
                         apr_pool_t *pool)
{
    const char *start, *end;
    json_t *object, *window;

    ACME_TRY(acme_json_parse(&object, body, len, MAX_BODY,
                             "renewal information", pool));
    window = json_object_get(object, "suggestedWindow");
    start = acme_json_string(window, "start");
    end = acme_json_string(window, "end");
    /* Whole seconds, as they are kept: else each start would be news. */
    ari->start = start ? apr_time_sec(acme_time_parse_rfc3339(start)) : 0;
    ari->end = end ? apr_time_sec(acme_time_parse_rfc3339(end)) : 0;
    ari->start = apr_time_from_sec(ari->start);
    ari->end = apr_time_from_sec(ari->end);
    if (!ari->start || !ari->end) {
        return bad(pool, "suggestedWindow has no start or no end");
    }
    if (ari->end <= ari->start) {
        return bad(pool, "suggestedWindow ends before it starts");
    }
    take_url(ari, object);
    return NULL;
}

static apr_time_t within(apr_time_t moment, apr_time_t now)
{
    if (moment < now + SOONEST) {
        return now + SOONEST;
    }
    return moment > now + LATEST ? now + LATEST : moment;
}

/* Whether the same question may well be answered in a minute. */
static int is_temporary(const acme_reply_t *reply)
{
    if (!reply->failure) {
        return reply->status >= 500;
    }
    return reply->failure->msg == ACME_E_CA_TIMEOUT
           || reply->failure->class == ACME_CLASS_LOCAL;
}

static void put_off(acme_ari_t *ari, const acme_reply_t *reply, apr_time_t now,
                    unsigned int random)
{
    apr_time_t asked_for =
        reply->failure ? 0 : acme_reply_retry_after(reply, now);

    if (ari->failures < MAX_FAILURES) {
        ari->failures++;
    }
    ari->next_ask = now + LONG_TERM;
    if (is_temporary(reply)) {
        ari->next_ask =
            now + acme_retry_delay(ari->failures, MINUTE, LONG_TERM, random);
    }
    if (asked_for > ari->next_ask) {
        ari->next_ask = within(asked_for, now);
    }
}

acme_err_t *acme_ari_feed(int *news, acme_ari_t *ari, const acme_reply_t *reply,
                          apr_time_t now, unsigned int random, apr_pool_t *pool)
{
    acme_ari_t answer = *ari;
    apr_time_t asked_for;
    acme_err_t *err;

    *news = 0;
    err = acme_reply_is_success(reply)
              ? parse(&answer, reply->body, reply->len, pool)
              : acme_reply_error(reply, now, pool);
    if (err) {
        put_off(ari, reply, now, random);
        return err;
    }
    *news = answer.start != ari->start || answer.end != ari->end
            || strcmp(answer.url, ari->url) != 0;
    *ari = answer;
    ari->failures = 0;
    asked_for = acme_reply_retry_after(reply, now);
    ari->next_ask = asked_for ? within(asked_for, now) : now + LONG_TERM;
    return NULL;
}

/* --- the moment ------------------------------------------------------------- */

apr_time_t acme_ari_moment(const acme_ari_t *ari, const char *cert_id,
                           apr_time_t latest)
{
    apr_time_t end = ari->end < latest ? ari->end : latest;
    unsigned char digest[ACME_SHA256];
    apr_uint64_t range, drawn;
    char text[ACME_ARI_ID + 48];
    int len;

    if (!ari->start || end <= ari->start) {
        return 0;
    }
    len = apr_snprintf(text, sizeof(text),
                       "%s %" APR_TIME_T_FMT " %" APR_TIME_T_FMT, cert_id,
                       ari->start, ari->end);
    acme_sha256(digest, text, (size_t)len);
    memcpy(&drawn, digest, sizeof(drawn));
    range = (apr_uint64_t)(end - ari->start);
    return ari->start + (apr_time_t)(drawn % range);
}

/* --- what is kept ------------------------------------------------------------ */

acme_err_t *acme_ari_format(const char **json, const acme_ari_t *ari,
                            const char *cert_id, apr_pool_t *pool)
{
    json_t *doc = json_pack(
        "{s:s, s:s, s:s, s:s, s:i, s:i, s:s}", "certificate", cert_id, "start",
        acme_time_format(ari->start, pool), "end",
        acme_time_format(ari->end, pool), "next_ask",
        acme_time_format(ari->next_ask, pool), "failures", ari->failures,
        "rushed", ari->rushed, "explanation", ari->url);

    return acme_json_document(json, doc, "saving renewal information", pool);
}

static apr_time_t get_time(const json_t *doc, const char *name)
{
    const char *text = acme_json_string(doc, name);

    return text ? acme_time_parse_rfc3339(text) : 0;
}

static int get_count(const json_t *doc, const char *name)
{
    json_int_t value = json_integer_value(json_object_get(doc, name));

    return value < 0 ? 0 : value > MAX_FAILURES ? MAX_FAILURES : (int)value;
}

acme_err_t *acme_ari_parse(acme_ari_t *ari, const char *cert_id,
                           const char *json, apr_size_t len, apr_time_t now,
                           apr_pool_t *pool)
{
    const char *belongs, *url;
    json_t *doc;

    ACME_TRY(acme_json_parse(&doc, json, len, MAX_BODY,
                             "file of renewal information", pool));
    belongs = acme_json_string(doc, "certificate");
    if (!belongs || strcmp(belongs, cert_id)) {
        return NULL;
    }
    memset(ari, 0, sizeof(*ari));
    ari->start = get_time(doc, "start");
    ari->end = get_time(doc, "end");
    ari->next_ask = get_time(doc, "next_ask");
    ari->failures = get_count(doc, "failures");
    ari->rushed = get_count(doc, "rushed");
    url = acme_json_string(doc, "explanation");
    if (url && acme_url_valid(url)) {
        apr_cpystrn(ari->url, url, sizeof(ari->url));
    }
    if (ari->next_ask > now + LATEST) {
        ari->next_ask = 0;
    }
    return NULL;
}
