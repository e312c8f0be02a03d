/* SPDX-License-Identifier: Apache-2.0 */
#include "node/home.h"

#include "dht/overlay.h"

void home_init(struct home *h, const struct address *configured)
{
    *h = (struct home){.configured = *configured, .announced = *configured, .stay = 1};
}

static bool is_fit(const struct home *h, const struct address *local)
{
    enum address_range range = address_range_of(local);
    return local->family == h->configured.family && h->configured.family != 0 &&
           (range == ADDRESS_GLOBAL || range == ADDRESS_PRIVATE);
}

bool home_has_moved(const struct home *h, const struct address *local, bool is_held)
{
    bool is_back = address_is_same_host(local, &h->configured);
    return is_fit(h, local) && (is_back || (h->is_proved && !is_held));
}

void home_move(struct turn *t, struct home *h, struct overlay *o, const struct address *to)
{
    char from_text[ADDRESS_TEXT_CAP];
    char to_text[ADDRESS_TEXT_CAP];
    overlay_set_host(o, &h->announced, to);
    metric_add(t->metrics, METRIC_address_changes, 1);
    log_write(t->log, t->now_us, LOG_WARNING, "address_changed", "from=%s to=%s",
              address_host_text(&h->announced, from_text), address_host_text(to, to_text));
    h->announced = *to;
    h->is_proved = true;
    h->stay++;
}
