/* SPDX-License-Identifier: Apache-2.0 */
/* The built-in list and the document's, one over the other. */
#include "dht/kind.h"

static const struct overlay_kind built_in[] = {
#define KIND(name, text, id, model, policy, count, size, multiple)                                 \
    {id, OVERLAY_##model, OVERLAY_##policy, count, size, multiple, NULL},
#include "dht/kind.def"
#undef KIND
};

static const char *const names[] = {
#define KIND(name, text, id, model, policy, count, size, multiple) text,
#include "dht/kind.def"
#undef KIND
};

static const struct overlay_kind *find_in(const struct overlay_kind *kinds, size_t count,
                                          uint32_t id)
{
    for (size_t i = 0; i < count; i++) {
        if (kinds[i].id == id) {
            return &kinds[i];
        }
    }
    return NULL;
}

bool kind_named(struct slice name, struct overlay_kind *out)
{
    for (size_t i = 0; i < ARRAY_COUNT(built_in); i++) {
        if (slice_is_equal(name, slice_text(names[i]))) {
            *out = built_in[i];
            return true;
        }
    }
    return false;
}

bool kind_registered(uint32_t id, struct overlay_kind *out)
{
    const struct overlay_kind *ours = find_in(built_in, ARRAY_COUNT(built_in), id);
    if (ours != NULL) {
        *out = *ours;
    }
    return ours != NULL;
}

bool kind_find(const struct overlay_config *config, uint32_t id, struct overlay_kind *out)
{
    const struct overlay_kind *ours = find_in(built_in, ARRAY_COUNT(built_in), id);
    const struct overlay_kind *theirs = find_in(config->kinds, config->kind_count, id);
    if (ours == NULL && theirs == NULL) {
        return false;
    }
    *out = ours != NULL ? *ours : *theirs;
    if (theirs != NULL) {
        out->max_count = theirs->max_count;
        out->max_size_bytes = theirs->max_size_bytes;
        out->domains = theirs->domains; /* RFC 7904 3.4 */
    }
    if (theirs != NULL && theirs->max_node_multiple != 0) {
        out->max_node_multiple = theirs->max_node_multiple;
    }
    return true;
}

bool kind_next(const struct overlay_config *config, uint32_t *at, uint32_t *id)
{
    uint32_t i = (*at)++;
    if (i < ARRAY_COUNT(built_in)) {
        *id = built_in[i].id;
        return true;
    }
    i -= (uint32_t)ARRAY_COUNT(built_in);
    if (i < config->kind_count) {
        *id = config->kinds[i].id;
        return true;
    }
    return false;
}

enum stored_model kind_wire_model(enum overlay_data_model model)
{
    switch (model) {
    case OVERLAY_SINGLE:
        return STORED_SINGLE;
    case OVERLAY_ARRAY:
        return STORED_ARRAY;
    case OVERLAY_DICTIONARY:
        return STORED_DICTIONARY;
    }
    UNREACHABLE("data model");
}
