/* A whole order against a CA that answers anything, with a process that dies on
 * the way: what t/replay does, with replies from the input. Its first line is the
 * moment of death, and how the client is set up. */
#include "fuzz.h"

#include "../replay/replay.h"
#include "message.h"

/* Letters of the first line. */
static void set_up(replay_t *replay, const char *options)
{
    replay->kill_at = atoi(options);
    replay->wanted.must_staple = strchr(options, 'm') != NULL;
    replay->wanted.profile = strchr(options, 'p') ? "short" : NULL;
    replay->wanted.profile_required = strchr(options, 'r') != NULL;
    replay->wanted.preferred_chain = strchr(options, 'c') ? "Other Root" : NULL;
    replay->wanted.replaces = strchr(options, 'a') ? "aYhb.AIdl" : NULL;
    replay->unpublishable = strchr(options, 'h') ? "http-01" : NULL;
    replay->busy = strchr(options, 'b') ? 2 : 0;
    replay->newest_first = strchr(options, 'n') != NULL;
    replay->account.adopted = strchr(options, 'k') != NULL;
    if (strchr(options, 'e')) {
        replay->account.eab_kid = "kid";
        replay->account.eab_hmac = "c2VjcmV0";
    }
}

static void answer(void *script, const char *label, const acme_wire_t *wire,
                   acme_reply_t *reply, apr_pool_t *pool)
{
    (void)wire;
    fuzz_script_answer(script, label, reply, pool);
}

void fuzz_order(const char *data, apr_size_t len, apr_pool_t *pool)
{
    char *rest = apr_pstrdup(pool, data);
    const char *options = fuzz_part(&rest, '\n');
    replay_t *replay = replay_create("shop.example *.shop.example", pool);

    (void)len;
    replay->account.key = replay->wanted.key = fuzz_key();
    replay->answer = answer;
    replay->baton = fuzz_script(rest ? rest : "", pool);
    set_up(replay, options);
    replay_run(replay);
    FUZZ_MUST(!replay->chain_pem != !replay->error);
    fuzz_ok(replay->error, pool);
}
