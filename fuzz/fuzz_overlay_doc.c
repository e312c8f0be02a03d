/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_overlay_doc.c - the overlay configuration document, as it comes in a ConfigUpdate.
 *
 * Input: size of the arena, then the document. */
#include "fuzz/fuzz.h"
#include "node/overlay_doc.h"
#include "sim/crypto_fake.h"

enum { ARENA_MAX = 64 * 1024 };

static bool is_inside(struct slice s, const uint8_t *block, size_t len)
{
    return s.len == 0 || (s.data >= block && s.len <= len && s.data + s.len <= block + len);
}

static void check_good(const struct overlay_doc *doc, struct slice xml, const struct arena *arena)
{
    CHECK(doc->root_count <= OVERLAY_DOC_ROOTS_CAP);
    CHECK(doc->configuration_signers.count <= OVERLAY_DOC_IDS_CAP);
    CHECK(doc->kind_signers.count <= OVERLAY_DOC_IDS_CAP);
    CHECK(doc->bad_nodes.count <= OVERLAY_DOC_IDS_CAP);
    CHECK(doc->bootstrap_count <= OVERLAY_BOOTSTRAP_CAP);
    CHECK(doc->config.kind_count <= OVERLAY_KINDS_CAP);
    CHECK(memchr(doc->config.name, 0, sizeof(doc->config.name)) != NULL);
    CHECK(doc->config.name[0] != 0 && doc->config.node_id_length == 16);
    CHECK(doc->configuration.len > 0 && is_inside(doc->configuration, xml.data, xml.len));
    CHECK(is_inside(doc->signature, arena->base, arena->used));
    for (size_t i = 0; i < doc->root_count; i++) {
        CHECK(is_inside(doc->roots[i], arena->base, arena->used));
    }
    struct rng rng;
    struct crypto crypto;
    const char *why = NULL;
    rng_init(&rng, 1);
    crypto_fake_init(&crypto, &rng);
    enum err e = overlay_doc_verify(doc, &crypto, 1800000000000ULL, &why);
    CHECK(e != ERR_OK || doc->signature.len > 0);
    struct crypto_trust trust = overlay_doc_trust(doc);
    CHECK(trust.root_count == doc->root_count);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t block[ARENA_MAX];
    static struct overlay_doc doc;
    char why[OVERLAY_DOC_WHY_CAP] = "";
    struct rd r = rd_init(slice_of(data, size));
    uint8_t room = rd_u8(&r);
    struct slice xml = rd_rest(&r);
    uint8_t *copy = fuzz_copy(xml);
    struct arena arena;
    xml = slice_of(copy, xml.len);
    arena_init(&arena, block, room == 0 ? 64 : sizeof(block));
    enum err e = overlay_doc_parse(xml, SLICE_EMPTY, &arena, &doc, why);
    CHECK(e == ERR_OK || e == ERR_CONFIG);
    CHECK(memchr(why, 0, sizeof(why)) != NULL);
    if (e == ERR_OK) {
        check_good(&doc, xml, &arena);
    } else {
        CHECK(why[0] != 0);
    }
    free(copy);
    return 0;
}
