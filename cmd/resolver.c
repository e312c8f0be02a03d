/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/resolver.h"
#include "sip/resolve.h"
#include <ares.h>
#include <arpa/nameser.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>

struct query {
    struct resolver *resolver;
    struct query *next; /* free ones */
    uint64_t tag;
    uint32_t shard;
    uint8_t number; /* of the question */
};

struct resolver {
    ares_channel channel;
    resolver_answer *answer;
    void *context;
    struct query *free;
    bool is_closing; /* nobody is told any more */
    struct query queries[RESOLVER_QUESTIONS];
    uint8_t mail[RESOLVE_MAIL_HEAD + RESOLVER_ANSWER_CAP];
};

/* "192.0.2.1:53,[2001:db8::1]:53" */
static void list_servers(const struct config *c, char *out, size_t cap)
{
    size_t len = 0;
    out[0] = '\0';
    for (size_t i = 0; i < c->dns_count; i++) {
        char text[ADDRESS_TEXT_CAP];
        int more = snprintf(out + len, cap - len, "%s%s", i == 0 ? "" : ",",
                            address_text(&c->dns[i], text));
        CHECK(more > 0 && (size_t)more < cap - len); /* CONFIG_DNS of them fit */
        len += (size_t)more;
    }
}

static void forget(struct query *q)
{
    q->next = q->resolver->free;
    q->resolver->free = q;
}

/* ares_callback */
static void on_answer(void *arg, int status, int timeouts, unsigned char *bytes, int len)
{
    struct query *q = arg;
    struct resolver *r = q->resolver;
    size_t count = 0;
    (void)timeouts;
    r->mail[0] = status == ARES_SUCCESS                               ? RESOLVE_ANSWER
                 : status == ARES_ENODATA || status == ARES_ENOTFOUND ? RESOLVE_NONE
                                                                      : RESOLVE_SILENT;
    r->mail[1] = q->number;
    if (r->mail[0] == RESOLVE_ANSWER && len > 0 && len <= RESOLVER_ANSWER_CAP) {
        count = (size_t)len;
        memcpy(r->mail + RESOLVE_MAIL_HEAD, bytes, count);
    } else if (r->mail[0] == RESOLVE_ANSWER) {
        r->mail[0] = RESOLVE_SILENT; /* beyond what anybody needs to say about SIP */
    }
    forget(q);
    if (!r->is_closing) {
        r->answer(r->context, q->shard, q->tag, slice_of(r->mail, RESOLVE_MAIL_HEAD + count));
    }
}

enum err resolver_open(const struct config *c, resolver_answer *answer, void *context,
                       struct resolver **out, char *why)
{
    char servers[CONFIG_DNS * (ADDRESS_TEXT_CAP + 1)];
    struct ares_options options = {.flags = ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES,
                                   .timeout = RESOLVER_TIMEOUT_MS,
                                   .tries = RESOLVER_TRIES};
    struct resolver *r = calloc(1, sizeof(*r));
    *out = NULL;
    if (r == NULL) {
        return say_why(why, ERR_NO_MEMORY, "no memory: name server: free some");
    }
    list_servers(c, servers, sizeof(servers));
    int status = ares_library_init(ARES_LIB_INIT_ALL);
    if (status == ARES_SUCCESS) {
        status = ares_init_options(&r->channel, &options,
                                   ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES);
    }
    if (status == ARES_SUCCESS && servers[0] != '\0') {
        status = ares_set_servers_ports_csv(r->channel, servers);
        if (status != ARES_SUCCESS) {
            ares_destroy(r->channel);
        }
    }
    if (status != ARES_SUCCESS) {
        free(r);
        return say_why(why, ERR_IO, "cannot ask name servers: foreign-domains: %s",
                       ares_strerror(status));
    }
    r->answer = answer;
    r->context = context;
    for (size_t i = RESOLVER_QUESTIONS; i > 0; i--) {
        r->queries[i - 1].resolver = r;
        forget(&r->queries[i - 1]);
    }
    *out = r;
    return ERR_OK;
}

void resolver_close(struct resolver *r)
{
    if (r != NULL) {
        r->is_closing = true;
        ares_destroy(r->channel);
        ares_library_cleanup();
        free(r);
    }
}

void resolver_ask(struct resolver *r, uint32_t shard, uint64_t tag, struct slice mail)
{
    char name[DNS_NAME_CAP];
    struct query *q = r->free;
    struct slice text = slice_from(mail, RESOLVE_MAIL_HEAD);
    CHECK(text.len > 0 && text.len < sizeof(name)); /* sip/resolve wrote it */
    memcpy(name, text.data, text.len);
    name[text.len] = '\0';
    if (q == NULL) {
        const uint8_t silent[RESOLVE_MAIL_HEAD] = {RESOLVE_SILENT, mail.data[0]};
        r->answer(r->context, shard, tag, slice_of(silent, sizeof(silent)));
        return;
    }
    r->free = q->next;
    q->shard = shard;
    q->tag = tag;
    q->number = mail.data[0];
    ares_query(r->channel, name, ns_c_in, mail.data[1], on_answer, q);
}

size_t resolver_polls(struct resolver *r, struct pollfd *polls, int *timeout_ms)
{
    ares_socket_t sockets[ARES_GETSOCK_MAXNUM];
    struct timeval left;
    size_t count = 0;
    STATIC_CHECK(RESOLVER_POLLS == ARES_GETSOCK_MAXNUM);
    unsigned mask = (unsigned)ares_getsock(r->channel, sockets, ARES_GETSOCK_MAXNUM);
    for (unsigned i = 0; i < ARES_GETSOCK_MAXNUM; i++) {
        bool reads = (mask & 1u << i) != 0, writes = (mask & 1u << (i + ARES_GETSOCK_MAXNUM)) != 0;
        if (reads || writes) {
            polls[count++] = (struct pollfd){
                .fd = sockets[i], .events = (short)((reads ? POLLIN : 0) | (writes ? POLLOUT : 0))};
        }
    }
    if (ares_timeout(r->channel, NULL, &left) != NULL) {
        int64_t ms = (int64_t)left.tv_sec * 1000 + left.tv_usec / 1000 + 1;
        *timeout_ms = ms < *timeout_ms ? (int)ms : *timeout_ms;
    }
    return count;
}

void resolver_work(struct resolver *r, const struct pollfd *polls, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        bool reads = (polls[i].revents & (POLLIN | POLLERR | POLLHUP)) != 0;
        bool writes = (polls[i].revents & POLLOUT) != 0;
        if (reads || writes) {
            ares_process_fd(r->channel, reads ? polls[i].fd : ARES_SOCKET_BAD,
                            writes ? polls[i].fd : ARES_SOCKET_BAD);
        }
    }
    ares_process_fd(r->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD); /* what has timed out */
}
