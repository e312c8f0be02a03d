/* SPDX-License-Identifier: Apache-2.0 */
/* dns.c - see dns.h. */
#include "codec/dns.h"

enum {
    HEADER_BYTES = 12,
    FLAG_RESPONSE = 0x8000,
    MASK_OPCODE = 0x7800,
    FLAG_TRUNCATED = 0x0200,
    MASK_RCODE = 0x000f,
    CLASS_IN = 1,
    LABEL_MAX = 63,
    POINTER = 0xc0,
    JUMPS = 16,
    FIXED_BYTES = 10 /* of a record, behind its name */
};

static void skip(struct rd *r, size_t len)
{
    (void)rd_bytes(r, len);
}

static bool is_host_byte(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

static bool is_same(const char *a, const char *b)
{
    while (*a == *b && *a != '\0') {
        a++;
        b++;
    }
    return *a == *b;
}

bool dns_is_name(struct slice name)
{
    size_t label = 0;
    for (size_t i = 0; i < name.len; i++) {
        if (name.data[i] == '.') {
            if (label == 0) {
                return false;
            }
            label = 0;
        } else if (!is_host_byte(slice_lower(name.data[i])) || ++label > LABEL_MAX) {
            return false;
        }
    }
    return name.len < DNS_NAME_CAP && label > 0;
}

/* ---- names (RFC 1035 4.1.4) */

struct text {
    char *out;
    size_t len;
    bool is_odd; /* has bytes that host names do not have */
};

static bool add_label(struct text *to, const uint8_t *label, size_t len)
{
    if (to->len + (to->len > 0 ? 1 : 0) + len >= DNS_NAME_CAP) {
        return false;
    }
    if (to->len > 0) {
        to->out[to->len++] = '.';
    }
    for (size_t i = 0; i < len; i++) {
        uint8_t c = slice_lower(label[i]);
        to->is_odd = to->is_odd || !is_host_byte(c);
        to->out[to->len++] = (char)c;
    }
    return true;
}

/* A name of `message`, where `r` stands; `out` has DNS_NAME_CAP bytes.  *is_odd: see dns.h. */
static void read_name(struct rd *r, struct slice message, char *out, bool *is_odd)
{
    struct text to = {.out = out};
    size_t least = (size_t)(r->at - message.data); /* pointers lead to before this */
    struct rd at = *r;
    unsigned jumps = 0;
    for (uint8_t first = rd_u8(&at); rd_ok(&at) && first != 0; first = rd_u8(&at)) {
        if (first >= POINTER) {
            size_t where = (size_t)(first & ~POINTER) << 8 | rd_u8(&at);
            if (jumps++ == 0 && rd_ok(&at)) {
                r->at = at.at;
            }
            if (rd_ok(&at) && (where >= least || jumps > JUMPS)) {
                rd_reject(&at, REJECT_INNER_LENGTH);
            }
            if (rd_ok(&at)) {
                least = where;
                at = rd_init(slice_from(message, where));
            }
            continue;
        }
        const uint8_t *label = first > LABEL_MAX ? NULL : rd_take(&at, first);
        if (label == NULL || !add_label(&to, label, first)) {
            rd_reject(&at, REJECT_UNKNOWN_TYPE);
        }
    }
    if (!rd_ok(&at)) {
        rd_reject(r, at.why);
    } else if (jumps == 0) {
        r->at = at.at;
    }
    out[to.len] = '\0';
    *is_odd = to.is_odd;
}

static void skip_name(struct rd *r)
{
    for (uint8_t first = rd_u8(r); rd_ok(r) && first != 0; first = rd_u8(r)) {
        if (first >= POINTER) {
            skip(r, 1);
            return;
        }
        if (first > LABEL_MAX) {
            rd_reject(r, REJECT_UNKNOWN_TYPE);
        }
        skip(r, first);
    }
}

/* ---- records */

struct record {
    struct rd data; /* its own bytes */
    uint32_t ttl_s;
    uint16_t type;
    bool is_ours; /* of class IN and the name that is looked for */
};

static void read_record(struct rd *r, struct slice message, const char *wanted, struct record *out)
{
    char owner[DNS_NAME_CAP];
    bool is_odd = false;
    read_name(r, message, owner, &is_odd);
    out->type = rd_u16(r);
    out->is_ours = rd_u16(r) == CLASS_IN && is_same(owner, wanted);
    out->ttl_s = rd_u32(r);
    out->ttl_s = out->ttl_s > DNS_TTL_MAX_S ? 0 : out->ttl_s;
    out->data = rd_init(rd_bytes(r, rd_u16(r)));
}

/* A <character-string> (RFC 1035 3.3) into a text of `cap` bytes, NUL included.  False: longer. */
static bool read_string(struct rd *r, char *out, size_t cap)
{
    struct slice text = rd_bytes(r, rd_u8(r));
    size_t len = text.len < cap ? text.len : 0;
    for (size_t i = 0; i < len; i++) {
        out[i] = text.data[i] == 0 ? '?' : (char)text.data[i];
    }
    out[len] = '\0';
    return text.len < cap;
}

static void change_case(char *text, uint8_t from, uint8_t to)
{
    for (; *text != '\0'; text++) {
        if ((uint8_t)*text >= from && (uint8_t)*text < from + 26) {
            *text = (char)(*text - from + to);
        }
    }
}

static bool read_naptr(struct rd *d, struct slice message, struct dns_record *out)
{
    bool is_odd = false;
    out->priority = rd_u16(d);
    out->weight = rd_u16(d);
    bool fits = read_string(d, out->flags, sizeof(out->flags));
    fits = read_string(d, out->service, sizeof(out->service)) && fits;
    skip(d, rd_u8(d)); /* the regular expression, which RFC 3263 4.1 does not use */
    read_name(d, message, out->name, &is_odd);
    change_case(out->flags, 'A', 'a');
    change_case(out->service, 'a', 'A');
    return fits && !is_odd;
}

/* The data of a record of `type`.  False: it is bad. */
static bool read_data(struct rd *d, struct slice message, enum dns_type type,
                      struct dns_record *out)
{
    bool is_odd = false;
    *out = (struct dns_record){0};
    switch (type) {
    case DNS_A:
    case DNS_AAAA: {
        struct slice ip = rd_bytes(d, type == DNS_A ? 4 : 16);
        out->address.family = type == DNS_A ? 4 : 6;
        if (ip.len > 0) {
            memcpy(out->address.ip, ip.data, ip.len);
        }
        break;
    }
    case DNS_SRV:
        out->priority = rd_u16(d);
        out->weight = rd_u16(d);
        out->port = rd_u16(d);
        read_name(d, message, out->name, &is_odd);
        break;
    case DNS_NAPTR:
        is_odd = !read_naptr(d, message, out);
        break;
    case DNS_CNAME:
        read_name(d, message, out->name, &is_odd);
        is_odd = is_odd || out->name[0] == '\0';
        break;
    }
    return rd_is_done(d) && !is_odd;
}

/* ---- the whole */

static uint16_t read_header(struct rd *r, struct dns_answer *out)
{
    skip(r, 2); /* the id: whoever asked has compared it */
    uint16_t flags = rd_u16(r);
    if ((flags & FLAG_RESPONSE) == 0 || (flags & (MASK_OPCODE | FLAG_TRUNCATED)) != 0) {
        rd_reject(r, REJECT_RESERVED_BITS);
    }
    out->rcode = flags & MASK_RCODE;
    if (rd_u16(r) != 1) {
        rd_reject(r, REJECT_UNKNOWN_TYPE);
    }
    uint16_t answers = rd_u16(r);
    skip(r, 4); /* authority, additional */
    return answers;
}

static void read_question(struct rd *r, struct slice message, const char *wanted,
                          enum dns_type type)
{
    char name[DNS_NAME_CAP];
    bool is_odd = false;
    read_name(r, message, name, &is_odd);
    uint16_t asked = rd_u16(r), class = rd_u16(r);
    if (rd_ok(r) && (!is_same(name, wanted) || asked != type || class != CLASS_IN)) {
        rd_reject(r, REJECT_UNKNOWN_TYPE);
    }
}

/* One pass over the answers: what `wanted` has of `type`; true: it has a CNAME instead, which is
 * `wanted` from now on. */
static bool pass(struct rd r, struct slice message, uint16_t answers, char *wanted,
                 enum dns_type type, struct dns_answer *out)
{
    struct dns_record alias = {0};
    uint32_t alias_ttl_s = 0;
    for (unsigned i = 0; i < answers; i++) {
        struct record one;
        read_record(&r, message, wanted, &one);
        if (!rd_ok(&r)) { /* its name is bad: what follows is not worth a guess */
            out->left_out++;
            break;
        }
        if (!one.is_ours || (one.type != type && one.type != DNS_CNAME)) {
            continue;
        }
        struct dns_record spare;
        bool is_alias = one.type != type;
        struct dns_record *to = is_alias                   ? &alias
                                : out->count < DNS_RECORDS ? &out->records[out->count]
                                                           : &spare;
        if (!read_data(&one.data, message, (enum dns_type)one.type, to) || to == &spare) {
            out->left_out++;
            alias.name[0] = is_alias ? '\0' : alias.name[0];
        } else if (is_alias) {
            alias_ttl_s = one.ttl_s;
        } else {
            out->ttl_s = one.ttl_s < out->ttl_s ? one.ttl_s : out->ttl_s;
            out->count++;
        }
    }
    if (out->count > 0 || alias.name[0] == '\0') {
        return false;
    }
    out->ttl_s = alias_ttl_s < out->ttl_s ? alias_ttl_s : out->ttl_s;
    memcpy(wanted, alias.name, DNS_NAME_CAP);
    return true;
}

/* Reads over all answers: afterwards every one is known to be whole. */
static void check_answers(struct rd r, uint16_t answers, enum reject *why)
{
    for (unsigned i = 0; i < answers && rd_ok(&r); i++) {
        skip_name(&r);
        skip(&r, FIXED_BYTES - 2);
        skip(&r, rd_u16(&r));
    }
    *why = r.why;
}

enum err dns_answer_decode(struct slice message, struct slice name, enum dns_type type,
                           struct dns_answer *out)
{
    char wanted[DNS_NAME_CAP];
    struct rd r = rd_init(message);
    enum reject why = REJECT_NONE;
    *out = (struct dns_answer){.ttl_s = DNS_TTL_MAX_S};
    if (!dns_is_name(name)) {
        return ERR_MALFORMED;
    }
    for (size_t i = 0; i < name.len; i++) {
        wanted[i] = (char)slice_lower(name.data[i]);
    }
    wanted[name.len] = '\0';
    uint16_t answers = read_header(&r, out);
    read_question(&r, message, wanted, type);
    if (rd_ok(&r)) {
        check_answers(r, answers, &why);
    }
    if (!rd_ok(&r) || why != REJECT_NONE) {
        return ERR_MALFORMED;
    }
    if (answers > DNS_ANSWERS) {
        out->left_out = answers - DNS_ANSWERS;
        answers = DNS_ANSWERS;
    }
    unsigned hops = 0;
    while (out->rcode == 0 && pass(r, message, answers, wanted, type, out)) {
        if (++hops > DNS_CNAMES) {
            return ERR_MALFORMED;
        }
    }
    out->ttl_s = out->count == 0 ? 0 : out->ttl_s;
    return ERR_OK;
}
