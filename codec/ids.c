/* SPDX-License-Identifier: Apache-2.0 */
/* ids.c - see ids.h.  Hex and URIs are cold; the ring functions are what Chord calls often. */
#include "codec/ids.h"

static const char ids_digits[] = "0123456789abcdef";
static const char ids_scheme[] = "reload://";

bool ids_node_is_invalid(const struct node_id *id)
{
    static const struct node_id zero;
    return ids_node_is_equal(id, &zero);
}

struct node_id ids_node_wildcard(const struct rl_params *p)
{
    struct node_id id = {{0}};
    memset(id.bytes, 0xff, p->node_id_length);
    return id;
}

bool ids_node_is_wildcard(const struct node_id *id, const struct rl_params *p)
{
    struct node_id all = ids_node_wildcard(p);
    return ids_node_is_equal(id, &all);
}

enum err ids_node_of(struct slice bytes, const struct rl_params *p, struct node_id *out)
{
    memset(out, 0, sizeof(*out));
    if (bytes.len != p->node_id_length || bytes.len > sizeof(out->bytes)) {
        return ERR_MALFORMED;
    }
    memcpy(out->bytes, bytes.data, bytes.len);
    return ERR_OK;
}

void ids_rd_node(struct rd *r, const struct rl_params *p, struct node_id *out)
{
    memset(out, 0, sizeof(*out));
    const uint8_t *bytes = rd_take(r, p->node_id_length);
    if (bytes != NULL) {
        memcpy(out->bytes, bytes, p->node_id_length);
    }
}

void ids_wr_node(struct wr *w, const struct rl_params *p, const struct node_id *id)
{
    wr_bytes(w, ids_node_slice(id, p));
}

/* Four bytes at once: each half of one in a byte of its own, the first in the highest. */
static inline void hex_four(const uint8_t in[4], char out[8])
{
    const uint64_t each = UINT64_C(0x0101010101010101);
    uint64_t x = rd_at32(in);
    x = (x << 16 | x) & UINT64_C(0x0000ffff0000ffff);
    x = (x << 8 | x) & UINT64_C(0x00ff00ff00ff00ff);
    x = (x << 4 | x) & 0x0f * each;
    uint64_t letter = (x + 6 * each) >> 4 & each;
    (void)wr_at64((uint8_t *)out, x + '0' * each + ('a' - '0' - 10) * letter);
}

const char *ids_hex(struct slice bytes, char *out)
{
    size_t fours = bytes.len & ~(size_t)3;
    for (size_t i = 0; i < fours; i += 4) {
        hex_four(bytes.data + i, out + 2 * i);
    }
    for (size_t i = fours; i < bytes.len; i++) {
        out[2 * i] = ids_digits[bytes.data[i] >> 4];
        out[2 * i + 1] = ids_digits[bytes.data[i] & 15];
    }
    out[2 * bytes.len] = '\0';
    return out;
}

const char *ids_node_text(const struct node_id *id, const struct rl_params *p, char *out)
{
    return ids_hex(ids_node_slice(id, p), out);
}

/* 16 and what a hex digit is worth; 0 for anything else. */
static const uint8_t digits[256] = {
    ['0'] = 16, ['1'] = 17, ['2'] = 18, ['3'] = 19, ['4'] = 20, ['5'] = 21, ['6'] = 22, ['7'] = 23,
    ['8'] = 24, ['9'] = 25, ['a'] = 26, ['b'] = 27, ['c'] = 28, ['d'] = 29, ['e'] = 30, ['f'] = 31,
    ['A'] = 26, ['B'] = 27, ['C'] = 28, ['D'] = 29, ['E'] = 30, ['F'] = 31,
};

/* Eight digits at once, the first in the highest byte; false: one of them is none. */
static inline bool unhex_eight(const uint8_t *text, uint8_t out[4])
{
    const uint64_t each = UINT64_C(0x0101010101010101);
    uint64_t x = rd_at64(text);
    uint64_t letter = x >> 6 & each;
    uint64_t low = x & 0x0f * each;
    uint64_t high = (x & ~(letter << 5) & 0xf0 * each) ^ (0x30 * each + 0x10 * letter);
    uint64_t above = (low + 6 * each + 3 * letter) & 0x10 * each; /* '9', 'f' */
    uint64_t below = ~(low + 0x0f * each) & 0x10 * letter;        /* 'a' */
    if ((high | above | below) != 0) {
        return false;
    }
    uint64_t value = low + 9 * letter;
    value = (value >> 4 | value) & UINT64_C(0x00ff00ff00ff00ff);
    value = (value >> 8 | value) & UINT64_C(0x0000ffff0000ffff);
    (void)wr_at32(out, (uint32_t)(value >> 16 | value));
    return true;
}

enum err ids_unhex(struct slice text, uint8_t *out, size_t cap, size_t *out_len)
{
    *out_len = 0;
    if (text.len % 2 != 0) {
        return ERR_MALFORMED;
    }
    if (text.len / 2 > cap) {
        return ERR_TOO_LARGE;
    }
    size_t eights = text.len & ~(size_t)7;
    for (size_t i = 0; i < eights; i += 8) {
        if (!unhex_eight(text.data + i, out + i / 2)) {
            return ERR_MALFORMED;
        }
    }
    for (size_t i = eights; i < text.len; i += 2) {
        unsigned high = digits[text.data[i]], low = digits[text.data[i + 1]];
        if ((high & low & 16) == 0) {
            return ERR_MALFORMED;
        }
        out[i / 2] = (uint8_t)(high << 4 | (low & 15));
    }
    *out_len = text.len / 2;
    return ERR_OK;
}

static struct ring_id load_ring(const uint8_t *bytes)
{
    struct rd r = rd_init(slice_of(bytes, IDS_RING_BYTES));
    uint64_t hi = rd_u64(&r);
    return (struct ring_id){hi, rd_u64(&r)};
}

struct ring_id ids_ring_of_node(const struct node_id *id)
{
    return load_ring(id->bytes);
}

enum err ids_ring_of_resource(struct slice resource, struct ring_id *out)
{
    if (resource.len != IDS_RING_BYTES) {
        *out = (struct ring_id){0, 0};
        return ERR_MALFORMED;
    }
    *out = load_ring(resource.data);
    return ERR_OK;
}

void ids_ring_bytes(struct ring_id id, uint8_t out[IDS_RING_BYTES])
{
    struct wr w = wr_init(out, IDS_RING_BYTES);
    wr_u64(&w, id.hi);
    wr_u64(&w, id.lo);
}

struct node_id ids_node_of_ring(struct ring_id id)
{
    struct node_id node = {{0}};
    ids_ring_bytes(id, node.bytes);
    return node;
}

bool ids_ring_is_between(struct ring_id x, struct ring_id from, struct ring_id to)
{
    struct ring_id one = {0, 1};
    /* Both distances are taken from the first point inside, so that from == to means all of it. */
    struct ring_id first = ids_ring_plus(from, one);
    return !ids_ring_is_less(ids_ring_minus(to, first), ids_ring_minus(x, first));
}

/* The bytes up to `stop`, which is skipped too; false when there is none. */
static bool take_until(struct slice *rest, char stop, struct slice *out)
{
    const uint8_t *at = rest->len == 0 ? NULL : memchr(rest->data, stop, rest->len);
    if (at == NULL) {
        return false;
    }
    size_t len = (size_t)(at - rest->data);
    *out = slice_sub(*rest, 0, len);
    *rest = slice_from(*rest, len + 1);
    return true;
}

enum err ids_uri_parse(struct slice text, struct ids_uri *out)
{
    struct slice scheme = SLICE_LITERAL(ids_scheme);
    struct slice rest = slice_from(text, scheme.len);
    struct slice hex = SLICE_EMPTY;
    memset(out, 0, sizeof(*out));
    if (!slice_is_equal_nocase(slice_sub(text, 0, scheme.len), scheme)) {
        return ERR_MALFORMED;
    }
    if (!take_until(&rest, '@', &hex) || !take_until(&rest, '/', &out->overlay_name)) {
        return ERR_MALFORMED;
    }
    if (hex.len == 0 || out->overlay_name.len == 0) {
        return ERR_MALFORMED;
    }
    for (size_t i = 0; i < rest.len; i++) {
        if (digits[rest.data[i]] == 0) {
            return ERR_MALFORMED;
        }
    }
    out->specifier = rest;
    return ids_unhex(hex, out->destinations, sizeof(out->destinations), &out->destinations_len);
}

enum err ids_uri_node(struct slice text, const struct rl_params *p, struct node_id *id,
                      struct slice *overlay_name)
{
    struct ids_uri uri;
    enum err e = ids_uri_parse(text, &uri);
    memset(id, 0, sizeof(*id));
    *overlay_name = uri.overlay_name;
    if (e != ERR_OK) {
        return ERR_MALFORMED;
    }
    /* One node Destination: type 1, length, Node-ID.  Written out, since fwd stands above ids. */
    struct rd r = rd_init(slice_of(uri.destinations, uri.destinations_len));
    uint8_t type = rd_u8(&r);
    struct slice node = rd_opaque8(&r);
    if (!rd_is_done(&r) || type != 1 || uri.specifier.len != 0) {
        return ERR_MALFORMED;
    }
    return ids_node_of(node, p, id);
}

void ids_uri_wr_node(struct wr *w, const struct rl_params *p, const struct node_id *id,
                     struct slice overlay_name)
{
    const uint8_t head[2] = {1, p->node_id_length};
    char head_hex[2 * sizeof(head) + 1];
    char node_hex[IDS_NODE_TEXT_CAP];
    wr_bytes(w, SLICE_LITERAL(ids_scheme));
    wr_bytes(w, slice_of(ids_hex(slice_of(head, sizeof(head)), head_hex), 2 * sizeof(head)));
    wr_bytes(w, slice_of(ids_node_text(id, p, node_hex), 2u * p->node_id_length));
    wr_u8(w, '@');
    wr_bytes(w, overlay_name);
    wr_u8(w, '/');
}
