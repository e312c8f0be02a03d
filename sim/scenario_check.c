/* SPDX-License-Identifier: Apache-2.0 */
/* What may be asked for: more than a program that one has typed by mistake into a key of a scenario
 * would bear. */
#include "sim/scenario.h"

struct bound {
    const char *key;
    uint64_t value, least, most;
};

enum { REAL_NODES_CAP = 256 };

enum err scenario_check(const struct scenario *s, const char **key, uint64_t *least, uint64_t *most)
{
    const struct bound bounds[] = {
        {"nodes", s->nodes, 1, WORLD_NODES_CAP},
        /* Keys are made one by one; an adversary reads what is made up. */
        {"crypto", s->crypto, 0, s->nodes <= REAL_NODES_CAP && s->hostile_percent == 0 ? 1 : 0},
        {"buggify", s->buggify, 0, 10000},
        {"shards", s->shards, 1, OVERLAY_SHARDS_CAP},
        {"records", s->records, 0, 10000000},
        {"disks", s->disks, 0, 1},
        {"disk_sync_ms", s->disk_sync_ms, 0, 60000},
        {"disk_lost_percent", s->disk_lost_percent, 0, s->blackout_s != 0 ? 0 : 100},
        {"blackout_s", s->blackout_s, 0, s->disks != 0 ? 86400 : 0}, /* else all is lost */
        {"move_interval_s", s->move_interval_s, 0, 86400},
        {"move_restart", s->move_restart, 0, 1},
        {"nat_percent", s->nat_percent, 0, s->ready != 0 ? 0 : 90}, /* nobody joins there */
        {"nat_kind", s->nat_kind, 1, PLACES_NATS - 1},
        {"nat_mapping_s", s->nat_mapping_s, 1, 86400},
        {"phones", s->phones, 0, WORLD_PHONES_CAP},
        {"phone_homes", s->phone_homes, 1, WORLD_PHONES_HOMES},
        {"phone_expires_s", s->phone_expires_s, 60, 7200},
        {"phone_register_s", s->phone_register_s, 0, 86400},
        {"phone_delay_ms", s->phone_delay_ms, 0, 10000},
        {"phone_loss_ppm", s->phone_loss_ppm, 0, 500000},
        {"call_every_s", s->call_every_s, 0, 86400},
        {"call_talk_s", s->call_talk_s, 0, 150},
        {"call_ring_ms", s->call_ring_ms, 0, 30000},
    };
    for (size_t i = 0; i < ARRAY_COUNT(bounds); i++) {
        if (bounds[i].value < bounds[i].least || bounds[i].value > bounds[i].most) {
            *key = bounds[i].key;
            *least = bounds[i].least;
            *most = bounds[i].most;
            return ERR_MALFORMED;
        }
    }
    return ERR_OK;
}
