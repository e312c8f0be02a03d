/* SPDX-License-Identifier: Apache-2.0 */
/* chordial ca update: the next signed overlay document; the work is in ca_update.c. */
#include "cmd/cmd_ca_update.h"
#include "cmd/ca_document.h"
#include "cmd/ca_update.h"
#include "cmd/cmd.h"
#include "cmd/options.h"
#include "core/os/host.h"
#include "dht/config_sequence.h"
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

enum { KIND_PARTS = 5, KIND_TEXT_CAP = 128 };
#define KEEP UINT64_MAX /* what the document of before says */

struct update_options {
    struct options_texts bootstrap, add_kind, drop_kind, bad_node, domains;
    uint64_t sequence, days, max_message_bytes, initial_ttl, update_interval_s, ping_interval_s;
    uint64_t replica_min_hosts;
    const char *out;
    bool is_json;
};

static bool number(const char *text, uint32_t *out)
{
    char *end = NULL;
    unsigned long long value = strtoull(text, &end, 0);
    *out = (uint32_t)value;
    return text[0] >= '0' && text[0] <= '9' && *end == '\0' && value <= UINT32_MAX;
}

/* ID:MODEL:POLICY:COUNT:SIZE */
static bool read_kind(const char *text, struct overlay_kind *out)
{
    char copy[KIND_TEXT_CAP];
    char *parts[KIND_PARTS];
    char *at = copy;
    if (snprintf(copy, sizeof(copy), "%s", text) >= (int)sizeof(copy)) {
        return false;
    }
    for (size_t i = 0; i < KIND_PARTS; i++) {
        parts[i] = strsep(&at, ":");
        if (parts[i] == NULL) {
            return false;
        }
    }
    bool has_model = false;
    bool has_access = false;
    for (int i = OVERLAY_SINGLE; i <= OVERLAY_DICTIONARY; i++) {
        if (strcasecmp(parts[1], ca_document_model((enum overlay_data_model)i)) == 0) {
            out->data_model = (enum overlay_data_model)i;
            has_model = true;
        }
    }
    /* NODE-MULTIPLE would want one more number. */
    for (int i = OVERLAY_USER_MATCH; i < OVERLAY_NODE_MULTIPLE; i++) {
        if (strcasecmp(parts[2], ca_document_access((enum overlay_access)i)) == 0) {
            out->access = (enum overlay_access)i;
            has_access = true;
        }
    }
    return at == NULL && has_model && has_access && number(parts[0], &out->id) && out->id != 0 &&
           number(parts[3], &out->max_count) && number(parts[4], &out->max_size_bytes);
}

static bool fill_lists(const struct update_options *o, struct ca_update *what)
{
    size_t len = 0;
    if (o->add_kind.count > CA_UPDATE_CAP || o->drop_kind.count > CA_UPDATE_CAP ||
        o->bad_node.count > CA_UPDATE_CAP || o->bootstrap.count > CA_BOOTSTRAP_CAP) {
        say_error("too many: --add-kind, --drop-kind, --bad-node, --bootstrap: at most %d of each",
                  CA_UPDATE_CAP);
        return false;
    }
    for (size_t i = 0; i < o->add_kind.count; i++) {
        if (!read_kind(o->add_kind.texts[i], &what->added[what->added_count++])) {
            say_error("not a Kind: --add-kind %s: write ID:MODEL:POLICY:COUNT:SIZE, as in "
                      "0xf0000001:single:user-match:1:1000",
                      o->add_kind.texts[i]);
            return false;
        }
    }
    for (size_t i = 0; i < o->drop_kind.count; i++) {
        if (!number(o->drop_kind.texts[i], &what->dropped[what->dropped_count++])) {
            say_error("not a Kind-ID: --drop-kind %s: write a number", o->drop_kind.texts[i]);
            return false;
        }
    }
    for (size_t i = 0; i < o->bad_node.count; i++) {
        uint8_t *id = what->excluded[what->excluded_count++].bytes;
        if (ids_unhex(slice_text(o->bad_node.texts[i]), id, IDS_NODE_MIN, &len) != ERR_OK ||
            len != IDS_NODE_MIN) {
            say_error("not a Node-ID: --bad-node %s: write 32 hex digits", o->bad_node.texts[i]);
            return false;
        }
    }
    for (size_t i = 0; i < o->bootstrap.count; i++) {
        if (address_parse(slice_text(o->bootstrap.texts[i]), 6084,
                          &what->bootstrap[what->bootstrap_count++]) != ERR_OK) {
            say_error("not an address: --bootstrap %s: write ADDRESS:PORT", o->bootstrap.texts[i]);
            return false;
        }
    }
    return true;
}

static bool is_within(const char *option, uint64_t given, uint64_t least, uint64_t most)
{
    bool is = given == KEEP || (given >= least && given <= most);
    if (!is) {
        say_error("out of range: --%s %" PRIu64 ": give %" PRIu64 " to %" PRIu64, option, given,
                  least, most);
    }
    return is;
}

/* 0: as in the document of before. */
static uint32_t kept(uint64_t given)
{
    return given == KEEP ? 0 : (uint32_t)given;
}

static bool fill(const struct update_options *o, struct ca_update *what)
{
    if ((o->sequence != CA_UPDATE_NEXT && !is_within("sequence", o->sequence, 0, UINT16_MAX - 1)) ||
        !is_within("days", o->days, 1, CA_DAYS_ROOT) ||
        !is_within("initial-ttl", o->initial_ttl, 1, 255) ||
        !is_within("max-message-size", o->max_message_bytes, 1000, 65535) ||
        !is_within("update-interval", o->update_interval_s, 1, 86400) ||
        !is_within("ping-interval", o->ping_interval_s, 1, 86400) ||
        !is_within("replica-min-hosts", o->replica_min_hosts, 1, 8)) {
        return false;
    }
    what->sequence = (uint32_t)o->sequence;
    what->days = o->days;
    what->max_message_bytes = kept(o->max_message_bytes);
    what->initial_ttl = kept(o->initial_ttl);
    what->update_interval_s = kept(o->update_interval_s);
    what->ping_interval_s = kept(o->ping_interval_s);
    what->replica_min_hosts = kept(o->replica_min_hosts);
    what->out = o->out;
    return fill_lists(o, what) && ca_domains_read(&o->domains, &what->domains);
}

static void tell(const struct ca_update *what, uint16_t sequence, bool is_json)
{
    const char *end = what->out != NULL ? "" : "/overlay.xml";
    const char *begin = what->out != NULL ? what->out : what->dir;
    if (!is_json) {
        (void)printf("document %u written to %s%s\n", sequence, begin, end);
        return;
    }
    json_t *made = json_pack("{s:i, s:s+}", "sequence", (int)sequence, "document", begin, end);
    if (json_dumpf(made, stdout, JSON_COMPACT) == 0) {
        (void)putchar('\n');
    }
    json_decref(made);
}

int cmd_ca_update(int argc, char **argv)
{
    struct update_options o = {.sequence = CA_UPDATE_NEXT,
                               .days = CA_DAYS_ROOT,
                               .max_message_bytes = KEEP,
                               .initial_ttl = KEEP,
                               .update_interval_s = KEEP,
                               .ping_interval_s = KEEP,
                               .replica_min_hosts = KEEP};
    const struct options_item items[] = {
        {"add-kind", 0, OPTIONS_LIST, &o.add_kind, "KIND",
         "a private Kind, ID:MODEL:POLICY:COUNT:SIZE (repeat)"},
        {"drop-kind", 0, OPTIONS_LIST, &o.drop_kind, "ID",
         "a private Kind less: all that is stored of it goes (repeat)"},
        {"bad-node", 0, OPTIONS_LIST, &o.bad_node, "HEX", "a Node-ID that is excluded (repeat)"},
        {"bootstrap", 0, OPTIONS_LIST, &o.bootstrap, "A:P", "other first nodes (repeat)"},
        {"aor-domain", 0, OPTIONS_LIST, &o.domains, "WHAT", CA_DOMAINS_HELP},
        {"replica-min-hosts", 0, OPTIONS_NUMBER, &o.replica_min_hosts, "N", "as `ca init`"},
        {"max-message-size", 0, OPTIONS_NUMBER, &o.max_message_bytes, "N",
         "a larger one wants nodes restarted"},
        {"initial-ttl", 0, OPTIONS_NUMBER, &o.initial_ttl, "N", "hops of a message at most"},
        {"update-interval", 0, OPTIONS_NUMBER, &o.update_interval_s, "S", "chord-update-interval"},
        {"ping-interval", 0, OPTIONS_NUMBER, &o.ping_interval_s, "S", "chord-ping-interval"},
        {"days", 0, OPTIONS_NUMBER, &o.days, "N", "valid for so many days (3650)"},
        {"sequence", 0, OPTIONS_NUMBER, &o.sequence, "N", "default: the next"},
        {"out", 'o', OPTIONS_TEXT, &o.out, "FILE", "default: DIR/overlay.xml, replaced"},
        {"json", 0, OPTIONS_FLAG, &o.is_json, NULL, "print one JSON object"},
    };
    const struct options options = {
        .usage = "chordial ca update DIR [options]",
        .about =
            "Makes the next overlay document: that of DIR/overlay.xml with these changes, its\n"
            "sequence one higher, signed anew.  Copy it over the file of one node and say\n"
            "`chordial ctl reload` there: it spreads to the others by itself.",
        .example = "    chordial ca update ca --add-kind 0xf0000001:single:user-match:1:1000",
        .items = items,
        .count = ARRAY_COUNT(items),
        .words = "DIR (the one of `chordial ca init`)",
        .words_least = 1,
        .words_most = 1};
    static struct ca_update what; /* large for a stack */
    char why[SAY_WHY_CAP];
    uint16_t before = 0;
    uint16_t sequence = 0;
    int rest = 0;
    int status = 0;
    if (!options_parse(&options, argc, argv, &rest, &status)) {
        return status;
    }
    what.now_ms = host_wall_ms();
    what.dir = argv[rest];
    if (!fill(&o, &what)) {
        return CMD_USAGE;
    }
    enum err e = ca_update(&what, &before, &sequence, why);
    if (e != ERR_OK) {
        say_error("%s", why);
        return e == ERR_CONFIG ? CMD_USAGE : CMD_FAILED;
    }
    if (!config_sequence_is_newer(sequence, before)) {
        say_line("WARNING: %u is not newer than %u: nodes that have that one refuse it", sequence,
                 before);
    }
    tell(&what, sequence, o.is_json);
    return CMD_OK;
}
