#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Calls to other domains by RFC 3263 (docs/foreign.md): found through a name server of ours with
good and bad answers, over UDP, TCP and TLS; the next server where one fails; certificates judged by
RFC 5922; nothing for strangers; and the node goes on while a name server is silent."""
import os
import secrets
import socket
import ssl
import subprocess
import threading
import time

from devices import ask
from live import Folder, check, run
from name_server import NameServer
from phone import Phone, first, parse, values
from transports import NAME, One
from wire_phone import Stream

SIP_SECONDS = 25


class Server:
    """A SIP server of another domain that answers every request with `status`, over `kind`."""

    def __init__(self, kind='UDP', status='200 OK', context=None, port=0):
        self.kind, self.status, self.context = kind, status, context
        self.requests = []
        self.running = True
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM if kind == 'UDP'
                                    else socket.SOCK_STREAM)
        self.socket.bind(('127.0.0.1', port))
        self.port = self.socket.getsockname()[1]
        self.socket.settimeout(0.2)
        self.threads = []
        if kind != 'UDP':
            self.socket.listen(8)
        self.start(self.serve_udp if kind == 'UDP' else self.accept)

    def start(self, what, *args):
        self.threads.append(threading.Thread(target=what, args=args, daemon=True))
        self.threads[-1].start()

    def close(self):
        self.running = False
        for t in self.threads:
            t.join()
        self.socket.close()

    def methods(self):
        return [line.split()[0] for line, _ in self.requests]

    def answer(self, message):
        line, headers = parse(message)
        if line.startswith('SIP/2.0') or not line:
            return None
        self.requests.append((line, headers))
        if line.startswith('ACK'):
            return None
        to = first(headers, 'to')
        transport = '' if self.kind == 'UDP' else f';transport={self.kind.lower()}'
        return (f'SIP/2.0 {self.status}\r\n' +
                ''.join(f'Via: {v}\r\n' for v in values(headers, 'via')) +
                ''.join(f'Record-Route: {v}\r\n' for v in values(headers, 'record-route')) +
                f'From: {first(headers, "from")}\r\n'
                f'To: {to if ";tag=" in to else to + ";tag=f"}\r\n'
                f'Call-ID: {first(headers, "call-id")}\r\nCSeq: {first(headers, "cseq")}\r\n'
                f'Contact: <sip:bob@127.0.0.1:{self.port}{transport}>\r\n'
                f'Content-Length: 0\r\n\r\n').encode()

    def serve_udp(self):
        while self.running:
            try:
                message, peer = self.socket.recvfrom(65536)
            except OSError:
                continue
            answer = self.answer(message)
            if answer:
                self.socket.sendto(answer, peer)

    def accept(self):
        while self.running:
            try:
                plain, _ = self.socket.accept()
            except OSError:
                continue
            self.start(self.serve_stream, plain)

    def serve_stream(self, plain):
        plain.settimeout(10)
        try:
            stream = Stream(self.context.wrap_socket(plain, server_side=True)
                            if self.context else plain)
            stream.socket.settimeout(0.2)
            while self.running:
                try:
                    message = stream.receive()
                except (socket.timeout, ssl.SSLWantReadError):
                    continue
                answer = self.answer(message) if message else None
                if answer:
                    stream.send(answer)
        except OSError:
            pass
        finally:
            plain.close()


def authority(folder):
    """A certificate authority; its certificate is the node's foreign-ca."""
    subprocess.run(['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt',
                    'ec_paramgen_curve:P-256', '-nodes', '-keyout', 'root.key', '-out',
                    'root.crt', '-days', '30', '-subj', '/CN=root of the tests'],
                   cwd=folder, check=True, capture_output=True, timeout=30)


def server_context(folder, stem, names):
    """TLS of a server whose certificate the authority has signed."""
    with open(os.path.join(folder, stem + '.ext'), 'w', encoding='ascii') as f:
        f.write(f'subjectAltName={names}\n')
    for words in (('req', '-new', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes',
                   '-keyout', stem + '.key', '-out', stem + '.csr', '-subj', '/CN=server'),
                  ('x509', '-req', '-in', stem + '.csr', '-CA', 'root.crt', '-CAkey', 'root.key',
                   '-CAcreateserial', '-days', '30', '-extfile', stem + '.ext', '-out',
                   stem + '.crt')):
        subprocess.run(['openssl', *words], cwd=folder, check=True, capture_output=True,
                       timeout=30)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(os.path.join(folder, stem + '.crt'),
                            os.path.join(folder, stem + '.key'))
    return context


class Scene:
    """A node with other domains on, a name server, and alice, registered."""

    def __init__(self, folder, zone, odd=None, shards=1):
        authority(folder)
        self.names = NameServer(zone, odd)
        self.node = One(folder, shards,
                        'foreign-domains = yes\nforeign-ca = root.crt\n'
                        f'foreign-dns = {{"127.0.0.1:{self.names.port}"}}\n')
        self.servers = []

    def __enter__(self):
        self.node.__enter__()
        self.alice = self.node.phone(0, 'UDP')
        check(self.alice.register(limit=8) == 200, 'alice cannot register')
        return self

    def __exit__(self, *exception):
        self.alice.close()
        for s in self.servers:
            s.close()
        self.names.close()
        self.node.__exit__(*exception)

    def serve(self, *args, **how):
        self.servers.append(Server(*args, **how))
        return self.servers[-1]

    def call(self, to, expected):
        """A whole call, INVITE to BYE."""
        result = self.alice.call(to, limit=SIP_SECONDS)
        check(result[:2] == expected, f'{to}: {result}, not {expected}')

    def ask(self, uri, expected, phone=None):
        """An OPTIONS to `uri`; how long the answer took."""
        start = time.monotonic()
        status, _ = (phone or self.alice).authenticated(
            'OPTIONS', uri, f'<{uri}>', secrets.token_hex(8), secrets.token_hex(4),
            limit=SIP_SECONDS)
        check(status == expected, f'{uri}: {status}, not {expected}')
        return time.monotonic() - start


def test_found_by_the_name_server():
    zone = {}
    with Folder() as folder, Scene(folder, zone, shards=2) as x:
        udp, tcp = x.serve(), x.serve('TCP')
        gone = socket.socket()  # bound, so nobody else gets it, and not listening
        gone.bind(('127.0.0.1', 0))
        zone.update({
            ('udp.example', 'NAPTR'): ['20 1 SIP+D2T _sip._tcp.udp.example',
                                       '10 1 SIP+D2U _sip._udp.udp.example'],
            ('_sip._udp.udp.example', 'SRV'): [f'1 1 {udp.port} host.udp.example'],
            ('host.udp.example', 'CNAME'): ['real.udp.example'],
            ('real.udp.example', 'A'): ['127.0.0.1'],
            ('_sip._tcp.tcp.example', 'SRV'): [f'1 1 {gone.getsockname()[1]} h.tcp.example',
                                               f'2 1 {tcp.port} h.tcp.example'],
            ('h.tcp.example', 'A'): ['127.0.0.1']})
        x.call('bob@udp.example', (200, 200))
        check(udp.methods() == ['INVITE', 'ACK', 'BYE'], f'{udp.methods()}')
        line, headers = udp.requests[0]
        check(line == 'INVITE sip:bob@udp.example SIP/2.0', line)
        check(not values(headers, 'proxy-authorization'), 'credentials have left the node')
        x.call('bob@tcp.example', (200, 200))  # the first of the two refuses
        check(tcp.methods() == ['INVITE', 'ACK', 'BYE'], f'{tcp.methods()}')
        check(x.node.metric('sip_foreign_dials_failed') >= 1, 'nothing was refused')
        x.call(f'bob@127.0.0.1:{udp.port}', (200, 200))
        asked = len(x.names.asked)
        x.call('bob@udp.example', (200, 200))
        check(len(x.names.asked) == asked, 'the cache did not know')
        gone.close()


def test_who_answers_over_tls():
    zone = {}
    with Folder() as folder, Scene(folder, zone) as x:
        right = x.serve('TLS', context=server_context(folder, 'right', 'URI:sip:tls.example'))
        wrong = x.serve('TLS', context=server_context(folder, 'wrong', 'DNS:evil.example'))
        own = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        own.load_cert_chain(os.path.join(folder, 'tls.crt'), os.path.join(folder, 'tls.key'))
        stranger = x.serve('TLS', context=own)  # signed by itself
        for domain, server in (('tls.example', right), ('wrong.example', wrong),
                               (NAME.replace('voice', 'other'), stranger)):
            zone.update({(domain, 'NAPTR'): [f'1 1 SIPS+D2T _sips._tcp.{domain}'],
                         (f'_sips._tcp.{domain}', 'SRV'): [f'1 1 {server.port} h.{domain}'],
                         (f'h.{domain}', 'A'): ['127.0.0.1']})
        x.call('bob@tls.example', (200, 200))
        check(right.methods() == ['INVITE', 'ACK', 'BYE'], f'{right.methods()}')
        x.ask('sip:bob@wrong.example', 504)
        x.ask(f'sip:bob@{NAME.replace("voice", "other")}', 504)
        check(not wrong.requests and not stranger.requests, 'SIP went to whom it must not')
        check(x.node.metric('sip_foreign_tls_refused') == 2, 'the certificates were not judged')


def test_bad_name_servers():
    zone = {('_sip._udp.huge.example', 'SRV'): ['1 1 5060 h.huge.example'],
            ('loop.example', 'CNAME'): ['pool.example'],
            ('pool.example', 'CNAME'): ['loop.example']}
    odd = {'silent.example': 'silent', 'fail.example': 'servfail', 'no.example': 'refused',
           'garbage.example': 'garbage', 'other.example': 'other', 'h.huge.example': 'huge'}
    with Folder() as folder, Scene(folder, zone, odd) as x:
        udp = x.serve()
        zone[('_sip._udp.huge.example', 'SRV')] = [f'1 1 {udp.port} h.huge.example']
        bob = x.node.phone(1, 'UDP')
        try:
            check(bob.register(limit=8) == 200, 'bob cannot register')
            waiting = threading.Thread(target=x.ask, args=('sip:b@silent.example', 504))
            waiting.start()
            count = 0
            while waiting.is_alive():  # the shard and the control thread go on meanwhile
                check(bob.register(limit=5) == 200, 'no REGISTER beside a silent name server')
                x.node.metric('sip_dns_asked')
                count += 1
            waiting.join()
            check(count > 2, f'{count} registrations in that time')
        finally:
            bob.close()
        for domain in ('fail', 'no', 'garbage', 'other', 'loop'):
            x.ask(f'sip:b@{domain}.example', 504)
        x.ask('sip:b@nothing.example', 404)
        x.ask('sip:b@huge.example', 200)
        check(x.node.metric('sip_dns_failed') >= 6, 'the failures were not counted')


def test_the_next_server_and_no_relay():
    zone = {}
    with Folder() as folder, Scene(folder, zone) as x:
        full, well = x.serve(status='503 Full'), x.serve()
        zone.update({('_sip._udp.two.example', 'SRV'): [f'1 0 {full.port} h.two.example',
                                                        f'2 0 {well.port} h.two.example'],
                     ('h.two.example', 'A'): ['127.0.0.1']})
        x.call('bob@two.example', (200, 200))
        check('INVITE' in full.methods() and 'BYE' in well.methods(),
              f'{full.methods()} {well.methods()}')
        seen = len(well.requests)
        eve = Phone({'user': 'eve@two.example', 'password': 'x'}, 'two.example',
                    f'127.0.0.1:{x.node.ports["UDP"]}')
        try:
            x.ask('sip:bob@two.example', 403, eve)
            x.ask(f'sip:bob@127.0.0.1:{well.port}', 403, eve)
        finally:
            eve.close()
        check(len(well.requests) == seen, 'the node was a relay for a stranger')
        x.ask('sip:bob@127.0.0.1:53', 403)  # phones get no further either than SIP servers
        x.ask('sip:bob@224.0.1.75', 403)
        x.ask('sip:bob@10.1.2.3', 403)


def test_long_requests_by_tcp():
    """RFC 3261 18.1.1: over 1,300 bytes by TCP to where UDP was found, and by UDP after all where
    nobody listens there."""
    zone = {}
    pad = 'X-Pad: ' + 'x' * 1300 + '\r\n'
    with Folder() as folder, Scene(folder, zone) as x:
        tcp, alone = x.serve('TCP'), x.serve()
        udp = x.serve(port=tcp.port)
        for domain, server in (('both.example', udp), ('alone.example', alone)):
            zone.update({(f'_sip._udp.{domain}', 'SRV'): [f'1 1 {server.port} h.{domain}'],
                         (f'h.{domain}', 'A'): ['127.0.0.1']})
        x.call('bob@both.example', (200, 200))
        check(udp.methods() == ['INVITE', 'ACK', 'BYE'] and not tcp.methods(),
              f'a short call: {udp.methods()} by UDP, {tcp.methods()} by TCP')
        check(ask(x.alice, 'sip:bob@both.example', pad) == 200, 'a long INVITE')
        check(tcp.methods() == ['INVITE', 'BYE'], f'by TCP: {tcp.methods()}')
        check(len(udp.methods()) == 3, f'by UDP: {udp.methods()}')
        via = first(tcp.requests[0][1], 'via')
        check(via.startswith('SIP/2.0/TCP '), f'its Via: {via}')
        check(x.node.metric('sip_foreign_too_long') == 1, 'not counted')
        check(ask(x.alice, 'sip:bob@alone.example', pad) == 200, 'a long INVITE, UDP only')
        check(alone.methods() == ['INVITE', 'BYE'], f'by UDP: {alone.methods()}')
        check(x.node.metric('sip_foreign_too_long') >= 2, 'not counted')


if __name__ == '__main__':
    run([test_found_by_the_name_server, test_who_answers_over_tls, test_bad_name_servers,
         test_the_next_server_and_no_relay, test_long_requests_by_tcp])
