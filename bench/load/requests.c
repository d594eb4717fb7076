/* An HTTP/1.1 load, as an open or as a closed loop.
 *
 *   requests PORT CONNECTIONS RATE COUNT SECONDS FILE
 *
 * FILE holds complete requests, one after the other, each preceded by its length in decimal and a newline. They are sent in
 * turn until COUNT have been sent or SECONDS have passed (0: no such limit), and what was sent is answered.
 *
 * Open loop: request k is due k / RATE seconds after the start, whether or not earlier ones are answered, and its latency
 * counts from that moment: one that has to wait because the connections are busy, or because this program was late, waited
 * all the same. A closed loop would not have sent it then, and would leave out just the waits that a stall causes
 * (coordinated omission).
 *
 * RATE 0 is a closed loop: each connection sends its next request when one is answered, and latency counts from then.
 *
 * Prints the seconds until the last answer on one line, and each latency in microseconds on a line of its own. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define NS 1000000000LL
#define HEAD 65536
/* Answers at most, when only the time is limited. */
#define MANY (1L << 24)
/* Seconds without any answer after which it is given up. */
#define PATIENCE 20

struct request { const char *text; size_t length; };
struct connection { int fd; int64_t since; size_t got; int64_t left; int closing, busy; char head[HEAD + 1]; };

static struct request *requests;
static long request_count, count, issued, answered;
static int64_t start, interval_ps, *latency;
static struct sockaddr_in address = {.sin_family = AF_INET};
static int poller;

static void die(const char *why) { fprintf(stderr, "%s\n", why); exit(1); }

static int64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * NS + t.tv_nsec;
}

static int64_t due(long number) { return start + (int64_t)((__int128)number * interval_ps / 1000); }

static void load_requests(const char *path)
{
    FILE *file = fopen(path, "rb");
    size_t length;
    if (!file) die("cannot open the requests");
    while (fscanf(file, "%zu", &length) == 1) {
        char *text = malloc(length);
        if (fgetc(file) != '\n' || !text || fread(text, 1, length, file) != length) die("the requests are cut off");
        requests = realloc(requests, (request_count + 1) * sizeof *requests);
        requests[request_count++] = (struct request){text, length};
    }
    fclose(file);
    if (!request_count) die("no requests");
}

static void join(struct connection *c)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    int on = 1;
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&address, sizeof address)) die("cannot connect");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (epoll_ctl(poller, EPOLL_CTL_ADD, c->fd, &event)) die("epoll_ctl failed");
}

static void leave(struct connection *c) { close(c->fd); c->fd = -1; }

/* Requests are small: they fit into the socket's buffer, so that a blocking send does not wait. */
static void issue(struct connection *c)
{
    const struct request *r = &requests[issued % request_count];
    c->since = interval_ps ? due(issued) : now();
    if (c->fd < 0) join(c);
    if (send(c->fd, r->text, r->length, MSG_NOSIGNAL) != (ssize_t)r->length) {
        /* The server closed an idle connection just now: once more on a new one. */
        leave(c);
        join(c);
        if (send(c->fd, r->text, r->length, MSG_NOSIGNAL) != (ssize_t)r->length) die("cannot send");
    }
    issued++;
    c->busy = 1;
    c->got = 0;
    c->left = -1;
    c->closing = 0;
}

static void answer(struct connection *c)
{
    latency[answered++] = (now() - c->since) / 1000;
    c->busy = 0;
    if (c->closing) leave(c);
}

/* A response's head: 200, with a length. */
static void read_head(struct connection *c, char *body)
{
    char *field;
    size_t in_head = body - c->head;
    *(body - 1) = 0;
    if (strncmp(c->head, "HTTP/1.", 7) || strncmp(c->head + 8, " 200", 4)) {
        c->head[strcspn(c->head, "\r\n")] = 0;
        die(c->head);
    }
    c->closing = strcasestr(c->head, "\nconnection: close") != NULL;
    field = strcasestr(c->head, "\ncontent-length:");
    if (!field) die("an answer without Content-Length");
    c->left = strtoll(field + 16, NULL, 10) - (int64_t)(c->got - in_head);
}

static void receive(struct connection *c)
{
    static char sink[1 << 18];
    ssize_t got;
    if (c->left < 0) got = recv(c->fd, c->head + c->got, HEAD - c->got, 0);
    else got = recv(c->fd, sink, sizeof sink, 0);
    if (got <= 0) {
        if (c->busy) die("a connection ended in the middle of an answer");
        leave(c);
        return;
    }
    if (!c->busy) die("an answer to nothing");
    if (c->left < 0) {
        char *end;
        c->got += got;
        c->head[c->got] = 0;
        end = memmem(c->head, c->got, "\r\n\r\n", 4);
        if (end) read_head(c, end + 4);
        else if (c->got >= HEAD) die("an endless head");
    } else c->left -= got;
    if (c->left == 0) answer(c);
}

int main(int argc, char **argv)
{
    struct epoll_event events[256], ticks = {.events = EPOLLIN, .data.ptr = NULL};
    struct connection *connections;
    double rate;
    int64_t last, limit;
    int size, timer, ready;

    if (argc != 7) die("usage: requests PORT CONNECTIONS RATE COUNT SECONDS FILE");
    address.sin_port = htons(atoi(argv[1]));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    size = atoi(argv[2]);
    rate = atof(argv[3]);
    count = atol(argv[4]) ? atol(argv[4]) : MANY;
    limit = (int64_t)(atof(argv[5]) * NS);
    load_requests(argv[6]);
    interval_ps = rate > 0 ? (int64_t)(1e12 / rate) : 0;
    connections = calloc(size, sizeof *connections);
    latency = calloc(count, sizeof *latency);
    poller = epoll_create1(0);
    timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    epoll_ctl(poller, EPOLL_CTL_ADD, timer, &ticks);
    for (int i = 0; i < size; i++) join(&connections[i]);
    last = start = now() + NS / 100;
    while (answered < count) {
        int next = 0;
        if (limit && count > issued && now() - start > limit) {
            count = issued;
            continue;
        }
        while (issued < count && due(issued) <= now()) {
            while (next < size && connections[next].busy) next++;
            if (next == size) break;
            issue(&connections[next]);
        }
        if (issued < count && next < size) {
            int64_t when = due(issued);
            struct itimerspec at = {.it_value = {when / NS, when % NS}};
            timerfd_settime(timer, TFD_TIMER_ABSTIME, &at, NULL);
        }
        ready = epoll_wait(poller, events, 256, 1000);
        if (ready < 0 && errno != EINTR) die("epoll_wait failed");
        for (int i = 0; i < ready; i++) {
            uint64_t expirations;
            if (events[i].data.ptr) { receive(events[i].data.ptr); last = now(); }
            else if (read(timer, &expirations, sizeof expirations) < 0 && errno != EAGAIN) die("the timer failed");
        }
        if (now() - last > PATIENCE * NS) die("no answer any more");
    }
    printf("%.6f\n", (last - start) / 1e9);
    for (long i = 0; i < count; i++) printf("%lld\n", (long long)latency[i]);
    return 0;
}
