/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/vector/run_chord.h"
#include "dht/chord_table.h"
#include "dht/overlay.h"
#include "link/crypto_boring.h"

#include <stdlib.h>

enum { ARENA_BYTES = 1 << 17, NODES_CAP = 512 };

static uint8_t block[ARENA_BYTES];

static bool read_ring(const json_t *o, const char *key, struct ring_id *out, char *why, size_t cap)
{
    struct node_id id;
    bool is_good = run_base_node(json_string_value(json_object_get(o, key)), &id);
    *out = ids_ring_of_node(&id);
    return is_good || run_base_fail(why, cap, "%s: no 32 hex digits", key);
}

static bool make_table(struct chord_table *ct, const json_t *vector, char *why, size_t cap)
{
    struct arena arena;
    struct node_id self;
    if (!run_base_node(run_base_text(vector, "node_id"), &self)) {
        return run_base_fail(why, cap, "node_id: no 32 hex digits");
    }
    arena_init(&arena, block, sizeof(block));
    chord_table_init(ct, &arena, NODES_CAP, &self, 1);
    ct->is_member = true;
    return true;
}

static bool add_peer(struct chord_table *ct, const json_t *hex, char *why, size_t cap)
{
    struct chord_table_node n = {.link = 1, .state = CHORD_TABLE_PEER};
    if (!run_base_node(json_string_value(hex), &n.id)) {
        return run_base_fail(why, cap, "a peer: no 32 hex digits");
    }
    enum err e = chord_table_add(ct, &n);
    return e == ERR_OK || run_base_fail(why, cap, "a peer: %s", err_text(e));
}

static bool run_responsible(const json_t *vector, char *why, size_t cap)
{
    struct chord_table ct;
    const json_t *tests = json_object_get(vector, "tests");
    json_t *test = NULL;
    size_t i = 0;
    if (!make_table(&ct, vector, why, cap) ||
        !add_peer(&ct, json_object_get(vector, "predecessor"), why, cap)) {
        return false;
    }
    json_array_foreach(tests, i, test)
    {
        struct ring_id id;
        const json_t *wanted = json_object_get(test, "responsible");
        if (!read_ring(test, "id", &id, why, cap)) {
            return false;
        }
        if (!json_is_boolean(wanted) ||
            chord_table_is_responsible(&ct, id) != json_is_true(wanted)) {
            return run_base_fail(why, cap, "test %zu: responsible is %s", i,
                                 json_is_true(wanted) ? "false" : "true");
        }
    }
    return i > 0 || run_base_fail(why, cap, "no tests");
}

static bool run_next_hop(const json_t *vector, char *why, size_t cap)
{
    struct chord_table ct;
    json_t *entry = NULL;
    size_t i = 0;
    if (!make_table(&ct, vector, why, cap)) {
        return false;
    }
    json_array_foreach(json_object_get(vector, "routing_table"), i, entry)
    {
        if (!add_peer(&ct, entry, why, cap)) {
            return false;
        }
    }
    json_array_foreach(json_object_get(vector, "tests"), i, entry)
    {
        struct ring_id id;
        struct node_id wanted;
        char text[IDS_NODE_TEXT_CAP];
        if (!read_ring(entry, "id", &id, why, cap)) {
            return false;
        }
        const struct chord_table_node *n = chord_table_next_hop(&ct, id, 0);
        if (n == NULL || !run_base_node(run_base_text(entry, "next_hop"), &wanted) ||
            !ids_node_is_equal(&n->id, &wanted)) {
            return run_base_fail(why, cap, "test %zu: the next hop is %s", i,
                                 n == NULL ? "nobody"
                                           : ids_hex(slice_of(n->id.bytes, IDS_RING_BYTES), text));
        }
    }
    return i > 0 || run_base_fail(why, cap, "no tests");
}

static bool run_fingers(const json_t *vector, char *why, size_t cap)
{
    const json_t *targets = json_object_get(vector, "targets");
    const char *number = NULL;
    json_t *target = NULL;
    struct ring_id self;
    if (!read_ring(vector, "node_id", &self, why, cap)) {
        return false;
    }
    json_object_foreach((json_t *)(uintptr_t)targets, number, target)
    {
        struct ring_id first, last;
        struct node_id wanted;
        unsigned long i = strtoul(number, NULL, 10);
        if (i < 1 || i > CHORD_TABLE_FINGERS) {
            return run_base_fail(why, cap, "no finger %s", number);
        }
        chord_table_finger_range(self, (uint32_t)i, &first, &last);
        if (!run_base_node(json_string_value(target), &wanted) ||
            !ids_ring_is_equal(first, ids_ring_of_node(&wanted))) {
            return run_base_fail(why, cap, "finger %lu aims elsewhere", i);
        }
    }
    return json_object_size(targets) > 0 || run_base_fail(why, cap, "no targets");
}

static bool run_join_target(const json_t *vector, char *why, size_t cap)
{
    struct ring_id self, wanted;
    return read_ring(vector, "node_id", &self, why, cap) &&
           read_ring(vector, "resource_id", &wanted, why, cap) &&
           (ids_ring_is_equal(ids_ring_plus(self, (struct ring_id){0, 1}), wanted) ||
            run_base_fail(why, cap, "the target is another"));
}

static bool run_resource_id(const json_t *vector, char *why, size_t cap)
{
    struct turn t = {.crypto = crypto_boring()};
    struct overlay_resource out;
    struct slice name = SLICE_EMPTY, bytes = SLICE_EMPTY;
    struct node_id wanted;
    char text[2 * OVERLAY_RESOURCE_BYTES + 1];
    if (json_object_get(vector, "resource_name") != NULL) {
        name = slice_text(run_base_text(vector, "resource_name"));
    } else if (run_base_bytes(vector, "resource_name_hex", &bytes)) {
        name = bytes;
    } else {
        return run_base_fail(why, cap, "no resource_name");
    }
    overlay_resource_of(&t, name, &out);
    run_base_free(&bytes);
    return (run_base_node(run_base_text(vector, "resource_id"), &wanted) &&
            memcmp(wanted.bytes, out.bytes, sizeof(out.bytes)) == 0) ||
           run_base_fail(why, cap, "the Resource-ID is %s",
                         ids_hex(slice_of(out.bytes, sizeof(out.bytes)), text));
}

static bool run_overlay_hash(const json_t *vector, char *why, size_t cap)
{
    struct turn t = {.crypto = crypto_boring()};
    uint32_t got = overlay_hash_of(&t, slice_text(run_base_text(vector, "overlay_name")));
    char *end = NULL;
    const char *text = run_base_text(vector, "overlay");
    unsigned long wanted = strtoul(text, &end, 16);
    return (*text != '\0' && *end == '\0' && wanted == got) ||
           run_base_fail(why, cap, "the overlay hash is 0x%08x", got);
}

static const struct {
    const char *type;
    run_base_runner run;
} table[] = {
    {"ResourceIdOf", run_resource_id}, {"OverlayHash", run_overlay_hash},
    {"JoinTarget", run_join_target},   {"FingerTargets", run_fingers},
    {"Responsible", run_responsible},  {"NextHop", run_next_hop},
};

bool run_chord_knows(const char *type)
{
    for (size_t i = 0; i < ARRAY_COUNT(table); i++) {
        if (strcmp(table[i].type, type) == 0) {
            return true;
        }
    }
    return false;
}

bool run_chord(const json_t *vector, char *why, size_t cap)
{
    const char *type = run_base_text(vector, "type");
    for (size_t i = 0; i < ARRAY_COUNT(table); i++) {
        if (strcmp(table[i].type, type) == 0) {
            return table[i].run(vector, why, cap);
        }
    }
    return run_base_fail(why, cap, "type %s: unknown", type);
}
