#include "core/proof.h"

#include <apr_strings.h>
#include <string.h>

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
