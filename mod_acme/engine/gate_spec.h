/**
 * Internal to gate.c: what a gate is made of, as it stands in the journal.
 */
#ifndef ACME_GATE_SPEC_H
#define ACME_GATE_SPEC_H

#include <jansson.h>

#include "engine/command.h"
#include "engine/hook.h"
#include "engine/policy.h"
#include "engine/store.h"

typedef struct acme_gate_spec_t {
    acme_proof_type_t type;
    int port; /* local, that the CA's requests arrive at */
    const char *certificate, *domain; /* those that it was opened for first */
    /* const apr_array_header_t *: programs with their arguments, as configured */
    apr_array_header_t *opens, *closes;
} acme_gate_spec_t;

/** What must be opened for a proof of this certificate. Borrows the strings. */
void acme_gate_spec_make(acme_gate_spec_t *spec, const acme_managed_t *managed,
                         const acme_proof_t *proof, apr_pool_t *pool);
void acme_gate_spec_copy(acme_gate_spec_t *to, const acme_gate_spec_t *from,
                         apr_pool_t *pool);
/** The same for the same programs and port, whatever the certificate. */
const char *acme_gate_spec_id(const acme_gate_spec_t *spec, apr_pool_t *pool);

acme_err_t *acme_gate_spec_format(const char **json,
                                  const acme_gate_spec_t *spec,
                                  apr_pool_t *pool) ACME_MUST_CHECK;
/** @return why not, or NULL; spec->closes NULL: the entry is another's */
const char *acme_gate_spec_read(acme_gate_spec_t *spec, const char *kind,
                                const json_t *object, apr_pool_t *pool);

/** One of its programs, to be run for event: sets argv and env. */
void acme_gate_spec_command(acme_command_spec_t *command,
                            const acme_gate_spec_t *spec,
                            const apr_array_header_t *program,
                            acme_event_kind_t event, const char *store,
                            apr_pool_t *pool);

#endif
