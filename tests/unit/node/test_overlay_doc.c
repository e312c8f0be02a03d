/* SPDX-License-Identifier: Apache-2.0 */
/* The overlay configuration document (RFC 6940 11.1; catalogue CF-*, T15). */
#include "node/overlay_doc.h"
#include "node/overlay_xml.h"
#include <criterion/criterion.h>
#include <stdio.h>

#define HEAD                                                                                       \
    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"                                                 \
    "<overlay xmlns=\"urn:ietf:params:xml:ns:p2p:config-base\"\n"                                  \
    " xmlns:chord=\"urn:ietf:params:xml:ns:p2p:config-chord\"\n"                                   \
    " xmlns:own=\"urn:chordial:params:xml:ns:config\">\n"
#define CONFIGURATION(inner)                                                                       \
    "<configuration instance-name=\"overlay.example.org\" sequence=\"22\""                         \
    " expiration=\"2030-01-31T12:00:00Z\">" inner "</configuration>"
#define DOCUMENT(inner) HEAD CONFIGURATION(inner) "\n</overlay>"

static uint8_t block[65536];
static struct overlay_doc doc;
static char why[OVERLAY_DOC_WHY_CAP];

static enum err parse(const char *xml, const char *name)
{
    struct arena arena;
    arena_init(&arena, block, sizeof(block));
    return overlay_doc_parse(slice_text(xml), slice_text(name), &arena, &doc, why);
}

Test(overlay_doc, defaults_of_rfc6940_11_1)
{
    cr_assert_eq(parse(DOCUMENT(""), ""), ERR_OK, "%s", why);
    cr_assert_str_eq(doc.config.name, "overlay.example.org");
    cr_assert_eq(doc.config.sequence, 22);
    cr_assert_eq(doc.config.initial_ttl, 100);
    cr_assert_eq(doc.config.max_message_bytes, 5000);
    cr_assert_eq(doc.config.reliability_timer_ms, 3000);
    cr_assert_eq(doc.config.chord_update_interval_s, 600);
    cr_assert_eq(doc.config.chord_ping_interval_s, 3600);
    cr_assert(doc.config.chord_reactive && doc.clients_permitted && !doc.config.no_ice);
    cr_assert_eq(doc.config.replica_min_hosts, 2);
    cr_assert_eq(doc.config.kind_count, 3);
    cr_assert_eq(doc.expiration_ms, UINT64_C(1896091200000));
}

Test(overlay_doc, values_are_trimmed_and_taken)
{
    const char *xml = DOCUMENT(
        "<initial-ttl> 30 </initial-ttl><no-ice>1</no-ice>"
        "<bootstrap-node address=\"192.0.2.2\" port=\"6085\"/><bootstrap-node "
        "address=\"2001:DB8::1\"/>"
        "<chord:chord-reactive> false </chord:chord-reactive>"
        "<own:replica-min-hosts>3</own:replica-min-hosts><root-cert>\nAQID\nBA==\n</root-cert>"
        "<configuration-signer>00112233445566778899aabbccddeeff</configuration-signer>"
        "<kind-signer>6eba45d31a900c06</kind-signer>"
        "<required-kinds><kind-block><kind "
        "name=\"SIP-REGISTRATION\"><data-model>SINGLE</data-model>"
        "<access-control>USER-MATCH</access-control><max-count>7</max-count><max-size>100</"
        "max-size>"
        "</kind></kind-block></required-kinds>");
    cr_assert_eq(parse(xml, ""), ERR_OK, "%s", why);
    cr_assert_eq(doc.config.initial_ttl, 30);
    cr_assert(doc.config.no_ice && !doc.config.chord_reactive);
    cr_assert_eq(doc.bootstrap_count, 2);
    cr_assert_eq(doc.bootstrap[0].port, 6085);
    cr_assert_eq(doc.bootstrap[1].port, 6084);
    cr_assert_eq(doc.bootstrap[1].family, 6);
    cr_assert_eq(doc.config.replica_min_hosts, 3);
    cr_assert(slice_is_equal(doc.roots[0], SLICE_LITERAL("\1\2\3\4")));
    cr_assert_eq(doc.configuration_signers.count, 1);
    cr_assert_eq(doc.kind_signers.count, 0, "an id of another length names nobody here (A-63)");
    /* the registry's model wins, the document's sizes hold. */
    cr_assert_eq(doc.config.kinds[0].data_model, OVERLAY_DICTIONARY);
    cr_assert_eq(doc.config.kinds[0].access, OVERLAY_USER_NODE_MATCH);
    cr_assert_eq(doc.config.kinds[0].max_count, 7);
}

Test(overlay_doc, cf1_keeps_the_exact_bytes)
{
    const char *first = CONFIGURATION("<!-- </configuration> --><initial-ttl>9</initial-ttl>");
    static const char *const second = "<configuration instance-name=\"b.example\"  a='>'><x/>\n"
                                      "</configuration >";
    char xml[2048];
    snprintf(xml, sizeof(xml), "%s%s\n<signature>AQI=</signature>%s</overlay>", HEAD, first,
             second);
    cr_assert_eq(parse(xml, ""), ERR_OK, "%s", why);
    cr_assert(slice_is_equal(doc.configuration, slice_text(first)));
    cr_assert(slice_is_equal(doc.signature, SLICE_LITERAL("\1\2")));
    cr_assert_eq(parse(xml, "b.example"), ERR_OK, "%s", why);
    cr_assert(slice_is_equal(doc.configuration, slice_text(second)));
    cr_assert_eq(doc.signature.len, 0);
    cr_assert_eq(parse(xml, "c.example"), ERR_CONFIG);
}

Test(overlay_doc, refuses_what_it_cannot_act_upon)
{
    static const char *const bad[] = {
        "",
        "<overlay>",
        "<overlay/>",
        HEAD "</overlay>",
        HEAD "<configuration/></overlay>",
        HEAD "<configuration instance-name=\"a b\"/></overlay>",
        HEAD "<configuration instance-name=\"a\" sequence=\"65535\"/></overlay>",
        HEAD "<configuration instance-name=\"a\" sequence=\"-1\"/></overlay>",
        HEAD "<configuration instance-name=\"a\" expiration=\"2030-02-31\"/></overlay>",
        DOCUMENT("<no-ice>True</no-ice>"),
        DOCUMENT("<initial-ttl>101</initial-ttl>"),
        DOCUMENT("<turn-density>256</turn-density>"),
        DOCUMENT("<node-id-length>21</node-id-length>"),
        DOCUMENT("<node-id-length>20</node-id-length>"), /* */
        DOCUMENT("<overlay-reliability-timer>199</overlay-reliability-timer>"),
        DOCUMENT("<topology-plugin>PASTRY</topology-plugin>"),
        DOCUMENT("<bootstrap-node port=\"1\"/>"),
        DOCUMENT("<bootstrap-node address=\"example.org\"/>"),
        DOCUMENT("<bootstrap-node address=\"192.0.2.1\" port=\"0\"/>"),
        DOCUMENT("<bad-node>xyz</bad-node>"),
        DOCUMENT("<root-cert>A</root-cert>"),
        DOCUMENT("<mandatory-extension>urn:example:unknown</mandatory-extension>"),
        DOCUMENT("<required-kinds><kind-block/></required-kinds>"),
        DOCUMENT("<required-kinds><kind-block><kind name=\"A\"/></kind-block></required-kinds>"),
        "<!DOCTYPE overlay [<!ENTITY a \"b\">]>" DOCUMENT(""),
    };
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        cr_assert_eq(parse(bad[i], ""), ERR_CONFIG, "case %zu", i);
        cr_assert(why[0] != '\0', "case %zu says nothing", i);
    }
}

Test(overlay_doc, t15_6_bombs_end_soon)
{
    static char xml[OVERLAY_DOC_BYTES_CAP + 2];
    memset(xml, ' ', sizeof(xml) - 1);
    cr_assert_eq(parse(xml, ""), ERR_CONFIG);
    /* nesting deeper than libxml2 allows */
    size_t len = (size_t)snprintf(xml, sizeof(xml), "%s", HEAD);
    while (len + 4 < sizeof(xml) - 1) {
        memcpy(xml + len, "<a>", 3);
        len += 3;
    }
    xml[len] = '\0';
    cr_assert_eq(parse(xml, ""), ERR_CONFIG);
}

Test(overlay_doc, times_of_rfc3339)
{
    static const struct {
        const char *text;
        bool ok;
        uint64_t ms;
    } rows[] = {
        {"1970-01-01T00:00:00Z", true, 0},
        {"2002-10-10T07:00:00Z", true, UINT64_C(1034233200000)},
        {"2002-10-10T07:00:00.250z", true, UINT64_C(1034233200000)},
        {"2002-10-10T09:00:00+02:00", true, UINT64_C(1034233200000)},
        {"2024-02-29T12:00:00-01:30", true, UINT64_C(1709213400000)},
        {"2002-13-10T07:00:00Z", false, 0},
        {"2002-10-10 07:00:00Z", false, 0},
        {"2002-10-10T07:00:00", false, 0},
        {"2002-10-10T07:00:00+2", false, 0},
        {"2002-10-10T07:00:00Zx", false, 0},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        uint64_t ms = 0;
        cr_assert_eq(overlay_xml_time(slice_text(rows[i].text), &ms), rows[i].ok, "row %zu", i);
        cr_assert(!rows[i].ok || ms == rows[i].ms, "row %zu: %lu", i, ms);
    }
}
