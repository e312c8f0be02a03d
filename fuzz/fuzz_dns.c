/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_dns.c - answers of name servers: what is read keeps to every cap, holds names that may be
 * asked for, and written anew, without compression, is read as the same.
 *
 * Input: a byte that chooses the type, a byte of flags, then
 *   flags 1  the whole message
 *   else     what follows the question, the header being made to fit: number of answers (2 bytes,
 *            of which 10 bits count), then the records */
#include "codec/dns.h"
#include "fuzz/fuzz.h"

enum { INPUT_CAP = 8192, MADE_CAP = 16384, WHOLE = 1 };

static const char question[] = "_sip._udp.a-1.example";

static void put_name(struct wr *w, const char *text)
{
    while (*text != '\0') {
        size_t len = 0;
        while (text[len] != '\0' && text[len] != '.') {
            len++;
        }
        wr_u8(w, (uint8_t)len);
        wr_bytes(w, slice_of(text, len));
        text += len + (text[len] == '.' ? 1 : 0);
    }
    wr_u8(w, 0);
}

static void put_string(struct wr *w, const char *text)
{
    wr_u8(w, (uint8_t)strlen(text));
    wr_bytes(w, slice_text(text));
}

static void put_head(struct wr *w, uint8_t rcode, enum dns_type type, uint16_t answers)
{
    const uint16_t words[] = {7, (uint16_t)(0x8180 | rcode), 1, answers, 0, 0};
    for (size_t i = 0; i < ARRAY_COUNT(words); i++) {
        wr_u16(w, words[i]);
    }
    put_name(w, question);
    wr_u16(w, (uint16_t)type);
    wr_u16(w, 1);
}

static void put_record(struct wr *w, enum dns_type type, uint32_t ttl_s, const struct dns_record *x)
{
    uint8_t bytes[2 * DNS_NAME_CAP];
    struct wr d = wr_init(bytes, sizeof(bytes));
    switch (type) {
    case DNS_A:
    case DNS_AAAA:
        wr_bytes(&d, slice_of(x->address.ip, type == DNS_A ? 4 : 16));
        break;
    case DNS_SRV:
        wr_u16(&d, x->priority);
        wr_u16(&d, x->weight);
        wr_u16(&d, x->port);
        put_name(&d, x->name);
        break;
    case DNS_NAPTR:
        wr_u16(&d, x->priority);
        wr_u16(&d, x->weight);
        put_string(&d, x->flags);
        put_string(&d, x->service);
        wr_u8(&d, 0);
        put_name(&d, x->name);
        break;
    case DNS_CNAME:
        break;
    }
    put_name(w, question);
    wr_u16(w, (uint16_t)type);
    wr_u16(w, 1);
    wr_u32(w, ttl_s);
    wr_u16(w, (uint16_t)wr_slice(&d).len);
    wr_bytes(w, wr_slice(&d));
    CHECK(wr_ok(&d) && wr_ok(w));
}

static void check_record(enum dns_type type, const struct dns_record *x)
{
    size_t len = strlen(x->name);
    CHECK(len < DNS_NAME_CAP && (len == 0 || dns_is_name(slice_of(x->name, len))));
    CHECK(strlen(x->service) < DNS_SERVICE_CAP && strlen(x->flags) < DNS_FLAGS_CAP);
    CHECK(x->address.family == (type == DNS_A ? 4 : type == DNS_AAAA ? 6 : 0));
}

static bool is_same(const struct dns_record *a, const struct dns_record *b)
{
    return a->priority == b->priority && a->weight == b->weight && a->port == b->port &&
           address_is_equal(&a->address, &b->address) && strcmp(a->name, b->name) == 0 &&
           strcmp(a->service, b->service) == 0 && strcmp(a->flags, b->flags) == 0;
}

static void write_anew(enum dns_type type, const struct dns_answer *a)
{
    static uint8_t made[MADE_CAP];
    struct dns_answer b;
    struct wr w = wr_init(made, sizeof(made));
    put_head(&w, a->rcode, type, (uint16_t)a->count);
    for (size_t i = 0; i < a->count; i++) {
        put_record(&w, type, a->ttl_s, &a->records[i]);
    }
    CHECK(dns_answer_decode(wr_slice(&w), slice_text(question), type, &b) == ERR_OK);
    CHECK(b.count == a->count && b.ttl_s == a->ttl_s && b.rcode == a->rcode && b.left_out == 0);
    for (size_t i = 0; i < b.count; i++) {
        CHECK(is_same(&a->records[i], &b.records[i]));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum dns_type types[] = {DNS_A, DNS_AAAA, DNS_SRV, DNS_NAPTR};
    static struct fuzz_block block;
    static uint8_t whole[INPUT_CAP + 64];
    struct dns_answer a;
    if (size < 4) {
        return 0;
    }
    enum dns_type type = types[data[0] % ARRAY_COUNT(types)];
    struct slice rest = slice_of(data + 2, min_size(size - 2, INPUT_CAP));
    if ((data[1] & WHOLE) == 0) {
        struct wr w = wr_init(whole, sizeof(whole));
        put_head(&w, 0, type, (uint16_t)((rest.data[0] << 8 | rest.data[1]) & 0x3ff));
        wr_bytes(&w, slice_from(rest, 2));
        CHECK(wr_ok(&w));
        rest = wr_slice(&w);
    }
    struct slice message = slice_of(fuzz_exact(&block, rest), rest.len);
    enum err e = dns_answer_decode(message, slice_text(question), type, &a);
    CHECK(e == ERR_OK || e == ERR_MALFORMED);
    if (e == ERR_OK) {
        CHECK(a.count <= DNS_RECORDS && a.ttl_s <= DNS_TTL_MAX_S && (a.count > 0 || a.ttl_s == 0));
        for (size_t i = 0; i < a.count; i++) {
            check_record(type, &a.records[i]);
        }
        write_anew(type, &a);
    }
    return 0;
}
