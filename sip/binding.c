/* SPDX-License-Identifier: Apache-2.0 */
/* binding.c - see binding.h. */
#include "sip/binding.h"
#include "sip/outbound.h"
#include "sip/prefs.h"

static bool is_long(const struct registrar_binding *b)
{
    return b->text != NULL && b->text != b->near;
}

bool binding_write(struct turn *t, struct sip *s, struct registrar_binding *b,
                   const struct sip_hdr_address *address, const struct sip_rx *rx)
{
    char text[sizeof(struct binding_long)];
    CHECK(address->uri.len <= REGISTRAR_URI_CAP);
    memcpy(text, address->uri.data, address->uri.len);
    size_t len = address->uri.len;
    size_t params_len = prefs_keep(address->params, text + len, REGISTRAR_PARAMS_CAP);
    len += params_len;
    size_t path_len = outbound_path(rx, NULL);
    CHECK(path_len <= REGISTRAR_PATH_CAP); /* the plan has refused a longer one */
    len += outbound_path(rx, text + len);
    if (len > sizeof(b->near) && !is_long(b)) {
        struct binding_long *block = pool_acquire(&s->longs);
        if (block == NULL) {
            metric_add(t->metrics, METRIC_sip_bindings_long_refused, 1);
            return false;
        }
        b->text = block->text;
    } else if (len <= sizeof(b->near)) {
        binding_clear(s, b);
    }
    memcpy(b->text, text, len);
    b->uri_len = (uint16_t)address->uri.len;
    b->params_len = (uint16_t)params_len;
    b->path_len = (uint16_t)path_len;
    return true;
}

void binding_clear(struct sip *s, struct registrar_binding *b)
{
    if (is_long(b)) {
        pool_release(&s->longs, b->text);
    }
    b->text = b->near;
}
