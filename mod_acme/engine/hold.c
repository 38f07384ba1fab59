/* A certificate that demands an OCSP response in each handshake goes into service
 * with one. Until there is one its order is not over: what is on disk is the
 * order, which is taken up again after a crash, and what is in service stays. */
#include <apr_strings.h>
#include <string.h>

#include "core/encode.h"
#include "engine/engine_impl.h"

/* How long it may take. Without it a host has only its placeholder, or what is
 * about to expire: an unstapled certificate does less harm then. */
#define LONGEST      apr_time_from_sec(60 * 60)
#define LONGEST_BARE apr_time_from_sec(20)
#define FIRST_PAUSE  apr_time_from_sec(2)
#define LAST_PAUSE   apr_time_from_sec(5 * 60)

struct acme_hold_t {
    const char *chain_pem;
    acme_chain_t *chain;
    acme_cert_info_t *info;
    apr_time_t until; /* no longer */
    apr_time_t next;  /* question */
    apr_interval_time_t pause;
    int asking;
    int tries;
    int over; /* there is a response, or nobody to ask */
};

static apr_time_t limit(const acme_run_t *run, apr_time_t now)
{
    const acme_status_t *status = &run->job->status;
    apr_time_t left = status->set_number ? status->not_after - now : 0;

    return now
           + (left > LONGEST_BARE
                  ? (left < LONGEST ? left - LONGEST_BARE : LONGEST)
                  : LONGEST_BARE);
}

static void let_go(acme_run_t *run)
{
    acme_hold_t *hold = run->hold;

    hold->over = 1;
    acme_run_finish(run, hold->chain_pem);
}

static void tell_bare(acme_run_t *run, const char *why)
{
    acme_engine_log(run->engine, run->job, ACME_E_MUST_STAPLE_BARE, why, NULL);
}

/* --- answers ------------------------------------------------------------------ */

static void wait_on(acme_run_t *run, const acme_err_t *err)
{
    acme_hold_t *hold = run->hold;
    acme_engine_t *engine = run->engine;

    if (hold->tries == 1) {
        acme_engine_log(engine, run->job, ACME_W_MUST_STAPLE_WAITS,
                        acme_time_format(hold->until, engine->scratch),
                        acme_err_line(err, engine->scratch), NULL);
    }
    hold->next = acme_engine_now(engine) + hold->pause;
    hold->pause = hold->pause * 2 < LAST_PAUSE ? hold->pause * 2 : LAST_PAUSE;
    acme_timer_set(engine->timers, &run->timer,
                   hold->next < hold->until ? hold->next : hold->until);
}

static acme_err_t *judge(acme_run_t *run, const acme_answer_t *answer)
{
    acme_engine_t *engine = run->engine;

    if (answer->err) {
        return answer->err;
    }
    if (answer->ocsp->revoked) {
        return acme_err_make(engine->scratch, ACME_E_OCSP,
                             "it says that the certificate is revoked", NULL);
    }
    return acme_engine_note(engine, acme_stapling_save(engine, run->job,
                                                       run->hold->info->serial,
                                                       1, answer));
}

static void on_answer(void *baton, const acme_answer_t *answer)
{
    acme_run_t *run = baton;

    run->hold->asking = 0;
    if (!run->ended && !run->engine->lost) {
        acme_err_t *err = judge(run, answer);
        if (err) {
            wait_on(run, err);
        }
        else {
            let_go(run);
        }
    }
    acme_run_called(run);
}

/* --- waiting -------------------------------------------------------------------- */

void acme_hold_pump(acme_run_t *run)
{
    acme_engine_t *engine = run->engine;
    acme_hold_t *hold = run->hold;
    apr_time_t now = acme_engine_now(engine);

    if (now >= hold->until) {
        tell_bare(run, "it has not come in time");
        let_go(run);
        return;
    }
    if (hold->asking || now < hold->next) {
        acme_timer_set(engine->timers, &run->timer,
                       hold->asking || hold->until < hold->next ? hold->until
                                                                : hold->next);
        return;
    }
    acme_timer_set(engine->timers, &run->timer, hold->until);
    acme_err_t *err = acme_query_send(engine, &run->link->ca, hold->chain,
                                      hold->tries++, on_answer, run);
    if (err) {
        wait_on(run, err);
        return;
    }
    hold->asking = 1;
    run->calls++;
}

/* Nothing more is asked of the CA: neither its place nor, for its sibling, its
 * turn is taken any longer. */
static void make_room(acme_run_t *run)
{
    run->engine->active--;
    run->link->holding++;
    acme_engine_place_free(run->engine);
    acme_link_followed(run->job);
}

static void show(acme_run_t *run)
{
    acme_status_t *status = &run->job->status;

    apr_cpystrn(status->progress, "waiting for an OCSP response",
                sizeof(status->progress));
    acme_engine_report(run->engine, run->job);
}

int acme_hold_begin(acme_run_t *run, const char *chain_pem)
{
    acme_engine_t *engine = run->engine;
    acme_hold_t *hold = run->hold;

    if (hold || !engine->callbacks->staple) {
        return hold && !hold->over;
    }
    hold = apr_pcalloc(run->pool, sizeof(*hold));
    acme_err_t *err =
        acme_chain_parse(&hold->chain, chain_pem, strlen(chain_pem), run->pool);
    if (!err) {
        err = acme_cert_info(&hold->info, hold->chain->leaf, run->pool);
    }
    if (err || !hold->info->must_staple) {
        return 0; /* what is wrong with it is found when it is stored */
    }
    if (!hold->info->ocsp) {
        tell_bare(run, "it names no responder");
        return 0;
    }
    hold->chain_pem = apr_pstrdup(run->pool, chain_pem);
    hold->pause = FIRST_PAUSE;
    hold->until = limit(run, acme_engine_now(engine));
    run->hold = hold;
    make_room(run);
    show(run);
    acme_hold_pump(run);
    return 1;
}
