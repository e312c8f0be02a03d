/* SPDX-License-Identifier: Apache-2.0 */
/* wire_build_stun.c - JSON to STUN messages. */
#include "cmd/wire_build_inside.h"
#include "codec/stun_wr.h"

enum { SCRATCH_CAP = 65536 }; /* no attribute is longer */

struct scratch {
    struct build build;
    struct wr w;
    uint8_t bytes[SCRATCH_CAP];
};

/* Bytes that stun_wr copies from, read as if they were the message. */
static struct build *beside(struct build *b, struct scratch *s)
{
    s->w = wr_init(s->bytes, sizeof(s->bytes));
    s->build = *b;
    s->build.w = &s->w;
    return &s->build;
}

static void read_address(struct build *b, const json_t *v, struct address *out)
{
    struct build_object o = wire_build_open(b, v);
    uint64_t family = wire_build_number(b, wire_build_get(b, &o, "family"), "family", 2);
    uint16_t port =
        (uint16_t)wire_build_number(b, wire_build_get(b, &o, "port"), "port", UINT16_MAX);
    const char *text = json_string_value(wire_build_get(b, &o, "address"));
    if (text == NULL || address_parse(slice_text(text), port, out) != ERR_OK || out->port != port ||
        out->family != (family == CANDIDATE_IPV4 ? 4 : 6)) {
        wire_build_fail(b, "address", "wants an address of this family as text");
    }
    wire_build_close(b, &o);
}

static void read_algorithm(struct build *b, const json_t *v)
{
    struct build_object o = wire_build_open(b, v);
    wr_u16(b->w, (uint16_t)wire_build_number(b, wire_build_get(b, &o, "algorithm"), "algorithm",
                                             UINT16_MAX));
    size_t mark = wr_begin(b->w, 2);
    size_t len = wire_build_hex(b, wire_build_get(b, &o, "parameters"), "parameters").len;
    wr_end(b->w, 2, mark);
    for (size_t i = stun_padding(len); i > 0; i--) {
        wr_u8(b->w, 0);
    }
    wire_build_close(b, &o);
}

static void read_error(struct build *b, const json_t *v, struct stun_error *out)
{
    struct build_object o = wire_build_open(b, v);
    out->code = (uint16_t)wire_build_number(b, wire_build_get(b, &o, "code"), "code", UINT16_MAX);
    out->reason = wire_build_hex(b, wire_build_get(b, &o, "reason"), "reason");
    wire_build_close(b, &o);
}

/* Fills in the member that out->shape names. */
static void read_value(struct build *b, const json_t *v, const char *name, struct stun_attr *out)
{
    size_t count = 0;
    switch (out->shape) {
    case STUN_SHAPE_RAW:
    case STUN_SHAPE_BYTES:
        out->value = wire_build_hex(b, v, name);
        break;
    case STUN_SHAPE_TYPES:
        count = wire_build_count(b, v, name);
        for (size_t i = 0; i < count; i++) {
            wire_build_at(b, name, i);
            wr_u16(b->w, (uint16_t)wire_build_number(b, json_array_get(v, i), name, UINT16_MAX));
        }
        out->value = wr_slice(b->w);
        break;
    case STUN_SHAPE_ALGORITHM:
        read_algorithm(b, v);
        out->value = wr_slice(b->w);
        break;
    case STUN_SHAPE_ALGORITHMS:
        count = wire_build_count(b, v, name);
        for (size_t i = 0; i < count; i++) {
            wire_build_at(b, name, i);
            read_algorithm(b, json_array_get(v, i));
        }
        out->value = wr_slice(b->w);
        break;
    case STUN_SHAPE_ADDRESS:
    case STUN_SHAPE_XOR_ADDRESS:
        read_address(b, v, &out->address);
        break;
    case STUN_SHAPE_ERROR:
        read_error(b, v, &out->error);
        break;
    case STUN_SHAPE_U32:
        out->number = wire_build_number(b, v, name, UINT32_MAX);
        break;
    case STUN_SHAPE_U64:
        out->number = wire_build_number(b, v, name, UINT64_MAX);
        break;
    case STUN_SHAPE_FLAG:
        if (!wire_build_boolean(b, v, name)) {
            wire_build_fail(b, name, "is true or not there");
        }
        break;
    }
}

static void build_attribute(struct build *b, const json_t *v, size_t start)
{
    static _Thread_local struct scratch scratch;
    struct build_object o = wire_build_open(b, v);
    struct build *inner = beside(b, &scratch);
    struct stun_attr a = {
        .type = (uint16_t)wire_build_number(b, wire_build_get(b, &o, "type"), "type", UINT16_MAX)};
    const char *raw = wire_build_has(&o, "unknown") ? "unknown" : "ignored";
    bool is_raw = wire_build_has(&o, raw);
    const char *name = is_raw ? raw : stun_attr_field(a.type);
    if (name == NULL) {
        name = "unknown"; /* which is then what is missing */
    }
    a.shape = is_raw ? STUN_SHAPE_RAW : stun_attr_shape(a.type);
    const json_t *value = wire_build_get(b, &o, name);
    inner->failed = b->failed;
    wire_build_at(inner, name, BUILD_NO_INDEX);
    read_value(inner, value, name, &a);
    wire_build_close(b, &o);
    b->failed |= inner->failed;
    if (!wr_ok(inner->w)) {
        wr_fail(b->w);
    }
    if (!b->failed) {
        stun_wr_attr(b->w, start, &a);
    }
}

void wire_build_stun(struct build *b, const json_t *v)
{
    struct build_object o = wire_build_open(b, v);
    uint64_t class = wire_build_number(b, wire_build_get(b, &o, "class"), "class", 3);
    uint64_t method = wire_build_number(b, wire_build_get(b, &o, "method"), "method", 0xfff);
    uint8_t transaction[STUN_TRANSACTION_BYTES] = {0};
    struct wr id = wr_init(transaction, sizeof(transaction));
    struct build beside_id = *b;
    beside_id.w = &id;
    if (wire_build_hex(&beside_id, wire_build_get(b, &o, "transaction_id"), "transaction_id").len !=
        sizeof(transaction)) {
        wire_build_fail(b, "transaction_id", "wants 12 bytes as hex digits");
    }
    size_t start = stun_wr_begin(b->w, (enum stun_class) class, (uint16_t)method, transaction);
    const json_t *list = wire_build_get(b, &o, "attributes");
    size_t count = wire_build_count(b, list, "attributes");
    for (size_t i = 0; i < count && !b->failed; i++) {
        wire_build_at(b, "attributes", i);
        build_attribute(b, json_array_get(list, i), start);
    }
    wire_build_close(b, &o);
}
