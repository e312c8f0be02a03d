/* SPDX-License-Identifier: Apache-2.0 */
/* The enrollment authority, keystores, and what a start makes of them (design.md section 6). */
#include "cmd/ca.h"
#include "cmd/ca_renew.h"
#include "cmd/ca_users.h"
#include "cmd/setup.h"
#include "link/crypto_boring.h"
#include "node/overlay_schema.h"
#include <criterion/criterion.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define OVERLAY_NAME "voice.example"
#define NOW_MS UINT64_C(1800000000000)
#define DAY_MS UINT64_C(86400000)

static char top[64];
static char why[SAY_WHY_CAP];
static struct setup loaded;

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *at)
{
    (void)status;
    (void)type;
    (void)at;
    return remove(path);
}

static void setup(void)
{
    snprintf(top, sizeof(top), "/tmp/chordial-ca.XXXXXX");
    cr_assert_not_null(mkdtemp(top));
    cr_assert_eq(chdir(top), 0);
}

static void teardown(void)
{
    nftw(top, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static enum err init(const char *dir, const char *overlay, enum crypto_algorithm algorithm)
{
    struct ca_init what = {.dir = dir,
                           .overlay = overlay,
                           .bootstrap = {{.family = 4, .port = 6084, .ip = {192, 0, 2, 1}}},
                           .bootstrap_count = 1,
                           .digest = "sha-256 md5",
                           .algorithm = algorithm,
                           .links = OVERLAY_LINKS_DATAGRAM,
                           .replica_min_hosts = 3,
                           .max_credentials = 24,
                           .now_ms = NOW_MS};
    return ca_init(&what, why);
}

static enum err issue(const char *user, const char *password, uint32_t nodes, const char *out)
{
    struct ca_issue what = {.dir = "ca",
                            .user = user,
                            .password = password,
                            .nodes = nodes,
                            .days = 365,
                            .out = out,
                            .now_ms = NOW_MS};
    return ca_issue(&what, NULL, NULL, why);
}

static void write_text(const char *path, const char *text)
{
    cr_assert_eq(files_write(path, slice_text(text), 0600, true), ERR_OK);
}

static enum err load(const char *more)
{
    char text[512];
    snprintf(text, sizeof(text),
             "overlay-document = \"ca/overlay.xml\"\npeers = peers\naccounts = accounts\n"
             "overlay-address = 192.0.2.9\n%s\n",
             more);
    write_text("c.conf", text);
    return setup_load("c.conf", NOW_MS, 4, &loaded, why);
}

/* The overlay, `peers` and `accounts` of a node. */
static void enroll(uint32_t peers)
{
    cr_assert_eq(init("ca", OVERLAY_NAME, CRYPTO_ED25519), ERR_OK, "%s", why);
    cr_assert_eq(issue("host1@" OVERLAY_NAME, NULL, peers, "peers"), ERR_OK, "%s", why);
    cr_assert_eq(issue("alice@" OVERLAY_NAME, "secret", 1, "accounts"), ERR_OK, "%s", why);
}

TestSuite(ca, .init = setup, .fini = teardown);

/* The database knows of no password and no Node-ID that are in no keystore. */
Test(ca, nothing_is_on_record_of_what_was_refused)
{
    struct slice before;
    struct slice after;
    cr_assert_eq(init("ca", OVERLAY_NAME, CRYPTO_ED25519), ERR_OK, "%s", why);
    cr_assert_eq(issue("alice@" OVERLAY_NAME, "secret", 1, "accounts"), ERR_OK, "%s", why);
    cr_assert_eq(files_read("ca/users.json", &before, NULL), ERR_OK);
    cr_assert_eq(issue("alice@" OVERLAY_NAME, "changed", 3, "accounts"), ERR_EXISTS);
    cr_assert_eq(files_read("ca/users.json", &after, NULL), ERR_OK);
    cr_assert(slice_is_equal(before, after));
    cr_assert_neq(issue("bob@other.example", "secret", 1, "none"), ERR_OK);
    cr_assert_eq(access("none", F_OK), -1);
    files_release(&before);
    files_release(&after);
}

/* RFC 6940 11.1: the document that we write is one that we accept, for each type of key. */
Test(ca, document_verifies)
{
    static const enum crypto_algorithm algorithms[] = {CRYPTO_ED25519, CRYPTO_ECDSA_SHA256,
                                                       CRYPTO_RSA_SHA256};
    static uint8_t block[65536];
    static struct overlay_doc doc;
    struct overlay_schema *schema = overlay_schema_new();
    cr_assert_not_null(schema);
    for (size_t i = 0; i < ARRAY_COUNT(algorithms); i++) {
        char dir[16];
        char path[FILES_PATH_CAP];
        const char *reason = NULL;
        struct slice xml;
        struct arena arena;
        snprintf(dir, sizeof(dir), "ca%zu", i);
        cr_assert_eq(init(dir, OVERLAY_NAME, algorithms[i]), ERR_OK, "%s", why);
        cr_assert_eq(files_join(dir, "overlay.xml", path), ERR_OK);
        cr_assert_eq(files_read(path, &xml, NULL), ERR_OK);
        arena_init(&arena, block, sizeof(block));
        cr_assert_eq(overlay_doc_parse(schema, xml, SLICE_EMPTY, &arena, &doc, why), ERR_OK, "%s",
                     why);
        cr_assert_eq(overlay_doc_verify_first(&doc, crypto_boring(), NOW_MS, &reason), ERR_OK, "%s",
                     reason);
        cr_assert_eq(overlay_doc_join_check(&doc, NOW_MS, why), ERR_OK, "%s", why);
        cr_assert_lt(xml.len, 15000, "A-10: a ConfigUpdate must carry it");
        overlay_doc_accept_kinds(&doc, crypto_boring(), NOW_MS);
        cr_assert_eq(doc.config.kind_count, 3, "%s", doc.kinds[0].refusal);
        cr_assert(doc.config.no_ice);
        cr_assert_eq(doc.config.links, OVERLAY_LINKS_DATAGRAM);
        cr_assert_eq(doc.config.replica_min_hosts, 3);
        cr_assert_eq(doc.config.sequence, 1);
        /* What its prefixes mean is signed, too: none is declared outside. */
        cr_assert_null(memmem(xml.data, (size_t)(doc.configuration.data - xml.data), "xmlns:", 6));
        cr_assert_not_null(memmem(doc.configuration.data, doc.configuration.len, "xmlns:own=", 10));
        cr_assert_null(doc.outside);
        cr_assert_eq(doc.bootstrap_count, 1);
        cr_assert_eq(doc.bootstrap[0].port, 6084);
        for (size_t k = 0; k < doc.config.kind_count; k++) {
            cr_assert_geq(doc.config.kinds[k].max_count, 8);
        }
        /* One changed byte in the element, and it is refused. */
        uint8_t *bytes = (uint8_t *)(uintptr_t)doc.configuration.data;
        uint8_t *digit = memmem(bytes, doc.configuration.len, "6084", 4);
        cr_assert_not_null(digit);
        digit[0] = '7';
        cr_assert_eq(overlay_doc_verify_first(&doc, crypto_boring(), NOW_MS, &reason),
                     ERR_BAD_SIGNATURE);
        /* One in a <kind>, and that Kind is not taken over (CF-3). */
        uint8_t *size = (uint8_t *)(uintptr_t)doc.kinds[1].bytes.data;
        size = memmem(size, doc.kinds[1].bytes.len, "2048", 4);
        cr_assert_not_null(size);
        size[0] = '9';
        overlay_doc_accept_kinds(&doc, crypto_boring(), NOW_MS);
        cr_assert_eq(doc.config.kind_count, 2);
        cr_assert_not_null(doc.kinds[1].refusal);
        free((void *)(uintptr_t)xml.data);
    }
    overlay_schema_free(schema);
}

Test(ca, secrets_have_mode_0600)
{
    static const char *const paths[] = {"ca/root.key", "ca/signer.pem", "ca/users.json",
                                        "peers/host1@voice.example.1.pem"};
    struct stat status;
    enroll(1);
    for (size_t i = 0; i < ARRAY_COUNT(paths); i++) {
        cr_assert_eq(stat(paths[i], &status), 0, "%s", paths[i]);
        cr_assert_eq(status.st_mode & 07777, 0600, "%s", paths[i]);
    }
}

Test(ca, nothing_is_overwritten)
{
    enroll(1);
    cr_assert_eq(init("ca", OVERLAY_NAME, CRYPTO_ED25519), ERR_EXISTS);
    cr_assert_eq(issue("host1@" OVERLAY_NAME, NULL, 1, "peers"), ERR_EXISTS);
}

Test(ca, bad_names_are_refused)
{
    static const char *const users[] = {"alice",
                                        "alice@other.example",
                                        "@voice.example",
                                        "a/b@voice.example",
                                        "..@voice.example",
                                        "a b@voice.example"};
    cr_assert_eq(init("x", "Voice Example", CRYPTO_ED25519), ERR_CONFIG);
    enroll(1);
    for (size_t i = 0; i < ARRAY_COUNT(users); i++) {
        cr_assert_eq(issue(users[i], "secret", 1, "bad"), ERR_CONFIG, "%s", users[i]);
    }
}

/* RFC 7616 3.4.2 with the overlay's name as realm. */
Test(ca, a_node_starts_from_what_was_issued)
{
    char ha1[33];
    uint8_t digest[CRYPTO_MD5_BYTES];
    enroll(11);
    cr_assert_eq(load("shards = 11"), ERR_OK, "%s", why);
    cr_assert_eq(loaded.peer_count, 11);
    cr_assert_eq(loaded.shards, 11);
    cr_assert_eq(loaded.account_count, 1);
    cr_assert_str_eq(loaded.sip_accounts[0].user, "alice@" OVERLAY_NAME);
    cr_assert_eq(loaded.sip_accounts[0].digest, SIP_DIGEST_SHA256_MD5);
    crypto_boring()->md5(slice_text("alice:" OVERLAY_NAME ":secret"), digest);
    cr_assert_str_eq(loaded.sip_accounts[0].ha1_md5,
                     ids_hex(slice_of(digest, sizeof(digest)), ha1));
    cr_assert_eq(strlen(loaded.sip_accounts[0].ha1_sha256), 64);
    setup_free(&loaded);
    cr_assert_eq(load(""), ERR_OK, "%s", why);
    cr_assert_eq(loaded.shards, 4, "as many as cores");
    setup_free(&loaded);
}

/* Shard i has keystore i, also beyond nine. */
Test(ca, keystores_are_in_natural_order)
{
    struct files_list list;
    enroll(11);
    cr_assert_eq(files_list("peers", ".pem", &list), ERR_OK);
    cr_assert_eq(list.count, 11);
    cr_assert_str_eq(list.paths[1], "peers/host1@voice.example.2.pem");
    cr_assert_str_eq(list.paths[10], "peers/host1@voice.example.11.pem");
    files_list_free(&list);
}

/* A later issue without a password keeps the one on record. */
Test(ca, password_is_remembered)
{
    enroll(1);
    cr_assert_eq(issue("alice@" OVERLAY_NAME, NULL, 1, "again"), ERR_OK, "%s", why);
    cr_assert_eq(rename("again/alice@voice.example.1.pem", "accounts/alice@voice.example.1.pem"),
                 0);
    cr_assert_eq(load(""), ERR_OK, "%s", why);
    cr_assert_eq(strlen(loaded.sip_accounts[0].ha1_md5), 32);
    setup_free(&loaded);
}

static void expect(const char *more, const char *hint)
{
    cr_assert_neq(load(more), ERR_OK, "%s", hint);
    cr_assert_not_null(strstr(why, hint), "%s", why);
}

Test(ca, a_start_that_does_not_hold_together_is_refused)
{
    struct slice good;
    static char text[KEYSTORE_TEXT_CAP];
    const char *peer = "peers/host1@voice.example.1.pem";
    enroll(1);
    cr_assert_eq(issue("host1@" OVERLAY_NAME, NULL, 1, "other"), ERR_OK);
    cr_assert_eq(files_read(peer, &good, NULL), ERR_OK);
    const char *bytes = (const char *)good.data;

    expect("shards = 2", "chordial ca issue DIR --user host1@voice.example --nodes 2");
    expect("overlay-sip-port = 6084", "overlap");

    cr_assert_eq(chmod(peer, 0640), 0);
    expect("", "chmod 600");
    cr_assert_eq(chmod(peer, 0600), 0);

    /* the certificate of one, the key of another */
    struct slice second;
    cr_assert_eq(files_read("other/host1@voice.example.1.pem", &second, NULL), ERR_OK);
    const char *key = strstr((const char *)second.data, "-----BEGIN PRIVATE");
    const char *end = strstr(bytes, "-----BEGIN PRIVATE");
    snprintf(text, sizeof(text), "%.*s%s", (int)(end - bytes), bytes, key);
    write_text(peer, text);
    expect("", "not that of the private key");

    snprintf(text, sizeof(text), "%.*s", (int)(end - bytes), bytes);
    write_text(peer, text);
    expect("", "no usable private key");

    const char *head_end = strstr(bytes, "-----BEGIN CERT");
    snprintf(text, sizeof(text), "user: host2@voice.example\nnode-id: %.32s\n%s",
             strstr(bytes, "node-id: ") + 9, head_end);
    write_text(peer, text);
    expect("", "user says host2@voice.example");

    snprintf(text, sizeof(text),
             "user: host1@voice.example\nnode-id: 00112233445566778899aabbccddeeff\n%s", head_end);
    write_text(peer, text);
    expect("", "node-id says 00112233445566778899aabbccddeeff");

    snprintf(text, sizeof(text), "colour: red\n%s", bytes);
    write_text(peer, text);
    expect("", "1.pem:1");

    write_text(peer, bytes);
    cr_assert_eq(issue("host2@" OVERLAY_NAME, NULL, 1, "peers"), ERR_OK);
    expect("", "one machine has one name");
    free((void *)(uintptr_t)good.data);
    free((void *)(uintptr_t)second.data);
}

Test(ca, another_overlay_another_time)
{
    enroll(1);
    write_text("c.conf", "overlay-document = \"ca/overlay.xml\"\npeers = peers\n"
                         "overlay-address = 192.0.2.9\n");
    cr_assert_eq(setup_load("c.conf", NOW_MS + 400 * DAY_MS, 1, &loaded, why), ERR_EXPIRED, "%s",
                 why);
    cr_assert_not_null(strstr(why, "expired"), "%s", why);
    cr_assert_neq(setup_load("c.conf", NOW_MS - 2 * DAY_MS, 1, &loaded, why), ERR_OK);
    cr_assert_eq(init("ca2", "voice2.example", CRYPTO_ED25519), ERR_OK, "%s", why);
    write_text("c.conf", "overlay-document = \"ca2/overlay.xml\"\npeers = peers\n"
                         "overlay-address = 192.0.2.9\n");
    cr_assert_neq(setup_load("c.conf", NOW_MS, 1, &loaded, why), ERR_OK);
    cr_assert_not_null(strstr(why, "voice2.example"), "%s", why);
}

static enum err renew(const char *path, uint64_t now_ms)
{
    static char node_id[IDS_NODE_TEXT_CAP];
    struct ca_renew what = {.dir = "ca", .path = path, .days = 365, .now_ms = now_ms};
    return ca_renew(&what, node_id, why);
}

/* ID-3: a certificate ends; who renews it, even later, stays the peer that he was. */
Test(ca, a_keystore_is_renewed)
{
    const char *peer = "peers/host1@voice.example.1.pem";
    const char *account = "accounts/alice@voice.example.1.pem";
    struct node_id before;
    char ha1[33];
    enroll(1);
    cr_assert_eq(load(""), ERR_OK, "%s", why);
    before = loaded.peers[0].ident.node_id;
    memcpy(ha1, loaded.sip_accounts[0].ha1_md5, sizeof(ha1));
    setup_free(&loaded);

    uint64_t late_ms = NOW_MS + 400 * DAY_MS;
    const char *config = "c.conf";
    cr_assert_eq(setup_load(config, late_ms, 4, &loaded, why), ERR_EXPIRED);
    cr_assert_eq(renew(peer, late_ms), ERR_OK, "%s", why);
    cr_assert_eq(renew(account, late_ms), ERR_OK, "%s", why);
    cr_assert_eq(setup_load(config, late_ms, 4, &loaded, why), ERR_OK, "%s", why);
    cr_assert_arr_eq(loaded.peers[0].ident.node_id.bytes, before.bytes, sizeof(before.bytes));
    cr_assert_eq(loaded.peers[0].ident.not_after_ms, late_ms + 365 * DAY_MS);
    cr_assert_str_eq(loaded.sip_accounts[0].ha1_md5, ha1);
    setup_free(&loaded);
    struct stat status;
    cr_assert_eq(stat(peer, &status), 0);
    cr_assert_eq(status.st_mode & 07777, 0600);
}

/* Neither what is not on record, nor what another authority of the same name issued. */
Test(ca, only_what_is_on_record_is_renewed)
{
    const char *peer = "peers/host1@voice.example.1.pem";
    struct slice before;
    struct slice after;
    enroll(1);
    cr_assert_eq(files_read(peer, &before, NULL), ERR_OK);
    cr_assert_eq(rename("ca", "old"), 0);
    cr_assert_eq(init("ca", OVERLAY_NAME, CRYPTO_ED25519), ERR_OK, "%s", why);
    cr_assert_eq(renew(peer, NOW_MS), ERR_BAD_CERTIFICATE, "%s", why);
    cr_assert_eq(rename("ca/users.json", "old/users.json"), 0);
    cr_assert_eq(rename("ca", "new"), 0);
    cr_assert_eq(rename("old", "ca"), 0); /* the right root, and a database without the user */
    cr_assert_eq(renew(peer, NOW_MS), ERR_NOT_FOUND, "%s", why);
    cr_assert_not_null(strstr(why, "not on record"), "%s", why);
    cr_assert_eq(renew("peers/nobody.pem", NOW_MS), ERR_NOT_FOUND, "%s", why);
    cr_assert_eq(files_read(peer, &after, NULL), ERR_OK);
    cr_assert(slice_is_equal(before, after), "a refused keystore stays as it is");
    files_release(&before);
    files_release(&after);
}

static enum err issue_listed(const char *text, const char *out)
{
    write_text("list", text);
    struct ca_issue what = {
        .dir = "ca", .list = "list", .nodes = 1, .days = 365, .out = out, .now_ms = NOW_MS};
    return ca_issue(&what, NULL, NULL, why);
}

/* Many accounts at once; a fault names its line, and what came before it stands. */
Test(ca, accounts_from_a_list)
{
    enroll(1);
    cr_assert_eq(issue_listed("# phones\n\nbob@voice.example\tsecret1\r\n"
                              "carol@voice.example   secret2",
                              "accounts"),
                 ERR_OK, "%s", why);
    cr_assert_eq(load(""), ERR_OK, "%s", why);
    cr_assert_eq(loaded.account_count, 3);
    cr_assert_str_eq(loaded.sip_accounts[2].user, "carol@voice.example");
    setup_free(&loaded);
    cr_assert_eq(issue_listed("dave@voice.example x\nerin@voice.example\n", "more"), ERR_CONFIG);
    cr_assert_not_null(strstr(why, "list:2"), "%s", why);
    cr_assert_eq(access("more/dave@voice.example.1.pem", F_OK), 0);
    cr_assert_eq(issue_listed("erin@voice.example two words\n", "more"), ERR_CONFIG);
    cr_assert_eq(issue_listed("erin@other.example x\n", "more"), ERR_CONFIG);
    struct ca_issue what = {.dir = "ca", .list = "none", .nodes = 1, .days = 1, .out = "more"};
    cr_assert_eq(ca_issue(&what, NULL, NULL, why), ERR_NOT_FOUND);
}

/* Two at once: neither takes what the other has written off the record. */
Test(ca, two_that_issue_wait_for_each_other)
{
    enum { AT_ONCE = 4, EACH = 8 };
    enroll(1);
    for (int n = 0; n < AT_ONCE; n++) {
        if (fork() == 0) {
            int bad = 0;
            for (int i = 0; i < EACH; i++) {
                char user[64];
                snprintf(user, sizeof(user), "u%d-%d@" OVERLAY_NAME, n, i);
                bad += issue(user, NULL, 1, "many") != ERR_OK;
            }
            _exit(bad);
        }
    }
    int status = 0;
    while (wait(&status) > 0) {
        cr_assert_eq(status, 0);
    }
    json_t *users = NULL;
    cr_assert_eq(ca_users_load("ca", &users, why), ERR_OK, "%s", why);
    cr_assert_eq(json_object_size(json_object_get(users, "users")), 2 + AT_ONCE * EACH,
                 "%zu users are on record", json_object_size(json_object_get(users, "users")));
    json_decref(users);
    int lock;
    cr_assert_eq(files_lock("ca", false, &lock), ERR_OK, "nobody has it any more");
    int other;
    cr_assert_eq(files_lock("ca", false, &other), ERR_EXISTS);
    close(lock);
    cr_assert_eq(files_lock("nowhere", false, &lock), ERR_NOT_FOUND);
}
