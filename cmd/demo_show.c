/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/demo_show.h"
#include "cmd/ask.h"
#include <inttypes.h>
#include <stdio.h>

enum { SHORT_ID_CAP = 16, NAME_CAP = 16 };

/* "02e1…9a" */
static const char *short_id(const char *id, char *out)
{
    size_t len = strlen(id);
    if (len < 8) {
        snprintf(out, SHORT_ID_CAP, "-      ");
    } else {
        snprintf(out, SHORT_ID_CAP, "%.4s…%s", id, id + len - 2);
    }
    return out;
}

/* "alice" of alice@demo.example */
static const char *short_name(const struct demo_ring *r, uint32_t account, char *out)
{
    const char *user = r->place.accounts[account].user;
    snprintf(out, NAME_CAP, "%.*s", (int)strcspn(user, "@"), user);
    return out;
}

static double ms_of(uint64_t us)
{
    return (double)us / 1000.0;
}

static const char *state_of(const struct demo_peer *p, const struct demo_peer_node *n)
{
    return p->is_killed ? "killed" : p->pid == 0 ? "gone" : n->is_ready ? "ready" : "joining";
}

void demo_show_table(const struct demo_ring *r)
{
    const char *backend = "";
    for (uint32_t i = 0; i < r->peer_count && backend[0] == '\0'; i++) {
        backend = r->peers[i].pid != 0 ? r->peers[i].backend : "";
    }
    printf("overlay %s   %u peers   ring %s   storage 3 replicas   %s   TLS: BoringSSL\n",
           DEMO_PLACE_DOMAIN, demo_ring_running(r), demo_ring_is_ok(r) ? "OK" : "repairing",
           backend);
    printf(" node      id       successor  links  stored  phones at             state\n");
    for (uint32_t i = 0; i < r->peer_count; i++) {
        const struct demo_peer *p = &r->peers[i];
        char sip[ADDRESS_TEXT_CAP];
        address_text(&p->sip, sip);
        for (uint32_t s = 0; s < p->shards; s++) {
            const struct demo_peer_node *n = &p->nodes[s];
            char name[2 * NAME_CAP];
            char id[SHORT_ID_CAP];
            char successor[SHORT_ID_CAP];
            snprintf(name, sizeof(name), p->shards == 1 ? "%s" : "%s.%u", p->name, s);
            printf(" %-8s  %s  %s    %5u  %6u  udp:%-16s  %s\n", name, short_id(n->id, id),
                   short_id(n->successor, successor), n->links, n->stored, sip, state_of(p, n));
        }
    }
}

void demo_show_phones(struct demo_phones *p)
{
    struct demo_ring *r = p->ring;
    for (uint32_t i = DEMO_PHONES_ALICE; i <= DEMO_PHONES_BOB; i++) {
        struct demo_ring_record record;
        demo_ring_locate(r, p->peers[i], r->place.accounts[i].user, &record);
        printf(" %-18s registered at %s   stored at %.4s… on", r->place.accounts[i].user,
               r->peers[p->peers[i]].name, record.resource);
        for (uint32_t k = 0; k < record.count; k++) {
            printf("%s%s",
                   k == 0                       ? " "
                   : k == 1 && record.has_owner ? ", copies "
                                                : " ",
                   r->peers[record.peers[k]].name);
        }
        printf("\n");
    }
    printf(" and %d more phones: carol, dave ... judy\n", DEMO_PLACE_ACCOUNTS - 2);
}

void demo_show_call(const struct demo_phones *p, const struct demo_phones_call *call)
{
    char from[NAME_CAP];
    char to[NAME_CAP];
    printf(" > %s calls %s:  ", short_name(p->ring, call->from, from),
           short_name(p->ring, call->to, to));
    if (!call->is_ok) {
        printf("failed: %u %s (tried for %.1f s)\n", call->status, call->why,
               ms_of(call->until_ok_us) / 1000);
        return;
    }
    if (call->setup.fetch_us != 0) {
        printf("Fetch %u hops %.1f ms · ", call->setup.fetch_hops, ms_of(call->setup.fetch_us));
    } else {
        printf("Fetch: known here · ");
    }
    if (call->setup.appattach_us != 0) {
        printf("AppAttach %.1f ms · ", ms_of(call->setup.appattach_us));
    } else {
        printf("connection is there · ");
    }
    printf("INVITE→200 %.1f ms · BYE %.1f ms   OK", ms_of(call->invite_us), ms_of(call->bye_us));
    if (call->tries > 1) {
        printf(" (%u tries, %.1f s)", call->tries, ms_of(call->until_ok_us) / 1000);
    }
    printf("\n");
}

/* ---- JSON
 * ---------------------------------------------------------------------------------------- */

static void print_object(json_t *object)
{
    CHECK(object != NULL); /* our own texts */
    ask_print_json(object);
    (void)fflush(stdout);
    json_decref(object);
}

static json_t *hold_peer(const struct demo_ring *r, const struct demo_peer *p)
{
    char text[ADDRESS_TEXT_CAP];
    char socket[FILES_PATH_CAP];
    json_t *nodes = json_array();
    for (uint32_t i = 0; i < p->shards; i++) {
        struct address overlay = p->overlay;
        overlay.port = (uint16_t)(p->overlay.port + i);
        json_array_append_new(nodes, json_pack("{s:s, s:s}", "node_id", p->nodes[i].id, "overlay",
                                               address_text(&overlay, text)));
    }
    demo_place_path(&r->place, socket, "%s.sock", p->name);
    return json_pack("{s:s, s:i, s:o, s:s, s:s}", "name", p->name, "pid", (int)p->pid, "nodes",
                     nodes, "sip", address_text(&p->sip, text), "ctl", socket);
}

void demo_show_hold(const struct demo_ring *r)
{
    char ca[FILES_PATH_CAP];
    char keylog[FILES_PATH_CAP];
    json_t *peers = json_array();
    json_t *accounts = json_array();
    for (uint32_t i = 0; i < r->peer_count; i++) {
        json_array_append_new(peers, hold_peer(r, &r->peers[i]));
    }
    for (size_t i = 0; i < DEMO_PLACE_ACCOUNTS && !r->place.is_bare; i++) {
        json_array_append_new(accounts, json_pack("{s:s, s:s}", "user", r->place.accounts[i].user,
                                                  "password", r->place.accounts[i].password));
    }
    print_object(json_pack("{s:o, s:s, s:o, s:s, s:s}", "peers", peers, "domain", DEMO_PLACE_DOMAIN,
                           "accounts", accounts, "ca", demo_place_path(&r->place, ca, "ca"),
                           "keylog", demo_place_path(&r->place, keylog, "keylog")));
}

static json_t *calls_of(const struct demo_phones *p, const struct demo_phones_call *calls,
                        size_t count)
{
    json_t *out = json_array();
    for (size_t i = 0; i < count; i++) {
        const struct demo_phones_call *c = &calls[i];
        const struct demo_place_account *accounts = p->ring->place.accounts;
        json_t *one = json_pack("{s:s, s:s, s:i, s:I, s:I, s:I, s:b}", "from",
                                accounts[c->from].user, "to", accounts[c->to].user, "fetch_hops",
                                (int)c->setup.fetch_hops, "fetch_us", (json_int_t)c->setup.fetch_us,
                                "appattach_us", (json_int_t)c->setup.appattach_us,
                                "invite_to_200_us", (json_int_t)c->invite_us, "ok", c->is_ok);
        if (!c->is_ok) {
            json_object_set_new(one, "status", json_integer(c->status));
            json_object_set_new(one, "why", json_string(c->why));
        }
        json_array_append_new(out, one);
    }
    return out;
}

void demo_show_result(const struct demo_phones *p, const struct demo_show_result *result)
{
    print_object(json_pack("{s:i, s:b, s:o, s:s?, s:o, s:i}", "peers", (int)result->peers,
                           "ring_ok", result->is_ring_ok, "calls",
                           calls_of(p, result->calls, result->call_count), "killed", result->killed,
                           "calls_after_kill",
                           calls_of(p, result->calls_after, result->call_after_count),
                           "records_lost", (int)result->records_lost));
}
