/* SPDX-License-Identifier: Apache-2.0 */
/* test_fragment_vectors.c - dht/frag against tests/vectors/fragment.jsonl (RFC 6940 6.7), and the
 * runner against vectors that are wrong.  Run from the top of the tree. */
#include "tests/vector/run_fragment.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

enum { LINE_CAP = 1 << 17, WHY_CAP = 200 };

static char why[WHY_CAP];

static json_t *next(FILE *f)
{
    static char line[LINE_CAP];
    if (fgets(line, sizeof(line), f) == NULL) {
        return NULL;
    }
    json_t *v = json_loads(line, 0, NULL);
    cr_assert_not_null(v);
    return v;
}

static FILE *vectors(void)
{
    FILE *f = fopen("tests/vectors/fragment.jsonl", "r");
    cr_assert_not_null(f, "run me from the top of the tree");
    return f;
}

Test(fragment_vectors, all)
{
    FILE *f = vectors();
    json_t *v = NULL;
    unsigned count = 0;
    while ((v = next(f)) != NULL) {
        cr_expect(run_fragment(v, why, sizeof(why)), "%s: %s",
                  json_string_value(json_object_get(v, "name")), why);
        json_decref(v);
        count++;
    }
    (void)fclose(f);
    cr_assert_eq(count, 36);
}

static bool is_complete(const json_t *v)
{
    return strcmp(json_string_value(json_object_get(v, "expect")), "complete") == 0;
}

/* What a vector says, turned round: each such line must be reported. */
Test(fragment_vectors, a_changed_vector_is_reported)
{
    FILE *f = vectors();
    json_t *v = NULL;
    while ((v = next(f)) != NULL) {
        const char *name = json_string_value(json_object_get(v, "name"));
        json_t *changed = json_deep_copy(v);
        if (is_complete(v)) {
            json_object_set_new(changed, "expect", json_string("incomplete"));
        } else {
            json_object_set_new(changed, "expect", json_string("complete"));
            json_object_set_new(changed, "message", json_string("00"));
        }
        cr_expect_not(run_fragment(changed, why, sizeof(why)), "%s: expect", name);
        json_decref(changed);
        changed = json_deep_copy(v);
        json_object_set_new(changed, "overlay_name", json_string("another.example.org"));
        cr_expect_eq(run_fragment(changed, why, sizeof(why)), !is_complete(v), "%s: overlay", name);
        json_decref(changed);
        json_decref(v);
    }
    (void)fclose(f);
}

/* The last digit of the message, of each fragment's payload; a fragment left out. */
Test(fragment_vectors, a_changed_byte_is_reported)
{
    FILE *f = vectors();
    json_t *v = NULL;
    while ((v = next(f)) != NULL) {
        const char *name = json_string_value(json_object_get(v, "name"));
        const json_t *fragments = json_object_get(v, "fragments");
        for (size_t i = 0; is_complete(v) && i <= json_array_size(fragments); i++) {
            json_t *changed = json_deep_copy(v);
            json_t *list = json_object_get(changed, "fragments");
            const char *old =
                json_string_value(i < json_array_size(list) ? json_array_get(list, i)
                                                            : json_object_get(changed, "message"));
            char *text = strdup(old);
            char *digit = &text[strlen(text) - 1];
            *digit = *digit == '0' ? '1' : '0';
            if (i < json_array_size(list)) {
                json_array_set_new(list, i, json_string(text));
            } else {
                json_object_set_new(changed, "message", json_string(text));
            }
            cr_expect_not(run_fragment(changed, why, sizeof(why)), "%s: %zu", name, i);
            free(text);
            json_decref(changed);
        }
        json_decref(v);
    }
    (void)fclose(f);
}
