/* SPDX-License-Identifier: Apache-2.0 */
/* phone.h - the built-in test phone of `chordial demo`: a small SIP user agent over UDP.
 *
 * Registers with digest, places one call at a time, answers what rings, hangs up.  It speaks to the
 * program only through its socket, as any phone would; retransmits as RFC 3261 17 asks of UDP.
 * Owner: the caller; one thread.  Time: CLOCK_MONOTONIC inside phone_poll. */
#pragma once
#include "core/address.h"
#include "core/crypto.h"

enum { PHONE_TEXT_CAP = 128, PHONE_MESSAGE_CAP = 1900 };

enum phone_step { PHONE_IDLE, PHONE_WAITS, PHONE_DONE, PHONE_FAILED };

/* One request of the phone's own under way. */
struct phone_request {
    enum phone_step step;
    uint16_t status; /* final status, 0 = none yet (408: nobody answered) */
    uint64_t begun_us;
    uint64_t took_us; /* until the final response */
    uint64_t resend_us;
    uint64_t interval_us;
    uint32_t cseq;
    uint32_t tries; /* with credentials */
    char branch[40];
    uint8_t message[PHONE_MESSAGE_CAP];
    size_t message_len;
    char why[PHONE_TEXT_CAP]; /* Warning or reason phrase of a failure */
};

struct phone {
    int fd;
    struct address server;
    struct address local;
    const struct crypto *crypto;
    char user[PHONE_TEXT_CAP]; /* "alice@demo.example" */
    char domain[PHONE_TEXT_CAP];
    char password[PHONE_TEXT_CAP];
    uint32_t cseq;
    uint32_t expires_s;           /* asked for in REGISTER */
    struct phone_request request; /* REGISTER, INVITE or BYE */
    char method[12];              /* of it */
    char target[PHONE_TEXT_CAP];  /* of a call: "bob@demo.example" */
    char call_id[40];
    char local_tag[20];
    /* the dialog, as caller or callee */
    bool in_call;
    bool is_caller;
    char remote_tag[64];
    char remote_target[256];           /* Contact of the other side */
    char routes[1024];                 /* Route header lines to use, in order */
    uint8_t answer[PHONE_MESSAGE_CAP]; /* callee: our 200, until the ACK */
    size_t answer_len;
    uint64_t answer_resend_us;
    uint32_t calls_taken; /* as callee */
};

/* Opens a UDP socket near `server` (its loopback or any address).  False: errno says why. */
bool phone_open(struct phone *p, const struct crypto *crypto, const char *user,
                const char *password, const struct address *server);
void phone_close(struct phone *p);
/* Begin something; phone_poll goes on with it until request.step is DONE or FAILED. */
void phone_register(struct phone *p, uint32_t expires_s);
void phone_call(struct phone *p, const char *target);
void phone_hangup(struct phone *p);
/* Receives and retransmits for all of `phones`, for at most `timeout_ms`, or until `waiting` (may
 * be NULL) has a result. */
void phone_poll(struct phone *const *phones, size_t count, struct phone *waiting, int timeout_ms);
