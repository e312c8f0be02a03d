/* SPDX-License-Identifier: Apache-2.0 */
#include "core/buggify.h"

void buggify_init(struct buggify *b, uint64_t seed, uint32_t percent)
{
    static const uint32_t chances[BUGGIFY_POINTS] = {
#define BUGGIFY(name, chance_ppm, text) [BUGGIFY_##name] = (chance_ppm),
#include "core/buggify.def"
#undef BUGGIFY
    };
    *b = (struct buggify){0};
    rng_init(&b->rng, seed ^ 0xb1661f);
    for (unsigned i = 0; i < BUGGIFY_POINTS; i++) {
        bool takes_part = rng_below(&b->rng, 2) == 0;
        uint64_t chance = (uint64_t)chances[i] * percent / 100;
        b->chance_ppm[i] = takes_part ? (uint32_t)min_u64(chance, 1000000) : 0;
    }
}

const char *buggify_name(enum buggify_point point)
{
    static const char *const names[BUGGIFY_POINTS] = {
#define BUGGIFY(name, chance_ppm, text) [BUGGIFY_##name] = #name,
#include "core/buggify.def"
#undef BUGGIFY
    };
    return names[point];
}

bool buggify_draw(struct buggify *b, enum buggify_point point)
{
    if (!b->is_on || b->chance_ppm[point] == 0) {
        return false;
    }
    b->reached[point]++;
    bool fires = rng_below(&b->rng, 1000000) < b->chance_ppm[point];
    b->fired[point] += fires ? 1 : 0;
    return fires;
}
