/* SPDX-License-Identifier: Apache-2.0 */
/* chordial load: puts a running node under load from outside and says what it did. */
#include "cmd/ca.h"
#include "cmd/cmd.h"
#include "cmd/load_cpu.h"
#include "cmd/load_datagram.h"
#include "cmd/load_forward.h"
#include "cmd/load_record.h"
#include "cmd/load_report.h"
#include "cmd/load_sip.h"
#include "cmd/options.h"
#include "core/os/host.h"
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    RATE_MAX = 10000000,
    SECONDS_MAX = 86400,
    OUTSTANDING_MAX = 1 << 20,
    TIMEOUT_MS_MAX = 60000,
    OUTSTANDING = 65536,
    CLOSED_OUTSTANDING = 128, /* what a socket of a node takes at once */
    SEED = 1,
    PROGRESS_S = 2,
};
static const uint64_t OUTSTANDING_UNSAID = UINT64_MAX;
static const uint32_t ON_TRUNKS = 1u << LOAD_FORWARD | 1u << LOAD_FETCH | 1u << LOAD_STORE;
static const uint32_t ON_PHONES = 1u << LOAD_REGISTER | 1u << LOAD_OPTIONS | 1u << LOAD_INVITE;

struct asked {
    const char *kind, *rate, *arrivals, *transport;
    bool is_json, has_cpu;
    const char *cpu, *key;
    enum crypto_algorithm algorithm;
    struct load_target_options target;
    struct load_settings s;
};

static volatile int stop;

static void on_signal(int number)
{
    stop = number;
}

static bool usage(const char *what)
{
    say_error("%s", what);
    return false;
}

/* ---- what was asked for ---- */

static bool take_count(const char *name, const char *text, uint64_t *out)
{
    char *end = NULL;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || text[0] == '-') {
        say_error("not a whole number: --%s %s: give digits only", name, text);
        return false;
    }
    *out = value;
    return true;
}

static bool is_within(const char *name, uint64_t value, uint64_t least, uint64_t most)
{
    if (value < least || value > most) {
        say_error("out of range: --%s %llu: give %llu to %llu", name, (unsigned long long)value,
                  (unsigned long long)least, (unsigned long long)most);
        return false;
    }
    return true;
}

/* Weights of "mixed": what the target lacks an address for is left out later. */
static const uint32_t mixed[LOAD_KINDS] = {
    [LOAD_FETCH] = 4, [LOAD_STORE] = 1, [LOAD_REGISTER] = 4, [LOAD_OPTIONS] = 8, [LOAD_INVITE] = 2};

static bool take_kind(struct asked *a)
{
    const char *names[LOAD_KINDS];
    if (strcmp(a->kind, "mixed") == 0) {
        memcpy(a->s.mix, mixed, sizeof(mixed));
        return true;
    }
    for (uint32_t k = 0; k < LOAD_KINDS; k++) {
        names[k] = load_kind_name((enum load_kind)k);
        if (strcmp(a->kind, names[k]) == 0) {
            a->s.mix[k] = 1;
            return true;
        }
    }
    const char *near = say_suggestion(a->kind, names, LOAD_KINDS);
    if (near != NULL) {
        say_error("no such kind: %s: did you mean %s?", a->kind, near);
    } else {
        say_error("no such kind: %s: forward, fetch, store, register, options, invite or mixed",
                  a->kind);
    }
    return false;
}

static uint64_t default_outstanding(const struct load_settings *s)
{
    if (!s->is_max) {
        return OUTSTANDING;
    }
    uint64_t bytes =
        s->links == LOAD_DTLS ? LOAD_FORWARD_CLOSED_DATAGRAM_BYTES : LOAD_FORWARD_CLOSED_BYTES;
    uint64_t each = max_u64(1, bytes / max_u64(s->size_bytes, 1));
    return s->mix[LOAD_FORWARD] > 0 ? each * s->connections : CLOSED_OUTSTANDING;
}

static bool take_rate(struct asked *a)
{
    a->s.is_max = strcmp(a->rate, "max") == 0;
    if (!a->s.is_max &&
        (!take_count("rate", a->rate, &a->s.rate) || !is_within("rate", a->s.rate, 1, RATE_MAX))) {
        return false;
    }
    if (strcmp(a->arrivals, "poisson") == 0) {
        a->s.arrivals = LOAD_SCHEDULE_POISSON;
    } else if (strcmp(a->arrivals, "constant") != 0) {
        say_error("no such arrivals: %s: poisson or constant", a->arrivals);
        return false;
    }
    if (a->s.outstanding == OUTSTANDING_UNSAID) {
        a->s.outstanding = default_outstanding(&a->s);
    }
    return is_within("outstanding", a->s.outstanding, 1, OUTSTANDING_MAX);
}

static bool take_transport(struct asked *a)
{
    for (uint32_t i = 0; i < LOAD_DTLS; i++) {
        if (strcmp(a->transport, load_transport_name((enum load_transport)i)) == 0) {
            a->s.transport = (enum load_transport)i;
            return true;
        }
    }
    if (strcmp(a->transport, load_transport_name(LOAD_DTLS)) != 0) {
        say_error("no such transport: %s: udp, tcp, tls or dtls", a->transport);
        return false;
    }
    a->s.links = LOAD_DTLS;
    if (a->s.mix[LOAD_FORWARD] == 0) {
        say_error("dtls is a transport of links: --kind %s: only forward goes over it", a->kind);
        return false;
    }
    return is_within("size", a->s.size_bytes, LOAD_FORWARD_SIZE_MIN, LOAD_DATAGRAM_MESSAGE_CAP);
}

static bool take_warm(const struct asked *a)
{
    for (uint32_t k = 0; a->s.warm_s > 0 && k < LOAD_KINDS; k++) {
        if (a->s.mix[k] > 0 && (ON_PHONES & 1u << k) == 0) {
            say_error("not with --warm: --kind %s: register, options or invite", a->kind);
            return false;
        }
    }
    return a->s.warm_s == 0 || is_within("warm", a->s.warm_s, 1, SECONDS_MAX);
}

static bool take_in_turn(const struct asked *a)
{
    if (a->s.is_in_turn && !a->s.is_max) {
        say_error("not with --in-turn: --rate %s: give --rate max", a->rate);
        return false;
    }
    if (a->s.is_in_turn && a->target.demo != NULL && strcmp(a->target.demo, "-") == 0) {
        return usage("not with --in-turn: --demo -: standard input says when to send");
    }
    return true;
}

static bool check_asked(struct asked *a)
{
    uint64_t cpu = 0;
    if (a->key != NULL && ca_algorithm(a->key, &a->algorithm) != ERR_OK) {
        say_error("no such key: %s: ed25519, p256 or rsa2048", a->key);
        return false;
    }
    if (a->kind == NULL) {
        return usage("no kind: --kind: forward, fetch, store, register, options, invite or mixed");
    }
    if (!take_kind(a) || !take_transport(a) || !take_warm(a) ||
        !is_within("seconds", a->s.seconds, 1, SECONDS_MAX) ||
        !is_within("connections", a->s.connections, 1, LOAD_IO_CAP) ||
        !is_within("timeout-ms", a->s.timeout_ms, 1, TIMEOUT_MS_MAX) ||
        !is_within("size", a->s.size_bytes, LOAD_FORWARD_SIZE_MIN, LOAD_FORWARD_SIZE_MAX) ||
        !is_within("server-pid", a->target.pid, 0, INT32_MAX) || !take_rate(a) ||
        !take_in_turn(a) || (a->cpu != NULL && !take_count("cpu", a->cpu, &cpu))) {
        return false;
    }
    if (a->cpu != NULL && (!is_within("cpu", cpu, 0, 4095) || host_pin((uint32_t)cpu) != ERR_OK)) {
        say_error("cannot run there: --cpu %s: this process may use %u", a->cpu, host_cpu_count());
        return false;
    }
    return true;
}

/* A process of which nothing can be read would only be noticed when all is over. */
static bool check_server(const struct load_target *target)
{
    uint64_t ns = 0;
    if (target->pid != 0 && load_cpu_of(target->pid, &ns) != ERR_OK) {
        say_error("no such process: %u: is the node running? --server-pid names another",
                  target->pid);
        return false;
    }
    return true;
}

/* ---- the run ---- */

struct drivers {
    struct load_overlay overlay;
    struct load_forward *forward;
    struct load_record *record;
    struct load_sip *sip;
    bool has_overlay;
};

static bool is_asked(const struct load *l, uint32_t kinds)
{
    for (uint32_t k = 0; k < LOAD_KINDS; k++) {
        if (l->s->mix[k] > 0 && (kinds & 1u << k) != 0) {
            return true;
        }
    }
    return false;
}

static enum err open_overlay(struct load *l, const struct asked *a,
                             const struct load_target *target, struct drivers *d, char *why)
{
    bool is_forward = is_asked(l, 1u << LOAD_FORWARD);
    bool is_record = is_asked(l, 1u << LOAD_FETCH | 1u << LOAD_STORE);
    uint32_t each = (is_forward ? 2u : 0u) + (is_record ? 1u : 0u);
    uint32_t count = (uint32_t)l->s->connections;
    uint32_t attachers = l->s->links == LOAD_DTLS ? 1 : 0;
    if (count * each + attachers > LOAD_OVERLAY_MEMBERS_CAP) {
        return say_why(why, ERR_CONFIG, "too many: --connections %u: this kind takes %u", count,
                       (LOAD_OVERLAY_MEMBERS_CAP - attachers) / each);
    }
    enum err e =
        load_overlay_open(&d->overlay, target, count * each + attachers, a->algorithm, why);
    d->has_overlay = e == ERR_OK;
    if (e == ERR_OK && is_forward) {
        e = load_forward_open(l, &d->overlay, count, &d->forward, why);
    }
    if (e == ERR_OK && is_record) {
        e = load_record_open(l, &d->overlay, is_forward ? 2 * count : 0, count, &d->record, why);
    }
    return e;
}

static enum err open_drivers(struct load *l, const struct asked *a,
                             const struct load_target *target, struct drivers *d, char *why)
{
    enum err e = ERR_OK;
    if (is_asked(l, ON_TRUNKS)) {
        e = open_overlay(l, a, target, d, why);
    }
    if (e == ERR_OK && is_asked(l, ON_PHONES)) {
        e = load_sip_open(l, target, &d->sip, why);
    }
    return e;
}

static void close_drivers(struct drivers *d)
{
    load_sip_close(d->sip);
    load_record_close(d->record);
    load_forward_close(d->forward);
    if (d->has_overlay) {
        load_overlay_close(&d->overlay);
    }
}

static void report(const struct asked *a, const struct load *l, const struct load_target *target)
{
    char text[ADDRESS_TEXT_CAP];
    bool is_overlay = l->s->mix[LOAD_FORWARD] + l->s->mix[LOAD_FETCH] + l->s->mix[LOAD_STORE] > 0;
    struct load_report r = {
        .kind = a->kind,
        .target = address_text(is_overlay ? &target->overlay : &target->sip, text),
        .transport = load_transport_name(is_overlay ? l->s->links : l->s->transport),
        .source = !is_overlay                ? "127.0.0.0/8"
                  : l->s->links == LOAD_DTLS ? "links"
                                             : "trunks"};
    if (a->is_json) {
        load_report_json(l, &r);
    } else {
        load_report_table(l, &r);
    }
}

static int run(struct asked *a, const struct load_target *target)
{
    static struct load l; /* histograms: too large for a stack */
    static struct drivers d;
    char why[SAY_WHY_CAP] = "";
    for (uint32_t k = 0; strcmp(a->kind, "mixed") == 0 && k < LOAD_KINDS; k++) {
        bool is_on_trunks = (ON_TRUNKS & 1u << k) != 0;
        bool has_place = is_on_trunks ? target->overlay.family != 0 && target->ca[0] != '\0'
                                      : target->sip.family != 0;
        a->s.mix[k] = has_place ? a->s.mix[k] : 0;
    }
    a->s.stop = &stop;
    a->s.server_pid = target->pid;
    a->s.callee_pid = target->pid == 0 ? 0 : target->callee_pid;
    a->s.has_progress = a->s.seconds > PROGRESS_S && isatty(STDERR_FILENO) == 1;
    if (load_open(&l, &a->s) != ERR_OK) {
        say_error("cannot begin: %s: give a smaller --outstanding", say_errno());
        return CMD_FAILED;
    }
    enum err e = open_drivers(&l, a, target, &d, why);
    int status = CMD_OK;
    if (e != ERR_OK) {
        say_error("%s", why);
        status = e == ERR_CONFIG ? CMD_USAGE : CMD_FAILED;
    } else {
        load_run(&l);
        report(a, &l, target);
        struct load_ops_tally *any = &l.ops.tallies[0];
        uint64_t done = 0;
        for (uint32_t k = 0; k < LOAD_KINDS; k++) {
            done += any[k].done;
        }
        status = done > 0 ? CMD_OK : CMD_FAILED;
    }
    close_drivers(&d);
    load_close(&l);
    return status;
}

static void catch_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal};
    CHECK(sigaction(SIGINT, &action, NULL) == 0 && sigaction(SIGTERM, &action, NULL) == 0);
    action.sa_handler = SIG_IGN;
    CHECK(sigaction(SIGPIPE, &action, NULL) == 0);
}

static const struct asked defaults = {.rate = "1000",
                                      .arrivals = "poisson",
                                      .transport = "udp",
                                      .target = {.peer = 1, .node = 1},
                                      .s = {.connections = 1,
                                            .seconds = 10,
                                            .timeout_ms = 2000,
                                            .size_bytes = 500,
                                            .seed = SEED,
                                            .outstanding = OUTSTANDING_UNSAID,
                                            .links = LOAD_TLS}};

int cmd_load(int argc, char **argv)
{
    struct asked a = defaults;
    const struct options_item items[] = {
        {"kind", 'k', OPTIONS_TEXT, &a.kind, "KIND",
         "forward, fetch, store, register, options, invite or mixed"},
        {"rate", 'r', OPTIONS_TEXT, &a.rate, "N|max",
         "operations begun a second; max: a new one for each that ended (1000)"},
        {"connections", 'c', OPTIONS_NUMBER, &a.s.connections, "C",
         "phones, clients, or pairs of generator and sink (1)"},
        {"seconds", 't', OPTIONS_NUMBER, &a.s.seconds, "T", "how long to begin operations (10)"},
        {"warm", 0, OPTIONS_NUMBER, &a.s.warm_s, "T",
         "so long before that, not measured; of phones (0)"},
        {"awake", 0, OPTIONS_FLAG, &a.s.is_awake, NULL,
         "look for answers without sleeping: the node need not wake it"},
        {"in-turn", 0, OPTIONS_FLAG, &a.s.is_in_turn, NULL,
         "instead of --seconds: a slice for each line of stdin, so many ms long; with --rate max"},
        {"json", 0, OPTIONS_FLAG, &a.is_json, NULL, "print one JSON object"},
        {"demo", 'd', OPTIONS_TEXT, &a.target.demo, "FILE",
         "the target: the line of chordial demo --hold --json; - is stdin"},
        {"peer", 0, OPTIONS_NUMBER, &a.target.peer, "N", "which peer of the demo (1)"},
        {"node", 0, OPTIONS_NUMBER, &a.target.node, "N", "which node of that peer (1)"},
        {"callees", 0, OPTIONS_NUMBER, &a.target.callees, "N",
         "callees are phones of this peer of the demo, which is charged too (of the same)"},
        {"sip", 0, OPTIONS_TEXT, &a.target.sip, "HOST:PORT", "the target's SIP address"},
        {"transport", 0, OPTIONS_TEXT, &a.transport, "KIND",
         "of phones: udp, tcp or tls (udp); for tls --sip names the node's sip-tls-port; of links, "
         "with --kind forward: dtls (tls)"},
        {"account", 0, OPTIONS_LIST, &a.target.accounts, "U@D:PASSWORD",
         "who may register there; again for each"},
        {"overlay", 0, OPTIONS_TEXT, &a.target.overlay, "HOST:PORT", "the target's RELOAD address"},
        {"ca", 0, OPTIONS_TEXT, &a.target.ca, "DIR",
         "folder of chordial ca init: issues the credentials of this run"},
        {"key", 0, OPTIONS_TEXT, &a.key, "KEY",
         "of those: ed25519, p256 or rsa2048 (the overlay's)"},
        {"server-pid", 'p', OPTIONS_NUMBER, &a.target.pid, "P",
         "process to charge, with its children (with --demo: the peer's)"},
        {"size", 0, OPTIONS_NUMBER, &a.s.size_bytes, "BYTES", "of a forwarded message (500)"},
        {"arrivals", 0, OPTIONS_TEXT, &a.arrivals, "KIND", "poisson or constant (poisson)"},
        {"outstanding", 0, OPTIONS_NUMBER, &a.s.outstanding, "N",
         "at most so many at once (65536; with --rate max 128, or forwarded 192 KiB a pair, over "
         "DTLS 48)"},
        {"timeout-ms", 0, OPTIONS_NUMBER, &a.s.timeout_ms, "MS",
         "what takes longer is lost (2000)"},
        {"cpu", 0, OPTIONS_TEXT, &a.cpu, "N", "run on this core, counted from 0"},
        {"seed", 0, OPTIONS_NUMBER, &a.s.seed, "S", "of the arrivals (1)"},
        {"i-own-the-target", 0, OPTIONS_FLAG, &a.target.is_owner, NULL,
         "allow a target that is not on this machine"},
    };
    const struct options options = {
        .usage = "chordial load --kind KIND [--rate N|max] [--demo FILE] [options]",
        .about =
            "Puts a running node under load, from outside, in an open loop: operations begin when\n"
            "the schedule says so, and latency counts from then, whatever the node does "
            "meanwhile.\n"
            "Loss is counted where messages should have arrived; nothing is sent twice.\n"
            "It says when it was itself the bottleneck (generator_limited).\n"
            "Only targets on this machine, unless you say that the target is yours.",
        .example = "    chordial demo --hold --json > demo.json &\n"
                   "    chordial load --demo demo.json --kind options --rate 1000 --seconds 5",
        .items = items,
        .count = ARRAY_COUNT(items),
        .words = "",
        .words_least = 0,
        .words_most = 0};
    static struct load_target target;
    char why[SAY_WHY_CAP] = "";
    int rest = 0;
    int status = 0;
    if (!options_parse(&options, argc, argv, &rest, &status)) {
        return status;
    }
    catch_signals();
    if (!check_asked(&a)) {
        return CMD_USAGE;
    }
    if (load_target_read(&a.target, &target, why) != ERR_OK) {
        say_error("%s", why);
        return CMD_USAGE;
    }
    return check_server(&target) ? run(&a, &target) : CMD_USAGE;
}
