/* SPDX-License-Identifier: Apache-2.0 */
/* msgs_field.h - how each kind of field of msgs.def is read and written: read_KIND(r, p, out) and
 * write_KIND(w, p, in).  For what expands the list: codec/msgs.c, codec/show_body.c, fuzz/mutate.h.
 * Names without a prefix, since they are made by pasting; hence nothing else includes this. */
#pragma once
#include "codec/msgs.h"

#define PLAIN(kind, type, rd_call, wr_call)                                                        \
    static inline void read_##kind(struct rd *r, const struct rl_params *p, type *out)             \
    {                                                                                              \
        (void)p;                                                                                   \
        *out = rd_call(r);                                                                         \
    }                                                                                              \
    static inline void write_##kind(struct wr *w, const struct rl_params *p, const type *in)       \
    {                                                                                              \
        (void)p;                                                                                   \
        wr_call(w, *in);                                                                           \
    }

PLAIN(u8, uint8_t, rd_u8, wr_u8)
PLAIN(u16, uint16_t, rd_u16, wr_u16)
PLAIN(u32, uint32_t, rd_u32, wr_u32)
PLAIN(u64, uint64_t, rd_u64, wr_u64)
PLAIN(boolean, bool, rd_bool, wr_bool)
PLAIN(resource, struct slice, rd_opaque8, wr_opaque8)
PLAIN(opaque8, struct slice, rd_opaque8, wr_opaque8)
PLAIN(opaque16, struct slice, rd_opaque16, wr_opaque16)
PLAIN(opaque24, struct slice, rd_opaque24, wr_opaque24)
PLAIN(opaque32, struct slice, rd_opaque32, wr_opaque32)
PLAIN(rest, struct slice, rd_rest, wr_bytes)
#undef PLAIN

/* A one-byte enumeration of which 0 is invalid. */
static inline void read_type8(struct rd *r, const struct rl_params *p, uint8_t *out)
{
    const uint8_t *start = r->at;
    read_u8(r, p, out);
    if (rd_ok(r) && *out == 0) {
        rd_reject_at(r, REJECT_ZERO_TYPE, start);
    }
}

static inline void read_node(struct rd *r, const struct rl_params *p, struct node_id *out)
{
    ids_rd_node(r, p, out);
}

static inline void write_node(struct wr *w, const struct rl_params *p, const struct node_id *in)
{
    ids_wr_node(w, p, in);
}

static inline void read_destination(struct rd *r, const struct rl_params *p,
                                    struct fwd_destination *out)
{
    fwd_rd_destination(r, p, out);
}

static inline void write_destination(struct wr *w, const struct rl_params *p,
                                     const struct fwd_destination *in)
{
    (void)p;
    fwd_wr_destination(w, in);
}

static inline void read_address(struct rd *r, const struct rl_params *p,
                                struct candidate_address *out)
{
    (void)p;
    candidate_rd_address(r, out);
}

static inline void write_address(struct wr *w, const struct rl_params *p,
                                 const struct candidate_address *in)
{
    (void)p;
    candidate_wr_address(w, in);
}

/* The values in a block depend on its Kind: they are left to whoever knows it. */
static inline void read_store_block(struct rd *r, const struct rl_params *p,
                                    struct stored_block *out)
{
    (void)p;
    stored_rd_block(r, out);
}
#define read_fetch_block read_store_block
#define read_stat_block read_store_block

static inline void read_response(struct rd *r, const struct rl_params *p,
                                 struct stored_response *out)
{
    stored_rd_response(r, p, out);
}

static inline void read_specifier(struct rd *r, const struct rl_params *p,
                                  struct stored_specifier *out)
{
    (void)p;
    stored_rd_specifier(r, out);
}

/* The length stands there twice: as ext_length and in front of the list (RFC 7851 5.1). */
static inline struct slice rd_opaquetwice32(struct rd *r)
{
    const uint8_t *start = r->at;
    uint32_t ext_length = rd_u32(r);
    struct slice list = rd_opaque32(r);
    if (rd_ok(r) && list.len != ext_length) {
        rd_reject_at(r, REJECT_INNER_LENGTH, start);
    }
    return list;
}

static inline void wr_opaquetwice32(struct wr *w, struct slice list)
{
    wr_u32(w, (uint32_t)list.len);
    wr_opaque32(w, list); /* refuses what does not fit 32 bits */
}
