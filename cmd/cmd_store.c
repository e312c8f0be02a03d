/* SPDX-License-Identifier: Apache-2.0 */
/* chordial store: one value, signed by the running node itself or, by a client without a node, by
 * the owner of a keystore.  The control socket's owner may let the node write what the node may
 * write; for anybody else it never signs. */
#include "cmd/ask.h"
#include "cmd/client.h"
#include "cmd/cmd.h"
#include "cmd/lookup.h"
#include "cmd/options.h"
#include "cmd/say.h"
#include "codec/ids.h"
#include "dht/overlay.h"
#include <inttypes.h>
#include <stdio.h>

enum { VALUE_CAP = 1024 };

struct asked {
    const char *socket, *hex, *text;
    struct client_who who; /* of a client */
    uint64_t kind, index, lifetime_s;
    bool is_gone, is_json;
};

static bool check(const struct asked *a)
{
    int given = (a->hex != NULL) + (a->text != NULL) + a->is_gone;
    if (given != 1) {
        say_error("what to store: %s: give one of --value HEX, --text TEXT, --remove",
                  given == 0 ? "nothing was given" : "given twice");
        return false;
    }
    if (a->index > UINT32_MAX || a->lifetime_s == 0 || a->lifetime_s > UINT32_MAX) {
        say_error("out of range: --%s: %s to 4294967295",
                  a->index > UINT32_MAX ? "index" : "lifetime", a->index > UINT32_MAX ? "0" : "1");
        return false;
    }
    bool is_client = a->who.node != NULL || a->who.keystore != NULL || a->who.document != NULL;
    bool is_whole = a->who.node != NULL && a->who.keystore != NULL && a->who.document != NULL;
    if (is_client && (!is_whole || a->socket != NULL)) {
        say_error("who stores: --node, --keystore and --document go together: or -s alone");
        return false;
    }
    return lookup_kind(a->kind);
}

static int store_as_client(const struct asked *a, const char *name, const char *hex)
{
    char why[SAY_WHY_CAP];
    uint8_t bytes[VALUE_CAP];
    size_t len = 0;
    uint64_t elapsed_us = 0;
    bool is_read = ids_unhex(slice_text(hex), bytes, sizeof(bytes), &len) == ERR_OK;
    CHECK(is_read); /* we have written it */
    struct client_value value = {.name = name,
                                 .kind = (uint32_t)a->kind,
                                 .index = (uint32_t)a->index,
                                 .lifetime_s = (uint32_t)a->lifetime_s,
                                 .exists = !a->is_gone,
                                 .bytes = slice_of(bytes, len)};
    enum err e = client_store(&a->who, &value, &elapsed_us, why);
    if (e != ERR_OK) {
        say_error("%s", why);
        return e == ERR_CONFIG ? CMD_USAGE : CMD_FAILED;
    }
    json_t *row = json_pack("{s:s, s:I, s:b, s:I}", "name", name, "kind", (json_int_t)a->kind, "ok",
                            1, "elapsed_us", (json_int_t)elapsed_us);
    if (a->is_json) {
        ask_print_json(row);
    } else {
        (void)printf("%s %s kind %" PRIu64 "  %.1f ms\n", name,
                     a->is_gone ? "removed from" : "stored as", a->kind, (double)elapsed_us / 1e3);
    }
    json_decref(row);
    return CMD_OK;
}

/* `hex` has room for 2 * VALUE_CAP digits. */
static bool take_value(const struct asked *a, char *hex)
{
    uint8_t bytes[VALUE_CAP];
    size_t len = 0;
    if (a->text != NULL && strlen(a->text) <= VALUE_CAP) {
        ids_hex(slice_text(a->text), hex);
        return true;
    }
    if (a->hex != NULL && ids_unhex(slice_text(a->hex), bytes, VALUE_CAP, &len) == ERR_OK) {
        ids_hex(slice_of(bytes, len), hex);
        return true;
    }
    say_error("not a value: --%s: at most %d bytes%s", a->text != NULL ? "text" : "value",
              VALUE_CAP, a->text != NULL ? "" : " as hex digits");
    return false;
}

int cmd_store(int argc, char **argv)
{
    struct asked a = {.kind = OVERLAY_KIND_SIP_REGISTRATION, .lifetime_s = 3600};
    const struct options_item items[] = {
        {"socket", 's', OPTIONS_TEXT, &a.socket, "SOCKET",
         "the node's control-socket ($CHORDIAL_SOCKET)"},
        {"kind", 0, OPTIONS_NUMBER, &a.kind, "K", "Kind-ID (1, SIP-REGISTRATION)"},
        {"value", 0, OPTIONS_TEXT, &a.hex, "HEX", "the value, as its Kind wants it"},
        {"text", 0, OPTIONS_TEXT, &a.text, "TEXT", "the value: these bytes"},
        {"remove", 0, OPTIONS_FLAG, &a.is_gone, NULL, "there is no value any more"},
        {"index", 0, OPTIONS_NUMBER, &a.index, "N", "in an array; 4294967295 appends (0)"},
        {"lifetime", 0, OPTIONS_NUMBER, &a.lifetime_s, "S", "how long it is kept (3600)"},
        {"node", 0, OPTIONS_TEXT, &a.who.node, "HOST:PORT", "as a client of this peer"},
        {"keystore", 0, OPTIONS_TEXT, &a.who.keystore, "FILE", "... signed by its owner"},
        {"document", 0, OPTIONS_TEXT, &a.who.document, "FILE",
         "... in the overlay of this document"},
        {"json", 0, OPTIONS_FLAG, &a.is_json, NULL, "print one JSON object"},
    };
    const struct options options = {
        .usage = "chordial store [-s SOCKET] NAME (--value HEX | --text TEXT | --remove) [options]",
        .about = "Stores a value under a Resource Name through a running node, which signs it with "
                 "its own\n"
                 "credential: the Kind's access control says where that may write (for most Kinds, "
                 "under\n"
                 "its own user name as `ctl status` shows it).  It signs for nobody else.  In a "
                 "dictionary\n"
                 "the key is its Node-ID.  With --node, --keystore and --document it is stored by "
                 "a client, "
                 "and\n"
                 "signed by whom the keystore belongs to.",
        .example = "    chordial store -s control.sock host1@voice.example --value "
                   "010011000f7369703a6140622e6578616d706c65\n"
                   "    chordial store alice@voice.example --value "
                   "010011000f7369703a6140622e6578616d706c65 \\\n"
                   "        --node 192.0.2.10:6084 --keystore alice.pem --document overlay.xml\n"
                   "(a registration that names another address: sip:a@b.example)",
        .items = items,
        .count = ARRAY_COUNT(items),
        .words = "NAME",
        .words_least = 1,
        .words_most = 1};
    char hex[2 * VALUE_CAP + 1] = "";
    int rest = 0;
    int status = 0;
    if (!options_parse(&options, argc, argv, &rest, &status)) {
        return status;
    }
    if (!check(&a) || (!a.is_gone && !take_value(&a, hex))) {
        return CMD_USAGE;
    }
    if (a.who.node != NULL) {
        return store_as_client(&a, argv[rest], hex);
    }
    json_t *request = json_pack("{s:s, s:s, s:I, s:I, s:I}", "cmd", "store", "name", argv[rest],
                                "kind", (json_int_t)a.kind, "index", (json_int_t)a.index,
                                "lifetime_s", (json_int_t)a.lifetime_s);
    if (a.is_gone) {
        json_object_set_new(request, "remove", json_true());
    } else {
        json_object_set_new(request, "value", json_string(hex));
    }
    return lookup_store(ask_socket(a.socket), argv[rest], request, a.is_json);
}
