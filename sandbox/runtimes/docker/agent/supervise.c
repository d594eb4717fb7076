/* The worker of one command: starts it, forwards its output, and kills its whole process tree on timeout, on the
 * daemon's request, or when the main process is gone.
 *
 * After the reply it closes the daemon's stream and runs until its last descendant has ended: background children keep
 * a reader for their output, and are reaped. */
#include "agent.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Limit on sending the remaining output and the reply after a command's end. */
enum { GIVE_UP_MS = 30000, REKILL_MS = 1000 };

static struct {
    uint32_t id, grace_ms, kill_ms;
    uint64_t limit;
    int64_t begun_us, ended_us, deadline_ms;
    pid_t command;
    int status;
    bool ended, timed_out, killed, truncated[2];
    int lifeline, started;
    int pipe[2];       /* stdout, stderr; -1 after end of file */
    uint64_t kept[2];  /* bytes forwarded */
    struct reply held; /* a reply to send when the stream has room */
    bool holding;
    struct start_failure failure;
    long long oom_kills;
} run;

/* The container's OOM kill counter, from cgroup v2 or v1; -1 when it cannot be read. */
static long long count_oom_kills(void)
{
    static const char *const paths[] = {"/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control"};
    for (int i = 0; i < 2; i++) {
        char text[1024];
        int fd = open(paths[i], O_RDONLY | O_CLOEXEC);
        if (fd < 0)
            continue;
        ssize_t size = read(fd, text, sizeof text - 1);
        close(fd);
        text[size > 0 ? size : 0] = 0;
        char *line = strstr(text, "oom_kill ");
        if (line)
            return atoll(line + 9);
    }
    return -1;
}

static void start(struct cursor request)
{
    int out[2], err[2], report[2];
    if (pipe2(out, O_CLOEXEC) || pipe2(err, O_CLOEXEC) || pipe2(report, O_CLOEXEC))
        answer_failure(run.id, run.lifeline, STAGE_PROCESS, errno);
    run.begun_us = now_us();
    run.command = fork();
    if (run.command < 0)
        answer_failure(run.id, run.lifeline, STAGE_PROCESS, errno);
    if (run.command == 0)
        become_command(request, (int[]){out[1], err[1]}, report[1]);
    close(out[1]);
    close(err[1]);
    close(report[1]);
    run.pipe[0] = out[0];
    run.pipe[1] = err[0];
    run.started = report[0];
    fcntl(out[0], F_SETFL, O_NONBLOCK);
    fcntl(err[0], F_SETFL, O_NONBLOCK);
}

static void reaped(pid_t pid, int status)
{
    if (pid != run.command || run.ended)
        return;
    run.ended = true;
    run.ended_us = now_us();
    run.status = status;
}

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* Reads once from a stream and holds what is within the limit for sending. False when there was nothing to read. */
static bool read_output(int which)
{
    struct reply *r = &run.held;
    reply_begin(r, run.id, which ? REPLY_STDERR : REPLY_STDOUT);
    ssize_t size = read(run.pipe[which], r->bytes + r->size, reply_room(r));
    if (size < 0)
        return errno == EINTR;
    if (size == 0) {
        close_fd(&run.pipe[which]);
        return false;
    }
    uint64_t room = run.limit - run.kept[which];
    if ((uint64_t)size > room) {
        run.truncated[which] = true;
        size = (ssize_t)room;
    }
    run.kept[which] += (uint64_t)size;
    r->size += (size_t)size;
    run.holding = size > 0;
    return true;
}

/* False when the stream to the daemon is closed. */
static bool send_held(void)
{
    int sent = run.holding ? reply_try(&run.held) : 1;
    if (sent > 0)
        run.holding = false;
    return sent >= 0;
}

static void wait_for_events(int64_t until_ms)
{
    sigset_t none;
    sigemptyset(&none);
    struct pollfd fds[] = {
        {run.lifeline, POLLIN, 0},
        {run.started, POLLIN, 0},
        {run.holding ? -1 : run.pipe[0], POLLIN, 0},
        {run.holding ? -1 : run.pipe[1], POLLIN, 0},
        {run.holding ? STDOUT_FILENO : -1, POLLOUT, 0},
    };
    int64_t left = until_ms - now_ms();
    struct timespec timeout = {left > 0 ? left / 1000 : 0, left > 0 ? left % 1000 * 1000000 : 0};
    /* SIGCHLD is unblocked only here, so that none is missed between reaping and waiting. */
    if (ppoll(fds, 5, &timeout, &none) <= 0)
        return;
    if (fds[0].revents)
        run.killed = true;
    if (fds[1].revents) {
        if (read(run.started, &run.failure, sizeof run.failure) != sizeof run.failure)
            run.failure.error = 0;
        close_fd(&run.started);
    }
    for (int which = 0; which < 2; which++)
        if (fds[2 + which].revents && !run.holding)
            read_output(which);
}

/* Returns when the command has ended and its output is read, or when it must be killed. */
static void run_until_exit(void)
{
    for (;;) {
        tree_reap(reaped);
        if (!send_held())
            run.killed = true;
        int64_t now = now_ms(), until = run.deadline_ms;
        if (run.ended) {
            until = run.ended_us / 1000 + run.grace_ms;
            bool over = run.pipe[0] < 0 && run.pipe[1] < 0;
            if (run.started < 0 && (over || now >= until))
                return;
            if (now >= until)
                until = now + 1000; /* the start report is about to arrive */
        } else if (now >= run.deadline_ms) {
            run.timed_out = true;
        }
        if (run.killed || run.timed_out)
            return;
        wait_for_events(until);
    }
}

/* Sends a reply; waits for room until a deadline. */
static void deliver(struct reply *r, int64_t until_ms)
{
    int sent;
    while ((sent = reply_try(r)) == 0 && now_ms() < until_ms) {
        struct pollfd fd = {STDOUT_FILENO, POLLOUT, 0};
        poll(&fd, 1, 100);
    }
}

static void collect_rest(int64_t until_ms)
{
    for (int which = 0; which < 2; which++) {
        for (;;) {
            if (run.holding)
                deliver(&run.held, until_ms);
            run.holding = false;
            /* A background child may write as fast as this reads: stop at the limit. */
            if (run.pipe[which] < 0 || run.truncated[which] || !read_output(which))
                break;
        }
    }
}

static bool out_of_memory(void)
{
    bool by_kill = WIFSIGNALED(run.status) ? WTERMSIG(run.status) == SIGKILL : WEXITSTATUS(run.status) == 128 + SIGKILL;
    return by_kill && run.oom_kills >= 0 && count_oom_kills() > run.oom_kills;
}

static void answer(int survivors)
{
    struct reply r;
    int64_t until = now_ms() + GIVE_UP_MS;
    bool stopped = run.timed_out || run.killed;
    collect_rest(until);
    if (run.failure.error) {
        put_failure(&r, run.id, (enum stage)run.failure.stage, run.failure.error);
        deliver(&r, until);
        return;
    }
    if (!run.ended) {
        run.status = SIGKILL; /* the signal that was sent, though the process still exists */
        run.ended_us = now_us();
    }
    reply_begin(&r, run.id, REPLY_EXIT);
    put_u8(&r, WIFSIGNALED(run.status));
    put_u8(&r, (uint8_t)(WIFSIGNALED(run.status) ? WTERMSIG(run.status) : WEXITSTATUS(run.status)));
    put_u8(&r, (uint8_t)((run.timed_out ? EXIT_TIMED_OUT : 0) | (run.killed ? EXIT_KILLED : 0) |
                         (!stopped && out_of_memory() ? EXIT_OOM : 0) | (run.truncated[0] || run.truncated[1] ? EXIT_TRUNCATED : 0)));
    put_u32(&r, (uint32_t)survivors);
    put_u64(&r, (uint64_t)(run.ended_us - run.begun_us));
    deliver(&r, until);
}

/* Drains the output of background children and, when killing, repeats the kill, until no descendant is left. */
static _Noreturn void reap_descendants(bool killing)
{
    static char dropped[64 << 10];
    sigset_t none;
    sigemptyset(&none);
    dup2(STDIN_FILENO, STDOUT_FILENO); /* /dev/null */
    dup2(STDIN_FILENO, STDERR_FILENO);
    if (write(run.lifeline, "", 1) < 0)
        errno = 0; /* the main process is gone */
    close(run.lifeline);
    while (tree_reap(NULL)) {
        struct pollfd fds[] = {{run.pipe[0], POLLIN, 0}, {run.pipe[1], POLLIN, 0}};
        struct timespec again = {REKILL_MS / 1000, 0};
        if (ppoll(fds, 2, killing ? &again : NULL, &none) > 0)
            for (int which = 0; which < 2; which++)
                if (fds[which].revents && read(run.pipe[which], dropped, sizeof dropped) == 0)
                    close_fd(&run.pipe[which]);
        if (killing)
            tree_kill(0, NULL);
    }
    _exit(0);
}

uint32_t exec_kill_ms(struct cursor request)
{
    take_u64(&request); /* timeout and grace */
    return take_u32(&request);
}

_Noreturn void supervise(uint32_t id, struct cursor request, int lifeline)
{
    int survivors = 0;
    run.id = id;
    run.lifeline = lifeline;
    uint32_t timeout_ms = take_u32(&request);
    run.grace_ms = take_u32(&request);
    run.kill_ms = take_u32(&request);
    run.limit = take_u64(&request);
    if (request.bad)
        answer_failure(id, lifeline, STAGE_REQUEST, E_MALFORMED);
    run.oom_kills = count_oom_kills();
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    run.deadline_ms = now_ms() + timeout_ms;
    start(request);
    run_until_exit();
    bool killing = run.timed_out || run.killed;
    if (killing)
        survivors = tree_kill(now_ms() + run.kill_ms, reaped);
    answer(survivors);
    reap_descendants(killing);
}
