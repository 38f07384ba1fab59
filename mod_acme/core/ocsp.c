#include "core/ocsp.h"

#include <apr_strings.h>
#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <openssl/x509v3.h>
#include <string.h>

#include "core/cert.h"
#include "core/encode.h"

#define MAX_SKEW       apr_time_from_sec(5 * 60)
#define WITHOUT_END    apr_time_from_sec(24 * 60 * 60)
#define MAX_CERTS      8  /* that a response brings along */
#define MAX_RESPONSES  32 /* about other certificates, in one answer */
#define MAX_URLS       16
#define STATUS_REQUEST 5 /* TLS extension number, RFC 6066 */

static acme_err_t *unusable(const char *why, apr_pool_t *pool)
{
    ERR_clear_error();
    return acme_err_make(pool, ACME_E_OCSP, why, NULL);
}

/* --- what a certificate says ------------------------------------------------- */

static const char *url_of(const ACCESS_DESCRIPTION *access, apr_pool_t *pool)
{
    const ASN1_IA5STRING *uri;
    const char *url;

    if (OBJ_obj2nid(access->method) != NID_ad_OCSP
        || access->location->type != GEN_URI) {
        return NULL;
    }
    uri = access->location->d.uniformResourceIdentifier;
    if (memchr(ASN1_STRING_get0_data(uri), '\0',
               (size_t)ASN1_STRING_length(uri))) {
        return NULL;
    }
    url = apr_pstrmemdup(pool, (const char *)ASN1_STRING_get0_data(uri),
                         (apr_size_t)ASN1_STRING_length(uri));
    return acme_url_valid_as(url, "http://") ? url : NULL;
}

const char *acme_ocsp_responder(X509 *cert, int nth, apr_pool_t *pool)
{
    AUTHORITY_INFO_ACCESS *infos =
        X509_get_ext_d2i(cert, NID_info_access, NULL, NULL);
    const char *urls[MAX_URLS];
    int count = 0, i;

    for (i = 0; i < sk_ACCESS_DESCRIPTION_num(infos) && i < MAX_URLS; i++) {
        const char *url = url_of(sk_ACCESS_DESCRIPTION_value(infos, i), pool);

        if (url) {
            urls[count++] = url;
        }
    }
    AUTHORITY_INFO_ACCESS_free(infos);
    ERR_clear_error();
    return count ? urls[nth % count] : NULL;
}

int acme_ocsp_must_staple(const X509 *cert)
{
    TLS_FEATURE *features = X509_get_ext_d2i(cert, NID_tlsfeature, NULL, NULL);
    int i, found = 0;

    for (i = 0; i < sk_ASN1_INTEGER_num(features); i++) {
        found |= ASN1_INTEGER_get(sk_ASN1_INTEGER_value(features, i))
                 == STATUS_REQUEST;
    }
    TLS_FEATURE_free(features);
    ERR_clear_error();
    return found;
}

/* --- asking -------------------------------------------------------------------- */

acme_err_t *acme_ocsp_request(const unsigned char **der, apr_size_t *len,
                              X509 *cert, X509 *issuer, apr_pool_t *pool)
{
    OCSP_CERTID *id = OCSP_cert_to_id(EVP_sha1(), cert, issuer);
    OCSP_REQUEST *request = OCSP_REQUEST_new();
    unsigned char *data = NULL;
    int size = -1;

    if (id && request && OCSP_request_add0_id(request, id)) {
        id = NULL; /* the request's now */
        size = i2d_OCSP_REQUEST(request, &data);
    }
    if (size > 0) {
        *der = apr_pmemdup(pool, data, (apr_size_t)size);
        *len = (apr_size_t)size;
    }
    OPENSSL_free(data);
    OCSP_CERTID_free(id);
    OCSP_REQUEST_free(request);
    return size > 0 ? NULL : unusable("no request can be made", pool);
}

/* --- judging the answer -------------------------------------------------------- */

static OCSP_RESPONSE *parse(const unsigned char *der, apr_size_t len)
{
    const unsigned char *end = der;
    OCSP_RESPONSE *response = NULL;

    if (len > 0 && len <= ACME_MAX_OCSP) {
        response = d2i_OCSP_RESPONSE(NULL, &end, (long)len);
    }
    if (response && end != der + len) {
        OCSP_RESPONSE_free(response);
        response = NULL;
    }
    return response;
}

/* Trust nobody but issuer, at this moment. */
static X509_STORE *trust_in(X509 *issuer, apr_time_t now)
{
    X509_STORE *store = X509_STORE_new();

    if (!store || !X509_STORE_add_cert(store, issuer)) {
        X509_STORE_free(store);
        return NULL;
    }
    X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN);
    X509_VERIFY_PARAM_set_time(X509_STORE_get0_param(store),
                               (time_t)apr_time_sec(now));
    return store;
}

static int is_signed(OCSP_BASICRESP *basic, X509 *issuer, apr_time_t now)
{
    X509_STORE *store = trust_in(issuer, now);
    STACK_OF(X509) *known = sk_X509_new_null();
    int good = store && known && sk_X509_push(known, issuer) > 0
               && sk_X509_num(OCSP_resp_get0_certs(basic)) <= MAX_CERTS
               && OCSP_resp_count(basic) <= MAX_RESPONSES
               && OCSP_basic_verify(basic, known, store, OCSP_NOEXPLICIT) == 1;

    sk_X509_free(known);
    X509_STORE_free(store);
    return good;
}

/* What an answer says of one certificate, as OpenSSL gives it. */
typedef struct single_t {
    int status, reason;
    ASN1_GENERALIZEDTIME *revoked_at, *this_update, *next_update;
} single_t;

static const char *find_single(single_t *single, OCSP_BASICRESP *basic,
                               X509 *cert, X509 *issuer)
{
    OCSP_CERTID *id = OCSP_cert_to_id(EVP_sha1(), cert, issuer);
    int found =
        id
        && OCSP_resp_find_status(basic, id, &single->status, &single->reason,
                                 &single->revoked_at, &single->this_update,
                                 &single->next_update);

    OCSP_CERTID_free(id);
    return found ? NULL : "it is about another certificate";
}

static const char *read_times(acme_ocsp_t *ocsp, const single_t *single,
                              apr_time_t now)
{
    if (!acme_cert_time(&ocsp->this_update, single->this_update)
        || (single->next_update
            && !acme_cert_time(&ocsp->until, single->next_update))) {
        return "its times are malformed";
    }
    if (!single->next_update) {
        ocsp->until = ocsp->this_update + WITHOUT_END;
    }
    if (ocsp->this_update > now + MAX_SKEW) {
        return "it is from the future; check this machine's clock";
    }
    if (ocsp->until <= now || ocsp->until <= ocsp->this_update) {
        return "it has expired";
    }
    return NULL;
}

static const char *read_status(acme_ocsp_t *ocsp, const single_t *single)
{
    if (single->status == V_OCSP_CERTSTATUS_GOOD) {
        return NULL;
    }
    if (single->status != V_OCSP_CERTSTATUS_REVOKED
        || !acme_cert_time(&ocsp->revoked_at, single->revoked_at)
        || (single->reason == OCSP_REVOKED_STATUS_CERTIFICATEHOLD
            && ocsp->revoked_at == 0)) {
        return "the responder does not know the certificate (yet)";
    }
    ocsp->revoked = 1;
    if (single->reason != OCSP_REVOKED_STATUS_NOSTATUS) {
        ocsp->reason = OCSP_crl_reason_str(single->reason);
    }
    return NULL;
}

static const char *judge(acme_ocsp_t *ocsp, OCSP_BASICRESP *basic, X509 *cert,
                         X509 *issuer, apr_time_t now)
{
    single_t single = { 0 };
    const char *fault = find_single(&single, basic, cert, issuer);

    if (!fault && !is_signed(basic, issuer, now)) {
        fault = "it is not signed by the certificate's CA, nor in its name";
    }
    if (!fault) {
        fault = read_times(ocsp, &single, now);
    }
    return fault ? fault : read_status(ocsp, &single);
}

acme_err_t *acme_ocsp_verify(acme_ocsp_t **result, const unsigned char *der,
                             apr_size_t len, X509 *cert, X509 *issuer,
                             apr_time_t now, apr_pool_t *pool)
{
    OCSP_RESPONSE *response = parse(der, len);
    acme_ocsp_t *ocsp = apr_pcalloc(pool, sizeof(*ocsp));
    OCSP_BASICRESP *basic = NULL;
    const char *fault = "it is no OCSP response";
    int status;

    if (response) {
        status = OCSP_response_status(response);
        basic = OCSP_response_get1_basic(response);
        if (status != OCSP_RESPONSE_STATUS_SUCCESSFUL) {
            fault = apr_psprintf(pool, "the responder says \"%s\"",
                                 OCSP_response_status_str(status));
        }
        else if (basic) {
            fault = judge(ocsp, basic, cert, issuer, now);
        }
    }
    OCSP_BASICRESP_free(basic);
    OCSP_RESPONSE_free(response);
    if (fault) {
        return unusable(fault, pool);
    }
    ERR_clear_error();
    *result = ocsp;
    return NULL;
}
