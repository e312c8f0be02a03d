/* SPDX-License-Identifier: Apache-2.0 */
/* `chordial ca update` and what a node makes of what it writes: judged by those before it, and of
 * two files at a start the newest that is valid (RFC 6940 6.5.4.2, 11.1; CU-4, CU-6, CF-2). */
#include "cmd/ca_update.h"
#include "cmd/setup.h"
#include "codec/content.h"
#include "dht/config_sequence.h"
#include "link/crypto_boring.h"
#include "node/overlay_doc_keep.h"
#include "node/overlay_schema.h"
#include <criterion/criterion.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define OVERLAY_NAME "voice.example"
#define NOW_MS UINT64_C(1800000000000)
#define DAY_MS UINT64_C(86400000)

enum { CAP = 64 * 1024, PRIVATE_KIND = 0x70000001 };

static char top[64];
static char why[SAY_WHY_CAP];
static struct overlay_schema *schema;
static struct overlay_doc_keep keep;
static void *block;

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *at)
{
    (void)status;
    (void)type;
    (void)at;
    return remove(path);
}

static struct slice read_text(const char *path)
{
    struct slice text;
    cr_assert_eq(files_read(path, &text, NULL), ERR_OK, "%s", path);
    return text;
}

static void init(const char *dir, const char *overlay)
{
    struct ca_init what = {.dir = dir,
                           .overlay = overlay,
                           .bootstrap = {{.family = 4, .port = 6084, .ip = {192, 0, 2, 1}}},
                           .bootstrap_count = 1,
                           .digest = "md5",
                           .algorithm = CRYPTO_ED25519,
                           .links = OVERLAY_LINKS_TRUNK,
                           .replica_min_hosts = 2,
                           .max_credentials = 24,
                           .now_ms = NOW_MS};
    cr_assert_eq(ca_init(&what, why), ERR_OK, "%s", why);
}

static void setup(void)
{
    struct arena arena;
    char reason[OVERLAY_DOC_WHY_CAP];
    snprintf(top, sizeof(top), "/tmp/chordial-caup.XXXXXX");
    cr_assert_not_null(mkdtemp(top));
    cr_assert_eq(chdir(top), 0);
    init("ca", OVERLAY_NAME);
    schema = overlay_schema_new();
    block = calloc(1, overlay_doc_keep_bytes(CAP));
    cr_assert(block != NULL && schema != NULL);
    arena_init(&arena, block, overlay_doc_keep_bytes(CAP));
    struct slice first = read_text("ca/overlay.xml");
    const struct overlay_doc_keep_settings settings = {
        .schema = schema, .crypto = crypto_boring(), .cap = CAP, .first = first, .at_ms = NOW_MS};
    cr_assert_eq(overlay_doc_keep_init(&keep, &arena, &settings, reason), ERR_OK, "%s", reason);
    files_release(&first);
}

static void teardown(void)
{
    overlay_schema_free(schema);
    free(block);
    nftw(top, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

TestSuite(ca_update, .init = setup, .fini = teardown);

static uint16_t update(struct ca_update what)
{
    uint16_t before = 0;
    uint16_t sequence = 0;
    what.dir = what.dir == NULL ? "ca" : what.dir;
    what.now_ms = NOW_MS;
    what.days = what.days == 0 ? 365 : what.days;
    cr_assert_eq(ca_update(&what, &before, &sequence, why), ERR_OK, "%s", why);
    cr_expect(what.sequence != CA_UPDATE_NEXT || sequence == config_sequence_next(before));
    return sequence;
}

static enum err judge(const char *path, enum overlay_doc_keep_from from)
{
    char reason[OVERLAY_DOC_WHY_CAP];
    struct slice xml = read_text(path);
    enum err e = overlay_doc_keep_judge(&keep, xml, from, NOW_MS, reason);
    cr_log_info("%s: %s", err_name(e), reason);
    cr_expect((e == ERR_OK) == (reason[0] == '\0'), "a refusal has a reason");
    files_release(&xml);
    return e;
}

static uint16_t sequence(void)
{
    return overlay_doc_keep_now(&keep)->config.sequence;
}

static const struct overlay_kind private_kind = {.id = PRIVATE_KIND,
                                                 .data_model = OVERLAY_SINGLE,
                                                 .access = OVERLAY_USER_MATCH,
                                                 .max_count = 1,
                                                 .max_size_bytes = 1000};

Test(ca_update, a_registered_kind_is_what_its_rfc_says)
{
    struct ca_update what = {.dir = "ca",
                             .sequence = CA_UPDATE_NEXT,
                             .days = 365,
                             .now_ms = NOW_MS,
                             .added = {private_kind},
                             .added_count = 1};
    uint16_t before = 0;
    uint16_t after = 0;
    what.added[0].id = 0x1; /* SIP-REGISTRATION is a dictionary, by RFC 7904 */
    cr_assert_eq(ca_update(&what, &before, &after, why), ERR_CONFIG);
    cr_expect(strstr(why, "--add-kind 0x1:") != NULL, "%s", why);
    cr_assert_neq(judge("ca/overlay.xml", OVERLAY_DOC_KEEP_PEER), ERR_OK, "nothing was written");
}

Test(ca_update, kinds_come_change_and_go)
{
    cr_assert_eq(update((struct ca_update){
                     .sequence = CA_UPDATE_NEXT, .added = {private_kind}, .added_count = 1}),
                 2);
    cr_assert_eq(judge("ca/overlay.xml", OVERLAY_DOC_KEEP_PEER), ERR_OK);
    cr_expect_eq(sequence(), 2);
    cr_expect_eq(keep.change.config.kind_count, 4);
    cr_expect_eq(keep.change.config.kinds[3].max_size_bytes, 1000);
    cr_expect_eq(keep.change.dropped_count, 0);
    cr_expect_eq(keep.change.is_trust_other, false);
    cr_expect_eq(keep.change.bootstrap_count, 1, "as before");
    cr_expect_str_empty(keep.restart);
    cr_expect_str_empty(keep.cannot);

    struct overlay_kind other = private_kind;
    other.max_size_bytes = 500;
    update((struct ca_update){.sequence = CA_UPDATE_NEXT, .added = {other}, .added_count = 1});
    cr_assert_eq(judge("ca/overlay.xml", OVERLAY_DOC_KEEP_PEER), ERR_OK);
    cr_expect_eq(keep.change.config.kinds[3].max_size_bytes, 500);
    cr_expect_eq(keep.change.dropped_count, 0, "a limit is no reason to discard");

    other.data_model = OVERLAY_ARRAY;
    update((struct ca_update){.sequence = CA_UPDATE_NEXT, .added = {other}, .added_count = 1});
    cr_assert_eq(judge("ca/overlay.xml", OVERLAY_DOC_KEEP_PEER), ERR_OK);
    cr_assert_eq(keep.change.dropped_count, 1, "values cannot be read as before");
    cr_expect_eq(keep.change.dropped[0], PRIVATE_KIND);

    update((struct ca_update){
        .sequence = CA_UPDATE_NEXT, .dropped = {PRIVATE_KIND}, .dropped_count = 1});
    cr_assert_eq(judge("ca/overlay.xml", OVERLAY_DOC_KEEP_PEER), ERR_OK);
    cr_expect_eq(keep.change.config.kind_count, 3);
    cr_assert_eq(keep.change.dropped_count, 1);
    cr_expect_eq(keep.change.dropped[0], PRIVATE_KIND);
    cr_expect_eq(sequence(), 5);
}

Test(ca_update, values_change)
{
    update((struct ca_update){.sequence = CA_UPDATE_NEXT,
                              .initial_ttl = 20,
                              .max_message_bytes = 17000,
                              .update_interval_s = 120,
                              .ping_interval_s = 240,
                              .replica_min_hosts = 3,
                              .bootstrap = {{.family = 4, .port = 7000, .ip = {192, 0, 2, 9}}},
                              .bootstrap_count = 1,
                              .excluded = {{{1, 2, 3}}},
                              .excluded_count = 1});
    cr_assert_eq(judge("ca/overlay.xml", OVERLAY_DOC_KEEP_PEER), ERR_OK);
    const struct overlay_config *c = &keep.change.config;
    cr_expect_eq(c->initial_ttl, 20);
    cr_expect_eq(c->max_message_bytes, 17000);
    cr_expect_eq(c->chord_update_interval_s, 120);
    cr_expect_eq(c->chord_ping_interval_s, 240);
    cr_expect_eq(c->replica_min_hosts, 3);
    cr_expect_eq(keep.change.bootstrap[0].port, 7000);
    cr_expect_eq(keep.change.trust.bad_node_count, 1);
    cr_expect_eq(keep.change.is_trust_other, true);
    cr_expect_not_null(strstr(keep.restart, "max-message-size"), "it says what waits");
    /* All of it stays with the next one. */
    update((struct ca_update){.sequence = CA_UPDATE_NEXT});
    cr_assert_eq(judge("ca/overlay.xml", OVERLAY_DOC_KEEP_PEER), ERR_OK);
    cr_expect_eq(keep.change.config.initial_ttl, 20);
    cr_expect_eq(keep.change.trust.bad_node_count, 1);
    cr_expect_eq(keep.change.is_trust_other, false);
}

/* RFC 7904 3.4: written, kept by an update that does not speak of it, taken away. */
Test(ca_update, whose_addresses)
{
    struct ca_domains d;
    struct options_texts texts = {.texts = {"a\\.example", "[a-z&<>]+\\.b\\.example"}, .count = 2};
    cr_assert(ca_domains_read(&texts, &d));
    update((struct ca_update){.sequence = CA_UPDATE_NEXT, .domains = d});
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(judge("ca/overlay.xml", OVERLAY_DOC_KEEP_PEER), ERR_OK);
        const struct domain_rules *rules = keep.change.config.kinds[0].domains;
        cr_assert_not_null(rules);
        cr_expect(rules->is_listed);
        cr_assert_eq(rules->count, 2);
        cr_expect(slice_is_equal(rules->patterns[1], SLICE_LITERAL("[a-z&<>]+\\.b\\.example")));
        cr_expect(domain_admits(rules, SLICE_LITERAL("x@a.example")));
        cr_expect(domain_admits(rules, SLICE_LITERAL("x@q.b.example")));
        cr_expect_not(domain_admits(rules, SLICE_LITERAL("x@a.example.evil")));
        cr_expect_not(domain_admits(rules, SLICE_LITERAL("x@" OVERLAY_NAME)));
        update((struct ca_update){.sequence = CA_UPDATE_NEXT});
    }
    texts = (struct options_texts){.texts = {"own"}, .count = 1};
    cr_assert(ca_domains_read(&texts, &d));
    update((struct ca_update){.sequence = CA_UPDATE_NEXT, .domains = d});
    cr_assert_eq(judge("ca/overlay.xml", OVERLAY_DOC_KEEP_PEER), ERR_OK);
    const struct domain_rules *rules = keep.change.config.kinds[0].domains;
    cr_assert_not_null(rules);
    cr_expect(domain_admits(rules, SLICE_LITERAL("x@" OVERLAY_NAME)));
    cr_expect_not(domain_admits(rules, SLICE_LITERAL("x@a.example")));
    texts.texts[0] = "any";
    cr_assert(ca_domains_read(&texts, &d));
    update((struct ca_update){.sequence = CA_UPDATE_NEXT, .domains = d});
    cr_assert_eq(judge("ca/overlay.xml", OVERLAY_DOC_KEEP_PEER), ERR_OK);
    cr_expect_null(keep.change.config.kinds[0].domains);
}

Test(ca_update, whose_addresses_refused)
{
    static char longer[DOMAIN_PATTERN_CAP + 2];
    memset(longer, 'a', sizeof(longer) - 1);
    const char *const bad[] = {"", "(a", "a\nb", "\xc3\xa4", longer};
    struct ca_domains d;
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        struct options_texts texts = {.texts = {bad[i]}, .count = 1};
        cr_expect_not(ca_domains_read(&texts, &d), "%s", bad[i]);
    }
    struct options_texts mixed = {.texts = {"own", "a"}, .count = 2};
    cr_expect_not(ca_domains_read(&mixed, &d));
    struct options_texts many = {.count = DOMAIN_PATTERNS + 1};
    for (size_t i = 0; i < many.count; i++) {
        many.texts[i] = "a";
    }
    cr_expect_not(ca_domains_read(&many, &d));
}

/* CU-1, CU-3: numbers go round behind 65534, and half a turn ahead is newer. */
Test(ca_update, sequences_go_round)
{
    static const struct {
        uint32_t sequence;
        enum err expected;
    } steps[] = {{1, ERR_STALE},
                 {0, ERR_STALE},
                 {65534, ERR_STALE},
                 {2, ERR_OK},
                 {30000, ERR_OK},
                 {30000, ERR_STALE},
                 {29999, ERR_STALE},
                 {62766, ERR_OK},
                 {65534, ERR_OK},
                 {65533, ERR_STALE},
                 {0, ERR_OK},
                 {65534, ERR_STALE},
                 {CA_UPDATE_NEXT, ERR_STALE},
                 {1, ERR_OK}};
    for (size_t i = 0; i < ARRAY_COUNT(steps); i++) {
        uint16_t written = update((struct ca_update){.sequence = steps[i].sequence});
        enum err e = judge("ca/overlay.xml", OVERLAY_DOC_KEEP_PEER);
        cr_expect_eq(e, steps[i].expected, "step %zu: %u: %s", i, written, err_name(e));
        cr_expect(e != ERR_STALE || overlay_doc_accept_code(e) == CONTENT_ERROR_CONFIG_TOO_OLD);
    }
}

/* What is refused changes nothing. */
Test(ca_update, what_is_refused)
{
    init("same", OVERLAY_NAME); /* another authority under the same name */
    init("other", "other.example");
    update((struct ca_update){.dir = "same", .sequence = 5});
    update((struct ca_update){.dir = "other", .sequence = 5});
    enum err e = judge("same/overlay.xml", OVERLAY_DOC_KEEP_PEER);
    cr_expect_eq(overlay_doc_accept_code(e), CONTENT_ERROR_FORBIDDEN, "%s", err_name(e));
    e = judge("other/overlay.xml", OVERLAY_DOC_KEEP_PEER);
    cr_expect_eq(overlay_doc_accept_code(e), CONTENT_ERROR_INVALID_MESSAGE, "%s", err_name(e));
    cr_expect_neq(judge("other/overlay.xml", OVERLAY_DOC_KEEP_HAND), ERR_OK);
    update((struct ca_update){.sequence = 6, .days = 1});
    char reason[OVERLAY_DOC_WHY_CAP];
    struct slice xml = read_text("ca/overlay.xml");
    e = overlay_doc_keep_judge(&keep, xml, OVERLAY_DOC_KEEP_PEER, NOW_MS + 2 * DAY_MS, reason);
    cr_expect_eq(e, ERR_EXPIRED);
    cr_expect_eq(overlay_doc_accept_code(e), CONTENT_ERROR_CONFIG_TOO_OLD);
    e = overlay_doc_keep_judge(&keep, xml, OVERLAY_DOC_KEEP_HAND, NOW_MS + 2 * DAY_MS, reason);
    cr_expect_eq(e, ERR_EXPIRED);
    e = overlay_doc_keep_judge(&keep, SLICE_LITERAL("<overlay/>"), OVERLAY_DOC_KEEP_PEER, NOW_MS,
                               reason);
    cr_expect_eq(overlay_doc_accept_code(e), CONTENT_ERROR_INVALID_MESSAGE);
    uint8_t *large = calloc(1, CAP + 1);
    e = overlay_doc_keep_judge(&keep, slice_of(large, CAP + 1), OVERLAY_DOC_KEEP_PEER, NOW_MS,
                               reason);
    cr_expect_eq(overlay_doc_accept_code(e), CONTENT_ERROR_MESSAGE_TOO_LARGE);
    free(large);
    files_release(&xml);
    cr_expect_eq(sequence(), 1);
    /* The operator may bring what the former signers have not signed (CU-6). */
    cr_expect_eq(judge("same/overlay.xml", OVERLAY_DOC_KEEP_HAND), ERR_OK);
    cr_expect_eq(sequence(), 5);
    cr_expect_eq(keep.change.is_trust_other, true);
}

/* ---- a start ---- */

static struct setup loaded;

static enum err start(uint64_t at_ms)
{
    static const char text[] = "overlay-document = \"ca/overlay.xml\"\npeers = peers\n"
                               "overlay-address = 192.0.2.9\n";
    cr_assert_eq(files_write("c.conf", slice_text(text), 0600, true), ERR_OK);
    return setup_load("c.conf", at_ms, 1, &loaded, why);
}

static void keep_received(const char *from)
{
    struct slice xml = read_text(from);
    cr_assert_eq(files_write("ca/overlay.xml.received", xml, 0600, true), ERR_OK);
    files_release(&xml);
}

static void expect_start(uint64_t at_ms, uint16_t expected, bool is_received)
{
    cr_assert_eq(start(at_ms), ERR_OK, "%s", why);
    cr_expect_eq(loaded.doc.config.sequence, expected);
    cr_expect_eq(loaded.is_received, is_received);
    setup_free(&loaded);
}

Test(ca_update, a_start_takes_the_newest_that_is_valid)
{
    struct ca_issue issue = {.dir = "ca",
                             .user = "host1@" OVERLAY_NAME,
                             .nodes = 1,
                             .days = 365,
                             .out = "peers",
                             .now_ms = NOW_MS};
    cr_assert_eq(ca_issue(&issue, NULL, NULL, why), ERR_OK, "%s", why);
    expect_start(NOW_MS, 1, false);
    struct slice first = read_text("ca/overlay.xml");
    update((struct ca_update){.sequence = 2});
    keep_received("ca/overlay.xml");
    cr_assert_eq(files_write("ca/overlay.xml", first, 0644, true), ERR_OK);
    expect_start(NOW_MS, 2, true);
    /* The operator's file is newer again. */
    update((struct ca_update){.sequence = 3});
    expect_start(NOW_MS, 3, false);
    /* It is over, what was received is not. */
    update((struct ca_update){.sequence = 4, .days = 30});
    keep_received("ca/overlay.xml");
    update((struct ca_update){.sequence = 3, .days = 1});
    expect_start(NOW_MS + 2 * DAY_MS, 4, true);
    cr_expect_eq(start(NOW_MS + 40 * DAY_MS), ERR_EXPIRED, "both are");
    /* Another overlay's, another kind of file, none: passed over. */
    cr_assert_eq(files_write("ca/overlay.xml", first, 0644, true), ERR_OK);
    init("other", "other.example");
    update((struct ca_update){.dir = "other", .sequence = 9});
    keep_received("other/overlay.xml");
    expect_start(NOW_MS, 1, false);
    cr_assert_eq(files_write("ca/overlay.xml.received", SLICE_LITERAL("no document"), 0600, true),
                 ERR_OK);
    expect_start(NOW_MS, 1, false);
    files_release(&first);
}
