/* SPDX-License-Identifier: Apache-2.0 */
/* The four policies of RFC 6940 7.3 and the Kinds that have them (catalogue T13, AC-1..AC-7). */
#include "tests/unit/dht/storage_world.h"

struct row {
    const char *what;
    enum overlay_access access;
    enum overlay_data_model model;
    struct slice name; /* the Resource-ID is its hash */
    struct slice key;
    enum err expected;
};

static struct slice with_byte(uint8_t *out, const struct node_id *id, uint8_t byte)
{
    memcpy(out, id->bytes, 16);
    out[16] = byte;
    return slice_of(out, 17);
}

Test(access, policies_of_section_7_3)
{
    struct world *w = world_make(1);
    struct person *alice = person_make(w, "alice@example.org", 1);
    struct person *bob = person_make(w, "bob@example.org", 2);
    struct slice node = slice_of(alice->ident.node_id.bytes, 16);
    struct slice other = slice_of(bob->ident.node_id.bytes, 16);
    struct slice user = person_user(alice);
    uint8_t m0[17], m1[17], m20[17], m21[17];
    const struct row rows[] = {
        {"user", OVERLAY_USER_MATCH, OVERLAY_SINGLE, user, SLICE_EMPTY, ERR_OK},
        {"somebody else's", OVERLAY_USER_MATCH, OVERLAY_SINGLE, person_user(bob), SLICE_EMPTY,
         ERR_FORBIDDEN},
        {"letter case counts", OVERLAY_USER_MATCH, OVERLAY_SINGLE,
         SLICE_LITERAL("Alice@example.org"), SLICE_EMPTY, ERR_FORBIDDEN},
        {"no scheme", OVERLAY_USER_MATCH, OVERLAY_SINGLE, SLICE_LITERAL("sip:alice@example.org"),
         SLICE_EMPTY, ERR_FORBIDDEN},
        {"node", OVERLAY_NODE_MATCH, OVERLAY_ARRAY, node, SLICE_EMPTY, ERR_OK},
        {"other node", OVERLAY_NODE_MATCH, OVERLAY_ARRAY, other, SLICE_EMPTY, ERR_FORBIDDEN},
        {"node at user's", OVERLAY_NODE_MATCH, OVERLAY_ARRAY, user, SLICE_EMPTY, ERR_FORBIDDEN},
        {"both", OVERLAY_USER_NODE_MATCH, OVERLAY_DICTIONARY, user, node, ERR_OK},
        {"key of another", OVERLAY_USER_NODE_MATCH, OVERLAY_DICTIONARY, user, other, ERR_FORBIDDEN},
        {"short key", OVERLAY_USER_NODE_MATCH, OVERLAY_DICTIONARY, user, slice_sub(node, 0, 15),
         ERR_FORBIDDEN},
        {"not a dictionary", OVERLAY_USER_NODE_MATCH, OVERLAY_ARRAY, user, node, ERR_FORBIDDEN},
        {"wrong user", OVERLAY_USER_NODE_MATCH, OVERLAY_DICTIONARY, person_user(bob), node,
         ERR_FORBIDDEN},
        {"multiple 0", OVERLAY_NODE_MULTIPLE, OVERLAY_SINGLE,
         with_byte(m0, &alice->ident.node_id, 0), SLICE_EMPTY, ERR_OK},
        {"multiple 1", OVERLAY_NODE_MULTIPLE, OVERLAY_SINGLE,
         with_byte(m1, &alice->ident.node_id, 1), SLICE_EMPTY, ERR_OK},
        {"multiple 20", OVERLAY_NODE_MULTIPLE, OVERLAY_SINGLE,
         with_byte(m20, &alice->ident.node_id, 20), SLICE_EMPTY, ERR_OK},
        {"multiple 21", OVERLAY_NODE_MULTIPLE, OVERLAY_SINGLE,
         with_byte(m21, &alice->ident.node_id, 21), SLICE_EMPTY, ERR_FORBIDDEN},
        {"multiple, plain Node-ID", OVERLAY_NODE_MULTIPLE, OVERLAY_SINGLE, node, SLICE_EMPTY,
         ERR_FORBIDDEN},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct overlay_kind kind = {
            .data_model = rows[i].model, .access = rows[i].access, .max_node_multiple = 20};
        struct access_signer signer = {user, node};
        struct overlay_resource at = resource_of(w, rows[i].name);
        cr_expect_eq(access_check(&w->turn, &kind, resource_slice(&at), &signer, rows[i].key),
                     rows[i].expected, "%s", rows[i].what);
    }
    struct overlay_kind kind = {.access = OVERLAY_USER_MATCH};
    struct access_signer nobody = {SLICE_EMPTY, node};
    struct overlay_resource at = resource_of(w, SLICE_EMPTY);
    cr_expect_eq(access_check(&w->turn, &kind, resource_slice(&at), &nobody, SLICE_EMPTY),
                 ERR_FORBIDDEN, "a certificate without a user name");
    free(alice);
    free(bob);
    world_free(w);
}

Test(access, kinds_of_the_document_and_our_own)
{
    struct overlay_config config = {.kind_count = 2};
    struct overlay_kind kind;
    config.kinds[0] =
        (struct overlay_kind){0x1, OVERLAY_SINGLE, OVERLAY_USER_MATCH, 5, 50, 0, NULL};
    config.kinds[1] = (struct overlay_kind){0x99, OVERLAY_ARRAY, OVERLAY_NODE_MATCH, 2, 9, 0, NULL};
    cr_assert(kind_find(&config, 0x1, &kind));
    cr_expect_eq(kind.data_model, OVERLAY_DICTIONARY, "registered model wins (spec A1.2)");
    cr_expect_eq(kind.access, OVERLAY_USER_NODE_MATCH);
    cr_expect_eq(kind.max_count, 5, "limits are the document's");
    cr_expect_eq(kind.max_size_bytes, 50);
    cr_assert(kind_find(&config, 0x99, &kind));
    cr_expect_eq(kind.max_size_bytes, 9);
    cr_assert(kind_find(&config, 0x10, &kind), "A-50: certificates are always supported");
    cr_expect_eq(kind.access, OVERLAY_USER_MATCH);
    cr_assert(kind_find(&config, 0x3, &kind));
    cr_expect_eq(kind.access, OVERLAY_NODE_MATCH);
    cr_assert(kind_find(&config, 0x2, &kind));
    cr_expect_eq(kind.max_node_multiple, 20);
    cr_expect_not(kind_find(&config, 0x98, &kind));
}
