#include "core/reason.h"

#include <apr_lib.h>
#include <string.h>

/* RFC 5280 section 5.3.1; removeFromCRL (8) and the CA's own (2, 10) are not for
 * clients. */
static const struct {
    int number;
    const char *name;
} reasons[] = {
    { 0, "unspecified" },          { 1, "keyCompromise" },
    { 3, "affiliationChanged" },   { 4, "superseded" },
    { 5, "cessationOfOperation" }, { 6, "certificateHold" },
    { 9, "privilegeWithdrawn" },
};
#define REASONS ((int)(sizeof(reasons) / sizeof(reasons[0])))

const char *acme_reason_name(int reason)
{
    for (int i = 0; i < REASONS; i++) {
        if (reasons[i].number == reason) {
            return reasons[i].name;
        }
    }
    return NULL;
}

static int same_word(const char *name, const char *text)
{
    for (; *text; text++) {
        if (*text == '-' || *text == '_') {
            continue;
        }
        if (apr_tolower(*text) != apr_tolower(*name)) {
            return 0;
        }
        name++;
    }
    return !*name;
}

int acme_reason_parse(int *reason, const char *text)
{
    for (int i = 0; i < REASONS; i++) {
        char number[] = { (char)('0' + reasons[i].number), '\0' };
        if (!strcmp(text, number) || same_word(reasons[i].name, text)) {
            *reason = reasons[i].number;
            return 0;
        }
    }
    return -1;
}
