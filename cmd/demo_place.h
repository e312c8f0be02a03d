/* SPDX-License-Identifier: Apache-2.0 */
/* demo_place.h - the folder of a demo: throw-away authority, keystores, sockets, key log.
 *
 *   ca/  keylog  peerN.conf  peerN.sock  peerN.log  peerN/peers/  peerN/accounts/
 *
 * A janitor process removes it as soon as the demo is gone, however it ends: it waits for the end
 * of a pipe that only the demo holds open.  Owner: cmd_demo.c; one thread. */
#pragma once
#include "cmd/files.h"
#include "core/address.h"
#include "dht/overlay.h"

enum { DEMO_PLACE_ACCOUNTS = 10, DEMO_PLACE_USER_CAP = 64, DEMO_PLACE_PASSWORD_CAP = 20 };

#define DEMO_PLACE_DOMAIN "demo.example"

struct demo_place_account {
    char user[DEMO_PLACE_USER_CAP]; /* "alice@demo.example" */
    char password[DEMO_PLACE_PASSWORD_CAP];
};

struct demo_place {
    char dir[FILES_PATH_CAP];
    struct demo_place_account accounts[DEMO_PLACE_ACCOUNTS];
    bool is_bare; /* no accounts */
    pid_t janitor;
    int alive; /* the janitor waits for its end */
};

/* Makes the folder and the janitor.  To be called before any other process is started. */
enum err demo_place_open(struct demo_place *p, char *why) MUST_USE;
/* Waits until the folder is gone; all peers must have ended. */
void demo_place_close(struct demo_place *p);
/* The authority, the document with this bootstrap address, `shards` credentials for each of `peers`
 * and one of each account for each of them. */
enum err demo_place_enroll(struct demo_place *p, uint32_t peers, uint32_t shards,
                           enum overlay_links links, const struct address *bootstrap,
                           char *why) MUST_USE;
/* "dir/" and the rest into `out` (FILES_PATH_CAP bytes), which it returns. */
const char *demo_place_path(const struct demo_place *p, char *out, const char *format, ...)
    PRINTF_LIKE(3, 4);
