/* SPDX-License-Identifier: Apache-2.0 */
/* resolve.h - from a URI of a foreign domain to addresses, in the order in which they are to be
 * tried (RFC 3263 4).
 *
 * The target is the parameter maddr, else the host.  A number is an address; with a port it has
 * A and AAAA records; else NAPTR chooses the transport (where the URI does not), SRV the hosts
 * (RFC 2782: by priority, within one by chance and weight), and only without any the target itself
 * is taken, at the default port.  sips means TLS, whatever the name server says; the parameter
 * transport is obeyed.  Hosts are looked up when it is their turn.
 *
 *   resolve_begin; then resolve_next: OK with a target, PENDING (a question is under way; ask again
 *   when resolve_on_answer has taken the answer), or NOT_FOUND at the end.
 *
 * A question leaves as IO_MAIL_DNS to the control thread: its number (1 byte), type (1), name.  The
 * answer comes under the same tag: enum resolve_status (1 byte), the number, then the name server's
 * message.  The number tells a late answer to a question that was given up from that to the next.
 *
 * Owner:  of a struct resolve its user (sip/foreign); of the cache struct sip.
 * Limits: sip_dns_cache answers, of one account sip_dns_cache_per_source: the one that ends first
 *         gives way, of the same account where that has its share.  Kept for as long as the name
 *         server says, RESOLVE_TTL_MAX_S at most; that there is nothing, for RESOLVE_NOTHING_S;
 *         that nobody answers, not at all.  RESOLVE_QUESTIONS questions for one request. */
#pragma once
#include "codec/dns.h"
#include "sip/flow.h"

enum {
    RESOLVE_HOSTS = DNS_RECORDS,
    RESOLVE_SERVICES = 4,
    RESOLVE_QUESTIONS = 24,
    RESOLVE_TTL_MAX_S = 3600,
    RESOLVE_NOTHING_S = 30
};

/* What became of a question. */
enum { RESOLVE_MAIL_HEAD = 2 };
enum resolve_status { RESOLVE_ANSWER, RESOLVE_NONE /* no such name or record */, RESOLVE_SILENT };

struct resolve_target {
    struct address address;
    uint8_t kind; /* SIP_UDP, SIP_TCP, SIP_TLS */
};

enum resolve_step { RESOLVE_NAPTR, RESOLVE_SRV, RESOLVE_HOST };

struct resolve_host {
    char name[DNS_NAME_CAP];
    uint16_t port;
};

struct resolve_service {
    char name[DNS_NAME_CAP];
    uint8_t kind;
};

struct resolve {
    handle tag;      /* of the answers */
    uint32_t source; /* whose the cache entries are */
    uint8_t step;
    uint8_t kind; /* of the hosts' transport */
    bool is_sips;
    bool has_tls; /* may be used at all */
    bool is_pending, has_answer;
    bool is_silent;   /* a name server did not answer, or not sensibly */
    bool is_closed;   /* the domain says that it has no such service (RFC 2782: target ".") */
    uint8_t families; /* bit 0: IPv4, bit 1: IPv6 */
    uint8_t questions;
    uint8_t service_at, service_count;
    uint8_t host_at, host_count, family_at; /* of the host: 0 = IPv4, 1 = IPv6 */
    uint8_t address_at, address_count;
    struct resolve_target addresses[DNS_RECORDS];
    struct resolve_host hosts[RESOLVE_HOSTS];
    struct resolve_service services[RESOLVE_SERVICES];
    char target[DNS_NAME_CAP];
    struct dns_answer answer;
};

struct resolve_cached {
    uint8_t key[16];
    uint64_t until_us; /* 0 = free */
    uint32_t source;
    struct dns_answer answer;
};
STATIC_CHECK(sizeof(struct resolve_cached) <= LIMITS_COST_sip_dns_cache);

size_t resolve_cache_bytes(const struct limits *l);
void resolve_cache_init(struct sip *s, struct arena *arena);

/* ERR_UNSUPPORTED: a transport that is not there (or not with sips); ERR_MALFORMED: no host. */
enum err resolve_begin(struct sip *s, struct resolve *r, const struct sip_uri *uri, handle tag,
                       uint32_t source) MUST_USE;
enum err resolve_next(struct turn *t, struct sip *s, struct resolve *r,
                      struct resolve_target *out) MUST_USE;
/* False: not to the question that is under way, and nothing has changed. */
bool resolve_on_answer(struct turn *t, struct sip *s, struct resolve *r, struct slice mail);
/* No answer came in time. */
void resolve_give_up(struct resolve *r);
