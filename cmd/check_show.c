/* SPDX-License-Identifier: Apache-2.0 */
/* check_show.c - see check_show.h. */
#include "cmd/check_show.h"
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>

enum { BUDGET_LINES = 64, SOON_MS = 14 * 24 * 3600 * 1000 };

static const char *ack_text(const struct setup *s)
{
    switch (s->config.storage_ack) {
    case OVERLAY_ACK_MEMORY:
        return "memory";
    case OVERLAY_ACK_REPLICA:
        return "replica";
    case OVERLAY_ACK_DISK:
        break;
    }
    return "disk";
}

static void print_storage(const struct setup *s)
{
    const struct config *c = &s->config;
    (void)printf("storage       acknowledged when in: %s; ", ack_text(s));
    if (c->data_dir[0] == '\0') {
        (void)printf("no data-dir: nothing outlives the process\n");
        return;
    }
    (void)printf("kept in %s, at most %" PRIu64 " MiB\n", c->data_dir,
                 config_data_bytes(c, s->shards) >> 20);
}

static void port_range(uint16_t first, uint32_t count, char *out, size_t cap)
{
    if (count == 1) {
        (void)snprintf(out, cap, "%u", first);
    } else {
        (void)snprintf(out, cap, "%u-%u", first, first + count - 1);
    }
}

static void firewall(const struct setup *s, char *out, size_t cap)
{
    char a[16];
    char b[16];
    port_range(s->config.overlay.port, s->shards, a, sizeof(a));
    port_range(s->config.overlay_sip_port, s->shards, b, sizeof(b));
    char tcp[80];
    char udp[48] = "";
    bool has_sip = s->config.sip.family != 0;
    uint16_t ports[CONFIG_PHONE_PORTS];
    int used = snprintf(tcp, sizeof(tcp), "%s, %s", a, b);
    config_phone_ports(&s->config, ports);
    for (size_t i = 0; has_sip && i < CONFIG_PHONE_PORTS; i++) {
        if (ports[i] != 0 && used > 0 && (size_t)used < sizeof(tcp)) {
            used += snprintf(tcp + used, sizeof(tcp) - (size_t)used, ", %u", ports[i]);
        }
    }
    if (s->doc.config.links != OVERLAY_LINKS_TRUNK && has_sip) {
        (void)snprintf(udp, sizeof(udp), "'{ %s, %u }'", a, s->config.sip.port);
    } else if (s->doc.config.links != OVERLAY_LINKS_TRUNK) {
        (void)snprintf(udp, sizeof(udp), "%s", a);
    } else if (has_sip) {
        (void)snprintf(udp, sizeof(udp), "%u", s->config.sip.port);
    }
    int len = snprintf(out, cap, "nft add rule inet filter input tcp dport '{ %s }' accept", tcp);
    if (udp[0] != '\0' && len > 0 && (size_t)len < cap) {
        (void)snprintf(out + len, cap - (size_t)len,
                       "; nft add rule inet filter input udp dport %s accept", udp);
    }
}

static uint64_t earliest_expiry_ms(const struct setup *s)
{
    uint64_t first = UINT64_MAX;
    for (size_t i = 0; i < s->peer_count; i++) {
        first = min_u64(first, s->peers[i].ident.not_after_ms);
    }
    for (size_t i = 0; i < s->account_count; i++) {
        first = min_u64(first, s->accounts[i].ident.not_after_ms);
    }
    return first;
}

void check_show_limits(const struct setup *s)
{
    struct limits_line lines[BUDGET_LINES];
    size_t count = 0;
    limits_budget(&s->config.limits, lines, BUDGET_LINES, &count);
    (void)printf("\n%-28s %10s  %-9s %s\n", "limit", "value", "MiB/shard", "what");
    for (unsigned i = 0; i < LIMIT_COUNT; i++) {
        const char *name = limits_name((enum limit)i);
        char mib[24] = "";
        for (size_t j = 0; j < min_size(count, BUDGET_LINES); j++) {
            if (strcmp(lines[j].name, name) == 0) {
                (void)snprintf(mib, sizeof(mib), "%.1f", (double)lines[j].bytes / 1048576);
            }
        }
        (void)printf("%-28s %10u  %-9s %s\n", name, limits_get(&s->config.limits, (enum limit)i),
                     mib, limits_help((enum limit)i));
    }
}

/* Kinds of the document that this node does without, and why. */
static void print_kinds(const struct setup *s)
{
    (void)printf("Kinds         %zu of the document taken over\n", s->doc.config.kind_count);
    for (size_t i = 0; i < s->doc.kind_count; i++) {
        const struct overlay_doc_kind *k = &s->doc.kinds[i];
        if (k->refusal != NULL && k->name.len > 0) {
            (void)printf("              not %.*s: %s\n", (int)k->name.len,
                         (const char *)k->name.data, k->refusal);
        } else if (k->refusal != NULL) {
            (void)printf("              not %u: %s\n", k->id, k->refusal);
        }
    }
}

static void print_phones(const struct setup *s)
{
    const struct config *c = &s->config;
    const char *heading = "phones at     ";
    char text[ADDRESS_TEXT_CAP];
    char line[200];
    struct address at;
    const char *by;
    for (unsigned i = 0; config_next_phone_address(c, &i, &at, &by);) {
        (void)printf("%s%s, %s\n", heading, address_text(&at, text), by);
        heading = "              ";
    }
    if (sip_cert_is_wanted(c)) {
        sip_cert_names(&s->sip_cert, line, sizeof(line));
        (void)printf("              their certificate is for %s, and ends in %" PRIu64 " days\n",
                     line, (s->sip_cert.names.not_after_ms - s->at_ms) / 86400000);
    }
    if (sip_cert_is_wanted(c) && !s->sip_cert.is_for_domain) {
        (void)printf("              WARNING: it does not name %s (RFC 5922 7.1): phones that look "
                     "for it will not connect\n",
                     s->doc.config.name);
    }
    if (c->sip.family != 0 && c->foreign) {
        (void)printf("              may call other domains, by UDP, TCP%s\n",
                     c->foreign_ca[0] == '\0' ? "; no TLS without foreign-ca" : " and TLS");
    }
    if (c->sip_ws_port != 0 || c->sip_wss_port != 0) {
        (void)printf("              browsers from %s\n",
                     c->sip_ws_origins[0] == '\0' ? "any site" : c->sip_ws_origins);
    }
}

void check_show_text(const struct setup *s, bool with_limits)
{
    char text[ADDRESS_TEXT_CAP];
    char line[256];
    size_t count = 0;
    uint64_t budget = limits_budget(&s->config.limits, NULL, 0, &count);
    uint64_t left_ms = earliest_expiry_ms(s) - s->at_ms;
    firewall(s, line, sizeof(line));
    (void)printf("overlay       %s, sequence %u, signature good\n", s->doc.config.name,
                 s->doc.config.sequence);
    print_kinds(s);
    (void)printf("shards        %u of %zu credentials, host %s\n", s->shards, s->peer_count,
                 s->peers[0].ident.user);
    (void)printf("accounts      %zu\n", s->account_count);
    (void)printf("overlay at    %s, advertised as ", address_text(&s->config.overlay, text));
    (void)printf("%s\n", address_text(&s->config.overlay_advertise, text));
    if (s->config.sip.family != 0) {
        print_phones(s);
    } else {
        (void)printf("phones at     nowhere: a storage-only peer\n");
    }
    print_storage(s);
    (void)printf("certificates  good, the first ends in %" PRIu64 " days%s\n", left_ms / 86400000,
                 left_ms < SOON_MS ? ": RENEW" : "");
    (void)printf("memory        %.0f MiB at most: %.1f MiB for each of %u shards\n",
                 (double)(budget * s->shards) / 1048576, (double)budget / 1048576, s->shards);
    (void)printf("ports         free\n");
    (void)printf("firewall      %s\n", line);
    if (with_limits) {
        check_show_limits(s);
    }
}

/* ---- as JSON */

/* Consumes `value`. */
static void put(json_t *all, const char *key, json_t *value)
{
    CHECK(json_object_set_new(all, key, value) == 0); /* jansson has no memory */
}

static json_t *json_kinds_refused(const struct setup *s)
{
    json_t *all = json_array();
    for (size_t i = 0; i < s->doc.kind_count; i++) {
        const struct overlay_doc_kind *k = &s->doc.kinds[i];
        if (k->refusal != NULL) {
            json_array_append_new(all,
                                  json_pack("{s:I, s:s%, s:s}", "id", (json_int_t)k->id, "name",
                                            k->name.len > 0 ? (const char *)k->name.data : "",
                                            k->name.len, "why", k->refusal));
        }
    }
    return all;
}

static json_t *json_phones_at(const struct config *c)
{
    char text[ADDRESS_TEXT_CAP];
    struct address at;
    const char *by;
    json_t *all = json_array();
    for (unsigned i = 0; config_next_phone_address(c, &i, &at, &by);) {
        json_array_append_new(
            all, json_pack("{s:s, s:s}", "address", address_text(&at, text), "by", by));
    }
    return all;
}

static json_t *json_phones_certificate(const struct setup *s)
{
    const struct crypto_sip *names = &s->sip_cert.names;
    if (!sip_cert_is_wanted(&s->config)) {
        return json_null();
    }
    json_t *all = json_array();
    for (size_t at = 0; at < names->names_len; at += strlen(names->names + at) + 1) {
        json_array_append_new(all, json_string(names->names + at));
    }
    return json_pack("{s:o, s:I, s:b}", "names", all, "not_after_ms",
                     (json_int_t)names->not_after_ms, "is_for_domain", s->sip_cert.is_for_domain);
}

static json_t *json_node_ids(const struct setup *s)
{
    const struct rl_params params = {.node_id_length = s->doc.config.node_id_length};
    json_t *all = json_array();
    for (uint32_t i = 0; i < s->shards; i++) {
        char id[IDS_NODE_TEXT_CAP];
        json_array_append_new(all,
                              json_string(ids_node_text(&s->peers[i].ident.node_id, &params, id)));
    }
    return all;
}

static json_t *json_limits(const struct setup *s)
{
    json_t *all = json_object();
    for (unsigned i = 0; i < LIMIT_COUNT; i++) {
        put(all, limits_name((enum limit)i),
            json_integer(limits_get(&s->config.limits, (enum limit)i)));
    }
    return all;
}

static void put_phones(json_t *all, const struct setup *s)
{
    const struct config *c = &s->config;
    put(all, "phones_at", json_phones_at(c));
    put(all, "phones_certificate", json_phones_certificate(s));
    put(all, "foreign_domains", json_boolean(c->foreign));
    put(all, "foreign_tls", json_boolean(c->foreign && c->foreign_ca[0] != '\0'));
    put(all, "sip_ws_origins", json_string(c->sip_ws_origins));
}

void check_show_json(const struct setup *s, bool with_limits)
{
    const struct config *c = &s->config;
    char line[256];
    char text[ADDRESS_TEXT_CAP];
    size_t count = 0;
    uint64_t budget = limits_budget(&c->limits, NULL, 0, &count);
    bool has_data = c->data_dir[0] != '\0';
    json_t *all = json_object();
    firewall(s, line, sizeof(line));
    put(all, "ok", json_true());
    put(all, "overlay", json_string(s->doc.config.name));
    put(all, "sequence", json_integer((json_int_t)s->doc.config.sequence));
    put(all, "kinds", json_integer((json_int_t)s->doc.config.kind_count));
    put(all, "kinds_refused", json_kinds_refused(s));
    put(all, "shards", json_integer((json_int_t)s->shards));
    put(all, "credentials", json_integer((json_int_t)s->peer_count));
    put(all, "host", json_string(s->peers[0].ident.user));
    put(all, "node_ids", json_node_ids(s));
    put(all, "accounts", json_integer((json_int_t)s->account_count));
    put(all, "overlay_at", json_string(address_text(&c->overlay, text)));
    put(all, "overlay_advertised", json_string(address_text(&c->overlay_advertise, text)));
    put_phones(all, s);
    put(all, "storage_ack", json_string(ack_text(s)));
    put(all, "data_dir", has_data ? json_string(c->data_dir) : json_null());
    put(all, "data_max_bytes",
        json_integer((json_int_t)(has_data ? config_data_bytes(c, s->shards) : 0)));
    put(all, "certificate_not_after_ms", json_integer((json_int_t)earliest_expiry_ms(s)));
    put(all, "memory_bytes", json_integer((json_int_t)(budget * s->shards)));
    put(all, "memory_per_shard_bytes", json_integer((json_int_t)budget));
    put(all, "firewall", json_string(line));
    if (with_limits) {
        put(all, "limits", json_limits(s));
    }
    json_dumpf(all, stdout, JSON_COMPACT);
    (void)putchar('\n');
    json_decref(all);
}
