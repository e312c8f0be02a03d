/* SPDX-License-Identifier: Apache-2.0 */
/* store_parts.h - a Fetch whose answer is larger than the overlay's messages may be, done in parts.
 *
 * The owner has said Response_Too_Large (FT-10).  An array: its last element is fetched, whose
 * index is the highest, then range after range.  A dictionary: Stat names its keys (7.4.3), which
 * are then fetched some at a time.  A part that is still too large is halved; one value that is too
 * large ends it all.  What was proved of each part is copied until the last has come.
 *
 * Owner:   one for each op of dht/store_client.
 * Limits:  STORE_PARTS_CAP requests, none STORE_PARTS_S after the first; OVERLAY_VALUES_CAP values,
 *          and as many as STORE_PARTS_KEPT_CAP large buffers hold; as many keys as one holds. */
#pragma once
#include "codec/stored.h"
#include "core/turn.h"
#include "dht/overlay.h"

enum { STORE_PARTS_CAP = 64, STORE_PARTS_KEPT_CAP = 4, STORE_PARTS_S = 30 };

struct store_parts {
    enum { STORE_PARTS_NONE, STORE_PARTS_EXTENT, STORE_PARTS_SOME } step;
    uint16_t asked;
    uint16_t kept_count;
    enum err error;      /* it cannot go on */
    bool is_cut;         /* there was more than we would ask for or keep */
    uint32_t span;       /* elements or keys asked for at once */
    uint32_t next, last; /* array: indices; dictionary: bytes of the list of keys */
    uint32_t count;      /* keys of the part under way, and their bytes */
    uint32_t bytes;
    struct msgbuf *keys;             /* of a dictionary, as in a specifier */
    struct msgbuf *kept, *kept_last; /* by `next` */
    uint32_t buffers;
};

/* Too large: what comes next?  False: nothing would help. */
bool store_parts_smaller(struct store_parts *p, enum stored_model model);
/* What is to be asked now. */
void store_parts_wr(struct store_parts *p, struct wr *w, uint32_t kind, enum stored_model model);
/* Is it asked by Stat? */
bool store_parts_is_stat(const struct store_parts *p, enum stored_model model);
/* How large the whole is: the values of a FetchAns, or the metadata of a StatAns.  False: there is
 * nothing, or nothing to be made of it. */
bool store_parts_extent(struct turn *t, struct store_parts *p, struct rd values,
                        enum stored_model model);
/* One proved value of a part is copied; false: there is no more room. */
bool store_parts_keep(struct turn *t, struct store_parts *p, const struct overlay_value *v);
/* The part has come; true: there is another. */
bool store_parts_next(struct store_parts *p, enum stored_model model);
/* All that were kept; they stand in p->kept. */
size_t store_parts_list(const struct store_parts *p,
                        struct overlay_value values[OVERLAY_VALUES_CAP]);
void store_parts_release(struct turn *t, struct msgbuf *kept);
void store_parts_end(struct turn *t, struct store_parts *p);
