/* SPDX-License-Identifier: Apache-2.0 */
/* Where the load generator takes its target from, and what it refuses. */
#include "cmd/load_target.h"
#include <criterion/criterion.h>
#include <stdio.h>
#include <unistd.h>

static struct load_target target;
static char why[SAY_WHY_CAP];
static char path[64];

static const char *demo(const char *text)
{
    snprintf(path, sizeof(path), "/tmp/chordial-target.XXXXXX");
    int fd = mkstemp(path);
    cr_assert(fd >= 0);
    cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    return path;
}

static void teardown(void)
{
    if (path[0] != '\0') {
        unlink(path);
    }
}

TestSuite(load_target, .fini = teardown);

static const char line[] =
    "{\"peers\":[{\"name\":\"peer1\",\"pid\":41,\"nodes\":[{\"node_id\":"
    "\"000102030405060708090a0b0c0d0e0f\",\"overlay\":\"127.0.0.1:6084\"}],"
    "\"sip\":\"127.0.0.1:5060\",\"ctl\":\"s\"},{\"name\":\"peer2\",\"pid\":42,\"nodes\":["
    "{\"node_id\":\"100102030405060708090a0b0c0d0e0f\",\"overlay\":\"127.0.0.1:6090\"},"
    "{\"node_id\":\"200102030405060708090a0b0c0d0e0f\",\"overlay\":\"127.0.0.1:6091\"}],"
    "\"sip\":\"127.0.0.1:5070\",\"ctl\":\"s\"}],\"domain\":\"demo.example\",\"accounts\":["
    "{\"user\":\"alice@demo.example\",\"password\":\"x\"},"
    "{\"user\":\"bob@demo.example\",\"password\":\"y:z\"}],\"ca\":\"/tmp/ca\",\"keylog\":\"k\"}\n";

Test(load_target, takes_a_demo)
{
    struct load_target_options o = {.demo = demo(line), .peer = 2, .node = 2};
    cr_assert_eq(load_target_read(&o, &target, why), ERR_OK, "%s", why);
    cr_assert_eq(target.sip.port, 5070);
    cr_assert_eq(target.overlay.port, 6091);
    cr_assert_eq(target.node_id.bytes[0], 0x20);
    cr_assert_eq(target.pid, 42u);
    cr_assert_eq(target.account_count, 2u);
    cr_assert_str_eq(target.accounts[1].password, "y:z");
    cr_assert_str_eq(target.domain, "demo.example");
    cr_assert_str_eq(target.ca, "/tmp/ca");
    o.sip = "127.0.0.9:5999"; /* options come after the demo's line */
    o.pid = 77;
    cr_assert_eq(load_target_read(&o, &target, why), ERR_OK, "%s", why);
    cr_assert_eq(target.sip.port, 5999);
    cr_assert_eq(target.pid, 77u);
}

Test(load_target, refuses_with_a_reason)
{
    const struct {
        struct load_target_options o;
        const char *says;
    } cases[] = {
        {{.peer = 1, .node = 1}, "chordial demo --hold --json > demo.json"},
        {{.demo = "/nowhere/demo.json", .peer = 1, .node = 1}, "/nowhere/demo.json"},
        {{.sip = "nowhere"}, "not an address: nowhere"},
        {{.sip = "192.0.2.1:5060"}, "--i-own-the-target"},
        {{.overlay = "192.0.2.1:6084"}, "--i-own-the-target"},
        {{.sip = "[::1]:5060"}, "IPv6"},
        {{.sip = "127.0.0.1", .accounts = {{"alice"}, 1}}, "user@domain:password"},
        {{.sip = "127.0.0.1", .accounts = {{"alice@b"}, 1}}, "user@domain:password"},
        {{.sip = "127.0.0.1", .accounts = {{"a@b:c", "a@d:c"}, 2}}, "two domains"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        why[0] = '\0';
        cr_assert_eq(load_target_read(&cases[i].o, &target, why) == ERR_OK, false, "case %zu", i);
        cr_assert_not_null(strstr(why, cases[i].says), "case %zu: %s", i, why);
    }
}

Test(load_target, refuses_other_lines)
{
    const char *lines[] = {"\n",
                           "{}\n",
                           "[1]\n",
                           "{\"peers\":[]}\n",
                           "{\"peers\":[{}]}\n",
                           "{\"peers\":[{\"sip\":1,\"nodes\":[{}]}]}\n"};
    for (size_t i = 0; i < ARRAY_COUNT(lines); i++) {
        struct load_target_options o = {.demo = demo(lines[i]), .peer = 1, .node = 1};
        cr_assert_eq(load_target_read(&o, &target, why) == ERR_OK, false, "case %zu", i);
        unlink(path);
    }
    struct load_target_options o = {.demo = demo(line), .peer = 0, .node = 1};
    cr_assert_eq(load_target_read(&o, &target, why), ERR_CONFIG);
    o.peer = 3;
    cr_assert_eq(load_target_read(&o, &target, why), ERR_CONFIG);
    cr_assert_not_null(strstr(why, "2 peers"), "%s", why);
}

Test(load_target, takes_another_machine_from_its_owner)
{
    struct load_target_options o = {.sip = "192.0.2.1:5060", .is_owner = true};
    cr_assert_eq(load_target_read(&o, &target, why), ERR_OK, "%s", why);
}
