# SPDX-License-Identifier: Apache-2.0
"""The phone of phone.py over TCP, TLS and WebSocket (RFC 7118), IPv4 or IPv6; WebSocket frames and
handshake are written here from RFC 6455, apart from the program's own."""
import base64
import hashlib
import os
import secrets
import select
import socket
import ssl
import struct
import threading
import time

from phone import Phone

GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


def text_of(host, port):
    return f'[{host}]:{port}' if ':' in host else f'{host}:{port}'


def connect(host, port, context=None, timeout=5, name='voice.example'):
    """A TCP connection, in TLS where there is a context."""
    plain = socket.create_connection((host, port), timeout=timeout)
    return plain if context is None else context.wrap_socket(plain, server_hostname=name)


class Shared:
    """A TLS connection that one thread reads while others write: an SSL object serves one call at a
    time (two at once lose an error between them, and a live connection reads as ended), so every
    call holds the lock and the waiting is done outside it."""

    def __init__(self, tls):
        tls.setblocking(False)
        self.tls = tls
        self.timeout = 5.0
        self.lock = threading.Lock()

    def settimeout(self, seconds):
        self.timeout = seconds

    def call(self, method, *args):
        end = time.monotonic() + self.timeout
        while True:
            try:
                with self.lock:
                    return method(*args)
            except ssl.SSLWantReadError:
                wait = [self.tls], []
            except ssl.SSLWantWriteError:
                wait = [], [self.tls]
            if not any(select.select(*wait, [], max(0.0, end - time.monotonic()))):
                raise socket.timeout('timed out')

    def recv(self, count):
        return self.call(self.tls.recv, count)

    def sendall(self, data):
        while data:
            data = data[self.call(self.tls.send, data):]

    def getsockname(self):
        return self.tls.getsockname()

    def close(self):
        self.tls.close()


class Stream:
    """SIP messages over a byte stream, by Content-Length."""

    def __init__(self, plain):
        self.socket = plain
        self.rest = b''
        self.pongs = 0

    def send(self, data):
        self.socket.sendall(data)

    def receive(self):
        """The next message; b'' for a keep-alive answer.  OSError at the end."""
        while True:
            while self.rest.startswith(b'\r\n'):
                self.rest = self.rest[2:]
                self.pongs += 1
                return b''
            head, found, rest = self.rest.partition(b'\r\n\r\n')
            if found:
                length = next(int(line.split(b':')[1]) for line in head.lower().split(b'\r\n')
                              if line.startswith((b'content-length', b'l:')))
                if len(rest) >= length:
                    message = head + found + rest[:length]
                    self.rest = rest[length:]
                    return message
            part = self.socket.recv(65536)
            if not part:
                raise OSError('end of stream')
            self.rest += part

    def close(self):
        self.socket.close()


def frame(opcode, payload, final=True, mask=True, reserved=0):
    head = bytes([(0x80 if final else 0) | reserved << 4 | opcode])
    bit = 0x80 if mask else 0
    if len(payload) < 126:
        head += bytes([bit | len(payload)])
    elif len(payload) < 65536:
        head += bytes([bit | 126]) + struct.pack('>H', len(payload))
    else:
        head += bytes([bit | 127]) + struct.pack('>Q', len(payload))
    if not mask:
        return head + payload
    key = os.urandom(4)
    return head + key + bytes(b ^ key[i % 4] for i, b in enumerate(payload))


def upgrade(host, key, origin=None, protocol='sip', version='13', extra=''):
    lines = ['GET / HTTP/1.1', f'Host: {host}', 'Upgrade: websocket',
             'Connection: keep-alive, Upgrade', f'Sec-WebSocket-Key: {key}']
    if version:
        lines.append(f'Sec-WebSocket-Version: {version}')
    if protocol:
        lines.append(f'Sec-WebSocket-Protocol: {protocol}')
    if origin:
        lines.append(f'Origin: {origin}')
    return ('\r\n'.join(lines) + '\r\n' + extra + '\r\n').encode()


class Web:
    """A WebSocket client: one SIP message a message."""

    def __init__(self, plain, host='voice.example', **how):
        self.socket = plain
        self.rest = b''
        self.pongs = 0
        self.status = None  # of the Close frame that came
        key = base64.b64encode(os.urandom(16)).decode()
        plain.sendall(upgrade(host, key, **how))
        while b'\r\n\r\n' not in self.rest:
            part = plain.recv(65536)
            if not part:
                raise OSError('no answer to the handshake')
            self.rest += part
        head, _, self.rest = self.rest.partition(b'\r\n\r\n')
        self.answer = head.decode()
        if not self.answer.startswith('HTTP/1.1 101'):
            raise OSError(self.answer.split('\r\n')[0])
        want = base64.b64encode(hashlib.sha1((key + GUID).encode()).digest()).decode()
        fields = [line.lower().split(': ') for line in self.answer.split('\r\n')[1:]]
        if ['sec-websocket-accept', want.lower()] not in fields:
            raise OSError('wrong Sec-WebSocket-Accept')
        if ['sec-websocket-protocol', 'sip'] not in fields:
            raise OSError('no subprotocol')

    def send(self, data, opcode=TEXT):
        self.socket.sendall(frame(opcode, data))

    def need(self, count):
        while len(self.rest) < count:
            part = self.socket.recv(65536)
            if not part:
                raise OSError('end of stream')
            self.rest += part

    def receive_frame(self):
        self.need(2)
        first, length = self.rest[0], self.rest[1]
        if length & 0x80:
            raise OSError('a masked frame from a server')
        at = 2
        if length == 126:
            self.need(4)
            length, at = struct.unpack('>H', self.rest[2:4])[0], 4
        elif length == 127:
            self.need(10)
            length, at = struct.unpack('>Q', self.rest[2:10])[0], 10
        self.need(at + length)
        payload, self.rest = self.rest[at:at + length], self.rest[at + length:]
        return first & 0x0f, payload

    def receive(self):
        while True:
            opcode, payload = self.receive_frame()
            if opcode in (TEXT, BINARY):
                self.pongs += payload == b'\r\n'
                return b'' if payload == b'\r\n' else payload
            if opcode == PONG:
                self.pongs += 1
                return b''
            if opcode == CLOSE:
                self.status = struct.unpack('>H', payload[:2])[0] if payload else 1005
                raise OSError(f'closed with {self.status}')

    def close(self):
        self.socket.close()


class WirePhone(Phone):
    """`kind`: TCP, TLS, WS or WSS.  `host` with or without IPv6."""

    def __init__(self, account, domain, kind, host, port, context=None, scheme='sip',
                 answer_after=0.0):
        self.user = account['user'].split('@')[0]
        self.password = account['password']
        self.domain = domain
        self.aor = f'{self.user}@{domain}'
        plain = connect(host, port, context if kind in ('TLS', 'WSS') else None)
        if kind in ('TLS', 'WSS'):
            plain = Shared(plain)
        plain.settimeout(0.2)
        if kind in ('WS', 'WSS'):
            plain.settimeout(5)
            self.wire = Web(plain)
            plain.settimeout(0.2)
            local = secrets.token_hex(6) + '.invalid'  # RFC 7118: a browser knows no address
        else:
            self.wire = Stream(plain)
            local = text_of(*plain.getsockname()[:2])
        self.is_over = False
        self.sending = threading.Lock()
        self.start(local, answer_after, kind, scheme)
        if kind == 'WSS':
            self.contact = self.contact.replace('transport=wss', 'transport=ws')

    def send(self, text):
        try:
            with self.sending:
                self.wire.send(text.encode())
        except OSError:
            self.is_over = True

    def close(self):
        self.running = False
        self.thread.join()
        self.wire.close()

    def receive(self):
        while self.running and not self.is_over:
            try:
                data = self.wire.receive()
            except socket.timeout:
                continue
            except OSError:
                self.is_over = True
                return
            self.take(data)
