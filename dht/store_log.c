/* SPDX-License-Identifier: Apache-2.0 */
/* Records stand one behind the other, each behind its length; when all are taken the room begins
 * anew.  So there is no wrapping round, and a record is one slice. */
#include "dht/store_log.h"

#include "dht/store_inside.h"

enum { LENGTH_BYTES = 4, REWRITE_BYTES = 24 * 1024 };

static void wr_step(struct wr *w, enum store_log_op op, struct slice key)
{
    wr_u8(w, (uint8_t)op);
    wr_opaque16(w, key);
}

bool store_log_next(struct rd *record, struct store_log_step *out)
{
    if (!rd_ok(record) || rd_left(record) == 0) {
        return false;
    }
    out->op = (enum store_log_op)rd_u8(record);
    out->key = rd_opaque16(record);
    out->value = out->op == STORE_LOG_PUT ? rd_opaque32(record) : SLICE_EMPTY;
    bool is_op = out->op >= STORE_LOG_PUT && out->op <= STORE_LOG_END;
    if (rd_ok(record) && (!is_op || out->key.len > STORE_LOG_KEY_CAP)) {
        rd_reject(record, REJECT_UNKNOWN_TYPE);
    }
    return rd_ok(record);
}

void store_log_init(struct store_log *l, struct arena *arena, uint32_t cap)
{
    *l = (struct store_log){.cap = cap, .bytes = ARENA_ARRAY(arena, uint8_t, cap)};
}

/* records */

void store_log_open(struct store *s)
{
    struct store_log *l = &s->log;
    CHECK(!l->is_open);
    l->is_open = l->cap > 0;
    if (!l->is_open) {
        return;
    }
    size_t left = l->cap - l->to;
    size_t room = left > LENGTH_BYTES ? min_size(left - LENGTH_BYTES, STORE_LOG_RECORD_CAP) : 0;
    l->w = wr_init(l->bytes + min_size(l->to + LENGTH_BYTES, l->cap), room);
    wr_u64(&l->w, l->sequence + 1);
}

/* An empty one is none. */
void store_log_close(struct store *s)
{
    struct store_log *l = &s->log;
    if (!l->is_open) {
        return;
    }
    l->is_open = false;
    l->is_lost |= !wr_ok(&l->w);
    if (!wr_ok(&l->w) || wr_len(&l->w) == sizeof(uint64_t)) {
        l->sequence +=
            wr_ok(&l->w) ? 0 : 1; /* who waits for it shall wait for more than was told */
        return;
    }
    uint32_t len = (uint32_t)wr_len(&l->w);
    memcpy(l->bytes + l->to, &len, LENGTH_BYTES);
    l->to += LENGTH_BYTES + len;
    l->sequence++;
}

/* True when the caller has to close what it has opened. */
static bool begin(struct store *s)
{
    if (s->log.is_open || s->log.cap == 0) {
        return false;
    }
    store_log_open(s);
    return true;
}

static void end(struct store *s, bool is_own)
{
    if (is_own) {
        store_log_close(s);
    }
}

static struct slice key_of_set(const struct store_set *set, uint8_t type, uint8_t *out, size_t cap)
{
    struct wr w = wr_init(out, cap);
    wr_u8(&w, type);
    wr_bytes(&w, slice_of(set->resource, sizeof(set->resource)));
    wr_u32(&w, set->kind);
    return wr_slice(&w);
}

static struct slice key_of_value(const struct store *s, const struct store_set *set,
                                 const struct store_value *v, uint8_t *out, size_t cap)
{
    struct slice front = key_of_set(set, STORE_LOG_VALUE, out, cap);
    struct wr w = wr_init(out + front.len, cap - front.len);
    if (set->model == OVERLAY_ARRAY) {
        wr_u32(&w, v->index);
    } else {
        wr_bytes(&w, store_inside_key_of(s, set, v)); /* none where it is no dictionary */
    }
    CHECK(wr_ok(&w));
    return slice_of(out, front.len + wr_len(&w));
}

static uint64_t wall_ms(const struct turn *t, uint64_t at_us)
{
    return at_us >= t->now_us ? t->wall_ms + (at_us - t->now_us) / 1000
                              : t->wall_ms - min_u64((t->now_us - at_us) / 1000, t->wall_ms);
}

/* steps */

void store_log_put_set(const struct turn *t, struct store *s, const struct store_set *set)
{
    uint8_t key[STORE_LOG_KEY_CAP];
    bool is_own = begin(s);
    if (s->log.is_open) {
        struct wr *w = &s->log.w;
        wr_step(w, STORE_LOG_PUT, key_of_set(set, STORE_LOG_SET, key, sizeof(key)));
        size_t mark = wr_begin(w, 4);
        wr_u8(w, (uint8_t)set->model);
        wr_u64(w, set->generation);
        wr_u64(w, wall_ms(t, set->keep_until_us));
        wr_end(w, 4, mark);
    }
    end(s, is_own);
}

static void put_certificate(struct store *s, struct store_certificate *c)
{
    struct wr *w = &s->log.w;
    uint8_t key[1 + CRYPTO_SHA256_BYTES] = {STORE_LOG_CERTIFICATE};
    memcpy(key + 1, c->sha256, sizeof(c->sha256));
    wr_step(w, STORE_LOG_PUT, slice_of(key, sizeof(key)));
    wr_opaque32(w, slice_of(value_at(&s->heap, c->piece), c->len));
    c->is_told = true;
}

void store_log_put_value(const struct turn *t, struct store *s, const struct store_set *set,
                         const struct store_value *v)
{
    uint8_t key[STORE_LOG_KEY_CAP];
    bool is_own = begin(s);
    if (s->log.is_open) {
        struct store_certificate *c = pool_at(&s->certificates, v->certificate - 1);
        struct wr *w = &s->log.w;
        if (!c->is_told) {
            put_certificate(s, c);
        }
        wr_step(w, STORE_LOG_PUT, key_of_value(s, set, v, key, sizeof(key)));
        size_t mark = wr_begin(w, 4);
        wr_u64(w, wall_ms(t, v->expires_us));
        wr_bytes(w, slice_of(c->sha256, sizeof(c->sha256)));
        wr_bytes(w, store_inside_wire(s, v));
        wr_end(w, 4, mark);
    }
    end(s, is_own);
}

static void remove_key(struct store *s, enum store_log_op op, struct slice key)
{
    bool is_own = begin(s);
    if (s->log.is_open) {
        wr_step(&s->log.w, op, key);
    }
    end(s, is_own);
}

void store_log_remove_value(struct store *s, const struct store_set *set,
                            const struct store_value *v)
{
    uint8_t key[STORE_LOG_KEY_CAP];
    if (s->log.cap > 0) {
        remove_key(s, STORE_LOG_REMOVE, key_of_value(s, set, v, key, sizeof(key)));
    }
}

void store_log_remove_set(struct store *s, const struct store_set *set)
{
    uint8_t key[STORE_LOG_KEY_CAP];
    bool is_own = begin(s);
    if (s->log.is_open) {
        remove_key(s, STORE_LOG_REMOVE, key_of_set(set, STORE_LOG_SET, key, sizeof(key)));
        remove_key(s, STORE_LOG_REMOVE_ALL, key_of_set(set, STORE_LOG_VALUE, key, sizeof(key)));
    }
    end(s, is_own);
}

void store_log_remove_certificate(struct store *s, const struct store_certificate *c)
{
    uint8_t key[1 + CRYPTO_SHA256_BYTES] = {STORE_LOG_CERTIFICATE};
    memcpy(key + 1, c->sha256, sizeof(c->sha256));
    if (c->is_told) {
        remove_key(s, STORE_LOG_REMOVE, slice_of(key, sizeof(key)));
    }
}

void store_log_remove_key(struct store *s, struct slice key)
{
    remove_key(s, STORE_LOG_REMOVE, key);
}

void store_log_note(struct store *s, struct slice key, struct slice value)
{
    bool is_own = begin(s);
    if (s->log.is_open) {
        wr_step(&s->log.w, STORE_LOG_PUT, key);
        wr_opaque32(&s->log.w, value);
    }
    end(s, is_own);
}

/* the taker's side */

bool store_log_take(struct store *s, uint64_t *sequence, struct slice *record)
{
    struct store_log *l = &s->log;
    uint32_t len = 0;
    if (l->from == l->to) {
        l->from = l->to = 0;
        return false;
    }
    memcpy(&len, l->bytes + l->from, LENGTH_BYTES);
    struct rd r = rd_init(slice_of(l->bytes + l->from + LENGTH_BYTES, len));
    *sequence = rd_u64(&r);
    *record = rd_rest(&r);
    l->from += LENGTH_BYTES + len;
    return true;
}

uint64_t store_log_sequence(const struct store *s)
{
    return s->log.sequence;
}

bool store_log_is_lost(const struct store *s)
{
    return s->log.is_lost;
}

void store_log_rewrite_begin(struct store *s)
{
    uint32_t index = 0;
    struct store_certificate *c;
    while ((c = pool_next(&s->certificates, &index)) != NULL) {
        c->is_told = false;
    }
    s->log.is_lost = false;
    s->log.rewrite_at = 0;
    remove_key(s, STORE_LOG_BEGIN, SLICE_EMPTY);
}

bool store_log_rewrite(const struct turn *t, struct store *s)
{
    const struct store_set *set = pool_next(&s->sets, &s->log.rewrite_at);
    if (set == NULL) {
        remove_key(s, STORE_LOG_END, SLICE_EMPTY);
        return false;
    }
    store_log_open(s);
    store_log_put_set(t, s, set);
    for (uint32_t at = set->first; at != 0;) {
        const struct store_value *v = store_inside_value(s, at);
        at = v->next;
        store_log_put_value(t, s, set, v);
        if (at != 0 && s->log.is_open && wr_len(&s->log.w) > REWRITE_BYTES) {
            store_log_close(s);
            store_log_open(s);
        }
    }
    store_log_close(s);
    return true;
}
