#ifndef ACME_JOB_H
#define ACME_JOB_H
#endif
