/* What shared memory and its users want of httpd and log.c, for tests without a
 * server: a process, a server in it, and what is retained over restarts. */
#ifndef ACME_HTTPD_TEST_H
#define ACME_HTTPD_TEST_H

#include <apr_general.h>
#include <http_config.h>
#include <httpd.h>

#include "httpd/log.h"

static process_rec process;
static server_rec server;
static apr_pool_t *process_pool;
static void *retained; /* one thing is enough */

AP_DECLARE(void *) ap_retained_data_get(const char *key)
{
    (void)key;
    return retained;
}

AP_DECLARE(void *) ap_retained_data_create(const char *key, apr_size_t size)
{
    (void)key;
    retained = apr_pcalloc(process_pool, size);
    return retained;
}

void acme_log_err(server_rec *s, const char *prefix, const acme_err_t *err,
                  apr_pool_t *scratch)
{
    (void)s;
    (void)prefix;
    (void)scratch;
    print_error("%s\n", err->text);
}

static void test_start_httpd(void)
{
    apr_pool_create(&process_pool, NULL);
    process.pool = process_pool;
    server.process = &process;
    retained = NULL;
}

static int test_stop_httpd(void **state)
{
    (void)state;
    apr_pool_destroy(process_pool);
    return 0;
}

#endif
