#include "engine/ending.h"

#include <apr_strings.h>
#include <string.h>

#include "engine/job.h"
#include "engine/timer.h"

#define DAY apr_time_from_sec(24 * 60 * 60)

static const apr_interval_time_t BEFORE[] = { 30 * DAY, 7 * DAY };

void acme_ending_note(acme_ending_t *ending, const char *name, apr_time_t until)
{
    if (until && (!ending->until || until < ending->until)) {
        ending->name = name;
        ending->until = until;
    }
}

void acme_ending_learn(acme_job_t *job, const acme_record_t *record)
{
    acme_ending_t *ending = job->ending;
    int ends = record && record->ending.name && record->ending.until;

    if (!ending && ends) {
        ending = job->ending = apr_pcalloc(job->pool, sizeof(*ending));
    }
    if (ending) {
        ending->until = ends ? record->ending.until : 0;
    }
    if (ends && (!ending->name || strcmp(ending->name, record->ending.name))) {
        ending->name = apr_pstrdup(job->pool, record->ending.name);
    }
}

apr_time_t acme_ending_due(const acme_job_t *job)
{
    const acme_ending_t *ending = job->ending;

    if (!ending || !ending->until) {
        return ACME_NEVER;
    }
    for (apr_size_t i = 0; i < sizeof(BEFORE) / sizeof(BEFORE[0]); i++) {
        if (ending->told < ending->until - BEFORE[i]) {
            return ending->until - BEFORE[i];
        }
    }
    return ACME_NEVER;
}
