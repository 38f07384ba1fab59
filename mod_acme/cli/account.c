/* Accounts at CAs: what there is, and what can be done with it. */
#include "cli/files.h"

#include <apr_strings.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/contact.h"
#include "core/encode.h"
#include "core/jws.h"
#include "core/key.h"
#include "engine/policy.h"

/* --- what there is ------------------------------------------------------------------ */

static const char *alias_of(const acme_account_t *account)
{
    const acme_policy_ca_t *ca = acme_policy_find_ca(account->directory_url);
    return ca && ca->alias ? ca->alias : NULL;
}

static int is_meant(const char *wanted, const char *dir,
                    const acme_account_t *account)
{
    const char *alias = alias_of(account);

    return !wanted || !strcmp(wanted, dir)
           || !strcmp(wanted, account->directory_url)
           || (alias && !strcasecmp(wanted, alias));
}

static const char *status_of(const acme_account_t *account)
{
    return account->state.closed ? "deactivated"
           : account->next_key   ? "key is being changed"
           : !account->state.kid ? "not registered"
                                 : "registered";
}

/* Never the key itself. */
static json_t *describe(const char *dir, const acme_account_t *account,
                        apr_pool_t *pool)
{
    const acme_account_state_t *state = &account->state;
    const char *thumbprint = NULL;
    acme_key_type_t type;
    acme_err_t *err = acme_jws_thumbprint(&thumbprint, account->key, pool);

    return json_pack(
        "{s:s, s:s?, s:s, s:s?, s:s, s:s?, s:s?, s:s?, s:s?, s:s?}", "name",
        dir, "alias", alias_of(account), "directory", account->directory_url,
        "url", state->kid, "status", status_of(account), "deactivated_at",
        state->closed ? acme_time_format(state->closed, pool) : NULL,
        "key_type",
        acme_key_type_of(&type, account->key) ? NULL : acme_key_type_name(type),
        "thumbprint", err ? NULL : thumbprint, "contacts", state->contacts,
        "terms", state->terms);
}

static const char *text_of(const json_t *account, const char *name,
                           const char *otherwise, apr_pool_t *pool)
{
    const char *text = acme_json_string(account, name);
    return text && *text ? acme_encode_printable(text, 1024, pool) : otherwise;
}

static void print_account(const json_t *account, apr_pool_t *pool)
{
    const char *closed = text_of(account, "deactivated_at", NULL, pool);

    printf("%s\n", text_of(account, "name", "?", pool));
    printf("  CA         %s\n", text_of(account, "directory", "?", pool));
    printf("  account    %s\n", text_of(account, "url", "-", pool));
    printf("  status     %s%s%s\n", text_of(account, "status", "?", pool),
           closed ? " at " : "", closed ? closed : "");
    printf("  key        %s, thumbprint %s\n",
           text_of(account, "key_type", "of another type", pool),
           text_of(account, "thumbprint", "?", pool));
    printf("  contacts   %s\n", text_of(account, "contacts", "none", pool));
    printf("  terms      %s\n", text_of(account, "terms", "-", pool));
}

/* @return how many there are; -1: it was told why that cannot be said */
static int list(ctl_t *ctl, const char *wanted, json_t *accounts)
{
    apr_array_header_t *dirs;
    acme_err_t *err = acme_store_list_accounts(&dirs, ctl->store, ctl->pool);
    int failed = 0;

    for (int i = 0; !err && i < dirs->nelts; i++) {
        const char *dir = APR_ARRAY_IDX(dirs, i, const char *);
        acme_account_t *account = NULL;
        acme_err_t *bad =
            acme_store_get_account(&account, ctl->store, dir, ctl->pool);
        if (!bad && account && is_meant(wanted, dir, account)
            && json_array_append_new(accounts,
                                     describe(dir, account, ctl->pool))) {
            bad = acme_err_make(ctl->pool, ACME_E_MEMORY, "telling an account",
                                NULL);
        }
        if (bad) {
            failed = 1;
            ctl_say_error(bad, ctl->pool);
        }
    }
    if (err) {
        ctl_say_error(err, ctl->pool);
    }
    return err || failed ? -1 : (int)json_array_size(accounts);
}

static ctl_exit_t run_show(ctl_t *ctl)
{
    const char *wanted = ctl->count ? ctl->operands[0] : NULL;
    json_t *accounts = json_array(), *one;
    int count = list(ctl, wanted, accounts);
    ctl_exit_t status = count < 0 ? CTL_FAILED : CTL_DONE;
    size_t i;

    if (ctl_option(ctl, "--json")) {
        json_t *all = json_pack("{s:O}", "accounts", accounts);
        json_dumpf(all, stdout, JSON_INDENT(1) | JSON_ENSURE_ASCII);
        puts("");
        json_decref(all);
    }
    else if (!count && wanted) {
        status = ctl_say(ctl, ACME_E_CTL_NO_ACCOUNT,
                         acme_encode_printable(wanted, 253, ctl->pool), NULL);
    }
    else if (!count) {
        puts("There is no account yet; one is registered for the first order.");
    }
    else {
        json_array_foreach(accounts, i, one)
        {
            print_account(one, ctl->pool);
        }
    }
    json_decref(accounts);
    return status;
}

/* --- what can be done --------------------------------------------------------------- */

static ctl_exit_t ask(ctl_t *ctl, acme_control_t *request, const char *ca)
{
    if (ca) {
        acme_control_set_text(request, "ca", ca, ctl->pool);
    }
    ctl_sign(ctl, request);
    return ctl_ask(ctl, request, NULL);
}

static const char *operand(const ctl_t *ctl, int index)
{
    return ctl->count > index ? ctl->operands[index] : NULL;
}

static ctl_exit_t run_import(ctl_t *ctl)
{
    acme_control_t request = { .action = "account-import" };
    EVP_PKEY *key;
    ctl_exit_t status =
        ctl_read_key(ctl, ctl->operands[0], &key, &request.secret);

    return status == CTL_DONE ? ask(ctl, &request, operand(ctl, 1)) : status;
}

static ctl_exit_t run_rollover(ctl_t *ctl)
{
    acme_control_t request = { .action = "account-rollover" };
    const char *name = ctl_option(ctl, "--type");
    acme_key_type_t type;

    if (name && acme_key_type_parse(&type, name)) {
        return ctl_usage(ctl,
                         "--type is ecdsa-p256, ecdsa-p384, rsa2048, rsa3072 "
                         "or rsa4096, not",
                         name);
    }
    if (name) {
        acme_control_set_text(&request, "type", acme_key_type_name(type),
                              ctl->pool);
    }
    return ask(ctl, &request, operand(ctl, 0));
}

static ctl_exit_t run_contact(ctl_t *ctl)
{
    acme_control_t request = { .action = "account-contact" };
    int none = ctl->count == 1 && !strcasecmp(ctl->operands[0], "none");
    const char *all = "";

    for (int i = 0; i < ctl->count && !none; i++) {
        const char *contact = acme_contact_of(ctl->operands[i], ctl->pool);
        if (!contact) {
            return ctl_usage(ctl,
                             "this is not a mail address:", ctl->operands[i]);
        }
        all = apr_pstrcat(ctl->pool, all, *all ? "," : "", contact, NULL);
    }
    acme_control_set_text(&request, "contacts", all, ctl->pool);
    return ask(ctl, &request, ctl_option(ctl, "--ca"));
}

/* Deactivation is for ever: RFC 8555 section 7.3.6. */
static int confirmed(const char *name)
{
    char answer[16] = "";

    printf("The account %s would be closed for ever, and with it orders and "
           "revocation by it.\nDeactivate it? Type yes: ",
           name);
    fflush(stdout);
    return fgets(answer, sizeof(answer), stdin) && !strcmp(answer, "yes\n");
}

static ctl_exit_t run_deactivate(ctl_t *ctl)
{
    acme_control_t request = { .action = "account-deactivate" };
    const char *wanted = operand(ctl, 0);

    if (!ctl_option(ctl, "--yes")) {
        if (!isatty(STDIN_FILENO)) {
            return ctl_usage(ctl, "deactivation is for ever: confirm it with",
                             "--yes");
        }
        if (!confirmed(wanted ? wanted : "at the CA")) {
            fputs("acmectl: nothing was done\n", stderr);
            return CTL_FAILED;
        }
    }
    return ask(ctl, &request, wanted);
}

static ctl_exit_t run_new(ctl_t *ctl)
{
    acme_control_t request = { .action = "account-new" };
    return ask(ctl, &request, operand(ctl, 0));
}

/* --- the commands ------------------------------------------------------------------- */

const ctl_command_t ctl_account_show = {
    .name = "account show",
    .operands = "[CA]",
    .most = 1,
    .summary = "list the accounts at CAs",
    .details = "Of each account: the directory of its CA, its URL, state, the "
               "type and\nthumbprint of its key (never the key), and the "
               "contacts that the CA was told.",
    .needs = CTL_NEEDS_STORE,
    .run = run_show,
    .options = { { "--json", NULL, "the same as JSON" } },
};

const ctl_command_t ctl_account_import = {
    .name = "account import",
    .operands = "FILE [CA]",
    .least = 1,
    .most = 2,
    .summary = "use an account that is there already",
    .details =
        "FILE holds its private key: PEM, also encrypted, or certbot's "
        "private_key.json.\nThe CA must know the key; none is registered. The "
        "account used before is put aside\nin the store, not closed.",
    .needs = CTL_ASKS,
    .run = run_import,
    .options = { CTL_PHRASE_OPTIONS },
};

const ctl_command_t ctl_account_rollover = {
    .name = "account rollover",
    .operands = "[CA]",
    .most = 1,
    .summary = "give an account a new key",
    .details =
        "The account stays the same, with its limits and authorizations. The "
        "type of the\nnew key is that of AcmeAccountKey, unless --type says "
        "another. Orders in progress\nmay come to an end first, for a minute.",
    .needs = CTL_ASKS,
    .run = run_rollover,
    .options = {
        { "--type", "TYPE", "ecdsa-p256, ecdsa-p384, rsa2048, rsa3072, rsa4096" },
    },
};

const ctl_command_t ctl_account_contact = {
    .name = "account contact",
    .operands = "ADDRESS ... | none",
    .least = 1,
    .most = 16,
    .summary = "tell the CA other contacts of an account",
    .details = "They hold until AcmeContact is changed; from then on that "
               "directive holds.",
    .needs = CTL_ASKS,
    .run = run_contact,
    .options = {
        { "--ca", "CA", "its alias, directory URL, or the account's directory" },
    },
};

const ctl_command_t ctl_account_deactivate = {
    .name = "account deactivate",
    .operands = "[CA]",
    .most = 1,
    .summary = "close an account for ever",
    .details =
        "Certificates stay valid, and in service. Nothing more is ordered with "
        "the account,\nand no other is made by itself: see account import and "
        "account new.",
    .needs = CTL_ASKS,
    .run = run_deactivate,
    .options = { { "--yes", NULL, "do not ask" } },
};

const ctl_command_t ctl_account_new = {
    .name = "account new",
    .operands = "[CA]",
    .most = 1,
    .summary = "have a new account made in place of a closed one",
    .details = "The closed one is put aside in the store. One that is in good "
               "order is not left\nbehind: deactivate it first.",
    .needs = CTL_ASKS,
    .run = run_new,
};
