/* SPDX-License-Identifier: Apache-2.0 */
/* judge -> reserve -> commit.  The plan (store.plan) holds one entry for each value that would
 * change something; as long as nothing is committed, `undo` gives all reservations back. */
#include "dht/store_put.h"

#include "codec/content.h"
#include "codec/msgs.h"
#include "dht/access.h"
#include "dht/store_inside.h"
#include "dht/store_resources.h"
#include "dht/store_restore.h"

/* What the steps pass on. */
struct job {
    struct turn *t;
    struct store *s;
    const struct store_put *put;
    struct store_put_outcome *out;
    struct overlay_kind kinds[STORE_KINDS_CAP];
    uint64_t generations[STORE_KINDS_CAP]; /* as in the request */
    handle made[STORE_KINDS_CAP];          /* sets that this request made */
    uint32_t added[STORE_KINDS_CAP];       /* values that replace none */
    uint32_t highest[STORE_KINDS_CAP];     /* array: highest index + 1, the plan's included */
};

static struct store_set *set_at(const struct job *j, uint32_t kind_at)
{
    return store_set_get(j->s, j->out->kinds[kind_at].set);
}

/* step 1a: the Kinds */

/* 0xC names every Kind that is not known (ST-5). */
static uint16_t list_unknown(struct job *j)
{
    struct wr w = wr_init(j->s->info, sizeof(j->s->info));
    struct rd r = rd_init(j->put->kind_data);
    struct stored_block block;
    struct overlay_kind kind;
    size_t mark = wr_begin(&w, 1);
    bool is_any = false;
    while (stored_block_next(&r, &block)) {
        if (!kind_find(j->s->settings.config, block.kind, &kind) && wr_len(&w) < 4 * 63) {
            wr_u32(&w, block.kind);
            is_any = true;
        }
    }
    wr_end(&w, 1, mark);
    if (!rd_ok(&r)) {
        return CONTENT_ERROR_INVALID_MESSAGE;
    }
    j->out->info = is_any ? wr_slice(&w) : SLICE_EMPTY;
    return is_any ? CONTENT_ERROR_UNKNOWN_KIND : 0;
}

static void note_highest(struct job *j, uint32_t at, const struct store_set *set)
{
    for (uint32_t next = set->first; next != 0;) {
        const struct store_value *v = store_inside_value(j->s, next);
        j->highest[at] = v->index + 1;
        next = v->next;
    }
}

static uint16_t read_kinds(struct job *j)
{
    struct rd r = rd_init(j->put->kind_data);
    struct stored_block block;
    struct store_put_outcome *out = j->out;
    while (stored_block_next(&r, &block)) {
        for (uint32_t i = 0; i < out->kind_count; i++) {
            if (out->kinds[i].kind == block.kind) {
                return CONTENT_ERROR_INVALID_MESSAGE; /* ST-1 */
            }
        }
        bool is_counter_needed = j->put->replica_number != 0 && block.values.len > 0;
        if (out->kind_count == STORE_KINDS_CAP || (is_counter_needed && block.generation == 0)) {
            return CONTENT_ERROR_INVALID_MESSAGE; /* ST-7 */
        }
        uint32_t at = out->kind_count++;
        bool is_known = kind_find(j->s->settings.config, block.kind, &j->kinds[at]);
        CHECK(is_known); /* list_unknown has looked */
        j->generations[at] = block.generation;
        struct store_set *set = store_set_find(j->s, j->put->resource, block.kind);
        out->kinds[at] =
            (struct store_put_kind){block.kind, set == NULL ? 0 : store_set_handle(j->s, set)};
        if (set != NULL) {
            store_inside_expire(j->t, j->s, set);
            if (!store_restore_prove(j->t, j->s, set)) {
                out->is_unfinished = true; /* it has to be compared with what we had before */
                return CONTENT_ERROR_FORBIDDEN;
            }
            note_highest(j, at, set);
        }
    }
    return rd_ok(&r) ? 0 : CONTENT_ERROR_INVALID_MESSAGE;
}

/* ST-6: zero skips the check; anything but the current counter is refused, 0x5 with a StoreAns. */
static uint16_t check_generations(struct job *j)
{
    if (j->put->replica_number != 0) {
        return 0;
    }
    for (uint32_t i = 0; i < j->out->kind_count; i++) {
        const struct store_set *set = set_at(j, i);
        uint64_t current = set == NULL ? 0 : set->generation;
        if (j->generations[i] != 0 && j->generations[i] != current) {
            struct wr w = wr_init(j->s->info, sizeof(j->s->info));
            store_put_wr_answer(j->s, j->out, SLICE_EMPTY, &w);
            j->out->info = wr_slice(&w);
            return CONTENT_ERROR_GENERATION_COUNTER_TOO_LOW;
        }
    }
    return 0;
}

/* step 1b: the values */

static struct store_value *find_place(const struct job *j, uint32_t at,
                                      const struct stored_value *value)
{
    const struct store_set *set = set_at(j, at);
    for (uint32_t next = set == NULL ? 0 : set->first; next != 0;) {
        struct store_value *v = store_inside_value(j->s, next);
        if (value->model == STORED_SINGLE ||
            (value->model == STORED_ARRAY && v->index == value->index) ||
            (value->model == STORED_DICTIONARY &&
             slice_is_equal(value->key, store_inside_key_of(j->s, set, v)))) {
            return v;
        }
        next = v->next;
    }
    return NULL;
}

/* Same bytes?  Lifetime is not part of the value, nor is an index that was still to be found. */
static bool is_same(const struct job *j, const struct store_value *v, const struct stored_data *d)
{
    struct slice ours = store_inside_wire(j->s, v);
    size_t from = STORE_INSIDE_OFFSET_PLACE;
    if (d->value.model == STORED_ARRAY) {
        from += sizeof(uint32_t);
    }
    return ours.len == d->wire.len && v->storage_time_ms == d->storage_time_ms &&
           slice_is_equal(slice_from(ours, from), slice_from(d->wire, from));
}

/* An append that came twice is one append. */
static bool is_appended_already(const struct job *j, uint32_t at, const struct stored_data *d)
{
    const struct store_set *set = set_at(j, at);
    for (uint32_t next = set == NULL ? 0 : set->first; next != 0;) {
        const struct store_value *v = store_inside_value(j->s, next);
        if (is_same(j, v, d)) {
            return true;
        }
        next = v->next;
    }
    return false;
}

static bool is_planned_already(const struct job *j, uint32_t at, const struct store_plan *p)
{
    for (uint32_t i = 0; i < j->s->plan_count; i++) {
        const struct store_plan *other = &j->s->plan[i];
        if (other->kind_at == at && other->index == p->index &&
            slice_is_equal(other->data.value.key, p->data.value.key)) {
            return true;
        }
    }
    return false;
}

/* Removal carries no bytes (7.4.1.3); the codec hides them, so look at the length on the wire. */
static bool is_empty_removal(const struct stored_data *d)
{
    struct rd r = rd_init(slice_from(d->wire, STORE_INSIDE_OFFSET_PLACE));
    if (d->value.model == STORED_ARRAY) {
        (void)rd_u32(&r);
    } else if (d->value.model == STORED_DICTIONARY) {
        (void)rd_opaque16(&r);
    }
    (void)rd_u8(&r);
    return rd_u32(&r) == 0;
}

static uint16_t check_form(const struct overlay_kind *kind, const struct stored_data *d)
{
    if (d->signature.identity.type == SECBLOCK_IDENTITY_NONE || d->signature.algorithm == 0) {
        return CONTENT_ERROR_FORBIDDEN; /* SG-5 */
    }
    if (!d->value.exists && !is_empty_removal(d)) {
        return CONTENT_ERROR_INVALID_MESSAGE; /* ST-13 */
    }
    if (d->value.bytes.len > kind->max_size_bytes || d->value.key.len > STORE_KEY_CAP) {
        return CONTENT_ERROR_DATA_TOO_LARGE; /* ST-19 */
    }
    return 0;
}

/* May who sent an original Store write there?  Of a value that changes nothing, too (7.4.1.1). */
static uint16_t check_sender(struct job *j, const struct overlay_kind *kind,
                             const struct stored_data *d)
{
    uint8_t length = j->s->settings.params->node_id_length;
    struct access_signer sender = {j->put->signer_user, slice_of(j->put->signer.bytes, length)};
    bool may = j->put->replica_number != 0 ||
               access_check(j->t, kind, j->put->resource, &sender, d->value.key) == ERR_OK;
    return may ? 0 : CONTENT_ERROR_FORBIDDEN;
}

/* Signature, certificate and policy of one value. */
static uint16_t check_signer(struct job *j, const struct overlay_kind *kind, struct store_plan *p)
{
    const struct sign_certificate *c = NULL;
    struct node_id node_id;
    const struct stored_data *d = &p->data;
    uint8_t length = j->s->settings.params->node_id_length;
    if (sign_signer(j->t, j->s->settings.sign, &d->signature.identity, j->put->bucket, &c,
                    &node_id) != ERR_OK) {
        return CONTENT_ERROR_FORBIDDEN;
    }
    struct access_signer signer = {slice_of(c->parsed.user, c->parsed.user_len),
                                   slice_of(node_id.bytes, length)};
    if (access_check(j->t, kind, j->put->resource, &signer, d->value.key) != ERR_OK) {
        return CONTENT_ERROR_FORBIDDEN;
    }
    j->out->verified++;
    enum err e = sign_verify_value(j->t, j->s->settings.sign, c, j->put->resource, kind->id, d);
    if (e != ERR_OK) {
        j->out->is_unfinished = e == ERR_MORE;
        return CONTENT_ERROR_FORBIDDEN;
    }
    if (c->der_len == 0) {
        return CONTENT_ERROR_DATA_TOO_LARGE; /* ST-20: we could not ship it */
    }
    memcpy(p->certificate_sha256, c->sha256, sizeof(p->certificate_sha256));
    /* nobody's value outlives the certificate, nor our own cap. */
    uint64_t left_s = (c->parsed.not_after_ms - j->t->wall_ms) / 1000;
    uint32_t cap_s = j->s->settings.lifetime_max_s;
    p->lifetime_s = (uint32_t)min_u64(d->lifetime_s, left_s);
    if (cap_s != 0 && p->lifetime_s > cap_s) {
        p->lifetime_s = cap_s;
    }
    return 0;
}

uint16_t store_put_judge(struct turn *t, struct store *s, const struct store_put *put,
                         const struct overlay_kind *kind, const struct stored_data *d,
                         struct store_put_judged *out)
{
    struct store_put_outcome outcome = {0};
    struct job j = {.t = t, .s = s, .put = put, .out = &outcome};
    struct store_plan p = {.data = *d};
    CHECK(put->replica_number != 0);
    uint16_t error = check_form(kind, d);
    error = error != 0 ? error : check_signer(&j, kind, &p);
    out->is_unfinished = outcome.is_unfinished || sign_is_message_over(s->settings.sign);
    out->lifetime_s = p.lifetime_s;
    return error;
}

static uint16_t check_count(const struct job *j, uint32_t at, const struct store_plan *p)
{
    const struct store_set *set = set_at(j, at);
    const struct overlay_kind *kind = &j->kinds[at];
    if (kind->data_model == OVERLAY_ARRAY && p->index >= kind->max_count) {
        return CONTENT_ERROR_DATA_TOO_LARGE; /* also keeps arrays from being sparse */
    }
    uint32_t count = (set == NULL ? 0 : set->count) + j->added[at];
    return p->replaced == 0 && count >= kind->max_count ? CONTENT_ERROR_DATA_TOO_LARGE : 0;
}

/* *is_needed: the value changes something. */
static uint16_t judge_value(struct job *j, uint32_t at, struct store_plan *p, bool *is_needed)
{
    struct stored_data *d = &p->data;
    *is_needed = false;
    uint16_t error = check_form(&j->kinds[at], d);
    error = error != 0 ? error : check_sender(j, &j->kinds[at], d);
    if (error != 0) {
        return error;
    }
    if (d->value.model == STORED_ARRAY && d->value.index == STORED_INDEX_APPEND) {
        if (j->put->replica_number != 0) {
            return CONTENT_ERROR_INVALID_MESSAGE; /* a copy has its real index (ST-11) */
        }
        if (is_appended_already(j, at, d)) {
            return 0;
        }
        d->value.index = j->highest[at];
    }
    p->index = d->value.index;
    const struct store_value *replaced = find_place(j, at, &d->value);
    if (replaced != NULL && is_same(j, replaced, d)) {
        return 0; /* verified when it came first */
    }
    if (replaced != NULL && d->storage_time_ms <= replaced->storage_time_ms) {
        return j->put->only_newer ? 0 : CONTENT_ERROR_DATA_TOO_OLD; /* ST-8 */
    }
    p->replaced = replaced == NULL ? 0 : store_inside_number(j->s, replaced);
    if (is_planned_already(j, at, p)) {
        return CONTENT_ERROR_INVALID_MESSAGE;
    }
    error = check_count(j, at, p);
    *is_needed = error == 0;
    return error != 0 ? error : check_signer(j, &j->kinds[at], p);
}

static uint16_t judge_values(struct job *j)
{
    struct rd blocks = rd_init(j->put->kind_data);
    struct stored_block block;
    struct store *s = j->s;
    for (uint32_t at = 0; stored_block_next(&blocks, &block); at++) {
        struct rd values = rd_init(block.values);
        enum stored_model model = kind_wire_model(j->kinds[at].data_model);
        struct store_plan p = {.kind_at = at};
        while (stored_next(&values, model, &p.data)) {
            bool is_needed = false;
            uint16_t error = judge_value(j, at, &p, &is_needed);
            if (error == CONTENT_ERROR_FORBIDDEN && j->put->only_newer) {
                continue; /* a fetched list: take what is good of it */
            }
            if (error != 0) {
                return error;
            }
            if (is_needed && s->plan_count == STORE_PLAN_CAP) {
                return CONTENT_ERROR_DATA_TOO_LARGE;
            }
            if (is_needed) {
                s->plan[s->plan_count++] = p;
                j->added[at] += p.replaced == 0 ? 1 : 0;
                j->highest[at] = p.index >= j->highest[at] ? p.index + 1 : j->highest[at];
            }
        }
        if (!rd_ok(&values)) {
            return CONTENT_ERROR_INVALID_MESSAGE;
        }
    }
    return 0;
}

/* step 2: reserve */

/* A sixteenth is kept for values that replace others, so that a full store can still be refreshed.
 */
static bool has_room(const struct store *s, const struct store_plan *p)
{
    return p->replaced != 0 || (s->values.in_use < s->values.cap - s->values.cap / 16 &&
                                s->heap.free_units > s->heap.units / 16);
}

static bool reserve_value(struct job *j, struct store_plan *p)
{
    struct store *s = j->s;
    const struct sign_certificate *known = sign_find(s->settings.sign, p->certificate_sha256);
    struct slice der = known == NULL ? SLICE_EMPTY : slice_of(known->der, known->der_len);
    struct store_value *v = has_room(s, p) ? pool_acquire(&s->values) : NULL;
    if (v == NULL) {
        metric_add(j->t->metrics, METRIC_stores_full, 1);
        return false;
    }
    p->value = store_inside_number(s, v);
    struct store_certificate *c =
        store_inside_certificate_hold(j->t, s, p->certificate_sha256, der, p->replaced != 0);
    if (c == NULL) {
        return false;
    }
    v->certificate = pool_index(&s->certificates, c) + 1;
    v->certificate_piece = c->piece;
    v->certificate_len = (uint16_t)c->len;
    v->len = (uint32_t)p->data.wire.len;
    v->piece = value_acquire(&s->heap, v->len);
    if (v->piece == VALUE_NONE) {
        metric_add(j->t->metrics, METRIC_stores_full, 1);
        return false;
    }
    return true;
}

static bool reserve_set(struct job *j, uint32_t at)
{
    if (j->out->kinds[at].set != 0) {
        return true;
    }
    struct store_set *set = store_inside_set_acquire(j->t, j->s, j->put->resource, &j->kinds[at]);
    if (set == NULL) {
        return false;
    }
    j->made[at] = j->out->kinds[at].set = store_set_handle(j->s, set);
    return true;
}

static bool reserve(struct job *j)
{
    for (uint32_t i = 0; i < j->s->plan_count; i++) {
        struct store_plan *p = &j->s->plan[i];
        if (!reserve_set(j, p->kind_at) || !reserve_value(j, p)) {
            return false;
        }
    }
    return true;
}

static void undo(struct job *j)
{
    for (uint32_t i = 0; i < j->s->plan_count; i++) {
        struct store_value *v = store_inside_value(j->s, j->s->plan[i].value);
        if (v != NULL) {
            store_inside_value_release(j->s, v);
        }
    }
    for (uint32_t at = 0; at < j->out->kind_count; at++) {
        struct store_set *set = store_set_get(j->s, j->made[at]);
        if (set != NULL) {
            store_set_drop(j->s, set);
            j->out->kinds[at].set = 0;
        }
    }
}

/* step 3: commit */

static void fill(struct job *j, struct store_value *v, const struct store_plan *p)
{
    uint8_t *bytes = value_at(&j->s->heap, v->piece);
    memcpy(bytes, p->data.wire.data, v->len);
    if (p->data.value.model == STORED_ARRAY) {
        uint32_t index = __builtin_bswap32(p->index); /* the real one (ST-11) */
        memcpy(bytes + STORE_INSIDE_OFFSET_PLACE, &index, sizeof(index));
    }
    v->index = p->index;
    v->exists = p->data.value.exists;
    v->storage_time_ms = p->data.storage_time_ms;
    v->expires_us = j->t->now_us + (uint64_t)p->lifetime_s * 1000000;
    v->stamp = j->out->stamp;
}

static void commit(struct job *j)
{
    struct store *s = j->s;
    for (uint32_t i = 0; i < s->plan_count; i++) {
        struct store_plan *p = &s->plan[i];
        struct store_set *set = set_at(j, p->kind_at);
        struct store_value *v = store_inside_value(s, p->value);
        CHECK(set != NULL && v != NULL);
        struct store_value *replaced = store_inside_value(s, p->replaced);
        if (replaced != NULL) {
            store_inside_unlink(s, set, replaced);
            store_inside_take_over(s, replaced, v);
            v = replaced;
            p->value = p->replaced;
        }
        fill(j, v, p);
        store_inside_link(s, set, v);
        if (set->count == 1 && replaced == NULL) {
            store_resources_filled(s, set);
        }
        uint64_t kept_us = v->expires_us + (uint64_t)p->lifetime_s * 1000000;
        set->keep_until_us = max_u64(set->keep_until_us, kept_us); /* */
        j->out->changed++;
    }
}

/* 0 stands for no counter (ST-6, ST-7): it is left out. */
static uint64_t next_generation(uint64_t before)
{
    return before == UINT64_MAX ? 1 : before + 1;
}

/* The counter of a set that a copy was brought of.  A replica takes its owner's (7.4.1.1).  The
 * owner himself, to whom anybody may bring copies (ST-18), takes one with a set that he did not
 * have; of one that he has it is his to count, or whoever is of the overlay could set it back, so
 * that readers keep what they had (FT-1), or forward, so that a writer is refused (ST-6). */
static uint64_t copied_generation(const struct job *j, uint32_t at, uint64_t before,
                                  bool is_changed)
{
    uint64_t theirs = j->generations[at];
    if (!j->put->is_owner || j->made[at] != 0) {
        return theirs != 0 ? theirs : before;
    }
    return is_changed && theirs != before ? next_generation(before) : before;
}

/* ST-7, ST-9 */
static void count_generations(struct job *j)
{
    bool has_changed[STORE_KINDS_CAP] = {false};
    for (uint32_t i = 0; i < j->s->plan_count; i++) {
        has_changed[j->s->plan[i].kind_at] = true;
    }
    for (uint32_t at = 0; at < j->out->kind_count; at++) {
        struct store_set *set = set_at(j, at);
        if (set == NULL) {
            continue;
        }
        uint64_t before = set->generation;
        if (j->put->only_newer) {
            set->generation = max_u64(set->generation, j->generations[at]);
        } else if (j->put->replica_number != 0) {
            set->generation = copied_generation(j, at, before, has_changed[at]);
        } else if (has_changed[at]) {
            set->generation = next_generation(before);
        }
        if (has_changed[at] || before != set->generation) {
            store_log_put_set(j->t, j->s, set);
        }
    }
}

/* What it was replaced by stands under the same key. */
static void tell(struct job *j)
{
    struct store *s = j->s;
    for (uint32_t i = 0; i < s->plan_count; i++) {
        store_log_put_value(j->t, s, set_at(j, s->plan[i].kind_at),
                            store_inside_value(s, s->plan[i].value));
    }
}

static enum metric metric_of(uint16_t error)
{
    switch (error) {
    case CONTENT_ERROR_FORBIDDEN:
        return METRIC_stores_forbidden;
    case CONTENT_ERROR_GENERATION_COUNTER_TOO_LOW:
        return METRIC_stores_other_generation;
    case CONTENT_ERROR_DATA_TOO_LARGE:
        return METRIC_stores_too_large;
    case CONTENT_ERROR_DATA_TOO_OLD:
        return METRIC_stores_too_old;
    case CONTENT_ERROR_UNKNOWN_KIND:
        return METRIC_stores_unknown_kind;
    default:
        return METRIC_stores_malformed;
    }
}

static uint16_t judge(struct job *j)
{
    if (j->put->resource.len != OVERLAY_RESOURCE_BYTES) {
        return CONTENT_ERROR_INVALID_MESSAGE;
    }
    uint16_t error = list_unknown(j);
    error = error != 0 ? error : read_kinds(j);
    error = error != 0 ? error : check_generations(j);
    return error != 0 ? error : judge_values(j);
}

void store_put(struct turn *t, struct store *s, const struct store_put *put,
               struct store_put_outcome *out)
{
    *out = (struct store_put_outcome){0};
    s->plan_count = 0;
    struct job j = {.t = t, .s = s, .put = put, .out = out};
    out->error = judge(&j);
    if (out->error == 0 && !reserve(&j)) {
        undo(&j);
        out->error = CONTENT_ERROR_DATA_TOO_LARGE;
    }
    if (out->error != 0) {
        metric_add(t->metrics, metric_of(out->error), out->is_unfinished ? 0 : 1);
        return;
    }
    out->stamp = ++s->stamp;
    store_log_open(s);
    commit(&j);
    count_generations(&j);
    tell(&j);
    store_log_close(s);
    metric_add(t->metrics, METRIC_stores_done, 1);
}

void store_put_wr_answer(const struct store *s, const struct store_put_outcome *outcome,
                         struct slice replicas, struct wr *w)
{
    size_t mark = wr_begin(w, 2);
    for (uint32_t i = 0; i < outcome->kind_count; i++) {
        const struct store_set *set = store_set_get(s, outcome->kinds[i].set);
        struct stored_response response = {.kind = outcome->kinds[i].kind,
                                           .generation = set == NULL ? 0 : set->generation,
                                           .replicas = replicas};
        stored_wr_response(w, &response);
    }
    wr_end(w, 2, mark);
}
