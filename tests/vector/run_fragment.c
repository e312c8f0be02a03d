/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/vector/run_fragment.h"
#include "codec/ids.h"
#include "dht/frag_hold.h"
#include "link/crypto_boring.h"
#include "tests/model/frag_stage.h"

#include <stdio.h>

static bool fail(char *why, size_t cap, const char *what, size_t number)
{
    (void)snprintf(why, cap, "%s (fragment %zu)", what, number);
    return false;
}

/* Bytes of a hex string in a block of their size, which the caller frees; NULL when it is none. */
static uint8_t *bytes_of(const json_t *hex, size_t *len)
{
    const char *text = json_string_value(hex);
    size_t bytes = text == NULL ? 0 : strlen(text) / 2;
    uint8_t *out = malloc(bytes == 0 ? 1 : bytes);
    if (out == NULL || text == NULL || ids_unhex(slice_text(text), out, bytes, len) != ERR_OK) {
        free(out);
        return NULL;
    }
    return out;
}

static struct rl_params params_of(const json_t *vector)
{
    const char *name = json_string_value(json_object_get(vector, "overlay_name"));
    const json_t *length = json_object_get(vector, "node_id_length");
    uint8_t sha1[CRYPTO_SHA1_BYTES];
    crypto_boring()->sha1(slice_text(name == NULL ? "" : name), sha1);
    struct rd low = rd_init(slice_of(sha1 + sizeof(sha1) - sizeof(uint32_t), sizeof(uint32_t)));
    return (struct rl_params){.overlay = rd_u32(&low),
                              .node_id_length =
                                  length == NULL ? 16 : (uint8_t)json_integer_value(length)};
}

/* A message that came out.  NULL: as it should be, and the first. */
static const char *judge(const json_t *vector, struct slice got, unsigned count)
{
    const char *expect = json_string_value(json_object_get(vector, "expect"));
    size_t len = 0;
    uint8_t *wanted = bytes_of(json_object_get(vector, "message"), &len);
    bool is_same = wanted != NULL && slice_is_equal(got, slice_of(wanted, len));
    free(wanted);
    if (expect == NULL || strcmp(expect, "complete") != 0) {
        return "a message came out where none should";
    }
    if (count > 1) {
        return "a second message came out";
    }
    return is_same ? NULL : "another message came out";
}

/* One fragment as overlay_receive takes it; true when it completed a message. */
static bool receive(struct frag_stage *s, struct slice bytes, struct frag_message *out)
{
    struct fwd h;
    if (fwd_decode(bytes, &s->params, &h) != ERR_OK) {
        return false; /* dropped, RX-2..RX-5 */
    }
    if (!fwd_is_whole(&h)) {
        return frag_stage_push(s, bytes, false, 0, out);
    }
    struct msgbuf *buf = msgbuf_acquire(&s->buffers, bytes.len);
    *out = (struct frag_message){.buf = buf};
    return buf != NULL && msgbuf_append(buf, bytes) == ERR_OK;
}

static bool run(struct frag_stage *s, const json_t *vector, char *why, size_t cap)
{
    const json_t *fragments = json_object_get(vector, "fragments");
    const char *expect = json_string_value(json_object_get(vector, "expect"));
    unsigned count = 0;
    if (expect == NULL || (strcmp(expect, "complete") != 0 && strcmp(expect, "incomplete") != 0)) {
        return fail(why, cap, "expect is neither complete nor incomplete", 0);
    }
    for (size_t i = 0; i < json_array_size(fragments); i++) {
        size_t len = 0;
        struct frag_message got;
        uint8_t *bytes = bytes_of(json_array_get(fragments, i), &len);
        bool is_complete = bytes != NULL && receive(s, slice_of(bytes, len), &got);
        free(bytes);
        if (bytes == NULL) {
            return fail(why, cap, "not hex", i);
        }
        if (!is_complete) {
            continue;
        }
        const char *wrong = judge(vector, msgbuf_slice(got.buf), ++count);
        msgbuf_release(&s->buffers, got.buf);
        if (wrong != NULL) {
            return fail(why, cap, wrong, i);
        }
    }
    if (count == 0 && strcmp(expect, "complete") == 0) {
        return fail(why, cap, "no message came out", json_array_size(fragments));
    }
    return true;
}

bool run_fragment(const json_t *vector, char *why, size_t cap)
{
    static const struct frag_settings settings = {.messages = 64,
                                                  .bytes = 1 << 20,
                                                  .max_message_bytes = FRAG_HOLD_BYTES,
                                                  .quiet_us = 1000000};
    struct frag_stage *s = frag_stage_make(&settings);
    s->params = params_of(vector);
    bool is_right = run(s, vector, why, cap);
    frag_stage_end(s); /* whatever did not become whole is gone after 15 s: CHECK */
    return is_right;
}
