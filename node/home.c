/* SPDX-License-Identifier: Apache-2.0 */
#include "node/home.h"

#include "dht/overlay.h"

void home_init(struct home *h, const struct address *configured)
{
    *h = (struct home){.configured = *configured, .announced = *configured, .last = 1, .place = 1};
    h->places[1] = *configured;
}

static bool is_known(const struct home *h, uint32_t place)
{
    return place != 0 && place <= h->last && h->last - place < HOME_PLACES_CAP;
}

uint32_t home_place(struct home *h, const struct address *local)
{
    if (home_is_at(h, local)) {
        return h->place;
    }
    for (uint32_t place = h->last; is_known(h, place); place--) {
        if (place != h->place && address_is_same_host(&h->places[place % HOME_PLACES_CAP], local)) {
            return place;
        }
    }
    h->last++;
    h->places[h->last % HOME_PLACES_CAP] = *local;
    return h->last;
}

const struct address *home_elsewhere(const struct home *h, uint32_t place)
{
    return place != h->place && is_known(h, place) ? &h->places[place % HOME_PLACES_CAP] : NULL;
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
    h->place = home_place(h, to);
    h->announced = *to;
    h->is_proved = true;
}
