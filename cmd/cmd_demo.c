/* SPDX-License-Identifier: Apache-2.0 */
/* chordial demo: an overlay of real processes on loopback, phones that call, a peer that is killed.
 *
 *   --once   the story once, then everything is gone      --hold   the overlay alone, for others
 *   neither  a live table and keys */
#include "cmd/ca.h"
#include "cmd/cmd.h"
#include "cmd/demo_show.h"
#include "cmd/options.h"
#include "core/os/host.h"
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

enum {
    READY_MS = 30000, /* of a few peers; a ring of many takes longer */
    READY_EACH_MS = 2000,
    READY_POLL_US = 20000,
    IN_TURN_US = 500000, /* the neighbors of who has joined have told each other */
    PATIENCE_MS = 10000, /* of the issue: after a kill everything is well again within 10 s */
    SCREEN_MS = 1000,
    STEP_MS = 50,
    CALLS = 2
};

struct demo {
    uint64_t peers, shards;
    const char *backend, *phone_kind, *links;
    bool is_once, is_hold, is_json, is_bare, is_in_turn;
    struct demo_ring ring;
    struct demo_phones phones;
};

static volatile int stop; /* the signal that ended us */

static void on_signal(int number)
{
    stop = number;
}

static void catch_signals(void)
{
    static const int ending[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction action = {.sa_handler = on_signal};
    for (size_t i = 0; i < ARRAY_COUNT(ending); i++) {
        CHECK(sigaction(ending[i], &action, NULL) == 0);
    }
    action.sa_handler = SIG_IGN;
    CHECK(sigaction(SIGPIPE, &action, NULL) == 0);
}

/* ---- the overlay
 * --------------------------------------------------------------------------------- */

static bool wait_ready(struct demo *d)
{
    struct demo_ring *r = &d->ring;
    uint64_t limit_ms = max_u64(READY_MS, r->peer_count * READY_EACH_MS);
    uint64_t until_us = host_now_us() + limit_ms * 1000;
    while (stop == 0 && host_now_us() < until_us) {
        bool is_whole = demo_ring_refresh(r) == r->peer_count;
        if (is_whole && demo_ring_is_ready(r) && demo_ring_is_ok(r)) {
            return true;
        }
        if (demo_ring_has_lost_peer(r)) {
            return false;
        }
        usleep(READY_POLL_US);
    }
    if (stop == 0) {
        say_error("the overlay is not ready: after %" PRIu64 " s: the logs follow",
                  limit_ms / 1000);
        for (uint32_t i = 0; i < r->peer_count; i++) {
            demo_peer_say_log(&r->peers[i], &r->place);
        }
    }
    return false;
}

/* Joins that do not overlap: who has links to whom then depends on the order alone. */
static bool start_in_turn(struct demo *d)
{
    struct demo_ring *r = &d->ring;
    char why[SAY_WHY_CAP];
    for (uint32_t i = 0; i < r->peer_count && stop == 0; i++) {
        uint64_t until_us = host_now_us() + READY_MS * 1000;
        if (demo_ring_start(r, i + 1, why) != ERR_OK) {
            say_error("%s", why);
            return false;
        }
        while (!demo_peer_refresh(&r->peers[i], &r->place) || !demo_peer_is_ready(&r->peers[i])) {
            if (stop != 0 || demo_ring_has_lost_peer(r) || host_now_us() > until_us) {
                say_error("%s did not join: its log follows", r->peers[i].name);
                demo_peer_say_log(&r->peers[i], &r->place);
                return false;
            }
            usleep(READY_POLL_US);
        }
        usleep(IN_TURN_US);
    }
    return stop == 0;
}

/* ---- --once
 * -------------------------------------------------------------------------------------- */

static void call(struct demo *d, uint32_t from, uint32_t to, struct demo_phones_call *out)
{
    demo_phones_call(&d->phones, from, to, PATIENCE_MS, out);
    if (!d->is_json) {
        demo_show_call(&d->phones, out);
        (void)fflush(stdout);
    }
}

static void kill_owner(struct demo *d, struct demo_show_result *result)
{
    struct demo_peer *owner = &d->ring.peers[d->phones.bob_owner];
    demo_peer_kill(owner);
    result->killed = owner->name;
    if (!d->is_json) {
        printf(" ! %s, which owned bob's record, was killed (SIGKILL)\n", owner->name);
        (void)fflush(stdout);
    }
}

/* alice and carol, who have not called bob from carol's peer before, call him again. */
static void call_again(struct demo *d, struct demo_phones_call *calls,
                       struct demo_show_result *result)
{
    uint64_t killed_us = host_now_us();
    call(d, DEMO_PHONES_CAROL, DEMO_PHONES_BOB, &calls[0]);
    call(d, DEMO_PHONES_ALICE, DEMO_PHONES_BOB, &calls[1]);
    result->calls_after = calls;
    result->call_after_count = CALLS;
    result->records_lost = demo_phones_lost(&d->phones, PATIENCE_MS);
    if (!d->is_json) {
        printf("   all well again %.1f s after the kill: %u of %d records lost\n",
               (double)(host_now_us() - killed_us) / 1e6, result->records_lost,
               DEMO_PLACE_ACCOUNTS);
    }
}

static int run_once(struct demo *d)
{
    struct demo_phones_call calls[CALLS];
    struct demo_phones_call after[CALLS];
    struct demo_show_result result = {.peers = d->ring.peer_count, .calls = calls};
    result.is_ring_ok =
        demo_ring_refresh(&d->ring) == d->ring.peer_count && demo_ring_is_ok(&d->ring);
    if (!d->is_json) {
        demo_show_table(&d->ring);
        demo_show_phones(&d->phones);
        (void)fflush(stdout);
    }
    call(d, DEMO_PHONES_ALICE, DEMO_PHONES_BOB, &calls[0]);
    call(d, DEMO_PHONES_BOB, DEMO_PHONES_ALICE, &calls[1]);
    result.call_count = CALLS;
    bool is_spare = d->phones.bob_owner < d->ring.peer_count &&
                    d->phones.bob_owner != d->phones.peers[DEMO_PHONES_BOB] &&
                    d->phones.bob_owner != d->phones.peers[DEMO_PHONES_ALICE] &&
                    d->phones.bob_owner != d->phones.peers[DEMO_PHONES_CAROL];
    if (is_spare && stop == 0) {
        kill_owner(d, &result);
        call_again(d, after, &result);
    }
    bool is_good = result.is_ring_ok && result.records_lost == 0 && stop == 0 &&
                   (is_spare || d->ring.peer_count < 3);
    for (size_t i = 0; i < CALLS; i++) {
        is_good = is_good && calls[i].is_ok && (!is_spare || after[i].is_ok);
    }
    if (d->is_json) {
        demo_show_result(&d->phones, &result);
    } else {
        printf(" Now try:  chordial demo   (it stays: press 3 to kill peer3, c to call)\n");
    }
    return is_good && !demo_ring_has_lost_peer(&d->ring) ? CMD_OK : CMD_FAILED;
}

/* ---- --hold
 * -------------------------------------------------------------------------------------- */

static int run_hold(struct demo *d)
{
    if (d->is_json) {
        demo_show_hold(&d->ring);
    } else {
        demo_show_table(&d->ring);
        printf(" folder %s, accounts in ca/users.json, until Ctrl-C\n", d->ring.place.dir);
        (void)fflush(stdout);
    }
    bool has_failed = false; /* others may kill peers: that is what they came for */
    while (stop == 0) {
        (void)poll(NULL, 0, STEP_MS);
        for (uint32_t i = 0; i < d->ring.peer_count; i++) {
            int status = 0;
            struct demo_peer *p = &d->ring.peers[i];
            if (demo_peer_has_died(p, &status) && WIFSIGNALED(status) &&
                WTERMSIG(status) != SIGKILL && WTERMSIG(status) != SIGTERM) {
                say_error("%s died of signal %d: its log follows", p->name, WTERMSIG(status));
                demo_peer_say_log(p, &d->ring.place);
                has_failed = true;
            }
        }
    }
    return has_failed ? CMD_FAILED : CMD_OK;
}

/* ---- live
 * ---------------------------------------------------------------------------------------- */

static struct termios terminal_before;
static bool is_terminal;

static void open_terminal(void)
{
    is_terminal = isatty(STDIN_FILENO) == 1 && tcgetattr(STDIN_FILENO, &terminal_before) == 0;
    if (is_terminal) {
        struct termios raw = terminal_before;
        raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
        (void)tcsetattr(STDIN_FILENO, TCSANOW, &raw);
    }
}

static void close_terminal(void)
{
    if (is_terminal) {
        (void)tcsetattr(STDIN_FILENO, TCSANOW, &terminal_before);
    }
}

/* 0: no key was pressed. */
static char read_key(void)
{
    struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
    char key = 0;
    if (stop == 0 && poll(&in, 1, 0) == 1 && read(STDIN_FILENO, &key, 1) != 1) {
        stop = SIGHUP; /* nobody is there any more */
    }
    return key;
}

static void draw(struct demo *d, const struct demo_phones_call *last, const char *note)
{
    (void)demo_ring_refresh(&d->ring);
    printf(isatty(STDOUT_FILENO) == 1 ? "\033[H\033[2J" : "\n");
    demo_show_table(&d->ring);
    demo_show_phones(&d->phones);
    if (last->tries > 0) {
        demo_show_call(&d->phones, last);
    }
    printf("%s\n keys: c call   1..%u kill that peer   q quit\n"
           " try:  chordial ctl -s %s/%s.sock links\n",
           note, d->ring.peer_count < 9 ? d->ring.peer_count : 9, d->ring.place.dir,
           d->ring.peers[d->ring.peer_count - 1].name);
    (void)fflush(stdout);
}

/* The first phone from `first` on, but `other`, whose peer runs; alice when there is none. */
static uint32_t phone_at_running_peer(const struct demo *d, uint32_t first, uint32_t other)
{
    for (uint32_t i = 0; i < DEMO_PLACE_ACCOUNTS; i++) {
        uint32_t account = (first + i) % DEMO_PLACE_ACCOUNTS;
        if (account != other && d->ring.peers[d->phones.peers[account]].pid != 0) {
            return account;
        }
    }
    return DEMO_PHONES_ALICE;
}

static void on_key(struct demo *d, char key, struct demo_phones_call *last, char *note, size_t cap)
{
    note[0] = '\0';
    if (key == 'q') {
        stop = SIGINT;
    } else if (key == 'c') {
        uint32_t from = phone_at_running_peer(d, DEMO_PHONES_ALICE, DEMO_PLACE_ACCOUNTS);
        uint32_t to = phone_at_running_peer(d, from + 1, from);
        demo_phones_call(&d->phones, from, to, PATIENCE_MS, last);
    } else if (key >= '1' && key <= '9' && (uint32_t)(key - '1') < d->ring.peer_count) {
        struct demo_peer *p = &d->ring.peers[key - '1'];
        demo_peer_kill(p);
        snprintf(note, cap, " ! %s was killed (SIGKILL): now press c", p->name);
    }
}

static int run_live(struct demo *d)
{
    struct demo_phones_call last = {0};
    char note[120] = "";
    open_terminal();
    demo_phones_call(&d->phones, DEMO_PHONES_ALICE, DEMO_PHONES_BOB, PATIENCE_MS, &last);
    uint64_t next_us = 0;
    while (stop == 0) {
        if (host_now_us() >= next_us) {
            draw(d, &last, note);
            next_us = host_now_us() + SCREEN_MS * 1000;
        }
        demo_phones_rest(&d->phones, STEP_MS);
        (void)demo_ring_has_lost_peer(&d->ring);
        char key = read_key();
        if (key != 0) {
            on_key(d, key, &last, note, sizeof(note));
            next_us = 0;
        }
    }
    close_terminal();
    printf("\n");
    return CMD_OK;
}

/* ---- all of it
 * ----------------------------------------------------------------------------------- */

static bool is_baresip(const struct demo *d)
{
    return strcmp(d->phone_kind, "baresip") == 0;
}

static int play(struct demo *d)
{
    char why[SAY_WHY_CAP];
    enum err e = demo_ring_enroll(&d->ring, why);
    e = e == ERR_OK && !d->is_in_turn ? demo_ring_start(&d->ring, d->ring.peer_count, why) : e;
    if (e != ERR_OK) {
        say_error("%s", why);
        return CMD_FAILED;
    }
    if ((d->is_in_turn && !start_in_turn(d)) || !wait_ready(d)) {
        return CMD_FAILED;
    }
    if (d->is_hold) {
        return run_hold(d);
    }
    int status = CMD_FAILED;
    if (demo_phones_open(&d->phones, &d->ring, is_baresip(d), &stop, why)) {
        status = d->is_once ? run_once(d) : run_live(d);
    } else if (stop == 0) {
        say_error("%s", why);
    }
    demo_phones_close(&d->phones);
    return status;
}

static bool is_sound(const struct demo *d)
{
    if (d->peers < 1 || d->peers > DEMO_PEER_CAP || d->shards < 1 ||
        d->shards > OVERLAY_SHARDS_CAP) {
        say_error("out of range: --peers 1..%d, --shards 1..%d: correct it", DEMO_PEER_CAP,
                  OVERLAY_SHARDS_CAP);
        return false;
    }
    if (d->is_once && d->is_hold) {
        say_error("not both: --once and --hold: take one");
        return false;
    }
    if (d->is_json && !d->is_once && !d->is_hold) {
        say_error("--json alone: a live screen is for people: add --once or --hold");
        return false;
    }
    if (strcmp(d->backend, "auto") != 0 && strcmp(d->backend, "io_uring") != 0 &&
        strcmp(d->backend, "epoll") != 0) {
        say_error("unknown back end: --backend %s: auto, io_uring or epoll", d->backend);
        return false;
    }
    enum overlay_links ignored;
    if (ca_links(d->links, &ignored) != ERR_OK) {
        say_error("unknown links: --links %s: both, tls or dtls", d->links);
        return false;
    }
    if (d->is_bare && !d->is_hold) {
        say_error("nobody to call: --bare goes with --hold");
        return false;
    }
    if (strcmp(d->phone_kind, "builtin") != 0 && !is_baresip(d)) {
        say_error("unknown phones: --phones %s: builtin or baresip", d->phone_kind);
        return false;
    }
    return true;
}

int cmd_demo(int argc, char **argv)
{
    static struct demo d; /* too large for the stack */
    d = (struct demo){
        .peers = 5, .shards = 1, .backend = "auto", .phone_kind = "builtin", .links = "both"};
    const struct options_item items[] = {
        {"peers", 0, OPTIONS_NUMBER, &d.peers, "N", "so many peers, each a process (5)"},
        {"shards", 0, OPTIONS_NUMBER, &d.shards, "S", "so many nodes in each of them (1)"},
        {"backend", 0, OPTIONS_TEXT, &d.backend, "NAME", "auto, io_uring or epoll (auto)"},
        {"links", 0, OPTIONS_TEXT, &d.links, "KIND", "between peers: both, tls or dtls (both)"},
        {"once", 0, OPTIONS_FLAG, &d.is_once, NULL, "call, kill a peer, call again, end"},
        {"hold", 0, OPTIONS_FLAG, &d.is_hold, NULL, "the overlay alone, until SIGTERM or Ctrl-C"},
        {"bare", 0, OPTIONS_FLAG, &d.is_bare, NULL, "with --hold: no accounts"},
        {"in-turn", 0, OPTIONS_FLAG, &d.is_in_turn, NULL,
         "a peer starts when the one before has been in the ring for half a second"},
        {"phones", 0, OPTIONS_TEXT, &d.phone_kind, "KIND",
         "alice's and bob's phones: builtin, or baresip where it is installed (builtin)"},
        {"json", 0, OPTIONS_FLAG, &d.is_json, NULL, "one JSON object; with --once or --hold"},
    };
    const struct options options = {
        .usage = "chordial demo [--peers N] [--shards S] [--once | --hold] [--json] [--phones "
                 "KIND] [--links KIND] [--in-turn]",
        .about =
            "An overlay on 127.0.0.1 with a throw-away authority, and ten phones.  Everything\n"
            "it makes is gone when it ends.",
        .example = "    chordial demo --once",
        .items = items,
        .count = ARRAY_COUNT(items),
        .words = "",
        .words_least = 0,
        .words_most = 0};
    char why[SAY_WHY_CAP];
    int rest = 0;
    int status = 0;
    if (!options_parse(&options, argc, argv, &rest, &status)) {
        return status;
    }
    if (!is_sound(&d)) {
        return CMD_USAGE;
    }
    catch_signals();
    d.ring.peer_count = (uint32_t)d.peers;
    d.ring.options = (struct demo_peer_options){.shards = (uint32_t)d.shards, .backend = d.backend};
    enum err e = ca_links(d.links, &d.ring.options.links);
    CHECK(e == ERR_OK); /* it is sound */
    if (demo_place_open(&d.ring.place, why) != ERR_OK) {
        say_error("%s", why);
        return CMD_FAILED;
    }
    d.ring.place.is_bare = d.is_bare;
    status = play(&d);
    uint32_t unwell = demo_peer_end_all(d.ring.peers, d.ring.peer_count, &d.ring.place);
    demo_place_close(&d.ring.place);
    return status == CMD_OK && unwell > 0 ? CMD_FAILED : status;
}
