/* What a DNS server answers; and addresses of resolvers, which an administrator
 * writes. */
#include "fuzz.h"

#include "core/caa.h"
#include "core/dns.h"
#include "core/persist.h"
#include "engine/resolver.h"

#define NOW apr_time_from_sec(1795334400)

static const apr_array_header_t *one(const char *text, apr_pool_t *pool)
{
    apr_array_header_t *list = apr_array_make(pool, 1, sizeof(const char *));

    APR_ARRAY_PUSH(list, const char *) = text;
    return list;
}

static void look_at_caa(const acme_dns_answer_t *answer, apr_pool_t *pool)
{
    apr_array_header_t *records = acme_caa_parse(answer, pool);
    acme_caa_question_t question = { 0, one("ca.test", pool),
                                     "https://ca.test/account/1",
                                     one("http-01", pool) };

    FUZZ_MUST(records->nelts <= ACME_CAA_MAX);
    acme_caa_judge(records, &question, pool);
    question.wildcard = 1;
    acme_caa_judge(records, &question, pool);
    acme_caa_text(records, pool);
}

static void look_at_txt(const acme_dns_record_t *record, apr_pool_t *pool)
{
    const acme_ident_t ident = { ACME_IDENT_DNS, "*.shop.example" };
    acme_persist_t persist = { &ident, one("ca.test", pool), NULL,
                               "https://ca.test/account/1",
                               "0123456789012345678901234567890123456789012" };
    apr_time_t until;

    FUZZ_MUST(strlen(record->text) <= ACME_DNS_MAX_TXT);
    acme_persist_match(&persist, record->text, NOW, &until, pool);
    persist.hash_prefix = "https://ca.test/hash/";
    acme_persist_match(&persist, record->text, NOW, &until, pool);
}

void fuzz_dns(const char *data, apr_size_t len, apr_pool_t *pool)
{
    unsigned char *octets = apr_pmemdup(pool, data, len);
    acme_dns_answer_t *answer = acme_dns_parse(octets, len, pool);
    const char *address = acme_resolver_address(data, pool);
    int i;

    if (address) {
        FUZZ_MUST(!strcmp(address, acme_resolver_address(address, pool)));
    }
    if (!answer) {
        return;
    }
    FUZZ_MUST(answer->records->nelts <= ACME_DNS_MAX_RECORDS);
    for (i = 0; i < answer->records->nelts; i++) {
        const acme_dns_record_t *record =
            APR_ARRAY_IDX(answer->records, i, const acme_dns_record_t *);

        FUZZ_MUST(record->data >= octets
                  && record->data + record->len <= octets + len);
        if (record->text) {
            look_at_txt(record, pool);
        }
        acme_dns_canonical(answer, record->owner);
        acme_dns_zone(answer, record->owner);
        acme_dns_find(answer, record->owner, ACME_DNS_TXT, 8, pool);
    }
    look_at_caa(answer, pool);
}
