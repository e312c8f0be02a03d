/* SPDX-License-Identifier: Apache-2.0 */
/* cluster.c - gets in a ring of 12 nodes: from the request to the verified value, everything
 * signed, the certificates of the values' signers known.  Measured is the CPU time of the process,
 * so of all nodes together with what connects them: TCP over loopback, or with --memory nothing.
 *
 * The work is that of bench/rival_opendht.cc, which signs nothing: each key is stored once, by one
 * node after the other, then got once, by another node, 64 under way, and what the nodes do for 2 s
 * afterwards counts.  A repeat has other nodes get them; --json says a line for each.  So a node
 * has verified a value before only where it keeps it: one of 12 owns it, two have copies.  In
 * "get_known" every node that asks has got the value before.
 *
 * usage: build/release/bench/cluster [--json] [--keys N] [--repeats N] [--memory]
 *                                    [get | get_known] [ed25519 | p256] */
#include "bench/ring.h"

#include "dht/overlay_impl.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { NODES = 12, OUTSTANDING = 64, REPEATS_CAP = NODES - 1, AFTERWARDS_US = 2000000 };

struct options {
    bool is_json, is_memory;
    const char *only, *only_work;
    uint32_t keys;
    uint32_t repeats;
};

struct load {
    struct ring *r;
    uint32_t keys;
    uint32_t open;
    uint32_t done;
};

static uint64_t process_ns(void)
{
    struct timespec at;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &at);
    return (uint64_t)at.tv_sec * 1000000000u + (uint64_t)at.tv_nsec;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

static bool begin_one(struct load *l, uint32_t node, uint32_t account)
{
    struct overlay_resource at = ring_resource(l->r, account);
    struct turn *t = ring_begin(l->r, node);
    if (answer_fetch(t, l->r->nodes[node].node, &at, RING_KIND, account) != ERR_OK) {
        return false; /* it has as many under way as it may */
    }
    l->open++;
    return true;
}

static void take_answers(struct load *l)
{
    for (uint32_t i = 0; i < NODES; i++) {
        const struct answer *a;
        while ((a = answer_next(l->r->nodes[i].node)) != NULL) {
            ring_require(a->error == ERR_OK && a->value_count == 1 &&
                             a->values[0].value.len == 100 &&
                             a->values[0].value.data[99] == (uint8_t)a->tag,
                         "a get gives something else");
            l->open--;
            l->done++;
        }
    }
}

static void turn_all(struct load *l)
{
    for (uint32_t i = 0; i < NODES; i++) {
        (void)ring_turn(l->r, i);
    }
    take_answers(l);
    l->r->now_us += 100;
}

/* Who gets a key in repeat k: not who has stored it, and another one each time. */
static uint32_t getter(uint32_t key, uint32_t k)
{
    return (key + 1 + (NODES / 2 - 1 + k) % (NODES - 1)) % NODES;
}

/* The certificates of repeat k. */
static void learn(struct load *l, uint32_t k)
{
    for (uint32_t key = 0; key < l->keys; key++) {
        uint32_t node = getter(key, k);
        const struct sign_certificate *known;
        struct sign *s = node_overlay(l->r->nodes[node].node)->sign;
        struct turn *t = ring_begin(l->r, node);
        sign_begin_turn(s, UINT64_MAX);
        sign_begin_message(s, false);
        ring_require(sign_learn(t, s, l->r->accounts[key].ident.certificate, &known) == ERR_OK,
                     "a certificate is refused");
    }
}

/* Each key once, and what is put off until later. */
static void run(struct load *l, uint32_t k)
{
    uint32_t begun = 0;
    l->done = 0;
    while (l->done < l->keys) {
        while (l->open < OUTSTANDING && begun < l->keys && begin_one(l, getter(begun, k), begun)) {
            begun++;
        }
        turn_all(l);
    }
    ring_pass(l->r, AFTERWARDS_US);
    ring_require(l->open == 0, "a get has no end");
}

static uint64_t sum(const struct ring *r, enum metric which)
{
    uint64_t all = 0;
    for (uint32_t i = 0; i < NODES; i++) {
        all += ring_metric(r, i, which);
    }
    return all;
}

static void measure(const struct options *o, enum crypto_algorithm algorithm, const char *name,
                    bool is_known)
{
    double ns[REPEATS_CAP];
    struct ring r;
    const char *work = is_known ? "get_known" : "get";
    if ((o->only != NULL && strcmp(o->only, name) != 0) ||
        (o->only_work != NULL && strcmp(o->only_work, work) != 0)) {
        return;
    }
    struct ring_settings s = {.nodes = NODES,
                              .account_algorithm = algorithm,
                              .accounts = o->keys,
                              .certificates = 2 * NODES + 2 * o->keys,
                              .is_loopback = !o->is_memory};
    for (uint32_t i = 0; i < NODES; i++) {
        s.algorithms[i] = algorithm;
    }
    ring_open(&r, &s);
    ring_store_all(&r);
    struct load l = {.r = &r, .keys = o->keys};
    uint64_t checked = 0;
    uint64_t made = 0;
    uint64_t passed = 0;
    for (uint32_t k = 0; k < o->repeats; k++) {
        learn(&l, k);
        if (is_known) {
            run(&l, k);
        }
        uint64_t checked_before = sum(&r, METRIC_signatures_checked);
        uint64_t made_before = sum(&r, METRIC_signatures_made);
        uint64_t judged = sum(&r, METRIC_certificates_judged);
        uint64_t passed_before = sum(&r, METRIC_dht_forwarded);
        uint64_t before = process_ns();
        run(&l, k);
        ns[k] = (double)(process_ns() - before) / o->keys;
        checked += sum(&r, METRIC_signatures_checked) - checked_before;
        made += sum(&r, METRIC_signatures_made) - made_before;
        passed += sum(&r, METRIC_dht_forwarded) - passed_before;
        ring_require(sum(&r, METRIC_certificates_judged) == judged, "all certificates are known");
    }
    double all = (double)o->repeats * o->keys;
    double verified = (double)checked / all;
    double signatures = (double)made / all;
    /* A twelfth is at home: a node asks itself without signatures, made or verified.  Of the
     * values, those that a node keeps itself have been verified when they were stored. */
    ring_require(verified > (is_known ? 1.7 : 2.4) && signatures > 1.7, "gets are signed");
    for (uint32_t k = 0; o->is_json && k < o->repeats; k++) {
        printf("{\"work\": \"cluster/%s_%s\", \"ns_per_op\": %.0f}\n", work, name, ns[k]);
    }
    if (!o->is_json) {
        qsort(ns, o->repeats, sizeof(ns[0]), by_size);
        printf("%-10s %-8s %10.0f  (%.0f..%.0f)  %6.2f %6.2f %6.2f\n", work, name,
               ns[o->repeats / 2], ns[0], ns[o->repeats - 1], verified, signatures,
               (double)passed / all);
    }
    (void)fflush(stdout);
    ring_close(&r);
}

static uint32_t number(const char *text)
{
    unsigned long value = text == NULL ? 0 : strtoul(text, NULL, 10);
    ring_require(value > 0 && value <= 1000000, "a number is wrong");
    return (uint32_t)value;
}

int main(int argc, char **argv)
{
    struct options o = {.keys = 2000, .repeats = 3};
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--json") == 0) {
            o.is_json = true;
        } else if (strcmp(argv[i], "--memory") == 0) {
            o.is_memory = true;
        } else if (strcmp(argv[i], "--keys") == 0) {
            o.keys = number(argv[++i]);
        } else if (strcmp(argv[i], "--repeats") == 0) {
            o.repeats = number(argv[++i]);
        } else if (strncmp(argv[i], "get", 3) == 0) {
            o.only_work = argv[i];
        } else {
            o.only = argv[i];
        }
    }
    ring_require(o.repeats <= REPEATS_CAP, "too many repeats");
    if (!o.is_json) {
        printf("%-10s %-8s %10s  %s  verified, signed, passed on each\n", "", "", "ns", "(range)");
    }
    for (uint32_t is_known = 0; is_known < 2; is_known++) {
        measure(&o, CRYPTO_ED25519, "ed25519", is_known == 1);
        measure(&o, CRYPTO_ECDSA_SHA256, "p256", is_known == 1);
    }
    return 0;
}
