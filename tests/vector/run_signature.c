/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/vector/run_signature.h"
#include "codec/content.h"
#include "codec/stored.h"
#include "link/crypto_boring.h"

#include <stdlib.h>

static bool check_names(const json_t *vector, const struct crypto_certificate *names, char *why,
                        size_t cap)
{
    const json_t *ids = json_object_get(vector, "node_ids");
    const json_t *user = json_object_get(vector, "user");
    const json_t *spki = json_object_get(vector, "spki");
    struct slice key = SLICE_EMPTY;
    char hex[IDS_NODE_TEXT_CAP];
    if (user != NULL && strcmp(names->user, run_base_text(vector, "user")) != 0) {
        return run_base_fail(why, cap, "the user is %s", names->user);
    }
    if (ids != NULL && json_array_size(ids) != names->node_id_count) {
        return run_base_fail(why, cap, "it has %u Node-IDs", names->node_id_count);
    }
    for (size_t i = 0; ids != NULL && i < names->node_id_count; i++) {
        const char *want = json_string_value(json_array_get(ids, i));
        (void)ids_hex(slice_of(names->node_ids[i], names->node_id_length), hex);
        if (want == NULL || strcmp(hex, want) != 0) {
            return run_base_fail(why, cap, "Node-ID %zu is %s", i, hex);
        }
    }
    bool is_key =
        spki == NULL || (run_base_hex(spki, &key) &&
                         slice_is_equal(key, slice_of(names->public_key, names->public_key_len)));
    run_base_free(&key);
    return is_key || run_base_fail(why, cap, "the public key is another");
}

static bool is_over_prefixed(const json_t *vector, const struct stored_data *d,
                             struct slice resource, struct slice der, struct slice alternative)
{
    static struct crypto_certificate names;
    size_t len = resource.len + d->wire.len + 20;
    uint8_t *input = malloc(len);
    struct wr w = wr_init(input, len);
    wr_u8(&w, (uint8_t)resource.len);
    stored_wr_signature_input(&w, resource,
                              (uint32_t)json_integer_value(json_object_get(vector, "kind")), d);
    struct crypto_trust trust = {.overlay_name = SLICE_LITERAL("-"), .node_id_length = 16};
    const struct crypto *c = crypto_boring();
    (void)c->certificate(der, NULL, 0, &trust, 0, &names, NULL); /* for its key alone */
    struct slice key = slice_of(names.public_key, names.public_key_len);
    enum crypto_algorithm algorithm = (enum crypto_algorithm)d->signature.algorithm;
    bool fits = c->verify(key, algorithm, wr_slice(&w), alternative) == ERR_OK;
    bool is_ours = c->verify(key, algorithm, slice_from(wr_slice(&w), 1), alternative) == ERR_OK;
    free(input);
    return fits && !is_ours;
}

/* The form of the signature input that others might read out of 7.1, with the length of the
 * resource id in front: the vector's alternative fits it, and nothing of ours does. */
static bool check_alternative(const json_t *vector, char *why, size_t cap)
{
    struct slice alternative = SLICE_EMPTY, value = SLICE_EMPTY, resource = SLICE_EMPTY;
    struct slice der = SLICE_EMPTY;
    struct stored_data d;
    enum stored_model model = STORED_SINGLE;
    if (json_object_get(vector, "alt_signature_value_if_prefixed") == NULL) {
        return true;
    }
    bool is_read = run_base_bytes(vector, "alt_signature_value_if_prefixed", &alternative) &&
                   run_base_bytes(vector, "hex", &value) &&
                   run_base_bytes(vector, "resource", &resource) &&
                   run_base_bytes(vector, "certificate", &der) && run_base_model(vector, &model) &&
                   stored_decode(value, model, &d) == ERR_OK;
    bool is_right = is_read && is_over_prefixed(vector, &d, resource, der, alternative);
    run_base_free(&alternative);
    run_base_free(&value);
    run_base_free(&resource);
    run_base_free(&der);
    return is_right ||
           run_base_fail(why, cap, "alt_signature_value_if_prefixed is not over the prefixed form");
}

static bool check_signer(const json_t *vector, const struct verify_verdict *verdict, char *why,
                         size_t cap)
{
    char hex[IDS_NODE_TEXT_CAP];
    const json_t *want = json_object_get(vector, "signer_node_id");
    (void)ids_hex(slice_of(verdict->signer.bytes, IDS_NODE_MIN), hex);
    return want == NULL || strcmp(run_base_text(vector, "signer_node_id"), hex) == 0 ||
           run_base_fail(why, cap, "the signer is %s", hex);
}

/* One DER element off the front; its contents. */
static struct slice take_element(struct rd *r, uint8_t *tag)
{
    *tag = rd_u8(r);
    size_t len = rd_u8(r);
    if (len > 0x80) {
        size_t octets = len & 0x7f;
        for (len = 0; octets > 0 && rd_ok(r); octets--) {
            len = len << 8 | rd_u8(r);
        }
    }
    return rd_bytes(r, len);
}

/* 11.3 wants an empty subject; java-reload and danpascu issue others, so we let them pass where a
 * vector says that this is a matter of taste. */
static bool has_subject(const json_t *vector)
{
    struct slice der = SLICE_EMPTY, element = SLICE_EMPTY;
    uint8_t tag = 0;
    if (!run_base_bytes(vector, "hex", &der)) {
        return false;
    }
    struct rd r = rd_init(der);
    r = rd_init(take_element(&r, &tag));       /* Certificate */
    r = rd_init(take_element(&r, &tag));       /* TBSCertificate */
    for (int i = 0; i < 6 && rd_ok(&r); i++) { /* version, serial, algorithm, issuer, validity */
        element = take_element(&r, &tag);
    }
    bool has = rd_ok(&r) && element.len > 0;
    run_base_free(&der);
    return has;
}

/* What follows from a bad signature: a message is dropped, a Store is forbidden (7.4.1.1). */
static bool check_verdict(const json_t *vector, char *why, size_t cap)
{
    const json_t *verdict = json_object_get(vector, "verdict");
    bool is_message = strcmp(run_base_text(vector, "type"), "Message") == 0;
    bool is_right = is_message ? strcmp(run_base_text(vector, "verdict"), "drop") == 0
                               : json_integer_value(json_object_get(verdict, "error")) ==
                                     CONTENT_ERROR_FORBIDDEN;
    bool is_due = !json_is_true(json_object_get(vector, "signature_valid"));
    return verdict == NULL || (is_due && is_right) ||
           run_base_fail(why, cap, "verdict: not what follows");
}

static bool compare(const json_t *vector, const struct verify_verdict *verdict, char *why,
                    size_t cap)
{
    const json_t *want =
        json_object_get(vector, verdict->is_certificate ? "valid" : "signature_valid");
    if (strcmp(run_base_text(vector, "type"), "RootCertificate") == 0) {
        return true; /* it has been learnt */
    }
    if (!json_is_boolean(want)) {
        return run_base_fail(why, cap, "it does not say whether it is valid");
    }
    if (verdict->is_valid != json_is_true(want)) {
        char text[VERIFY_WHY_CAP + 16];
        (void)snprintf(text, sizeof(text), "%s", verdict->is_valid ? "judged valid" : verdict->why);
        return verdict->is_valid && has_subject(vector) ? run_base_differs(vector, why, cap, text)
                                                        : run_base_fail(why, cap, "%s", text);
    }
    return check_verdict(vector, why, cap) && check_names(vector, &verdict->names, why, cap) &&
           check_signer(vector, verdict, why, cap) && check_alternative(vector, why, cap);
}

/* A root must be a certificate whose key we could use. */
static bool check_root(const json_t *vector, char *why, size_t cap)
{
    struct slice der;
    uint8_t key[CRYPTO_PUBLIC_KEY_CAP];
    size_t len = 0;
    enum crypto_algorithm algorithm = CRYPTO_ALGORITHM_NONE;
    bool is_good = run_base_bytes(vector, "hex", &der) &&
                   crypto_boring_certificate_key(der, key, sizeof(key), &len, &algorithm) == ERR_OK;
    run_base_free(&der);
    return is_good || run_base_fail(why, cap, "no certificate with an acceptable key");
}

bool run_signature(const json_t *vector, char *why, size_t cap)
{
    static struct verify *verify;
    static struct verify_verdict verdict;
    struct verify_terms terms;
    const char *trust = run_base_text(vector, "trust");
    bool is_own = json_is_true(json_object_get(vector, "self_signed_permitted"));
    if (strcmp(run_base_text(vector, "type"), "RootCertificate") == 0) {
        return check_root(vector, why, cap);
    }
    trust = *trust == '\0' && !is_own ? "ca" : trust;
    if (!run_base_terms(vector, trust, &terms)) {
        return run_base_fail(why, cap, "no root certificate \"%s\" in any file, or no good time",
                             trust);
    }
    if (verify == NULL) {
        verify = verify_make();
        CHECK(verify != NULL);
    }
    verify_judge(verify, vector, &terms, &verdict);
    return compare(vector, &verdict, why, cap);
}
