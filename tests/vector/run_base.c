/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/vector/run_base.h"
#include "codec/ids.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ID_CAP = 32 };

static struct {
    char id[ID_CAP];
    struct slice der;
} roots[VERIFY_ROOTS_CAP];
static size_t root_count;
static uint64_t latest_ms;
static unsigned differences;

bool run_base_fail(char *why, size_t cap, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(why, cap, format, args);
    va_end(args);
    return false;
}

const char *run_base_text(const json_t *o, const char *key)
{
    const char *text = json_string_value(json_object_get(o, key));
    return text == NULL ? "" : text;
}

bool run_base_hex(const json_t *hex, struct slice *out)
{
    size_t digits = json_string_length(hex), len = 0;
    *out = SLICE_EMPTY;
    if (!json_is_string(hex)) {
        return false;
    }
    uint8_t *bytes = malloc(digits / 2 == 0 ? 1 : digits / 2);
    CHECK(bytes != NULL);
    if (ids_unhex(slice_of(json_string_value(hex), digits), bytes, digits / 2, &len) != ERR_OK) {
        free(bytes);
        return false;
    }
    *out = slice_of(bytes, len);
    return true;
}

bool run_base_bytes(const json_t *o, const char *key, struct slice *out)
{
    return run_base_hex(json_object_get(o, key), out);
}

void run_base_free(struct slice *bytes)
{
    free((void *)(uintptr_t)bytes->data);
    *bytes = SLICE_EMPTY;
}

bool run_base_node(const char *hex, struct node_id *out)
{
    size_t len = 0;
    memset(out, 0, sizeof(*out));
    return hex != NULL &&
           ids_unhex(slice_text(hex), out->bytes, sizeof(out->bytes), &len) == ERR_OK &&
           len == IDS_RING_BYTES;
}

bool run_base_model(const json_t *vector, enum stored_model *out)
{
    const json_t *name = json_object_get(vector, "data_model");
    *out = STORED_SINGLE;
    return name == NULL || json_is_null(name) ||
           (json_is_string(name) && stored_model_named(slice_text(json_string_value(name)), out));
}

bool run_base_is_must(const json_t *vector)
{
    const char *strength = run_base_text(vector, "strength");
    return strcmp(strength, "should") != 0 && strcmp(strength, "advisory") != 0;
}

bool run_base_differs(const json_t *vector, char *why, size_t cap, const char *text)
{
    if (run_base_is_must(vector)) {
        return run_base_fail(why, cap, "%s", text);
    }
    differences++;
    return true;
}

unsigned run_base_differences(void)
{
    return differences;
}

static void learn_root(const json_t *vector)
{
    struct slice der;
    const char *id = run_base_text(vector, "id");
    if (strlen(id) >= ID_CAP || !run_base_bytes(vector, "hex", &der)) {
        return;
    }
    for (size_t i = 0; i < root_count; i++) {
        if (strcmp(roots[i].id, id) == 0 && slice_is_equal(roots[i].der, der)) {
            run_base_free(&der);
            return;
        }
    }
    if (root_count == VERIFY_ROOTS_CAP) {
        run_base_free(&der);
        return;
    }
    memcpy(roots[root_count].id, id, strlen(id) + 1);
    roots[root_count++].der = der;
}

void run_base_learn(const json_t *vector)
{
    uint64_t at_ms = 0;
    if (strcmp(run_base_text(vector, "type"), "RootCertificate") == 0) {
        learn_root(vector);
    }
    if (strcmp(run_base_text(vector, "type"), "Certificate") == 0 &&
        verify_time(run_base_text(vector, "at"), &at_ms)) {
        latest_ms = max_u64(latest_ms, at_ms);
    }
}

bool run_base_terms(const json_t *vector, const char *trust, struct verify_terms *out)
{
    memset(out, 0, sizeof(*out));
    if (json_is_string(json_object_get(vector, "at"))) {
        if (!verify_time(run_base_text(vector, "at"), &out->at_ms)) {
            return false;
        }
    } else {
        out->at_ms = latest_ms;
    }
    for (size_t i = 0; i < root_count; i++) {
        if (strcmp(roots[i].id, trust) == 0) {
            out->roots[out->root_count++] = roots[i].der;
        }
    }
    return *trust == '\0' || out->root_count > 0;
}

int run_base_each(const char *path, void (*use)(void *ctx, const json_t *vector, int line),
                  void *ctx, char *why, size_t cap)
{
    char *line = NULL;
    size_t line_cap = 0;
    ssize_t len = 0;
    int count = 0;
    FILE *f = fopen(path, "r");
    if (f == NULL) {
        (void)run_base_fail(why, cap, "%s: %s", path, strerrordesc_np(errno));
        return -1;
    }
    while (count >= 0 && (len = getline(&line, &line_cap, f)) >= 0) {
        json_error_t error;
        json_t *vector = json_loadb(line, (size_t)len, 0, &error);
        count++;
        use(ctx, json_is_object(vector) ? vector : NULL, count);
        json_decref(vector);
    }
    if (ferror(f) != 0) {
        (void)run_base_fail(why, cap, "%s: %s", path, strerrordesc_np(errno));
        count = -1;
    }
    free(line);
    (void)fclose(f);
    return count;
}
