/* SPDX-License-Identifier: Apache-2.0 */
/* show.h - decoded structures as JSON, in the shape of tests/vectors/README.md: one object, the
 * RFC's field names, bytes as hex, 64-bit numbers as "0x...".
 *
 * What is shown went through the decoders that the daemon uses; nothing is shown of bytes that they
 * refuse.  For people and test tools: cold, but it keeps up with hundreds of thousands of small
 * structures a second, allocates nothing and depends on no library.
 *
 * Owner: the text goes into the caller's writer; no state is kept. */
#pragma once
#include "codec/msgs.h"

struct show_kind {
    uint32_t kind;
    enum stored_model model;
};

/* What a decoder must know beside the bytes. */
struct show_context {
    struct rl_params params;
    bool has_overlay;              /* a message must belong to params.overlay */
    enum stored_model model;       /* of a bare StoredData or StoredMetaData */
    const struct show_kind *kinds; /* values of others are shown as bytes */
    size_t kind_count;
};

struct show_fault {
    enum reject why;
    size_t offset; /* in the input */
};

/* The Kinds with a registered data model (RFC 6940 14.6, 7904, 7374, 8076). */
extern const struct show_kind show_registered_kinds[];
extern const size_t show_registered_kind_count;

/* Is there a decoder for `type`?  The RFCs' names: "Message", "StoreReq", "STATUS_INFO". */
bool show_has(struct slice type);
/* All of them, by index; NULL behind the last. */
const char *show_type(size_t index);

/* Decodes `in`, which must be one `type` and nothing more, and writes {"fields":{...}} (for a
 * Message also "body_type" and "body").  ERR_MALFORMED: refused, *fault says why and where.
 * ERR_TOO_LARGE: the text does not fit `w`; nothing is wrong with the bytes.  ERR_NOT_FOUND: no
 * such type. */
enum err show_json(const struct show_context *context, struct slice type, struct slice in,
                   struct wr *w, struct show_fault *fault) MUST_USE;

/* Decodes `in` and encodes it again from the decoded structure with the encoders of codec/: the
 * same bytes, or something is wrong with us.  Errors as above. */
enum err show_again(const struct show_context *context, struct slice type, struct slice in,
                    struct wr *w, struct show_fault *fault) MUST_USE;
