/* SPDX-License-Identifier: Apache-2.0 */
/* local.h - the link to a sibling peer of this process, over mail between shards; for files of
 * link/ only.  Nothing is framed, encrypted or acknowledged: a mail arrives or its ring was full.
 */
#pragma once
#include "link/link_table.h"

/* NULL when the table is full. */
struct link *local_add(struct turn *t, struct link_table *lt, uint16_t shard,
                       const struct node_id *node_id, struct slice user);
/* The sibling has left, or its link is closed. */
void local_remove(struct turn *t, struct link_table *lt, struct link *l, enum err error);
enum err local_send(struct turn *t, struct link *l, struct slice head, struct slice body) MUST_USE;
/* A message of `shard` has come; it is handed out by the next link_next. */
void local_on_mail(struct turn *t, struct link_table *lt, uint16_t shard, uint8_t *data,
                   size_t len);
