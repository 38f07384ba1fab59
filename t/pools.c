/* Each allocation of an APR pool is one of malloc's here, freed when its pool is
 * cleared: so that the address sanitizer sees what is read or written beside it,
 * or later, in unit and replay tests, fuzz targets and t/engine/drive. These functions
 * stand in place of APR's for APR itself, too. Without a sanitizer there is nothing to
 * gain, and APR's own do it. */
#include <apr_pools.h>
#include <apr_strings.h>
#include <pthread.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#ifndef __has_feature
#define __has_feature(feature) 0
#endif

#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)

#define BUCKETS 1024

typedef struct block_t block_t;
struct block_t {
    block_t *next;
    max_align_t data[];
};

/* What was allocated from a pool. */
typedef struct owner_t owner_t;
struct owner_t {
    owner_t *next;
    const apr_pool_t *pool;
    block_t *blocks;
};

static owner_t *owners[BUCKETS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of owners */

static void *allocate(apr_size_t size)
{
    void *data = malloc(size);

    if (!data) {
        abort();
    }
    return data;
}

/* Pools begin pages: their addresses have the same last digits. */
static owner_t **find_owner(const apr_pool_t *pool)
{
    apr_uint64_t hash =
        (apr_uint64_t)(apr_uintptr_t)pool * APR_UINT64_C(0x9E3779B97F4A7C15);
    owner_t **at = &owners[(hash >> 32) % BUCKETS];

    while (*at && (*at)->pool != pool) {
        at = &(*at)->next;
    }
    return at;
}

/* A pool's first cleanup, and so the last to run. */
static apr_status_t free_blocks(void *pool)
{
    block_t *block;

    pthread_mutex_lock(&lock);
    owner_t **at = find_owner(pool), *owner = *at;
    *at = owner->next;
    pthread_mutex_unlock(&lock);
    while ((block = owner->blocks) != NULL) {
        owner->blocks = block->next;
        free(block);
    }
    free(owner);
    return APR_SUCCESS;
}

static owner_t *owner_of(apr_pool_t *pool)
{
    pthread_mutex_lock(&lock);
    owner_t **at = find_owner(pool), *owner = *at;
    int fresh = !owner;

    if (fresh) {
        *at = owner = allocate(sizeof(*owner));
        *owner = (owner_t){ NULL, pool, NULL };
    }
    pthread_mutex_unlock(&lock);
    if (fresh) { /* allocates, too */
        apr_pool_cleanup_register(pool, pool, free_blocks,
                                  apr_pool_cleanup_null);
    }
    return owner;
}

void *apr_palloc(apr_pool_t *pool, apr_size_t size)
{
    owner_t *owner = owner_of(pool);
    block_t *block = allocate(sizeof(*block) + size);

    block->next = owner->blocks;
    owner->blocks = block;
    return block->data;
}

#undef apr_pcalloc
void *apr_pcalloc(apr_pool_t *pool, apr_size_t size);
void *apr_pcalloc(apr_pool_t *pool, apr_size_t size)
{
    return memset(apr_palloc(pool, size), 0, size);
}

/* APR's writes into its pool directly. */
char *apr_pvsprintf(apr_pool_t *pool, const char *format, va_list arguments)
{
    apr_size_t size = 256;

    for (;;) {
        char *text = malloc(size), *copy;
        va_list again;
        int len;

        va_copy(again, arguments);
        len = apr_vsnprintf(text, size, format, again);
        va_end(again);
        copy = (apr_size_t)len + 1 < size ? apr_pstrdup(pool, text) : NULL;
        free(text);
        if (copy) {
            return copy;
        }
        size *= 2;
    }
}

char *apr_psprintf(apr_pool_t *pool, const char *format, ...)
{
    va_list arguments;
    char *text;

    va_start(arguments, format);
    text = apr_pvsprintf(pool, format, arguments);
    va_end(arguments);
    return text;
}

#endif
