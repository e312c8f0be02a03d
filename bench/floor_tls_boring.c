/* SPDX-License-Identifier: Apache-2.0 */
/* floor_tls_boring.c - what BoringSSL costs by itself: to write and read TLS 1.3 records that are
 * full of messages, DTLS 1.2 records of one message and of one ACK, and bare signatures.
 *
 *     floor_tls [--record | --datagram [--connections N] | --sign] [--ms N]
 *
 * Both ends of a connection are in this process, with nothing between them but a copy.  With N
 * connections of datagrams each has its turn: 2 N sessions, as a node has with 2 N neighbors.  A
 * figure of a record is for one message, written and read.  What is read is compared with what was
 * written once in 64 times, and its length always. */
#include "bench/floor_run.h"

#include <getopt.h>
#include <openssl/bio.h>
#include <openssl/curve25519.h>
#include <openssl/ec.h>
#include <openssl/ec_key.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/nid.h>
#include <openssl/rsa.h>
#include <openssl/sha.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RECORD_BYTES = 16384, PIPE_BYTES = 65536, MESSAGE_BYTES = 500, ACK_BYTES = 9 };
enum { COMPARE_EVERY = 64, SIGNED_MESSAGES = 16, CONNECTIONS_CAP = 256 };

static uint64_t duration_ns = 200000000;
static unsigned connections = 1;

/* One direction: a stream for TLS, one datagram after the other for DTLS. */
struct pipe {
    uint8_t bytes[PIPE_BYTES];
    size_t begin;
    size_t end;
    uint16_t datagrams[64]; /* their lengths; none in a stream */
    unsigned first;
    unsigned count;
};

/* What a BIO of one end reads from and writes to. */
struct wire {
    struct pipe *in;
    struct pipe *out;
    bool is_datagram;
};

static int read_wire(BIO *bio, char *out, int cap)
{
    const struct wire *wire = BIO_get_data(bio);
    struct pipe *p = wire->in;
    size_t len = p->end - p->begin;
    BIO_clear_retry_flags(bio);
    if (len == 0) {
        BIO_set_retry_read(bio);
        return -1;
    }
    if (wire->is_datagram) {
        len = p->datagrams[p->first++];
        p->count--;
        floor_run_require(len <= (size_t)cap, "a datagram is cut");
    }
    len = min_size(len, (size_t)cap);
    memcpy(out, p->bytes + p->begin, len);
    p->begin += len;
    if (p->begin == p->end) {
        p->begin = p->end = p->first = 0;
    }
    return (int)len;
}

static int write_wire(BIO *bio, const char *bytes, int len)
{
    const struct wire *wire = BIO_get_data(bio);
    struct pipe *p = wire->out;
    floor_run_require((size_t)len <= PIPE_BYTES - p->end, "the pipe is full");
    if (wire->is_datagram) {
        floor_run_require(p->first + p->count < ARRAY_COUNT(p->datagrams), "too many datagrams");
        p->datagrams[p->first + p->count++] = (uint16_t)len;
    }
    memcpy(p->bytes + p->end, bytes, (size_t)len);
    p->end += (size_t)len;
    return len;
}

static long control_wire(BIO *bio, int command, long number, void *pointer)
{
    (void)bio;
    (void)number;
    (void)pointer;
    return command == BIO_CTRL_FLUSH ? 1 : 0;
}

/* ---- a connection ---- */

static EVP_PKEY *make_p256(void)
{
    EVP_PKEY *key = EVP_PKEY_new();
    EC_KEY *ec = EC_KEY_new_by_curve_name(NID_X9_62_prime256v1);
    floor_run_require(key != NULL && ec != NULL && EC_KEY_generate_key(ec) == 1 &&
                          EVP_PKEY_assign_EC_KEY(key, ec) == 1,
                      "no key");
    return key;
}

static SSL_CTX *make_context(bool is_datagram)
{
    SSL_CTX *context = SSL_CTX_new(is_datagram ? DTLS_method() : TLS_method());
    EVP_PKEY *key = make_p256();
    X509 *certificate = X509_new();
    floor_run_require(context != NULL && certificate != NULL, "no memory");
    floor_run_require(ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1) == 1 &&
                          X509_gmtime_adj(X509_get_notBefore(certificate), -3600) != NULL &&
                          X509_gmtime_adj(X509_get_notAfter(certificate), 3600) != NULL &&
                          X509_set_pubkey(certificate, key) == 1 &&
                          X509_sign(certificate, key, EVP_sha256()) > 0 &&
                          SSL_CTX_use_certificate(context, certificate) == 1 &&
                          SSL_CTX_use_PrivateKey(context, key) == 1,
                      "no certificate");
    SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
    X509_free(certificate);
    EVP_PKEY_free(key);
    return context;
}

static SSL *make_end(SSL_CTX *context, const BIO_METHOD *method, struct wire *wire)
{
    SSL *ssl = SSL_new(context);
    BIO *bio = BIO_new(method);
    floor_run_require(ssl != NULL && bio != NULL, "no memory");
    BIO_set_data(bio, wire);
    BIO_set_init(bio, 1);
    SSL_set_bio(ssl, bio, bio);
    if (wire->is_datagram) {
        SSL_set_options(ssl, SSL_OP_NO_QUERY_MTU);
        floor_run_require(SSL_set_mtu(ssl, 1400) == 1, "no MTU");
    }
    return ssl;
}

static void shake_hands(SSL *client, SSL *server)
{
    int is_client_done = 0;
    int is_server_done = 0;
    SSL_set_connect_state(client);
    SSL_set_accept_state(server);
    for (int i = 0; i < 16 && (is_client_done != 1 || is_server_done != 1); i++) {
        is_client_done = SSL_do_handshake(client);
        is_server_done = SSL_do_handshake(server);
    }
    floor_run_require(is_client_done == 1 && is_server_done == 1, "the handshake fails");
}

/* One record of `len` bytes from one end to the other. */
static void carry(SSL *from, SSL *to, const uint8_t *bytes, size_t len, bool is_compared)
{
    uint8_t back[RECORD_BYTES];
    int wrote = SSL_write(from, bytes, (int)len);
    int got = SSL_read(to, back, sizeof(back));
    floor_run_require(wrote == (int)len && got == (int)len, "a record is not carried whole");
    floor_run_require(!is_compared || memcmp(bytes, back, len) == 0, "a record is changed");
}

struct connection {
    struct pipe pipes[2];
    struct wire wires[2];
    SSL *client;
    SSL *server;
};

/* Records of `count` messages of `bytes` bytes each, by each of the connections in turn. */
static void measure_records(const struct connection *all, const char *what, unsigned bytes,
                            unsigned count)
{
    uint8_t plain[RECORD_BYTES];
    size_t len = (size_t)bytes * count;
    struct floor_run_result r = {0};
    char work[64];
    unsigned at = 0;
    for (size_t i = 0; i < sizeof(plain); i++) {
        plain[i] = (uint8_t)(i * 7 + i / 253);
    }
    for (unsigned i = 0; i < COMPARE_EVERY * connections; i++) {
        const struct connection *c = &all[i % connections];
        carry(c->client, c->server, plain, len, true);
    }
    uint64_t wall = floor_run_wall_ns();
    uint64_t cpu = floor_run_cpu_ns();
    do {
        for (unsigned i = 0; i < COMPARE_EVERY; i++) {
            carry(all[at].client, all[at].server, plain, len, i == 0);
            at = at + 1 < connections ? at + 1 : 0;
        }
        r.ops += (uint64_t)COMPARE_EVERY * count;
        r.cpu_ns = floor_run_cpu_ns() - cpu;
    } while (r.cpu_ns < duration_ns);
    r.wall_ns = floor_run_wall_ns() - wall;
    (void)snprintf(work, sizeof(work), "%s_%u", what, bytes);
    floor_run_print(work, &r);
}

static void connect_all(struct connection *all, SSL_CTX *context, const BIO_METHOD *method,
                        bool is_datagram)
{
    for (unsigned i = 0; i < connections; i++) {
        struct connection *c = &all[i];
        c->wires[0] = (struct wire){&c->pipes[0], &c->pipes[1], is_datagram};
        c->wires[1] = (struct wire){&c->pipes[1], &c->pipes[0], is_datagram};
        c->client = make_end(context, method, &c->wires[0]);
        c->server = make_end(context, method, &c->wires[1]);
        shake_hands(c->client, c->server);
        floor_run_require(strstr(SSL_get_cipher(c->client), "AES128-GCM") != NULL ||
                              strstr(SSL_get_cipher(c->client), "AES_128_GCM") != NULL,
                          "another cipher than AES-128-GCM");
    }
}

static void measure_connections(bool is_datagram)
{
    struct connection *all = calloc(connections, sizeof(*all));
    BIO_METHOD *method = BIO_meth_new(BIO_TYPE_MEM, "wire");
    floor_run_require(all != NULL && method != NULL && BIO_meth_set_read(method, read_wire) == 1 &&
                          BIO_meth_set_write(method, write_wire) == 1 &&
                          BIO_meth_set_ctrl(method, control_wire) == 1,
                      "no memory");
    SSL_CTX *context = make_context(is_datagram);
    connect_all(all, context, method, is_datagram);
    if (is_datagram) {
        measure_records(all, "dtls_record", MESSAGE_BYTES, 1);
        measure_records(all, "dtls_record", ACK_BYTES, 1);
    } else {
        for (unsigned i = 0; i < 3; i++) {
            static const unsigned sizes[] = {500, 700, 1300};
            measure_records(all, "tls_record", sizes[i], RECORD_BYTES / sizes[i]);
        }
    }
    for (unsigned i = 0; i < connections; i++) {
        SSL_free(all[i].client);
        SSL_free(all[i].server);
    }
    SSL_CTX_free(context);
    BIO_meth_free(method);
    free(all);
}

/* ---- signatures ---- */

struct signer {
    const char *name;
    RSA *rsa;
    EC_KEY *ec;
    uint8_t ed_private[ED25519_PRIVATE_KEY_LEN];
    uint8_t ed_public[ED25519_PUBLIC_KEY_LEN];
};

struct signature {
    uint8_t bytes[256];
    unsigned len;
};

static void sign(const struct signer *s, const uint8_t *message, struct signature *out)
{
    uint8_t hash[SHA256_DIGEST_LENGTH];
    int done;
    out->len = sizeof(out->bytes);
    if (s->rsa != NULL) {
        SHA256(message, MESSAGE_BYTES, hash);
        done = RSA_sign(NID_sha256, hash, sizeof(hash), out->bytes, &out->len, s->rsa);
    } else if (s->ec != NULL) {
        SHA256(message, MESSAGE_BYTES, hash);
        done = ECDSA_sign(0, hash, sizeof(hash), out->bytes, &out->len, s->ec);
    } else {
        done = ED25519_sign(out->bytes, message, MESSAGE_BYTES, s->ed_private);
        out->len = ED25519_SIGNATURE_LEN;
    }
    floor_run_require(done == 1, "signing failed");
}

static bool is_signed(const struct signer *s, const uint8_t *message, const struct signature *by)
{
    uint8_t hash[SHA256_DIGEST_LENGTH];
    if (s->rsa != NULL) {
        SHA256(message, MESSAGE_BYTES, hash);
        return RSA_verify(NID_sha256, hash, sizeof(hash), by->bytes, by->len, s->rsa) == 1;
    }
    if (s->ec != NULL) {
        SHA256(message, MESSAGE_BYTES, hash);
        return ECDSA_verify(0, hash, sizeof(hash), by->bytes, by->len, s->ec) == 1;
    }
    return ED25519_verify(message, MESSAGE_BYTES, by->bytes, s->ed_public) == 1;
}

static void measure_signer(const struct signer *s)
{
    static uint8_t messages[SIGNED_MESSAGES][MESSAGE_BYTES];
    struct signature signatures[SIGNED_MESSAGES];
    struct floor_run_result r[2] = {{0}, {0}};
    char work[64];
    for (unsigned i = 0; i < SIGNED_MESSAGES; i++) {
        memset(messages[i], (int)(i + 1), sizeof(messages[i]));
    }
    for (unsigned way = 0; way < 2; way++) {
        uint64_t wall = floor_run_wall_ns();
        uint64_t cpu = floor_run_cpu_ns();
        do {
            for (unsigned i = 0; i < SIGNED_MESSAGES; i++) {
                if (way == 0) {
                    sign(s, messages[i], &signatures[i]);
                } else {
                    floor_run_require(is_signed(s, messages[i], &signatures[i]), "not verified");
                }
            }
            r[way].ops += SIGNED_MESSAGES;
            r[way].cpu_ns = floor_run_cpu_ns() - cpu;
        } while (r[way].cpu_ns < duration_ns);
        r[way].wall_ns = floor_run_wall_ns() - wall;
        (void)snprintf(work, sizeof(work), "%s_%s", way == 0 ? "sign" : "verify", s->name);
        floor_run_print(work, &r[way]);
    }
    floor_run_require(!is_signed(s, messages[1], &signatures[0]), "a wrong signature is taken");
}

static void measure_signatures(void)
{
    struct signer rsa = {.name = "rsa2048", .rsa = RSA_new()};
    struct signer ec = {.name = "p256", .ec = EC_KEY_new_by_curve_name(NID_X9_62_prime256v1)};
    struct signer ed = {.name = "ed25519"};
    BIGNUM *exponent = BN_new();
    floor_run_require(exponent != NULL && BN_set_word(exponent, RSA_F4) == 1 && rsa.rsa != NULL &&
                          RSA_generate_key_ex(rsa.rsa, 2048, exponent, NULL) == 1 &&
                          ec.ec != NULL && EC_KEY_generate_key(ec.ec) == 1,
                      "no keys");
    ED25519_keypair(ed.ed_public, ed.ed_private);
    measure_signer(&rsa);
    measure_signer(&ec);
    measure_signer(&ed);
    RSA_free(rsa.rsa);
    EC_KEY_free(ec.ec);
    BN_free(exponent);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"record", no_argument, NULL, 'r'},
        {"datagram", no_argument, NULL, 'd'},
        {"sign", no_argument, NULL, 's'},
        {"ms", required_argument, NULL, 'm'},
        {"json", no_argument, NULL, 'j'},
        {"connections", required_argument, NULL, 'c'},
        {0},
    };
    int what = 0;
    for (int c = 0; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        floor_run_require(c != '?', "wrong usage: see the head of bench/floor_tls_boring.c");
        if (c == 'm') {
            duration_ns = floor_run_number(optarg, 1, 60000) * 1000000;
        } else if (c == 'c') {
            connections = (unsigned)floor_run_number(optarg, 1, CONNECTIONS_CAP);
        } else if (c != 'j') {
            what = c;
        }
    }
    floor_run_pin(FLOOR_RUN_SERVER_CPU);
    if (what == 0 || what == 'r') {
        measure_connections(false);
    }
    if (what == 0 || what == 'd') {
        measure_connections(true);
    }
    if (what == 0 || what == 's') {
        measure_signatures();
    }
    return 0;
}
