/**
 * DNS messages for tests: made from text.
 */
#ifndef ACME_DNS_TEST_H
#define ACME_DNS_TEST_H

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "core/dns.h"

typedef struct message_t {
    unsigned char octets[4096];
    apr_size_t len;
} message_t;

static inline void put8(message_t *m, int value)
{
    m->octets[m->len++] = (unsigned char)value;
}

static inline void put16(message_t *m, int value)
{
    put8(m, value >> 8);
    put8(m, value);
}

static inline void put_name(message_t *m, const char *name)
{
    while (*name) {
        const char *dot = strchr(name, '.');
        apr_size_t len = dot ? (apr_size_t)(dot - name) : strlen(name);
        put8(m, (int)len);
        memcpy(m->octets + m->len, name, len);
        m->len += len;
        name += len + (dot != NULL);
    }
    put8(m, 0);
}

/* flags: 0x8000 answer, 0x0400 authoritative, 0x0200 truncated, rcode */
static inline void begin_message(message_t *m, int id, int flags,
                                 const char *name, int type)
{
    m->len = 0;
    put16(m, id);
    put16(m, flags);
    put16(m, 1);
    put16(m, 0);
    put16(m, 0);
    put16(m, 0);
    put_name(m, name);
    put16(m, type);
    put16(m, 1);
}

static inline void put_data(message_t *m, int type, const char *data)
{
    const char *tag = strchr(data, ' ');

    switch (type) {
    case ACME_DNS_A:
        inet_pton(AF_INET, data, m->octets + m->len);
        m->len += 4;
        break;
    case ACME_DNS_AAAA:
        inet_pton(AF_INET6, data, m->octets + m->len);
        m->len += 16;
        break;
    case ACME_DNS_TXT: /* in strings of at most 200 octets */
        while (*data) {
            apr_size_t len = strlen(data) > 200 ? 200 : strlen(data);
            put8(m, (int)len);
            memcpy(m->octets + m->len, data, len);
            m->len += len;
            data += len;
        }
        break;
    case ACME_DNS_CAA: /* "128 issue ca.example" */
        put8(m, atoi(data));
        data = tag + 1;
        tag = strchr(data, ' ');
        put8(m, (int)(tag - data));
        memcpy(m->octets + m->len, data, (apr_size_t)(tag - data));
        m->len += (apr_size_t)(tag - data);
        memcpy(m->octets + m->len, tag + 1, strlen(tag + 1));
        m->len += strlen(tag + 1);
        break;
    case ACME_DNS_SOA:
        put_name(m, "ns.test");
        put_name(m, "root.test");
        for (int i = 0; i < 10; i++) {
            put16(m, 1);
        }
        break;
    default:
        put_name(m, data);
    }
}

/* section: 0 answer, 1 authority, 2 additional; in this order. */
static inline void put_record(message_t *m, int section, const char *owner,
                              int type, const char *data)
{
    unsigned char *count = m->octets + 6 + 2 * section;
    apr_size_t length;

    put_name(m, owner);
    put16(m, type);
    put16(m, 1);
    put16(m, 0);
    put16(m, 60);
    length = m->len;
    put16(m, 0);
    put_data(m, type, data);
    m->octets[length] = (unsigned char)((m->len - length - 2) >> 8);
    m->octets[length + 1] = (unsigned char)(m->len - length - 2);
    count[1]++;
}

#endif
