/**
 * Which names an error is about, so that the others need not suffer with them.
 */
#ifndef ACME_BLAME_H
#define ACME_BLAME_H

#include <apr_tables.h>

#include "core/err.h"
#include "core/ident.h"

/** Add a name to err->blames. @param text  printable */
void acme_blame_add(acme_err_t *err, const char *name, acme_msg_t msg,
                    const char *text, apr_pool_t *pool);

/** Leave in err->blames what is of use: names of idents, written as there, each
 *  once; NULL where the error is not one of single names (see reaction.h), or
 *  nobody can tell which. Taken from the subproblems; else from the identifier;
 *  else, since some CAs name a single one in their words alone (Boulder), the only
 *  one of idents that the detail speaks of. */
void acme_blame_settle(acme_err_t *err, const apr_array_header_t *idents,
                       apr_pool_t *pool);

/** One error of several, each about the name in its identifier: the worst of them,
 *  the others named in its detail, all in its blames.
 *  @param errors  const acme_err_t *; at least one */
acme_err_t *acme_blame_join(const apr_array_header_t *errors, apr_pool_t *pool);

/** How bad a class is for who waits for a certificate; the highest is worst. */
int acme_blame_severity(acme_class_t class);

#endif
