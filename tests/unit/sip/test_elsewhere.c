/* SPDX-License-Identifier: Apache-2.0 */
/* A REGISTER without Contact lists what the account has at other nodes, too (usages B.3 item 8). */
#include "sip/elsewhere.h"
#include "tests/unit/sip/phone_world.h"

static struct world *two_nodes(struct phone **here, struct phone **there)
{
    struct world *w = world_make();
    world_add_node(w, 1);
    world_add_node(w, 1);
    *here = world_add_phone(w, "bob", 0);
    *there = world_add_phone(w, "bob", 1);
    (*there)->cseq = 500;
    phone_register(w, *here, "600");
    phone_register(w, *there, "900");
    return w;
}

/* The GRUU in the Contact that is not of `phone`. */
static void gruu_of(const char *text, char *out)
{
    const char *at = strstr(text, "Contact: <sip:bob@example.org;gr=");
    cr_assert_not_null(at, "%s", text);
    size_t len = strcspn(at + 10, ">");
    memcpy(out, at + 10, len);
    out[len] = '\0';
}

static void finish(struct world *w)
{
    world_expect_empty(w);
    world_free(w);
}

Test(elsewhere, listed_and_reached)
{
    struct phone *here = NULL, *there = NULL;
    struct world *w = two_nodes(&here, &there);
    char ok[PHONE_TEXT], gruu[PHONE_TEXT];
    uint32_t stores = w->dht.stores;
    snprintf(ok, sizeof(ok), "%s", phone_register_as(w, here, ""));
    cr_assert(strncmp(ok, "SIP/2.0 200", 11) == 0, "%s", ok);
    cr_assert(strstr(ok, "Contact: <sip:bob@10.1.0.1:5060>;expires=600\r\n") != NULL, "%s", ok);
    cr_assert(strstr(ok, "10.1.0.2") == NULL, "contacts are their node's:\n%s", ok);
    cr_assert(strstr(ok, "Warning") == NULL, "%s", ok);
    gruu_of(ok, gruu);
    cr_assert(strstr(ok, ">;expires=900\r\n") != NULL || strstr(ok, ">;expires=899\r\n") != NULL,
              "%s", ok);
    cr_assert_eq(w->dht.stores, stores);
    /* it leads to that node, and there to the account alone */
    struct phone *alice = world_add_phone(w, "alice", 0);
    phone_register(w, alice, "3600");
    phone_ask(w, alice, "MESSAGE", gruu, "", NULL);
    phone_answer(w, there, phone_expect(there, "MESSAGE sip:bob@10.1.0.2"), "200 OK");
    phone_expect(alice, "SIP/2.0 200");
    phone_expect_nothing(here);
    gruu[4] = 'c'; /* another account's name with bob's credential */
    memcpy(gruu + 5, "ob", 2);
    phone_ask(w, alice, "MESSAGE", gruu, "", NULL);
    phone_expect(alice, "SIP/2.0 404");
    phone_register(w, there, "0");
    memcpy(gruu + 4, "bob", 3);
    phone_ask(w, alice, "MESSAGE", gruu, "", NULL);
    phone_expect(alice, "SIP/2.0 480");
    cr_assert(strstr(phone_register_as(w, here, ""), ";gr=") == NULL);
    finish(w);
}

/* Who keeps messages is no contact; what cannot be read is passed over. */
Test(elsewhere, not_listed)
{
    static const uint8_t garbage[] = {0x02, 0x00, 0x16, 0x00};
    struct phone *here = NULL, *there = NULL;
    struct world *w = two_nodes(&here, &there);
    struct overlay_resource resource;
    uint8_t key[16];
    phone_register(w, there, "0");
    overlay_resource_of(&w->instances[0]->turn, SLICE_LITERAL("bob@example.org"), &resource);
    for (uint8_t i = 0; i < 3; i++) {
        uint8_t value[128];
        struct wr v = wr_init(value, sizeof(value));
        struct msgs_sip_registration mailbox = {.type = MSGS_SIP_ROUTE,
                                                .contact_prefs = REGISTRAR_MAILBOX_PREFS,
                                                .destination_list =
                                                    SLICE_LITERAL("\x01\x10"
                                                                  "0123456789abcdef")};
        memset(key, 0x31 + i, sizeof(key));
        struct rl_params params = {.node_id_length = 16};
        if (i == 1) {
            wr_bytes(&v, slice_of(garbage, sizeof(garbage)));
        } else {
            mailbox.type = i == 0 ? MSGS_SIP_ROUTE : MSGS_SIP_URI;
            mailbox.uri = SLICE_LITERAL("someone@another.example");
            msgs_sip_registration_wr(&v, &params, &mailbox);
        }
        fake_put(&w->dht, &resource, OVERLAY_KIND_SIP_REGISTRATION, slice_of(key, sizeof(key)),
                 wr_slice(&v), true, w->now_us + 600000000);
    }
    const char *ok = phone_register_as(w, here, "");
    const char *first = strstr(ok, "Contact:");
    cr_assert_not_null(first);
    cr_assert(strstr(first + 8, "Contact:") == NULL, "%s", ok);
    finish(w);
}

/* Forwards to names as long as names may be: with many contacts here they do not fit beside them.
 * What does not is left out, and what is here is listed all the same (by attack: nothing was said
 * at all). */
Test(elsewhere, more_than_a_message_holds)
{
    struct phone *here = NULL, *there = NULL;
    struct world *w = two_nodes(&here, &there);
    struct world_instance *x = w->instances[0];
    struct overlay_value values[ELSEWHERE_LISTED];
    uint8_t bytes[ELSEWHERE_LISTED][512], keys[ELSEWHERE_LISTED][16], room[MSGBUF_LARGE_BYTES];
    struct rl_params params = {.node_id_length = 16};
    memset(keys, 0x33, sizeof(keys));
    for (unsigned i = 0; i < ELSEWHERE_LISTED; i++) {
        char aor[256] = "";
        for (unsigned k = 0; k < 40; k++) {
            memcpy(aor + 6 * (size_t)k, "%5e%5e", 6);
        }
        (void)snprintf(aor + 3 * (30 + i % 8), 32, "@example.org");
        struct wr v = wr_init(bytes[i], sizeof(bytes[i]));
        struct msgs_sip_registration forward = {.type = MSGS_SIP_URI, .uri = slice_text(aor)};
        msgs_sip_registration_wr(&v, &params, &forward);
        values[i] = (struct overlay_value){
            .key = slice_of(keys[i], 16), .value = wr_slice(&v), .lifetime_s = 60};
    }
    struct overlay_event event = {.kind = OVERLAY_FETCHED, .values = values};
    event.value_count = ELSEWHERE_LISTED;
    uint32_t bob = registrar_find(x->sip, SLICE_LITERAL("bob@example.org"));
    size_t longest = 0;
    for (size_t cap = 0; cap < sizeof(room); cap += 7) {
        struct sip_writer out;
        sip_write_init(&out, room, cap);
        elsewhere_write(x->sip, bob, &event, 50, &out);
        cr_assert_eq(out.error, ERR_OK, "%zu", cap);
        cr_assert(out.len == 0 || out.len + 50 <= cap, "%zu of %zu", out.len, cap);
        cr_assert(out.len == 0 || memcmp(room + out.len - 2, "\r\n", 2) == 0);
        cr_assert_geq(out.len, longest);
        longest = out.len;
    }
    cr_assert_gt(longest, 4000, "%zu", longest);
    finish(w);
}

Test(elsewhere, silence_and_share)
{
    struct phone *here = NULL, *there = NULL;
    struct world *w = two_nodes(&here, &there);
    char auth[PHONE_TEXT];
    w->dht.is_fetch_silent = true;
    phone_register_once(w, here, "", "");
    char challenge[PHONE_TEXT];
    snprintf(challenge, sizeof(challenge), "%s", phone_expect(here, "SIP/2.0 401"));
    uint32_t fetches = w->dht.fetches;
    for (int i = 0; i < ELSEWHERE_ASKED + 1; i++) {
        char nc[16];
        snprintf(nc, sizeof(nc), "%08x", i + 1);
        credentials(challenge, "bob", "secret", "REGISTER", "sip:example.org", nc, auth);
        phone_register_once(w, here, "", auth);
    }
    cr_assert_eq(w->dht.fetches - fetches, ELSEWHERE_ASKED);
    const char *ok = phone_expect(here, "SIP/2.0 200"); /* beyond the share: what is here */
    cr_assert(strstr(ok, "Contact: <sip:bob@10.1.0.1:5060>") != NULL, "%s", ok);
    cr_assert(strstr(ok, "Warning: 399 ") != NULL, "%s", ok);
    phone_expect_nothing(here);
    world_run(w, 20000000);
    for (int i = 0; i < ELSEWHERE_ASKED; i++) {
        ok = phone_expect(here, "SIP/2.0 200");
        cr_assert(strstr(ok, "Warning: 399 ") != NULL, "%s", ok);
    }
    finish(w);
}
