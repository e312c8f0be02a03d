/* SPDX-License-Identifier: Apache-2.0 */
/* fake_overlay.h - dht/overlay.h as sip/ sees it, made of one array that all peers share.
 *
 * Include in one file of a test program: it defines the overlay_ functions, so that libdht's are
 * not linked.  Requests end after FAKE_DELAY_US; `fail` and friends make them end otherwise. */
#pragma once
#include "codec/msgs.h"
#include "dht/overlay.h"

enum { FAKE_RECORDS = 256, FAKE_REQUESTS = 512, FAKE_DELAY_US = 5000, FAKE_VALUE_CAP = 1024 };

struct fake_record {
    struct overlay_resource resource;
    uint32_t kind;
    uint8_t key[16];
    bool is_used, exists;
    uint8_t value[FAKE_VALUE_CAP];
    size_t value_len;
    uint64_t until_us;
};

struct fake_dht {
    struct fake_record records[FAKE_RECORDS];
    struct overlay *silent; /* peers that nobody reaches: none in most tests */
    bool is_fetch_silent;   /* Fetch times out */
    enum err store_error;   /* Store ends so */
    uint16_t store_reload_error;
    uint32_t fetches, stores, appattaches;
};

struct fake_request {
    bool is_open;
    uint64_t due_us;
    struct overlay_event event;
    struct overlay_resource resource;
    uint32_t kind;
};

struct overlay {
    struct fake_dht *dht;
    struct node_id self;
    bool is_down; /* requests are refused with ERR_STATE */
    bool is_attach_failing;
    struct fake_request requests[FAKE_REQUESTS];
    struct overlay_value values[OVERLAY_VALUES_CAP];
};

void overlay_resource_of(struct turn *t, struct slice name, struct overlay_resource *out)
{
    uint8_t hash[CRYPTO_SHA1_BYTES];
    t->crypto->sha1(name, hash);
    memcpy(out->bytes, hash, sizeof(out->bytes));
}

static enum err fake_ask(struct turn *t, struct overlay *o, enum overlay_event_kind kind,
                         uint64_t tag, struct fake_request **out)
{
    if (o->is_down) {
        return ERR_STATE;
    }
    for (size_t i = 0; i < FAKE_REQUESTS; i++) {
        struct fake_request *r = &o->requests[i];
        if (!r->is_open) {
            *r = (struct fake_request){.is_open = true, .due_us = t->now_us + FAKE_DELAY_US};
            r->event.kind = kind;
            r->event.tag = tag;
            *out = r;
            return ERR_OK;
        }
    }
    return ERR_LIMIT;
}

static struct fake_record *fake_find(struct fake_dht *d, const struct overlay_resource *resource,
                                     uint32_t kind, struct slice key)
{
    struct fake_record *free = NULL;
    for (size_t i = 0; i < FAKE_RECORDS; i++) {
        struct fake_record *r = &d->records[i];
        if (!r->is_used) {
            free = free == NULL ? r : free;
        } else if (memcmp(&r->resource, resource, sizeof(*resource)) == 0 && r->kind == kind &&
                   memcmp(r->key, key.data, sizeof(r->key)) == 0) {
            return r;
        }
    }
    return free;
}

static void fake_put(struct fake_dht *d, const struct overlay_resource *resource, uint32_t kind,
                     struct slice key, struct slice value, bool exists, uint64_t until_us)
{
    struct fake_record *r = fake_find(d, resource, kind, key);
    CHECK(r != NULL);
    CHECK(value.len <= sizeof(r->value));
    *r = (struct fake_record){.resource = *resource,
                              .kind = kind,
                              .is_used = true,
                              .exists = exists,
                              .value_len = value.len,
                              .until_us = until_us};
    memcpy(r->key, key.data, sizeof(r->key));
    if (value.len > 0) {
        memcpy(r->value, value.data, value.len);
    }
}

enum err overlay_store(struct turn *t, struct overlay *o, const struct overlay_store *what,
                       uint64_t tag)
{
    struct fake_request *r = NULL;
    enum err e = fake_ask(t, o, OVERLAY_STORED, tag, &r);
    if (e != ERR_OK) {
        return e;
    }
    o->dht->stores++;
    r->event.error = o->dht->store_error;
    r->event.reload_error = o->dht->store_reload_error;
    CHECK(what->key.len == 16);
    CHECK(what->exists || what->value.len == 0);
    CHECK(what->lifetime_s > 0);
    if (o->dht->store_error == ERR_OK) {
        fake_put(o->dht, &what->resource, what->kind, what->key, what->value, what->exists,
                 t->now_us + what->lifetime_s * UINT64_C(1000000));
    } else if (o->dht->store_error == ERR_TIMEOUT) {
        r->due_us += 15000000;
    }
    return ERR_OK;
}

enum err overlay_fetch(struct turn *t, struct overlay *o, const struct overlay_resource *resource,
                       uint32_t kind, uint64_t tag)
{
    struct fake_request *r = NULL;
    enum err e = fake_ask(t, o, OVERLAY_FETCHED, tag, &r);
    if (e != ERR_OK) {
        return e;
    }
    o->dht->fetches++;
    r->resource = *resource;
    r->kind = kind;
    if (o->dht->is_fetch_silent) {
        r->event.error = ERR_TIMEOUT;
        r->due_us += 15000000;
    }
    return ERR_OK;
}

enum err overlay_appattach(struct turn *t, struct overlay *o, const struct node_id *node_id,
                           uint16_t application, uint64_t tag)
{
    struct fake_request *r = NULL;
    CHECK(application == OVERLAY_APPLICATION_SIP);
    enum err e = fake_ask(t, o, OVERLAY_APPATTACHED, tag, &r);
    if (e != ERR_OK) {
        return e;
    }
    o->dht->appattaches++;
    r->event.node_id = *node_id;
    r->event.error = o->is_attach_failing ? ERR_TIMEOUT : ERR_OK;
    return ERR_OK;
}

bool overlay_is_ready(const struct overlay *o)
{
    return !o->is_down;
}

/* The world takes events with this; earliest first is not promised. */
static bool fake_next(struct turn *t, struct overlay *o, struct overlay_event *event)
{
    for (size_t i = 0; i < FAKE_REQUESTS; i++) {
        struct fake_request *r = &o->requests[i];
        if (!r->is_open || r->due_us > t->now_us) {
            continue;
        }
        r->is_open = false;
        *event = r->event;
        size_t count = 0;
        for (size_t k = 0; event->kind == OVERLAY_FETCHED && event->error == ERR_OK &&
                           k < FAKE_RECORDS && count < OVERLAY_VALUES_CAP;
             k++) {
            const struct fake_record *x = &o->dht->records[k];
            if (x->is_used && x->exists && x->kind == r->kind && x->until_us > t->now_us &&
                memcmp(&x->resource, &r->resource, sizeof(x->resource)) == 0) {
                o->values[count++] = (struct overlay_value){
                    .key = slice_of(x->key, 16),
                    .value = slice_of(x->value, x->value_len),
                    .lifetime_s = (uint32_t)((x->until_us - t->now_us) / 1000000)};
            }
        }
        event->values = o->values;
        event->value_count = count;
        return true;
    }
    return false;
}

static uint64_t fake_due(const struct overlay *o)
{
    uint64_t due = UINT64_MAX;
    for (size_t i = 0; i < FAKE_REQUESTS; i++) {
        if (o->requests[i].is_open) {
            due = min_u64(due, o->requests[i].due_us);
        }
    }
    return due;
}
