/**
 * The section about certificates on mod_status's page.
 */
#ifndef ACME_STATUS_H
#define ACME_STATUS_H

#include <httpd.h>

/** mod_status's optional hook status_hook. Reads shared memory only.
 *  @param flags  AP_STATUS_SHORT for "Key: value" lines (?auto), AP_STATUS_NOTABLE
 *                for HTML without a table
 *  @return OK; DECLINED if AcmeStatus is off or nothing is managed yet */
int acme_status_section(request_rec *r, int flags);

#endif
