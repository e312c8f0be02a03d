/* SPDX-License-Identifier: Apache-2.0 */
/* regevent.c - see regevent.h. */
#include "sip/regevent.h"
#include "codec/pidf.h"
#include "sip/presence.h"
#include "sip/registrar.h"

#define US_PER_S UINT64_C(1000000)

static void write_contact(const struct turn *t, const struct registrar_binding *b, handle at,
                          struct sip_writer *w)
{
    char id[17];
    const uint8_t bytes[8] = {(uint8_t)(at >> 56), (uint8_t)(at >> 48), (uint8_t)(at >> 40),
                              (uint8_t)(at >> 32), (uint8_t)(at >> 24), (uint8_t)(at >> 16),
                              (uint8_t)(at >> 8),  (uint8_t)at};
    sip_write_text(w, "<contact id=\"c");
    sip_write_text(w, ids_hex(slice_of(bytes, sizeof(bytes)), id));
    sip_write_text(w, "\" state=\"active\" event=\"registered\" expires=\"");
    sip_write_u32(w, (uint32_t)((b->expires_us - t->now_us) / US_PER_S));
    sip_write_text(w, "\" q=\"");
    sip_write_text(w, b->q_milli == 1000 ? "1." : "0.");
    const char digits[] = {(char)('0' + b->q_milli / 100 % 10), (char)('0' + b->q_milli / 10 % 10),
                           (char)('0' + b->q_milli % 10)};
    sip_write_slice(w, slice_of(digits, sizeof(digits)));
    sip_write_text(w, "\"><uri>");
    pidf_write_text(w, registrar_uri(b));
    sip_write_text(w, "</uri></contact>");
}

enum err regevent_write(struct turn *t, const struct sip *s, uint32_t account, uint32_t version,
                        uint8_t *out, size_t cap, struct slice *document)
{
    struct sip_writer w;
    handle at = 0;
    const struct registrar_binding *b = NULL;
    sip_write_init(&w, out, cap);
    sip_write_text(&w, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n"
                       "<reginfo xmlns=\"urn:ietf:params:xml:ns:reginfo\" version=\"");
    sip_write_u32(&w, version);
    sip_write_text(&w, "\" state=\"full\"><registration aor=\"");
    presence_write_uri(&w, slice_text(s->settings.accounts[account].user));
    sip_write_text(&w, "\" id=\"a\" state=\"");
    sip_write_text(&w, registrar_is_live(t, s, account) ? "active\">" : "terminated\">");
    while ((b = registrar_next(t, s, account, &at)) != NULL) {
        write_contact(t, b, at, &w);
    }
    sip_write_text(&w, "</registration></reginfo>\r\n");
    return sip_write_finish(&w, document);
}
