#include "engine/ownaddr.h"

#include <apr_strings.h>
#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>

#include "core/ident.h"

static void add(acme_own_t *own, const struct sockaddr *address,
                apr_pool_t *pool)
{
    char text[INET6_ADDRSTRLEN];
    const void *octets;
    int v6 = address->sa_family == AF_INET6;

    if (address->sa_family != AF_INET && !v6) {
        return;
    }
    octets =
        v6 ? (const void *)&((const struct sockaddr_in6 *)(const void *)address)
                 ->sin6_addr
           : (const void *)&((const struct sockaddr_in *)(const void *)address)
                 ->sin_addr;
    if (!inet_ntop(address->sa_family, octets, text, sizeof(text))) {
        return;
    }
    const acme_ident_t ident = { ACME_IDENT_IP, text };
    if (!acme_ident_why_not_public(&ident)) {
        *(v6 ? &own->has_public_v6 : &own->has_public_v4) = 1;
    }
    apr_hash_set(own->addresses, apr_pstrdup(pool, text), APR_HASH_KEY_STRING,
                 "");
}

acme_own_t *acme_own_addresses(apr_pool_t *pool)
{
    acme_own_t *own = apr_pcalloc(pool, sizeof(*own));
    struct ifaddrs *all = NULL;

    own->addresses = apr_hash_make(pool);
    if (getifaddrs(&all) == 0) {
        for (const struct ifaddrs *one = all; one; one = one->ifa_next) {
            if (one->ifa_addr && one->ifa_flags & IFF_UP) {
                add(own, one->ifa_addr, pool);
            }
        }
        freeifaddrs(all);
    }
    return own;
}

int acme_own_has(const acme_own_t *own, const char *address)
{
    return !strncmp(address, "127.", 4) || !strcmp(address, "::1")
           || apr_hash_get(own->addresses, address, APR_HASH_KEY_STRING);
}
