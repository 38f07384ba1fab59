/* What a revocation by the administrator means for a job: the set serves until
 * another one is there, which is ordered at once. */
#include <apr_strings.h>
#include <string.h>

#include "core/encode.h"
#include "core/reason.h"
#include "engine/job.h"

void acme_job_withdraw(acme_job_t *job, const char *serial, int reason)
{
    apr_cpystrn(job->withdrawn.serial, serial, sizeof(job->withdrawn.serial));
    job->withdrawn.reason = reason;
    acme_job_learn_withdrawn(job);
    if (job->withdrawn.serial[0]) {
        job->retry_at = 0; /* whatever came of the attempt before */
    }
}

void acme_job_learn_withdrawn(acme_job_t *job)
{
    if (!job->withdrawn.serial[0]) {
        return;
    }
    if (strcmp(job->withdrawn.serial, job->status.serial) != 0) {
        memset(&job->withdrawn, 0, sizeof(job->withdrawn));
        return;
    }
    job->differs = job->withdrawn.reason == ACME_REASON_COMPROMISED
                       ? "it was revoked, for its key is compromised"
                       : "it was revoked";
}

void acme_job_format_withdrawn(json_t *doc, const acme_job_t *job)
{
    const acme_withdrawn_t *withdrawn = &job->withdrawn;

    if (doc && withdrawn->serial[0]) {
        json_object_set_new(doc, "revoked",
                            json_pack("{s:s, s:i}", "serial", withdrawn->serial,
                                      "reason", withdrawn->reason));
    }
}

void acme_job_parse_withdrawn(acme_job_t *job, const json_t *doc)
{
    const json_t *revoked = json_object_get(doc, "revoked");
    const char *serial = acme_json_string(revoked, "serial");
    json_t *reason = json_object_get(revoked, "reason");

    if (serial) {
        apr_cpystrn(job->withdrawn.serial, serial,
                    sizeof(job->withdrawn.serial));
        job->withdrawn.reason = json_is_integer(reason)
                                    ? (int)json_integer_value(reason)
                                    : ACME_REASON_NONE;
        acme_job_learn_withdrawn(job);
    }
}

int acme_job_shuns_key(const acme_job_t *job)
{
    return job->withdrawn.serial[0]
           && job->withdrawn.reason == ACME_REASON_COMPROMISED;
}
