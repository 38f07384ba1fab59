/* An httpd configuration and the files of mod_md and certbot, as acmectl migrate
 * reads them. The first line of the input is a file's path, the rest what is in
 * it; after a '%' comes another file. What is written reads as it is meant: each
 * line is a directive of its own, a comment, or a section. */
#include "fuzz.h"

#include <apr_lib.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/migrate.h"

#define MAX_FILES 16
#define MAX_PATH  120

static const char *root;

/* --- what acmectl has ------------------------------------------------------------ */

ctl_exit_t ctl_say(const ctl_t *ctl, acme_msg_t msg, ...)
{
    const char *args[4] = { NULL };
    va_list list;
    int i = 0;

    va_start(list, msg);
    while (i < 4 && (args[i] = va_arg(list, const char *)) != NULL) {
        i++;
    }
    va_end(list);
    FUZZ_MUST(!fuzz_ok(
        acme_err_make(ctl->pool, msg, args[0], args[1], args[2], args[3], NULL),
        ctl->pool));
    return CTL_FAILED;
}

/* All of certbot's, whoever uses them. */
const char *ctl_option(const ctl_t *ctl, const char *name)
{
    (void)ctl;
    return strcmp(name, "--all") ? NULL : "";
}

/* --- files ----------------------------------------------------------------------- */

/* Whether what follows may be a step outside of the folder. */
static int leads_out(const char *begin, const char *at)
{
    if (*at == '.') {
        return at[1] && strchr("*?[.", at[1]);
    }
    if (*at != '/' || at == begin) {
        return *at == '/';
    }
    return !apr_isalnum(at[-1]) && !strchr("*?]-_.", at[-1])
           && !(at[-1] == ':' && at[1] == '/')
           && !(at[-1] == '/' && at[-2] == ':');
}

/* No path in it is absolute, or leads up: nothing is read but what is ours. */
static char *tamed(const char *data, apr_size_t len, apr_pool_t *pool)
{
    char *copy = apr_pstrmemdup(pool, data, len);
    apr_size_t i;

    for (i = 0; i < len; i++) {
        if (leads_out(copy, copy + i)) {
            copy[i] = '_';
        }
    }
    return copy;
}

/* @return 0: no path for a file of ours */
static int make_folders(char *path)
{
    char *slash = path;

    if (!*path || strlen(path) > MAX_PATH || *path == '/' || *path == '.'
        || strstr(path, "/.") || strstr(path, "//")) {
        return 0;
    }
    while ((slash = strchr(slash, '/')) != NULL) {
        *slash = '\0';
        if (mkdir(path, 0700) != 0 && errno != EEXIST) {
            return 0;
        }
        *slash++ = '/';
    }
    return 1;
}

static void put(char *path, const char *data, apr_size_t len)
{
    int file;

    if (make_folders(path)
        && (file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600)) >= 0) {
        FUZZ_MUST(write(file, data, len) == (ssize_t)len);
        close(file);
    }
}

static void write_files(const char *data, apr_size_t len, apr_pool_t *pool)
{
    const char *end = data + len;
    int count = 0;

    while (data && count++ < MAX_FILES) {
        const char *mark = memchr(data, '%', (apr_size_t)(end - data));
        const char *stop = mark ? mark : end;
        const char *line = memchr(data, '\n', (apr_size_t)(stop - data));

        if (line) {
            apr_size_t size = (apr_size_t)(stop - line - 1);

            put(apr_pstrmemdup(pool, data, (apr_size_t)(line - data)),
                tamed(line + 1, size, pool), size);
        }
        data = mark ? mark + 1 : NULL;
    }
}

static int remove_one(const char *path, const struct stat *st, int type,
                      struct FTW *ftw)
{
    (void)st;
    (void)type;
    return ftw->level ? remove(path) : 0;
}

/* --- what is written --------------------------------------------------------------- */

static int is_directive(const char *line)
{
    line += strspn(line, " ");
    return *line && *line != '#' && *line != '<';
}

/* Read again by what has read the other: as many directives as were meant. */
static void look_at_lines(const ctl_move_t *move)
{
    const char *text = apr_array_pstrcat(move->ctl->pool, move->lines, '\n');
    char path[] = "written.conf";
    ctl_conf_t *conf;
    int i, count = 0;

    for (i = 0; i < move->lines->nelts; i++) {
        const char *c = APR_ARRAY_IDX(move->lines, i, const char *);

        count += is_directive(c);
        FUZZ_MUST(!*c || c[strlen(c) - 1] != '\\');
        for (; *c; c++) {
            FUZZ_MUST((unsigned char)*c >= ' ' && *c != 0x7f);
        }
    }
    put(path, text, strlen(text));
    FUZZ_MUST(ctl_conf_read(&conf, move->ctl, path) == CTL_DONE);
    FUZZ_MUST(conf->directives->nelts == count);
}

static void move_from(ctl_exit_t (*from)(ctl_move_t *), const char *program,
                      const char *folder, ctl_conf_t *conf, ctl_t *ctl)
{
    ctl_move_t move = { .ctl = ctl,
                        .program = program,
                        .from = folder,
                        .conf = conf,
                        .hosts = ctl_move_hosts(conf, ctl->pool) };

    move.lines = apr_array_make(ctl->pool, 64, sizeof(char *));
    move.what = acme_backup_make(apr_time_now(), ctl->pool);
    if (from(&move) == CTL_DONE) {
        look_at_lines(&move);
    }
}

void fuzz_migrate(const char *data, apr_size_t len, apr_pool_t *pool)
{
    ctl_t ctl = { .pool = pool, .root = "/var/lib/apache2/acme" };
    ctl_conf_t *conf;
    int i;

    if (!root) {
        static char path[192];

        snprintf(path, sizeof(path), "%s/migrate", fuzz_folder());
        root = path;
        FUZZ_MUST(mkdir(root, 0700) == 0);
    }
    FUZZ_MUST(chdir(root) == 0);
    write_files(data, len, pool);
    if (ctl_conf_read(&conf, &ctl, "httpd.conf") == CTL_DONE) {
        for (i = 0; i < conf->directives->nelts; i++) {
            const ctl_directive_t *one =
                APR_ARRAY_IDX(conf->directives, i, ctl_directive_t *);
            FUZZ_MUST(*one->name && one->place.line > 0);
            ctl_conf_words(one->args, pool);
        }
        move_from(ctl_move_from_md, "mod_md", "./md", conf, &ctl);
        move_from(ctl_move_from_certbot, "certbot", "./certbot", conf, &ctl);
    }
    nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}
