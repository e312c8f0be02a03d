/* SPDX-License-Identifier: Apache-2.0 */
/* registrar.h - the phones' contacts, and the one record that the overlay keeps for each account.
 *
 * A REGISTER is planned first, then the overlay is asked to store (or remove) the route, and only
 * when it said yes are the bindings changed and 200 answered; while the record is fresh and ends no
 * later than the contacts, there is nothing to ask.  A contact's flow is where its
 * REGISTER came from; for a phone that knows its own UDP address, the Contact itself.  What the
 * contacts say of themselves goes into the record as contact_prefs (sip/prefs), Path is kept and
 * becomes Route, devices that ask get GRUUs (sip/gruu).
 *
 * Owner:  struct sip; accounts whose home shard this is.
 * Limits: sip_bindings, of one account sip_bindings_per_account; sip_bindings_long of them with
 * much to say; sip_registers waiting. RFC:    3261 10, 3327, 3608, 3840, 5626 6, 5627 5, 7904 3;
 * design.md section 6 (the stored route). */
#pragma once
#include "sip/guess.h"
#include "sip/reply.h"

enum {
    REGISTRAR_URI_CAP = 255,
    REGISTRAR_PATH_CAP = 200,
    REGISTRAR_PARAMS_CAP = 320,
    REGISTRAR_NEAR_BYTES = 232, /* of all three, that stand in the contact itself */
    REGISTRAR_FAR_BYTES = REGISTRAR_URI_CAP + REGISTRAR_PARAMS_CAP + REGISTRAR_PATH_CAP,
};
#define REGISTRAR_NONE UINT32_MAX

struct registrar_binding {
    handle next;
    struct flow_ref flow;
    uint64_t expires_us;
    uint64_t at_us; /* of the last REGISTER */
    uint32_t account;
    uint32_t cseq;
    uint32_t gruu_epoch; /* of its temporary GRUUs */
    uint16_t q_milli;
    uint16_t uri_len;
    uint16_t params_len;
    uint16_t path_len;
    bool has_instance;
    bool is_forward;      /* sip/forward: no contact, an AOR */
    bool is_outbound;     /* RFC 5626: the flow is what is registered */
    uint8_t call_id[16];  /* of a hash */
    uint8_t gruu[8];      /* sip/gruu: the device */
    uint8_t instance[16]; /* of a hash over +sip.instance and reg-id */
    char *text;           /* URI, parameters, Path: `near`, or of sip_bindings_long (sip/binding) */
    char near[REGISTRAR_NEAR_BYTES];
};
STATIC_CHECK(sizeof(struct registrar_binding) <= LIMITS_COST_sip_bindings);

static inline struct slice registrar_uri(const struct registrar_binding *b)
{
    return slice_of(b->text, b->uri_len);
}
static inline enum err registrar_uri_decode(const struct registrar_binding *b, struct sip_uri *out)
{
    size_t room = b->text == b->near ? sizeof(b->near) : REGISTRAR_FAR_BYTES;
    return sip_uri_read(slice_of(b->text, room), 0, b->uri_len, out);
}
/* Of the Contact: features, +sip.instance. */
static inline struct slice registrar_params(const struct registrar_binding *b)
{
    return slice_of(b->text + b->uri_len, b->params_len);
}
/* RFC 3327: Route values for requests to it. */
static inline struct slice registrar_path(const struct registrar_binding *b)
{
    return slice_of(b->text + b->uri_len + b->params_len, b->path_len);
}

struct registrar_account {
    struct wheel_timer timer;
    handle first; /* binding */
    uint32_t count;
    uint32_t proxies; /* requests of it that are being forwarded */
    uint32_t waiting; /* stores under way, refreshes included */
    uint32_t queries; /* sip/elsewhere: under way */
    struct guess_level guesses;
    uint64_t stored_until_us;                    /* 0 = the overlay has no record of ours */
    handle publications, subscriptions, offline; /* the first of each */
    uint32_t mark, mark_asked;                   /* of the value in it, and of the one under way */
    uint32_t mark_only; /* of the value for a lone contact whose parameters have this hash */
    uint64_t only;      /* 0: none */
    uint64_t refresh_us;
    uint64_t put_back_us; /* not again before */
};

/* A REGISTER that waits for the overlay. */
struct registrar_wait {
    handle tx;
    struct msgbuf *request;
    struct flow_ref from;
    uint32_t account;
    uint32_t lifetime_s; /* 0: removal */
};
STATIC_CHECK(sizeof(struct registrar_wait) <= LIMITS_COST_sip_registers);

enum registrar_timer { REGISTRAR_TIMER = 1 };
enum { REGISTRAR_PUT_BACK_S = 10 };

/* contact_prefs of a record where nobody is but who takes messages (sip/offline). */
#define REGISTRAR_MAILBOX_PREFS SLICE_LITERAL("(&(sip.automata=TRUE)(sip.methods=MESSAGE))")

void registrar_init(struct sip *s, struct arena *arena, uint64_t seed);
/* Index into settings.accounts, or REGISTRAR_NONE. */
uint32_t registrar_find(const struct sip *s, struct slice aor);
bool registrar_is_live(const struct turn *t, const struct sip *s, uint32_t account);
/* Walks the live bindings of an account: *at = 0 to start; NULL at the end. */
const struct registrar_binding *registrar_next(const struct turn *t, const struct sip *s,
                                               uint32_t account, handle *at);
void registrar_on_request(struct turn *t, struct sip *s, const struct sip_rx *rx, struct tx *tx);
/* 200 to a REGISTER without Contact: what is here, and of `event` (the records of the AOR) what is
 * elsewhere; NULL, or an error in it: a Warning. */
void registrar_answer_query(struct turn *t, struct sip *s, const struct sip_rx *rx, struct tx *tx,
                            uint32_t account, const struct overlay_event *event);
void registrar_on_stored(struct turn *t, struct sip *s, const struct overlay_event *event);
void registrar_on_timer(struct turn *t, struct sip *s, struct wheel_timer *timer);
/* A phone's connection has ended: contacts registered over it go (RFC 5626 5.3; a flow that has
 * failed), since they are reached over it alone.  The overlay's record stays until its time. */
void registrar_on_flow_gone(struct turn *t, struct sip *s, uint32_t account,
                            const struct flow_ref *flow);
/* Somebody has looked for the account's record and not found it: it is stored anew, once in
 * REGISTRAR_PUT_BACK_S.  False: nothing is on its way. */
bool registrar_put_back(struct turn *t, struct sip *s, uint32_t account);
/* The overlay is there (again): records are put back soon. */
void registrar_on_ready(struct turn *t, struct sip *s);
