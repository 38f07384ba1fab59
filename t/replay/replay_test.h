/**
 * What the test programs of orders ask of a replay: the CA's rules go in, the
 * order has come to its end or to one error, and no proof is left visible.
 */
#ifndef REPLAY_TEST_H
#define REPLAY_TEST_H

#include "core_test.h"

#include "replay.h"

static inline void assert_done(const replay_t *replay)
{
    if (replay->error) {
        fail_msg("%s", acme_err_line(replay->error, pool));
    }
    assert_non_null(replay->chain_pem);
    assert_int_equal(apr_hash_count(replay->ca->visible), 0);
}

static inline void assert_failed(const replay_t *replay, acme_msg_t msg)
{
    assert_null(replay->chain_pem);
    assert_non_null(replay->error);
    if (replay->error->msg != msg) {
        fail_msg("%s", acme_err_line(replay->error, pool));
    }
    assert_int_equal(apr_hash_count(replay->ca->visible), 0);
}

/** @param rules  what the CA does wrong; NULL: nothing */
static inline replay_t *run(const char *names, const ca_rule_t *rules)
{
    replay_t *replay = replay_create(names, pool);

    replay->ca->rules = rules;
    replay_run(replay);
    return replay;
}

#endif
