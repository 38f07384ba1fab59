/**
 * Files that are written for others than the server, and pass phrases.
 */
#ifndef ACME_CTL_FILES_H
#define ACME_CTL_FILES_H

#include <sys/types.h>

#include "cli/acmectl.h"

#define CTL_NO_GROUP ((gid_t)-1)

typedef struct ctl_file_t {
    const char *name; /* in its directory */
    mode_t mode;      /* exactly */
    gid_t group;      /* or CTL_NO_GROUP */
    const void *data;
    apr_size_t len;
} ctl_file_t;

/** Put a file in place of what has its name, whole or not at all.
 *  @param path  of the file */
ctl_exit_t ctl_put_file(ctl_t *ctl, const char *path, const ctl_file_t *file);
/** The same for a directory with nothing but these files, which replaces one that
 *  has no others: who looks sees the old ones or the new ones. */
ctl_exit_t ctl_put_dir(ctl_t *ctl, const char *path, const ctl_file_t *files,
                       int count);
/** All of a regular file, with a NUL behind it; zeroed with the pool.
 *  @param max  octets
 *  @return NULL, or why it cannot be read, in words */
const char *ctl_peek_file(ctl_t *ctl, const char *path, apr_size_t max,
                          const unsigned char **data, apr_size_t *len);
/** The same; why it cannot be read is told. */
ctl_exit_t ctl_read_file(ctl_t *ctl, const char *path, apr_size_t max,
                         const unsigned char **data, apr_size_t *len);

/* --- phrase.c ---------------------------------------------------------------------- */

#define CTL_PHRASE_OPTIONS                                                     \
    { "--passphrase-file", "FILE", "pass phrase: its first line" },            \
    {                                                                          \
        "--passphrase-program", "PROGRAM",                                     \
            "pass phrase: the first line that it prints"                       \
    }

/** One that opens something: by the options, or asked for on the terminal.
 *  @param of  what it opens */
ctl_exit_t ctl_get_phrase(ctl_t *ctl, const char **phrase, const char *of);
/** A new one, in the same ways: of some length, and asked for twice. */
ctl_exit_t ctl_choose_phrase(ctl_t *ctl, const char **phrase);

#endif
