/**
 * AcmeOn installed: programs that root runs when it has promoted certificates, at a
 * start or reload, which do not wait for them.
 */
#ifndef ACME_INSTALLED_H
#define ACME_INSTALLED_H

#include <httpd.h>

#include "engine/policy.h"
#include "engine/record.h"
#include "engine/store.h"

typedef struct acme_installed_t acme_installed_t;

acme_installed_t *acme_installed_create(apr_pool_t *pool);

/** This set is in service now. Copies what it needs. */
void acme_installed_add(acme_installed_t *installed, const acme_store_t *store,
                        const acme_managed_t *managed,
                        const acme_record_t *record);

/** Run the programs of all that was added, one after the other, in a process of
 *  their own that belongs to nobody. Those that others than root could have
 *  changed are not run, with a message. */
void acme_installed_run(const acme_installed_t *installed, server_rec *s,
                        apr_pool_t *scratch);

#endif
