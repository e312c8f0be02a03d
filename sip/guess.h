/* SPDX-License-Identifier: Apache-2.0 */
/* guess.h - how often somebody may be wrong about a password.
 *
 * What counts is a wrong answer to a nonce that was given to that network: whoever forges source
 * addresses can neither guess nor use up somebody else's patience.
 *   - an address and an account together: GUESS_PAIR, one more every GUESS_PAIR_S
 *   - an address: GUESS_SOURCE, one more every GUESS_SOURCE_S, whatever the accounts
 *   - an account, from wherever: beyond GUESS_ACCOUNT (one less every GUESS_ACCOUNT_S) each address
 *     has one guess instead of GUESS_PAIR
 * So an account is never closed: who knows the password gets in with the first answer, from any
 * address that has not been wrong itself, while thousands guess.  A phone that asks from the flow
 * of one of its bindings is never kept waiting, though its neighbors behind the NAT guess.
 *
 * Owner:  struct sip.   Time: struct turn.
 * Limits: sip_guesses addresses and pairs are remembered, four ways: the one with the fewest goes.
 */
#pragma once
#include "sip/sip_state.h"

enum {
    GUESS_PAIR = 8,
    GUESS_PAIR_S = 10,
    GUESS_SOURCE = 64,
    GUESS_SOURCE_S = 2,
    GUESS_ACCOUNT = 64,
    GUESS_ACCOUNT_S = 2,
};
#define GUESS_DECOY UINT32_C(0x80000000)

/* Wrong answers that have not been forgotten yet. */
struct guess_level {
    uint32_t milli;
    uint32_t at_s;
};

struct guess {
    uint64_t key; /* 0 = free */
    struct guess_level level;
};
STATIC_CHECK(sizeof(struct guess) <= LIMITS_COST_sip_guesses);

size_t guess_bytes(const struct limits *l);
void guess_init(struct turn *t, struct sip *s, struct arena *arena);
/* May the answer that this request brings be looked at?  From GUESS_DECOY on `account` stands for
 * one that is not there (digest_deny), and is counted in the same way. */
bool guess_is_allowed(struct turn *t, struct sip *s, const struct sip_rx *rx, uint32_t account);
/* It was wrong. */
void guess_note(struct turn *t, struct sip *s, const struct sip_rx *rx, uint32_t account);
