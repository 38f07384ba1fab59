/** A job with several CAs: which of them is asked, and when the others again. */
#include <apr_strings.h>
#include <stdio.h>
#include <string.h>

#include "core/encode.h"
#include "core/reaction.h"
#include "engine/job.h"

/* A rate limit that is over so soon is waited for. */
#define SOON apr_time_from_sec(10 * 60)

const char *acme_job_ca_name(const acme_job_t *job, int ca)
{
    const acme_ca_t *one = &job->managed->policy->cas[ca];

    return one->alias ? one->alias : one->url;
}

/* Whether another CA may do better. */
static int is_its_own(const acme_err_t *err, apr_time_t now)
{
    int is_limit =
        err->msg == ACME_E_CA_PROBLEM_RATE || err->msg == ACME_E_LIMIT;

    if (is_limit && err->retry_at && err->retry_at <= now + SOON) {
        return 0;
    }
    return acme_reaction_elsewhere(err->msg);
}

/* The first that is not held back; or the one that is for the shortest time. */
static int best(const acme_job_t *job, apr_time_t now)
{
    int count = job->managed->policy->ca_count, found = 0;

    for (int i = 0; i < count; i++) {
        if (job->turns[i].until <= now) {
            return i;
        }
        if (job->turns[i].until < job->turns[found].until) {
            found = i;
        }
    }
    return found;
}

void acme_job_turn_to(acme_job_t *job, int ca, apr_pool_t *scratch)
{
    if (ca != job->ca) {
        job->ca = ca;
        job->kept = job->made = 0;
        acme_job_set_subject(job, scratch);
    }
}

void acme_job_choose(acme_job_t *job, apr_time_t now, apr_pool_t *scratch)
{
    /* An order that is kept is worth more than the order of preference. */
    if (!job->kept || job->turns[job->ca].until > now) {
        acme_job_turn_to(job, best(job, now), scratch);
    }
}

int acme_job_find_account(const acme_job_t *job, const char *account_dir,
                          apr_pool_t *scratch)
{
    const acme_policy_t *policy = job->managed->policy;

    for (int i = 0; i < policy->ca_count; i++) {
        if (!strcmp(acme_policy_account(&policy->cas[i], scratch),
                    account_dir)) {
            return i;
        }
    }
    return -1;
}

int acme_job_may_pass_on(const acme_job_t *job, const acme_err_t *err,
                         apr_time_t now)
{
    if (job->made && job->status.failures < ACME_JOB_MAX_KEPT) {
        return 0;
    }
    return job->managed->policy->ca_count > 1 && is_its_own(err, now);
}

int acme_job_has_other(const acme_job_t *job, apr_time_t by)
{
    for (int i = 0; i < job->managed->policy->ca_count; i++) {
        if (i != job->ca && job->turns[i].until <= by) {
            return 1;
        }
    }
    return 0;
}

int acme_job_pass_on(acme_job_t *job, const acme_err_t *err, apr_time_t until,
                     apr_time_t now, apr_pool_t *scratch)
{
    job->turns[job->ca].until = until;
    if (job->ca == 0) {
        ACME_REMARK(&job->status, ca_why,
                    apr_psprintf(scratch, "not %s: ACME%04d: %s",
                                 acme_job_ca_name(job, 0), (int)err->msg,
                                 acme_err_line(err, scratch)),
                    job->pool);
    }
    acme_job_turn_to(job, best(job, now), scratch);
    job->retry_at = job->turns[job->ca].until;
    return job->retry_at <= now;
}

void acme_job_settle(acme_job_t *job)
{
    memset(&job->turns[job->ca], 0, sizeof(job->turns[job->ca]));
    if (job->ca == 0) {
        acme_job_forget_turns(job);
    }
}

void acme_job_forget_turns(acme_job_t *job)
{
    memset(job->turns, 0, sizeof(job->turns));
    ACME_REMARK(&job->status, ca_why, "", job->pool);
}

int acme_job_has_turns(const acme_job_t *job)
{
    for (int i = 0; i < job->managed->policy->ca_count; i++) {
        if (job->turns[i].failures) {
            return 1;
        }
    }
    return 0;
}
