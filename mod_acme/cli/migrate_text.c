/* The configuration that is written. */
#include "cli/migrate.h"

#include <apr_strings.h>
#include <string.h>

#define WIDTH 92

void ctl_move_line(ctl_move_t *move, const char *line)
{
    apr_size_t len = strlen(line);
    /* A backslash at its end would make one line of it and the next. */
    char *one = apr_pstrcat(move->ctl->pool, line,
                            len && line[len - 1] == '\\' ? " " : "", NULL);

    for (char *c = one; *c; c++) {
        if ((unsigned char)*c < ' ' || *c == 0x7f) {
            *c = '?';
        }
    }
    APR_ARRAY_PUSH(move->lines, const char *) = one;
}

void ctl_move_comment(ctl_move_t *move, const char *text)
{
    apr_pool_t *pool = move->ctl->pool;

    for (;;) {
        apr_size_t len = strlen(text);
        if (len > WIDTH) {
            for (len = WIDTH; len && text[len] != ' '; len--) {
            }
            len = len ? len : WIDTH;
        }
        ctl_move_line(move, apr_pstrcat(pool, *text ? "# " : "#",
                                        apr_pstrmemdup(pool, text, len), NULL));
        text += len;
        if (!*text) {
            return;
        }
        text += *text == ' ';
    }
}

const char *ctl_move_word(const char *text, apr_pool_t *pool)
{
    if (*text && !strpbrk(text, " \t\"'\\")) {
        return text;
    }
    char *quoted = apr_palloc(pool, 2 * strlen(text) + 3), *to = quoted;
    *to++ = '"';
    for (; *text; text++) {
        if (*text == '"' || *text == '\\') {
            *to++ = '\\';
        }
        *to++ = *text;
    }
    *to++ = '"';
    *to = '\0';
    return quoted;
}

const char *ctl_move_ca(const char *url)
{
    const acme_policy_ca_t *known = acme_policy_find_ca(url);
    return known ? known->alias : url;
}

const char *ctl_move_key_types(const ctl_move_cert_t *cert, apr_pool_t *pool)
{
    const char *text = "AcmeKeyType";

    for (int type = 0; type < ACME_KEY_TYPES; type++) {
        if (cert->types & 1u << type) {
            text = apr_pstrcat(pool, text, " ",
                               acme_key_type_name((acme_key_type_t)type), NULL);
        }
    }
    return cert->types ? text : NULL;
}

void ctl_move_section(ctl_move_t *move, const ctl_move_cert_t *cert,
                      const apr_array_header_t *lines)
{
    apr_pool_t *pool = move->ctl->pool;
    const char *open = "<AcmeCertificate";

    for (int i = 0; i < cert->idents->nelts; i++) {
        open = apr_pstrcat(
            pool, open, " ",
            APR_ARRAY_IDX(cert->idents, i, acme_ident_t *)->value, NULL);
    }
    ctl_move_line(move, apr_pstrcat(pool, open, ">", NULL));
    for (int i = 0; i < lines->nelts; i++) {
        ctl_move_line(move,
                      apr_pstrcat(pool, "    ",
                                  APR_ARRAY_IDX(lines, i, const char *), NULL));
    }
    ctl_move_line(move, "</AcmeCertificate>");
}

void ctl_move_head(ctl_move_t *move)
{
    apr_pool_t *pool = move->ctl->pool;

    ctl_move_comment(move,
                     apr_psprintf(pool,
                                  "mod_acme in place of %s, by acmectl "
                                  "migrate from %s and %s.",
                                  move->program, move->conf->path, move->from));
    ctl_move_comment(move,
                     "Nothing in these was changed. What is to be taken out of "
                     "the configuration stands at the end.");
    ctl_move_line(move, "");
    if (strcmp(move->ctl->root, ACME_DEFAULT_STORE)) {
        ctl_move_line(move,
                      apr_pstrcat(pool, "AcmeStore ",
                                  ctl_move_word(move->ctl->root, pool), NULL));
    }
}

void ctl_move_unread(ctl_move_t *move)
{
    const apr_array_header_t *unread = move->conf->unread;

    if (!unread->nelts) {
        return;
    }
    ctl_move_line(move, "");
    ctl_move_comment(move, "Not looked into:");
    for (int i = 0; i < unread->nelts; i++) {
        ctl_move_line(move, apr_pstrcat(move->ctl->pool, "#   ",
                                        APR_ARRAY_IDX(unread, i, const char *),
                                        NULL));
    }
}

/* --- hosts --------------------------------------------------------------------------- */

static ctl_move_host_t *host_of(apr_array_header_t *hosts,
                                const ctl_conf_host_t *wanted, apr_pool_t *pool)
{
    for (int i = hosts->nelts; i-- > 0;) {
        ctl_move_host_t *one = APR_ARRAY_IDX(hosts, i, ctl_move_host_t *);
        if (one->host == wanted) {
            return one;
        }
    }
    ctl_move_host_t *made = apr_pcalloc(pool, sizeof(*made));
    made->host = wanted;
    made->names = apr_array_make(pool, 2, sizeof(char *));
    made->own_files = apr_array_make(pool, 2, sizeof(ctl_directive_t *));
    APR_ARRAY_PUSH(hosts, ctl_move_host_t *) = made;
    return made;
}

/* "https://shop.example.org:443" is shop.example.org */
static const char *bare_name(const char *text, apr_pool_t *pool)
{
    const char *scheme = strstr(text, "://");
    text = scheme ? scheme + 3 : text;
    return *text == '[' ? text : apr_pstrmemdup(pool, text, strcspn(text, ":"));
}

static void learn(ctl_move_host_t *host, const ctl_directive_t *directive,
                  apr_pool_t *pool)
{
    const char *args = directive->args, *word;

    if (ctl_conf_is(directive, "ServerName")
        || ctl_conf_is(directive, "ServerAlias")) {
        int is_name = ctl_conf_is(directive, "ServerName");
        while ((word = ctl_conf_word(&args, pool)) != NULL) {
            word = bare_name(word, pool);
            host->name = is_name ? word : host->name;
            APR_ARRAY_PUSH(host->names, const char *) = word;
        }
    }
    else if (ctl_conf_is(directive, "SSLEngine")) {
        host->engine = strcasecmp(directive->args, "off") != 0;
    }
    else if (ctl_conf_is(directive, "SSLCertificateFile")
             || ctl_conf_is(directive, "SSLCertificateKeyFile")
             || ctl_conf_is(directive, "SSLCertificateChainFile")) {
        APR_ARRAY_PUSH(host->own_files, const ctl_directive_t *) = directive;
    }
}

apr_array_header_t *ctl_move_hosts(const ctl_conf_t *conf, apr_pool_t *pool)
{
    apr_array_header_t *hosts =
        apr_array_make(pool, 16, sizeof(ctl_move_host_t *));

    for (int i = 0; i < conf->directives->nelts; i++) {
        const ctl_directive_t *one =
            APR_ARRAY_IDX(conf->directives, i, ctl_directive_t *);
        learn(host_of(hosts, one->host, pool), one, pool);
    }
    return hosts;
}

const char *ctl_move_host_text(const ctl_move_host_t *host, apr_pool_t *pool)
{
    return host->host ? apr_pstrcat(pool, host->name ? host->name : "?", " (",
                                    ctl_conf_where(&host->host->place, pool),
                                    ")", NULL)
                      : "the main server";
}
