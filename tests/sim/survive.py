#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What an overlay has to survive, scenario by scenario, with what must hold of each: small worlds
here, the scenarios as they stand in sim/scenarios with --full (`ninja live-check`)."""
import json
import math

from simulated import FULL, check, finish, run_of, settings


def survive(scenario, smaller):
    words = settings(**({} if FULL else smaller))
    print('chordial sim', scenario, '--seed 1', *words, flush=True)
    return run_of(scenario, 1, *words, timeout=3000)


def common(run, least_percent):
    lookups = run['lookups']
    share = 100 * lookups['ok'] / max(1, lookups['sent'])
    print('   lookups %d of %d = %.2f %%, lost %d, broken %s, %.0f s simulated in %.0f s' % (
        lookups['ok'], lookups['sent'], share, run['stores']['lost'], run['broken'],
        run['simulated_s'], run['wall_s']), flush=True)
    check(not run['broken'], f'invariants: {run["broken"]}')
    check(lookups['wrong'] == 0, 'forged or foreign values')
    check(share >= least_percent, f'{share:.2f} % of lookups, not {least_percent}')


def churn(name, least_percent, smaller):
    run = survive(name, smaller)
    if run:
        common(run, least_percent)
        survival = run['survival']
        print('   %s' % json.dumps(survival['churn']), flush=True)
        by_class = survival['bytes_by_class']
        print('   bytes/s of a node: %s' % json.dumps({k: round(v) for k, v in by_class.items()}),
              flush=True)
        check(all(by_class.get(name, 0) > 0 for name in ('attach', 'join', 'leave', 'update')),
              f'classes under churn: {by_class}')
        expected = survival['expected_lost']
        # Records of one owner go together: gaps between peers are exponential, so a record has
        # 2 records / nodes others beside it on average.
        lump = 1 + 2 * survival['verified']['sent'] / run['nodes']
        sigma = math.sqrt(max(expected, 1) * lump)
        print('   %d lost, %.2f expected, repair %s' % (
            survival['lost'], expected, json.dumps(survival['repair_window_s'])), flush=True)
        check(survival['lost'] <= expected + 3 * sigma,
              f'{survival["lost"]} records lost, expected {expected:.2f}, sigma {sigma:.2f}')


def massfail(smaller):
    run = survive('massfail30', smaller)
    if not run:
        return
    records = run['stores']['acked']
    lost = run['stores']['lost']
    common(run, 95)
    # Not a binomial: records of one owner go together (gaps between peers are exponential), and
    # so do those of the owners before and behind, which share two or one of the three holders.
    p, each = 0.3, records / run['nodes']
    variance = p**3 * records * (1 + 2 * each) + 2 * run['nodes'] * each**2 * (p**4 + p**5)
    sigma = math.sqrt(variance)
    check(abs(lost - p**3 * records) <= 3 * sigma, f'{lost} of {records} lost, sigma {sigma:.1f}')
    check(run['repair_s'] is not None and run['repair_s'] <= 60, f'ring after {run["repair_s"]}')
    check(run['lookups']['failed'] <= lost, 'something that survived cannot be read')


def whole(name, least_percent, smaller):
    run = survive(name, smaller)
    if run:
        common(run, least_percent)
        verified = run['survival']['verified']
        check(verified['ok'] == verified['sent'], f'newest values: {verified}')
        check(run['survival']['lost'] == 0, f'{run["survival"]["lost"]} records lost')


def upkeep_under_churn():
    """Without a load, what is sent under churn is maintenance: all of it has a class, replicas
    are stored anew and tables told of, which no quiet ring of that size does as much."""
    words = settings('run_s=300', 'load.lookups_per_s=0', 'load.stores_per_s=0', nodes=60,
                     records=100)
    run = run_of('churn1000', 1, *words)
    if not run:
        return
    total = run['maintenance_bytes_per_s_per_node']
    classes = run['maintenance_bytes_by_class']
    quiet = run_of('churn1000', 1, *settings('run_s=0', 'idle_s=300', nodes=60, records=100))
    still = quiet['maintenance_bytes_per_s_per_node']
    print(f'upkeep under churn: {total:.0f} bytes/s a node, {still:.0f} when quiet: '
          f'{json.dumps(classes)}', flush=True)
    frames = sum(n for name, n in classes.items() if not name.startswith('tls_'))
    check(abs(frames - total) < 1e-3 * total, f'classes make {frames}, not {total}')
    check(total > still > 0, f'{total} bytes/s a node under churn, {still} when quiet')
    check(classes.get('store', 0) > 0 and classes.get('update', 0) > 0, f'{classes}')
    check(run['survival']['bytes_by_class'] == classes, 'two accounts of one time')


SMALL = {'nodes': 60, 'records': 100}
churn('churn1000', 99.5, {**SMALL, 'run_s': 600, 'load.lookups_per_s': 5})
churn('churn100', 95, {**SMALL, 'run_s': 100, 'load.lookups_per_s': 5})
if FULL:
    churn('churn10000', 99.5, {})
    churn('churn500', 99, {})
upkeep_under_churn()
massfail({'nodes': 200, 'records': 400})
whole('partition', 0, {**SMALL, 'partition.s': 200})  # the halves cannot see each other
whole('hosts', 99, {'nodes': 96, 'records': 200, 'hosts.crash': 2})
whole('rolling', 99, {'nodes': 12, 'records': 60})
whole('lossy', 99, {'nodes': 32, 'records': 60, 'run_s': 120})
whole('hostile20', 95, {'nodes': 150, 'records': 150, 'run_s': 40})
if FULL:
    whole('hostile10', 95, {})
    whole('hostile5', 95, {})
finish()
