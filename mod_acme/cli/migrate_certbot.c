/* certbot's directory: renewal/NAME.conf says how each certificate is renewed and
 * where its files are, accounts/<CA>/<id>/ has the accounts. */
#include "cli/migrate_certbot.h"

#include <apr_lib.h>
#include <apr_strings.h>
#include <jansson.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "cli/files.h"
#include "core/encode.h"

#define DEFAULT_DIR "/etc/letsencrypt"
#define MAX_FILE    (256 * 1024)
#define MAX_NAMES   100

const char *ctl_lineage_setting(const ctl_lineage_t *lineage, const char *name)
{
    const char *value = apr_table_get(lineage->settings, name);
    return value && *value && strcasecmp(value, "None") ? value : NULL;
}

/* --- renewal/NAME.conf ------------------------------------------------------------------ */

/* As Python's configobj writes it: "key = value", with quotes where it needs some.
 * What is in sections of sections is of no use here. */
static apr_table_t *read_settings(char *text, apr_pool_t *pool)
{
    apr_table_t *settings = apr_table_make(pool, 16);
    int nested = 0;
    char *last;

    for (char *line = apr_strtok(text, "\r\n", &last); line;
         line = apr_strtok(NULL, "\r\n", &last)) {
        line += strspn(line, " \t");
        if (*line == '[') {
            nested = line[1] == '[';
            continue;
        }
        char *equals = strchr(line, '=');
        if (!equals || *line == '#' || nested) {
            continue;
        }
        *equals = '\0';
        apr_collapse_spaces(line, line);
        char *value = equals + 1 + strspn(equals + 1, " \t");
        apr_size_t len = strlen(value);
        while (len && apr_isspace(value[len - 1])) {
            value[--len] = '\0';
        }
        if (len > 1 && (*value == '"' || *value == '\'')
            && value[len - 1] == *value) {
            value[len - 1] = '\0';
            value++;
        }
        apr_table_set(settings, line, value);
    }
    return settings;
}

/* Of a path that may be full of symbolic links; NULL: there is nothing. */
static const char *real_path(const char *path, apr_pool_t *pool)
{
    char real[PATH_MAX];
    return path && realpath(path, real) ? apr_pstrdup(pool, real) : NULL;
}

static ctl_lineage_t *read_lineage(ctl_certbot_t *certbot, const char *file)
{
    ctl_move_t *move = certbot->move;
    apr_pool_t *pool = move->ctl->pool;
    apr_size_t len = strlen(file);
    const unsigned char *data;

    if (len <= 5 || strcmp(file + len - 5, ".conf")) {
        return NULL;
    }
    ctl_lineage_t *one = apr_pcalloc(pool, sizeof(*one));
    one->cert.name = apr_pstrmemdup(pool, file, len - 5);
    const char *why = ctl_peek_file(
        move->ctl, apr_pstrcat(pool, move->from, "/renewal/", file, NULL),
        MAX_FILE, &data, &len);
    if (why) {
        ctl_move_leave(move, ACME_W_MIGRATE_CERTIFICATE, one->cert.name, why);
        return NULL;
    }
    one->settings =
        read_settings(apr_pstrmemdup(pool, (const char *)data, len), pool);
    one->cert.ca_url = ctl_lineage_setting(one, "server");
    one->cert.profile = ctl_lineage_setting(one, "required_profile");
    if (!one->cert.profile) {
        one->cert.profile = ctl_lineage_setting(one, "preferred_profile");
    }
    one->archive = real_path(ctl_lineage_setting(one, "archive_dir"), pool);
    return one;
}

/* --- who uses it -------------------------------------------------------------------------- */

int ctl_path_is_below(const char *path, const char *dir)
{
    apr_size_t len = dir ? strlen(dir) : 0;
    return len && path && !strncmp(path, dir, len) && path[len] == '/';
}

static int is_file_of(const ctl_lineage_t *lineage, const ctl_move_t *move,
                      const ctl_directive_t *directive)
{
    apr_pool_t *pool = move->ctl->pool;
    const char *args = directive->args;
    const char *word = ctl_conf_word(&args, pool);
    const char *path = word ? ctl_conf_path(move->conf, word, pool) : NULL;

    return ctl_path_is_below(path, apr_pstrcat(pool, move->from, "/live/",
                                               lineage->cert.name, NULL))
           || ctl_path_is_below(real_path(path, pool), lineage->archive);
}

int ctl_lineage_serves(const ctl_move_host_t *host,
                       const ctl_lineage_t *lineage, const ctl_move_t *move)
{
    for (int i = 0; i < host->own_files->nelts; i++) {
        if (is_file_of(lineage, move,
                       APR_ARRAY_IDX(host->own_files, i, ctl_directive_t *))) {
            return 1;
        }
    }
    return 0;
}

/* --- its names ------------------------------------------------------------------------------ */

static void to_front(apr_array_header_t *idents, const char *name)
{
    for (int i = 0; name && i < idents->nelts; i++) {
        acme_ident_t *one = APR_ARRAY_IDX(idents, i, acme_ident_t *);
        if (!strcasecmp(one->value, name)) {
            memmove(idents->elts + sizeof(one), idents->elts,
                    (size_t)i * sizeof(one));
            APR_ARRAY_IDX(idents, 0, acme_ident_t *) = one;
            return;
        }
    }
}

static const char *host_name(const ctl_lineage_t *lineage,
                             const ctl_move_t *move)
{
    for (int i = 0; i < move->hosts->nelts; i++) {
        const ctl_move_host_t *host =
            APR_ARRAY_IDX(move->hosts, i, ctl_move_host_t *);
        if (host->name && ctl_lineage_serves(host, lineage, move)) {
            return host->name;
        }
    }
    return NULL;
}

/* certbot keeps them in the certificate alone. It is called after the host that uses
 * it, or as certbot calls it. */
static const char *read_names(ctl_lineage_t *lineage, ctl_move_t *move,
                              const char *chain_path)
{
    apr_pool_t *pool = move->ctl->pool;
    const unsigned char *data;
    acme_cert_info_t *info;
    acme_chain_t *chain;
    apr_size_t len;
    const char *why =
        ctl_peek_file(move->ctl, chain_path, ACME_MAX_CHAIN, &data, &len);

    if (why) {
        return apr_pstrcat(pool, chain_path, ": ", why, NULL);
    }
    acme_err_t *err = acme_chain_parse(&chain, (const char *)data, len, pool);
    if (!err) {
        err = acme_cert_info(&info, chain->leaf, pool);
    }
    if (err) {
        return acme_err_line(err, pool);
    }
    if (!info->idents->nelts || info->idents->nelts > MAX_NAMES
        || info->foreign_names) {
        return "it has no names, more than 100, or names of other kinds";
    }
    lineage->cert.idents = info->idents;
    to_front(info->idents, lineage->cert.name);
    to_front(info->idents, host_name(lineage, move));
    return NULL;
}

/* --- accounts --------------------------------------------------------------------------------- */

/* accounts/acme-v02.api.letsencrypt.org/directory/<id>/ */
static const char *account_file(const ctl_move_t *move,
                                const ctl_lineage_t *lineage, const char *file)
{
    const char *id = ctl_lineage_setting(lineage, "account");
    const char *url = lineage->cert.ca_url;
    const char *host = url ? strstr(url, "://") : NULL;

    if (!id || !host || strchr(id, '/') || strstr(host, "..")) {
        return NULL;
    }
    return apr_pstrcat(move->ctl->pool, move->from, "/accounts/", host + 3, "/",
                       id, "/", file, NULL);
}

/* An account of the CA's first protocol has a URL there, and is found by its key. */
static int same_site(const char *a, const char *b)
{
    const char *host = strstr(a, "://");
    const char *end = strchr(host ? host + 3 : a, '/');
    apr_size_t len = end ? (apr_size_t)(end - a) : strlen(a);
    return !strncmp(a, b, len) && (b[len] == '/' || !b[len]);
}

static const char *account_url(const ctl_move_t *move,
                               const ctl_lineage_t *lineage)
{
    const char *path = account_file(move, lineage, "regr.json");
    const json_t *doc =
        path ? ctl_move_json((ctl_move_t *)(apr_uintptr_t)move, path) : NULL;
    const char *uri = acme_json_string(doc, "uri");

    return uri && strlen(uri) <= ACME_MAX_URL
                   && same_site(lineage->cert.ca_url, uri)
               ? uri
               : NULL;
}

static int count_users(const ctl_certbot_t *certbot, const ctl_lineage_t *like)
{
    const char *id = ctl_lineage_setting(like, "account");
    int count = 0;

    for (int i = 0; id && i < certbot->lineages->nelts; i++) {
        const ctl_lineage_t *one =
            APR_ARRAY_IDX(certbot->lineages, i, ctl_lineage_t *);
        const char *other = ctl_lineage_setting(one, "account");
        count += other && !strcmp(other, id)
                 && !strcmp(one->cert.ca_url, like->cert.ca_url);
    }
    return count;
}

/* @return 1: this lineage is the first with that account at that CA */
static int is_first(const ctl_certbot_t *certbot, int index)
{
    const ctl_lineage_t *like =
        APR_ARRAY_IDX(certbot->lineages, index, ctl_lineage_t *);

    for (int i = 0; i < index; i++) {
        const ctl_lineage_t *one =
            APR_ARRAY_IDX(certbot->lineages, i, ctl_lineage_t *);
        if (!strcmp(ctl_lineage_setting(one, "account")
                        ? ctl_lineage_setting(one, "account")
                        : "",
                    ctl_lineage_setting(like, "account"))
            && !strcmp(one->cert.ca_url, like->cert.ca_url)) {
            return 0;
        }
    }
    return 1;
}

static void take_account(ctl_certbot_t *certbot, const ctl_lineage_t *lineage)
{
    ctl_move_t *move = certbot->move;
    const acme_ca_t ca = { .url = lineage->cert.ca_url };
    const char *path = account_file(move, lineage, "private_key.json");
    const char *why = "its name is none of certbot's";
    EVP_PKEY *key = path ? ctl_move_key(move, path, NULL, &why) : NULL;

    if (!key) {
        ctl_move_leave(move, ACME_W_MIGRATE_ACCOUNT,
                       ctl_lineage_setting(lineage, "account"), why);
        return;
    }
    ctl_move_account(move, &ca, key, lineage->cert.account_url, NULL);
}

/* mod_acme has one at each CA: of several, the one most of them use. */
static void take_accounts(ctl_certbot_t *certbot)
{
    const apr_array_header_t *all = certbot->lineages;

    for (int i = 0; i < all->nelts; i++) {
        const ctl_lineage_t *one = APR_ARRAY_IDX(all, i, ctl_lineage_t *);
        int best = 1;
        if (!ctl_lineage_setting(one, "account") || !is_first(certbot, i)) {
            continue;
        }
        for (int j = 0; j < all->nelts; j++) {
            const ctl_lineage_t *other = APR_ARRAY_IDX(all, j, ctl_lineage_t *);
            if (ctl_lineage_setting(other, "account")
                && strcmp(ctl_lineage_setting(other, "account"),
                          ctl_lineage_setting(one, "account"))
                && !strcmp(other->cert.ca_url, one->cert.ca_url)) {
                int mine = count_users(certbot, one);
                int theirs = count_users(certbot, other);
                best = best && (mine > theirs || (mine == theirs && i < j));
            }
        }
        if (best) {
            take_account(certbot, one);
        }
        else {
            ctl_move_leave(certbot->move, ACME_W_MIGRATE_ACCOUNT,
                           ctl_lineage_setting(one, "account"),
                           "certbot has several at that CA, and more "
                           "certificates use another one");
        }
    }
}

/* --- certificates -------------------------------------------------------------------------------- */

static void count_hosts(ctl_lineage_t *lineage, const ctl_move_t *move)
{
    for (int i = 0; i < move->hosts->nelts; i++) {
        lineage->hosts += ctl_lineage_serves(
            APR_ARRAY_IDX(move->hosts, i, ctl_move_host_t *), lineage, move);
    }
}

/* One that has been taken and has one of its names. */
static ctl_lineage_t *find_overlap(const ctl_certbot_t *certbot,
                                   const ctl_lineage_t *lineage)
{
    for (int i = 0; i < certbot->lineages->nelts; i++) {
        ctl_lineage_t *one =
            APR_ARRAY_IDX(certbot->lineages, i, ctl_lineage_t *);
        for (int j = 0; j < lineage->cert.idents->nelts; j++) {
            const apr_array_header_t single = {
                .elt_size = sizeof(acme_ident_t *),
                .nelts = 1,
                .elts = lineage->cert.idents->elts
                        + (apr_size_t)j * sizeof(acme_ident_t *),
            };
            if (!one->with && acme_idents_subset(&single, one->cert.idents)) {
                return one;
            }
        }
    }
    return NULL;
}

/* @return why it stays behind; NULL: it does not */
static const char *look_at(ctl_certbot_t *certbot, ctl_lineage_t *one)
{
    ctl_move_t *move = certbot->move;
    const char *chain = ctl_lineage_setting(one, "fullchain");

    count_hosts(one, move);
    if (!one->hosts && !ctl_option(move->ctl, "--all")) {
        return "no virtual host uses it (--all takes it over nevertheless); it "
               "stays with certbot";
    }
    if (!one->cert.ca_url || strncmp(one->cert.ca_url, "https://", 8) || !chain
        || !ctl_lineage_setting(one, "privkey")) {
        return "its file in renewal/ does not tell its CA and files";
    }
    const char *why = read_names(one, move, chain);
    ctl_lineage_t *other = why ? NULL : find_overlap(certbot, one);
    if (other && !acme_idents_equal(other->cert.idents, one->cert.idents)) {
        return apr_pstrcat(move->ctl->pool, "it shares names with ",
                           other->cert.name,
                           ", and a name is in one certificate only", NULL);
    }
    one->with = other;
    return why;
}

static void take_lineage(ctl_certbot_t *certbot, const char *file)
{
    ctl_move_t *move = certbot->move;
    ctl_lineage_t *one = read_lineage(certbot, file);
    const char *why = one ? look_at(certbot, one) : NULL;

    if (!one) {
        return;
    }
    if (why) {
        ctl_move_leave(move, ACME_W_MIGRATE_CERTIFICATE, one->cert.name, why);
        return;
    }
    one->cert.account_url = account_url(move, one);
    if (one->with) {
        one->cert.idents = one->with->cert.idents;
        one->cert.types = one->with->cert.types;
        one->with->hosts += one->hosts;
    }
    ctl_move_take(move, &one->cert, ctl_lineage_setting(one, "fullchain"),
                  ctl_lineage_setting(one, "privkey"), NULL, 0);
    if (one->with) {
        one->with->cert.types = one->cert.types;
    }
    APR_ARRAY_PUSH(certbot->lineages, ctl_lineage_t *) = one;
}

ctl_exit_t ctl_move_from_certbot(ctl_move_t *move)
{
    apr_pool_t *pool = move->ctl->pool;
    ctl_certbot_t certbot = {
        .move = move,
        .lineages = apr_array_make(pool, 16, sizeof(ctl_lineage_t *)),
        .notes = apr_array_make(pool, 8, sizeof(char *)),
    };

    move->from = move->from ? move->from : DEFAULT_DIR;
    apr_array_header_t *files =
        ctl_move_list(apr_pstrcat(pool, move->from, "/renewal", NULL), pool);
    if (!files) {
        return ctl_say(move->ctl, ACME_E_MIGRATE_SOURCE, move->program,
                       move->from, "there is no renewal/ in it to be read",
                       NULL);
    }
    for (int i = 0; i < files->nelts; i++) {
        take_lineage(&certbot, APR_ARRAY_IDX(files, i, const char *));
    }
    if (!certbot.lineages->nelts) {
        return ctl_say(move->ctl, ACME_E_MIGRATE_NOTHING, move->from,
                       "no certificate of certbot's is used by a virtual host",
                       NULL);
    }
    take_accounts(&certbot);
    ctl_certbot_write(&certbot);
    return CTL_DONE;
}
