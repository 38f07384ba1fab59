/* The configuration that is written in place of mod_md's. */
#include "cli/migrate.h"

#include <apr_strings.h>
#include <string.h>

#define MAX_NAMES 100

/* --- managed domains ------------------------------------------------------------------------ */

static int has_name(const ctl_md_t *md, const char *name)
{
    for (int i = 0; i < md->cert.idents->nelts; i++) {
        const acme_ident_t *ident =
            APR_ARRAY_IDX(md->cert.idents, i, acme_ident_t *);
        if (!strcasecmp(ident->value, name)) {
            return 1;
        }
    }
    return 0;
}

/* Where names of a managed domain stand. */
static int tells_names(const ctl_directive_t *directive)
{
    return ctl_conf_is(directive, "MDomain")
           || ctl_conf_is(directive, "MDMember")
           || !strncasecmp(directive->name, "<MDomain", 8);
}

static const ctl_directive_t *find_md(const ctl_move_t *move,
                                      const ctl_md_t *md)
{
    const apr_array_header_t *all = move->conf->directives;

    for (int i = 0; i < all->nelts; i++) {
        const ctl_directive_t *one = APR_ARRAY_IDX(all, i, ctl_directive_t *);
        const char *args = one->args, *word;
        while (tells_names(one)
               && (word = ctl_conf_word(&args, move->ctl->pool)) != NULL) {
            if (has_name(md, word)) {
                return ctl_conf_is(one, "MDMember") ? one->section : one;
            }
        }
    }
    return NULL;
}

int ctl_md_is_used(const ctl_move_t *move)
{
    const apr_array_header_t *all = move->conf->directives;

    for (int i = 0; i < all->nelts; i++) {
        if (tells_names(APR_ARRAY_IDX(all, i, ctl_directive_t *))) {
            return 1;
        }
    }
    return 0;
}

int ctl_md_is_configured(const ctl_move_t *move, const ctl_md_t *md)
{
    return find_md(move, md) != NULL;
}

static void write_md(ctl_move_t *move, const ctl_md_t *md,
                     apr_array_header_t *notes)
{
    apr_pool_t *pool = move->ctl->pool;
    const ctl_directive_t *place = find_md(move, md);
    const char *keys = ctl_move_key_types(&md->cert, pool);
    apr_array_header_t *lines = apr_array_make(pool, 4, sizeof(char *));

    if (place && place->name[0] == '<') {
        (void)ctl_md_scope(move, place, lines, notes);
    }
    /* Those of the certificates that are there, so that none is ordered anew. */
    for (int i = 0; keys && i < lines->nelts; i++) {
        const char **line = &APR_ARRAY_IDX(lines, i, const char *);
        if (!strncmp(*line, "AcmeKeyType ", 12)) {
            *line = keys;
            keys = NULL;
        }
    }
    if (keys) {
        APR_ARRAY_PUSH(lines, const char *) = keys;
    }
    ctl_move_line(move, "");
    if (place) {
        ctl_move_comment(move, apr_pstrcat(pool, "MDomain, ",
                                           ctl_conf_where(&place->place, pool),
                                           NULL));
    }
    ctl_move_section(move, &md->cert, lines);
}

/* --- those that the store does not have yet --------------------------------------------------- */

static void add_name(ctl_md_t *md, const char *text, apr_pool_t *pool)
{
    acme_ident_t *ident;

    if (has_name(md, text) || md->cert.idents->nelts >= MAX_NAMES) {
        return;
    }
    acme_err_t *bad = acme_ident_parse(&ident, text, pool);
    if (!bad) { /* "auto" and "manual" are left out before */
        APR_ARRAY_PUSH(md->cert.idents, acme_ident_t *) = ident;
    }
}

static void add_names(ctl_md_t *md, const char *args, int *manual,
                      apr_pool_t *pool)
{
    const char *word;

    while ((word = ctl_conf_word(&args, pool)) != NULL) {
        if (!strcasecmp(word, "manual")) {
            *manual = 1;
        }
        else if (strcasecmp(word, "auto")) {
            add_name(md, word, pool);
        }
    }
}

/* Unless members are told by hand, the names of the hosts that have one are all
 * meant. */
static void add_hosts(ctl_md_t *md, const ctl_move_t *move)
{
    for (int i = 0; i < move->hosts->nelts; i++) {
        const ctl_move_host_t *host =
            APR_ARRAY_IDX(move->hosts, i, ctl_move_host_t *);
        int ours = 0;
        for (int j = 0; j < host->names->nelts; j++) {
            ours |= has_name(md, APR_ARRAY_IDX(host->names, j, const char *));
        }
        for (int j = 0; ours && j < host->names->nelts; j++) {
            add_name(md, APR_ARRAY_IDX(host->names, j, const char *),
                     move->ctl->pool);
        }
    }
}

static int manual_by_default(const ctl_move_t *move)
{
    const apr_array_header_t *all = move->conf->directives;
    int manual = 0;

    for (int i = 0; i < all->nelts; i++) {
        const ctl_directive_t *one = APR_ARRAY_IDX(all, i, ctl_directive_t *);
        if (!one->section && ctl_conf_is(one, "MDMembers")) {
            manual = !strcasecmp(one->args, "manual");
        }
    }
    return manual;
}

static void read_names(ctl_md_t *md, const ctl_move_t *move,
                       const ctl_directive_t *place)
{
    const apr_array_header_t *all = move->conf->directives;
    apr_pool_t *pool = move->ctl->pool;
    int manual = manual_by_default(move);

    md->cert.idents = apr_array_make(pool, 4, sizeof(acme_ident_t *));
    add_names(md, place->args, &manual, pool);
    for (int i = 0; i < all->nelts; i++) {
        const ctl_directive_t *one = APR_ARRAY_IDX(all, i, ctl_directive_t *);
        if (one->section != place) {
            continue;
        }
        if (ctl_conf_is(one, "MDMember")) {
            add_names(md, one->args, &manual, pool);
        }
        else if (ctl_conf_is(one, "MDMembers")) {
            manual = !strcasecmp(one->args, "manual");
        }
    }
    if (!manual) {
        add_hosts(md, move);
    }
}

static int is_known(const ctl_md_t *wanted, const apr_array_header_t *mds)
{
    for (int m = 0; m < mds->nelts; m++) {
        for (int i = 0; i < wanted->cert.idents->nelts; i++) {
            if (has_name(&APR_ARRAY_IDX(mds, m, ctl_md_t),
                         APR_ARRAY_IDX(wanted->cert.idents, i, acme_ident_t *)
                             ->value)) {
                return 1;
            }
        }
    }
    return 0;
}

static void write_others(ctl_move_t *move, const apr_array_header_t *mds,
                         apr_array_header_t *notes)
{
    const apr_array_header_t *all = move->conf->directives;

    for (int i = 0; i < all->nelts; i++) {
        const ctl_directive_t *one = APR_ARRAY_IDX(all, i, ctl_directive_t *);
        ctl_md_t md = { .cert = { .name = "" } };
        if (!tells_names(one) || ctl_conf_is(one, "MDMember")) {
            continue;
        }
        read_names(&md, move, one);
        if (md.cert.idents->nelts && !is_known(&md, mds)) {
            write_md(move, &md, notes);
        }
    }
}

/* --- the server -------------------------------------------------------------------------------- */

/* mod_md takes ServerAdmin where nothing else is said. */
static const char *contacts_of(const apr_array_header_t *mds, apr_pool_t *pool)
{
    const char *contacts =
        mds->nelts ? APR_ARRAY_IDX(mds, 0, ctl_md_t).contacts : NULL;

    if (!contacts || strncasecmp(contacts, "mailto:", 7)
        || strchr(contacts, ',')) {
        return NULL;
    }
    return apr_pstrcat(pool, "AcmeContact ", ctl_move_word(contacts + 7, pool),
                       NULL);
}

static void write_server(ctl_move_t *move, const apr_array_header_t *mds,
                         apr_array_header_t *notes)
{
    apr_pool_t *pool = move->ctl->pool;
    apr_array_header_t *lines = apr_array_make(pool, 8, sizeof(char *));
    const char *contacts = contacts_of(mds, pool);
    int told = ctl_md_scope(move, NULL, lines, notes);

    for (int i = 0; i < lines->nelts; i++) {
        ctl_move_line(move, APR_ARRAY_IDX(lines, i, const char *));
    }
    if (!told && contacts) {
        ctl_move_comment(move, "No MDContactEmail: mod_md took ServerAdmin.");
        ctl_move_line(move, contacts);
    }
    ctl_move_comment(move, "All TLS hosts without a certificate of their own, "
                           "as with mod_md:");
    ctl_move_line(move, "AcmeManage on");
}

/* --- what the administrator has to do --------------------------------------------------------- */

static void put_lines_to_go(ctl_move_t *move)
{
    const apr_array_header_t *all = move->conf->directives;
    apr_pool_t *pool = move->ctl->pool;

    ctl_move_line(move, "");
    ctl_move_comment(move, "To be taken out of the configuration (sections as "
                           "a whole), together with mod_md itself:");
    for (int i = 0; i < all->nelts; i++) {
        const ctl_directive_t *one = APR_ARRAY_IDX(all, i, ctl_directive_t *);
        const char *args = one->args, *first = ctl_conf_word(&args, pool);
        int loads = ctl_conf_is(one, "LoadModule") && first
                    && !strcmp(first, "md_module");
        if (loads || (ctl_md_is_directive(one) && !one->section)) {
            ctl_move_line(
                move,
                apr_pstrcat(pool, "#   ", ctl_conf_where(&one->place, pool),
                            "  ", one->name, loads ? " md_module" : "",
                            one->name[0] == '<' ? " ...>" : "", NULL));
        }
    }
}

static int uses_md(const ctl_move_host_t *host, const apr_array_header_t *mds)
{
    for (int m = 0; m < mds->nelts; m++) {
        for (int i = 0; i < host->names->nelts; i++) {
            if (has_name(&APR_ARRAY_IDX(mds, m, ctl_md_t),
                         APR_ARRAY_IDX(host->names, i, const char *))) {
                return 1;
            }
        }
    }
    return 0;
}

/* mod_md passed over them; for mod_acme they are the administrator's will. */
static void put_own_files(ctl_move_t *move, const apr_array_header_t *mds)
{
    apr_pool_t *pool = move->ctl->pool;

    for (int i = 0; i < move->hosts->nelts; i++) {
        const ctl_move_host_t *host =
            APR_ARRAY_IDX(move->hosts, i, ctl_move_host_t *);
        for (int j = 0; uses_md(host, mds) && j < host->own_files->nelts; j++) {
            const ctl_directive_t *file =
                APR_ARRAY_IDX(host->own_files, j, ctl_directive_t *);
            ctl_move_line(
                move,
                apr_pstrcat(pool, "#   ", ctl_conf_where(&file->place, pool),
                            "  ", file->name,
                            " (mod_md did not heed it; mod_acme would leave "
                            "the host alone)",
                            NULL));
        }
    }
}

void ctl_md_words(ctl_move_t *move, const apr_array_header_t *mds)
{
    apr_array_header_t *notes =
        apr_array_make(move->ctl->pool, 8, sizeof(char *));

    ctl_move_head(move);
    write_server(move, mds, notes);
    for (int i = 0; i < mds->nelts; i++) {
        write_md(move, &APR_ARRAY_IDX(mds, i, ctl_md_t), notes);
    }
    write_others(move, mds, notes);
    if (notes->nelts) {
        ctl_move_line(move, "");
        ctl_move_comment(move, "To be looked at, for it has no equivalent or "
                               "another one than it seems:");
    }
    for (int i = 0; i < notes->nelts; i++) {
        ctl_move_line(move,
                      apr_pstrcat(move->ctl->pool, "#   ",
                                  APR_ARRAY_IDX(notes, i, const char *), NULL));
    }
    put_lines_to_go(move);
    put_own_files(move, mds);
    ctl_move_unread(move);
}
