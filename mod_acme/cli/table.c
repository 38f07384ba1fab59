/* Which commands there are, and help about them. */
#include "cli/acmectl.h"

#include <apr_lib.h>
#include <apr_strings.h>
#include <stdio.h>
#include <string.h>

static ctl_exit_t run_help(ctl_t *ctl);

static const ctl_command_t HELP = {
    .name = "help",
    .operands = "[COMMAND]",
    .most = 2,
    .summary = "explain acmectl, or one of its commands",
    .run = run_help,
};

static const ctl_command_t *const COMMANDS[] = {
    &ctl_status,
    &ctl_show,
    &ctl_check,
    &ctl_renew,
    &ctl_revoke,
    &ctl_delete,
    &ctl_account_show,
    &ctl_account_import,
    &ctl_account_rollover,
    &ctl_account_contact,
    &ctl_account_deactivate,
    &ctl_account_new,
    &ctl_log,
    &ctl_export,
    &ctl_backup,
    &ctl_restore,
    &ctl_migrate_md,
    &ctl_migrate_certbot,
    &ctl_explain,
    &HELP,
    NULL,
};

const ctl_option_t ctl_store_option = {
    "--store", "DIR",
    "AcmeStore of the server ($ACME_STORE, or else " ACME_DEFAULT_STORE ")"
};
const ctl_option_t ctl_timeout_option = {
    "--timeout", "SECONDS", "how long to wait for the server (600)"
};

const ctl_command_t *const *ctl_commands(void)
{
    return COMMANDS;
}

/* --- help -------------------------------------------------------------------------- */

static void put_usage(const ctl_command_t *command, FILE *out)
{
    fprintf(out, "usage: acmectl%s %s%s%s",
            command->needs ? " [--store DIR]" : "", command->name,
            *command->operands ? " " : "", command->operands);
    for (const ctl_option_t *option = command->options; option->name;
         option++) {
        /* One that stands for an operand is among them. */
        if (!strstr(command->operands, option->name)) {
            fprintf(out, option->value ? " [%s %s]" : " [%s]", option->name,
                    option->value);
        }
    }
    fputs(command->needs == CTL_ASKS ? " [--timeout SECONDS]\n" : "\n", out);
}

static void put_option(const ctl_option_t *option)
{
    printf("  %-10s %-8s  %s\n", option->name,
           option->value ? option->value : "", option->help);
}

ctl_exit_t ctl_help(const ctl_command_t *command)
{
    put_usage(command, stdout);
    printf("\n%c%s.\n", apr_toupper(command->summary[0]), command->summary + 1);
    if (command->details) {
        printf("\n%s\n", command->details);
    }
    if (command->needs || command->options[0].name) {
        puts("");
    }
    for (const ctl_option_t *option = command->options; option->name;
         option++) {
        put_option(option);
    }
    if (command->needs) {
        put_option(&ctl_store_option);
    }
    if (command->needs == CTL_ASKS) {
        put_option(&ctl_timeout_option);
    }
    return CTL_DONE;
}

static int is_of_group(const ctl_command_t *command, const char *word)
{
    apr_size_t len = strlen(word);
    return !strncmp(command->name, word, len) && command->name[len] == ' ';
}

int ctl_is_group(const char *word)
{
    for (const ctl_command_t *const *command = COMMANDS; *command; command++) {
        if (is_of_group(*command, word)) {
            return 1;
        }
    }
    return 0;
}

static void put_summary(const ctl_command_t *command, FILE *out)
{
    int width = fprintf(out, "  %s %s", command->name, command->operands);
    fprintf(out, "%*s%s\n", width < 38 ? 38 - width : 2, "", command->summary);
}

int ctl_help_group(const char *word, FILE *out)
{
    int count = 0;

    for (const ctl_command_t *const *command = COMMANDS; *command; command++) {
        if (!is_of_group(*command, word)) {
            continue;
        }
        if (!count++) {
            fprintf(out, "usage: acmectl [--store DIR] %s COMMAND ...\n\n",
                    word);
        }
        put_summary(*command, out);
    }
    if (count) {
        fprintf(out, "\nTry \"acmectl help %s COMMAND\".\n", word);
    }
    return count;
}

ctl_exit_t ctl_unknown(const ctl_t *ctl, const char *const *words, int count)
{
    if (count < 2 || !ctl_is_group(words[0])) {
        return ctl_usage(ctl, "unknown command", words[0]);
    }
    fprintf(stderr, "acmectl: unknown command %s %s\n", words[0],
            acme_encode_printable(words[1], 64, ctl->pool));
    ctl_help_group(words[0], stderr);
    return CTL_USAGE;
}

ctl_exit_t ctl_help_all(void)
{
    puts("usage: acmectl [--store DIR] COMMAND ...\n"
         "       acmectl help COMMAND\n"
         "       acmectl --help | --version\n");
    for (const ctl_command_t *const *command = COMMANDS; *command; command++) {
        put_summary(*command, stdout);
    }
    puts("\nExit status: 0 done, 1 failed, 2 wrong usage, 3 no server runs, "
         "4 not done in time.");
    return CTL_DONE;
}

ctl_exit_t ctl_usage(const ctl_t *ctl, const char *why, const char *what)
{
    fprintf(stderr, "acmectl: %s%s%s\n", why, what ? " " : "",
            what ? what : "");
    if (ctl->command) {
        put_usage(ctl->command, stderr);
        fprintf(stderr, "Try \"acmectl help %s\".\n", ctl->command->name);
    }
    else {
        fputs("usage: acmectl [--store DIR] COMMAND ...\n"
              "Try \"acmectl --help\".\n",
              stderr);
    }
    return CTL_USAGE;
}

/* --- finding ------------------------------------------------------------------------ */

const ctl_command_t *ctl_find_command(const char **operands, int count,
                                      int *words)
{
    const ctl_command_t *found = NULL;

    for (const ctl_command_t *const *command = COMMANDS; *command; command++) {
        const char *name = (*command)->name;
        const char *space = strchr(name, ' ');
        size_t len = space ? (size_t)(space - name) : strlen(name);
        if (!count || strncmp(operands[0], name, len) || operands[0][len]
            || (space && (count < 2 || strcmp(operands[1], space + 1)))) {
            continue;
        }
        found = *command;
        *words = space ? 2 : 1;
        if (space) {
            break;
        }
    }
    return found;
}

static ctl_exit_t run_help(ctl_t *ctl)
{
    int words;
    if (!ctl->count) {
        return ctl_help_all();
    }
    const ctl_command_t *command =
        ctl_find_command(ctl->operands, ctl->count, &words);
    if (command) {
        return ctl_help(command);
    }
    if (ctl->count == 1 && ctl_help_group(ctl->operands[0], stdout)) {
        return CTL_DONE;
    }
    ctl->command = NULL; /* it is no mistake about "help" */
    return ctl_unknown(ctl, ctl->operands, ctl->count);
}
