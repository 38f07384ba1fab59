/* Directives as they stand in a file, one in a line. */
#include "fuzz.h"

#include "httpd.h"
#include "httpd/config.h"

#define MAX_ARGUMENTS 64 /* of httpd: AP_MAX_ARGC */

static const command_rec *find(const char *name)
{
    const command_rec *command = acme_config_directives;

    while (command->name && strcasecmp(command->name, name)) {
        command++;
    }
    return command->name ? command : NULL;
}

/* @param line  name and arguments, cut up */
static void run(cmd_parms *parms, ap_directive_t *directive, char *line)
{
    const char *name = fuzz_part(&line, ' ');
    const char *fault = NULL, *c;
    char **argv;
    int argc = 0;

    parms->cmd = find(name);
    if (!parms->cmd) {
        return;
    }
    line = line ? line : apr_pstrdup(parms->pool, "");
    directive->directive = parms->cmd->name;
    directive->args = apr_pstrdup(parms->pool, line);
    if (parms->cmd->args_how == RAW_ARGS) {
        fault = parms->cmd->AP_RAW_ARGS(parms, NULL, line);
    }
    else if (apr_tokenize_to_argv(line, &argv, parms->pool) == APR_SUCCESS) {
        while (argv[argc]) {
            argc++;
        }
        if (argc <= MAX_ARGUMENTS) {
            fault = parms->cmd->AP_TAKE_ARGV(parms, NULL, argc, argv);
        }
    }
    for (c = fault ? fault : ""; *c; c++) {
        FUZZ_MUST(*c != '\n' && *c != '\r');
    }
}

void fuzz_directives(const char *data, apr_size_t len, apr_pool_t *pool)
{
    server_rec *server = fuzz_server(pool);
    acme_server_config_t *config = acme_config_of(server);
    ap_directive_t directive = { .filename = "shop.conf" };
    cmd_parms parms = { .pool = pool,
                        .temp_pool = pool,
                        .server = server,
                        .directive = &directive };
    char *rest = apr_pstrdup(pool, data), *line;
    const acme_settings_t *settings = &config->settings;
    acme_settings_t merged;

    (void)len;
    while ((line = fuzz_part(&rest, '\n')) != NULL) {
        run(&parms, &directive, line);
    }
    if (acme_config_global()->declared->nelts) {
        const acme_declared_t *declared =
            APR_ARRAY_IDX(acme_config_global()->declared, 0, acme_declared_t *);

        FUZZ_MUST(declared->idents->nelts > 0
                  && declared->idents->nelts <= ACME_MAX_IDENTS);
        settings = &declared->settings;
    }
    acme_config_merge_settings(&merged, settings, &config->settings, pool);
    acme_config_differences(acme_config_policy(&merged, pool),
                            acme_config_policy(settings, pool), pool);
    acme_config_why_no_dns(&merged);
    acme_config_has_own_ca(&merged);
}
