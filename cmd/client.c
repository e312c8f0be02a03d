/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/client.h"
#include "cmd/load_cpu.h"
#include "cmd/load_message.h"
#include "cmd/load_trunk.h"
#include "cmd/verify.h"
#include "core/os/host.h"
#include "dht/kind.h"
#include <stdio.h>
#include <stdlib.h>

enum { TIMEOUT_MS = 15000, STEP_NS = 50 * 1000 * 1000, WHY_CAP = 40 };

struct client {
    struct load_target target;
    struct load_overlay overlay;
    struct load_settings settings;
    struct load load;
    struct load_trunk trunk;
    struct verify *verify;
    uint64_t transaction_id;
    bool is_forged; /* an answer came that nobody of the overlay has signed, */
    char forged_why[VERIFY_WHY_CAP];
    bool is_answered;
    uint16_t code;
    char refusal[WHY_CAP];
};

static volatile int never; /* Ctrl-C ends the process: nothing is kept that would stay behind */

/* By whoever it may be: that the signer is responsible for the place, a client cannot know. */
static bool is_signed(struct client *c, struct slice message)
{
    struct crypto_trust *trust = &c->overlay.trust;
    struct verify_verdict verdict = {.is_valid = false};
    struct verify_terms terms = {.root_count = min_size(trust->root_count, VERIFY_ROOTS_CAP),
                                 .at_ms = host_wall_ms()};
    char *hex = malloc(2 * message.len + 1);
    memcpy(terms.roots, trust->roots, terms.root_count * sizeof(terms.roots[0]));
    json_t *o = hex == NULL
                    ? NULL
                    : json_pack("{s:s, s:s, s:s%, s:i}", "type", "Message", "hex",
                                ids_hex(message, hex), "overlay_name",
                                (const char *)trust->overlay_name.data, trust->overlay_name.len,
                                "node_id_length", (int)c->overlay.params.node_id_length);
    if (o != NULL) {
        verify_judge(c->verify, o, &terms, &verdict);
    }
    json_decref(o);
    free(hex);
    if (!verdict.is_valid) {
        c->is_forged = true;
        (void)snprintf(c->forged_why, sizeof(c->forged_why), "%s", verdict.why);
    }
    return verdict.is_valid;
}

static void on_message(struct load_trunk *trunk, struct slice message)
{
    struct client *c = CONTAINER_OF(trunk, struct client, trunk);
    char why[WHY_CAP];
    uint64_t id = 0;
    uint16_t code = 0;
    if (load_message_judge(&c->overlay, message, &id, &code, why) && id == c->transaction_id &&
        is_signed(c, message)) {
        c->is_answered = true;
        c->code = code;
        memcpy(c->refusal, why, sizeof(why));
    }
}

static enum err open_client(struct client *c, const struct client_who *who, char *why)
{
    if (address_parse(slice_text(who->node), 0, &c->target.overlay) != ERR_OK ||
        c->target.overlay.port == 0) {
        return say_why(why, ERR_CONFIG,
                       "not an address: --node %s: give HOST:PORT, the host as "
                       "numbers",
                       who->node);
    }
    c->settings = (struct load_settings){
        .outstanding = 1, .timeout_ms = TIMEOUT_MS, .stop = &never, .seed = host_wall_ms()};
    if (load_open(&c->load, &c->settings) != ERR_OK) {
        return say_why(why, ERR_IO, "cannot wait for sockets: %s: %s", who->node, say_errno());
    }
    enum err e = load_overlay_join(&c->overlay, &c->target, who->document, who->keystore, why);
    if (e != ERR_OK) {
        return ERR_CONFIG;
    }
    c->trunk.on_message = on_message;
    c->verify = verify_make();
    if (c->verify == NULL) {
        return say_why(why, ERR_IO, "not enough memory: %s", who->node);
    }
    crypto_boring()->random(crypto_boring(), (uint8_t *)&c->transaction_id,
                            sizeof(c->transaction_id));
    return load_trunk_open(&c->trunk, &c->load, &c->overlay, &c->overlay.members[0], why);
}

static enum err make(const struct client *c, const struct client_value *value, uint8_t *message,
                     size_t *len, char *why)
{
    struct overlay_kind kind;
    if (!kind_find(&c->overlay.doc.config, value->kind, &kind)) {
        return say_why(why, ERR_CONFIG,
                       "no such Kind: --kind %u: the overlay document names none "
                       "of that number",
                       value->kind);
    }
    struct load_message m = {.overlay = &c->overlay,
                             .signer = &c->overlay.members[0],
                             .transaction_id = c->transaction_id,
                             .storage_time_ms = host_wall_ms(),
                             .lifetime_s = value->lifetime_s};
    struct load_message_value v = {.name = slice_text(value->name),
                                   .kind = value->kind,
                                   .model = kind_wire_model(kind.data_model),
                                   .index = value->index,
                                   .exists = value->exists,
                                   .bytes = value->bytes};
    *len =
        value->bytes.len > LOAD_MESSAGE_VALUE_CAP ? 0 : load_message_store_value(&m, &v, message);
    return *len > 0 ? ERR_OK
                    : say_why(why, ERR_CONFIG,
                              "too large a value: %zu bytes: a client stores at "
                              "most %d",
                              value->bytes.len, LOAD_MESSAGE_VALUE_CAP);
}

static enum err exchange(struct client *c, const struct client_value *value, const char *node,
                         char *why)
{
    static uint8_t message[LOAD_MESSAGE_CAP]; /* too large for a frame */
    size_t len = 0;
    enum err e = make(c, value, message, &len, why);
    uint8_t *at = e == ERR_OK ? load_trunk_room(&c->trunk, len) : NULL;
    if (e != ERR_OK) {
        return e;
    }
    uint64_t until_ns = load_cpu_now_ns() + (uint64_t)TIMEOUT_MS * 1000000;
    if (at != NULL) {
        memcpy(at, message, len);
    }
    while (!c->is_answered && c->trunk.why == NULL && load_cpu_now_ns() < until_ns) {
        load_trunk_flush(&c->trunk);
        load_step(&c->load, STEP_NS);
    }
    if (!c->is_answered && c->is_forged) {
        return say_why(why, ERR_REMOTE,
                       "no answer that counts: %s: the signature of the one that came is not "
                       "good: %s",
                       node, c->forged_why);
    }
    if (!c->is_answered) {
        return say_why(why, ERR_TIMEOUT, "no answer: %s: %s", node,
                       c->trunk.why != NULL ? c->trunk.why : "the overlay is silent");
    }
    if (c->refusal[0] != '\0' || c->code != CONTENT_STORE_ANS) {
        return say_why(why, ERR_REMOTE,
                       "refused: %s: %s; who may write there, the Kind's access "
                       "control says",
                       value->name, c->refusal[0] == '\0' ? "another answer" : c->refusal);
    }
    return ERR_OK;
}

enum err client_store(const struct client_who *who, const struct client_value *value,
                      uint64_t *elapsed_us, char *why)
{
    static struct client c; /* too large for a frame; one operation a process */
    c = (struct client){.load.epoll = -1, .trunk.io.fd = -1};
    enum err e = open_client(&c, who, why);
    uint64_t begun_ns = load_cpu_now_ns();
    e = e == ERR_OK ? exchange(&c, value, who->node, why) : e;
    *elapsed_us = (load_cpu_now_ns() - begun_ns) / 1000;
    load_trunk_close(&c.trunk);
    verify_free(c.verify);
    load_overlay_close(&c.overlay);
    load_close(&c.load);
    return e;
}
