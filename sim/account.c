/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/account.h"
#include "codec/content.h"
#include "codec/frame.h"
#include "codec/fwd.h"
#include "sim/tls_fake.h"

static void add(struct account *a, uint32_t class, size_t bytes)
{
    a->bytes[class] += bytes;
    a->messages[class]++;
}

uint32_t account_class(uint16_t code)
{
    uint32_t method = (code + 1u) / 2;
    if (code == CONTENT_ERROR) {
        return ACCOUNT_ERROR;
    }
    return method < ACCOUNT_CLASSES - ACCOUNT_METHODS ? ACCOUNT_METHODS + method : ACCOUNT_OTHER;
}

static uint32_t class_of_message(struct slice message)
{
    const struct rl_params params = {.node_id_length = 16};
    struct fwd h;
    if (fwd_decode_header(message, &params, &h) != ERR_OK || message.len < h.header_bytes + 2) {
        return ACCOUNT_OTHER;
    }
    const uint8_t *code = message.data + h.header_bytes;
    return account_class((uint16_t)(code[0] << 8 | code[1]));
}

static void account_frame_bytes(struct account *a, struct slice plain)
{
    struct rd r = rd_init(plain);
    while (rd_left(&r) > 0) {
        struct frame f;
        size_t before = rd_left(&r);
        frame_rd(&r, &f);
        if (!rd_ok(&r)) {
            add(a, ACCOUNT_OTHER, before);
            return;
        }
        uint32_t class = f.type == FRAME_ACK ? ACCOUNT_ACK : class_of_message(f.message);
        add(a, class, before - rd_left(&r));
    }
}

void account_plain(struct account *a, struct slice plain, size_t sealed_bytes)
{
    CHECK(sealed_bytes >= plain.len);
    add(a, ACCOUNT_RECORD, sealed_bytes - plain.len);
    account_frame_bytes(a, plain);
}

void account_handshake(struct account *a, size_t bytes)
{
    if (bytes > 0) {
        add(a, ACCOUNT_HANDSHAKE, bytes);
    }
}

void account_stream(struct account *a, struct slice bytes)
{
    while (bytes.len > 0) {
        struct slice plain;
        size_t record = tls_fake_record(bytes, &plain);
        if (record == 0) {
            add(a, ACCOUNT_OTHER, bytes.len);
            return;
        }
        if (plain.len == 0) {
            add(a, ACCOUNT_HANDSHAKE, record);
        } else {
            account_plain(a, plain, record);
        }
        bytes = slice_from(bytes, record);
    }
}

const char *account_name(uint32_t class)
{
    static const char *const names[ACCOUNT_CLASSES] = {
        [ACCOUNT_RECORD] = "tls_record",
        [ACCOUNT_HANDSHAKE] = "tls_handshake",
        [ACCOUNT_ACK] = "frame_ack",
        [ACCOUNT_ERROR] = "error",
        [ACCOUNT_OTHER] = "other",
        [ACCOUNT_METHODS + 1] = "probe",
        [ACCOUNT_METHODS + 2] = "attach",
        [ACCOUNT_METHODS + 4] = "store",
        [ACCOUNT_METHODS + 5] = "fetch",
        [ACCOUNT_METHODS + 7] = "find",
        [ACCOUNT_METHODS + 8] = "join",
        [ACCOUNT_METHODS + 9] = "leave",
        [ACCOUNT_METHODS + 10] = "update",
        [ACCOUNT_METHODS + 11] = "route_query",
        [ACCOUNT_METHODS + 12] = "ping",
        [ACCOUNT_METHODS + 13] = "stat",
        [ACCOUNT_METHODS + 15] = "app_attach",
        [ACCOUNT_METHODS + 17] = "config_update",
        [ACCOUNT_METHODS + 20] = "path_track",
    };
    return class < ACCOUNT_CLASSES ? names[class] : NULL;
}

void account_since(struct account *a, const struct account *before)
{
    for (uint32_t i = 0; i < ACCOUNT_CLASSES; i++) {
        a->bytes[i] -= before->bytes[i];
        a->messages[i] -= before->messages[i];
    }
}

uint64_t account_frames(const struct account *a)
{
    uint64_t sum = 0;
    for (uint32_t i = ACCOUNT_ACK; i < ACCOUNT_CLASSES; i++) {
        sum += a->bytes[i];
    }
    return sum;
}
