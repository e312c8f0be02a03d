/* SPDX-License-Identifier: Apache-2.0 */
/* show_stun.c - the JSON printer of STUN messages, in the shape of tests/vectors/own/README.md. */
#include "codec/show_inside.h"
#include "codec/stun.h"
#include "codec/stun_wr.h"

static void show_address(struct show *s, const struct address *a)
{
    char text[ADDRESS_TEXT_CAP];
    show_text(s, "{");
    show_number_of(s, "family", a->family == 4 ? CANDIDATE_IPV4 : CANDIDATE_IPV6);
    show_number_of(s, "port", a->port);
    show_key(s, "address");
    show_text(s, "\"");
    show_text(s, address_host_text(a, text));
    show_text(s, "\"}");
}

static void show_types(struct show *s, struct slice value)
{
    struct rd r = rd_init(value);
    uint16_t type = 0;
    show_text(s, "[");
    while (stun_type_next(&r, &type)) {
        show_comma(s);
        show_number(s, type);
    }
    show_text(s, "]");
}

static void show_algorithms(struct show *s, struct slice value)
{
    struct rd r = rd_init(value);
    struct stun_algorithm a;
    while (stun_algorithm_next(&r, &a)) {
        show_comma(s);
        show_text(s, "{");
        show_number_of(s, "algorithm", a.number);
        show_bytes_of(s, "parameters", a.parameters);
        show_text(s, "}");
    }
}

static void show_value(struct show *s, const struct stun_attr *a)
{
    switch (a->shape) {
    case STUN_SHAPE_RAW:
    case STUN_SHAPE_BYTES:
        show_bytes(s, a->value);
        break;
    case STUN_SHAPE_TYPES:
        show_types(s, a->value);
        break;
    case STUN_SHAPE_ALGORITHM:
        show_algorithms(s, a->value);
        break;
    case STUN_SHAPE_ALGORITHMS:
        show_text(s, "[");
        show_algorithms(s, a->value);
        show_text(s, "]");
        break;
    case STUN_SHAPE_ADDRESS:
    case STUN_SHAPE_XOR_ADDRESS:
        show_address(s, &a->address);
        break;
    case STUN_SHAPE_ERROR:
        show_text(s, "{");
        show_number_of(s, "code", a->error.code);
        show_bytes_of(s, "reason", a->error.reason);
        show_text(s, "}");
        break;
    case STUN_SHAPE_U32:
        show_number(s, a->number);
        break;
    case STUN_SHAPE_U64:
        show_hex_number(s, a->number, 16);
        break;
    case STUN_SHAPE_FLAG:
        show_text(s, "true");
        break;
    }
}

static const char *name_of(const struct stun_attr *a)
{
    if (a->is_ignored) {
        return "ignored";
    }
    return a->shape == STUN_SHAPE_RAW ? "unknown" : stun_attr_field(a->type);
}

static void top_stun(struct show *s)
{
    struct stun m;
    struct stun_attr a;
    stun_rd(s->r, &m);
    if (!rd_ok(s->r)) {
        return;
    }
    show_text(s, "{");
    show_number_of(s, "class", m.class);
    show_number_of(s, "method", m.method);
    show_bytes_of(s, "transaction_id", slice_of(m.transaction, sizeof(m.transaction)));
    show_key(s, "attributes");
    show_text(s, "[");
    for (struct stun_walk walk = stun_walk(m.wire); stun_walk_next(&walk, &a);) {
        show_comma(s);
        show_text(s, "{");
        show_number_of(s, "type", a.type);
        show_key(s, name_of(&a));
        show_value(s, &a);
        show_text(s, "}");
    }
    show_text(s, "]}");
}

static void again_stun(struct show *s)
{
    struct stun m;
    stun_rd(s->r, &m);
    if (rd_ok(s->r)) {
        stun_wr(s->w, &m);
    }
}

const struct show_entry show_stun_entry = {"StunMessage", top_stun, again_stun};
