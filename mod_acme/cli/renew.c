#include "cli/acmectl.h"

static ctl_exit_t run_renew(ctl_t *ctl)
{
    acme_control_t request = { .action = "renew" };

    ctl_sign(ctl, &request);

    if (ctl_option(ctl, "--all")) {
        acme_control_set_flag(&request, "all", ctl->pool);
    }
    else {
        request.certificate = ctl->operands[0];
    }
    if (ctl_option(ctl, "--now")) {
        acme_control_set_flag(&request, "now", ctl->pool);
    }
    return ctl_ask(ctl, &request, NULL);
}

const ctl_command_t ctl_renew = {
    .name = "renew",
    .operands = "NAME | --all",
    .least = 1,
    .most = 1,
    .instead = "--all",
    .summary = "order a certificate anew, and wait for it",
    .details =
        "The server orders the certificate called NAME (or one that has this "
        "name) at\nonce, whether or not it is due and whatever became of the "
        "attempt before. Where\nthe limits that the CA publishes are used up, "
        "it waits until there is room again.",
    .needs = CTL_ASKS,
    .run = run_renew,
    .options = {
        { "--all", NULL, "every certificate that the server manages" },
        { "--now", NULL, "do not wait for limits of the CA: ask and see" },
    },
};
