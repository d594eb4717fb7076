/* Reading: stat, file content, listings. Opens regular files and directories only. */
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
    /* A link without a target (dangling, a loop, a name that cannot exist) is described itself, as in a listing, unless
     * the path asks for a directory. ENOENT without one tells the daemon that nothing is there. */
    bool missing = error == ENOENT || error == ENOTDIR || (!error && place.fd < 0);
    bool endless = error == ELOOP || error == ENAMETOOLONG;
    bool is_link = (missing || endless) && place.through_link && path[strlen(path) - 1] != '/';
    if (is_link || (!error && !missing)) {
        reply_begin(answer, id, REPLY_STAT);
        put_stat(answer, is_link ? &place.link : &place.st);
    } else {
        put_failure(answer, id, STAGE_FILE, missing ? ENOENT : error);
    }
    walk_end();
}

static _Noreturn void finish(uint32_t id, int lifeline)
{
    struct reply done;
    reply_begin(&done, id, REPLY_DONE);
    answer_and_exit(&done, lifeline);
}

_Noreturn void file_read(uint32_t id, struct cursor request, int lifeline)
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
        answer_failure(id, lifeline, STAGE_FILE, error);
    reply_begin(&r, id, REPLY_STAT);
    put_stat(&r, &place.st);
    if (!reply_send(&r, lifeline))
        _exit(0);
    for (;;) {
        reply_begin(&r, id, REPLY_DATA);
        ssize_t size = read(fd, r.bytes + r.size, reply_room(&r));
        if (size < 0 && errno == EINTR)
            continue;
        if (size < 0)
            answer_failure(id, lifeline, STAGE_FILE, errno);
        if (size == 0)
            break;
        /* st_size is a hint only: the file may grow, or be endless as some of /proc are. */
        if ((total += (uint64_t)size) > limit)
            answer_failure(id, lifeline, STAGE_FILE, E_FILE_TOO_LARGE);
        r.size += (size_t)size;
        if (!reply_send(&r, lifeline))
            _exit(0);
    }
    finish(id, lifeline);
}

_Noreturn void file_list(uint32_t id, struct cursor request, int lifeline)
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
        answer_failure(id, lifeline, STAGE_FILE, error);
    reply_begin(&r, id, REPLY_ENTRIES);
    for (;;) {
        struct stat st;
        errno = 0;
        struct dirent *entry = readdir(directory);
        if (!entry && errno)
            answer_failure(id, lifeline, STAGE_FILE, errno);
        if (!entry)
            break;
        const char *name = entry->d_name;
        if (!strcmp(name, ".") || !strcmp(name, ".."))
            continue;
        if (fstatat(dirfd(directory), name, &st, AT_SYMLINK_NOFOLLOW)) {
            if (errno == ENOENT)
                continue; /* removed since readdir */
            answer_failure(id, lifeline, STAGE_FILE, errno);
        }
        if (++count > limit)
            answer_failure(id, lifeline, STAGE_FILE, E_DIRECTORY_TOO_LARGE);
        size_t size = strlen(name);
        if (reply_room(&r) < size + 23) {
            if (!reply_send(&r, lifeline))
                _exit(0);
            reply_begin(&r, id, REPLY_ENTRIES);
        }
        put_stat(&r, &st);
        put_u16(&r, (uint16_t)size);
        put_bytes(&r, name, size);
    }
    if (!reply_send(&r, lifeline))
        _exit(0);
    finish(id, lifeline);
}
