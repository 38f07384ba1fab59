/* Private keys that the administrator hands over, and who he is. */
#include "cli/acmectl.h"

#include <apr_file_io.h>
#include <apr_strings.h>
#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/ui.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/encode.h"
#include "core/key.h"

#define MAX_FILE   65536
#define MAX_PHRASE 1024

static apr_status_t wipe_file(void *data)
{
    OPENSSL_cleanse(data, MAX_FILE);
    return APR_SUCCESS;
}

static apr_status_t wipe_phrase(void *data)
{
    OPENSSL_cleanse(data, MAX_PHRASE);
    return APR_SUCCESS;
}

static char *read_text(const ctl_t *ctl, const char *path)
{
    char *text = apr_pcalloc(ctl->pool, MAX_FILE + 1);
    FILE *file = fopen(path, "r");
    size_t len = file ? fread(text, 1, MAX_FILE, file) : 0;

    if (!file || ferror(file)) {
        ctl_say(ctl, ACME_E_CTL_FILE, path, strerror(errno), NULL);
        text = NULL;
    }
    else if (!len || memchr(text, '\0', len)) {
        ctl_say(ctl, ACME_E_CTL_FILE, path, "it holds no text", NULL);
        text = NULL;
    }
    else {
        apr_pool_cleanup_register(ctl->pool, text, wipe_file,
                                  apr_pool_cleanup_null);
    }
    if (file) {
        fclose(file);
    }
    return text;
}

/* From --pass-file, or else asked for. @return NULL: there is none */
static const char *phrase_for(const ctl_t *ctl, const char *path)
{
    const char *file = ctl_option(ctl, "--pass-file");
    char *phrase = apr_pcalloc(ctl->pool, MAX_PHRASE);

    if (file) {
        char *text = read_text(ctl, file);
        if (text) {
            text[strcspn(text, "\r\n")] = '\0';
        }
        return text;
    }
    apr_pool_cleanup_register(ctl->pool, phrase, wipe_phrase,
                              apr_pool_cleanup_null);
    const char *prompt = apr_psprintf(ctl->pool, "Pass phrase of %s: ", path);
    if (!isatty(STDIN_FILENO)
        || UI_UTIL_read_pw_string(phrase, MAX_PHRASE, prompt, 0) != 0) {
        return NULL;
    }
    return phrase;
}

ctl_exit_t ctl_read_key(ctl_t *ctl, const char *path, EVP_PKEY **key,
                        const char **pem)
{
    const char *text = read_text(ctl, path), *phrase = NULL;

    if (!text) {
        return CTL_FAILED;
    }
    if (strstr(text, "ENCRYPTED")) {
        phrase = phrase_for(ctl, path);
        if (!phrase) {
            return ctl_say(ctl, ACME_E_CTL_FILE, path,
                           "it needs a pass phrase, in a file that "
                           "--pass-file names or by hand",
                           NULL);
        }
    }
    acme_err_t *err =
        acme_key_adopt(key, path, text, strlen(text), phrase, ctl->pool);
    if (!err) {
        err = acme_key_to_pem(pem, *key, ctl->pool);
    }
    return err ? ctl_say_error(err, ctl->pool) : CTL_DONE;
}

void ctl_sign(ctl_t *ctl, acme_control_t *request)
{
    const struct passwd *user = getpwuid(getuid());
    const char *name =
        user ? user->pw_name
             : apr_psprintf(ctl->pool, "user %ld", (long)getuid());
    const char *sudo = getenv("SUDO_USER");

    if (sudo && *sudo && getuid() == 0) {
        name = apr_pstrcat(ctl->pool, sudo, " (sudo)", NULL);
    }
    acme_control_set_text(
        request, "by", acme_encode_printable(name, 64, ctl->pool), ctl->pool);
}
