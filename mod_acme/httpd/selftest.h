/**
 * Handshakes of this process with itself, in memory: whether clients will get a
 * certificate before it is shown to them, and whether they do afterwards. As the
 * hosts of the certificate would do it: their protocols, ciphers, options and
 * security level, and what SSLOpenSSLConfCmd says, but no callback of anybody else.
 */
#ifndef ACME_SELFTEST_H
#define ACME_SELFTEST_H

#include <httpd.h>

#include "engine/policy.h"
#include "engine/store.h"

/** With this set, at each of its hosts that does it otherwise than those before it:
 *  what one of them alone does not take, all its visitors would miss. A handshake
 *  takes a millisecond or two.
 *  @return E_SELF_TEST, naming the host; E_MEMORY */
acme_err_t *acme_selftest_prove(server_rec *base, const acme_managed_t *managed,
                                const acme_set_t *set,
                                apr_pool_t *pool) ACME_MUST_CHECK;

/** What the live table and the store make handshakes show, in this child.
 *  @return E_SELF_TEST: it is not what record tells of; or why this child cannot
 *          load it, as acme_store_load_fresh */
acme_err_t *acme_selftest_check(server_rec *base, const acme_managed_t *managed,
                                const acme_record_t *record,
                                apr_pool_t *pool) ACME_MUST_CHECK;

#endif
