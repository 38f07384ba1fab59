/**
 * Coming from another program: what it has made goes into the store, and its
 * configuration is told in words of this module's.
 *
 *   migrate.c          the commands, and what is done in the end
 *   migrate_text.c     the configuration that is written
 *   migrate_sets.c     certificates and accounts, from files
 *   migrate_md.c, migrate_md_words.c, migrate_md_text.c
 *                      mod_md: its store, its directives, what is made of them
 *   migrate_certbot.c, migrate_certbot_text.c
 *                      certbot: its files, and what is made of them
 */
#ifndef ACME_CTL_MIGRATE_H
#define ACME_CTL_MIGRATE_H

#include "cli/acmectl.h"
#include "cli/conf.h"
#include "core/ident.h"
#include "engine/backup.h"
#include "engine/policy.h"

typedef struct ctl_move_t {
    ctl_t *ctl;
    const char *program; /* "mod_md" */
    const char *from;    /* its directory */
    ctl_conf_t *conf;
    apr_array_header_t *hosts; /* ctl_move_host_t * */
    acme_backup_t *what;       /* is brought into the store */
    apr_array_header_t *lines; /* const char *: the configuration */
    int secret;                /* among them is one */
    int left;                  /* certificates and accounts that stay behind */
} ctl_move_t;

/** A virtual host, or the main server. */
typedef struct ctl_move_host_t {
    const ctl_conf_host_t *host;   /* NULL: the main server */
    const char *name;              /* ServerName, without port; or NULL */
    apr_array_header_t *names;     /* const char *: and ServerAlias */
    apr_array_header_t *own_files; /* ctl_directive_t *: SSLCertificateFile and
                                      its kin */
    int engine;                    /* SSLEngine on */
} ctl_move_host_t;

/** A certificate of the other program's. */
typedef struct ctl_move_cert_t {
    const char *name;           /* as it calls it */
    apr_array_header_t *idents; /* acme_ident_t *; the first is the identity */
    const char *ca_url, *account_url, *profile; /* or NULL */
    unsigned types; /* bits of acme_key_type_t: of what is taken over */
} ctl_move_cert_t;

/* --- migrate_text.c ---------------------------------------------------------------- */

/** Add a line. It has no line end in it, whatever it is made of. */
void ctl_move_line(ctl_move_t *move, const char *line);
/** The same behind "# ", wrapped. */
void ctl_move_comment(ctl_move_t *move, const char *text);
/** An argument, in quotes where it needs them. */
const char *ctl_move_word(const char *text, apr_pool_t *pool);
/** As AcmeCA has it: alias, or URL. */
const char *ctl_move_ca(const char *url);
/** The same: "host (file:line)". */
const char *ctl_move_host_text(const ctl_move_host_t *host, apr_pool_t *pool);
/** <AcmeCertificate> with these lines in it, each with its indentation. */
void ctl_move_section(ctl_move_t *move, const ctl_move_cert_t *cert,
                      const apr_array_header_t *lines);
/** "AcmeKeyType ..." of what is taken over; NULL: nothing is. */
const char *ctl_move_key_types(const ctl_move_cert_t *cert, apr_pool_t *pool);
/** How it begins, and how it ends. */
void ctl_move_head(ctl_move_t *move);
/** What could not be followed in the configuration. */
void ctl_move_unread(ctl_move_t *move);
/** All virtual hosts, for move->hosts. */
apr_array_header_t *ctl_move_hosts(const ctl_conf_t *conf, apr_pool_t *pool);

/* --- migrate_sets.c ---------------------------------------------------------------- */

#define CTL_MAX_KEY (64 * 1024)

/** How a file's private key is encrypted. */
typedef struct ctl_move_secret_t {
    const unsigned char *data; /* NULL: it is not */
    apr_size_t len;
} ctl_move_secret_t;

/** Take certificate and key into move->what, where it is fit and newer than what is
 *  there already. Unless quiet, it is told why not.
 *  @return whether it, or a newer one, is there now */
int ctl_move_take(ctl_move_t *move, ctl_move_cert_t *cert, const char *chain,
                  const char *key, const ctl_move_secret_t *secret, int quiet);
/** Take the account that ca has. @param contacts  "mailto:a,mailto:b" or NULL */
void ctl_move_account(ctl_move_t *move, const acme_ca_t *ca, EVP_PKEY *key,
                      const char *url, const char *contacts);
/** One that stays behind. */
void ctl_move_leave(ctl_move_t *move, acme_msg_t msg, const char *name,
                    const char *why);
/** @return the private key of a file; or NULL and why not */
EVP_PKEY *ctl_move_key(ctl_move_t *move, const char *path,
                       const ctl_move_secret_t *secret, const char **why);
/** A JSON object that is in a file; NULL: there is none, or it is not one. */
json_t *ctl_move_json(ctl_move_t *move, const char *path);
/** Names in a directory, sorted; without those that begin with a dot. const char *
 *  @return NULL: there is none */
apr_array_header_t *ctl_move_list(const char *path, apr_pool_t *pool);

/* --- the programs -------------------------------------------------------------------- */

/** Read what there is, into move. */
ctl_exit_t ctl_move_from_md(ctl_move_t *move);
ctl_exit_t ctl_move_from_certbot(ctl_move_t *move);

/** A managed domain of mod_md's. */
typedef struct ctl_md_t {
    ctl_move_cert_t cert;
    const char *account;  /* "ACME-localhost-0000", or NULL */
    const char *contacts; /* "mailto:a,mailto:b", or NULL */
    int brought;          /* how many certificates */
} ctl_md_t;

/** Whether the configuration has an MDomain. */
int ctl_md_is_used(const ctl_move_t *move);
/** Whether one of its names is in an MDomain of the configuration. */
int ctl_md_is_configured(const ctl_move_t *move, const ctl_md_t *md);
/** One of mod_md's, or the beginning of one of its sections. */
int ctl_md_is_directive(const ctl_directive_t *directive);
/** What its directives say, in words of this module's.
 *  @param section  where they stand; NULL: for the server
 *  @param lines    const char *, to be added to
 *  @param notes    the same: what has no equivalent
 *  @return whether they name contacts */
int ctl_md_scope(ctl_move_t *move, const ctl_directive_t *section,
                 apr_array_header_t *lines, apr_array_header_t *notes);
/** What mod_md's directives say, as lines.
 *  @param mds  ctl_md_t, as its store has them */
void ctl_md_words(ctl_move_t *move, const apr_array_header_t *mds);
/** Of the server's MDExternalAccountBinding; or NULL. */
const acme_external_t *ctl_md_external(ctl_move_t *move);

#endif
