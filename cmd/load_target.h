/* SPDX-License-Identifier: Apache-2.0 */
/* load_target.h - what is put under load: where it listens, who may register there, and whose
 * authority issues credentials for it.  From the line of `chordial demo --hold --json`, or from
 * options.
 *
 * Loopback only, unless the caller says that the target is theirs: this is no tool for attacks. */
#pragma once
#include "cmd/files.h"
#include "cmd/options.h"
#include "codec/ids.h"
#include "core/address.h"
#include "core/crypto.h"

enum { LOAD_TARGET_ACCOUNTS = 64, LOAD_TARGET_TEXT_CAP = 64 };

struct load_target_account {
    char user[CRYPTO_USER_CAP + 1]; /* "alice@demo.example" */
    char password[LOAD_TARGET_TEXT_CAP];
};

struct load_target {
    struct address sip;                  /* family 0: not told; so the next */
    struct address callees;              /* where callees are; family 0: where callers are */
    struct address overlay;              /* of the node under load */
    struct node_id node_id;              /* all zeros: whoever answers there */
    char domain[CRYPTO_OVERLAY_CAP + 1]; /* of the accounts; empty: none */
    char ca[FILES_PATH_CAP];             /* folder of `chordial ca init`; empty: not told */
    struct load_target_account accounts[LOAD_TARGET_ACCOUNTS];
    uint32_t account_count;
    uint32_t pid;        /* 0: not told; so the next */
    uint32_t callee_pid; /* of the node where callees are, when it is another */
};

struct load_target_options {
    const char *demo; /* a file, or "-" */
    uint64_t peer;    /* of the demo, from 1 */
    uint64_t node;    /* of that peer, from 1 */
    uint64_t callees; /* another peer of the demo, for callees; 0: the same */
    const char *sip, *overlay, *ca;
    struct options_texts accounts; /* user@domain:password */
    uint64_t pid;
    bool is_owner;
};

/* ERR_CONFIG or ERR_NOT_FOUND with the reason in `why`. */
enum err load_target_read(const struct load_target_options *o, struct load_target *out,
                          char *why) MUST_USE;
