#include "httpd/uses.h"

#include <unixd.h>

#include "engine/policy.h"
#include "httpd/config.h"
#include "httpd/log.h"

static acme_store_t *open_again(apr_pool_t *pool)
{
    const acme_store_options_t options = {
        .root = acme_config_global()->store,
        .worker_uid = ap_unixd_config.user_id,
        .worker_gid = ap_unixd_config.group_id,
    };
    acme_store_t *store = NULL;
    acme_err_t *none = acme_store_open(&store, &options, pool);

    return none ? NULL : store;
}

void acme_uses_note(server_rec *s, const apr_array_header_t *managed,
                    acme_store_t *store, apr_pool_t *scratch)
{
    apr_pool_t *sub;
    apr_pool_create(&sub, scratch);
    apr_array_header_t *uses =
        apr_array_make(sub, managed->nelts + 1, sizeof(acme_use_t));
    int i;

    for (i = 0; i < managed->nelts; ++i) {
        const acme_managed_t *one = APR_ARRAY_IDX(managed, i, acme_managed_t *);
        APR_ARRAY_PUSH(uses, acme_use_t) =
            (acme_use_t){ one->name, one->where, one->in_use };
    }
    store = store ? store : open_again(sub);
    const acme_ports_t ports = { acme_config_global()->port_80,
                                 acme_config_global()->port_443 };
    acme_err_t *err =
        store ? acme_store_put_uses(store, uses, &ports, sub) : NULL;
    if (err) {
        acme_log_err(s, "", err, sub);
    }
    apr_pool_destroy(sub);
}
