#include "engine/limits.h"

#include <apr_hash.h>
#include <apr_strings.h>
#include <arpa/inet.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "core/encode.h"
#include "core/renewal.h"

#define HOUR apr_time_from_sec(60 * 60)
#define DAY  (24 * HOUR)

#define MAX_FILE (900 * 1024) /* octets; the store reads a MiB */
#define MAX_WAIT (8 * DAY)    /* longer than any limit of a CA */
#define MAX_HOLD (2 * DAY)    /* longer than one learned */
#define ALL      1000000      /* orders without an answer: no bound */
#define MANY     1024         /* buckets before the full ones are swept out */

/* As published; exemptions are those of acme_limits_order_t. */
static const acme_limit_rules_t RULES[] = {
    /* letsencrypt.org/docs/rate-limits, 2026-08 */
    { "https://acme-v02.api.letsencrypt.org/directory",
      { [ACME_LIMIT_ORDERS] = { 300, 3 * HOUR },
        [ACME_LIMIT_DOMAIN] = { 50, 7 * DAY },
        [ACME_LIMIT_SET] = { 5, 7 * DAY },
        [ACME_LIMIT_FAILURES] = { 5, HOUR },
        [ACME_LIMIT_ACCOUNTS] = { 10, 3 * HOUR } } },
};

/** Tokens, as the moment when all will be back (the theoretical arrival time of
 *  the generic cell rate algorithm): in the past, it is full. */
typedef struct bucket_t {
    apr_time_t full_at;
} bucket_t;

struct acme_limits_t {
    const acme_limit_rules_t *rules; /* or NULL */
    apr_pool_t *parent;
    apr_pool_t *pool;    /* of the buckets; another after each sweep */
    apr_hash_t *buckets; /* "domain example.org" -> bucket_t * */
    unsigned int sweep_at;
    int dirty;
    apr_time_t held_until; /* the CA refuses all */
    int refusals;        /* in a row, of certificates without a common domain */
    const char *refused; /* domain of the first of them */
    int window;
};

static const char *const PREFIXES[ACME_LIMITS] = {
    [ACME_LIMIT_ORDERS] = "orders",     [ACME_LIMIT_DOMAIN] = "domain",
    [ACME_LIMIT_SET] = "set",           [ACME_LIMIT_FAILURES] = "failures",
    [ACME_LIMIT_ACCOUNTS] = "accounts",
};
static const char *const WORDS[ACME_LIMITS] = {
    [ACME_LIMIT_ORDERS] = "new orders of an account",
    [ACME_LIMIT_DOMAIN] = "certificates for names of",
    [ACME_LIMIT_SET] = "certificates for exactly the same names",
    [ACME_LIMIT_FAILURES] = "failed validations of",
    [ACME_LIMIT_ACCOUNTS] = "new accounts",
};

const acme_limit_rules_t *acme_limits_find(const char *ca_url)
{
    for (size_t i = 0; i < sizeof(RULES) / sizeof(RULES[0]); i++) {
        if (!strcmp(RULES[i].ca_url, ca_url)) {
            return &RULES[i];
        }
    }
    return NULL;
}

acme_limits_t *acme_limits_create(const acme_limit_rules_t *rules,
                                  apr_pool_t *pool)
{
    acme_limits_t *limits = apr_pcalloc(pool, sizeof(*limits));

    limits->rules = rules;
    limits->parent = pool;
    apr_pool_create(&limits->pool, pool);
    limits->buckets = apr_hash_make(limits->pool);
    limits->sweep_at = MANY;
    limits->window = ALL;
    return limits;
}

/* --- names ------------------------------------------------------------------- */

/* Second labels below which a country's registry sells names. */
static const char *const SECOND_LABELS[] = {
    "ac",  "co", "com", "edu", "gob", "gouv", "gov", "ltd", "me",
    "mil", "ne", "net", "nom", "or",  "org",  "plc", "sch",
};

static int is_second_label(const char *label, apr_size_t len)
{
    for (size_t i = 0; i < sizeof(SECOND_LABELS) / sizeof(SECOND_LABELS[0]);
         i++) {
        if (strlen(SECOND_LABELS[i]) == len
            && !strncmp(SECOND_LABELS[i], label, len)) {
            return 1;
        }
    }
    return 0;
}

/* Start of the label before at, which is one. */
static const char *label_before(const char *name, const char *at)
{
    const char *start = at - 1; /* its dot */
    while (start > name && start[-1] != '.') {
        start--;
    }
    return start;
}

/* An IPv6 address up to its /64. */
static const char *network_of(const char *text, apr_pool_t *pool)
{
    unsigned char octets[16];
    return inet_pton(AF_INET6, text, octets) == 1 ? apr_pstrcat(
               pool, acme_encode_hex(octets, 8, pool), "::/64", NULL)
                                                  : text;
}

const char *acme_limits_domain(const acme_ident_t *ident, apr_pool_t *pool)
{
    const char *name = ident->value, *last, *second, *third;

    if (ident->type == ACME_IDENT_IP) {
        return strchr(name, ':') ? network_of(name, pool) : name;
    }
    name += strncmp(name, "*.", 2) ? 0 : 2;
    last = strrchr(name, '.');
    if (!last) {
        return name;
    }
    last++;
    second = label_before(name, last);
    if (second == name || strlen(last) != 2
        || !is_second_label(second, (apr_size_t)(last - 1 - second))) {
        return second;
    }
    third = label_before(name, second);
    return third;
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Sixteen hexadecimal digits over the names, in whatever order they are. */
static const char *set_of(const apr_array_header_t *idents, apr_pool_t *pool)
{
    apr_array_header_t *names =
        apr_array_make(pool, idents->nelts, sizeof(const char *));
    unsigned char digest[ACME_SHA256];
    const char *text;

    for (int i = 0; i < idents->nelts; i++) {
        APR_ARRAY_PUSH(names, const char *) =
            APR_ARRAY_IDX(idents, i, acme_ident_t *)->value;
    }
    qsort(names->elts, (size_t)names->nelts, sizeof(const char *),
          compare_texts);
    text = apr_array_pstrcat(pool, names, ' ');
    acme_sha256(digest, text, strlen(text));
    return acme_encode_hex(digest, 8, pool);
}

/* Domains of an order, each once. */
static apr_array_header_t *domains_of(const apr_array_header_t *idents,
                                      apr_pool_t *pool)
{
    apr_array_header_t *domains = apr_array_make(pool, 2, sizeof(const char *));

    for (int i = 0; i < idents->nelts; i++) {
        const char *domain =
            acme_limits_domain(APR_ARRAY_IDX(idents, i, acme_ident_t *), pool);
        int k = 0;
        while (k < domains->nelts
               && strcmp(APR_ARRAY_IDX(domains, k, const char *), domain)) {
            k++;
        }
        if (k == domains->nelts) {
            APR_ARRAY_PUSH(domains, const char *) = domain;
        }
    }
    return domains;
}

/* --- buckets ------------------------------------------------------------------ */

static apr_interval_time_t step_of(const acme_limit_rule_t *rule)
{
    return rule->period / rule->count;
}

static const acme_limit_rule_t *rule_of(const acme_limits_t *limits,
                                        acme_limit_t limit)
{
    const acme_limit_rule_t *rule =
        limits->rules ? &limits->rules->of[limit] : NULL;
    return rule && rule->count ? rule : NULL;
}

static const char *key_of(acme_limit_t limit, const char *what,
                          apr_pool_t *pool)
{
    return apr_pstrcat(pool, PREFIXES[limit], " ", what, NULL);
}

/* Those that are full say nothing, and pools keep what they gave. */
static void sweep(acme_limits_t *limits, apr_time_t now)
{
    apr_pool_t *old = limits->pool;
    apr_hash_t *buckets;

    apr_pool_create(&limits->pool, limits->parent);
    buckets = apr_hash_make(limits->pool);
    for (apr_hash_index_t *at = apr_hash_first(NULL, limits->buckets); at;
         at = apr_hash_next(at)) {
        const bucket_t *bucket = apr_hash_this_val(at);
        if (bucket->full_at > now) {
            apr_hash_set(buckets,
                         apr_pstrdup(limits->pool, apr_hash_this_key(at)),
                         APR_HASH_KEY_STRING,
                         apr_pmemdup(limits->pool, bucket, sizeof(*bucket)));
        }
    }
    if (limits->refused) {
        limits->refused = apr_pstrdup(limits->pool, limits->refused);
    }
    limits->buckets = buckets;
    limits->sweep_at = 2 * apr_hash_count(buckets) + MANY;
    apr_pool_destroy(old);
}

static void put(acme_limits_t *limits, const char *key, apr_time_t full_at)
{
    bucket_t *bucket = apr_hash_get(limits->buckets, key, APR_HASH_KEY_STRING);
    if (!bucket) {
        bucket = apr_pcalloc(limits->pool, sizeof(*bucket));
        apr_hash_set(limits->buckets, apr_pstrdup(limits->pool, key),
                     APR_HASH_KEY_STRING, bucket);
    }
    bucket->full_at = full_at;
    limits->dirty = 1;
}

static apr_time_t full_at(const acme_limits_t *limits, const char *key,
                          apr_time_t now)
{
    const bucket_t *bucket =
        apr_hash_get(limits->buckets, key, APR_HASH_KEY_STRING);
    return bucket && bucket->full_at > now ? bucket->full_at : now;
}

static void take(acme_limits_t *limits, acme_limit_t limit, const char *what,
                 apr_time_t now, apr_pool_t *scratch)
{
    const acme_limit_rule_t *rule = rule_of(limits, limit);
    if (!rule) {
        return;
    }
    const char *key = key_of(limit, what, scratch);
    apr_time_t moment = full_at(limits, key, now) + step_of(rule);
    /* More than there is (asked for by the administrator) is no debt. */
    put(limits, key, moment < now + rule->period ? moment : now + rule->period);
    if (apr_hash_count(limits->buckets) > limits->sweep_at) {
        sweep(limits, now);
    }
}

static void give_back(acme_limits_t *limits, acme_limit_t limit,
                      const char *what, apr_time_t now, apr_pool_t *scratch)
{
    const acme_limit_rule_t *rule = rule_of(limits, limit);
    if (rule) {
        const char *key = key_of(limit, what, scratch);
        put(limits, key, full_at(limits, key, now) - step_of(rule));
    }
}

/* --- checking ------------------------------------------------------------------ */

static void wait_for(acme_limits_wait_t *wait, const acme_limits_t *limits,
                     acme_limit_t limit, const char *what, apr_time_t now,
                     apr_pool_t *pool)
{
    const acme_limit_rule_t *rule = rule_of(limits, limit);
    if (!rule) {
        return;
    }
    /* A token is there once less than a whole bucket is missing. */
    apr_time_t until = full_at(limits, key_of(limit, what, pool), now)
                       + step_of(rule) - rule->period;
    if (until <= now || until <= wait->until) {
        return;
    }
    int names_it = limit == ACME_LIMIT_DOMAIN || limit == ACME_LIMIT_FAILURES;
    wait->until = until;
    wait->limit = limit;
    wait->learned = 0;
    wait->what = apr_psprintf(
        pool, "%d %s%s%s in %s", rule->count, WORDS[limit], names_it ? " " : "",
        names_it ? what : "", acme_duration_text(rule->period, pool));
}

void acme_limits_check_account(acme_limits_wait_t *wait, acme_limits_t *limits,
                               const char *account, apr_time_t now,
                               apr_pool_t *pool)
{
    memset(wait, 0, sizeof(*wait));
    if (limits->held_until > now) {
        wait->until = limits->held_until;
        wait->limit = ACME_LIMIT_ORDERS;
        wait->learned = 1;
        wait->what = "no more for now, having refused several";
    }
    wait_for(wait, limits, ACME_LIMIT_ORDERS, account, now, pool);
}

static const char *failures_key(const char *account, const char *name,
                                apr_pool_t *pool)
{
    return apr_pstrcat(pool, name, " by ", account, NULL);
}

void acme_limits_check(acme_limits_wait_t *wait, acme_limits_t *limits,
                       const acme_limits_order_t *order, apr_time_t now,
                       apr_pool_t *pool)
{
    apr_array_header_t *domains;

    memset(wait, 0, sizeof(*wait));
    /* That a CA exempts anything is known only where its limits are. */
    if (order->exempt && limits->rules) {
        return;
    }
    if (!order->renewal || !limits->rules) {
        acme_limits_check_account(wait, limits, order->account, now, pool);
    }
    if (!limits->rules) {
        return;
    }
    domains = domains_of(order->idents, pool);
    for (int i = 0; !order->renewal && i < domains->nelts; i++) {
        wait_for(wait, limits, ACME_LIMIT_DOMAIN,
                 APR_ARRAY_IDX(domains, i, const char *), now, pool);
    }
    wait_for(wait, limits, ACME_LIMIT_SET, set_of(order->idents, pool), now,
             pool);
    for (int i = 0; i < order->idents->nelts; i++) {
        wait_for(
            wait, limits, ACME_LIMIT_FAILURES,
            failures_key(order->account,
                         APR_ARRAY_IDX(order->idents, i, acme_ident_t *)->value,
                         pool),
            now, pool);
    }
}

apr_interval_time_t acme_limits_pace(const acme_limits_t *limits)
{
    const acme_limit_rule_t *rule = rule_of(limits, ACME_LIMIT_ORDERS);
    return rule ? step_of(rule) : 0;
}

/* --- spending ------------------------------------------------------------------- */

typedef void change_fn_t(acme_limits_t *limits, acme_limit_t limit,
                         const char *key, apr_time_t now, apr_pool_t *scratch);

/* What an order takes of each certificate's limits, or gives back. */
static void each_certificate(acme_limits_t *limits,
                             const acme_limits_order_t *order, apr_time_t now,
                             change_fn_t *change, apr_pool_t *scratch)
{
    apr_array_header_t *domains = domains_of(order->idents, scratch);

    for (int i = 0; !order->renewal && i < domains->nelts; i++) {
        change(limits, ACME_LIMIT_DOMAIN,
               APR_ARRAY_IDX(domains, i, const char *), now, scratch);
    }
    change(limits, ACME_LIMIT_SET, set_of(order->idents, scratch), now,
           scratch);
}

/* What an order costs. @param whole  0: of it what its certificate would */
static void charge(acme_limits_t *limits, const acme_limits_order_t *order,
                   int whole, change_fn_t *change, apr_time_t now)
{
    apr_pool_t *scratch;

    if (order->exempt || !limits->rules) {
        return;
    }
    apr_pool_create(&scratch, limits->parent);
    if (whole && !order->renewal) {
        change(limits, ACME_LIMIT_ORDERS, order->account, now, scratch);
    }
    each_certificate(limits, order, now, change, scratch);
    apr_pool_destroy(scratch);
}

void acme_limits_spend(acme_limits_t *limits, const acme_limits_order_t *order,
                       apr_time_t now)
{
    charge(limits, order, 1, take, now);
}

void acme_limits_refund(acme_limits_t *limits, const acme_limits_order_t *order,
                        apr_time_t now)
{
    charge(limits, order, 0, give_back, now);
}

void acme_limits_cancel(acme_limits_t *limits, const acme_limits_order_t *order,
                        apr_time_t now)
{
    charge(limits, order, 1, give_back, now);
}

void acme_limits_fail(acme_limits_t *limits, const char *account,
                      const char *name, apr_time_t now)
{
    apr_pool_t *scratch;

    apr_pool_create(&scratch, limits->parent);
    take(limits, ACME_LIMIT_FAILURES, failures_key(account, name, scratch), now,
         scratch);
    apr_pool_destroy(scratch);
}

acme_err_t *acme_limits_take_account(acme_limits_t *limits, apr_time_t now,
                                     apr_pool_t *pool)
{
    acme_limits_wait_t wait = { 0 };

    wait_for(&wait, limits, ACME_LIMIT_ACCOUNTS, "", now, pool);
    if (wait.until) {
        acme_err_t *err =
            acme_err_make(pool, ACME_E_LIMIT, wait.what,
                          acme_time_format(wait.until, pool), NULL);
        err->retry_at = wait.until;
        return err;
    }
    take(limits, ACME_LIMIT_ACCOUNTS, "", now, pool);
    return NULL;
}

/* --- what the CA teaches ---------------------------------------------------------- */

int acme_limits_refused(acme_limits_t *limits, const apr_array_header_t *idents,
                        apr_time_t until, apr_time_t now)
{
    apr_pool_t *scratch;

    apr_pool_create(&scratch, limits->parent);
    const char *domain =
        acme_limits_domain(APR_ARRAY_IDX(idents, 0, acme_ident_t *), scratch);
    if (!limits->refused) {
        limits->refused = apr_pstrdup(limits->pool, domain);
        limits->refusals = 1;
    }
    else if (strcmp(limits->refused, domain)) {
        limits->refusals++;
    }
    apr_pool_destroy(scratch);
    if (limits->refusals < 2) {
        return 0;
    }
    limits->window = 1;
    /* Whichever may try again first shows how it is then. */
    if (limits->held_until <= now || until < limits->held_until) {
        limits->held_until = until;
        limits->dirty = 1;
    }
    return 1;
}

void acme_limits_accepted(acme_limits_t *limits)
{
    limits->refusals = 0;
    limits->refused = NULL;
    limits->dirty |= limits->held_until != 0;
    limits->held_until = 0;
    if (limits->window < ALL) {
        limits->window *= 2;
    }
}

int acme_limits_window(const acme_limits_t *limits)
{
    return limits->window;
}

/* --- what is kept ----------------------------------------------------------------- */

int acme_limits_dirty(const acme_limits_t *limits)
{
    return limits->dirty;
}

acme_err_t *acme_limits_format(const char **json, acme_limits_t *limits,
                               apr_time_t now, apr_pool_t *pool)
{
    json_t *buckets = json_object();
    apr_size_t size = 0;
    int failed = 0;

    for (apr_hash_index_t *at = apr_hash_first(pool, limits->buckets); at;
         at = apr_hash_next(at)) {
        const bucket_t *bucket = apr_hash_this_val(at);
        const char *key = apr_hash_this_key(at);
        size += strlen(key) + 32;
        if (bucket->full_at > now && size < MAX_FILE) {
            failed |= json_object_set_new(buckets, key,
                                          json_integer(bucket->full_at));
        }
    }
    json_t *doc = json_pack("{s:I, s:o}", "held_until",
                            (json_int_t)limits->held_until, "buckets", buckets);
    if (failed) {
        json_decref(doc);
        doc = NULL;
    }
    ACME_TRY(acme_json_document(json, doc, "saving limits", pool));
    limits->dirty = 0;
    return NULL;
}

acme_err_t *acme_limits_parse(acme_limits_t *limits, const char *json,
                              apr_size_t len, apr_time_t now,
                              apr_pool_t *scratch)
{
    const char *key;
    json_t *doc, *buckets, *value;

    ACME_TRY(acme_json_parse(&doc, json, len, 1024 * 1024, "file of limits",
                             scratch));
    buckets = json_object_get(doc, "buckets");
    json_object_foreach(buckets, key, value)
    {
        apr_time_t moment = json_integer_value(value);
        /* More than any period: a clock was ahead. */
        if (moment > now && moment <= now + MAX_WAIT) {
            put(limits, key, moment);
        }
    }
    limits->held_until = json_integer_value(json_object_get(doc, "held_until"));
    if (limits->held_until > now + MAX_HOLD) {
        limits->held_until = 0;
    }
    if (limits->held_until > now) {
        limits->window = 1;
    }
    limits->dirty = 0;
    return NULL;
}
