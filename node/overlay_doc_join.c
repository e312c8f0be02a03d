/* SPDX-License-Identifier: Apache-2.0 */
/* Can this program be a peer of the overlay?  A document may be right and ask for what we have not;
 * who cannot meet it must stay away, or leave (RFC 6940 11.1; CF-4). */
#include "node/overlay_doc_inside.h"
#include <stdio.h>

enum {
    /* Smaller than a Join with a chain of certificates, larger than our buffers. */
    MESSAGE_BYTES_MIN = 1000,
    MESSAGE_BYTES_MAX = 65535,
    RELIABILITY_TIMER_MAX_MS = 60000,
    INTERVAL_MAX_S = 86400,
};

static bool is_one_of(struct slice text, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (slice_is_equal(text, slice_text(names[i]))) {
            return true;
        }
    }
    return false;
}

static enum err fail(char *why, enum err e, const char *what, struct slice quoted)
{
    snprintf(why, OVERLAY_DOC_WHY_CAP, "%s%.*s", what, (int)min_size(quoted.len, 64),
             quoted.len > 0 ? (const char *)quoted.data : "");
    overlay_doc_make_printable(why);
    return e;
}

static enum err judge_extensions(const struct overlay_doc *doc, char *why)
{
    static const char *const known[] = {OVERLAY_DOC_BASE_NS, OVERLAY_DOC_CHORD_NS,
                                        OVERLAY_DOC_OWN_NS};
    for (size_t i = 0; i < doc->mandatory_extensions.count; i++) {
        if (!is_one_of(doc->mandatory_extensions.texts[i], known, ARRAY_COUNT(known))) {
            return fail(why, ERR_UNSUPPORTED, "a mandatory extension is not supported: ",
                        doc->mandatory_extensions.texts[i]);
        }
    }
    return ERR_OK;
}

/* "TLS" stands for TLS and DTLS (11.1); the others are names of the registry in 14.10. */
static enum err judge_links(const struct overlay_doc *doc, char *why)
{
    static const char *const ours[] = {"TLS", "TLS-TCP-FH-NO-ICE", "DTLS-UDP-SR-NO-ICE"};
    for (size_t i = 0; i < doc->link_protocols.count; i++) {
        if (is_one_of(doc->link_protocols.texts[i], ours, ARRAY_COUNT(ours))) {
            return doc->config.no_ice
                       ? ERR_OK
                       : fail(why, ERR_UNSUPPORTED,
                              "this overlay uses ICE, only <no-ice>true</no-ice> is supported",
                              SLICE_EMPTY);
        }
    }
    return fail(why, ERR_UNSUPPORTED, "overlay-link-protocol: none of ours is among them",
                SLICE_EMPTY);
}

static enum err judge_values(const struct overlay_config *c, char *why)
{
    char what[OVERLAY_DOC_WHY_CAP];
    const struct {
        const char *name;
        uint32_t value, min, max;
    } rows[] = {
        {"max-message-size", c->max_message_bytes, MESSAGE_BYTES_MIN, MESSAGE_BYTES_MAX},
        {"overlay-reliability-timer", c->reliability_timer_ms, 200, RELIABILITY_TIMER_MAX_MS},
        {"chord-update-interval", c->chord_update_interval_s, 1, INTERVAL_MAX_S},
        {"chord-ping-interval", c->chord_ping_interval_s, 1, INTERVAL_MAX_S},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        if (rows[i].value < rows[i].min || rows[i].value > rows[i].max) {
            snprintf(what, sizeof(what), "%s is %u, supported is %u to %u", rows[i].name,
                     rows[i].value, rows[i].min, rows[i].max);
            return fail(why, ERR_UNSUPPORTED, what, SLICE_EMPTY);
        }
    }
    return ERR_OK;
}

enum err overlay_doc_join_check(const struct overlay_doc *doc, uint64_t at_ms, char *why)
{
    if (doc->expiration.len > 0 && doc->expiration_ms <= at_ms) {
        return fail(why, ERR_EXPIRED, "the document has expired", SLICE_EMPTY);
    }
    if (!slice_is_equal(doc->topology, SLICE_LITERAL("CHORD-RELOAD"))) {
        return fail(why, ERR_UNSUPPORTED,
                    "the topology plug-in is not CHORD-RELOAD: ", doc->topology);
    }
    if (doc->config.node_id_length != IDS_NODE_MIN) {
        return fail(why, ERR_UNSUPPORTED, "CHORD-RELOAD takes Node-IDs of 16 bytes only",
                    SLICE_EMPTY); /* */
    }
    if (doc->has_shared_secret) { /* links by TLS-PSK or TLS-SRP (13.4) */
        return fail(why, ERR_UNSUPPORTED, "admission by shared-secret is not supported",
                    SLICE_EMPTY);
    }
    enum err e = judge_extensions(doc, why);
    if (e == ERR_OK) {
        e = judge_links(doc, why);
    }
    return e == ERR_OK ? judge_values(&doc->config, why) : e;
}
