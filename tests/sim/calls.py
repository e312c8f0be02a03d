#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Simulated phones register at simulated nodes and call each other: small worlds here, the
scenarios as they stand in sim/scenarios with --full (`ninja live-check`)."""
import json
import os
import subprocess
import sys

CHORDIAL = os.environ.get('CHORDIAL', './build/release/chordial')
FULL = '--full' in sys.argv
passed = failed = 0


def check(condition, text):
    global passed, failed
    if condition:
        passed += 1
    else:
        failed += 1
        print('FAIL', text, flush=True)


def start(scenario, sets, *words):
    command = [CHORDIAL, 'sim', scenario, *words]
    for key, value in sets.items():
        command += ['--set', f'{key}={value}']
    done = subprocess.run(command, capture_output=True, text=True, timeout=1500, check=False)
    print(' '.join(command), flush=True)
    return done


def simulate(scenario, smaller, **sets):
    done = start(scenario, {**({} if FULL else smaller), **sets}, '--json')
    try:
        run = json.loads(done.stdout)
    except ValueError:
        check(False, done.stderr[-500:])
        return None
    print('  ', json.dumps(run['calls']), json.dumps(run['registrations']), flush=True)
    calls = run['calls']
    check(not run['broken'], f'invariants: {run["broken"]}')
    check(calls['placed'] == calls['answered'] + calls['failed'], 'calls that did not end once')
    check(calls['answered'] == calls['completed'] + calls['cut_off'], 'calls that did not end')
    check(calls['asked_when_quiet'] == calls['answered_when_quiet'], 'phones that do not answer')
    check(run['registrations']['missing_when_quiet'] == 0, 'phones that are not registered')
    check(calls['setup_ms']['p50'] > 0 and calls['post_dial_ms']['p99'] > 0, 'no delays')
    return run


def all_complete(run, least):
    if run:
        calls = run['calls']
        check(calls['placed'] >= least, f'{calls["placed"]} calls, not {least}')
        check(calls['completed'] == calls['placed'], f'calls that failed: {calls["failed_by"]}')
        check(run['registrations']['failed'] == 0, 'registrations that failed')


SMALL = {'nodes': 20, 'phones': 60, 'records': 30, 'calls_s': 120}
first = simulate('calls', SMALL)
all_complete(first, 100)
second = simulate('calls', SMALL)
check(first and second and first['fingerprint'] == second['fingerprint'],
      'the same seed gave another run')
check(first and second and first['calls'] == second['calls'], '... or other calls')
all_complete(simulate('calls', SMALL, shards=5), 100)
all_complete(simulate('calls', SMALL, phone_loss_ppm=50000, loss_ppm=5000), 100)

churned = simulate('callschurn', {'nodes': 40, 'phones': 120, 'records': 40, 'run_s': 600,
                                  'churn.lifetime_s': 500})
if churned:
    calls = churned['calls']
    share = 100 * (1 - calls['unreached'] / max(1, calls['placed']))
    print(f'   {share:.2f} % of calls between phones that were both there did not fail', flush=True)
    check(calls['unreached'] * 50 <= calls['placed'], f'unreached: {calls["unreached"]}')
    check(calls['completed'] * 100 >= calls['placed'] * 80, f'completed: {calls["completed"]}')
    check(churned['registrations']['moved'] > 0, 'no phone went to another node')

# Every node is restarted: whoever was registered there has to come again.
rolled = simulate('calls', {'nodes': 12, 'phones': 24, 'records': 12, 'calls_s': 20}, rolling=1)
check(rolled and rolled['calls']['unreached'] == 0, 'calls that failed without need')

wrong = start('calls', {'phone_homes': 9})
check(wrong.returncode == 2 and 'phone_homes: from 1 to 4' in wrong.stderr, wrong.stderr)
print(f'{passed} passed, {failed} failed')
sys.exit(1 if failed else 0)
