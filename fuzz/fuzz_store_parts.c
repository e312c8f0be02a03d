/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_store_parts.c - a Fetch in parts, against an owner that keeps to the rules and one that does
 * not (dht/store_parts).
 *
 * Input: flags, large buffers that there are; then
 *   an honest owner: how much fits into its answer, then two bytes for each of its values: its
 *   length, and how far it stands behind the one before;
 *   a hostile one: the length and the bytes of what it says of the extent, then a byte for each
 *   part: too large, or so many values of that length.
 * Properties: the caps hold whatever comes; each request is one that the codec reads, and within
 * what was named; parts follow each other, none twice; what was kept is given out as it came; all
 * buffers come back.  Of an honest owner everything is given out, each value once and in order,
 * unless it says that something was cut, or a value is too large by itself. */
#include "codec/stored.h"
#include "dht/store.h"
#include "dht/store_parts.h"
#include "fuzz/fuzz.h"

enum { FLAG_DICTIONARY = 1, FLAG_HONEST = 2 };
enum { VALUES = 80, VALUE_STEP = 24, LIMIT_STEP = 64, LARGE = 8, KIND = 77, EXTENT_CAP = 2048 };
enum { ASKED_MOST = STORE_PARTS_CAP + 8 /* a part is halved no more than five times */ };
enum { TOO_LARGE = 0xff };

struct value {
    uint32_t index;
    uint32_t len;
    uint8_t key[4];
};

static _Alignas(64) uint8_t memory[1 << 19];
static struct msgbuf_pool buffers;
static struct turn turn;
static struct store_parts parts;
static enum stored_model model;

static struct value values[VALUES]; /* of the honest owner */
static size_t value_count;
static uint32_t kept[OVERLAY_VALUES_CAP], kept_count; /* lengths, in order */
static uint32_t next_index;                           /* of an array: what is asked for next */
static uint8_t extent[1 << 14], body[1024], text[VALUE_STEP * 256];

static void begin(uint8_t flags, uint8_t large)
{
    static struct msgbuf *held[LARGE];
    static size_t held_count;
    if (turn.buffers == NULL) {
        struct arena arena;
        arena_init(&arena, memory, sizeof(memory));
        msgbuf_pool_init(&buffers, &arena, 1, LARGE);
        turn = (struct turn){.buffers = &buffers};
    }
    while (held_count > 0) {
        msgbuf_release(&buffers, held[--held_count]);
    }
    CHECK(buffers.in_use[1] == 0);
    while (held_count < large % (LARGE + 1)) {
        held[held_count] = msgbuf_acquire(&buffers, MSGBUF_LARGE_BYTES);
        CHECK(held[held_count] != NULL);
        held_count++;
    }
    model = (flags & FLAG_DICTIONARY) != 0 ? STORED_DICTIONARY : STORED_ARRAY;
    parts = (struct store_parts){0};
    kept_count = next_index = 0;
    value_count = 0;
}

static void check_caps(void)
{
    CHECK(parts.asked <= ASKED_MOST);
    CHECK(parts.kept_count <= OVERLAY_VALUES_CAP && parts.kept_count == kept_count);
    CHECK(parts.buffers <= STORE_PARTS_KEPT_CAP);
}

/* What is asked for now. */
static struct rd ask(struct stored_specifier *s)
{
    struct wr w = wr_init(body, sizeof(body));
    store_parts_wr(&parts, &w, KIND, model);
    CHECK(wr_ok(&w));
    struct rd r = rd_init(wr_slice(&w));
    CHECK(stored_specifier_next(&r, s) && rd_is_done(&r));
    CHECK(s->kind == KIND && stored_specifier_check(s, model) == ERR_OK);
    struct rd items = stored_specifier_items(s, model);
    struct stored_range range;
    if (parts.step == STORE_PARTS_SOME && model == STORED_ARRAY) {
        struct rd copy = items;
        CHECK(stored_range_next(&copy, &range) && rd_is_done(&copy));
        CHECK(range.first == next_index && range.last >= range.first && range.last <= parts.last);
    }
    check_caps();
    return items;
}

/* As a value that was proved. */
static bool keep(uint32_t index, struct slice key, uint32_t len)
{
    memset(text, (int)(index & 0xff), len);
    const struct overlay_value v = {
        .key = key, .index = index, .value = slice_of(text, len), .signer_user = key};
    if (!store_parts_keep(&turn, &parts, &v)) {
        CHECK(parts.is_cut);
        return false;
    }
    kept[kept_count++] = len;
    return true;
}

/* Gives out what was kept; `honest`: that must be all. */
static void finish(bool honest)
{
    static struct overlay_value out[OVERLAY_VALUES_CAP];
    size_t count = store_parts_list(&parts, out);
    CHECK(count == kept_count);
    for (size_t i = 0; i < count; i++) {
        CHECK(out[i].value.len == kept[i] && slice_is_equal(out[i].key, out[i].signer_user));
        for (size_t k = 0; k < out[i].value.len; k++) {
            CHECK(out[i].value.data[k] == (uint8_t)out[i].index);
        }
        const struct value *own = &values[i];
        CHECK(!honest || model != STORED_ARRAY || out[i].index == own->index);
        CHECK(!honest || model != STORED_DICTIONARY ||
              slice_is_equal(out[i].key, slice_of(own->key, sizeof(own->key))));
    }
    CHECK(!honest || parts.is_cut || parts.error != ERR_OK || count == value_count);
    store_parts_end(&turn, &parts);
    CHECK(parts.keys == NULL && parts.kept == NULL);
}

/* ---- an owner that keeps to the rules */

static bool is_asked(const struct value *v, struct rd items)
{
    struct stored_range range;
    struct slice key;
    if (model == STORED_ARRAY) {
        return stored_range_next(&items, &range) && range.first <= v->index &&
               v->index <= range.last;
    }
    while (stored_key_next(&items, &key)) {
        if (slice_is_equal(key, slice_of(v->key, sizeof(v->key)))) {
            return true;
        }
    }
    return false;
}

static struct rd tell_extent(void)
{
    struct wr w = wr_init(extent, sizeof(extent));
    for (size_t i = 0; i < value_count; i++) {
        const struct stored_meta meta = {.model = model,
                                         .key = slice_of(values[i].key, sizeof(values[i].key)),
                                         .exists = true,
                                         .lifetime_s = 1};
        if (model == STORED_DICTIONARY) {
            stored_wr_meta(&w, &meta);
        }
    }
    if (model == STORED_ARRAY) {
        stored_wr_synthetic(&w, model, values[value_count - 1].index, SLICE_EMPTY);
    }
    CHECK(wr_ok(&w));
    return rd_init(wr_slice(&w));
}

static size_t bytes_of(struct rd items)
{
    size_t bytes = 0;
    for (size_t i = 0; i < value_count; i++) {
        bytes += is_asked(&values[i], items) ? values[i].len : 0;
    }
    return bytes;
}

/* True: there is another part. */
static bool answer_part(struct rd items)
{
    for (size_t i = 0; i < value_count; i++) {
        struct slice key = slice_of(values[i].key, model == STORED_DICTIONARY ? 4 : 0);
        if (is_asked(&values[i], items) && !keep(values[i].index, key, values[i].len)) {
            return false;
        }
    }
    next_index = parts.next + parts.count;
    return store_parts_next(&parts, model);
}

static void honest(struct rd *r)
{
    struct stored_specifier s;
    uint32_t index = 0;
    size_t limit = (size_t)rd_u8(r) * LIMIT_STEP;
    while (value_count < VALUES && rd_left(r) >= 2) {
        struct value *v = &values[value_count];
        v->len = (uint32_t)rd_u8(r) * VALUE_STEP;
        index += rd_u8(r);
        v->index = index++;
        memcpy(v->key, &v->index, sizeof(v->key));
        value_count++;
    }
    bool goes_on = value_count > 0 && store_parts_smaller(&parts, model);
    while (goes_on) {
        struct rd items = ask(&s);
        if (parts.step == STORE_PARTS_EXTENT) {
            goes_on = store_parts_extent(&turn, &parts, tell_extent(), model);
        } else if (bytes_of(items) > limit) {
            goes_on = store_parts_smaller(&parts, model);
            parts.error = goes_on ? ERR_OK : ERR_TOO_LARGE; /* one value alone */
        } else {
            goes_on = answer_part(items);
        }
        check_caps();
    }
    finish(value_count > 0);
}

/* ---- one that does not */

static bool say_something(struct rd *r)
{
    uint8_t how = rd_u8(r);
    uint32_t len = (uint32_t)rd_u8(r) * VALUE_STEP;
    if (how == TOO_LARGE) {
        return store_parts_smaller(&parts, model);
    }
    for (uint32_t i = 0; i < how; i++) {
        if (!keep(i, SLICE_EMPTY, len)) {
            return false;
        }
    }
    next_index = parts.next + parts.count;
    return store_parts_next(&parts, model);
}

static void hostile(struct rd *r)
{
    struct stored_specifier s;
    size_t len = min_size(rd_u16(r), EXTENT_CAP);
    struct slice said = rd_bytes(r, min_size(len, rd_left(r)));
    bool goes_on = store_parts_smaller(&parts, model);
    while (goes_on) {
        (void)ask(&s);
        goes_on = parts.step == STORE_PARTS_EXTENT
                      ? store_parts_extent(&turn, &parts, rd_init(said), model)
                      : rd_left(r) > 0 && say_something(r);
        check_caps();
    }
    finish(false);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *copy = fuzz_copy(slice_of(data, size));
    struct rd r = rd_init(slice_of(copy, size));
    uint8_t flags = rd_u8(&r);
    begin(flags, rd_u8(&r));
    if ((flags & FLAG_HONEST) != 0) {
        honest(&r);
    } else {
        hostile(&r);
    }
    free(copy);
    return 0;
}
