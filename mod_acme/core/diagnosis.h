/**
 * What is wrong with a CA's way to this server, judged from what the server sees
 * when it goes that way itself: a pure function of what was seen. From inside not
 * everything can be seen: what is not certain is said to be so (I_CANNOT_TELL).
 */
#ifndef ACME_DIAGNOSIS_H
#define ACME_DIAGNOSIS_H

#include <apr_tables.h>

#include "core/culprit.h"
#include "core/err.h"
#include "core/ident.h"
#include "core/proof.h"

/** What came of going to one address. */
typedef enum acme_saw_t {
    ACME_SAW_NOTHING,     /* there was no time for it */
    ACME_SAW_OURS,        /* this server answered: its token, its certificate */
    ACME_SAW_OTHER,       /* another answered, properly */
    ACME_SAW_REFUSED,     /* the connection was refused */
    ACME_SAW_TIMEOUT,     /* it was not taken in time */
    ACME_SAW_UNREACHABLE, /* there is no route */
    ACME_SAW_CLOSED,      /* taken, and closed without an answer */
    ACME_SAW_SILENT,      /* taken, and no answer in time */
    ACME_SAW_GARBAGE,     /* what came is not of the protocol */
    ACME_SAW_TLS,         /* TLS answers, where plain HTTP should */
} acme_saw_t;
#define ACME_SAW_COUNT 10

/** One address of a name. */
typedef struct acme_sight_t {
    const char *address; /* as text */
    int v6;
    int own; /* it is this machine's */
    acme_saw_t saw;
    acme_stranger_t stranger; /* OTHER of http-01: the first answer */
    const char *location;     /* where that one redirects to; or NULL */
    int followed;             /* the redirect was: saw is what came of it */
    const char *shown; /* OTHER of tls-alpn-01: what was shown instead; or
                             NULL */
} acme_sight_t;

/** One name, and one way to prove control of it. */
typedef struct acme_scene_t {
    const acme_ident_t *ident;
    acme_proof_type_t type; /* ACME_PROOF_HTTP_01, ACME_PROOF_TLS_ALPN_01 */
    int stopped;            /* the server does not run: nothing can be ours */
    int public_ca;          /* it asks from the internet */
    int chosen_dns; /* resolvers were named: theirs is the world's DNS */
    int has_public_v4, has_public_v6; /* addresses of this machine */
    const char *nowhere; /* why there are no addresses, certainly; or NULL */
    const char *unknown; /* why the addresses are not known; or NULL */
    const apr_array_header_t *sights; /* acme_sight_t */
} acme_scene_t;

/** What there is to say, each numbered, with the name in its identifier: at least
 *  one thing unless nothing was looked at. acme_err_t *, all from pool. */
apr_array_header_t *acme_diagnose(const acme_scene_t *scene, apr_pool_t *pool);

/** Whether a finding is of something to be mended. */
int acme_finding_is_problem(const acme_err_t *finding);

/** "80" or "443": where a CA asks. Static. */
const char *acme_diagnosis_port(acme_proof_type_t type);

#endif
