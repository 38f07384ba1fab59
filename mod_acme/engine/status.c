/* What the world may know of a certificate (engine.h). */
#include "engine/engine.h"

#include "core/encode.h"

const char *acme_state_name(acme_state_t state)
{
    static const char *const NAMES[] = {
        "unknown",  "waiting", "ordering", "valid",
        "renewing", "error",   "manual",
    };
    return NAMES[state];
}

const acme_remarks_t *acme_remarks(const acme_status_t *status)
{
    static const acme_remarks_t NONE;

    return status->remarks ? status->remarks : &NONE;
}

void acme_remark(acme_status_t *status, apr_size_t offset, apr_size_t size,
                 const char *text, apr_pool_t *pool)
{
    if (!status->remarks && !*text) {
        return;
    }
    if (!status->remarks) {
        status->remarks = apr_pcalloc(pool, sizeof(*status->remarks));
    }
    acme_encode_cut((char *)status->remarks + offset, size, text);
}
