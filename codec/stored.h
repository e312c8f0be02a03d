/* SPDX-License-Identifier: Apache-2.0 */
/* stored.h - values in the overlay: StoredData, its metadata, and the lists around it (RFC 6940 7).
 *
 * Which arm of StoredDataValue applies is not on the wire: the data model comes from the Kind, so
 * lists of values are slices until the caller knows it.  Nothing is allocated from a wire count.
 * Owner: slices are borrowed. */
#pragma once
#include "codec/secblock.h"

enum stored_model { STORED_SINGLE, STORED_ARRAY, STORED_DICTIONARY };

/* The model called "single", "array" or "dictionary"; false: it is no such name, *out stays. */
bool stored_model_named(struct slice name, enum stored_model *out) MUST_USE;

enum { STORED_SYNTHETIC_BYTES = 28 };   /* a synthetic single value, length included (7.4.2.2) */
#define STORED_INDEX_APPEND 0xffffffffu /* array index of a Store: behind the last (7.4.1.1) */

/* StoredDataValue: the place (index or key) and the DataValue. */
struct stored_value {
    enum stored_model model;
    bool exists;
    uint32_t index;     /* ARRAY */
    struct slice key;   /* DICTIONARY */
    struct slice bytes; /* the value itself; nothing says it is empty where exists is false */
};

struct stored_data {
    uint64_t storage_time_ms; /* since 1970 UTC */
    uint32_t lifetime_s;
    struct stored_value value;
    struct secblock_signature signature;
    struct slice wire; /* the whole StoredData as received, its length field included */
};

/* Reads one StoredData, its length field first, and leaves `r` behind it. */
void stored_rd(struct rd *r, enum stored_model model, struct stored_data *out);
/* A StoredData that fills `in` exactly. */
enum err stored_decode(struct slice in, enum stored_model model, struct stored_data *out) MUST_USE;
/* Walks a list of StoredData; false at the end or at a fault, see rd_ok. */
bool stored_next(struct rd *values, enum stored_model model, struct stored_data *out);
/* ERR_MALFORMED unless the whole list can be walked; `count` may be NULL. */
enum err stored_check(struct slice values, enum stored_model model, uint32_t *count) MUST_USE;

void stored_rd_value(struct rd *r, enum stored_model model, struct stored_value *out);
void stored_wr_value(struct wr *w, const struct stored_value *in);
/* Encodes the fields (`wire` is not looked at). */
void stored_wr(struct wr *w, const struct stored_data *in);
/* The received bytes once more, with another lifetime: it is not signed (ST-14). */
void stored_wr_copy(struct wr *w, const struct stored_data *in, uint32_t lifetime_s);
/* The same for one that was not decoded again: `wire` is a StoredData. */
void stored_wr_aged(struct wr *w, struct slice wire, uint32_t lifetime_s);

/* "Nothing here": unsigned, exists false, all zero (7.4.2.2). */
void stored_wr_synthetic(struct wr *w, enum stored_model model, uint32_t index, struct slice key);
bool stored_is_synthetic(const struct stored_data *d);

/* What a value's signature is over (7.1): resource id (raw bytes), kind, storage_time,
 * StoredDataValue with array index 0, SignerIdentity.  Never more than resource.len + wire.len + 16
 * bytes. */
void stored_wr_signature_input(struct wr *w, struct slice resource, uint32_t kind,
                               const struct stored_data *d);

/* StoreKindData, FetchKindResponse and StatKindResponse are the same bytes. */
struct stored_block {
    uint32_t kind;
    uint64_t generation; /* generation_counter */
    struct slice values; /* stored_next, or stored_meta_next in StatAns */
};

void stored_rd_block(struct rd *r, struct stored_block *out);
bool stored_block_next(struct rd *blocks, struct stored_block *out);
/* With the values written in between:  mark = stored_block_begin(...);  ...  stored_block_end(); */
size_t stored_block_begin(struct wr *w, uint32_t kind, uint64_t generation);
void stored_block_end(struct wr *w, size_t mark);
void stored_wr_block(struct wr *w, const struct stored_block *in);

/* StoreKindResponse */
struct stored_response {
    uint32_t kind;
    uint64_t generation;
    struct slice replicas; /* Node-IDs without lengths: msgs_node_count, msgs_node_at */
};

void stored_rd_response(struct rd *r, const struct rl_params *p, struct stored_response *out);
bool stored_response_next(struct rd *responses, const struct rl_params *p,
                          struct stored_response *out);
void stored_wr_response(struct wr *w, const struct stored_response *in);

/* StoredDataSpecifier: what to fetch of a Kind. */
struct stored_specifier {
    uint32_t kind;
    uint64_t generation;
    struct slice what; /* depends on the model; skip it where the Kind is unknown */
};

struct stored_range {
    uint32_t first;
    uint32_t last;
};

void stored_rd_specifier(struct rd *r, struct stored_specifier *out);
bool stored_specifier_next(struct rd *specifiers, struct stored_specifier *out);
/* ERR_MALFORMED unless `what` is right for the model: nothing, ranges, or keys. */
enum err stored_specifier_check(const struct stored_specifier *s, enum stored_model model) MUST_USE;
/* Walks what a checked specifier asks for:
 *     struct rd r = stored_specifier_items(&s, model);  while (stored_range_next(&r, &range)) ...
 * A dictionary without keys asks for all (7.4.2.1); a single value has no items. */
struct rd stored_specifier_items(const struct stored_specifier *s, enum stored_model model);
/* Is what it asks for an empty list?  So most do; then there is nothing to check or to walk. */
static inline bool stored_specifier_is_empty_list(const struct stored_specifier *s)
{
    return s->what.len == 2 && rd_at16(s->what.data) == 0;
}
bool stored_range_next(struct rd *items, struct stored_range *out);
bool stored_key_next(struct rd *items, struct slice *key);

/* One as it was read. */
void stored_wr_specifier(struct wr *w, const struct stored_specifier *in);
/* `ranges` or `keys` may be NULL when the count is 0. */
void stored_wr_specifier_single(struct wr *w, uint32_t kind, uint64_t generation);
void stored_wr_specifier_array(struct wr *w, uint32_t kind, uint64_t generation,
                               const struct stored_range *ranges, size_t count);
void stored_wr_specifier_dictionary(struct wr *w, uint32_t kind, uint64_t generation,
                                    const struct slice *keys, size_t count);

/* StoredMetaData (7.4.3.2) */
struct stored_meta {
    uint64_t storage_time_ms;
    uint32_t lifetime_s;
    enum stored_model model;
    uint32_t index;
    struct slice key;
    bool exists;
    uint32_t value_length;
    uint8_t hash_algorithm;
    struct slice hash; /* of the value with its 4 length bytes in front */
};

/* MetaData with its place, without time and lifetime. */
void stored_rd_metadata(struct rd *r, enum stored_model model, struct stored_meta *out);
void stored_wr_metadata(struct wr *w, const struct stored_meta *in);
void stored_rd_meta(struct rd *r, enum stored_model model, struct stored_meta *out);
enum err stored_meta_decode(struct slice in, enum stored_model model,
                            struct stored_meta *out) MUST_USE;
bool stored_meta_next(struct rd *values, enum stored_model model, struct stored_meta *out);
void stored_wr_meta(struct wr *w, const struct stored_meta *in);
