#include "cli/acmectl.h"

#include "core/reason.h"

static ctl_exit_t run_revoke(ctl_t *ctl)
{
    acme_control_t request = { .action = "revoke",
                               .certificate = ctl->operands[0] };
    const char *reason = ctl_option(ctl, "--reason");
    const char *file = ctl_option(ctl, "--key");
    EVP_PKEY *key;
    int number;

    if (reason) {
        if (acme_reason_parse(&number, reason)) {
            return ctl_usage(ctl,
                             "--reason is one of unspecified, keyCompromise, "
                             "affiliationChanged, superseded, "
                             "cessationOfOperation, certificateHold, "
                             "privilegeWithdrawn, or its number, not",
                             reason);
        }
        acme_control_set_number(&request, "reason", number, ctl->pool);
    }
    if (file) {
        ctl_exit_t status = ctl_read_key(ctl, file, &key, &request.secret);
        if (status != CTL_DONE) {
            return status;
        }
    }
    ctl_sign(ctl, &request);
    return ctl_ask(ctl, &request, NULL);
}

const ctl_command_t ctl_revoke = {
    .name = "revoke",
    .operands = "NAME",
    .least = 1,
    .most = 1,
    .summary = "revoke a certificate at its CA",
    .details =
        "The newest certificate of NAME is revoked; both, where there is one "
        "of each key\ntype. While a virtual host uses it (and AcmeRenewMode is "
        "not manual), another is\nordered at once, and the revoked one serves "
        "until that is there. If the reason is\nkeyCompromise, the other one "
        "has another key, also with AcmeKeyReuse on.\n\nIt is revoked by the "
        "account that ordered it. Where that is lost or closed, by\nthe "
        "certificate's own key: --key.",
    .needs = CTL_ASKS,
    .run = run_revoke,
    .options = {
        { "--reason", "REASON", "keyCompromise, superseded, cessationOfOperation ..." },
        { "--key", "FILE", "private key of the certificate, PEM: no account is needed" },
        { "--pass-file", "FILE", "its first line is the pass phrase of the key" },
    },
};
