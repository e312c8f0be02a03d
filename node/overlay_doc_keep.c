/* SPDX-License-Identifier: Apache-2.0 */
#include "node/overlay_doc_keep.h"
#include <stdio.h>

static size_t arena_bytes(size_t cap)
{
    return cap + OVERLAY_DOC_ARENA_EXTRA;
}

size_t overlay_doc_keep_bytes(size_t cap)
{
    return 2 * (sizeof(struct overlay_doc_keep_place) + cap + arena_bytes(cap)) + 256;
}

/* Reads `xml` into `p`, whose former document is gone then. */
static enum err read_into(const struct overlay_doc_keep *k, struct overlay_doc_keep_place *p,
                          struct slice xml, struct slice name, char *why)
{
    struct arena arena;
    if (xml.len == 0 || xml.len > k->cap) {
        snprintf(why, OVERLAY_DOC_WHY_CAP, "it is empty, or larger than %zu bytes", k->cap);
        return xml.len == 0 ? ERR_CONFIG : ERR_LIMIT;
    }
    memcpy(p->xml, xml.data, xml.len);
    p->len = xml.len;
    memset(p->block, 0, arena_bytes(k->cap));
    arena_init(&arena, p->block, arena_bytes(k->cap));
    return overlay_doc_parse(k->schema, slice_of(p->xml, p->len), name, &arena, &p->doc, why);
}

enum err overlay_doc_keep_init(struct overlay_doc_keep *k, struct arena *arena,
                               const struct overlay_doc_keep_settings *s, char *why)
{
    const char *reason = "";
    size_t cap = s->cap;
    *k = (struct overlay_doc_keep){.schema = s->schema, .crypto = s->crypto, .cap = cap};
    for (size_t i = 0; i < ARRAY_COUNT(k->places); i++) {
        k->places[i] = ARENA_ARRAY(arena, struct overlay_doc_keep_place, 1);
        k->places[i]->xml = ARENA_ARRAY(arena, uint8_t, cap);
        k->places[i]->block = arena_take(arena, arena_bytes(cap), 1, 64);
    }
    struct overlay_doc *doc = &k->places[0]->doc;
    enum err e = read_into(k, k->places[0], s->first, SLICE_EMPTY, why);
    if (e == ERR_OK) {
        e = overlay_doc_verify_first(doc, s->crypto, s->at_ms, &reason);
        snprintf(why, OVERLAY_DOC_WHY_CAP, "%s", reason);
    }
    if (e == ERR_OK) {
        overlay_doc_accept_kinds(doc, s->crypto, s->at_ms);
    }
    return e;
}

/* ---- what changes ---- */

static bool is_same_trust(const struct overlay_doc *a, const struct overlay_doc *b)
{
    bool is_same = a->root_count == b->root_count && a->revoked_count == b->revoked_count &&
                   a->self_signed_permitted == b->self_signed_permitted &&
                   a->self_signed_sha256 == b->self_signed_sha256;
    for (size_t i = 0; is_same && i < a->root_count; i++) {
        is_same = slice_is_equal(a->roots[i], b->roots[i]);
    }
    for (size_t i = 0; is_same && i < a->revoked_count; i++) {
        is_same = ids_node_is_equal(&a->revoked[i], &b->revoked[i]);
    }
    return is_same;
}

static void add_dropped(struct overlay_change *c, uint32_t id)
{
    for (size_t i = 0; i < c->dropped_count; i++) {
        if (c->dropped[i] == id) {
            return;
        }
    }
    if (c->dropped_count < OVERLAY_KINDS_CAP) {
        c->dropped[c->dropped_count++] = id;
    }
}

/* Kinds that are gone or another signer's (CF-3), and those whose values cannot be read as before.
 */
static void find_dropped(const struct overlay_doc *now, const struct overlay_doc *next,
                         struct overlay_change *c)
{
    c->dropped_count = overlay_doc_accept_dropped(now, next, c->dropped);
    for (size_t i = 0; i < now->config.kind_count; i++) {
        const struct overlay_kind *a = &now->config.kinds[i];
        for (size_t k = 0; k < next->config.kind_count; k++) {
            const struct overlay_kind *b = &next->config.kinds[k];
            if (a->id == b->id && (a->data_model != b->data_model || a->access != b->access)) {
                add_dropped(c, a->id);
            }
        }
    }
}

static void fill_change(struct overlay_doc_keep *k, const struct overlay_doc *now,
                        const struct overlay_doc *next)
{
    struct overlay_change *c = &k->change;
    *c = (struct overlay_change){.config = next->config,
                                 .trust = overlay_doc_trust(next),
                                 .is_trust_other = !is_same_trust(now, next),
                                 .document = overlay_doc_keep_text(k),
                                 .bootstrap = next->bootstrap,
                                 .bootstrap_count =
                                     min_size(next->bootstrap_count, OVERLAY_BOOTSTRAP_CAP)};
    find_dropped(now, next, c);
    bool has_more = next->config.max_message_bytes > now->config.max_message_bytes;
    bool has_links = next->config.links != now->config.links;
    snprintf(k->restart, sizeof(k->restart), "%s%s%s", has_more ? "a larger max-message-size" : "",
             has_more && has_links ? ", " : "", has_links ? "overlay-link-protocol" : "");
}

enum err overlay_doc_keep_judge(struct overlay_doc_keep *k, struct slice xml,
                                enum overlay_doc_keep_from from, uint64_t at_ms, char *why)
{
    struct overlay_doc_keep_place *now = k->places[0];
    struct overlay_doc_keep_place *next = k->places[1];
    const char *reason = "";
    why[0] = '\0';
    enum err e = read_into(k, next, xml, slice_text(now->doc.config.name), why);
    if (e != ERR_OK) {
        return e;
    }
    e = overlay_doc_accept(&now->doc, &next->doc, k->crypto, at_ms, &reason);
    bool is_signers = e == ERR_BAD_SIGNATURE || e == ERR_BAD_CERTIFICATE || e == ERR_NOT_FOUND;
    if (is_signers && from == OVERLAY_DOC_KEEP_HAND) {
        /* Name and sequence were looked at first; the expiration follows below. */
        e = overlay_doc_verify_first(&next->doc, k->crypto, at_ms, &reason);
        overlay_doc_accept_kinds(&next->doc, k->crypto, at_ms);
    }
    snprintf(why, OVERLAY_DOC_WHY_CAP, "%s", e == ERR_OK ? "" : reason);
    if (e != ERR_OK) {
        return e;
    }
    k->cannot[0] = '\0';
    e = overlay_doc_join_check(&next->doc, at_ms, k->cannot);
    if (e == ERR_EXPIRED) {
        snprintf(why, OVERLAY_DOC_WHY_CAP, "%s", k->cannot);
        return e;
    }
    if (e == ERR_OK) {
        k->cannot[0] = '\0';
    }
    k->places[0] = next;
    k->places[1] = now;
    fill_change(k, &now->doc, &next->doc);
    return ERR_OK;
}
