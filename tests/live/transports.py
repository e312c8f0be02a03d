#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Phones over every transport that one node offers (issue 6, Build 5): UDP, TCP, TLS, WebSocket
with and without TLS, IPv4 and IPv6; what is wrong with certificates and handshakes is said; the
certificate is read anew while calls go on.  Judges: Python's ssl, `openssl s_client`, tshark."""
import itertools
import json
import os
import re
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import time

import baresip
from capture import Capture, tshark, why_not
from live import CHORDIAL, FULL, Folder, check, chordial, free_ports, run, wait_for
from phone import Phone
from wire_phone import BINARY as BINARY_FRAME
from wire_phone import CLOSE, PING, TEXT, Web, WirePhone, connect, frame, upgrade

NAME = 'voice.example'
KINDS = ('UDP', 'TCP', 'TLS', 'WS', 'WSS')
ORIGIN = 'https://phone.voice.example'


def certify(folder, stem, days='30', names=f'DNS:{NAME},URI:sip:{NAME},IP:127.0.0.1,IP:::1',
            algorithm=('ec', '-pkeyopt', 'ec_paramgen_curve:P-256')):
    subprocess.run(['openssl', 'req', '-x509', '-newkey', *algorithm, '-nodes', '-keyout',
                    f'{stem}.key', '-out', f'{stem}.crt', '-days', days, '-subj', '/CN=phones',
                    '-addext', f'subjectAltName={names}'],
                   cwd=folder, check=True, capture_output=True, timeout=30)
    os.chmod(os.path.join(folder, f'{stem}.key'), 0o600)


def expire(folder, stem):
    """The same key, in a certificate that has ended."""
    with open(os.path.join(folder, 'ca.cnf'), 'w', encoding='ascii') as f:
        f.write('[ca]\ndefault_ca=x\n[x]\nnew_certs_dir=.\ndatabase=index\nserial=serial\n'
                'default_md=sha256\npolicy=p\n[p]\ncommonName=supplied\n')
    open(os.path.join(folder, 'index'), 'w', encoding='ascii').close()
    for words in (('req', '-new', '-key', f'{stem}.key', '-subj', '/CN=phones', '-out', 'csr'),
                  ('ca', '-config', 'ca.cnf', '-batch', '-selfsign', '-create_serial', '-keyfile',
                   f'{stem}.key', '-in', 'csr', '-notext', '-out', f'{stem}.crt', '-startdate',
                   '20200101000000Z', '-enddate', '20210101000000Z')):
        subprocess.run(['openssl', *words], cwd=folder, check=True, capture_output=True,
                       timeout=30)


class One:
    """One node with all listeners of the phone side and five accounts."""

    def __init__(self, folder, shards=1, extra=''):
        self.folder = folder
        port = free_ports(2 * shards + 5, 24000, 29000)
        sip = port + 2 * shards
        self.ports = dict(zip(KINDS, (sip, sip, sip + 1, sip + 2, sip + 3)))
        chordial(folder, 'ca', 'init', 'ca', '--overlay', NAME, '--bootstrap', f'127.0.0.1:{port}')
        chordial(folder, 'ca', 'issue', 'ca', '--user', f'host@{NAME}', '--nodes', str(shards),
                 '--out', 'peers')
        self.accounts = []
        for name in ('alice', 'bob', 'carol', 'dave', 'erin'):
            user = f'{name}@{NAME}'
            chordial(folder, 'ca', 'issue', 'ca', '--user', user, '--password-stdin',
                     '--digest', 'md5', '--out', 'accounts', given='secret\n')
            self.accounts.append({'user': user, 'password': 'secret'})
        certify(folder, 'tls')
        with open(os.path.join(folder, 'n.conf'), 'w', encoding='ascii') as f:
            f.write(f'''overlay-document = "ca/overlay.xml"
peers = peers
accounts = accounts
overlay-address = 127.0.0.1
overlay-port = {port}
overlay-sip-port = {port + shards}
found-ring = now
control-socket = s
shards = {shards}
sip-address = 127.0.0.1
sip-address6 = "::1"
sip-port = {sip}
sip-tls-cert = tls.crt
sip-tls-key = tls.key
sip-tls-port = {sip + 1}
sip-ws-port = {sip + 2}
sip-wss-port = {sip + 3}
sip-ws-origins = {{"{ORIGIN}"}}
keylog-file = keylog
{extra}
''')
        self.context = ssl.create_default_context(cafile=os.path.join(folder, 'tls.crt'))
        self.process = None
        self.log = os.path.join(folder, 'log')

    def __enter__(self):
        with open(self.log, 'w', encoding='utf-8') as log:
            self.process = subprocess.Popen([os.path.abspath(CHORDIAL), 'run', '-c', 'n.conf'],
                                            cwd=self.folder, stderr=log)
        wait_for('the node is ready', 40, lambda: 'ready' in self.text().splitlines())
        return self

    def __exit__(self, *exception):
        self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(40)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            status = -1
        if exception[0] is None:
            check(status == 0, f'the node ended with {status}: {self.text()[-3000:]}')
            check('Sanitizer' not in self.text() and 'runtime error' not in self.text(),
                  self.text()[-3000:])

    def text(self):
        with open(self.log, encoding='utf-8', errors='replace') as f:
            return f.read()

    def ask(self, **request):
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(20)
            s.connect(os.path.join(self.folder, 's'))
            s.sendall(json.dumps(request).encode() + b'\n')
            data = b''
            while not data.endswith(b'\n'):
                data += s.recv(65536)
        return json.loads(data)

    def metric(self, name):
        return self.ask(cmd='metrics')[name]

    def phone(self, i, kind, host='127.0.0.1', **how):
        if kind == 'UDP':
            text = f'[{host}]' if ':' in host else host
            return Phone(self.accounts[i], NAME, f'{text}:{self.ports[kind]}')
        return WirePhone(self.accounts[i], NAME, kind, host, self.ports[kind], self.context, **how)

    def wait_metric(self, name, least):
        wait_for(f'{name} is {least}', 8, lambda: self.metric(name) >= least)


def call_all(node, sides):
    """Every ordered pair of `sides` ((kind, host)) calls once."""
    for (a_kind, a_host), (b_kind, b_host) in sides:
        caller, callee = node.phone(0, a_kind, a_host), node.phone(1, b_kind, b_host)
        try:
            what = f'{a_kind} {a_host} calls {b_kind} {b_host}'
            check(caller.register(limit=8) == 200, what + ': the caller cannot register')
            check(callee.register(limit=8) == 200, what + ': the callee cannot register')
            result = caller.call(callee.aor, limit=8)
            check(result[:2] == (200, 200), f'{what}: {result}')
            for p in (caller, callee):
                check(p.register(0, limit=8) == 200, f'{what}: {p.aor} cannot leave')
        finally:
            caller.close()
            callee.close()


def test_every_transport_calls_every_other():
    with Folder() as folder, One(folder) as node:
        sides = [(k, '127.0.0.1') for k in KINDS]
        some = [*zip(sides, sides), *zip(sides, sides[2:] + sides[:2])]
        call_all(node, itertools.product(sides, repeat=2) if FULL else some)
        check(node.metric('sip_tls_failed') == 0, 'TLS failed')
        check(node.metric('sip_ws_failed') == 0, 'WebSockets failed')
        wait_for('all connections are gone', 8, lambda: node.metric('sip_wrapped') == 0)


def test_ipv6_and_between_the_families():
    with Folder() as folder, One(folder, shards=2) as node:
        six = [(k, '::1') for k in KINDS]
        four = [(k, '127.0.0.1') for k in KINDS]
        mixed = [*zip(six, four[1:] + four[:1]), *zip(four, six[2:] + six[:2])]
        call_all(node, [*zip(six, six), *mixed] if FULL else mixed)


def test_sips_all_the_way_or_not_at_all():
    with Folder() as folder, One(folder) as node:
        caller = node.phone(0, 'TLS', scheme='sips')
        callee = node.phone(1, 'WSS', scheme='sips')
        plain = node.phone(2, 'TCP')
        secure = node.phone(3, 'TLS')  # by TLS, but with a sip Contact
        for p in (caller, callee, plain, secure):
            check(p.register(limit=8) == 200, f'{p.aor} cannot register')
        check(caller.call(callee.aor, limit=8)[:2] == (200, 200), 'sips to sips')
        for other in (plain, secure):
            status, _, warning = caller.call(other.aor, limit=8)
            check(status == 480 and warning.startswith('380 '), f'{other.aor}: {status} {warning}')
        result = plain.call(callee.aor, limit=8)
        check(result[:2] == (200, 200), f'sip reaches a sips Contact: {result}')
        plain.scheme = 'sips'  # without TLS
        check(plain.call(callee.aor, limit=8)[0] == 403, 'sips without TLS')
        plain.contact = plain.contact.replace('sip:', 'sips:')
        check(plain.register(limit=8) == 400, 'a sips Contact without TLS')
        for p in (caller, callee, plain, secure):
            p.close()


def test_keep_alive():
    with Folder() as folder, One(folder) as node:
        for kind in ('TCP', 'TLS', 'WS', 'WSS'):
            p = node.phone(0, kind)
            check(p.register(limit=8) == 200, f'{kind}: cannot register')
            p.send('\r\n\r\n')
            wait_for(f'{kind}: a pong', 5, lambda p=p: p.wire.pongs == 1)
            if kind in ('WS', 'WSS'):
                p.wire.socket.sendall(frame(PING, b'hello'))
                wait_for(f'{kind}: Pong', 5, lambda p=p: p.wire.pongs == 2)
            p.close()


def test_stun_on_the_sip_port():
    """RFC 5626 8: Binding requests, told apart from SIP; the answer is RFC 8489's."""
    with Folder() as folder, One(folder, shards=2) as node:
        for family, host in ((socket.AF_INET, '127.0.0.1'), (socket.AF_INET6, '::1')):
            with socket.socket(family, socket.SOCK_DGRAM) as s:
                s.settimeout(5)
                s.connect((host, node.ports['UDP']))
                cookie, ident = bytes.fromhex('2112a442'), os.urandom(12)
                s.send(b'\0\1\0\0' + cookie + ident)
                got = s.recv(1000)
                check(got[:2] == b'\1\1' and got[4:20] == cookie + ident, got.hex())
                kind, length = struct.unpack('>HH', got[20:24])
                check(kind == 0x20 and length == (8 if '.' in host else 20), got.hex())
                port = struct.unpack('>H', got[26:28])[0] ^ 0x2112
                ip = bytes(a ^ b for a, b in zip(got[28:], cookie + ident))
                check((socket.inet_ntop(family, ip), port) == s.getsockname()[:2], got.hex())


def refused(call):
    try:
        call()
    except OSError as error:
        return str(error)
    return 'it was let in'


def test_websocket_handshakes_that_are_refused():
    with Folder() as folder, One(folder) as node:
        def web(**how):
            return Web(connect('127.0.0.1', node.ports['WS']), **how)
        web(origin=ORIGIN).close()
        web().close()
        web(protocol='chat, SIP').close()
        for want, how in (('403', {'origin': 'https://evil.example'}), ('400', {'protocol': ''}),
                          ('400', {'protocol': 'chat'}), ('426', {'version': '8'}),
                          ('400', {'extra': 'Content-Length: 5\r\n'}),
                          ('400', {'extra': 'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n'}),
                          ('431', {'extra': 'X: ' + 'x' * 9000 + '\r\n'})):
            got = refused(lambda how=how: web(**how))
            check(f' {want} ' in got, f'{str(how)[:60]}: {got}')
        check(node.metric('sip_ws_refused') == 7, 'refusals are counted')
        with connect('127.0.0.1', node.ports['WS']) as s:
            s.sendall(b'OPTIONS sip:x SIP/2.0\r\n\r\n')
            check(b' 400 ' in s.recv(1000), 'SIP without a WebSocket')


def closes_with(node, bytes_of):
    w = Web(connect('127.0.0.1', node.ports['WS']))
    w.socket.sendall(bytes_of)
    got = refused(w.receive)
    check(refused(w.receive) in ('end of stream', '[Errno 104] Connection reset by peer'),
          'the connection stays')
    w.close()
    return got


def test_websocket_frames_against_the_rules():
    with Folder() as folder, One(folder) as node:
        for status, data in ((1002, frame(TEXT, b'x', mask=False)),
                             (1002, frame(TEXT, b'x', reserved=4)), (1002, frame(3, b'x')),
                             (1002, frame(PING, b'x', final=False)),
                             (1002, frame(PING, b'x' * 126)), (1002, frame(0, b'x')),
                             (1002, frame(TEXT, b'x', final=False) + frame(TEXT, b'y')),
                             (1002, frame(CLOSE, b'x')), (1000, frame(CLOSE, b'\x03\xe8bye')),
                             (1000, frame(CLOSE, b'')), (1007, frame(TEXT, b'\xc0\xaf')),
                             (1009, frame(BINARY_FRAME, b'x' * 20000)),
                             (1009, frame(TEXT, b'x' * 9000, final=False) +
                              frame(0, b'y' * 9000)),
                             (1008, frame(TEXT, b'x', final=False) +
                              frame(0, b'', final=False) * 300)):
            got = closes_with(node, data)
            check(got == f'closed with {status}', f'{data[:40]}: {got}, not {status}')
        # in pieces of every kind: byte by byte, in fragments with a Ping between them
        w = Web(connect('127.0.0.1', node.ports['WS']))
        message = (f'OPTIONS sip:{NAME} SIP/2.0\r\nVia: SIP/2.0/WS x.invalid;branch=z9hG4bKa\r\n'
                   f'From: <sip:a@{NAME}>;tag=1\r\nTo: <sip:{NAME}>\r\nCall-ID: 1\r\n'
                   'CSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\n\r\n').encode()  # no Content-Length
        for data in (frame(TEXT, message[:70], final=False) + frame(PING, b'p') +
                     frame(0, message[70:71], final=False) + frame(0, message[71:]),
                     frame(BINARY_FRAME, message)):
            for i in range(0, len(data), 7):
                w.socket.sendall(data[i:i + 7])
                time.sleep(0.001)
            while True:
                got = w.receive()
                if got:
                    break
            check(got.startswith(b'SIP/2.0 200') and b'received=127.0.0.1' in got, str(got))
        check(w.pongs == 1, 'a Ping between fragments')
        w.close()


def test_tls_as_openssl_sees_it():
    with Folder() as folder, One(folder) as node:
        for words, want in ((('-tls1_3',), 'TLSv1.3'), (('-tls1_2',), 'TLSv1.2'),
                            (('-tls1_1', '-cipher', 'ALL@SECLEVEL=0'), None)):
            done = subprocess.run(
                ['openssl', 's_client', '-connect', f'127.0.0.1:{node.ports["TLS"]}', '-CAfile',
                 'tls.crt', '-verify_return_error', '-verify_hostname', NAME, *words],
                cwd=folder, input='', capture_output=True, text=True, timeout=20)
            if want is None:
                check(done.returncode != 0, 'TLS 1.1 was spoken')
            else:
                check(done.returncode == 0 and f'Protocol  : {want}' in done.stdout or
                      f'New, {want}' in done.stdout, done.stdout[-1500:] + done.stderr)
                check('Verify return code: 0' in done.stdout, done.stdout[-1500:])
                check('No client certificate CA names sent' in done.stdout and
                      'Acceptable client' not in done.stdout, 'asks for a certificate')
        check(node.metric('sip_tls_failed') >= 1, 'TLS 1.1 is counted')
        with connect('127.0.0.1', node.ports['TLS']) as s:
            s.sendall(b'REGISTER sip:x SIP/2.0\r\n\r\n')
            s.settimeout(5)
            try:
                while s.recv(1000):
                    pass
            except ConnectionError:
                pass
        node.wait_metric('sip_tls_failed', 2)


def test_two_baresips_by_tls():
    """An independent stack that looks at our certificate; one by TLS, the other by UDP."""
    with Folder() as folder, One(folder) as node:
        cafile = (f'sip_cafile {folder}/tls.crt', 'sip_verify_server yes')
        phones = []
        try:
            for i, kind in enumerate(('TLS', 'UDP')):
                phones.append(baresip.Phone(
                    folder, f'phone{i}', 440 + 560 * i,
                    node.accounts[i], f'127.0.0.1:{node.ports[kind]}', kind.lower(), cafile))
            caller, callee = phones
            for phone in phones:
                wait_for(f'{phone.home} registers', 15, lambda p=phone: '200 OK' in p.said())
            check(node.metric('sip_tls_up') == 1, 'not by TLS')
            for a, b, who in ((caller, callee, 1), (callee, caller, 0)):
                for phone in phones:
                    phone.events.clear()
                a.tell('dial', f'sip:{node.accounts[who]["user"]}')
                a.wait('CALL_ESTABLISHED', 15)
                b.wait('CALL_ESTABLISHED', 5)
                b.tell('hangup')
                a.wait('CALL_CLOSED', 10)
            check(node.metric('sip_tls_up') == 1, 'the connection of its REGISTER is used')
        finally:
            for phone in phones:
                phone.stop()


def test_tshark_reads_it():
    """A call from WSS to TLS, and one from WS, decrypted with the key log: WebSocket frames and SIP
    are what Wireshark takes them for, none is malformed."""
    with Folder() as folder, One(folder) as node:
        recorded = os.path.join(folder, 'phones.pcap')
        capture = Capture(recorded, 'tcp')
        try:
            callee = node.phone(1, 'TLS')
            check(callee.register(limit=8) == 200, 'cannot register')
            for kind in ('WSS', 'WS'):
                caller = node.phone(0, kind)
                check(caller.register(limit=8) == 200, f'{kind} cannot register')
                check(caller.call(callee.aor, limit=8)[:2] == (200, 200), f'no call from {kind}')
                caller.close()
            callee.close()
        finally:
            check(capture.stop() == 0, 'the capture missed packets')
        said = tshark(recorded, '-o', f'tls.keylog_file:{folder}/keylog',
                      '-d', f'tls.port=={node.ports["TLS"]},sip',
                      '-d', f'tls.port=={node.ports["WSS"]},http',
                      '-d', f'tcp.port=={node.ports["WS"]},http', '-Y', 'sip', '-T', 'fields',
                      '-e', 'frame.protocols', '-e', 'sip.Method', '-e', 'sip.Status-Code',
                      '-e', '_ws.malformed', '-e', 'websocket.opcode')
        rows = [line.split('\t') for line in said.splitlines()]
        for name, is_of in (('TLS', lambda p: ':tls:' in p and 'websocket' not in p),
                            ('WSS', lambda p: ':tls:' in p and 'websocket' in p),
                            ('WS', lambda p: ':tls:' not in p and 'websocket' in p)):
            of = [row for row in rows if is_of(row[0])]
            methods = {m for row in of for m in row[1].split(',') if m}
            codes = {c for row in of for c in row[2].split(',') if c}
            check(methods >= {'REGISTER', 'INVITE', 'ACK', 'BYE'}, f'{name}: {methods}')
            check(codes >= {'200', '401', '180'}, f'{name}: {codes}')
            check(not any(row[3] for row in of), f'{name}: malformed')
        opcodes = {o for row in rows if 'websocket' in row[0] for o in row[4].split(',')}
        check(opcodes == {'1'}, f'not all are texts: {opcodes}')


def presented(node):
    """The certificate that a new connection gets, whoever may vouch for it."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with connect('127.0.0.1', node.ports['TLS'], context) as s:
        return s.getpeercert(True)


def all_present(node, want):
    return all(want(presented(node)) for _ in range(8))  # whichever shard it meets


def test_the_certificate_is_read_anew():
    with Folder() as folder, One(folder, shards=2) as node:
        p, q = node.phone(0, 'TLS'), node.phone(1, 'WSS')
        check(p.register(limit=8) == 200 and q.register(limit=8) == 200, 'cannot register')
        before = presented(node)
        certify(folder, 'tls', algorithm=('rsa:2048',))
        node.context = ssl.create_default_context(cafile=os.path.join(folder, 'tls.crt'))
        answer = node.ask(cmd='reload')
        check(answer['reloaded'], str(answer))
        wait_for('the new certificate', 5, lambda: all_present(node, lambda c: c != before))
        check(p.call(q.aor, limit=8)[:2] == (200, 200), 'connections of the former one live on')
        after = presented(node)
        ends = node.ask(cmd='status')['sip_tls_ends_ms']
        check(abs(ends / 1000 - time.time() - 30 * 86400) < 600, f'it ends at {ends}')
        told = time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(ends / 1000))
        said = chordial(folder, 'ctl', '-s', 's', 'status')
        check(f'certificate for phones ends {told}' in said, said)
        for name, spoil, words in (
                ('a key of another', lambda: certify(folder, 'other') or
                 shutil.copy(f'{folder}/other.key', f'{folder}/tls.key'), 'is not that of the'),
                ('no file', lambda: os.remove(f'{folder}/tls.crt'), 'cannot read sip-tls-cert')):
            spoil()
            answer = node.ask(cmd='reload')
            check(not answer['reloaded'] and words in answer['why'], f'{name}: {answer}')
            check(all_present(node, lambda c: c == after), f'{name}: another certificate')
        certify(folder, 'tls')
        node.process.send_signal(signal.SIGHUP)
        wait_for('SIGHUP', 5, lambda: all_present(node, lambda c: c != after))
        p.close()
        q.close()


def test_check_says_what_is_wrong():
    with Folder() as folder:
        node = One(folder)
        said = chordial(folder, 'check', '-c', 'n.conf')
        check(NAME in said and f'127.0.0.1:{node.ports["TLS"]}' in said and '[::1]' in said, said)
        path = os.path.join(folder, 'n.conf')
        with open(path, encoding='ascii') as f:
            good = f.read()

        def complains(words, text=good):
            with open(path, 'w', encoding='ascii') as f:
                f.write(text)
            said = chordial(folder, 'check', '-c', 'n.conf', status=2)
            check(words in said, f'not "{words}": {said}')
        complains('need sip-tls-cert', re.sub('sip-tls-(cert|key) = .*\n', '', good))
        complains('twice', good.replace(f'sip-ws-port = {node.ports["WS"]}',
                                        f'sip-ws-port = {node.ports["UDP"]}'))
        complains('of two families', good.replace('sip-address = 127.0.0.1',
                                                  'sip-address = "::1"'))
        complains('is not SCHEME://HOST', good.replace(ORIGIN, 'phone.example'))
        complains("did you mean 'sip-tls-cert'", good.replace('sip-tls-cert', 'sip-tls-cart'))
        with open(path, 'w', encoding='ascii') as f:
            f.write(good)
        with socket.socket() as busy:
            busy.bind(('127.0.0.1', node.ports['WSS']))
            busy.listen()
            complains(f'127.0.0.1:{node.ports["WSS"]}')
        os.chmod(f'{folder}/tls.key', 0o644)
        complains('everybody can read')
        os.chmod(f'{folder}/tls.key', 0o600)
        expire(folder, 'tls')
        complains('expired')
        certify(folder, 'tls', names='DNS:other.example')
        said = chordial(folder, 'check', '-c', 'n.conf')
        check('does not name' in said, said)


def test_strangers_over_tls_and_websocket_are_cut():
    """The three timers: 5 s to say something, 30 s to be known (sip/flow); here the first."""
    with Folder() as folder, One(folder) as node:
        silent = connect('127.0.0.1', node.ports['TLS'])            # no ClientHello
        handshaken = connect('127.0.0.1', node.ports['TLS'], node.context)
        web = Web(connect('127.0.0.1', node.ports['WS']))
        slow = connect('127.0.0.1', node.ports['WS'])               # half a request
        slow.sendall(upgrade('x', 'A')[:40])
        known = node.phone(0, 'WSS')
        check(known.register(limit=8) == 200, 'cannot register')
        start = time.monotonic()
        for s in (silent, handshaken, web.socket, slow):
            s.settimeout(10)
            try:
                while s.recv(1000):
                    pass
            except (ConnectionError, ssl.SSLError):
                pass
        took = time.monotonic() - start
        check(3 < took < 8, f'cut after {took:.1f} s')
        check(node.metric('sip_flows_closed_slow') == 4, 'four cut')
        check(node.metric('sip_wrapped') == 1, 'one is left')
        check(known.register(limit=8) == 200, 'the one that is known stays')
        known.close()


def opened(node, source):
    """A WebSocket from this address of loopback; None where it is refused."""
    s = socket.socket()
    try:
        s.bind((source, 0))
        s.settimeout(5)
        s.connect(('127.0.0.1', node.ports['WS']))
        return Web(s)
    except OSError:
        s.close()
        return None


def test_connections_have_caps():
    extra = ('limits { sip_wrapped = 4\n sip_flows_per_host = 2\n'
             ' handshakes_per_host_s = 4 }')  # with a burst of 8
    with Folder() as folder, One(folder, extra=extra) as node:
        held = [opened(node, '127.0.0.1') for _ in range(3)]
        check([h is not None for h in held] == [True, True, False], 'two from one address')
        check(node.metric('sip_flows_refused_host') == 1, 'the third is counted')
        for i in range(2, 12):  # few of them share a counter
            held += [opened(node, f'127.0.0.{i}')]
        check(sum(h is not None for h in held) == 4, 'four in all')
        check(node.metric('sip_wrapped') == 4, 'four are open')
        check(node.metric('sip_wrapped_refused') >= 6, 'the others are counted')
        for h in held:
            if h is not None:
                h.close()
        wait_for('they are gone', 5, lambda: node.metric('sip_wrapped') == 0)
        again = opened(node, '127.0.0.1')
        check(again is not None, 'their places are free again')
        again.close()
        shaken = 0
        for _ in range(30):
            try:
                connect('127.0.0.1', node.ports['TLS'], node.context).close()
                shaken += 1
            except OSError:
                pass
        check(8 <= shaken < 20, f'{shaken} of 30 handshakes at once')
        check(node.metric('handshakes_paced_host') == 30 - shaken, 'those refused are counted')


def test_a_lost_connection_takes_its_contacts():
    """Else a phone that comes back has used up its account's contacts (8) with dead ones."""
    with Folder() as folder, One(folder, shards=2) as node:
        caller = node.phone(1, 'UDP')
        check(caller.register(limit=8) == 200, 'cannot register')
        for _ in range(9):
            p = node.phone(0, 'WSS')
            check(p.register(limit=8) == 200, 'cannot register')
            p.close()
            wait_for('the contact is gone', 5, lambda: node.metric('sip_bindings') == 1)
        check(caller.call(p.aor, limit=8)[0] == 480, 'nobody is there')
        caller.close()


if __name__ == '__main__':
    tests = [test_every_transport_calls_every_other, test_ipv6_and_between_the_families,
             test_sips_all_the_way_or_not_at_all, test_keep_alive, test_stun_on_the_sip_port,
             test_websocket_handshakes_that_are_refused, test_websocket_frames_against_the_rules,
             test_tls_as_openssl_sees_it, test_two_baresips_by_tls,
             test_the_certificate_is_read_anew, test_check_says_what_is_wrong,
             test_strangers_over_tls_and_websocket_are_cut, test_connections_have_caps,
             test_a_lost_connection_takes_its_contacts]
    reason = why_not()
    if reason:
        print(f'skipped test_tshark_reads_it: {reason}')
    else:
        tests.append(test_tshark_reads_it)
    run(tests)
