#include "core/diagnosis.h"

#include <apr_strings.h>
#include <string.h>

#include "core/encode.h"

#define MAX_LOCATION 160

/* --- in words ------------------------------------------------------------------- */

const char *acme_diagnosis_port(acme_proof_type_t type)
{
    return type == ACME_PROOF_HTTP_01 ? "80" : "443";
}

int acme_finding_is_problem(const acme_err_t *finding)
{
    return acme_msg_entry(finding->msg)->level <= ACME_LEVEL_WARNING;
}

static const char *shown(const acme_scene_t *scene, const acme_sight_t *sight,
                         apr_pool_t *pool)
{
    if (scene->type == ACME_PROOF_HTTP_01) {
        return acme_culprit_describe(&sight->stranger, pool);
    }
    return sight->shown ? sight->shown : "it does not know acme-tls/1";
}

/* What came of it, but for OURS. */
static const char *words(const acme_scene_t *scene, const acme_sight_t *sight,
                         apr_pool_t *pool)
{
    static const char *const WORDS[ACME_SAW_COUNT] = {
        [ACME_SAW_NOTHING] = "there was no time to look",
        [ACME_SAW_OURS] = "this server answers",
        [ACME_SAW_REFUSED] = "the connection is refused",
        [ACME_SAW_TIMEOUT] = "nothing answers a connection",
        [ACME_SAW_UNREACHABLE] = "this machine has no route to it",
        [ACME_SAW_CLOSED] = "the connection is closed without an answer",
        [ACME_SAW_SILENT] = "the connection is taken, but no answer comes",
        [ACME_SAW_GARBAGE] = "what answers is something else",
        [ACME_SAW_TLS] = "what answers there speaks TLS",
    };

    return sight->saw == ACME_SAW_OTHER
               ? apr_pstrcat(pool, "another server answers: ",
                             shown(scene, sight, pool), NULL)
               : WORDS[sight->saw];
}

/* --- findings ---------------------------------------------------------------------- */

typedef struct judge_t {
    const acme_scene_t *scene;
    const acme_sight_t *sight;
    const char *name, *port;
    apr_pool_t *pool;
} judge_t;

static acme_err_t *cannot_tell(const judge_t *judge, const char *why)
{
    return acme_err_make(judge->pool, ACME_I_CANNOT_TELL, judge->name,
                         judge->port, judge->sight->address, why, NULL);
}

/* The messages that begin with the port. */
static acme_err_t *port_finding(const judge_t *judge, acme_msg_t msg,
                                const char *more)
{
    return acme_err_make(judge->pool, msg, judge->port, judge->sight->address,
                         judge->name, more, NULL);
}

/* Those that begin with the name. */
static acme_err_t *name_finding(const judge_t *judge, acme_msg_t msg,
                                const char *more)
{
    return acme_err_make(judge->pool, msg, judge->name, judge->port,
                         judge->sight->address, more, NULL);
}

static const char *internal(const acme_sight_t *sight)
{
    const acme_ident_t ident = { ACME_IDENT_IP, sight->address };

    return acme_ident_why_not_public(&ident);
}

static acme_err_t *judge_ours(const judge_t *judge)
{
    const acme_sight_t *sight = judge->sight;
    const char *why = internal(sight);

    if (!why || !judge->scene->public_ca) {
        return name_finding(judge, ACME_I_REACHED,
                            sight->followed ? ", by a redirect to https" : "");
    }
    if (judge->scene->chosen_dns) {
        return acme_err_make(judge->pool, ACME_W_NAME_INTERNAL, judge->name,
                             sight->address, why, NULL);
    }
    return cannot_tell(
        judge,
        apr_pstrcat(judge->pool, "it does, but ", why,
                    ", and what DNS tells the world is not known (AcmeDnsWait "
                    "can name a public resolver)",
                    NULL));
}

static acme_err_t *judge_redirect(const judge_t *judge)
{
    const acme_sight_t *sight = judge->sight;
    const char *by = acme_culprit_describe(&sight->stranger, judge->pool);

    if (sight->followed) {
        by = apr_pstrcat(judge->pool, by, "; there ",
                         sight->saw == ACME_SAW_OTHER
                             ? "another server answers"
                             : words(judge->scene, sight, judge->pool),
                         NULL);
    }
    return acme_err_make(
        judge->pool, ACME_W_REACH_REDIRECT, judge->name, judge->port,
        sight->address,
        acme_encode_printable(sight->location, MAX_LOCATION, judge->pool), by,
        NULL);
}

/* What an answer itself says of who gave it, wherever that is. NULL: nothing. */
static acme_err_t *judge_stranger(const judge_t *judge)
{
    const acme_sight_t *sight = judge->sight;
    const acme_stranger_t *stranger = &sight->stranger;

    if (judge->scene->type != ACME_PROOF_HTTP_01 || !stranger->status) {
        return NULL;
    }
    const char *parking = acme_culprit_parking(stranger);
    const char *between = acme_culprit_between(stranger, judge->pool);
    const char *all = acme_culprit_describe(stranger, judge->pool);

    if (parking) {
        return name_finding(
            judge, ACME_W_REACH_PARKED,
            apr_pstrcat(judge->pool, parking, " (", all, ")", NULL));
    }
    if (between && !sight->location) {
        return acme_err_make(judge->pool, ACME_W_REACH_PROXY, between,
                             judge->name, judge->port, sight->address, all,
                             NULL);
    }
    return NULL;
}

/* Somebody else answers with a redirect, known or not. */
static int is_redirect(const acme_sight_t *sight)
{
    return sight->location != NULL;
}

static acme_err_t *judge_tls(const judge_t *judge)
{
    const acme_sight_t *sight = judge->sight;

    if (sight->saw == ACME_SAW_OTHER
        && acme_culprit_wants_tls(&sight->stranger)) {
        return port_finding(
            judge, ACME_W_REACH_TLS,
            apr_pstrcat(judge->pool, " (",
                        acme_culprit_describe(&sight->stranger, judge->pool),
                        ")", NULL));
    }
    return sight->saw == ACME_SAW_TLS
               ? port_finding(judge, ACME_W_REACH_TLS, "")
               : NULL;
}

/* What is the same for an address of this machine and for any other. */
static acme_err_t *judge_failure(const judge_t *judge, const char *whose)
{
    const acme_sight_t *sight = judge->sight;

    switch (sight->saw) {
    case ACME_SAW_REFUSED:
        return port_finding(judge, ACME_W_REACH_CLOSED, whose);
    case ACME_SAW_TIMEOUT:
        return port_finding(judge, ACME_W_REACH_FILTERED, NULL);
    case ACME_SAW_CLOSED:
    case ACME_SAW_SILENT:
    case ACME_SAW_GARBAGE:
        return port_finding(judge, ACME_W_REACH_BROKEN,
                            words(judge->scene, sight, judge->pool));
    case ACME_SAW_OTHER:
    case ACME_SAW_OURS:
    case ACME_SAW_TLS:
    case ACME_SAW_UNREACHABLE:
    case ACME_SAW_NOTHING:
        break;
    }
    return cannot_tell(judge, words(judge->scene, sight, judge->pool));
}

static acme_err_t *judge_own(const judge_t *judge)
{
    const acme_sight_t *sight = judge->sight;
    const acme_scene_t *scene = judge->scene;
    acme_err_t *tls = judge_tls(judge);

    if (scene->stopped && sight->saw == ACME_SAW_REFUSED) {
        return cannot_tell(judge, "the server does not run, and nothing else "
                                  "listens there");
    }
    if (tls) {
        return tls;
    }
    if (sight->saw != ACME_SAW_OTHER) {
        return judge_failure(judge, ": it is an address of this machine, and "
                                    "nothing listens there");
    }
    return name_finding(judge,
                        scene->type == ACME_PROOF_HTTP_01 ? ACME_W_REACH_OTHER
                                                          : ACME_W_REACH_ALPN,
                        shown(scene, sight, judge->pool));
}

/* An address that this machine has not: of a router before it, of a proxy, or of
 * somebody else. */
static acme_err_t *judge_far(const judge_t *judge)
{
    const acme_sight_t *sight = judge->sight;
    const acme_scene_t *scene = judge->scene;
    const char *why = internal(sight);
    acme_err_t *tls = judge_tls(judge);

    if (why && scene->public_ca) {
        return acme_err_make(judge->pool, ACME_W_NAME_INTERNAL, judge->name,
                             sight->address, why, NULL);
    }
    if (!sight->v6 && !scene->has_public_v4 && !why) {
        return cannot_tell(
            judge,
            apr_pstrcat(judge->pool, words(scene, sight, judge->pool),
                        "; this machine has no public address of its own, and "
                        "many routers do not let it reach itself through "
                        "theirs",
                        NULL));
    }
    if (tls) {
        return tls;
    }
    if (sight->saw != ACME_SAW_OTHER) {
        return judge_failure(judge, "; it is no address of this machine");
    }
    if (scene->stopped) {
        return cannot_tell(judge,
                           apr_pstrcat(judge->pool, "the server does not run; ",
                                       words(scene, sight, judge->pool), NULL));
    }
    return name_finding(judge,
                        scene->type == ACME_PROOF_HTTP_01
                            ? ACME_W_REACH_ELSEWHERE
                            : ACME_W_REACH_ALPN,
                        shown(scene, sight, judge->pool));
}

/* Behind a router the only redirect that is certain not to be the router's own is
 * one that says whose it is. */
static int may_be_router(const judge_t *judge)
{
    return !judge->sight->own && !judge->sight->v6
           && !judge->scene->has_public_v4 && !internal(judge->sight);
}

static acme_err_t *judge_sight(const judge_t *judge)
{
    const acme_sight_t *sight = judge->sight;
    acme_err_t *finding;

    if (sight->saw == ACME_SAW_OURS) {
        return judge_ours(judge);
    }
    finding = judge_stranger(judge);
    if (finding) {
        return finding;
    }
    if (is_redirect(sight)
        && (!may_be_router(judge)
            || acme_culprit_between(&sight->stranger, judge->pool))) {
        return judge_redirect(judge);
    }
    return sight->own ? judge_own(judge) : judge_far(judge);
}

/* --- all addresses together --------------------------------------------------------- */

static int comes_by_v4(const acme_scene_t *scene)
{
    int i;

    for (i = 0; i < scene->sights->nelts; i++) {
        const acme_sight_t *sight =
            &APR_ARRAY_IDX(scene->sights, i, acme_sight_t);

        if (!sight->v6 && sight->saw == ACME_SAW_OURS) {
            return 1;
        }
    }
    return 0;
}

/* An IPv6 address that nobody thought of is the most usual case of all. Without
 * a route there is nothing to be seen of it; but where IPv4 leads straight here,
 * to a machine without IPv6, it is certain. */
static acme_err_t *judge_v6(const judge_t *judge, acme_err_t *finding)
{
    const acme_sight_t *sight = judge->sight;
    int lost = sight->saw == ACME_SAW_UNREACHABLE
               && !judge->scene->has_public_v6 && judge->scene->has_public_v4;

    if (!sight->v6 || sight->saw == ACME_SAW_OURS
        || sight->saw == ACME_SAW_NOTHING || !comes_by_v4(judge->scene)
        || (!acme_finding_is_problem(finding) && !lost)
        || finding->msg == ACME_W_NAME_INTERNAL) {
        return finding;
    }
    return name_finding(judge, ACME_W_REACH_IPV6,
                        lost ? "this machine has no IPv6"
                             : words(judge->scene, sight, judge->pool));
}

static void push(apr_array_header_t *findings, const acme_scene_t *scene,
                 acme_err_t *finding)
{
    finding->identifier = scene->ident->value;
    APR_ARRAY_PUSH(findings, acme_err_t *) = finding;
}

apr_array_header_t *acme_diagnose(const acme_scene_t *scene, apr_pool_t *pool)
{
    apr_array_header_t *findings =
        apr_array_make(pool, 2, sizeof(acme_err_t *));
    judge_t judge = { scene, NULL, scene->ident->value,
                      acme_diagnosis_port(scene->type), pool };
    int i;

    if (scene->nowhere || scene->unknown) {
        push(findings, scene,
             acme_err_make(
                 pool,
                 scene->nowhere ? ACME_W_NAME_NOWHERE : ACME_W_NAME_LOOKUP,
                 scene->ident->value,
                 scene->nowhere ? scene->nowhere : scene->unknown, NULL));
    }
    for (i = 0; scene->sights && i < scene->sights->nelts; i++) {
        judge.sight = &APR_ARRAY_IDX(scene->sights, i, acme_sight_t);
        push(findings, scene, judge_v6(&judge, judge_sight(&judge)));
    }
    return findings;
}
