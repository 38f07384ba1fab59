#include "core/caa.h"

#include <apr_lib.h>
#include <apr_strings.h>
#include <string.h>

#include "core/encode.h"

#define CRITICAL  0x80
#define MAX_VALUE 512
#define SHOWN     3

apr_array_header_t *acme_caa_parse(const acme_dns_answer_t *answer,
                                   apr_pool_t *pool)
{
    apr_array_header_t *found =
        acme_dns_find(answer, NULL, ACME_DNS_CAA, ACME_CAA_MAX, pool);
    apr_array_header_t *records =
        apr_array_make(pool, found->nelts, sizeof(acme_caa_t *));

    for (int i = 0; i < found->nelts; i++) {
        const acme_dns_record_t *raw =
            APR_ARRAY_IDX(found, i, acme_dns_record_t *);
        apr_size_t tag_len = raw->len > 2 ? raw->data[1] : 0;
        if (!tag_len || tag_len > raw->len - 2) {
            continue;
        }
        acme_caa_t *record = apr_pcalloc(pool, sizeof(*record));
        const char *text =
            apr_pstrmemdup(pool, (const char *)raw->data + 2, raw->len - 2);
        record->critical = (raw->data[0] & CRITICAL) != 0;
        record->tag =
            acme_dns_name(acme_encode_printable(
                              apr_pstrmemdup(pool, text, tag_len), 32, pool),
                          pool);
        record->value =
            strlen(text) > tag_len
                ? acme_encode_printable(text + tag_len, MAX_VALUE, pool)
                : "";
        APR_ARRAY_PUSH(records, acme_caa_t *) = record;
    }
    return records;
}

/* --- one record ----------------------------------------------------------------- */

static char *trim(char *text)
{
    char *end;

    while (*text == ' ' || *text == '\t') {
        text++;
    }
    end = text + strlen(text);
    while (end > text && (end[-1] == ' ' || end[-1] == '\t')) {
        *--end = '\0';
    }
    return text;
}

static int is_one_of(const char *text, const apr_array_header_t *list)
{
    for (int i = 0; i < list->nelts; i++) {
        if (!strcasecmp(text, APR_ARRAY_IDX(list, i, const char *))) {
            return 1;
        }
    }
    return 0;
}

/* RFC 8657 section 4: a list with commas. */
static int names_method(char *list, const apr_array_header_t *methods)
{
    char *next, *word;

    for (word = apr_strtok(list, ",", &next); word;
         word = apr_strtok(NULL, ",", &next)) {
        if (is_one_of(trim(word), methods)) {
            return 1;
        }
    }
    return 0;
}

/* RFC 8659 section 4.2: issuer [; tag=value ...]. */
static acme_caa_verdict_t judge_value(const char *value,
                                      const acme_caa_question_t *question,
                                      apr_pool_t *scratch)
{
    char *copy = apr_pstrdup(scratch, value), *rest = strchr(copy, ';');
    acme_caa_verdict_t verdict = ACME_CAA_ALLOWED;
    char *next, *word;

    if (rest) {
        *rest++ = '\0';
    }
    if (!is_one_of(trim(copy), question->identities)) {
        return ACME_CAA_OTHER_CA;
    }
    for (word = rest ? apr_strtok(rest, ";", &next) : NULL; word;
         word = apr_strtok(NULL, ";", &next)) {
        char *equals = strchr(word, '=');
        if (!equals) {
            continue;
        }
        *equals = '\0';
        const char *tag = trim(word);
        char *text = trim(equals + 1);
        if (!strcasecmp(tag, "accounturi") && question->account_url
            && strcmp(text, question->account_url)) {
            return ACME_CAA_OTHER_ACCOUNT;
        }
        if (!strcasecmp(tag, "validationmethods")
            && !names_method(text, question->methods)) {
            verdict = ACME_CAA_OTHER_METHOD;
        }
    }
    return verdict;
}

/* --- all of them ------------------------------------------------------------------ */

static int is_known(const char *tag)
{
    static const char *const KNOWN[] = { "issue",       "issuewild",
                                         "iodef",       "issuemail",
                                         "issuevmc",    "contactemail",
                                         "contactphone" };

    for (apr_size_t i = 0; i < sizeof(KNOWN) / sizeof(KNOWN[0]); i++) {
        if (!strcmp(tag, KNOWN[i])) {
            return 1;
        }
    }
    return 0;
}

static int has_tag(const apr_array_header_t *records, const char *tag)
{
    for (int i = 0; i < records->nelts; i++) {
        if (!strcmp(APR_ARRAY_IDX(records, i, acme_caa_t *)->tag, tag)) {
            return 1;
        }
    }
    return 0;
}

acme_caa_verdict_t acme_caa_judge(const apr_array_header_t *records,
                                  const acme_caa_question_t *question,
                                  apr_pool_t *scratch)
{
    const char *tag = question->wildcard && has_tag(records, "issuewild")
                          ? "issuewild"
                          : "issue";
    acme_caa_verdict_t best = ACME_CAA_OTHER_CA;

    for (int i = 0; i < records->nelts; i++) {
        const acme_caa_t *record = APR_ARRAY_IDX(records, i, acme_caa_t *);
        if (record->critical && !is_known(record->tag)) {
            return ACME_CAA_CRITICAL;
        }
    }
    if (!has_tag(records, tag)) {
        return ACME_CAA_ALLOWED; /* section 3: they say nothing of this */
    }
    for (int i = 0; i < records->nelts; i++) {
        const acme_caa_t *record = APR_ARRAY_IDX(records, i, acme_caa_t *);
        if (strcmp(record->tag, tag)) {
            continue;
        }
        acme_caa_verdict_t one = judge_value(record->value, question, scratch);
        if (one == ACME_CAA_ALLOWED) {
            return one;
        }
        best = one != ACME_CAA_OTHER_CA ? one : best;
    }
    return best;
}

const char *acme_caa_text(const apr_array_header_t *records, apr_pool_t *pool)
{
    const char *text = "";

    for (int i = 0; i < records->nelts && i < SHOWN; i++) {
        const acme_caa_t *record = APR_ARRAY_IDX(records, i, acme_caa_t *);
        text = apr_psprintf(pool, "%s%s%d %s \"%s\"", text, i ? ", " : "",
                            record->critical ? CRITICAL : 0, record->tag,
                            record->value);
    }
    return records->nelts > SHOWN ? apr_psprintf(pool, "%s and %d more", text,
                                                 records->nelts - SHOWN)
                                  : text;
}
