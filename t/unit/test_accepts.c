/* Which sets mod_ssl will take, at the security levels of all hosts that are to have
 * them. */
#include "core_test.h"
#include "directive_test.h"

#include <httpd.h>
#include <http_config.h>
#include <http_core.h>
#include <openssl/x509.h>

#include "core/cert.h"
#include "core/key.h"
#include "httpd/accepts.h"

ap_directive_t *ap_conftree;
static const char *protocol;

AP_DECLARE(char *) ap_getword_conf(apr_pool_t *result, const char **line)
{
    const char *end = *line + strcspn(*line, " ");
    char *word = apr_pstrmemdup(result, *line, (apr_size_t)(end - *line));

    *line = end + strspn(end, " ");
    return word;
}

AP_DECLARE(const char *) ap_get_server_protocol(server_rec *host)
{
    (void)host;
    return protocol;
}

/* @param lines  name, arguments ..., NULL */
static void add_host(apr_array_header_t *hosts, const char *const *lines)
{
    ap_directive_t *section = add(&ap_conftree, "<VirtualHost", "*:443>");
    server_rec *host = apr_pcalloc(pool, sizeof(*host));

    section->line_num = hosts->nelts + 10;
    host->is_virtual = 1;
    host->defn_name = section->filename;
    host->defn_line_number = (unsigned)section->line_num;
    for (; *lines; lines += 2) {
        add(&section->first_child, lines[0], lines[1]);
    }
    APR_ARRAY_PUSH(hosts, server_rec *) = host;
}
#define HOST(hosts, ...)                                                       \
    add_host(hosts, (const char *const[]){ __VA_ARGS__, NULL })

#define LEVEL(n) "DEFAULT@SECLEVEL=" #n

/* For the first of them mod_ssl asks. Of P-256: strong enough for level 3, not for
 * level 4. */
static const char *accepts(const apr_array_header_t *hosts)
{
    acme_set_t set = { 0 };
    acme_chain_t made = { NULL, NULL };
    const char *pem;

    assert_no_err(acme_key_make(&set.key, ACME_KEY_ECDSA_P256, pool));
    assert_no_err(acme_cert_placeholder(
        &made.leaf, set.key, idents("shop.example"), apr_time_now(), pool));
    assert_no_err(acme_chain_to_pem(&pem, &made, pool));
    assert_no_err(acme_chain_parse(&set.chain, pem, strlen(pem), pool));
    acme_accepts_t baton = { APR_ARRAY_IDX(hosts, 0, server_rec *), hosts };

    return acme_accepts(&baton, &set, pool);
}

static apr_array_header_t *begin(void)
{
    ap_conftree = NULL;
    protocol = NULL;
    return apr_array_make(pool, 2, sizeof(server_rec *));
}

static void test_set_is_tried_at_the_level_of_its_host(void **state)
{
    apr_array_header_t *hosts = begin();

    (void)state;
    HOST(hosts, "SSLEngine", "on");
    assert_null(accepts(hosts));
    add(&ap_conftree, "SSLCipherSuite", "TLSv1.3 TLS_AES_128_GCM_SHA256");
    assert_null(accepts(hosts));
    add(&ap_conftree, "SSLCipherSuite", LEVEL(4));
    assert_non_null(accepts(hosts));
    hosts = begin();
    add(&ap_conftree, "SSLCipherSuite", LEVEL(4));
    HOST(hosts, "SSLEngine", "on", "SSLCipherSuite", "SSL " LEVEL(1));
    assert_null(accepts(hosts));
}

/* mod_ssl ends the server over any of them. */
static void test_set_is_tried_for_each_host_that_shares_it(void **state)
{
    apr_array_header_t *hosts = begin();

    (void)state;
    HOST(hosts, "SSLEngine", "on");
    HOST(hosts, "SSLEngine", "on", "SSLCipherSuite", LEVEL(4));
    assert_non_null(accepts(hosts));
    hosts = begin();
    protocol = "https";
    HOST(hosts, "SSLEngine", "on");
    HOST(hosts, "SSLCipherSuite", LEVEL(4));
    assert_non_null(accepts(hosts));
    hosts = begin();
    add(&ap_conftree, "SSLEngine", "on");
    HOST(hosts, "SSLCipherSuite", LEVEL(4));
    assert_non_null(accepts(hosts));
}

/* A set that would do is not refused for those that do not show it. */
static void test_hosts_that_do_not_show_the_set_have_no_say(void **state)
{
    apr_array_header_t *hosts = begin();

    (void)state;
    HOST(hosts, "SSLEngine", "on", "SSLCipherSuite", LEVEL(1));
    HOST(hosts, "SSLCipherSuite", LEVEL(4));
    HOST(hosts, "SSLEngine", "Off", "SSLCipherSuite", LEVEL(4));
    HOST(hosts, "SSLEngine", "on", "SSLCipherSuite", LEVEL(4),
         "SSLCertificateFile", "own.pem");
    assert_null(accepts(hosts));
}

static const struct CMUnitTest tests[] = {
    POOL_TEST(test_set_is_tried_at_the_level_of_its_host),
    POOL_TEST(test_set_is_tried_for_each_host_that_shares_it),
    POOL_TEST(test_hosts_that_do_not_show_the_set_have_no_say),
};

RUN_TESTS(tests)
