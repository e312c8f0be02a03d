/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/keystore.h"
#include "cmd/config.h"
#include "cmd/files.h"
#include "link/crypto_boring.h"
#include <stdio.h>
#include <stdlib.h>

#define REISSUE "issue a new one with `chordial ca issue`"

struct header {
    char user[CRYPTO_USER_CAP + 1];
    char node_id[IDS_NODE_TEXT_CAP];
    char digest[16];
    char ha1_md5[33];
    char ha1_sha256[65];
};

/* ---- reading
 * ------------------------------------------------------------------------------------- */

static struct slice trim(struct slice s)
{
    while (s.len > 0 && (s.data[0] == ' ' || s.data[0] == '\t')) {
        s = slice_from(s, 1);
    }
    while (s.len > 0 && (s.data[s.len - 1] == ' ' || s.data[s.len - 1] == '\r')) {
        s.len--;
    }
    return s;
}

/* One "name: value" line. */
static enum err take_line(struct slice line, struct header *h)
{
    const struct {
        const char *name;
        char *to;
        size_t cap;
    } rows[] = {{"user", h->user, sizeof(h->user)},
                {"node-id", h->node_id, sizeof(h->node_id)},
                {"digest", h->digest, sizeof(h->digest)},
                {"ha1-md5", h->ha1_md5, sizeof(h->ha1_md5)},
                {"ha1-sha256", h->ha1_sha256, sizeof(h->ha1_sha256)}};
    const uint8_t *colon = memchr(line.data, ':', line.len);
    if (colon == NULL) {
        return ERR_MALFORMED;
    }
    struct slice name = slice_of(line.data, (size_t)(colon - line.data));
    struct slice value = trim(slice_from(line, name.len + 1));
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        if (!slice_is_equal(name, slice_text(rows[i].name))) {
            continue;
        }
        if (value.len == 0 || value.len >= rows[i].cap || rows[i].to[0] != '\0' ||
            memchr(value.data, 0, value.len) != NULL) {
            return ERR_MALFORMED;
        }
        memcpy(rows[i].to, value.data, value.len);
        return ERR_OK;
    }
    return ERR_NOT_FOUND;
}

/* All lines before the first PEM block. */
static enum err read_header(struct slice text, const char *name, struct header *h, char *why)
{
    memset(h, 0, sizeof(*h));
    for (unsigned number = 1; text.len > 0; number++) {
        const uint8_t *end = memchr(text.data, '\n', text.len);
        struct slice line = slice_of(text.data, end == NULL ? text.len : (size_t)(end - text.data));
        text = slice_from(text, line.len + 1);
        line = trim(line);
        if (line.len >= 5 && memcmp(line.data, "-----", 5) == 0) {
            break;
        }
        enum err e = line.len == 0 || line.data[0] == '#' ? ERR_OK : take_line(line, h);
        if (e != ERR_OK) {
            return say_why(why, ERR_MALFORMED, "%s: %s:%u: " REISSUE,
                           e == ERR_NOT_FOUND ? "unknown line in a keystore"
                                              : "malformed line in a keystore",
                           name, number);
        }
    }
    if (h->user[0] == '\0' || h->node_id[0] == '\0') {
        return say_why(why, ERR_MALFORMED, "no %s line: %s: " REISSUE,
                       h->user[0] == '\0' ? "user:" : "node-id:", name);
    }
    return ERR_OK;
}

static bool is_hex(const char *text, size_t len)
{
    return strlen(text) == len && strspn(text, "0123456789abcdef") == len;
}

static enum err take_digest(const struct header *h, const char *name, struct keystore *out,
                            char *why)
{
    bool has_md5 = h->ha1_md5[0] != '\0';
    bool has_sha256 = h->ha1_sha256[0] != '\0';
    if ((has_md5 && !is_hex(h->ha1_md5, 32)) || (has_sha256 && !is_hex(h->ha1_sha256, 64))) {
        return say_why(why, ERR_MALFORMED, "an HA1 is not lower-case hex: %s: " REISSUE, name);
    }
    out->has_digest = h->digest[0] != '\0';
    if (out->has_digest && config_digest(h->digest, &out->digest) != ERR_OK) {
        return say_why(why, ERR_MALFORMED,
                       "digest is neither \"sha-256 md5\" nor \"md5\": %s: correct it", name);
    }
    memcpy(out->ha1_md5, h->ha1_md5, sizeof(out->ha1_md5));
    memcpy(out->ha1_sha256, h->ha1_sha256, sizeof(out->ha1_sha256));
    return ERR_OK;
}

/* ---- the credential
 * ------------------------------------------------------------------------------ */

enum err keystore_certificate(struct slice text, size_t index, struct slice *out)
{
    size_t len = 0;
    uint8_t *der = malloc(CRYPTO_BORING_CERTIFICATE_CAP);
    if (der == NULL) {
        return ERR_NO_MEMORY;
    }
    enum err e = crypto_boring_pem_decode(text, "CERTIFICATE", index, der,
                                          CRYPTO_BORING_CERTIFICATE_CAP, &len);
    if (e != ERR_OK) {
        free(der);
        return e;
    }
    uint8_t *fitting = realloc(der, len);
    *out = slice_of(fitting == NULL ? der : fitting, len);
    return ERR_OK;
}

static enum err read_credential(struct slice text, const char *name, struct keystore *out,
                                char *why)
{
    enum err e = keystore_certificate(text, 0, &out->ident.certificate);
    if (e != ERR_OK) {
        return say_why(why, ERR_MALFORMED, "no certificate in PEM: %s: " REISSUE, name);
    }
    while (out->intermediate_count < KEYSTORE_INTERMEDIATES_CAP &&
           keystore_certificate(text, out->intermediate_count + 1,
                                &out->intermediates[out->intermediate_count]) == ERR_OK) {
        out->intermediate_count++;
    }
    e = crypto_boring_key_load(text, &out->key);
    if (e != ERR_OK) {
        return say_why(why, ERR_MALFORMED, "no usable private key in PEM: %s: " REISSUE, name);
    }
    return ERR_OK;
}

/* The certificate against its key, its time, the overlay and the header. */
static enum err judge(const struct header *h, const char *name, const struct keystore_rules *rules,
                      struct keystore *out, char *why)
{
    struct crypto_certificate c;
    struct rl_params params = {.node_id_length = rules->trust->node_id_length};
    const char *reason = "";
    uint8_t public_key[CRYPTO_PUBLIC_KEY_CAP];
    char node_id[IDS_NODE_TEXT_CAP];
    size_t len = 0;
    enum err e = rules->crypto->certificate(out->ident.certificate, out->intermediates,
                                            out->intermediate_count, rules->trust, rules->at_ms, &c,
                                            &reason);
    if (e != ERR_OK) {
        return say_why(why, e, "certificate refused for overlay %.*s: %s: %s (" REISSUE ")",
                       (int)rules->trust->overlay_name.len,
                       (const char *)rules->trust->overlay_name.data, name,
                       reason == NULL || *reason == '\0' ? err_text(e) : reason);
    }
    if (rules->at_ms >= c.not_after_ms) {
        return say_why(why, ERR_EXPIRED, "the certificate has expired: %s: " REISSUE, name);
    }
    if (rules->at_ms < c.not_before_ms) {
        return say_why(why, ERR_EXPIRED,
                       "the certificate is not valid yet: %s: is the clock right?", name);
    }
    if (crypto_boring_key_public(out->key, public_key, sizeof(public_key), &len) != ERR_OK ||
        !slice_is_equal(slice_of(public_key, len), slice_of(c.public_key, c.public_key_len))) {
        return say_why(why, ERR_BAD_CERTIFICATE,
                       "the certificate is not that of the private key: %s: " REISSUE, name);
    }
    if (c.node_id_count != 1) {
        return say_why(why, ERR_BAD_CERTIFICATE,
                       "the certificate does not carry exactly one Node-ID: %s: " REISSUE, name);
    }
    memcpy(out->ident.node_id.bytes, c.node_ids[0], IDS_NODE_MAX);
    ids_node_text(&out->ident.node_id, &params, node_id);
    if (strcasecmp(node_id, h->node_id) != 0) {
        return say_why(why, ERR_BAD_CERTIFICATE,
                       "node-id says %s, the certificate %s: %s: " REISSUE, h->node_id, node_id,
                       name);
    }
    if (strcmp(c.user, h->user) != 0) {
        return say_why(why, ERR_BAD_CERTIFICATE,
                       "user says %s, the certificate another: %s: " REISSUE, h->user, name);
    }
    memcpy(out->ident.user, c.user, sizeof(out->ident.user));
    out->ident.user_len = c.user_len;
    out->ident.not_before_ms = c.not_before_ms;
    out->ident.not_after_ms = c.not_after_ms;
    return ERR_OK;
}

enum err keystore_parse(struct slice text, const char *name, const struct keystore_rules *rules,
                        struct keystore *out, char *why)
{
    struct header h;
    memset(out, 0, sizeof(*out));
    enum err e = read_header(text, name, &h, why);
    if (e == ERR_OK) {
        e = take_digest(&h, name, out, why);
    }
    if (e == ERR_OK) {
        e = read_credential(text, name, out, why);
    }
    if (e == ERR_OK) {
        e = judge(&h, name, rules, out, why);
    }
    if (e != ERR_OK) {
        keystore_free(out);
        return e;
    }
    struct ident *ident = &out->ident;
    ident->key = out->key;
    ident->algorithm = rules->crypto->key_algorithm(out->key);
    ident->intermediates = out->intermediates;
    ident->intermediate_count = out->intermediate_count;
    rules->crypto->sha256(ident->certificate, ident->certificate_sha256);
    return ERR_OK;
}

enum err keystore_load(const char *path, const struct keystore_rules *rules, struct keystore *out,
                       char *why)
{
    struct slice text;
    mode_t mode = 0;
    memset(out, 0, sizeof(*out));
    enum err e = files_read(path, &text, &mode);
    if (e != ERR_OK) {
        return say_why(why, e, "cannot read a keystore: %s: %s", path,
                       e == ERR_TOO_LARGE ? err_text(e) : say_errno());
    }
    if ((mode & 077) != 0) {
        e = say_why(why, ERR_FORBIDDEN,
                    "a private key that others can read (mode %04o): %s: chmod 600 it",
                    (unsigned)mode, path);
    } else {
        e = keystore_parse(text, path, rules, out, why);
    }
    files_release(&text);
    return e;
}

void keystore_free(struct keystore *k)
{
    files_release(&k->ident.certificate);
    for (size_t i = 0; i < k->intermediate_count; i++) {
        files_release(&k->intermediates[i]);
    }
    crypto_boring_key_free(k->key);
    memset(k, 0, sizeof(*k));
}

/* ---- writing
 * ------------------------------------------------------------------------------------- */

static void wr_line(struct wr *w, const char *name, const char *value)
{
    wr_bytes(w, slice_text(name));
    wr_bytes(w, SLICE_LITERAL(": "));
    wr_bytes(w, slice_text(value));
    wr_bytes(w, SLICE_LITERAL("\n"));
}

enum err keystore_write(const struct keystore_fields *f, uint8_t *out, size_t cap, size_t *len)
{
    char node_id[IDS_NODE_TEXT_CAP];
    size_t pem_len = 0;
    struct wr w = wr_init(out, cap);
    *len = 0;
    CHECK(f->node_id.len <= IDS_NODE_MAX);
    wr_line(&w, "user", f->user);
    wr_line(&w, "node-id", ids_hex(f->node_id, node_id));
    if (f->digest != NULL) {
        wr_line(&w, "digest", f->digest);
        wr_line(&w, "ha1-md5", f->ha1_md5);
        wr_line(&w, "ha1-sha256", f->ha1_sha256);
    }
    size_t at = wr_len(&w);
    enum err e =
        crypto_boring_pem_encode(f->certificate, "CERTIFICATE", out + at, cap - at, &pem_len);
    wr_claim(&w, pem_len);
    if (e == ERR_OK) {
        at = wr_len(&w);
        e = crypto_boring_key_pem(f->key, out + at, cap - at, &pem_len);
        wr_claim(&w, pem_len);
    }
    if (e == ERR_OK && !wr_ok(&w)) {
        e = ERR_TOO_LARGE;
    }
    *len = e == ERR_OK ? wr_len(&w) : 0;
    return e;
}
