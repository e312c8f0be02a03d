/* SPDX-License-Identifier: Apache-2.0 */
/* A signature is over the bytes of an element as they stand, first '<' to last '>': so each <kind>,
 * and then the whole <configuration>, is written first and signed where it stands. */
#include "cmd/ca_document.h"
#include "codec/base64.h"
#include "codec/secblock.h"
#include "link/crypto_boring.h"
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

enum {
    BLOCK_CAP = CRYPTO_BORING_CERTIFICATE_CAP / 2 + 1024, /* the SecurityBlock */
    /* A Fetch of all certificates of a user must fit one message; a buffer takes 18 KiB. */
    MAX_MESSAGE_BYTES = 16000,
    MAX_VALUE_BYTES = 2048,
    INITIAL_TTL = 100,
    MAX_CERTIFICATES_BY_NODE = 8, /* renewals are appended */
    BASE64_LINE = 64,
};

struct text {
    uint8_t *bytes;
    size_t len;
    bool is_full;
};

static void PRINTF_LIKE(2, 3) add(struct text *t, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    size_t room = CA_DOCUMENT_CAP - t->len;
    int used = vsnprintf((char *)t->bytes + t->len, room, format, args);
    va_end(args);
    if (used < 0 || (size_t)used >= room) {
        t->is_full = true;
        return;
    }
    t->len += (size_t)used;
}

static void add_base64(struct text *t, struct slice bytes)
{
    for (size_t i = 0; i < bytes.len; i += 3) {
        char four[4];
        base64_four(slice_from(bytes, i), '=', four);
        add(t, "%s%.4s", i / 3 * 4 % BASE64_LINE == 0 ? "\n" : "", four);
    }
    add(t, "\n");
}

/* The standard SecurityBlock over `blob` as it stands (11.1), in base64. */
static enum err add_block(struct text *t, const struct ca_document *d, const struct crypto *crypto,
                          struct slice blob)
{
    uint8_t signature[CRYPTO_SIGNATURE_CAP];
    uint8_t hash[CRYPTO_SHA256_BYTES];
    uint8_t block[BLOCK_CAP];
    size_t signature_len = 0;
    struct wr w = wr_init(block, sizeof(block));
    enum err e = crypto->sign(d->signer_key, blob, signature, &signature_len);
    if (e != ERR_OK) {
        return e;
    }
    crypto->sha256(d->signer_certificate, hash); /* it has one Node-ID: cert_hash */
    struct secblock_signature s = {
        .algorithm = (uint16_t)crypto->key_algorithm(d->signer_key),
        .identity = {.type = SECBLOCK_IDENTITY_CERT_HASH,
                     .hash_algorithm = SECBLOCK_HASH_SHA256,
                     .hash = slice_of(hash, sizeof(hash))},
        .value = slice_of(signature, signature_len),
    };
    secblock_wr_x509(&w, &d->signer_certificate, 1, &s);
    if (!wr_ok(&w)) {
        return ERR_TOO_LARGE;
    }
    add_base64(t, wr_slice(&w));
    return ERR_OK;
}

struct kind_text {
    const char *name, *model, *access; /* `name`: an attribute */
    uint32_t count, size, multiple;
    const struct domain_rules *domains;
};

static void add_escaped(struct text *t, struct slice plain)
{
    for (size_t i = 0; i < plain.len; i++) {
        char c = (char)plain.data[i];
        switch (c) {
        case '&':
            add(t, "&amp;");
            break;
        case '<':
            add(t, "&lt;");
            break;
        case '>':
            add(t, "&gt;");
            break;
        default:
            add(t, "%c", c);
        }
    }
}

/* RFC 7904 3.4; the prefix is declared here, since a Kind is signed by itself. */
static void add_domains(struct text *t, const struct domain_rules *rules)
{
    add(t,
        "     <sip:domain-restriction xmlns:sip=\"urn:ietf:params:xml:ns:p2p:config-base:sip\""
        " enable=\"%s\">",
        rules->is_listed ? "true" : "false");
    for (size_t i = 0; i < rules->count; i++) {
        add(t, "<sip:pattern>");
        add_escaped(t, rules->patterns[i]);
        add(t, "</sip:pattern>");
    }
    add(t, "</sip:domain-restriction>\n");
}

static enum err add_kind(struct text *t, const struct ca_document *d, const struct crypto *crypto,
                         const struct kind_text *k)
{
    add(t, "   <kind-block>\n    ");
    size_t begin = t->len;
    add(t,
        "<kind %s>\n"
        "     <data-model>%s</data-model>\n"
        "     <access-control>%s</access-control>\n"
        "     <max-count>%u</max-count>\n"
        "     <max-size>%u</max-size>\n",
        k->name, k->model, k->access, k->count, k->size);
    if (k->multiple > 0) {
        add(t, "     <max-node-multiple>%u</max-node-multiple>\n", k->multiple);
    }
    if (k->domains != NULL) {
        add_domains(t, k->domains);
    }
    add(t, "    </kind>");
    struct slice blob = slice_of(t->bytes + begin, t->len - begin);
    add(t, "\n    <kind-signature>");
    enum err e = add_block(t, d, crypto, blob);
    add(t, "    </kind-signature>\n   </kind-block>\n");
    return e;
}

static void add_bootstrap(struct text *t, const struct address *a)
{
    char host[ADDRESS_TEXT_CAP];
    add(t, "  <bootstrap-node address=\"%s\" port=\"%u\"/>\n", address_host_text(a, host), a->port);
}

static const char *const models[] = {
    [OVERLAY_SINGLE] = "SINGLE", [OVERLAY_ARRAY] = "ARRAY", [OVERLAY_DICTIONARY] = "DICTIONARY"};
static const char *const policies[] = {[OVERLAY_USER_MATCH] = "USER-MATCH",
                                       [OVERLAY_NODE_MATCH] = "NODE-MATCH",
                                       [OVERLAY_USER_NODE_MATCH] = "USER-NODE-MATCH",
                                       [OVERLAY_NODE_MULTIPLE] = "NODE-MULTIPLE"};

const char *ca_document_model(enum overlay_data_model model)
{
    return models[model];
}

const char *ca_document_access(enum overlay_access access)
{
    return policies[access];
}

static enum err add_kinds(struct text *t, const struct ca_document *d, const struct crypto *crypto)
{
    const struct kind_text kinds[] = {
        {"name=\"SIP-REGISTRATION\"", "DICTIONARY", "USER-NODE-MATCH", d->max_credentials,
         MAX_VALUE_BYTES, 0, d->domains},
        {"name=\"CERTIFICATE_BY_NODE\"", "ARRAY", "NODE-MATCH", MAX_CERTIFICATES_BY_NODE,
         MAX_VALUE_BYTES, 0, NULL},
        {"name=\"CERTIFICATE_BY_USER\"", "ARRAY", "USER-MATCH", d->max_credentials, MAX_VALUE_BYTES,
         0, NULL},
    };
    enum err e = ERR_OK;
    add(t, "  <required-kinds>\n");
    for (size_t i = 0; e == ERR_OK && i < ARRAY_COUNT(kinds); i++) {
        e = add_kind(t, d, crypto, &kinds[i]);
    }
    for (size_t i = 0; e == ERR_OK && i < d->kind_count; i++) {
        char id[32];
        const struct overlay_kind *k = &d->kinds[i];
        (void)snprintf(id, sizeof(id), "id=\"%u\"", k->id);
        struct kind_text text = {id,
                                 ca_document_model(k->data_model),
                                 ca_document_access(k->access),
                                 k->max_count,
                                 k->max_size_bytes,
                                 k->max_node_multiple,
                                 NULL};
        e = add_kind(t, d, crypto, &text);
    }
    add(t, "  </required-kinds>\n");
    return e;
}

/* "TLS" means TLS and DTLS (RFC 6940 11.1), the others one of them (14.10). */
static const char *const link_protocols[] = {[OVERLAY_LINKS_TRUNK] = "TLS-TCP-FH-NO-ICE",
                                             [OVERLAY_LINKS_BOTH] = "TLS",
                                             [OVERLAY_LINKS_DATAGRAM] = "DTLS-UDP-SR-NO-ICE"};

static void add_more(struct text *t, const struct ca_document *d)
{
    char id[IDS_NODE_TEXT_CAP];
    const struct rl_params params = {.node_id_length = IDS_NODE_MIN};
    if (d->update_interval_s != 0) {
        add(t, "  <chord:chord-update-interval>%u</chord:chord-update-interval>\n",
            d->update_interval_s);
    }
    if (d->ping_interval_s != 0) {
        add(t, "  <chord:chord-ping-interval>%u</chord:chord-ping-interval>\n", d->ping_interval_s);
    }
    for (size_t i = 0; i < d->bad_node_count; i++) {
        add(t, "  <bad-node>%s</bad-node>\n", ids_node_text(&d->bad_nodes[i], &params, id));
    }
}

static enum err add_configuration(struct text *t, const struct ca_document *d,
                                  const struct crypto *crypto)
{
    char signer[IDS_NODE_TEXT_CAP];
    char expiration[32];
    struct tm tm;
    time_t expires_s = (time_t)(d->expiration_ms / 1000);
    const struct rl_params params = {.node_id_length = IDS_NODE_MIN};
    gmtime_r(&expires_s, &tm);
    strftime(expiration, sizeof(expiration), "%Y-%m-%dT%H:%M:%SZ", &tm);
    /* Prefixes are declared here, since the signature does not cover what stands outside. */
    add(t,
        "<configuration xmlns:chord=\"urn:ietf:params:xml:ns:p2p:config-chord\"\n"
        " xmlns:own=\"urn:chordial:params:xml:ns:config\"\n"
        " instance-name=\"%s\" sequence=\"%u\" expiration=\"%s\">\n",
        d->overlay, d->sequence, expiration);
    add(t, "  <topology-plugin>CHORD-RELOAD</topology-plugin>\n"
           "  <node-id-length>16</node-id-length>\n"
           "  <root-cert>");
    add_base64(t, d->root);
    add(t, "  </root-cert>\n");
    for (size_t i = 0; i < d->bootstrap_count; i++) {
        add_bootstrap(t, &d->bootstrap[i]);
    }
    add(t,
        "  <no-ice>true</no-ice>\n"
        "  <overlay-link-protocol>%s</overlay-link-protocol>\n"
        "  <max-message-size>%u</max-message-size>\n"
        "  <initial-ttl>%u</initial-ttl>\n"
        "  <chord:chord-reactive>true</chord:chord-reactive>\n"
        "  <own:replica-min-hosts>%u</own:replica-min-hosts>\n"
        "  <configuration-signer>%s</configuration-signer>\n"
        "  <kind-signer>%s</kind-signer>\n",
        link_protocols[d->links],
        d->max_message_bytes != 0 ? d->max_message_bytes : MAX_MESSAGE_BYTES,
        d->initial_ttl != 0 ? d->initial_ttl : INITIAL_TTL, d->replica_min_hosts,
        ids_node_text(&d->signer, &params, signer), signer);
    add_more(t, d);
    enum err e = add_kinds(t, d, crypto);
    add(t, "</configuration>");
    return e;
}

enum err ca_document_write(const struct ca_document *d, const struct crypto *crypto, uint8_t *out,
                           size_t *len)
{
    struct text t = {.bytes = out};
    add(&t, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
            "<overlay xmlns=\"urn:ietf:params:xml:ns:p2p:config-base\">\n");
    size_t begin = t.len;
    enum err e = add_configuration(&t, d, crypto);
    struct slice blob = slice_of(out + begin, t.len - begin);
    add(&t, "\n<signature>");
    e = e == ERR_OK ? add_block(&t, d, crypto, blob) : e;
    add(&t, "</signature>\n</overlay>\n");
    *len = t.len;
    return e == ERR_OK && t.is_full ? ERR_TOO_LARGE : e;
}
