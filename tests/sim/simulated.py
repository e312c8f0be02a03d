# SPDX-License-Identifier: Apache-2.0
"""What the tests of the simulator share: one run of `chordial sim`, and counting what holds."""
import json
import os
import subprocess
import sys

CHORDIAL = os.environ.get('CHORDIAL', './build/release/chordial')
FULL = '--full' in sys.argv
_passed = _failed = 0


def check(condition, text):
    global _passed, _failed
    if condition:
        _passed += 1
    else:
        _failed += 1
        print('FAIL', text, flush=True)


def finish():
    print(f'{_passed} passed, {_failed} failed')
    sys.exit(1 if _failed else 0)


def settings(*pairs, **more):
    """Words of the command line: settings('nodes=8', records=10)."""
    return [word for pair in (*pairs, *(f'{k}={v}' for k, v in more.items()))
            for word in ('--set', pair)]


def simulate(scenario, seed, *words, binary=CHORDIAL, timeout=300):
    """The object that the run prints, or {} and a failed check; and what it said on stderr."""
    command = [binary, 'sim', scenario, '--seed', str(seed), '--json', *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=timeout)
    return json.loads(done.stdout) if done.stdout else {}, done


def run_of(scenario, seed, *words, **how):
    """The object alone; a run that prints none has failed, and is None."""
    run, done = simulate(scenario, seed, *words, **how)
    check(run, f'{" ".join(done.args)}: {done.stderr[-2000:]}')
    return run or None
