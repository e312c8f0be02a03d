#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""One scenario over values of a key and over seeds: means with confidence intervals, and a plot.

    tools/sim_sweep.py churn1000 --vary churn.lifetime_s=100,500,1000 --repeat 10 \\
        --metric lookups.ok/lookups.sent --metric hops.mean --svg churn.svg

A metric is a path into the report of `chordial sim --json`, or one such path divided by another.
Prints one line for each value: mean and half width of the 95 % interval (Student's t) of each
metric over the seeds.  --svg needs gnuplot.  Without --vary: the scenario as it is."""
import argparse
import json
import math
import os
import statistics
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

CHORDIAL = os.environ.get('CHORDIAL', './build/release/chordial')
# 97.5 % quantiles of Student's t by degrees of freedom; beyond the last the normal one is near.
T = [12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160,
     2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056,
     2.052, 2.048, 2.045, 2.042]
NORMAL = 1.960


def lookup(report, path):
    for key in path.split('.'):
        report = report.get(key) if isinstance(report, dict) else None
    return report


def metric_of(report, metric):
    """None where the report has nothing there."""
    parts = [lookup(report, path) for path in metric.split('/')]
    if any(not isinstance(p, (int, float)) for p in parts) or (len(parts) == 2 and parts[1] == 0):
        return None
    return parts[0] / parts[1] if len(parts) == 2 else float(parts[0])


def interval(numbers):
    """Mean, and half the width of its 95 % confidence interval (0 of one number: unknown)."""
    n = len(numbers)
    if n < 2:
        return (numbers[0] if n else math.nan), 0.0
    t = T[n - 2] if n - 2 < len(T) else NORMAL
    return statistics.mean(numbers), t * statistics.stdev(numbers) / math.sqrt(n)


def simulate(args, settings, seed):
    words = [CHORDIAL, 'sim', args.scenario, '--seed', str(seed), '--json']
    words += [word for pair in settings for word in ('--set', pair)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if not done.stdout:
        sys.exit(f'sim_sweep: {" ".join(words)}: {done.stderr.strip()}')
    if done.returncode != 0:
        print(done.stderr.strip(), file=sys.stderr)  # which invariant run it was, as a command
    return json.loads(done.stdout)


def sweep(args):
    """[(value, {metric: (mean, half width)}, runs in which an invariant broke)]"""
    key, _, values = (args.vary or 'none=').partition('=')
    rows = []
    for value in values.split(','):
        settings = args.set + ([f'{key}={value}'] if args.vary else [])
        with ThreadPoolExecutor(args.jobs) as pool:
            seeds = range(args.seed, args.seed + args.repeat)
            reports = list(pool.map(lambda seed: simulate(args, settings, seed), seeds))
        found = {}
        for metric in args.metric:
            numbers = [metric_of(r, metric) for r in reports]
            found[metric] = interval([n for n in numbers if n is not None])
        rows.append((value, found, sum(r['invariants']['broken'] > 0 for r in reports)))
        print('  '.join([f'{value or args.scenario:>10}'] + [
            f'{metric} {mean:.6g} +- {half:.3g}' for metric, (mean, half) in found.items()] +
            [f'{rows[-1][2]} of {args.repeat} broke an invariant']), flush=True)
    return key, rows


def plot(args, key, rows):
    """gnuplot: one curve for each metric, with error bars."""
    data = '\n'.join(' '.join([value] + [f'{number:.9g}' for metric in args.metric
                                         for number in found[metric]])
                     for value, found, _ in rows)
    curves = ', '.join(f"$data using 1:{2 + 2 * i}:{3 + 2 * i} with yerrorlines lw 2"
                       f" title '{metric}'" for i, metric in enumerate(args.metric))
    script = (f"set terminal svg size 800,500 font 'sans,12'\nset output '{args.svg}'\n"
              f"set title '{args.scenario}, {args.repeat} seeds, 95 % intervals' noenhanced\n"
              f"set xlabel '{key}' noenhanced\nset key noenhanced bottom\nset grid\n"
              + ('set logscale x\n' if args.log else '') +
              f'$data << EOD\n{data}\nEOD\nplot {curves}\n')
    subprocess.run(['gnuplot'], input=script, text=True, check=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('scenario')
    parser.add_argument('--vary', metavar='KEY=V1,V2,...')
    parser.add_argument('--set', action='append', default=[], metavar='KEY=VALUE')
    parser.add_argument('--metric', action='append', metavar='PATH[/PATH]')
    parser.add_argument('--seed', type=int, default=1, help='the first one (1)')
    parser.add_argument('--repeat', type=int, default=5, help='so many seeds (5)')
    parser.add_argument('--jobs', type=int, default=1, help='runs at the same time (1)')
    parser.add_argument('--log', action='store_true', help='logarithmic x axis')
    parser.add_argument('--svg', metavar='FILE')
    args = parser.parse_args()
    args.metric = args.metric or ['lookups.ok/lookups.sent', 'hops.mean']
    key, rows = sweep(args)
    if args.svg:
        plot(args, key, rows)
    return 1 if any(broken for _, _, broken in rows) else 0


if __name__ == '__main__':
    sys.exit(main())
