/* Who has a TXT record: RFC 8555 section 8.4 has the CA ask, and a CA asks the
 * zone's own servers. So does this, by the way a resolver would find them. */
#include "engine/resolver_impl.h"

#include <apr_strings.h>
#include <arpa/inet.h>
#include <string.h>

#define MAX_HOSTS     16 /* of a zone; more are not asked */
#define MAX_ADDRESSES 4  /* of a host, of each kind */
#define MAX_TXT       64 /* records looked at in an answer */
#define SILENT_ROUNDS 3  /* without any answer: the host does not count */
#define FIRST_PAUSE   apr_time_from_msec(500)
#define LONGEST_PAUSE apr_time_from_sec(10)

/** One address of one of the zone's servers. */
typedef struct address_t {
    acme_whom_t whom;
    enum { SILENT, LACKS, HAS } state;
    const char *why; /* SILENT; of this round */
} address_t;

typedef struct host_t {
    const char *name;
    apr_array_header_t *addresses; /* address_t * */
    int silent;                    /* rounds in a row */
} host_t;

typedef enum stage_t {
    ASK_ZONE,  /* where does the name lead to, what zone is that in? */
    ASK_HOSTS, /* which servers has it? */
    ASK_ADDRESSES,
    ASK_TXT,
    JUDGE,
} stage_t;

typedef struct txt_t {
    acme_lookup_t base;
    acme_txt_question_t question;
    acme_txt_done_fn_t *done;
    stage_t stage;
    const char *name;   /* aliases followed */
    const char *asking; /* whose zone is asked for: name, or one above it */
    const char *zone;
    apr_array_header_t *hosts; /* host_t * */
    apr_pool_t *hosts_pool;    /* cleared when they are sought anew */
    const char *why;           /* nobody could be asked */
    apr_interval_time_t pause;
} txt_t;

static txt_t *txt_of(acme_lookup_t *lookup)
{
    return (txt_t *)(void *)lookup; /* base is its first member */
}

static host_t *host_at(const txt_t *txt, int i)
{
    return APR_ARRAY_IDX(txt->hosts, i, host_t *);
}

static host_t *add_host(txt_t *txt, const char *name)
{
    host_t *host = apr_pcalloc(txt->hosts_pool, sizeof(*host));

    host->name = apr_pstrdup(txt->hosts_pool, name);
    host->addresses = apr_array_make(txt->hosts_pool, 2, sizeof(address_t *));
    APR_ARRAY_PUSH(txt->hosts, host_t *) = host;
    return host;
}

static void add_address(txt_t *txt, host_t *host, const char *text, int recurse)
{
    address_t *address = apr_pcalloc(txt->hosts_pool, sizeof(*address));

    address->whom.address = apr_pstrdup(txt->hosts_pool, text);
    address->whom.recurse = recurse;
    APR_ARRAY_PUSH(host->addresses, address_t *) = address;
}

/* --- finding the zone's servers --------------------------------------------------- */

/* Not every resolver shows the SOA record of the zone with the answer that there
 * is nothing: then the name of the zone is sought upwards. */
static const char *next_to_ask(const txt_t *txt)
{
    const char *dot;

    if (txt->asking == txt->question.name && txt->name != txt->asking) {
        return txt->name;
    }
    dot = strchr(txt->asking, '.');
    return dot && strchr(dot + 1, '.') ? dot + 1 : NULL;
}

static void take_zone(acme_lookup_t *lookup, void *baton,
                      const acme_dns_answer_t *answer, const char *why)
{
    txt_t *txt = txt_of(lookup);

    (void)baton;
    if (!answer) {
        txt->asking = NULL;
        txt->why = apr_psprintf(txt->hosts_pool, "the zone of %s: %s",
                                txt->question.name, why);
        return;
    }
    if (txt->asking == txt->question.name) {
        const char *name = acme_dns_canonical(answer, txt->asking);
        txt->name =
            name == txt->asking ? name : apr_pstrdup(txt->hosts_pool, name);
    }
    txt->zone = apr_pstrdup(txt->hosts_pool, acme_dns_zone(answer, txt->name));
    txt->asking = txt->zone ? NULL : next_to_ask(txt);
    if (!txt->zone && !txt->asking) {
        txt->why = apr_psprintf(
            txt->hosts_pool, "no zone is to be found that %s is in", txt->name);
    }
}

static void take_hosts(acme_lookup_t *lookup, void *baton,
                       const acme_dns_answer_t *answer, const char *why)
{
    txt_t *txt = txt_of(lookup);
    apr_array_header_t *found =
        answer ? acme_dns_find(answer, txt->zone, ACME_DNS_NS, MAX_HOSTS,
                               txt->hosts_pool)
               : apr_array_make(txt->hosts_pool, 0, sizeof(void *));

    (void)baton;
    for (int i = 0; i < found->nelts; i++) {
        const char *target =
            APR_ARRAY_IDX(found, i, acme_dns_record_t *)->target;
        if (target && *target) {
            add_host(txt, target);
        }
    }
    if (!txt->hosts->nelts) {
        txt->why =
            apr_psprintf(txt->hosts_pool, "the servers of the zone %s: %s",
                         txt->zone, answer ? "there are none" : why);
    }
}

static void take_addresses(acme_lookup_t *lookup, void *baton,
                           const acme_dns_answer_t *answer, const char *why)
{
    txt_t *txt = txt_of(lookup);
    host_t *host = baton;
    char text[INET6_ADDRSTRLEN];

    (void)why;
    for (int kind = 0; answer && kind < 2; kind++) {
        acme_dns_type_t type = kind ? ACME_DNS_AAAA : ACME_DNS_A;
        apr_size_t len = kind ? 16 : 4;
        apr_array_header_t *found =
            acme_dns_find(answer, NULL, type, MAX_ADDRESSES, txt->hosts_pool);
        for (int i = 0; i < found->nelts; i++) {
            const acme_dns_record_t *record =
                APR_ARRAY_IDX(found, i, acme_dns_record_t *);
            if (record->len != len
                || !inet_ntop(kind ? AF_INET6 : AF_INET, record->data, text,
                              sizeof(text))) {
                continue;
            }
            add_address(txt, host,
                        apr_psprintf(txt->hosts_pool,
                                     kind ? "[%s]:%d" : "%s:%d", text,
                                     txt->base.resolver->config.authority_port),
                        0);
        }
    }
}

/* --- asking for the record ------------------------------------------------------------ */

static int has_wanted(const txt_t *txt, const acme_dns_answer_t *answer,
                      apr_pool_t *scratch)
{
    apr_array_header_t *found =
        acme_dns_find(answer, acme_dns_canonical(answer, txt->name),
                      ACME_DNS_TXT, MAX_TXT, scratch);

    for (int i = 0; i < found->nelts; i++) {
        const char *text = APR_ARRAY_IDX(found, i, acme_dns_record_t *)->text;
        if (text && txt->question.is_wanted(txt->base.baton, text)) {
            return 1;
        }
    }
    return 0;
}

static void take_txt(acme_lookup_t *lookup, void *baton,
                     const acme_dns_answer_t *answer, const char *why)
{
    txt_t *txt = txt_of(lookup);
    address_t *address = baton;
    apr_pool_t *scratch;

    if (!answer || answer->truncated) {
        address->state = SILENT;
        address->why =
            apr_pstrdup(lookup->round, answer ? "it was cut off" : why);
        return;
    }
    if (!txt->base.resolvers && !answer->authoritative) {
        address->state = SILENT;
        address->why = "it does not know the zone";
        return;
    }
    apr_pool_create(&scratch, txt->base.pool);
    address->state = has_wanted(txt, answer, scratch) ? HAS : LACKS;
    apr_pool_destroy(scratch);
}

static void ask_all(txt_t *txt)
{
    for (int i = 0; i < txt->hosts->nelts; i++) {
        const host_t *host = host_at(txt, i);
        for (int k = 0; k < host->addresses->nelts; k++) {
            address_t *address = APR_ARRAY_IDX(host->addresses, k, address_t *);
            if (address->state != HAS) {
                address->why = "it was not asked yet";
                acme_lookup_ask(&txt->base, &address->whom, txt->name,
                                ACME_DNS_TXT, take_txt, address);
            }
        }
    }
}

/* --- what it comes to -------------------------------------------------------------------- */

typedef struct tally_t {
    int has, lacks, silent; /* hosts; silent: those that may yet answer */
    const char *lacking, *why;
} tally_t;

static void tally_host(tally_t *tally, host_t *host, apr_pool_t *pool)
{
    int has = 0, lacks = 0;

    for (int k = 0; k < host->addresses->nelts; k++) {
        const address_t *address =
            APR_ARRAY_IDX(host->addresses, k, address_t *);
        has += address->state == HAS;
        lacks += address->state == LACKS;
        if (address->state == LACKS) {
            tally->lacking = apr_psprintf(pool, "%s (%s)", host->name,
                                          address->whom.address);
        }
        else if (address->state == SILENT) {
            tally->why = apr_psprintf(pool, "%s (%s): %s", host->name,
                                      address->whom.address, address->why);
        }
    }
    host->silent = has || lacks ? 0 : host->silent + 1;
    tally->has += has && !lacks;
    tally->lacks += lacks > 0;
    tally->silent += host->silent > 0 && host->silent < SILENT_ROUNDS;
}

static void finish(txt_t *txt, acme_seen_t seen, const char *where)
{
    txt->base.over = 1;
    txt->done(txt->base.baton, seen, where);
}

static void judge(txt_t *txt, apr_time_t now)
{
    tally_t tally = { 0 };
    apr_pool_t *scratch;

    apr_pool_create(&scratch, txt->base.pool);
    for (int i = 0; i < txt->hosts->nelts; i++) {
        tally_host(&tally, host_at(txt, i), scratch);
    }
    const char *why = tally.why  ? tally.why
                      : txt->why ? txt->why
                                 : "its servers have no addresses";
    if (tally.has && !tally.lacks
        && (!tally.silent || now >= txt->question.until)) {
        finish(txt, ACME_SEEN_YES, "");
    }
    else if (now >= txt->question.until) {
        finish(txt, tally.lacks ? ACME_SEEN_NO : ACME_SEEN_UNKNOWN,
               tally.lacks ? tally.lacking : why);
    }
    else {
        apr_interval_time_t left = txt->question.until - now;
        txt->base.due = now + (txt->pause < left ? txt->pause : left);
        txt->pause =
            2 * txt->pause < LONGEST_PAUSE ? 2 * txt->pause : LONGEST_PAUSE;
        /* who could be asked is asked again, else they are sought anew */
        txt->stage = tally.has || tally.lacks || txt->base.resolvers ? ASK_TXT
                                                                     : ASK_ZONE;
    }
    apr_pool_destroy(scratch);
}

/* --- the stages ----------------------------------------------------------------------------- */

static void seek_anew(txt_t *txt)
{
    apr_pool_clear(txt->hosts_pool);
    txt->hosts = apr_array_make(txt->hosts_pool, 4, sizeof(host_t *));
    txt->name = txt->asking = txt->question.name;
    txt->zone = txt->why = NULL;
}

static const acme_whom_t SYSTEM = { NULL, 1 };

static void ask_addresses(txt_t *txt)
{
    for (int i = 0; i < txt->hosts->nelts; i++) {
        host_t *host = host_at(txt, i);
        acme_lookup_ask(&txt->base, &SYSTEM, host->name, ACME_DNS_A,
                        take_addresses, host);
        acme_lookup_ask(&txt->base, &SYSTEM, host->name, ACME_DNS_AAAA,
                        take_addresses, host);
    }
}

/* One stage. @return whether there is nothing to wait for */
static int advance(txt_t *txt, apr_time_t now)
{
    switch (txt->stage) {
    case ASK_ZONE:
        seek_anew(txt);
        txt->stage = ASK_HOSTS;
        acme_lookup_ask(&txt->base, &SYSTEM, txt->asking, ACME_DNS_SOA,
                        take_zone, NULL);
        break;
    case ASK_HOSTS:
        if (txt->asking) {
            acme_lookup_ask(&txt->base, &SYSTEM, txt->asking, ACME_DNS_SOA,
                            take_zone, NULL);
            break;
        }
        txt->stage = txt->zone ? ASK_ADDRESSES : JUDGE;
        if (txt->zone) {
            acme_lookup_ask(&txt->base, &SYSTEM, txt->zone, ACME_DNS_NS,
                            take_hosts, NULL);
        }
        break;
    case ASK_ADDRESSES:
        txt->stage = ASK_TXT;
        ask_addresses(txt);
        break;
    case ASK_TXT:
        txt->stage = JUDGE;
        ask_all(txt);
        break;
    case JUDGE:
        judge(txt, now);
        return 0;
    }
    return !txt->base.pending;
}

static void step(acme_lookup_t *lookup, apr_time_t now)
{
    txt_t *txt = txt_of(lookup);

    while (advance(txt, now)) {
    }
}

acme_lookup_t *acme_resolver_await_txt(acme_resolver_t *resolver,
                                       const acme_txt_question_t *question,
                                       acme_txt_done_fn_t *done, void *baton)
{
    acme_lookup_t *lookup =
        acme_lookup_make(resolver, sizeof(txt_t), question->resolvers);
    txt_t *txt = txt_of(lookup);

    lookup->step = step;
    lookup->baton = baton;
    txt->question = *question;
    txt->question.name = acme_dns_name(question->name, lookup->pool);
    txt->question.resolvers = lookup->resolvers;
    txt->done = done;
    txt->pause = FIRST_PAUSE;
    apr_pool_create(&txt->hosts_pool, lookup->pool);
    seek_anew(txt);
    for (int i = 0; lookup->resolvers && i < lookup->resolvers->nelts; i++) {
        const char *text = APR_ARRAY_IDX(lookup->resolvers, i, const char *);
        add_address(txt, add_host(txt, "the resolver"), text, 1);
    }
    txt->stage = lookup->resolvers ? ASK_TXT : ASK_ZONE;
    return lookup;
}
