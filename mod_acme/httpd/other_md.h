/**
 * mod_md beside this module: what it manages is left to it.
 */
#ifndef ACME_OTHER_MD_H
#define ACME_OTHER_MD_H

#include <apr_hash.h>
#include <httpd.h>

/** Names in its MDomain and the like, by what the configuration says.
 *  @return name -> where ("shop.conf:12"); NULL: mod_md is not loaded, or has none */
apr_hash_t *acme_other_md_names(apr_pool_t *pool);
/** The name for which mod_md manages this host; NULL: it does not.
 *  @param where  of its MDomain */
const char *acme_other_md_has(const char **where, apr_hash_t *names,
                              const server_rec *s, apr_pool_t *pool);

#endif
