#include "engine/probe.h"

#include <apr_strings.h>
#include <curl/curl.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PREFIX        "/.well-known/acme-challenge/"
#define MAX_BODY      8192
#define MAX_HEADERS   64
#define MAX_HEADER    512
#define MAX_REDIRECTS 3

struct acme_probe_t {
    acme_transfer_t transfer; /* first: see of() */
    acme_transport_t *transport;
    apr_pool_t *pool;
    acme_sight_t *sight;
    acme_probe_done_fn_t *done;
    void *baton;
    const char *host; /* as in the address: an IPv6 one in brackets */
    const char *path;
    const char *expected;
    struct curl_slist *connect_to;
    const char *at; /* address to connect to, in brackets if IPv6 */
    int port, tls_port;
    apr_time_t until;
    int redirects;
    int joined;
    apr_array_header_t *headers; /* of the answer that is coming */
    char body[MAX_BODY + 1];
    apr_size_t len;
};

static acme_probe_t *of(acme_transfer_t *transfer)
{
    return (acme_probe_t *)(void *)transfer;
}

/* --- what comes in ------------------------------------------------------------------ */

static size_t on_body(char *data, size_t size, size_t count, void *baton)
{
    acme_probe_t *probe = baton;
    apr_size_t len = size * count, room = MAX_BODY - probe->len;

    memcpy(probe->body + probe->len, data, len < room ? len : room);
    probe->len += len < room ? len : room;
    return len <= room ? len : 0; /* that is enough: the transfer ends */
}

static size_t on_header(char *data, size_t size, size_t count, void *baton)
{
    acme_probe_t *probe = baton;
    apr_size_t len = size * count, kept = len;

    if (len > 5 && !memcmp(data, "HTTP/", 5)) {
        apr_array_clear(probe->headers);
        return len;
    }
    while (kept && memchr(" \t\r\n", data[kept - 1], 4)) {
        kept--;
    }
    if (kept && probe->headers->nelts < MAX_HEADERS && !probe->len) {
        APR_ARRAY_PUSH(probe->headers, const char *) = apr_pstrmemdup(
            probe->pool, data, kept < MAX_HEADER ? kept : MAX_HEADER);
    }
    return len;
}

/* --- asking ------------------------------------------------------------------------- */

static long left(const acme_probe_t *probe)
{
    apr_interval_time_t time = probe->until - apr_time_now();

    return time > 0 ? (long)apr_time_as_msec(time) + 1 : 1;
}

static int ask(acme_probe_t *probe, const char *scheme)
{
    CURL *curl = probe->transfer.curl;
    int tls = !strcmp(scheme, "https");
    struct curl_slist *where = curl_slist_append(
        NULL, apr_psprintf(probe->pool, "::%s:%d", probe->at,
                           tls ? probe->tls_port : probe->port));

    curl_slist_free_all(probe->connect_to);
    probe->connect_to = where;
    probe->headers = apr_array_make(probe->pool, 16, sizeof(const char *));
    probe->len = 0;
    curl_easy_setopt(curl, CURLOPT_CONNECT_TO, where);
    curl_easy_setopt(curl, CURLOPT_URL,
                     apr_pstrcat(probe->pool, scheme, "://", probe->host,
                                 probe->path, NULL));
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, left(probe));
    probe->joined =
        where && acme_transport_join(probe->transport, &probe->transfer);
    return probe->joined;
}

static void set_up(acme_probe_t *probe, const char *user_agent)
{
    CURL *curl = probe->transfer.curl;

    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_QUICK_EXIT, 1L);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(curl, CURLOPT_PROXY, ""); /* nor one of the environment */
    curl_easy_setopt(curl, CURLOPT_FRESH_CONNECT, 1L);
    curl_easy_setopt(curl, CURLOPT_FORBID_REUSE, 1L);
    /* A CA follows a redirect to any certificate. */
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 0L);
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 0L);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, user_agent);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, probe);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, probe);
}

/* --- what became of it ---------------------------------------------------------------- */

static acme_saw_t saw_of_errno(long number)
{
    switch (number) {
    case ECONNREFUSED:
        return ACME_SAW_REFUSED;
    case ECONNRESET:
    case EPIPE:
        return ACME_SAW_CLOSED;
    case ETIMEDOUT:
        return ACME_SAW_TIMEOUT;
    default:
        return ACME_SAW_UNREACHABLE;
    }
}

static acme_saw_t saw_of(const acme_probe_t *probe, CURLcode code)
{
    CURL *curl = probe->transfer.curl;
    curl_off_t connected = 0;
    long number = 0;

    curl_easy_getinfo(curl, CURLINFO_CONNECT_TIME_T, &connected);
    curl_easy_getinfo(curl, CURLINFO_OS_ERRNO, &number);
    if (code == CURLE_OPERATION_TIMEDOUT) {
        return connected ? ACME_SAW_SILENT : ACME_SAW_TIMEOUT;
    }
    if (code == CURLE_COULDNT_CONNECT) {
        return saw_of_errno(number);
    }
    return code == CURLE_GOT_NOTHING || code == CURLE_RECV_ERROR
                   || code == CURLE_SEND_ERROR
               ? ACME_SAW_CLOSED
               : ACME_SAW_GARBAGE;
}

static int is_ours(const acme_probe_t *probe, long status)
{
    apr_size_t len = probe->expected ? strlen(probe->expected) : 0;
    apr_size_t have = probe->len;

    while (have && memchr(" \t\r\n", probe->body[have - 1], 4)) {
        have--; /* RFC 8555 section 8.3 */
    }
    return len && status == 200 && have == len
           && !memcmp(probe->body, probe->expected, len);
}

/* Whether a redirect leads to the same name and path at port 80 or 443: only there
 * can it end at this server's token. @return the scheme, from pool; or NULL */
static const char *same_place(const acme_probe_t *probe, const char *url)
{
    CURLU *parsed = curl_url();
    char *scheme = NULL, *host = NULL, *path = NULL, *port = NULL;
    const char *result = NULL;

    if (parsed && url && !curl_url_set(parsed, CURLUPART_URL, url, 0)
        && !curl_url_get(parsed, CURLUPART_SCHEME, &scheme, 0)
        && !curl_url_get(parsed, CURLUPART_HOST, &host, 0)
        && !curl_url_get(parsed, CURLUPART_PATH, &path, 0)
        && !strcasecmp(host, probe->host) && !strcmp(path, probe->path)) {
        int tls = !strcmp(scheme, "https");
        curl_url_get(parsed, CURLUPART_PORT, &port, 0);
        if (!port || !strcmp(port, tls ? "443" : "80")) {
            result = tls ? "https" : "http";
        }
    }
    curl_free(scheme);
    curl_free(host);
    curl_free(path);
    curl_free(port);
    curl_url_cleanup(parsed);
    return result;
}

static void keep_answer(acme_probe_t *probe, long status)
{
    acme_sight_t *sight = probe->sight;

    sight->stranger.status = (int)status;
    sight->stranger.headers = probe->headers;
    sight->stranger.body = apr_pstrmemdup(probe->pool, probe->body, probe->len);
}

/* @return 1: a redirect is being followed */
static int follow(acme_probe_t *probe, long status)
{
    const char *location, *scheme;
    char *url = NULL;

    if (status < 300 || status > 399) {
        return 0;
    }
    const acme_stranger_t answer = { (int)status, probe->headers, "" };
    location = acme_culprit_header(&answer, "location");
    if (!probe->redirects) {
        probe->sight->location = location;
    }
    curl_easy_getinfo(probe->transfer.curl, CURLINFO_REDIRECT_URL, &url);
    scheme = location ? same_place(probe, url) : NULL;
    if (!scheme || probe->redirects >= MAX_REDIRECTS) {
        return 0;
    }
    probe->redirects++;
    return ask(probe, scheme);
}

static void on_ended(acme_transfer_t *transfer, CURLcode code)
{
    acme_probe_t *probe = of(transfer);
    acme_sight_t *sight = probe->sight;
    long status = 0;

    probe->joined = 0;
    curl_easy_getinfo(transfer->curl, CURLINFO_RESPONSE_CODE, &status);
    probe->body[probe->len] = '\0';
    if (status && !probe->redirects) {
        keep_answer(probe, status);
    }
    if (status && follow(probe, status)) {
        return;
    }
    sight->followed = probe->redirects > 0;
    /* An answer that breaks off, or is longer than wanted, is an answer. */
    sight->saw = !status                  ? saw_of(probe, code)
                 : is_ours(probe, status) ? ACME_SAW_OURS
                                          : ACME_SAW_OTHER;
    probe->done(probe->baton, sight);
}

/* --- life --------------------------------------------------------------------------------- */

static const char *bracketed(const char *text, int v6, apr_pool_t *pool)
{
    return v6 ? apr_pstrcat(pool, "[", text, "]", NULL)
              : apr_pstrdup(pool, text);
}

acme_probe_t *acme_probe_begin(acme_transport_t *transport,
                               const acme_probe_question_t *question,
                               acme_sight_t *sight, acme_probe_done_fn_t *done,
                               void *baton, apr_pool_t *pool)
{
    acme_probe_t *probe = apr_pcalloc(pool, sizeof(*probe));
    const char *name = question->ident->value;

    probe->transport = transport;
    probe->pool = pool;
    probe->sight = sight;
    probe->done = done;
    probe->baton = baton;
    probe->host = bracketed(name, strchr(name, ':') != NULL, pool);
    probe->at = bracketed(question->address, question->v6, pool);
    probe->path = apr_pstrcat(pool, PREFIX, question->token, NULL);
    probe->expected = apr_pstrdup(pool, question->expected);
    probe->port = question->port;
    probe->tls_port = question->tls_port;
    probe->until = apr_time_now() + question->patience;
    probe->transfer.ended = on_ended;
    probe->transfer.curl = curl_easy_init();
    if (!probe->transfer.curl) {
        return NULL;
    }
    set_up(probe, question->user_agent);
    if (!ask(probe, "http")) {
        acme_probe_end(probe);
        return NULL;
    }
    return probe;
}

void acme_probe_end(acme_probe_t *probe)
{
    if (!probe->transfer.curl) {
        return;
    }
    if (probe->joined) {
        acme_transport_part(probe->transport, &probe->transfer);
    }
    curl_easy_cleanup(probe->transfer.curl);
    curl_slist_free_all(probe->connect_to);
    probe->transfer.curl = NULL;
    probe->connect_to = NULL;
}
