/** Prints the reference from the tables of the code: gendoc directives|messages. */
#include <stdio.h>
#include <string.h>

#include "core/messages.h"
#include "httpd/directives.h"

#define NOTE "<!-- Made by gendoc from %s; do not edit. -->\n\n"

#define SCOPE_SERVER "server configuration, once"
#define SCOPE_HOST   "server configuration, `<VirtualHost>`"
#define SCOPE_CERTIFICATE                                                      \
    "server configuration, `<VirtualHost>`, `<AcmeCertificate>`"

static const struct {
    const char *name, *arguments, *fallback, *scope, *meaning;
} DIRECTIVES[] = {
#define ROW(name, least, most, arguments, fallback, scope, setter, meaning)    \
    { name, arguments, fallback, SCOPE_##scope, meaning },
    ACME_DIRECTIVES(ROW)
#undef ROW
};

static const struct {
    int number;
    const char *level, *class, *text, *remedy;
} MESSAGES[] = {
#define ROW(number, name, level, class, text, remedy)                          \
    { number, #level, #class, text, remedy },
    ACME_MESSAGES(ROW)
#undef ROW
};

/* For people: "..." where the text has an argument, and no markup by chance. */
static void put_text(const char *text)
{
    for (; *text; text++) {
        if (!strncmp(text, "%s", 2)) {
            fputs("…", stdout);
            text++;
        }
        else if (*text == '<') {
            fputs("&lt;", stdout);
        }
        else {
            if (strchr("*_|`", *text)) {
                putchar('\\');
            }
            putchar(*text);
        }
    }
}

static void put_directives(void)
{
    size_t i;

    printf(NOTE, "mod_acme/httpd/directives.h");
    puts(
        "# Directives\n\n"
        "Durations are numbers with `s`, `min`, `h`, `d` or `w`; a bare number "
        "is seconds.\nWhat is wrong is refused by `httpd -t`, with a sentence "
        "that says what is allowed.\n");
    for (i = 0; i < sizeof(DIRECTIVES) / sizeof(DIRECTIVES[0]); i++) {
        printf("## %s\n\n    %s %s\n\nDefault: %s. In: %s.\n\n%s\n\n",
               DIRECTIVES[i].name, DIRECTIVES[i].name, DIRECTIVES[i].arguments,
               DIRECTIVES[i].fallback, DIRECTIVES[i].scope,
               DIRECTIVES[i].meaning);
    }
    printf("## %s>\n\n    %s %s>\n    ...\n    </AcmeCertificate>\n\n"
           "In: server configuration.\n\n%s\n",
           "&lt;AcmeCertificate", ACME_SECTION_NAME, ACME_SECTION_ARGS,
           ACME_SECTION_MEANING);
}

static void put_messages(void)
{
    size_t i;

    printf(NOTE, "mod_acme/core/messages/");
    puts(
        "# Messages\n\n"
        "Each line in httpd's error log has one of these numbers, which never "
        "change their meaning.\nERR: a human must act. WARNING: something is "
        "not as it should be. CA\\_RETRY passes by itself;\nafter CA\\_FINAL the "
        "CA is asked again at most daily; CONFIG waits for you.\n");
    for (i = 0; i < sizeof(MESSAGES) / sizeof(MESSAGES[0]); i++) {
        printf("## ACME%04d\n\n", MESSAGES[i].number);
        put_text(MESSAGES[i].text);
        fputs("\n\n", stdout);
        put_text(MESSAGES[i].level);
        if (strcmp(MESSAGES[i].class, "NONE")) {
            fputs(", ", stdout);
            put_text(MESSAGES[i].class);
        }
        fputs(". ", stdout);
        put_text(MESSAGES[i].remedy);
        fputs(i + 1 < sizeof(MESSAGES) / sizeof(MESSAGES[0]) ? "\n\n" : "\n",
              stdout);
    }
}

int main(int argc, char **argv)
{
    if (argc == 2 && !strcmp(argv[1], "directives")) {
        put_directives();
    }
    else if (argc == 2 && !strcmp(argv[1], "messages")) {
        put_messages();
    }
    else {
        fputs("usage: gendoc directives|messages\n", stderr);
        return 2;
    }
    return ferror(stdout) ? 1 : 0;
}
