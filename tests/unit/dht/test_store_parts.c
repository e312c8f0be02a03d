/* SPDX-License-Identifier: Apache-2.0 */
/* A user with more certificates than one message holds (found by reading after `sim-vs-real`: of 50
 * peers, each with a credential of the same ten users, four were never published, and who called
 * such a user got 504 instead of 480).  RFC 6940 7.4.2, 8; FT-10, US-1. */
#include "dht/overlay_impl.h"
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
