/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_prefs.c - what a record of the overlay and a phone's Contact say of devices, against what a
 * request wants (RFC 3840, 3841; sip/prefs, sip/grade).
 *
 * Input, parts with a NUL between them: Accept-Contact of a request, contact_prefs, parameters of a
 * Contact.  Kept parameters are kept again as they are; a grade that is written is read as the
 * same; ranks and grades keep to their ranges; and neither the caller's wish nor the record decides
 * more than yes or no. */
#include "codec/sip_parser.h"
#include "fuzz/fuzz.h"
#include "sip/grade.h"
#include "sip/prefs.h"

enum { PART_CAP = 1400 };

static struct sip_parser parser;

/* Up to the next NUL. */
static struct slice part(struct slice *rest)
{
    const uint8_t *end = rest->len == 0 ? NULL : memchr(rest->data, 0, rest->len);
    struct slice out = end == NULL ? *rest : slice_of(rest->data, (size_t)(end - rest->data));
    *rest = end == NULL ? SLICE_EMPTY : slice_from(*rest, out.len + 1);
    out.len = min_size(out.len, PART_CAP);
    return out;
}

/* A request that wants `accept`; without it where that makes no message. */
static const struct sip_msg *request_of(struct slice accept, uint8_t *text, size_t cap)
{
    static const char head[] = "INVITE sip:b@x SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bKa\r\n"
                               "From: <sip:a@x>;tag=1\r\nTo: <sip:b@x>\r\nCall-ID: c\r\n"
                               "CSeq: 1 INVITE\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n";
    for (int with = 1; with >= 0; with--) {
        struct wr w = wr_init(text, cap);
        wr_bytes(&w, slice_of(head, sizeof(head) - 1));
        if (with != 0) {
            wr_bytes(&w, SLICE_LITERAL("Accept-Contact: "));
            wr_bytes(&w, accept);
            wr_bytes(&w, SLICE_LITERAL("\r\n"));
        }
        wr_bytes(&w, SLICE_LITERAL("\r\n"));
        CHECK(wr_ok(&w));
        sip_parser_init(&parser, false);
        if (sip_parser_datagram(&parser, wr_slice(&w)) == SIP_PARSE_OK) {
            return &parser.msg;
        }
    }
    UNREACHABLE("a plain request");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct fuzz_block blocks[2];
    static uint8_t text[4096];
    struct slice rest = slice_of(data, size);
    struct slice accept = part(&rest), given = part(&rest), more = part(&rest);
    const struct sip_msg *m = request_of(accept, text, sizeof(text));
    struct slice prefs = slice_of(fuzz_exact(&blocks[0], given), given.len);
    struct slice params = slice_of(fuzz_exact(&blocks[1], more), more.len);

    (void)prefs_is_possible(m, prefs);
    struct grade g = grade_read(prefs);
    CHECK(g.q_milli <= GRADE_Q && g.steps >= 1 && g.steps <= GRADE_STEPS);
    uint8_t line[GRADE_CAP + 8];
    struct sip_writer w;
    struct slice out;
    sip_write_init(&w, line, sizeof(line));
    sip_write_text(&w, "(a=b)");
    grade_write(&w, &g);
    CHECK(sip_write_finish(&w, &out) == ERR_OK);
    struct grade again = grade_read(out);
    CHECK(again.q_milli == g.q_milli && again.steps == g.steps);

    uint16_t rank = 0;
    enum prefs_verdict v = prefs_judge(m, params, &rank);
    CHECK(v != PREFS_KEEP || rank <= PREFS_FULL);
    char kept[320], twice[320];
    size_t len = prefs_keep(params, kept, sizeof(kept));
    CHECK(len <= sizeof(kept));
    CHECK(prefs_keep(slice_of(kept, len), twice, sizeof(twice)) == len);
    CHECK(memcmp(kept, twice, len) == 0);
    uint8_t predicate[PREFS_WRITE_CAP];
    sip_write_init(&w, predicate, sizeof(predicate));
    if (prefs_write(&w, slice_of(kept, len)) && sip_write_finish(&w, &out) == ERR_OK) {
        (void)prefs_is_possible(m, out);
        g = grade_read(out);
        CHECK(grade_is_plain(&g)); /* no feature can pass for a parameter of the whole */
    }
    return 0;
}
