/* Revocation and changes of an account, with a CA that answers anything. The
 * first line of the input says what is to be done. */
#include "fuzz.h"

#include "core/errand.h"
#include "message.h"

#define MAX_STEPS 1000
#define BEGIN     apr_time_from_sec(1795334400)

static void set_up(acme_errand_config_t *config, const char *options,
                   apr_pool_t *pool)
{
    static const unsigned char CERTIFICATE[] = "0123";

    *config = (acme_errand_config_t){
        .kind = (acme_errand_kind_t)(abs(atoi(options)) % 5),
        .directory_url = "https://ca.test/directory",
        .key = fuzz_key(),
        .new_key = fuzz_key(),
        .kid = strchr(options, 'k') ? "https://ca.test/account/1" : NULL,
        .contacts = apr_array_make(pool, 1, sizeof(const char *)),
        .doubted = strchr(options, 'd') != NULL,
        .by_certificate = strchr(options, 'c') != NULL,
        .certificate = CERTIFICATE,
        .len = sizeof(CERTIFICATE),
        .reason = strchr(options, 'r') ? 1 : -1,
    };
    config->by_certificate &= config->kind == ACME_ERRAND_REVOKE;
    APR_ARRAY_PUSH(config->contacts, const char *) = "mailto:a@shop.example";
}

void fuzz_errand(const char *data, apr_size_t len, apr_pool_t *pool)
{
    char *rest = apr_pstrdup(pool, data);
    const char *options = fuzz_part(&rest, '\n');
    fuzz_script_t *script = fuzz_script(rest ? rest : "", pool);
    apr_time_t now = BEGIN;
    acme_errand_config_t config;
    acme_errand_step_t step;
    acme_errand_t *errand;
    int steps = 0;

    (void)len;
    set_up(&config, options, pool);
    errand = acme_errand_create(&config, pool);
    for (;;) {
        acme_reply_t reply;

        FUZZ_MUST(steps++ < MAX_STEPS);
        acme_errand_next(&step, errand, now, pool);
        if (step.state == ACME_ERRAND_SEND) {
            fuzz_script_answer(script, step.label, &reply, pool);
            acme_errand_feed(errand, &reply, now);
            fuzz_ok(acme_errand_trouble(errand), pool);
        }
        else if (step.state == ACME_ERRAND_WAIT) {
            FUZZ_MUST(step.until > now);
            now = step.until;
        }
        else {
            break;
        }
    }
    FUZZ_MUST(!step.error == (step.state == ACME_ERRAND_DONE));
    fuzz_ok(step.error, pool);
    acme_errand_was_done(errand);
    acme_errand_is_unclear(errand);
}
