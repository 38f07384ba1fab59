/* Directives about what a certificate is asked for with, and how its key lives. */
#include "httpd/setters.h"

#include <apr_strings.h>
#include <string.h>

#include "core/csr.h"
#include "core/encode.h"

#define MAX_COMMON_NAME 64 /* characters, RFC 5280 appendix A.1 */

const char *acme_set_preferred_chain(acme_target_t *to, int argc,
                                     char *const argv[])
{
    apr_pool_t *pool = to->cmd->pool;
    acme_ca_settings_t *settings = acme_setters_of_ca(to, &argc, &argv);

    if (argc > 1) {
        return acme_setters_no_ca(argv[0], pool);
    }
    if (!*argv[0] || strlen(argv[0]) > 4 * MAX_COMMON_NAME
        || strcmp(acme_encode_printable(argv[0], 4 * MAX_COMMON_NAME, pool),
                  argv[0])) {
        return apr_psprintf(pool,
                            "\"%s\" is not the common name of an issuer, "
                            "such as \"ISRG Root X1\"; that or none is "
                            "allowed",
                            acme_encode_printable(argv[0], 80, pool));
    }
    settings->preferred_chain = strcasecmp(argv[0], "none") ? argv[0] : "";
    return NULL;
}

/* One of each but OU: a certificate has one country, not two. */
static int has_attribute(const apr_array_header_t *subject, const char *name)
{
    int i;

    for (i = 0; i < subject->nelts; i++) {
        if (!strcmp(APR_ARRAY_IDX(subject, i, acme_csr_attribute_t).name,
                    name)) {
            return 1;
        }
    }
    return 0;
}

const char *acme_set_subject(acme_target_t *to, int argc, char *const argv[])
{
    apr_pool_t *pool = to->cmd->pool;
    apr_array_header_t *subject =
        apr_array_make(pool, argc, sizeof(acme_csr_attribute_t));
    int i;

    for (i = 0; i < argc && !(argc == 1 && !strcasecmp(argv[0], "none")); i++) {
        acme_csr_attribute_t one;
        acme_err_t *err = acme_csr_attribute_parse(&one, argv[i], pool);

        if (err) {
            return err->text;
        }
        if (strcmp(one.name, "OU") && has_attribute(subject, one.name)) {
            return apr_psprintf(pool,
                                "\"%s\" is a second %s; only OU may be there "
                                "more than once",
                                argv[i], one.name);
        }
        APR_ARRAY_PUSH(subject, acme_csr_attribute_t) = one;
    }
    to->settings->subject = subject;
    return NULL;
}

const char *acme_set_must_staple(acme_target_t *to, int argc,
                                 char *const argv[])
{
    (void)argc;
    return acme_setters_flag(&to->settings->must_staple, argv[0],
                             to->cmd->pool);
}

/* @return -1 if text is none of the words, which end with NULL */
static int find_word(const char *const *words, const char *text)
{
    int i;

    for (i = 0; words[i]; i++) {
        if (!strcasecmp(words[i], text)) {
            return i;
        }
    }
    return -1;
}

const char *acme_set_key_reuse(acme_target_t *to, int argc, char *const argv[])
{
    static const char *const words[] = { "off", "on", "next", NULL };

    (void)argc;
    to->settings->key_reuse = find_word(words, argv[0]);
    return to->settings->key_reuse >= 0
               ? NULL
               : apr_psprintf(to->cmd->pool,
                              "\"%s\" is none of off, on and next", argv[0]);
}

const char *acme_set_bad_names(acme_target_t *to, int argc, char *const argv[])
{
    static const char *const words[] = { "skip", "fail", NULL };

    (void)argc;
    to->settings->bad_names = find_word(words, argv[0]);
    return to->settings->bad_names >= 0
               ? NULL
               : apr_psprintf(to->cmd->pool, "\"%s\" is neither skip nor fail",
                              argv[0]);
}

const char *acme_set_preflight(acme_target_t *to, int argc, char *const argv[])
{
    static const char *const words[] = { "off", "advise", "require", NULL };

    (void)argc;
    to->settings->preflight = find_word(words, argv[0]);
    return to->settings->preflight >= 0
               ? NULL
               : apr_psprintf(to->cmd->pool,
                              "\"%s\" is none of off, advise and require",
                              argv[0]);
}
