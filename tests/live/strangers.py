#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Other people's tools against a node: sipsak asks and registers as it should; svmap, svwar and
svcrack (SIPVicious) find no user and no password; floods from phones and from the overlay, ten
times of what one of them may have, get 503 while the calls of others go through."""
import contextlib
import hashlib
import os
import re
import secrets
import select
import socket
import ssl
import statistics
import subprocess
import time

from attacker import issue, tls
from live import CHORDIAL, FULL, Demo, Folder, check, patience, run, wait_for
from phone import Phone, first, parse

PER_SOURCE = 1024  # limits: sip_proxies_per_account, sip_proxies_per_source
FLOOD = 10 * PER_SOURCE
QUIET_S = 3  # then all answers have come
OVERLOADED_TRIES = 3
TRIES = 3  # of the comparison of times: others use the machine too
ROUNDS = 400 if FULL else 150  # of the comparison of times


def tool(*words, seconds=30, given=''):
    """What it prints; a tool of an attacker may end as it likes."""
    done = subprocess.run(words, capture_output=True, text=True, timeout=seconds, input=given,
                          errors='replace')
    return done.stdout + done.stderr


def free_udp_port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


def names(demo):
    known = [a['user'].split('@')[0] for a in demo.accounts]
    return known, [f'nobody{i}' for i in range(len(known))] + ['admin', 'root', '100', '1000']


def test_sipsak():
    with Demo(peers=1) as demo:
        # its -s cuts a port of five digits, so the node is named as the proxy
        def ask(*words):
            return tool('sipsak', '-vv', '-p', demo.peers[0]['sip'], *words)

        account = demo.accounts[0]
        user = account['user'].split('@')[0]
        said = ask('-s', f'sip:{demo.domain}')
        check('SIP/2.0 200' in said, f'OPTIONS: {said[-800:]}')
        said = ask('-U', '-s', f'sip:{account["user"]}', '-u', user, '-a', 'wrong')
        check('SIP/2.0 401' in said and 'successful' not in said, f'wrong password: {said[-800:]}')
        said = ask('-U', '-s', f'sip:{account["user"]}', '-u', user, '-x', '600', '-a',
                   account['password'])
        check('tests completed successful' in said, f'REGISTER: {said[-1500:]}')
        ask('-R', '-t', '200', '-s', f'sip:{demo.domain}')  # more and more bytes spoiled
        said = ask('-s', f'sip:{demo.domain}')
        check('SIP/2.0 200' in said, f'OPTIONS after trash: {said[-800:]}')


def test_svmap_and_svwar_find_no_user():
    with Demo(peers=1) as demo, Folder() as folder:
        port = demo.peers[0]['sip'].rsplit(':', 1)[1]
        said = tool('svmap', '-p', port, '127.0.0.1')
        check(f'127.0.0.1:{port}' in said, f'svmap does not see the node: {said[-500:]}')
        known, unknown = names(demo)
        words = os.path.join(folder, 'words')
        with open(words, 'w', encoding='ascii') as f:
            f.write('\n'.join(known + unknown) + '\n')
        methods = ('REGISTER', 'OPTIONS', 'INVITE')
        running = [subprocess.Popen(['svwar', '--force', '-m', method, '-p', port, '-d', words,
                                     '--maximumtime', '2', '127.0.0.1'], stdout=subprocess.PIPE,
                                    stderr=subprocess.STDOUT, text=True) for method in methods]
        for method, process in zip(methods, running):
            said, _ = process.communicate(timeout=60)
            listed = {name for name in known + unknown
                      if re.search(rf'\|\s*{re.escape(name)}\s*\|', said)}
            check(listed in (set(), set(known + unknown)),
                  f'svwar -m {method} tells users apart: {sorted(listed)}')


class Asker:
    """REGISTERs over UDP without and with credentials, timed."""

    def __init__(self, demo):
        host, port = demo.peers[0]['sip'].rsplit(':', 1)
        self.domain = demo.domain
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.connect((host, int(port)))
        self.socket.settimeout(5)
        self.local = '%s:%d' % self.socket.getsockname()

    def ask(self, user, extra=''):
        branch = secrets.token_hex(8)
        text = (f'REGISTER sip:{self.domain} SIP/2.0\r\nVia: SIP/2.0/UDP {self.local};rport;'
                f'branch=z9hG4bK{branch}\r\nFrom: <sip:{user}@{self.domain}>;tag=1\r\n'
                f'To: <sip:{user}@{self.domain}>\r\nCall-ID: {branch}\r\nCSeq: 1 REGISTER\r\n'
                f'Contact: <sip:x@{self.local}>\r\n{extra}Content-Length: 0\r\n\r\n').encode()
        start = time.perf_counter()
        self.socket.send(text)
        data = self.socket.recv(65536)
        return data, time.perf_counter() - start

    def guess(self, user, password):
        data, _ = self.ask(user)
        _, headers = parse(data)
        part = dict(re.findall(r'(\w+)="?([^",]*)"?', first(headers, 'www-authenticate')))

        def md5(text):
            return hashlib.md5(text.encode()).hexdigest()

        ha1 = md5(f'{user}:{part["realm"]}:{password}')
        ha2 = md5(f'REGISTER:sip:{self.domain}')
        answer = md5(f'{ha1}:{part["nonce"]}:00000001:x:auth:{ha2}')
        return self.ask(user, f'Authorization: Digest username="{user}", realm="{part["realm"]}", '
                        f'nonce="{part["nonce"]}", uri="sip:{self.domain}", response="{answer}", '
                        'algorithm=MD5, qop=auth, nc=00000001, cnonce="x"\r\n')


def shape(data, user):
    """An answer without what is random or the name."""
    text = re.sub(r'(nonce=|tag=|branch=z9hG4bK)"?[0-9a-f]+', r'\1', data.decode())
    return re.sub(r'Call-ID: .*', '', text).replace(user, 'U')


def test_known_and_unknown_users_look_alike():
    with Demo(peers=1) as demo:
        asker = Asker(demo)
        known, unknown = demo.accounts[0]['user'].split('@')[0], 'zelda'
        shapes = {known: set(), unknown: set()}
        for _ in range(TRIES):
            times = {known: [], unknown: []}
            for i in range(ROUNDS):
                for user in (known, unknown) if i % 2 else (unknown, known):
                    data, seconds = asker.ask(user)
                    times[user].append(seconds)
                    shapes[user].add(shape(data, user))
            a, b = (statistics.median(times[user]) * 1e6 for user in (known, unknown))
            print(f'  401 for a user after {a:.0f} us, for nobody after {b:.0f} us (medians)')
            if 0.67 < a / b < 1.5:
                break
        for user in (known, unknown):
            shapes[user].add(shape(asker.guess(user, 'wrong')[0], user))
        check(shapes[known] == shapes[unknown], f'{shapes[known] ^ shapes[unknown]}')
        check(0.67 < a / b < 1.5, f'{TRIES} times alike: {a:.0f} us against {b:.0f} us')


def test_svcrack_finds_no_password():
    with Demo(peers=1) as demo, Folder() as folder:
        port = demo.peers[0]['sip'].rsplit(':', 1)[1]
        account = demo.accounts[0]
        user = account['user'].split('@')[0]
        words = os.path.join(folder, 'words')
        with open(words, 'w', encoding='ascii') as f:
            f.write(''.join(f'guess{i}\n' for i in range(12)) + account['password'] + '\n')
        said = tool('svcrack', '-u', user, '-d', words, '-p', port, '--maximumtime', '1',
                    '127.0.0.1', seconds=60)
        check(account['password'] not in said, f'svcrack has got it: {said[-500:]}')
        m = demo.metrics(0)
        check(m['sip_registers_ok'] == 0, 'somebody was registered')
        # from other ports, in another spelling, for other users of the same address
        refused = 0
        for i in range(24):
            asker = Asker(demo)
            spelling = (user, user.replace('a', '%61', 1), user)[i % 3]
            data, _ = asker.guess(spelling if i % 3 else user, f'more{i}')
            check(data.startswith((b'SIP/2.0 401', b'SIP/2.0 503', b'SIP/2.0 403')), f'{data[:80]}')
            refused += data.startswith(b'SIP/2.0 503')
            asker.socket.close()
        check(refused > 0, 'guesses from other ports are not held back')
        m = demo.metrics(0)
        print(f'  {m["sip_guesses"]} guesses were looked at, {m["sip_guesses_refused"]} were not')
        # the account is not closed to who knows the password and comes from elsewhere
        phone = Phone(account, demo.domain, demo.peers[0]['sip'])
        elsewhere = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        elsewhere.bind(('127.44.75.2', 0))
        host, number = demo.peers[0]['sip'].rsplit(':', 1)
        elsewhere.connect((host, int(number)))
        elsewhere.settimeout(0.2)
        phone.socket, old = elsewhere, phone.socket
        phone.local = '%s:%d' % elsewhere.getsockname()
        try:
            status = phone.register(limit=10)
            check(status == 200, f'the owner is shut out: {status}')
        finally:
            phone.close()
            old.close()


class Flooder:
    """A phone that sends INVITEs with a nonce count each and never an ACK."""

    def __init__(self, demo, account):
        self.phone = Phone(account, demo.domain, demo.peers[0]['sip'])
        check(self.phone.register() == 200, 'the flooder cannot register')
        self.phone.running = False
        self.phone.thread.join()
        self.socket = self.phone.socket
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.domain = demo.domain
        self.seen = {}
        self.nonce = None
        self.challenge()

    def challenge(self):
        self.send('x', 0, '')
        self.socket.settimeout(5)
        _, headers = parse(self.socket.recv(65536))
        self.nonce = re.search(r'nonce="([^"]*)"', first(headers, 'proxy-authenticate')).group(1)
        self.socket.setblocking(False)
        user, domain = self.phone.user, self.domain
        self.ha1 = hashlib.md5(f'{user}:{domain}:{self.phone.password}'.encode()).hexdigest()

    def send(self, to, number, extra):
        mark = f'flood{number}-{id(self)}'
        p = self.phone
        self.socket.send((f'INVITE sip:{to}@{p.domain} SIP/2.0\r\nVia: SIP/2.0/UDP {p.local};'
                          f'branch=z9hG4bK{mark}\r\nMax-Forwards: 70\r\n'
                          f'From: <sip:{p.aor}>;tag=1\r\n'
                          f'To: <sip:{to}@{p.domain}>\r\nCall-ID: {mark}\r\nCSeq: 1 INVITE\r\n'
                          f'Contact: <sip:{p.user}@{p.local}>\r\n{extra}Content-Length: 0\r\n\r\n'
                          ).encode())

    def call(self, to, number):
        uri = f'sip:{to}@{self.domain}'
        ha2 = hashlib.md5(f'INVITE:{uri}'.encode()).hexdigest()
        answer = hashlib.md5(f'{self.ha1}:{self.nonce}:{number:08x}:x:auth:{ha2}'.encode())
        self.send(to, number, f'Proxy-Authorization: Digest username="{self.phone.user}", '
                  f'realm="{self.domain}", nonce="{self.nonce}", uri="{uri}", '
                  f'response="{answer.hexdigest()}", qop=auth, nc={number:08x}, cnonce="x"\r\n')
        self.drain()

    def drain(self):
        with contextlib.suppress(BlockingIOError):
            while True:
                data = self.socket.recv(65536)
                call = re.search(rb'Call-ID: (\S+)', data)
                self.seen.setdefault(call.group(1), set()).add(data[8:11])

    def count(self, status):
        return sum(status in s for s in self.seen.values())


def take(stream):
    """All that is there, or the node would be the one that waits; it ends a stream whose other end
    is slow."""
    said = b''
    try:
        while True:
            more = stream.recv(65536)
            check(more, 'the node has closed the connection')
            said += more
    except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
        return said


def members_flood(demo, stream, callee, total, on_batch):
    """INVITEs of a member of the overlay in its own name, over the connection between peers."""
    said = bytearray()
    stream.setblocking(False)
    mark = secrets.token_hex(4)
    for number in range(total):
        text = (f'INVITE sip:{callee} SIP/2.0\r\nVia: SIP/2.0/TLS x.invalid;branch=z9hG4bK{mark}'
                f'{number}\r\nMax-Forwards: 70\r\nFrom: <sip:mallory@{demo.domain}>;tag=1\r\n'
                f'To: <sip:{callee}>\r\nCall-ID: {mark}{number}\r\nCSeq: 1 INVITE\r\n'
                'Contact: <sip:m@127.0.0.1:9>\r\nContent-Length: 0\r\n\r\n').encode()
        end = time.monotonic() + 10 * patience()
        while text and time.monotonic() < end:
            try:
                text = text[stream.send(text):]
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                pass
            said += take(stream)
        check(not text, 'the node does not read any more')
        if number % 2500 == 2499:
            on_batch()
    while select.select([stream], [], [], QUIET_S)[0]:
        try:
            more = stream.recv(65536)
        except ssl.SSLWantReadError:
            continue
        if not more:
            break
        said += more + (stream.recv(stream.pending()) if stream.pending() else b'')
    return said.count(b'SIP/2.0 503')


def test_floods():
    with Folder() as folder, Demo(peers=2) as demo:
        # two that talk, one that does not answer, one that floods
        a, b = [Phone(x, demo.domain, demo.peers[i]['sip'])
                for i, x in enumerate(demo.accounts[:2])]
        silent = Phone(demo.accounts[2], demo.domain, demo.peers[0]['sip'])
        check([p.register() for p in (a, b, silent)] == [200] * 3, 'phones cannot register')
        silent.running = False
        flooder = Flooder(demo, demo.accounts[3])
        calls = []

        def talk():
            """Where the processor is not enough, beside other tests, a new call is refused like the
            flood's (docs/events.md), and tried again as a phone does."""
            call = a.call(b.aor, limit=20)
            for _ in range(OVERLOADED_TRIES):
                if call[0] != 503 or 'More comes in' not in call[2]:
                    break
                time.sleep(1)
                call = a.call(b.aor, limit=20)
            calls.append(call)

        try:
            talk()
            descriptors = demo.descriptors(0)
            start = time.monotonic()
            for number in range(1, FLOOD + 1):
                flooder.call(silent.user, number)
                if number % 2500 == 0:
                    talk()
            seconds = time.monotonic() - start
            time.sleep(0.5)
            flooder.drain()
            talk()
            refused, taken = flooder.count(b'503'), flooder.count(b'100')
            print(f'  phones: {FLOOD} INVITEs in {seconds:.1f} s, {taken} taken, {refused} got 503')
            check(taken <= PER_SOURCE and refused > FLOOD // 2, f'{taken} taken, {refused} refused')
            mallory = issue(CHORDIAL, demo.info['ca'], f'mallory@{demo.domain}', folder)
            conf = os.path.join(os.path.dirname(demo.info['ca']), demo.peers[0]['name'] + '.conf')
            with open(conf, encoding='ascii') as f:
                port = re.search(r'overlay-sip-port\s*=\s*"?(\d+)', f.read()).group(1)
            with tls('127.0.0.1:' + port, mallory) as stream:
                members_flood(demo, stream, silent.aor, PER_SOURCE, talk)
                rss = demo.rss_kib(0)  # the tables have all been touched now
                refused = members_flood(demo, stream, silent.aor, FLOOD, talk)
            print(f'  overlay: {FLOOD} INVITEs, {refused} got 503')
            check(refused > FLOOD // 2, f'only {refused} refused')
            for number in range(FLOOD + 1, 2 * FLOOD):
                flooder.call(silent.user, number)
            talk()
            check(all((s, y) == (200, 200) for s, y, _ in calls), f'calls: {calls}')
            after = demo.rss_kib(0)
            print(f'  {len(calls)} calls of others, all completed; RSS {rss} -> {after} KiB')
            check(after <= 1.02 * rss, f'RSS {rss} -> {after} KiB')
            wait_for('descriptors are given back', 10,
                     lambda: demo.descriptors(0) <= descriptors)
            check(demo.metrics(0)['sip_refused_overload'] > FLOOD // 2, 'not counted')
        finally:
            for phone in (a, b, silent):
                phone.close()
            flooder.socket.close()


run([test_sipsak, test_svmap_and_svwar_find_no_user, test_known_and_unknown_users_look_alike,
     test_svcrack_finds_no_password, test_floods])
