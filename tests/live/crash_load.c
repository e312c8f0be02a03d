/* SPDX-License-Identifier: Apache-2.0 */
/* crash_load.c - stores at a node until that dies, remembers what was acknowledged, and looks
 * afterwards whether it is still there.  For tools/crash_check.py, which kills the node.
 *
 * usage: crash_load CA HOST:PORT MEMBERS, then commands on stdin, one JSON object a line in return:
 *   load MS   Stores by all members at once, each waiting for its answer, at most so long; first
 *             {"linked":true} as soon as there is a link
 *   check     fetches each member's record and compares
 *
 * A record's storage_time grows with each Store, so one number says what must be there: the last
 * one that was acknowledged, or a later one.  An acknowledged Store that is not there is lost. */
#include "cmd/load.h"
#include "cmd/load_cpu.h"
#include "cmd/load_message.h"
#include "cmd/load_trunk.h"
#include "codec/msgs.h"
#include "core/os/host.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LIFETIME_S = 3600, STEP_NS = 2 * 1000 * 1000, DIAL_MS = 60000, FETCH_MS = 5000 };

struct member {
    uint64_t sent_ms;  /* storage_time of the latest Store */
    uint64_t acked_ms; /* ... of the latest that was acknowledged */
    uint64_t open;     /* transaction id, 0 = none */
    uint64_t found_ms; /* by the latest Fetch; 0 = nothing there */
    bool is_answered;
};

static struct load l;
static struct load_overlay overlay;
static struct load_trunk trunk;
static struct member *members;
static uint32_t count;
static uint64_t last_id;
static uint64_t acked, refused;
static bool is_fetching;

static void die(const char *why)
{
    (void)fprintf(stderr, "crash_load: %s\n", why);
    exit(1);
}

/* The storage_time in a FetchAns; 0: nothing is there. */
static uint64_t time_in(struct slice message)
{
    struct fwd h;
    struct content c;
    struct slice rest;
    struct msgs_fetch_ans ans;
    struct stored_block block;
    struct stored_data d;
    if (fwd_decode(message, &overlay.params, &h) != ERR_OK ||
        content_decode(h.payload, &c, &rest) != ERR_OK ||
        msgs_fetch_ans_decode(c.body, &overlay.params, &ans) != ERR_OK) {
        return 0;
    }
    struct rd blocks = rd_init(ans.kind_responses);
    if (!stored_block_next(&blocks, &block)) {
        return 0;
    }
    struct rd values = rd_init(block.values);
    bool is_there = stored_next(&values, STORED_DICTIONARY, &d) && d.value.exists;
    return is_there ? d.storage_time_ms : 0;
}

static void on_message(struct load_trunk *from, struct slice message)
{
    uint64_t id = 0;
    uint16_t code = 0;
    char why[LOAD_OPS_ERROR_CAP] = "";
    (void)from;
    if (!load_message_judge(&overlay, message, &id, &code, why)) {
        return;
    }
    struct member *m = &members[id % count];
    if (m->open != id) {
        return;
    }
    m->open = 0;
    m->is_answered = true;
    if (is_fetching) {
        m->found_ms = code == CONTENT_FETCH_ANS ? time_in(message) : 0;
    } else if (why[0] == '\0' && code == CONTENT_STORE_ANS) {
        m->acked_ms = m->sent_ms;
        acked++;
    } else {
        refused++;
    }
}

static bool begin(uint32_t i)
{
    static uint8_t bytes[LOAD_MESSAGE_CAP];
    struct member *m = &members[i];
    struct load_message what = {.overlay = &overlay,
                                .signer = &overlay.members[i],
                                .about = &overlay.members[i],
                                .lifetime_s = LIFETIME_S};
    last_id += count;
    what.transaction_id = last_id - last_id % count + i;
    if (!is_fetching) {
        m->sent_ms = max_u64(host_wall_ms(), m->sent_ms + 1);
        what.storage_time_ms = m->sent_ms;
    }
    size_t len = is_fetching ? load_message_fetch(&what, bytes) : load_message_store(&what, bytes);
    uint8_t *at = load_trunk_room(&trunk, len);
    if (at == NULL) {
        return false;
    }
    memcpy(at, bytes, len);
    m->open = what.transaction_id;
    m->is_answered = false;
    return true;
}

static void turn(void)
{
    load_trunk_flush(&trunk);
    load_step(&l, STEP_NS);
}

static void dial(void)
{
    char why[SAY_WHY_CAP] = "";
    uint64_t until_us = host_now_us() + DIAL_MS * UINT64_C(1000);
    for (;;) {
        trunk = (struct load_trunk){.on_message = on_message};
        if (load_trunk_open(&trunk, &l, &overlay, &overlay.members[0], why) == ERR_OK) {
            return;
        }
        load_trunk_close(&trunk);
        if (host_now_us() > until_us) {
            die(why);
        }
        usleep(20000);
    }
}

static void begin_phase(bool fetching)
{
    is_fetching = fetching;
    for (uint32_t i = 0; i < count; i++) {
        members[i].open = 0;
        members[i].is_answered = false;
        members[i].found_ms = 0;
    }
    dial();
}

static void run_load(uint64_t ms)
{
    begin_phase(false);
    (void)printf("{\"linked\":true}\n");
    (void)fflush(stdout);
    acked = refused = 0;
    uint64_t until_us = host_now_us() + ms * 1000;
    while (trunk.why == NULL && host_now_us() < until_us) {
        for (uint32_t i = 0; i < count && trunk.why == NULL; i++) {
            if (members[i].open == 0 && !begin(i)) {
                break;
            }
        }
        turn();
    }
    const char *end = trunk.why;
    load_trunk_close(&trunk);
    (void)printf("{\"acked\":%llu,\"refused\":%llu,\"end\":\"%s\"}\n", (unsigned long long)acked,
                 (unsigned long long)refused, end == NULL ? "time" : end);
}

static void run_check(void)
{
    uint32_t lost = 0;
    uint32_t silent = 0;
    uint32_t checked = 0;
    begin_phase(true);
    uint64_t until_us = host_now_us() + FETCH_MS * UINT64_C(1000);
    for (uint32_t i = 0; i < count; i++) {
        while (!begin(i) && trunk.why == NULL) {
            turn();
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        const struct member *m = &members[i];
        while (!m->is_answered && trunk.why == NULL && host_now_us() < until_us) {
            turn();
        }
        bool is_lost = m->is_answered && m->found_ms < m->acked_ms;
        if (is_lost) {
            (void)fprintf(stderr, "crash_load: lost: member %u acknowledged %llu, found %llu\n", i,
                          (unsigned long long)m->acked_ms, (unsigned long long)m->found_ms);
        }
        checked += m->acked_ms > 0 ? 1 : 0;
        lost += is_lost ? 1 : 0;
        silent += m->is_answered ? 0 : 1;
    }
    load_trunk_close(&trunk);
    (void)printf("{\"checked\":%u,\"lost\":%u,\"silent\":%u}\n", checked, lost, silent);
}

int main(int argc, char **argv)
{
    static volatile int stop;
    static struct load_target target;
    static struct load_settings settings = {
        .stop = &stop, .timeout_ms = 5000, .seconds = 1, .outstanding = 1, .connections = 1};
    char why[SAY_WHY_CAP] = "";
    char line[100];
    unsigned long long ms = 0;
    const struct sigaction ignore = {.sa_handler = SIG_IGN};
    (void)sigaction(SIGPIPE, &ignore, NULL);
    count = argc == 4 ? (uint32_t)strtoul(argv[3], NULL, 10) : 0;
    if (count == 0 || count > LOAD_OVERLAY_MEMBERS_CAP) {
        die("usage: crash_load CA HOST:PORT MEMBERS");
    }
    const struct load_target_options asked = {.ca = argv[1], .overlay = argv[2]};
    members = calloc(count, sizeof(*members));
    if (members == NULL || load_target_read(&asked, &target, why) != ERR_OK ||
        load_open(&l, &settings) != ERR_OK ||
        load_overlay_open(&overlay, &target, count, CRYPTO_ALGORITHM_NONE, why) != ERR_OK) {
        die(why);
    }
    last_id = host_wall_ms() << 20;
    (void)printf("{\"ready\":%u}\n", count);
    (void)fflush(stdout);
    while (fgets(line, sizeof(line), stdin) != NULL) {
        if (strncmp(line, "load ", 5) == 0) {
            ms = strtoull(line + 5, NULL, 10);
            run_load(ms);
        } else if (strcmp(line, "check\n") == 0) {
            run_check();
        } else {
            die("commands: load MS, check");
        }
        (void)fflush(stdout);
    }
    load_overlay_close(&overlay);
    load_close(&l);
    free(members);
    return 0;
}
