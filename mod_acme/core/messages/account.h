/* 1750-1779: accounts and revocation, as acmectl asks for them. See ../messages.h. */
/* clang-format off */
#define ACME_MESSAGES_ACCOUNT(M)                                               \
    M(1750, I_CONTACTS_SET, NOTICE, NONE, "the CA was told other contacts of the account: %s%s", "") \
    M(1751, I_ROLLED_OVER, NOTICE, NONE, "the account has a new key: %s, thumbprint %s%s", "") \
    M(1752, I_DEACTIVATED, NOTICE, NONE, "the account %s was deactivated%s", "") \
    M(1753, I_IMPORTED, NOTICE, NONE, "the account %s is used from now on%s", "") \
    M(1754, I_ACCOUNT_ASIDE, NOTICE, NONE, "the account was put aside, and a new one will be registered%s", "") \
    M(1755, I_REVOKED, NOTICE, NONE, "the certificate with serial %s was revoked (%s)%s", "") \
    M(1756, W_ROLLOVER_FOUND, NOTICE, NONE, "a change of the account's key was begun, and what became of it is not known; the CA is asked", "") \
    M(1757, E_ACCOUNT_BUSY, NOTICE, LOCAL, "the account %s is being changed", \
      "Nothing: what waits for it goes on by itself.")                         \
    M(1758, E_ACCOUNT_DEACTIVATED, ERR, CONFIG, "the account at this CA was deactivated by acmectl at %s, and no other is made by itself", \
      "Use another account: acmectl account import, or acmectl account new for one that is registered then; or choose another CA with AcmeCA.") \
    M(1759, E_ACCOUNT_NONE, ERR, CONFIG, "there is no account at %s; there are: %s", \
      "Name the CA by its alias, directory URL, or by the directory of the account, as acmectl account show lists them.") \
    M(1760, E_ACCOUNT_WHICH, ERR, CONFIG, "there are several accounts: %s",    \
      "Say which is meant, by the alias or directory URL of its CA, or by one of these names.") \
    M(1761, E_ACCOUNT_OWN, ERR, CONFIG, "the key of this account is in %s, which AcmeAccountKey names and acmectl does not change", \
      "Take the file out of AcmeAccountKey, reload the server, and import it: acmectl account import FILE; then it can be changed.") \
    M(1762, E_ACCOUNT_OPEN, ERR, CONFIG, "the account %s is in good order, and not left behind for a new one", \
      "Deactivate it first: acmectl account deactivate. For another key of the same account: acmectl account rollover.") \
    M(1763, E_IMPORT_UNKNOWN, ERR, CONFIG, "the CA at %s knows no account with this key, and none was made; nothing was changed", \
      "Check that it is the right key, and that it was registered with this CA (staging and production are two).") \
    M(1764, E_REQUEST_ARGUMENT, WARNING, CONFIG, "the request cannot be carried out: its %s is missing, or not what it can be", \
      "Use an acmectl of the same version as the module.")                     \
    M(1765, E_REVOKE_NONE, WARNING, CONFIG, "there is no certificate of %s to be revoked", \
      "See what there is with acmectl status.")                                \
    M(1766, E_REVOKE_KEY, ERR, CONFIG, "the key belongs to none of the newest certificates of %s", \
      "Give the private key of the certificate that is to be revoked.")        \
    M(1767, E_REVOKE_ACCOUNT, ERR, CONFIG, "no account at the CA that issued the certificate (%s) is at hand", \
      "Revoke it by its own key: acmectl revoke NAME --key FILE.") \
    M(1768, E_CTL_FILE, ERR, CONFIG, "cannot use the file %s: %s",             \
      "Check the path, and that it is the file that the command needs.") \
    M(1769, E_CTL_NO_ACCOUNT, ERR, CONFIG, "there is no account at %s",        \
      "See all of them with acmectl account show.")
/* clang-format on */
