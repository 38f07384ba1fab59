#include "engine/staple.h"

#include <apr_strings.h>
#include <jansson.h>
#include <string.h>

#include "core/encode.h"
#include "core/ocsp.h"

acme_err_t *acme_staple_format(const char **json, const acme_staple_doc_t *doc,
                               apr_pool_t *pool)
{
    const acme_staple_t *staple = &doc->staple;
    json_t *object =
        json_pack("{s:s, s:s, s:s, s:s, s:b, s:b, s:s}", "serial",
                  staple->serial, "from", acme_time_format(doc->from, pool),
                  "until", acme_time_format(staple->until, pool), "refresh",
                  acme_time_format(doc->refresh, pool), "must_staple",
                  staple->must, "revoked", doc->revoked, "response",
                  acme_encode_base64url(staple->der, staple->len, pool));

    return acme_json_document(json, object, "writing an OCSP response", pool);
}

static apr_time_t get_time(const json_t *object, const char *name)
{
    const char *text = acme_json_string(object, name);

    return text ? acme_time_parse_rfc3339(text) : 0;
}

acme_err_t *acme_staple_parse(acme_staple_doc_t **result, const char *json,
                              apr_size_t len, apr_pool_t *pool)
{
    acme_staple_doc_t *doc = apr_pcalloc(pool, sizeof(*doc));
    json_t *object;
    acme_err_t *err = acme_json_parse(&object, json, len, ACME_MAX_JSON,
                                      "OCSP response", pool);
    const char *serial = err ? NULL : acme_json_string(object, "serial");
    const char *response = err ? NULL : acme_json_string(object, "response");

    if (err && err->msg == ACME_E_MEMORY) {
        return err;
    }
    if (!serial || !response
        || acme_decode_base64url(&doc->staple.der, &doc->staple.len, response,
                                 pool)
               != APR_SUCCESS
        || doc->staple.len == 0 || doc->staple.len > ACME_MAX_OCSP) {
        return acme_err_make(
            pool, ACME_E_STORE_DAMAGED, "the saved OCSP response",
            err ? err->text : "members are missing or wrong", NULL);
    }
    doc->staple.serial = apr_pstrdup(pool, serial);
    doc->staple.must = json_is_true(json_object_get(object, "must_staple"));
    doc->revoked = json_is_true(json_object_get(object, "revoked"));
    doc->staple.until = get_time(object, "until");
    doc->from = get_time(object, "from");
    doc->refresh = get_time(object, "refresh");
    *result = doc;
    return NULL;
}

void acme_staple_saved(acme_staple_doc_t **doc, acme_store_t *store,
                       const char *dir, acme_family_t family,
                       const char *serial, apr_pool_t *pool)
{
    acme_staple_doc_t *found = NULL;
    const char *json = NULL;
    apr_size_t len;
    acme_err_t *err = acme_store_get_doc(&json, &len, store, dir, family,
                                         ACME_DOC_OCSP, pool);

    if (!err && json) {
        err = acme_staple_parse(&found, json, len, pool);
    }
    /* What cannot be read is fetched anew. */
    *doc =
        !err && found && !strcmp(found->staple.serial, serial) ? found : NULL;
}
