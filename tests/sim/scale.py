#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A ring without churn: every message arrives at its one owner, in few hops, upkeep costs little,
and a seed is a run whoever compiled it (Must hold of issue 5).
--full: 10,000 and 100,000 peers too."""
import math
import os

from simulated import CHORDIAL, FULL, check, finish, run_of, settings

MODES = ('debug', 'asan')  # gcc -Og, clang -O1; release is gcc -O3
LOAD = ('ready=1', 'records=0', 'measure_s=20', 'kbr_interval_s=10', 'lookup_interval_s=10')
LONG_S = 1800  # for the largest rings
NODE_KIB = 160  # where each node has tables of its own, at most
SMALL_NODE_KIB = 130  # with the few links of a small ring


def judge(run, nodes, most_kib=math.inf):
    name = f'{nodes} peers'
    if run is None:
        return
    hops = run['hops']['mean']
    measured = run['measured']
    speed = measured['simulated_s'] / max(measured['cpu_s'], 0.001)
    upkeep = run['maintenance_bytes_per_s_per_node']
    kib = run['rss_bytes'] / nodes / 1024
    print(f"{name}: hops {hops:.2f}, upkeep {upkeep} bytes/s, {kib:.1f} KiB a peer, "
          f"{speed:.1f} x real time", flush=True)
    for kind in ('kbr', 'lookups'):
        got = run.get(kind, {'sent': 0, 'ok': 0})
        check(got['sent'] == got['ok'], f'{name}: {kind}: {got}')
    check(run['lookups']['sent'] > 0, f'{name}: no look-ups')
    check(hops <= math.log2(nodes) / 2 + 0.5, f'{name}: {hops} hops')
    check(run['invariants']['broken'] == 0, f'{name}: {run["invariants"]}')
    check(kib <= most_kib, f'{name}: {kib:.1f} KiB a peer')
    check(run['buffers_left'] == 0, f'{name}: buffers left')


judge(run_of('baseline', 1, *settings('nodes=100', *LOAD)), 100)
thousand = run_of('baseline', 1, *settings('nodes=1000', 'idle_s=600', *LOAD), timeout=LONG_S)
judge(thousand, 1000)
if thousand is not None:
    check(0 < thousand['maintenance_bytes_per_s_per_node'] <= 200, 'upkeep of 1,000 peers')
judge(run_of('scale10k', 1, *settings('nodes=5000', 'idle_s=0', 'measure_s=5')), 5000,
      SMALL_NODE_KIB)

words = settings('nodes=20', 'records=20', 'measure_s=5', 'kbr_interval_s=1')
wanted = run_of('baseline', 7, *words)
again = run_of('baseline', 7, *words)
other = run_of('baseline', 8, *words)
check(wanted is not None and again is not None and again['fingerprint'] == wanted['fingerprint'],
      'the same seed twice: two runs')
check(wanted is not None and other is not None and other['fingerprint'] != wanted['fingerprint'],
      'two seeds: one run')
for mode in MODES:
    binary = f'./build/{mode}/chordial'
    run = run_of('baseline', 7, *words, binary=binary) if os.path.exists(binary) else None
    check(run is not None and wanted is not None and run['fingerprint'] == wanted['fingerprint'],
          f'{binary}: not the run that {CHORDIAL} makes of the same seed')
if FULL:
    judge(run_of('scale10k', 1, timeout=LONG_S), 10000, NODE_KIB)
    judge(run_of('scale100k', 1, timeout=LONG_S), 100000, NODE_KIB)
finish()
