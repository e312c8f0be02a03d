/* SPDX-License-Identifier: Apache-2.0 */
/* flow.h - where SIP messages come from and go to: datagrams, connections, sibling shards.
 *
 * A struct flow_ref is a plain value that may be kept and mailed: a phone's UDP address, a stream
 * of the shard that owns it, a peer of the overlay by its Node-ID, or a sibling peer of this
 * process. flow_send finds the way, over the mailbox where the socket is another shard's.
 *
 * Owner:   struct sip; shard-local.  No sockets: streams leave as events (sip_next).
 * Limits:  sip_flows connections, of phones from one address sip_flows_per_host (hosts share a
 * counter where their hashes meet, an IPv6 host is its /64); a partial message is at most
 * MSGBUF_LARGE_BYTES long and 30 s old; a connection must bring a message within 5 s and prove
 * itself within 30 s. RFC:     3261 18, 3581, 5626 3.5.1 and 4.4.1 (keep-alive). */
#pragma once
#include "codec/sip_parser.h"
#include "sip/sip.h"

enum { FLOW_SIBLING = SIP_PEER + 1 }; /* a kind beside enum sip_flow_kind */

struct flow_ref {
    handle flow;           /* streams; 0 for UDP and siblings */
    struct address remote; /* phones */
    struct node_id node;   /* peers and siblings */
    uint16_t shard;        /* that owns the socket; SIBLING: the sibling */
    uint8_t kind;
    uint8_t is_foreign; /* a server of another domain (sip/foreign) */
    uint8_t zero[4];
};
STATIC_CHECK(sizeof(struct flow_ref) == 56);

enum { FLOW_HOSTS = 1024 };

struct flow {
    struct wheel_timer timer;
    handle conn;
    struct msgbuf *partial; /* the beginning of a message */
    struct flow_ref ref;
    uint64_t opened_us, heard_us, partial_us;
    char user[CRYPTO_USER_CAP + 1]; /* peers: of the certificate */
    uint8_t user_len;
    bool has_message; /* a well-framed one has come */
    bool is_proved;   /* authenticated */
    bool is_dialled;
    bool is_partial;     /* WebSocket: node/wrapped has the beginning of a message */
    uint8_t domain[16];  /* of another domain over TLS: a hash of which; else 0 */
    uint32_t clients;    /* client transactions over it */
    uint32_t unanswered; /* peers: INVITEs to which nothing was said so far, */
    uint32_t delay_ms;   /* and how long it took until something was, lately */
    bool is_pressed;     /* peers: what we send waits for them to read */
    uint16_t host;       /* in sip.flow_hosts + 1; 0 = none: a peer */
    uint16_t source;     /* to another domain: who has wanted it first, as struct proxy.source */
    uint32_t account;    /* whose phone it is, as far as it has proved that; UINT32_MAX: nobody's */
    struct sip_parser parser;
};

STATIC_CHECK(sizeof(struct flow) <= LIMITS_COST_sip_flows);
STATIC_CHECK(sizeof(struct sip_event) <= LIMITS_COST_sip_events);

/* Bytes of a stream being read; see flow_next. */
struct flow_read {
    handle flow;
    struct slice bytes;
    struct msgbuf *held;
};

enum flow_got {
    FLOW_GOT_NONE,
    FLOW_GOT_MESSAGE,
    FLOW_GOT_BAD, /* framed, parser.fault says why */
    FLOW_GOT_LOST /* as BAD, but where it ends cannot be told: flow_lose comes next */
};

bool flow_is_reliable(const struct flow_ref *ref);
/* Is every hop that we know of within TLS (RFC 3261 26.2.2)? */
static inline bool flow_is_secure(const struct flow_ref *ref)
{
    return ref->kind >= SIP_TLS && ref->kind != SIP_WS;
}
/* Of which of our phone side's addresses (struct sip.advertised): 0 or 1. */
unsigned flow_side(const struct sip *s, const struct flow_ref *ref);
static inline bool flow_is_peer(const struct flow_ref *ref)
{
    return ref->kind == SIP_PEER || ref->kind == FLOW_SIBLING;
}

struct flow *flow_open(struct turn *t, struct sip *s, enum sip_flow_kind kind, handle conn,
                       const struct address *remote);
/* Is the peer at the other end behind with what it has?  Then new requests for it are refused here
 * and at once, so that those which it will answer, and calls that stand, wait behind few.  It says
 * 100 to each INVITE within TX_TRYING_MS. */
bool flow_is_behind(const struct sip *s, const struct flow_ref *ref);
/* Forgets it and asks the taker of events to close the connection. */
void flow_close(struct turn *t, struct sip *s, struct flow *f);
/* Forgets it. */
void flow_release(struct turn *t, struct sip *s, struct flow *f);
void flow_on_timer(struct turn *t, struct sip *s, struct flow *f);

/* struct flow_read r; flow_begin(...); while ((got = flow_next(...)) != NONE) ...; flow_end(...).
 * The flow may be closed in between.  On FLOW_GOT_* the message is flow->parser.msg. */
void flow_begin(struct turn *t, struct sip *s, struct flow *f, struct slice data,
                struct flow_read *r);
/* Something came in that is no SIP, or not yet. */
void flow_touch(struct turn *t, struct flow *f, bool is_partial);
/* An answer to a keep-alive of a stream or WebSocket. */
void flow_pong(struct turn *t, struct sip *s, struct flow *f);
enum flow_got flow_next(struct turn *t, struct sip *s, struct flow_read *r);
/* Closes a connection whose framing is lost (RFC 3261 18.3). */
void flow_lose(struct turn *t, struct sip *s, struct flow_read *r);
void flow_end(struct turn *t, struct sip *s, struct flow_read *r);

/* Sends `buf`, of which the caller keeps its reference.  ERR_CLOSED: the connection is gone;
 * ERR_LIMIT: no room.  Counted here. */
enum err flow_send(struct turn *t, struct sip *s, const struct flow_ref *ref,
                   struct msgbuf *buf) MUST_USE;
/* Who is at the other end has authenticated itself, as `account` of the node: the caps on strangers
 * no longer count it, and when it ends registrar_on_flow_gone is told. */
void flow_prove(struct turn *t, struct sip *s, const struct flow_ref *ref, uint32_t account);
/* Asks the taker of events for a connection; false: no room, and `buf` is still the caller's. */
bool flow_ask_dial(struct turn *t, struct sip *s, handle tag, struct msgbuf *buf);
/* From IO_MAIL_SIP_SEND. */
void flow_on_mail(struct turn *t, struct sip *s, uint8_t *data, size_t len);
/* Mails a received message to the shard that is to handle it; false: no room (counted). */
bool flow_steer(struct turn *t, struct sip *s, uint16_t shard, const struct flow_ref *from,
                struct slice message);
/* Takes such a mail apart. */
bool flow_unsteer(struct slice mail, struct flow_ref *from, struct slice *message);
