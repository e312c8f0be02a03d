/* SPDX-License-Identifier: Apache-2.0 */
/* resolver.h - asks name servers for the shards, with c-ares: one question in, its answer out
 * (sip/resolve has the rules).
 *
 *   shard --IO_MAIL_DNS--> control thread --UDP, TCP--> name server
 *         <--IO_MAIL_DNS--
 *
 * Runs within the control thread's poll loop and waits nowhere.  Which servers: those of
 * foreign-dns, else of /etc/resolv.conf as it is at start.
 *
 * Owner:  the control thread.
 * Limits: RESOLVER_QUESTIONS under way, what is beyond is not answered by anybody; a server is
 *         asked twice, for RESOLVER_TIMEOUT_MS first; answers of RESOLVER_ANSWER_CAP bytes. */
#pragma once
#include "cmd/config.h"
#include <poll.h>

enum {
    RESOLVER_QUESTIONS = 1024,
    RESOLVER_TIMEOUT_MS = 1500,
    RESOLVER_TRIES = 2,
    RESOLVER_POLLS = 16,
    RESOLVER_ANSWER_CAP = 16 * 1024
};

struct resolver;
/* Where answers go: to `shard`, under `tag`. */
typedef void resolver_answer(void *context, uint32_t shard, uint64_t tag, struct slice mail);

enum err resolver_open(const struct config *c, resolver_answer *answer, void *context,
                       struct resolver **out, char *why) MUST_USE;
void resolver_close(struct resolver *r);
/* From IO_MAIL_DNS; may answer at once. */
void resolver_ask(struct resolver *r, uint32_t shard, uint64_t tag, struct slice mail);
/* Descriptors to be polled, RESOLVER_POLLS at most; *timeout_ms is made shorter where need be. */
size_t resolver_polls(struct resolver *r, struct pollfd *polls, int *timeout_ms);
void resolver_work(struct resolver *r, const struct pollfd *polls, size_t count);
