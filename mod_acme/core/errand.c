#include "core/errand.h"

#include <apr_strings.h>
#include <jansson.h>
#include <string.h>

#include "core/encode.h"
#include "core/exchange.h"
#include "core/jws.h"
#include "core/session.h"

#define GIVE_UP        apr_time_from_sec(60 * 60)
#define RETRY_MAX      60 /* seconds */
#define RETRY_LOG2     6
#define NONCE_PATIENCE apr_time_from_sec(60)

enum {
    OLD,
    NEW,
    KEYS
}; /* whose session; there is a new one in a rollover only */

typedef enum stage_t {
    STAGE_TELL,  /* what it is about */
    STAGE_PROBE, /* rollover: is the new key the account's? */
    STAGE_LOOK,  /* deactivation: is the account closed? */
} stage_t;

struct acme_errand_t {
    apr_pool_t *pool;
    const acme_errand_config_t *config;
    stage_t stage;
    acme_session_config_t accounts[KEYS];
    acme_session_t *sessions[KEYS];
    apr_pool_t *session_pools[KEYS];
    acme_exchange_t exchange;
    int built;             /* its request: to be sent (again) */
    acme_request_t *asked; /* the session's own, to be signed; or NULL */
    acme_request_t *sent;  /* under way, or NULL */
    const char *kid;
    int doubted, was_done, done, unclear;
    acme_err_t *refusal; /* rollover: what the CA said of a doubtful one */
    acme_err_t *error, *trouble;
    apr_pool_t *trouble_pool;
    apr_time_t due, failing_since;
    int failures;
};

/* --- life --------------------------------------------------------------------- */

static void open_session(acme_errand_t *errand, int which)
{
    const acme_errand_config_t *config = errand->config;
    acme_session_config_t *account = &errand->accounts[which];

    memset(account, 0, sizeof(*account));
    account->directory_url = config->directory_url;
    account->key = which == NEW ? config->new_key : config->key;
    account->adopted = 1;
    account->nonce_patience = NONCE_PATIENCE;
    account->no_account = config->by_certificate;
    account->known.kid = which == NEW ? NULL : errand->kid;
    apr_pool_create(&errand->session_pools[which], errand->pool);
    errand->sessions[which] =
        acme_session_create(account, errand->session_pools[which]);
}

static void close_session(acme_errand_t *errand, int which)
{
    if (errand->sessions[which]) {
        apr_pool_destroy(errand->session_pools[which]);
        errand->sessions[which] = NULL;
    }
    errand->asked = NULL;
    errand->built = 0;
}

acme_errand_t *acme_errand_create(const acme_errand_config_t *config,
                                  apr_pool_t *parent)
{
    apr_pool_t *pool;

    apr_pool_create(&pool, parent);
    acme_errand_t *errand = apr_pcalloc(pool, sizeof(*errand));
    errand->pool = pool;
    errand->config = config;
    errand->kid = config->kid;
    errand->doubted = config->doubted;
    errand->stage = config->doubted ? STAGE_PROBE : STAGE_TELL;
    apr_pool_create(&errand->trouble_pool, pool);
    return errand;
}

static void fail(acme_errand_t *errand, const acme_err_t *err)
{
    errand->error = acme_err_dup(err, errand->pool);
}

/* Ask again later, unless it is no use. What may still come of the last request is
 * for the next one, or the next process, to find out. */
static void retry(acme_errand_t *errand, const acme_err_t *err, apr_time_t now)
{
    int passes =
        err->class == ACME_CLASS_CA_RETRY || err->class == ACME_CLASS_LOCAL;
    int seconds =
        errand->failures < RETRY_LOG2 ? 1 << errand->failures : RETRY_MAX;

    if (!errand->failures++) {
        errand->failing_since = now;
    }
    errand->due = now + apr_time_from_sec(seconds);
    if (err->retry_at > errand->due) {
        errand->due = err->retry_at;
    }
    if (!passes || errand->due > errand->failing_since + GIVE_UP) {
        errand->unclear = errand->doubted && passes;
        fail(errand, err);
        return;
    }
    apr_pool_clear(errand->trouble_pool);
    errand->trouble = acme_err_dup(err, errand->trouble_pool);
    errand->trouble->retry_at = errand->due;
}

static void turn(acme_errand_t *errand, stage_t stage)
{
    errand->stage = stage;
    acme_exchange_reset(&errand->exchange);
}

/* --- what to say -------------------------------------------------------------- */

static acme_err_t *contacts_payload(const char **payload,
                                    const apr_array_header_t *contacts,
                                    apr_pool_t *pool)
{
    return acme_json_message(
        payload, json_pack("{s:o}", "contact", acme_json_texts(contacts)), 0,
        "changing an account", pool);
}

/* RFC 8555 section 7.3.5: what the new key signs is told by the old one. The inner
 * header has the same url, the new key, and no nonce. */
static acme_err_t *rollover_payload(const char **payload,
                                    const acme_errand_t *errand,
                                    const char *url)
{
    acme_jws_header_t header = { url, NULL, NULL };
    const char *old, *inner;

    ACME_TRY(acme_jws_jwk(&old, errand->config->key, errand->pool));
    json_t *object = json_object();
    int failed = acme_json_put_text(object, "account", errand->kid)
                 | acme_json_put_json(object, "oldKey", old);
    ACME_TRY(acme_json_message(&inner, object, failed, "changing an account",
                               errand->pool));
    return acme_jws_sign(payload, errand->config->new_key, &header, inner,
                         errand->pool);
}

static acme_err_t *revocation_payload(const char **text,
                                      const acme_errand_config_t *config,
                                      apr_pool_t *pool)
{
    int failed = 0;
    json_t *payload = json_pack(
        "{s:s}", "certificate",
        acme_encode_base64url(config->certificate, config->len, pool));

    if (config->reason != ACME_REASON_NONE) {
        failed = json_object_set_new(payload, "reason",
                                     json_integer(config->reason));
    }
    return acme_json_message(text, payload, failed, "revoking a certificate",
                             pool);
}

static acme_err_t *missing(const acme_errand_t *errand, acme_msg_t msg)
{
    return acme_err_make(errand->pool, msg, errand->config->directory_url,
                         NULL);
}

static acme_err_t *build(acme_errand_t *errand, acme_request_t *request,
                         const acme_directory_t *directory)
{
    const acme_errand_config_t *config = errand->config;

    request->url = errand->kid;
    if (errand->stage == STAGE_LOOK) {
        return NULL;
    }
    switch (config->kind) {
    case ACME_ERRAND_CONTACTS:
        return contacts_payload(&request->payload, config->contacts,
                                errand->pool);
    case ACME_ERRAND_DEACTIVATE:
        request->payload = "{\"status\":\"deactivated\"}";
        return NULL;
    case ACME_ERRAND_REVOKE:
        request->url = apr_pstrdup(errand->pool, directory->revoke_cert);
        request->use_jwk = config->by_certificate;
        return request->url
                   ? revocation_payload(&request->payload, config, errand->pool)
                   : missing(errand, ACME_E_NO_REVOCATION);
    case ACME_ERRAND_ROLLOVER:
        request->url = apr_pstrdup(errand->pool, directory->key_change);
        return request->url
                   ? rollover_payload(&request->payload, errand, request->url)
                   : missing(errand, ACME_E_NO_ROLLOVER);
    case ACME_ERRAND_FIND:
    default:
        return NULL;
    }
}

static const char *label_of(const acme_errand_t *errand)
{
    static const char *const LABELS[] = {
        [ACME_ERRAND_FIND] = "account",
        [ACME_ERRAND_CONTACTS] = "contacts",
        [ACME_ERRAND_ROLLOVER] = "keyChange",
        [ACME_ERRAND_DEACTIVATE] = "deactivation",
        [ACME_ERRAND_REVOKE] = "revokeCert",
    };
    return errand->stage == STAGE_LOOK ? "account"
                                       : LABELS[errand->config->kind];
}

/* --- what was answered --------------------------------------------------------- */

static int is_it(const acme_errand_t *errand, const char *kid)
{
    return kid && errand->kid && !strcmp(kid, errand->kid);
}

static void finish(acme_errand_t *errand, int was_done)
{
    errand->done = 1;
    errand->was_done = was_done;
}

/* RFC 8555 section 7.3.5: 409 names the account that has the key; our own, if an
 * earlier request has arrived after all. */
static void on_rollover_refused(acme_errand_t *errand,
                                const acme_reply_t *reply, acme_err_t *err)
{
    if (reply->status == 409 && is_it(errand, reply->location)) {
        finish(errand, 0);
        return;
    }
    if (reply->status == 409) {
        acme_err_t *taken =
            acme_err_make(errand->pool, ACME_E_KEY_TAKEN,
                          acme_encode_printable(
                              reply->location ? reply->location : "not named",
                              256, errand->pool),
                          NULL);
        taken->detail = err->detail;
        err = taken;
    }
    /* Refused may have been what was sent twice: HTTP repeats a request that got
     * lost on a connection in use before, and the old key is none any more. */
    if (!errand->refusal) {
        errand->refusal = acme_err_dup(err, errand->pool);
        turn(errand, STAGE_PROBE);
        return;
    }
    fail(errand, err);
}

static void on_refused(acme_errand_t *errand, const acme_reply_t *reply,
                       acme_err_t *err)
{
    acme_errand_kind_t kind = errand->config->kind;

    if (kind == ACME_ERRAND_REVOKE && err->msg == ACME_E_CA_PROBLEM_REVOKED) {
        finish(errand, 1);
    }
    else if (kind == ACME_ERRAND_REVOKE
             && err->msg == ACME_E_CA_PROBLEM_UNAUTHORIZED) {
        acme_err_t *foreign =
            acme_err_make(errand->pool, ACME_E_REVOKE_FOREIGN, NULL);
        foreign->detail = err->detail;
        fail(errand, foreign);
    }
    else if (kind == ACME_ERRAND_DEACTIVATE
             && err->msg == ACME_E_CA_PROBLEM_UNAUTHORIZED) {
        errand->refusal = acme_err_dup(err, errand->pool);
        turn(errand, STAGE_LOOK);
    }
    else if (kind == ACME_ERRAND_ROLLOVER) {
        on_rollover_refused(errand, reply, err);
    }
    else {
        fail(errand, err);
    }
}

/* @return E_MEMORY */
static acme_err_t *get_closed(int *closed, const acme_reply_t *reply,
                              apr_pool_t *pool)
{
    json_t *account;
    acme_err_t *err = acme_json_parse(&account, reply->body, reply->len,
                                      ACME_MAX_JSON, "account", pool);
    const char *status = err ? NULL : acme_json_string(account, "status");

    *closed = status && strcmp(status, "valid") != 0;
    return err && err->msg == ACME_E_MEMORY ? err : NULL;
}

/* A closed account may not even be read, as a rule. */
static void on_look(acme_errand_t *errand, const acme_reply_t *reply,
                    const acme_err_t *err)
{
    int closed = err && err->msg == ACME_E_CA_PROBLEM_UNAUTHORIZED;

    if (!err) {
        err = get_closed(&closed, reply, errand->pool);
    }
    if (closed) {
        finish(errand, 1);
        return;
    }
    fail(errand, err ? err : errand->refusal);
}

static void on_reply(acme_errand_t *errand, const acme_reply_t *reply,
                     apr_time_t now)
{
    int rollover = errand->config->kind == ACME_ERRAND_ROLLOVER;
    acme_err_t *err = NULL;

    if (!acme_reply_is_success(reply)) {
        err = acme_reply_error(reply, now, errand->pool);
    }
    if (err && acme_exchange_passes(reply, err)
        && !(rollover && reply->status == 409)) {
        if (rollover) { /* the CA may have done it, whatever it says */
            errand->doubted = 1;
            errand->refusal = NULL;
            turn(errand, STAGE_PROBE);
        }
        retry(errand, err, now);
    }
    else if (errand->stage == STAGE_LOOK) {
        on_look(errand, reply, err);
    }
    else if (err) {
        on_refused(errand, reply, err);
    }
    else {
        finish(errand, 0);
    }
}

static int place_of(const acme_errand_t *errand)
{
    return errand->stage == STAGE_PROBE ? NEW : OLD;
}

void acme_errand_feed(acme_errand_t *errand, const acme_reply_t *reply,
                      apr_time_t now)
{
    acme_session_t *session = errand->sessions[place_of(errand)];
    acme_request_t *request = errand->sent;
    int own = request == &errand->exchange.request;
    int again = acme_session_receive(session, request, reply, now)
                == ACME_VERDICT_RESEND;

    errand->sent = NULL;
    if (again && !own) {
        errand->asked = request;
    }
    if (again) {
        return;
    }
    errand->trouble = NULL;
    if (own) {
        errand->built = 0;
        on_reply(errand, reply, now);
    }
    else {
        acme_session_feed(session, request, reply, now);
    }
}

/* --- the pump ------------------------------------------------------------------ */

/* The CA does not know the new key: it has not been told. */
static void on_probe_unknown(acme_errand_t *errand)
{
    close_session(errand, NEW);
    if (errand->refusal) {
        fail(errand, errand->refusal);
        return;
    }
    turn(errand, STAGE_TELL);
}

static void on_session_failed(acme_errand_t *errand, const acme_err_t *err,
                              apr_time_t now)
{
    acme_err_t *copy = acme_err_dup(err, errand->pool);

    if (errand->stage == STAGE_PROBE && err->msg == ACME_E_ACCOUNT_UNKNOWN) {
        on_probe_unknown(errand);
        return;
    }
    if (errand->config->kind == ACME_ERRAND_DEACTIVATE
        && (err->msg == ACME_E_ACCOUNT_UNKNOWN
            || err->msg == ACME_E_ACCOUNT_CLOSED)) {
        finish(errand, 1);
        return;
    }
    /* One's own pace: somebody waits for it. */
    close_session(errand, place_of(errand));
    retry(errand, copy, now);
}

/* The session is ready: what it is about is said, unless that is all. */
static acme_err_t *prepare(acme_errand_t *errand, const acme_session_t *session)
{
    const char *kid = acme_session_kid(session);
    acme_request_t *request;

    if (errand->stage == STAGE_PROBE && errand->kid && !is_it(errand, kid)) {
        return acme_err_make(errand->pool, ACME_E_KEY_TAKEN, kid, NULL);
    }
    if (kid) {
        errand->kid = apr_pstrdup(errand->pool, kid);
    }
    if (errand->stage == STAGE_PROBE
        || errand->config->kind == ACME_ERRAND_FIND) {
        finish(errand, 0);
        return NULL;
    }
    request =
        acme_exchange_begin(&errand->exchange, errand->stage, label_of(errand));
    errand->built = 1;
    return build(errand, request, acme_session_directory(session));
}

/* @return 1: it goes out */
static int send_request(acme_errand_step_t *step, acme_errand_t *errand,
                        acme_request_t *request, apr_pool_t *pool)
{
    acme_err_t *err = acme_session_sign(
        &step->wire, errand->sessions[place_of(errand)], request, pool);

    if (err) {
        fail(errand, err);
    }
    else if (step->wire) {
        step->state = ACME_ERRAND_SEND;
        step->label = request->label;
        errand->sent = request;
    }
    return errand->sent != NULL;
}

static void on_ready(acme_errand_step_t *step, acme_errand_t *errand,
                     apr_pool_t *pool)
{
    acme_err_t *err = errand->built
                          ? NULL
                          : prepare(errand, errand->sessions[place_of(errand)]);

    if (err) {
        fail(errand, err);
    }
    else if (!errand->done) {
        send_request(step, errand, &errand->exchange.request, pool);
    }
}

/* @return 1: look again */
static int move(acme_errand_step_t *step, acme_errand_t *errand, apr_time_t now,
                apr_pool_t *pool)
{
    acme_session_step_t wish;

    if (!errand->sessions[place_of(errand)]) {
        open_session(errand, place_of(errand));
    }
    if (errand->asked && send_request(step, errand, errand->asked, pool)) {
        errand->asked = NULL;
        return 0;
    }
    acme_session_next(&wish, errand->sessions[place_of(errand)], 1, now);
    step->until = wish.until;
    switch (wish.state) {
    case ACME_SESSION_SEND:
        if (!send_request(step, errand, wish.request, pool)) {
            errand->asked = wish.request; /* once there is a nonce */
            return 1;
        }
        return 0;
    case ACME_SESSION_READY:
        on_ready(step, errand, pool);
        return 0;
    case ACME_SESSION_FAILED:
        on_session_failed(errand, wish.error, now);
        return 1;
    case ACME_SESSION_WAIT:
    default:
        return 0;
    }
}

void acme_errand_next(acme_errand_step_t *step, acme_errand_t *errand,
                      apr_time_t now, apr_pool_t *pool)
{
    int again = 1;

    memset(step, 0, sizeof(*step));
    step->state = ACME_ERRAND_WAIT;
    while (again && !errand->sent && !errand->done && !errand->error) {
        step->until = errand->due;
        again = now >= errand->due && move(step, errand, now, pool);
    }
    if (errand->done) {
        step->state = ACME_ERRAND_DONE;
    }
    else if (errand->error) {
        step->state = ACME_ERRAND_FAILED;
        step->error = errand->error;
    }
}

/* --- what it knows ------------------------------------------------------------- */

const char *acme_errand_kid(const acme_errand_t *errand)
{
    return errand->kid;
}

int acme_errand_was_done(const acme_errand_t *errand)
{
    return errand->was_done;
}

int acme_errand_is_unclear(const acme_errand_t *errand)
{
    return errand->unclear;
}

const acme_err_t *acme_errand_trouble(const acme_errand_t *errand)
{
    return errand->trouble;
}
