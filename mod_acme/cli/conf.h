/**
 * An httpd configuration, as far as it can be read without httpd: for what is moved
 * from there. Files that are included are followed, variables replaced, <IfModule>
 * and its like decided by what the configuration itself says.
 */
#ifndef ACME_CTL_CONF_H
#define ACME_CTL_CONF_H

#include <apr_tables.h>

#include "cli/acmectl.h"

typedef struct ctl_place_t {
    const char *file;
    int line;
} ctl_place_t;

/** A <VirtualHost>. */
typedef struct ctl_conf_host_t {
    ctl_place_t place;
    const char *addresses; /* "*:443" */
} ctl_conf_host_t;

typedef struct ctl_directive_t {
    const char *name; /* "ServerName"; of a section "<MDomainSet" */
    const char *args; /* on one line, variables replaced */
    ctl_place_t place;
    const ctl_conf_host_t *host;           /* it stands in; or NULL */
    const struct ctl_directive_t *section; /* the innermost that is kept: one
                                              of mod_md; or NULL */
} ctl_directive_t;

typedef struct ctl_conf_t {
    const char *path;               /* of the main file */
    const char *root;               /* ServerRoot */
    const char *user;               /* User, or NULL */
    apr_array_header_t *directives; /* ctl_directive_t *, in order */
    apr_array_header_t *unread;     /* const char *: what could not be followed,
                                       in words */
} ctl_conf_t;

/** @param path  of the main file, or NULL: where distributions have it */
ctl_exit_t ctl_conf_read(ctl_conf_t **conf, ctl_t *ctl, const char *path);
/** The next word of a directive's arguments, without its quotes; NULL: no more. */
const char *ctl_conf_word(const char **args, apr_pool_t *pool);
/** All of them. const char * */
apr_array_header_t *ctl_conf_words(const char *args, apr_pool_t *pool);
/** Whether the directive has this name, in any case. */
int ctl_conf_is(const ctl_directive_t *directive, const char *name);
/** "site.conf:12" */
const char *ctl_conf_where(const ctl_place_t *place, apr_pool_t *pool);
/** A path as httpd takes it: below ServerRoot, unless it is absolute. */
const char *ctl_conf_path(const ctl_conf_t *conf, const char *path,
                          apr_pool_t *pool);

#endif
