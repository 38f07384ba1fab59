#include "httpd/shared.h"

#include <apr_shm.h>
#include <apr_strings.h>

#include "httpd/log.h"

void *acme_shared_make(apr_size_t size, acme_msg_t failure, server_rec *s)
{
    apr_pool_t *process = s->process->pool;
    apr_shm_t *shm = NULL;
    apr_status_t rv = apr_shm_create(&shm, size, NULL, process);

    if (rv != APR_SUCCESS) {
        acme_log_err(s, "",
                     acme_err_os(process, rv, failure,
                                 apr_off_t_toa(process, (apr_off_t)size), NULL),
                     process);
        return NULL;
    }
    return apr_shm_baseaddr_get(shm);
}
