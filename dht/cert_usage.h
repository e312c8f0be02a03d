/* SPDX-License-Identifier: Apache-2.0 */
/* cert_usage.h - publishes certificates under Kinds 0x3 and 0x10 (RFC 6940 8; US-1, design.md 6).
 *
 * Each identity twice: by user name and by Node-ID.  Before a certificate is stored its array index
 * is learnt by Fetch, comparing certificates; one that is not there yet is appended.  Refreshed
 * before half of its lifetime, one at a time, at least CERT_USAGE_PACE_MS apart.  Under the user
 * name, where others append too, it is looked for some times before, first after CERT_USAGE_LOOK_S,
 * and appended anew where it is gone.
 *
 * Owner:  one for each overlay.  Works through store_client as STORE_CLIENT_CERT_USAGE.
 * Limits: two items an identity. */
#pragma once
#include "dht/store_client.h"

enum {
    CERT_USAGE_PACE_MS = 50,
    CERT_USAGE_LIFETIME_S = 4 * 3600,
    CERT_USAGE_LOOK_S = 30,  /* +-20 %, after it was stored; later looks wait longer */
    CERT_USAGE_RETRY_S = 10, /* after a failure, doubled up to 16 times as much */
};

struct cert_usage_settings {
    const struct ident *const *publish; /* borrowed */
    size_t publish_count;
    const struct rl_params *params;
    struct store_client *client;
};

struct cert_usage;

size_t cert_usage_bytes(const struct cert_usage_settings *s);
struct cert_usage *cert_usage_init(struct turn *t, struct arena *arena,
                                   const struct cert_usage_settings *s);
/* We are in the ring: publish everything. */
void cert_usage_start(struct turn *t, struct cert_usage *cu);
/* We are no longer. */
void cert_usage_stop(struct turn *t, struct cert_usage *cu);
void cert_usage_on_done(struct turn *t, struct cert_usage *cu,
                        const struct store_client_done *done);
/* STORE_TIMER_CERT_USAGE */
void cert_usage_on_timer(struct turn *t, struct cert_usage *cu, struct wheel_timer *timer);
/* Items that are stored and need not be stored anew yet; being looked for changes nothing. */
size_t cert_usage_published(const struct cert_usage *cu);
