#include "core_test.h"

#include "core/diagnosis.h"

#define HERE  "5.9.1.1"
#define THERE "5.9.2.2"
#define SIX   "2a01:4f8::2"

/* --- answers as they were recorded, names aside ------------------------------------ */

typedef struct shape_t {
    const char *what;
    int status;
    const char *headers; /* lines */
    const char *body;
    const char *between; /* expected: part of it, or NULL */
    int parking, tls;
} shape_t;

static const shape_t shapes[] = {
    { "nginx, 404", 404, "Server: nginx/1.22.1\nContent-Type: text/html",
      "<html>\r\n<head><title>404 Not Found</title></head>\r\n", NULL, 0, 0 },
    { "httpd, 404", 404, "Server: Apache/2.4.62 (Debian)",
      "<!DOCTYPE HTML PUBLIC \"-//IETF//DTD HTML 2.0//EN\">\n<html><head>\n"
      "<title>404 Not Found</title>",
      NULL, 0, 0 },
    { "IIS welcome", 200, "Server: Microsoft-IIS/10.0\nX-Powered-By: ASP.NET",
      "<title>IIS Windows Server</title>", NULL, 0, 0 },
    { "Caddy to https", 308,
      "Server: Caddy\nLocation: https://a.example/.well-known/x", "", NULL, 0,
      0 },
    { "Cloudflare, its origin away", 522,
      "Server: cloudflare\nCF-RAY: 8f1c2d3e4f5a6b7c-FRA", "error code: 522",
      "Cloudflare", 0, 0 },
    { "Cloudflare by its ray alone", 403, "CF-Ray: 8f1c2d3e4f5a6b7c-FRA", "",
      "Cloudflare", 0, 0 },
    { "CloudFront", 403,
      "Server: CloudFront\nX-Cache: Error from cloudfront\n"
      "Via: 1.1 5e0d.cloudfront.net (CloudFront)\nX-Amz-Cf-Id: abc==",
      "<TITLE>ERROR: The request could not be satisfied</TITLE>",
      "Amazon CloudFront", 0, 0 },
    { "CloudFront by Via", 403,
      "Server: AmazonS3\nVia: 1.1 5e0d.cloudfront.net (CloudFront)", "",
      "Amazon CloudFront", 0, 0 },
    { "AWS ELB", 503, "Server: awselb/2.0", "", "load balancer of Amazon", 0,
      0 },
    { "Akamai", 400, "Server: AkamaiGHost\nMime-Version: 1.0",
      "<TITLE>Invalid URL</TITLE>", "Akamai", 0, 0 },
    { "Fastly", 404, "X-Served-By: cache-fra-etou8220155-FRA\nX-Cache: MISS",
      "", "Fastly", 0, 0 },
    { "Varnish", 503, "Server: Varnish\nX-Varnish: 32770\nVia: 1.1 varnish",
      "Error 503 Backend fetch failed", "Varnish", 0, 0 },
    { "Squid", 403,
      "Server: squid/5.7\nX-Squid-Error: ERR_ACCESS_DENIED 0\n"
      "Via: 1.1 proxy (squid/5.7)",
      "", "Squid", 0, 0 },
    { "any proxy", 404, "Server: Apache\nVia: 1.1 gate.example", "",
      "a proxy (via: 1.1 gate.example)", 0, 0 },
    { "any cache", 404, "X-Cache-Status: HIT", "",
      "a proxy (x-cache-status: HIT)", 0, 0 },
    { "Traefik without a route", 404,
      "Content-Type: text/plain; charset=utf-8\nX-Content-Type-Options: nosniff",
      "404 page not found\n", NULL, 0, 0 },
    { "HAProxy without a server", 503, "Cache-Control: no-cache",
      "<html><body><h1>503 Service Unavailable</h1>\nNo server is available to "
      "handle this request.\n",
      "HAProxy", 0, 0 },
    { "nginx without a server behind it", 502, "Server: nginx",
      "<title>502 Bad Gateway</title>", "a gateway that finds no server", 0,
      0 },
    { "Google", 404, "Via: 1.1 google", "", "load balancer of Google", 0, 0 },
    { "Azure", 404, "X-Azure-Ref: 20261127T", "", "Azure Front Door", 0, 0 },
    { "GitHub Pages", 404,
      "Server: GitHub.com\nX-GitHub-Request-Id: 1:2:3\nVia: 1.1 varnish\n"
      "X-Served-By: cache-fra-1\nX-Cache: HIT",
      "There isn't a GitHub Pages site here.", "", 0, 0 },
    { "Sucuri", 403, "Server: Sucuri/Cloudproxy\nX-Sucuri-ID: 14005", "",
      "Sucuri", 0, 0 },
    { "Imperva", 403, "X-Iinfo: 10-1-0", "Incapsula incident ID", "Imperva", 0,
      0 },
    { "bunny.net", 404, "Server: BunnyCDN-DE1-1\nCDN-PullZone: 1", "",
      "bunny.net", 0, 0 },
    { "Fortinet", 403, "", "<title>Web Filter Violation</title> FortiGuard",
      "firewall of Fortinet", 0, 0 },
    { "Sedo", 200, "Server: Parking/1.0\nX-Adblock-Key: MFww", "", NULL, 1, 0 },
    { "GoDaddy", 200, "Content-Type: text/html",
      "<!DOCTYPE html><html><head><script>window.onload=function(){"
      "window.location.href=\"/lander\"}</script></head></html>",
      NULL, 1, 0 },
    { "HugeDomains", 302,
      "Location: https://www.hugedomains.com/domain_profile.cfm?d=a.example",
      "", NULL, 1, 0 },
    { "expired", 200, "Server: nginx",
      "<h1>This Domain Has Expired</h1>This domain has expired.", NULL, 1, 0 },
    { "for sale", 200, "Server: openresty",
      "<title>a.example</title>The domain is for sale! Buy this domain.", NULL,
      1, 0 },
    { "httpd, TLS on port 80", 400, "Server: Apache",
      "Reason: You're speaking plain HTTP to an SSL-enabled server port.<br />",
      NULL, 0, 1 },
    { "nginx, TLS on port 80", 400, "Server: nginx",
      "<title>400 The plain HTTP request was sent to HTTPS port</title>", NULL,
      0, 1 },
    { "Go, TLS on port 80", 400, "",
      "Client sent an HTTP request to an HTTPS server.\n", NULL, 0, 1 },
    { "an empty answer", 204, "", "", NULL, 0, 0 },
};

static acme_stranger_t stranger_of(int status, const char *lines,
                                   const char *body)
{
    acme_stranger_t stranger = { status, NULL, body };
    apr_array_header_t *headers = apr_array_make(pool, 4, sizeof(char *));
    char *next = NULL,
         *line = apr_strtok(apr_pstrdup(pool, lines), "\n", &next);

    for (; line; line = apr_strtok(NULL, "\n", &next)) {
        APR_ARRAY_PUSH(headers, const char *) = line;
    }
    stranger.headers = headers;
    return stranger;
}

static void test_culprits_are_recognised(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
        const shape_t *shape = &shapes[i];
        acme_stranger_t stranger =
            stranger_of(shape->status, shape->headers, shape->body);
        const char *between = acme_culprit_between(&stranger, pool);

        if (!between != !shape->between
            || (between && !strstr(between, shape->between))) {
            fail_msg("%s: %s", shape->what, between ? between : "nobody");
        }
        if (!acme_culprit_parking(&stranger) != !shape->parking) {
            fail_msg("%s: parking", shape->what);
        }
        if (acme_culprit_wants_tls(&stranger) != shape->tls) {
            fail_msg("%s: tls", shape->what);
        }
    }
}

static void test_culprit_is_described_without_its_tricks(void **state)
{
    acme_stranger_t stranger =
        stranger_of(404, "Server: evil\033[2J\x80",
                    "<html><TITLE lang=en>\r\n  Not <found> here  \n</title>");

    (void)state;
    assert_string_equal(acme_culprit_describe(&stranger, pool),
                        "evil?[2J?, status 404, page \"Not\"");
    stranger = stranger_of(200, "", "<title>");
    assert_string_equal(acme_culprit_describe(&stranger, pool),
                        "a server that does not name itself, status 200");
    stranger = stranger_of(200, "Server:", "<title");
    assert_string_equal(acme_culprit_describe(&stranger, pool),
                        "a server that does not name itself, status 200");
}

/* --- judging ------------------------------------------------------------------------- */

typedef struct case_t {
    const char *what;
    const char *addresses; /* "+" in front: this machine's */
    acme_saw_t saw[2];
    int shape; /* of shapes, for OTHER */
    int public_v4, public_v6, public_ca;
    acme_msg_t expected[2];
} case_t;

#define NGINX 0

static const case_t cases[] = {
    { "all is well",
      "+" HERE,
      { ACME_SAW_OURS },
      0,
      1,
      0,
      1,
      { ACME_I_REACHED } },
    { "behind a router that lets it through",
      THERE,
      { ACME_SAW_OURS },
      0,
      0,
      0,
      1,
      { ACME_I_REACHED } },
    { "another server beside",
      "+" HERE,
      { ACME_SAW_OTHER },
      NGINX,
      1,
      0,
      1,
      { ACME_W_REACH_OTHER } },
    { "DNS leads elsewhere",
      THERE,
      { ACME_SAW_OTHER },
      NGINX,
      1,
      0,
      1,
      { ACME_W_REACH_ELSEWHERE } },
    { "one of two leads elsewhere",
      "+" HERE " " THERE,
      { ACME_SAW_OURS, ACME_SAW_OTHER },
      NGINX,
      1,
      0,
      1,
      { ACME_I_REACHED, ACME_W_REACH_ELSEWHERE } },
    { "behind a router, that may answer",
      THERE,
      { ACME_SAW_OTHER },
      NGINX,
      0,
      0,
      1,
      { ACME_I_CANNOT_TELL } },
    { "behind a router, silent",
      THERE,
      { ACME_SAW_TIMEOUT },
      0,
      0,
      0,
      1,
      { ACME_I_CANNOT_TELL } },
    { "behind a router, refused",
      THERE,
      { ACME_SAW_REFUSED },
      0,
      0,
      0,
      1,
      { ACME_I_CANNOT_TELL } },
    { "behind a router and a CDN",
      THERE,
      { ACME_SAW_OTHER },
      4,
      0,
      0,
      1,
      { ACME_W_REACH_PROXY } },
    { "CDN", THERE, { ACME_SAW_OTHER }, 6, 1, 0, 1, { ACME_W_REACH_PROXY } },
    { "CDN by both, no IPv6 here",
      THERE " " SIX,
      { ACME_SAW_OTHER, ACME_SAW_UNREACHABLE },
      4,
      1,
      0,
      1,
      { ACME_W_REACH_PROXY, ACME_I_CANNOT_TELL } },
    { "parked, behind a router",
      THERE,
      { ACME_SAW_OTHER },
      25,
      0,
      0,
      1,
      { ACME_W_REACH_PARKED } },
    { "port closed",
      "+" HERE,
      { ACME_SAW_REFUSED },
      0,
      1,
      0,
      1,
      { ACME_W_REACH_CLOSED } },
    { "port closed elsewhere",
      THERE,
      { ACME_SAW_REFUSED },
      0,
      1,
      0,
      1,
      { ACME_W_REACH_CLOSED } },
    { "firewall",
      THERE,
      { ACME_SAW_TIMEOUT },
      0,
      1,
      0,
      1,
      { ACME_W_REACH_FILTERED } },
    { "firewall that takes connections",
      THERE,
      { ACME_SAW_SILENT },
      0,
      1,
      0,
      1,
      { ACME_W_REACH_BROKEN } },
    { "something that hangs up",
      "+" HERE,
      { ACME_SAW_CLOSED },
      0,
      1,
      0,
      1,
      { ACME_W_REACH_BROKEN } },
    { "ssh on port 80",
      "+" HERE,
      { ACME_SAW_GARBAGE },
      0,
      1,
      0,
      1,
      { ACME_W_REACH_BROKEN } },
    { "TLS on port 80",
      "+" HERE,
      { ACME_SAW_TLS },
      0,
      1,
      0,
      1,
      { ACME_W_REACH_TLS } },
    { "TLS on port 80, told",
      "+" HERE,
      { ACME_SAW_OTHER },
      30,
      1,
      0,
      1,
      { ACME_W_REACH_TLS } },
    { "TLS on port 80 elsewhere",
      THERE,
      { ACME_SAW_TLS },
      0,
      1,
      0,
      1,
      { ACME_W_REACH_TLS } },
    { "AAAA elsewhere",
      "+" HERE " " SIX,
      { ACME_SAW_OURS, ACME_SAW_OTHER },
      NGINX,
      1,
      1,
      1,
      { ACME_I_REACHED, ACME_W_REACH_IPV6 } },
    { "AAAA refused",
      "+" HERE " +" SIX,
      { ACME_SAW_OURS, ACME_SAW_REFUSED },
      0,
      1,
      1,
      1,
      { ACME_I_REACHED, ACME_W_REACH_IPV6 } },
    { "AAAA though the machine has no IPv6",
      "+" HERE " " SIX,
      { ACME_SAW_OURS, ACME_SAW_UNREACHABLE },
      0,
      1,
      0,
      1,
      { ACME_I_REACHED, ACME_W_REACH_IPV6 } },
    { "AAAA, no IPv6, behind a router",
      THERE " " SIX,
      { ACME_SAW_OURS, ACME_SAW_UNREACHABLE },
      0,
      0,
      0,
      1,
      { ACME_I_REACHED, ACME_I_CANNOT_TELL } },
    { "both families fail",
      "+" HERE " " SIX,
      { ACME_SAW_REFUSED, ACME_SAW_OTHER },
      NGINX,
      1,
      1,
      1,
      { ACME_W_REACH_CLOSED, ACME_W_REACH_ELSEWHERE } },
    { "private address for a public CA",
      "192.168.1.4",
      { ACME_SAW_TIMEOUT },
      0,
      1,
      0,
      1,
      { ACME_W_NAME_INTERNAL } },
    { "private address, DNS of the house",
      "+192.168.1.4",
      { ACME_SAW_OURS },
      0,
      0,
      0,
      1,
      { ACME_I_CANNOT_TELL } },
    { "private address for a CA of one's own",
      "+192.168.1.4",
      { ACME_SAW_OURS },
      0,
      0,
      0,
      0,
      { ACME_I_REACHED } },
    { "another's private address for a CA of one's own",
      "192.168.1.4",
      { ACME_SAW_OTHER },
      NGINX,
      0,
      0,
      0,
      { ACME_W_REACH_ELSEWHERE } },
    { "no time left",
      "+" HERE,
      { ACME_SAW_NOTHING },
      0,
      1,
      0,
      1,
      { ACME_I_CANNOT_TELL } },
    { "redirect elsewhere",
      THERE,
      { ACME_SAW_OTHER },
      3,
      1,
      0,
      1,
      { ACME_W_REACH_REDIRECT } },
    { "redirect, behind a router",
      THERE,
      { ACME_SAW_OTHER },
      3,
      0,
      0,
      1,
      { ACME_I_CANNOT_TELL } },
    { "redirect of the machine itself",
      "+" HERE,
      { ACME_SAW_OTHER },
      3,
      1,
      0,
      1,
      { ACME_W_REACH_REDIRECT } },
};

static void add_sight(apr_array_header_t *sights, const case_t *one,
                      const char *address)
{
    acme_sight_t *sight = apr_array_push(sights);
    const shape_t *shape = &shapes[one->shape];

    sight->own = *address == '+';
    sight->address = address + sight->own;
    sight->v6 = strchr(address, ':') != NULL;
    sight->saw = one->saw[sights->nelts - 1];
    if (sight->saw == ACME_SAW_OTHER) {
        sight->stranger =
            stranger_of(shape->status, shape->headers, shape->body);
        sight->location = acme_culprit_header(&sight->stranger, "location");
    }
}

static acme_scene_t scene_of(const case_t *one)
{
    acme_scene_t scene = { .type = ACME_PROOF_HTTP_01 };
    apr_array_header_t *sights = apr_array_make(pool, 2, sizeof(acme_sight_t));
    char *next = NULL;
    char *address = apr_strtok(apr_pstrdup(pool, one->addresses), " ", &next);

    for (; address; address = apr_strtok(NULL, " ", &next)) {
        add_sight(sights, one, address);
    }
    scene.ident = ident("a.example");
    scene.public_ca = one->public_ca;
    scene.has_public_v4 = one->public_v4;
    scene.has_public_v6 = one->public_v6;
    scene.sights = sights;
    return scene;
}

static void test_every_case_is_judged(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        acme_scene_t scene = scene_of(&cases[i]);
        apr_array_header_t *findings = acme_diagnose(&scene, pool);

        assert_int_equal(findings->nelts, scene.sights->nelts);
        for (int k = 0; k < findings->nelts; k++) {
            const acme_err_t *finding =
                APR_ARRAY_IDX(findings, k, acme_err_t *);
            const acme_sight_t *sight =
                &APR_ARRAY_IDX(scene.sights, k, acme_sight_t);

            if (finding->msg != cases[i].expected[k]
                || !strstr(finding->text, "a.example")
                || !strstr(finding->text, sight->address)
                || strchr(finding->text, '?')) {
                fail_msg("%s: ACME%d %s", cases[i].what, (int)finding->msg,
                         finding->text);
            }
            assert_string_equal(finding->identifier, "a.example");
        }
    }
}

static const acme_err_t *only_finding(const acme_scene_t *scene)
{
    apr_array_header_t *findings = acme_diagnose(scene, pool);

    assert_int_equal(findings->nelts, 1);
    return APR_ARRAY_IDX(findings, 0, acme_err_t *);
}

static void test_finding_says_who_answers_where(void **state)
{
    const case_t one = { "", THERE, { ACME_SAW_OTHER }, NGINX, 1, 0, 1, { 0 } };
    acme_scene_t scene = scene_of(&one);

    (void)state;
    assert_string_equal(
        only_finding(&scene)->text,
        "DNS leads a.example elsewhere: at port 80 of " THERE
        ", which is no address of this machine, another server answers: "
        "nginx/1.22.1, status 404, page \"404 Not Found\"");
}

static void test_redirect_that_is_followed_is_told_with_its_end(void **state)
{
    const case_t one = { "", THERE, { ACME_SAW_OTHER }, 3, 1, 0, 1, { 0 } };
    acme_scene_t scene = scene_of(&one);
    acme_sight_t *sight = &APR_ARRAY_IDX(scene.sights, 0, acme_sight_t);
    const acme_err_t *finding;

    (void)state;
    sight->followed = 1;
    sight->saw = ACME_SAW_REFUSED;
    finding = only_finding(&scene);
    assert_int_equal(finding->msg, ACME_W_REACH_REDIRECT);
    assert_non_null(strstr(finding->text, "https://a.example/.well-known/x"));
    assert_non_null(strstr(finding->text, "there the connection is refused"));
    sight->saw = ACME_SAW_OURS;
    finding = only_finding(&scene);
    assert_int_equal(finding->msg, ACME_I_REACHED);
    assert_false(acme_finding_is_problem(finding));
    assert_non_null(strstr(finding->text, "by a redirect to https"));
}

static void test_private_address_in_the_worlds_dns_is_certain(void **state)
{
    const case_t one = {
        "", "+10.1.2.3", { ACME_SAW_OURS }, 0, 0, 0, 1, { 0 }
    };
    acme_scene_t scene = scene_of(&one);

    (void)state;
    scene.chosen_dns = 1;
    assert_int_equal(only_finding(&scene)->msg, ACME_W_NAME_INTERNAL);
}

static void test_stopped_server_is_not_blamed(void **state)
{
    const case_t refused = { "", "+" HERE, { ACME_SAW_REFUSED }, 0, 1, 0,
                             1,  { 0 } };
    const case_t other = { "", "+" HERE, { ACME_SAW_OTHER }, NGINX, 1, 0,
                           1,  { 0 } };
    const case_t far = { "", THERE, { ACME_SAW_OTHER }, NGINX, 1, 0, 1, { 0 } };
    const case_t cdn = { "", THERE, { ACME_SAW_OTHER }, 4, 1, 0, 1, { 0 } };
    const struct {
        const case_t *one;
        acme_msg_t expected;
    } all[] = { { &refused, ACME_I_CANNOT_TELL },
                { &other, ACME_W_REACH_OTHER },
                { &far, ACME_I_CANNOT_TELL },
                { &cdn, ACME_W_REACH_PROXY } };

    (void)state;
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        acme_scene_t scene = scene_of(all[i].one);

        scene.stopped = 1;
        assert_int_equal(only_finding(&scene)->msg, all[i].expected);
    }
}

static void test_name_without_addresses(void **state)
{
    acme_scene_t scene = { .ident = ident("a.example"),
                           .nowhere = "there is no such name" };

    (void)state;
    assert_int_equal(only_finding(&scene)->msg, ACME_W_NAME_NOWHERE);
    scene.nowhere = NULL;
    scene.unknown = "SERVFAIL";
    assert_int_equal(only_finding(&scene)->msg, ACME_W_NAME_LOOKUP);
    assert_non_null(strstr(only_finding(&scene)->text, "SERVFAIL"));
}

static void test_tls_alpn_speaks_of_port_443(void **state)
{
    const case_t own = {
        "", "+" HERE, { ACME_SAW_OTHER }, NGINX, 1, 0, 1, { 0 }
    };
    const case_t shut = {
        "", "+" HERE, { ACME_SAW_REFUSED }, 0, 1, 0, 1, { 0 }
    };
    const case_t fine = { "", "+" HERE, { ACME_SAW_OURS }, 0, 1, 0, 1, { 0 } };
    acme_scene_t scene = scene_of(&own);

    (void)state;
    scene.type = ACME_PROOF_TLS_ALPN_01;
    APR_ARRAY_IDX(scene.sights, 0, acme_sight_t).shown =
        "a certificate for b.example";
    assert_int_equal(only_finding(&scene)->msg, ACME_W_REACH_ALPN);
    assert_non_null(strstr(only_finding(&scene)->text,
                           "port 443 of " HERE
                           " does not end at this server: a certificate for"));
    scene = scene_of(&shut);
    scene.type = ACME_PROOF_TLS_ALPN_01;
    assert_int_equal(only_finding(&scene)->msg, ACME_W_REACH_CLOSED);
    assert_non_null(strstr(only_finding(&scene)->text, "port 443"));
    scene = scene_of(&fine);
    scene.type = ACME_PROOF_TLS_ALPN_01;
    assert_int_equal(only_finding(&scene)->msg, ACME_I_REACHED);
}

static const struct CMUnitTest tests[] = {
    POOL_TEST(test_culprits_are_recognised),
    POOL_TEST(test_culprit_is_described_without_its_tricks),
    POOL_TEST(test_every_case_is_judged),
    POOL_TEST(test_finding_says_who_answers_where),
    POOL_TEST(test_redirect_that_is_followed_is_told_with_its_end),
    POOL_TEST(test_private_address_in_the_worlds_dns_is_certain),
    POOL_TEST(test_stopped_server_is_not_blamed),
    POOL_TEST(test_name_without_addresses),
    POOL_TEST(test_tls_alpn_speaks_of_port_443),
};

RUN_TESTS(tests)
