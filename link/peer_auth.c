/* SPDX-License-Identifier: Apache-2.0 */
/* peer_auth.c - certificate first, then the Node-ID; a certificate with several Node-IDs speaks for
 * any of them, and for the first when we expect none. */
#include "link/peer_auth.h"

static void refuse(struct peer_auth_verdict *out, enum err error, enum metric metric,
                   const char *why)
{
    out->error = error;
    out->metric = metric;
    out->why = why;
}

static void judge_names(const struct peer_auth *rules, struct peer_auth_verdict *out)
{
    const struct crypto_certificate *c = &out->certificate;
    CHECK(c->node_id_count > 0);
    memcpy(out->node_id.bytes, c->node_ids[0], sizeof(out->node_id.bytes));
    bool is_expected = rules->expect == NULL;
    for (size_t i = 0; rules->expect != NULL && i < c->node_id_count; i++) {
        if (memcmp(c->node_ids[i], rules->expect->bytes, sizeof(rules->expect->bytes)) == 0) {
            is_expected = true;
            out->node_id = *rules->expect;
        }
    }
    if (!is_expected) {
        refuse(out, ERR_FORBIDDEN, METRIC_link_auth_wrong_node, "not the expected Node-ID");
    } else if (rules->self != NULL && ids_node_is_equal(&out->node_id, rules->self)) {
        refuse(out, ERR_DUPLICATE, METRIC_link_auth_self, "our own Node-ID");
    }
}

static void judge_chain(struct turn *t, const struct peer_auth *rules, const struct slice *chain,
                        size_t count, struct peer_auth_verdict *out)
{
    const char *why = "not acceptable";
    enum err error = t->crypto->certificate(chain[0], chain + 1, count - 1, rules->trust,
                                            t->wall_ms, &out->certificate, &why);
    if (error == ERR_OK && (t->wall_ms < out->certificate.not_before_ms ||
                            t->wall_ms > out->certificate.not_after_ms)) {
        why = "outside its validity period";
        error = ERR_EXPIRED;
    }
    if (error == ERR_OK) {
        judge_names(rules, out);
        return;
    }
    enum metric metric = error == ERR_EXPIRED     ? METRIC_link_auth_expired
                         : error == ERR_MALFORMED ? METRIC_link_auth_malformed
                                                  : METRIC_link_auth_untrusted;
    refuse(out, error, metric, why);
}

enum err peer_auth_judge(struct turn *t, const struct peer_auth *rules, const struct tls_ops *ops,
                         struct tls *tls, struct peer_auth_verdict *out)
{
    struct slice chain[TLS_CHAIN_CAP];
    memset(out, 0, sizeof(*out));
    out->why = "ok";
    size_t count = ops->peer_chain(tls, chain);
    CHECK(count <= TLS_CHAIN_CAP);
    if (count == 0) {
        refuse(out, ERR_UNAUTHENTICATED, METRIC_link_auth_no_certificate, "no certificate");
    } else {
        judge_chain(t, rules, chain, count, out);
    }
    return out->error;
}
