/**
 * The live table: memory that all children of all generations share, so that
 * what the engine gets in one child is in service in every child at the next
 * handshake. One slot a certificate, keyed by its identity; and the tokens of
 * http-01. It outlives graceful restarts (it hangs on the process pool); slots
 * never move; growth adds segments.
 *
 * Writers: the engine, one process at a time (lease), and root in post_config.
 * Readers: everybody, without locks (sequence counters; C11 atomics).
 */
#ifndef ACME_LIVE_H
#define ACME_LIVE_H

#include <httpd.h>
#include <apr_hash.h>

#include "core/encode.h"
#include "core/key.h"
#include "core/proof.h"
#include "engine/engine.h"

typedef struct acme_slot_t acme_slot_t;

/** Real pass of post_config, parent: find the table, or make it.
 *  @return NULL after a logged message if there is no shared memory */
typedef struct acme_live_table_t acme_live_table_t;
acme_live_table_t *acme_live_open(server_rec *s, apr_pool_t *pconf);
/** A slot for each of these certificates (const char *: identities), for those
 *  too that have one already. Parent only. Those that find no room are served
 *  from the next restart on instead of live; a logged message says how many. */
void acme_live_add(acme_live_table_t *table, const apr_array_header_t *names);
/** The slot of a certificate; NULL if it was not added. */
acme_slot_t *acme_live_slot(const acme_live_table_t *table, const char *name);

/** Number of the set in service; 0: none yet. */
int acme_live_generation(const acme_slot_t *slot, acme_family_t family);
void acme_live_set_generation(acme_slot_t *slot, acme_family_t family,
                              int number);

void acme_live_set_status(acme_slot_t *slot, acme_family_t family,
                          const acme_status_t *status);
/** A consistent copy. @param pool  of its remarks; NULL: without them */
void acme_live_get_status(acme_status_t *status, const acme_slot_t *slot,
                          acme_family_t family, apr_pool_t *pool);

/** Add to the time-line; the oldest gives way. @param text  printable */
void acme_live_add_event(acme_slot_t *slot, acme_family_t family,
                         apr_time_t time, const char *text);
/** The time-line, the oldest first. @param events  ACME_MAX_EVENTS of them
 *  @return their number */
int acme_live_events(acme_event_t *events, const acme_slot_t *slot,
                     acme_family_t family);

/* --- OCSP responses (staples.h) ------------------------------------------------ */

/** Make room for those of all certificates added so far. Parent only.
 *  @return 0 after a logged message if there is no memory for it */
int acme_live_add_staples(acme_live_table_t *table);
/** Whether this pass has made the room of this certificate: children of earlier
 *  generations do not know of it, so that no engine can be writing there. */
int acme_live_staples_new(const acme_live_table_t *table,
                          const acme_slot_t *slot);
/** NULL: there is no room for responses of this certificate. */
struct acme_staples_t *acme_live_staples(const acme_slot_t *slot,
                                         acme_family_t family);

/* --- challenges ------------------------------------------------------------------ */

#define ACME_LIVE_KEY_AUTH (ACME_MAX_TOKEN + 1 + 43)
#define ACME_LIVE_NAME     256

/** A challenge that is published: http-01 or tls-alpn-01. */
typedef struct acme_live_found_t {
    acme_proof_type_t type;
    acme_ident_type_t ident_type;
    char name[ACME_LIVE_NAME]; /* whose control it proves */
    char key_authorization[ACME_LIVE_KEY_AUTH + 1];
} acme_live_found_t;

/** Idempotent. @param epoch  of the lease, so that a later engine can sweep
 *  @return E_TOKENS_FULL; E_PROOF_BUSY: another token is published for
 *          tls-alpn-01 of this name, of which a handshake can show but one */
acme_err_t *acme_live_publish(acme_live_table_t *table,
                              const acme_proof_t *proof, apr_int64_t epoch,
                              apr_pool_t *pool) ACME_MUST_CHECK;
/** @param epoch  what a later one has published stays */
void acme_live_withdraw(acme_live_table_t *table, const acme_proof_t *proof,
                        apr_int64_t epoch);
/** Before anything is published in an epoch that is proved not to be over: what has
 *  a later one is removed. It is of another store that this server had, whose epochs
 *  are not ours. */
void acme_live_begin(acme_live_table_t *table, apr_int64_t epoch);
/** Remove what engines before epoch published and nobody published again. */
void acme_live_sweep(acme_live_table_t *table, apr_int64_t epoch);
/** The key authorization for token if it is published for host (case ignored;
 *  NULL: any host).
 *  No lock, no disk, a few cache lines; cheaper still when nothing is published.
 *  @param buffer  ACME_LIVE_KEY_AUTH + 1 octets
 *  @return its length, or 0 */
apr_size_t acme_live_lookup(char *buffer, const acme_live_table_t *table,
                            const char *host, const char *token);
/** The http-01 challenge with this token: that of host (case ignored; or NULL) if
 *  there is one, else anybody's. @return 0: it is nobody's */
int acme_live_find_token(acme_live_found_t *found,
                         const acme_live_table_t *table, const char *host,
                         const char *token);
/** The tls-alpn-01 challenge for the name in a handshake (case ignored; of an
 *  address, acme_ident_server_name). As cheap.
 *  @return 0: there is none */
int acme_live_lookup_handshake(acme_live_found_t *found,
                               const acme_live_table_t *table, const char *sni);

/** The table of this process; NULL before post_config. */
acme_live_table_t *acme_live_table(void);

#endif
