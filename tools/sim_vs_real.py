#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Real peers against simulated ones (`ninja sim-vs-real`): 50 processes on loopback with real
sockets, TLS and signatures, then the same Node-IDs in the simulator (sim/scenarios/real50.conf).
Both have one bootstrap address, publish the certificates of the peers and nothing else
(`demo --bare`), join one after another in the same order (`demo --in-turn`), and get as many Pings
to random places and look-ups of random names in as many seconds.  Prints how many hops they took,
whether chi-square tells both apart, and how many messages went over links.

Who has links to whom depends on who joined when: where joins overlap, two seeds of the simulator
differ, and chi-square, which takes every look-up for a draw of its own, would tell them apart.
Joins one after another leave the same links whatever the delays are, which is looked at
(`tables_apart`); where the links are the same, each look-up is an independent draw of who asks and
for what, and chi-square is fair.  Exit status 1: p_value < 0.05 (which one in twenty good runs
has), other links, or messages more than 5 % apart."""
import argparse
import collections
import json
import math
import os
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, '..', 'tests', 'live'))
from live import CHORDIAL, Demo, check  # noqa: E402

KIND_SIP_REGISTRATION = 1
SEEDS = range(1, 31)
INTERVAL_S = 3  # between two Pings of one peer, and between two of its look-ups
APART = 0.05
P_LEAST = 0.05


def gamma_q(a, x):
    """Regularized upper incomplete gamma function: series or continued fraction."""
    if x <= 0:
        return 1.0
    front = math.exp(-x + a * math.log(x) - math.lgamma(a))
    if x < a + 1:
        term = total = 1 / a
        n = a
        while abs(term) > abs(total) * 1e-12:
            n += 1
            term *= x / n
            total += term
        return 1 - total * front
    b, c = x + 1 - a, 1e300
    d = h = 1 / b
    for i in range(1, 1000):
        an = -i * (i - a)
        b += 2
        d = 1 / (an * d + b)
        c = b + an / c
        h *= d * c
        if abs(d * c - 1) < 1e-12:
            break
    return h * front


def chi_square(one, other):
    """Two-sample test of counts by class; classes of which too few are expected are merged."""
    n, m = sum(one), sum(other)
    size = max(len(one), len(other))
    rows = [(one[i] if i < len(one) else 0, other[i] if i < len(other) else 0)
            for i in range(size)]
    merged = [(0, 0)]
    for a, b in rows:
        merged[-1] = (merged[-1][0] + a, merged[-1][1] + b)
        if sum(merged[-1]) * min(n, m) / (n + m) >= 5:
            merged.append((0, 0))
    left = merged.pop()
    if merged and sum(left) > 0:
        merged[-1] = (merged[-1][0] + left[0], merged[-1][1] + left[1])
    statistic = 0.0
    for a, b in merged:
        for count, all_of_it in ((a, n), (b, m)):
            expected = (a + b) * all_of_it / (n + m)
            statistic += (count - expected) ** 2 / expected
    freedom = max(len(merged) - 1, 1)
    return statistic, freedom, gamma_q(freedom / 2, statistic / 2)


def pooled(runs):
    return [sum(run[i] for run in runs if i < len(run)) for i in range(max(map(len, runs)))]


def self_test():
    """Known values of the distribution, and a test that must refuse."""
    check(abs(gamma_q(0.5, 3.841 / 2) - 0.05) < 1e-4, 'chi-square of one degree')
    check(abs(gamma_q(5, 18.307 / 2) - 0.05) < 1e-4, 'chi-square of ten degrees')
    check(chi_square([100, 200, 100], [101, 199, 100])[2] > 0.9, 'equal samples refused')
    check(chi_square([100, 200, 100], [150, 150, 100])[2] < 0.001, 'other samples taken')


def simulate(peers, seed, ids, settings):
    words = [CHORDIAL, 'sim', 'real50', '--seed', str(seed), '--json', '--ids', ids]
    for pair in (f'nodes={peers}', *settings):
        words += ['--set', pair]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=600)
    check(done.stdout, f'{words}: {done.stderr[-500:]}')
    return json.loads(done.stdout)


def simulated(peers, ids, seconds, settle_s):
    """Of each seed: hops, all that was counted, Pings and look-ups, sizes of Routing Tables."""
    settings = ('records=0', f'idle_s={settle_s}', f'measure_s={seconds}',
                f'kbr_interval_s={INTERVAL_S}', f'lookup_interval_s={INTERVAL_S}')
    runs = [simulate(peers, seed, ids, settings) for seed in SEEDS]
    hops = [run['hops']['counts'] for run in runs]
    sent = [run['kbr']['sent'] + run['lookups']['sent'] for run in runs]
    counted = [collections.Counter(run['measured']['metrics']) for run in runs]
    return hops, counted, sent, [run['measured']['routing_tables'] for run in runs]


def counted_by(demo):
    """The counters of all peers together."""
    def numbers(i):
        return {key: value for key, value in demo.metrics(i).items()
                if isinstance(value, (int, float))}

    with ThreadPoolExecutor(8) as pool:
        return sum(map(collections.Counter, pool.map(numbers, range(len(demo.peers)))),
                   collections.Counter())


# Which of them say what the messages were.
KINDS = ('link_messages_out', 'requests_sent', 'requests_repeated', 'requests_failed',
         'answers_sent', 'errors_sent', 'dht_forwarded', 'updates_sent', 'replicas_sent',
         'certificates_published', 'stores_done', 'fetches_answered', 'link_dials', 'links_up',
         'attach_failed')


def measured(demo, operations, seconds):
    """So many of both kinds, evenly over the time: hops of each."""
    hops = collections.Counter()
    failed = []
    lock = threading.Lock()
    draw = random.Random(1)

    def one(peer, is_ping, number):
        name = f'nobody{number}@{demo.domain}'
        request = {'cmd': 'ping', 'name': name} if is_ping else {
            'cmd': 'fetch', 'name': name, 'kind': KIND_SIP_REGISTRATION}
        try:
            row = demo.ask(peer, timeout=30, **request)['rows'][0]
        except Exception as e:  # of whatever kind: it is told at the end
            row = {'error': repr(e)}
        with lock:
            if 'hops' in row and row.get('error') in (None, 'ok'):
                hops[row['hops']] += 1
            else:
                failed.append(row)

    begun = time.monotonic()
    with ThreadPoolExecutor(32) as pool:
        for number in range(operations):
            wait = begun + number * seconds / operations - time.monotonic()
            time.sleep(max(wait, 0))
            pool.submit(one, draw.randrange(len(demo.peers)), number % 2 == 0,
                        draw.randrange(10 ** 9))
    return [hops[i] for i in range(max(hops, default=0) + 1)], failed


def each_status(demo, key):
    """Of each peer's only shard."""
    return [demo.ctl(i, 'status')['shards'][0][key] for i in range(len(demo.peers))]


def compare(args):
    flags = ('--links', 'tls', '--bare', '--in-turn')
    with Demo(peers=args.peers, extra=flags, seconds=300) as demo:
        ready_s = time.monotonic()
        with tempfile.NamedTemporaryFile('w', suffix='.ids') as f:
            f.write(''.join(node + '\n' for node in each_status(demo, 'node_id')))
            f.flush()
            wanted, in_sim, sent, tables = simulated(args.peers, f.name, args.seconds, args.settle)
        time.sleep(max(ready_s + args.settle - time.monotonic(), 0))
        operations = round(statistics.mean(sent))
        table = each_status(demo, 'routing_table')
        before = counted_by(demo)
        got, failed = measured(demo, operations, args.seconds)
        counted = counted_by(demo)
    check(not failed, f'{len(failed)} failed: {failed[:3]}')
    statistic, freedom, p = chi_square(got, pooled(wanted))
    tables_apart = max(sum(a != b for a, b in zip(table, other)) for other in tables)

    def both(key):
        """Of a counter: in the real run, and in a simulated one with as many operations."""
        mean = sum(run[key] for run in in_sim) / sum(sent) * operations
        return counted[key] - before[key], round(mean)

    in_real, in_mean = both('link_messages_out')
    per_sim = sum(run['link_messages_out'] for run in in_sim) / sum(sent)
    per_real = in_real / operations
    apart = per_real / per_sim - 1
    result = {
        'peers': args.peers, 'seconds': args.seconds, 'operations': operations,
        'hops_real': got, 'hops_simulated': pooled(wanted), 'chi_square': round(statistic, 2),
        'degrees': freedom, 'p_value': round(p, 4),
        'seeds': len(wanted), 'tables_real': table, 'tables_apart': tables_apart,
        'messages_real': in_real,
        'messages_simulated': in_mean, 'by_kind': {key: both(key) for key in KINDS},
        'hops_of_seeds': wanted, 'apart_percent': round(100 * apart, 2)}
    print(json.dumps(result) if args.json else
          '\n'.join(f'{key:20} {value}' for key, value in result.items()))
    is_alike = tables_apart == 0 and p >= P_LEAST and abs(apart) <= APART
    return 0 if is_alike else 1


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--peers', type=int, default=50)
    parser.add_argument('--seconds', type=int, default=40, help='of load (40)')
    parser.add_argument('--settle', type=int, default=70,
                        help='seconds before it (70): after a change Updates come 4, 16, 52 and'
                        ' 160 s later, a quarter more or less, so that hardly any fall between 65'
                        ' and 120')
    parser.add_argument('--json', action='store_true')
    args = parser.parse_args()
    self_test()
    return compare(args)


if __name__ == '__main__':
    sys.exit(main())
