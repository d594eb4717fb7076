/* The agent: runs commands and touches files inside one container, told by the daemon over one stream.
 *
 * One process reads requests from stdin and forks a worker for each that may block; workers write their answers to the
 * shared stdout in single writes of at most PIPE_BUF bytes, which a pipe keeps whole. docs/exec-and-files.md describes
 * the protocol and the guarantees; protocol.py is its other end. */
#ifndef AGENT_H
#define AGENT_H

#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/types.h>

enum { PROTOCOL_VERSION = 1 };

/* Frames: u32 payload length, u32 request id, u8 type, payload; all numbers big-endian. */
enum { HEADER = 9, MAX_REQUEST = 4 << 20, MAX_REPLY = PIPE_BUF - HEADER };

enum request_type {
    REQUEST_HELLO = 'H',
    REQUEST_EXEC = 'X',
    REQUEST_KILL = 'K',
    REQUEST_STAT = 'S',
    REQUEST_READ = 'R',
    REQUEST_LIST = 'L',
    REQUEST_WRITE = 'W',
    REQUEST_DATA = 'D',
    REQUEST_COMMIT = 'C',
};

enum reply_type {
    REPLY_HELLO = 'h',
    REPLY_STDOUT = 'o',
    REPLY_STDERR = 'e',
    REPLY_EXIT = 'x',
    REPLY_STAT = 's',
    REPLY_ENTRIES = 'n',
    REPLY_DATA = 'd',
    REPLY_DONE = 'z',
    REPLY_FAILURE = 'f',
};

enum exit_flag { EXIT_TIMED_OUT = 1, EXIT_KILLED = 2, EXIT_OOM = 4, EXIT_TRUNCATED = 8 };

/* Where a request failed. */
enum stage { STAGE_REQUEST, STAGE_PROCESS, STAGE_USER, STAGE_DIRECTORY, STAGE_PROGRAM, STAGE_FILE };

/* Failures that errno has no number for; they travel in the same field. */
enum own_error {
    E_OUTSIDE = 1000,      /* a link leads out of the workspace */
    E_NOT_A_FILE,          /* a fifo, socket or device */
    E_FILE_TOO_LARGE,      /* more bytes than the request allows */
    E_DIRECTORY_TOO_LARGE, /* more entries than the request allows */
    E_MALFORMED,           /* a request that does not parse */
    E_WORKER_LOST,         /* a worker died without an answer */
    E_USER_UNKNOWN,        /* the container's user is not in its /etc/passwd or /etc/group */
    E_NO_RIGHTS,           /* started as root, but without the capabilities to act as that user */
    E_NO_WORKSPACE,        /* /workspace is missing or not a directory */
};

/* wire.c: reading fields out of a request. After a read past the end, or of a string with a NUL, `bad` stays set. */
struct cursor {
    const uint8_t *at, *end;
    bool bad;
};
uint8_t take_u8(struct cursor *c);
uint16_t take_u16(struct cursor *c);
uint32_t take_u32(struct cursor *c);
uint64_t take_u64(struct cursor *c);
/* A NUL-terminated string inside the request's own buffer; "" when bad. */
char *take_text(struct cursor *c);

/* wire.c: building a reply. */
struct reply {
    uint8_t bytes[PIPE_BUF];
    size_t size;
};
void reply_begin(struct reply *r, uint32_t id, enum reply_type type);
void put_u8(struct reply *r, uint8_t value);
void put_u16(struct reply *r, uint16_t value);
void put_u32(struct reply *r, uint32_t value);
void put_u64(struct reply *r, uint64_t value);
void put_bytes(struct reply *r, const void *data, size_t size);
size_t reply_room(const struct reply *r);
void put_stat(struct reply *r, const struct stat *st);
void put_failure(struct reply *r, uint32_t id, enum stage stage, int error);
/* One attempt: 1 sent, 0 no room now, -1 the link is gone. */
int reply_try(struct reply *r);
/* Waits for room; gives up, false, when the link is gone or `leash` hangs up. */
bool reply_send(struct reply *r, int leash);
/* The last reply of a worker that has nothing more to do; no signal comes between it and a clean end. */
_Noreturn void answer_and_exit(struct reply *r, int leash);
_Noreturn void answer_failure(uint32_t id, int leash, enum stage stage, int error);

/* user.c: as whom commands run and files are touched. */
int user_adopt(const char *spec, bool set_home, const uint32_t *more_groups, size_t more);
/* For good, in a process that will become a command. */
int user_become(void);
bool user_is_root(void);
/* Root's rights on files for a moment (fchown); a no-op when the agent has none. */
void user_lift(bool on);
/* NULL when the variable HOME is to stay as it is. */
const char *user_home(void);

/* tree.c: processes below a process. */
struct process {
    pid_t pid, parent;
    char state;
    bool below;
};
/* Signals everything below `root` but the subtrees of its children that `spared` names; the number still alive. */
int tree_signal(pid_t root, bool (*spared)(pid_t), int number, bool *restless);
/* Kills everything below this process and reaps it; the number still alive at the deadline. */
int tree_kill(int64_t deadline_ms, void (*reaped)(pid_t, int));
/* Reaps without waiting; false when there are no children left at all. */
bool tree_reap(void (*reaped)(pid_t, int));
int64_t now_us(void);
int64_t now_ms(void);

/* command.c: the program of REQUEST_EXEC. */
extern struct rlimit command_files; /* the limit of open files that commands get */
struct start_failure {
    uint8_t stage;
    int error;
};
/* Runs the program with these for stdout and stderr; when it cannot, writes why to `report`, which else just closes. */
_Noreturn void become_command(struct cursor request, const int output[2], int report);

/* supervise.c: the worker of REQUEST_EXEC. */
uint32_t exec_kill_ms(struct cursor request);
_Noreturn void supervise(uint32_t id, struct cursor request, int leash);

/* walk.c: where a path under /workspace leads. */
enum { MAX_DEPTH = 4096, MAX_LINKS = 40, MAX_PENDING = 64 << 10, MAX_MADE = 2048 };
struct place {
    int dir;                 /* the last segment's directory (O_PATH) */
    char name[NAME_MAX + 1]; /* the last segment; "" when the path ends in the directory `dir` itself */
    int fd;                  /* the thing itself (O_PATH), -1 when it does not exist */
    struct stat st;          /* of fd */
    bool through_link;       /* the path's last segment was a link … */
    struct stat link;        /* … this one */
    bool wants_directory;    /* the path ended in a slash */
};
/* Resolves inside the workspace; 0, an errno or an own_error. A missing last segment is no error (fd is -1). With
 * `make`, missing directories on the way are made; walk_undo removes them again. walk_end closes everything. */
int walk(const char *path, bool make, struct place *place);
void walk_undo(void);
void walk_end(void);
/* Opens anew what an O_PATH descriptor stands for: exactly that inode, whatever its name is now. */
int reopen(int fd, int flags);

/* files.c, write.c */
void file_stat(uint32_t id, struct cursor request, struct reply *answer);
_Noreturn void file_read(uint32_t id, struct cursor request, int leash);
_Noreturn void file_list(uint32_t id, struct cursor request, int leash);
_Noreturn void file_write(uint32_t id, const char *path, int content, int leash);

#endif
