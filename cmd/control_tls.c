/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/control_tls.h"
#include "core/os/host.h"

#define DAY_MS (UINT64_C(24) * 3600 * 1000)
enum { SOON_DAYS = 14 };

void control_tls_open(struct control_tls *c, struct daemon *d)
{
    *c = (struct control_tls){.daemon = d, .ends_ms = d->setup->sip_cert.names.not_after_ms};
}

void control_tls_close(struct control_tls *c)
{
    for (uint32_t i = 0; i < OVERLAY_SHARDS_CAP; i++) {
        tls_boring_context_free(c->waiting[i]);
        c->waiting[i] = NULL;
    }
}

/* Mails what waits; tried again at the next tick when a mailbox is full. */
static void tell(struct control_tls *c)
{
    for (uint32_t i = 0; i < c->daemon->count; i++) {
        struct admin_request r = {.verb = ADMIN_SET_SIP_TLS, .sip_tls = c->waiting[i]};
        if (c->waiting[i] != NULL && shard_control_send(c->daemon->group, i, IO_MAIL_CONTROL, 0,
                                                        slice_of(&r, sizeof(r))) == ERR_OK) {
            c->waiting[i] = NULL;
        }
    }
}

enum err control_tls_reload(struct control_tls *c, char *why)
{
    struct sip_cert cert;
    const struct setup *setup = c->daemon->setup;
    struct tls_boring *made[OVERLAY_SHARDS_CAP] = {NULL};
    if (!sip_cert_is_wanted(&setup->config)) {
        return ERR_OK;
    }
    enum err e = sip_cert_load(&setup->config, setup->doc.config.name, host_wall_ms(), &cert, why);
    if (e != ERR_OK) {
        return e;
    }
    for (uint32_t i = 0; e == ERR_OK && i < c->daemon->count; i++) {
        e = daemon_sip_context(c->daemon, &cert, &made[i], why);
    }
    for (uint32_t i = 0; i < c->daemon->count; i++) {
        if (e == ERR_OK) { /* all or none */
            tls_boring_context_free(c->waiting[i]);
            c->waiting[i] = made[i];
        } else {
            tls_boring_context_free(made[i]);
        }
    }
    if (e == ERR_OK) {
        char names[200];
        sip_cert_names(&cert, names, sizeof(names));
        c->ends_ms = cert.names.not_after_ms;
        c->warned_ms = 0;
        say_line("certificate for phones read anew: %s: %s%s", setup->config.sip_tls_cert, names,
                 cert.is_for_domain ? "" : "; WARNING: it does not name the domain");
        tell(c);
    }
    sip_cert_free(&cert);
    return e;
}

void control_tls_tick(struct control_tls *c)
{
    uint64_t now_ms = host_wall_ms();
    tell(c);
    if (c->ends_ms == 0 || now_ms + SOON_DAYS * DAY_MS < c->ends_ms ||
        (c->warned_ms != 0 && now_ms - c->warned_ms < DAY_MS)) {
        return;
    }
    c->warned_ms = now_ms;
    if (now_ms >= c->ends_ms) {
        say_line("WARNING: the certificate for phones has EXPIRED: %s: renew it, then `chordial "
                 "ctl reload`",
                 c->daemon->setup->config.sip_tls_cert);
    } else {
        say_line("WARNING: the certificate for phones ends in %u days: %s: renew it, then "
                 "`chordial ctl reload`",
                 (unsigned)((c->ends_ms - now_ms) / DAY_MS), c->daemon->setup->config.sip_tls_cert);
    }
}

void control_tls_describe(const struct control_tls *c, struct jot *j)
{
    jot_add(j, "\"sip_tls_ends_ms\":%llu,", (unsigned long long)c->ends_ms);
}
