/* SPDX-License-Identifier: Apache-2.0 */
/* libre: accepted is what sip_msg_decode takes and what has the five headers. */
#include "tests/differential/judge.h"
#include <re/re.h>

static struct judge_text text_of(const struct pl *p)
{
    struct judge_text t = {p->p, p->p == NULL ? 0 : p->l};
    return t;
}

static void judge(char *text, size_t len, void (*done)(const struct judgement *))
{
    struct judgement j = {0};
    struct sip_msg *m = NULL;
    struct mbuf *mb = mbuf_alloc(len + 1);
    if (mb == NULL || mbuf_write_mem(mb, (uint8_t *)text, len) != 0) {
        exit(2);
    }
    mb->pos = 0;
    int failed = sip_msg_decode(&m, mb);
    j.is_accepted = failed == 0 && m != NULL && m->via.sentby.p != NULL && m->from.auri.p != NULL &&
                    m->to.auri.p != NULL && m->cseq.met.p != NULL && m->callid.p != NULL;
    if (j.is_accepted) {
        struct judge_text none = {0};
        j.fields[JUDGE_METHOD] = m->req ? text_of(&m->met) : none;
        j.fields[JUDGE_CALL_ID] = text_of(&m->callid);
        j.fields[JUDGE_BRANCH] = text_of(&m->via.branch);
        j.fields[JUDGE_FROM_TAG] = text_of(&m->from.tag);
        j.fields[JUDGE_TO_TAG] = text_of(&m->to.tag);
        judge_cseq(&j, m->cseq.num);
    }
    done(&j);
    mem_deref(m);
    mem_deref(mb);
}

int main(void)
{
    int failed = libre_init();
    return failed != 0 ? 2 : judge_main(judge);
}
