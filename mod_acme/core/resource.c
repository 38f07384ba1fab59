#include "core/resource.h"

#include <apr_strings.h>
#include <string.h>

#include "core/dns.h"
#include "core/encode.h"
#include "core/persist.h"

#define MAX_PROFILES       64
#define MAX_PROFILE_NAME   64
#define MAX_CHALLENGES     32
#define MAX_DOMAIN_NAME    253
#define MAX_CAA_IDENTITIES 16
#define MAX_TYPE           64 /* octets kept of a challenge type */

static acme_err_t *bad(apr_pool_t *pool, const char *what, const char *why)
{
    return acme_err_make(pool, ACME_E_CA_RESOURCE, what, why, NULL);
}

/* A URL this client may use, copied to pool; NULL where the member is absent,
 * of another type or not https. */
static const char *usable_url(const json_t *object, const char *name,
                              apr_pool_t *pool)
{
    const char *url = acme_json_string(object, name);

    return url && acme_url_valid(url) ? apr_pstrdup(pool, url) : NULL;
}

/* --- directory, RFC 8555 section 7.1.1 ------------------------------------ */

static acme_err_t *need_url(const char **url, const json_t *object,
                            const char *name, apr_pool_t *pool)
{
    const char *why =
        json_object_get(object, name) ? " is no https:// URL" : " is missing";

    *url = usable_url(object, name, pool);
    if (!*url) {
        return acme_err_make(pool, ACME_E_CA_DIRECTORY,
                             apr_pstrcat(pool, name, why, NULL), NULL);
    }
    return NULL;
}

static int is_domain_name(const json_t *entry)
{
    const char *name = json_string_value(entry);

    return name && *name && strlen(name) <= MAX_DOMAIN_NAME
           && strlen(name) == json_string_length(entry)
           && strspn(name, "abcdefghijklmnopqrstuvwxyz"
                           "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-")
                  == strlen(name);
}

/* An array of domain names, at most so many. What else is in it is passed over,
 * and it is empty where absent; or (strict) it is void, and NULL then. */
static apr_array_header_t *domain_names(const json_t *object,
                                        const char *member, int most,
                                        int strict, apr_pool_t *pool)
{
    json_t *list = json_object_get(object, member);
    apr_array_header_t *names = apr_array_make(pool, 2, sizeof(const char *));
    apr_size_t i, count = json_array_size(list);

    if (strict && (!count || count > (apr_size_t)most)) {
        return NULL;
    }
    for (i = 0; i < count && names->nelts < most; i++) {
        const json_t *entry = json_array_get(list, i);

        if (is_domain_name(entry)) {
            char *name = apr_pstrdup(pool, json_string_value(entry));

            APR_ARRAY_PUSH(names, const char *) = acme_dns_name(name, pool);
        }
        else if (strict) {
            return NULL;
        }
    }
    return names;
}

/* meta.profiles of draft-ietf-acme-profiles: an object of name: description.
 * What no AcmeProfile could name is passed over. */
static apr_array_header_t *profile_names(json_t *meta, apr_pool_t *pool)
{
    apr_array_header_t *names = apr_array_make(pool, 4, sizeof(const char *));
    json_t *profiles = json_object_get(meta, "profiles"), *value;
    const char *name;

    json_object_foreach(profiles, name, value)
    {
        const char *clean = acme_encode_printable(name, MAX_PROFILE_NAME, pool);

        if (names->nelts < MAX_PROFILES && !strcmp(clean, name)) {
            APR_ARRAY_PUSH(names, const char *) = clean;
        }
    }
    return names;
}

acme_err_t *acme_directory_parse(acme_directory_t **directory, const char *body,
                                 apr_size_t len, apr_pool_t *pool)
{
    acme_directory_t *d = apr_pcalloc(pool, sizeof(*d));
    acme_err_t *err;
    json_t *json, *meta;

    err = acme_json_parse(&json, body, len, ACME_MAX_JSON, "directory", pool);
    if (err) {
        return err->msg == ACME_E_MEMORY
                   ? err
                   : acme_err_make(pool, ACME_E_CA_DIRECTORY, err->text, NULL);
    }
    ACME_TRY(need_url(&d->new_nonce, json, "newNonce", pool));
    ACME_TRY(need_url(&d->new_account, json, "newAccount", pool));
    ACME_TRY(need_url(&d->new_order, json, "newOrder", pool));
    d->revoke_cert = usable_url(json, "revokeCert", pool);
    d->key_change = usable_url(json, "keyChange", pool);
    d->renewal_info = usable_url(json, "renewalInfo", pool);

    meta = json_object_get(json, "meta");
    d->terms = acme_encode_printable(acme_json_string(meta, "termsOfService"),
                                     ACME_MAX_URL, pool);
    d->website = acme_encode_printable(acme_json_string(meta, "website"),
                                       ACME_MAX_URL, pool);
    d->external_account_required =
        json_is_true(json_object_get(meta, "externalAccountRequired"));
    d->profiles = profile_names(meta, pool);
    d->caa_identities =
        domain_names(meta, "caaIdentities", MAX_CAA_IDENTITIES, 0, pool);
    d->account_hash_prefix = usable_url(meta, "accountHashPrefix", pool);
    *directory = d;
    return NULL;
}

/* --- what orders, authorizations and challenges have in common ------------ */

static const char *const status_names[] = {
    [ACME_STATUS_PENDING] = "pending",
    [ACME_STATUS_READY] = "ready",
    [ACME_STATUS_PROCESSING] = "processing",
    [ACME_STATUS_VALID] = "valid",
    [ACME_STATUS_INVALID] = "invalid",
    [ACME_STATUS_DEACTIVATED] = "deactivated",
    [ACME_STATUS_EXPIRED] = "expired",
    [ACME_STATUS_REVOKED] = "revoked",
};
#define STATUSES ((int)(sizeof(status_names) / sizeof(status_names[0])))

const char *acme_resource_status_name(acme_resource_status_t status)
{
    return status_names[status];
}

/* @return 0, or -1 where the status is missing or none of RFC 8555's */
static int parse_status(acme_resource_status_t *status, const json_t *object)
{
    const char *name = acme_json_string(object, "status");
    int i;

    for (i = 0; name && i < STATUSES; i++) {
        if (!strcmp(name, status_names[i])) {
            *status = (acme_resource_status_t)i;
            return 0;
        }
    }
    return -1;
}

/* --- order, RFC 8555 section 7.1.3 ---------------------------------------- */

/* Absent counts as empty: not every CA shows authorizations that are done. */
static acme_err_t *parse_authorization_urls(apr_array_header_t **urls,
                                            const json_t *json,
                                            apr_pool_t *pool)
{
    json_t *list = json_object_get(json, "authorizations");
    apr_size_t i, count = json_array_size(list);

    if (list && !json_is_array(list) && !json_is_null(list)) {
        return bad(pool, "order", "authorizations is no array");
    }
    if (count > ACME_MAX_IDENTS) {
        return bad(pool, "order", "too many authorizations");
    }
    *urls = apr_array_make(pool, (int)count, sizeof(const char *));
    for (i = 0; i < count; i++) {
        json_t *entry = json_array_get(list, i);
        const char *url = json_string_value(entry);

        if (!url || strlen(url) != json_string_length(entry)
            || !acme_url_valid(url)) {
            return bad(pool, "order", "an authorization is no https:// URL");
        }
        APR_ARRAY_PUSH(*urls, const char *) = apr_pstrdup(pool, url);
    }
    return NULL;
}

acme_err_t *acme_order_resource_parse(acme_order_resource_t **order,
                                      const char *body, apr_size_t len,
                                      apr_pool_t *pool)
{
    acme_order_resource_t *o = apr_pcalloc(pool, sizeof(*o));
    json_t *json;

    ACME_TRY(acme_json_parse(&json, body, len, ACME_MAX_JSON, "order", pool));
    if (parse_status(&o->status, json)) {
        return bad(pool, "order", "its status is missing or unknown");
    }
    ACME_TRY(parse_authorization_urls(&o->authorizations, json, pool));
    o->error = acme_problem_parse(json_object_get(json, "error"), pool);
    o->finalize = usable_url(json, "finalize", pool);
    if (!o->finalize && o->status != ACME_STATUS_INVALID) {
        return bad(pool, "order", "finalize is no https:// URL");
    }
    o->certificate = usable_url(json, "certificate", pool);
    if (!o->certificate && o->status == ACME_STATUS_VALID) {
        return bad(pool, "order",
                   "it is valid but certificate is no https:// URL");
    }
    *order = o;
    return NULL;
}

/* --- authorization, RFC 8555 sections 7.1.4 and 8 ------------------------- */

static acme_err_t *parse_identifier(acme_authorization_t *a, const json_t *json,
                                    apr_pool_t *pool)
{
    const json_t *identifier = json_object_get(json, "identifier");
    const char *type = acme_json_string(identifier, "type");
    const char *value = acme_json_string(identifier, "value");
    acme_err_t *err;

    if (!type || !value || (strcmp(type, "dns") && strcmp(type, "ip"))) {
        return bad(pool, "authorization", "its identifier is missing");
    }
    if (!strncmp(value, "*.", 2)) { /* not what 7.1.4 says, but clear */
        a->wildcard = 1;
        value += 2;
    }
    err = acme_ident_parse(&a->ident, value, pool);
    if (err) {
        return bad(pool, "authorization", err->text);
    }
    if ((a->ident->type == ACME_IDENT_IP) != !strcmp(type, "ip")) {
        return bad(pool, "authorization", "its identifier has a wrong type");
    }
    return NULL;
}

/* Challenges of unknown kinds, and those without token or URL, are kept: what
 * was offered belongs into the error message when nothing fits.
 * @return NULL for what is not even an object with a type */
static acme_challenge_t *parse_challenge(const json_t *json, apr_pool_t *pool)
{
    const char *type = acme_json_string(json, "type");
    const char *token = acme_json_string(json, "token");
    acme_challenge_t *c;

    if (!type) {
        return NULL;
    }
    c = apr_pcalloc(pool, sizeof(*c));
    c->type = acme_encode_printable(type, MAX_TYPE, pool);
    c->url = usable_url(json, "url", pool);
    if (token && acme_token_valid(token)) {
        c->token = apr_pstrdup(pool, token);
    }
    c->issuers = domain_names(json, "issuerDomainNames",
                              ACME_PERSIST_MAX_ISSUERS, 1, pool);
    c->issuers_new = c->issuers != NULL;
    if (!c->issuers) {
        c->issuers = domain_names(json, "issuer-domain-names",
                                  ACME_PERSIST_MAX_ISSUERS, 1, pool);
    }
    if (parse_status(&c->status, json)) {
        c->status = ACME_STATUS_PENDING; /* the authorization's one decides */
    }
    c->error = acme_problem_parse(json_object_get(json, "error"), pool);
    return c;
}

acme_err_t *acme_authorization_parse(acme_authorization_t **authorization,
                                     const char *body, apr_size_t len,
                                     apr_pool_t *pool)
{
    acme_authorization_t *a = apr_pcalloc(pool, sizeof(*a));
    json_t *json, *wildcard, *list;
    apr_size_t i;

    ACME_TRY(acme_json_parse(&json, body, len, ACME_MAX_JSON, "authorization",
                             pool));
    if (parse_status(&a->status, json)) {
        return bad(pool, "authorization", "its status is missing or unknown");
    }
    ACME_TRY(parse_identifier(a, json, pool));
    wildcard = json_object_get(json, "wildcard");
    if (wildcard && !json_is_boolean(wildcard) && !json_is_null(wildcard)) {
        return bad(pool, "authorization", "wildcard is no boolean");
    }
    a->wildcard |= json_is_true(wildcard);

    list = json_object_get(json, "challenges");
    if (json_array_size(list) > MAX_CHALLENGES) {
        return bad(pool, "authorization", "too many challenges");
    }
    a->challenges = apr_array_make(pool, 4, sizeof(acme_challenge_t *));
    for (i = 0; i < json_array_size(list); i++) {
        acme_challenge_t *c = parse_challenge(json_array_get(list, i), pool);

        if (c) {
            APR_ARRAY_PUSH(a->challenges, acme_challenge_t *) = c;
        }
    }
    *authorization = a;
    return NULL;
}
