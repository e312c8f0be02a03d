/* SPDX-License-Identifier: Apache-2.0 */
/* wire_build_inside.h - what the two halves of wire_build share: reading JSON, and the tables. */
#pragma once
#include "cmd/wire_build.h"

enum { BUILD_DEPTH_CAP = 16, BUILD_MEMBERS_CAP = 16 };
#define BUILD_NO_INDEX SIZE_MAX

/* A member, or one item of the list that is one. */
struct build_place {
    const char *name;
    size_t index; /* BUILD_NO_INDEX: not of a list */
};

struct build {
    const struct show_context *c;
    struct wr *w;
    char *why; /* empty while nothing is wrong */
    bool failed;
    /* Where the objects stand that are open, for who reads what is wrong; deeper ones are left out.
     * No structure is that deep. */
    struct build_place path[BUILD_DEPTH_CAP];
    size_t depth;
    struct build_place last; /* what was taken last */
};

struct build_entry {
    const char *type;
    void (*build)(struct build *b, const json_t *v);
};

extern const struct build_entry wire_build_core_table[];
extern const size_t wire_build_core_count;

/* The first fault stays, told with the path of the object.  NULL: the object itself. */
void wire_build_fail(struct build *b, const char *field, const char *what);

/* An object whose members are taken one by one. */
struct build_object {
    const json_t *o;
    size_t depth; /* of the object around it */
    const char *names[BUILD_MEMBERS_CAP];
    size_t taken;
};

struct build_object wire_build_open(struct build *b, const json_t *v);
/* The member, NULL (and a fault) when there is none. */
const json_t *wire_build_get(struct build *b, struct build_object *o, const char *name);
bool wire_build_has(const struct build_object *o, const char *name);
/* Item `index` of the member `list` comes next. */
void wire_build_at(struct build *b, const char *list, size_t index);
/* A fault when there are members that nobody took. */
void wire_build_all_taken(struct build *b, const struct build_object *o);
/* That, and the object around it is the current one again. */
void wire_build_close(struct build *b, const struct build_object *o);

/* A number, or text of "0x" and hex digits; at most `max`. */
uint64_t wire_build_number(struct build *b, const json_t *v, const char *name, uint64_t max);
bool wire_build_boolean(struct build *b, const json_t *v, const char *name);
/* The bytes of a text of hex digits, straight into the writer; gives what was written. */
struct slice wire_build_hex(struct build *b, const json_t *v, const char *name);
/* Those of a Node-ID. */
void wire_build_node(struct build *b, const json_t *v, const char *name);
/* The array, or an empty one. */
size_t wire_build_count(struct build *b, const json_t *v, const char *name);

/* StunMessage */
void wire_build_stun(struct build *b, const json_t *v);

void wire_build_core_address(struct build *b, const json_t *v);
void wire_build_core_destination(struct build *b, const json_t *v);
void wire_build_core_response(struct build *b, const json_t *v);
void wire_build_core_specifier(struct build *b, const json_t *v);
void wire_build_core_store_block(struct build *b, const json_t *v);
void wire_build_core_fetch_block(struct build *b, const json_t *v);
void wire_build_core_stat_block(struct build *b, const json_t *v);
