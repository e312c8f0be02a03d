/* SPDX-License-Identifier: Apache-2.0 */
/* sip_state.h - what the files of sip/ share: the state of one shard's phone side.
 *
 * Nobody outside of sip/ includes this.  Each table is owned by the file named beside it. */
#pragma once
#include "codec/msgs.h"
#include "codec/sip_edit.h"
#include "core/pool.h"
#include "core/table.h"
#include "sip/date.h"
#include "sip/mac.h"
#include "sip/tx.h"

enum {
    SIP_STATE_HOST_CAP = 2 * IDS_RING_BYTES + 1 + SIP_DOMAIN_CAP,
    SIP_STATE_AOR_CAP = 320,
    SIP_STATE_LINE_ROOM = 512, /* that sip_state_is_readable leaves below the limits */
};

/* One received message while it is handled. */
struct sip_rx {
    const struct sip_msg *m;
    struct sip_msg_core core;
    struct flow_ref from;
};

struct sip {
    struct sip_settings settings;
    struct overlay *overlay;
    struct rl_params params;
    struct mac_keys keys;
    bool is_draining;
    char domain[SIP_DOMAIN_CAP + 1];        /* lower case */
    char self_host[SIP_STATE_HOST_CAP + 1]; /* <Node-ID in hex>.<domain>: us, for other peers */
    struct slice domain_text, self_text;    /* both, with their lengths */
    char advertised[2][SIP_PEER][ADDRESS_TEXT_CAP]; /* us, for phones: by flow_side and kind */
    struct sip_parser parser;                       /* datagrams and mail */
    struct sip_parser again;                        /* messages of ours that are read once more */
    struct sip_parser proof;                        /* whether they will be readable */
    const struct sip_rx *live;           /* the request that is being handled: no need to */
    const struct msgbuf *live_copy;      /* read it again from its copy */
    uint8_t scratch[MSGBUF_LARGE_BYTES]; /* messages being written */

    struct pool flows;    /* flow */
    uint16_t *flow_hosts; /* FLOW_HOSTS of them: phones' connections by address */
    struct sip_event *events;
    uint32_t event_cap, event_first, event_count;
    struct pool txs; /* tx */
    struct table tx_table;
    uint32_t tx_oldest, tx_newest; /* that have ended: index + 1, 0 = none */
    uint32_t tx_retained;          /* of them, with a message */
    uint32_t tx_unsent;            /* whose response waits for a connection */
    uint32_t tx_hand;              /* where the search for an unacknowledged one goes on */
    struct pool dials;             /* dial */
    struct table dial_table;
    struct pool proxies;  /* proxy */
    struct pool branches; /* fork */
    struct pool lookups;  /* location and speak */
    struct location_cached *located;
    struct speak_cached *spoken;
    struct pool registers; /* registrar */
    struct pool bindings;
    struct pool longs;                  /* binding */
    struct asked *asked;                /* the REGISTER that is being handled */
    struct registrar_account *accounts; /* beside settings.accounts */
    uint32_t gruu_epoch;                /* the last that was given: sip/gruu */
    struct date_cache date;
    struct table account_table;
    struct pool publications;  /* publish */
    struct pool subscriptions; /* subscribe */
    struct table subscription_table;
    uint32_t *watchers;                  /* subscriptions by watcher */
    uint8_t *document;                   /* being written */
    struct pool foreigns, foreign_dials; /* foreign */
    struct resolve_cached *resolved;     /* resolve */
    struct pool offline;                 /* offline */
    uint32_t *senders;                   /* kept messages by sender */
    struct digest_seen *seen;            /* digest */
    struct digest_a2 *last_a2;
    struct guess *guesses; /* guess */
    uint32_t guess_sets;
    uint64_t guess_seed;
    struct proxy_source *sources; /* proxy */
    uint64_t source_seed;
    uint16_t *peer_shares; /* peer_share */
    uint32_t registered;   /* accounts with at least one binding */
    uint64_t requests_in, responses_in, requests_out, responses_out;
    struct sip_setup last_setup; /* location and dial */
};

/* Is `text`, written of `edit`, a message that sip_state_reread can read, and so is what will be
 * made of it: CANCEL, ACK, responses, where "f:" becomes "From: " and To gets a tag?  What came in
 * keeps to the limits of codec/sip_msg.h; with a Via and more in addition it need not, and a peer
 * ends the connection, with all that waits on it, over one line that is too long. */
bool sip_state_is_readable(struct sip *s, const struct sip_edit *edit, struct slice text);
/* Reads a message of ours again, into s->again: valid until the next call (the copy of the request
 * that is just being handled is not read: it is the same).  CHECKs that it is
 * sound: it was when it was kept. */
const struct sip_rx *sip_state_reread(struct sip *s, const struct msgbuf *buf,
                                      const struct flow_ref *from, struct sip_rx *room);
/* The canonical AOR of a URI that is of this overlay's domain: ERR_NOT_FOUND for another domain or
 * no user, ERR_UNSUPPORTED for another scheme.  `alias`: our own address as host means the domain.
 */
enum err sip_state_aor(const struct sip *s, const struct sip_uri *uri, bool alias, char *out,
                       size_t *len) MUST_USE;
/* The same from the text of a URI. */
enum err sip_state_aor_text(const struct sip *s, struct slice text, bool alias, char *out,
                            size_t *len) MUST_USE;
/* Us, as whoever is at the other end of `side` reaches us. */
const char *sip_state_host(const struct sip *s, const struct flow_ref *side);
/* A buffer holding `bytes`; NULL (counted) when there is none. */
struct msgbuf *sip_state_buffer(struct turn *t, struct slice bytes);
