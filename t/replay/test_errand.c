/* Errands against a CA of one account that does what it is told, badly where the
 * test says so. What signatures are worth is for Pebble to say (t/live). */
#include "core_test.h"

#include <jansson.h>
#include <stdlib.h>

#include "core/encode.h"
#include "core/errand.h"
#include "core/jws.h"
#include "core/key.h"

#define URL "https://ca.test"
#define KID URL "/account/7"

typedef enum act_t {
    ANSWER,
    LOSE, /* done, but the answer is lost */
    DROP, /* not done, no answer */
    BAD_NONCE,
    BUSY,   /* 503, not done */
    LATE,   /* done, but answered with 408 as by a proxy */
    REFUSE, /* with refuse_type */
} act_t;

typedef struct ca_t {
    const char *thumbprint; /* of the account's key; "" for none */
    int closed, revoked, registrations;
    int no_rollover, no_revocation;
    act_t acts[8]; /* of the requests that are no session's, in order */
    int told;
    int refuse_status;
    const char *refuse_type, *refuse_location;
    int nonces, used;
    const char *transcript;
    json_t *inner_header, *inner,
        *last;  /* of a keyChange; of the last payload */
    int by_jwk; /* so was the last signed */
} ca_t;

static ca_t ca;
static acme_errand_config_t config;
static EVP_PKEY *old_key, *new_key;
static apr_time_t now;

static const char *thumbprint_of(EVP_PKEY *key)
{
    const char *text;

    assert_no_err(acme_jws_thumbprint(&text, key, pool));
    return text;
}

static apr_status_t release(void *json)
{
    json_decref(json);
    return APR_SUCCESS;
}

/* To the end of the test. */
static json_t *keep(json_t *json)
{
    apr_pool_cleanup_register(pool, json, release, apr_pool_cleanup_null);
    return json;
}

static json_t *member(const json_t *jws, const char *name)
{
    const unsigned char *data;
    apr_size_t len;

    assert_int_equal(
        acme_decode_base64url(&data, &len, acme_json_string(jws, name), pool),
        APR_SUCCESS);
    return len ? keep(json_loadb((const char *)data, len, 0, NULL))
               : json_null();
}

static const char *thumbprint_in(const json_t *header)
{
    const json_t *jwk = json_object_get(header, "jwk");

    assert_non_null(jwk);
    for (EVP_PKEY *const *key = (EVP_PKEY *[]){ old_key, new_key, NULL }; *key;
         key++) {
        const char *text;
        assert_no_err(acme_jws_jwk(&text, *key, pool));
        json_t *own = json_loads(text, 0, NULL);
        int same = json_equal(own, jwk);
        json_decref(own);
        if (same) {
            return thumbprint_of(*key);
        }
    }
    fail_msg("a jwk of no known key");
    return NULL;
}

static void set(acme_reply_t *reply, int status, const char *body)
{
    reply->status = status;
    reply->body = body;
    reply->len = strlen(body);
}

static void problem(acme_reply_t *reply, int status, const char *type)
{
    set(reply, status,
        apr_psprintf(pool,
                     "{\"type\":\"urn:ietf:params:acme:error:%s\","
                     "\"detail\":\"says the CA\"}",
                     type));
    reply->content_type = "application/problem+json";
}

/* --- what it does ------------------------------------------------------------- */

static void lookup(const json_t *header, const json_t *payload,
                   acme_reply_t *reply)
{
    if (!json_is_true(json_object_get(payload, "onlyReturnExisting"))) {
        ca.registrations++;
    }
    if (strcmp(thumbprint_in(header), ca.thumbprint) != 0) {
        problem(reply, 400, "accountDoesNotExist");
        return;
    }
    set(reply, 200,
        ca.closed ? "{\"status\":\"deactivated\"}" : "{\"status\":\"valid\"}");
    reply->location = KID;
}

/* RFC 8555 section 7.3.5 */
static void key_change(const json_t *payload, acme_reply_t *reply)
{
    ca.inner_header = member(payload, "protected");
    ca.inner = member(payload, "payload");
    ca.thumbprint = thumbprint_in(ca.inner_header);
    set(reply, 200, "{}");
}

static void account(const json_t *payload, acme_reply_t *reply)
{
    const char *status = acme_json_string(payload, "status");

    if (ca.closed) {
        problem(reply, 403, "unauthorized");
        return;
    }
    ca.closed = status && !strcmp(status, "deactivated");
    set(reply, 200,
        ca.closed ? "{\"status\":\"deactivated\"}" : "{\"status\":\"valid\"}");
}

static void act(const char *path, const json_t *header, const json_t *payload,
                acme_reply_t *reply)
{
    int by_jwk = json_object_get(header, "jwk") != NULL;

    ca.by_jwk = by_jwk;
    if (!strcmp(path, "/new-account")) {
        lookup(header, payload, reply);
        return;
    }
    if (!by_jwk) {
        assert_string_equal(acme_json_string(header, "kid"), KID);
    }
    if (!strcmp(path, "/key-change")) {
        key_change(payload, reply);
    }
    else if (!strcmp(path, "/revoke")) {
        if (ca.revoked++) {
            problem(reply, 400, "alreadyRevoked");
        }
        else {
            set(reply, 200, "");
        }
    }
    else {
        account(payload, reply);
    }
}

/* --- how it answers ------------------------------------------------------------ */

static void lost(acme_reply_t *reply)
{
    memset(reply, 0, sizeof(*reply));
    reply->body = "";
    reply->failure = acme_err_make(pool, ACME_E_CA_UNREACHABLE, URL,
                                   "connection reset", NULL);
}

static void post(const acme_errand_step_t *step, acme_reply_t *reply)
{
    json_t *jws = keep(json_loads(step->wire->body, 0, NULL));
    json_t *header = member(jws, "protected");
    int own = strcmp(step->label, "newAccount") != 0;
    act_t how = own && ca.told < 8 ? ca.acts[ca.told] : ANSWER;

    ca.told += own;
    ca.last = member(jws, "payload");
    assert_string_equal(acme_json_string(header, "url"), step->wire->url);
    assert_non_null(acme_json_string(header, "nonce"));
    ca.used++;
    reply->nonce = apr_psprintf(pool, "nonce-%d", ca.nonces++);
    switch (how) {
    case BAD_NONCE:
        problem(reply, 400, "badNonce");
        return;
    case BUSY:
        set(reply, 503, "<html>");
        return;
    case REFUSE:
        problem(reply, ca.refuse_status, ca.refuse_type);
        reply->location = ca.refuse_location;
        return;
    case DROP:
        lost(reply);
        return;
    case ANSWER:
    case LOSE:
    case LATE:
    default:
        act(step->wire->url + strlen(URL), header, ca.last, reply);
    }
    if (how == LOSE) {
        lost(reply);
    }
    if (how == LATE) {
        set(reply, 408, "");
    }
}

static void directory(acme_reply_t *reply)
{
    set(reply, 200,
        apr_psprintf(
            pool,
            "{\"newNonce\":\"" URL "/nonce\",\"newAccount\":\"" URL
            "/new-account\",\"newOrder\":\"" URL "/new-order\"%s%s}",
            ca.no_rollover ? "" : ",\"keyChange\":\"" URL "/key-change\"",
            ca.no_revocation ? "" : ",\"revokeCert\":\"" URL "/revoke\""));
}

static void answer(const acme_errand_step_t *step, acme_reply_t *reply)
{
    reply->body = "";
    ca.transcript = apr_pstrcat(pool, ca.transcript, *ca.transcript ? " " : "",
                                step->label, NULL);
    if (step->wire->method == ACME_METHOD_POST) {
        post(step, reply);
    }
    else if (step->wire->method == ACME_METHOD_HEAD) {
        set(reply, 200, "");
        reply->nonce = apr_psprintf(pool, "nonce-%d", ca.nonces++);
    }
    else {
        directory(reply);
    }
}

/* Drive to the end, or until so many requests were sent (a kill).
 * @return its last step */
static acme_errand_step_t drive(acme_errand_t *errand, int most)
{
    acme_errand_step_t step;

    for (int i = 0; i < 1000; i++) {
        acme_reply_t reply = { 0 };
        acme_errand_next(&step, errand, now, pool);
        if (step.state == ACME_ERRAND_DONE
            || step.state == ACME_ERRAND_FAILED) {
            return step;
        }
        if (step.state == ACME_ERRAND_WAIT) {
            assert_true(step.until > now);
            now = step.until;
            continue;
        }
        if (!most--) {
            return step;
        }
        answer(&step, &reply);
        acme_errand_feed(errand, &reply, now);
    }
    fail_msg("no end: %s", ca.transcript);
    return step;
}

static void assert_done(acme_errand_t *errand)
{
    acme_errand_step_t step = drive(errand, 1000);

    if (step.error) {
        fail_msg("%s; %s", acme_err_line(step.error, pool), ca.transcript);
    }
    assert_int_equal(step.state, ACME_ERRAND_DONE);
    assert_int_equal(ca.registrations, 0);
}

static void assert_failed(acme_errand_t *errand, acme_msg_t msg)
{
    acme_errand_step_t step = drive(errand, 1000);

    assert_int_equal(step.state, ACME_ERRAND_FAILED);
    if (step.error->msg != msg) {
        fail_msg("%s", acme_err_line(step.error, pool));
    }
    assert_int_equal(ca.registrations, 0);
}

static acme_errand_t *begin(acme_errand_kind_t kind)
{
    config.kind = kind;
    return acme_errand_create(&config, pool);
}

static int setup(void **state)
{
    pool_setup(state);
    memset(&ca, 0, sizeof(ca));
    memset(&config, 0, sizeof(config));
    now = apr_time_from_sec(1000000);
    assert_no_err(acme_key_make(&old_key, ACME_KEY_ECDSA_P256, pool));
    assert_no_err(acme_key_make(&new_key, ACME_KEY_ECDSA_P256, pool));
    ca.thumbprint = thumbprint_of(old_key);
    ca.transcript = "";
    config.directory_url = URL "/directory";
    config.key = old_key;
    config.kid = KID;
    config.new_key = new_key;
    config.certificate = (const unsigned char *)"certificate";
    config.len = 11;
    config.reason = ACME_REASON_NONE;
    return 0;
}

/* --- revocation ---------------------------------------------------------------- */

static void test_errand_revoke_by_account(void **state)
{
    (void)state;
    assert_done(begin(ACME_ERRAND_REVOKE));
    assert_string_equal(ca.transcript, "directory newNonce revokeCert");
    assert_string_equal(acme_json_string(ca.last, "certificate"),
                        "Y2VydGlmaWNhdGU");
    assert_null(json_object_get(ca.last, "reason"));
    assert_false(ca.by_jwk);
}

static void test_errand_revoke_tells_the_reason(void **state)
{
    (void)state;
    config.reason = ACME_REASON_COMPROMISED;
    assert_done(begin(ACME_ERRAND_REVOKE));
    assert_int_equal(json_integer_value(json_object_get(ca.last, "reason")), 1);
}

static void test_errand_revoke_by_certificate_asks_for_no_account(void **state)
{
    (void)state;
    config.by_certificate = 1;
    config.kid = NULL;
    ca.thumbprint = "";
    assert_done(begin(ACME_ERRAND_REVOKE));
    assert_string_equal(ca.transcript, "directory newNonce revokeCert");
    assert_true(ca.by_jwk);
}

static void test_errand_revoke_looks_up_an_unknown_kid(void **state)
{
    (void)state;
    config.kid = NULL;
    acme_errand_t *errand = begin(ACME_ERRAND_REVOKE);
    assert_done(errand);
    assert_string_equal(acme_errand_kid(errand), KID);
    assert_string_equal(ca.transcript,
                        "directory newNonce newAccount revokeCert");
}

static void test_errand_revoked_already_is_done(void **state)
{
    (void)state;
    ca.revoked = 1;
    acme_errand_t *errand = begin(ACME_ERRAND_REVOKE);
    assert_done(errand);
    assert_true(acme_errand_was_done(errand));
}

static void test_errand_revoke_lost_answer_is_done(void **state)
{
    (void)state;
    ca.acts[0] = LOSE;
    assert_done(begin(ACME_ERRAND_REVOKE));
    assert_int_equal(ca.revoked, 2);
}

static void test_errand_badnonce_is_sent_again_at_once(void **state)
{
    apr_time_t start = now;

    (void)state;
    ca.acts[0] = ca.acts[1] = BAD_NONCE;
    assert_done(begin(ACME_ERRAND_REVOKE));
    assert_int_equal(ca.told, 3);
    assert_int_equal(now, start);
}

/* A CA without nonces for a while: two directories are read before it is signed. */
static void test_errand_request_keeps_its_url_whatever_the_directory_says(
    void **state)
{
    acme_errand_t *errand = begin(ACME_ERRAND_REVOKE);
    int directories = 0, nonces = 0, asked = 0;

    (void)state;
    for (int i = 0; asked < 3; i++) {
        acme_errand_step_t step;
        acme_reply_t reply = { .body = "" };

        assert_true(i < 100);
        acme_errand_next(&step, errand, now, pool);
        if (step.state == ACME_ERRAND_WAIT) {
            now = step.until;
            continue;
        }
        assert_int_equal(step.state, ACME_ERRAND_SEND);
        if (!strcmp(step.label, "directory")) {
            set(&reply, 200,
                apr_psprintf(pool,
                             "{\"newNonce\":\"" URL "/nonce%0*d\","
                             "\"newAccount\":\"" URL "/new-account\","
                             "\"newOrder\":\"" URL "/new-order\","
                             "\"revokeCert\":\"" URL "/revoke\"}",
                             ++directories * 10, 0));
        }
        else if (!strcmp(step.label, "newNonce")) {
            set(&reply, nonces % 2 ? 404 : 200, "");
            reply.nonce = nonces++ % 2 ? NULL : "nonce";
        }
        else {
            assert_string_equal(step.wire->url, URL "/revoke");
            problem(&reply, 400, "badNonce");
            asked++;
        }
        now += apr_time_from_sec(61);
        acme_errand_feed(errand, &reply, now);
    }
    assert_int_equal(directories, 3);
}

static void test_errand_revoke_unauthorized_names_the_other_way(void **state)
{
    (void)state;
    ca.acts[0] = REFUSE;
    ca.refuse_status = 403;
    ca.refuse_type = "unauthorized";
    assert_failed(begin(ACME_ERRAND_REVOKE), ACME_E_REVOKE_FOREIGN);
    assert_non_null(
        strstr(acme_msg_entry(ACME_E_REVOKE_FOREIGN)->remedy, "--key"));
}

static void test_errand_revoke_reason_refused(void **state)
{
    (void)state;
    ca.acts[0] = REFUSE;
    ca.refuse_status = 400;
    ca.refuse_type = "badRevocationReason";
    assert_failed(begin(ACME_ERRAND_REVOKE), ACME_E_CA_PROBLEM_REASON);
}

static void test_errand_revoke_where_there_is_none(void **state)
{
    (void)state;
    ca.no_revocation = 1;
    assert_failed(begin(ACME_ERRAND_REVOKE), ACME_E_NO_REVOCATION);
}

static void test_errand_unknown_account_is_never_registered(void **state)
{
    (void)state;
    ca.thumbprint = "";
    config.kid = NULL;
    assert_failed(begin(ACME_ERRAND_REVOKE), ACME_E_ACCOUNT_UNKNOWN);
}

/* From now on the CA is out of reach. @return the last step */
static acme_errand_step_t lose_all(acme_errand_t *errand,
                                   acme_errand_step_t step)
{
    for (int i = 0; i < 1000 && step.state != ACME_ERRAND_FAILED; i++) {
        acme_reply_t reply = { 0 };
        if (step.state == ACME_ERRAND_SEND) {
            lost(&reply);
            acme_errand_feed(errand, &reply, now);
        }
        acme_errand_next(&step, errand, now, pool);
        now = step.state == ACME_ERRAND_WAIT ? step.until : now;
    }
    assert_int_equal(step.state, ACME_ERRAND_FAILED);
    return step;
}

static void test_errand_gives_up_after_an_hour(void **state)
{
    apr_time_t start = now;
    acme_errand_t *errand = begin(ACME_ERRAND_REVOKE);

    (void)state;
    ca.acts[0] = DROP;
    acme_errand_step_t step = drive(errand, 3);
    assert_int_equal(acme_errand_trouble(errand)->msg, ACME_E_CA_UNREACHABLE);
    step = lose_all(errand, step);
    assert_int_equal(step.error->class, ACME_CLASS_CA_RETRY);
    assert_true(now - start > apr_time_from_sec(3000));
    assert_true(now - start <= apr_time_from_sec(3600));
}

/* --- contacts ------------------------------------------------------------------ */

static void test_errand_contacts(void **state)
{
    (void)state;
    config.contacts = apr_array_make(pool, 1, sizeof(const char *));
    APR_ARRAY_PUSH(config.contacts, const char *) = "mailto:a@b.example";
    assert_done(begin(ACME_ERRAND_CONTACTS));
    char *text = json_dumps(ca.last, JSON_COMPACT);
    assert_string_equal(text, "{\"contact\":[\"mailto:a@b.example\"]}");
    free(text);
}

static void test_errand_contacts_may_be_none(void **state)
{
    (void)state;
    assert_done(begin(ACME_ERRAND_CONTACTS));
    assert_int_equal(json_array_size(json_object_get(ca.last, "contact")), 0);
    assert_true(json_is_array(json_object_get(ca.last, "contact")));
}

/* --- deactivation --------------------------------------------------------------- */

static void test_errand_deactivate(void **state)
{
    (void)state;
    acme_errand_t *errand = begin(ACME_ERRAND_DEACTIVATE);
    assert_done(errand);
    assert_true(ca.closed);
    assert_false(acme_errand_was_done(errand));
}

static void test_errand_deactivate_lost_answer_is_done(void **state)
{
    (void)state;
    ca.acts[0] = LOSE;
    acme_errand_t *errand = begin(ACME_ERRAND_DEACTIVATE);
    assert_done(errand);
    assert_true(ca.closed);
    assert_true(acme_errand_was_done(errand));
    assert_string_equal(ca.transcript, "directory newNonce deactivation "
                                       "newNonce deactivation account");
}

static void test_errand_deactivate_refused_to_an_open_account(void **state)
{
    (void)state;
    ca.acts[0] = REFUSE;
    ca.refuse_status = 403;
    ca.refuse_type = "unauthorized";
    assert_failed(begin(ACME_ERRAND_DEACTIVATE),
                  ACME_E_CA_PROBLEM_UNAUTHORIZED);
    assert_false(ca.closed);
}

static void test_errand_deactivate_forgotten_account_is_done(void **state)
{
    (void)state;
    ca.thumbprint = "";
    ca.acts[0] = REFUSE;
    ca.refuse_status = 400;
    ca.refuse_type = "accountDoesNotExist";
    acme_errand_t *errand = begin(ACME_ERRAND_DEACTIVATE);
    assert_done(errand);
    assert_true(acme_errand_was_done(errand));
}

/* --- rollover -------------------------------------------------------------------- */

static void test_errand_rollover_as_the_rfc_has_it(void **state)
{
    const char *jwk;

    (void)state;
    assert_done(begin(ACME_ERRAND_ROLLOVER));
    assert_string_equal(ca.transcript, "directory newNonce keyChange");
    assert_string_equal(acme_json_string(ca.inner_header, "alg"), "ES256");
    assert_string_equal(acme_json_string(ca.inner_header, "url"),
                        URL "/key-change");
    assert_null(json_object_get(ca.inner_header, "nonce"));
    assert_null(json_object_get(ca.inner_header, "kid"));
    assert_string_equal(thumbprint_in(ca.inner_header), thumbprint_of(new_key));
    assert_int_equal(json_object_size(ca.inner), 2);
    assert_string_equal(acme_json_string(ca.inner, "account"), KID);
    assert_no_err(acme_jws_jwk(&jwk, old_key, pool));
    json_t *own = json_loads(jwk, 0, NULL);
    assert_true(json_equal(own, json_object_get(ca.inner, "oldKey")));
    json_decref(own);
    assert_string_equal(ca.thumbprint, thumbprint_of(new_key));
}

static void test_errand_rollover_lost_answer_is_found_out(void **state)
{
    (void)state;
    ca.acts[0] = LOSE;
    assert_done(begin(ACME_ERRAND_ROLLOVER));
    assert_string_equal(
        ca.transcript,
        "directory newNonce keyChange directory newNonce newAccount");
    assert_int_equal(ca.told, 1);
}

/* A rollover that was done was taken for one that had failed, and the new key, by
 * then the account's only one, was thrown away. */
static void test_errand_rollover_answered_with_408_is_found_out(void **state)
{
    (void)state;
    for (int i = 0; i < 8; i++) {
        ca.acts[i] = LATE;
    }
    assert_done(begin(ACME_ERRAND_ROLLOVER));
    assert_int_equal(ca.told, 1);
}

static void test_errand_rollover_that_did_not_arrive_is_told_again(void **state)
{
    (void)state;
    ca.acts[0] = DROP;
    ca.acts[1] = BUSY;
    assert_done(begin(ACME_ERRAND_ROLLOVER));
    assert_int_equal(ca.told, 3);
    assert_string_equal(ca.thumbprint, thumbprint_of(new_key));
}

static void test_errand_rollover_resumed_probes_new_then_old(void **state)
{
    (void)state;
    config.doubted = 1;
    assert_done(begin(ACME_ERRAND_ROLLOVER));
    assert_string_equal(ca.transcript,
                        "directory newNonce newAccount directory "
                        "newNonce keyChange");
    memset(&ca.acts, 0, sizeof(ca.acts));
    ca.transcript = "";
    assert_done(begin(ACME_ERRAND_ROLLOVER));
    assert_string_equal(ca.transcript, "directory newNonce newAccount");
}

/* A kill at each request: whoever goes on ends with the new key. */
static void test_errand_rollover_killed_anywhere(void **state)
{
    (void)state;
    for (int lose = 0; lose < 2; lose++) {
        for (int kill = 0; kill < 8; kill++) {
            ca.thumbprint = thumbprint_of(old_key);
            ca.told = 0;
            ca.acts[0] = lose ? LOSE : ANSWER;
            config.doubted = 0;
            drive(begin(ACME_ERRAND_ROLLOVER), kill);
            config.doubted = 1;
            assert_done(begin(ACME_ERRAND_ROLLOVER));
            assert_string_equal(ca.thumbprint, thumbprint_of(new_key));
        }
    }
}

static void test_errand_rollover_refused_keeps_the_old_key(void **state)
{
    (void)state;
    ca.acts[0] = REFUSE;
    ca.refuse_status = 400;
    ca.refuse_type = "malformed";
    acme_errand_t *errand = begin(ACME_ERRAND_ROLLOVER);
    assert_failed(errand, ACME_E_CA_PROBLEM_MALFORMED);
    assert_false(acme_errand_is_unclear(errand));
    assert_string_equal(ca.thumbprint, thumbprint_of(old_key));
}

/* What was sent twice below us: the second is refused, since the first was done. */
static void test_errand_rollover_refused_after_all_was_done(void **state)
{
    (void)state;
    ca.thumbprint = thumbprint_of(new_key);
    ca.acts[0] = REFUSE;
    ca.refuse_status = 400;
    ca.refuse_type = "malformed";
    assert_done(begin(ACME_ERRAND_ROLLOVER));
}

static void test_errand_rollover_conflict_names_the_account(void **state)
{
    (void)state;
    ca.acts[0] = REFUSE;
    ca.refuse_status = 409;
    ca.refuse_type = "conflict";
    ca.refuse_location = URL "/account/8";
    acme_errand_t *errand = begin(ACME_ERRAND_ROLLOVER);
    assert_failed(errand, ACME_E_KEY_TAKEN);
    assert_non_null(strstr(drive(errand, 0).error->text, "/account/8"));
}

/* The key is in use, and by whom it should. */
static void test_errand_rollover_conflict_with_itself_is_done(void **state)
{
    (void)state;
    ca.acts[0] = REFUSE;
    ca.refuse_status = 409;
    ca.refuse_type = "conflict";
    ca.refuse_location = KID;
    assert_done(begin(ACME_ERRAND_ROLLOVER));
}

static void test_errand_rollover_where_there_is_none(void **state)
{
    (void)state;
    ca.no_rollover = 1;
    assert_failed(begin(ACME_ERRAND_ROLLOVER), ACME_E_NO_ROLLOVER);
}

static void test_errand_rollover_out_of_reach_stays_unclear(void **state)
{
    acme_errand_t *errand = begin(ACME_ERRAND_ROLLOVER);

    (void)state;
    ca.acts[0] = LOSE;
    lose_all(errand, drive(errand, 3));
    assert_true(acme_errand_is_unclear(errand));
}

/* --- looking up, reasons ------------------------------------------------------- */

static void test_errand_find(void **state)
{
    (void)state;
    config.kid = NULL;
    acme_errand_t *errand = begin(ACME_ERRAND_FIND);
    assert_done(errand);
    assert_string_equal(acme_errand_kid(errand), KID);
    ca.closed = 1;
    assert_failed(begin(ACME_ERRAND_FIND), ACME_E_ACCOUNT_CLOSED);
    ca.thumbprint = "";
    assert_failed(begin(ACME_ERRAND_FIND), ACME_E_ACCOUNT_UNKNOWN);
}

static void test_reason_by_name_and_number(void **state)
{
    int reason = 77;

    (void)state;
    assert_int_equal(acme_reason_parse(&reason, "keyCompromise"), 0);
    assert_int_equal(reason, 1);
    assert_int_equal(acme_reason_parse(&reason, "key-compromise"), 0);
    assert_int_equal(acme_reason_parse(&reason, "SUPERSEDED"), 0);
    assert_int_equal(reason, 4);
    assert_int_equal(acme_reason_parse(&reason, "0"), 0);
    assert_int_equal(reason, 0);
    reason = 77;
    assert_int_equal(acme_reason_parse(&reason, "7"), -1);
    assert_int_equal(acme_reason_parse(&reason, "8"), -1);
    assert_int_equal(acme_reason_parse(&reason, "11"), -1);
    assert_int_equal(acme_reason_parse(&reason, "key"), -1);
    assert_int_equal(acme_reason_parse(&reason, ""), -1);
    assert_int_equal(reason, 77);
    assert_string_equal(acme_reason_name(5), "cessationOfOperation");
    assert_null(acme_reason_name(ACME_REASON_NONE));
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, pool_teardown)

static const struct CMUnitTest tests[] = {
    TEST(test_errand_revoke_by_account),
    TEST(test_errand_revoke_tells_the_reason),
    TEST(test_errand_revoke_by_certificate_asks_for_no_account),
    TEST(test_errand_revoke_looks_up_an_unknown_kid),
    TEST(test_errand_revoked_already_is_done),
    TEST(test_errand_revoke_lost_answer_is_done),
    TEST(test_errand_badnonce_is_sent_again_at_once),
    TEST(test_errand_request_keeps_its_url_whatever_the_directory_says),
    TEST(test_errand_revoke_unauthorized_names_the_other_way),
    TEST(test_errand_revoke_reason_refused),
    TEST(test_errand_revoke_where_there_is_none),
    TEST(test_errand_unknown_account_is_never_registered),
    TEST(test_errand_gives_up_after_an_hour),
    TEST(test_errand_contacts),
    TEST(test_errand_contacts_may_be_none),
    TEST(test_errand_deactivate),
    TEST(test_errand_deactivate_lost_answer_is_done),
    TEST(test_errand_deactivate_refused_to_an_open_account),
    TEST(test_errand_deactivate_forgotten_account_is_done),
    TEST(test_errand_rollover_as_the_rfc_has_it),
    TEST(test_errand_rollover_lost_answer_is_found_out),
    TEST(test_errand_rollover_answered_with_408_is_found_out),
    TEST(test_errand_rollover_that_did_not_arrive_is_told_again),
    TEST(test_errand_rollover_resumed_probes_new_then_old),
    TEST(test_errand_rollover_killed_anywhere),
    TEST(test_errand_rollover_refused_keeps_the_old_key),
    TEST(test_errand_rollover_refused_after_all_was_done),
    TEST(test_errand_rollover_conflict_names_the_account),
    TEST(test_errand_rollover_conflict_with_itself_is_done),
    TEST(test_errand_rollover_where_there_is_none),
    TEST(test_errand_rollover_out_of_reach_stays_unclear),
    TEST(test_errand_find),
    TEST(test_reason_by_name_and_number),
};

RUN_TESTS(tests)
