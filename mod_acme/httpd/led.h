/**
 * Whether an engine works for this server, in whichever of its processes: what
 * engines alone can do is otherwise left to those who did it before.
 */
#ifndef ACME_LED_H
#define ACME_LED_H

#include <httpd.h>

/** A leader tells more often than this, unless it is wedged or has gone. */
#define ACME_LED_TERM apr_time_from_sec(60)
/** After a start children have this long to find one. */
#define ACME_LED_BEGIN apr_time_from_sec(10)
/** How often it is told that there is none. */
#define ACME_LED_AGAIN apr_time_from_sec(3600)

/** Parent, real pass of post_config. What is known outlives a graceful restart.
 *  @param possible  0: no engine can ever run */
void acme_led_open(server_rec *s, int possible);
/** The engine, each round. */
void acme_led_tell(apr_time_t now);
/** One read of shared memory. Where there is none, an engine is assumed. */
int acme_led_is(apr_time_t now);
/** For a process that could not lead. @return 1, for one of all processes and now
 *  and again: no other process of this server leads either */
int acme_led_is_missed(apr_time_t now);

#endif
