/* Faults where a program meets the system: loaded by LD_PRELOAD, it counts what
 * the program does and makes the n-th go wrong.
 *
 *   ACME_FAULT_ROOT   the folder whose files count
 *   ACME_FAULT_TRACE  a file that gets a line for each operation counted:
 *                     "<kind> <n> -<traits> <call> <what>"
 *   ACME_FAULT        "<kind> <n> <action>": from the n-th of that kind on, the
 *                     first operation that the action can befall.
 *                     kind: file, net (connect, send and receive of connections
 *                     that the program has made itself), alloc
 *   ACME_FAULT_WHO    "self": the process that was started; "child": those forked
 *                     from it; "any". They count together.
 *
 * Actions: "kill" before the operation (a write is done by half), "after" it;
 * a number of errno; the same with "+": from then on always; "short": a write that
 * takes one octet less; "clock S": this process's clock is S seconds off from then
 * on.
 *
 * Traits: c changes what is kept, n needs room for it, w needs a file system that
 * can be written to, p needs permission, d needs a descriptor, s sends, h can be
 * done by half. */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum {
    CHANGE = 1,
    ROOM = 2,
    WRITABLE = 4,
    PERMIT = 8,
    FD = 16,
    SENDS = 32,
    HALVES = 64
};
static const char LETTERS[] = "cnwpdsh";
#define MADE (CHANGE | ROOM | WRITABLE | PERMIT)
#define GONE (CHANGE | WRITABLE | PERMIT)

typedef enum kind_t { FILES, NET, ALLOC, KINDS } kind_t;
static const char *const KIND_NAMES[] = { "file", "net", "alloc" };

typedef enum action_t { NOTHING, KILL, AFTER, ERROR, SHORT, CLOCK } action_t;

#define MAX_FD 4096

static struct {
    char root[4096];
    size_t root_len;
    int trace;  /* -1: none */
    pid_t self; /* the process that was started */
    int selves, children;
    kind_t kind;
    long nth;
    action_t action;
    int error, always;
    long seconds;
    atomic_int kill_after;
    atomic_long clock_off;
    atomic_char connected[MAX_FD];
} shim = { .trace = -1 };

/* Of all processes together. NULL: the shim has not begun yet. */
static struct shared_t {
    atomic_int spent;
    atomic_long counts[KINDS];
} * shared;

#define REAL(name)                                                             \
    static __typeof__(&name) real;                                             \
    if (!real) {                                                               \
        *(void **)&real = dlsym(RTLD_NEXT, #name);                             \
    }

/* --- beginning --------------------------------------------------------------- */

static void parse(const char *text)
{
    char kind[16], action[16];
    long value = 0;

    if (sscanf(text, "%15s %ld %15s %ld", kind, &shim.nth, action, &value)
        < 3) {
        return;
    }
    for (int i = 0; i < KINDS; i++) {
        if (!strcmp(kind, KIND_NAMES[i])) {
            shim.kind = (kind_t)i;
        }
    }
    shim.error = atoi(action);
    shim.always = strchr(action, '+') != NULL;
    shim.seconds = value;
    shim.action = !strcmp(action, "kill")    ? KILL
                  : !strcmp(action, "after") ? AFTER
                  : !strcmp(action, "short") ? SHORT
                  : !strcmp(action, "clock") ? CLOCK
                                             : ERROR;
}

static void copy_env(char *to, size_t size, const char *name)
{
    const char *value = getenv(name);

    snprintf(to, size, "%s", value ? value : "");
}

__attribute__((constructor)) static void begin(void)
{
    const char *fault = getenv("ACME_FAULT"),
               *trace = getenv("ACME_FAULT_TRACE"),
               *who = getenv("ACME_FAULT_WHO");

    copy_env(shim.root, sizeof(shim.root), "ACME_FAULT_ROOT");
    shim.root_len = strlen(shim.root);
    shim.self = getpid();
    shim.selves = !who || strcmp(who, "child") != 0;
    shim.children = who && strcmp(who, "self") != 0;
    if (trace) {
        shim.trace =
            (int)syscall(SYS_openat, AT_FDCWD, trace,
                         O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
        /* out of the way of programs that count on the lowest ones */
        int high = (int)syscall(SYS_fcntl, shim.trace, F_DUPFD_CLOEXEC, 900);
        syscall(SYS_close, shim.trace);
        shim.trace = high;
    }
    if (fault) {
        parse(fault);
    }
    unsetenv("LD_PRELOAD");
    void *made = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    shared = made == MAP_FAILED ? NULL : made;
}

/* --- counting ---------------------------------------------------------------- */

static void note(kind_t kind, long n, int traits, const char *call,
                 const char *what)
{
    char line[1024], letters[sizeof(LETTERS)], *end = letters;

    if (shim.trace < 0 || kind == ALLOC) {
        return;
    }
    for (int i = 0; LETTERS[i]; i++) {
        if (traits & (1 << i)) {
            *end++ = LETTERS[i];
        }
    }
    *end = '\0';
    int len = snprintf(line, sizeof(line), "%s %ld -%s %s %s\n",
                       KIND_NAMES[kind], n, letters, call, what);
    if (syscall(SYS_write, shim.trace, line,
                len < (int)sizeof(line) ? len : (int)sizeof(line) - 1)
        < 0) {
        return;
    }
}

static void die(void)
{
    syscall(SYS_kill, getpid(), SIGKILL);
    for (;;) {
        pause();
    }
}

static int befalls(int traits)
{
    switch (shim.action) {
    case KILL:
    case CLOCK:
        return 1;
    case AFTER:
        return traits & SENDS;
    case SHORT:
        return traits & HALVES;
    case ERROR:
        return shim.error == ENOSPC   ? traits & ROOM
               : shim.error == EROFS  ? traits & WRITABLE
               : shim.error == EACCES ? traits & PERMIT
               : shim.error == EMFILE ? traits & FD
                                      : 1;
    default:
        return 0;
    }
}

static int is_mine(void)
{
    return getpid() == shim.self ? shim.selves : shim.children;
}

static int take(void)
{
    return !atomic_exchange(&shared->spent, 1) || shim.always;
}

/* Count one; what is to befall it. KILL and CLOCK have happened behind this,
 * but for a KILL of a write, which is its caller's. */
static action_t count(kind_t kind, int traits, const char *call,
                      const char *what)
{
    if (!shared || !is_mine()) {
        return NOTHING;
    }
    int saved = errno;
    long n = ++shared->counts[kind];
    note(kind, n, traits, call, what);
    errno = saved;
    if (shim.action == NOTHING || kind != shim.kind || n < shim.nth
        || !befalls(traits) || !take()) {
        return NOTHING;
    }
    note(kind, n, traits, "FAULT", call);
    if (shim.action == CLOCK) {
        shim.clock_off = shim.seconds;
        return NOTHING;
    }
    if (shim.action == KILL && !(traits & HALVES)) {
        die();
    }
    errno = shim.error;
    return shim.action;
}

/* --- which files count ---------------------------------------------------------- */

static int below_root(const char *path)
{
    return shim.root_len && !strncmp(path, shim.root, shim.root_len)
           && (path[shim.root_len] == '/' || path[shim.root_len] == '\0');
}

static int path_of(char *path, size_t size, int fd)
{
    char link[32];

    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    ssize_t len = syscall(SYS_readlinkat, AT_FDCWD, link, path, size - 1);
    path[len > 0 ? len : 0] = '\0';
    return len > 0;
}

/* The operation on a name; 1: it fails. */
static int fails_at(int dir, const char *name, int traits, const char *call)
{
    char path[4096] = "", whole[8200];

    if (!shared || !shim.root_len || !name) {
        return 0;
    }
    int saved = errno;
    if (*name != '/' && dir != AT_FDCWD) {
        path_of(path, sizeof(path), dir);
    }
    snprintf(whole, sizeof(whole), "%s%s%s", path, *path ? "/" : "", name);
    errno = saved;
    return below_root(whole)
           && count(FILES, traits, call, whole + shim.root_len) != NOTHING;
}

/* The operation on a file that is open. */
static action_t befalls_fd(int fd, int traits, const char *call)
{
    char path[4096];

    if (!shared || !shim.root_len || fd < 0) {
        return NOTHING;
    }
    int saved = errno;
    int found = path_of(path, sizeof(path), fd);
    errno = saved;
    return found && below_root(path)
               ? count(FILES, traits, call, path + shim.root_len)
               : NOTHING;
}

static int fails_fd(int fd, int traits, const char *call)
{
    return befalls_fd(fd, traits, call) != NOTHING;
}

/* --- opening ------------------------------------------------------------------- */

static int open_traits(int flags)
{
    return FD | PERMIT
           | (flags & O_CREAT                                      ? MADE
              : (flags & O_ACCMODE) != O_RDONLY || flags & O_TRUNC ? WRITABLE
                                                                   : 0);
}

static int really_open(int dir, const char *path, int flags, mode_t mode)
{
    return (int)syscall(SYS_openat, dir, path, flags, mode);
}

#define OPEN_AT(name)                                                          \
    int name(int dir, const char *path, int flags, ...)                        \
    {                                                                          \
        va_list list;                                                          \
        va_start(list, flags);                                                 \
        mode_t mode =                                                          \
            flags & (O_CREAT | __O_TMPFILE) ? va_arg(list, mode_t) : 0;        \
        va_end(list);                                                          \
        return fails_at(dir, path, open_traits(flags), "open")                 \
                   ? -1                                                        \
                   : really_open(dir, path, flags, mode);                      \
    }
#define OPEN(name)                                                             \
    int name(const char *path, int flags, ...)                                 \
    {                                                                          \
        va_list list;                                                          \
        va_start(list, flags);                                                 \
        mode_t mode =                                                          \
            flags & (O_CREAT | __O_TMPFILE) ? va_arg(list, mode_t) : 0;        \
        va_end(list);                                                          \
        return fails_at(AT_FDCWD, path, open_traits(flags), "open")            \
                   ? -1                                                        \
                   : really_open(AT_FDCWD, path, flags, mode);                 \
    }

OPEN(open)
OPEN(open64)
OPEN_AT(openat)
OPEN_AT(openat64)

int __open_2(const char *path, int flags);
int __open_2(const char *path, int flags)
{
    return open(path, flags);
}

int __openat_2(int dir, const char *path, int flags);
int __openat_2(int dir, const char *path, int flags)
{
    return openat(dir, path, flags);
}

static int fopen_flags(const char *mode)
{
    return *mode == 'r' ? strchr(mode, '+') ? O_RDWR : O_RDONLY
                        : O_WRONLY | O_CREAT;
}

#define FOPEN(name)                                                            \
    FILE *name(const char *path, const char *mode)                             \
    {                                                                          \
        REAL(name)                                                             \
        return fails_at(AT_FDCWD, path, open_traits(fopen_flags(mode)),        \
                        "fopen")                                               \
                   ? NULL                                                      \
                   : real(path, mode);                                         \
    }

FOPEN(fopen)
FOPEN(fopen64)

DIR *opendir(const char *path)
{
    REAL(opendir)
    return fails_at(AT_FDCWD, path, FD | PERMIT, "opendir") ? NULL : real(path);
}

DIR *fdopendir(int fd)
{
    REAL(fdopendir)
    return fails_fd(fd, 0, "fdopendir") ? NULL : real(fd);
}

#define READDIR(name, type)                                                    \
    struct type *name(DIR *dir)                                                \
    {                                                                          \
        REAL(name)                                                             \
        return fails_fd(dirfd(dir), 0, "readdir") ? NULL : real(dir);          \
    }

READDIR(readdir, dirent)
READDIR(readdir64, dirent64)

/* --- names ----------------------------------------------------------------------- */

int rename(const char *from, const char *to)
{
    REAL(rename)
    return fails_at(AT_FDCWD, to, MADE, "rename") ? -1 : real(from, to);
}

int renameat(int from_dir, const char *from, int to_dir, const char *to)
{
    REAL(renameat)
    return fails_at(to_dir, to, MADE, "rename")
               ? -1
               : real(from_dir, from, to_dir, to);
}

int link(const char *from, const char *to)
{
    REAL(link)
    return fails_at(AT_FDCWD, to, MADE, "link") ? -1 : real(from, to);
}

int linkat(int from_dir, const char *from, int to_dir, const char *to,
           int flags)
{
    REAL(linkat)
    return fails_at(to_dir, to, MADE, "link")
               ? -1
               : real(from_dir, from, to_dir, to, flags);
}

int symlink(const char *target, const char *name)
{
    REAL(symlink)
    return fails_at(AT_FDCWD, name, MADE, "symlink") ? -1 : real(target, name);
}

int symlinkat(const char *target, int dir, const char *name)
{
    REAL(symlinkat)
    return fails_at(dir, name, MADE, "symlink") ? -1 : real(target, dir, name);
}

int unlink(const char *path)
{
    REAL(unlink)
    return fails_at(AT_FDCWD, path, GONE, "unlink") ? -1 : real(path);
}

int unlinkat(int dir, const char *path, int flags)
{
    REAL(unlinkat)
    return fails_at(dir, path, GONE, "unlink") ? -1 : real(dir, path, flags);
}

int rmdir(const char *path)
{
    REAL(rmdir)
    return fails_at(AT_FDCWD, path, GONE, "rmdir") ? -1 : real(path);
}

int mkdir(const char *path, mode_t mode)
{
    REAL(mkdir)
    return fails_at(AT_FDCWD, path, MADE, "mkdir") ? -1 : real(path, mode);
}

int mkdirat(int dir, const char *path, mode_t mode)
{
    REAL(mkdirat)
    return fails_at(dir, path, MADE, "mkdir") ? -1 : real(dir, path, mode);
}

int chmod(const char *path, mode_t mode)
{
    REAL(chmod)
    return fails_at(AT_FDCWD, path, GONE, "chmod") ? -1 : real(path, mode);
}

int fchmodat(int dir, const char *path, mode_t mode, int flags)
{
    REAL(fchmodat)
    return fails_at(dir, path, GONE, "chmod") ? -1
                                              : real(dir, path, mode, flags);
}

int chown(const char *path, uid_t user, gid_t group)
{
    REAL(chown)
    return fails_at(AT_FDCWD, path, GONE, "chown") ? -1
                                                   : real(path, user, group);
}

int fchownat(int dir, const char *path, uid_t user, gid_t group, int flags)
{
    REAL(fchownat)
    return fails_at(dir, path, GONE, "chown")
               ? -1
               : real(dir, path, user, group, flags);
}

#define STAT(name, type)                                                       \
    int name(const char *path, struct type *st)                                \
    {                                                                          \
        REAL(name)                                                             \
        return fails_at(AT_FDCWD, path, 0, "stat") ? -1 : real(path, st);      \
    }
#define FSTAT(name, type)                                                      \
    int name(int fd, struct type *st)                                          \
    {                                                                          \
        REAL(name)                                                             \
        return fails_fd(fd, 0, "fstat") ? -1 : real(fd, st);                   \
    }
#define FSTATAT(name, type)                                                    \
    int name(int dir, const char *path, struct type *st, int flags)            \
    {                                                                          \
        REAL(name)                                                             \
        return fails_at(dir, path, 0, "stat") ? -1                             \
                                              : real(dir, path, st, flags);    \
    }

STAT(stat, stat)
STAT(stat64, stat64)
STAT(lstat, stat)
STAT(lstat64, stat64)
FSTAT(fstat, stat)
FSTAT(fstat64, stat64)
FSTATAT(fstatat, stat)
FSTATAT(fstatat64, stat64)

/* --- open files ------------------------------------------------------------------- */

int fchmod(int fd, mode_t mode)
{
    REAL(fchmod)
    return fails_fd(fd, GONE, "chmod") ? -1 : real(fd, mode);
}

int fchown(int fd, uid_t user, gid_t group)
{
    REAL(fchown)
    return fails_fd(fd, GONE, "chown") ? -1 : real(fd, user, group);
}

int fsync(int fd)
{
    REAL(fsync)
    return fails_fd(fd, ROOM, "fsync") ? -1 : real(fd);
}

int fdatasync(int fd)
{
    REAL(fdatasync)
    return fails_fd(fd, ROOM, "fsync") ? -1 : real(fd);
}

int syncfs(int fd)
{
    REAL(syncfs)
    return fails_fd(fd, ROOM, "fsync") ? -1 : real(fd);
}

int flock(int fd, int how)
{
    REAL(flock)
    return fails_fd(fd, 0, "flock") ? -1 : real(fd, how);
}

/* A close that fails has closed all the same. */
int close(int fd)
{
    REAL(close)
    int failed = fails_fd(fd, 0, "close"), error = errno;

    if (fd >= 0 && fd < MAX_FD) {
        shim.connected[fd] = 0;
    }
    int done = real(fd);
    if (failed) {
        errno = error;
        return -1;
    }
    return done;
}

#define TRUNCATE(name, type)                                                   \
    int name(int fd, type len)                                                 \
    {                                                                          \
        REAL(name)                                                             \
        return fails_fd(fd, MADE & ~PERMIT, "truncate") ? -1 : real(fd, len);  \
    }

TRUNCATE(ftruncate, off_t)
TRUNCATE(ftruncate64, off64_t)

/* How much of a write is done; -1: it fails. The n-th ends the process behind it
 * where shim.kill_after says so. */
static ssize_t portion(int fd, size_t len, const char *call)
{
    action_t action = befalls_fd(fd, CHANGE | ROOM | HALVES, call);

    switch (action) {
    case NOTHING:
        return (ssize_t)len;
    case KILL:
        shim.kill_after = 1;
        return (ssize_t)len / 2;
    case SHORT:
        return (ssize_t)len - (len > 1);
    default:
        return -1;
    }
}

static ssize_t written(ssize_t done)
{
    if (shim.kill_after) {
        die();
    }
    return done;
}

static int is_connection(int fd)
{
    return fd >= 0 && fd < MAX_FD && shim.connected[fd];
}

/* Of what is sent over a connection: 1 if it fails. */
static int fails_send(int fd, action_t *action, const char *call)
{
    *action = is_connection(fd) ? count(NET, SENDS, call, "") : NOTHING;
    return *action == ERROR;
}

static ssize_t sent(ssize_t done, action_t action)
{
    if (action == AFTER) {
        die();
    }
    return done;
}

/* Nothing has been received while there is nothing yet. */
static ssize_t received(int fd, ssize_t done, const char *call)
{
    return done > 0 && is_connection(fd) && count(NET, 0, call, "") == ERROR
               ? -1
               : done;
}

ssize_t write(int fd, const void *data, size_t len)
{
    REAL(write)
    action_t action;

    if (is_connection(fd)) {
        return fails_send(fd, &action, "write")
                   ? -1
                   : sent(real(fd, data, len), action);
    }
    ssize_t part = portion(fd, len, "write");
    return part < 0 ? -1 : written(real(fd, data, (size_t)part));
}

#define PWRITE(name, type)                                                     \
    ssize_t name(int fd, const void *data, size_t len, type where)             \
    {                                                                          \
        REAL(name)                                                             \
        ssize_t part = portion(fd, len, "pwrite");                             \
        return part < 0 ? -1 : written(real(fd, data, (size_t)part, where));   \
    }

PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)

ssize_t read(int fd, void *data, size_t len)
{
    REAL(read)
    if (is_connection(fd)) {
        return received(fd, real(fd, data, len), "read");
    }
    return fails_fd(fd, 0, "read") ? -1 : real(fd, data, len);
}

#define PREAD(name, type)                                                      \
    ssize_t name(int fd, void *data, size_t len, type where)                   \
    {                                                                          \
        REAL(name)                                                             \
        return fails_fd(fd, 0, "pread") ? -1 : real(fd, data, len, where);     \
    }

PREAD(pread, off_t)
PREAD(pread64, off64_t)

/* --- the network -------------------------------------------------------------------- */

int socket(int family, int type, int protocol)
{
    REAL(socket)
    return count(NET, FD, "socket", "") == ERROR ? -1
                                                 : real(family, type, protocol);
}

int connect(int fd, const struct sockaddr *address, socklen_t len)
{
    REAL(connect)
    if (address->sa_family != AF_INET && address->sa_family != AF_INET6) {
        return real(fd, address, len);
    }
    if (fd >= 0 && fd < MAX_FD) {
        shim.connected[fd] = 1;
    }
    return count(NET, 0, "connect", "") == ERROR ? -1 : real(fd, address, len);
}

ssize_t send(int fd, const void *data, size_t len, int flags)
{
    REAL(send)
    action_t action;

    return fails_send(fd, &action, "send")
               ? -1
               : sent(real(fd, data, len, flags), action);
}

ssize_t sendto(int fd, const void *data, size_t len, int flags,
               const struct sockaddr *address, socklen_t size)
{
    REAL(sendto)
    action_t action;

    return fails_send(fd, &action, "send")
               ? -1
               : sent(real(fd, data, len, flags, address, size), action);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    REAL(sendmsg)
    action_t action;

    return fails_send(fd, &action, "send")
               ? -1
               : sent(real(fd, message, flags), action);
}

ssize_t recv(int fd, void *data, size_t len, int flags)
{
    REAL(recv)
    return received(fd, real(fd, data, len, flags), "recv");
}

ssize_t recvfrom(int fd, void *data, size_t len, int flags,
                 struct sockaddr *address, socklen_t *size)
{
    REAL(recvfrom)
    return received(fd, real(fd, data, len, flags, address, size), "recv");
}

ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
    REAL(recvmsg)
    return received(fd, real(fd, message, flags), "recv");
}

/* --- the clock ------------------------------------------------------------------------ */

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    int (*real)(struct timeval *, void *);
    *(void **)&real = dlsym(RTLD_NEXT, "gettimeofday");
    int failed = real(now, zone);

    now->tv_sec += shim.clock_off;
    return failed;
}

time_t time(time_t *now)
{
    struct timespec real;

    syscall(SYS_clock_gettime, CLOCK_REALTIME, &real);
    real.tv_sec += shim.clock_off;
    if (now) {
        *now = real.tv_sec;
    }
    return real.tv_sec;
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    REAL(clock_gettime)
    int failed = real(clock, now);

    if (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE) {
        now->tv_sec += shim.clock_off;
    }
    return failed;
}

/* --- memory ----------------------------------------------------------------------------- */

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);

/* APR's pools end the process where there is no memory, as httpd does: a kill like
 * any other. jansson loses a letter of a longer text, of which it says nothing.
 * Libraries that can say so are asked to. */
#define MAX_SPARED 16
static struct {
    uintptr_t from, to;
} spared[MAX_SPARED];
static int spared_count;

static int find_spared(struct dl_phdr_info *info, size_t size, void *baton)
{
    static const char *const NAMES[] = { "libapr", "libjansson", "ld-linux",
                                         "shim" };

    (void)size;
    (void)baton;
    for (unsigned i = 0; i < sizeof(NAMES) / sizeof(NAMES[0]); i++) {
        if (!strstr(info->dlpi_name, NAMES[i])) {
            continue;
        }
        for (int j = 0; j < info->dlpi_phnum && spared_count < MAX_SPARED;
             j++) {
            if (info->dlpi_phdr[j].p_type == PT_LOAD
                && info->dlpi_phdr[j].p_flags & PF_X) {
                spared[spared_count].from =
                    info->dlpi_addr + info->dlpi_phdr[j].p_vaddr;
                spared[spared_count].to =
                    spared[spared_count].from + info->dlpi_phdr[j].p_memsz;
                spared_count++;
            }
        }
    }
    return 0;
}

static int fails_alloc(const void *caller)
{
    uintptr_t at = (uintptr_t)caller;

    /* Before it comes to the store it makes its libraries ready, as httpd does long
     * before; and one that had no memory for that may never work again. */
    if (!shared || !shared->counts[FILES]
        || (shim.kind != ALLOC && shim.trace < 0)) {
        return 0;
    }
    if (!spared_count) {
        dl_iterate_phdr(find_spared, NULL);
    }
    for (int i = 0; i < spared_count; i++) {
        if (at >= spared[i].from && at < spared[i].to) {
            return 0;
        }
    }
    return count(ALLOC, 0, "malloc", "") != NOTHING;
}

void *malloc(size_t size)
{
    return fails_alloc(__builtin_return_address(0)) ? NULL
                                                    : __libc_malloc(size);
}

void *calloc(size_t number, size_t size)
{
    return fails_alloc(__builtin_return_address(0))
               ? NULL
               : __libc_calloc(number, size);
}

void *realloc(void *old, size_t size)
{
    return fails_alloc(__builtin_return_address(0)) ? NULL
                                                    : __libc_realloc(old, size);
}

/* --- the end ------------------------------------------------------------------------------ */

__attribute__((destructor)) static void end(void)
{
    char line[64];

    if (shared && shim.trace >= 0 && is_mine()) {
        int len = snprintf(line, sizeof(line), "allocs %ld\n",
                           (long)shared->counts[ALLOC]);
        if (syscall(SYS_write, shim.trace, line, len) < 0) {
            return;
        }
    }
}
