/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/load_target.h"
#include "core/os/host.h"
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define HOW_TO                                                                                     \
    "start one with `chordial demo --hold --json > demo.json &` and give --demo demo.json"

enum {
    SIP_PORT = 5060,
    OVERLAY_PORT = 6084,
    LINE_CAP = 256 * 1024,
    WAIT_MS = 30000,
    POLL_US = 50000
};

static enum err take_address(const char *text, uint16_t port, struct address *out, char *why)
{
    if (address_parse(slice_text(text), port, out) == ERR_OK) {
        return ERR_OK;
    }
    return say_why(why, ERR_CONFIG, "not an address: %s: write it as 127.0.0.1:%u", text, port);
}

static enum err take_account(struct load_target *t, const char *user, const char *password,
                             char *why)
{
    const char *at = strchr(user, '@');
    struct load_target_account *a = &t->accounts[t->account_count];
    if (t->account_count == LOAD_TARGET_ACCOUNTS) {
        return say_why(why, ERR_CONFIG, "too many accounts: %s: at most %d", user,
                       LOAD_TARGET_ACCOUNTS);
    }
    if (at == NULL || at == user || strlen(user) >= sizeof(a->user) ||
        strlen(at + 1) >= sizeof(t->domain) || strlen(password) >= sizeof(a->password) ||
        strpbrk(user, " \t\r\n<>\"") != NULL || strpbrk(password, "\r\n") != NULL) {
        return say_why(why, ERR_CONFIG, "not an account: %s: write user@domain:password", user);
    }
    if (t->domain[0] != '\0' && strcmp(t->domain, at + 1) != 0) {
        return say_why(why, ERR_CONFIG, "accounts of two domains: %s and %s: give those of one",
                       t->domain, at + 1);
    }
    (void)snprintf(t->domain, sizeof(t->domain), "%s", at + 1);
    (void)snprintf(a->user, sizeof(a->user), "%s", user);
    (void)snprintf(a->password, sizeof(a->password), "%s", password);
    t->account_count++;
    return ERR_OK;
}

/* "user@domain:password" */
static enum err split_account(struct load_target *t, const char *text, char *why)
{
    char user[CRYPTO_USER_CAP + 1];
    const char *colon = strchr(text, ':');
    size_t len = colon == NULL ? sizeof(user) : (size_t)(colon - text);
    if (len >= sizeof(user)) {
        return say_why(why, ERR_CONFIG, "not an account: %.40s: write user@domain:password", text);
    }
    memcpy(user, text, len);
    user[len] = '\0';
    return take_account(t, user, colon + 1, why);
}

/* ---- the line of a demo ---- */

/* The first line, as soon as it is whole: the demo may still be starting. */
static enum err read_line(const char *path, char **out, char *why)
{
    uint64_t until_us = host_now_us() + WAIT_MS * UINT64_C(1000);
    bool is_stdin = strcmp(path, "-") == 0;
    size_t cap = 0;
    *out = NULL;
    for (;;) {
        FILE *f = is_stdin ? stdin : fopen(path, "re");
        if (f == NULL) {
            return say_why(why, ERR_NOT_FOUND, "cannot read: %s: %s; " HOW_TO, path, say_errno());
        }
        ssize_t len = getline(out, &cap, f);
        if (!is_stdin) {
            (void)fclose(f);
        }
        bool is_whole = len > 0 && ((*out)[len - 1] == '\n' || is_stdin); /* there: to its end */
        if (is_whole && len < LINE_CAP) {
            return ERR_OK;
        }
        if (is_stdin || len >= LINE_CAP || host_now_us() >= until_us) {
            free(*out);
            *out = NULL;
            return say_why(why, ERR_CONFIG, "no line of a demo: %s: " HOW_TO, path);
        }
        usleep(POLL_US);
    }
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text == NULL ? "" : text;
}

static enum err take_peer(const struct load_target_options *o, const json_t *demo,
                          struct load_target *t, char *why)
{
    size_t len = 0;
    const json_t *peers = json_object_get(demo, "peers");
    const json_t *peer = json_array_get(peers, o->peer == 0 ? SIZE_MAX : o->peer - 1);
    const json_t *node =
        json_array_get(json_object_get(peer, "nodes"), o->node == 0 ? SIZE_MAX : o->node - 1);
    if (node == NULL) {
        return say_why(
            why, ERR_CONFIG, "no such node: peer %llu, node %llu: the demo has %zu peers",
            (unsigned long long)o->peer, (unsigned long long)o->node, json_array_size(peers));
    }
    enum err e = take_address(text_of(peer, "sip"), SIP_PORT, &t->sip, why);
    if (e == ERR_OK) {
        e = take_address(text_of(node, "overlay"), OVERLAY_PORT, &t->overlay, why);
    }
    if (e == ERR_OK && ids_unhex(slice_text(text_of(node, "node_id")), t->node_id.bytes,
                                 sizeof(t->node_id.bytes), &len) != ERR_OK) {
        e = say_why(why, ERR_CONFIG, "not a Node-ID: %s: " HOW_TO, text_of(node, "node_id"));
    }
    t->pid = (uint32_t)json_integer_value(json_object_get(peer, "pid"));
    return e;
}

static enum err take_callee_peer(const struct load_target_options *o, const json_t *demo,
                                 struct load_target *t, char *why)
{
    const json_t *peer = json_array_get(json_object_get(demo, "peers"), o->callees - 1);
    if (peer == NULL) {
        return say_why(why, ERR_CONFIG, "no such peer: --callees %llu: the demo has %zu",
                       (unsigned long long)o->callees,
                       json_array_size(json_object_get(demo, "peers")));
    }
    t->callee_pid = (uint32_t)json_integer_value(json_object_get(peer, "pid"));
    return take_address(text_of(peer, "sip"), SIP_PORT, &t->callees, why);
}

static enum err take_demo(const struct load_target_options *o, struct load_target *t, char *why)
{
    char *line = NULL;
    enum err e = read_line(o->demo, &line, why);
    if (e != ERR_OK) {
        return e;
    }
    json_t *demo = json_loads(line, 0, NULL);
    free(line);
    if (!json_is_array(json_object_get(demo, "peers"))) {
        json_decref(demo);
        return say_why(why, ERR_CONFIG, "not the line of a demo: %s: " HOW_TO, o->demo);
    }
    e = take_peer(o, demo, t, why);
    if (e == ERR_OK && o->callees != 0) {
        e = take_callee_peer(o, demo, t, why);
    }
    (void)snprintf(t->ca, sizeof(t->ca), "%s", text_of(demo, "ca"));
    const json_t *accounts = json_object_get(demo, "accounts");
    size_t count = min_size(json_array_size(accounts), LOAD_TARGET_ACCOUNTS);
    for (size_t i = 0; e == ERR_OK && i < count; i++) {
        const json_t *one = json_array_get(accounts, i);
        e = take_account(t, text_of(one, "user"), text_of(one, "password"), why);
    }
    json_decref(demo);
    return e;
}

static enum err take_options(const struct load_target_options *o, struct load_target *t, char *why)
{
    enum err e = ERR_OK;
    if (o->sip != NULL) {
        e = take_address(o->sip, SIP_PORT, &t->sip, why);
        t->pid = 0;
    }
    if (e == ERR_OK && o->overlay != NULL) {
        e = take_address(o->overlay, OVERLAY_PORT, &t->overlay, why);
        t->node_id = (struct node_id){{0}};
        t->pid = 0;
    }
    if (o->ca != NULL) {
        (void)snprintf(t->ca, sizeof(t->ca), "%s", o->ca);
    }
    if (o->accounts.count > 0) {
        t->account_count = 0;
        t->domain[0] = '\0';
    }
    for (size_t i = 0; e == ERR_OK && i < o->accounts.count; i++) {
        e = split_account(t, o->accounts.texts[i], why);
    }
    t->pid = o->pid != 0 ? (uint32_t)o->pid : t->pid;
    return e;
}

static enum err check_owner(const struct load_target_options *o, const struct load_target *t,
                            char *why)
{
    const struct address *all[] = {&t->sip, &t->overlay};
    char text[ADDRESS_TEXT_CAP];
    for (size_t i = 0; !o->is_owner && i < ARRAY_COUNT(all); i++) {
        if (all[i]->family != 0 && address_range_of(all[i]) != ADDRESS_LOOPBACK) {
            return say_why(why, ERR_CONFIG,
                           "not on this machine: %s: if that node is yours to put under load, add "
                           "--i-own-the-target",
                           address_text(all[i], text));
        }
    }
    if (t->sip.family == 6) {
        return say_why(why, ERR_CONFIG, "an IPv6 address: %s: give one of IPv4",
                       address_text(&t->sip, text));
    }
    return ERR_OK;
}

enum err load_target_read(const struct load_target_options *o, struct load_target *out, char *why)
{
    *out = (struct load_target){0};
    if (o->demo == NULL && o->sip == NULL && o->overlay == NULL) {
        return say_why(why, ERR_CONFIG, "no target: " HOW_TO);
    }
    enum err e = o->demo == NULL ? ERR_OK : take_demo(o, out, why);
    if (e == ERR_OK) {
        e = take_options(o, out, why);
    }
    return e == ERR_OK ? check_owner(o, out, why) : e;
}
