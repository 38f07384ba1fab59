#include "httpd/wish.h"

int acme_wish_is_due(const acme_wish_t *wish, apr_time_t last,
                     apr_interval_time_t least, apr_time_t now)
{
    apr_interval_time_t interval =
        wish->interval > least ? wish->interval : least;
    apr_interval_time_t join =
        interval < ACME_WISH_BUNDLE ? interval : ACME_WISH_BUNDLE;

    /* Nothing is added to what a child may have written: a sum could overflow. */
    return wish->since > 0 && wish->since <= now - join
           && now - last >= interval;
}
