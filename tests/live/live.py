# SPDX-License-Identifier: Apache-2.0
"""What the live tests share: an overlay of real processes on loopback (`chordial demo --hold`),
sipp phones, and counting.  Every test ends by itself and kills only what it has started."""
import csv
import json
import os
import random
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
CHORDIAL = os.environ.get('CHORDIAL', './build/release/chordial')
FULL = '--full' in sys.argv


class Failure(Exception):
    pass


def check(condition, text):
    if not condition:
        raise Failure(text)


def patience():
    """Limits are for a machine of our own: others on it stretch them, fourfold at most."""
    return min(4.0, max(1.0, os.getloadavg()[0] / os.cpu_count()))


def wait_for(what, seconds, predicate, every=0.1):
    """Polls until `predicate` is true; how long it took."""
    start = time.monotonic()
    while True:
        if predicate():
            return time.monotonic() - start
        took = time.monotonic() - start
        if took > seconds * patience():
            raise Failure(f'{what}: not within {took:.1f} s')
        time.sleep(every)


def chordial(folder, *words, given='', status=0):
    """One command in `folder`, which must end with `status`: what it prints, or its errors."""
    done = subprocess.run([os.path.abspath(CHORDIAL), *words], cwd=folder, input=given,
                          capture_output=True, text=True, timeout=60)
    check(done.returncode == status,
          f'{" ".join(words)}: status {done.returncode}, not {status}: {done.stderr}')
    return done.stdout if status == 0 else done.stderr


def free_ports(count, first, last):
    """The first of `count` ports in a row between the two that nobody has, TCP and UDP.  The search
    begins anywhere: of two tests that run at once, and both begin at the first, the second would
    get what the first has found and not yet bound.  Below 32768, or the kernel gives them away."""
    places = (last - first) // count
    begin = random.randrange(places)
    for place in range(places):
        port = first + (begin + place) % places * count
        sockets = [socket.socket(type=kind) for _ in range(count)
                   for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM)]
        try:
            for i, s in enumerate(sockets):
                s.bind(('127.0.0.1', port + i // 2))
            return port
        except OSError:
            pass
        finally:
            for s in sockets:
                s.close()
    raise Failure(f'no {count} free ports in a row')


def phone_ports(count):
    """As free_ports, for phones: below the ports among which `chordial demo` chooses."""
    return free_ports(count, 5100, 9900)


class Demo:
    """`chordial demo --hold --json`: peers, accounts, CA directory, key log."""

    def __init__(self, peers=5, shards=1, binary=CHORDIAL, extra=(), seconds=60):
        self.errors = tempfile.NamedTemporaryFile('w+', prefix='demo.', suffix='.log')
        command = [binary, 'demo', '--hold', '--json', '--peers', str(peers),
                   '--shards', str(shards), *extra]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self.errors,
                                        text=True)
        ready, _, _ = select.select([self.process.stdout], [], [], seconds)
        line = self.process.stdout.readline() if ready else ''
        if not line:
            self.process.kill()
            self.errors.seek(0)
            raise Failure('demo --hold said nothing: ' + self.errors.read()[-2000:])
        self.info = json.loads(line)
        self.peers = self.info['peers']
        self.domain = self.info['domain']
        self.accounts = self.info['accounts']

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            if exception[0] is None:
                raise Failure('demo --hold did not end within 20 s of SIGTERM')

    def ctl(self, peer, *words, timeout=60):
        """One `chordial ctl --json` at a peer, parsed."""
        command = [CHORDIAL, 'ctl', '-s', self.peers[peer]['ctl'], *words, '--json']
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout)
        check(done.returncode == 0, f'{" ".join(command)}: {done.stderr or done.stdout}')
        return json.loads(done.stdout)

    def ask(self, peer, timeout=15, **request):
        """One request at the control socket of a peer."""
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(timeout)
            s.connect(self.peers[peer]['ctl'])
            s.sendall(json.dumps(request).encode() + b'\n')
            data = b''
            while not data.endswith(b'\n'):
                part = s.recv(65536)
                check(part, f'{self.peers[peer]["name"]} hung up on {request}')
                data += part
        return json.loads(data)

    def log(self, peer):
        folder = os.path.dirname(self.info['keylog'])
        with open(os.path.join(folder, self.peers[peer]['name'] + '.log'),
                  encoding='utf-8', errors='replace') as f:
            return f.read()

    def metrics(self, peer):
        return self.ctl(peer, 'metrics')

    def rss_kib(self, peer):
        with open(f'/proc/{self.peers[peer]["pid"]}/status', encoding='ascii') as f:
            return next(int(line.split()[1]) for line in f if line.startswith('VmRSS'))

    def descriptors(self, peer):
        return len(os.listdir(f'/proc/{self.peers[peer]["pid"]}/fd'))

    def kill(self, peer, number=signal.SIGKILL):
        os.kill(self.peers[peer]['pid'], number)


def account_name(account):
    return account['user'].split('@')[0]


def credentials(account):
    """The field that sipp turns into the header (it does not nest keywords)."""
    return (f'[authentication username={account_name(account)} '
            f'password={account["password"]}]')


def is_bound(port):
    """Does anybody on this machine have that UDP port?"""
    with open('/proc/net/udp', encoding='ascii') as f:
        return any(line.split()[1].endswith(f':{port:04X}') for line in list(f)[1:])


class Sipp:
    """One sipp process with a scenario of tests/live/sipp, which has its port when this returns."""

    def __init__(self, folder, scenario, target, port, calls, rate=10, fields=None, transport='u1',
                 seconds=120):
        self.folder = tempfile.mkdtemp(prefix=scenario + '.', dir=folder)
        self.stats = os.path.join(self.folder, 'stat.csv')
        self.seconds = seconds
        command = ['sipp', target, '-sf', os.path.join(HERE, 'sipp', scenario + '.xml'),
                   '-i', '127.0.0.1', '-p', str(port), '-m', str(calls), '-r', str(rate),
                   '-t', transport, '-trace_stat', '-stf', self.stats, '-fd', '1', '-nostdin',
                   '-trace_err', '-error_file', os.path.join(self.folder, 'errors'),
                   '-timeout', f'{seconds}s', '-nd']
        if fields:
            path = os.path.join(self.folder, 'fields.csv')
            with open(path, 'w', encoding='ascii') as f:
                f.write('SEQUENTIAL\n' + ''.join(';'.join(row) + '\n' for row in fields))
            command += ['-inf', path]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.PIPE, cwd=self.folder, text=True)
        if transport == 'u1':
            wait_for('the port of sipp', 20,
                     lambda: is_bound(port) or self.process.poll() is not None, every=0.02)

    def wait(self):
        """Ends with the statistics of the whole run."""
        try:
            _, errors = self.process.communicate(timeout=self.seconds + 20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise Failure('sipp did not end')
        with open(self.stats, encoding='ascii') as f:
            rows = list(csv.DictReader(f, delimiter=';'))
        check(rows, f'sipp made no statistics: {errors}')
        last = rows[-1]
        return {'ok': int(last['SuccessfulCall(C)']), 'failed': int(last['FailedCall(C)']),
                'retransmissions': int(last['Retransmissions(C)']), 'exit': self.process.returncode,
                'errors': self.errors()}

    def errors(self):
        path = os.path.join(self.folder, 'errors')
        if not os.path.exists(path):
            return ''
        with open(path, encoding='utf-8', errors='replace') as f:
            return f.read()[:2000]

    def stop(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.communicate()


def register(folder, demo, peer, account, port, transport='u1'):
    fields = [(account_name(account), credentials(account), demo.domain)]
    result = Sipp(folder, 'register', demo.peers[peer]['sip'], port, 1, fields=fields,
                  transport=transport, seconds=15).wait()
    check(result['ok'] == 1, f'{account["user"]} cannot register at peer {peer}: {result}')


def call_between(folder, demo, caller_peer, callee_peer, calls=1, rate=10):
    """The first two accounts register at these peers and call: what both sides have counted."""
    first = phone_ports(2)
    ports = (first, first + 1)
    caller, callee = demo.accounts[0], demo.accounts[1]
    register(folder, demo, callee_peer, callee, ports[0])
    register(folder, demo, caller_peer, caller, ports[1])
    answering = Sipp(folder, 'callee', demo.peers[callee_peer]['sip'], ports[0], calls)
    try:
        fields = [(account_name(caller), credentials(caller), demo.domain, account_name(callee))]
        result = Sipp(folder, 'caller', demo.peers[caller_peer]['sip'], ports[1], calls, rate=rate,
                      fields=fields).wait()
        check(result['ok'] == calls, f'calls failed: {result}')
        return result, answering.wait()
    finally:
        answering.stop()


def run(tests):
    """Runs the functions in order and prints the last line that tools/run_tests.py reads."""
    passed = failed = 0
    for test in tests:
        start = time.monotonic()
        try:
            test()
            passed += 1
            print(f'ok   {test.__name__} ({time.monotonic() - start:.1f} s)', flush=True)
        except Failure as failure:
            failed += 1
            print(f'FAIL {test.__name__}: {failure}', flush=True)
        except Exception:  # a broken test is a failed one, with its reason
            failed += 1
            print(f'FAIL {test.__name__}: {traceback.format_exc()}', flush=True)
    print(f'{passed} passed, {failed} failed', flush=True)
    sys.exit(1 if failed else 0)


class Folder:
    """A temporary folder that goes away with the test."""

    def __enter__(self):
        self.path = tempfile.mkdtemp(prefix='chordial-live.')
        return self.path

    def __exit__(self, *exception):
        shutil.rmtree(self.path, ignore_errors=True)
