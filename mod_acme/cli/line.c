/* The command line: which command is meant, its options and operands. */
#include "cli/acmectl.h"

#include <apr_strings.h>
#include <stdlib.h>
#include <string.h>

#define MAX_TIMEOUT 86400

const char *ctl_option(const ctl_t *ctl, const char *name)
{
    for (int i = 0; ctl->command->options[i].name; i++) {
        if (!strcmp(ctl->command->options[i].name, name)) {
            return ctl->values[i];
        }
    }
    return NULL;
}

static ctl_exit_t set_timeout(ctl_t *ctl, const char *text)
{
    char *end;
    ctl->timeout = strtol(text, &end, 10);
    return *text && !*end && ctl->timeout >= 1 && ctl->timeout <= MAX_TIMEOUT
               ? CTL_DONE
               : ctl_usage(ctl,
                           "--timeout needs a number of seconds, 1 to 86400",
                           NULL);
}

static ctl_exit_t set_store(ctl_t *ctl, const char *text)
{
    ctl->root = text;
    return *text == '/'
               ? CTL_DONE
               : ctl_usage(ctl, "--store needs an absolute path", NULL);
}

/* The option that word begins. @return NULL: the command has no such one */
static const ctl_option_t *find_option(const ctl_t *ctl, const char *word,
                                       size_t len, int *index)
{
    const ctl_option_t *options = ctl->command ? ctl->command->options : NULL;

    *index = -1;
    if (strlen(ctl_store_option.name) == len
        && !strncmp(word, ctl_store_option.name, len)) {
        return &ctl_store_option;
    }
    if (strlen(ctl_timeout_option.name) == len
        && !strncmp(word, ctl_timeout_option.name, len)) {
        return &ctl_timeout_option; /* also where nobody is waited for: harmless */
    }
    for (int i = 0; options && options[i].name; i++) {
        if (strlen(options[i].name) == len
            && !strncmp(word, options[i].name, len)) {
            *index = i;
            return &options[i];
        }
    }
    return NULL;
}

/* @param argv  at the option; left at its last word */
static ctl_exit_t take_option(ctl_t *ctl, char ***argv)
{
    const char *word = **argv, *equals = strchr(word, '=');
    int index;
    const ctl_option_t *option = find_option(
        ctl, word, equals ? (size_t)(equals - word) : strlen(word), &index);

    if (!option || (equals && !option->value)) {
        return ctl_usage(ctl, "unknown option", word);
    }
    if (!option->value) {
        ctl->values[index] = "";
        return CTL_DONE;
    }
    const char *value = equals ? equals + 1 : *++*argv;
    if (!value) {
        return ctl_usage(ctl,
                         apr_pstrcat(ctl->pool, option->name, " needs ",
                                     option->value, NULL),
                         NULL);
    }
    if (option == &ctl_store_option) {
        return set_store(ctl, value);
    }
    if (option == &ctl_timeout_option) {
        return set_timeout(ctl, value);
    }
    ctl->values[index] = value;
    return CTL_DONE;
}

/* --store and --timeout may stand before it. */
ctl_exit_t ctl_find_name(ctl_t *ctl, char **argv)
{
    const char *words[2];
    int count = 0, used;

    for (; *argv && count < 2; argv++) {
        if (!strcmp(*argv, ctl_store_option.name)
            || !strcmp(*argv, ctl_timeout_option.name)) {
            argv += argv[1] != NULL;
        }
        else if (**argv != '-') {
            words[count++] = *argv;
        }
        else if (count) {
            break;
        }
    }
    if (!count) {
        return CTL_DONE; /* options are looked at first */
    }
    ctl->command = ctl_find_command(words, count, &used);
    if (ctl->command) {
        ctl->count = -used;
        return CTL_DONE;
    }
    if (ctl_is_group(words[0]) && count == 1) {
        ctl->group = words[0];
        return CTL_DONE;
    }
    return ctl_unknown(ctl, words, count);
}

static ctl_exit_t check_operands(const ctl_t *ctl)
{
    const ctl_command_t *command = ctl->command;
    int instead = command->instead && ctl_option(ctl, command->instead);

    if (instead && ctl->count) {
        return ctl_usage(ctl,
                         apr_pstrcat(ctl->pool, "with ", command->instead,
                                     " not also", NULL),
                         ctl->operands[0]);
    }
    if (!instead && ctl->count < command->least) {
        return ctl_usage(ctl, command->name, "needs more than that");
    }
    return ctl->count > command->most
               ? ctl_usage(ctl, "not also", ctl->operands[command->most])
               : CTL_DONE;
}

ctl_exit_t ctl_take_words(ctl_t *ctl, char **argv)
{
    int literal = 0, count = ctl->count, words = 0;

    while (argv[words]) {
        words++;
    }
    ctl->operands =
        apr_pcalloc(ctl->pool, (apr_size_t)(words + 1) * sizeof(char *));
    for (; *argv; argv++) {
        if (!literal && !strcmp(*argv, "--")) {
            literal = 1;
        }
        else if (!literal && **argv == '-' && (*argv)[1]) {
            ctl_exit_t status = take_option(ctl, &argv);
            if (status != CTL_DONE) {
                return status;
            }
        }
        else if (++count > 0) {
            ctl->operands[count - 1] = *argv;
        }
    }
    ctl->count = count;
    return ctl->command ? check_operands(ctl)
                        : ctl_usage(ctl, "say what to do", NULL);
}
