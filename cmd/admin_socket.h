/* SPDX-License-Identifier: Apache-2.0 */
/* admin_socket.h - the unix socket for people: one JSON object a line in, one a line out.
 *
 *   {"cmd": "links"}                                  -> {"rows": [...]}, also peers, ring, stored,
 *                                                        bindings; status has more members in front
 *   {"cmd": "trace", "event": NAME}                   -> the same, of that name; without: of any
 *   {"cmd": "fetch", "name": N, "kind": K}            -> {"rows": [{...}]}, one row
 *   {"cmd": "ping", "name": N} or {..., "node": HEX}  -> the same
 *   {"cmd": "store", "name": N, "kind": K, "value": HEX}  -> the same; the peer itself signs
 *   {"cmd": "histograms"}                             -> {"rows": [...]}, a row each
 *   {"cmd": "metrics"}, {"cmd": "health"}, {"cmd": "drain"}, {"cmd": "reload"}  -> {...}
 *   anything wrong                                    -> {"error": "..."}
 *
 * Owner: the control thread; nothing here blocks.  Who may open the socket (mode 0600) may do all.
 * Limits: ADMIN_SOCKET_CLIENTS; a line of ADMIN_SOCKET_LINE bytes; one request of a client under
 * way; the next rows are asked for when a client has read most of the last; a client that does not
 * read or write for ADMIN_SOCKET_IDLE_US is closed. */
#pragma once
#include "cmd/admin.h"
#include "cmd/say.h"
#include "core/io.h"
#include <poll.h>

enum {
    ADMIN_SOCKET_CLIENTS = 16,
    ADMIN_SOCKET_LINE = 4096,
    ADMIN_SOCKET_OUT = 96 * 1024,
    ADMIN_SOCKET_POLLS = ADMIN_SOCKET_CLIENTS + 1,
    ADMIN_SOCKET_IDLE_US = 60 * 1000 * 1000,
    ADMIN_SOCKET_ANSWER_US = 30 * 1000 * 1000
};

struct admin_client {
    int fd; /* -1 = free */
    uint32_t generation;
    uint64_t active_us; /* read or wrote last */
    bool is_ended;      /* close once everything is written */
    size_t in_len;
    size_t out_at, out_len;
    /* the request under way */
    bool is_busy;
    bool is_waiting;  /* for a shard */
    bool has_rows;    /* the beginning of the answer is written */
    bool wants_comma; /* ... and a row */
    uint64_t asked_us;
    uint32_t shard;
    struct admin_request request;
    char in[ADMIN_SOCKET_LINE];
    char out[ADMIN_SOCKET_OUT];
};

/* What the socket wants of the control thread, which fills it. */
struct admin_socket_host {
    void *context;
    uint32_t shards;
    /* Mails a request; an error becomes the client's answer. */
    enum err (*send)(void *context, uint32_t shard, uint64_t tag, const struct admin_request *r);
    /* Writes the members in front of the rows of ADMIN_STATUS ("\"overlay\":...,"), or all of
     * ADMIN_METRICS, ADMIN_HISTOGRAMS and ADMIN_HEALTH, into `out`; returns how many bytes.
     * ADMIN_RELOAD is done first. */
    size_t (*describe)(void *context, enum admin_verb verb, char *out, size_t cap);
    void (*shut_down)(void *context);
};

struct admin_socket {
    const struct admin_socket_host *host;
    int fd; /* -1 = none */
    const char *path;
    struct admin_client clients[ADMIN_SOCKET_CLIENTS];
};

/* Binds `path`, taking over the socket of a process that is gone. */
enum err admin_socket_open(struct admin_socket *a, const char *path,
                           const struct admin_socket_host *host, char *why) MUST_USE;
void admin_socket_close(struct admin_socket *a);
/* Fills at most ADMIN_SOCKET_POLLS entries; returns how many. */
size_t admin_socket_polls(const struct admin_socket *a, struct pollfd *out);
/* After poll, with the same entries. */
void admin_socket_work(struct admin_socket *a, const struct pollfd *polled, size_t count,
                       uint64_t now_us);
/* A shard's answer. */
void admin_socket_on_answer(struct admin_socket *a, const struct io_event *event, uint64_t now_us);
