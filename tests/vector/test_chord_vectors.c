/* SPDX-License-Identifier: Apache-2.0 */
/* test_chord_vectors.c - dht/chord_table and the hash of names against the golden vectors of
 * tests/vectors/chord_*.jsonl (RFC 6940 8, 10.1-10.3, 10.5).  Run from the top of the tree. */
#include "dht/chord_table.h"
#include "dht/overlay.h"
#include "link/crypto_boring.h"

#include <criterion/criterion.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

enum { LINE_CAP = 1 << 15, ARENA_BYTES = 1 << 16, NODES_CAP = 64 };

static uint8_t block[ARENA_BYTES];

static struct node_id node_of(const char *hex)
{
    struct node_id id = {{0}};
    size_t len = 0;
    cr_assert_eq(ids_unhex(slice_text(hex), id.bytes, sizeof(id.bytes), &len), ERR_OK);
    cr_assert_eq(len, IDS_RING_BYTES);
    return id;
}

static struct ring_id ring_of(const char *hex)
{
    struct node_id id = node_of(hex);
    return ids_ring_of_node(&id);
}

static const char *text_of(const json_t *o, const char *key)
{
    const char *text = json_string_value(json_object_get(o, key));
    cr_assert_not_null(text, "no %s", key);
    return text;
}

static void make_table(struct chord_table *ct, const json_t *v)
{
    struct arena arena;
    struct node_id self = node_of(text_of(v, "node_id"));
    arena_init(&arena, block, sizeof(block));
    chord_table_init(ct, &arena, NODES_CAP, &self, 1);
    ct->is_member = true;
}

static void add_peer(struct chord_table *ct, const char *hex)
{
    struct chord_table_node n = {.id = node_of(hex), .link = 1, .state = CHORD_TABLE_PEER};
    cr_assert_eq(chord_table_add(ct, &n), ERR_OK);
}

static void check_responsible(const json_t *v, const char *name)
{
    struct chord_table ct;
    const json_t *test;
    size_t i;
    make_table(&ct, v);
    add_peer(&ct, text_of(v, "predecessor"));
    json_array_foreach(json_object_get(v, "tests"), i, test)
    {
        bool wanted = json_is_true(json_object_get(test, "responsible"));
        cr_expect_eq(chord_table_is_responsible(&ct, ring_of(text_of(test, "id"))), wanted,
                     "%s %zu", name, i);
    }
}

static void check_next_hop(const json_t *v, const char *name)
{
    struct chord_table ct;
    const json_t *entry;
    size_t i;
    make_table(&ct, v);
    json_array_foreach(json_object_get(v, "routing_table"), i, entry)
    {
        add_peer(&ct, json_string_value(entry));
    }
    json_array_foreach(json_object_get(v, "tests"), i, entry)
    {
        struct node_id wanted = node_of(text_of(entry, "next_hop"));
        const struct chord_table_node *n =
            chord_table_next_hop(&ct, ring_of(text_of(entry, "id")), 0);
        cr_assert_not_null(n);
        cr_expect(ids_node_is_equal(&n->id, &wanted), "%s %zu", name, i);
    }
}

static void check_fingers(const json_t *v, const char *name)
{
    const char *number;
    json_t *target;
    json_object_foreach(json_object_get(v, "targets"), number, target)
    {
        struct ring_id first;
        struct ring_id last;
        uint32_t i = (uint32_t)strtoul(number, NULL, 10);
        chord_table_finger_range(ring_of(text_of(v, "node_id")), i, &first, &last);
        cr_expect(ids_ring_is_equal(first, ring_of(json_string_value(target))), "%s %u", name, i);
    }
}

static void check_join_target(const json_t *v, const char *name)
{
    struct ring_id next = ids_ring_plus(ring_of(text_of(v, "node_id")), (struct ring_id){0, 1});
    cr_expect(ids_ring_is_equal(next, ring_of(text_of(v, "resource_id"))), "%s", name);
}

static void check_hash(const json_t *v, const char *name)
{
    struct turn t = {.crypto = crypto_boring()};
    struct overlay_resource out;
    struct node_id bytes;
    struct slice resource_name;
    if (json_object_get(v, "resource_name") != NULL) {
        resource_name = slice_text(text_of(v, "resource_name"));
    } else {
        bytes = node_of(text_of(v, "resource_name_hex"));
        resource_name = slice_of(bytes.bytes, IDS_RING_BYTES);
    }
    struct node_id wanted = node_of(text_of(v, "resource_id"));
    overlay_resource_of(&t, resource_name, &out);
    cr_expect_eq(memcmp(out.bytes, wanted.bytes, sizeof(out.bytes)), 0, "%s", name);
}

static void check(const json_t *v)
{
    const char *name = text_of(v, "name");
    const char *type = text_of(v, "type");
    if (strcmp(type, "Responsible") == 0) {
        check_responsible(v, name);
    } else if (strcmp(type, "NextHop") == 0) {
        check_next_hop(v, name);
    } else if (strcmp(type, "FingerTargets") == 0) {
        check_fingers(v, name);
    } else if (strcmp(type, "JoinTarget") == 0) {
        check_join_target(v, name);
    } else if (strcmp(type, "ResourceIdOf") == 0) {
        check_hash(v, name);
    } else {
        cr_assert_str_eq(type, "OverlayHash"); /* checked where the hash is used: dht/overlay */
    }
}

static unsigned each(const char *path)
{
    static char line[LINE_CAP];
    unsigned count = 0;
    FILE *f = fopen(path, "r");
    cr_assert_not_null(f, "%s: run me from the top of the tree", path);
    while (fgets(line, sizeof(line), f) != NULL) {
        json_t *v = json_loads(line, 0, NULL);
        cr_assert_not_null(v, "%s line %u", path, count + 1);
        check(v);
        json_decref(v);
        count++;
    }
    (void)fclose(f);
    return count;
}

Test(chord_vectors, rfc6940_10_ring_arithmetic_and_routing)
{
    cr_expect_eq(each("tests/vectors/chord_id.jsonl"), 24);
    cr_expect_eq(each("tests/vectors/chord_hash.jsonl"), 36);
    cr_expect_eq(each("tests/vectors/chord_route.jsonl"), 24);
}
