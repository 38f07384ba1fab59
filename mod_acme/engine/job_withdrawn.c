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

int acme_withdrawn_parse(acme_withdrawn_t *withdrawn, const json_t *doc)
{
    const json_t *revoked = json_object_get(doc, "revoked");
    const char *serial = acme_json_string(revoked, "serial");
    json_t *reason = json_object_get(revoked, "reason");

    if (serial) {
        apr_cpystrn(withdrawn->serial, serial, sizeof(withdrawn->serial));
        withdrawn->reason = json_is_integer(reason)
                                ? (int)json_integer_value(reason)
                                : ACME_REASON_NONE;
    }
    return serial != NULL;
}

void acme_job_parse_withdrawn(acme_job_t *job, const json_t *doc)
{
    if (acme_withdrawn_parse(&job->withdrawn, doc)) {
        acme_job_learn_withdrawn(job);
    }
}

static json_t *read_doc(const char *json, apr_size_t len)
{
    json_t *doc = json ? json_loadb(json, len, 0, NULL) : NULL;

    if (!json_is_object(doc)) {
        json_decref(doc);
        doc = json_object();
    }
    /* Whatever failed before: it is tried at once, as after other settings. */
    json_object_set_new(doc, "settings", json_string(""));
    return doc;
}

acme_err_t *acme_withdrawn_note(acme_store_t *store, const char *dir,
                                acme_family_t family, const char *serial,
                                int reason, apr_pool_t *pool)
{
    acme_job_t job = { .withdrawn.reason = reason };
    const char *json;
    apr_size_t len;

    apr_cpystrn(job.withdrawn.serial, serial, sizeof(job.withdrawn.serial));
    ACME_TRY(acme_store_get_doc(&json, &len, store, dir, family, ACME_DOC_JOB,
                                pool));
    json_t *doc = read_doc(json, len);
    acme_job_format_withdrawn(doc, &job);
    ACME_TRY(acme_json_document(&json, doc, "writing a job", pool));
    return acme_store_put_doc(store, dir, family, ACME_DOC_JOB, json, pool);
}

int acme_job_shuns_key(const acme_job_t *job)
{
    return job->withdrawn.serial[0]
           && job->withdrawn.reason == ACME_REASON_COMPROMISED;
}
