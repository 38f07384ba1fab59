#include "httpd/standstill.h"

#include <apr_hash.h>
#include <apr_strings.h>

typedef struct standstill_t {
    acme_status_t common; /* what is the same for all of them */
    apr_hash_t *promoted; /* name -> acme_status_t of each family */
} standstill_t;

static standstill_t *the_standstill;

static apr_status_t forget_standstill(void *data)
{
    (void)data;
    the_standstill = NULL;
    return APR_SUCCESS;
}

static void describe(acme_status_t *status, const acme_record_t *record)
{
    const char *url = record->ca_url ? record->ca_url : "";
    const acme_policy_ca_t *known = acme_policy_find_ca(url);

    status->set_number = status->served_number = record->number;
    status->not_before = record->not_before;
    status->not_after = status->served_not_after = record->not_after;
    apr_cpystrn(status->serial, record->serial, sizeof(status->serial));
    apr_cpystrn(status->issuer, record->issuer, sizeof(status->issuer));
    apr_cpystrn(status->ca, known && known->alias ? known->alias : url,
                sizeof(status->ca));
}

/* Its faults have been told where it was handed to mod_ssl. */
static void learn(acme_status_t *status, const acme_managed_t *managed,
                  acme_family_t family, acme_store_t *store,
                  apr_pool_t *scratch)
{
    acme_record_t *record = NULL;
    acme_err_t *err =
        acme_store_current(&record, store, managed->dir, family, scratch);

    (void)err;
    *status = the_standstill->common;
    if (record) {
        describe(status, record);
    }
}

static void set_common(acme_status_t *status, const acme_err_t *why,
                       apr_time_t now, apr_pool_t *pconf)
{
    const char *line = acme_err_line(why, pconf);

    status->state = ACME_STATE_ERROR;
    status->error_code = (int)why->msg;
    status->error_time = now;
    ACME_REMARK(
        status, error,
        apr_pstrcat(pconf, "nothing is issued or renewed: ", line, NULL),
        pconf);
    apr_cpystrn(status->next_action,
                "nothing: what the error says must be mended",
                sizeof(status->next_action));
}

void acme_standstill_begin(const acme_err_t *why,
                           const apr_array_header_t *managed,
                           acme_store_t *store, apr_time_t now,
                           apr_pool_t *pconf)
{
    apr_pool_t *scratch;
    int i, family;

    the_standstill = apr_pcalloc(pconf, sizeof(*the_standstill));
    the_standstill->promoted = apr_hash_make(pconf);
    apr_pool_cleanup_register(pconf, NULL, forget_standstill,
                              apr_pool_cleanup_null);
    set_common(&the_standstill->common, why, now, pconf);
    apr_pool_create(&scratch, pconf);
    for (i = 0; store && i < managed->nelts; ++i) {
        const acme_managed_t *one = APR_ARRAY_IDX(managed, i, acme_managed_t *);
        acme_status_t *status =
            apr_pcalloc(pconf, ACME_FAMILIES * sizeof(*status));

        for (family = 0; family < ACME_FAMILIES; ++family) {
            learn(&status[family], one, family, store, scratch);
        }
        apr_hash_set(the_standstill->promoted, one->name, APR_HASH_KEY_STRING,
                     status);
        apr_pool_clear(scratch);
    }
    apr_pool_destroy(scratch);
}

int acme_standstill_status(acme_status_t *status, const acme_managed_t *managed,
                           acme_family_t family, apr_pool_t *pool)
{
    const acme_status_t *promoted;

    if (!the_standstill) {
        return 0;
    }
    promoted = apr_hash_get(the_standstill->promoted, managed->name,
                            APR_HASH_KEY_STRING);
    *status = promoted ? promoted[family] : the_standstill->common;
    if (!pool) {
        status->remarks = NULL;
    }
    return 1;
}
