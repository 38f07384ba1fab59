/* What is told of an order in progress. */
#include "engine/engine_impl.h"

#include <apr_strings.h>
#include <string.h>

#include "core/encode.h"
#include "engine/solver.h"

/* Also as a step of its time-line. */
void acme_run_tell_progress(acme_run_t *run)
{
    acme_status_t *status = &run->job->status;
    const char *text = acme_solver_progress(run, run->engine->scratch);

    if (run->stage != acme_order_state_name(run->order)) {
        const char *words =
            run->resumed && !run->stage ? "resumed: order is " : "order is ";
        run->stage = acme_order_state_name(run->order);
        acme_engine_event(run->engine, run->job, words, run->stage);
    }
    text = text ? text : acme_order_progress(run->order, run->engine->scratch);
    if (!strncmp(status->progress, text, sizeof(status->progress) - 1)) {
        return;
    }
    apr_cpystrn(status->progress, text, sizeof(status->progress));
    acme_engine_report(run->engine, run->job);
    acme_asked_progress(run->engine, run->job, status->progress);
}

/* Once for each kind of trouble, not for each attempt. */
void acme_run_tell_trouble(acme_run_t *run)
{
    const acme_err_t *trouble = acme_order_trouble(run->order);
    acme_engine_t *engine = run->engine;
    acme_job_t *job = run->job;

    if (!trouble || run->told == trouble->msg) {
        return;
    }
    run->told = trouble->msg;
    acme_job_troubled(job, trouble, acme_engine_now(engine), engine->scratch);
    acme_engine_log_text(
        engine, job, trouble->msg,
        apr_psprintf(engine->scratch, "%s; asked again at %s",
                     acme_err_line(trouble, engine->scratch),
                     acme_time_format(trouble->retry_at, engine->scratch)));
    acme_engine_report(engine, job);
}
