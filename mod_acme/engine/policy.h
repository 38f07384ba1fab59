#ifndef ACME_POLICY_H
#define ACME_POLICY_H
#endif
