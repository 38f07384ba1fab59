/**
 * Internal to the order: which of an authorization's challenges is taken up, and
 * what comes after one that failed.
 */
#ifndef ACME_CHOICE_H
#define ACME_CHOICE_H

#include "core/authz.h"

/** The administrator orders the preference, the CA's offer decides: the best one
 *  that has not failed yet.
 *  @return the failure of the last one, or E_NO_CHALLENGE */
acme_err_t *acme_choice_take(acme_order_t *order, acme_authz_t *authz,
                             const acme_authorization_t *resource)
    ACME_MUST_CHECK;

/** Whether there is another challenge than the chosen one that could be taken. */
int acme_choice_has_another(const acme_order_t *order,
                            const acme_authz_t *authz);

/** The chosen challenge came to nothing. Most CAs give the authorization up with
 *  it; where it stays pending, its other challenges are good for it still.
 *  @return NULL: it is read again, and another one chosen; else err */
acme_err_t *acme_choice_next(acme_order_t *order, acme_authz_t *authz,
                             acme_err_t *err) ACME_MUST_CHECK;

/** Note that the chosen challenge came to nothing.
 *  @param last  the order has failed of it */
void acme_choice_set_back(acme_order_t *order, acme_authz_t *authz,
                          const acme_err_t *err, int last);

#endif
