/* acmectl: what the administrator asks of the store and of a running server. */
#include "cli/acmectl.h"

#include "config.h"

#include <apr_general.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_TIMEOUT 600

volatile sig_atomic_t ctl_interrupted;

static void on_signal(int number)
{
    ctl_interrupted = number;
}

/* @return -1: go on */
static int asked_for_help(ctl_t *ctl, int argc, char **argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--"); i++) {
        if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) {
            if (ctl->group) {
                ctl_help_group(ctl->group, stdout);
                return CTL_DONE;
            }
            return (int)(ctl->command ? ctl_help(ctl->command)
                                      : ctl_help_all());
        }
        if (!strcmp(argv[i], "--version")) {
            puts("acmectl " PACKAGE_VERSION);
            return CTL_DONE;
        }
    }
    return -1;
}

static ctl_exit_t run(ctl_t *ctl, int argc, char **argv)
{
    ctl_exit_t status = ctl_find_name(ctl, argv + 1);
    if (status != CTL_DONE) {
        return status;
    }
    int helped = asked_for_help(ctl, argc, argv);
    if (helped >= 0) {
        return (ctl_exit_t)helped;
    }
    if (ctl->group) {
        fprintf(stderr, "acmectl: %s needs a second word\n", ctl->group);
        ctl_help_group(ctl->group, stderr);
        return CTL_USAGE;
    }
    status = ctl_take_words(ctl, argv + 1);
    if (status == CTL_DONE && (ctl->command->needs & CTL_NEEDS_STORE)) {
        status = ctl_open(ctl);
    }
    return status == CTL_DONE ? ctl->command->run(ctl) : status;
}

int main(int argc, char **argv)
{
    struct sigaction action = { .sa_handler = on_signal };
    const char *root = getenv("ACME_STORE");
    ctl_t ctl = { .root = root && *root == '/' ? root : ACME_DEFAULT_STORE,
                  .timeout = DEFAULT_TIMEOUT };

    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    apr_initialize();
    atexit(apr_terminate);
    apr_pool_create(&ctl.pool, NULL);
    ctl_exit_t status = run(&ctl, argc, argv);
    apr_pool_destroy(ctl.pool);
    if (fflush(stdout) != 0 && status == CTL_DONE) {
        perror("acmectl: standard output");
        return CTL_FAILED;
    }
    return (int)status;
}
