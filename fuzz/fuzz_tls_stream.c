/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_tls_stream.c - our own record layer of TLS 1.3 (link/tls_boring_stream.c), behind a
 * handshake of BoringSSL: a peer who has the keys and keeps no rule, whose records come in any
 * pieces.
 *
 * Input: which side we are and how often we take new keys, then steps of one byte and what each
 * needs (enum step).
 * Properties: what he sends as data comes whole and in order until the connection ends, and nothing
 * after; what waits for him is bounded by what we say; a cut record holds no more than its size; he
 * can open all that we say, up to the alert. */
#include "fuzz/real_tls.h"
#include "link/tls_boring_stream.h"

enum {
    HEAD = 5,
    DATA = 23,
    HANDSHAKE = 22,
    KEY_UPDATE = 24,
    INNER = TLS_RECORD_BYTES + 40,
    WIRE = 8 * INNER,
    ROUNDS = 10,
    SAID_MOST = 40,
};

enum step {
    STEP_DATA,
    STEP_LARGE,
    STEP_MESSAGE,    /* of any type, as it stands in the input */
    STEP_KEY_UPDATE, /* and what is to come is sealed with the next keys */
    STEP_RAW,        /* no record, or none with these keys */
    STEP_LEND,       /* some of what he has sent arrives */
    STEP_FEED,
    STEP_READ,
    STEP_SAY,
    STEP_PULL,
    STEP_SHUTDOWN,
    STEP_COUNT
};

static struct tls_boring *contexts[2];
static const struct tls_ops *ops;
static struct tls *us;
static struct tls_boring_half to_us, from_us; /* his, with the keys of their own */
static uint8_t wire[WIRE];
static size_t wire_len;
static uint64_t sent, come; /* bytes of data */
static bool is_wild;        /* he has sent what may end it */
static bool is_over;
static unsigned said;

/* ---- handshake */

static void move(struct tls *from, struct tls *to)
{
    static uint8_t bytes[4096];
    for (size_t len = 0; (len = ops->pull(from, bytes, sizeof(bytes))) > 0;) {
        CHECK(ops->feed(to, slice_of(bytes, len)) == ERR_OK);
    }
}

/* The other end is there for the handshake alone: its keys are his. */
static void open_both(enum tls_role ours)
{
    for (size_t i = 0; i < 2; i++) {
        contexts[i] = contexts[i] == NULL ? real_tls_context(i == 0 ? "we" : "he") : contexts[i];
    }
    struct tls *him = ops->open(contexts[1], ours == TLS_CLIENT ? TLS_SERVER : TLS_CLIENT);
    us = ops->open(contexts[0], ours);
    CHECK(us != NULL && him != NULL);
    (void)!ops->handshake(us);
    (void)!ops->handshake(him);
    for (size_t i = 0; i < ROUNDS; i++) {
        move(us, him);
        move(him, us);
    }
    CHECK(tls_boring_stream_is_up(us) && tls_boring_stream_is_up(him));
    to_us = him->stream->out; /* AES-GCM's keys hold nothing but themselves */
    from_us = him->stream->in;
    ops->close(him);
    wire_len = 0;
    sent = come = 0;
    is_wild = is_over = false;
    said = 0;
}

/* ---- he sends */

static uint8_t filler(uint64_t at)
{
    return (uint8_t)(at * 31 + (at >> 8));
}

static void forge(struct slice inner)
{
    uint8_t nonce[TLS_BORING_STREAM_NONCE], *out = wire + wire_len;
    size_t body = inner.len + TLS_BORING_STREAM_TAG, len = 0;
    if (is_over || HEAD + body > WIRE - wire_len) {
        is_wild = true; /* lost: he may not even know */
        return;
    }
    const uint8_t head[HEAD] = {DATA, 3, 3, (uint8_t)(body >> 8), (uint8_t)body};
    memcpy(out, head, HEAD);
    tls_boring_stream_nonce(&to_us, nonce);
    to_us.number++;
    CHECK(EVP_AEAD_CTX_seal(&to_us.keys, out + HEAD, &len, body, nonce, sizeof(nonce), inner.data,
                            inner.len, out, HEAD) == 1);
    wire_len += HEAD + body;
}

/* Data, then padding. */
static void forge_data(size_t len, size_t padding)
{
    static uint8_t inner[INNER];
    len = min_size(len, TLS_RECORD_BYTES);
    if (is_wild || HEAD + len + 1 + padding + TLS_BORING_STREAM_TAG > WIRE - wire_len) {
        return;
    }
    for (size_t i = 0; i < len; i++) {
        inner[i] = filler(sent + i);
    }
    inner[len] = DATA;
    memset(inner + len + 1, 0, padding);
    is_wild = len + 1 + padding > TLS_RECORD_BYTES + 1 || len == 0;
    sent += is_wild ? 0 : len;
    forge(slice_of(inner, len + 1 + padding));
}

static void forge_key_update(uint8_t request)
{
    const uint8_t inner[] = {KEY_UPDATE, 0, 0, 1, request, HANDSHAKE};
    is_wild = true; /* they are bounded */
    forge(slice_of(inner, sizeof(inner)));
    CHECK(tls_boring_stream_keys_update(&to_us));
}

/* ---- we read, and he what we say */

/* False: there is nothing more, yet or at all. */
static bool read_some(size_t cap)
{
    static struct fuzz_block block;
    static const uint8_t zeros[TLS_READ_BYTES];
    uint8_t *plain = fuzz_exact(&block, slice_of(zeros, min_size(cap, sizeof(zeros))));
    size_t len = 0;
    enum err e = ops->read(us, plain, cap, &len);
    CHECK(e == ERR_OK ? len > 0 && len <= cap : len == 0);
    CHECK(!is_over || e == ERR_CLOSED || e == ERR_IO);
    CHECK(e == ERR_OK || e == ERR_MORE || is_wild);
    for (size_t i = 0; i < len; i++, come++) {
        CHECK(is_wild || (come < sent && plain[i] == filler(come)));
    }
    is_over = is_over || (e != ERR_OK && e != ERR_MORE);
    if (e == ERR_MORE) {
        CHECK(us->lent.len == 0);
        CHECK(us->in.end - us->in.start < HEAD + TLS_RECORD_BYTES + 1 + TLS_BORING_STREAM_TAG);
        CHECK(us->in.cap <= 2 * (HEAD + TLS_RECORD_BYTES + 1 + TLS_BORING_STREAM_TAG));
    }
    return e == ERR_OK;
}

static void arrive(size_t len, bool is_lent)
{
    len = min_size(len, wire_len);
    uint8_t *exact = fuzz_copy(slice_of(wire, len));
    if (!is_over && len > 0) {
        enum err e =
            is_lent ? ops->lend(us, slice_of(exact, len)) : ops->feed(us, slice_of(exact, len));
        is_over = is_over || e != ERR_OK; /* more than TLS_BORING_BUFFER_CAP */
        is_wild = is_wild || e != ERR_OK;
        if (is_lent && len % 2 == 0) {
            (void)read_some(TLS_READ_BYTES);
        }
        ops->keep(us);
    }
    free(exact);
    memmove(wire, wire + len, wire_len - len);
    wire_len -= len;
}

/* Everything that waits: whole records, each authentic, with a KeyUpdate where the keys change. */
static void open_what_we_said(void)
{
    static uint8_t bytes[TLS_BORING_BUFFER_CAP], inner[INNER];
    size_t len = ops->pull(us, bytes, sizeof(bytes)), at = 0;
    while (at < len) {
        uint8_t nonce[TLS_BORING_STREAM_NONCE];
        size_t body = (size_t)bytes[at + 3] << 8 | bytes[at + 4], got = 0;
        CHECK(at + HEAD + body <= len);
        tls_boring_stream_nonce(&from_us, nonce);
        from_us.number++;
        CHECK(EVP_AEAD_CTX_open(&from_us.keys, inner, &got, sizeof(inner), nonce, sizeof(nonce),
                                bytes + at + HEAD, body, bytes + at, HEAD) == 1);
        CHECK(got > 1);
        if (inner[got - 1] == HANDSHAKE) {
            CHECK(got == TLS_BORING_STREAM_MESSAGE + 1 && inner[0] == KEY_UPDATE);
            CHECK(tls_boring_stream_keys_update(&from_us));
        }
        at += HEAD + body;
    }
    said = 0;
}

static void say(size_t len)
{
    static const uint8_t bytes[256];
    if (said < SAID_MOST && len > 0) {
        said += ops->write(us, slice_of(bytes, len)) == ERR_OK;
    }
    CHECK(us->stream->out.number <= us->stream->limit + 1);
}

static void step(struct rd *r)
{
    uint8_t what = rd_u8(r) % STEP_COUNT, how = rd_u8(r);
    switch ((enum step)what) {
    case STEP_DATA:
        forge_data(how, how % 7);
        break;
    case STEP_LARGE:
        forge_data((size_t)how << 6 | how, how % 5);
        break;
    case STEP_MESSAGE:
        is_wild = true;
        forge(fuzz_take(r, 255));
        break;
    case STEP_KEY_UPDATE:
        forge_key_update(how & 3);
        break;
    case STEP_RAW: {
        struct slice raw = fuzz_take(r, 255);
        is_wild = is_wild || raw.len > 0;
        if (raw.len > 0 && raw.len <= WIRE - wire_len) {
            memcpy(wire + wire_len, raw.data, raw.len);
            wire_len += raw.len;
        }
        break;
    }
    case STEP_LEND:
    case STEP_FEED:
        arrive(how < 128 ? how : (size_t)(how - 127) * 600, what == STEP_LEND);
        break;
    case STEP_READ:
        (void)read_some(how < 200 ? TLS_READ_BYTES : (size_t)how);
        break;
    case STEP_SAY:
        say(how);
        break;
    case STEP_PULL:
        open_what_we_said();
        break;
    case STEP_SHUTDOWN:
        if (how == 0) { /* rarely */
            ops->shutdown(us);
            said = SAID_MOST;
        }
        break;
    case STEP_COUNT:
        break;
    }
    CHECK(ops->waiting(us) <= (size_t)(SAID_MOST + 1) * (256 + 2 * TLS_BORING_STREAM_OVERHEAD + 5));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct rd r = rd_init(slice_of(data, size));
    uint8_t first = rd_u8(&r);
    ops = tls_boring_ops();
    open_both((first & 1) != 0 ? TLS_CLIENT : TLS_SERVER);
    us->stream->limit = us->stream->update_at = 1 + first / 2;
    while (rd_left(&r) > 1) {
        step(&r);
    }
    /* the rest arrives, and is all there when he has kept the rules */
    do {
        while (!is_over && read_some(TLS_READ_BYTES)) {}
        arrive(3 * TLS_RECORD_BYTES, true);
    } while (wire_len > 0 && !is_over);
    while (!is_over && read_some(TLS_READ_BYTES)) {}
    CHECK(is_wild || is_over || come == sent);
    open_what_we_said();
    ops->close(us);
    CHECK(tls_boring_counters(contexts[0]).open == 0);
    CHECK(tls_boring_counters(contexts[0]).buffer_bytes == 0);
    return 0;
}
