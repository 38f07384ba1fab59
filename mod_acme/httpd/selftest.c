#include "httpd/selftest.h"

#include <string.h>

#include <apr_hash.h>
#include <apr_strings.h>
#include <http_config.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <util_cfgtree.h>

#include "core/encode.h"
#include "httpd/config.h"
#include "httpd/tls.h"

#define ROUNDS 20 /* a handshake takes three */

/* What clients of one kind of key can verify. */
#define SIGALGS_RSA                                                            \
    "RSA-PSS+SHA256:RSA-PSS+SHA384:RSA-PSS+SHA512:RSA+SHA256:RSA+SHA384:"      \
    "RSA+SHA512"
#define SIGALGS_ECDSA "ECDSA+SHA256:ECDSA+SHA384:ECDSA+SHA512"

/* One handshake. */
typedef struct trial_t {
    const server_rec *host;
    const acme_managed_t *managed;
    const acme_set_t *set; /* shown; NULL: what is in service */
    acme_family_t family;
    const char *serial; /* of the certificate that must come */
    SSL *server, *client;
} trial_t;

/* --- as the host does it ------------------------------------------------------- */

static const char *cipher_names(const SSL_CTX *ctx, int tls13, apr_pool_t *pool)
{
    const STACK_OF(SSL_CIPHER) *ciphers = SSL_CTX_get_ciphers(ctx);
    apr_array_header_t *names = apr_array_make(pool, 40, sizeof(const char *));
    int i;

    for (i = 0; i < sk_SSL_CIPHER_num(ciphers); i++) {
        const SSL_CIPHER *cipher = sk_SSL_CIPHER_value(ciphers, i);

        if (((SSL_CIPHER_get_id(cipher) & 0xff00) == 0x1300) == tls13) {
            APR_ARRAY_PUSH(names, const char *) = SSL_CIPHER_get_name(cipher);
        }
    }
    return apr_array_pstrcat(pool, names, ':');
}

/* Of SSLOpenSSLConfCmd: name, value, ... */
static void add_commands(apr_array_header_t *commands,
                         const ap_directive_t *node)
{
    for (; node; node = node->next) {
        const char *args = node->args;

        if (!strcasecmp(node->directive, "SSLOpenSSLConfCmd")) {
            APR_ARRAY_PUSH(commands, const char *) =
                ap_getword_conf(commands->pool, &args);
            APR_ARRAY_PUSH(commands, const char *) =
                ap_getword_conf(commands->pool, &args);
        }
    }
}

static const apr_array_header_t *commands_of(const server_rec *host,
                                             apr_pool_t *pool)
{
    apr_array_header_t *commands = apr_array_make(pool, 2, sizeof(char *));
    const ap_directive_t *node;

    add_commands(commands, ap_conftree);
    for (node = ap_conftree; node; node = node->next) {
        if (host->is_virtual && node->filename == host->defn_name
            && node->line_num == (int)host->defn_line_number) {
            add_commands(commands, node->first_child);
        }
    }
    return commands;
}

/* An SSL_CTX does not tell the groups and signature algorithms that were set. What
 * is of certificates is not for this context, and refused by it; mod_ssl would not
 * have started with what is wrong. */
static void set_commands(SSL_CTX *ctx, const apr_array_header_t *commands)
{
    SSL_CONF_CTX *conf = SSL_CONF_CTX_new();
    int i;

    if (!conf) {
        return;
    }
    SSL_CONF_CTX_set_flags(conf, SSL_CONF_FLAG_FILE | SSL_CONF_FLAG_SERVER);
    SSL_CONF_CTX_set_ssl_ctx(conf, ctx);
    for (i = 0; i + 1 < commands->nelts; i += 2) {
        SSL_CONF_cmd(conf, APR_ARRAY_IDX(commands, i, const char *),
                     APR_ARRAY_IDX(commands, i + 1, const char *));
    }
    SSL_CONF_CTX_finish(conf);
    SSL_CONF_CTX_free(conf);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_NONE, NULL); /* we have none to show */
    ERR_clear_error();
}

/* All of a host that make_like goes by, as text. */
static const char *settings_of(SSL_CTX *host, const server_rec *s,
                               apr_pool_t *pool)
{
    return apr_psprintf(pool, "%ld %ld %d %" APR_UINT64_T_FMT " %s %s %s",
                        (long)SSL_CTX_get_min_proto_version(host),
                        (long)SSL_CTX_get_max_proto_version(host),
                        SSL_CTX_get_security_level(host),
                        (apr_uint64_t)SSL_CTX_get_options(host),
                        cipher_names(host, 0, pool),
                        cipher_names(host, 1, pool),
                        apr_array_pstrcat(pool, commands_of(s, pool), '\n'));
}

/* Not the host's own: mod_ssl's callbacks expect a connection. */
static SSL_CTX *make_like(SSL_CTX *host, const server_rec *s, apr_pool_t *pool)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    const char *old = cipher_names(host, 0, pool);
    const char *new = cipher_names(host, 1, pool);

    if (!ctx) {
        return NULL;
    }
    SSL_CTX_set_min_proto_version(ctx, SSL_CTX_get_min_proto_version(host));
    SSL_CTX_set_max_proto_version(ctx, SSL_CTX_get_max_proto_version(host));
    SSL_CTX_set_security_level(ctx, SSL_CTX_get_security_level(host));
    SSL_CTX_set_options(ctx, SSL_CTX_get_options(host) | SSL_OP_NO_TICKET);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_dh_auto(ctx, 1);
    if ((*old && SSL_CTX_set_cipher_list(ctx, old) != 1)
        || (*new &&SSL_CTX_set_ciphersuites(ctx, new) != 1)) {
        SSL_CTX_free(ctx);
        return NULL;
    }
    set_commands(ctx, commands_of(s, pool));
    return ctx;
}

/* --- the handshake ---------------------------------------------------------------- */

static int make_client(trial_t *trial, SSL_CTX *ctx)
{
    const char *sigalgs =
        trial->family == ACME_FAMILY_RSA ? SIGALGS_RSA : SIGALGS_ECDSA;
    const acme_ident_t *ident =
        APR_ARRAY_IDX(trial->managed->idents, 0, const acme_ident_t *);

    SSL_CTX_set_security_level(ctx, 0);
    trial->client = SSL_new(ctx);
    return trial->client && SSL_set1_sigalgs_list(trial->client, sigalgs) == 1
           && (ident->type == ACME_IDENT_IP
               || SSL_set_tlsext_host_name(trial->client, ident->value) == 1);
}

static int make_server(trial_t *trial, SSL_CTX *ctx)
{
    const acme_set_t *set = trial->set;
    acme_server_config_t *config = acme_config_of(trial->host);

    trial->server = SSL_new(ctx);
    if (!trial->server) {
        return 0;
    }
    SSL_set_num_tickets(trial->server, 0);
    if (!set) {
        acme_tls_choose(trial->server, config->live);
        return 1;
    }
    return SSL_use_cert_and_key(trial->server, set->chain->leaf, set->key,
                                set->chain->issuers, 1)
           == 1;
}

static int connect_both(trial_t *trial)
{
    BIO *one, *two;

    if (BIO_new_bio_pair(&one, 0, &two, 0) != 1) {
        return 0;
    }
    SSL_set_bio(trial->client, one, one);
    SSL_set_bio(trial->server, two, two);
    SSL_set_connect_state(trial->client);
    SSL_set_accept_state(trial->server);
    return 1;
}

static int goes_on(SSL *ssl, int rv)
{
    int error = rv == 1 ? SSL_ERROR_NONE : SSL_get_error(ssl, rv);

    return error == SSL_ERROR_NONE || error == SSL_ERROR_WANT_READ
           || error == SSL_ERROR_WANT_WRITE;
}

/* The server's reason is the one to be told: the client hears an alert. */
static int shake_hands(const trial_t *trial)
{
    int i, client = 0, server = 0;

    for (i = 0; i < ROUNDS && (client != 1 || server != 1); i++) {
        client = SSL_do_handshake(trial->client);
        if (!goes_on(trial->client, client)) {
            return 0;
        }
        server = SSL_do_handshake(trial->server);
        if (!goes_on(trial->server, server)) {
            return 0;
        }
    }
    return client == 1 && server == 1;
}

static acme_err_t *failure(const trial_t *trial, const char *why,
                           apr_pool_t *pool)
{
    unsigned long code = ERR_peek_last_error();
    const char *reason = code ? ERR_reason_error_string(code) : NULL;
    const server_rec *host = trial->host;
    acme_err_t *err = acme_err_make(
        pool, ACME_E_SELF_TEST,
        apr_psprintf(pool, "%s:%d",
                     host->defn_name ? host->defn_name : "the main server",
                     (int)host->defn_line_number),
        why      ? why
        : reason ? reason
                 : "the handshake does not end",
        NULL);

    if (ERR_GET_REASON(code) == ERR_R_MALLOC_FAILURE) {
        err = acme_err_make(pool, ACME_E_MEMORY, "trying a handshake", NULL);
    }
    ERR_clear_error();
    return err;
}

static acme_err_t *compare(const trial_t *trial, apr_pool_t *pool)
{
    X509 *leaf = SSL_get0_peer_certificate(trial->client);
    acme_record_t seen = { 0 };

    if (!leaf) {
        return failure(trial, "no certificate is shown", pool);
    }
    ACME_TRY(acme_record_describe(&seen, leaf, pool));
    return strcmp(seen.serial, trial->serial)
               ? failure(trial,
                         apr_pstrcat(pool, "the certificate shown has serial ",
                                     seen.serial, NULL),
                         pool)
               : NULL;
}

static acme_err_t *run(trial_t *trial, SSL_CTX *server, SSL_CTX *client,
                       apr_pool_t *pool)
{
    acme_err_t *err = NULL;

    ERR_clear_error();
    if (!server || !client || !make_client(trial, client)
        || !make_server(trial, server) || !connect_both(trial)
        || !shake_hands(trial)) {
        err = failure(trial, NULL, pool);
    }
    if (!err) {
        err = compare(trial, pool);
    }
    SSL_free(trial->client);
    SSL_free(trial->server);
    return err;
}

/* --- at each host ---------------------------------------------------------------------- */

static acme_err_t *at_host(server_rec *s, trial_t *trial, apr_pool_t *pool)
{
    acme_server_config_t *config = acme_config_of(s);
    SSL_CTX *server, *client;
    acme_err_t *err;

    if (trial->set) {
        ACME_TRY(acme_tls_may_show(config->live, trial->set, pool));
    }
    else {
        /* a handshake may be loading it, and others see the old one */
        ACME_TRY(acme_tls_settle(config->live, pool));
    }
    trial->host = s;
    server = make_like(config->tls, s, pool);
    client = SSL_CTX_new(TLS_client_method());
    err = run(trial, server, client, pool);
    SSL_CTX_free(client);
    SSL_CTX_free(server);
    return err;
}

/* Those that do it as another one does tell nothing new: a wildcard may have any
 * number of them, and the engine waits here. */
static acme_err_t *at_hosts(server_rec *base, trial_t *trial, apr_pool_t *pool)
{
    apr_hash_t *tried = apr_hash_make(pool);
    acme_err_t *err = NULL;
    apr_pool_t *scratch;
    server_rec *s;

    apr_pool_create(&scratch, pool);
    for (s = base; s && !err; s = s->next) {
        const acme_server_config_t *config = acme_config_of(s);
        const char *settings;

        if (!config->tls || !config->live
            || config->managed != trial->managed) {
            continue;
        }
        apr_pool_clear(scratch);
        settings = settings_of(config->tls, s, scratch);
        if (!apr_hash_get(tried, settings, APR_HASH_KEY_STRING)) {
            apr_hash_set(tried, apr_pstrdup(pool, settings),
                         APR_HASH_KEY_STRING, s);
            err = acme_err_dup(at_host(s, trial, scratch), pool);
        }
    }
    apr_pool_destroy(scratch);
    return err;
}

acme_err_t *acme_selftest_prove(server_rec *base, const acme_managed_t *managed,
                                const acme_set_t *set, apr_pool_t *pool)
{
    trial_t trial = { .managed = managed,
                      .set = set,
                      .family = acme_key_family(set->record->key_type) };
    acme_record_t described = { 0 };

    ACME_TRY(acme_record_describe(&described, set->chain->leaf, pool));
    trial.serial = described.serial;
    return at_hosts(base, &trial, pool);
}

acme_err_t *acme_selftest_check(server_rec *base, const acme_managed_t *managed,
                                const acme_record_t *record, apr_pool_t *pool)
{
    trial_t trial = { .managed = managed,
                      .family = acme_key_family(record->key_type),
                      .serial = record->serial };

    return at_hosts(base, &trial, pool);
}
