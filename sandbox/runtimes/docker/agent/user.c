/* As whom commands run and files are touched: the container's configured user, as the engine itself would resolve it.
 *
 * Started as root, the agent keeps root's user id, so that the commands' user can neither kill nor trace it, and takes
 * that user's identity for the file system alone: the kernel then checks the user's rights on every path. */
#include "agent.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { MAX_GROUPS = 256 };

static struct {
    uid_t uid;
    gid_t gid;
    gid_t groups[MAX_GROUPS];
    size_t group_count;
    char home[PATH_MAX];
    bool set_home, drop;
} user;

static FILE *open_database(const char *path)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd >= 0 && (fstat(fd, &st) || !S_ISREG(st.st_mode))) {
        close(fd);
        fd = -1;
    }
    return fd < 0 ? NULL : fdopen(fd, "r");
}

static bool is_number(const char *text, uint32_t *number)
{
    char *end;
    errno = 0;
    unsigned long value = strtoul(text, &end, 10);
    *number = (uint32_t)value;
    return *text >= '0' && *text <= '9' && !*end && !errno && value < UINT32_MAX;
}

static int find_user(const char *name, char *login, size_t room)
{
    FILE *file = open_database("/etc/passwd");
    uint32_t number = 0;
    bool numeric = is_number(name, &number), found = false;
    for (struct passwd *entry; file && !found && (entry = fgetpwent(file));) {
        found = !strcmp(entry->pw_name, name) || (numeric && entry->pw_uid == number);
        if (!found)
            continue;
        user.uid = entry->pw_uid;
        user.gid = entry->pw_gid;
        snprintf(user.home, sizeof user.home, "%s", entry->pw_dir);
        snprintf(login, room, "%s", entry->pw_name);
    }
    if (file)
        fclose(file);
    if (!found && numeric)
        user.uid = number;
    return found || numeric ? 0 : E_USER_UNKNOWN;
}

static void add_group(gid_t gid)
{
    if (user.group_count < MAX_GROUPS)
        user.groups[user.group_count++] = gid;
}

/* With `name`, that group becomes the primary one; without, those that list `login` are added. */
static int find_groups(const char *name, const char *login)
{
    FILE *file = open_database("/etc/group");
    uint32_t number = 0;
    bool numeric = name && is_number(name, &number), found = false;
    for (struct group *entry; file && (entry = fgetgrent(file));) {
        if (name && !found && !strcmp(entry->gr_name, name)) {
            found = true;
            user.gid = entry->gr_gid;
        }
        for (char **member = entry->gr_mem; !name && *login && *member; member++)
            if (!strcmp(*member, login))
                add_group(entry->gr_gid);
    }
    if (file)
        fclose(file);
    if (!found && numeric)
        user.gid = number;
    return !name || found || numeric ? 0 : E_USER_UNKNOWN;
}

static bool has_capability(int number)
{
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2] = {{0}};
    return !syscall(SYS_capget, &header, data) && data[number / 32].effective & 1u << number % 32;
}

int user_adopt(const char *spec, bool set_home, const uint32_t *more_groups, size_t more)
{
    char name[256], login[256] = "";
    if ((size_t)snprintf(name, sizeof name, "%s", spec) >= sizeof name)
        return E_USER_UNKNOWN;
    char *group = strchr(name, ':');
    if (group)
        *group++ = 0;
    user.set_home = set_home;
    strcpy(user.home, "/");
    int error = find_user(*name ? name : "0", login, sizeof login);
    if (!error)
        error = find_groups(group && *group ? group : NULL, login);
    if (error)
        return error;
    for (size_t i = 0; i < more; i++)
        add_group(more_groups[i]);
    user.drop = user.uid != 0;
    if (geteuid() != 0) {
        /* Started as the container's own user: there is nothing to change into. */
        user.uid = geteuid();
        user.drop = false;
        return 0;
    }
    if (user.drop && !(has_capability(CAP_SETUID) && has_capability(CAP_SETGID) && has_capability(CAP_KILL)))
        return E_NO_RIGHTS;
    if (has_capability(CAP_SETGID) && setgroups(user.group_count, user.groups))
        return errno;
    user_lift(false);
    return 0;
}

void user_lift(bool on)
{
    if (!user.drop)
        return;
    setfsgid(on ? 0 : user.gid);
    setfsuid(on ? 0 : user.uid);
}

int user_become(void)
{
    if (!user.drop && (user.gid == getegid() || !has_capability(CAP_SETGID)))
        return 0;
    return setresgid(user.gid, user.gid, user.gid) || setresuid(user.uid, user.uid, user.uid) ? errno : 0;
}

bool user_is_root(void) { return user.uid == 0; }

const char *user_home(void) { return user.set_home ? user.home : NULL; }
