#include "engine/saved.h"

#include <apr_strings.h>
#include <jansson.h>
#include <string.h>

#include "core/encode.h"
#include "core/ident.h"

#define MAX_FILE (1024 * 1024)

acme_err_t *acme_saved_damaged(const char *why, apr_pool_t *pool)
{
    return acme_err_make(pool, ACME_E_STORE_DAMAGED, "the saved order", why,
                         NULL);
}

acme_err_t *acme_saved_format(const char **json, const acme_saved_t *saved,
                              apr_pool_t *pool)
{
    json_t *names = json_array();
    int failed = 0;

    for (int i = 0; i < saved->idents->nelts; i++) {
        const acme_ident_t *ident =
            APR_ARRAY_IDX(saved->idents, i, acme_ident_t *);
        failed |= json_array_append_new(names, json_string(ident->value));
    }
    json_t *doc =
        json_pack("{s:s, s:s, s:b, s:b, s:o}", "subject", saved->subject,
                  "account", saved->account, "key", saved->has_key, "issued",
                  saved->issued, "names", names);
    const char *text = acme_json_text(doc, JSON_COMPACT, pool);

    if (failed || !text) {
        return acme_err_make(pool, ACME_E_MEMORY, "saving an order", NULL);
    }
    /* Its brace comes behind the order. */
    *json = apr_pstrcat(pool, apr_pstrndup(pool, text, strlen(text) - 1),
                        ",\n\"order\":", saved->order, "}\n", NULL);
    return NULL;
}

static acme_err_t *parse_names(acme_saved_t *saved, const json_t *names,
                               apr_pool_t *pool)
{
    size_t count = json_array_size(names);
    apr_array_header_t *idents;

    if (count < 1 || count > ACME_MAX_IDENTS) {
        return acme_saved_damaged("members are missing", pool);
    }
    idents = apr_array_make(pool, (int)count, sizeof(acme_ident_t *));
    for (size_t i = 0; i < count; i++) {
        const char *name = json_string_value(json_array_get(names, i));
        acme_ident_t *ident;
        if (!name) {
            return acme_saved_damaged("a name is not a string", pool);
        }
        ACME_TRY(acme_ident_parse(&ident, name, pool));
        APR_ARRAY_PUSH(idents, acme_ident_t *) = ident;
    }
    saved->idents = idents;
    return NULL;
}

acme_err_t *acme_saved_parse(acme_saved_t *saved, const char *json,
                             apr_size_t len, apr_pool_t *pool)
{
    json_t *doc;

    ACME_TRY(acme_json_parse(&doc, json, len, MAX_FILE, "saved order", pool));
    json_t *order = json_object_get(doc, "order");
    saved->subject = acme_json_string(doc, "subject");
    saved->account = acme_json_string(doc, "account");
    saved->has_key = !json_is_false(json_object_get(doc, "key"));
    saved->issued = json_is_true(json_object_get(doc, "issued"));
    if (!saved->subject || !saved->account || !json_is_object(order)) {
        return acme_saved_damaged("members are missing", pool);
    }
    ACME_TRY(parse_names(saved, json_object_get(doc, "names"), pool));
    saved->order = acme_json_text(json_incref(order), JSON_COMPACT, pool);
    return saved->order
               ? NULL
               : acme_err_make(pool, ACME_E_MEMORY, "reading an order", NULL);
}
