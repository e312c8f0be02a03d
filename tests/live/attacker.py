# SPDX-License-Identifier: Apache-2.0
"""What an attacker has: certificates of any making, TLS links, RELOAD messages built by hand
(RFC 6940 6.3.2 to 6.3.4, 6.6.2), and a process that holds idle connections.

    attacker.py flood HOST:PORT,... COUNT NET    until its input ends; says how many it has opened
"""
import hashlib
import os
import re
import resource
import select
import signal
import socket
import ssl
import struct
import subprocess
import sys
import time

PING, ATTACH, STORE = 23, 3, 7
PING_ANS, STORE_ANS, ERROR = 24, 8, 0xffff
SIP_REGISTRATION = 1
FRAME_DATA = 0x80
RENEWALS = 150
FLOOD_LIMIT_S = 180


def tool(*words, cwd=None, given=''):
    done = subprocess.run(words, cwd=cwd, input=given, capture_output=True, text=True, timeout=60)
    if done.returncode != 0:
        raise RuntimeError(f'{" ".join(words)}: {done.stderr}')
    return done.stdout


class Credential:
    """A file with a certificate and its key."""

    def __init__(self, path):
        self.path = path
        with open(path, encoding='ascii') as f:
            text = f.read()
        pem = re.search('-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----', text, re.S)
        self.der = ssl.PEM_cert_to_DER_cert(pem.group(0))
        match = re.search(rb'reload://0110([0-9a-f]{32})@', self.der)
        self.node_id = bytes.fromhex(match.group(1).decode()) if match else bytes(16)

    def identity(self):
        """SignerIdentity: the hash of the certificate (6.3.4)."""
        return b'\x01' + vector(b'\x04' + vector(hashlib.sha256(self.der).digest(), 1), 2)

    def sign(self, data):
        source = self.path + '.tbs'
        with open(source, 'wb') as f:
            f.write(data)
        done = subprocess.run(['openssl', 'pkeyutl', '-sign', '-rawin', '-inkey', self.path, '-in',
                               source], capture_output=True, timeout=60, check=True)
        return done.stdout


def issue(chordial, ca, user, out):
    """As an operator does it."""
    tool(chordial, 'ca', 'issue', ca, '--user', user, '--out', out)
    return Credential(os.path.join(out, user + '.1.pem'))


def forge(folder, ca, name, node_id, domain, start='20200101000000Z', end='20400101000000Z'):
    """By the hand of somebody who has the root key: any Node-ID, any validity."""
    home = os.path.join(folder, name)
    os.mkdir(home)
    for file, text in (('index', ''), ('serial', os.urandom(8).hex() + '\n'), ('conf', f'''
[ca]
default_ca = c
[c]
database = index
serial = serial
new_certs_dir = .
default_md = default
policy = p
unique_subject = no
[p]
commonName = optional
[x]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature
authorityKeyIdentifier = keyid
subjectAltName = critical,URI:reload://0110{node_id.hex()}@{domain}/,email:{name}@{domain}
[req]
distinguished_name = d
[d]
''')):
        with open(os.path.join(home, file), 'w', encoding='ascii') as f:
            f.write(text)
    tool('openssl', 'genpkey', '-algorithm', 'ed25519', '-out', 'key', cwd=home)
    tool('openssl', 'req', '-new', '-config', 'conf', '-subj', '/CN=x', '-key', 'key',
         '-out', 'req', cwd=home)
    tool('openssl', 'ca', '-batch', '-notext', '-config', 'conf', '-extensions', 'x', '-startdate',
         start, '-enddate', end, '-cert', os.path.join(ca, 'root.crt'), '-keyfile',
         os.path.join(ca, 'root.key'), '-in', 'req', '-out', 'crt', cwd=home)
    path = os.path.join(home, 'both.pem')
    with open(path, 'w', encoding='ascii') as f:
        for part in ('crt', 'key'):
            with open(os.path.join(home, part), encoding='ascii') as source:
                f.write(source.read())
    return Credential(path)


def connect(target, source='127.0.0.1'):
    host, port = target.rsplit(':', 1)
    return socket.create_connection((host, int(port)), timeout=10, source_address=(source, 0))


def vector(data, width):
    return len(data).to_bytes(width, 'big') + data


def tls(target, credential):
    """A TLS client that asks no questions; `credential` None: it presents nothing."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if credential is not None:
        context.load_cert_chain(credential.path)
    return context.wrap_socket(connect(target))


def is_closed(stream, seconds=5):
    """Whether the other side ends the connection in time; what it says until then is read."""
    stream.settimeout(seconds)
    try:
        while stream.recv(65536):
            pass
        return True
    except TimeoutError:
        return False
    except OSError:
        return True


def frame(message, sequence=0):
    return struct.pack('>BI', FRAME_DATA, sequence) + vector(message, 3)


class Message:
    """A request: change a field, then take bytes()."""

    def __init__(self, signer, domain, to, code=PING, body=b'\0\x08chordial'):
        """`to`: a Node-ID, or a Resource-ID for a Store."""
        self.signer = signer
        self.overlay = hashlib.sha1(domain.encode()).digest()[-4:]
        self.transaction = os.urandom(8)
        self.destinations = b'\x02\x11\x10' + to if code == STORE else b'\x01\x10' + to
        self.contents = struct.pack('>H', code) + vector(body, 4) + vector(b'', 4)
        self.version = 0x0a
        self.ttl = 50
        self.is_signed = True
        self.flip_signature = False
        self.flip_contents = False

    def security(self):
        identity = self.signer.identity()
        if not self.is_signed:
            return vector(b'', 2) + b'\0\0' + b'\x03' + vector(b'', 2) + vector(b'', 2)
        signed = self.overlay + self.transaction + self.contents + identity
        value = bytearray(self.signer.sign(signed))
        value[7] ^= self.flip_signature
        certificates = b'\0' + vector(self.signer.der, 2)
        return vector(certificates, 2) + b'\x08\x07' + identity + vector(bytes(value), 2)

    def bytes(self):
        security = self.security()
        contents = bytearray(self.contents)
        contents[-5] ^= self.flip_contents
        length = 38 + len(self.destinations) + len(contents) + len(security)
        return (b'\xd2\x45\x4c\x4f' + self.overlay +
                struct.pack('>HBB', 1, self.version, self.ttl) +
                struct.pack('>II', 0xc0000000, length) + self.transaction +
                struct.pack('>IHHH', 0, 0, len(self.destinations), 0) + self.destinations +
                bytes(contents) + security)


def attach_body(port):
    """No-ICE: one host candidate on loopback, TLS over TCP (6.5.1.1, 6.5.1.14)."""
    candidate = (b'\x01' + vector(socket.inet_aton('127.0.0.1') + struct.pack('>H', port), 1) +
                 b'\x04' + vector(b'1', 1) + struct.pack('>I', 0x7effffff) + b'\x01' +
                 vector(b'', 2))
    return vector(b'', 1) * 2 + vector(b'passive', 1) + vector(candidate, 2) + b'\0'


def resource_of(name):
    return hashlib.sha1(name.encode()).digest()[:16]


def store_body(signer, name, flip=False):
    """A SIP-REGISTRATION of the signer under a name, as it would be right under its own (7.4.1,
    RFC 7904 3): dictionary entry, key and route are its Node-ID."""
    route = b'\x02' + vector(vector(b'', 2) + vector(b'\x01\x10' + signer.node_id, 2), 2)
    value = vector(signer.node_id, 2) + b'\x01' + vector(route, 4)
    stored_ms = struct.pack('>Q', int(time.time() * 1000))
    kind = struct.pack('>I', SIP_REGISTRATION)
    identity = signer.identity()
    signature = bytearray(signer.sign(resource_of(name) + kind + stored_ms + value + identity))
    signature[7] ^= flip
    data = (stored_ms + struct.pack('>I', 600) + value + b'\x08\x07' + identity +
            vector(bytes(signature), 2))
    values = kind + bytes(8) + vector(vector(data, 4), 4)
    return vector(resource_of(name), 1) + b'\0' + vector(values, 4)


def receive_message(stream, *codes, seconds=5):
    """Waits for a message with one of these codes; 0 when the link ends or is silent."""
    buffer = b''
    stream.settimeout(seconds)
    while True:
        while len(buffer) >= 9:
            if buffer[0] != FRAME_DATA:
                buffer = buffer[9:]  # an ACK
                continue
            end = 8 + int.from_bytes(buffer[5:8], 'big')
            if len(buffer) < end:
                break
            message, buffer = buffer[8:end], buffer[end:]
            start = 38 + sum(int.from_bytes(message[i:i + 2], 'big') for i in (32, 34, 36))
            code = int.from_bytes(message[start:start + 2], 'big')
            if code in codes:
                return code
        try:
            more = stream.recv(65536)
        except OSError:
            return 0
        if not more:
            return 0
        buffer += more


def hold_one(target, source):
    host, port = target.rsplit(':', 1)
    s = socket.socket()
    s.settimeout(2)
    try:
        s.bind((source, 0))
        s.connect((host, int(port)))
        return s
    except OSError:
        s.close()
        return None


def flood(targets, count, net):
    """Idle connections from as many addresses 127.<net>.x.y, open until the input ends; those that
    the other side closes are opened again, RENEWALS in a second."""
    signal.alarm(FLOOD_LIMIT_S)
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    poll = select.epoll()
    poll.register(sys.stdin, select.EPOLLIN)
    held, opened, slots = {}, 0, list(range(count))
    told = False
    while True:
        batch = slots if not told else slots[:RENEWALS // 10]
        slots = slots[len(batch):]
        for i in batch:
            s = hold_one(targets[i % len(targets)], f'127.{net}.{i // 200}.{i % 200 + 1}')
            if s is None:
                slots.append(i)
            else:
                held[s.fileno()] = (s, i)
                poll.register(s, select.EPOLLIN)
                opened += 1
        if not told:
            told = True
            print(opened, flush=True)
        pause = time.monotonic() + 0.1
        while (left := pause - time.monotonic()) > 0:
            for fd, _ in poll.poll(left):
                if fd == sys.stdin.fileno():
                    print(opened, flush=True)
                    return
                s, i = held.pop(fd)
                s.close()
                slots.append(i)


if __name__ == '__main__':
    flood(sys.argv[2].split(','), int(sys.argv[3]), int(sys.argv[4]))
