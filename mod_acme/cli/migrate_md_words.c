/* mod_md's directives in words of this module's. */
#include "cli/migrate.h"

#include <apr_lib.h>
#include <apr_strings.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "core/encode.h"

#define MAX_RSA_BITS 65536

/* Where directives hold: the server, or one managed domain. */
typedef struct scope_t {
    ctl_move_t *move;
    const ctl_directive_t *section; /* NULL: the server */
    apr_array_header_t *lines;      /* const char * */
    apr_array_header_t *notes;      /* const char *: what has no equivalent */
    const char *renew, *profile, *proxy, *proxy_ca;
    int no_ari, profile_required, contacts;
} scope_t;

typedef struct word_t word_t;
typedef void say_fn_t(scope_t *scope, const word_t *word,
                      const ctl_directive_t *directive);

struct word_t {
    const char *md;
    const char *acme; /* what says the same; or NULL */
    say_fn_t *say;
    const char *note; /* for the administrator; or NULL */
};

/* --- small ones ----------------------------------------------------------------------- */

static void put(scope_t *scope, const char *line)
{
    APR_ARRAY_PUSH(scope->lines, const char *) = line;
}

static void note(scope_t *scope, const ctl_directive_t *directive,
                 const char *text)
{
    apr_pool_t *pool = scope->move->ctl->pool;
    APR_ARRAY_PUSH(scope->notes, const char *) =
        apr_pstrcat(pool, ctl_conf_where(&directive->place, pool), "  ",
                    directive->name, ": ", text, NULL);
}

static const char *first(const scope_t *scope, const ctl_directive_t *directive)
{
    const char *args = directive->args;
    const char *word = ctl_conf_word(&args, scope->move->ctl->pool);
    return word ? word : "";
}

static const char *quoted(const scope_t *scope,
                          const ctl_directive_t *directive)
{
    apr_pool_t *pool = scope->move->ctl->pool;
    const char *args = directive->args, *word, *text = "";

    while ((word = ctl_conf_word(&args, pool)) != NULL) {
        text = apr_pstrcat(pool, text, " ", ctl_move_word(word, pool), NULL);
    }
    return text;
}

static void say_same(scope_t *scope, const word_t *word,
                     const ctl_directive_t *directive)
{
    put(scope, apr_pstrcat(scope->move->ctl->pool, word->acme,
                           quoted(scope, directive), NULL));
    if (word->note) {
        note(scope, directive, word->note);
    }
}

static void say_note(scope_t *scope, const word_t *word,
                     const ctl_directive_t *directive)
{
    note(scope, directive, word->note);
}

/* Worth a note only where it is on. */
static void say_if_on(scope_t *scope, const word_t *word,
                      const ctl_directive_t *directive)
{
    if (!strcasecmp(first(scope, directive), "on")) {
        note(scope, directive, word->note);
    }
}

static void say_nothing(scope_t *scope, const word_t *word,
                        const ctl_directive_t *directive)
{
    (void)scope;
    (void)word;
    (void)directive;
}

/* --- accounts and CAs ------------------------------------------------------------------ */

static void say_agreement(scope_t *scope, const word_t *word,
                          const ctl_directive_t *directive)
{
    const char *what = first(scope, directive);
    apr_pool_t *pool = scope->move->ctl->pool;

    put(scope,
        apr_pstrcat(pool, word->acme, " ",
                    strncasecmp(what, "https:", 6) ? "on"
                                                   : ctl_move_word(what, pool),
                    NULL));
}

static void say_contact(scope_t *scope, const word_t *word,
                        const ctl_directive_t *directive)
{
    const char *what = first(scope, directive);
    apr_pool_t *pool = scope->move->ctl->pool;

    scope->contacts = 1;
    what += strncasecmp(what, "mailto:", 7) ? 0 : 7;
    put(scope,
        apr_pstrcat(pool, word->acme, " ", ctl_move_word(what, pool), NULL));
}

static const char *ca_named(const char *text)
{
    static const char *const names[][2] = {
        { "LetsEncrypt", "letsencrypt" },
        { "LetsEncrypt-Test", "letsencrypt-staging" },
        { "Buypass", "https://api.buypass.com/acme/directory" },
        { "Buypass-Test", "https://api.test4.buypass.no/acme/directory" },
    };

    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (!strcasecmp(names[i][0], text)) {
            return names[i][1];
        }
    }
    return ctl_move_ca(text);
}

static void say_ca(scope_t *scope, const word_t *word,
                   const ctl_directive_t *directive)
{
    apr_pool_t *pool = scope->move->ctl->pool;
    const char *args = directive->args, *one, *line = word->acme;
    int count = 0;

    while ((one = ctl_conf_word(&args, pool)) != NULL && count < ACME_MAX_CAS) {
        line = apr_pstrcat(pool, line, " ", ctl_move_word(ca_named(one), pool),
                           NULL);
        count++;
    }
    put(scope, line);
    if (one) {
        note(scope, directive, "AcmeCA takes four CAs at most");
    }
}

/* As mod_md reads it: words, or a JSON file with both. */
static const acme_external_t *external_of(ctl_move_t *move,
                                          const ctl_directive_t *directive)
{
    apr_pool_t *pool = move->ctl->pool;
    apr_array_header_t *words = ctl_conf_words(directive->args, pool);
    acme_external_t *external = apr_pcalloc(pool, sizeof(*external));

    if (words->nelts > 1) {
        external->kid = APR_ARRAY_IDX(words, 0, const char *);
        external->hmac = APR_ARRAY_IDX(words, 1, const char *);
        return external;
    }
    const char *path =
        words->nelts ? APR_ARRAY_IDX(words, 0, const char *) : "none";
    const json_t *doc =
        strcasecmp(path, "none")
            ? ctl_move_json(move, ctl_conf_path(move->conf, path, pool))
            : NULL;
    const char *kid = acme_json_string(doc, "kid");
    const char *hmac = acme_json_string(doc, "hmac");
    external->kid = kid;
    external->hmac = hmac;
    return kid && hmac ? external : NULL;
}

const acme_external_t *ctl_md_external(ctl_move_t *move)
{
    const apr_array_header_t *all = move->conf->directives;

    for (int i = 0; i < all->nelts; i++) {
        const ctl_directive_t *one = APR_ARRAY_IDX(all, i, ctl_directive_t *);
        if (!one->section && ctl_conf_is(one, "MDExternalAccountBinding")) {
            return external_of(move, one);
        }
    }
    return NULL;
}

static void say_external(scope_t *scope, const word_t *word,
                         const ctl_directive_t *directive)
{
    apr_pool_t *pool = scope->move->ctl->pool;
    const acme_external_t *external = external_of(scope->move, directive);

    if (!external) {
        if (strcasecmp(first(scope, directive), "none")) {
            note(scope, directive, "its file could not be read");
        }
        return;
    }
    scope->move->secret = 1;
    put(scope,
        apr_pstrcat(pool, word->acme, " ", ctl_move_word(external->kid, pool),
                    " ", ctl_move_word(external->hmac, pool), NULL));
}

static void say_proxy(scope_t *scope, const word_t *word,
                      const ctl_directive_t *directive)
{
    (void)word;
    if (ctl_conf_is(directive, "MDHttpProxy")) {
        scope->proxy = first(scope, directive);
    }
    else {
        scope->proxy_ca = first(scope, directive);
    }
}

static void say_trust(scope_t *scope, const word_t *word,
                      const ctl_directive_t *directive)
{
    if (strcasecmp(first(scope, directive), "none")) {
        say_same(scope, word, directive);
    }
}

static void say_profile(scope_t *scope, const word_t *word,
                        const ctl_directive_t *directive)
{
    (void)word;
    if (ctl_conf_is(directive, "MDProfile")) {
        scope->profile = first(scope, directive);
    }
    else {
        scope->profile_required = !strcasecmp(first(scope, directive), "on");
    }
}

/* --- times and keys ---------------------------------------------------------------------- */

/* "21d", "33%", "30" (of days, or seconds), "15mi". */
static const char *span_of(const char *text, int in_days, apr_pool_t *pool)
{
    static const struct {
        const char *name;
        long seconds;
    } units[] = {
        { "s", 1 },    { "mi", 60 },   { "min", 60 },
        { "h", 3600 }, { "d", 86400 }, { "w", 604800 },
    };
    char *end;
    long count = strtol(text, &end, 10);
    long seconds = in_days ? 86400 : 1;

    if (*end == '%' || end == text || count < 0 || count > 100000) {
        return text;
    }
    for (unsigned i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (!strcasecmp(units[i].name, end)) {
            seconds = units[i].seconds;
        }
    }
    return seconds == 604800  ? apr_psprintf(pool, "%ldd", count * 7)
           : seconds == 86400 ? apr_psprintf(pool, "%ldd", count)
           : seconds == 3600  ? apr_psprintf(pool, "%ldh", count)
           : seconds == 60    ? apr_psprintf(pool, "%ldmin", count)
                              : apr_psprintf(pool, "%lds", count);
}

static void say_span(scope_t *scope, const word_t *word,
                     const ctl_directive_t *directive)
{
    apr_pool_t *pool = scope->move->ctl->pool;
    int in_days = !ctl_conf_is(directive, "MDRetryDelay");

    put(scope,
        apr_pstrcat(pool, word->acme, " ",
                    span_of(first(scope, directive), in_days, pool), NULL));
}

static void say_renew(scope_t *scope, const word_t *word,
                      const ctl_directive_t *directive)
{
    (void)word;
    if (ctl_conf_is(directive, "MDRenewWindow")) {
        scope->renew =
            span_of(first(scope, directive), 1, scope->move->ctl->pool);
    }
    else {
        scope->no_ari = !strcasecmp(first(scope, directive), "off");
    }
}

/* @return "ecdsa-p256", or NULL */
static const char *key_type_of(const char *text, int *bits)
{
    *bits = 0;
    if (!strcasecmp(text, "Default")) {
        return "rsa3072";
    }
    if (!strcasecmp(text, "secp256r1") || !strcasecmp(text, "P-256")
        || !strcasecmp(text, "prime256v1")) {
        return "ecdsa-p256";
    }
    if (!strcasecmp(text, "secp384r1") || !strcasecmp(text, "P-384")) {
        return "ecdsa-p384";
    }
    if (!strncasecmp(text, "RSA", 3)) {
        apr_int64_t asked =
            text[3] ? apr_atoi64(text + 3 + (text[3] == '-')) : 3072;
        *bits = asked > MAX_RSA_BITS ? MAX_RSA_BITS : (int)asked;
        return *bits <= 2048   ? "rsa2048"
               : *bits <= 3072 ? "rsa3072"
                               : "rsa4096";
    }
    return NULL;
}

/* mod_acme has one of a family. */
static void say_keys(scope_t *scope, const word_t *word,
                     const ctl_directive_t *directive)
{
    apr_pool_t *pool = scope->move->ctl->pool;
    apr_array_header_t *words = ctl_conf_words(directive->args, pool);
    const char *rsa = NULL, *ecdsa = NULL;
    int left = 0;

    for (int i = 0; i < words->nelts; i++) {
        const char *text = APR_ARRAY_IDX(words, i, const char *);
        int bits, more = i + 1 < words->nelts;
        const char *type;
        if (!strcasecmp(text, "RSA") && more
            && apr_isdigit(*APR_ARRAY_IDX(words, i + 1, const char *))) {
            text = apr_pstrcat(pool, "RSA",
                               APR_ARRAY_IDX(words, ++i, const char *), NULL);
        }
        type = key_type_of(text, &bits);
        if (!type || *(*type == 'r' ? &rsa : &ecdsa)
            || (bits && bits != 2048 && bits != 3072 && bits != 4096)) {
            left = 1;
        }
        if (type) {
            const char **place = *type == 'r' ? &rsa : &ecdsa;
            *place = *place ? *place : type;
        }
    }
    if (rsa || ecdsa) {
        put(scope,
            apr_pstrcat(pool, word->acme, ecdsa ? " " : "", ecdsa ? ecdsa : "",
                        rsa ? " " : "", rsa ? rsa : "", NULL));
    }
    if (left) {
        note(scope, directive,
             "keys are rsa2048, rsa3072, rsa4096, ecdsa-p256 or ecdsa-p384, "
             "one RSA and one ECDSA at most");
    }
}

/* --- the way there ------------------------------------------------------------------------ */

static void say_ports(scope_t *scope, const word_t *word,
                      const ctl_directive_t *directive)
{
    apr_pool_t *pool = scope->move->ctl->pool;
    const char *args = directive->args, *one, *line = word->acme;

    while ((one = ctl_conf_word(&args, pool)) != NULL) {
        const char *colon = strchr(one, ':');
        int https = !strncasecmp(one, "https:", 6) || !strncmp(one, "443:", 4);
        if (colon) {
            line = apr_pstrcat(pool, line, https ? " 443" : " 80", colon, NULL);
        }
    }
    put(scope, line);
}

static void say_require_https(scope_t *scope, const word_t *word,
                              const ctl_directive_t *directive)
{
    const char *how = first(scope, directive);

    if (!scope->section) {
        say_same(scope, word, directive);
    }
    else if (strcasecmp(how, "off")) {
        note(scope, directive,
             apr_pstrcat(scope->move->ctl->pool, "write AcmeRequireHttps ", how,
                         " into the virtual hosts of these names", NULL));
    }
}

static void say_dns(scope_t *scope, const word_t *word,
                    const ctl_directive_t *directive)
{
    put(scope, apr_pstrcat(scope->move->ctl->pool, word->acme,
                           quoted(scope, directive), NULL));
    note(scope, directive,
         "conf/hooks/dns-mod_md calls the program as mod_md did; look at its "
         "path, and see conf/hooks/README.md");
}

static const word_t WORDS[] = {
    { "MDCertificateAgreement", "AcmeAgreeTerms", say_agreement, NULL },
    { "MDContactEmail", "AcmeContact", say_contact, NULL },
    { "MDCertificateAuthority", "AcmeCA", say_ca, NULL },
    { "MDCACertificateFile", "AcmeCATrustFile", say_trust, NULL },
    { "MDExternalAccountBinding", "AcmeExternalAccount", say_external, NULL },
    { "MDHttpProxy", NULL, say_proxy, NULL },
    { "MDHttpProxyCACertificateFile", NULL, say_proxy, NULL },
    { "MDProfile", NULL, say_profile, NULL },
    { "MDProfileMandatory", NULL, say_profile, NULL },
    { "MDCAChallenges", "AcmeChallenges", say_same, NULL },
    { "MDChallengeDns01", "AcmeDnsCommand " ACME_HOOKS "/dns-mod_md", say_dns,
      NULL },
    { "MDChallengeDns01Version", NULL, say_nothing, NULL },
    { "MDPortMap", "AcmePortMap", say_ports, NULL },
    { "MDPrivateKeys", "AcmeKeyType", say_keys, NULL },
    { "MDMustStaple", "AcmeMustStaple", say_same, NULL },
    { "MDRenewMode", "AcmeRenewMode", say_same, NULL },
    { "MDDriveMode", "AcmeRenewMode", say_same, NULL },
    { "MDRenewWindow", NULL, say_renew, NULL },
    { "MDRenewViaARI", NULL, say_renew, NULL },
    { "MDWarnWindow", "AcmeWarn", say_span, NULL },
    { "MDRetryDelay", "AcmeRetry", say_span, NULL },
    { "MDRequireHttps", "AcmeRequireHttps", say_require_https, NULL },
    { "MDMessageCmd", "AcmeOn renewing,renewed,installed,expiring,errored",
      say_same,
      "it is called with event and name as before; ocsp- and challenge-setup "
      "events are not raised (mod_acme/doc/events.md)" },
    { "MDNotifyCmd", "AcmeOn renewed", say_same,
      "it gets \"renewed\" and one name behind its arguments, not all names" },
    { "MDServerStatus", "AcmeStatus", say_same, NULL },
    { "MDStapling", NULL, say_if_on,
      "write SSLUseStapling on into these hosts, and SSLStaplingCache: mod_acme "
      "feeds mod_ssl's stapling (conf/examples/ocsp-stapling.conf)" },
    { "MDStapleOthers", NULL, say_if_on,
      "mod_acme staples for the hosts that it manages alone" },
    { "MDCertificateFile", NULL, say_note,
      "write SSLCertificateFile into the virtual host instead" },
    { "MDCertificateKeyFile", NULL, say_note,
      "write SSLCertificateKeyFile into the virtual host instead" },
    { "MDBaseServer", NULL, say_if_on,
      "AcmeManage on manages the main server too, where it has SSLEngine on" },
    { "MDCertificateStatus", NULL, say_nothing, NULL },
    { "MDCertificateCheck", NULL, say_note,
      "the status page links to no other place" },
    { "MDActivationDelay", "AcmeActivateDelay", say_span, NULL },
    { "MDRetryFailover", NULL, say_note,
      "the next CA is asked as soon as the first one is at fault" },
    { "MDCheckInterval", NULL, say_nothing, NULL },
    { "MDInitialDelay", NULL, say_nothing, NULL },
    { "MDStoreDir", NULL, say_nothing, NULL },
    { "MDStoreLocks", NULL, say_if_on,
      "servers on one store share it by a lease" },
    { "MDMatchNames", NULL, say_nothing, NULL },
    { "MDMembers", NULL, say_nothing, NULL },
    { "MDMember", NULL, say_nothing, NULL },
    { "MDomain", NULL, say_nothing, NULL },
    { "MDCertificateProtocol", NULL, say_nothing, NULL },
    { "MDStaplingKeepResponse", NULL, say_nothing, NULL },
    { "MDStaplingRenewWindow", NULL, say_nothing, NULL },
};

/* --- scopes ------------------------------------------------------------------------------- */

int ctl_md_is_directive(const ctl_directive_t *directive)
{
    return !strncmp(directive->name, "MD", 2)
           || !strncmp(directive->name, "<MD", 3);
}

static const word_t *find_word(const ctl_directive_t *directive)
{
    for (unsigned i = 0; i < sizeof(WORDS) / sizeof(WORDS[0]); i++) {
        if (ctl_conf_is(directive, WORDS[i].md)) {
            return &WORDS[i];
        }
    }
    return NULL;
}

/* What needs two directives of mod_md's. */
static void finish_scope(scope_t *scope)
{
    apr_pool_t *pool = scope->move->ctl->pool;

    if (scope->renew || scope->no_ari) {
        put(scope,
            apr_pstrcat(pool, "AcmeRenew ", scope->renew ? scope->renew : "33%",
                        scope->no_ari ? " noari" : "", NULL));
    }
    if (scope->profile) {
        put(scope,
            apr_pstrcat(pool, "AcmeProfile ",
                        ctl_move_word(scope->profile, pool),
                        scope->profile_required ? " required" : "", NULL));
    }
    if (scope->proxy) {
        put(scope,
            apr_pstrcat(pool, "AcmeProxy ", ctl_move_word(scope->proxy, pool),
                        scope->proxy_ca ? " " : "",
                        scope->proxy_ca ? ctl_move_word(scope->proxy_ca, pool)
                                        : "",
                        NULL));
    }
}

static void read_scope(scope_t *scope)
{
    const apr_array_header_t *all = scope->move->conf->directives;

    for (int i = 0; i < all->nelts; i++) {
        const ctl_directive_t *one = APR_ARRAY_IDX(all, i, ctl_directive_t *);
        const word_t *word;
        if (one->section != scope->section || !ctl_md_is_directive(one)
            || one->name[0] == '<') {
            continue;
        }
        word = find_word(one);
        if (word && word->acme && one->host && !scope->section) {
            /* mod_md heeds it for domains that are defined there, too. */
            note(scope, one,
                 apr_pstrcat(scope->move->ctl->pool,
                             "it stands in a virtual host; where it is meant "
                             "for that one, write ",
                             word->acme, " there", NULL));
        }
        else if (word) {
            word->say(scope, word, one);
        }
        else {
            note(scope, one, "acmectl does not know it");
        }
    }
    finish_scope(scope);
}

int ctl_md_scope(ctl_move_t *move, const ctl_directive_t *section,
                 apr_array_header_t *lines, apr_array_header_t *notes)
{
    scope_t scope = {
        .move = move, .section = section, .lines = lines, .notes = notes
    };

    read_scope(&scope);
    return scope.contacts;
}
