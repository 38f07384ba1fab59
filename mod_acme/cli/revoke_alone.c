/* Revocation while no server runs. */
#include "cli/revoke.h"

#include <apr_strings.h>
#include <openssl/x509.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "cli/trail.h"
#include "cli/worker.h"
#include "core/errand.h"
#include "core/reason.h"
#include "engine/job.h"
#include "engine/proxy.h"
#include "engine/transport.h"

#define LOOK_EVERY apr_time_from_msec(500)

typedef struct target_t {
    const char *dir;
    acme_family_t family;
    const char *serial;
    int reason;
    ctl_entry_t entry;
} target_t;

typedef struct alone_t {
    ctl_t *ctl;
    acme_transport_t *transport;
    acme_transport_ca_t ca;
    acme_errand_t *errand;
    int in_flight;
    acme_msg_t told; /* the last trouble */
    apr_time_t end;  /* of patience */
} alone_t;

/* --- asking the CA ---------------------------------------------------------------- */

static void on_reply(void *baton, const acme_reply_t *reply)
{
    alone_t *alone = baton;

    alone->in_flight = 0;
    acme_errand_feed(alone->errand, reply, apr_time_now());
}

static acme_err_t *set_up(alone_t *alone)
{
    const char *proxy = ctl_option(alone->ctl, "--proxy");
    apr_pool_t *pool = alone->ctl->pool;

    alone->ca.trust_file = ctl_option(alone->ctl, "--trust-file");
    if (proxy) {
        acme_proxy_t *parsed;
        ACME_TRY(acme_proxy_parse(&parsed, proxy, pool));
        alone->ca.proxy = parsed;
    }
    signal(SIGPIPE, SIG_IGN);
    acme_transport_global_init();
    return acme_transport_create(&alone->transport, ACME_VERSION, pool);
}

static acme_err_t *poll(alone_t *alone, apr_time_t until)
{
    apr_interval_time_t wait = until ? until - apr_time_now() : LOOK_EVERY;

    return acme_transport_poll(alone->transport, wait < 0 ? 0
                                                 : wait > LOOK_EVERY
                                                     ? LOOK_EVERY
                                                     : wait);
}

/* @return whether it is over */
static acme_err_t *go_on(alone_t *alone, int *over, apr_pool_t *round)
{
    acme_errand_step_t step = { .state = ACME_ERRAND_WAIT };

    if (!alone->in_flight) {
        acme_errand_next(&step, alone->errand, apr_time_now(), round);
    }
    if (step.state == ACME_ERRAND_DONE) {
        *over = 1;
        return NULL;
    }
    if (step.state == ACME_ERRAND_FAILED) {
        return acme_err_dup(step.error, alone->ctl->pool);
    }
    if (step.state == ACME_ERRAND_SEND) {
        alone->in_flight = 1;
        ACME_TRY(acme_transport_send(alone->transport, &alone->ca, step.wire,
                                     on_reply, alone));
    }
    return poll(alone, step.state == ACME_ERRAND_WAIT ? step.until : 0);
}

/* What passes by itself is asked again, but not without a word. */
static ctl_exit_t tell_trouble(alone_t *alone)
{
    const acme_err_t *trouble = acme_errand_trouble(alone->errand);

    if (trouble && trouble->msg == ACME_E_CA_TLS) {
        return ctl_say(alone->ctl, ACME_E_REVOKE_TRUST, trouble->text, NULL);
    }
    if (trouble && trouble->msg != alone->told) {
        ctl_say_error(trouble, alone->ctl->pool);
        alone->told = trouble->msg;
    }
    return CTL_DONE;
}

static ctl_exit_t too_late(const alone_t *alone)
{
    ctl_say(alone->ctl, ACME_W_REVOKE_UNCLEAR, NULL);
    return CTL_TIMEOUT;
}

static ctl_exit_t ask(alone_t *alone, const acme_errand_config_t *config)
{
    ctl_t *ctl = alone->ctl;
    apr_pool_t *round;
    int over = 0;

    alone->errand = acme_errand_create(config, ctl->pool);
    apr_pool_create(&round, ctl->pool);
    while (!over) {
        apr_pool_clear(round);
        if (ctl_interrupted || apr_time_now() > alone->end) {
            return too_late(alone);
        }
        acme_err_t *err = go_on(alone, &over, round);
        if (err) {
            return ctl_say_error(err, ctl->pool);
        }
        ctl_exit_t status = tell_trouble(alone);
        if (status != CTL_DONE) {
            return status;
        }
    }
    return CTL_DONE;
}

/* --- what it leads to -------------------------------------------------------------- */

/* Each is true without the other; what another certificate depends on comes first. */
static acme_err_t *note(acme_store_t *store, void *baton, apr_pool_t *pool)
{
    const target_t *target = baton;
    acme_err_t *noted =
        acme_withdrawn_note(store, target->dir, target->family, target->serial,
                            target->reason, pool);
    acme_err_t *written = ctl_write_entry(store, &target->entry, pool);

    return noted ? noted : written;
}

static ctl_exit_t conclude(alone_t *alone, target_t *target)
{
    ctl_t *ctl = alone->ctl;
    const char *family = acme_family_name(target->family);
    const char *reason = acme_reason_name(target->reason);

    printf("done: %s certificate with serial %s is revoked%s\n", family,
           target->serial,
           acme_errand_was_done(alone->errand) ? " (it was before)" : "");
    target->entry =
        ctl_entry(ctl, ACME_I_REVOKED, ctl_subject(ctl, target->dir, family),
                  target->serial, reason ? reason : "no reason given",
                  ctl_asked_by(ctl), NULL);
    ctl_exit_t status = ctl_as_worker(ctl, note, target);
    if (status == CTL_DONE) {
        puts("Where it is still managed, the server orders another one as soon "
             "as it is started.");
    }
    return status;
}

/* --- which ------------------------------------------------------------------------ */

typedef struct wanted_t {
    ctl_t *ctl;
    const target_t *of;
    EVP_PKEY *key;     /* or NULL */
    acme_err_t *unfit; /* why the first was passed over */
} wanted_t;

/* The worker may have put sets that were never issued above the one that was: those
 * that root would not promote are passed over. */
static int is_wanted(void *baton, const acme_set_t *set)
{
    wanted_t *wanted = baton;
    acme_err_t *unfit = NULL;

    if (set->record->from == ACME_RECORD_FRESH) {
        unfit = ctl_check_fresh(wanted->ctl, wanted->of->dir,
                                wanted->of->family, set);
        wanted->unfit = wanted->unfit ? wanted->unfit : unfit;
    }
    return !unfit
           && (!wanted->key
               || EVP_PKEY_eq(wanted->key, X509_get0_pubkey(set->chain->leaf))
                      == 1);
}

/* @return also where there is a set: one that was passed over was told of */
static ctl_exit_t find_set(acme_set_t **set, ctl_t *ctl, const target_t *of,
                           EVP_PKEY *key)
{
    wanted_t wanted = { ctl, of, key, NULL };
    const acme_choice_t choice = { is_wanted, &wanted };
    acme_err_t *err = acme_store_find_set(set, ctl->store, of->dir, of->family,
                                          &choice, ctl->pool);

    err = wanted.unfit ? wanted.unfit : err;
    return err ? ctl_say_error(err, ctl->pool) : CTL_DONE;
}

/* @return CTL_DONE also where it is not meant */
static ctl_exit_t revoke_one(alone_t *alone, const target_t *of, EVP_PKEY *key,
                             int *count)
{
    ctl_t *ctl = alone->ctl;
    acme_set_t *set = NULL;
    ctl_exit_t found = find_set(&set, ctl, of, key);
    unsigned char *der = NULL;

    if (!set) {
        return found;
    }
    if (!set->record->ca_url) {
        return ctl_say(ctl, ACME_E_REVOKE_ACCOUNT, "?", NULL);
    }
    int len = i2d_X509(set->chain->leaf, &der);
    const acme_errand_config_t config = {
        .kind = ACME_ERRAND_REVOKE,
        .directory_url = set->record->ca_url,
        .key = key ? key : set->key,
        .by_certificate = 1,
        .certificate = apr_pmemdup(ctl->pool, der, len > 0 ? (size_t)len : 0),
        .len = len > 0 ? (apr_size_t)len : 0,
        .reason = of->reason,
    };
    OPENSSL_free(der);
    (*count)++;
    target_t target = *of;
    target.serial = set->record->serial;
    /* the worker has written down which CA that is */
    printf("%s is asked to revoke the %s certificate with serial %s.\n",
           acme_encode_printable(config.directory_url, 255, ctl->pool),
           acme_family_name(of->family), target.serial);
    fflush(stdout);
    ctl_exit_t status = ask(alone, &config);
    return status == CTL_DONE ? conclude(alone, &target) : status;
}

ctl_exit_t ctl_revoke_alone(ctl_t *ctl, EVP_PKEY *key, int reason)
{
    alone_t alone = { .ctl = ctl,
                      .end = apr_time_now() + apr_time_from_sec(ctl->timeout) };
    target_t of = { .reason = reason };
    ctl_exit_t status = ctl_find(ctl, ctl->operands[0], &of.dir);
    int count = 0;

    if (status != CTL_DONE) {
        return status;
    }
    acme_err_t *err = set_up(&alone);
    if (err) {
        return ctl_say_error(err, ctl->pool);
    }
    puts("No server runs: the certificate is revoked by its own key.");
    fflush(stdout);
    for (int i = 0; i < ACME_FAMILIES; i++) {
        of.family = (acme_family_t)i;
        ctl_exit_t one = revoke_one(&alone, &of, key, &count);
        status = status == CTL_DONE ? one : status;
    }
    return status == CTL_DONE && !count ? ctl_say(
               ctl, key ? ACME_E_REVOKE_KEY : ACME_E_REVOKE_NONE,
               acme_encode_printable(ctl->operands[0], 253, ctl->pool), NULL)
                                        : status;
}
