/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/sip_parser.h"
#include "tests/differential/judge.h"

static struct judge_text text_of(struct slice s, bool is_there)
{
    struct judge_text t = {is_there ? s.data : NULL, is_there ? s.len : 0};
    return t;
}

static void judge(char *text, size_t len, void (*done)(const struct judgement *))
{
    static struct sip_parser p;
    struct sip_msg_core core;
    struct sip_fault fault;
    struct judgement j = {0};
    sip_parser_init(&p, false);
    enum sip_parse parsed = sip_parser_datagram(&p, slice_of((uint8_t *)text, len));
    if (p.event != SIP_EVENT_MESSAGE) {
        j.why = "keep-alive";
        done(&j);
        return;
    }
    enum err e = sip_msg_check(&p.msg, &core, &fault);
    j.is_accepted = parsed == SIP_PARSE_OK && e != ERR_MALFORMED; /* 416 is a sound message */
    j.why = j.is_accepted ? NULL : parsed != SIP_PARSE_OK ? p.fault.why : fault.why;
    j.fields[JUDGE_METHOD] = text_of(p.msg.method_text, p.msg.is_request);
    j.fields[JUDGE_CALL_ID] = text_of(core.call_id, core.has_call_id);
    j.fields[JUDGE_BRANCH] = text_of(core.via.branch, core.has_via && core.via.has_branch);
    j.fields[JUDGE_FROM_TAG] = text_of(core.from.tag, core.from.has_tag);
    j.fields[JUDGE_TO_TAG] = text_of(core.to.tag, core.to.has_tag);
    if (core.has_cseq) {
        judge_cseq(&j, core.cseq.number);
    }
    done(&j);
}

int main(void)
{
    return judge_main(judge);
}
