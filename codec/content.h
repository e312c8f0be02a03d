/* SPDX-License-Identifier: Apache-2.0 */
/* content.h - MessageContents: code, body, extensions; and error answers (RFC 6940 6.3.3).
 *
 * Owner: slices are borrowed from the message. */
#pragma once
#include "codec/rw.h"
#include "core/err.h"

enum { CONTENT_RESERVED_FIRST = 0x8000 }; /* message codes */

enum content_code {
#define CONTENT(name, code, text) CONTENT_##name = (code),
#include "codec/content.def"
#undef CONTENT
};

enum content_error_code {
#define CONTENT_ERR(name, code, meaning, text) CONTENT_ERROR_##name = (code),
#include "codec/content.def"
#undef CONTENT_ERR
};

struct content {
    uint16_t code;     /* enum content_code, or one that we do not know */
    bool has_critical; /* an extension is marked critical; we understand none (6.3.3) */
    struct slice body;
    struct slice extensions; /* walk with content_extension_next */
    struct slice bytes;      /* all of it as received: what a signature covers */
};

struct content_extension {
    uint16_t type;
    bool critical;
    struct slice contents;
};

struct content_error {
    uint16_t code; /* enum content_error_code, or one that we do not know */
    struct slice info;
};

static inline bool content_is_request(uint16_t code)
{
    return (code & 0x8001) == 1; /* odd, and below 0x8000 */
}

/* A positive answer (even code) or an error. */
static inline bool content_is_answer(uint16_t code)
{
    return code == CONTENT_ERROR || (code < 0x8000 && code != 0 && (code & 1) == 0);
}

/* Reads the contents and leaves `r` behind them, at the SecurityBlock.  Refused are code 0
 * (ZERO_TYPE), a reserved one (RESERVED_CODE), and what content_rd_extension refuses. */
void content_rd(struct rd *r, struct content *out);
/* Decodes the front of a whole payload; `rest` is what follows: the SecurityBlock. */
MUST_USE static inline enum err content_decode(struct slice payload, struct content *out,
                                               struct slice *rest);

/* Reads one MessageExtension; type 0 is malformed. */
void content_rd_extension(struct rd *r, struct content_extension *out);
/* Walks `extensions`; false at the end or at a fault, see rd_ok. */
bool content_extension_next(struct rd *r, struct content_extension *out);

/* A MessageContents without extensions, the body written in between:
 *     size_t mark = content_begin(&w, CONTENT_PING_REQ);  ...  content_end(&w, mark); */
static inline size_t content_begin(struct wr *w, uint16_t code);
static inline void content_end(struct wr *w, size_t mark);
/* One with a ready body and encoded extensions. */
void content_wr(struct wr *w, uint16_t code, struct slice body, struct slice extensions);
void content_wr_extension(struct wr *w, const struct content_extension *e);

/* ErrorResponse, the body of CONTENT_ERROR. */
void content_rd_error(struct rd *r, struct content_error *out);
enum err content_error_decode(struct slice body, struct content_error *out) MUST_USE;
void content_wr_error(struct wr *w, uint16_t error_code, struct slice info);

/* What a received error code means to us; ERR_REMOTE where nothing fits. */
enum err content_err_of(uint16_t error_code);
/* The code to send for `e`; Invalid_Message where nothing fits.  Not for ERR_OK: CHECK. */
uint16_t content_error_code_of(enum err e);

/* "ping_req"; "unknown" for codes not in the table. */
const char *content_name(uint16_t code);
const char *content_error_name(uint16_t error_code);

/* ---- compiled into whoever writes or decodes, so that cursors and slices stay in registers ----
 */

static inline size_t content_begin(struct wr *w, uint16_t code)
{
    size_t mark = wr_len(w) + 2;
    uint8_t *p = wr_claim(w, 2 + 4);
    if (LIKELY(p != NULL)) {
        (void)wr_at16(p, code);
    }
    return mark;
}

static inline void content_end(struct wr *w, size_t mark)
{
    size_t body_len = wr_len(w) - mark - 4;
    uint8_t *p = wr_claim(w, 4);
    if (UNLIKELY(p == NULL || body_len > UINT32_MAX)) {
        wr_fail(w);
        return;
    }
    (void)wr_at32(w->start + mark, (uint32_t)body_len);
    (void)wr_at32(p, 0); /* no extensions */
}

/* Any contents, right or wrong. */
enum err content_decode_unusual(struct slice payload, struct content *out,
                                struct slice *rest) MUST_USE;

/* The usual ones are without extensions.  No address of the caller's leaves this function: what has
 * just been read stays in registers. */
static inline enum err content_decode(struct slice payload, struct content *out, struct slice *rest)
{
    enum { AT_BODY = 2 + 4, WITHOUT_BODY = AT_BODY + 4 };
    const uint8_t *p = payload.data;
    bool is_long = payload.len >= WITHOUT_BODY;
    uint16_t code = is_long ? rd_at16(p) : 0;
    size_t body_len = is_long ? rd_at32(p + 2) : 0;
    if (UNLIKELY(code == 0 || (code >= CONTENT_RESERVED_FIRST && code != CONTENT_ERROR) ||
                 payload.len - WITHOUT_BODY < body_len || rd_at32(p + AT_BODY + body_len) != 0)) {
        struct content unusual;
        struct slice behind;
        enum err e = content_decode_unusual(payload, &unusual, &behind);
        *out = unusual;
        *rest = behind;
        return e;
    }
    size_t len = WITHOUT_BODY + body_len;
    out->code = code;
    out->has_critical = false;
    out->body = slice_of(p + AT_BODY, body_len);
    out->extensions = SLICE_EMPTY;
    out->bytes = slice_of(p, len);
    *rest = slice_of(p + len, payload.len - len);
    return ERR_OK;
}
