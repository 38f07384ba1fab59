/**
 * The one table of everything mod_acme says: number, name, level, class, text,
 * remedy. Logs, status, acmectl and the manual print from it. Numbers are never
 * reused; a new message takes the next free one of its range.
 *
 *   1000  configuration and start      1400  certificates and keys
 *   1100  store and lease              1500  orders, renewal, activation (events)
 *   1200  reaching the CA              1600  requests and status
 *   1300  what the CA said             1700  acmectl
 *   1900  coming into service            1800  the server: start, live, challenges
 *
 * Level: ERR a human must act; WARNING something is not as it should be;
 * NOTICE a change of state worth a line; INFO, DEBUG.
 * Class (acme_class_t) is what policy reads: NONE for plain messages.
 * Text takes "%s" only. Remedy is "" where nothing is to be done.
 */
#ifndef ACME_MESSAGES_H
#define ACME_MESSAGES_H

typedef enum acme_class_t {
    ACME_CLASS_NONE,     /* not an error */
    ACME_CLASS_CONFIG,   /* the administrator must change something */
    ACME_CLASS_LOCAL,    /* this machine: disk, memory, permission; retried */
    ACME_CLASS_CA_RETRY, /* passes by itself; retried with backoff */
    ACME_CLASS_CA_FINAL, /* the CA refuses; tried again at most daily */
} acme_class_t;

typedef enum acme_level_t {
    ACME_LEVEL_ERR,
    ACME_LEVEL_WARNING,
    ACME_LEVEL_NOTICE,
    ACME_LEVEL_INFO,
    ACME_LEVEL_DEBUG,
} acme_level_t;

/* One file a range, so that each grows without touching the others. */
#include "core/messages/config.h"
#include "core/messages/store.h"
#include "core/messages/ca.h"
#include "core/messages/certificate.h"
#include "core/messages/event.h"
#include "core/messages/control.h"
#include "core/messages/account.h"
#include "core/messages/server.h"
#include "core/messages/activation.h"
#include "core/messages/audit.h"
#include "core/messages/migrate.h"
#include "core/messages/privilege.h"

#define ACME_MESSAGES(M)                                                       \
    ACME_MESSAGES_CONFIG(M)                                                    \
    ACME_MESSAGES_STORE(M)                                                     \
    ACME_MESSAGES_CA(M)                                                        \
    ACME_MESSAGES_CERTIFICATE(M)                                               \
    ACME_MESSAGES_EVENT(M)                                                     \
    ACME_MESSAGES_CONTROL(M)                                                   \
    ACME_MESSAGES_ACCOUNT(M)                                                   \
    ACME_MESSAGES_SERVER(M)                                                    \
    ACME_MESSAGES_ACTIVATION(M)                                                \
    ACME_MESSAGES_AUDIT(M)                                                     \
    ACME_MESSAGES_MIGRATE(M)                                                   \
    ACME_MESSAGES_PRIVILEGE(M)

/** Enumerators are ACME_<NAME> with the message's number as value. */
typedef enum acme_msg_t {
    ACME_M_NONE = 0,
#define ACME_MSG_ENUM(number, name, level, class, text, remedy)                \
    ACME_##name = number,
    ACME_MESSAGES(ACME_MSG_ENUM)
#undef ACME_MSG_ENUM
} acme_msg_t;

typedef struct acme_msg_entry_t {
    acme_msg_t msg;
    const char *name; /* "E_DISK" */
    acme_level_t level;
    acme_class_t class;
    const char *text;
    const char *remedy; /* "" for none */
} acme_msg_entry_t;

/** The entry of msg; of the table's own "unknown" entry for a number that is
 *  not in it. Never NULL, static. */
const acme_msg_entry_t *acme_msg_entry(acme_msg_t msg);

/** The table, for gendoc and tests; *count entries in order of number. */
const acme_msg_entry_t *acme_msg_table(int *count);

#endif
