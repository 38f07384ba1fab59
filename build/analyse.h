/* For build/analyse alone, in front of every file: what never returns NULL. The
 * analysers do not believe ACME_NEVER_NULL, and so follow paths on which a function
 * fails with NULL, and what it has not written is read. */
#include <apr_strings.h>
#include <stdlib.h>

#include "core/err.h"

#define ACME_ANALYSE_THERE(type, name)                                         \
    static inline type *name(type *there)                                      \
    {                                                                          \
        if (!there) {                                                          \
            abort();                                                           \
        }                                                                      \
        return there;                                                          \
    }
ACME_ANALYSE_THERE(acme_err_t, acme_analyse_err)
ACME_ANALYSE_THERE(const char, acme_analyse_line)
ACME_ANALYSE_THERE(char, acme_analyse_text)

#define acme_err_make(...)       acme_analyse_err(acme_err_make(__VA_ARGS__))
#define acme_err_os(...)         acme_analyse_err(acme_err_os(__VA_ARGS__))
#define acme_err_ssl(...)        acme_analyse_err(acme_err_ssl(__VA_ARGS__))
#define acme_err_line(err, pool) acme_analyse_line(acme_err_line(err, pool))
#define apr_pstrcat(...)         acme_analyse_text(apr_pstrcat(__VA_ARGS__))
#define apr_psprintf(...)        acme_analyse_text(apr_psprintf(__VA_ARGS__))
