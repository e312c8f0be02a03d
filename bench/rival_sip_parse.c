/* SPDX-License-Identifier: Apache-2.0 */
/* rival_sip_parse.c - our parser, sofia-sip's and libosip2's, and a loop of memchr, each in turn on
 * the same messages.
 *
 *     rival_sip_parse --json [--ms N]
 *     rival_sip_parse --agree FILE...
 *
 * --agree times nothing: it says of each file, a datagram, who accepts it, and of mutations of it
 * how many are accepted by whom.
 *
 * `full` of each is what a proxy needs of a message to route it: all headers found; request-URI,
 * Via, From, To, CSeq, Call-ID, Contact, Route, Record-Route and Max-Forwards decoded with their
 * URIs and parameters.
 *   ours     sip_parser_datagram and sip_msg_check; nothing is copied
 *   sofia    msg_make with its default class, which decodes every header it knows and its URLs,
 *            and msg_destroy
 *   osip     osip_message_init, _parse, which decodes the same headers and their URIs, and _free
 * All of them have to accept each message and find the same in it before anything is timed.
 * bench/rival_run.py compiles this against the packages, with the flags of a release. */
#include "bench/sip_messages.h"
#include "codec/sip_parser.h"

#include <getopt.h>
#include <osipparser2/osip_parser.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#undef SP /* each of them defines it */
#include <sofia-sip/msg.h>
#include <sofia-sip/msg_addr.h>
#include <sofia-sip/sip.h>
#include <sofia-sip/sip_parser.h>
#include <sofia-sip/sip_util.h>

enum { VARIANTS = 64, SLICES = 15, FIGURES = 5 };

struct message {
    size_t len;
    char text[SIP_MESSAGES_BYTES];
};

static struct message messages[VARIANTS];
static struct sip_parser parser;

static void require(bool good, const char *who, unsigned variant)
{
    if (!good) {
        (void)fprintf(stderr, "rival_sip_parse: %s does not read this:\n%.*s", who,
                      (int)messages[variant].len, messages[variant].text);
        exit(1);
    }
}

static double cpu_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* What must not be optimized away. */
static void keep(const void *p)
{
    __asm__ volatile("" : : "r"(p) : "memory");
}

/* ---- those that are compared; each reads a message and says whether it is good ---- */

static bool run_memchr(const struct message *m)
{
    const char *at = m->text, *end = m->text + m->len;
    while (at < end && (at = memchr(at, '\n', (size_t)(end - at))) != NULL) {
        at++;
        keep(at);
    }
    return true;
}

static bool run_index(const struct message *m)
{
    bool is_good = sip_parser_datagram(&parser, slice_of(m->text, m->len)) == SIP_PARSE_OK;
    keep(&parser);
    return is_good;
}

static bool run_full(const struct message *m)
{
    struct sip_msg_core core;
    struct sip_fault fault;
    bool is_good = run_index(m) && sip_msg_check(&parser.msg, &core, &fault) == ERR_OK;
    keep(&core);
    return is_good;
}

static bool run_sofia(const struct message *m)
{
    msg_t *msg = msg_make(sip_default_mclass(), 0, m->text, (ssize_t)m->len);
    sip_t *sip = msg == NULL ? NULL : sip_object(msg);
    bool is_good = sip != NULL && sip->sip_error == NULL && sip->sip_cseq != NULL;
    keep(sip);
    msg_destroy(msg);
    return is_good;
}

static bool run_osip(const struct message *m)
{
    osip_message_t *msg;
    if (osip_message_init(&msg) != 0) {
        return false;
    }
    bool is_good = osip_message_parse(msg, m->text, m->len) == 0;
    keep(msg);
    osip_message_free(msg);
    return is_good;
}

static const struct {
    const char *name;
    bool (*run)(const struct message *m);
    unsigned weight; /* how many runs take about as long as one of the slowest */
} contestants[FIGURES] = {
    {"ns_per_op", run_full, 16}, {"index", run_index, 32}, {"memchr", run_memchr, 64},
    {"sofia", run_sofia, 2},     {"osip", run_osip, 1},
};

/* ---- that all of them find the same ---- */

static bool is_text(struct slice ours, const char *theirs)
{
    return theirs != NULL && slice_is_equal(ours, slice_text(theirs));
}

static void compare_sofia(const struct sip_msg_core *core, const struct message *m, unsigned i)
{
    msg_t *msg = msg_make(sip_default_mclass(), 0, m->text, (ssize_t)m->len);
    sip_t *sip = sip_object(msg);
    require(sip != NULL && sip->sip_via != NULL && sip->sip_from != NULL && sip->sip_to != NULL &&
                sip->sip_cseq != NULL && sip->sip_call_id != NULL && sip->sip_contact != NULL,
            "sofia", i);
    require(is_text(core->via.host, sip->sip_via->v_host) &&
                is_text(core->via.branch, sip->sip_via->v_branch) &&
                is_text(core->from.tag, sip->sip_from->a_tag) &&
                core->cseq.number == sip->sip_cseq->cs_seq &&
                is_text(core->call_id, sip->sip_call_id->i_id) &&
                sip->sip_from->a_url->url_host != NULL &&
                sip->sip_contact->m_url->url_host != NULL &&
                (sip->sip_request == NULL ||
                 is_text(core->uri.host, sip->sip_request->rq_url->url_host)),
            "sofia", i);
    msg_destroy(msg);
}

static void compare_osip(const struct sip_msg_core *core, const struct message *m, unsigned i)
{
    osip_message_t *msg;
    osip_via_t *via = NULL;
    osip_contact_t *contact = NULL;
    osip_generic_param_t *branch = NULL, *tag = NULL;
    require(osip_message_init(&msg) == 0 && osip_message_parse(msg, m->text, m->len) == 0, "osip",
            i);
    require(osip_message_get_via(msg, 0, &via) >= 0 && via != NULL &&
                osip_message_get_contact(msg, 0, &contact) >= 0 && contact != NULL &&
                contact->url->host != NULL && msg->from->url->host != NULL,
            "osip", i);
    (void)osip_via_param_get_byname(via, (char *)(uintptr_t) "branch", &branch);
    (void)osip_from_get_tag(msg->from, &tag);
    require(is_text(core->via.host, via->host) && branch != NULL &&
                is_text(core->via.branch, branch->gvalue) && tag != NULL &&
                is_text(core->from.tag, tag->gvalue) &&
                core->cseq.number == (uint32_t)strtoul(msg->cseq->number, NULL, 10) &&
                (msg->req_uri == NULL || is_text(core->uri.host, msg->req_uri->host)),
            "osip", i);
    osip_message_free(msg);
}

static void prepare(enum sip_messages kind)
{
    for (unsigned i = 0; i < VARIANTS; i++) {
        struct message *m = &messages[i];
        struct sip_msg_core core;
        struct sip_fault fault;
        m->len = sip_messages_write(kind, i, m->text);
        require(run_index(m) && sip_msg_check(&parser.msg, &core, &fault) == ERR_OK &&
                    parser.msg.header_count == sip_messages_headers[kind],
                "chordial", i);
        compare_sofia(&core, m, i);
        compare_osip(&core, m, i);
    }
}

/* ---- timing ---- */

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void measure(enum sip_messages kind, unsigned runs)
{
    double ns[FIGURES][SLICES];
    prepare(kind);
    for (unsigned slice = 0; slice < SLICES; slice++) {
        for (unsigned c = 0; c < FIGURES; c++) {
            unsigned n = runs * contestants[c].weight;
            unsigned good = 0;
            double begin = cpu_ns();
            for (unsigned i = 0; i < n; i++) {
                good += contestants[c].run(&messages[i % VARIANTS]);
            }
            ns[c][slice] = (cpu_ns() - begin) / n;
            require(good == n, contestants[c].name, 0);
        }
    }
    printf("{\"work\": \"%s\"", sip_messages_names[kind]);
    for (unsigned c = 0; c < FIGURES; c++) {
        qsort(ns[c], SLICES, sizeof(ns[c][0]), by_value);
        printf(", \"%s\": %.1f", contestants[c].name, ns[c][SLICES / 2]);
    }
    printf(", \"bytes\": %zu}\n", messages[0].len);
}

/* ---- who accepts what ---- */

enum { OURS = 1, SOFIA = 2, OSIP = 4, VERDICTS = 8, MUTATIONS = 500, FILE_BYTES = 60000 };

static bool is_ours(struct slice bytes)
{
    struct sip_msg_core core;
    struct sip_fault fault;
    return sip_parser_datagram(&parser, bytes) == SIP_PARSE_OK &&
           parser.event == SIP_EVENT_MESSAGE && sip_msg_check(&parser.msg, &core, &fault) == ERR_OK;
}

static bool is_sofias(struct slice bytes)
{
    msg_t *msg = msg_make(sip_default_mclass(), 0, bytes.data, (ssize_t)bytes.len);
    sip_t *sip = msg == NULL ? NULL : sip_object(msg);
    bool is_good =
        sip != NULL && sip->sip_error == NULL && !msg_has_error(msg) && sip_sanity_check(sip) == 0;
    msg_destroy(msg);
    return is_good;
}

static bool is_osips(struct slice bytes)
{
    osip_message_t *msg;
    bool is_good = osip_message_init(&msg) == 0 &&
                   osip_message_parse(msg, (const char *)bytes.data, bytes.len) == 0;
    osip_message_free(msg);
    return is_good;
}

static unsigned judge(const char *text, size_t len)
{
    struct slice bytes = slice_of(text, len);
    return (is_ours(bytes) ? OURS : 0u) | (is_sofias(bytes) ? SOFIA : 0u) |
           (is_osips(bytes) ? OSIP : 0u);
}

static void say_verdict(unsigned verdict)
{
    printf("%s%s%s%s", verdict == 0 ? " nobody" : "", (verdict & OURS) != 0 ? " ours" : "",
           (verdict & SOFIA) != 0 ? " sofia" : "", (verdict & OSIP) != 0 ? " osip" : "");
}

static unsigned next_random(void)
{
    static uint32_t x = 1;
    x = x * 1664525 + 1013904223;
    return x >> 8;
}

/* One byte in the first 1,200, which are head, becomes one that matters to SIP. */
static void mutate(char *text, size_t len)
{
    static const char odd[] = "\r\n\t :;,<>\"@%\\=[]?/.-_0z";
    if (len > 0) {
        text[next_random() % (len < 1200 ? len : 1200)] = odd[next_random() % (sizeof(odd) - 1)];
    }
}

/* It prints what it finds wrong otherwise. */
static void say_nothing(const char *file, int line, osip_trace_level_t level, const char *format,
                        va_list arguments)
{
    (void)file, (void)line, (void)level, (void)format, (void)arguments;
}

static int agree(char **files, int count)
{
    static char text[FILE_BYTES], changed[FILE_BYTES];
    unsigned sums[VERDICTS] = {0};
    osip_trace_initialize_func(END_TRACE_LEVEL, say_nothing);
    for (int i = 0; i < count; i++) {
        FILE *f = fopen(files[i], "rb");
        size_t len = f == NULL ? 0 : fread(text, 1, sizeof(text), f);
        if (f == NULL || fclose(f) != 0) {
            perror(files[i]);
            return 1;
        }
        printf("%s:", files[i]);
        say_verdict(judge(text, len));
        printf("\n");
        for (unsigned k = 0; k < MUTATIONS; k++) {
            memcpy(changed, text, len);
            mutate(changed, len);
            sums[judge(changed, len)]++;
        }
    }
    for (unsigned v = 0; v < VERDICTS; v++) {
        printf("%u of the mutations are accepted by", sums[v]);
        say_verdict(v);
        printf("\n");
    }
    return 0;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"json", no_argument, NULL, 'j'},
                                            {"ms", required_argument, NULL, 'm'},
                                            {"agree", no_argument, NULL, 'a'},
                                            {0}};
    unsigned long ms = 1000;
    bool is_agree = false;
    int option;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'm') {
            ms = strtoul(optarg, NULL, 10);
        } else if (option == 'a') {
            is_agree = true;
        } else if (option != 'j') {
            return 2;
        }
    }
    parser_init();
    sip_parser_init(&parser, false);
    if (is_agree) {
        return agree(argv + optind, argc - optind);
    }
    /* all contestants together take about 40 us for a run of the slowest */
    unsigned runs = (unsigned)(ms * 1000 / 40 / SLICES / SIP_MESSAGES_COUNT);
    for (unsigned kind = 0; kind < SIP_MESSAGES_COUNT; kind++) {
        measure((enum sip_messages)kind, runs < VARIANTS ? VARIANTS : runs);
    }
    return 0;
}
