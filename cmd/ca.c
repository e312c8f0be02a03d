/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/ca.h"
#include "cmd/ca_document.h"
#include "cmd/ca_holder.h"
#include "cmd/ca_users.h"
#include "sip/ha1.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const struct {
    const char *text;
    enum crypto_algorithm algorithm;
} algorithms[] = {
    {"ed25519", CRYPTO_ED25519}, {"p256", CRYPTO_ECDSA_SHA256}, {"rsa2048", CRYPTO_RSA_SHA256}};

enum err ca_algorithm(const char *text, enum crypto_algorithm *out)
{
    for (size_t i = 0; i < ARRAY_COUNT(algorithms); i++) {
        if (strcmp(text, algorithms[i].text) == 0) {
            *out = algorithms[i].algorithm;
            return ERR_OK;
        }
    }
    return ERR_UNSUPPORTED;
}

const char *ca_algorithm_text(enum crypto_algorithm algorithm)
{
    for (size_t i = 0; i < ARRAY_COUNT(algorithms); i++) {
        if (algorithm == algorithms[i].algorithm) {
            return algorithms[i].text;
        }
    }
    UNREACHABLE("algorithm");
}

/* With a Node-ID of its own (random: neither all zeros nor all ones). */
static enum err make_member(struct ca_holder *h, const struct ca_holder *root, const char *overlay,
                            const char *user, enum crypto_algorithm algorithm,
                            const uint64_t period_ms[2])
{
    crypto_boring()->random(crypto_boring(), h->node_id, IDS_NODE_MIN);
    struct crypto_issue what = {.user = slice_text(user),
                                .overlay_name = slice_text(overlay),
                                .not_before_ms = period_ms[0],
                                .not_after_ms = period_ms[1]};
    return ca_holder_certify_member(h, &what, algorithm, root);
}

/* ---- init ---- */

static enum err write_root(const struct ca_init *what, const struct ca_holder *root, char *why)
{
    uint8_t pem[CRYPTO_BORING_KEY_PEM_CAP - 512];
    size_t len = 0;
    enum err e = crypto_boring_key_pem(root->key, pem, sizeof(pem), &len);
    if (e != ERR_OK) {
        return say_why(why, e, "cannot write the root key: %s: %s", what->dir, err_text(e));
    }
    e = ca_holder_write(&(struct ca_holder_file){what->dir, "root.key", 0600, false},
                        slice_of(pem, len), why);
    explicit_bzero(pem, sizeof(pem));
    if (e == ERR_OK && crypto_boring_pem_encode(ca_holder_der(root), "CERTIFICATE", pem,
                                                sizeof(pem), &len) == ERR_OK) {
        e = ca_holder_write(&(struct ca_holder_file){what->dir, "root.crt", 0644, false},
                            slice_of(pem, len), why);
    }
    return e;
}

enum err ca_links(const char *text, enum overlay_links *links)
{
    static const char *const names[] = {[OVERLAY_LINKS_TRUNK] = "tls",
                                        [OVERLAY_LINKS_BOTH] = "both",
                                        [OVERLAY_LINKS_DATAGRAM] = "dtls"};
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        if (strcmp(text, names[i]) == 0) {
            *links = (enum overlay_links)i;
            return ERR_OK;
        }
    }
    return ERR_NOT_FOUND;
}

static enum err write_document(const struct ca_init *what, const struct ca_holder *root,
                               const struct ca_holder *signer, uint64_t expiration_ms, char *why)
{
    uint8_t *text = malloc(CA_DOCUMENT_CAP);
    size_t len = 0;
    struct domain_rules rules;
    struct ca_document d = {.overlay = what->overlay,
                            .sequence = 1,
                            .expiration_ms = expiration_ms,
                            .root = ca_holder_der(root),
                            .signer_certificate = ca_holder_der(signer),
                            .signer_key = signer->key,
                            .bootstrap = what->bootstrap,
                            .bootstrap_count = what->bootstrap_count,
                            .links = what->links,
                            .replica_min_hosts = what->replica_min_hosts,
                            .max_credentials = what->max_credentials,
                            .domains = ca_domains_choose(&what->domains, NULL, &rules)};
    memcpy(d.signer.bytes, signer->node_id, sizeof(d.signer.bytes));
    enum err e = text == NULL ? ERR_NO_MEMORY : ca_document_write(&d, crypto_boring(), text, &len);
    e = e == ERR_OK
            ? ca_holder_write(&(struct ca_holder_file){what->dir, "overlay.xml", 0644, false},
                              slice_of(text, len), why)
            : say_why(why, e, "cannot make overlay.xml: %s: %s", what->dir, err_text(e));
    free(text);
    return e;
}

static enum err init_files(const struct ca_init *what, struct ca_holder *root,
                           struct ca_holder *signer, char *why)
{
    char name[CRYPTO_OVERLAY_CAP + 16];
    const uint64_t period_ms[2] = {what->now_ms - CA_HOLDER_EARLIER_MS,
                                   what->now_ms + CA_DAYS_ROOT * CA_HOLDER_DAY_MS};
    (void)snprintf(name, sizeof(name), "%s root", what->overlay);
    struct crypto_issue self = {.common_name = slice_text(name),
                                .not_before_ms = period_ms[0],
                                .not_after_ms = period_ms[1],
                                .is_ca = true};
    enum err e = ca_holder_certify(root, &self, what->algorithm, NULL);
    if (e == ERR_OK) {
        (void)snprintf(name, sizeof(name), "config@%s", what->overlay);
        e = make_member(signer, root, what->overlay, name, what->algorithm, period_ms);
    }
    if (e != ERR_OK) {
        return say_why(why, e, "cannot make the root certificate: %s: %s", what->overlay,
                       err_text(e));
    }
    e = write_root(what, root, why);
    if (e == ERR_OK) {
        struct keystore_fields fields = {.user = name};
        e = ca_holder_write_keystore(&(struct ca_holder_file){what->dir, "signer.pem", 0600, false},
                                     &fields, signer, why);
    }
    if (e == ERR_OK) {
        e = write_document(what, root, signer, period_ms[1], why);
    }
    return e;
}

/* instance-name: DNS-legal, and short enough that user names fit too. */
static bool is_overlay_name(const char *name)
{
    size_t len = strlen(name);
    return len > 0 && len <= 100 && name[0] != '.' && name[0] != '-' &&
           strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-._") == len;
}

enum err ca_init(const struct ca_init *what, char *why)
{
    struct ca_holder root = {0};
    struct ca_holder signer = {0};
    if (!is_overlay_name(what->overlay)) {
        return say_why(why, ERR_CONFIG,
                       "not a name for an overlay: %s: take a DNS name in lower case",
                       what->overlay);
    }
    if (files_folder(what->dir) != ERR_OK) {
        return say_why(why, ERR_IO, "cannot make the folder: %s: %s: take another", what->dir,
                       say_errno());
    }
    enum err e = ca_users_create(what->dir, what->overlay, ca_algorithm_text(what->algorithm),
                                 what->digest, why);
    if (e == ERR_EXISTS) {
        return say_why(why, e, "there is an authority already: %s: take another folder", what->dir);
    }
    if (e == ERR_OK) {
        e = init_files(what, &root, &signer, why);
    }
    ca_holder_free(&root);
    ca_holder_free(&signer);
    return e;
}

/* ---- issue ---- */

struct issuing {
    struct ca_issue what; /* of the user whose turn it is */
    json_t *users;
    json_t *entry;
    const char *overlay;
    struct ca_holder root;
    char *why;
};

/* alice@OVERLAY; the part before @ is a SIP user, a digest user name and part of a file name. */
static enum err check_user(const struct issuing *i)
{
    const char *user = i->what.user;
    const char *at = strchr(user, '@');
    size_t name_len = strspn(user, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                   "-_.!~*'+");
    if (at == NULL || name_len == 0 || user + name_len != at || user[0] == '.' ||
        strlen(user) > CRYPTO_USER_CAP) {
        return say_why(i->why, ERR_CONFIG,
                       "not a user name: %s: write name@%s, the name of letters, digits and -_.+",
                       user, i->overlay);
    }
    if (strcmp(at + 1, i->overlay) != 0) {
        return say_why(i->why, ERR_CONFIG, "not of this overlay: %s: it ends in @%s", user,
                       i->overlay);
    }
    return ERR_OK;
}

/* HA1 = H(user:realm:password), RFC 7616 3.4.2; the user without its domain, as phones send it. */
static enum err set_password(struct issuing *i)
{
    char text[CRYPTO_USER_CAP + CRYPTO_OVERLAY_CAP + 512];
    char md5[HA1_CAP];
    char sha256[HA1_CAP];
    int name_len = (int)(strchr(i->what.user, '@') - i->what.user);
    int len = snprintf(text, sizeof(text), "%.*s:%s:%s", name_len, i->what.user, i->overlay,
                       i->what.password);
    if (len < 0 || (size_t)len >= sizeof(text) || i->what.password[0] == '\0') {
        return say_why(i->why, ERR_CONFIG, "not a password: empty or too long: take another");
    }
    ha1_hash(crypto_boring(), false, slice_text(text), md5);
    ha1_hash(crypto_boring(), true, slice_text(text), sha256);
    explicit_bzero(text, sizeof(text));
    if (json_object_set_new(i->entry, "ha1_md5", json_string(md5)) != 0 ||
        json_object_set_new(i->entry, "ha1_sha256", json_string(sha256)) != 0) {
        return ERR_NO_MEMORY;
    }
    return ERR_OK;
}

static void file_name(const struct issuing *i, uint32_t number, char *out)
{
    (void)snprintf(out, FILES_PATH_CAP, "%s.%u.pem", i->what.user, number);
}

/* Before anything is made: were it found out at the K-th, the database would know a password and a
 * Node-ID that are in no keystore. */
static enum err check_out(const struct issuing *i)
{
    char name[FILES_PATH_CAP];
    char path[FILES_PATH_CAP];
    if (files_folder(i->what.out) != ERR_OK) {
        return say_why(i->why, ERR_IO, "cannot make the folder: %s: %s: name another with --out",
                       i->what.out, say_errno());
    }
    for (uint32_t number = 1; number <= i->what.nodes; number++) {
        file_name(i, number, name);
        if (files_join(i->what.out, name, path) == ERR_OK && access(path, F_OK) == 0) {
            return say_why(i->why, ERR_EXISTS,
                           "it exists already, and nothing is overwritten: %s: name another "
                           "folder with --out, or make it anew with `chordial ca renew`",
                           path);
        }
    }
    return ERR_OK;
}

static enum err prepare(struct issuing *i)
{
    enum err e = check_user(i);
    e = e == ERR_OK ? check_out(i) : e;
    if (e != ERR_OK) {
        return e;
    }
    i->entry = ca_users_entry(i->users, i->what.user);
    if (i->entry == NULL) {
        return say_why(i->why, ERR_MALFORMED,
                       "the user database is broken: %s/users.json: restore it from a backup",
                       i->what.dir);
    }
    const char *digest = i->what.digest;
    if (digest == NULL && ca_users_text(i->entry, "digest") == NULL) {
        digest = ca_users_text(i->users, "digest");
    }
    if (digest != NULL && json_object_set_new(i->entry, "digest", json_string(digest)) != 0) {
        return say_why(i->why, ERR_NO_MEMORY, "no memory: users.json: free some");
    }
    return i->what.password == NULL ? ERR_OK : set_password(i);
}

static enum err issue_one(struct issuing *i, uint32_t number, struct ca_holder *h, char *node_id)
{
    char name[FILES_PATH_CAP];
    const struct ca_issue *what = &i->what;
    const uint64_t period_ms[2] = {what->now_ms - CA_HOLDER_EARLIER_MS,
                                   what->now_ms + what->days * CA_HOLDER_DAY_MS};
    enum crypto_algorithm algorithm = what->algorithm;
    enum err e = algorithm != CRYPTO_ALGORITHM_NONE
                     ? ERR_OK
                     : ca_algorithm(ca_users_text(i->users, "key"), &algorithm);
    if (e == ERR_OK) {
        e = make_member(h, &i->root, i->overlay, what->user, algorithm, period_ms);
    }
    ids_hex(slice_of(h->node_id, IDS_NODE_MIN), node_id);
    if (e == ERR_OK) {
        e = ca_users_add(i->entry, node_id, what->now_ms, period_ms[1]);
    }
    if (e != ERR_OK) {
        return say_why(i->why, e, "cannot issue a certificate: %s: %s", what->user, err_text(e));
    }
    struct keystore_fields fields = {.user = what->user,
                                     .ha1_md5 = ca_users_text(i->entry, "ha1_md5"),
                                     .ha1_sha256 = ca_users_text(i->entry, "ha1_sha256")};
    if (fields.ha1_md5 != NULL && fields.ha1_sha256 != NULL) {
        fields.digest = ca_users_text(i->entry, "digest");
    }
    file_name(i, number, name);
    return ca_holder_write_keystore(&(struct ca_holder_file){what->out, name, 0600, false}, &fields,
                                    h, i->why);
}

static enum err issue_user(struct issuing *i, ca_on_file *on_file, void *context)
{
    enum err e = prepare(i);
    for (uint32_t number = 1; e == ERR_OK && number <= i->what.nodes; number++) {
        struct ca_holder h = {0};
        char node_id[IDS_NODE_TEXT_CAP] = "";
        char name[FILES_PATH_CAP];
        char path[FILES_PATH_CAP];
        e = issue_one(i, number, &h, node_id);
        file_name(i, number, name);
        if (e == ERR_OK && on_file != NULL && files_join(i->what.out, name, path) == ERR_OK) {
            on_file(context, path, node_id);
        }
        ca_holder_free(&h);
    }
    return e;
}

/* Spaces and tabs part the words of a line; what is cut out gets a NUL behind it. */
static char *next_word(char **at)
{
    char *word;
    do {
        word = strsep(at, " \t");
    } while (word != NULL && word[0] == '\0');
    return word;
}

/* "NAME@OVERLAY PASSWORD" in each line. */
static enum err issue_list(struct issuing *i, char *text, ca_on_file *on_file, void *context)
{
    enum err e = ERR_OK;
    char *line;
    for (uint32_t number = 1; e == ERR_OK && (line = strsep(&text, "\n")) != NULL; number++) {
        line[strcspn(line, "\r")] = '\0';
        i->what.user = next_word(&line);
        if (i->what.user == NULL || i->what.user[0] == '#') {
            continue;
        }
        i->what.password = next_word(&line);
        if (i->what.password == NULL || next_word(&line) != NULL) {
            return say_why(i->why, ERR_CONFIG,
                           "not an account: %s:%u: write \"name@%s password\", one in a line",
                           i->what.list, number, i->overlay);
        }
        e = issue_user(i, on_file, context);
    }
    return e;
}

static enum err issue(struct issuing *i, ca_on_file *on_file, void *context)
{
    struct slice text = SLICE_EMPTY;
    enum err e;
    if (i->what.list == NULL) {
        e = issue_user(i, on_file, context);
    } else if ((e = files_read(i->what.list, &text, NULL)) == ERR_OK) {
        e = issue_list(i, (char *)(uintptr_t)text.data, on_file, context);
        files_release(&text);
    } else {
        e = say_why(i->why, e, "cannot read: %s: %s", i->what.list,
                    e == ERR_TOO_LARGE ? "larger than 1 MiB: cut it in pieces" : say_errno());
    }
    char other[SAY_WHY_CAP];
    /* Also after a failure: what has been written must be on record. */
    enum err saved = ca_users_save(i->what.dir, i->users, e == ERR_OK ? i->why : other);
    return e == ERR_OK ? saved : e;
}

enum err ca_issue(const struct ca_issue *what, ca_on_file *on_file, void *context, char *why)
{
    struct issuing i = {.what = *what, .why = why};
    int lock = -1;
    enum err e = ca_users_lock(what->dir, &lock, why);
    e = e == ERR_OK ? ca_users_load(what->dir, &i.users, why) : e;
    if (e == ERR_OK) {
        i.overlay = ca_users_text(i.users, "overlay");
        e = ca_holder_load_root(what->dir, &i.root, why);
    }
    if (e == ERR_OK) {
        e = issue(&i, on_file, context);
    }
    ca_holder_free(&i.root);
    json_decref(i.users);
    ca_users_unlock(lock);
    return e;
}
