/* SPDX-License-Identifier: Apache-2.0 */
/* wire.h - a line of `decode --batch` or `encode --batch`: JSON in, JSON out (docs: `--help`).
 *
 *   decode   {"type": T, "hex": H, ...}        -> {"fields": {...}} or {"reject": why, "offset": N}
 *   encode   {"type": T, "fields": {...}, ...} -> {"hex": H} or {"reject": why}
 *
 * SIP is decoded only: SipMessage (a datagram) and SipStream (bytes of a connection) from "hex",
 * SipUriPair from texts "a" and "b"; their answers are told in codec/show_sip.h.
 *
 * Besides: "node_id_length" (16), "data_model", "kinds" (Kind-ID -> data model; the registered ones
 * where it is missing), "overlay_name" (a message of another overlay is refused).  Bytes go through
 * the decoders and encoders of the daemon.  What was encoded is decoded again before it is printed:
 * fields that no decoder takes are refused, whoever asks. */
#pragma once
#include "cmd/batch.h"

struct wire;

struct wire *wire_new(void);
void wire_free(struct wire *w);

/* Both answer with one line whatever `line` is (type batch_one, ctx: struct wire). */
void wire_decode(void *ctx, struct slice line, struct batch_out *out);
void wire_encode(void *ctx, struct slice line, struct batch_out *out);
