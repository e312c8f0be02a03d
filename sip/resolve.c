/* SPDX-License-Identifier: Apache-2.0 */
/* resolve.c - see resolve.h. */
#include "sip/resolve.h"
#include "sip/sip_state.h"

#define US_PER_S UINT64_C(1000000)
enum { SIP_PORT = 5060, SIPS_PORT = 5061, HAS_V4 = 1, HAS_V6 = 2, NO_SUCH_NAME = 3 };

/* ---- texts */

/* `prefix` and `name`, in lower case.  False: too long. */
static bool join(char out[DNS_NAME_CAP], const char *prefix, struct slice name)
{
    size_t len = strlen(prefix);
    if (len + name.len >= DNS_NAME_CAP) {
        return false;
    }
    memcpy(out, prefix, len);
    for (size_t i = 0; i < name.len; i++) {
        out[len + i] = (char)slice_lower(name.data[i]);
    }
    out[len + name.len] = '\0';
    return true;
}

static const char *prefix_of(unsigned kind)
{
    return kind == SIP_UDP ? "_sip._udp." : kind == SIP_TCP ? "_sip._tcp." : "_sips._tcp.";
}

static uint16_t default_port(unsigned kind)
{
    return kind == SIP_TLS ? SIPS_PORT : SIP_PORT;
}

/* ---- the cache */

size_t resolve_cache_bytes(const struct limits *l)
{
    return (size_t)l->sip_dns_cache * sizeof(struct resolve_cached) + 64;
}

void resolve_cache_init(struct sip *s, struct arena *arena)
{
    s->resolved = ARENA_ARRAY(arena, struct resolve_cached, s->settings.limits->sip_dns_cache);
}

static void key_of(struct turn *t, const char *name, enum dns_type type, uint8_t key[16])
{
    uint8_t text[2 + DNS_NAME_CAP], hash[CRYPTO_SHA256_BYTES];
    size_t len = strlen(name);
    text[0] = (uint8_t)type;
    memcpy(text + 1, name, len);
    t->crypto->sha256(slice_of(text, len + 1), hash);
    memcpy(key, hash, 16);
}

static const struct dns_answer *find_cached(struct turn *t, struct sip *s, const char *name,
                                            enum dns_type type)
{
    uint8_t key[16];
    key_of(t, name, type, key);
    for (uint32_t i = 0; i < s->settings.limits->sip_dns_cache; i++) {
        const struct resolve_cached *c = &s->resolved[i];
        if (c->until_us > t->now_us && memcmp(c->key, key, sizeof(key)) == 0) {
            metric_add(t->metrics, METRIC_sip_dns_cached, 1);
            return &c->answer;
        }
    }
    return NULL;
}

/* Where an answer for `source` is to be kept: see resolve.h. */
static struct resolve_cached *place_for(struct turn *t, struct sip *s, uint32_t source)
{
    struct resolve_cached *first = NULL, *own = NULL;
    uint32_t count = 0;
    for (uint32_t i = 0; i < s->settings.limits->sip_dns_cache; i++) {
        struct resolve_cached *c = &s->resolved[i];
        c->until_us = c->until_us <= t->now_us ? 0 : c->until_us;
        first = first == NULL || c->until_us < first->until_us ? c : first;
        if (c->until_us != 0 && c->source == source) {
            own = own == NULL || c->until_us < own->until_us ? c : own;
            count++;
        }
    }
    struct resolve_cached *place =
        own != NULL && count >= s->settings.limits->sip_dns_cache_per_source ? own : first;
    metric_add(t->metrics, METRIC_sip_dns_evicted, place != NULL && place->until_us != 0 ? 1 : 0);
    return place;
}

static void remember(struct turn *t, struct sip *s, const struct resolve *r, const char *name,
                     enum dns_type type)
{
    uint64_t ttl_s =
        r->answer.count == 0 ? RESOLVE_NOTHING_S : min_u64(r->answer.ttl_s, RESOLVE_TTL_MAX_S);
    struct resolve_cached *c = ttl_s == 0 ? NULL : place_for(t, s, r->source);
    if (c == NULL) {
        return;
    }
    key_of(t, name, type, c->key);
    c->until_us = t->now_us + ttl_s * US_PER_S;
    c->source = r->source;
    c->answer = r->answer;
}

/* ---- questions */

/* What is asked now: it follows from the state. */
static enum dns_type question(const struct resolve *r, const char **name)
{
    switch ((enum resolve_step)r->step) {
    case RESOLVE_NAPTR:
        *name = r->target;
        return DNS_NAPTR;
    case RESOLVE_SRV:
        *name = r->services[r->service_at].name;
        return DNS_SRV;
    case RESOLVE_HOST:
        break;
    }
    *name = r->hosts[r->host_at].name;
    return r->family_at == 0 ? DNS_A : DNS_AAAA;
}

static bool send_question(struct turn *t, const struct resolve *r, const char *name,
                          enum dns_type type)
{
    uint8_t head[RESOLVE_MAIL_HEAD] = {r->questions, (uint8_t)type};
    struct msgbuf *buf = msgbuf_acquire(t->buffers, sizeof(head) + strlen(name));
    if (buf == NULL) {
        metric_add(t->metrics, METRIC_msgbuf_exhausted, 1);
        return false;
    }
    enum err e = msgbuf_append(buf, slice_of(head, sizeof(head)));
    e = e == ERR_OK ? msgbuf_append(buf, slice_text(name)) : e;
    CHECK(e == ERR_OK);
    return io_mail(t->out, t->buffers, IO_SHARD_CONTROL, IO_MAIL_DNS, r->tag, buf) == ERR_OK;
}

/* ERR_OK: r->answer is there (empty where there is none). */
static enum err ask(struct turn *t, struct sip *s, struct resolve *r)
{
    const char *name = NULL;
    if (r->is_pending) {
        return ERR_PENDING;
    }
    if (r->has_answer) {
        r->has_answer = false;
        return ERR_OK;
    }
    enum dns_type type = question(r, &name);
    const struct dns_answer *known = find_cached(t, s, name, type);
    r->answer = known == NULL ? (struct dns_answer){0} : *known;
    if (known != NULL) {
        return ERR_OK;
    }
    if (++r->questions > RESOLVE_QUESTIONS || !send_question(t, r, name, type)) {
        r->is_silent = true;
        return ERR_OK;
    }
    metric_add(t->metrics, METRIC_sip_dns_asked, 1);
    r->is_pending = true;
    return ERR_PENDING;
}

bool resolve_on_answer(struct turn *t, struct sip *s, struct resolve *r, struct slice mail)
{
    const char *name = NULL;
    if (!r->is_pending || mail.len < RESOLVE_MAIL_HEAD || mail.data[1] != r->questions) {
        return false;
    }
    enum dns_type type = question(r, &name);
    enum err e = ERR_OK;
    r->is_pending = false;
    r->has_answer = true;
    r->answer = (struct dns_answer){0};
    if (mail.data[0] == RESOLVE_ANSWER) {
        e = dns_answer_decode(slice_from(mail, RESOLVE_MAIL_HEAD), slice_text(name), type,
                              &r->answer);
    } else if (mail.data[0] != RESOLVE_NONE) {
        e = ERR_TIMEOUT;
    }
    bool is_sound = e == ERR_OK && (r->answer.rcode == 0 || r->answer.rcode == NO_SUCH_NAME);
    if (!is_sound) {
        r->answer.count = 0;
        r->is_silent = true;
        metric_add(t->metrics, METRIC_sip_dns_failed, 1);
        return true;
    }
    remember(t, s, r, name, type);
    return true;
}

void resolve_give_up(struct resolve *r)
{
    r->is_silent = r->is_silent || r->is_pending;
    r->has_answer = r->has_answer || r->is_pending;
    r->is_pending = false;
    r->answer.count = 0;
}

/* ---- what answers lead to */

static void use_host(struct resolve *r, const char *name, unsigned kind, uint16_t port)
{
    r->host_count = 1;
    r->host_at = 0;
    r->family_at = 0;
    r->kind = (uint8_t)kind;
    r->hosts[0].port = port == 0 ? default_port(kind) : port;
    memcpy(r->hosts[0].name, name, strlen(name) + 1);
    r->step = RESOLVE_HOST;
}

static void add_service(struct resolve *r, unsigned kind, const char *name)
{
    bool may = kind == SIP_TLS ? r->has_tls : !r->is_sips;
    if (may && r->service_count < RESOLVE_SERVICES) {
        struct resolve_service *to = &r->services[r->service_count++];
        to->kind = (uint8_t)kind;
        memcpy(to->name, name, strlen(name) + 1);
    }
}

static bool kind_of_service(const char *service, uint8_t *kind)
{
    static const struct {
        const char *name;
        uint8_t kind;
    } all[] = {{"SIP+D2U", SIP_UDP}, {"SIP+D2T", SIP_TCP}, {"SIPS+D2T", SIP_TLS}};
    for (size_t i = 0; i < ARRAY_COUNT(all); i++) {
        if (slice_is_equal(slice_text(service), slice_text(all[i].name))) {
            *kind = all[i].kind;
            return true;
        }
    }
    return false;
}

/* 4.1: what the domain prefers, of what we have; no NAPTR: SRV of each transport in turn. */
static void take_naptr(struct resolve *r)
{
    bool is_used[DNS_RECORDS] = {false};
    for (size_t round = 0; round < r->answer.count; round++) {
        size_t best = DNS_RECORDS;
        for (size_t i = 0; i < r->answer.count; i++) {
            const struct dns_record *a = &r->answer.records[i], *b = &r->answer.records[best];
            bool is_first = best == DNS_RECORDS || a->priority < b->priority ||
                            (a->priority == b->priority && a->weight < b->weight);
            best = !is_used[i] && is_first ? i : best;
        }
        uint8_t kind = 0;
        const struct dns_record *x = &r->answer.records[best];
        is_used[best] = true;
        if (x->flags[0] == 's' && x->flags[1] == '\0' && x->name[0] != '\0' &&
            kind_of_service(x->service, &kind)) {
            add_service(r, kind, x->name);
        }
    }
    static const uint8_t kinds[] = {SIP_UDP, SIP_TCP, SIP_TLS};
    for (size_t i = 0; r->answer.count == 0 && i < ARRAY_COUNT(kinds); i++) {
        char name[DNS_NAME_CAP];
        if (join(name, prefix_of(kinds[i]), slice_text(r->target))) {
            add_service(r, kinds[i], name);
        }
    }
    r->step = RESOLVE_SRV;
}

/* RFC 2782: of those with the lowest priority one by chance, the more likely the more weight. */
static size_t draw(struct turn *t, const struct dns_answer *a, const bool *is_used)
{
    uint32_t lowest = UINT32_MAX, sum = 0;
    for (size_t i = 0; i < a->count; i++) {
        lowest = !is_used[i] && a->records[i].priority < lowest ? a->records[i].priority : lowest;
    }
    for (size_t i = 0; i < a->count; i++) {
        sum += !is_used[i] && a->records[i].priority == lowest ? a->records[i].weight : 0;
    }
    /* Those of weight 0 come first in the running sum: they get a very small chance. */
    uint64_t chance = rng_below(t->rng, (uint64_t)sum + 1), running = 0;
    size_t last = a->count;
    for (int weighted = 0; weighted < 2; weighted++) {
        for (size_t i = 0; i < a->count; i++) {
            const struct dns_record *x = &a->records[i];
            if (is_used[i] || x->priority != lowest || (x->weight != 0) != (weighted == 1)) {
                continue;
            }
            running += x->weight;
            last = i;
            if (running >= chance) {
                return i;
            }
        }
    }
    return last;
}

static void take_srv(struct turn *t, struct resolve *r)
{
    bool is_used[DNS_RECORDS] = {false};
    r->host_count = r->host_at = r->family_at = 0;
    for (size_t round = 0; round < r->answer.count; round++) {
        size_t i = draw(t, &r->answer, is_used);
        const struct dns_record *x = &r->answer.records[i];
        is_used[i] = true;
        if (x->name[0] == '\0') {
            r->is_closed = true;
            continue;
        }
        struct resolve_host *to = &r->hosts[r->host_count++];
        memcpy(to->name, x->name, sizeof(to->name));
        to->port = x->port;
    }
    if (r->host_count > 0) {
        r->kind = r->services[r->service_at].kind;
        r->step = RESOLVE_HOST;
    }
    r->service_at++;
}

static void take_addresses(struct resolve *r)
{
    r->address_at = r->address_count = 0;
    for (size_t i = 0; i < r->answer.count; i++) {
        struct resolve_target *to = &r->addresses[r->address_count++];
        *to = (struct resolve_target){.address = r->answer.records[i].address, .kind = r->kind};
        to->address.port = r->hosts[r->host_at].port;
    }
    if (r->family_at++ == 1) {
        r->family_at = 0;
        r->host_at++;
    }
}

/* The next step, once its answer is there. */
static enum err take(struct turn *t, struct sip *s, struct resolve *r)
{
    enum err e = ask(t, s, r);
    if (e != ERR_OK) {
        return e;
    }
    switch ((enum resolve_step)r->step) {
    case RESOLVE_NAPTR:
        take_naptr(r);
        break;
    case RESOLVE_SRV:
        take_srv(t, r);
        break;
    case RESOLVE_HOST:
        take_addresses(r);
        break;
    }
    return ERR_OK;
}

static bool has_family(const struct resolve *r)
{
    return (r->families & (r->family_at == 0 ? HAS_V4 : HAS_V6)) != 0;
}

enum err resolve_next(struct turn *t, struct sip *s, struct resolve *r, struct resolve_target *out)
{
    for (;;) {
        if (r->address_at < r->address_count) {
            *out = r->addresses[r->address_at++];
            return ERR_OK;
        }
        if (r->step != RESOLVE_HOST && r->is_silent) {
            return ERR_NOT_FOUND; /* what to ask next depends on what was not answered */
        }
        if (r->step == RESOLVE_SRV && r->service_at == r->service_count) {
            if (r->is_closed || r->target[0] == '\0' ||
                (r->service_count == 0 && r->answer.count > 0)) {
                return ERR_NOT_FOUND; /* not by a transport that we have */
            }
            use_host(r, r->target, r->kind, 0); /* no SRV at all */
            r->target[0] = '\0';                /* ... and that is the end */
        }
        if (r->step == RESOLVE_HOST && r->host_at == r->host_count) {
            return ERR_NOT_FOUND;
        }
        if (r->step == RESOLVE_HOST && !has_family(r)) {
            r->answer.count = 0;
            take_addresses(r);
            continue;
        }
        enum err e = take(t, s, r);
        if (e != ERR_OK) {
            return e;
        }
    }
}

/* ---- the beginning */

/* What the URI says of the transport; ERR_NOT_FOUND: nothing. */
static enum err transport_of(const struct resolve *r, const struct sip_uri *uri, unsigned *kind)
{
    struct slice text;
    *kind = r->is_sips ? SIP_TLS : SIP_UDP;
    if (!sip_uri_param(uri, SLICE_LITERAL("transport"), &text)) {
        return ERR_NOT_FOUND;
    }
    if (slice_is_equal_nocase(text, SLICE_LITERAL("tcp"))) {
        *kind = r->is_sips ? SIP_TLS : SIP_TCP; /* RFC 3261 26.2.2: sips;transport=tcp is TLS */
    } else if (slice_is_equal_nocase(text, SLICE_LITERAL("tls"))) {
        *kind = SIP_TLS;
    } else if (!slice_is_equal_nocase(text, SLICE_LITERAL("udp")) || r->is_sips) {
        return ERR_UNSUPPORTED;
    }
    return ERR_OK;
}

static uint8_t families_of(const struct sip *s)
{
    uint8_t families = 0;
    families |= s->settings.advertised.family == 4 || s->settings.second.family == 4 ? HAS_V4 : 0;
    families |= s->settings.advertised.family == 6 || s->settings.second.family == 6 ? HAS_V6 : 0;
    return families;
}

enum err resolve_begin(struct sip *s, struct resolve *r, const struct sip_uri *uri, handle tag,
                       uint32_t source)
{
    struct slice target = uri->host, maddr;
    unsigned kind = 0;
    *r = (struct resolve){.tag = tag, .source = source, .is_sips = uri->scheme == SIP_URI_SIPS};
    r->has_tls = s->settings.foreign_tls;
    r->families = families_of(s);
    if (sip_uri_param(uri, SLICE_LITERAL("maddr"), &maddr) && maddr.len > 0) {
        target = maddr;
    }
    enum err said = transport_of(r, uri, &kind);
    if (said == ERR_UNSUPPORTED || (kind == SIP_TLS && !r->has_tls)) {
        return ERR_UNSUPPORTED;
    }
    r->kind = (uint8_t)kind;
    struct address a;
    if (address_parse(target, default_port(kind), &a) == ERR_OK) { /* 4.1, 4.2: a number */
        a.port = uri->port == 0 ? default_port(kind) : uri->port;
        r->addresses[0] = (struct resolve_target){.address = a, .kind = (uint8_t)kind};
        r->address_count = 1;
        r->step = RESOLVE_HOST;
        return ERR_OK;
    }
    if (target.len > 0 && target.data[target.len - 1] == '.') {
        target.len--;
    }
    if (!dns_is_name(target) || !join(r->target, "", target)) {
        return ERR_MALFORMED;
    }
    if (uri->port != 0) {
        use_host(r, r->target, kind, uri->port);
    } else if (said == ERR_OK) {
        char name[DNS_NAME_CAP];
        if (join(name, prefix_of(kind), target)) {
            add_service(r, kind, name);
        }
        r->step = RESOLVE_SRV;
    } else {
        r->step = RESOLVE_NAPTR;
    }
    return ERR_OK;
}
