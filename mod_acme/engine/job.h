/**
 * One certificate of one family on its way: renewal policy, failures so far, and
 * the order in progress. Decides; the engine carries it out.
 */
#ifndef ACME_JOB_H
#define ACME_JOB_H

#include <jansson.h>

#include "core/ari.h"
#include "engine/engine.h"
#include "engine/record.h"
#include "engine/timer.h"

#define ACME_REQUESTED     1
#define ACME_REQUESTED_NOW 2 /* and whatever limits of the CA */

#define ACME_JOB_FINGERPRINT 17 /* 16 hexadecimal digits and NUL */

/** How one of several CAs has fared. Zeroed: it has not failed. */
typedef struct acme_turn_t {
    int failures;     /* in a row, of its own */
    apr_time_t until; /* it is not asked before */
} acme_turn_t;

/** Events that were raised last, so that they are not raised anew; see events.h. */
typedef struct acme_raised_t {
    apr_time_t expiring, errored; /* 0: not */
    int error_code;
    int known;        /* what was raised before the start has been read */
    int reloaded;     /* set that came into service by a reload; 0: none */
    int waits;        /* set that is not in service yet; 0: none */
    acme_wait_t wait; /* for what that is */
    char revoked[48]; /* serial */
} acme_raised_t;

/** That the administrator has had the newest set revoked. Zeroed: no. */
typedef struct acme_withdrawn_t {
    char serial[48]; /* of that certificate; "": none */
    int reason;      /* as in core/reason.h */
} acme_withdrawn_t;

/** The set that handshakes show; zeroed: none. */
typedef struct acme_served_t {
    int number;
    apr_time_t not_before, not_after;
    char serial[48]; /* as in its record */
} acme_served_t;

typedef struct acme_job_t acme_job_t;
typedef struct acme_skip_t acme_skip_t; /* skips.h */

/** Failures in a row that an order may outlive: days. */
#define ACME_JOB_MAX_KEPT 5

struct acme_job_t {
    acme_timer_t timer; /* when the engine looks at it again */
    apr_pool_t *pool;   /* that it lives in */
    const acme_managed_t *managed;
    acme_key_type_t key_type;
    acme_family_t family;
    int ca; /* which of the policy's CAs is asked */
    acme_turn_t turns[ACME_MAX_CAS];
    int kept;   /* an order at that CA is on disk */
    int unread; /* there may be a newer set, which could not be read */
    int made;   /* and its certificate is made: no other CA is asked for one */
    acme_status_t status; /* what the world knows; failures are kept here too */
    apr_time_t renew_at;  /* of the newest set, by our rule; 0: none */
    apr_time_t renew_latest; /* the same, without the spread */
    apr_time_t issued;       /* the newest set */
    apr_time_t retry_at;     /* not before, after a failure; 0: at any time */
    int from_ca;             /* that the newest set is from; -1: none of them */
    int same_names;          /* the newest set is for the names wanted now */
    const char
        *differs; /* how the newest set is not as configured, names aside;
                            static */
    unsigned char has[(ACME_MAX_IDENTS + 7) / 8]; /* bit i: the newest set has
                                                     the i-th name */
    unsigned char
        *proved; /* for each name ACME_PROOF_BIT of what proved it last,
                              or 0; NULL: of none is anything remembered */
    acme_ending_t *ending; /* NULL: no record that proves a name ever ended */
    acme_skip_t *skips;    /* one for each name; NULL: none was ever left out */
    int requested; /* ACME_REQUESTED by the administrator, whatever the mode
                           and earlier failures; or 0 */
    int wished;    /* what was requested has failed: tried again like what is
                           due, until there is a new set */
    int revoked;   /* the CA says so of the newest set */
    acme_withdrawn_t withdrawn;
    int has_doc;      /* something is saved of it */
    char request[24]; /* id of the request it answers, or "" */
    char settings[ACME_JOB_FINGERPRINT]; /* of all that may cure a failure */
    char subject[ACME_JOB_FINGERPRINT];  /* of what an order is about */

    /* of the attempt in progress, which may take several orders: kinds of proof
     * that came to nothing */
    apr_pool_t *attempt;   /* owner of what follows; NULL: nothing yet */
    unsigned char *failed; /* for each of the names: ACME_PROOF_BIT */
    unsigned int doubted;  /* for any of them: last choice for the others */
    const char *why[ACME_PROOF_TYPES];
    int rounds; /* orders that were begun anew for it */

    /* renewal information */
    char ari_id[ACME_ARI_ID]; /* of the newest set; "": it has none */
    acme_ari_t ari;           /* about that one */
    int asks;    /* the CA is to be asked about it; set by acme_job_plan */
    int rushing; /* it is renewed young because the CA wants it */
    char account[ACME_JOB_FINGERPRINT]; /* of the account URL it came by */

    /* the engine's */
    struct acme_link_t *link;
    struct acme_run_t *run;           /* order in progress, or NULL */
    struct acme_stapling_t *stapling; /* NULL until there is something to */
    acme_timer_t turn; /* in its link's backlog: due is its rank */
    int held;          /* the backlog is the one that a limit holds */
    int follows; /* due, as soon as the order of its other family is over */
    acme_timer_t ask;          /* when the CA is asked about it */
    acme_timer_t ask_turn;     /* in its link's queue of questions */
    int asking;                /* the question is under way */
    struct acme_link_t *asked; /* of the CA that is asked */
    acme_timer_t warn;         /* that it ends, next time */
    acme_timer_t activation;   /* the newest set comes into service */
    acme_served_t served;
    acme_raised_t raised;
    struct acme_key_wish_t *wish; /* the coming key is being made, or NULL */
};

/** The CA that is asked for it. */
const acme_ca_t *acme_job_ca(const acme_job_t *job);

/** @param pool     that the job lives in
 *  @param scratch  may be cleared afterwards */
void acme_job_init(acme_job_t *job, const acme_managed_t *managed,
                   acme_key_type_t key_type, apr_pool_t *pool,
                   apr_pool_t *scratch);

/** The newest set. @param record  NULL: there is none */
void acme_job_learn(acme_job_t *job, const acme_record_t *record,
                    apr_pool_t *scratch);

/** When the next attempt is due (ACME_NEVER: none planned), and into the status
 *  what and why. Cheap: allocates nothing that stays. */
apr_time_t acme_job_plan(acme_job_t *job, apr_time_t now, apr_pool_t *scratch);

/* --- job_proved.c: what proved the names last --- */

/** Part of acme_job_learn. Forgotten where AcmeChallenges is another now. */
void acme_job_learn_proved(acme_job_t *job, const acme_record_t *record,
                           apr_pool_t *scratch);
/** What proved ident last, where it is not what is preferred: ACME_PROOF_BIT, or 0 */
unsigned int acme_job_proved(const acme_job_t *job, const acme_ident_t *ident);
/** It has failed, and is not remembered any more. */
void acme_job_disproved(acme_job_t *job, const acme_ident_t *ident,
                        acme_proof_type_t type);
/** Fill in what the record remembers.
 *  @param proved  ACME_PROOF_BIT for each of its idents; 0: not known, so that what
 *                 was remembered stays */
void acme_job_keep_proved(acme_record_t *record, const acme_job_t *job,
                          const unsigned char *proved, apr_pool_t *pool);
/** Where ident stands among the names of the certificate; -1: it is none. */
int acme_job_position(const acme_job_t *job, const acme_ident_t *ident);

/* --- job_ari.c: renewal information, RFC 9773 --- */

/** Part of acme_job_learn. */
void acme_job_learn_ari(acme_job_t *job, const acme_record_t *record);
/** Part of acme_job_plan: no question about what is replaced already, or about to
 *  be, or over. @param due  of the next attempt, failures aside */
void acme_job_plan_asking(acme_job_t *job, apr_time_t due, apr_time_t now);

/** Identifier of the certificate that a new one replaces, in the sense of RFC 9773
 *  section 5: the newest set's, if it came from the configured CA and this
 *  account. @return borrowed from the job; NULL: there is none */
const char *acme_job_replaces(const acme_job_t *job, const char *account_url);

/** The moment that renewal information asks for: within the CA's window, but not
 *  after our own time, and for a certificate that replaces one that the CA wanted
 *  replaced young not at once (10, 100 and 1000 minutes after its issue, then a
 *  day).
 *  @return 0: it asks for none */
apr_time_t acme_job_ari_moment(const acme_job_t *job);

/** An order for it begins, or goes on. */
void acme_job_begun(acme_job_t *job, apr_time_t now);

/* --- job_settings.c: what it is about --- */

/** Sixteen hexadecimal digits over a text. @param out  ACME_JOB_FINGERPRINT */
void acme_job_fingerprint(char *out, const char *text);

/** After a change of ca: what an order there is about. */
void acme_job_set_subject(acme_job_t *job, apr_pool_t *scratch);
/** Part of acme_job_init: settings, which is of all that may cure a failure. */
void acme_job_set_settings(acme_job_t *job, apr_pool_t *scratch);

/* --- how it goes --- */

/** Backoff of AcmeRetry. */
typedef struct acme_job_retry_t {
    apr_interval_time_t first, max;
    unsigned int random; /* uniform */
} acme_job_retry_t;

/** An attempt failed: sets the next one's earliest moment. A refusal that will
 *  not change by itself (CONFIG, CA_FINAL) is asked again a day later.
 *  @return 1: that was the CA's own failure, and another one (now the job's ca) is
 *          to be asked at once; it counts as no failure of the job */
int acme_job_failed(acme_job_t *job, const acme_err_t *err,
                    const acme_job_retry_t *retry, apr_time_t now,
                    apr_pool_t *scratch);
/** Show err in the status without counting a failure: it is asked again. */
void acme_job_troubled(acme_job_t *job, const acme_err_t *err, apr_time_t now,
                       apr_pool_t *scratch);

/** An attempt failed for nothing but names that are left out from now on: that is
 *  no failure of the certificate. */
void acme_job_forgive(acme_job_t *job);
/** The same where nothing is wanted any more of what has failed, as of a set that
 *  could not be read for a while: no attempt would clear it for weeks.
 *  @return whether it was so */
int acme_job_outlives_failure(acme_job_t *job, apr_time_t now,
                              apr_pool_t *scratch);

/** An attempt went well; learn the record first.
 *  @return NULL; or, where the new set is to be replaced at once (it is not as
 *          configured, or its renewal is due already), what is wrong with it:
 *          acme_job_failed with that keeps orders from following each other
 *          without end */
acme_err_t *acme_job_succeeded(acme_job_t *job, apr_time_t now,
                               apr_pool_t *scratch) ACME_MUST_CHECK;

/** What must outlive the process: failures, names left out, the request. */
acme_err_t *acme_job_format(const char **json, const acme_job_t *job,
                            apr_pool_t *pool) ACME_MUST_CHECK;
/** Takes it back. Failures of other settings than the present ones are let go:
 *  what the administrator changed is tried at once.
 *  Names that the newest set has are left out no more: learn it first.
 *  @param pool  lives as long as the job
 *  @return E_JOB_DOC, E_MEMORY, the job as it was */
acme_err_t *acme_job_parse(acme_job_t *job, const char *json, apr_size_t len,
                           apr_pool_t *pool,
                           apr_pool_t *scratch) ACME_MUST_CHECK;
/** After acme_job_parse: what was noted by a clock that was ahead holds the job
 *  back no more. @param retry_max  as in acme_job_retry_t */
void acme_job_check_clock(acme_job_t *job, apr_interval_time_t retry_max,
                          apr_time_t now);

/* --- revoked by the administrator: job_withdrawn.c ----------------------------- */

/** The newest set, if it has this serial, was revoked: it is to be replaced at once,
 *  by one with another key if this one is compromised. */
void acme_job_withdraw(acme_job_t *job, const char *serial, int reason);
/** Part of acme_job_learn, once it is known what differs. */
void acme_job_learn_withdrawn(acme_job_t *job);
/** Part of acme_job_format. @return not 0: there is no memory, or doc is NULL */
int acme_job_format_withdrawn(json_t *doc, const acme_job_t *job);
/** Part of acme_job_parse. */
void acme_job_parse_withdrawn(acme_job_t *job, const json_t *doc);
/** The same for a set that no job looks after, for want of a host or of a server: the
 *  next job finds it in the store. Under the lease. */
acme_err_t *acme_withdrawn_note(acme_store_t *store, const char *dir,
                                acme_family_t family, const char *serial,
                                int reason, apr_pool_t *pool) ACME_MUST_CHECK;
/** From what was noted. @return 0: nothing was */
int acme_withdrawn_parse(acme_withdrawn_t *withdrawn, const json_t *doc);
/** Whether the newest set's key must not be used again. */
int acme_job_shuns_key(const acme_job_t *job);

/* --- several CAs: job_turns.c ------------------------------------------------- */

/** As AcmeCA calls it. */
const char *acme_job_ca_name(const acme_job_t *job, int ca);
/** Before an attempt: the first CA that is not held back, unless an order is kept
 *  at the present one. */
void acme_job_choose(acme_job_t *job, apr_time_t now, apr_pool_t *scratch);
void acme_job_turn_to(acme_job_t *job, int ca, apr_pool_t *scratch);
/** Which of the job's CAs has this account; -1: none */
int acme_job_find_account(const acme_job_t *job, const char *account_dir,
                          apr_pool_t *scratch);
/** Whether the failure is the CA's own, and there are others; not if it has made
 *  the certificate, until it has failed ACME_JOB_MAX_KEPT times to hand it out. */
int acme_job_may_pass_on(const acme_job_t *job, const acme_err_t *err,
                         apr_time_t now);
/** Whether another CA may be asked by then. */
int acme_job_has_other(const acme_job_t *job, apr_time_t by);
/** Hold the present CA back until then and turn to the next; job->retry_at is when
 *  that one may be asked. @return whether that is now */
int acme_job_pass_on(acme_job_t *job, const acme_err_t *err, apr_time_t until,
                     apr_time_t now, apr_pool_t *scratch);
/** The CA has issued: it is trusted again, and the first forgets all. */
void acme_job_settle(acme_job_t *job);
void acme_job_forget_turns(acme_job_t *job);
/** Whether there is something of it to be kept. */
int acme_job_has_turns(const acme_job_t *job);

#endif
