/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/demo_ring.h"
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

enum { NODES_CAP = DEMO_PEER_CAP * OVERLAY_SHARDS_CAP };

enum err demo_ring_enroll(struct demo_ring *r, char *why)
{
    enum err e = demo_peer_ports(r->peers, r->peer_count, r->options.shards, why);
    if (e != ERR_OK) {
        return e;
    }
    r->options.bootstrap = r->peers[0].overlay;
    return demo_place_enroll(&r->place, r->peer_count, r->options.shards, r->options.links,
                             &r->options.bootstrap, why);
}

enum err demo_ring_start(struct demo_ring *r, uint32_t count, char *why)
{
    enum err e = ERR_OK;
    while (e == ERR_OK && r->started < count) {
        e = demo_peer_start(&r->peers[r->started], &r->place, &r->options, why);
        r->started += e == ERR_OK ? 1 : 0;
    }
    return e;
}

uint32_t demo_ring_refresh(struct demo_ring *r)
{
    uint32_t answered = 0;
    for (uint32_t i = 0; i < r->peer_count; i++) {
        if (r->peers[i].pid != 0 && demo_peer_refresh(&r->peers[i], &r->place)) {
            answered++;
        }
    }
    return answered;
}

uint32_t demo_ring_running(const struct demo_ring *r)
{
    uint32_t running = 0;
    for (uint32_t i = 0; i < r->peer_count; i++) {
        running += r->peers[i].pid != 0 ? 1 : 0;
    }
    return running;
}

bool demo_ring_is_ready(const struct demo_ring *r)
{
    for (uint32_t i = 0; i < r->peer_count; i++) {
        if (r->peers[i].pid != 0 && !demo_peer_is_ready(&r->peers[i])) {
            return false;
        }
    }
    return true;
}

static int by_id(const void *a, const void *b)
{
    const struct demo_peer_node *const *x = a;
    const struct demo_peer_node *const *y = b;
    return strcmp((*x)->id, (*y)->id);
}

bool demo_ring_is_ok(const struct demo_ring *r)
{
    static const struct demo_peer_node *nodes[NODES_CAP]; /* too large for the stack; one thread */
    size_t count = 0;
    for (uint32_t i = 0; i < r->peer_count; i++) {
        for (uint32_t n = 0; r->peers[i].pid != 0 && n < r->peers[i].shards; n++) {
            nodes[count++] = &r->peers[i].nodes[n];
        }
    }
    qsort(nodes, count, sizeof(nodes[0]), by_id);
    for (size_t i = 0; i < count && count > 1; i++) {
        if (strcmp(nodes[i]->successor, nodes[(i + 1) % count]->id) != 0) {
            return false;
        }
    }
    return count > 0;
}

static uint32_t peer_of_node(const struct demo_ring *r, const char *node_id)
{
    for (uint32_t i = 0; i < r->peer_count; i++) {
        for (uint32_t n = 0; n < r->peers[i].shards; n++) {
            if (strcmp(r->peers[i].nodes[n].id, node_id) == 0) {
                return i;
            }
        }
    }
    return r->peer_count;
}

/* One operation under a name; borrowed from *answer, which is to be given to json_decref. */
static const json_t *ask_name(struct demo_ring *r, uint32_t at, const char *verb, const char *user,
                              json_t **answer)
{
    *answer =
        demo_peer_ask(&r->peers[at], &r->place, json_pack("{s:s, s:s}", "cmd", verb, "name", user));
    const json_t *row = json_array_get(json_object_get(*answer, "rows"), 0);
    return json_is_true(json_object_get(row, "ok")) ? row : NULL;
}

uint32_t demo_ring_owner(struct demo_ring *r, uint32_t at, const char *user)
{
    json_t *answer = NULL;
    const json_t *row = ask_name(r, at, "ping", user, &answer);
    const char *node_id = json_string_value(json_object_get(row, "node_id"));
    uint32_t peer = node_id == NULL ? r->peer_count : peer_of_node(r, node_id);
    json_decref(answer);
    return peer;
}

/* Does this peer hold the record, and as its owner? */
static bool holds(struct demo_ring *r, uint32_t peer, const char *resource, bool *is_owner)
{
    bool is_held = false;
    json_t *answer = demo_peer_ask(&r->peers[peer], &r->place, json_pack("{s:s}", "cmd", "stored"));
    size_t i = 0;
    const json_t *row = NULL;
    *is_owner = false;
    json_array_foreach(json_object_get(answer, "rows"), i, row)
    {
        const char *text = json_string_value(json_object_get(row, "resource"));
        if (text != NULL && strcmp(text, resource) == 0 &&
            json_integer_value(json_object_get(row, "kind")) == OVERLAY_KIND_SIP_REGISTRATION &&
            json_is_true(json_object_get(row, "exists"))) {
            is_held = true;
            *is_owner = *is_owner || json_is_true(json_object_get(row, "owned"));
        }
    }
    json_decref(answer);
    return is_held;
}

void demo_ring_locate(struct demo_ring *r, uint32_t at, const char *user,
                      struct demo_ring_record *out)
{
    json_t *answer = NULL;
    const json_t *row = ask_name(r, at, "ping", user, &answer);
    const char *resource = json_string_value(json_object_get(row, "resource"));
    *out = (struct demo_ring_record){0};
    snprintf(out->resource, sizeof(out->resource), "%s", resource == NULL ? "" : resource);
    json_decref(answer);
    for (uint32_t i = 0; i < r->peer_count && out->count < DEMO_RING_COPIES_CAP; i++) {
        bool is_owner = false;
        if (out->resource[0] == '\0' || r->peers[i].pid == 0 ||
            !holds(r, i, out->resource, &is_owner)) {
            continue;
        }
        out->peers[out->count++] = i;
        if (is_owner && !out->has_owner) {
            out->peers[out->count - 1] = out->peers[0];
            out->peers[0] = i;
            out->has_owner = true;
        }
    }
}

bool demo_ring_is_readable(struct demo_ring *r, const char *user)
{
    bool is_readable = true;
    for (uint32_t i = 0; is_readable && i < r->peer_count; i++) {
        if (r->peers[i].pid == 0) {
            continue;
        }
        json_t *answer = NULL;
        const json_t *row = ask_name(r, i, "fetch", user, &answer);
        is_readable = json_array_size(json_object_get(row, "values")) > 0;
        json_decref(answer);
    }
    return is_readable;
}

struct sip_setup demo_ring_last_setup(const struct demo_ring *r, uint32_t peer)
{
    struct sip_setup last = {0};
    for (uint32_t n = 0; n < r->peers[peer].shards; n++) {
        const struct sip_setup *s = &r->peers[peer].nodes[n].last_setup;
        if (s->at_us > last.at_us) {
            last = *s;
        }
    }
    return last;
}

bool demo_ring_has_lost_peer(struct demo_ring *r)
{
    for (uint32_t i = 0; i < r->peer_count; i++) {
        int status = 0;
        if (!demo_peer_has_died(&r->peers[i], &status)) {
            continue;
        }
        demo_peer_say_log(&r->peers[i], &r->place);
        if (WIFSIGNALED(status)) {
            say_error("%s died of signal %d: its log: see above", r->peers[i].name,
                      WTERMSIG(status));
        } else {
            say_error("%s ended with status %d: its log: see above", r->peers[i].name,
                      WEXITSTATUS(status));
        }
        return true;
    }
    return false;
}
