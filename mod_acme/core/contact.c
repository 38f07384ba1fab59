#include "core/contact.h"

#include <apr_lib.h>
#include <apr_strings.h>
#include <string.h>

#include "core/ident.h"

#define MAX_ADDRESS 254
#define MAILTO      "mailto:"

static int is_address(const char *text, apr_pool_t *pool)
{
    const char *at = strchr(text, '@');
    acme_ident_t *ident;

    if (!at || at == text || strlen(text) > MAX_ADDRESS) {
        return 0;
    }
    for (const char *p = text; *p; p++) {
        if (!apr_isgraph(*p) || (unsigned char)*p > 0x7e
            || strchr(",;?%<>()\"\\", *p)) {
            return 0;
        }
    }
    return acme_ident_parse(&ident, at + 1, pool) == NULL;
}

const char *acme_contact_of(const char *text, apr_pool_t *pool)
{
    if (!strncasecmp(text, MAILTO, strlen(MAILTO))) {
        text += strlen(MAILTO);
    }
    return is_address(text, pool) ? apr_pstrcat(pool, MAILTO, text, NULL)
                                  : NULL;
}
