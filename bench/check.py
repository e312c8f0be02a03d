#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the benchmarks and judges them: prints what each work costs, and beside it the floor that it
is compared with in the same run.  Exits with 1 when a figure that must hold does not.

usage: bench/check.py [--json FILE] [--repetitions N] [--min-time SECONDS]

Absolute times of one machine differ by a quarter from hour to hour, and more beside other work; so
what must hold is a ratio of two medians over repetitions that were taken in random order."""
import argparse
import json
import os
import statistics
import subprocess
import sys
from collections import namedtuple

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PROGRAM = 'build/release/benchmarks'
FLOOR = 'memcpy/random_500'

# `must` is the largest ratio to the floor that is accepted; None: for information.
Work = namedtuple('Work', 'name text floor must')
WORKS = [
    Work('fwd/transit', 'decode a header with 4 Via entries, rewrite it', FLOOR, 1.0),
    Work('stored/fetch_ans', 'decode a FetchAns of 500 bytes', FLOOR, 2.5),
    Work('fwd/decode', 'decode a header with 4 Via entries', FLOOR, None),
    Work('content/message', 'header, contents, SecurityBlock of 1.1 kB', FLOOR, None),
    Work('content/ping', 'decode MessageContents of a Ping', FLOOR, None),
    Work('stored/data', 'decode one StoredData', FLOOR, None),
    Work('secblock/decode', 'decode a SecurityBlock, 1 certificate', FLOOR, None),
    Work('secblock/signature_input', 'gather what a signature is over', FLOOR, None),
    Work('frame/scan', 'find a frame of 500 bytes in a stream', FLOOR, None),
    Work('frame/window', 'note a sequence number for its ACK', FLOOR, None),
    Work('sr/send', 'window, timers and ACK of a datagram, sender', FLOOR, None),
    Work('sr/receive', 'filter and ACK of a datagram, receiver', FLOOR, None),
    Work('route/decide', 'next hop among 64 peers', FLOOR, None),
    Work('table/find', 'find a key of 16 bytes', FLOOR, None),
    Work('table/churn', 'remove and insert a key', FLOOR, None),
    Work('pool/cycle', 'release, acquire, find by handle', FLOOR, None),
    Work('msgbuf/cycle', 'a buffer, 500 bytes into it, back', FLOOR, None),
    Work('wheel/rearm', 'put a timer off', FLOOR, None),
    Work('wheel/expire', 'arm a timer, let it fire', FLOOR, None),
    Work('spsc/cycle', 'an item of 64 bytes into a ring and out', FLOOR, None),
    Work('rng/next', 'a random number', FLOOR, None),
    Work('bucket/take', 'ask a token bucket', FLOOR, None),
    Work('sip/index', 'index an INVITE of 833 bytes', FLOOR, None),
    Work('sip/check', 'index and judge it', FLOOR, None),
    Work('digest/md5', 'credentials of a REGISTER, MD5', FLOOR, None),
    Work('digest/sha256', 'the same, SHA-256', FLOOR, None),
]


def medians(report):
    """{work: median CPU time in ns} of Google Benchmark's JSON; says what failed by raising."""
    times = {}
    for run in report['benchmarks']:
        if run.get('error_occurred'):
            raise ValueError('%s: %s' % (run['run_name'], run['error_message']))
        if run['run_type'] == 'iteration':
            times.setdefault(run['run_name'], []).append(run['cpu_time'])
    return {name: statistics.median(values) for name, values in times.items()}


def judge(times, works):
    """[{work, text, ours, floor, ratio, must, ok}]; a work without a figure is not ok."""
    rows = []
    for work in works:
        ours, floor = times.get(work.name), times.get(work.floor)
        ratio = ours / floor if ours is not None and floor else None
        ok = ratio is not None and (work.must is None or ratio <= work.must)
        rows.append({'work': work.name, 'text': work.text, 'ours': ours, 'floor': floor,
                     'ratio': ratio, 'must': work.must, 'ok': ok})
    return rows


def table(rows):
    lines = ['%-26s %8s %8s %7s %7s      %s' % ('work', 'ours ns', 'floor ns', 'ratio', 'must', '')]
    for row in rows:
        numbers = [' -' if row[k] is None else '%.2f' % row[k]
                   for k in ('ours', 'floor', 'ratio', 'must')]
        verdict = 'NO' if not row['ok'] else 'ok' if row['must'] is not None else ''
        lines.append('%-26s %8s %8s %7s %7s  %-2s  %s'
                     % (row['work'], *numbers, verdict, row['text']))
    return '\n'.join(lines)


def measure(repetitions, min_time):
    command = [PROGRAM, '--benchmark_format=json', '--benchmark_min_time=%g' % min_time,
               '--benchmark_repetitions=%d' % repetitions,
               '--benchmark_enable_random_interleaving=true']
    ran = subprocess.run(command, cwd=TOP, stdout=subprocess.PIPE, text=True)
    if ran.returncode != 0:
        sys.exit('bench/check.py: %s: exit code %d' % (PROGRAM, ran.returncode))
    return json.loads(ran.stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--json', metavar='FILE', help='write the rows there too')
    parser.add_argument('--repetitions', type=int, default=9)
    parser.add_argument('--min-time', type=float, default=0.05, metavar='SECONDS',
                        help='of one repetition of one work')
    args = parser.parse_args()
    if args.repetitions < 5:
        parser.error('a median of fewer than 5 says little')
    report = measure(args.repetitions, args.min_time)
    try:
        rows = judge(medians(report), WORKS)
    except ValueError as error:
        sys.exit('bench/check.py: %s' % error)
    print(table(rows))
    print('floor: copy 500 bytes from a random slot of 64 MB; medians of %d; load %s'
          % (args.repetitions, report['context'].get('load_avg', ['unknown'])[0]))
    if args.json:
        with open(args.json, 'w', encoding='utf-8') as f:
            json.dump({'context': report['context'], 'rows': rows}, f, indent=1)
            f.write('\n')
    sys.exit(0 if all(row['ok'] for row in rows) else 1)


if __name__ == '__main__':
    main()
