/* The main process's books: the requests that are not over yet, and the workers that carry them out. */
#ifndef TASKS_H
#define TASKS_H

#include "agent.h"

enum { MAX_TASKS = 1024 };

struct task {
    uint32_t id;
    pid_t pid;        /* 0 while an upload is on its way */
    int leash;        /* our end of the socket pair; -1 after it was let go */
    bool command;     /* a supervisor, whose processes are to be killed when it cannot do it itself */
    bool answered;    /* … that lives on for what the command left running */
    int64_t slipped;  /* when the leash was let go, in ms; 0 before */
    int64_t patience; /* ms that it may then take to end */
    int content;      /* an upload's bytes so far (a memfd), or -1 */
    uint64_t size;    /* … and how many there will be */
    char *path;
};

extern struct task tasks[MAX_TASKS];
extern int task_count;
extern bool connected; /* to the daemon */
extern bool sweeping;  /* orphans of a killed supervisor are to be killed */
extern int null;       /* /dev/null */

/* The task with this id that still owes an answer. */
struct task *find_task(uint32_t id);
/* NULL, and a refusal to the daemon, when there is no room. */
struct task *add_task(uint32_t id);
void forget(struct task *t);
void close_end(int *fd);
/* Forks a worker for a task: true in the worker, whose end of the leash is *leash. The task is gone when it fails. */
bool fork_worker(struct task *t, int *leash);
/* Lets a task's leash go: its worker is to end what it does. */
void slip(struct task *t);
/* What waitpid says of a child. */
void reaped(pid_t pid, int status);
/* Ends workers that were let go and do not end by themselves: a root user inside can stop them. */
void escalate(void);
/* Kills processes that became our children because their supervisor was killed; a step at a time. */
void sweep(void);

/* Replies of this process, which must not wait for a reader that has gone. */
void reply(struct reply *r);
void refuse(uint32_t id, enum stage stage, int error);
void disconnect(void);

#endif
