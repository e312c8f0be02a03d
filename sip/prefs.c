/* SPDX-License-Identifier: Apache-2.0 */
/* prefs.c - see prefs.h.
 *
 * A feature parameter is a name and a list of values, of which one has to fit one of the other
 * side's: "INVITE,BYE" (tokens, case does not matter), "!BYE" (any other), "<text>" (exactly that),
 * "#4", "#>=4", "#1:7" (numbers).  No value is TRUE (RFC 3840 9). */
#include "sip/prefs.h"

enum { TERMS = 24, VALUES = 32, LEAVES = 48, NUMBER_MAX = 1000000000 };

static const struct slice base_tags[] = {
    SLICE_LITERAL("actor"),    SLICE_LITERAL("application"), SLICE_LITERAL("audio"),
    SLICE_LITERAL("automata"), SLICE_LITERAL("class"),       SLICE_LITERAL("control"),
    SLICE_LITERAL("data"),     SLICE_LITERAL("description"), SLICE_LITERAL("duplex"),
    SLICE_LITERAL("events"),   SLICE_LITERAL("extensions"),  SLICE_LITERAL("isfocus"),
    SLICE_LITERAL("language"), SLICE_LITERAL("methods"),     SLICE_LITERAL("mobility"),
    SLICE_LITERAL("priority"), SLICE_LITERAL("schemes"),     SLICE_LITERAL("text"),
    SLICE_LITERAL("type"),     SLICE_LITERAL("video"),
};

/* The name without its plus, where it is a feature tag at all (7.2.3). */
static bool feature_of(struct slice name, struct slice *tag)
{
    if (name.len > 1 && name.data[0] == '+') {
        *tag = slice_from(name, 1);
        return true;
    }
    *tag = name;
    for (size_t i = 0; i < ARRAY_COUNT(base_tags); i++) {
        if (name.len == base_tags[i].len && slice_is_equal_nocase(name, base_tags[i])) {
            return true;
        }
    }
    return false;
}

static struct slice value_of(const struct sip_lex_param *p)
{
    return p->has_value ? p->value : SLICE_LITERAL("TRUE");
}

/* ---- values */

static bool cut(struct slice *rest, uint8_t at, struct slice *item)
{
    if (rest->data == NULL) {
        return false;
    }
    size_t i = 0;
    while (i < rest->len && rest->data[i] != at) {
        i++;
    }
    *item = sip_lex_trim(slice_sub(*rest, 0, i));
    *rest = i == rest->len ? SLICE_EMPTY : slice_from(*rest, i + 1);
    return true;
}

/* A number with its sign, in thousandths; fractions beyond are cut. */
static bool read_number(struct slice s, int64_t *out)
{
    int64_t n = 0, scale = 0;
    size_t i = 0;
    bool is_minus = s.len > 0 && s.data[0] == '-';
    i += is_minus || (s.len > 0 && s.data[0] == '+') ? 1 : 0;
    if (i == s.len) {
        return false;
    }
    for (; i < s.len; i++) {
        if (s.data[i] == '.' && scale == 0) {
            scale = 1;
        } else if (s.data[i] < '0' || s.data[i] > '9' || n > NUMBER_MAX) {
            return false;
        } else if (scale < 1000) {
            n = n * 10 + (s.data[i] - '0');
            scale *= 10;
        }
    }
    for (scale = scale == 0 ? 1 : scale; scale < 1000; scale *= 10) {
        n *= 10;
    }
    *out = is_minus ? -n : n;
    return true;
}

struct span {
    int64_t low, high;
};

/* "#4", "#=4", "#>=4", "#<=4", "#1:7" */
static bool read_span(struct slice s, struct span *out)
{
    struct slice low = SLICE_EMPTY, rest = s;
    if (s.len < 2 || s.data[0] != '#') {
        return false;
    }
    *out = (struct span){INT64_MIN, INT64_MAX};
    rest = slice_from(s, 1);
    if (rest.len > 2 && rest.data[1] == '=' && (rest.data[0] == '>' || rest.data[0] == '<')) {
        return read_number(slice_from(rest, 2), rest.data[0] == '>' ? &out->low : &out->high);
    }
    if (rest.data[0] == '=') {
        rest = slice_from(rest, 1);
    }
    (void)cut(&rest, ':', &low);
    if (!read_number(low, &out->low)) {
        return false;
    }
    out->high = out->low;
    return rest.data == NULL || read_number(rest, &out->high);
}

static bool is_value_match(struct slice a, struct slice b)
{
    struct span x, y;
    bool not_a = a.len > 1 && a.data[0] == '!', not_b = b.len > 1 && b.data[0] == '!';
    a = not_a ? slice_from(a, 1) : a;
    b = not_b ? slice_from(b, 1) : b;
    bool is_same = false;
    if (read_span(a, &x) && read_span(b, &y)) {
        is_same = x.low <= y.high && y.low <= x.high;
    } else if (a.len > 0 && a.data[0] == '<') {
        is_same = slice_is_equal(a, b);
    } else {
        is_same = slice_is_equal_nocase(a, b);
    }
    return not_a && not_b ? true : not_a || not_b ? !is_same : is_same;
}

/* Does any value of one list fit one of the other?  Lists that are longer than anybody's fit. */
static bool is_list_match(struct slice a, struct slice b)
{
    struct slice x, y;
    for (unsigned i = 0; cut(&a, ',', &x); i++) {
        struct slice rest = b;
        for (unsigned k = 0; cut(&rest, ',', &y); k++) {
            if (i == VALUES || k == VALUES || is_value_match(x, y)) {
                return true;
            }
        }
    }
    return false;
}

/* ---- predicates of a request */

/* The items of a header that are heeded: all are read again for each contact, or for each term of a
 * record, and who sends them decides how many and how long they are. */
struct items {
    struct sip_msg_items it;
    unsigned count;
    size_t bytes;
};

static struct items items_of(const struct sip_msg *m, enum sip_hdr_id id)
{
    return (struct items){.it = sip_msg_items(m, id)};
}

static bool next_item(struct items *items, struct slice *item)
{
    if (items->count == PREFS_ITEMS || sip_msg_items_next(&items->it, item) != ERR_OK ||
        item->len > PREFS_BYTES - items->bytes) {
        return false;
    }
    items->count++;
    items->bytes += item->len;
    return true;
}

struct judged {
    unsigned terms, present;
    bool is_match;
    bool is_require, is_explicit;
};

static bool find_feature(struct slice params, struct slice tag, struct sip_lex_param *out)
{
    struct slice rest = params, name;
    for (unsigned i = 0; i < 2 * TERMS && sip_lex_param(&rest, out) == ERR_OK; i++) {
        if (feature_of(out->name, &name) && slice_is_equal_nocase(name, tag)) {
            return true;
        }
    }
    return false;
}

/* One item of Accept-Contact or Reject-Contact, "*;audio;require", against a contact. */
static struct judged judge_item(struct slice item, struct slice params)
{
    struct judged j = {.is_match = true};
    struct sip_lex_param p, own;
    struct slice tag, rest = item;
    size_t i = 0;
    while (i < item.len && item.data[i] != ';') {
        i++;
    }
    rest = slice_from(item, i);
    while (j.terms < TERMS && sip_lex_param(&rest, &p) == ERR_OK) {
        if (!feature_of(p.name, &tag)) {
            j.is_require = j.is_require || slice_is_equal_nocase(p.name, SLICE_LITERAL("require"));
            j.is_explicit =
                j.is_explicit || slice_is_equal_nocase(p.name, SLICE_LITERAL("explicit"));
            continue;
        }
        j.terms++;
        if (find_feature(params, tag, &own)) {
            j.present++;
            j.is_match = j.is_match && is_list_match(value_of(&p), value_of(&own));
        }
    }
    return j;
}

static bool has_feature(struct slice params)
{
    struct sip_lex_param p;
    struct slice tag;
    while (sip_lex_param(&params, &p) == ERR_OK) {
        if (feature_of(p.name, &tag)) {
            return true;
        }
    }
    return false;
}

static bool is_rejected(const struct sip_msg *m, struct slice params)
{
    struct slice item;
    struct items items = items_of(m, SIP_HDR_REJECT_CONTACT);
    while (next_item(&items, &item)) {
        struct judged j = judge_item(item, params);
        if (j.terms > 0 && j.present == j.terms && j.is_match) {
            return true;
        }
    }
    return false;
}

/* 7.2.2: a device that lists its methods, or events, has the one that is asked for. */
static enum prefs_verdict judge_implicit(const struct sip_msg *m, struct slice params)
{
    struct sip_lex_param p;
    struct sip_hdr_event event;
    if (find_feature(params, SLICE_LITERAL("methods"), &p) &&
        !is_list_match(m->method_text, value_of(&p))) {
        return PREFS_DROP_IMPLICIT;
    }
    if (m->method == SIP_METHOD_SUBSCRIBE && find_feature(params, SLICE_LITERAL("events"), &p) &&
        sip_hdr_event_decode(sip_msg_first(m, SIP_HDR_EVENT), &event) == ERR_OK &&
        !is_list_match(event.package, value_of(&p))) {
        return PREFS_DROP_IMPLICIT;
    }
    return PREFS_KEEP;
}

enum prefs_verdict prefs_judge(const struct sip_msg *m, struct slice params, uint16_t *rank)
{
    struct slice item;
    uint32_t sum = 0, matching = 0;
    *rank = PREFS_FULL;
    if (params.len == 0 || !has_feature(params)) {
        return PREFS_KEEP; /* immune (7.2.3) */
    }
    if (!sip_msg_has(m, SIP_HDR_ACCEPT_CONTACT) && !sip_msg_has(m, SIP_HDR_REJECT_CONTACT)) {
        return judge_implicit(m, params);
    }
    if (is_rejected(m, params)) {
        return PREFS_DROP;
    }
    struct items items = items_of(m, SIP_HDR_ACCEPT_CONTACT);
    while (next_item(&items, &item)) {
        struct judged j = judge_item(item, params);
        if (j.terms == 0) {
            continue;
        }
        bool is_short = j.present < j.terms && j.is_explicit; /* figure 1 */
        if (j.is_require && (!j.is_match || is_short)) {
            return PREFS_DROP;
        }
        if (j.is_match) {
            matching++;
            sum += is_short ? 0 : PREFS_FULL * j.present / j.terms;
        }
    }
    *rank = (uint16_t)(matching == 0 ? 0 : sum / matching);
    return PREFS_KEEP;
}

bool prefs_is_no_fork(const struct sip_msg *m)
{
    return sip_msg_has_option(m, SIP_HDR_REQUEST_DISPOSITION, SLICE_LITERAL("no-fork"));
}

/* ---- contact_prefs: (& f f), (| f f), (! f), (tag=value), (tag<=n), (tag>=n) */

struct walk {
    struct slice required[PREFS_ITEMS]; /* parameters of what Accept-Contact requires */
    unsigned required_count;
    unsigned leaves;
    struct slice text;
    size_t at;
    bool is_bad;
};

/* Does a device with this tag and value meet what the request requires of the tag? */
static bool is_leaf_possible(const struct walk *w, struct slice tag, struct slice value)
{
    if (slice_is_equal_nocase(tag, SLICE_LITERAL("schemes"))) {
        return is_list_match(value, SLICE_LITERAL("sip")); /* all that we offer (RFC 7904 5.1) */
    }
    for (unsigned i = 0; i < w->required_count; i++) {
        struct sip_lex_param p;
        if (find_feature(w->required[i], tag, &p) && !is_list_match(value_of(&p), value)) {
            return false;
        }
    }
    return true;
}

static void note_required(struct walk *w, const struct sip_msg *m)
{
    struct slice item;
    struct items items = items_of(m, SIP_HDR_ACCEPT_CONTACT);
    while (next_item(&items, &item)) {
        size_t k = 0;
        while (k < item.len && item.data[k] != ';') {
            k++;
        }
        if (judge_item(item, SLICE_EMPTY).is_require) {
            w->required[w->required_count++] = slice_from(item, k);
        }
    }
}

static bool bad(struct walk *w)
{
    w->is_bad = true;
    return true;
}

static void skip_space(struct walk *w)
{
    while (w->at < w->text.len && sip_lex_is_space(w->text.data[w->at])) {
        w->at++;
    }
}

static bool take(struct walk *w, uint8_t c)
{
    skip_space(w);
    if (w->at < w->text.len && w->text.data[w->at] == c) {
        w->at++;
        return true;
    }
    return false;
}

/* "tag=value)": the opening parenthesis is behind us. */
static bool walk_leaf(struct walk *w)
{
    char number[64];
    size_t from = w->at, op = 0;
    while (w->at < w->text.len && w->text.data[w->at] != ')') {
        uint8_t c = w->text.data[w->at];
        op = op == 0 && (c == '=' || c == '<' || c == '>') ? w->at : op;
        w->at++;
    }
    if (op == 0 || op <= from || w->at >= w->text.len || w->leaves++ == LEAVES) {
        return bad(w);
    }
    struct slice tag = sip_lex_trim(slice_sub(w->text, from, op - from));
    struct slice value = sip_lex_trim(slice_sub(w->text, op, w->at - op));
    w->at++;
    if (tag.len > 4 && slice_is_equal_nocase(slice_sub(tag, 0, 4), SLICE_LITERAL("sip."))) {
        tag = slice_from(tag, 4);
    }
    int64_t ignored = 0;
    if (value.data[0] == '=') {
        value = sip_lex_trim(slice_from(value, 1));
        if (!read_number(value, &ignored)) {
            return is_leaf_possible(w, tag, value);
        }
    }
    if (value.len + 1 > sizeof(number)) {
        return true;
    }
    number[0] = '#';
    memcpy(number + 1, value.data, value.len);
    return is_leaf_possible(w, tag, slice_of(number, value.len + 1));
}

/* One filter, with its parentheses. */
static bool walk_filter(struct walk *w, unsigned depth) /* NOLINT(misc-no-recursion): PREFS_DEPTH */
{
    if (depth == PREFS_DEPTH || !take(w, '(')) {
        return bad(w);
    }
    skip_space(w);
    uint8_t op = w->at < w->text.len ? w->text.data[w->at] : 0;
    if (op != '&' && op != '|' && op != '!') {
        return walk_leaf(w);
    }
    w->at++;
    bool all = true, any = false;
    while (!take(w, ')')) {
        bool is_possible = walk_filter(w, depth + 1);
        if (w->is_bad) {
            return true;
        }
        all = all && is_possible;
        any = any || is_possible;
    }
    return op == '&' ? all : op == '|' ? any : true; /* what is not so may be anything else */
}

bool prefs_is_possible(const struct sip_msg *m, struct slice predicate)
{
    struct walk w = {.text = predicate};
    if (predicate.len == 0 || predicate.len > PREFS_PREDICATE_CAP) {
        return true;
    }
    note_required(&w, m);
    bool is_possible = walk_filter(&w, 0);
    return w.is_bad || is_possible;
}

/* ---- of a registration */

size_t prefs_keep(struct slice params, char *out, size_t cap)
{
    struct sip_lex_param p;
    size_t len = 0;
    while (sip_lex_param(&params, &p) == ERR_OK) {
        struct sip_writer w;
        struct slice text;
        struct slice tag;
        if (!feature_of(p.name, &tag) && !slice_is_equal_nocase(p.name, SLICE_LITERAL("reg-id"))) {
            continue;
        }
        sip_write_init(&w, (uint8_t *)out + len, cap - len);
        sip_write_text(&w, ";");
        sip_write_slice(&w, p.name);
        if (p.has_value) {
            sip_write_text(&w, p.is_quoted ? "=\"" : "=");
            sip_write_slice(&w, p.value);
            sip_write_text(&w, p.is_quoted ? "\"" : "");
        }
        if (sip_write_finish(&w, &text) == ERR_OK && sip_write_is_line(text)) {
            len += text.len;
        }
    }
    return len;
}

static bool is_for_predicate(struct slice value)
{
    for (size_t i = 0; i < value.len; i++) {
        if (value.data[i] == '(' || value.data[i] == ')' || value.data[i] < ' ') {
            return false;
        }
    }
    return value.len > 0;
}

static bool is_base(struct slice name)
{
    struct slice tag;
    return name.data[0] != '+' && feature_of(name, &tag);
}

static void write_tag(struct sip_writer *w, const char *prefix, struct slice tag, const char *op)
{
    sip_write_text(w, prefix);
    sip_write_slice(w, tag);
    sip_write_text(w, op);
}

/* "4", "=4", ">=4" or "1:7" become (n=4), (n>=4), (&(n>=1)(n<=7)). */
static void write_numbers(struct sip_writer *w, struct slice text, const char *prefix,
                          struct slice tag)
{
    struct slice low, high = text;
    bool has_op = text.data[0] == '=' || text.data[0] == '<' || text.data[0] == '>';
    (void)cut(&high, ':', &low);
    bool is_range = high.data != NULL;
    sip_write_text(w, is_range ? "(&(" : "(");
    write_tag(w, prefix, tag, is_range ? ">=" : has_op ? "" : "=");
    sip_write_slice(w, low);
    if (is_range) {
        sip_write_text(w, ")(");
        write_tag(w, prefix, tag, "<=");
        sip_write_slice(w, high);
        sip_write_text(w, ")");
    }
    sip_write_text(w, ")");
}

/* (sip.methods=INVITE), (|(sip.methods=INVITE)(sip.methods=BYE)), (foo>=4) */
static void write_term(struct sip_writer *w, const struct sip_lex_param *p, struct slice tag)
{
    struct slice item, rest = value_of(p);
    bool is_many = false;
    for (size_t i = 0; i < rest.len; i++) {
        is_many = is_many || rest.data[i] == ',';
    }
    sip_write_text(w, is_many ? "(|" : "");
    while (cut(&rest, ',', &item)) {
        bool is_not = item.len > 1 && item.data[0] == '!';
        item = is_not ? slice_from(item, 1) : item;
        struct span span;
        if (read_span(item, &span)) {
            write_numbers(w, slice_from(item, 1), is_base(p->name) ? "sip." : "", tag);
            continue;
        }
        sip_write_text(w, is_not ? "(!(" : "(");
        write_tag(w, is_base(p->name) ? "sip." : "", tag, "=");
        sip_write_slice(w, item);
        sip_write_text(w, is_not ? "))" : ")");
    }
    sip_write_text(w, is_many ? ")" : "");
}

bool prefs_write(struct sip_writer *w, struct slice params)
{
    struct sip_lex_param p;
    struct slice tag;
    unsigned terms = 0;
    sip_write_text(w, "(&");
    while (sip_lex_param(&params, &p) == ERR_OK) {
        if (!feature_of(p.name, &tag) || !is_for_predicate(value_of(&p)) ||
            slice_is_equal_nocase(tag, SLICE_LITERAL("sip.instance"))) {
            continue;
        }
        write_term(w, &p, tag);
        terms++;
    }
    sip_write_text(w, ")");
    return terms > 0 && w->error == ERR_OK;
}
