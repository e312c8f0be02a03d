/* SPDX-License-Identifier: Apache-2.0 */
/* A user with more certificates than one message holds (found by reading after `sim-vs-real`: of 50
 * peers, each with a credential of the same ten users, four were never published, and who called
 * such a user got 504 instead of 480).  RFC 6940 7.4.2, 8; FT-10, US-1. */
#include "dht/overlay_impl.h"
#include "dht/store_parts.h"
#include "tests/unit/dht/harness.h"

enum { PEERS = 24, MESSAGE_BYTES = 3000 };

static struct harness *start(void)
{
    struct harness *h = harness_make(PEERS, 5);
    for (uint32_t i = 0; i < PEERS; i++) {
        struct harness_peer *p = &h->peers[i];
        struct overlay_config *config = &p->settings.config;
        free(p->person);
        p->person = person_make(h->w, "farm", 1000 + i);
        p->publish = &p->person->ident;
        p->settings.self = &p->person->ident;
        config->max_message_bytes = MESSAGE_BYTES;
        config->kinds[config->kind_count++] = (struct overlay_kind){
            OVERLAY_KIND_CERTIFICATE_BY_USER, OVERLAY_ARRAY, OVERLAY_USER_MATCH, 64, 2048, 0, NULL};
        config->kinds[config->kind_count++] = (struct overlay_kind){
            OVERLAY_KIND_CERTIFICATE_BY_NODE, OVERLAY_ARRAY, OVERLAY_NODE_MATCH, 8, 2048, 0, NULL};
    }
    for (uint32_t i = 0; i < PEERS; i++) {
        for (uint32_t k = 0; k < PEERS; k++) {
            h->peers[i].settings.siblings[k] = h->peers[k].person->ident.node_id;
        }
    }
    return h;
}

Test(store_parts, a_user_with_many_certificates, .timeout = 60)
{
    struct harness *h = start();
    struct overlay_resource farm;
    for (uint32_t i = 0; i < PEERS; i++) {
        harness_start(h, i);
        harness_run(h, 3000);
    }
    harness_run(h, 60000);
    overlay_resource_of(harness_turn(h, 0), SLICE_LITERAL("farm"), &farm);
    for (uint32_t i = 0; i < PEERS; i++) {
        struct harness_peer *p = &h->peers[i];
        cr_expect_eq(cert_usage_published(p->overlay->cert_usage), 2, "peer %u", i);
    }
    for (uint32_t i = 0; i < PEERS; i += 5) {
        struct harness_peer *p = &h->peers[i];
        cr_assert_eq(overlay_fetch(harness_turn(h, i), p->overlay, &farm,
                                   OVERLAY_KIND_CERTIFICATE_BY_USER, 4),
                     ERR_OK);
        harness_run(h, 5000);
        cr_expect_eq(p->last.error, ERR_OK, "peer %u", i);
        cr_expect_eq(p->last.value_count, PEERS, "peer %u: %zu", i, p->last.value_count);
    }
    harness_end(h);
    harness_free(h);
}

/* An owner that names a key longer than keys are, among twenty: it is passed over, the result says
 * so, and all others are still asked for. */
Test(store_parts, a_key_passed_over_ends_nothing)
{
    enum { KEYS = 20, ARENA = 1 << 18 };
    static _Alignas(64) uint8_t memory[ARENA];
    static uint8_t long_key[STORE_KEY_CAP + 1], stat[4096], body[1024];
    struct msgbuf_pool buffers;
    struct arena arena;
    arena_init(&arena, memory, sizeof(memory));
    msgbuf_pool_init(&buffers, &arena, 0, 2);
    struct turn t = {.buffers = &buffers};
    struct store_parts p = {0};
    struct wr w = wr_init(stat, sizeof(stat));
    for (uint32_t i = 0; i <= KEYS; i++) {
        struct slice key = i == 3 ? slice_of(long_key, sizeof(long_key)) : slice_of(&i, sizeof(i));
        const struct stored_meta meta = {.model = STORED_DICTIONARY, .key = key, .exists = true};
        stored_wr_meta(&w, &meta);
    }
    cr_assert(store_parts_smaller(&p, STORED_DICTIONARY));
    cr_assert(store_parts_extent(&t, &p, rd_init(wr_slice(&w)), STORED_DICTIONARY));
    uint32_t asked = 0;
    bool goes_on = true;
    for (uint32_t i = 0; goes_on; i++) {
        cr_assert_lt(i, KEYS);
        w = wr_init(body, sizeof(body));
        store_parts_wr(&p, &w, 1, STORED_DICTIONARY);
        cr_assert(wr_ok(&w));
        asked += p.count;
        goes_on = store_parts_next(&p, STORED_DICTIONARY);
    }
    cr_expect_eq(asked, KEYS);
    cr_expect(p.is_cut);
    store_parts_end(&t, &p);
    cr_expect_eq(buffers.in_use[1], 0);
}
