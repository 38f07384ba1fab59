/* Asking for renewal information (RFC 9773), beside the orders: few questions at
 * a time and one after another, so that neither the CA nor an order notices how
 * many certificates there are. */
#include "engine/engine_impl.h"

#include <apr_strings.h>
#include <openssl/rand.h>
#include <string.h>

#include "core/encode.h"

#define MAX_ASKED      2 /* questions of a link under way at once */
#define PACE           apr_time_from_msec(50) /* from one to the next */
#define DIRECTORY_LIFE apr_time_from_sec(24 * 60 * 60)
#define RETRY_FIRST    apr_time_from_sec(60)
#define RETRY_MAX      apr_time_from_sec(6 * 60 * 60)

/** A question under way. In a pool of its own. */
typedef struct question_t {
    apr_pool_t *pool;
    acme_link_t *link;
    acme_job_t *job; /* NULL: for the directory */
    const char *id;  /* the certificate's then */
    apr_time_t asked_at;
} question_t;

static unsigned int draw(void)
{
    unsigned int random = 0;
    RAND_bytes((unsigned char *)&random, sizeof(random));
    return random;
}

static void wake(acme_link_t *link, apr_time_t due)
{
    acme_timer_hasten(link->engine->timers, &link->asking.timer, due);
}

/* --- when ------------------------------------------------------------------------- */

/* The set's own CA, which need not be the one that is asked for the next. */
static void find_link(acme_engine_t *engine, acme_job_t *job)
{
    acme_link_t *link = job->from_ca == job->ca
                            ? job->link
                            : acme_link_for(engine, job->managed, job->from_ca);
    if (job->asked && job->asked != link) {
        acme_timer_clear(job->asked->asking.queue, &job->ask_turn);
    }
    job->asked = link;
}

void acme_asking_stop(acme_job_t *job)
{
    acme_link_t *link = job->asked;
    if (link) {
        acme_timer_clear(link->engine->timers, &job->ask);
        acme_timer_clear(link->asking.queue, &job->ask_turn);
    }
}

void acme_asking_plan(acme_engine_t *engine, acme_job_t *job)
{
    if (!job->asks || job->run) {
        acme_asking_stop(job);
        return;
    }
    find_link(engine, job);
    if (!job->asking && !job->ask_turn.place) {
        apr_time_t now = acme_engine_now(engine);
        apr_time_t due = job->ari.next_ask;
        acme_timer_set(engine->timers, &job->ask, due < now ? now : due);
    }
}

/* Who was issued just now goes first: its answer is awaited. */
void acme_asking_due(acme_job_t *job)
{
    acme_link_t *link = job->asked;
    apr_time_t now = acme_engine_now(link->engine);
    int first = !job->ari.next_ask && job->issued
                && now - job->issued < apr_time_from_sec(60);
    acme_timer_set(link->asking.queue, &job->ask_turn,
                   first ? ++link->engine->turns : job->status.not_after);
    wake(link, now);
}

/* --- what is kept ------------------------------------------------------------------ */

static void save(acme_engine_t *engine, acme_job_t *job)
{
    const char *json;
    acme_err_t *err =
        acme_ari_format(&json, &job->ari, job->ari_id, engine->scratch);
    if (!err) {
        err = acme_store_put_doc(engine->store, job->managed->dir, job->family,
                                 ACME_DOC_ARI, json, engine->scratch);
    }
    if (acme_engine_note(engine, err)) {
        acme_engine_log_error(engine, job, err);
    }
}

void acme_asking_keep(acme_engine_t *engine, acme_job_t *job)
{
    if (job->ari.rushed && job->ari_id[0]) {
        save(engine, job);
    }
}

void acme_asking_load(acme_engine_t *engine, acme_job_t *job)
{
    const char *json = NULL;
    apr_size_t len;
    if (!job->ari_id[0] || job->managed->policy->no_ari) {
        return;
    }
    acme_err_t *err =
        acme_store_get_doc(&json, &len, engine->store, job->managed->dir,
                           job->family, ACME_DOC_ARI, engine->scratch);
    if (!err && json) {
        err = acme_ari_parse(&job->ari, job->ari_id, json, len,
                             acme_engine_now(engine), engine->scratch);
    }
    if (acme_engine_note(engine, err)) {
        acme_engine_log(engine, job, ACME_W_ARI_DAMAGED, err->text, NULL);
    }
}

/* --- telling ----------------------------------------------------------------------- */

/* One line for all the certificates that the CA gives no answer about. */
static void tell_failure(acme_link_t *link, const acme_job_t *job,
                         acme_err_t *err, apr_time_t again)
{
    acme_engine_t *engine = link->engine;
    if (!acme_engine_is_news(engine, &link->asking.told, err)) {
        return;
    }
    acme_engine_log(engine, job, ACME_E_ARI,
                    acme_err_line(err, engine->scratch),
                    acme_time_format(again, engine->scratch), NULL);
}

/* An explanation is for the administrator; so is a window that is not where our
 * own time would be anyhow. */
static void tell_window(acme_engine_t *engine, const acme_job_t *job)
{
    const acme_status_t *status = &job->status;
    const acme_ari_t *ari = &job->ari;
    apr_interval_time_t tenth = (status->not_after - status->not_before) / 10;
    apr_time_t moment = acme_job_ari_moment(job);
    apr_pool_t *scratch = engine->scratch;
    int early = moment && moment < job->renew_at - tenth;
    const char *planned =
        acme_time_format(moment ? moment : job->renew_at, scratch);

    if (early && job->ari.rushed
        && moment > acme_ari_moment(ari, job->ari_id, job->renew_latest)) {
        acme_engine_log(engine, job, ACME_W_ARI_RUSH, planned, NULL);
    }
    else if (early || ari->url[0]) {
        acme_engine_log(engine, job, ACME_I_ARI_EARLY,
                        acme_time_format(ari->start, scratch),
                        acme_time_format(ari->end, scratch), planned,
                        ari->url[0] ? apr_pstrcat(
                            scratch, "; the CA's explanation: ", ari->url, NULL)
                                    : "",
                        NULL);
    }
    else {
        acme_engine_log(engine, job, ACME_I_ARI_WINDOW,
                        acme_time_format(ari->start, scratch),
                        acme_time_format(ari->end, scratch), planned, NULL);
    }
}

/* --- answers ----------------------------------------------------------------------- */

static void take_directory(acme_link_t *link, const acme_reply_t *reply)
{
    acme_asking_t *asking = &link->asking;
    acme_engine_t *engine = link->engine;
    apr_time_t now = acme_engine_now(engine);
    acme_directory_t *directory;
    acme_err_t *err = acme_reply_is_success(reply)
                          ? acme_directory_parse(&directory, reply->body,
                                                 reply->len, engine->scratch)
                          : acme_reply_error(reply, now, engine->scratch);

    asking->directory_asked = 0;
    if (err) {
        asking->directory_due =
            now
            + acme_retry_delay(++asking->directory_failures, RETRY_FIRST,
                               RETRY_MAX, draw());
        if (err->retry_at > asking->directory_due) {
            asking->directory_due = err->retry_at;
        }
        tell_failure(link, NULL, err, asking->directory_due);
        return;
    }
    apr_pool_clear(asking->pool);
    asking->renewal_info = apr_pstrdup(asking->pool, directory->renewal_info);
    asking->directory_failures = 0;
    asking->directory_due = now + DIRECTORY_LIFE;
}

/* A CA in trouble is not asked about a thousand certificates to hear it: one shows
 * whether it has passed. What was under way when it began is the same trouble. */
static void pause_all(acme_link_t *link, const acme_reply_t *reply,
                      apr_time_t asked_at, apr_time_t now)
{
    acme_asking_t *asking = &link->asking;
    if (!reply->failure && reply->status != 429 && reply->status < 500) {
        return;
    }
    apr_time_t asked_for =
        reply->failure ? 0 : acme_reply_retry_after(reply, now);
    if (!asking->troubles || asked_at > asking->trouble_at) {
        asking->troubles++;
        asking->trouble_at = now;
    }
    asking->next =
        now
        + acme_retry_delay(asking->troubles, RETRY_FIRST, RETRY_MAX, draw());
    if (asked_for > asking->next) {
        asking->next = asked_for;
    }
}

static void take_answer(acme_link_t *link, acme_job_t *job,
                        const acme_reply_t *reply, apr_time_t asked_at)
{
    acme_engine_t *engine = link->engine;
    apr_time_t now = acme_engine_now(engine);
    int news;
    acme_err_t *err =
        acme_ari_feed(&news, &job->ari, reply, now, draw(), engine->scratch);

    if (err) {
        tell_failure(link, job, err, job->ari.next_ask);
        pause_all(link, reply, asked_at, now);
    }
    else {
        acme_engine_is_news(engine, &link->asking.told, NULL);
        link->asking.troubles = 0;
    }
    save(engine, job);
    if (news) {
        tell_window(engine, job);
    }
    /* One in progress, or with its turn to come, is planned when it is over. */
    if (!job->run && !job->turn.place) {
        acme_engine_schedule(engine, job);
    }
}

static void on_answer(void *baton, const acme_reply_t *reply)
{
    question_t *question = baton;
    acme_link_t *link = question->link;
    acme_job_t *job = question->job;

    apr_pool_clear(link->engine->scratch);
    link->asking.in_flight--;
    if (!job) {
        take_directory(link, reply);
    }
    else {
        job->asking = 0;
        if (!strcmp(question->id, job->ari_id)) {
            take_answer(link, job, reply, question->asked_at);
        }
        else if (!job->run && !job->turn.place) {
            acme_asking_plan(link->engine, job); /* it is another by now */
        }
    }
    apr_pool_destroy(question->pool);
    wake(link, acme_engine_now(link->engine));
}

/* --- questions ---------------------------------------------------------------------- */

static acme_err_t *ask(acme_link_t *link, acme_job_t *job,
                       const acme_request_t *request)
{
    acme_wire_t wire = { .method = ACME_METHOD_GET,
                         .url = request->url,
                         .accept = "application/json",
                         .max_body = request->max_body };
    apr_pool_t *pool;

    apr_pool_create(&pool, link->pool);
    question_t *question = apr_pcalloc(pool, sizeof(*question));
    question->pool = pool;
    question->link = link;
    question->job = job;
    question->id = job ? apr_pstrdup(pool, job->ari_id) : NULL;
    question->asked_at = acme_engine_now(link->engine);
    acme_err_t *err = acme_transport_send(link->engine->transport, &link->ca,
                                          &wire, on_answer, question);
    if (err) {
        apr_pool_destroy(pool);
        return err;
    }
    link->asking.in_flight++;
    return NULL;
}

static void ask_about(acme_link_t *link, acme_job_t *job,
                      const char *renewal_info)
{
    acme_engine_t *engine = link->engine;
    acme_request_t request;
    acme_err_t *err =
        acme_ari_request(&request, renewal_info, job->ari_id, engine->scratch);

    if (!err) {
        err = ask(link, job, &request);
    }
    if (err) {
        acme_reply_t none = { .failure = err, .body = "" };
        take_answer(link, job, &none, acme_engine_now(engine));
        return;
    }
    job->asking = 1;
}

/* The session's directory, where there is one; else our own: who only asks needs
 * no account.
 * @return 0: it is not known yet, and asked for */
static int find_renewal_info(const char **url, acme_link_t *link)
{
    acme_asking_t *asking = &link->asking;
    apr_time_t now = acme_engine_now(link->engine);
    const acme_directory_t *directory =
        link->session ? acme_session_directory(link->session) : NULL;

    if (directory) {
        asking->directory_due = now + DIRECTORY_LIFE;
        *url = directory->renewal_info;
        return 1;
    }
    if (!asking->directory_asked && now >= asking->directory_due) {
        acme_request_t request = { .url = link->settings->url,
                                   .max_body = ACME_MAX_JSON };
        acme_err_t *err = ask(link, NULL, &request);
        asking->directory_asked = !err;
        if (err) {
            acme_reply_t none = { .failure = err, .body = "" };
            take_directory(link, &none);
        }
    }
    *url = asking->renewal_info;
    return !asking->directory_asked && !asking->directory_failures;
}

static acme_job_t *take(acme_asking_t *asking)
{
    acme_timer_t *turn = acme_timers_first(asking->queue);
    if (!turn) {
        return NULL;
    }
    acme_timer_clear(asking->queue, turn);
    return ACME_OWNER(turn, acme_job_t, ask_turn);
}

/* The CA has none to give, or does not say: all that wait come again when its
 * directory is looked at anew. */
static void put_off(acme_link_t *link, apr_time_t until)
{
    acme_job_t *job;
    while ((job = take(&link->asking))) {
        acme_timer_set(link->engine->timers, &job->ask, until);
    }
}

void acme_asking_pump(acme_link_t *link)
{
    acme_asking_t *asking = &link->asking;
    apr_time_t now = acme_engine_now(link->engine);
    const char *renewal_info;

    if (!acme_timers_first(asking->queue)) {
        return;
    }
    if (!find_renewal_info(&renewal_info, link)) {
        if (!asking->directory_asked) {
            put_off(link, asking->directory_due);
        }
        return;
    }
    if (!renewal_info) {
        put_off(link, asking->directory_due);
        return;
    }
    if (asking->in_flight >= (asking->troubles ? 1 : MAX_ASKED)) {
        return; /* the next answer goes on */
    }
    acme_job_t *job = now >= asking->next ? take(asking) : NULL;
    if (job) {
        asking->next = now + PACE;
        ask_about(link, job, renewal_info);
    }
    if (acme_timers_first(asking->queue)) {
        wake(link, asking->next);
    }
}
