#include "core/persist.h"

#include <apr_lib.h>
#include <apr_strings.h>
#include <string.h>

#include "core/encode.h"

#define MAX_STRING 255
#define MAX_TEXT   4096

static const char *base_of(const acme_ident_t *ident)
{
    return acme_ident_is_wildcard(ident) ? ident->value + 2 : ident->value;
}

const char *acme_persist_name(const acme_ident_t *ident, apr_pool_t *pool)
{
    return apr_pstrcat(pool, "_validation-persist.", base_of(ident), NULL);
}

const char *acme_persist_digest(const char *domain, const char *thumbprint,
                                const char *account_url, apr_pool_t *pool)
{
    unsigned char digest[ACME_SHA256];
    const char *text = apr_psprintf(pool, "%c%s%s%s", (char)strlen(domain),
                                    domain, thumbprint, account_url);

    acme_sha256(digest, text, strlen(text));
    return acme_encode_base64url(digest, sizeof(digest), pool);
}

/* What accounturi must be. */
static const char *account_of(const acme_persist_t *persist, const char *domain,
                              apr_pool_t *pool)
{
    if (!persist->hash_prefix) {
        return persist->account_url ? persist->account_url : "";
    }
    return apr_pstrcat(pool, persist->hash_prefix, "sha-256/",
                       acme_persist_digest(domain, persist->thumbprint,
                                           persist->account_url, pool),
                       NULL);
}

const char *acme_persist_text(const acme_persist_t *persist, apr_pool_t *pool)
{
    return apr_pstrcat(
        pool, APR_ARRAY_IDX(persist->issuers, 0, const char *),
        "; accounturi=", account_of(persist, base_of(persist->ident), pool),
        acme_ident_is_wildcard(persist->ident) ? "; policy=wildcard" : "",
        NULL);
}

const char *acme_persist_line(const acme_persist_t *persist, apr_pool_t *pool)
{
    const char *text = acme_persist_text(persist, pool);
    const char *line = apr_pstrcat(
        pool, acme_persist_name(persist->ident, pool), ". IN TXT", NULL);

    while (*text) {
        const char *part = apr_pstrndup(pool, text, MAX_STRING);
        line = apr_pstrcat(pool, line, " \"", part, "\"", NULL);
        text += strlen(part);
    }
    return line;
}

/* --- matching --------------------------------------------------------------------- */

static char *trim(char *text)
{
    char *end;

    while (apr_isspace(*text)) {
        text++;
    }
    for (end = text + strlen(text); end > text && apr_isspace(end[-1]);) {
        *--end = '\0';
    }
    return text;
}

static int is_issuer(const acme_persist_t *persist, const char *name)
{
    for (int i = 0; i < persist->issuers->nelts; i++) {
        if (!strcasecmp(name,
                        APR_ARRAY_IDX(persist->issuers, i, const char *))) {
            return 1;
        }
    }
    return 0;
}

static int is_account(const acme_persist_t *persist, const char *text,
                      apr_pool_t *scratch)
{
    return !strcmp(text, account_of(persist, base_of(persist->ident), scratch))
           || (persist->hash_prefix
               && !strcmp(text, account_of(persist, "*", scratch)));
}

typedef struct said_t {
    const char *account;
    int wildcard, twice;
    apr_time_t until; /* 0: none; -1: not to be read */
} said_t;

static apr_time_t parse_until(const char *text)
{
    apr_int64_t seconds = 0;

    for (; apr_isdigit(*text) && seconds < APR_INT64_C(100000000000); text++) {
        seconds = seconds * 10 + (*text - '0');
    }
    return *text || seconds <= 0 ? -1 : apr_time_from_sec(seconds);
}

static void take_parameter(said_t *said, char *word)
{
    char *equals = strchr(word, '='), *value = equals ? trim(equals + 1) : word;

    if (!equals) {
        return;
    }
    *equals = '\0';
    word = trim(word);
    if (!strcasecmp(word, "accounturi")) {
        said->twice |= said->account != NULL;
        said->account = value;
    }
    else if (!strcasecmp(word, "policy")) {
        said->wildcard |= !strcasecmp(value, "wildcard");
    }
    else if (!strcasecmp(word, "persistUntil")) {
        said->twice |= said->until != 0;
        said->until = parse_until(value);
    }
}

int acme_persist_match(const acme_persist_t *persist, const char *text,
                       apr_time_t now, apr_time_t *until, apr_pool_t *scratch)
{
    char *copy, *next, *word;
    said_t said = { NULL, 0, 0, 0 };

    if (strlen(text) > MAX_TEXT || !*text || *text == ';') {
        return 0;
    }
    copy = apr_pstrdup(scratch, text);
    word = apr_strtok(copy, ";", &next);
    if (!word || !is_issuer(persist, trim(word))) {
        return 0;
    }
    while ((word = apr_strtok(NULL, ";", &next)) != NULL) {
        take_parameter(&said, word);
    }
    if (said.twice || !said.account
        || !is_account(persist, said.account, scratch)
        || (acme_ident_is_wildcard(persist->ident) && !said.wildcard)
        || (said.until && said.until <= now)) {
        return 0;
    }
    *until = said.until;
    return 1;
}
