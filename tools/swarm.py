#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs one scenario with seed after seed and counts what did not hold.

    tools/swarm.py                      150 seeds of sim/scenarios/swarm.conf
    tools/swarm.py --seeds 20000        a night
    tools/swarm.py --limit 180          stop beginning new ones after so many seconds
    tools/swarm.py --set run_s=600      keys of the scenario, as for chordial sim
    tools/swarm.py --ledger             add a line to sim/LEDGER.md

Prints for each seed that failed the one command that does the same again.  Exit status 1: there was
one.  The last line is `N passed, M failed`."""
import argparse
import concurrent.futures
import datetime
import json
import os
import subprocess
import sys
import time

CHORDIAL = os.environ.get('CHORDIAL', './build/release/chordial')
LEDGER = 'sim/LEDGER.md'
HOURS_OF_A_YEAR = 24 * 365
TIMEOUT_S = 1800


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split('\n', maxsplit=1)[0])
    parser.add_argument('--scenario', default='swarm')
    parser.add_argument('--seeds', type=int, default=150)
    parser.add_argument('--first', type=int, default=1)
    parser.add_argument('--limit', type=float, default=0, help='seconds; 0: none')
    parser.add_argument('--jobs', type=int, default=os.cpu_count() or 1)
    parser.add_argument('--set', action='append', default=[], metavar='KEY=VALUE')
    parser.add_argument('--ledger', action='store_true')
    return parser.parse_args()


def command(args, seed):
    words = [CHORDIAL, 'sim', args.scenario, '--seed', str(seed)]
    for pair in args.set:
        words += ['--set', pair]
    return words


def simulate(args, seed):
    """(seed, its report or None, what it said)"""
    try:
        done = subprocess.run(command(args, seed) + ['--json'], capture_output=True, text=True,
                              timeout=TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        return seed, None, 'no end after %d s' % TIMEOUT_S
    try:
        return seed, json.loads(done.stdout), ''
    except ValueError:
        return seed, None, (done.stderr or 'exit status %d' % done.returncode)[-500:]


class Sum:
    """What all runs have come to."""

    def __init__(self):
        self.runs = self.failed = self.faults = self.lookups = self.reached = 0
        self.lost = self.stored = 0
        self.node_hours = 0.0

    def add(self, args, seed, report, said):
        self.runs += 1
        broken = report['broken'] if report else {}
        if report:
            survival = report['survival']
            self.faults += survival['faults']['total']
            self.node_hours += survival['node_hours']
            self.lost += survival['lost']
            self.stored += survival['verified']['sent']
            self.lookups += report['lookups']['sent']
            self.reached += report['lookups']['ok']
        if report is None or broken:
            self.failed += 1
            what = said or ', '.join('%s (%d)' % pair for pair in sorted(broken.items()))
            print('FAIL seed %d: %s\n     %s' % (seed, what, ' '.join(command(args, seed))),
                  flush=True)

    def text(self):
        return ('%d seeds, %.2f node-years, %d faults, %d of %d lookups reached, %d of %d records '
                'lost' % (self.runs, self.node_hours / HOURS_OF_A_YEAR, self.faults, self.reached,
                          self.lookups, self.lost, self.stored))


def write_ledger(args, total):
    commit = subprocess.run(['git', 'rev-parse', '--short', 'HEAD'], capture_output=True,
                            text=True, check=False).stdout.strip()
    line = '| %s | %s | %s | %d-%d | %.2f | %d | %d |\n' % (
        datetime.date.today().isoformat(), commit, ' '.join([args.scenario] + args.set),
        args.first, args.first + total.runs - 1, total.node_hours / HOURS_OF_A_YEAR,
        total.faults, total.failed)
    with open(LEDGER, encoding='utf-8') as file:
        lines = file.readlines()
    bugs = next(i for i, text in enumerate(lines) if text.startswith('## Bugs'))
    last = max(i for i, text in enumerate(lines[:bugs]) if text.startswith('|'))
    lines.insert(last + 1, line)
    with open(LEDGER, 'w', encoding='utf-8') as file:
        file.writelines(lines)


def run(args):
    total = Sum()
    begun = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        waiting = {}
        seeds = iter(range(args.first, args.first + args.seeds))
        while True:
            late = args.limit and time.monotonic() - begun > args.limit
            while not late and len(waiting) < args.jobs:
                seed = next(seeds, None)
                if seed is None:
                    break
                waiting[pool.submit(simulate, args, seed)] = seed
            if not waiting:
                break
            done, _ = concurrent.futures.wait(waiting,
                                              return_when=concurrent.futures.FIRST_COMPLETED)
            for future in done:
                del waiting[future]
                total.add(args, *future.result())
    print('%s, in %.0f s' % (total.text(), time.monotonic() - begun))
    if args.ledger:
        write_ledger(args, total)
    print('%d passed, %d failed' % (total.runs - total.failed, total.failed))
    return 1 if total.failed or total.runs == 0 else 0


if __name__ == '__main__':
    sys.exit(run(arguments()))
