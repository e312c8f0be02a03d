/* SPDX-License-Identifier: Apache-2.0 */
/* transit_inside.c - transit work driven in process: only the node's own turns are timed. */
#include "bench/transit.h"
#include "bench/transit_node.h"

#include <stdio.h>
#include <stdlib.h>

enum { MESSAGE_BYTES = TRANSIT_INSIDE_BYTES, LINKS_MAX = 10000 };

/* Of `links` links a few speak in each turn, other ones each time. */
static uint64_t feed(struct transit_world *w, const struct transit_load *load, uint32_t round)
{
    enum { SPEAKERS = 4 };
    uint32_t per_record = transit_load_per_record(load);
    for (uint32_t i = 0; i < SPEAKERS; i++) {
        uint32_t from = (round * 7919u + i * 104729u) % w->count;
        uint32_t to = (from + 1 + (round * 31u) % (w->count - 1)) % w->count;
        w->ends[to].peer.expected = load;
        transit_peer_push(&w->ends[from].peer, load, &w->ends[to].peer.ident.node_id, per_record);
        transit_world_note(w, from);
    }
    return (uint64_t)SPEAKERS * per_record;
}

void transit_inside_verify(struct transit_world *w, uint64_t sent)
{
    uint64_t received = 0, wrong = 0;
    transit_world_settle(w);
    for (uint32_t i = 0; i < w->count; i++) {
        wrong += w->ends[i].peer.wrong;
        received += w->ends[i].peer.received;
    }
    transit_require(wrong == 0, "messages as they must be");
    transit_require(received == sent, "all messages");
    transit_require(transit_world_metric(w, METRIC_dht_forwarded) == sent, "messages forwarded");
}

uint64_t transit_inside_drive(struct transit_world *w, const struct transit_load *load,
                              uint64_t messages)
{
    uint64_t sent = 0;
    for (uint32_t round = 0; sent < messages; round++) {
        sent += feed(w, load, round);
        transit_world_turn(w);
    }
    return sent;
}

static double inside_ns(struct transit_world *w, const struct transit_load *load, uint64_t messages)
{
    w->busy_ns = 0;
    uint64_t sent = transit_inside_drive(w, load, messages);
    return (double)w->busy_ns / (double)sent;
}

void transit_inside_run(const struct transit_ca *ca, const struct transit_options *o)
{
    static struct transit_world w;
    static struct transit_load load;
    double ns[TRANSIT_REPEATS_CAP];
    transit_load_make(&load, ca, MESSAGE_BYTES);
    transit_world_open(&w, ca, o->links);
    (void)transit_inside_drive(&w, &load, o->messages / 5);
    for (unsigned i = 0; i < o->repeats; i++) {
        ns[i] = inside_ns(&w, &load, o->messages);
    }
    transit_inside_verify(&w, transit_world_metric(&w, METRIC_dht_forwarded));
    transit_world_close(&w);
    double middle = transit_median(ns, o->repeats);
    printf(o->is_json ? "{\"work\": \"transit-inside-500\", \"ns_per_op\": %.1f}\n"
                      : "inside, 500 bytes: %.0f ns\n",
           middle);
}

/* ---- by number of links ---- */

/* The same turns with more and more links, which take turns in speaking: all worlds of one run are
 * measured one after the other, again and again, so that other load hits them alike. */
void transit_inside_links(const struct transit_ca *ca, const struct transit_options *o)
{
    static const uint32_t counts[] = {10, 100, 1000, LINKS_MAX};
    static struct transit_world worlds[ARRAY_COUNT(counts)];
    static double ns[ARRAY_COUNT(counts)][TRANSIT_REPEATS_CAP];
    static struct transit_load load;
    transit_load_make(&load, ca, MESSAGE_BYTES);
    for (size_t i = 0; i < ARRAY_COUNT(counts); i++) {
        transit_world_open(&worlds[i], ca, counts[i]);
        (void)transit_inside_drive(&worlds[i], &load, o->messages / 5);
    }
    for (unsigned r = 0; r < o->repeats; r++) {
        for (size_t i = 0; i < ARRAY_COUNT(counts); i++) {
            ns[i][r] = inside_ns(&worlds[i], &load, o->messages / 2);
        }
    }
    double least = transit_median(ns[0], o->repeats);
    for (size_t i = 0; i < ARRAY_COUNT(counts); i++) {
        double middle = transit_median(ns[i], o->repeats);
        transit_inside_verify(&worlds[i], transit_world_metric(&worlds[i], METRIC_dht_forwarded));
        printf(o->is_json
                   ? "{\"work\": \"transit-links-%u\", \"ns_per_op\": %.1f, \"ratio\": %.3f}\n"
                   : "%u links: %.0f ns, %.2f times that of 10\n",
               counts[i], middle, middle / least);
        transit_world_close(&worlds[i]);
    }
    fflush(stdout);
}

/* ---- checks ---- */

static uint64_t fails, passes;

static void expect(bool is_right, const char *what)
{
    passes += is_right;
    fails += !is_right;
    if (!is_right) {
        fprintf(stderr, "transit: not so: %s\n", what);
    }
}

/* BoringSSL's record layer would take one buffer for each record that it opens and one for each
 * that it seals; ours (link/tls_boring_stream.c) takes none, nor does anybody else. */
static void check_allocations(struct transit_world *w, const struct transit_load *load)
{
    (void)transit_inside_drive(w, load, 4096);
    w->allocations = w->records = 0;
    uint64_t sent = transit_inside_drive(w, load, 16384);
    printf("%llu messages in transit, %llu records opened and sealed, allocations: "
           "%llu of ours\n",
           (unsigned long long)sent, (unsigned long long)w->records,
           (unsigned long long)w->allocations);
    expect(w->records >= 2 * sent / transit_load_per_record(load), "records are counted");
    expect(w->allocations == 0, "nothing is allocated in transit");
}

/* Batching sells no latency: one message on an idle link leaves in the turn in which it came. */
static void check_latency(struct transit_world *w, const struct transit_load *load)
{
    transit_world_settle(w);
    uint64_t before = w->ends[1].peer.received;
    transit_peer_push(&w->ends[0].peer, load, &w->ends[1].peer.ident.node_id, 1);
    transit_world_note(w, 0);
    transit_world_turn(w);
    expect(w->ends[1].peer.received == before + 1, "a message on an idle link leaves at once");
    expect(w->ends[0].peer.owes_ack || w->ends[0].unsaid > 0, "and is acknowledged in that turn");
    transit_world_settle(w);
}

void transit_inside_check(const struct transit_ca *ca, const struct transit_options *o)
{
    static struct transit_world w;
    static struct transit_load load;
    (void)o;
    transit_load_make(&load, ca, MESSAGE_BYTES);
    transit_world_open(&w, ca, 8);
    check_allocations(&w, &load);
    check_latency(&w, &load);
    transit_inside_verify(&w, transit_world_metric(&w, METRIC_dht_forwarded));
    expect(transit_world_metric(&w, METRIC_link_queue_full) == 0, "no queue is full");
    transit_world_close(&w);
    printf("%llu passed, %llu failed\n", (unsigned long long)passes, (unsigned long long)fails);
    if (fails > 0) {
        exit(1);
    }
}
