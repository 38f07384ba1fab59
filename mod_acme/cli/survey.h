/**
 * What is known of certificates.
 */
#ifndef ACME_CTL_SURVEY_H
#define ACME_CTL_SURVEY_H

#include <apr_hash.h>
#include <jansson.h>

#include "cli/acmectl.h"

/** By the running server where there is one, and of what it does not manage by the
 *  store. As doc/status.md has it; with "server" ("running", "stopped", "silent": it
 *  does not answer) and of each certificate "managed".
 *  @param dir  of one alone, or NULL
 *  @param survey  a new reference */
ctl_exit_t ctl_survey(json_t **survey, ctl_t *ctl, const char *dir);

/** Whether a server works on the store. */
int ctl_server_runs(ctl_t *ctl);
/** The same for a command that can do without: one that begins, or takes over from
 *  another, is given three seconds to say that it is there. */
int ctl_server_comes(ctl_t *ctl);

/** What the configuration that httpd was last started with has of it; NULL:
 *  nothing. @param known  0: no server has ever said */
const acme_use_t *ctl_use(ctl_t *ctl, const char *dir, int *known);

#endif
