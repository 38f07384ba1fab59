/* 1500-1799: events (15xx), requests and status (16xx), acmectl (17xx). See ../messages.h. */
#define ACME_MESSAGES_EVENT(M)                                                 \
    M(1500, I_ISSUED, NOTICE, NONE, "certificate issued by %s, valid until %s, for %s", "")
