#ifndef ACME_LEASE_H
#define ACME_LEASE_H
#endif
