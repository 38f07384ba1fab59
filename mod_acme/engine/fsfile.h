/**
 * Files that are whole or not there: what the store is made of. Everything is
 * relative to an open directory, never follows a symlink in its last step, is
 * written beside (or in a stage) under a name of our own, flushed, renamed, and
 * its directory flushed. Knows nothing of certificates.
 */
#ifndef ACME_FSFILE_H
#define ACME_FSFILE_H

#include <apr_pools.h>
#include <apr_tables.h>
#include <sys/types.h>

#include "core/err.h"

#define ACME_FSFILE_MAX    (1024 * 1024) /* octets of a file that is read */
#define ACME_FSFILE_LIST   65536         /* entries of a directory looked at */
#define ACME_FSFILE_ANYONE ((uid_t)-1)

/** An open directory. */
typedef struct acme_place_t acme_place_t;
struct acme_place_t {
    int fd;
    const char *path; /* for messages */
    /* Where what is put here is made, and what is removed here goes first, in the
     * same file system; NULL: beside it. Whoever has the stage removed stops the
     * writer for good (fence.h). The engine's thread sets it while handshakes read
     * from the same place, for which it means nothing. */
    const acme_place_t *_Atomic stage;
};

/** How the names of stages begin. */
#define ACME_FSFILE_STAGE ".epoch-"

/** One file of a directory to be written. */
typedef struct acme_fsfile_entry_t {
    const char *name;
    mode_t mode; /* exactly this, whatever the umask */
    const void *data;
    apr_size_t len;
} acme_fsfile_entry_t;

/** A directory to be written as a whole. */
typedef struct acme_fsfile_dir_t {
    mode_t mode;
    const acme_fsfile_entry_t *entries;
    int count;
    int flush; /* 0: the caller flushes the file system later */
} acme_fsfile_dir_t;

/** path of place and "/" and name. */
const char *acme_fsfile_path(const acme_place_t *place, const char *name,
                             apr_pool_t *pool);

/** "cannot <verb> <place>/<name>", and errno's reason. @return E_STORE_IO */
acme_err_t *acme_fsfile_error(const char *verb, const acme_place_t *place,
                              const char *name, apr_pool_t *pool);

/** flock(2) a directory, which everybody can who may open it, or got it with a fork:
 *  nobody is waited for for more than two seconds. Root's, where no engine runs.
 *  @return 0, and errno: it is not locked */
int acme_fsfile_lock(int fd);

/** Open a directory in parent, not through a symlink; closed with pool.
 *  @param place  NULL if there is none
 *  @return E_STORE_IO, E_STORE_DAMAGED (not a directory) */
acme_err_t *acme_fsfile_enter(acme_place_t **place, const acme_place_t *parent,
                              const char *name,
                              apr_pool_t *pool) ACME_MUST_CHECK;

/** The same, made with exactly this mode where it is missing. */
acme_err_t *acme_fsfile_make(acme_place_t **place, const acme_place_t *parent,
                             const char *name, mode_t mode,
                             apr_pool_t *pool) ACME_MUST_CHECK;

/** mkdirat(2), mode 0700 whatever the umask; of a stage's as a whole.
 *  @return 0, or -1 and errno */
int acme_fsfile_make_dir(const acme_place_t *parent, const char *name);

/** Names in a directory of parent (NULL: parent itself), without "." and "..",
 *  at most ACME_FSFILE_LIST of them.
 *  @param names  const char *; NULL if there is no such directory */
acme_err_t *acme_fsfile_list(apr_array_header_t **names,
                             const acme_place_t *parent, const char *name,
                             apr_pool_t *pool) ACME_MUST_CHECK;

/** Read a regular file of at most ACME_FSFILE_MAX octets.
 *  @param data   NUL terminated beyond len; NULL if there is no such file
 *  @param name   may have several steps where nobody else writes on the way
 *  @param owner  who must own it, with no second hard link if that is another
 *                than we are; or ACME_FSFILE_ANYONE
 *  @return E_STORE_IO, E_STORE_OWNER, E_STORE_DAMAGED (not regular, a symlink, too
 *          big) */
acme_err_t *acme_fsfile_read(const char **data, apr_size_t *len,
                             const acme_place_t *place, const char *name,
                             uid_t owner, apr_pool_t *pool) ACME_MUST_CHECK;

/** Whether a regular file that is not empty has this name. */
int acme_fsfile_is_there(const acme_place_t *place, const char *name);

/** Put a file in place of what has its name. */
acme_err_t *acme_fsfile_put(const acme_place_t *place,
                            const acme_fsfile_entry_t *entry,
                            apr_pool_t *scratch) ACME_MUST_CHECK;

/** Put a directory with its files in place of what has its name. */
acme_err_t *acme_fsfile_put_dir(const acme_place_t *place, const char *name,
                                const acme_fsfile_dir_t *dir,
                                apr_pool_t *scratch) ACME_MUST_CHECK;

/** Point a symlink at target, in place of the one that has its name. */
acme_err_t *acme_fsfile_put_link(const acme_place_t *place, const char *name,
                                 const char *target,
                                 apr_pool_t *scratch) ACME_MUST_CHECK;

/** Move a directory to another place, in place of what has its name there. */
acme_err_t *acme_fsfile_move_dir(const acme_place_t *from,
                                 const acme_place_t *to, const char *name,
                                 apr_pool_t *scratch) ACME_MUST_CHECK;

/** Give what cannot be used another name, in place of what has that. None is well.
 *  A death on the way may leave nothing of it. */
acme_err_t *acme_fsfile_rename(const acme_place_t *place, const char *name,
                               const char *final,
                               apr_pool_t *scratch) ACME_MUST_CHECK;

/** Remove a file, or what else has its name: a directory as by
 *  acme_fsfile_remove_dir. None is well, too. */
acme_err_t *acme_fsfile_remove(const acme_place_t *place, const char *name,
                               apr_pool_t *scratch) ACME_MUST_CHECK;

/** Remove a directory written by acme_fsfile_put_dir: gone as a whole first,
 *  then its files. Files of other names than the store's own are not touched,
 *  and keep the remains of it.
 *  @return E_STORE_IO */
acme_err_t *acme_fsfile_remove_dir(const acme_place_t *place, const char *name,
                                   apr_pool_t *scratch) ACME_MUST_CHECK;

/** Remove what a writer that died has left in place. To be called by the one
 *  writer at a time only: it cannot tell its own leftovers from work of now. */
void acme_fsfile_clean(const acme_place_t *place, apr_pool_t *scratch);

/** Whether name is one that readers must pass over: of a put not finished, or a
 *  stage. */
int acme_fsfile_is_temporary(const char *name);

/** For tests of what a sudden death leaves behind: end the process with status
 *  42 in place of the steps-th change to the file system from now on; 0: never.
 *  A write is cut in the middle. */
void acme_fsfile_crash_at(int steps);
/** The same for what happens to a process that is frozen there (SIGSTOP), and woken. */
void acme_fsfile_freeze_at(int steps);
/** To be called before each change; those of fsfile.c do. */
void acme_fsfile_step(void);

#endif
