/* SPDX-License-Identifier: Apache-2.0 */
/* chordial verify: signatures and certificates, for programs (--batch) and for people. */
#include "cmd/batch.h"
#include "cmd/cmd.h"
#include "cmd/files.h"
#include "cmd/options.h"
#include "cmd/verify.h"
#include "codec/frame.h"
#include "link/crypto_boring.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- --batch ---- */

static bool looks_like_certificate(const json_t *o)
{
    const char *type = json_string_value(json_object_get(o, "type"));
    return type != NULL && strstr(type, "Certificate") != NULL;
}

static void put_verdict(struct batch_out *out, const struct verify_verdict *verdict)
{
    const struct crypto_certificate *c = &verdict->names;
    batch_text(out, verdict->is_certificate ? "{\"valid\":" : "{\"signature_valid\":");
    batch_text(out, verdict->is_valid ? "true" : "false");
    if (verdict->is_certificate) {
        batch_text(out, ",\"node_ids\":[");
        for (size_t i = 0; i < c->node_id_count; i++) {
            batch_text(out, i > 0 ? "," : "");
            batch_hex(out, slice_of(c->node_ids[i], c->node_id_length));
        }
        batch_text(out, "],\"user\":");
        if (c->user_len > 0) {
            batch_string(out, slice_of(c->user, c->user_len));
        } else {
            batch_text(out, "null");
        }
    }
    batch_text(out, ",\"why\":");
    if (verdict->is_valid) {
        batch_text(out, "null");
    } else {
        batch_string(out, slice_text(verdict->why));
    }
    batch_text(out, "}");
}

static void verify_one(void *ctx, struct slice line, struct batch_out *out)
{
    struct verify *v = ctx;
    struct verify_verdict verdict = {0};
    struct verify_terms terms;
    json_error_t error = {0};
    json_t *o = out->refused == NULL
                    ? json_loadb((const char *)line.data, line.len, JSON_REJECT_DUPLICATES, &error)
                    : NULL;
    if (o == NULL) {
        (void)snprintf(verdict.why, sizeof(verdict.why), "%s%.150s",
                       out->refused != NULL ? "" : "not JSON: ",
                       out->refused != NULL ? out->refused : error.text);
    } else if (!verify_terms_of(v, o, &terms, verdict.why)) {
        verdict.is_certificate = looks_like_certificate(o);
    } else {
        verify_judge(v, o, &terms, &verdict);
    }
    put_verdict(out, &verdict);
    json_decref(o);
}

/* ---- for people ---- */

struct request {
    struct options_texts roots;
    const char *at;
    const char *overlay;
    const char *self_signed;
    const char *input;
};

/* The bytes of a file, or of the argument itself where it is hex; hex inside of a file too, and a
 * certificate also as PEM, with text before it as in a keystore. */
static enum err read_input(const char *what, struct slice *out, char *why)
{
    size_t len = strlen(what);
    uint8_t *bytes = malloc(len / 2 + 1);
    if (bytes != NULL && len > 0 && ids_unhex(slice_text(what), bytes, len / 2, &len) == ERR_OK) {
        *out = slice_of(bytes, len);
        return ERR_OK;
    }
    free(bytes);
    enum err e = files_read(what, out, NULL);
    if (e != ERR_OK) {
        return say_why(why, e, "cannot read: %s: %s: give a file, or hex digits", what,
                       e == ERR_IO ? say_errno() : err_text(e));
    }
    struct slice text = *out;
    while (text.len > 0 && text.data[text.len - 1] <= ' ') {
        text.len--;
    }
    bool is_pem = memmem(text.data, text.len, "-----BEGIN ", 11) != NULL;
    bytes = malloc(max_size(text.len, 1));
    if (bytes != NULL && text.len > 0 &&
        (ids_unhex(text, bytes, text.len, &len) == ERR_OK ||
         (is_pem &&
          crypto_boring_pem_decode(text, "CERTIFICATE", 0, bytes, text.len, &len) == ERR_OK))) {
        files_release(out);
        *out = slice_of(bytes, len);
        return ERR_OK;
    }
    free(bytes);
    if (is_pem) {
        files_release(out);
        return say_why(why, ERR_MALFORMED,
                       "PEM text without a certificate: %s: give the certificate", what);
    }
    return ERR_OK;
}

static bool is_message(struct slice bytes)
{
    return slice_is_equal(slice_sub(bytes, 0, 4), SLICE_LITERAL("\xd2\x45\x4c\x4f"));
}

/* What these bytes are: the type of a line, and of a frame the message in it. */
static const char *type_of(struct slice *bytes, const char *what, char *why)
{
    static const char wanted[] = "give one of them, or a keystore";
    struct frame frame;
    bool is_frame = frame_decode(*bytes, &frame) == ERR_OK;
    if (is_frame && frame.type == FRAME_DATA && is_message(frame.message)) {
        *bytes = frame.message;
    }
    if (is_message(*bytes)) {
        return "Message";
    }
    if (verify_is_certificate(*bytes)) {
        return "Certificate";
    }
    if (bytes->len == 0) {
        (void)say_why(why, ERR_MALFORMED, "empty: %.60s: %s", what, wanted);
    } else if (is_frame && frame.type == FRAME_ACK) {
        (void)say_why(why, ERR_MALFORMED, "an ACK, which nobody signs: %.60s: %s", what, wanted);
    } else {
        (void)say_why(why, ERR_MALFORMED, "neither a RELOAD message nor a certificate: %.60s: %s",
                      what, wanted);
    }
    return NULL;
}

/* A number is one of seconds or milliseconds, all else text. */
static json_t *time_of(const char *text)
{
    char *end = NULL;
    errno = 0;
    long long number = strtoll(text, &end, 10);
    bool is_number = *text >= '0' && *text <= '9' && *end == '\0' && errno == 0;
    return is_number ? json_integer(number) : json_string(text);
}

static json_t *hex_of(struct slice bytes)
{
    char *text = malloc(2 * bytes.len + 1);
    json_t *made = text == NULL ? NULL : json_string(ids_hex(bytes, text));
    free(text);
    return made;
}

/* The one object that --batch would be given. */
static json_t *make_object(const struct request *r, const char *type, struct slice bytes, char *why)
{
    json_t *o = json_object();
    json_t *trust = json_array();
    (void)json_object_set_new(o, "type", json_string(type));
    (void)json_object_set_new(o, "hex", hex_of(bytes));
    (void)json_object_set_new(o, "trust", trust);
    if (r->overlay != NULL) {
        (void)json_object_set_new(o, "overlay_name", json_string(r->overlay));
    }
    if (r->at != NULL) {
        (void)json_object_set_new(o, "at", time_of(r->at));
    }
    if (r->self_signed != NULL) {
        (void)json_object_set_new(o, "self_signed_permitted", json_true());
        (void)json_object_set_new(o, "digest", json_string(r->self_signed));
    }
    for (size_t i = 0; i < r->roots.count; i++) {
        struct slice root;
        if (read_input(r->roots.texts[i], &root, why) != ERR_OK) {
            json_decref(o);
            return NULL;
        }
        (void)json_array_append_new(trust, hex_of(root));
        files_release(&root);
    }
    return o;
}

static void print_verdict(const struct verify_verdict *verdict)
{
    const struct crypto_certificate *c = &verdict->names;
    char hex[2 * sizeof(c->node_ids[0]) + 1];
    (void)printf("%s  %s\n", verdict->is_certificate ? "certificate" : "signature  ",
                 verdict->is_valid ? "valid" : verdict->why);
    for (size_t i = 0; i < c->node_id_count; i++) {
        (void)printf("Node-ID      %s\n",
                     ids_hex(slice_of(c->node_ids[i], c->node_id_length), hex));
    }
    if (c->user_len > 0) {
        (void)printf("user         %s\n", c->user);
    }
}

static int verify_input(struct verify *v, const struct request *r, bool is_json)
{
    char why[SAY_WHY_CAP] = "";
    struct slice bytes;
    struct verify_terms terms;
    struct verify_verdict verdict;
    if (read_input(r->input, &bytes, why) != ERR_OK) {
        say_error("%s", why);
        return CMD_USAGE;
    }
    struct slice judged = bytes;
    const char *type = type_of(&judged, r->input, why);
    json_t *o = type == NULL ? NULL : make_object(r, type, judged, why);
    files_release(&bytes);
    if (o != NULL && r->roots.count == 0 && r->self_signed == NULL) {
        say_error("no root certificate to judge by: verify: give --trust FILE");
        json_decref(o);
        return CMD_USAGE;
    }
    if (o == NULL || !verify_terms_of(v, o, &terms, why)) {
        say_error("%s", why);
        json_decref(o);
        return CMD_USAGE;
    }
    verify_judge(v, o, &terms, &verdict);
    json_decref(o);
    if (is_json) {
        struct batch_out out = {0};
        put_verdict(&out, &verdict);
        (void)printf("%.*s\n", (int)out.len, out.text);
        free(out.text);
    } else {
        print_verdict(&verdict);
    }
    return verdict.is_valid ? CMD_OK : CMD_FAILED;
}

/* What can be said before anything is read: false, said. */
static bool check_request(const struct request *r, bool is_batch, bool is_json, int words)
{
    bool has_options = r->roots.count > 0 || r->at != NULL || r->overlay != NULL ||
                       r->self_signed != NULL || is_json;
    if (words != (is_batch ? 0 : 1)) {
        say_error("%s: see --help", is_batch ? "reads standard input: --batch takes no argument"
                                             : "wants one argument: a file or hex digits");
        return false;
    }
    if (is_batch && has_options) {
        say_error("no other option goes with it: --batch: each line brings its own trust, at,"
                  " overlay_name, self_signed_permitted and digest");
        return false;
    }
    if (r->self_signed != NULL && strcmp(r->self_signed, "sha1") != 0 &&
        strcmp(r->self_signed, "sha256") != 0) {
        say_error("no such digest: --self-signed %s: give sha1 or sha256, as the overlay's"
                  " configuration does",
                  r->self_signed);
        return false;
    }
    return true;
}

int cmd_verify(int argc, char **argv)
{
    bool is_batch = false, is_json = false;
    struct request r = {0};
    const struct options_item items[] = {
        {"batch", 0, OPTIONS_FLAG, &is_batch, NULL, "one JSON object a line, in and out"},
        {"trust", 0, OPTIONS_LIST, &r.roots, "FILE|HEX", "a root certificate: PEM, DER or hex"},
        {"at", 0, OPTIONS_TEXT, &r.at, "TIME",
         "judge by this time, as 2026-11-23T00:00:00Z, or s or ms since 1970; now"},
        {"overlay", 0, OPTIONS_TEXT, &r.overlay, "NAME", "instance-name; else what the URI says"},
        {"self-signed", 0, OPTIONS_TEXT, &r.self_signed, "sha1|sha256",
         "the overlay permits self-signed certificates"},
        {"json", 0, OPTIONS_FLAG, &is_json, NULL, "print one JSON object"},
    };
    const struct options options = {
        .usage = "chordial verify FILE|HEX --trust ROOT [options], or chordial verify --batch",
        .about =
            "Judges the signature of a RELOAD message, or a certificate, as the daemon does.\n"
            "With --batch: lines as in tests/vectors/README.md (Message, StoredData, "
            "Certificate),\n"
            "with \"trust\" (a list of root certificates, hex DER) and \"at\" (RFC 3339, or a\n"
            "number of s or ms since 1970; now when missing).  For each one line comes out:\n"
            "{\"signature_valid\", \"why\"}, or {\"valid\", \"node_ids\", \"user\", \"why\"}.",
        .example = "    chordial verify peer.pem --trust ca/root.crt\n"
                   "    chordial verify --batch < signatures.jsonl",
        .items = items,
        .count = ARRAY_COUNT(items)};
    int rest = 0;
    int status = 0;
    if (!options_parse(&options, argc, argv, &rest, &status)) {
        return status;
    }
    if (!check_request(&r, is_batch, is_json, argc - rest)) {
        return CMD_USAGE;
    }
    struct verify *v = verify_make();
    if (v == NULL) {
        say_error("not enough memory: verify: stop something else");
        return CMD_FAILED;
    }
    r.input = argv[rest];
    status = is_batch ? batch_run(verify_one, v) : verify_input(v, &r, is_json);
    verify_free(v);
    return status;
}
