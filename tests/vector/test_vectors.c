/* SPDX-License-Identifier: Apache-2.0 */
/* test_vectors.c - the golden vectors in tests/vectors/ (see the README there) through the runners
 * that build/MODE/vector_test uses too, and how many there are, so that none is passed over.
 *
 * The good structures are also cut at every length: refused, from a heap block of exactly that
 * size, so that an AddressSanitizer build sees any look behind the end.  Run from the top of the
 * tree. */
#include "tests/vector/run_structure.h"
#include "tests/vector/run_vector.h"

#include <criterion/criterion.h>
#include <stdio.h>

enum { WHY_CAP = 4096 };

static char why[WHY_CAP];
static unsigned failed;

static void learn(void *ctx, const json_t *vector, int line)
{
    (void)ctx, (void)line;
    cr_assert_not_null(vector);
    run_base_learn(vector);
}

static void check(void *ctx, const json_t *vector, int line)
{
    cr_assert_not_null(vector, "%s:%d", (const char *)ctx, line);
    bool is_right = run_vector(vector, why, sizeof(why));
    cr_expect(is_right, "%s:%d: %s: %s", (const char *)ctx, line, run_base_text(vector, "name"),
              why);
    failed += is_right ? 0 : 1;
}

static void cut(void *ctx, const json_t *vector, int line)
{
    struct slice bytes;
    cr_assert(run_base_bytes(vector, "hex", &bytes), "%s:%d", (const char *)ctx, line);
    /* A list that has no length in front is good when it is cut between two entries. */
    bool may_be_cut = strcmp(run_base_text(vector, "type"), "DestinationList") == 0;
    for (size_t len = 0; len < bytes.len && !may_be_cut; len++) {
        cr_assert(run_structure_refuses(vector, slice_of(bytes.data, len)), "%s cut to %zu bytes",
                  run_base_text(vector, "name"), len);
    }
    run_base_free(&bytes);
}

static unsigned each(const char *name, void (*use)(void *, const json_t *, int))
{
    char path[128];
    (void)snprintf(path, sizeof(path), "tests/vectors/%s.jsonl", name);
    int count = run_base_each(path, use, path, why, sizeof(why));
    cr_assert_gt(count, 0, "%s: run me from the top of the tree", why);
    return (unsigned)count;
}

static const struct {
    const char *name;
    unsigned count;
} files[] = {
    {"ack", 12},
    {"certificate", 16},
    {"certificate_selfsigned", 4},
    {"chord_hash", 36},
    {"chord_id", 24},
    {"chord_route", 24},
    {"common", 54},
    {"config", 15},
    {"config_bad", 24},
    {"config_signature", 12},
    {"contents", 30},
    {"data_signature", 168},
    {"fragment", 36},
    {"header", 39},
    {"link", 64},
    {"malformed_common", 257},
    {"malformed_contents", 123},
    {"malformed_header", 303},
    {"malformed_link", 469},
    {"malformed_message", 150},
    {"malformed_security", 208},
    {"malformed_storage", 1415},
    {"malformed_topology", 331},
    {"message", 90},
    {"node_id_length", 12},
    {"security", 36},
    {"signature_bad", 36},
    {"signature_good", 6},
    {"stat_digest", 9},
    {"storage", 192},
    {"topology", 83},
};

/* RFC 6940 6.3 to 6.7, 7 to 11; RFC 7904 3 */
Test(vectors, all)
{
    (void)each("certificate", learn);
    for (size_t i = 0; i < ARRAY_COUNT(files); i++) {
        cr_expect_eq(each(files[i].name, check), files[i].count, "%s", files[i].name);
    }
    cr_assert_eq(failed, 0);
    /* We are strict where the RFC leaves a choice, but for three: certificates with a subject are
     * issued by others (java-reload, danpascu) and are taken; so are two configuration documents
     * that run_config.h names. */
    cr_expect_eq(run_base_differences(), 3);
}

Test(vectors, structures_cut_at_every_length)
{
    static const char *const good[] = {"common", "header",  "contents", "security",
                                       "link",   "storage", "topology", "node_id_length"};
    for (size_t i = 0; i < ARRAY_COUNT(good); i++) {
        (void)each(good[i], cut);
    }
}

Test(vectors, messages_cut_at_every_length)
{
    (void)each("message", cut);
}
