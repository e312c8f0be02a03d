/* SPDX-License-Identifier: Apache-2.0 */
/* sip_verdicts.h - the torture messages in tests/data and what RFC 4475 and RFC 5118 say of each,
 * as far as it can be told from the message alone. */
#pragma once
#include "codec/sip_parser.h"

/* status 0: accepted. */
struct verdict {
    const char *file;
    enum sip_parse parse;
    enum err check;
    uint16_t status;
    bool is_answerable;  /* a request, and where an answer to it goes is known */
    uint16_t extensions; /* 420: well-formed, but asks of a proxy what we do not have */
};

static const struct verdict verdicts_rfc4475[] = {
    /* 3.1.1 valid */
    {"wsinv", SIP_PARSE_OK, ERR_OK, 0, true, 0},
    {"intmeth", SIP_PARSE_OK, ERR_OK, 0, true, 0},
    {"esc01", SIP_PARSE_OK, ERR_OK, 0, true, 0},
    {"escnull", SIP_PARSE_OK, ERR_OK, 0, true, 0},
    {"esc02", SIP_PARSE_OK, ERR_OK, 0, true, 0},
    {"lwsdisp", SIP_PARSE_OK, ERR_OK, 0, true, 0},
    {"longreq", SIP_PARSE_OK, ERR_OK, 0, true, 0},
    {"dblreq", SIP_PARSE_OK, ERR_OK, 0, true, 0},
    {"semiuri", SIP_PARSE_OK, ERR_OK, 0, true, 0},
    {"transports", SIP_PARSE_OK, ERR_OK, 0, true, 0},
    {"mpart01", SIP_PARSE_OK, ERR_OK, 0, true, 0},
    {"unreason", SIP_PARSE_OK, ERR_OK, 0, false, 0},
    {"noreason", SIP_PARSE_OK, ERR_OK, 0, false, 0},
    /* 3.1.2 invalid */
    {"badinv01", SIP_PARSE_OK, ERR_MALFORMED, 400, true, 0},
    {"clerr", SIP_PARSE_BAD, ERR_OK, 400, true, 0},
    {"ncl", SIP_PARSE_BAD, ERR_OK, 400, true, 0},
    {"scalar02", SIP_PARSE_OK, ERR_MALFORMED, 400, true, 0},
    {"scalarlg", SIP_PARSE_OK, ERR_MALFORMED, 400, false, 0}, /* a response: dropped */
    {"quotbal", SIP_PARSE_OK, ERR_MALFORMED, 400, true, 0},
    {"ltgtruri", SIP_PARSE_OK, ERR_MALFORMED, 400, true, 0},
    {"lwsruri", SIP_PARSE_BAD, ERR_MALFORMED, 400, true, 0},
    {"lwsstart", SIP_PARSE_BAD, ERR_MALFORMED, 400, true, 0},
    {"trws", SIP_PARSE_BAD, ERR_MALFORMED, 400, true, 0},
    {"escruri", SIP_PARSE_OK, ERR_MALFORMED, 400, true, 0},
    {"baddate", SIP_PARSE_OK, ERR_OK, 0, true, 0}, /* we have no use for Date */
    {"regbadct", SIP_PARSE_OK, ERR_MALFORMED, 400, true, 0},
    {"badaspec", SIP_PARSE_OK, ERR_MALFORMED, 400, true, 0},
    {"baddn", SIP_PARSE_BAD, ERR_MALFORMED, 400, true, 0}, /* the file lacks the empty line too */
    {"badvers", SIP_PARSE_BAD, ERR_MALFORMED, 505, true, 0},
    {"mismatch01", SIP_PARSE_OK, ERR_MALFORMED, 400, true, 0},
    {"mismatch02", SIP_PARSE_OK, ERR_MALFORMED, 501, true, 0},
    {"bigcode", SIP_PARSE_BAD, ERR_OK, 400, false, 0}, /* a response: dropped */
    /* 3.2 transaction layer, 3.3 application layer */
    {"badbranch", SIP_PARSE_OK, ERR_OK, 0, true, 0}, /* falls back to RFC 2543 matching */
    {"insuf", SIP_PARSE_OK, ERR_MALFORMED, 400, true, 0},
    {"unkscm", SIP_PARSE_OK, ERR_UNSUPPORTED, 416, true, 0},
    {"novelsc", SIP_PARSE_OK, ERR_UNSUPPORTED, 416, true, 0},
    {"unksm2", SIP_PARSE_OK, ERR_OK, 0, true, 0},
    {"bext01", SIP_PARSE_OK, ERR_OK, 0, true, 420},
    {"invut", SIP_PARSE_OK, ERR_OK, 0, true, 0},
    {"regaut01", SIP_PARSE_OK, ERR_OK, 0, true, 0},
    {"multi01", SIP_PARSE_OK, ERR_MALFORMED, 400, true, 0},
    {"mcl01", SIP_PARSE_BAD, ERR_MALFORMED, 400, true, 0},
    {"bcast", SIP_PARSE_OK, ERR_OK, 0, false, 0}, /* the proxy looks at the second Via's host */
    {"zeromf", SIP_PARSE_OK, ERR_OK, 0, true, 0},
    {"cparam01", SIP_PARSE_OK, ERR_OK, 0, true, 0},
    {"cparam02", SIP_PARSE_OK, ERR_OK, 0, true, 0},
    {"regescrt", SIP_PARSE_OK, ERR_OK, 0, true, 0},
    {"sdp01", SIP_PARSE_OK, ERR_OK, 0, true, 0},
    /* 3.4 RFC 2543: no branch, no tag, no Max-Forwards, no Content-Length */
    {"inv2543", SIP_PARSE_OK, ERR_OK, 0, true, 0},
};

static const struct verdict verdicts_rfc5118[] = {
    {"ipv6-good", SIP_PARSE_OK, ERR_OK, 0, true, 0},
    {"ipv6-bad", SIP_PARSE_OK, ERR_MALFORMED, 400, true, 0},
    {"port-ambiguous", SIP_PARSE_OK, ERR_OK, 0, true, 0},
    {"port-unambiguous", SIP_PARSE_OK, ERR_OK, 0, true, 0},
    {"via-received-param-with-delim", SIP_PARSE_OK, ERR_OK, 0, true, 0},
    {"via-received-param-no-delim", SIP_PARSE_OK, ERR_OK, 0, true, 0},
    {"ipv6-in-sdp", SIP_PARSE_OK, ERR_OK, 0, true, 0},
    {"mult-ip-in-header", SIP_PARSE_OK, ERR_OK, 0, true, 0},
    {"mult-ip-in-sdp", SIP_PARSE_OK, ERR_OK, 0, true, 0},
    {"ipv4-mapped-ipv6", SIP_PARSE_OK, ERR_OK, 0, true, 0},
    {"ipv6-bug-abnf-3-colons", SIP_PARSE_OK, ERR_OK, 0, true, 0},
    {"ipv6-correct-abnf-2-colons", SIP_PARSE_OK, ERR_OK, 0, true, 0},
};
