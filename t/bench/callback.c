/* What the callbacks of mod_acme cost by themselves, without httpd and without a
 * handshake around them: tls.c and stapling.c as they are, on a store that is
 * made here.
 *
 *     callback COUNT
 *
 * prints nanoseconds of CPU per call, where mod_ssl has the right certificate
 * already, where a set that was swapped live must be put in its place, and where
 * an OCSP response is stapled; the call alone, with the clock's own cost taken
 * off.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <apr_general.h>

#include "httpd/staples.c"
#include "httpd/stapling.c"
#include "httpd/tls.c"

#define SET_NUMBER 2
#define RESPONSE   2000 /* octets: with a responder's certificate */

/* --- what tls.c has from elsewhere ------------------------------------------- */

server_rec *ap_server_conf;

static acme_set_t the_set;
static acme_record_t record = { .number = SET_NUMBER };

int acme_live_generation(const acme_slot_t *slot, acme_family_t family)
{
    /* the slot is an atomic number here, as in the live table */
    return family == ACME_FAMILY_ECDSA ? atomic_load_explicit(
               (const _Atomic int *)(const void *)slot, memory_order_acquire)
                                       : 0;
}

static acme_staples_t *the_staples;

acme_staples_t *acme_live_staples(const acme_slot_t *slot, acme_family_t family)
{
    (void)slot;
    return acme_staples_at(the_staples, family);
}

int acme_led_is(apr_time_t now)
{
    (void)now;
    return 1;
}

acme_err_t *acme_store_load_fresh(acme_set_t **set, acme_store_t *store,
                                  const char *dir, acme_family_t family,
                                  int number, apr_pool_t *pool)
{
    (void)store;
    (void)dir;
    (void)family;
    (void)number;
    (void)pool;
    *set = &the_set;
    return NULL;
}

acme_family_t acme_key_family(acme_key_type_t type)
{
    (void)type;
    return ACME_FAMILY_ECDSA;
}

const char *acme_family_name(acme_family_t family)
{
    (void)family;
    return "ecdsa";
}

/* What is loaded here is whole: nobody asks why it is not. */
static acme_err_t the_err;

acme_err_t *acme_err_ssl(apr_pool_t *pool, acme_msg_t msg, ...)
{
    (void)pool;
    (void)msg;
    return &the_err;
}

acme_err_t *acme_err_make(apr_pool_t *pool, acme_msg_t msg, ...)
{
    (void)pool;
    (void)msg;
    return &the_err;
}

acme_err_t *acme_err_dup(const acme_err_t *err, apr_pool_t *pool)
{
    (void)pool;
    return err ? &the_err : NULL;
}

acme_err_t *acme_cert_info(acme_cert_info_t **info, X509 *cert,
                           apr_pool_t *pool)
{
    (void)info;
    (void)cert;
    (void)pool;
    return &the_err;
}

acme_err_t *acme_fit_set(const acme_fit_t *fit, const acme_chain_t *chain,
                         EVP_PKEY *key, apr_pool_t *pool)
{
    (void)fit;
    (void)chain;
    (void)key;
    (void)pool;
    return NULL;
}

void acme_log_msg(server_rec *s, apr_pool_t *scratch, acme_msg_t msg, ...)
{
    (void)s;
    (void)scratch;
    (void)msg;
}

void acme_log_err(server_rec *s, const char *prefix, const acme_err_t *err,
                  apr_pool_t *scratch)
{
    (void)s;
    (void)prefix;
    (void)err;
    (void)scratch;
}

/* --- certificates -------------------------------------------------------------- */

static X509 *certify(EVP_PKEY *key)
{
    X509 *cert = X509_new();

    ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
    X509_gmtime_adj(X509_getm_notBefore(cert), 0);
    X509_gmtime_adj(X509_getm_notAfter(cert), 86400);
    X509_set_pubkey(cert, key);
    X509_sign(cert, key, EVP_sha256());
    return cert;
}

static void make_set(acme_chain_t *chain)
{
    the_set.key = EVP_EC_gen("P-256");
    chain->leaf = certify(the_set.key);
    chain->issuers = sk_X509_new_null();
    sk_X509_push(chain->issuers, certify(EVP_EC_gen("P-256")));
    the_set.chain = chain;
    the_set.record = &record;
}

/* --- the clock ------------------------------------------------------------------ */

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return 1e9 * (double)t.tv_sec + (double)t.tv_nsec;
}

static int compare(const void *a, const void *b)
{
    const double *one = a, *two = b;

    return (*one > *two) - (*one < *two);
}

static void make_staple(void)
{
    static const unsigned char response[RESPONSE];
    acme_staple_t staple = { .serial = "01",
                             .der = response,
                             .len = sizeof(response),
                             .until =
                                 apr_time_now() + apr_time_from_sec(3600) };

    the_staples = calloc(1, acme_staples_size(ACME_FAMILIES));
    acme_staples_put(acme_staples_at(the_staples, ACME_FAMILY_ECDSA), &staple);
}

/* Median of count calls, each on a new SSL as in a handshake: a call that was
 * interrupted for another process does not count. */
static double stapling_cost(SSL_CTX *ctx, const acme_live_t *live, int count)
{
    double *taken = calloc((size_t)count, sizeof(*taken)), median;
    stapler_t stapler = { .live = live, .wanted = 1 };
    int i;

    for (i = 0; i < count; i++) {
        SSL *ssl = SSL_new(ctx);
        double began = now();

        if (staple(ssl, &stapler) != SSL_TLSEXT_ERR_OK) {
            exit(1); /* it has not done what is measured */
        }
        taken[i] = now() - began;
        SSL_free(ssl);
    }
    qsort(taken, (size_t)count, sizeof(*taken), compare);
    median = taken[count / 2];
    free(taken);
    return median;
}

static double cost(SSL_CTX *ctx, acme_live_t *live, int count)
{
    double *taken = calloc((size_t)count, sizeof(*taken)), median;
    int i;

    for (i = 0; i < count; i++) {
        SSL *ssl = SSL_new(ctx);
        double began = now();

        if (live) {
            choose_certificate(ssl, live);
        }
        taken[i] = now() - began;
        if (live && live->families[0].pair
            && SSL_get_certificate(ssl) != live->families[0].pair->leaf) {
            exit(1); /* it has not done what is measured */
        }
        SSL_free(ssl);
    }
    qsort(taken, (size_t)count, sizeof(*taken), compare);
    median = taken[count / 2];
    free(taken);
    return median;
}

int main(int argc, char **argv)
{
    int count = argc > 1 ? atoi(argv[1]) : 10000;
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    EVP_PKEY *key = EVP_EC_gen("P-256");
    acme_policy_t policy = { .key_type_count = 1 };
    acme_managed_t managed = { .name = "a", .dir = "a", .policy = &policy };
    const int placeholder[ACME_FAMILIES] = { 0 };
    acme_chain_t chain = { 0 };
    _Atomic int slot = 0;
    double clock_alone, unchanged, swapped, stapled;
    apr_pool_t *pool;
    acme_live_t *live;

    apr_initialize();
    apr_pool_create(&pool, NULL);
    make_set(&chain);
    SSL_CTX_use_certificate(ctx, certify(key));
    SSL_CTX_use_PrivateKey(ctx, key);
    live = acme_tls_live(&managed, placeholder, NULL, pool);
    acme_tls_follow(live, (acme_slot_t *)(void *)&slot);
    clock_alone = cost(ctx, NULL, count);
    unchanged = cost(ctx, live, count);
    atomic_store(&slot, SET_NUMBER);
    swapped = cost(ctx, live, count);
    make_staple();
    stapled = stapling_cost(ctx, live, count);
    printf("%.0f %.0f %.0f\n", unchanged - clock_alone, swapped - clock_alone,
           stapled - clock_alone);
    return 0;
}
