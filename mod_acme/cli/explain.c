/* What a number of the log means. */
#include "cli/acmectl.h"

#include <apr_strings.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char *level_name(acme_level_t level)
{
    static const char *const NAMES[] = {
        [ACME_LEVEL_ERR] = "error: a human must act",
        [ACME_LEVEL_WARNING] = "warning: something is not as it should be",
        [ACME_LEVEL_NOTICE] = "notice",
        [ACME_LEVEL_INFO] = "information",
        [ACME_LEVEL_DEBUG] = "debugging",
    };
    return NAMES[level];
}

/* What is done about it without a human; where one must act, that is said before. */
static const char *class_name(const acme_msg_entry_t *entry)
{
    static const char *const NAMES[] = {
        [ACME_CLASS_NONE] = "no error",
        [ACME_CLASS_CONFIG] = "waits for the administrator",
        [ACME_CLASS_LOCAL] = "of this machine; tried again by itself",
        [ACME_CLASS_CA_RETRY] = "passes by itself; tried again by itself",
        [ACME_CLASS_CA_FINAL] = "the CA refuses; tried again at most daily",
    };
    if (entry->level == ACME_LEVEL_ERR && entry->class == ACME_CLASS_LOCAL) {
        return "of this machine";
    }
    if (entry->level == ACME_LEVEL_ERR && entry->class == ACME_CLASS_CA_RETRY) {
        return "of the CA; tried again meanwhile";
    }
    return NAMES[entry->class];
}

/* "..." for what each line has in place of it. */
static const char *words(const char *text, apr_pool_t *pool)
{
    const char *done = "", *found;

    while ((found = strstr(text, "%s")) != NULL) {
        done = apr_pstrcat(
            pool, done, apr_pstrmemdup(pool, text, (apr_size_t)(found - text)),
            "...", NULL);
        text = found + 2;
    }
    return apr_pstrcat(pool, done, text, NULL);
}

static void explain(const acme_msg_entry_t *entry, apr_pool_t *pool)
{
    printf("ACME%04d: %s\n  %s; %s\n", (int)entry->msg,
           words(entry->text, pool), level_name(entry->level),
           class_name(entry));
    if (*entry->remedy) {
        printf("  %s\n", entry->remedy);
    }
}

/* "ACME1210", "acme1210", "1210", "ACME1210:". @return 0: it is none */
static int number_of(const char *text)
{
    char *end;
    if (!strncasecmp(text, "ACME", 4)) {
        text += 4;
    }
    long number = strspn(text, "0123456789") ? strtol(text, &end, 10) : 0;
    return number > 0 && number < 10000 && (!*end || !strcmp(end, ":"))
               ? (int)number
               : 0;
}

static ctl_exit_t run_explain(ctl_t *ctl)
{
    int count;
    const acme_msg_entry_t *table = acme_msg_table(&count);
    int all = ctl_option(ctl, "--all") != NULL;
    int number = all ? 0 : number_of(ctl->operands[0]);

    for (int i = 0; i < count; i++) {
        if (all) {
            fputs(i ? "\n" : "", stdout);
            explain(&table[i], ctl->pool);
        }
        else if ((int)table[i].msg == number) {
            explain(&table[i], ctl->pool);
            return CTL_DONE;
        }
    }
    return all ? CTL_DONE
               : ctl_say(ctl, ACME_E_CTL_CODE,
                         acme_encode_printable(ctl->operands[0], 32, ctl->pool),
                         NULL);
}

const ctl_command_t ctl_explain = {
    .name = "explain",
    .operands = "CODE | --all",
    .least = 1,
    .most = 1,
    .instead = "--all",
    .summary = "say what a number of the log means, and what to do",
    .details = "CODE is as in the log (ACME1210) or its number alone (1210).",
    .run = run_explain,
    .options = { { "--all", NULL, "every message there is" } },
};
