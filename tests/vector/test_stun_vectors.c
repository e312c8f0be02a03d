/* SPDX-License-Identifier: Apache-2.0 */
/* test_stun_vectors.c - codec/stun and link/stun_auth against tests/vectors/own/stun.jsonl (see
 * STUN.md there): bytes -> fields, fields -> the same bytes, integrity, reasons to refuse.  Run
 * from the top of the tree. */
#include "codec/ids.h"
#include "link/crypto_boring.h"
#include "link/stun_auth.h"
#include "sim/crypto_fake.h"

#include <criterion/criterion.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

enum { BYTES_CAP = 4096, LINE_CAP = 1 << 16, SCRATCH_CAP = 16384 };

/* Hex strings of one vector, turned to bytes, live here until the next. */
static uint8_t scratch[SCRATCH_CAP];
static size_t scratch_used;

static const char *text_of(const json_t *o, const char *key)
{
    const char *text = json_string_value(json_object_get(o, key));
    return text == NULL ? "" : text;
}

static struct slice unhex(const char *text)
{
    uint8_t *at = scratch + scratch_used;
    size_t len = 0;
    cr_assert_eq(ids_unhex(slice_text(text), at, sizeof(scratch) - scratch_used, &len), ERR_OK);
    scratch_used += len;
    return slice_of(at, len);
}

static json_t *hex(struct slice s)
{
    static char text[2 * BYTES_CAP + 1];
    return json_string(ids_hex(s, text));
}

/* ---- decoded message -> JSON */

static json_t *address_json(const struct address *a)
{
    char text[ADDRESS_TEXT_CAP];
    return json_pack("{s:i, s:i, s:s}", "family", a->family == 4 ? 1 : 2, "port", a->port,
                     "address", address_host_text(a, text));
}

static json_t *types_json(struct slice value)
{
    struct rd r = rd_init(value);
    json_t *list = json_array();
    uint16_t type = 0;
    while (stun_type_next(&r, &type)) {
        json_array_append_new(list, json_integer(type));
    }
    cr_assert(rd_is_done(&r));
    return list;
}

static json_t *algorithms_json(const struct stun_attr *a)
{
    struct rd r = rd_init(a->value);
    json_t *list = json_array();
    struct stun_algorithm one;
    while (stun_algorithm_next(&r, &one)) {
        json_array_append_new(list, json_pack("{s:i, s:o}", "algorithm", one.number, "parameters",
                                              hex(one.parameters)));
    }
    cr_assert(rd_is_done(&r));
    if (a->shape == STUN_SHAPE_ALGORITHMS) {
        return list;
    }
    json_t *only = json_incref(json_array_get(list, 0));
    json_decref(list);
    return only;
}

static json_t *value_json(const struct stun_attr *a)
{
    char text[24];
    switch (a->shape) {
    case STUN_SHAPE_RAW:
    case STUN_SHAPE_BYTES:
        return hex(a->value);
    case STUN_SHAPE_TYPES:
        return types_json(a->value);
    case STUN_SHAPE_ALGORITHM:
    case STUN_SHAPE_ALGORITHMS:
        return algorithms_json(a);
    case STUN_SHAPE_ADDRESS:
    case STUN_SHAPE_XOR_ADDRESS:
        return address_json(&a->address);
    case STUN_SHAPE_ERROR:
        return json_pack("{s:i, s:o}", "code", a->error.code, "reason", hex(a->error.reason));
    case STUN_SHAPE_U32:
        return json_integer((json_int_t)a->number);
    case STUN_SHAPE_U64:
        snprintf(text, sizeof(text), "0x%016llx", (unsigned long long)a->number);
        return json_string(text);
    case STUN_SHAPE_FLAG:
        return json_true();
    }
    return NULL;
}

static json_t *message_json(const struct stun *m)
{
    json_t *list = json_array();
    struct stun_walk walk = stun_walk(m->wire);
    struct stun_attr a;
    while (stun_walk_next(&walk, &a)) {
        const char *key = a.is_ignored                ? "ignored"
                          : a.shape == STUN_SHAPE_RAW ? "unknown"
                                                      : stun_attr_field(a.type);
        json_array_append_new(list, json_pack("{s:i, s:o}", "type", a.type, key, value_json(&a)));
    }
    cr_assert(rd_is_done(&walk.r));
    return json_pack("{s:i, s:i, s:o, s:o}", "class", m->class, "method", m->method,
                     "transaction_id", hex(slice_of(m->transaction, sizeof(m->transaction))),
                     "attributes", list);
}

/* ---- JSON -> message */

static struct slice types_bytes(const json_t *list)
{
    struct wr w = wr_init(scratch + scratch_used, sizeof(scratch) - scratch_used);
    size_t i;
    const json_t *one;
    json_array_foreach(list, i, one)
    {
        wr_u16(&w, (uint16_t)json_integer_value(one));
    }
    scratch_used += wr_len(&w);
    return wr_slice(&w);
}

/* Of a list, or of a single one. */
static struct slice algorithms_bytes(const json_t *value)
{
    static uint8_t out[BYTES_CAP];
    struct wr w = wr_init(out, sizeof(out));
    size_t count = json_is_array(value) ? json_array_size(value) : 1;
    for (size_t i = 0; i < count; i++) {
        const json_t *one = json_is_array(value) ? json_array_get(value, i) : value;
        struct stun_algorithm a = {
            .number = (uint16_t)json_integer_value(json_object_get(one, "algorithm")),
            .parameters = unhex(text_of(one, "parameters"))};
        stun_wr_algorithm(&w, &a);
    }
    return wr_slice(&w);
}

/* Fills in the member that the shape of `out` names. */
static void read_value(const json_t *value, struct stun_attr *out)
{
    switch (out->shape) {
    case STUN_SHAPE_RAW:
    case STUN_SHAPE_BYTES:
        out->value = unhex(json_string_value(value));
        break;
    case STUN_SHAPE_TYPES:
        out->value = types_bytes(value);
        break;
    case STUN_SHAPE_ALGORITHM:
    case STUN_SHAPE_ALGORITHMS:
        out->value = algorithms_bytes(value);
        break;
    case STUN_SHAPE_ADDRESS:
    case STUN_SHAPE_XOR_ADDRESS: {
        uint16_t port = (uint16_t)json_integer_value(json_object_get(value, "port"));
        cr_assert_eq(address_parse(slice_text(text_of(value, "address")), port, &out->address),
                     ERR_OK);
        break;
    }
    case STUN_SHAPE_ERROR:
        out->error.code = (uint16_t)json_integer_value(json_object_get(value, "code"));
        out->error.reason = unhex(text_of(value, "reason"));
        break;
    case STUN_SHAPE_U32:
        out->number = (uint64_t)json_integer_value(value);
        break;
    case STUN_SHAPE_U64:
        out->number = strtoull(json_string_value(value), NULL, 16);
        break;
    case STUN_SHAPE_FLAG:
        break;
    }
}

static void write_message(struct wr *w, const json_t *fields)
{
    size_t start =
        stun_wr_begin(w, (enum stun_class)json_integer_value(json_object_get(fields, "class")),
                      (uint16_t)json_integer_value(json_object_get(fields, "method")),
                      unhex(text_of(fields, "transaction_id")).data);
    size_t i;
    json_t *one;
    json_array_foreach(json_object_get(fields, "attributes"), i, one)
    {
        struct stun_attr a = {.type = (uint16_t)json_integer_value(json_object_get(one, "type"))};
        const char *key;
        json_t *value;
        json_object_foreach(one, key, value)
        {
            if (strcmp(key, "type") == 0) {
                continue;
            }
            bool is_raw = strcmp(key, "unknown") == 0 || strcmp(key, "ignored") == 0;
            a.shape = is_raw ? STUN_SHAPE_RAW : stun_attr_shape(a.type);
            cr_assert(is_raw || strcmp(key, stun_attr_field(a.type)) == 0);
            read_value(value, &a);
        }
        stun_wr_attr(w, start, &a);
    }
}

/* ---- the vectors */

static void check_good(const json_t *v, struct slice wire)
{
    const char *name = text_of(v, "name");
    const json_t *fields = json_object_get(v, "fields");
    static uint8_t out[BYTES_CAP];
    struct stun m;
    cr_assert_eq(stun_decode(wire, &m), ERR_OK, "%s", name);
    json_t *got = message_json(&m);
    char *said = json_dumps(got, 0);
    cr_assert(json_equal(got, fields), "%s: %s", name, said);
    free(said);
    json_decref(got);

    struct wr w = wr_init(out, sizeof(out));
    write_message(&w, fields);
    cr_assert(wr_ok(&w), "%s", name);
    bool is_canonical = !json_is_false(json_object_get(v, "canonical"));
    cr_assert_eq(slice_is_equal(wr_slice(&w), wire), is_canonical, "%s", name);
    static uint8_t copy[BYTES_CAP];
    struct wr again = wr_init(copy, sizeof(copy));
    stun_wr(&again, &m);
    cr_assert(slice_is_equal(wr_slice(&again), wr_slice(&w)), "%s", name);

    const json_t *integrity = json_object_get(v, "integrity");
    if (integrity != NULL) {
        enum err e = stun_auth_check(crypto_boring(), &m, unhex(text_of(v, "key")), STUN_AUTH_BOTH);
        cr_assert_eq(e, json_is_true(integrity) ? ERR_OK : ERR_BAD_SIGNATURE, "%s", name);
    }
}

static enum reject why(struct slice wire)
{
    struct rd r = rd_init(wire);
    struct stun m;
    stun_rd(&r, &m);
    return r.why;
}

/* Calls `use` for each line with the bytes in a heap block of exactly their size. */
static size_t each(void (*use)(const json_t *v, struct slice wire))
{
    static char line[LINE_CAP];
    FILE *f = fopen("tests/vectors/own/stun.jsonl", "r");
    cr_assert_not_null(f);
    size_t count = 0;
    while (fgets(line, sizeof(line), f) != NULL) {
        json_t *v = json_loads(line, 0, NULL);
        cr_assert_not_null(v);
        scratch_used = 0;
        struct slice bytes = unhex(text_of(v, "hex"));
        uint8_t *block = malloc(bytes.len == 0 ? 1 : bytes.len);
        memcpy(block, bytes.data, bytes.len);
        use(v, slice_of(block, bytes.len));
        free(block);
        json_decref(v);
        count++;
    }
    fclose(f);
    return count;
}

static bool is_reached[REJECT_COUNT];

static void check_line(const json_t *v, struct slice wire)
{
    if (json_object_get(v, "fields") != NULL) {
        check_good(v, wire);
        return;
    }
    enum reject got = why(wire);
    cr_assert_str_eq(reject_name(got), text_of(v, "reject"), "%s", text_of(v, "name"));
    is_reached[got] = true;
}

Test(stun_vectors, say_what_the_codec_says)
{
    cr_assert_gt(each(check_line), 100);
    for (unsigned i = REJECT_STUN_BITS; i <= REJECT_STUN_BEHIND_FINGERPRINT; i++) {
        cr_assert(is_reached[i], "no vector is refused as %s", reject_name((enum reject)i));
    }
}

static void cut(const json_t *v, struct slice wire)
{
    bool is_good = json_object_get(v, "fields") != NULL; /* of a bad one a part may be good */
    for (size_t len = 0; len < wire.len && is_good; len++) {
        uint8_t *block = malloc(len == 0 ? 1 : len);
        memcpy(block, wire.data, len);
        cr_assert_neq(why(slice_of(block, len)), REJECT_NONE, "%s at %zu", text_of(v, "name"), len);
        free(block);
    }
}

Test(stun_vectors, cut_anywhere)
{
    cr_assert_gt(each(cut), 100);
}

/* The simulator's HMACs notice every bit of key and text, and are not one another. */
Test(stun_vectors, the_hmacs_of_the_simulator)
{
    struct rng rng;
    struct crypto c;
    uint8_t text[24] = "some text", key[16] = "key", first[32], other[32];
    rng_init(&rng, 1);
    crypto_fake_init(&c, &rng);
    struct slice k = slice_of(key, sizeof(key)), t = slice_of(text, sizeof(text));
    for (int which = 0; which < 2; which++) {
        size_t len = which == 0 ? CRYPTO_SHA1_BYTES : CRYPTO_SHA256_BYTES;
        void (*hmac)(struct slice, struct slice, uint8_t *) =
            which == 0 ? c.hmac_sha1 : c.hmac_sha256;
        hmac(k, t, first);
        for (size_t bit = 0; bit < 8 * (sizeof(key) + sizeof(text)); bit++) {
            uint8_t *at = bit < 8 * sizeof(key) ? &key[bit / 8] : &text[bit / 8 - sizeof(key)];
            *at ^= (uint8_t)(1 << bit % 8);
            hmac(k, t, other);
            cr_assert_neq(memcmp(first, other, len), 0, "bit %zu", bit);
            *at ^= (uint8_t)(1 << bit % 8);
        }
        hmac(k, t, other);
        cr_assert_eq(memcmp(first, other, len), 0);
    }
    c.hmac_sha1(k, t, other);
    cr_assert_neq(memcmp(first, other, CRYPTO_SHA1_BYTES), 0);
}
