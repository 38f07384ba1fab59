#include "core/proof.h"

#include <apr_strings.h>
#include <string.h>

#include "core/encode.h"

#define LABEL_OCTETS 10 /* of a digest; a multiple of five */

static const char *const names[ACME_PROOF_TYPES] = {
    [ACME_PROOF_HTTP_01] = "http-01",
    [ACME_PROOF_TLS_ALPN_01] = "tls-alpn-01",
    [ACME_PROOF_DNS_01] = "dns-01",
    [ACME_PROOF_DNS_ACCOUNT_01] = "dns-account-01",
    [ACME_PROOF_DNS_PERSIST_01] = "dns-persist-01",
};

const char *acme_proof_type_name(acme_proof_type_t type)
{
    return names[type];
}

const char *acme_proof_type_names(void)
{
    return "tls-alpn-01, http-01, dns-01, dns-account-01, dns-persist-01";
}

int acme_proof_type_parse(acme_proof_type_t *type, const char *name)
{
    int i;

    for (i = 0; i < ACME_PROOF_TYPES; i++) {
        if (strcmp(names[i], name) == 0) {
            *type = (acme_proof_type_t)i;
            return 0;
        }
    }
    return -1;
}

int acme_proof_is_dns(acme_proof_type_t type)
{
    return type == ACME_PROOF_DNS_01 || type == ACME_PROOF_DNS_ACCOUNT_01
           || type == ACME_PROOF_DNS_PERSIST_01;
}

const char *acme_proof_unsuitable(acme_proof_type_t type,
                                  const acme_ident_t *ident)
{
    if (acme_proof_is_dns(type)) {
        return ident->type == ACME_IDENT_DNS ? NULL
                                             : "an address has no place in DNS";
    }
    return acme_ident_is_wildcard(ident) ? "it cannot prove a wildcard" : NULL;
}

const char *acme_proof_key_authorization(const char *token,
                                         const char *thumbprint,
                                         apr_pool_t *pool)
{
    return apr_pstrcat(pool, token, ".", thumbprint, NULL);
}

/* RFC 4648 section 6, in lower case, of full groups of five octets alone. */
static const char *base32(const unsigned char *octets, int len,
                          apr_pool_t *pool)
{
    static const char DIGITS[] = "abcdefghijklmnopqrstuvwxyz234567";
    char *text = apr_palloc(pool, (apr_size_t)len / 5 * 8 + 1), *out = text;
    apr_uint64_t group;
    int i, bit;

    for (i = 0; i < len; i += 5) {
        group = 0;
        for (bit = 0; bit < 5; bit++) {
            group = group << 8 | octets[i + bit];
        }
        for (bit = 35; bit >= 0; bit -= 5) {
            *out++ = DIGITS[group >> bit & 31];
        }
    }
    *out = '\0';
    return text;
}

const char *acme_proof_record_name(const acme_proof_t *proof,
                                   const char *account_url, apr_pool_t *pool)
{
    const char *name = proof->ident->value;
    unsigned char digest[ACME_SHA256];

    name += acme_ident_is_wildcard(proof->ident) ? 2 : 0;
    if (proof->type != ACME_PROOF_DNS_ACCOUNT_01) {
        return apr_pstrcat(pool, "_acme-challenge.", name, NULL);
    }
    account_url = account_url ? account_url : ""; /* not known: nobody asks */
    acme_sha256(digest, account_url, strlen(account_url));
    return apr_pstrcat(pool, "_", base32(digest, LABEL_OCTETS, pool),
                       "._acme-challenge.", name, NULL);
}

const char *acme_proof_record_value(const acme_proof_t *proof, apr_pool_t *pool)
{
    unsigned char digest[ACME_SHA256];

    acme_sha256(digest, proof->key_authorization,
                strlen(proof->key_authorization));
    return acme_encode_base64url(digest, sizeof(digest), pool);
}
