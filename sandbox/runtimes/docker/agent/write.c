/* Writing: the content goes into a new file without a name, which then replaces the old one by a rename.
 *
 * A reader sees the old or the new content, never a part of it, and a failure leaves the old file unchanged. Where the
 * file system or the user's rights forbid the replacement, but not writing to the file, the file is rewritten in place. */
#include "agent.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

/* Whether `temporary` names a file in `directory` that has to be removed. */
static volatile sig_atomic_t named;
static int directory;
static char temporary[64];

static void remove_temporary(void)
{
    if (!named)
        return;
    /* The file may belong to another user by now, and its directory be sticky. */
    user_lift(true);
    unlinkat(directory, temporary, 0);
    user_lift(false);
    named = false;
}

static void cancelled(int number)
{
    (void)number;
    remove_temporary();
    _exit(1);
}

static void choose_name(void)
{
    uint64_t random;
    if (getrandom(&random, sizeof random, 0) != sizeof random)
        random = (uint64_t)now_us() << 20 ^ (uint64_t)getpid();
    snprintf(temporary, sizeof temporary, ".sandbox-write-%016llx", (unsigned long long)random);
}

/* A new file in `directory`: without a name where the file system supports that. */
static int open_new(void)
{
    int fd = openat(directory, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0666);
    if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL && errno != ENOENT))
        return fd;
    choose_name();
    fd = openat(directory, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
    named = fd >= 0;
    return fd;
}

static int copy(int from, int to)
{
    static char buffer[64 << 10];
    for (off_t at = 0;;) {
        ssize_t got = pread(from, buffer, sizeof buffer, at);
        if (got <= 0)
            return got ? errno : 0;
        at += got;
        for (ssize_t done = 0; done < got;) {
            ssize_t size = write(to, buffer + done, (size_t)(got - done));
            if (size < 0 && errno != EINTR)
                return errno;
            done += size > 0 ? size : 0;
        }
    }
}

/* Checks the user's right to write to the old file, as any write needs it; a rename needs only the directory's. */
static int check_writable(int old)
{
    int fd = reopen(old, O_WRONLY);
    if (fd >= 0)
        close(fd);
    return fd >= 0 || errno == ETXTBSY ? 0 : errno;
}

static int link_as(int fd, const char *name)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return linkat(AT_FDCWD, path, directory, name, AT_SYMLINK_FOLLOW) ? errno : 0;
}

static int publish(int fd, const char *name, bool replaces)
{
    if (!named) {
        if (!replaces) {
            int error = link_as(fd, name);
            if (error != EEXIST)
                return error;
        }
        choose_name();
        named = true;
        int error = link_as(fd, temporary);
        if (error)
            return error;
    }
    if (renameat(directory, temporary, directory, name))
        return errno;
    named = false;
    return 0;
}

static int sync_directory(void)
{
    int fd = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return errno == EACCES ? 0 : errno; /* a directory that may be written but not read */
    int error = fsync(fd) ? errno : 0;
    close(fd);
    return error;
}

static int replace(const struct place *place, int content)
{
    bool exists = place->fd >= 0;
    directory = place->dir;
    int fd = open_new();
    int error = fd < 0 ? errno : copy(content, fd);
    if (!error && exists)
        error = metadata_copy(place->fd, &place->st, fd);
    if (!error && fsync(fd))
        error = errno;
    if (!error)
        error = publish(fd, place->name, exists);
    if (!error)
        error = sync_directory();
    if (fd >= 0)
        close(fd);
    remove_temporary();
    return error;
}

/* Errors of replace() about the directory, the mount or the old file's metadata: writing to the file may succeed. */
static bool is_forbidden(int error)
{
    return error == EACCES || error == EPERM || error == EROFS || error == EBUSY || error == ENOTSUP;
}

/* As a shell redirection writes: not atomic. */
static int rewrite(const struct place *place, int content)
{
    struct stat st;
    sigset_t terminate;
    int fd = reopen(place->fd, O_WRONLY);
    if (fd < 0)
        return errno;
    /* Once begun, it is completed: a cancelled request must not leave a part. */
    sigemptyset(&terminate);
    sigaddset(&terminate, SIGTERM);
    sigprocmask(SIG_BLOCK, &terminate, NULL);
    int error = fstat(content, &st) ? errno : 0;
    /* A full disk is found here, before the old content is touched. */
    if (!error && st.st_size && fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, st.st_size))
        error = errno == ENOSPC || errno == EDQUOT || errno == EFBIG ? errno : 0;
    if (error) {
        ftruncate(fd, place->st.st_size); /* releases what was allocated */
    } else if (!(error = copy(content, fd)) && (ftruncate(fd, st.st_size) || fsync(fd))) {
        error = errno;
    }
    close(fd);
    return error;
}

static int write_path(const char *path, int content)
{
    struct place place;
    int error = walk(path, true, &place);
    bool exists = !error && place.fd >= 0;
    if (!error && (!place.name[0] || (exists ? S_ISDIR(place.st.st_mode) : place.wants_directory)))
        error = EISDIR;
    else if (exists && !S_ISREG(place.st.st_mode))
        error = E_NOT_A_FILE;
    else if (exists)
        error = check_writable(place.fd);
    if (!error) {
        error = replace(&place, content);
        if (exists && is_forbidden(error))
            error = rewrite(&place, content);
    }
    if (error)
        walk_undo();
    return error;
}

_Noreturn void file_write(uint32_t id, const char *path, int content, int lifeline)
{
    struct reply done;
    signal(SIGTERM, cancelled);
    int error = write_path(path, content);
    if (error)
        answer_failure(id, lifeline, STAGE_FILE, error);
    reply_begin(&done, id, REPLY_DONE);
    answer_and_exit(&done, lifeline);
}
