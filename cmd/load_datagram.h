/* SPDX-License-Identifier: Apache-2.0 */
/* load_datagram.h - the other kind of load_trunk: a link over DTLS and UDP, DTLS-UDP-SR-NO-ICE
 * (RFC 6940 6.6.1.1, 6.6.3), of which we are the server.
 *
 * A node answers no ClientHello of a stranger (design.md 6), so the node dials: an Attach request
 * in the name of whoever wants the link (6.5.1) goes to it over a trunk of somebody else, and names
 * the address of our socket.
 *
 * Nothing is sent twice here, as everywhere in the generator: a frame that got lost on its way to
 * the node is lost, and whoever counts messages sees it.  What the node repeats is taken twice.
 * Frames leave in trains (core/os/gso.h), one record in a datagram.
 *
 * Owner:  the load_trunk.
 * Limits: LOAD_DATAGRAM_WINDOW frames that the node has not acknowledged, then there is no room;
 * what stays unacknowledged for LOAD_DATAGRAM_GIVE_UP_NS is forgotten. */
#pragma once
#include "cmd/load_trunk.h"

enum {
    LOAD_DATAGRAM_WINDOW = 128,
    LOAD_DATAGRAM_GIVE_UP_NS = 1000 * 1000 * 1000,
    LOAD_DATAGRAM_BYTES = 1232,       /* payload of UDP that reaches everybody unfragmented */
    LOAD_DATAGRAM_MESSAGE_CAP = 1120, /* of ours: less what frame, record and via list add */
};

/* The trunk of the last member, which nobody else may use meanwhile: for load_datagram_open. */
enum err load_datagram_attacher(struct load_trunk *k, struct load *l,
                                const struct load_overlay *overlay, char *why) MUST_USE;
/* Attach by way of `attacher`, a trunk that is up, then waits until the node has dialled and shaken
 * hands, in at most the time-out of the run. */
enum err load_datagram_open(struct load_trunk *k, struct load *l,
                            const struct load_overlay *overlay,
                            const struct load_overlay_member *who, struct load_trunk *attacher,
                            char *why) MUST_USE;
void load_datagram_close(struct load_trunk *k);
/* See load_trunk_room, load_trunk_flush. */
uint8_t *load_datagram_room(struct load_trunk *k, size_t len);
void load_datagram_flush(struct load_trunk *k);
