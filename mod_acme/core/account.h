/**
 * An account at a CA, as far as it outlives the process.
 */
#ifndef ACME_ACCOUNT_H
#define ACME_ACCOUNT_H

#include <apr_time.h>

/** What is remembered of an account, besides its key. Zeroed: nothing. */
typedef struct acme_account_state_t {
    const char *kid;      /* account URL; NULL: not known to be registered */
    const char *contacts; /* as the CA was told them last, with "," between;
                             NULL: not known */
    const char *terms;    /* URL of the terms of service that it was told
                             last are agreed to; NULL: not known */
    apr_time_t recovered; /* when the CA had forgotten it last; 0: never */
    const char
        *overruled;    /* the configured contacts that contacts stand in place
                              of, until others are configured; NULL: none */
    apr_time_t closed; /* by the administrator; 0: it is not */
} acme_account_state_t;

#endif
