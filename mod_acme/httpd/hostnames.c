#include "httpd/hostnames.h"

#include <apr_strings.h>
#include <string.h>

typedef struct reader_t {
    acme_hostnames_t *names;
    server_rec *server;
    const acme_settings_t *settings;
    apr_pool_t *result, *scratch;
} reader_t;

const char *acme_hostnames_where(const server_rec *s, apr_pool_t *pool)
{
    return acme_where_text(s->defn_name, (int)s->defn_line_number, pool);
}

static int ends_with(const char *text, const char *end)
{
    apr_size_t len = strlen(text), end_len = strlen(end);

    return len >= end_len && !strcmp(text + len - end_len, end);
}

int acme_hostnames_is_wildcard(const char *alias)
{
    return !strncmp(alias, "*.", 2) && !ap_is_matchexp(alias + 2);
}

const char *acme_hostnames_why_not(const acme_ident_t *ident,
                                   const acme_settings_t *settings,
                                   apr_pool_t *pool)
{
    const char *no_dns = acme_config_why_no_dns(settings);

    if (no_dns && acme_ident_is_wildcard(ident)) {
        return apr_pstrcat(
            pool, "CAs certify a wildcard by a DNS challenge only, and ",
            no_dns, NULL);
    }
    if (!strcmp(ident->value, "localhost")
        || ends_with(ident->value, ".localhost")) {
        return "every machine calls itself so";
    }
    /* A bare URL may be a CA of one's own, which certifies what it likes. */
    return acme_config_has_own_ca(settings) ? NULL
                                            : acme_ident_why_not_public(ident);
}

/* The identifier of ServerName, or why the host cannot be managed. */
static acme_err_t *read_name(acme_ident_t **ident, const reader_t *reader)
{
    const server_rec *s = reader->server;
    apr_pool_t *pool = reader->scratch;
    const char *why;
    acme_err_t *err;

    if (acme_config_of(s)->nameless || !s->server_hostname) {
        return acme_err_make(pool, ACME_W_HOST_NAMELESS,
                             acme_hostnames_where(s, pool), NULL);
    }
    err = acme_ident_parse(ident, s->server_hostname, reader->result);
    if (err) {
        return acme_err_make(pool, ACME_W_HOST_NAME,
                             acme_hostnames_where(s, pool), err->text, NULL);
    }
    why = acme_hostnames_why_not(*ident, reader->settings, pool);
    if (why) {
        return acme_err_make(pool, ACME_W_HOST_PRIVATE, (*ident)->value,
                             acme_hostnames_where(s, pool), why, NULL);
    }
    return NULL;
}

static void add_fault(const reader_t *reader, const char *why)
{
    acme_hostnames_t *names = reader->names;

    if (!names->faults) {
        names->faults =
            apr_array_make(reader->scratch, 2, sizeof(acme_err_t *));
    }
    APR_ARRAY_PUSH(names->faults, acme_err_t *) = acme_err_make(
        reader->scratch, ACME_W_ALIAS_NAME, reader->server->server_hostname,
        acme_hostnames_where(reader->server, reader->scratch), why, NULL);
}

static int is_among(const apr_array_header_t *idents, const acme_ident_t *ident)
{
    int i;

    for (i = 0; i < idents->nelts; i++) {
        if (acme_ident_equal(APR_ARRAY_IDX(idents, i, acme_ident_t *), ident)) {
            return 1;
        }
    }
    return 0;
}

static void read_alias(const reader_t *reader, const char *alias)
{
    apr_array_header_t *idents = reader->names->idents;
    acme_ident_t *ident;
    const char *why;
    acme_err_t *err = acme_ident_parse(&ident, alias, reader->result);

    if (err) {
        add_fault(reader, err->text);
        return;
    }
    why = acme_hostnames_why_not(ident, reader->settings, reader->scratch);
    if (why) {
        add_fault(reader,
                  apr_pstrcat(reader->scratch, ident->value, ": ", why, NULL));
    }
    else if (!is_among(idents, ident)) {
        APR_ARRAY_PUSH(idents, acme_ident_t *) = ident;
    }
}

/* httpd keeps aliases with a '*' or '?' apart. */
static void read_wildcards(const reader_t *reader)
{
    const apr_array_header_t *wild = reader->server->wild_names;
    int i;

    for (i = 0; wild && i < wild->nelts; i++) {
        const char *alias = APR_ARRAY_IDX(wild, i, const char *);

        if (acme_hostnames_is_wildcard(alias)
            && reader->names->idents->nelts <= ACME_MAX_IDENTS) {
            read_alias(reader, alias);
        }
    }
}

void acme_hostnames_read(acme_hostnames_t *names, server_rec *s,
                         const acme_settings_t *settings, apr_pool_t *result,
                         apr_pool_t *scratch)
{
    const reader_t reader = { names, s, settings, result, scratch };
    int count = s->names ? s->names->nelts : 0;
    acme_ident_t *ident;
    int i;

    memset(names, 0, sizeof(*names));
    names->idents = apr_array_make(scratch, count + 1, sizeof(acme_ident_t *));
    names->fault = read_name(&ident, &reader);
    if (names->fault) {
        return;
    }
    APR_ARRAY_PUSH(names->idents, acme_ident_t *) = ident;
    /* Not more than are of use, so that the search for doubles stays short. */
    for (i = 0; i < count && names->idents->nelts <= ACME_MAX_IDENTS; i++) {
        const char *alias = APR_ARRAY_IDX(s->names, i, const char *);

        if (alias) {
            read_alias(&reader, alias);
        }
    }
    if (!acme_config_why_no_dns(settings)) {
        read_wildcards(&reader);
    }
    if (names->idents->nelts > ACME_MAX_IDENTS) {
        names->fault = acme_err_make(scratch, ACME_W_HOST_CROWDED, ident->value,
                                     acme_hostnames_where(s, scratch),
                                     apr_itoa(scratch, count + 1), NULL);
    }
}
