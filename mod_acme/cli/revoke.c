#include "cli/revoke.h"

#include "cli/files.h"
#include "cli/survey.h"

#include "core/reason.h"

static ctl_exit_t run_revoke(ctl_t *ctl)
{
    acme_control_t request = { .action = "revoke",
                               .certificate = ctl->operands[0] };
    const char *reason = ctl_option(ctl, "--reason");
    const char *file = ctl_option(ctl, "--key");
    EVP_PKEY *key = NULL;
    int number = ACME_REASON_NONE;

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
    if (!ctl_server_comes(ctl)) {
        return ctl_revoke_alone(ctl, key, number);
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
        "certificate's own key: --key. Where no server runs, it is revoked by its "
        "own key,\nwhich the store has.",
    .needs = CTL_ASKS,
    .run = run_revoke,
    .options = {
        { "--reason", "REASON", "keyCompromise, superseded, cessationOfOperation ..." },
        { "--key", "FILE", "private key of the certificate, PEM: no account is needed" },
        CTL_PHRASE_OPTIONS,
        { "--trust-file", "FILE", "AcmeCATrustFile, where no server runs (the system's trust)" },
        { "--proxy", "URL", "AcmeProxy, where no server runs (none)" },
    },
};
