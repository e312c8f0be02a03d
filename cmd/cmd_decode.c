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
    bool is_verbose;
    bool is_whole;
    const char *pcap;
    const char *type;
    const char *colour;
} given;

/* The registered Kinds and those of --kind ID=MODEL; false when one is not of that form. */
static bool read_kinds(const struct options_texts *texts, struct show_context *c)
{
    static struct show_kind kinds[OPTIONS_TEXTS_CAP + 16];
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
    enum err e = ids_unhex(slice_of(digits, gather(count, words, digits)), bytes, cap, &len);
    struct slice in = slice_of(bytes, len);
    const char *type = given.type != NULL ? given.type : wire_text_guess(in);
    if (e != ERR_OK) {
        say_error("not hex: the argument: an even number of hex digits is wanted");
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
    say_line("%" PRIu64 " packets: %" PRIu64 " frames and messages, %" PRIu64 " refused; %" PRIu64
             " packets were something else, %" PRIu64 " gaps in streams",
             totals.packets, totals.items, r.refused, totals.other_packets, totals.gaps);
    return r.refused == 0 ? CMD_OK : CMD_FAILED;
}

static int list_types(void)
{
    for (size_t i = 0; show_type(i) != NULL; i++) {
        (void)printf("%s\n", show_type(i));
    }
    return CMD_OK;
}

int cmd_decode(int argc, char **argv)
{
    bool wants_types = false;
    uint64_t node_id_length = 16;
    struct options_texts kinds = {.count = 0};
    const struct options_item items[] = {
        {"batch", 0, OPTIONS_FLAG, &given.is_batch, NULL, "one JSON object a line in, one out"},
        {"pcap", 0, OPTIONS_TEXT, &given.pcap, "FILE", "the frames and messages of a capture"},
        {"type", 't', OPTIONS_TEXT, &given.type, "T", "what HEX is; else told by its first bytes"},
        {"types", 0, OPTIONS_FLAG, &wants_types, NULL, "list the structures, one a line"},
        {"node-id-length", 0, OPTIONS_NUMBER, &node_id_length, "N", "16 to 20 bytes (16)"},
        {"kind", 'k', OPTIONS_LIST, &kinds, "ID=MODEL", "a private Kind, so that its values show"},
        {"verbose", 'v', OPTIONS_FLAG, &given.is_verbose, NULL, "--pcap: every field"},
        {"whole", 'w', OPTIONS_FLAG, &given.is_whole, NULL, "do not cut long bytes short"},
        {"color", 0, OPTIONS_TEXT, &given.colour, "WHEN", "auto (on a terminal), always, never"},
    };
    const struct options options = {
        .usage = "chordial decode HEX | --pcap FILE | --batch < in.jsonl > out.jsonl",
        .about =
            "Shows what RELOAD wire bytes say: a message or frame given as hex, a capture file, "
            "or\n"
            "(--batch) JSON lines {\"type\": T, \"hex\": H}, each answered with {\"fields\": "
            "{...}}\n"
            "or {\"reject\": why, \"offset\": N}.  Such a line may also have node_id_length (16),\n"
            "data_model (of a bare StoredData), kinds (Kind-ID to data model) and overlay_name.\n"
            "Lines about SIP: types SipMessage (a datagram), SipStream (bytes of a connection) "
            "and\n"
            "SipUriPair (\"a\" and \"b\" instead of hex: are they equal?).\n"
            "What is refused is shown with the reason and the byte; the exit status is then 1.",
        .example = "    chordial decode --type PingAns 0123456789abcdef0000018bcfe56800\n"
                   "    echo '{\"type\":\"PingReq\",\"hex\":\"0000\"}' | chordial decode --batch\n"
                   "    chordial decode --pcap trunk.pcap -v",
        .items = items,
        .count = ARRAY_COUNT(items)};
    int rest = 0;
    int status = 0;
    if (!options_parse(&options, argc, argv, &rest, &status)) {
        return status;
    }
    int ways = (given.is_batch ? 1 : 0) + (given.pcap != NULL ? 1 : 0) + (wants_types ? 1 : 0) +
               (rest < argc ? 1 : 0);
    bool is_colour_known = given.colour == NULL || strcmp(given.colour, "auto") == 0 ||
                           strcmp(given.colour, "always") == 0 ||
                           strcmp(given.colour, "never") == 0;
    if (ways != 1 || !is_colour_known || node_id_length < IDS_NODE_MIN ||
        node_id_length > IDS_NODE_MAX) {
        say_error("wants one of HEX, --pcap, --batch and --types: decode: see --help");
        return CMD_USAGE;
    }
    bool is_auto = given.colour == NULL || strcmp(given.colour, "auto") == 0;
    const struct wire_text text = {.to = stdout,
                                   .has_colour = is_auto ? isatty(STDOUT_FILENO) == 1 &&
                                                               getenv("NO_COLOR") == NULL
                                                         : strcmp(given.colour, "always") == 0,
                                   .is_whole = given.is_whole};
    struct show_context context = {.params = {.node_id_length = (uint8_t)node_id_length}};
    if (!read_kinds(&kinds, &context)) {
        return CMD_USAGE;
    }
    if (given.is_batch) {
        return batch();
    }
    if (wants_types) {
        return list_types();
    }
    return given.pcap != NULL ? print_pcap(&text, &context)
                              : print_hex(&text, &context, argc - rest, argv + rest);
}
