/* SPDX-License-Identifier: Apache-2.0 */
/* chordial ctl: questions to a running node, as tables or JSON. */
#include "cmd/ask.h"
#include "cmd/cmd.h"
#include "cmd/lookup.h"
#include "cmd/options.h"
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

static const struct ask_column status_columns[] = {
    {"shard", "shard"},        {"node_id", "node-id"},
    {"ready", "ready"},        {"configuration_sequence", "document"},
    {"overlay", "overlay"},    {"links", "links"},
    {"values_owned", "owned"}, {"values_replica", "replicas"},
    {"bindings", "phones"},    {"transactions", "transactions"}};
static const struct ask_column peer_columns[] = {{"shard", "shard"}, {"node_id", "node-id"},
                                                 {"user", "host"},   {"remote", "address"},
                                                 {"up_s", "up s"},   {"rtt_us", "rtt us"}};
static const struct ask_column ring_columns[] = {{"shard", "shard"},
                                                 {"node_id", "node-id"},
                                                 {"ready", "ready"},
                                                 {"predecessors", "predecessor (of)"},
                                                 {"successors", "successor (of)"},
                                                 {"fingers", "fingers"}};
static const struct ask_column link_columns[] = {
    {"shard", "shard"},           {"node_id", "node-id"},  {"user", "host"},
    {"remote", "address"},        {"over", "over"},        {"up", "up"},
    {"suspect", "suspect"},       {"dialled", "dialled"},  {"rtt_us", "rtt us"},
    {"messages_in", "in"},        {"messages_out", "out"}, {"queued_bytes", "queued"},
    {"unacked_frames", "unacked"}};
static const struct ask_column stored_columns[] = {{"shard", "shard"},   {"resource", "resource"},
                                                   {"kind", "kind"},     {"owned", "owned"},
                                                   {"exists", "exists"}, {"key", "key"}};
static const struct ask_column binding_columns[] = {{"shard", "shard"},
                                                    {"aor", "aor"},
                                                    {"contact", "contact"},
                                                    {"expires_s", "expires s"},
                                                    {"stored", "stored"}};

static const struct ask_column trace_columns[] = {
    {"shard", "shard"}, {"ago_us", "us ago"}, {"event", "event"}, {"a", "a"}, {"b", "b"}};

static const struct ask_column histogram_columns[] = {
    {"name", "of"},    {"count", "count"}, {"mean_us", "mean us"}, {"p50_us", "p50"},
    {"p90_us", "p90"}, {"p99_us", "p99"},  {"p999_us", "p999"},    {"max_us", "max"}};

/* `key` is what the rows are called in --json. */
static const struct question {
    const char *word;
    const char *key;
    const struct ask_column *columns;
    size_t column_count;
} questions[] = {
    {"status", "shards", status_columns, ARRAY_COUNT(status_columns)},
    {"peers", "peers", peer_columns, ARRAY_COUNT(peer_columns)},
    {"ring", "ring", ring_columns, ARRAY_COUNT(ring_columns)},
    {"links", "links", link_columns, ARRAY_COUNT(link_columns)},
    {"stored", "stored", stored_columns, ARRAY_COUNT(stored_columns)},
    {"bindings", "bindings", binding_columns, ARRAY_COUNT(binding_columns)},
    {"trace", "events", trace_columns, ARRAY_COUNT(trace_columns)},
    {"metrics", NULL, NULL, 0},
    {"histograms", "histograms", histogram_columns, ARRAY_COUNT(histogram_columns)},
    {"health", NULL, NULL, 0},
    {"drain", NULL, NULL, 0},
    {"reload", NULL, NULL, 0},
    {"lookup", NULL, NULL, 0},
};

static const struct question *question_of(const char *word)
{
    const char *words[ARRAY_COUNT(questions)];
    for (size_t i = 0; i < ARRAY_COUNT(questions); i++) {
        words[i] = questions[i].word;
        if (strcmp(word, words[i]) == 0) {
            return &questions[i];
        }
    }
    const char *near = say_suggestion(word, words, ARRAY_COUNT(questions));
    say_error("unknown question: %s: %s%s", word, near == NULL ? "see --help" : "did you mean ",
              near == NULL ? "" : near);
    return NULL;
}

/* Whether records outlive the process, in a line; nothing where nobody asked for it. */
static void print_persistence(const json_t *answer)
{
    const json_t *p = json_object_get(answer, "persistence");
    if (!json_is_object(p)) {
        return;
    }
    if (json_is_true(json_object_get(p, "well"))) {
        (void)printf("records on disk: %lld, %lld of %lld MiB\n",
                     (long long)json_integer_value(json_object_get(p, "records")),
                     (long long)json_integer_value(json_object_get(p, "bytes")) >> 20,
                     (long long)json_integer_value(json_object_get(p, "max_bytes")) >> 20);
        return;
    }
    const char *problem = json_string_value(json_object_get(p, "problem"));
    (void)printf("ALARM: records are NOT kept on disk: %s\n", problem == NULL ? "?" : problem);
}

static void print_document(const json_t *answer)
{
    const char *from = json_string_value(json_object_get(answer, "configuration_from"));
    const char *expires = json_string_value(json_object_get(answer, "configuration_expires"));
    const char *restart = json_string_value(json_object_get(answer, "restart_needed_for"));
    (void)printf("document %" PRId64 " from %s  expires %s\n",
                 (int64_t)json_integer_value(json_object_get(answer, "configuration_sequence")),
                 from == NULL ? "-" : from, expires == NULL ? "-" : expires);
    if (restart != NULL && restart[0] != '\0') {
        (void)printf("RESTART needed for: %s\n", restart);
    }
}

/* When the certificate ends that phones are shown over TLS; nothing where there is none. */
static void print_phones_certificate(const json_t *answer)
{
    time_t ends_s = (time_t)(json_integer_value(json_object_get(answer, "sip_tls_ends_ms")) / 1000);
    char text[32];
    struct tm tm;
    if (ends_s > 0 && gmtime_r(&ends_s, &tm) != NULL &&
        strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm) > 0) {
        (void)printf("certificate for phones ends %s\n", text);
    }
}

static void print_status(const json_t *answer)
{
    const char *overlay = json_string_value(json_object_get(answer, "overlay"));
    const char *host = json_string_value(json_object_get(answer, "host"));
    const char *backend = json_string_value(json_object_get(answer, "backend"));
    bool is_draining = json_is_true(json_object_get(answer, "draining"));
    bool is_ready = json_is_true(json_object_get(answer, "ready"));
    (void)printf("overlay %s  host %s  %s  up %" PRId64 " s  pid %" PRId64 "\n%s\n",
                 overlay == NULL ? "-" : overlay, host == NULL ? "-" : host,
                 is_draining ? "draining"
                 : is_ready  ? "ready"
                             : "joining",
                 (int64_t)json_integer_value(json_object_get(answer, "uptime_s")),
                 (int64_t)json_integer_value(json_object_get(answer, "pid")),
                 backend == NULL ? "-" : backend);
    print_document(answer);
    print_phones_certificate(answer);
    print_persistence(answer);
    (void)putchar('\n');
}

static void print_reload(const json_t *answer)
{
    const char *why = json_string_value(json_object_get(answer, "why"));
    (void)printf("%s%s%s\n",
                 json_is_true(json_object_get(answer, "reloaded")) ? "taken" : "not taken",
                 why == NULL || why[0] == '\0' ? "" : ": ", why == NULL ? "" : why);
    print_document(answer);
}

static void print_health(const json_t *answer)
{
    const char *why = json_string_value(json_object_get(answer, "why"));
    bool is_ready = json_is_true(json_object_get(answer, "ready"));
    (void)printf("%s%s%s\n", is_ready ? "ready" : "not ready", is_ready ? "" : ": ",
                 is_ready || why == NULL ? "" : why);
}

static void print_members(json_t *answer)
{
    void *at = json_object_iter(answer);
    for (; at != NULL; at = json_object_iter_next(answer, at)) {
        const json_t *value = json_object_iter_value(at);
        if (json_is_integer(value)) {
            (void)printf("%-32s %" PRId64 "\n", json_object_iter_key(at),
                         (int64_t)json_integer_value(value));
        }
    }
}

static void print_answer(const struct question *q, json_t *answer, bool is_json)
{
    json_t *rows = json_object_get(answer, "rows");
    if (is_json) {
        if (q->key != NULL && json_object_set(answer, q->key, rows) == 0) {
            json_object_del(answer, "rows");
        }
        ask_print_json(answer);
        return;
    }
    ask_make_plain(answer);
    if (strcmp(q->word, "status") == 0) {
        print_status(answer);
    }
    if (q->columns != NULL) {
        ask_print_table(rows, q->columns, q->column_count);
    } else if (strcmp(q->word, "drain") == 0) {
        (void)printf("draining\n");
    } else if (strcmp(q->word, "reload") == 0) {
        print_reload(answer);
    } else if (strcmp(q->word, "health") == 0) {
        print_health(answer);
    } else {
        print_members(answer);
    }
}

/* `event`: of a trace; NULL: any. */
static int put_question(const char *socket, const struct question *q, const char *event,
                        bool is_json)
{
    char why[SAY_WHY_CAP];
    json_t *answer = NULL;
    enum err e =
        ask_node(socket, json_pack("{s:s, s:s*}", "cmd", q->word, "event", event), &answer, why);
    if (e != ERR_OK) {
        say_error("%s%s%s%s", event == NULL ? "" : "--event ", event == NULL ? "" : event,
                  event == NULL ? "" : ": ", why);
        return e == ERR_CONFIG ? CMD_USAGE : CMD_FAILED;
    }
    print_answer(q, answer, is_json);
    bool is_refused =
        json_is_false(json_object_get(answer, "reloaded")) ||
        (strcmp(q->word, "health") == 0 && json_is_false(json_object_get(answer, "ready")));
    json_decref(answer);
    return is_refused ? CMD_FAILED : CMD_OK;
}

int cmd_ctl(int argc, char **argv)
{
    const char *socket = NULL;
    const char *event = NULL;
    bool is_json = false;
    const struct options_item items[] = {
        {"socket", 's', OPTIONS_TEXT, &socket, "SOCKET",
         "the node's control-socket ($CHORDIAL_SOCKET)"},
        {"event", 0, OPTIONS_TEXT, &event, "NAME", "trace: events of this name alone"},
        {"json", 0, OPTIONS_FLAG, &is_json, NULL, "print one JSON object"},
    };
    const struct options options = {
        .usage = "chordial ctl [-s SOCKET] QUESTION [--json]",
        .about =
            "Asks a running node.  QUESTION is one of\n"
            "  status    the node and its shards          peers     links that are up\n"
            "  ring      neighbours on the ring           links     all links, at length\n"
            "  stored    what is stored here              bindings  registered phones\n"
            "  metrics   all counters, summed             lookup AOR\n"
            "  histograms  of times, in us                health    ready or not, and why: the\n"
            "                                                       exit status says it too\n"
            "  trace     the last 1,024 events of each shard, the newest first; what a and b are:\n"
            "            docs/operating.md\n"
            "  drain     leave the overlay and end, as SIGTERM\n"
            "  reload    take the overlay document and the certificate for phones from their\n"
            "            files, as SIGHUP",
        .example = "    chordial ctl -s control.sock status",
        .items = items,
        .count = ARRAY_COUNT(items)};
    int rest = 0;
    int status = 0;
    if (!options_parse(&options, argc, argv, &rest, &status)) {
        return status;
    }
    if (rest == argc) {
        say_error("wants a question: status, peers, ring, links, metrics ...: see --help");
        return CMD_USAGE;
    }
    const struct question *q = question_of(argv[rest]);
    bool is_lookup = q != NULL && strcmp(q->word, "lookup") == 0;
    if (q == NULL || argc - rest != (is_lookup ? 2 : 1)) {
        if (q != NULL) {
            say_error("wrong number of arguments: %s: see --help", q->word);
        }
        return CMD_USAGE;
    }
    if (event != NULL && strcmp(q->word, "trace") != 0) {
        say_error("--event is for trace: %s: see --help", q->word);
        return CMD_USAGE;
    }
    return is_lookup ? lookup_resolve(ask_socket(socket), argv[rest + 1], is_json)
                     : put_question(ask_socket(socket), q, event, is_json);
}
