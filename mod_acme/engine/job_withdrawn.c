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

int acme_job_format_withdrawn(json_t *doc, const acme_job_t *job)
{
    const acme_withdrawn_t *withdrawn = &job->withdrawn;

    return withdrawn->serial[0] ? json_object_set_new(
               doc, "revoked",
               json_pack("{s:s, s:i}", "serial", withdrawn->serial, "reason",
                         withdrawn->reason))
                                : 0;
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

/* What is damaged is written anew. */
static acme_err_t *read_doc(json_t **doc, const char *json, apr_size_t len,
                            apr_pool_t *pool)
{
    acme_err_t *err =
        json ? acme_json_load(doc, json, len, "a job", pool) : NULL;

    if (err && err->msg == ACME_E_MEMORY) {
        return err;
    }
    if (err || !json) {
        *doc = json_object();
    }
    return NULL;
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
    json_t *doc;
    ACME_TRY(read_doc(&doc, json, len, pool));
    /* Whatever failed before: it is tried at once, as after other settings. */
    if (acme_json_put_text(doc, "settings", "")
        || acme_job_format_withdrawn(doc, &job)) {
        json_decref(doc);
        doc = NULL;
    }
    ACME_TRY(acme_json_document(&json, doc, "writing a job", pool));
    return acme_store_put_doc(store, dir, family, ACME_DOC_JOB, json, pool);
}

int acme_job_shuns_key(const acme_job_t *job)
{
    return job->withdrawn.serial[0]
           && job->withdrawn.reason == ACME_REASON_COMPROMISED;
}
