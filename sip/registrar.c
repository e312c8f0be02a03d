/* SPDX-License-Identifier: Apache-2.0 */
/* registrar.c - see registrar.h.  The way of a REGISTER: registrar_on_request (whose AOR, digest,
 * plan, overlay_store) ... registrar_on_stored (apply, 200). */
#include "sip/registrar.h"
#include "core/hash.h"
#include "sip/asked.h"
#include "sip/binding.h"
#include "sip/digest.h"
#include "sip/elsewhere.h"
#include "sip/forward.h"
#include "sip/grade.h"
#include "sip/gruu.h"
#include "sip/methods.h"
#include "sip/offline.h"
#include "sip/outbound.h"
#include "sip/prefs.h"
#include "sip/refusal.h"
#include "sip/subscribe.h"

#define US_PER_S UINT64_C(1000000)
enum { RETRY_S = 5, READY_SPREAD_MS = 2000, WORTH_REFRESHING_S = 10 };
enum { GRADED_CAP = PREFS_WRITE_CAP + GRADE_CAP, VALUE_CAP = 64 + GRADED_CAP };
STATIC_CHECK((int)PREFS_WRITE_CAP >= (int)SIP_STATE_AOR_CAP);

/* What a REGISTER would change. */
struct plan {
    struct refusal refused;
    uint32_t longest_s; /* of all contacts afterwards */
    uint32_t count;     /* contacts afterwards */
};

static struct registrar_binding *get(const struct sip *s, handle h)
{
    return pool_get(&s->bindings, h);
}

static uint32_t remaining_s(const struct turn *t, uint64_t until_us)
{
    return until_us <= t->now_us ? 0 : (uint32_t)((until_us - t->now_us + US_PER_S - 1) / US_PER_S);
}

void registrar_init(struct sip *s, struct arena *arena, uint64_t seed)
{
    size_t count = s->settings.account_count;
    s->accounts = ARENA_ARRAY(arena, struct registrar_account, count + 1);
    s->asked = ARENA_ARRAY(arena, struct asked, 1);
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
    if (gone->is_forward) {
        a->refresh_us = t->now_us; /* the route again, unless it is on its way */
    }
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

static struct registrar_binding *find_contact(const struct sip *s, uint32_t account,
                                              const struct asked_contact *c)
{
    struct registrar_binding *b = get(s, s->accounts[account].first);
    while (b != NULL && !asked_is_same(b, c)) {
        b = get(s, b->next);
    }
    return b;
}

/* ---- reading a REGISTER */

static bool plan_star(struct sip *s, const struct asked *a, uint32_t account, struct plan *p)
{
    if (asked_expires(s, a->rx) != 0 || !sip_msg_has(a->rx->m, SIP_HDR_EXPIRES)) {
        return refusal_set(&p->refused, 400, "Contact: * needs Expires: 0");
    }
    for (struct registrar_binding *b = get(s, s->accounts[account].first); b != NULL;
         b = get(s, b->next)) {
        if (!asked_is_in_order(a, b)) {
            return refusal_set(&p->refused, 400, "CSeq is not higher than that of the binding");
        }
    }
    p->count = 0;
    p->longest_s = 0;
    return true;
}

static bool plan_contact(struct sip *s, const struct asked *a, uint32_t account,
                         const struct asked_contact *c, struct plan *p)
{
    if (c->expires_s != 0 && c->expires_s < s->settings.min_expires_s) {
        return refusal_set(&p->refused, 423, "The registration would be too short");
    }
    const struct registrar_binding *b = find_contact(s, account, c);
    if (b != NULL && !asked_is_in_order(a, b)) {
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

/* Longest of the bindings that the request does not touch. */
static uint32_t longest_untouched(struct turn *t, struct sip *s, const struct asked *a,
                                  uint32_t account)
{
    uint32_t longest = 0;
    for (struct registrar_binding *b = get(s, s->accounts[account].first); b != NULL;
         b = get(s, b->next)) {
        uint32_t left = asked_has(a, b) ? 0 : remaining_s(t, b->expires_us);
        longest = left > longest ? left : longest;
    }
    return longest;
}

/* Reads all of `a`, which has begun. */
static bool make_plan(struct turn *t, struct sip *s, struct asked *a, uint32_t account,
                      struct plan *p)
{
    enum err e = ERR_OK;
    uint32_t items = 0;
    drop_expired(t, s, account);
    *p = (struct plan){.count = s->accounts[account].count};
    if (outbound_path(a->rx, NULL) > REGISTRAR_PATH_CAP) {
        return refusal_set(&p->refused, 513, "Path is too long");
    }
    while ((e = asked_next(t, s, a)) == ERR_OK) {
        items++;
        if (items > a->count) {
            continue; /* the star, or what stands behind it: refused below */
        }
        const struct asked_contact *c = &a->list[a->count - 1];
        if (!plan_contact(s, a, account, c, p)) {
            return false;
        }
        if (outbound_is_asked(a->rx, c->has_reg_id) && outbound_is_broken(a->rx)) {
            return refusal_set(&p->refused, 439, "The first hop does not keep flows");
        }
    }
    if (e == ERR_LIMIT) {
        return refusal_set(&p->refused, 403, "Too many contacts");
    }
    if (e == ERR_EXISTS) {
        return refusal_set(&p->refused, 403, "One forward of an account at a time");
    }
    if (e != ERR_NOT_FOUND) {
        return refusal_set(&p->refused, e == ERR_UNSUPPORTED ? 403 : 400,
                           e == ERR_FORBIDDEN ? "A sips Contact is registered over TLS"
                                              : "A Contact that cannot be used");
    }
    if (a->has_star) {
        return items == 1 ? plan_star(s, a, account, p)
                          : refusal_set(&p->refused, 400, "Contact: * stands alone");
    }
    if (p->count > s->settings.limits->sip_bindings_per_account) {
        return refusal_set(&p->refused, 403, "Too many contacts of this account");
    }
    uint32_t untouched = longest_untouched(t, s, a, account);
    p->longest_s = untouched > p->longest_s ? untouched : p->longest_s;
    return true;
}

/* Which device it is of; what is noted of it otherwise is still that of the REGISTER before. */
static void enter_device(struct turn *t, struct sip *s, struct registrar_binding *b,
                         const struct asked *asked, const struct asked_contact *c)
{
    if (c->has_instance) {
        uint8_t gruu[GRUU_INSTANCE_BYTES];
        gruu_instance(t, slice_text(s->settings.accounts[b->account].user), c->instance_text, gruu);
        b->gruu_epoch =
            gruu_epoch(s, b->account, gruu, c->has_reg_id ? c->instance : NULL, asked->call_id);
        memcpy(b->gruu, gruu, sizeof(b->gruu));
    }
    b->has_instance = c->has_instance;
    memcpy(b->instance, c->instance, sizeof(b->instance));
}

static bool apply_contact(struct turn *t, struct sip *s, const struct asked *asked,
                          uint32_t account, const struct asked_contact *c)
{
    const struct sip_rx *rx = asked->rx;
    struct registrar_account *a = &s->accounts[account];
    struct registrar_binding *b = find_contact(s, account, c);
    if (c->expires_s == 0) {
        if (b != NULL) {
            drop(t, s, b);
        }
        return true;
    }
    const struct registrar_binding *other = c->is_forward ? forward_now(t, s, account) : NULL;
    if (other != NULL && other != b) {
        drop(t, s, get(s, pool_handle(&s->bindings, other)));
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
        b->has_instance = false;
        b->next = a->first;
        a->first = pool_handle(&s->bindings, b);
        a->count++;
        count_changed(t, s, account, a->count - 1, a->count);
    } else if (!binding_write(t, s, b, &c->address, rx)) {
        return false;
    }
    enter_device(t, s, b, asked, c);
    b->flow = asked_flow(rx, c);
    b->expires_us = t->now_us + c->expires_s * US_PER_S;
    b->at_us = t->now_us;
    b->cseq = rx->core.cseq.number;
    b->q_milli = c->address.q_milli;
    b->is_forward = c->is_forward;
    b->is_outbound = outbound_is_asked(rx, c->has_reg_id);
    memcpy(b->call_id, asked->call_id, sizeof(b->call_id));
    return true;
}

static bool apply(struct turn *t, struct sip *s, const struct asked *asked, uint32_t account)
{
    bool all = true;
    struct registrar_binding *b = NULL;
    while (asked->has_star && (b = get(s, s->accounts[account].first)) != NULL) {
        drop(t, s, b);
    }
    for (unsigned i = 0; i < asked->count; i++) {
        all = apply_contact(t, s, asked, account, &asked->list[i]) && all;
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

/* contact_prefs: any of the devices that there will be after `asked` (NULL: that there are).  Empty
 * where one of them has said nothing of itself, or it is too long: no restriction. */
static struct slice prefs_of(struct sip *s, uint32_t account, const struct asked *asked, char *out)
{
    struct sip_writer w;
    struct slice text;
    bool is_all = true;
    sip_write_init(&w, (uint8_t *)out, PREFS_WRITE_CAP);
    sip_write_text(&w, "(|");
    for (unsigned i = 0; asked != NULL && is_all && i < asked->count; i++) {
        const struct asked_contact *c = &asked->list[i];
        is_all = c->expires_s == 0 || add_device(&w, c->address.params);
    }
    for (struct registrar_binding *b = get(s, s->accounts[account].first); b != NULL && is_all;
         b = get(s, b->next)) {
        if (asked == NULL || !asked_has(asked, b)) {
            is_all = add_device(&w, registrar_params(b));
        }
    }
    sip_write_text(&w, ")");
    return is_all && sip_write_finish(&w, &text) == ERR_OK && text.len > 3 ? text : SLICE_EMPTY;
}

/* The same, and which of the user's nodes is called first. */
static struct slice graded_prefs_of(struct sip *s, uint32_t account, const struct asked *asked,
                                    char *out)
{
    struct sip_writer w;
    struct slice text = prefs_of(s, account, asked, out);
    struct grade g = grade_of(s, account, asked);
    if (grade_is_plain(&g)) {
        return text;
    }
    sip_write_init(&w, (uint8_t *)out + text.len, GRADED_CAP - text.len);
    if (text.len == 0) { /* parameters need something to stand behind: whatever it is */
        sip_write_text(&w, "(|(sip.schemes=SIP)(sip.schemes=SIPS))");
    }
    grade_write(&w, &g);
    struct slice rest;
    return sip_write_finish(&w, &rest) == ERR_OK ? slice_of(out, text.len + rest.len) : text;
}

/* The value of the account's record: the route [self], or whom it is forwarded to.  `asked`: what
 * is about to be applied. */
static struct slice value_of(struct sip *s, uint32_t account, const struct asked *asked,
                             bool is_mailbox, uint8_t out[VALUE_CAP])
{
    uint8_t list[FWD_NODE_BYTES_MAX];
    char prefs[GRADED_CAP], aor[SIP_STATE_AOR_CAP];
    size_t len = 0;
    struct msgs_sip_registration value = {.type = MSGS_SIP_ROUTE};
    struct wr w = wr_init(list, sizeof(list)), v = wr_init(out, VALUE_CAP);
    if (!is_mailbox && forward_wanted(s, account, asked, aor, &len)) {
        value.type = MSGS_SIP_URI;
        value.uri = slice_of(aor, len);
    } else {
        fwd_wr_node(&w, &s->params, &s->settings.self);
        value.contact_prefs =
            is_mailbox ? REGISTRAR_MAILBOX_PREFS : graded_prefs_of(s, account, asked, prefs);
        value.destination_list = wr_slice(&w);
    }
    msgs_sip_registration_wr(&v, &s->params, &value);
    CHECK(wr_ok(&v));
    return wr_slice(&v);
}

/* FNV-1a: tells whether the record says something else than it should. */
static uint32_t mark_of(struct slice value)
{
    uint32_t hash = UINT32_C(2166136261);
    for (size_t i = 0; i < value.len; i++) {
        hash = (hash ^ value.data[i]) * UINT32_C(16777619);
    }
    return hash;
}

/* Stores the record for `lifetime_s`, or removes it (0; then what is left of the record's
 * life is how long the removal must stand, RFC 6940 7.4.1.3).  `asked`: what is about to be
 * applied. */
static enum err store(struct turn *t, struct sip *s, uint32_t account, const struct asked *asked,
                      uint32_t lifetime_s, uint64_t tag)
{
    const struct sip_account *who = &s->settings.accounts[account];
    uint8_t value[VALUE_CAP];
    bool is_mailbox = lifetime_s == 0 && s->settings.offline_s > 0;
    struct slice wanted = value_of(s, account, asked, is_mailbox, value);
    uint32_t left = remaining_s(t, s->accounts[account].stored_until_us);
    struct overlay_store what = {.kind = OVERLAY_KIND_SIP_REGISTRATION,
                                 .signer = who->ident,
                                 .key = ids_node_slice(&who->ident->node_id, &s->params),
                                 .exists = lifetime_s > 0 || is_mailbox,
                                 .lifetime_s = lifetime_s > 0 ? lifetime_s
                                               : is_mailbox   ? s->settings.offline_s
                                                              : left + 1};
    what.value = what.exists ? wanted : SLICE_EMPTY;
    overlay_resource_of(t, slice_text(who->user), &what.resource);
    enum err e = overlay_store(t, s->overlay, &what, tag);
    s->accounts[account].waiting += e == ERR_OK ? 1 : 0;
    s->accounts[account].mark_asked = mark_of(wanted);
    return e;
}

static void note_stored(struct turn *t, struct sip *s, uint32_t account, uint32_t lifetime_s)
{
    struct registrar_account *a = &s->accounts[account];
    a->stored_until_us = lifetime_s == 0 ? 0 : t->now_us + lifetime_s * US_PER_S;
    a->mark = a->mark_asked;
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
        if (!b->is_forward && b->flow.kind != SIP_UDP && b->flow.flow == flow->flow &&
            b->flow.shard == flow->shard) {
            drop(t, s, b);
        }
    }
    arm(t, s, account);
}

bool registrar_put_back(struct turn *t, struct sip *s, uint32_t account)
{
    struct registrar_account *a = &s->accounts[account];
    if (a->waiting == 0 && registrar_is_live(t, s, account) && a->put_back_us <= t->now_us) {
        a->put_back_us = t->now_us + REGISTRAR_PUT_BACK_S * US_PER_S;
        metric_add(t->metrics, METRIC_sip_records_put_back, 1);
        refresh(t, s, account);
        arm(t, s, account);
    }
    return a->waiting > 0;
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

/* Without `finish_ok` below. */
static void begin_ok(struct turn *t, struct sip *s, const struct asked *asked, uint32_t account,
                     struct sip_writer *w)
{
    const struct sip_rx *rx = asked->rx;
    handle at = 0;
    const struct registrar_binding *b = NULL;
    bool is_outbound = false;
    reply_begin(t, s, rx, 200, w);
    while ((b = registrar_next(t, s, account, &at)) != NULL) {
        write_contact(t, s, rx, b, w);
        /* of those that this request has registered */
        is_outbound = is_outbound || (b->is_outbound && !asked_is_in_order(asked, b));
    }
    sip_write_copy(w, rx->m, SIP_HDR_PATH); /* 3327 5.3 */
    outbound_service_route(s, rx, w);
    if (is_outbound) {
        sip_write_header(w, SIP_HDR_REQUIRE, SLICE_LITERAL("outbound")); /* 5626 6 */
    }
    sip_write_header(w, SIP_HDR_DATE, date_now(&s->date, t->wall_ms)); /* 3261 10.3 step 8 */
}

static void finish_ok(struct turn *t, struct sip *s, const struct sip_rx *rx, struct tx *tx,
                      uint32_t account, struct sip_writer *w)
{
    if (s->accounts[account].offline != 0) {
        offline_deliver(t, s, account);
    }
    metric_add(t->metrics, METRIC_sip_registers_ok, 1);
    reply_finish(t, s, rx, tx, 200, w);
}

static void answer_ok(struct turn *t, struct sip *s, const struct asked *asked, struct tx *tx,
                      uint32_t account)
{
    struct sip_writer w;
    begin_ok(t, s, asked, account, &w);
    finish_ok(t, s, asked->rx, tx, account, &w);
}

void registrar_answer_query(struct turn *t, struct sip *s, const struct sip_rx *rx, struct tx *tx,
                            uint32_t account, const struct overlay_event *event)
{
    struct sip_writer w;
    bool is_known = event != NULL && (event->error == ERR_OK || event->error == ERR_NOT_FOUND ||
                                      (event->error == ERR_REMOTE && event->reload_error == 3));
    asked_begin(s, rx, s->asked);
    begin_ok(t, s, s->asked, account, &w);
    if (is_known && event->error == ERR_OK) {
        elsewhere_write(s, account, event, REPLY_END_BYTES, &w);
    } else if (!is_known) {
        reply_warning(s, &w, "The overlay did not answer: contacts at other nodes are not listed");
    }
    finish_ok(t, s, rx, tx, account, &w);
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
    struct sip_rx room;
    struct registrar_wait w = *wait;
    struct tx *tx = tx_get(s, w.tx);
    pool_release(&s->registers, wait);
    CHECK(s->accounts[w.account].waiting > 0);
    s->accounts[w.account].waiting--;
    const struct sip_rx *rx = sip_state_reread(s, w.request, &w.from, &room);
    asked_read(t, s, rx, s->asked);
    if (!is_ok) {
        reply_send(t, s, rx, tx, reply_status_of(event->error, event->reload_error),
                   reply_why_of(event->error, event->reload_error));
    } else if (apply(t, s, s->asked, w.account)) {
        note_stored(t, s, w.account, w.lifetime_s);
        answer_ok(t, s, s->asked, tx, w.account);
    } else {
        note_stored(t, s, w.account, w.lifetime_s);
        reply_send(t, s, rx, tx, 503, "No room for more contacts");
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
static void commit(struct turn *t, struct sip *s, const struct asked *asked, struct tx *tx,
                   uint32_t account, const struct plan *p)
{
    const struct sip_rx *rx = asked->rx;
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
    enum err e = store(t, s, account, asked, wait->lifetime_s, pool_handle(&s->registers, wait));
    if (e != ERR_OK) {
        metric_add(t->metrics, METRIC_sip_stores_failed, 1);
        pool_release(&s->registers, wait);
        msgbuf_release(t->buffers, request);
        reply_send(t, s, rx, tx, reply_status_of(e, 0), reply_why_of(e, 0));
    }
}

/* 10.3 step 1: does the Request-URI name our domain?  So does what may be a name of one of its
 * nodes, and an address or the name of one: it has led here, by whatever translation. */
static bool is_for_us(const struct sip *s, const struct sip_uri *uri)
{
    size_t len = s->domain_text.len;
    if (uri->scheme != SIP_URI_SIP && uri->scheme != SIP_URI_SIPS) {
        return false;
    }
    bool is_below = uri->host.len > len && uri->host.data[uri->host.len - len - 1] == '.';
    struct slice end = is_below ? slice_from(uri->host, uri->host.len - len) : uri->host;
    return uri->host_kind != SIP_LEX_HOST_NAME || slice_is_equal_nocase(end, s->domain_text) ||
           slice_is_equal_nocase(uri->host, SLICE_LITERAL("localhost"));
}

/* Two URIs of one AOR, seen at once: mostly they are the same text. */
static bool is_plainly_same(const struct sip_uri *a, const struct sip_uri *b)
{
    return a->scheme == b->scheme && a->has_user == b->has_user &&
           slice_is_equal(a->user, b->user) && slice_is_equal(a->host, b->host);
}

/* Whose registration it is and whether the sender may change it; REGISTRAR_NONE: was answered. */
static uint32_t authorise(struct turn *t, struct sip *s, const struct sip_rx *rx, struct tx *tx)
{
    static const char others[] = "Only the account itself may register its address";
    char to[SIP_STATE_AOR_CAP], from[SIP_STATE_AOR_CAP];
    size_t to_len = 0, from_len = 0;
    enum err e = sip_state_aor(s, &rx->core.to_uri, true, to, &to_len);
    if (e == ERR_UNSUPPORTED) { /* 10.3 step 5 wants a SIP or SIPS URI (RFC 4475 3.3.4) */
        reply_stranger(t, s, rx, tx, 400, "To is no sip URI");
        return REGISTRAR_NONE;
    }
    if (e != ERR_OK || !is_for_us(s, &rx->core.uri)) { /* 10.3 steps 1 and 5 */
        reply_stranger(t, s, rx, tx, 404, "This domain is not served here");
        return REGISTRAR_NONE;
    }
    uint32_t account = registrar_find(s, slice_of(to, to_len));
    if (account == REGISTRAR_NONE) {
        digest_deny(t, s, rx, tx, slice_of(to, to_len), others);
        return REGISTRAR_NONE;
    }
    enum digest_result result = digest_check(t, s, rx, SIP_HDR_AUTHORIZATION, account);
    bool is_third_party = !is_plainly_same(&rx->core.from_uri, &rx->core.to_uri) &&
                          (sip_state_aor(s, &rx->core.from_uri, true, from, &from_len) != ERR_OK ||
                           !slice_is_equal(slice_of(from, from_len), slice_of(to, to_len)));
    result = result == DIGEST_OK && is_third_party ? DIGEST_OTHER : result;
    if (result != DIGEST_OK) {
        digest_answer(t, s, rx, tx, account, result, others);
        return REGISTRAR_NONE;
    }
    flow_prove(t, s, &rx->from, account);
    return account;
}

/* mark_of the value that there will be.  That of a lone contact follows from its parameters, and
 * phones say the same ones with each REGISTER. */
static uint32_t mark_wanted(struct sip *s, const struct asked *asked, uint32_t account,
                            const struct plan *p)
{
    uint8_t value[VALUE_CAP];
    struct registrar_account *a = &s->accounts[account];
    const struct asked_contact *c = &asked->list[0];
    bool is_only = asked->count == 1 && c->expires_s > 0 && !c->is_forward && a->count == 1 &&
                   p->count == 1; /* that one, and not a new one beside it */
    uint64_t only = is_only ? hash_64(c->address.params, s->source_seed) | 1 : 0;
    if (is_only && only == a->only) {
        return a->mark_only;
    }
    uint32_t mark = mark_of(value_of(s, account, asked, false, value));
    if (is_only) {
        a->only = only;
        a->mark_only = mark;
    }
    return mark;
}

/* The overlay's record names this peer, not the contacts: a REGISTER that leaves some, none of them
 * ending before the record, changes nothing there.  The account's timer stores it again in time. */
static bool is_record_fresh(struct turn *t, struct sip *s, const struct asked *asked,
                            uint32_t account, const struct plan *p)
{
    const struct registrar_account *a = &s->accounts[account];
    return p->count > 0 && a->waiting == 0 && a->refresh_us > t->now_us &&
           a->stored_until_us > t->now_us && p->longest_s >= remaining_s(t, a->stored_until_us) &&
           a->mark == mark_wanted(s, asked, account, p);
}

/* Nothing to ask the overlay for. */
static void commit_here(struct turn *t, struct sip *s, const struct asked *asked, struct tx *tx,
                        uint32_t account)
{
    if (apply(t, s, asked, account)) {
        answer_ok(t, s, asked, tx, account);
    } else {
        reply_send(t, s, asked->rx, tx, 503, "No room for more contacts");
    }
    arm(t, s, account);
}

void registrar_on_request(struct turn *t, struct sip *s, const struct sip_rx *rx, struct tx *tx)
{
    static const char *const known[] = {"path", "gruu", "outbound", NULL};
    struct plan p;
    if (flow_is_peer(&rx->from)) {
        reply_send(t, s, rx, tx, 403, "Phones register here, peers do not");
        return;
    }
    uint32_t account = authorise(t, s, rx, tx);
    if (account == REGISTRAR_NONE || !methods_require(t, s, rx, tx, SIP_HDR_REQUIRE, known)) {
        return;
    }
    asked_begin(s, rx, s->asked);
    if (!make_plan(t, s, s->asked, account, &p)) {
        refusal_send(t, s, rx, tx, &p.refused, &(const struct refusal_facts){0});
    } else if (!sip_msg_has(rx->m, SIP_HDR_CONTACT)) {
        if (!elsewhere_ask(t, s, rx, tx, account)) {
            registrar_answer_query(t, s, rx, tx, account, NULL);
        }
    } else if (p.count == 0 && s->accounts[account].stored_until_us == 0) {
        commit_here(t, s, s->asked, tx, account); /* nothing is stored, nothing to remove */
    } else if (is_record_fresh(t, s, s->asked, account, &p)) {
        commit_here(t, s, s->asked, tx, account);
    } else {
        commit(t, s, s->asked, tx, account, &p);
    }
}
