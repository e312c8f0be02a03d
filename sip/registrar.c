/* SPDX-License-Identifier: Apache-2.0 */
/* registrar.c - see registrar.h.  The way of a REGISTER: registrar_on_request (whose AOR, digest,
 * plan, overlay_store) ... registrar_on_stored (apply, 200). */
#include "sip/registrar.h"
#include "sip/binding.h"
#include "sip/digest.h"
#include "sip/gruu.h"
#include "sip/offline.h"
#include "sip/outbound.h"
#include "sip/prefs.h"
#include "sip/refusal.h"
#include "sip/subscribe.h"

#define US_PER_S UINT64_C(1000000)
enum { RETRY_S = 5, READY_SPREAD_MS = 2000, WORTH_REFRESHING_S = 10 };
enum { ROUTE_CAP = 64 + PREFS_WRITE_CAP };

/* What a REGISTER would change. */
struct plan {
    struct refusal refused;
    uint32_t longest_s; /* of all contacts afterwards */
    uint32_t count;     /* contacts afterwards */
};

/* One contact of a REGISTER. */
struct contact {
    struct sip_hdr_address address;
    struct sip_uri uri;
    uint32_t expires_s;
    bool has_instance;
    bool has_reg_id;
    struct slice instance_text;
    uint8_t instance[16];
};

static struct registrar_binding *get(const struct sip *s, handle h)
{
    return pool_get(&s->bindings, h);
}

static uint32_t remaining_s(const struct turn *t, uint64_t until_us)
{
    return until_us <= t->now_us ? 0 : (uint32_t)((until_us - t->now_us + US_PER_S - 1) / US_PER_S);
}

static void hash16(struct turn *t, struct slice text, uint8_t out[16])
{
    uint8_t hash[CRYPTO_SHA256_BYTES];
    t->crypto->sha256(text, hash);
    memcpy(out, hash, 16);
}

void registrar_init(struct sip *s, struct arena *arena, uint64_t seed)
{
    size_t count = s->settings.account_count;
    s->accounts = ARENA_ARRAY(arena, struct registrar_account, count + 1);
    table_init(&s->account_table, arena, (uint32_t)count + 1, SIP_ACCOUNT_USER_CAP, seed);
    for (uint32_t i = 0; i < count; i++) {
        char key[SIP_ACCOUNT_USER_CAP] = {0};
        struct slice user = slice_text(s->settings.accounts[i].user);
        CHECK(user.len <= sizeof(key));
        memcpy(key, user.data, user.len);
        enum err e = table_insert(&s->account_table, key, i);
        CHECK(e == ERR_OK); /* the configuration names an account once */
        s->accounts[i].timer.tag = handle_make(HANDLE_SIP_REG, 0, i);
        s->accounts[i].timer.what = REGISTRAR_TIMER;
    }
}

uint32_t registrar_find(const struct sip *s, struct slice aor)
{
    char key[SIP_ACCOUNT_USER_CAP] = {0};
    uint32_t index = REGISTRAR_NONE;
    if (aor.len == 0 || aor.len > sizeof(key)) {
        return REGISTRAR_NONE;
    }
    memcpy(key, aor.data, aor.len);
    return table_find(&s->account_table, key, &index) ? index : REGISTRAR_NONE;
}

const struct registrar_binding *registrar_next(const struct turn *t, const struct sip *s,
                                               uint32_t account, handle *at)
{
    const struct registrar_binding *b = NULL;
    CHECK(account < s->settings.account_count);
    handle next = *at;
    if (next == 0) {
        next = s->accounts[account].first;
    } else {
        b = get(s, next);
        next = b == NULL ? 0 : b->next;
    }
    while ((b = get(s, next)) != NULL && b->expires_us <= t->now_us) {
        next = b->next;
    }
    *at = next;
    return b;
}

bool registrar_is_live(const struct turn *t, const struct sip *s, uint32_t account)
{
    handle at = 0;
    return registrar_next(t, s, account, &at) != NULL;
}

/* ---- bindings */

static void count_changed(struct turn *t, struct sip *s, uint32_t account, uint32_t before,
                          uint32_t after)
{
    if (before == 0 && after > 0) {
        s->registered++;
    } else if (before > 0 && after == 0) {
        s->registered--;
    }
    metric_set(t->metrics, METRIC_sip_bindings, s->bindings.in_use);
    subscribe_changed(t, s, account, SUBSCRIBE_ALL);
}

static void drop(struct turn *t, struct sip *s, struct registrar_binding *gone)
{
    struct registrar_account *a = &s->accounts[gone->account];
    handle h = pool_handle(&s->bindings, gone);
    handle *link = &a->first;
    while (*link != h) {
        struct registrar_binding *b = get(s, *link);
        CHECK(b != NULL);
        link = &b->next;
    }
    *link = gone->next;
    uint32_t account = gone->account;
    binding_clear(s, gone);
    pool_release(&s->bindings, gone);
    CHECK(a->count > 0);
    a->count--;
    count_changed(t, s, account, a->count + 1, a->count);
}

static void drop_expired(struct turn *t, struct sip *s, uint32_t account)
{
    handle next = s->accounts[account].first;
    struct registrar_binding *b = NULL;
    while ((b = get(s, next)) != NULL) {
        next = b->next;
        if (b->expires_us <= t->now_us) {
            drop(t, s, b);
        }
    }
}

static bool is_same_contact(const struct registrar_binding *b, const struct contact *c)
{
    struct sip_uri uri;
    if (b->has_instance && c->has_instance) {
        return memcmp(b->instance, c->instance, sizeof(b->instance)) == 0;
    }
    return sip_uri_decode(registrar_uri(b), &uri) == ERR_OK && sip_uri_is_equal(&uri, &c->uri);
}

static struct registrar_binding *find_contact(const struct sip *s, uint32_t account,
                                              const struct contact *c)
{
    struct registrar_binding *b = get(s, s->accounts[account].first);
    while (b != NULL && !is_same_contact(b, c)) {
        b = get(s, b->next);
    }
    return b;
}

/* ---- reading a REGISTER */

static uint32_t default_expires(const struct sip *s, const struct sip_rx *rx)
{
    uint32_t seconds = 0;
    struct slice value = sip_msg_first(rx->m, SIP_HDR_EXPIRES);
    if (value.data == NULL) {
        return s->settings.default_expires_s;
    }
    enum err e = sip_hdr_number_decode(value, UINT32_MAX, &seconds);
    if (e == ERR_TOO_LARGE) {
        return UINT32_MAX;
    }
    return e == ERR_OK ? seconds : s->settings.default_expires_s;
}

static enum err read_contact(struct turn *t, const struct sip *s, const struct sip_rx *rx,
                             struct slice item, struct contact *c)
{
    struct sip_lex_param p;
    *c = (struct contact){0};
    if (sip_hdr_address_decode(item, &c->address) != ERR_OK || c->address.is_star ||
        sip_uri_decode(c->address.uri, &c->uri) != ERR_OK ||
        (c->uri.scheme != SIP_URI_SIP && c->uri.scheme != SIP_URI_SIPS)) {
        return ERR_MALFORMED;
    }
    if (c->uri.scheme == SIP_URI_SIPS && !flow_is_secure(&rx->from)) {
        return ERR_FORBIDDEN; /* it could not be reached over TLS */
    }
    struct gruu g;
    gruu_read(s, &c->uri, &g);
    if (g.kind != GRUU_NONE) { /* 5627 5.1: a contact that is a GRUU would lead to itself */
        return ERR_UNSUPPORTED;
    }
    if (c->address.uri.len > REGISTRAR_URI_CAP) {
        return ERR_TOO_LARGE;
    }
    c->expires_s = c->address.has_expires ? c->address.expires_s : default_expires(s, rx);
    if (c->expires_s > s->settings.max_expires_s) {
        c->expires_s = s->settings.max_expires_s;
    }
    if (sip_lex_param_find(c->address.params, SLICE_LITERAL("+sip.instance"), &p) &&
        p.value.len > 0) {
        uint8_t text[CRYPTO_SHA256_BYTES + sizeof(uint32_t)];
        uint32_t id = 0; /* 1 to 2^31 - 1 (5626 4.2): anything else is none */
        struct wr w = wr_init(text, sizeof(text));
        t->crypto->sha256(p.value, wr_claim(&w, CRYPTO_SHA256_BYTES));
        c->instance_text = p.value;
        c->has_reg_id = sip_lex_param_find(c->address.params, SLICE_LITERAL("reg-id"), &p) &&
                        sip_lex_u32(p.value, INT32_MAX, &id) == ERR_OK && id > 0;
        wr_u32(&w, id);
        hash16(t, wr_slice(&w), c->instance);
        c->has_instance = true;
    }
    return ERR_OK;
}

/* RFC 3261 10.3 step 7: an older request of the same registrar client changes nothing. */
static bool is_in_order(struct turn *t, const struct sip_rx *rx, const struct registrar_binding *b)
{
    uint8_t call_id[16];
    hash16(t, rx->core.call_id, call_id);
    return memcmp(call_id, b->call_id, sizeof(call_id)) != 0 || rx->core.cseq.number > b->cseq;
}

static bool plan_star(struct turn *t, struct sip *s, const struct sip_rx *rx, uint32_t account,
                      struct plan *p)
{
    if (default_expires(s, rx) != 0 || !sip_msg_has(rx->m, SIP_HDR_EXPIRES)) {
        return refusal_set(&p->refused, 400, "Contact: * needs Expires: 0");
    }
    for (struct registrar_binding *b = get(s, s->accounts[account].first); b != NULL;
         b = get(s, b->next)) {
        if (!is_in_order(t, rx, b)) {
            return refusal_set(&p->refused, 400, "CSeq is not higher than that of the binding");
        }
    }
    p->count = 0;
    p->longest_s = 0;
    return true;
}

static bool plan_contact(struct turn *t, struct sip *s, const struct sip_rx *rx, uint32_t account,
                         const struct contact *c, struct plan *p)
{
    if (c->expires_s != 0 && c->expires_s < s->settings.min_expires_s) {
        return refusal_set(&p->refused, 423, "The registration would be too short");
    }
    const struct registrar_binding *b = find_contact(s, account, c);
    if (b != NULL && !is_in_order(t, rx, b)) {
        return refusal_set(&p->refused, 400, "CSeq is not higher than that of the binding");
    }
    if (c->expires_s == 0) {
        p->count -= b != NULL && p->count > 0 ? 1 : 0;
        return true;
    }
    p->count += b == NULL ? 1 : 0;
    p->longest_s = c->expires_s > p->longest_s ? c->expires_s : p->longest_s;
    return true;
}

static bool is_touched(struct turn *t, struct sip *s, const struct sip_rx *rx,
                       const struct registrar_binding *b)
{
    bool is_it = false;
    struct slice item;
    struct sip_msg_items it = sip_msg_items(rx->m, SIP_HDR_CONTACT);
    while (!is_it && sip_msg_items_next(&it, &item) == ERR_OK) {
        struct contact c;
        is_it = read_contact(t, s, rx, item, &c) == ERR_OK && is_same_contact(b, &c);
    }
    return is_it;
}

/* Longest of the bindings that the request does not touch. */
static uint32_t longest_untouched(struct turn *t, struct sip *s, const struct sip_rx *rx,
                                  uint32_t account)
{
    uint32_t longest = 0;
    for (struct registrar_binding *b = get(s, s->accounts[account].first); b != NULL;
         b = get(s, b->next)) {
        uint32_t left = is_touched(t, s, rx, b) ? 0 : remaining_s(t, b->expires_us);
        longest = left > longest ? left : longest;
    }
    return longest;
}

static bool make_plan(struct turn *t, struct sip *s, const struct sip_rx *rx, uint32_t account,
                      struct plan *p)
{
    struct slice item;
    uint32_t items = 0;
    bool has_star = false;
    drop_expired(t, s, account);
    *p = (struct plan){.count = s->accounts[account].count};
    if (outbound_path(rx, NULL) > REGISTRAR_PATH_CAP) {
        return refusal_set(&p->refused, 513, "Path is too long");
    }
    struct sip_msg_items it = sip_msg_items(rx->m, SIP_HDR_CONTACT);
    while (sip_msg_items_next(&it, &item) == ERR_OK) {
        struct contact c;
        items++;
        if (slice_is_equal(sip_lex_trim(item), SLICE_LITERAL("*"))) {
            has_star = true;
            continue;
        }
        if (items > s->settings.limits->sip_bindings_per_account) {
            return refusal_set(&p->refused, 403, "Too many contacts");
        }
        enum err e = read_contact(t, s, rx, item, &c);
        if (e != ERR_OK) {
            return refusal_set(&p->refused, e == ERR_UNSUPPORTED ? 403 : 400,
                               e == ERR_FORBIDDEN ? "A sips Contact is registered over TLS"
                                                  : "A Contact that cannot be used");
        }
        if (!plan_contact(t, s, rx, account, &c, p)) {
            return false;
        }
        if (outbound_is_asked(rx, c.has_reg_id) && outbound_is_broken(rx)) {
            return refusal_set(&p->refused, 439, "The first hop does not keep flows");
        }
    }
    if (has_star) {
        return items == 1 ? plan_star(t, s, rx, account, p)
                          : refusal_set(&p->refused, 400, "Contact: * stands alone");
    }
    if (p->count > s->settings.limits->sip_bindings_per_account) {
        return refusal_set(&p->refused, 403, "Too many contacts of this account");
    }
    uint32_t untouched = longest_untouched(t, s, rx, account);
    p->longest_s = untouched > p->longest_s ? untouched : p->longest_s;
    return true;
}

/* Did a proxy bring it?  Then the contact is reached the same way back, whatever host it names. */
static bool is_brought(const struct sip_rx *rx)
{
    struct slice item;
    struct sip_msg_items it = sip_msg_items(rx->m, SIP_HDR_VIA);
    return sip_msg_items_next(&it, &item) == ERR_OK && sip_msg_items_next(&it, &item) == ERR_OK;
}

/* Where to reach a contact: see registrar.h. */
static struct flow_ref flow_of(const struct sip_rx *rx, const struct contact *c)
{
    struct flow_ref flow = tx_server_return(&rx->core, &rx->from);
    struct address via, contact;
    enum { SIP_PORT = 5060 };
    if (rx->from.kind == SIP_UDP && !is_brought(rx) &&
        address_parse(rx->core.via.host, SIP_PORT, &via) == ERR_OK &&
        address_parse(c->uri.host, SIP_PORT, &contact) == ERR_OK) {
        via.port = rx->core.via.port == 0 ? SIP_PORT : rx->core.via.port;
        contact.port = c->uri.port == 0 ? SIP_PORT : c->uri.port;
        if (address_is_equal(&via, &rx->from.remote) &&
            address_is_same_host(&contact, &rx->from.remote)) {
            flow.remote = contact;
        }
    }
    return flow;
}

static bool apply_contact(struct turn *t, struct sip *s, const struct sip_rx *rx, uint32_t account,
                          const struct contact *c)
{
    struct registrar_account *a = &s->accounts[account];
    struct registrar_binding *b = find_contact(s, account, c);
    if (c->expires_s == 0) {
        if (b != NULL) {
            drop(t, s, b);
        }
        return true;
    }
    if (b == NULL) {
        b = a->count < s->settings.limits->sip_bindings_per_account ? pool_acquire(&s->bindings)
                                                                    : NULL;
        if (b == NULL) {
            metric_add(t->metrics, METRIC_pool_exhausted, 1);
            return false;
        }
        if (!binding_write(t, s, b, &c->address, rx)) {
            pool_release(&s->bindings, b);
            return false;
        }
        b->account = account;
        b->next = a->first;
        a->first = pool_handle(&s->bindings, b);
        a->count++;
        count_changed(t, s, account, a->count - 1, a->count);
    } else if (!binding_write(t, s, b, &c->address, rx)) {
        return false;
    }
    b->flow = flow_of(rx, c);
    b->expires_us = t->now_us + c->expires_s * US_PER_S;
    b->at_us = t->now_us;
    b->cseq = rx->core.cseq.number;
    b->q_milli = c->address.q_milli;
    b->has_instance = c->has_instance;
    memcpy(b->instance, c->instance, sizeof(b->instance));
    b->is_outbound = outbound_is_asked(rx, c->has_reg_id);
    if (c->has_instance) {
        gruu_instance(t, slice_text(s->settings.accounts[account].user), c->instance_text, b->gruu);
    }
    hash16(t, rx->core.call_id, b->call_id);
    return true;
}

static bool apply(struct turn *t, struct sip *s, const struct sip_rx *rx, uint32_t account)
{
    struct slice item;
    struct sip_msg_items it = sip_msg_items(rx->m, SIP_HDR_CONTACT);
    bool all = true;
    while (sip_msg_items_next(&it, &item) == ERR_OK) {
        struct contact c;
        if (slice_is_equal(sip_lex_trim(item), SLICE_LITERAL("*"))) {
            struct registrar_binding *b = NULL;
            while ((b = get(s, s->accounts[account].first)) != NULL) {
                drop(t, s, b);
            }
        } else if (read_contact(t, s, rx, item, &c) == ERR_OK) {
            all = apply_contact(t, s, rx, account, &c) && all;
        }
    }
    return all;
}

/* ---- the overlay */

static void arm(struct turn *t, struct sip *s, uint32_t account)
{
    struct registrar_account *a = &s->accounts[account];
    uint64_t due = a->count > 0 && a->waiting == 0 ? a->refresh_us : UINT64_MAX;
    for (struct registrar_binding *b = get(s, a->first); b != NULL; b = get(s, b->next)) {
        due = min_u64(due, b->expires_us);
    }
    if (due == UINT64_MAX) {
        wheel_cancel(t->wheel, &a->timer);
    } else {
        wheel_arm(t->wheel, &a->timer, due);
    }
}

/* Adds one device; false: nothing can be said of all of them. */
static bool add_device(struct sip_writer *w, struct slice params)
{
    return params.len > 0 && prefs_write(w, params);
}

/* contact_prefs: any of the devices that there will be after `rx` (NULL: that there are).  Empty
 * where one of them has said nothing of itself, or it is too long: no restriction. */
static struct slice prefs_of(struct turn *t, struct sip *s, uint32_t account,
                             const struct sip_rx *rx, char *out)
{
    struct sip_writer w;
    struct slice item, text;
    bool is_all = true;
    sip_write_init(&w, (uint8_t *)out, PREFS_WRITE_CAP);
    sip_write_text(&w, "(|");
    struct sip_msg_items it = {0};
    if (rx != NULL) {
        it = sip_msg_items(rx->m, SIP_HDR_CONTACT);
    }
    while (rx != NULL && is_all && sip_msg_items_next(&it, &item) == ERR_OK) {
        struct contact c;
        if (read_contact(t, s, rx, item, &c) == ERR_OK && c.expires_s > 0) {
            is_all = add_device(&w, c.address.params);
        }
    }
    for (struct registrar_binding *b = get(s, s->accounts[account].first); b != NULL && is_all;
         b = get(s, b->next)) {
        if (rx == NULL || !is_touched(t, s, rx, b)) {
            is_all = add_device(&w, registrar_params(b));
        }
    }
    sip_write_text(&w, ")");
    return is_all && sip_write_finish(&w, &text) == ERR_OK && text.len > 3 ? text : SLICE_EMPTY;
}

/* FNV-1a: tells whether the record has other preferences than it should. */
static uint32_t mark_of(struct slice prefs)
{
    uint32_t hash = UINT32_C(2166136261);
    for (size_t i = 0; i < prefs.len; i++) {
        hash = (hash ^ prefs.data[i]) * UINT32_C(16777619);
    }
    return hash;
}

/* Nobody is here, but who takes messages is (sip/offline). */
#define MAILBOX_PREFS SLICE_LITERAL("(&(sip.automata=TRUE)(sip.methods=MESSAGE))")

/* Stores the route [self] for `lifetime_s`, or removes it (0; then what is left of the record's
 * life is how long the removal must stand, RFC 6940 7.4.1.3).  `rx`: what is about to be applied.
 */
static enum err store(struct turn *t, struct sip *s, uint32_t account, const struct sip_rx *rx,
                      uint32_t lifetime_s, uint64_t tag)
{
    const struct sip_account *who = &s->settings.accounts[account];
    uint8_t list[FWD_NODE_BYTES_MAX], value[ROUTE_CAP];
    char prefs[PREFS_WRITE_CAP];
    bool is_mailbox = lifetime_s == 0 && s->settings.offline_s > 0;
    struct slice wanted = is_mailbox ? MAILBOX_PREFS : prefs_of(t, s, account, rx, prefs);
    struct wr w = wr_init(list, sizeof(list));
    fwd_wr_node(&w, &s->params, &s->settings.self);
    struct msgs_sip_registration route = {
        .type = MSGS_SIP_ROUTE, .contact_prefs = wanted, .destination_list = wr_slice(&w)};
    struct wr v = wr_init(value, sizeof(value));
    msgs_sip_registration_wr(&v, &s->params, &route);
    CHECK(wr_ok(&v));
    uint32_t left = remaining_s(t, s->accounts[account].stored_until_us);
    struct overlay_store what = {.kind = OVERLAY_KIND_SIP_REGISTRATION,
                                 .signer = who->ident,
                                 .key = ids_node_slice(&who->ident->node_id, &s->params),
                                 .exists = lifetime_s > 0 || is_mailbox,
                                 .lifetime_s = lifetime_s > 0 ? lifetime_s
                                               : is_mailbox   ? s->settings.offline_s
                                                              : left + 1};
    what.value = what.exists ? wr_slice(&v) : SLICE_EMPTY;
    overlay_resource_of(t, slice_text(who->user), &what.resource);
    enum err e = overlay_store(t, s->overlay, &what, tag);
    s->accounts[account].waiting += e == ERR_OK ? 1 : 0;
    s->accounts[account].prefs_asked = mark_of(wanted);
    return e;
}

static void note_stored(struct turn *t, struct sip *s, uint32_t account, uint32_t lifetime_s)
{
    struct registrar_account *a = &s->accounts[account];
    a->stored_until_us = lifetime_s == 0 ? 0 : t->now_us + lifetime_s * US_PER_S;
    a->prefs = a->prefs_asked;
    a->refresh_us = t->now_us + rng_jitter(t->rng, lifetime_s * US_PER_S * 45 / 100, 10);
}

/* The record again, for as long as the longest contact lasts; or away with it. */
static void refresh(struct turn *t, struct sip *s, uint32_t account)
{
    struct registrar_account *a = &s->accounts[account];
    uint32_t longest = 0;
    for (struct registrar_binding *b = get(s, a->first); b != NULL; b = get(s, b->next)) {
        uint32_t left = remaining_s(t, b->expires_us);
        longest = left > longest ? left : longest;
    }
    if (longest < WORTH_REFRESHING_S && (longest > 0 || a->stored_until_us == 0)) {
        a->refresh_us = UINT64_MAX;
        return;
    }
    if (store(t, s, account, NULL, longest, a->timer.tag) != ERR_OK) {
        metric_add(t->metrics, METRIC_sip_stores_failed, 1);
        a->refresh_us = t->now_us + RETRY_S * US_PER_S;
    }
}

void registrar_on_timer(struct turn *t, struct sip *s, struct wheel_timer *timer)
{
    uint32_t account = handle_index(timer->tag);
    CHECK(account < s->settings.account_count);
    struct registrar_account *a = &s->accounts[account];
    bool was_here = a->count > 0;
    drop_expired(t, s, account);
    bool is_mailbox = was_here && a->count == 0 && s->settings.offline_s > 0;
    if (a->waiting == 0 && is_mailbox) {
        a->stored_until_us = 0;
        if (store(t, s, account, NULL, 0, a->timer.tag) != ERR_OK) {
            metric_add(t->metrics, METRIC_sip_stores_failed, 1);
        }
    } else if (a->waiting == 0 && a->count > 0 && a->refresh_us <= t->now_us) {
        refresh(t, s, account);
    }
    arm(t, s, account);
}

void registrar_on_flow_gone(struct turn *t, struct sip *s, uint32_t account,
                            const struct flow_ref *flow)
{
    handle next = s->accounts[account].first;
    struct registrar_binding *b = NULL;
    while ((b = get(s, next)) != NULL) {
        next = b->next;
        if (b->flow.kind != SIP_UDP && b->flow.flow == flow->flow && b->flow.shard == flow->shard) {
            drop(t, s, b);
        }
    }
    arm(t, s, account);
}

void registrar_on_ready(struct turn *t, struct sip *s)
{
    for (uint32_t i = 0; i < s->settings.account_count; i++) {
        if (s->accounts[i].count > 0) {
            s->accounts[i].refresh_us = t->now_us + rng_below(t->rng, READY_SPREAD_MS) * 1000;
            arm(t, s, i);
        }
    }
}

/* ---- answers */

static void write_contact(struct turn *t, const struct sip *s, const struct sip_rx *rx,
                          const struct registrar_binding *b, struct sip_writer *w)
{
    sip_write_header_begin(w, SIP_HDR_CONTACT);
    sip_write_text(w, "<");
    sip_write_slice(w, registrar_uri(b));
    sip_write_text(w, ">;expires=");
    sip_write_u32(w, remaining_s(t, b->expires_us));
    if (b->q_milli != 1000) {
        const char digits[] = {'0', '.', (char)('0' + b->q_milli / 100 % 10),
                               (char)('0' + b->q_milli / 10 % 10), (char)('0' + b->q_milli % 10)};
        sip_write_text(w, ";q=");
        sip_write_slice(w, slice_of(digits, sizeof(digits)));
    }
    sip_write_slice(w, registrar_params(b));
    if (b->has_instance && sip_msg_has_option(rx->m, SIP_HDR_SUPPORTED, SLICE_LITERAL("gruu"))) {
        gruu_write(t, s, b, w);
    }
    sip_write_header_end(w);
}

/* Did this request register the contact? */
static bool is_here(struct turn *t, const struct sip_rx *rx, const struct registrar_binding *b)
{
    return !is_in_order(t, rx, b);
}

static void answer_ok(struct turn *t, struct sip *s, const struct sip_rx *rx, struct tx *tx,
                      uint32_t account)
{
    struct sip_writer w;
    handle at = 0;
    const struct registrar_binding *b = NULL;
    bool is_outbound = false;
    reply_begin(t, s, rx, 200, &w);
    while ((b = registrar_next(t, s, account, &at)) != NULL) {
        write_contact(t, s, rx, b, &w);
        is_outbound = is_outbound || (b->is_outbound && is_here(t, rx, b));
    }
    sip_write_copy(&w, rx->m, SIP_HDR_PATH); /* 3327 5.3 */
    outbound_service_route(s, rx, &w);
    if (is_outbound) {
        sip_write_header(&w, SIP_HDR_REQUIRE, SLICE_LITERAL("outbound")); /* 5626 6 */
    }
    if (s->accounts[account].offline != 0) {
        offline_deliver(t, s, account);
    }
    metric_add(t->metrics, METRIC_sip_registers_ok, 1);
    reply_finish(t, s, rx, tx, 200, &w);
}

void registrar_on_stored(struct turn *t, struct sip *s, const struct overlay_event *event)
{
    bool is_ok = event->error == ERR_OK;
    struct registrar_wait *wait = pool_get(&s->registers, event->tag);
    if (!is_ok) {
        metric_add(t->metrics, METRIC_sip_stores_failed, 1);
    }
    if (wait == NULL) { /* a refresh of our own */
        uint32_t account = handle_index(event->tag);
        CHECK(account < s->settings.account_count);
        struct registrar_account *a = &s->accounts[account];
        uint32_t longest = 0;
        CHECK(a->waiting > 0);
        a->waiting--;
        for (struct registrar_binding *b = get(s, a->first); b != NULL; b = get(s, b->next)) {
            uint32_t left = remaining_s(t, b->expires_us);
            longest = left > longest ? left : longest;
        }
        note_stored(t, s, account, is_ok ? longest : 0);
        a->refresh_us = is_ok ? a->refresh_us : t->now_us + RETRY_S * US_PER_S;
        arm(t, s, account);
        return;
    }
    struct sip_rx rx;
    struct registrar_wait w = *wait;
    struct tx *tx = tx_get(s, w.tx);
    pool_release(&s->registers, wait);
    CHECK(s->accounts[w.account].waiting > 0);
    s->accounts[w.account].waiting--;
    sip_state_reread(s, w.request, &w.from, &rx);
    if (!is_ok) {
        reply_send(t, s, &rx, tx, reply_status_of(event->error, event->reload_error),
                   reply_why_of(event->error, event->reload_error));
    } else if (apply(t, s, &rx, w.account)) {
        note_stored(t, s, w.account, w.lifetime_s);
        answer_ok(t, s, &rx, tx, w.account);
    } else {
        note_stored(t, s, w.account, w.lifetime_s);
        reply_send(t, s, &rx, tx, 503, "No room for more contacts");
    }
    /* Two requests of one account may have crossed: then the record is put right at once. */
    struct registrar_account *a = &s->accounts[w.account];
    if (is_ok && a->waiting == 0 && (a->count > 0) != (a->stored_until_us != 0)) {
        refresh(t, s, w.account);
    }
    arm(t, s, w.account);
    msgbuf_release(t->buffers, w.request);
}

/* The plan is sound: ask the overlay, then wait. */
static void commit(struct turn *t, struct sip *s, const struct sip_rx *rx, struct tx *tx,
                   uint32_t account, const struct plan *p)
{
    bool is_full = s->accounts[account].waiting >= s->settings.limits->sip_registers_per_account;
    struct registrar_wait *wait = is_full ? NULL : pool_acquire(&s->registers);
    struct msgbuf *request = wait == NULL ? NULL : sip_state_buffer(t, rx->m->bytes);
    if (request == NULL) {
        if (wait != NULL) {
            pool_release(&s->registers, wait);
        }
        reply_send(t, s, rx, tx, 503, "Too many registrations at once");
        return;
    }
    *wait = (struct registrar_wait){.tx = tx_handle(s, tx),
                                    .request = request,
                                    .from = rx->from,
                                    .account = account,
                                    .lifetime_s = p->count > 0 ? p->longest_s : 0};
    enum err e = store(t, s, account, rx, wait->lifetime_s, pool_handle(&s->registers, wait));
    if (e != ERR_OK) {
        metric_add(t->metrics, METRIC_sip_stores_failed, 1);
        pool_release(&s->registers, wait);
        msgbuf_release(t->buffers, request);
        reply_send(t, s, rx, tx, reply_status_of(e, 0), reply_why_of(e, 0));
    }
}

/* Whose registration it is and whether the sender may change it; REGISTRAR_NONE: was answered. */
static uint32_t authorise(struct turn *t, struct sip *s, const struct sip_rx *rx, struct tx *tx)
{
    static const char others[] = "Only the account itself may register its address";
    char to[SIP_STATE_AOR_CAP], from[SIP_STATE_AOR_CAP];
    size_t to_len = 0, from_len = 0;
    enum err e = sip_state_aor_text(s, rx->core.to.uri, true, to, &to_len);
    if (e == ERR_UNSUPPORTED) { /* 10.3 step 5 wants a SIP or SIPS URI (RFC 4475 3.3.4) */
        reply_stranger(t, s, rx, tx, 400, "To is no sip URI");
        return REGISTRAR_NONE;
    }
    if (e != ERR_OK) {
        reply_stranger(t, s, rx, tx, 404, "This domain is not served here");
        return REGISTRAR_NONE;
    }
    uint32_t account = registrar_find(s, slice_of(to, to_len));
    if (account == REGISTRAR_NONE) {
        digest_deny(t, s, rx, tx, slice_of(to, to_len), others);
        return REGISTRAR_NONE;
    }
    const struct sip_account *who = &s->settings.accounts[account];
    enum digest_result result = digest_check(t, s, rx, SIP_HDR_AUTHORIZATION, account);
    bool is_third_party =
        sip_state_aor_text(s, rx->core.from.uri, true, from, &from_len) != ERR_OK ||
        !slice_is_equal(slice_of(from, from_len), slice_of(to, to_len));
    if (result == DIGEST_OTHER || (result == DIGEST_OK && is_third_party)) {
        metric_add(t->metrics, METRIC_sip_refused_auth, 1);
        reply_stranger(t, s, rx, tx, 403, others);
        return REGISTRAR_NONE;
    }
    if (result == DIGEST_LATER) {
        digest_refuse(t, s, rx, tx);
        return REGISTRAR_NONE;
    }
    if (result != DIGEST_OK) {
        metric_add(t->metrics, METRIC_sip_refused_auth, result == DIGEST_WRONG ? 1 : 0);
        digest_challenge(t, s, rx, tx, who, result == DIGEST_STALE);
        return REGISTRAR_NONE;
    }
    flow_prove(t, s, &rx->from, account);
    return account;
}

/* The overlay's record names this peer, not the contacts: a REGISTER that leaves some, none of them
 * ending before the record, changes nothing there.  The account's timer stores it again in time. */
static bool is_record_fresh(struct turn *t, struct sip *s, const struct sip_rx *rx,
                            uint32_t account, const struct plan *p)
{
    char prefs[PREFS_WRITE_CAP];
    const struct registrar_account *a = &s->accounts[account];
    return p->count > 0 && a->waiting == 0 && a->refresh_us > t->now_us &&
           a->stored_until_us > t->now_us && p->longest_s >= remaining_s(t, a->stored_until_us) &&
           a->prefs == mark_of(prefs_of(t, s, account, rx, prefs));
}

/* Nothing to ask the overlay for. */
static void commit_here(struct turn *t, struct sip *s, const struct sip_rx *rx, struct tx *tx,
                        uint32_t account)
{
    if (apply(t, s, rx, account)) {
        answer_ok(t, s, rx, tx, account);
    } else {
        reply_send(t, s, rx, tx, 503, "No room for more contacts");
    }
    arm(t, s, account);
}

/* 8.2.2.3: what the phone requires of a registrar.  False: 420 was sent. */
static bool is_understood(struct turn *t, struct sip *s, const struct sip_rx *rx, struct tx *tx)
{
    static const char *const known[] = {"path", "gruu", "outbound"};
    struct slice item;
    struct sip_msg_items it = sip_msg_items(rx->m, SIP_HDR_REQUIRE);
    while (sip_msg_items_next(&it, &item) == ERR_OK) {
        bool is_known = false;
        for (size_t i = 0; i < ARRAY_COUNT(known); i++) {
            is_known = is_known || slice_is_equal_nocase(item, slice_text(known[i]));
        }
        if (!is_known) {
            struct sip_writer w;
            reply_begin(t, s, rx, 420, &w);
            sip_write_header(&w, SIP_HDR_UNSUPPORTED, item);
            reply_finish(t, s, rx, tx, 420, &w);
            return false;
        }
    }
    return true;
}

void registrar_on_request(struct turn *t, struct sip *s, const struct sip_rx *rx, struct tx *tx)
{
    struct plan p;
    if (flow_is_peer(&rx->from)) {
        reply_send(t, s, rx, tx, 403, "Phones register here, peers do not");
        return;
    }
    uint32_t account = authorise(t, s, rx, tx);
    if (account == REGISTRAR_NONE || !is_understood(t, s, rx, tx)) {
        return;
    }
    if (!make_plan(t, s, rx, account, &p)) {
        refusal_send(t, s, rx, tx, &p.refused, &(const struct refusal_facts){0});
    } else if (!sip_msg_has(rx->m, SIP_HDR_CONTACT)) {
        answer_ok(t, s, rx, tx, account);
    } else if (p.count == 0 && s->accounts[account].stored_until_us == 0) {
        commit_here(t, s, rx, tx, account); /* nothing is stored, nothing to remove */
    } else if (is_record_fresh(t, s, rx, account, &p)) {
        commit_here(t, s, rx, tx, account);
    } else {
        commit(t, s, rx, tx, account, &p);
    }
}
