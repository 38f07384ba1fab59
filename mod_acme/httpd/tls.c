#include "httpd/tls.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include <apr_strings.h>
#include <http_log.h>
#include <http_main.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "core/cert.h"
#include "engine/fit.h"
#include "httpd/log.h"
#include "httpd/tlsalpn.h"

/* After a set could not be loaded, the next handshake that tries again. */
#define LOAD_RETRY apr_time_from_sec(5)

/* A certificate in memory, shared by the handshakes that use it. */
typedef struct pair_t {
    _Atomic int references;
    int number;
    X509 *leaf;
    STACK_OF(X509) *issuers;
    EVP_PKEY *key;
} pair_t;

typedef struct family_t {
    int base;         /* what mod_ssl was given; 0: nothing */
    X509 *leaf;       /* of that, as long as mod_ssl's SSL_CTX; or NULL */
    int wanted;       /* configured */
    pair_t *pair;     /* newer than base, or NULL; under the_lock */
    int failed;       /* number that could not be loaded; under loading */
    int failures;     /* how often in a row; under loading */
    apr_time_t again; /* when to try it again */
} family_t;

struct acme_live_t {
    const acme_managed_t *managed;
    acme_store_t *store;
    acme_slot_t *slot; /* NULL outside the real pass */
    int replace_all;   /* mod_ssl has what must not be shown any more */
    /* One load of this certificate at a time: who finds it taken goes on with
     * the old pair, so that no handshake waits for the disk. */
    pthread_mutex_t loading;
    family_t families[ACME_FAMILIES];
};

/* Guards every family_t.pair for the few instructions it takes to copy it. */
static pthread_mutex_t the_lock = PTHREAD_MUTEX_INITIALIZER;
/* Guards the list of shared intermediates. */
static pthread_mutex_t sharing = PTHREAD_MUTEX_INITIALIZER;

acme_live_t *acme_tls_live(const acme_managed_t *managed,
                           const int base[ACME_FAMILIES], acme_store_t *store,
                           apr_pool_t *pconf)
{
    acme_live_t *live = apr_pcalloc(pconf, sizeof(*live));
    const acme_policy_t *policy = managed->policy;
    int i, placeholder = 1;

    pthread_mutex_init(&live->loading, NULL);
    live->managed = managed;
    live->store = store;
    for (i = 0; i < policy->key_type_count; ++i) {
        live->families[acme_key_family(policy->key_types[i])].wanted = 1;
    }
    for (i = 0; i < ACME_FAMILIES; ++i) {
        live->families[i].base = base[i];
        placeholder = placeholder && !base[i];
        live->replace_all |= base[i] && !live->families[i].wanted;
    }
    live->replace_all |= placeholder;
    return live;
}

void acme_tls_follow(acme_live_t *live, acme_slot_t *slot)
{
    live->slot = slot;
}

acme_slot_t *acme_tls_slot(const acme_live_t *live)
{
    return live->slot;
}

int acme_tls_ready(const acme_live_t *live)
{
    int i;

    for (i = 0; i < ACME_FAMILIES; ++i) {
        if (live->families[i].base
            || (live->slot && acme_live_generation(live->slot, i))) {
            return 1;
        }
    }
    return 0;
}

static void release(pair_t *pair)
{
    if (pair && atomic_fetch_sub(&pair->references, 1) == 1) {
        X509_free(pair->leaf);
        sk_X509_pop_free(pair->issuers, X509_free);
        EVP_PKEY_free(pair->key);
        free(pair);
    }
}

static pair_t *acquire(family_t *family)
{
    pair_t *pair;

    pthread_mutex_lock(&the_lock);
    pair = family->pair;
    if (pair) {
        atomic_fetch_add(&pair->references, 1);
    }
    pthread_mutex_unlock(&the_lock);
    return pair;
}

static void replace(family_t *family, pair_t *pair)
{
    pair_t *old;

    pthread_mutex_lock(&the_lock);
    old = family->pair;
    family->pair = pair;
    pthread_mutex_unlock(&the_lock);
    release(old);
}

/* Intermediates are the same for many certificates: one X509 each for the whole
 * process. A handful, so a list does; under sharing. */
#define SHARED_MAX 64
static X509 *shared[SHARED_MAX];
static int shared_count;

static X509 *share(X509 *issuer)
{
    int i;

    for (i = 0; i < shared_count; ++i) {
        if (!X509_cmp(shared[i], issuer)) {
            X509_up_ref(shared[i]);
            return shared[i];
        }
    }
    if (shared_count < SHARED_MAX) {
        X509_up_ref(issuer);
        shared[shared_count++] = issuer;
    }
    X509_up_ref(issuer);
    return issuer;
}

static int encode(unsigned char **der, X509 *cert)
{
    *der = NULL;
    return i2d_X509(cert, der);
}

/* A leaf has a key object of its own, equal to the public half of the private
 * key's: sharing that one saves 2 of 7 KiB a certificate and child. @return the
 * leaf to use, a reference; it is sent as the CA signed it, whatever an OpenSSL
 * makes of this */
static X509 *slim_leaf(X509 *leaf, EVP_PKEY *key)
{
    unsigned char *before, *after;
    int before_len = encode(&before, leaf);
    X509 *slim = X509_dup(leaf);
    int after_len;

    if (slim && X509_set_pubkey(slim, key) == 1) {
        after_len = encode(&after, slim);
        if (after_len > 0 && after_len == before_len
            && !memcmp(before, after, (size_t)after_len)) {
            OPENSSL_free(before);
            OPENSSL_free(after);
            return slim;
        }
        OPENSSL_free(after);
    }
    ERR_clear_error();
    X509_free(slim);
    OPENSSL_free(before);
    X509_up_ref(leaf);
    return leaf;
}

static pair_t *make_pair(const acme_set_t *set)
{
    pair_t *pair = calloc(1, sizeof(*pair));
    STACK_OF(X509) *issuers = sk_X509_new_null();
    int i;

    if (!pair || !issuers) {
        free(pair);
        sk_X509_free(issuers);
        return NULL;
    }
    pthread_mutex_lock(&sharing);
    for (i = 0; i < sk_X509_num(set->chain->issuers); ++i) {
        X509 *issuer = share(sk_X509_value(set->chain->issuers, i));

        if (!sk_X509_push(issuers, issuer)) {
            X509_free(issuer);
        }
    }
    pthread_mutex_unlock(&sharing);
    atomic_init(&pair->references, 1);
    pair->number = set->record->number;
    pair->leaf = slim_leaf(set->chain->leaf, set->key);
    pair->key = set->key;
    EVP_PKEY_up_ref(pair->key);
    pair->issuers = issuers;
    return pair;
}

/* Tried again soon, then less and less often: each attempt is a line in the
 * log of every child. */
static void note_failure(family_t *family, int number)
{
    int before = family->failed == number ? family->failures : 0;
    int doublings = before < 8 ? before : 8;

    family->failures = before + 1;
    family->failed = number;
    family->again = apr_time_now() + (LOAD_RETRY << doublings);
}

/* Names of what mod_ssl was given. */
static const apr_array_header_t *names_of_base(const acme_live_t *live,
                                               apr_pool_t *pool)
{
    apr_array_header_t *names = apr_array_make(pool, 4, sizeof(acme_ident_t *));
    acme_cert_info_t *info;
    int i;

    for (i = 0; i < ACME_FAMILIES; ++i) {
        X509 *leaf = live->families[i].leaf;

        if (leaf && !acme_cert_info(&info, leaf, pool)) {
            apr_array_cat(names, info->idents);
        }
    }
    return live->managed->former
               ? apr_array_append(pool, names, live->managed->former)
               : names;
}

acme_err_t *acme_tls_may_show(const acme_live_t *live, const acme_set_t *set,
                              apr_pool_t *pool)
{
    const acme_fit_t fit = { live->managed->dir,
                             acme_key_family(set->record->key_type),
                             live->managed->idents, names_of_base(live, pool),
                             apr_time_now() };

    return acme_fit_set(&fit, set->chain, set->key, pool);
}

static acme_err_t *fetch(pair_t **pair, const acme_live_t *live,
                         acme_family_t which, int number, apr_pool_t *pool)
{
    acme_set_t *set = NULL;

    ACME_TRY(acme_store_load_fresh(&set, live->store, live->managed->dir, which,
                                   number, pool));
    if (!X509_check_private_key(set->chain->leaf, set->key)) {
        return acme_err_ssl(pool, ACME_E_LIVE_PAIR, live->managed->name, NULL);
    }
    ACME_TRY(acme_tls_may_show(live, set, pool));
    *pair = make_pair(set);
    return *pair ? NULL
                 : acme_err_make(pool, ACME_E_MEMORY, "loading a certificate",
                                 NULL);
}

/* Fetch a set from the store and put it in place, or the one that took its place
 * meanwhile, and had it removed. Any error keeps what is served. Holds
 * live->loading. @return the error, from pool */
static acme_err_t *load(acme_live_t *live, acme_family_t which, int number,
                        apr_pool_t *pool)
{
    family_t *family = &live->families[which];
    pair_t *pair = NULL;
    acme_err_t *err = fetch(&pair, live, which, number, pool);
    int now = acme_live_generation(live->slot, which);

    while (err && now && now != number) {
        number = now;
        err = fetch(&pair, live, which, number, pool);
        now = acme_live_generation(live->slot, which);
    }
    if (err) {
        note_failure(family, number);
        acme_log_err(ap_server_conf, live->managed->name, err, pool);
    }
    else {
        replace(family, pair);
        acme_log_msg(ap_server_conf, pool, ACME_I_LIVE_LOADED,
                     live->managed->name, acme_family_name(which),
                     apr_itoa(pool, number), NULL);
        family->failed = 0;
        family->failures = 0;
    }
    ERR_clear_error();
    return err;
}

/* For a handshake, which goes on with what there is. */
static void load_unasked(acme_live_t *live, acme_family_t which, int number)
{
    apr_pool_t *pool;

    if (apr_pool_create_unmanaged_ex(&pool, NULL, NULL) == APR_SUCCESS) {
        acme_err_t *told = load(live, which, number, pool);

        (void)told;
        apr_pool_destroy(pool);
    }
}

/* Bring family up to generation number, unless somebody is at it already. The
 * first certificate of a host is waited for: there is only the placeholder. */
static pair_t *refresh(acme_live_t *live, acme_family_t which, int number,
                       int must_wait)
{
    family_t *family = &live->families[which];
    pair_t *pair;

    if (must_wait) {
        pthread_mutex_lock(&live->loading);
    }
    else if (pthread_mutex_trylock(&live->loading) != 0) {
        return acquire(family);
    }
    pair = acquire(family);
    if ((!pair || pair->number != number)
        && (family->failed != number || apr_time_now() >= family->again)) {
        release(pair);
        load_unasked(live, which, number);
        pair = acquire(family);
    }
    pthread_mutex_unlock(&live->loading);
    return pair;
}

/* The pair this handshake must put in mod_ssl's place; NULL: mod_ssl's is right.
 * The caller releases it. */
static pair_t *newer(acme_live_t *live, acme_family_t which)
{
    family_t *family = &live->families[which];
    int number = acme_live_generation(live->slot, which);
    pair_t *pair;

    if (number == 0 || number == family->base) {
        return NULL;
    }
    pair = acquire(family);
    if (!pair || pair->number != number) {
        int must_wait = !pair && live->replace_all;

        release(pair);
        pair = refresh(live, which, number, must_wait);
    }
    return pair;
}

acme_err_t *acme_tls_settle(acme_live_t *live, apr_pool_t *pool)
{
    acme_err_t *err = NULL;
    apr_pool_t *sub;
    int i;

    apr_pool_create(&sub, pool);
    for (i = 0; i < ACME_FAMILIES && live->slot && !err; ++i) {
        family_t *family = &live->families[i];
        int number = acme_live_generation(live->slot, i);
        pair_t *pair;

        if (!number || number == family->base) {
            continue;
        }
        pthread_mutex_lock(&live->loading);
        pair = acquire(family);
        if (!pair || pair->number != number) {
            err = load(live, i, number, sub);
        }
        release(pair);
        pthread_mutex_unlock(&live->loading);
    }
    err = acme_err_dup(err, pool);
    apr_pool_destroy(sub); /* with the key */
    return err;
}

static int has_name(X509 *leaf, const char *name)
{
    return X509_check_host(leaf, name, 0, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT,
                           NULL)
               == 1
           || X509_check_ip_asc(leaf, name, 0) == 1;
}

int acme_tls_covers(acme_live_t *live, const char *name)
{
    pair_t *pairs[ACME_FAMILIES] = { NULL };
    int i, any = 0, fitting = 0, others = 0;

    for (i = 0; i < ACME_FAMILIES && live->slot; ++i) {
        pairs[i] = newer(live, i);
        any |= pairs[i] != NULL;
    }
    for (i = 0; i < ACME_FAMILIES; ++i) {
        int replaced = any && live->replace_all;
        X509 *leaf = pairs[i]   ? pairs[i]->leaf
                     : replaced ? NULL
                                : live->families[i].leaf;

        if (leaf && has_name(leaf, name)) {
            fitting++;
        }
        else if (leaf) {
            others++;
        }
        release(pairs[i]);
    }
    return fitting && !others;
}

static void use_pairs(SSL *ssl, const acme_live_t *live,
                      pair_t *const pairs[ACME_FAMILIES])
{
    int i;

    if (live->replace_all) {
        SSL_certs_clear(ssl);
    }
    for (i = 0; i < ACME_FAMILIES; ++i) {
        if (pairs[i]
            && !SSL_use_cert_and_key(ssl, pairs[i]->leaf, pairs[i]->key,
                                     pairs[i]->issuers, 1)) {
            /* the handshake goes on with what is left */
            ERR_clear_error();
        }
    }
}

void acme_tls_choose(SSL *ssl, acme_live_t *live)
{
    pair_t *pairs[ACME_FAMILIES];
    int i, any = 0;

    if (!live->slot) {
        return;
    }
    for (i = 0; i < ACME_FAMILIES; ++i) {
        pairs[i] = newer(live, i);
        any |= pairs[i] != NULL;
    }
    if (any) {
        use_pairs(ssl, live, pairs);
        for (i = 0; i < ACME_FAMILIES; ++i) {
            release(pairs[i]);
        }
    }
}

/* TLS 1.3 has agreed on acme-tls/1 by now; TLS 1.2 does so later. */
static int is_for_ca(const SSL *ssl)
{
    const unsigned char *protocol = NULL;
    unsigned int len = 0;

    SSL_get0_alpn_selected(ssl, &protocol, &len);
    return len == sizeof(ACME_TLSALPN_PROTOCOL) - 1
           && !memcmp(protocol, ACME_TLSALPN_PROTOCOL, len);
}

/* OpenSSL asks for a certificate, SNI has been looked at. SSL_CTX_set_cert_cb(3):
 * 1 goes on. Nothing new costs two atomic reads. */
static int choose_certificate(SSL *ssl, void *data)
{
    /* the certificate of the challenge is in place, and must stay */
    if (!is_for_ca(ssl)) {
        acme_tls_choose(ssl, data);
    }
    return 1;
}

/* What mod_ssl has loaded; every host of the certificate has the same. */
static void note_leaves(SSL_CTX *ctx, acme_live_t *live)
{
    X509 *current = SSL_CTX_get0_certificate(ctx);
    long more = SSL_CTX_set_current_cert(ctx, SSL_CERT_SET_FIRST);

    for (; more == 1; more = SSL_CTX_set_current_cert(ctx, SSL_CERT_SET_NEXT)) {
        X509 *leaf = SSL_CTX_get0_certificate(ctx);
        EVP_PKEY *key = leaf ? X509_get0_pubkey(leaf) : NULL;
        int family = key && EVP_PKEY_base_id(key) == EVP_PKEY_RSA
                         ? ACME_FAMILY_RSA
                         : ACME_FAMILY_ECDSA;

        if (live->families[family].base) {
            live->families[family].leaf = leaf;
        }
    }
    if (current) {
        SSL_CTX_select_current_cert(ctx, current);
    }
}

void acme_tls_attach(SSL_CTX *ctx, acme_live_t *live)
{
    note_leaves(ctx, live);
    SSL_CTX_set_cert_cb(ctx, choose_certificate, live);
}
