#include "engine/notify.h"

#include <apr_strings.h>
#include <string.h>

#include "core/encode.h"
#include "engine/command.h"

#define KIND    "event"
#define MAX_ENV 64
#define EXPENDABLE                                                             \
    (ACME_EVENT_BIT(ACME_EVENT_RENEWING) | ACME_EVENT_BIT(ACME_EVENT_EXPIRING) \
     | ACME_EVENT_BIT(ACME_EVENT_ERRORED))

/** One program that is to be told of one event. */
typedef struct note_t {
    struct note_t *next; /* that waits */
    acme_notify_t *owner;
    apr_pool_t *pool; /* its own */
    const char *id, *lane;
    const acme_job_t *job;
    acme_event_kind_t event;
    const apr_array_header_t *command;
    apr_array_header_t *env;
    int journaled;
} note_t;

struct acme_notify_t {
    acme_engine_t *engine;
    acme_commands_t *commands; /* not those of the orders: these may hang */
    note_t *first, **end;      /* that wait */
    int waiting, running;
    apr_hash_t *by_id; /* those that wait */
    apr_hash_t *lanes; /* certificate and program -> note_t that runs */
    int changed;       /* something may have its turn */
    acme_told_t told;
};

acme_notify_t *acme_notify_create(acme_engine_t *engine)
{
    acme_notify_t *notify = apr_pcalloc(engine->pool, sizeof(*notify));

    notify->engine = engine;
    notify->commands = acme_commands_create(
        acme_transport_watches(engine->transport), engine->pool);
    notify->end = &notify->first;
    notify->by_id = apr_hash_make(engine->pool);
    notify->lanes = apr_hash_make(engine->pool);
    return notify;
}

/* --- what waits ----------------------------------------------------------------- */

static const char *lane_of(const acme_job_t *job,
                           const apr_array_header_t *command, apr_pool_t *pool)
{
    return apr_pstrcat(pool, job->managed->name, "\1",
                       apr_array_pstrcat(pool, command, '\1'), NULL);
}

static const char *id_of(const char *lane, const acme_job_t *job,
                         acme_event_kind_t event, apr_pool_t *pool)
{
    const char *text =
        apr_pstrcat(pool, KIND "\n", lane, "\n", acme_family_name(job->family),
                    "\n", acme_event_name(event), NULL);
    unsigned char digest[ACME_SHA256];

    acme_sha256(digest, text, strlen(text));
    return acme_encode_hex(digest, 16, pool);
}

static void remove_waiting(note_t *note)
{
    acme_notify_t *notify = note->owner;
    note_t **link = &notify->first;

    while (*link != note) {
        link = &(*link)->next;
    }
    *link = note->next;
    if (!*link) {
        notify->end = link;
    }
    notify->waiting--;
    apr_hash_set(notify->by_id, note->id, APR_HASH_KEY_STRING, NULL);
}

static void copy_env(note_t *note, const apr_array_header_t *env)
{
    note->env =
        apr_array_make(note->pool, env->nelts + 1, sizeof(const char *));
    for (int i = 0; i < env->nelts && i < MAX_ENV; i++) {
        APR_ARRAY_PUSH(note->env, const char *) =
            apr_pstrdup(note->pool, APR_ARRAY_IDX(env, i, const char *));
    }
}

static note_t *make(acme_notify_t *notify, const acme_job_t *job,
                    acme_event_kind_t event, const apr_array_header_t *command,
                    const apr_array_header_t *env)
{
    apr_pool_t *pool;

    apr_pool_create(&pool, notify->engine->pool);
    note_t *note = apr_pcalloc(pool, sizeof(*note));
    note->owner = notify;
    note->pool = pool;
    note->job = job;
    note->event = event;
    note->command = command;
    note->lane = lane_of(job, command, pool);
    note->id = id_of(note->lane, job, event, pool);
    copy_env(note, env);
    return note;
}

/* In place of the one like it that waits, if any. */
static void enqueue(note_t *note)
{
    acme_notify_t *notify = note->owner;
    note_t *older = apr_hash_get(notify->by_id, note->id, APR_HASH_KEY_STRING);

    if (older) {
        remove_waiting(older);
        apr_pool_destroy(older->pool);
    }
    note->next = NULL;
    *notify->end = note;
    notify->end = &note->next;
    notify->waiting++;
    notify->changed = 1;
    apr_hash_set(notify->by_id, note->id, APR_HASH_KEY_STRING, note);
}

/* --- journal ---------------------------------------------------------------------- */

/* One that cannot be kept is told all the same, unless the process dies. */
static void write_journal(note_t *note)
{
    acme_engine_t *engine = note->owner->engine;
    json_t *object = json_pack(
        "{s:s, s:s, s:s, s:s, s:o, s:o}", "kind", KIND, "event",
        acme_event_name(note->event), "certificate", note->job->managed->name,
        "family", acme_family_name(note->job->family), "command",
        acme_json_texts(note->command), "env", acme_json_texts(note->env));
    const char *text;
    acme_err_t *err = acme_json_document(&text, object, "writing the journal",
                                         engine->scratch);

    if (!err) {
        err = acme_store_put_journal(engine->store, note->id, text,
                                     engine->scratch);
    }
    note->journaled = !err;
    if (acme_engine_note(engine, err)) {
        acme_engine_log_error(engine, note->job, err);
    }
}

static void remove_journal(acme_notify_t *notify, const char *id)
{
    acme_engine_t *engine = notify->engine;
    acme_err_t *err = acme_engine_note(
        engine, acme_store_remove_journal(engine->store, id, engine->scratch));

    if (err) {
        acme_engine_log_error(engine, NULL, err);
    }
}

static apr_array_header_t *parse_texts(const json_t *list, apr_pool_t *pool)
{
    size_t count = json_array_size(list);
    apr_array_header_t *texts =
        apr_array_make(pool, MAX_ENV, sizeof(const char *));

    for (size_t i = 0; i < count && i < MAX_ENV; i++) {
        const char *text = json_string_value(json_array_get(list, i));

        if (text) {
            APR_ARRAY_PUSH(texts, const char *) = text;
        }
    }
    return texts;
}

static const acme_job_t *find_job(const acme_engine_t *engine,
                                  const char *certificate, const char *family)
{
    const acme_job_t *job =
        certificate
            ? apr_hash_get(engine->by_name, certificate, APR_HASH_KEY_STRING)
            : NULL;
    int count = job ? job->managed->policy->key_type_count : 0;

    for (int i = 0; i < count; i++, job++) {
        if (family && !strcmp(family, acme_family_name(job->family))) {
            return job;
        }
    }
    return NULL;
}

/* The command as the configuration has it, if it still has it for event. */
static const apr_array_header_t *find_command(const acme_job_t *job,
                                              acme_event_kind_t event,
                                              const char *text,
                                              apr_pool_t *pool)
{
    const apr_array_header_t *hooks = job->managed->policy->hooks;

    for (int i = 0; hooks && i < hooks->nelts; i++) {
        const acme_hook_t *hook = APR_ARRAY_IDX(hooks, i, acme_hook_t *);

        if (hook->events & ACME_EVENT_BIT(event)
            && !strcmp(apr_array_pstrcat(pool, hook->command, '\1'), text)) {
            return hook->command;
        }
    }
    return NULL;
}

static void load_note(acme_notify_t *notify, const json_t *object,
                      const char *id, apr_pool_t *pool)
{
    const char *name = acme_json_string(object, "event");
    unsigned int bits = 0;
    int event = 0;
    const acme_job_t *job =
        find_job(notify->engine, acme_json_string(object, "certificate"),
                 acme_json_string(object, "family"));
    const apr_array_header_t *command = NULL;

    const char *bad = name ? acme_event_parse(&bits, name, pool) : "";
    while (!bad && !(bits & ACME_EVENT_BIT(event))) {
        event++;
    }
    if (job && !bad) {
        const char *text = apr_array_pstrcat(
            pool, parse_texts(json_object_get(object, "command"), pool), '\1');
        command = find_command(job, (acme_event_kind_t)event, text, pool);
    }
    if (!command) {
        remove_journal(notify, id);
        return;
    }
    note_t *note = make(notify, job, (acme_event_kind_t)event, command,
                        parse_texts(json_object_get(object, "env"), pool));
    note->journaled = 1;
    enqueue(note);
}

const char *acme_notify_take(acme_notify_t *notify, const char *kind,
                             const json_t *object, const char *id,
                             apr_pool_t *pool)
{
    if (!strcmp(kind, KIND)) {
        load_note(notify, object, id, pool);
    }
    return NULL; /* what cannot be told any more is forgotten */
}

/* --- programs ------------------------------------------------------------------------ */

static void on_output(void *baton, const char *line)
{
    const note_t *note = baton;

    acme_engine_log(note->owner->engine, note->job, ACME_I_COMMAND_OUTPUT,
                    APR_ARRAY_IDX(note->command, 0, const char *), line, NULL);
}

static void on_ended(void *baton, acme_err_t *err, int status)
{
    note_t *note = baton;
    acme_notify_t *notify = note->owner;
    acme_engine_t *engine = notify->engine;
    const char *name = acme_event_name(note->event);

    (void)status;
    if (err) {
        acme_engine_log_text(
            engine, note->job, err->msg,
            apr_pstrcat(engine->scratch, acme_err_line(err, engine->scratch),
                        "; it was to be told of the event ", name, NULL));
    }
    else {
        acme_engine_log(engine, note->job, ACME_I_EVENT_TOLD,
                        APR_ARRAY_IDX(note->command, 0, const char *), name,
                        NULL);
    }
    /* a newer one that waits has the same entry */
    if (note->journaled
        && !apr_hash_get(notify->by_id, note->id, APR_HASH_KEY_STRING)) {
        remove_journal(notify, note->id);
    }
    apr_hash_set(notify->lanes, note->lane, APR_HASH_KEY_STRING, NULL);
    notify->running--;
    notify->changed = 1;
    apr_pool_destroy(note->pool);
}

static void start(note_t *note)
{
    acme_notify_t *notify = note->owner;
    apr_pool_t *scratch = notify->engine->scratch;
    apr_array_header_t *argv = apr_array_copy(scratch, note->command);
    apr_array_header_t *env = apr_array_copy(scratch, note->env);
    const acme_command_callbacks_t callbacks = { note, on_output, on_ended };

    APR_ARRAY_PUSH(argv, const char *) = acme_event_name(note->event);
    APR_ARRAY_PUSH(argv, const char *) = note->job->managed->name;
    APR_ARRAY_PUSH(argv, const char *) = NULL;
    APR_ARRAY_PUSH(env, const char *) = NULL;
    const acme_command_spec_t spec = {
        (const char *const *)(const void *)argv->elts,
        (const char *const *)(const void *)env->elts, ACME_HOOK_LIMIT
    };
    remove_waiting(note);
    apr_hash_set(notify->lanes, note->lane, APR_HASH_KEY_STRING, note);
    notify->running++;
    acme_command_start(notify->commands, &spec, &callbacks);
}

int acme_notify_due(const acme_notify_t *notify)
{
    return (notify->changed && notify->first
            && notify->running < ACME_NOTIFY_AT_ONCE)
           || acme_commands_due(notify->commands);
}

void acme_notify_pump(acme_notify_t *notify)
{
    note_t *note = notify->changed ? notify->first : NULL;

    while (note && notify->running < ACME_NOTIFY_AT_ONCE) {
        note_t *next = note->next;

        if (!apr_hash_get(notify->lanes, note->lane, APR_HASH_KEY_STRING)) {
            start(note);
        }
        note = next;
    }
    notify->changed = 0;
    acme_commands_run(notify->commands);
}

/* --- what happens ----------------------------------------------------------------- */

/* Too many wait, and this one comes again. */
static int is_dropped(acme_notify_t *notify, const acme_job_t *job,
                      acme_event_kind_t event,
                      const apr_array_header_t *command)
{
    acme_engine_t *engine = notify->engine;

    if (notify->waiting < ACME_NOTIFY_WAITING
        || !(EXPENDABLE & ACME_EVENT_BIT(event))) {
        return 0;
    }
    acme_err_t *err = acme_err_make(engine->scratch, ACME_W_EVENTS_DROPPED,
                                    apr_itoa(engine->scratch, notify->waiting),
                                    APR_ARRAY_IDX(command, 0, const char *),
                                    acme_event_name(event), NULL);
    if (acme_engine_is_news(engine, &notify->told, err)) {
        acme_engine_log_error(engine, job, err);
    }
    return 1;
}

void acme_notify_add(acme_notify_t *notify, const acme_job_t *job,
                     acme_event_kind_t event, const apr_array_header_t *env)
{
    const apr_array_header_t *hooks = job->managed->policy->hooks;

    for (int i = 0; hooks && i < hooks->nelts; i++) {
        const acme_hook_t *hook = APR_ARRAY_IDX(hooks, i, acme_hook_t *);

        if (!(hook->events & ACME_EVENT_BIT(event))
            || is_dropped(notify, job, event, hook->command)) {
            continue;
        }
        note_t *note = make(notify, job, event, hook->command, env);
        if (event != ACME_EVENT_RENEWING) {
            write_journal(note);
        }
        enqueue(note);
    }
}
