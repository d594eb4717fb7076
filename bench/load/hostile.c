/* Hostile peers of the daemon: clients, or the application that it forwards to. They do no more work than sending costs, so
 * that one core has room for hundreds of them and for the neighbour that is timed.
 *
 *   hostile client PORT CONNECTIONS SECONDS FIRST AGAIN PIECE MICROSECONDS WAIT
 *   hostile server PORT SECONDS FIRST AGAIN PIECE MICROSECONDS
 *
 * Each peer sends the file FIRST once and then the file AGAIN over and over, both of them in whole or, AGAIN, in pieces of
 * PIECE bytes, one each so many MICROSECONDS (0: as fast as they are taken). What comes back is read and dropped. WAIT 1: a
 * client sends nothing of AGAIN before it has read the end of a head. A server sends nothing before it has read one, and with
 * an empty AGAIN it sends FIRST for each.
 *
 * What stands as @@@ in a client's FIRST is its number, from 0.
 *
 * A client whose connection ends opens another one at once. All of them end after so many SECONDS; then it prints
 * how many connections there were, and how many bytes were sent and received. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define NS 1000000000LL
/* Bytes of one read. */
#define READ (1 << 18)

struct text { char *bytes; size_t length; };
/* all: its FIRST. first: how much of that was sent; again: from where in AGAIN it goes on. matched: bytes of a head's end that were read. */
struct peer { struct text all; int fd, connected, matched, armed; size_t first, again; struct peer *next, **link; };

static struct text first, again;
static size_t piece;
static int64_t every;
static int poller, serving, waiting;
static struct peer *peers;
static struct sockaddr_in address = {.sin_family = AF_INET};
static unsigned long long connections, sent_bytes, received_bytes;

static void die(const char *why) { fprintf(stderr, "%s: %s\n", why, strerror(errno)); exit(1); }

static int64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * NS + t.tv_nsec;
}

static struct text load(const char *path)
{
    struct text text = {NULL, 0};
    FILE *file = fopen(path, "rb");
    if (!file || fseek(file, 0, SEEK_END)) die(path);
    text.length = ftell(file);
    rewind(file);
    text.bytes = malloc(text.length + 1);
    if (fread(text.bytes, 1, text.length, file) != text.length) die(path);
    fclose(file);
    return text;
}

static struct text numbered(struct text from, int number)
{
    struct text text = {malloc(from.length + 1), 0};
    for (size_t i = 0; i < from.length;) {
        if (from.length - i >= 3 && !memcmp(from.bytes + i, "@@@", 3)) {
            /* A number of at most three digits. */
            text.length += sprintf(text.bytes + text.length, "%d", number);
            i += 3;
        } else text.bytes[text.length++] = from.bytes[i++];
    }
    return text;
}

static void watch(struct peer *p, int operation, int armed)
{
    struct epoll_event event = {.events = EPOLLIN | (armed ? EPOLLOUT : 0), .data.ptr = p};
    if (epoll_ctl(poller, operation, p->fd, &event)) die("epoll_ctl");
    p->armed = armed;
}

static struct peer *new_peer(void)
{
    struct peer *p = calloc(1, sizeof *p);
    if (!p) die("calloc");
    p->all = first;
    p->next = peers;
    p->link = &peers;
    if (peers) peers->link = &p->next;
    return peers = p;
}

static void prepare(struct peer *p)
{
    int on = 1;
    p->connected = serving;
    p->matched = 0;
    p->first = p->again = 0;
    setsockopt(p->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    watch(p, EPOLL_CTL_ADD, !serving);
    connections++;
}

static void join(struct peer *p)
{
    /* Closed with a reset: nothing is left in TIME_WAIT, and so there are ports enough. */
    struct linger reset = {1, 0};
    p->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (p->fd < 0) die("socket");
    setsockopt(p->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    if (connect(p->fd, (struct sockaddr *)&address, sizeof address) && errno != EINPROGRESS) die("connect");
    prepare(p);
}

static void leave(struct peer *p)
{
    close(p->fd);
    if (!serving) { join(p); return; }
    *p->link = p->next;
    if (p->next) p->next->link = p->link;
    free(p);
}

static int may_repeat(const struct peer *p) { return again.length && !(waiting && p->matched < 4); }

/* Send a piece; 0 when the connection has ended. */
static int put(struct peer *p)
{
    const struct text *text = p->first < p->all.length ? &p->all : &again;
    size_t *at = text == &p->all ? &p->first : &p->again, size = text->length - *at;
    ssize_t sent;
    if (text == &again && size > piece) size = piece;
    sent = send(p->fd, text->bytes + *at, size, MSG_NOSIGNAL);
    if (sent < 0) return errno == EAGAIN || errno == EINTR;
    sent_bytes += sent;
    *at += sent;
    if (text == &again && *at == again.length) *at = 0;
    return 1;
}

/* Whether the socket's readiness is to be waited for: what is paced is sent by the clock. */
static int has_to_send(const struct peer *p)
{
    if (!p->connected || (serving && p->matched < 4)) return !p->connected;
    return p->first < p->all.length || (may_repeat(p) && !every);
}

/* Look for the end of a head. */
static void look(struct peer *p, const char *bytes, ssize_t length)
{
    for (ssize_t i = 0; i < length && p->matched < 4; i++)
        p->matched = bytes[i] == "\r\n\r\n"[p->matched] ? p->matched + 1 : bytes[i] == '\r';
}

static void turn(struct peer *p, unsigned events)
{
    static char sink[READ];
    if (events & EPOLLIN) {
        ssize_t got = recv(p->fd, sink, sizeof sink, 0);
        if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) { leave(p); return; }
        if (got > 0) {
            received_bytes += got;
            /* A server that has no AGAIN answers each head on a connection. */
            if (serving && !again.length && p->first == p->all.length) p->matched = p->first = 0;
            if (p->matched < 4) look(p, sink, got);
        }
    } else if (events & (EPOLLERR | EPOLLHUP)) { leave(p); return; }
    if (events & EPOLLOUT) p->connected = 1;
    if (has_to_send(p) && !put(p)) { leave(p); return; }
    if (has_to_send(p) != p->armed) watch(p, EPOLL_CTL_MOD, !p->armed);
}

static void take(int listener)
{
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
    struct peer *p;
    if (fd < 0) return;
    p = new_peer();
    p->fd = fd;
    prepare(p);
}

/* What is paced: every peer that has begun sends its next piece. */
static void pace(void)
{
    for (struct peer *p = peers, *next; p; p = next) {
        next = p->next;
        if (p->connected && p->first == p->all.length && may_repeat(p) && !(serving && p->matched < 4) && !put(p)) leave(p);
    }
}

int main(int argc, char **argv)
{
    struct epoll_event events[256];
    struct rlimit files;
    struct peer listener = {.fd = -1}, clock = {.fd = -1};
    int64_t end;
    int count, at;

    serving = argc == 8 && !strcmp(argv[1], "server");
    if (!serving && (argc != 10 || strcmp(argv[1], "client"))) {
        fprintf(stderr, "usage: see the source\n");
        return 1;
    }
    signal(SIGPIPE, SIG_IGN);
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max > 65536 ? 65536 : files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    address.sin_port = htons(atoi(argv[2]));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    at = serving ? 3 : 4;
    count = serving ? 0 : atoi(argv[3]);
    if (count > 999) count = 999;
    end = now() + (int64_t)(atof(argv[at]) * NS);
    first = load(argv[at + 1]);
    again = load(argv[at + 2]);
    piece = atol(argv[at + 3]);
    every = atoll(argv[at + 4]) * 1000;
    waiting = !serving && atoi(argv[9]);
    poller = epoll_create1(0);
    if (every) {
        struct itimerspec each = {{every / NS, every % NS}, {every / NS, every % NS}};
        clock.fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
        if (timerfd_settime(clock.fd, 0, &each, NULL)) die("timerfd");
        watch(&clock, EPOLL_CTL_ADD, 0);
    }
    if (serving) {
        int on = 1;
        listener.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        setsockopt(listener.fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        if (bind(listener.fd, (struct sockaddr *)&address, sizeof address) || listen(listener.fd, 4096)) die("listen");
        watch(&listener, EPOLL_CTL_ADD, 0);
    }
    for (int i = 0; i < count; i++) {
        struct peer *p = new_peer();
        p->all = numbered(first, i);
        join(p);
    }
    while (now() < end) {
        int ready = epoll_wait(poller, events, 256, 100), due = 0;
        for (int i = 0; i < ready; i++) {
            struct peer *p = events[i].data.ptr;
            uint64_t expirations;
            if (p == &listener) take(listener.fd);
            else if (p != &clock) turn(p, events[i].events);
            else due = read(clock.fd, &expirations, sizeof expirations) > 0;
        }
        /* Behind the events, since it may end what one of them is about. What is late is not made up for. */
        if (due) pace();
    }
    printf("%llu %llu %llu\n", connections, sent_bytes, received_bytes);
    return 0;
}
