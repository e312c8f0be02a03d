/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_pidf.c - presence documents: what is accepted is taken apart into elements that lie inside
 * it, in order, with nothing but text, comments and instructions between them; put into a new
 * document, as the presence agent does, they are read again as just as many elements.
 *
 * Input: a byte (0: no prefix, else one), then the document. */
#include "codec/pidf.h"
#include "fuzz/fuzz.h"

/* 100 bytes are the least that an element of the input's size can grow by the root's attributes. */
enum { INPUT_CAP = 4096, MADE_CAP = 1 << 20 };

static void inside(struct slice part, struct slice text)
{
    CHECK(part.len == 0 ||
          (part.data >= text.data && part.data + part.len <= text.data + text.len));
}

static size_t count_elements(struct pidf p)
{
    struct slice element;
    size_t count = 0;
    while (pidf_next(&p, &element)) {
        count++;
    }
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct fuzz_block block;
    static uint8_t made[MADE_CAP];
    struct pidf p, again;
    if (size == 0) {
        return 0;
    }
    struct slice prefix = data[0] == 0 ? SLICE_EMPTY : SLICE_LITERAL("p0123456789abcdef-");
    size_t len = min_size(size - 1, INPUT_CAP);
    struct slice text = slice_of(fuzz_exact(&block, slice_of(data + 1, len)), len);
    enum err e = pidf_read(text, &p);
    CHECK(e == ERR_OK || e == ERR_MALFORMED || e == ERR_TOO_LARGE);
    if (e != ERR_OK) {
        return 0;
    }
    inside(p.root, text);
    inside(p.inside, text);
    size_t count = count_elements(p);
    struct sip_writer w;
    struct slice element, document;
    const uint8_t *last = p.inside.data;
    sip_write_init(&w, made, sizeof(made));
    sip_write_text(&w, "<presence xmlns=\"urn:ietf:params:xml:ns:pidf\" entity=\"pres:");
    pidf_write_text(&w, prefix);
    sip_write_text(&w, "\">");
    for (struct pidf walk = p; pidf_next(&walk, &element);) {
        inside(element, p.inside);
        CHECK(element.len >= 4 && element.data >= last); /* "<a/>" */
        CHECK(element.data[0] == '<' && element.data[element.len - 1] == '>');
        last = element.data + element.len;
        pidf_write(&w, &p, element, prefix);
    }
    sip_write_text(&w, "</presence>\r\n");
    if (sip_write_finish(&w, &document) != ERR_OK) {
        return 0; /* larger than any NOTIFY */
    }
    e = pidf_read(document, &again);
    CHECK(e == ERR_OK || e == ERR_TOO_LARGE); /* of attributes: its own, and the old root's */
    CHECK(e != ERR_OK || count_elements(again) == count);
    return 0;
}
