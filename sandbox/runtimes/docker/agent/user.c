/* The identity with which commands run and files are accessed: the container's configured user, resolved as the engine
 * resolves it for `docker exec` (moby, oci_linux.go and libcontainer/user), groups of --group-add included.
 *
 * Started as root, the agent keeps root's user id, so that the commands' user can neither kill nor trace it, and takes
 * the user's identity for file access only: the kernel then checks the user's rights on every path. */
#include "agent.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { MAX_DATABASE = 16 << 20, MAX_ID = INT32_MAX, MAX_GROUPS = 65536 };

static struct {
    uid_t uid;
    gid_t gid;
    gid_t groups[MAX_GROUPS];
    size_t group_count;
    char home[PATH_MAX];
    bool set_home, drop;
} user;

/* /etc/passwd or /etc/group; NULL counts as an empty one. */
static FILE *open_database(const char *path)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd >= 0 && (fstat(fd, &st) || !S_ISREG(st.st_mode) || st.st_size > MAX_DATABASE)) {
        close(fd);
        fd = -1;
    }
    return fd < 0 ? NULL : fdopen(fd, "r");
}

struct line {
    char *text;
    size_t room;
    char *fields[6]; /* missing ones are "" */
};
enum { NAME = 0, ID = 2, GROUP = 3, MEMBERS = 3, HOME = 5 };

/* The next line that is not blank, cut at its colons; white space around it is ignored. False at the end. */
static bool next_line(FILE *file, struct line *line)
{
    static const char space[] = " \t\n\v\f\r";
    while (file && getline(&line->text, &line->room, file) >= 0) {
        char *rest = line->text + strspn(line->text, space), *end = rest + strlen(rest);
        while (end > rest && strchr(space, end[-1]))
            *--end = 0;
        if (!*rest)
            continue;
        for (int i = 0; i < 6; i++)
            line->fields[i] = rest ? strsep(&rest, ":") : end;
        return true;
    }
    return false;
}

static void end_lines(FILE *file, struct line *line)
{
    free(line->text);
    if (file)
        fclose(file);
}

enum kind { NO_NUMBER, NUMBER, OUT_OF_RANGE };

static enum kind parse_id(const char *text, uint32_t *id)
{
    const char *digits = text + (*text == '+' || *text == '-');
    *id = 0;
    if (!*digits || digits[strspn(digits, "0123456789")])
        return NO_NUMBER;
    long long value = strtoll(text, NULL, 10);
    if (value < 0 || value > MAX_ID)
        return OUT_OF_RANGE;
    *id = (uint32_t)value;
    return NUMBER;
}

/* A database's field: what is not a number counts as 0. */
static uint32_t field_id(const char *text)
{
    uint32_t id;
    return parse_id(text, &id) == OUT_OF_RANGE ? UINT32_MAX : id;
}

static int find_user(const char *name, char *login, size_t room)
{
    FILE *file = open_database("/etc/passwd");
    struct line line = {0};
    uint32_t id;
    enum kind kind = parse_id(name, &id);
    bool found = false;
    while (kind != OUT_OF_RANGE && !found && next_line(file, &line)) {
        uint32_t uid = field_id(line.fields[ID]);
        found = *name && kind == NO_NUMBER ? !strcmp(line.fields[NAME], name) : uid == id;
        if (!found)
            continue;
        user.uid = uid;
        user.gid = field_id(line.fields[GROUP]);
        snprintf(login, room, "%s", line.fields[NAME]);
    }
    end_lines(file, &line);
    if (!found)
        user.uid = id;
    if (kind == OUT_OF_RANGE || user.uid == UINT32_MAX || user.gid == UINT32_MAX)
        return E_USER_UNKNOWN;
    return found || !*name || kind == NUMBER ? 0 : E_USER_UNKNOWN;
}

/* HOME belongs to the user id, whichever name was asked for. */
static void find_home(void)
{
    FILE *file = open_database("/etc/passwd");
    struct line line = {0};
    bool found = false;
    strcpy(user.home, "/");
    while (!found && next_line(file, &line)) {
        found = field_id(line.fields[ID]) == user.uid;
        if (found)
            snprintf(user.home, sizeof user.home, "%s", line.fields[HOME]);
    }
    end_lines(file, &line);
}

static int find_group(const char *name, gid_t *gid)
{
    FILE *file = open_database("/etc/group");
    struct line line = {0};
    enum kind kind = parse_id(name, gid);
    bool found = kind != NO_NUMBER;
    while (!found && next_line(file, &line)) {
        found = *line.fields[NAME] != '#' && !strcmp(line.fields[NAME], name);
        if (found)
            *gid = field_id(line.fields[ID]);
    }
    end_lines(file, &line);
    return found && kind != OUT_OF_RANGE && *gid != UINT32_MAX ? 0 : E_USER_UNKNOWN;
}

static int add_group(gid_t gid)
{
    for (size_t i = 0; i < user.group_count; i++)
        if (user.groups[i] == gid)
            return 0;
    if (user.group_count == MAX_GROUPS)
        return E2BIG;
    user.groups[user.group_count++] = gid;
    return 0;
}

/* The groups that list `login` as a member. */
static int add_memberships(const char *login)
{
    FILE *file = open_database("/etc/group");
    struct line line = {0};
    int error = 0;
    while (!error && next_line(file, &line)) {
        char *rest = line.fields[MEMBERS], *member;
        bool listed = false;
        while (*line.fields[NAME] != '#' && !listed && (member = strsep(&rest, ",")))
            listed = !strcmp(member, login);
        gid_t gid = field_id(line.fields[ID]);
        if (listed && gid != UINT32_MAX)
            error = add_group(gid);
    }
    end_lines(file, &line);
    return error;
}

int user_resolve(const char *spec, struct cursor *more)
{
    char name[512], login[512] = "";
    if ((size_t)snprintf(name, sizeof name, "%s", spec) >= sizeof name)
        return E_USER_UNKNOWN;
    char *group = name, *login_asked = strsep(&group, ":");
    group = strsep(&group, ":");
    int error = find_user(login_asked, login, sizeof login);
    if (!error && group && *group)
        error = find_group(group, &user.gid);
    if (!error)
        error = add_group(user.gid);
    if (!error && *login && !(group && *group))
        error = add_memberships(login);
    for (uint32_t count = take_u32(more); !error && !more->bad && count; count--) {
        gid_t gid;
        const char *text = take_text(more);
        if (!more->bad && !(error = find_group(text, &gid)))
            error = add_group(gid);
    }
    return more->bad ? E_MALFORMED : error;
}

static bool has_capability(int number)
{
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2] = {{0}};
    return !syscall(SYS_capget, &header, data) && data[number / 32].effective & 1u << number % 32;
}

int user_adopt(const char *spec, bool set_home, struct cursor *more)
{
    int error = user_resolve(spec, more);
    if (error)
        return error;
    find_home();
    user.set_home = set_home;
    user.drop = user.uid != 0;
    if (geteuid() != 0) {
        /* Started as the container's user: the engine has set its identity. */
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

int user_print(const char *spec)
{
    uint8_t none[4] = {0};
    struct cursor more = {none, none + sizeof none, false};
    int error = user_resolve(spec, &more);
    if (error)
        printf("%d", error);
    else
        printf("%u %u", user.uid, user.gid);
    return error ? 1 : 0;
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
