#include "core/proof.h"

#include <apr_strings.h>
#include <string.h>

static const char *const names[ACME_PROOF_TYPES] = {
    [ACME_PROOF_HTTP_01] = "http-01",
    [ACME_PROOF_TLS_ALPN_01] = "tls-alpn-01",
    [ACME_PROOF_DNS_01] = "dns-01",
};

const char *acme_proof_type_name(acme_proof_type_t type)
{
    return names[type];
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

const char *acme_proof_key_authorization(const char *token,
                                         const char *thumbprint,
                                         apr_pool_t *pool)
{
    return apr_pstrcat(pool, token, ".", thumbprint, NULL);
}
