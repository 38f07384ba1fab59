#include "engine/record.h"

#include <apr_strings.h>
#include <jansson.h>
#include <string.h>

#include "core/encode.h"
#include "core/ident.h"

#define MAX_TEXT   2048
#define MAX_NUMBER 999999999
#define MAX_NAMES  1000
/* By how much the clock of another server may be ahead. */
#define CLOCK_SLACK apr_time_from_sec(600)

acme_err_t *acme_record_describe(acme_record_t *record, X509 *leaf,
                                 apr_pool_t *pool)
{
    acme_cert_info_t *info;

    ACME_TRY(acme_cert_info(&info, leaf, pool));
    record->idents = info->idents;
    record->not_before = info->not_before;
    record->not_after = info->not_after;
    record->serial = info->serial;
    record->issuer = info->issuer;
    record->fingerprint = info->fingerprint;
    record->ari_id = info->ari_id;
    record->ocsp = info->ocsp;
    record->must_staple = info->must_staple;
    record->tlsa = info->tlsa;
    return NULL;
}

apr_time_t acme_record_ready(const acme_record_t *record,
                             apr_interval_time_t delay, apr_time_t now)
{
    return (record->issued > now + CLOCK_SLACK ? record->not_before
                                               : record->issued)
           + delay;
}

/* --- to JSON ----------------------------------------------------------------- */

static int put_time(json_t *object, const char *name, apr_time_t value,
                    apr_pool_t *pool)
{
    return value
               ? acme_json_put_text(object, name, acme_time_format(value, pool))
               : 0;
}

static int put_idents(json_t *object, const apr_array_header_t *idents)
{
    json_t *list = json_array();
    int failed = 0;

    for (int i = 0; idents && i < idents->nelts; i++) {
        const acme_ident_t *ident =
            APR_ARRAY_IDX(idents, i, const acme_ident_t *);
        const char *type = ident->type == ACME_IDENT_IP ? "ip" : "dns";
        failed |= json_array_append_new(
            list, json_pack("{s:s, s:s}", "type", type, "value", ident->value));
    }
    return failed | json_object_set_new(object, "identifiers", list);
}

static int put_all(json_t *object, const acme_record_t *record,
                   apr_pool_t *pool)
{
    return acme_json_put_text(object, "name", record->name)
           | acme_json_put_text(object, "key_type",
                                acme_key_type_name(record->key_type))
           | json_object_set_new(object, "number", json_integer(record->number))
           | acme_json_put_text(object, "ca", record->ca_url)
           | acme_json_put_text(object, "account", record->account_url)
           | acme_json_put_text(object, "profile", record->profile)
           | put_idents(object, record->idents)
           | put_time(object, "not_before", record->not_before, pool)
           | put_time(object, "not_after", record->not_after, pool)
           | put_time(object, "issued", record->issued, pool)
           | acme_json_put_text(object, "tlsa_3_1_1", record->tlsa)
           | acme_json_put_text(object, "serial", record->serial)
           | acme_json_put_text(object, "issuer", record->issuer)
           | acme_json_put_text(object, "fingerprint", record->fingerprint)
           | acme_json_put_text(object, "ari_id", record->ari_id)
           | acme_json_put_text(object, "ocsp", record->ocsp)
           | acme_json_put_text(object, "proved_by", record->proved_by)
           | acme_json_put_text(object, "proof_record", record->ending.name)
           | put_time(object, "proof_until", record->ending.until, pool)
           | acme_json_put_text(object, "challenges",
                                record->proved_by ? record->challenges : NULL)
           | acme_json_put_text(object, "must_staple",
                                record->must_staple ? "yes" : NULL)
           | acme_json_put_text(object, "files_sha256", record->files);
}

acme_err_t *acme_record_format(const char **json, const acme_record_t *record,
                               apr_pool_t *pool)
{
    json_t *object = json_object();

    if (put_all(object, record, pool) != 0) {
        json_decref(object);
        object = NULL;
    }
    return acme_json_document(json, object,
                              "writing the record of a certificate", pool);
}

/* --- from JSON ----------------------------------------------------------------- */

/* Reading goes on after the first bad member, which is the one reported. */
typedef struct reading_t {
    const json_t *object;
    const char *bad;
    apr_pool_t *pool;
} reading_t;

static const char *get_text(reading_t *reading, const char *name, int required)
{
    const json_t *member = json_object_get(reading->object, name);
    const char *text = json_string_value(member);

    if (!member && !required) {
        return NULL;
    }
    if (!text || json_string_length(member) > MAX_TEXT
        || strlen(text) != json_string_length(member)) {
        reading->bad = reading->bad ? reading->bad : name;
        return NULL;
    }
    const char *printable =
        acme_encode_printable(text, MAX_TEXT, reading->pool);
    if (strcmp(printable, text) != 0) {
        reading->bad = reading->bad ? reading->bad : name;
        return NULL;
    }
    return printable;
}

/* Absent is 0: no time. */
static apr_time_t get_time(reading_t *reading, const char *name, int required)
{
    const json_t *member = json_object_get(reading->object, name);
    const char *text = json_string_value(member);
    apr_time_t value = text ? acme_time_parse_rfc3339(text) : 0;

    if (value <= 0 && (member || required)) {
        reading->bad = reading->bad ? reading->bad : name;
    }
    return value;
}

static int get_number(reading_t *reading, const char *name)
{
    json_int_t value =
        json_integer_value(json_object_get(reading->object, name));

    if (value < 1 || value > MAX_NUMBER) {
        reading->bad = reading->bad ? reading->bad : name;
        return 0;
    }
    return (int)value;
}

static acme_ident_t *get_ident(const json_t *item, apr_pool_t *pool)
{
    const char *type = json_string_value(json_object_get(item, "type"));
    reading_t reading = { item, NULL, pool };
    const char *value = get_text(&reading, "value", 1);

    if (!value || !*value || !type || strlen(value) > 255
        || (strcmp(type, "dns") && strcmp(type, "ip"))) {
        return NULL;
    }
    acme_ident_t *ident = apr_palloc(pool, sizeof(*ident));
    ident->type = strcmp(type, "ip") ? ACME_IDENT_DNS : ACME_IDENT_IP;
    ident->value = value;
    return ident;
}

static apr_array_header_t *get_idents(reading_t *reading, const char *name)
{
    const json_t *list = json_object_get(reading->object, name);
    size_t count = json_array_size(list);
    apr_array_header_t *idents =
        apr_array_make(reading->pool, count <= MAX_NAMES ? (int)count : 1,
                       sizeof(acme_ident_t *));

    if (count == 0 || count > MAX_NAMES) {
        reading->bad = reading->bad ? reading->bad : name;
        return idents;
    }
    for (size_t i = 0; i < count; i++) {
        acme_ident_t *ident = get_ident(json_array_get(list, i), reading->pool);
        if (!ident) {
            reading->bad = reading->bad ? reading->bad : name;
            return idents;
        }
        APR_ARRAY_PUSH(idents, acme_ident_t *) = ident;
    }
    return idents;
}

static void get_all(acme_record_t *record, reading_t *reading)
{
    const char *type =
        json_string_value(json_object_get(reading->object, "key_type"));

    if (!type || acme_key_type_parse(&record->key_type, type) != 0) {
        reading->bad = "key_type";
    }
    record->name = get_text(reading, "name", 1);
    record->number = get_number(reading, "number");
    record->ca_url = get_text(reading, "ca", 0);
    record->account_url = get_text(reading, "account", 0);
    record->profile = get_text(reading, "profile", 0);
    record->idents = get_idents(reading, "identifiers");
    record->not_before = get_time(reading, "not_before", 0);
    record->not_after = get_time(reading, "not_after", 1);
    record->issued = get_time(reading, "issued", 0);
    record->serial = get_text(reading, "serial", 1);
    record->issuer = get_text(reading, "issuer", 1);
    record->fingerprint = get_text(reading, "fingerprint", 1);
    record->ari_id = get_text(reading, "ari_id", 0);
    record->ocsp = get_text(reading, "ocsp", 0);
    record->ending.name = get_text(reading, "proof_record", 0);
    record->ending.until = get_time(reading, "proof_until", 0);
    record->proved_by = get_text(reading, "proved_by", 0);
    record->challenges = get_text(reading, "challenges", 0);
    record->must_staple = get_text(reading, "must_staple", 0) != NULL;
    record->tlsa = get_text(reading, "tlsa_3_1_1", 0);
    record->files = get_text(reading, "files_sha256", 0);
}

acme_err_t *acme_record_parse(acme_record_t **record, const char *json,
                              apr_size_t len, const char *what,
                              apr_pool_t *pool)
{
    acme_record_t *made = apr_pcalloc(pool, sizeof(*made));
    json_t *object;
    acme_err_t *err = acme_json_load(&object, json, len, what, pool);

    if (err) {
        return err->msg == ACME_E_MEMORY
                   ? err
                   : acme_err_make(pool, ACME_E_STORE_DAMAGED, what,
                                   "it is not a JSON object", NULL);
    }
    reading_t reading = { object, NULL, pool };
    get_all(made, &reading);
    json_decref(object);
    if (reading.bad) {
        return acme_err_make(
            pool, ACME_E_STORE_DAMAGED, what,
            apr_psprintf(pool, "its member \"%s\" is missing or wrong",
                         reading.bad),
            NULL);
    }
    *record = made;
    return NULL;
}
