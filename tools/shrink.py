#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the faults of a failing simulator run fewer, until each that is left is needed.

    tools/shrink.py swarm --seed 11 --set nodes=12

Runs the scenario, writes down what faults of the mix (mix.interval_s) there were, and tries ever
smaller lists of them (delta debugging, Zeller's ddmin) as long as one invariant breaks that broke
in the first run.  Prints what is left and the one command that shows it.  Exit status 1: the run
does not fail."""
import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile

CHORDIAL = os.environ.get('CHORDIAL', './build/release/chordial')


class Run:
    """One scenario out of one seed, with lists of faults."""

    def __init__(self, args):
        self.words = [args.scenario, '--seed', str(args.seed)]
        self.words += [word for pair in args.set for word in ('--set', pair)]
        self.folder = tempfile.TemporaryDirectory()
        self.count = 0
        self.seen = {}

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def broken(self, *more):
        """The names of the invariants that did not hold; None when it ended in another way."""
        done = subprocess.run([CHORDIAL, 'sim', *self.words, '--json', *more],
                              capture_output=True, text=True, check=False)
        self.count += 1
        try:
            return frozenset(json.loads(done.stdout)['broken'])
        except ValueError:
            return frozenset(['crash']) if done.returncode < 0 else None

    def first(self):
        """What broke, and the faults that there were."""
        path = self.path('all')
        broken = self.broken('--faults-out', path)
        if not os.path.exists(path):
            sys.exit(f'shrink: {CHORDIAL} has written no faults')
        with open(path, encoding='utf-8') as f:
            return broken, f.read().splitlines()

    def with_faults(self, lines):
        key = tuple(lines)
        if key not in self.seen:
            path = self.path('some')
            write(path, lines)
            self.seen[key] = self.broken('--faults', path)
        return self.seen[key]


def write(path, lines):
    with open(path, 'w', encoding='utf-8') as f:
        f.writelines(line + '\n' for line in lines)


def shrink(lines, fails):
    """The smallest list that ddmin finds: without any one of it nothing fails."""
    parts = 2
    while len(lines) >= 1:
        step = max(1, -(-len(lines) // parts))
        pieces = [lines[at:at + step] for at in range(0, len(lines), step)]
        rests = [sum(pieces[:at] + pieces[at + 1:], []) for at in range(len(pieces))]
        smaller = next((c for c in (pieces if parts > 2 or len(pieces) > 1 else []) + rests
                        if len(c) < len(lines) and fails(c)), None)
        if smaller is not None:
            parts = 2 if smaller in pieces else max(2, parts - 1)
            lines = smaller
        elif step == 1:
            break
        else:
            parts = min(len(lines), parts * 2)
    return lines


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('scenario')
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--set', action='append', default=[], metavar='KEY=VALUE')
    parser.add_argument('--out', metavar='FILE', default='faults.txt',
                        help='what is left of the faults (faults.txt)')
    args = parser.parse_args()
    run = Run(args)
    broken, lines = run.first()
    if not broken:
        print(f'all invariants held, {len(lines)} faults')
        return 1
    print(f'broken: {", ".join(sorted(broken))}; {len(lines)} faults', flush=True)

    def fails(some):
        again = run.with_faults(some)
        is_same = bool(again and again & broken)
        print(f'  {len(some):5} faults: {", ".join(sorted(again or ["-"]))}', flush=True)
        return is_same

    left = [] if fails([]) else shrink(lines, fails)
    write(args.out, left)
    print(f'{len(left)} of {len(lines)} faults left after {run.count} runs:')
    for line in left:
        at_us, *_, what = line.split()
        print(f'  {int(at_us) / 1e6:10.1f} s  {what}')
    words = [CHORDIAL, 'sim', *run.words, '--faults', args.out]
    print(f'again: {shlex.join(words)}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
