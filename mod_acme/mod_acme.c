/** The module record and the list of its hooks, nothing else. */
#include <httpd.h>
#include <http_config.h>

static void register_hooks(apr_pool_t *pool)
{
    (void)pool;
}

AP_DECLARE_MODULE(acme) = {
    STANDARD20_MODULE_STUFF, NULL, NULL, NULL, NULL, NULL, register_hooks,
};
