/* SPDX-License-Identifier: Apache-2.0 */
/* sip_messages.c - see sip_messages.h.  %1$02u is the number of the variant; a body is filled up so
 * that the whole has the size that the figures are for. */
#include "bench/sip_messages.h"

#include <stdio.h>
#include <string.h>

struct kind {
    const char
        *head; /* up to Content-Length, without its end; or the whole where there is no body */
    const char *body;
    size_t bytes; /* 0: as it comes */
};

#define SDP_NAMES                                                                                  \
    "v=0\r\no=alice 2890844526 2890844526 IN IP4 host.atlanta.example.com\r\ns=-\r\n"              \
    "c=IN IP4 host.atlanta.example.com\r\nt=0 0\r\nm=audio 49170 RTP/AVP 0 8 97\r\n"               \
    "a=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\na=x:"

static const struct kind kinds[SIP_MESSAGES_COUNT] = {
    [SIP_MESSAGES_INVITE] =
        {"INVITE sip:bob%1$02u@biloxi.example.com;transport=udp SIP/2.0\r\n"
         "Via: SIP/2.0/UDP pc33.atlanta.example.com:5060;branch=z9hG4bKnashds%1$02u;rport\r\n"
         "Max-Forwards: 70\r\nRoute: <sip:proxy%1$02u.example.com;lr>\r\n"
         "To: Bob <sip:bob%1$02u@biloxi.example.com>\r\n"
         "From: \"Alice %1$02u\" <sip:alice@atlanta.example.com>;tag=19283017%1$02u\r\n"
         "Call-ID: a84b4c76e66710%1$02u@pc33.atlanta.example.com\r\nCSeq: 3141%1$02u INVITE\r\n"
         "Contact: <sip:alice@pc33.atlanta.example.com:5060;transport=udp>\r\n"
         "User-Agent: Softphone/2.1\r\nContent-Type: application/sdp\r\nContent-Length: %2$zu\r\n"
         "\r\n",
         SDP_NAMES, SIP_MESSAGES_INVITE_BYTES},
    [SIP_MESSAGES_INVITE_ADDRESSES] =
        {"INVITE sip:bob%1$02u@voice.example SIP/2.0\r\n"
         "Via: SIP/2.0/UDP 192.0.2.101:5060;branch=z9hG4bK74bf9-%1$02u;rport\r\n"
         "Max-Forwards: 70\r\nRoute: <sip:192.0.2.1:5060;lr>\r\n"
         "From: \"Alice\" <sip:alice%1$02u@voice.example>;tag=9fxced76sl%1$02u\r\n"
         "To: <sip:bob%1$02u@voice.example>\r\n"
         "Call-ID: 3848276298220188511-%1$02u@192.0.2.101\r\nCSeq: 1%1$02u INVITE\r\n"
         "Contact: <sip:alice%1$02u@192.0.2.101:5060;transport=udp>\r\n"
         "User-Agent: phone/1.0\r\nSupported: timer\r\nContent-Type: application/sdp\r\n"
         "Content-Length: %2$zu\r\n\r\n",
         "v=0\r\no=alice 2890844526 2890844526 IN IP4 192.0.2.101\r\ns=-\r\nc=IN IP4 "
         "192.0.2.101\r\n"
         "t=0 0\r\nm=audio 49172 RTP/AVP 0 8 101\r\na=rtpmap:0 PCMU/8000\r\n"
         "a=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\na=sendrecv\r\na=x:",
         SIP_MESSAGES_INVITE_BYTES},
    [SIP_MESSAGES_REGISTER] =
        {"REGISTER sip:registrar.biloxi.example.com SIP/2.0\r\n"
         "Via: SIP/2.0/UDP bobspc.biloxi.example.com:5060;branch=z9hG4bKnashds%1$02u\r\n"
         "Max-Forwards: 70\r\nTo: Bob <sip:bob@biloxi.example.com>\r\n"
         "From: Bob <sip:bob@biloxi.example.com>;tag=4562%1$02u\r\n"
         "Call-ID: 843817637684230@998sdasdh%1$02u\r\nCSeq: 1826 REGISTER\r\n"
         "Contact: <sip:bob@192.0.2.4>\r\nExpires: 7200\r\nContent-Length: 0\r\n\r\n",
         "", 0},
    [SIP_MESSAGES_OK] =
        {"SIP/2.0 200 OK\r\n"
         "Via: SIP/2.0/UDP "
         "server10.biloxi.com;branch=z9hG4bK4b43c2ff8.%1$02u;received=192.0.2.3\r\n"
         "Via: SIP/2.0/UDP pc33.atlanta.com;branch=z9hG4bKnashds8%1$02u;received=192.0.2.1\r\n"
         "Record-Route: <sip:server10.biloxi.com;lr>\r\n"
         "To: Bob <sip:bob@biloxi.com>;tag=a6c85cf%1$02u\r\n"
         "From: Alice <sip:alice@atlanta.com>;tag=1928301774\r\n"
         "Call-ID: a84b4c76e66710%1$02u@pc33.atlanta.com\r\nCSeq: 314159 INVITE\r\n"
         "Contact: <sip:bob@192.0.2.4>\r\nContent-Type: application/sdp\r\n"
         "Content-Length: %2$zu\r\n\r\n",
         SDP_NAMES, 812},
    [SIP_MESSAGES_TORTUOUS] =
        {"INVITE sip:vivekg@chair-dnrc.example.com;unknownparam SIP/2.0\r\nTO :\r\n"
         " sip:vivekg@chair-dnrc.example.com ;   tag    = 1918181833n\r\n"
         "from   : \"J Rosenberg \\\\\\\"\"       <sip:jdrosen@example.com>\r\n  ;\r\n"
         "  tag = 98asjd8\r\nMaX-fOrWaRdS: 0068\r\nCall-ID: wsinv.ndaksdj@192.0.2.1%1$02u\r\n"
         "Content-Length   : %2$zu\r\ncseq: 0009\r\n  INVITE\r\n"
         "Via  : SIP  /   2.0\r\n /UDP\r\n    192.0.2.2;branch=390skdjuw\r\ns :\r\n"
         "NewFangledHeader:   newfangled value\r\n continued newfangled value\r\n"
         "UnknownHeaderWithUnusualValue: ;;,,;;,;\r\nContent-Type: application/sdp\r\nRoute:\r\n"
         " <sip:services.example.com;lr;unknownwith=value;unknown-no-value>\r\n"
         "v:  SIP  / 2.0  / TCP     spindle.example.com   ;\r\n  branch  =   z9hG4bK9ikj8  ,\r\n"
         " SIP  /    2.0   / UDP  192.168.255.111   ; branch=\r\n z9hG4bK30239\r\n"
         "m:\"Quoted string \\\"\\\"\" <sip:jdrosen@example.com> ; newparam =\r\n"
         "      newvalue ;\r\n  secondparam ; q = 0.33\r\n\r\n",
         "v=0\r\no=mhandley 29739 7272939 IN IP4 192.0.2.3\r\ns=-\r\nc=IN IP4 192.0.2.4\r\nt=0 "
         "0\r\n"
         "m=audio 49217 RTP/AVP 0 12\r\nm=video 3227 RTP/AVP 31\r\na=rtpmap:31 LPC",
         1006},
};

const char *const sip_messages_names[SIP_MESSAGES_COUNT] = {
    "invite", "invite-addresses", "register", "ok", "tortuous",
};
const unsigned sip_messages_headers[SIP_MESSAGES_COUNT] = {11, 12, 9, 10, 14};

#pragma GCC diagnostic ignored "-Wformat-nonliteral"
size_t sip_messages_write(enum sip_messages kind, unsigned i, char *out)
{
    const struct kind *k = &kinds[kind];
    size_t text = strlen(k->body);
    int head = snprintf(out, SIP_MESSAGES_BYTES, k->head, i, (size_t)100); /* three digits */
    if (k->bytes == 0 || head < 0 || (size_t)head + text + 2 > k->bytes) {
        return (size_t)head;
    }
    size_t body = k->bytes - (size_t)head;
    (void)snprintf(out, SIP_MESSAGES_BYTES, k->head, i, body);
    memcpy(out + head, k->body, text);
    memset(out + head + text, 'x', body - text - 2);
    memcpy(out + k->bytes - 2, "\r\n", 2);
    return k->bytes;
}
