/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/phone_routes.h"
#include <stdio.h>

enum { MAX_ROUTES = 8 };

void phone_routes_read(const struct sip_msg *m, bool is_reversed, char *out, size_t cap)
{
    struct slice found[MAX_ROUTES];
    size_t count = 0;
    size_t used = 0;
    struct sip_msg_items it = sip_msg_items(m, SIP_HDR_RECORD_ROUTE);
    while (count < MAX_ROUTES && sip_msg_items_next(&it, &found[count]) == ERR_OK) {
        count++;
    }
    out[0] = '\0';
    for (size_t i = 0; i < count; i++) {
        struct slice s = found[is_reversed ? count - 1 - i : i];
        if (used + s.len + sizeof("Route: \r\n") <= cap) {
            used += (size_t)snprintf(out + used, cap - used, "Route: %.*s\r\n", (int)s.len,
                                     (const char *)s.data);
        }
    }
}
