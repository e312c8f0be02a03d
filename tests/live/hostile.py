#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Attackers against running peers (issue: Must hold 7): what is refused is counted by its reason,
and nobody else notices.  Peers are $CHORDIAL_ASAN where it is set, and a report of ASan or UBSan
fails the test; memory is judged on $CHORDIAL.
"""
import contextlib
import glob
import os
import random
import socket
import subprocess
import sys
import time

from attacker import (ATTACH, ERROR, PING_ANS, STORE, STORE_ANS, Credential, Message, attach_body,
                      connect, forge, frame, is_closed, issue, receive_message, resource_of,
                      store_body, tls, tool)
from devices import Two
from live import (CHORDIAL, FULL, HERE, Demo, Failure, Folder, Sipp, account_name, check, chordial,
                  credentials, phone_ports, register, run, wait_for)
from transports import NAME

ASAN = os.environ.get('CHORDIAL_ASAN', '')
IDLE = 9000 if FULL else 1500  # connections of each of two attackers
CALLS = (1000, 25) if FULL else (125, 25)  # how many, how many in a second
DESCRIPTORS_MAX = 4096 + 64  # limits: conns, and what else a peer holds
REFUSALS = ('conns_refused_full', 'conns_refused_listener', 'conns_refused_host', 'conns_evicted',
            'link_evicted', 'link_refused_full', 'link_refused_handshaking', 'link_refused_host',
            'link_handshake_timeout', 'sip_flows_refused', 'sip_flows_closed_slow',
            'sip_peers_refused', 'sip_peers_evicted', 'sip_peer_handshakes_timed_out',
            'handshakes_paced', 'handshakes_paced_host', 'stream_tls_refused')
rng = random.Random(6940)


class Ports:
    """Where one peer of the demo listens, from its configuration file."""

    def __init__(self, demo, peer):
        name = demo.peers[peer]['name']
        with open(os.path.join(os.path.dirname(demo.info['ca']), name + '.conf'),
                  encoding='ascii') as f:
            options = dict(line.split('=', 1) for line in f if '=' in line)
        options = {key.strip(): value.strip().strip('"') for key, value in options.items()}
        self.overlay = '127.0.0.1:' + options['overlay-port']
        self.overlay_sip = '127.0.0.1:' + options['overlay-sip-port']
        self.sip = demo.peers[peer]['sip']


class Watch:
    """Counters of one peer before and after."""

    def __init__(self, demo, peer):
        self.demo = demo
        self.peer = peer
        self.before = demo.metrics(peer)

    def rise(self, *names):
        now = self.demo.metrics(self.peer)
        return sum(now.get(n, 0) - self.before.get(n, 0) for n in names)

    def wait(self, what, *names, by=1):
        try:
            wait_for(what, 8, lambda: self.rise(*names) >= by)
        except Failure:
            now = self.demo.metrics(self.peer)
            rest = {n: v - self.before.get(n, 0) for n, v in now.items()
                    if isinstance(v, int) and v != self.before.get(n, 0)}
            raise Failure(f'{what}: not counted as {" or ".join(names)}, but {rest}')


@contextlib.contextmanager
def overlay(folder, binary, peers=3):
    """A demo; at its end its peers are the same processes as before and nothing was reported."""
    reports = os.path.join(folder, 'report')
    for tool_name in ('ASAN_OPTIONS', 'UBSAN_OPTIONS'):
        os.environ[tool_name] = f'detect_leaks=0:print_stacktrace=1:log_path={reports}'
    with Demo(peers=peers, binary=binary) as demo:
        yield demo
        for peer in range(peers):
            check(os.path.exists(f'/proc/{demo.peers[peer]["pid"]}'), f'peer {peer} is dead')
            check(demo.ctl(peer, 'status') is not None, f'peer {peer} does not answer')
        for peer in range(peers):
            check('runtime error' not in demo.log(peer), demo.log(peer)[-3000:])
    for path in glob.glob(reports + '*'):
        with open(path, encoding='utf-8', errors='replace') as f:
            raise Failure(f'sanitizer: {f.read()[:4000]}')


def attempt(target, credential):
    """A handshake that must come to nothing."""
    try:
        with tls(target, credential) as stream:
            check(is_closed(stream), f'{target} keeps a connection it should refuse')
    except OSError:
        pass


def wrong_certificates(demo, folder, ports):
    domain, ca = demo.domain, demo.info['ca']
    other = os.path.join(folder, 'other')
    tool(CHORDIAL, 'ca', 'init', other, '--overlay', domain)
    foreign = os.path.join(folder, 'foreign')
    tool(CHORDIAL, 'ca', 'init', foreign, '--overlay', 'elsewhere.example')
    ours = bytes.fromhex(demo.peers[0]['nodes'][0]['node_id'])
    cases = [
        ('wrong CA', issue(CHORDIAL, other, f'eve@{domain}', folder), 'link_auth_untrusted'),
        ('no certificate', None, 'link_auth_no_certificate', 'link_handshake_failed',
         'stream_tls_failed'),
        ('expired', forge(folder, ca, 'old', os.urandom(16), domain, end='20260101000000Z'),
         'link_auth_expired'),
        ('not valid yet', forge(folder, ca, 'early', os.urandom(16), domain,
                                start='20390101000000Z'), 'link_auth_expired'),
        ('name of another overlay', forge(folder, ca, 'far', os.urandom(16), 'elsewhere.example'),
         'link_auth_untrusted'),
        ('certificate of another overlay',
         issue(CHORDIAL, foreign, 'eve@elsewhere.example', folder), 'link_auth_untrusted'),
    ]
    for what, credential, *reasons in cases:
        for port in (ports.overlay, ports.overlay_sip):
            watch = Watch(demo, 0)
            attempt(port, credential)
            watch.wait(f'{what} at {port}', *reasons)
    watch = Watch(demo, 0)
    attempt(ports.overlay, forge(folder, ca, 'double', ours, domain))
    watch.wait('a certificate with the Node-ID of the peer itself', 'link_auth_self')
    watch = Watch(demo, 0)
    with tls(ports.overlay, forge(folder, ca, 'good', os.urandom(16), domain)):
        watch.wait('a certificate like the others but right', 'links_authenticated')


def wrong_node_id(demo, mallory, carol, ports):
    """Carol has herself dialled by an Attach; behind her address sits Mallory (AT-13, AT-14)."""
    import ssl
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(mallory.path)
    to = bytes.fromhex(demo.peers[0]['nodes'][0]['node_id'])
    watch = Watch(demo, 0)
    with socket.create_server(('127.0.0.1', 0)) as listener, tls(ports.overlay, mallory) as link:
        listener.settimeout(10)
        body = attach_body(listener.getsockname()[1])
        link.sendall(frame(Message(carol, demo.domain, to, ATTACH, body).bytes()))
        dialled, _ = listener.accept()
        with contextlib.suppress(OSError), context.wrap_socket(dialled, server_side=True) as stream:
            check(is_closed(stream), 'the peer keeps a link to the wrong Node-ID')
        dialled.close()
    watch.wait('right CA, wrong Node-ID', 'link_auth_wrong_node')


def altered_messages(demo, mallory, eve, ports):
    """A member of the overlay sends what nobody may believe (6.3.4)."""
    to = bytes.fromhex(demo.peers[0]['nodes'][0]['node_id'])

    def message(signer=mallory, **changes):
        m = Message(signer, demo.domain, to)
        for name, value in changes.items():
            setattr(m, name, value)
        return m.bytes()

    with tls(ports.overlay, mallory) as link:
        link.sendall(frame(message(), 0))
        check(receive_message(link, PING_ANS), 'a Ping as it should be has no answer')
        cases = [('altered contents', message(flip_contents=1), 'dht_drop_signature'),
                 ('altered signature', message(flip_signature=1), 'dht_drop_signature'),
                 ('unsigned', message(is_signed=False), 'dht_drop_contents',
                  'dht_drop_certificate', 'dht_drop_signature'),
                 ('signed by a stranger', message(eve), 'dht_drop_certificate'),
                 ('another overlay', message(overlay=b'abcd'), 'dht_drop_overlay'),
                 ('another version', message(version=0x0b), 'dht_drop_version'),
                 ('ttl too high', message(ttl=255), 'dht_drop_ttl'),
                 ('cut short', message()[:-20], 'dht_drop_malformed'),
                 ('noise', rng.randbytes(300), 'dht_drop_malformed', 'dht_drop_overlay')]
        for number, (what, data, *reasons) in enumerate(cases, 1):
            watch = Watch(demo, 0)
            link.sendall(frame(data, number))
            watch.wait(what, *reasons)
        link.sendall(frame(message(), len(cases) + 1))
        check(receive_message(link, PING_ANS), 'the link is dead after bad messages')


def foreign_stores(demo, mallory, ports):
    """A member of the overlay registers itself under the names of others (RFC 7904 5)."""
    own = f'mallory@{demo.domain}'
    with tls(ports.overlay, mallory) as link:
        for number, (what, name, flip, code) in enumerate([
                ('its own name', own, False, STORE_ANS),
                ('its own name, signature of the value altered', own, True, ERROR),
                ('somebody without a record', f'judy@{demo.domain}', False, ERROR),
                ('somebody registered', demo.accounts[0]['user'], False, ERROR)]):
            before = [Watch(demo, i) for i in range(len(demo.peers))]
            link.sendall(frame(Message(mallory, demo.domain, resource_of(name), STORE,
                                       store_body(mallory, name, flip)).bytes(), number))
            said = receive_message(link, STORE_ANS, ERROR, seconds=10)
            check(said == code, f'a Store for {what}: answer {said:#x}, not {code:#x}')
            if code == ERROR:
                check(sum(w.rise('stores_forbidden') for w in before) > 0, f'{what}: not counted')


def foreign_from(demo, mallory, ports):
    """A peer that calls in the name of a phone which is not registered with it."""
    victim = demo.accounts[0]['user']
    to = demo.accounts[1]['user']
    watch = Watch(demo, 0)
    with tls(ports.overlay_sip, mallory) as stream:
        stream.sendall((f'INVITE sip:{to} SIP/2.0\r\n'
                        'Via: SIP/2.0/TLS 127.0.0.1:9;branch=z9hG4bKmallory\r\n'
                        f'From: <sip:{victim}>;tag=1\r\nTo: <sip:{to}>\r\nCall-ID: mallory\r\n'
                        'CSeq: 1 INVITE\r\nMax-Forwards: 70\r\nContact: <sip:m@127.0.0.1:9>\r\n'
                        'Content-Length: 0\r\n\r\n').encode())
        stream.settimeout(10)
        said = b''
        while b'SIP/2.0 403' not in said:
            more = stream.recv(65536)
            check(more and b'SIP/2.0 180' not in said, f'no 403 for a foreign From: {said[:500]}')
            said += more
    watch.wait('foreign From', 'sip_refused_from')


def garbage_on_links(demo, mallory, ports):
    """Valid TLS, then no frames of ours."""
    for what, data, *reasons in [
            ('noise', b'\0' + rng.randbytes(500), 'link_frame_garbage'),
            ('huge frame', b'\x80' + bytes(4) + b'\xff\xff\xff', 'link_message_too_large'),
            ('truncated frame', frame(bytes(200))[:100], 'link_closed_by_peer'),
            ('truncated header', b'\x80\0', 'link_closed_by_peer')]:
        watch = Watch(demo, 0)
        with tls(ports.overlay, mallory) as link:
            watch.wait('a good link', 'links_authenticated')
            link.sendall(data)
            if reasons[0] != 'link_closed_by_peer':
                check(is_closed(link), f'{what}: the link stays open')
        watch.wait(what, *reasons)
    watch = Watch(demo, 0)
    with tls(ports.overlay_sip, mallory) as stream:
        stream.sendall(b'INVITE sip:x@y SIP/9.9\r\nContent-Length: banana\r\n\r\n' * 3)
        stream.sendall(b'\0' + rng.randbytes(500) + b'\r\n\r\n')
        watch.wait('noise on a SIP connection between peers', 'sip_flows_closed_garbage',
                   'sip_drop_malformed', 'stream_tls_failed')


def raw_garbage(demo, ports):
    """Bytes on every port, TCP and UDP, whole and cut short."""
    hello = bytes.fromhex('16030100a5010000a10303') + rng.randbytes(60)
    register_text = (b'REGISTER sip:demo.example SIP/2.0\r\n'
                     b'Via: SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bK1\r\n'
                     b'From: <sip:a@demo.example>;tag=1\r\nTo: <sip:a@demo.example>\r\n')
    inputs = [b'\0' * 64, rng.randbytes(4000), hello, b'\x16\x03\x01\xff\xff' + rng.randbytes(2000),
              b'GET / HTTP/1.1\r\n\r\n', register_text, b'INVITE ' + b'a' * 70000,
              register_text + b'Content-Length: 99999999999999999999\r\n\r\n',
              register_text + b'CSeq: 1 REGISTER\r\nCall-ID: x\r\nContent-Length: -1\r\n\r\n']
    watch = Watch(demo, 0)
    for target in (ports.overlay, ports.overlay_sip, ports.sip):
        for data in inputs:
            for cut in (len(data), len(data) // 2):
                with contextlib.suppress(OSError), connect(target) as s:
                    s.sendall(data[:cut])
    watch.wait('garbage instead of TLS at the overlay port', 'link_handshake_garbage', by=4)
    watch.wait('garbage instead of TLS at the SIP port for peers', 'stream_tls_failed', by=4)
    watch.wait('garbage at the SIP port', 'sip_flows_closed_garbage', 'sip_drop_malformed')
    host, port = ports.sip.rsplit(':', 1)
    watch = Watch(demo, 0)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.connect((host, int(port)))
        for data in inputs:
            for cut in (min(len(data), 60000), len(data) // 2, 5, 0):
                with contextlib.suppress(OSError):
                    s.send(data[:cut])
    watch.wait('garbage at the UDP port', 'sip_drop_malformed', 'datagrams_truncated', by=10)
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(demo.peers[0]['ctl'])
        s.settimeout(2)
        with contextlib.suppress(OSError):
            s.sendall(rng.randbytes(100000))
            s.recv(1000)


class Calls:
    """sipp phones at two peers."""

    def __init__(self, demo, folder, peers=(0, 2)):
        self.demo, self.folder, self.peers = demo, folder, peers
        first = phone_ports(2)
        self.ports = [first, first + 1]
        for i in (0, 1):
            register(folder, demo, peers[i], demo.accounts[i], self.ports[i])

    def run(self, calls, rate):
        demo, (caller, callee) = self.demo, self.demo.accounts[:2]
        answering = Sipp(self.folder, 'callee', demo.peers[self.peers[1]]['sip'], self.ports[1],
                         calls)
        fields = [(account_name(caller), credentials(caller), demo.domain, account_name(callee))]
        calling = Sipp(self.folder, 'caller', demo.peers[self.peers[0]]['sip'], self.ports[0],
                       calls, rate=rate, fields=fields)
        return calling, answering

    def wait(self, pair, calls):
        try:
            results = [sipp.wait() for sipp in pair]
        finally:
            for sipp in pair:
                sipp.stop()
        for side, r in zip(('caller', 'callee'), results):
            check(r['failed'] == 0 and r['ok'] == calls, f'{side}: {r}')
        return sum(r['retransmissions'] for r in results)


@contextlib.contextmanager
def attackers(targets, count):
    """Two processes with idle connections; gives what they have opened and what was refused."""
    both = [subprocess.Popen([sys.executable, os.path.join(HERE, 'attacker.py'), 'flood',
                              ','.join(targets), str(count), str(net)], stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, text=True) for net in (10, 20)]
    try:
        yield both
    finally:
        for process in both:
            if not process.stdin.closed:
                process.stdin.close()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            process.stdout.close()


def newcomer(demo, member, ports):
    """A member of the overlay gets through although strangers crowd the port; how many tries."""
    watch = Watch(demo, 0)
    for tries in range(1, 20):
        with contextlib.suppress(OSError), tls(ports.overlay, member):
            watch.wait('a neighbour that comes during the attack', 'links_authenticated')
            return tries
        time.sleep(0.5)
    raise Failure('no neighbour gets in during the attack')


def look_on(demo, pair, seconds):
    """While the calls run: the most descriptors, and the slowest answer of the control socket."""
    most, slowest, end = 0, 0.0, time.monotonic() + seconds
    while time.monotonic() < end and any(sipp.process.poll() is None for sipp in pair):
        most = max(most, demo.descriptors(0))
        start = time.monotonic()
        demo.ctl(0, 'status', timeout=30)
        slowest = max(slowest, time.monotonic() - start)
        time.sleep(0.2)
    return most, slowest


def attack(demo, folder, calls):
    """Calls go on and a neighbour gets in while idle connections crowd all ports of a peer."""
    ports = Ports(demo, 0)
    member = issue(CHORDIAL, demo.info['ca'], f'mallory@{demo.domain}', folder)
    watch = Watch(demo, 0)
    with contextlib.ExitStack() as stack:
        both = stack.enter_context(attackers([ports.overlay, ports.overlay_sip, ports.sip], IDLE))
        for process in both:
            check(int(process.stdout.readline()) > IDLE // 2, 'the attackers do not get started')
        pair = calls.run(*CALLS)
        for sipp in pair:
            stack.callback(sipp.stop)
        tries = newcomer(demo, member, ports)
        phone_tries = register_over_tcp(demo, folder)
        most, slowest = look_on(demo, pair, 60)
        retransmissions = calls.wait(pair, CALLS[0])
        refused = watch.rise(*REFUSALS)
        for process in both:
            process.stdin.close()
        opened = sum(int(process.stdout.readline()) for process in both)
    print(f'  {opened} idle connections opened, {refused} closed and counted; descriptors at most '
          f'{most}; ctl at most {slowest * 1000:.0f} ms; a neighbour got in at try {tries}, '
          f'a phone over TCP at try {phone_tries}; '
          f'{CALLS[0]} calls, {retransmissions} retransmissions')
    check(most < DESCRIPTORS_MAX, f'{most} descriptors')
    check(refused > IDLE, f'only {refused} closed and counted')


def register_over_tcp(demo, folder):
    """A phone that comes over TCP through the crowd; how many tries."""
    for tries in range(1, 6):
        with contextlib.suppress(Failure):
            register(folder, demo, 0, demo.accounts[2], phone_ports(1), 't1')
            return tries
    raise Failure('no phone can register over TCP during the attack')


def idle_connections(binary, judge_memory):
    with Folder() as folder, overlay(folder, binary) as demo:
        calls = Calls(demo, folder)
        calls.wait(calls.run(*CALLS), CALLS[0])
        descriptors, rss = demo.descriptors(0), demo.rss_kib(0)
        attack(demo, folder, calls)
        back_s = wait_for('descriptors back', 10, lambda: demo.descriptors(0) <= descriptors)
        after = demo.rss_kib(0)
        print(f'  descriptors {descriptors} again after {back_s:.1f} s; RSS {rss} -> {after} KiB')
        if judge_memory:
            check(after <= 1.1 * rss, f'RSS {rss} -> {after} KiB')
        calls.wait(calls.run(10, CALLS[1]), 10)


def test_refusals():
    with Folder() as folder, overlay(folder, ASAN or CHORDIAL) as demo:
        ports = Ports(demo, 0)
        ca, domain = demo.info['ca'], demo.domain
        wrong_certificates(demo, folder, ports)
        mallory = issue(CHORDIAL, ca, f'mallory@{domain}', folder)
        carol = issue(CHORDIAL, ca, f'carola@{domain}', folder)
        eve = Credential(os.path.join(folder, f'eve@{domain}.1.pem'))
        wrong_node_id(demo, mallory, carol, ports)
        altered_messages(demo, mallory, eve, ports)
        garbage_on_links(demo, mallory, ports)
        raw_garbage(demo, ports)
        calls = Calls(demo, folder)
        foreign_stores(demo, mallory, ports)
        foreign_from(demo, mallory, ports)
        calls.wait(calls.run(20, 10), 20)


def test_many_nodes_of_one_user():
    """However many certificates somebody has: connections that carry SIP are counted by user name,
    the first makes room, and calls between the others go on."""
    with Folder() as folder, Two(folder, 'limits {\n sip_peers_per_user = 3\n}\n') as x:
        chordial(folder, 'ca', 'issue', 'ca', '--user', f'mallory@{NAME}', '--nodes', '4', '--out',
                 'm')
        alice, bob = x.caller(), x.phone(1)
        check(bob.register(limit=20) == 200, 'bob cannot register')
        streams = []
        for i in range(1, 5):
            time.sleep(0.3)  # which is the first?
            streams.append(tls(f'127.0.0.1:{x.nodes[0].base + 1}', Credential(
                os.path.join(folder, 'm', f'mallory@{NAME}.{i}.pem'))))
        try:
            wait_for('one has made room', 10,
                     lambda: x.nodes[0].metric('sip_peers_evicted') == 1)
            check(is_closed(streams[0]), 'the first is still there')
            check(not any(is_closed(s, 1) for s in streams[1:]), 'another has ended')
            check(alice.call(bob.aor, limit=20)[:2] == (200, 200), 'a call beside it')
            check(x.nodes[0].metric('sip_peers_evicted') == 1, 'a node of another user had to go')
        finally:
            for s in streams:
                s.close()


def test_idle_connections():
    idle_connections(CHORDIAL, judge_memory=True)


def test_idle_connections_sanitized():
    if ASAN:
        idle_connections(ASAN, judge_memory=False)


run([test_refusals, test_many_nodes_of_one_user, test_idle_connections,
     test_idle_connections_sanitized])
