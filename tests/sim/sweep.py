#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""tools/sim_sweep.py and `chordial sim --repeat`: their means are those of the runs, their
intervals Student's, the plot is there; and the statistics of tools/sim_vs_real.py have known
values."""
import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, 'tools')
import sim_sweep  # noqa: E402
import sim_vs_real  # noqa: E402
from simulated import check, finish, run_of, settings  # noqa: E402

SEEDS = range(3, 6)


def hops_of(seed, nodes):
    return run_of('baseline', seed, *settings('records=10', nodes=nodes))['hops']['mean']


mean, half = sim_sweep.interval([1.0, 2.0, 3.0])
check(abs(mean - 2) < 1e-9 and abs(half - 4.303 / 3 ** 0.5) < 1e-6, f'{mean} +- {half}')
check(sim_sweep.metric_of({'a': {'b': 3}, 'c': 4}, 'a.b/c') == 0.75, 'a quotient')
check(sim_sweep.metric_of({'a': None}, 'a') is None, 'nothing is no number')
sim_vs_real.self_test()
with tempfile.TemporaryDirectory() as temporary:
    svg = os.path.join(temporary, 'sweep.svg')
    words = ['tools/sim_sweep.py', 'baseline', '--vary', 'nodes=6,12', '--repeat', str(len(SEEDS)),
             '--seed', str(SEEDS[0]), '--set', 'records=10', '--metric', 'hops.mean']
    words += ['--svg', svg] if shutil.which('gnuplot') else []
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=300)
    check(done.returncode == 0, f'sweep: {done.stderr[-300:]}')
    for nodes in (6, 12):
        said = re.search(rf'^ *{nodes}  hops.mean (\S+) \+- (\S+)', done.stdout, re.M)
        mean, half = sim_sweep.interval([hops_of(seed, nodes) for seed in SEEDS])
        check(said and abs(float(said.group(1)) - mean) < 1e-4, f'{nodes}: {done.stdout}')
        check(said and abs(float(said.group(2)) - half) < 0.01 * half + 1e-4, f'{nodes}: {half}')
    if shutil.which('gnuplot'):
        with open(svg, encoding='utf-8') as f:
            check('<svg' in f.read(), 'no plot')

numbers = [float(run_of('baseline', seed, *settings('records=10', 'nodes=6'))['events'])
           for seed in SEEDS]
both = run_of('baseline', SEEDS[0], '--repeat', str(len(SEEDS)),
              *settings('records=10', 'nodes=6'))
mean, half = sim_sweep.interval(numbers)
got = both['events']
check(got['n'] == len(SEEDS) and abs(got['mean'] - mean) < 1e-3 * mean, f'{got}, not {mean}')
check(half > 0 and abs(got['plus_minus'] - half) < 1e-3 * half, f'{got}, not +- {half}')
check(both['crypto'] == 'stub' and both['failed_seeds'] == [], f'{both["failed_seeds"]}')
# No time is given to become a right ring: joined is broken.
both = run_of('baseline', 1, '--repeat', '2', *settings('nodes=12', 'records=0', 'settle_s=0'))
check(both['failed_seeds'] == [1, 2], f'{both["failed_seeds"]}')
finish()
