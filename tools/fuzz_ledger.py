# SPDX-License-Identifier: Apache-2.0
"""fuzz/LEDGER.md: one line for each run of a target under an engine, and what they add up to."""
import os
import re
from collections import defaultdict, namedtuple

import fuzz_targets

HEAD = '''# Fuzzing ledger

Written by tools/fuzz_campaign.py, one line for each target and engine of a campaign, nothing else.
Times are UTC. "commit" ends in + when the tree was not as committed (corpora apart). "exec/s" is
executions in a second of CPU time of all processes of the run: what one core does. Edges of the two
engines are counted differently and not to be compared. "crashes" are distinct faults, by their
place. Everything is built with ASan and UBSan at -O2.

| date | commit | target | engine | CPU s | executions | exec/s | edges | crashes |
|---|---|---|---|---:|---:|---:|---:|---:|
'''
Line = namedtuple('Line', 'date commit target engine cpu_s executions rate edges crashes')
ROW = re.compile(r'^\| (\d[^|]*) \| ([^|]+) \| ([^|]+) \| ([^|]+) \| ([\d.]+) \| (\d+) \| (\d+)'
                 r' \| (\d+) \| (\d+) \|$', re.M)


def read(path):
    if not os.path.exists(path):
        return []
    with open(path, encoding='utf-8') as f:
        return [Line(*row[:4], float(row[4]), *(int(n) for n in row[5:]))
                for row in ROW.findall(f.read())]


def append(path, lines):
    """Adds `lines`; begins the file when there is none."""
    text = '' if os.path.exists(path) else HEAD
    for line in lines:
        text += '| %s | %s | %s | %s | %.1f | %d | %d | %d | %d |\n' % line
    with open(path, 'a', encoding='utf-8') as f:
        f.write(text)


def missing(lines, names):
    """[(family, CPU seconds so far)] of the targets `names`."""
    spent = defaultdict(float)
    for line in lines:
        spent[line.target] += line.cpu_s
    return [(family, sum(spent[name] for name in listed))
            for family, listed in fuzz_targets.families(names).items()]


def show_missing(lines, names):
    """What is missing towards the goal, as text."""
    said = ['CPU time by family (goal: %.1f hours each)' % (fuzz_targets.GOAL_S / 3600)]
    for family, seconds in missing(lines, names):
        left = max(0, fuzz_targets.GOAL_S - seconds)
        said.append('  %-14s %7.2f h   %s' % (
            family, seconds / 3600, 'missing %.2f h' % (left / 3600) if left else 'done'))
    return '\n'.join(said)
