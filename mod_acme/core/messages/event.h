/* 1500-1699: events (15xx), requests and status (16xx). See ../messages.h. */
/* clang-format off */
#define ACME_MESSAGES_EVENT(M)                                                 \
    M(1500, I_ISSUED, NOTICE, NONE, "certificate with serial %s issued by %s, valid until %s, for %s", "") \
    M(1501, I_STARTED, INFO, NONE, "looking after %s certificates, %s orders in progress", "") \
    M(1502, I_ORDER_BEGUN, INFO, NONE, "order begun (%s)", "")                 \
    M(1503, I_ORDER_RESUMED, INFO, NONE, "order in progress is taken up again, %s", "") \
    M(1504, E_ORDER_CHANGED, NOTICE, LOCAL, "the order in progress was given up, because the configuration is another now", \
      "Nothing need be done: the certificate is ordered anew as configured.")  \
    M(1505, W_WORK_DAMAGED, WARNING, LOCAL, "the order in progress cannot be taken up again, so it is begun anew: %s", \
      "Nothing need be done. If it comes again, check the disk and who else writes to AcmeStore.") \
    M(1506, W_ACCOUNT_DAMAGED, WARNING, LOCAL, "the account %s cannot be used any more, so a new one is made: %s", \
      "If the old account matters (limits, CAA records), restore AcmeStore from a backup.") \
    M(1507, I_ACCOUNT, NOTICE, NONE, "account at the CA is %s", "")            \
    M(1508, E_NO_PROOF, ERR, CONFIG, "there is no way to prove control of %s (%s) to the CA: %s", \
      "One way is enough: let port 80 or 443 of this name reach the server (Listen, firewall, router, AcmePortMap), or set up AcmeDnsCommand, without which no wildcard can be proved. Where AcmeChallenges is written, it must name that way.") \
    M(1509, E_JOB_DOC, WARNING, LOCAL, "the file of earlier failures is damaged: %s", \
      "Nothing need be done: it is written anew.")                             \
    M(1510, W_JOB_DAMAGED, WARNING, LOCAL, "what was known of earlier failures is lost: %s", \
      "Nothing need be done. If it comes again, check the disk and who else writes to AcmeStore.") \
    M(1511, I_REQUESTED, NOTICE, NONE, "renewal asked for%s (request %s)", "")   \
    M(1512, E_REQUEST_NAME, WARNING, CONFIG, "this server manages no certificate named %s", \
      "Look at the status page for the names of certificates; a host needs AcmeManage on, and the server a reload after that.") \
    M(1513, E_REQUEST_ACTION, WARNING, CONFIG, "unknown request %s",           \
      "Use an acmectl of the same version as the module.")                     \
    M(1514, E_SET_USELESS, WARNING, LOCAL, "the certificate just issued is to be replaced at once: %s", \
      "It serves until then. Check this server's clock, AcmeRenew, and what the CA issues: its dates, key type and names.") \
    M(1515, E_CLOCK_BACK, WARNING, LOCAL, "the clock was set back by %s, so everything is planned anew", \
      "Nothing, if the clock is right now. If it comes again, check what sets it.") \
    M(1516, W_ACCOUNT_SETTINGS, WARNING, CONFIG, "%s shares the account of %s at its CA but not%s: the settings of %s hold for the account", \
      "Give all certificates of one CA the same AcmeContact, AcmeCATrustFile, AcmeProxy and type in AcmeAccountKey.") \
    M(1517, I_STOPPED, DEBUG, LOCAL, "stopped before all certificates were looked at", "") \
    M(1518, E_COMMAND_START, ERR, LOCAL, "cannot run the program %s",          \
      "Check that the program is there, that the user of the server's children may execute it and enter every folder above it, and that the interpreter in its first line exists.") \
    M(1519, E_COMMAND_FAILED, WARNING, LOCAL, "the program %s failed: it ended with %s", \
      "Read what it says in the lines before; run it by hand as the user of the server's children.") \
    M(1520, E_COMMAND_TIME, WARNING, LOCAL, "the program %s had not ended after %s and was ended", \
      "Find out what it waits for: run it by hand as the user of the server's children, with nothing on its standard input.") \
    M(1521, I_COMMAND_OUTPUT, INFO, NONE, "%s says: %s", "")                   \
    M(1522, I_TXT_PUBLISHED, INFO, NONE, "TXT record %s published", "")        \
    M(1523, I_TXT_REMOVED, INFO, NONE, "TXT record %s removed", "")            \
    M(1524, E_TXT_LEFT, ERR, LOCAL, "the TXT record %s with the value %s could not be removed in a week of attempts", \
      "Remove it by hand, and see what the program of AcmeDnsCommand has said to teardown.") \
    M(1525, W_JOURNAL_DAMAGED, WARNING, LOCAL, "the entry %s of the journal cannot be read: %s", \
      "A DNS record of an earlier challenge may have been left behind: remove old values at _acme-challenge by hand.") \
    M(1526, W_PERSIST_WANTED, WARNING, CONFIG, "%s",                           \
      "Create exactly this TXT record, once; it serves all later renewals.")   \
    M(1527, W_PERSIST_ENDS, WARNING, CONFIG, "the TXT record %s proves control only until %s: later renewals will fail", \
      "Write a later persistUntil into it, or none.") \
    M(1530, I_ARI_WINDOW, DEBUG, NONE, "the CA suggests to renew between %s and %s; planned for %s", "") \
    M(1531, I_ARI_EARLY, NOTICE, NONE, "the CA wants this certificate renewed between %s and %s; planned for %s%s", \
      "Nothing need be done; read the CA's explanation, if it gives one.")     \
    M(1532, W_ARI_RUSH, WARNING, CA_RETRY, "the CA wants a certificate renewed that it has just renewed early; put off until %s", \
      "It is renewed then. If it comes again, ask the CA why, or do without its suggestions by AcmeRenew ... noari.") \
    M(1533, W_ARI_DAMAGED, NOTICE, LOCAL, "what the CA last suggested is lost, so it is asked again: %s", \
      "Nothing need be done. If it comes again, check the disk and who else writes to AcmeStore.") \
    M(1534, I_LIMIT_HELD, NOTICE, NONE, "held back, since the CA allows no more (%s): next possible at %s; %s certificates wait for this CA", \
      "Nothing need be done: it goes on by itself, those that expire first before the others.") \
    M(1535, W_LIMITS_DAMAGED, WARNING, LOCAL, "what was known of the limits of the CA %s is lost: %s", \
      "Nothing need be done: the CA refuses what is too much. If it comes again, check the disk and who else writes to AcmeStore.") \
    M(1545, I_CONTACTS, NOTICE, NONE, "the CA was told the contacts of the account: %s", "") \
    M(1546, I_TERMS_AGREED, NOTICE, NONE, "the CA was told that its terms of service at %s are agreed to", "") \
    M(1547, W_CA_TURNED, WARNING, NONE, "%s is asked now, because %s failed: %s", \
      "Nothing, if it passes: the other CA is asked again later. Else see what is said of its failure.") \
    M(1548, E_ORDER_ELSEWHERE, INFO, LOCAL, "the order in progress at another CA is left", \
      "Nothing need be done.") \
    M(1560, I_NEXT_KEY, NOTICE, NONE, "the next key is ready: TLSA 3 1 1 %s is in use, TLSA 3 1 1 %s will be with the next certificate; publish both now", "") \
    M(1561, W_NAME_LEFT_OUT, WARNING, NONE, "the certificate goes on without %s (%s); adding it is tried again at %s", \
      "Mend what is wrong with the name, or remove it from the host (ServerAlias). To have all names or no certificate, write AcmeBadNames fail.") \
    M(1562, I_NAME_BACK, NOTICE, NONE, "%s is in the certificate again", "") \
    M(1563, I_EVENT_TOLD, INFO, NONE, "%s was told of the event %s", "") \
    M(1564, W_EVENTS_DROPPED, WARNING, LOCAL, "%s events wait for their programs already, so that %s is not told of the event %s", \
      "See what the programs of AcmeOn wait for; the event is raised again later.") \
    M(1565, W_EXPIRING, WARNING, LOCAL, "the certificate %s %s, and there is none yet to follow it (%s)", \
      "See the messages of the attempts before, or the status page, and mend what they say; this is told daily until then.") \
    M(1566, E_GATE_REFUSED, WARNING, LOCAL, "the challenge %s is not answered, because AcmeOn challenge-open refused: %s", \
      "See what the program said in the lines before; run it by hand as the user of the server's children.") \
    M(1567, I_GATE_OPEN, INFO, NONE, "opened for %s (local port %s) by AcmeOn challenge-open", "") \
    M(1568, I_GATE_SHUT, INFO, NONE, "shut again after %s (local port %s) by AcmeOn challenge-close", "") \
    M(1569, E_GATE_OPEN_STILL, ERR, LOCAL, "what was opened for %s (local port %s) may be open still: %s; it is to be shut again at %s", \
      "Nothing, if that works. Else shut it by hand, and see what the program of AcmeOn challenge-close says.") \
    M(1570, E_GATE_LEFT, ERR, LOCAL, "what was opened for %s (local port %s) could not be shut in a week of attempts", \
      "Shut it by hand, and see what the program of AcmeOn challenge-close has said.") \
    M(1571, E_HOOK_UNSAFE, ERR, CONFIG, "%s is not run as root for the event installed: %s", \
      "Let the program and every folder above it belong to root, with nobody else allowed to write there: chown root, chmod go-w.") \
    M(1600, W_HITS_MEMORY, WARNING, LOCAL, "cannot get %s octets of shared memory for the visits of CAs, so none are recorded", \
      "Certificates are issued all the same. Free memory or raise its limit, then restart.")
/* clang-format on */
