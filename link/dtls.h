/* SPDX-License-Identifier: Apache-2.0 */
/* dtls.h - one link over DTLS and UDP, DTLS-UDP-SR-NO-ICE (RFC 6940 6.6.1.1, 6.6.3); for files of
 * link/ only.
 *
 *   dial ---------------------> HANDSHAKE (client) --crossed, the other is larger--> (server)
 *   ClientHello, announced ---> HANDSHAKE (server)
 *   HANDSHAKE --authenticated--> UP <-> SUSPECT -> DOWN      as link/sr says
 *
 * All datagram links of a peer share one socket, so a link is known by its remote address.  Two may
 * have the same for a while: a peer that has restarted shakes hands anew while its old link is not
 * over yet.  The newer one is found first, and the older ends when the newer is authenticated.
 *
 * Nothing here removes a link: an end is a state (DOWN), and link_next takes it from there. */
#pragma once
#include "link/link_table.h"
#include "link/sr.h"

enum {
    DTLS_QUIET_US = 30 * 1000 * 1000, /* design.md 5 */
    /* More than link_room is for what cannot be cut (FR-2). */
    DTLS_MESSAGE_MAX = MSGBUF_SMALL_BYTES - FRAME_DATA_HEADER - TLS_DATAGRAM_OVERHEAD,
};

struct dtls {
    struct sr sr;
    handle older;       /* the link that had the address before, 0: none */
    enum tls_role role; /* of two dials that cross, one turns round */
    uint32_t room;      /* bytes of a message in one datagram */
    /* Until the other side has proved to be there: as many flights as datagrams from it. */
    uint32_t datagrams_in;
    uint32_t flights_out;
    uint64_t heard_us; /* when something authentic came last, or we were told of silence */
    bool is_held;      /* a flight is due, and waits for a datagram */
};

/* Begins a handshake.  ERR_EXISTS: there is one with that address already; when it is with
 * `expect`, *out is that link. */
enum err dtls_dial(struct turn *t, struct link_table *lt, const struct address *remote,
                   const struct node_id *expect, struct link **out) MUST_USE;
/* A datagram has come, from somebody or from nobody. */
void dtls_on_datagram(struct turn *t, struct link_table *lt, const struct address *remote,
                      struct slice datagram);
/* The address has been announced: what waits from there is answered. */
void dtls_replay(struct turn *t, struct link_table *lt, const struct address *remote);
void dtls_on_timer(struct turn *t, struct link_table *lt, struct link *l);
/* Begins to wait for whatever is due next. */
void dtls_arm(struct turn *t, struct link_table *lt, struct link *l);
/* The next message that has come, false when there is none (now). */
bool dtls_read(struct turn *t, struct link_table *lt, struct link *l, uint8_t **message,
               size_t *len);
enum err dtls_send(struct turn *t, struct link_table *lt, struct link *l, struct slice head,
                   struct slice body) MUST_USE;
/* ACKs that are owed, then what the window lets leave.  True: nothing is left to do. */
bool dtls_flush(struct turn *t, struct link_table *lt, struct link *l);
/* It is flushed soon: brings into the caches what that needs. */
void dtls_fetch_ahead(const struct link_table *lt, const struct link *l);
/* The next message that was not acknowledged, NULL after the last; the buffer is the caller's. */
struct msgbuf *dtls_give(struct link *l);
/* Sends what the handshake or an alert has to say. */
void dtls_say(struct turn *t, struct link_table *lt, struct link *l);
/* The link is over: its address is free, or again that of the older one. */
void dtls_leave_address(struct link_table *lt, struct link *l);
/* Gives back what only datagram links have. */
void dtls_release(struct turn *t, struct link_table *lt, struct link *l);
