#include "httpd/look.h"

#include <stdlib.h>
#include <string.h>

#include <apr_hash.h>
#include <apr_strings.h>
#include <apr_tables.h>
#include <http_config.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <util_cfgtree.h>

#include "core/encode.h"
#include "httpd/config.h"
#include "httpd/log.h"

/* --- what was read --------------------------------------------------------------- */

static void add_text(EVP_MD_CTX *md, const char *text)
{
    EVP_DigestUpdate(md, text ? text : "", text ? strlen(text) + 1 : 1);
}

/* Not where it stands: comments and line breaks change nothing. */
static void add_directives(EVP_MD_CTX *md, const ap_directive_t *node)
{
    for (; node; node = node->next) {
        add_text(md, node->directive);
        add_text(md, node->args);
        add_directives(md, node->first_child);
        add_text(md, NULL);
    }
}

const char *acme_look_digest(apr_pool_t *pool)
{
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int len = 0;
    module **m;

    if (md && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1) {
        /* LoadModule leaves no directive */
        for (m = ap_loaded_modules; *m; m++) {
            add_text(md, (*m)->name);
        }
        add_directives(md, ap_conftree);
        EVP_DigestUpdate(md, acme_config_global()->hidden, ACME_SHA256);
        EVP_DigestFinal_ex(md, digest, &len);
    }
    EVP_MD_CTX_free(md);
    return acme_encode_hex(digest, len, pool);
}

/* --- pairs of files ----------------------------------------------------------------- */

/* SSLCertificateFile and SSLCertificateKeyFile of one host: the key of the same
 * place belongs to a certificate; one without is in the certificate's file. */
typedef struct pairs_t {
    apr_array_header_t *certs, *keys; /* const char *, absolute */
    const char *engine, *protocol;    /* SSLEngine and Protocol, or NULL */
} pairs_t;

/* What a host has of its own takes the place of as many of the main server's; those
 * behind this many stand behind those. */
#define IN_PLACE 3

static void note_file(apr_array_header_t *files, const char *args)
{
    const char *name = ap_getword_conf(files->pool, &args);
    const char *path = ap_server_root_relative(files->pool, name);

    APR_ARRAY_PUSH(files, const char *) = path ? path : name;
}

static pairs_t read_pairs(const ap_directive_t *node, apr_pool_t *pool)
{
    pairs_t pairs = { apr_array_make(pool, 2, sizeof(const char *)),
                      apr_array_make(pool, 2, sizeof(const char *)), NULL,
                      NULL };

    for (; node; node = node->next) {
        const char *args = node->args ? node->args : "";

        if (!strcasecmp(node->directive, "SSLCertificateFile")) {
            note_file(pairs.certs, args);
        }
        else if (!strcasecmp(node->directive, "SSLCertificateKeyFile")) {
            note_file(pairs.keys, args);
        }
        else if (!strcasecmp(node->directive, "SSLEngine")) {
            pairs.engine = ap_getword_conf(pool, &args);
        }
        else if (!strcasecmp(node->directive, "Protocol")) {
            pairs.protocol = ap_getword_conf(pool, &args);
        }
    }
    return pairs;
}

static apr_array_header_t *merge_files(const apr_array_header_t *main,
                                       const apr_array_header_t *own)
{
    apr_array_header_t *files =
        apr_array_make(own->pool, 2, sizeof(const char *));
    int i, places = own->nelts < IN_PLACE ? own->nelts : IN_PLACE;

    for (i = 0; i < places; i++) {
        APR_ARRAY_PUSH(files, const char *) =
            APR_ARRAY_IDX(own, i, const char *);
    }
    for (; i < main->nelts; i++) {
        APR_ARRAY_PUSH(files, const char *) =
            APR_ARRAY_IDX(main, i, const char *);
    }
    for (i = places; i < own->nelts; i++) {
        APR_ARRAY_PUSH(files, const char *) =
            APR_ARRAY_IDX(own, i, const char *);
    }
    return files;
}

/* As mod_ssl (2.4) does. */
static void merge_pairs(pairs_t *own, const pairs_t *main)
{
    own->certs = merge_files(main->certs, own->certs);
    own->keys = merge_files(main->keys, own->keys);
    own->engine = own->engine ? own->engine : main->engine;
    own->protocol = own->protocol ? own->protocol : main->protocol;
}

static int is_loaded(const pairs_t *pairs)
{
    return pairs->engine
               ? strcasecmp(pairs->engine, "off") != 0
               : pairs->protocol && !strcasecmp(pairs->protocol, "https");
}

static int no_phrase(char *buffer, int size, int writing, void *asked)
{
    (void)buffer;
    (void)size;
    (void)writing;
    *(int *)asked = 1;
    return -1;
}

static int is_token(const char *name)
{
    return !strncasecmp(name, "pkcs11:", 7);
}

/* @return NULL: they fit, or it cannot be told here: tokens and pass phrases are
 *         httpd's to know */
static const char *find_fault(const char *cert_file, const char *key_file)
{
    BIO *cert_bio = BIO_new_file(cert_file, "r");
    BIO *key_bio = BIO_new_file(key_file, "r");
    int unknown = is_token(cert_file) || is_token(key_file);
    X509 *cert =
        cert_bio ? PEM_read_bio_X509_AUX(cert_bio, NULL, no_phrase, &unknown)
                 : NULL;
    EVP_PKEY *key =
        key_bio ? PEM_read_bio_PrivateKey(key_bio, NULL, no_phrase, &unknown)
                : NULL;
    const char *fault = unknown ? NULL
                        : !cert
                            ? "the first has no certificate that can be read"
                        : !key ? "the second has no key that can be read"
                        : X509_check_private_key(cert, key) != 1
                            ? "the key is another certificate's"
                            : NULL;

    ERR_clear_error();
    EVP_PKEY_free(key);
    X509_free(cert);
    BIO_free(key_bio);
    BIO_free(cert_bio);
    return fault;
}

/* Of all hosts. */
typedef struct search_t {
    server_rec *server;
    apr_hash_t *seen; /* "certificate\nkey" -> "" */
    apr_pool_t *pool;
    int wrong; /* certificates that would not let the server start */
} search_t;

static void check_pair(search_t *search, const char *cert, const char *key)
{
    const char *both = apr_pstrcat(search->pool, cert, "\n", key, NULL);
    const char *fault;

    if (apr_hash_get(search->seen, both, APR_HASH_KEY_STRING)) {
        return;
    }
    apr_hash_set(search->seen, both, APR_HASH_KEY_STRING, "");
    fault = find_fault(cert, key);
    if (fault) {
        acme_log_msg(search->server, search->pool, ACME_E_LOOK_PAIR, cert, key,
                     fault, NULL);
        search->wrong++;
    }
}

static void check_pairs(search_t *search, const pairs_t *pairs)
{
    int i;

    for (i = 0; i < pairs->certs->nelts && is_loaded(pairs); i++) {
        const char *cert = APR_ARRAY_IDX(pairs->certs, i, const char *);

        check_pair(search, cert,
                   i < pairs->keys->nelts
                       ? APR_ARRAY_IDX(pairs->keys, i, const char *)
                       : cert);
    }
}

static int check_all_pairs(server_rec *s, apr_pool_t *ptemp)
{
    search_t search = { s, apr_hash_make(ptemp), ptemp, 0 };
    const pairs_t main = read_pairs(ap_conftree, ptemp);
    const ap_directive_t *node;
    apr_pool_t *pool;

    check_pairs(&search, &main);
    apr_pool_create(&pool, ptemp);
    for (node = ap_conftree; node; node = node->next) {
        if (!strcasecmp(node->directive, "<VirtualHost")) {
            pairs_t own = read_pairs(node->first_child, pool);

            merge_pairs(&own, &main);
            check_pairs(&search, &own);
            apr_pool_clear(pool);
        }
    }
    apr_pool_destroy(pool);
    return search.wrong;
}

int acme_look_compare(server_rec *s, apr_pool_t *ptemp)
{
    const char *served = getenv(ACME_LOOK_VARIABLE);

    if (!served) {
        return 0;
    }
    if (strcmp(served, acme_look_digest(ptemp))) {
        exit(ACME_LOOK_DIFFERS);
    }
    return check_all_pairs(s, ptemp);
}
