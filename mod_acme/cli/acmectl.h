/**
 * What the commands of acmectl share. A command is a row of a table in table.c; its
 * functions are in a file of its own, or with others of its kind:
 *
 *   line.c   the command line
 *   table.c  the table, and help
 *   say.c    errors, in the words of the log
 *   open.c   the store, and whether we may
 *   ask.c    a request to the running server, watched until it is answered
 *   names.c  which certificate is meant
 *   survey.c what is known of certificates
 *   fresh.c  whether a set of the worker's will do
 *   worker.c changes to the part of the server's user
 *   trail.c  the audit trail of what is done here
 *   files.c, phrase.c  files for others, pass phrases
 *   secret.c private keys that are handed over, and who does so
 *   bring.c  what comes into a store from elsewhere
 *   conf.c   an httpd configuration
 *   renew.c, look.c ...  commands
 *
 * A new one needs its row, its ctl_command_t here, and "make docs": the manual page
 * and the shells' completion are made from the table.
 */
#ifndef ACME_ACMECTL_H
#define ACME_ACMECTL_H

#include <apr_pools.h>
#include <openssl/evp.h>
#include <signal.h>
#include <stdio.h>

#include "core/encode.h"
#include "core/err.h"
#include "engine/store.h"

/** Exit status of every command. */
typedef enum ctl_exit_t {
    CTL_DONE = 0,
    CTL_FAILED = 1,
    CTL_USAGE = 2,
    CTL_NO_SERVER = 3, /* a running one is needed, and there is none */
    CTL_TIMEOUT = 4,   /* or interrupted: the server goes on */
} ctl_exit_t;

#define CTL_OPTIONS 12 /* of one command, at most */

typedef struct ctl_option_t {
    const char *name;  /* "--reason" */
    const char *value; /* "REASON"; NULL: it is a flag */
    const char *help;
} ctl_option_t;

typedef struct ctl_t ctl_t;

typedef struct ctl_command_t {
    const char *name;     /* "renew"; "account show" */
    const char *operands; /* "NAME | --all", for the usage; "" */
    int least, most;      /* how many; options do not count */
    const char *instead;  /* option that stands in place of them all, or NULL */
    const char *summary;  /* of one line, no full stop */
    const char *details;  /* paragraphs with "\n\n" between them, or NULL */
    int needs;            /* CTL_NEEDS_STORE, CTL_ASKS, CTL_MAKES_STORE; or 0 */
    ctl_exit_t (*run)(ctl_t *ctl);
    ctl_option_t options[CTL_OPTIONS + 1]; /* the last has no name */
} ctl_command_t;

#define CTL_NEEDS_STORE 1 /* ctl->store is open when it runs, and we may */
#define CTL_ASKS        3 /* the same, and it asks the server: has --timeout */
#define CTL_MAKES_STORE 4 /* it opens ctl->root by itself */

struct ctl_t {
    apr_pool_t *pool;
    const ctl_command_t *command; /* NULL: there is none, or half of one: */
    const char *group;            /* the first word of several; or NULL */
    const char *root;             /* AcmeStore */
    acme_store_t *store;
    long timeout; /* seconds */
    int count;
    const char **operands;
    const char *values[CTL_OPTIONS]; /* of command->options */
};

/** What is to end soon, and safely: a signal has come. */
extern volatile sig_atomic_t ctl_interrupted;

/* --- line.c ------------------------------------------------------------------------ */

/** Sets ctl->command, or ctl->group; neither, where no word is a command's.
 *  @param argv  behind the program's name, NULL at the end */
ctl_exit_t ctl_find_name(ctl_t *ctl, char **argv);
/** Options and operands of that command; nothing is done yet. */
ctl_exit_t ctl_take_words(ctl_t *ctl, char **argv);
/** Value of an option of the command; "" for a flag; NULL: it was not given. */
const char *ctl_option(const ctl_t *ctl, const char *name);

/* --- table.c ----------------------------------------------------------------------- */

extern const ctl_option_t ctl_store_option, ctl_timeout_option;
/** Of one word or two. @param words  how many it was */
const ctl_command_t *ctl_find_command(const char **operands, int count,
                                      int *words);
ctl_exit_t ctl_help(const ctl_command_t *command);
ctl_exit_t ctl_help_all(void);
/** Whether it is the first word of commands that have two. */
int ctl_is_group(const char *word);
/** Of the commands whose first word that is, such as "account".
 *  @return how many there are */
int ctl_help_group(const char *word, FILE *out);
/** These words are no command; those that begin like it are listed.
 *  @return CTL_USAGE */
ctl_exit_t ctl_unknown(const ctl_t *ctl, const char *const *words, int count);
/** What is wrong with the command line, and how it should be. @return CTL_USAGE */
ctl_exit_t ctl_usage(const ctl_t *ctl, const char *why, const char *what);
/** All commands; the last is NULL. */
const ctl_command_t *const *ctl_commands(void);

/* --- say.c ------------------------------------------------------------------------- */

/** "acmectl: ACME1234: text" and the remedy, on standard error. @return CTL_FAILED */
ctl_exit_t ctl_say_error(const acme_err_t *err, apr_pool_t *pool);
/** The same for a message with a text of its own. */
ctl_exit_t ctl_say_code(int code, const char *text);
/** The same for a message of the table; one const char * for each "%s", NULL. */
ctl_exit_t ctl_say(const ctl_t *ctl, acme_msg_t msg, ...) ACME_SENTINEL;

/* --- open.c ------------------------------------------------------------------------ */

/** Open ctl->root, if we may. @return CTL_DONE, or it was told why not */
ctl_exit_t ctl_open(ctl_t *ctl);

/* --- ask.c ------------------------------------------------------------------------- */

/** Put the request, show its progress, wait for its end.
 *  @param reply  of a request that is done; NULL where it was not. Its text is not
 *                printed yet, but by ctl_done; or NULL: print it
 *  @return what became of it, told in words unless it is done */
ctl_exit_t ctl_ask(ctl_t *ctl, acme_control_t *request,
                   acme_control_reply_t **reply);
/** How far it is: in place of the line that ctl_ask would print. */
typedef void ctl_progress_fn_t(void *baton, const acme_control_reply_t *reply);
ctl_exit_t ctl_ask_and_show(ctl_t *ctl, acme_control_t *request,
                            acme_control_reply_t **reply,
                            ctl_progress_fn_t *progress, void *baton);
/** The same for a request that was put already, as several at once are. */
ctl_exit_t ctl_await(ctl_t *ctl, const acme_control_t *request,
                     acme_control_reply_t **reply, ctl_progress_fn_t *progress,
                     void *baton);

/* --- names.c ----------------------------------------------------------------------- */

/** The directory of the certificate with that name; of what would have been meant
 *  otherwise it tells. */
ctl_exit_t ctl_find(ctl_t *ctl, const char *name, const char **dir);
/** The same without a word; NULL: there is none. */
const char *ctl_find_quietly(ctl_t *ctl, const char *name);
/** What it is for: acme_ident_t *; NULL or empty: not known. */
const apr_array_header_t *ctl_names(ctl_t *ctl, const char *dir,
                                    apr_pool_t *pool);
/** What the certificate is called. */
const char *ctl_identity(ctl_t *ctl, const char *dir, apr_pool_t *pool);
/** Of the newest whole set, or NULL; damage is told. */
const acme_record_t *ctl_record(ctl_t *ctl, const char *dir,
                                acme_family_t family, apr_pool_t *pool);

/* --- fresh.c ------------------------------------------------------------------------- */

/** acme_fit_set for a set that has not been promoted yet, by what root has written
 *  down of the configuration. @return as acme_fit_set */
acme_err_t *ctl_check_fresh(ctl_t *ctl, const char *dir, acme_family_t family,
                            const acme_set_t *set) ACME_MUST_CHECK;

/* --- secret.c ---------------------------------------------------------------------- */

/** A private key: PEM, also encrypted (see phrase.c), or a JSON Web Key.
 *  @param pem  the same, not encrypted; zeroed with the pool */
ctl_exit_t ctl_read_key(ctl_t *ctl, const char *path, EVP_PKEY **key,
                        const char **pem);
/** Who asks: "root", "alice (sudo)". */
const char *ctl_who(ctl_t *ctl);
/** Say so in the request. */
void ctl_sign(ctl_t *ctl, acme_control_t *request);

/* --- commands ---------------------------------------------------------------------- */

extern const ctl_command_t ctl_status, ctl_show, ctl_renew, ctl_delete,
    ctl_export, ctl_log, ctl_backup, ctl_restore, ctl_explain, ctl_revoke,
    ctl_check, ctl_account_show, ctl_account_import, ctl_account_rollover,
    ctl_account_contact, ctl_account_deactivate, ctl_account_new,
    ctl_migrate_md, ctl_migrate_certbot;

#endif
