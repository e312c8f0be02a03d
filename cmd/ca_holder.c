/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/ca_holder.h"

#include <stdlib.h>

struct slice ca_holder_der(const struct ca_holder *h)
{
    return slice_of(h->der, h->der_len);
}

void ca_holder_free(struct ca_holder *h)
{
    crypto_boring_key_free(h->key);
    free(h->der);
    *h = (struct ca_holder){0};
}

/* ---- certificates ---- */

enum err ca_holder_certify(struct ca_holder *h, struct crypto_issue *what,
                           enum crypto_algorithm algorithm, const struct ca_holder *issuer)
{
    uint8_t public_key[CRYPTO_PUBLIC_KEY_CAP];
    size_t len = 0;
    h->der = malloc(CRYPTO_BORING_CERTIFICATE_CAP);
    enum err e = h->der == NULL ? ERR_NO_MEMORY : ERR_OK;
    if (e == ERR_OK && h->key == NULL) {
        e = crypto_boring_key_make(algorithm, &h->key);
    }
    if (e == ERR_OK) {
        e = crypto_boring_key_public(h->key, public_key, sizeof(public_key), &len);
    }
    if (e != ERR_OK) {
        return e;
    }
    what->public_key = slice_of(public_key, len);
    what->issuer_key = issuer == NULL ? h->key : issuer->key;
    what->issuer_certificate = issuer == NULL ? SLICE_EMPTY : ca_holder_der(issuer);
    e = crypto_issue_certificate(what, h->der, CRYPTO_BORING_CERTIFICATE_CAP, &h->der_len);
    what->public_key = SLICE_EMPTY; /* it was on our stack */
    return e;
}

enum err ca_holder_certify_member(struct ca_holder *h, struct crypto_issue *what,
                                  enum crypto_algorithm algorithm, const struct ca_holder *root)
{
    what->node_ids = (const uint8_t(*)[20]) & h->node_id;
    what->node_id_count = 1;
    what->node_id_length = IDS_NODE_MIN;
    return ca_holder_certify(h, what, algorithm, root);
}

/* ---- files ---- */

static enum err read_file(const char *dir, const char *name, struct slice *out, char *why)
{
    char path[FILES_PATH_CAP];
    enum err e = files_join(dir, name, path);
    if (e == ERR_OK) {
        e = files_read(path, out, NULL);
    }
    return e == ERR_OK ? e
                       : say_why(why, e,
                                 "cannot read: %s/%s: %s; is this a folder of "
                                 "`chordial ca init`?",
                                 dir, name, say_errno());
}

enum err ca_holder_load_root(const char *dir, struct ca_holder *root, char *why)
{
    struct slice text = SLICE_EMPTY;
    enum err e = read_file(dir, "root.key", &text, why);
    if (e != ERR_OK) {
        return e;
    }
    e = crypto_boring_key_load(text, &root->key);
    files_release(&text);
    if (e != ERR_OK) {
        return say_why(why, e, "not a private key: %s/root.key: restore it from a backup", dir);
    }
    e = read_file(dir, "root.crt", &text, why);
    if (e != ERR_OK) {
        return e;
    }
    root->der = malloc(CRYPTO_BORING_CERTIFICATE_CAP);
    e = root->der == NULL ? ERR_NO_MEMORY
                          : crypto_boring_pem_decode(text, "CERTIFICATE", 0, root->der,
                                                     CRYPTO_BORING_CERTIFICATE_CAP, &root->der_len);
    files_release(&text);
    return e == ERR_OK
               ? e
               : say_why(why, e, "not a certificate: %s/root.crt: restore it from a backup", dir);
}

enum err ca_holder_write(const struct ca_holder_file *f, struct slice bytes, char *why)
{
    char path[FILES_PATH_CAP];
    enum err e = files_join(f->dir, f->name, path);
    if (e == ERR_OK) {
        e = files_write(path, bytes, f->mode, f->may_replace);
    }
    return e == ERR_OK ? e
                       : say_why(why, e, "cannot write: %s/%s: %s", f->dir, f->name,
                                 e == ERR_EXISTS ? "it exists already, and nothing is overwritten"
                                                 : say_errno());
}

enum err ca_holder_write_keystore(const struct ca_holder_file *f, struct keystore_fields *fields,
                                  const struct ca_holder *h, char *why)
{
    uint8_t *text = malloc(KEYSTORE_TEXT_CAP);
    size_t len = 0;
    fields->node_id = slice_of(h->node_id, IDS_NODE_MIN);
    fields->certificate = ca_holder_der(h);
    fields->key = h->key;
    enum err e =
        text == NULL ? ERR_NO_MEMORY : keystore_write(fields, text, KEYSTORE_TEXT_CAP, &len);
    e = e == ERR_OK ? ca_holder_write(f, slice_of(text, len), why)
                    : say_why(why, e, "cannot make a keystore: %s: %s", f->name, err_text(e));
    if (text != NULL) {
        explicit_bzero(text, len);
    }
    free(text);
    return e;
}
