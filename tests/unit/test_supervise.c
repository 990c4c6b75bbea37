/* test_supervise.c - the parent of the relay's two processes, with real children that are really killed.
 *
 * Every scenario runs supervise_run in a process of its own. Children and parent report to the test over one pipe, as
 * struct report; the test kills what it was told of and watches what comes back. */
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "own.h"
#include "supervise.h"

enum { WAIT_MS = 8000 };
enum who { LEDGER = 'l', GATE = 'g', READY = 'r', STOPPING = 's', GATE_TERM = 'G', LEDGER_TERM = 'L', TIMEOUT = 0 };

struct report {
    enum who who;
    pid_t pid;
    uint64_t ms;
};

struct scenario {
    int ledger_exits, gate_exits; /* -1: runs until SIGTERM */
    unsigned ledger_lives_ms;     /* before it exits so */
    _Bool gate_is_deaf, gate_is_never_ready;
    uint32_t stop_ms;
    int out;
};

static uint64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void tell(const struct scenario *scenario, enum who who) {
    struct report report = {.who = who, .pid = getpid(), .ms = now_ms()};
    if (write(scenario->out, &report, sizeof report) != (ssize_t)sizeof report) _exit(99);
}

static void wait_for_term(void) {
    sigset_t term;
    int number;
    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    sigwait(&term, &number);
}

static void block_term(void) {
    sigset_t term;
    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    sigprocmask(SIG_BLOCK, &term, NULL);
}

static int ledger(void *user) {
    const struct scenario *scenario = user;
    block_term();
    tell(scenario, LEDGER);
    nanosleep(&(struct timespec){.tv_nsec = scenario->ledger_lives_ms * 1000000L}, NULL);
    if (scenario->ledger_exits >= 0) return scenario->ledger_exits;
    wait_for_term();
    tell(scenario, LEDGER_TERM);
    return 0;
}

static int gate(void *user, int ready_fd) {
    const struct scenario *scenario = user;
    block_term();
    tell(scenario, GATE);
    if (!scenario->gate_is_never_ready && write(ready_fd, "", 1) != 1) return 98;
    if (scenario->gate_exits >= 0) return scenario->gate_exits;
    if (scenario->gate_is_deaf)
        for (;;) pause();
    wait_for_term();
    tell(scenario, GATE_TERM);
    return 0;
}

static void ready(void *user) { tell(user, READY); }
static void stopping(void *user) { tell(user, STOPPING); }

struct run {
    pid_t pid;
    int in;
};

static struct run start(struct scenario scenario) {
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(ends[0]);
        scenario.out = ends[1];
        _exit(supervise_run(&(struct supervise){.ledger = ledger,
                                                .gate = gate,
                                                .ready = ready,
                                                .stopping = stopping,
                                                .user = &scenario,
                                                .stop_ms = scenario.stop_ms}));
    }
    close(ends[1]);
    return (struct run){pid, ends[0]};
}

static struct report next(const struct run *run, int wait_ms) {
    struct report report = {.who = TIMEOUT};
    struct pollfd fd = {.fd = run->in, .events = POLLIN};
    if (poll(&fd, 1, wait_ms) == 1 && read(run->in, &report, sizeof report) != (ssize_t)sizeof report)
        report.who = TIMEOUT;
    return report;
}

static struct report expect(const struct run *run, enum who who) {
    struct report report = next(run, WAIT_MS);
    if (report.who != who) fail_msg("wanted %c, was told %c", (char)who, report.who ? (char)report.who : '-');
    return report;
}

/* Starts are reported by the children, readiness by the parent: ledger and gate may overtake each other, not more. */
static void expect_start(const struct run *run, pid_t *ret_ledger, pid_t *ret_gate) {
    unsigned seen = 0;
    while (seen != 7) {
        struct report report = next(run, WAIT_MS);
        switch (report.who) {
        case LEDGER:
            *ret_ledger = report.pid;
            seen |= 1;
            break;
        case GATE:
            *ret_gate = report.pid;
            seen |= 2;
            break;
        case READY: seen |= 4; break;
        case STOPPING:
        case GATE_TERM:
        case LEDGER_TERM:
        case TIMEOUT: fail_msg("no start: %c", report.who ? (char)report.who : '-');
        }
    }
}

static int finish(struct run *run) {
    int status;
    assert_int_equal(waitpid(run->pid, &status, 0), run->pid);
    close(run->in);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static _Bool is_gone(pid_t pid) {
    for (unsigned i = 0; i < 200; i++) {
        if (kill(pid, 0) != 0) return 1;
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    }
    return 0;
}

static const struct scenario calm = {.ledger_exits = -1, .gate_exits = -1};

static void term_stops_the_gate_then_the_ledger_and_exits_0(void **state) {
    (void)state;
    static const int numbers[] = {SIGTERM, SIGINT};
    for (size_t i = 0; i < 2; i++) {
        struct run run = start(calm);
        pid_t ledger_pid, gate_pid;
        expect_start(&run, &ledger_pid, &gate_pid);
        kill(run.pid, numbers[i]);
        expect(&run, STOPPING);
        expect(&run, GATE_TERM);
        expect(&run, LEDGER_TERM);
        assert_int_equal(finish(&run), 0);
        assert_true(is_gone(ledger_pid) && is_gone(gate_pid));
    }
}

static void killed_gate_is_restarted_at_once_and_the_ledger_stays(void **state) {
    (void)state;
    struct run run = start(calm);
    pid_t ledger_pid, gate_pid;
    expect_start(&run, &ledger_pid, &gate_pid);
    for (unsigned i = 0; i < 3; i++) {
        uint64_t killed = now_ms();
        kill(gate_pid, i == 1 ? SIGABRT : SIGKILL);
        struct report gate_report = expect(&run, GATE);
        assert_true(gate_report.pid != gate_pid);
        assert_true(gate_report.ms - killed < 500);
        gate_pid = gate_report.pid;
        expect(&run, READY);
    }
    assert_int_equal(kill(ledger_pid, 0), 0);
    kill(run.pid, SIGTERM);
    expect(&run, STOPPING);
    expect(&run, GATE_TERM);
    assert_int_equal(expect(&run, LEDGER_TERM).pid, ledger_pid);
    assert_int_equal(finish(&run), 0);
}

static void gate_that_keeps_dying_is_restarted_with_growing_pauses(void **state) {
    (void)state;
    struct scenario scenario = calm;
    scenario.gate_exits = 3;
    struct run run = start(scenario);
    uint64_t starts[12] = {0};
    size_t n = 0;
    while (n < 12) {
        struct report report = next(&run, WAIT_MS);
        assert_int_not_equal(report.who, TIMEOUT);
        if (report.who == GATE) starts[n++] = report.ms;
    }
    assert_true(starts[3] - starts[0] < 500);                           /* the first at once */
    assert_true(starts[10] - starts[9] >= SUPERVISE_PAUSE_MAX_MS - 25); /* capped */
    assert_true(starts[11] - starts[10] < SUPERVISE_PAUSE_MAX_MS + 1500);
    for (size_t i = 4; i < 7; i++) assert_true(starts[i + 1] - starts[i] + 5 >= starts[i] - starts[i - 1]);
    kill(run.pid, SIGTERM);
    assert_int_equal(finish(&run), 0);
}

static void ledger_that_dies_takes_the_gate_along_and_both_return(void **state) {
    (void)state;
    struct run run = start(calm);
    pid_t ledger_pid, gate_pid, ledger_after, gate_after;
    expect_start(&run, &ledger_pid, &gate_pid);
    kill(ledger_pid, SIGKILL);
    expect_start(&run, &ledger_after, &gate_after);
    assert_true(ledger_after != ledger_pid && gate_after != gate_pid);
    assert_true(is_gone(gate_pid));
    kill(run.pid, SIGTERM);
    assert_int_equal(finish(&run), 0);
}

static void ledger_exit_3_before_anything_worked_is_for_the_operator(void **state) {
    (void)state;
    struct scenario scenario = calm;
    scenario.ledger_exits = 3;
    scenario.gate_is_never_ready = 1;
    struct run run = start(scenario);
    assert_int_equal(finish(&run), 1);
}

static void ledger_exit_3_is_restarted_and_1_2_or_4_stop_the_relay(void **state) {
    (void)state;
    static const int final[] = {1, 2, 4};
    for (size_t i = 0; i < LENGTH(final); i++) {
        int code = final[i];
        struct scenario scenario = calm;
        scenario.ledger_exits = code;
        struct run run = start(scenario);
        assert_int_equal(finish(&run), code);
    }
    struct scenario scenario = calm;
    scenario.ledger_exits = 3;
    scenario.ledger_lives_ms = 300; /* a gate was ready by then */
    struct run run = start(scenario);
    for (unsigned ledgers = 0; ledgers < 4;) {
        struct report report = next(&run, WAIT_MS);
        assert_int_not_equal(report.who, TIMEOUT);
        if (report.who == LEDGER) ledgers++;
    }
    kill(run.pid, SIGTERM);
    assert_int_equal(finish(&run), 0);
}

static void gate_that_cannot_start_stops_the_relay_but_not_once_one_was_ready(void **state) {
    (void)state;
    struct scenario scenario = calm;
    scenario.gate_exits = 1;
    scenario.gate_is_never_ready = 1;
    struct run run = start(scenario);
    assert_int_equal(finish(&run), 1);
    scenario.gate_is_never_ready = 0;
    run = start(scenario);
    for (unsigned gates = 0; gates < 4;) {
        struct report report = next(&run, WAIT_MS);
        assert_int_not_equal(report.who, TIMEOUT);
        if (report.who == GATE) gates++;
    }
    kill(run.pid, SIGTERM);
    assert_int_equal(finish(&run), 0);
}

static void hup_changes_nothing(void **state) {
    (void)state;
    struct run run = start(calm);
    pid_t ledger_pid, gate_pid;
    expect_start(&run, &ledger_pid, &gate_pid);
    kill(run.pid, SIGHUP);
    kill(ledger_pid, SIGHUP); /* as a closing terminal sends it to the whole group */
    kill(gate_pid, SIGINT);
    assert_int_equal(next(&run, 200).who, TIMEOUT);
    kill(run.pid, SIGTERM);
    expect(&run, STOPPING);
    assert_int_equal(expect(&run, GATE_TERM).pid, gate_pid);
    assert_int_equal(expect(&run, LEDGER_TERM).pid, ledger_pid);
    assert_int_equal(finish(&run), 0);
}

static void deaf_gate_is_killed_in_the_end(void **state) {
    (void)state;
    struct scenario scenario = calm;
    scenario.gate_is_deaf = 1;
    scenario.stop_ms = 200;
    struct run run = start(scenario);
    pid_t ledger_pid, gate_pid;
    expect_start(&run, &ledger_pid, &gate_pid);
    uint64_t asked = now_ms();
    kill(run.pid, SIGTERM);
    assert_int_equal(finish(&run), 0);
    assert_true(now_ms() - asked >= 190 && now_ms() - asked < 3000);
    assert_true(is_gone(ledger_pid) && is_gone(gate_pid));
}

static void children_end_when_the_parent_is_killed(void **state) {
    (void)state;
    struct run run = start(calm);
    pid_t ledger_pid, gate_pid;
    expect_start(&run, &ledger_pid, &gate_pid);
    kill(run.pid, SIGKILL);
    assert_int_equal(expect(&run, LEDGER_TERM).pid, ledger_pid); /* it may finish its batch; the gate may not */
    int status;
    waitpid(run.pid, &status, 0);
    assert_int_equal(next(&run, 2000).who, TIMEOUT); /* end of the pipe: nobody holds it any more */
    char byte;
    assert_int_equal(read(run.in, &byte, 1), 0);
    close(run.in);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(term_stops_the_gate_then_the_ledger_and_exits_0),
        cmocka_unit_test(killed_gate_is_restarted_at_once_and_the_ledger_stays),
        cmocka_unit_test(gate_that_keeps_dying_is_restarted_with_growing_pauses),
        cmocka_unit_test(ledger_that_dies_takes_the_gate_along_and_both_return),
        cmocka_unit_test(ledger_exit_3_before_anything_worked_is_for_the_operator),
        cmocka_unit_test(ledger_exit_3_is_restarted_and_1_2_or_4_stop_the_relay),
        cmocka_unit_test(gate_that_cannot_start_stops_the_relay_but_not_once_one_was_ready),
        cmocka_unit_test(hup_changes_nothing),
        cmocka_unit_test(deaf_gate_is_killed_in_the_end),
        cmocka_unit_test(children_end_when_the_parent_is_killed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
