/**
 * Runs one session and one order against the fake CA under a simulated clock,
 * the way the engine does: save what is dirty before anything is sent, wait
 * exactly as long as told, resume from disk after a kill.
 */
#ifndef REPLAY_H
#define REPLAY_H

#include "core/order.h"
#include "fake_ca.h"

/** Who answers requests in place of the fake CA. */
typedef void replay_answer_fn_t(void *baton, const char *label,
                                const acme_wire_t *wire, acme_reply_t *reply,
                                apr_pool_t *pool);

typedef struct replay_t {
    apr_pool_t *pool;
    ca_t *ca;
    replay_answer_fn_t *answer; /* NULL: ca does */
    void *baton;
    acme_session_config_t account;
    acme_order_config_t wanted;
    apr_time_t start, now;

    acme_session_t *session;
    acme_order_t *order;
    apr_pool_t *session_pool, *order_pool; /* die with the process */
    const char *disk;                      /* the saved order, or NULL */
    const char *disk_kid;                  /* the saved account URL, or NULL */
    acme_account_state_t disk_account;     /* with all that belongs to it */
    int disk_saved;                        /* that these two are there */
    apr_array_header_t *queue; /* acme_request_t *: waiting for a nonce */
    int newest_first;          /* answer in reverse order */
    int busy;                  /* so many proofs have to wait at first */
    const char *unpublishable; /* kind of proof that cannot be shown, or NULL */

    const char *programless; /* name whose program fails, or NULL */

    int kill_at;              /* die at this point of the run, 1..; 0: never */
    apr_time_t killed_at_now; /* the clock is set to that then, if not 0 */
    int points;               /* passed so far */
    int killed_unanswered;    /* died between a request and its reply ... */
    const char *killed_label; /* ... of this label */
    const char *poll_every; /* Retry-After of replies given by hand, or NULL */
    int max_steps;          /* guards against a loop without end */

    int attempts; /* that have failed; kept by replay_again */

    /* what came of it */
    char *transcript; /* labels of all requests, space separated */
    apr_size_t transcript_len, transcript_room;
    int published, withdrawn;
    acme_msg_t told;         /* the last trouble that passes by itself ... */
    const char *told_text;   /* ... in words ... */
    int told_at;             /* ... and when it was first told, in seconds */
    const char *chain_pem;   /* DONE, else NULL */
    const acme_err_t *error; /* FAILED, of the order or the session */
    int session_failed;
    apr_time_t retry_session_at;
} replay_t;

/** A run for names (space separated), http-01 preferred, in pool. */
replay_t *replay_create(const char *names, apr_pool_t *pool);

/** Run to the end; error is set where it fails. */
void replay_run(replay_t *replay);

/** Attempts after which the engine keeps no order (ACME_JOB_MAX_KEPT). */
#define REPLAY_MAX_KEPT 5

/** The next attempt, in the same process, when it is due: as the engine does, with
 *  the order that has failed if that may live. */
void replay_again(replay_t *replay);

/** Seconds of simulated time since the start. */
int replay_seconds(const replay_t *replay);

#endif
