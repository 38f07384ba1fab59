/* A CA that is hostile, or broken, in one place at a time: each answer of a good
 * run is given once more with each of the mutations of mutate.c, once, and from
 * then on always. Whatever it is: no step is taken outside of https, nothing goes
 * into service but a certificate for our key and names, the end comes in bounded
 * time and memory, is told by number and remedy, and as soon as the CA is itself
 * again the next attempt has the certificate.
 *
 * There are some hundred thousand: make check tries one in ACME_HOSTILE (800),
 * others each time the list changes; ACME_HOSTILE=1 tries them all. */
#include "core_test.h"

#include <malloc.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/ari.h"
#include "core/encode.h"
#include "core/errand.h"
#include "core/jws.h"
#include "core/key.h"
#include "core/reaction.h"
#include "mutate.h"
#include "replay.h"

#define HOUR            3600
#define DAY             86400
#define MAX_REPLIES     64
#define MAX_REQUESTS    10000
#define MAX_SECONDS     (5 * DAY)
#define MAX_MEMORY      (16 << 20) /* octets */
#define MAX_TOLD        8192
#define MAX_SIGNED_BODY 50000 /* octets, that Let's Encrypt takes */

/* What is tried now, for the report of a crash. */
static char trying[512], reported[512];

static int findings;

/* What is wrong: once for each run. */
static void found(const char *format, ...)
    __attribute__((format(printf, 1, 2)));
static void found(const char *format, ...)
{
    char text[600];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (strcmp(trying, reported) && findings++ < 30) {
        print_error("%s: %s\n", trying, text);
        memcpy(reported, trying, sizeof(reported));
    }
}

/* --- the answer that is spoilt ------------------------------------------------ */

typedef struct spoiler_t {
    ca_t *ca;
    const mutation_t *mutation; /* NULL: none, take them down */
    int at;                     /* the answer it is done to, 0.. */
    int always;                 /* and to all later ones with its label */
    int answers;
    const char *label; /* of the one at "at" */
    const char *labels[MAX_REPLIES];
    acme_reply_t replies[MAX_REPLIES]; /* of the good run */
    apr_pool_t *pool;
} spoiler_t;

static int is_plain(const char *text)
{
    for (; *text; text++) {
        if (*text <= ' ' || *text > '~') {
            return 0;
        }
    }
    return 1;
}

/* By other means than those under test. */
static void check_request(const acme_wire_t *wire)
{
    const char *authority = wire->url + 8;
    apr_size_t host = strcspn(authority, "/?#");

    if (strncmp(wire->url, "https://", 8) || !is_plain(wire->url)
        || memchr(authority, '@', host) || memchr(authority, '\\', host)
        || memchr(authority, '%', host) || strchr(wire->url, '#')
        || strstr(wire->url, "evil.test/redirected")) {
        found("asks %s", wire->url);
    }
    assert_false(wire->plain);
    assert_true(wire->max_body > 0 && wire->max_body <= ACME_MAX_CHAIN);
    if (wire->body) {
        assert_true(strlen(wire->body) <= MAX_SIGNED_BODY);
    }
}

static void check_visible(apr_hash_t *visible)
{
    for (apr_hash_index_t *at = apr_hash_first(pool, visible); at;
         at = apr_hash_next(at)) {
        const char *token = apr_hash_this_key(at);

        if (strspn(token, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                          "0123456789-_")
                != strlen(token)
            || strlen(token) > ACME_MAX_TOKEN) {
            found("shows %s", token);
        }
    }
}

/* What the transport would not let in. */
static void limit(acme_reply_t *reply, const acme_wire_t *wire,
                  apr_pool_t *reply_pool)
{
    if (!reply->failure && reply->len > wire->max_body) {
        memset(reply, 0, sizeof(*reply));
        reply->body = "";
        reply->failure = acme_err_make(reply_pool, ACME_E_CA_TOO_BIG, wire->url,
                                       "body over its limit", NULL);
    }
}

static void note(spoiler_t *spoiler, const char *label,
                 const acme_reply_t *reply)
{
    int n = spoiler->answers;

    assert_true(n < MAX_REPLIES);
    spoiler->labels[n] = label;
    spoiler->replies[n] = *reply;
    spoiler->replies[n].body =
        apr_pstrmemdup(spoiler->pool, reply->body, reply->len);
    spoiler->replies[n].location = apr_pstrdup(spoiler->pool, reply->location);
}

static void spoil(void *baton, const char *label, const acme_wire_t *wire,
                  acme_reply_t *reply, apr_pool_t *reply_pool)
{
    spoiler_t *spoiler = baton;
    int n = spoiler->answers;

    check_request(wire);
    check_visible(spoiler->ca->visible);
    if (!spoiler->mutation) {
        note(spoiler, label, reply);
    }
    else if (n == spoiler->at
             || (spoiler->always && n > spoiler->at
                 && !strcmp(label, spoiler->label))) {
        mutate(reply, spoiler->mutation, reply_pool);
        limit(reply, wire, reply_pool);
    }
    spoiler->answers++;
}

/* --- which are tried ---------------------------------------------------------- */

static unsigned int one_of(void)
{
    const char *text = getenv("ACME_HOSTILE");
    int value = text ? atoi(text) : 0;

    return value > 0 ? (unsigned int)value : 800;
}

static int counted, tried;

/* Spread over answers and mutations alike. */
static int is_chosen(const char *scenario, int at, int always, const char *what)
{
    unsigned int hash = (unsigned int)(at * 2 + always) * 2654435761u;

    for (; *scenario; scenario++) {
        hash = hash * 31 + (unsigned char)*scenario;
    }
    for (; *what; what++) {
        hash = hash * 31 + (unsigned char)*what;
    }
    hash ^= hash >> 15;
    counted++;
    if (hash % one_of()) {
        return 0;
    }
    tried++;
    return 1;
}

typedef void run_fn_t(const void *scenario, spoiler_t *spoiler);

/* Each mutation of each answer of a good run. */
static void run_all(const char *name, const void *scenario, run_fn_t *run)
{
    spoiler_t good = { .at = -1, .pool = pool };
    apr_pool_t *test_pool = pool;

    counted = tried = findings = 0;
    snprintf(trying, sizeof(trying), "%s: nothing", name);
    run(scenario, &good);
    for (int at = 0; at < good.answers; at++) {
        apr_array_header_t *list = mutations_of(&good.replies[at], test_pool);

        for (int n = 0; n < 2 * list->nelts; n++) {
            const mutation_t *one = &APR_ARRAY_IDX(list, n / 2, mutation_t);
            spoiler_t spoiler = { .mutation = one,
                                  .at = at,
                                  .always = n % 2,
                                  .label = good.labels[at] };

            if (!is_chosen(name, at, n % 2, one->what)) {
                continue;
            }
            snprintf(trying, sizeof(trying), "%s, answer %d (%s)%s: %s", name,
                     at, good.labels[at], n % 2 ? " and later" : "", one->what);
            apr_pool_create(&pool, test_pool);
            spoiler.pool = pool;
            run(scenario, &spoiler);
            apr_pool_destroy(pool);
            pool = test_pool;
        }
    }
    print_message("%s: %d answers, %d of %d mutations\n", name, good.answers,
                  tried, counted);
    assert_true(tried > 0);
    assert_int_equal(findings, 0);
}

/* --- verdicts ------------------------------------------------------------------ */

static size_t memory(void)
{
    struct mallinfo2 info = mallinfo2(); /* nothing of it with ASan */

    return info.uordblks + info.hblkhd;
}

static void check_told(const acme_err_t *err)
{
    const char *line = acme_err_line(err, pool);

    if (!err->msg || !*acme_msg_entry(err->msg)->remedy
        || strlen(line) > MAX_TOLD
        || strcmp(line, acme_encode_printable(line, MAX_TOLD, pool))) {
        found("told as %d %s", (int)err->msg, line);
    }
}

/* By other means than those under test. */
static void check_chain(const replay_t *replay)
{
    BIO *bio = BIO_new_mem_buf(replay->chain_pem, -1);
    time_t now = (time_t)apr_time_sec(replay->now);
    X509 *leaf = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    X509 *issuer = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    int good = leaf
               && EVP_PKEY_eq(X509_get0_pubkey(leaf), replay->wanted.key) == 1
               && X509_cmp_time(X509_get0_notBefore(leaf), &now) < 0
               && X509_cmp_time(X509_get0_notAfter(leaf), &now) > 0
               && !X509_check_ca(leaf)
               && (!issuer || X509_verify(leaf, X509_get0_pubkey(issuer)) == 1)
               && !strstr(replay->chain_pem, "PRIVATE");

    for (int i = 0; good && i < replay->wanted.idents->nelts; i++) {
        const char *name =
            APR_ARRAY_IDX(replay->wanted.idents, i, acme_ident_t *)->value;
        good = X509_check_host(leaf, name, 0, 0, NULL) == 1;
    }
    X509_free(leaf);
    X509_free(issuer);
    BIO_free(bio);
    if (!good) {
        found("goes into service: %s", replay->chain_pem);
    }
}

static void check_outcome(const replay_t *replay, size_t before)
{
    if (!replay->chain_pem == !replay->error) {
        found("no outcome");
    }
    if (replay->chain_pem) {
        check_chain(replay);
    }
    else {
        check_told(replay->error);
    }
    if (apr_hash_count(replay->ca->visible) && !replay->session_failed) {
        found("a token is still shown");
    }
    if (replay->ca->requests > MAX_REQUESTS
        || replay_seconds(replay) > MAX_SECONDS
        || memory() > before + MAX_MEMORY) {
        found("%d requests, %d s, %ld octets: %s", replay->ca->requests,
              replay_seconds(replay), (long)(memory() - before),
              replay->error ? acme_err_line(replay->error, pool) : "done");
    }
}

/* --- orders -------------------------------------------------------------------- */

typedef struct scenario_t {
    const char *name;
    const ca_rule_t *rules;
    void (*prepare)(replay_t *replay);
} scenario_t;

static void run_order(const void *data, spoiler_t *spoiler)
{
    const scenario_t *scenario = data;
    replay_t *replay = replay_create("a.example b.example", pool);
    size_t before = memory();

    replay->max_steps = 20 * MAX_REQUESTS;
    replay->ca->rules = scenario->rules;
    replay->ca->renewal_info = 1;
    replay->ca->order_polls = 2;
    replay->ca->authz_polls = 1;
    if (scenario->prepare) {
        scenario->prepare(replay);
    }
    replay->ca->tamper = spoil;
    replay->ca->baton = spoiler;
    spoiler->ca = replay->ca;
    replay_run(replay);
    check_outcome(replay, before);
    if (replay->chain_pem) {
        return;
    }
    /* The CA is itself again. */
    spoiler->at = MAX_REQUESTS;
    spoiler->label = "";
    spoiler->always = 0;
    replay->ca->rules = NULL;
    replay->ca->fail_name = NULL;
    const char *first = acme_err_line(replay->error, pool);
    int keeps;
    do { /* an order whose URLs lead astray is given up in the end */
        keeps = acme_reaction(replay->error->msg)->fate == ACME_FATE_KEEP;
        replay_again(replay);
    } while (!replay->chain_pem && keeps);
    if (!replay->chain_pem) {
        found("%s; and then: %s; %s", first, acme_err_line(replay->error, pool),
              replay->transcript);
        return;
    }
    check_chain(replay);
}

static void prefer_another_chain(replay_t *replay)
{
    replay->wanted.preferred_chain = "Other Root";
    replay->ca->chain_links =
        "<" CA_URL "/cert/junk>;rel=\"alternate\", <" CA_URL
        "/cert/other>;rel=\"alternate\"";
}

static void renew(replay_t *replay)
{
    replay->account.known.kid = CA_URL "/account/1";
    replay->account.known.contacts = "mailto:old@example.org";
    APR_ARRAY_PUSH(replay->account.contacts, const char *) =
        "mailto:new@example.org";
    replay->wanted.replaces = "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE";
    replay->ca->retry_after = "5";
    replay->ca->meta =
        "\"termsOfService\":\"" CA_URL "/terms\","
        "\"website\":\"" CA_URL "\",\"caaIdentities\":[\"ca.test\"],"
        "\"externalAccountRequired\":false,"
        "\"profiles\":{\"classic\":\"the usual\"}";
    replay->wanted.profile = "classic";
}

static void fail_validation(replay_t *replay)
{
    replay->ca->fail_name = "b.example";
    replay->ca->fail_error =
        "{\"type\":\"urn:ietf:params:acme:error:connection\","
        "\"detail\":\"192.0.2.1: refused\",\"status\":400,\"subproblems\":[]}";
}

static void lend_terms(replay_t *replay)
{
    replay->account.known.kid = CA_URL "/account/1";
    replay->account.agree_terms = 0;
    replay->account.terms = apr_array_make(pool, 1, sizeof(const char *));
    APR_ARRAY_PUSH(replay->account.terms, const char *) = CA_URL "/terms/2";
}

static void know_account(replay_t *replay)
{
    replay->account.known.kid = CA_URL "/account/1";
}

static const ca_rule_t refusals[] = {
    { "newNonce", 1, CA_REPLY, 503, CA_PROBLEM("rateLimited", "slow down"),
      .retry_after = "3" },
    { "newAccount", 1, CA_REPLY, 400, CA_PROBLEM("badNonce", "again") },
    { "newOrder", 1, CA_REPLY, 400, CA_PROBLEM("accountDoesNotExist", "who") },
    { "newOrder", 2, CA_REPLY, 403, CA_PROBLEM("unauthorized", "closed?") },
    { "newOrder", 3, CA_REPLY, 500, CA_PROBLEM("serverInternal", "oops") },
    { "challenge", 1, CA_REPLY, 500, CA_PROBLEM("serverInternal", "busy") },
    { "finalize", 1, CA_REPLY, 403, CA_PROBLEM("orderNotReady", "soon") },
    { "order", 1, CA_REPLY, 503, "<html>", .retry_after = "2" },
    { "certificate", 1, CA_REPLY, 504, "<html>" },
    { NULL },
};

static const ca_rule_t compound[] = {
    { "newOrder", 0, CA_REPLY, 400,
      "{\"type\":\"urn:ietf:params:acme:error:compound\",\"status\":400,"
      "\"detail\":\"two of them\",\"instance\":\"" CA_URL "/help\","
      "\"algorithms\":[\"ES256\",\"RS256\"],"
      "\"identifier\":{\"type\":\"dns\",\"value\":\"a.example\"},"
      "\"subproblems\":[{\"type\":\"urn:ietf:params:acme:error:"
      "rejectedIdentifier\",\"detail\":\"not that\",\"identifier\":{\"type\":"
      "\"dns\",\"value\":\"a.example\"}},{\"type\":"
      "\"urn:ietf:params:acme:error:caa\",\"detail\":\"nor that\","
      "\"identifier\":{\"type\":\"dns\",\"value\":\"b.example\"}}]}" },
    { NULL },
};

static const ca_rule_t paused[] = {
    { "newOrder", 0, CA_REPLY, 429,
      CA_PROBLEM("rateLimited", "paused, see https://ca.test/unpause?jwt=x") },
    { NULL },
};

static const ca_rule_t new_terms[] = {
    { "newOrder", 1, CA_REPLY, 403,
      "{\"type\":\"urn:ietf:params:acme:error:userActionRequired\","
      "\"detail\":\"new terms\",\"instance\":\"" CA_URL "/agree\"}",
      .link = "<" CA_URL "/terms/2>;rel=\"terms-of-service\"" },
    { NULL },
};

static const ca_rule_t invalid_order[] = {
    { "finalize", 0, CA_REPLY, 200,
      "{\"status\":\"invalid\",\"finalize\":\"" CA_URL "/finalize\","
      "\"authorizations\":[\"" CA_URL "/authz/0\"],\"error\":{\"type\":"
      "\"urn:ietf:params:acme:error:caa\",\"detail\":\"CAA forbids\","
      "\"status\":403,\"identifier\":{\"type\":\"dns\",\"value\":"
      "\"b.example\"}}}" },
    { NULL },
};

#define ORDER_TEST(name, rules, prepare)                                       \
    static void test_hostile_##name(void **state)                              \
    {                                                                          \
        const scenario_t scenario = { #name, rules, prepare };                 \
        (void)state;                                                           \
        run_all(#name, &scenario, run_order);                                  \
    }

ORDER_TEST(first_issue, NULL, prefer_another_chain)
ORDER_TEST(renewal, NULL, renew)
ORDER_TEST(refusals, refusals, know_account)
ORDER_TEST(compound_problem, compound, know_account)
ORDER_TEST(paused, paused, know_account)
ORDER_TEST(new_terms, new_terms, lend_terms)
ORDER_TEST(failed_validation, NULL, fail_validation)
ORDER_TEST(invalid_order, invalid_order, know_account)

/* --- errands ------------------------------------------------------------------- */

/* @return its last step */
static acme_errand_step_t go(ca_t *ca, acme_errand_t *errand)
{
    acme_errand_step_t step;
    apr_time_t now = ca->now;

    for (int i = 0; i < MAX_REQUESTS; i++) {
        acme_reply_t reply = { 0 };

        acme_errand_next(&step, errand, now, pool);
        if (step.state == ACME_ERRAND_DONE
            || step.state == ACME_ERRAND_FAILED) {
            ca->now = now;
            return step;
        }
        if (step.state == ACME_ERRAND_WAIT) {
            assert_true(step.until > now);
            now = step.until;
            continue;
        }
        ca->now = now;
        ca_answer(ca, step.label, step.wire, &reply, pool);
        acme_errand_feed(errand, &reply, now);
    }
    found("no end");
    return step;
}

static const char *jwk_of(EVP_PKEY *key)
{
    const char *text;

    assert_no_err(acme_jws_jwk(&text, key, pool));
    return text;
}

/* The key that a rollover leaves at the CA is one of the two that are kept, and
 * where it says done or refused, the one it says. */
static void check_rollover(const ca_t *ca, const acme_errand_config_t *config,
                           const acme_errand_t *errand,
                           acme_errand_state_t state)
{
    const char *now = !strcmp(ca->jwk, jwk_of(config->new_key)) ? "new" : "old";

    if (!acme_errand_is_unclear(errand)
        && strcmp(now, state == ACME_ERRAND_DONE ? "new" : "old")) {
        found("the account's key is the %s one", now);
    }
}

static void run_errand(const void *data, spoiler_t *spoiler)
{
    acme_errand_config_t config = *(const acme_errand_config_t *)data;
    ca_t *ca = ca_create(pool);
    apr_time_t start = ca->now;
    size_t before = memory();

    assert_no_err(acme_key_make(&config.key, ACME_KEY_ECDSA_P256, pool));
    assert_no_err(acme_key_make(&config.new_key, ACME_KEY_ECDSA_P256, pool));
    ca->jwk = jwk_of(config.key);
    ca->tamper = spoil;
    ca->baton = spoiler;
    spoiler->ca = ca;
    acme_errand_t *errand = acme_errand_create(&config, pool);
    acme_errand_step_t step = go(ca, errand);
    if (step.error) {
        check_told(step.error);
    }
    if (config.kind == ACME_ERRAND_ROLLOVER) {
        check_rollover(ca, &config, errand, step.state);
    }
    if (ca->accounts || ca->now - start > apr_time_from_sec(2 * HOUR)
        || memory() > before + MAX_MEMORY) {
        found("%d accounts made, %ld s", ca->accounts,
              (long)apr_time_sec(ca->now - start));
    }
    if (step.state == ACME_ERRAND_DONE) {
        return;
    }
    spoiler->at = MAX_REQUESTS;
    spoiler->label = "";
    spoiler->always = 0;
    config.doubted = acme_errand_is_unclear(errand);
    acme_errand_step_t next = go(ca, acme_errand_create(&config, pool));
    if (next.error) {
        found("%s; and then: %s", acme_err_line(step.error, pool),
              acme_err_line(next.error, pool));
    }
}

#define ERRAND_TEST(name, ...)                                                 \
    static void test_hostile_##name(void **state)                              \
    {                                                                          \
        const acme_errand_config_t config = {                                  \
            .directory_url = CA_DIRECTORY,                                     \
            .certificate = (const unsigned char *)"certificate",               \
            .len = 11,                                                         \
            .reason = 1,                                                       \
            __VA_ARGS__                                                        \
        };                                                                     \
        (void)state;                                                           \
        run_all(#name, &config, run_errand);                                   \
    }

ERRAND_TEST(revocation, .kind = ACME_ERRAND_REVOKE)
ERRAND_TEST(revocation_by_key, .kind = ACME_ERRAND_REVOKE, .by_certificate = 1)
ERRAND_TEST(rollover, .kind = ACME_ERRAND_ROLLOVER)
ERRAND_TEST(rollover_doubted, .kind = ACME_ERRAND_ROLLOVER,
            .kid = CA_URL "/account/1", .doubted = 1)
ERRAND_TEST(contacts, .kind = ACME_ERRAND_CONTACTS)
ERRAND_TEST(deactivation, .kind = ACME_ERRAND_DEACTIVATE)
ERRAND_TEST(lookup, .kind = ACME_ERRAND_FIND)

/* --- renewal information ------------------------------------------------------- */

#define CERT_ID "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE"

static void ask_window(acme_ari_t *ari, ca_t *ca)
{
    acme_request_t request;
    acme_reply_t reply = { 0 };
    int news;

    assert_no_err(acme_ari_request(&request, CA_URL "/renewal", CERT_ID, pool));
    acme_wire_t wire = { .method = request.method,
                         .url = request.url,
                         .max_body = request.max_body };
    ca_answer(ca, request.label, &wire, &reply, pool);
    acme_err_t *err = acme_ari_feed(&news, ari, &reply, ca->now, 4711, pool);
    if (err) {
        check_told(err);
    }
    if (ari->next_ask < ca->now + apr_time_from_sec(60)
        || ari->next_ask > ca->now + apr_time_from_sec(DAY)) {
        found("asks again in %ld s",
              (long)apr_time_sec(ari->next_ask - ca->now));
    }
}

static void run_window(const void *unused, spoiler_t *spoiler)
{
    ca_t *ca = ca_create(pool);
    apr_time_t latest = ca->now + apr_time_from_sec(60 * DAY);
    acme_ari_t ari = { 0 }, kept = { 0 };
    const char *text;

    (void)unused;
    ca->tamper = spoil;
    ca->baton = spoiler;
    spoiler->ca = ca;
    ask_window(&ari, ca);
    apr_time_t moment = acme_ari_moment(&ari, CERT_ID, latest);
    if (moment && (moment < ari.start || moment >= latest)) {
        found("renews at %s", acme_time_format(moment, pool));
    }
    assert_true(is_plain(ari.url));
    assert_no_err(acme_ari_format(&text, &ari, CERT_ID, pool));
    assert_no_err(
        acme_ari_parse(&kept, CERT_ID, text, strlen(text), ca->now, pool));
    assert_int_equal(acme_ari_moment(&kept, CERT_ID, latest), moment);

    spoiler->at = MAX_REQUESTS;
    ca->now = ari.next_ask;
    ask_window(&ari, ca);
    assert_int_equal(ari.failures, 0);
    assert_string_equal(ari.url, CA_URL "/why");
    assert_true(acme_ari_moment(&ari, CERT_ID, latest) > ca->now);
}

static void test_hostile_renewal_information(void **state)
{
    (void)state;
    run_all("renewal_information", NULL, run_window);
}

/* A crash, or a loop that replay.c has seen, tells of what. */
static void on_signal(int number)
{
    size_t written = (size_t)write(2, trying, strlen(trying));

    (void)written;
    signal(number, SIG_DFL);
    raise(number);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        POOL_TEST(test_hostile_first_issue),
        POOL_TEST(test_hostile_renewal),
        POOL_TEST(test_hostile_refusals),
        POOL_TEST(test_hostile_compound_problem),
        POOL_TEST(test_hostile_paused),
        POOL_TEST(test_hostile_new_terms),
        POOL_TEST(test_hostile_failed_validation),
        POOL_TEST(test_hostile_invalid_order),
        POOL_TEST(test_hostile_revocation),
        POOL_TEST(test_hostile_revocation_by_key),
        POOL_TEST(test_hostile_rollover),
        POOL_TEST(test_hostile_rollover_doubted),
        POOL_TEST(test_hostile_contacts),
        POOL_TEST(test_hostile_deactivation),
        POOL_TEST(test_hostile_lookup),
        POOL_TEST(test_hostile_renewal_information),
    };
    const char *only = getenv("ACME_HOSTILE_TEST");
    int failed;

    apr_initialize();
    signal(SIGABRT, on_signal);
    if (only) {
        cmocka_set_test_filter(only);
    }
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    apr_terminate();
    return failed != 0;
}
