/**
 * Programs that run as root: nobody else may be able to put another in their
 * place.
 */
#ifndef ACME_OWNED_H
#define ACME_OWNED_H

#include <apr_pools.h>

/** Follows path as the kernel does, through every folder and symbolic link to
 *  the file at the end. Each of them must belong to root or to the effective
 *  user, and nobody else may write to it; a folder in which others may write
 *  counts where only owners can rename (/tmp).
 *  @param path  absolute
 *  @return NULL: nobody else can change it; or what stands against it, in words
 *          that name the part of path */
const char *acme_owned_fault(const char *path, apr_pool_t *pool);

#endif
