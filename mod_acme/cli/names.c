/* Which certificate is meant by a name, and which may have been. */
#include "cli/acmectl.h"

#include <apr_strings.h>
#include <string.h>

#include "core/ident.h"

#define MAX_NAME 255
#define MAX_NEAR 5

/* --- what is called how ------------------------------------------------------------ */

const acme_record_t *ctl_record(ctl_t *ctl, const char *dir,
                                acme_family_t family, apr_pool_t *pool)
{
    acme_record_t *record = NULL;
    acme_err_t *damage =
        acme_store_newest(&record, ctl->store, dir, family, pool);
    if (damage) {
        ctl_say_error(damage, pool);
    }
    return record;
}

/* Of whichever family; NULL: of none. Without a word about what is damaged: it is
 * told where it is looked at. */
static const acme_record_t *any_record(ctl_t *ctl, const char *dir,
                                       apr_pool_t *pool)
{
    acme_record_t *record = NULL;

    for (int i = 0; i < ACME_FAMILIES && !record; i++) {
        acme_err_t *damage =
            acme_store_newest(&record, ctl->store, dir, (acme_family_t)i, pool);
        (void)damage;
    }
    return record;
}

const apr_array_header_t *ctl_names(ctl_t *ctl, const char *dir,
                                    apr_pool_t *pool)
{
    const acme_record_t *record = any_record(ctl, dir, pool);

    return record ? record->idents : acme_store_names(ctl->store, dir, pool);
}

const char *ctl_identity(ctl_t *ctl, const char *dir, apr_pool_t *pool)
{
    const acme_record_t *record = any_record(ctl, dir, pool);
    if (record) {
        return record->name;
    }
    const apr_array_header_t *names = acme_store_names(ctl->store, dir, pool);
    return names && names->nelts
               ? APR_ARRAY_IDX(names, 0, const acme_ident_t *)->value
               : dir;
}

/* --- near ones ----------------------------------------------------------------------- */

/* Letters to be changed, added or left out, at most most. */
static int distance(const char *a, const char *b, int most)
{
    int row[MAX_NAME + 1], width = (int)strlen(b), length = (int)strlen(a);

    if (width > MAX_NAME || length > MAX_NAME || width - length > most
        || length - width > most) {
        return most + 1;
    }
    for (int k = 0; k <= width; k++) {
        row[k] = k;
    }
    for (int i = 1; i <= length; i++) {
        int corner = row[0];
        row[0] = i;
        for (int k = 1; k <= width; k++) {
            int change = corner + (a[i - 1] != b[k - 1]);
            corner = row[k];
            row[k] = row[k] < row[k - 1] ? row[k] + 1 : row[k - 1] + 1;
            row[k] = change < row[k] ? change : row[k];
        }
    }
    return row[width];
}

static int is_near(const char *wanted, const char *name)
{
    int most = (int)strlen(wanted) / 10;
    most = most < 2 ? 2 : most;
    return strstr(name, wanted) || distance(wanted, name, most) <= most;
}

static ctl_exit_t no_such(ctl_t *ctl, const char *wanted,
                          const apr_array_header_t *dirs)
{
    const char *near = "";
    int found = 0;

    for (int i = 0; i < dirs->nelts && found < MAX_NEAR; i++) {
        const char *name =
            ctl_identity(ctl, APR_ARRAY_IDX(dirs, i, const char *), ctl->pool);
        if (is_near(wanted, name)) {
            near = apr_pstrcat(ctl->pool, near,
                               found ? ", " : "; did you mean ", name, NULL);
            found++;
        }
    }
    return ctl_say(ctl, ACME_E_CTL_NAME,
                   acme_encode_printable(wanted, MAX_NAME, ctl->pool), near,
                   NULL);
}

/* --- finding -------------------------------------------------------------------------- */

static int is_among(const apr_array_header_t *names, const acme_ident_t *ident)
{
    for (int i = 0; names && i < names->nelts; i++) {
        if (acme_ident_equal(APR_ARRAY_IDX(names, i, const acme_ident_t *),
                             ident)) {
            return 1;
        }
    }
    return 0;
}

static const char *find(ctl_t *ctl, const apr_array_header_t *dirs,
                        const acme_ident_t *ident)
{
    const char *own = acme_ident_filename(ident, ctl->pool);
    apr_pool_t *each;

    for (int i = 0; i < dirs->nelts; i++) {
        if (!strcmp(APR_ARRAY_IDX(dirs, i, const char *), own)) {
            return own;
        }
    }
    apr_pool_create(&each, ctl->pool);
    for (int i = 0; i < dirs->nelts; i++) {
        const char *dir = APR_ARRAY_IDX(dirs, i, const char *);
        apr_pool_clear(each);
        if (is_among(ctl_names(ctl, dir, each), ident)) {
            return dir;
        }
    }
    return NULL;
}

const char *ctl_find_quietly(ctl_t *ctl, const char *name)
{
    apr_array_header_t *dirs;
    acme_ident_t *ident;
    acme_err_t *err = acme_store_list(&dirs, ctl->store, ctl->pool);

    if (!err) {
        err = acme_ident_parse(&ident, name, ctl->pool);
    }
    return err ? NULL : find(ctl, dirs, ident);
}

ctl_exit_t ctl_find(ctl_t *ctl, const char *name, const char **dir)
{
    apr_array_header_t *dirs;
    acme_ident_t *ident;
    acme_err_t *err = acme_store_list(&dirs, ctl->store, ctl->pool);

    if (err) {
        return ctl_say_error(err, ctl->pool);
    }
    err = acme_ident_parse(&ident, name, ctl->pool);
    *dir = err ? NULL : find(ctl, dirs, ident);
    return *dir ? CTL_DONE : no_such(ctl, err ? name : ident->value, dirs);
}
