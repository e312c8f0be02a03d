/* SPDX-License-Identifier: Apache-2.0 */
/* The overlay configuration document: what it says (RFC 6940 11.1; catalogue CF-*, T15). */
#include "dht/domain.h"
#include "node/overlay_doc.h"
#include "node/overlay_schema.h"
#include "node/overlay_xml.h"
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#define HEAD                                                                                       \
    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"                                                 \
    "<overlay xmlns=\"urn:ietf:params:xml:ns:p2p:config-base\"\n"                                  \
    " xmlns:chord=\"urn:ietf:params:xml:ns:p2p:config-chord\"\n"                                   \
    " xmlns:e=\"urn:example:ext\" xmlns:own=\"urn:chordial:params:xml:ns:config\">\n"
#define CHORD_NS "urn:ietf:params:xml:ns:p2p:config-chord"
#define CONFIGURATION(inner)                                                                       \
    "<configuration instance-name=\"overlay.example.org\" sequence=\"22\""                         \
    " expiration=\"2030-01-31T12:00:00Z\">" inner "</configuration>"
#define DOCUMENT(inner) HEAD CONFIGURATION(inner) "\n</overlay>"
#define KIND(attribute, model, policy, more)                                                       \
    "<kind-block><kind " attribute "><data-model>" model "</data-model><access-control>" policy    \
    "</access-control><max-count>7</max-count><max-size>100</max-size>" more                       \
    "</kind><kind-signature>AQI=</kind-signature></kind-block>"
#define KINDS(inner) "<required-kinds>" inner "</required-kinds>"

static uint8_t block[OVERLAY_DOC_BYTES_CAP + 65536];
static struct overlay_doc doc;
static char why[OVERLAY_DOC_WHY_CAP];
static struct overlay_schema *schema;

static void setup(void)
{
    schema = overlay_schema_new();
    cr_assert_not_null(schema);
}

static void teardown(void)
{
    overlay_schema_free(schema);
}

TestSuite(overlay_doc, .init = setup, .fini = teardown);

static enum err parse_bytes(const void *xml, size_t len, const char *name)
{
    struct arena arena;
    arena_init(&arena, block, sizeof(block));
    return overlay_doc_parse(schema, slice_of(xml, len), slice_text(name), &arena, &doc, why);
}

static enum err parse(const char *xml, const char *name)
{
    return parse_bytes(xml, strlen(xml), name);
}

static bool is_text(struct slice s, const char *text)
{
    return slice_is_equal(s, slice_text(text));
}

#define RESTRICT(enable, patterns)                                                                 \
    "<s:domain-restriction xmlns:s='urn:ietf:params:xml:ns:p2p:config-base:sip' " enable           \
    ">" patterns "</s:domain-restriction>"

Test(overlay_doc, defaults_of_rfc6940_11_1)
{
    cr_assert_eq(parse(DOCUMENT(""), ""), ERR_OK, "%s", why);
    cr_assert_str_eq(doc.config.name, "overlay.example.org");
    cr_assert(doc.has_sequence);
    cr_assert_eq(doc.config.sequence, 22);
    cr_assert(is_text(doc.topology, "CHORD-RELOAD"));
    cr_assert_eq(doc.config.initial_ttl, 100);
    cr_assert_eq(doc.config.max_message_bytes, 5000);
    cr_assert_eq(doc.config.reliability_timer_ms, 3000);
    cr_assert_eq(doc.config.chord_update_interval_s, 600);
    cr_assert_eq(doc.config.chord_ping_interval_s, 3600);
    cr_assert(doc.config.chord_reactive && doc.clients_permitted && !doc.config.no_ice);
    cr_assert(!doc.has_self_signed && !doc.self_signed_permitted && !doc.has_shared_secret);
    cr_assert_eq(doc.turn_density, 1);
    cr_assert_eq(doc.link_protocols.count, 1);
    cr_assert(is_text(doc.link_protocols.texts[0], "TLS"));
    cr_assert_eq(doc.config.links, OVERLAY_LINKS_BOTH, "TLS stands for DTLS too");
    cr_assert_eq(doc.config.replica_min_hosts, 2);
    cr_assert_eq(doc.config.kind_count, 0);
    cr_assert_eq(doc.expiration_ms, UINT64_C(1896091200000));
    cr_assert_eq(parse(HEAD "<configuration instance-name='a'/></overlay>", ""), ERR_OK, "%s", why);
    cr_assert(!doc.has_sequence && doc.expiration.len == 0); /* */
}

Test(overlay_doc, values_are_trimmed_and_taken)
{
    const char *xml = DOCUMENT(
        "<initial-ttl> +30 </initial-ttl><no-ice>1</no-ice><turn-density>0</turn-density>"
        "<bootstrap-node address=\"192.0.2.2\" port=\"6085\"/>"
        "<bootstrap-node address=\"2001:DB8::1\"/>"
        "<chord:chord-reactive> false </chord:chord-reactive>"
        "<own:replica-min-hosts>3</own:replica-min-hosts><root-cert>\nAQID\nBA==\n</root-cert>"
        "<configuration-signer>00112233445566778899aabbccddeeff</configuration-signer>"
        "<kind-signer>6eba45d31a900c06</kind-signer><node-id-length>18</node-id-length>"
        "<topology-plug-in> X </topology-plug-in>"
        "<enrollment-server><url>HTTPS://a.example/</url></enrollment-server>"
        "<enrollment-server> https://b.example/ </enrollment-server>"
        "<self-signed-permitted digest='sha256'>true</self-signed-permitted>"
        "<shared-secret> &lt;s&#x65;cret </shared-secret>"
        "<overlay-link-protocol>A</overlay-link-protocol>"
        "<overlay-link-protocol>B</overlay-link-protocol>"
        "<mandatory-extension> urn:x </mandatory-extension>" KINDS(
            KIND("name='SIP-REGISTRATION'", "SINGLE", "USER-MATCH", "") KIND(
                "id=\"4026531841\"", " ARRAY ", " NODE-MULTIPLE ",
                "<max-node-multiple>3</max-node-multiple><e:domain-restriction enable='true'/>")));
    cr_assert_eq(parse(xml, ""), ERR_OK, "%s", why);
    cr_assert_eq(doc.config.initial_ttl, 30);
    cr_assert_eq(doc.turn_density, 0, "A-44");
    cr_assert(doc.config.no_ice && !doc.config.chord_reactive);
    cr_assert_eq(doc.bootstrap_count, 2);
    cr_assert_eq(doc.bootstrap[0].port, 6085);
    cr_assert_eq(doc.bootstrap[1].port, 6084);
    cr_assert_eq(doc.bootstrap[1].family, 6);
    cr_assert_eq(doc.config.replica_min_hosts, 3);
    cr_assert(slice_is_equal(doc.roots[0], SLICE_LITERAL("\1\2\3\4")));
    cr_assert_eq(doc.configuration_signers.count, 1);
    cr_assert_eq(doc.configuration_signers.lens[0], 16);
    cr_assert_eq(doc.kind_signers.lens[0], 8);
    cr_assert_eq(doc.config.node_id_length, 18, "read, if not joined (A-15)");
    cr_assert(is_text(doc.topology, "X"));
    cr_assert(is_text(doc.enrollment_servers.texts[0], "HTTPS://a.example/"));
    cr_assert(is_text(doc.enrollment_servers.texts[1], "https://b.example/"));
    cr_assert(doc.has_self_signed && doc.self_signed_permitted && doc.self_signed_sha256);
    cr_assert(is_text(doc.shared_secret, " <secret "), "xsd:string keeps its blanks");
    cr_assert_eq(doc.link_protocols.count, 2);
    cr_assert(is_text(doc.mandatory_extensions.texts[0], "urn:x"));
    cr_assert_eq(doc.kind_count, 2);
    const struct overlay_doc_kind *k = &doc.kinds[1];
    cr_assert(is_text(doc.kinds[0].name, "SIP-REGISTRATION") && k->name.len == 0);
    cr_assert_eq(k->id, 4026531841u);
    cr_assert(is_text(k->data_model, "ARRAY") && is_text(k->access_control, "NODE-MULTIPLE"));
    cr_assert(k->max_count == 7 && k->max_size_bytes == 100 && k->max_node_multiple == 3);
    cr_assert(slice_is_equal(k->signature, SLICE_LITERAL("\1\2")));
    cr_assert_eq(memcmp(k->bytes.data, "<kind id=", 9), 0);
    cr_assert_eq(memcmp(k->bytes.data + k->bytes.len - 7, "</kind>", 7), 0);
    cr_assert_not_null(k->refusal, "nobody has judged it");
}

Test(overlay_doc, cf1_keeps_the_exact_bytes)
{
    const char *first = CONFIGURATION("<!-- </configuration> --><initial-ttl>9</initial-ttl>");
    static const char *const second = "<configuration instance-name=\"b.example\"  e:a='>'><e:x/>\n"
                                      "<e:y><![CDATA[</configuration>]]></e:y></configuration >";
    char xml[2048];
    snprintf(xml, sizeof(xml), "%s%s\n<signature>AQI=</signature><signature>\nAQM=</signature>%s%s",
             HEAD, first, second, "</overlay>");
    cr_assert_eq(parse(xml, ""), ERR_OK, "%s", why);
    cr_assert(slice_is_equal(doc.configuration, slice_text(first)));
    cr_assert_eq(doc.signature_count, 2);
    cr_assert(slice_is_equal(doc.signatures[0], SLICE_LITERAL("\1\2")));
    cr_assert(slice_is_equal(doc.signatures[1], SLICE_LITERAL("\1\3")));
    cr_assert_eq(parse(xml, "b.example"), ERR_OK, "%s", why);
    cr_assert(slice_is_equal(doc.configuration, slice_text(second)));
    cr_assert_eq(doc.signature_count, 0);
    cr_assert_eq(parse(xml, "c.example"), ERR_CONFIG);
}

/* Somebody else's signed <configuration>, put into an extension of mine, must not lend me its
 * bytes; nor a <kind> those of another. */
Test(overlay_doc, nested_elements_lend_no_bytes)
{
#define SIGNED "<configuration instance-name='good'><no-ice>true</no-ice></configuration>"
    static const char *const wrapped[] = {
        DOCUMENT("<e:x>" SIGNED "</e:x>"),
        DOCUMENT("<e:x><e:configuration>" SIGNED "</e:configuration></e:x>"),
        HEAD CONFIGURATION("<e:x xmlns=''>" SIGNED
                           "</e:x>") "<signature>AQI=</signature></overlay>",
    };
    for (size_t i = 0; i < ARRAY_COUNT(wrapped); i++) {
        cr_assert_eq(parse(wrapped[i], ""), ERR_OK, "%zu: %s", i, why);
        cr_assert_str_eq(doc.config.name, "overlay.example.org");
        struct slice head = SLICE_LITERAL("<configuration instance-name=\"overlay.example.org\"");
        struct slice tail = SLICE_LITERAL("</e:x></configuration>");
        struct slice got = doc.configuration;
        cr_assert(slice_is_equal(slice_sub(got, 0, head.len), head), "%zu", i);
        cr_assert(slice_is_equal(slice_from(got, got.len - tail.len), tail), "%zu", i);
    }
    cr_assert_eq(parse(DOCUMENT(KINDS(KIND("id='7'", "SINGLE", "USER-MATCH",
                                           "<e:x><kind id='8'>1</kind></e:x>")
                                          KIND("id='9'", "SINGLE", "USER-MATCH", ""))),
                       ""),
                 ERR_OK, "%s", why);
    cr_assert_eq(memcmp(doc.kinds[0].bytes.data, "<kind id='7'>", 13), 0);
    cr_assert_eq(memcmp(doc.kinds[1].bytes.data, "<kind id='9'>", 13), 0);
    cr_assert_eq(doc.kind_count, 2);
}

/* A declaration outside of the signed element counts where it says what is known without it. */
Test(overlay_doc, prefixes_are_settled_inside)
{
#define BASE_NS "urn:ietf:params:xml:ns:p2p:config-base"
#define IN(head, attributes, inner)                                                                \
    "<overlay xmlns='" BASE_NS "' " head "><configuration instance-name='a' " attributes ">" inner \
    "</configuration></overlay>"
#define DEEP "<f:a xmlns:f='urn:f'>1<f:b>2</f:b><!-- <e:c/> -->"
    static const struct {
        const char *xml, *outside;
    } rows[] = {
        {IN("xmlns:e='urn:e'", "", ""), NULL}, /* not used */
        {IN("xmlns:e='urn:e'", "", "<e:a/>"), "prefix e: declare xmlns:e on <configuration>"},
        {IN("xmlns:e='urn:e'", "xmlns:e='urn:g'", "<e:a/>"), NULL},
        {IN("xmlns:e='urn:e'", "", "<e:a xmlns:e='urn:g'/>"), NULL},
        {IN("xmlns:e='urn:e'", "", DEEP "</f:a>"), NULL},
        {IN("xmlns:e='urn:e'", "", DEEP "<e:c/></f:a>"), "prefix e:"},
        {IN("xmlns:e='urn:e'", "", DEEP "<f:c e:d='1'/></f:a>"), "prefix e:"},
        {IN("xmlns:e='urn:e'", "", DEEP "<f:c d='1' xml:lang='e'/></f:a>"), NULL},
        {IN("xmlns:e='urn:e'", "", DEEP "<f:c xmlns:e='urn:e' e:d='1'/></f:a>"), NULL},
        {IN("xmlns:e='urn:e'", "", DEEP "<f:c xmlns:e='urn:e'/><f:d e:d='1'/></f:a>"), "prefix e:"},
        {IN("xmlns:e='urn:e'", "e:x='1'", ""), "prefix e:"},
        {IN("", "xmlns:e='urn:e' e:x='1'", ""), NULL},
        /* The usual prefix alone, even for a namespace that we know. */
        {IN("xmlns:c='" CHORD_NS "'", "", "<c:chord-reactive>0</c:chord-reactive>"), "prefix c:"},
        {IN("xmlns:e='" CHORD_NS "'", "", "<e:chord-reactive>0</e:chord-reactive>"), "prefix e:"},
        {IN("", "xmlns:c='" CHORD_NS "'", "<c:chord-reactive>0</c:chord-reactive>"), NULL},
        {IN("xmlns:b='" BASE_NS "'", "", "<b:no-ice>1</b:no-ice>"), "prefix b:"},
        {IN("xmlns:redir='urn:ietf:params:xml:ns:p2p:redir'", "", "<redir:a/>"), NULL},
        {IN("xmlns:redir='urn:ietf:params:xml:ns:p2p:sip'", "", "<redir:a/>"), "prefix redir:"},
        {IN("xmlns:r='urn:e'", "", "<r:a/>"), "prefix r: declare xmlns:r on"},
        {"<b:overlay xmlns:b='" BASE_NS "' xmlns='" BASE_NS "'><b:configuration instance-name='a' "
         "xmlns:b='" BASE_NS "'><no-ice>1</no-ice></b:configuration></b:overlay>",
         NULL},
        {"<b:overlay xmlns:b='" BASE_NS "' xmlns='urn:x'><b:configuration instance-name='a' "
         "xmlns:b='" BASE_NS "'><no-ice>1</no-ice></b:configuration></b:overlay>",
         "default namespace: declare xmlns on <configuration>"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        cr_assert_eq(parse(rows[i].xml, ""), ERR_OK, "%s: %s", rows[i].xml, why);
        cr_expect_eq(doc.outside == NULL, rows[i].outside == NULL, "%s: %s", rows[i].xml,
                     doc.outside == NULL ? "no reason" : doc.outside);
        cr_expect(doc.outside == NULL || rows[i].outside == NULL ||
                      strstr(doc.outside, rows[i].outside) == doc.outside,
                  "%s: %s", rows[i].xml, doc.outside);
    }
    /* Declared nowhere: no document (libxml2 alone would go on). */
    cr_expect_eq(parse(IN("", "", DEEP "<e:c/></f:a>"), ""), ERR_CONFIG);
    cr_expect_not_null(strstr(why, "prefix e"), "%s", why);
    cr_expect_eq(parse(IN("", "", DEEP "<f:c e:d='1'/></f:a>"), ""), ERR_CONFIG);
    cr_expect_eq(parse(IN("", "e:d='1'", ""), ""), ERR_CONFIG);
}

Test(overlay_doc, several_configurations)
{
    const char *xml = HEAD CONFIGURATION("") "<configuration instance-name='b'/>"
                                             "<signature>AQI=</signature></overlay>";
    struct arena arena;
    static const char *const names[] = {"overlay.example.org", "b"};
    for (size_t i = 0; i < 3; i++) {
        arena_init(&arena, block, sizeof(block));
        enum err e = overlay_doc_parse_at(schema, slice_text(xml), i, &arena, &doc, why);
        cr_assert_eq(e, i < 2 ? ERR_OK : ERR_NOT_FOUND, "%zu: %s", i, why);
        cr_assert(i == 2 || strcmp(doc.config.name, names[i]) == 0);
        cr_assert_eq(doc.signature_count, i == 1 ? 1 : 0);
    }
}

Test(overlay_doc, refuses_what_is_no_document)
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
        HEAD "<configuration instance-name=\"a\" more=\"1\"/></overlay>",
        HEAD "<configuration instance-name=\"a\"/><e:x/></overlay>",
        HEAD "<signature>AQI=</signature></overlay>",
        DOCUMENT("text"),
        DOCUMENT("<no-ice>True</no-ice>"),
        DOCUMENT("<no-ice>tr<e:x/>ue</no-ice>"),
        DOCUMENT("<no-ice e:x='1'>true</no-ice>"),
        DOCUMENT("<initial-ttl>0</initial-ttl>"),
        DOCUMENT("<initial-ttl>256</initial-ttl>"),
        DOCUMENT("<turn-density>256</turn-density>"),
        DOCUMENT("<node-id-length>21</node-id-length>"),
        DOCUMENT("<node-id-length>15</node-id-length>"),
        DOCUMENT("<overlay-reliability-timer>199</overlay-reliability-timer>"),
        DOCUMENT("<bootstrap-node port=\"1\"/>"),
        DOCUMENT("<bootstrap-node address=\"example.org\"/>"),
        DOCUMENT("<bootstrap-node address=\"192.0.2.1\" port=\"0\"/>"),
        DOCUMENT("<bootstrap-node address=\"192.0.2.1\" port=\"65536\"/>"),
        DOCUMENT("<bad-node>xyz</bad-node>"),
        DOCUMENT("<bad-node></bad-node>"),
        DOCUMENT("<root-cert>A</root-cert>"),
        DOCUMENT("<root-cert></root-cert>"),
        DOCUMENT("<enrollment-server>http://a.example/</enrollment-server>"),
        DOCUMENT("<enrollment-server><url>https://a</url><url>https://b</url></enrollment-server>"),
        DOCUMENT("<self-signed-permitted>true</self-signed-permitted>"),
        DOCUMENT("<self-signed-permitted digest='md5'>true</self-signed-permitted>"),
        DOCUMENT("<topology-plugin>A</topology-plugin><topology-plug-in>A</topology-plug-in>"),
        DOCUMENT("<no-ice>1</no-ice><no-ice>1</no-ice>"),
        DOCUMENT("<no-such-element/>"),
        DOCUMENT("<chord:no-such-element/>"),
        DOCUMENT("<x xmlns=''/>"),
        DOCUMENT("<required-kinds><kind-block/></required-kinds>"),
        DOCUMENT("<required-kinds><kind-block><kind name=\"A\"/></kind-block></required-kinds>"),
        DOCUMENT(KINDS(KIND("", "SINGLE", "USER-MATCH", ""))),
        DOCUMENT(KINDS(KIND("name='A' id='1'", "SINGLE", "USER-MATCH", ""))),
        DOCUMENT(KINDS(KIND("id='-1'", "SINGLE", "USER-MATCH", ""))),
        DOCUMENT(KINDS(KIND("id='4294967296'", "SINGLE", "USER-MATCH", ""))),
        DOCUMENT(KINDS(KIND("id='7'", "", "USER-MATCH", ""))),
        DOCUMENT(KINDS(KIND("id='7'", "SINGLE", "NODE-MULTIPLE", ""))),
        DOCUMENT(KINDS(
            KIND("id='7'", "SINGLE", "USER-MATCH", "<max-node-multiple>0</max-node-multiple>"))),
        DOCUMENT(KINDS(KIND("id='7'", "SINGLE", "USER-MATCH", "<max-count>7</max-count>"))),
        DOCUMENT(KINDS("<kind-block><kind name='A'><data-model>SINGLE</data-model><access-control>"
                       "USER-MATCH</access-control><max-count>1</max-count><max-size>1</max-size>"
                       "</kind></kind-block>")), /* the signature is required */
        "<!DOCTYPE overlay [<!ENTITY a \"b\">]>" DOCUMENT(""),
        DOCUMENT("<shared-secret>&unknown;</shared-secret>"),
    };
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        cr_assert_eq(parse(bad[i], ""), ERR_CONFIG, "case %zu: %.200s", i, bad[i]);
        cr_assert(why[0] != '\0', "case %zu says nothing", i);
    }
}

/* Line, element and what is wrong. */
Test(overlay_doc, says_where_and_what)
{
    static const char *const rows[][2] = {
        {DOCUMENT("\n<initial-ttl>x</initial-ttl>"),
         "line 6: <initial-ttl>: wants a whole number from 1 to 255"},
        {DOCUMENT("\n\n<no-ice>True</no-ice>"), "line 7: <no-ice>: wants true, false, 1 or 0"},
        {DOCUMENT("\n<no-ice>1</no-ice>\n<no-ice>1</no-ice>"), "line 7: <no-ice>: stands twice"},
        {DOCUMENT("<no-isce>1</no-isce>"),
         "line 5: <no-isce>: is not an element of a configuration"},
        {DOCUMENT("<no-ice e:a='1'>1</no-ice>"), "line 5: <no-ice>: "},
        {DOCUMENT("<no-ice>1</no-ic>"), "line 5: not well-formed XML: "},
        {HEAD "\n</overlay>", "line 4: <overlay>: Expecting an element configuration"},
        {"<!DOCTYPE overlay>" DOCUMENT(""), "line 1: a DOCTYPE"},
        {DOCUMENT(KINDS(KIND("name='SIP-REGISTRATION'", "DICTIONARY", "USER-NODE-MATCH",
                             RESTRICT("enable='yes'", "")))),
         "line 5: <domain-restriction>: enable is no boolean"},
        {DOCUMENT(KINDS(KIND("name='SIP-REGISTRATION'", "DICTIONARY", "USER-NODE-MATCH",
                             RESTRICT("enable='true'", "<s:pattern>a(b</s:pattern>")))),
         "line 5: <pattern>: is no regular expression"},
        {DOCUMENT(KINDS(
             KIND("name='SIP-REGISTRATION'", "DICTIONARY", "USER-NODE-MATCH", RESTRICT("", ""))
                 KIND("id='7'", "SINGLE", "USER-MATCH", RESTRICT("", "")))),
         "line 5: <domain-restriction>: another Kind has one, too"},
        {DOCUMENT(KINDS(KIND("id='7'", "SINGLE", "NODE-MULTIPLE", ""))),
         "line 5: <kind>: NODE-MULTIPLE wants max-node-multiple"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        cr_assert_eq(parse(rows[i][0], ""), ERR_CONFIG);
        cr_assert_eq(strncmp(why, rows[i][1], strlen(rows[i][1])), 0, "%zu: %s", i, why);
    }
}

/* RFC 7904 3.4: absent, the overlay's own name, patterns; in words of the prose, too. */
Test(overlay_doc, domains_of_sip_registration)
{
    static const char *const forms[] = {
        DOCUMENT(KINDS(KIND("name='SIP-REGISTRATION'", "DICTIONARY", "USER-NODE-MATCH", ""))),
        DOCUMENT(KINDS(
            KIND("name='SIP-REGISTRATION'", "DICTIONARY", "USER-NODE-MATCH", RESTRICT("", "")))),
        DOCUMENT(KINDS(KIND(
            "name='SIP-REGISTRATION'", "DICTIONARY", "USER-NODE-MATCH",
            RESTRICT("enable='1'", "<s:pattern>a\\.example</s:pattern><s:pattern>b</s:pattern>")))),
    };
    for (size_t i = 0; i < ARRAY_COUNT(forms); i++) {
        cr_assert_eq(parse(forms[i], ""), ERR_OK, "%s", why);
        const struct domain_rules *d = doc.kinds[0].domains;
        memset(doc.config.name, 'x', sizeof(doc.config.name)); /* as it does when it is moved */
        cr_assert_eq(d == NULL, i == 0);
        cr_assert(i != 1 || (!d->is_listed && is_text(d->own, "overlay.example.org")));
        cr_assert(i != 2 || (d->is_listed && d->count == 2 && is_text(d->patterns[1], "b")));
    }
}

/* What is said may quote the document, but cannot speak to a terminal. */
Test(overlay_doc, complaints_are_printable)
{
    cr_assert_eq(parse(DOCUMENT("<turn-density>\x7f\xc2\x9b"
                                "31m</turn-density>"),
                       ""),
                 ERR_CONFIG);
    cr_assert_eq(parse(DOCUMENT("<caf\xc3\xa9/>"), ""), ERR_CONFIG);
    cr_assert_not_null(strstr(why, "<caf?\?>"), "%s", why);
}

Test(overlay_doc, only_utf8)
{
    static const uint8_t utf16[] = {0xff, 0xfe, '<', 0, 'o', 0, '/', 0, '>', 0};
    static const char with_nul[] = DOCUMENT("") "\0<x>";
    cr_assert_eq(parse_bytes(utf16, sizeof(utf16), ""), ERR_CONFIG);
    cr_assert_eq(parse_bytes(with_nul, sizeof(with_nul) - 1, ""), ERR_CONFIG);
    static const char *const heads[] = {
        "<?xml version='1.0' encoding='ISO-8859-1'?>", "<?xml version='1.0' encoding='UTF-16'?>",
        "<?xml version='1.0' encoding = \"UTF-7\" ?>", "<?xml version='1.0' encoding=\"UTF-8'?>",
        "\xef\xbb\xbf<?xml version='1.0' encoding='latin1'?>"};
    static const char body[] = DOCUMENT("");
    char xml[1024];
    for (size_t i = 0; i < ARRAY_COUNT(heads); i++) {
        snprintf(xml, sizeof(xml), "%s%s", heads[i], &body[39]);
        cr_assert_eq(parse(xml, ""), ERR_CONFIG, "%s", heads[i]);
    }
    snprintf(xml, sizeof(xml), "\xef\xbb\xbf<?xml version='1.0' encoding='utf-8'?>%s", &body[39]);
    cr_assert_eq(parse(xml, ""), ERR_OK, "%s", why);
    cr_assert_eq(parse(DOCUMENT("<shared-secret>\xff</shared-secret>"), ""), ERR_CONFIG);
}

/* Repeats `part` `count` times inside of a configuration. */
static const char *repeated(const char *part, size_t count, const char *close)
{
    static char xml[2 * OVERLAY_DOC_BYTES_CAP];
    size_t len = (size_t)snprintf(xml, sizeof(xml), "%s<configuration instance-name='a'>", HEAD);
    for (size_t i = 0; i < count; i++) {
        len += (size_t)snprintf(xml + len, sizeof(xml) - len, "%s", part);
    }
    snprintf(xml + len, sizeof(xml) - len, "%s</configuration></overlay>", close);
    return xml;
}

Test(overlay_doc, t15_6_counts_are_capped)
{
    static const struct {
        const char *part;
        size_t cap;
    } rows[] = {
        {"<root-cert>AQI=</root-cert>", OVERLAY_DOC_ROOTS_CAP},
        {"<bad-node>00112233445566778899aabbccddeeff</bad-node>", OVERLAY_DOC_IDS_CAP},
        {"<bootstrap-node address='192.0.2.1'/>", OVERLAY_DOC_BOOTSTRAP_CAP},
        {"<enrollment-server>https://a/</enrollment-server>", OVERLAY_DOC_LIST_CAP},
        {"<overlay-link-protocol>A</overlay-link-protocol>", OVERLAY_DOC_LIST_CAP},
        {"<mandatory-extension>a</mandatory-extension>", OVERLAY_DOC_LIST_CAP},
    };
    char hint[40];
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        snprintf(hint, sizeof(hint), "more than %zu of these", rows[i].cap);
        cr_assert_eq(parse(repeated(rows[i].part, rows[i].cap, ""), ""), ERR_OK, "%s", why);
        cr_assert_eq(parse(repeated(rows[i].part, rows[i].cap + 1, ""), ""), ERR_CONFIG);
        cr_assert_not_null(strstr(why, hint), "%s", why);
    }
    char kinds[OVERLAY_DOC_KINDS_CAP * 300];
    for (size_t count = OVERLAY_DOC_KINDS_CAP; count < OVERLAY_DOC_KINDS_CAP + 2; count++) {
        size_t len = (size_t)snprintf(kinds, sizeof(kinds), "<required-kinds>");
        for (size_t i = 0; i < count; i++) {
            len += (size_t)snprintf(kinds + len, sizeof(kinds) - len,
                                    KIND("id='%zu'", "SINGLE", "USER-MATCH", ""), i + 1);
        }
        snprintf(kinds + len, sizeof(kinds) - len, "</required-kinds>");
        enum err expected = count == OVERLAY_DOC_KINDS_CAP ? ERR_OK : ERR_CONFIG;
        cr_assert_eq(parse(repeated(kinds, 1, ""), ""), expected, "%s", why);
    }
    cr_assert_eq(parse(repeated("</configuration><configuration instance-name='a'>",
                                OVERLAY_DOC_CONFIGURATIONS_CAP, ""),
                       ""),
                 ERR_CONFIG);
    cr_assert_eq(parse(repeated("", 0,
                                "</configuration><signature>AQI=</signature>"
                                "<signature>AQI=</signature><signature>AQI=</signature>"
                                "<signature>AQI=</signature><signature>AQI=</signature>"
                                "<configuration instance-name='b'>"),
                       ""),
                 ERR_CONFIG);
}

Test(overlay_doc, t15_6_bombs_end_soon)
{
    static char xml[OVERLAY_DOC_BYTES_CAP + 2];
    memset(xml, ' ', sizeof(xml) - 1);
    cr_assert_eq(parse(xml, ""), ERR_CONFIG);
    cr_assert_eq(parse(repeated("<e:a>", 40, ""), ""), ERR_CONFIG);
    cr_assert_not_null(strstr(why, "32 deep"), "%s", why);
    cr_assert_eq(parse(repeated("<e:a/>", OVERLAY_SPAN_ELEMENTS_CAP + 1, ""), ""), ERR_CONFIG);
    cr_assert_not_null(strstr(why, "8192 elements"), "%s", why);
    cr_assert_eq(parse(repeated("<e:a/>", OVERLAY_SPAN_ELEMENTS_CAP - 2, ""), ""), ERR_OK, "%s",
                 why);
    size_t len = (size_t)snprintf(xml, sizeof(xml), "%s<configuration", HEAD);
    for (size_t i = 0; i <= OVERLAY_SPAN_ATTRIBUTES_CAP; i++) {
        len += (size_t)snprintf(xml + len, sizeof(xml) - len, " e:a%zu=''", i);
    }
    snprintf(xml + len, sizeof(xml) - len, "/></overlay>");
    cr_assert_eq(parse(xml, ""), ERR_CONFIG);
    cr_assert_not_null(strstr(why, "64 attributes"), "%s", why);
    cr_assert_eq(parse(repeated("\n<!-- ", 1, ""), ""), ERR_CONFIG);
    /* Extensions as wide as they may be. */
    cr_assert_eq(
        parse(repeated("<e:a><e:b c=''><d xmlns=''>x<e:f/></d>y</e:b></e:a>", 2000, ""), ""),
        ERR_OK, "%s", why);
}

Test(overlay_doc, a_small_arena_is_refused)
{
    struct arena arena;
    const char *xml = DOCUMENT("");
    arena_init(&arena, block, strlen(xml) + OVERLAY_DOC_ARENA_EXTRA - 1);
    cr_assert_eq(overlay_doc_parse(schema, slice_text(xml), SLICE_EMPTY, &arena, &doc, why),
                 ERR_CONFIG);
    cr_assert_not_null(strstr(why, "memory"), "%s", why);
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
        {"2002-10-10T07:00:00.250Z", true, UINT64_C(1034233200000)},
        {"2002-10-10T07:00:00+00:00", true, UINT64_C(1034233200000)},
        {"2024-02-29T12:00:00Z", true, UINT64_C(1709208000000)},
        {"2023-02-29T12:00:00Z", false, 0},
        {"2100-02-29T12:00:00Z", false, 0},
        {"2002-10-10T09:00:00+02:00", false, 0}, /* not UTC (11.1) */
        {"2002-13-10T07:00:00Z", false, 0},
        {"2002-04-31T07:00:00Z", false, 0},
        {"2002-10-10 07:00:00Z", false, 0},
        {"2002-10-10T07:00:00", false, 0},
        {"2002-10-10T07:00:00.Z", false, 0},
        {"2002-10-10T07:00:00+2", false, 0},
        {"2002-10-10T07:00:00Zx", false, 0},
        {"2002-10-10T24:00:00Z", false, 0},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        uint64_t ms = 0;
        cr_assert_eq(overlay_xml_time(slice_text(rows[i].text), &ms), rows[i].ok, "row %zu", i);
        cr_assert(!rows[i].ok || ms == rows[i].ms, "row %zu: %lu", i, ms);
    }
}

/* ---- the schema and the scanner alone ---- */

Test(overlay_doc, the_schema_is_itself_xml)
{
    struct slice text = overlay_schema_text();
    xmlDoc *xml = overlay_xml_open(text, why, sizeof(why));
    cr_assert_not_null(xml, "%s", why);
    cr_assert_gt(overlay_xml_count(xml), 100);
    xmlFreeDoc(xml);
    cr_assert(overlay_schema_accepts(schema, SLICE_LITERAL(DOCUMENT("<e:x/>")), why, sizeof(why)));
    cr_assert_not(overlay_schema_accepts(schema, text, why, sizeof(why)));
    /* Values are not the grammar's business. */
    cr_assert(overlay_schema_accepts(
        schema, SLICE_LITERAL(DOCUMENT("<node-id-length>21</node-id-length>")), why, sizeof(why)));
}

Test(overlay_doc, spans_are_counted_as_elements_are)
{
    static const char xml[] = "<?x <a> ?><a b='>' c=\"'>\"><!-- <a> --><b/><c ><d></d></c\n>"
                              "<![CDATA[<e>]]><b:e></b:e></a>";
    static const char *const spans[] = {NULL, "<b/>", "<c ><d></d></c\n>", "<d></d>",
                                        "<b:e></b:e>"};
    struct overlay_span span;
    for (size_t i = 1; i < ARRAY_COUNT(spans); i++) {
        cr_assert(overlay_span_find(slice_text(xml), i, &span));
        cr_assert(is_text(span.bytes, spans[i]), "%zu: %.*s", i, (int)span.bytes.len,
                  span.bytes.data);
    }
    cr_assert(overlay_span_find(slice_text(xml), 0, &span));
    cr_assert_eq(span.bytes.len, sizeof(xml) - 1 - 10);
    cr_assert_eq(span.head_bytes, strlen("<a b='>' c=\"'>\">"));
    cr_assert(is_text(span.name, "a"));
    cr_assert_not(overlay_span_find(slice_text(xml), 5, &span));
}

/* Every prefix, in a block of its own: nothing is read behind the end. */
Test(overlay_doc, cut_anywhere)
{
    static const char xml[] = "<?xml version='1.0'?><overlay xmlns='urn:ietf:params:xml:ns:p2p:"
                              "config-base'><!-- x --><configuration instance-name='a'><![CDATA[ "
                              "]]></configuration></overlay>";
    struct overlay_span span;
    for (size_t len = 0; len < sizeof(xml) - 1; len++) {
        char *copy = malloc(len == 0 ? 1 : len);
        memcpy(copy, xml, len);
        (void)overlay_span_find(slice_of(copy, len), 1, &span);
        cr_assert_eq(parse_bytes(copy, len, ""), ERR_CONFIG, "%zu", len);
        free(copy);
    }
    cr_assert_eq(parse(xml, ""), ERR_OK, "%s", why);
}
