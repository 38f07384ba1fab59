/* What httpd does with the store at a start, without httpd: root opens it, brings
 * into service what is fresh, and chooses the files of each certificate.
 *
 *   start STORE NAME...
 *
 * A NAME may be several with commas between. Prints "serves NAME FAMILY NUMBER
 * CHAIN KEY" for each set in service and "placeholder NAME CHAIN KEY" where there
 * is none. Exit status 1 if a certificate has neither, or the store is not as it
 * should be. */
#include <apr_general.h>
#include <apr_strings.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../engine/warm.h"
#include "engine/store.h"

static apr_pool_t *pool;

static int complain(const acme_err_t *err)
{
    if (err) {
        printf("ACME%d %s\n", (int)err->msg, acme_err_line(err, pool));
    }
    return err != NULL;
}

static const apr_array_header_t *parse(const char *names)
{
    apr_array_header_t *idents =
        apr_array_make(pool, 2, sizeof(acme_ident_t *));
    char *last, *copy = apr_pstrdup(pool, names);

    for (char *name = apr_strtok(copy, ",", &last); name;
         name = apr_strtok(NULL, ",", &last)) {
        acme_ident_t *ident;
        if (!complain(acme_ident_parse(&ident, name, pool))) {
            APR_ARRAY_PUSH(idents, acme_ident_t *) = ident;
        }
    }
    return idents;
}

static int promote(acme_store_t *store, const char *dir, acme_family_t family,
                   const apr_array_header_t *idents)
{
    acme_promotion_t how = { idents, apr_time_now(), 0, 0 };
    acme_record_t *record = NULL;

    if (!acme_store_can_promote(store)) {
        return 0;
    }
    complain(acme_store_promote(&record, store, dir, family, &how, pool));
    if (record) {
        printf("promoted %s %s %d\n", dir, acme_family_name(family),
               record->number);
    }
    return record != NULL;
}

/* As httpd/start.c does it. @return whether there is a set */
static int serve(acme_store_t *store, const char *dir, acme_family_t family,
                 const apr_array_header_t *idents)
{
    acme_sights_t *seen = acme_sights_make(pool);
    acme_serving_t serving;
    const char *chain, *key;

    promote(store, dir, family, idents);
    if (complain(acme_store_serving(&serving, store, seen, dir, family,
                                    apr_time_now(), pool))
        && promote(store, dir, family, idents)) {
        complain(acme_store_serving(&serving, store, seen, dir, family,
                                    apr_time_now(), pool));
    }
    if (!serving.number) {
        return 0;
    }
    acme_store_current_files(&chain, &key, store, dir, family, serving.number,
                             pool);
    printf("serves %s %s %d %s %s\n", dir, acme_family_name(family),
           serving.number, chain, key);
    return 1;
}

/* @return 0 if only a placeholder in memory is left, as httpd makes one */
static int start(acme_store_t *store, const char *names, int usable)
{
    const apr_array_header_t *idents = parse(names);
    const char *dir = acme_ident_filename(
        APR_ARRAY_IDX(idents, 0, const acme_ident_t *), pool);
    const char *chain, *key;
    int found = 0;

    for (int family = 0; family < ACME_FAMILIES; family++) {
        found += serve(store, dir, (acme_family_t)family, idents);
    }
    if (found) {
        return 1;
    }
    if (!usable
        || complain(acme_store_placeholder(&chain, &key, store, dir, idents,
                                           apr_time_now(), pool))) {
        return 0;
    }
    printf("placeholder %s %s %s\n", dir, chain, key);
    return 1;
}

static void note_uses(acme_store_t *store, char **names, int count)
{
    apr_array_header_t *uses = apr_array_make(pool, count, sizeof(acme_use_t));
    const acme_ports_t ports = { 80, 443 };

    for (int i = 0; i < count; i++) {
        const acme_ident_t *first =
            APR_ARRAY_IDX(parse(names[i]), 0, const acme_ident_t *);
        APR_ARRAY_PUSH(uses, acme_use_t) =
            (acme_use_t){ first->value, "command line", 1 };
    }
    complain(acme_store_put_uses(store, uses, &ports, apr_table_make(pool, 1),
                                 pool));
}

int main(int argc, char **argv)
{
    acme_store_options_t options = { .root = argc > 2 ? argv[1] : NULL,
                                     .worker_uid = geteuid(),
                                     .worker_gid = getegid(),
                                     .create = 1 };
    acme_store_t *store;
    int status = 0, usable = 1;

    if (!options.root) {
        fputs("usage: start STORE NAME...\n", stderr);
        return 2;
    }
    apr_initialize();
    apr_pool_create(&pool, NULL);
    if (!warm_up(pool)) {
        return 2;
    }
    if (complain(acme_store_open(&store, &options, pool))) {
        /* httpd goes on with what is promoted, as far as that can be read */
        if (complain(acme_store_open_rest(&store, &options, pool))) {
            return 1;
        }
        status = 1;
        usable = 0;
    }
    else {
        acme_store_prune(store, apr_time_now(), pool);
    }
    for (int i = 2; i < argc; i++) {
        status |= !start(store, argv[i], usable);
    }
    if (usable) {
        acme_store_sync(store);
        note_uses(store, argv + 2, argc - 2);
    }
    apr_pool_destroy(pool);
    apr_terminate();
    return status;
}
