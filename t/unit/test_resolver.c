/* Look-ups against DNS servers in a thread of this program, on addresses of the
 * loopback network: 127.0.0.1 is the machine's resolver, 127.0.0.2 and .3 are
 * zones' own servers, and so is ::1 where there is IPv6. */
#include "core_test.h"

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "dns_test.h"
#include "memory_test.h"
#include "engine/resolver.h"
#include "engine/transport.h"

#define SERVERS 4
enum { SYSTEM, NS1, NS2, NS6 };

/** What a server answers to one question: all lines that fit. */
typedef struct line_t {
    int server;
    const char *name;
    int type;
    int section;
    const char *owner;
    int record;
    const char *data;
    int from; /* not before this many such questions */
} line_t;

#define MANY 64
static struct {
    int fd[SERVERS + 1]; /* the last is a pipe, to end it */
    int stop, port, has_ipv6;
    pthread_t thread;
    line_t lines[MANY];
    int count;
    int flags[SERVERS];   /* added to each answer */
    int garbled[SERVERS]; /* random octets behind the header */
    _Atomic int asked[SERVERS];
} dns;

static acme_transport_t *transport;
static acme_resolver_t *resolver;

/* --- the servers ------------------------------------------------------------------- */

static void read_question(char *name, int *type, const unsigned char *octets)
{
    const unsigned char *p = octets + 12;

    while (*p) {
        memcpy(name, p + 1, *p);
        name += *p;
        p += *p + 1;
        if (*p) {
            *name++ = '.';
        }
    }
    *name = '\0';
    *type = p[1] << 8 | p[2];
}

static void answer(int server, const unsigned char *question,
                   const struct sockaddr_storage *to, socklen_t to_len)
{
    message_t m;
    char name[256];
    int type, known = 0;

    read_question(name, &type, question);
    int nth = ++dns.asked[server];
    begin_message(&m, question[0] << 8 | question[1],
                  0x8000 | (server == SYSTEM ? 0 : 0x0400) | dns.flags[server],
                  name, type);
    for (int section = 0; section < 2; section++) {
        for (int i = 0; i < dns.count; i++) {
            const line_t *line = &dns.lines[i];
            if (line->server == server && line->section == section
                && line->type == type && !strcasecmp(line->name, name)
                && nth > line->from) {
                put_record(&m, section, line->owner, line->record, line->data);
                known = 1;
            }
        }
    }
    if (!known && !dns.flags[server]) {
        m.octets[3] |= ACME_DNS_NXDOMAIN;
    }
    for (apr_size_t i = 12; dns.garbled[server] && i < m.len; i++) {
        m.octets[i] = (unsigned char)(i * 167 + nth);
    }
    sendto(dns.fd[server], m.octets, m.len, 0, (const struct sockaddr *)to,
           to_len);
}

static void *serve(void *unused)
{
    struct pollfd fds[SERVERS + 1];
    unsigned char question[1024];

    (void)unused;
    for (;;) {
        for (int i = 0; i <= SERVERS; i++) {
            fds[i] = (struct pollfd){ dns.fd[i], POLLIN, 0 };
        }
        poll(fds, SERVERS + 1, -1);
        if (fds[SERVERS].revents) {
            return NULL;
        }
        for (int i = 0; i < SERVERS; i++) {
            struct sockaddr_storage from;
            socklen_t len = sizeof(from);
            if (fds[i].revents
                && recvfrom(dns.fd[i], question, sizeof(question), 0,
                            (struct sockaddr *)&from, &len)
                       > 12) {
                answer(i, question, &from, len);
            }
        }
    }
}

static int open_servers(void)
{
    struct sockaddr_in address = { .sin_family = AF_INET };
    struct sockaddr_in6 address6 = { .sin6_family = AF_INET6,
                                     .sin6_addr = IN6ADDR_LOOPBACK_INIT };
    socklen_t len = sizeof(address);

    for (int i = 0; i < NS6; i++) {
        dns.fd[i] = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        address.sin_addr.s_addr = htonl(0x7f000001 + (unsigned int)i);
        if (bind(dns.fd[i], (struct sockaddr *)&address, sizeof(address))) {
            return -1;
        }
        getsockname(dns.fd[i], (struct sockaddr *)&address, &len);
    }
    dns.port = ntohs(address.sin_port);
    address6.sin6_port = address.sin_port;
    dns.fd[NS6] = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    dns.has_ipv6 =
        !bind(dns.fd[NS6], (struct sockaddr *)&address6, sizeof(address6));
    return 0;
}

/* In a pool that gives back what it has no more use for: so its memory can be
 * measured. */
static int create_resolver(void)
{
    acme_resolver_config_t config = {
        acme_transport_watches(transport), dns.port,
        apr_psprintf(pool, "127.0.0.1:%d", dns.port), 100
    };
    apr_allocator_t *allocator;
    apr_pool_t *own;

    if (apr_allocator_create(&allocator)
        || apr_pool_create_ex(&own, pool, NULL, allocator)) {
        return -1;
    }
    apr_allocator_owner_set(allocator, own);
    apr_allocator_max_free_set(allocator, 1);
    return acme_resolver_create(&resolver, &config, own) ? -1 : 0;
}

static int set_up(void **state)
{
    int ends[2];

    pool_setup(state);
    memset(&dns, 0, sizeof(dns));
    if (open_servers() || pipe(ends)) {
        return -1;
    }
    dns.fd[SERVERS] = ends[0];
    dns.stop = ends[1];
    if (acme_transport_create(&transport, "0", pool) != NULL
        || create_resolver()) {
        return -1;
    }
    return pthread_create(&dns.thread, NULL, serve, NULL);
}

static int tear_down(void **state)
{
    close(dns.stop);
    pthread_join(dns.thread, NULL);
    for (int i = 0; i <= SERVERS; i++) {
        close(dns.fd[i]);
    }
    return pool_teardown(state);
}

static void add(int server, const char *name, int type, int section,
                const char *owner, int record, const char *data)
{
    dns.lines[dns.count++] =
        (line_t){ server, name, type, section, owner, record, data, 0 };
}

#define NAME "_acme-challenge.shop.test"

/* shop.test with two servers, each at one address. */
static void add_zone(const char *ns1, const char *ns2)
{
    add(SYSTEM, NAME, ACME_DNS_SOA, 1, "shop.test", ACME_DNS_SOA, "");
    add(SYSTEM, "shop.test", ACME_DNS_NS, 0, "shop.test", ACME_DNS_NS,
        "ns1.test");
    add(SYSTEM, "ns1.test", ACME_DNS_A, 0, "ns1.test", ACME_DNS_A, ns1);
    if (ns2) {
        add(SYSTEM, "shop.test", ACME_DNS_NS, 0, "shop.test", ACME_DNS_NS,
            "ns2.test");
        add(SYSTEM, "ns2.test", ACME_DNS_A, 0, "ns2.test", ACME_DNS_A, ns2);
    }
}

static void add_txt(int server, const char *value)
{
    add(server, NAME, ACME_DNS_TXT, 0, NAME, ACME_DNS_TXT, value);
}

/* --- looking --------------------------------------------------------------------------- */

typedef struct result_t {
    int told;
    acme_seen_t seen;
    const char *where;
    const char *domain, *records, *failure;
} result_t;

static int is_wanted(void *baton, const char *text)
{
    (void)baton;
    return !strcmp(text, "wanted");
}

static void on_txt(void *baton, acme_seen_t seen, const char *where)
{
    result_t *result = baton;

    result->told++;
    result->seen = seen;
    result->where = apr_pstrdup(pool, where);
}

static void on_caa(void *baton, const char *domain,
                   const apr_array_header_t *records, const char *failure)
{
    result_t *result = baton;

    result->told++;
    result->domain = apr_pstrdup(pool, domain);
    result->records = records ? acme_caa_text(records, pool) : NULL;
    result->failure = apr_pstrdup(pool, failure);
}

static void on_hosts(void *baton, const acme_hosts_t *hosts)
{
    result_t *result = baton;

    (void)hosts;
    result->told++;
}

static void finish(void)
{
    apr_time_t until = apr_time_now() + apr_time_from_sec(40);

    for (;;) {
        acme_resolver_run(resolver, apr_time_now());
        if (!acme_resolver_count(resolver)) {
            return;
        }
        assert_no_err(acme_transport_poll(
            transport, acme_resolver_wait(resolver, apr_time_now(),
                                          apr_time_from_sec(1))));
        assert_true(apr_time_now() < until);
    }
}

static result_t look(apr_interval_time_t patience, const char *named)
{
    result_t result = { 0 };
    apr_array_header_t *resolvers =
        apr_array_make(pool, 2, sizeof(const char *));
    acme_txt_question_t question = { NAME, is_wanted, apr_time_now() + patience,
                                     resolvers };
    char *copy = apr_pstrdup(pool, named), *next, *one;

    for (one = apr_strtok(copy, " ", &next); one;
         one = apr_strtok(NULL, " ", &next)) {
        APR_ARRAY_PUSH(resolvers, const char *) =
            acme_resolver_address(one, pool);
    }
    acme_resolver_await_txt(resolver, &question, on_txt, &result);
    finish();
    assert_int_equal(result.told, 1);
    return result;
}

static void test_addresses_are_read(void **state)
{
    static const char *const BAD[] = {
        "",          "dns.example", "1.2.3",
        "1.2.3.4:",  "1.2.3.4:0",   "::1:x",
        "[::1",      "[::1]53",     "1.2.3.4:65536",
        "[1.2.3.4]", "1.2.3.4:+5",  "1.2.3.4,5.6.7.8",
    };

    (void)state;
    assert_string_equal(acme_resolver_address("9.9.9.9", pool), "9.9.9.9:53");
    assert_string_equal(acme_resolver_address("127.0.0.1:8053", pool),
                        "127.0.0.1:8053");
    assert_string_equal(acme_resolver_address("2620:FE::fe", pool),
                        "[2620:fe::fe]:53");
    assert_string_equal(acme_resolver_address("[::1]:5", pool), "[::1]:5");
    for (apr_size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++) {
        assert_null(acme_resolver_address(BAD[i], pool));
    }
}

static void test_txt_at_all_servers_is_seen(void **state)
{
    (void)state;
    add_zone("127.0.0.2", "127.0.0.3");
    add_txt(NS1, "other");
    add_txt(NS1, "wanted");
    add_txt(NS2, "wanted");
    result_t result = look(apr_time_from_sec(10), "");
    assert_int_equal(result.seen, ACME_SEEN_YES);
    assert_int_equal(dns.asked[NS1], 1);
    assert_int_equal(dns.asked[NS2], 1);
}

static void test_txt_is_waited_for_at_the_last_server(void **state)
{
    (void)state;
    add_zone("127.0.0.2", "127.0.0.3");
    add_txt(NS1, "wanted");
    add_txt(NS2, "wanted");
    dns.lines[dns.count - 1].from = 2;
    result_t result = look(apr_time_from_sec(20), "");
    assert_int_equal(result.seen, ACME_SEEN_YES);
    assert_int_equal(dns.asked[NS1], 1); /* who has it is asked no more */
    assert_int_equal(dns.asked[NS2], 3);
}

static void test_txt_missing_at_one_server_names_it(void **state)
{
    (void)state;
    add_zone("127.0.0.2", "127.0.0.3");
    add_txt(NS1, "wanted");
    add_txt(NS2, "another");
    result_t result = look(apr_time_from_msec(700), "");
    assert_int_equal(result.seen, ACME_SEEN_NO);
    assert_string_equal(
        result.where, apr_psprintf(pool, "ns2.test (127.0.0.3:%d)", dns.port));
}

static void test_txt_is_sought_where_an_alias_leads(void **state)
{
    (void)state;
    add(SYSTEM, NAME, ACME_DNS_SOA, 0, NAME, ACME_DNS_CNAME, "X.deleg.test");
    add(SYSTEM, NAME, ACME_DNS_SOA, 1, "deleg.test", ACME_DNS_SOA, "");
    add(SYSTEM, "deleg.test", ACME_DNS_NS, 0, "deleg.test", ACME_DNS_NS,
        "ns2.test");
    add(SYSTEM, "ns2.test", ACME_DNS_A, 0, "ns2.test", ACME_DNS_A, "127.0.0.3");
    add(NS2, "x.deleg.test", ACME_DNS_TXT, 0, "x.deleg.test", ACME_DNS_TXT,
        "wanted");
    assert_int_equal(look(apr_time_from_sec(5), "").seen, ACME_SEEN_YES);
    assert_int_equal(dns.asked[NS1], 0);
}

static void test_zone_is_found_without_soa_in_the_authority(void **state)
{
    (void)state;
    add_zone("127.0.0.2", NULL);
    dns.lines[0].type = ACME_DNS_MAX_RECORDS; /* nobody asks for that */
    add(SYSTEM, "shop.test", ACME_DNS_SOA, 0, "shop.test", ACME_DNS_SOA, "");
    add_txt(NS1, "wanted");
    assert_int_equal(look(apr_time_from_sec(5), "").seen, ACME_SEEN_YES);
}

static void test_server_is_asked_by_ipv6_as_well(void **state)
{
    (void)state;
    if (!dns.has_ipv6) {
        skip();
    }
    add_zone("127.0.0.2", NULL);
    add(SYSTEM, "ns1.test", ACME_DNS_AAAA, 0, "ns1.test", ACME_DNS_AAAA, "::1");
    add_txt(NS1, "wanted");
    add_txt(NS6, "old");
    result_t result = look(apr_time_from_msec(600), "");
    assert_int_equal(result.seen, ACME_SEEN_NO);
    assert_string_equal(result.where,
                        apr_psprintf(pool, "ns1.test ([::1]:%d)", dns.port));
    add_txt(NS6, "wanted");
    assert_int_equal(look(apr_time_from_sec(5), "").seen, ACME_SEEN_YES);
    const char *named = apr_psprintf(pool, "[::1]:%d", dns.port);
    assert_int_equal(look(apr_time_from_sec(5), named).seen, ACME_SEEN_YES);
}

static void test_server_unreachable_by_ipv6_does_not_count(void **state)
{
    (void)state;
    add_zone("127.0.0.2", NULL);
    add(SYSTEM, "ns1.test", ACME_DNS_AAAA, 0, "ns1.test", ACME_DNS_AAAA,
        "100::1"); /* leads nowhere: RFC 6666 */
    add_txt(NS1, "wanted");
    assert_int_equal(look(apr_time_from_sec(10), "").seen, ACME_SEEN_YES);
}

static void test_server_that_never_answers_does_not_count(void **state)
{
    (void)state;
    add_zone("127.0.0.2", "127.0.0.9"); /* nobody there */
    add_txt(NS1, "wanted");
    apr_time_t began = apr_time_now();
    assert_int_equal(look(apr_time_from_sec(60), "").seen, ACME_SEEN_YES);
    assert_true(apr_time_now() - began < apr_time_from_sec(30));
}

static void test_lame_or_garbled_server_is_no_answer(void **state)
{
    (void)state;
    add_zone("127.0.0.2", "127.0.0.3");
    add_txt(NS1, "wanted");
    dns.garbled[NS1] = 1;
    dns.flags[NS2] = 5; /* REFUSED */
    result_t result = look(apr_time_from_msec(600), "");
    assert_int_equal(result.seen, ACME_SEEN_UNKNOWN);
    assert_non_null(strstr(result.where, ".test (127.0.0."));
}

static void test_no_zone_is_told(void **state)
{
    (void)state;
    result_t result = look(apr_time_from_msec(100), "");
    assert_int_equal(result.seen, ACME_SEEN_UNKNOWN);
    assert_string_equal(result.where,
                        "no zone is to be found that " NAME " is in");
}

static void test_named_resolvers_are_asked_instead(void **state)
{
    (void)state;
    add_txt(NS1, "wanted");
    add(NS2, NAME, ACME_DNS_TXT, 0, NAME, ACME_DNS_CNAME, "y.test");
    add(NS2, NAME, ACME_DNS_TXT, 0, "y.test", ACME_DNS_TXT, "wanted");
    const char *named =
        apr_psprintf(pool, "127.0.0.2:%d 127.0.0.3:%d", dns.port, dns.port);
    assert_int_equal(look(apr_time_from_sec(5), named).seen, ACME_SEEN_YES);
    assert_int_equal(dns.asked[SYSTEM], 0);
}

static result_t find_caa(const char *name)
{
    result_t result = { 0 };

    acme_resolver_find_caa(resolver, name, NULL, on_caa, &result);
    finish();
    assert_int_equal(result.told, 1);
    return result;
}

static void test_caa_is_sought_upwards(void **state)
{
    (void)state;
    add(SYSTEM, "shop.test", ACME_DNS_CAA, 0, "shop.test", ACME_DNS_CAA,
        "0 issue ca.example");
    result_t result = find_caa("a.b.Shop.test");
    assert_string_equal(result.domain, "shop.test");
    assert_string_equal(result.records, "0 issue \"ca.example\"");
    assert_null(result.failure);
    assert_int_equal(dns.asked[SYSTEM], 3);
    result = find_caa("other.test");
    assert_null(result.domain);
    assert_null(result.failure);
}

static void test_caa_failure_is_told(void **state)
{
    (void)state;
    dns.flags[SYSTEM] = 2; /* SERVFAIL */
    result_t result = find_caa("shop.test");
    assert_null(result.domain);
    assert_non_null(strstr(result.failure, "the CAA records of shop.test: "));
}

static void test_many_lookups_take_their_turn(void **state)
{
    result_t results[3 * ACME_RESOLVER_AT_ONCE] = { { 0 } };

    (void)state;
    for (int i = 0; i < 3 * ACME_RESOLVER_AT_ONCE; i++) {
        acme_resolver_find_caa(resolver, "a.shop.test", NULL, on_caa,
                               &results[i]);
    }
    finish();
    for (int i = 0; i < 3 * ACME_RESOLVER_AT_ONCE; i++) {
        assert_int_equal(results[i].told, 1);
    }
}

static void test_forgotten_lookup_is_not_told_of(void **state)
{
    result_t result = { 0 };
    acme_lookup_t *first, *second;

    (void)state;
    first = acme_resolver_find_caa(resolver, "a.test", NULL, on_caa, &result);
    acme_resolver_run(resolver, apr_time_now());
    second = acme_resolver_find_caa(resolver, "b.test", NULL, on_caa, &result);
    acme_lookup_forget(first);
    acme_lookup_forget(second);
    finish();
    assert_int_equal(result.told, 0);
    /* and with the pool's end nothing is told either */
    acme_resolver_find_caa(resolver, "a.test", NULL, on_caa, &result);
    acme_resolver_run(resolver, apr_time_now());
}

/* --- many, and for long -------------------------------------------------------------- */

/* A round at a moment of the test's choice: rests pass without waiting. */
static void turn(apr_time_t now)
{
    acme_resolver_run(resolver, now);
    assert_no_err(acme_transport_poll(
        transport, acme_resolver_wait(resolver, now, apr_time_from_msec(20))));
}

static acme_lookup_t *await_for_ever(result_t *result, apr_time_t now)
{
    acme_txt_question_t question = { NAME, is_wanted,
                                     now + apr_time_from_sec(1000000), NULL };
    return acme_resolver_await_txt(resolver, &question, on_txt, result);
}

static void test_resting_lookups_hold_up_no_other(void **state)
{
    enum { COUNT = 2 * ACME_RESOLVER_AT_ONCE };
    acme_lookup_t *lookups[COUNT];
    result_t waiting = { 0 }, result = { 0 };
    apr_time_t now = apr_time_now(), until = now + apr_time_from_sec(20);

    (void)state;
    add_zone("127.0.0.2", NULL);
    add_txt(NS1, "other");
    for (int i = 0; i < COUNT; i++) {
        lookups[i] = await_for_ever(&waiting, now);
    }
    while (dns.asked[NS1] < COUNT) {
        assert_true(apr_time_now() < until);
        turn(now);
    }
    acme_resolver_find_caa(resolver, "a.test", NULL, on_caa, &result);
    while (!result.told) {
        assert_true(apr_time_now() < until);
        turn(now);
    }
    assert_int_equal(acme_resolver_count(resolver), COUNT);
    assert_int_equal(waiting.told, 0);
    /* those that rest are asked for again in their turn, and told at the end */
    while (dns.asked[NS1] < 2 * COUNT) {
        assert_true(apr_time_now() < until);
        turn(now += apr_time_from_msec(20));
    }
    acme_lookup_forget(lookups[COUNT / 2]);
    while (acme_resolver_count(resolver)) {
        assert_true(apr_time_now() < until);
        turn(now += apr_time_from_sec(10000));
    }
    assert_int_equal(waiting.told, COUNT - 1);
    assert_int_equal(waiting.seen, ACME_SEEN_NO);
}

static void test_forgotten_lookup_does_not_rest_on(void **state)
{
    result_t waiting = { 0 };
    apr_time_t now = apr_time_now(), until = now + apr_time_from_sec(20);

    (void)state;
    add_zone("127.0.0.2", NULL);
    add_txt(NS1, "other");
    acme_lookup_t *lookup = await_for_ever(&waiting, now);
    while (dns.asked[NS1] < 1
           || acme_resolver_wait(resolver, now, 1000000) < 400000) {
        assert_true(apr_time_now() < until);
        turn(now);
    }
    acme_lookup_forget(lookup);
    assert_int_equal(acme_resolver_wait(resolver, now, 1000000), 0);
    acme_resolver_run(resolver, now);
    assert_int_equal(acme_resolver_count(resolver), 0);
    assert_int_equal(waiting.told, 0);
}

static void pass_rounds(int count, apr_time_t *now)
{
    int until = dns.asked[NS1] + count;
    apr_time_t end = apr_time_now() + apr_time_from_sec(60);

    while (dns.asked[NS1] < until) {
        assert_true(apr_time_now() < end);
        turn(*now += apr_time_from_sec(10));
    }
}

static void test_waiting_takes_no_more_memory(void **state)
{
    result_t waiting = { 0 };
    apr_time_t now = apr_time_now();

    (void)state;
    add_zone("127.0.0.2", "127.0.0.3");
    add_txt(NS1, "other");
    dns.flags[NS2] = 5; /* REFUSED: why is kept */
    acme_lookup_t *lookup = await_for_ever(&waiting, now);
    pass_rounds(50, &now);
    long before = test_mapped();
    pass_rounds(2000, &now);
    assert_true(test_mapped() <= before + 65536);
    acme_lookup_forget(lookup);
    finish();
}

/* One look-up at each of so many servers of their own, where nobody answers. */
static void ask_servers(int first, int count, apr_time_t now)
{
    apr_time_t end = apr_time_now() + apr_time_from_sec(60);
    result_t results[8];

    for (int i = first; i < first + count; i += 8) {
        apr_pool_t *scratch;

        apr_pool_create(&scratch, pool);
        memset(results, 0, sizeof(results));
        for (int k = 0; k < 8; k++) {
            apr_array_header_t *named =
                apr_array_make(scratch, 1, sizeof(const char *));
            APR_ARRAY_PUSH(named, const char *) =
                apr_psprintf(scratch, "127.1.%d.%d:%d", (i + k) / 250,
                             (i + k) % 250 + 1, dns.port);
            acme_resolver_find_hosts(resolver, "a.test", named, on_hosts,
                                     &results[k]);
        }
        for (int k = 0; k < 8; k++) {
            while (!results[k].told) {
                assert_true(apr_time_now() < end);
                turn(now);
            }
        }
        apr_pool_destroy(scratch);
    }
}

static void test_servers_not_asked_any_more_are_closed(void **state)
{
    result_t waiting = { 0 };
    apr_time_t now = apr_time_now();

    (void)state;
    add_zone("127.0.0.2", NULL);
    add_txt(NS1, "other");
    acme_lookup_t *lookup = await_for_ever(&waiting, now);
    ask_servers(0, 160, now);
    long before = test_mapped();
    ask_servers(160, 320, now);
    assert_true(test_mapped() <= before + 1024 * 1024);
    /* and a server is there again when it is needed again */
    pass_rounds(2, &now);
    acme_lookup_forget(lookup);
    finish();
}

#define RESOLVER_TEST(test)                                                    \
    cmocka_unit_test_setup_teardown(test, set_up, tear_down)

static const struct CMUnitTest tests[] = {
    POOL_TEST(test_addresses_are_read),
    RESOLVER_TEST(test_txt_at_all_servers_is_seen),
    RESOLVER_TEST(test_txt_is_waited_for_at_the_last_server),
    RESOLVER_TEST(test_txt_missing_at_one_server_names_it),
    RESOLVER_TEST(test_txt_is_sought_where_an_alias_leads),
    RESOLVER_TEST(test_zone_is_found_without_soa_in_the_authority),
    RESOLVER_TEST(test_server_is_asked_by_ipv6_as_well),
    RESOLVER_TEST(test_server_unreachable_by_ipv6_does_not_count),
    RESOLVER_TEST(test_server_that_never_answers_does_not_count),
    RESOLVER_TEST(test_lame_or_garbled_server_is_no_answer),
    RESOLVER_TEST(test_no_zone_is_told),
    RESOLVER_TEST(test_named_resolvers_are_asked_instead),
    RESOLVER_TEST(test_caa_is_sought_upwards),
    RESOLVER_TEST(test_caa_failure_is_told),
    RESOLVER_TEST(test_many_lookups_take_their_turn),
    RESOLVER_TEST(test_forgotten_lookup_is_not_told_of),
    RESOLVER_TEST(test_resting_lookups_hold_up_no_other),
    RESOLVER_TEST(test_forgotten_lookup_does_not_rest_on),
    RESOLVER_TEST(test_waiting_takes_no_more_memory),
    RESOLVER_TEST(test_servers_not_asked_any_more_are_closed),
};

RUN_TESTS(tests)
