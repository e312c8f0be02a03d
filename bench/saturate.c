/* SPDX-License-Identifier: Apache-2.0 */
/* saturate.c - how long messages wait that pass through a node, at half of what it can carry, with
 * an empty verification queue and with a full one.
 *
 * The node is real, and so are its neighbors, their TLS and their signatures; the clock is the CPU
 * time of the node's own turns, so that other work of the machine is not in it; what is in it
 * nevertheless, because the machine itself stands still, is dealt with in steady.h.  Records of 16
 * messages arrive by chance (Poisson).  A message has waited from its arrival to the end of the
 * turn that passed it on; what a connection does not take because the node is behind waits in front
 * of it.  To fill the queue, another neighbor sends signed requests all the time, more than can be
 * answered; the bytes of these cost the node time as well.
 *
 * Ends with 1 and says why when it cannot tell.
 *
 * usage: build/release/bench/saturate [--json] [--quick]
 *        build/release/bench/saturate check          the rules of steady.h, nothing measured */
#include "bench/ring.h"
#include "bench/slices.h"
#include "bench/steady.h"

#include "codec/content.h"
#include "codec/fwd.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum {
    NODE,    /* under test */
    SOURCE,  /* sends what passes through */
    SINK,    /* for whom it is */
    FLOODER, /* asks too much */
    NODES,
    ACCOUNTS = 64,
    BATCH = 16,
    MESSAGE_BYTES = 500,
    REQUESTS = 64,
    FULL = 512, /* requests that are kept waiting */
    FLOOD_BATCH = 8,
    COST_TURNS = 400,
    FLOOD_BYTES = 16384, /* under way, beyond which no more are sent */
};

struct stage {
    struct ring r;
    struct rng rng;
    handle from_source, from_flooder; /* their links to the node */
    uint8_t transit[MESSAGE_BYTES];
    uint8_t requests[REQUESTS][2048];
    size_t request_len[REQUESTS];
    uint32_t next_request;
    double *waits; /* of records: all messages of one wait as long */
    uint32_t wait_count;
    double record_us; /* what one costs the node when they follow each other */
    struct steady steady;
};

/* A message for SINK by way of NODE, as a neighbor passes it on; nobody looks at its contents. */
static void make_transit(struct stage *s)
{
    uint8_t list[64];
    uint8_t via[32];
    struct rl_params params = {
        .overlay = overlay_hash_of(&s->r.nodes[NODE].turn, SLICE_LITERAL("ring.example")),
        .node_id_length = 16};
    struct wr d = wr_init(list, sizeof(list));
    fwd_wr_node(&d, &params, &s->r.nodes[NODE].identity.ident.node_id);
    fwd_wr_node(&d, &params, &s->r.nodes[SINK].identity.ident.node_id);
    struct wr v = wr_init(via, sizeof(via));
    fwd_wr_node(&v, &params, &s->r.nodes[FLOODER].identity.ident.node_id);
    struct fwd h = {.overlay = params.overlay,
                    .configuration_sequence = 1,
                    .ttl = 50,
                    .fragment = FWD_FRAGMENT_WHOLE,
                    .transaction_id = 77,
                    .destination_list = wr_slice(&d),
                    .via_list = wr_slice(&v)};
    memset(s->transit, 0xee, sizeof(s->transit));
    struct wr w = wr_init(s->transit, sizeof(s->transit));
    fwd_wr(&w, &h);
    wr_u16(&w, CONTENT_FETCH_ANS);
    ring_require(wr_ok(&w), "a message to be passed on");
    fwd_put_length(s->transit, MESSAGE_BYTES);
}

static void make_requests(struct stage *s)
{
    uint32_t account = 0;
    for (uint32_t i = 0; i < REQUESTS; i++) {
        struct overlay_resource at;
        uint32_t tries = 0;
        do {
            ring_require(tries++ < ACCOUNTS, "the node keeps a record");
            account = (account + 1) % ACCOUNTS;
            at = ring_resource(&s->r, account);
        } while (!overlay_is_responsible(node_overlay(s->r.nodes[NODE].node), &at));
        s->request_len[i] =
            ring_make_fetch(&s->r, FLOODER, account, 1000 + i, s->requests[i], 2048);
    }
}

static void open_stage(struct stage *s, enum crypto_algorithm algorithm, uint64_t seed)
{
    struct ring_settings rs = {
        .nodes = NODES, .account_algorithm = CRYPTO_ED25519, .accounts = ACCOUNTS};
    for (uint32_t i = 0; i < NODES; i++) {
        rs.algorithms[i] = algorithm;
    }
    memset(s, 0, sizeof(*s));
    ring_open(&s->r, &rs);
    ring_store_all(&s->r);
    rng_init(&s->rng, seed);
    const struct node_id *to = &s->r.nodes[NODE].identity.ident.node_id;
    s->from_source = link_find(node_links(s->r.nodes[SOURCE].node), to);
    s->from_flooder = link_find(node_links(s->r.nodes[FLOODER].node), to);
    make_transit(s);
    make_requests(s);
}

static void send_transit(struct stage *s)
{
    struct turn *t = ring_begin(&s->r, SOURCE);
    for (uint32_t i = 0; i < BATCH; i++) {
        ring_require(link_send(t, node_links(s->r.nodes[SOURCE].node), s->from_source,
                               slice_of(s->transit, MESSAGE_BYTES), SLICE_EMPTY) == ERR_OK,
                     "a message is not taken");
    }
    (void)ring_turn(&s->r, SOURCE);
}

static void send_requests(struct stage *s, uint32_t count)
{
    struct turn *t = ring_begin(&s->r, FLOODER);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t k = s->next_request++ % REQUESTS;
        ring_require(link_send(t, node_links(s->r.nodes[FLOODER].node), s->from_flooder,
                               slice_of(s->requests[k], s->request_len[k]), SLICE_EMPTY) == ERR_OK,
                     "a request is not taken");
    }
    (void)ring_turn(&s->r, FLOODER);
}

static uint32_t waiting(const struct stage *s)
{
    struct overlay_status status;
    overlay_status(node_overlay(s->r.nodes[NODE].node), &status);
    return status.verify_queue;
}

/* True: more requests may be sent, since the queue has room and little is under way. */
static bool wants_more(const struct stage *s)
{
    return waiting(s) + FLOOD_BATCH <= FULL && ring_coming(&s->r, NODE, FLOODER) < FLOOD_BYTES;
}

static void fill(struct stage *s)
{
    while (waiting(s) + FLOOD_BATCH <= FULL) {
        if (wants_more(s)) {
            send_requests(s, FLOOD_BATCH);
        }
        (void)ring_turn(&s->r, NODE);
        (void)ring_turn(&s->r, FLOODER);
    }
}

/* What the node has sent reaches the others, and their acknowledgements the node. */
static void others(struct stage *s)
{
    for (uint32_t i = SOURCE; i < NODES; i++) {
        if (ring_is_due(&s->r, i)) {
            (void)ring_turn(&s->r, i);
        }
    }
}

/* CPU time of the node for one record, in us, when they follow each other. */
static double cost_of_record(struct stage *s)
{
    uint64_t ns = 0;
    for (uint32_t i = 0; i < 2 * COST_TURNS; i++) {
        send_transit(s);
        uint64_t one = ring_turn(&s->r, NODE);
        ns += i >= COST_TURNS ? one : 0;
        others(s);
        s->r.now_us += 50;
    }
    ring_settle(&s->r);
    return (double)ns / 1000 / COST_TURNS;
}

/* An exponentially distributed time: -ln(u), by halving and a series, without a library. */
static double until_next(struct stage *s, double mean_us)
{
    double u = ((double)rng_below(&s->rng, 1u << 30) + 1) / (double)(1u << 30);
    double minus_ln = 0;
    for (; u < 0.5; u *= 2) {
        minus_ln += 0.69314718055994531;
    }
    double power = 1;
    for (int n = 1; n < 40; n++) {
        power *= 1 - u;
        minus_ln += power / n;
    }
    return minus_ln * mean_us;
}

/* Records that the node has passed on (or had to drop) so far, since all of it was at rest. */
static uint32_t records_gone(const struct stage *s)
{
    uint64_t messages = ring_metric(&s->r, NODE, METRIC_dht_forwarded) +
                        ring_metric(&s->r, NODE, METRIC_dht_drop_link);
    return (uint32_t)(messages / BATCH);
}

static uint64_t page_faults(void)
{
    struct rusage used;
    (void)getrusage(RUSAGE_THREAD, &used);
    return (uint64_t)used.ru_minflt + (uint64_t)used.ru_majflt;
}

/* A turn of the node; its CPU time in us. */
static double turn(struct stage *s)
{
    uint64_t faults = page_faults();
    uint64_t us = ring_metric(&s->r, NODE, METRIC_dht_verify_us);
    uint64_t messages = ring_metric(&s->r, NODE, METRIC_link_messages_in);
    uint64_t ns = ring_turn(&s->r, NODE);
    us = ring_metric(&s->r, NODE, METRIC_dht_verify_us) - us;
    messages = ring_metric(&s->r, NODE, METRIC_link_messages_in) - messages;
    double work_us = (double)us + s->record_us / BATCH * (double)messages;
    steady_turn(&s->steady, ns, (uint64_t)(1000 * work_us), page_faults() - faults);
    return (double)ns / 1000;
}

/* `records` arrivals at a mean distance of `mean_us`.  The node takes as many in a turn as it will,
 * in the order in which they came. */
static void run(struct stage *s, double mean_us, uint32_t records, bool is_full)
{
    enum { UNDER_WAY = 96 }; /* fewer bytes than a link queues */
    static double arrived[UNDER_WAY];
    double now = (double)s->r.now_us;
    double next = now;
    uint32_t before = records_gone(s);
    uint32_t sent = 0;
    s->wait_count = 0;
    while (s->wait_count < records) {
        while (sent < records && next <= now && sent - s->wait_count < UNDER_WAY) {
            send_transit(s);
            arrived[sent++ % UNDER_WAY] = next;
            next += until_next(s, mean_us);
        }
        if (is_full && wants_more(s)) {
            send_requests(s, FLOOD_BATCH); /* as many as have been answered */
        }
        s->r.now_us = (uint64_t)now;
        if (sent == s->wait_count && !ring_is_due(&s->r, NODE)) {
            now = next > now ? next : now;
            continue;
        }
        now += turn(s);
        for (uint32_t gone = records_gone(s) - before; s->wait_count < gone;) {
            s->waits[s->wait_count] = now - arrived[s->wait_count % UNDER_WAY];
            s->wait_count++;
        }
        others(s);
    }
    s->r.now_us = (uint64_t)now + 1;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

static double p99(struct stage *s)
{
    qsort(s->waits, s->wait_count, sizeof(s->waits[0]), by_size);
    return s->waits[(size_t)s->wait_count * 99 / 100];
}

/* The same until the machine has left it alone; the p99. */
static double run_steadily(struct stage *s, uint32_t records, bool is_full)
{
    enum { TRIES = 20 };
    for (uint32_t tries = 0; tries < TRIES; tries++) {
        steady_begin(&s->steady);
        run(s, 2 * s->record_us, records, is_full);
        ring_require(!is_full || waiting(s) >= FULL / 4, "the queue was not kept full");
        if (steady_end(&s->steady)) {
            return p99(s);
        }
    }
    ring_require(false, "the machine stands still too often: no run of 20 was left alone");
    return 0;
}

struct result {
    struct slices record, calm, full; /* ns; of two repeats one is there and one back */
    double answers;                   /* for each record that passed through */
    uint32_t uneven; /* repeats that do not count: the machine's speed had changed */
    struct steady steady;
};

/* False: a record did not cost the same before and after: the machine was another one meanwhile,
 * and the load not half of what it can carry. */
static bool repeat(struct stage *s, uint32_t records, bool is_back, struct result *out)
{
    double us[2]; /* calm, full */
    s->record_us = cost_of_record(s);
    for (uint32_t i = 0; i < ARRAY_COUNT(us); i++) {
        bool is_full = (i == 1) != is_back;
        if (is_full) {
            fill(s);
        }
        us[is_full] = run_steadily(s, records, is_full);
        ring_settle(&s->r);
    }
    double after = cost_of_record(s);
    if (after >= 1.25 * s->record_us || s->record_us >= 1.25 * after) {
        return false;
    }
    slices_add(&out->record, 1000 * s->record_us);
    slices_add(&out->calm, 1000 * us[0]);
    slices_add(&out->full, 1000 * us[1]);
    return true;
}

static void measure(enum crypto_algorithm algorithm, uint32_t records, struct result *out)
{
    enum { REPEATS = 16, TRIES = 80 };
    static struct stage s;
    *out = (struct result){.calm.name = "ns_per_op", .full.name = "ns_per_op"};
    open_stage(&s, algorithm, 11);
    s.waits = malloc(records * sizeof(s.waits[0]));
    ring_require(s.waits != NULL, "memory");
    uint64_t answers = ring_metric(&s.r, NODE, METRIC_answers_sent);
    uint64_t passed = ring_metric(&s.r, NODE, METRIC_dht_forwarded);
    uint32_t tries = 0;
    for (uint32_t k = 0; k < REPEATS; tries++) {
        ring_require(tries < TRIES, "the machine's speed changes too often for half a load");
        k += repeat(&s, records, k % 2 == 1, out) ? 1 : 0;
    }
    const char *fault = steady_fault(&s.steady);
    ring_require(fault == NULL, fault);
    passed = ring_metric(&s.r, NODE, METRIC_dht_forwarded) - passed;
    uint64_t sent = ((uint64_t)tries * 4 * COST_TURNS + (uint64_t)s.steady.runs * records) * BATCH;
    ring_require(passed == sent, "a message was not passed on");
    answers = ring_metric(&s.r, NODE, METRIC_answers_sent) - answers;
    ring_require(answers > 0, "signatures have no turn at all");
    out->answers = (double)answers * BATCH / (double)passed;
    out->uneven = tries - REPEATS;
    out->steady = s.steady;
    free(s.waits);
    ring_close(&s.r);
}

static void print_slices(const char *work, const char *name, const struct slices *s)
{
    printf("{\"work\": \"saturate/%s_%s\", \"ns_per_op\": %.0f", work, name, slices_median(s));
    slices_print_json(&s, 1);
}

static void print_json(const char *name, const struct result *r)
{
    const struct steady *w = &r->steady;
    print_slices("calm", name, &r->calm);
    printf("}\n");
    print_slices("full", name, &r->full);
    printf(", \"ratio\": %.4f, \"runs\": %u, \"set_aside\": %u, \"uneven\": %u, "
           "\"long_turns\": %u, \"idle_jumps\": %u, \"paging_turns\": %u}\n",
           slices_ratio(&r->full, &r->calm).middle, w->runs, w->set_aside, r->uneven, w->long_turns,
           w->jumps, w->paging_turns);
}

static void print_text(const char *name, const struct result *r)
{
    const struct steady *w = &r->steady;
    struct slices_ratio ratio = slices_ratio(&r->full, &r->calm);
    printf("%-10s %10.1f %12.1f %12.1f  %.2f (%.2f..%.2f)  %.3f\n", name,
           slices_median(&r->record) / 1000, slices_median(&r->calm) / 1000,
           slices_median(&r->full) / 1000, ratio.middle, ratio.lower, ratio.upper, r->answers);
    printf("           %u of %u runs set aside: %u turns too long for what they did, up to %.1f ms "
           "(an idle loop: %u jumps, up to %.1f ms); %u long turns waited for pages; %u repeats "
           "at a changed speed\n",
           w->set_aside, w->runs, w->long_turns, (double)w->longest_ns / 1e6, w->jumps,
           (double)w->jump_ns / 1e6, w->paging_turns, r->uneven);
}

int main(int argc, char **argv)
{
    static const struct {
        enum crypto_algorithm algorithm;
        const char *name;
    } kinds[] = {
        {CRYPTO_ED25519, "ed25519"}, {CRYPTO_ECDSA_SHA256, "p256"}, {CRYPTO_RSA_SHA256, "rsa2048"}};
    bool is_json = false;
    uint32_t records = 10000;
    if (argc == 2 && strcmp(argv[1], "check") == 0) {
        steady_check();
        return 0;
    }
    for (int i = 1; i < argc; i++) {
        is_json = is_json || strcmp(argv[i], "--json") == 0;
        records = strcmp(argv[i], "--quick") == 0 ? 2500 : records;
    }
    if (!is_json) {
        printf("%-10s %10s %12s %12s  %s\n", "", "record us", "p99 calm us", "p99 full us",
               "ratio (half of them)  answers each record");
    }
    for (size_t i = 0; i < ARRAY_COUNT(kinds); i++) {
        static struct result r; /* too large for a frame */
        measure(kinds[i].algorithm, records, &r);
        (is_json ? print_json : print_text)(kinds[i].name, &r);
        (void)fflush(stdout);
    }
    return 0;
}
