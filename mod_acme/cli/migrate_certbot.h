/**
 * Between certbot's files (migrate_certbot.c) and the configuration that is made of
 * them (migrate_certbot_text.c).
 */
#ifndef ACME_CTL_MIGRATE_CERTBOT_H
#define ACME_CTL_MIGRATE_CERTBOT_H

#include "cli/migrate.h"

/** A certificate with all that came before it and will come. */
typedef struct ctl_lineage_t {
    ctl_move_cert_t cert;
    apr_table_t *settings; /* of renewal/NAME.conf, without its sections */
    const char *archive; /* real path of the directory of its files, or NULL */
    int hosts;           /* that use it */
    struct ctl_lineage_t
        *with; /* one with the same names, and the other kind of
                                   key perhaps: they are one certificate now */
} ctl_lineage_t;

typedef struct ctl_certbot_t {
    ctl_move_t *move;
    apr_array_header_t *lineages; /* ctl_lineage_t *: those that are moved; at
                                     least one */
    apr_array_header_t *notes;    /* const char * */
} ctl_certbot_t;

/** @return NULL: it is not set */
const char *ctl_lineage_setting(const ctl_lineage_t *lineage, const char *name);
/** Whether the host has one of its files. */
int ctl_lineage_serves(const ctl_move_host_t *host,
                       const ctl_lineage_t *lineage, const ctl_move_t *move);
int ctl_path_is_below(const char *path, const char *dir);

/** All of it, as lines. */
void ctl_certbot_write(ctl_certbot_t *certbot);

#endif
