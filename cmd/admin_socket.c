/* SPDX-License-Identifier: Apache-2.0 */
/* A request walks the shards one after the other, rows of each in portions: out buffer -> client,
 * and the next portion only when there is room for it.  So a client that reads slowly holds nothing
 * but its own buffer. */
#include "cmd/admin_socket.h"
#include "codec/ids.h"
#include "core/trace.h"
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { BACKLOG = 16, REASON_CAP = 200, STORE_LIFETIME_S = 3600 };

static const struct {
    const char *word;
    enum admin_verb verb;
    bool is_here; /* answered by the control thread */
    bool is_one;  /* one operation, at one shard */
} verbs[] = {
    {"status", ADMIN_STATUS, false, false}, {"peers", ADMIN_PEERS, false, false},
    {"ring", ADMIN_RING, false, false},     {"links", ADMIN_LINKS, false, false},
    {"stored", ADMIN_STORED, false, false}, {"bindings", ADMIN_BINDINGS, false, false},
    {"fetch", ADMIN_FETCH, false, true},    {"ping", ADMIN_PING, false, true},
    {"store", ADMIN_STORE, false, true},    {"stat", ADMIN_STAT, false, true},
    {"find", ADMIN_FIND, false, true},      {"route", ADMIN_ROUTE, false, true},
    {"trace", ADMIN_TRACE, false, false},   {"metrics", ADMIN_METRICS, true, true},
    {"health", ADMIN_HEALTH, true, true},   {"histograms", ADMIN_HISTOGRAMS, true, true},
    {"drain", ADMIN_SHUTDOWN, true, true},  {"reload", ADMIN_RELOAD, true, true},
};

/* ---- output
 * -------------------------------------------------------------------------------------- */

static size_t room(const struct admin_client *c)
{
    return sizeof(c->out) - c->out_len;
}

static void put(struct admin_client *c, const char *text, size_t len)
{
    CHECK(len <= room(c)); /* portions are asked for only when they fit */
    memcpy(c->out + c->out_len, text, len);
    c->out_len += len;
}

static void put_text(struct admin_client *c, const char *text)
{
    put(c, text, strlen(text));
}

static void finish(struct admin_client *c)
{
    c->is_busy = false;
    c->is_waiting = false;
}

/* The whole answer when nothing of it was written yet; in the middle of rows only closing tells. */
static void fail(struct admin_client *c, const char *reason)
{
    char line[REASON_CAP + 32];
    if (c->has_rows) {
        c->is_ended = true;
    } else {
        (void)snprintf(line, sizeof(line), "{\"error\":\"%s\"}\n", reason);
        put_text(c, line);
    }
    finish(c);
}

/* ---- requests
 * ------------------------------------------------------------------------------------ */

static size_t index_of(enum admin_verb verb)
{
    for (size_t i = 0; i < ARRAY_COUNT(verbs); i++) {
        if (verbs[i].verb == verb) {
            return i;
        }
    }
    UNREACHABLE("verb");
}

static uint64_t tag_of(const struct admin_socket *a, const struct admin_client *c)
{
    return (uint64_t)c->generation << 32 | (uint64_t)(c - a->clients) << 16 | 1;
}

static void ask(struct admin_socket *a, struct admin_client *c, uint64_t now_us)
{
    enum err e = a->host->send(a->host->context, c->shard, tag_of(a, c), &c->request);
    c->is_waiting = true;
    c->asked_us = now_us;
    if (e != ERR_OK) {
        fail(c, e == ERR_LIMIT ? "the node is too busy, try again" : err_text(e));
    }
}

/* Absent: `otherwise`. */
static bool read_u32(const json_t *object, const char *key, uint32_t otherwise, uint32_t *out)
{
    const json_t *value = json_object_get(object, key);
    json_int_t number = json_integer_value(value);
    *out = value == NULL ? otherwise : (uint32_t)number;
    return value == NULL ||
           (json_is_integer(value) && number >= 0 && number <= (json_int_t)UINT32_MAX);
}

static bool read_node(const char *text, struct node_id *out)
{
    size_t len = 0;
    return ids_unhex(slice_text(text), out->bytes, IDS_NODE_MIN, &len) == ERR_OK &&
           len == IDS_NODE_MIN;
}

/* Reads the arguments of all operations. */
static const char *read_target(const json_t *object, struct admin_request *r)
{
    const char *name = json_string_value(json_object_get(object, "name"));
    const char *node = json_string_value(json_object_get(object, "node"));
    const char *at = json_string_value(json_object_get(object, "at"));
    if (at != NULL && !read_node(at, &r->at)) {
        return "at: not a Node-ID of 32 hex digits";
    }
    r->has_at = at != NULL;
    if (node != NULL && (r->verb == ADMIN_PING || r->verb == ADMIN_ROUTE)) {
        r->is_node = true;
        return read_node(node, &r->node_id) ? NULL : "node: not a Node-ID of 32 hex digits";
    }
    if (name == NULL || strlen(name) == 0 || strlen(name) > ADMIN_NAME_CAP) {
        return "name: missing, empty or longer than 255 bytes";
    }
    r->name_len = (uint16_t)strlen(name);
    memcpy(r->name, name, r->name_len);
    if (!read_u32(object, "kind", 0, &r->kind)) {
        return "kind: not a Kind-ID";
    }
    r->kind = r->kind == 0 ? OVERLAY_KIND_SIP_REGISTRATION : r->kind;
    return NULL;
}

static const char *read_store(const json_t *object, struct admin_request *r)
{
    const char *value = json_string_value(json_object_get(object, "value"));
    size_t len = 0;
    const char *wrong = read_target(object, r);
    if (wrong != NULL) {
        return wrong;
    }
    if (!read_u32(object, "index", 0, &r->index) ||
        !read_u32(object, "lifetime_s", STORE_LIFETIME_S, &r->lifetime_s) || r->lifetime_s == 0) {
        return "index, lifetime_s: not numbers of 32 bits, or a lifetime of 0";
    }
    r->is_gone = json_is_true(json_object_get(object, "remove"));
    if (r->is_gone) {
        return value == NULL ? NULL : "value: not when one is removed";
    }
    if (value == NULL || ids_unhex(slice_text(value), r->value, sizeof(r->value), &len) != ERR_OK) {
        return "value: not at most 1024 bytes in hex digits";
    }
    r->value_len = (uint16_t)len;
    return NULL;
}

static const char NO_SUCH_EVENT[] = "no such event: there are"
#define TRACE(name) " " #name
#include "core/trace.def"
#undef TRACE
                                    " (docs/operating.md)";

/* Absent: all events. */
static const char *read_event(const json_t *object, struct admin_request *r)
{
    const char *name = json_string_value(json_object_get(object, "event"));
    size_t len = name == NULL ? 0 : strlen(name);
    enum trace_name which;
    if (name != NULL && !trace_name_find(slice_of(name, len), &which)) {
        return NO_SUCH_EVENT;
    }
    r->name_len = (uint16_t)len;
    memcpy(r->name, name == NULL ? "" : name, len);
    return NULL;
}

static const char *read_request(const json_t *object, struct admin_request *r)
{
    const char *word = json_string_value(json_object_get(object, "cmd"));
    memset(r, 0, sizeof(*r));
    if (word == NULL) {
        return "not an object with a string \\\"cmd\\\"";
    }
    for (size_t i = 0; i < ARRAY_COUNT(verbs); i++) {
        if (strcmp(word, verbs[i].word) == 0) {
            r->verb = verbs[i].verb;
            bool has_target = r->verb == ADMIN_FETCH || r->verb == ADMIN_PING ||
                              r->verb == ADMIN_STAT || r->verb == ADMIN_FIND ||
                              r->verb == ADMIN_ROUTE;
            return has_target               ? read_target(object, r)
                   : r->verb == ADMIN_STORE ? read_store(object, r)
                   : r->verb == ADMIN_TRACE ? read_event(object, r)
                                            : NULL;
        }
    }
    return "unknown cmd";
}

/* What the control thread answers by itself. */
static void answer_here(struct admin_socket *a, struct admin_client *c)
{
    if (c->request.verb == ADMIN_SHUTDOWN) {
        a->host->shut_down(a->host->context);
        put_text(c, "{\"draining\":true}\n");
    } else {
        char *at = c->out + c->out_len;
        c->out_len += a->host->describe(a->host->context, c->request.verb, at, room(c) - 1);
        put_text(c, "\n");
    }
    finish(c);
}

static void begin(struct admin_socket *a, struct admin_client *c, struct slice line,
                  uint64_t now_us)
{
    json_t *object = json_loadb((const char *)line.data, line.len, JSON_REJECT_DUPLICATES, NULL);
    const char *wrong = read_request(object, &c->request);
    json_decref(object);
    c->is_busy = true;
    c->has_rows = false;
    c->wants_comma = false;
    c->shard = 0;
    c->generation++;
    if (wrong != NULL) {
        fail(c, wrong);
    } else if (verbs[index_of(c->request.verb)].is_here) {
        answer_here(a, c);
    } else {
        ask(a, c, now_us);
    }
}

/* In front of the first row. */
static void put_head(struct admin_socket *a, struct admin_client *c)
{
    put_text(c, "{");
    if (c->request.verb == ADMIN_STATUS) {
        char *at = c->out + c->out_len;
        c->out_len += a->host->describe(a->host->context, ADMIN_STATUS, at, room(c));
    }
    put_text(c, "\"rows\":[");
}

void admin_socket_on_answer(struct admin_socket *a, const struct io_event *event, uint64_t now_us)
{
    struct admin_answer answer;
    uint32_t index = (uint32_t)(event->tag >> 16 & 0xffff);
    CHECK(index < ADMIN_SOCKET_CLIENTS);
    struct admin_client *c = &a->clients[index];
    if (c->fd < 0 || !c->is_waiting || event->tag != tag_of(a, c) || event->shard != c->shard) {
        return; /* the client is gone, or was told that it took too long */
    }
    memcpy(&answer, event->data, sizeof(answer));
    CHECK(event->data_len == sizeof(answer) + answer.len);
    if (!c->has_rows) {
        put_head(a, c);
    } else if (answer.len > 0 && c->wants_comma) {
        put_text(c, ",");
    }
    c->has_rows = true;
    c->wants_comma = c->wants_comma || answer.len > 0;
    put(c, (const char *)event->data + sizeof(answer), answer.len);
    c->is_waiting = false;
    c->asked_us = now_us;
    c->request.cursor = answer.next;
    if (answer.next != 0) {
        return; /* more of this shard, once there is room */
    }
    c->shard++;
    if (c->shard == a->host->shards || verbs[index_of(c->request.verb)].is_one) {
        put_text(c, "]}\n");
        finish(c);
    }
}

/* ---- clients
 * ------------------------------------------------------------------------------------- */

static void close_client(struct admin_client *c)
{
    close(c->fd);
    c->fd = -1;
    c->generation++;
    finish(c);
}

static void write_out(struct admin_client *c, uint64_t now_us)
{
    while (c->out_at < c->out_len) {
        ssize_t put_bytes =
            send(c->fd, c->out + c->out_at, c->out_len - c->out_at, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (put_bytes < 0) {
            if (errno != EAGAIN && errno != EINTR) {
                close_client(c);
                return;
            }
            break;
        }
        c->out_at += (size_t)put_bytes;
        c->active_us = now_us;
    }
    memmove(c->out, c->out + c->out_at, c->out_len - c->out_at);
    c->out_len -= c->out_at;
    c->out_at = 0;
}

static void read_in(struct admin_client *c, uint64_t now_us)
{
    size_t space = sizeof(c->in) - c->in_len;
    ssize_t got = space == 0 ? 0 : recv(c->fd, c->in + c->in_len, space, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (space > 0 && got < 0) {
        close_client(c);
        return;
    }
    if (space > 0 && got == 0) {
        c->is_ended = true; /* it may still read what it has asked for */
        return;
    }
    c->in_len += (size_t)got;
    c->active_us = now_us;
}

/* The next line, when no request is under way. */
static void take_line(struct admin_socket *a, struct admin_client *c, uint64_t now_us)
{
    char *end = memchr(c->in, '\n', c->in_len);
    if (end == NULL) {
        if (c->in_len == sizeof(c->in)) {
            c->has_rows = false;
            fail(c, "the line is too long");
            c->is_ended = true;
            c->in_len = 0;
        }
        return;
    }
    size_t len = (size_t)(end - c->in);
    begin(a, c, slice_of(c->in, len), now_us);
    memmove(c->in, end + 1, c->in_len - len - 1);
    c->in_len -= len + 1;
}

/* A portion and what stands around it. */
static bool has_room(const struct admin_client *c)
{
    return room(c) > ADMIN_ROWS_CAP + 2048;
}

/* What can be done for a client now; as many lines as it has sent, as long as it reads. */
static void advance(struct admin_socket *a, struct admin_client *c, uint64_t now_us)
{
    if (c->is_waiting && now_us > c->asked_us + ADMIN_SOCKET_ANSWER_US) {
        c->generation++;
        fail(c, "the node did not answer in time");
    }
    bool has_moved = true;
    while (has_moved && c->fd >= 0) {
        size_t before = c->in_len;
        if (c->is_busy && !c->is_waiting && has_room(c)) {
            ask(a, c, now_us);
        }
        if (!c->is_busy && c->in_len > 0 && c->out_len == 0) {
            take_line(a, c, now_us);
        }
        if (c->out_len > 0) {
            write_out(c, now_us);
        }
        bool wants_rows = c->is_busy && !c->is_waiting && has_room(c);
        has_moved = c->in_len != before || wants_rows;
    }
}

static void accept_client(struct admin_socket *a, uint64_t now_us)
{
    int fd = accept4(a->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) {
        return;
    }
    for (size_t i = 0; i < ADMIN_SOCKET_CLIENTS; i++) {
        struct admin_client *c = &a->clients[i];
        if (c->fd < 0) {
            uint32_t generation = c->generation + 1;
            memset(c, 0, offsetof(struct admin_client, in));
            c->fd = fd;
            c->generation = generation;
            c->active_us = now_us;
            return;
        }
    }
    static const char busy[] = "{\"error\":\"too many admin clients\"}\n";
    ssize_t sent = send(fd, busy, sizeof(busy) - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
    (void)sent;
    close(fd);
}

size_t admin_socket_polls(const struct admin_socket *a, struct pollfd *out)
{
    size_t count = 0;
    if (a->fd < 0) {
        return 0;
    }
    out[count++] = (struct pollfd){.fd = a->fd, .events = POLLIN};
    for (size_t i = 0; i < ADMIN_SOCKET_CLIENTS; i++) {
        const struct admin_client *c = &a->clients[i];
        short events = c->in_len < sizeof(c->in) && !c->is_ended ? POLLIN : 0;
        events |= c->out_len > 0 ? POLLOUT : 0;
        out[count++] = (struct pollfd){.fd = c->fd, .events = events};
    }
    return count;
}

void admin_socket_work(struct admin_socket *a, const struct pollfd *polled, size_t count,
                       uint64_t now_us)
{
    for (size_t i = 1; i < count; i++) {
        struct admin_client *c = &a->clients[i - 1];
        if (c->fd >= 0 && (polled[i].revents & (POLLHUP | POLLERR)) != 0) {
            close_client(c); /* nobody is there to read */
        }
        if (c->fd >= 0 && (polled[i].revents & POLLIN) != 0) {
            read_in(c, now_us);
        }
        if (c->fd >= 0) {
            advance(a, c, now_us);
        }
        bool is_over = c->is_ended && !c->is_busy && c->out_len == 0;
        if (c->fd >= 0 && (is_over || now_us > c->active_us + ADMIN_SOCKET_IDLE_US)) {
            close_client(c);
        }
    }
    if (count > 0 && (polled[0].revents & POLLIN) != 0) {
        accept_client(a, now_us);
    }
}

/* ---- the socket
 * ---------------------------------------------------------------------------------- */

static bool is_answered(const struct sockaddr_un *to)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool answered = fd >= 0 && connect(fd, (const struct sockaddr *)to, sizeof(*to)) == 0;
    if (fd >= 0) {
        close(fd);
    }
    return answered;
}

static enum err bind_socket(int fd, const struct sockaddr_un *to, const char *path, char *why)
{
    struct stat status;
    if (lstat(path, &status) == 0) {
        if (!S_ISSOCK(status.st_mode)) {
            return say_why(why, ERR_EXISTS, "control-socket is a file: %s: name another", path);
        }
        if (is_answered(to)) {
            return say_why(why, ERR_EXISTS,
                           "control-socket is in use: %s: is the node running already?", path);
        }
        unlink(path);
    }
    mode_t before = umask(0177);
    bool bound = bind(fd, (const struct sockaddr *)to, sizeof(*to)) == 0;
    umask(before);
    if (!bound || listen(fd, BACKLOG) != 0) {
        return say_why(why, ERR_IO, "cannot make control-socket: %s: %s", path, say_errno());
    }
    return ERR_OK;
}

enum err admin_socket_open(struct admin_socket *a, const char *path,
                           const struct admin_socket_host *host, char *why)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    memset(a, 0, sizeof(*a));
    a->host = host;
    a->path = path;
    a->fd = -1;
    for (size_t i = 0; i < ADMIN_SOCKET_CLIENTS; i++) {
        a->clients[i].fd = -1;
    }
    if (path[0] == '\0') {
        return ERR_OK;
    }
    if (strlen(path) >= sizeof(to.sun_path)) {
        return say_why(why, ERR_CONFIG, "control-socket: %s: a path has at most %zu bytes", path,
                       sizeof(to.sun_path) - 1);
    }
    memcpy(to.sun_path, path, strlen(path));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    enum err e = fd < 0 ? say_why(why, ERR_IO, "control-socket: %s: %s", path, say_errno())
                        : bind_socket(fd, &to, path, why);
    if (e != ERR_OK) {
        if (fd >= 0) {
            close(fd);
        }
        return e;
    }
    a->fd = fd;
    return ERR_OK;
}

void admin_socket_close(struct admin_socket *a)
{
    if (a->fd < 0) {
        return;
    }
    for (size_t i = 0; i < ADMIN_SOCKET_CLIENTS; i++) {
        if (a->clients[i].fd >= 0) {
            close_client(&a->clients[i]);
        }
    }
    close(a->fd);
    unlink(a->path);
    a->fd = -1;
}
