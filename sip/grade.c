/* SPDX-License-Identifier: Apache-2.0 */
/* grade.c - see grade.h. */
#include "sip/grade.h"

/* The values of q that were seen, as far as they count. */
struct seen {
    uint16_t q[GRADE_STEPS];
    unsigned count;
    uint16_t highest;
};

static void see(struct seen *seen, uint16_t q_milli)
{
    seen->highest = q_milli > seen->highest ? q_milli : seen->highest;
    for (unsigned i = 0; i < seen->count; i++) {
        if (seen->q[i] == q_milli) {
            return;
        }
    }
    if (seen->count < GRADE_STEPS) {
        seen->q[seen->count++] = q_milli;
    }
}

struct grade grade_of(const struct sip *s, uint32_t account, const struct asked *asked)
{
    struct seen seen = {.count = 0};
    for (unsigned i = 0; asked != NULL && i < asked->count; i++) {
        const struct asked_contact *c = &asked->list[i];
        if (c->expires_s > 0 && !c->is_forward) {
            see(&seen, c->address.q_milli);
        }
    }
    const struct registrar_binding *b = NULL;
    for (handle h = s->accounts[account].first; (b = pool_get(&s->bindings, h)) != NULL;
         h = b->next) {
        if (!b->is_forward && (asked == NULL || !asked_has(asked, b))) {
            see(&seen, b->q_milli);
        }
    }
    return seen.count == 0 ? (struct grade){GRADE_Q, 1}
                           : (struct grade){seen.highest, (uint8_t)seen.count};
}

bool grade_is_plain(const struct grade *g)
{
    return g->q_milli == GRADE_Q && g->steps == 1;
}

void grade_write(struct sip_writer *w, const struct grade *g)
{
    if (grade_is_plain(g)) {
        return;
    }
    const char digits[] = {(char)('0' + g->q_milli / 1000 % 10), '.',
                           (char)('0' + g->q_milli / 100 % 10), (char)('0' + g->q_milli / 10 % 10),
                           (char)('0' + g->q_milli % 10)};
    sip_write_text(w, ";q=");
    sip_write_slice(w, slice_of(digits, sizeof(digits)));
    if (g->steps > 1) {
        sip_write_text(w, ";steps=");
        sip_write_u32(w, g->steps);
    }
}

struct grade grade_read(struct slice contact_prefs)
{
    struct grade g = {GRADE_Q, 1};
    struct sip_lex_param p;
    size_t at = contact_prefs.len;
    while (at > 0 && contact_prefs.data[at - 1] != ')') {
        at--;
    }
    struct slice rest = at == 0 ? SLICE_EMPTY : slice_from(contact_prefs, at);
    while (rest.len > 0 && sip_lex_param(&rest, &p) == ERR_OK) {
        uint16_t q = 0;
        uint32_t steps = 0;
        if (sip_lex_is_word(p.name, SLICE_LITERAL("q"))) {
            g.q_milli = sip_hdr_q_decode(p.value, &q) ? q : g.q_milli;
        } else if (sip_lex_is_word(p.name, SLICE_LITERAL("steps"))) {
            bool is_sound = sip_lex_u32(p.value, GRADE_STEPS, &steps) == ERR_OK && steps > 0;
            g.steps = is_sound ? (uint8_t)steps : g.steps;
        }
    }
    return g;
}
