/* SPDX-License-Identifier: Apache-2.0 */
/* protos_cases.c - writes PROTOS-like cases to its output, each behind its length in four bytes.
 *
 *     protos_cases DOMAIN [STRIDE] [FIRST]     every STRIDE-th case, from FIRST on */
#include "tests/unit/codec/protos.h"
#include <stdlib.h>

int main(int argc, char **argv)
{
    static uint8_t text[PROTOS_CASE_CAP];
    unsigned stride = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 1;
    unsigned n = argc > 3 ? (unsigned)strtoul(argv[3], NULL, 10) : 0;
    if (argc < 2 || stride == 0) {
        (void)fputs("usage: protos_cases DOMAIN [STRIDE] [FIRST]\n", stderr);
        return 2;
    }
    for (; n < protos_count(); n += stride) {
        uint32_t len = (uint32_t)protos_make(n, argv[1], text);
        const uint8_t head[4] = {(uint8_t)(len >> 24), (uint8_t)(len >> 16), (uint8_t)(len >> 8),
                                 (uint8_t)len};
        if (fwrite(head, sizeof(head), 1, stdout) != 1 ||
            (len > 0 && fwrite(text, len, 1, stdout) != 1)) {
            return 1;
        }
    }
    return fflush(stdout) == 0 ? 0 : 1;
}
