/* The agent: runs commands and accesses files inside one container, on requests of the daemon over one stream.
 *
 * One process reads requests from stdin and forks a worker for each request that may block. Workers write their replies
 * to the shared stdout in single writes of at most PIPE_BUF bytes, which a pipe does not interleave.
 * docs/exec-and-files.md describes the protocol and the guarantees; protocol.py is the daemon's side. */
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

enum { PROTOCOL_VERSION = 2 };

#define WORKSPACE "/workspace"

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

/* The stage at which a request failed. */
enum stage { STAGE_REQUEST, STAGE_PROCESS, STAGE_USER, STAGE_DIRECTORY, STAGE_PROGRAM, STAGE_FILE };

/* Failures without an errno; sent in the same field. */
enum own_error {
    E_OUTSIDE = 1000,      /* a symbolic link leads out of the workspace */
    E_NOT_A_FILE,          /* a fifo, socket or device */
    E_FILE_TOO_LARGE,      /* more bytes than the request allows */
    E_DIRECTORY_TOO_LARGE, /* more entries than the request allows */
    E_MALFORMED,           /* a request that does not parse */
    E_WORKER_LOST,         /* a worker died without a reply */
    E_USER_UNKNOWN,        /* the container's user or group is not in its /etc/passwd or /etc/group */
    E_NO_RIGHTS,           /* started as root, but without the capabilities to act as that user */
    E_NO_WORKSPACE,        /* /workspace is missing, not a directory, or a symbolic link */
};

/* wire.c: decoding a request's fields. A read past the end, or of a string with a NUL, sets `bad` for good. */
struct cursor {
    const uint8_t *at, *end;
    bool bad;
};
uint8_t take_u8(struct cursor *c);
uint32_t take_u32(struct cursor *c);
uint64_t take_u64(struct cursor *c);
/* A NUL-terminated string in the request's own buffer; "" on error. */
char *take_text(struct cursor *c);

/* wire.c: encoding a reply. */
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
/* One attempt: 1 sent, 0 the pipe is full, -1 the stream is closed. */
int reply_try(struct reply *r);
/* Waits while the pipe is full; false when the stream is closed or `lifeline` hangs up. */
bool reply_send(struct reply *r, int lifeline);
/* A worker's last reply and exit; SIGTERM is blocked between the two. */
_Noreturn void answer_and_exit(struct reply *r, int lifeline);
_Noreturn void answer_failure(uint32_t id, int lifeline, enum stage stage, int error);

/* user.c: the identity with which commands run and files are accessed. */
/* Looks up `spec`, the container's Config.User, as the engine does; `more` is a list of further groups (u32, texts). */
int user_resolve(const char *spec, struct cursor *more);
/* Resolves and takes that identity for file access. */
int user_adopt(const char *spec, bool set_home, struct cursor *more);
/* `agent user SPEC`: prints the user's id and group id, or the error's number; the exit status. */
int user_print(const char *spec);
/* Takes the user's identity irrevocably, in a process that is about to execute a command. */
int user_become(void);
bool user_is_root(void);
/* Switches root's rights on files on or off; a no-op when the agent has none. */
void user_lift(bool on);
/* NULL when the container's environment sets HOME. */
const char *user_home(void);

/* tree.c: processes below a process. */
struct process {
    pid_t pid, parent;
    char state;
    bool below;
};
/* Signals every descendant of `root` except the subtrees of children for which `spared` is true; the number alive. */
int tree_signal(pid_t root, bool (*spared)(pid_t), int number, bool *restless);
/* Kills and reaps all descendants of this process; the number alive at the deadline. */
int tree_kill(int64_t deadline_ms, void (*reaped)(pid_t, int));
/* Reaps without blocking; false when no child is left. */
bool tree_reap(void (*reaped)(pid_t, int));
int64_t now_us(void);
int64_t now_ms(void);

/* command.c: the program of REQUEST_EXEC. */
extern struct rlimit command_files; /* RLIMIT_NOFILE of commands */
struct start_failure {
    uint8_t stage;
    int error;
};
/* Executes the program with `output` as stdout and stderr. On failure writes a start_failure to `report`; on success
 * `report` closes. */
_Noreturn void become_command(struct cursor request, const int output[2], int report);

/* supervise.c: the worker of REQUEST_EXEC. */
uint32_t exec_kill_ms(struct cursor request);
_Noreturn void supervise(uint32_t id, struct cursor request, int lifeline);

/* walk.c: path resolution under /workspace. */
enum { MAX_DEPTH = 4096, MAX_LINKS = 40, MAX_PENDING = 64 << 10, MAX_MADE = 2048 };
struct place {
    int dir;                 /* the last segment's directory (O_PATH) */
    char name[NAME_MAX + 1]; /* the last segment; "" when the path ends in the directory `dir` itself */
    int fd;                  /* what the path names (O_PATH), -1 when it does not exist */
    struct stat st;          /* of fd */
    bool through_link;       /* the path's last segment was a symbolic link … */
    struct stat link;        /* … with this metadata */
    bool wants_directory;    /* the path ended in a slash */
};
/* Resolves a path inside the workspace; 0, an errno or an own_error. A missing last segment is no error (fd is -1).
 * With `make`, creates missing directories; walk_undo removes those. walk_end closes all descriptors. */
int walk(const char *path, bool make, struct place *place);
void walk_undo(void);
void walk_end(void);
/* Opens the inode of an O_PATH descriptor, regardless of its current name. */
int reopen(int fd, int flags);

/* metadata.c: gives the file `to` the owner, mode, ACLs and extended attributes of `from` (O_PATH, with metadata `old`). */
int metadata_copy(int from, const struct stat *old, int to);

/* files.c, write.c */
void file_stat(uint32_t id, struct cursor request, struct reply *answer);
_Noreturn void file_read(uint32_t id, struct cursor request, int lifeline);
_Noreturn void file_list(uint32_t id, struct cursor request, int lifeline);
_Noreturn void file_write(uint32_t id, const char *path, int content, int lifeline);

#endif
