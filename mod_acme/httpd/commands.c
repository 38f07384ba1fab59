/* Directives as httpd meets them: the table of directives.h at work, and the
 * section <AcmeCertificate>. */
#include <apr_strings.h>
#include <http_core.h>
#include <string.h>

#include "httpd/config.h"
#include "httpd/directives.h"
#include "httpd/setters.h"

/* --- the table at work ------------------------------------------------------ */

/* What httpd prints below "Syntax error on line 12 of shop.conf:". */
static const char *refusal(cmd_parms *cmd, const char *name, const char *why)
{
    acme_err_t *err =
        acme_err_make(cmd->pool, ACME_E_DIRECTIVE, name, why, NULL);

    return apr_psprintf(cmd->pool, "ACME%04d: %s", (int)err->msg, err->text);
}

static const char *check_scope(cmd_parms *cmd, acme_scope_t scope)
{
    const char *httpd = ap_check_cmd_context(
        cmd, scope == ACME_SCOPE_SERVER ? GLOBAL_ONLY
                                        : NOT_IN_DIR_CONTEXT | NOT_IN_HTACCESS);
    const char *from;

    if (!httpd) {
        return NULL;
    }
    /* its name, which httpd begins with, stands before all that is said here */
    from = strstr(httpd, "cannot ");
    return apr_pstrcat(cmd->pool, from ? from : httpd, "; it belongs ",
                       scope == ACME_SCOPE_SERVER ? "outside of all sections"
                       : scope == ACME_SCOPE_HOST
                           ? "outside of all sections or in <VirtualHost>"
                           : "outside of all sections, in <VirtualHost> or in "
                             "<AcmeCertificate>",
                       NULL);
}

/* The same directive earlier: what counts only once must not be said twice. */
static const char *check_once(cmd_parms *cmd)
{
    const ap_directive_t *earlier = ap_conftree;

    while (earlier && earlier != cmd->directive) {
        if (!strcasecmp(earlier->directive, cmd->directive->directive)) {
            return apr_psprintf(cmd->pool,
                                "\"%s\" comes too late, it is already set to "
                                "\"%s\" at %s; it is allowed only once",
                                cmd->directive->args, earlier->args,
                                acme_where_text(earlier->filename,
                                                earlier->line_num, cmd->pool));
        }
        earlier = earlier->next;
    }
    return NULL;
}

static const char *check_count(cmd_parms *cmd,
                               const acme_directive_t *directive, int argc)
{
    if (argc >= directive->least && argc <= directive->most) {
        return NULL;
    }
    if (directive->least == directive->most) {
        return apr_psprintf(cmd->pool, "%d arguments given, %d is needed (%s)",
                            argc, directive->least, directive->arguments);
    }
    return apr_psprintf(
        cmd->pool, "%d arguments given, %d to %d are allowed (%s)", argc,
        directive->least, directive->most, directive->arguments);
}

/* The section keeps its certificate in its node of httpd's tree. */
static acme_declared_t *enclosing_section(const cmd_parms *cmd)
{
    const ap_directive_t *node = cmd->directive->parent;

    while (node && strcasecmp(node->directive, ACME_SECTION_NAME)) {
        node = node->parent;
    }
    return node ? node->data : NULL;
}

static const char *set_directive(cmd_parms *cmd, void *dummy, int argc,
                                 char *const argv[])
{
    const acme_directive_t *directive = acme_setters_find(cmd->cmd->name);
    acme_declared_t *declared = enclosing_section(cmd);
    acme_target_t to = { cmd, NULL, acme_config_of(cmd->server) };
    const char *fault;

    (void)dummy;
    to.settings = declared ? &declared->settings : &to.host->settings;
    fault = check_scope(cmd, directive->scope);
    if (!fault) {
        fault = check_count(cmd, directive, argc);
    }
    if (!fault && directive->scope == ACME_SCOPE_SERVER) {
        fault = check_once(cmd);
    }
    if (!fault) {
        fault = directive->setter(&to, argc, argv);
    }
    return fault ? refusal(cmd, directive->name, fault) : NULL;
}

/* --- <AcmeCertificate name ...> ---------------------------------------------- */

static const char *add_name(acme_declared_t *declared, const char *name,
                            cmd_parms *cmd)
{
    acme_ident_t *ident;
    acme_declared_t *other;
    acme_err_t *err = acme_ident_parse(&ident, name, cmd->pool);

    if (err) {
        return err->text;
    }
    other = apr_hash_get(acme_config_global()->declared_names, ident->value,
                         APR_HASH_KEY_STRING);
    if (other == declared) {
        return apr_psprintf(cmd->pool, "the name \"%s\" is there twice", name);
    }
    if (other) {
        return apr_psprintf(
            cmd->pool,
            "the name \"%s\" is already in the certificate "
            "declared at %s",
            name,
            acme_where_text(other->where.file, other->where.line, cmd->pool));
    }
    if (declared->idents->nelts == ACME_MAX_IDENTS) {
        return apr_psprintf(cmd->pool,
                            "\"%s\" is one name too many, %d are allowed", name,
                            ACME_MAX_IDENTS);
    }
    APR_ARRAY_PUSH(declared->idents, acme_ident_t *) = ident;
    apr_hash_set(acme_config_global()->declared_names, ident->value,
                 APR_HASH_KEY_STRING, declared);
    return NULL;
}

static const char *add_names(acme_declared_t *declared, const char *arg,
                             cmd_parms *cmd)
{
    const char *end = strrchr(arg, '>');
    const char *fault = NULL;
    const char *names;

    if (!end || end[1]) {
        return "the '>' at its end is missing";
    }
    names = apr_pstrmemdup(cmd->pool, arg, (apr_size_t)(end - arg));
    while (*names && !fault) {
        const char *name = ap_getword_conf(cmd->pool, &names);

        if (*name) {
            fault = add_name(declared, name, cmd);
        }
    }
    if (!fault && !declared->idents->nelts) {
        fault = "it declares a certificate by its names, but there are none";
    }
    return fault;
}

/* Any module's directive would be taken inside the section, and would act on
 * the main server, which nobody means. */
static const char *check_children(cmd_parms *cmd, ap_directive_t *section)
{
    ap_directive_t *child;

    for (child = section->first_child; child; child = child->next) {
        const acme_directive_t *directive = acme_setters_find(child->directive);

        if (directive && directive->scope == ACME_SCOPE_CERTIFICATE) {
            continue;
        }
        cmd->err_directive = child;
        return apr_psprintf(
            cmd->pool, "\"%s\" does not belong in it; only %s",
            child->directive,
            "AcmeCA, AcmeCATrustFile, AcmeAgreeTerms, AcmeContact, "
            "AcmeExternalAccount, AcmeAccountKey, AcmeChallenges, AcmeDnsCommand, AcmeDnsWait, AcmeProfile, "
            "AcmeProxy, "
            "AcmePreferredChain, AcmeKeyType, AcmeKeyReuse, AcmeBadNames, "
            "AcmePreflight, AcmeSubject, AcmeMustStaple, AcmeRenew, AcmeRenewMode, "
            "AcmeActivate, AcmeActivateDelay, AcmeWarn and AcmeOn do");
    }
    return NULL;
}

static const char *set_section(cmd_parms *cmd, void *dummy, const char *arg)
{
    ap_directive_t *section = cmd->directive;
    acme_declared_t *declared = apr_pcalloc(cmd->pool, sizeof(*declared));
    const char *fault = check_scope(cmd, ACME_SCOPE_SERVER);

    (void)dummy;
    acme_config_init_settings(&declared->settings);
    declared->idents = apr_array_make(cmd->pool, 4, sizeof(acme_ident_t *));
    declared->where.file = section->filename;
    declared->where.line = section->line_num;
    if (!fault) {
        fault = add_names(declared, arg, cmd);
    }
    if (!fault) {
        fault = check_children(cmd, section);
    }
    if (fault) {
        return refusal(cmd, "<AcmeCertificate>", fault);
    }
    section->data = declared;
    APR_ARRAY_PUSH(acme_config_global()->declared, acme_declared_t *) =
        declared;
    return ap_walk_config(section->first_child, cmd, cmd->context);
}

/* ACCESS_CONF only so that our own sentence says where they belong. */
const command_rec acme_config_directives[] = {
    AP_INIT_RAW_ARGS(ACME_SECTION_NAME, set_section, NULL,
                     RSRC_CONF | ACCESS_CONF, ACME_SECTION_ARGS),
#define ROW(name, least, most, arguments, fallback, scope, setter, meaning)    \
    AP_INIT_TAKE_ARGV(name, set_directive, NULL, RSRC_CONF | ACCESS_CONF,      \
                      arguments),
    ACME_DIRECTIVES(ROW)
#undef ROW
        { NULL },
};
