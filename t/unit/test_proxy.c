#include "core_test.h"

#include "engine/proxy.h"

static acme_proxy_t *parse(const char *text)
{
    acme_proxy_t *proxy = NULL;

    assert_no_err(acme_proxy_parse(&proxy, text, pool));
    return proxy;
}

static void test_proxy_url_is_taken_apart(void **state)
{
    acme_proxy_t *proxy = parse("http://proxy.example.org:3128");

    (void)state;
    assert_string_equal(proxy->url, "http://proxy.example.org:3128");
    assert_null(proxy->user);
    assert_null(proxy->trust_file);

    proxy = parse("HTTPS://[2001:db8::7]:8443/");
    assert_string_equal(proxy->url, "https://[2001:db8::7]:8443");

    proxy = parse("http://me:s%40cret%3a@192.0.2.1:80");
    assert_string_equal(proxy->url, "http://192.0.2.1:80");
    assert_string_equal(proxy->user, "me");
    assert_string_equal(proxy->password, "s@cret:");

    proxy = parse("http://me@proxy:3128");
    assert_string_equal(proxy->user, "me");
    assert_string_equal(proxy->password, "");

    proxy = parse("http://me:p@ss/w?rd@proxy:3128");
    assert_string_equal(proxy->url, "http://proxy:3128");
    assert_string_equal(proxy->password, "p@ss/w?rd");
}

static void test_proxy_nonsense_is_refused_without_its_password(void **state)
{
    static const char *const texts[] = {
        "",
        "none:s3cret@",
        "proxy:3128",
        "me:s3cret@proxy:3128",
        "socks5://me:s3cret@proxy:1080",
        "http://",
        "http:///",
        "http://me:s3cret@",
        "http://me:s3cret@/",
        "http://proxy",
        "https://[::1]",
        "http://proxy:",
        "http://proxy:0",
        "http://proxy:65536",
        "http://proxy:31x8",
        "http://pro xy:3128",
        "http://me:s3cret@proxy:3128/path",
        "http://me:s3cret@proxy:3128?x",
        "http://me:s3cret@proxy:3128#x",
        "http://:s3cret@proxy:3128",
        "http://@proxy:3128",
        "http://m%3ae:s3cret@proxy:3128",
        "http://me:s3cret%0d%0aX-Evil:x@proxy:3128",
        "http://me:s3cret%00@proxy:3128",
        "http://me:s3cret%zz@proxy:3128",
        "http://me:s3cret@[::1:3128",
        "http://s3cret@http://s3cret@proxy",
    };
    apr_size_t i;

    (void)state;
    for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        acme_proxy_t *proxy = NULL;
        acme_err_t *err = acme_proxy_parse(&proxy, texts[i], pool);

        if (!err) {
            fail_msg("taken: %s", texts[i]);
        }
        assert_int_equal(err->msg, ACME_E_PROXY_URL);
        assert_null(proxy);
        assert_null(strstr(err->text, "s3cret"));
    }
}

static void test_proxy_same_is_all_the_same(void **state)
{
    acme_proxy_t *one = parse("http://me:a@proxy:3128");
    acme_proxy_t *two = parse("http://me:a@proxy:3128/");

    (void)state;
    assert_true(acme_proxy_same(one, two));
    assert_true(acme_proxy_same(NULL, NULL));
    assert_false(acme_proxy_same(one, NULL));
    assert_false(acme_proxy_same(one, parse("http://me:b@proxy:3128")));
    assert_false(acme_proxy_same(one, parse("http://you:a@proxy:3128")));
    assert_false(acme_proxy_same(one, parse("http://proxy:3128")));
    assert_false(acme_proxy_same(one, parse("https://me:a@proxy:3128")));
    assert_string_equal(acme_proxy_text(one, pool), acme_proxy_text(two, pool));
    two->trust_file = "/etc/ssl/proxy.pem";
    assert_false(acme_proxy_same(one, two));
    assert_string_not_equal(acme_proxy_text(one, pool),
                            acme_proxy_text(two, pool));
    assert_string_equal(acme_proxy_text(NULL, pool), "");
}

static const struct CMUnitTest tests[] = {
    POOL_TEST(test_proxy_url_is_taken_apart),
    POOL_TEST(test_proxy_nonsense_is_refused_without_its_password),
    POOL_TEST(test_proxy_same_is_all_the_same),
};

RUN_TESTS(tests)
