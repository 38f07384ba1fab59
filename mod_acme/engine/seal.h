#ifndef ACME_SEAL_H
#define ACME_SEAL_H
#endif
