/* SPDX-License-Identifier: Apache-2.0 */
/* content.c - see content.h. */
#include "codec/content.h"

void content_rd_extension(struct rd *r, struct content_extension *out)
{
    const uint8_t *start = r->at;
    out->type = rd_u16(r);
    out->critical = rd_bool(r);
    out->contents = rd_opaque32(r);
    if (out->type == 0) {
        rd_reject_at(r, REJECT_ZERO_TYPE, start);
    }
}

bool content_extension_next(struct rd *r, struct content_extension *out)
{
    if (rd_left(r) == 0) {
        return false;
    }
    content_rd_extension(r, out);
    return rd_ok(r);
}

/* Are they well-formed, and is one of them critical? */
static bool check_extensions(struct rd *r, struct slice list)
{
    struct rd extensions = rd_init(list);
    struct content_extension e;
    bool has_critical = false;
    while (content_extension_next(&extensions, &e)) {
        has_critical |= e.critical;
    }
    rd_close(r, &extensions);
    return has_critical;
}

/* content_rd, compiled into whoever decodes, where the cursor stays in registers. */
static inline __attribute__((always_inline)) void read_content(struct rd *r, struct content *out)
{
    const uint8_t *start = r->at;
    uint16_t code = rd_u16(r);
    if (UNLIKELY(code == 0)) {
        rd_reject_at(r, REJECT_ZERO_TYPE, start);
    } else if (UNLIKELY(code >= CONTENT_RESERVED_FIRST && code != CONTENT_ERROR)) {
        rd_reject_at(r, REJECT_RESERVED_CODE, start);
    }
    out->code = code;
    out->body = rd_opaque32(r);
    struct slice extensions = rd_opaque32(r);
    out->extensions = extensions;
    out->has_critical = false;
    if (UNLIKELY(extensions.len > 0)) {
        struct rd after = *r;
        out->has_critical = check_extensions(&after, extensions);
        *r = after;
    }
    out->bytes = rd_ok(r) ? slice_of(start, (size_t)(r->at - start)) : SLICE_EMPTY;
}

void content_rd(struct rd *r, struct content *out)
{
    read_content(r, out);
}

enum err content_decode_unusual(struct slice payload, struct content *out, struct slice *rest)
{
    struct rd r = rd_init(payload);
    read_content(&r, out);
    *rest = rd_rest(&r);
    return rd_finish(&r);
}

void content_wr(struct wr *w, uint16_t code, struct slice body, struct slice extensions)
{
    wr_u16(w, code);
    wr_opaque32(w, body);
    wr_opaque32(w, extensions);
}

void content_wr_extension(struct wr *w, const struct content_extension *e)
{
    wr_u16(w, e->type);
    wr_bool(w, e->critical);
    wr_opaque32(w, e->contents);
}

void content_rd_error(struct rd *r, struct content_error *out)
{
    out->code = rd_u16(r);
    out->info = rd_opaque16(r);
}

enum err content_error_decode(struct slice body, struct content_error *out)
{
    struct rd r = rd_init(body);
    content_rd_error(&r, out);
    return rd_finish(&r);
}

void content_wr_error(struct wr *w, uint16_t error_code, struct slice info)
{
    wr_u16(w, error_code);
    wr_opaque16(w, info);
}

enum err content_err_of(uint16_t error_code)
{
    switch (error_code) {
#define CONTENT_ERR(name, code, meaning, text)                                                     \
    case (code):                                                                                   \
        return ERR_##meaning;
#include "codec/content.def"
#undef CONTENT_ERR
    default:
        return ERR_REMOTE;
    }
}

uint16_t content_error_code_of(enum err e)
{
    static const struct {
        enum err meaning;
        uint16_t code;
    } map[] = {
#define CONTENT_ERR(name, code, meaning, text) {ERR_##meaning, (code)},
#include "codec/content.def"
#undef CONTENT_ERR
    };
    CHECK(e != ERR_OK);
    for (size_t i = 0; i < ARRAY_COUNT(map); i++) {
        if (map[i].meaning == e && e != ERR_REMOTE) {
            return map[i].code;
        }
    }
    /* Ways of saying "you may not" that the wire has one word for (6.3.3.1). */
    bool is_forbidden = e == ERR_BAD_SIGNATURE || e == ERR_BAD_CERTIFICATE ||
                        e == ERR_UNAUTHENTICATED || e == ERR_EXPIRED || e == ERR_REFUSED;
    return is_forbidden ? CONTENT_ERROR_FORBIDDEN : CONTENT_ERROR_INVALID_MESSAGE;
}

const char *content_name(uint16_t code)
{
    switch (code) {
#define CONTENT(name, code, text)                                                                  \
    case (code):                                                                                   \
        return text;
#include "codec/content.def"
#undef CONTENT
    default:
        return "unknown";
    }
}

const char *content_error_name(uint16_t error_code)
{
    switch (error_code) {
#define CONTENT_ERR(name, code, meaning, text)                                                     \
    case (code):                                                                                   \
        return text;
#include "codec/content.def"
#undef CONTENT_ERR
    default:
        return "unknown";
    }
}
