/* SPDX-License-Identifier: Apache-2.0 */
/* gruu.c - see gruu.h.
 *
 * A token is 16 bytes of MAC over what follows, then account (4), device (8) and epoch (4), those
 * under a stream that the MAC makes: two tokens of one device have
 * nothing in common, since a random number goes into the MAC's place of the time. */
#include "sip/gruu.h"
#include "codec/base64.h"

enum {
    LIST_CAP = 2 + IDS_NODE_MAX + 3 + GRUU_INSTANCE_BYTES,
    SEAL_BYTES = 16,
    PLAIN_BYTES = GRUU_TOKEN_BYTES - SEAL_BYTES,
    LIST_READ_CAP = GRUU_ENTRIES * (2 + IDS_NODE_MAX),
};

static void write_base64(struct sip_writer *w, struct slice bytes)
{
    for (size_t i = 0; i < bytes.len; i += 3) {
        char four[4];
        base64_four(slice_from(bytes, i), '~', four);
        sip_write_slice(w, slice_of(four, sizeof(four)));
    }
}

/* ~ or = fill up; ERR_MALFORMED or ERR_TOO_LARGE otherwise. */
static enum err read_base64(struct slice text, uint8_t *out, size_t cap, size_t *len)
{
    uint32_t n = 0, bits = 0;
    size_t end = text.len;
    *len = 0;
    if (text.len % 4 != 0) {
        return ERR_MALFORMED;
    }
    while (end > 0 && text.len - end < 2 &&
           (text.data[end - 1] == '~' || text.data[end - 1] == '=')) {
        end--;
    }
    for (size_t i = 0; i < end; i++) {
        int digit = base64_digit(text.data[i]);
        if (digit < 0) {
            return ERR_MALFORMED;
        }
        n = n << 6 | (uint32_t)digit;
        bits += 6;
        if (bits >= 8) {
            if (*len == cap) {
                return ERR_TOO_LARGE;
            }
            bits -= 8;
            out[(*len)++] = (uint8_t)(n >> bits);
        }
    }
    return ERR_OK;
}

/* ---- reading */

void gruu_instance(struct turn *t, struct slice aor, struct slice instance,
                   uint8_t out[GRUU_INSTANCE_BYTES])
{
    uint8_t both[2 * CRYPTO_SHA256_BYTES], hash[CRYPTO_SHA256_BYTES];
    t->crypto->sha256(aor, both);
    t->crypto->sha256(instance, both + CRYPTO_SHA256_BYTES);
    t->crypto->sha256(slice_of(both, sizeof(both)), hash);
    memcpy(out, hash, GRUU_INSTANCE_BYTES);
}

/* [node], [node opaque] or [node node]: the first is whom to ask. */
static enum gruu_kind read_list(const struct sip *s, struct slice list, struct gruu *out)
{
    struct fwd_destination d;
    unsigned count = 0;
    if (list.len > 2 && list.data[0] == 0) {
        list = slice_from(list, 2); /* with a length in front (usages B.7) */
    }
    struct rd r = rd_init(list);
    out->kind = GRUU_TEMPORARY;
    while (fwd_next(&r, &s->params, &d)) {
        count++;
        if (count == 1) {
            if (fwd_destination_node(&d, &s->params, &out->node) != ERR_OK) {
                return GRUU_BAD;
            }
        } else if (count > GRUU_ENTRIES || d.type == FWD_DESTINATION_RESOURCE) {
            return GRUU_BAD;
        } else if (d.type == FWD_DESTINATION_NODE) {
            out->kind = fwd_destination_node(&d, &s->params, &out->credential) == ERR_OK
                            ? GRUU_ACCOUNT
                            : GRUU_BAD;
        } else {
            size_t len = min_size(d.id.len, GRUU_INSTANCE_BYTES);
            memset(out->instance, 0, sizeof(out->instance));
            memcpy(out->instance, d.id.data, len);
            out->kind = GRUU_PUBLIC;
        }
    }
    return rd_ok(&r) && count > 0 ? (enum gruu_kind)out->kind : GRUU_BAD;
}

void gruu_read(const struct sip *s, const struct sip_uri *uri, struct gruu *out)
{
    uint8_t list[LIST_READ_CAP];
    char text[2 * LIST_READ_CAP];
    struct slice value;
    size_t len = 0, text_len = 0;
    *out = (struct gruu){0};
    if ((uri->scheme != SIP_URI_SIP && uri->scheme != SIP_URI_SIPS) || uri->params.len == 0 ||
        !slice_is_equal_nocase(uri->host, s->domain_text) ||
        !sip_uri_param(uri, SLICE_LITERAL("gr"), &value)) {
        return;
    }
    out->kind = GRUU_BAD;
    if (sip_lex_unescape(value, (uint8_t *)text, sizeof(text), &text_len) == ERR_OK &&
        read_base64(slice_of(text, text_len), list, sizeof(list), &len) == ERR_OK) {
        out->kind = (uint8_t)read_list(s, slice_of(list, len), out);
    }
}

static bool is_of_device(const struct registrar_binding *b, const uint8_t *gruu)
{
    return b->has_instance && memcmp(b->gruu, gruu, sizeof(b->gruu)) == 0;
}

uint32_t gruu_epoch(struct sip *s, uint32_t account, const uint8_t gruu[GRUU_INSTANCE_BYTES],
                    const uint8_t *flow, const uint8_t call_id[16])
{
    struct registrar_binding *b = NULL;
    const struct registrar_binding *any = NULL, *former = NULL;
    handle first = s->accounts[account].first;
    for (handle at = first; (b = pool_get(&s->bindings, at)) != NULL; at = b->next) {
        if (!is_of_device(b, gruu)) {
            continue;
        }
        any = b;
        if ((flow == NULL || memcmp(b->instance, flow, sizeof(b->instance)) == 0) &&
            (former == NULL || b->at_us > former->at_us)) {
            former = b;
        }
    }
    if (any != NULL &&
        (former == NULL || memcmp(former->call_id, call_id, sizeof(former->call_id)) == 0)) {
        return any->gruu_epoch;
    }
    s->gruu_epoch++;
    for (handle at = first; (b = pool_get(&s->bindings, at)) != NULL; at = b->next) {
        b->gruu_epoch = is_of_device(b, gruu) ? s->gruu_epoch : b->gruu_epoch;
    }
    return s->gruu_epoch;
}

static const struct registrar_binding *find_public(const struct turn *t, const struct sip *s,
                                                   uint32_t account, const struct gruu *g)
{
    handle at = 0;
    const struct registrar_binding *b = NULL;
    while ((b = registrar_next(t, s, account, &at)) != NULL) {
        if (is_of_device(b, g->instance)) {
            return b;
        }
    }
    return NULL;
}

/* ---- tokens */

static void stream(const struct turn *t, const struct sip *s, const uint8_t seal[SEAL_BYTES],
                   uint8_t *bytes)
{
    uint8_t pad[2 * MAC_BYTES];
    for (uint8_t i = 0; i < 2; i++) {
        struct mac m;
        mac_begin(&m, &s->keys, MAC_TOKEN);
        mac_piece(t, &m, SLICE_LITERAL("gruu stream"));
        mac_piece(t, &m, slice_of(seal, SEAL_BYTES));
        mac_u32(&m, i);
        mac_end(t, &m, pad + i * MAC_BYTES);
    }
    STATIC_CHECK(PLAIN_BYTES <= 2 * MAC_BYTES);
    for (size_t i = 0; i < PLAIN_BYTES; i++) {
        bytes[i] ^= pad[i];
    }
}

/* Half of the seal is random, so that tokens differ; the other half vouches for all. */
static void seal_of(const struct turn *t, const struct sip *s, const uint8_t random[8],
                    const uint8_t *plain, uint8_t out[SEAL_BYTES])
{
    uint8_t hash[MAC_BYTES];
    struct mac m;
    mac_begin(&m, &s->keys, MAC_TOKEN);
    mac_piece(t, &m, SLICE_LITERAL("gruu seal"));
    mac_piece(t, &m, slice_of(random, 8));
    mac_piece(t, &m, slice_of(plain, PLAIN_BYTES));
    mac_end(t, &m, hash);
    memcpy(out, random, 8);
    memcpy(out + 8, hash, 8);
}

static const struct registrar_binding *find_temporary(struct turn *t, const struct sip *s,
                                                      struct slice user, uint32_t *account)
{
    uint8_t token[GRUU_TOKEN_BYTES], seal[SEAL_BYTES];
    uint8_t *plain = token + SEAL_BYTES;
    size_t len = 0;
    handle at = 0;
    if (ids_unhex(user, token, sizeof(token), &len) != ERR_OK || len != sizeof(token)) {
        return NULL;
    }
    stream(t, s, token, plain);
    seal_of(t, s, token, plain, seal);
    uint8_t differs = 0;
    for (size_t i = 0; i < SEAL_BYTES; i++) {
        differs |= (uint8_t)(seal[i] ^ token[i]);
    }
    struct rd r = rd_init(slice_of(plain, PLAIN_BYTES));
    uint32_t whose = rd_u32(&r);
    if (differs != 0 || whose >= s->settings.account_count) {
        return NULL;
    }
    (void)rd_bytes(&r, GRUU_INSTANCE_BYTES);
    uint32_t epoch = rd_u32(&r);
    const struct registrar_binding *b = NULL;
    while ((b = registrar_next(t, s, whose, &at)) != NULL) {
        if (b->gruu_epoch == epoch && is_of_device(b, plain + sizeof(whose))) {
            *account = whose;
            return b;
        }
    }
    return NULL;
}

const struct registrar_binding *gruu_find(struct turn *t, const struct sip *s,
                                          const struct sip_uri *uri, const struct gruu *g,
                                          uint32_t *account)
{
    char aor[SIP_STATE_AOR_CAP];
    size_t len = 0;
    *account = REGISTRAR_NONE;
    if (g->kind == GRUU_TEMPORARY) {
        return find_temporary(t, s, uri->user, account);
    }
    if (g->kind != GRUU_PUBLIC || sip_state_aor(s, uri, false, aor, &len) != ERR_OK) {
        return NULL;
    }
    *account = registrar_find(s, slice_of(aor, len));
    return *account == REGISTRAR_NONE ? NULL : find_public(t, s, *account, g);
}

uint32_t gruu_account(const struct sip *s, const struct sip_uri *uri, const struct gruu *g)
{
    char aor[SIP_STATE_AOR_CAP];
    size_t len = 0;
    if (g->kind != GRUU_ACCOUNT || sip_state_aor(s, uri, false, aor, &len) != ERR_OK) {
        return REGISTRAR_NONE;
    }
    uint32_t account = registrar_find(s, slice_of(aor, len));
    return account != REGISTRAR_NONE &&
                   ids_node_is_equal(&s->settings.accounts[account].ident->node_id, &g->credential)
               ? account
               : REGISTRAR_NONE;
}

/* ---- writing */

void gruu_write_account(const struct sip *s, struct slice aor, const struct node_id *peer,
                        const struct node_id *credential, struct sip_writer *w)
{
    uint8_t list[2 * FWD_NODE_BYTES_MAX];
    struct wr out = wr_init(list, sizeof(list));
    fwd_wr_node(&out, &s->params, peer);
    fwd_wr_node(&out, &s->params, credential);
    CHECK(wr_ok(&out));
    sip_write_aor(w, SLICE_LITERAL("sip:"), aor);
    sip_write_text(w, ";gr=");
    write_base64(w, wr_slice(&out));
}

static void write_list(const struct sip *s, const uint8_t *instance, struct sip_writer *w)
{
    uint8_t list[LIST_CAP];
    struct wr out = wr_init(list, sizeof(list));
    fwd_wr_node(&out, &s->params, &s->settings.self);
    if (instance != NULL) {
        fwd_wr_opaque(&out, slice_of(instance, GRUU_INSTANCE_BYTES));
    }
    CHECK(wr_ok(&out));
    write_base64(w, wr_slice(&out));
}

void gruu_write(struct turn *t, const struct sip *s, const struct registrar_binding *b,
                struct sip_writer *w)
{
    uint8_t plain[PLAIN_BYTES], token[GRUU_TOKEN_BYTES], random[8];
    char hex[2 * GRUU_TOKEN_BYTES + 1];
    sip_write_text(w, ";pub-gruu=\"");
    sip_write_aor(w, SLICE_LITERAL("sip:"), slice_text(s->settings.accounts[b->account].user));
    sip_write_text(w, ";gr=");
    write_list(s, b->gruu, w);
    struct wr p = wr_init(plain, sizeof(plain));
    wr_u32(&p, b->account);
    wr_bytes(&p, slice_of(b->gruu, GRUU_INSTANCE_BYTES));
    wr_u32(&p, b->gruu_epoch);
    CHECK(wr_ok(&p));
    t->crypto->random(t->crypto, random, sizeof(random));
    seal_of(t, s, random, plain, token);
    memcpy(token + SEAL_BYTES, plain, sizeof(plain));
    stream(t, s, token, token + SEAL_BYTES);
    sip_write_text(w, "\";temp-gruu=\"sip:");
    sip_write_text(w, ids_hex(slice_of(token, sizeof(token)), hex));
    sip_write_text(w, "@");
    sip_write_text(w, s->domain);
    sip_write_text(w, ";gr=");
    write_list(s, NULL, w);
    sip_write_text(w, "\"");
}
