/* SPDX-License-Identifier: Apache-2.0 */
/* store_parts.c - see store_parts.h. */
#include "dht/store_parts.h"
#include "dht/store.h"

enum { SPAN_FIRST = 16, KEYS_CAP = 768 /* bytes of keys in one request */ };
STATIC_CHECK((int)STORE_KEY_CAP + 2 <= (int)KEYS_CAP);

bool store_parts_smaller(struct store_parts *p, enum stored_model model)
{
    switch (p->step) {
    case STORE_PARTS_NONE:
        p->step = STORE_PARTS_EXTENT;
        p->span = SPAN_FIRST;
        return model != STORED_SINGLE;
    case STORE_PARTS_EXTENT:
        return false;
    case STORE_PARTS_SOME:
        p->span /= 2;
        return p->span > 0;
    }
    UNREACHABLE("step");
}

bool store_parts_is_stat(const struct store_parts *p, enum stored_model model)
{
    return p->step == STORE_PARTS_EXTENT && model == STORED_DICTIONARY;
}

static void wr_keys(struct store_parts *p, struct wr *w, uint32_t kind)
{
    struct slice keys[SPAN_FIRST];
    p->count = 0;
    p->bytes = 0;
    if (p->step == STORE_PARTS_SOME) {
        struct rd r = rd_init(slice_from(msgbuf_slice(p->keys), p->next));
        while (p->count < p->span && stored_key_next(&r, &keys[p->count])) {
            uint32_t bytes = 2 + (uint32_t)keys[p->count].len;
            if (p->count > 0 && p->bytes + bytes > KEYS_CAP) {
                break;
            }
            p->bytes += bytes;
            p->count++;
        }
    }
    stored_wr_specifier_dictionary(w, kind, 0, keys, p->count);
}

void store_parts_wr(struct store_parts *p, struct wr *w, uint32_t kind, enum stored_model model)
{
    p->asked++;
    if (model == STORED_DICTIONARY) {
        wr_keys(p, w, kind);
        return;
    }
    struct stored_range range = {STORED_INDEX_APPEND, STORED_INDEX_APPEND};
    if (p->step == STORE_PARTS_SOME) {
        uint64_t last = (uint64_t)p->next + p->span - 1;
        range = (struct stored_range){p->next, (uint32_t)min_u64(last, p->last)};
        p->count = range.last - range.first + 1;
    }
    stored_wr_specifier_array(w, kind, 0, &range, 1);
}

static bool take_keys(struct turn *t, struct store_parts *p, struct rd values)
{
    struct stored_meta meta;
    p->keys = msgbuf_acquire(t->buffers, MSGBUF_LARGE_BYTES);
    if (p->keys == NULL) {
        p->error = ERR_NO_MEMORY;
        return false;
    }
    p->keys->next = NULL;
    struct wr w = wr_init(msgbuf_data(p->keys), msgbuf_tailroom(p->keys));
    while (stored_meta_next(&values, STORED_DICTIONARY, &meta)) {
        /* a longer one is stored nowhere, and would be asked for in vain */
        bool fits = meta.key.len <= STORE_KEY_CAP && wr_left(&w) >= 2 + meta.key.len;
        p->is_cut |= !fits;
        if (meta.exists && fits) {
            wr_opaque16(&w, meta.key);
        }
    }
    p->keys->len = (uint32_t)wr_len(&w);
    p->last = p->keys->len;
    p->error = rd_ok(&values) ? ERR_OK : ERR_MALFORMED;
    return p->error == ERR_OK && p->last > 0;
}

bool store_parts_extent(struct turn *t, struct store_parts *p, struct rd values,
                        enum stored_model model)
{
    p->step = STORE_PARTS_SOME;
    if (model == STORED_DICTIONARY) {
        return take_keys(t, p, values);
    }
    struct stored_data d;
    while (stored_next(&values, model, &d)) {
        p->last = d.value.index > p->last ? d.value.index : p->last;
    }
    p->error = rd_ok(&values) ? ERR_OK : ERR_MALFORMED;
    return p->error == ERR_OK;
}

/* A buffer with room for so many bytes. */
static struct msgbuf *room_for(struct turn *t, struct store_parts *p, size_t bytes)
{
    if (p->kept_last != NULL && bytes <= msgbuf_tailroom(p->kept_last)) {
        return p->kept_last;
    }
    struct msgbuf *b = p->buffers < STORE_PARTS_KEPT_CAP && bytes <= MSGBUF_LARGE_BYTES
                           ? msgbuf_acquire(t->buffers, MSGBUF_LARGE_BYTES)
                           : NULL;
    if (b != NULL) {
        b->next = NULL;
        *(p->kept == NULL ? &p->kept : &p->kept_last->next) = b;
        p->kept_last = b;
        p->buffers++;
    }
    return b;
}

/* Its own fields, then the bytes that they point to. */
bool store_parts_keep(struct turn *t, struct store_parts *p, const struct overlay_value *v)
{
    size_t bytes = sizeof(*v) + v->key.len + v->value.len + v->signer_user.len;
    struct msgbuf *b = p->kept_count == OVERLAY_VALUES_CAP ? NULL : room_for(t, p, bytes);
    if (b == NULL) {
        p->is_cut = true;
        return false;
    }
    const struct slice parts[] = {slice_of(v, sizeof(*v)), v->key, v->value, v->signer_user};
    for (size_t i = 0; i < ARRAY_COUNT(parts); i++) {
        enum err e = msgbuf_append(b, parts[i]);
        CHECK(e == ERR_OK); /* there is room for all */
    }
    p->kept_count++;
    return true;
}

bool store_parts_next(struct store_parts *p, enum stored_model model)
{
    bool is_last = false;
    if (model == STORED_DICTIONARY) {
        p->next += p->bytes;
        is_last = p->next >= p->last;
    } else {
        is_last = p->count > p->last - p->next;
        p->next += p->count;
    }
    bool is_enough = !is_last && p->asked >= STORE_PARTS_CAP;
    p->is_cut |= is_enough;
    return !is_last && !is_enough; /* where a key was passed over, the others are still fetched */
}

static struct slice take(struct slice *from, size_t len)
{
    struct slice bytes = slice_sub(*from, 0, len);
    *from = slice_from(*from, len);
    return bytes;
}

size_t store_parts_list(const struct store_parts *p,
                        struct overlay_value values[OVERLAY_VALUES_CAP])
{
    const struct msgbuf *b = p->kept;
    struct slice rest = b == NULL ? SLICE_EMPTY : msgbuf_slice(b);
    for (uint32_t i = 0; i < p->kept_count; i++) {
        if (rest.len == 0) {
            b = b->next;
            rest = msgbuf_slice(b);
        }
        struct slice fields = take(&rest, sizeof(values[i]));
        memcpy(&values[i], fields.data, sizeof(values[i]));
        values[i].key = take(&rest, values[i].key.len);
        values[i].value = take(&rest, values[i].value.len);
        values[i].signer_user = take(&rest, values[i].signer_user.len);
    }
    return p->kept_count;
}

void store_parts_release(struct turn *t, struct msgbuf *kept)
{
    while (kept != NULL) {
        struct msgbuf *next = kept->next;
        msgbuf_release(t->buffers, kept);
        kept = next;
    }
}

void store_parts_end(struct turn *t, struct store_parts *p)
{
    store_parts_release(t, p->keys);
    store_parts_release(t, p->kept);
    *p = (struct store_parts){0};
}
