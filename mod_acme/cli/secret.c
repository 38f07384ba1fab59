/* Private keys that the administrator hands over, and who he is. */
#include <apr_strings.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/files.h"
#include "core/encode.h"
#include "core/key.h"

#define MAX_FILE 65536

ctl_exit_t ctl_read_key(ctl_t *ctl, const char *path, EVP_PKEY **key,
                        const char **pem)
{
    const unsigned char *data;
    const char *phrase = NULL;
    apr_size_t len;
    ctl_exit_t status = ctl_read_file(ctl, path, MAX_FILE, &data, &len);

    if (status == CTL_DONE && memchr(data, '\0', len)) {
        status = ctl_say(ctl, ACME_E_CTL_FILE, path, "it holds no text", NULL);
    }
    if (status == CTL_DONE && strstr((const char *)data, "ENCRYPTED")) {
        status = ctl_get_phrase(ctl, &phrase, path);
    }
    if (status != CTL_DONE) {
        return status;
    }
    acme_err_t *err =
        acme_key_adopt(key, path, (const char *)data, len, phrase, ctl->pool);
    if (!err) {
        err = acme_key_to_pem(pem, *key, ctl->pool);
    }
    return err ? ctl_say_error(err, ctl->pool) : CTL_DONE;
}

const char *ctl_who(ctl_t *ctl)
{
    const struct passwd *user = getpwuid(getuid());
    const char *name =
        user ? user->pw_name
             : apr_psprintf(ctl->pool, "user %ld", (long)getuid());
    const char *sudo = getenv("SUDO_USER");

    if (sudo && *sudo && getuid() == 0) {
        name = apr_pstrcat(ctl->pool, sudo, " (sudo)", NULL);
    }
    return acme_encode_printable(name, 64, ctl->pool);
}

void ctl_sign(ctl_t *ctl, acme_control_t *request)
{
    acme_control_set_text(request, "by", ctl_who(ctl), ctl->pool);
}
