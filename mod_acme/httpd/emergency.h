/**
 * When the store cannot be used at all: placeholders in a private temporary
 * directory, so that one broken disk does not keep every site from starting.
 */
#ifndef ACME_EMERGENCY_H
#define ACME_EMERGENCY_H

#include "engine/policy.h"

/** mod_ssl reads the files during post_config; they go with pool.
 *  @return E_EMERGENCY: not even that worked, and mod_ssl will end the start */
acme_err_t *acme_emergency_placeholder(const char **chain, const char **key,
                                       const acme_managed_t *managed,
                                       apr_time_t now, apr_pool_t *pool)
    ACME_MUST_CHECK;

#endif
