/* What is said to a CA, without memory for a moment: all of it, or nothing. APR ends the
 * process where there is none; jansson says so. */
#include "core_test.h"

#include <jansson.h>
#include <stdlib.h>

#include "core/encode.h"
#include "core/errand.h"
#include "core/key.h"
#include "core/order.h"
#include "core/session.h"

#define NOW apr_time_from_sec(1795334400)
#define KID "https://ca.test/account/7"

static int left; /* allocations until the one that fails; 0: none does */
static EVP_PKEY *key, *new_key;
static apr_array_header_t *mail;

static void *allocate(size_t size)
{
    return left > 0 && --left == 0 ? NULL : malloc(size);
}

static int setup(void **state)
{
    if (pool_setup(state)) {
        return -1;
    }
    json_set_alloc_funcs(allocate, free);
    assert_no_err(acme_key_make(&key, ACME_KEY_ECDSA_P256, pool));
    assert_no_err(acme_key_make(&new_key, ACME_KEY_ECDSA_P256, pool));
    mail = apr_array_make(pool, 2, sizeof(const char *));
    APR_ARRAY_PUSH(mail, const char *) = "mailto:a@shop.example";
    APR_ARRAY_PUSH(mail, const char *) = "mailto:b@shop.example";
    return 0;
}

#define PAYLOAD_TEST(test)                                                     \
    cmocka_unit_test_setup_teardown(test, setup, pool_teardown)

/* What is asked with the n-th allocation failing, or not at all. */
typedef acme_err_t *ask_fn_t(const char **payload, const void *config, int n,
                             apr_pool_t *scratch);

static void assert_whole_or_none(ask_fn_t *ask, const void *config,
                                 const char *member)
{
    const char *whole, *payload;
    int met = 1, failures = 0;

    assert_no_err(ask(&whole, config, 0, pool));
    assert_non_null(strstr(whole, member));
    for (int n = 1; met; n++) {
        apr_pool_t *scratch;
        apr_pool_create(&scratch, pool);
        acme_err_t *err = ask(&payload, config, n, scratch);
        met = left == 0;
        left = 0;
        if (err) {
            assert_int_equal(err->class, ACME_CLASS_LOCAL);
            failures++;
        }
        else {
            assert_string_equal(payload, whole);
        }
        apr_pool_destroy(scratch);
    }
    assert_true(failures > 2);
}

/* The CA's answer to what comes before. */
static int answer(acme_reply_t *reply, const char *label)
{
    static const char DIRECTORY[] =
        "{\"newNonce\":\"https://ca.test/nonce\","
        "\"newAccount\":\"https://ca.test/new-account\","
        "\"newOrder\":\"https://ca.test/new-order\","
        "\"revokeCert\":\"https://ca.test/revoke\","
        "\"keyChange\":\"https://ca.test/key-change\","
        "\"renewalInfo\":\"https://ca.test/renewal-info\","
        "\"meta\":{\"termsOfService\":\"https://ca.test/terms\","
        "\"profiles\":{\"short\":\"https://ca.test/short\"}}}";

    int is_directory = !strcmp(label, "directory");

    memset(reply, 0, sizeof(*reply));
    reply->status = 200;
    reply->body = is_directory ? DIRECTORY : "";
    reply->len = strlen(reply->body);
    reply->nonce = is_directory ? NULL : "bm9uY2U";
    return is_directory || !strcmp(label, "newNonce");
}

/* --- the session's ------------------------------------------------------------------- */

static acme_session_t *begin(acme_session_step_t *step,
                             const acme_session_config_t *config,
                             apr_pool_t *scratch)
{
    acme_session_t *session = acme_session_create(config, scratch);
    acme_reply_t reply;

    for (int i = 0; i < 2; i++) {
        acme_session_next(step, session, 1, NOW);
        assert_int_equal(step->state, ACME_SESSION_SEND);
        assert_true(answer(&reply, step->request->label));
        acme_session_receive(session, step->request, &reply, NOW);
        acme_session_feed(session, step->request, &reply, NOW);
    }
    return session;
}

static acme_err_t *ask_session(const char **payload, const void *config, int n,
                               apr_pool_t *scratch)
{
    acme_session_step_t step;
    acme_session_t *session = begin(&step, config, scratch);

    left = n;
    acme_session_next(&step, session, 1, NOW);
    if (step.state == ACME_SESSION_FAILED) {
        return step.error;
    }
    assert_int_equal(step.state, ACME_SESSION_SEND);
    *payload = step.request->payload;
    return NULL;
}

/* An adopted account that is not there would be registered. */
static void test_payload_of_lookup_only_returns_existing(void **state)
{
    const acme_session_config_t config = {
        .directory_url = "https://ca.test/directory", .key = key, .adopted = 1
    };

    (void)state;
    assert_whole_or_none(ask_session, &config, "onlyReturnExisting");
}

static void test_payload_of_registration_is_whole(void **state)
{
    const acme_session_config_t config = {
        .directory_url = "https://ca.test/directory",
        .key = key,
        .agree_terms = 1,
        .contacts = mail,
        .eab_kid = "kid",
        .eab_hmac = "c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0IHNlY3I",
    };

    (void)state;
    assert_whole_or_none(ask_session, &config, "mailto:b@shop.example");
    assert_whole_or_none(ask_session, &config, "externalAccountBinding");
}

static void test_payload_of_new_contacts_is_whole(void **state)
{
    const acme_session_config_t config = {
        .directory_url = "https://ca.test/directory",
        .key = key,
        .contacts = mail,
        .known = { .kid = KID },
    };

    (void)state;
    assert_whole_or_none(ask_session, &config, "mailto:b@shop.example");
}

/* --- an order's ---------------------------------------------------------------------- */

static acme_err_t *ask_order(const char **payload, const void *config, int n,
                             apr_pool_t *scratch)
{
    const acme_session_config_t account = {
        .directory_url = "https://ca.test/directory",
        .key = key,
        .known = { .kid = KID },
    };
    acme_session_step_t wish;
    acme_step_t step;
    acme_session_t *session = begin(&wish, &account, scratch);
    acme_order_t *order = acme_order_create(config, scratch);

    left = n;
    acme_order_next(&step, order, session, NOW);
    if (step.kind == ACME_STEP_FAILED) {
        return step.error;
    }
    assert_int_equal(step.kind, ACME_STEP_SEND);
    *payload = step.request->payload;
    return NULL;
}

/* Another certificate than is wanted would be issued, or one that counts as new. */
static void test_payload_of_order_is_whole(void **state)
{
    const acme_order_config_t config = {
        .idents = idents("a.example b.example 192.0.2.1"),
        .profile = "short",
        .replaces = "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE",
    };

    (void)state;
    assert_whole_or_none(ask_order, &config, "\"replaces\"");
    assert_whole_or_none(ask_order, &config, "\"profile\"");
}

static acme_err_t *ask_finalize(const char **payload, const void *config, int n,
                                apr_pool_t *scratch)
{
    static const char SAVED[] =
        "{\"version\":1,\"names\":[\"a.example\"],\"state\":\"finalizing\","
        "\"url\":\"https://ca.test/order/1\","
        "\"finalize\":\"https://ca.test/order/1/finalize\"}";
    acme_order_t *order;
    acme_step_t step;

    assert_no_err(acme_order_load(&order, config, SAVED, sizeof(SAVED) - 1, NOW,
                                  scratch));
    left = n;
    acme_order_next(&step, order, NULL, NOW);
    if (step.kind == ACME_STEP_FAILED) {
        return step.error;
    }
    assert_int_equal(step.kind, ACME_STEP_SEND);
    assert_non_null(step.request->payload);
    *payload = strncmp(step.request->payload, "{\"csr\":\"MI", 10)
                   ? step.request->payload
                   : "{\"csr\":\"MI"; /* each has a signature of its own */
    return NULL;
}

static void test_payload_of_finalize_is_whole(void **state)
{
    const acme_order_config_t config = { .idents = idents("a.example"),
                                         .key = key };

    (void)state;
    assert_whole_or_none(ask_finalize, &config, "csr");
}

/* --- an errand's --------------------------------------------------------------------- */

static const char *payload_in(const char *jws, apr_pool_t *scratch)
{
    json_t *object;
    const unsigned char *data;
    apr_size_t len;

    assert_no_err(
        acme_json_parse(&object, jws, strlen(jws), 65536, "JWS", scratch));
    assert_int_equal(acme_decode_base64url(&data, &len,
                                           acme_json_string(object, "payload"),
                                           scratch),
                     APR_SUCCESS);
    return apr_pstrmemdup(pool, (const char *)data, len);
}

static acme_err_t *ask_errand(const char **payload, const void *config, int n,
                              apr_pool_t *scratch)
{
    acme_errand_t *errand = acme_errand_create(config, scratch);
    acme_errand_step_t step;
    acme_reply_t reply;

    acme_errand_next(&step, errand, NOW, scratch);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(step.state, ACME_ERRAND_SEND);
        assert_true(answer(&reply, step.label));
        acme_errand_feed(errand, &reply, NOW);
        left = i ? n : 0;
        acme_errand_next(&step, errand, NOW, scratch);
    }
    if (step.state == ACME_ERRAND_FAILED) {
        return acme_err_dup(step.error, scratch);
    }
    int spare = left;
    assert_int_equal(step.state, ACME_ERRAND_SEND);
    left = 0;
    *payload = payload_in(step.wire->body, scratch);
    left = spare;
    return NULL;
}

static acme_errand_config_t errand_of(acme_errand_kind_t kind)
{
    return (acme_errand_config_t){
        .kind = kind,
        .directory_url = "https://ca.test/directory",
        .key = key,
        .kid = KID,
        .contacts = mail,
        .new_key = new_key,
        .certificate = (const unsigned char *)"0123",
        .len = 4,
        .reason = 1,
    };
}

/* Contacts that are left out are deleted by the CA. */
static void test_payload_of_contacts_is_whole(void **state)
{
    const acme_errand_config_t config = errand_of(ACME_ERRAND_CONTACTS);

    (void)state;
    assert_whole_or_none(ask_errand, &config, "mailto:b@shop.example");
}

static void test_payload_of_revocation_is_whole(void **state)
{
    const acme_errand_config_t config = errand_of(ACME_ERRAND_REVOKE);

    (void)state;
    assert_whole_or_none(ask_errand, &config, "\"reason\":1");
}

static acme_err_t *ask_rollover(const char **payload, const void *config, int n,
                                apr_pool_t *scratch)
{
    const char *jws;

    ACME_TRY(ask_errand(&jws, config, n, scratch));
    int spare = left;
    left = 0;
    *payload = payload_in(jws, scratch);
    left = spare;
    return NULL;
}

static void test_payload_of_rollover_is_whole(void **state)
{
    const acme_errand_config_t config = errand_of(ACME_ERRAND_ROLLOVER);

    (void)state;
    assert_whole_or_none(ask_rollover, &config, "oldKey");
}

static const struct CMUnitTest tests[] = {
    PAYLOAD_TEST(test_payload_of_lookup_only_returns_existing),
    PAYLOAD_TEST(test_payload_of_registration_is_whole),
    PAYLOAD_TEST(test_payload_of_new_contacts_is_whole),
    PAYLOAD_TEST(test_payload_of_order_is_whole),
    PAYLOAD_TEST(test_payload_of_finalize_is_whole),
    PAYLOAD_TEST(test_payload_of_contacts_is_whole),
    PAYLOAD_TEST(test_payload_of_revocation_is_whole),
    PAYLOAD_TEST(test_payload_of_rollover_is_whole),
};

RUN_TESTS(tests)
