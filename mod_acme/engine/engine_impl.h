/**
 * What the engine's own files share; nobody else includes it.
 *
 *   engine.c   life, rounds, jobs: what is due is looked at, nothing else
 *   link.c     one account at one CA: session, requests waiting and under way
 *   link_account.c  which account that is, and what is kept of it
 *   run.c      one order in progress (run_tell.c: what is told of it)
 *   activation.c  how a new set comes into service
 *   events.c   what happens to a certificate, and who is told (notify.c)
 *   gate.c     what must be open while a CA validates
 *   proving.c  how control of its names is proved
 *   planner.c  limits of CAs: who may order now
 *   ari.c      questions for renewal information, in a queue of their own
 *   solver.c   proofs made visible, by the server or in DNS (txt.c), and again
 *              invisible
 *   caacheck.c whether CAA records let the CA issue
 *   preflight.c whether the CA will find this server, and what came of it
 *   keys.c     the key of an order, and the coming one
 *   request.c  what the administrator asks for, and how it is answered
 *   journal.c  what is to be undone or told after a crash, read at a start
 *   check.c    whether a CA would find this server
 *   asked.c    renewals asked for
 *   answers.c  other requests, answered at once
 *   duty*.c    errands at CAs that were asked for: see duty.h
 *   query.c    one question to an OCSP responder
 *   stapling.c OCSP responses of the certificates in service
 *   hold.c     a new certificate that must not be served without one
 *
 * Everything that can become due has a timer; a thing that something happened to
 * is made due now ("poked") and handled in the same round or the next.
 */
#ifndef ACME_ENGINE_IMPL_H
#define ACME_ENGINE_IMPL_H

#include <apr_hash.h>
#include <stdarg.h>

#include "core/ocsp.h"
#include "core/order.h"
#include "core/session.h"
#include "engine/audit.h"
#include "engine/engine.h"
#include "engine/job.h"
#include "engine/keymaker.h"
#include "engine/timer.h"
#include "engine/transport.h"

typedef struct acme_link_t acme_link_t;
typedef struct acme_run_t acme_run_t;
typedef struct acme_call_t acme_call_t;
typedef struct acme_asked_t acme_asked_t;
typedef struct acme_planner_t acme_planner_t;
typedef struct acme_stapling_t acme_stapling_t;
typedef struct acme_hold_t acme_hold_t;
typedef struct acme_duty_t acme_duty_t;

/* How long a CA may be in trouble where there is another to ask. */
#define ACME_PATIENCE apr_time_from_sec(30)

enum {
    ACME_TIMER_JOB,
    ACME_TIMER_RUN,
    ACME_TIMER_LINK,
    ACME_TIMER_TXT,
    ACME_TIMER_ASK,      /* a job's: time to ask about it */
    ACME_TIMER_ASK_LINK, /* a link's: its questions go on */
    ACME_TIMER_DUTY,
    ACME_TIMER_STAPLE,
    ACME_TIMER_GATE,
    ACME_TIMER_WARN, /* a job's: its set ends soon */
    ACME_TIMER_ACTIVATION,
};

/** What a timer is part of. */
#define ACME_OWNER(timer, type, member)                                        \
    ((type *)(void *)((char *)(timer)-APR_OFFSETOF(type, member)))

/* Moments in the past: orders are moved before the links send, so that one
 * newNonce serves what all of them have to say. */
#define ACME_DUE_RUN  1
#define ACME_DUE_LINK 2

#define ACME_MAX_IN_FLIGHT 64 /* requests of one account under way at once */

/** Trouble that was told, so that it is not told each round. Zeroed at first. */
typedef struct acme_told_t {
    acme_msg_t msg;
    apr_time_t time;
} acme_told_t;

struct acme_engine_t {
    const acme_engine_config_t *config;
    const acme_engine_callbacks_t *callbacks;
    acme_store_t *store;
    apr_pool_t *pool;
    apr_pool_t *scratch; /* cleared before each thing that is handled */
    acme_transport_t *transport;
    acme_keymaker_t *keymaker;
    acme_timers_t *timers;
    struct acme_commands_t *commands; /* programs of the administrator */
    struct acme_resolver_t *resolver;
    struct acme_prober_t *prober;
    struct acme_solver_t *solver;
    struct acme_notify_t *notify; /* programs of AcmeOn */
    acme_audit_t audit;           /* where the trail ends */
    acme_audit_recent_t recent;   /* what it says, while jobs are taken over */
    acme_job_t *jobs;
    int job_count;
    apr_hash_t *by_name; /* managed->name: the first of its jobs, in a row */
    acme_planner_t *planners;
    acme_link_t *links;
    int link_count;
    int active;                   /* orders in progress, but for holds */
    apr_time_t turns;             /* ranks given to what comes first */
    apr_interval_time_t starting; /* time this round took to begin orders */
    apr_time_t looked;            /* for requests */
    apr_time_t latest;            /* moment that the clock has shown */
    acme_asked_t *asked;
    acme_duty_t *duties;   /* in the order that they came */
    int requests_resumed;  /* those that a former engine had begun */
    apr_time_t unanswered; /* when an answer could not be stored; 0: never */
    acme_told_t told_beat, told_look;
    acme_stapling_t *staplings, **staplings_end; /* that wait to ask */
    int querying; /* OCSP responders, for staplings */
    apr_pool_t *lost_pool;
    acme_err_t *lost; /* the lease: nothing may be done any more */
};

/** Begin what was asked for, or answer that it cannot be.
 *  @param request  gone when this returns
 *  @param again    it was accepted by an engine that is gone */
typedef void acme_request_fn_t(acme_engine_t *engine,
                               const acme_control_t *request, int again);

/** A list of calls, first in first out. */
typedef struct acme_calls_t {
    acme_call_t *first, **end;
    int count;
} acme_calls_t;

/** Questions for renewal information to one CA. */
typedef struct acme_asking_t {
    acme_timer_t timer;       /* goes on */
    acme_timers_t *queue;     /* of jobs: those that expire first, first */
    int in_flight;            /* of them */
    apr_time_t next;          /* question, not before */
    apr_pool_t *pool;         /* of renewal_info */
    const char *renewal_info; /* of the directory, if we asked for that */
    int directory_asked;      /* it is under way */
    apr_time_t directory_due; /* ask for it again from then on; 0: never did */
    int directory_failures;
    int troubles;          /* questions in a row that the CA could not answer */
    apr_time_t trouble_at; /* the last of them */
    acme_told_t told;
} acme_asking_t;

/** One account at one CA. Lives as long as the engine. */
struct acme_link_t {
    acme_timer_t timer;
    acme_link_t *next;
    acme_engine_t *engine;
    const char *account_dir;
    const acme_managed_t *managed; /* whose contacts and trust hold */
    const acme_ca_t *settings;     /* as its policy has them */
    int agree_terms;               /* that of any certificate */
    apr_array_header_t *terms;     /* those that any certificate agrees to */
    int differing; /* it was told that another's settings differ */
    acme_transport_ca_t ca;
    apr_pool_t *pool;
    acme_account_t *account;
    acme_key_wish_t *wish; /* its key, which is being made; or NULL */
    acme_err_t *unmade;    /* why that came to nothing; own pool, or NULL */
    apr_pool_t *unmade_pool;
    acme_session_config_t config;
    apr_pool_t *session_pool;
    acme_session_t *session; /* NULL until there is work, and a key */
    acme_session_state_t state;
    apr_time_t until;     /* FAILED: no order before */
    acme_told_t told;     /* that there is no session */
    int resting;          /* no order is begun: the account is being changed */
    acme_calls_t own;     /* the session's, to be signed */
    acme_calls_t waiting; /* the orders', to be signed */
    acme_call_t *spare;
    int in_flight;
    acme_run_t *runs;
    int run_count;
    int holding; /* of them, those that only wait for an OCSP response */
    acme_planner_t *planner;
    acme_timers_t *backlog; /* jobs that are due, the most urgent first */
    acme_timers_t *held;    /* those that wait for an order of the account */
    int unanswered;         /* new orders that the CA has not accepted yet */
    acme_asking_t asking;
};

/** The OCSP response of one job's certificate. Lives as long as the engine. */
struct acme_stapling_t {
    acme_timer_t timer; /* when to ask */
    acme_engine_t *engine;
    acme_job_t *job;
    acme_stapling_t *next; /* in the queue */
    int queued;
    int number;       /* set asked about; 0: nobody is asked */
    int must;         /* the certificate demands a response */
    int failures;     /* in a row */
    apr_time_t until; /* end of what is stapled; 0: nothing is */
    apr_time_t told;  /* when it was told that nothing is */
};

/** An order in progress. */
struct acme_run_t {
    acme_timer_t timer;
    acme_run_t *next, **prev; /* in the link's list */
    acme_engine_t *engine;
    acme_link_t *link;
    acme_job_t *job;
    apr_pool_t *pool; /* its own, with everything of the order */
    acme_order_t *order;
    acme_order_config_t config;
    EVP_PKEY *key; /* NULL: being made (wish) */
    acme_key_wish_t *wish;
    struct acme_pub_t *pubs;     /* proofs on their way to be visible */
    struct acme_caacheck_t *caa; /* before the order; NULL: not, or done */
    struct acme_preflight_t *preflight; /* NULL: not */
    apr_time_t begun;                   /* 0: before this process */
    acme_hold_t *hold;   /* its certificate waits for an OCSP response */
    const char *stage;   /* of the order, last in the time-line */
    int calls;           /* requests waiting or under way */
    int ended;           /* the pool is destroyed with the last call */
    int superseded;      /* cancelled because the configuration changed */
    int resumed;         /* taken up from disk */
    acme_msg_t told;     /* the trouble that was told last */
    apr_time_t troubled; /* since when there is trouble of the CA's own; or 0 */
    const acme_setback_t *setback; /* the newest that was learned of */
    unsigned char *lost;  /* for each of the job's names that the order has
                            failed of by its kind of proof: ACME_PROOF_BIT of
                            what the CA offers; NULL: none */
    acme_ending_t ending; /* of dns-persist-01 records that were seen */
    int looked;           /* for any of these */
    int program_works;    /* AcmeDnsCommand has published a record */
    int unanswered;       /* the CA has not accepted it yet */
    int sent;             /* the CA was asked something */
    int spent;            /* it has taken of the CA's limits: its cost */
    acme_limits_order_t cost;
};

/* --- engine.c --------------------------------------------------------------- */

apr_time_t acme_engine_now(const acme_engine_t *engine);
/** A numbered line about a job (or none). One const char * per "%s", NULL. */
void acme_engine_log(acme_engine_t *engine, const acme_job_t *job,
                     acme_msg_t msg, ...) ACME_SENTINEL;
/** The same of something else than a job. @param list  const char *, up to NULL */
void acme_engine_log_under(acme_engine_t *engine, const char *prefix,
                           acme_msg_t msg, va_list list);
void acme_engine_log_error(acme_engine_t *engine, const acme_job_t *job,
                           const acme_err_t *err);
/** What all of these come to: a line of the log, and of the audit trail. */
void acme_engine_say(acme_engine_t *engine, acme_msg_t msg, const char *prefix,
                     const char *text);
/** A message of the table with a text of one's own. */
void acme_engine_log_text(acme_engine_t *engine, const acme_job_t *job,
                          acme_msg_t msg, const char *text);
/** Whether trouble is to be told now: when it is another than before, and every
 *  ten minutes while it lasts. @param err  NULL: it has passed; not told */
int acme_engine_is_news(const acme_engine_t *engine, acme_told_t *told,
                        const acme_err_t *err);
/** The lease is lost, as err says: nothing is written any more. */
void acme_engine_lose(acme_engine_t *engine, const acme_err_t *err);
/** Keeps in mind that the lease is lost, if err is that. @return err */
static inline acme_err_t *acme_engine_note(acme_engine_t *engine,
                                           acme_err_t *err)
{
    if (err && err->msg == ACME_E_LEASE_LOST) {
        acme_engine_lose(engine, err);
    }
    return err;
}
/** Add to the time-line of a job. @param more  appended; or "" */
void acme_engine_event(acme_engine_t *engine, const acme_job_t *job,
                       const char *text, const char *more);
/** Tell the world about a job. */
void acme_engine_report(acme_engine_t *engine, acme_job_t *job);
/** Decide when a job without an order is due, and tell. */
void acme_engine_schedule(acme_engine_t *engine, acme_job_t *job);
/** An attempt failed: count, keep, log with the time of the next, schedule.
 *  @param quiet  the line is told elsewhere, once for many */
void acme_engine_fail(acme_engine_t *engine, acme_job_t *job,
                      const acme_err_t *err, int quiet);
/** The same for an order of these names: where err blames some of them, the job may
 *  go on without (AcmeBadNames). Scheduled in either case.
 *  @param without  what acme_proving_without says; or err */
void acme_engine_fail_names(acme_engine_t *engine, acme_job_t *job,
                            const apr_array_header_t *idents,
                            const acme_err_t *err, const acme_err_t *without);
/** Save what must outlive the process of a job, or remove what is not needed. */
void acme_engine_keep(acme_engine_t *engine, acme_job_t *job);
/** A place for an order became free. */
void acme_engine_place_free(acme_engine_t *engine);

/* --- link_account.c --------------------------------------------------------- */

/** The link of one of a certificate's CAs; made if there is none.
 *  @param ca  which of its policy */
acme_link_t *acme_link_for(acme_engine_t *engine, const acme_managed_t *managed,
                           int ca);
/** Load or make the account, and with it the session, which stays NULL as long as
 *  the account's key is being made: then the link's timer tells when to ask again. */
acme_err_t *acme_link_open(acme_link_t *link) ACME_MUST_CHECK;
/** Whether the job's own settings let it order here: consent is given by whom
 *  the certificate is for, and the account may owe its existence to another's.
 *  The session is READY. @return E_TERMS, from scratch */
acme_err_t *acme_link_may_order(const acme_link_t *link,
                                const acme_job_t *job) ACME_MUST_CHECK;
/** Its key is not wanted any more, if it is still being made. */
void acme_link_forget_key(acme_link_t *link);
/** Keep, and tell, what the session learned of the account. */
void acme_link_remember(acme_link_t *link);

/* --- link.c ----------------------------------------------------------------- */

void acme_link_log(acme_link_t *link, acme_msg_t msg, const char *text);
/** Give a due job its turn when there is a place. Who was asked for by the
 *  administrator or serves nothing yet comes first, then who expires first. */
void acme_link_enqueue(acme_link_t *link, acme_job_t *job);
/** The job has no order any more: its sibling, if that one waited, is due. */
void acme_link_followed(acme_job_t *job);
/** Send a request of an order, as soon as a nonce and a place are there. */
void acme_link_submit(acme_link_t *link, acme_run_t *run,
                      acme_request_t *request);
/** Its timer is due: session, requests, backlog. */
void acme_link_pump(acme_link_t *link);

/** The account is to be changed: no order is begun any more, and those in progress
 *  may come to their end until a moment, from which on they are put off.
 *  @return whether nobody uses it now */
int acme_link_rest(acme_link_t *link, apr_time_t until);
/** The change is over: read the account anew, and go on.
 *  @param other  it is another account: orders of the one before are forgotten,
 *                and so are failures */
void acme_link_wake(acme_link_t *link, int other);

/* --- duty.c ------------------------------------------------------------------- */

/** Its timer is due. */
void acme_duty_pump(acme_duty_t *duty);
/** A change of the link's key was begun by a process that is gone. */
void acme_duty_recover(acme_link_t *link);
acme_request_fn_t acme_duty_contact, acme_duty_rollover, acme_duty_deactivate,
    acme_duty_import, acme_duty_new, acme_duty_revoke;

/* --- proving.c -------------------------------------------------------------- */

/** Set for which names the order is, and how each may be proved: what came to
 *  nothing for it in this attempt never again, what did so for another name
 *  only after the rest. */
void acme_proving_choose(acme_run_t *run, const apr_array_header_t *idents);
/** @return E_NO_PROOF: there is no way to prove one of them */
acme_err_t *acme_proving_check(const acme_run_t *run) ACME_MUST_CHECK;
/** Tell the order that a proof is visible. @param err  NULL, or why it is not */
void acme_proving_published(acme_run_t *run, const acme_proof_t *proof,
                            acme_err_t *err);
/** Keep in mind, and tell, what came to nothing; after each thing fed. */
void acme_proving_learn(acme_run_t *run);
/** The order was begun by a process that is gone: what had failed for it already. */
void acme_proving_recall(acme_run_t *run);
/** What proved the names of the certificate that the order has led to. */
void acme_proving_record(acme_record_t *record, const acme_run_t *run);
/** The order has failed with err.
 *  @param err  its blames are taken away where the fault is AcmeDnsCommand's, which
 *              has failed for all of several names
 *  @return without which names to go on: err, where that is for all it blames; the
 *          same with fewer blames, where other kinds of proof can stand in for the
 *          rest of them; NULL: for all of them, so that there is to be a new order
 *          at once. From scratch */
const acme_err_t *acme_proving_without(acme_run_t *run, acme_err_t *err);
/** The attempt is over, however: the next one begins with the best again. */
void acme_proving_over(acme_job_t *job);

/* --- run.c ------------------------------------------------------------------ */

/** Begin an order for a job, or go on with the saved one. On failure the job
 *  has none and was told so. */
void acme_run_begin(acme_link_t *link, acme_job_t *job);
/** After a start: an order is saved, at one of the job's CAs. */
void acme_run_found(acme_engine_t *engine, acme_job_t *job, const char *saved,
                    apr_size_t len);
/** Go on with it, if it fits, and make its proofs visible. */
void acme_run_resume(acme_engine_t *engine, acme_job_t *job, const char *saved,
                     apr_size_t len);
/** The session failed for long: the order is left on disk, the job told. */
void acme_run_leave(acme_run_t *run, const acme_err_t *err);
void acme_run_poke(acme_run_t *run);
/** Its timer is due. */
void acme_run_pump(acme_run_t *run);
/** A call of it is over. */
void acme_run_called(acme_run_t *run);
/** Show where it stands. */
void acme_run_tell_progress(acme_run_t *run);
/** After a reply: log, and show in the status, what passes by itself. */
void acme_run_tell_trouble(acme_run_t *run);

/* --- planner.c ---------------------------------------------------------------- */

/** The planner of a CA; made, and its state read, if there is none. */
acme_planner_t *acme_planner_for(acme_engine_t *engine, const acme_ca_t *ca);
/** Write down what was spent, if anything was. */
void acme_planner_save(acme_link_t *link);
/** A new account is about to be made. @return E_LIMIT, from scratch */
acme_err_t *acme_planner_take_account(acme_link_t *link) ACME_MUST_CHECK;
/** Whether acme_planner_take has one. */
int acme_planner_has_turn(const acme_link_t *link);
/** Let the link go on when the account's next order is possible. */
void acme_planner_wake(acme_link_t *link);
/** The most urgent job that is due, out of its queue; NULL: none. */
acme_job_t *acme_planner_take(acme_link_t *link);
/** Out of the queue of those that a limit holds, if it is there. */
void acme_planner_unhold(acme_link_t *link, acme_job_t *job);
/** Whether one more new order may be sent, if one that the CA has not answered. */
int acme_planner_window_left(const acme_link_t *link);
/** Whether a limit stands before the job. Then it has been put off, and told.
 *  @param rank  its own among those that wait */
int acme_planner_holds(acme_link_t *link, acme_job_t *job, apr_time_t rank);
/** A new order is about to be sent. */
void acme_planner_begun(acme_run_t *run);
/** A reply of it has come. */
void acme_planner_replied(acme_run_t *run);
/** It has failed for good. */
void acme_planner_failed(acme_run_t *run, const acme_err_t *err);
/** It is over, one way or the other. */
void acme_planner_left(acme_run_t *run);

/* --- ari.c ------------------------------------------------------------------ */

/** Decide when the CA is asked about a job that was planned. */
void acme_asking_plan(acme_engine_t *engine, acme_job_t *job);
/** It is not to be asked about for now. */
void acme_asking_stop(acme_job_t *job);
/** A job's turn to be asked about has come. */
void acme_asking_due(acme_job_t *job);
/** Its timer is due: send questions. */
void acme_asking_pump(acme_link_t *link);
/** After a start: what was answered about the newest set. */
void acme_asking_load(acme_engine_t *engine, acme_job_t *job);
/** After an issue: what must be known of the new set from the one before. */
void acme_asking_keep(acme_engine_t *engine, acme_job_t *job);
/* --- keys.c ----------------------------------------------------------------- */

/** Give a new order its key: one to be used again or a new one, which the order
 *  may have to wait for (run->wish). */
acme_err_t *acme_keys_begin(acme_run_t *run) ACME_MUST_CHECK;
/** That of a saved order; run->key NULL: it has none.
 *  @param expected  it was on disk already when the order was saved */
acme_err_t *acme_keys_resume(acme_run_t *run, int expected) ACME_MUST_CHECK;
/** The order is over. */
void acme_keys_leave(acme_run_t *run);
/** Have the key ready that comes after that of the newest set, and show what TLSA
 *  records say of it. Nothing unless AcmeKeyReuse is next. */
void acme_keys_prepare(acme_engine_t *engine, acme_job_t *job);
/** The CA does not take the key that was made ahead. */
void acme_keys_refused(acme_engine_t *engine, acme_job_t *job);

/* --- request.c -------------------------------------------------------------- */

/** Look for requests and take them up. */
acme_err_t *acme_request_look(acme_engine_t *engine) ACME_MUST_CHECK;
/** Answer; the last answer has the state "done" or "failed".
 *  @return 0: it could not be stored, which is logged. Whoever has asked does not
 *          know of it, and the request is taken up once more, later. */
int acme_request_reply(acme_engine_t *engine, const char *id,
                       const acme_control_reply_t *reply);
/** Answer that it failed, and log why. */
void acme_request_fail(acme_engine_t *engine, const char *id,
                       const acme_err_t *err);
/** The certificate's jobs, in a row, by its identity or any of its names. */
acme_job_t *acme_request_find(acme_engine_t *engine, const char *name);
/** E_REQUEST_NAME */
acme_err_t *acme_request_no_certificate(const acme_control_t *request,
                                        apr_pool_t *pool);

/* --- answers.c -------------------------------------------------------------- */

/** "status": of the certificate, or of all from the number "from" on, as many as
 *  an answer can hold. Its result: "certificates" as in report.h, "total". */
void acme_answers_status(acme_engine_t *engine, const acme_control_t *request,
                         int again);
/** "record": what acmectl has done goes into the audit trail, with the message
 *  "code", about "subject" and in the words of "text". */
void acme_answers_record(acme_engine_t *engine, const acme_control_t *request,
                         int again);
/** "delete": what the worker has of the certificate, whose directory is the text
 *  "directory". @return E_CTL_IN_USE as answer, while it is managed */
void acme_answers_delete(acme_engine_t *engine, const acme_control_t *request,
                         int again);

/* --- asked.c ---------------------------------------------------------------- */

/** "renew": of the certificate, or with the flag "all" of every one; with the
 *  flag "now" whatever limits of the CA this server reckons with. */
void acme_asked_accept(acme_engine_t *engine, const acme_control_t *request,
                       int again);
/** Begin what is still to be begun. */
void acme_asked_go_on(acme_engine_t *engine);
void acme_asked_progress(acme_engine_t *engine, const acme_job_t *job,
                         const char *text);
/** @param err  NULL: it went well */
void acme_asked_outcome(acme_engine_t *engine, acme_job_t *job,
                        const acme_err_t *err);

/* --- check.c ---------------------------------------------------------------- */

/** "check": of the certificate, or of every one. The result has "findings"
 *  (certificate, name, type, code, text, and whether it is a problem), "problems"
 *  and "omitted": how many of these, and how many findings had no room. */
void acme_check_accept(acme_engine_t *engine, const acme_control_t *request,
                       int again);

/* --- query.c ---------------------------------------------------------------- */

/** What became of a question; gone when the callback returns. */
typedef struct acme_answer_t {
    const char *url; /* of the responder */
    acme_err_t *err; /* NULL: ocsp and der are set */
    acme_ocsp_t *ocsp;
    const unsigned char *der;
    apr_size_t len;
} acme_answer_t;
typedef void acme_query_done_fn_t(void *baton, const acme_answer_t *answer);

/** Ask about the leaf of chain; done is called from acme_transport_poll.
 *  @param nth  which of its responders, counted round
 *  @return E_OCSP (there is nobody to ask), E_TRANSPORT; from scratch */
acme_err_t *acme_query_send(acme_engine_t *engine,
                            const acme_transport_ca_t *ca,
                            const acme_chain_t *chain, int nth,
                            acme_query_done_fn_t *done,
                            void *baton) ACME_MUST_CHECK;

/* --- stapling.c ------------------------------------------------------------- */

/** The job's set in service is this: staple the response that is saved for it, and
 *  see to the next. Before the set is activated.
 *  @param record  NULL: there is none
 *  @param issued  just now, so that it is told if nothing can be stapled */
void acme_stapling_learn(acme_engine_t *engine, acme_job_t *job,
                         const acme_record_t *record, int issued);
/** Keep a response, for acme_stapling_learn to find. */
acme_err_t *acme_stapling_save(acme_engine_t *engine, const acme_job_t *job,
                               const char *serial, int must,
                               const acme_answer_t *answer) ACME_MUST_CHECK;
/** Its timer is due. */
void acme_stapling_pump(acme_stapling_t *stapling);

/* --- hold.c ----------------------------------------------------------------- */

/** An order has its certificate. @return 1: this one demands an OCSP response,
 *  and waits for it: acme_run_finish is called when it is there, or when it has
 *  waited long enough */
int acme_hold_begin(acme_run_t *run, const char *chain_pem);
/** The timer of a run with a hold is due. */
void acme_hold_pump(acme_run_t *run);
/** run.c: store the chain, put it into service. */
void acme_run_finish(acme_run_t *run, const char *chain_pem);

#endif
