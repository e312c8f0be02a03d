/* SPDX-License-Identifier: Apache-2.0 */
/* chordial run: loads everything, says each fact of the start on a line, and hands over to control.
 */
#include "cmd/cmd.h"
#include "cmd/control.h"
#include "cmd/options.h"
#include "core/os/host.h"
#include <unistd.h>

static void say_phones(const struct config *c)
{
    char text[ADDRESS_TEXT_CAP];
    struct address at;
    const char *by;
    for (unsigned i = 0; config_next_phone_address(c, &i, &at, &by);) {
        say_line("phones at %s, %s", address_text(&at, text), by);
    }
}

static void say_facts(const struct daemon *d)
{
    const struct setup *s = d->setup;
    const struct config *c = &s->config;
    char text[ADDRESS_TEXT_CAP];
    char id[IDS_NODE_TEXT_CAP];
    size_t count = 0;
    const struct rl_params params = {.node_id_length = s->doc.config.node_id_length};
    uint64_t bytes = limits_budget(&c->limits, NULL, 0, &count) * d->count;
    say_line("overlay %s, host %s, %zu accounts", s->doc.config.name, s->peers[0].ident.user,
             s->account_count);
    say_line("backend %s", shard_backend_text(d->shards[0].shard));
    for (uint32_t i = 0; i < d->count; i++) {
        struct address a = shard_address(d->shards[i].shard, IO_LISTEN_OVERLAY);
        struct address b = shard_address(d->shards[i].shard, IO_LISTEN_OVERLAY_SIP);
        say_line("peer %u node-id %s overlay %s overlay-sip %u", i,
                 ids_node_text(&s->peers[i].ident.node_id, &params, id), address_text(&a, text),
                 b.port);
    }
    say_phones(c);
    say_line("memory at most %llu MiB, shards %u", (unsigned long long)(bytes >> 20), d->count);
    if (c->control_socket[0] != '\0') {
        say_line("control socket %s", c->control_socket);
    }
}

static int run(const char *path)
{
    static struct setup setup;
    static struct daemon daemon;
    char why[SAY_WHY_CAP];
    enum err e = setup_load(path, host_wall_ms(), host_cpu_count(), &setup, why);
    if (e != ERR_OK) {
        say_error("%s", why);
        return CMD_USAGE;
    }
    if (setup_memory(&setup, why) != ERR_OK) {
        say_error("%s", why);
        setup_free(&setup);
        return CMD_USAGE;
    }
    control_block_signals();
    e = daemon_open(&daemon, &setup, why);
    if (e != ERR_OK) {
        say_error("%s", why);
        setup_free(&setup);
        return CMD_FAILED;
    }
    say_facts(&daemon);
    int status = control_run(&daemon);
    if (daemon_close(&daemon) > 0) {
        _exit(status); /* no destructors: what BoringSSL holds of open connections goes with us */
    }
    setup_free(&setup);
    return status;
}

int cmd_run(int argc, char **argv)
{
    const char *path = NULL;
    const struct options_item items[] = {
        {"config", 'c', OPTIONS_TEXT, &path, "FILE", "the configuration file"},
    };
    const struct options options = {
        .usage = "chordial run -c FILE",
        .about =
            "The daemon, in the foreground.  It prints `ready` on stderr once all its peers have\n"
            "joined the overlay.  SIGTERM drains and leaves, a second one ends at once; SIGHUP "
            "reads\n"
            "the overlay document anew, as `chordial ctl reload`.",
        .example = "    chordial run -c chordial.conf",
        .items = items,
        .count = ARRAY_COUNT(items),
        .words = "",
        .words_least = 0,
        .words_most = 0};
    int rest = 0;
    int status = 0;
    if (!options_parse(&options, argc, argv, &rest, &status)) {
        return status;
    }
    if (path == NULL) {
        say_error("wants a configuration: -c FILE: see --help");
        return CMD_USAGE;
    }
    return run(path);
}
