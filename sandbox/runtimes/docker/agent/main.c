/* The agent's main process: reads requests and forks workers; never blocks on one. */
#include "tasks.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

enum { SWEEP_MS = 10, CHECK_MS = 1000 };

static bool greeted;
static int64_t lease_ms, last_heard;

static void hello(uint32_t id, struct cursor c)
{
    struct reply r;
    uint8_t version = take_u8(&c);
    lease_ms = (int64_t)take_u32(&c) * 1000;
    bool set_home = take_u8(&c);
    const char *spec = take_text(&c);
    if (greeted || c.bad || version != PROTOCOL_VERSION) {
        refuse(id, STAGE_REQUEST, E_MALFORMED);
        return;
    }
    int error = user_adopt(spec, set_home, &c);
    if (error) {
        refuse(id, error == E_MALFORMED ? STAGE_REQUEST : STAGE_USER, error);
        return;
    }
    greeted = true;
    reply_begin(&r, id, REPLY_HELLO);
    put_u8(&r, PROTOCOL_VERSION);
    reply(&r);
}

static void begin_write(uint32_t id, struct cursor c)
{
    struct task *t = add_task(id);
    if (!t)
        return;
    t->size = take_u64(&c);
    t->path = strdup(take_text(&c));
    t->content = c.bad || !t->path ? -1 : memfd_create("upload", MFD_CLOEXEC);
    if (t->content < 0) {
        refuse(id, STAGE_REQUEST, c.bad ? E_MALFORMED : errno);
        forget(t);
    }
}

static void continue_write(struct task *t, struct cursor c)
{
    size_t size = (size_t)(c.end - c.at);
    struct stat st;
    while (size) {
        ssize_t done = write(t->content, c.at, size);
        if (done < 0 && errno != EINTR) {
            refuse(t->id, STAGE_PROCESS, errno);
            forget(t);
            return;
        }
        c.at += done > 0 ? done : 0;
        size -= (size_t)(done > 0 ? done : 0);
    }
    if (fstat(t->content, &st) || (uint64_t)st.st_size > t->size) {
        refuse(t->id, STAGE_REQUEST, E_MALFORMED);
        forget(t);
    }
}

static void commit(struct task *t)
{
    int lifeline;
    struct stat st;
    if (fstat(t->content, &st) || (uint64_t)st.st_size != t->size) {
        refuse(t->id, STAGE_REQUEST, E_MALFORMED);
        forget(t);
        return;
    }
    if (fork_worker(t, &lifeline))
        file_write(t->id, t->path, t->content, lifeline);
}

static void dispatch(uint32_t id, uint8_t type, struct cursor c)
{
    struct task *t = find_task(id);
    struct reply r;
    int lifeline;
    if (type == REQUEST_HELLO) {
        hello(id, c);
    } else if (!greeted) {
        refuse(id, STAGE_REQUEST, E_MALFORMED);
    } else if (type == REQUEST_STAT) {
        file_stat(id, c, &r);
        reply(&r);
    } else if (type == REQUEST_WRITE) {
        begin_write(id, c);
    } else if (type == REQUEST_KILL || type == REQUEST_DATA || type == REQUEST_COMMIT) {
        /* A task that has replied or was refused is gone: ignore the request. */
        if (t && type == REQUEST_KILL)
            cancel_task(t);
        else if (t && !t->pid && type == REQUEST_DATA)
            continue_write(t, c);
        else if (t && !t->pid)
            commit(t);
    } else if (type == REQUEST_EXEC || type == REQUEST_READ || type == REQUEST_LIST) {
        if (!(t = add_task(id)))
            return;
        t->command = type == REQUEST_EXEC;
        if (t->command)
            t->patience += exec_kill_ms(c);
        if (!fork_worker(t, &lifeline))
            return;
        if (type == REQUEST_EXEC)
            supervise(id, c, lifeline);
        else if (type == REQUEST_READ)
            file_read(id, c, lifeline);
        else
            file_list(id, c, lifeline);
    } else {
        refuse(id, STAGE_REQUEST, E_MALFORMED);
    }
}

/* Reads what is available of the current frame; dispatches the request once it is complete. */
static void read_request(void)
{
    static uint8_t header[HEADER], *payload;
    static size_t have;
    static uint32_t size, id;
    ssize_t got = have < HEADER ? read(STDIN_FILENO, header + have, HEADER - have)
                                : read(STDIN_FILENO, payload + have - HEADER, size - (have - HEADER));
    if (got < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    if (got <= 0) {
        disconnect();
        return;
    }
    last_heard = now_ms();
    have += (size_t)got;
    if (have == HEADER) {
        struct cursor c = {header, header + HEADER, false};
        size = take_u32(&c);
        id = take_u32(&c);
        payload = size <= MAX_REQUEST ? malloc(size + 1) : NULL;
        if (!payload) {
            disconnect(); /* the next frame's start cannot be found */
            return;
        }
    }
    if (have < HEADER || have - HEADER < size)
        return;
    dispatch(id, header[HEADER - 1], (struct cursor){payload, payload + size, false});
    free(payload);
    have = 0;
}

static void watch(void)
{
    static struct pollfd fds[1 + MAX_TASKS];
    sigset_t none;
    sigemptyset(&none);
    int64_t now = now_ms(), wait = -1;
    fds[0] = (struct pollfd){connected ? STDIN_FILENO : -1, POLLIN, 0};
    for (int i = 0; i < task_count; i++)
        fds[1 + i] = (struct pollfd){tasks[i].lifeline, POLLIN, 0};
    if (connected && lease_ms && !task_count)
        wait = last_heard + lease_ms > now ? last_heard + lease_ms - now : 0;
    for (int i = 0; i < task_count; i++)
        if (tasks[i].cancelled && !tasks[i].answered)
            wait = CHECK_MS;
    if (sweeping)
        wait = SWEEP_MS;
    struct timespec timeout = {wait / 1000, wait % 1000 * 1000000};
    int watched = task_count;
    if (ppoll(fds, (nfds_t)watched + 1, wait < 0 ? NULL : &timeout, &none) <= 0)
        return;
    for (int i = watched - 1; i >= 0; i--) {
        char word;
        if (fds[1 + i].revents) {
            /* The supervisor has replied (a byte), or the worker has ended (end of file). */
            tasks[i].answered = read(tasks[i].lifeline, &word, 1) == 1;
            close_end(&tasks[i].lifeline);
        }
    }
    if (fds[0].revents)
        read_request();
}

static void ignore(int number) { (void)number; }

static void prepare(void)
{
    struct stat st;
    sigset_t child;
    if (fstat(STDOUT_FILENO, &st) || !S_ISFIFO(st.st_mode)) {
        static const char text[] = "sandbox agent: stdout is not a pipe\n";
        _exit(write(STDERR_FILENO, text, sizeof text - 1) < 0 ? 3 : 2);
    }
    fcntl(STDOUT_FILENO, F_SETFL, O_WRONLY | O_NONBLOCK);
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigprocmask(SIG_BLOCK, &child, NULL);
    sigaction(SIGCHLD, &(struct sigaction){.sa_handler = ignore}, NULL);
    signal(SIGPIPE, SIG_IGN);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    prctl(PR_SET_DUMPABLE, 0);
    /* A walk holds one descriptor a directory; commands get the original limit. */
    if (!getrlimit(RLIMIT_NOFILE, &command_files))
        setrlimit(RLIMIT_NOFILE, &(struct rlimit){command_files.rlim_max, command_files.rlim_max});
    null = open("/dev/null", O_RDWR | O_CLOEXEC);
}

static void end(int number)
{
    _exit(128 + number);
}

/* `agent idle`: a main process for containers that run nothing else. The kernel ignores SIGTERM for process 1 unless it
 * has a handler. */
static _Noreturn void idle(void)
{
    signal(SIGTERM, end);
    signal(SIGINT, end);
    for (;;)
        pause();
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "idle") == 0)
        idle();
    if (argc == 3 && strcmp(argv[1], "user") == 0)
        return user_print(argv[2]);
    prepare();
    last_heard = now_ms();
    for (;;) {
        tree_reap(reaped);
        if (sweeping)
            sweep();
        escalate();
        if (connected && lease_ms && !task_count && now_ms() - last_heard >= lease_ms)
            disconnect();
        if (!connected) {
            for (int i = task_count - 1; i >= 0; i--)
                if (!tasks[i].answered)
                    cancel_task(&tasks[i]);
            if (!task_count && !sweeping)
                return 0;
        }
        watch();
    }
}
