#include "core/reaction.h"

#include <stddef.h>

#define AGAIN   1
#define GARBLED 1
#define NAME    0, 0, 1    /* about single names */
#define ACCOUNT 0, 0, 0, 1 /* about the account */

static const acme_reaction_t reactions[] = {
    /* The CA was out of reach, so what became of the order is not known: it is
     * asked about, not ordered a second time. */
    { ACME_E_CA_UNREACHABLE, ACME_FATE_KEEP, AGAIN },
    { ACME_E_CA_TLS, ACME_FATE_KEEP, AGAIN },
    { ACME_E_CA_TIMEOUT, ACME_FATE_KEEP, AGAIN },
    { ACME_E_CA_TOO_BIG, ACME_FATE_KEEP, AGAIN },
    { ACME_E_PROXY, ACME_FATE_KEEP, AGAIN },

    /* This machine cannot today for lack of files or memory; it may tomorrow. */
    { ACME_E_CA_TRUST_FILE, ACME_FATE_KEEP, AGAIN },
    { ACME_E_PROXY_TRUST_FILE, ACME_FATE_KEEP, AGAIN },
    { ACME_E_TRANSPORT, ACME_FATE_KEEP, AGAIN },
    { ACME_E_MEMORY, ACME_FATE_KEEP },
    { ACME_E_STORE_IO, ACME_FATE_KEEP },
    { ACME_E_TOKENS_FULL, ACME_FATE_KEEP },
    { ACME_E_LEASE_LOST, ACME_FATE_KEEP },

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

    /* What the CA has against a name, or met when it validated it. */
    { ACME_E_CA_PROBLEM_ANSWER, ACME_FATE_DROP, NAME },
    { ACME_E_CA_PROBLEM_CAA, ACME_FATE_DROP, NAME },
    { ACME_E_CA_PROBLEM_CONNECTION, ACME_FATE_DROP, NAME },
    { ACME_E_CA_PROBLEM_DNS, ACME_FATE_DROP, NAME },
    { ACME_E_CA_PROBLEM_PAUSED, ACME_FATE_DROP, NAME },
    { ACME_E_CA_PROBLEM_REJECTED, ACME_FATE_DROP, NAME },
    { ACME_E_CA_PROBLEM_TLS, ACME_FATE_DROP, NAME },
    { ACME_E_CA_PROBLEM_UNSUPPORTED, ACME_FATE_DROP, NAME },
    { ACME_E_AUTHZ_STATE, ACME_FATE_DROP, NAME },
    { ACME_E_NO_CHALLENGE, ACME_FATE_DROP, NAME },
    { ACME_E_NO_PROOF, ACME_FATE_DROP, NAME },
    { ACME_E_CAA_OTHER_CA, ACME_FATE_DROP, NAME },
    { ACME_E_PREFLIGHT, ACME_FATE_DROP, NAME },
    { ACME_E_COMMAND_FAILED, ACME_FATE_DROP, NAME },
    { ACME_E_COMMAND_TIME, ACME_FATE_DROP, NAME },
    { ACME_E_TXT_UNSEEN, ACME_FATE_DROP, NAME },
    { ACME_E_PERSIST_MISSING, ACME_FATE_DROP, NAME },

    /* What is said of the account is said of all its challenges. */
    { ACME_E_CA_PROBLEM_ACCOUNT, ACME_FATE_DROP, ACCOUNT },
    { ACME_E_CA_PROBLEM_ACTION, ACME_FATE_DROP, ACCOUNT },
    { ACME_E_CA_PROBLEM_ALGORITHM, ACME_FATE_DROP, ACCOUNT },
    { ACME_E_ACCOUNT_KEY_REFUSED, ACME_FATE_DROP, ACCOUNT },
    { ACME_E_CA_PROBLEM_EAB, ACME_FATE_DROP, ACCOUNT },
};

static const acme_msg_t elsewhere[] = {
    ACME_E_CA_UNREACHABLE,
    ACME_E_CA_TLS,
    ACME_E_CA_TIMEOUT,
    ACME_E_CA_TOO_BIG,
    ACME_E_CA_TRUST_FILE,
    ACME_E_CA_JSON,
    ACME_E_CA_DIRECTORY,
    ACME_E_CA_RESOURCE,
    ACME_E_CA_BUSY,
    ACME_E_CAA_OTHER_CA,
    ACME_E_LIMIT,
    ACME_E_CA_REFUSED,
    ACME_E_CA_PROBLEM_ACCOUNT,
    ACME_E_CA_PROBLEM_CSR,
    ACME_E_CA_PROBLEM_NONCE,
    ACME_E_CA_PROBLEM_KEY,
    ACME_E_CA_PROBLEM_ALGORITHM,
    ACME_E_CA_PROBLEM_CAA,
    ACME_E_CA_PROBLEM_CONFLICT,
    ACME_E_CA_PROBLEM_EAB,
    ACME_E_CA_PROBLEM_CONTACT,
    ACME_E_CA_PROBLEM_PROFILE,
    ACME_E_CA_PROBLEM_MALFORMED,
    ACME_E_CA_PROBLEM_NOT_READY,
    ACME_E_CA_PROBLEM_RATE,
    ACME_E_CA_PROBLEM_PAUSED,
    ACME_E_CA_PROBLEM_REJECTED,
    ACME_E_CA_PROBLEM_INTERNAL,
    ACME_E_CA_PROBLEM_UNAUTHORIZED,
    ACME_E_CA_PROBLEM_UNSUPPORTED,
    ACME_E_CA_PROBLEM_ACTION,
    ACME_E_TERMS,
    ACME_E_EAB_MISSING,
    ACME_E_EAB_KEY,
    ACME_E_EAB_FILE,
    ACME_E_ACCOUNT_CLOSED,
    ACME_E_ACCOUNT_DEACTIVATED,
    ACME_E_ACCOUNT_UNKNOWN,
    ACME_E_ACCOUNT_KEY_REFUSED,
    ACME_E_ACCOUNT_KEY,
    ACME_E_PASS_PROGRAM,
    ACME_E_NO_CHALLENGE,
    ACME_E_PROFILE,
    ACME_E_ORDER_INVALID,
    ACME_E_ORDER_STUCK,
    ACME_E_ORDER_GONE,
    ACME_E_AUTHZ_STATE,
    ACME_E_AUTHZ_FOREIGN,
    ACME_E_CHAIN_PARSE,
    ACME_E_CERT_KEY,
    ACME_E_CERT_NAMES,
    ACME_E_CERT_DATES,
    ACME_E_CERT_USAGE,
    ACME_E_CERT_CHAIN,
};

int acme_reaction_elsewhere(acme_msg_t msg)
{
    size_t i;

    for (i = 0; i < sizeof(elsewhere) / sizeof(elsewhere[0]); i++) {
        if (elsewhere[i] == msg) {
            return 1;
        }
    }
    return 0;
}

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
