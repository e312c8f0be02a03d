/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration file: what is wrong is said with file, line and a suggestion. */
#include "cmd/config.h"
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define NEEDED "overlay-document = \"o.xml\"\npeers = \"p\"\noverlay-address = \"192.0.2.1\"\n"

static char folder[64];
static char path[128];
static char why[SAY_WHY_CAP];
static struct config config;

static void setup(void)
{
    snprintf(folder, sizeof(folder), "/tmp/chordial-config.XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/c.conf", folder);
}

static void teardown(void)
{
    unlink(path);
    rmdir(folder);
}

static enum err load(const char *text)
{
    cr_assert_eq(files_write(path, slice_text(text), 0600, true), ERR_OK);
    return config_load(path, &config, why);
}

TestSuite(config, .init = setup, .fini = teardown);

Test(config, defaults_and_relative_paths)
{
    char expected[FILES_PATH_CAP];
    struct limits limits;
    limits_default(&limits);
    cr_assert_eq(load(NEEDED), ERR_OK, "%s", why);
    snprintf(expected, sizeof(expected), "%s/o.xml", folder);
    cr_assert_str_eq(config.overlay_document, expected);
    cr_assert_eq(config.overlay.port, 6084);
    cr_assert_eq(config.overlay_sip_port, 6184);
    cr_assert(address_is_equal(&config.overlay, &config.overlay_advertise));
    cr_assert_eq(config.sip.family, 0, "no sip-address: a storage-only peer");
    cr_assert_eq(config.found_ring, OVERLAY_FOUND_NO);
    cr_assert_eq(config.storage_ack, OVERLAY_ACK_REPLICA);
    cr_assert_eq(config.backend, SHARD_AUTO);
    cr_assert_eq(config.busy_poll_us, 0, "spinning is for those who ask for it");
    cr_assert(config.is_busy_poll_adaptive);
    cr_assert_eq(config.drain_timeout_s, 30);
    cr_assert_eq(config.bootstrap_count, 0);
    cr_assert_not(config.has_digest);
    cr_assert(config.presence && !config.service_route && config.offline_s == 0);
    cr_assert_eq(config.watcher_count, 1);
    cr_assert_str_eq(config.watchers[0].aor, "*");
    cr_assert_eq(memcmp(&limits, &config.limits, sizeof(limits)), 0);
    cr_assert_str_eq(config.data_dir, "");
    cr_assert_gt(config_data_bytes(&config, 2), 2ull * limits.stored_bytes);
    cr_assert_eq(config.metrics.family, 0, "nobody is served who was not asked for");
}

Test(config, phone_ports_are_those_that_are_there, .init = setup, .fini = teardown)
{
    uint16_t ports[CONFIG_PHONE_PORTS];
    cr_assert_eq(load(NEEDED "sip-address = \"127.0.0.1\"\nsip-ws-port = 8080\n"), ERR_OK, "%s",
                 why);
    config_phone_ports(&config, ports);
    cr_assert_eq(ports[0], 5060);
    cr_assert_eq(ports[1], 0, "TLS needs a certificate");
    cr_assert_eq(ports[2], 8080);
    cr_assert_eq(ports[3], 0);
    struct address at;
    const char *by = NULL;
    unsigned index = 0;
    cr_assert(config_next_phone_address(&config, &index, &at, &by));
    cr_assert_eq(at.port, 5060);
    cr_assert_str_eq(by, "UDP and TCP");
    cr_assert(config_next_phone_address(&config, &index, &at, &by));
    cr_assert_eq(at.port, 8080);
    cr_assert_str_eq(by, "WebSocket");
    cr_assert_not(config_next_phone_address(&config, &index, &at, &by), "no IPv6 was asked for");
}

Test(config, where_metrics_are_served)
{
    cr_assert_eq(load(NEEDED "metrics-listen = \"127.0.0.1\"\n"), ERR_OK, "%s", why);
    cr_assert_eq(config.metrics.family, 4);
    cr_assert_eq(config.metrics.port, 9464);
    cr_assert_eq(load(NEEDED "metrics-listen = \"[::1]:80\"\n"), ERR_OK, "%s", why);
    cr_assert_eq(config.metrics.family, 6);
    cr_assert_eq(config.metrics.port, 80);
    cr_assert_eq(load(NEEDED "metrics-listen = \"yes\"\n"), ERR_CONFIG);
}

Test(config, every_key_is_taken)
{
    char expected[FILES_PATH_CAP];
    cr_assert_eq(load("overlay-document = /o.xml\npeers = /p\naccounts = /a\n"
                      "overlay-address = \"::\"\noverlay-advertise = \"2001:db8::1\"\n"
                      "overlay-port = 7000\noverlay-sip-port = 7100\n"
                      "sip-address = 0.0.0.0\nsip-advertise = 192.0.2.7\nsip-port = 5070\n"
                      "bootstrap = {\"192.0.2.1:6084\", \"[2001:db8::2]:6084\"}\n"
                      "found-ring = if-alone\nshards = 3\nbackend = epoll\nbusy-poll-us = 50\n"
                      "busy-poll = fixed\n"
                      "control-socket = s\nkeylog-file = k\nlog-level = debug\n"
                      "storage-ack = disk\ndata-dir = d\ndata-size = 100\n"
                      "digest = \"md5\"\ndrain-timeout = 5\n"
                      "service-route = yes\npresence = no\noffline-messages = 86400\n"
                      "presence-watchers = {\"*\", \"Ann@Example.ORG\"}\n"
                      "foreign-domains = yes\nforeign-ca = \"roots\"\n"
                      "foreign-dns = {\"192.0.2.53\", \"[2001:db8::1]:5353\"}\n"
                      "limits {\n conns = 99\n links = 7\n}\n"),
                 ERR_OK, "%s", why);
    cr_assert_str_eq(config.accounts, "/a");
    cr_assert_eq(config.overlay.family, 6);
    cr_assert_eq(config.overlay_advertise.port, 7000);
    cr_assert_eq(config.sip.port, 5070);
    cr_assert_eq(config.sip_advertise.ip[3], 7);
    cr_assert_eq(config.bootstrap_count, 2);
    cr_assert_eq(config.bootstrap[1].family, 6);
    cr_assert_eq(config.found_ring, OVERLAY_FOUND_IF_ALONE);
    cr_assert_eq(config.shards, 3);
    cr_assert_eq(config.backend, SHARD_EPOLL);
    cr_assert_eq(config.busy_poll_us, 50);
    cr_assert_not(config.is_busy_poll_adaptive);
    cr_assert_eq(config.log_level, LOG_DEBUG);
    cr_assert_eq(config.storage_ack, OVERLAY_ACK_DISK);
    snprintf(expected, sizeof(expected), "%s/d", folder);
    cr_assert_str_eq(config.data_dir, expected);
    cr_assert_eq(config_data_bytes(&config, 3), 100ull << 20);
    cr_assert(config.has_digest && config.digest == SIP_DIGEST_MD5);
    cr_assert(config.service_route && !config.presence);
    cr_assert_eq(config.offline_s, 86400);
    cr_assert_eq(config.watcher_count, 2);
    cr_assert_str_eq(config.watchers[1].aor, "Ann@example.org");
    cr_assert(config.foreign);
    snprintf(expected, sizeof(expected), "%s/roots", folder);
    cr_assert_str_eq(config.foreign_ca, expected);
    cr_assert_eq(config.dns_count, 2);
    cr_assert_eq(config.dns[0].port, 53);
    cr_assert_eq(config.dns[1].port, 5353);
    cr_assert_eq(config.limits.conns, 99);
    cr_assert_eq(config.limits.links, 7);
}

Test(config, faults_come_with_line_and_suggestion)
{
    static const struct {
        const char *text;
        const char *where; /* both stand in the reason */
        const char *hint;
    } rows[] = {
        {NEEDED "sip-prot = 5060\n", "c.conf:4", "did you mean 'sip-port'?"},
        {NEEDED "\n\nfound_ring = no\n", "c.conf:6", "did you mean 'found-ring'?"},
        {NEEDED "zzzzzzzzzzzz = 1\n", "c.conf:4", "unknown key 'zzzzzzzzzzzz'"},
        {NEEDED "limits {\n  con = 1\n}\n", "c.conf:5", "did you mean 'conns'?"},
        {NEEDED "limits { conns = -1 }\n", "c.conf:4", "conns = -1"},
        {NEEDED "limits { links = 0 }\n", "c.conf:4", "links = 0"},
        {NEEDED "limits { answers_cached = 0 }\n", "c.conf:4", "answers_cached = 0"},
        {NEEDED "limits { certificates = 3 }\n", "c.conf:4", "certificates = 3"},
        {NEEDED "limits { attaches = 0 }\n", "c.conf:4", "attaches = 0"},
        {NEEDED "limits { requests = 0 }\n", "c.conf:4", "requests = 0"},
        {NEEDED "limits { outbox = 2000000000 }\n", "c.conf:4", "outbox = 2000000000"},
        {NEEDED "limits { mailbox = 2000000000 }\n", "c.conf:4", "mailbox = 2000000000"},
        {NEEDED "limits { link_datagram_bytes = 511 }\n", "c.conf:4", "link_datagram_bytes = 511"},
        {NEEDED "storage-ack = disk\n", "c.conf", "data-dir: set it to a folder"},
        {NEEDED "storage-ack = disc\n", "c.conf:4", "one of memory replica disk"},
        {NEEDED "presence = maybe\n", "c.conf:4", "one of no yes"},
        {NEEDED "offline-messages = 700000\n", "c.conf:4", "offline-messages = 700000"},
        {NEEDED "foreign-dns = {\"dns.example\"}\n", "c.conf:4", "ADDRESS or ADDRESS:PORT"},
        {NEEDED "foreign-domains = maybe\n", "c.conf:4", "no yes"},
        {NEEDED "presence-watchers = {\"sip:a@b\"}\n", "c.conf:4", "user@domain"},
        {NEEDED "data-size = -1\n", "c.conf:4", "data-size = -1"},
        {NEEDED "limits { conns = 4294967296 }\n", "c.conf:4", "conns = 4294967296"},
        {NEEDED "found-ring = maybe\n", "c.conf:4", "one of no if-alone now"},
        {NEEDED "backend = kqueue\n", "c.conf:4", "one of auto io_uring epoll"},
        {NEEDED "overlay-port = 70000\n", "c.conf:4", "from 1 to 65535"},
        {NEEDED "overlay-port = many\n", "c.conf:4", "overlay-port"},
        {NEEDED "busy-poll-us = 1000001\n", "c.conf:4", "from 0 to 1000000"},
        {NEEDED "busy-poll = yes\n", "c.conf:4", "fixed"},
        {NEEDED "shards = 99\n", "c.conf:4", "from 0 to 32"},
        {NEEDED "sip-address = phones.example\n", "c.conf:4", "IPv4 or IPv6 address"},
        {NEEDED "bootstrap = {\"192.0.2.1\"}\n", "c.conf:4", "ADDRESS:PORT"},
        {NEEDED "digest = \"sha-1\"\n", "c.conf:4", "\"sha-256 md5\" or \"md5\""},
        {NEEDED "sip-port = {\n", "c.conf:4", ""},
        {"peers = p\noverlay-address = 192.0.2.1\n", "c.conf", "no overlay-document"},
        {"overlay-document = o\noverlay-address = 192.0.2.1\n", "c.conf", "no peers"},
        {"overlay-document = o\npeers = p\n", "c.conf", "no overlay-address"},
        {"overlay-document = o\npeers = p\noverlay-address = 0.0.0.0\n", "c.conf",
         "overlay-advertise"},
        {NEEDED "sip-address = \"::\"\n", "c.conf", "sip-advertise"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        cr_assert_eq(load(rows[i].text), ERR_CONFIG, "row %zu", i);
        cr_assert_not_null(strstr(why, rows[i].where), "row %zu: %s", i, why);
        cr_assert_not_null(strstr(why, rows[i].hint), "row %zu: %s", i, why);
    }
}

Test(config, no_file)
{
    cr_assert_eq(config_load("/nowhere/c.conf", &config, why), ERR_NOT_FOUND);
    cr_assert_not_null(strstr(why, "/nowhere/c.conf"));
}

/* Every key of the sample is known, and it stays short. */
Test(config, the_sample_is_good)
{
    struct slice sample;
    size_t lines = 0;
    cr_assert_eq(files_read("contrib/chordial.conf.example", &sample, NULL), ERR_OK,
                 "run from the top");
    cr_assert_eq(load((const char *)sample.data), ERR_OK, "%s", why);
    for (size_t i = 0; i < sample.len; i++) {
        lines += sample.data[i] == '\n' ? 1 : 0;
    }
    cr_assert_leq(lines, 48);
    free((void *)(uintptr_t)sample.data);
}
