/**
 * OCSP responses in shared memory: written by the engine in one child, stapled
 * to handshakes in all of them, without a lock and without the disk.
 *
 * An area belongs to one certificate's name and family. It holds two responses:
 * for the certificate in service, and for the one that is about to follow it.
 */
#ifndef ACME_STAPLES_H
#define ACME_STAPLES_H

#include <apr_time.h>
#include <openssl/asn1.h>

#include "engine/engine.h"

/** All zero: empty. What was never written to costs no memory. */
typedef struct acme_staples_t acme_staples_t;

/** Octets of count areas in a row. */
apr_size_t acme_staples_size(int count);
/** The index-th of them. */
acme_staples_t *acme_staples_at(acme_staples_t *first, int index);

/** Put a response in place of the one for the same certificate, or else of the
 *  older one; with len 0 take it away. One writer at a time, who may be killed at
 *  any moment: readers find the old or the new one. */
void acme_staples_put(acme_staples_t *area, const acme_staple_t *staple);

/** The response for the certificate with this serial number, if it holds at now.
 *  @param wanted  0: only if the certificate demands one
 *  @param der     from OPENSSL_malloc, the caller's
 *  @return its length, or 0 */
int acme_staples_get(unsigned char **der, const acme_staples_t *area,
                     const ASN1_INTEGER *serial, int wanted, apr_time_t now);

#endif
