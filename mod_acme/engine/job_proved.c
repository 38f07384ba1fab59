/* What proved the names of a certificate last: tried first the next time, so that
 * what does not work here costs no failed validation at each renewal. Written down
 * only where it is not what would be tried first anyhow. */
#include <apr_strings.h>
#include <string.h>

#include "engine/job.h"

int acme_job_position(const acme_job_t *job, const acme_ident_t *ident)
{
    const apr_array_header_t *idents = job->managed->idents;

    for (int i = 0; i < idents->nelts; i++) {
        if (acme_ident_equal(APR_ARRAY_IDX(idents, i, acme_ident_t *), ident)) {
            return i;
        }
    }
    return -1;
}

unsigned int acme_job_proved(const acme_job_t *job, const acme_ident_t *ident)
{
    int position = job->proved ? acme_job_position(job, ident) : -1;

    return position < 0 ? 0 : job->proved[position];
}

void acme_job_disproved(acme_job_t *job, const acme_ident_t *ident,
                        acme_proof_type_t type)
{
    if (acme_job_proved(job, ident) == ACME_PROOF_BIT(type)) {
        job->proved[acme_job_position(job, ident)] = 0;
    }
}

/* --- reading ------------------------------------------------------------------- */

static void remember(acme_job_t *job, const acme_ident_t *ident,
                     const char *word)
{
    int position = acme_job_position(job, ident);
    acme_proof_type_t type;

    if (position >= 0 && !acme_proof_type_parse(&type, word)) {
        job->proved[position] = (unsigned char)ACME_PROOF_BIT(type);
    }
}

void acme_job_learn_proved(acme_job_t *job, const acme_record_t *record,
                           apr_pool_t *scratch)
{
    apr_size_t count = (apr_size_t)job->managed->idents->nelts;
    char *last, *word;

    if (job->proved) {
        memset(job->proved, 0, count);
    }
    if (!record || !record->proved_by || !record->challenges
        || strcmp(record->challenges,
                  acme_policy_challenges(job->managed->policy, scratch))) {
        return;
    }
    if (!job->proved) {
        job->proved = apr_pcalloc(job->pool, count);
    }
    int for_all = !strchr(record->proved_by, ' ');
    word = apr_strtok(apr_pstrdup(scratch, record->proved_by), " ", &last);
    for (int i = 0; word && i < record->idents->nelts; i++) {
        remember(job, APR_ARRAY_IDX(record->idents, i, acme_ident_t *), word);
        word = for_all ? word : apr_strtok(NULL, " ", &last);
    }
}

/* --- writing ------------------------------------------------------------------- */

static const char *word_for(const acme_job_t *job, const acme_ident_t *ident,
                            unsigned int proved)
{
    acme_proofs_t all;

    proved = proved ? proved : acme_job_proved(job, ident);
    acme_policy_proofs(&all, job->managed->policy, ident);
    for (int i = 1; i < all.count; i++) {
        if (proved == ACME_PROOF_BIT(all.types[i])) {
            return acme_proof_type_name(all.types[i]);
        }
    }
    return "-"; /* preferred, or not possible any more */
}

void acme_job_keep_proved(acme_record_t *record, const acme_job_t *job,
                          const unsigned char *proved, apr_pool_t *pool)
{
    const apr_array_header_t *idents = record->idents;
    apr_array_header_t *words =
        apr_array_make(pool, idents->nelts, sizeof(const char *));
    int same = 1;

    for (int i = 0; i < idents->nelts; i++) {
        APR_ARRAY_PUSH(words, const char *) =
            word_for(job, APR_ARRAY_IDX(idents, i, acme_ident_t *), proved[i]);
        same = same
               && !strcmp(APR_ARRAY_IDX(words, i, const char *),
                          APR_ARRAY_IDX(words, 0, const char *));
    }
    const char *first = APR_ARRAY_IDX(words, 0, const char *);
    if (same && !strcmp(first, "-")) {
        return;
    }
    record->proved_by = same ? first : apr_array_pstrcat(pool, words, ' ');
    record->challenges = acme_policy_challenges(job->managed->policy, pool);
}
