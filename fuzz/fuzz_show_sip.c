/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_show_sip.c - SIP as JSON: whatever the bytes, one object, and never a byte too far; a
 * message of a stream is judged as the datagram of the same bytes is.
 *
 * Input: the bytes, as a datagram, as a stream, and cut at the first NUL as a pair of URIs. */
#include "codec/show_sip.h"
#include "codec/sip_parser.h"
#include "fuzz/fuzz.h"
#include "fuzz/fuzz_json.h"

enum { INPUT_CAP = 16384, TEXT_CAP = 1 << 20 };
enum question { MESSAGE, STREAM, PAIR };

static uint8_t text[TEXT_CAP];

static enum err show(enum question q, struct slice a, struct slice b, struct wr *w)
{
    return q == MESSAGE  ? show_sip_message(a, w)
           : q == STREAM ? show_sip_stream(a, w)
                         : show_sip_uri_pair(a, b, w);
}

/* The answer; a block of its exact size takes it, one of a byte less does not. */
static struct slice ask(enum question q, struct slice a, struct slice b)
{
    struct wr w = wr_init(text, sizeof(text));
    CHECK(show(q, a, b, &w) == ERR_OK);
    struct slice answer = wr_slice(&w);
    CHECK(fuzz_json_is_object(answer));
    for (size_t less = 0; less < 2; less++) {
        uint8_t *block = malloc(answer.len - less);
        CHECK(block != NULL);
        w = wr_init(block, answer.len - less);
        CHECK(show(q, a, b, &w) == (less == 0 ? ERR_OK : ERR_TOO_LARGE));
        CHECK(less == 1 || slice_is_equal(wr_slice(&w), answer));
        free(block);
    }
    return answer;
}

static bool starts_with(struct slice s, const char *with)
{
    return slice_is_equal(slice_sub(s, 0, strlen(with)), slice_text(with));
}

/* Each framed message alone, once as what it is and once as a datagram. */
static void messages(struct slice in)
{
    static const char refused[] = "\"reject\":"; /* no text of a stranger is in this answer */
    static struct sip_parser p;
    size_t done = 0;
    sip_parser_init(&p, true);
    for (;;) {
        enum sip_parse parsed = sip_parser_feed(&p, slice_from(in, done));
        if (parsed == SIP_PARSE_MORE || p.consumed == 0) {
            return;
        }
        struct slice one = slice_sub(in, done, p.consumed);
        done += p.consumed;
        if (parsed == SIP_PARSE_OK && p.event != SIP_EVENT_MESSAGE) {
            continue;
        }
        struct slice answer = ask(STREAM, one, SLICE_EMPTY);
        CHECK(starts_with(answer, "{\"messages\":[{\"offset\":0,"));
        bool is_refused = false;
        for (size_t i = 0; i < answer.len; i++) {
            is_refused = is_refused || starts_with(slice_from(answer, i), refused);
        }
        answer = ask(MESSAGE, one, SLICE_EMPTY);
        CHECK(starts_with(answer, is_refused ? "{\"reject\":" : "{\"fields\":"));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size = min_size(size, INPUT_CAP);
    uint8_t *copy = fuzz_copy(slice_of(data, size));
    struct slice in = slice_of(copy, size);
    const uint8_t *nul = size == 0 ? NULL : memchr(copy, 0, size);
    size_t cut = nul == NULL ? size / 2 : (size_t)(nul - copy);
    (void)ask(MESSAGE, in, SLICE_EMPTY);
    (void)ask(STREAM, in, SLICE_EMPTY);
    (void)ask(PAIR, slice_sub(in, 0, cut), slice_from(in, nul == NULL ? cut : cut + 1));
    messages(in);
    free(copy);
    return 0;
}
