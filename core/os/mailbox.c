/* SPDX-License-Identifier: Apache-2.0 */
/* mailbox.c - see mailbox.h. */
#include "core/os/mailbox.h"
#include "core/spsc.h"
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { CONTROL_CAP = 256, RETURN_MAIL = 0xffff };

struct member {
    /* written by the member before and after sleeping, cleared by whoever wakes it */
    _Alignas(SPSC_LINE) _Atomic bool is_asleep;
    _Atomic int ring;
    int descriptor;
    uint32_t next_from; /* whose ring is looked at next: fair to all senders */
    /* One entry for each other member; only this member's thread touches them. */
    _Alignas(SPSC_LINE) struct msgbuf **going_home; /* chains not yet sent back */
    bool *is_mailed;                                /* since the last mailbox_must_wake */
};

struct mailbox {
    uint32_t members; /* shards + 1 */
    _Atomic bool is_stopped;
    struct member *member;
    struct spsc *rings; /* [from * members + to] */
};

static uint32_t ring_cap(uint32_t members, uint32_t from, uint32_t to, uint32_t cap)
{
    uint32_t control = members - 1;
    return from == control || to == control ? CONTROL_CAP : cap;
}

size_t mailbox_bytes(uint32_t shards, uint32_t cap)
{
    size_t members = (size_t)shards + 1;
    size_t slots = 2 * ((size_t)cap + CONTROL_CAP); /* rounding up at most doubles */
    size_t pair = sizeof(struct spsc) + slots * sizeof(struct mail) + 2 * SPSC_LINE + 16;
    return sizeof(struct mailbox) + members * (sizeof(struct member) + 2 * SPSC_LINE) +
           members * members * pair;
}

struct mailbox *mailbox_open(struct arena *arena, uint32_t shards, uint32_t cap)
{
    CHECK(shards > 0);
    struct mailbox *m = ARENA_ARRAY(arena, struct mailbox, 1);
    m->members = shards + 1;
    m->member = ARENA_ARRAY(arena, struct member, m->members);
    m->rings = ARENA_ARRAY(arena, struct spsc, (size_t)m->members * m->members);
    atomic_init(&m->is_stopped, false);
    bool is_good = true;
    for (uint32_t i = 0; i < m->members; i++) {
        struct member *self = &m->member[i];
        atomic_init(&self->is_asleep, false);
        atomic_init(&self->ring, -1);
        self->descriptor = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        is_good = is_good && self->descriptor >= 0;
        self->going_home = ARENA_ARRAY(arena, struct msgbuf *, m->members);
        self->is_mailed = ARENA_ARRAY(arena, bool, m->members);
        for (uint32_t to = 0; to < m->members; to++) {
            spsc_init(&m->rings[(size_t)i * m->members + to], arena,
                      ring_cap(m->members, i, to, cap), sizeof(struct mail));
        }
    }
    if (!is_good) {
        mailbox_close(m);
        return NULL;
    }
    return m;
}

void mailbox_close(struct mailbox *m)
{
    for (uint32_t i = 0; i < m->members; i++) {
        if (m->member[i].descriptor >= 0) {
            close(m->member[i].descriptor);
            m->member[i].descriptor = -1;
        }
    }
}

static struct spsc *ring_of(struct mailbox *m, uint32_t from, uint32_t to)
{
    CHECK(from < m->members);
    CHECK(to < m->members);
    return &m->rings[(size_t)from * m->members + to];
}

bool mailbox_send(struct mailbox *m, uint32_t to, const struct mail *mail)
{
    CHECK(mail->mail != RETURN_MAIL);
    CHECK(mail->buf == NULL || mail->buf->refs == 1);
    if (!spsc_push(ring_of(m, mail->from, to), mail)) {
        return false;
    }
    m->member[mail->from].is_mailed[to] = true;
    return true;
}

static void release_chain(struct msgbuf_pool *pool, struct msgbuf *chain)
{
    while (chain != NULL) {
        struct msgbuf *next = chain->next;
        chain->next = NULL;
        msgbuf_release(pool, chain);
        chain = next;
    }
}

bool mailbox_take(struct mailbox *m, uint32_t self, struct msgbuf_pool *pool, struct mail *out)
{
    struct member *me = &m->member[self];
    for (uint32_t tried = 0; tried < m->members; tried++) {
        uint32_t from = me->next_from;
        while (spsc_pop(ring_of(m, from, self), out)) {
            if (out->mail != RETURN_MAIL) {
                CHECK(out->from == from);
                me->next_from = (from + 1) % m->members;
                return true;
            }
            release_chain(pool, out->buf);
        }
        me->next_from = (from + 1) % m->members;
    }
    return false;
}

void mailbox_give_back(struct mailbox *m, uint32_t self, uint32_t home, struct msgbuf *buf)
{
    CHECK(home != self);
    CHECK(home < m->members);
    struct member *me = &m->member[self];
    buf->next = me->going_home[home];
    me->going_home[home] = buf;
}

void mailbox_flush(struct mailbox *m, uint32_t self)
{
    struct member *me = &m->member[self];
    for (uint32_t home = 0; home < m->members; home++) {
        if (me->going_home[home] == NULL) {
            continue;
        }
        struct mail item = {
            .buf = me->going_home[home], .from = (uint16_t)self, .mail = RETURN_MAIL};
        /* A full ring keeps the chain here; it grows and goes with the next turn.  Nobody is woken
         * for it: a home that sleeps does not miss its buffers. */
        if (spsc_push(ring_of(m, self, home), &item)) {
            me->going_home[home] = NULL;
        }
    }
}

bool mailbox_has_mail(struct mailbox *m, uint32_t self)
{
    for (uint32_t from = 0; from < m->members; from++) {
        if (!spsc_is_empty(ring_of(m, from, self))) {
            return true;
        }
    }
    return false;
}

bool mailbox_may_sleep(struct mailbox *m, uint32_t self)
{
    /* seq_cst: this store stands before the look at the rings, as the sender's push stands before
     * its look at is_asleep (mailbox_must_wake); so one of the two sees the other. */
    atomic_store_explicit(&m->member[self].is_asleep, true, memory_order_seq_cst);
    atomic_thread_fence(memory_order_seq_cst);
    if (mailbox_has_mail(m, self) || mailbox_is_stopped(m)) {
        mailbox_awake(m, self);
        return false;
    }
    return true;
}

void mailbox_awake(struct mailbox *m, uint32_t self)
{
    /* relaxed: a waker that comes late costs one needless wake */
    atomic_store_explicit(&m->member[self].is_asleep, false, memory_order_relaxed);
}

bool mailbox_must_wake(struct mailbox *m, uint32_t self, uint32_t to)
{
    if (!m->member[self].is_mailed[to]) {
        return false;
    }
    m->member[self].is_mailed[to] = false;
    if (to == m->members - 1) {
        return true; /* the control thread sleeps in poll(2) and never says so */
    }
    /* seq_cst: pairs with mailbox_may_sleep */
    atomic_thread_fence(memory_order_seq_cst);
    return atomic_load_explicit(&m->member[to].is_asleep, memory_order_relaxed) &&
           atomic_exchange_explicit(&m->member[to].is_asleep, false, memory_order_seq_cst);
}

void mailbox_set_ring(struct mailbox *m, uint32_t self, int ring)
{
    /* release/acquire: whoever sees the number sees a ring that is set up */
    atomic_store_explicit(&m->member[self].ring, ring, memory_order_release);
}

int mailbox_ring(struct mailbox *m, uint32_t member)
{
    return atomic_load_explicit(&m->member[member].ring, memory_order_acquire);
}

int mailbox_descriptor(const struct mailbox *m, uint32_t member)
{
    CHECK(member < m->members);
    return m->member[member].descriptor;
}

void mailbox_wake(struct mailbox *m, uint32_t member)
{
    uint64_t one = 1;
    /* EAGAIN means that the counter is full: it is awake enough. */
    ssize_t written = write(mailbox_descriptor(m, member), &one, sizeof(one));
    (void)written;
}

void mailbox_stop(struct mailbox *m)
{
    /* seq_cst: pairs with the look in mailbox_may_sleep */
    atomic_store_explicit(&m->is_stopped, true, memory_order_seq_cst);
    for (uint32_t i = 0; i + 1 < m->members; i++) {
        mailbox_wake(m, i);
    }
}

bool mailbox_is_stopped(struct mailbox *m)
{
    return atomic_load_explicit(&m->is_stopped, memory_order_seq_cst);
}
