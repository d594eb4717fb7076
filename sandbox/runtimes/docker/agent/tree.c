/* The descendants of a process, found in /proc.
 *
 * The worker of a command is a child subreaper: orphans and processes in sessions of their own remain its descendants.
 * So ECHILD from waitpid proves that all have ended; the scan only finds which processes to signal. */
#include "agent.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

int64_t now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

int64_t now_ms(void) { return now_us() / 1000; }

static bool read_process(const char *pid, struct process *p)
{
    char path[64], text[512];
    snprintf(path, sizeof path, "/proc/%.20s/stat", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t size = read(fd, text, sizeof text - 1);
    close(fd);
    text[size > 0 ? size : 0] = 0;
    char *after_name = strrchr(text, ')'); /* the name may contain any byte, ')' included */
    int parent;
    if (!after_name || sscanf(after_name + 1, " %c %d", &p->state, &parent) != 2)
        return false;
    *p = (struct process){.pid = atoi(pid), .parent = parent, .state = p->state};
    return true;
}

/* All processes; NULL (and *count 0) without memory or /proc. */
static struct process *scan(size_t *count)
{
    struct process *all = NULL;
    size_t room = 0;
    *count = 0;
    DIR *proc = opendir("/proc");
    for (struct dirent *entry; proc && (entry = readdir(proc));) {
        if (entry->d_name[0] < '1' || entry->d_name[0] > '9')
            continue;
        if (*count == room) {
            struct process *more = realloc(all, (room = room * 2 + 256) * sizeof *all);
            if (!more)
                break;
            all = more;
        }
        if (read_process(entry->d_name, &all[*count]))
            ++*count;
    }
    if (proc)
        closedir(proc);
    return all;
}

static int by_pid(const void *a, const void *b)
{
    pid_t x = ((const struct process *)a)->pid, y = ((const struct process *)b)->pid;
    return (x > y) - (x < y);
}

static void mark(struct process *all, size_t count, pid_t root, bool (*spared)(pid_t))
{
    qsort(all, count, sizeof *all, by_pid);
    /* Parents mostly have smaller pids than their children, so one or two rounds suffice. */
    for (bool changed = true; changed;) {
        changed = false;
        for (size_t i = 0; i < count; i++) {
            struct process *p = &all[i], sought = {.pid = p->parent}, *parent;
            if (p->below)
                continue;
            if (p->parent == root)
                p->below = !(spared && spared(p->pid));
            else if ((parent = bsearch(&sought, all, count, sizeof *all, by_pid)))
                p->below = parent->below;
            changed |= p->below;
        }
    }
}

int tree_signal(pid_t root, bool (*spared)(pid_t), int number, bool *restless)
{
    size_t count;
    struct process *all = scan(&count);
    int alive = 0;
    if (count)
        mark(all, count, root, spared);
    for (size_t i = 0; i < count; i++) {
        if (!all[i].below || all[i].state == 'Z' || all[i].state == 'X')
            continue;
        alive++;
        if (restless && all[i].state != 'T' && all[i].state != 't')
            *restless = true;
        if (number)
            kill(all[i].pid, number);
    }
    free(all);
    return alive;
}

bool tree_reap(void (*reaped)(pid_t, int))
{
    for (;;) {
        int status;
        /* __WALL: include children that were cloned with another exit signal than SIGCHLD. */
        pid_t pid = waitpid(-1, &status, WNOHANG | __WALL);
        if (pid < 0 && errno == EINTR)
            continue;
        if (pid <= 0)
            return pid == 0;
        if (reaped)
            reaped(pid, status);
    }
}

int tree_kill(int64_t deadline_ms, void (*reaped)(pid_t, int))
{
    const struct timespec pause = {0, 2000000};
    pid_t self = getpid();
    /* Stop all processes before killing any: a fork bomb at its process limit could replace each killed process, but
     * a stopped process keeps its slot. */
    for (int round = 0; round < 50; round++) {
        bool restless = false;
        tree_signal(self, NULL, SIGSTOP, &restless);
        if (!restless)
            break;
    }
    for (;;) {
        int alive = tree_signal(self, NULL, SIGKILL, NULL);
        if (!tree_reap(reaped))
            return 0;
        if (now_ms() >= deadline_ms)
            return alive ? alive : 1;
        nanosleep(&pause, NULL);
    }
}
