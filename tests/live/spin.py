#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""busy-poll-us on a real node: nobody spins who was not asked to; an adaptive shard spins while
work comes at short intervals and stops when it does not; a fixed one goes on.  By metrics, and by
the processor time that an idle process takes."""
import json
import os
import subprocess

from live import CHORDIAL, Folder, check, chordial, run, wait_for
from transports import One

WINDOW_US = 1000
NAMES = ('busy_polls', 'busy_polls_missed', 'busy_polls_skipped', 'busy_poll_us')


class Node(One):
    def counts(self):
        told = json.loads(chordial(self.folder, 'ctl', '-s', 's', 'metrics', '--json'))
        return {name: told[name] for name in NAMES}

    def poke(self, times=40):
        """So many turns with little to do, far apart: each is one idle period that was long."""
        for _ in range(times):
            chordial(self.folder, 'ctl', '-s', 's', 'status')

    def cpu_s(self):
        with open(f'/proc/{self.process.pid}/stat', encoding='ascii') as f:
            fields = f.read().rsplit(')', 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')

    def load(self):
        """Requests that come at a fifth of the window from each other, more or less."""
        return subprocess.Popen(
            [os.path.abspath(CHORDIAL), 'load', '--kind', 'options', '--sip',
             f'127.0.0.1:{self.ports["UDP"]}', '--rate', str(5 * 10**6 // WINDOW_US),
             '--arrivals', 'constant', '--seconds', '20', '--json'],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def grown(after, before):
    return {name: after[name] - before[name] for name in NAMES}


def under_load(node, name, least):
    """Until the metric has grown so far while requests come in."""
    before = node.counts()
    load = node.load()
    try:
        wait_for(f'{least} of {name}', 20,
                 lambda: grown(node.counts(), before)[name] >= least)
    finally:
        load.terminate()
        load.wait(30)
    return grown(node.counts(), before)


def test_off_by_default():
    with Folder() as folder, Node(folder) as node:
        load = node.load()
        node.poke(5)
        load.terminate()
        load.wait(30)
        check(not any(node.counts().values()), f'{node.counts()}')


def test_adaptive_spins_under_load_alone():
    with Folder() as folder, Node(folder, extra=f'busy-poll-us = {WINDOW_US}') as node:
        node.poke()
        quiet = node.counts()
        check(quiet['busy_poll_us'] == 0 and quiet['busy_polls_skipped'] >= 40, f'{quiet}')
        busy = under_load(node, 'busy_polls', 500)
        check(busy['busy_poll_us'] > 500, f'{busy}')
        node.poke()  # the history of short periods is over
        before = node.counts()
        node.poke()
        idle = grown(node.counts(), before)
        check(idle['busy_poll_us'] == 0, f'it spins while idle: {idle}')
        check(idle['busy_polls_skipped'] >= 40, f'{idle}')
        again = under_load(node, 'busy_polls', 500)
        print(f'  under load {busy}, idle {idle}, again {again}')


def test_fixed_goes_on():
    with Folder() as folder, Node(folder, extra=f'busy-poll-us = {WINDOW_US}\n'
                                                'busy-poll = fixed') as node:
        node.poke()
        before = node.counts()
        node.poke()
        idle = grown(node.counts(), before)
        check(idle['busy_polls_missed'] >= 20 and idle['busy_polls_skipped'] == 0, f'{idle}')
        check(idle['busy_poll_us'] >= 20 * WINDOW_US, f'{idle}')


def test_an_idle_node_costs_nothing_all_the_same():
    """With the adaptive window open a second of idleness takes next to no processor time."""
    with Folder() as folder, Node(folder, extra='busy-poll-us = 1000') as node:
        under_load(node, 'busy_polls', 500)
        node.poke(20)
        before = node.cpu_s()
        wait_for('2 s', 10, lambda first=[]: first.append(1) or len(first) > 20)
        spent = node.cpu_s() - before
        check(spent < 0.4, f'{spent} s of processor time in 2 s')


if __name__ == '__main__':
    run([test_off_by_default, test_adaptive_spins_under_load_alone, test_fixed_goes_on,
         test_an_idle_node_costs_nothing_all_the_same])
