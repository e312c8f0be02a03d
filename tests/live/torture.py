#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""RFC 4475 and RFC 5118 message by message, then PROTOS-like cases, at a running node: the answers
are those of tests/data/torture.def, calls go on in between and afterwards, nothing is held in the
end.  The node is $CHORDIAL_ASAN where that is set; a report of ASan (leaks too) or UBSan fails."""
import contextlib
import glob
import os
import re
import secrets
import socket
import subprocess
import time

from live import CHORDIAL, FULL, Demo, Failure, Folder, check, run, wait_for
from phone import Phone

ASAN = os.environ.get('CHORDIAL_ASAN', '')
SOURCE = '127.44.75.1'  # an address of our own: answers go to the ports that the Vias name
STRIDE = 1 if FULL else 7  # every so manieth PROTOS-like case
STRIDE_TCP = 50 if FULL else 200
BATCH = 16  # cases between two fences, so that no socket buffer overflows
# the demo serves another domain than example.com: what is challenged there is foreign here
FOREIGN = {401: 404, 407: 403}


def table():
    with open('tests/data/torture.def', encoding='utf-8') as f:
        rows = re.findall(r'^TORTURE\("(.+?)", "(.+?)", (\d+), (\d+), (true|false), "(.+?)"\)',
                          f.read(), re.M)
    check(len(rows) == 61, f'{len(rows)} rows in torture.def')
    return [(file, section, FOREIGN.get(int(udp), int(udp)), FOREIGN.get(int(tcp), int(tcp)),
             closed == 'true') for file, section, udp, tcp, closed, _ in rows]


def message(file):
    with open(f'tests/data/{file}.dat', 'rb') as f:
        return f.read()


def via_port(data):
    """Where an answer goes (RFC 3261 18.2.2): rport would be the source, which is 5060."""
    via = re.search(rb'^(?:Via|v)\s*:\s*([^\r]*(?:\r\n[ \t][^\r]*)*)', data, re.I | re.M).group(1)
    first = via.split(b',')[0].split(b';')[0]
    port = re.search(rb':\s*(\d+)\s*$', first)
    return 5060 if b'rport' in via or not port else int(port.group(1))


class Sender:
    """UDP sockets on SOURCE.  A fence is an OPTIONS whose answer shows that what was sent before
    has been dealt with."""

    def __init__(self, target, ports):
        host, port = target.rsplit(':', 1)
        self.target = (host, int(port))
        self.sockets = {}
        for number in sorted(set(ports) | {5060}):
            s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
            s.bind((SOURCE, number))
            s.setblocking(False)
            self.sockets[number] = s
        self.got = []

    def close(self):
        for s in self.sockets.values():
            s.close()

    def drain(self):
        for s in self.sockets.values():
            with contextlib.suppress(BlockingIOError):
                while True:
                    self.got.append(s.recv(65536))

    def send(self, data):
        self.sockets[5060].sendto(data, self.target)

    def fence(self):
        """What came until the answer to it; the fence itself is sent again when it is lost."""
        mark = 'fence-' + secrets.token_hex(8)
        text = (f'OPTIONS sip:{self.target[0]}:{self.target[1]} SIP/2.0\r\n'
                f'Via: SIP/2.0/UDP {SOURCE}:5060;branch=z9hG4bK{mark}\r\n'
                f'From: <sip:x@x>;tag=1\r\nTo: <sip:x@x>\r\nCall-ID: {mark}\r\nCSeq: 1 OPTIONS\r\n'
                'Content-Length: 0\r\n\r\n').encode()
        end = time.monotonic() + 20
        again = 0.0
        while time.monotonic() < end:
            if time.monotonic() >= again:
                self.send(text)
                again = time.monotonic() + 1
            self.drain()
            if any(mark.encode() in data for data in self.got):
                said, self.got = self.got, []
                return [d for d in said if b'fence-' not in d]
            time.sleep(0.0005)
        raise Failure('the node does not answer OPTIONS any more')


def statuses(answers):
    return [int(re.match(rb'SIP/2\.0 (\d\d\d)', a).group(1)) for a in answers]


@contextlib.contextmanager
def node(folder):
    """A demo of one peer; at its end the same process is there, no sanitizer has said a word."""
    reports = os.path.join(folder, 'report')
    options = f'detect_leaks=1:print_stacktrace=1:log_path={reports}'
    os.environ['ASAN_OPTIONS'] = os.environ['UBSAN_OPTIONS'] = options
    with Demo(peers=1, binary=ASAN or CHORDIAL) as demo:
        yield demo
        check(os.path.exists(f'/proc/{demo.peers[0]["pid"]}'), 'the peer is dead')
        check('runtime error' not in demo.log(0), demo.log(0)[-3000:])
    for path in glob.glob(reports + '*'):
        with open(path, encoding='utf-8', errors='replace') as f:
            raise Failure(f'sanitizer: {f.read()[:4000]}')


class Neighbours:
    """Two phones that call each other in between."""

    def __init__(self, demo):
        self.phones = [Phone(a, demo.domain, demo.peers[0]['sip']) for a in demo.accounts[:2]]
        self.calls = 0

    def close(self):
        for phone in self.phones:
            phone.close()

    def call(self, when):
        for phone in self.phones:
            status = phone.register(limit=10)
            check(status == 200, f'{when}: {phone.user} cannot register: {status}')
        status, bye, why = self.phones[0].call(self.phones[1].aor, limit=10)
        check((status, bye) == (200, 200), f'{when}: call {status} {why}, BYE {bye}')
        self.calls += 1


def by_udp(demo, rows):
    messages = [(row, message(row[0])) for row in rows]
    sender = Sender(demo.peers[0]['sip'], [via_port(data) for _, data in messages])
    try:
        for (file, section, udp, _, _), data in messages:
            sender.fence()
            sender.send(data)
            got = statuses(sender.fence())
            check(got == ([udp] if udp else []),
                  f'{file} ({section}) over UDP: answers {got}, not {udp}')
    finally:
        sender.close()


def by_tcp(demo, rows):
    host, port = demo.peers[0]['sip'].rsplit(':', 1)
    for file, section, _, tcp, closed in rows:
        with socket.create_connection((host, int(port)), 5, (SOURCE, 0)) as s:
            s.sendall(message(file))
            said, is_closed = b'', False
            end = time.monotonic() + (5 if tcp or closed else 0.2)
            while time.monotonic() < end and not is_closed and not (said and not closed):
                s.settimeout(max(0.01, end - time.monotonic()))
                try:
                    part = s.recv(65536)
                    is_closed, said = not part, said + part
                except TimeoutError:
                    break
                except ConnectionResetError:
                    is_closed = True
            got = statuses([said]) if said else []
            check(got == ([tcp] if tcp else []),
                  f'{file} ({section}) over TCP: answers {got}, not {tcp}')
            check(is_closed == closed, f'{file} ({section}) over TCP: closed {is_closed}')


def test_torture_messages():
    rows = table()
    with Folder() as folder, node(folder) as demo:
        phones = Neighbours(demo)
        try:
            phones.call('before')
            by_udp(demo, rows)
            phones.call('after UDP')
            by_tcp(demo, rows)
            phones.call('after TCP')
        finally:
            phones.close()


def cases(demo, stride, first=0):
    program = os.path.join(os.path.dirname(CHORDIAL), 'protos_cases')
    with subprocess.Popen([program, demo.domain, str(stride), str(first)],
                          stdout=subprocess.PIPE) as process:
        while head := process.stdout.read(4):
            yield process.stdout.read(int.from_bytes(head, 'big'))
    check(process.returncode == 0, f'protos_cases: {process.returncode}')


def protos_by_udp(demo, phones, stride):
    sender = Sender(demo.peers[0]['sip'], [])
    count = 0
    try:
        for data in cases(demo, stride):
            sender.send(data)
            count += 1
            if count % BATCH == 0:
                for status in statuses(sender.fence()):
                    check(status >= 400 or status == 200, f'an answer {status} to a stranger')
            if count % 2000 == 0:
                phones.call(f'after {count} cases')
        sender.fence()
    finally:
        sender.close()
    return count


def protos_by_tcp(demo, stride):
    host, port = demo.peers[0]['sip'].rsplit(':', 1)
    count = 0
    for data in cases(demo, stride, 1):
        with contextlib.suppress(OSError), \
                socket.create_connection((host, int(port)), 5, (SOURCE, 0)) as s:
            s.sendall(data)
            s.settimeout(0.02)
            s.recv(65536)
        count += 1
    return count


def at_rest(demo):
    shard = demo.ctl(0, 'status')['shards'][0]
    return shard['transactions'], shard['flows']


def test_protos_cases():
    with Folder() as folder, node(folder) as demo:
        phones = Neighbours(demo)
        try:
            phones.call('before')
            descriptors = demo.descriptors(0)
            start = time.monotonic()
            sent = protos_by_udp(demo, phones, STRIDE)
            streams = protos_by_tcp(demo, STRIDE_TCP)
            seconds = time.monotonic() - start
            phones.call('afterwards')
            wait_for('no flow is left', 45, lambda: at_rest(demo)[1] == 0)
            wait_for('descriptors are given back', 10,
                     lambda: demo.descriptors(0) <= descriptors)
            if FULL:  # timer J and L, 32 s
                wait_for('no transaction is left', 45, lambda: at_rest(demo)[0] == 0)
            else:  # those of the calls: nothing is kept for strangers
                left = at_rest(demo)[0]
                check(left <= 16 * phones.calls, f'{left} transactions after {phones.calls} calls')
            m = demo.metrics(0)
            print(f'  {sent} datagrams and {streams} streams in {seconds:.1f} s, {phones.calls} '
                  f'calls; {m["sip_drop_malformed"]} malformed, {m["sip_drop_stray"]} stray')
            check(m['sip_drop_malformed'] > sent // 10, 'hardly anything was malformed')
            check(m['msgbuf_exhausted'] == 0, 'buffers ran out')
        finally:
            phones.close()


run([test_torture_messages, test_protos_cases])
