/* Path resolution under /workspace, one segment at a time.
 *
 * Each directory on the path is held open by a descriptor that was opened relative to its parent's without following a
 * link; symbolic links are read and followed here. So concurrent renames cannot lead the walk outside. ".." in a link's
 * text returns to the parent's descriptor, never to what the directory's ".." has become. openat2 would do this in the
 * kernel, but old kernels and gVisor lack it. */
#include "agent.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int stack[MAX_DEPTH];
static int depth;
static char pending[MAX_PENDING];

static struct {
    int parent;
    char name[NAME_MAX + 1];
} made[MAX_MADE];
static int made_count;

static int push(int fd)
{
    if (depth == MAX_DEPTH) {
        close(fd);
        return ENAMETOOLONG;
    }
    stack[depth++] = fd;
    return 0;
}

static void cut(int to)
{
    while (depth > to)
        close(stack[--depth]);
}

void walk_end(void)
{
    for (; made_count > 0; made_count--)
        close(made[made_count - 1].parent);
    cut(0);
}

void walk_undo(void)
{
    for (; made_count > 0; made_count--) {
        unlinkat(made[made_count - 1].parent, made[made_count - 1].name, AT_REMOVEDIR);
        close(made[made_count - 1].parent);
    }
}

/* Sets the remaining path to a link's text followed by `rest`. */
static int prepend(const char *text, const char *rest)
{
    size_t size = strlen(text), rest_size = strlen(rest);
    if (size + 1 + rest_size >= sizeof pending)
        return ENAMETOOLONG;
    memmove(pending + size + 1, rest, rest_size + 1);
    memcpy(pending, text, size);
    pending[size] = '/';
    if (!rest_size)
        pending[size] = 0;
    return 0;
}

/* Continues the walk at a link's target; 0, an errno or an own_error. */
static int follow_link(int link, const char *rest)
{
    char text[PATH_MAX];
    ssize_t size = readlinkat(link, "", text, sizeof text - 1);
    if (size < 0)
        return errno;
    text[size] = 0;
    if (text[0] != '/')
        return prepend(text, rest);
    char *inside = text + strspn(text, "/");
    size_t root = sizeof WORKSPACE - 2; /* without its slash */
    if (strncmp(inside, &WORKSPACE[1], root) || (inside[root] && inside[root] != '/'))
        return E_OUTSIDE;
    cut(1);
    inside += root;
    inside += strspn(inside, "/");
    return prepend(*inside ? inside : ".", rest);
}

static int make_directory(const char *name)
{
    int here = stack[depth - 1], parent;
    if (mkdirat(here, name, 0755))
        return errno == EEXIST ? 0 : errno;
    if (made_count < MAX_MADE && (parent = fcntl(here, F_DUPFD_CLOEXEC, 3)) >= 0) {
        made[made_count].parent = parent;
        snprintf(made[made_count++].name, sizeof made[0].name, "%s", name);
    }
    int fd = openat(here, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        fsync(fd);
        close(fd);
    }
    return 0;
}

/* The path ends in the current directory. */
static int end_here(struct place *place)
{
    place->dir = place->fd = stack[depth - 1];
    place->name[0] = 0;
    return fstat(place->fd, &place->st) ? errno : 0;
}

static int end_at(const char *name, int fd, const struct stat *st, struct place *place)
{
    place->dir = stack[depth - 1];
    place->fd = -1;
    strcpy(place->name, name);
    if (fd < 0)
        return 0;
    place->st = *st;
    place->fd = fd;
    int error = push(fd); /* for walk_end to close */
    return error ? error : place->wants_directory && !S_ISDIR(st->st_mode) ? ENOTDIR : 0;
}

int walk(const char *path, bool make, struct place *place)
{
    int links = 0, error;
    memset(place, 0, sizeof *place);
    place->fd = -1;
    if (strlen(path) >= sizeof pending)
        return ENAMETOOLONG;
    strcpy(pending, path);
    int root = open(WORKSPACE, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (root < 0)
        return errno == ENOENT || errno == ENOTDIR || errno == ELOOP ? E_NO_WORKSPACE : errno;
    if ((error = push(root)))
        return error;
    for (char *at = pending;;) {
        char name[NAME_MAX + 1];
        struct stat st;
        at += strspn(at, "/");
        size_t size = strcspn(at, "/");
        if (!size)
            return end_here(place);
        if (size > NAME_MAX)
            return ENAMETOOLONG;
        memcpy(name, at, size);
        name[size] = 0;
        at += size;
        bool last = !at[strspn(at, "/")];
        if (!strcmp(name, "."))
            continue;
        if (!strcmp(name, "..")) {
            if (depth == 1)
                return E_OUTSIDE;
            cut(depth - 1);
            continue;
        }
        if (last && *at == '/')
            place->wants_directory = true;
        int fd = openat(stack[depth - 1], name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0 && errno == ENOENT && last)
            return end_at(name, -1, NULL, place);
        if (fd < 0 && errno == ENOENT && make) {
            if ((error = make_directory(name)))
                return error;
            fd = openat(stack[depth - 1], name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
        }
        if (fd < 0)
            return errno;
        if (fstat(fd, &st)) {
            error = errno;
            close(fd);
            return error;
        }
        if (S_ISLNK(st.st_mode)) {
            if (last && !place->through_link) {
                place->through_link = true;
                place->link = st;
            }
            error = ++links > MAX_LINKS ? ELOOP : follow_link(fd, at);
            close(fd);
            if (error)
                return error;
            at = pending;
        } else if (last) {
            return end_at(name, fd, &st, place);
        } else if (!S_ISDIR(st.st_mode)) {
            close(fd);
            return ENOTDIR;
        } else if ((error = push(fd))) {
            return error;
        }
    }
}

int reopen(int fd, int flags)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return open(path, flags | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}
