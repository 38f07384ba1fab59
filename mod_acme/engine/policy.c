#include "engine/policy.h"

#include <apr_lib.h>
#include <apr_strings.h>
#include <openssl/sha.h>
#include <string.h>

#include "core/encode.h"

#define MAX_HOST_PART 64

static const acme_policy_ca_t CAS[] = {
    { "letsencrypt", "https://acme-v02.api.letsencrypt.org/directory" },
    { "letsencrypt-staging",
      "https://acme-staging-v02.api.letsencrypt.org/directory" },
    { "zerossl", "https://acme.zerossl.com/v2/DV90" },
    { "google", "https://dv.acme-v02.api.pki.goog/directory" },
    { "google-staging", "https://dv.acme-v02.test-api.pki.goog/directory" },
    { "sslcom-rsa", "https://acme.ssl.com/sslcom-dv-rsa" },
    { "sslcom-ecc", "https://acme.ssl.com/sslcom-dv-ecc" },
    { "actalis", "https://acme-api.actalis.com/acme/directory" },
};
#define CA_COUNT (sizeof(CAS) / sizeof(CAS[0]))

const acme_policy_ca_t *acme_policy_find_ca(const char *text)
{
    for (apr_size_t i = 0; i < CA_COUNT; i++) {
        if (!strcasecmp(text, CAS[i].alias) || !strcmp(text, CAS[i].url)) {
            return &CAS[i];
        }
    }
    return NULL;
}

const char *acme_policy_ca_aliases(apr_pool_t *pool)
{
    const char *text = CAS[0].alias;
    for (apr_size_t i = 1; i < CA_COUNT; i++) {
        text = apr_pstrcat(pool, text, ", ", CAS[i].alias, NULL);
    }
    return text;
}

/* Host and port of the URL, made fit for a directory name. */
static const char *host_part(const char *url, apr_pool_t *pool)
{
    const char *start = strstr(url, "://");
    start = start ? start + 3 : url;
    apr_size_t len = strcspn(start, "/?#");
    if (len > MAX_HOST_PART) {
        len = MAX_HOST_PART;
    }
    char *host = apr_pstrmemdup(pool, start, len);
    for (char *c = host; *c; c++) {
        int leading_dot = *c == '.' && c == host;
        if (!apr_isalnum(*c) && (*c != '.' || leading_dot)) {
            *c = '-';
        }
        *c = (char)apr_tolower(*c);
    }
    return host;
}

const char *acme_policy_account(const acme_ca_t *ca, apr_pool_t *pool)
{
    /* The same directory by name and by URL is one account. */
    const acme_policy_ca_t *known = acme_policy_find_ca(ca->url);
    const char *alias = known ? known->alias : ca->alias;
    unsigned char digest[SHA256_DIGEST_LENGTH];
    SHA256((const unsigned char *)ca->url, strlen(ca->url), digest);
    return apr_pstrcat(pool, alias ? alias : host_part(ca->url, pool), "-",
                       acme_encode_hex(digest, 4, pool), NULL);
}
