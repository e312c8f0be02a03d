/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/lookup.h"
#include "cmd/ask.h"
#include "cmd/cmd.h"
#include "cmd/options.h"
#include "codec/content.h"
#include "dht/overlay.h"
#include <inttypes.h>
#include <stdio.h>

enum { NODE_DIGITS = 32, AOR_CAP = 255, NAME_CAP = 255, ROUTE_STEPS = 64, REASON_CAP = 80 };

bool lookup_kind(uint64_t kind)
{
    if (kind == 0 || kind > UINT32_MAX) {
        say_error("not a Kind-ID: --kind %" PRIu64 ": 1 to 4294967295", kind);
        return false;
    }
    return true;
}

bool lookup_parse(const struct lookup_help *h, int argc, char **argv, struct lookup_asked *out,
                  int *status)
{
    const char *socket = NULL;
    uint64_t kind = OVERLAY_KIND_SIP_REGISTRATION;
    int rest = 0;
    *out = (struct lookup_asked){0};
    const struct options_item items[] = {
        {"socket", 's', OPTIONS_TEXT, &socket, "SOCKET",
         "the node's control-socket ($CHORDIAL_SOCKET)"},
        {"json", 0, OPTIONS_FLAG, &out->is_json, NULL, "print one JSON object"},
        {"kind", 0, OPTIONS_NUMBER, &kind, "K", "Kind-ID: 1 SIP-REGISTRATION (default), 3, 16"},
    };
    const struct options options = {.usage = h->usage,
                                    .about = h->about,
                                    .example = h->example,
                                    .items = items,
                                    .count = ARRAY_COUNT(items) - (h->has_kind ? 0 : 1),
                                    .words = h->words,
                                    .words_least = 1,
                                    .words_most = 1};
    if (!options_parse(&options, argc, argv, &rest, status)) {
        return false;
    }
    if (!lookup_kind(kind)) {
        *status = CMD_USAGE;
        return false;
    }
    if (argv[rest][0] == '\0' || strlen(argv[rest]) > NAME_CAP) {
        say_error("not a name: '%.40s': give 1 to %d bytes", argv[rest], NAME_CAP);
        *status = CMD_USAGE;
        return false;
    }
    out->kind = (uint32_t)kind;
    out->word = argv[rest];
    out->socket = ask_socket(socket);
    return true;
}

static int fail(enum err e, const char *why)
{
    say_error("%s", why);
    return e == ERR_CONFIG ? CMD_USAGE : CMD_FAILED;
}

/* The one row of an operation, borrowed from *answer. */
static enum err operate(const char *socket, json_t *request, json_t **answer, json_t **row,
                        char *why)
{
    enum err e = ask_node(socket, request, answer, why);
    *row = json_array_get(json_object_get(*answer, "rows"), 0);
    if (e == ERR_OK && *row == NULL) {
        json_decref(*answer);
        *answer = NULL;
        return say_why(why, ERR_MALFORMED, "an answer without a row: %s: another version?", socket);
    }
    return e;
}

static bool is_ok(const json_t *row)
{
    return json_is_true(json_object_get(row, "ok"));
}

static const char *text_of(const json_t *row, const char *key)
{
    const char *text = json_string_value(json_object_get(row, key));
    return text == NULL ? "-" : text;
}

static int64_t number_of(const json_t *row, const char *key)
{
    return (int64_t)json_integer_value(json_object_get(row, key));
}

static bool is_text(const json_t *row, const char *key, const char *wanted)
{
    return strcmp(text_of(row, key), wanted) == 0;
}

/* Why an operation failed: what a peer said (RFC 6940 6.3.3.1), where one did. */
static const char *reason_of(const json_t *row, char out[REASON_CAP])
{
    int64_t code = number_of(row, "reload_error");
    const char *error = text_of(row, "error");
    if (code == 0) {
        (void)snprintf(out, REASON_CAP, "%s",
                       strcmp(error, "timeout") == 0     ? "no answer in time"
                       : strcmp(error, "not_found") == 0 ? "not found"
                       : strcmp(error, "too_large") == 0 ? "too large"
                                                         : error);
    } else {
        (void)snprintf(out, REASON_CAP, "a peer answered error %" PRId64 " (%s)", code,
                       content_error_name((uint16_t)code));
    }
    return out;
}

static int say_operation(const json_t *row, const char *what)
{
    char reason[REASON_CAP];
    const char *hint =
        is_text(row, "error", "state") ? "the node has not joined the overlay"
        : is_text(row, "error", "timeout")
            ? "nobody of that Node-ID may be in the overlay, or the overlay does not "
              "answer (chordial ctl ring)"
        : is_text(row, "error", "limit")       ? "the node is busy, try again"
        : is_text(row, "error", "unsupported") ? "the overlay document has no such Kind"
        : is_text(row, "error", "not_found")   ? "the overlay has no such Kind or peer"
        : number_of(row, "reload_error") == CONTENT_ERROR_FORBIDDEN
            ? "the node may not write there: see --help"
        : is_text(row, "error", "too_large") ? "the answer has no room: fetch the values"
                                             : "see the node's log";
    say_error("failed: %s: %s: %s", what, reason_of(row, reason), hint);
    return CMD_FAILED;
}

/* ---- fetch
 * --------------------------------------------------------------------------------------- */

static void print_value(const json_t *value)
{
    size_t i = 0;
    const json_t *hop = NULL;
    const json_t *route = json_object_get(value, "route");
    (void)printf("  key %s  index %" PRId64 "  signed by %s (%s)  lifetime %" PRId64 " s\n",
                 text_of(value, "key"), number_of(value, "index"), text_of(value, "signer_user"),
                 text_of(value, "signer"), number_of(value, "lifetime_s"));
    if (json_object_get(value, "uri") != NULL) {
        (void)printf("    see %s\n", text_of(value, "uri"));
    } else if (route != NULL) {
        (void)printf("    route");
        json_array_foreach(route, i, hop)
        {
            (void)printf(" %s", json_string_value(hop));
        }
        int64_t q_milli = number_of(value, "q_milli");
        if (q_milli != 1000) {
            (void)printf("  q %" PRId64 ".%03" PRId64, q_milli / 1000, q_milli % 1000);
        }
        if (json_is_true(json_object_get(value, "mailbox"))) {
            (void)printf("  nobody is there, messages are kept");
        } else if (json_string_length(json_object_get(value, "prefs")) > 0) {
            (void)printf("  prefs %s", text_of(value, "prefs"));
        }
        (void)printf("\n");
    } else {
        (void)printf("    %s\n", text_of(value, "value"));
    }
}

static void print_values(const json_t *row)
{
    size_t i = 0;
    const json_t *value = NULL;
    const json_t *values = json_object_get(row, "values");
    (void)printf("%s  resource %s  %zu of %" PRId64 " values  %" PRId64 " hops  %.1f ms\n",
                 text_of(row, "name"), text_of(row, "resource"), json_array_size(values),
                 number_of(row, "value_total"), number_of(row, "hops"),
                 (double)number_of(row, "elapsed_us") / 1e3);
    json_array_foreach(values, i, value)
    {
        print_value(value);
    }
}

static json_t *operation_request(const char *verb, const char *name, uint32_t kind)
{
    return json_pack("{s:s, s:s, s:I}", "cmd", verb, "name", name, "kind", (json_int_t)kind);
}

/* Asks, and prints the row: as JSON, or by `print` when all went well. */
static int one_operation(const char *socket, const char *target, json_t *request, bool is_json,
                         void (*print)(const char *target, const json_t *row))
{
    char why[SAY_WHY_CAP];
    json_t *answer = NULL;
    json_t *row = NULL;
    enum err e = operate(socket, request, &answer, &row, why);
    if (e != ERR_OK) {
        return fail(e, why);
    }
    int status = is_ok(row) ? CMD_OK : CMD_FAILED;
    if (is_json) {
        ask_print_json(row);
    } else if (is_ok(row)) {
        ask_make_plain(row);
        print(target, row);
    } else {
        status = say_operation(row, target);
    }
    json_decref(answer);
    return status;
}

static void print_fetched(const char *target, const json_t *row)
{
    (void)target;
    print_values(row);
}

int lookup_fetch(const char *socket, const char *name, uint32_t kind, bool is_json)
{
    return one_operation(socket, name, operation_request("fetch", name, kind), is_json,
                         print_fetched);
}

/* ---- store
 * --------------------------------------------------------------------------------------- */

static void print_done(const char *target, const char *done, const json_t *row)
{
    (void)printf("%s %s kind %" PRId64 "  resource %s  %.1f ms\n", target, done,
                 number_of(row, "kind"), text_of(row, "resource"),
                 (double)number_of(row, "elapsed_us") / 1e3);
}

static void print_stored(const char *target, const json_t *row)
{
    print_done(target, "stored as", row);
}

static void print_removed(const char *target, const json_t *row)
{
    print_done(target, "removed from", row);
}

int lookup_store(const char *socket, const char *name, json_t *what, bool is_json)
{
    bool is_gone = json_is_true(json_object_get(what, "remove"));
    return one_operation(socket, name, what, is_json, is_gone ? print_removed : print_stored);
}

/* ---- stat and find
 * ------------------------------------------------------------------------------- */

static void print_stat(const char *target, const json_t *row)
{
    size_t i = 0;
    const json_t *value = NULL;
    const json_t *values = json_object_get(row, "values");
    (void)printf("%s  resource %s  %zu values at node %s  %" PRId64 " hops  %.1f ms\n", target,
                 text_of(row, "resource"), json_array_size(values), text_of(row, "node_id"),
                 number_of(row, "hops"), (double)number_of(row, "elapsed_us") / 1e3);
    json_array_foreach(values, i, value)
    {
        (void)printf("  key %s  index %" PRId64 "  %" PRId64 " bytes  stored at %" PRId64
                     " ms  lifetime %" PRId64 " s\n    hash %s\n",
                     text_of(value, "key"), number_of(value, "index"),
                     number_of(value, "value_bytes"), number_of(value, "storage_time_ms"),
                     number_of(value, "lifetime_s"), text_of(value, "hash"));
    }
}

int lookup_stat(const char *socket, const char *name, uint32_t kind, bool is_json)
{
    return one_operation(socket, name, operation_request("stat", name, kind), is_json, print_stat);
}

static void print_find(const char *target, const json_t *row)
{
    (void)printf("%s  resource %s  next with kind %" PRId64 ": %s  at node %s  %" PRId64
                 " hops  %.1f ms\n",
                 target, text_of(row, "resource"), number_of(row, "kind"), text_of(row, "found"),
                 text_of(row, "node_id"), number_of(row, "hops"),
                 (double)number_of(row, "elapsed_us") / 1e3);
}

int lookup_find(const char *socket, const char *name, uint32_t kind, bool is_json)
{
    return one_operation(socket, name, operation_request("find", name, kind), is_json, print_find);
}

/* ---- ping
 * ---------------------------------------------------------------------------------------- */

/* A Node-ID or a Resource Name. */
static json_t *target_request(const char *verb, const char *target)
{
    bool is_node =
        strlen(target) == NODE_DIGITS && strspn(target, "0123456789abcdefABCDEF") == NODE_DIGITS;
    return json_pack("{s:s, s:s}", "cmd", verb, is_node ? "node" : "name", target);
}

static void print_ping(const char *target, const json_t *row)
{
    (void)printf("%s answered by node %s: %" PRId64 " hops, %.1f ms\n", target,
                 text_of(row, "node_id"), number_of(row, "hops"),
                 (double)number_of(row, "elapsed_us") / 1e3);
}

int lookup_ping(const char *socket, const char *target, bool is_json)
{
    return one_operation(socket, target, target_request("ping", target), is_json, print_ping);
}

/* ---- route
 * --------------------------------------------------------------------------------------- */

/* Asks the peers one after the other, the node itself first; each row goes to `rows`. */
static enum err walk(const char *socket, const char *target, json_t *rows, char *why)
{
    char at[NODE_DIGITS + 1] = "";
    for (unsigned step = 0; step < ROUTE_STEPS; step++) {
        json_t *answer = NULL;
        json_t *row = NULL;
        json_t *request = target_request("route", target);
        if (at[0] != '\0') {
            json_object_set_new(request, "at", json_string(at));
        }
        enum err e = operate(socket, request, &answer, &row, why);
        if (e != ERR_OK) {
            return e;
        }
        const char *next = text_of(row, "next_peer");
        bool is_last = !is_ok(row) || strcmp(next, text_of(row, "node_id")) == 0;
        (void)snprintf(at, sizeof(at), "%s", next);
        json_array_append(rows, row);
        json_decref(answer);
        if (is_last) {
            return ERR_OK;
        }
    }
    return say_why(why, ERR_LIMIT,
                   "no end: %s: %u peers were asked; is the ring right? (chordial "
                   "ctl ring)",
                   target, ROUTE_STEPS);
}

static void print_steps(const char *target, json_t *rows)
{
    size_t i = 0;
    json_t *row = NULL;
    (void)printf("the way to %s\n", target);
    json_array_foreach(rows, i, row)
    {
        ask_make_plain(row);
        if (is_ok(row)) {
            (void)printf("  %2zu  %s  asked in %.1f ms\n", i, text_of(row, "node_id"),
                         (double)number_of(row, "elapsed_us") / 1e3);
        }
    }
}

int lookup_route(const char *socket, const char *target, bool is_json)
{
    char why[SAY_WHY_CAP];
    json_t *rows = json_array();
    enum err e = walk(socket, target, rows, why);
    const json_t *last = json_array_get(rows, json_array_size(rows) - 1);
    int status = e == ERR_OK && is_ok(last) ? CMD_OK : CMD_FAILED;
    if (is_json && json_array_size(rows) > 0) {
        json_t *out =
            json_pack("{s:s, s:b, s:O}", "target", target, "ok", status == CMD_OK, "steps", rows);
        ask_print_json(out);
        json_decref(out);
    } else if (json_array_size(rows) > 0) {
        print_steps(target, rows);
    }
    if (e != ERR_OK) {
        status = fail(e, why);
    } else if (status != CMD_OK && !is_json) {
        status = say_operation(last, target);
    }
    json_decref(rows);
    return status;
}

/* ---- resolve
 * ------------------------------------------------------------------------------------- */

/* "sip:Alice@Example.org;x" -> "Alice@example.org": without scheme and parameters, host lower case.
 */
static enum err canonical(const char *text, char *out, char *why)
{
    bool is_sip = strncasecmp(text, "sip:", 4) == 0;
    bool is_sips = strncasecmp(text, "sips:", 5) == 0;
    const char *from = text + (is_sip ? 4 : is_sips ? 5 : 0);
    size_t len = strcspn(from, ";?>");
    const char *at = memchr(from, '@', len);
    if (at == NULL || at == from || len > AOR_CAP || at + 1 == from + len ||
        strcspn(from, " <\"\t") < len) {
        return say_why(why, ERR_CONFIG, "not an address of record: %s: write sip:USER@DOMAIN",
                       text);
    }
    for (size_t i = 0; i < len; i++) {
        bool is_host = from + i > at;
        out[i] = from[i];
        if (is_host) {
            out[i] = (char)slice_lower((uint8_t)from[i]);
        }
    }
    out[len] = '\0';
    return ERR_OK;
}

/* Does a registration say where to call, and not only where messages are kept? */
static bool is_reachable(const json_t *row)
{
    size_t i = 0;
    const json_t *value = NULL;
    json_array_foreach(json_object_get(row, "values"), i, value)
    {
        bool is_way =
            json_object_get(value, "route") != NULL || json_object_get(value, "uri") != NULL;
        if (is_way && !json_is_true(json_object_get(value, "mailbox"))) {
            return true;
        }
    }
    return false;
}

/* What a caller's INVITE would get; `known` is the row of a Fetch of Kind 0x10 or NULL. */
static int status_of(const json_t *row, const json_t *known)
{
    if (!is_ok(row)) {
        return 504;
    }
    if (json_array_size(json_object_get(row, "values")) > 0) {
        return is_reachable(row) ? 200 : 480;
    }
    if (!is_ok(known)) {
        return 504;
    }
    return json_array_size(json_object_get(known, "values")) > 0 ? 480 : 404;
}

static int print_resolved(const char *aor, json_t *row, int status, bool is_json)
{
    static const struct {
        int status;
        const char *text;
    } texts[] = {{200, "registered"},
                 {404, "nobody by that name"},
                 {480, "known, but not registered"},
                 {504, "the overlay did not answer"}};
    const char *text = "";
    for (size_t i = 0; i < ARRAY_COUNT(texts); i++) {
        text = texts[i].status == status ? texts[i].text : text;
    }
    if (is_json) {
        json_object_set_new(row, "aor", json_string(aor));
        json_object_set_new(row, "status", json_integer(status));
        ask_print_json(row);
    } else {
        (void)printf("sip:%s  %d %s\n", aor, status, text);
        if (json_array_size(json_object_get(row, "values")) > 0) {
            ask_make_plain(row);
            print_values(row);
        }
    }
    return status == 200 ? CMD_OK : CMD_FAILED;
}

int lookup_resolve(const char *socket, const char *aor, bool is_json)
{
    char why[SAY_WHY_CAP];
    char name[AOR_CAP + 1];
    json_t *answer = NULL;
    json_t *row = NULL;
    json_t *second = NULL;
    json_t *known = NULL;
    enum err e = canonical(aor, name, why);
    if (e == ERR_OK) {
        e = operate(socket, operation_request("fetch", name, OVERLAY_KIND_SIP_REGISTRATION),
                    &answer, &row, why);
    }
    if (e == ERR_OK && is_ok(row) && json_array_size(json_object_get(row, "values")) == 0) {
        e = operate(socket, operation_request("fetch", name, OVERLAY_KIND_CERTIFICATE_BY_USER),
                    &second, &known, why);
    }
    int status =
        e == ERR_OK ? print_resolved(name, row, status_of(row, known), is_json) : fail(e, why);
    json_decref(second);
    json_decref(answer);
    return status;
}
