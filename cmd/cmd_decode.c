/* SPDX-License-Identifier: Apache-2.0 */
/* chordial decode: wire bytes for programs (--batch), and for people (HEX, --pcap). */
#include "cmd/capture.h"
#include "cmd/cmd.h"
#include "cmd/options.h"
#include "cmd/wire.h"
#include "cmd/wire_text.h"
#include <inttypes.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static struct {
    bool is_batch;
    bool wants_types;
    bool is_verbose;
    bool is_whole;
    const char *pcap;
    const char *type;
    const char *colour;
    const char *node_id_length;
    struct options_texts kinds;
} given;

/* The registered Kinds and those of --kind ID=MODEL; false when one is not of that form. */
static bool read_kinds(struct show_context *c)
{
    static struct show_kind kinds[OPTIONS_TEXTS_CAP + 16];
    const struct options_texts *texts = &given.kinds;
    static const char *const models[] = {"single", "array", "dictionary"};
    CHECK(show_registered_kind_count <= 16);
    memcpy(kinds, show_registered_kinds, show_registered_kind_count * sizeof(kinds[0]));
    c->kinds = kinds;
    c->kind_count = show_registered_kind_count;
    for (size_t i = 0; i < texts->count; i++) {
        char *end = NULL;
        unsigned long id = strtoul(texts->texts[i], &end, 0);
        size_t model = 0;
        while (model < ARRAY_COUNT(models) &&
               (*end != '=' || strcmp(end + 1, models[model]) != 0)) {
            model++;
        }
        if (end == texts->texts[i] || id > UINT32_MAX || model == ARRAY_COUNT(models)) {
            say_error("not a Kind: --kind %s: for instance --kind 0xf0000001=dictionary (or array,"
                      " single)",
                      texts->texts[i]);
            return false;
        }
        kinds[c->kind_count++] = (struct show_kind){(uint32_t)id, (enum stored_model)model};
    }
    return true;
}

static int batch(void)
{
    struct wire *w = wire_new();
    CHECK(w != NULL);
    int status = batch_run(wire_decode, w);
    wire_free(w);
    return status;
}

/* ---- HEX ---- */

/* The hex digits of all arguments together: copied dumps have blanks, and colons, between them. */
static size_t gather(int count, char **words, char *out)
{
    size_t len = 0;
    for (int i = 0; i < count; i++) {
        for (const char *c = words[i]; *c != '\0'; c++) {
            if (*c != ' ' && *c != ':' && *c != '\n') {
                out[len++] = *c;
            }
        }
    }
    return len;
}

/* Says what is wrong with digits that are no bytes. */
static void complain_hex(int count, char **words, struct slice digits)
{
    static const char hex[] = "0123456789abcdefABCDEF";
    size_t good = 0;
    while (good < digits.len && memchr(hex, digits.data[good], sizeof(hex) - 1) != NULL) {
        good++;
    }
    if (count == 1 && access(words[0], F_OK) == 0) {
        say_error("not hex but a file: %s: give a capture with --pcap, JSON lines with --batch",
                  words[0]);
    } else if (good < digits.len) {
        say_error("not hex: byte %zu of the argument is '%c': give hex digits only", good,
                  digits.data[good] < 0x80 ? digits.data[good] : (uint8_t)'?');
    } else {
        say_error("half a byte is missing: %zu hex digits: give an even number of them",
                  digits.len);
    }
}

static int print_hex(const struct wire_text *t, const struct show_context *context, int count,
                     char **words)
{
    size_t cap = 1;
    for (int i = 0; i < count; i++) {
        cap += strlen(words[i]);
    }
    char *digits = malloc(cap);
    uint8_t *bytes = malloc(cap);
    CHECK(digits != NULL && bytes != NULL);
    size_t len = 0;
    int status = CMD_FAILED;
    struct slice text = slice_of(digits, gather(count, words, digits));
    enum err e = ids_unhex(text, bytes, cap, &len);
    struct slice in = slice_of(bytes, len);
    const char *type = given.type != NULL ? given.type : wire_text_guess(in);
    if (e != ERR_OK) {
        complain_hex(count, words, text);
        status = CMD_USAGE;
    } else if (type == NULL) {
        say_error("cannot tell what this is: %zu bytes: name it with --type, for instance"
                  " --type StoreReq",
                  len);
        status = CMD_USAGE;
    } else if (!show_has(slice_text(type))) {
        say_error("no such structure: %s: `chordial decode --types` lists them", type);
        status = CMD_USAGE;
    } else {
        status = wire_text_print(t, context, type, in, 0) == ERR_OK ? CMD_OK : CMD_FAILED;
    }
    free(digits);
    free(bytes);
    return status;
}

/* ---- --pcap ---- */

struct reading {
    const struct wire_text *t;
    const struct show_context *context;
    uint64_t refused;
};

static void print_item(void *ctx, const struct capture_item *item)
{
    struct reading *r = ctx;
    struct tm tm;
    time_t seconds = (time_t)item->seconds;
    char clock[16] = "";
    if (gmtime_r(&seconds, &tm) != NULL) {
        (void)strftime(clock, sizeof(clock), "%H:%M:%S", &tm);
    }
    (void)fprintf(r->t->to, "%6" PRIu64 "  %s.%06u  %s > %s  ", item->packet, clock, item->micros,
                  item->from, item->to);
    enum err e = wire_text_summary(r->t, r->context, item->type, item->bytes);
    (void)fputc('\n', r->t->to);
    r->refused += e != ERR_OK ? 1 : 0;
    if (given.is_verbose || e != ERR_OK) {
        (void)!wire_text_print(r->t, r->context, item->type, item->bytes, 8);
    }
}

static const char *plural(uint64_t count)
{
    return count == 1 ? "" : "s";
}

static int print_pcap(const struct wire_text *t, const struct show_context *context)
{
    char why[SAY_WHY_CAP] = "";
    struct reading r = {t, context, 0};
    struct capture_totals totals;
    enum err e = capture_read(given.pcap, print_item, &r, &totals, why);
    (void)fflush(t->to);
    if (e != ERR_OK) {
        say_error("%s", why);
        return e == ERR_NOT_FOUND ? CMD_USAGE : CMD_FAILED;
    }
    say_line("%" PRIu64 " packet%s: %" PRIu64 " frame%s and messages, %" PRIu64 " refused; %" PRIu64
             " packet%s something else, %" PRIu64 " gap%s in streams",
             totals.packets, plural(totals.packets), totals.items, plural(totals.items), r.refused,
             totals.other_packets, totals.other_packets == 1 ? " was" : "s were", totals.gaps,
             plural(totals.gaps));
    if (totals.unfinished > 0) {
        say_line("%" PRIu64 " stream%s inside a frame or message", totals.unfinished,
                 totals.unfinished == 1 ? " ends" : "s end");
    }
    return r.refused == 0 ? CMD_OK : CMD_FAILED;
}

static int list_types(void)
{
    static const char *const sip[] = {"SipMessage", "SipStream", "SipUriPair"};
    for (size_t i = 0; show_type(i) != NULL; i++) {
        (void)printf("%s\n", show_type(i));
    }
    for (size_t i = 0; i < ARRAY_COUNT(sip); i++) { /* cmd/wire.h */
        (void)printf("%s (--batch only)\n", sip[i]);
    }
    return CMD_OK;
}

/* ---- options ---- */

static const char about[] =
    "Shows what RELOAD wire bytes say: a message or frame given as hex, a capture file, or\n"
    "(--batch) JSON lines {\"type\": T, \"hex\": H}, each answered with {\"fields\": {...}}\n"
    "or {\"reject\": why, \"offset\": N}.  Such a line may also have node_id_length (16),\n"
    "data_model (of a bare StoredData), kinds (Kind-ID to data model) and overlay_name.\n"
    "Lines about SIP: types SipMessage (a datagram), SipStream (bytes of a connection) and\n"
    "SipUriPair (\"a\" and \"b\" instead of hex: are they equal?).\n"
    "What is refused is shown with the reason and the byte; the exit status is then 1.\n"
    "Trunks are TLS: `tshark -o tls.keylog_file:KEYLOG -z follow,tls,raw,N` decrypts stream N\n"
    "of a capture and text2pcap makes one of it that --pcap reads; see README, Look at the wire.";

/* False: *status is the exit status. */
static bool read_options(int argc, char **argv, int *rest, int *status)
{
    const struct options_item items[] = {
        {"batch", 0, OPTIONS_FLAG, &given.is_batch, NULL, "one JSON object a line in, one out"},
        {"pcap", 0, OPTIONS_TEXT, &given.pcap, "FILE", "the frames and messages of a capture"},
        {"type", 't', OPTIONS_TEXT, &given.type, "T", "what HEX is; else told by its first bytes"},
        {"types", 0, OPTIONS_FLAG, &given.wants_types, NULL, "list the structures, one a line"},
        {"node-id-length", 0, OPTIONS_TEXT, &given.node_id_length, "N", "16 to 20 bytes (16)"},
        {"kind", 'k', OPTIONS_LIST, &given.kinds, "ID=MODEL",
         "a private Kind, so that its values show"},
        {"verbose", 'v', OPTIONS_FLAG, &given.is_verbose, NULL, "--pcap: every field"},
        {"whole", 'w', OPTIONS_FLAG, &given.is_whole, NULL, "do not cut long bytes short"},
        {"color", 0, OPTIONS_TEXT, &given.colour, "WHEN", "auto (on a terminal), always, never"},
    };
    const struct options options = {
        .usage = "chordial decode HEX | --pcap FILE | --batch < in.jsonl > out.jsonl",
        .about = about,
        .example = "    chordial decode --type PingAns 0123456789abcdef0000018bcfe56800\n"
                   "    echo '{\"type\":\"PingReq\",\"hex\":\"0000\"}' | chordial decode --batch\n"
                   "    chordial decode --pcap trunk.pcap -v",
        .items = items,
        .count = ARRAY_COUNT(items)};
    return options_parse(&options, argc, argv, rest, status);
}

/* The options that say how --batch answers stand in its lines; those for people have no sense. */
static bool check_batch(void)
{
    const struct {
        bool is_given;
        const char *name;
        const char *instead;
    } others[] = {
        {given.type != NULL, "type", "each line says its \"type\""},
        {given.kinds.count > 0, "kind", "each line may say its \"kinds\""},
        {given.node_id_length != NULL, "node-id-length", "each line may say \"node_id_length\""},
        {given.is_whole, "whole", "answers are whole"},
        {given.is_verbose, "verbose", "answers have every field"},
        {given.colour != NULL, "color", "answers have no colours"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(others); i++) {
        if (given.is_batch && others[i].is_given) {
            say_error("does not go with --batch: --%s: leave it away, %s", others[i].name,
                      others[i].instead);
            return false;
        }
    }
    return true;
}

static bool check_colour(void)
{
    static const char *const words[] = {"auto", "always", "never"};
    for (size_t i = 0; i < ARRAY_COUNT(words); i++) {
        if (given.colour == NULL || strcmp(given.colour, words[i]) == 0) {
            return true;
        }
    }
    say_error("not a way to colour: --color %s: give auto, always or never", given.colour);
    return false;
}

static bool read_node_id_length(struct show_context *c)
{
    char *end = NULL;
    unsigned long length = 16;
    if (given.node_id_length != NULL) {
        length = strtoul(given.node_id_length, &end, 10);
    }
    if ((end != NULL && (end == given.node_id_length || *end != '\0')) || length < IDS_NODE_MIN ||
        length > IDS_NODE_MAX) {
        say_error("not a length of Node-IDs: --node-id-length %s: give 16 to 20 (bytes)",
                  given.node_id_length);
        return false;
    }
    c->params.node_id_length = (uint8_t)length;
    return true;
}

static bool check_options(int words, struct show_context *c)
{
    int ways = (given.is_batch ? 1 : 0) + (given.pcap != NULL ? 1 : 0) +
               (given.wants_types ? 1 : 0) + (words > 0 ? 1 : 0);
    if (ways != 1) {
        say_error("wants one of HEX, --pcap, --batch and --types: %s: see --help",
                  ways == 0 ? "nothing is given" : "more than one is given");
        return false;
    }
    return check_batch() && check_colour() && read_node_id_length(c) && read_kinds(c);
}

int cmd_decode(int argc, char **argv)
{
    struct show_context context = {.has_overlay = false};
    int rest = 0;
    int status = 0;
    if (!read_options(argc, argv, &rest, &status)) {
        return status;
    }
    if (!check_options(argc - rest, &context)) {
        return CMD_USAGE;
    }
    bool is_auto = given.colour == NULL || strcmp(given.colour, "auto") == 0;
    const struct wire_text text = {.to = stdout,
                                   .has_colour = is_auto ? isatty(STDOUT_FILENO) == 1 &&
                                                               getenv("NO_COLOR") == NULL
                                                         : strcmp(given.colour, "always") == 0,
                                   .is_whole = given.is_whole};
    if (given.is_batch) {
        return batch();
    }
    if (given.wants_types) {
        return list_types();
    }
    return given.pcap != NULL ? print_pcap(&text, &context)
                              : print_hex(&text, &context, argc - rest, argv + rest);
}
