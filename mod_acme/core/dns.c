#include "core/dns.h"

#include <apr_lib.h>
#include <apr_strings.h>
#include <string.h>

#define HEADER      12
#define MAX_NAME    255 /* octets of a name on the wire */
#define MAX_ALIASES 8
#define CLASS_IN    1
#define POINTER     0xc0

typedef struct reader_t {
    const unsigned char *octets;
    apr_size_t len, at;
    apr_pool_t *pool;
} reader_t;

static int get16(const unsigned char *octets)
{
    return octets[0] << 8 | octets[1];
}

/* --- names ---------------------------------------------------------------------- */

/* @return its end */
static char *put_label(char *out, const unsigned char *label, apr_size_t len)
{
    for (apr_size_t i = 0; i < len; i++) {
        unsigned char c = label[i];
        if (apr_isalnum(c) || c == '-' || c == '_' || c == '*') {
            *out++ = (char)apr_tolower(c);
        }
        else {
            *out++ = '\\';
            *out++ = (char)('0' + c / 100);
            *out++ = (char)('0' + c / 10 % 10);
            *out++ = (char)('0' + c % 10);
        }
    }
    return out;
}

/* Pointers lead backwards only, so that there is an end to it.
 * @return NULL: malformed */
static const char *take_name(reader_t *reader)
{
    char text[4 * MAX_NAME + 1], *out = text;
    apr_size_t at = reader->at, after = 0, before = reader->len, total = 0;

    for (;;) {
        if (at >= reader->len) {
            return NULL;
        }
        unsigned char len = reader->octets[at];
        if ((len & POINTER) == POINTER) {
            apr_size_t to;
            if (at + 1 >= reader->len) {
                return NULL;
            }
            to = (apr_size_t)(get16(reader->octets + at) & 0x3fff);
            after = after ? after : at + 2;
            if (to >= at || to >= before) {
                return NULL;
            }
            at = before = to;
            continue;
        }
        total += (apr_size_t)len + 1;
        if (len & POINTER || total > MAX_NAME || at + 1 + len > reader->len) {
            return NULL;
        }
        if (!len) {
            break;
        }
        if (out > text) {
            *out++ = '.';
        }
        out = put_label(out, reader->octets + at + 1, len);
        at += (apr_size_t)len + 1;
    }
    reader->at = after ? after : at + 1;
    return apr_pstrmemdup(reader->pool, text, (apr_size_t)(out - text));
}

const char *acme_dns_name(const char *name, apr_pool_t *pool)
{
    char *copy = apr_pstrdup(pool, name);
    apr_size_t len = strlen(copy);

    for (char *c = copy; *c; c++) {
        *c = (char)apr_tolower(*c);
    }
    if (len && copy[len - 1] == '.') {
        copy[len - 1] = '\0';
    }
    return copy;
}

/* --- records ---------------------------------------------------------------------- */

/* RFC 1035 section 3.3.14: strings of up to 255 octets, which belong together. */
static const char *join_strings(const acme_dns_record_t *record,
                                apr_pool_t *pool)
{
    char *text, *out;
    apr_size_t at = 0;

    if (record->len > ACME_DNS_MAX_TXT) {
        return NULL;
    }
    out = text = apr_palloc(pool, record->len + 1);
    while (at < record->len) {
        apr_size_t len = record->data[at++];
        if (len > record->len - at) {
            return NULL;
        }
        for (; len; len--, at++) {
            *out++ = record->data[at] ? (char)record->data[at] : '?';
        }
    }
    *out = '\0';
    return text;
}

static void understand(acme_dns_record_t *record, const reader_t *reader,
                       apr_size_t start)
{
    reader_t inner = *reader;

    inner.at = start;
    if (record->type == ACME_DNS_CNAME || record->type == ACME_DNS_NS) {
        record->target = take_name(&inner);
    }
    else if (record->type == ACME_DNS_TXT) {
        record->text = join_strings(record, reader->pool);
    }
}

/* @return 0: the message ends here, or does not go on in a way to be read */
static int take_record(reader_t *reader, acme_dns_answer_t *answer, int section)
{
    acme_dns_record_t *record = apr_pcalloc(reader->pool, sizeof(*record));

    record->owner = take_name(reader);
    if (!record->owner || reader->len - reader->at < 10) {
        return 0;
    }
    const unsigned char *fixed = reader->octets + reader->at;
    apr_size_t len = (apr_size_t)get16(fixed + 8), start = reader->at + 10;
    if (len > reader->len - start) {
        return 0;
    }
    record->type = get16(fixed);
    record->answer = section == 0;
    record->data = reader->octets + start;
    record->len = len;
    reader->at = start + len;
    if (get16(fixed + 2) == CLASS_IN) {
        understand(record, reader, start);
        APR_ARRAY_PUSH(answer->records, acme_dns_record_t *) = record;
    }
    return 1;
}

acme_dns_answer_t *acme_dns_parse(const unsigned char *octets, apr_size_t len,
                                  apr_pool_t *pool)
{
    reader_t reader = { octets, len, HEADER, pool };
    acme_dns_answer_t *answer;
    int total = 0;

    if (len < HEADER || !(octets[2] & 0x80)) {
        return NULL;
    }
    answer = apr_pcalloc(pool, sizeof(*answer));
    answer->authoritative = (octets[2] & 0x04) != 0;
    answer->truncated = (octets[2] & 0x02) != 0;
    answer->rcode = octets[3] & 0x0f;
    answer->records = apr_array_make(pool, 8, sizeof(acme_dns_record_t *));
    for (int i = get16(octets + 4); i > 0; i--) {
        if (!take_name(&reader) || reader.len - reader.at < 4
            || ++total > ACME_DNS_MAX_RECORDS) {
            return answer;
        }
        reader.at += 4;
    }
    for (int section = 0; section < 3; section++) {
        for (int i = get16(octets + 6 + 2 * section); i > 0; i--) {
            if (++total > ACME_DNS_MAX_RECORDS
                || !take_record(&reader, answer, section)) {
                return answer;
            }
        }
    }
    return answer;
}

/* --- looking things up ---------------------------------------------------------------- */

static const acme_dns_record_t *at(const acme_dns_answer_t *answer, int i)
{
    return APR_ARRAY_IDX(answer->records, i, acme_dns_record_t *);
}

static const char *alias_of(const acme_dns_answer_t *answer, const char *name)
{
    for (int i = 0; i < answer->records->nelts; i++) {
        const acme_dns_record_t *record = at(answer, i);
        if (record->type == ACME_DNS_CNAME && record->answer && record->target
            && !strcmp(record->owner, name)) {
            return record->target;
        }
    }
    return NULL;
}

const char *acme_dns_canonical(const acme_dns_answer_t *answer,
                               const char *name)
{
    const char *next;

    for (int i = 0; i < MAX_ALIASES && (next = alias_of(answer, name)); i++) {
        name = next;
    }
    return name;
}

/* Whether a name is a zone's, or below it. */
static int is_within(const char *name, const char *zone)
{
    apr_size_t len = strlen(name), zone_len = strlen(zone);

    return zone_len
           && (!strcmp(name, zone)
               || (len > zone_len && name[len - zone_len - 1] == '.'
                   && !strcmp(name + len - zone_len, zone)));
}

const char *acme_dns_zone(const acme_dns_answer_t *answer, const char *name)
{
    const char *zone = NULL;

    for (int i = 0; i < answer->records->nelts; i++) {
        const acme_dns_record_t *record = at(answer, i);
        if (record->type == ACME_DNS_SOA && is_within(name, record->owner)
            && (!zone || strlen(record->owner) > strlen(zone))) {
            zone = record->owner;
        }
    }
    return zone;
}

apr_array_header_t *acme_dns_find(const acme_dns_answer_t *answer,
                                  const char *owner, acme_dns_type_t type,
                                  int max, apr_pool_t *pool)
{
    apr_array_header_t *found =
        apr_array_make(pool, 4, sizeof(acme_dns_record_t *));

    for (int i = 0; i < answer->records->nelts && found->nelts < max; i++) {
        const acme_dns_record_t *record = at(answer, i);
        if (record->type == (int)type && record->answer
            && (!owner || !strcmp(record->owner, owner))) {
            APR_ARRAY_PUSH(found, const acme_dns_record_t *) = record;
        }
    }
    return found;
}
