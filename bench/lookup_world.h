/* SPDX-License-Identifier: Apache-2.0 */
/* lookup_world.h - one peer that owns a whole ring, in this process, and one link to a neighbour:
 * the code of a node from overlay_on_link to the record that a link gathers, and nothing below.
 *
 * In place of TLS stands something that keeps what it is given until the turn has been looked at.
 * Everything that protects a node is on: signatures (which cost nothing here), certificates, access
 * control, quotas, caps. */
#pragma once
#include "bench/lookup_records.h"
#include "core/limits.h"
#include "dht/overlay.h"
#include "link/link.h"

enum { LOOKUP_BATCH_CAP = 64, LOOKUP_CLIENTS = 64 };

struct lookup_request {
    uint8_t bytes[LOOKUP_MESSAGE_CAP];
    size_t len;
    uint64_t transaction_id;
    uint32_t number;
};

struct lookup_world {
    struct turn turn;
    struct overlay *overlay;
    struct link_table *links;
    handle link; /* to the neighbour */
    struct node_id neighbour;
    struct rl_params params;
    struct limits limits;
    uint64_t budget_bytes; /* what limits.def says that it takes */
    /* requests of the turn that is being made */
    struct lookup_request requests[LOOKUP_BATCH_CAP];
    uint32_t request_count;
    uint64_t next_transaction;
    uint32_t answers_wrong;
    bool is_piped; /* what links seal leaves as bytes (lookup_world_turn) */
    bool is_wrong; /* an answer was, or one was missing: said on stderr */
};

/* The overlay that all benchmarks of this kind have. */
struct overlay_config lookup_world_config(void);

/* Room for `records` registrations, each with a certificate of its own. */
struct lookup_world *lookup_world_make(uint32_t records);
void lookup_world_free(struct lookup_world *w);

/* Stores users first .. first+count-1, each by a request of his own, and checks the answers.
 * Returns the CPU time in ns of handling them. */
uint64_t lookup_world_store(struct lookup_world *w, uint32_t first, uint32_t count);

/* Makes the requests of one turn for these users. */
void lookup_world_prepare(struct lookup_world *w, const uint32_t *numbers, uint32_t count);
/* Handles them: what is measured.  From the bytes of the requests to those of the answers. */
__attribute__((noinline)) void lookup_world_run(struct lookup_world *w);
/* Looks at the answers (each must hold the right value) and acknowledges them. */
void lookup_world_check(struct lookup_world *w);
/* The same without looking: how many bytes have left. */
uint64_t lookup_world_forget(struct lookup_world *w);

/* The same over connections that somebody else reads and writes: an accepted one, of client
 * `index`; a turn with its bytes, which gives the buffers that are to be written to it; and that
 * they were. */
handle lookup_world_accept(struct lookup_world *w, uint32_t index);
const struct lookup_person *lookup_world_client(struct lookup_world *w, uint32_t index);
uint32_t lookup_world_turn(struct lookup_world *w, handle link, uint8_t *data, size_t len,
                           struct msgbuf **out, uint32_t cap);
void lookup_world_sent(struct lookup_world *w, handle link, struct msgbuf **out, uint32_t count);

/* Bytes that one more registration takes in the real structures, beside its certificate: set,
 * value, signer, their places in pools and indices, the piece of the heap and what manages it. */
double lookup_world_registration_bytes(uint32_t records);

/* CPU time of this thread in ns. */
uint64_t lookup_world_cpu_ns(void);
