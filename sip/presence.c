/* SPDX-License-Identifier: Apache-2.0 */
/* presence.c - see presence.h. */
#include "sip/presence.h"
#include "codec/pidf.h"
#include "sip/publish.h"
#include "sip/registrar.h"

void presence_write_uri(struct sip_writer *w, struct slice aor)
{
    uint8_t text[sizeof("sip:") + 3 * SIP_ACCOUNT_USER_CAP];
    struct sip_writer uri;
    struct slice written;
    sip_write_init(&uri, text, sizeof(text));
    sip_write_aor(&uri, SLICE_LITERAL("sip:"), aor);
    enum err e = sip_write_finish(&uri, &written);
    CHECK(e == ERR_OK); /* an account's: three letters for each of it are room enough */
    pidf_write_text(w, written);
}

/* Whoever has published nothing: one tuple for all devices. */
static void write_basic(struct sip_writer *w, struct slice aor, bool is_open)
{
    sip_write_text(w, "<tuple id=\"registered\"><status><basic>");
    sip_write_text(w, is_open ? "open" : "closed");
    sip_write_text(w, "</basic></status>");
    if (is_open) {
        sip_write_text(w, "<contact>");
        presence_write_uri(w, aor);
        sip_write_text(w, "</contact>");
    }
    sip_write_text(w, "</tuple>");
}

static void write_published(struct sip_writer *w, const struct publication *x, bool is_only)
{
    struct pidf p;
    struct slice element;
    char prefix[2 * PUBLISH_ETAG_BYTES + 3];
    size_t len = 0;
    if (!is_only) { /* an id begins with a letter or _ */
        prefix[0] = 'p';
        memcpy(prefix + 1, x->etag, 2 * PUBLISH_ETAG_BYTES);
        prefix[2 * PUBLISH_ETAG_BYTES + 1] = '-';
        len = 2 * PUBLISH_ETAG_BYTES + 2;
    }
    enum err e = pidf_read(slice_of(x->body, x->len), &p);
    CHECK(e == ERR_OK); /* read when it came */
    while (pidf_next(&p, &element)) {
        pidf_write(w, &p, element, slice_of(prefix, len));
    }
}

/* `with`: publications, too. */
static enum err write_all(struct turn *t, const struct sip *s, uint32_t account, bool with,
                          struct sip_writer *w, struct slice *document)
{
    handle at = 0;
    unsigned count = 0;
    const struct publication *x = NULL;
    struct slice aor = slice_text(s->settings.accounts[account].user);
    bool is_open = registrar_is_live(t, s, account);
    sip_write_text(w, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n"
                      "<presence xmlns=\"urn:ietf:params:xml:ns:pidf\" entity=\"pres:");
    pidf_write_text(w, aor);
    sip_write_text(w, "\">");
    while (with && is_open && publish_next(s, account, &at) != NULL) {
        count++;
    }
    at = 0;
    while (count > 0 && (x = publish_next(s, account, &at)) != NULL) {
        write_published(w, x, count == 1);
    }
    if (count == 0) {
        write_basic(w, aor, is_open);
    }
    sip_write_text(w, "</presence>\r\n");
    return sip_write_finish(w, document);
}

enum err presence_write(struct turn *t, const struct sip *s, uint32_t account, uint8_t *out,
                        size_t cap, struct slice *document)
{
    struct sip_writer w;
    sip_write_init(&w, out, cap);
    enum err e = write_all(t, s, account, true, &w, document);
    if (e == ERR_TOO_LARGE) { /* what was published does not fit: whether they are there does */
        sip_write_init(&w, out, cap);
        e = write_all(t, s, account, false, &w, document);
    }
    return e;
}
