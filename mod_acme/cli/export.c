/* Certificates for other daemons. */
#include "cli/files.h"
#include "cli/survey.h"
#include "cli/trail.h"

#include <apr_strings.h>
#include <grp.h>
#include <openssl/crypto.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <stdio.h>
#include <string.h>

typedef struct export_t {
    ctl_t *ctl;
    const acme_set_t *set;
    const char *name;
    const char *key, *full; /* PEM */
    const char *leaf, *issuers;
    mode_t secret_mode;
    gid_t group;
} export_t;

/* --- which ------------------------------------------------------------------------- */

/* @return 0: nothing of this kind is asked for */
static int wants(const ctl_t *ctl, acme_family_t family)
{
    const char *type = ctl_option(ctl, "--type");
    return !type || !strcmp(type, acme_family_name(family));
}

/* @param set  only what may be exported */
static acme_err_t *get_set(acme_set_t **set, ctl_t *ctl, const char *dir,
                           acme_family_t family)
{
    acme_set_t *found;

    ACME_TRY(acme_store_get_set(&found, ctl->store, dir, family, ctl->pool));
    if (found && found->record->from == ACME_RECORD_FRESH) {
        ACME_TRY(ctl_check_fresh(ctl, dir, family, found));
    }
    *set = found;
    return NULL;
}

static ctl_exit_t choose(ctl_t *ctl, const char *dir, acme_set_t **set)
{
    for (int i = 0; i < ACME_FAMILIES; i++) {
        acme_err_t *err = wants(ctl, (acme_family_t)i)
                              ? get_set(set, ctl, dir, (acme_family_t)i)
                              : NULL;
        if (err) {
            return ctl_say_error(err, ctl->pool);
        }
        if (*set) {
            return CTL_DONE;
        }
    }
    return ctl_say(ctl, ACME_E_CTL_NO_SET, ctl_identity(ctl, dir, ctl->pool),
                   NULL);
}

static acme_err_t *to_pem(export_t *export, apr_pool_t *pool)
{
    const acme_chain_t *chain = export->set->chain;
    acme_chain_t leaf = { chain->leaf, sk_X509_new_null() };

    ACME_TRY(acme_key_to_pem(&export->key, export->set->key, pool));
    ACME_TRY(acme_chain_to_pem(&export->full, chain, pool));
    acme_err_t *err = acme_chain_to_pem(&export->leaf, &leaf, pool);
    sk_X509_free(leaf.issuers);
    if (!err) {
        export->issuers = export->full + strlen(export->leaf);
    }
    return err;
}

/* --- how ----------------------------------------------------------------------------- */

static ctl_file_t text_file(const export_t *export, const char *name,
                            const char *text, int secret)
{
    return (ctl_file_t){ name, secret ? export->secret_mode : 0644,
                         secret ? export->group : CTL_NO_GROUP, text,
                         strlen(text) };
}

static ctl_exit_t put_directory(export_t *export, const char *path)
{
    const ctl_file_t files[] = {
        text_file(export, "cert.pem", export->leaf, 0),
        text_file(export, "chain.pem", export->issuers, 0),
        text_file(export, "fullchain.pem", export->full, 0),
        text_file(export, "privkey.pem", export->key, 1),
    };
    size_t len = strlen(path);

    while (len > 1 && path[len - 1] == '/') {
        len--;
    }
    return ctl_put_dir(export->ctl, apr_pstrndup(export->ctl->pool, path, len),
                       files, 4);
}

static ctl_exit_t put_pem(export_t *export, const char *path)
{
    const ctl_file_t file = text_file(
        export, NULL,
        apr_pstrcat(export->ctl->pool, export->full, export->key, NULL), 1);
    return ctl_put_file(export->ctl, path, &file);
}

static ctl_exit_t put_pkcs12(export_t *export, const char *path)
{
    ctl_t *ctl = export->ctl;
    const char *phrase = NULL;
    unsigned char *der = NULL;
    ctl_exit_t status = ctl_option(ctl, "--no-passphrase")
                            ? CTL_DONE
                            : ctl_choose_phrase(ctl, &phrase);

    if (status != CTL_DONE) {
        return status;
    }
    PKCS12 *p12 = PKCS12_create(phrase ? phrase : "", export->name,
                                export->set->key, export->set->chain->leaf,
                                export->set->chain->issuers, 0, 0, 0, 0, 0);
    int len = p12 ? i2d_PKCS12(p12, &der) : -1;
    PKCS12_free(p12);
    if (len <= 0) {
        return ctl_say_error(acme_err_ssl(ctl->pool, ACME_E_MEMORY,
                                          "making a PKCS#12 file", NULL),
                             ctl->pool);
    }
    const ctl_file_t file = { NULL, export->secret_mode, export->group, der,
                              (apr_size_t)len };
    status = ctl_put_file(ctl, path, &file);
    OPENSSL_clear_free(der, (size_t)len);
    return status;
}

/* Each place that has the key now. */
static ctl_exit_t record(const export_t *export, const char *to)
{
    ctl_t *ctl = export->ctl;
    const acme_record_t *set = export->set->record;
    const char *subject = apr_pstrcat(
        ctl->pool, "[", export->name, "/",
        acme_family_name(acme_key_family(set->key_type)), "]", NULL);
    ctl_entry_t entry = ctl_entry(ctl, ACME_I_EXPORTED, subject, set->serial,
                                  to, ctl_asked_by(ctl), NULL);
    return ctl_record_entry(ctl, &entry);
}

static ctl_exit_t put_all(export_t *export)
{
    static const struct {
        const char *option;
        ctl_exit_t (*put)(export_t *export, const char *path);
    } KINDS[] = { { "--dir", put_directory },
                  { "--pem", put_pem },
                  { "--pkcs12", put_pkcs12 } };
    ctl_t *ctl = export->ctl;
    ctl_exit_t status = CTL_DONE;

    for (size_t i = 0; i < sizeof(KINDS) / sizeof(KINDS[0]); i++) {
        const char *path = ctl_option(ctl, KINDS[i].option);
        if (path && status == CTL_DONE) {
            status = KINDS[i].put(export, path);
            status = status == CTL_DONE ? record(export, path) : status;
        }
    }
    if (status == CTL_DONE) {
        printf("done: %s, serial %s, valid until %s\n", export->name,
               export->set->record->serial,
               acme_time_format(export->set->record->not_after, ctl->pool));
    }
    return status;
}

static ctl_exit_t choose_group(export_t *export)
{
    const char *name = ctl_option(export->ctl, "--group");
    const struct group *group = name ? getgrnam(name) : NULL;

    if (name && !group) {
        return ctl_usage(export->ctl, "there is no group", name);
    }
    export->group = group ? group->gr_gid : CTL_NO_GROUP;
    export->secret_mode = group ? 0640 : 0600;
    return CTL_DONE;
}

static ctl_exit_t run_export(ctl_t *ctl)
{
    const char *type = ctl_option(ctl, "--type");
    export_t export = { .ctl = ctl };
    acme_set_t *set = NULL;
    const char *dir;

    if (!ctl_option(ctl, "--dir") && !ctl_option(ctl, "--pem")
        && !ctl_option(ctl, "--pkcs12")) {
        return ctl_usage(ctl, "say where to: --dir, --pem or --pkcs12", NULL);
    }
    if (type && strcmp(type, "ecdsa") && strcmp(type, "rsa")) {
        return ctl_usage(ctl, "--type is ecdsa or rsa, not", type);
    }
    ctl_exit_t status = choose_group(&export);
    if (status == CTL_DONE) {
        status = ctl_find(ctl, ctl->operands[0], &dir);
    }
    if (status == CTL_DONE) {
        status = choose(ctl, dir, &set);
    }
    if (!set) {
        return status; /* told */
    }
    export.set = set;
    export.name = set->record->name;
    acme_err_t *err = to_pem(&export, ctl->pool);
    return err ? ctl_say_error(err, ctl->pool) : put_all(&export);
}

const ctl_command_t ctl_export = {
    .name = "export",
    .operands = "NAME",
    .least = 1,
    .most = 1,
    .summary = "write a certificate and its key to files, for another daemon",
    .details =
        "The newest set is written, whole or not at all; the daemon has to read "
        "it anew then\n(AcmeOn installed can do both). Keys are readable by "
        "root alone, or by a group.",
    .needs = CTL_NEEDS_STORE,
    .run = run_export,
    .options = {
        { "--dir", "DIR", "cert.pem chain.pem fullchain.pem privkey.pem in DIR, "
                          "which has nothing else" },
        { "--pem", "FILE", "one file with the chain and the key" },
        { "--pkcs12", "FILE", "one PKCS#12 file, encrypted with a pass phrase" },
        { "--no-passphrase", NULL, "PKCS#12 with an empty pass phrase" },
        CTL_PHRASE_OPTIONS,
        { "--type", "TYPE", "ecdsa or rsa, where there are both (ecdsa)" },
        { "--group", "GROUP", "may read the key, too" },
    },
};
