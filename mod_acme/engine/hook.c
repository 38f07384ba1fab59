#include "engine/hook.h"

#include <apr_strings.h>
#include <string.h>

#include "core/encode.h"

#define MAX_VALUE (32 * 1024) /* octets of a value in the environment */

static const char *const NAMES[ACME_EVENTS] = {
    "renewing", "renewed", "installed",      "expiring",
    "errored",  "revoked", "challenge-open", "challenge-close",
};

const char *acme_event_name(acme_event_kind_t event)
{
    return NAMES[event];
}

const char *acme_event_names(void)
{
    return "renewing, renewed, installed, expiring, errored, revoked, "
           "challenge-open, challenge-close";
}

static int find(const char *word)
{
    int event = 0;

    while (event < ACME_EVENTS && strcasecmp(word, NAMES[event])) {
        event++;
    }
    return event;
}

const char *acme_event_parse(unsigned int *events, const char *text,
                             apr_pool_t *pool)
{
    unsigned int bits = 0;

    for (;;) {
        apr_size_t len = strcspn(text, ",");
        const char *word = apr_pstrndup(pool, text, len);
        int event = find(word);

        if (event == ACME_EVENTS) {
            return word;
        }
        bits |= ACME_EVENT_BIT(event);
        if (!text[len]) {
            *events = bits;
            return NULL;
        }
        text += len + 1;
    }
}

int acme_hooks_want(const apr_array_header_t *hooks, unsigned int events)
{
    for (int i = 0; hooks && i < hooks->nelts; i++) {
        if (APR_ARRAY_IDX(hooks, i, acme_hook_t *)->events & events) {
            return 1;
        }
    }
    return 0;
}

const char *acme_hooks_text(const apr_array_header_t *hooks,
                            unsigned int events, apr_pool_t *pool)
{
    const char *text = "";

    for (int i = 0; hooks && i < hooks->nelts; i++) {
        const acme_hook_t *hook = APR_ARRAY_IDX(hooks, i, acme_hook_t *);

        if (hook->events & events) {
            text = apr_psprintf(pool, "%s%u %s\n", text, hook->events & events,
                                apr_array_pstrcat(pool, hook->command, '\1'));
        }
    }
    return text;
}

void acme_hook_env(apr_array_header_t *env, const char *name, const char *value)
{
    if (value) {
        APR_ARRAY_PUSH(env, const char *) = apr_pstrcat(
            env->pool, name, "=",
            acme_encode_printable(value, MAX_VALUE, env->pool), NULL);
    }
}
