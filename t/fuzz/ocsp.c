/* The answer of an OCSP responder, about a certificate that fuzz_key's CA has
 * issued. */
#include "fuzz.h"

#include "core/cert.h"
#include "core/ocsp.h"

#define NOW apr_time_from_sec(1795334400)

/* Leaf and issuer; made by seeds.py, for the inputs are signed for them. */
static const char CHAIN[] =
    "-----BEGIN CERTIFICATE-----\n"
    "MIIBaDCCAQ+gAwIBAgICEmcwCgYIKoZIzj0EAwIwHDEaMBgGA1UEAwwRRmFrZSBJ\n"
    "bnRlcm1lZGlhdGUwHhcNMjYxMTIxMDgwMDAwWhcNMjcwMTIxMDgwMDAwWjAPMQ0w\n"
    "CwYDVQQDDARsZWFmMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAERkav2C2+aE8k\n"
    "FI7hTa0+kg4S7QWbEGkZMi5/jr6eDSEIgowmYUbohAxXzCQdvHINIPjwzud5T4+U\n"
    "e2uliL/gpaNOMEwwDAYDVR0TAQH/BAIwADAnBgNVHREEIDAeggxzaG9wLmV4YW1w\n"
    "bGWCDiouc2hvcC5leGFtcGxlMBMGA1UdJQQMMAoGCCsGAQUFBwMBMAoGCCqGSM49\n"
    "BAMCA0cAMEQCIG8CjMpzWIAuRz+R6eN5bYA67+6GCNoGoow7q9h4+PjDAiBer4B4\n"
    "pnrY5qkm4XSVAwXX58M7IEgOEq6alpFqaORv/g==\n"
    "-----END CERTIFICATE-----\n"
    "-----BEGIN CERTIFICATE-----\n"
    "MIIBOjCB4aADAgECAgISZzAKBggqhkjOPQQDAjAcMRowGAYDVQQDDBFGYWtlIElu\n"
    "dGVybWVkaWF0ZTAeFw0yNjExMjEwODAwMDBaFw0yNzAxMjEwODAwMDBaMBwxGjAY\n"
    "BgNVBAMMEUZha2UgSW50ZXJtZWRpYXRlMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcD\n"
    "QgAERkav2C2+aE8kFI7hTa0+kg4S7QWbEGkZMi5/jr6eDSEIgowmYUbohAxXzCQd\n"
    "vHINIPjwzud5T4+Ue2uliL/gpaMTMBEwDwYDVR0TAQH/BAUwAwEB/zAKBggqhkjO\n"
    "PQQDAgNIADBFAiEAsmevTMYUEf/WF9kzwSntnRQ4vWa+j4PpAfDTR2TOLsoCIFOq\n"
    "LlxHlStRMCpP6QqW/WZ05Q4nM8jpKcIjqzKEMe80\n"
    "-----END CERTIFICATE-----\n";

void fuzz_ocsp(const char *data, apr_size_t len, apr_pool_t *pool)
{
    acme_chain_t *chain;
    acme_ocsp_t *ocsp;

    FUZZ_MUST(fuzz_ok(acme_chain_parse(&chain, CHAIN, sizeof(CHAIN) - 1, pool),
                      pool));
    if (fuzz_ok(acme_ocsp_verify(&ocsp, (const unsigned char *)data, len,
                                 chain->leaf, sk_X509_value(chain->issuers, 0),
                                 NOW, pool),
                pool)) {
        FUZZ_MUST(ocsp->until > NOW - apr_time_from_sec(300)
                  && ocsp->until > ocsp->this_update);
        FUZZ_MUST(ocsp->revoked || !ocsp->reason);
    }
}
