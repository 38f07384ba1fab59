#include "core/blame.h"

#include <apr_lib.h>
#include <apr_strings.h>
#include <string.h>

#include "core/encode.h"
#include "core/reaction.h"

#define MAX_SUMMARY (8 * ACME_MAX_DETAIL) /* of all names together */

int acme_blame_severity(acme_class_t class)
{
    switch (class) {
    case ACME_CLASS_CONFIG:
        return 4;
    case ACME_CLASS_CA_FINAL:
        return 3;
    case ACME_CLASS_LOCAL:
        return 2;
    case ACME_CLASS_CA_RETRY:
        return 1;
    case ACME_CLASS_NONE:
        break;
    }
    return 0;
}

static void push(apr_array_header_t *blames, const char *name, acme_msg_t msg,
                 const char *text)
{
    acme_blame_t *blame = apr_array_push(blames);

    blame->name = name;
    blame->msg = msg;
    blame->text = text;
}

void acme_blame_add(acme_err_t *err, const char *name, acme_msg_t msg,
                    const char *text, apr_pool_t *pool)
{
    apr_array_header_t *blames = apr_array_make(
        pool, err->blames ? err->blames->nelts + 1 : 1, sizeof(acme_blame_t));

    if (err->blames) {
        apr_array_cat(blames, err->blames);
    }
    push(blames, apr_pstrdup(pool, name), msg, apr_pstrdup(pool, text));
    err->blames = blames;
}

/* --- whose fault -------------------------------------------------------------- */

static const char *value_at(const apr_array_header_t *idents, int i)
{
    return APR_ARRAY_IDX(idents, i, const acme_ident_t *)->value;
}

/* A wildcard may be called by its base, as in its authorization. @return NULL: it
 * is none of idents */
static const char *find(const apr_array_header_t *idents, const char *name)
{
    const char *wildcard = NULL;
    int i;

    for (i = 0; i < idents->nelts; i++) {
        const char *value = value_at(idents, i);

        if (!strcasecmp(value, name)) {
            return value;
        }
        if (!strncmp(value, "*.", 2) && !strcasecmp(value + 2, name)) {
            wildcard = value;
        }
    }
    return wildcard;
}

static int is_in(const apr_array_header_t *blames, const char *name)
{
    int i;

    for (i = 0; i < blames->nelts; i++) {
        if (!strcmp(APR_ARRAY_IDX(blames, i, acme_blame_t).name, name)) {
            return 1;
        }
    }
    return 0;
}

static int is_name_octet(char c)
{
    return apr_isalnum(c) || c == '-' || c == '_' || c == ':';
}

/* Whether text has name as a whole word: "a.example" is not in "b.a.example". */
static int speaks_of(const char *text, const char *name)
{
    apr_size_t len = strlen(name);
    const char *at;

    for (at = text; (at = strstr(at, name)) != NULL; at++) {
        char before = at > text ? at[-1] : ' ', after = at[len];

        if (!is_name_octet(before) && before != '.' && before != '*'
            && !is_name_octet(after)
            && !(after == '.' && is_name_octet(at[len + 1]))) {
            return 1;
        }
    }
    return 0;
}

/* @return NULL: none of them, or several */
static const char *only_one_spoken_of(const char *text,
                                      const apr_array_header_t *idents)
{
    const char *found = NULL;
    int i;

    for (i = 0; i < idents->nelts; i++) {
        if (speaks_of(text, value_at(idents, i))) {
            if (found) {
                return NULL;
            }
            found = value_at(idents, i);
        }
    }
    return found;
}

void acme_blame_settle(acme_err_t *err, const apr_array_header_t *idents,
                       apr_pool_t *pool)
{
    const apr_array_header_t *given = err->blames;
    apr_array_header_t *blames = apr_array_make(pool, 1, sizeof(acme_blame_t));
    const char *name = NULL;
    int i;

    err->blames = NULL;
    if (!acme_reaction(err->msg)->one_name) {
        return;
    }
    for (i = 0; given && i < given->nelts; i++) {
        const acme_blame_t *one = &APR_ARRAY_IDX(given, i, acme_blame_t);
        const char *own = find(idents, one->name);

        if (own && !is_in(blames, own)) {
            push(blames, apr_pstrdup(pool, own), one->msg, one->text);
        }
    }
    if (!given && err->identifier) {
        name = find(idents, err->identifier);
    }
    else if (!given && err->detail) {
        name = only_one_spoken_of(err->detail, idents);
    }
    if (name) {
        push(blames, apr_pstrdup(pool, name), err->msg,
             acme_err_line(err, pool));
    }
    err->blames = blames->nelts ? blames : NULL;
}

/* --- several ------------------------------------------------------------------- */

static const char *others(const apr_array_header_t *errors,
                          const acme_err_t *worst, apr_pool_t *pool)
{
    apr_array_header_t *parts =
        apr_array_make(pool, errors->nelts, sizeof(const char *));
    int i;

    for (i = 0; i < errors->nelts; i++) {
        const acme_err_t *one = APR_ARRAY_IDX(errors, i, const acme_err_t *);

        if (one != worst) {
            APR_ARRAY_PUSH(parts, const char *) = apr_pstrcat(
                pool, parts->nelts ? "; " : "also ", one->identifier, ": ",
                one->text, one->detail ? ", " : "", one->detail, NULL);
        }
    }
    return acme_encode_printable(apr_array_pstrcat(pool, parts, '\0'),
                                 MAX_SUMMARY, pool);
}

acme_err_t *acme_blame_join(const apr_array_header_t *errors, apr_pool_t *pool)
{
    const acme_err_t *worst = APR_ARRAY_IDX(errors, 0, const acme_err_t *);
    acme_err_t *joined;
    int i;

    for (i = 1; i < errors->nelts; i++) {
        const acme_err_t *one = APR_ARRAY_IDX(errors, i, const acme_err_t *);

        if (acme_blame_severity(one->class)
            > acme_blame_severity(worst->class)) {
            worst = one;
        }
    }
    joined = acme_err_dup(worst, pool);
    joined->blames = NULL;
    for (i = 0; i < errors->nelts; i++) {
        const acme_err_t *one = APR_ARRAY_IDX(errors, i, const acme_err_t *);

        acme_blame_add(joined, one->identifier, one->msg,
                       acme_err_line(one, pool), pool);
    }
    if (errors->nelts > 1) {
        const char *more = others(errors, worst, pool);

        joined->detail = joined->detail ? apr_pstrcat(pool, joined->detail,
                                                      " [", more, "]", NULL)
                                        : more;
    }
    return joined;
}
