/* SPDX-License-Identifier: Apache-2.0 */
/* test_strangers.c - whoever has no password cannot find out which accounts there are: a name that
 * is served here and one that is not get the same answers to the same requests. */
#include "tests/unit/sip/phone_world.h"
#include <criterion/criterion.h>

enum { ANSWERS = 40, CALM_ROUNDS = 12 };

struct answers {
    char text[ANSWERS][PHONE_TEXT];
    int count;
};

/* What must differ: the name itself, nonces and To tags, which are random to all but this node. */
static void blur(char *text, const char *name)
{
    for (char *at = text; (at = strstr(at, name)) != NULL;) {
        memset(at, 'N', strlen(name));
    }
    for (char *at = text; (at = strstr(at, "nonce=\"")) != NULL; at += 7) {
        memset(at + 7, '0', strcspn(at + 7, "\""));
    }
    char *after = strstr(text, "Retry-After: "); /* jittered */
    if (after != NULL) {
        size_t digits = strspn(after + 13, "0123456789");
        memmove(after + 13, after + 13 + digits, strlen(after + 13 + digits) + 1);
    }
    for (char *at = text; (at = strstr(at, "tag=")) != NULL; at += 4) {
        memset(at + 4, '0', strcspn(at + 4, ";\r\n"));
    }
}

static const char *ask(struct world *w, struct phone *p, const char *method, const char *name,
                       int number, const char *auth, struct answers *out)
{
    static char raw[PHONE_TEXT];
    char via[256], branch[32];
    bool is_register = strcmp(method, "REGISTER") == 0;
    snprintf(branch, sizeof(branch), "q%d", number);
    phone_send(w, p,
               "%s sip:%s SIP/2.0\nVia: %s\nFrom: <sip:%s@example.org>;tag=1\n"
               "To: <sip:%s@example.org>\nCall-ID: c\nCSeq: %d %s\nMax-Forwards: 70\n"
               "Contact: <sip:x@10.1.0.1>\n%s",
               method, is_register ? "example.org" : "carol@example.org", phone_via(p, branch, via),
               name, is_register ? name : "carol", number, method, auth);
    world_run(w, 1000);
    cr_assert_eq(p->count, 1, "%s of %s: %d answers", method, name, p->count);
    snprintf(raw, sizeof(raw), "%s", phone_get(p));
    snprintf(out->text[out->count], PHONE_TEXT, "%s", raw);
    blur(out->text[out->count++], name);
    cr_assert_lt(out->count, ANSWERS);
    return raw;
}

/* Everything that somebody without the password can send in the name of an account. */
static void probe(const char *name, const char *method, struct answers *out)
{
    struct world *w = world_make();
    world_add_node(w, 1);
    struct phone *p = world_add_phone(w, name, 0);
    char auth[PHONE_TEXT], nonce[256];
    const char *uri = strcmp(method, "REGISTER") == 0 ? "sip:example.org" : "sip:carol@example.org";
    int number = 0;
    out->count = 0;
    ask(w, p, method, name, ++number, "", out);
    for (int i = 0; i < CALM_ROUNDS; i++) { /* more than GUESS_PAIR: the last ones get 503 */
        const char *challenge = ask(w, p, method, name, ++number, "", out);
        param_of(challenge, "nonce", nonce);
        credentials(challenge, name, "wrong", method, uri, "00000001", auth);
        ask(w, p, method, name, ++number, auth, out);
    }
    world_run(w, UINT64_C(600) * 1000000); /* the guesses are forgotten and the nonce is old */
    ask(w, p, method, name, ++number, auth, out);
    const char *challenge = ask(w, p, method, name, ++number, "", out);
    credentials(challenge, "bob", "secret", method, uri, "00000001", auth);
    ask(w, p, method, name, ++number, auth, out);
    world_expect_empty(w);
    world_free(w);
}

static void compare(const char *known, const char *unknown, const char *method)
{
    static struct answers a, b;
    int refused = 0;
    probe(known, method, &a);
    probe(unknown, method, &b);
    cr_assert_eq(a.count, b.count);
    for (int i = 0; i < a.count; i++) {
        cr_assert_str_eq(a.text[i], b.text[i], "%s, answer %d", method, i);
        refused += strncmp(a.text[i], "SIP/2.0 503", 11) == 0;
    }
    cr_assert_gt(refused, 0, "nobody was ever kept waiting");
    cr_assert(strncmp(a.text[a.count - 1], "SIP/2.0 403", 11) == 0);
    cr_assert(strstr(a.text[a.count - 3], "stale=true") != NULL);
}

/* The decoy imitates some account of the node; here all offer the same. */
static void all_offer(enum sip_digest which)
{
    world_digest = (int)which;
}

Test(strangers, register_does_not_tell_who_is_served)
{
    all_offer(SIP_DIGEST_MD5);
    compare("alice", "zelda", "REGISTER");
    all_offer(SIP_DIGEST_SHA256_MD5);
    compare("alice", "zelda", "REGISTER");
}

Test(strangers, calls_do_not_tell_who_is_served)
{
    all_offer(SIP_DIGEST_SHA256_MD5);
    compare("alice", "zelda", "INVITE");
    compare("alice", "zelda", "OPTIONS");
    compare("alice", "zelda", "MESSAGE");
}

/* Where accounts differ, so do decoys; one name is always answered alike. */
Test(strangers, decoys_are_as_different_as_accounts)
{
    static struct answers a;
    int with_sha = 0;
    struct world *w = world_make();
    world_add_node(w, 1);
    struct phone *p = world_add_phone(w, "x", 0);
    for (int i = 0; i < 32; i++) {
        char name[32], first[PHONE_TEXT];
        snprintf(name, sizeof(name), "nobody%02d", i);
        a.count = 0;
        snprintf(first, sizeof(first), "%s", ask(w, p, "REGISTER", name, 2 * i + 1, "", &a));
        const char *again = ask(w, p, "REGISTER", name, 2 * i + 2, "", &a);
        cr_assert_eq(strstr(first, "SHA-256") == NULL, strstr(again, "SHA-256") == NULL);
        with_sha += strstr(first, "SHA-256") != NULL;
    }
    cr_assert(with_sha > 4 && with_sha < 28, "%d of 32", with_sha);
    world_free(w);
}

/* Many addresses guess at one name: from then on each has one guess, account or not. */
Test(strangers, guesses_from_everywhere)
{
    static struct answers a[2];
    static const char *const names[] = {"alice", "zelda"};
    all_offer(SIP_DIGEST_MD5);
    for (int k = 0; k < 2; k++) {
        struct world *w = world_make();
        world_add_node(w, 1);
        struct phone *p = world_add_phone(w, names[k], 0);
        char auth[PHONE_TEXT];
        int number = 0;
        for (int from = 1; from <= 12; from++) {
            for (int i = 0; i < 8; i++) {
                struct answers ignored = {.count = 0};
                p->address.ip[3] = (uint8_t)from;
                const char *challenge =
                    ask(w, p, "REGISTER", names[k], ++number, "", from < 12 ? &ignored : &a[k]);
                credentials(challenge, names[k], "wrong", "REGISTER", "sip:example.org", "00000001",
                            auth);
                ask(w, p, "REGISTER", names[k], ++number, auth, from < 12 ? &ignored : &a[k]);
            }
        }
        world_free(w);
    }
    cr_assert_eq(a[0].count, a[1].count);
    for (int i = 0; i < a[0].count; i++) {
        cr_assert_str_eq(a[0].text[i], a[1].text[i], "answer %d", i);
    }
    cr_assert(strncmp(a[0].text[3], "SIP/2.0 503", 11) == 0, "%s", a[0].text[3]);
}
