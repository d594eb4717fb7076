/* Reading: stat, content, listings. Only regular files are ever opened. */
#include "agent.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

void file_stat(uint32_t id, struct cursor request, struct reply *answer)
{
    struct place place;
    const char *path = take_text(&request);
    int error = request.bad ? E_MALFORMED : walk(path, false, &place);
    /* Nothing there is an answer too; a link to nothing is itself, unless the path asked for a directory. */
    bool missing = error == ENOENT || error == ENOTDIR || (!error && place.fd < 0);
    if (error && !missing) {
        put_failure(answer, id, STAGE_FILE, error);
    } else if (missing && (!place.through_link || path[strlen(path) - 1] == '/')) {
        put_failure(answer, id, STAGE_FILE, ENOENT);
    } else {
        reply_begin(answer, id, REPLY_STAT);
        put_stat(answer, missing ? &place.link : &place.st);
    }
    walk_end();
}

static _Noreturn void finish(uint32_t id, int leash)
{
    struct reply done;
    reply_begin(&done, id, REPLY_DONE);
    answer_and_exit(&done, leash);
}

_Noreturn void file_read(uint32_t id, struct cursor request, int leash)
{
    struct place place;
    struct reply r;
    uint64_t limit = take_u64(&request), total = 0;
    const char *path = take_text(&request);
    int error = request.bad ? E_MALFORMED : walk(path, false, &place);
    if (!error && place.fd < 0)
        error = ENOENT;
    else if (!error && !S_ISREG(place.st.st_mode))
        error = S_ISDIR(place.st.st_mode) ? EISDIR : E_NOT_A_FILE;
    else if (!error && place.st.st_size > 0 && (uint64_t)place.st.st_size > limit)
        error = E_FILE_TOO_LARGE;
    int fd = error ? -1 : reopen(place.fd, O_RDONLY);
    if (!error && fd < 0)
        error = errno;
    if (error)
        answer_failure(id, leash, STAGE_FILE, error);
    reply_begin(&r, id, REPLY_STAT);
    put_stat(&r, &place.st);
    if (!reply_send(&r, leash))
        _exit(0);
    for (;;) {
        reply_begin(&r, id, REPLY_DATA);
        ssize_t size = read(fd, r.bytes + r.size, reply_room(&r));
        if (size < 0 && errno == EINTR)
            continue;
        if (size < 0)
            answer_failure(id, leash, STAGE_FILE, errno);
        if (size == 0)
            break;
        /* What its size said is no promise: it may be growing, or endless like a file of /proc. */
        if ((total += (uint64_t)size) > limit)
            answer_failure(id, leash, STAGE_FILE, E_FILE_TOO_LARGE);
        r.size += (size_t)size;
        if (!reply_send(&r, leash))
            _exit(0);
    }
    finish(id, leash);
}

_Noreturn void file_list(uint32_t id, struct cursor request, int leash)
{
    struct place place;
    struct reply r;
    uint32_t limit = take_u32(&request), count = 0;
    const char *path = take_text(&request);
    int error = request.bad ? E_MALFORMED : walk(path, false, &place);
    if (!error && place.fd < 0)
        error = ENOENT;
    else if (!error && !S_ISDIR(place.st.st_mode))
        error = ENOTDIR;
    int fd = error ? -1 : openat(place.fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *directory = fd < 0 ? NULL : fdopendir(fd);
    if (!error && !directory)
        error = errno;
    if (error)
        answer_failure(id, leash, STAGE_FILE, error);
    reply_begin(&r, id, REPLY_ENTRIES);
    for (;;) {
        struct stat st;
        errno = 0;
        struct dirent *entry = readdir(directory);
        if (!entry && errno)
            answer_failure(id, leash, STAGE_FILE, errno);
        if (!entry)
            break;
        const char *name = entry->d_name;
        if (!strcmp(name, ".") || !strcmp(name, ".."))
            continue;
        if (fstatat(dirfd(directory), name, &st, AT_SYMLINK_NOFOLLOW)) {
            if (errno == ENOENT)
                continue; /* it went away meanwhile */
            answer_failure(id, leash, STAGE_FILE, errno);
        }
        if (++count > limit)
            answer_failure(id, leash, STAGE_FILE, E_DIRECTORY_TOO_LARGE);
        size_t size = strlen(name);
        if (reply_room(&r) < size + 23) {
            if (!reply_send(&r, leash))
                _exit(0);
            reply_begin(&r, id, REPLY_ENTRIES);
        }
        put_stat(&r, &st);
        put_u16(&r, (uint16_t)size);
        put_bytes(&r, name, size);
    }
    if (!reply_send(&r, leash))
        _exit(0);
    finish(id, leash);
}
