/* SPDX-License-Identifier: Apache-2.0 */
/* The folder is made for this run and removed with all that is in it, so it must be one of our own:
 * mkdtemp, mode 0700. */
#include "cmd/demo_place.h"
#include "cmd/ca.h"
#include "core/os/host.h"
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { REMOVE_TRIES = 100, REMOVE_PAUSE_US = 20000, WALK_DESCRIPTORS = 16 };

static const char *const names[DEMO_PLACE_ACCOUNTS] = {"alice", "bob",   "carol", "dave", "erin",
                                                       "frank", "grace", "heidi", "ivan", "judy"};

const char *demo_place_path(const struct demo_place *p, char *out, const char *format, ...)
{
    va_list args;
    int used = snprintf(out, FILES_PATH_CAP, "%s/", p->dir);
    CHECK(used > 0 && used < FILES_PATH_CAP);
    va_start(args, format);
    int more = vsnprintf(out + used, (size_t)(FILES_PATH_CAP - used), format, args);
    va_end(args);
    CHECK(more > 0 && more < FILES_PATH_CAP - used); /* demo_place_open has left room */
    return out;
}

/* ---- the janitor
 * --------------------------------------------------------------------------------- */

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *at)
{
    (void)status;
    (void)type;
    (void)at;
    (void)remove(path);
    return 0;
}

/* The peers die with the demo, but not in the same instant, and may still write. */
static void remove_folder(const char *dir)
{
    for (int i = 0; i < REMOVE_TRIES && access(dir, F_OK) == 0; i++) {
        (void)nftw(dir, remove_one, WALK_DESCRIPTORS, FTW_DEPTH | FTW_PHYS);
        if (access(dir, F_OK) == 0) {
            usleep(REMOVE_PAUSE_US);
        }
    }
}

_Noreturn static void be_janitor(const char *dir, int end)
{
    char byte;
    (void)setsid(); /* Ctrl-C is for the demo */
    const struct sigaction ignore = {.sa_handler = SIG_IGN};
    (void)sigaction(SIGINT, &ignore, NULL);
    (void)sigaction(SIGTERM, &ignore, NULL);
    (void)sigaction(SIGHUP, &ignore, NULL);
    (void)prctl(PR_SET_NAME, "demo-janitor");
    /* Whoever reads our output waits for its last writer. */
    int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int fd = 0; fd <= STDERR_FILENO && nothing >= 0; fd++) {
        (void)dup2(nothing, fd);
    }
    while (read(end, &byte, 1) > 0) {}
    remove_folder(dir);
    _exit(0);
}

static enum err start_janitor(struct demo_place *p, char *why)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) {
        return say_why(why, ERR_IO, "no pipe: %s: close something", say_errno());
    }
    p->janitor = fork();
    if (p->janitor == 0) {
        close(ends[1]);
        be_janitor(p->dir, ends[0]);
    }
    close(ends[0]);
    p->alive = ends[1];
    return p->janitor > 0 ? ERR_OK : say_why(why, ERR_IO, "no process: %s: free some", say_errno());
}

enum err demo_place_open(struct demo_place *p, char *why)
{
    const char *parent = getenv("TMPDIR"); /* NOLINT(concurrency-mt-unsafe): one thread */
    *p = (struct demo_place){.alive = -1};
    if (parent == NULL || parent[0] != '/') {
        parent = "/tmp";
    }
    int used = snprintf(p->dir, sizeof(p->dir), "%s/chordial-demo.XXXXXX", parent);
    if (used < 0 || used > 80) { /* a unix socket has 107 bytes for its path */
        return say_why(why, ERR_CONFIG, "path too long: %s: set TMPDIR to a shorter one", parent);
    }
    if (mkdtemp(p->dir) == NULL) {
        return say_why(why, ERR_IO, "cannot make a folder: %s: %s", p->dir, say_errno());
    }
    enum err e = start_janitor(p, why);
    if (e != ERR_OK) {
        remove_folder(p->dir);
    }
    return e;
}

void demo_place_close(struct demo_place *p)
{
    close(p->alive);
    (void)waitpid(p->janitor, NULL, 0);
    p->alive = -1;
}

/* ---- enrollment
 * ---------------------------------------------------------------------------------- */

static enum err issue_peer(struct demo_place *p, uint32_t number, uint32_t shards, char *why)
{
    char ca[FILES_PATH_CAP];
    char home[FILES_PATH_CAP];
    char out[FILES_PATH_CAP];
    char user[DEMO_PLACE_USER_CAP];
    snprintf(user, sizeof(user), "peer%u@%s", number, DEMO_PLACE_DOMAIN);
    if (files_folder(demo_place_path(p, home, "peer%u", number)) != ERR_OK ||
        files_folder(demo_place_path(p, out, "peer%u/accounts", number)) != ERR_OK) {
        return say_why(why, ERR_IO, "cannot make a folder: %s: %s", out, say_errno());
    }
    struct ca_issue what = {.dir = demo_place_path(p, ca, "ca"),
                            .user = user,
                            .nodes = shards,
                            .days = 1,
                            .out = demo_place_path(p, out, "peer%u/peers", number),
                            .now_ms = host_wall_ms()};
    return ca_issue(&what, NULL, NULL, why);
}

/* One credential for each peer; each file goes where it is used. */
static enum err issue_account(struct demo_place *p, uint32_t index, uint32_t peers, char *why)
{
    struct demo_place_account *a = &p->accounts[index];
    char ca[FILES_PATH_CAP];
    char from[FILES_PATH_CAP];
    char to[FILES_PATH_CAP];
    uint8_t secret[8];
    host_random(secret, sizeof(secret));
    for (size_t i = 0; i < sizeof(secret); i++) {
        snprintf(a->password + 2 * i, 3, "%02x", secret[i]);
    }
    snprintf(a->user, sizeof(a->user), "%s@%s", names[index], DEMO_PLACE_DOMAIN);
    struct ca_issue what = {.dir = demo_place_path(p, ca, "ca"),
                            .user = a->user,
                            .password = a->password,
                            .digest = "md5",
                            .nodes = peers,
                            .days = 1,
                            .out = demo_place_path(p, to, "keys"),
                            .now_ms = host_wall_ms()};
    enum err e = ca_issue(&what, NULL, NULL, why);
    for (uint32_t i = 1; e == ERR_OK && i <= peers; i++) {
        demo_place_path(p, from, "keys/%s.%u.pem", a->user, i);
        demo_place_path(p, to, "peer%u/accounts/%s.pem", i, a->user);
        if (rename(from, to) != 0) {
            e = say_why(why, ERR_IO, "cannot move a keystore: %s: %s", to, say_errno());
        }
    }
    return e;
}

enum err demo_place_enroll(struct demo_place *p, uint32_t peers, uint32_t shards,
                           enum overlay_links links, const struct address *bootstrap, char *why)
{
    char ca[FILES_PATH_CAP];
    struct ca_init what = {.dir = demo_place_path(p, ca, "ca"),
                           .overlay = DEMO_PLACE_DOMAIN,
                           .bootstrap = {*bootstrap},
                           .bootstrap_count = 1,
                           .digest = "md5",
                           .algorithm = CRYPTO_ED25519,
                           .links = links,
                           .replica_min_hosts = 2,
                           .max_credentials = CA_NODES_CAP,
                           .now_ms = host_wall_ms()};
    enum err e = ca_init(&what, why);
    for (uint32_t i = 1; e == ERR_OK && i <= peers; i++) {
        e = issue_peer(p, i, shards, why);
    }
    for (uint32_t i = 0; e == ERR_OK && i < DEMO_PLACE_ACCOUNTS && !p->is_bare; i++) {
        e = issue_account(p, i, peers, why);
    }
    return e;
}
