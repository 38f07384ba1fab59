/**
 * What the files of the start share. Nobody else includes this.
 */
#ifndef ACME_START_IMPL_H
#define ACME_START_IMPL_H

#include <apr_hash.h>

#include "engine/store.h"
#include "httpd/installed.h"
#include "httpd/live.h"
#include "httpd/managed.h"
#include "httpd/start.h"
#include "httpd/tls.h"

/* One pass of post_config. */
typedef struct start_t {
    int real; /* not the first of httpd's two passes */
    acme_plan_t *plan;
    acme_store_t *store;  /* NULL: it could not be opened */
    acme_sights_t *seen;  /* as long as the process */
    int unusable;         /* or only to look up what is promoted */
    acme_err_t *refusal;  /* of the store, with unusable; from pconf */
    apr_hash_t *served;   /* certificate's name -> served_t */
    apr_hash_t *recalled; /* acme_uses_recall; as long as post_config */
    acme_installed_t *installed;
    apr_pool_t *pconf;
    apr_pool_t *scratch; /* cleared for each host */
    apr_time_t now;
    apr_uint64_t cpu; /* microseconds spent in our hooks */
    int hosts;
} start_t;

/* What a certificate's hosts are given; found once a pass. */
typedef struct served_t {
    apr_array_header_t *chains, *keys; /* const char *: paths */
    int base[ACME_FAMILIES];
    const char *serials[ACME_FAMILIES]; /* of those */
    int must_staple;                    /* one of them demands it */
    int unpromoted[ACME_FAMILIES];      /* a newer set is in fresh/ still */
    acme_live_t *live;
} served_t;

/** The live table with a slot for each certificate, which says what is served, and
 *  OCSP responses of earlier where they are wanted. NULL: no memory, and told. */
acme_live_table_t *acme_start_fill_table(start_t *start, server_rec *s,
                                         const apr_array_header_t *managed);

#endif
