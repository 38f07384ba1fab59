/** What an attempt is about, in a few digits: whether an order, or a failure, is of
 *  the present configuration. */
#include <apr_escape.h>
#include <apr_strings.h>
#include <stdio.h>
#include <string.h>

#include "core/encode.h"
#include "engine/job.h"

void acme_job_fingerprint(char *out, const char *text)
{
    unsigned char digest[ACME_SHA256];
    acme_sha256(digest, text, strlen(text));
    apr_escape_hex(out, digest, (ACME_JOB_FINGERPRINT - 1) / 2, 0, NULL);
}

/* The order of names means nothing: a sum over them. */
static apr_uint64_t sum_names(const apr_array_header_t *idents)
{
    apr_uint64_t sum = 0;
    for (int i = 0; i < idents->nelts; i++) {
        const char *value = APR_ARRAY_IDX(idents, i, acme_ident_t *)->value;
        unsigned char digest[ACME_SHA256];
        apr_uint64_t part;
        acme_sha256(digest, value, strlen(value));
        memcpy(&part, digest, sizeof(part));
        sum += part;
    }
    return sum;
}

static const char *or_empty(const char *text)
{
    return text ? text : "";
}

/* What an order at the job's CA is about. */
static const char *subject_of(const acme_job_t *job, apr_pool_t *scratch)
{
    const acme_managed_t *managed = job->managed;
    const acme_ca_t *ca = acme_job_ca(job);

    return apr_psprintf(scratch, "%s\n%s\n%s\n%d\n%" APR_UINT64_T_HEX_FMT,
                        ca->url, acme_key_type_name(job->key_type),
                        or_empty(ca->profile), managed->idents->nelts,
                        sum_names(managed->idents));
}

void acme_job_set_subject(acme_job_t *job, apr_pool_t *scratch)
{
    acme_job_fingerprint(job->subject, subject_of(job, scratch));
}

/* What the administrator can say of CAs and accounts. */
static const char *ca_settings(const acme_policy_t *policy, apr_pool_t *scratch)
{
    const char *text = "";

    for (int i = 0; i < policy->ca_count; i++) {
        const acme_ca_t *ca = &policy->cas[i];
        text = apr_psprintf(scratch, "%s%s\n%s\n%s\n%s %d\n", text, ca->url,
                            acme_policy_account(ca, scratch),
                            or_empty(ca->trust_file), or_empty(ca->profile),
                            ca->profile_required);
        if (acme_policy_account_key_type(ca) != ACME_KEY_ECDSA_P256) {
            text = apr_pstrcat(
                scratch, text,
                acme_key_type_name(acme_policy_account_key_type(ca)), "\n",
                NULL);
        }
        if (ca->external) {
            text =
                apr_pstrcat(scratch, text, or_empty(ca->external->hmac), NULL);
        }
    }
    if (policy->terms) {
        text =
            apr_pstrcat(scratch, text, "terms ",
                        apr_array_pstrcat(scratch, policy->terms, ' '), NULL);
    }
    return text;
}

/* Of AcmeDnsCommand and AcmeDnsWait. */
static const char *dns_settings(const acme_policy_t *policy, apr_pool_t *pool)
{
    const apr_array_header_t *command = policy->dns_command;
    const apr_array_header_t *resolvers = policy->dns_resolvers;

    return apr_psprintf(
        pool, "%s\n%" APR_TIME_T_FMT "\n%s",
        command ? apr_array_pstrcat(pool, command, '\n') : "", policy->dns_wait,
        resolvers ? apr_array_pstrcat(pool, resolvers, ' ') : "");
}

void acme_job_set_settings(acme_job_t *job, apr_pool_t *scratch)
{
    const acme_policy_t *policy = job->managed->policy;
    const char *contacts =
        policy->contacts ? apr_array_pstrcat(scratch, policy->contacts, ',')
                         : "";
    const char *settings = apr_psprintf(
        scratch, "%s\n%s%d %d %d %d\n%s\n%s", subject_of(job, scratch),
        ca_settings(policy, scratch), policy->agree_terms, policy->http_01,
        policy->tls_alpn_01, policy->dns,
        acme_policy_challenges(policy, scratch), contacts);
    settings = apr_pstrcat(
        scratch, settings, "\n", dns_settings(policy, scratch), "\n",
        acme_proxy_text(policy->proxy, scratch), "\n",
        acme_policy_request(policy, scratch),
        acme_hooks_text(policy->hooks, ACME_EVENTS_CHALLENGES, scratch), NULL);
    acme_job_fingerprint(job->settings, settings);
}
