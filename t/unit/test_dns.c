#include "core_test.h"

#include "core/dns.h"
#include "dns_test.h"

static acme_dns_answer_t *parse(const message_t *m)
{
    return acme_dns_parse(m->octets, m->len, pool);
}

static message_t sample(void)
{
    message_t m;

    begin_message(&m, 1, 0x8400, "_acme-challenge.Shop.test", ACME_DNS_TXT);
    put_record(&m, 0, "_acme-challenge.shop.test", ACME_DNS_CNAME,
               "X.other.test");
    put_record(&m, 0, "x.other.TEST", ACME_DNS_TXT, "value one");
    put_record(&m, 0, "x.other.test", ACME_DNS_TXT, "two");
    put_record(&m, 1, "other.test", ACME_DNS_SOA, "");
    put_record(&m, 1, "test", ACME_DNS_SOA, "");
    put_record(&m, 2, "x.other.test", ACME_DNS_TXT, "not in the answer");
    return m;
}

static void test_answer_is_taken_apart(void **state)
{
    message_t m = sample();
    acme_dns_answer_t *answer = parse(&m);

    (void)state;
    assert_non_null(answer);
    assert_int_equal(answer->rcode, 0);
    assert_true(answer->authoritative);
    assert_false(answer->truncated);
    assert_int_equal(answer->records->nelts, 6);
    const char *name = acme_dns_canonical(answer, "_acme-challenge.shop.test");
    assert_string_equal(name, "x.other.test");
    assert_string_equal(acme_dns_zone(answer, name), "other.test");
    assert_null(acme_dns_zone(answer, "another.example"));
    assert_null(acme_dns_zone(answer, "mother.tes"));
    apr_array_header_t *found =
        acme_dns_find(answer, name, ACME_DNS_TXT, 10, pool);
    assert_int_equal(found->nelts, 2);
    assert_string_equal(APR_ARRAY_IDX(found, 0, acme_dns_record_t *)->text,
                        "value one");
    assert_int_equal(acme_dns_find(answer, name, ACME_DNS_TXT, 1, pool)->nelts,
                     1);
    assert_string_equal(acme_dns_name("WWW.Test.", pool), "www.test");
}

/* Which record comes first is up to the server, and to chance. */
static void test_cert_manager_ghsa_gx3x_records_in_any_order_are_read(
    void **state)
{
    static const struct {
        const char *owner;
        int type;
        const char *data;
    } records[] = {
        { "_acme-challenge.shop.test", ACME_DNS_CNAME, "x.other.test" },
        { "x.other.test", ACME_DNS_CNAME, "y.other.test" },
        { "y.other.test", ACME_DNS_TXT, "value" },
        { "y.other.test", ACME_DNS_A, "192.0.2.1" },
    };

    (void)state;
    for (int order = 0; order < 24; order++) {
        int left[] = { 0, 1, 2, 3 }, which = order;
        message_t m;

        begin_message(&m, 1, 0x8400, "_acme-challenge.shop.test", ACME_DNS_TXT);
        for (int count = 4; count > 0; which /= count, count--) {
            int n = left[which % count];

            left[which % count] = left[count - 1];
            put_record(&m, 0, records[n].owner, records[n].type,
                       records[n].data);
        }
        acme_dns_answer_t *answer = parse(&m);
        const char *name =
            acme_dns_canonical(answer, "_acme-challenge.shop.test");
        assert_string_equal(name, "y.other.test");
        apr_array_header_t *found =
            acme_dns_find(answer, name, ACME_DNS_TXT, 10, pool);
        assert_int_equal(found->nelts, 1);
        assert_string_equal(APR_ARRAY_IDX(found, 0, acme_dns_record_t *)->text,
                            "value");
    }
}

static void test_alias_ring_ends(void **state)
{
    message_t m;

    (void)state;
    begin_message(&m, 1, 0x8000, "a.test", ACME_DNS_TXT);
    put_record(&m, 0, "a.test", ACME_DNS_CNAME, "b.test");
    put_record(&m, 0, "b.test", ACME_DNS_CNAME, "a.test");
    assert_non_null(acme_dns_canonical(parse(&m), "a.test"));
}

static void test_long_text_is_joined(void **state)
{
    message_t m;
    char text[601];

    (void)state;
    memset(text, 'x', 600);
    text[600] = '\0';
    begin_message(&m, 1, 0x8000, "a.test", ACME_DNS_TXT);
    put_record(&m, 0, "a.test", ACME_DNS_TXT, text);
    assert_string_equal(
        APR_ARRAY_IDX(parse(&m)->records, 0, acme_dns_record_t *)->text, text);
}

static void test_compressed_names_are_read(void **state)
{
    message_t m;

    (void)state;
    begin_message(&m, 1, 0x8000, "a.b.test", ACME_DNS_NS);
    m.octets[7] = 1;
    put16(&m, 0xc00c + 2); /* "b.test" */
    put16(&m, ACME_DNS_NS);
    put16(&m, 1);
    put16(&m, 0);
    put16(&m, 60);
    put16(&m, 5);
    put8(&m, 2);
    put8(&m, 'n');
    put8(&m, 's');
    put16(&m, 0xc00c);
    acme_dns_answer_t *answer = parse(&m);
    const acme_dns_record_t *record =
        APR_ARRAY_IDX(answer->records, 0, acme_dns_record_t *);
    assert_string_equal(record->owner, "b.test");
    assert_string_equal(record->target, "ns.a.b.test");
}

static void test_odd_octets_in_names_are_escaped(void **state)
{
    message_t m;

    (void)state;
    begin_message(&m, 1, 0x8000, "a", 1);
    m.octets[7] = 1;
    put8(&m, 3);
    put8(&m, '.');
    put8(&m, '\n');
    put8(&m, 0);
    put8(&m, 0);
    put16(&m, 1);
    put16(&m, 1);
    put16(&m, 0);
    put16(&m, 0);
    put16(&m, 0);
    assert_string_equal(
        APR_ARRAY_IDX(parse(&m)->records, 0, acme_dns_record_t *)->owner,
        "\\046\\010\\000");
}

static void test_pointer_to_itself_or_forward_is_refused(void **state)
{
    int to;

    (void)state;
    for (to = 0; to < 0x40; to++) {
        message_t m;

        begin_message(&m, 1, 0x8000, "a", 1);
        m.octets[7] = 1;
        apr_size_t here = m.len;
        put16(&m, 0xc000 | to);
        put16(&m, 1);
        put16(&m, 1);
        put16(&m, 0);
        put16(&m, 0);
        put16(&m, 0);
        if ((apr_size_t)to >= here) {
            assert_int_equal(parse(&m)->records->nelts, 0);
        }
        else {
            parse(&m);
        }
    }
}

static void test_no_answer_is_none(void **state)
{
    message_t m = sample();

    (void)state;
    m.octets[2] &= 0x7f;
    assert_null(parse(&m));
    assert_null(acme_dns_parse(m.octets, 11, pool));
}

/* Every message cut off, and with each octet changed, on the heap in its own
 * size, where the sanitizer sees what is read beyond. */
static void test_damaged_messages_are_survived(void **state)
{
    static const unsigned char VALUES[] = { 0x00, 0x01, 0x3f, 0x40,
                                            0x80, 0xc0, 0xc1, 0xff };
    message_t m = sample();

    (void)state;
    for (apr_size_t len = 0; len <= m.len; len++) {
        unsigned char *copy = malloc(len ? len : 1);
        memcpy(copy, m.octets, len);
        acme_dns_answer_t *answer = acme_dns_parse(copy, len, pool);
        if (answer) {
            acme_dns_canonical(answer, "_acme-challenge.shop.test");
        }
        free(copy);
    }
    for (apr_size_t at = 0; at < m.len; at++) {
        for (apr_size_t v = 0; v < sizeof(VALUES); v++) {
            unsigned char *copy = malloc(m.len);
            memcpy(copy, m.octets, m.len);
            copy[at] = VALUES[v];
            acme_dns_answer_t *answer = acme_dns_parse(copy, m.len, pool);
            if (answer) {
                const char *name =
                    acme_dns_canonical(answer, "_acme-challenge.shop.test");
                acme_dns_zone(answer, name);
                acme_dns_find(answer, name, ACME_DNS_TXT, 9, pool);
            }
            free(copy);
        }
        apr_pool_clear(pool);
    }
}

static const struct CMUnitTest tests[] = {
    POOL_TEST(test_answer_is_taken_apart),
    POOL_TEST(test_cert_manager_ghsa_gx3x_records_in_any_order_are_read),
    POOL_TEST(test_alias_ring_ends),
    POOL_TEST(test_long_text_is_joined),
    POOL_TEST(test_compressed_names_are_read),
    POOL_TEST(test_odd_octets_in_names_are_escaped),
    POOL_TEST(test_pointer_to_itself_or_forward_is_refused),
    POOL_TEST(test_no_answer_is_none),
    POOL_TEST(test_damaged_messages_are_survived),
};

RUN_TESTS(tests)
