/* SPDX-License-Identifier: Apache-2.0 */
/* ws.c - see ws.h. */
#include "codec/ws.h"

enum {
    FINAL = 0x80,
    RESERVED = 0x70,
    OPCODE = 0x0f,
    MASKED = 0x80,
    LEN_16 = 126,
    LEN_64 = 127,
    LIBRARY_FIRST = 3000, /* 7.4.2: codes that libraries, applications and private use may send */
    PRIVATE_LAST = 4999,
    DEFINED_LAST = 1014
};

static bool is_opcode(uint8_t opcode)
{
    return opcode <= WS_BINARY || (opcode >= WS_CLOSE && opcode <= WS_PONG);
}

/* The payload's length; ERR_MALFORMED where a shorter form would have done (5.2). */
static enum err read_len(struct rd *r, uint8_t code, uint64_t *len)
{
    *len = code;
    if (code == LEN_16) {
        *len = rd_u16(r);
    } else if (code == LEN_64) {
        *len = rd_u64(r);
    }
    if (!rd_ok(r)) {
        return ERR_MORE;
    }
    bool is_long = (code == LEN_16 && *len < LEN_16) || (code == LEN_64 && *len <= UINT16_MAX) ||
                   *len >> 63 != 0;
    return is_long ? ERR_MALFORMED : ERR_OK;
}

enum err ws_frame_read(struct slice bytes, struct ws_frame *out)
{
    struct rd r = rd_init(bytes);
    uint8_t first = rd_u8(&r);
    uint8_t second = rd_u8(&r);
    *out = (struct ws_frame){.is_final = (first & FINAL) != 0, .is_masked = (second & MASKED) != 0};
    if (bytes.len >= 1 && ((first & RESERVED) != 0 || !is_opcode(first & OPCODE))) {
        return ERR_MALFORMED;
    }
    if (!rd_ok(&r)) {
        return ERR_MORE;
    }
    out->opcode = (enum ws_opcode)(first & OPCODE);
    uint8_t code = second & (uint8_t)~MASKED;
    if (ws_is_control(out->opcode) && (!out->is_final || code > WS_CONTROL_CAP)) {
        return ERR_MALFORMED; /* 5.5 */
    }
    enum err e = read_len(&r, code, &out->len);
    if (e != ERR_OK) {
        return e;
    }
    if (out->is_masked) {
        struct slice mask = rd_bytes(&r, WS_MASK_BYTES);
        if (!rd_ok(&r)) {
            return ERR_MORE;
        }
        memcpy(out->mask, mask.data, WS_MASK_BYTES);
    }
    out->header_len = (uint8_t)(bytes.len - rd_left(&r));
    return ERR_OK;
}

size_t ws_frame_write(enum ws_opcode opcode, size_t len, uint8_t out[WS_OUT_HEADER_CAP])
{
    struct wr w = wr_init(out, WS_OUT_HEADER_CAP);
    wr_u8(&w, (uint8_t)(FINAL | (uint8_t)opcode));
    if (len < LEN_16) {
        wr_u8(&w, (uint8_t)len);
    } else if (len <= UINT16_MAX) {
        wr_u8(&w, LEN_16);
        wr_u16(&w, (uint16_t)len);
    } else {
        wr_u8(&w, LEN_64);
        wr_u64(&w, len);
    }
    return wr_len(&w);
}

void ws_mask(uint8_t *data, size_t len, const uint8_t mask[WS_MASK_BYTES])
{
    uint64_t wide = 0;
    size_t i = 0;
    memcpy(&wide, mask, WS_MASK_BYTES);
    memcpy((uint8_t *)&wide + WS_MASK_BYTES, mask, WS_MASK_BYTES);
    for (; i + sizeof(wide) <= len; i += sizeof(wide)) {
        uint64_t word = 0;
        memcpy(&word, data + i, sizeof(word));
        word ^= wide;
        memcpy(data + i, &word, sizeof(word));
    }
    for (; i < len; i++) {
        data[i] ^= mask[i % WS_MASK_BYTES];
    }
}

/* How many bytes the character at the start of `s` has; 0 = it is none. */
static size_t character(struct slice s)
{
    /* Least first byte, and the range of the second; the others are 80 to BF (RFC 3629 4). */
    static const struct {
        uint8_t first, last, low, high, len;
    } rows[] = {
        {0x00, 0x7f, 0x80, 0xbf, 1}, {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
        {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
        {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4}};
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        if (s.data[0] < rows[i].first || s.data[0] > rows[i].last) {
            continue;
        }
        if (s.len < rows[i].len ||
            (rows[i].len > 1 && (s.data[1] < rows[i].low || s.data[1] > rows[i].high))) {
            return 0;
        }
        for (size_t k = 2; k < rows[i].len; k++) {
            if ((s.data[k] & 0xc0) != 0x80) {
                return 0;
            }
        }
        return rows[i].len;
    }
    return 0;
}

bool ws_is_utf8(struct slice text)
{
    while (text.len > 0) {
        uint64_t word = 0;
        if (text.len >= sizeof(word)) { /* SIP is ASCII mostly: eight at a time */
            memcpy(&word, text.data, sizeof(word));
            if ((word & UINT64_C(0x8080808080808080)) == 0) {
                text = slice_from(text, sizeof(word));
                continue;
            }
        }
        size_t len = character(text);
        if (len == 0) {
            return false;
        }
        text = slice_from(text, len);
    }
    return true;
}

bool ws_close_read(struct slice payload, enum ws_status *status)
{
    struct rd r = rd_init(payload);
    *status = WS_STATUS_NONE;
    if (payload.len == 0) {
        return true;
    }
    uint16_t code = rd_u16(&r);
    bool is_defined = code >= WS_STATUS_NORMAL && code <= DEFINED_LAST && code != 1004 &&
                      code != WS_STATUS_NONE && code != 1006; /* those stand for no Close frame */
    bool is_other = code >= LIBRARY_FIRST && code <= PRIVATE_LAST;
    *status = (enum ws_status)code;
    return rd_ok(&r) && (is_defined || is_other) && ws_is_utf8(rd_rest(&r));
}

void ws_close_write(enum ws_status status, uint8_t out[2])
{
    struct wr w = wr_init(out, 2);
    wr_u16(&w, (uint16_t)status);
}
