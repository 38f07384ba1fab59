/**
 * What came to validate: the visits of the last orders, in memory that all
 * children of all generations share and that outlives graceful restarts.
 *
 * Only names whose control is being proved, or was a short while ago, have visits
 * recorded: nobody fills memory with other names. Of one name, what asks for a
 * challenge that is published pushes out older ones of its kind; what asks for
 * anything else has a few places of its own, first come first kept, and is
 * counted beyond them. So no flood of guesses pushes out a CA's visit.
 *
 * acme_hits_expect and _over: the engine alone (lease). All else: any thread, no
 * locks, no waiting; two writers in one place lose one of two visits.
 */
#ifndef ACME_HITS_H
#define ACME_HITS_H

#include <httpd.h>

#include "engine/hit.h"

/** Kept of one name: for anything else but a published challenge; the rest is for
 *  those. */
#define ACME_HITS_OTHERS 4

typedef struct acme_hits_t acme_hits_t;

/** Real pass of post_config, parent: find the memory, or get it. From then on
 *  acme_hits() has it, until pconf is cleared.
 *  @return NULL after a logged message: nothing is recorded */
acme_hits_t *acme_hits_open(server_rec *s, apr_pool_t *pconf);
/** NULL: there is none. */
acme_hits_t *acme_hits(void);

/** A proof of ident is published: its visits count from now on. Idempotent; hits
 *  NULL does nothing, as below. */
void acme_hits_expect(acme_hits_t *hits, const acme_ident_t *ident,
                      apr_time_t now);
/** A proof of ident is withdrawn; late visitors are recorded for a while. */
void acme_hits_over(acme_hits_t *hits, const acme_ident_t *ident,
                    apr_time_t now);

/** Whether visits of this name (Host or SNI, any case; an address in either form)
 *  are recorded. A few cache lines. */
int acme_hits_expected(const acme_hits_t *hits, const char *name,
                       apr_time_t now);
/** @param name  whose visit it is, as above; not necessarily hit->host */
void acme_hits_add(acme_hits_t *hits, const char *name, const acme_hit_t *hit);

/** Visits of ident since then, the oldest first.
 *  @param found    ACME_MAX_HITS of them
 *  @param uncounted  how many more there were in the last order that had no
 *                    place, all of them for no published challenge; or NULL
 *  @return their number */
int acme_hits_read(acme_hit_t *found, int *uncounted, const acme_hits_t *hits,
                   const acme_ident_t *ident, apr_time_t since);

/* --- recording them --------------------------------------------------------- */

/** log_transaction: what was asked for below /.well-known/acme-challenge/, and who
 *  answered it how. Everything else costs one comparison. */
int acme_hits_request(request_rec *r);

/** A handshake for acme-tls/1.
 *  @param s  the virtual host that SNI leads to, or NULL
 *  @param name  SNI, or NULL
 *  @param known, answered  as in acme_hit_t */
void acme_hits_handshake(const conn_rec *c, const server_rec *s,
                         const char *name, int known, int answered);

#endif
