/* The configuration that is written in place of certbot. */
#include "cli/migrate_certbot.h"

#include <apr_strings.h>
#include <stdlib.h>
#include <string.h>

#include "core/encode.h"

/* --- what is written --------------------------------------------------------------------------- */

static void note(ctl_certbot_t *certbot, const char *name, const char *text)
{
    APR_ARRAY_PUSH(certbot->notes, const char *) =
        apr_pstrcat(certbot->move->ctl->pool, name, ": ", text, NULL);
}

static int is_on(const ctl_lineage_t *lineage, const char *name)
{
    const char *value = ctl_lineage_setting(lineage, name);
    return value && !strcasecmp(value, "True");
}

static void put(apr_array_header_t *lines, const char *line)
{
    APR_ARRAY_PUSH(lines, const char *) = line;
}

/* "30 days" */
static const char *renewal_line(const ctl_lineage_t *lineage, apr_pool_t *pool)
{
    const char *value = ctl_lineage_setting(lineage, "renew_before_expiry");
    char *unit;
    long count = value ? strtol(value, &unit, 10) : 0;

    if (count <= 0 || count > 3650) {
        return NULL;
    }
    unit += strspn(unit, " ");
    return *unit == 'd' || !*unit ? apr_psprintf(pool, "AcmeRenew %ldd", count)
           : *unit == 'w' ? apr_psprintf(pool, "AcmeRenew %ldd", count * 7)
           : *unit == 'h' ? apr_psprintf(pool, "AcmeRenew %ldh", count)
                          : NULL;
}

static void add_proof(ctl_certbot_t *certbot, const ctl_lineage_t *lineage,
                      apr_array_header_t *lines)
{
    const char *authenticator = ctl_lineage_setting(lineage, "authenticator");
    const char *wanted = ctl_lineage_setting(lineage, "pref_challs");
    const char *name = lineage->cert.name;

    authenticator = authenticator ? authenticator : "";
    if (!strncmp(authenticator, "dns-", 4)
        || (!strcmp(authenticator, "manual") && wanted
            && !strncmp(wanted, "dns", 3))) {
        put(lines, "AcmeChallenges dns-01");
        note(certbot, name,
             apr_pstrcat(certbot->move->ctl->pool, "certbot proves it by DNS (",
                         authenticator,
                         "): write AcmeDnsCommand with a program for your "
                         "zone into it, see conf/hooks/README.md",
                         NULL));
    }
    else if (!strcmp(authenticator, "manual")) {
        note(
            certbot, name,
            "certbot proves it by hooks of your own (manual): mod_acme answers "
            "http-01 and tls-alpn-01 by itself");
    }
    if (ctl_lineage_setting(lineage, "http01_port")
        && strcmp(ctl_lineage_setting(lineage, "http01_port"), "80")) {
        note(certbot, name,
             "http01_port is set: where the world's port 80 does not arrive at "
             "port 80 here, AcmePortMap says so");
    }
}

static void add_hooks(ctl_certbot_t *certbot, const ctl_lineage_t *lineage)
{
    static const char *const hooks[] = { "pre_hook", "post_hook",
                                         "renew_hook" };
    apr_pool_t *pool = certbot->move->ctl->pool;

    for (unsigned i = 0; i < sizeof(hooks) / sizeof(hooks[0]); i++) {
        const char *value = ctl_lineage_setting(lineage, hooks[i]);
        if (value) {
            note(certbot, lineage->cert.name,
                 apr_pstrcat(pool, hooks[i], " = ",
                             acme_encode_printable(value, 200, pool),
                             ": not needed to reload httpd; for anything else, "
                             "see AcmeOn and acmectl export",
                             NULL));
        }
    }
}

static void write_lineage(ctl_certbot_t *certbot, const ctl_lineage_t *lineage,
                          const char *server_ca)
{
    apr_pool_t *pool = certbot->move->ctl->pool;
    apr_array_header_t *lines = apr_array_make(pool, 8, sizeof(char *));
    const char *keys = ctl_move_key_types(&lineage->cert, pool);
    const char *chain = ctl_lineage_setting(lineage, "preferred_chain");
    const char *renew = renewal_line(lineage, pool);

    if (strcmp(lineage->cert.ca_url, server_ca)) {
        put(lines,
            apr_pstrcat(pool, "AcmeCA ",
                        ctl_move_word(ctl_move_ca(lineage->cert.ca_url), pool),
                        NULL));
    }
    if (keys) {
        put(lines, keys);
    }
    if (is_on(lineage, "reuse_key")) {
        put(lines, "AcmeKeyReuse on");
    }
    if (is_on(lineage, "must_staple")) {
        put(lines, "AcmeMustStaple on");
    }
    if (chain) {
        put(lines, apr_pstrcat(pool, "AcmePreferredChain ",
                               ctl_move_word(chain, pool), NULL));
    }
    if (lineage->cert.profile) {
        put(lines, apr_pstrcat(pool, "AcmeProfile ",
                               ctl_move_word(lineage->cert.profile, pool),
                               ctl_lineage_setting(lineage, "required_profile")
                                   ? " required"
                                   : "",
                               NULL));
    }
    if (renew) {
        put(lines, renew);
    }
    if (!lineage->hosts) {
        put(lines, "AcmeRenewMode always");
    }
    add_proof(certbot, lineage, lines);
    add_hooks(certbot, lineage);
    ctl_move_line(certbot->move, "");
    ctl_move_comment(certbot->move,
                     apr_pstrcat(pool, "certbot's ", lineage->cert.name, NULL));
    ctl_move_section(certbot->move, &lineage->cert, lines);
}

static void note_programs(ctl_certbot_t *certbot)
{
    static const char *const kinds[] = { "pre", "deploy", "post" };
    apr_pool_t *pool = certbot->move->ctl->pool;

    for (unsigned i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        const char *dir = apr_pstrcat(pool, certbot->move->from,
                                      "/renewal-hooks/", kinds[i], NULL);
        apr_array_header_t *files = ctl_move_list(dir, pool);
        if (files && files->nelts) {
            note(certbot, dir,
                 "programs that certbot runs with each renewal; for what is "
                 "more than a reload of httpd, see AcmeOn and acmectl export");
        }
    }
}

/* --- what the administrator has to do ---------------------------------------------------------- */

static void put_lines_to_go(ctl_certbot_t *certbot)
{
    ctl_move_t *move = certbot->move;
    apr_pool_t *pool = move->ctl->pool;

    ctl_move_line(move, "");
    ctl_move_comment(move,
                     "To be taken out of the virtual hosts, whose certificates "
                     "are these from then on:");
    for (int i = 0; i < move->hosts->nelts; i++) {
        const ctl_move_host_t *host =
            APR_ARRAY_IDX(move->hosts, i, ctl_move_host_t *);
        int used = 0;
        for (int l = 0; l < certbot->lineages->nelts; l++) {
            used |= ctl_lineage_serves(
                host, APR_ARRAY_IDX(certbot->lineages, l, ctl_lineage_t *),
                move);
        }
        for (int j = 0; used && j < host->own_files->nelts; j++) {
            const ctl_directive_t *file =
                APR_ARRAY_IDX(host->own_files, j, ctl_directive_t *);
            ctl_move_line(move,
                          apr_pstrcat(pool, "#   ",
                                      ctl_conf_where(&file->place, pool), "  ",
                                      file->name, " ", file->args, NULL));
        }
    }
}

/* Such as options-ssl-apache.conf. */
static void note_included(ctl_certbot_t *certbot)
{
    const apr_array_header_t *all = certbot->move->conf->directives;
    const char *told = NULL;

    for (int i = 0; i < all->nelts; i++) {
        const ctl_directive_t *one = APR_ARRAY_IDX(all, i, ctl_directive_t *);
        if (ctl_path_is_below(one->place.file, certbot->move->from)
            && (!told || strcmp(told, one->place.file))) {
            told = one->place.file;
            note(certbot, told,
                 "httpd includes it: copy it before certbot is removed");
        }
    }
}

static void put_certbots_end(ctl_certbot_t *certbot)
{
    ctl_move_t *move = certbot->move;
    apr_pool_t *pool = move->ctl->pool;

    ctl_move_line(move, "");
    ctl_move_comment(
        move, "Once httpd serves them by mod_acme (acmectl status), keep "
              "certbot from renewing them (this revokes nothing):");
    for (int i = 0; i < certbot->lineages->nelts; i++) {
        ctl_move_line(
            move,
            apr_pstrcat(
                pool, "#   certbot delete --cert-name ",
                APR_ARRAY_IDX(certbot->lineages, i, ctl_lineage_t *)->cert.name,
                NULL));
    }
}

void ctl_certbot_write(ctl_certbot_t *certbot)
{
    ctl_move_t *move = certbot->move;
    apr_pool_t *pool = move->ctl->pool;
    const char *ca =
        APR_ARRAY_IDX(certbot->lineages, 0, ctl_lineage_t *)->cert.ca_url;

    ctl_move_head(move);
    ctl_move_comment(move, "The account agreed to the CA's terms when certbot "
                           "made it.");
    ctl_move_line(move, "AcmeAgreeTerms on");
    ctl_move_line(move,
                  apr_pstrcat(pool, "AcmeCA ",
                              ctl_move_word(ctl_move_ca(ca), pool), NULL));
    ctl_move_comment(move, "All TLS hosts without a certificate of their own:");
    ctl_move_line(move, "AcmeManage on");
    for (int i = 0; i < certbot->lineages->nelts; i++) {
        const ctl_lineage_t *one =
            APR_ARRAY_IDX(certbot->lineages, i, ctl_lineage_t *);
        if (!one->with) {
            write_lineage(certbot, one, ca);
        }
    }
    if (!acme_policy_find_ca(ca)) {
        note(certbot, "AcmeCA",
             "if the system does not trust this CA's server, write "
             "AcmeCATrustFile");
    }
    note(certbot, "AcmeContact",
         "certbot keeps no contacts; those that the CA knows stay, unless this "
         "directive names others");
    note_programs(certbot);
    note_included(certbot);
    ctl_move_line(move, "");
    ctl_move_comment(move, "To be looked at:");
    for (int i = 0; i < certbot->notes->nelts; i++) {
        ctl_move_line(
            move,
            apr_pstrcat(pool, "#   ",
                        APR_ARRAY_IDX(certbot->notes, i, const char *), NULL));
    }
    put_lines_to_go(certbot);
    put_certbots_end(certbot);
    ctl_move_unread(move);
}
