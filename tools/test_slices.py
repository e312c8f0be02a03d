#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The estimator of bench/rivals.py (bench/rival_slices.py, rival_turns.py): that it finds the true
ratio on a machine whose speed changes, that it cannot favour one side, and that a server is charged
for all it does, also when another has the load."""
import json
import math
import os
import random
import statistics
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import tree  # noqa: E402
sys.path[:0] = [tree.TOP, os.path.join(tree.TOP, 'bench')]
import rival_rows  # noqa: E402
import rival_slices  # noqa: E402
import rival_turns  # noqa: E402

TRUE = 1.45
PROGRAMS = os.path.join(tree.TOP, 'build/release/bench')


class Machine:
    """What a slice costs at a time, which each slice moves on by 0.1 s."""

    def __init__(self, speed):
        self.speed, self.now = speed, 0.0

    def slice(self, cost):
        self.now += 0.1
        return cost * self.speed(self.now)


def jumps(seed):
    """A machine that is up to twice as slow in one moment as in the next, of 0.05 to 3 s."""
    rng = random.Random(seed)
    ends, speeds, at = [], [], 0.0
    while at < 60:
        at += rng.uniform(0.05, 3)
        ends.append(at)
        speeds.append(rng.uniform(1, 2))
    return lambda now: speeds[next(i for i, end in enumerate(ends) if now < end)]


def measured(speed, order, costs):
    machine = Machine(speed)
    found = [[] for _ in costs]
    for which in order:
        found[which].append(machine.slice(costs[which]))
    return found


def estimate(over, under):
    return rival_slices.middle(rival_slices.turn_ratios(over, under))


class Estimator(unittest.TestCase):
    def test_order(self):
        self.assertEqual(rival_slices.order(2, 2), [0, 1, 1, 0, 0, 1, 1, 0])
        self.assertEqual(rival_slices.order(3, 1), [0, 1, 2, 2, 1, 0])

    def test_speed_that_jumps(self):
        """The true ratio, whoever comes first; and no side of it in the mean of many runs."""
        errors = []
        for seed in range(60):
            for costs in ((TRUE, 1.0), (1.0, TRUE)):
                a, b = measured(jumps(seed), rival_slices.order(2, 30), costs)
                errors.append(math.log(estimate(a, b) / (costs[0] / costs[1])))
        self.assertLess(max(abs(e) for e in errors), 0.02)
        self.assertLess(abs(statistics.mean(errors)), 0.001)

    def test_rounds_would_not_find_it(self):
        """What the slices are for: with 3 s of the one and then 3 s of the other, a ratio of five
        rounds is often wrong by more than a tenth."""
        wrong = 0
        for seed in range(60):
            a, b = measured(jumps(seed), ([0] * 30 + [1] * 30) * 5, (TRUE, 1.0))
            rounds = [statistics.mean(a[i:i + 30]) / statistics.mean(b[i:i + 30])
                      for i in range(0, 150, 30)]
            wrong += abs(math.log(statistics.median(rounds) / TRUE)) > 0.1
        self.assertGreater(wrong, 10)

    def test_steady_drift(self):
        """A machine that grows slower and slower: there and back cancels it, in any two of three
        members; always the same one first would not."""
        costs = (TRUE, 1.0, 2.0)
        a, b, c = measured(lambda now: 1 + now / 8, rival_slices.order(3, 6), costs)
        for x, y, ratio in ((a, b, TRUE), (b, c, 0.5), (a, c, TRUE / 2)):
            self.assertAlmostEqual(estimate(x, y), ratio, places=9)
        a, b = measured(lambda now: 1 + now / 8, [0, 1] * 12, (TRUE, 1.0))
        self.assertLess(estimate(a, b), 0.995 * TRUE)

    def test_no_side(self):
        """Places changed, the inverse: exactly, of odd and even numbers of turns, quartiles too."""
        rng = random.Random(7)
        for turns in (5, 6):
            a = [rng.lognormvariate(0, 0.3) for _ in range(2 * turns)]
            b = [rng.lognormvariate(0, 0.3) for _ in range(2 * turns)]
            there, back = rival_slices.turn_ratios(a, b), rival_slices.turn_ratios(b, a)
            self.assertAlmostEqual(rival_slices.middle(there) * rival_slices.middle(back), 1)
            low, high = rival_slices.quartiles(there)
            self.assertAlmostEqual(low * rival_slices.quartiles(back)[1], 1)
            self.assertLessEqual(low, high)

    def test_lone_stalls(self):
        """A slice that stood still is counted, and does not decide."""
        a, b = [TRUE] * 24, [1.0] * 24
        a[3] *= 50
        b[10] *= 50
        b[17] *= 50
        self.assertAlmostEqual(estimate(a, b), TRUE)

    def test_half_turns(self):
        for a, b in (([1, 2], [1]), ([1, 2, 3], [1, 2, 3])):
            with self.assertRaises(ValueError):
                rival_slices.turn_ratios(a, b)


class Server:
    """A server and its generator in one: `ns` of an operation while it is loaded, `late_ns` when
    somebody has the next slice, `idle_ns` in each slice of anybody."""

    all = []

    def __init__(self, ns, late_ns=0, idle_ns=0, done=1000, failed=0):
        self.ns, self.late_ns, self.idle_ns, self.owed = ns, late_ns, idle_ns, 0
        self.said, self.used = {'done': done, 'failed': failed}, 0
        self.stdin = self.stdout = self
        self.asked = None

    def write(self, words):
        self.asked = int(words)

    def flush(self):
        pass

    def readline(self):
        if self.asked is None:
            return '{"ready": true}\n'
        for server in Server.all:
            server.used += server.idle_ns + server.owed
            server.owed = 0
        self.used += self.ns * self.said['done']
        self.owed = self.late_ns * self.said['done']
        return json.dumps(self.said) + '\n'


def loaded(turns, **servers):
    Server.all = list(servers.values())
    members = [rival_turns.Member(name, s, lambda s=s: s.used) for name, s in servers.items()]
    return rival_turns.run(members, turns, 100, 500)


class Charges(unittest.TestCase):
    def test_costs(self):
        got = loaded(3, a=Server(300), b=Server(200))
        self.assertEqual(got, {'a': ([300.0] * 6, 6000, 0), 'b': ([200.0] * 6, 6000, 0)})
        line = rival_turns.lines(got)[0]
        self.assertEqual((line['work'], line['ns_per_op'], line['failed'], line['slices']),
                         ('a', 300.0, 0, {'ns_per_op': [300.0] * 6}))

    def test_late_work(self):
        """Half of the work done while the other has the load: the same ratio, both ways round."""
        for a, b in ((Server(150, 150), Server(200)), (Server(300), Server(100, 100))):
            got = loaded(8, a=a, b=b)
            self.assertAlmostEqual(estimate(got['a'][0], got['b'][0]), 1.5, delta=1e-9)
            self.assertAlmostEqual(sum(got['a'][0]) / sum(got['b'][0]), 1.5, delta=0.05)

    def test_idle_work(self):
        """Timers of a server that waits are charged to it, whichever it is."""
        got = loaded(4, a=Server(200, idle_ns=50000), b=Server(200))
        self.assertEqual((sum(got['a'][0]), set(got['b'][0])), (8 * 200 + 16 * 50, {200.0}))
        got = loaded(4, a=Server(200), b=Server(200, idle_ns=50000))
        self.assertEqual((sum(got['b'][0]), set(got['a'][0])), (8 * 200 + 15 * 50, {200.0}))

    def test_no_measurement(self):
        for wrong in (Server(100, done=0), Server(100, done=1000, failed=6)):
            with self.assertRaisesRegex(rival_turns.Wrong, 'a: [0-9]+ done and [0-9]+ failed'):
                loaded(1, a=wrong, b=Server(100))
        unlucky = Server(100, done=700)
        told = iter((0, 0, 1))  # while it grows, then in one slice of four
        say = unlucky.readline

        def readline():
            unlucky.said['failed'] = next(told, 0) if unlucky.asked else 0
            return say()
        unlucky.readline = readline
        self.assertEqual(loaded(2, a=unlucky, b=Server(100))['a'][1:], (4 * 700, 1))
        for wrong in (Server(100, done=0, failed=9), Server(100, done=1000, failed=6)):
            wrong.said['last_status'] = 500
            with self.assertRaisesRegex(rival_turns.Wrong, 'ms, the last with 500'):
                loaded(1, a=wrong, b=Server(100))
        mute = Server(100)
        mute.readline = lambda: ''
        with self.assertRaisesRegex(rival_turns.Wrong, 'a has ended'):
            loaded(1, a=mute, b=Server(100))


class Rows(unittest.TestCase):
    def sample(self, ours, floors):
        line = {'work': 'w', 'ns_per_op': 99.0, 'floor': 99.0, 'also': 99.0,
                'slices': {'ns_per_op': ours, 'floor': floors, 'also': floors}}
        return rival_rows.flatten('s', [line])

    def row(self, sense='cost', must=1.5):
        return rival_rows.row('w', 'a work', 's.w', ('sum', 's.w:floor', 's.w:also'), must, None,
                              sense)

    def test_turns(self):
        """Each turn has a ratio, of all rounds; what ran once counts once."""
        one = self.sample([2.0, 2.0, 6.0, 6.0], [1.0, 1.0, 1.0, 1.0])
        two = self.sample([4.0, 4.0], [1.0, 1.0])
        judged = rival_rows.judge(self.row(), rival_rows.join([one, two]), {})
        self.assertEqual((judged['samples'], judged['ok']), (3, False))
        self.assertAlmostEqual(judged['ratio'], 2.0)
        self.assertEqual(judged['spread'], [round(math.sqrt(0.5), 3), round(math.sqrt(1.5), 3)])
        judged = rival_rows.judge(self.row('speed', 0.5), rival_rows.join([one, {}, {}]), {})
        self.assertEqual(judged['samples'], 2)
        self.assertAlmostEqual(judged['ratio'], 1 / math.sqrt(3))

    def test_not_of_two_programs(self):
        both = {**self.sample([2.0, 2.0], [1.0, 1.0]), 't.w': 3.0, 't.w[]': [3.0, 3.0]}
        r = self.row()._replace(rival='t.w')
        self.assertEqual(rival_rows.turns_of(r, [both]), [])
        self.assertAlmostEqual(rival_rows.judge(r, [both], {})['ratio'], 33.0)


@unittest.skipUnless(os.path.exists(PROGRAMS + '/transit'), 'not built')
class Programs(unittest.TestCase):
    def test_same_rule(self):
        """A program that prints a ratio of its own comes to the same by bench/slices.c."""
        ran = subprocess.run([PROGRAMS + '/transit', '--json', '--repeats', '1', '--messages',
                              '40000', 'forward'], capture_output=True, text=True, timeout=120)
        self.assertEqual(ran.returncode, 0, ran.stderr)
        lines = [json.loads(line) for line in ran.stdout.splitlines()]
        self.assertEqual(len(lines), 3)
        for line in lines:
            s = line['slices']
            floor = [a + b for a, b in zip(s['floor_tcp_ns'], s['floor_tls_ns'])]
            self.assertAlmostEqual(estimate(s['ns_per_op'], floor), line['ratio'], places=2)
            self.assertAlmostEqual(statistics.median(s['ns_per_op']), line['ns_per_op'], delta=0.1)


if __name__ == '__main__':
    program = unittest.main(exit=False, verbosity=0)
    bad = len(program.result.failures) + len(program.result.errors)
    skipped = ['SKIP %s: %s' % (test, why) for test, why in program.result.skipped]
    print('\n'.join(skipped + ['%d passed, %d failed' % (
        program.result.testsRun - bad - len(skipped), bad)])
        + (', %d skipped' % len(skipped) if skipped else ''))
    sys.exit(1 if bad else 0)
