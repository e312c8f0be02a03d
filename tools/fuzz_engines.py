# SPDX-License-Identifier: Apache-2.0
"""Runs one fuzz target under libFuzzer or AFL++ for some seconds and says what came of it.

Each engine is one process group of its own, of which nothing else is ever signalled."""
import os
import re
import shutil
import signal
import subprocess
import threading
import time

import fuzz_targets

CRASHES_MAX = 5  # libFuzzer ends at a crash; it is started again at most so many times
GRACE_S = 90  # beyond its time; then it is stopped
ENVIRONMENT = {name: '1' for name in (
    'AFL_NO_UI', 'AFL_NO_AFFINITY', 'AFL_SKIP_CPUFREQ', 'AFL_FAST_CAL',
    'AFL_I_DONT_CARE_ABOUT_MISSING_CRASHES', 'AFL_IGNORE_SEED_PROBLEMS')}


class Outcome:
    """What one run did."""

    def __init__(self, target, engine):
        self.target, self.engine = target, engine
        self.cpu_s, self.executions, self.edges, self.start_edges = 0.0, 0, 0, None
        self.curve = []  # (seconds since the run began, edges)
        self.artifacts = []  # files with inputs that went wrong
        self.trouble = ''  # why it is not to be counted as a run

    def saw(self, seconds, edges):
        if self.start_edges is None:
            self.start_edges = edges
        if not self.curve or edges > self.edges:
            self.curve.append((seconds, edges))
        self.edges = max(self.edges, edges)

    @property
    def new_edges(self):
        return self.edges - (self.start_edges or 0)

    @property
    def rate(self):
        """Executions in a second of CPU time: what one core does."""
        return self.executions / self.cpu_s if self.cpu_s > 0 else 0.0


class Children:
    """The processes that were started and have not ended."""

    def __init__(self):
        self.lock, self.alive, self.is_stopping = threading.Lock(), {}, False

    def start(self, command, environment, **more):
        # a campaign is the same whatever the caller's settings; AFL++ refuses those of run_tests.py
        env = {k: v for k, v in os.environ.items() if not re.match(r'AFL_|\w+SAN_OPTIONS$', k)}
        with self.lock:
            if self.is_stopping:
                return None
            child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.STDOUT,
                                     env={**env, **environment}, start_new_session=True, **more)
            self.alive[child.pid] = child
        return child

    def send(self, pid, number):
        """To the whole group, which the child leads; never to one that was already waited for."""
        with self.lock:
            if pid in self.alive:
                try:
                    os.killpg(pid, number)
                except ProcessLookupError:
                    pass

    def wait(self, child):
        """Waits; returns the seconds of CPU time of the child and what it waited for."""
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        with self.lock:  # not reaped yet, so that its number cannot have become another's
            del self.alive[child.pid]
            try:
                os.killpg(child.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        return usage.ru_utime + usage.ru_stime

    def stop(self):
        with self.lock:
            self.is_stopping = True
            pids = list(self.alive)
        for pid in pids:
            self.send(pid, signal.SIGINT)


def tree_cpu_s(root):
    """CPU time so far of a process and its descendants, with what they waited for."""
    children, ticks = {}, {}
    for name in os.listdir('/proc'):
        if not name.isdigit():
            continue
        try:
            with open('/proc/%s/stat' % name, encoding='utf-8', errors='replace') as f:
                fields = f.read().rpartition(')')[2].split()
        except OSError:
            continue
        children.setdefault(int(fields[1]), []).append(int(name))
        ticks[int(name)] = sum(int(n) for n in fields[11:15])
    total, todo = 0, [root]
    while todo:
        pid = todo.pop()
        total += ticks.get(pid, 0)
        todo += children.get(pid, [])
    return total / os.sysconf('SC_CLK_TCK')


class Watch(threading.Thread):
    """Stops a child after its time, and measures the CPU time of its whole tree while it runs."""

    def __init__(self, children, child, seconds):
        super().__init__(daemon=True)
        self.children, self.child, self.seconds = children, child, seconds
        self.cpu_s, self.over = 0.0, threading.Event()
        self.start()

    def run(self):
        end = time.monotonic() + self.seconds
        while not self.over.wait(0.5):
            self.cpu_s = max(self.cpu_s, tree_cpu_s(self.child.pid))
            late = time.monotonic() - end
            if late > 0:
                self.children.send(self.child.pid, signal.SIGKILL if late > 15 else signal.SIGINT)

    def finish(self):
        self.over.set()
        self.join()
        return self.cpu_s


def listed(directory, pattern='.'):
    if not os.path.isdir(directory):
        return []
    return sorted(os.path.join(directory, n) for n in os.listdir(directory)
                  if re.match(pattern, n) and os.path.isfile(os.path.join(directory, n)))


def tail(path):
    """The end of a log, without the colours of AFL++."""
    with open(path, encoding='utf-8', errors='replace') as f:
        return re.sub(r'\x1b\[[0-9;?]*[a-zA-Z]|\x1b\)B|\x0f', '', f.read())[-1500:]


class LibFuzzer:
    name = 'libfuzzer'

    def __init__(self, build, top):
        self.build, self.top = build, top

    def binary(self, target):
        return os.path.join(self.build, target)

    def run(self, target, seconds, place, seeds, children):
        """Fuzzes into place/new, beginning with what is there and in the directories `seeds`."""
        outcome = Outcome(target, self.name)
        bad = os.path.join(place, 'bad')
        os.makedirs(bad, exist_ok=True)
        begin = time.monotonic()
        known = set(listed(bad))
        for _ in range(CRASHES_MAX):
            left = seconds - (time.monotonic() - begin)
            if left < 1:
                break
            code = self.once(outcome, left, place, seeds, children, begin)
            fresh = [a for a in listed(bad, r'(crash|leak|oom|timeout)-') if a not in known]
            known.update(fresh)
            outcome.artifacts += fresh
            if not fresh:
                if code not in (0, 72, None) and not children.is_stopping:
                    outcome.trouble = 'exit code %s without an input' % code
                break
        return outcome

    def once(self, outcome, left, place, seeds, children, begin):
        """One process, to its end or its first crash; adds to `outcome`."""
        target, new = outcome.target, os.path.join(place, 'new')
        os.makedirs(new, exist_ok=True)
        words = fuzz_targets.dictionary(target, self.top)
        command = [self.binary(target), *fuzz_targets.limits(target), '-print_final_stats=1',
                   '-max_total_time=%d' % max(1, round(left)), '-reload=0',
                   '-artifact_prefix=%s/bad/' % place, *(['-dict=' + words] if words else []),
                   new, *seeds]
        child = children.start(command, {}, stdout=subprocess.PIPE)
        if child is None:
            return None
        watch = Watch(children, child, left + GRACE_S)
        with open(os.path.join(place, 'libfuzzer.log'), 'ab') as log:
            for line in child.stdout:
                log.write(line)
                found = re.match(rb'#\d+\t.* cov: (\d+) ', line)
                if found:
                    outcome.saw(time.monotonic() - begin, int(found.group(1)))
                found = re.match(rb'stat::number_of_executed_units: +(\d+)', line)
                if found:
                    outcome.executions += int(found.group(1))
        outcome.cpu_s += children.wait(child)
        watch.finish()
        return child.returncode


class Afl:
    name = 'afl'

    def __init__(self, build, top):
        self.build, self.top = build, top

    def binary(self, target):
        return os.path.join(self.build, target)

    def run(self, target, seconds, place, seeds, children):
        """Fuzzes in place/afl, which begins anew: what an earlier run found is in `seeds`, and what
        libFuzzer just found in place/new."""
        outcome = Outcome(target, self.name)
        given, out = os.path.join(place, 'afl-in'), os.path.join(place, 'afl')
        for directory in (given, out):
            shutil.rmtree(directory, ignore_errors=True)
        os.makedirs(given)
        for path in (p for d in [*seeds, os.path.join(place, 'new')] for p in listed(d)):
            shutil.copyfile(path, os.path.join(given, os.path.basename(path)))
        if not os.listdir(given):
            with open(os.path.join(given, 'empty'), 'wb') as f:
                f.write(b'\0')
        limits = fuzz_targets.of(target)
        words = fuzz_targets.dictionary(target, self.top)
        command = ['afl-fuzz', '-i', given, '-o', out, '-V', '%d' % max(1, round(seconds)),
                   '-m', 'none', '-t', '%d+' % (1000 * limits.timeout_s),
                   '-G', '%d' % limits.max_len, *(['-x', words] if words else []), '--',
                   self.binary(target)]
        with open(os.path.join(place, 'afl.log'), 'wb') as log:
            child = children.start(command, ENVIRONMENT, stdout=log)
            if child is None:
                return outcome
            watch = Watch(children, child, seconds + GRACE_S)
            own = children.wait(child)
            outcome.cpu_s = max(own, watch.finish())
        self.read(outcome, out, place)
        return outcome

    def read(self, outcome, out, place):
        stats, plot = {}, []
        for name, into in (('fuzzer_stats', stats), ('plot_data', plot)):
            path = os.path.join(out, 'default', name)
            if not os.path.exists(path):
                outcome.trouble = '  AFL++ did not get to fuzz:\n' + tail(
                    os.path.join(place, 'afl.log'))
                return
            with open(path, encoding='utf-8', errors='replace') as f:
                for line in f:
                    if into is plot and not line.startswith('#'):
                        columns = line.split(',')
                        plot.append((float(columns[0]), int(columns[12])))
                    elif into is stats and ':' in line:
                        key, value = line.split(':', 1)
                        stats[key.strip()] = value.strip()
        for seconds, edges in plot:
            outcome.saw(seconds, edges)
        outcome.saw(float(stats['run_time']), int(stats['edges_found']))
        outcome.executions = int(stats['execs_done'])
        outcome.artifacts = [p for kind in ('crashes', 'hangs')
                             for p in listed(os.path.join(out, 'default', kind), 'id:')]
