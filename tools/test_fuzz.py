#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Shows that a campaign finds, tells apart and reports planted crashes, keeps its ledger, and stops
when told; that fuzz/build.sh builds; and that tables and targets agree."""
import glob
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import tree  # noqa: E402
sys.path.insert(0, tree.TOP)
import fuzz_campaign  # noqa: E402
import fuzz_corpus  # noqa: E402
import fuzz_ledger  # noqa: E402
import fuzz_targets  # noqa: E402
import fuzz_triage  # noqa: E402
import modules  # noqa: E402

TARGET = '''#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
static volatile uint8_t sink;
__attribute__((noinline)) static void one(const uint8_t *data, size_t size)
{
    sink = data[size]; /* behind the end */
}
__attribute__((noinline)) static void two(void)
{
    int *volatile nothing = NULL;
    *nothing = 1;
}
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 1 && data[0] == 'a' && data[1] == 'b') {
        sink = 1;
%s    }
    return 0;
}
'''
ONE = '        one(data, size);\n'
TWO = '        if (size > 2 && data[2] == \'c\') {\n            two();\n        }\n' + ONE


class Campaign(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.top = scratch.name
        self.ledger = os.path.join(self.top, 'LEDGER.md')

    def build(self, body, folder='fuzz', compiler=('clang',), name='fuzz_tiny'):
        os.makedirs(os.path.join(self.top, folder), exist_ok=True)
        source = os.path.join(self.top, 'tiny.c')
        with open(source, 'w', encoding='utf-8') as f:
            f.write(TARGET % body)
        subprocess.run([*compiler, '-g', '-O1', '-fsanitize=fuzzer,address', source, '-o',
                        os.path.join(self.top, folder, name)], check=True)

    def command(self, hours, *more):
        return [sys.executable, os.path.join(tree.TOP, 'tools/fuzz_campaign.py'), '--no-build',
                '--hours', str(hours), '--build', self.top, '--ledger', self.ledger,
                '--corpus', os.path.join(self.top, 'corpus'),
                '--work', os.path.join(self.top, 'work'), *more]

    def campaign(self, hours=0.001, engine='libfuzzer'):
        ran = subprocess.run(self.command(hours, '--engine', engine), stdin=subprocess.DEVNULL,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                             timeout=120, check=False)
        return ran.returncode, ran.stdout

    def test_nothing_wrong(self):
        self.build('')
        for times in (1, 2):
            code, said = self.campaign()
            self.assertEqual(code, 0, said)
            lines = fuzz_ledger.read(self.ledger)
            self.assertEqual(len(lines), times)
            line = lines[-1]
            self.assertEqual((line.target, line.engine, line.crashes),
                             ('fuzz_tiny', 'libfuzzer', 0))
            self.assertGreater(line.executions, 1000)
            self.assertGreater(line.edges, 1)
            self.assertAlmostEqual(line.rate, line.executions / line.cpu_s, delta=line.rate / 4)
            self.assertTrue(0.5 < line.cpu_s < 20, line)
            self.assertRegex(said, r'tiny +0\.00 h +missing')
            kept = os.listdir(os.path.join(self.top, 'corpus/tiny'))
            self.assertTrue(1 <= len(kept) <= 10, kept)
        contents = [tree.read(self.top, 'corpus/tiny/' + name)[:2] for name in kept]
        self.assertIn('ab', contents)

    def test_planted_crash(self):
        self.build(ONE)
        code, said = self.campaign(0.002)
        self.assertEqual(code, 1, said)
        self.assertEqual(len(re.findall('^CRASH fuzz_tiny', said, re.M)), 1, said)
        self.assertRegex(said, r'heap-buffer-overflow: one')
        again = re.search(r'see it again: +(.*)', said).group(1).split()
        with open(again[-1], 'rb') as f:
            self.assertEqual(f.read(), b'ab')  # minimised
        ran = subprocess.run(again, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        self.assertNotEqual(ran.returncode, 0)
        self.assertIn(b'heap-buffer-overflow', ran.stdout)
        self.assertEqual([line.crashes for line in fuzz_ledger.read(self.ledger)], [1])

    def test_faults_told_apart(self):
        self.build(TWO)
        place = os.path.join(self.top, 'bad')
        os.makedirs(place)
        for number, text in enumerate((b'abd', b'abdd', b'abccc', b'abcd', b'fine')):
            with open(os.path.join(place, str(number)), 'wb') as f:
                f.write(text)
        kept, silent = fuzz_triage.sort_out(
            'fuzz_tiny', glob.glob(place + '/*'), [os.path.join(self.top, 'fuzz/fuzz_tiny')],
            os.path.join(self.top, 'kept'))
        self.assertEqual(sorted(where.split(' ')[0] for _, where, _ in kept), ['one', 'two'])
        self.assertEqual(silent, 1)
        sizes = [os.path.getsize(again.split()[-1]) for _, where, again in sorted(kept)]
        self.assertEqual(sorted(sizes), [2, 3])

    def test_stops_when_told(self):
        self.build('')
        child = subprocess.Popen(self.command(1, '--engine', 'libfuzzer'), stdin=subprocess.DEVNULL,
                                 stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        new = os.path.join(self.top, 'work/fuzz_tiny/new')
        end = time.monotonic() + 60
        while time.monotonic() < end and not (os.path.isdir(new) and os.listdir(new)):
            time.sleep(0.1)
        child.send_signal(signal.SIGINT)
        said = child.communicate(timeout=60)[0]
        self.assertEqual(child.returncode, 0, said)
        lines = fuzz_ledger.read(self.ledger)
        self.assertEqual(len(lines), 1, said)
        self.assertGreater(lines[0].executions, 0)
        self.assertNotIn(self.top + '/fuzz/fuzz_tiny', self.processes())
        self.assertTrue(os.listdir(new))  # for the next one, which merges it
        self.assertEqual(self.campaign()[0], 0)
        self.assertFalse(os.path.exists(new))

    def processes(self):
        ran = subprocess.run(['ps', '-eo', 'args'], stdout=subprocess.PIPE, text=True, check=True)
        return '\n'.join(line for line in ran.stdout.split('\n') if 'fuzz_campaign' not in line)

    @unittest.skipUnless(shutil.which('afl-fuzz'), 'AFL++ is not installed')
    def test_afl(self):
        compiler = ('env', 'AFL_QUIET=1', 'afl-clang-fast')
        self.build(ONE)
        self.build(ONE, 'afl', compiler)
        os.makedirs(os.path.join(self.top, 'corpus/tiny'))
        with open(os.path.join(self.top, 'corpus/tiny/seed'), 'wb') as f:
            f.write(b'aaaa')
        code, said = self.campaign(0.003, 'afl')
        self.assertEqual(code, 1, said)
        self.assertEqual(len(re.findall('^CRASH fuzz_tiny', said, re.M)), 1, said)
        line = fuzz_ledger.read(self.ledger)[0]
        self.assertEqual((line.engine, line.crashes), ('afl', 1))
        self.assertGreater(line.executions, 1000)
        self.assertGreater(line.cpu_s, 0.5)

    def test_unknown_target(self):
        self.build('')
        ran = subprocess.run(self.command(1, '--targets', 'none'), stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, text=True, check=False)
        self.assertNotEqual(ran.returncode, 0)
        self.assertIn('fuzz_tiny', ran.stdout)


class Ledger(unittest.TestCase):
    LINES = [fuzz_ledger.Line('2030-01-01 00:00', *rest) for rest in (
        ('abc+', 'fuzz_fwd', 'afl', 3600.0, 7, 2, 9, 1),
        ('abc', 'fuzz_fwd', 'libfuzzer', 4000.5, 1, 1, 2, 0),
        ('abc', 'fuzz_new', 'libfuzzer', 1800.0, 1, 1, 2, 0))]

    def test_reads_what_it_wrote(self):
        with tempfile.TemporaryDirectory() as top:
            path = os.path.join(top, 'L.md')
            fuzz_ledger.append(path, self.LINES[:1])
            fuzz_ledger.append(path, self.LINES[1:])
            self.assertEqual(fuzz_ledger.read(path), self.LINES)
            self.assertEqual(tree.read(top, 'L.md').count('# Fuzzing ledger'), 1)

    def test_missing(self):
        said = fuzz_ledger.show_missing(self.LINES, ['fuzz_fwd', 'fuzz_new', 'fuzz_body_attach'])
        self.assertRegex(said, r'header +2\.11 h +done')
        self.assertRegex(said, r'new +0\.50 h +missing 1\.50 h')
        self.assertRegex(said, r'bodies +0\.00 h +missing 2\.00 h')

    def test_plan(self):
        jobs = fuzz_campaign.plan(['fuzz_fwd', 'fuzz_new'], ['libfuzzer', 'afl'], self.LINES, 1000)
        self.assertAlmostEqual(sum(j.seconds for j in jobs), 1000)
        share = {j.target + j.engine: j.seconds for j in jobs}
        self.assertAlmostEqual(share['fuzz_fwdlibfuzzer'], 2 * share['fuzz_fwdafl'])
        self.assertLess(share['fuzz_fwdafl'], share['fuzz_newafl'])  # it has reached its goal

    def test_committed(self):
        """Each line of fuzz/LEDGER.md is one that is read."""
        text = tree.read(tree.TOP, 'fuzz/LEDGER.md')
        self.assertTrue(text.startswith(fuzz_ledger.HEAD))
        rows = text[len(fuzz_ledger.HEAD):].splitlines()
        self.assertEqual(len(fuzz_ledger.read(os.path.join(tree.TOP, 'fuzz/LEDGER.md'))), len(rows))


class Tables(unittest.TestCase):
    def test_families(self):
        table = fuzz_targets.families(modules.FUZZ_TARGETS)
        self.assertEqual(sorted(n for listed in table.values() for n in listed),
                         sorted(modules.FUZZ_TARGETS))
        for name in [*fuzz_targets.SPECIAL, *fuzz_targets.FIRST_MINUTES,
                     *(n for listed in fuzz_targets.FAMILIES.values() for n in listed)]:
            self.assertIn(name, modules.FUZZ_TARGETS)

    def test_each_body_has_a_target(self):
        bodies = re.findall(r'^MSG\((\w+),', tree.read(tree.TOP, 'codec/msgs.def'), re.M)
        self.assertEqual(sorted(set(bodies) - set(fuzz_corpus.bodies())), [])

    def test_each_target_has_seeds_and_a_row(self):
        readme = tree.read(tree.TOP, 'fuzz/README.md')
        for name in modules.FUZZ_TARGETS:
            corpus = os.path.join(tree.TOP, 'fuzz/corpus', fuzz_targets.stem(name))
            self.assertTrue(os.path.isdir(corpus) and os.listdir(corpus), name)
            self.assertFalse(fuzz_campaign.is_over(corpus, fuzz_targets.of(name)), name)
            row = '`_%s`' % name.split('_')[-1] if name.startswith('fuzz_body_') else name
            self.assertTrue(row in readme or name in readme, name + ': no row in fuzz/README.md')


class Tools(unittest.TestCase):
    def test_asking_for_help_writes_nothing(self):
        def stamps():
            names = glob.glob(os.path.join(tree.TOP, 'fuzz/corpus/*/*'))
            return {name: os.stat(name).st_mtime_ns for name in names}
        before = stamps()
        for name in ('fuzz_corpus.py', 'fuzz_sources.py'):
            for words, code in ((['--help'], 0), (['--nonsense'], 2)):
                program = os.path.join(tree.TOP, 'tools', name)
                ran = subprocess.run([sys.executable, program, *words], capture_output=True,
                                     text=True)
                self.assertEqual(ran.returncode, code, ran.stderr)
                self.assertTrue((ran.stdout + ran.stderr).startswith('usage: ' + name), ran.stdout)
        self.assertEqual(stamps(), before)


class OssFuzz(unittest.TestCase):
    def test_build(self):
        """Other flags and an engine of its own, as OSS-Fuzz has them."""
        with tempfile.TemporaryDirectory() as top:
            engine = os.path.join(top, 'engine.c')
            with open(engine, 'w', encoding='utf-8') as f:
                f.write('int LLVMFuzzerTestOneInput(const unsigned char *, unsigned long);\n'
                        'int main(void) { return LLVMFuzzerTestOneInput((const unsigned char *)'
                        '"ab", 2); }\n')
            subprocess.run(['clang', '-c', engine, '-o', engine + '.o'], check=True)
            out = os.path.join(top, 'out')
            env = {**os.environ, 'OUT': out, 'WORK': os.path.join(top, 'work'), 'SRC': top,
                   'CC': 'clang', 'CXX': 'clang++', 'CFLAGS': '-O0', 'CXXFLAGS': '-O0',
                   'LIB_FUZZING_ENGINE': engine + '.o'}
            script = os.path.join(tree.TOP, 'fuzz/build.sh')
            ran = subprocess.run([script, 'fuzz_frame', 'fuzz_sip'], env=env, text=True, cwd=top,
                                 stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
            self.assertEqual(ran.returncode, 0, ran.stdout)
            for name in ('fuzz_frame', 'fuzz_sip'):
                for end in ('_seed_corpus.zip', '.dict', '.options'):
                    self.assertTrue(os.path.getsize(os.path.join(out, name + end)))
                self.assertEqual(subprocess.run([os.path.join(out, name)], check=False).returncode,
                                 0)
            self.assertIn('max_len = 8192', tree.read(out, 'fuzz_sip.options'))
            ran = subprocess.run([script, 'fuzz_none'], env=env, stdout=subprocess.PIPE,
                                 stderr=subprocess.STDOUT, check=False)
            self.assertNotEqual(ran.returncode, 0)


def main():
    suite = unittest.defaultTestLoader.loadTestsFromModule(sys.modules['__main__'])
    ran = unittest.TextTestRunner(verbosity=0).run(suite)
    failed, skipped = len(ran.failures) + len(ran.errors), len(ran.skipped)
    for test, why in ran.skipped:
        print('SKIP %s: %s' % (test.id(), why))
    print('%d passed, %d failed%s' % (ran.testsRun - failed - skipped, failed,
                                      ', %d skipped' % skipped if skipped else ''), flush=True)
    sys.exit(1 if failed else 0)


if __name__ == '__main__':
    main()
