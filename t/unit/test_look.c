/* Which files would not let the server start. */
#include "core_test.h"

#include <stdlib.h>
#include <unistd.h>

#include <apr_file_io.h>
#include <httpd.h>
#include <http_config.h>
#include <util_cfgtree.h>

#include "core/cert.h"
#include "core/key.h"
#include "httpd/config.h"
#include "httpd/log.h"
#include "httpd/look.h"

static module *no_modules[] = { NULL };
module **ap_loaded_modules = no_modules;
ap_directive_t *ap_conftree;
static const char *told; /* keys that were named */

/* --- of httpd, config.c and log.c ------------------------------------------------------------- */

AP_DECLARE(char *) ap_getword_conf(apr_pool_t *result, const char **line)
{
    const char *begin = *line + (**line == '"');
    const char *end = begin + strcspn(begin, "\" ");
    char *word = apr_pstrmemdup(result, begin, (apr_size_t)(end - begin));

    *line = end + strspn(end, "\" ");
    return word;
}

AP_DECLARE(char *) ap_server_root_relative(apr_pool_t *p, const char *name)
{
    return apr_pstrdup(p, name);
}

acme_global_config_t *acme_config_global(void)
{
    static acme_global_config_t global;

    return &global;
}

void acme_log_msg(server_rec *s, apr_pool_t *scratch, acme_msg_t msg, ...)
{
    va_list args;

    (void)s;
    (void)scratch;
    assert_int_equal(msg, ACME_E_LOOK_PAIR);
    va_start(args, msg);
    va_arg(args, const char *);
    told = apr_pstrcat(pool, told, " ", va_arg(args, const char *), NULL);
    va_end(args);
}

/* --- files and lines ---------------------------------------------------------------- */

static const char *folder;

static void put(const char *name, const char *text)
{
    const char *path = apr_pstrcat(pool, folder, "/", name, NULL);
    apr_file_t *file;

    assert_int_equal(apr_file_open(&file, path,
                                   APR_FOPEN_WRITE | APR_FOPEN_CREATE,
                                   APR_FPROT_OS_DEFAULT, pool),
                     APR_SUCCESS);
    apr_file_puts(text, file);
    apr_file_close(file);
}

/* a.pem and a.key, and both in a.both. */
static void put_pair(const char *name)
{
    acme_chain_t made = { NULL, NULL };
    EVP_PKEY *key;
    const char *cert, *pem;

    assert_no_err(acme_key_make(&key, ACME_KEY_ECDSA_P256, pool));
    assert_no_err(acme_cert_placeholder(&made.leaf, key, idents("shop.example"),
                                        apr_time_now(), pool));
    made.issuers = sk_X509_new_null();
    assert_no_err(acme_chain_to_pem(&cert, &made, pool));
    sk_X509_free(made.issuers);
    assert_no_err(acme_key_to_pem(&pem, key, pool));
    put(apr_pstrcat(pool, name, ".pem", NULL), cert);
    put(apr_pstrcat(pool, name, ".key", NULL), pem);
    put(apr_pstrcat(pool, name, ".both", NULL),
        apr_pstrcat(pool, cert, pem, NULL));
}

static void add(ap_directive_t **section, const char *name, const char *args)
{
    ap_directive_t *node = apr_pcalloc(pool, sizeof(*node));

    node->directive = name;
    node->args = args;
    while (*section) {
        section = &(*section)->next;
    }
    *section = node;
}

static void pair(ap_directive_t **section, const char *cert, const char *key)
{
    add(section, "SSLCertificateFile",
        apr_pstrcat(pool, folder, "/", cert, NULL));
    add(section, "SSLCertificateKeyFile",
        apr_pstrcat(pool, folder, "/", key, NULL));
}

/* @return where its lines go */
static ap_directive_t **host(void)
{
    ap_directive_t *last;

    add(&ap_conftree, "<VirtualHost", "*:443>");
    for (last = ap_conftree; last->next; last = last->next) {
    }
    return &last->first_child;
}

static int begin(void **state)
{
    char *path;

    assert_int_equal(pool_setup(state), 0);
    path = apr_pstrdup(pool, "/tmp/acme-look-XXXXXX");
    folder = mkdtemp(path);
    assert_non_null(folder);
    put_pair("a");
    put_pair("b");
    ap_conftree = NULL;
    told = "";
    return 0;
}

static int end(void **state)
{
    static const char *const NAMES[] = { "a.pem", "a.key", "a.both",
                                         "b.pem", "b.key", "b.both" };

    for (size_t i = 0; i < sizeof(NAMES) / sizeof(NAMES[0]); i++) {
        unlink(apr_pstrcat(pool, folder, "/", NAMES[i], NULL));
    }
    assert_int_equal(rmdir(folder), 0);
    unsetenv(ACME_LOOK_VARIABLE);
    return pool_teardown(state);
}

/* By a child that has read what the server has. */
static int look(void)
{
    setenv(ACME_LOOK_VARIABLE, acme_look_digest(pool), 1);
    return acme_look_compare(NULL, pool);
}

/* --- tests ----------------------------------------------------------------------------- */

static void test_pair_that_does_not_fit_is_told(void **state)
{
    ap_directive_t **one = host(), **two = host();

    (void)state;
    add(one, "SSLEngine", "on");
    pair(one, "a.pem", "a.key");
    add(two, "SSLEngine", "on");
    pair(two, "b.pem", "a.key");
    assert_int_equal(look(), 1);
    assert_non_null(strstr(told, "a.key"));
}

/* The server itself may well be without TLS. */
static void test_pair_of_the_server_is_that_of_each_host_with_tls(void **state)
{
    (void)state;
    add(&ap_conftree, "SSLEngine", "off");
    pair(&ap_conftree, "b.pem", "a.key");
    add(host(), "SSLEngine", "on");
    add(host(), "SSLEngine", "on");
    assert_int_equal(look(), 1);
}

/* As many of its own as there are take the place of the server's. */
static void test_pair_of_a_host_takes_the_place_of_the_servers(void **state)
{
    ap_directive_t **one = host();

    (void)state;
    pair(&ap_conftree, "b.pem", "a.key");
    add(one, "SSLEngine", "on");
    pair(one, "a.pem", "a.key");
    assert_int_equal(look(), 0);
    pair(&ap_conftree, "a.pem", "b.key"); /* the host's second one */
    assert_int_equal(look(), 1);
    assert_non_null(strstr(told, "b.key"));
}

static void test_key_may_be_in_the_file_of_its_certificate(void **state)
{
    ap_directive_t **one = host();

    (void)state;
    add(&ap_conftree, "SSLEngine", "on");
    add(&ap_conftree, "SSLCertificateFile",
        apr_pstrcat(pool, folder, "/a.both", NULL));
    pair(one, "b.pem", "b.key");
    assert_int_equal(look(), 0);
    add(host(), "SSLCertificateFile",
        apr_pstrcat(pool, folder, "/b.pem", NULL));
    assert_int_equal(look(), 1);
}

static void test_protocol_stands_for_the_engine(void **state)
{
    ap_directive_t **one = host();

    (void)state;
    pair(one, "b.pem", "a.key");
    assert_int_equal(look(), 0);
    add(one, "Protocol", "https");
    assert_int_equal(look(), 1);
}

static void test_pair_that_nobody_loads_is_no_fault(void **state)
{
    ap_directive_t **one = host(), **two = host();

    (void)state;
    add(&ap_conftree, "SSLEngine", "off");
    pair(&ap_conftree, "b.pem", "a.key");
    pair(one, "b.pem", "a.key");
    add(two, "SSLEngine", "\"off\"");
    pair(two, "b.pem", "a.key");
    assert_int_equal(look(), 0);
}

static void test_nothing_is_looked_at_without_being_asked(void **state)
{
    (void)state;
    add(&ap_conftree, "SSLEngine", "on");
    pair(&ap_conftree, "b.pem", "a.key");
    assert_int_equal(acme_look_compare(NULL, pool), 0);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, begin, end)

static const struct CMUnitTest tests[] = {
    TEST(test_pair_that_does_not_fit_is_told),
    TEST(test_pair_of_the_server_is_that_of_each_host_with_tls),
    TEST(test_pair_of_a_host_takes_the_place_of_the_servers),
    TEST(test_key_may_be_in_the_file_of_its_certificate),
    TEST(test_protocol_stands_for_the_engine),
    TEST(test_pair_that_nobody_loads_is_no_fault),
    TEST(test_nothing_is_looked_at_without_being_asked),
};

RUN_TESTS(tests)
