#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Counts the instructions of each benchmark work with callgrind and compares with what was recorded
for this compiler and dispatch level.  Unlike times, counts are the same beside other work.

usage: tools/count_instructions.py [--record]

A work that needs more than TOLERANCE more than recorded fails, and so does one that needs as much
less: then --record, and the commit says why.  Without a record for this compiler, or without
valgrind, it is skipped and says so.  Ends with `N passed, N failed`."""
import argparse
import glob
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import tree  # noqa: E402

PROGRAM = 'build/release/benchmarks'
BASELINE = 'bench/baseline.json'
ITERATIONS = 3200  # 50 rounds of the 64 inputs
TOLERANCE = 0.03
DISPATCH = 'scalar'  # a level of SIMD code gets a key of its own
# What measures the machine, or the C library's copying, rather than us.
NOT_OURS = re.compile(r'memcpy/')
# BoringSSL chooses its hashes by the processor: all take those that every x86-64 can run.
CAPABILITIES = '0x0:0x0'
# The C library chooses its memcpy by the processor: all take the one that every x86-64 has.
TUNABLES = 'glibc.cpu.hwcaps=-AVX2,-AVX512F,-AVX512VL,-AVX512BW,-ERMS,-FSRM,-AVX'


def key(compiler='gcc'):
    """What a record is valid for, such as 'gcc 12.2.0 (Debian 12.2.0-14), x86_64, scalar'."""
    first = subprocess.run([compiler, '--version'], capture_output=True, text=True, check=True)
    match = re.match(r'\S+ (\(.*?\)) (\S+)', first.stdout)
    return '%s %s %s, %s, %s' % (compiler, match.group(2), match.group(1), os.uname().machine,
                                 DISPATCH)


def read_dump(text):
    """(work, instructions) of one dump of callgrind; None when it is not one that we asked for."""
    name = re.search(r'^desc: Trigger: Client Request: (\S+)$', text, re.M)
    total = re.search(r'^totals: (\d+)', text, re.M)
    return (name.group(1), int(total.group(1))) if name and total else None


def count(program):
    """{work: instructions per operation}."""
    with tempfile.TemporaryDirectory() as scratch:
        out = os.path.join(scratch, 'callgrind')
        ran = subprocess.run(['valgrind', '--tool=callgrind', '--collect-atstart=no',
                              '--callgrind-out-file=' + out, program, '--count', str(ITERATIONS)],
                             capture_output=True, text=True,
                             env={**os.environ, 'GLIBC_TUNABLES': TUNABLES,
                                  'OPENSSL_ia32cap': CAPABILITIES})
        if ran.returncode != 0:
            sys.exit('count_instructions.py: valgrind failed\n' + ran.stdout + ran.stderr)
        dumps = [read_dump(tree.read(scratch, os.path.basename(p))) for p in glob.glob(out + '*')]
    counts = {name: round(total / ITERATIONS, 1) for name, total in filter(None, dumps)}
    return {name: n for name, n in sorted(counts.items()) if not NOT_OURS.match(name)}


def compare(counts, recorded):
    """(right, [a sentence for each work that differs])."""
    wrong = []
    for name in sorted(set(counts) | set(recorded)):
        now, then = counts.get(name), recorded.get(name)
        if now is None or then is None:
            wrong.append('%s: %s' % (name, 'was recorded, but is not counted any more'
                                     if now is None else 'is not recorded: use --record'))
        elif abs(now - then) > TOLERANCE * then:
            wrong.append('%s: %.1f instructions, recorded are %.1f (%+.1f %%)'
                         % (name, now, then, 100 * (now - then) / then))
    return len(set(counts) | set(recorded)) - len(wrong), wrong


def record(path, this, counts):
    table = json.loads(tree.read(tree.TOP, path)) if os.path.exists(path) else {}
    table[this] = counts
    with open(path, 'w', encoding='utf-8') as f:
        json.dump(table, f, indent=1, sort_keys=True)
        f.write('\n')


def skip(why):
    print('SKIP count_instructions: ' + why)
    print('0 passed, 0 failed, 1 skipped')
    sys.exit(0)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--record', action='store_true', help='write the counts to ' + BASELINE)
    args = parser.parse_args()
    os.chdir(tree.TOP)
    if not shutil.which('valgrind'):
        skip('there is no valgrind: ./configure.py --deps')
    this = key()
    recorded = json.loads(tree.read(tree.TOP, BASELINE)).get(this) \
        if os.path.exists(BASELINE) else None
    if recorded is None and not args.record:
        skip('no counts are recorded for ' + this)
    counts = count(PROGRAM)
    if not counts:
        sys.exit('count_instructions.py: callgrind counted nothing: was %s built where'
                 ' valgrind/callgrind.h is?' % PROGRAM)
    if args.record:
        record(BASELINE, this, counts)
        recorded = counts
    right, wrong = compare(counts, recorded)
    for name, number in counts.items():
        print('%-28s %8.1f instructions' % (name, number))
    for sentence in wrong:
        print('FAILED ' + sentence)
    print('%d passed, %d failed' % (right, len(wrong)))
    sys.exit(1 if wrong else 0)


if __name__ == '__main__':
    main()
