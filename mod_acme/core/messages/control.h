/* 1700-1799: acmectl, and what it asks of the server. See ../messages.h. */
/* clang-format off */
#define ACME_MESSAGES_CONTROL(M)                                               \
    M(1700, E_CTL_NO_STORE, ERR, CONFIG, "there is no store at %s",            \
      "Name the server's AcmeStore with --store; it is made when a server with mod_acme starts.") \
    M(1701, E_CTL_NOT_OWNER, ERR, CONFIG, "the store %s belongs to another user", \
      "Run acmectl as root (or as the user that starts the server).")          \
    M(1702, E_CTL_NO_SERVER, ERR, LOCAL, "no server takes requests from %s",   \
      "Check that httpd runs, with mod_acme and mod_watchdog and with this AcmeStore.") \
    M(1703, E_CTL_TIME, WARNING, LOCAL, "not done within %s seconds; the server goes on", \
      "Look at the status page, or wait longer with --timeout.")               \
    M(1704, E_CTL_INTERRUPTED, WARNING, LOCAL, "interrupted; what the server has begun goes on", \
      "See what becomes of it with acmectl status.")                           \
    M(1705, E_CTL_WITHDRAWN, WARNING, LOCAL, "interrupted before a server took up the request, which is withdrawn", \
      "Ask again.")                                                            \
    M(1706, E_REQUEST_LOST, WARNING, LOCAL, "the server was stopped or killed while it worked on the request (%s)", \
      "See what became of it with acmectl show, and ask again where it is still wanted.") \
    M(1707, E_CTL_NAME, ERR, CONFIG, "there is no certificate named %s%s",     \
      "List them with acmectl status.")                                        \
    M(1708, E_CTL_IN_USE, ERR, CONFIG, "the certificate %s is still managed: it is configured at %s", \
      "Take it out of the configuration first (AcmeManage off, or another certificate), then start or reload httpd, which tells acmectl.") \
    M(1709, E_CTL_USE_UNKNOWN, ERR, CONFIG, "nobody has said yet which certificates of %s are in use", \
      "Start httpd once with this store, then ask again.")                     \
    M(1710, E_CTL_SERVER_RUNS, ERR, CONFIG, "a server is at work on %s",       \
      "Stop httpd first (not gracefully), and start it again afterwards.")     \
    M(1711, E_CTL_NO_SET, ERR, CONFIG, "%s has no certificate yet",            \
      "See with acmectl show what it waits for.")                              \
    M(1712, E_CTL_TARGET, ERR, CONFIG, "cannot write to %s: %s",               \
      "Name another place, or make room in this one.")                         \
    M(1713, E_CTL_PHRASE, ERR, CONFIG, "there is no pass phrase: %s",          \
      "Give one with --passphrase-file or --passphrase-program, or run acmectl on a terminal, where it asks for one.") \
    M(1714, E_BACKUP_OPEN, ERR, CONFIG, "the backup %s cannot be opened: %s",  \
      "Check the pass phrase, and that the file is a whole backup of acmectl.") \
    M(1715, E_BACKUP_MAKE, ERR, LOCAL, "the backup cannot be encrypted: %s",   \
      "Check the OpenSSL configuration of this machine: scrypt and AES-256-GCM must be available, and 200 MB of memory.") \
    M(1716, E_RESTORE_NEWER, ERR, CONFIG, "nothing was restored, since the store has another, or a newer one, of: %s", \
      "Use --keep to restore what is not in the store, or --overwrite to put what is in the backup in place of it.") \
    M(1717, E_CTL_WORKER, ERR, CONFIG, "a new store needs to know the user of the server's children%s", \
      "Give it with --user, as the directive User of the server's configuration has it.") \
    M(1718, E_CTL_CODE, ERR, CONFIG, "there is no message with the number %s", \
      "List them with acmectl explain --all.")                                 \
    M(1719, E_RESTORE_HALF, WARNING, LOCAL, "interrupted before everything was restored", \
      "Restore again: what is there already is passed over.") \
    M(1720, W_CTL_TOO_MUCH, WARNING, LOCAL, "the server tells more than there is to tell of the %s certificates that it is configured with: its answer is passed over", \
      "What is shown is from the store. Where this comes again, somebody may have taken over a child of the server: stop it, and look for what the sites have run.")
/* clang-format on */
