/* SPDX-License-Identifier: Apache-2.0 */
/* demo_phones.h - the phones of a demo: one built-in phone for each account (or a baresip each for
 * alice and bob), placed so that alice's and bob's peers do not own bob's record.
 *
 * They know nothing of the peers but a UDP address.  Owner: cmd_demo.c; one thread. */
#pragma once
#include "cmd/demo_baresip.h"
#include "cmd/demo_ring.h"
#include "cmd/phone.h"

enum { DEMO_PHONES_ALICE = 0, DEMO_PHONES_BOB = 1, DEMO_PHONES_CAROL = 2, DEMO_PHONES_REAL = 2 };

struct demo_phones_call {
    uint32_t from, to; /* accounts */
    uint16_t status;   /* of INVITE, or of BYE when that is what failed */
    bool is_ok;        /* answered, and ended with BYE */
    uint32_t tries;
    uint64_t invite_us; /* INVITE, challenge included, until 200 */
    uint64_t bye_us;
    uint64_t until_ok_us; /* from the first try */
    struct sip_setup setup;
    char why[PHONE_TEXT_CAP];
};

struct demo_phones {
    struct demo_ring *ring;
    struct phone phones[DEMO_PLACE_ACCOUNTS];
    bool is_baresip; /* alice and bob have a real one instead */
    struct demo_baresip real[DEMO_PHONES_REAL];
    uint32_t peers[DEMO_PLACE_ACCOUNTS]; /* where each registers */
    bool is_registered[DEMO_PLACE_ACCOUNTS];
    uint32_t bob_owner;       /* the peer that owns bob's record; peer_count: unknown */
    const volatile int *stop; /* not 0: end what is being waited for */
};

/* Places all phones and registers them; false and the reason when one could not be. */
bool demo_phones_open(struct demo_phones *p, struct demo_ring *ring, bool is_baresip,
                      const volatile int *stop, char *why);
void demo_phones_close(struct demo_phones *p);
/* Lets phones answer for a while. */
void demo_phones_rest(struct demo_phones *p, uint32_t ms);
/* INVITE, 200, ACK, BYE; tries again for at most `patience_ms`. */
void demo_phones_call(struct demo_phones *p, uint32_t from, uint32_t to, uint32_t patience_ms,
                      struct demo_phones_call *out);
/* Accounts that are registered, and whose record cannot be read at every peer that runs, after
 * at most `patience_ms`. */
uint32_t demo_phones_lost(struct demo_phones *p, uint32_t patience_ms);
