/* SPDX-License-Identifier: Apache-2.0 */
/* steady.c - see steady.h. */
#include "bench/steady.h"

#include "bench/ring.h"

enum { CHANCE_TIMES = 3, CHANCE = 12 }; /* so much more often may chance have it */

void steady_begin(struct steady *s)
{
    s->is_disturbed = false;
}

void steady_turn(struct steady *s, uint64_t ns, uint64_t work_ns, uint64_t faults)
{
    s->turns_ns += ns;
    if (ns <= STEADY_TIMES * work_ns + STEADY_LONG_NS) {
        return;
    }
    s->longest_ns = max_u64(s->longest_ns, ns);
    if (faults > 0) {
        s->paging_turns++;
        return;
    }
    s->long_turns++;
    s->is_disturbed = true;
}

/* Until it was watched for as long as the node. */
static void watch_loop(struct steady *s)
{
    uint64_t before = ring_cpu_ns();
    while (s->loop_ns < s->turns_ns) {
        uint64_t now = ring_cpu_ns();
        uint64_t ns = now - before;
        s->loop_ns += ns;
        s->jumps += ns > STEADY_LONG_NS ? 1 : 0;
        s->jump_ns = max_u64(s->jump_ns, ns);
        before = now;
    }
}

bool steady_end(struct steady *s)
{
    s->runs++;
    s->set_aside += s->is_disturbed ? 1 : 0;
    watch_loop(s);
    return !s->is_disturbed;
}

const char *steady_fault(const struct steady *s)
{
    return s->long_turns > CHANCE_TIMES * s->jumps + CHANCE
               ? "turns take longer than what they do, and more often than a loop that does nothing"
               : NULL;
}

/* The runs of `s` with one turn each, as steady_end would count them beside a loop with `jumps`. */
static bool run_of(struct steady *s, uint64_t ns, uint64_t faults)
{
    enum { WORK_NS = 60000 };
    steady_begin(s);
    steady_turn(s, ns, WORK_NS, faults);
    s->loop_ns = s->turns_ns; /* nothing more to watch */
    return steady_end(s);
}

void steady_check(void)
{
    struct steady s = {.jumps = 2};
    const uint64_t usual = 100000, too_long = 5000000;
    ring_require(run_of(&s, usual, 0) && run_of(&s, usual, 3), "a usual turn counts");
    ring_require(!run_of(&s, too_long, 0), "a turn too long for its work does not");
    ring_require(run_of(&s, too_long, 1), "one that waits for pages is the node's own");
    ring_require(s.runs == 4 && s.set_aside == 1 && s.long_turns == 1 && s.paging_turns == 1 &&
                     s.longest_ns == too_long,
                 "runs and turns are counted");
    ring_require(steady_fault(&s) == NULL, "the machine may have done that");
    for (uint32_t i = 0; i < CHANCE_TIMES * s.jumps + CHANCE; i++) {
        (void)run_of(&s, too_long, 0);
    }
    ring_require(steady_fault(&s) != NULL, "so many stalls are the node's own");
    s.jumps *= 2;
    ring_require(steady_fault(&s) == NULL, "unless a loop that does nothing has them too");
}
