/* SPDX-License-Identifier: Apache-2.0 */
/* cmd/ask: strings of strangers tell the operator's terminal nothing. */
#include "cmd/ask.h"
#include <criterion/criterion.h>

Test(ask, strings_become_plain)
{
    json_t *v =
        json_loads("{\"uri\":\"sip:a\\u001b]0;x\\u0007\\r\\nb\\u009bc\\u007f\","
                   "\"route\":[\"\\u001b[2J\",{\"n\":\"caf\\u00e9\"},7,null],\"empty\":\"\"}",
                   0, NULL);
    cr_assert_not_null(v);
    ask_make_plain(v);
    json_t *route = json_object_get(v, "route");
    cr_expect_str_eq(json_string_value(json_object_get(v, "uri")), "sip:a?]0;x???b\?\?c?");
    cr_expect_str_eq(json_string_value(json_array_get(route, 0)), "?[2J");
    cr_expect_str_eq(json_string_value(json_object_get(json_array_get(route, 1), "n")),
                     "caf\xc3\xa9");
    cr_expect_eq(json_integer_value(json_array_get(route, 2)), 7);
    cr_expect_str_eq(json_string_value(json_object_get(v, "empty")), "");
    json_decref(v);
}
