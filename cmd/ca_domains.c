/* SPDX-License-Identifier: Apache-2.0 */
/* ca_domains.c - see ca_domains.h. */
#include "cmd/ca_domains.h"
#include "cmd/say.h"
#include <string.h>

/* What goes into XML as it stands, in any encoding. */
static bool is_plain(const char *text)
{
    size_t len = strlen(text);
    for (size_t i = 0; i < len; i++) {
        if (text[i] < ' ' || text[i] > '~') {
            return false;
        }
    }
    return len > 0 && len <= DOMAIN_PATTERN_CAP;
}

bool ca_domains_read(const struct options_texts *texts, struct ca_domains *out)
{
    *out = (struct ca_domains){.is_given = texts->count > 0};
    if (texts->count == 1 && strcmp(texts->texts[0], "any") == 0) {
        out->is_any = true;
        return true;
    }
    if (texts->count == 1 && strcmp(texts->texts[0], "own") == 0) {
        return true;
    }
    if (texts->count > DOMAIN_PATTERNS) {
        say_error("too many: --aor-domain: a document takes %d patterns", DOMAIN_PATTERNS);
        return false;
    }
    out->is_listed = texts->count > 0;
    for (size_t i = 0; i < texts->count; i++) {
        const char *text = texts->texts[i];
        if (strcmp(text, "any") == 0 || strcmp(text, "own") == 0) {
            say_error("not together: --aor-domain %s: `any` and `own` stand alone", text);
            return false;
        }
        if (!is_plain(text) || !domain_is_pattern(slice_text(text))) {
            say_error("not a pattern: --aor-domain %s: any, own, or an extended regular expression "
                      "of at most %d characters, as in 'voice\\.example'",
                      text, DOMAIN_PATTERN_CAP);
            return false;
        }
        out->patterns[out->count++] = slice_text(text);
    }
    return true;
}

const struct domain_rules *ca_domains_choose(const struct ca_domains *given,
                                             const struct domain_rules *before,
                                             struct domain_rules *room)
{
    if (!given->is_given) {
        return before;
    }
    if (given->is_any) {
        return NULL;
    }
    *room = (struct domain_rules){.is_listed = given->is_listed, .count = given->count};
    for (size_t i = 0; i < given->count; i++) {
        room->patterns[i] = given->patterns[i];
    }
    return room;
}
