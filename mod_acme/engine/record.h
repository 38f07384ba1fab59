#ifndef ACME_RECORD_H
#define ACME_RECORD_H
#endif
