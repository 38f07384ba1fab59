/* Programs of the administrator, as the engine runs them: real ones, under the
 * engine's own wait. */
#include "core_test.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/command.h"
#include "engine/transport.h"

#define MAX_LINES 100

typedef struct result_t {
    int ended, status, lines;
    acme_msg_t msg;
    const char *text, *detail;
    const char *line[MAX_LINES];
} result_t;

static acme_transport_t *transport;
static acme_commands_t *commands;
static char folder[64];

static int set_up(void **state)
{
    pool_setup(state);
    strcpy(folder, "/tmp/acme_test.XXXXXX");
    if (!mkdtemp(folder)
        || acme_transport_create(&transport, "0", pool) != NULL) {
        return -1;
    }
    commands = acme_commands_create(acme_transport_watches(transport), pool);
    return 0;
}

static int tear_down(void **state)
{
    char command[128];

    snprintf(command, sizeof(command), "rm -rf %s", folder);
    return system(command) + pool_teardown(state);
}

static void on_output(void *baton, const char *line)
{
    result_t *result = baton;

    if (result->lines < MAX_LINES) {
        result->line[result->lines] = apr_pstrdup(pool, line);
    }
    result->lines++;
}

static void on_ended(void *baton, acme_err_t *err, int status)
{
    result_t *result = baton;

    result->ended++;
    result->status = status;
    result->msg = err ? err->msg : ACME_M_NONE;
    result->text = err ? apr_pstrdup(pool, err->text) : NULL;
    result->detail = err ? apr_pstrdup(pool, err->detail) : NULL;
}

static acme_command_t *start(result_t *result, const char *const *argv,
                             const char *const *env, apr_interval_time_t limit)
{
    const acme_command_spec_t spec = { argv, env, limit };
    const acme_command_callbacks_t callbacks = { result, on_output, on_ended };

    return acme_command_start(commands, &spec, &callbacks);
}

static void round_of_loop(void)
{
    acme_commands_run(commands);
    assert_no_err(acme_transport_poll(
        transport, acme_commands_due(commands) ? 0 : apr_time_from_msec(100)));
}

static void finish(void)
{
    apr_time_t until = apr_time_now() + apr_time_from_sec(30);

    while (acme_commands_count(commands)) {
        round_of_loop();
        assert_true(apr_time_now() < until);
    }
}

static result_t run(const char *const *argv, const char *const *env,
                    apr_interval_time_t limit)
{
    result_t result = { 0 };

    start(&result, argv, env, limit);
    finish();
    assert_int_equal(result.ended, 1);
    return result;
}

static result_t shell(const char *script, apr_interval_time_t limit)
{
    const char *argv[] = { "/bin/sh", "-c", script, NULL };

    return run(argv, NULL, limit);
}

static void wait_gone(pid_t pid)
{
    apr_time_t until = apr_time_now() + apr_time_from_sec(10);

    assert_true(pid > 1);
    while (kill(pid, 0) == 0) {
        /* one that has ended, and for which nobody has waited yet */
        char path[64], text[256] = "";
        snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
        FILE *file = fopen(path, "r");
        if (file) {
            size_t len = fread(text, 1, sizeof(text) - 1, file);
            text[len] = '\0';
            fclose(file);
        }
        const char *end = strrchr(text, ')');
        if (!end || end[2] == 'Z') {
            return;
        }
        assert_true(apr_time_now() < until);
        usleep(10000);
    }
}

static void test_arguments_and_environment_arrive_as_they_are(void **state)
{
    static const char SCRIPT[] = "for a in \"$@\"; do echo \"<$a>\"; done\n"
                                 "echo \"<$ACME_X>\"; pwd; umask";
    const char *argv[] = { "/bin/sh", "-c",          SCRIPT,  "me",
                           "a b",     "$(id) `id`;", "\"'\\", NULL };
    const char *env[] = { "ACME_X=1 $HOME", NULL };

    (void)state;
    result_t result = run(argv, env, 0);
    assert_int_equal(result.msg, ACME_M_NONE);
    assert_int_equal(result.status, 0);
    assert_int_equal(result.lines, 6);
    assert_string_equal(result.line[0], "<a b>");
    assert_string_equal(result.line[1], "<$(id) `id`;>");
    assert_string_equal(result.line[2], "<\"'\\>");
    assert_string_equal(result.line[3], "<1 $HOME>");
    assert_string_equal(result.line[4], "/");
    assert_string_equal(result.line[5], "0077");
}

static void test_nothing_of_the_server_is_inherited(void **state)
{
    const char *env_argv[] = { "/usr/bin/env", NULL };
    int open_one = open("/dev/null", O_RDONLY); /* without O_CLOEXEC */

    (void)state;
    setenv("SECRET", "1", 1);
    result_t result = run(env_argv, NULL, 0);
    assert_int_equal(result.lines, 1);
    assert_memory_equal(result.line[0], "PATH=", 5);
    result = shell("echo /proc/self/fd/*; cat; trap", 0);
    assert_int_equal(result.lines, 1);
    assert_string_equal(result.line[0],
                        "/proc/self/fd/0 /proc/self/fd/1 /proc/self/fd/2 "
                        "/proc/self/fd/3"); /* the shell's, of /proc */
    close(open_one);
}

static void test_signals_are_as_at_a_login(void **state)
{
    sigset_t all;

    (void)state;
    signal(SIGINT, SIG_IGN);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, NULL);
    result_t result =
        shell("grep -E '^Sig(Blk|Ign):' /proc/self/status | tr -d '\\n'", 0);
    sigemptyset(&all);
    pthread_sigmask(SIG_SETMASK, &all, NULL);
    signal(SIGINT, SIG_DFL);
    assert_int_equal(result.lines, 1);
    assert_memory_equal(result.line[0], "SigBlk:?0000000000000000SigIgn:?", 32);
    /* 32 and 33 are the C library's own, and not ours to set */
    assert_int_equal(
        strtoull(result.line[0] + 32, NULL, 16) & ~UINT64_C(0x180000000), 0);
}

static void test_failure_tells_status_and_last_line(void **state)
{
    (void)state;
    result_t result = shell("echo one; echo 'why \033[1mnot' >&2; exit 3", 0);
    assert_int_equal(result.msg, ACME_E_COMMAND_FAILED);
    assert_int_equal(result.status, 3);
    assert_string_equal(result.text,
                        "the program /bin/sh failed: it ended with status 3");
    assert_string_equal(result.detail, "why ?[1mnot");
    result = shell("kill -9 $$", 0);
    assert_int_equal(result.msg, ACME_E_COMMAND_FAILED);
    assert_int_equal(result.status, -1);
    assert_non_null(strstr(result.text, "signal 9"));
}

static void test_what_cannot_be_started_says_why(void **state)
{
    const char *missing[] = { "/nonexistent/program", NULL };
    const char *no_program[] = { "/etc/passwd", NULL };

    (void)state;
    result_t result = run(missing, NULL, 0);
    assert_int_equal(result.msg, ACME_E_COMMAND_START);
    assert_string_equal(result.text, "cannot run the program "
                                     "/nonexistent/program: No such file or "
                                     "directory");
    result = run(no_program, NULL, 0);
    assert_int_equal(result.msg, ACME_E_COMMAND_START);
    assert_non_null(strstr(result.text, "Permission denied"));
}

static void test_time_limit_ends_it_and_its_children(void **state)
{
    apr_time_t began = apr_time_now();

    (void)state;
    result_t result =
        shell("sleep 300 & echo $!; sleep 300", apr_time_from_msec(300));
    assert_int_equal(result.msg, ACME_E_COMMAND_TIME);
    assert_true(apr_time_now() - began < apr_time_from_sec(4));
    assert_int_equal(result.lines, 1);
    wait_gone(atoi(result.line[0]));
}

static void test_what_it_leaves_running_is_ended(void **state)
{
    (void)state;
    result_t result = shell("sleep 300 & echo $!", 0);
    assert_int_equal(result.msg, ACME_M_NONE);
    wait_gone(atoi(result.line[0]));
    /* a session of its own is its own business */
    result = shell("setsid sleep 300 >/dev/null 2>&1 & sleep 0.3; "
                   "ps -o pid= -C sleep --sort=-start_time | head -n 1",
                   0);
    assert_int_equal(result.lines, 1);
    assert_int_equal(kill(atoi(result.line[0]), SIGKILL), 0);
}

static void test_output_is_bounded(void **state)
{
    (void)state;
    result_t result = shell("head -c 3000000 /dev/zero | tr '\\0' x; echo; "
                            "yes | head -n 100000; echo last >&2; exit 1",
                            0);
    assert_int_equal(result.lines, ACME_COMMAND_LINES + 1);
    assert_int_equal(strlen(result.line[0]), ACME_COMMAND_LINE);
    assert_string_equal(result.line[1], "y");
    assert_string_equal(result.detail, "last");
}

static void test_no_more_than_some_at_once(void **state)
{
    const char *argv[] = { "/bin/sh", "-c", "sleep 0.05", NULL };
    result_t result = { 0 };

    (void)state;
    for (int i = 0; i < 3 * ACME_COMMAND_AT_ONCE; i++) {
        start(&result, argv, NULL, 0);
    }
    acme_commands_run(commands);
    assert_false(acme_commands_due(commands));
    assert_int_equal(acme_commands_count(commands), 3 * ACME_COMMAND_AT_ONCE);
    assert_int_equal(result.ended, 0);
    finish();
    assert_int_equal(result.ended, 3 * ACME_COMMAND_AT_ONCE);
    assert_int_equal(result.msg, ACME_M_NONE);
}

static void test_status_is_known_whoever_waits_for_children(void **state)
{
    (void)state;
    signal(SIGCHLD, SIG_IGN);
    result_t result = shell("exit 7", 0);
    signal(SIGCHLD, SIG_DFL);
    assert_int_equal(result.status, 7);
}

static void test_no_process_entries_are_left(void **state)
{
    (void)state;
    for (int i = 0; i < 5; i++) {
        shell("true", 0);
    }
    apr_time_t until = apr_time_now() + apr_time_from_sec(10);
    while (waitpid(-1, NULL, WNOHANG | WNOWAIT) != -1 || errno != ECHILD) {
        acme_commands_run(commands);
        if (waitid(P_ALL, 0, &(siginfo_t){ 0 }, WEXITED | WNOHANG | WNOWAIT)
                == -1
            && errno == ECHILD) {
            break;
        }
        assert_true(apr_time_now() < until);
    }
}

static void test_forgotten_is_not_told_of(void **state)
{
    const char *argv[] = { "/bin/sh", "-c", "echo $$; sleep 300", NULL };
    result_t result = { 0 }, waiting = { 0 };

    (void)state;
    acme_command_t *command = start(&result, argv, NULL, 0);
    while (!result.lines) {
        round_of_loop();
    }
    acme_command_t *later = start(&waiting, argv, NULL, 0);
    acme_command_forget(later, 0);
    acme_command_forget(command, 1);
    finish();
    wait_gone(atoi(result.line[0]));
    assert_int_equal(result.ended + waiting.ended, 0);
}

static void test_pool_end_ends_them(void **state)
{
    const char *argv[] = { "/bin/sh", "-c", "echo $$; exec sleep 300", NULL };
    result_t result = { 0 };
    apr_pool_t *sub, *outer = pool;

    (void)state;
    apr_pool_create(&sub, outer);
    commands = acme_commands_create(acme_transport_watches(transport), sub);
    start(&result, argv, NULL, 0);
    while (!result.lines) {
        round_of_loop();
    }
    apr_pool_destroy(sub);
    wait_gone(atoi(result.line[0]));
    assert_int_equal(result.ended, 0);
}

static void engine_until_killed(const char *path)
{
    const char *script = apr_psprintf(
        pool, "trap '' TERM; echo $$ >%s.new; mv %s.new %s; sleep 300", path,
        path, path);
    const char *argv[] = { "/bin/sh", "-c", script, NULL };
    result_t result = { 0 };

    start(&result, argv, NULL, 0);
    finish();
}

static void test_dead_engine_ends_them(void **state)
{
    const char *path = apr_pstrcat(pool, folder, "/pid", NULL);
    struct stat st;
    int number = 0;
    pid_t engine = fork();

    (void)state;
    if (engine == 0) {
        engine_until_killed(path);
        _exit(0);
    }
    while (stat(path, &st) != 0) {
        usleep(10000);
    }
    kill(engine, SIGKILL);
    waitpid(engine, NULL, 0);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%d", &number), 1);
    fclose(file);
    wait_gone(number);
}

#define COMMAND_TEST(test)                                                     \
    cmocka_unit_test_setup_teardown(test, set_up, tear_down)

static const struct CMUnitTest tests[] = {
    COMMAND_TEST(test_arguments_and_environment_arrive_as_they_are),
    COMMAND_TEST(test_nothing_of_the_server_is_inherited),
    COMMAND_TEST(test_signals_are_as_at_a_login),
    COMMAND_TEST(test_failure_tells_status_and_last_line),
    COMMAND_TEST(test_what_cannot_be_started_says_why),
    COMMAND_TEST(test_time_limit_ends_it_and_its_children),
    COMMAND_TEST(test_what_it_leaves_running_is_ended),
    COMMAND_TEST(test_output_is_bounded),
    COMMAND_TEST(test_no_more_than_some_at_once),
    COMMAND_TEST(test_status_is_known_whoever_waits_for_children),
    COMMAND_TEST(test_no_process_entries_are_left),
    COMMAND_TEST(test_forgotten_is_not_told_of),
    COMMAND_TEST(test_pool_end_ends_them),
    COMMAND_TEST(test_dead_engine_ends_them),
};

RUN_TESTS(tests)
