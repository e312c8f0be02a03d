/* SPDX-License-Identifier: Apache-2.0 */
/* appattach.c - see appattach.h. */
#include "dht/appattach.h"

#include "codec/msgs.h"

STATIC_CHECK((int)ATTACH_POLICY_DIALS <= (int)OVERLAY_CANDIDATES_CAP);

static struct slice wr_body(const struct appattach *aa, bool is_request, uint16_t application,
                            uint8_t *out, size_t cap)
{
    uint8_t list[512];
    struct wr candidates = wr_init(list, sizeof(list));
    for (size_t i = 0; i < aa->candidate_count; i++) {
        msgs_wr_host_candidate(&candidates, &aa->candidates[i], CANDIDATE_TLS_TCP_FH_NO_ICE,
                               (uint32_t)(0x7effffff - i));
    }
    CHECK(wr_ok(&candidates));
    struct msgs_app_attach body = {.ufrag = SLICE_LITERAL("none"),
                                   .password = SLICE_LITERAL("none"),
                                   .application = application,
                                   .role = is_request ? SLICE_LITERAL("passive")
                                                      : SLICE_LITERAL("active"),
                                   .candidates = wr_slice(&candidates)};
    struct wr w = wr_init(out, cap);
    msgs_app_attach_wr(&w, aa->params, &body);
    CHECK(wr_ok(&w));
    return wr_slice(&w);
}

enum err appattach_request(struct turn *t, const struct appattach *aa,
                           const struct node_id *node_id, uint16_t application, uint64_t tag)
{
    uint8_t body[1024];
    struct transact_request request = {.owner = TRANSACT_APPATTACH,
                                       .tag = tag,
                                       .target = {.type = TRANSACT_NODE, .node = *node_id},
                                       .code = CONTENT_APP_ATTACH_REQ,
                                       .body = wr_body(aa, true, application, body, sizeof(body))};
    return transact_request(t, aa->transact, &request, NULL);
}

static void refuse(struct turn *t, const struct appattach *aa, const struct message *m,
                   uint16_t error_code)
{
    metric_add(t->metrics, METRIC_attach_refused, 1);
    transact_error(t, aa->transact, m, error_code, SLICE_EMPTY);
}

bool appattach_on_request(struct turn *t, const struct appattach *aa, const struct message *m,
                          struct overlay_event *event)
{
    struct msgs_app_attach body;
    *event = (struct overlay_event){.kind = OVERLAY_APPATTACH_DIAL, .node_id = m->signer};
    if (msgs_app_attach_decode(m->body, aa->params, &body) != ERR_OK || body.candidates.len == 0 ||
        !slice_is_equal(body.role, SLICE_LITERAL("passive"))) {
        refuse(t, aa, m, CONTENT_ERROR_INVALID_MESSAGE);
        return false;
    }
    if ((body.application != OVERLAY_APPLICATION_SIP &&
         body.application != OVERLAY_APPLICATION_SIPS) ||
        aa->candidate_count == 0) {
        refuse(t, aa, m, CONTENT_ERROR_NOT_FOUND); /* AA-2; no SIP listener: a storage-only peer */
        return false;
    }
    struct attach_policy_ours ours = {
        .candidates = aa->candidates, .candidate_count = aa->candidate_count, .trunks = true};
    struct attach_policy_dial dials[ATTACH_POLICY_DIALS];
    if (attach_policy_pick(body.candidates, &ours, dials, &event->candidate_count) != ERR_OK) {
        refuse(t, aa, m, CONTENT_ERROR_INVALID_MESSAGE);
        return false;
    }
    for (size_t i = 0; i < event->candidate_count; i++) {
        event->candidates[i] = dials[i].address;
    }
    if (event->candidate_count == 0 || !attach_policy_take(t, aa->policy, &m->signer)) {
        refuse(t, aa, m, CONTENT_ERROR_FORBIDDEN);
        return false;
    }
    event->application = body.application;
    uint8_t out[1024];
    return transact_reply(t, aa->transact, m,
                          wr_body(aa, false, body.application, out, sizeof(out))) == ERR_OK;
}
