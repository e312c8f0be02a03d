/* SPDX-License-Identifier: Apache-2.0 */
/* transcode.h - bytes -> structures -> bytes, and the JSON that the golden vectors describe them
 * by.
 *
 * transcode() decodes a named RFC structure with codec/, down to its last nested item, encodes it
 * again from the decoded fields, and tells the fields in the notation of tests/vectors/README.md.
 * Every nested list is encoded into a block of exactly its old size, so that AddressSanitizer sees
 * an encoder that writes too much.  For test_vectors.c only; hence static functions. */
#pragma once
#include "tests/vector/transcode_base.h"
#include "tests/vector/transcode_storage.h"

/* ---- topology and the rest ---- */

static inline json_t *tc_JoinReq(struct transcode *t, struct slice in)
{
    struct msgs_join_req m;
    json_t *o = json_object();
    if (!tc_refused(t, msgs_join_req_decode(in, &t->params, &m))) {
        tc_bytes(o, "joining_peer_id", ids_node_slice(&m.joining_peer_id, &t->params));
        tc_bytes(o, "overlay_specific_data", m.overlay_specific_data);
        msgs_join_req_wr(&t->w, &t->params, &m);
    }
    return o;
}

static inline json_t *tc_JoinAns(struct transcode *t, struct slice in)
{
    struct msgs_join_ans m;
    json_t *o = json_object();
    if (!tc_refused(t, msgs_join_ans_decode(in, &t->params, &m))) {
        tc_bytes(o, "overlay_specific_data", m.overlay_specific_data);
        msgs_join_ans_wr(&t->w, &t->params, &m);
    }
    return o;
}

static inline json_t *tc_LeaveReq(struct transcode *t, struct slice in)
{
    struct msgs_leave_req m;
    json_t *o = json_object();
    if (!tc_refused(t, msgs_leave_req_decode(in, &t->params, &m))) {
        tc_bytes(o, "leaving_peer_id", ids_node_slice(&m.leaving_peer_id, &t->params));
        tc_bytes(o, "overlay_specific_data", m.overlay_specific_data);
        msgs_leave_req_wr(&t->w, &t->params, &m);
    }
    return o;
}

static inline json_t *tc_empty(struct transcode *t, struct slice in)
{
    t->is_bad |= in.len != 0;
    return json_object();
}

static inline json_t *tc_ChordUpdate(struct transcode *t, struct slice in)
{
    struct msgs_chord_update m;
    json_t *o = json_object();
    if (!tc_refused(t, msgs_chord_update_decode(in, &t->params, &m))) {
        tc_int(o, "uptime", m.uptime_s);
        tc_int(o, "type", m.type);
        if (m.type != MSGS_CHORD_PEER_READY) {
            tc_set(o, "predecessors", tc_nodes(t, m.predecessors));
            tc_set(o, "successors", tc_nodes(t, m.successors));
        }
        if (m.type == MSGS_CHORD_FULL) {
            tc_set(o, "fingers", tc_nodes(t, m.fingers));
        }
        msgs_chord_update_wr(&t->w, &m);
    }
    return o;
}

static inline json_t *tc_ChordLeaveData(struct transcode *t, struct slice in)
{
    struct msgs_chord_leave m;
    json_t *o = json_object();
    if (!tc_refused(t, msgs_chord_leave_decode(in, &t->params, &m))) {
        bool is_successor = m.type == MSGS_CHORD_FROM_SUCCESSOR;
        tc_int(o, "type", m.type);
        tc_set(o, is_successor ? "successors" : "predecessors", tc_nodes(t, m.peers));
        msgs_chord_leave_wr(&t->w, &m);
    }
    return o;
}

static inline json_t *tc_RouteQueryReq(struct transcode *t, struct slice in)
{
    struct msgs_route_query_req m;
    json_t *o = json_object();
    if (!tc_refused(t, msgs_route_query_req_decode(in, &t->params, &m))) {
        tc_set(o, "send_update", json_boolean(m.send_update));
        struct wr outer = tc_open(t, m.destination.wire.len);
        tc_set(o, "destination", tc_destination(t, &m.destination));
        (void)tc_close(t, outer);
        tc_bytes(o, "overlay_specific_data", m.overlay_specific_data);
        msgs_route_query_req_wr(&t->w, &t->params, &m);
    }
    return o;
}

static inline json_t *tc_ChordRouteQueryAns(struct transcode *t, struct slice in)
{
    struct msgs_route_query_ans m;
    json_t *o = json_object();
    if (!tc_refused(t, msgs_route_query_ans_decode(in, &t->params, &m))) {
        tc_bytes(o, "next_peer", ids_node_slice(&m.next_peer, &t->params));
        msgs_route_query_ans_wr(&t->w, &t->params, &m);
    }
    return o;
}

static inline json_t *tc_ProbeReq(struct transcode *t, struct slice in)
{
    struct msgs_probe_req m;
    json_t *o = json_object();
    if (!tc_refused(t, msgs_probe_req_decode(in, &t->params, &m))) {
        json_t *list = json_array();
        for (size_t i = 0; i < m.requested_info.len; i++) {
            json_array_append_new(list, json_integer(m.requested_info.data[i]));
        }
        tc_set(o, "requested_info", list);
        msgs_probe_req_wr(&t->w, &t->params, &m);
    }
    return o;
}

static inline json_t *tc_probes(struct transcode *t, struct slice *inout)
{
    static const char *const names[] = {"", "responsible_ppb", "num_resources", "uptime"};
    json_t *list = json_array();
    struct wr outer = tc_open(t, inout->len);
    struct rd r = rd_init(*inout);
    struct msgs_probe b;
    while (msgs_probe_next(&r, &b)) {
        json_t *o = json_object();
        tc_int(o, "type", b.type);
        if (b.type < ARRAY_COUNT(names)) {
            tc_int(o, names[b.type], b.number);
        } else {
            tc_bytes(o, "unknown", b.unknown);
        }
        json_array_append_new(list, o);
        msgs_probe_wr(&t->w, &b);
    }
    tc_end(t, &r);
    *inout = tc_close(t, outer);
    return list;
}

static inline json_t *tc_ProbeInformation(struct transcode *t, struct slice in)
{
    json_t *o = tc_only(t, tc_probes(t, &in));
    wr_bytes(&t->w, in);
    return o;
}

static inline json_t *tc_ProbeAns(struct transcode *t, struct slice in)
{
    struct msgs_probe_ans m;
    json_t *o = json_object();
    if (!tc_refused(t, msgs_probe_ans_decode(in, &t->params, &m))) {
        tc_set(o, "probe_info", tc_probes(t, &m.probe_info));
        msgs_probe_ans_wr(&t->w, &t->params, &m);
    }
    return o;
}

static inline json_t *tc_PingReq(struct transcode *t, struct slice in)
{
    struct msgs_ping_req m;
    json_t *o = json_object();
    if (!tc_refused(t, msgs_ping_req_decode(in, &t->params, &m))) {
        tc_bytes(o, "padding", m.padding);
        msgs_ping_req_wr(&t->w, &t->params, &m);
    }
    return o;
}

static inline json_t *tc_PingAns(struct transcode *t, struct slice in)
{
    struct msgs_ping_ans m;
    json_t *o = json_object();
    if (!tc_refused(t, msgs_ping_ans_decode(in, &t->params, &m))) {
        tc_u64(o, "response_id", m.response_id, 16);
        tc_u64(o, "time", m.time_ms, 16);
        msgs_ping_ans_wr(&t->w, &t->params, &m);
    }
    return o;
}

static inline json_t *tc_ConfigUpdateReq(struct transcode *t, struct slice in)
{
    struct msgs_config_update m;
    json_t *o = json_object();
    if (tc_refused(t, msgs_config_update_decode(in, &m))) {
        return o;
    }
    tc_int(o, "type", m.type);
    if (m.type == MSGS_KIND) {
        json_t *list = json_array();
        struct rd r = rd_init(m.data);
        struct slice xml;
        while (msgs_kind_block_next(&r, &xml)) {
            json_array_append_new(list, tc_hex(xml));
        }
        tc_end(t, &r);
        tc_set(o, "kinds", list);
    } else {
        tc_bytes(o, m.type == MSGS_CONFIG ? "config_data" : "unknown", m.data);
    }
    msgs_config_update_wr(&t->w, &m);
    return o;
}

static inline json_t *tc_SipRegistration(struct transcode *t, struct slice in)
{
    struct kind_sip k;
    json_t *o = json_object();
    if (tc_refused(t, kind_sip_decode(in, &t->params, &k))) {
        return o;
    }
    tc_int(o, "type", k.type);
    if (k.type == KIND_SIP_URI) {
        tc_bytes(o, "uri", k.uri);
    } else if (k.type == KIND_SIP_ROUTE) {
        tc_bytes(o, "contact_prefs", k.contact_prefs);
        tc_set(o, "destination_list", tc_destinations(t, &k.destination_list));
    } else {
        tc_bytes(o, "unknown", k.unknown);
    }
    kind_sip_wr(&t->w, &k);
    return o;
}

static const struct {
    const char *type;
    json_t *(*run)(struct transcode *t, struct slice in);
} transcode_table[] = {
#define TC(type)                                                                                   \
    {                                                                                              \
#type, tc_##type                                                                           \
    }
    TC(IpAddressPort),
    TC(TurnServer),
    TC(IceExtension),
    TC(IceCandidate),
    TC(AttachReqAns),
    TC(AppAttach),
    TC(Destination),
    TC(DestinationList),
    TC(ForwardingOption),
    TC(ForwardingHeader),
    TC(FramedMessage),
    TC(MessageExtension),
    TC(MessageContents),
    TC(ErrorResponse),
    TC(UnknownKinds),
    TC(GenericCertificate),
    TC(SignerIdentity),
    TC(Signature),
    TC(SecurityBlock),
    TC(Message),
    TC(DataValue),
    TC(ArrayEntry),
    TC(DictionaryEntry),
    TC(MetaData),
    TC(ArrayEntryMeta),
    TC(DictionaryEntryMeta),
    TC(StoredData),
    TC(StoredMetaData),
    TC(StoreKindData),
    TC(FetchKindResponse),
    TC(StatKindResponse),
    TC(StoreReq),
    TC(StoreKindResponse),
    TC(StoreAns),
    TC(StoredDataSpecifier),
    TC(FetchReq),
    TC(FetchAns),
    TC(StatAns),
    TC(FindReq),
    TC(FindKindData),
    TC(FindAns),
    TC(JoinReq),
    TC(JoinAns),
    TC(LeaveReq),
    TC(ChordUpdate),
    TC(ChordLeaveData),
    TC(RouteQueryReq),
    TC(ChordRouteQueryAns),
    TC(ProbeReq),
    TC(ProbeInformation),
    TC(ProbeAns),
    TC(PingReq),
    TC(PingAns),
    TC(ConfigUpdateReq),
    TC(SipRegistration),
#undef TC
    {"StatReq", tc_FetchReq},
    {"LeaveAns", tc_empty},
    {"UpdateAns", tc_empty},
    {"ConfigUpdateAns", tc_empty},
};

/* True when transcode knows the structure. */
static inline bool transcode_has(const char *type)
{
    for (size_t i = 0; i < ARRAY_COUNT(transcode_table); i++) {
        if (strcmp(transcode_table[i].type, type) == 0) {
            return true;
        }
    }
    return false;
}

/* Decodes `in` and encodes it again into `out`, of in.len bytes.  Gives the fields, or NULL when
 * the decoder refuses; `*written` tells how many bytes the encoder made. */
static inline json_t *transcode(struct transcode *t, const char *type, struct slice in,
                                uint8_t *out, size_t *written)
{
    json_t *o = NULL;
    t->w = wr_init(out, in.len);
    t->is_bad = false;
    for (size_t i = 0; i < ARRAY_COUNT(transcode_table); i++) {
        if (strcmp(transcode_table[i].type, type) == 0) {
            o = transcode_table[i].run(t, in);
        }
    }
    *written = wr_ok(&t->w) ? wr_len(&t->w) : SIZE_MAX;
    if (t->is_bad) {
        json_decref(o);
        o = NULL;
    }
    return o;
}

static inline void transcode_fini(struct transcode *t)
{
    while (t->block_count > 0) {
        free(t->blocks[--t->block_count]);
    }
}
