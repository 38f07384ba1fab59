/* Handshakes with oneself: at how many hosts, and as which of them. */
#include "core_test.h"
#include "directive_test.h"

#include <httpd.h>
#include <http_config.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "core/cert.h"
#include "core/key.h"
#include "httpd/config.h"
#include "httpd/selftest.h"
#include "httpd/tls.h"

ap_directive_t *ap_conftree;
static server_rec *first;
static acme_managed_t *managed;
static EVP_PKEY *key;
static acme_chain_t *chain;
static acme_record_t *record;
static int tried; /* handshakes */

/* --- of httpd, config.c and tls.c ---------------------------------------------- */

AP_DECLARE(char *) ap_getword_conf(apr_pool_t *result, const char **line)
{
    const char *end = *line + strcspn(*line, " ");
    char *word = apr_pstrmemdup(result, *line, (apr_size_t)(end - *line));

    *line = end + strspn(end, " ");
    return word;
}

acme_server_config_t *acme_config_of(const server_rec *s)
{
    return (acme_server_config_t *)s->module_config;
}

acme_err_t *acme_tls_may_show(const acme_live_t *live, const acme_set_t *set,
                              apr_pool_t *scratch)
{
    (void)live;
    (void)set;
    (void)scratch;
    return NULL;
}

acme_err_t *acme_tls_settle(acme_live_t *live, apr_pool_t *scratch)
{
    (void)live;
    (void)scratch;
    return NULL;
}

void acme_tls_choose(SSL *ssl, acme_live_t *live)
{
    (void)live;
    tried++;
    if (SSL_use_cert_and_key(ssl, chain->leaf, key, chain->issuers, 1) != 1) {
        ERR_clear_error(); /* the handshake goes on with what is left */
    }
}

/* --- what is configured ----------------------------------------------------------- */

/* @param command  of SSLOpenSSLConfCmd, or NULL. @return as mod_ssl set it up */
static SSL_CTX *add_host(int line, const char *command)
{
    ap_directive_t *section = add(&ap_conftree, "<VirtualHost", "*:443");
    server_rec *host = apr_pcalloc(pool, sizeof(*host)), **end = &first;
    acme_server_config_t *config = apr_pcalloc(pool, sizeof(*config));

    section->line_num = line;
    if (command) {
        add(&section->first_child, "SSLOpenSSLConfCmd", command);
    }
    config->managed = managed;
    config->live = (acme_live_t *)(void *)managed;
    config->tls = SSL_CTX_new(TLS_server_method());
    host->module_config = (struct ap_conf_vector_t *)config;
    host->is_virtual = 1;
    host->defn_name = section->filename;
    host->defn_line_number = (unsigned)line;
    while (*end) {
        end = &(*end)->next;
    }
    *end = host;
    return config->tls;
}

static int begin(void **state)
{
    acme_chain_t made = { NULL, NULL };
    const char *pem;

    assert_int_equal(pool_setup(state), 0);
    ap_conftree = NULL;
    first = NULL;
    tried = 0;
    managed = apr_pcalloc(pool, sizeof(*managed));
    managed->idents = idents("shop.example");
    assert_no_err(acme_key_make(&key, ACME_KEY_ECDSA_P256, pool));
    assert_no_err(acme_cert_placeholder(&made.leaf, key, managed->idents,
                                        apr_time_now(), pool));
    assert_no_err(acme_chain_to_pem(&pem, &made, pool));
    assert_no_err(acme_chain_parse(&chain, pem, strlen(pem), pool));
    record = apr_pcalloc(pool, sizeof(*record));
    assert_no_err(acme_record_describe(record, chain->leaf, pool));
    record->key_type = ACME_KEY_ECDSA_P256;
    return 0;
}

static int end(void **state)
{
    for (; first; first = first->next) {
        SSL_CTX_free(acme_config_of(first)->tls);
    }
    return pool_teardown(state);
}

static acme_err_t *check(void)
{
    return acme_selftest_check(first, managed, record, pool);
}

/* --- tests -------------------------------------------------------------------------- */

/* A wildcard may have any number of hosts; meanwhile the engine does nothing else,
 * keeps no lease, and does not stop. */
static void test_hosts_that_do_it_alike_are_tried_once(void **state)
{
    (void)state;
    for (int i = 1; i <= 200; i++) {
        add_host(i, i % 2 ? "Groups P-256" : NULL);
    }
    assert_no_err(check());
    assert_int_equal(tried, 2);
}

static void test_hosts_that_differ_are_each_tried(void **state)
{
    (void)state;
    add_host(1, NULL);
    add_host(2, "Groups P-256");
    add_host(3, "Groups P-384");
    SSL_CTX_set_security_level(add_host(4, NULL), 3);
    SSL_CTX_set_max_proto_version(add_host(5, NULL), TLS1_2_VERSION);
    SSL_CTX_set_options(add_host(6, NULL), SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_ciphersuites(add_host(7, NULL), "TLS_AES_128_GCM_SHA256");
    SSL_CTX_set_cipher_list(add_host(8, NULL), "ECDHE-ECDSA-AES128-GCM-SHA256");
    assert_no_err(check());
    assert_int_equal(tried, 8);
}

static void test_host_that_does_not_take_it_is_named_behind_any_others(
    void **state)
{
    acme_err_t *err;

    (void)state;
    for (int i = 1; i <= 20; i++) {
        add_host(i, NULL);
    }
    SSL_CTX_set_security_level(add_host(21, NULL), 4);
    add_host(22, "SignatureAlgorithms RSA+SHA256");
    err = check();
    assert_non_null(err);
    assert_int_equal(err->msg, ACME_E_SELF_TEST);
    assert_non_null(strstr(err->text, "sites.conf:21"));
}

static void test_what_is_set_for_the_server_holds_for_each_host(void **state)
{
    acme_err_t *err;

    (void)state;
    add_host(1, NULL);
    add_host(2, "SignatureAlgorithms ECDSA+SHA256");
    add(&ap_conftree, "SSLOpenSSLConfCmd", "SignatureAlgorithms RSA+SHA256");
    err = check();
    assert_non_null(err);
    assert_non_null(strstr(err->text, "sites.conf:1"));
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, begin, end)

static const struct CMUnitTest tests[] = {
    TEST(test_hosts_that_do_it_alike_are_tried_once),
    TEST(test_hosts_that_differ_are_each_tried),
    TEST(test_host_that_does_not_take_it_is_named_behind_any_others),
    TEST(test_what_is_set_for_the_server_holds_for_each_host),
};

RUN_TESTS(tests)
