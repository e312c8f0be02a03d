/* SPDX-License-Identifier: Apache-2.0 */
/* tls_pump.h - carries what TLS has to say into the outbox. */
#pragma once
#include "core/turn.h"
#include "link/tls.h"

/* Moves everything that waits in `tls` into sends on `conn` and adds the bytes to *queued.
 * `expected` is about how much it will be (the plaintext just written): it picks the buffer size.
 * ERR_NO_MEMORY: no buffer, the rest still waits and the call may be repeated.
 * ERR_LIMIT: the outbox is full and bytes are lost: the connection is of no use any more. */
enum err tls_pump(struct turn *t, const struct tls_ops *ops, struct tls *tls, handle conn,
                  size_t expected, uint32_t *queued) MUST_USE;
