/* SPDX-License-Identifier: Apache-2.0 */
/* dns.h - answers of a name server, as far as finding a SIP server takes (RFC 3263): records of
 * type A, AAAA, SRV (RFC 2782) and NAPTR (RFC 3403) for one name.
 *
 * What stands elsewhere in the answer is skipped; CNAMEs in it are followed, DNS_CNAMES of them at
 * most, so a loop of them is an error and not a long search.  Pointers in compressed names (RFC
 * 1035 4.1.4) lead backwards only.  A name with a byte that host names do not have is refused
 * with its record: such names come from nobody who serves SIP, and go into texts here.
 *
 * Owner:   nobody; what was read is copied into the caller's struct.
 * Limits:  DNS_RECORDS of the wanted type, of the first DNS_ANSWERS records, the rest is left out:
 *          with compression 16 KiB have room for a thousand records with names of 253 bytes, to be
 *          read again for each CNAME; names as in RFC 1035 2.3.4. */
#pragma once
#include "codec/rw.h"
#include "core/address.h"

enum {
    DNS_NAME_CAP = 254, /* as text without the last dot, and a NUL */
    DNS_RECORDS = 8,
    DNS_ANSWERS = 64,
    DNS_CNAMES = 8,
    DNS_SERVICE_CAP = 16,
    DNS_FLAGS_CAP = 4,
    DNS_TTL_MAX_S = 0x7fffffff /* RFC 2181 8 */
};

enum dns_type { DNS_A = 1, DNS_CNAME = 5, DNS_AAAA = 28, DNS_SRV = 33, DNS_NAPTR = 35 };

struct dns_record {
    uint16_t priority;             /* SRV; NAPTR: the order */
    uint16_t weight;               /* SRV; NAPTR: the preference */
    uint16_t port;                 /* SRV */
    struct address address;        /* A, AAAA; the port is 0 */
    char name[DNS_NAME_CAP];       /* SRV: target, NAPTR: replacement; lower case, "" is the root */
    char service[DNS_SERVICE_CAP]; /* NAPTR, upper case; longer ones are left out */
    char flags[DNS_FLAGS_CAP];     /* NAPTR, lower case */
};

struct dns_answer {
    uint8_t rcode;     /* RFC 1035 4.1.1; 0 = none, 3 = there is no such name */
    uint32_t ttl_s;    /* the least of those that led to the records; 0 without records */
    uint32_t left_out; /* records that are bad or too many */
    size_t count;
    struct dns_record records[DNS_RECORDS];
};

/* The answer to a question for `type` records of `name` (no dot at its end).  ERR_MALFORMED: it is
 * none, is cut off, is for another question, or its CNAMEs have no end. */
enum err dns_answer_decode(struct slice message, struct slice name, enum dns_type type,
                           struct dns_answer *out) MUST_USE;
/* Is it a name that may be asked for: labels of letters, digits, '-' and '_', of 1 to 63 bytes,
 * DNS_NAME_CAP - 1 in all? */
bool dns_is_name(struct slice name);
