#include "core/ident.h"

#include <apr_hash.h>
#include <apr_lib.h>
#include <apr_strings.h>
#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

#include "core/encode.h"

#define MAX_NAME     253
#define MAX_LABEL    63
#define MAX_FILENAME 255

/* --- parsing --------------------------------------------------------------- */

static acme_ident_t *ident_make(acme_ident_type_t type, const char *value,
                                apr_pool_t *pool)
{
    acme_ident_t *ident = apr_palloc(pool, sizeof(*ident));

    ident->type = type;
    ident->value = apr_pstrdup(pool, value);
    return ident;
}

/* Through the binary form and back, so that one address has one text. */
static acme_ident_t *parse_ip(const char *text, int family, apr_pool_t *pool)
{
    unsigned char address[sizeof(struct in6_addr)];
    char canonical[INET6_ADDRSTRLEN];

    if (inet_pton(family, text, address) != 1
        || !inet_ntop(family, address, canonical, sizeof(canonical))) {
        return NULL;
    }
    return ident_make(ACME_IDENT_IP, canonical, pool);
}

static acme_ident_t *parse_bracketed(const char *text, apr_pool_t *pool)
{
    apr_size_t length = strlen(text);

    if (text[length - 1] != ']' || length > INET6_ADDRSTRLEN + 2) {
        return NULL;
    }
    return parse_ip(apr_pstrmemdup(pool, text + 1, length - 2), AF_INET6, pool);
}

/* What is wrong with one label, or NULL. */
static const char *label_fault(const char *label, apr_size_t length)
{
    apr_size_t i;

    if (length == 0) {
        return "a label between its dots is empty";
    }
    if (length > MAX_LABEL) {
        return "a label is longer than 63 characters";
    }
    for (i = 0; i < length; i++) {
        if (label[i] == '*') {
            return "a wildcard is only possible as a leading \"*.\"";
        }
        if (!strchr("abcdefghijklmnopqrstuvwxyz0123456789-_", label[i])) {
            return "it has characters other than letters, digits, '-' and '_' (write international names in their xn-- form)";
        }
    }
    if (label[0] == '-' || label[length - 1] == '-') {
        return "a label begins or ends with '-'";
    }
    return NULL;
}

/* What is wrong with a lower-case name without final dot, or NULL. */
static const char *name_fault(const char *name)
{
    const char *label, *dot, *fault;

    if (!*name) {
        return "it is empty";
    }
    if (strlen(name) > MAX_NAME) {
        return "it is longer than 253 octets";
    }
    label = strncmp(name, "*.", 2) == 0 ? name + 2 : name;
    while ((dot = strchr(label, '.')) != NULL) {
        fault = label_fault(label, (apr_size_t)(dot - label));
        if (fault) {
            return fault;
        }
        label = dot + 1;
    }
    fault = label_fault(label, strlen(label));
    if (fault) {
        return fault;
    }
    /* Otherwise a mistyped address would pass for a name. */
    if (strspn(label, "0123456789") == strlen(label)) {
        return "its last label is a number";
    }
    return NULL;
}

acme_err_t *acme_ident_parse(acme_ident_t **ident, const char *text,
                             apr_pool_t *pool)
{
    acme_ident_t *ip;
    apr_size_t length, i;
    const char *fault;
    char *name;

    if (!text) {
        text = "";
    }
    ip = text[0] == '[' ? parse_bracketed(text, pool)
                        : parse_ip(text, AF_INET, pool);
    if (!ip) {
        ip = parse_ip(text, AF_INET6, pool);
    }
    if (ip) {
        *ident = ip;
        return NULL;
    }
    /* Two more than allowed: one for the final dot, one to see the excess. */
    name = apr_pstrndup(pool, text, MAX_NAME + 2);
    length = strlen(name);
    if (length > 1 && name[length - 1] == '.') {
        name[--length] = '\0';
    }
    for (i = 0; i < length; i++) {
        name[i] = (char)apr_tolower(name[i]);
    }
    fault = name_fault(name);
    if (fault) {
        return acme_err_make(pool, ACME_E_IDENT_SYNTAX,
                             *text ? text : "an empty text", fault, NULL);
    }
    *ident = ident_make(ACME_IDENT_DNS, name, pool);
    return NULL;
}

/* --- public or not --------------------------------------------------------- */

typedef struct reserved_t {
    const char *suffix;
    const char *why;
} reserved_t;

/* RFC 6761, 6762 (with appendix G), 7686, 8375, 9476; ICANN for .internal. */
static const reserved_t reserved_names[] = {
    { "localhost", "localhost is this machine alone" },
    { "local", ".local names exist on the local network only" },
    { "internal", ".internal names exist on private networks only" },
    { "intranet", ".intranet names exist on private networks only" },
    { "private", ".private names exist on private networks only" },
    { "corp", ".corp names exist on private networks only" },
    { "home", ".home names exist on private networks only" },
    { "lan", ".lan names exist on private networks only" },
    { "home.arpa", ".home.arpa names exist on home networks only" },
    { "invalid", ".invalid is reserved and never resolves" },
    { "test", ".test is reserved for testing" },
    { "example", ".example is reserved for documentation" },
    { "example.com", "example.com is reserved for documentation" },
    { "example.net", "example.net is reserved for documentation" },
    { "example.org", "example.org is reserved for documentation" },
    { "onion", ".onion names cannot be reached by the CA" },
    { "alt", ".alt names are outside of the DNS" },
};

typedef struct reserved_net_t {
    unsigned char net[4];
    int bits;
    const char *why;
} reserved_net_t;

/* IANA special-purpose registry, RFC 6890. */
static const reserved_net_t reserved_nets[] = {
    { { 127, 0, 0, 0 }, 8, "it is a loopback address" },
    { { 10, 0, 0, 0 }, 8, "it is a private address" },
    { { 172, 16, 0, 0 }, 12, "it is a private address" },
    { { 192, 168, 0, 0 }, 16, "it is a private address" },
    { { 100, 64, 0, 0 }, 10, "it is an address shared by a provider" },
    { { 169, 254, 0, 0 }, 16, "it is a link-local address" },
    { { 0, 0, 0, 0 }, 8, "it is a reserved address" },
    { { 192, 0, 0, 0 }, 24, "it is a reserved address" },
    { { 192, 0, 2, 0 }, 24, "it is an address for documentation" },
    { { 198, 51, 100, 0 }, 24, "it is an address for documentation" },
    { { 203, 0, 113, 0 }, 24, "it is an address for documentation" },
    { { 198, 18, 0, 0 }, 15, "it is an address for benchmarks" },
    { { 224, 0, 0, 0 }, 3, "it is a multicast or reserved address" },
};

static apr_uint32_t number_of(const unsigned char address[4])
{
    return (apr_uint32_t)address[0] << 24 | (apr_uint32_t)address[1] << 16
           | (apr_uint32_t)address[2] << 8 | address[3];
}

static const char *why_not_public_ipv4(const unsigned char address[4])
{
    apr_size_t i;

    for (i = 0; i < sizeof(reserved_nets) / sizeof(reserved_nets[0]); i++) {
        const reserved_net_t *reserved = &reserved_nets[i];
        int shift = 32 - reserved->bits;

        if (number_of(address) >> shift == number_of(reserved->net) >> shift) {
            return reserved->why;
        }
    }
    return NULL;
}

static const char *why_not_public_ipv6(const unsigned char address[16])
{
    static const unsigned char loopback[16] = { [15] = 1 };

    if (memcmp(address, loopback, sizeof(loopback)) == 0) {
        return "it is a loopback address";
    }
    if ((address[0] & 0xfe) == 0xfc) {
        return "it is a private address";
    }
    if (address[0] == 0xfe && (address[1] & 0xc0) == 0x80) {
        return "it is a link-local address";
    }
    if (memcmp(address, "\x20\x01\x0d\xb8", 4) == 0
        || memcmp(address, "\x3f\xff\x00", 3) == 0) {
        return "it is an address for documentation";
    }
    /* Global unicast is 2000::/3 and nothing else, so far. */
    return (address[0] & 0xe0) == 0x20 ? NULL : "it is a reserved address";
}

static int ends_in(const char *name, const char *suffix)
{
    apr_size_t length = strlen(name), tail = strlen(suffix);

    return length >= tail && strcmp(name + length - tail, suffix) == 0
           && (length == tail || name[length - tail - 1] == '.');
}

static const char *why_not_public_name(const char *name)
{
    apr_size_t i;

    for (i = 0; i < sizeof(reserved_names) / sizeof(reserved_names[0]); i++) {
        if (ends_in(name, reserved_names[i].suffix)) {
            return reserved_names[i].why;
        }
    }
    if (!strchr(name, '.')) {
        return "it is a single label without a domain";
    }
    if (strchr(name, '_')) {
        return "public CAs certify no names with '_'";
    }
    return NULL;
}

const char *acme_ident_why_not_public(const acme_ident_t *ident)
{
    unsigned char address[sizeof(struct in6_addr)];

    if (ident->type == ACME_IDENT_DNS) {
        return why_not_public_name(ident->value
                                   + (acme_ident_is_wildcard(ident) ? 2 : 0));
    }
    if (inet_pton(AF_INET, ident->value, address) == 1) {
        return why_not_public_ipv4(address);
    }
    if (inet_pton(AF_INET6, ident->value, address) == 1) {
        return why_not_public_ipv6(address);
    }
    return "it is not an address";
}

/* --- comparing ------------------------------------------------------------- */

int acme_ident_is_wildcard(const acme_ident_t *ident)
{
    return ident->type == ACME_IDENT_DNS && strncmp(ident->value, "*.", 2) == 0;
}

int acme_ident_equal(const acme_ident_t *a, const acme_ident_t *b)
{
    return a->type == b->type && strcmp(a->value, b->value) == 0;
}

int acme_ident_covers(const acme_ident_t *pattern, const acme_ident_t *name)
{
    const char *dot;

    if (acme_ident_equal(pattern, name)) {
        return 1;
    }
    if (!acme_ident_is_wildcard(pattern) || name->type != ACME_IDENT_DNS
        || acme_ident_is_wildcard(name)) {
        return 0;
    }
    dot = strchr(name->value, '.');
    return dot && dot > name->value && strcmp(dot, pattern->value + 1) == 0;
}

int acme_idents_subset(const apr_array_header_t *sub,
                       const apr_array_header_t *set)
{
    apr_pool_t *pool;
    apr_hash_t *known;
    int i, all = 1;

    if (apr_pool_create(&pool, NULL) != APR_SUCCESS) {
        return 0;
    }
    known = apr_hash_make(pool);
    for (i = 0; i < set->nelts; i++) {
        const acme_ident_t *ident = APR_ARRAY_IDX(set, i, acme_ident_t *);

        /* A name and an address never have the same text: see name_fault. */
        apr_hash_set(known, ident->value, APR_HASH_KEY_STRING, ident);
    }
    for (i = 0; i < sub->nelts && all; i++) {
        const acme_ident_t *ident = APR_ARRAY_IDX(sub, i, acme_ident_t *);
        const acme_ident_t *found =
            apr_hash_get(known, ident->value, APR_HASH_KEY_STRING);

        all = found && found->type == ident->type;
    }
    apr_pool_destroy(pool);
    return all;
}

int acme_idents_equal(const apr_array_header_t *a, const apr_array_header_t *b)
{
    return acme_idents_subset(a, b) && acme_idents_subset(b, a);
}

/* --- writing --------------------------------------------------------------- */

apr_array_header_t *acme_idents_copy(const apr_array_header_t *idents,
                                     apr_pool_t *pool)
{
    apr_array_header_t *copy =
        apr_array_make(pool, idents->nelts, sizeof(acme_ident_t *));
    int i;

    for (i = 0; i < idents->nelts; i++) {
        acme_ident_t *ident = apr_pmemdup(
            pool, APR_ARRAY_IDX(idents, i, acme_ident_t *), sizeof(*ident));

        ident->value = apr_pstrdup(pool, ident->value);
        APR_ARRAY_PUSH(copy, acme_ident_t *) = ident;
    }
    return copy;
}

const char *acme_idents_text(const apr_array_header_t *idents, int show,
                             apr_pool_t *pool)
{
    int count = idents->nelts;
    int shown = show < 0 ? 0 : show < count ? show : count;
    apr_array_header_t *parts =
        apr_array_make(pool, shown + 1, sizeof(const char *));
    const char *text;
    int i;

    for (i = 0; i < shown; i++) {
        APR_ARRAY_PUSH(parts, const char *) =
            APR_ARRAY_IDX(idents, i, acme_ident_t *)->value;
        if (i + 1 < shown) {
            APR_ARRAY_PUSH(parts, const char *) = ", ";
        }
    }
    text = apr_array_pstrcat(pool, parts, 0);
    if (shown == 0) {
        return count == 0   ? "no names"
               : count == 1 ? "1 name"
                            : apr_psprintf(pool, "%d names", count);
    }
    if (shown == count) {
        return text;
    }
    return apr_psprintf(pool, "%s and %d more", text, count - shown);
}

void acme_ident_server_name(char *sni, const acme_ident_t *ident)
{
    static const char digits[] = "0123456789abcdef";
    unsigned char address[sizeof(struct in6_addr)];
    char *out = sni;
    int i;

    *sni = '\0';
    if (ident->type == ACME_IDENT_DNS) {
        apr_cpystrn(sni, ident->value, ACME_IDENT_SNI);
    }
    else if (inet_pton(AF_INET, ident->value, address) == 1) {
        apr_snprintf(sni, ACME_IDENT_SNI, "%d.%d.%d.%d.in-addr.arpa",
                     address[3], address[2], address[1], address[0]);
    }
    else if (inet_pton(AF_INET6, ident->value, address) == 1) {
        for (i = 15; i >= 0; i--) {
            *out++ = digits[address[i] & 15];
            *out++ = '.';
            *out++ = digits[address[i] >> 4];
            *out++ = '.';
        }
        apr_cpystrn(out, "ip6.arpa", ACME_IDENT_SNI - (apr_size_t)(out - sni));
    }
}

static char *replaced(const char *text, char from, char to, apr_pool_t *pool)
{
    char *copy = apr_pstrdup(pool, text);
    char *at;

    for (at = copy; (at = strchr(at, from)) != NULL; at++) {
        *at = to;
    }
    return copy;
}

/* A name that reads like a file name made from something else gets a mark that
 * no valid name has, so that two identifiers never share a file. */
static const char *name_filename(const char *name, apr_pool_t *pool)
{
    unsigned char address[sizeof(struct in6_addr)];

    if (strncmp(name, "*.", 2) == 0) {
        return apr_pstrcat(pool, "_wildcard.", name + 2, NULL);
    }
    /* "_wildcard.x" is a valid name too, as is what it becomes here. */
    if (name[0] == '_'
        && strncmp(name + strspn(name, "_"), "wildcard.", 9) == 0) {
        return apr_pstrcat(pool, "_", name, NULL);
    }
    /* "2001-db8--1" is a valid single label; no valid name ends in a dot. */
    if (inet_pton(AF_INET6, replaced(name, '-', ':', pool), address) == 1) {
        return apr_pstrcat(pool, name, ".", NULL);
    }
    return name;
}

/* Cut, with a digest as last label: at 65 characters no valid name has it. */
static const char *shortened(const char *filename, apr_pool_t *pool)
{
    unsigned char digest[ACME_SHA256];

    acme_sha256(digest, filename, strlen(filename));
    return apr_pstrcat(pool, apr_pstrndup(pool, filename, MAX_FILENAME - 66),
                       "._", acme_encode_hex(digest, sizeof(digest), pool),
                       NULL);
}

const char *acme_ident_filename(const acme_ident_t *ident, apr_pool_t *pool)
{
    const char *filename;

    if (ident->type == ACME_IDENT_IP) {
        filename = replaced(ident->value, ':', '-', pool);
        /* "::1" is "0::1", since a leading '-' reads like an option. */
        return filename[0] == '-' ? apr_pstrcat(pool, "0", filename, NULL)
                                  : filename;
    }
    filename = name_filename(ident->value, pool);
    return strlen(filename) > MAX_FILENAME ? shortened(filename, pool)
                                           : filename;
}
