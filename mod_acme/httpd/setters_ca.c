/** What is said of CAs and of accounts there: AcmeCA, and what [ca] may precede. */
#include <apr_lib.h>
#include <apr_strings.h>
#include <http_core.h>
#include <openssl/crypto.h>
#include <string.h>

#include "core/contact.h"
#include "core/encode.h"
#include "core/jws.h"
#include "httpd/setters.h"
#include "httpd/trust.h"

#define MAX_PROFILE 64
#define MAX_KID     512 /* octets of a key identifier */

/* NULL: text names no CA. */
static const acme_policy_ca_t *find_ca(const char *text, apr_pool_t *pool)
{
    /* A public CA's URL counts as its alias: the same account, the same rules
     * for names. */
    const acme_policy_ca_t *ca = acme_policy_find_ca(text);
    acme_policy_ca_t *own;

    if (ca || !acme_url_valid(text)) {
        return ca;
    }
    own = apr_pcalloc(pool, sizeof(*own));
    own->url = text;
    return own;
}

const char *acme_setters_no_ca(const char *text, apr_pool_t *pool)
{
    return apr_psprintf(pool,
                        "\"%s\" is neither the https URL of an ACME "
                        "directory nor one of %s",
                        text, acme_policy_ca_aliases(pool));
}

const char *acme_setters_ca(acme_target_t *to, int argc, char *const argv[])
{
    apr_pool_t *pool = to->cmd->pool;
    apr_array_header_t *cas =
        apr_array_make(pool, argc, sizeof(const acme_policy_ca_t *));
    int i, k;

    for (i = 0; i < argc; i++) {
        const acme_policy_ca_t *ca = find_ca(argv[i], pool);

        if (!ca) {
            return acme_setters_no_ca(argv[i], pool);
        }
        for (k = 0; k < i; k++) {
            if (!strcmp(APR_ARRAY_IDX(cas, k, const acme_policy_ca_t *)->url,
                        ca->url)) {
                return apr_psprintf(pool, "\"%s\" is there twice", argv[i]);
            }
        }
        APR_ARRAY_PUSH(cas, const acme_policy_ca_t *) = ca;
    }
    to->settings->cas = cas;
    for (i = 0; i < argc; i++) {
        const char *url = APR_ARRAY_IDX(cas, i, const acme_policy_ca_t *)->url;

        apr_hash_set(acme_config_global()->named_cas, url, APR_HASH_KEY_STRING,
                     url);
    }
    return NULL;
}

acme_ca_settings_t *acme_setters_of_ca(acme_target_t *to, int *argc,
                                       char *const **argv)
{
    apr_pool_t *pool = to->cmd->pool;
    const acme_policy_ca_t *ca = *argc > 1 ? find_ca(**argv, pool) : NULL;
    const char *url = ca ? ca->url : NULL;
    acme_ca_settings_t **at = &to->settings->of_cas;
    acme_ca_settings_t *made;

    if (ca) {
        --*argc;
        ++*argv;
    }
    /* What holds for all CAs stands at the end, behind what holds for one. */
    while (*at && (*at)->url && (!url || strcmp((*at)->url, url))) {
        at = &(*at)->next;
    }
    if (*at && (!url || (*at)->url)) {
        return *at;
    }
    made = apr_pcalloc(pool, sizeof(*made));
    made->url = url;
    made->next = *at;
    *at = made;
    if (url) {
        made->directive = to->cmd->directive->directive;
        made->where.file = to->cmd->directive->filename;
        made->where.line = to->cmd->directive->line_num;
        APR_ARRAY_PUSH(acme_config_global()->of_one_ca, acme_ca_settings_t *) =
            made;
    }
    return made;
}

const char *acme_setters_trust_file(acme_target_t *to, int argc,
                                    char *const argv[])
{
    acme_ca_settings_t *settings = acme_setters_of_ca(to, &argc, &argv);

    if (argc > 1) {
        return acme_setters_no_ca(argv[0], to->cmd->pool);
    }
    return acme_trust_add(&settings->trust_file, argv[0], to->cmd);
}

/* What mod_info and httpd -D DUMP_CONFIG show of a directive is its line. Whether it
 * has changed must be known all the same. */
static void hide_arguments(ap_directive_t *directive, const char *shown)
{
    char *args = (char *)(apr_uintptr_t)directive->args;
    acme_global_config_t *global = acme_config_global();
    unsigned char both[2 * ACME_SHA256];

    memcpy(both, global->hidden, ACME_SHA256);
    acme_sha256(both + ACME_SHA256, args, strlen(args));
    acme_sha256(global->hidden, both, sizeof(both));
    OPENSSL_cleanse(args, strlen(args));
    directive->args = shown;
}

const char *acme_setters_proxy(acme_target_t *to, int argc, char *const argv[])
{
    static const acme_proxy_t none;
    apr_pool_t *pool = to->cmd->pool;
    const char *fault = NULL;
    acme_proxy_t *proxy;
    acme_err_t *err;

    if (argc == 1 && !strcasecmp(argv[0], "none")) {
        to->settings->proxy = &none;
        return NULL;
    }
    err = acme_proxy_parse(&proxy, argv[0], pool);
    if (err) {
        return acme_setters_sentence(err, pool);
    }
    if (proxy->user) {
        hide_arguments(
            to->cmd->directive,
            apr_pstrcat(pool, proxy->url, " (user and password are not shown)",
                        argc == 2 ? " " : "", argc == 2 ? argv[1] : "", NULL));
    }
    if (argc == 2 && strncmp(proxy->url, "https:", 6)) {
        return apr_psprintf(pool,
                            "\"%s\" follows a proxy that begins with http://; "
                            "only one that begins with https:// is verified",
                            argv[1]);
    }
    if (argc == 2) {
        fault = acme_trust_add(&proxy->trust_file, argv[1], to->cmd);
    }
    to->settings->proxy = proxy;
    return fault;
}

/* A CA's terms may be a part of a page, unlike all that is asked for. */
static int is_terms(const char *text, apr_pool_t *pool)
{
    const char *page = apr_pstrmemdup(pool, text, strcspn(text, "#"));

    return acme_url_valid(page) || acme_url_valid_as(page, "http://");
}

const char *acme_setters_agree_terms(acme_target_t *to, int argc,
                                     char *const argv[])
{
    apr_pool_t *pool = to->cmd->pool;
    apr_array_header_t *terms = NULL;
    int i;

    to->settings->terms = NULL;
    if (argc == 1 && !strstr(argv[0], "://")) {
        return acme_setters_flag(&to->settings->agree_terms, argv[0], pool);
    }
    terms = apr_array_make(pool, argc, sizeof(const char *));
    for (i = 0; i < argc; i++) {
        if (!is_terms(argv[i], pool)) {
            return apr_psprintf(pool,
                                "\"%s\" is neither on nor off nor the URL of "
                                "terms of service",
                                argv[i]);
        }
        APR_ARRAY_PUSH(terms, const char *) = argv[i];
    }
    to->settings->terms = terms;
    to->settings->agree_terms = 0;
    return NULL;
}

const char *acme_setters_contact(acme_target_t *to, int argc,
                                 char *const argv[])
{
    apr_pool_t *pool = to->cmd->pool;
    apr_array_header_t *contacts =
        apr_array_make(pool, argc, sizeof(const char *));
    int i;

    for (i = 0; i < argc; i++) {
        const char *contact = acme_contact_of(argv[i], pool);

        if (argc == 1 && !strcasecmp(argv[i], "none")) {
            break;
        }
        if (!contact) {
            return apr_psprintf(pool,
                                "\"%s\" is not a mail address; addresses such "
                                "as admin@example.org are allowed, or none",
                                argv[i]);
        }
        APR_ARRAY_PUSH(contacts, const char *) = contact;
    }
    to->settings->contacts = contacts;
    return NULL;
}

const char *acme_setters_profile(acme_target_t *to, int argc,
                                 char *const argv[])
{
    apr_pool_t *pool = to->cmd->pool;
    int required = argc == 2 && !strcasecmp(argv[1], "required");
    int one = 1;
    /* "google required" asks for a profile that happens to be called so */
    acme_ca_settings_t *settings =
        acme_setters_of_ca(to, required ? &one : &argc, &argv);
    const char *p;

    if (argc > 2) {
        return acme_setters_no_ca(argv[0], pool);
    }
    for (p = argv[0]; apr_isalnum(*p) || (*p && strchr("-._~", *p)); p++) {
    }
    if (*p || p == argv[0] || p - argv[0] > MAX_PROFILE) {
        return apr_psprintf(pool,
                            "\"%s\" is not a profile's name, which is 1 to 64 "
                            "letters, digits, '-', '.', '_' and '~'",
                            argv[0]);
    }
    if (argc == 2 && strcasecmp(argv[1], "required")) {
        return apr_psprintf(pool,
                            "\"%s\" follows the profile's name, where only "
                            "required is allowed",
                            argv[1]);
    }
    settings->profile = argv[0];
    settings->profile_required = argc == 2;
    return NULL;
}

/* --- accounts ---------------------------------------------------------------- */

static const char *set_binding(acme_external_t *external, acme_target_t *to,
                               const char *kid, const char *hmac)
{
    apr_pool_t *pool = to->cmd->pool;
    const char *body;
    acme_err_t *err;

    hide_arguments(to->cmd->directive,
                   apr_pstrcat(pool, kid, " (the key is not shown)", NULL));
    err = acme_jws_bind(&body, kid, hmac, "", "{}", to->cmd->temp_pool);
    if (err) {
        return acme_setters_sentence(err, pool);
    }
    external->kid = kid;
    external->hmac = hmac;
    return NULL;
}

/* Of many hosts that name one file, all have the same. */
static const char *set_external_file(const acme_external_t **set,
                                     acme_external_t *external,
                                     const char *name, apr_pool_t *pool)
{
    apr_hash_t *all = acme_config_global()->externals;
    acme_external_t *known;

    external->file = ap_server_root_relative(pool, name);
    if (!external->file) {
        return apr_psprintf(pool, "\"%s\" is not a path", name);
    }
    known = apr_hash_get(all, external->file, APR_HASH_KEY_STRING);
    if (!known) {
        apr_hash_set(all, external->file, APR_HASH_KEY_STRING, external);
    }
    *set = known ? known : external;
    return NULL;
}

const char *acme_setters_external(acme_target_t *to, int argc,
                                  char *const argv[])
{
    apr_pool_t *pool = to->cmd->pool;
    acme_ca_settings_t *settings = acme_setters_of_ca(to, &argc, &argv);
    acme_external_t *external = apr_pcalloc(pool, sizeof(*external));

    if (argc > 2) {
        return acme_setters_no_ca(argv[0], pool);
    }
    if (strlen(argv[0]) > MAX_KID) {
        return "what stands there for a key identifier or a file is too long";
    }
    settings->external = external;
    if (argc == 2) {
        return set_binding(external, to, argv[0], argv[1]);
    }
    /* It may be a key that got here by mistake: not to be repeated. */
    if (!strpbrk(argv[0], "/.") || strpbrk(argv[0], " \t")) {
        return "a single argument is the path of a file; key identifier and "
               "HMAC key are two, without quotation marks around both";
    }
    return set_external_file(&settings->external, external, argv[0], pool);
}

/* As with acme_setters_external; a program has its say in what is read. */
static const acme_account_key_t *share_key(acme_account_key_t *key,
                                           apr_pool_t *pool)
{
    apr_hash_t *all = acme_config_global()->account_keys;
    const char *name =
        key->program ? apr_pstrcat(pool, key->file, "\n", key->program, NULL)
                     : key->file;
    const acme_account_key_t *known =
        apr_hash_get(all, name, APR_HASH_KEY_STRING);

    if (!known) {
        apr_hash_set(all, name, APR_HASH_KEY_STRING, key);
    }
    return known ? known : key;
}

static const char *set_own_key(acme_account_key_t *key, apr_pool_t *pool,
                               int argc, char *const argv[])
{
    key->file =
        strpbrk(argv[0], "/.") ? ap_server_root_relative(pool, argv[0]) : NULL;
    if (!key->file) {
        return apr_psprintf(pool,
                            "\"%s\" is neither a key type (rsa2048, rsa3072, "
                            "rsa4096, ecdsa-p256, ecdsa-p384) nor the path of "
                            "a file with a key",
                            argv[0]);
    }
    if (argc == 2) {
        key->program = !strncmp(argv[1], "exec:", 5) && argv[1][5]
                           ? ap_server_root_relative(pool, argv[1] + 5)
                           : NULL;
        if (!key->program) {
            return apr_psprintf(pool,
                                "\"%s\" follows the key's file, where only "
                                "exec: and the path of a program that prints "
                                "the pass phrase is allowed",
                                argv[1]);
        }
    }
    return NULL;
}

const char *acme_setters_account_key(acme_target_t *to, int argc,
                                     char *const argv[])
{
    apr_pool_t *pool = to->cmd->pool;
    acme_ca_settings_t *settings = acme_setters_of_ca(to, &argc, &argv);
    acme_account_key_t *key = apr_pcalloc(pool, sizeof(*key));
    const char *fault;

    if (argc > 2) {
        return acme_setters_no_ca(argv[0], pool);
    }
    settings->account_key = key;
    if (argc == 1 && !acme_key_type_parse(&key->type, argv[0])) {
        return NULL;
    }
    fault = set_own_key(key, pool, argc, argv);
    if (!fault) {
        settings->account_key = share_key(key, pool);
    }
    return fault;
}
