/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/sim_phones.h"
#include <stdio.h>

static json_t *milliseconds(const struct spread *s)
{
    if (s->count == 0) {
        return json_pack("{s:n, s:n, s:n}", "p50", "p95", "p99");
    }
    return json_pack("{s:f, s:f, s:f}", "p50", (double)spread_at(s, 500) / 1e3, "p95",
                     (double)spread_at(s, 950) / 1e3, "p99", (double)spread_at(s, 990) / 1e3);
}

static json_t *failed_by(const struct phones_counts *c)
{
    json_t *out = json_object();
    for (uint32_t i = 0; i < PHONES_STATUSES && c->failed_by[i].status != 0; i++) {
        char text[8];
        (void)snprintf(text, sizeof(text), "%u", c->failed_by[i].status);
        json_object_set_new(out, text, json_integer(c->failed_by[i].count));
    }
    return out;
}

static void add(json_t *out, const char *name, uint32_t count)
{
    json_object_set_new(out, name, json_integer(count));
}

void sim_phones_json(json_t *all, const struct phones_counts *c, uint32_t phones)
{
    json_t *calls = json_object();
    add(calls, "placed", c->placed);
    add(calls, "completed", c->completed);
    add(calls, "answered", c->answered);
    add(calls, "cut_off", c->cut_off);
    add(calls, "failed", c->failed);
    json_object_set_new(calls, "failed_by", failed_by(c));
    add(calls, "unreached", c->unreached);
    json_object_set_new(calls, "setup_ms", milliseconds(&c->setup_us));
    json_object_set_new(calls, "post_dial_ms", milliseconds(&c->post_dial_us));
    add(calls, "asked_when_quiet", c->asked);
    add(calls, "answered_when_quiet", c->asked_ok);
    json_object_set_new(all, "calls", calls);
    if (phones > 0) {
        json_t *registrations = json_object();
        add(registrations, "phones", phones);
        add(registrations, "sent", c->registrations);
        add(registrations, "ok", c->registrations_ok);
        add(registrations, "failed", c->registrations_failed);
        add(registrations, "moved", c->moved);
        add(registrations, "missing_when_quiet", c->unregistered);
        json_object_set_new(registrations, "took_ms", milliseconds(&c->register_us));
        json_object_set_new(all, "registrations", registrations);
    }
}

static void print_spread(const char *name, const struct spread *s)
{
    (void)printf("; %s p50 %.1f p95 %.1f p99 %.1f ms", name, (double)spread_at(s, 500) / 1e3,
                 (double)spread_at(s, 950) / 1e3, (double)spread_at(s, 990) / 1e3);
}

void sim_phones_print(const struct phones_counts *c, uint32_t phones)
{
    (void)printf("%-16s %u phones: %u sent, %u ok, %u failed, %u went to another node",
                 "registrations", phones, c->registrations, c->registrations_ok,
                 c->registrations_failed, c->moved);
    print_spread("took", &c->register_us);
    (void)printf("\n%-16s %u placed, %u answered, %u completed, %u cut off, %u failed (%u though "
                 "both were there)",
                 "calls", c->placed, c->answered, c->completed, c->cut_off, c->failed,
                 c->unreached);
    print_spread("setup", &c->setup_us);
    print_spread("post-dial", &c->post_dial_us);
    (void)printf("\n%-16s%s", "calls failed by", c->failed_by[0].status == 0 ? " none" : "");
    for (uint32_t i = 0; i < PHONES_STATUSES && c->failed_by[i].status != 0; i++) {
        (void)printf(" %u: %u", c->failed_by[i].status, c->failed_by[i].count);
    }
    (void)printf("\n%-16s %u of %u phones answer, %u are not registered\n", "when quiet",
                 c->asked_ok, c->asked, c->unregistered);
}
