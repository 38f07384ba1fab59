#include "httpd/led.h"

#include <stdatomic.h>

#include <http_config.h>

#include "httpd/shared.h"

#define RETAINED "mod_acme-led-2"

typedef struct led_t {
    _Atomic apr_int64_t until;  /* a time; somebody leads that long at least */
    _Atomic apr_int64_t missed; /* when it was last told that nobody does */
} led_t;

static led_t *the_led;

/* It outlives restarts, as the engines of earlier generations do. */
static led_t *retain(server_rec *s)
{
    led_t **retained = ap_retained_data_get(RETAINED);

    if (!retained) {
        retained = ap_retained_data_create(RETAINED, sizeof(*retained));
    }
    if (!*retained) {
        *retained = acme_shared_make(sizeof(led_t), ACME_E_LIVE_MEMORY, s);
    }
    return *retained;
}

static void extend(apr_time_t until)
{
    if (the_led && atomic_load(&the_led->until) < until) {
        atomic_store(&the_led->until, until);
    }
}

void acme_led_open(server_rec *s, int possible)
{
    the_led = retain(s);
    if (possible) {
        extend(apr_time_now() + ACME_LED_BEGIN);
    }
    else if (the_led) {
        atomic_store(&the_led->until, 0);
    }
}

void acme_led_tell(apr_time_t now)
{
    if (the_led) {
        atomic_store(&the_led->until, now + ACME_LED_TERM);
    }
}

int acme_led_is(apr_time_t now)
{
    apr_time_t until = the_led ? atomic_load(&the_led->until) : now + 1;

    /* further ahead than anybody says: the clock was set back meanwhile */
    return now < until && until - now <= ACME_LED_TERM;
}

int acme_led_is_missed(apr_time_t now)
{
    apr_int64_t told;

    if (!the_led || acme_led_is(now)) {
        return 0;
    }
    told = atomic_load(&the_led->missed);
    return (now < told || now - told >= ACME_LED_AGAIN)
           && atomic_compare_exchange_strong(&the_led->missed, &told, now);
}
