#include "engine/gate_last.h"

#include <errno.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/command.h"
#include "engine/command_child.h"
#include "engine/journal.h"

/* Its output is read away, so that it does not wait for us. */
static void wait_report(acme_child_report_t *said, const acme_child_t *child)
{
    struct pollfd fds[] = { { child->report, POLLIN, 0 },
                            { child->output, POLLIN, 0 } };
    char drained[4096];

    while (poll(fds, 2, -1) >= 0 || errno == EINTR) {
        if (fds[0].revents) {
            if (read(child->report, said, sizeof(*said))
                != (ssize_t)sizeof(*said)) {
                said->end = 0;
            }
            return;
        }
        if (fds[1].revents
            && read(child->output, drained, sizeof(drained)) <= 0) {
            fds[1].fd = -1;
        }
    }
}

static acme_err_t *run(const acme_command_spec_t *spec, apr_pool_t *pool)
{
    acme_child_report_t said = { 0, 0 };
    acme_child_t child;
    int failed =
        acme_child_start(&child, (char *const *)(const void *)spec->argv,
                         (char *const *)(const void *)spec->env,
                         (int)apr_time_as_msec(spec->limit));

    if (failed) {
        return acme_err_os(pool, failed, ACME_E_COMMAND_START, spec->argv[0],
                           NULL);
    }
    wait_report(&said, &child);
    close(child.lifeline);
    close(child.report);
    close(child.output);
    while (waitpid(child.pid, NULL, 0) < 0 && errno == EINTR) {
    }
    return acme_command_judge(spec, &said, pool);
}

/* Those that were opened last are shut first. @return of the first that failed */
static acme_err_t *shut(const acme_gate_spec_t *gate, const char *store,
                        apr_interval_time_t limit, apr_pool_t *pool)
{
    acme_err_t *failure = NULL;

    for (int i = gate->closes->nelts - 1; i >= 0; i--) {
        acme_command_spec_t spec = { 0 };
        acme_gate_spec_command(
            &spec, gate,
            APR_ARRAY_IDX(gate->closes, i, const apr_array_header_t *),
            ACME_EVENT_CHALLENGE_CLOSE, store, pool);
        spec.env = acme_command_env(spec.env, pool);
        spec.limit = limit;
        acme_err_t *why = run(&spec, pool);
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
        json_t *object;
        const char *kind;
        acme_err_t *err = acme_journal_kind(&kind, &object, entry, pool);
        if (!err && kind && !acme_gate_spec_read(&gate, kind, object, pool)
            && gate.closes) {
            err = shut(&gate, acme_store_root(store), limit, pool);
            told(baton, &gate, err ? acme_err_line(err, pool) : NULL);
        }
    }
    return NULL;
}
