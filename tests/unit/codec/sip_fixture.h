/* SPDX-License-Identifier: Apache-2.0 */
/* sip_fixture.h - what the tests of the SIP codec share: inputs in heap blocks of exact size, so
 * that a byte read beyond the end is seen by AddressSanitizer, and the torture files. */
#pragma once
#include "codec/sip_parser.h"
#include <stdio.h>
#include <stdlib.h>

/* A copy in a block of exactly that size; free() the data. */
static inline struct slice fixture_copy(struct slice s)
{
    uint8_t *block = malloc(s.len == 0 ? 1 : s.len);
    if (block == NULL) {
        abort();
    }
    if (s.len > 0) {
        memcpy(block, s.data, s.len);
    }
    return slice_of(block, s.len);
}

static inline void fixture_free(struct slice s)
{
    free((void *)(uintptr_t)s.data);
}

/* tests/data/<path>, or an empty slice; tests run at the top of the tree. */
static inline struct slice fixture_file(const char *path)
{
    static uint8_t buffer[65536];
    char name[256];
    (void)snprintf(name, sizeof(name), "tests/data/%s", path);
    FILE *f = fopen(name, "rb");
    if (f == NULL) {
        return SLICE_EMPTY;
    }
    size_t len = fread(buffer, 1, sizeof(buffer), f);
    (void)fclose(f);
    return fixture_copy(slice_of(buffer, len));
}

static inline bool fixture_is(struct slice s, const char *text)
{
    return slice_is_equal(s, slice_text(text));
}

/* Parses `text` as a datagram that must be good. */
static inline struct slice fixture_parse(struct sip_parser *p, const char *text)
{
    struct slice bytes = fixture_copy(slice_text(text));
    sip_parser_init(p, false);
    if (sip_parser_datagram(p, bytes) != SIP_PARSE_OK || p->event != SIP_EVENT_MESSAGE) {
        (void)fprintf(stderr, "does not parse: %s at %u\n", p->fault.why, p->fault.offset);
        abort();
    }
    return bytes;
}
