#ifndef ACME_STORE_H
#define ACME_STORE_H
#endif
