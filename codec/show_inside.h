/* SPDX-License-Identifier: Apache-2.0 */
/* show_inside.h - what the files of codec/show* share: JSON punctuation, and the tables of types.
 */
#pragma once
#include "codec/show.h"

struct show {
    const struct show_context *c;
    struct wr *w;
    struct rd *r; /* the whole input; takes the faults of what is inside */
};

/* Shows one structure: reads it off s->r, writes an object.  Or encodes it again into s->w. */
struct show_entry {
    const char *type;
    void (*show)(struct show *s);
    void (*again)(struct show *s);
};

extern const struct show_entry show_body_table[]; /* from msgs.def */
extern const size_t show_body_count;
extern const struct show_entry show_core_table[]; /* the ones written by hand */
extern const size_t show_core_count;
extern const struct show_entry show_stun_entry;

const struct show_entry *show_find(struct slice type);

/* ---- JSON ---- */

void show_text(struct show *s, const char *text);
/* A comma where one is due: not behind an opening bracket or a colon. */
void show_comma(struct show *s);
/* ,"name": */
void show_key(struct show *s, const char *name);
void show_number(struct show *s, uint64_t v);
void show_bytes(struct show *s, struct slice bytes); /* "hex" */
/* A JSON string.  Well-formed UTF-8 stands as it is, any other byte as \u00XX; controls, quotes and
 * backslashes too. */
void show_string(struct show *s, struct slice text);
/* "0x" and so many hex digits */
void show_hex_number(struct show *s, uint64_t v, unsigned digits);

static inline void show_number_of(struct show *s, const char *name, uint64_t v)
{
    show_key(s, name);
    show_number(s, v);
}

static inline void show_bytes_of(struct show *s, const char *name, struct slice bytes)
{
    show_key(s, name);
    show_bytes(s, bytes);
}

static inline void show_boolean_of(struct show *s, const char *name, bool v)
{
    show_key(s, name);
    show_text(s, v ? "true" : "false");
}

/* ---- structures inside others; each an object ---- */

void show_core_address(struct show *s, const struct candidate_address *in);
void show_core_destination(struct show *s, const struct fwd_destination *in);
void show_core_response(struct show *s, const struct stored_response *in);
void show_core_specifier(struct show *s, const struct stored_specifier *in);
enum show_block { SHOW_STORE, SHOW_FETCH, SHOW_STAT };
void show_core_block(struct show *s, const struct stored_block *in, enum show_block which);
/* A list of Node-IDs without lengths. */
void show_core_nodes(struct show *s, struct slice nodes);
