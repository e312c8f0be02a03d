/* SPDX-License-Identifier: Apache-2.0 */
/* base64.c - see base64.h. */
#include "codec/base64.h"

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_four(struct slice bytes, char fill, char out[4])
{
    CHECK(bytes.len > 0);
    uint32_t n = (uint32_t)bytes.data[0] << 16 |
                 (bytes.len > 1 ? (uint32_t)bytes.data[1] << 8 : 0) |
                 (bytes.len > 2 ? bytes.data[2] : 0);
    out[0] = digits[n >> 18];
    out[1] = digits[n >> 12 & 63];
    out[2] = bytes.len > 1 ? digits[n >> 6 & 63] : fill;
    out[3] = bytes.len > 2 ? digits[n & 63] : fill;
}

int base64_digit(uint8_t c)
{
    return c >= 'A' && c <= 'Z'   ? c - 'A'
           : c >= 'a' && c <= 'z' ? c - 'a' + 26
           : c >= '0' && c <= '9' ? c - '0' + 52
           : c == '+'             ? 62
           : c == '/'             ? 63
                                  : -1;
}
