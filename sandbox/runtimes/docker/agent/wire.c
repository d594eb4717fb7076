/* Encoding and decoding of frames, and writing replies to the shared pipe. */
#include "agent.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

static const uint8_t *take(struct cursor *c, size_t size)
{
    if (c->bad || (size_t)(c->end - c->at) < size) {
        c->bad = true;
        return NULL;
    }
    const uint8_t *start = c->at;
    c->at += size;
    return start;
}

static uint64_t take_number(struct cursor *c, size_t size)
{
    const uint8_t *b = take(c, size);
    uint64_t value = 0;
    for (size_t i = 0; b && i < size; i++)
        value = value << 8 | b[i];
    return value;
}

uint8_t take_u8(struct cursor *c) { return (uint8_t)take_number(c, 1); }
uint32_t take_u32(struct cursor *c) { return (uint32_t)take_number(c, 4); }
uint64_t take_u64(struct cursor *c) { return take_number(c, 8); }

char *take_text(struct cursor *c)
{
    static char nothing[1];
    uint32_t size = take_u32(c);
    const uint8_t *text = size < MAX_REQUEST ? take(c, (size_t)size + 1) : NULL;
    if (!text || memchr(text, 0, (size_t)size + 1) != text + size) {
        c->bad = true;
        return nothing;
    }
    return (char *)text;
}

void put_bytes(struct reply *r, const void *data, size_t size)
{
    memcpy(r->bytes + r->size, data, size);
    r->size += size;
}

static void put_number(struct reply *r, uint64_t value, int size)
{
    for (int i = size - 1; i >= 0; i--)
        r->bytes[r->size++] = (uint8_t)(value >> (8 * i));
}

void put_u8(struct reply *r, uint8_t value) { put_number(r, value, 1); }
void put_u16(struct reply *r, uint16_t value) { put_number(r, value, 2); }
void put_u32(struct reply *r, uint32_t value) { put_number(r, value, 4); }
void put_u64(struct reply *r, uint64_t value) { put_number(r, value, 8); }
size_t reply_room(const struct reply *r) { return sizeof r->bytes - r->size; }

void reply_begin(struct reply *r, uint32_t id, enum reply_type type)
{
    r->size = 4; /* reply_try fills in the length */
    put_u32(r, id);
    put_u8(r, (uint8_t)type);
}

void put_stat(struct reply *r, const struct stat *st)
{
    put_u8(r, S_ISREG(st->st_mode) ? 'f' : S_ISDIR(st->st_mode) ? 'd' : S_ISLNK(st->st_mode) ? 'l' : 'o');
    put_u64(r, (uint64_t)st->st_size);
    put_u64(r, (uint64_t)st->st_mtim.tv_sec); /* two's complement: negative before 1970 */
    put_u32(r, (uint32_t)st->st_mtim.tv_nsec);
}

void put_failure(struct reply *r, uint32_t id, enum stage stage, int error)
{
    reply_begin(r, id, REPLY_FAILURE);
    put_u8(r, (uint8_t)stage);
    put_u32(r, (uint32_t)error);
}

int reply_try(struct reply *r)
{
    size_t size = r->size;
    r->size = 0;
    put_u32(r, (uint32_t)(size - HEADER));
    r->size = size;
    for (;;) {
        if (write(STDOUT_FILENO, r->bytes, size) >= 0)
            return 1;
        if (errno == EAGAIN)
            return 0;
        if (errno != EINTR)
            return -1;
    }
}

bool reply_send(struct reply *r, int lifeline)
{
    for (;;) {
        int sent = reply_try(r);
        if (sent)
            return sent > 0;
        struct pollfd fds[] = {{STDOUT_FILENO, POLLOUT, 0}, {lifeline, 0, 0}};
        if (poll(fds, 2, -1) < 0 && errno != EINTR)
            return false;
        if (fds[1].revents || fds[0].revents & (POLLERR | POLLNVAL))
            return false;
    }
}

_Noreturn void answer_and_exit(struct reply *r, int lifeline)
{
    sigset_t terminate;
    sigemptyset(&terminate);
    sigaddset(&terminate, SIGTERM);
    sigprocmask(SIG_BLOCK, &terminate, NULL);
    reply_send(r, lifeline);
    _exit(0);
}

_Noreturn void answer_failure(uint32_t id, int lifeline, enum stage stage, int error)
{
    struct reply failure;
    put_failure(&failure, id, stage, error);
    answer_and_exit(&failure, lifeline);
}
