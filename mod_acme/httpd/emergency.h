/**
 * Placeholders in a private temporary directory: where the store cannot be used,
 * so that one broken disk does not keep every site from starting; and for hosts
 * that are left alone, since mod_ssl refuses to start with a host that has no
 * certificate at all.
 */
#ifndef ACME_EMERGENCY_H
#define ACME_EMERGENCY_H

#include <apr_tables.h>
#include <apr_time.h>

#include "core/err.h"

/** mod_ssl reads the files during post_config; they go with pool.
 *  @param idents  acme_ident_t *: names in it, at least one
 *  @return E_EMERGENCY: not even that worked, and mod_ssl will end the start */
acme_err_t *acme_emergency_placeholder(const char **chain, const char **key,
                                       const apr_array_header_t *idents,
                                       apr_time_t now,
                                       apr_pool_t *pool) ACME_MUST_CHECK;

#endif
