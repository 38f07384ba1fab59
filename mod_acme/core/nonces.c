#include "core/nonces.h"

#include <apr_strings.h>
#include <string.h>

#define BURST    8
#define INTERVAL (APR_USEC_PER_SEC / 15)

/* A buffer that is used again and only ever doubles: a slot's memory stays
 * within twice the longest nonce. */
typedef struct slot_t {
    char *text;
    apr_size_t size;
} slot_t;

struct acme_nonces_t {
    apr_pool_t *pool;
    slot_t slots[ACME_MAX_NONCES]; /* a ring; the newest is at head - 1 */
    int head, count;
    apr_time_t paid_until; /* each fetch costs INTERVAL of time; up to BURST of
                              them may be spent ahead of the clock */
};

acme_nonces_t *acme_nonces_create(apr_pool_t *pool)
{
    acme_nonces_t *nonces = apr_pcalloc(pool, sizeof(*nonces));

    nonces->pool = pool;
    return nonces;
}

int acme_nonces_valid(const char *nonce)
{
    apr_size_t len = nonce ? strlen(nonce) : 0;

    return len && len <= ACME_MAX_NONCE
           && strspn(nonce, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwx"
                            "yz0123456789-_")
                  == len;
}

int acme_nonces_put(acme_nonces_t *nonces, const char *nonce)
{
    slot_t *slot = &nonces->slots[nonces->head];
    apr_size_t len;

    if (!acme_nonces_valid(nonce)) {
        return 0;
    }
    len = strlen(nonce);
    if (slot->size <= len) {
        for (slot->size = 64; slot->size <= len; slot->size *= 2)
            ;
        slot->text = apr_palloc(nonces->pool, slot->size);
    }
    memcpy(slot->text, nonce, len + 1);
    nonces->head = (nonces->head + 1) % ACME_MAX_NONCES;
    if (nonces->count < ACME_MAX_NONCES) {
        nonces->count++;
    }
    return 1;
}

const char *acme_nonces_take(acme_nonces_t *nonces, apr_pool_t *pool)
{
    if (!nonces->count) {
        return NULL;
    }
    nonces->count--;
    nonces->head = (nonces->head + ACME_MAX_NONCES - 1) % ACME_MAX_NONCES;
    return apr_pstrdup(pool, nonces->slots[nonces->head].text);
}

int acme_nonces_count(const acme_nonces_t *nonces)
{
    return nonces->count;
}

apr_time_t acme_nonces_pace(acme_nonces_t *nonces, apr_time_t now)
{
    if (nonces->paid_until < now) {
        nonces->paid_until = now;
    }
    if (nonces->paid_until + INTERVAL > now + BURST * INTERVAL) {
        return nonces->paid_until - (BURST - 1) * INTERVAL;
    }
    nonces->paid_until += INTERVAL;
    return 0;
}
