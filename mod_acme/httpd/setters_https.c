/* The directive that sends plain requests to https. */
#include "httpd/setters.h"

#include <apr_strings.h>
#include <string.h>

/* Seconds, as in the header, or a duration. @return NULL, or a sentence */
static const char *parse_age(int *age, const char *text, apr_pool_t *pool)
{
    acme_span_t span;
    acme_err_t *err = acme_span_parse(&span, text, 0, pool);

    if (err) {
        return acme_setters_sentence(err, pool);
    }
    *age = (int)apr_time_sec(span.duration); /* ten years fit */
    return NULL;
}

const char *acme_setters_require_https(acme_target_t *to, int argc,
                                       char *const argv[])
{
    apr_pool_t *pool = to->cmd->pool;
    acme_server_config_t *host = to->host;
    int age = ACME_HSTS_DEFAULT;
    acme_require_t require;
    const char *wrong;

    if (!strcasecmp(argv[0], "off")) {
        require = ACME_REQUIRE_OFF;
    }
    else if (!strcasecmp(argv[0], "temporary")) {
        require = ACME_REQUIRE_TEMPORARY;
    }
    else if (!strcasecmp(argv[0], "permanent")) {
        require = ACME_REQUIRE_PERMANENT;
    }
    else {
        return apr_psprintf(
            pool, "\"%s\" is none of off, temporary and permanent", argv[0]);
    }
    if (argc == 2 && require != ACME_REQUIRE_PERMANENT) {
        return apr_psprintf(pool,
                            "\"%s\" follows %s, where browsers are told "
                            "nothing; a max-age is allowed after permanent",
                            argv[1], argv[0]);
    }
    wrong = argc == 2 ? parse_age(&age, argv[1], pool) : NULL;
    if (wrong) {
        return wrong;
    }
    host->require = require;
    host->require_age = age;
    host->require_here = 1;
    host->require_where.file = to->cmd->directive->filename;
    host->require_where.line = to->cmd->directive->line_num;
    return NULL;
}
