#include "core_test.h"

#include "core/cert.h"
#include "core/key.h"
#include "engine/record.h"

#define NOW apr_time_from_sec(1800000000)

static acme_record_t *sample(const char *names)
{
    acme_record_t *record = apr_pcalloc(pool, sizeof(*record));
    apr_array_header_t *list = idents(names);
    EVP_PKEY *key;
    X509 *cert;

    assert_no_err(acme_key_make(&key, ACME_KEY_ECDSA_P256, pool));
    assert_no_err(acme_cert_placeholder(&cert, key, list, NOW, pool));
    assert_no_err(acme_record_describe(record, cert, pool));
    record->name = APR_ARRAY_IDX(list, 0, acme_ident_t *)->value;
    record->key_type = ACME_KEY_ECDSA_P256;
    record->number = 7;
    record->ca_url = "https://ca.example/directory";
    record->account_url = "https://ca.example/account/1";
    record->profile = "shortlived";
    record->issued = NOW;
    record->ari_id = "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE";
    record->ocsp = "http://ocsp.ca.example/";
    record->must_staple = 1;
    record->proved_by = "http-01 -";
    record->challenges = "tls-alpn-01 http-01";
    record->ending = (acme_ending_t){ "_validation-persist.a.test", NOW, 0 };
    return record;
}

static const char *formatted(const acme_record_t *record)
{
    const char *json = NULL;

    assert_no_err(acme_record_format(&json, record, pool));
    return json;
}

static acme_record_t *parsed(const char *json)
{
    acme_record_t *record = NULL;

    assert_no_err(acme_record_parse(&record, json, strlen(json), "it", pool));
    return record;
}

static void test_record_describe_takes_from_the_leaf(void **state)
{
    acme_record_t *record = sample("shop.example www.shop.example");

    (void)state;
    assert_int_equal(record->not_before, NOW);
    assert_true(record->not_after > NOW);
    assert_int_equal(record->idents->nelts, 2);
    assert_string_equal(record->issuer, "mod_acme placeholder");
    assert_int_equal(strlen(record->fingerprint), 64);
    assert_true(strlen(record->serial) > 8);
}

static void test_record_returns_as_it_went(void **state)
{
    acme_record_t *record =
        sample("shop.example *.shop.example 192.0.2.1 2001:db8::1");
    acme_record_t *again = parsed(formatted(record));

    (void)state;
    assert_string_equal(again->name, record->name);
    assert_int_equal(again->key_type, record->key_type);
    assert_int_equal(again->number, 7);
    assert_string_equal(again->ca_url, record->ca_url);
    assert_string_equal(again->account_url, record->account_url);
    assert_string_equal(again->profile, record->profile);
    assert_string_equal(again->proved_by, record->proved_by);
    assert_string_equal(again->ending.name, record->ending.name);
    assert_int_equal(again->ending.until, NOW);
    assert_string_equal(again->challenges, record->challenges);
    assert_true(acme_idents_equal(again->idents, record->idents));
    assert_int_equal(again->not_before, record->not_before);
    assert_int_equal(again->not_after, record->not_after);
    assert_int_equal(again->issued, record->issued);
    assert_string_equal(again->serial, record->serial);
    assert_string_equal(again->issuer, record->issuer);
    assert_string_equal(again->fingerprint, record->fingerprint);
    assert_string_equal(again->ari_id, record->ari_id);
    assert_string_equal(again->ocsp, record->ocsp);
    assert_true(again->must_staple);
}

static void test_record_without_options_reads_null(void **state)
{
    acme_record_t *record = sample("shop.example");

    (void)state;
    record->profile = record->ari_id = record->account_url = NULL;
    record->ca_url = record->ocsp = NULL;
    record->must_staple = 0;
    record->issued = 0;
    record->issuer = "";
    acme_record_t *again = parsed(formatted(record));
    assert_null(again->profile);
    assert_null(again->ari_id);
    assert_null(again->ocsp);
    assert_false(again->must_staple);
    assert_null(again->account_url);
    assert_null(again->ca_url);
    assert_int_equal(again->issued, 0);
    assert_string_equal(again->issuer, "");
}

static void test_record_100_long_names_return(void **state)
{
    acme_record_t *record = sample("shop.example");
    const char *label =
        "abcdefghijklmnopqrstuvwxyz-abcdefghijklmnopqrstuvwxyz-0123456";

    (void)state;
    for (int i = 1; i < 100; i++) {
        APR_ARRAY_PUSH(record->idents, acme_ident_t *) = ident(
            apr_psprintf(pool, "n%d.%s.%s.%s.example", i, label, label, label));
    }
    assert_int_equal(parsed(formatted(record))->idents->nelts, 100);
}

static void test_record_every_cut_refused(void **state)
{
    const char *json = formatted(sample("shop.example"));
    acme_record_t *record;

    (void)state;
    for (apr_size_t len = 0; len < strlen(json) - 2; len++) {
        assert_err(acme_record_parse(&record, json, len, "it", pool),
                   ACME_E_STORE_DAMAGED);
    }
}

/* A record's JSON with the first occurrence of from replaced. */
static const char *edited(const char *from, const char *to)
{
    char *copy = apr_pstrdup(pool, formatted(sample("shop.example")));
    char *at = strstr(copy, from);

    if (!at) {
        fail_msg("%s is not in the record", from);
        return NULL;
    }
    *at = '\0';
    return apr_pstrcat(pool, copy, to, at + strlen(from), NULL);
}

static void test_record_wrong_members_refused(void **state)
{
    static const char *const edits[][2] = {
        { "\"number\": 7", "\"number\": 0" },
        { "\"number\": 7", "\"number\": -7" },
        { "\"number\": 7", "\"number\": 4294967303" },
        { "\"number\": 7", "\"number\": \"7\"" },
        { "\"ecdsa-p256\"", "\"ed448\"" },
        { "\"ecdsa-p256\"", "7" },
        { "\"name\":", "\"name\": \"a\", \"name\":" },
        { "\"name\": \"shop", "\"name\": \"\\u0000shop" },
        { "\"name\": \"shop", "\"name\": \"\\u001b[1mshop" },
        { "\"not_after\": \"", "\"not_after\": \"x" },
        { "\"not_after\"", "\"never_after\"" },
        { "\"issued\": \"", "\"issued\": \"x" },
        { "\"type\": \"dns\"", "\"type\": \"mail\"" },
        { "\"value\": \"shop.example\"", "\"value\": \"\"" },
        { "\"identifiers\": [", "\"identifiers\": [ 7," },
        { "\"identifiers\":", "\"identifiers\": [], \"was\":" },
        { "\"fingerprint\"", "\"fingerprints\"" },
        { "\"profile\": \"shortlived\"", "\"profile\": [ \"shortlived\" ]" },
    };
    acme_record_t *record;

    (void)state;
    for (unsigned i = 0; i < sizeof(edits) / sizeof(edits[0]); i++) {
        const char *json = edited(edits[i][0], edits[i][1]);
        assert_err(acme_record_parse(&record, json, strlen(json), "it", pool),
                   ACME_E_STORE_DAMAGED);
    }
}

static void test_record_error_names_the_file_and_member(void **state)
{
    const char *json = edited("\"number\": 7", "\"number\": 0");
    acme_record_t *record;
    acme_err_t *err = acme_record_parse(&record, json, strlen(json),
                                        "/store/record.json", pool);

    (void)state;
    assert_non_null(err);
    assert_non_null(strstr(err->text, "/store/record.json"));
    assert_non_null(strstr(err->text, "number"));
}

/* A delay counts from the issue, but for one by a clock that was a year ahead. */
static void test_record_is_ready_in_time_whatever_the_clock_was(void **state)
{
    const apr_time_t day = apr_time_from_sec(86400);
    acme_record_t record = { .not_before = NOW - day, .issued = NOW };

    (void)state;
    assert_int_equal(acme_record_ready(&record, day, NOW + 1), NOW + day);
    /* another server's clock may be a little ahead */
    record.issued = NOW + apr_time_from_sec(60);
    assert_int_equal(acme_record_ready(&record, day, NOW), record.issued + day);
    record.issued = NOW + 365 * day;
    assert_int_equal(acme_record_ready(&record, day, NOW), NOW);
}

static const struct CMUnitTest tests[] = {
    POOL_TEST(test_record_describe_takes_from_the_leaf),
    POOL_TEST(test_record_returns_as_it_went),
    POOL_TEST(test_record_without_options_reads_null),
    POOL_TEST(test_record_100_long_names_return),
    POOL_TEST(test_record_every_cut_refused),
    POOL_TEST(test_record_wrong_members_refused),
    POOL_TEST(test_record_error_names_the_file_and_member),
    POOL_TEST(test_record_is_ready_in_time_whatever_the_clock_was),
};

RUN_TESTS(tests)
