#include "engine/gate_last.h"

#include <apr_strings.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/encode.h"
#include "engine/command.h"
#include "engine/command_child.h"

#define MAX_ENTRY (64 * 1024)

/* Until its output or its report ends. @return 0: it ended without a word */
static int wait_report(acme_child_report_t *report, const acme_child_t *child)
{
    struct pollfd fds[] = { { child->report, POLLIN, 0 },
                            { child->output, POLLIN, 0 } };
    char drained[4096];

    for (;;) {
        if (poll(fds, 2, -1) < 0 && errno != EINTR) {
            return 0;
        }
        if (fds[0].revents) {
            return read(child->report, report, sizeof(*report))
                   == sizeof(*report);
        }
        if (fds[1].revents
            && read(child->output, drained, sizeof(drained)) <= 0) {
            fds[1].fd = -1;
        }
    }
}

/* @return NULL, or what is wrong */
static const char *run(const acme_command_spec_t *spec, apr_pool_t *pool)
{
    acme_child_report_t report = { 0, 0 };
    acme_child_t child;
    int failed =
        acme_child_start(&child, (char *const *)(const void *)spec->argv,
                         (char *const *)(const void *)spec->env,
                         (int)apr_time_as_msec(spec->limit));

    if (failed) {
        return apr_psprintf(pool, "%s: %s", spec->argv[0], strerror(failed));
    }
    failed = !wait_report(&report, &child);
    close(child.lifeline);
    close(child.report);
    close(child.output);
    while (waitpid(child.pid, NULL, 0) < 0 && errno == EINTR) {
    }
    if (!failed && report.end == ACME_CHILD_EXITED && !report.value) {
        return NULL;
    }
    return apr_psprintf(
        pool,
        report.end == ACME_CHILD_EXITED     ? "%s ended with status %d"
        : report.end == ACME_CHILD_TIME     ? "%s did not end in its time"
        : report.end == ACME_CHILD_SIGNALED ? "%s was ended by signal %d"
                                            : "%s could not be run (errno %d)",
        spec->argv[0], report.value);
}

/* Those that were opened last are shut first. @return of the first that failed */
static const char *shut(const acme_gate_spec_t *gate, const char *store,
                        apr_interval_time_t limit, apr_pool_t *pool)
{
    const char *failure = NULL;

    for (int i = gate->closes->nelts - 1; i >= 0; i--) {
        acme_command_spec_t spec = { 0 };
        acme_gate_spec_command(
            &spec, gate,
            APR_ARRAY_IDX(gate->closes, i, const apr_array_header_t *),
            ACME_EVENT_CHALLENGE_CLOSE, store, pool);
        spec.env = acme_command_env(spec.env, pool);
        spec.limit = limit;
        const char *why = run(&spec, pool);
        failure = failure ? failure : why;
    }
    return failure;
}

acme_err_t *acme_gate_shut_last(acme_store_t *store, apr_interval_time_t limit,
                                acme_gate_last_fn_t *told, void *baton,
                                apr_pool_t *pool)
{
    apr_array_header_t *entries;
    acme_err_t *damage;

    ACME_TRY(acme_store_get_journal(&entries, &damage, store, pool));
    for (int i = 0; i < entries->nelts; i++) {
        const acme_journal_t *entry =
            APR_ARRAY_IDX(entries, i, acme_journal_t *);
        acme_gate_spec_t gate = { 0 };
        json_t *object = NULL;
        acme_err_t *err = acme_json_parse(&object, entry->json, entry->len,
                                          MAX_ENTRY, "entry", pool);
        const char *kind = err ? NULL : acme_json_string(object, "kind");
        if (kind && !acme_gate_spec_read(&gate, kind, object, pool)
            && gate.closes) {
            told(baton, &gate,
                 shut(&gate, acme_store_root(store), limit, pool));
        }
    }
    return NULL;
}
