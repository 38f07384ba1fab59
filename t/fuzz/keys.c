/* Private keys that others have made: PEM, JSON Web Keys, DER; and the key of an
 * external account binding. */
#include "fuzz.h"

#include "core/jws.h"
#include "core/key.h"

static void look_at(EVP_PKEY *key, apr_pool_t *pool)
{
    const acme_jws_header_t header = { "https://ca.test/x", "nonce", NULL };
    acme_key_type_t type;
    const char *body;

    if (acme_key_type_of(&type, key) || !acme_key_sound(key)) {
        return;
    }
    FUZZ_MUST(fuzz_ok(acme_jws_jwk(&body, key, pool), pool));
    FUZZ_MUST(fuzz_ok(acme_jws_sign(&body, key, &header, "{}", pool), pool));
    FUZZ_MUST(acme_key_tlsa(key, pool));
}

void fuzz_keys(const char *data, apr_size_t len, apr_pool_t *pool)
{
    const char *body;
    EVP_PKEY *key;

    if (fuzz_ok(acme_key_adopt(&key, "account.key", data, len, "phrase", pool),
                pool)) {
        look_at(key, pool);
    }
    fuzz_ok(acme_key_adopt(&key, "account.key", data, len, NULL, pool), pool);
    if (fuzz_ok(acme_key_from_pem(&key, data, len, pool), pool)) {
        look_at(key, pool);
    }
    if (fuzz_ok(acme_key_from_der(&key, (const unsigned char *)data, len, pool),
                pool)) {
        look_at(key, pool);
    }
    fuzz_ok(acme_jws_bind(&body, "kid", data, "https://ca.test/x", "{}", pool),
            pool);
}
