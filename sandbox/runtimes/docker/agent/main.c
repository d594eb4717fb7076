/* The agent's main process: reads requests, forks workers, and never waits for one.
 *
 * It holds one end of a socket pair for each worker, the leash. A worker that sees its leash hang up, because the
 * daemon asked for it or because this process died, however it died, kills what it started. A supervisor that has
 * answered says so on its leash, and is then only waited for. */
#include "agent.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MAX_TASKS = 1024, PATIENCE_MS = 5000, SWEEP_MS = 10, CHECK_MS = 1000 };

struct task {
    uint32_t id;
    pid_t pid;       /* 0 while an upload is on its way */
    int leash;       /* -1 after it was let go */
    bool command;    /* a supervisor, whose processes are to be killed when it cannot do it itself */
    bool answered;
    int64_t slipped; /* when the leash was let go, in ms; 0 before */
    int64_t patience; /* ms that it may then take to end */
    int content;     /* an upload's bytes so far (a memfd), or -1 */
    uint64_t size;   /* … and how many there will be */
    char *path;
};

static struct task tasks[MAX_TASKS];
static int task_count;
static bool connected = true, greeted, sweeping;
static int64_t lease_ms, last_heard;
static int null;

static struct task *find_task(uint32_t id)
{
    for (int i = 0; i < task_count; i++)
        if (tasks[i].id == id && !tasks[i].answered)
            return &tasks[i];
    return NULL;
}

static void close_end(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static void forget(struct task *t)
{
    close_end(&t->leash);
    close_end(&t->content);
    free(t->path);
    *t = tasks[--task_count];
}

static bool is_worker(pid_t pid)
{
    for (int i = 0; i < task_count; i++)
        if (tasks[i].pid == pid)
            return true;
    return false;
}

static void disconnect(void)
{
    connected = false;
    for (int i = 0; i < 3; i++)
        dup2(null, i);
}

/* Replies of this process: it must not wait for a reader that has gone. */
static void reply(struct reply *r)
{
    if (connected && !reply_send(r, STDIN_FILENO))
        disconnect();
}

static void refuse(uint32_t id, enum stage stage, int error)
{
    struct reply r;
    put_failure(&r, id, stage, error);
    reply(&r);
}

static struct task *add_task(uint32_t id)
{
    if (task_count == MAX_TASKS || find_task(id)) {
        refuse(id, STAGE_PROCESS, EAGAIN);
        return NULL;
    }
    tasks[task_count] = (struct task){.id = id, .leash = -1, .content = -1, .patience = PATIENCE_MS};
    return &tasks[task_count++];
}

/* Forks a worker for a task: true in the worker, whose end of the leash is *leash. The task is gone when it fails. */
static bool fork_worker(struct task *t, int *leash)
{
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends)) {
        refuse(t->id, STAGE_PROCESS, errno);
        forget(t);
        return false;
    }
    pid_t pid = fork();
    if (pid == 0) {
        /* Other workers' leashes must hang up when the main process lets go: nobody else may hold them. */
        for (int i = 0; i < task_count; i++)
            close_end(&tasks[i].leash);
        close(ends[1]);
        dup2(null, STDIN_FILENO);
        *leash = ends[0];
        return true;
    }
    close(ends[0]);
    t->leash = ends[1];
    t->pid = pid;
    if (pid < 0) {
        refuse(t->id, STAGE_PROCESS, errno);
        forget(t);
    }
    return false;
}

static void hello(uint32_t id, struct cursor c)
{
    struct reply r;
    uint32_t groups[64];
    uint8_t version = take_u8(&c);
    lease_ms = (int64_t)take_u32(&c) * 1000;
    bool set_home = take_u8(&c);
    const char *spec = take_text(&c);
    uint16_t count = take_u16(&c);
    for (int i = 0; i < count && i < 64; i++)
        groups[i] = take_u32(&c);
    if (greeted || c.bad || count > 64 || version != PROTOCOL_VERSION) {
        refuse(id, STAGE_REQUEST, E_MALFORMED);
        return;
    }
    int error = user_adopt(spec, set_home, groups, count);
    if (error) {
        refuse(id, STAGE_USER, error);
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
    int leash;
    struct stat st;
    if (fstat(t->content, &st) || (uint64_t)st.st_size != t->size) {
        refuse(t->id, STAGE_REQUEST, E_MALFORMED);
        forget(t);
        return;
    }
    if (fork_worker(t, &leash))
        file_write(t->id, t->path, t->content, leash);
    else if (is_worker(t->pid))
        close_end(&t->content);
}

static void slip(struct task *t)
{
    if (!t->pid) {
        refuse(t->id, STAGE_REQUEST, ECANCELED);
        forget(t);
        return;
    }
    if (t->slipped)
        return;
    t->slipped = now_ms();
    shutdown(t->leash, SHUT_WR); /* its own word can still come */
    if (!t->command)
        kill(t->pid, SIGTERM); /* its answer, if none is on its way, comes when it is reaped */
}

static void dispatch(uint32_t id, uint8_t type, struct cursor c)
{
    struct task *t = find_task(id);
    struct reply r;
    int leash;
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
        /* For one that has answered meanwhile, or was refused, there is nothing to do. */
        if (t && type == REQUEST_KILL)
            slip(t);
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
        if (!fork_worker(t, &leash))
            return;
        if (type == REQUEST_EXEC)
            supervise(id, c, leash);
        else if (type == REQUEST_READ)
            file_read(id, c, leash);
        else
            file_list(id, c, leash);
    } else {
        refuse(id, STAGE_REQUEST, E_MALFORMED);
    }
}

/* Reads what there is of the current frame, and acts on it when it is whole. */
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
            disconnect(); /* there is no way to find the next frame */
            return;
        }
    }
    if (have < HEADER || have - HEADER < size)
        return;
    dispatch(id, header[HEADER - 1], (struct cursor){payload, payload + size, false});
    free(payload);
    have = 0;
}

static void reaped(pid_t pid, int status)
{
    for (int i = 0; i < task_count; i++) {
        if (tasks[i].pid != pid)
            continue;
        /* Workers exit with 0 after their answer. One that did not was killed: by us, by the kernel, or by a root user
         * inside; whatever it had started has become our child. */
        if (!(WIFEXITED(status) && WEXITSTATUS(status) == 0)) {
            char word;
            sweeping = true;
            if (!tasks[i].answered && (tasks[i].leash < 0 || recv(tasks[i].leash, &word, 1, MSG_DONTWAIT) != 1))
                refuse(tasks[i].id, STAGE_PROCESS, tasks[i].slipped && !tasks[i].command ? ECANCELED : E_WORKER_LOST);
        }
        forget(&tasks[i]);
        return;
    }
}

/* Kills processes that became our children because their supervisor was killed; a step at a time. */
static void sweep(void)
{
    sweeping = tree_signal(getpid(), is_worker, SIGKILL, NULL) > 0;
}

static void watch(void)
{
    static struct pollfd fds[1 + MAX_TASKS];
    sigset_t none;
    sigemptyset(&none);
    int64_t now = now_ms(), wait = -1;
    fds[0] = (struct pollfd){connected ? STDIN_FILENO : -1, POLLIN, 0};
    for (int i = 0; i < task_count; i++)
        fds[1 + i] = (struct pollfd){tasks[i].leash, POLLIN, 0};
    if (connected && lease_ms && !task_count)
        wait = last_heard + lease_ms > now ? last_heard + lease_ms - now : 0;
    for (int i = 0; i < task_count; i++)
        if (tasks[i].slipped && !tasks[i].answered)
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
            /* A word, or the end of one that will be reaped in a moment. */
            tasks[i].answered = read(tasks[i].leash, &word, 1) == 1;
            close_end(&tasks[i].leash);
        }
    }
    if (fds[0].revents)
        read_request();
}

/* Ends workers that do not end by themselves: a root user inside can stop them. */
static void escalate(void)
{
    for (int i = 0; i < task_count; i++) {
        if (tasks[i].slipped && !tasks[i].answered && now_ms() - tasks[i].slipped > tasks[i].patience)
            kill(tasks[i].pid, SIGKILL);
    }
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
    /* Paths may be a thousand directories deep; commands get the limit back. */
    if (!getrlimit(RLIMIT_NOFILE, &command_files))
        setrlimit(RLIMIT_NOFILE, &(struct rlimit){command_files.rlim_max, command_files.rlim_max});
    null = open("/dev/null", O_RDWR | O_CLOEXEC);
}

static void end(int number)
{
    _exit(128 + number);
}

/* `agent idle`: the main process of a container that has nothing else to run; any image has room for it. As process 1
 * it would be deaf to SIGTERM without a handler. */
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
                    slip(&tasks[i]);
            if (!task_count && !sweeping)
                return 0;
        }
        watch();
    }
}
