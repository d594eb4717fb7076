/* The child between fork and exec: descriptors, limits, environment, user and working directory of a command. */
#include "agent.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct rlimit command_files;

static void raise_oom_score(void)
{
    /* On memory exhaustion the kernel should kill the command, not its supervisor. */
    char text[16];
    user_lift(true);
    int fd = open("/proc/self/oom_score_adj", O_RDWR | O_CLOEXEC);
    ssize_t size = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
    if (size > 0) {
        text[size] = 0;
        int score = atoi(text) + 100;
        int length = snprintf(text, sizeof text, "%d", score < 1000 ? score : 1000);
        if (pwrite(fd, text, (size_t)length, 0) < 0)
            errno = 0; /* best effort */
    }
    user_lift(false);
}

static int enter(const char *directory)
{
    if (directory[0] == '/')
        return chdir(directory) ? errno : 0;
    struct place place;
    int error = walk(directory, false, &place);
    if (!error && place.fd < 0)
        error = ENOENT;
    if (!error && fchdir(place.fd))
        error = errno;
    walk_end();
    return error;
}

static void set_variable(char *text)
{
    char *equals = strchr(text, '=');
    if (!equals)
        return;
    *equals = 0;
    setenv(text, equals + 1, 1);
    *equals = '=';
}

_Noreturn void become_command(struct cursor request, const int output[2], int report)
{
    struct start_failure failure = {STAGE_PROCESS, 0};
    sigset_t none;
    setsid();
    for (int number = 1; number < NSIG; number++)
        signal(number, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (null < 0 || dup2(null, 0) < 0 || dup2(output[0], 1) < 0 || dup2(output[1], 2) < 0) {
        failure.error = errno;
        goto failed;
    }
    raise_oom_score();
    setrlimit(RLIMIT_NOFILE, &command_files);
    char *directory = take_text(&request);
    uint32_t count = take_u32(&request);
    char **arguments = count && count < MAX_REQUEST / 5 ? calloc(count + 1, sizeof *arguments) : NULL;
    for (uint32_t i = 0; arguments && i < count; i++)
        arguments[i] = take_text(&request);
    if (user_home())
        setenv("HOME", user_home(), 1);
    for (uint32_t variables = take_u32(&request); variables && !request.bad; variables--)
        set_variable(take_text(&request));
    if (!arguments || request.bad) {
        failure = (struct start_failure){STAGE_REQUEST, E_MALFORMED};
        goto failed;
    }
    failure = (struct start_failure){STAGE_USER, user_become()};
    if (failure.error)
        goto failed;
    failure = (struct start_failure){STAGE_DIRECTORY, enter(directory)};
    if (failure.error)
        goto failed;
    execvp(arguments[0], arguments);
    failure = (struct start_failure){STAGE_PROGRAM, errno};
failed:
    if (write(report, &failure, sizeof failure) < 0)
        _exit(126);
    _exit(127);
}
