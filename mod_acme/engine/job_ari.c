/* A job and what its CA suggests: RFC 9773. */
#include <apr_strings.h>
#include <string.h>

#include "engine/job.h"

#define DAY        apr_time_from_sec(24 * 60 * 60)
#define RUSH_FIRST apr_time_from_sec(10 * 60)

const char *acme_job_replaces(const acme_job_t *job, const char *account_url)
{
    char account[ACME_JOB_FINGERPRINT];
    if (!job->ari_id[0] || !job->account[0] || !account_url
        || job->managed->policy->no_ari) {
        return NULL;
    }
    acme_job_fingerprint(account, account_url);
    return strcmp(account, job->account) ? NULL : job->ari_id;
}

/* Which of the configured CAs, or -1. */
static int index_of(const acme_job_t *job, const char *url)
{
    const acme_policy_t *policy = job->managed->policy;

    for (int i = 0; url && i < policy->ca_count; i++) {
        if (!strcmp(policy->cas[i].url, url)) {
            return i;
        }
    }
    return -1;
}

/* What is known of the set before says nothing about this one, but for how
 * often the CA had a young one replaced. */
void acme_job_learn_ari(acme_job_t *job, const acme_record_t *record)
{
    job->from_ca = record ? index_of(job, record->ca_url) : -1;
    const char *id = job->from_ca >= 0 && record->ari_id ? record->ari_id : "";

    if (strlen(id) >= sizeof(job->ari_id)) {
        id = "";
    }
    job->account[0] = '\0';
    if (job->from_ca >= 0 && record->account_url) {
        acme_job_fingerprint(job->account, record->account_url);
    }
    if (!strcmp(id, job->ari_id)) {
        return;
    }
    int rushed = job->rushing ? job->ari.rushed + 1 : 0;
    memset(&job->ari, 0, sizeof(job->ari));
    job->ari.rushed = rushed;
    job->rushing = 0;
    apr_cpystrn(job->ari_id, id, sizeof(job->ari_id));
}

/* Within the first third of its life. */
static int is_young(const acme_job_t *job, apr_time_t moment)
{
    const acme_status_t *status = &job->status;
    return moment
           < status->not_before + (status->not_after - status->not_before) / 3;
}

apr_time_t acme_job_ari_moment(const acme_job_t *job)
{
    if (job->managed->policy->no_ari || !job->ari_id[0] || !job->renew_at) {
        return 0;
    }
    apr_time_t moment =
        acme_ari_moment(&job->ari, job->ari_id, job->renew_latest);
    if (!moment || !job->ari.rushed || !is_young(job, moment)) {
        return moment;
    }
    apr_time_t held =
        job->issued + acme_retry_delay(job->ari.rushed, RUSH_FIRST, DAY, 0);
    if (held > job->renew_at) {
        held = job->renew_at;
    }
    return moment > held ? moment : held;
}

/* No question about what is replaced already, or about to be, or over. */
void acme_job_plan_asking(acme_job_t *job, apr_time_t due, apr_time_t now)
{
    job->asks = job->ari_id[0] && !job->managed->policy->no_ari
                && !job->requested && !job->differs && due != ACME_NEVER
                && due > now && job->status.not_after > now;
}

void acme_job_begun(acme_job_t *job, apr_time_t now)
{
    job->rushing =
        job->renew_at && !job->requested && !job->differs && is_young(job, now);
}
