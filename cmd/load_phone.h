/* SPDX-License-Identifier: Apache-2.0 */
/* load_phone.h - phones of the load generator: one UDP socket or one connection each, on an address
 * of its own in 127.0.0.0/8 where the target is on loopback, so that the node sees as many sources
 * as in life.
 *
 * The sockets and who is who; what is said over them is load_sip.c's.
 * Owner: load_sip.c; one thread.  Limits: LOAD_IO_CAP phones. */
#pragma once
#include "cmd/load.h"
#include "cmd/load_digest.h"
#include "cmd/load_stream.h"
#include "cmd/load_target.h"
#include "codec/sip_parser.h"

enum { LOAD_PHONE_BYTES_CAP = 4096 };

struct load_phone {
    struct load_io io;         /* first: on_ready casts back */
    struct load_stream stream; /* in place of `io` over TCP and TLS */
    struct load_phones *all;
    const struct load_target_account *account; /* NULL: none is needed */
    char name[CRYPTO_USER_CAP + 1];            /* of the account, before the @ */
    char local[ADDRESS_TEXT_CAP];
    char token[17]; /* Call-ID of its registration, and tag */
    struct load_digest digest;
    uint32_t cseq;
    bool is_registered;
    uint16_t last_status; /* of a REGISTER */
};

struct load_phones {
    struct load *load;
    const struct load_target *target;
    const struct crypto *crypto;
    struct tls_boring *tls; /* over TLS */
    struct load_phone *phones;
    uint32_t count;
    const char *via;    /* "UDP", "TCP", "TLS" */
    const char *params; /* of a URI that leads to a phone */
    uint64_t truncated; /* datagrams longer than LOAD_PHONE_BYTES_CAP */
    uint64_t unreadable;
    /* Called for each sound message. */
    void (*on_message)(struct load_phone *p, const struct sip_msg *m,
                       const struct sip_msg_core *core);
    void *user;
    struct sip_parser parser;
};

enum err load_phone_open(struct load_phones *all, struct load *l, const struct load_target *target,
                         uint32_t callers, uint32_t callees, char *why) MUST_USE;
void load_phone_close(struct load_phones *all);
/* Gives the phone an account. */
void load_phone_assign(struct load_phone *p, const struct load_target_account *account);
/* False: the kernel did not take it; errno tells why. */
bool load_phone_send(struct load_phone *p, const void *bytes, size_t len) MUST_USE;
