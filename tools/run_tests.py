#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the tests that modules.py lists, group by group, and counts every single one.

usage: run_tests.py [--full] [--only TEXT] [GROUP...]

--full hands --full to the Python tests (live, sim): the whole list at full length.
--only runs what has TEXT in its name.  Prints one line per failing test with what it said, then
minutes per group and what of it took longest, and last `N passed, N failed`."""
import argparse
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import namedtuple
from concurrent.futures import ThreadPoolExecutor

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import fuzz_targets  # noqa: E402
import tree  # noqa: E402

WORKERS = 2
CRITERION_TIMEOUT_S = 60  # of one test; its binary gets ten times as much
SCRIPT_TIMEOUT_S = {False: 600, True: 3600}
FUZZ_SECONDS = {False: 2, True: 30}  # of each target
SAID_LINES = 80
SLOWEST = 12  # jobs of a group that are named, where they took
SLOW_S = 5

# In any output, whatever the exit code: Criterion calls a leaking test passed.
SANITIZER = re.compile(r'(Leak|Address|Thread|UndefinedBehavior)Sanitizer|: runtime error: ')
# OpenSSL, and the libraries that bring it along; BoringSSL's own are called .so.0
FOREIGN = re.compile(r'lib(ssl|crypto)\.so\.[1-9]|libcurl|libssh|libxmlsec')
SUMMARY = re.compile(r'(\d+) passed, (\d+) failed(?:, (\d+) skipped)?')

Failure = namedtuple('Failure', 'name said')


class Result:
    """The count of some tests, and what the failed ones said."""

    def __init__(self, passed=0):
        self.passed, self.failures, self.skipped = passed, [], []
        self.hidden = 0  # failures that a script counted and printed itself

    def fail(self, name, said):
        self.failures.append(Failure(name, said))

    def add(self, other):
        self.passed += other.passed
        self.failures += other.failures
        self.skipped += other.skipped
        self.hidden += other.hidden

    @property
    def failed(self):
        return len(self.failures) + self.hidden


def run(command, timeout_s, **environment):
    """(exit code or None after a timeout, everything it printed); leaves no child behind."""
    env = {**os.environ, 'ASAN_OPTIONS': 'detect_leaks=1:abort_on_error=0',
           'UBSAN_OPTIONS': 'print_stacktrace=1', **environment}
    with tempfile.TemporaryFile() as out:
        try:
            child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out,
                                     stderr=subprocess.STDOUT, env=env, start_new_session=True)
        except OSError as error:
            return 127, '%s: build it first\n' % error
        try:
            code = child.wait(timeout_s)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            try:
                os.killpg(child.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            child.wait()
        out.seek(0)
        return code, out.read().decode('utf-8', 'replace')


def parse_tap(text):
    """(planned, {test: (state, why)}) of a TAP report; state is 'ok', 'failed' or 'skipped'."""
    plan = re.search(r'^1\.\.(\d+)$', text, re.M)
    tests = {}
    for part in re.split(r'^(?=(?:not )?ok - )', text, flags=re.M)[1:]:
        head, _, more = part.partition('\n')
        match = re.match(r'(not )?ok - (\S+)\s*(.*)', head)
        why = re.sub(r'^\(\d+\.\d+s\)$', '', match.group(3))
        skip = why.startswith('# SKIP')
        state = 'failed' if match.group(1) else 'skipped' if skip else 'ok'
        tests[match.group(2)] = (state, (why.removeprefix('# SKIP') + '\n' + more).strip())
    return int(plan.group(1)) if plan else 0, tests


def run_criterion(binary):
    """Runs all tests of one Criterion program."""
    result = Result()
    with tempfile.TemporaryDirectory() as scratch:
        report = os.path.join(scratch, 'tap')
        code, said = run([binary, '--tap=' + report, '-j1', '--color=never', '--timeout',
                          str(CRITERION_TIMEOUT_S)], 10 * CRITERION_TIMEOUT_S)
        text = tree.read(scratch, 'tap') if os.path.exists(report) else ''
    planned, tests = parse_tap(text)
    for name, (state, why) in tests.items():
        if state == 'failed':
            result.fail('%s %s' % (binary, name), why)
        elif state == 'skipped':
            result.skipped.append('%s %s: %s' % (binary, name, why))
        else:
            result.passed += 1
    # what Criterion does not count: an end before the end, leaks, an assertion in a .fini
    if planned == 0 or len(tests) != planned:
        result.fail(binary, 'ran %d of %d tests, exit code %s' % (len(tests), planned, code))
    lost = [place for place in re.findall(r'^\[----\] (\S+:\d+): Assertion Failed', said, re.M)
            if os.path.basename(place) + ':' not in text]
    if lost:
        result.fail(binary, 'failed outside of a test: ' + ' '.join(lost))
    if 'LeakSanitizer' in said:
        result.fail(binary, 'leaks')
    if not result.failures and (code != 0 or SANITIZER.search(said)):
        result.fail(binary, 'exit code %s' % code)
    if result.failures:  # all tests of a binary share one output: show it once
        last = result.failures.pop()
        result.fail(last.name, last.said + '\n' + said)
    return result


def run_program(command, timeout_s, must_count=False, **environment):
    """Runs a program that may end with `N passed, N failed`; else its exit code is one test."""
    name = ' '.join(command).removeprefix(sys.executable + ' ')
    code, said = run(command, timeout_s, **environment)
    result = Result()
    last = said.rstrip().split('\n')[-1]
    summary = SUMMARY.fullmatch(last.strip())
    if summary:
        result.passed, result.hidden = int(summary.group(1)), int(summary.group(2))
        skips = re.findall(r'^SKIP.*', said, re.M)
        count = int(summary.group(3) or 0)
        result.skipped = (skips + [name + ': no reason given'] * count)[:count]
    if code is None:
        result.fail(name, 'still running after %d s\n%s' % (timeout_s, said))
    elif SANITIZER.search(said) or 'CHECK failed' in said:
        result.fail(name, 'a sanitizer or a CHECK spoke\n' + said)
    elif result.hidden:
        result.hidden -= 1
        result.fail(name, said)
    elif code != 0:
        result.fail(name, 'exit code %d\n%s' % (code, said))
    elif summary and result.passed == 0 and not result.skipped:
        result.fail(name, 'ran no test at all\n' + said)
    elif not summary and must_count:
        result.fail(name, 'did not end with `N passed, N failed`\n' + said)
    elif not summary:
        result.passed = 1
    return result


def run_script(path, full):
    """A Python test: it must end with a count, or it did not get to its end."""
    command = [sys.executable, path] + (['--full'] if full else [])
    print('  ' + ' '.join(command[1:]), flush=True)
    return run_program(command, SCRIPT_TIMEOUT_S[full], must_count=True, PYTHONUNBUFFERED='1',
                       CHORDIAL=os.path.abspath('build/release/chordial'),
                       CHORDIAL_ASAN=os.path.abspath('build/asan/chordial'))


def run_fuzz(name, seconds):
    """First the corpus as it is, then `seconds` of new inputs, kept out of the tree."""
    corpus = 'fuzz/corpus/' + fuzz_targets.stem(name)
    words = fuzz_targets.dictionary(name, tree.TOP)
    seeds = [corpus] if os.path.isdir(corpus) else []
    options = fuzz_targets.limits(name) + (['-dict=' + words] if words else [])
    options.append('-artifact_prefix=build/fuzz/%s-' % name)
    binary = 'build/fuzz/' + name
    with tempfile.TemporaryDirectory() as fresh:
        result = run_program([binary, '-runs=0', *options, *seeds], 120)
        result.add(run_program([binary, '-max_total_time=%d' % seconds, '-print_final_stats=1',
                                *options, fresh, *seeds], seconds + 120))
    return result


def check_libraries(binary='build/release/chordial'):
    """No OpenSSL may come into the daemon's process, by whatever library."""
    result = Result()
    ldd = subprocess.run(['ldd', binary], capture_output=True, text=True)
    foreign = [library for library in re.findall(r'(\S+) =>', ldd.stdout) if FOREIGN.match(library)]
    if ldd.returncode or foreign or 'not found' in ldd.stdout:
        said = ldd.stdout + ldd.stderr
        result.fail('ldd ' + binary, 'brings in: %s\n%s' % (' '.join(foreign), said))
    else:
        result.passed = 1
    return result


def style_jobs():
    checks = ['./configure.py --check', 'tools/check_layers.py', 'tools/check_style.py',
              'tools/test_tools.py']
    jobs = [(c, lambda c=c: run_program(c.split(), 300)) for c in checks]
    if os.path.exists('build/release/chordial'):
        jobs.append(('ldd', check_libraries))
    return jobs


def group_jobs(modules, full):
    """{group: (workers, [(name, function that returns a Result)])}."""
    def criterion(table, directories):
        paths = [d + '/' + name for d in directories for name in table[d]]
        binaries = ['build/%s/%s' % (mode, p) for p in paths for mode in ('debug', 'asan')]
        return [(b, lambda b=b: run_criterion(b)) for b in binaries]

    def scripts(directory, alone=False):
        names = [name for name in modules.SCRIPT_TESTS[directory]
                 if (name in modules.ALONE_TESTS.get(directory, [])) == alone]
        names.sort(key=lambda name: name not in modules.LONG_TESTS.get(directory, []))
        paths = ['%s/%s.py' % (directory, name) for name in names]
        return [(p, lambda p=p: run_script(p, full)) for p in paths]

    fuzz_tools = [('tools/test_fuzz.py', lambda: run_program(
        [sys.executable, 'tools/test_fuzz.py'], 600, must_count=True))]
    stress = ['build/%s/tests/stress/%s' % (mode, name) for name in modules.STRESS_TESTS
              for mode in ('debug', 'tsan')]
    bench = ['build/release/benchmarks --check', 'build/release/bench/transit check',
             'tools/count_instructions.py', 'tools/test_rivals.py', 'tools/test_slices.py']
    return {
        'style': (WORKERS, style_jobs()),
        'unit': (WORKERS, criterion(modules.UNIT_TESTS, modules.UNIT_TESTS)),
        'vector': (WORKERS, criterion(modules.WIDE_TESTS, ['tests/vector'])),
        'model': (WORKERS, criterion(modules.WIDE_TESTS, ['tests/model'])),
        'scenario': (WORKERS, criterion(modules.WIDE_TESTS, ['tests/scenario'])),
        'bench': (WORKERS, [(b, lambda b=b: run_program(b.split(), 300, must_count=True))
                            for b in bench]),
        'stress': (1, [(b, lambda b=b: run_program([b], 300)) for b in stress]),
        'sim': (1 if full else WORKERS, scripts('tests/sim')),  # the full ones want all memory
        'live': (WORKERS, scripts('tests/live')),
        'alone': (1, scripts('tests/live', alone=True)),
        'fuzz': (WORKERS, [(name, lambda name=name: run_fuzz(name, FUZZ_SECONDS[full]))
                           for name in modules.FUZZ_TARGETS] + fuzz_tools),
    }


def show(failure):
    lines = failure.said.strip().split('\n')
    if len(lines) > SAID_LINES:
        cut = len(lines) - SAID_LINES
        lines = lines[:SAID_LINES // 2] + ['... %d lines ...' % cut] + lines[-SAID_LINES // 2:]
    print('FAILED %s\n    %s' % (failure.name, '\n    '.join(lines)), flush=True)


def run_group(name, workers, jobs):
    """Runs the jobs, prints failures as they come and the group's line at its end."""
    total, start, took = Result(), time.monotonic(), {}

    def timed(job):
        began = time.monotonic()
        result = job[1]()
        took[job[0]] = time.monotonic() - began
        return result
    with ThreadPoolExecutor(workers) as pool:
        for result in pool.map(timed, jobs):
            for failure in result.failures:
                show(failure)
            total.add(result)
    for reason in total.skipped:
        print('skipped ' + reason)
    minutes = (time.monotonic() - start) / 60
    print('%-8s %5d passed, %d failed, %d skipped, %.1f minutes'
          % (name, total.passed, total.failed, len(total.skipped), minutes), flush=True)
    slowest = sorted((-s, job) for job, s in took.items() if s >= SLOW_S)[:SLOWEST]
    if slowest:
        print('         ' + ', '.join('%s %.0f s' % (os.path.basename(job).removesuffix('.py'), -s)
                                      for s, job in slowest), flush=True)
    return total


def main():
    os.chdir(tree.TOP)
    sys.path.insert(0, tree.TOP)
    import modules
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--full', action='store_true')
    parser.add_argument('--only', default='', metavar='TEXT')
    parser.add_argument('groups', nargs='*', metavar='GROUP')
    args = parser.parse_args()
    table = group_jobs(modules, args.full)
    unknown = set(args.groups) - set(table)
    if unknown:
        parser.error('no group %s; there are: %s' % (', '.join(unknown), ' '.join(table)))
    total = Result()
    for name, (workers, jobs) in table.items():
        jobs = [job for job in jobs if args.only in job[0]]
        if jobs and (not args.groups or name in args.groups):
            total.add(run_group(name, workers, jobs))
    if total.passed + total.failed == 0:
        total.fail('run_tests', 'there was nothing to run')
        show(total.failures[0])
    skipped = ', %d skipped' % len(total.skipped) if total.skipped else ''
    print('%d passed, %d failed%s' % (total.passed, total.failed, skipped))
    sys.exit(1 if total.failed else 0)


if __name__ == '__main__':
    main()
