#include "engine/prober.h"

#include <apr_hash.h>
#include <apr_strings.h>
#include <curl/curl.h>
#include <openssl/rand.h>
#include <string.h>

#include "core/encode.h"
#include "engine/ownaddr.h"
#include "engine/probe.h"
#include "engine/timer.h"

#define AT_ONCE        32 /* visits; further ones wait */
#define MAX_SIGHTS     (2 * ACME_RESOLVER_MAX_ADDRESSES)
#define PATIENCE       apr_time_from_sec(3)  /* with one address */
#define REMEMBER       apr_time_from_sec(60) /* that nothing answers there */
#define MAX_REMEMBERED 1000
#define OWN_AGE        apr_time_from_sec(10)
#define RANDOM_OCTETS  32 /* of a token: 43 characters */

/** One address on the way. */
typedef struct look_t {
    acme_visit_t *visit;
    acme_sight_t *sight;
    acme_probe_t *probe;
    acme_hello_t *hello;
    apr_time_t until; /* of the handshake */
    int tls;          /* looking whether TLS is spoken where HTTP should */
    int over;
} look_t;

struct acme_visit_t {
    acme_visit_t *next;
    acme_prober_t *prober;
    apr_pool_t *pool; /* its own */
    acme_visit_wish_t wish;
    acme_visited_fn_t *visited; /* NULL: forgotten */
    void *baton;
    apr_time_t until;
    int begun;
    acme_lookup_t *lookup;
    acme_scene_t scene;
    acme_proof_t proof;
    int published;
    apr_array_header_t *sights; /* acme_sight_t */
    look_t looks[MAX_SIGHTS];
    int pending; /* looks */
};

struct acme_prober_t {
    apr_pool_t *pool;
    acme_prober_config_t config;
    acme_visit_t *visits, **end;
    const char *user_agent;
    acme_own_t *own;
    apr_pool_t *own_pool;
    apr_time_t own_time;
    apr_hash_t *silent; /* "address port" -> apr_time_t *: when it was */
    apr_pool_t *silent_pool;
};

static apr_time_t now_of(const acme_prober_t *prober)
{
    return prober->config.now(prober->config.baton);
}

/* --- what is known of addresses ------------------------------------------------------- */

static const acme_own_t *own_addresses(acme_prober_t *prober)
{
    apr_time_t now = now_of(prober);

    if (!prober->own || now >= prober->own_time + OWN_AGE
        || now < prober->own_time) {
        apr_pool_clear(prober->own_pool);
        prober->own = acme_own_addresses(prober->own_pool);
        prober->own_time = now;
    }
    return prober->own;
}

static const char *key_of(const look_t *look, apr_pool_t *pool)
{
    return apr_pstrcat(pool, look->sight->address, " ",
                       acme_diagnosis_port(look->visit->wish.type), NULL);
}

/* A thousand names of one address that lets nobody in must not wait for it a
 * thousand times. */
static int is_known_silent(const look_t *look)
{
    const acme_prober_t *prober = look->visit->prober;
    const apr_time_t *time = apr_hash_get(
        prober->silent, key_of(look, look->visit->pool), APR_HASH_KEY_STRING);
    apr_time_t now = now_of(prober);

    return time && now >= *time && now < *time + REMEMBER;
}

static void remember_silent(const look_t *look)
{
    acme_prober_t *prober = look->visit->prober;
    apr_time_t now = now_of(prober);

    if (apr_hash_count(prober->silent) >= MAX_REMEMBERED) {
        apr_pool_clear(prober->silent_pool);
        prober->silent = apr_hash_make(prober->silent_pool);
    }
    apr_hash_set(prober->silent, key_of(look, prober->silent_pool),
                 APR_HASH_KEY_STRING,
                 apr_pmemdup(prober->silent_pool, &now, sizeof(now)));
}

/* --- looking at one address ------------------------------------------------------------- */

static void look_over(look_t *look)
{
    if (!look->over) {
        look->over = 1;
        look->visit->pending--;
    }
}

static acme_probe_question_t question_of(const look_t *look)
{
    const acme_visit_t *visit = look->visit;
    const acme_prober_config_t *config = &visit->prober->config;
    const acme_sight_t *sight = look->sight;
    apr_interval_time_t left = visit->until - now_of(visit->prober);
    /* What arrives at this machine from outside arrives at these ports. */
    int mapped = sight->own;
    acme_probe_question_t question = {
        visit->wish.ident,
        sight->address,
        sight->v6,
        mapped && config->port_80 ? config->port_80 : 80,
        mapped && config->port_443 ? config->port_443 : 443,
        visit->proof.token,
        visit->published ? visit->proof.key_authorization : NULL,
        visit->prober->user_agent,
        left < PATIENCE ? left : PATIENCE
    };

    return question;
}

static void on_tls_seen(void *baton, acme_sight_t *sight)
{
    look_t *look = baton;

    (void)sight; /* what it is not is as it was seen before */
    look_over(look);
}

/* Whatever is not HTTP may be TLS. */
static int look_for_tls(look_t *look)
{
    acme_visit_t *visit = look->visit;
    acme_probe_question_t question = question_of(look);
    acme_saw_t saw = look->sight->saw;

    if (question.patience <= 0) {
        return 0;
    }
    look->tls = 1;
    look->until = now_of(visit->prober) + question.patience;
    look->hello = acme_hello_begin(
        acme_transport_watches(visit->prober->config.transport), &question, 0,
        look->sight, on_tls_seen, look, visit->pool);
    if (!look->hello) {
        look->sight->saw = saw;
    }
    return look->hello != NULL;
}

static void on_seen(void *baton, acme_sight_t *sight)
{
    look_t *look = baton;

    if (sight->saw == ACME_SAW_TIMEOUT) {
        remember_silent(look);
    }
    if ((sight->saw == ACME_SAW_GARBAGE || sight->saw == ACME_SAW_CLOSED)
        && look->probe && !sight->location && look_for_tls(look)) {
        return;
    }
    look_over(look);
}

static void begin_look(look_t *look)
{
    acme_visit_t *visit = look->visit;
    const acme_prober_config_t *config = &visit->prober->config;
    acme_probe_question_t question = question_of(look);

    if (is_known_silent(look)) {
        look->sight->saw = ACME_SAW_TIMEOUT;
    }
    else if (visit->wish.type == ACME_PROOF_HTTP_01) {
        look->probe = acme_probe_begin(config->transport, &question,
                                       look->sight, on_seen, look, visit->pool);
    }
    else {
        look->until = now_of(visit->prober) + question.patience;
        look->hello = acme_hello_begin(
            acme_transport_watches(config->transport), &question, 1,
            look->sight, on_seen, look, visit->pool);
    }
    if (!look->probe && !look->hello) {
        look_over(look);
    }
}

static void end_look(look_t *look)
{
    if (look->probe) {
        acme_probe_end(look->probe);
    }
    if (look->hello) {
        acme_hello_end(look->hello);
    }
    look_over(look);
}

/* --- one visit ------------------------------------------------------------------------------ */

static const char *random_text(apr_pool_t *pool)
{
    unsigned char octets[RANDOM_OCTETS];

    return RAND_bytes(octets, sizeof(octets)) == 1
               ? acme_encode_base64url(octets, sizeof(octets), pool)
               : NULL;
}

/* A token that no CA has given out: nobody can prove anything with it.
 * @return 0: it cannot be shown now, since a real one is */
static int publish(acme_visit_t *visit)
{
    const acme_prober_config_t *config = &visit->prober->config;
    const char *token = random_text(visit->pool);
    const char *thumbprint = random_text(visit->pool);

    if (!token || !thumbprint) {
        return 0;
    }
    visit->proof.type = visit->wish.type;
    visit->proof.ident = visit->wish.ident;
    visit->proof.token = token;
    visit->proof.key_authorization =
        acme_proof_key_authorization(token, thumbprint, visit->pool);
    if (!config->publish) {
        return 1;
    }
    visit->published = config->publish(config->baton, &visit->proof) == NULL;
    return visit->published;
}

static void add_sight(acme_visit_t *visit, const char *address)
{
    acme_sight_t *sight;
    look_t *look;

    if (visit->sights->nelts >= MAX_SIGHTS) {
        return;
    }
    look = &visit->looks[visit->sights->nelts];
    sight = apr_array_push(visit->sights); /* made for MAX_SIGHTS: stays */
    sight->address = apr_pstrdup(visit->pool, address);
    sight->v6 = strchr(address, ':') != NULL;
    sight->own = acme_own_has(own_addresses(visit->prober), address);
    look->visit = visit;
    look->sight = sight;
}

static void begin_looks(acme_visit_t *visit)
{
    int i;

    if (!visit->sights->nelts || !publish(visit)) {
        visit->sights->nelts = 0;
        return;
    }
    visit->pending = visit->sights->nelts;
    for (i = 0; i < visit->sights->nelts; i++) {
        begin_look(&visit->looks[i]);
    }
}

static void on_hosts(void *baton, const acme_hosts_t *hosts)
{
    acme_visit_t *visit = baton;
    int i;

    visit->lookup = NULL;
    visit->scene.nowhere = apr_pstrdup(visit->pool, hosts->nowhere);
    visit->scene.unknown = apr_pstrdup(visit->pool, hosts->unknown);
    for (i = 0; i < hosts->addresses->nelts; i++) {
        add_sight(visit, APR_ARRAY_IDX(hosts->addresses, i, const char *));
    }
    begin_looks(visit);
}

static void begin(acme_visit_t *visit)
{
    const acme_visit_wish_t *wish = &visit->wish;

    visit->begun = 1;
    if (wish->ident->type == ACME_IDENT_IP) {
        add_sight(visit, wish->ident->value);
        begin_looks(visit);
        return;
    }
    visit->lookup = acme_resolver_find_hosts(visit->prober->config.resolver,
                                             wish->ident->value,
                                             wish->resolvers, on_hosts, visit);
}

/* Everything of it that goes on elsewhere. */
static void stop(acme_visit_t *visit)
{
    const acme_prober_config_t *config = &visit->prober->config;
    int i;

    if (visit->lookup) {
        acme_lookup_forget(visit->lookup);
        visit->lookup = NULL;
        visit->scene.unknown = "no answer in time";
    }
    for (i = 0; i < visit->sights->nelts; i++) {
        end_look(&visit->looks[i]);
    }
    if (visit->published) {
        config->withdraw(config->baton, &visit->proof);
        visit->published = 0;
    }
}

static void tell(acme_visit_t *visit)
{
    const acme_own_t *own = own_addresses(visit->prober);
    acme_scene_t *scene = &visit->scene;

    scene->ident = visit->wish.ident;
    scene->type = visit->wish.type;
    scene->stopped = !visit->prober->config.publish;
    scene->public_ca = visit->wish.public_ca;
    scene->chosen_dns = visit->wish.resolvers && visit->wish.resolvers->nelts;
    scene->has_public_v4 = own->has_public_v4;
    scene->has_public_v6 = own->has_public_v6;
    scene->sights = visit->sights;
    visit->visited(visit->baton, acme_diagnose(scene, visit->pool));
}

/* Time that is over for a single address: curl keeps that of requests. */
static void expire(acme_visit_t *visit, apr_time_t now)
{
    int i;

    for (i = 0; i < visit->sights->nelts; i++) {
        look_t *look = &visit->looks[i];
        acme_saw_t saw = look->sight->saw;

        if (look->over || !look->hello || look->until > now) {
            continue;
        }
        acme_hello_expire(look->hello);
        if (look->tls) {
            look->sight->saw = saw;
        }
    }
}

/* --- all of them ------------------------------------------------------------------------------ */

acme_visit_t *acme_prober_visit(acme_prober_t *prober,
                                const acme_visit_wish_t *wish,
                                acme_visited_fn_t *visited, void *baton)
{
    acme_visit_t *visit;
    apr_pool_t *pool;

    apr_pool_create(&pool, prober->pool);
    visit = apr_pcalloc(pool, sizeof(*visit));
    visit->prober = prober;
    visit->pool = pool;
    visit->wish = *wish;
    visit->wish.resolvers =
        wish->resolvers ? apr_array_copy(pool, wish->resolvers) : NULL;
    visit->visited = visited;
    visit->baton = baton;
    visit->until = now_of(prober) + wish->patience;
    visit->sights = apr_array_make(pool, MAX_SIGHTS, sizeof(acme_sight_t));
    *prober->end = visit;
    prober->end = &visit->next;
    return visit;
}

void acme_visit_forget(acme_visit_t *visit)
{
    visit->visited = NULL;
    stop(visit);
}

static int is_over(const acme_visit_t *visit, apr_time_t now)
{
    return !visit->visited || now >= visit->until
           || (visit->begun && !visit->lookup && !visit->pending);
}

void acme_prober_pump(acme_prober_t *prober)
{
    apr_time_t now = now_of(prober);
    acme_visit_t **link = &prober->visits;
    int active = 0;

    while (*link) {
        acme_visit_t *visit = *link;

        if (!visit->begun && visit->visited && active < AT_ONCE) {
            begin(visit);
        }
        expire(visit, now);
        if (!is_over(visit, now)) {
            active += visit->begun;
            link = &visit->next;
            continue;
        }
        stop(visit);
        if (visit->visited) {
            tell(visit); /* may add others at the end, and forget any */
        }
        *link = visit->next;
        if (!visit->next) {
            prober->end = link;
        }
        apr_pool_destroy(visit->pool);
    }
}

apr_interval_time_t acme_prober_wait(const acme_prober_t *prober,
                                     apr_interval_time_t max)
{
    apr_time_t now = now_of(prober), due = now + max;
    int begun = 0;

    for (const acme_visit_t *visit = prober->visits; visit;
         visit = visit->next) {
        if (is_over(visit, now) || (!visit->begun && begun < AT_ONCE)) {
            return 0;
        }
        begun += visit->begun;
        due = visit->until < due ? visit->until : due;
        for (int i = 0; i < visit->sights->nelts; i++) {
            const look_t *look = &visit->looks[i];
            if (!look->over && look->hello && look->until < due) {
                due = look->until;
            }
        }
    }
    return due > now ? due - now : 0;
}

static apr_status_t prober_cleanup(void *data)
{
    acme_prober_t *prober = data;

    for (acme_visit_t *visit = prober->visits; visit; visit = visit->next) {
        stop(visit);
    }
    return APR_SUCCESS;
}

acme_prober_t *acme_prober_create(const acme_prober_config_t *config,
                                  apr_pool_t *pool)
{
    acme_prober_t *prober = apr_pcalloc(pool, sizeof(*prober));

    prober->pool = pool;
    prober->config = *config;
    prober->end = &prober->visits;
    prober->user_agent = "mod_acme/" ACME_VERSION " (looks after itself)";
    apr_pool_create(&prober->own_pool, pool);
    apr_pool_create(&prober->silent_pool, pool);
    prober->silent = apr_hash_make(prober->silent_pool);
    /* before the transport's, which was made before */
    apr_pool_pre_cleanup_register(pool, prober, prober_cleanup);
    return prober;
}
