/* SPDX-License-Identifier: Apache-2.0 */
/* libmicrohttpd closes what is silent; who sends a byte now and then would stay, so connections are
 * told apart here and ended when their time is over.  It also turns away whoever comes when there
 * are too many, which lets a few silent clients keep a liveness probe out, and a node that is well
 * be killed for it; so here the oldest goes instead: who asks at once is answered long before. */
#include "cmd/metrics_http.h"
#include "core/os/sock.h"
#include <arpa/inet.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    BACKLOG = 128,
    BODY_CAP = SAY_WHY_CAP + 32,
    ENDING = 16, /* besides, until libmicrohttpd sees that they are over */
    CONNS = METRICS_HTTP_CONNECTIONS + ENDING,
};

struct conn {
    int fd; /* of libmicrohttpd; -1 = free */
    bool is_ending;
    uint64_t since_us, number; /* in the order in which they came */
    struct address from;
};

struct metrics_http {
    const struct metrics_http_host *host;
    struct MHD_Daemon *daemon;
    int listener, epoll;
    uint64_t now_us, came;
    struct conn conns[CONNS];
    char text[METRICS_TEXT_CAP];
};

/* ---- requests ---- */

static enum MHD_Result say(struct MHD_Connection *c, unsigned status, const char *type,
                           const char *body, size_t len)
{
    struct MHD_Response *r =
        MHD_create_response_from_buffer(len, (void *)(uintptr_t)body, MHD_RESPMEM_MUST_COPY);
    if (r == NULL) {
        return MHD_NO;
    }
    bool is_made = MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, type) == MHD_YES &&
                   MHD_add_response_header(r, MHD_HTTP_HEADER_CONNECTION, "close") == MHD_YES;
    if (is_made && status == MHD_HTTP_METHOD_NOT_ALLOWED) {
        is_made = MHD_add_response_header(r, MHD_HTTP_HEADER_ALLOW, "GET") == MHD_YES;
    }
    enum MHD_Result queued = is_made ? MHD_queue_response(c, status, r) : MHD_NO;
    MHD_destroy_response(r);
    return queued;
}

static enum MHD_Result say_text(struct MHD_Connection *c, unsigned status, const char *text)
{
    return say(c, status, "text/plain; charset=utf-8", text, strlen(text));
}

static enum MHD_Result say_health(struct metrics_http *h, struct MHD_Connection *c,
                                  bool (*is_well)(void *context, char *why))
{
    char why[SAY_WHY_CAP] = "";
    char body[BODY_CAP];
    bool well = is_well(h->host->context, why);
    struct jot j = jot_init(body, sizeof(body) - 1);
    jot_add(&j, "%s%s\n", well ? "ok" : "no: ", why);
    body[j.len] = '\0';
    return say_text(c, well ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE, body);
}

static enum MHD_Result say_metrics(struct metrics_http *h, struct MHD_Connection *c)
{
    struct jot j = jot_init(h->text, sizeof(h->text));
    h->host->describe(h->host->context, &j);
    if (j.is_full) {
        return say_text(c, MHD_HTTP_INTERNAL_SERVER_ERROR, "too many metrics\n");
    }
    return say(c, MHD_HTTP_OK, "application/openmetrics-text; version=1.0.0; charset=utf-8",
               h->text, j.len);
}

/* Called once the header has come, before any body, which nobody reads. */
static enum MHD_Result on_request(void *context, struct MHD_Connection *c, const char *url,
                                  const char *method, const char *version, const char *upload,
                                  size_t *upload_len, void **state)
{
    struct metrics_http *h = context;
    (void)version, (void)upload, (void)upload_len, (void)state;
    if (strcmp(method, MHD_HTTP_METHOD_GET) != 0) {
        return say_text(c, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET\n");
    }
    if (strcmp(url, "/metrics") == 0) {
        return say_metrics(h, c);
    }
    if (strcmp(url, "/livez") == 0) {
        return say_health(h, c, h->host->is_live);
    }
    if (strcmp(url, "/readyz") == 0) {
        return say_health(h, c, h->host->is_ready);
    }
    return say_text(c, MHD_HTTP_NOT_FOUND, "there are /metrics, /livez and /readyz\n");
}

/* ---- connections ---- */

static void end(struct conn *c)
{
    (void)shutdown(c->fd, SHUT_RDWR); /* it is closed when libmicrohttpd sees the end */
    c->is_ending = true;
}

/* Of those from `from`, or of all (NULL), the first ends if they are too many. */
static void make_room(struct metrics_http *h, const struct address *from, uint32_t most)
{
    struct conn *first = NULL;
    uint32_t count = 0;
    for (size_t i = 0; i < CONNS; i++) {
        struct conn *c = &h->conns[i];
        bool is_meant =
            c->fd >= 0 && !c->is_ending && (from == NULL || address_is_same_host(&c->from, from));
        count += is_meant ? 1 : 0;
        first = is_meant && (first == NULL || c->number < first->number) ? c : first;
    }
    if (count > most) {
        end(first);
    }
}

static void on_connection(void *context, struct MHD_Connection *c, void **state,
                          enum MHD_ConnectionNotificationCode code)
{
    struct metrics_http *h = context;
    if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
        struct conn *gone = *state;
        if (gone != NULL) {
            gone->fd = -1;
        }
        return;
    }
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);
    for (size_t i = 0; info != NULL && i < CONNS; i++) {
        struct conn *new = &h->conns[i];
        if (new->fd < 0) {
            *new = (struct conn){.fd = info->connect_fd,
                                 .since_us = h->now_us,
                                 .number = h->came++,
                                 .from = sock_remote(info->connect_fd)};
            *state = new;
            make_room(h, &new->from, METRICS_HTTP_PER_ADDRESS);
            make_room(h, NULL, METRICS_HTTP_CONNECTIONS);
            return;
        }
    }
}

struct pollfd metrics_http_poll(const struct metrics_http *h, int *timeout_ms)
{
    MHD_UNSIGNED_LONG_LONG due_ms = 0;
    if (MHD_get_timeout(h->daemon, &due_ms) == MHD_YES && due_ms < (unsigned)*timeout_ms) {
        *timeout_ms = (int)due_ms;
    }
    return (struct pollfd){.fd = h->epoll, .events = POLLIN};
}

void metrics_http_work(struct metrics_http *h, uint64_t now_us)
{
    h->now_us = now_us;
    for (size_t i = 0; i < CONNS; i++) {
        struct conn *c = &h->conns[i];
        if (c->fd >= 0 && !c->is_ending && now_us > c->since_us + METRICS_HTTP_LIFE_US) {
            end(c);
        }
    }
    (void)MHD_run(h->daemon);
}

/* ---- the beginning ---- */

static int listen_at(const struct address *at)
{
    struct sockaddr_in in4 = {.sin_family = AF_INET, .sin_port = htons(at->port)};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(at->port)};
    bool is_v4 = at->family == 4;
    int one = 1;
    memcpy(&in4.sin_addr, at->ip, sizeof(in4.sin_addr));
    memcpy(&in6.sin6_addr, at->ip, sizeof(in6.sin6_addr));
    int fd = socket(is_v4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return -1;
    }
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    int bound = is_v4 ? bind(fd, (struct sockaddr *)&in4, sizeof(in4))
                      : bind(fd, (struct sockaddr *)&in6, sizeof(in6));
    if (bound != 0 || listen(fd, BACKLOG) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

enum err metrics_http_open(const struct address *at, const struct metrics_http_host *host,
                           struct metrics_http **out, char *why)
{
    char text[ADDRESS_TEXT_CAP];
    struct metrics_http *h = calloc(1, sizeof(*h));
    *out = NULL;
    if (h == NULL) {
        return say_why(why, ERR_NO_MEMORY, "no memory: metrics-listen: free some");
    }
    h->host = host;
    h->listener = listen_at(at);
    for (size_t i = 0; i < CONNS; i++) {
        h->conns[i].fd = -1;
    }
    if (h->listener < 0) {
        free(h);
        return say_why(why, ERR_IO, "metrics-listen: cannot listen: %s: %s", address_text(at, text),
                       say_errno());
    }
    h->daemon = MHD_start_daemon(
        MHD_USE_EPOLL, 0, NULL, NULL, on_request, h, MHD_OPTION_LISTEN_SOCKET, h->listener,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNS, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)METRICS_HTTP_REQUEST, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)METRICS_HTTP_IDLE_S,
        MHD_OPTION_NOTIFY_CONNECTION, on_connection, h, MHD_OPTION_END);
    if (h->daemon == NULL) {
        close(h->listener);
        free(h);
        return say_why(why, ERR_IO, "metrics-listen: %s: cannot start: %s", address_text(at, text),
                       say_errno());
    }
    h->epoll = MHD_get_daemon_info(h->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
    *out = h;
    return ERR_OK;
}

void metrics_http_close(struct metrics_http *h)
{
    if (h != NULL) {
        MHD_stop_daemon(h->daemon); /* closes the listener too */
        free(h);
    }
}
