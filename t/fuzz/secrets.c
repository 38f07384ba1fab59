/* The file of AcmeExternalAccount. */
#include "fuzz.h"

#include <fcntl.h>
#include <unistd.h>

#include "httpd.h"
#include "httpd/config.h"
#include "httpd/secrets.h"

void fuzz_secrets(const char *data, apr_size_t len, apr_pool_t *pool)
{
    server_rec *server = fuzz_server(pool);
    acme_external_t external = { 0 };
    const char *path = apr_pstrcat(pool, fuzz_folder(), "/external", NULL);
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    FUZZ_MUST(file >= 0 && write(file, data, len) == (ssize_t)len);
    close(file);
    external.file = path;
    apr_hash_set(acme_config_global()->externals, path, APR_HASH_KEY_STRING,
                 &external);
    acme_secrets_read(server, 0, pool, pool);
    FUZZ_MUST(external.fault || (external.kid && external.hmac));
}
