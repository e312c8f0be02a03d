/* SPDX-License-Identifier: Apache-2.0 */
/* phone_routes.h - a dialog's route set, as the phones of ours keep it (RFC 3261 12.1). */
#pragma once
#include "codec/sip_msg.h"

/* The Record-Routes of `m` as Route lines that fit whole, in order or, for the caller, the last one
 * first (12.1.2). */
void phone_routes_read(const struct sip_msg *m, bool is_reversed, char *out, size_t cap);
