/* SPDX-License-Identifier: Apache-2.0 */
/* sip_messages.h - the SIP messages that parsers are measured with. */
#pragma once
#include <stddef.h>

enum sip_messages {
    SIP_MESSAGES_INVITE,           /* 833 bytes, 11 headers, SDP; hosts by name */
    SIP_MESSAGES_INVITE_ADDRESSES, /* 833 bytes, 12 headers, SDP; hosts by IPv4 address */
    SIP_MESSAGES_REGISTER,         /* 9 headers, no body */
    SIP_MESSAGES_OK,               /* 812 bytes, two Via, Record-Route, SDP */
    SIP_MESSAGES_TORTUOUS, /* 1006 bytes in the manner of RFC 4475 3.1.1.1: folds, compact names,
                              Via with a comma, escapes, white space at every joint */
    SIP_MESSAGES_COUNT
};
enum { SIP_MESSAGES_BYTES = 1024, SIP_MESSAGES_INVITE_BYTES = 833 };

extern const char *const sip_messages_names[SIP_MESSAGES_COUNT];
extern const unsigned sip_messages_headers[SIP_MESSAGES_COUNT];

/* Variant `i`, below 100, of a message; its length.  `out` has SIP_MESSAGES_BYTES. */
size_t sip_messages_write(enum sip_messages kind, unsigned i, char *out);
