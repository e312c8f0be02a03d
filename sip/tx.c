/* SPDX-License-Identifier: Apache-2.0 */
/* tx.c - table, branch ids and timers; see tx.h.
 *
 *   INVITE client   TRYING -> PROCEEDING -> COMPLETED (ACK sent, D)   -> DONE
 *                      \________\________-> ACCEPTED (2xx, M)         -> DONE
 *   client          TRYING -> PROCEEDING -> COMPLETED (K)             -> DONE
 *   INVITE server   PROCEEDING -> COMPLETED (G, H) -> CONFIRMED (I)   -> DONE
 *                      \_________-> ACCEPTED (2xx, L)                 -> DONE
 *   server          TRYING -> PROCEEDING -> COMPLETED (J)             -> DONE
 *
 * TRYING and PROCEEDING of servers lead to DONE too, when the user has nothing to say (RFC 4320: no
 * 408 to a non-INVITE request). */
#include "core/trace.h"
#include "sip/sip_state.h"

enum {
    US_PER_MS = 1000,
    MAGIC_LEN = 7,
    SHARD_DIGITS = 4,
    RANDOM_BYTES = 12,
    EVICT_TRIES = 64,
    CACHE_LINE = 64
};

const uint8_t tx_edges[TX_KIND_COUNT][TX_STATE_COUNT] = {
    [TX_INVITE_CLIENT] = {[TX_TRYING] = 1u << TX_PROCEEDING | 1u << TX_COMPLETED |
                                        1u << TX_ACCEPTED | 1u << TX_DONE,
                          [TX_PROCEEDING] = 1u << TX_COMPLETED | 1u << TX_ACCEPTED | 1u << TX_DONE,
                          [TX_COMPLETED] = 1u << TX_DONE,
                          [TX_ACCEPTED] = 1u << TX_DONE},
    [TX_CLIENT] = {[TX_TRYING] = 1u << TX_PROCEEDING | 1u << TX_COMPLETED | 1u << TX_DONE,
                   [TX_PROCEEDING] = 1u << TX_COMPLETED | 1u << TX_DONE,
                   [TX_COMPLETED] = 1u << TX_DONE},
    [TX_INVITE_SERVER] = {[TX_PROCEEDING] = 1u << TX_COMPLETED | 1u << TX_ACCEPTED | 1u << TX_DONE,
                          [TX_COMPLETED] = 1u << TX_CONFIRMED | 1u << TX_DONE,
                          [TX_CONFIRMED] = 1u << TX_DONE,
                          [TX_ACCEPTED] = 1u << TX_DONE},
    [TX_SERVER] = {[TX_TRYING] = 1u << TX_PROCEEDING | 1u << TX_COMPLETED | 1u << TX_DONE,
                   [TX_PROCEEDING] = 1u << TX_COMPLETED | 1u << TX_DONE,
                   [TX_COMPLETED] = 1u << TX_DONE},
};
#ifdef CHORDIAL_DEBUG
uint8_t tx_edges_taken[TX_KIND_COUNT][TX_STATE_COUNT];
#endif

/* Connections count their client transactions, so that most may close without a search. */
static void count_client(struct sip *s, const struct tx *tx, bool is_more)
{
    if (tx->kind != TX_INVITE_CLIENT && tx->kind != TX_CLIENT) {
        return;
    }
    struct flow *f = pool_get(&s->flows, tx->peer.flow);
    if (f != NULL && tx->peer.shard == s->settings.shard) {
        f->clients += is_more ? 1 : UINT32_MAX; /* one less */
    }
}

static struct flow *peer_flow(const struct sip *s, const struct tx *tx)
{
    return tx->peer.kind == SIP_PEER ? pool_get(&s->flows, tx->peer.flow) : NULL;
}

void tx_asked(struct turn *t, struct sip *s, struct tx *tx)
{
    struct flow *f = peer_flow(s, tx);
    if (f == NULL || tx->kind != TX_INVITE_CLIENT || tx->is_unanswered) {
        return;
    }
    tx->is_unanswered = true;
    tx->asked_ms = (uint32_t)(t->now_us / US_PER_MS);
    f->unanswered++;
}

void tx_heard(struct turn *t, struct sip *s, struct tx *tx, bool is_said)
{
    struct flow *f = tx->is_unanswered ? peer_flow(s, tx) : NULL;
    tx->is_unanswered = false;
    if (f == NULL) {
        return; /* the connection is gone */
    }
    CHECK(f->unanswered > 0);
    f->unanswered--;
    f->delay_ms = is_said ? (uint32_t)(t->now_us / US_PER_MS) - tx->asked_ms : f->delay_ms;
}

/* ---- those that have ended, oldest first */

static struct tx *at(const struct sip *s, uint32_t place)
{
    return place == 0 ? NULL : pool_at(&s->txs, place - 1);
}

static void unlink_ended(struct sip *s, struct tx *tx)
{
    struct tx *older = at(s, tx->older), *newer = at(s, tx->newer);
    *(older == NULL ? &s->tx_oldest : &older->newer) = tx->newer;
    *(newer == NULL ? &s->tx_newest : &newer->older) = tx->older;
    s->tx_retained -= tx->is_retained ? 1 : 0;
    tx->is_ended = false;
}

/* Only absorbs retransmissions: the ACK of a refused INVITE has come, too. */
static bool has_ended(const struct tx *tx)
{
    return tx->state == TX_ACCEPTED || tx->state == TX_CONFIRMED ||
           (tx->state == TX_COMPLETED && tx->kind != TX_INVITE_SERVER);
}

/* They go in the order in which they came, each when no cache has it any more.  So while one goes,
 * the next is sent for: its buffer will hold the response after the next, and its place in the
 * table is looked for then; and the one behind it, which says where those are. */
static void foresee(const struct turn *t, const struct sip *s)
{
    const struct tx *next = at(s, s->tx_oldest);
    const struct tx *second = next == NULL ? NULL : at(s, next->newer);
    if (next == NULL) {
        return;
    }
    table_prefetch(&s->tx_table, next->key);
    if (next->message != NULL) {
        msgbuf_prefetch(t->buffers, next->message);
    }
    for (size_t i = 0; second != NULL && i < sizeof(*second); i += CACHE_LINE) {
        __builtin_prefetch((const uint8_t *)second + i, 1);
    }
}

static void evict_oldest(struct turn *t, struct sip *s)
{
    metric_add(t->metrics, METRIC_sip_transactions_evicted, 1);
    tx_release(t, s, at(s, s->tx_oldest));
    foresee(t, s);
}

void tx_settle(struct turn *t, struct sip *s, struct tx *tx)
{
    if (tx->is_ended || !has_ended(tx)) {
        return;
    }
    uint32_t place = pool_index(&s->txs, tx) + 1;
    struct tx *newest = at(s, s->tx_newest);
    *(newest == NULL ? &s->tx_oldest : &newest->newer) = place;
    tx->older = s->tx_newest;
    tx->newer = 0;
    s->tx_newest = place;
    tx->is_ended = true;
    tx->is_retained = tx->message != NULL;
    s->tx_retained += tx->is_retained ? 1 : 0;
    while (s->tx_retained > s->settings.limits->sip_retained && s->tx_oldest != place) {
        evict_oldest(t, s);
    }
}

/* The table is full of what is under way.  An INVITE that was refused and whose ACK does not come
 * is kept for 32 s (timer H): a phone that never sends one could fill the table with a few thousand
 * calls a second to nobody.  One of these goes; a late ACK is absorbed without it. */
static void evict_unacknowledged(struct turn *t, struct sip *s)
{
    for (unsigned tries = 0; tries < EVICT_TRIES; tries++) {
        struct tx *tx = pool_next(&s->txs, &s->tx_hand);
        if (tx == NULL) {
            s->tx_hand = 0;
        } else if (tx->kind == TX_INVITE_SERVER && tx->state == TX_COMPLETED) {
            metric_add(t->metrics, METRIC_sip_transactions_evicted, 1);
            tx_release(t, s, tx);
            return;
        }
    }
}

struct tx *tx_acquire(struct turn *t, struct sip *s, enum tx_kind kind, enum sip_method method,
                      const struct flow_ref *peer, const uint8_t key[TX_KEY_BYTES])
{
    if (s->txs.in_use == s->txs.cap && s->tx_oldest != 0) {
        evict_oldest(t, s);
    } else if (s->txs.in_use == s->txs.cap) {
        evict_unacknowledged(t, s);
    }
    struct tx *tx = pool_acquire(&s->txs);
    if (tx == NULL) {
        metric_add(t->metrics, METRIC_pool_exhausted, 1);
        return NULL;
    }
    handle h = pool_handle(&s->txs, tx);
    if (table_insert(&s->tx_table, key, handle_index(h)) != ERR_OK) {
        pool_release(&s->txs, tx);
        return NULL;
    }
    memcpy(tx->key, key, TX_KEY_BYTES);
    tx->kind = (uint8_t)kind;
    tx->method = (uint8_t)method;
    tx->state = kind == TX_INVITE_SERVER ? TX_PROCEEDING : TX_TRYING;
    tx->peer = *peer;
    tx->is_reliable = flow_is_reliable(peer);
    tx->retry.tag = h;
    tx->end.tag = h;
    count_client(s, tx, true);
    return tx;
}

struct tx *tx_find(const struct sip *s, const uint8_t key[TX_KEY_BYTES])
{
    uint32_t index = 0;
    if (!table_find(&s->tx_table, key, &index)) {
        return NULL;
    }
    CHECK(index < s->txs.cap);
    return (struct tx *)(void *)(s->txs.objects + (size_t)index * s->txs.object_size);
}

void tx_keep(struct turn *t, struct tx *tx, struct msgbuf *message)
{
    struct msgbuf *old = tx->message;
    tx->message = message == NULL ? NULL : msgbuf_ref(message);
    if (old != NULL) {
        msgbuf_release(t->buffers, old);
    }
}

void tx_release(struct turn *t, struct sip *s, struct tx *tx)
{
    wheel_cancel(t->wheel, &tx->retry);
    wheel_cancel(t->wheel, &tx->end);
    tx_keep(t, tx, NULL);
    tx_heard(t, s, tx, false);
    count_client(s, tx, false);
    if (tx->is_ended) {
        unlink_ended(s, tx);
    }
    s->tx_unsent -= tx->is_unsent ? 1 : 0;
    CHECK(table_remove(&s->tx_table, tx->key));
    pool_release(&s->txs, tx);
}

void tx_move(struct turn *t, struct sip *s, struct tx *tx, const struct flow_ref *peer)
{
    tx_heard(t, s, tx, false);
    count_client(s, tx, false);
    tx->peer = *peer;
    count_client(s, tx, true);
}

void tx_enter(struct turn *t, struct tx *tx, enum tx_state next)
{
    CHECK(tx_edges[tx->kind][tx->state] & 1u << next);
#ifdef CHORDIAL_DEBUG
    tx_edges_taken[tx->kind][tx->state] |= (uint8_t)(1u << next);
#endif
    trace_note(t->now_us, TRACE_sip_transaction, tx->retry.tag,
               (uint64_t)tx->kind << 16 | (uint64_t)tx->state << 8 | next);
    tx->state = (uint8_t)next;
}

void tx_arm_retry(struct turn *t, struct tx *tx, enum tx_timer what, uint32_t delay_ms)
{
    tx->retry.what = what;
    tx->interval_ms = delay_ms;
    wheel_arm(t->wheel, &tx->retry, t->now_us + (uint64_t)delay_ms * US_PER_MS);
}

void tx_arm_end(struct turn *t, struct tx *tx, enum tx_timer what, uint32_t delay_ms)
{
    tx->end.what = what;
    wheel_arm(t->wheel, &tx->end, t->now_us + (uint64_t)delay_ms * US_PER_MS);
}

handle tx_handle(const struct sip *s, const struct tx *tx)
{
    return pool_handle(&s->txs, tx);
}

struct tx *tx_get(const struct sip *s, handle h)
{
    return pool_get(&s->txs, h);
}

enum tx_does tx_on_timer(struct turn *t, struct sip *s, struct wheel_timer *timer, struct tx **out)
{
    struct tx *tx = pool_get(&s->txs, timer->tag);
    *out = NULL;
    if (tx == NULL) {
        return TX_IGNORE;
    }
    enum tx_event event = timer == &tx->retry ? TX_EVENT_RETRY : TX_EVENT_TIMEOUT;
    enum tx_does does = tx->kind == TX_INVITE_CLIENT || tx->kind == TX_CLIENT
                            ? tx_client_step(t, tx, event)
                            : tx_server_step(t, tx, event);
    if (does == TX_RESEND) {
        metric_add(t->metrics, METRIC_sip_retransmitted, 1);
        if (tx->message != NULL && flow_send(t, s, &tx->peer, tx->message) != ERR_OK) {
            does = TX_IGNORE; /* counted; the end timer decides */
        }
    }
    if (does == TX_GIVE_UP || does == TX_SAY_TRYING) {
        *out = tx;
    } else if (tx->state == TX_DONE) {
        tx_release(t, s, tx);
    } else {
        tx_settle(t, s, tx);
    }
    return does;
}

void tx_branch_begin(const struct sip *s, const uint8_t loop[TX_LOOP_BYTES], char *out)
{
    char hex[2 * RANDOM_BYTES + 1];
    const uint8_t shard[2] = {(uint8_t)(s->settings.shard >> 8), (uint8_t)s->settings.shard};
    memcpy(out, "z9hG4bK", MAGIC_LEN);
    memcpy(out + MAGIC_LEN, ids_hex(slice_of(shard, 2), hex), SHARD_DIGITS);
    memcpy(out + TX_BRANCH_CAP - 2 * TX_LOOP_BYTES, ids_hex(slice_of(loop, TX_LOOP_BYTES), hex),
           2 * TX_LOOP_BYTES);
}

void tx_branch_make(struct turn *t, const struct sip *s, const uint8_t loop[TX_LOOP_BYTES],
                    char *out)
{
    char hex[2 * RANDOM_BYTES + 1];
    uint8_t random[RANDOM_BYTES];
    tx_branch_begin(s, loop, out);
    t->crypto->random(t->crypto, random, sizeof(random));
    memcpy(out + MAGIC_LEN + SHARD_DIGITS, ids_hex(slice_of(random, RANDOM_BYTES), hex),
           2 * RANDOM_BYTES);
    out[MAGIC_LEN + SHARD_DIGITS + 2 * RANDOM_BYTES] = '-';
}

bool tx_branch_read(struct slice branch, enum sip_method method, uint16_t *shard, uint8_t *key)
{
    uint8_t bytes[2 + RANDOM_BYTES];
    size_t len = 0;
    if (branch.len != TX_BRANCH_CAP || memcmp(branch.data, "z9hG4bK", MAGIC_LEN) != 0 ||
        ids_unhex(slice_sub(branch, MAGIC_LEN, 2 * sizeof(bytes)), bytes, sizeof(bytes), &len) !=
            ERR_OK) {
        return false;
    }
    *shard = (uint16_t)(bytes[0] << 8 | bytes[1]);
    if (key != NULL) {
        memset(key, 0, TX_KEY_BYTES);
        key[0] = 'C';
        key[1] = (uint8_t)method;
        memcpy(key + 2, bytes + 2, RANDOM_BYTES);
    }
    return true;
}
