/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/demo_phones.h"
#include "core/os/host.h"
#include "link/crypto_boring.h"
#include <stdio.h>

enum {
    EXPIRES_S = 3600,
    STEP_MS = 50,
    TALK_MS = 20,
    REAL_TALK_MS = 1000,
    PAUSE_MS = 200,
    REGISTER_MS = 15000
};

static void poll_all(struct demo_phones *p, struct phone *waiting, uint32_t ms)
{
    struct phone *all[DEMO_PLACE_ACCOUNTS];
    for (size_t i = 0; i < DEMO_PLACE_ACCOUNTS; i++) {
        all[i] = &p->phones[i];
    }
    phone_poll(all, DEMO_PLACE_ACCOUNTS, waiting, (int)ms);
}

/* Until the request of `phone` has ended, `until_us` or a stop; true when it ended well. */
static bool finish(struct demo_phones *p, struct phone *phone, uint64_t until_us)
{
    while (phone->request.step == PHONE_WAITS && *p->stop == 0 && host_now_us() < until_us) {
        poll_all(p, phone, STEP_MS);
    }
    return phone->request.step == PHONE_DONE;
}

/* The n-th running peer, round robin, that is none of `taken` as far as there are others. */
static uint32_t choose(const struct demo_ring *r, uint32_t n, const uint32_t *taken, size_t count)
{
    for (uint32_t i = 0; i < r->peer_count; i++) {
        uint32_t peer = (n + i) % r->peer_count;
        bool is_free = r->peers[peer].pid != 0;
        for (size_t k = 0; k < count; k++) {
            is_free = is_free && peer != taken[k];
        }
        if (is_free) {
            return peer;
        }
    }
    return count == 0 ? n % r->peer_count : choose(r, n, taken, count - 1);
}

/* Nobody registers at the owner of bob's record: it will be killed. */
static void place_all(struct demo_phones *p)
{
    struct demo_ring *r = p->ring;
    const char *bob = r->place.accounts[DEMO_PHONES_BOB].user;
    p->bob_owner = demo_ring_owner(r, 0, bob);
    uint32_t taken[2] = {p->bob_owner, p->bob_owner};
    p->peers[DEMO_PHONES_ALICE] = choose(r, 0, taken, 1);
    taken[1] = p->peers[DEMO_PHONES_ALICE];
    p->peers[DEMO_PHONES_BOB] = choose(r, r->peer_count - 1, taken, 2);
    for (uint32_t i = DEMO_PHONES_CAROL; i < DEMO_PLACE_ACCOUNTS; i++) {
        p->peers[i] = choose(r, i, taken, 1);
    }
}

static bool is_real(const struct demo_phones *p, uint32_t account)
{
    return p->is_baresip && account < DEMO_PHONES_REAL;
}

/* Starts to register; finish_register waits for it. */
static bool begin_register(struct demo_phones *p, uint32_t account, char *why)
{
    const struct demo_place *place = &p->ring->place;
    const struct demo_place_account *a = &place->accounts[account];
    const struct address *server = &p->ring->peers[p->peers[account]].sip;
    if (is_real(p, account)) {
        uint16_t port = demo_peer_spare_ports(4);
        return demo_baresip_start(&p->real[account], place, a, server, port, why) == ERR_OK;
    }
    if (!phone_open(&p->phones[account], crypto_boring(), a->user, a->password, server)) {
        say_why(why, ERR_IO, "no socket: %s: %s", a->user, say_errno());
        return false;
    }
    phone_register(&p->phones[account], EXPIRES_S);
    return true;
}

static bool finish_real(struct demo_phones *p, uint32_t account, uint64_t until_us, char *why)
{
    const char *user = p->ring->place.accounts[account].user;
    while (*p->stop == 0 && host_now_us() < until_us) {
        if (demo_baresip_connect(&p->real[account]) && demo_ring_is_readable(p->ring, user)) {
            return true;
        }
        poll_all(p, NULL, STEP_MS);
    }
    say_why(why, ERR_REMOTE, "baresip cannot register: %s: is it installed?", user);
    return false;
}

static bool finish_register(struct demo_phones *p, uint32_t account, uint64_t until_us, char *why)
{
    struct phone *phone = &p->phones[account];
    if (is_real(p, account)) {
        return finish_real(p, account, until_us, why);
    }
    if (!finish(p, phone, until_us)) {
        say_why(why, ERR_REMOTE, "cannot register: %s at %s: %u %s", phone->user,
                p->ring->peers[p->peers[account]].name, phone->request.status, phone->request.why);
        return false;
    }
    return true;
}

bool demo_phones_open(struct demo_phones *p, struct demo_ring *ring, bool is_baresip,
                      const volatile int *stop, char *why)
{
    bool good = true;
    *p = (struct demo_phones){.ring = ring, .is_baresip = is_baresip, .stop = stop};
    for (uint32_t i = 0; i < DEMO_PLACE_ACCOUNTS; i++) {
        p->phones[i].fd = -1;
    }
    for (uint32_t i = 0; i < DEMO_PHONES_REAL; i++) {
        p->real[i].control = -1;
    }
    place_all(p);
    uint64_t until_us = host_now_us() + REGISTER_MS * 1000;
    for (uint32_t i = 0; good && i < DEMO_PLACE_ACCOUNTS; i++) {
        good = begin_register(p, i, why);
    }
    for (uint32_t i = 0; good && i < DEMO_PLACE_ACCOUNTS; i++) {
        good = p->is_registered[i] = finish_register(p, i, until_us, why);
    }
    return good;
}

void demo_phones_close(struct demo_phones *p)
{
    for (size_t i = 0; i < DEMO_PLACE_ACCOUNTS; i++) {
        if (p->phones[i].crypto != NULL) {
            phone_close(&p->phones[i]);
        }
    }
    for (size_t i = 0; i < DEMO_PHONES_REAL; i++) {
        demo_baresip_end(&p->real[i]);
    }
}

void demo_phones_rest(struct demo_phones *p, uint32_t ms)
{
    poll_all(p, NULL, ms);
}

/* Waits until `*flag` or the end of the call; how long it took. */
static uint64_t wait_real(struct demo_phones *p, struct demo_baresip *b, const bool *flag,
                          uint64_t until_us)
{
    uint64_t begun_us = host_now_us();
    while (!*flag && !b->is_closed && *p->stop == 0 && host_now_us() < until_us) {
        demo_baresip_poll(b, 1);
        poll_all(p, NULL, 0);
    }
    return host_now_us() - begun_us;
}

static bool try_real_call(struct demo_phones *p, uint64_t until_us, struct demo_phones_call *c)
{
    struct demo_baresip *b = &p->real[c->from];
    demo_baresip_poll(b, 0); /* what is left of an earlier call */
    demo_baresip_dial(b, p->ring->place.accounts[c->to].user);
    c->invite_us = wait_real(p, b, &b->is_up, until_us);
    c->status = b->is_up ? 200 : 480;
    snprintf(c->why, sizeof(c->why), "%s", b->why);
    if (!b->is_up) {
        demo_baresip_hangup(b);
        return false;
    }
    poll_all(p, NULL, REAL_TALK_MS);
    demo_baresip_hangup(b);
    c->bye_us = wait_real(p, b, &b->is_closed, until_us);
    return b->is_closed;
}

static bool try_call(struct demo_phones *p, uint64_t until_us, struct demo_phones_call *c)
{
    if (is_real(p, c->from)) {
        return try_real_call(p, until_us, c);
    }
    struct phone *phone = &p->phones[c->from];
    struct demo_ring *r = p->ring;
    phone_call(phone, r->place.accounts[c->to].user);
    bool is_up = finish(p, phone, until_us);
    c->status = phone->request.status;
    c->invite_us = phone->request.took_us;
    snprintf(c->why, sizeof(c->why), "%s", phone->request.why);
    if (!is_up) {
        return false;
    }
    poll_all(p, NULL, TALK_MS);
    phone_hangup(phone);
    bool is_over = finish(p, phone, until_us);
    c->bye_us = phone->request.took_us;
    if (!is_over) {
        c->status = phone->request.status;
        snprintf(c->why, sizeof(c->why), "BYE: %.100s", phone->request.why);
    }
    return is_over;
}

void demo_phones_call(struct demo_phones *p, uint32_t from, uint32_t to, uint32_t patience_ms,
                      struct demo_phones_call *out)
{
    struct demo_ring *r = p->ring;
    struct demo_peer *peer = &r->peers[p->peers[from]];
    uint64_t begun_us = host_now_us();
    uint64_t until_us = begun_us + (uint64_t)patience_ms * 1000;
    *out = (struct demo_phones_call){.from = from, .to = to};
    do {
        if (out->tries++ > 0) {
            poll_all(p, NULL, PAUSE_MS);
        }
        out->is_ok = try_call(p, until_us, out);
    } while (!out->is_ok && *p->stop == 0 && host_now_us() < until_us);
    out->until_ok_us = host_now_us() - begun_us;
    if (peer->pid != 0 && demo_peer_refresh(peer, &r->place)) {
        out->setup = demo_ring_last_setup(r, p->peers[from]);
    }
}

uint32_t demo_phones_lost(struct demo_phones *p, uint32_t patience_ms)
{
    uint64_t until_us = host_now_us() + (uint64_t)patience_ms * 1000;
    uint32_t lost = 0;
    for (size_t i = 0; i < DEMO_PLACE_ACCOUNTS; i++) {
        bool is_there = !p->is_registered[i];
        do {
            is_there = is_there || demo_ring_is_readable(p->ring, p->ring->place.accounts[i].user);
        } while (!is_there && *p->stop == 0 && host_now_us() < until_us);
        lost += is_there ? 0 : 1;
    }
    return lost;
}
