/**
 * One certificate of one family on its way: renewal policy, failures so far, and
 * the order in progress. Decides; the engine carries it out.
 */
#ifndef ACME_JOB_H
#define ACME_JOB_H
#endif
