#include "engine/skips.h"

#include <apr_hash.h>
#include <apr_strings.h>
#include <stdio.h>
#include <string.h>

#include "core/encode.h"

#define PATIENCE                                                               \
    3 /* attempts to add names, before one that is served is given up */

static int name_count(const acme_job_t *job)
{
    return job->managed->idents->nelts;
}

static const char *name_at(const acme_job_t *job, int i)
{
    return APR_ARRAY_IDX(job->managed->idents, i, const acme_ident_t *)->value;
}

/* @return -1: none of the certificate's */
static int index_of(const acme_job_t *job, const char *name)
{
    for (int i = 0; i < name_count(job); i++) {
        if (!strcmp(name_at(job, i), name)) {
            return i;
        }
    }
    return -1;
}

static int is_out(const acme_job_t *job, int i)
{
    return job->skips && job->skips[i].tries > 0;
}

static int has(const acme_job_t *job, int i)
{
    return job->has[i / 8] >> i % 8 & 1;
}

/* Names that were taken away can wait for the renewal. */
void acme_skips_compare(acme_job_t *job, const acme_record_t *record,
                        apr_pool_t *scratch)
{
    const apr_array_header_t *wanted = job->managed->idents;
    apr_hash_t *held = apr_hash_make(scratch);

    for (int i = 0; i < record->idents->nelts; i++) {
        const acme_ident_t *ident =
            APR_ARRAY_IDX(record->idents, i, acme_ident_t *);
        apr_hash_set(held, ident->value, APR_HASH_KEY_STRING, ident);
    }
    memset(job->has, 0, sizeof(job->has));
    for (int i = 0; i < wanted->nelts && i < ACME_MAX_IDENTS; i++) {
        const acme_ident_t *ident = APR_ARRAY_IDX(wanted, i, acme_ident_t *);
        const acme_ident_t *found =
            apr_hash_get(held, ident->value, APR_HASH_KEY_STRING);
        if (found && acme_ident_equal(found, ident)) {
            job->has[i / 8] |= (unsigned char)(1 << i % 8);
        }
    }
}

/* --- what to do ----------------------------------------------------------------- */

static int is_blamed(const acme_err_t *err, const char *name)
{
    for (int i = 0; i < err->blames->nelts; i++) {
        if (!strcmp(APR_ARRAY_IDX(err->blames, i, acme_blame_t).name, name)) {
            return 1;
        }
    }
    return 0;
}

/* How the ordered names stand to the newest set. */
typedef struct standing_t {
    int rest_held;   /* it has each that is not blamed */
    int blamed_held; /* it has one that is */
} standing_t;

static standing_t compare(const acme_job_t *job,
                          const apr_array_header_t *idents,
                          const acme_err_t *err)
{
    standing_t standing = { 1, 0 };

    for (int i = 0; i < idents->nelts; i++) {
        const char *name = APR_ARRAY_IDX(idents, i, acme_ident_t *)->value;
        int at = index_of(job, name);
        if (at >= 0 && is_blamed(err, name)) {
            standing.blamed_held |= has(job, at);
        }
        else if (at >= 0) {
            standing.rest_held &= has(job, at);
        }
    }
    return standing;
}

acme_skip_verdict_t acme_skips_judge(const acme_job_t *job,
                                     const apr_array_header_t *idents,
                                     const acme_err_t *err, apr_time_t now)
{
    const acme_status_t *status = &job->status;

    if (job->managed->policy->bad_names != ACME_BAD_NAMES_SKIP || !err->blames
        || !err->blames->nelts || is_blamed(err, name_at(job, 0))) {
        return ACME_SKIP_NONE;
    }
    if (!job->renew_at || job->differs || job->revoked) {
        return ACME_SKIP_REST;
    }
    standing_t standing = compare(job, idents, err);
    int due = job->requested || job->renew_at <= now;
    if (!due && standing.rest_held) {
        return ACME_SKIP_STAY;
    }
    int late = now - job->renew_at >= (status->not_after - job->renew_at) / 2;
    int patient = due ? !late : status->failures + 1 < PATIENCE;
    return standing.blamed_held && patient ? ACME_SKIP_NONE : ACME_SKIP_REST;
}

void acme_skips_add(acme_job_t *job, const acme_err_t *err,
                    const acme_job_retry_t *retry, apr_time_t now,
                    apr_pool_t *pool)
{
    if (!job->skips) {
        job->skips = apr_pcalloc(pool, (apr_size_t)name_count(job)
                                           * sizeof(*job->skips));
    }
    for (int i = 0; i < err->blames->nelts; i++) {
        const acme_blame_t *blame =
            &APR_ARRAY_IDX(err->blames, i, acme_blame_t);
        int at = index_of(job, blame->name);
        if (at < 0) {
            continue;
        }
        acme_skip_t *skip = &job->skips[at];
        skip->since = skip->tries ? skip->since : now;
        skip->tries += skip->tries < 1000000;
        skip->next = now
                     + acme_retry_delay(skip->tries, retry->first, retry->max,
                                        retry->random);
        if (skip->next < err->retry_at) {
            skip->next = err->retry_at;
        }
        skip->code = blame->msg;
        acme_encode_cut(skip->text, sizeof(skip->text), blame->text);
    }
}

const apr_array_header_t *acme_skips_idents(const acme_job_t *job,
                                            apr_time_t now, apr_pool_t *pool)
{
    const apr_array_header_t *all = job->managed->idents;
    apr_array_header_t *some;

    if (!acme_skips_count(job)) {
        return all;
    }
    some = apr_array_make(pool, all->nelts, sizeof(acme_ident_t *));
    for (int i = 0; i < all->nelts; i++) {
        if (!is_out(job, i) || job->skips[i].next <= now) {
            APR_ARRAY_PUSH(some, acme_ident_t *) =
                APR_ARRAY_IDX(all, i, acme_ident_t *);
        }
    }
    return some;
}

apr_time_t acme_skips_due(const acme_job_t *job, const char **name)
{
    apr_time_t due = ACME_NEVER;

    *name = NULL;
    for (int i = 0; i < name_count(job); i++) {
        if (has(job, i)) {
            continue;
        }
        if (!is_out(job, i)) {
            *name = NULL;
            return 0;
        }
        if (job->skips[i].next < due) {
            due = job->skips[i].next;
            *name = name_at(job, i);
        }
    }
    return due;
}

apr_array_header_t *acme_skips_settle(acme_job_t *job, apr_pool_t *pool)
{
    apr_array_header_t *back = apr_array_make(pool, 1, sizeof(const char *));

    for (int i = 0; job->skips && i < name_count(job); i++) {
        if (is_out(job, i) && has(job, i)) {
            memset(&job->skips[i], 0, sizeof(job->skips[i]));
            APR_ARRAY_PUSH(back, const char *) = name_at(job, i);
        }
    }
    return back;
}

void acme_skips_hasten(acme_job_t *job)
{
    for (int i = 0; job->skips && i < name_count(job); i++) {
        job->skips[i].next = 0;
    }
}

/* --- what to show ---------------------------------------------------------------- */

int acme_skips_count(const acme_job_t *job)
{
    int count = 0;

    for (int i = 0; job->skips && i < name_count(job); i++) {
        count += is_out(job, i);
    }
    return count;
}

const acme_skip_t *acme_skips_of(const acme_job_t *job, const char *name)
{
    int at = index_of(job, name);
    return at >= 0 && is_out(job, at) ? &job->skips[at] : NULL;
}

void acme_skips_tell(acme_job_t *job, apr_pool_t *scratch)
{
    char text[sizeof(job->status.remarks->left_out)];
    apr_size_t used = 0, size = sizeof(text);

    text[0] = '\0';
    for (int i = 0; job->skips && i < name_count(job) && used + 8 < size; i++) {
        const acme_skip_t *skip = &job->skips[i];
        if (is_out(job, i)) {
            used += (apr_size_t)snprintf(
                text + used, size - used, "%s%s (ACME%04d, next try at %s)",
                used ? ", " : "", name_at(job, i), (int)skip->code,
                acme_time_format(skip->next, scratch));
        }
    }
    if (used >= size) {
        apr_cpystrn(text + size - 4, "...", 4);
    }
    ACME_REMARK(&job->status, left_out, text, job->pool);
}

/* --- what is kept ---------------------------------------------------------------- */

int acme_skips_format(json_t *doc, const acme_job_t *job, apr_pool_t *scratch)
{
    json_t *list = NULL;
    int failed = 0;

    for (int i = 0; job->skips && i < name_count(job); i++) {
        const acme_skip_t *skip = &job->skips[i];
        if (!is_out(job, i)) {
            continue;
        }
        list = list ? list : json_array();
        failed |= json_array_append_new(
            list, json_pack("{s:s, s:i, s:s, s:s, s:i, s:s}", "name",
                            name_at(job, i), "tries", skip->tries, "since",
                            acme_time_format(skip->since, scratch), "next",
                            acme_time_format(skip->next, scratch), "code",
                            (int)skip->code, "why", skip->text));
    }
    return list ? failed | json_object_set_new(doc, "left_out", list) : failed;
}

static apr_time_t get_time(const json_t *one, const char *name)
{
    const char *text = acme_json_string(one, name);
    return text ? acme_time_parse_rfc3339(text) : 0;
}

static void parse_one(acme_skip_t *skip, const json_t *one, apr_pool_t *scratch)
{
    json_int_t tries = json_integer_value(json_object_get(one, "tries"));
    const char *text = acme_json_string(one, "why");

    skip->tries = tries < 1 ? 1 : tries > 1000000 ? 1000000 : (int)tries;
    skip->since = get_time(one, "since");
    skip->next = get_time(one, "next");
    skip->code = (acme_msg_t)json_integer_value(json_object_get(one, "code"));
    apr_cpystrn(
        skip->text,
        text ? acme_encode_printable(text, sizeof(skip->text) - 1, scratch)
             : "",
        sizeof(skip->text));
}

void acme_skips_parse(acme_job_t *job, const json_t *list, apr_pool_t *pool,
                      apr_pool_t *scratch)
{
    for (size_t i = 0; i < json_array_size(list) && i < ACME_MAX_IDENTS; i++) {
        const json_t *one = json_array_get(list, i);
        const char *name = acme_json_string(one, "name");
        int at = name ? index_of(job, name) : -1;
        if (at <= 0 || has(job, at)) {
            continue; /* not of these names, or back already */
        }
        if (!job->skips) {
            job->skips = apr_pcalloc(pool, (apr_size_t)name_count(job)
                                               * sizeof(*job->skips));
        }
        parse_one(&job->skips[at], one, scratch);
    }
}

void acme_skips_check_clock(acme_job_t *job, apr_time_t latest)
{
    for (int i = 0; job->skips && i < name_count(job); i++) {
        if (job->skips[i].next > latest) {
            job->skips[i].next = 0;
        }
    }
}
