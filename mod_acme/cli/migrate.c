/* "migrate": what is done in the end, whoever it comes from. */
#include "cli/migrate.h"

#include <apr_strings.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/bring.h"
#include "cli/files.h"
#include "cli/survey.h"

/* --- the store ----------------------------------------------------------------------- */

/* The server's User, where its configuration says it without a riddle. */
static const char *user_of(const ctl_move_t *move)
{
    const char *given = ctl_option(move->ctl, "--user");
    const char *user = move->conf->user;

    return given ? given : user && !strchr(user, '$') ? user : NULL;
}

/* Nothing is made for a look. */
static ctl_exit_t open_store(ctl_move_t *move, int dry)
{
    ctl_t *ctl = move->ctl;
    struct stat st;

    if (!dry) {
        return ctl_bring_open(ctl, user_of(move));
    }
    return stat(ctl->root, &st) == 0 ? ctl_open(ctl) : CTL_DONE;
}

static ctl_exit_t bring(ctl_move_t *move, ctl_bring_t *plan, int dry)
{
    ctl_t *ctl = move->ctl;
    ctl_exit_t status = open_store(move, dry);

    if (status != CTL_DONE) {
        return status;
    }
    acme_err_t *err = ctl_bring_plan(plan, ctl);
    if (err) {
        return ctl_say_error(err, ctl->pool);
    }
    if (plan->newer) {
        return ctl_say(ctl, ACME_E_MIGRATE_NEWER,
                       acme_encode_printable(plan->newer, 512, ctl->pool),
                       NULL);
    }
    return dry || (!plan->accounts && !plan->sets)
               ? CTL_DONE
               : ctl_bring(ctl, plan, ACME_I_TAKEN_OVER,
                           apr_pstrcat(ctl->pool, move->program, " (",
                                       move->from, ")", NULL));
}

/* --- what is told ---------------------------------------------------------------------- */

static const char *whole_text(const ctl_move_t *move)
{
    apr_pool_t *pool = move->ctl->pool;
    const char *text = apr_array_pstrcat(pool, move->lines, '\n');
    return apr_pstrcat(pool, text, "\n", NULL);
}

static ctl_exit_t write_text(ctl_move_t *move)
{
    const char *path = ctl_option(move->ctl, "--output");
    const char *text = whole_text(move);
    const ctl_file_t file = { .mode = move->secret ? 0600 : 0644,
                              .group = CTL_NO_GROUP,
                              .data = text,
                              .len = strlen(text) };

    if (path && !ctl_option(move->ctl, "--dry-run")) {
        return ctl_put_file(move->ctl, path, &file);
    }
    fputs(text, stdout);
    fflush(stdout);
    return CTL_DONE;
}

static const char *count_of(int count, const char *what, apr_pool_t *pool)
{
    return apr_psprintf(pool, "%d %s%s", count, what, count == 1 ? "" : "s");
}

/* Beside the configuration, which may go to a file or another program. */
static void sum_up(const ctl_move_t *move, const ctl_bring_t *plan, int dry)
{
    apr_pool_t *pool = move->ctl->pool;
    const char *path = ctl_option(move->ctl, "--output");

    fprintf(
        stderr,
        "acmectl: %s%s and %s %s taken over from %s; %d were there already, "
        "%d others were kept, %d stay behind\n",
        dry ? "nothing was changed; " : "done: ",
        count_of(plan->accounts, "account", pool),
        count_of(plan->sets, "certificate", pool), dry ? "would be" : "were",
        move->from, plan->same, plan->kept, move->left);
    if (path && !dry) {
        fprintf(stderr,
                "acmectl: the configuration is in %s; see mod_acme/doc/"
                "migration.md for what is next\n",
                path);
    }
}

static ctl_exit_t run(ctl_t *ctl, const char *program,
                      ctl_exit_t (*from)(ctl_move_t *move))
{
    ctl_move_t move = { .ctl = ctl,
                        .program = program,
                        .from = ctl_option(ctl, "--from") };
    ctl_bring_t plan = { .overwrite = ctl_option(ctl, "--overwrite") != NULL,
                         .keep = ctl_option(ctl, "--keep") != NULL };
    int dry = ctl_option(ctl, "--dry-run") != NULL;

    if (plan.overwrite && plan.keep) {
        return ctl_usage(ctl, "--keep or --overwrite, not both", NULL);
    }
    ctl_exit_t status =
        ctl_conf_read(&move.conf, ctl, ctl_option(ctl, "--config"));
    if (status != CTL_DONE) {
        return status;
    }
    move.hosts = ctl_move_hosts(move.conf, ctl->pool);
    move.lines = apr_array_make(ctl->pool, 64, sizeof(char *));
    move.what = acme_backup_make(apr_time_now(), ctl->pool);
    plan.what = move.what;
    status = from(&move);
    if (status == CTL_DONE) {
        status = bring(&move, &plan, dry);
    }
    if (status == CTL_DONE) {
        status = write_text(&move);
    }
    if (status == CTL_DONE) {
        sum_up(&move, &plan, dry);
    }
    return status;
}

static ctl_exit_t run_md(ctl_t *ctl)
{
    return run(ctl, "mod_md", ctl_move_from_md);
}

static ctl_exit_t run_certbot(ctl_t *ctl)
{
    return run(ctl, "certbot", ctl_move_from_certbot);
}

/* --- the commands ------------------------------------------------------------------------ */

#define MOVE_OPTIONS                                                           \
    { "--output", "FILE", "write the configuration there (standard output)" }, \
        { "--dry-run", NULL, "show the configuration, and change nothing" },   \
        { "--keep", NULL,                                                      \
          "take over the rest, where the store has something newer" },         \
        { "--overwrite", NULL, "replace also what is newer in the store" },    \
    {                                                                          \
        "--user", "USER", "of a store that is made: the server's User"         \
    }

const ctl_command_t ctl_migrate_md = {
    .name = "migrate md",
    .operands = "",
    .summary = "come from mod_md, with its certificates and accounts",
    .details =
        "Reads httpd's configuration with mod_md's directives, and mod_md's "
        "store. Accounts and\ncertificates go into AcmeStore, sealed, and are "
        "in service from the first start with\nmod_acme: nothing is ordered "
        "anew. What is written is the configuration that says the\nsame, and at "
        "its end what is to be taken out of the old one. Neither that nor "
        "mod_md's\nstore is changed. Can be repeated.\n\n"
        "mod_md may run meanwhile, mod_acme must not. Then include what was "
        "written, take out\nmod_md's directives and disable md, and restart "
        "httpd.",
    .needs = CTL_MAKES_STORE,
    .run = run_md,
    .options = {
        { "--config", "FILE", "httpd's main configuration (that of the distribution)" },
        { "--from", "DIR", "MDStoreDir (as configured)" },
        MOVE_OPTIONS,
    },
};

const ctl_command_t ctl_migrate_certbot = {
    .name = "migrate certbot",
    .operands = "",
    .summary = "come from certbot, with its certificates and accounts",
    .details =
        "Takes over those certificates of certbot that a virtual host uses, "
        "with their accounts,\ninto AcmeStore: they are in service from the "
        "first start with mod_acme, and nothing is\nordered anew. What is "
        "written is the configuration, and at its end what is to be taken\nout "
        "of the virtual hosts. Neither they nor certbot's files are changed. "
        "Can be repeated.\n\n"
        "Httpd may run meanwhile, but not with mod_acme. Then include what was "
        "written, take\nout what it lists, and restart httpd; at last keep "
        "certbot from renewing them.",
    .needs = CTL_MAKES_STORE,
    .run = run_certbot,
    .options = {
        { "--config", "FILE", "httpd's main configuration (that of the distribution)" },
        { "--from", "DIR", "certbot's directory (/etc/letsencrypt)" },
        { "--all", NULL, "also certificates that no virtual host uses" },
        MOVE_OPTIONS,
    },
};
