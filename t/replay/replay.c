#include "replay.h"

#include <apr_strings.h>
#include <stdlib.h>
#include <string.h>

#include "core/encode.h"
#include "core/key.h"
#include "core/reaction.h"

#define MUST(expr)                                                             \
    do {                                                                       \
        if (!(expr)) {                                                         \
            abort();                                                           \
        }                                                                      \
    } while (0)

#define MOST_REQUESTS 30000 /* more come of a loop without end */

static apr_array_header_t *parse_names(const char *names, apr_pool_t *pool)
{
    apr_array_header_t *idents =
        apr_array_make(pool, 4, sizeof(acme_ident_t *));
    char *copy = apr_pstrdup(pool, names), *next = NULL, *name;

    for (name = apr_strtok(copy, " ", &next); name;
         name = apr_strtok(NULL, " ", &next)) {
        acme_ident_t *ident;

        MUST(!acme_ident_parse(&ident, name, pool));
        APR_ARRAY_PUSH(idents, acme_ident_t *) = ident;
    }
    return idents;
}

static const acme_proofs_t *proofs_of_all(const apr_array_header_t *idents,
                                          apr_pool_t *pool)
{
    const acme_proofs_t usual = {
        { ACME_PROOF_HTTP_01, ACME_PROOF_TLS_ALPN_01, ACME_PROOF_DNS_01 }, 3
    };
    acme_proofs_t *proofs =
        apr_palloc(pool, sizeof(*proofs) * (size_t)idents->nelts);
    int i;

    for (i = 0; i < idents->nelts; i++) {
        proofs[i] = usual;
    }
    return proofs;
}

replay_t *replay_create(const char *names, apr_pool_t *pool)
{
    replay_t *replay = apr_pcalloc(pool, sizeof(*replay));
    replay->pool = pool;
    replay->ca = ca_create(pool);
    replay->start = replay->now = replay->ca->now;
    replay->max_steps = 20000;
    replay->transcript = apr_pcalloc(pool, 1);
    replay->queue = apr_array_make(pool, 8, sizeof(acme_request_t *));

    replay->account.directory_url = CA_DIRECTORY;
    replay->account.agree_terms = 1;
    replay->account.contacts = apr_array_make(pool, 1, sizeof(const char *));
    MUST(!acme_key_make(&replay->account.key, ACME_KEY_ECDSA_P256, pool));

    replay->wanted.idents = parse_names(names, pool);
    replay->wanted.proofs = proofs_of_all(replay->wanted.idents, pool);
    MUST(!acme_key_make(&replay->wanted.key, ACME_KEY_ECDSA_P256, pool));
    return replay;
}

int replay_seconds(const replay_t *replay)
{
    return (int)apr_time_sec(replay->now - replay->start);
}

/* --- the process: it starts, and may be killed ---------------------------- */

static void keep_account(replay_t *replay, const acme_account_state_t *account)
{
    apr_pool_t *pool = replay->pool;

    replay->disk_saved = 1;
    replay->disk_kid = apr_pstrdup(pool, account->kid);
    replay->disk_account = (acme_account_state_t){
        replay->disk_kid, apr_pstrdup(pool, account->contacts),
        apr_pstrdup(pool, account->terms), account->recovered
    };
}

static void save_account(replay_t *replay)
{
    if (acme_session_account_changed(replay->session)) {
        keep_account(replay, acme_session_account(replay->session));
        acme_session_account_saved(replay->session);
    }
}

static void save(replay_t *replay)
{
    save_account(replay);
    if (acme_order_dirty(replay->order)) {
        MUST(!acme_order_save(&replay->disk, replay->order, replay->now,
                              replay->pool));
        MUST(!acme_order_dirty(replay->order));
    }
}

static void begin_order(replay_t *replay)
{
    apr_pool_create(&replay->order_pool, replay->pool);
    if (replay->disk) {
        MUST(!acme_order_load(&replay->order, &replay->wanted, replay->disk,
                              strlen(replay->disk), replay->now,
                              replay->order_pool));
    }
    else {
        replay->order = acme_order_create(&replay->wanted, replay->order_pool);
    }
}

static void start_process(replay_t *replay)
{
    apr_pool_create(&replay->session_pool, replay->pool);
    if (replay->disk_saved) {
        replay->account.known = replay->disk_account;
    }
    replay->session =
        acme_session_create(&replay->account, replay->session_pool);
    begin_order(replay);
}

static void show(replay_t *replay, const acme_proof_t *proof)
{
    apr_hash_set(replay->ca->visible, apr_pstrdup(replay->pool, proof->token),
                 APR_HASH_KEY_STRING,
                 apr_pstrdup(replay->pool, proof->key_authorization));
}

static void show_saved_proofs(replay_t *replay)
{
    apr_array_header_t *proofs =
        acme_order_proofs(replay->order, replay->session, replay->order_pool);
    int i;

    for (i = 0; i < proofs->nelts; i++) {
        show(replay, APR_ARRAY_IDX(proofs, i, acme_proof_t *));
    }
}

/* A moment at which the process may die. @return whether it did, and has been
 * started again */
static int may_die(replay_t *replay)
{
    if (++replay->points != replay->kill_at) {
        return 0;
    }
    apr_pool_destroy(replay->order_pool);
    apr_pool_destroy(replay->session_pool);
    apr_hash_clear(replay->ca->visible);
    apr_array_clear(replay->queue);
    if (replay->killed_at_now) {
        replay->now = replay->killed_at_now;
    }
    start_process(replay);
    show_saved_proofs(replay);
    return 1;
}

/* --- carrying requests ---------------------------------------------------- */

static void answer(replay_t *replay, const char *label, const acme_wire_t *wire,
                   acme_reply_t *reply, apr_pool_t *pool)
{
    memset(reply, 0, sizeof(*reply));
    if (replay->answer) {
        replay->answer(replay->baton, label, wire, reply, pool);
    }
    else {
        replay->ca->now = replay->now;
        ca_answer(replay->ca, label, wire, reply, pool);
    }
}

static void write_down(replay_t *replay, const char *label)
{
    apr_size_t len = replay->transcript_len + strlen(label) + 1;

    if (len >= replay->transcript_room) {
        char *room = apr_palloc(replay->pool, 2 * len);

        memcpy(room, replay->transcript, replay->transcript_len + 1);
        replay->transcript = room;
        replay->transcript_room = 2 * len;
    }
    replay->transcript_len =
        (apr_size_t)(apr_cpystrn(apr_cpystrn(replay->transcript
                                                 + replay->transcript_len,
                                             replay->transcript_len ? " " : "",
                                             2),
                                 label, strlen(label) + 1)
                     - replay->transcript);
}

/* @return 0: no nonce; 1: sent, and reply filled in from pool; -1: died */
static int transfer(replay_t *replay, acme_request_t *request,
                    acme_reply_t *reply, apr_pool_t *pool)
{
    const char *label = request->label;
    acme_wire_t *wire;

    do {
        MUST(!acme_session_sign(&wire, replay->session, request, pool));
        if (!wire) {
            return 0;
        }
        if (may_die(replay)) {
            return -1;
        }
        MUST(replay->ca->requests < MOST_REQUESTS);
        answer(replay, label, wire, reply, pool);
        write_down(replay, label);
        if (may_die(replay)) {
            replay->killed_unanswered = 1;
            replay->killed_label = label;
            return -1;
        }
    } while (acme_session_receive(replay->session, request, reply, replay->now)
             == ACME_VERDICT_RESEND);
    return 1;
}

/* Nothing to send now. @return whether to ask the session again: the clock has
 * gone to where it wants to be asked */
static int session_waits(replay_t *replay, const acme_session_step_t *step)
{
    int needs_nonces = step->until && replay->queue->nelts;

    if (step->state == ACME_SESSION_READY && !needs_nonces) {
        return 0;
    }
    MUST(step->until > replay->now); /* nothing is under way */
    replay->now = step->until;
    return 1;
}

/* One request of the session's own. @return it, if it still needs a nonce */
static acme_request_t *send_own(replay_t *replay, acme_request_t *request)
{
    acme_reply_t reply;
    apr_pool_t *pool;
    int sent;

    apr_pool_create(&pool, replay->pool);
    sent = transfer(replay, request, &reply, pool);
    if (sent > 0) {
        acme_session_feed(replay->session, request, &reply, replay->now);
    }
    apr_pool_destroy(pool);
    return sent ? NULL : request;
}

/* Let the session do what it wants. @return 0: it has failed */
static int run_session(replay_t *replay)
{
    acme_request_t *held = NULL;
    acme_session_step_t step;

    for (;;) {
        if (held) {
            held = send_own(replay, held);
        }
        acme_session_next(&step, replay->session, replay->queue->nelts,
                          replay->now);
        if (step.state == ACME_SESSION_FAILED) {
            replay->error = acme_err_dup(step.error, replay->pool);
            replay->session_failed = 1;
            replay->retry_session_at = step.until;
            return 0;
        }
        if (step.state == ACME_SESSION_SEND) {
            acme_request_t *unsent = send_own(replay, step.request);

            held = unsent ? unsent : held;
        }
        else if (!session_waits(replay, &step)) {
            return 1;
        }
    }
}

static acme_request_t *take_request(replay_t *replay)
{
    apr_array_header_t *queue = replay->queue;
    acme_request_t **all = (acme_request_t **)queue->elts, *first = all[0];

    if (replay->newest_first) {
        return *(acme_request_t **)apr_array_pop(queue);
    }
    memmove(all, all + 1, (size_t)(--queue->nelts) * sizeof(*all));
    return first;
}

static void note_trouble(replay_t *replay)
{
    const acme_err_t *trouble = acme_order_trouble(replay->order);

    if (trouble && trouble->msg != replay->told) {
        replay->told = trouble->msg;
        replay->told_text = apr_pstrdup(replay->pool, trouble->text);
        replay->told_at = replay_seconds(replay);
    }
}

static void run_request(replay_t *replay)
{
    acme_request_t *request = take_request(replay);
    acme_reply_t reply;
    apr_pool_t *pool;
    int sent;

    apr_pool_create(&pool, replay->pool);
    sent = transfer(replay, request, &reply, pool);
    if (!sent) {
        APR_ARRAY_PUSH(replay->queue, acme_request_t *) = request;
    }
    else if (sent > 0) {
        const char *label = request->label;

        acme_order_reply(replay->order, request, &reply, replay->now);
        note_trouble(replay);
        if (may_die(replay)) { /* before it was saved: as if unanswered */
            replay->killed_unanswered = 1;
            replay->killed_label = label;
        }
    }
    apr_pool_destroy(pool);
}

/* --- the loop ------------------------------------------------------------- */

/* Why a proof cannot be shown now. */
static acme_err_t *hindrance(replay_t *replay, const acme_proof_t *proof)
{
    acme_err_t *err = NULL;

    if (replay->busy > 0) {
        replay->busy--;
        err = acme_err_make(replay->pool, ACME_E_PROOF_BUSY,
                            proof->ident->value, NULL);
        err->retry_at = replay->now + apr_time_from_sec(1);
    }
    else if (replay->unpublishable
             && !strcmp(replay->unpublishable,
                        acme_proof_type_name(proof->type))) {
        err = acme_err_make(replay->pool, ACME_E_TOKENS_FULL,
                            proof->ident->value, NULL);
    }
    else if (replay->programless
             && !strcmp(replay->programless, proof->ident->value)) {
        err = acme_err_make(replay->pool, ACME_E_COMMAND_FAILED, "hook",
                            "status 3", NULL);
        err->identifier = proof->ident->value;
    }
    return err;
}

static void on_publish(replay_t *replay, const acme_proof_t *proof)
{
    acme_err_t *err = hindrance(replay, proof);

    if (err) {
        acme_order_published(replay->order, proof, err, replay->now);
        return;
    }
    show(replay, proof);
    replay->published++;
    save(replay);
    if (!may_die(replay)) {
        acme_order_published(replay->order, proof, NULL, replay->now);
    }
}

static void on_withdraw(replay_t *replay, const acme_proof_t *proof)
{
    apr_hash_set(replay->ca->visible, proof->token, APR_HASH_KEY_STRING, NULL);
    replay->withdrawn++;
    may_die(replay);
}

static void on_wait(replay_t *replay, apr_time_t until)
{
    if (replay->queue->nelts) {
        run_request(replay);
        return;
    }
    MUST(until > replay->now); /* it must know what it waits for */
    replay->now = until;
    may_die(replay);
}

static void go_on(replay_t *replay)
{
    acme_step_t step;

    while (replay->max_steps--) {
        if (!run_session(replay)) {
            return;
        }
        acme_order_next(&step, replay->order, replay->session, replay->now);
        switch (step.kind) {
        case ACME_STEP_SEND:
            save(replay);
            APR_ARRAY_PUSH(replay->queue, acme_request_t *) = step.request;
            may_die(replay);
            break;
        case ACME_STEP_PUBLISH:
            on_publish(replay, step.proof);
            break;
        case ACME_STEP_WITHDRAW:
            on_withdraw(replay, step.proof);
            break;
        case ACME_STEP_WAIT:
            on_wait(replay, step.until);
            break;
        case ACME_STEP_DONE:
            replay->chain_pem = apr_pstrdup(replay->pool, step.chain_pem);
            return;
        case ACME_STEP_FAILED:
            save_account(replay);
            replay->error = acme_err_dup(step.error, replay->pool);
            return;
        }
    }
    abort(); /* it goes round and round */
}

void replay_run(replay_t *replay)
{
    start_process(replay);
    go_on(replay);
}

/* A failure of the session leaves the order as it is; what is no passing trouble is
 * tried again daily. */
void replay_again(replay_t *replay)
{
    const acme_err_t *err = replay->error;
    int passes =
        err->class == ACME_CLASS_CA_RETRY || err->class == ACME_CLASS_LOCAL;
    apr_time_t due = replay->now + apr_time_from_sec(passes ? 60 : 86400);

    if (replay->session_failed) {
        due = replay->retry_session_at;
    }
    else {
        replay->disk = NULL;
        if (acme_reaction(err->msg)->fate == ACME_FATE_KEEP
            && ++replay->attempts < REPLAY_MAX_KEPT) {
            acme_order_rewind(replay->order);
            MUST(!acme_order_save(&replay->disk, replay->order, replay->now,
                                  replay->pool));
        }
        apr_pool_destroy(replay->order_pool);
        apr_array_clear(replay->queue);
    }
    due = err->retry_at > due ? err->retry_at : due;
    replay->now = due > replay->now ? due : replay->now;
    replay->error = NULL;
    if (!replay->session_failed) {
        begin_order(replay);
    }
    replay->session_failed = 0;
    go_on(replay);
}
