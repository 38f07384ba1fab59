/**
 * From virtual hosts to certificates: which names belong together, which hosts
 * can be managed at all. Linear in hosts and names; look-ups are hashes.
 *
 * Order of events in post_config:
 *   acme_managed_plan      before mod_ssl: a candidate for each host that wants it
 *   acme_managed_tls       mod_ssl asks for each TLS host (ssl_add_cert_files)
 *   acme_managed_finish    after mod_ssl: certificates of hosts that have TLS
 */
#ifndef ACME_MANAGED_H
#define ACME_MANAGED_H

#include <httpd.h>
#include <apr_hash.h>

#include "engine/policy.h"
#include "httpd/config.h"

typedef struct acme_plan_t acme_plan_t;

/** Walk all servers once. Sets acme_server_config_t.managed of each host that
 *  takes part to its candidate (hosts with one ServerName share it; a declared
 *  certificate whose names cover the host's wins). Hosts that cannot be managed
 *  (a wildcard or pattern alias, localhost, a name no CA can certify, over 100
 *  names, a name already in another certificate) are left alone with one
 *  numbered warning naming host, file and line, and managed stays NULL; of a
 *  host with some bad aliases, only those are left out. Nothing here stops the
 *  server.
 *  @param quiet  no messages: the first of httpd's two passes */
acme_plan_t *acme_managed_plan(server_rec *base, int quiet, apr_pool_t *pconf,
                               apr_pool_t *ptemp);

/** Number of certificates that hosts want, TLS or not. */
int acme_managed_candidates(const acme_plan_t *plan);

/** mod_ssl brings up TLS for s. Counts the host's names into its certificate.
 *  @param own_files  number of certificate files it is configured with: if there
 *                    are any, the host is left alone (warning if AcmeManage
 *                    stands in the host itself)
 *  @return the certificate whose files it shall serve, or NULL */
acme_managed_t *acme_managed_tls(acme_plan_t *plan, server_rec *s,
                                 int own_files);

/** All names that candidates may hold, TLS or not: what promotion allows. The
 *  first is the identity. */
const apr_array_header_t *acme_managed_allowed(acme_plan_t *plan,
                                               const acme_managed_t *managed);

/** After mod_ssl: names united, in_use set, what nobody serves dropped (declared
 *  ones with AcmeRenewMode always stay). Warns of AcmeManage on without TLS, of
 *  missing AcmeAgreeTerms and of a missing plain-HTTP listener.
 *  @return acme_managed_t *, in order of name; in pconf */
apr_array_header_t *acme_managed_finish(acme_plan_t *plan);

#endif
