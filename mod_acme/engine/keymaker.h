/**
 * Makes the keys that take their time: RSA 4096 is seconds, which neither the
 * engine's loop nor a stop of the server may wait for. One thread, begun with the
 * first key that is asked for; it uses no pool (the allocators of httpd's children
 * are not all for several threads), takes no signal, and gives up the key at hand
 * when it is to end.
 */
#ifndef ACME_KEYMAKER_H
#define ACME_KEYMAKER_H

#include <apr_pools.h>
#include <openssl/evp.h>

#include "core/err.h"
#include "core/key.h"

typedef struct acme_keymaker_t acme_keymaker_t;
/** A key that was asked for. */
typedef struct acme_key_wish_t acme_key_wish_t;

/** @param key     the callee's from now on; NULL: it could not be made
 *  @param reason  in words, if so */
typedef void acme_keymaker_done_fn_t(void *baton, EVP_PKEY *key,
                                     const char *reason);

/** @param wakeup  called from the thread: a key is ready to be collected
 *  @param pool    with it the thread ends, within milliseconds */
acme_keymaker_t *acme_keymaker_create(void (*wakeup)(void *baton), void *baton,
                                      apr_pool_t *pool);

/** Ask for a key; done is called by acme_keymaker_collect, never from here.
 *  @param urgent  before those that are not
 *  @param wish    valid until then, or until it is forgotten
 *  @return E_KEY_MAKE: no memory, no thread; made in scratch */
acme_err_t *acme_keymaker_ask(acme_key_wish_t **wish, acme_keymaker_t *maker,
                              acme_key_type_t type, int urgent,
                              acme_keymaker_done_fn_t *done, void *baton,
                              apr_pool_t *scratch) ACME_MUST_CHECK;

/** What done says without a key, as an error: E_KEY_MAKE, from pool. */
acme_err_t *acme_keymaker_failure(acme_key_type_t type, const char *reason,
                                  apr_pool_t *pool);

/** Nobody wants it any more: done is not called. */
void acme_keymaker_forget(acme_keymaker_t *maker, acme_key_wish_t *wish);

/** Hand over what is ready. Cheap where nothing is. */
void acme_keymaker_collect(acme_keymaker_t *maker);

#endif
