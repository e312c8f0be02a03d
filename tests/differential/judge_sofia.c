/* SPDX-License-Identifier: Apache-2.0 */
/* sofia-sip: accepted is what msg_make reads without an error and what has the five headers. */
#include "tests/differential/judge.h"
#include <sofia-sip/msg.h>
#include <sofia-sip/msg_addr.h>
#include <sofia-sip/sip.h>
#include <sofia-sip/sip_parser.h>
#include <sofia-sip/sip_util.h>

static void judge(char *text, size_t len, void (*done)(const struct judgement *))
{
    struct judgement j = {0};
    msg_t *m = msg_make(sip_default_mclass(), 0, text, (ssize_t)len);
    sip_t *s = m == NULL ? NULL : sip_object(m);
    j.is_accepted = s != NULL && s->sip_error == NULL &&
                    (s->sip_request != NULL || s->sip_status != NULL) && s->sip_via != NULL &&
                    s->sip_from != NULL && s->sip_to != NULL && s->sip_cseq != NULL &&
                    s->sip_call_id != NULL;
    if (j.is_accepted) {
        j.fields[JUDGE_METHOD] =
            judge_text(s->sip_request == NULL ? NULL : s->sip_request->rq_method_name);
        j.fields[JUDGE_CALL_ID] = judge_text(s->sip_call_id->i_id);
        j.fields[JUDGE_BRANCH] = judge_text(s->sip_via->v_branch);
        j.fields[JUDGE_FROM_TAG] = judge_text(s->sip_from->a_tag);
        j.fields[JUDGE_TO_TAG] = judge_text(s->sip_to->a_tag);
        judge_cseq(&j, s->sip_cseq->cs_seq);
    }
    done(&j);
    msg_destroy(m);
}

int main(void)
{
    return judge_main(judge);
}
