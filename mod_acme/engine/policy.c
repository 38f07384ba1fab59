#include "engine/policy.h"

#include <apr_lib.h>
#include <apr_strings.h>
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

int acme_policy_agrees(const acme_policy_t *policy, const char *terms)
{
    for (int i = 0; policy->terms && i < policy->terms->nelts; i++) {
        if (!strcmp(APR_ARRAY_IDX(policy->terms, i, const char *), terms)) {
            return 1;
        }
    }
    return policy->agree_terms;
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

const char *acme_policy_request(const acme_policy_t *policy, apr_pool_t *pool)
{
    const char *text = apr_pstrcat(
        pool, policy->must_staple ? "must-staple" : "", "\n",
        policy->bad_names == ACME_BAD_NAMES_SKIP ? "skip" : "", NULL);

    for (int i = 0; i < policy->ca_count; i++) {
        const char *chain = policy->cas[i].preferred_chain;
        text = apr_pstrcat(pool, text, "\n", chain ? chain : "", NULL);
    }

    for (int i = 0; policy->subject && i < policy->subject->nelts; i++) {
        const acme_csr_attribute_t *one =
            &APR_ARRAY_IDX(policy->subject, i, acme_csr_attribute_t);
        text = apr_pstrcat(pool, text, "\n", one->name, "=", one->value, NULL);
    }
    return text;
}

/* One that could not be read is not mistaken for another account: its file stands
 * for it. */
static const char *meant_account(const acme_ca_t *ca, apr_pool_t *pool)
{
    const acme_account_key_t *own = ca->account_key;
    const char *text = ca->url;

    if (ca->external) {
        text = apr_pstrcat(
            pool, text, "\nexternal ",
            ca->external->kid ? ca->external->kid : ca->external->file, NULL);
    }
    if (own && own->file) {
        text = apr_pstrcat(pool, text, "\nkey ",
                           own->thumbprint ? own->thumbprint : own->file, NULL);
    }
    return text;
}

/* The same directory by name and by URL is one. */
static const char *name_of(const acme_ca_t *ca, const char *meant,
                           apr_pool_t *pool)
{
    const acme_policy_ca_t *known = acme_policy_find_ca(ca->url);
    const char *alias = known ? known->alias : ca->alias;
    unsigned char digest[ACME_SHA256];
    acme_sha256(digest, meant, strlen(meant));
    return apr_pstrcat(pool, alias ? alias : host_part(ca->url, pool), "-",
                       acme_encode_hex(digest, 4, pool), NULL);
}

const char *acme_policy_ca_dir(const acme_ca_t *ca, apr_pool_t *pool)
{
    return name_of(ca, ca->url, pool);
}

const char *acme_policy_account(const acme_ca_t *ca, apr_pool_t *pool)
{
    return name_of(ca, meant_account(ca, pool), pool);
}

static int same_text(const char *a, const char *b)
{
    return a && b ? !strcmp(a, b) : a == b;
}

static int same_contacts(const acme_policy_t *a, const acme_policy_t *b)
{
    int count = a->contacts ? a->contacts->nelts : 0;

    if (count != (b->contacts ? b->contacts->nelts : 0)) {
        return 0;
    }
    for (int i = 0; i < count; i++) {
        if (strcmp(APR_ARRAY_IDX(a->contacts, i, const char *),
                   APR_ARRAY_IDX(b->contacts, i, const char *))) {
            return 0;
        }
    }
    return 1;
}

acme_key_type_t acme_policy_account_key_type(const acme_ca_t *ca)
{
    return ca->account_key ? ca->account_key->type : ACME_KEY_ECDSA_P256;
}

const char *acme_policy_account_differences(const acme_policy_t *policy,
                                            const acme_ca_t *at,
                                            const acme_policy_t *other,
                                            const acme_ca_t *other_at,
                                            apr_pool_t *pool)
{
    return apr_pstrcat(
        pool, same_contacts(policy, other) ? "" : " its AcmeContact",
        same_text(at->trust_file, other_at->trust_file)
            ? ""
            : " its AcmeCATrustFile",
        acme_proxy_same(policy->proxy, other->proxy) ? "" : " its AcmeProxy",
        acme_policy_account_key_type(at)
                == acme_policy_account_key_type(other_at)
            ? ""
            : " its AcmeAccountKey",
        NULL);
}

/* --- how control is proved ------------------------------------------------------ */

static const acme_proof_type_t DEFAULT[] = {
    ACME_PROOF_TLS_ALPN_01,
    ACME_PROOF_HTTP_01,
    ACME_PROOF_DNS_01,
};

void acme_policy_wanted(acme_proofs_t *proofs, const acme_policy_t *policy)
{
    const apr_array_header_t *challenges = policy->challenges;

    proofs->count = 0;
    for (int i = 0; challenges && i < challenges->nelts && i < ACME_PROOF_TYPES;
         i++) {
        proofs->types[proofs->count++] =
            APR_ARRAY_IDX(challenges, i, acme_proof_type_t);
    }
    if (!proofs->count) {
        proofs->count = sizeof(DEFAULT) / sizeof(DEFAULT[0]);
        memcpy(proofs->types, DEFAULT, sizeof(DEFAULT));
    }
}

const char *acme_policy_obstacle(const acme_policy_t *policy,
                                 acme_proof_type_t type,
                                 const acme_ident_t *ident)
{
    const char *unsuitable = acme_proof_unsuitable(type, ident);
    int usable = type == ACME_PROOF_DNS_PERSIST_01 ? 1
                 : acme_proof_is_dns(type)         ? policy->dns
                 : type == ACME_PROOF_HTTP_01      ? policy->http_01
                                                   : policy->tls_alpn_01;

    if (unsuitable || usable) {
        return unsuitable;
    }
    if (policy->obstacles[type]) {
        return policy->obstacles[type];
    }
    return acme_proof_is_dns(type) ? "no AcmeDnsCommand publishes DNS records"
           : type == ACME_PROOF_HTTP_01 ? "port 80 does not reach this server"
                                        : "port 443 does not reach this server";
}

void acme_policy_proofs(acme_proofs_t *proofs, const acme_policy_t *policy,
                        const acme_ident_t *ident)
{
    acme_proofs_t all;

    acme_policy_wanted(&all, policy);
    proofs->count = 0;
    for (int i = 0; i < all.count; i++) {
        if (!acme_policy_obstacle(policy, all.types[i], ident)) {
            proofs->types[proofs->count++] = all.types[i];
        }
    }
}

const char *acme_policy_obstacles(const acme_policy_t *policy,
                                  const acme_ident_t *ident, apr_pool_t *pool)
{
    const char *text = "";
    acme_proofs_t all;

    acme_policy_wanted(&all, policy);
    for (int i = 0; i < all.count; i++) {
        const char *why = acme_policy_obstacle(policy, all.types[i], ident);

        if (why) {
            text = apr_pstrcat(pool, text, *text ? "; " : "",
                               acme_proof_type_name(all.types[i]), ": ", why,
                               NULL);
        }
    }
    return text;
}

const char *acme_policy_challenges(const acme_policy_t *policy,
                                   apr_pool_t *pool)
{
    const char *text = "";
    acme_proofs_t all;

    acme_policy_wanted(&all, policy);
    for (int i = 0; i < all.count; i++) {
        text = apr_pstrcat(pool, text, *text ? " " : "",
                           acme_proof_type_name(all.types[i]), NULL);
    }
    return text;
}
