/* Encrypted files: keys that the worker has sealed, and backups. */
#include "fuzz.h"

#include "engine/backup.h"
#include "engine/seal.h"
#include "engine/vault.h"

/* Opens nothing that was not sealed just so: an octet of a file that was is
 * changed to what the input has at its place. */
static void change(const char *data, apr_size_t len, apr_pool_t *pool)
{
    static const unsigned char SECRET[ACME_SEAL_SECRET] = "secret";
    static const unsigned char TEXT[] = "what nobody is to read";
    const unsigned char *sealed, *opened;
    apr_size_t sealed_len, opened_len, at;
    unsigned char *changed;

    FUZZ_MUST(fuzz_ok(
        acme_seal(&sealed, &sealed_len, SECRET, "a", TEXT, sizeof(TEXT), pool),
        pool));
    at = len % sealed_len;
    changed = apr_pmemdup(pool, sealed, sealed_len);
    changed[at] = (unsigned char)(len ? data[len - 1] : 0);
    FUZZ_MUST(fuzz_ok(acme_unseal(&opened, &opened_len, SECRET, "a", changed,
                                  sealed_len, pool),
                      pool)
              == (changed[at] == sealed[at]));
}

void fuzz_sealed(const char *data, apr_size_t len, apr_pool_t *pool)
{
    static const unsigned char SECRET[ACME_SEAL_SECRET] = { 0 };
    const unsigned char *octets = (const unsigned char *)data;
    acme_backup_t *backup;
    const unsigned char *opened;
    const char *text, *json;
    apr_size_t opened_len;

    change(data, len, pool);
    fuzz_ok(acme_unseal(&opened, &opened_len, SECRET, "a", octets, len, pool),
            pool);
    fuzz_ok(acme_vault_open(&text, &opened_len, "phrase", octets, len, "backup",
                            pool),
            pool);
    if (fuzz_ok(acme_backup_parse(&backup, data, len, "backup", pool), pool)) {
        FUZZ_MUST(fuzz_ok(acme_backup_format(&json, backup, pool), pool));
    }
}
