/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/lookup.h"
#include "cmd/ask.h"
#include "cmd/cmd.h"
#include "dht/overlay.h"
#include <inttypes.h>
#include <stdio.h>

enum { NODE_DIGITS = 32, AOR_CAP = 255 };

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

static int say_operation(const json_t *row, const char *what)
{
    const char *error = text_of(row, "error");
    const char *hint = is_text(row, "error", "state")     ? "the node has not joined the overlay"
                       : is_text(row, "error", "timeout") ? "the overlay did not answer"
                       : is_text(row, "error", "limit")   ? "the node is busy, try again"
                                                          : "see the node's log";
    say_error("failed: %s: %s (RELOAD error %" PRId64 "): %s", what, error,
              number_of(row, "reload_error"), hint);
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

static json_t *fetch_request(const char *name, uint32_t kind)
{
    return json_pack("{s:s, s:s, s:I}", "cmd", "fetch", "name", name, "kind", (json_int_t)kind);
}

int lookup_fetch(const char *socket, const char *name, uint32_t kind, bool is_json)
{
    char why[SAY_WHY_CAP];
    json_t *answer = NULL;
    json_t *row = NULL;
    enum err e = operate(socket, fetch_request(name, kind), &answer, &row, why);
    if (e != ERR_OK) {
        return fail(e, why);
    }
    int status = CMD_OK;
    if (is_json) {
        ask_print_json(row);
        status = is_ok(row) ? CMD_OK : CMD_FAILED;
    } else if (is_ok(row)) {
        ask_make_plain(row);
        print_values(row);
    } else {
        status = say_operation(row, name);
    }
    json_decref(answer);
    return status;
}

/* ---- ping
 * ---------------------------------------------------------------------------------------- */

static json_t *ping_request(const char *target)
{
    bool is_node =
        strlen(target) == NODE_DIGITS && strspn(target, "0123456789abcdefABCDEF") == NODE_DIGITS;
    return json_pack("{s:s, s:s}", "cmd", "ping", is_node ? "node" : "name", target);
}

int lookup_ping(const char *socket, const char *target, bool is_json)
{
    char why[SAY_WHY_CAP];
    json_t *answer = NULL;
    json_t *row = NULL;
    enum err e = operate(socket, ping_request(target), &answer, &row, why);
    if (e != ERR_OK) {
        return fail(e, why);
    }
    int status = CMD_OK;
    if (is_json) {
        ask_print_json(row);
        status = is_ok(row) ? CMD_OK : CMD_FAILED;
    } else if (is_ok(row)) {
        (void)printf("%s answered by node %s: %" PRId64 " hops, %.1f ms\n", target,
                     text_of(row, "node_id"), number_of(row, "hops"),
                     (double)number_of(row, "elapsed_us") / 1e3);
    } else {
        status = say_operation(row, target);
    }
    json_decref(answer);
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
    if (at == NULL || at == from || len > AOR_CAP || at + 1 == from + len) {
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

/* What a caller's INVITE would get; `known` is the row of a Fetch of Kind 0x10 or NULL. */
static int status_of(const json_t *row, const json_t *known)
{
    if (!is_ok(row)) {
        return 504;
    }
    if (json_array_size(json_object_get(row, "values")) > 0) {
        return 200;
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
        if (status == 200) {
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
        e = operate(socket, fetch_request(name, OVERLAY_KIND_SIP_REGISTRATION), &answer, &row, why);
    }
    if (e == ERR_OK && is_ok(row) && json_array_size(json_object_get(row, "values")) == 0) {
        e = operate(socket, fetch_request(name, OVERLAY_KIND_CERTIFICATE_BY_USER), &second, &known,
                    why);
    }
    int status =
        e == ERR_OK ? print_resolved(name, row, status_of(row, known), is_json) : fail(e, why);
    json_decref(second);
    json_decref(answer);
    return status;
}
