/* SPDX-License-Identifier: Apache-2.0 */
/* ws.h - WebSocket frames (RFC 6455 5): headers read and written, masks, texts.
 *
 * Owner:  nobody; pure functions.  What a connection remembers is link/ws_conn's.
 * Strict: reserved bits, unknown opcodes, lengths that are not in their shortest form, and control
 *         frames that are long or in pieces are refused. */
#pragma once
#include "codec/rw.h"

enum { WS_HEADER_CAP = 14, WS_OUT_HEADER_CAP = 10, WS_CONTROL_CAP = 125, WS_MASK_BYTES = 4 };

enum ws_opcode {
    WS_CONTINUATION = 0,
    WS_TEXT = 1,
    WS_BINARY = 2,
    WS_CLOSE = 8,
    WS_PING = 9,
    WS_PONG = 10
};

/* Why a connection is closed (7.4.1). */
enum ws_status {
    WS_STATUS_NORMAL = 1000,
    WS_STATUS_GOING = 1001,
    WS_STATUS_PROTOCOL = 1002,
    WS_STATUS_UNSUPPORTED = 1003,
    WS_STATUS_NONE = 1005, /* never sent: a Close frame said nothing */
    WS_STATUS_BAD_TEXT = 1007,
    WS_STATUS_POLICY = 1008,
    WS_STATUS_TOO_BIG = 1009,
    WS_STATUS_FULL = 1013 /* try again later (registered with IANA) */
};

/* A frame's header. */
struct ws_frame {
    enum ws_opcode opcode;
    bool is_final;
    bool is_masked;
    uint8_t mask[WS_MASK_BYTES];
    uint8_t header_len;
    uint64_t len; /* of the payload behind it */
};

static inline bool ws_is_control(enum ws_opcode opcode)
{
    return opcode >= WS_CLOSE;
}

/* The header at the start of `bytes`: ERR_OK, ERR_MORE (it is not complete), ERR_MALFORMED. */
enum err ws_frame_read(struct slice bytes, struct ws_frame *out) MUST_USE;
/* Header of a whole, unmasked frame, as servers send it (5.1); how long it is. */
size_t ws_frame_write(enum ws_opcode opcode, size_t len, uint8_t out[WS_OUT_HEADER_CAP]);
/* Masks or unmasks in place; `len` bytes from the payload's first on. */
void ws_mask(uint8_t *data, size_t len, const uint8_t mask[WS_MASK_BYTES]);
/* RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF. */
bool ws_is_utf8(struct slice text);
/* The payload of a Close frame: false when it is not sound; else *status is what it says. */
bool ws_close_read(struct slice payload, enum ws_status *status);
/* Payload of a Close frame of ours: two bytes. */
void ws_close_write(enum ws_status status, uint8_t out[2]);
