#include "cli/conf.h"

#include <apr_hash.h>
#include <apr_lib.h>
#include <apr_strings.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/files.h"

#define MAX_FILE       (4 * 1024 * 1024)
#define MAX_DEPTH      64
#define MAX_DIRECTIVES 1000000
#define MAX_LINE       65536

/* Where distributions have it: Debian and its kin, Red Hat and its, httpd's own. */
static const char *const USUAL[] = {
    "/etc/apache2/apache2.conf",
    "/etc/httpd/conf/httpd.conf",
    "/usr/local/apache2/conf/httpd.conf",
};

/* Linked into httpd, here or there: no LoadModule tells of them. */
static const char *const BUILT_IN[] = {
    "core.c",         "http_core.c", "mod_so.c",          "mod_log_config.c",
    "mod_logio.c",    "mod_unixd.c", "unixd_module",      "mod_version.c",
    "mod_watchdog.c", "so_module",   "log_config_module",
};

typedef struct reader_t {
    ctl_t *ctl;
    ctl_conf_t *conf;
    apr_hash_t *defines; /* name -> value */
    apr_hash_t *modules; /* "mod_ssl.c" and "ssl_module" -> itself */
    const ctl_conf_host_t *host;
    const ctl_directive_t *section;
    int depth;
} reader_t;

/* Sections that are open in one file. */
typedef struct open_t {
    const char *name;
    int skipped; /* what is in it counts for nothing */
    const ctl_conf_host_t *host;
    const ctl_directive_t *section;
} open_t;

static ctl_exit_t read_path(reader_t *reader, const char *path);

/* --- words ------------------------------------------------------------------------- */

static const char *after_space(const char *text)
{
    while (apr_isspace(*text)) {
        text++;
    }
    return text;
}

static const char *to_space(const char *text)
{
    while (*text && !apr_isspace(*text)) {
        text++;
    }
    return text;
}

/* @param quote  it is in; or NUL
 * @return whether the word has the octet behind this one, whatever it is */
static int escapes(const char *at, char quote)
{
    return *at == '\\' && (at[1] == '\\' || (quote && at[1] == quote));
}

const char *ctl_conf_word(const char **args, apr_pool_t *pool)
{
    const char *from = after_space(*args), *end;
    char quote = *from == '"' || *from == '\'' ? *from : '\0';

    if (!*from) {
        return NULL;
    }
    from += quote != '\0';
    for (end = from; *end && (quote ? *end != quote : !apr_isspace(*end));
         end++) {
        end += escapes(end, quote);
    }
    char *word = apr_palloc(pool, (apr_size_t)(end - from) + 1), *to = word;
    while (from < end) {
        from += escapes(from, quote);
        *to++ = *from++;
    }
    *to = '\0';
    *args = end + (quote && *end == quote);
    return word;
}

apr_array_header_t *ctl_conf_words(const char *args, apr_pool_t *pool)
{
    apr_array_header_t *words = apr_array_make(pool, 4, sizeof(char *));
    const char *word;

    while ((word = ctl_conf_word(&args, pool)) != NULL) {
        APR_ARRAY_PUSH(words, const char *) = word;
    }
    return words;
}

int ctl_conf_is(const ctl_directive_t *directive, const char *name)
{
    return !strcasecmp(directive->name, name);
}

const char *ctl_conf_where(const ctl_place_t *place, apr_pool_t *pool)
{
    return apr_psprintf(pool, "%s:%d",
                        acme_encode_printable(place->file, 512, pool),
                        place->line);
}

const char *ctl_conf_path(const ctl_conf_t *conf, const char *path,
                          apr_pool_t *pool)
{
    return *path == '/' ? path
                        : apr_pstrcat(pool, conf->root ? conf->root : "", "/",
                                      path, NULL);
}

/* ${NAME}: a Define, or else of the environment; one that neither has stays. */
static const char *expand(const reader_t *reader, const char *text)
{
    apr_pool_t *pool = reader->ctl->pool;
    const char *done = "", *begin, *end;

    while ((begin = strstr(text, "${")) != NULL
           && (end = strchr(begin, '}')) != NULL) {
        const char *name =
            apr_pstrmemdup(pool, begin + 2, (apr_size_t)(end - begin - 2));
        const char *value =
            apr_hash_get(reader->defines, name, APR_HASH_KEY_STRING);
        value = value ? value : getenv(name);
        done = apr_pstrcat(
            pool, done, apr_pstrmemdup(pool, text, (apr_size_t)(begin - text)),
            value ? value
                  : apr_pstrmemdup(pool, begin, (apr_size_t)(end + 1 - begin)),
            NULL);
        text = end + 1;
        if (strlen(done) > MAX_LINE) {
            break;
        }
    }
    return apr_pstrcat(pool, done, text, NULL);
}

static void note_unread(reader_t *reader, const ctl_place_t *place,
                        const char *what, const char *why)
{
    apr_pool_t *pool = reader->ctl->pool;
    APR_ARRAY_PUSH(reader->conf->unread, const char *) =
        apr_pstrcat(pool, ctl_conf_where(place, pool), "  ",
                    acme_encode_printable(what, 256, pool), ": ", why, NULL);
}

/* --- conditions -------------------------------------------------------------------- */

static int is_loaded(const reader_t *reader, const char *name)
{
    for (unsigned i = 0; i < sizeof(BUILT_IN) / sizeof(BUILT_IN[0]); i++) {
        if (!strcmp(BUILT_IN[i], name)) {
            return 1;
        }
    }
    return apr_hash_get(reader->modules, name, APR_HASH_KEY_STRING) != NULL;
}

static int is_there(const reader_t *reader, const char *path)
{
    return access(ctl_conf_path(reader->conf, path, reader->ctl->pool), F_OK)
           == 0;
}

/* @return -1: it is no condition; else whether what is in it counts */
static int holds(const reader_t *reader, const char *section, const char *args)
{
    const char *word = ctl_conf_word(&args, reader->ctl->pool);
    int negated = word && *word == '!', result;

    word = word ? word + negated : "";
    if (!strcasecmp(section, "IfModule")) {
        result = is_loaded(reader, word);
    }
    else if (!strcasecmp(section, "IfDefine")) {
        result =
            apr_hash_get(reader->defines, word, APR_HASH_KEY_STRING) != NULL;
    }
    else if (!strcasecmp(section, "IfFile")) {
        result = is_there(reader, word);
    }
    else {
        return -1;
    }
    return result != negated;
}

/* --- what the reading itself obeys -------------------------------------------------- */

static void load_module(reader_t *reader, const char *args)
{
    apr_pool_t *pool = reader->ctl->pool;
    const char *id = ctl_conf_word(&args, pool);
    const char *path = id ? ctl_conf_word(&args, pool) : NULL;

    if (!path) {
        return;
    }
    const char *slash = strrchr(path, '/');
    char *source = apr_pstrdup(pool, slash ? slash + 1 : path);
    char *dot = strrchr(source, '.');
    if (dot) {
        *dot = '\0';
    }
    source = apr_pstrcat(pool, source, ".c", NULL);
    apr_hash_set(reader->modules, id, APR_HASH_KEY_STRING, id);
    apr_hash_set(reader->modules, source, APR_HASH_KEY_STRING, source);
}

/* All that a pattern names; a directory means all that is below it.
 * @param must  it is an error that there is none */
static ctl_exit_t include(reader_t *reader, const ctl_directive_t *directive,
                          int must)
{
    apr_pool_t *pool = reader->ctl->pool;
    const char *args = directive->args;
    const char *pattern = ctl_conf_word(&args, pool);
    ctl_exit_t status = CTL_DONE;
    glob_t found = { 0 };

    if (!pattern) {
        return CTL_DONE;
    }
    pattern = ctl_conf_path(reader->conf, pattern, pool);
    int rv = glob(pattern, 0, NULL, &found);
    for (size_t i = 0; rv == 0 && i < found.gl_pathc && status == CTL_DONE;
         i++) {
        status = read_path(reader, apr_pstrdup(pool, found.gl_pathv[i]));
    }
    globfree(&found);
    if (rv != 0 && must && !strpbrk(pattern, "*?[")) {
        note_unread(reader, &directive->place, pattern, "there is none");
    }
    return status;
}

/* @return -1: it is for others */
static int obey(reader_t *reader, const ctl_directive_t *directive)
{
    apr_pool_t *pool = reader->ctl->pool;
    const char *args = directive->args;

    if (ctl_conf_is(directive, "Include")
        || ctl_conf_is(directive, "IncludeOptional")) {
        return (int)include(reader, directive,
                            ctl_conf_is(directive, "Include"));
    }
    if (ctl_conf_is(directive, "LoadModule")) {
        load_module(reader, args);
        return -1;
    }
    const char *first = ctl_conf_word(&args, pool);
    if (!first) {
        return -1;
    }
    if (ctl_conf_is(directive, "Define")) {
        const char *value = ctl_conf_word(&args, pool);
        apr_hash_set(reader->defines, first, APR_HASH_KEY_STRING,
                     value ? value : "");
        return CTL_DONE;
    }
    if (ctl_conf_is(directive, "UnDefine")) {
        apr_hash_set(reader->defines, first, APR_HASH_KEY_STRING, NULL);
        return CTL_DONE;
    }
    if (ctl_conf_is(directive, "ServerRoot")) {
        reader->conf->root = first;
    }
    else if (ctl_conf_is(directive, "User")) {
        reader->conf->user = first;
    }
    else if (ctl_conf_is(directive, "Use")) {
        note_unread(reader, &directive->place,
                    apr_pstrcat(pool, "Use ", directive->args, NULL),
                    "macros are not followed");
    }
    return -1;
}

/* --- lines -------------------------------------------------------------------------- */

static ctl_directive_t *keep(reader_t *reader, const char *name,
                             const char *args, const ctl_place_t *place)
{
    ctl_directive_t *directive =
        apr_pcalloc(reader->ctl->pool, sizeof(*directive));

    directive->name = name;
    directive->args = args;
    directive->place = *place;
    directive->host = reader->host;
    directive->section = reader->section;
    return directive;
}

static void add(reader_t *reader, ctl_directive_t *directive)
{
    APR_ARRAY_PUSH(reader->conf->directives, ctl_directive_t *) = directive;
}

/* @param text  "VirtualHost *:443>" */
static void open_section(reader_t *reader, apr_array_header_t *stack,
                         const char *text, const ctl_place_t *place)
{
    apr_pool_t *pool = reader->ctl->pool;
    const char *name = apr_pstrmemdup(pool, text, strcspn(text, " \t\v\f\r>"));
    const char *rest = text + strlen(name);
    const char *close = strrchr(rest, '>');
    const char *args = apr_pstrmemdup(
        pool, rest, close ? (apr_size_t)(close - rest) : strlen(rest));
    const open_t *outer =
        stack->nelts ? &APR_ARRAY_IDX(stack, stack->nelts - 1, open_t) : NULL;
    open_t now = { name, outer && outer->skipped, reader->host,
                   reader->section };

    args = after_space(args);
    if (!now.skipped) {
        now.skipped = !strcasecmp(name, "Macro")
                      || holds(reader, name, expand(reader, args)) == 0;
    }
    APR_ARRAY_PUSH(stack, open_t) = now;
    if (now.skipped) {
        return;
    }
    if (!strcasecmp(name, "VirtualHost")) {
        ctl_conf_host_t *host = apr_palloc(pool, sizeof(*host));
        host->place = *place;
        host->addresses = expand(reader, args);
        reader->host = host;
    }
    else if (!strncasecmp(name, "MDomain", 7)) {
        ctl_directive_t *section =
            keep(reader, apr_pstrcat(pool, "<", name, NULL),
                 expand(reader, args), place);
        add(reader, section);
        reader->section = section;
    }
}

static void close_section(reader_t *reader, apr_array_header_t *stack)
{
    const open_t *last = apr_array_pop(stack);

    if (last) {
        reader->host = last->host;
        reader->section = last->section;
    }
}

static ctl_exit_t read_line(reader_t *reader, apr_array_header_t *stack,
                            const char *line, const ctl_place_t *place)
{
    apr_pool_t *pool = reader->ctl->pool;

    line = after_space(line);
    if (!*line || *line == '#') {
        return CTL_DONE;
    }
    if (line[0] == '<' && line[1] == '/') {
        close_section(reader, stack);
        return CTL_DONE;
    }
    if (*line == '<') {
        open_section(reader, stack, line + 1, place);
        return CTL_DONE;
    }
    if (stack->nelts
        && APR_ARRAY_IDX(stack, stack->nelts - 1, open_t).skipped) {
        return CTL_DONE;
    }
    const char *args = to_space(line);
    const char *name = apr_pstrmemdup(pool, line, (apr_size_t)(args - line));
    ctl_directive_t *directive =
        keep(reader, name, expand(reader, after_space(args)), place);
    int rv = obey(reader, directive);
    if (rv < 0) {
        add(reader, directive);
    }
    return rv > 0 ? (ctl_exit_t)rv : CTL_DONE;
}

/* A line that ends with a backslash, and nothing behind it, goes on in the next.
 * @param next   where to begin; set to behind it
 * @param lines  how many it was
 * @return without white space at its end */
static const char *take_line(const char **next, int *lines, apr_pool_t *pool)
{
    char *line = apr_pstrdup(pool, "");
    int more = 1;

    for (*lines = 0; more; (*lines)++) {
        const char *from = *next;
        apr_size_t len = strcspn(from, "\n");
        int ends = from[len] == '\n';

        *next = from + len + ends;
        len -= ends && len && from[len - 1] == '\r';
        more = ends && len && from[len - 1] == '\\';
        line = apr_pstrcat(pool, line,
                           apr_pstrmemdup(pool, from, len - (apr_size_t)more),
                           NULL);
        more = more && **next && strlen(line) < MAX_LINE;
    }
    for (char *end = line + strlen(line); end > line && apr_isspace(end[-1]);) {
        *--end = '\0';
    }
    return line;
}

/* --- files -------------------------------------------------------------------------- */

static ctl_exit_t read_file(reader_t *reader, const char *path)
{
    apr_pool_t *pool = reader->ctl->pool;
    apr_array_header_t *stack = apr_array_make(pool, 4, sizeof(open_t));
    const ctl_conf_host_t *host = reader->host;
    const ctl_directive_t *section = reader->section;
    ctl_place_t place = { path, 1 };
    const unsigned char *data;
    apr_size_t len;
    ctl_exit_t status = ctl_read_file(reader->ctl, path, MAX_FILE, &data, &len);

    if (status != CTL_DONE) {
        return status;
    }
    const char *next = apr_pstrmemdup(pool, (const char *)data, len);
    while (*next && status == CTL_DONE) {
        int lines;
        const char *line = take_line(&next, &lines, pool);
        if (reader->conf->directives->nelts >= MAX_DIRECTIVES) {
            return ctl_say(reader->ctl, ACME_E_MIGRATE_CONFIG, path,
                           "it has too many directives", NULL);
        }
        status = read_line(reader, stack, line, &place);
        place.line += lines;
    }
    reader->host = host;
    reader->section = section;
    return status;
}

static ctl_exit_t read_path(reader_t *reader, const char *path)
{
    ctl_exit_t status;
    struct stat st;

    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
        const ctl_directive_t all = {
            .args = apr_pstrcat(reader->ctl->pool, "\"", path, "/*\"", NULL),
            .place = { path, 0 },
        };
        if (++reader->depth > MAX_DEPTH) {
            return ctl_say(reader->ctl, ACME_E_MIGRATE_CONFIG, path,
                           "it includes itself", NULL);
        }
        status = include(reader, &all, 0);
        reader->depth--;
        return status;
    }
    if (++reader->depth > MAX_DEPTH) {
        return ctl_say(reader->ctl, ACME_E_MIGRATE_CONFIG, path,
                       "it includes itself", NULL);
    }
    status = read_file(reader, path);
    reader->depth--;
    return status;
}

/* Debian's apachectl sets variables for the configuration by a shell script beside
 * it: of that, what is plain. */
static void read_envvars(reader_t *reader)
{
    apr_pool_t *pool = reader->ctl->pool;
    const char *path = ctl_conf_path(reader->conf, "envvars", pool);
    const unsigned char *data;
    apr_size_t len;

    if (access(path, R_OK) != 0
        || ctl_read_file(reader->ctl, path, MAX_FILE, &data, &len)
               != CTL_DONE) {
        return;
    }
    char *last, *text = apr_pstrmemdup(pool, (const char *)data, len);
    for (char *line = apr_strtok(text, "\n", &last); line;
         line = apr_strtok(NULL, "\n", &last)) {
        char *equals = strchr(line, '='), *suffix = strstr(line, "$SUFFIX");
        if (strncmp(line, "export ", 7) || !equals) {
            continue;
        }
        if (suffix && !suffix[7]) {
            *suffix = '\0'; /* of a second instance: not meant here */
        }
        if (!strpbrk(equals, "$`\"'\\")) {
            *equals = '\0';
            apr_hash_set(reader->defines, line + 7, APR_HASH_KEY_STRING,
                         equals + 1);
        }
    }
}

static const char *find_usual(void)
{
    for (unsigned i = 0; i < sizeof(USUAL) / sizeof(USUAL[0]); i++) {
        if (access(USUAL[i], F_OK) == 0) {
            return USUAL[i];
        }
    }
    return NULL;
}

ctl_exit_t ctl_conf_read(ctl_conf_t **conf, ctl_t *ctl, const char *path)
{
    reader_t reader = { .ctl = ctl };
    const char *slash;

    path = path ? path : find_usual();
    if (!path) {
        return ctl_say(ctl, ACME_E_MIGRATE_CONFIG, USUAL[0], "there is none",
                       NULL);
    }
    reader.conf = apr_pcalloc(ctl->pool, sizeof(*reader.conf));
    reader.conf->path = path;
    slash = strrchr(path, '/');
    reader.conf->root =
        slash ? apr_pstrmemdup(ctl->pool, path, (apr_size_t)(slash - path))
              : ".";
    reader.conf->directives =
        apr_array_make(ctl->pool, 256, sizeof(ctl_directive_t *));
    reader.conf->unread = apr_array_make(ctl->pool, 4, sizeof(char *));
    reader.defines = apr_hash_make(ctl->pool);
    reader.modules = apr_hash_make(ctl->pool);
    read_envvars(&reader);
    *conf = reader.conf;
    return read_file(&reader, path);
}
