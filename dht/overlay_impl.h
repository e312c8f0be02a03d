/* SPDX-License-Identifier: Apache-2.0 */
/* overlay_impl.h - the inside of struct overlay, shared by overlay.c (state, requests from above),
 * overlay_receive.c (messages from links: route or queue), overlay_via.c (their way back) and
 * overlay_serve.c (verified messages: dispatch by method) only. */
#pragma once
#include "dht/answer_cache.h"
#include "dht/appattach.h"
#include "dht/cert_usage.h"
#include "dht/chord.h"
#include "dht/config_update.h"
#include "dht/frag.h"
#include "dht/inbox.h"
#include "dht/outgoing.h"
#include "dht/overlay.h"
#include "dht/parked.h"
#include "dht/replicate.h"
#include "dht/sign.h"
#include "dht/store.h"
#include "dht/store_client.h"
#include "dht/via.h"

enum overlay_impl_phase { OVERLAY_IMPL_RUNNING, OVERLAY_IMPL_LEAVING, OVERLAY_IMPL_LEFT };

enum {
    OVERLAY_IMPL_HEADROOM = 64,     /* in front of the header that is rewritten */
    OVERLAY_IMPL_EVENTS_SPARE = 64, /* events that no request of ours ends in */
};

struct overlay {
    struct overlay_settings s;
    struct rl_params params;
    struct link_table *links;
    struct chord_table table;
    struct route route;
    struct inbox inbox;
    struct outgoing out;
    struct parked parked;
    struct via via;
    struct frag *frag;
    struct answer_cache answers;
    struct attach_policy policy;
    struct appattach appattach;
    struct config_update config_update;
    struct sign *sign;
    struct transact *transact;
    struct attach *attach;
    struct chord chord;
    struct topo topo;
    struct store *store;
    struct replicate *replicate;
    struct store_client *client;
    struct cert_usage *cert_usage;
    enum overlay_impl_phase phase;
    bool is_ready;
    uint64_t started_us;
    struct turn seen;             /* times of the latest turn only: for views that are given none */
    uint64_t passed_on_us;        /* when a message was passed on last; 0: never */
    bool has_passed_on;           /* in this turn */
    uint64_t verified_at_us;      /* the last turn with signatures, */
    uint64_t verified_us;         /* and what they cost */
    struct bucket transit_errors; /* errors that we make for messages in transit (TL-5) */
    uint8_t ttl_before;           /* initial-ttl of the last document, which counts until then */
    uint64_t ttl_before_until_us;
    uint32_t message_room; /* max-message-size that memory was taken for */
    uint8_t *scratch;      /* headroom and header of the message being passed on */
    size_t scratch_bytes;
    /* events for overlay_next */
    struct overlay_event *events;
    uint32_t event_cap, event_head, event_count;
    struct overlay_event fetched; /* borrows from `held`; goes after all others */
    struct msgbuf *held;
    struct msgbuf *held_values; /* of a Fetch in parts, likewise */
    bool has_fetched;
};

/* overlay.c */
void overlay_impl_push(struct turn *t, struct overlay *o, const struct overlay_event *event);
bool overlay_impl_has_room(const struct overlay *o);
/* Hands the end of a request to who made it. */
struct transact_result;
/* overlay_ask.c: `event` is the result but for the body. */
void overlay_ask_on_result(struct turn *t, struct overlay *o, const struct transact_result *result,
                           const struct overlay_event *event);
void overlay_impl_on_result(struct turn *t, struct overlay *o,
                            const struct transact_result *result);

/* overlay_receive.c */
void overlay_receive(struct turn *t, struct overlay *o, const struct link_event *event);
/* LINK_UNACKED: the message goes another way, or is for us by now, as from ourselves. */
void overlay_receive_unacked(struct turn *t, struct overlay *o, const struct link_event *event);
/* Another try for what could not be passed on. */
void overlay_receive_parked(struct turn *t, struct overlay *o);

/* overlay_serve.c: one message from the verification queue.  False: it has more signatures than
 * this turn has time for, its sender is proved, and it has to come again. */
bool overlay_serve(struct turn *t, struct overlay *o, const struct inbox_item *item);

/* overlay_via.c */
struct overlay_via_long {
    const struct fwd *h;
    const struct node_id *from; /* the neighbor that the request came from */
    uint16_t code;              /* 0: a fragment that does not tell */
    size_t len;                 /* of the message with that neighbor's entry, how->via_append */
};
/* Keeps the end of the Via List here and puts an opaque id in its place, where that makes the
 * message shorter by more than it costs, or short enough; else nothing changes.  `entry` has room
 * for VIA_ENTRY_BYTES.  Returns the max_response_length that goes on: with room for the list. */
uint32_t overlay_via_shorten(struct turn *t, struct overlay *o, const struct overlay_via_long *what,
                             struct fwd_rewrite *how, uint8_t *entry);
/* A copy of `message` with the list that we keep in place of the id of ours at the end of its Via
 * List; NULL: there is no such id, or no buffer, which is counted. */
struct msgbuf *overlay_via_open(struct turn *t, const struct overlay *o, struct slice message,
                                const struct fwd *h);
/* A copy of `message` with `list`, reversed, in place of the first strip_bytes of its Destination
 * List; NULL: counted. */
struct msgbuf *overlay_via_restore(struct turn *t, const struct overlay *o, struct slice message,
                                   const struct fwd *h, uint16_t strip_bytes, struct slice list);
