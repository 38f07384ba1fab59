#include "engine/lease.h"

#include <apr_strings.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/fence.h"

/* The file holds two slots, written in turn: a write that is cut off damages one
 * of them, and the other still tells what was. Octets of this machine's order:
 * machines of different kinds do not share a store. */
#define SLOT_SIZE  512
#define SLOT_MAGIC 0x414c5331u /* "ALS1" */
#define SUM_LEN    16
#define MAX_COUNT  ACME_FENCE_MAX /* of writes, too */

/** Where and as what a process runs. */
typedef struct place_of_work_t {
    char boot[48];      /* boot id; "" where the system has none */
    char pid_space[48]; /* containers of one machine share the boot id */
    apr_int64_t pid;
    apr_int64_t start_time; /* in clock ticks since boot; 0: not known */
} place_of_work_t;

typedef struct slot_t {
    apr_uint32_t magic, size;
    apr_int64_t epoch;    /* grows with each taking */
    apr_int64_t sequence; /* grows with each write: the higher slot counts */
    apr_time_t expires;
    apr_uint64_t token; /* random, of this taking; 0: released */
    place_of_work_t holder;
    unsigned char sum[SUM_LEN];
} slot_t;

struct acme_lease_t {
    const char *path;
    const acme_place_t *ground;
    apr_pool_t *pool;
    apr_pool_t *held_pool; /* of the stage */
    acme_place_t *stage;   /* NULL: not held */
    pid_t pid;             /* who took it; a fork inherits nothing */
    apr_int64_t epoch;     /* of our last taking */
    apr_uint64_t token;
    apr_time_t last_beat;
    apr_int64_t highest; /* epoch ever seen */
    apr_int64_t
        seen_sequence; /* of another's slot, its stage, and since when */
    apr_uint64_t seen_token;
    apr_int64_t seen_stage;
    apr_time_t seen_since;
    place_of_work_t here; /* of the process here.pid */
};

acme_lease_t *acme_lease_create(const char *path, const acme_place_t *ground,
                                apr_pool_t *pool)
{
    acme_lease_t *lease = apr_pcalloc(pool, sizeof(*lease));

    lease->path = apr_pstrdup(pool, path);
    lease->ground = ground;
    lease->pool = pool;
    return lease;
}

int acme_lease_held(const acme_lease_t *lease)
{
    return lease->stage && lease->pid == getpid();
}

const acme_place_t *acme_lease_stage(const acme_lease_t *lease)
{
    return lease->stage;
}

apr_int64_t acme_lease_epoch(const acme_lease_t *lease)
{
    return lease->epoch;
}

/* --- who we are, who they are -------------------------------------------------- */

static void read_line(const char *path, char *line, size_t size)
{
    FILE *file = fopen(path, "re");

    if (!file || !fgets(line, (int)size, file)) {
        line[0] = '\0';
    }
    line[strcspn(line, "\n")] = '\0';
    if (file) {
        fclose(file);
    }
}

/* State and start time from /proc/<pid>/stat, proc(5). The command's name may
 * hold anything, so fields are counted from its last parenthesis.
 * @return 0 if nothing can be told */
static int process_stat(apr_int64_t pid, apr_int64_t *start_time, int *ended)
{
    char path[64], line[1024];
    char state = '?';
    long long threads = 0, start = 0;

    snprintf(path, sizeof(path), "/proc/%lld/stat", (long long)pid);
    read_line(path, line, sizeof(line));
    const char *fields = strrchr(line, ')');
    if (!fields
        || sscanf(fields + 1,
                  " %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d"
                  " %*d %*d %*d %lld %*d %lld",
                  &state, &threads, &start)
               != 3) {
        return 0;
    }
    *start_time = start;
    /* A first thread that has ended shows as a zombie while others live on. */
    *ended = (state == 'Z' || state == 'X') && threads <= 1;
    return 1;
}

/* Read once in each process: children that only try for the lease do so often. */
static const place_of_work_t *where_we_are(acme_lease_t *lease)
{
    place_of_work_t *here = &lease->here;
    int ended;

    if (here->pid == getpid()) {
        return here;
    }
    memset(here, 0, sizeof(*here));
    read_line("/proc/sys/kernel/random/boot_id", here->boot,
              sizeof(here->boot));
    ssize_t len = readlink("/proc/self/ns/pid", here->pid_space,
                           sizeof(here->pid_space) - 1);
    here->pid_space[len > 0 ? len : 0] = '\0';
    here->pid = getpid();
    if (!process_stat(here->pid, &here->start_time, &ended)) {
        here->start_time = 0;
    }
    return here;
}

/* Certain that it is gone, not merely silent. */
static int is_dead(const place_of_work_t *holder, acme_lease_t *lease)
{
    const place_of_work_t *here = where_we_are(lease);
    apr_int64_t start_time;
    int ended;

    if (here->boot[0] == '\0' || here->pid_space[0] == '\0'
        || strcmp(here->boot, holder->boot) != 0
        || strcmp(here->pid_space, holder->pid_space) != 0) {
        return 0;
    }
    if (kill((pid_t)holder->pid, 0) != 0 && errno == ESRCH) {
        return 1;
    }
    if (!process_stat(holder->pid, &start_time, &ended)) {
        return 0;
    }
    return ended || (holder->start_time && start_time != holder->start_time);
}

/* --- the file ------------------------------------------------------------------- */

static int slot_sum(unsigned char sum[SUM_LEN], const slot_t *slot)
{
    unsigned char digest[EVP_MAX_MD_SIZE];

    if (EVP_Digest(slot, offsetof(slot_t, sum), digest, NULL, EVP_sha256(),
                   NULL)
        != 1) {
        return 0;
    }
    memcpy(sum, digest, SUM_LEN);
    return 1;
}

static int slot_whole(slot_t *slot)
{
    unsigned char sum[SUM_LEN];

    slot->holder.boot[sizeof(slot->holder.boot) - 1] = '\0';
    slot->holder.pid_space[sizeof(slot->holder.pid_space) - 1] = '\0';
    return slot->magic == SLOT_MAGIC && slot->size == sizeof(*slot)
           && slot->epoch > 0 && slot->epoch < MAX_COUNT && slot->sequence > 0
           && slot->sequence < MAX_COUNT && slot_sum(sum, slot)
           && memcmp(sum, slot->sum, SUM_LEN) == 0;
}

/* What counts now. A file without a whole slot is as a released lease. */
static apr_status_t slot_read(slot_t *current, int fd, acme_lease_t *lease)
{
    slot_t slot;

    memset(current, 0, sizeof(*current));
    for (int i = 0; i < 2; i++) {
        ssize_t len = pread(fd, &slot, sizeof(slot), i * SLOT_SIZE);
        if (len < 0) {
            return errno;
        }
        if (len == (ssize_t)sizeof(slot) && slot_whole(&slot)
            && slot.sequence > current->sequence) {
            *current = slot;
        }
    }
    if (current->epoch > lease->highest) {
        lease->highest = current->epoch;
    }
    return APR_SUCCESS;
}

static apr_status_t slot_write(int fd, slot_t *slot)
{
    slot->magic = SLOT_MAGIC;
    slot->size = sizeof(*slot);
    slot->sequence++;
    if (!slot_sum(slot->sum, slot)) {
        return APR_EGENERAL;
    }
    ssize_t done =
        pwrite(fd, slot, sizeof(*slot), (slot->sequence & 1) * SLOT_SIZE);
    if (done < 0) {
        return errno;
    }
    return done == (ssize_t)sizeof(*slot) ? APR_SUCCESS : ENOSPC;
}

static apr_status_t open_file(int *fd, const acme_lease_t *lease)
{
    struct stat st;

    *fd = open(lease->path,
               O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
    if (*fd < 0) {
        return errno;
    }
    if (fstat(*fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        close(*fd);
        return EINVAL;
    }
    return APR_SUCCESS;
}

static acme_err_t *file_error(apr_status_t rv, const char *verb,
                              const acme_lease_t *lease, apr_pool_t *pool)
{
    return acme_err_os(pool, rv, ACME_E_STORE_IO, verb, lease->path, NULL);
}

/* --- holding -------------------------------------------------------------------- */

static void forget(acme_lease_t *lease)
{
    if (lease->held_pool) {
        apr_pool_destroy(lease->held_pool);
    }
    lease->held_pool = NULL;
    lease->stage = NULL;
}

static acme_err_t *lost(acme_lease_t *lease, apr_pool_t *pool)
{
    forget(lease);
    return acme_err_make(pool, ACME_E_LEASE_LOST, lease->path, NULL);
}

acme_err_t *acme_lease_prove(acme_lease_t *lease, apr_pool_t *scratch)
{
    int stands = 0;

    if (acme_lease_held(lease)) {
        ACME_TRY(
            acme_fence_look(&stands, lease->ground, lease->epoch, scratch));
    }
    return stands ? NULL : lost(lease, scratch);
}

/* One who was frozen between its proof and this may write into another's slot:
 * that one is there again with its next heartbeat, and nobody takes over
 * meanwhile (see is_free). */
static apr_status_t write_ours(int fd, slot_t *slot, acme_lease_t *lease,
                               apr_time_t now)
{
    slot->epoch = lease->epoch;
    slot->token = lease->token;
    slot->holder = *where_we_are(lease);
    slot->expires = now + ACME_LEASE_TERM;
    apr_status_t rv = slot_write(fd, slot);
    if (rv == APR_SUCCESS) {
        lease->last_beat = now;
    }
    return rv;
}

static acme_err_t *beat_now(acme_lease_t *lease, apr_time_t now,
                            apr_pool_t *scratch)
{
    slot_t slot;
    int fd;

    ACME_TRY(acme_lease_prove(lease, scratch));
    apr_status_t rv = open_file(&fd, lease);
    if (rv != APR_SUCCESS) {
        return file_error(rv, "open", lease, scratch);
    }
    rv = slot_read(&slot, fd, lease);
    if (rv == APR_SUCCESS) {
        rv = write_ours(fd, &slot, lease, now);
    }
    close(fd);
    return rv == APR_SUCCESS ? NULL : file_error(rv, "write", lease, scratch);
}

acme_err_t *acme_lease_beat(acme_lease_t *lease, apr_time_t now,
                            apr_pool_t *scratch)
{
    /* A clock set back makes it due: others measure us by what is written. */
    return acme_lease_held(lease) && now >= lease->last_beat
                   && now - lease->last_beat < ACME_LEASE_BEAT
               ? NULL
               : beat_now(lease, now, scratch);
}

void acme_lease_release(acme_lease_t *lease, apr_pool_t *scratch)
{
    slot_t slot;
    int fd;

    acme_err_t *err = acme_lease_prove(lease, scratch);
    if (err) {
        return;
    }
    if (open_file(&fd, lease) == APR_SUCCESS) {
        if (slot_read(&slot, fd, lease) == APR_SUCCESS) {
            slot.token = 0;
            slot.epoch = lease->epoch;
            slot.expires = 0;
            /* If this fails the lease expires by itself. */
            (void)slot_write(fd, &slot);
        }
        close(fd);
    }
    acme_fence_lower(lease->ground, lease->epoch, scratch);
    forget(lease);
}

/* --- taking --------------------------------------------------------------------- */

/* Silent for a whole term of our clock, which needs not agree with its holder's;
 * or so long ago by that one that no difference of clocks explains it. */
static int is_silent(const slot_t *slot, apr_int64_t stage, acme_lease_t *lease,
                     apr_time_t now)
{
    if (slot->token != lease->seen_token
        || slot->sequence != lease->seen_sequence || stage != lease->seen_stage
        || now < lease->seen_since) {
        lease->seen_token = slot->token;
        lease->seen_sequence = slot->sequence;
        lease->seen_stage = stage;
        lease->seen_since = now;
        return 0;
    }
    return now - lease->seen_since >= ACME_LEASE_TERM;
}

/* A stage later than what the file tells is of one who will tell soon, or the file
 * is damaged.
 * @param free  whether it may be taken */
static acme_err_t *is_free(int *free, const slot_t *slot, acme_lease_t *lease,
                           apr_time_t now, apr_pool_t *scratch)
{
    apr_int64_t stage;
    int silent = is_silent(slot, lease->seen_stage, lease, now);

    *free = 0;
    if (slot->token && !silent && slot->expires > now - ACME_LEASE_SKEW
        && !is_dead(&slot->holder, lease)) {
        return NULL;
    }
    ACME_TRY(acme_fence_highest(&stage, lease->ground, scratch));
    if (stage > lease->highest) {
        lease->highest = stage;
    }
    *free = stage <= slot->epoch || is_silent(slot, stage, lease, now);
    return NULL;
}

/* Who makes the stage has it. The slot is written before, so that the stage of one
 * who dies here tells of him, and again after, should another have tried too. */
static acme_err_t *take(int fd, slot_t *slot, acme_lease_t *lease,
                        apr_time_t now, apr_pool_t *scratch)
{
    acme_err_t *err = NULL;

    lease->epoch = ++lease->highest;
    lease->pid = getpid();
    if (RAND_bytes((unsigned char *)&lease->token, sizeof(lease->token)) != 1) {
        return file_error(APR_EGENERAL, "write", lease, scratch);
    }
    lease->token |= 1; /* 0: released */
    apr_status_t rv = write_ours(fd, slot, lease, now);
    if (rv == APR_SUCCESS) {
        apr_pool_create(&lease->held_pool, lease->pool);
        err = acme_fence_raise(&lease->stage, lease->ground, lease->epoch,
                               lease->held_pool, scratch);
    }
    if (rv == APR_SUCCESS && lease->stage) {
        rv = slot_read(slot, fd, lease);
    }
    int late = slot->epoch > lease->epoch; /* that one has come and gone */
    if (rv == APR_SUCCESS && lease->stage && !late) {
        rv = write_ours(fd, slot, lease, now);
    }
    if (rv != APR_SUCCESS) {
        err = file_error(rv, "write", lease, scratch);
    }
    if (lease->stage && (err || late)) {
        acme_fence_lower(lease->ground, lease->epoch, scratch);
    }
    if (!lease->stage || err || late) {
        forget(lease);
    }
    return err;
}

static acme_err_t *try_open(int fd, acme_lease_t *lease, apr_time_t now,
                            apr_pool_t *scratch)
{
    slot_t slot;
    int free;
    apr_status_t rv = slot_read(&slot, fd, lease);

    if (rv != APR_SUCCESS) {
        return file_error(rv, "read", lease, scratch);
    }
    ACME_TRY(is_free(&free, &slot, lease, now, scratch));
    return free ? take(fd, &slot, lease, now, scratch) : NULL;
}

acme_err_t *acme_lease_try(int *held, acme_lease_t *lease, apr_time_t now,
                           apr_pool_t *scratch)
{
    int fd;

    if (acme_lease_held(lease)) {
        acme_err_t *err = beat_now(lease, now, scratch);
        if (!err || err->msg != ACME_E_LEASE_LOST) {
            *held = !err;
            return err;
        }
    }
    forget(lease); /* what a fork has inherited, too */
    apr_status_t rv = open_file(&fd, lease);
    if (rv != APR_SUCCESS) {
        return file_error(rv, "open", lease, scratch);
    }
    acme_err_t *err = try_open(fd, lease, now, scratch);
    close(fd);
    if (!err) {
        *held = acme_lease_held(lease);
    }
    return err;
}

int acme_lease_is_taken(acme_lease_t *lease, apr_time_t now)
{
    slot_t slot;
    int fd = open(lease->path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

    if (fd < 0) {
        return 0;
    }
    apr_status_t rv = slot_read(&slot, fd, lease);
    close(fd);
    return rv == APR_SUCCESS && slot.token != 0 && slot.expires > now
           && !is_dead(&slot.holder, lease);
}
