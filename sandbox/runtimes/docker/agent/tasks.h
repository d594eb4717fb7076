/* The main process's table of pending requests and of the workers that serve them. */
#ifndef TASKS_H
#define TASKS_H

#include "agent.h"

enum { MAX_TASKS = 1024 };

struct task {
    uint32_t id;
    pid_t pid;         /* 0 while an upload is incomplete */
    int lifeline;      /* this process's end of the socket pair; -1 after it was closed */
    bool command;      /* the worker is a supervisor; if it dies, its descendants must be killed here */
    bool answered;     /* the supervisor has replied and only reaps what the command left running */
    int64_t cancelled; /* when the task was cancelled, in ms; 0 before */
    int64_t patience;  /* ms from the cancellation to SIGKILL */
    int content;       /* a memfd with the upload's bytes so far, or -1 */
    uint64_t size;     /* bytes of the whole upload */
    char *path;
};

extern struct task tasks[MAX_TASKS];
extern int task_count;
extern bool connected; /* the stream to the daemon is open */
extern bool sweeping;  /* orphans of a killed supervisor remain to be killed */
extern int null;       /* /dev/null */

/* The task with this id whose last reply is due. */
struct task *find_task(uint32_t id);
/* NULL when the table is full or the id is taken; the daemon then gets a refusal. */
struct task *add_task(uint32_t id);
void forget(struct task *t);
void close_end(int *fd);
/* Forks a worker: true in the worker, with its end of the lifeline in *lifeline. Forgets the task on failure. */
bool fork_worker(struct task *t, int *lifeline);
/* Closes a task's lifeline, which makes its worker end. */
void cancel_task(struct task *t);
/* Records what waitpid reported about a child. */
void reaped(pid_t pid, int status);
/* Kills cancelled workers that have not ended in time: a root user in the container can stop them. */
void escalate(void);
/* Kills processes that were reparented to this one because their supervisor was killed; one round per call. */
void sweep(void);

/* Replies of the main process, which must not block on a closed stream. */
void reply(struct reply *r);
void refuse(uint32_t id, enum stage stage, int error);
void disconnect(void);

#endif
