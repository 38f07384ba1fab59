#include "engine/job.h"

#include <apr_strings.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "core/encode.h"
#include "engine/ending.h"
#include "engine/skips.h"

#define DAY         apr_time_from_sec(24 * 60 * 60)
#define DAILY_MAX   (DAY + DAY / 5) /* a day, and some spread */
#define CLOCK_SLACK apr_time_from_sec(60 * 60)
/* A certificate younger than that is not replaced for being revoked: a CA that
 * revokes each one at once would be asked without end. */
#define REVOKED_REST apr_time_from_sec(6 * 60 * 60)

static const char *or_empty(const char *text)
{
    return text ? text : "";
}

const acme_ca_t *acme_job_ca(const acme_job_t *job)
{
    return &job->managed->policy->cas[job->ca];
}

void acme_job_init(acme_job_t *job, const acme_managed_t *managed,
                   acme_key_type_t key_type, apr_pool_t *pool,
                   apr_pool_t *scratch)
{
    memset(job, 0, sizeof(*job));
    job->pool = pool;
    job->managed = managed;
    job->key_type = key_type;
    job->family = acme_key_family(key_type);

    acme_job_set_subject(job, scratch);
    acme_job_set_settings(job, scratch);
}

/* --- what there is ------------------------------------------------------------ */

static unsigned int hash_text(const char *text, unsigned int hash)
{
    for (; *text; text++) {
        hash = (hash ^ (unsigned char)*text) * 16777619U;
    }
    return hash;
}

/* The CA among the configured ones that a set came from, or NULL. */
static const acme_ca_t *ca_of(const acme_job_t *job, const char *url)
{
    const acme_policy_t *policy = job->managed->policy;

    for (int i = 0; i < policy->ca_count; i++) {
        if (!strcmp(policy->cas[i].url, url)) {
            return &policy->cas[i];
        }
    }
    return NULL;
}

static const char *difference(const acme_job_t *job,
                              const acme_record_t *record)
{
    const acme_ca_t *ca;

    if (!record->ca_url) {
        return "its record does not say which CA it is from";
    }
    ca = ca_of(job, record->ca_url);
    if (!ca) {
        return "another CA is configured";
    }
    if (record->key_type != job->key_type) {
        return "another key type is configured";
    }
    if (strcmp(or_empty(record->profile), or_empty(ca->profile))) {
        return "another profile is configured";
    }
    return NULL;
}

/* Which CA a set is from, in words. */
static void tell_ca(acme_status_t *status, const acme_record_t *record)
{
    const char *url = record->ca_url ? record->ca_url : "";
    const acme_policy_ca_t *known = acme_policy_find_ca(url);

    apr_cpystrn(status->ca, known ? known->alias : url, sizeof(status->ca));
}

void acme_job_learn(acme_job_t *job, const acme_record_t *record,
                    apr_pool_t *scratch)
{
    const acme_policy_t *policy = job->managed->policy;
    const acme_span_t *span = policy->renew_set ? &policy->renew : NULL;
    acme_status_t *status = &job->status;

    acme_job_learn_ari(job, record);
    acme_job_learn_proved(job, record, scratch);
    acme_ending_learn(job, record);
    if (!record) {
        job->renew_at = 0;
        job->differs = NULL;
        job->same_names = 0;
        job->revoked = 0;
        status->set_number = 0;
        status->not_before = status->not_after = 0;
        status->serial[0] = status->issuer[0] = status->ca[0] = '\0';
        ACME_REMARK(status, tlsa, "", job->pool);
        memset(job->has, 0, sizeof(job->has));
        return;
    }
    unsigned int seed = hash_text(acme_family_name(job->family),
                                  hash_text(job->managed->name, 2166136261U));
    job->renew_at =
        acme_renewal_time(record->not_before, record->not_after, span, seed);
    job->renew_latest =
        acme_renewal_latest(record->not_before, record->not_after, span);
    job->issued = record->issued;
    if (job->renew_at <= 0) {
        job->renew_at = 1; /* 0 means that there is no set */
    }
    job->differs = difference(job, record);
    tell_ca(status, record);
    job->same_names = acme_idents_equal(record->idents, job->managed->idents);
    job->revoked = 0;
    acme_skips_compare(job, record, scratch);
    status->set_number = record->number;
    ACME_REMARK(status, tlsa,
                policy->key_reuse != ACME_KEY_REUSE_OFF && record->tlsa
                    ? acme_encode_printable(record->tlsa, 64, scratch)
                    : "",
                job->pool);
    status->not_before = record->not_before;
    status->not_after = record->not_after;
    apr_cpystrn(status->serial,
                acme_encode_printable(record->serial,
                                      sizeof(status->serial) - 1, scratch),
                sizeof(status->serial));
    apr_cpystrn(status->issuer,
                acme_encode_printable(record->issuer,
                                      sizeof(status->issuer) - 1, scratch),
                sizeof(status->issuer));
    acme_job_learn_withdrawn(job);
}

/* --- what to do ---------------------------------------------------------------- */

/* "30 days before it expires": when a set is renewed, in words. */
static const char *renewal_words(const acme_job_t *job, apr_pool_t *scratch)
{
    const acme_policy_t *policy = job->managed->policy;
    if (!policy->renew_set) {
        return "a third of the lifetime left";
    }
    if (policy->renew.percent) {
        return apr_psprintf(scratch, "%d%% of the lifetime left",
                            policy->renew.percent);
    }
    return apr_psprintf(scratch, "%s before it expires",
                        acme_duration_text(policy->renew.duration, scratch));
}

/* When an attempt is wanted, failures aside. */
static apr_time_t wanted(const acme_job_t *job, const char **verb,
                         const char **why, apr_pool_t *scratch)
{
    const acme_managed_t *managed = job->managed;
    acme_renew_mode_t mode = managed->policy->renew_mode;

    *verb = job->renew_at ? "renew" : "order";
    if (job->requested) {
        *why = "asked for by the administrator";
        return 0;
    }
    if (mode == ACME_RENEW_MANUAL
        || (mode == ACME_RENEW_AUTO && !managed->in_use)) {
        *verb = "nothing";
        *why = mode == ACME_RENEW_MANUAL
                   ? "AcmeRenewMode is manual"
                   : "no virtual host uses this certificate";
        return ACME_NEVER;
    }
    if (!job->renew_at) {
        *why = "no certificate yet";
        return 0;
    }
    if (job->differs) {
        *verb = "order";
        *why = job->differs;
        return 0;
    }
    if (job->wished) {
        *why = "asked for by the administrator";
        return 0;
    }
    const char *name;
    apr_time_t suggested = acme_job_ari_moment(job);
    apr_time_t planned = suggested ? suggested : job->renew_at;
    apr_time_t rested = job->status.not_before + REVOKED_REST;
    if (job->revoked && rested < planned) {
        *why = "the CA has revoked it";
        return rested;
    }
    apr_time_t names_due = acme_skips_due(job, &name);
    if (names_due < planned) {
        *verb = "order";
        *why = name ? apr_pstrcat(scratch, "try to add ", name, NULL)
                    : "names were added";
        return names_due;
    }
    *why = suggested ? "when the CA suggests it" : renewal_words(job, scratch);
    return planned;
}

static acme_state_t resting_state(const acme_job_t *job)
{
    if (job->status.failures) {
        return ACME_STATE_ERROR;
    }
    if (job->managed->policy->renew_mode == ACME_RENEW_MANUAL) {
        return ACME_STATE_MANUAL;
    }
    return job->renew_at ? ACME_STATE_VALID : ACME_STATE_WAITING;
}

apr_time_t acme_job_plan(acme_job_t *job, apr_time_t now, apr_pool_t *scratch)
{
    acme_status_t *status = &job->status;
    const char *verb, *why;
    apr_time_t due = wanted(job, &verb, &why, scratch);
    acme_job_plan_asking(job, due, now);
    int held = !job->requested && due != ACME_NEVER && job->retry_at > due;

    if (held) {
        due = job->retry_at;
    }
    if (job->requested != ACME_REQUESTED_NOW && due != ACME_NEVER
        && status->limit_until > due) {
        due = status->limit_until;
    }
    status->ari_start = job->ari.start;
    status->ari_end = job->ari.end;
    ACME_REMARK(status, ari_url, job->ari.url, job->pool);
    status->state = resting_state(job);
    status->next_time = due == ACME_NEVER ? 0 : due < now ? now : due;
    if (held && status->failures) {
        verb = "retry";
    }
    acme_skips_tell(job, scratch);
    snprintf(status->next_action, sizeof(status->next_action), "%s: %s", verb,
             why);
    return due;
}

/* --- how it went ---------------------------------------------------------------- */

/* Half an address is of no use. */
static void keep_visit(acme_job_t *job, const char *url)
{
    int usable = url && acme_url_valid(url)
                 && strlen(url) < sizeof(job->status.remarks->visit);
    ACME_REMARK(&job->status, visit, usable ? url : "", job->pool);
}

/* How long to wait after so many failures in a row. */
static apr_interval_time_t delay_after(int failures, const acme_err_t *err,
                                       const acme_job_retry_t *retry)
{
    apr_interval_time_t delay =
        acme_retry_delay(failures, retry->first, retry->max, retry->random);
    if (err->class == ACME_CLASS_CONFIG || err->class == ACME_CLASS_CA_FINAL) {
        apr_interval_time_t daily =
            acme_retry_delay(1, DAY, DAILY_MAX, retry->random);
        delay = delay > daily ? delay : daily;
    }
    return delay;
}

static void count(int *failures)
{
    if (*failures < 1000000) {
        ++*failures;
    }
}

int acme_job_failed(acme_job_t *job, const acme_err_t *err,
                    const acme_job_retry_t *retry, apr_time_t now,
                    apr_pool_t *scratch)
{
    acme_status_t *status = &job->status;
    int passes_on = acme_job_may_pass_on(job, err, now);
    int *failures =
        passes_on ? &job->turns[job->ca].failures : &status->failures;
    apr_time_t until;

    acme_job_troubled(job, err, now, scratch);
    count(failures);
    until = now + delay_after(*failures, err, retry);
    if (err->retry_at > until) {
        until = err->retry_at;
    }
    job->retry_at = until;
    if (passes_on) {
        if (acme_job_pass_on(job, err, until, now, scratch)) {
            return 1;
        }
        count(&status->failures); /* there is none left to ask */
    }
    job->wished |= job->requested != 0;
    job->requested = 0;
    return 0;
}

void acme_job_troubled(acme_job_t *job, const acme_err_t *err, apr_time_t now,
                       apr_pool_t *scratch)
{
    acme_status_t *status = &job->status;

    status->error_time = now;
    status->error_code = (int)err->msg;
    ACME_REMARK(status, error,
                acme_encode_printable(acme_err_line(err, scratch),
                                      sizeof(status->remarks->error) - 1,
                                      scratch),
                job->pool);
    keep_visit(job, err->instance);
}

static void forget_error(acme_job_t *job)
{
    job->status.error_code = 0;
    job->status.error_time = 0;
    ACME_REMARK(&job->status, error, "", job->pool);
    job->retry_at = 0;
}

void acme_job_forgive(acme_job_t *job)
{
    job->status.failures = 0;
    forget_error(job);
}

acme_err_t *acme_job_succeeded(acme_job_t *job, apr_time_t now,
                               apr_pool_t *scratch)
{
    acme_status_t *status = &job->status;
    const char *name;
    /* one that was left out is asked for soon, which is no fault of the set */
    int lacks = acme_skips_due(job, &name) == 0 && !name;
    int useless = job->differs || lacks || job->renew_at <= now;

    if (!useless || status->error_code != ACME_E_SET_USELESS) {
        status->failures = 0;
    }
    forget_error(job);
    job->requested = job->wished = 0;
    acme_job_settle(job);
    if (!useless) {
        return NULL;
    }
    const char *why =
        job->differs ? job->differs
        : lacks      ? "it lacks names"
                     : apr_psprintf(scratch, "its renewal was due at %s",
                                    acme_time_format(job->renew_at, scratch));
    return acme_err_make(scratch, ACME_E_SET_USELESS, why, NULL);
}

/* --- what is kept ---------------------------------------------------------------- */

/* Of several CAs: those that have failed. @return not 0: there is no memory */
static int format_turns(json_t *doc, const acme_job_t *job, apr_pool_t *pool)
{
    const acme_policy_t *policy = job->managed->policy;
    json_t *list = json_array();
    int failed = 0;

    for (int i = 0; i < policy->ca_count && acme_job_has_turns(job); i++) {
        const acme_turn_t *turn = &job->turns[i];
        failed |= json_array_append_new(
            list, json_pack("{s:s, s:i, s:s}", "ca", policy->cas[i].url,
                            "failures", turn->failures, "until",
                            acme_time_format(turn->until, pool)));
    }
    return failed | json_object_set_new(doc, "cas", list);
}

acme_err_t *acme_job_format(const char **json, const acme_job_t *job,
                            apr_pool_t *pool)
{
    const acme_status_t *status = &job->status;
    const acme_remarks_t *remarks = acme_remarks(status);
    json_t *doc = json_pack(
        "{s:s, s:s, s:i, s:s, s:s, s:i, s:s, s:s, s:s}", "settings",
        job->settings, "request", job->request, "failures", status->failures,
        "retry_at", acme_time_format(job->retry_at, pool), "failed_at",
        acme_time_format(status->error_time, pool), "error_code",
        status->error_code, "error", remarks->error, "visit", remarks->visit,
        "not_first", remarks->ca_why);

    if (format_turns(doc, job, pool) | acme_job_format_withdrawn(doc, job)
        | acme_skips_format(doc, job, pool)
        | (job->wished ? json_object_set_new(doc, "wished", json_true()) : 0)) {
        json_decref(doc);
        doc = NULL;
    }
    return acme_json_document(json, doc, "saving a failure", pool);
}

static apr_time_t time_member(const json_t *doc, const char *name)
{
    const char *text = acme_json_string(doc, name);
    return text ? acme_time_parse_rfc3339(text) : 0;
}

static int int_member(const json_t *doc, const char *name)
{
    json_int_t value = json_integer_value(json_object_get(doc, name));
    return value < 0 ? 0 : value > 1000000 ? 1000000 : (int)value;
}

/* The settings are the same, and so is the list of CAs. */
static void parse_turns(acme_job_t *job, const json_t *doc, apr_pool_t *scratch)
{
    const acme_policy_t *policy = job->managed->policy;
    const json_t *list = json_object_get(doc, "cas");
    const char *why = acme_json_string(doc, "not_first");

    for (int i = 0; i < policy->ca_count; i++) {
        const json_t *entry = json_array_get(list, (size_t)i);
        const char *url = acme_json_string(entry, "ca");
        if (url && !strcmp(url, policy->cas[i].url)) {
            job->turns[i].failures = int_member(entry, "failures");
            job->turns[i].until = time_member(entry, "until");
        }
    }
    ACME_REMARK(&job->status, ca_why,
                why ? acme_encode_printable(
                    why, sizeof(job->status.remarks->ca_why) - 1, scratch)
                    : "",
                job->pool);
}

acme_err_t *acme_job_parse(acme_job_t *job, const char *json, apr_size_t len,
                           apr_pool_t *pool, apr_pool_t *scratch)
{
    acme_status_t *status = &job->status;
    json_t *doc;
    acme_err_t *err = acme_json_parse(&doc, json, len, ACME_MAX_JSON,
                                      "file of failures", scratch);
    const char *settings = err ? NULL : acme_json_string(doc, "settings");
    if (err && err->msg == ACME_E_MEMORY) {
        return err;
    }
    if (!settings) {
        return acme_err_make(scratch, ACME_E_JOB_DOC,
                             err ? err->text : "it names no settings", NULL);
    }
    const char *request = acme_json_string(doc, "request");
    apr_cpystrn(job->request, request ? request : "", sizeof(job->request));
    job->has_doc = 1;
    job->wished = json_is_true(json_object_get(doc, "wished"));
    acme_job_parse_withdrawn(job, doc);
    if (strcmp(settings, job->settings)) {
        return NULL;
    }
    if (job->managed->policy->bad_names == ACME_BAD_NAMES_SKIP) {
        acme_skips_parse(job, json_object_get(doc, "left_out"), pool, scratch);
    }
    const char *text = acme_json_string(doc, "error");
    status->failures = int_member(doc, "failures");
    status->error_code = int_member(doc, "error_code");
    status->error_time = time_member(doc, "failed_at");
    job->retry_at = time_member(doc, "retry_at");
    parse_turns(job, doc, scratch);
    keep_visit(job, acme_json_string(doc, "visit"));
    ACME_REMARK(status, error,
                text ? acme_encode_printable(
                    text, sizeof(status->remarks->error) - 1, scratch)
                     : "",
                job->pool);
    return NULL;
}

int acme_job_outlives_failure(acme_job_t *job, apr_time_t now,
                              apr_pool_t *scratch)
{
    const char *verb, *why;
    apr_time_t due = wanted(job, &verb, &why, scratch);
    int over = job->status.failures && due != ACME_NEVER && due > now;

    if (over) {
        acme_job_forgive(job);
    }
    return over;
}

void acme_job_check_clock(acme_job_t *job, apr_interval_time_t retry_max,
                          apr_time_t now)
{
    apr_interval_time_t longest = retry_max > DAILY_MAX ? retry_max : DAILY_MAX;
    if (job->status.error_time > now + CLOCK_SLACK
        || job->retry_at > now + longest) {
        job->retry_at = 0;
        /* No attempt would clear what only that clock has said of the set. */
        if (job->status.error_code == ACME_E_SET_USELESS) {
            acme_job_forgive(job);
        }
    }
    for (int i = 0; i < job->managed->policy->ca_count; i++) {
        if (job->turns[i].until > now + longest) {
            job->turns[i].until = 0;
        }
    }
    acme_skips_check_clock(job, now + longest);
}
