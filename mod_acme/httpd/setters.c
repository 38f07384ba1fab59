#include "httpd/setters.h"

#include <apr_lib.h>
#include <apr_strings.h>
#include <http_core.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/encode.h"
#include "httpd/directives.h"

#define MAX_CONCURRENCY 10000
#define MIN_RETRY       apr_time_from_sec(1)
#define MAX_RETRY       apr_time_from_sec(30 * 24 * 3600)

const char *acme_setters_sentence(const acme_err_t *err, apr_pool_t *pool)
{
    return apr_pstrcat(pool, err->text, ". ", acme_msg_entry(err->msg)->remedy,
                       NULL);
}

/* Folders can be executed too, as far as access() is asked. */
static int is_program(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISREG(st.st_mode)
           && access(path, X_OK) == 0;
}

const char *acme_setters_program(apr_array_header_t *command, int argc,
                                 char *const argv[])
{
    apr_pool_t *pool = command->pool;
    const char *path = *argv[0] ? ap_server_root_relative(pool, argv[0]) : NULL;
    int i;

    if (!path) {
        return apr_psprintf(pool, "\"%s\" is not a path of a program", argv[0]);
    }
    if (ap_state_query(AP_SQ_RUN_MODE) == AP_SQ_RM_CONFIG_TEST
        && !is_program(path)) {
        return apr_psprintf(pool, "%s is not a program that can be executed",
                            path);
    }
    for (i = 0; i < argc; i++) {
        const char *word = i ? argv[i] : path;
        const char *shown = acme_encode_printable(word, strlen(word) + 1, pool);

        if (strcmp(word, shown)) {
            return apr_psprintf(
                pool, "\"%s\" has characters that cannot be printed", shown);
        }
        APR_ARRAY_PUSH(command, const char *) = word;
    }
    return NULL;
}

const char *acme_setters_flag(int *flag, const char *text, apr_pool_t *pool)
{
    if (!strcasecmp(text, "on") || !strcasecmp(text, "off")) {
        *flag = !strcasecmp(text, "on");
        return NULL;
    }
    return apr_psprintf(pool, "\"%s\" is neither on nor off", text);
}

/* @return -1 if text is not a decimal number of least .. most */
static int parse_number(const char *text, int least, int most)
{
    int number = 0;
    const char *p;

    for (p = text; apr_isdigit(*p); p++) {
        number = number * 10 + (*p - '0');
        if (number > most) {
            return -1;
        }
    }
    return *p || p == text || number < least ? -1 : number;
}

static const char *set_manage(acme_target_t *to, int argc, char *const argv[])
{
    apr_pool_t *pool = to->cmd->pool;
    acme_ident_t *ident;

    (void)argc;
    if (!strcasecmp(argv[0], "on")) {
        to->host->manage = ACME_MANAGE_ON;
    }
    else if (!strcasecmp(argv[0], "off")) {
        to->host->manage = ACME_MANAGE_OFF;
    }
    else if (!strpbrk(argv[0], ".:")
             || acme_ident_parse(&ident, argv[0], pool) != NULL) {
        return apr_psprintf(pool,
                            "\"%s\" is neither on nor off nor the name of an "
                            "<AcmeCertificate>",
                            argv[0]);
    }
    else {
        to->host->manage = ACME_MANAGE_NAMED;
        to->host->manage_name = ident->value;
    }
    to->host->manage_here = 1;
    to->host->manage_where.file = to->cmd->directive->filename;
    to->host->manage_where.line = to->cmd->directive->line_num;
    return NULL;
}

static const char *set_store(acme_target_t *to, int argc, char *const argv[])
{
    apr_pool_t *pool = to->cmd->pool;
    char *path = ap_server_root_relative(pool, argv[0]);
    apr_finfo_t info;

    (void)argc;
    if (!path || !*argv[0] || !strcmp(path, "/")) {
        return apr_psprintf(pool, "\"%s\" is not a path of a directory for it",
                            argv[0]);
    }
    /* httpd -t finds it; a server that starts, or reloads, does so without. */
    if (ap_state_query(AP_SQ_RUN_MODE) == AP_SQ_RM_CONFIG_TEST
        && apr_stat(&info, path, APR_FINFO_TYPE, to->cmd->temp_pool)
               == APR_SUCCESS
        && info.filetype != APR_DIR) {
        return apr_psprintf(pool, "%s is not a directory", path);
    }
    acme_config_global()->store = path;
    return NULL;
}

static const char *set_challenges(acme_target_t *to, int argc,
                                  char *const argv[])
{
    apr_pool_t *pool = to->cmd->pool;
    apr_array_header_t *challenges =
        apr_array_make(pool, argc, sizeof(acme_proof_type_t));
    int i, j;

    for (i = 0; i < argc; i++) {
        acme_proof_type_t type;

        if (acme_proof_type_parse(&type, argv[i])) {
            return apr_psprintf(pool, "\"%s\" is not a challenge; %s are",
                                argv[i], acme_proof_type_names());
        }
        for (j = 0; j < i; j++) {
            if (APR_ARRAY_IDX(challenges, j, acme_proof_type_t) == type) {
                return apr_psprintf(pool,
                                    "\"%s\" is there twice; each challenge is "
                                    "named once, the most preferred first",
                                    argv[i]);
            }
        }
        APR_ARRAY_PUSH(challenges, acme_proof_type_t) = type;
    }
    to->settings->challenges = challenges;
    return NULL;
}

static const char *set_key_type(acme_target_t *to, int argc, char *const argv[])
{
    apr_pool_t *pool = to->cmd->pool;
    acme_key_type_t types[ACME_FAMILIES] = { ACME_KEY_ECDSA_P256 };
    int i;

    for (i = 0; i < argc; i++) {
        if (acme_key_type_parse(&types[i], argv[i])) {
            return apr_psprintf(pool,
                                "\"%s\" is not a key type; rsa2048, rsa3072, "
                                "rsa4096, ecdsa-p256 and ecdsa-p384 are",
                                argv[i]);
        }
    }
    if (argc == 2 && acme_key_family(types[0]) == acme_key_family(types[1])) {
        return apr_psprintf(pool,
                            "\"%s %s\" are of one family, of which only one "
                            "can be served; one of RSA and one of ECDSA are "
                            "allowed",
                            argv[0], argv[1]);
    }
    memcpy(to->settings->key_types, types, sizeof(types));
    to->settings->key_type_count = argc;
    return NULL;
}

static const char *set_renew(acme_target_t *to, int argc, char *const argv[])
{
    apr_pool_t *pool = to->cmd->pool;
    acme_span_t span;
    acme_err_t *err = acme_span_parse(&span, argv[0], 1, pool);

    if (err) {
        return acme_setters_sentence(err, pool);
    }
    if (!span.percent && span.duration < apr_time_from_sec(1)) {
        return apr_psprintf(pool,
                            "\"%s\" would renew when it is too late; allowed "
                            "are durations from 1s on, and percentages",
                            argv[0]);
    }
    if (argc == 2 && strcasecmp(argv[1], "noari")) {
        return apr_psprintf(pool,
                            "\"%s\" follows the time, where only noari is "
                            "allowed",
                            argv[1]);
    }
    to->settings->renew = span;
    to->settings->renew_set = 1;
    to->settings->no_ari = argc == 2;
    return NULL;
}

static const char *set_renew_mode(acme_target_t *to, int argc,
                                  char *const argv[])
{
    static const struct {
        const char *name;
        acme_renew_mode_t mode;
    } MODES[] = {
        { "auto", ACME_RENEW_AUTO },
        { "always", ACME_RENEW_ALWAYS },
        { "manual", ACME_RENEW_MANUAL },
    };
    apr_size_t i;

    (void)argc;
    for (i = 0; i < sizeof(MODES) / sizeof(MODES[0]); i++) {
        if (!strcasecmp(argv[0], MODES[i].name)) {
            to->settings->renew_mode = (int)MODES[i].mode;
            return NULL;
        }
    }
    return apr_psprintf(to->cmd->pool,
                        "\"%s\" is none of auto, always and manual", argv[0]);
}

static const char *set_port_map(acme_target_t *to, int argc, char *const argv[])
{
    apr_pool_t *pool = to->cmd->pool;
    int ports[2] = { 80, 443 };
    int seen[2] = { 0, 0 };
    int i;

    for (i = 0; i < argc; i++) {
        int which = strncmp(argv[i], "80:", 3) ? 1 : 0;
        const char *local = strchr(argv[i], ':');
        int port = -1;

        if (local && (!which || !strncmp(argv[i], "443:", 4))) {
            port = strcmp(local, ":-") ? parse_number(local + 1, 1, 65535) : 0;
        }
        if (port < 0) {
            return apr_psprintf(pool,
                                "\"%s\" maps nothing; 80:port and 443:port are "
                                "allowed, with a port of 1 to 65535 or '-'",
                                argv[i]);
        }
        if (seen[which]++) {
            return apr_psprintf(pool,
                                "port %s is mapped twice, again by \"%s\"",
                                which ? "443" : "80", argv[i]);
        }
        ports[which] = port;
    }
    if (ports[0] && ports[0] == ports[1]) {
        return apr_psprintf(pool,
                            "80 and 443 cannot both arrive at port %d; map "
                            "them to two ports",
                            ports[0]);
    }
    acme_config_global()->port_80 = ports[0];
    acme_config_global()->port_443 = ports[1];
    return NULL;
}

static const char *set_retry(acme_target_t *to, int argc, char *const argv[])
{
    apr_pool_t *pool = to->cmd->pool;
    apr_interval_time_t times[2] = { 0, ACME_RETRY_MAX_DEFAULT };
    int i;

    for (i = 0; i < argc; i++) {
        acme_span_t span;
        acme_err_t *err = acme_span_parse(&span, argv[i], 0, pool);

        if (err) {
            return acme_setters_sentence(err, pool);
        }
        if (span.duration < MIN_RETRY || span.duration > MAX_RETRY) {
            return apr_psprintf(pool, "\"%s\" is not within 1s and 30d",
                                argv[i]);
        }
        times[i] = span.duration;
    }
    if (times[0] > times[1]) {
        return apr_psprintf(pool,
                            "the first wait, \"%s\", is longer than the "
                            "longest, \"%s\"",
                            argv[0], argc == 2 ? argv[1] : "24h");
    }
    acme_config_global()->retry_first = times[0];
    acme_config_global()->retry_max = times[1];
    return NULL;
}

static const char *set_concurrency(acme_target_t *to, int argc,
                                   char *const argv[])
{
    int number = parse_number(argv[0], 1, MAX_CONCURRENCY);

    (void)argc;
    if (number < 0) {
        return apr_psprintf(to->cmd->pool,
                            "\"%s\" is not a number from 1 to %d", argv[0],
                            MAX_CONCURRENCY);
    }
    acme_config_global()->concurrency = number;
    return NULL;
}

static const char *set_status(acme_target_t *to, int argc, char *const argv[])
{
    (void)argc;
    return acme_setters_flag(&acme_config_global()->status, argv[0],
                             to->cmd->pool);
}

static const acme_directive_t DIRECTIVES[] = {
#define ROW(name, least, most, arguments, fallback, scope, setter, meaning)    \
    { name, least, most, arguments, ACME_SCOPE_##scope, setter },
    ACME_DIRECTIVES(ROW)
#undef ROW
};

const acme_directive_t *acme_setters_find(const char *name)
{
    apr_size_t i;

    for (i = 0; i < sizeof(DIRECTIVES) / sizeof(DIRECTIVES[0]); i++) {
        if (!strcasecmp(name, DIRECTIVES[i].name)) {
            return &DIRECTIVES[i];
        }
    }
    return NULL;
}
