/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/phones.h"
#include "sim/draw.h"

enum {
    SECOND_US = 1000000,
    RETRY_US = SECOND_US, /* after a refused REGISTER: so long, and up to four times more */
    PATIENCE_US = 200 * SECOND_US, /* of a caller who has heard something, but no answer */
    DRAWS = 8,
};

size_t phones_bytes(uint32_t count)
{
    return count * sizeof(struct phones_one) + sizeof(struct phones) + 256;
}

static uint64_t now_us(const struct phones *p)
{
    return world_now_us(p->world);
}

static uint32_t home_of(const struct phones *p, uint32_t k)
{
    return world_phones_home(p->world, k, p->all[k].home);
}

static void send(void *context, struct handset *h, struct slice message)
{
    struct phones *p = context;
    world_phones_send(p->world, h->index, home_of(p, h->index), message);
}

bool phones_is_reachable(const struct phones *p, uint32_t k)
{
    const struct phones_one *one = &p->all[k];
    return one->registered_until_us > now_us(p) && world_is_alive(p->world, one->node) &&
           world_incarnation(p->world, one->node) == one->incarnation &&
           !world_is_leaving(p->world, one->node);
}

/* What has changed when its node has died, although it is reachable by another, or again. */
static uint64_t life_of(const struct phones *p, uint32_t k)
{
    return (uint64_t)p->all[k].node << 32 | p->all[k].incarnation;
}

uint32_t phones_reachable(const struct phones *p)
{
    uint32_t count = 0;
    for (uint32_t k = 0; k < p->s.count; k++) {
        count += phones_is_reachable(p, k) ? 1 : 0;
    }
    return count;
}

/* ---- registrations ---- */

static void register_again(struct phones *p, struct phones_one *one, uint64_t in_us)
{
    one->register_us = now_us(p) + in_us;
}

static void on_registered(struct phones *p, struct phones_one *one)
{
    struct handset *h = &one->handset;
    uint16_t status = h->news.registered;
    p->counts.registrations++;
    if (status / 100 == 2) {
        uint64_t granted_us = (uint64_t)h->news.expires_s * SECOND_US;
        p->counts.registrations_ok++;
        spread_add(&p->counts.register_us, now_us(p) - h->reg.begun_us);
        one->registered_until_us = now_us(p) + granted_us;
        one->node = home_of(p, h->index);
        one->incarnation = world_incarnation(p->world, one->node);
        register_again(p, one, granted_us / 2);
        return;
    }
    p->counts.registrations_failed++;
    p->counts.moved += p->s.homes > 1 ? 1 : 0;
    one->home = (one->home + 1) % p->s.homes;
    register_again(p, one, RETRY_US + rng_below(&h->rng, 4ULL * RETRY_US));
}

/* ---- calls ---- */

static void free_both(struct phones *p, struct phones_one *one)
{
    one->is_engaged = false;
    p->all[one->callee].is_engaged = false;
    one->hang_up_us = UINT64_MAX;
}

static uint64_t drawn(const struct phones *p, struct phones_one *one, uint64_t mean_us)
{
    return now_us(p) + draw_us(&one->handset.rng, DRAW_EXPONENTIAL, mean_us);
}

static void note_failed(struct phones *p, struct phones_one *one, uint16_t status)
{
    struct phones_counts *c = &p->counts;
    c->failed++;
    bool is_excused = !one->is_reachable || !phones_is_reachable(p, one->handset.index) ||
                      !phones_is_reachable(p, one->callee) ||
                      life_of(p, one->handset.index) != one->own_life ||
                      life_of(p, one->callee) != one->callee_life;
    c->unreached += is_excused ? 0 : 1;
    for (uint32_t i = 0; i < PHONES_STATUSES; i++) {
        if (c->failed_by[i].status == 0 || c->failed_by[i].status == status) {
            c->failed_by[i].status = status;
            c->failed_by[i].count++;
            break;
        }
    }
    if (status == 408 || status == 403) { /* its node is gone, or has forgotten it */
        register_again(p, one, 0);
    }
}

static void on_answered(struct phones *p, struct phones_one *one)
{
    struct phones_counts *c = &p->counts;
    uint16_t status = one->handset.news.answered;
    if (status >= 300) {
        note_failed(p, one, status);
        free_both(p, one);
        return;
    }
    uint64_t took_us = now_us(p) - one->placed_us;
    c->answered++;
    c->asked_ok += one->is_asking ? 1 : 0;
    spread_add(&c->setup_us, took_us - min_u64(took_us, p->s.ring_us));
    one->hang_up_us = one->is_asking ? now_us(p) : drawn(p, one, p->s.talk_us);
}

static void on_ended(struct phones *p, struct phones_one *one)
{
    bool is_good = one->handset.news.ended / 100 == 2;
    p->counts.completed += is_good ? 1 : 0;
    p->counts.cut_off += is_good ? 0 : 1;
    free_both(p, one);
}

static void take_news(struct phones *p, struct phones_one *one)
{
    struct handset_news *n = &one->handset.news;
    p->counts.twice += n->again;
    if (n->rang) {
        spread_add(&p->counts.post_dial_us, now_us(p) - one->placed_us);
    }
    if (n->registered != 0) {
        on_registered(p, one);
    }
    if (n->answered != 0) {
        on_answered(p, one);
    }
    if (n->ended != 0) {
        on_ended(p, one);
    }
    *n = (struct handset_news){0};
}

static void call(struct phones *p, struct phones_one *one, uint32_t callee)
{
    struct phones_one *other = &p->all[callee];
    one->callee = callee;
    one->is_engaged = true;
    other->is_engaged = true;
    one->placed_us = now_us(p);
    one->is_reachable =
        phones_is_reachable(p, one->handset.index) && phones_is_reachable(p, callee);
    one->own_life = life_of(p, one->handset.index);
    one->callee_life = life_of(p, callee);
    p->counts.placed++;
    handset_call(&one->handset, now_us(p), other->handset.user);
}

static bool is_free(const struct phones *p, uint32_t k)
{
    return !p->all[k].is_engaged && handset_is_idle(&p->all[k].handset);
}

/* Somebody who does not speak already, whether he is reachable or not. */
static void call_anybody(struct phones *p, struct phones_one *one)
{
    uint32_t k = one->handset.index;
    one->call_us = drawn(p, one, p->s.call_every_us);
    for (uint32_t i = 0; i < DRAWS && is_free(p, k) && phones_is_reachable(p, k); i++) {
        uint32_t callee = (uint32_t)rng_below(&one->handset.rng, p->s.count);
        if (callee != k && is_free(p, callee)) {
            one->is_asking = false;
            call(p, one, callee);
        }
    }
}

/* ---- time ---- */

static void wake_at(struct phones *p, struct phones_one *one)
{
    uint64_t due = handset_due_us(&one->handset);
    due = min_u64(min_u64(due, one->register_us), min_u64(one->call_us, one->hang_up_us));
    if (due == UINT64_MAX) {
        return;
    }
    uint64_t *free_wake = NULL;
    for (uint32_t i = 0; i < PHONES_WAKES; i++) {
        uint64_t *wake = &one->wakes_us[i];
        if (*wake != 0 && *wake <= due) {
            return; /* then it is seen what is due next */
        }
        free_wake = *wake == 0 ? wake : free_wake;
    }
    due = max_u64(max_u64(due, now_us(p)), 1);
    if (free_wake != NULL) {
        *free_wake = due;
    }
    world_phones_wake(p->world, one->handset.index, due);
}

static void forget_wake(const struct phones *p, struct phones_one *one)
{
    for (uint32_t i = 0; i < PHONES_WAKES; i++) {
        one->wakes_us[i] = one->wakes_us[i] <= now_us(p) ? 0 : one->wakes_us[i];
    }
}

static void on_time(struct phones *p, struct phones_one *one)
{
    uint64_t now = now_us(p);
    handset_on_time(&one->handset, now);
    take_news(p, one);
    if (one->register_us <= now) {
        one->register_us = UINT64_MAX;
        if (!one->handset.reg.is_open) {
            handset_register(&one->handset, now, p->s.expires_s);
        }
    }
    if (one->hang_up_us <= now) {
        one->hang_up_us = UINT64_MAX;
        handset_hang_up(&one->handset, now);
    }
    if (one->call_us <= now) {
        one->call_us = UINT64_MAX;
        if (p->is_calling && p->s.call_every_us > 0) {
            call_anybody(p, one);
        }
    }
}

static void on_event(void *context, uint32_t k, struct slice datagram)
{
    struct phones *p = context;
    struct phones_one *one = &p->all[k];
    if (p->is_over) {
        return;
    }
    if (datagram.len > 0) {
        handset_receive(&one->handset, now_us(p), datagram);
    } else {
        forget_wake(p, one);
        on_time(p, one);
    }
    take_news(p, one);
    wake_at(p, one);
}

/* ---- the scenario's side ---- */

void phones_init(struct phones *p, struct arena *arena, const struct phones_settings *s,
                 struct world *w)
{
    *p = (struct phones){.s = *s, .world = w};
    if (s->count == 0) {
        return;
    }
    uint64_t seed = world_settings_of(w)->seed;
    p->all = ARENA_ARRAY(arena, struct phones_one, s->count);
    rng_init(&p->rng, seed ^ 0xca115);
    p->handset = (struct handset_settings){.domain = world_settings_of(w)->config.name,
                                           .crypto = *world_crypto(w),
                                           .ring_us = s->ring_us,
                                           .patience_us = PATIENCE_US,
                                           .send = send,
                                           .context = p,
                                           .parser = &p->parser};
    for (uint32_t k = 0; k < s->count; k++) {
        struct address local = world_phones_address(k);
        handset_init(&p->all[k].handset, &p->handset, k, &local,
                     (seed ^ 0xf04e5) * 0x9e3779b97f4a7c15ULL + k);
        p->all[k].register_us = p->all[k].call_us = p->all[k].hang_up_us = UINT64_MAX;
    }
    world_phones_listen(w, on_event, p);
}

void phones_begin(struct phones *p)
{
    for (uint32_t k = 0; k < p->s.count; k++) {
        register_again(p, &p->all[k], rng_below(&p->rng, p->s.register_us + 1));
        wake_at(p, &p->all[k]);
    }
}

void phones_set_calling(struct phones *p, bool is_calling)
{
    p->is_calling = is_calling && p->s.call_every_us > 0;
    for (uint32_t k = 0; k < p->s.count && p->is_calling; k++) {
        p->all[k].call_us = drawn(p, &p->all[k], p->s.call_every_us);
        wake_at(p, &p->all[k]);
    }
}

static uint32_t open_calls(const struct phones *p)
{
    uint32_t open = 0;
    for (uint32_t k = 0; k < p->s.count; k++) {
        open += handset_is_idle(&p->all[k].handset) ? 0 : 1;
    }
    return open;
}

bool phones_drain(struct phones *p)
{
    p->is_calling = false;
    return open_calls(p) == 0;
}

bool phones_ask(struct phones *p, uint32_t k)
{
    uint32_t caller = (k + 1 + (uint32_t)rng_below(&p->rng, p->s.count - 1)) % p->s.count;
    struct phones_one *one = &p->all[caller];
    if (!is_free(p, k) || !is_free(p, caller) || !phones_is_reachable(p, k) ||
        !phones_is_reachable(p, caller)) {
        return false;
    }
    one->is_asking = true;
    p->counts.asked++;
    call(p, one, k);
    wake_at(p, one);
    return true;
}

void phones_end(struct phones *p)
{
    p->is_over = true;
    p->counts.open = open_calls(p);
}
