/* SPDX-License-Identifier: Apache-2.0 */
/* A new overlay document in a running ring of 16 (RFC 6940 6.5.4, 11.1; catalogue CU-1..CU-5,
 * CU-8, CF-2, CF-3): taken at one node it reaches all; what its signers have not signed, what is
 * older and what is another overlay's reaches nobody, though a member hands it out. */
#include "cmd/ca_document.h"
#include "node/answer.h"
#include "node/overlay_doc_keep.h"
#include "node/overlay_schema.h"
#include "sim/crypto_fake.h"
#include "sim/world.h"
#include <criterion/criterion.h>
#include <stdlib.h>

enum { NODES = 16, DOCUMENT_CAP = 16 * 1024, STEP_US = 20000, PRIVATE_KIND = 0x70000001 };

struct ring {
    struct world *world;
    struct world_settings settings;
    struct crypto crypto;
    struct rng rng;
    struct overlay_schema *schema;
    struct overlay_doc_keep keeps[NODES];
    void *keep_blocks[NODES];
    void *block;
    uint8_t first[CA_DOCUMENT_CAP]; /* document 1 */
    size_t first_len;
    uint32_t taken, refused;
};

static struct ring ring;

static void end_ring(void)
{
    for (uint32_t i = 0; i < NODES; i++) {
        free(ring.keep_blocks[i]);
    }
    overlay_schema_free(ring.schema);
    free(ring.block);
    memset(&ring, 0, sizeof(ring));
}

/* Who signs is the first account of a world of this seed; identities depend on the seed alone. */
static struct slice write_document(const struct ca_document *what, uint8_t *out)
{
    size_t len = 0;
    struct ca_document d = *what;
    const struct ident *signer = world_account(ring.world, 0);
    d.overlay = d.overlay == NULL ? "sim.example" : d.overlay;
    d.expiration_ms =
        d.expiration_ms == 0 ? ring.settings.start_wall_ms + 86400000 : d.expiration_ms;
    d.root = SLICE_LITERAL("the root of sim.example");
    d.signer_certificate =
        d.signer_certificate.len == 0 ? signer->certificate : d.signer_certificate;
    d.signer = signer->node_id;
    d.signer_key = d.signer_key == NULL ? signer->key : d.signer_key;
    d.links = OVERLAY_LINKS_TRUNK;
    d.replica_min_hosts = 2;
    d.max_credentials = 24;
    cr_assert_eq(ca_document_write(&d, &ring.crypto, out, &len), ERR_OK);
    return slice_of(out, len);
}

static void make_world(void)
{
    struct arena arena;
    size_t bytes = world_bytes(&ring.settings);
    free(ring.block);
    ring.block = calloc(1, bytes);
    cr_assert_not_null(ring.block);
    arena_init(&arena, ring.block, bytes);
    ring.world = world_init(&arena, &ring.settings);
}

/* Document 1 is in force at node i. */
static void make_keep(uint32_t i)
{
    char why[OVERLAY_DOC_WHY_CAP];
    struct arena arena;
    size_t bytes = overlay_doc_keep_bytes(DOCUMENT_CAP);
    free(ring.keep_blocks[i]);
    ring.keep_blocks[i] = calloc(1, bytes);
    cr_assert_not_null(ring.keep_blocks[i]);
    arena_init(&arena, ring.keep_blocks[i], bytes);
    const struct overlay_doc_keep_settings s = {.schema = ring.schema,
                                                .crypto = &ring.crypto,
                                                .cap = DOCUMENT_CAP,
                                                .first = slice_of(ring.first, ring.first_len),
                                                .at_ms = ring.settings.start_wall_ms};
    enum err e = overlay_doc_keep_init(&ring.keeps[i], &arena, &s, why);
    cr_assert_eq(e, ERR_OK, "%s", why);
}

static uint64_t wall_ms(void)
{
    return ring.settings.start_wall_ms + world_now_us(ring.world) / 1000;
}

/* What the control thread of a daemon does. */
static void judge(uint32_t i)
{
    char why[OVERLAY_DOC_WHY_CAP];
    struct node_id from;
    struct slice xml;
    struct overlay_doc_keep *k = &ring.keeps[i];
    if (!world_is_alive(ring.world, i)) {
        return;
    }
    struct node *n = world_node(ring.world, i);
    struct turn *t = world_begin_turn(ring.world, i);
    if (node_next_document(n, &from, &xml)) {
        enum err e = overlay_doc_keep_judge(k, xml, OVERLAY_DOC_KEEP_PEER, wall_ms(), why);
        if (e == ERR_OK) {
            k->change.from = from;
            node_set_config(t, n, &k->change);
            ring.taken++;
        } else {
            ring.refused++;
        }
        node_document_judged(t, n, overlay_doc_accept_code(e));
    }
    world_end_turn(ring.world, i);
}

static void run_for(uint64_t us)
{
    uint64_t end_us = world_now_us(ring.world) + us;
    while (world_now_us(ring.world) < end_us) {
        world_run_until(ring.world, world_now_us(ring.world) + STEP_US);
        for (uint32_t i = 0; i < NODES; i++) {
            judge(i);
        }
    }
}

static uint16_t sequence_of(uint32_t i)
{
    struct overlay_status status;
    overlay_status(node_overlay(world_node(ring.world, i)), &status);
    return status.configuration_sequence;
}

static uint32_t count_with(uint16_t sequence)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < NODES; i++) {
        count += sequence_of(i) == sequence ? 1 : 0;
    }
    return count;
}

static bool all_are_ready(void)
{
    for (uint32_t i = 0; i < NODES; i++) {
        if (!overlay_is_ready(node_overlay(world_node(ring.world, i)))) {
            return false;
        }
    }
    return true;
}

static void begin_ring(uint64_t seed)
{
    memset(&ring, 0, sizeof(ring));
    world_defaults(&ring.settings);
    ring.settings.nodes = NODES;
    ring.settings.accounts = 4;
    ring.settings.seed = seed;
    rng_init(&ring.rng, seed);
    crypto_fake_init(&ring.crypto, &ring.rng);
    ring.schema = overlay_schema_new();
    make_world(); /* for its identities */
    struct ca_document d = {.sequence = 1};
    ring.first_len = write_document(&d, ring.first).len;
    for (uint32_t i = 0; i < NODES; i++) {
        make_keep(i);
    }
    ring.settings.config = overlay_doc_keep_now(&ring.keeps[0])->config;
    ring.settings.document = slice_of(ring.first, ring.first_len);
    make_world();
    for (uint32_t i = 0; i < NODES; i++) {
        world_start(ring.world, i);
        run_for(500000);
    }
    for (uint32_t s = 0; s < 60 && !all_are_ready(); s++) {
        run_for(1000000);
    }
    cr_assert(all_are_ready(), "no ring");
    run_for(20000000); /* nothing happens by itself */
    cr_assert_eq(count_with(1), NODES);
}

/* By the operator's hand. */
static void give(uint32_t i, struct slice xml)
{
    char why[OVERLAY_DOC_WHY_CAP];
    struct overlay_doc_keep *k = &ring.keeps[i];
    enum err e = overlay_doc_keep_judge(k, xml, OVERLAY_DOC_KEEP_HAND, wall_ms(), why);
    cr_assert_eq(e, ERR_OK, "%s: %s", err_name(e), why);
    struct turn *t = world_begin_turn(ring.world, i);
    node_set_config(t, world_node(ring.world, i), &k->change);
    world_end_turn(ring.world, i);
}

/* Stores or fetches as node i; the answer's error, and how many values. */
static enum err ask(uint32_t i, uint32_t kind, bool is_store, size_t *values)
{
    const struct ident *who = world_account(ring.world, 1);
    struct node *n = world_node(ring.world, i);
    struct turn *t = world_begin_turn(ring.world, i);
    struct overlay_store what = {.kind = kind,
                                 .signer = who,
                                 .exists = true,
                                 .value = SLICE_LITERAL("a value"),
                                 .lifetime_s = 3600};
    overlay_resource_of(t, slice_of(who->user, who->user_len), &what.resource);
    enum err e =
        is_store ? answer_store(t, n, &what, 7) : answer_fetch(t, n, &what.resource, kind, 7);
    world_end_turn(ring.world, i);
    for (uint32_t s = 0; e == ERR_OK && s < 20; s++) {
        run_for(1000000);
        const struct answer *a = answer_next(n);
        if (a != NULL) {
            *values = a->value_count;
            return a->error;
        }
    }
    return e == ERR_OK ? ERR_TIMEOUT : e;
}

static uint32_t count_stored(uint32_t kind)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < NODES; i++) {
        struct overlay_stored s;
        uint32_t at = 0;
        while (overlay_walk_stored(node_overlay(world_node(ring.world, i)), &at, &s)) {
            count += s.kind == kind ? 1 : 0;
        }
    }
    return count;
}

static uint64_t metric(enum metric which)
{
    return metric_read(world_metrics(ring.world), which);
}

Test(documents, one_at_one_node_reaches_all, .timeout = 120)
{
    static uint8_t text[CA_DOCUMENT_CAP];
    const struct overlay_kind kind = {.id = PRIVATE_KIND,
                                      .data_model = OVERLAY_SINGLE,
                                      .access = OVERLAY_USER_MATCH,
                                      .max_count = 1,
                                      .max_size_bytes = 1000};
    size_t values = 0;
    begin_ring(11);
    cr_expect_eq(ask(2, PRIVATE_KIND, true, &values), ERR_UNSUPPORTED, "nobody knows it");
    struct ca_document d = {.sequence = 2,
                            .kinds = &kind,
                            .kind_count = 1,
                            .initial_ttl = 50,
                            .update_interval_s = 300};
    give(3, write_document(&d, text));
    uint64_t from_us = world_now_us(ring.world);
    while (count_with(2) < NODES && world_now_us(ring.world) < from_us + 60000000) {
        run_for(STEP_US);
    }
    cr_expect_eq(count_with(2), NODES, "%u of them have it", count_with(2));
    cr_log_info("document 2 everywhere after %lu ms, %lu ConfigUpdates",
                (unsigned long)((world_now_us(ring.world) - from_us) / 1000),
                (unsigned long)metric(METRIC_config_updates_sent));
    cr_expect_eq(ring.taken, NODES - 1, "each once");
    cr_expect_leq(metric(METRIC_config_updates_sent), NODES * (NODES - 1));
    run_for(120000000);
    uint64_t sent = metric(METRIC_config_updates_sent);
    run_for(120000000);
    cr_expect_eq(metric(METRIC_config_updates_sent), sent, "it goes on being sent");
    cr_expect(all_are_ready(), "the ring has suffered");

    cr_expect_eq(ask(2, PRIVATE_KIND, true, &values), ERR_OK, "the added Kind");
    cr_expect_eq(ask(9, PRIVATE_KIND, false, &values), ERR_OK);
    cr_expect_eq(values, 1);
    run_for(5000000);
    cr_expect_geq(count_stored(PRIVATE_KIND), 3);

    d = (struct ca_document){.sequence = 3};
    give(12, write_document(&d, text));
    run_for(30000000);
    cr_expect_eq(count_with(3), NODES);
    cr_expect_eq(count_stored(PRIVATE_KIND), 0, "values of a Kind that is gone (CF-3)");
    cr_expect_geq(metric(METRIC_config_values_dropped), 3);
    cr_expect_eq(ask(2, PRIVATE_KIND, false, &values), ERR_UNSUPPORTED);
    end_ring();
}

/* Who comes back with the old one is refused, told, and joins (CU-2); so does who brings a newer
 * one than the ring has, which takes it from him. */
Test(documents, who_joins_with_another_document, .timeout = 120)
{
    static uint8_t text[CA_DOCUMENT_CAP];
    for (uint64_t seed = 20; seed < 24; seed++) {
        begin_ring(seed);
        struct ca_document d = {.sequence = 2};
        give(3, write_document(&d, text));
        run_for(10000000);
        cr_assert_eq(count_with(2), NODES);
        uint32_t back = 4 + (uint32_t)seed % 8;
        world_kill(ring.world, back);
        run_for(60000000);
        make_keep(back);
        world_start(ring.world, back);
        cr_expect_eq(sequence_of(back), 1);
        run_for(60000000);
        cr_expect_eq(sequence_of(back), 2, "seed %lu", (unsigned long)seed);
        cr_expect(all_are_ready(), "seed %lu: it has not joined", (unsigned long)seed);
        world_kill(ring.world, back);
        run_for(60000000);
        make_keep(back);
        world_start(ring.world, back);
        d.sequence = 3;
        give(back, write_document(&d, text));
        run_for(60000000);
        cr_expect_eq(count_with(3), NODES, "seed %lu: %u", (unsigned long)seed, count_with(3));
        cr_expect(all_are_ready(), "seed %lu: it has not joined", (unsigned long)seed);
        end_ring();
    }
}

/* RFC 6940 11.1, ID-3: who is excluded has no links any more, and the others close the ring. */
Test(documents, an_excluded_node_is_left_alone, .timeout = 120)
{
    static uint8_t text[CA_DOCUMENT_CAP];
    begin_ring(13);
    const struct node_id *bad = &world_ident(ring.world, 7)->node_id;
    for (uint32_t s = 0; s < 2; s++) {
        uint32_t links = 0;
        for (uint32_t i = 0; i < NODES; i++) {
            links += link_find(node_links(world_node(ring.world, i)), bad) != 0 ? 1 : 0;
        }
        cr_expect_eq(links > 0, s == 0, "%u links with it", links);
        if (s == 0) {
            struct ca_document d = {.sequence = 2, .bad_nodes = bad, .bad_node_count = 1};
            give(3, write_document(&d, text));
            run_for(60000000);
        }
    }
    cr_expect_geq(count_with(2), NODES - 1, "all but it perhaps");
    for (uint32_t i = 0; i < NODES; i++) {
        struct overlay_status status;
        overlay_status(node_overlay(world_node(ring.world, i)), &status);
        cr_expect(i == 7 || status.is_ready, "node %u", i);
        for (uint32_t k = 0; i != 7 && k < status.successor_count; k++) {
            cr_expect(!ids_node_is_equal(&status.successors[k], bad), "node %u", i);
        }
    }
    end_ring();
}

/* Node 5 is a member, and says to all it knows that this is the newest. */
static void hand_out(struct slice document)
{
    struct overlay_change c = ring.keeps[5].change;
    c.config = overlay_doc_keep_now(&ring.keeps[5])->config;
    c.config.sequence = 9;
    c.trust = overlay_doc_trust(overlay_doc_keep_now(&ring.keeps[5]));
    c.is_trust_other = false;
    c.document = document;
    c.bootstrap_count = 0;
    c.dropped_count = 0;
    memset(&c.from, 0, sizeof(c.from));
    struct turn *t = world_begin_turn(ring.world, 5);
    node_set_config(t, world_node(ring.world, 5), &c);
    world_end_turn(ring.world, 5);
}

Test(documents, what_may_not_be_taken_reaches_nobody, .timeout = 120)
{
    static uint8_t text[CA_DOCUMENT_CAP];
    struct slice bad[6];
    begin_ring(12);
    struct ca_document d = {.sequence = 2};
    give(3, write_document(&d, text));
    run_for(30000000);
    cr_assert_eq(count_with(2), NODES);

    const struct ident *other = world_account(ring.world, 2);
    const struct ca_document documents[ARRAY_COUNT(bad)] = {
        {.sequence = 1},                                                   /* older */
        {.sequence = 9, .overlay = "other.example"},                       /* another overlay's */
        {.sequence = 9, .expiration_ms = ring.settings.start_wall_ms - 1}, /* over */
        {.sequence = 9, .signer_key = other->key, .signer_certificate = other->certificate},
        {.sequence = 9}, /* changed behind the signature */
        {.sequence = 9}, /* not signed at all */
    };
    static uint8_t texts[ARRAY_COUNT(bad)][CA_DOCUMENT_CAP];
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        bad[i] = write_document(&documents[i], texts[i]);
    }
    char *ttl = memmem(texts[4], bad[4].len, "<initial-ttl>100", 16);
    cr_assert_not_null(ttl);
    ttl[15] = '1';
    char *signature = memmem(texts[5], bad[5].len, "<signature>", 11);
    cr_assert_not_null(signature);
    const char end[] = "</overlay>\n";
    memcpy(signature, end, sizeof(end) - 1);
    bad[5].len = (size_t)((uint8_t *)signature - texts[5]) + sizeof(end) - 1;
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        uint32_t before = ring.refused;
        hand_out(bad[i]);
        run_for(40000000);
        cr_expect_eq(count_with(2), NODES - 1, "document %zu was taken", i);
        cr_expect_eq(ring.taken, NODES - 1, "document %zu", i);
        cr_expect_gt(ring.refused, before, "document %zu never came", i);
    }
    cr_log_info("%u judged and refused, %lu not judged, %lu ConfigUpdates", ring.refused,
                (unsigned long)metric(METRIC_config_updates_paced),
                (unsigned long)metric(METRIC_config_updates_sent));
    end_ring();
}
