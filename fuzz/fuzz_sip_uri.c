/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_sip_uri.c - URIs: read alike in every way (sip_way.h), every part lies in the text, and the
 * comparison of RFC 3261 19.1.4 is reflexive and symmetric; equal URIs are one address of record.
 *
 * Input: two texts, cut at the first NUL. */
#include "codec/sip_way.h"
#include "fuzz/fuzz.h"

enum { INPUT_CAP = 2048 };

static void inside(struct slice part, struct slice text)
{
    CHECK(part.len == 0 || (part.data >= text.data && part.len <= text.len &&
                            part.data + part.len <= text.data + text.len));
}

static bool is_same(struct slice a, struct slice b)
{
    return a.len == b.len && (a.len == 0 || a.data == b.data);
}

static void ways(struct slice text, enum err expected, const struct sip_uri *u)
{
    static const enum sip_way all[] = {SIP_WAY_PLAIN, SIP_WAY_SSE42, SIP_WAY_AVX2};
    enum sip_way best = sip_way_best();
    for (size_t i = 0; i < ARRAY_COUNT(all) && all[i] <= best; i++) {
        struct sip_uri v;
        memset(&v, 0, sizeof(v));
        CHECK(SIP_WAY_CALL(all[i], uri, text, 0, text.len, &v) == expected);
        CHECK(expected != ERR_OK ||
              (v.scheme == u->scheme && v.host_kind == u->host_kind && v.port == u->port &&
               v.has_user == u->has_user && v.has_password == u->has_password &&
               v.has_headers == u->has_headers && v.has_lr == u->has_lr &&
               is_same(v.user, u->user) && is_same(v.password, u->password) &&
               is_same(v.host, u->host) && is_same(v.params, u->params) &&
               is_same(v.headers, u->headers)));
    }
}

/* False: no URI. */
static bool read(struct slice text, struct sip_uri *u)
{
    memset(u, 0, sizeof(*u));
    enum err e = sip_uri_decode(text, u);
    if (text.len == 0) {
        CHECK(e == ERR_MALFORMED);
        return false;
    }
    ways(text, e, u);
    if (e != ERR_OK) {
        return false;
    }
    inside(u->user, text);
    inside(u->password, text);
    inside(u->host, text);
    inside(u->params, text);
    inside(u->headers, text);
    struct sip_lex_param param;
    struct slice rest = u->params, value;
    while (sip_lex_param(&rest, &param) == ERR_OK) {
        inside(param.name, text);
        inside(param.value, text);
    }
    if (sip_uri_param(u, SLICE_LITERAL("transport"), &value)) {
        inside(value, text);
    }
    CHECK(sip_uri_is_equal(u, u));
    return true;
}

static size_t aor_of(const struct sip_uri *u, uint8_t *out, size_t cap)
{
    size_t len = 0;
    enum err e = sip_uri_aor(u, out, cap, &len);
    CHECK(len <= cap && (e == ERR_OK) == (len > 0));
    CHECK(e == ERR_OK || e == ERR_NOT_FOUND || e == ERR_TOO_LARGE);
    return e == ERR_OK ? len : 0;
}

static void pair(const struct sip_uri *a, const struct sip_uri *b)
{
    uint8_t x[INPUT_CAP], y[INPUT_CAP];
    bool is_equal = sip_uri_is_equal(a, b);
    CHECK(sip_uri_is_equal(b, a) == is_equal);
    if (is_equal && a->host_kind == SIP_LEX_HOST_NAME) { /* an IPv6 address has several texts */
        size_t len = aor_of(a, x, sizeof(x));
        CHECK(aor_of(b, y, sizeof(y)) == len && memcmp(x, y, len) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct fuzz_block first, second;
    struct sip_uri a, b;
    size = min_size(size, INPUT_CAP);
    const uint8_t *nul = size == 0 ? NULL : memchr(data, 0, size);
    size_t cut = nul == NULL ? size : (size_t)(nul - data);
    struct slice rest = nul == NULL ? SLICE_EMPTY : slice_of(nul + 1, size - cut - 1);
    struct slice one = slice_of(fuzz_exact(&first, slice_of(data, cut)), cut);
    struct slice two = slice_of(fuzz_exact(&second, rest), rest.len);
    bool is_one = read(one, &a), is_two = read(two, &b);
    if (is_one) {
        uint8_t small[8], large[INPUT_CAP];
        (void)aor_of(&a, small, sizeof(small));
        (void)aor_of(&a, large, sizeof(large));
    }
    if (is_one && is_two) {
        pair(&a, &b);
    }
    return 0;
}
