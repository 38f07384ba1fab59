#include "engine/transport.h"

#include <apr_strings.h>
#include <curl/curl.h>
#include <stddef.h>
#include <string.h>

#include "engine/handle.h"

#define TOTAL_TIMEOUT     60L
#define PLAIN_TIMEOUT     20L /* for an OCSP response */
#define HOST_CONNECTIONS  8L  /* only a CA without HTTP/2 needs more than one */
#define MAX_STREAMS       256L
#define MAX_HEADER_OCTETS (64 * 1024)
#define MAX_HEADER_VALUE  (8 * 1024)
#define MAX_LINKS         32
#define FIRST_BUFFER      2048

typedef struct call_t call_t;

/** A request under way. Lives in its own pool. */
struct call_t {
    acme_transfer_t transfer;
    call_t *next, *prev;
    acme_transport_t *transport;
    apr_pool_t *pool;
    acme_handle_t *handle;
    struct curl_slist *headers;
    const char *url;
    acme_transport_ca_t ca; /* copied, but for the proxy */
    const char *wire_body;
    apr_size_t wire_len;
    int plain;
    apr_size_t max_body;
    acme_transport_done_fn_t *done;
    void *baton;
    acme_reply_t reply;
    char *body;
    apr_size_t capacity;
    apr_size_t header_octets;
    const char *too_big; /* what broke a limit */
    int by_proxy;        /* it is the proxy that failed */
    char error[CURL_ERROR_SIZE];
};

struct acme_transport_t {
    apr_pool_t *pool;
    apr_pool_t *err_pool; /* of the last error: they must not add up */
    CURLM *multi;
    CURLSH *share;
    acme_handles_t handles;
    acme_watches_t *watches;
    acme_transport_guard_fn_t *guard;
    void *guard_baton;
    call_t *calls;
    int busy;
};

static acme_err_t *local_error(acme_transport_t *transport, const char *reason)
{
    apr_pool_clear(transport->err_pool);
    return acme_err_make(transport->err_pool, ACME_E_TRANSPORT, reason, NULL);
}

void acme_transport_global_init(void)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
}

/* --- what comes in ---------------------------------------------------------- */

static size_t on_body(char *data, size_t size, size_t count, void *baton)
{
    call_t *call = baton;
    apr_size_t len = size * count;
    apr_size_t have = call->reply.len;

    if (len > call->max_body - have) {
        call->too_big = "body";
        return 0;
    }
    if (have + len + 1 > call->capacity) {
        apr_size_t capacity = call->capacity ? call->capacity : FIRST_BUFFER;
        while (capacity < have + len + 1) {
            capacity *= 2;
        }
        char *body = apr_palloc(call->pool, capacity);
        if (have) {
            memcpy(body, call->body, have);
        }
        call->body = body;
        call->capacity = capacity;
    }
    memcpy(call->body + have, data, len);
    call->reply.len = have + len;
    call->body[call->reply.len] = '\0';
    return len;
}

static void take_header(call_t *call, const char *line, apr_size_t name_len,
                        const char *value)
{
    static const struct {
        const char *name;
        apr_size_t offset;
    } KEPT[] = {
        { "content-type", offsetof(acme_reply_t, content_type) },
        { "location", offsetof(acme_reply_t, location) },
        { "replay-nonce", offsetof(acme_reply_t, nonce) },
        { "retry-after", offsetof(acme_reply_t, retry_after) },
    };

    if (name_len == 4 && !strncasecmp(line, "link", 4)) {
        if (call->reply.links->nelts < MAX_LINKS) {
            APR_ARRAY_PUSH(call->reply.links, const char *) = value;
        }
        return;
    }
    for (apr_size_t i = 0; i < sizeof(KEPT) / sizeof(KEPT[0]); i++) {
        if (strlen(KEPT[i].name) == name_len
            && !strncasecmp(line, KEPT[i].name, name_len)) {
            const char **member =
                (void *)((char *)&call->reply + KEPT[i].offset);
            *member = value;
        }
    }
}

/* An interim answer (100, 103) has headers of its own, which mean nothing. */
static void forget_headers(call_t *call)
{
    call->reply.content_type = call->reply.location = NULL;
    call->reply.nonce = call->reply.retry_after = NULL;
    apr_array_clear(call->reply.links);
}

static size_t on_header(char *data, size_t size, size_t count, void *baton)
{
    call_t *call = baton;
    apr_size_t len = size * count;

    call->header_octets += len;
    if (call->header_octets > MAX_HEADER_OCTETS) {
        call->too_big = "headers";
        return 0;
    }
    if (call->reply.len) { /* a trailer */
        return len;
    }
    if (len > 5 && !memcmp(data, "HTTP/", 5)) {
        forget_headers(call);
        return len;
    }
    const char *colon = memchr(data, ':', len);
    if (!colon) {
        return len;
    }
    const char *value = colon + 1, *end = data + len;
    while (value < end && (*value == ' ' || *value == '\t')) {
        value++;
    }
    while (end > value && memchr(" \t\r\n", end[-1], 4)) {
        end--;
    }
    apr_size_t value_len = (apr_size_t)(end - value);
    /* A longer one is of no use cut off, nor one with octets that none may have
     * (RFC 9110 section 5.5); without a nonce the next is fetched. */
    if (value_len <= MAX_HEADER_VALUE && !memchr(value, '\0', value_len)
        && !memchr(value, '\r', value_len) && !memchr(value, '\n', value_len)) {
        take_header(call, data, (apr_size_t)(colon - data),
                    apr_pstrmemdup(call->pool, value, value_len));
    }
    return len;
}

/* --- life ------------------------------------------------------------------- */

static void call_unlink(call_t *call)
{
    acme_transport_t *transport = call->transport;
    if (call->prev) {
        call->prev->next = call->next;
    }
    else {
        transport->calls = call->next;
    }
    if (call->next) {
        call->next->prev = call->prev;
    }
    transport->busy--;
    curl_multi_remove_handle(transport->multi, call->handle->curl);
    curl_slist_free_all(call->headers);
    call->headers = NULL;
}

static apr_status_t transport_cleanup(void *data)
{
    acme_transport_t *transport = data;
    while (transport->calls) {
        call_t *call = transport->calls;
        call_unlink(call);
        acme_handle_free(call->handle);
    }
    acme_handles_end(&transport->handles);
    curl_multi_cleanup(transport->multi);
    curl_share_cleanup(transport->share);
    return APR_SUCCESS;
}

static const char *make_user_agent(const char *version, apr_pool_t *pool)
{
    const curl_version_info_data *info = curl_version_info(CURLVERSION_NOW);
    return apr_pstrcat(pool, "mod_acme/", version, " libcurl/", info->version,
                       info->ssl_version ? " " : "", info->ssl_version, NULL);
}

acme_err_t *acme_transport_create(acme_transport_t **result,
                                  const char *version, apr_pool_t *pool)
{
    const curl_version_info_data *info = curl_version_info(CURLVERSION_NOW);
    acme_transport_t *transport = apr_pcalloc(pool, sizeof(*transport));
    transport->pool = pool;
    apr_pool_create(&transport->err_pool, pool);
    transport->watches = acme_watches_create(pool);
    transport->multi = curl_multi_init();
    transport->share = curl_share_init();
    if (!transport->multi || !transport->share) {
        curl_multi_cleanup(transport->multi);
        curl_share_cleanup(transport->share);
        return acme_err_make(pool, ACME_E_TRANSPORT, "libcurl does not start",
                             NULL);
    }
    /* After the pools of calls under way are gone nothing of them may be
     * touched, so before they are. */
    apr_pool_pre_cleanup_register(pool, transport, transport_cleanup);

    CURLM *multi = transport->multi;
    curl_multi_setopt(multi, CURLMOPT_PIPELINING, (long)CURLPIPE_MULTIPLEX);
    curl_multi_setopt(multi, CURLMOPT_MAX_HOST_CONNECTIONS, HOST_CONNECTIONS);
    curl_multi_setopt(multi, CURLMOPT_MAX_CONCURRENT_STREAMS, MAX_STREAMS);
    /* One thread: no locks needed. A new connection resumes the old session. */
    curl_share_setopt(transport->share, CURLSHOPT_SHARE,
                      CURL_LOCK_DATA_SSL_SESSION);
    transport->handles.user_agent = make_user_agent(version, pool);
    transport->handles.system_trust = info->cainfo;
    transport->handles.share = transport->share;
    transport->handles.on_body = on_body;
    transport->handles.on_header = on_header;
    *result = transport;
    return NULL;
}

/* --- sending ---------------------------------------------------------------- */

static int add_header(call_t *call, const char *name, const char *value)
{
    const char *line = apr_pstrcat(call->pool, name, ": ", value, NULL);
    struct curl_slist *list = curl_slist_append(call->headers, line);
    if (list) {
        call->headers = list;
    }
    return list != NULL;
}

static int call_headers(call_t *call, const acme_wire_t *wire)
{
    return add_header(call, "Accept",
                      wire->accept ? wire->accept : "application/json")
           && add_header(call, "Accept-Language", "en")
           && (!wire->content_type
               || add_header(call, "Content-Type", wire->content_type));
}

/* @return 0: no memory */
static int call_setup(call_t *call, const acme_wire_t *wire)
{
    CURL *curl = call->handle->curl;
    curl_easy_setopt(curl, CURLOPT_PRIVATE, &call->transfer);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, call);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, call);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, call->error);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, call->headers);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT,
                     call->plain ? PLAIN_TIMEOUT : TOTAL_TIMEOUT);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME,
                     (long)(call->ca.patience ? call->ca.patience
                                              : ACME_TRANSPORT_PATIENCE));
    /* Each of these sets the method too: the last one counts. */
    curl_easy_setopt(curl, CURLOPT_HTTPGET, 1L);
    if (wire->method == ACME_METHOD_HEAD) {
        curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
    }
    else if (wire->method == ACME_METHOD_POST) {
        curl_easy_setopt(curl, CURLOPT_POST, 1L);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, (long)call->wire_len);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, call->wire_body);
    }
    return acme_handle_set_text(curl, CURLOPT_URL, call->url)
           && acme_handle_set_text(curl, CURLOPT_PROTOCOLS_STR,
                                   call->plain ? "http" : "https");
}

static void on_call_ended(acme_transfer_t *transfer, CURLcode code);

static acme_err_t *call_start(call_t *call, const acme_wire_t *wire)
{
    acme_transport_t *transport = call->transport;
    CURLMcode rc = CURLM_OUT_OF_MEMORY;

    call->handle = acme_handle_take(&transport->handles, &call->ca);
    if (call->handle && call_headers(call, wire) && call_setup(call, wire)) {
        call->transfer.curl = call->handle->curl;
        call->transfer.ended = on_call_ended;
        rc = curl_multi_add_handle(transport->multi, call->handle->curl);
    }
    if (rc != CURLM_OK) {
        curl_slist_free_all(call->headers);
        if (call->handle) {
            acme_handle_free(call->handle);
        }
        return local_error(transport, curl_multi_strerror(rc));
    }
    return NULL;
}

acme_err_t *acme_transport_send(acme_transport_t *transport,
                                const acme_transport_ca_t *ca,
                                const acme_wire_t *wire,
                                acme_transport_done_fn_t *done, void *baton)
{
    apr_pool_t *pool;
    if (apr_pool_create(&pool, transport->pool) != APR_SUCCESS) {
        return local_error(transport, "no memory");
    }
    call_t *call = apr_pcalloc(pool, sizeof(*call));
    call->transport = transport;
    call->pool = pool;
    call->url = apr_pstrdup(pool, wire->url);
    call->ca.trust_file = apr_pstrdup(pool, ca->trust_file);
    call->ca.proxy = ca->proxy;
    call->ca.patience = ca->patience;
    call->wire_len = wire->body_len ? wire->body_len
                     : wire->body   ? strlen(wire->body)
                                    : 0;
    call->wire_body =
        apr_pstrmemdup(pool, wire->body ? wire->body : "", call->wire_len);
    call->plain = wire->plain;
    call->max_body = wire->max_body;
    call->done = done;
    call->baton = baton;
    call->reply.body = "";
    call->reply.links = apr_array_make(pool, 2, sizeof(const char *));

    acme_err_t *err = call_start(call, wire);
    if (err) {
        apr_pool_destroy(pool);
        return err;
    }
    call->next = transport->calls;
    if (call->next) {
        call->next->prev = call;
    }
    transport->calls = call;
    transport->busy++;
    return NULL;
}

/* --- what became of it ------------------------------------------------------ */

static acme_msg_t msg_of(CURLcode code)
{
    static const struct {
        CURLcode code;
        acme_msg_t msg;
    } MAP[] = {
        { CURLE_OPERATION_TIMEDOUT, ACME_E_CA_TIMEOUT },
        { CURLE_SSL_CONNECT_ERROR, ACME_E_CA_TLS },
        { CURLE_PEER_FAILED_VERIFICATION, ACME_E_CA_TLS },
        { CURLE_SSL_CERTPROBLEM, ACME_E_CA_TLS },
        { CURLE_SSL_CIPHER, ACME_E_CA_TLS },
        { CURLE_SSL_ISSUER_ERROR, ACME_E_CA_TLS },
        { CURLE_SSL_INVALIDCERTSTATUS, ACME_E_CA_TLS },
        { CURLE_SSL_CACERT_BADFILE, ACME_E_CA_TRUST_FILE },
        { CURLE_FILESIZE_EXCEEDED, ACME_E_CA_TOO_BIG },
#if LIBCURL_VERSION_NUM >= 0x080600
        { CURLE_TOO_LARGE, ACME_E_CA_TOO_BIG },
#endif
        { CURLE_OUT_OF_MEMORY, ACME_E_TRANSPORT },
        { CURLE_FAILED_INIT, ACME_E_TRANSPORT },
    };
    for (apr_size_t i = 0; i < sizeof(MAP) / sizeof(MAP[0]); i++) {
        if (MAP[i].code == code) {
            return MAP[i].msg;
        }
    }
    return ACME_E_CA_UNREACHABLE;
}

/* Whether it was the proxy: nothing could be sent to the CA yet, and no tunnel to
 * it was opened. */
static int is_proxys_failure(const call_t *call, CURLcode code)
{
    CURL *curl = call->handle->curl;
    curl_off_t sending = 0; /* began after so many microseconds */
    long answer = 0;

    if (code == CURLE_OK || !call->ca.proxy) {
        return 0;
    }
    if (code == CURLE_COULDNT_RESOLVE_PROXY || code == CURLE_PROXY) {
        return 1;
    }
    curl_easy_getinfo(curl, CURLINFO_PRETRANSFER_TIME_T, &sending);
    curl_easy_getinfo(curl, CURLINFO_HTTP_CONNECTCODE, &answer);
    return !sending && (answer < 200 || answer > 299);
}

static acme_err_t *failure_of(call_t *call, CURLcode code)
{
    const char *reason =
        call->error[0] ? call->error : curl_easy_strerror(code);
    if (call->too_big) {
        reason = apr_psprintf(call->pool, "%s over its limit", call->too_big);
        return acme_err_make(call->pool, ACME_E_CA_TOO_BIG, call->url, reason,
                             NULL);
    }
    acme_msg_t msg = msg_of(code);
    if (msg == ACME_E_TRANSPORT) {
        return acme_err_make(call->pool, msg, reason, NULL);
    }
    if (call->by_proxy && msg == ACME_E_CA_TRUST_FILE) {
        const char *file = call->ca.proxy->trust_file
                               ? call->ca.proxy->trust_file
                               : call->transport->handles.system_trust;
        return acme_err_make(call->pool, ACME_E_PROXY_TRUST_FILE,
                             file ? file : "of the system", call->ca.proxy->url,
                             reason, NULL);
    }
    if (call->by_proxy) {
        return acme_err_make(call->pool, ACME_E_PROXY, call->url,
                             call->ca.proxy->url, reason, NULL);
    }
    if (msg == ACME_E_CA_TRUST_FILE) {
        const char *file = call->ca.trust_file
                               ? call->ca.trust_file
                               : call->transport->handles.system_trust;
        return acme_err_make(call->pool, msg, file ? file : "of the system",
                             reason, NULL);
    }
    return acme_err_make(call->pool, msg, call->url, reason, NULL);
}

static void on_call_ended(acme_transfer_t *transfer, CURLcode code)
{
    call_t *call = (call_t *)(void *)transfer; /* its first member */
    long status = 0;
    curl_easy_getinfo(call->handle->curl, CURLINFO_RESPONSE_CODE, &status);
    call->by_proxy = is_proxys_failure(call, code);
    call_unlink(call);
    acme_handle_give(&call->transport->handles, call->handle);

    if (code == CURLE_OK && (status < 100 || status > 599)) {
        code = CURLE_WEIRD_SERVER_REPLY;
    }
    /* What libcurl says of a header line without end, before 8.6. */
    if (code == CURLE_OUT_OF_MEMORY && call->header_octets) {
        call->too_big = "headers";
    }
    if (code != CURLE_OK) {
        acme_err_t *failure = failure_of(call, code);
        memset(&call->reply, 0, sizeof(call->reply));
        call->reply.failure = failure;
        call->reply.body = "";
        call->reply.links = apr_array_make(call->pool, 0, sizeof(const char *));
    }
    else {
        call->reply.status = (int)status;
        if (call->body) {
            call->reply.body = call->body;
        }
    }
    call->done(call->baton, &call->reply);
    apr_pool_destroy(call->pool);
}

/* --- other transfers -------------------------------------------------------- */

int acme_transport_join(acme_transport_t *transport, acme_transfer_t *transfer)
{
    curl_easy_setopt(transfer->curl, CURLOPT_PRIVATE, transfer);
    return curl_multi_add_handle(transport->multi, transfer->curl) == CURLM_OK;
}

void acme_transport_part(acme_transport_t *transport, acme_transfer_t *transfer)
{
    curl_multi_remove_handle(transport->multi, transfer->curl);
}

void acme_transport_guard(acme_transport_t *transport,
                          acme_transport_guard_fn_t *guard, void *baton)
{
    transport->guard = guard;
    transport->guard_baton = baton;
}

/* --- the poll ----------------------------------------------------------------- */

acme_err_t *acme_transport_poll(acme_transport_t *transport,
                                apr_interval_time_t timeout)
{
    int ms = timeout < 0 ? 0 : (int)((timeout + 999) / 1000);
    int running, left;
    CURLMsg *msg;

    CURLMcode rc = acme_watches_poll(transport->watches, transport->multi, ms);
    if (rc == CURLM_OK && transport->guard) {
        ACME_TRY(transport->guard(transport->guard_baton));
    }
    if (rc == CURLM_OK) {
        rc = curl_multi_perform(transport->multi, &running);
    }
    if (rc != CURLM_OK) {
        return local_error(transport, curl_multi_strerror(rc));
    }
    while ((msg = curl_multi_info_read(transport->multi, &left))) {
        acme_transfer_t *transfer = NULL;
        CURLcode code = msg->data.result;
        if (msg->msg == CURLMSG_DONE
            && curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE,
                                 (char **)&transfer)
                   == CURLE_OK) {
            curl_multi_remove_handle(transport->multi, transfer->curl);
            transfer->ended(transfer, code);
        }
    }
    acme_watches_tell(transport->watches);
    return NULL;
}

acme_watches_t *acme_transport_watches(const acme_transport_t *transport)
{
    return transport->watches;
}

void acme_transport_wakeup(acme_transport_t *transport)
{
    curl_multi_wakeup(transport->multi);
}

int acme_transport_busy(const acme_transport_t *transport)
{
    return transport->busy;
}
