#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Disks and blackouts, churn out of a file, addresses that change, peers behind NATs."""
import os
import tempfile

from simulated import FULL, check, finish, run_of, settings, simulate


def run_world(scenario, sets, *words, seed=1):
    """A run that prints nothing ends the test: what follows needs it."""
    run = run_of(scenario, seed, *settings(**sets), *words, timeout=1500)
    return run or finish()


def whole(run, what):
    check(not run['broken'], f'{what}: invariants: {run["broken"]}')
    verified = run['survival']['verified']
    check(verified['ok'] == verified['sent'] > 0, f'{what}: newest values: {verified}')


# Nothing that was acknowledged is gone when everybody's power has failed.
for seed in range(1, 11 if FULL else 3):
    run = run_world('blackout', {} if FULL else {'nodes': 24, 'records': 80}, seed=seed)
    whole(run, f'blackout, seed {seed}')
    check(run['survival']['lost'] == 0, f'blackout: {run["survival"]["lost"]} records lost')
    check(run['survival']['blackout_s'] is not None, 'no ring after a blackout')
CHURN = {'nodes': 40, 'records': 40, 'run_s': 120, 'load.lookups_per_s': 4}
run = run_world('churn100', {**CHURN, 'disks': 1, 'disk_lost_percent': 50})
whole(run, 'churn with disks')
died = run['survival']['churn']['killed'] + run['survival']['churn']['vanished']
check(0 < run['survival']['disks_lost'] < died, f'{run["survival"]["disks_lost"]} of {died} disks')
_, wrong = simulate('baseline', 1, *settings(blackout_s=5))
check(wrong.returncode == 2 and 'blackout_s: only 0 goes with them' in wrong.stderr, wrong.stderr)

# Who comes and goes when stands in a file.
TRACE = '''# TIME PEER ACTION
1    3 leave
2.5  7 crash
3    8 vanish
4    3 leave    # it has left already
60   9 join     # it was not there before
61   7 join
90.5 3 join
'''
with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, 'trace')
    with open(path, 'w', encoding='utf-8') as file:
        file.write(TRACE)
    small = {'nodes': 12, 'records': 30, 'load.lookups_per_s': 2}
    run = run_world('baseline', small, '--trace', path)
    whole(run, 'trace')
    check(run['survival']['trace'] == {'join': 3, 'leave': 1, 'crash': 1, 'vanish': 1,
                                       'passed_over': 1}, run['survival']['trace'])
    check(run['ring']['nodes'] == 11, f'{run["ring"]["nodes"]} peers: 8 has not come back')
    again = run_world('baseline', small, '--trace', path)
    check(run['fingerprint'] == again['fingerprint'], 'the same trace gave another run')
    with open(path, 'a', encoding='utf-8') as file:
        file.write('91 4 jump\n')
    _, wrong = simulate('baseline', 1, *settings(**small), '--trace', path)
    check(wrong.returncode == 2 and f'{path}:9' in wrong.stderr, wrong.stderr)

# A process that is started anew at another address, every ten seconds one.
MOVES = {'nodes': 30, 'records': 50, 'run_s': 200, 'load.lookups_per_s': 4, 'move.interval_s': 10}
run = run_world('baseline', MOVES)
whole(run, 'moves')
check(run['places']['moves'] > 10, f'{run["places"]["moves"]} moves')
check(run['lookups']['ok'] * 100 >= run['lookups']['sent'] * 99, run['lookups'])

# Left alone at its new address it announces that one by itself.  Seeds 1 to 3 did not become a
# right ring before node/home was there.
for seed in range(1, 11 if FULL else 3):
    run = run_world('baseline', {**MOVES, 'run_s': 300, 'move.restart': 0}, seed=seed)
    whole(run, f'moves without a restart, seed {seed}')
    check(run['places']['moves'] > 15, f'{run["places"]["moves"]} moves')
    check(run['metrics'].get('address_changes', 0) * 10 >= run['places']['moves'] * 8,
          f'{run["metrics"].get("address_changes")} of {run["places"]["moves"]} moves noticed')
    check(run['lookups']['ok'] * 100 >= run['lookups']['sent'] * 97, run['lookups'])

# Peers behind NATs join where the operator has the port forwarded, and nowhere else.  Without them
# the others are a right ring.
NATS = {'nodes': 24, 'records': 20, 'nat_percent': 25, 'settle_s': 20}
for links in range(3) if FULL else (0, 2):
    for kind in range(1, 6 if FULL else 4):
        run = run_world('baseline', {**NATS, 'nat_kind': kind, 'links': links})
        places = run['places']
        print(f'   {places}', flush=True)
        check(places['behind_nat'] == 6, places)
        joined = places['behind_nat_joined']
        check(joined == (6 if kind == 1 else 0), places)
        refused = places['streams_refused'] + places['datagrams_refused']
        check((refused == 0) == (kind == 1), places)
        check(not run['broken'], run['broken'])
finish()
