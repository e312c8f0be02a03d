/* SPDX-License-Identifier: Apache-2.0 */
/* H(name) = Resource-ID, for the name that the policy asks for. */
#include "dht/access.h"
#include "dht/domain.h"

enum { NODE_MULTIPLE_MAX = 255 };

void access_hash(struct turn *t, struct slice name, uint8_t out[OVERLAY_RESOURCE_BYTES])
{
    uint8_t digest[CRYPTO_SHA1_BYTES];
    t->crypto->sha1(name, digest);
    memcpy(out, digest, OVERLAY_RESOURCE_BYTES);
}

static bool is_hash_of(struct turn *t, struct slice resource, struct slice name)
{
    uint8_t id[OVERLAY_RESOURCE_BYTES];
    access_hash(t, name, id);
    return slice_is_equal(resource, slice_of(id, sizeof(id)));
}

/* H(Node-ID || i) for some i; i is not on the wire, and its form is A-22's: one byte, 0 tried too.
 */
static bool is_node_multiple(struct turn *t, struct slice resource, struct slice node_id,
                             uint32_t max)
{
    uint8_t name[IDS_NODE_MAX + 1];
    CHECK(node_id.len < sizeof(name));
    memcpy(name, node_id.data, node_id.len);
    for (uint32_t i = 0; i <= max && i <= NODE_MULTIPLE_MAX; i++) {
        name[node_id.len] = (uint8_t)i;
        if (is_hash_of(t, resource, slice_of(name, node_id.len + 1))) {
            return true;
        }
    }
    return false;
}

static bool may_write(struct turn *t, const struct overlay_kind *kind, struct slice resource,
                      const struct access_signer *signer, struct slice key)
{
    switch (kind->access) {
    case OVERLAY_USER_MATCH:
        return is_hash_of(t, resource, signer->user);
    case OVERLAY_NODE_MATCH:
        return is_hash_of(t, resource, signer->node_id);
    case OVERLAY_USER_NODE_MATCH:
        return kind->data_model == OVERLAY_DICTIONARY && slice_is_equal(key, signer->node_id) &&
               is_hash_of(t, resource, signer->user);
    case OVERLAY_NODE_MULTIPLE:
        return is_node_multiple(t, resource, signer->node_id, kind->max_node_multiple);
    }
    return false;
}

enum err access_check(struct turn *t, const struct overlay_kind *kind, struct slice resource,
                      const struct access_signer *signer, struct slice key)
{
    CHECK(signer->node_id.len >= IDS_NODE_MIN && signer->node_id.len <= IDS_NODE_MAX);
    /* A certificate without a user name proves none. */
    bool may = (signer->user.len > 0 || kind->access == OVERLAY_NODE_MATCH ||
                kind->access == OVERLAY_NODE_MULTIPLE) &&
               may_write(t, kind, resource, signer, key) &&
               domain_admits(kind->domains, signer->user); /* RFC 7904 3.3 */
    return may ? ERR_OK : ERR_FORBIDDEN;
}
