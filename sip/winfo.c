/* SPDX-License-Identifier: Apache-2.0 */
/* winfo.c - see winfo.h.  Who may watch is a list of the operator's, so no watcher is ever pending:
 * all are active, by their own subscription (RFC 3857 4.7.1), or gone. */
#include "sip/winfo.h"
#include "sip/presence.h"
#include "sip/registrar.h"

#define US_PER_S UINT64_C(1000000)

#define CLOSING "</watcher-list></watcherinfo>\r\n"

/* Whose it is: the AOR alone, since what else stands in From is as long as a watcher likes. */
static struct slice watcher_aor(const struct sip *s, const struct subscription *x,
                                char out[SIP_STATE_AOR_CAP])
{
    struct sip_hdr_address from;
    size_t len = 0;
    bool is_one = sip_hdr_address_decode(subscribe_text(x, SUBSCRIBE_REMOTE), &from) == ERR_OK &&
                  sip_state_aor_text(s, from.uri, false, out, &len) == ERR_OK &&
                  len <= SIP_ACCOUNT_USER_CAP;
    return is_one ? slice_of(out, len) : SLICE_EMPTY; /* it was one when it came */
}

static bool is_listed(const struct subscription *x)
{
    return x->event == SUBSCRIBE_PRESENCE && !x->is_ending;
}

/* Watchers that have been seen, by subscription.source, which is a hash: two who share it are told
 * apart by nothing but where they stand in the list.  A few steps each, where the hashes are
 * spread; one for each of the others, and with 128 subscriptions to an account a document would
 * cost 16,000. */
enum { SEEN_SLOTS = 512, SEEN_MOST = SEEN_SLOTS / 2 };

struct seen {
    uint32_t count;
    uint32_t slots[SEEN_SLOTS]; /* source + 1, 0: free */
};

/* True: for the first time.  Of more than SEEN_MOST watchers the later ones count as seen. */
static bool see(struct seen *seen, uint16_t source)
{
    uint32_t at = (uint32_t)source * UINT32_C(2654435761) >> 16;
    while (seen->slots[at % SEEN_SLOTS] != 0) {
        if (seen->slots[at % SEEN_SLOTS] == (uint32_t)source + 1) {
            return false;
        }
        at++;
    }
    if (seen->count == SEEN_MOST) {
        return false;
    }
    seen->count++;
    seen->slots[at % SEEN_SLOTS] = (uint32_t)source + 1;
    return true;
}

/* All or nothing of it. */
static void write_watcher(const struct turn *t, const struct subscription *x, struct slice aor,
                          struct sip_writer *w)
{
    enum { ID_BYTES = 8 };
    char id[2 * ID_BYTES + 1];
    struct sip_writer before = *w;
    uint64_t left_us = x->expires_us > t->now_us ? x->expires_us - t->now_us : 0;
    sip_write_text(w, "<watcher id=\"w");
    sip_write_text(w, ids_hex(slice_of(x->key, ID_BYTES), id));
    sip_write_text(w, "\" status=\"active\" event=\"subscribe\" expiration=\"");
    sip_write_u32(w, (uint32_t)(left_us / US_PER_S));
    sip_write_text(w, "\">");
    presence_write_uri(w, aor);
    sip_write_text(w, "</watcher>");
    if (w->error != ERR_OK || w->cap - w->len < sizeof(CLOSING)) {
        *w = before;
    }
}

/* The first subscription of each watcher, or the others. */
static void write_watchers(const struct turn *t, const struct sip *s, uint32_t account,
                           bool is_first, struct sip_writer *w)
{
    char text[SIP_STATE_AOR_CAP];
    struct seen seen = {0};
    const struct subscription *x = NULL;
    for (handle h = s->accounts[account].subscriptions;
         (x = pool_get(&s->subscriptions, h)) != NULL; h = x->next) {
        bool is_due = is_listed(x) && see(&seen, x->source) == is_first;
        struct slice aor = is_due ? watcher_aor(s, x, text) : SLICE_EMPTY;
        if (aor.len > 0) {
            write_watcher(t, x, aor, w);
        }
    }
}

enum err winfo_write(struct turn *t, const struct sip *s, uint32_t account, uint32_t version,
                     uint8_t *out, size_t cap, struct slice *document)
{
    struct sip_writer w;
    sip_write_init(&w, out, cap);
    sip_write_text(&w, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n"
                       "<watcherinfo xmlns=\"urn:ietf:params:xml:ns:watcherinfo\" version=\"");
    sip_write_u32(&w, version);
    sip_write_text(&w, "\" state=\"full\"><watcher-list resource=\"");
    presence_write_uri(&w, slice_text(s->settings.accounts[account].user));
    sip_write_text(&w, "\" package=\"presence\">");
    write_watchers(t, s, account, true, &w);
    write_watchers(t, s, account, false, &w);
    sip_write_text(&w, CLOSING);
    return sip_write_finish(&w, document);
}
