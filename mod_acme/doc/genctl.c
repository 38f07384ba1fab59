/** Prints what is made from acmectl's table of commands, genctl man|bash|zsh; or says
 *  whether it would take a command line, genctl line WORD ...: for documents. */
#include <apr_general.h>
#include <stdio.h>
#include <string.h>

#include "cli/acmectl.h"

volatile sig_atomic_t ctl_interrupted;

/* --- the manual page ------------------------------------------------------------------ */

/* Nothing in the text is markup. */
static void put_text(const char *text)
{
    int start = 1;
    for (; *text; text++) {
        if (start && (*text == '.' || *text == '\'')) {
            fputs("\\&", stdout);
        }
        start = *text == '\n';
        if (*text == '\n' && text[1] == '\n') {
            fputs("\n.PP", stdout);
            continue;
        }
        if (*text == '-') {
            fputs("\\-", stdout);
        }
        else if (*text == '\\') {
            fputs("\\e", stdout);
        }
        else {
            putchar(*text);
        }
    }
}

static void put_option(const ctl_option_t *option)
{
    fputs(".TP\n.B ", stdout);
    put_text(option->name);
    if (option->value) {
        printf(" \\fI%s\\fP", option->value);
    }
    fputs("\n", stdout);
    put_text(option->help);
    fputs(".\n", stdout);
}

static void put_command(const ctl_command_t *command)
{
    printf(".SS %s", command->name);
    if (*command->operands) {
        fputs(" ", stdout);
        put_text(command->operands);
    }
    printf("\n%c", command->summary[0] - 'a' + 'A');
    put_text(command->summary + 1);
    fputs(".\n", stdout);
    if (command->details) {
        fputs(".PP\n", stdout);
        put_text(command->details);
        fputs("\n", stdout);
    }
    for (const ctl_option_t *option = command->options; option->name;
         option++) {
        put_option(option);
    }
    if (command->needs == CTL_ASKS) {
        put_option(&ctl_timeout_option);
    }
}

static const char MAN_HEAD[] =
    ".\\\" Made by genctl from the table in mod_acme/cli; do not edit.\n"
    ".TH ACMECTL 8 \"\" mod_acme \"System Administration\"\n"
    ".SH NAME\nacmectl \\- see and steer the certificates of Apache httpd's "
    "mod_acme\n"
    ".SH SYNOPSIS\n.B acmectl\n[\\fB\\-\\-store\\fP \\fIDIR\\fP] "
    "\\fICOMMAND\\fP ...\n.br\n.B acmectl help\n[\\fICOMMAND\\fP]\n"
    ".SH DESCRIPTION\n"
    "mod_acme obtains and renews certificates inside the server; nothing has "
    "to be run for\nthat. acmectl shows what it does and asks for more, by way "
    "of its store: a request is\ntaken up within a second or two, what happens "
    "is shown until it is over, and the exit\nstatus says how it ended. "
    "Interrupting acmectl harms nothing: the server goes on.\n"
    ".PP\n"
    "Only root may run it (where httpd is started by another user: that one), "
    "the owner of\nthe store.\n"
    ".SH OPTIONS\nOptions may stand anywhere behind the command;\n"
    ".B \\-\\-\nends them.\n";

static const char MAN_TAIL[] =
    ".SH EXIT STATUS\n"
    ".TP\n.B 0\nDone.\n.TP\n.B 1\nFailed, or refused; standard error has "
    "the number of the message, its text and the\nremedy, as in the server's "
    "log.\n"
    ".TP\n.B 2\nWrong usage.\n.TP\n.B 3\nA running server is needed, and "
    "none takes requests from this store.\n"
    ".TP\n.B 4\nNot done in time, or interrupted; what the server has begun "
    "goes on.\n"
    ".SH WHICH STORE\n"
    "The directive AcmeStore says where the server's store is. Where it is not "
    "the one that\nwas compiled in, name it with \\-\\-store, or in the "
    "environment variable ACME_STORE (as it\nis set for programs that "
    "mod_acme runs).\n"
    ".SH WITH THE SERVER STOPPED\n"
    "status, show, export, backup, explain and delete work all the same; check "
    "looks at DNS and\nports alone; revoke goes by the certificate's own key; "
    "restore and migrate want it so. What\nis configured is then known from "
    "managed.json in the store, which httpd writes at each\nstart and reload.\n"
    ".SH PASS PHRASES\n"
    "are the first line of a file that its owner alone may read, or of what a "
    "program prints\nwhich nobody else can change; else they are asked for on "
    "the terminal. They are of 8\ncharacters or more.\n"
    ".SH EXAMPLES\n.nf\nacmectl status\nacmectl renew www.example.org\n"
    "acmectl export mail.example.org \\-\\-dir /etc/postfix/tls \\-\\-group "
    "postfix\nacmectl backup /root/acme.backup \\-\\-passphrase\\-file "
    "/root/phrase\nacmectl explain ACME1210\n.fi\n"
    ".SH SEE ALSO\n.BR apache2 (8),\n.BR httpd (8)\n";

static void put_man(void)
{
    fputs(MAN_HEAD, stdout);
    put_option(&ctl_store_option);
    puts(".TP\n.B \\-\\-help\nExplain acmectl, or the command that it is given "
         "with.\n.TP\n.B \\-\\-version\nPrint the version.\n.SH COMMANDS");
    for (const ctl_command_t *const *command = ctl_commands(); *command;
         command++) {
        put_command(*command);
    }
    fputs(MAN_TAIL, stdout);
}

/* --- completion ------------------------------------------------------------------------ */

/* Those that take a name of a certificate, or a file. */
static const char *operand_of(const ctl_command_t *command)
{
    return !strncmp(command->operands, "NAME", 4)       ? "name"
           : !strncmp(command->operands, "FILE", 4)     ? "file"
           : !strncmp(command->operands, "[COMMAND", 8) ? "command"
                                                        : "none";
}

static void put_options(const ctl_command_t *command)
{
    for (const ctl_option_t *option = command->options; option->name;
         option++) {
        printf("%s ", option->name);
    }
    printf("%s%s--help", command->needs ? "--store " : "",
           command->needs == CTL_ASKS ? "--timeout " : "");
}

static const char BASH_HEAD[] =
    "# Made by genctl from the table in mod_acme/cli; do not edit.\n"
    "# Completion of acmectl for bash.\n\n"
    "_acmectl_names() {\n"
    "    local store=${ACME_STORE:-" ACME_DEFAULT_STORE "} i\n"
    "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
    "        [ \"${COMP_WORDS[i]}\" = --store ] && "
    "store=${COMP_WORDS[i + 1]}\n"
    "    done\n"
    "    (cd \"$store/certificates\" 2>/dev/null && printf '%s\\n' * | "
    "sed 's/^_wildcard\\./*./')\n"
    "}\n\n"
    "_acmectl() {\n"
    "    local word=${COMP_WORDS[COMP_CWORD]} last=${COMP_WORDS[COMP_CWORD "
    "- 1]} command= options= operand=none i\n"
    "    COMPREPLY=()\n"
    "    case $last in\n"
    "        --store | --dir) mapfile -t COMPREPLY < <(compgen -d -- "
    "\"$word\"); return ;;\n"
    "        --*file | --*program | --pem | --pkcs12 | --key)\n"
    "            mapfile -t COMPREPLY < <(compgen -f -- \"$word\"); return "
    ";;\n"
    "        --group) mapfile -t COMPREPLY < <(compgen -g -- \"$word\"); "
    "return ;;\n"
    "        --user) mapfile -t COMPREPLY < <(compgen -u -- \"$word\"); "
    "return ;;\n"
    "    esac\n"
    "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
    "        case ${COMP_WORDS[i]} in\n"
    "            --store | --timeout) ((i++)) ;;\n"
    "            -*) ;;\n"
    "            *) command=\"${command:+$command }${COMP_WORDS[i]}\" ;;\n"
    "        esac\n"
    "    done\n"
    "    case $command in\n";

static void put_bash(void)
{
    fputs(BASH_HEAD, stdout);
    for (const ctl_command_t *const *command = ctl_commands(); *command;
         command++) {
        printf("        '%s' | '%s '*) operand=%s options='", (*command)->name,
               (*command)->name, operand_of(*command));
        put_options(*command);
        puts("' ;;");
    }
    fputs(
        "        *) operand=command options='--store --help --version' ;;\n"
        "    esac\n"
        "    case $word:$operand in\n"
        "        -*) mapfile -t COMPREPLY < <(compgen -W \"$options\" -- "
        "\"$word\") ;;\n"
        "        *:file) mapfile -t COMPREPLY < <(compgen -f -- \"$word\") ;;\n"
        "        *:name) mapfile -t COMPREPLY < <(compgen -W "
        "\"$(_acmectl_names)\" -- \"$word\") ;;\n"
        "        *:command) mapfile -t COMPREPLY < <(compgen -W '",
        stdout);
    for (const ctl_command_t *const *command = ctl_commands(); *command;
         command++) {
        printf("%s%s", command == ctl_commands() ? "" : " ", (*command)->name);
    }
    puts("' -- \"$word\") ;;\n    esac\n}\n\ncomplete -F _acmectl acmectl");
}

static void put_zsh(void)
{
    puts(
        "#compdef acmectl\n"
        "# Made by genctl from the table in mod_acme/cli; do not edit.\n\n"
        "_acmectl_names() {\n"
        "    local store=${opt_args[--store]:-${ACME_STORE:-" ACME_DEFAULT_STORE
        "}}\n"
        "    local -a names=($store/certificates/*(N:t:s/_wildcard./*./))\n"
        "    compadd -a names\n}\n\n"
        "_acmectl() {\n    local -a commands=(");
    for (const ctl_command_t *const *command = ctl_commands(); *command;
         command++) {
        printf("        \"%s:%s\"\n", (*command)->name, (*command)->summary);
    }
    puts("    )\n    local -a common=('--store[AcmeStore of the server]:store:"
         "_directories' '--help[explain]')\n"
         "    if ((CURRENT == 2)); then\n"
         "        _describe command commands\n        return\n    fi\n"
         "    case $words[2] in");
    for (const ctl_command_t *const *command = ctl_commands(); *command;
         command++) {
        if (strchr((*command)->name, ' ')) {
            continue; /* the second word is described with the first */
        }
        printf("        %s) shift words; ((CURRENT--)); _arguments $common",
               (*command)->name);
        for (const ctl_option_t *option = (*command)->options; option->name;
             option++) {
            printf(option->value ? " \"%s[%s]:%s:_files\"" : " \"%s[%s]\"",
                   option->name, option->help,
                   option->value ? option->value : "");
        }
        printf("%s ;;\n", !strcmp(operand_of(*command), "name")
                              ? " '1:name:_acmectl_names'"
                          : !strcmp(operand_of(*command), "file")
                              ? " '1:file:_files'"
                              : "");
    }
    puts("    esac\n}\n\n_acmectl \"$@\"");
}

/* @return the status that acmectl would end with before it does anything */
static int check_line(char **words)
{
    ctl_t ctl = { .root = ACME_DEFAULT_STORE };

    apr_initialize();
    apr_pool_create(&ctl.pool, NULL);
    ctl_exit_t status = ctl_find_name(&ctl, words);
    if (status == CTL_DONE && !ctl.group) {
        status = ctl_take_words(&ctl, words);
    }
    apr_pool_destroy(ctl.pool);
    apr_terminate();
    return (int)status;
}

int main(int argc, char **argv)
{
    if (argc > 1 && !strcmp(argv[1], "line")) {
        return check_line(argv + 2);
    }
    const char *what = argc == 2 ? argv[1] : "";

    if (!strcmp(what, "man")) {
        put_man();
    }
    else if (!strcmp(what, "bash")) {
        put_bash();
    }
    else if (!strcmp(what, "zsh")) {
        put_zsh();
    }
    else {
        fputs("usage: genctl man|bash|zsh\n       genctl line WORD ...\n",
              stderr);
        return 2;
    }
    return ferror(stdout) ? 1 : 0;
}
