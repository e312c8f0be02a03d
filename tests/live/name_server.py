# SPDX-License-Identifier: Apache-2.0
"""A small name server for the live tests, over UDP and TCP on loopback (RFC 1035), with answers
good and bad.  Written from the RFCs, apart from the program's own decoder."""
import socket
import struct
import threading

TYPES = {'A': 1, 'CNAME': 5, 'AAAA': 28, 'SRV': 33, 'NAPTR': 35}


def name(text):
    return b''.join(bytes([len(p)]) + p.encode() for p in text.split('.') if p) + b'\0'


def string(text):
    return bytes([len(text)]) + text.encode()


def data(kind, text):
    words = text.split()
    if kind == 'A':
        return socket.inet_aton(text)
    if kind == 'AAAA':
        return socket.inet_pton(socket.AF_INET6, text)
    if kind == 'SRV':
        return struct.pack('>HHH', *map(int, words[:3])) + name(words[3])
    if kind == 'NAPTR':
        return (struct.pack('>HH', int(words[0]), int(words[1])) + string('s') +
                string(words[2]) + string('') + name(words[3]))
    return name(text)


def question(message):
    at, labels = 12, []
    while message[at]:
        labels.append(message[at + 1:at + 1 + message[at]].decode('latin1'))
        at += 1 + message[at]
    kind = struct.unpack('>H', message[at + 1:at + 3])[0]
    return '.'.join(labels).lower(), kind, message[12:at + 5]


def bind_both(tries=100):
    """A datagram socket at a port that the kernel chooses, and a stream socket at the same one: a
    connection of somebody else may have that already, so another is tried."""
    for left in reversed(range(tries)):
        udp, tcp = socket.socket(type=socket.SOCK_DGRAM), socket.socket()
        try:
            udp.bind(('127.0.0.1', 0))
            tcp.bind(udp.getsockname())
            return udp, tcp
        except OSError:
            udp.close()
            tcp.close()
            if left == 0:
                raise


class NameServer:
    """`zone`: (name, type) -> [text]; `odd`: name -> one of silent, servfail, garbage, refused,
    other (an answer to another question), huge (400 records, by TCP only)."""

    def __init__(self, zone, odd=None, ttl=30):
        self.zone, self.odd, self.ttl = zone, odd or {}, ttl
        self.asked = []
        self.udp, self.tcp = bind_both()
        self.port = self.udp.getsockname()[1]
        self.tcp.listen(16)
        self.running = True
        self.udp.settimeout(0.2)
        self.tcp.settimeout(0.2)
        self.threads = [threading.Thread(target=f, daemon=True) for f in (self.serve_udp,
                                                                          self.serve_tcp)]
        for t in self.threads:
            t.start()

    def close(self):
        self.running = False
        for t in self.threads:
            t.join()
        self.udp.close()
        self.tcp.close()

    def answer(self, message, is_tcp):
        who, kind, asked = question(message)
        odd = self.odd.get(who)
        if not is_tcp:
            self.asked.append(who)
        if odd == 'silent':
            return None
        if odd == 'garbage':
            return message[:2] + b'\x81\x80\xff\xff\xff\xff' + b'\xc0\x0c' * 40
        if odd == 'other':
            asked = name('another.example') + asked[-4:]
        records = [(who, 'CNAME', t) for t in self.zone.get((who, 'CNAME'), ())]
        end = who
        for _ in range(12):  # as a resolver does, until it has had enough
            end = self.zone.get((end, 'CNAME'), [None])[0]
            records += [(end, 'CNAME', t) for t in self.zone.get((end, 'CNAME'), ())]
        owners = {who} | {text for _, _, text in records}
        for (owner, k), texts in self.zone.items():
            if owner in owners and TYPES[k] == kind:
                records += [(owner, k, text) for text in texts]
        flags = 0x8180
        if odd == 'huge' and kind == TYPES['A']:
            if is_tcp:
                records += [(who, 'A', '127.0.0.1')] * 400
            else:
                flags, records = 0x8380, []
        known = bool(records) or any(owner == who for owner, _ in self.zone)
        flags |= {'servfail': 2, 'refused': 5}.get(odd, 0 if known or odd else 3)
        if odd in ('servfail', 'refused'):
            records = []
        body = b''.join(name(o) + struct.pack('>HHI', TYPES[k], 1, self.ttl) +
                        struct.pack('>H', len(data(k, t))) + data(k, t) for o, k, t in records)
        return message[:2] + struct.pack('>HHHHH', flags, 1, len(records), 0, 0) + asked + body

    def serve_udp(self):
        while self.running:
            try:
                message, peer = self.udp.recvfrom(4096)
            except OSError:
                continue
            answer = self.answer(message, False)
            if answer is not None:
                self.udp.sendto(answer, peer)

    def serve_tcp(self):
        while self.running:
            try:
                s, _ = self.tcp.accept()
            except OSError:
                continue
            with s:
                s.settimeout(2)
                try:
                    size = struct.unpack('>H', s.recv(2, socket.MSG_WAITALL))[0]
                    answer = self.answer(s.recv(size, socket.MSG_WAITALL), True)
                    if answer is not None:
                        s.sendall(struct.pack('>H', len(answer)) + answer)
                except (OSError, struct.error):
                    pass
