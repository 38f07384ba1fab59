#include "httpd/staples.h"

#include <stdatomic.h>
#include <string.h>

#include <apr_general.h>
#include <openssl/crypto.h>

#include "core/ocsp.h"

#define ENTRIES 2
/* Two responses in service and a third one being written always fit, unless the
 * room between them is in pieces: then the older one goes. */
#define ROOM       (20 * 1024 - ENTRIES * (int)sizeof(apr_uint64_t))
#define MAX_SERIAL 32 /* octets; RFC 5280 allows 20 */
#define TRIES      4  /* reads of an entry that changes meanwhile */

typedef struct head_t {
    apr_time_t until;
    unsigned short len;
    unsigned char serial_len, must;
    unsigned char serial[MAX_SERIAL];
} head_t;

/* An entry says where its response is: what is written, is written elsewhere and
 * then shown, all at once. A count makes it another with each response. */
struct acme_staples_t {
    _Atomic apr_uint64_t entries[ENTRIES]; /* 0: none */
    unsigned char room[ROOM];
};

#define PACK(count, offset, size)                                              \
    ((apr_uint64_t)(count) << 32 | (apr_uint64_t)(offset) << 16                \
     | (apr_uint64_t)(size))
#define COUNT_OF(entry)  ((unsigned int)((entry) >> 32))
#define OFFSET_OF(entry) ((int)((entry) >> 16 & 0xffff))
#define SIZE_OF(entry)   ((int)((entry)&0xffff))

apr_size_t acme_staples_size(int count)
{
    return (apr_size_t)count * sizeof(acme_staples_t);
}

acme_staples_t *acme_staples_at(acme_staples_t *first, int index)
{
    return first + index;
}

/* Every child could have written there: nothing leads out of the room.
 * @return entry; 0: it cannot be one */
static apr_uint64_t sane(apr_uint64_t entry)
{
    return OFFSET_OF(entry) + SIZE_OF(entry) <= ROOM
                   && SIZE_OF(entry) >= (int)sizeof(head_t)
               ? entry
               : 0;
}

/* --- writing ------------------------------------------------------------------- */

static int nibble(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
                                  : -1;
}

/* @return 0: not a serial number that could be looked up */
static int read_serial(head_t *head, const char *hex)
{
    apr_size_t len = strlen(hex), i;

    if (len == 0 || len % 2 || len / 2 > MAX_SERIAL) {
        return 0;
    }
    for (i = 0; i < len / 2; ++i) {
        int high = nibble(hex[2 * i]), low = nibble(hex[2 * i + 1]);

        if (high < 0 || low < 0) {
            return 0;
        }
        head->serial[i] = (unsigned char)(high << 4 | low);
    }
    head->serial_len = (unsigned char)(len / 2);
    return 1;
}

static int is_serial(const head_t *head, const unsigned char *serial,
                     apr_size_t len)
{
    return len <= MAX_SERIAL && head->serial_len == len
           && !memcmp(head->serial, serial, len);
}

/* The entry to replace: of the same certificate, an empty one, the older one. */
static int choose(const acme_staples_t *area,
                  const apr_uint64_t entries[ENTRIES], const head_t *head)
{
    int i, best = 0;

    for (i = 0; i < ENTRIES; ++i) {
        head_t held;

        if (entries[i]) {
            memcpy(&held, area->room + OFFSET_OF(entries[i]), sizeof(held));
            if (is_serial(&held, head->serial, head->serial_len)) {
                return i;
            }
        }
        if (COUNT_OF(entries[i]) < COUNT_OF(entries[best])) {
            best = i;
        }
    }
    return best;
}

static int is_free(const apr_uint64_t entries[ENTRIES], int offset, int size)
{
    int i;

    if (offset + size > ROOM) {
        return 0;
    }
    for (i = 0; i < ENTRIES; ++i) {
        if (entries[i] && offset < OFFSET_OF(entries[i]) + SIZE_OF(entries[i])
            && OFFSET_OF(entries[i]) < offset + size) {
            return 0;
        }
    }
    return 1;
}

/* The lowest room that no entry uses, so that small responses stay together on
 * one page. @return -1: none */
static int find_room(const apr_uint64_t entries[ENTRIES], int size)
{
    int best = is_free(entries, 0, size) ? 0 : -1;
    int i;

    for (i = 0; i < ENTRIES; ++i) {
        int end = OFFSET_OF(entries[i]) + SIZE_OF(entries[i]);

        if (entries[i] && (best < 0 || end < best)
            && is_free(entries, end, size)) {
            best = end;
        }
    }
    return best;
}

static void write_response(acme_staples_t *area, apr_uint64_t entries[ENTRIES],
                           const head_t *head, int index,
                           const acme_staple_t *staple)
{
    int size = (int)APR_ALIGN_DEFAULT(sizeof(*head) + staple->len);
    int offset = find_room(entries, size), i;
    unsigned int count = 0;

    for (i = 0; i < ENTRIES; ++i) {
        count = COUNT_OF(entries[i]) > count ? COUNT_OF(entries[i]) : count;
    }
    if (offset < 0) {
        atomic_store(&area->entries[!index], 0);
        entries[!index] = 0;
        offset = find_room(entries, size);
    }
    if (offset < 0) { /* none of ours leaves no room: nonsense was written */
        atomic_store(&area->entries[index], 0);
        offset = 0;
    }
    memcpy(area->room + offset, head, sizeof(*head));
    memcpy(area->room + offset + sizeof(*head), staple->der, staple->len);
    atomic_store_explicit(&area->entries[index], PACK(count + 1, offset, size),
                          memory_order_release);
}

void acme_staples_put(acme_staples_t *area, const acme_staple_t *staple)
{
    apr_uint64_t entries[ENTRIES];
    head_t head, held;
    int index;

    memset(&head, 0, sizeof(head));
    if (staple->len > ACME_MAX_OCSP || !read_serial(&head, staple->serial)) {
        return;
    }
    head.until = staple->until;
    head.len = (unsigned short)staple->len;
    head.must = staple->must != 0;
    for (index = 0; index < ENTRIES; ++index) {
        entries[index] = sane(atomic_load(&area->entries[index]));
    }
    index = choose(area, entries, &head);
    if (staple->len) {
        write_response(area, entries, &head, index, staple);
    }
    else if (entries[index]) {
        memcpy(&held, area->room + OFFSET_OF(entries[index]), sizeof(held));
        if (is_serial(&held, head.serial, head.serial_len)) {
            atomic_store(&area->entries[index], 0);
        }
    }
}

/* --- reading ------------------------------------------------------------------- */

/* What an entry shows, if it is wanted. @return length, 0: not that one */
static int read_response(unsigned char **der, const acme_staples_t *area,
                         apr_uint64_t entry, const ASN1_INTEGER *serial,
                         int wanted, apr_time_t now)
{
    const unsigned char *from = area->room + OFFSET_OF(entry);
    head_t head;

    memcpy(&head, from, sizeof(head));
    if (!is_serial(&head, ASN1_STRING_get0_data(serial),
                   (apr_size_t)ASN1_STRING_length(serial))
        || head.until <= now || !(wanted || head.must)
        || sizeof(head) + head.len > (apr_size_t)SIZE_OF(entry)) {
        return 0;
    }
    *der = OPENSSL_malloc(head.len);
    if (!*der) {
        return 0;
    }
    memcpy(*der, from + sizeof(head), head.len);
    return head.len;
}

static int get(unsigned char **der, const acme_staples_t *area, int index,
               const ASN1_INTEGER *serial, int wanted, apr_time_t now)
{
    int tries, len;

    for (tries = 0; tries < TRIES; ++tries) {
        apr_uint64_t entry =
            atomic_load_explicit(&area->entries[index], memory_order_acquire);

        if (!sane(entry)) {
            return 0;
        }
        *der = NULL;
        len = read_response(der, area, entry, serial, wanted, now);
        atomic_thread_fence(memory_order_acquire);
        if (atomic_load_explicit(&area->entries[index], memory_order_relaxed)
            == entry) {
            return len;
        }
        OPENSSL_free(*der);
        *der = NULL;
    }
    return 0;
}

int acme_staples_get(unsigned char **der, const acme_staples_t *area,
                     const ASN1_INTEGER *serial, int wanted, apr_time_t now)
{
    int i, len = 0;

    if (ASN1_STRING_type(serial) != V_ASN1_INTEGER) {
        return 0;
    }
    for (i = 0; i < ENTRIES && !len; ++i) {
        len = get(der, area, i, serial, wanted, now);
    }
    return len;
}
