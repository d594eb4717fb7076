/* Writing: the new bytes go into a file that has no name yet, which takes the old one's place in one step.
 *
 * A reader sees the old or the new bytes, never a part; whatever fails before that step leaves the old file as it was. */
#include "agent.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

/* A name in use for the moment, for the signal that ends this worker to take away again. */
static volatile sig_atomic_t named;
static int directory;
static char temporary[64];

static void forsake(int number)
{
    (void)number;
    if (named)
        unlinkat(directory, temporary, 0);
    _exit(1);
}

static void choose_name(void)
{
    uint64_t random;
    if (getrandom(&random, sizeof random, 0) != sizeof random)
        random = (uint64_t)now_us() << 20 ^ (uint64_t)getpid();
    snprintf(temporary, sizeof temporary, ".sandbox-write-%016llx", (unsigned long long)random);
}

/* A new file in `directory`: without a name where the file system can do that. */
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

/* May this user write the old file, as an ordinary write would need to? Replacing it needs only the directory. */
static int check_writable(int old)
{
    int fd = reopen(old, O_WRONLY);
    if (fd >= 0)
        close(fd);
    return fd >= 0 || errno == ETXTBSY ? 0 : errno;
}

static int inherit(int fd, const struct stat *old)
{
    struct stat st;
    if (fstat(fd, &st))
        return errno;
    int error = 0;
    if (st.st_uid != old->st_uid || st.st_gid != old->st_gid) {
        user_lift(true); /* giving a file to its old owner is root's right */
        error = fchown(fd, old->st_uid, old->st_gid) ? errno : 0;
    }
    /* A write by anybody but root takes the set-id bits away; so do we. */
    mode_t mode = old->st_mode & (user_is_root() ? 07777 : 01777);
    if (!error && fchmod(fd, mode))
        error = errno;
    user_lift(false);
    return error;
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
        return errno == EACCES ? 0 : errno; /* one that may be written but not read */
    int error = fsync(fd) ? errno : 0;
    close(fd);
    return error;
}

static int replace(const char *path, int content)
{
    struct place place;
    int error = walk(path, true, &place), fd = -1;
    bool exists = !error && place.fd >= 0;
    if (!error && (!place.name[0] || (exists ? S_ISDIR(place.st.st_mode) : place.wants_directory)))
        error = EISDIR;
    else if (exists && !S_ISREG(place.st.st_mode))
        error = E_NOT_A_FILE;
    else if (exists)
        error = check_writable(place.fd);
    directory = place.dir;
    if (!error && (fd = open_new()) < 0)
        error = errno;
    if (!error)
        error = copy(content, fd);
    if (!error && exists)
        error = inherit(fd, &place.st);
    if (!error && fsync(fd))
        error = errno;
    if (!error)
        error = publish(fd, place.name, exists);
    if (!error)
        error = sync_directory();
    if (error && named)
        unlinkat(directory, temporary, 0);
    if (error)
        walk_undo();
    return error;
}

_Noreturn void file_write(uint32_t id, const char *path, int content, int leash)
{
    struct reply done;
    signal(SIGTERM, forsake);
    int error = replace(path, content);
    if (error)
        answer_failure(id, leash, STAGE_FILE, error);
    reply_begin(&done, id, REPLY_DONE);
    answer_and_exit(&done, leash);
}
