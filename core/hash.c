/* SPDX-License-Identifier: Apache-2.0 */
#include "core/hash.h"
#define XXH_INLINE_ALL
#include <xxhash.h>

uint64_t hash_64(struct slice bytes, uint64_t seed)
{
    return XXH3_64bits_withSeed(bytes.data, bytes.len, seed);
}

uint64_t hash_64_of_20(const void *bytes, uint64_t seed)
{
    return XXH3_64bits_withSeed(bytes, 20, seed); /* the length chooses the way when compiled */
}

void hash_128(struct slice bytes, uint64_t seed, uint8_t out[16])
{
    XXH128_canonical_t canonical;
    XXH128_canonicalFromHash(&canonical, XXH3_128bits_withSeed(bytes.data, bytes.len, seed));
    memcpy(out, canonical.digest, 16);
}
