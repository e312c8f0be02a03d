/* SPDX-License-Identifier: Apache-2.0 */
/* run_receive.c - sets the peer up, delivers, and compares what it has done with `verdict` (one
 * thing, or a list of things that are right) and `expect` (details). */
#include "tests/vector/run_receive.h"
#include "codec/content.h"
#include "codec/fwd.h"
#include "codec/msgs.h"
#include "tests/vector/run_peer.h"

#include <stdio.h>
#include <stdlib.h>

enum { KIND_MAX_COUNT = 100, KIND_MAX_SIZE = 4000 };

/* What the peer did. */
struct deed {
    struct run_peer *peer;
    struct slice message; /* as it was delivered */
    uint64_t transaction_id;
    uint32_t from;
    bool is_closed;
    bool has_config;
    const struct run_peer_sent *forwarded; /* the same payload, sent on */
    const struct run_peer_sent *answer;
    struct content answer_content;
    struct fwd answer_header;
    struct content_error error; /* of an error answer */
    bool is_error;
};

/* ---- the receiver ---- */

static bool read_kinds(const json_t *kinds, struct overlay_config *out)
{
    const char *id = NULL;
    json_t *model = NULL;
    json_object_foreach((json_t *)(uintptr_t)kinds, id, model)
    {
        enum stored_model named = STORED_SINGLE;
        char *end = NULL;
        unsigned long number = strtoul(id, &end, 10);
        if (*id < '0' || *id > '9' || *end != '\0' || number > UINT32_MAX ||
            out->kind_count == OVERLAY_KINDS_CAP || !json_is_string(model) ||
            !stored_model_named(slice_text(json_string_value(model)), &named)) {
            return false;
        }
        out->kinds[out->kind_count++] = (struct overlay_kind){
            .id = (uint32_t)number,
            .data_model = named == STORED_ARRAY        ? OVERLAY_ARRAY
                          : named == STORED_DICTIONARY ? OVERLAY_DICTIONARY
                                                       : OVERLAY_SINGLE,
            .access = OVERLAY_USER_MATCH, /* of private Kinds; the registered ones have their own */
            .max_count = KIND_MAX_COUNT,
            .max_size_bytes = KIND_MAX_SIZE};
    }
    return true;
}

static json_int_t number_of(const json_t *o, const char *key, json_int_t fallback)
{
    const json_t *value = json_object_get(o, key);
    return json_is_integer(value) ? json_integer_value(value) : fallback;
}

static bool read_config(const json_t *receiver, struct overlay_config *out, char *why, size_t cap)
{
    const char *name = run_base_text(receiver, "overlay_name");
    json_int_t sequence = number_of(receiver, "configuration_sequence", -1);
    json_int_t ttl = number_of(receiver, "initial_ttl", 100);
    json_int_t bytes = number_of(receiver, "max_message_size", 5000);
    if (*name == '\0' || strlen(name) >= sizeof(out->name) || sequence < 0 || sequence > 65535 ||
        ttl < 1 || ttl > 255 || bytes < 500 || bytes > 16000 ||
        number_of(receiver, "node_id_length", 16) != 16) {
        return run_base_fail(why, cap, "receiver: no such configuration");
    }
    memcpy(out->name, name, strlen(name) + 1);
    out->sequence = (uint16_t)sequence;
    out->node_id_length = 16;
    out->initial_ttl = (uint8_t)ttl;
    out->max_message_bytes = (uint32_t)bytes;
    out->reliability_timer_ms = 3000;
    out->chord_update_interval_s = 600;
    out->chord_ping_interval_s = 3600;
    out->no_ice = true;
    out->replica_min_hosts = 2;
    return read_kinds(json_object_get(receiver, "kinds"), out) ||
           run_base_fail(why, cap, "receiver: kinds: not understood");
}

static bool add_neighbor(const char *hex, struct run_peer_spec *spec, uint32_t *index)
{
    struct node_id id;
    if (!run_base_node(hex, &id)) {
        return false;
    }
    for (uint32_t i = 0; i < spec->neighbor_count; i++) {
        if (ids_node_is_equal(&spec->neighbors[i], &id)) {
            *index = i;
            return true;
        }
    }
    if (spec->neighbor_count == RUN_PEER_NEIGHBORS_CAP) {
        return false;
    }
    *index = spec->neighbor_count;
    spec->neighbors[spec->neighbor_count++] = id;
    return true;
}

static bool read_receiver(const json_t *receiver, struct run_peer_spec *spec, uint32_t *from,
                          char *why, size_t cap)
{
    const char *responsible = run_base_text(receiver, "responsible");
    size_t i = 0;
    json_t *id = NULL;
    if (!run_base_node(run_base_text(receiver, "node_id"), &spec->self) ||
        !read_config(receiver, &spec->config, why, cap)) {
        return false;
    }
    json_array_foreach(json_object_get(receiver, "connected"), i, id)
    {
        if (!add_neighbor(json_string_value(id), spec, from)) {
            return run_base_fail(why, cap, "receiver: connected: not understood");
        }
    }
    if (!add_neighbor(run_base_text(receiver, "prev_hop"), spec, from)) {
        return run_base_fail(why, cap, "receiver: prev_hop: not understood");
    }
    spec->is_responsible = strcmp(responsible, "all") == 0;
    return spec->is_responsible || strcmp(responsible, "none") == 0 ||
           run_base_fail(why, cap, "receiver: responsible: neither all nor none");
}

/* ---- what it did ---- */

static bool read_header(const struct run_peer *p, struct slice message, struct fwd *h)
{
    return fwd_decode(message, run_peer_params(p), h) == ERR_OK;
}

/* Everything behind the header is the same as that of the message delivered. */
static bool is_passed_on(const struct deed *d, const struct fwd *h)
{
    return h->payload.len > 0 && h->payload.len <= d->message.len &&
           slice_is_equal(h->payload, slice_from(d->message, d->message.len - h->payload.len));
}

static void sort_out(struct deed *d, const struct run_peer_sent *sent)
{
    struct fwd h;
    struct slice rest;
    if (!read_header(d->peer, sent->message, &h) || h.transaction_id != d->transaction_id) {
        return;
    }
    if (is_passed_on(d, &h)) {
        d->forwarded = sent;
        return;
    }
    if (content_decode(h.payload, &d->answer_content, &rest) == ERR_OK &&
        content_is_answer(d->answer_content.code)) {
        d->answer = sent;
        d->answer_header = h;
        d->is_error = d->answer_content.code == CONTENT_ERROR &&
                      content_error_decode(d->answer_content.body, &d->error) == ERR_OK;
    }
}

static void observe(struct deed *d)
{
    const struct run_peer_sent *sent = NULL;
    struct slice document;
    uint32_t count = run_peer_sent(d->peer, &sent);
    for (uint32_t i = 0; i < count; i++) {
        sort_out(d, &sent[i]);
    }
    d->is_closed = run_peer_is_closed(d->peer, d->from);
    d->has_config = run_peer_config(d->peer, &document);
}

static const char *describe(const struct deed *d, char *text, size_t cap)
{
    if (d->is_closed) {
        (void)snprintf(text, cap, "closed the link");
    } else if (d->is_error) {
        (void)snprintf(text, cap, "answered with error %u (%s)", d->error.code,
                       content_error_name(d->error.code));
    } else if (d->answer != NULL) {
        (void)snprintf(text, cap, "answered with %u (%s)", d->answer_content.code,
                       content_name(d->answer_content.code));
    } else if (d->forwarded != NULL) {
        (void)snprintf(text, cap, "forwarded it");
    } else {
        uint64_t most = 0;
        enum metric which = METRIC_dht_received;
        for (int m = METRIC_dht_drop_malformed; m <= METRIC_dht_drop_repeated; m++) {
            if (run_peer_metric(d->peer, (enum metric)m) > most) {
                most = run_peer_metric(d->peer, (enum metric)m);
                which = (enum metric)m;
            }
        }
        (void)snprintf(text, cap, "dropped it (%s)", metric_name(which));
    }
    return text;
}

/* ---- verdict ---- */

static bool is_config_sequence_error(uint16_t code)
{
    return code == CONTENT_ERROR_CONFIG_TOO_OLD || code == CONTENT_ERROR_CONFIG_TOO_NEW;
}

/* A ConfigUpdate is accepted when its document is looked at, whatever comes of that. */
static bool is_accepted(const struct deed *d, uint16_t request_code)
{
    if (request_code == CONTENT_CONFIG_UPDATE_REQ) {
        return d->has_config || (d->answer != NULL && !is_config_sequence_error(d->error.code));
    }
    return d->answer != NULL && d->answer_content.code == request_code + 1;
}

static bool is_verdict(const struct deed *d, const json_t *verdict, uint16_t request_code)
{
    const char *word = json_string_value(verdict);
    const json_t *error = json_object_get(verdict, "error");
    bool is_silent = d->answer == NULL && d->forwarded == NULL && !d->has_config;
    if (word != NULL && strcmp(word, "accept") == 0) {
        return !d->is_closed && d->forwarded == NULL && is_accepted(d, request_code);
    }
    if (word != NULL && strcmp(word, "forward") == 0) {
        return !d->is_closed && d->answer == NULL && d->forwarded != NULL && !d->has_config;
    }
    if (word != NULL && strcmp(word, "drop") == 0) {
        return is_silent && !d->is_closed;
    }
    if (word != NULL && strcmp(word, "close") == 0) {
        return is_silent && d->is_closed;
    }
    bool is_any = json_is_string(error) && strcmp(json_string_value(error), "any") == 0;
    return d->is_error && d->forwarded == NULL &&
           (is_any || (json_is_integer(error) && json_integer_value(error) == d->error.code));
}

static bool is_known_verdict(const json_t *verdict)
{
    static const char *const words[] = {"accept", "forward", "drop", "close"};
    const char *word = json_string_value(verdict);
    for (size_t i = 0; word != NULL && i < ARRAY_COUNT(words); i++) {
        if (strcmp(word, words[i]) == 0) {
            return true;
        }
    }
    const json_t *error = json_object_get(verdict, "error");
    return json_is_integer(error) ||
           (json_is_string(error) && strcmp(json_string_value(error), "any") == 0);
}

/* Whatever its strength: we do what the vector would like, also where it leaves a choice. */
static bool check_verdict(const json_t *vector, const struct deed *d, uint16_t request_code,
                          char *why, size_t cap)
{
    const json_t *verdict = json_object_get(vector, "verdict");
    char text[160];
    size_t count = json_is_array(verdict) ? json_array_size(verdict) : 1;
    bool is_right = false;
    for (size_t i = 0; i < count; i++) {
        const json_t *one = json_is_array(verdict) ? json_array_get(verdict, i) : verdict;
        if (!is_known_verdict(one)) {
            return run_base_fail(why, cap, "verdict: not understood");
        }
        is_right |= is_verdict(d, one, request_code);
    }
    return is_right || run_base_fail(why, cap, "the peer %s", describe(d, text, sizeof(text)));
}

/* ---- expect ---- */

static json_t *hex_json(struct slice bytes)
{
    char *text = malloc(2 * bytes.len + 1);
    json_t *made = json_string(ids_hex(bytes, text));
    free(text);
    return made;
}

static json_t *list_json(struct slice list)
{
    static const struct rl_params params = {.node_id_length = 16};
    static const char *const names[] = {"", "node_id", "resource_id", "opaque_id"};
    json_t *made = json_array();
    struct rd r = rd_init(list);
    struct fwd_destination d;
    while (fwd_next(&r, &params, &d)) {
        json_t *o = json_object();
        if (d.is_compact) {
            (void)json_object_set_new(o, "compact", hex_json(d.id));
        } else {
            (void)json_object_set_new(o, "type", json_integer(d.type));
            (void)json_object_set_new(o, d.type < ARRAY_COUNT(names) ? names[d.type] : "unknown",
                                      hex_json(d.id));
        }
        (void)json_array_append_new(made, o);
    }
    return made;
}

static json_t *options_json(struct slice options)
{
    json_t *made = json_array();
    struct rd r = rd_init(options);
    struct fwd_option f;
    while (fwd_option_next(&r, &f)) {
        json_t *o = json_object();
        (void)json_object_set_new(o, "type", json_integer(f.type));
        (void)json_object_set_new(o, "flags", json_integer(f.flags));
        (void)json_object_set_new(o, "option", hex_json(f.value));
        (void)json_array_append_new(made, o);
    }
    return made;
}

/* The generation counter of the first Kind in a StoreAns or FetchAns. */
static json_t *generation_json(const struct deed *d, const json_t *want)
{
    struct msgs_store_ans answer;
    struct stored_response first;
    uint64_t least = 0;
    const char *text = json_string_value(want);
    if (msgs_store_ans_decode(d->answer_content.body, run_peer_params(d->peer), &answer) !=
        ERR_OK) {
        return NULL;
    }
    struct rd r = rd_init(answer.kind_responses);
    if (!stored_response_next(&r, run_peer_params(d->peer), &first)) {
        return NULL;
    }
    if (text != NULL && text[0] == '>' && text[1] == '=') {
        least = strtoull(text + 2, NULL, 10);
        if (first.generation >= least) {
            return json_string(text);
        }
    }
    return json_integer((json_int_t)first.generation);
}

/* Another message to who sent this one: a request with that code. */
static json_t *request_json(const struct deed *d, json_int_t want)
{
    const struct run_peer_sent *sent = NULL;
    uint32_t count = run_peer_sent(d->peer, &sent);
    for (uint32_t i = 0; i < count; i++) {
        struct fwd h;
        struct content content;
        struct slice rest;
        bool is_new = read_header(d->peer, sent[i].message, &h) && sent[i].to == d->from &&
                      h.transaction_id != d->transaction_id &&
                      content_decode(h.payload, &content, &rest) == ERR_OK &&
                      content.code == want && run_peer_has_signed(d->peer, sent[i].message);
        /* CU-3: or it would be refused for the reason that it is sent for */
        if (is_new && (want != CONTENT_CONFIG_UPDATE_REQ ||
                       h.configuration_sequence == FWD_SEQUENCE_UPDATE)) {
            return json_integer(want);
        }
    }
    return NULL;
}

static json_t *node_json(const struct run_peer_spec *spec, const struct run_peer_sent *sent)
{
    return hex_json(slice_of(spec->neighbors[sent->to].bytes, IDS_RING_BYTES));
}

/* What stands for `key` of `expect` in what the peer did; NULL: nothing does. */
static json_t *detail(const struct deed *d, const struct run_peer_spec *spec, const char *key,
                      const json_t *want, bool *is_known)
{
    struct fwd h;
    *is_known = true;
    if (strcmp(key, "then_request_code") == 0) {
        return request_json(d, json_integer_value(want));
    }
    if (d->forwarded != NULL && read_header(d->peer, d->forwarded->message, &h)) {
        if (strcmp(key, "to") == 0) {
            return node_json(spec, d->forwarded);
        }
        if (strcmp(key, "ttl") == 0) {
            return json_integer(h.ttl);
        }
        if (strcmp(key, "destination_list") == 0) {
            return list_json(h.destination_list);
        }
        if (strcmp(key, "via_list_if_stateless") == 0 || strcmp(key, "via_list") == 0) {
            return list_json(h.via_list);
        }
        if (strcmp(key, "options") == 0) {
            return options_json(h.options);
        }
    }
    if (d->answer != NULL) {
        if (strcmp(key, "answer_code") == 0) {
            return json_integer(d->answer_content.code);
        }
        if (strcmp(key, "answer_options") == 0) {
            return options_json(d->answer_header.options);
        }
        if (strcmp(key, "error_info") == 0) {
            return hex_json(d->error.info);
        }
        if (strcmp(key, "generation_counter") == 0) {
            return generation_json(d, want);
        }
    }
    *is_known = false;
    return NULL;
}

static bool check_expect(const json_t *vector, const struct deed *d,
                         const struct run_peer_spec *spec, char *why, size_t cap)
{
    const char *key = NULL;
    json_t *want = NULL;
    json_object_foreach(json_object_get(vector, "expect"), key, want)
    {
        bool is_known = false;
        json_t *got = detail(d, spec, key, want, &is_known);
        bool is_same = got != NULL && json_equal(got, want);
        char *text = got == NULL ? NULL : json_dumps(got, JSON_COMPACT | JSON_ENCODE_ANY);
        json_decref(got);
        if (!is_same) {
            (void)run_base_fail(why, cap, "expect: %s: %s", key,
                                !is_known      ? "there is no such thing"
                                : text == NULL ? "nothing"
                                               : text);
            free(text);
            return false;
        }
        free(text);
    }
    return true;
}

/* Whatever it says, what we send is in order: signed, to the previous hop, along the Via List. */
static bool check_answer(const struct deed *d, char *why, size_t cap)
{
    struct fwd asked;
    if (d->answer == NULL) {
        return true;
    }
    if (!run_peer_has_signed(d->peer, d->answer->message)) {
        return run_base_fail(why, cap, "the answer is not signed by the peer");
    }
    if (d->answer->to != d->from) {
        return run_base_fail(why, cap, "the answer goes to somebody else");
    }
    if (fwd_decode_header(d->message, run_peer_params(d->peer), &asked) == ERR_OK &&
        d->answer_header.destination_count != asked.via_count + 1) {
        return run_base_fail(why, cap, "the answer does not go along the Via List");
    }
    return true;
}

/* ---- all of it ---- */

static uint64_t transaction_of(struct slice message)
{
    struct rd r = rd_init(message);
    (void)rd_bytes(&r, 20);
    return rd_u64(&r);
}

/* The code of a message whose header may be anything, 0 when it does not show. */
static uint16_t code_of(struct slice message, const struct rl_params *params)
{
    struct fwd h;
    if (fwd_decode_header(message, params, &h) != ERR_OK || h.payload.len < 2) {
        return 0;
    }
    return (uint16_t)(h.payload.data[0] << 8 | h.payload.data[1]);
}

static bool run(const json_t *vector, const struct run_peer_spec *spec, struct deed *d, char *why,
                size_t cap)
{
    d->peer = run_peer_make(spec);
    if (d->peer == NULL) {
        return run_base_fail(why, cap, "receiver: cannot be set up");
    }
    d->transaction_id = transaction_of(d->message);
    run_peer_deliver(d->peer, d->from, d->message);
    observe(d);
    uint16_t code = code_of(d->message, run_peer_params(d->peer));
    bool is_right = check_verdict(vector, d, code, why, cap) &&
                    check_expect(vector, d, spec, why, cap) && check_answer(d, why, cap);
    run_peer_free(d->peer);
    return is_right;
}

bool run_receive(const json_t *vector, char *why, size_t cap)
{
    static struct run_peer_spec spec;
    const json_t *receiver = json_object_get(vector, "receiver");
    const char *trust = run_base_text(receiver, "trust");
    struct verify_terms terms;
    struct deed d = {0};
    memset(&spec, 0, sizeof(spec));
    if (!run_base_terms(vector, *trust == '\0' ? "ca" : trust, &terms)) {
        return run_base_fail(why, cap, "no root certificate \"%s\" in any file", trust);
    }
    if (!run_base_bytes(vector, "hex", &d.message)) {
        return run_base_fail(why, cap, "hex: no hex digits");
    }
    bool is_right = read_receiver(receiver, &spec, &d.from, why, cap);
    if (is_right) {
        spec.at_ms = terms.at_ms;
        spec.trust = (struct crypto_trust){.roots = terms.roots,
                                           .root_count = terms.root_count,
                                           .overlay_name = slice_text(spec.config.name),
                                           .node_id_length = spec.config.node_id_length};
        spec.document =
            SLICE_LITERAL("<overlay xmlns=\"urn:ietf:params:xml:ns:p2p:config-base\"/>");
        is_right = run(vector, &spec, &d, why, cap);
    }
    run_base_free(&d.message);
    return is_right;
}
