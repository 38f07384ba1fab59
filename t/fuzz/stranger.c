/* What a server answers where a CA would ask for a token: whether it is this one,
 * who else it is taken for, and what is said of it. In the input: the status,
 * lines of headers, an empty line, the page. */
#include "engine/probe.c"

#include "fuzz.h"

#include "core/diagnosis.h"
#include "core/encode.h"

#define PROOF "token.thumbprint"

static const acme_ident_t SHOP = { ACME_IDENT_DNS, "shop.example" };

static void look_at_text(const char *text, apr_pool_t *pool)
{
    FUZZ_MUST(
        !text
        || !strcmp(text, acme_encode_printable(text, strlen(text) + 1, pool)));
}

static void read_answer(acme_probe_t *probe, const char *data, apr_size_t len)
{
    const char *end = data + len, *at = memchr(data, '\n', len), *next;

    for (at = at ? at + 1 : end; at < end && *at != '\n'; at = next) {
        next = memchr(at, '\n', (apr_size_t)(end - at));
        next = next ? next + 1 : end;
        len = (apr_size_t)(next - at);
        FUZZ_MUST(fuzz_give(on_header, at, len, probe) == len);
    }
    if (at < end) {
        at++;
        len = (apr_size_t)(end - at);
        FUZZ_MUST(fuzz_give(on_body, at, len, probe) == len
                  || probe->len == MAX_BODY);
    }
    FUZZ_MUST(probe->len <= MAX_BODY && probe->headers->nelts <= MAX_HEADERS);
    probe->body[probe->len] = '\0';
}

/* The proof, and at most white space behind it. */
static void look_at_verdict(const acme_probe_t *probe, int status)
{
    apr_size_t i, len = strlen(PROOF);
    int good =
        status == 200 && probe->len >= len && !memcmp(probe->body, PROOF, len);

    for (i = len; good && i < probe->len; i++) {
        good = memchr(" \t\r\n", probe->body[i], 4) != NULL;
    }
    FUZZ_MUST(is_ours(probe, status) == good);
}

static void look_at_scene(acme_sight_t *sight, apr_pool_t *pool)
{
    apr_array_header_t *sights = apr_array_make(pool, 1, sizeof(acme_sight_t));
    acme_scene_t scene = { .ident = &SHOP,
                           .type = ACME_PROOF_HTTP_01,
                           .public_ca = sight->stranger.status % 2,
                           .sights = sights };
    apr_array_header_t *findings;
    int i;

    sight->address = "192.0.2.1";
    sight->saw = ACME_SAW_OTHER;
    APR_ARRAY_PUSH(sights, acme_sight_t) = *sight;
    findings = acme_diagnose(&scene, pool);
    FUZZ_MUST(findings->nelts > 0);
    for (i = 0; i < findings->nelts; i++) {
        FUZZ_MUST(!fuzz_ok(APR_ARRAY_IDX(findings, i, acme_err_t *), pool));
    }
}

void fuzz_stranger(const char *data, apr_size_t len, apr_pool_t *pool)
{
    acme_probe_t *probe = apr_pcalloc(pool, sizeof(*probe));
    acme_sight_t *sight = apr_pcalloc(pool, sizeof(*sight));
    const acme_stranger_t *stranger = &sight->stranger;

    probe->pool = pool;
    probe->sight = sight;
    probe->expected = PROOF;
    probe->host = SHOP.value;
    probe->path = PREFIX "token";
    probe->headers = apr_array_make(pool, 4, sizeof(char *));
    read_answer(probe, data, len);
    keep_answer(probe, atoi(data));
    look_at_verdict(probe, stranger->status);
    sight->location = acme_culprit_header(stranger, "location");
    same_place(probe, sight->location);
    look_at_text(acme_culprit_between(stranger, pool), pool);
    look_at_text(acme_culprit_describe(stranger, pool), pool);
    acme_culprit_parking(stranger);
    acme_culprit_wants_tls(stranger);
    look_at_scene(sight, pool);
}
