# SPDX-License-Identifier: Apache-2.0
"""Runs the sources of rival_rows.py: our programs, and the rivals with what loads them.  What is
started here is ended here, also on Ctrl-C: each child has a process group of its own, and dies with
us should we be killed."""
import ctypes
import glob
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import configure  # noqa: E402
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import rival_calls  # noqa: E402
import rival_turns  # noqa: E402

SERVER_CPU, LOAD_CPU = 0, 1
PROGRAMS = 'build/release/bench'
RUN_TIMEOUT_S = 240
READY_S = 10
# Servers that take turns: slices are short beside what changes the speed of the machine.
SLICE_MS, WARM_MS, CALL_WARM_MS, TURNS_MIN, MS_EACH_TURN = 50, 500, 3000, 12, 20
# Kamailio's tm keeps what a call had for 5 s (wt_timer), 25 to 35 KB: as long it takes new memory,
# and at 13,000 calls a second 1.5 GB.  Where that is not to be had it searches all of what it has
# for each message, for half a second, and answers with 500.
TM_WARM_MS, KAMAILIO_MB = 6000, 4096
KAMAILIO_SOCKET_BYTES = 4 << 20  # what a node asks for its socket
PR_SET_PDEATHSIG = 1

# What a rival needs: (program or file, Debian package).
NEEDS = {
    'kamailio': [('kamailio', 'kamailio')],
    'redis': [('redis-server', 'redis-server'), ('redis-benchmark', 'redis-tools'),
              ('redis-cli', 'redis-tools')],
    'opendht': [('g++', 'g++'), ('/usr/include/opendht.h', 'libopendht-dev')],
    'sip_parse': [('/usr/include/osipparser2/osip_parser.h', 'libosip2-dev'),
                  ('/usr/include/sofia-sip-1.12/sofia-sip/sip.h', 'libsofia-sip-ua-dev')],
}


class Failed(Exception):
    """A source that could not be measured, and why; or what it printed before it failed."""

    def __init__(self, why, said=''):
        super().__init__(why)
        self.said = said


def lacking(rival, which=None):
    """None, or a sentence that says what is missing and how it is installed."""
    which = which or (lambda p: p if os.path.isabs(p) and os.path.exists(p) else shutil.which(p))
    missing = [(what, package) for what, package in NEEDS.get(rival, []) if not which(what)]
    if not missing:
        return None
    return '%s is not there (needs %s): ./configure.py --deps=bench, or apt-get install %s' % (
        rival, ', '.join(what for what, _ in missing),
        ' '.join(sorted({package for _, package in missing})))


def free_port(kind=socket.SOCK_STREAM):
    with socket.socket(socket.AF_INET, kind) as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


def group_members(pid):
    """All processes of a process group."""
    members = []
    for path in glob.glob('/proc/[0-9]*/stat'):
        try:
            with open(path, encoding='utf-8', errors='replace') as f:
                fields = f.read().rpartition(')')[2].split()
        except OSError:
            continue  # it has ended
        if int(fields[2]) == pid:
            members.append(int(path.split('/')[2]))
    return members


def process_ns(pid):
    """Nanoseconds on a processor of all threads of a process."""
    total = 0
    for path in glob.glob('/proc/%d/task/*/schedstat' % pid):
        with open(path, encoding='utf-8') as f:
            total += int(f.read().split()[0])
    return total


def hold(peer):
    """Keeps a peer of a demo on the server's processor."""
    for path in glob.glob('/proc/%d/task/*' % peer['pid']):
        os.sched_setaffinity(int(os.path.basename(path)), {SERVER_CPU})


def read_lines(text):
    """The objects of JSON lines; what is no JSON is somebody's talk."""
    found = []
    for line in text.splitlines():
        if line.startswith('{'):
            found.append(json.loads(line))
    if not found or any('work' not in line for line in found):
        raise Failed('printed no figures')
    return found


class Rig:
    """A scratch directory and the children, for a `with`."""

    def __init__(self, top, say=lambda text: None, patience_s=5):
        self.top, self.say, self.patience_s, self.children = top, say, patience_s, []
        self.commands = []

    def __enter__(self):
        self.scratch = tempfile.mkdtemp(prefix='chordial-rivals-')
        return self

    def __exit__(self, *_):
        for child in list(self.children):
            self.end(child)
        shutil.rmtree(self.scratch, ignore_errors=True)

    def start(self, argv, cpu=None, **more):
        def before_exec():
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            if cpu is not None and cpu < (os.cpu_count() or 1):
                os.sched_setaffinity(0, {cpu})
        self.commands.append((['taskset', '-c', str(cpu)] if cpu is not None else []) + argv)
        more.setdefault('stdin', subprocess.DEVNULL)
        child = subprocess.Popen(argv, cwd=self.top, start_new_session=True,
                                 preexec_fn=before_exec, **more)
        self.children.append(child)
        return child

    def take_commands(self):
        """What was started since the last call, as a shell would be told."""
        said = [shlex.join(words).replace(self.scratch, 'SCRATCH').replace(self.top + '/', '')
                for words in self.commands]
        self.commands = []
        return said

    def end(self, child):
        """Asks, waits, then kills the whole group, and only that."""
        self.children.remove(child)
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(child.pid, number)
            except ProcessLookupError:
                break
            try:
                child.wait(self.patience_s)
            except subprocess.TimeoutExpired:
                continue
        child.wait()
        for pipe in (child.stdin, child.stdout, child.stderr):
            if pipe:
                pipe.close()

    def run(self, argv, cpu=None, timeout_s=RUN_TIMEOUT_S):
        """What it prints; Failed when it does not end well."""
        child = self.start(argv, cpu, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            out, err = child.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            raise Failed('%s: still running after %g s' % (argv[0], timeout_s)) from None
        finally:
            self.end(child)
        if child.returncode != 0:
            how = 'exit code %d' % child.returncode if child.returncode > 0 else \
                'ended by signal %d' % -child.returncode
            said = err.strip().splitlines()[-1:]
            raise Failed(': '.join([os.path.basename(argv[0]), how] + said), out)
        return out

    # ---- sources ----

    def measure(self, source, values):
        """The JSON lines of a source."""
        words = source.argv.format(**values).split()
        if words[0].startswith('@'):
            rival = words[0][1:]
            why = lacking(rival)
            if why:
                raise Failed(why)
            return getattr(self, 'run_' + rival)(*words[1:])
        program = os.path.join(PROGRAMS, words[0])
        if not os.path.exists(os.path.join(self.top, program)):
            raise Failed('%s does not exist' % program)
        return read_lines(self.run([program] + words[1:]))

    def run_allocations(self):
        """Calls of the allocator by our own code, as `transit check` counts them."""
        program = os.path.join(PROGRAMS, 'transit')
        if not os.path.exists(os.path.join(self.top, program)):
            raise Failed('%s does not exist' % program)
        said = self.run([program, 'check'])
        ours = re.search(r'(-?\d+) of ours', said)
        if not ours:
            raise Failed('transit check counts no allocations')
        return [{'work': 'check', 'allocations': int(ours.group(1))}]

    def run_locks(self):
        """Calls of lock functions by our own code in transit; tests/live/locks.py counts them."""
        said = self.run(['python3', '-B', 'tests/live/locks.py', '--transit'])
        ours = re.search(r'in transit: lock calls of ours: (\d+); of libraries: (.*)', said)
        if not ours:
            raise Failed('tests/live/locks.py counts no locks')
        libraries = sum(int(n) for n in re.findall(r' (\d+)(?:,|$)', ours.group(2)))
        return [{'work': 'transit', 'locks': int(ours.group(1)), 'of_libraries': libraries}]

    def run_opendht(self, keys, work):
        """Nodes of ours, which sign, between two runs of OpenDHT: what the machine does steadily
        meanwhile it does to both.  Whole runs, each with what is done for 2 s after the last
        answer: OpenDHT does a fifth of its work for a get, or more, a second later."""
        program = os.path.join(PROGRAMS, 'rival_opendht')
        full, text = os.path.join(self.top, program), 'bench/rival_opendht.cc'
        if not os.path.exists(full) or os.path.getmtime(full) < os.path.getmtime(
                os.path.join(self.top, text)):
            self.say('compiling ' + text)
            self.run(['g++', '-std=c++17', '-O2', '-o', program, text, '-lopendht', '-pthread'])
        ours = os.path.join(PROGRAMS, 'cluster')
        if not os.path.exists(os.path.join(self.top, ours)):
            raise Failed('%s does not exist' % ours)
        theirs = [program, '--keys', keys]
        before, between, after = (
            read_lines(self.run(argv, SERVER_CPU))
            for argv in (theirs, [ours, '--json', '--keys', keys, '--repeats', '2', work], theirs))
        return rival_turns.in_one(before + between + after)

    def run_sip_parse(self, ms):
        program = os.path.join(PROGRAMS, 'rival_sip_parse')
        texts = ['bench/rival_sip_parse.c', 'bench/sip_messages.c', 'bench/sip_messages.h']
        ours = ['build/release/libcodec.a', 'build/release/libcore.a']
        full = os.path.join(self.top, program)
        if not os.path.exists(full) or os.path.getmtime(full) < max(
                os.path.getmtime(os.path.join(self.top, t)) for t in texts + ours):
            self.say('compiling ' + texts[0])
            flags = next(m.cflags for m in configure.MODES if m.name == 'release').split()
            flags = [f for f in flags if not f.startswith('-W')]
            theirs = self.run(['pkg-config', '--cflags', '--libs', 'sofia-sip-ua', 'libosip2'])
            self.run(['gcc', *flags, '-o', program, *texts[:2], *ours, *theirs.split()])
        return read_lines(self.run([program, '--json', '--ms', ms], SERVER_CPU))

    def start_kamailio(self, kind):
        """(child, port, its processes): one worker, alone on its processor with whom it is
        compared."""
        defines = {'register': ['-A', 'WITH_USRLOC'], 'call': ['-A', 'WITH_TM']}.get(kind, [])
        port = free_port(socket.SOCK_DGRAM)
        log = os.path.join(self.scratch, 'kamailio.log')
        with open(log, 'w', encoding='utf-8') as f:
            server = self.start(
                ['kamailio', '-f', os.path.join(self.top, 'bench/kamailio.cfg'), '-X', 'fm', '-x',
                 'fm', '-DD', '-E', '-m', str(KAMAILIO_MB), '-M', '32', '-b',
                 str(KAMAILIO_SOCKET_BYTES), '-Y', self.scratch, '-w', self.scratch, '-P',
                 os.path.join(self.scratch, 'kamailio.pid'), '-l', 'udp:127.0.0.1:%d' % port]
                + defines, SERVER_CPU, stdout=f, stderr=f)
        return server, port, self.wait_workers(server, log)

    def wait_workers(self, server, log):
        """Its processes, when there are no more to come."""
        deadline, seen = time.monotonic() + READY_S, []
        while time.monotonic() < deadline:
            time.sleep(0.3)
            if server.poll() is not None:
                with open(log, encoding='utf-8', errors='replace') as f:
                    raise Failed('kamailio ends at once: ' + f.read().strip()[-300:])
            now = group_members(server.pid)
            if len(now) > 2 and now == seen:
                return now
            seen = now
        raise Failed('kamailio does not start its processes')

    def start_demo(self):
        """(child, its line, its first peer): a demo that has been told to stay; that peer is
        held to its processor, the others to that of the load."""
        with open(os.path.join(self.scratch, 'demo.log'), 'w', encoding='utf-8') as f:
            demo = self.start(['build/release/chordial', 'demo', '--hold', '--json'], LOAD_CPU,
                              stdout=subprocess.PIPE, stderr=f, text=True)
        line = demo.stdout.readline()
        told = json.loads(line or '{}')
        if not told.get('peers'):
            self.end(demo)
            raise Failed('chordial demo --hold says nothing')
        hold(told['peers'][0])
        return demo, line, told['peers'][0]

    def generator(self, name, argv, pids):
        """A member of rival_turns: a generator that waits to be told, and what it loads."""
        with open(os.path.join(self.scratch, 'generator.log'), 'a', encoding='utf-8') as f:
            child = self.start(argv + ['--in-turn'], LOAD_CPU, stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, stderr=f, text=True)
        return rival_turns.Member(name, child, lambda: sum(process_ns(pid) for pid in pids))

    def member_kamailio(self, kind, *how):
        _, port, pids = self.start_kamailio(kind)
        return self.generator('kamailio', [os.path.join(PROGRAMS, 'rival_sip'), '--kind', kind,
                                           '--port', str(port), *how], pids)

    def member_chordial(self, kind, *how):
        """A node of ours, loaded by the same program."""
        _, line, peer = self.start_demo()
        told = json.loads(line)
        more = rival_calls.dialog(told, peer['sip']) if kind == 'forward' else []
        return self.generator('chordial', [
            os.path.join(PROGRAMS, 'rival_sip'), '--kind', kind, '--port',
            peer['sip'].rpartition(':')[2], '--host', told['domain'], *more, *how], [peer['pid']])

    def member_load(self, name, kind, *how, callees=''):
        """A node of ours under `chordial load`, whose phones have passwords; with callees at
        another peer: both nodes, on one processor."""
        _, line, peer = self.start_demo()
        pids = [peer['pid']]
        if callees:
            other = json.loads(line)['peers'][int(callees) - 1]
            hold(other)
            pids.append(other['pid'])
        path = os.path.join(self.scratch, name + '.json')
        with open(path, 'w', encoding='utf-8') as f:
            f.write(line)
        return self.generator(name, [
            'build/release/chordial', 'load', '--demo', path, '--kind', kind, '--rate', 'max',
            '--outstanding', '64', *(['--callees', callees] if callees else []), *how], pids)

    def run_kamailio(self, kind, ms, *how):
        """Kamailio and a node of ours, loaded in turn: OPTIONS and messages of a dialog by the same
        program, phones with passwords by `chordial load`.  Calls begin to be measured when the
        tables of transactions are full: until then each new page of them is work of the first."""
        awake = ['--awake'] if how else []
        ours = {'register': lambda: self.member_load('chordial', 'register', *awake),
                'call': lambda: self.member_load('chordial', 'invite', *awake)}.get(
                    kind, lambda: self.member_chordial(kind, *awake))
        return self.run_turns([lambda: self.member_kamailio(kind, *awake), ours], ms,
                              TM_WARM_MS if kind == 'call' else WARM_MS)

    def run_calls(self, ms):
        """Calls whose phones are at one node, and calls between two, loaded in turn."""
        return self.run_turns(
            [lambda: self.member_load('one', 'invite', '--awake'),
             lambda: self.member_load('two', 'invite', '--awake', callees='2')], ms, CALL_WARM_MS)

    def run_turns(self, makers, ms, warm_ms):
        known = set(self.children)
        mine = os.sched_getaffinity(0)
        try:
            members = [make() for make in makers]
            os.sched_setaffinity(0, {LOAD_CPU} & mine or mine)
            return rival_turns.lines(rival_turns.run(
                members, max(TURNS_MIN, int(ms) // MS_EACH_TURN), SLICE_MS, warm_ms,
                rival_turns.softirq_reader(SERVER_CPU)))
        except (rival_turns.Wrong, BrokenPipeError) as wrong:
            with open(os.path.join(self.scratch, 'generator.log'), encoding='utf-8') as f:
                said = f.read().strip().splitlines()[-1:]
            raise Failed(': '.join([str(wrong)] + said)) from None
        finally:
            os.sched_setaffinity(0, mine)
            for child in [c for c in self.children if c not in known][::-1]:
                self.end(child)

    def run_delay(self):
        """The same between two of five nodes, one call at a time."""
        demo, line, _ = self.start_demo()
        try:
            return rival_calls.delays(json.loads(line))
        finally:
            self.end(demo)

    def run_load(self, kind, ms):
        """A node of ours under `chordial load`, as fast as it goes with 64 outstanding."""
        seconds = max(1, int(ms) // 1000)
        demo, line, _ = self.start_demo()
        try:
            path = os.path.join(self.scratch, 'demo.json')
            with open(path, 'w', encoding='utf-8') as f:
                f.write(line)
            said = json.loads(self.run(
                ['build/release/chordial', 'load', '--json', '--demo', path, '--kind', kind,
                 '--rate', 'max', '--outstanding', '64', '--cpu', str(LOAD_CPU), '--seconds',
                 str(seconds)]))
            if not said.get('server_cpu_ns_per_op'):
                raise Failed('chordial load gives no cost of %s: %s' % (kind, said.get('errors')))
            return [{'work': 'load_' + kind, 'ns_per_op': said['server_cpu_ns_per_op']}]
        finally:
            self.end(demo)

    def run_redis(self, ms):
        """GET of values of 100 bytes (and of 1000), 32 in a pipeline."""
        port = str(free_port())
        server = self.start(
            ['redis-server', '--port', port, '--bind', '127.0.0.1', '--save', '', '--appendonly',
             'no', '--dir', self.scratch], SERVER_CPU, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL)
        try:
            self.wait_redis(port, server)
            return [self.load_redis(port, server, size, int(ms)) for size in (100, 1000)]
        finally:
            self.end(server)

    def wait_redis(self, port, server):
        for _ in range(READY_S * 10):
            said = subprocess.run(['redis-cli', '-p', port, 'ping'], capture_output=True, text=True)
            if said.stdout.strip() == 'PONG':
                return
            if server.poll() is not None:
                break
            time.sleep(0.1)
        raise Failed('redis-server does not answer')

    def redis_commands(self, port):
        said = subprocess.run(['redis-cli', '-p', port, 'info', 'stats'], capture_output=True,
                              text=True).stdout
        numbers = dict(line.strip().split(':', 1) for line in said.splitlines() if ':' in line)
        return int(numbers['total_commands_processed']), int(numbers['keyspace_hits'])

    def load_redis(self, port, server, size, ms):
        base = ['redis-benchmark', '-p', port, '-q', '-c', '50', '-P', '32', '-d', str(size), '-r',
                '10000']
        self.run(base + ['-t', 'set', '-n', '60000'], LOAD_CPU)
        before, hits = self.redis_commands(port)
        cpu = process_ns(server.pid)
        self.run(base + ['-t', 'get', '-n', str(400 * ms)], LOAD_CPU)
        cpu = process_ns(server.pid) - cpu
        after, found = self.redis_commands(port)
        if found - hits < 0.99 * 400 * ms:
            raise Failed('redis-benchmark asked for what is not there')
        return {'work': 'get_%d' % size, 'ns_per_op': cpu / (after - before),
                'ops': after - before}
