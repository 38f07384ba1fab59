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
 *  takes part to its candidate; it stays NULL for hosts that AcmeManage does not
 *  want and for those that cannot be managed. Which one:
 *    - AcmeManage with a name: that <AcmeCertificate>;
 *    - AcmeManage on, and an <AcmeCertificate> has the ServerName among its
 *      names: that one;
 *    - else the certificate called after the ServerName, shared by all hosts
 *      that have it.
 *  A host is left alone if it has no ServerName, or one that no CA certifies
 *  (localhost always; private names unless AcmeCA is a URL of one's own), or
 *  over 100 names. What has been found wrong is told by
 *  acme_managed_tls: hosts without TLS concern nobody. Nothing here stops the
 *  server.
 *  @param quiet  no messages: the first of httpd's two passes
 *  @param pconf  owner of the certificates; ptemp of the plan */
acme_plan_t *acme_managed_plan(server_rec *base, int quiet, apr_pool_t *pconf,
                               apr_pool_t *ptemp);

/** Number of certificates that hosts want, TLS or not. */
int acme_managed_candidates(const acme_plan_t *plan);

/** mod_ssl brings up TLS for s; call it for every such host, once. A host that
 *  cannot be managed, or has certificate files of its own (or one by
 *  SSLOpenSSLConfCmd, which mod_ssl needs no file for), is left alone, with one
 *  numbered warning that names host, file and line (of the latter only if
 *  AcmeManage stands in the host itself), and its managed becomes NULL. mod_ssl
 *  refuses to start with a host that has no certificate whatsoever: give such a
 *  one a fallback. Of the hosts that share a certificate, the first one asked
 *  for gives the settings; they are final when this returns. (httpd lists hosts
 *  backwards: it is the last one in the file.) A later one with others gets a
 *  warning.
 *  @param own_files  number of certificate files it is configured with
 *  @return the certificate whose files it shall serve, or NULL */
acme_managed_t *acme_managed_tls(acme_plan_t *plan, server_rec *s,
                                 int own_files);

/** All names that candidates may hold, TLS or not: what promotion allows. The
 *  first is the identity. May be more than a certificate can hold. */
const apr_array_header_t *acme_managed_allowed(acme_plan_t *plan,
                                               const acme_managed_t *managed);

/** The hosts that want it, server_rec *; not all of them may have TLS. */
const apr_array_header_t *acme_managed_hosts(const acme_managed_t *managed);

/** After mod_ssl: gives the names of hosts with TLS to their certificates, in
 *  the order of the file, as httpd gives them their requests:
 *    - an alias that is in another certificate already, a wildcard, a pattern,
 *      or what no CA certifies is left out; of a host with a declared
 *      certificate, every name that is not declared; names over 100 as well;
 *    - a host whose ServerName is an alias in another certificate already is
 *      left alone after all, and its managed becomes NULL.
 *  Each with one numbered warning. What nobody serves is dropped (declared ones
 *  with AcmeRenewMode always stay), what of the policies depends on ports is
 *  set, and what concerns more than one host told: AcmeManage without TLS,
 *  AcmeAgreeTerms missing, names that there is no way to prove.
 *  @return acme_managed_t *, in order of name; in pconf, and also in
 *          acme_config_global()->managed */
apr_array_header_t *acme_managed_finish(acme_plan_t *plan);

#endif
