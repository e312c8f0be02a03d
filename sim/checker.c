/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/checker.h"
#include "sim/world_phones.h"

struct checker_node {
    struct node_id id;
    uint32_t index;
};

struct checker_copy {
    uint8_t resource[OVERLAY_RESOURCE_BYTES];
    uint8_t key[IDS_NODE_MAX];
    uint32_t host;
    bool is_owned;
};

size_t checker_bytes(uint32_t nodes, uint32_t copies)
{
    return nodes * sizeof(struct checker_node) + copies * sizeof(struct checker_copy) + 128;
}

void checker_init(struct checker *c, struct arena *arena, uint32_t nodes, uint32_t copies)
{
    *c = (struct checker){.ring = ARENA_ARRAY(arena, struct checker_node, nodes),
                          .copies = ARENA_ARRAY(arena, struct checker_copy, copies),
                          .node_cap = nodes,
                          .copy_cap = copies};
}

/* Heapsort in place: qsort takes memory of its own for large arrays, and stability is not needed.
 */
typedef int (*compare)(const void *a, const void *b);

static void swap(uint8_t *a, uint8_t *b, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        uint8_t byte = a[i];
        a[i] = b[i];
        b[i] = byte;
    }
}

static void sift(uint8_t *base, size_t at, size_t count, size_t size, compare order)
{
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= count) {
            return;
        }
        if (child + 1 < count && order(base + child * size, base + (child + 1) * size) < 0) {
            child++;
        }
        if (order(base + at * size, base + child * size) >= 0) {
            return;
        }
        swap(base + at * size, base + child * size, size);
        at = child;
    }
}

static void sort(void *array, size_t count, size_t size, compare order)
{
    uint8_t *base = array;
    for (size_t at = count / 2; at-- > 0;) {
        sift(base, at, count, size, order);
    }
    for (size_t left = count; left-- > 1;) {
        swap(base, base + left * size, size);
        sift(base, 0, left, size, order);
    }
}

static int by_id(const void *a, const void *b)
{
    const struct checker_node *x = a;
    const struct checker_node *y = b;
    return memcmp(x->id.bytes, y->id.bytes, sizeof(x->id.bytes));
}

static uint32_t collect_ring(struct checker *c, struct world *w)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < world_settings_of(w)->nodes; i++) {
        if (world_is_alive(w, i)) {
            CHECK(count < c->node_cap);
            c->ring[count++] = (struct checker_node){world_ident(w, i)->node_id, i};
        }
    }
    sort(c->ring, count, sizeof(c->ring[0]), by_id);
    return count;
}

static bool is_right_neighbor(const struct node_id *has, size_t has_count,
                              const struct checker_node *want, uint32_t nodes)
{
    return nodes == 1 ? has_count == 0 : has_count > 0 && ids_node_is_equal(&has[0], &want->id);
}

struct checker_ring checker_ring(struct checker *c, struct world *w)
{
    struct checker_ring out = {.nodes = collect_ring(c, w)};
    struct overlay_status status;
    for (uint32_t i = 0; i < out.nodes; i++) {
        const struct checker_node *next = &c->ring[(i + 1) % out.nodes];
        const struct checker_node *previous = &c->ring[(i + out.nodes - 1) % out.nodes];
        overlay_status(node_overlay(world_node(w, c->ring[i].index)), &status);
        out.ready += status.is_ready ? 1 : 0;
        bool good =
            is_right_neighbor(status.successors, status.successor_count, next, out.nodes) &&
            is_right_neighbor(status.predecessors, status.predecessor_count, previous, out.nodes);
        out.broken += good ? 0 : 1;
        size_t wanted = min_size(3, out.nodes - 1);
        bool thin = status.successor_count < wanted || status.predecessor_count < wanted;
        out.thin += thin ? 1 : 0;
    }
    return out;
}

static int by_record(const void *a, const void *b)
{
    const struct checker_copy *x = a;
    const struct checker_copy *y = b;
    int order = memcmp(x->resource, y->resource, sizeof(x->resource));
    return order != 0 ? order : memcmp(x->key, y->key, sizeof(x->key));
}

static uint32_t collect_copies(struct checker *c, struct world *w, uint32_t kind)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < world_settings_of(w)->nodes; i++) {
        struct overlay_stored s;
        uint32_t at = 0;
        while (world_is_alive(w, i) &&
               overlay_walk_stored(node_overlay(world_node(w, i)), &at, &s)) {
            if (s.kind != kind || !s.exists || world_phones_is_key(s.key)) {
                continue;
            }
            CHECK(count < c->copy_cap);
            struct checker_copy *copy = &c->copies[count++];
            memset(copy, 0, sizeof(*copy));
            memcpy(copy->resource, s.resource.bytes, sizeof(copy->resource));
            memcpy(copy->key, s.key.data, min_size(s.key.len, sizeof(copy->key)));
            copy->host = i / world_settings_of(w)->shards;
            copy->is_owned = s.is_owned;
        }
    }
    sort(c->copies, count, sizeof(c->copies[0]), by_record);
    return count;
}

/* The copies first .. last - 1 are of one record. */
static void judge(const struct checker *c, uint32_t first, uint32_t last, uint32_t wanted,
                  uint32_t wanted_hosts, struct checker_copies *out)
{
    uint32_t copies = last - first;
    uint32_t hosts = 0;
    bool owned = false;
    for (uint32_t i = first; i < last; i++) {
        bool seen = false;
        for (uint32_t k = first; k < i; k++) {
            seen = seen || c->copies[k].host == c->copies[i].host;
        }
        hosts += seen ? 0 : 1;
        owned = owned || c->copies[i].is_owned;
    }
    out->records++;
    out->total += copies;
    out->under += copies < wanted ? 1 : 0;
    out->min = out->records == 1 || copies < out->min ? copies : out->min;
    out->max = copies > out->max ? copies : out->max;
    out->unowned += owned ? 0 : 1;
    out->one_host += hosts < wanted_hosts ? 1 : 0;
}

static uint32_t hosts_alive(struct world *w)
{
    uint32_t hosts = 0;
    uint32_t last = UINT32_MAX;
    for (uint32_t i = 0; i < world_settings_of(w)->nodes; i++) {
        uint32_t host = i / world_settings_of(w)->shards;
        if (world_is_alive(w, i) && host != last) {
            hosts++;
            last = host;
        }
    }
    return hosts;
}

struct checker_copies checker_copies(struct checker *c, struct world *w, uint32_t kind,
                                     uint32_t wanted)
{
    struct checker_copies out = {0};
    uint32_t count = collect_copies(c, w, kind);
    uint32_t alive = world_alive_count(w);
    uint32_t hosts =
        (uint32_t)min_size(hosts_alive(w), world_settings_of(w)->config.replica_min_hosts);
    for (uint32_t first = 0; first < count;) {
        uint32_t last = first + 1;
        while (last < count && by_record(&c->copies[first], &c->copies[last]) == 0) {
            last++;
        }
        judge(c, first, last, wanted < alive ? wanted : alive, hosts, &out);
        first = last;
    }
    return out;
}
