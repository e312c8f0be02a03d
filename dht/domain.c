/* SPDX-License-Identifier: Apache-2.0 */
/* domain.c - see domain.h.  Every function takes the set of positions in the text where its part of
 * the pattern may begin, and gives the set of those where it may end. */
#include "dht/domain.h"

enum { WORDS = (DOMAIN_TEXT_CAP + 64) / 64, REPEAT_MAX = 255 };

struct set {
    uint64_t bits[WORDS];
};

struct walk {
    struct slice pattern, text;
    size_t at;
    unsigned depth;
    uint32_t steps;
    bool is_bad;
};

static bool has(const struct set *s, size_t i)
{
    return (s->bits[i / 64] >> (i % 64) & 1) != 0;
}

static void add(struct set *s, size_t i)
{
    s->bits[i / 64] |= UINT64_C(1) << (i % 64);
}

static struct set both(struct set a, struct set b)
{
    for (size_t i = 0; i < WORDS; i++) {
        a.bits[i] |= b.bits[i];
    }
    return a;
}

/* What is in `a` and not in `b`; *any: something is. */
static struct set without(struct set a, struct set b, bool *any)
{
    *any = false;
    for (size_t i = 0; i < WORDS; i++) {
        a.bits[i] &= ~b.bits[i];
        *any = *any || a.bits[i] != 0;
    }
    return a;
}

static struct set bad(struct walk *w)
{
    w->is_bad = true;
    w->at = w->pattern.len;
    return (struct set){0};
}

static int peek(const struct walk *w)
{
    return w->at < w->pattern.len ? w->pattern.data[w->at] : -1;
}

/* ---- one character */

static bool is_in_class(struct slice name, uint8_t c)
{
    bool is_alpha = c >= 'a' && c <= 'z', is_digit = c >= '0' && c <= '9';
    if (slice_is_equal(name, SLICE_LITERAL("digit"))) {
        return is_digit;
    }
    return slice_is_equal(name, SLICE_LITERAL("alnum")) ? is_alpha || is_digit : is_alpha;
}

static bool is_class(struct slice name)
{
    return slice_is_equal(name, SLICE_LITERAL("digit")) ||
           slice_is_equal(name, SLICE_LITERAL("alnum")) ||
           slice_is_equal(name, SLICE_LITERAL("alpha")) ||
           slice_is_equal(name, SLICE_LITERAL("lower")) ||
           slice_is_equal(name, SLICE_LITERAL("upper"));
}

/* [:name:] at w->at. */
static bool read_class(struct walk *w, struct slice *name)
{
    struct slice p = w->pattern;
    size_t i = w->at + 2;
    if (w->at + 1 >= p.len || p.data[w->at] != '[' || p.data[w->at + 1] != ':') {
        return false;
    }
    while (i + 1 < p.len && p.data[i] != ':') {
        i++;
    }
    if (i + 1 >= p.len || p.data[i + 1] != ']') {
        return false;
    }
    *name = slice_between(p, w->at + 2, i);
    w->at = i + 2;
    return is_class(*name);
}

/* Does `c` fit the bracket expression that begins at w->at, behind its '['?  Behind it after. */
static bool fits_bracket(struct walk *w, uint8_t c)
{
    bool is_not = peek(w) == '^', fits = false;
    w->at += is_not ? 1 : 0;
    for (bool is_first = true; peek(w) >= 0 && (is_first || peek(w) != ']'); is_first = false) {
        struct slice name;
        if (read_class(w, &name)) {
            fits = fits || is_in_class(name, c);
            continue;
        }
        uint8_t low = slice_lower((uint8_t)peek(w)), high = low;
        w->at++;
        if (peek(w) == '-' && w->at + 1 < w->pattern.len && w->pattern.data[w->at + 1] != ']') {
            high = slice_lower(w->pattern.data[w->at + 1]);
            w->at += 2;
        }
        w->is_bad = w->is_bad || high < low;
        fits = fits || (c >= low && c <= high);
    }
    if (peek(w) != ']') {
        w->is_bad = true;
        return false;
    }
    w->at++;
    return fits != is_not;
}

/* The character, or class, at w->at. */
static bool fits(struct walk *w, uint8_t c)
{
    int p = peek(w);
    w->at++;
    switch (p) {
    case '.':
        return true;
    case '[':
        return fits_bracket(w, c);
    case '\\':
        p = peek(w);
        w->at++;
        w->is_bad = w->is_bad || p < 0;
        break;
    default:
        break;
    }
    return p >= 0 && slice_lower((uint8_t)p) == c;
}

static struct set one_character(struct walk *w, struct set in)
{
    struct set out = {0};
    size_t from = w->at;
    (void)fits(w, 0); /* to know where it ends */
    size_t end = w->at;
    for (size_t i = 0; i < w->text.len && !w->is_bad; i++) {
        if (has(&in, i)) {
            w->at = from;
            w->steps++;
            if (fits(w, slice_lower(w->text.data[i]))) {
                add(&out, i + 1);
            }
        }
    }
    w->at = end;
    return w->is_bad || w->steps > DOMAIN_STEPS ? bad(w) : out;
}

/* ---- expressions; they nest DOMAIN_DEPTH deep */

static struct set alternatives(struct walk *w, struct set in); /* NOLINT(misc-no-recursion) */

static struct set atom(struct walk *w, struct set in) /* NOLINT(misc-no-recursion) */
{
    struct set out = {0};
    w->steps++;
    switch (peek(w)) {
    case '(':
        if (w->depth == DOMAIN_DEPTH || w->steps > DOMAIN_STEPS) {
            return bad(w);
        }
        w->at++;
        w->depth++;
        out = alternatives(w, in);
        w->depth--;
        if (peek(w) != ')') {
            return bad(w);
        }
        w->at++;
        return out;
    case '^':
    case '$': {
        size_t where = peek(w) == '^' ? 0 : w->text.len;
        w->at++;
        if (has(&in, where)) {
            add(&out, where);
        }
        return out;
    }
    case '*':
    case '+':
    case '?':
    case '{':
        return bad(w);
    default:
        return one_character(w, in);
    }
}

/* The atom at `from` as often as it goes, at least not at all. */
static struct set any_number(struct walk *w, size_t from,
                             struct set in) /* NOLINT(misc-no-recursion) */
{
    struct set all = in, fresh = in;
    bool any = true;
    while (any && !w->is_bad) {
        w->at = from;
        fresh = without(atom(w, fresh), all, &any);
        all = both(all, fresh);
    }
    return all;
}

static bool read_count(struct walk *w, unsigned *out)
{
    size_t from = w->at;
    for (*out = 0; peek(w) >= '0' && peek(w) <= '9' && *out <= REPEAT_MAX; w->at++) {
        *out = *out * 10 + (unsigned)(peek(w) - '0');
    }
    return w->at > from && *out <= REPEAT_MAX;
}

/* {m}, {m,} or {m,n} at w->at. */
static struct set counted(struct walk *w, size_t from,
                          struct set in) /* NOLINT(misc-no-recursion) */
{
    unsigned low = 0, high = 0;
    w->at++;
    bool is_read = read_count(w, &low), is_open = false;
    high = low;
    if (is_read && peek(w) == ',') {
        w->at++;
        is_open = peek(w) == '}';
        is_read = is_open || read_count(w, &high);
    }
    if (!is_read || peek(w) != '}' || high < low) {
        return bad(w);
    }
    size_t end = w->at + 1;
    for (unsigned i = 0; i < low && !w->is_bad; i++) {
        w->at = from;
        in = atom(w, in);
    }
    struct set all = is_open ? any_number(w, from, in) : in;
    for (unsigned i = low; i < high && !is_open && !w->is_bad; i++) {
        w->at = from;
        in = atom(w, in);
        all = both(all, in);
    }
    w->at = w->is_bad ? w->pattern.len : end;
    return all;
}

static struct set piece(struct walk *w, struct set in) /* NOLINT(misc-no-recursion) */
{
    size_t from = w->at;
    struct set once = atom(w, in), out = once;
    size_t end = w->at + 1;
    switch (peek(w)) {
    case '*':
        out = any_number(w, from, in);
        break;
    case '+':
        out = any_number(w, from, once);
        break;
    case '?':
        out = both(in, once);
        break;
    case '{':
        return counted(w, from, in);
    default:
        return once;
    }
    w->at = w->is_bad ? w->pattern.len : end;
    return out;
}

static struct set alternatives(struct walk *w, struct set in) /* NOLINT(misc-no-recursion) */
{
    struct set out = {0};
    for (;;) {
        struct set one = in;
        if (peek(w) < 0 || peek(w) == '|' || peek(w) == ')') {
            return bad(w); /* an empty one is nothing that POSIX defines */
        }
        while (peek(w) >= 0 && peek(w) != '|' && peek(w) != ')') {
            one = piece(w, one);
        }
        out = both(out, one);
        if (w->is_bad || peek(w) != '|') {
            return out;
        }
        w->at++;
    }
}

static bool run(struct walk *w)
{
    struct set start = {0};
    if (w->pattern.len == 0 || w->pattern.len > DOMAIN_PATTERN_CAP ||
        w->text.len > DOMAIN_TEXT_CAP) {
        w->is_bad = true;
        return false;
    }
    add(&start, 0);
    struct set end = alternatives(w, start);
    w->is_bad = w->is_bad || w->at != w->pattern.len;
    return !w->is_bad && has(&end, w->text.len);
}

bool domain_is_pattern(struct slice pattern)
{
    struct walk w = {.pattern = pattern, .text = SLICE_LITERAL("")};
    (void)run(&w);
    return !w.is_bad;
}

bool domain_is_match(struct slice pattern, struct slice domain)
{
    struct walk w = {.pattern = pattern, .text = domain};
    return run(&w);
}

bool domain_admits(const struct domain_rules *rules, struct slice user)
{
    size_t at = user.len;
    if (rules == NULL) {
        return true;
    }
    while (at > 0 && user.data[at - 1] != '@') {
        at--;
    }
    struct slice domain = slice_from(user, at);
    if (at < 2 || domain.len == 0) {
        return false;
    }
    if (!rules->is_listed) {
        return slice_is_equal_nocase(domain, rules->own);
    }
    for (size_t i = 0; i < rules->count; i++) {
        if (domain_is_match(rules->patterns[i], domain)) {
            return true;
        }
    }
    return false;
}
