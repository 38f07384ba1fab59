/* Dates and spans of time: RFC 3339, Retry-After, ASN.1, and those that
 * directives have. */
#include "fuzz.h"

#include <openssl/asn1.h>

#include "core/cert.h"
#include "core/encode.h"
#include "core/http.h"
#include "engine/policy.h"

#define NOW apr_time_from_sec(1795334400)

static void look_at_asn1(const char *data, int type, apr_pool_t *pool)
{
    ASN1_TIME *asn1 = ASN1_STRING_type_new(type);
    apr_time_t time;

    FUZZ_MUST(asn1 && ASN1_STRING_set(asn1, data, -1));
    if (acme_cert_time(&time, asn1)) {
        FUZZ_MUST(time >= 0);
        acme_time_format(time, pool);
    }
    ASN1_STRING_free(asn1);
}

void fuzz_times(const char *data, apr_size_t len, apr_pool_t *pool)
{
    const acme_reply_t reply = { .status = 503,
                                 .body = "",
                                 .retry_after = data };
    apr_time_t time = acme_time_parse_rfc3339(data);
    acme_span_t span;

    (void)len;
    FUZZ_MUST(time >= 0);
    if (time) {
        apr_time_t again =
            acme_time_parse_rfc3339(acme_time_format(time, pool));

        FUZZ_MUST(apr_time_sec(again) == apr_time_sec(time));
    }
    time = acme_reply_retry_after(&reply, NOW);
    FUZZ_MUST(!time || (time >= NOW && time <= NOW + ACME_MAX_RETRY_AFTER));
    look_at_asn1(data, V_ASN1_UTCTIME, pool);
    look_at_asn1(data, V_ASN1_GENERALIZEDTIME, pool);
    if (fuzz_ok(acme_span_parse(&span, data, 1, pool), pool)) {
        FUZZ_MUST(span.percent ? span.percent > 0 && span.percent < 100
                               : span.duration >= 0);
    }
    fuzz_ok(acme_span_parse(&span, data, 0, pool), pool);
}
