#include "core/renewal.h"

#include <apr_lib.h>
#include <apr_strings.h>
#include <string.h>
#include <strings.h>

#define MINUTE  (60 * APR_USEC_PER_SEC)
#define HOUR    (60 * MINUTE)
#define DAY     (24 * HOUR)
#define WEEK    (7 * DAY)
#define LONGEST (3650 * DAY) /* ten years */

/* Under this a lifetime counts as short. */
#define SHORT_LIFETIME (10 * DAY)

typedef struct unit_t {
    const char *suffix; /* NULL: not for configuration */
    const char *name;   /* NULL: not for people */
    apr_interval_time_t length;
} unit_t;

static const unit_t units[] = {
    { "w", NULL, WEEK },
    { "d", "day", DAY },
    { "h", "hour", HOUR },
    { "min", "minute", MINUTE },
    { "s", "second", APR_USEC_PER_SEC },
    { "", NULL, APR_USEC_PER_SEC },
};
#define UNIT_COUNT ((int)(sizeof(units) / sizeof(units[0])))

static const unit_t *find_unit(const char *suffix)
{
    int i;

    for (i = 0; i < UNIT_COUNT; i++) {
        if (strcasecmp(units[i].suffix, suffix) == 0) {
            return &units[i];
        }
    }
    return NULL;
}

/* What is wrong with the text, or NULL and *span. */
static const char *parse(acme_span_t *span, const char *text, int percent)
{
    apr_int64_t number = 0;
    const unit_t *unit;
    const char *at;

    for (at = text; apr_isdigit(*at); at++) {
        if (number > LONGEST / APR_USEC_PER_SEC) {
            return "it is longer than ten years";
        }
        number = number * 10 + (*at - '0');
    }
    if (at == text) {
        return "it does not begin with a number";
    }
    memset(span, 0, sizeof(*span));
    if (strcmp(at, "%") == 0) {
        if (!percent) {
            return "a percentage is not possible here";
        }
        if (number < 1 || number > 99) {
            return "a percentage must be from 1% to 99%";
        }
        span->percent = (int)number;
        return NULL;
    }
    unit = find_unit(at);
    if (!unit) {
        return "its unit is none of s, min, h, d and w";
    }
    if (number > LONGEST / unit->length) {
        return "it is longer than ten years";
    }
    span->duration = number * unit->length;
    return NULL;
}

acme_err_t *acme_span_parse(acme_span_t *span, const char *text, int percent,
                            apr_pool_t *pool)
{
    acme_span_t parsed;
    const char *fault = parse(&parsed, text, percent);

    if (fault) {
        return acme_err_make(pool, ACME_E_DURATION,
                             *text ? text : "an empty text", fault, NULL);
    }
    *span = parsed;
    return NULL;
}

const char *acme_duration_text(apr_interval_time_t duration, apr_pool_t *pool)
{
    int i;

    for (i = 0; i < UNIT_COUNT; i++) {
        apr_int64_t count = duration / units[i].length;

        /* "36 hours" says more than "1 day". */
        if (units[i].name && (count > 1 || duration == units[i].length)) {
            return apr_psprintf(pool, "%" APR_INT64_T_FMT " %s%s", count,
                                units[i].name, count == 1 ? "" : "s");
        }
    }
    return duration >= APR_USEC_PER_SEC ? "1 second" : "0 seconds";
}

/* The part random / 2^32 of range, without overflow and without floats. */
static apr_interval_time_t share(apr_interval_time_t range, unsigned int random)
{
    apr_interval_time_t part = (random & 0xffffffffu) >> 16;

    return range / 65536 * part + range % 65536 * part / 65536;
}

/* Seeds that differ little spread all the same (finalizer of MurmurHash3). */
static unsigned int mixed(unsigned int seed)
{
    seed ^= seed >> 16;
    seed *= 0x85ebca6bu;
    seed ^= seed >> 13;
    seed *= 0xc2b2ae35u;
    return seed ^ seed >> 16;
}

/* How old a certificate may get, and the age before which it is never renewed. */
static apr_interval_time_t longest_age(apr_interval_time_t life,
                                       const acme_span_t *span,
                                       apr_interval_time_t *earliest)
{
    apr_interval_time_t ahead;

    *earliest = life / 3;
    if (!span) {
        ahead = life < SHORT_LIFETIME ? life / 2 : life / 3;
    }
    else {
        ahead = span->percent ? life / 100 * span->percent : span->duration;
    }
    /* Without room before it the spread goes after the first third. */
    return ahead > life - *earliest ? *earliest + life / 50 : life - ahead;
}

apr_time_t acme_warning_time(apr_time_t not_before, apr_time_t not_after,
                             apr_time_t renew_latest, const acme_span_t *span)
{
    apr_interval_time_t life = not_after - not_before;
    apr_interval_time_t ahead = life / 10;
    apr_time_t moment;

    if (span) {
        ahead = span->percent ? life / 100 * span->percent : span->duration;
    }
    moment = not_after - ahead;
    return renew_latest > 0 && moment < renew_latest
               ? renew_latest + (not_after - renew_latest) / 2
               : moment;
}

apr_time_t acme_renewal_latest(apr_time_t not_before, apr_time_t not_after,
                               const acme_span_t *span)
{
    apr_time_t from = not_before > 0 ? not_before : 0;
    apr_interval_time_t earliest;

    return from
           + longest_age(not_after > from ? not_after - from : 0, span,
                         &earliest);
}

apr_time_t acme_renewal_time(apr_time_t not_before, apr_time_t not_after,
                             const acme_span_t *span, unsigned int seed)
{
    apr_time_t from = not_before > 0 ? not_before : 0;
    apr_interval_time_t life = not_after > from ? not_after - from : 0;
    apr_interval_time_t earliest, age = longest_age(life, span, &earliest);

    age -= share(life / 50, mixed(seed));
    return from + (age > earliest ? age : earliest);
}

apr_interval_time_t acme_retry_delay(int count, apr_interval_time_t first,
                                     apr_interval_time_t max,
                                     unsigned int random)
{
    /* A delay of nothing would be a loop that never rests. */
    apr_interval_time_t delay = first > 0 ? first : APR_USEC_PER_SEC;
    apr_interval_time_t jitter;

    for (; count > 1 && delay < max; count--) {
        delay = delay > max / 10 ? max : delay * 10;
    }
    if (delay >= max) {
        return max;
    }
    jitter = share(delay / 5, random);
    return jitter > max - delay ? max : delay + jitter;
}

apr_time_t acme_refresh_time(apr_time_t from, apr_time_t until, apr_time_t now,
                             unsigned int random)
{
    apr_interval_time_t span = until > from ? until - from : 0;
    apr_time_t at = from + span / 2 + share(span / 10, random);

    if (at <= now) {
        at = until > now ? now + (until - now) / 4 : now;
    }
    if (at > now + WEEK) {
        at = now + WEEK - share(DAY, random);
    }
    return at > now + MINUTE ? at : now + MINUTE;
}
