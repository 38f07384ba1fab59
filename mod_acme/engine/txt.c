#include "engine/txt.h"

#include <apr_strings.h>
#include <openssl/rand.h>
#include <string.h>

#include "core/encode.h"
#include "core/renewal.h"
#include "engine/command.h"

#define MAX_ARGS     64
#define RETRY_FIRST  apr_time_from_sec(60) /* of a teardown that failed */
#define RETRY_MAX    apr_time_from_sec(24 * 60 * 60)
#define MAX_FAILURES 10 /* of those: a week */

typedef struct txt_t txt_t;

/** The programs of one name, one after the other. */
typedef struct lane_t {
    const char *name;
    apr_pool_t *pool; /* its own */
    txt_t *running;
    txt_t *first, **end; /* whose turn comes later */
} lane_t;

struct txt_t {
    acme_timer_t timer; /* of the next try to tear it down */
    acme_txts_t *owner;
    apr_pool_t *pool; /* its own */
    const char *id;
    acme_txt_spec_t spec;
    int wanted;
    int settled;   /* set up by this process, or by one before */
    int journaled; /* the journal knows it */
    int queued;
    int failures; /* of teardown, in a row */
    acme_txt_ready_fn_t *ready;
    void *baton;
    txt_t *next; /* in its lane */
};

struct acme_txts_t {
    acme_engine_t *engine;
    apr_hash_t *by_id;
    apr_hash_t *lanes;
};

static void go_on(txt_t *txt);

/* --- what is known ------------------------------------------------------------------ */

acme_txts_t *acme_txts_create(acme_engine_t *engine)
{
    acme_txts_t *txts = apr_pcalloc(engine->pool, sizeof(*txts));

    txts->engine = engine;
    txts->by_id = apr_hash_make(engine->pool);
    txts->lanes = apr_hash_make(engine->pool);
    return txts;
}

static const char *id_of(const char *name, const char *value, apr_pool_t *pool)
{
    const char *text = apr_pstrcat(pool, name, "\n", value, NULL);
    unsigned char digest[ACME_SHA256];

    acme_sha256(digest, text, strlen(text));
    return acme_encode_hex(digest, 16, pool);
}

static apr_array_header_t *copy_command(const apr_array_header_t *command,
                                        apr_pool_t *pool)
{
    apr_array_header_t *copy =
        apr_array_make(pool, command->nelts, sizeof(const char *));

    for (int i = 0; i < command->nelts; i++) {
        APR_ARRAY_PUSH(copy, const char *) =
            apr_pstrdup(pool, APR_ARRAY_IDX(command, i, const char *));
    }
    return copy;
}

static int same_command(const apr_array_header_t *a,
                        const apr_array_header_t *b)
{
    int same = a->nelts == b->nelts;

    for (int i = 0; same && i < a->nelts; i++) {
        same = !strcmp(APR_ARRAY_IDX(a, i, const char *),
                       APR_ARRAY_IDX(b, i, const char *));
    }
    return same;
}

static txt_t *make(acme_txts_t *txts, const acme_txt_spec_t *spec)
{
    apr_pool_t *pool;

    apr_pool_create(&pool, txts->engine->pool);
    txt_t *txt = apr_pcalloc(pool, sizeof(*txt));
    txt->timer.kind = ACME_TIMER_TXT;
    txt->owner = txts;
    txt->pool = pool;
    txt->id = id_of(spec->name, spec->value, pool);
    txt->spec.name = apr_pstrdup(pool, spec->name);
    txt->spec.value = apr_pstrdup(pool, spec->value);
    txt->spec.certificate = apr_pstrdup(pool, spec->certificate);
    txt->spec.domain = apr_pstrdup(pool, spec->domain);
    txt->spec.command = copy_command(spec->command, pool);
    apr_hash_set(txts->by_id, txt->id, APR_HASH_KEY_STRING, txt);
    return txt;
}

static void destroy(txt_t *txt)
{
    acme_txts_t *txts = txt->owner;

    acme_timer_clear(txts->engine->timers, &txt->timer);
    apr_hash_set(txts->by_id, txt->id, APR_HASH_KEY_STRING, NULL);
    apr_pool_destroy(txt->pool);
}

static txt_t *find(const acme_txts_t *txts, const char *name, const char *value)
{
    return apr_hash_get(txts->by_id, id_of(name, value, txts->engine->scratch),
                        APR_HASH_KEY_STRING);
}

/* --- journal -------------------------------------------------------------------------- */

static acme_err_t *write_journal(txt_t *txt)
{
    acme_engine_t *engine = txt->owner->engine;
    const char *text;
    acme_err_t *err;
    json_t *object =
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:o}", "kind", "txt", "name",
                  txt->spec.name, "value", txt->spec.value, "certificate",
                  txt->spec.certificate, "domain", txt->spec.domain, "command",
                  acme_json_texts(txt->spec.command));
    ACME_TRY(acme_json_document(&text, object, "writing the journal",
                                engine->scratch));
    err = acme_store_put_journal(engine->store, txt->id, text, engine->scratch);
    txt->journaled = !err;
    return acme_engine_note(engine, err);
}

static void remove_journal(txt_t *txt)
{
    acme_engine_t *engine = txt->owner->engine;
    acme_err_t *err = acme_engine_note(
        engine,
        acme_store_remove_journal(engine->store, txt->id, engine->scratch));

    if (err) { /* it is torn down once more, later */
        acme_engine_log_error(engine, NULL, err);
    }
}

static int read_command(acme_txt_spec_t *spec, const json_t *list,
                        apr_pool_t *pool)
{
    size_t count = json_array_size(list);
    apr_array_header_t *command =
        apr_array_make(pool, (int)count, sizeof(const char *));

    for (size_t i = 0; i < count; i++) {
        const char *text = json_string_value(json_array_get(list, i));
        if (!text) {
            return -1;
        }
        APR_ARRAY_PUSH(command, const char *) = text;
    }
    spec->command = command;
    return count < 1 || count > MAX_ARGS ? -1 : 0;
}

const char *acme_txts_take(acme_txts_t *txts, const char *kind,
                           const json_t *object, apr_pool_t *pool)
{
    acme_txt_spec_t spec;

    if (strcmp(kind, "txt")) {
        return NULL;
    }
    spec.name = acme_json_string(object, "name");
    spec.value = acme_json_string(object, "value");
    spec.certificate = acme_json_string(object, "certificate");
    spec.domain = acme_json_string(object, "domain");
    if (!spec.name || !spec.value || !spec.certificate || !spec.domain
        || read_command(&spec, json_object_get(object, "command"), pool)) {
        return "members are missing in it";
    }
    if (!find(txts, spec.name, spec.value)) {
        txt_t *txt = make(txts, &spec);
        txt->journaled = txt->settled = 1;
    }
    return NULL;
}

/* --- programs ------------------------------------------------------------------------- */

static lane_t *lane_of(txt_t *txt)
{
    acme_txts_t *txts = txt->owner;
    lane_t *lane =
        apr_hash_get(txts->lanes, txt->spec.name, APR_HASH_KEY_STRING);
    apr_pool_t *pool;

    if (!lane) {
        apr_pool_create(&pool, txts->engine->pool);
        lane = apr_pcalloc(pool, sizeof(*lane));
        lane->pool = pool;
        lane->name = apr_pstrdup(pool, txt->spec.name);
        lane->end = &lane->first;
        apr_hash_set(txts->lanes, lane->name, APR_HASH_KEY_STRING, lane);
    }
    return lane;
}

static void on_output(void *baton, const char *line)
{
    const txt_t *txt = baton;

    acme_engine_log(txt->owner->engine, NULL, ACME_I_COMMAND_OUTPUT,
                    APR_ARRAY_IDX(txt->spec.command, 0, const char *), line,
                    NULL);
}

static void on_setup(void *baton, acme_err_t *err, int status);
static void on_teardown(void *baton, acme_err_t *err, int status);

static void start_program(txt_t *txt)
{
    acme_engine_t *engine = txt->owner->engine;
    apr_pool_t *scratch = engine->scratch;
    const char *verb = txt->wanted ? "setup" : "teardown";
    apr_array_header_t *argv = apr_array_copy(scratch, txt->spec.command);
    const char *env[] = {
        apr_pstrcat(scratch, "ACME_EVENT=dns-", verb, NULL),
        apr_pstrcat(scratch, "ACME_CERTIFICATE=", txt->spec.certificate, NULL),
        apr_pstrcat(scratch, "ACME_DOMAIN=", txt->spec.domain, NULL),
        apr_pstrcat(scratch, "ACME_STORE=", acme_store_root(engine->store),
                    NULL),
        NULL,
    };
    const acme_command_callbacks_t callbacks = { txt, on_output,
                                                 txt->wanted ? on_setup
                                                             : on_teardown };

    APR_ARRAY_PUSH(argv, const char *) = verb;
    APR_ARRAY_PUSH(argv, const char *) = txt->spec.name;
    APR_ARRAY_PUSH(argv, const char *) = txt->spec.value;
    APR_ARRAY_PUSH(argv, const char *) = NULL;
    const acme_command_spec_t spec = {
        (const char *const *)(const void *)argv->elts, env, 0
    };
    acme_command_start(engine->commands, &spec, &callbacks);
}

/* The program of a name has ended: the next one's turn. */
static void leave_lane(txt_t *txt)
{
    lane_t *lane = lane_of(txt);
    txt_t *next;

    lane->running = NULL;
    while (!lane->running && (next = lane->first) != NULL) {
        lane->first = next->next;
        if (!lane->first) {
            lane->end = &lane->first;
        }
        next->queued = 0;
        go_on(next);
    }
    if (!lane->running) {
        apr_hash_set(txt->owner->lanes, lane->name, APR_HASH_KEY_STRING, NULL);
        apr_pool_destroy(lane->pool);
    }
}

/* Start the program that is needed, if any, when its turn has come. */
static void go_on(txt_t *txt)
{
    lane_t *lane;

    if (txt->queued || (txt->wanted && txt->settled)) {
        return;
    }
    lane = lane_of(txt);
    if (lane->running == txt) {
        return; /* looked at again when it has ended */
    }
    if (lane->running) {
        txt->queued = 1;
        txt->next = NULL;
        *lane->end = txt;
        lane->end = &txt->next;
        return;
    }
    lane->running = txt;
    start_program(txt);
}

static void tell_ready(txt_t *txt, acme_err_t *err)
{
    acme_txt_ready_fn_t *ready = txt->ready;

    txt->ready = NULL;
    if (ready) {
        ready(txt->baton, err);
    }
}

static void on_setup(void *baton, acme_err_t *err, int status)
{
    txt_t *txt = baton;
    acme_engine_t *engine = txt->owner->engine;

    (void)status;
    txt->settled = 1; /* perhaps in part: to be torn down in any case */
    if (!err) {
        acme_engine_log(engine, NULL, ACME_I_TXT_PUBLISHED, txt->spec.name,
                        NULL);
    }
    leave_lane(txt);
    if (txt->wanted) {
        tell_ready(txt, err);
    }
    else {
        go_on(txt);
    }
}

static void retry_later(txt_t *txt, acme_err_t *err)
{
    acme_engine_t *engine = txt->owner->engine;
    apr_time_t now = acme_engine_now(engine);
    unsigned int random = 0;

    txt->settled = 0; /* it may be half gone */
    RAND_bytes((unsigned char *)&random, sizeof(random));
    apr_time_t next =
        now + acme_retry_delay(++txt->failures, RETRY_FIRST, RETRY_MAX, random);
    if (txt->failures >= MAX_FAILURES) {
        acme_engine_log(engine, NULL, ACME_E_TXT_LEFT, txt->spec.name,
                        txt->spec.value, NULL);
        remove_journal(txt);
        destroy(txt);
        return;
    }
    acme_engine_log_text(
        engine, NULL, err->msg,
        apr_psprintf(engine->scratch,
                     "%s; the TXT record %s is to be removed again at %s",
                     acme_err_line(err, engine->scratch), txt->spec.name,
                     acme_time_format(next, engine->scratch)));
    acme_timer_set(engine->timers, &txt->timer, next);
}

static void on_teardown(void *baton, acme_err_t *err, int status)
{
    txt_t *txt = baton;
    acme_engine_t *engine = txt->owner->engine;

    (void)status;
    leave_lane(txt);
    if (txt->wanted) {
        txt->settled = 0;
        go_on(txt);
    }
    else if (err) {
        retry_later(txt, err);
    }
    else {
        acme_engine_log(engine, NULL, ACME_I_TXT_REMOVED, txt->spec.name, NULL);
        remove_journal(txt);
        destroy(txt);
    }
}

void acme_txt_pump(acme_timer_t *timer)
{
    go_on((txt_t *)(void *)timer); /* its first member */
}

/* --- what is wanted ------------------------------------------------------------------- */

static txt_t *want(acme_txts_t *txts, const acme_txt_spec_t *spec)
{
    txt_t *txt = find(txts, spec->name, spec->value);

    if (!txt) {
        txt = make(txts, spec);
    }
    acme_timer_clear(txts->engine->timers, &txt->timer);
    txt->wanted = 1;
    txt->failures = 0;
    return txt;
}

/* Nothing was begun without the journal. */
static void forget_if_new(txt_t *txt)
{
    const lane_t *lane =
        apr_hash_get(txt->owner->lanes, txt->spec.name, APR_HASH_KEY_STRING);

    if (!txt->queued && (!lane || lane->running != txt)) {
        destroy(txt);
    }
}

void acme_txts_want(acme_txts_t *txts, const acme_txt_spec_t *spec,
                    acme_txt_ready_fn_t *ready, void *baton)
{
    txt_t *txt = want(txts, spec);
    acme_err_t *err = NULL;

    /* What has set it up is what can tear it down. */
    if (!same_command(txt->spec.command, spec->command)) {
        txt->spec.command = copy_command(spec->command, txt->pool);
        txt->journaled = 0;
    }
    if (!txt->journaled) {
        err = write_journal(txt);
    }
    txt->settled = 0;
    txt->ready = ready;
    txt->baton = baton;
    if (err) {
        txt->wanted = 0;
        tell_ready(txt, err);
        forget_if_new(txt);
        return;
    }
    go_on(txt);
}

void acme_txts_adopt(acme_txts_t *txts, const acme_txt_spec_t *spec)
{
    txt_t *txt = want(txts, spec);
    acme_err_t *err = txt->journaled ? NULL : write_journal(txt);

    if (err) {
        acme_engine_log_error(txts->engine, NULL, err);
        txt->wanted = 0;
        forget_if_new(txt);
        return;
    }
    go_on(txt);
}

void acme_txts_drop(acme_txts_t *txts, const char *name, const char *value)
{
    txt_t *txt = find(txts, name, value);

    if (txt && txt->wanted) {
        txt->wanted = 0;
        txt->ready = NULL;
        go_on(txt);
    }
}

void acme_txts_sweep(acme_txts_t *txts)
{
    apr_array_header_t *left =
        apr_array_make(txts->engine->pool, 4, sizeof(txt_t *));
    apr_hash_index_t *i;

    for (i = apr_hash_first(NULL, txts->by_id); i; i = apr_hash_next(i)) {
        txt_t *txt = apr_hash_this_val(i);
        if (!txt->wanted) {
            APR_ARRAY_PUSH(left, txt_t *) = txt;
        }
    }
    for (int k = 0; k < left->nelts; k++) {
        go_on(APR_ARRAY_IDX(left, k, txt_t *));
    }
}
