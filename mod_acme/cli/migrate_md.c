/* mod_md's store: md_store.json with the pass phrase of its keys, accounts/, and for
 * each managed domain a directory in domains/ and, while what was issued waits for a
 * restart, in staging/. */
#include "cli/migrate.h"

#include <apr_strings.h>
#include <jansson.h>
#include <string.h>
#include <sys/stat.h>

#include "core/encode.h"

#define MAX_NAMES 100

static const char *const PLACES[] = { "domains", "staging" };
#define PLACE_COUNT (sizeof(PLACES) / sizeof(PLACES[0]))

typedef struct md_t {
    ctl_move_t *move;
    ctl_move_secret_t secret;
    apr_array_header_t *mds; /* ctl_md_t */
} md_t;

static const char *below(const md_t *md, const char *a, const char *b,
                         const char *c)
{
    return apr_pstrcat(md->move->ctl->pool, md->move->from, "/", a, "/", b, "/",
                       c, NULL);
}

/* --- where it is --------------------------------------------------------------------- */

static const char *argument_of(const ctl_move_t *move, const char *name)
{
    const apr_array_header_t *all = move->conf->directives;

    for (int i = all->nelts; i-- > 0;) {
        const ctl_directive_t *one = APR_ARRAY_IDX(all, i, ctl_directive_t *);
        if (ctl_conf_is(one, name)) {
            const char *args = one->args;
            return ctl_conf_word(&args, move->ctl->pool);
        }
    }
    return NULL;
}

/* Relative ones are below httpd's state directory, or ServerRoot: which, depends on
 * how it was built. */
static const char *find_store(const ctl_move_t *move)
{
    apr_pool_t *pool = move->ctl->pool;
    const char *set = argument_of(move, "MDStoreDir");
    const char *state = argument_of(move, "DefaultStateDir");
    const char *dirs[] = {
        state ? ctl_conf_path(move->conf, state, pool) : NULL,
        move->conf->root,
        ctl_conf_path(move->conf, "state", pool),
        "/var/lib/apache2",
        "/var/lib/httpd",
    };
    struct stat st;

    set = set ? set : "md";
    for (unsigned i = 0; *set != '/' && i < sizeof(dirs) / sizeof(dirs[0]);
         i++) {
        const char *path =
            dirs[i] ? apr_pstrcat(pool, dirs[i], "/", set, NULL) : NULL;
        if (path
            && stat(apr_pstrcat(pool, path, "/md_store.json", NULL), &st)
                   == 0) {
            return path;
        }
    }
    return ctl_conf_path(move->conf, set, pool);
}

static const char *open_store(md_t *md)
{
    ctl_move_t *move = md->move;
    apr_pool_t *pool = move->ctl->pool;
    const char *path = apr_pstrcat(pool, move->from, "/md_store.json", NULL);
    const json_t *store = ctl_move_json(move, path);
    const char *key = acme_json_string(store, "key");
    const unsigned char *data;

    if (!store) {
        return "its md_store.json is not there, or damaged";
    }
    if (!key || acme_decode_base64url(&data, &md->secret.len, key, pool)) {
        return "its md_store.json has no key";
    }
    md->secret.data = data;
    return NULL;
}

/* --- managed domains ------------------------------------------------------------------ */

static const char *copy(const json_t *object, const char *name,
                        apr_pool_t *pool)
{
    const char *text = acme_json_string(object, name);
    return text && *text && strlen(text) <= ACME_MAX_URL
               ? apr_pstrdup(pool, text)
               : NULL;
}

static const char *joined(const json_t *list, apr_pool_t *pool)
{
    const char *text = NULL;
    const json_t *item;
    size_t i;

    json_array_foreach(list, i, item)
    {
        const char *one = json_string_value(item);
        if (one && strlen(one) < 1024 && i < MAX_NAMES) {
            text = text ? apr_pstrcat(pool, text, ",", one, NULL)
                        : apr_pstrdup(pool, one);
        }
    }
    return text;
}

static apr_array_header_t *idents_of(const json_t *domains, apr_pool_t *pool)
{
    apr_array_header_t *idents =
        apr_array_make(pool, 2, sizeof(acme_ident_t *));
    const json_t *item;
    size_t i;

    json_array_foreach(domains, i, item)
    {
        const char *text = json_string_value(item);
        acme_ident_t *ident;
        if (!text || i >= MAX_NAMES || acme_ident_parse(&ident, text, pool)) {
            return NULL;
        }
        APR_ARRAY_PUSH(idents, acme_ident_t *) = ident;
    }
    return idents->nelts ? idents : NULL;
}

static void read_md(md_t *md, const char *name)
{
    apr_pool_t *pool = md->move->ctl->pool;
    const json_t *doc =
        ctl_move_json(md->move, below(md, "domains", name, "md.json"));
    const json_t *ca = json_object_get(doc, "ca");
    ctl_md_t one = { .cert = { .name = name } };

    if (!doc) {
        return; /* no domain of mod_md's, or one that it never got to */
    }
    one.cert.idents = idents_of(json_object_get(doc, "domains"), pool);
    if (!one.cert.idents) {
        ctl_move_leave(md->move, ACME_W_MIGRATE_CERTIFICATE, name,
                       "its md.json does not tell its names, or more than 100");
        return;
    }
    one.cert.ca_url = copy(ca, "url", pool);
    if (!one.cert.ca_url) {
        one.cert.ca_url = acme_policy_find_ca("letsencrypt")->url;
    }
    one.cert.profile = copy(doc, "profile", pool);
    one.account = copy(ca, "account", pool);
    one.contacts = joined(json_object_get(doc, "contacts"), pool);
    if (!ctl_md_is_configured(md->move, &one)) {
        ctl_move_leave(md->move, ACME_W_MIGRATE_CERTIFICATE, name,
                       "no MDomain of the configuration has its names");
        return;
    }
    APR_ARRAY_PUSH(md->mds, ctl_md_t) = one;
}

static void read_mds(md_t *md)
{
    apr_array_header_t *names = ctl_move_list(
        apr_pstrcat(md->move->ctl->pool, md->move->from, "/domains", NULL),
        md->move->ctl->pool);

    for (int i = 0; names && i < names->nelts; i++) {
        read_md(md, APR_ARRAY_IDX(names, i, const char *));
    }
}

/* --- accounts -------------------------------------------------------------------------- */

typedef struct account_t {
    const char *name, *dir; /* "ACME-localhost-0000", its path */
    const char *url, *ca_url, *contacts;
    int users, taken;
} account_t;

static void read_account(md_t *md, const char *place, const char *name,
                         apr_array_header_t *accounts)
{
    apr_pool_t *pool = md->move->ctl->pool;
    const json_t *doc =
        ctl_move_json(md->move, below(md, place, name, "account.json"));
    const char *status = acme_json_string(doc, "status");
    account_t one = { .name = name, .dir = below(md, place, name, "") };

    one.url = copy(doc, "url", pool);
    one.ca_url = copy(doc, "ca-url", pool);
    if (!one.url || !one.ca_url || (status && strcmp(status, "valid"))) {
        return; /* of an account that is no more, or not yet */
    }
    for (int i = 0; i < accounts->nelts; i++) {
        if (!strcmp(APR_ARRAY_IDX(accounts, i, account_t).url, one.url)) {
            return;
        }
    }
    one.contacts = joined(json_object_get(doc, "contact"), pool);
    for (int i = 0; i < md->mds->nelts; i++) {
        const ctl_md_t *user = &APR_ARRAY_IDX(md->mds, i, ctl_md_t);
        one.users += user->account && !strcmp(user->account, name);
    }
    APR_ARRAY_PUSH(accounts, account_t) = one;
}

static apr_array_header_t *read_accounts(md_t *md)
{
    static const char *const places[] = { "accounts", "staging" };
    apr_pool_t *pool = md->move->ctl->pool;
    apr_array_header_t *all = apr_array_make(pool, 4, sizeof(account_t));

    for (unsigned p = 0; p < sizeof(places) / sizeof(places[0]); p++) {
        apr_array_header_t *names = ctl_move_list(
            apr_pstrcat(pool, md->move->from, "/", places[p], NULL), pool);
        for (int i = 0; names && i < names->nelts; i++) {
            read_account(md, places[p], APR_ARRAY_IDX(names, i, const char *),
                         all);
        }
    }
    return all;
}

static void take_account(md_t *md, account_t *account)
{
    const acme_external_t *external = ctl_md_external(md->move);
    const acme_ca_t ca = { .url = account->ca_url, .external = external };
    const char *why;
    EVP_PKEY *key = ctl_move_key(
        md->move,
        apr_pstrcat(md->move->ctl->pool, account->dir, "account.pem", NULL),
        &md->secret, &why);

    if (!key) {
        ctl_move_leave(md->move, ACME_W_MIGRATE_ACCOUNT, account->name, why);
        return;
    }
    account->taken = 1;
    ctl_move_account(md->move, &ca, key, account->url, account->contacts);
}

/* mod_acme has one at each CA: of several, the one most of them use. */
static void take_accounts(md_t *md, apr_array_header_t *accounts)
{
    for (int i = 0; i < accounts->nelts; i++) {
        account_t *one = &APR_ARRAY_IDX(accounts, i, account_t);
        int best = 1;
        for (int j = 0; j < accounts->nelts; j++) {
            const account_t *other = &APR_ARRAY_IDX(accounts, j, account_t);
            best = best
                   && (j == i || strcmp(one->ca_url, other->ca_url)
                       || one->users > other->users
                       || (one->users == other->users && i < j));
        }
        if (best) {
            take_account(md, one);
        }
        else {
            ctl_move_leave(md->move, ACME_W_MIGRATE_ACCOUNT, one->name,
                           "mod_md has several at that CA, and more "
                           "certificates use another one");
        }
    }
}

/* Who ordered it. One that is still in staging does not say. */
static void note_account(ctl_md_t *one, const apr_array_header_t *accounts)
{
    for (int i = 0; i < accounts->nelts; i++) {
        const account_t *account = &APR_ARRAY_IDX(accounts, i, account_t);
        if (one->account ? !strcmp(account->name, one->account)
                         : account->taken
                               && !strcmp(account->ca_url, one->cert.ca_url)) {
            one->cert.account_url = account->url;
            return;
        }
    }
}

/* --- certificates ---------------------------------------------------------------------- */

/* "pubcert.secp256r1.pem" has its key in "privkey.secp256r1.pem". */
static int take_from(md_t *md, ctl_md_t *one, const char *place)
{
    apr_pool_t *pool = md->move->ctl->pool;
    const char *name = one->cert.name;
    apr_array_header_t *files = ctl_move_list(
        apr_pstrcat(pool, md->move->from, "/", place, "/", name, NULL), pool);
    int quiet = !strcmp(place, "staging"), found = 0;

    for (int i = 0; files && i < files->nelts; i++) {
        const char *file = APR_ARRAY_IDX(files, i, const char *);
        if (strncmp(file, "pubcert", 7)) {
            continue;
        }
        found +=
            ctl_move_take(md->move, &one->cert, below(md, place, name, file),
                          below(md, place, name,
                                apr_pstrcat(pool, "privkey", file + 7, NULL)),
                          &md->secret, quiet);
    }
    return found;
}

static void take_certificates(md_t *md, const apr_array_header_t *accounts)
{
    for (int i = 0; i < md->mds->nelts; i++) {
        ctl_md_t *one = &APR_ARRAY_IDX(md->mds, i, ctl_md_t);
        int before = md->move->left;

        note_account(one, accounts);
        for (unsigned p = 0; p < PLACE_COUNT; p++) {
            one->brought += take_from(md, one, PLACES[p]);
        }
        if (!one->brought && md->move->left == before) {
            ctl_move_leave(md->move, ACME_W_MIGRATE_CERTIFICATE, one->cert.name,
                           "mod_md has none yet");
        }
    }
}

ctl_exit_t ctl_move_from_md(ctl_move_t *move)
{
    md_t md = { .move = move };

    move->from = move->from ? move->from : find_store(move);
    md.mds = apr_array_make(move->ctl->pool, 16, sizeof(ctl_md_t));
    const char *why = open_store(&md);
    if (why) {
        return ctl_say(move->ctl, ACME_E_MIGRATE_SOURCE, move->program,
                       move->from, why, NULL);
    }
    if (!ctl_md_is_used(move)) {
        return ctl_say(move->ctl, ACME_E_MIGRATE_NOTHING, move->conf->path,
                       "it has no MDomain, nor what it includes", NULL);
    }
    read_mds(&md);
    apr_array_header_t *accounts = read_accounts(&md);
    take_accounts(&md, accounts);
    take_certificates(&md, accounts);
    ctl_md_words(move, md.mds);
    return CTL_DONE;
}
