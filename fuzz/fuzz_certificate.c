/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_certificate.c - the names in a certificate, and the judgement about it (RFC 6940 11.3,
 * 11.3.1).
 *
 * Input: flags, Node-ID length, then either a root and a certificate as DER, or a list of names out
 * of which a certificate is built here and signed anew, since no mutation ever hits a signature.
 * What is built has one right verdict, which is known without the code under test. */
#include "codec/ids.h"
#include "fuzz/fuzz.h"
#include "link/crypto_issue.h"

enum {
    FLAG_SELF_PERMITTED = 1,
    FLAG_SHA256 = 2,
    FLAG_BUILD = 4,
    FLAG_SELF = 8,      /* built: self-signed */
    FLAG_OWN_IDS = 16,  /* built: Node-IDs are digests of the key */
    FLAG_EXPIRED = 32,  /* judged after its end, */
    FLAG_TOO_EARLY = 64 /* or before its beginning */
};
enum name { NAME_NODE, NAME_USER, NAME_URI, NAME_DNS, NAME_ADDRESS, NAME_ANY, NAME_COUNT };
enum {
    DER_SEQUENCE = 0x30,
    DER_SET = 0x31,
    DER_OCTETS = 0x04,
    DER_BITS = 0x03,
    DER_EMAIL = 0x81,
    DER_DNS = 0x82,
    DER_URI = 0x86,
    DER_ADDRESS = 0x87,
    NAMES_MAX = 12,
    NAME_MAX = 140, /* bytes; one longer than a user may be is among them */
};
#define FROM_MS 1700000000000ULL
#define UNTIL_MS 1900000000000ULL
#define OVERLAY SLICE_LITERAL("overlay.example.org")

static struct {
    struct crypto_key *root_key, *key;
    uint8_t root[CRYPTO_BORING_CERTIFICATE_CAP], spki[CRYPTO_PUBLIC_KEY_CAP];
    size_t root_len, spki_len;
} fixed;

/* What is built, and what must be said about it. */
struct plan {
    struct crypto_trust trust;
    bool is_self, has_own_ids;
    unsigned users, ids, strangers;
    bool is_user_good, are_ids_good;
    bool is_unsure; /* there is a URI of the fuzzer's own making */
    struct slice user;
    uint8_t node_ids[NAMES_MAX][20];
};

/* ---- keys and root, once ---- */

static struct crypto_key *ed25519(uint8_t fill)
{
    uint8_t pkcs8[48] = {0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06,
                         0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20};
    struct crypto_key *key = NULL;
    memset(pkcs8 + 16, fill, 32);
    CHECK(crypto_boring_key_load(slice_of(pkcs8, sizeof(pkcs8)), &key) == ERR_OK);
    return key;
}

static void prepare(void)
{
    if (fixed.key != NULL) {
        return;
    }
    fixed.root_key = ed25519(1);
    fixed.key = ed25519(2);
    struct crypto_issue root = {.issuer_key = fixed.root_key,
                                .common_name = SLICE_LITERAL("root"),
                                .overlay_name = OVERLAY,
                                .not_before_ms = FROM_MS,
                                .not_after_ms = UNTIL_MS,
                                .is_ca = true};
    CHECK(crypto_issue_certificate(&root, fixed.root, sizeof(fixed.root), &fixed.root_len) ==
          ERR_OK);
    CHECK(crypto_boring_key_public(fixed.key, fixed.spki, sizeof(fixed.spki), &fixed.spki_len) ==
          ERR_OK);
}

/* ---- DER, from the inside out ---- */

static uint8_t der[1 << 16];
static struct wr made;

static struct slice wrap(uint8_t tag, struct slice inside)
{
    uint8_t *start = made.at;
    wr_u8(&made, tag);
    if (inside.len >= 256) {
        wr_u8(&made, 0x82);
        wr_u16(&made, (uint16_t)inside.len);
    } else {
        if (inside.len >= 128) {
            wr_u8(&made, 0x81);
        }
        wr_u8(&made, (uint8_t)inside.len);
    }
    wr_bytes(&made, inside);
    CHECK(wr_ok(&made));
    return slice_of(start, (size_t)(made.at - start));
}

/* Appends one slice to another that was made last. */
static struct slice row(const struct slice *parts, size_t count)
{
    uint8_t *start = made.at;
    for (size_t i = 0; i < count; i++) {
        wr_bytes(&made, parts[i]);
    }
    CHECK(wr_ok(&made));
    return slice_of(start, (size_t)(made.at - start));
}

static struct slice sequence(const struct slice *parts, size_t count)
{
    return wrap(DER_SEQUENCE, row(parts, count));
}

static struct slice common_name(struct slice text)
{
    struct slice parts[2] = {SLICE_LITERAL("\x06\x03\x55\x04\x03"), wrap(0x0c, text)};
    struct slice set = wrap(DER_SET, sequence(parts, 2));
    return sequence(&set, 1);
}

static struct slice bits(struct slice bytes)
{
    struct slice parts[2] = {SLICE_LITERAL("\0"), bytes};
    return wrap(DER_BITS, row(parts, 2));
}

static struct slice certificate(struct slice names, bool is_self)
{
    static const struct slice ed25519_id = SLICE_LITERAL("\x30\x05\x06\x03\x2b\x65\x70");
    struct slice period[2] = {wrap(0x17, SLICE_LITERAL("231114221320Z")),
                              wrap(0x17, SLICE_LITERAL("300317174640Z"))};
    struct slice san[3] = {SLICE_LITERAL("\x06\x03\x55\x1d\x11"), SLICE_LITERAL("\x01\x01\xff"),
                           wrap(DER_OCTETS, names)};
    struct slice extension = sequence(san, 3);
    struct slice extensions = sequence(&extension, 1);
    struct slice tbs[] = {
        SLICE_LITERAL("\xa0\x03\x02\x01\x02\x02\x01\x07"), /* version 3, serial number 7 */
        ed25519_id,
        common_name(is_self ? SLICE_LITERAL("self") : SLICE_LITERAL("root")),
        sequence(period, 2),
        is_self ? common_name(SLICE_LITERAL("self")) : SLICE_LITERAL("\x30\x00"),
        slice_of(fixed.spki, fixed.spki_len),
        wrap(0xa3, extensions),
    };
    uint8_t signature[CRYPTO_SIGNATURE_CAP];
    size_t len = 0;
    struct slice body = sequence(tbs, ARRAY_COUNT(tbs));
    CHECK(crypto_boring()->sign(is_self ? fixed.key : fixed.root_key, body, signature, &len) ==
          ERR_OK);
    struct slice all[3] = {body, ed25519_id, bits(slice_of(signature, len))};
    return sequence(all, 3);
}

/* ---- names ---- */

static bool is_all(const uint8_t *bytes, size_t len, uint8_t value)
{
    size_t same = 0;
    while (same < len && bytes[same] == value) {
        same++;
    }
    return same == len;
}

static struct slice node_name(struct plan *plan, struct slice bytes, unsigned count)
{
    uint8_t *id = plan->node_ids[plan->ids];
    size_t len = plan->trust.node_id_length;
    char text[2 * 22 + 1];
    uint8_t destination[22] = {1, (uint8_t)len};
    if (plan->has_own_ids) {
        crypto_issue_self_node_id(slice_of(fixed.spki, fixed.spki_len), plan->ids, count,
                                  plan->trust.self_signed_sha256, (uint8_t)len, id);
    } else if (bytes.len > 0) {
        memcpy(id, bytes.data, min_size(bytes.len, len));
    }
    plan->are_ids_good = plan->are_ids_good && !is_all(id, len, 0) && !is_all(id, len, 0xff);
    plan->ids++;
    memcpy(destination + 2, id, len);
    (void)ids_hex(slice_of(destination, 2 + len), text);
    struct slice parts[4] = {SLICE_LITERAL("reload://"), slice_text(text), SLICE_LITERAL("@"),
                             OVERLAY};
    return wrap(DER_URI, row(parts, 4));
}

static struct slice user_name(struct plan *plan, struct slice bytes)
{
    bool good = bytes.len > 0 && bytes.len <= CRYPTO_USER_CAP;
    for (size_t i = 0; i < bytes.len; i++) {
        good = good && bytes.data[i] > ' ' && bytes.data[i] < 0x7f;
    }
    plan->is_user_good = good;
    plan->user = bytes;
    plan->users++;
    return wrap(DER_EMAIL, bytes);
}

static struct slice one_name(struct plan *plan, enum name kind, struct slice bytes, unsigned count)
{
    switch (kind) {
    case NAME_NODE:
        return node_name(plan, bytes, count);
    case NAME_USER:
        return user_name(plan, bytes);
    case NAME_URI:
        plan->is_unsure = true;
        return wrap(DER_URI, bytes);
    case NAME_DNS:
        plan->strangers++;
        return wrap(DER_DNS, bytes);
    case NAME_ADDRESS:
        plan->strangers++;
        return wrap(DER_ADDRESS, bytes);
    case NAME_ANY:
    case NAME_COUNT:
        break;
    }
    plan->is_unsure = true;
    return wrap(bytes.len > 0 ? bytes.data[0] : 0xa0, slice_from(bytes, 1));
}

/* The list of the input as GeneralNames. */
static struct slice read_names(struct rd *r, struct plan *plan)
{
    enum name kinds[NAMES_MAX];
    struct slice texts[NAMES_MAX], names[NAMES_MAX];
    unsigned count = 0, nodes = 0;
    while (count < NAMES_MAX && rd_left(r) > 0) {
        kinds[count] = (enum name)(rd_u8(r) % NAME_COUNT);
        texts[count] = fuzz_take(r, NAME_MAX);
        nodes += kinds[count] == NAME_NODE ? 1 : 0;
        count++;
    }
    plan->are_ids_good = true;
    for (unsigned i = 0; i < count; i++) {
        names[i] = one_name(plan, kinds[i], texts[i], nodes);
    }
    return sequence(names, count);
}

/* ---- verdicts ---- */

static enum err expected(const struct plan *plan, uint8_t flags)
{
    bool names = plan->users == 1 && plan->is_user_good && plan->ids >= 1 &&
                 plan->ids <= CRYPTO_NODE_IDS_CAP && plan->are_ids_good && plan->strangers == 0;
    if (!names) {
        return ERR_BAD_CERTIFICATE;
    }
    if (plan->is_self && !plan->trust.self_signed_permitted) {
        return ERR_BAD_CERTIFICATE;
    }
    if (plan->is_self && !plan->has_own_ids) {
        return ERR_BAD_CERTIFICATE; /* that a digest was guessed is not to be expected */
    }
    return (flags & (FLAG_EXPIRED | FLAG_TOO_EARLY)) != 0 ? ERR_EXPIRED : ERR_OK;
}

/* What holds of every certificate that is accepted. */
static void check_good(const struct crypto_certificate *c, const struct crypto_trust *trust)
{
    CHECK(c->node_id_count >= 1 && c->node_id_count <= CRYPTO_NODE_IDS_CAP);
    CHECK(c->node_id_length == trust->node_id_length);
    CHECK(c->user_len >= 1 && c->user_len <= CRYPTO_USER_CAP);
    CHECK(strlen(c->user) == c->user_len);
    CHECK(c->algorithm != CRYPTO_ALGORITHM_NONE);
    CHECK(c->public_key_len > 0 && c->public_key_len <= CRYPTO_PUBLIC_KEY_CAP);
    for (size_t i = 0; i < c->node_id_count; i++) {
        const uint8_t *id = c->node_ids[i];
        size_t len = c->node_id_length;
        CHECK(!is_all(id, len, 0) && !is_all(id, len, 0xff));
        CHECK(is_all(id + len, 20 - len, 0));
    }
}

static enum err judge(struct slice leaf, const struct crypto_trust *trust, uint8_t flags,
                      struct crypto_certificate *c)
{
    const char *why = NULL;
    uint64_t at_ms = (flags & FLAG_EXPIRED) != 0     ? UNTIL_MS + 1000000
                     : (flags & FLAG_TOO_EARLY) != 0 ? FROM_MS - 1000000
                                                     : 1800000000000ULL;
    uint8_t *copy = fuzz_copy(leaf);
    enum err e =
        crypto_boring()->certificate(slice_of(copy, leaf.len), NULL, 0, trust, at_ms, c, &why);
    CHECK(e == ERR_OK || e == ERR_BAD_CERTIFICATE || e == ERR_EXPIRED || e == ERR_MALFORMED);
    CHECK(why != NULL && why[0] != 0);
    if (e == ERR_OK) {
        check_good(c, trust);
    }
    free(copy);
    return e;
}

static void build(struct rd *r, struct plan *plan, uint8_t flags)
{
    struct crypto_certificate c;
    made = wr_init(der, sizeof(der));
    plan->is_self = (flags & FLAG_SELF) != 0;
    plan->has_own_ids = (flags & FLAG_OWN_IDS) != 0;
    struct slice leaf = certificate(read_names(r, plan), plan->is_self);
    enum err e = judge(leaf, &plan->trust, flags, &c);
    if (plan->is_unsure) {
        return;
    }
    CHECK(e == expected(plan, flags));
    if (e == ERR_OK) {
        CHECK(slice_is_equal(slice_text(c.user), plan->user));
        CHECK(c.node_id_count == plan->ids && c.algorithm == CRYPTO_ED25519);
        CHECK(memcmp(c.node_ids, plan->node_ids, 20 * (size_t)plan->ids) == 0);
        CHECK(c.not_before_ms == FROM_MS && c.not_after_ms == UNTIL_MS);
        CHECK(slice_is_equal(slice_of(c.public_key, c.public_key_len),
                             slice_of(fixed.spki, fixed.spki_len)));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct rd r = rd_init(slice_of(data, size));
    uint8_t flags = rd_u8(&r);
    struct plan plan = {.trust = {.overlay_name = OVERLAY}};
    struct crypto_certificate c;
    prepare();
    plan.trust.node_id_length = (uint8_t)(16 + rd_u8(&r) % 5);
    plan.trust.self_signed_permitted = (flags & FLAG_SELF_PERMITTED) != 0;
    plan.trust.self_signed_sha256 = (flags & FLAG_SHA256) != 0;
    struct slice root = slice_of(fixed.root, fixed.root_len);
    plan.trust.roots = &root;
    plan.trust.root_count = 1;
    if ((flags & FLAG_BUILD) != 0) {
        build(&r, &plan, flags);
        return 0;
    }
    root = fuzz_take(&r, UINT16_MAX);
    struct slice leaf = rd_rest(&r);
    uint8_t key[CRYPTO_PUBLIC_KEY_CAP];
    size_t len = 0;
    enum crypto_algorithm algorithm = CRYPTO_ALGORITHM_NONE;
    enum err e = crypto_boring_certificate_key(leaf, key, sizeof(key), &len, &algorithm);
    CHECK((e == ERR_OK) == (len > 0) && len <= sizeof(key));
    if (judge(leaf, &plan.trust, flags, &c) == ERR_OK) {
        CHECK(e == ERR_OK && algorithm == c.algorithm && c.public_key_len == len);
    }
    return 0;
}
