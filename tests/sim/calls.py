#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Simulated phones register at simulated nodes and call each other: small worlds here, the
scenarios as they stand in sim/scenarios with --full (`ninja live-check`)."""
import json

from simulated import FULL, check, finish, run_of, settings, simulate


def run_phones(scenario, smaller, **sets):
    run = run_of(scenario, 1, *settings(**{**({} if FULL else smaller), **sets}), timeout=1500)
    if run is None:
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
first = run_phones('calls', SMALL)
all_complete(first, 100)
second = run_phones('calls', SMALL)
check(first and second and first['fingerprint'] == second['fingerprint'],
      'the same seed gave another run')
check(first and second and first['calls'] == second['calls'], '... or other calls')
all_complete(run_phones('calls', SMALL, shards=5), 100)
all_complete(run_phones('calls', SMALL, phone_loss_ppm=50000, loss_ppm=5000), 100)

churned = run_phones('callschurn', {'nodes': 40, 'phones': 120, 'records': 40, 'run_s': 600,
                                  'churn.lifetime_s': 500})
if churned:
    calls = churned['calls']
    share = 100 * (1 - calls['unreached'] / max(1, calls['placed']))
    print(f'   {share:.2f} % of calls between phones that were both there did not fail', flush=True)
    check(calls['unreached'] * 50 <= calls['placed'], f'unreached: {calls["unreached"]}')
    # 480, but where all three holders of a phone's certificates have died (seed 1: once)
    check(calls['failed_by'].get('404', 0) * 400 <= calls['placed'],
          f'phones that nobody knows: {calls["failed_by"]}')
    check(calls['completed'] * 100 >= calls['placed'] * 80, f'completed: {calls["completed"]}')
    check(churned['registrations']['moved'] > 0, 'no phone went to another node')

# Every node is restarted: whoever was registered there has to come again.
rolled = run_phones('calls', {'nodes': 12, 'phones': 24, 'records': 12, 'calls_s': 20}, rolling=1)
check(rolled and rolled['calls']['unreached'] == 0, 'calls that failed without need')

_, wrong = simulate('calls', 1, *settings(phone_homes=9))
check(wrong.returncode == 2 and 'phone_homes: from 1 to 4' in wrong.stderr, wrong.stderr)
finish()
