/* SPDX-License-Identifier: Apache-2.0 */
/* signed.c - a look-up over a trunk, in process: the request's signature is verified and the answer
 * signed, for each pair of algorithms.  Measured is the CPU time of the node's turns, from the
 * bytes of TLS records to the bytes of TLS records; beside it, in the same run, what BoringSSL
 * alone takes to verify one and to make the other.
 *
 * usage: build/release/bench/signed [--json] [--quick] [rsa2048/ed25519] */
#include "bench/bare_boring.h"
#include "bench/ring.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ACCOUNTS = 64, REQUESTS = 64, REQUEST_CAP = 2048, REPEATS = 9, BARE_BYTES = 300 };

static const struct {
    enum crypto_algorithm algorithm;
    const char *name;
} kinds[] = {
    {CRYPTO_RSA_SHA256, "rsa2048"}, {CRYPTO_ECDSA_SHA256, "p256"}, {CRYPTO_ED25519, "ed25519"}};
enum { KINDS = ARRAY_COUNT(kinds) };

struct requests {
    uint8_t bytes[REQUESTS][REQUEST_CAP];
    size_t len[REQUESTS];
};

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, size_t count)
{
    qsort(values, count, sizeof(values[0]), by_size);
    return values[count / 2];
}

/* Requests of node 1 for records that node 0 keeps. */
static void make_requests(struct ring *r, struct requests *q)
{
    uint32_t account = 0;
    for (uint32_t i = 0; i < REQUESTS; i++) {
        struct overlay_resource at;
        do {
            account = (account + 1) % ACCOUNTS;
            at = ring_resource(r, account);
        } while (!overlay_is_responsible(node_overlay(r->nodes[0].node), &at));
        q->len[i] = ring_make_fetch(r, 1, account, 1000 + i, q->bytes[i], REQUEST_CAP);
    }
}

/* Sends all requests once, and has node 0 answer them; its CPU time. */
static uint64_t one_round(struct ring *r, const struct requests *q, handle link)
{
    struct turn *t = ring_begin(r, 1);
    for (uint32_t i = 0; i < REQUESTS; i++) {
        ring_require(link_send(t, node_links(r->nodes[1].node), link,
                               slice_of(q->bytes[i], q->len[i]), SLICE_EMPTY) == ERR_OK,
                     "a request is not taken");
    }
    (void)ring_turn(r, 1);
    uint64_t before = r->nodes[0].busy_ns;
    ring_settle(r);
    r->now_us += 1000;
    return r->nodes[0].busy_ns - before;
}

/* A whole look-up with all that belongs to it: the answer is verified, the value is the right one.
 */
static void check_answer(struct ring *r)
{
    uint32_t account = 0;
    struct overlay_resource at = ring_resource(r, account);
    while (!overlay_is_responsible(node_overlay(r->nodes[0].node), &at)) {
        at = ring_resource(r, ++account);
    }
    struct turn *t = ring_begin(r, 1);
    ring_require(answer_fetch(t, r->nodes[1].node, &at, RING_KIND, 1) == ERR_OK, "a fetch");
    (void)ring_turn(r, 1);
    ring_settle(r);
    const struct answer *a = answer_next(r->nodes[1].node);
    ring_require(a != NULL && a->error == ERR_OK && a->value_count == 1 &&
                     a->values[0].value.len == 100 &&
                     a->values[0].value.data[99] == (uint8_t)account,
                 "a look-up gives something else");
}

struct figures {
    double node_ns, bare_ns, ratio; /* medians */
};

static void measure(size_t request, size_t answer, uint32_t rounds, struct figures *out)
{
    static struct requests q;
    double node[REPEATS];
    double bare[REPEATS];
    double ratio[REPEATS];
    struct ring r;
    struct ring_settings s = {.nodes = 2,
                              .algorithms = {kinds[answer].algorithm, kinds[request].algorithm},
                              .account_algorithm = CRYPTO_ED25519,
                              .accounts = ACCOUNTS};
    ring_open(&r, &s);
    ring_store_all(&r);
    check_answer(&r);
    make_requests(&r, &q);
    handle link = link_find(node_links(r.nodes[1].node), &r.nodes[0].identity.ident.node_id);
    struct bare *verify = bare_boring_open(kinds[request].algorithm);
    struct bare *sign = bare_boring_open(kinds[answer].algorithm);
    (void)one_round(&r, &q, link);
    uint64_t answered = ring_metric(&r, 0, METRIC_answers_sent);
    uint64_t checked = ring_metric(&r, 0, METRIC_signatures_checked);
    uint64_t made = ring_metric(&r, 0, METRIC_signatures_made);
    for (size_t k = 0; k < REPEATS; k++) {
        uint64_t ns = 0;
        for (uint32_t i = 0; i < rounds; i++) {
            ns += one_round(&r, &q, link);
        }
        node[k] = (double)ns / (rounds * REQUESTS);
        bare[k] = bare_boring_pair_ns(verify, sign, rounds * REQUESTS / 2, BARE_BYTES);
        ratio[k] = bare[k] / node[k];
    }
    uint64_t all = (uint64_t)REPEATS * rounds * REQUESTS;
    ring_require(ring_metric(&r, 0, METRIC_answers_sent) - answered == all &&
                     ring_metric(&r, 0, METRIC_signatures_checked) - checked == all &&
                     ring_metric(&r, 0, METRIC_signatures_made) - made == all,
                 "not each request was verified and answered with a signature");
    check_answer(&r);
    out->node_ns = median(node, REPEATS);
    out->bare_ns = median(bare, REPEATS);
    out->ratio = median(ratio, REPEATS);
    bare_boring_close(verify);
    bare_boring_close(sign);
    ring_close(&r);
}

int main(int argc, char **argv)
{
    bool is_json = false;
    const char *only = NULL;
    uint32_t rounds = 8;
    for (int i = 1; i < argc; i++) {
        is_json = is_json || strcmp(argv[i], "--json") == 0;
        rounds = strcmp(argv[i], "--quick") == 0 ? 2 : rounds;
        only = argv[i][0] != '-' ? argv[i] : only;
    }
    if (!is_json) {
        printf("%-20s %12s %12s  %s\n", "request/answer", "node ns", "bare ns", "bare : node");
    }
    for (size_t request = 0; request < KINDS; request++) {
        for (size_t answer = 0; answer < KINDS; answer++) {
            struct figures f;
            char name[32];
            (void)snprintf(name, sizeof(name), "%s/%s", kinds[request].name, kinds[answer].name);
            if (only != NULL && strcmp(only, name) != 0) {
                continue;
            }
            measure(request, answer, rounds, &f);
            if (is_json) {
                printf("{\"work\": \"signed/%s\", \"ns_per_op\": %.0f}\n", name, f.node_ns);
                printf("{\"work\": \"signed_floor/%s\", \"ns_per_op\": %.0f}\n", name, f.bare_ns);
            } else {
                printf("%-20s %12.0f %12.0f  %.3f\n", name, f.node_ns, f.bare_ns, f.ratio);
            }
            (void)fflush(stdout);
        }
    }
    return 0;
}
