/* SPDX-License-Identifier: Apache-2.0 */
/* kind.h - what may be stored: Kinds of the overlay document over those of kind.def.
 *
 * Data model and policy of a registered Kind never come from the document (spec A1.2), its limits
 * do. Owner: plain values.  RFC 6940 7.3, 11.1. */
#pragma once
#include "codec/stored.h"
#include "dht/overlay.h"

/* False: not supported here (Error_Unknown_Kind). */
bool kind_find(const struct overlay_config *config, uint32_t id, struct overlay_kind *out);

/* What is built in, by the name that IANA has or by Kind-ID, with the limits of kind.def. */
bool kind_named(struct slice name, struct overlay_kind *out);
bool kind_registered(uint32_t id, struct overlay_kind *out);

/* The Kinds that are supported, one after another: start with *at = 0, false at the end.  One that
 * is built in and stands in the document, too, may come twice. */
bool kind_next(const struct overlay_config *config, uint32_t *at, uint32_t *id);

/* How values of this data model stand in messages (RFC 6940 7.2). */
enum stored_model kind_wire_model(enum overlay_data_model model);
