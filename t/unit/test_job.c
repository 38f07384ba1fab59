/* What a job decides, and what of it outlives the process. */
#include "core_test.h"

#include "core/blame.h"
#include "core/reason.h"
#include "engine/ending.h"
#include "engine/job.h"
#include "engine/skips.h"

#define NOW  apr_time_from_sec(1800000000)
#define HOUR apr_time_from_sec(3600)
#define DAY  (24 * HOUR)

static acme_ca_t cas[2];
static acme_policy_t policy;
static acme_managed_t managed;
static acme_record_t record;
static acme_job_t job;

static apr_array_header_t *names(const char *first, const char *second)
{
    apr_array_header_t *idents = apr_array_make(pool, 2, sizeof(void *));
    acme_ident_t *ident;
    assert_null(acme_ident_parse(&ident, first, pool));
    APR_ARRAY_PUSH(idents, acme_ident_t *) = ident;
    if (second) {
        assert_null(acme_ident_parse(&ident, second, pool));
        APR_ARRAY_PUSH(idents, acme_ident_t *) = ident;
    }
    return idents;
}

/* A 90 day certificate, 10 days old, exactly as configured. */
static int job_setup(void **state)
{
    pool_setup(state);
    cas[0] = (acme_ca_t){ .url = "https://ca.example/dir" };
    cas[1] = (acme_ca_t){ .url = "https://second.example/dir" };
    policy = (acme_policy_t){ .cas = cas,
                              .ca_count = 1,
                              .key_types = { ACME_KEY_ECDSA_P256 },
                              .key_type_count = 1,
                              .http_01 = 1 };
    managed =
        (acme_managed_t){ .name = "shop.example",
                          .dir = "shop.example",
                          .idents = names("shop.example", "www.shop.example"),
                          .policy = &policy,
                          .in_use = 1 };
    record = (acme_record_t){ .name = "shop.example",
                              .key_type = ACME_KEY_ECDSA_P256,
                              .number = 3,
                              .ca_url = "https://ca.example/dir",
                              .idents = managed.idents,
                              .not_before = NOW - 10 * DAY,
                              .not_after = NOW + 80 * DAY,
                              .serial = "0a",
                              .issuer = "CA" };
    return 0;
}

static apr_time_t plan(const acme_record_t *newest)
{
    acme_job_init(&job, &managed, policy.key_types[0], pool, pool);
    acme_job_learn(&job, newest, pool);
    return acme_job_plan(&job, NOW, pool);
}

static void fail_with(acme_msg_t msg, acme_class_t class, apr_time_t retry_at)
{
    acme_job_retry_t retry = { apr_time_from_sec(60), DAY, 0 };
    acme_err_t *err = acme_err_make(pool, msg, "a", "b", NULL);
    err->class = class;
    err->retry_at = retry_at;
    acme_job_failed(&job, err, &retry, NOW, pool);
}

static acme_job_t reload(void)
{
    const char *json;
    acme_job_t again;
    assert_null(acme_job_format(&json, &job, pool));
    acme_job_init(&again, &managed, policy.key_types[0], pool, pool);
    assert_null(acme_job_parse(&again, json, strlen(json), pool, pool));
    return again;
}

static void test_job_without_set_orders_now(void **state)
{
    (void)state;
    assert_int_equal(plan(NULL), 0);
    assert_int_equal(job.status.state, ACME_STATE_WAITING);
    assert_string_equal(job.status.next_action, "order: no certificate yet");
    assert_int_equal(job.status.next_time, NOW);
}

static void test_job_valid_set_waits_for_a_third_left(void **state)
{
    (void)state;
    apr_time_t due = plan(&record);
    assert_true(due <= NOW + 50 * DAY && due >= NOW + 48 * DAY);
    assert_int_equal(job.status.state, ACME_STATE_VALID);
    assert_string_equal(job.status.next_action,
                        "renew: a third of the lifetime left");
    assert_int_equal(job.status.set_number, 3);
}

static void test_job_what_was_asked_for_and_failed_is_tried_again(void **state)
{
    (void)state;
    plan(&record);
    job.requested = ACME_REQUESTED;
    fail_with(ACME_E_CA_TRUST_FILE, ACME_CLASS_LOCAL, 0);
    assert_int_equal(job.requested, 0);
    apr_time_t due = acme_job_plan(&job, NOW, pool);
    assert_int_equal(due, job.retry_at);
    assert_in_range(due, NOW + 1, NOW + HOUR);
    assert_string_equal(job.status.next_action,
                        "retry: asked for by the administrator");
    /* and by whoever comes next, whatever was changed meanwhile */
    cas[0].trust_file = "other.pem";
    job = reload();
    acme_job_learn(&job, &record, pool);
    assert_int_equal(acme_job_plan(&job, NOW, pool), 0);
    /* where nothing is to be done by itself, that holds for this too */
    policy.renew_mode = ACME_RENEW_MANUAL;
    assert_int_equal(acme_job_plan(&job, NOW, pool), ACME_NEVER);
    policy.renew_mode = ACME_RENEW_AUTO;
    assert_null(acme_job_succeeded(&job, NOW, pool));
    assert_true(acme_job_plan(&job, NOW, pool) > NOW + DAY);
}

static void test_job_another_account_key_type_may_cure_a_failure(void **state)
{
    acme_account_key_t key = { .type = ACME_KEY_ECDSA_P256 };
    char before[ACME_JOB_FINGERPRINT];

    (void)state;
    plan(NULL);
    memcpy(before, job.settings, sizeof(before));
    cas[0].account_key = &key; /* the default, written out */
    plan(NULL);
    assert_string_equal(job.settings, before);
    key.type = ACME_KEY_RSA2048;
    plan(NULL);
    assert_string_not_equal(job.settings, before);
}

/* --- what proved the names last --- */

#define FIRST  APR_ARRAY_IDX(managed.idents, 0, acme_ident_t *)
#define SECOND APR_ARRAY_IDX(managed.idents, 1, acme_ident_t *)
#define HTTP   ACME_PROOF_BIT(ACME_PROOF_HTTP_01)
#define ALPN   ACME_PROOF_BIT(ACME_PROOF_TLS_ALPN_01)

/* As it is written down for the first and the second name. */
static void keep_proved(unsigned int first, unsigned int second)
{
    const unsigned char proved[] = { (unsigned char)first,
                                     (unsigned char)second };

    record.proved_by = record.challenges = NULL;
    acme_job_keep_proved(&record, &job, proved, pool);
}

static void test_job_remembers_what_proved_a_name_if_it_is_not_preferred(
    void **state)
{
    (void)state;
    policy.tls_alpn_01 = 1;
    plan(&record);
    keep_proved(ALPN, ALPN);
    assert_null(record.proved_by);
    assert_null(record.challenges);
    keep_proved(HTTP, HTTP);
    assert_string_equal(record.proved_by, "http-01");
    plan(&record);
    assert_int_equal(acme_job_proved(&job, FIRST), HTTP);
    assert_int_equal(acme_job_proved(&job, SECOND), HTTP);
    keep_proved(0, ALPN); /* not known: as it was */
    assert_string_equal(record.proved_by, "http-01 -");
    plan(&record);
    assert_int_equal(acme_job_proved(&job, FIRST), HTTP);
    assert_int_equal(acme_job_proved(&job, SECOND), 0);
    acme_job_disproved(&job, FIRST, ACME_PROOF_TLS_ALPN_01);
    assert_int_equal(acme_job_proved(&job, FIRST), HTTP);
    acme_job_disproved(&job, FIRST, ACME_PROOF_HTTP_01);
    assert_int_equal(acme_job_proved(&job, FIRST), 0);
}

static void test_job_forgets_what_proved_a_name_with_another_setting(
    void **state)
{
    static const char *const DAMAGED[] = { "", "-", "gopher-01", "a b c d",
                                           "http-01 http-01 http-01" };

    (void)state;
    policy.tls_alpn_01 = 1;
    plan(&record);
    keep_proved(HTTP, 0);
    apr_array_header_t *other =
        apr_array_make(pool, 1, sizeof(acme_proof_type_t));
    APR_ARRAY_PUSH(other, acme_proof_type_t) = ACME_PROOF_HTTP_01;
    policy.challenges = other;
    plan(&record);
    assert_int_equal(acme_job_proved(&job, FIRST), 0);
    policy.challenges = NULL;
    for (apr_size_t i = 0; i < sizeof(DAMAGED) / sizeof(DAMAGED[0]); i++) {
        record.proved_by = DAMAGED[i];
        plan(&record);
        assert_in_range(acme_job_proved(&job, FIRST), 0, HTTP);
    }
    acme_job_learn(&job, NULL, pool);
    assert_int_equal(acme_job_proved(&job, FIRST), 0);
}

static void test_job_reminds_of_a_record_that_ends(void **state)
{
    (void)state;
    plan(&record);
    assert_null(job.ending);
    assert_int_equal(acme_ending_due(&job), ACME_NEVER);
    acme_ending_note(&record.ending, "later", NOW + 101 * DAY);
    acme_ending_note(&record.ending, "first", NOW + 100 * DAY);
    acme_ending_note(&record.ending, "never", 0);
    plan(&record);
    assert_string_equal(job.ending->name, "first");
    assert_int_equal(acme_ending_due(&job), NOW + 70 * DAY);
    job.ending->told = NOW + 70 * DAY;
    assert_int_equal(acme_ending_due(&job), NOW + 93 * DAY);
    job.ending->told = NOW + 95 * DAY;
    assert_int_equal(acme_ending_due(&job), ACME_NEVER);
    record.ending = (acme_ending_t){ NULL, 0, 0 };
    acme_job_learn(&job, &record, pool);
    assert_int_equal(acme_ending_due(&job), ACME_NEVER);
}

static void test_job_revoked_set_is_replaced_unless_it_is_new(void **state)
{
    (void)state;
    plan(&record);
    job.revoked = 1;
    assert_true(acme_job_plan(&job, NOW, pool) <= NOW);
    assert_string_equal(job.status.next_action, "renew: the CA has revoked it");
    policy.renew_mode = ACME_RENEW_MANUAL;
    assert_int_equal(acme_job_plan(&job, NOW, pool), ACME_NEVER);
    policy.renew_mode = ACME_RENEW_AUTO;
    /* a CA that revokes at once is not asked again at once */
    record.not_before = NOW - HOUR;
    plan(&record);
    assert_false(job.revoked);
    job.revoked = 1;
    assert_int_equal(acme_job_plan(&job, NOW, pool), NOW + 5 * HOUR);
}

static void test_job_revoked_by_the_administrator_is_replaced_at_once(
    void **state)
{
    (void)state;
    record.not_before = NOW - HOUR; /* new, which holds back a CA's own */
    record.not_after = record.not_before + 90 * DAY;
    plan(&record);
    fail_with(ACME_E_CA_BUSY, ACME_CLASS_CA_RETRY, 0);
    acme_job_withdraw(&job, "0a", ACME_REASON_COMPROMISED);
    assert_int_equal(acme_job_plan(&job, NOW, pool), 0);
    assert_string_equal(job.status.next_action,
                        "order: it was revoked, for its key is compromised");
    assert_true(acme_job_shuns_key(&job));
    acme_job_t again = reload();
    assert_string_equal(again.withdrawn.serial, ""); /* of no set it has */
    acme_job_withdraw(&job, "0b", ACME_REASON_NONE);
    assert_false(acme_job_shuns_key(&job));
}

static void test_job_revoked_by_the_administrator_outlives_the_process(
    void **state)
{
    const char *json;
    acme_job_t again;

    (void)state;
    plan(&record);
    acme_job_withdraw(&job, "0a", 4);
    assert_false(acme_job_shuns_key(&job));
    assert_null(acme_job_format(&json, &job, pool));
    policy.http_01 = 0; /* another configuration forgives no revocation */
    acme_job_init(&again, &managed, policy.key_types[0], pool, pool);
    acme_job_learn(&again, &record, pool);
    assert_null(acme_job_parse(&again, json, strlen(json), pool, pool));
    assert_int_equal(again.withdrawn.reason, 4);
    assert_int_equal(acme_job_plan(&again, NOW, pool), 0);
    record.serial = "0b";
    acme_job_learn(&again, &record, pool);
    assert_string_equal(again.withdrawn.serial, "");
    assert_true(acme_job_plan(&again, NOW, pool) > NOW);
}

static void test_job_revoked_where_nobody_uses_it_is_left(void **state)
{
    (void)state;
    managed.in_use = 0;
    plan(&record);
    acme_job_withdraw(&job, "0a", ACME_REASON_NONE);
    assert_true(acme_job_plan(&job, NOW, pool) == ACME_NEVER);
    managed.in_use = 1;
    policy.renew_mode = ACME_RENEW_MANUAL;
    assert_true(acme_job_plan(&job, NOW, pool) == ACME_NEVER);
}

static void test_job_renewals_of_one_day_spread(void **state)
{
    (void)state;
    apr_time_t one = plan(&record);
    managed.name = "other.example";
    assert_int_not_equal(plan(&record), one);
}

static void test_job_set_unlike_the_configuration_orders_now(void **state)
{
    (void)state;
    record.ca_url = "https://other.example/dir";
    assert_int_equal(plan(&record), 0);
    assert_string_equal(job.status.next_action,
                        "order: another CA is configured");
    record.ca_url = NULL;
    assert_int_equal(plan(&record), 0);
    assert_string_equal(job.status.next_action,
                        "order: its record does not say which CA it is from");
    record.ca_url = cas[0].url;
    record.key_type = ACME_KEY_ECDSA_P384;
    assert_int_equal(plan(&record), 0);
    record.key_type = ACME_KEY_ECDSA_P256;
    cas[0].profile = "shortlived";
    assert_int_equal(plan(&record), 0);
    record.profile = "shortlived";
    assert_true(plan(&record) > NOW);
    record.idents = names("shop.example", NULL);
    assert_int_equal(plan(&record), 0);
    assert_string_equal(job.status.next_action, "order: names were added");
}

static void test_job_set_of_any_configured_ca_is_kept(void **state)
{
    (void)state;
    record.ca_url = cas[1].url;
    assert_int_equal(plan(&record), 0);
    policy.ca_count = 2;
    assert_true(plan(&record) > NOW);
    /* each has a profile of its own */
    cas[0].profile = "shortlived";
    assert_true(plan(&record) > NOW);
    cas[1].profile = "classic";
    assert_int_equal(plan(&record), 0);
}

static void test_job_names_taken_away_wait_for_the_renewal(void **state)
{
    (void)state;
    managed.idents = names("shop.example", NULL);
    assert_true(plan(&record) > NOW);
}

static void test_job_modes_hold_back_and_requests_do_not(void **state)
{
    (void)state;
    managed.in_use = 0;
    assert_true(plan(NULL) == ACME_NEVER);
    policy.renew_mode = ACME_RENEW_ALWAYS;
    assert_int_equal(plan(NULL), 0);
    policy.renew_mode = ACME_RENEW_MANUAL;
    assert_true(plan(&record) == ACME_NEVER);
    assert_int_equal(job.status.state, ACME_STATE_MANUAL);
    assert_int_equal(job.status.next_time, 0);
    job.requested = 1;
    assert_int_equal(acme_job_plan(&job, NOW, pool), 0);
}

static void test_job_failures_back_off(void **state)
{
    (void)state;
    plan(NULL);
    fail_with(ACME_E_CA_UNREACHABLE, ACME_CLASS_CA_RETRY, 0);
    assert_int_equal(acme_job_plan(&job, NOW, pool),
                     NOW + apr_time_from_sec(60));
    assert_int_equal(job.status.state, ACME_STATE_ERROR);
    assert_string_equal(job.status.next_action, "retry: no certificate yet");
    fail_with(ACME_E_CA_UNREACHABLE, ACME_CLASS_CA_RETRY, 0);
    assert_int_equal(job.retry_at, NOW + apr_time_from_sec(600));
    for (int i = 0; i < 40; i++) {
        fail_with(ACME_E_CA_UNREACHABLE, ACME_CLASS_CA_RETRY, 0);
        assert_true(job.retry_at <= NOW + DAY);
    }
    /* the later of both */
    fail_with(ACME_E_CA_UNREACHABLE, ACME_CLASS_CA_RETRY, NOW + 2 * DAY);
    assert_int_equal(job.retry_at, NOW + 2 * DAY);
    assert_int_equal(job.status.error_code, 1200);
    /* asked for: at once all the same */
    job.requested = 1;
    assert_int_equal(acme_job_plan(&job, NOW, pool), 0);
}

static void test_job_refusals_are_asked_again_daily(void **state)
{
    (void)state;
    plan(NULL);
    fail_with(ACME_E_CA_UNREACHABLE, ACME_CLASS_CA_FINAL, 0);
    assert_true(job.retry_at >= NOW + DAY);
    plan(NULL);
    fail_with(ACME_E_CA_UNREACHABLE, ACME_CLASS_CONFIG, 0);
    assert_true(job.retry_at >= NOW + DAY);
}

static void test_job_failures_survive_a_restart(void **state)
{
    (void)state;
    plan(NULL);
    fail_with(ACME_E_CA_UNREACHABLE, ACME_CLASS_CA_RETRY, 0);
    fail_with(ACME_E_CA_UNREACHABLE, ACME_CLASS_CA_RETRY, 0);
    apr_cpystrn(job.request, "0123456789abcdef", sizeof(job.request));
    acme_job_t again = reload();
    assert_int_equal(again.status.failures, 2);
    assert_int_equal(again.retry_at, job.retry_at);
    assert_int_equal(again.status.error_code, 1200);
    assert_int_equal(again.status.error_time, NOW);
    assert_string_equal(acme_remarks(&again.status)->error,
                        acme_remarks(&job.status)->error);
    assert_string_equal(again.request, "0123456789abcdef");
}

static void test_job_changed_configuration_forgets_failures(void **state)
{
    (void)state;
    plan(NULL);
    fail_with(ACME_E_CA_UNREACHABLE, ACME_CLASS_CA_FINAL, 0);
    policy.agree_terms = 1;
    acme_job_t again = reload();
    assert_int_equal(again.status.failures, 0);
    assert_int_equal(again.retry_at, 0);
    /* another order of names is no change */
    policy.agree_terms = 0;
    managed.idents = names("www.shop.example", "shop.example");
    again = reload();
    assert_int_equal(again.status.failures, 1);
}

static void test_job_failures_of_a_clock_ahead_hold_nothing_back(void **state)
{
    (void)state;
    plan(NULL);
    fail_with(ACME_E_CA_UNREACHABLE, ACME_CLASS_CA_FINAL, 0);
    acme_job_t again = reload();
    acme_job_check_clock(&again, DAY, NOW);
    assert_int_equal(again.retry_at, job.retry_at);
    acme_job_check_clock(&again, DAY, NOW - DAY);
    assert_int_equal(again.retry_at, 0);
    assert_int_equal(again.status.failures, 1);
    /* the attempt's moment was right, what it led to was not */
    job.retry_at = NOW + 365 * DAY;
    again = reload();
    acme_job_check_clock(&again, DAY, NOW);
    assert_int_equal(again.retry_at, 0);
    again.retry_at = NOW + 6 * DAY;
    acme_job_check_clock(&again, 7 * DAY, NOW);
    assert_int_equal(again.retry_at, NOW + 6 * DAY);
}

static void test_job_set_useless_by_a_wrong_clock_alone_is_forgiven(
    void **state)
{
    (void)state;
    plan(NULL);
    acme_job_learn(&job, &record, pool);
    job.renew_at = NOW + 60 * DAY;
    fail_with(ACME_E_SET_USELESS, ACME_CLASS_LOCAL, 0);
    acme_job_t again = reload();
    acme_job_check_clock(&again, DAY, NOW);
    assert_int_equal(again.status.error_code, ACME_E_SET_USELESS);
    acme_job_check_clock(&again, DAY, NOW - 300 * DAY);
    assert_int_equal(again.status.error_code, 0);
    assert_int_equal(again.status.failures, 0);
    assert_int_equal(again.retry_at, 0);
}

static void test_job_failure_is_over_where_nothing_is_wanted_any_more(
    void **state)
{
    (void)state;
    plan(NULL);
    fail_with(ACME_E_STORE_IO, ACME_CLASS_LOCAL, 0);
    assert_false(acme_job_outlives_failure(&job, NOW, pool));
    assert_int_equal(job.status.failures, 1);
    acme_job_learn(&job, &record, pool); /* it was there all the time */
    job.renew_at = NOW;
    assert_false(acme_job_outlives_failure(&job, NOW, pool));
    job.renew_at = NOW + 60 * DAY;
    assert_true(acme_job_outlives_failure(&job, NOW, pool));
    assert_int_equal(job.status.failures, 0);
    assert_false(acme_job_outlives_failure(&job, NOW, pool));
}

static void test_job_damaged_doc_leaves_the_job_alone(void **state)
{
    (void)state;
    static const char *const DOCS[] = {
        "", "{", "[]", "{}", "{\"settings\":1}", "{\"settings\":null}"
    };
    plan(NULL);
    for (unsigned i = 0; i < sizeof(DOCS) / sizeof(DOCS[0]); i++) {
        acme_err_t *err =
            acme_job_parse(&job, DOCS[i], strlen(DOCS[i]), pool, pool);
        assert_non_null(err);
        assert_int_equal(err->msg, ACME_E_JOB_DOC);
        assert_int_equal(job.status.failures, 0);
    }
}

static void test_job_success_clears_and_never_loops(void **state)
{
    (void)state;
    plan(NULL);
    fail_with(ACME_E_CA_UNREACHABLE, ACME_CLASS_CA_RETRY, 0);
    acme_job_learn(&job, &record, pool);
    assert_null(acme_job_succeeded(&job, NOW, pool));
    assert_true(acme_job_plan(&job, NOW, pool) > NOW + 40 * DAY);
    assert_int_equal(job.status.state, ACME_STATE_VALID);
    assert_int_equal(job.status.error_code, 0);
}

/* Issued, learnt, and of no use: what is told, and when it is ordered again. */
static apr_interval_time_t pause_after_useless(void)
{
    acme_job_retry_t retry = { apr_time_from_sec(60), DAY, 0 };
    acme_job_learn(&job, &record, pool);
    acme_err_t *err = acme_job_succeeded(&job, NOW, pool);
    assert_non_null(err);
    assert_int_equal(err->msg, ACME_E_SET_USELESS);
    acme_job_failed(&job, err, &retry, NOW, pool);
    job = reload();
    acme_job_learn(&job, &record, pool);
    return acme_job_plan(&job, NOW, pool) - NOW;
}

static void test_job_set_due_at_once_backs_off_over_restarts(void **state)
{
    (void)state;
    plan(NULL);
    fail_with(ACME_E_CA_UNREACHABLE, ACME_CLASS_CA_RETRY, 0);
    fail_with(ACME_E_CA_UNREACHABLE, ACME_CLASS_CA_RETRY, 0);
    record.not_before = NOW - 70 * DAY;
    record.not_after = NOW + 20 * DAY;
    assert_int_equal(pause_after_useless(), apr_time_from_sec(60));
    assert_int_equal(pause_after_useless(), apr_time_from_sec(600));
    assert_int_equal(pause_after_useless(), apr_time_from_sec(6000));
    for (int i = 0; i < 20; i++) {
        pause_after_useless();
    }
    assert_int_equal(pause_after_useless(), DAY);
    record.not_before = NOW;
    record.not_after = NOW + 90 * DAY;
    acme_job_learn(&job, &record, pool);
    assert_null(acme_job_succeeded(&job, NOW, pool));
    assert_int_equal(job.status.failures, 0);
}

static void test_job_set_that_still_differs_backs_off(void **state)
{
    (void)state;
    plan(NULL);
    record.profile = "odd";
    assert_int_equal(pause_after_useless(), apr_time_from_sec(60));
    assert_int_equal(pause_after_useless(), apr_time_from_sec(600));
}

/* --- several CAs -------------------------------------------------------------- */

static int try_cas(acme_msg_t msg, apr_time_t now)
{
    acme_job_retry_t retry = { apr_time_from_sec(60), DAY, 0 };
    acme_err_t *err = acme_err_make(pool, msg, "a", "b", NULL);
    return acme_job_failed(&job, err, &retry, now, pool);
}

static void test_job_failure_of_the_ca_turns_to_the_next(void **state)
{
    (void)state;
    policy.ca_count = 2;
    plan(NULL);
    job.requested = 1;
    char first_subject[ACME_JOB_FINGERPRINT];
    strcpy(first_subject, job.subject);
    assert_int_equal(try_cas(ACME_E_CA_UNREACHABLE, NOW), 1);
    assert_int_equal(job.ca, 1);
    assert_string_not_equal(job.subject, first_subject);
    assert_int_equal(job.requested, 1);
    assert_int_equal(job.status.failures, 0);
    assert_int_equal(acme_job_plan(&job, NOW, pool), 0);
    assert_non_null(strstr(acme_remarks(&job.status)->ca_why,
                           "not https://ca.example/dir: "
                           "ACME1200: cannot reach"));
    acme_job_choose(&job, NOW, pool);
    assert_int_equal(job.ca, 1);
    /* both: the shorter wait, and the first again */
    assert_int_equal(try_cas(ACME_E_CA_BUSY, NOW + 1), 0);
    assert_int_equal(job.status.failures, 1);
    assert_int_equal(job.requested, 0);
    assert_int_equal(job.ca, 0);
    assert_int_equal(acme_job_plan(&job, NOW, pool),
                     NOW + apr_time_from_sec(60));
}

static void test_job_failed_ca_is_asked_again_at_a_growing_interval(
    void **state)
{
    static const int seconds[] = { 60, 600, 6000, 60000, 86400, 86400 };
    apr_time_t now = NOW;
    (void)state;
    policy.ca_count = 2;
    plan(NULL);
    for (int i = 0; i < 6; i++) {
        assert_int_equal(try_cas(ACME_E_CA_UNREACHABLE, now), 1);
        /* as after a restart in between */
        job = reload();
        acme_job_choose(&job, now, pool);
        assert_int_equal(job.ca, 1);
        now += apr_time_from_sec(seconds[i]) - 1;
        acme_job_choose(&job, now, pool);
        assert_int_equal(job.ca, 1);
        acme_job_choose(&job, ++now, pool);
        assert_int_equal(job.ca, 0);
    }
}

static void test_job_set_of_the_second_ca_leaves_the_first_in_mind(void **state)
{
    (void)state;
    policy.ca_count = 2;
    plan(NULL);
    try_cas(ACME_E_CA_UNREACHABLE, NOW);
    record.ca_url = cas[1].url;
    acme_job_learn(&job, &record, pool);
    assert_null(acme_job_succeeded(&job, NOW, pool));
    assert_true(acme_job_plan(&job, NOW, pool) > NOW + 40 * DAY);
    assert_string_equal(job.status.ca, "https://second.example/dir");
    assert_true(acme_job_has_turns(&job));
    job = reload();
    assert_non_null(strstr(acme_remarks(&job.status)->ca_why,
                           "not https://ca.example/dir"));
    /* at the renewal the first one is asked, and what failed is past then */
    acme_job_choose(&job, NOW + 40 * DAY, pool);
    assert_int_equal(job.ca, 0);
    record.ca_url = cas[0].url;
    acme_job_learn(&job, &record, pool);
    assert_null(acme_job_succeeded(&job, NOW, pool));
    assert_false(acme_job_has_turns(&job));
    assert_string_equal(acme_remarks(&job.status)->ca_why, "");
}

static void test_job_own_failures_stay_with_the_ca(void **state)
{
    static const acme_msg_t own[] = {
        ACME_E_CA_PROBLEM_CONNECTION,
        ACME_E_CA_PROBLEM_DNS,
        ACME_E_CA_PROBLEM_ANSWER,
        ACME_E_CA_PROBLEM_TLS,
        ACME_E_STORE_IO,
        ACME_E_NO_PROOF,
        ACME_E_MEMORY,
        ACME_E_SET_USELESS,
    };
    (void)state;
    policy.ca_count = 2;
    for (unsigned i = 0; i < sizeof(own) / sizeof(own[0]); i++) {
        plan(NULL);
        assert_int_equal(try_cas(own[i], NOW), 0);
        assert_int_equal(job.ca, 0);
        assert_int_equal(job.status.failures, 1);
        assert_false(acme_job_has_turns(&job));
    }
}

static void test_job_rate_limit_that_ends_soon_is_waited_for(void **state)
{
    acme_job_retry_t retry = { apr_time_from_sec(60), DAY, 0 };
    (void)state;
    policy.ca_count = 2;
    plan(NULL);
    acme_err_t *err = acme_err_make(pool, ACME_E_CA_PROBLEM_RATE, NULL);
    err->retry_at = NOW + apr_time_from_sec(300);
    assert_int_equal(acme_job_failed(&job, err, &retry, NOW, pool), 0);
    assert_int_equal(job.ca, 0);
    err->retry_at = NOW + 5 * HOUR;
    assert_int_equal(acme_job_failed(&job, err, &retry, NOW, pool), 1);
    assert_int_equal(job.ca, 1);
    assert_int_equal(job.turns[0].until, NOW + 5 * HOUR);
}

static void test_job_kept_order_is_worth_more_than_the_first_ca(void **state)
{
    (void)state;
    policy.ca_count = 2;
    plan(NULL);
    try_cas(ACME_E_CA_UNREACHABLE, NOW);
    job.kept = 1; /* at the second */
    acme_job_choose(&job, NOW + HOUR, pool);
    assert_int_equal(job.ca, 1);
    job.kept = 0;
    acme_job_choose(&job, NOW + HOUR, pool);
    assert_int_equal(job.ca, 0);
    const char *dir = acme_policy_account(&cas[1], pool);
    assert_int_equal(acme_job_find_account(&job, dir, pool), 1);
    assert_int_equal(acme_job_find_account(&job, "other-12345678", pool), -1);
}

static void test_job_turns_of_a_clock_ahead_hold_nothing_back(void **state)
{
    (void)state;
    policy.ca_count = 2;
    plan(NULL);
    try_cas(ACME_E_CA_UNREACHABLE, NOW + 365 * DAY);
    job = reload();
    acme_job_check_clock(&job, DAY, NOW);
    acme_job_choose(&job, NOW, pool);
    assert_int_equal(job.ca, 0);
}

/* --- renewal information -------------------------------------------------------- */

#define ACCOUNT "https://ca.example/account/1"

/* As issued by the configured CA to ACCOUNT, with what that suggests. */
static void suggest(apr_time_t start, apr_time_t end)
{
    record.ari_id = "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE";
    record.account_url = ACCOUNT;
    record.issued = record.not_before;
    plan(&record);
    job.ari.start = start;
    job.ari.end = end;
}

static apr_time_t replan(void)
{
    return acme_job_plan(&job, NOW, pool);
}

static void test_job_renews_within_the_window_of_the_ca(void **state)
{
    (void)state;
    suggest(NOW + 20 * DAY, NOW + 22 * DAY);
    apr_time_t due = replan();
    assert_in_range(due, NOW + 20 * DAY, NOW + 22 * DAY);
    assert_int_equal(replan(), due);
    assert_true(job.asks);
    assert_string_equal(job.status.next_action,
                        "renew: when the CA suggests it");
    assert_int_equal(job.status.ari_start, NOW + 20 * DAY);
}

static void test_job_window_cannot_make_it_later_than_acmerenew(void **state)
{
    (void)state;
    policy.renew_set = 1;
    policy.renew.duration = 60 * DAY; /* of 90: in 20 days */
    suggest(NOW + 40 * DAY, NOW + 42 * DAY);
    assert_in_range(replan(), NOW + 18 * DAY, NOW + 20 * DAY);
    suggest(NOW + 19 * DAY, NOW + 42 * DAY);
    assert_in_range(replan(), NOW + 19 * DAY, NOW + 20 * DAY);
}

static void test_job_window_in_the_past_means_now(void **state)
{
    (void)state;
    suggest(NOW - 2 * DAY, NOW - 1 * DAY);
    assert_true(replan() <= NOW);
    assert_int_equal(job.status.next_time, NOW);
    assert_false(job.asks);
    /* own failures still put it off */
    fail_with(ACME_E_CA_UNREACHABLE, ACME_CLASS_CA_RETRY, 0);
    assert_int_equal(replan(), NOW + apr_time_from_sec(60));
}

static void test_job_noari_neither_asks_nor_follows(void **state)
{
    (void)state;
    policy.no_ari = 1;
    suggest(NOW - 2 * DAY, NOW - 1 * DAY);
    assert_true(replan() > NOW + 40 * DAY);
    assert_false(job.asks);
    assert_null(acme_job_replaces(&job, ACCOUNT));
}

static void test_job_asks_about_nothing_expired_replaced_or_foreign(
    void **state)
{
    (void)state;
    suggest(0, 0);
    replan();
    assert_true(job.asks);
    job.requested = 1; /* about to be replaced */
    replan();
    assert_false(job.asks);
    job.requested = 0;
    policy.renew_mode = ACME_RENEW_MANUAL;
    replan();
    assert_false(job.asks);
    policy.renew_mode = ACME_RENEW_AUTO;
    record.not_before -= 200 * DAY;
    record.not_after -= 200 * DAY;
    suggest(0, 0);
    replan();
    assert_false(job.asks);
    record.not_before += 200 * DAY;
    record.not_after += 200 * DAY;
    record.ca_url = "https://other.example/dir";
    suggest(0, 0);
    replan();
    assert_false(job.asks);
    record.ca_url = policy.cas[0].url;
    record.ari_id = NULL;
    plan(&record);
    assert_false(job.asks);
}

static void test_job_replaces_what_is_of_this_ca_and_account(void **state)
{
    (void)state;
    suggest(0, 0);
    assert_string_equal(acme_job_replaces(&job, ACCOUNT), record.ari_id);
    assert_null(acme_job_replaces(&job, "https://ca.example/account/2"));
    assert_null(acme_job_replaces(&job, NULL));
    record.account_url = NULL;
    plan(&record);
    assert_null(acme_job_replaces(&job, ACCOUNT));
    record.account_url = ACCOUNT;
    record.ca_url = "https://other.example/dir";
    plan(&record);
    assert_null(acme_job_replaces(&job, ACCOUNT));
    plan(NULL);
    assert_null(acme_job_replaces(&job, ACCOUNT));
}

static void test_job_answer_about_the_old_set_says_nothing_of_the_new(
    void **state)
{
    (void)state;
    suggest(NOW + 20 * DAY, NOW + 22 * DAY);
    job.ari.next_ask = NOW + HOUR;
    acme_job_learn(&job, &record, pool);
    assert_int_equal(job.ari.next_ask, NOW + HOUR);
    record.ari_id = "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyF";
    acme_job_learn(&job, &record, pool);
    assert_int_equal(job.ari.start, 0);
    assert_int_equal(job.ari.next_ask, 0);
}

/* A CA that wants every certificate replaced at once, the new ones too. */
static void test_job_ca_that_is_never_content_does_not_get_a_loop(void **state)
{
    static const apr_interval_time_t waits[] = {
        0, HOUR / 6, HOUR * 10 / 6, HOUR * 100 / 6, DAY, DAY
    };
    (void)state;
    record.not_before = NOW;
    record.not_after = NOW + 90 * DAY;
    suggest(NOW - 2 * DAY, NOW - DAY);
    for (unsigned i = 0; i < sizeof(waits) / sizeof(waits[0]); i++) {
        record.ari_id = apr_psprintf(pool, "aYhba4dGQEHhs3uEe6CuLN4ByNQ.%u", i);
        acme_job_learn(&job, &record, pool);
        assert_int_equal(job.ari.rushed, i);
        job.ari.start = NOW - 2 * DAY;
        job.ari.end = NOW - DAY;
        apr_time_t due = replan();
        assert_int_equal(due < NOW ? 0 : due - NOW, waits[i]);
        acme_job_begun(&job, NOW + waits[i]);
    }
    /* one that was renewed in its time ends the row */
    acme_job_begun(&job, NOW + 70 * DAY);
    record.ari_id = "aYhba4dGQEHhs3uEe6CuLN4ByNQ.x";
    acme_job_learn(&job, &record, pool);
    assert_int_equal(job.ari.rushed, 0);
}

static void test_job_hold_of_a_limit_puts_off_but_not_who_insists(void **state)
{
    (void)state;
    plan(NULL);
    job.status.limit_until = NOW + HOUR;
    assert_int_equal(replan(), NOW + HOUR);
    assert_int_equal(job.status.next_time, NOW + HOUR);
    job.requested = ACME_REQUESTED;
    assert_int_equal(replan(), NOW + HOUR);
    job.requested = ACME_REQUESTED_NOW;
    assert_int_equal(replan(), 0);
}

static void test_timers_give_the_earliest(void **state)
{
    (void)state;
    acme_timers_t *timers = acme_timers_create(pool);
    acme_timer_t timer[200] = { 0 };
    assert_null(acme_timers_first(timers));
    for (int i = 0; i < 200; i++) {
        acme_timer_set(timers, &timer[i], (i * 7919) % 211 + 1);
    }
    for (int i = 0; i < 200; i += 3) {
        acme_timer_clear(timers, &timer[i]);
    }
    for (int i = 1; i < 200; i += 3) {
        acme_timer_set(timers, &timer[i], 300 + i);
    }
    apr_time_t last = 0;
    int count = 0;
    for (acme_timer_t *t; (t = acme_timers_first(timers)); count++) {
        assert_true(t->due >= last);
        last = t->due;
        acme_timer_clear(timers, t);
    }
    assert_int_equal(count, 133);
    acme_timer_set(timers, &timer[0], 5);
    acme_timer_hasten(timers, &timer[0], 9);
    assert_int_equal(timer[0].due, 5);
    acme_timer_hasten(timers, &timer[0], 3);
    assert_int_equal(timer[0].due, 3);
    acme_timer_set(timers, &timer[0], ACME_NEVER);
    assert_null(acme_timers_first(timers));
}

static void test_policy_accounts_are_shared_by_directory(void **state)
{
    (void)state;
    acme_ca_t one = { .alias = "letsencrypt" };
    one.url = acme_policy_find_ca("LetsEncrypt")->url;
    acme_ca_t other = { .url = one.url };
    assert_string_equal(acme_policy_account(&one, pool),
                        acme_policy_account(&other, pool));
    assert_memory_equal(acme_policy_account(&one, pool), "letsencrypt-", 12);
    other.url = "https://[::1]:14000/../dir";
    assert_memory_equal(acme_policy_account(&other, pool), "---1--14000-", 12);
    assert_null(acme_policy_find_ca("nonesuch"));
}

static void test_policy_accounts_differ_by_who_is_meant(void **state)
{
    acme_external_t external = { .kid = "kid-1", .hmac = "c2VjcmV0" };
    acme_external_t unread = { .file = "/etc/eab" };
    acme_account_key_t made = { .type = ACME_KEY_RSA2048 };
    acme_account_key_t own = { .file = "/etc/key.pem", .thumbprint = "abc" };
    acme_ca_t ca = { .url = "https://ca.example/dir" };
    const char *names[5];
    (void)state;
    names[0] = acme_policy_account(&ca, pool);
    ca.account_key = &made; /* how a key is made says nothing of whose it is */
    assert_string_equal(acme_policy_account(&ca, pool), names[0]);
    ca.account_key = &own;
    names[1] = acme_policy_account(&ca, pool);
    own.thumbprint = NULL; /* could not be read: no other account instead */
    names[2] = acme_policy_account(&ca, pool);
    ca.account_key = NULL;
    ca.external = &external;
    names[3] = acme_policy_account(&ca, pool);
    ca.external = &unread;
    names[4] = acme_policy_account(&ca, pool);
    for (int i = 0; i < 5; i++) {
        for (int k = 0; k < i; k++) {
            assert_string_not_equal(names[i], names[k]);
        }
    }
}

static void test_policy_terms_are_agreed_by_name_or_at_large(void **state)
{
    (void)state;
    assert_false(acme_policy_agrees(&policy, "https://ca.example/terms"));
    policy.terms = apr_array_make(pool, 1, sizeof(const char *));
    APR_ARRAY_PUSH(policy.terms, const char *) = "https://ca.example/terms";
    assert_true(acme_policy_agrees(&policy, "https://ca.example/terms"));
    assert_false(acme_policy_agrees(&policy, "https://ca.example/terms-2"));
    policy.agree_terms = 1;
    assert_true(acme_policy_agrees(&policy, "https://ca.example/terms-2"));
}

#define JOB_TEST(test)                                                         \
    cmocka_unit_test_setup_teardown(test, job_setup, pool_teardown)

/* --- names left out --------------------------------------------------------------- */

static acme_err_t *blaming(const char *first, const char *second)
{
    acme_err_t *err = acme_err_make(pool, ACME_E_CA_PROBLEM_DNS, NULL);
    acme_blame_add(err, first, ACME_E_CA_PROBLEM_DNS, "no such name", pool);
    if (second) {
        acme_blame_add(err, second, ACME_E_CA_PROBLEM_CAA, "forbidden", pool);
    }
    return err;
}

static acme_skip_verdict_t judge(const acme_err_t *err)
{
    return acme_skips_judge(&job, managed.idents, err, NOW);
}

static void leave_out(const char *name)
{
    acme_job_retry_t retry = { apr_time_from_sec(60), DAY, 0 };
    acme_skips_add(&job, blaming(name, NULL), &retry, NOW, pool);
    acme_job_forgive(&job);
}

static void add_name(const char *name)
{
    acme_ident_t *ident;
    assert_null(acme_ident_parse(&ident, name, pool));
    managed.idents = apr_array_copy(pool, managed.idents);
    APR_ARRAY_PUSH(managed.idents, acme_ident_t *) = ident;
}

static int ordered(void)
{
    return acme_skips_idents(&job, NOW, pool)->nelts;
}

static void test_job_first_issue_goes_on_without_a_bad_name(void **state)
{
    (void)state;
    plan(NULL);
    assert_int_equal(judge(blaming("www.shop.example", NULL)), ACME_SKIP_REST);
    leave_out("www.shop.example");
    assert_int_equal(ordered(), 1);
    assert_int_equal(acme_job_plan(&job, NOW, pool), 0);
    record.idents = names("shop.example", NULL);
    record.not_before = NOW;
    acme_job_learn(&job, &record, pool);
    assert_null(acme_job_succeeded(&job, NOW, pool));
    /* no loop: the name is tried again when its time has come */
    assert_int_equal(acme_job_plan(&job, NOW, pool),
                     NOW + apr_time_from_sec(60));
    assert_string_equal(job.status.next_action,
                        "order: try to add www.shop.example");
    assert_int_equal(job.status.state, ACME_STATE_VALID);
    assert_non_null(strstr(acme_remarks(&job.status)->left_out,
                           "www.shop.example (ACME1311"));
}

static void test_job_set_without_a_name_left_out_is_no_failure(void **state)
{
    (void)state;
    plan(NULL);
    leave_out("www.shop.example");
    /* it may be tried again, at once even */
    acme_skips_hasten(&job);
    record.idents = names("shop.example", NULL);
    record.not_before = NOW;
    acme_job_learn(&job, &record, pool);
    assert_null(acme_job_succeeded(&job, NOW, pool));
    /* one that nobody left out is missed */
    plan(NULL);
    acme_job_learn(&job, &record, pool);
    acme_err_t *err = acme_job_succeeded(&job, NOW, pool);
    assert_non_null(err);
    assert_int_equal(err->msg, ACME_E_SET_USELESS);
    assert_non_null(strstr(err->text, "it lacks names"));
}

static void test_job_never_goes_on_without_its_identity(void **state)
{
    (void)state;
    plan(NULL);
    assert_int_equal(judge(blaming("shop.example", NULL)), ACME_SKIP_NONE);
    assert_int_equal(judge(blaming("www.shop.example", "shop.example")),
                     ACME_SKIP_NONE);
    assert_int_equal(judge(acme_err_make(pool, ACME_E_CA_PROBLEM_DNS, NULL)),
                     ACME_SKIP_NONE);
    policy.bad_names = ACME_BAD_NAMES_FAIL;
    assert_int_equal(judge(blaming("www.shop.example", NULL)), ACME_SKIP_NONE);
}

static void test_job_name_in_service_is_kept_until_it_is_late(void **state)
{
    const acme_err_t *err = blaming("www.shop.example", NULL);
    (void)state;
    /* 90 days, to be renewed with 30 left */
    record.not_before = NOW - 62 * DAY;
    record.not_after = NOW + 28 * DAY;
    plan(&record);
    assert_int_equal(judge(err), ACME_SKIP_NONE);
    record.not_before = NOW - 77 * DAY;
    record.not_after = NOW + 13 * DAY;
    plan(&record);
    assert_int_equal(judge(err), ACME_SKIP_REST);
    /* another CA is wanted: what serves is none of its business */
    record.not_before = NOW - 10 * DAY;
    record.not_after = NOW + 80 * DAY;
    record.ca_url = "https://staging.example/dir";
    plan(&record);
    assert_int_equal(judge(err), ACME_SKIP_REST);
}

static void test_job_bad_added_name_leaves_the_set_alone(void **state)
{
    (void)state;
    add_name("new.shop.example");
    assert_int_equal(plan(&record), 0);
    assert_string_equal(job.status.next_action, "order: names were added");
    assert_int_equal(judge(blaming("new.shop.example", NULL)), ACME_SKIP_STAY);
    leave_out("new.shop.example");
    assert_int_equal(acme_job_plan(&job, NOW, pool),
                     NOW + apr_time_from_sec(60));
    leave_out("new.shop.example");
    assert_int_equal(acme_job_plan(&job, NOW, pool),
                     NOW + apr_time_from_sec(600));
    leave_out("new.shop.example");
    leave_out("new.shop.example");
    leave_out("new.shop.example");
    assert_int_equal(acme_job_plan(&job, NOW, pool), NOW + DAY);
    assert_int_equal(ordered(), 2);
    acme_skips_hasten(&job);
    assert_int_equal(acme_job_plan(&job, NOW, pool), 0);
    assert_int_equal(ordered(), 3);
}

static void test_job_bad_name_does_not_keep_a_good_one_out(void **state)
{
    const acme_err_t *err = blaming("bad.shop.example", NULL);
    (void)state;
    add_name("good.shop.example");
    add_name("bad.shop.example");
    plan(&record);
    assert_int_equal(judge(err), ACME_SKIP_REST);
    leave_out("bad.shop.example");
    assert_int_equal(ordered(), 3);
    assert_int_equal(acme_job_plan(&job, NOW, pool), 0);
    /* one that is served is in the way of the added one: not at once */
    err = blaming("www.shop.example", NULL);
    assert_int_equal(judge(err), ACME_SKIP_NONE);
    fail_with(ACME_E_CA_PROBLEM_DNS, ACME_CLASS_CA_RETRY, 0);
    fail_with(ACME_E_CA_PROBLEM_DNS, ACME_CLASS_CA_RETRY, 0);
    assert_int_equal(judge(err), ACME_SKIP_REST);
}

static void test_job_names_left_out_outlive_the_process(void **state)
{
    acme_job_t again;
    const char *json;
    (void)state;
    add_name("new.shop.example");
    plan(&record);
    leave_out("new.shop.example");
    leave_out("new.shop.example");
    assert_null(acme_job_format(&json, &job, pool));
    acme_job_init(&again, &managed, policy.key_types[0], pool, pool);
    acme_job_learn(&again, &record, pool);
    assert_null(acme_job_parse(&again, json, strlen(json), pool, pool));
    assert_int_equal(acme_job_plan(&again, NOW, pool),
                     NOW + apr_time_from_sec(600));
    assert_int_equal(acme_skips_of(&again, "new.shop.example")->tries, 2);
    assert_string_equal(acme_skips_of(&again, "new.shop.example")->text,
                        "no such name");
    /* by a clock that was ahead */
    acme_job_check_clock(&again, DAY, NOW - 30 * DAY);
    assert_int_equal(acme_job_plan(&again, NOW - 30 * DAY, pool), 0);
    /* it is back, whoever brought it */
    record.idents = managed.idents;
    acme_job_init(&again, &managed, policy.key_types[0], pool, pool);
    acme_job_learn(&again, &record, pool);
    assert_null(acme_job_parse(&again, json, strlen(json), pool, pool));
    assert_int_equal(acme_skips_count(&again), 0);
    acme_job_learn(&job, &record, pool);
    assert_int_equal(acme_skips_settle(&job, pool)->nelts, 1);
    assert_int_equal(acme_skips_count(&job), 0);
}

/* A text that was cut within a character is no JSON: nothing of the job was kept. */
static void test_job_is_kept_whatever_language_the_ca_speaks(void **state)
{
    const acme_job_retry_t retry = { apr_time_from_sec(60), DAY, 0 };
    char text[1001] = "";
    (void)state;
    policy.ca_count = 2;
    add_name("new.shop.example");
    for (int i = 0; i < 500; i++) {
        memcpy(text + (apr_size_t)i * 2, "\xc3\xa9", 2);
    }
    for (int i = 0; i < 2; i++) { /* cut at an odd octet, or at an even one */
        const char *json, *shown = apr_pstrcat(pool, i ? "x" : "", text, NULL);
        acme_err_t *err =
            acme_err_make(pool, ACME_E_CA_UNREACHABLE, "a", "b", NULL);
        err->detail = shown;
        acme_blame_add(err, "new.shop.example", ACME_E_CA_PROBLEM_DNS, shown,
                       pool);
        plan(&record);
        acme_skips_add(&job, err, &retry, NOW, pool);
        acme_job_pass_on(&job, err, NOW + DAY, NOW, pool);
        assert_null(acme_job_format(&json, &job, pool));
        assert_non_null(strstr(json, "new.shop.example"));
        assert_non_null(strstr(json, "not https://ca.example/dir"));
    }
}

static void test_job_many_names_left_out_fit_the_status(void **state)
{
    (void)state;
    for (int i = 0; i < 98; i++) {
        add_name(apr_psprintf(pool, "n%d.%s.example", i,
                              "a-rather-long-label-to-fill-the-line-soon"));
    }
    plan(NULL);
    for (int i = 0; i < 98; i++) {
        leave_out(APR_ARRAY_IDX(managed.idents, i + 2, acme_ident_t *)->value);
    }
    acme_job_plan(&job, NOW, pool);
    assert_int_equal(acme_skips_count(&job), 98);
    assert_int_equal(ordered(), 2);
    assert_int_equal(strlen(acme_remarks(&job.status)->left_out),
                     sizeof(acme_remarks(&job.status)->left_out) - 1);
    assert_string_equal(acme_remarks(&job.status)->left_out
                            + sizeof(acme_remarks(&job.status)->left_out) - 4,
                        "...");
}

static const struct CMUnitTest tests[] = {
    JOB_TEST(test_job_without_set_orders_now),
    JOB_TEST(test_job_valid_set_waits_for_a_third_left),
    JOB_TEST(test_job_reminds_of_a_record_that_ends),
    JOB_TEST(test_job_what_was_asked_for_and_failed_is_tried_again),
    JOB_TEST(test_job_another_account_key_type_may_cure_a_failure),
    JOB_TEST(test_job_remembers_what_proved_a_name_if_it_is_not_preferred),
    JOB_TEST(test_job_forgets_what_proved_a_name_with_another_setting),
    JOB_TEST(test_job_revoked_set_is_replaced_unless_it_is_new),
    JOB_TEST(test_job_revoked_by_the_administrator_is_replaced_at_once),
    JOB_TEST(test_job_revoked_by_the_administrator_outlives_the_process),
    JOB_TEST(test_job_revoked_where_nobody_uses_it_is_left),
    JOB_TEST(test_job_renewals_of_one_day_spread),
    JOB_TEST(test_job_set_unlike_the_configuration_orders_now),
    JOB_TEST(test_job_set_of_any_configured_ca_is_kept),
    JOB_TEST(test_job_names_taken_away_wait_for_the_renewal),
    JOB_TEST(test_job_modes_hold_back_and_requests_do_not),
    JOB_TEST(test_job_failures_back_off),
    JOB_TEST(test_job_refusals_are_asked_again_daily),
    JOB_TEST(test_job_failures_survive_a_restart),
    JOB_TEST(test_job_changed_configuration_forgets_failures),
    JOB_TEST(test_job_failures_of_a_clock_ahead_hold_nothing_back),
    JOB_TEST(test_job_set_useless_by_a_wrong_clock_alone_is_forgiven),
    JOB_TEST(test_job_failure_is_over_where_nothing_is_wanted_any_more),
    JOB_TEST(test_job_damaged_doc_leaves_the_job_alone),
    JOB_TEST(test_job_success_clears_and_never_loops),
    JOB_TEST(test_job_set_due_at_once_backs_off_over_restarts),
    JOB_TEST(test_job_set_that_still_differs_backs_off),
    JOB_TEST(test_job_failure_of_the_ca_turns_to_the_next),
    JOB_TEST(test_job_failed_ca_is_asked_again_at_a_growing_interval),
    JOB_TEST(test_job_set_of_the_second_ca_leaves_the_first_in_mind),
    JOB_TEST(test_job_own_failures_stay_with_the_ca),
    JOB_TEST(test_job_rate_limit_that_ends_soon_is_waited_for),
    JOB_TEST(test_job_kept_order_is_worth_more_than_the_first_ca),
    JOB_TEST(test_job_turns_of_a_clock_ahead_hold_nothing_back),
    JOB_TEST(test_job_renews_within_the_window_of_the_ca),
    JOB_TEST(test_job_window_cannot_make_it_later_than_acmerenew),
    JOB_TEST(test_job_window_in_the_past_means_now),
    JOB_TEST(test_job_noari_neither_asks_nor_follows),
    JOB_TEST(test_job_asks_about_nothing_expired_replaced_or_foreign),
    JOB_TEST(test_job_replaces_what_is_of_this_ca_and_account),
    JOB_TEST(test_job_answer_about_the_old_set_says_nothing_of_the_new),
    JOB_TEST(test_job_ca_that_is_never_content_does_not_get_a_loop),
    JOB_TEST(test_job_hold_of_a_limit_puts_off_but_not_who_insists),
    JOB_TEST(test_timers_give_the_earliest),
    JOB_TEST(test_policy_accounts_are_shared_by_directory),
    JOB_TEST(test_policy_accounts_differ_by_who_is_meant),
    JOB_TEST(test_policy_terms_are_agreed_by_name_or_at_large),
    JOB_TEST(test_job_first_issue_goes_on_without_a_bad_name),
    JOB_TEST(test_job_never_goes_on_without_its_identity),
    JOB_TEST(test_job_name_in_service_is_kept_until_it_is_late),
    JOB_TEST(test_job_bad_added_name_leaves_the_set_alone),
    JOB_TEST(test_job_bad_name_does_not_keep_a_good_one_out),
    JOB_TEST(test_job_set_without_a_name_left_out_is_no_failure),
    JOB_TEST(test_job_names_left_out_outlive_the_process),
    JOB_TEST(test_job_is_kept_whatever_language_the_ca_speaks),
    JOB_TEST(test_job_many_names_left_out_fit_the_status),
};
RUN_TESTS(tests)
