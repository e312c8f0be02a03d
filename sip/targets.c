/* SPDX-License-Identifier: Apache-2.0 */
/* targets.c - see targets.h. */
#include "sip/targets.h"
#include "sip/contacts.h"
#include "sip/fork.h"
#include "sip/gruu.h"
#include "sip/offline.h"
#include "sip/prefs.h"
#include "sip/registrar.h"
#include "sip/sips.h"
#include "sip/subscribe.h"

void targets_bindings(struct turn *t, struct sip *s, struct proxy *p, uint32_t account,
                      uint16_t top)
{
    const struct registrar_binding *chosen[CONTACTS_CAP];
    struct sip_rx room;
    const struct sip_rx *rx = sip_state_reread(s, p->request, &p->from, &room);
    bool is_one = prefs_is_no_fork(rx->m);
    unsigned count = contacts_choose(t, s, rx, account, chosen);
    if (count == 0) {
        fork_note(t, s, p, 480, "No device of the callee is what the caller asks for");
    }
    unsigned added = 0;
    for (unsigned i = 0; i < count && !(is_one && added > 0); i++) {
        bool is_held = p->method == SIP_METHOD_INVITE && chosen[i]->q_milli < top;
        bool is_added = fork_add_binding(t, s, p, chosen[i], is_held);
        top = is_added && chosen[i]->q_milli > top ? chosen[i]->q_milli : top;
        added += is_added ? 1 : 0;
    }
    if (count > 0 && added == 0) {
        fork_note(t, s, p, 480, SIPS_NOT_ALLOWED);
    }
}

/* All devices of an account that have registered here, and only they. */
static void fork_to_account(struct turn *t, struct sip *s, struct proxy *p,
                            const struct sip_uri *uri, const struct gruu *g)
{
    uint32_t account = gruu_account(s, uri, g);
    if (account == REGISTRAR_NONE) {
        fork_note(t, s, p, 404, "Nobody by that GRUU here (any more)");
    } else if (!registrar_is_live(t, s, account)) {
        fork_note(t, s, p, 480, "Known, but not registered here now");
    } else if (fork_expect(t, s, p, s->accounts[account].count)) {
        targets_bindings(t, s, p, account, 0);
    }
}

/* The one device behind a GRUU of this peer. */
static void fork_to_device(struct turn *t, struct sip *s, struct proxy *p,
                           const struct sip_uri *uri, const struct gruu *g)
{
    uint32_t account = REGISTRAR_NONE;
    const struct registrar_binding *b = gruu_find(t, s, uri, g, &account);
    if (b != NULL) {
        if (!fork_add_binding(t, s, p, b, false)) {
            fork_note(t, s, p, 480, SIPS_NOT_ALLOWED);
        }
    } else if (account == REGISTRAR_NONE) {
        fork_note(t, s, p, 404, "Nobody by that GRUU here (any more)");
    } else {
        fork_note(t, s, p, 480, "The device of that GRUU is not registered now");
    }
}

void targets_gruu(struct turn *t, struct sip *s, struct proxy *p)
{
    struct sip_rx room;
    struct gruu g;
    p->state = PROXY_FORKING;
    const struct sip_rx *rx = sip_state_reread(s, p->request, &p->from, &room);
    gruu_read(s, &rx->core.uri, &g);
    if (!fork_expect(t, s, p, 1)) {
        /* noted */
    } else if (ids_node_is_equal(&g.node, &s->settings.self)) {
        if (g.kind == GRUU_ACCOUNT) {
            fork_to_account(t, s, p, &rx->core.uri, &g);
        } else {
            fork_to_device(t, s, p, &rx->core.uri, &g);
        }
    } else if (flow_is_peer(&p->from)) {
        fork_note(t, s, p, 404, "That GRUU is not of this peer");
    } else {
        fork_add(t, s, p, NULL, &g.node, SLICE_EMPTY);
    }
    fork_settle(t, s, p);
}

/* Nobody is here: 202 where messages are kept, else 480. */
static void keep_or_note(struct turn *t, struct sip *s, struct proxy *p, uint32_t account)
{
    struct sip_rx room;
    const struct sip_rx *rx = sip_state_reread(s, p->request, &p->from, &room);
    if (p->is_answered || !offline_keep(t, s, rx, account)) {
        fork_note(t, s, p, 480, "Known, but not registered here now");
        return;
    }
    proxy_answer(t, s, p, 202, NULL);
}

void targets_keep(struct turn *t, struct sip *s, struct proxy *p)
{
    uint32_t account = registrar_find(s, slice_of(p->aor, p->aor_len));
    p->has_mailbox = false;
    if (account != REGISTRAR_NONE) {
        keep_or_note(t, s, p, account);
    }
}

/* Where this node keeps messages for an account whose phones are elsewhere, and where the message
 * is a kept one, it is no target itself. */
static bool is_passed_over(struct proxy *p, const struct location_target *target, bool has_others)
{
    bool is_mailbox = target->is_mailbox && has_others;
    p->has_mailbox = p->has_mailbox || (is_mailbox && target->aor == 0);
    return is_mailbox || p->kept != 0;
}

/* A subscription to what this node knows of the account.  False: a matter of its phones. */
static bool serve(struct turn *t, struct sip *s, struct proxy *p, uint32_t account)
{
    struct sip_rx room;
    const char *why = NULL;
    struct tx *tx = tx_get(s, p->tx);
    if (p->method != SIP_METHOD_SUBSCRIBE || tx == NULL || p->is_answered) {
        return false;
    }
    const struct sip_rx *rx = sip_state_reread(s, p->request, &p->from, &room);
    if (!subscribe_is_ours(s, rx)) {
        return false;
    }
    unsigned status = subscribe_serve(t, s, rx, tx, account, &why);
    if (status < 300) {
        p->is_answered = true;
    } else {
        fork_note(t, s, p, status, why);
    }
    return true;
}

void targets_aor(struct turn *t, struct sip *s, struct proxy *p, struct slice aor, uint16_t top)
{
    uint32_t account = registrar_find(s, aor);
    if (account == REGISTRAR_NONE) {
        fork_note(t, s, p, 404, "Nobody by that name is served here");
    } else if (!registrar_is_live(t, s, account)) {
        keep_or_note(t, s, p, account);
    } else if (!serve(t, s, p, account)) {
        targets_bindings(t, s, p, account, top);
    }
}

/* How many branches a target may take. */
static unsigned branches_of(const struct sip *s, const struct location *l, unsigned i)
{
    uint32_t account = ids_node_is_equal(&l->targets[i].node, &s->settings.self)
                           ? registrar_find(s, location_aor(l, l->targets[i].aor))
                           : REGISTRAR_NONE;
    return account == REGISTRAR_NONE ? 1 : s->accounts[account].count;
}

void targets_located(struct turn *t, struct sip *s, struct proxy *p, const struct location *l)
{
    unsigned count = 0;
    uint16_t top = 0;
    bool has_others = false; /* than those who keep messages */
    p->state = PROXY_FORKING;
    for (unsigned i = 0; i < l->target_count; i++) {
        count += branches_of(s, l, i);
        top = l->targets[i].q_milli > top ? l->targets[i].q_milli : top;
        has_others = has_others || !l->targets[i].is_mailbox;
    }
    if (!fork_expect(t, s, p, count)) {
        fork_settle(t, s, p);
        return;
    }
    for (unsigned i = 0; i < l->target_count; i++) {
        uint8_t uri[FORK_URI_CAP];
        struct sip_writer w;
        struct slice text = SLICE_EMPTY, aor = location_aor(l, l->targets[i].aor);
        if (ids_node_is_equal(&l->targets[i].node, &s->settings.self)) {
            if (!is_passed_over(p, &l->targets[i], has_others)) {
                targets_aor(t, s, p, aor, top);
            }
            continue;
        }
        if (l->targets[i].aor != 0) { /* forwarded to another AOR: that is what the peer serves */
            sip_write_init(&w, uri, sizeof(uri));
            sip_write_aor(&w, p->is_sips ? SLICE_LITERAL("sips:") : SLICE_LITERAL("sip:"), aor);
            if (sip_write_finish(&w, &text) != ERR_OK) {
                fork_note(t, s, p, 404, "The callee is forwarded to a name that is too long");
                continue;
            }
        }
        fork_add_target(t, s, p, &l->targets[i], text,
                        (p->method == SIP_METHOD_INVITE && l->targets[i].q_milli < top) ||
                            (l->targets[i].is_mailbox && has_others));
    }
    fork_settle(t, s, p);
}
