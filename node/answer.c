/* SPDX-License-Identifier: Apache-2.0 */
/* Operations that people ask a running node for.  Values of an overlay event are borrowed for one
 * call only, so an answer copies what fits of them. */
#include "node/node_impl.h"

STATIC_CHECK(ANSWER_CAP <= 32);

static bool open_slot(struct node *n, uint32_t tag, uint64_t *overlay_tag)
{
    for (uint32_t i = 0; i < ANSWER_CAP; i++) {
        if (((n->answers_open | n->answers_due) >> i & 1) == 0) {
            struct answer *a = &n->answers[i];
            memset(a, 0, offsetof(struct answer, bytes));
            a->bytes_used = 0;
            a->tag = tag;
            n->answers_open |= 1u << i;
            *overlay_tag = handle_make(HANDLE_NODE, 1, i);
            return true;
        }
    }
    return false;
}

/* The request was refused at once: there will be no event. */
static enum err settle(struct node *n, uint64_t overlay_tag, enum err e)
{
    if (e != ERR_OK) {
        n->answers_open &= ~(1u << handle_index(overlay_tag));
    }
    return e;
}

enum err answer_fetch(struct turn *t, struct node *n, const struct overlay_resource *resource,
                      uint32_t kind, uint32_t tag)
{
    uint64_t overlay_tag = 0;
    if (!open_slot(n, tag, &overlay_tag)) {
        return ERR_LIMIT;
    }
    return settle(n, overlay_tag, overlay_fetch(t, n->overlay, resource, kind, overlay_tag));
}

enum err answer_store(struct turn *t, struct node *n, const struct overlay_store *what,
                      uint32_t tag)
{
    uint64_t overlay_tag = 0;
    if (!open_slot(n, tag, &overlay_tag)) {
        return ERR_LIMIT;
    }
    return settle(n, overlay_tag, overlay_store(t, n->overlay, what, overlay_tag));
}

enum err answer_ping(struct turn *t, struct node *n, const struct overlay_resource *resource,
                     uint32_t tag)
{
    uint64_t overlay_tag = 0;
    if (!open_slot(n, tag, &overlay_tag)) {
        return ERR_LIMIT;
    }
    return settle(n, overlay_tag, overlay_ping_resource(t, n->overlay, resource, overlay_tag));
}

enum err answer_ping_node(struct turn *t, struct node *n, const struct node_id *node_id,
                          uint32_t tag)
{
    uint64_t overlay_tag = 0;
    if (!open_slot(n, tag, &overlay_tag)) {
        return ERR_LIMIT;
    }
    return settle(n, overlay_tag, overlay_ping_node(t, n->overlay, node_id, overlay_tag));
}

enum err answer_ask(struct turn *t, struct node *n, const struct overlay_ask *what, uint32_t tag)
{
    uint64_t overlay_tag = 0;
    if (!open_slot(n, tag, &overlay_tag)) {
        return ERR_LIMIT;
    }
    return settle(n, overlay_tag, overlay_ask(t, n->overlay, what, overlay_tag));
}

static struct slice keep(struct answer *a, struct slice bytes)
{
    uint8_t *at = a->bytes + a->bytes_used;
    if (bytes.len > 0) {
        memcpy(at, bytes.data, bytes.len);
    }
    a->bytes_used += bytes.len;
    return slice_of(at, bytes.len);
}

static void keep_values(struct answer *a, const struct overlay_event *event)
{
    a->value_total = event->value_count;
    for (size_t i = 0; i < event->value_count && a->value_count < ANSWER_VALUES; i++) {
        const struct overlay_value *from = &event->values[i];
        struct overlay_value *to = &a->values[a->value_count];
        size_t wanted = from->key.len + from->value.len + from->signer_user.len;
        if (wanted > sizeof(a->bytes) - a->bytes_used) {
            continue;
        }
        *to = *from;
        to->key = keep(a, from->key);
        to->value = keep(a, from->value);
        to->signer_user = keep(a, from->signer_user);
        a->value_count++;
    }
}

bool answer_on_overlay(struct node *n, const struct overlay_event *event)
{
    if (handle_kind(event->tag) != HANDLE_NODE || handle_index(event->tag) >= ANSWER_CAP) {
        return false;
    }
    uint32_t index = handle_index(event->tag);
    CHECK((n->answers_open >> index & 1) != 0);
    struct answer *a = &n->answers[index];
    a->kind = event->kind;
    a->error = event->error;
    a->reload_error = event->reload_error;
    a->hops = event->hops;
    a->elapsed_us = event->elapsed_us;
    a->node_id = event->node_id;
    if (event->kind == OVERLAY_FETCHED && event->error == ERR_OK) {
        keep_values(a, event);
    }
    if (event->kind == OVERLAY_ASKED && event->error == ERR_OK) {
        bool fits = event->document.len <= sizeof(a->bytes);
        a->error = fits ? ERR_OK : ERR_TOO_LARGE;
        a->body = keep(a, fits ? event->document : SLICE_EMPTY);
    }
    n->answers_open &= ~(1u << index);
    n->answers_due |= 1u << index;
    return true;
}

bool answer_is_due(const struct node *n)
{
    return n->answers_due != 0;
}

const struct answer *answer_next(struct node *n)
{
    if (n->answers_due == 0) {
        return NULL;
    }
    uint32_t index = (uint32_t)__builtin_ctz(n->answers_due);
    n->answers_due &= n->answers_due - 1;
    return &n->answers[index];
}
