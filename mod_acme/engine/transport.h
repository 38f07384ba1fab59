#ifndef ACME_TRANSPORT_H
#define ACME_TRANSPORT_H
#endif
