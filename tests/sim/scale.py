#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A ring without churn: every message arrives at its one owner, in few hops, upkeep costs little,
and a seed is a run whoever compiled it (Must hold of issue 5).
--full: 10,000 and 100,000 peers too."""
import json
import math
import os
import subprocess
import sys

CHORDIAL = os.environ.get('CHORDIAL', './build/release/chordial')
MODES = ('debug', 'asan')  # gcc -Og, clang -O1; release is gcc -O3
FULL = '--full' in sys.argv
LOAD = ('ready=1', 'records=0', 'measure_s=20', 'kbr_interval_s=10', 'lookup_interval_s=10')
passed = failed = 0


def check(condition, text):
    global passed, failed
    if condition:
        passed += 1
    else:
        failed += 1
        print('FAIL', text, flush=True)


def simulate(binary, scenario, seed, *settings):
    words = [word for s in settings for word in ('--set', s)]
    done = subprocess.run([binary, 'sim', scenario, '--seed', str(seed), '--json', *words],
                          capture_output=True, text=True, timeout=1800)
    if not done.stdout:
        print(done.stderr[-2000:])
        return None
    return json.loads(done.stdout)


def judge(run, nodes):
    name = f'{nodes} peers'
    if run is None:
        check(False, f'{name}: no result')
        return
    hops = run['hops']['mean']
    measured = run['measured']
    speed = measured['simulated_s'] / max(measured['cpu_s'], 0.001)
    upkeep = run['maintenance_bytes_per_s_per_node']
    print(f"{name}: hops {hops:.2f}, upkeep {upkeep} bytes/s, "
          f"{run['rss_bytes'] / nodes / 1024:.0f} KiB a peer, "
          f"{speed:.1f} x real time", flush=True)
    for kind in ('kbr', 'lookups'):
        got = run.get(kind, {'sent': 0, 'ok': 0})
        check(got['sent'] == got['ok'], f'{name}: {kind}: {got}')
    check(run['lookups']['sent'] > 0, f'{name}: no look-ups')
    check(hops <= math.log2(nodes) / 2 + 0.5, f'{name}: {hops} hops')
    check(run['invariants']['broken'] == 0, f'{name}: {run["invariants"]}')
    check(run['buffers_left'] == 0, f'{name}: buffers left')


judge(simulate(CHORDIAL, 'baseline', 1, 'nodes=100', *LOAD), 100)
thousand = simulate(CHORDIAL, 'baseline', 1, 'nodes=1000', 'idle_s=600', *LOAD)
judge(thousand, 1000)
if thousand is not None:
    check(0 < thousand['maintenance_bytes_per_s_per_node'] <= 200, 'upkeep of 1,000 peers')

words = ('nodes=20', 'records=20', 'measure_s=5', 'kbr_interval_s=1')
wanted = simulate(CHORDIAL, 'baseline', 7, *words)
again = simulate(CHORDIAL, 'baseline', 7, *words)
other = simulate(CHORDIAL, 'baseline', 8, *words)
check(wanted is not None and again is not None and again['fingerprint'] == wanted['fingerprint'],
      'the same seed twice: two runs')
check(wanted is not None and other is not None and other['fingerprint'] != wanted['fingerprint'],
      'two seeds: one run')
for mode in MODES:
    binary = f'./build/{mode}/chordial'
    run = simulate(binary, 'baseline', 7, *words) if os.path.exists(binary) else None
    check(run is not None and wanted is not None and run['fingerprint'] == wanted['fingerprint'],
          f'{binary}: not the run that {CHORDIAL} makes of the same seed')
if FULL:
    judge(simulate(CHORDIAL, 'scale10k', 1), 10000)
    judge(simulate(CHORDIAL, 'scale100k', 1), 100000)
print(f'{passed} passed, {failed} failed')
sys.exit(1 if failed else 0)
