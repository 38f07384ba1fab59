/** Setters of the directives about how a certificate comes into service. */
#include "httpd/setters.h"

#include <apr_strings.h>
#include <string.h>

#define RELOAD_DEFAULT apr_time_from_sec(10 * 60)
#define RELOAD_LEAST   apr_time_from_sec(10)
#define RELOAD_MOST    apr_time_from_sec(7 * 24 * 3600)
#define DELAY_MOST     apr_time_from_sec(30 * 24 * 3600)

/* @return NULL, or a sentence */
static const char *parse(apr_interval_time_t *duration, const char *text,
                         apr_interval_time_t least, apr_interval_time_t most,
                         apr_pool_t *pool)
{
    acme_span_t span;
    acme_err_t *err = acme_span_parse(&span, text, 0, pool);

    if (err) {
        return acme_setters_sentence(err, pool);
    }
    if (span.duration < least || span.duration > most) {
        return apr_psprintf(pool, "\"%s\" is not between %s and %s", text,
                            acme_duration_text(least, pool),
                            acme_duration_text(most, pool));
    }
    *duration = span.duration;
    return NULL;
}

const char *acme_setters_activate(acme_target_t *to, int argc,
                                  char *const argv[])
{
    static const char *const WORDS[] = { "live", "reload", "manual" };
    apr_pool_t *pool = to->cmd->pool;
    apr_interval_time_t interval = RELOAD_DEFAULT;
    int mode = 0, words = sizeof(WORDS) / sizeof(WORDS[0]);
    const char *fault;

    while (mode < words && strcasecmp(argv[0], WORDS[mode])) {
        mode++;
    }
    if (mode == words) {
        return apr_psprintf(pool, "\"%s\" is none of live, reload and manual",
                            argv[0]);
    }
    if (argc == 2 && mode != ACME_ACTIVATE_RELOAD) {
        return apr_psprintf(
            pool, "\"%s\" has no interval, so that \"%s\" means nothing",
            argv[0], argv[1]);
    }
    if (argc == 2) {
        fault = parse(&interval, argv[1], RELOAD_LEAST, RELOAD_MOST, pool);
        if (fault) {
            return fault;
        }
    }
    to->settings->activate = mode;
    to->settings->reload_interval = interval;
    return NULL;
}

const char *acme_setters_activate_delay(acme_target_t *to, int argc,
                                        char *const argv[])
{
    (void)argc;
    return parse(&to->settings->activate_delay, argv[0], 0, DELAY_MOST,
                 to->cmd->pool);
}
