/** Setters of the directives about events. */
#include "httpd/setters.h"

#include <apr_strings.h>
#include <http_core.h>
#include <string.h>

#include "core/encode.h"
#include "engine/hook.h"

#define MAX_HOOKS 64

static apr_array_header_t *own_hooks(acme_settings_t *settings,
                                     apr_pool_t *pool)
{
    if (!settings->hooks) {
        settings->hooks = apr_array_make(pool, 2, sizeof(acme_hook_t *));
    }
    return settings->hooks;
}

/* @return NULL, or a sentence */
static const char *make_command(apr_array_header_t **command, int argc,
                                char *const argv[], apr_pool_t *pool)
{
    *command = apr_array_make(pool, argc + 4, sizeof(const char *));
    return acme_setters_program(*command, argc, argv);
}

const char *acme_setters_on(acme_target_t *to, int argc, char *const argv[])
{
    apr_pool_t *pool = to->cmd->pool;
    apr_array_header_t *hooks = own_hooks(to->settings, pool);
    apr_array_header_t *command = NULL;
    unsigned int events = 0;
    const char *wrong;
    acme_hook_t *hook;

    if (argc == 1 && !strcasecmp(argv[0], "none")) {
        apr_array_clear(hooks);
        to->settings->hooks_alone = 1;
        return NULL;
    }
    wrong = acme_event_parse(&events, argv[0], pool);
    if (wrong) {
        return apr_psprintf(pool, "\"%s\" is not an event; %s are%s", wrong,
                            acme_event_names(),
                            argc == 1 ? ", and \"none\" alone" : "");
    }
    if (argc == 1) {
        return apr_psprintf(pool, "no program for \"%s\"", argv[0]);
    }
    if (hooks->nelts >= MAX_HOOKS) {
        return apr_psprintf(pool, "there are %d of them already", MAX_HOOKS);
    }
    wrong = make_command(&command, argc - 1, argv + 1, pool);
    if (wrong) {
        return wrong;
    }
    hook = apr_palloc(pool, sizeof(*hook));
    hook->events = events;
    hook->command = command;
    APR_ARRAY_PUSH(hooks, acme_hook_t *) = hook;
    return NULL;
}

const char *acme_setters_warn(acme_target_t *to, int argc, char *const argv[])
{
    apr_pool_t *pool = to->cmd->pool;
    acme_span_t span;
    acme_err_t *err = acme_span_parse(&span, argv[0], 1, pool);

    (void)argc;
    if (err) {
        return acme_setters_sentence(err, pool);
    }
    to->settings->warn = span;
    to->settings->warn_set = 1;
    return NULL;
}
