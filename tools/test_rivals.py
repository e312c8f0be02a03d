#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The parts of bench/rivals.py that do not measure: arithmetic, verdicts, the report, what it says
when a rival is missing, and that it leaves nothing behind.  Also each floor for a moment: they
check their own results."""
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import tree  # noqa: E402
sys.path[:0] = [tree.TOP, os.path.join(tree.TOP, 'bench')]
import check_style  # noqa: E402
import debian  # noqa: E402
import rival_report  # noqa: E402
import rival_rows  # noqa: E402
import rival_run  # noqa: E402
import rivals  # noqa: E402

Source = rival_rows.Source
PROGRAMS = os.path.join(tree.TOP, 'build/release/bench')


def row(sense='cost', must=1.5, stretch=1.2, ours='a.x', rival='b.x'):
    return rival_rows.row('work', 'a work', ours, rival, must, stretch, sense)


def samples(*pairs):
    return [{'a.x': a, 'b.x': b} for a, b in pairs]


class Arithmetic(unittest.TestCase):
    def test_expression(self):
        sample = {'a.x': 10.0, 'b.x': 4.0}
        for expression, value in ((7, 7), ('a.x', 10.0), ('a.y', None),
                                  (('sum', 'a.x', 'b.x', 1), 15.0), (('min', 'a.x', 'b.x'), 4.0),
                                  (('min', 'a.x', 'c.x'), 10.0), (('min', 'c.x', 'd.x'), None),
                                  (('max', 2, 'b.x'), 4.0), (('times', 2, 'b.x'), 8.0),
                                  (('rate', 'a.x'), 1e8), (('sum', 'a.x', 'c.x'), None)):
            self.assertEqual(rival_rows.evaluate(expression, sample), value)
        self.assertEqual(rival_rows.names(('sum', 'a.x', ('times', 2, 'b.x'), 5)), {'a.x', 'b.x'})

    def test_flatten(self):
        lines = [{'work': 'w', 'ns_per_op': 3.5, 'ops': 7, 'ok': True, 'note': 'none'}]
        self.assertEqual(rival_rows.flatten('s', lines), {'s.w': 3.5, 's.w:ops': 7})
        sized = rival_rows.flatten('s', [{'work': 'w', 'ns_per_op': 1.0, 'records': 10},
                                         {'work': 'w', 'ns_per_op': 2.0, 'records': 100}])
        self.assertEqual((sized['s.w'], sized['s.w@records@10'], sized['s.w@records@100']),
                         (2.0, 1.0, 2.0))

    def test_join(self):
        """What ran in the first round only counts in each; what lacks a round does not."""
        joined = rival_rows.join([{'once.x': 1, 'each.x': 2, 'some.x': 5},
                                  {'each.x': 3, 'some.x': 6}, {'each.x': 4}])
        self.assertEqual([s['once.x'] for s in joined], [1, 1, 1])
        self.assertEqual([s['each.x'] for s in joined], [2, 3, 4])
        self.assertEqual([s.get('some.x') for s in joined], [5, 6, None])

    def test_ratio_is_of_each_round(self):
        """A slow minute slows both: the medians apart would say 1.0."""
        judged = rival_rows.judge(row(), samples((2, 1), (20, 10), (10, 5), (3, 1), (200, 100)), {})
        self.assertEqual((judged['ratio'], judged['ours'], judged['rival']), (2.0, 10, 5))
        self.assertEqual(judged['spread'], [1.0, 1.5])
        self.assertEqual(judged['samples'], 5)

    def test_verdict(self):
        for sense, must, pair, ok in (('cost', 1.5, (3, 2), True), ('cost', 1.4, (3, 2), False),
                                      ('speed', 0.5, (4, 2), True), ('speed', 0.6, (4, 2), False),
                                      ('least', 1.9, (4, 2), True), ('least', 2.1, (4, 2), False),
                                      ('near', 0.1, (105, 100), True),
                                      ('near', 0.1, (88, 100), False),
                                      ('cost', None, (9, 1), True), ('cost', 0, (0, 1), True),
                                      ('cost', 0, (1, 1), False)):
            judged = rival_rows.judge(row(sense, must), samples(pair), {})
            self.assertEqual(judged['ok'], ok, (sense, must, pair))

    def test_not_measured(self):
        """Never ok, never a number, and it says why."""
        for sample, errors, said in (({'a.x': 1.0}, {'b': 'b is not there'}, 'b is not there'),
                                     ({'b.x': 1.0}, {}, 'no program prints a.x'),
                                     ({}, {'a': 'one', 'b': 'two'}, 'one; two')):
            for must in (1.5, None):
                judged = rival_rows.judge(row(must=must), [sample], errors)
                self.assertEqual((judged['ok'], judged['ratio']), (False, None))
                self.assertEqual(judged['why'], 'not measured: ' + said)

    def test_failed_after_figures(self):
        """A program that finds fault with its own results: the figures are shown, never ok."""
        judged = rival_rows.judge(row(), samples((1, 2)), {'a': 'exit code 1: wrong answer'})
        self.assertEqual((judged['ratio'], judged['ok']), (0.5, False))
        self.assertEqual(judged['why'], 'exit code 1: wrong answer')
        judged = rival_rows.judge(row(rival=('min', 'b.x', 'c.x')), samples((1, 2)),
                                  {'c': 'no io_uring here'})
        self.assertEqual((judged['ratio'], judged['ok']), (0.5, True))
        self.assertEqual(rivals.salvage('a', '{"work": "x", "ns_per_op": 2}\nbad\n'), {'a.x': 2})
        self.assertEqual(rivals.salvage('a', 'nothing'), {})

    def test_contract(self):
        judged = rival_rows.judge(row(), samples((1, 2)), {})
        self.assertLessEqual({'work', 'ours', 'rival', 'ratio', 'must', 'ok'}, set(judged))
        json.dumps(judged, allow_nan=False)

    def test_table(self):
        self.assertEqual(rival_rows.check_table(), [])
        twice = rival_rows.check_table([row(), row()], [Source('a', 'p'), Source('a', 'p')])
        self.assertEqual(twice[:2], ['source a is listed twice', 'row work is listed twice'])
        self.assertIn('no source is called b', twice)

    def test_select(self):
        rows = [row(), row(ours='slow.x')._replace(work='slow')]
        sources = [Source('a', 'p'), Source('b', 'p'), Source('slow', 'p', quick=False)]
        self.assertEqual(len(rival_rows.select(rows, None, False, sources)), 2)
        self.assertEqual([r.work for r in rival_rows.select(rows, None, True, sources)], ['work'])
        self.assertEqual([r.work for r in rival_rows.select(rows, 'slo', False, sources)], ['slow'])


def is_alive(pid):
    """A zombie, which waits for a parent that does not ask, is not."""
    try:
        return tree.read('/proc/%d' % pid, 'stat').rpartition(')')[2].split()[0] != 'Z'
    except OSError:
        return False


class FakeRig:
    def __init__(self, says):
        self.says, self.ran = says, []

    def measure(self, source, values):
        self.ran.append(source.name)
        said = self.says[source.name]
        if isinstance(said, str):
            raise rival_run.Failed(said)
        return [{'work': 'x', 'ns_per_op': said}]

    def take_commands(self):
        return ['run ' + self.ran[-1]]


class Rounds(unittest.TestCase):
    def test_rounds(self):
        sources = [Source('a', 'p'), Source('b', 'p'), Source('c', 'p', rounds=False)]
        rig = FakeRig({'a': 1.0, 'b': 'broken', 'c': 3.0})
        rivals.say, say = (lambda text: None), rivals.say
        self.addCleanup(setattr, rivals, 'say', say)
        got, errors, commands = rivals.measure(rig, sources, {}, 3)
        self.assertEqual(commands, {'a': ['run a'], 'b': ['run b'], 'c': ['run c']})
        self.assertEqual(rig.ran, ['a', 'b', 'c', 'a', 'a'])
        self.assertEqual(errors, {'b': 'broken'})
        self.assertEqual(got, [{'a.x': 1.0, 'c.x': 3.0}] * 3)


class Report(unittest.TestCase):
    def canned(self):
        rows = [row(), row('speed', 0.5)._replace(work='other'), row(ours='none.x')._replace(
            work='later')]
        data = samples((3.0, 2.0), (3.2, 2.0), (2.8, 2.0), (3.0, 2.0), (3.1, 2.0))
        for i, sample in enumerate(data):
            sample.update({'tls.tls_record_500': 270.0 + i, 'tcp500.tcp_echo_500': 250.0,
                           'transit.forward-tls-500:floor_tcp_ns': 300.0})
        data[0].update(rival_rows.flatten('links', [
            {'work': 'transit-links-10', 'ns_per_op': 100.0},
            {'work': 'transit-links-100', 'ns_per_op': 110.0}]))
        errors = {'none': 'build/release/bench/none does not exist'}
        judged = [rival_rows.judge(r, data, errors) for r in rows]
        commands = {'tls': ['build/release/bench/floor_tls --ms 7'],
                    'kamailio-call': ['taskset -c 0 kamailio', 'rival_sip --server-pid 7'
                                      ' --server-pid 8 --server-pid 9']}
        return rival_report.Run(rows, judged, data, errors, commands, 130)

    def test_text(self):
        text = rival_report.text_table(self.canned().judged)
        lines = text.split('\n')
        self.assertRegex(lines[1], r'^work .* 1\.500 +≤ 1\.5  ok$')
        self.assertRegex(lines[2], r'^other .* 0\.667 +≥ 0\.5  ok$')
        self.assertRegex(lines[3], r'not measured: .*/none does not exist$')

    def test_markdown(self):
        text = rival_report.render(self.canned(), [('kernel', '6.1')], ['bench/plots/a.svg'])
        for part in ('(5 rounds, 2 minutes)', '| kernel | 6.1 |', '- later: not measured: ',
                     '| a work | 3 ns | 2 (floor) | 1.5 | 0.93 … 1.07 | ≤ 1.5 | ≤ 1.2 | ok |',
                     '| TLS 1.3, full records, 500 bytes | 272 |', '![a.svg](plots/a.svg)',
                     '| TCP echo of transit, 500 bytes | 300 | 250 | 1.20 |',
                     '## Cost by number of links (links)', '| transit | 100 | 110 |',
                     'bench/rivals.py --repeat 5',
                     '    tls                build/release/bench/floor_tls --ms 7\n'
                     '    kamailio-call      taskset -c 0 kamailio\n'
                     '                       rival_sip --server-pid PID...\n'):
            self.assertIn(part, text)
        self.assertIsNone(check_style.MACHINE_PATH.search(text))

    def test_set_aside(self):
        line = {'work': 'saturate/full_p256', 'ns_per_op': 9, 'runs': 12, 'set_aside': 2,
                'long_turns': 3, 'idle_jumps': 4, 'paging_turns': 0, 'uneven': 1}
        samples = [rival_rows.flatten('latency', [line])]
        said = rival_report.set_aside(samples)
        self.assertEqual(len(said), 1)
        self.assertIn('latency.saturate/full_p256: 2 of 12 runs set aside, with 3 turns', said[0])
        self.assertIn('jumped 4 times', said[0])
        self.assertEqual(rival_report.set_aside([{'a.b': 1}]), [])
        run = self.canned()._replace(samples=samples)
        self.assertIn('- ' + said[0], rival_report.render(run, [('kernel', '6.1')], []))

    def test_numbers(self):
        for value, said in ((None, '-'), (0.12345, '0.123'), (3.456, '3.46'), (271.6, '272'),
                            (123456.7, '123,000'), (24576, '24,600'), (7.0, '7')):
            self.assertEqual(rival_report.number(value), said)

    def test_plots(self):
        with tempfile.TemporaryDirectory() as top:
            self.assertEqual(rival_report.draw(top, self.canned(), lambda name: None), [])
            drawn = rival_report.draw(top, self.canned())
            if drawn:  # gnuplot is there
                self.assertEqual([os.path.basename(p) for p in drawn],
                                 ['margins.svg', 'figures.svg', 'links-links.svg'])
            for path in drawn:
                self.assertIn('</svg>', tree.read(top, path))

    def test_machine(self):
        text = str(rival_report.machine())
        self.assertIn('kernel', text)
        self.assertNotIn(os.uname().nodename, text)


class Running(unittest.TestCase):
    def test_missing_rival(self):
        for rival, needs in rival_run.NEEDS.items():
            said = rival_run.lacking(rival, lambda name: None)
            for part in [rival, './configure.py --deps=bench'] + [p for _, p in needs]:
                self.assertIn(part, said)
            self.assertIsNone(rival_run.lacking(rival, lambda name: name))
            self.assertLessEqual({p for _, p in needs}, set(debian.BUILD + debian.BENCH))

    def test_failures(self):
        with rival_run.Rig(tree.TOP) as rig:
            for command, said in (('echo gone wrong >&2; exit 3', 'exit code 3: gone wrong'),
                                  ('kill -9 $$', 'ended by signal 9')):
                with self.assertRaisesRegex(rival_run.Failed, said):
                    rig.run(['/bin/sh', '-c', command])
            said = rig.take_commands()
            self.assertEqual((len(said), said[1]), (2, "/bin/sh -c 'kill -9 $$'"))
            with self.assertRaisesRegex(rival_run.Failed, 'does not exist'):
                rig.measure(Source('a', 'no_such_program'), {})
        for text in ('', 'talk\n', '{"ns_per_op": 1}\n'):
            with self.assertRaises(rival_run.Failed):
                rival_run.read_lines(text)

    def test_ends_groups(self):
        """A child that does not end, and its own children, all deaf to SIGTERM."""
        with rival_run.Rig(tree.TOP, patience_s=0.3) as rig:
            scratch, child = rig.scratch, rig.start(
                ['/bin/sh', '-c', "trap '' TERM; sleep 60 & sleep 60 & echo up; wait; wait"],
                stdout=subprocess.PIPE)
            child.stdout.readline()
            members = rival_run.group_members(child.pid)
            self.assertEqual(len(members), 3)
        self.assertFalse(os.path.exists(scratch))
        deadline = time.monotonic() + 5
        while any(map(is_alive, members)) and time.monotonic() < deadline:
            time.sleep(0.02)
        self.assertEqual(list(filter(is_alive, members)), [])

    def test_timeout(self):
        with rival_run.Rig(tree.TOP) as rig:
            with self.assertRaisesRegex(rival_run.Failed, 'still running after 0.3 s'):
                rig.run(['/bin/sleep', '60'], timeout_s=0.3)
            self.assertEqual(rig.children, [])

    def test_gets_there_and_back(self):
        """Two runs of ours between two of the rival, each a slice."""
        says = """#!/bin/sh
            echo "$0" >> said
            for a in $(seq "${5:-1}"); do
                printf '{"work": "%s", "ns_per_op": %d}\\n' "${0##*/}" "$(wc -l < said)$a"
            done
            """.replace('\n            ', '\n')
        with tempfile.TemporaryDirectory() as top:
            for name in ('bench/rival_opendht.cc', rival_run.PROGRAMS + '/rival_opendht',
                         rival_run.PROGRAMS + '/cluster'):
                path = os.path.join(top, name)
                os.makedirs(os.path.dirname(path), exist_ok=True)
                with open(path, 'w', encoding='utf-8') as f:
                    f.write(says)
                os.chmod(path, 0o755)
            with rival_run.Rig(top) as rig:
                said = rig.run_opendht('400', 'get')
            with open(os.path.join(top, 'said'), encoding='utf-8') as f:
                ran = [os.path.basename(line.split()[0]) for line in f]
        self.assertEqual(ran, ['rival_opendht', 'cluster', 'rival_opendht'])
        self.assertEqual({line['work']: line['slices']['ns_per_op'] for line in said},
                         {'rival_opendht': [11, 31], 'cluster': [21, 22]})

    def test_accounting(self):
        before = rival_run.process_ns(os.getpid())
        end = time.process_time() + 0.05
        while time.process_time() < end:
            pass
        self.assertGreater(rival_run.process_ns(os.getpid()) - before, 30e6)

    def test_options(self):
        for argv, said in ((['--repeat', '3'], 'fewer than 5'), (['--only', 'qqq'], 'see --list')):
            ran = subprocess.run([sys.executable, os.path.join(tree.TOP, 'bench/rivals.py'), *argv],
                                 capture_output=True, text=True)
            self.assertEqual(ran.returncode, 2)
            self.assertIn(said, ran.stderr)


@unittest.skipUnless(os.path.exists(PROGRAMS + '/floor_udp'), 'floors are not built')
class Floors(unittest.TestCase):
    def run_floor(self, *argv):
        ran = subprocess.run([os.path.join(PROGRAMS, argv[0]), *argv[1:]], capture_output=True,
                             text=True, timeout=60)
        self.assertEqual(ran.returncode, 0, ran.stderr)
        return {line['work']: line['ns_per_op'] for line in rival_run.read_lines(ran.stdout)}

    def test_interrupt(self):
        """Ctrl-C in the middle of a floor: ended, and nothing stays."""
        with tempfile.TemporaryDirectory() as scratch:
            child = subprocess.Popen(
                [sys.executable, os.path.join(tree.TOP, 'bench/rivals.py'), '--quick', '--json',
                 '--no-build', '--only', 'forward-dtls-single'],
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                env={**os.environ, 'TMPDIR': scratch})
            deadline = time.monotonic() + 20
            while not os.listdir(scratch) and time.monotonic() < deadline:
                time.sleep(0.02)
            child.send_signal(signal.SIGINT)
            out, err = child.communicate(timeout=60)
            self.assertIn('everything that was started has been ended', err)
            self.assertEqual((out, os.listdir(scratch)), ('', []))

    def test_datagrams(self):
        engines = [['--engine', 'mmsg'], ['--engine', 'train', '--train', '16', '--hops', '8']]
        for words in engines:
            got = self.run_floor('floor_udp', *words, '--ms', '150')
            self.assertEqual(list(got), ['udp_%s_500' % words[1]])
            self.assertGreater(min(got.values()), 50)

    def test_uring(self):
        ran = subprocess.run([PROGRAMS + '/floor_udp', '--engine', 'uring', '--ms', '150'],
                             capture_output=True, text=True, timeout=60)
        if 'io_uring is not to be had' in ran.stderr:
            self.skipTest('no io_uring here')
        self.assertEqual(ran.returncode, 0, ran.stderr)

    def test_stream(self):
        self.assertEqual(list(self.run_floor('floor_tcp', '--bytes', '700', '--ms', '100')),
                         ['tcp_echo_700'])

    def test_crypto(self):
        got = self.run_floor('floor_tls', '--ms', '2')
        self.assertEqual(len(got), 3 + 2 + 6)
        self.assertLess(got['tls_record_500'], got['dtls_record_500'])
        self.assertLess(got['verify_rsa2048'], got['sign_rsa2048'])

    def test_usage(self):
        for argv in (['floor_udp', '--engine', 'none'], ['floor_udp', '--train', '3'],
                     ['floor_tcp', '--bytes', '0'], ['floor_tls', '--ms', 'x'],
                     ['floor_memory', '--rounds', '-1'], ['rival_sip', '--kind', 'none']):
            ran = subprocess.run([os.path.join(PROGRAMS, argv[0]), *argv[1:]], capture_output=True,
                                 text=True, timeout=60)
            self.assertEqual((ran.returncode, ran.stdout), (1, ''), argv)
            self.assertIn(argv[0], ran.stderr)


class Proxy(threading.Thread):
    """A server for rival_sip that answers calls by itself, each third INVITE with 500 and each
    fourth BYE with 481; it repeats each of these once, as if its ACK had been lost."""

    def __init__(self):
        super().__init__(daemon=True)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(('127.0.0.1', 0))
        self.port = str(self.socket.getsockname()[1])
        self.asked, self.refused, self.acks = {'INVITE': 0, 'BYE': 0}, {}, []

    def run(self):
        while True:
            said, peer = self.socket.recvfrom(4096)
            if not said:
                return
            lines = said.decode().partition('\r\n\r\n')[0].split('\r\n')
            method = lines[0].split()[0]
            headers = dict(line.split(': ', 1) for line in lines[1:])
            if method == 'ACK':
                self.acks.append(headers)
                continue
            self.asked[method] += 1
            often, status = {'INVITE': (3, '500 Out of memory'), 'BYE': (4, '481 Gone')}[method]
            bad = self.asked[method] % often == 0
            if method == 'INVITE':
                headers['To'] += ';tag=%s%d' % ('no' if bad else 't', self.asked[method])
            if bad and method == 'INVITE':
                self.refused[headers['Call-ID']] = headers
            answer = ''.join(['SIP/2.0 %s\r\n' % (status if bad else '200 OK'), *(
                '%s: %s\r\n' % (name, headers[name]) for name in ('Via', 'From', 'To', 'Call-ID',
                                                                 'CSeq'))]) + '\r\n'
            for _ in range(1 + bad):
                self.socket.sendto(answer.encode(), peer)

    def end(self):
        """When all that it was sent has been read: datagrams stay in order."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.sendto(b'', ('127.0.0.1', int(self.port)))
        self.join()
        self.socket.close()


@unittest.skipUnless(os.path.exists(PROGRAMS + '/rival_sip'), 'rival_sip is not built')
class Generator(unittest.TestCase):
    def test_refused(self):
        """What a server refuses is counted and acknowledged, and the load goes on."""
        proxy = Proxy()
        proxy.start()
        ran = subprocess.run([PROGRAMS + '/rival_sip', '--kind', 'call', '--port', proxy.port,
                              '--in-turn', '--outstanding', '4'], input='200\n50\n',
                             capture_output=True, text=True, timeout=60)
        proxy.end()
        self.assertEqual((ran.returncode, ran.stderr), (0, ''))
        slices = [json.loads(line) for line in ran.stdout.splitlines()[1:]]
        self.assertEqual(len(slices), 2)
        for said in slices:
            self.assertGreater(said['done'], 0)
            self.assertGreaterEqual(said['failed'], said['refused'])
        self.assertGreater(slices[0]['refused'], 0)
        self.assertIn(slices[0]['last_status'], (481, 500))
        acks = [a for a in proxy.acks if a['Call-ID'] in proxy.refused]
        self.assertGreater(len(acks), len(proxy.refused))
        self.assertEqual({a['Call-ID'] for a in acks}, set(proxy.refused))
        for ack in acks:
            of = proxy.refused[ack['Call-ID']]
            for name in ('Via', 'From', 'To'):
                self.assertEqual(ack[name], of[name])
            self.assertEqual(ack['CSeq'], '1 ACK')


if __name__ == '__main__':
    program = unittest.main(exit=False, verbosity=0)
    bad = len(program.result.failures) + len(program.result.errors)
    skipped = ['SKIP %s: %s' % (test, why) for test, why in program.result.skipped]
    print('\n'.join(skipped + ['%d passed, %d failed' % (
        program.result.testsRun - bad - len(skipped), bad)])
        + (', %d skipped' % len(skipped) if skipped else ''))
    sys.exit(1 if bad else 0)
