/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/vector/run_digest.h"
#include "codec/stored.h"
#include "link/crypto_boring.h"

#include <stdlib.h>

/* The algorithms of TLS 1.2 that a StatAns may name; ours is SHA-256. */
static size_t hash(uint8_t algorithm, struct slice bytes, uint8_t out[CRYPTO_SHA512_BYTES])
{
    const struct crypto *c = crypto_boring();
    switch (algorithm) {
    case SECBLOCK_HASH_SHA1:
        c->sha1(bytes, out);
        return CRYPTO_SHA1_BYTES;
    case SECBLOCK_HASH_SHA256:
        c->sha256(bytes, out);
        return CRYPTO_SHA256_BYTES;
    case SECBLOCK_HASH_SHA384:
        c->sha384(bytes, out);
        return CRYPTO_SHA384_BYTES;
    case SECBLOCK_HASH_SHA512:
        c->sha512(bytes, out);
        return CRYPTO_SHA512_BYTES;
    default:
        return 0;
    }
}

static bool compare(const json_t *vector, struct slice value, struct slice metadata, char *why,
                    size_t cap)
{
    uint8_t *hashed = malloc(value.len + 4);
    uint8_t digest[CRYPTO_SHA512_BYTES];
    struct stored_meta meta;
    struct rd r = rd_init(metadata);
    stored_rd_metadata(&r, STORED_SINGLE, &meta);
    bool exists = json_is_true(json_object_get(json_object_get(vector, "data_value"), "exists"));
    struct wr w = wr_init(hashed, value.len + 4);
    wr_u32(&w, (uint32_t)value.len);
    wr_bytes(&w, value);
    size_t len = hash(meta.hash_algorithm, wr_slice(&w), digest);
    bool is_same = len > 0 && slice_is_equal(meta.hash, slice_of(digest, len));
    free(hashed);
    if (!rd_is_done(&r)) {
        return run_base_fail(why, cap, "MetaData: malformed");
    }
    if (meta.hash_algorithm != json_integer_value(json_object_get(vector, "hash_algorithm")) ||
        meta.exists != exists || meta.value_length != value.len) {
        return run_base_fail(why, cap, "exists, value_length or hash_algorithm is another");
    }
    return is_same || run_base_fail(why, cap, "hash_value is not that of the DataValue");
}

bool run_digest(const json_t *vector, char *why, size_t cap)
{
    struct slice value = SLICE_EMPTY, metadata = SLICE_EMPTY;
    bool is_good = run_base_bytes(json_object_get(vector, "data_value"), "value", &value) &&
                   run_base_bytes(vector, "hex", &metadata);
    is_good = is_good ? compare(vector, value, metadata, why, cap)
                      : run_base_fail(why, cap, "data_value or hex: no hex digits");
    run_base_free(&value);
    run_base_free(&metadata);
    return is_good;
}
