/**
 * What a check by the server and one without it (check_alone.c) share.
 */
#ifndef ACME_CTL_CHECK_H
#define ACME_CTL_CHECK_H

#include "cli/acmectl.h"

/** One finding about a name, at once. @param type  "http-01" */
void ctl_put_finding(const char *type, int code, const char *text, int problem);
/** Look at the names of the certificate, or at that name; NULL: of all that there
 *  are. */
ctl_exit_t ctl_check_alone(ctl_t *ctl, const char *name);

#endif
