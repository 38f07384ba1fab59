/* The store of the server, and whether we may. */
#include "cli/acmectl.h"

#include <apr_strings.h>
#include <sys/stat.h>
#include <unistd.h>

/* A part of it is enough: then what is missing is told. */
static int has_part(const ctl_t *ctl)
{
    static const char *const parts[] = { "/store.json", "/certificates",
                                         "/replies" };
    struct stat st;
    int found = 0;

    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        found |=
            stat(apr_pstrcat(ctl->pool, ctl->root, parts[i], NULL), &st) == 0;
    }
    return found;
}

/* Requests are root's alone (or the owner's, where httpd runs without root), so
 * that a script which runs as the server's user cannot make any. */
static ctl_exit_t check_owner(const ctl_t *ctl)
{
    struct stat st;

    if (stat(ctl->root, &st) != 0) {
        return ctl_say(ctl, ACME_E_CTL_NO_STORE, ctl->root, NULL);
    }
    if (st.st_uid != geteuid()) {
        return ctl_say(ctl, ACME_E_CTL_NOT_OWNER, ctl->root, NULL);
    }
    return has_part(ctl) ? CTL_DONE
                         : ctl_say(ctl, ACME_E_CTL_NO_STORE, ctl->root, NULL);
}

ctl_exit_t ctl_open(ctl_t *ctl)
{
    acme_store_options_t options = { .root = ctl->root };
    struct stat st;
    ctl_exit_t status = check_owner(ctl);

    if (status != CTL_DONE) {
        return status;
    }
    /* The worker's part tells who the worker is. */
    if (stat(apr_pstrcat(ctl->pool, ctl->root, "/replies", NULL), &st) == 0) {
        options.worker_uid = st.st_uid;
        options.worker_gid = st.st_gid;
    }
    acme_err_t *err = acme_store_open(&ctl->store, &options, ctl->pool);
    return err ? ctl_say_error(err, ctl->pool) : CTL_DONE;
}
