/* SPDX-License-Identifier: Apache-2.0 */
/* sip.h - the phone side of one shard: registrar and proxy (RFC 3261, RFC 7904).
 *
 * Sees phones as flows of plaintext and the overlay through dht/overlay.h, nothing else.
 *
 * Steering.  Each AOR has a home shard, sip_home_shard(aor).  A request is handled, transaction and
 * all, on the home shard of whom it speaks for: REGISTER by its To, a request outside a dialog by
 * its From, one inside a dialog by the shard number that our Record-Route put into its Route, a
 * response by the shard number in our Via branch.  One that arrives elsewhere is mailed there whole
 * together with its flow (IO_MAIL_SIP); what is sent back is mailed to the shard that owns the flow
 * (IO_MAIL_SIP_SEND).  A request from another peer arrives at the callee's home shard by itself.
 *
 * Output: datagrams and mail through turn->out, stream bytes as events (node/path puts TLS
 * between), overlay requests by calling dht/overlay.h with tags that carry HANDLE_SIP_* kinds. */
#pragma once
#include "codec/dns.h"
#include "core/limits.h"
#include "core/turn.h"
#include "dht/overlay.h"

enum { SIP_ACCOUNT_USER_CAP = CRYPTO_USER_CAP, SIP_DOMAIN_CAP = 255 };

/* What a message came over. */
enum sip_flow_kind {
    SIP_UDP,
    SIP_TCP,
    SIP_TLS,
    SIP_WS,  /* WebSocket (RFC 7118) */
    SIP_WSS, /* the same within TLS */
    SIP_PEER /* TLS to another peer, AppAttach */
};

enum sip_digest { SIP_DIGEST_SHA256_MD5, SIP_DIGEST_MD5 };

/* One phone account that may register at this node (design.md section 6). */
struct sip_account {
    char user[SIP_ACCOUNT_USER_CAP + 1]; /* "alice@example.org": AOR without scheme = rfc822Name */
    char ha1_md5[33];                    /* lower-case hex, NUL; empty = this hash is not offered */
    char ha1_sha256[65];
    enum sip_digest digest;
    const struct ident *ident; /* its credential on this node */
};

/* Who may watch presence. */
struct sip_watcher {
    char aor[SIP_ACCOUNT_USER_CAP + 1]; /* or "*": whoever is of the overlay */
};

struct sip_settings {
    char domain[SIP_DOMAIN_CAP + 1];    /* the overlay's name = digest realm */
    const struct sip_account *accounts; /* all of the node, whatever their home shard */
    size_t account_count;
    uint16_t shard;
    uint16_t shards;
    struct node_id self; /* the peer of this shard: the route that is stored */
    struct node_id siblings[OVERLAY_SHARDS_CAP];
    struct address advertised; /* of the phone side, for Via, Record-Route and Contact */
    struct address second;     /* of the other IP family; family 0 = none */
    uint16_t ports[SIP_PEER];  /* by kind, of both; UDP's and TCP's are advertised.port; 0 = none */
    struct address inner[2];   /* of the node's sides for peers, where shard 0 has them, the others
                                  at the ports that follow; family 0 = none */
    uint8_t secret[32];        /* same on all shards of the node: sip/mac */
    uint32_t default_expires_s, min_expires_s, max_expires_s; /* 3600, 60, 7200 */
    bool service_route; /* 200 to REGISTER names this node (RFC 3608) */
    bool presence;      /* presence agent and registration events for who registers here */
    bool foreign;       /* requests to other domains (sip/foreign) */
    bool foreign_tls;   /* TLS to them can be checked */
    uint32_t offline_s; /* MESSAGE for who is not there is kept so long; 0 = not at all */
    const struct sip_watcher *watchers; /* who may watch presence */
    size_t watcher_count;
    const struct limits *limits;
};

enum sip_event_kind {
    SIP_SEND,  /* conn, buf (one reference is the taker's): plaintext for a stream */
    SIP_CLOSE, /* conn: close it once what was sent before has left */
    SIP_DIAL,  /* conn: the tag for sip_dialled; buf: a struct sip_dial, the reference is taken */
};

struct sip_event {
    enum sip_event_kind kind;
    handle conn;
    struct msgbuf *buf;
};

/* A connection to a server of another domain; of TLS the certificate must speak for `domain` (RFC
 * 5922 7.2). */
struct sip_dial {
    struct address to;
    uint8_t kind; /* SIP_TCP, SIP_TLS */
    char domain[DNS_NAME_CAP];
};

struct sip;

size_t sip_bytes(const struct sip_settings *s);
struct sip *sip_init(struct turn *t, struct arena *arena, const struct sip_settings *s,
                     struct overlay *overlay);
/* Stops taking new work: new requests outside a dialog get 503; registrations are kept. */
void sip_drain(struct turn *t, struct sip *s);
/* True when no transaction is open (or none is left after drain). */
bool sip_is_idle(const struct sip *s);

void sip_on_datagram(struct turn *t, struct sip *s, const struct address *remote, uint8_t *data,
                     size_t len);
/* A phone's connection was accepted.  0 when the table is full: the caller aborts the connection.
 */
handle sip_flow_accepted(struct turn *t, struct sip *s, enum sip_flow_kind kind, handle conn,
                         const struct address *remote);
/* A TLS connection to another peer is up and its certificate holds `node_id` and `user`; `dialled`:
 * by us (the AppAttach answerer dials). */
handle sip_peer_up(struct turn *t, struct sip *s, handle conn, const struct node_id *node_id,
                   struct slice user, bool dialled);
/* What we have for the peer waits for it to read, or does so no more. */
void sip_peer_pressed(struct sip *s, handle flow, bool is_pressed);
void sip_on_stream(struct turn *t, struct sip *s, handle flow, uint8_t *data, size_t len);
/* One message of a WebSocket: it is one SIP message, or keep-alive (RFC 7118 5). */
void sip_on_web(struct turn *t, struct sip *s, handle flow, uint8_t *data, size_t len);
/* Something was received on it that is no SIP, or not yet; `is_partial`: the rest of a message is
 * awaited.  False: a stranger's. */
bool sip_flow_touch(struct turn *t, struct sip *s, handle flow, bool is_partial);
void sip_flow_closed(struct turn *t, struct sip *s, handle flow);
/* What became of a SIP_DIAL, TLS handshake and all; conn 0: nothing.  The flow; 0: conn is not
 * wanted (any more). */
handle sip_dialled(struct turn *t, struct sip *s, handle tag, handle conn);
/* From IO_MAIL_DNS. */
void sip_on_dns(struct turn *t, struct sip *s, uint64_t tag, uint8_t *data, size_t len);
/* Everything of kind IO_MAIL_SIP, _SIP_SEND, _SIP_PEER. */
void sip_on_mail(struct turn *t, struct sip *s, uint16_t shard, uint16_t mail, uint64_t tag,
                 uint8_t *data, size_t len);
/* Events of the overlay whose tag is ours, and OVERLAY_READY / OVERLAY_LOST. */
void sip_on_overlay(struct turn *t, struct sip *s, const struct overlay_event *event);
void sip_on_timer(struct turn *t, struct sip *s, struct wheel_timer *timer);
bool sip_next(struct turn *t, struct sip *s, struct sip_event *event);

/* The shard that owns an AOR ("alice@example.org", canonical: user %-decoded, host lower case). */
uint16_t sip_home_shard(struct slice aor, uint16_t shards);

/* How the last callee was found, for people who want to see the price of a call. */
struct sip_setup {
    uint64_t at_us;    /* when the look-up began; 0 = there was none yet */
    uint64_t fetch_us; /* 0 = the short cache knew */
    uint32_t fetch_hops;
    uint64_t appattach_us; /* until the connection was up; 0 = there was one */
};

struct sip_status {
    struct sip_setup last_setup;
    uint32_t bindings, accounts_registered, flows, peer_flows, transactions;
    uint64_t requests_in, responses_in, requests_out, responses_out;
};
void sip_status(const struct sip *s, struct sip_status *out);

/* For ctl resolve and the demo: walks the live bindings of this shard; *index = 0 to start. */
struct sip_binding_info {
    const char *aor;
    struct slice contact;
    uint32_t expires_s;
    bool is_stored; /* the overlay has confirmed it */
};
bool sip_walk_bindings(const struct turn *t, const struct sip *s, uint32_t *index,
                       struct sip_binding_info *out);
