/**
 * What a failure means for the request and for the order it came of, by message
 * number, in one place. When a job is tried again is another matter: its error's
 * class says that (acme_job_failed).
 */
#ifndef ACME_REACTION_H
#define ACME_REACTION_H

#include "core/messages.h"

/** What becomes of an order that has failed. */
typedef enum acme_fate_t {
    ACME_FATE_DROP, /* it is over: the next attempt makes a new one */
    ACME_FATE_KEEP, /* it may live at the CA: the next attempt goes on with it */
    ACME_FATE_ANEW, /* the CA has none such: one that was taken up again is
                       replaced at once, without counting a failure */
} acme_fate_t;

typedef struct acme_reaction_t {
    acme_msg_t msg;
    acme_fate_t fate;
    int again;    /* the same request may go well a little later */
    int garbled;  /* said of a reply of 2xx that means nothing: it counts as no
                    reply at all */
    int one_name; /* it is the fault of single names: the others could go on
                     without them */
    int account;  /* it is the account's: no other challenge does better */
} acme_reaction_t;

/** Whether what failed was the CA's own, or between it and us: another CA may do
 *  better. Not so for what any CA would meet, such as a closed port 80. */
int acme_reaction_elsewhere(acme_msg_t msg);

/** Never NULL, static. What is not in the table is dropped and not repeated. */
const acme_reaction_t *acme_reaction(acme_msg_t msg);

#endif
