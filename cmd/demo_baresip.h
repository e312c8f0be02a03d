/* SPDX-License-Identifier: Apache-2.0 */
/* demo_baresip.h - a real phone in a demo: a headless baresip that answers by itself, plays a tone,
 * and is told what to do over its ctrl_tcp (netstrings that hold JSON).
 *
 * It dies with the demo, and its folder is in the demo's.  Owner: demo_phones.c; one thread. */
#pragma once
#include "cmd/demo_place.h"

enum { DEMO_BARESIP_HEARD_CAP = 16 * 1024 };

struct demo_baresip {
    pid_t pid;   /* 0: not running */
    int control; /* -1: not connected */
    uint16_t control_port;
    bool is_up;     /* a call is established */
    bool is_closed; /* it has ended, or could not be made */
    char why[100];  /* of the end, as baresip says it */
    size_t heard_len;
    char heard[DEMO_BARESIP_HEARD_CAP];
};

/* Starts it for an account whose proxy is `server`; `port` and the three behind it are its own. */
enum err demo_baresip_start(struct demo_baresip *b, const struct demo_place *place,
                            const struct demo_place_account *account, const struct address *server,
                            uint16_t port, char *why) MUST_USE;
/* False until its control port answers. */
bool demo_baresip_connect(struct demo_baresip *b);
void demo_baresip_dial(struct demo_baresip *b, const char *user);
void demo_baresip_hangup(struct demo_baresip *b);
/* Takes in what it has said, waiting for at most `ms`. */
void demo_baresip_poll(struct demo_baresip *b, uint32_t ms);
void demo_baresip_end(struct demo_baresip *b);
