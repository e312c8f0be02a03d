/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/vector/run_vector.h"
#include "tests/vector/run_ack.h"
#include "tests/vector/run_chord.h"
#include "tests/vector/run_config.h"
#include "tests/vector/run_digest.h"
#include "tests/vector/run_fragment.h"
#include "tests/vector/run_receive.h"
#include "tests/vector/run_signature.h"
#include "tests/vector/run_structure.h"

static bool has(const json_t *vector, const char *key)
{
    return json_object_get(vector, key) != NULL;
}

static bool is(const json_t *vector, const char *type)
{
    return strcmp(run_base_text(vector, "type"), type) == 0;
}

/* Messages and values may be described twice: their bytes, and their signature. */
static bool run_wire(const json_t *vector, char *why, size_t cap)
{
    bool is_signed = has(vector, "signature_valid");
    if ((has(vector, "fields") || !is_signed) && !run_structure(vector, why, cap)) {
        return false;
    }
    if (has(vector, "data_value") && !run_digest(vector, why, cap)) {
        return false;
    }
    return !is_signed || run_signature(vector, why, cap);
}

bool run_vector(const json_t *vector, char *why, size_t cap)
{
    const char *type = run_base_text(vector, "type");
    if (is(vector, "Certificate") || is(vector, "RootCertificate")) {
        return run_signature(vector, why, cap);
    }
    if (is(vector, "AckSequence")) {
        return run_ack(vector, why, cap);
    }
    if (is(vector, "Receive")) {
        return run_receive(vector, why, cap);
    }
    if (is(vector, "Fragments")) {
        return run_fragment(vector, why, cap);
    }
    if (run_config_knows(type)) {
        return run_config(vector, why, cap);
    }
    if (run_chord_knows(type)) {
        return run_chord(vector, why, cap);
    }
    if (has(vector, "hex") && run_structure_knows(type)) {
        return run_wire(vector, why, cap);
    }
    return run_base_fail(why, cap, "unknown format: type \"%.60s\"", type);
}
