/* SPDX-License-Identifier: Apache-2.0 */
/* cert_usage against an owner who keeps one array for each Kind and does what the test wants of
 * him; with a real store: test_store_client, with a ring: test_publish.  RFC 6940 8 (US-1). */
#include "tests/unit/dht/storage_world.h"

#include "dht/cert_usage.h"

enum { ELEMENTS = 64, MINUTE_MS = 60000, HOUR_MS = 3600000 };
enum { NODE, USER, KINDS };

static struct {
    const struct ident *at[KINDS][ELEMENTS];
    uint32_t count[KINDS];
    uint32_t finds[KINDS], stores[KINDS];
    enum err fails_find, fails_store; /* what requests end with */
    bool denies;                      /* he says that nothing is there */
    bool is_mute;                     /* nothing ends */
    struct {
        bool is_open, is_fetch;
        uint32_t kind, index;
        const struct ident *who;
        uint64_t tag;
    } request;
} owner;

static uint32_t row_of(uint32_t kind)
{
    return kind == OVERLAY_KIND_CERTIFICATE_BY_USER ? USER : NODE;
}

enum err store_client_find(struct turn *t, struct store_client *c,
                           const struct overlay_resource *resource, uint32_t kind,
                           const struct ident *who, uint64_t tag)
{
    (void)t, (void)c, (void)resource;
    cr_assert_not(owner.request.is_open, "one at a time");
    owner.request.is_open = true;
    owner.request.is_fetch = true;
    owner.request.kind = row_of(kind);
    owner.request.who = who;
    owner.request.tag = tag;
    owner.finds[owner.request.kind]++;
    return ERR_OK;
}

enum err store_client_store(struct turn *t, struct store_client *c,
                            const struct overlay_store *what, enum store_client_user user,
                            uint64_t tag)
{
    (void)t, (void)c;
    cr_assert_not(owner.request.is_open, "one at a time");
    cr_assert_eq(user, STORE_CLIENT_CERT_USAGE);
    owner.request.is_open = true;
    owner.request.is_fetch = false;
    owner.request.kind = row_of(what->kind);
    owner.request.index = what->index;
    owner.request.who = what->signer;
    owner.request.tag = tag;
    owner.stores[owner.request.kind]++;
    return ERR_OK;
}

static void keep(uint32_t kind, uint32_t index, const struct ident *who)
{
    index = index == STORED_INDEX_APPEND ? owner.count[kind] : index;
    cr_assert_lt(index, ELEMENTS);
    owner.at[kind][index] = who;
    owner.count[kind] = index < owner.count[kind] ? owner.count[kind] : index + 1;
}

static uint32_t times_there(uint32_t kind, const struct ident *who)
{
    uint32_t times = 0;
    for (uint32_t i = 0; i < owner.count[kind]; i++) {
        times += owner.at[kind][i] == who ? 1 : 0;
    }
    return times;
}

/* What has been asked for ends. */
static void serve(struct turn *t, struct cert_usage *cu)
{
    uint32_t kind = owner.request.kind;
    struct overlay_value values[ELEMENTS];
    struct store_client_done done = {.user = STORE_CLIENT_CERT_USAGE,
                                     .tag = owner.request.tag,
                                     .is_fetch = owner.request.is_fetch,
                                     .values = values};
    owner.request.is_open = false;
    done.error = done.is_fetch ? owner.fails_find : owner.fails_store;
    if (done.error == ERR_OK && done.is_fetch && !owner.denies) {
        for (uint32_t i = 0; i < owner.count[kind]; i++) {
            values[done.value_count++] =
                (struct overlay_value){.index = i, .value = owner.at[kind][i]->certificate};
        }
    } else if (done.error == ERR_OK && !done.is_fetch) {
        keep(kind, owner.request.index, owner.request.who);
    }
    cert_usage_on_done(t, cu, &done);
}

struct fixture {
    struct world *w;
    struct person *alice, *other; /* two certificates under one user name */
    const struct ident *publish[1];
    struct cert_usage *cu;
    uint32_t least; /* published, ever since this was set */
};

static struct fixture *start(void)
{
    struct fixture *f = calloc(1, sizeof(*f));
    memset(&owner, 0, sizeof(owner));
    f->w = world_make(4);
    f->alice = person_make(f->w, "alice@example.org", 1);
    f->other = person_make(f->w, "alice@example.org", 2);
    f->publish[0] = &f->alice->ident;
    struct cert_usage_settings s = {f->publish, 1, &f->w->params, NULL};
    f->cu = cert_usage_init(&f->w->turn, &f->w->arena, &s);
    cert_usage_start(&f->w->turn, f->cu);
    return f;
}

static void finish(struct fixture *f)
{
    cert_usage_stop(&f->w->turn, f->cu);
    cr_assert_eq(f->w->wheel.armed, 0);
    free(f->alice);
    free(f->other);
    world_free(f->w);
    free(f);
}

static void run(struct fixture *f, uint64_t ms)
{
    struct wheel_timer *timer;
    for (uint64_t end = f->w->turn.now_us + ms * 1000; f->w->turn.now_us < end;) {
        world_pass(f->w, 100);
        while ((timer = wheel_take(&f->w->wheel, f->w->turn.now_us)) != NULL) {
            cert_usage_on_timer(&f->w->turn, f->cu, timer);
        }
        while (owner.request.is_open && !owner.is_mute) {
            serve(&f->w->turn, f->cu);
        }
        uint32_t published = (uint32_t)cert_usage_published(f->cu);
        f->least = published < f->least ? published : f->least;
    }
}

/* Stored, and from now on both items are to stay so. */
static void run_published(struct fixture *f)
{
    run(f, 2000);
    cr_assert_eq(cert_usage_published(f->cu), KINDS);
    cr_assert_eq(owner.stores[NODE], 1);
    cr_assert_eq(owner.stores[USER], 1);
    f->least = KINDS;
}

/* Nothing is lost: after 30 s, 2, 8 and 32 minutes it is looked for under the user name, where
 * others append too, and not stored; under the Node-ID nobody else does. */
Test(cert_usage, is_looked_for)
{
    const uint32_t looks_by[] = {37, 182, 762, 3100}; /* seconds */
    const uint32_t not_before[] = {23, 119, 503, 2040};
    struct fixture *f = start();
    run_published(f);
    uint64_t begun_us = f->w->turn.now_us - 2000000;
    for (uint32_t i = 0; i < ARRAY_COUNT(looks_by); i++) {
        run(f, not_before[i] * 1000u - (f->w->turn.now_us - begun_us) / 1000);
        cr_expect_eq(owner.finds[USER], 1 + i, "look %u too early", i);
        while (owner.finds[USER] == 1 + i &&
               f->w->turn.now_us - begun_us < looks_by[i] * 1000000u) {
            run(f, 1000);
        }
        cr_expect_eq(owner.finds[USER], 2 + i, "look %u too late", i);
    }
    cr_expect_eq(owner.finds[NODE], 1);
    cr_expect_eq(owner.stores[USER] + owner.stores[NODE], 2);
    cr_expect_eq(f->least, KINDS, "a look does not make it less published");
    run(f, 2 * HOUR_MS); /* the refresh is due at the time reckoned from the Store */
    cr_expect_eq(owner.stores[USER], 2);
    cr_expect_eq(owner.stores[NODE], 2);
    cr_expect_eq(owner.finds[USER], 6, "in a place that was found, it stays settled");
    cr_expect_eq(times_there(USER, &f->alice->ident), 1);
    finish(f);
}

/* Where two owners' arrays meet, the other's element stands at our index (found by
 * tests/live/document.py: four of 22 runs). */
Test(cert_usage, what_is_lost_is_appended_anew)
{
    const uint32_t lost_after_s[] = {3, 100, 600, 2000};
    const uint32_t back_after_s[] = {38, 185, 765, 3100};
    for (uint32_t i = 0; i < ARRAY_COUNT(lost_after_s); i++) {
        struct fixture *f = start();
        run_published(f);
        run(f, lost_after_s[i] * 1000u - 2000);
        keep(USER, 0, &f->other->ident);
        run(f, (back_after_s[i] - lost_after_s[i]) * 1000u);
        cr_expect_eq(times_there(USER, &f->alice->ident), 1, "lost after %u s", lost_after_s[i]);
        cr_expect_eq(times_there(USER, &f->other->ident), 1);
        cr_expect_eq(cert_usage_published(f->cu), KINDS);
        cr_expect_eq(metric_read(&f->w->metrics, METRIC_certificates_gone), 1);
        run(f, 6 * HOUR_MS);
        cr_expect_eq(times_there(USER, &f->alice->ident), 1, "once is enough");
        finish(f);
    }
}

/* A look that fails tells nothing: what is stored stays so, it is tried again by and by, and the
 * refresh comes at its time. */
Test(cert_usage, looks_that_fail)
{
    struct fixture *f = start();
    run_published(f);
    owner.fails_find = ERR_TIMEOUT;
    run(f, HOUR_MS);
    cr_expect_eq(f->least, KINDS, "nothing tells that it is gone");
    cr_expect_gt(owner.finds[USER], 15);
    cr_expect_lt(owner.finds[USER], 40, "%u: no more than one in two minutes", owner.finds[USER]);
    keep(USER, 0, &f->other->ident);
    owner.fails_find = ERR_OK;
    run(f, 4 * MINUTE_MS);
    cr_expect_eq(times_there(USER, &f->alice->ident), 1, "the next look finds it gone");
    owner.fails_find = ERR_TIMEOUT;
    run(f, 4 * HOUR_MS);
    cr_expect_eq(cert_usage_published(f->cu), 0, "the refresh is over its time, and fails");
    owner.fails_find = ERR_OK;
    run(f, 4 * MINUTE_MS);
    cr_expect_eq(cert_usage_published(f->cu), KINDS);
    finish(f);
}

/* It is gone, and cannot be stored: it is not published until it can. */
Test(cert_usage, stores_after_a_look_that_fail)
{
    struct fixture *f = start();
    run_published(f);
    keep(USER, 0, &f->other->ident);
    owner.fails_store = ERR_TIMEOUT;
    run(f, 5 * MINUTE_MS);
    cr_expect_eq(cert_usage_published(f->cu), KINDS - 1);
    owner.fails_store = ERR_OK;
    run(f, 4 * MINUTE_MS);
    cr_expect_eq(cert_usage_published(f->cu), KINDS);
    cr_expect_eq(times_there(USER, &f->alice->ident), 1);
    cr_expect_eq(metric_read(&f->w->metrics, METRIC_certificates_gone), 1);
    finish(f);
}

/* An owner who denies what he was given, or loses it each time, costs a few Stores more than one
 * who keeps it: not one for each half minute. */
Test(cert_usage, an_owner_who_denies_it)
{
    struct fixture *f = start();
    owner.denies = true;
    run(f, 70 * MINUTE_MS);
    cr_expect_eq(owner.stores[USER], 5);
    cr_expect_eq(owner.stores[NODE], 1);
    run(f, 12 * HOUR_MS);
    cr_expect_leq(owner.stores[USER], 5 * 11);
    cr_expect_leq(owner.stores[NODE], 11);
    finish(f);
}

/* Stopped while it is looked for: that look's end is not taken, and after a start all is done from
 * the beginning, looks too. */
Test(cert_usage, stopped_while_it_looks)
{
    struct fixture *f = start();
    run_published(f);
    owner.is_mute = true;
    run(f, MINUTE_MS);
    cr_assert(owner.request.is_open);
    cert_usage_stop(&f->w->turn, f->cu);
    owner.is_mute = false;
    owner.fails_find = ERR_TIMEOUT;
    serve(&f->w->turn, f->cu);
    owner.fails_find = ERR_OK;
    cr_expect_eq(f->w->wheel.armed, 0);
    cert_usage_start(&f->w->turn, f->cu);
    cr_expect_eq(cert_usage_published(f->cu), 0);
    run(f, 2000);
    cr_expect_eq(cert_usage_published(f->cu), KINDS);
    cr_expect_eq(owner.stores[USER], 2);
    uint32_t finds = owner.finds[USER];
    run(f, HOUR_MS);
    cr_expect_eq(owner.finds[USER], finds + 4);
    finish(f);
}

/* The certificate ends before the looks do: refreshed ever sooner, at last not any more. */
Test(cert_usage, its_end_comes_first)
{
    struct fixture *f = start();
    f->alice->ident.not_after_ms = f->w->turn.wall_ms + 20 * MINUTE_MS;
    run_published(f);
    run(f, 15 * MINUTE_MS);
    cr_expect_eq(f->least, KINDS);
    cr_expect_gt(owner.stores[NODE], 2);
    cr_expect_gt(owner.stores[USER], 2);
    cr_expect_eq(times_there(USER, &f->alice->ident), 1);
    run(f, 10 * MINUTE_MS);
    cr_expect_eq(cert_usage_published(f->cu), 0);
    cr_expect_eq(f->w->wheel.armed, 0);
    finish(f);
}
