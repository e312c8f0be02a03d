#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Eight peers with real TLS in virtual time (sim/scenarios/tls8.conf): all holds there too, and
though BoringSSL draws what it likes, a seed is a run, whoever compiled it."""
import os

from simulated import FULL, check, finish, run_of, settings, simulate

MODES = ('debug', 'asan')
SEEDS = range(1, 11 if FULL else 3)


def judge(run, what):
    check(run['crypto'] == 'real', f'{what}: crypto {run["crypto"]}')
    check(not run['broken'], f'{what}: invariants: {run["broken"]}')
    check(run['lookups']['ok'] * 1000 >= run['lookups']['sent'] * 995, f'{what}: {run["lookups"]}')
    check(run['calls']['completed'] > 60, f'{what}: {run["calls"]}')
    check(run['calls']['unreached'] == 0, f'{what}: {run["calls"]}')
    check(run['buffers_left'] == 0, f'{what}: buffers left')


prints = set()
for seed in SEEDS:
    run = run_of('tls8', seed)
    if run:
        judge(run, f'seed {seed}')
        prints.add(run['fingerprint'])
check(len(prints) == len(SEEDS), 'two seeds were one run')
for links in (1, 2):
    words = settings(links=links)
    run, again = run_of('tls8', 5, *words), run_of('tls8', 5, *words)
    if run and again:
        judge(run, f'links {links}')
        check(run['fingerprint'] == again['fingerprint'], f'links {links}: a seed was two runs')
wanted = run_of('tls8', SEEDS[0])
for mode in MODES:
    binary = f'./build/{mode}/chordial'
    run = run_of('tls8', SEEDS[0], binary=binary) if os.path.exists(binary) else None
    check(run and wanted and run['fingerprint'] == wanted['fingerprint'], f'{binary}: another run')

stub = run_of('tls8', SEEDS[0], *settings(crypto=0))
check(stub and wanted and stub['crypto'] == 'stub' and stub['fingerprint'] not in prints, 'stub')
for words, said in ((settings(hostile_percent=20), 'crypto: only 0 goes with them'),
                    (settings(nodes=1000), 'crypto: only 0 goes with them'),
                    (('--pcap', os.devnull), '--pcap')):
    _, wrong = simulate('tls8', 1, *words)
    check(wrong.returncode == 2 and said in wrong.stderr, wrong.stderr)
finish()
