/**
 * The names of a virtual host, as far as a certificate can hold them.
 */
#ifndef ACME_HOSTNAMES_H
#define ACME_HOSTNAMES_H

#include <httpd.h>

#include "core/ident.h"
#include "httpd/config.h"

/** Patterns (of server_rec.wild_names) are not in it; wildcards are, where a DNS
 *  challenge is possible. */
typedef struct acme_hostnames_t {
    acme_err_t *fault; /* why the host cannot be managed; NULL: it can */
    apr_array_header_t *idents; /* acme_ident_t *, ServerName first, no doubles;
                                   empty if that is at fault */
    apr_array_header_t *faults; /* acme_err_t *, one for each alias left out;
                                   NULL: none */
} acme_hostnames_t;

/** @param settings  of the certificate the names are for
 *  @param result    owner of the identifiers; scratch of all the rest */
void acme_hostnames_read(acme_hostnames_t *names, server_rec *s,
                         const acme_settings_t *settings, apr_pool_t *result,
                         apr_pool_t *scratch);

/** Whether an alias of server_rec.wild_names is one that a certificate can hold:
 *  "*.example.org". */
int acme_hostnames_is_wildcard(const char *alias);

/** Why a certificate with these settings cannot have this name, or NULL: no CA
 *  certifies it, or not by a challenge there is. */
const char *acme_hostnames_why_not(const acme_ident_t *ident,
                                   const acme_settings_t *settings,
                                   apr_pool_t *pool);

/** Where the host is defined: "shop.conf:12". */
const char *acme_hostnames_where(const server_rec *s, apr_pool_t *pool);

#endif
