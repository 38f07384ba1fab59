/* What is known of certificates: from the running server, or from what it has left
 * in the store. In the shape of the status page's JSON. */
#include "cli/survey.h"

#include <apr_strings.h>
#include <string.h>

#include "core/ident.h"
#include "core/reason.h"
#include "engine/job.h"
#include "engine/report.h"

#define PATIENCE 10 /* seconds: an engine answers at its next look */
#define PAGES                                                                  \
    10 /* asked for at once: each is a file of up to a million octets */
/* The answer is the worker's, who may have been taken over: root has written down
 * how many certificates there are, of which each has room for a hundred names. */
#define ROOM        (64 * 1024)
#define UNKNOWN     100000
#define SERVER_TIME apr_time_from_sec(3)
#define LOOK_EVERY  apr_time_from_msec(200)

/* --- the server's word --------------------------------------------------------------- */

typedef struct page_t {
    acme_control_t request; /* id NULL: not asked for */
    apr_int64_t from;       /* certificates before it */
} page_t;

/* What has come so far. */
typedef struct answer_t {
    ctl_t *ctl;
    json_t *list;
    apr_int64_t total; /* as the server says */
    apr_int64_t most;  /* as root has written down */
    apr_int64_t room;  /* octets that are left, but for most */
} answer_t;

static apr_int64_t count_configured(ctl_t *ctl)
{
    apr_array_header_t *uses = NULL;
    apr_pool_t *scratch;

    apr_pool_create(&scratch, ctl->pool);
    acme_err_t *err = acme_store_get_uses(&uses, NULL, ctl->store, scratch);
    apr_int64_t count = !err && uses ? uses->nelts : UNKNOWN;
    apr_pool_destroy(scratch);
    return count;
}

static int is_too_much(const answer_t *answer)
{
    return (apr_int64_t)json_array_size(answer->list) > answer->most
           || answer->room + answer->most * ROOM < 0;
}

static ctl_exit_t take_some(answer_t *answer, json_t *some)
{
    json_array_extend(answer->list, some);
    answer->room -= (apr_int64_t)json_dumpb(some, NULL, 0, JSON_COMPACT);
    if (is_too_much(answer)) {
        answer->most = count_configured(answer->ctl); /* it may be others now */
    }
    if (!is_too_much(answer)) {
        return CTL_DONE;
    }
    json_array_clear(answer->list);
    return ctl_say(
        answer->ctl, ACME_W_CTL_TOO_MUCH,
        apr_psprintf(answer->ctl->pool, "%" APR_INT64_T_FMT, answer->most),
        NULL);
}

static acme_err_t *ask_page(page_t *page, ctl_t *ctl, const char *name,
                            apr_int64_t from)
{
    page->request = (acme_control_t){ .action = "status", .certificate = name };
    page->from = from;
    acme_control_set_number(&page->request, "from", from, ctl->pool);
    return acme_store_put_request(&page->request, ctl->store, ctl->pool);
}

/* @param size  certificates in it; 0: what came before it was shorter than thought */
static ctl_exit_t take_page(apr_int64_t *size, page_t *page, answer_t *answer)
{
    acme_control_reply_t *reply;
    ctl_t quick = *answer->ctl;

    *size = 0;
    quick.timeout = PATIENCE;
    apr_pool_create(&quick.pool, answer->ctl->pool);
    ctl_exit_t status = ctl_await(&quick, &page->request, &reply, NULL, NULL);
    if (status == CTL_DONE
        && page->from == (apr_int64_t)json_array_size(answer->list)) {
        json_t *some = json_object_get(reply->result, "certificates");
        answer->total =
            json_integer_value(json_object_get(reply->result, "total"));
        *size = (apr_int64_t)json_array_size(some);
        status = take_some(answer, some);
    }
    apr_pool_destroy(quick.pool);
    return status;
}

/* The server looks for requests once a second. @param size  of a page */
static ctl_exit_t take_pages(answer_t *answer, apr_int64_t size)
{
    ctl_t *ctl = answer->ctl;
    page_t pages[PAGES] = { 0 };
    apr_int64_t begin = (apr_int64_t)json_array_size(answer->list), got;
    ctl_exit_t status = CTL_DONE;

    for (int i = 0; i < PAGES && status == CTL_DONE; i++) {
        apr_int64_t from = begin + i * size;
        acme_err_t *err =
            from < answer->total ? ask_page(&pages[i], ctl, NULL, from) : NULL;
        status = err ? ctl_say_error(err, ctl->pool) : CTL_DONE;
    }
    for (int i = 0; i < PAGES && pages[i].request.id; i++) {
        if (status == CTL_DONE) {
            status = take_page(&got, &pages[i], answer);
        }
        else {
            acme_store_remove_request(ctl->store, pages[i].request.id,
                                      ctl->pool);
        }
    }
    if ((apr_int64_t)json_array_size(answer->list) == begin) {
        answer->total = 0; /* fewer than there were: the server was reloaded */
    }
    return status;
}

static ctl_exit_t ask_all(ctl_t *ctl, const char *name, json_t *list)
{
    answer_t answer = {
        .ctl = ctl, .list = list, .most = count_configured(ctl), .room = ROOM
    };
    page_t first;
    apr_int64_t size = 0;
    acme_err_t *err = ask_page(&first, ctl, name, 0);
    ctl_exit_t status =
        err ? ctl_say_error(err, ctl->pool) : take_page(&size, &first, &answer);

    while (status == CTL_DONE && !name && size
           && (apr_int64_t)json_array_size(list) < answer.total) {
        status = take_pages(&answer, size);
    }
    return status;
}

/* --- the store's word ----------------------------------------------------------------- */

static void learn_record(acme_status_t *status, const acme_record_t *record,
                         apr_pool_t *pool)
{
    const acme_policy_ca_t *ca =
        record->ca_url ? acme_policy_find_ca(record->ca_url) : NULL;
    const char *url = record->ca_url ? record->ca_url : "";

    status->state = ACME_STATE_VALID;
    status->set_number = record->number;
    status->not_before = record->not_before;
    status->not_after = record->not_after;
    apr_cpystrn(status->serial, record->serial, sizeof(status->serial));
    apr_cpystrn(status->issuer, record->issuer, sizeof(status->issuer));
    apr_cpystrn(status->ca, ca && ca->alias ? ca->alias : url,
                sizeof(status->ca));
    ACME_REMARK(status, tlsa, record->tlsa ? record->tlsa : "", pool);
}

static const char *text_of(const json_t *doc, const char *name)
{
    const char *text = acme_json_string(doc, name);
    return text ? text : "";
}

static apr_time_t moment(const json_t *doc, const char *name)
{
    const char *text = acme_json_string(doc, name);
    return text ? acme_time_parse_rfc3339(text) : 0;
}

/* As the engine keeps them (job.c). */
static void learn_failures(acme_status_t *status, const json_t *doc,
                           apr_time_t now, apr_pool_t *pool)
{
    json_int_t failures = json_integer_value(json_object_get(doc, "failures"));
    json_int_t code = json_integer_value(json_object_get(doc, "error_code"));

    if (failures <= 0 || failures > 1000000 || code <= 0 || code > 9999) {
        return;
    }
    status->state = ACME_STATE_ERROR;
    status->failures = (int)failures;
    status->error_code = (int)code;
    status->error_time = moment(doc, "failed_at");
    ACME_REMARK(status, error, text_of(doc, "error"), pool);
    ACME_REMARK(status, visit, text_of(doc, "visit"), pool);
    apr_time_t next = moment(doc, "retry_at");
    status->next_time = next > now ? next : now;
    apr_cpystrn(status->next_action, "retry: when the server runs",
                sizeof(status->next_action));
}

static void learn_withdrawn(acme_status_t *status, const json_t *doc,
                            apr_pool_t *pool)
{
    acme_withdrawn_t withdrawn = { 0 };

    if (!acme_withdrawn_parse(&withdrawn, doc)
        || strcmp(withdrawn.serial, status->serial) != 0) {
        return;
    }
    const char *reason = acme_reason_name(withdrawn.reason);
    const acme_err_t *err =
        acme_err_make(pool, ACME_I_REVOKED, status->serial,
                      reason ? reason : "no reason given", "", NULL);
    status->state = ACME_STATE_ERROR;
    status->error_code = ACME_I_REVOKED;
    ACME_REMARK(status, error, err->text, pool);
}

static json_t *read_doc(ctl_t *ctl, const char *dir, acme_family_t family,
                        acme_doc_t which, apr_pool_t *pool)
{
    const char *text = NULL;
    apr_size_t len = 0;
    json_t *doc = NULL;
    acme_err_t *err =
        acme_store_get_doc(&text, &len, ctl->store, dir, family, which, pool);
    if (!err && text) {
        err =
            acme_json_parse(&doc, text, len, ACME_MAX_JSON, "its state", pool);
    }
    return err ? NULL : doc;
}

/* @return what it has been issued; NULL: nothing yet */
static const acme_record_t *learn_key(acme_report_t *report, ctl_t *ctl,
                                      const char *dir, acme_family_t family,
                                      apr_pool_t *pool)
{
    const acme_record_t *record = ctl_record(ctl, dir, family, pool);
    json_t *failures = read_doc(ctl, dir, family, ACME_DOC_JOB, pool);
    json_t *order = read_doc(ctl, dir, family, ACME_DOC_ORDER, pool);
    acme_status_t *status = &report->keys[report->key_count];

    if (!record && !failures && !order) {
        return NULL;
    }
    status->state = ACME_STATE_WAITING;
    report->types[report->key_count] = record ? record->key_type
                                       : family == ACME_FAMILY_RSA
                                           ? ACME_KEY_RSA2048
                                           : ACME_KEY_ECDSA_P256;
    if (record) {
        learn_record(status, record, pool);
    }
    learn_failures(status, failures, apr_time_now(), pool);
    learn_withdrawn(status, failures, pool);
    if (order) {
        apr_cpystrn(status->progress,
                    "an order is under way; it goes on when "
                    "the server runs",
                    sizeof(status->progress));
    }
    report->key_count++;
    return record;
}

/* By directory. @param known  0: nobody has said */
static acme_err_t *all_uses(apr_hash_t **found, int *known, ctl_t *ctl)
{
    apr_array_header_t *uses = NULL;
    acme_err_t *err = acme_store_get_uses(&uses, NULL, ctl->store, ctl->pool);

    *found = apr_hash_make(ctl->pool);
    *known = uses != NULL;
    for (int i = 0; uses && i < uses->nelts; i++) {
        acme_use_t *use = &APR_ARRAY_IDX(uses, i, acme_use_t);
        acme_ident_t *ident;
        if (!acme_ident_parse(&ident, use->name, ctl->pool)) {
            apr_hash_set(*found, acme_ident_filename(ident, ctl->pool),
                         APR_HASH_KEY_STRING, use);
        }
    }
    return err;
}

const acme_use_t *ctl_use(ctl_t *ctl, const char *dir, int *known)
{
    apr_hash_t *uses;
    acme_err_t *err = all_uses(&uses, known, ctl);
    if (err) {
        ctl_say_error(err, ctl->pool);
    }
    return apr_hash_get(uses, dir, APR_HASH_KEY_STRING);
}

/* @return NULL: there is nothing but a placeholder of a host that is no more */
static json_t *from_store(ctl_t *ctl, const char *dir, apr_hash_t *uses,
                          apr_pool_t *pool)
{
    acme_managed_t *managed = apr_pcalloc(pool, sizeof(*managed));
    acme_report_t *report = apr_pcalloc(pool, sizeof(*report));
    const acme_use_t *use = apr_hash_get(uses, dir, APR_HASH_KEY_STRING);
    const char *name = NULL;
    const apr_array_header_t *names = NULL;

    report->managed = managed;
    for (int i = 0; i < ACME_FAMILIES; i++) {
        const acme_record_t *record =
            learn_key(report, ctl, dir, (acme_family_t)i, pool);
        if (record) {
            name = name ? name : record->name;
            names = record->idents;
        }
    }
    if (!use && !report->key_count) {
        return NULL;
    }
    names = names ? names : acme_store_names(ctl->store, dir, pool);
    managed->name = name ? name : ctl_identity(ctl, dir, pool);
    managed->idents = names ? acme_idents_copy(names, pool)
                            : apr_array_make(pool, 1, sizeof(acme_ident_t *));
    managed->where = use ? use->where : NULL;
    managed->in_use = use ? use->in_use : 0;
    json_t *json = acme_report_json(report, pool);
    json_object_set_new(json, "managed", json_boolean(use != NULL));
    return json;
}

/* --- both ------------------------------------------------------------------------------ */

static apr_hash_t *told_already(json_t *list, apr_pool_t *pool)
{
    apr_hash_t *told = apr_hash_make(pool);
    json_t *one;
    size_t i;

    json_array_foreach(list, i, one)
    {
        const char *name = acme_json_string(one, "name");
        acme_ident_t *ident;
        json_object_set_new(one, "managed", json_true());
        if (name && !acme_ident_parse(&ident, name, pool)) {
            apr_hash_set(told, acme_ident_filename(ident, pool),
                         APR_HASH_KEY_STRING, one);
        }
    }
    return told;
}

static ctl_exit_t add_from_store(ctl_t *ctl, const char *only, json_t *list)
{
    apr_hash_t *told = told_already(list, ctl->pool), *uses;
    apr_array_header_t *dirs;
    int known;
    /* without it nobody is known to use them: the rest is told all the same */
    acme_err_t *unread = all_uses(&uses, &known, ctl);
    acme_err_t *err = acme_store_list(&dirs, ctl->store, ctl->pool);
    apr_pool_t *each;

    (void)unread;
    if (err) {
        return ctl_say_error(err, ctl->pool);
    }
    apr_pool_create(&each, ctl->pool);
    for (int i = 0; i < dirs->nelts && !ctl_interrupted; i++) {
        const char *dir = APR_ARRAY_IDX(dirs, i, const char *);
        apr_pool_clear(each);
        if (!apr_hash_get(told, dir, APR_HASH_KEY_STRING)
            && (!only || !strcmp(only, dir))) {
            json_t *one = from_store(ctl, dir, uses, each);
            json_array_append_new(list, one ? one : json_null());
            if (!one) {
                json_array_remove(list, json_array_size(list) - 1);
            }
        }
    }
    return CTL_DONE;
}

int ctl_server_runs(ctl_t *ctl)
{
    acme_lease_t *lease = acme_store_make_lease(ctl->store, ctl->pool);
    return acme_lease_is_taken(lease, apr_time_now());
}

int ctl_server_comes(ctl_t *ctl)
{
    apr_time_t end = apr_time_now() + SERVER_TIME;
    int there;

    while (!(there = ctl_server_runs(ctl)) && !ctl_interrupted
           && apr_time_now() < end) {
        apr_sleep(LOOK_EVERY);
    }
    return there;
}

ctl_exit_t ctl_survey(json_t **survey, ctl_t *ctl, const char *dir)
{
    json_t *list = json_array();
    const char *server = "stopped";
    const char *name = dir ? ctl_identity(ctl, dir, ctl->pool) : NULL;

    if (ctl_server_runs(ctl)) {
        server = ask_all(ctl, name, list) == CTL_DONE ? "running" : "silent";
    }
    ctl_exit_t status = add_from_store(ctl, dir, list);
    *survey = json_pack("{s:i, s:s, s:s, s:s, s:i, s:o}", "version",
                        ACME_REPORT_VERSION, "time",
                        acme_time_format(apr_time_now(), ctl->pool), "store",
                        ctl->root, "server", server, "total",
                        (int)json_array_size(list), "certificates", list);
    return status;
}
