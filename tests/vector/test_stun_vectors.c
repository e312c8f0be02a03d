/* SPDX-License-Identifier: Apache-2.0 */
/* test_stun_vectors.c - codec/stun and link/stun_auth against tests/vectors/own/stun.jsonl (see
 * STUN.md there): bytes -> fields, fields -> the same bytes, integrity, reasons to refuse.  Run
 * from the top of the tree. */
#include "cmd/wire.h"
#include "codec/ids.h"
#include "codec/stun_wr.h"
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

/* What decode or encode answers to the vector's own line. */
static json_t *ask(const json_t *v, batch_one one)
{
    static struct wire *wire;
    static struct batch_out out;
    char *line = json_dumps(v, 0);
    wire = wire == NULL ? wire_new() : wire;
    out.len = out.begin = 0;
    one(wire, slice_text(line), &out);
    json_t *answer = json_loadb(out.text, out.len, 0, NULL);
    cr_assert_not_null(answer, "%s", line);
    free(line);
    return answer;
}

/* ---- the vectors */

static void check_good(const json_t *v, struct slice wire)
{
    const char *name = text_of(v, "name");
    const json_t *fields = json_object_get(v, "fields");
    struct stun m;
    cr_assert_eq(stun_decode(wire, &m), ERR_OK, "%s", name);
    json_t *decoded = ask(v, wire_decode), *encoded = ask(v, wire_encode);
    cr_assert(json_equal(json_object_get(decoded, "fields"), fields), "%s", name);
    const char *hex = text_of(encoded, "hex");
    bool is_canonical = !json_is_false(json_object_get(v, "canonical"));
    cr_assert_eq(strcmp(hex, text_of(v, "hex")) == 0, is_canonical, "%s: %s", name,
                 text_of(encoded, "reject"));
    static uint8_t copy[BYTES_CAP];
    struct wr again = wr_init(copy, sizeof(copy));
    stun_wr(&again, &m);
    /* Padding that is not zero is lost, and then the fingerprint over it is wrong. */
    cr_assert_eq(slice_is_equal(wr_slice(&again), wire), is_canonical, "%s", name);
    json_decref(decoded);
    json_decref(encoded);

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
