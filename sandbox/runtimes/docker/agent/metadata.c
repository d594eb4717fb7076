/* What a replaced file keeps: owner, mode, ACLs (which are extended attributes) and other extended attributes. */
#include "agent.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

enum { XATTR_MAX = 64 << 10 }; /* the kernel's limit for a list of names and for a value */

/* A plain write removes a file's capabilities, too; integrity values belong to the content. */
static bool belongs_to_content(const char *name)
{
    return !strcmp(name, "security.capability") || !strcmp(name, "security.ima") || !strcmp(name, "security.evm");
}

static int no_attributes(ssize_t size) { return size >= 0 || errno == ENOTSUP || errno == ENOSYS ? 0 : errno; }

static int copy_attributes(const char *from, int to)
{
    static char names[XATTR_MAX], value[XATTR_MAX], present[XATTR_MAX];
    ssize_t size = listxattr(from, names, sizeof names);
    int error = no_attributes(size);
    for (const char *name = names; !error && size > 0 && name < names + size; name += strlen(name) + 1) {
        ssize_t wanted = belongs_to_content(name) ? -1 : getxattr(from, name, value, sizeof value);
        if (wanted < 0) {
            error = belongs_to_content(name) || errno == ENODATA ? 0 : errno;
            continue;
        }
        ssize_t found = fgetxattr(to, name, present, sizeof present);
        if ((found != wanted || memcmp(value, present, (size_t)wanted)) && fsetxattr(to, name, value, (size_t)wanted, 0))
            error = errno;
    }
    return error;
}

/* Removes what the new file inherited from its directory, such as a default ACL, and the old one does not have. */
static int remove_others(const char *from, int to)
{
    static char names[XATTR_MAX];
    ssize_t size = flistxattr(to, names, sizeof names);
    int error = no_attributes(size);
    for (const char *name = names; !error && size > 0 && name < names + size; name += strlen(name) + 1)
        if (strncmp(name, "security.", 9) && getxattr(from, name, NULL, 0) < 0 && errno == ENODATA)
            error = fremovexattr(to, name) ? errno : 0;
    return error;
}

int metadata_copy(int from, const struct stat *old, int to)
{
    struct stat st;
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", from);
    if (fstat(to, &st))
        return errno;
    user_lift(true); /* giving a file to its former owner, and then changing it, is root's right */
    int error = 0;
    if (st.st_uid != old->st_uid || st.st_gid != old->st_gid)
        error = fchown(to, old->st_uid, old->st_gid) ? errno : 0;
    if (!error)
        error = copy_attributes(path, to);
    if (!error)
        error = remove_others(path, to);
    /* A write by any user but root removes the set-id bits; so does a replacement. */
    if (!error && fchmod(to, old->st_mode & (user_is_root() ? 07777 : 01777)))
        error = errno;
    user_lift(false);
    return error;
}
