/* SPDX-License-Identifier: Apache-2.0 */
/* link.h - authenticated links to other peers: messages in, messages out (RFC 6940 6.6).
 *
 * A link is a TLS connection over TCP that carries framed RELOAD messages (TLS-TCP-FH-NO-ICE), a
 * DTLS connection over UDP with simple reliability (DTLS-UDP-SR-NO-ICE), or the in-process
 * connection to a sibling peer.  Whoever is above sees messages and link states,
 * never bytes of a connection; whoever is below (node/path) hands in io events.
 *
 * Owner:  one link_table for each peer.  Threads: shard-local.
 * Events: nothing is called back; after each call that takes input, take events with link_next
 * until it returns false. Limits: settings.links in total, settings.handshaking of them not yet
 * authenticated, of those settings.handshaking_per_host from one address; each bounded in bytes
 * queued.  Of datagrams: see link/announced.h for who is answered at all.
 *
 * Names in the RFC: the set of links that are up is the Connection Table. */
#pragma once
#include "codec/ids.h"
#include "core/turn.h"
#include "link/tls.h"

enum { LINK_HEADROOM = 64 };

enum link_event_kind {
    LINK_UP,       /* authenticated; node_id, user, is_ours */
    LINK_MESSAGE,  /* message: one RELOAD message, borrowed and writable until the next link call */
    LINK_SUSPECT,  /* a frame is unacknowledged for one RTO: take it out of the Routing Table */
    LINK_RESTORED, /* acknowledgements came back */
    LINK_QUIET, /* nothing was heard on a datagram link for 30 s: ask, so that its end is noticed */
    LINK_UNACKED, /* message: was sent, never acknowledged, and its link is gone (before LINK_DOWN)
                   */
    LINK_DOWN,    /* gone, also when it never came up: error says why, node_id as far as known.
                     ERR_EXISTS: another link to the node is kept (AT-18), link_find names it;
                     ERR_DUPLICATE: the other end is ourselves */
};

struct link_event {
    enum link_event_kind kind;
    handle link;
    struct node_id node_id;
    enum err error;
    uint64_t tag; /* of link_dial, in LINK_UP and LINK_DOWN */
    uint8_t *message;
    size_t message_len;
    size_t headroom;   /* writable bytes in front of a LINK_MESSAGE: LINK_HEADROOM, or 0 */
    struct slice user; /* LINK_UP, LINK_DOWN: certificate user name (host, for replica placement) */
    bool is_local;     /* sibling in this process */
    bool was_up;       /* LINK_DOWN: there was a LINK_UP before */
};

struct link_settings {
    const struct tls_ops *tls;
    void *tls_context;                /* our certificate and key, for both roles */
    const struct crypto_trust *trust; /* borrowed for the life of the table */
    struct node_id self;
    uint16_t shard;             /* of this peer, for mail to siblings */
    uint32_t max_message_bytes; /* LK-9 */
    uint32_t links;
    uint32_t handshaking;
    uint32_t handshaking_per_host; /* 0 = no such cap */
    uint32_t handshakes_per_s;     /* that strangers begin; 0 = any number */
    uint32_t handshakes_per_host_s;
    uint64_t handshake_timeout_us; /* accepted or dialled, until authenticated: default 5 s */
    uint64_t retain_us;            /* how long a suspect link may recover: 8 s (design.md 5) */
    uint32_t queue_bytes;          /* per link, not yet taken by the kernel: default 256 KiB */
    uint32_t retained_bytes;       /* per link, sent and not yet acknowledged: default 64 KiB */
    /* datagram links */
    uint32_t links_datagram; /* of links; 0: none, and datagrams are dropped */
    uint32_t announced;      /* addresses that Attach has announced */
    uint32_t parked;         /* datagrams from addresses that may still be announced */
    uint32_t datagram_bytes; /* payload of UDP that reaches everybody unfragmented */
    uint64_t secret;         /* against remote addresses chosen to collide */
};

struct link_table;

/* Bytes of arena that link_table_init takes. */
size_t link_table_bytes(const struct link_settings *s);
struct link_table *link_table_init(struct arena *arena, const struct link_settings *s);

/* Dials `remote`.  `expect` (NULL: learn it from the certificate, as towards a bootstrap node) must
 * be the Node-ID in the peer's certificate or the link is closed (AT-13, AT-14).  The outcome is
 * LINK_UP or LINK_DOWN with `tag`.  ERR_LIMIT when the table is full. */
enum err link_dial(struct turn *t, struct link_table *lt, const struct address *remote,
                   const struct node_id *expect, uint64_t tag, handle *link) MUST_USE;

/* The same over DTLS, from the socket of our listener: the outcome is a datagram link.  ERR_EXISTS
 * when that address shakes hands already, with somebody else; ERR_UNSUPPORTED: there are none. */
enum err link_dial_datagram(struct turn *t, struct link_table *lt, const struct address *remote,
                            const struct node_id *expect, uint64_t tag, handle *link) MUST_USE;
/* `node_id` has said, signed, that it will dial us from one of these addresses: a ClientHello from
 * there is answered for a while, also one that has come before. */
void link_announce(struct turn *t, struct link_table *lt, const struct node_id *node_id,
                   const struct address *addresses, size_t count);

/* The in-process link to the sibling peer of `shard`: LINK_UP follows at once. */
void link_add_sibling(struct turn *t, struct link_table *lt, uint16_t shard,
                      const struct node_id *node_id, struct slice user);
/* The sibling's peer has left. */
void link_remove_sibling(struct turn *t, struct link_table *lt, uint16_t shard);

/* From node/path: a connection was accepted for us; an error means it has been aborted (and
 * counted). *link is what the other link_on_ functions and the user's record of the connection
 * want. */
enum err link_on_accepted(struct turn *t, struct link_table *lt, handle conn,
                          const struct address *remote, handle *link) MUST_USE;
/* tag of IO_OP_CONNECT is the link's handle. */
void link_on_connected(struct turn *t, struct link_table *lt, handle link, handle conn,
                       enum err error);
/* `data` is read, not copied: it must stay until link_next has returned false, or until the next
 * link_on_stream or link_flush. */
void link_on_stream(struct turn *t, struct link_table *lt, handle link, uint8_t *data, size_t len);
void link_on_sent(struct turn *t, struct link_table *lt, handle link, size_t len);
void link_on_closed(struct turn *t, struct link_table *lt, handle link, enum err error);
/* Anything that our datagram listener has received. */
void link_on_datagram(struct turn *t, struct link_table *lt, const struct address *remote,
                      const uint8_t *data, size_t len);
void link_on_mail(struct turn *t, struct link_table *lt, uint16_t shard, uint8_t *data, size_t len);
void link_on_timer(struct turn *t, struct link_table *lt, struct wheel_timer *timer);

/* The next event, false when there is none. */
bool link_next(struct turn *t, struct link_table *lt, struct link_event *event);

/* Queues one message, given in two parts so that a transit message is copied exactly once: into the
 * record that link_flush seals.  ERR_CLOSED (no such link or not up), ERR_TOO_LARGE (above
 * max_message_bytes, or what one datagram carries), ERR_LIMIT (its queue is full: counted, the
 * message is lost). */
enum err link_send(struct turn *t, struct link_table *lt, handle link, struct slice head,
                   struct slice body) MUST_USE;
/* Room for a message of `room` bytes or more (*cap: how much there is) in what the link gathers, to
 * write it where it leaves from.  NULL: there is none, link_send will say why.  Nothing has been
 * sent before link_commit, the next call about this link, says how long the message has become. */
uint8_t *link_claim(struct turn *t, struct link_table *lt, handle link, size_t room, size_t *cap);
void link_commit(struct turn *t, struct link_table *lt, handle link, size_t len);
/* How many bytes of a message fit into one datagram of the link that reaches everybody: longer ones
 * should go as fragments (6.7).  0: any number, it is no datagram link. */
size_t link_room(const struct link_table *lt, handle link);
/* End of the turn: everything gathered leaves, many frames in one TLS record; then one ACK.  It may
 * find a link dead: take events afterwards, or with those of the next turn. */
void link_flush(struct turn *t, struct link_table *lt);
/* Asks the memory for what the next turn reads of the table, or (not 0) of one link.  See
 * node_fetch_ahead. */
void link_fetch_ahead(const struct link_table *lt, handle link);
/* Sends what is queued, then closes; LINK_DOWN(ERR_CLOSED) follows. */
void link_close(struct turn *t, struct link_table *lt, handle link);

/* Has it come up, and not ended? */
bool link_is_up(const struct link_table *lt, handle link);
/* The link that is up to `node_id`, 0 when there is none. */
handle link_find(const struct link_table *lt, const struct node_id *node_id);

struct link_info {
    handle link;
    struct node_id node_id;
    struct address remote;
    struct address listens; /* see link_note_listens; port 0: unknown */
    char user[CRYPTO_USER_CAP + 1];
    bool is_up, is_local, is_suspect, is_dialled, is_datagram;
    uint64_t up_since_us, srtt_us, rto_us;
    uint64_t messages_in, messages_out, bytes_in, bytes_out;
    uint32_t queued_bytes, unacked_frames;
    uint64_t certificate_not_after_ms;
};
/* Where the node at the other end can be dialled, by its own word, which nobody has tried.  Nothing
 * happens where there is no such link. */
void link_note_listens(struct link_table *lt, handle link, const struct address *at);
/* Walks all links: start with *index = 0; false at the end. */
bool link_walk(const struct link_table *lt, uint32_t *index, struct link_info *out);
uint32_t link_count_up(const struct link_table *lt);
