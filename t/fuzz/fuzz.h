/**
 * What all targets share. A target hands octets that anybody could have sent, or
 * written into the store, to what reads them, and looks at what comes out. There
 * is nothing to return: what must not be ends the process (FUZZ_MUST, a
 * sanitizer, the time limit).
 */
#ifndef ACME_FUZZ_H
#define ACME_FUZZ_H

#include <apr_pools.h>
#include <apr_strings.h>
#include <apr_tables.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"

/** @param data  len octets and a NUL, which does not count
 *  @param pool  of this input */
typedef void fuzz_target_fn_t(const char *data, apr_size_t len,
                              apr_pool_t *pool);

/** TARGET(name): function fuzz_name, in name.c, with its inputs in corpus/name. */
#define FUZZ_TARGETS(TARGET)                                                   \
    TARGET(chain)                                                              \
    TARGET(control)                                                            \
    TARGET(directives)                                                         \
    TARGET(dns)                                                                \
    TARGET(documents)                                                          \
    TARGET(errand)                                                             \
    TARGET(hello)                                                              \
    TARGET(http01)                                                             \
    TARGET(keys)                                                               \
    TARGET(migrate)                                                            \
    TARGET(names)                                                              \
    TARGET(ocsp)                                                               \
    TARGET(order)                                                              \
    TARGET(probe)                                                              \
    TARGET(reply)                                                              \
    TARGET(resource)                                                           \
    TARGET(sealed)                                                             \
    TARGET(secrets)                                                            \
    TARGET(store)                                                              \
    TARGET(stranger)                                                           \
    TARGET(times)                                                              \
    TARGET(transport)

#define FUZZ_DECLARE(name) fuzz_target_fn_t fuzz_##name;
FUZZ_TARGETS(FUZZ_DECLARE)

#define FUZZ_MUST(expr)                                                        \
    do {                                                                       \
        if (!(expr)) {                                                         \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #expr); \
            abort();                                                           \
        }                                                                      \
    } while (0)

/** What a failure amounts to: one line that can go to a log.
 *  @return whether err is none */
int fuzz_ok(const acme_err_t *err, apr_pool_t *pool);

/** The text up to the next separator, from *rest on, which moves behind it; NULL
 *  at the end. The input is cut up in place: pass a copy of it. */
char *fuzz_part(char **rest, char separator);

/** libcurl's, as curl_write_callback. */
typedef size_t fuzz_take_fn_t(char *data, size_t size, size_t count,
                              void *baton);
/** Hand octets on as libcurl does, in memory that ends where they do: without a NUL.
 *  @return how many were taken */
apr_size_t fuzz_give(fuzz_take_fn_t *take, const char *data, apr_size_t len,
                     void *baton);

/** A key that is the same in every run: inputs may hold what it has signed. Lives
 *  as long as the process. */
struct evp_pkey_st *fuzz_key(void);

/** A folder of this process, for files; removed at its end. */
const char *fuzz_folder(void);

#endif
