/**
 * What is remembered of an issued certificate beside its chain and key:
 * record.json, readable by everybody, written once with the set it belongs to.
 */
#ifndef ACME_RECORD_H
#define ACME_RECORD_H

#include <apr_tables.h>
#include <apr_time.h>

#include "core/cert.h"
#include "core/err.h"
#include "core/key.h"

/** Where a record was read; not in the file. */
typedef enum acme_record_from_t {
    ACME_RECORD_FRESH,      /* issued, not promoted yet */
    ACME_RECORD_IN_SERVICE, /* promoted */
    ACME_RECORD_INSTEAD, /* older, used since the one in service is damaged */
} acme_record_from_t;

/** The TXT record of dns-persist-01 that ends first. Zeroed: none does. */
typedef struct acme_ending_t {
    const char *name;
    apr_time_t until; /* 0: none */
    apr_time_t told;  /* last; 0: not yet. Not in the file */
} acme_ending_t;

typedef struct acme_record_t {
    const char *name; /* the certificate's identity */
    acme_key_type_t key_type;
    int number;                 /* set number: 1.., grows with every issue */
    const char *ca_url;         /* directory it came from; NULL: not known */
    const char *account_url;    /* kid that ordered it */
    const char *profile;        /* as asked for, or NULL */
    apr_array_header_t *idents; /* acme_ident_t * */
    apr_time_t not_before, not_after, issued;
    const char *serial, *issuer, *fingerprint;
    const char *ari_id;     /* or NULL */
    const char *ocsp;       /* URL of its OCSP responder, or NULL */
    const char *proved_by;  /* what control was proved by, where it is not what
                               was preferred: a kind of proof, for all names; or
                               one for each of idents, "-" for none; or NULL */
    acme_ending_t ending;   /* of what it was proved by */
    const char *challenges; /* acme_policy_challenges as it was then; NULL with
                               proved_by */
    int must_staple;        /* it may be served with an OCSP response only */
    const char *tlsa;       /* as in acme_cert_info_t, or NULL */
    const char *files;      /* of a promoted set: digest of its files, as
                                acme_store_digest gives it; or NULL */
    acme_record_from_t from;
} acme_record_t;

/** Fill a record's certificate fields (dates ... ari_id, idents) from a leaf. */
acme_err_t *acme_record_describe(acme_record_t *record, X509 *leaf,
                                 apr_pool_t *pool) ACME_MUST_CHECK;

/** When a set that was issued may serve, so long after its issue (AcmeActivateDelay).
 *  What was issued by a clock that is back by now is as old as its certificate. */
apr_time_t acme_record_ready(const acme_record_t *record,
                             apr_interval_time_t delay, apr_time_t now);

acme_err_t *acme_record_format(const char **json, const acme_record_t *record,
                               apr_pool_t *pool) ACME_MUST_CHECK;
/** @return E_STORE_DAMAGED naming what, E_MEMORY */
acme_err_t *acme_record_parse(acme_record_t **record, const char *json,
                              apr_size_t len, const char *what,
                              apr_pool_t *pool) ACME_MUST_CHECK;

#endif
