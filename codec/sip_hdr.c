/* SPDX-License-Identifier: Apache-2.0 */
/* Names by number, and the small values.  Header names are found by a perfect hash that the
 * compiler proves: two names in one slot would initialise it twice, which is an error.  The larger
 * values have files of their own: sip_hdr_via.c, sip_hdr_address.c, sip_hdr_digest.c. */
#include "codec/sip_hdr.h"

const struct sip_hdr_text sip_hdr_names[SIP_HDR_COUNT] = {
#define SIP_HDR(id, name, a, b, c, d, shape) [SIP_HDR_##id] = {name, sizeof(name) - 1},
#include "codec/sip_hdr.def"
#undef SIP_HDR
};

static const uint8_t shapes[SIP_HDR_COUNT] = {
    [SIP_HDR_OTHER] = SIP_HDR_SHAPE_PLAIN,
#define SIP_HDR(id, name, a, b, c, d, shape) [SIP_HDR_##id] = SIP_HDR_SHAPE_##shape,
#include "codec/sip_hdr.def"
#undef SIP_HDR
};

const uint8_t sip_hdr_guesses[256] = {
#define SIP_HDR(id, name, a, b, c, d, shape) [SIP_HDR_SLOT(a, b, c, d)] = SIP_HDR_##id,
#include "codec/sip_hdr.def"
#undef SIP_HDR
};

static const uint8_t by_letter[256] = {
#define SIP_HDR_COMPACT(id, letter) [letter] = SIP_HDR_##id,
#include "codec/sip_hdr.def"
#undef SIP_HDR_COMPACT
};

enum sip_hdr_id sip_hdr_find(struct slice name)
{
    if (name.len < 2) {
        return name.len == 0 ? SIP_HDR_OTHER : by_letter[name.data[0] | 0x20];
    }
    enum sip_hdr_id id = sip_hdr_guess(name.data, name.len);
    return slice_is_equal_nocase(name, sip_hdr_name(id)) ? id : SIP_HDR_OTHER;
}

struct slice sip_hdr_name(enum sip_hdr_id id)
{
    return slice_of(sip_hdr_names[id].text, sip_hdr_names[id].len);
}

enum sip_hdr_shape sip_hdr_shape(enum sip_hdr_id id)
{
    return (enum sip_hdr_shape)shapes[id];
}

static const struct slice methods[SIP_METHOD_COUNT] = {
#define SIP_METHOD(name) [SIP_METHOD_##name] = {(const uint8_t *)#name, sizeof(#name) - 1},
#include "codec/sip_method.def"
#undef SIP_METHOD
};

enum sip_method sip_hdr_method(struct slice token)
{
    if (token.len == 0) {
        return SIP_METHOD_OTHER;
    }
    for (enum sip_method m = SIP_METHOD_OTHER + 1; m < SIP_METHOD_COUNT; m++) {
        if (methods[m].data[0] == token.data[0] && slice_is_equal(token, methods[m])) {
            return m;
        }
    }
    return SIP_METHOD_OTHER;
}

struct slice sip_hdr_method_name(enum sip_method method)
{
    return methods[method];
}

static const struct slice transports[] = {
    [SIP_TRANSPORT_OTHER] = {NULL, 0},
    [SIP_TRANSPORT_UDP] = {(const uint8_t *)"UDP", 3},
    [SIP_TRANSPORT_TCP] = {(const uint8_t *)"TCP", 3},
    [SIP_TRANSPORT_TLS] = {(const uint8_t *)"TLS", 3},
    [SIP_TRANSPORT_WS] = {(const uint8_t *)"WS", 2},
    [SIP_TRANSPORT_WSS] = {(const uint8_t *)"WSS", 3},
    [SIP_TRANSPORT_SCTP] = {(const uint8_t *)"SCTP", 4},
};

enum sip_transport sip_hdr_transport(struct slice token)
{
    for (unsigned t = SIP_TRANSPORT_UDP; t < ARRAY_COUNT(transports); t++) {
        if (slice_is_equal_nocase(token, transports[t])) {
            return (enum sip_transport)t;
        }
    }
    return SIP_TRANSPORT_OTHER;
}

struct slice sip_hdr_transport_name(enum sip_transport transport)
{
    return transports[transport];
}

/* 1*DIGIT LWS Method */
enum err sip_hdr_cseq_decode(struct slice value, struct sip_hdr_cseq *out)
{
    value = sip_lex_trim(value);
    size_t digits = 0;
    while (digits < value.len && (sip_lex_class[value.data[digits]] & SIP_LEX_DIGIT) != 0) {
        digits++;
    }
    *out = (struct sip_hdr_cseq){.method_text = sip_lex_trim(slice_from(value, digits))};
    if (digits == value.len || !sip_lex_is_space(value.data[digits]) ||
        !sip_lex_is_token(out->method_text)) {
        return ERR_MALFORMED;
    }
    out->method = sip_hdr_method(out->method_text);
    return sip_lex_u32(slice_sub(value, 0, digits), INT32_MAX, &out->number);
}

enum err sip_hdr_number_decode(struct slice value, uint32_t max, uint32_t *out)
{
    return sip_lex_u32(sip_lex_trim(value), max, out);
}

enum err sip_hdr_max_forwards_decode(struct slice value, uint8_t *out)
{
    uint32_t number = 0;
    enum err e = sip_hdr_number_decode(value, UINT8_MAX, &number);
    *out = (uint8_t)number;
    return e;
}

bool sip_hdr_q_decode(struct slice s, uint16_t *milli)
{
    if (s.len == 0 || s.len > 5 || s.data[0] < '0' || s.data[0] > '1' ||
        (s.len > 1 && s.data[1] != '.')) {
        return false;
    }
    unsigned value = (unsigned)(s.data[0] - '0') * 1000;
    unsigned unit = 100;
    for (size_t i = 2; i < s.len; i++) {
        if (s.data[i] < '0' || s.data[i] > '9') {
            return false;
        }
        value += (unsigned)(s.data[i] - '0') * unit;
        unit /= 10;
    }
    if (value > 1000) {
        return false;
    }
    *milli = (uint16_t)value;
    return true;
}

enum err sip_hdr_call_id_check(struct slice value)
{
    if (value.len == 0) {
        return ERR_MALFORMED;
    }
    for (size_t i = 0; i < value.len; i++) {
        if (value.data[i] <= ' ' || value.data[i] >= 0x7f) {
            return ERR_MALFORMED;
        }
    }
    return ERR_OK;
}

enum err sip_hdr_event_decode(struct slice value, struct sip_hdr_event *out)
{
    value = sip_lex_trim(value);
    size_t end = 0;
    while (end < value.len && (sip_lex_class[value.data[end]] & SIP_LEX_TOKEN) != 0) {
        end++;
    }
    *out = (struct sip_hdr_event){
        .package = slice_sub(value, 0, end),
        .params = slice_from(value, end),
    };
    if (end == 0) {
        return ERR_MALFORMED;
    }
    struct slice rest = out->params;
    struct sip_lex_param param;
    enum err e;
    while ((e = sip_lex_param(&rest, &param)) == ERR_OK) {
        if (out->id.len == 0 && sip_lex_is_word(param.name, SLICE_LITERAL("id"))) {
            out->id = param.value;
        }
    }
    return e == ERR_NOT_FOUND ? ERR_OK : e;
}
