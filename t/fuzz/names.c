/* Short texts that come from outside: identifiers, contacts, URLs, tokens,
 * proxies, attributes of a subject; and what may go into a log or a page. */
#include "fuzz.h"

#include "core/contact.h"
#include "core/csr.h"
#include "core/encode.h"
#include "core/http.h"
#include "core/ident.h"
#include "core/reason.h"
#include "engine/hook.h"
#include "engine/limits.h"
#include "engine/proxy.h"

static void look_at_ident(const char *text, apr_pool_t *pool)
{
    char sni[ACME_IDENT_SNI];
    acme_ident_t *ident, *again;
    const char *file;

    if (!fuzz_ok(acme_ident_parse(&ident, text, pool), pool)) {
        return;
    }
    FUZZ_MUST(fuzz_ok(acme_ident_parse(&again, ident->value, pool), pool));
    FUZZ_MUST(acme_ident_equal(ident, again));
    acme_ident_why_not_public(ident);
    acme_ident_covers(ident, again);
    acme_ident_server_name(sni, ident);
    acme_limits_domain(ident, pool);
    file = acme_ident_filename(ident, pool);
    FUZZ_MUST(*file && *file != '.' && *file != '-' && !strchr(file, '/')
              && strlen(file) <= 255);
}

static void look_at_encodings(const char *data, apr_size_t len,
                              apr_pool_t *pool)
{
    const char *text = acme_encode_printable(data, 64, pool);
    const unsigned char *octets;
    apr_size_t octets_len;
    const char *c;

    FUZZ_MUST(strlen(text) <= 64);
    for (c = text; *c; c++) {
        FUZZ_MUST((unsigned char)*c >= ' ' && *c != 0x7f);
    }
    FUZZ_MUST(!strpbrk(acme_encode_html(data, pool), "<>\"'"));
    acme_encode_hex(data, len, pool);
    if (acme_decode_base64url(&octets, &octets_len, data, pool)
        == APR_SUCCESS) {
        FUZZ_MUST(
            !strcmp(data, acme_encode_base64url(octets, octets_len, pool)));
    }
}

static void look_at_urls(const char *text, apr_pool_t *pool)
{
    const char *url = acme_url_resolve("https://ca.test/a/b", text, pool);
    acme_proxy_t *proxy;

    FUZZ_MUST(!url || acme_url_valid(url));
    acme_url_valid_as(text, "http://");
    if (acme_url_valid(text)) {
        url = acme_url_resolve(text, "c?d", pool);
        FUZZ_MUST(!url || acme_url_valid(url));
    }
    if (fuzz_ok(acme_proxy_parse(&proxy, text, pool), pool)) {
        FUZZ_MUST(acme_proxy_same(proxy, proxy));
        FUZZ_MUST(!strchr(proxy->url, '@'));
        acme_proxy_text(proxy, pool);
    }
}

void fuzz_names(const char *data, apr_size_t len, apr_pool_t *pool)
{
    acme_csr_attribute_t attribute;
    unsigned int events;
    int reason;

    look_at_ident(data, pool);
    look_at_encodings(data, len, pool);
    look_at_urls(data, pool);
    acme_contact_of(data, pool);
    acme_reason_parse(&reason, data);
    acme_event_parse(&events, data, pool);
    fuzz_ok(acme_csr_attribute_parse(&attribute, data, pool), pool);
}
