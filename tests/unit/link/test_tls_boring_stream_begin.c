/* SPDX-License-Identifier: Apache-2.0 */
/* Connections whose data begins before our Finished has arrived (RFC 8446 4.4.4: half-RTT data), or
 * whose cipher suite is not the one that link/tls_boring_stream knows and which BoringSSL therefore
 * keeps.  BoringSSL agrees upon no other with itself, so an OpenSSL in a process of its own is at
 * the other end, over a Unix socket. */
#include "codec/ids.h"
#include "tests/unit/link/bare_pair.h"

#include <fcntl.h>
#include <openssl/digest.h>
#include <openssl/hkdf.h>
#include <openssl/pem.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { DATA = 23, HEAD = 5, KEY_BYTES = 16 };

/* ---- half-RTT data ---- */

static char secret_hex[2 * TLS_BORING_STREAM_SECRET + 1];

static void note_secret(const SSL *ssl, const char *line)
{
    static const char label[] = "SERVER_TRAFFIC_SECRET_0 ";
    (void)ssl;
    if (strncmp(line, label, strlen(label)) == 0) {
        snprintf(secret_hex, sizeof(secret_hex), "%s", strrchr(line, ' ') + 1);
    }
}

/* 7.1, for labels of up to 3 letters */
static void expand(const char *label, uint8_t *out, size_t len)
{
    uint8_t secret[TLS_BORING_STREAM_SECRET], info[16] = {0, (uint8_t)len};
    size_t secret_len = 0, size = strlen(label);
    cr_assert_eq(ids_unhex(slice_text(secret_hex), secret, sizeof(secret), &secret_len), ERR_OK);
    cr_assert_eq(secret_len, sizeof(secret));
    info[2] = (uint8_t)(6 + size);
    memcpy(info + 3, "tls13 ", 6);
    memcpy(info + 9, label, size);
    cr_assert_eq(HKDF_expand(out, len, EVP_sha256(), secret, secret_len, info, 9 + size + 1), 1);
}

/* The server's first record of data. */
static size_t seal_first(struct slice data, uint8_t *out)
{
    uint8_t key[KEY_BYTES], nonce[TLS_BORING_STREAM_NONCE], inner[64];
    size_t body = data.len + 1 + TLS_BORING_STREAM_TAG, len = 0;
    EVP_AEAD_CTX keys;
    expand("key", key, sizeof(key));
    expand("iv", nonce, sizeof(nonce));
    cr_assert_lt(data.len, sizeof(inner));
    memcpy(inner, data.data, data.len);
    inner[data.len] = DATA;
    const uint8_t head[HEAD] = {DATA, 3, 3, 0, (uint8_t)body};
    memcpy(out, head, HEAD);
    cr_assert_eq(EVP_AEAD_CTX_init(&keys, EVP_aead_aes_128_gcm(), key, sizeof(key),
                                   TLS_BORING_STREAM_TAG, NULL),
                 1);
    cr_assert_eq(EVP_AEAD_CTX_seal(&keys, out + HEAD, &len, body, nonce, sizeof(nonce), inner,
                                   data.len + 1, out, HEAD),
                 1);
    EVP_AEAD_CTX_cleanup(&keys);
    return HEAD + body;
}

/* A server that does not wait for our Finished: its data comes right behind its own, in one piece
 * with it, or cut `short_by` bytes before its end. */
static void take_half_rtt(size_t short_by)
{
    static struct pair p;
    static uint8_t wire[WIRE];
    uint8_t plain[100];
    size_t len = 0;
    pair_open(&p, TLS_CLIENT, false);
    SSL_CTX_set_keylog_callback(p.bare_context, note_secret);
    cr_assert_eq(p.ops->handshake(p.tls), ERR_MORE);
    cr_assert_eq(carry(&p), ERR_OK);
    cr_assert_eq(SSL_do_handshake(p.bare), -1);
    size_t flight = (size_t)BIO_read(p.from_bare, wire, sizeof(wire));
    flight += seal_first(SLICE_LITERAL("early"), wire + flight);
    cr_assert_eq(p.ops->feed(p.tls, slice_of(wire, flight - short_by)), ERR_OK);
    cr_assert(tls_boring_stream_is_up(p.tls));
    if (short_by > 0) {
        cr_assert_eq(p.ops->read(p.tls, plain, sizeof(plain), &len), ERR_MORE);
        cr_assert_eq(p.ops->feed(p.tls, slice_of(wire + flight - short_by, short_by)), ERR_OK);
    }
    cr_assert_eq(p.ops->read(p.tls, plain, sizeof(plain), &len), ERR_OK);
    cr_assert_eq(len, 5);
    cr_assert_eq(memcmp(plain, "early", 5), 0);
    cr_assert_eq(p.ops->read(p.tls, plain, sizeof(plain), &len), ERR_MORE);
    /* ours goes on behind its Finished, which has not left before */
    cr_assert_eq(p.ops->write(p.tls, SLICE_LITERAL("back")), ERR_OK);
    cr_assert_eq(carry(&p), ERR_OK);
    cr_assert_eq(SSL_do_handshake(p.bare), 1);
    cr_assert_eq(SSL_read(p.bare, plain, sizeof(plain)), 4);
    cr_assert_eq(memcmp(plain, "back", 4), 0);
    end(&p);
}

Test(tls_boring_stream, reads_data_that_does_not_wait_for_our_finished)
{
    const size_t cuts[] = {0, 1, 16, 26, 27};
    for (size_t i = 0; i < ARRAY_COUNT(cuts); i++) {
        take_half_rtt(cuts[i]);
    }
}

/* ---- other cipher suites ---- */

enum { WAIT_MS = 10000 };

extern char **environ;

struct stranger {
    char folder[32], path[64], certificate[64], key[64];
    pid_t pid;
    int wire, in, out;
};

static void write_credential(struct stranger *s, const struct credential *c)
{
    snprintf(s->folder, sizeof(s->folder), "/tmp/chordial-XXXXXX");
    cr_assert_neq(mkdtemp(s->folder), NULL);
    snprintf(s->path, sizeof(s->path), "%s/socket", s->folder);
    snprintf(s->certificate, sizeof(s->certificate), "%s/certificate", s->folder);
    snprintf(s->key, sizeof(s->key), "%s/key", s->folder);
    FILE *file = fopen(s->certificate, "w");
    cr_assert_gt(PEM_write(file, "CERTIFICATE", "", c->certificate, (long)c->certificate_len), 0);
    fclose(file);
    file = fopen(s->key, "w");
    cr_assert_eq(
        PEM_write_PrivateKey(file, crypto_boring_key_object(c->key), NULL, NULL, 0, NULL, NULL), 1);
    fclose(file);
}

static void spawn_stranger(struct stranger *s, const char *command, const char *where,
                           const char *suite)
{
    int in[2], out[2];
    posix_spawn_file_actions_t actions;
    const char *const words[] = {
        "openssl",      command, where,  s->path,         "-quiet", "-tls1_3", "-cert",
        s->certificate, "-key",  s->key, "-ciphersuites", suite,    NULL};
    cr_assert_eq(pipe(in), 0);
    cr_assert_eq(pipe(out), 0);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, in[0], STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_addclose(&actions, in[1]);
    posix_spawn_file_actions_addclose(&actions, out[0]);
    cr_assert_eq(
        posix_spawnp(&s->pid, words[0], &actions, NULL, (char *const *)(uintptr_t)words, environ),
        0, "openssl is needed");
    posix_spawn_file_actions_destroy(&actions);
    close(in[0]);
    close(out[1]);
    s->in = in[1];
    s->out = out[0];
}

static struct sockaddr_un address_of(const struct stranger *s)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    snprintf(at.sun_path, sizeof(at.sun_path), "%s", s->path);
    return at;
}

static bool is_readable(int fd, int wait_ms)
{
    struct pollfd one = {.fd = fd, .events = POLLIN};
    return poll(&one, 1, wait_ms) == 1;
}

static void be_called(struct stranger *s, const char *suite)
{
    int listener = socket(AF_UNIX, SOCK_STREAM, 0);
    struct sockaddr_un at = address_of(s);
    cr_assert_eq(bind(listener, (const struct sockaddr *)&at, sizeof(at)), 0);
    cr_assert_eq(listen(listener, 1), 0);
    spawn_stranger(s, "s_client", "-unix", suite);
    cr_assert(is_readable(listener, WAIT_MS));
    s->wire = accept(listener, NULL, NULL);
    close(listener);
}

static void call(struct stranger *s, const char *suite)
{
    struct sockaddr_un at = address_of(s);
    int failed = -1;
    spawn_stranger(s, "s_server", "-unix", suite);
    s->wire = socket(AF_UNIX, SOCK_STREAM, 0);
    for (int tries = 0; failed != 0 && tries < WAIT_MS / 20; tries++) {
        failed = connect(s->wire, (const struct sockaddr *)&at, sizeof(at));
        poll(NULL, 0, failed == 0 ? 0 : 20);
    }
    cr_assert_eq(failed, 0);
}

static void say(struct pair *p, struct stranger *s)
{
    static uint8_t bytes[WIRE];
    size_t len = p->ops->pull(p->tls, bytes, sizeof(bytes));
    cr_assert_eq(write(s->wire, bytes, len), (ssize_t)len);
}

/* What comes on the wire, to ours. */
static void hear(struct pair *p, struct stranger *s)
{
    static uint8_t bytes[WIRE];
    cr_assert(is_readable(s->wire, WAIT_MS));
    ssize_t len = read(s->wire, bytes, sizeof(bytes));
    cr_assert_gt(len, 0);
    cr_assert_eq(p->ops->feed(p->tls, slice_of(bytes, (size_t)len)), ERR_OK);
    say(p, s);
}

static void talk_with(struct pair *p, struct stranger *s)
{
    uint8_t got[100];
    size_t len = 0;
    cr_assert_eq(write(s->in, "there\n", 6), 6);
    enum err e = ERR_MORE;
    while ((e = p->ops->read(p->tls, got, sizeof(got), &len)) == ERR_MORE) {
        hear(p, s);
    }
    cr_assert_eq(e, ERR_OK);
    cr_assert_eq(len, 6);
    cr_assert_eq(memcmp(got, "there\n", 6), 0);
    cr_assert_eq(p->ops->write(p->tls, SLICE_LITERAL("back\n")), ERR_OK);
    say(p, s);
    cr_assert(is_readable(s->out, WAIT_MS));
    cr_assert_eq(read(s->out, got, sizeof(got)), 5);
    cr_assert_eq(memcmp(got, "back\n", 5), 0);
}

static void end_stranger(struct stranger *s)
{
    int status = 0;
    kill(s->pid, SIGKILL);
    cr_assert_eq(waitpid(s->pid, &status, 0), s->pid);
    close(s->wire);
    close(s->in);
    close(s->out);
    unlink(s->path);
    unlink(s->certificate);
    unlink(s->key);
    rmdir(s->folder);
}

static void meet(const char *suite, uint16_t number, enum tls_role ours)
{
    static struct pair p;
    struct stranger s = {0};
    const struct sigaction ignore = {.sa_handler = SIG_IGN};
    cr_assert_eq(sigaction(SIGPIPE, &ignore, NULL), 0);
    pair_open(&p, ours, false);
    write_credential(&s, &b);
    (ours == TLS_SERVER ? be_called : call)(&s, suite);
    enum err e = p.ops->handshake(p.tls);
    say(&p, &s);
    while ((e = p.ops->handshake(p.tls)) == ERR_MORE) {
        hear(&p, &s);
    }
    cr_assert_eq(e, ERR_OK);
    say(&p, &s);
    cr_assert_eq(SSL_CIPHER_get_protocol_id(SSL_get_current_cipher(p.tls->ssl)), number);
    cr_assert_eq(tls_boring_stream_is_up(p.tls), number == 0x1301, "%s", suite);
    talk_with(&p, &s);
    talk_with(&p, &s);
    end_stranger(&s);
    end(&p);
}

Test(tls_boring_stream, leaves_other_cipher_suites_to_boringssl, .timeout = 60)
{
    static const struct {
        const char *name;
        uint16_t number;
    } suites[] = {{"TLS_AES_128_GCM_SHA256", 0x1301},
                  {"TLS_AES_256_GCM_SHA384", 0x1302},
                  {"TLS_CHACHA20_POLY1305_SHA256", 0x1303}};
    for (size_t i = 0; i < ARRAY_COUNT(suites); i++) {
        meet(suites[i].name, suites[i].number, TLS_SERVER);
        meet(suites[i].name, suites[i].number, TLS_CLIENT);
    }
}
