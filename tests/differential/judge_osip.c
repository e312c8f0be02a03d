/* SPDX-License-Identifier: Apache-2.0 */
/* libosip2: accepted is what osip_message_parse takes and what has the five headers that every
 * message must have (RFC 3261 8.1.1; Max-Forwards is tolerated to be missing). */
#include "tests/differential/judge.h"
#include <osipparser2/osip_parser.h>

static void judge(char *text, size_t len, void (*done)(const struct judgement *))
{
    struct judgement j = {0};
    osip_message_t *m = NULL;
    osip_via_t *via = NULL;
    osip_generic_param_t *branch = NULL, *from = NULL, *to = NULL;
    char *call_id = NULL;
    if (osip_message_init(&m) != 0) {
        exit(2);
    }
    int failed = osip_message_parse(m, text, len);
    (void)osip_message_get_via(m, 0, &via);
    j.is_accepted = failed == 0 && via != NULL && m->from != NULL && m->to != NULL &&
                    m->cseq != NULL && m->call_id != NULL;
    if (j.is_accepted) {
        (void)osip_via_param_get_byname(via, (char *)(uintptr_t) "branch", &branch);
        (void)osip_from_get_tag(m->from, &from);
        (void)osip_to_get_tag(m->to, &to);
        (void)osip_call_id_to_str(m->call_id, &call_id);
        j.fields[JUDGE_METHOD] = judge_text(MSG_IS_REQUEST(m) ? m->sip_method : NULL);
        j.fields[JUDGE_CALL_ID] = judge_text(call_id);
        j.fields[JUDGE_BRANCH] = judge_text(branch == NULL ? NULL : branch->gvalue);
        j.fields[JUDGE_FROM_TAG] = judge_text(from == NULL ? NULL : from->gvalue);
        j.fields[JUDGE_TO_TAG] = judge_text(to == NULL ? NULL : to->gvalue);
        judge_cseq(&j, strtoul(m->cseq->number, NULL, 10));
    }
    done(&j);
    osip_free(call_id);
    osip_message_free(m);
}

int main(void)
{
    parser_init();
    return judge_main(judge);
}
