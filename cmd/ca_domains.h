/* SPDX-License-Identifier: Apache-2.0 */
/* ca_domains.h - whose addresses of record an overlay document lets into the overlay: the element
 * <domain-restriction> of RFC 7904 3.4, from the command line. */
#pragma once
#include "cmd/options.h"
#include "dht/domain.h"

#define CA_DOMAINS_HELP "whose addresses: any, own, or a pattern for the domain (repeat)"

struct ca_domains {
    bool is_given;                          /* false: as before, in a new overlay none */
    bool is_any;                            /* no element */
    bool is_listed;                         /* `patterns`, else the overlay's own name */
    struct slice patterns[DOMAIN_PATTERNS]; /* borrowed */
    size_t count;
};

/* "any", "own", or patterns (POSIX extended regular expressions).  False: was complained of. */
bool ca_domains_read(const struct options_texts *texts, struct ca_domains *out);
/* What stands in the document: `before`, or what is given.  NULL: nothing.  `room` is filled. */
const struct domain_rules *ca_domains_choose(const struct ca_domains *given,
                                             const struct domain_rules *before,
                                             struct domain_rules *room);
