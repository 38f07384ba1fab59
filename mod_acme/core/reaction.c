#include "core/reaction.h"

#include <stddef.h>

#define AGAIN   1
#define GARBLED 1

static const acme_reaction_t reactions[] = {
    /* The CA was out of reach, so what became of the order is not known: it is
     * asked about, not ordered a second time. */
    { ACME_E_CA_UNREACHABLE, ACME_FATE_KEEP, AGAIN },
    { ACME_E_CA_TLS, ACME_FATE_KEEP, AGAIN },
    { ACME_E_CA_TIMEOUT, ACME_FATE_KEEP, AGAIN },
    { ACME_E_CA_TOO_BIG, ACME_FATE_KEEP, AGAIN },

    /* This machine cannot today for lack of files or memory; it may tomorrow. */
    { ACME_E_CA_TRUST_FILE, ACME_FATE_KEEP, AGAIN },
    { ACME_E_TRANSPORT, ACME_FATE_KEEP, AGAIN },
    { ACME_E_MEMORY, ACME_FATE_KEEP },
    { ACME_E_STORE_IO, ACME_FATE_KEEP },
    { ACME_E_TOKENS_FULL, ACME_FATE_KEEP },
    { ACME_E_LEASE_LOST, ACME_FATE_KEEP },
    { ACME_E_LEASE_BUSY, ACME_FATE_KEEP },

    /* Something else answers in the CA's place, as a rule. */
    { ACME_E_CA_JSON, ACME_FATE_DROP, AGAIN, GARBLED },
    { ACME_E_CHAIN_PARSE, ACME_FATE_KEEP, AGAIN, GARBLED },

    /* A certificate that is made already is not ordered a second time. */
    { ACME_E_ORDER_HELD, ACME_FATE_KEEP },

    /* The CA was set up anew, or clears away what is old. */
    { ACME_E_ORDER_GONE, ACME_FATE_ANEW },

    /* The CA says so itself. If it still says so after an hour, a new order has
     * the better chance. */
    { ACME_E_CA_BUSY, ACME_FATE_DROP, AGAIN },
    { ACME_E_CA_PROBLEM_CONFLICT, ACME_FATE_DROP, AGAIN },
    { ACME_E_CA_PROBLEM_INTERNAL, ACME_FATE_DROP, AGAIN },
    { ACME_E_CA_PROBLEM_NONCE, ACME_FATE_DROP, AGAIN },
    { ACME_E_CA_PROBLEM_NOT_READY, ACME_FATE_DROP, AGAIN },
    { ACME_E_CA_PROBLEM_RATE, ACME_FATE_DROP, AGAIN },
};

const acme_reaction_t *acme_reaction(acme_msg_t msg)
{
    static const acme_reaction_t other = { ACME_M_NONE, ACME_FATE_DROP };
    size_t i;

    for (i = 0; i < sizeof(reactions) / sizeof(reactions[0]); i++) {
        if (reactions[i].msg == msg) {
            return &reactions[i];
        }
    }
    return &other;
}
