/* SPDX-License-Identifier: Apache-2.0 */
/* parked.c - a short list; the oldest stands in front. */
#include "dht/parked.h"

void parked_init(struct parked *p)
{
    memset(p, 0, sizeof(*p));
    p->timer.tag = handle_make(HANDLE_OVERLAY, 0, 0);
}

static uint32_t of_link(const struct parked *p, handle link)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < p->count; i++) {
        count += p->items[i].link == link ? 1 : 0;
    }
    return count;
}

bool parked_push(struct turn *t, struct parked *p, struct slice message, handle link,
                 const struct node_id *previous_hop, uint32_t tries)
{
    if (p->count == PARKED_CAP || tries >= PARKED_TRIES || of_link(p, link) >= PARKED_PER_LINK) {
        return false;
    }
    struct msgbuf *buf = msgbuf_acquire(t->buffers, message.len);
    if (buf == NULL) {
        return false;
    }
    enum err e = msgbuf_append(buf, message);
    CHECK(e == ERR_OK);
    p->items[p->count++] = (struct parked_item){
        .buf = buf, .link = link, .previous_hop = *previous_hop, .tries = tries + 1};
    if (!wheel_is_armed(&p->timer)) {
        wheel_arm(t->wheel, &p->timer, t->now_us + PARKED_WAIT_US);
    }
    return true;
}

bool parked_take(struct parked *p, uint32_t *left, struct parked_item *out)
{
    if (*left == 0) {
        return false;
    }
    --*left;
    *out = p->items[0];
    p->count--;
    memmove(&p->items[0], &p->items[1], p->count * sizeof(p->items[0]));
    return true;
}

void parked_clear(struct turn *t, struct parked *p)
{
    wheel_cancel(t->wheel, &p->timer);
    while (p->count > 0) {
        msgbuf_release(t->buffers, p->items[--p->count].buf);
    }
}
