#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A list of faults given back is the same run, and tools/shrink.py leaves of a failing one what is
needed and no more.  What fails is made up: the ring has one second to become right (quiet_s)."""
import os
import subprocess
import tempfile

from simulated import CHORDIAL, check, finish, settings, simulate

SETS = settings('nodes=10', 'records=10', 'run_s=150', 'mix_interval_s=12', 'quiet_s=1',
                'settle_s=60')


def lines_of(path):
    with open(path, encoding='utf-8') as f:
        return f.read().splitlines()


def first_failing(folder):
    """A seed whose ring is not right in time."""
    for seed in range(1, 30):
        path = os.path.join(folder, f'faults{seed}')
        run, _ = simulate('baseline', seed, *SETS, '--faults-out', path)
        if 'one_owner' in run.get('broken', {}):
            return seed, run, path
    return None, None, None


with tempfile.TemporaryDirectory() as temporary:
    failing, wanted, all_path = first_failing(temporary)
    check(failing is not None, 'every ring is right within a second of its last fault')
    if failing is not None:
        again, done = simulate('baseline', failing, *SETS, '--faults', all_path)
        check(again.get('fingerprint') == wanted['fingerprint'],
              f'seed {failing}: its own faults given back: another run')
        check(f'--faults {all_path}' in done.stderr and f'--seed {failing}' in done.stderr,
              f'no command that does it again: {done.stderr!r}')
        said = subprocess.run([CHORDIAL, 'sim', 'baseline', '--seed', str(failing), *SETS],
                              capture_output=True, text=True, check=False, timeout=300)
        check(said.returncode == 1 and 'one_owner (1): one owner of' in said.stdout,
              f'not said which invariant: {said.stdout[-300:]}')
        out = os.path.join(temporary, 'left')
        shrunk = subprocess.run(['tools/shrink.py', 'baseline', '--seed', str(failing), *SETS,
                                 '--out', out],
                                capture_output=True, text=True, check=False, timeout=600)
        print(shrunk.stdout)
        check(shrunk.returncode == 0, f'shrink: {shrunk.stderr[-500:]}')
        left, everything = lines_of(out), lines_of(all_path)
        check(1 <= len(left) < len(everything) and set(left) <= set(everything),
              f'{len(left)} of {len(everything)} faults left')
        check('one_owner' in simulate('baseline', failing, *SETS, '--faults', out)[0]['broken'],
              'what is left does not fail')
        for at in range(len(left)):
            with open(os.path.join(temporary, 'fewer'), 'w', encoding='utf-8') as f:
                f.writelines(line + '\n' for line in left[:at] + left[at + 1:])
            fewer, _ = simulate('baseline', failing, *SETS, '--faults',
                                os.path.join(temporary, 'fewer'))
            check('one_owner' not in fewer['broken'], f'fails without {left[at]!r} too')
        wrong = os.path.join(temporary, 'wrong')
        with open(wrong, 'w', encoding='utf-8') as f:
            f.write('12 nonsense\n')
        _, done = simulate('baseline', failing, *SETS, '--faults', wrong)
        check(done.returncode == 2 and 'wrong:1' in done.stderr, f'a wrong list: {done.stderr}')
finish()
