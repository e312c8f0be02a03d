/* SPDX-License-Identifier: Apache-2.0 */
/* tls_pump.c - straight into the buffer that the kernel will read from. */
#include "link/tls_pump.h"
#include "core/buggify.h"

enum { RECORD_OVERHEAD = 64 };

HOT enum err tls_pump(struct turn *t, const struct tls_ops *ops, struct tls *tls, handle conn,
                      size_t expected, uint32_t *queued)
{
    if (ops->waiting(tls) == 0) {
        return ERR_OK;
    }
    size_t want = min_size(expected + RECORD_OVERHEAD, MSGBUF_LARGE_BYTES);
    for (;;) {
        /* What TLS has made must leave, or the link is lost: load is shed where it comes in. */
        struct msgbuf *buf =
            buggify(t, BUGGIFY_pump_no_buffer) ? NULL : msgbuf_acquire_reserved(t->buffers, want);
        if (buf == NULL) {
            return ERR_NO_MEMORY;
        }
        size_t len = ops->pull(tls, msgbuf_data(buf), msgbuf_tailroom(buf));
        if (len == 0) {
            msgbuf_release(t->buffers, buf);
            return ERR_OK;
        }
        buf->len = (uint32_t)len;
        bool is_last = msgbuf_tailroom(buf) > 0;
        enum err error = io_send(t->out, t->buffers, conn, buf);
        if (error != ERR_OK) {
            return error;
        }
        *queued += (uint32_t)len;
        if (is_last) {
            return ERR_OK;
        }
    }
}
