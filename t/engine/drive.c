/* The engine without httpd: manages the names given, answers http-01 with a
 * listener of its own, tells what it does, and ends when everything is as
 * wanted.
 *
 *   drive --store DIR --ca URL --trust FILE --http PORT [options] NAME...
 *     --key TYPE          key type of every certificate (ecdsa-p256)
 *     --second URL        another CA, with the same trust, that is asked when the
 *                         first fails
 *     --account-key TYPE  of the accounts (ecdsa-p256)
 *     --profile NAME
 *     --persist           prove by dns-persist-01
 *     --dns PROGRAM       prove by dns-01, which it publishes
 *     --on "EVENTS PROGRAM" AcmeOn, perhaps several times
 *     --warn PERCENT      AcmeWarn
 *     --reuse on|next     AcmeKeyReuse
 *     --concurrency N     orders at once (128)
 *     --retry SECONDS     first delay after a failure (1)
 *     --patience SECONDS  a CA that is silent for so long is given up
 *     --seconds N         give up after (60)
 *     --stay              go on after everything is valid
 *     --until-failed      end when every name has failed
 *     --settle            end when every name is valid or has failed
 *     --in-service N      not before set N is in service
 *     --tidy              not before acmectl's requests have been answered and
 *                         every gate and DNS record of a challenge is closed
 *     --stop-at N         stop where it looks at the N-th certificate
 *     --clock FILE        seconds by which the clock is wrong, read each time
 *     --limits O/S,D/S,N/S,F/S  orders, certificates of a domain and of a set of
 *                         names, and failed validations of a name that the CA is
 *                         taken to allow in S seconds
 *     --staple            fetch OCSP responses
 *     --killed-trying     dies where it tries a handshake with what was issued
 *     --frozen-checking   is stopped (SIGSTOP) where it looks whether handshakes show it
 *     --resolver ADDRESS  look into DNS, there
 *
 * A NAME may be several with commas between: one certificate for all of them.
 * One that begins with "!" does not agree to the CA's terms, one with "@" has a
 * contact.
 * Exit status 0 when it ended as wanted, 1 after --seconds, 2 on an error, 3 when
 * --settle met a failure. */
#include <apr_general.h>
#include <apr_hash.h>
#include <apr_strings.h>
#include <arpa/inet.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "engine/engine.h"
#include "engine/resolver.h"
#include "engine/transport.h"
#include "warm.h"

typedef struct options_t {
    const char *store, *ca, *second, *trust, *profile, *dns;
    const char *limits, *resolver;
    apr_array_header_t *hooks;
    int warn;
    int http_port, concurrency, retry, seconds, stay, until_failed, persist;
    int settle, tidy, in_service, patience;
    acme_key_type_t key_type;
    acme_account_key_t account_key;
    acme_key_reuse_t reuse;
    acme_activate_t activate;
    int delay;
} options_t;

static acme_limit_rules_t limits = { .ca_url = "https://limited.example/" };

static struct {
    apr_pool_t *pool;
    apr_hash_t *proofs; /* token -> key authorization; under the lock */
    pthread_mutex_t lock;
    int valid, failed, activated;
    const char *clock;
    int stop_at, asked, staple;
    long longest; /* ms of CPU time in one round */
    int shown;    /* set that handshakes are said to show */
    int unshown;  /* set that they never do */
    int unloaded; /* set that cannot be loaded the first time */
    int killed_trying, frozen_checking;
    apr_hash_t *states; /* name -> acme_status_t * */
} drive = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* --- http-01 ------------------------------------------------------------------ */

static void answer_one(int fd)
{
    static const char START[] = "GET /.well-known/acme-challenge/";
    char request[4096], reply[4096];
    ssize_t len = read(fd, request, sizeof(request) - 1);
    if (len <= 0) {
        return;
    }
    request[len] = '\0';
    char *end = strstr(request, " HTTP/");
    const char *body = NULL;
    pthread_mutex_lock(&drive.lock);
    if (end && !strncmp(request, START, sizeof(START) - 1)) {
        *end = '\0';
        body = apr_hash_get(drive.proofs, request + sizeof(START) - 1,
                            APR_HASH_KEY_STRING);
    }
    int size = snprintf(reply, sizeof(reply),
                        "HTTP/1.1 %s\r\nContent-Length: %d\r\n"
                        "Connection: close\r\n\r\n%s",
                        body ? "200 OK" : "404 Not Found",
                        body ? (int)strlen(body) : 0, body ? body : "");
    pthread_mutex_unlock(&drive.lock);
    if (write(fd, reply, (size_t)size) < 0) {
        perror("drive: write");
    }
}

static void *answer(void *data)
{
    int listener = *(int *)data, fd;
    while ((fd = accept(listener, NULL, NULL)) >= 0) {
        answer_one(fd);
        close(fd);
    }
    return NULL;
}

static int listen_http(int port)
{
    static int listener;
    int on = 1;
    pthread_t thread;
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_port = htons((unsigned short)port),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(listener, (struct sockaddr *)&address, sizeof(address)) != 0
        || listen(listener, 512) != 0) {
        perror("drive: listen");
        return -1;
    }
    return pthread_create(&thread, NULL, answer, &listener);
}

/* --- callbacks ------------------------------------------------------------------ */

static void on_log(void *baton, acme_msg_t msg, const char *prefix,
                   const char *text)
{
    (void)baton;
    printf("ACME%d %s %s\n", (int)msg, prefix, text);
}

static acme_err_t *on_publish(void *baton, const acme_proof_t *proof)
{
    (void)baton;
    pthread_mutex_lock(&drive.lock);
    apr_hash_set(drive.proofs, apr_pstrdup(drive.pool, proof->token),
                 APR_HASH_KEY_STRING,
                 apr_pstrdup(drive.pool, proof->key_authorization));
    pthread_mutex_unlock(&drive.lock);
    return NULL;
}

static void on_withdraw(void *baton, const acme_proof_t *proof)
{
    (void)baton;
    pthread_mutex_lock(&drive.lock);
    apr_hash_set(drive.proofs, proof->token, APR_HASH_KEY_STRING, NULL);
    pthread_mutex_unlock(&drive.lock);
}

static void on_activate(void *baton, const acme_managed_t *managed,
                        acme_family_t family, int number)
{
    (void)baton;
    drive.activated++;
    drive.shown = number;
    printf("activate %s %s %d\n", managed->name, acme_family_name(family),
           number);
}

static int on_shown(void *baton, const acme_managed_t *managed,
                    acme_family_t family)
{
    (void)baton;
    (void)managed;
    (void)family;
    return drive.shown;
}

static acme_err_t *on_prove(void *baton, const acme_managed_t *managed,
                            const acme_set_t *set, apr_pool_t *pool)
{
    (void)baton;
    (void)managed;
    (void)set;
    (void)pool;
    if (drive.killed_trying) {
        raise(SIGKILL);
    }
    return NULL;
}

static acme_err_t *on_check(void *baton, const acme_managed_t *managed,
                            const acme_record_t *record, apr_pool_t *pool)
{
    (void)baton;
    if (drive.frozen_checking) {
        raise(SIGSTOP);
    }
    if (record->number == drive.unloaded) {
        drive.unloaded = 0;
        return acme_err_make(pool, ACME_E_STORE_IO, "open", "its files", NULL);
    }
    return record->number == drive.unshown ? acme_err_make(
               pool, ACME_E_SELF_TEST, managed->where, "another is shown", NULL)
                                           : NULL;
}

static void on_reload(void *baton, apr_interval_time_t interval)
{
    (void)baton;
    printf("reload wanted, every %ld s\n", (long)apr_time_sec(interval));
}

static void on_status(void *baton, const acme_managed_t *managed,
                      acme_family_t family, const acme_status_t *status)
{
    (void)baton;
    (void)family;
    acme_status_t *known =
        apr_hash_get(drive.states, managed->name, APR_HASH_KEY_STRING);
    if (!known) {
        known = apr_pcalloc(drive.pool, sizeof(*known));
        apr_hash_set(drive.states, managed->name, APR_HASH_KEY_STRING, known);
    }
    drive.valid += (status->state == ACME_STATE_VALID)
                   - (known->state == ACME_STATE_VALID);
    drive.failed += (status->state == ACME_STATE_ERROR)
                    - (known->state == ACME_STATE_ERROR);
    if (known->state != status->state
        || strcmp(known->progress, status->progress)
        || known->limit_until != status->limit_until
        || known->ari_start != status->ari_start) {
        printf("status %s %s failures=%d next=%ld: %s %s%s%s\n", managed->name,
               acme_state_name(status->state), status->failures,
               status->next_time
                   ? (long)apr_time_sec(status->next_time - apr_time_now())
                   : 0L,
               status->next_action, status->progress,
               status->limit_until ? acme_remarks(status)->limit : "",
               acme_remarks(status)->error);
    }
    if (known->wait != status->wait) {
        printf("wait %s %d, set %d serves\n", managed->name, (int)status->wait,
               status->served_number);
    }
    *known = *status;
}

static void on_staple(void *baton, const acme_managed_t *managed,
                      acme_family_t family, const acme_staple_t *staple)
{
    (void)baton;
    printf("staple %s %s %s %d octets, %ld s\n", managed->name,
           acme_family_name(family), staple->serial, (int)staple->len,
           (long)apr_time_sec(staple->until - apr_time_now()));
}

static apr_time_t on_now(void *baton)
{
    long wrong = 0;
    FILE *file = drive.clock ? fopen(drive.clock, "r") : NULL;
    (void)baton;
    if (file) {
        if (fscanf(file, "%ld", &wrong) != 1) {
            wrong = 0;
        }
        fclose(file);
    }
    return apr_time_now() + apr_time_from_sec(wrong);
}

static int on_stopping(void *baton)
{
    (void)baton;
    return drive.stop_at && ++drive.asked >= drive.stop_at;
}

/* --- running ---------------------------------------------------------------------- */

static int complain(const acme_err_t *err)
{
    if (err) {
        fprintf(stderr, "drive: ACME%d %s\n", (int)err->msg,
                acme_err_line(err, drive.pool));
    }
    return err != NULL;
}

static acme_managed_t *make_managed(const char *names,
                                    const acme_policy_t *shared)
{
    acme_policy_t *policy = apr_pmemdup(drive.pool, shared, sizeof(*shared));
    if (*names == '!') {
        policy->agree_terms = 0;
        names++;
    }
    if (*names == '@') {
        policy->contacts = apr_array_make(drive.pool, 1, sizeof(const char *));
        APR_ARRAY_PUSH(policy->contacts, const char *) = "mailto:a@example.org";
        names++;
    }
    char *last, *copy = apr_pstrdup(drive.pool, names);
    acme_managed_t *managed = apr_pcalloc(drive.pool, sizeof(*managed));
    managed->idents = apr_array_make(drive.pool, 2, sizeof(acme_ident_t *));
    for (char *name = apr_strtok(copy, ",", &last); name;
         name = apr_strtok(NULL, ",", &last)) {
        acme_ident_t *ident;
        if (complain(acme_ident_parse(&ident, name, drive.pool))) {
            exit(2);
        }
        APR_ARRAY_PUSH(managed->idents, acme_ident_t *) = ident;
    }
    const acme_ident_t *first =
        APR_ARRAY_IDX(managed->idents, 0, acme_ident_t *);
    managed->name = first->value;
    managed->dir = acme_ident_filename(first, drive.pool);
    managed->policy = policy;
    managed->where = "command line";
    managed->in_use = 1;
    managed->staple = drive.staple;
    return managed;
}

#define AGAIN 4

/* A round, and how long the engine's own thread worked in it: nothing may keep it
 * from the others. */
static acme_err_t *step(acme_engine_t *engine)
{
    struct timespec before, after;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &before);
    acme_err_t *err = acme_engine_step(engine, apr_time_from_sec(1));
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &after);
    long took = (after.tv_sec - before.tv_sec) * 1000
                + (after.tv_nsec - before.tv_nsec) / 1000000;
    drive.longest = took > drive.longest ? took : drive.longest;
    return err;
}

/* Neither has acmectl asked for anything, nor is a challenge's gate or record to
 * be closed. */
static int is_all_done(acme_store_t *store)
{
    apr_array_header_t *fresh, *begun;
    apr_pool_t *pool;

    apr_pool_create(&pool, drive.pool);
    int done = !complain(acme_store_get_requests(&fresh, store, pool))
               && !complain(acme_store_get_interrupted(&begun, store, pool))
               && !fresh->nelts && !begun->nelts
               && !acme_store_is_owed(store, pool);
    apr_pool_destroy(pool);
    return done;
}

/* @return -1: not yet */
static int outcome(const options_t *options, acme_store_t *store, int count)
{
    if (options->stay || drive.shown < options->in_service
        || (options->tidy && !is_all_done(store))) {
        return -1;
    }
    if (options->settle) {
        return drive.valid + drive.failed < count ? -1 : drive.failed ? 3 : 0;
    }
    return (options->until_failed ? drive.failed : drive.valid) == count ? 0
                                                                         : -1;
}

/* Whatever becomes of the clock. */
static long seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec;
}

static int run_engine(acme_engine_t *engine, acme_store_t *store,
                      const options_t *options, int count, long end)
{
    int status;

    if (complain(acme_engine_resume(engine))) {
        return 2;
    }
    while (seconds_now() < end) {
        acme_err_t *err = step(engine);
        if (complain(err)) {
            return err->msg == ACME_E_CLOCK_BACK ? AGAIN : 2;
        }
        if ((status = outcome(options, store, count)) >= 0) {
            return status;
        }
    }
    return 1;
}

static int open_store(acme_store_t **store, acme_lease_t **lease,
                      const options_t *options)
{
    acme_store_options_t store_options = { .root = options->store,
                                           .worker_uid = geteuid(),
                                           .worker_gid = getegid(),
                                           .create = 1 };
    int held = 0;
    if (complain(acme_store_open(store, &store_options, drive.pool))) {
        return 0;
    }
    *lease = acme_store_make_lease(*store, drive.pool);
    acme_store_set_lease(*store, *lease);
    return !complain(acme_lease_try(&held, *lease, on_now(NULL), drive.pool))
           && held;
}

/* KiB at most; ru_maxrss would be that of whoever has started this, if larger. */
static long peak(void)
{
    FILE *file = fopen("/proc/self/status", "r");
    char line[256];
    long size = 0;

    while (file && fgets(line, sizeof(line), file)
           && sscanf(line, "VmHWM: %ld", &size) != 1) {
    }
    if (file) {
        fclose(file);
    }
    return size;
}

static void tell_usage(apr_time_t start)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    printf("drive: %ld ms, %ld ms user, %ld ms system, %ld KiB, "
           "%ld context switches, longest round %ld ms\n",
           (long)apr_time_as_msec(apr_time_now() - start),
           usage.ru_utime.tv_sec * 1000 + usage.ru_utime.tv_usec / 1000,
           usage.ru_stime.tv_sec * 1000 + usage.ru_stime.tv_usec / 1000, peak(),
           usage.ru_nvcsw, drive.longest);
}

static void prove_by_dns(acme_policy_t *policy, const char *program)
{
    apr_array_header_t *command =
        apr_array_make(drive.pool, 1, sizeof(const char *));
    apr_array_header_t *challenges =
        apr_array_make(drive.pool, 1, sizeof(acme_proof_type_t));

    if (program) {
        APR_ARRAY_PUSH(command, const char *) = program;
        APR_ARRAY_PUSH(challenges, acme_proof_type_t) = ACME_PROOF_DNS_01;
        policy->dns = 1;
        policy->dns_command = command;
        policy->challenges = challenges;
    }
}

static void prove_by_record(acme_policy_t *policy, int wanted)
{
    apr_array_header_t *challenges =
        apr_array_make(drive.pool, 1, sizeof(acme_proof_type_t));

    if (wanted) {
        APR_ARRAY_PUSH(challenges, acme_proof_type_t) =
            ACME_PROOF_DNS_PERSIST_01;
        policy->challenges = challenges;
    }
}

static void look_into_dns(acme_policy_t *policy, const char *resolver)
{
    apr_array_header_t *resolvers =
        apr_array_make(drive.pool, 1, sizeof(const char *));

    if (resolver) {
        APR_ARRAY_PUSH(resolvers, const char *) =
            acme_resolver_address(resolver, drive.pool);
        policy->dns_resolvers = resolvers;
        policy->dns_wait = apr_time_from_sec(5);
    }
}

static int drive_names(const options_t *options, char **names, int count)
{
    static const acme_engine_callbacks_t CALLBACKS = {
        .log = on_log,
        .publish = on_publish,
        .withdraw = on_withdraw,
        .activate = on_activate,
        .shown = on_shown,
        .prove = on_prove,
        .check = on_check,
        .reload = on_reload,
        .status = on_status,
        .staple = on_staple,
        .now = on_now,
        .stopping = on_stopping,
    };
    acme_ca_t cas[2] = { { .url = options->ca,
                           .trust_file = options->trust,
                           .account_key = &options->account_key,
                           .profile = options->profile },
                         { .url = options->second,
                           .account_key = &options->account_key,
                           .trust_file = options->trust } };
    acme_policy_t policy = { .cas = cas,
                             .ca_count = options->second ? 2 : 1,
                             .agree_terms = 1,
                             .key_types = { options->key_type },
                             .key_type_count = 1,
                             .key_reuse = options->reuse,
                             .http_01 = 1 };
    policy.hooks = options->hooks;
    policy.activate = options->activate;
    policy.activate_delay = apr_time_from_sec(options->delay);
    policy.reload_interval = apr_time_from_sec(600);
    policy.warn.percent = options->warn;
    policy.warn_set = options->warn > 0;
    policy.contacts = apr_array_make(drive.pool, 0, sizeof(const char *));
    prove_by_dns(&policy, options->dns);
    prove_by_record(&policy, options->persist);
    look_into_dns(&policy, options->resolver);
    apr_array_header_t *managed =
        apr_array_make(drive.pool, count, sizeof(acme_managed_t *));
    for (int i = 0; i < count; i++) {
        APR_ARRAY_PUSH(managed, acme_managed_t *) =
            make_managed(names[i], &policy);
    }
    acme_engine_config_t config = { .managed = managed,
                                    .concurrency = options->concurrency,
                                    .retry_first =
                                        apr_time_from_sec(options->retry),
                                    .retry_max = apr_time_from_sec(86400),
                                    .limits = options->limits ? &limits : NULL,
                                    .patience = options->patience,
                                    .version = "0.0.0-drive" };
    acme_store_t *store;
    acme_lease_t *lease;
    acme_engine_t *engine;
    apr_pool_t *pool;
    int status;

    if (!open_store(&store, &lease, options)
        || listen_http(options->http_port) != 0) {
        return 2;
    }
    apr_time_t start = apr_time_now();
    long end = seconds_now() + options->seconds;
    apr_pool_create(&pool, drive.pool);
    do {
        apr_pool_clear(pool);
        if (complain(acme_engine_create(&engine, &config, &CALLBACKS, store,
                                        pool))) {
            return 2;
        }
        status = run_engine(engine, store, options, count, end);
    } while (status == AGAIN);
    printf("drive: %d valid, %d failed, %d activated\n", drive.valid,
           drive.failed, drive.activated);
    tell_usage(start);
    apr_pool_destroy(pool);
    acme_lease_release(lease, drive.pool);
    return status;
}

static void parse_limits(const char *text)
{
    static const acme_limit_t ORDER[] = { ACME_LIMIT_ORDERS, ACME_LIMIT_DOMAIN,
                                          ACME_LIMIT_SET, ACME_LIMIT_FAILURES };
    for (int i = 0; i < 4; i++) {
        int count = 0, seconds = 0;
        if (sscanf(text, "%d/%d", &count, &seconds) == 2) {
            limits.of[ORDER[i]].count = count;
            limits.of[ORDER[i]].period = apr_time_from_sec(seconds);
        }
        text += strcspn(text, ",");
        text += *text == ',';
    }
}

static int add_hook(options_t *options, const char *text)
{
    acme_hook_t *hook = apr_pcalloc(drive.pool, sizeof(*hook));
    apr_array_header_t *words =
        apr_array_make(drive.pool, 2, sizeof(const char *));
    char *last, *copy = apr_pstrdup(drive.pool, text);
    const char *events = apr_strtok(copy, " ", &last);

    for (char *word; (word = apr_strtok(NULL, " ", &last)) != NULL;) {
        APR_ARRAY_PUSH(words, const char *) = word;
    }
    if (!options->hooks) {
        options->hooks = apr_array_make(drive.pool, 2, sizeof(acme_hook_t *));
    }
    hook->command = words;
    APR_ARRAY_PUSH(options->hooks, acme_hook_t *) = hook;
    return !words->nelts
           || acme_event_parse(&hook->events, events, drive.pool) != NULL;
}

static int parse(options_t *options, int argc, char **argv)
{
    int i;
    for (i = 1; i < argc && !strncmp(argv[i], "--", 2); i++) {
        const char *name = argv[i] + 2;
        if (!strcmp(name, "stay")) {
            options->stay = 1;
            continue;
        }
        if (!strcmp(name, "persist")) {
            options->persist = 1;
            continue;
        }
        if (!strcmp(name, "staple")) {
            drive.staple = 1;
            continue;
        }
        if (!strcmp(name, "killed-trying")) {
            drive.killed_trying = 1;
            continue;
        }
        if (!strcmp(name, "frozen-checking")) {
            drive.frozen_checking = 1;
            continue;
        }
        if (!strcmp(name, "settle")) {
            options->settle = 1;
            continue;
        }
        if (!strcmp(name, "tidy")) {
            options->tidy = 1;
            continue;
        }
        if (!strcmp(name, "until-failed")) {
            options->until_failed = 1;
            continue;
        }
        const char *value = i + 1 < argc ? argv[++i] : "";
        if (!strcmp(name, "store")) {
            options->store = value;
        }
        else if (!strcmp(name, "ca")) {
            options->ca = value;
        }
        else if (!strcmp(name, "second")) {
            options->second = value;
        }
        else if (!strcmp(name, "trust")) {
            options->trust = value;
        }
        else if (!strcmp(name, "profile")) {
            options->profile = value;
        }
        else if (!strcmp(name, "account-key")) {
            if (acme_key_type_parse(&options->account_key.type, value)) {
                return -1;
            }
        }
        else if (!strcmp(name, "limits")) {
            options->limits = value;
            parse_limits(value);
        }
        else if (!strcmp(name, "resolver")) {
            options->resolver = value;
        }
        else if (!strcmp(name, "dns")) {
            options->dns = value;
        }
        else if (!strcmp(name, "on")) {
            if (add_hook(options, value)) {
                return -1;
            }
        }
        else if (!strcmp(name, "warn")) {
            options->warn = atoi(value);
        }
        else if (!strcmp(name, "reuse")) {
            options->reuse =
                strcmp(value, "next") ? ACME_KEY_REUSE_ON : ACME_KEY_REUSE_NEXT;
        }
        else if (!strcmp(name, "activate")) {
            options->activate = strcmp(value, "manual") ? ACME_ACTIVATE_RELOAD
                                                        : ACME_ACTIVATE_MANUAL;
        }
        else if (!strcmp(name, "delay")) {
            options->delay = atoi(value);
        }
        else if (!strcmp(name, "shown")) {
            drive.shown = atoi(value);
        }
        else if (!strcmp(name, "unshown")) {
            drive.unshown = atoi(value);
        }
        else if (!strcmp(name, "unloaded")) {
            drive.unloaded = atoi(value);
        }
        else if (!strcmp(name, "in-service")) {
            options->in_service = atoi(value);
        }
        else if (!strcmp(name, "stop-at")) {
            drive.stop_at = atoi(value);
        }
        else if (!strcmp(name, "clock")) {
            drive.clock = value;
        }
        else if (!strcmp(name, "http")) {
            options->http_port = atoi(value);
        }
        else if (!strcmp(name, "concurrency")) {
            options->concurrency = atoi(value);
        }
        else if (!strcmp(name, "patience")) {
            options->patience = atoi(value);
        }
        else if (!strcmp(name, "retry")) {
            options->retry = atoi(value);
        }
        else if (!strcmp(name, "seconds")) {
            options->seconds = atoi(value);
        }
        else if (strcmp(name, "key") != 0
                 || acme_key_type_parse(&options->key_type, value) != 0) {
            return -1;
        }
    }
    return options->store && options->ca && i < argc ? i : -1;
}

int main(int argc, char **argv)
{
    options_t options = { .concurrency = 128, .retry = 1, .seconds = 60 };

    apr_initialize();
    atexit(apr_terminate);
    apr_pool_create(&drive.pool, NULL);
    int first = parse(&options, argc, argv);
    if (first < 0) {
        fprintf(stderr, "usage: drive --store DIR --ca URL --trust FILE "
                        "--http PORT [options] NAME...\n");
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    signal(SIGPIPE, SIG_IGN);
    acme_transport_global_init();
    if (!warm_up(drive.pool)) {
        return 2;
    }
    drive.proofs = apr_hash_make(drive.pool);
    drive.states = apr_hash_make(drive.pool);
    return drive_names(&options, argv + first, argc - first);
}
