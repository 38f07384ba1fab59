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
      "See what became of it with acmectl show, and ask again where it is still wanted.")
/* clang-format on */
