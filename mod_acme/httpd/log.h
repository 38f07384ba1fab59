/**
 * Numbered messages into httpd's error log: "ACME1042: [prefix] text. remedy".
 */
#ifndef ACME_LOG_H
#define ACME_LOG_H

#include <httpd.h>

#include "core/err.h"

/** Log a message of the table at its level. prefix is a
 *  certificate's name, or a whole "[shop.example/rsa order=pending]", or "". The
 *  remedy is added to ERR and WARNING. */
void acme_log(server_rec *s, acme_msg_t msg, const char *prefix,
              const char *text);
/** Make a message (arguments as in acme_err_make) and log it. */
void acme_log_msg(server_rec *s, apr_pool_t *scratch, acme_msg_t msg,
                  ...) ACME_SENTINEL;
/** Log an error with its detail, identifier and remedy. */
void acme_log_err(server_rec *s, const char *prefix, const acme_err_t *err,
                  apr_pool_t *scratch);

#endif
