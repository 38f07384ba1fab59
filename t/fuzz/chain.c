/* The certificate as a CA sends it: PEM. */
#include "fuzz.h"

#include "core/cert.h"
#include "core/ocsp.h"

#define NOW apr_time_from_sec(1795334400)

static void look_at(X509 *cert, apr_pool_t *pool)
{
    acme_cert_info_t *info;

    acme_ocsp_must_staple(cert);
    if (fuzz_ok(acme_cert_info(&info, cert, pool), pool)) {
        FUZZ_MUST(info->not_before >= 0 && info->not_after >= 0);
        FUZZ_MUST(info->idents->nelts <= 1000);
        acme_idents_text(info->idents, 3, pool);
    }
}

void fuzz_chain(const char *data, apr_size_t len, apr_pool_t *pool)
{
    acme_chain_t *chain, *again;
    const unsigned char *der;
    apr_size_t der_len;
    const char *pem;
    int i;

    if (!fuzz_ok(acme_chain_parse(&chain, data, len, pool), pool)) {
        return;
    }
    FUZZ_MUST(sk_X509_num(chain->issuers) < ACME_MAX_CHAIN_LENGTH);
    look_at(chain->leaf, pool);
    for (i = 0; i < sk_X509_num(chain->issuers); i++) {
        X509 *issuer = sk_X509_value(chain->issuers, i);

        look_at(issuer, pool);
        fuzz_ok(acme_ocsp_request(&der, &der_len, chain->leaf, issuer, pool),
                pool);
    }
    acme_chain_has_issuer(chain, "Fake Intermediate");
    fuzz_ok(acme_chain_verify(chain, fuzz_key(), NULL, NOW, pool), pool);
    FUZZ_MUST(fuzz_ok(acme_chain_to_pem(&pem, chain, pool), pool));
    if (strlen(pem) <= 256 * 1024) { /* what is sent wide may come out wider */
        FUZZ_MUST(
            fuzz_ok(acme_chain_parse(&again, pem, strlen(pem), pool), pool));
        FUZZ_MUST(X509_cmp(chain->leaf, again->leaf) == 0);
    }
}
