/* Pending requests and the workers that serve them.
 *
 * The main process holds one end of a socket pair for each worker: the lifeline. It hangs up when the task is cancelled
 * and when the main process dies, in whatever way; the worker then kills what it started. A supervisor that has replied
 * writes a byte to its lifeline; from then on the main process only waits for its exit. */
#include "tasks.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PATIENCE_MS = 5000 };

struct task tasks[MAX_TASKS];
int task_count;
bool connected = true, sweeping;
int null;

struct task *find_task(uint32_t id)
{
    for (int i = 0; i < task_count; i++)
        if (tasks[i].id == id && !tasks[i].answered)
            return &tasks[i];
    return NULL;
}

void close_end(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

void forget(struct task *t)
{
    close_end(&t->lifeline);
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

void disconnect(void)
{
    connected = false;
    for (int i = 0; i < 3; i++)
        dup2(null, i);
}

void reply(struct reply *r)
{
    if (connected && !reply_send(r, STDIN_FILENO))
        disconnect();
}

void refuse(uint32_t id, enum stage stage, int error)
{
    struct reply r;
    put_failure(&r, id, stage, error);
    reply(&r);
}

struct task *add_task(uint32_t id)
{
    if (task_count == MAX_TASKS || find_task(id)) {
        refuse(id, STAGE_PROCESS, EAGAIN);
        return NULL;
    }
    tasks[task_count] = (struct task){.id = id, .lifeline = -1, .content = -1, .patience = PATIENCE_MS};
    return &tasks[task_count++];
}

bool fork_worker(struct task *t, int *lifeline)
{
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends)) {
        refuse(t->id, STAGE_PROCESS, errno);
        forget(t);
        return false;
    }
    pid_t pid = fork();
    if (pid == 0) {
        /* A lifeline hangs up only when the main process holds its last descriptor: close the inherited ones. */
        for (int i = 0; i < task_count; i++)
            close_end(&tasks[i].lifeline);
        close(ends[1]);
        dup2(null, STDIN_FILENO);
        *lifeline = ends[0];
        return true;
    }
    close(ends[0]);
    t->lifeline = ends[1];
    t->pid = pid;
    close_end(&t->content);
    if (pid < 0) {
        refuse(t->id, STAGE_PROCESS, errno);
        forget(t);
    }
    return false;
}

void cancel_task(struct task *t)
{
    if (!t->pid) {
        refuse(t->id, STAGE_REQUEST, ECANCELED);
        forget(t);
        return;
    }
    if (t->cancelled)
        return;
    t->cancelled = now_ms();
    shutdown(t->lifeline, SHUT_WR); /* the byte of a supervisor that has replied can still arrive */
    if (!t->command)
        kill(t->pid, SIGTERM); /* if it dies without a reply, reaped() sends one */
}

void reaped(pid_t pid, int status)
{
    for (int i = 0; i < task_count; i++) {
        if (tasks[i].pid != pid)
            continue;
        /* Workers exit with 0 after their reply. Otherwise the worker was killed: by this process, by the kernel, or by
         * a root user in the container; the processes that it had started are reparented to this one. */
        if (!(WIFEXITED(status) && WEXITSTATUS(status) == 0)) {
            char word;
            sweeping = true;
            if (!tasks[i].answered && (tasks[i].lifeline < 0 || recv(tasks[i].lifeline, &word, 1, MSG_DONTWAIT) != 1))
                refuse(tasks[i].id, STAGE_PROCESS, tasks[i].cancelled && !tasks[i].command ? ECANCELED : E_WORKER_LOST);
        }
        forget(&tasks[i]);
        return;
    }
}

void sweep(void)
{
    sweeping = tree_signal(getpid(), is_worker, SIGKILL, NULL) > 0;
}

void escalate(void)
{
    for (int i = 0; i < task_count; i++) {
        if (tasks[i].cancelled && !tasks[i].answered && now_ms() - tasks[i].cancelled > tasks[i].patience)
            kill(tasks[i].pid, SIGKILL);
    }
}
