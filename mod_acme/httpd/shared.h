/**
 * Memory of all processes of a server, that outlives its restarts.
 */
#ifndef ACME_SHARED_H
#define ACME_SHARED_H

#include <httpd.h>

#include "core/messages.h"

/** In the parent, before children that are to share it. Anonymous, and all zero.
 *  @param failure  what is logged, with the size, where there is no memory for it
 *  @return as long as the process; NULL after that message */
void *acme_shared_make(apr_size_t size, acme_msg_t failure, server_rec *s);

#endif
