/* SPDX-License-Identifier: Apache-2.0 */
/* Starting is fork and exec of our own binary, so that what is shown is the daemon and nothing
 * else. A peer has a process group of its own: Ctrl-C is for the demo, which then ends its peers.
 */
#include "cmd/demo_peer.h"
#include "cmd/ask.h"
#include "core/os/host.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    /* below the range of which the kernel gives ports to those who do not care */
    PORT_FIRST = 10000,
    PORT_LAST = 32000,
    PORT_TRIES = 200,
    CONFIG_CAP = 1024,
    LOG_TAIL_CAP = 1500,
    END_POLL_US = 10000,
    END_TWICE_MS = 100,
    END_KILL_MS = 3000
};

/* ---- ports
 * --------------------------------------------------------------------------------------- */

static const struct address loopback = {.family = 4, .ip = {127, 0, 0, 1}};

static bool is_free(uint16_t port)
{
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int types[] = {SOCK_STREAM, SOCK_DGRAM};
    bool good = true;
    for (size_t i = 0; good && i < ARRAY_COUNT(types); i++) {
        int fd = socket(AF_INET, types[i] | SOCK_CLOEXEC, 0);
        good = fd >= 0 && bind(fd, (const struct sockaddr *)&to, sizeof(to)) == 0;
        if (fd >= 0) {
            close(fd);
        }
    }
    return good;
}

uint16_t demo_peer_spare_ports(uint32_t count)
{
    for (int i = 0; i < PORT_TRIES; i++) {
        uint32_t random = 0;
        host_random(&random, sizeof(random));
        uint32_t first = PORT_FIRST + random % (PORT_LAST - PORT_FIRST - count);
        uint32_t good = 0;
        while (good < count && is_free((uint16_t)(first + good))) {
            good++;
        }
        if (good == count) {
            return (uint16_t)first;
        }
    }
    return 0;
}

enum err demo_peer_ports(struct demo_peer *peers, uint32_t count, uint32_t shards, char *why)
{
    uint32_t width = 2 * shards + 2; /* overlay, overlay SIP, phones, and one for TLS of phones */
    uint16_t port = demo_peer_spare_ports(count * width);
    if (port == 0) {
        return say_why(why, ERR_IO, "no free ports: 127.0.0.1:%d-%d: close something", PORT_FIRST,
                       PORT_LAST);
    }
    for (uint32_t i = 0; i < count; i++) {
        struct demo_peer *p = &peers[i];
        *p = (struct demo_peer){.shards = shards, .overlay = loopback, .sip = loopback};
        snprintf(p->name, sizeof(p->name), "peer%u", i + 1);
        p->overlay.port = port;
        p->overlay_sip_port = (uint16_t)(port + shards);
        p->sip.port = (uint16_t)(port + 2 * shards);
        port = (uint16_t)(port + width);
    }
    return ERR_OK;
}

/* ---- start
 * --------------------------------------------------------------------------------------- */

static enum err write_config(const struct demo_peer *p, const struct demo_place *place,
                             const struct demo_peer_options *options, char *why)
{
    char path[FILES_PATH_CAP];
    char bootstrap[ADDRESS_TEXT_CAP];
    uint8_t text[CONFIG_CAP];
    bool is_first = address_is_equal(&p->overlay, &options->bootstrap);
    int used = snprintf((char *)text, sizeof(text),
                        "overlay-document = \"ca/overlay.xml\"\n"
                        "peers            = \"%s/peers\"\n"
                        "accounts         = \"%s/accounts\"\n"
                        "overlay-address  = \"127.0.0.1\"\n"
                        "overlay-port     = %u\n"
                        "overlay-sip-port = %u\n"
                        "sip-address      = \"127.0.0.1\"\n"
                        "sip-port         = %u\n"
                        "bootstrap        = {\"%s\"}\n"
                        "found-ring       = \"%s\"\n"
                        "shards           = %u\n"
                        "backend          = \"%s\"\n"
                        "control-socket   = \"%s.sock\"\n"
                        "keylog-file      = \"keylog\"\n",
                        p->name, p->name, p->overlay.port, p->overlay_sip_port, p->sip.port,
                        address_text(&options->bootstrap, bootstrap), is_first ? "if-alone" : "no",
                        options->shards, options->backend, p->name);
    CHECK(used > 0 && used < CONFIG_CAP);
    demo_place_path(place, path, "%s.conf", p->name);
    if (files_write(path, slice_of(text, (size_t)used), 0600, true) != ERR_OK) {
        return say_why(why, ERR_IO, "cannot write: %s: %s", path, say_errno());
    }
    return ERR_OK;
}

_Noreturn static void become_peer(const char *config, const char *log, pid_t demo)
{
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)setpgid(0, 0);
    int in = open("/dev/null", O_RDONLY | O_CLOEXEC);
    int out = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    bool is_ready = in >= 0 && out >= 0 && dup2(in, STDIN_FILENO) >= 0 &&
                    dup2(out, STDOUT_FILENO) >= 0 && dup2(out, STDERR_FILENO) >= 0;
    if (is_ready && getppid() == demo) {
        execl("/proc/self/exe", "chordial", "run", "-c", config, (char *)NULL);
    }
    _exit(127);
}

enum err demo_peer_start(struct demo_peer *peer, const struct demo_place *place,
                         const struct demo_peer_options *options, char *why)
{
    char config[FILES_PATH_CAP];
    char log[FILES_PATH_CAP];
    enum err e = write_config(peer, place, options, why);
    if (e != ERR_OK) {
        return e;
    }
    demo_place_path(place, config, "%s.conf", peer->name);
    demo_place_path(place, log, "%s.log", peer->name);
    pid_t demo = getpid();
    pid_t pid = fork();
    if (pid == 0) {
        become_peer(config, log, demo);
    }
    peer->pid = pid > 0 ? pid : 0;
    return pid > 0 ? ERR_OK : say_why(why, ERR_IO, "no process: %s: free some", say_errno());
}

/* ---- asking
 * -------------------------------------------------------------------------------------- */

json_t *demo_peer_ask(const struct demo_peer *peer, const struct demo_place *place, json_t *request)
{
    char path[FILES_PATH_CAP];
    char why[SAY_WHY_CAP];
    json_t *answer = NULL;
    demo_place_path(place, path, "%s.sock", peer->name);
    enum err e = ask_node_within(path, DEMO_PEER_ASK_MS, request, &answer, why);
    return e == ERR_OK ? answer : NULL; /* it joins, is busy, or has been killed */
}

static uint64_t number_of(const json_t *object, const char *key)
{
    json_int_t value = json_integer_value(json_object_get(object, key));
    return value > 0 ? (uint64_t)value : 0;
}

static void text_of(const json_t *object, const char *key, char *out, size_t cap)
{
    const char *text = json_string_value(json_object_get(object, key));
    snprintf(out, cap, "%s", text == NULL ? "" : text);
}

static void take_status(const json_t *from, struct demo_peer_node *n)
{
    const json_t *setup = json_object_get(from, "last_setup");
    *n = (struct demo_peer_node){
        .links = (uint32_t)number_of(from, "links"),
        .stored = (uint32_t)(number_of(from, "values_owned") + number_of(from, "values_replica")),
        .is_ready = json_is_true(json_object_get(from, "ready")),
        .last_setup = {.at_us = number_of(setup, "at_us"),
                       .fetch_us = number_of(setup, "fetch_us"),
                       .fetch_hops = (uint32_t)number_of(setup, "fetch_hops"),
                       .appattach_us = number_of(setup, "appattach_us")}};
    text_of(from, "node_id", n->id, sizeof(n->id));
}

static void take_ring(const json_t *from, struct demo_peer_node *n)
{
    const char *text = json_string_value(json_array_get(json_object_get(from, "successors"), 0));
    snprintf(n->successor, sizeof(n->successor), "%s", text == NULL ? "" : text);
}

/* One row of each shard. */
static bool refresh(struct demo_peer *peer, const struct demo_place *place, const char *verb,
                    void (*take)(const json_t *from, struct demo_peer_node *n))
{
    json_t *answer = demo_peer_ask(peer, place, json_pack("{s:s}", "cmd", verb));
    const json_t *rows = json_object_get(answer, "rows");
    bool is_whole = json_array_size(rows) == peer->shards;
    for (size_t i = 0; is_whole && i < peer->shards; i++) {
        take(json_array_get(rows, i), &peer->nodes[i]);
    }
    if (json_object_get(answer, "backend") != NULL) {
        text_of(answer, "backend", peer->backend, sizeof(peer->backend));
    }
    json_decref(answer);
    return is_whole;
}

bool demo_peer_refresh(struct demo_peer *peer, const struct demo_place *place)
{
    return refresh(peer, place, "status", take_status) && refresh(peer, place, "ring", take_ring);
}

bool demo_peer_is_ready(const struct demo_peer *peer)
{
    bool is_ready = peer->pid != 0;
    for (uint32_t i = 0; i < peer->shards; i++) {
        is_ready = is_ready && peer->nodes[i].is_ready;
    }
    return is_ready;
}

/* ---- end
 * ----------------------------------------------------------------------------------------- */

bool demo_peer_has_died(struct demo_peer *peer, int *status)
{
    if (peer->pid == 0 || waitpid(peer->pid, status, WNOHANG) != peer->pid) {
        return false;
    }
    peer->pid = 0;
    return !peer->is_killed;
}

void demo_peer_kill(struct demo_peer *peer)
{
    if (peer->pid != 0) {
        peer->is_killed = true;
        (void)kill(peer->pid, SIGKILL);
        (void)waitpid(peer->pid, NULL, 0);
        peer->pid = 0;
    }
}

static void signal_all(const struct demo_peer *peers, uint32_t count, int number)
{
    for (uint32_t i = 0; i < count; i++) {
        if (peers[i].pid != 0) {
            (void)kill(peers[i].pid, number);
        }
    }
}

void demo_peer_say_log(const struct demo_peer *peer, const struct demo_place *place)
{
    char path[FILES_PATH_CAP];
    struct slice text = SLICE_EMPTY;
    demo_place_path(place, path, "%s.log", peer->name);
    if (files_read(path, &text, NULL) == ERR_OK) {
        struct slice tail = slice_from(text, text.len > LOG_TAIL_CAP ? text.len - LOG_TAIL_CAP : 0);
        fprintf(stderr, "---- end of the log of %s\n%.*s\n", peer->name, (int)tail.len,
                (const char *)tail.data);
        free((void *)(uintptr_t)text.data);
    }
}

/* True: it ended just now, and not as it should: 1 is what the second signal makes of it. */
static bool ended_badly(struct demo_peer *peer, const struct demo_place *place)
{
    int status = 0;
    if (!demo_peer_has_died(peer, &status) || (WIFEXITED(status) && WEXITSTATUS(status) <= 1) ||
        (WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM)) {
        return false;
    }
    demo_peer_say_log(peer, place);
    say_error("%s did not end well: wait status 0x%x: its log is above", peer->name,
              (unsigned)status);
    return true;
}

uint32_t demo_peer_end_all(struct demo_peer *peers, uint32_t count, const struct demo_place *place)
{
    uint32_t bad = 0;
    uint32_t running = count;
    uint64_t begun_us = host_now_us();
    uint64_t waited_ms = 0;
    bool is_second = false;
    signal_all(peers, count, SIGTERM);
    while (running > 0 && waited_ms < END_KILL_MS) {
        running = 0;
        for (uint32_t i = 0; i < count; i++) {
            bad += ended_badly(&peers[i], place) ? 1 : 0;
            running += peers[i].pid != 0 ? 1 : 0;
        }
        waited_ms = (host_now_us() - begun_us) / 1000;
        if (!is_second && waited_ms >= END_TWICE_MS) {
            is_second = true;
            signal_all(peers, count, SIGTERM);
        }
        usleep(running > 0 ? END_POLL_US : 0);
    }
    for (uint32_t i = 0; i < count; i++) {
        if (peers[i].pid != 0) {
            say_error("%s did not end: within %d ms of SIGTERM: killed", peers[i].name,
                      END_KILL_MS);
            bad++;
        }
        demo_peer_kill(&peers[i]);
    }
    return bad;
}
