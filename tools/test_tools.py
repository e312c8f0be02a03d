#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Shows that each check of the house goes red: every test plants a fault and wants it named."""
import os
import shutil
import subprocess
import sys
import tempfile
import time
import types
import unittest
import unittest.mock

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import tree  # noqa: E402
sys.path[:0] = [tree.TOP, os.path.join(tree.TOP, 'bench')]
import boringssl  # noqa: E402
import check as bench_check  # noqa: E402
import check_layers  # noqa: E402
import check_style  # noqa: E402
import count_instructions  # noqa: E402
import debian  # noqa: E402
import run_tests  # noqa: E402

SPDX = '/* SPDX-License-Identifier: Apache-2.0 */\n'
USER = 'int store_get(void); int a(void) { return store_get(); }'


class Planted(unittest.TestCase):
    """A scratch tree to plant faults in."""

    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.top = scratch.name

    def plant(self, path, text):
        full = os.path.join(self.top, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, 'w', encoding='utf-8') as f:
            f.write(text)
        return full

    def build(self, source, *command, **more):
        """Compiles planted C text, or whatever `command` says; returns the output file."""
        out = self.plant(source + '.out', '')
        path = self.plant(source + '.c', more.pop('text'))
        subprocess.run([*command, path, '-o', out, *more.pop('libs', [])], cwd=self.top, check=True)
        return out

    def assertNamed(self, sentences, *parts):
        """Exactly one sentence, and it holds all of `parts`."""
        sentences = list(sentences)
        self.assertEqual(len(sentences), 1, sentences)
        for part in parts:
            self.assertIn(part, sentences[0])


class Includes(Planted):
    def check(self, **files):
        paths = {p.replace('__', '/').replace('_h', '.h').replace('_c', '.c'): text
                 for p, text in files.items()}
        for path, text in paths.items():
            self.plant(path, text)
        return check_layers.check_includes(self.top, list(paths))

    def test_allowed(self):
        self.assertEqual([], self.check(
            core__slice_h='#include <stdint.h>\n', codec__a_c='#include "core/slice.h"\n',
            link__tls_boring_c='#include <openssl/ssl.h>\n', dht__a_c='#include "link/link.h"\n',
            sip__a_c='#include "dht/overlay.h"\n', cmd__a_c='#include "core/os/uring.h"\n'
            '#include <unistd.h>\n#include <jansson.h>\n'))

    def test_upward(self):
        self.assertNamed(self.check(link__a_c='int x;\n#include "dht/store.h"\n'),
                         'link/a.c:2', 'dht/store.h')

    def test_past_the_door(self):
        self.assertNamed(self.check(dht__a_c='#include "link/frame_io.h"\n'), 'link/frame_io.h')
        self.assertNamed(self.check(sip__a_c='#include "dht/store.h"\n'), 'dht/overlay.h')

    def test_codec_sees_little_of_core(self):
        self.assertNamed(self.check(codec__a_c='#include "core/pool.h"\n'), 'core/slice.h')

    def test_os_is_for_cmd(self):
        for path in ('core__a_c', 'node__a_c', 'sim__a_c'):
            self.assertTrue(self.check(**{path: '#include "core/os/uring.h"\n'}), path)

    def test_product_includes_no_test(self):
        self.assertNamed(self.check(cmd__a_c='#include "tests/support/x.h"\n'), 'tests/support/x.h')

    def test_system_header(self):
        self.assertNamed(self.check(dht__a_c='#include <time.h>\n'), '<time.h>')
        self.assertNamed(self.check(codec__a_c='#include <stdio.h>\n'), '<stdio.h>')

    def test_library_header(self):
        self.assertNamed(self.check(link__link_c='#include <openssl/ssl.h>\n'), '<openssl/ssl.h>')
        self.assertNamed(self.check(cmd__a_c='#include <openssl/ssl.h>\n'), '<openssl/ssl.h>')

    def test_relative(self):
        self.assertNamed(self.check(core__a_c='#include "../core/b.h"\n'), 'from the top')

    def test_reaches_through_a_header(self):
        self.assertNamed(self.check(dht__overlay_h='#include "link/link.h"\n', link__link_h='',
                                    sip__a_c='#include "dht/overlay.h"\n'),
                         'sip/a.c', 'dht/overlay.h -> link/link.h')


class Symbols(Planted):
    def check(self, **files):
        objects = {}
        for name, text in files.items():
            source = name.replace('__', '/')
            objects[source] = self.build(source, 'gcc', '-c', text=text)
        return check_layers.check_symbols(objects)

    def test_allowed(self):
        self.assertEqual([], self.check(
            core__check='void check_failed(void); void check_failed(void) {}',
            codec__a='void *memcpy(void *, const void *, unsigned long); void check_failed(void);'
            'void a(void *x, int n) { memcpy(x, &n, (unsigned long)n); check_failed(); }'))

    def test_allocator(self):
        self.assertNamed(self.check(codec__a='void *malloc(unsigned long); void *a(void)'
                                    '{ return malloc(3); }'), 'codec/a.c', 'malloc', 'core/arena')

    def test_clock_and_system_call(self):
        self.assertNamed(self.check(dht__a='long time(long *); long a(void) { return time(0); }'),
                         'time', 'struct turn')
        self.assertNamed(self.check(sip__a='int socket(int,int,int); int a(void)'
                                    '{ return socket(1, 1, 1); }'), 'socket', 'core/os')

    def test_printing_codec(self):
        text = '#include <stdio.h>\nint a(char *x) { return snprintf(x, 1, "%p", x); }'
        self.assertNamed(self.check(codec__a=text), 'snprintf')

    def test_upward_without_a_header(self):
        self.assertNamed(self.check(dht__store='int store_get(void) { return 1; }', link__a=USER),
                         'link/a.c', 'store_get', 'dht/store.c')

    def test_past_the_door(self):
        self.assertNamed(self.check(dht__store='int store_get(void) { return 1; }', sip__a=USER),
                         'sip/a.c', 'store_get')

    def test_boringssl_in_its_files_only(self):
        text = 'int SSL_read(void); int a(void) { return SSL_read(); }'
        self.assertEqual([], self.check(link__tls_boring=text))
        self.assertNamed(self.check(link__link=text), 'SSL_read')


class Style(Planted):
    def calls(self, path, text):
        return list(check_style.check_calls(path, tree.code_only(text)))

    def sizes(self, text):
        measures = [m for m in check_style.check_sizes('core/a.c', text)]
        return list(check_style.ratchet(measures, {}))

    def test_banned_calls(self):
        for call, instead in (('strcpy(a, b)', 'memcpy'), ('sprintf(a, b)', 'snprintf'),
                              ('gets(a)', 'parser'), ('atoi (a)', 'strtoul'),
                              ('malloc(3)', 'core/arena'), ('strtok(a, b)', 'slice'),
                              ('time(NULL)', 'struct turn'), ('assert(x)', 'CHECK')):
            found = self.calls('dht/a.c', 'void f(void)\n{\n    %s;\n}\n' % call)
            self.assertNamed(found, 'dht/a.c:3', call.split('(')[0].strip(), instead)

    def test_not_a_call(self):
        self.assertEqual([], self.calls('dht/a.c', '/* strcpy(a) */ x = "gets(y)"; o->free(o);\n'
                                        'pool_free(x); my.time(y); arena_malloc(z);\n'))
        self.assertEqual([], self.calls('core/os/mem.c', 'x = malloc(3);\n'))

    def test_atomics(self):
        self.assertNamed(self.calls('dht/a.c', '_Atomic int x;\n'), '_Atomic', 'core/spsc')
        self.assertEqual([], self.calls('core/spsc.h', '_Atomic int x;\n'))

    def test_code_that_knows_it_is_tested(self):
        self.assertNamed(self.calls('dht/a.c', '#ifdef UNIT_TEST\n#endif\n'), 'tested')

    def test_long_file_and_function(self):
        self.assertNamed(self.sizes('int x;\n' * 901), 'core/a.c: file is 901')
        body = 'static int f(int a)\n{\n' + '    a++;\n' * 88 + '    return a;\n}\n'
        self.assertNamed(self.sizes(body), 'core/a.c:f', 'function is 92', '90')

    def test_nesting(self):
        deep = 'void f(void)\n{\n' + 'if (a) {\n' * 5 + 'x();\n' + '}\n' * 5
        self.assertNamed(self.sizes(deep.replace('\n}', '\n    }') + '}\n'), 'nesting is 5')
        flat = 'void f(void)\n{\n    x = (struct x){.a = {{{{{0}}}}}};\n    if (a) {\n    }\n}\n'
        self.assertEqual([], self.sizes(flat))

    def test_parameters(self):
        head = 'void f(int a, int (*b)(int, int), int c, int d, int e, int g, int h%s)\n{\n}\n'
        self.assertEqual([], self.sizes(head % ''))
        self.assertNamed(self.sizes(head % ', int i'), 'parameters is 8')

    def test_ratchet(self):
        measure = [('function', 'a.c:f', 120, 1)]
        self.assertEqual([], list(check_style.ratchet(measure, {('function', 'a.c:f'): 120})))
        for allowed, word in ((119, 'above'), (121, 'lower')):
            self.assertNamed(check_style.ratchet(measure, {('function', 'a.c:f'): allowed}), word)
        self.assertNamed(check_style.ratchet([('function', 'a.c:f', 80, 1)],
                                             {('function', 'a.c:f'): 120}), 'take its line out')
        self.assertNamed(check_style.ratchet([], {('file', 'b.c'): 1000}), 'about nothing')
        self.assertTrue(check_style.read_allowed('function a.c:f 120\n')[1])

    def test_text(self):
        for path, text, part in (
                ('a.c', 'int x;\n', 'SPDX'), ('a.c', SPDX + 'int x;', 'does not end'),
                ('a.c', SPDX + '/* TO' + 'DO: x */\n', 'unfinished'),
                ('a.md', 'see /ho' + 'me/me/x\n', 'machine'), ('a.c', SPDX + 'int x; \n', 'space'),
                ('a.c', SPDX + '\tint x;\n', 'tab'),
                ('a.c', SPDX + 'x' * 101 + '\n', '101 columns')):
            self.assertNamed(check_style.check_text(path, text), part)
        self.assertEqual([], list(check_style.check_text('a.c', SPDX + 'int x; /* a/home/b */\n')))

    def test_headers(self):
        self.assertNamed(check_style.check_header('a.h', SPDX), '#pragma once')
        self.plant('build/config.ninja', 'criterion_cflags = -pthread\n')
        self.plant('core/bad.h', '#pragma once\nuint32_t x(void);\n')
        self.plant('core/good.h', '#pragma once\n#include <stdint.h>\nuint32_t x(void);\n')
        found = check_style.check_headers_alone(self.top, ['core/bad.h', 'core/good.h'])
        self.assertNamed(found, 'core/bad.h', 'uint32_t')

    def test_symbols(self):
        modules = types.SimpleNamespace(MODULES={'core': ['pool']})
        out = self.build('core/pool', 'gcc', '-c', text='int pool_x; int other; int pooled;')
        os.makedirs(os.path.join(self.top, 'build/debug/core'))
        os.rename(out, os.path.join(self.top, 'build/debug/core/pool.o'))
        found = [m[1] for m in check_style.check_symbols(self.top, modules)]
        self.assertEqual(['core/pool.c:other', 'core/pool.c:pooled'], found)

    def test_orphans(self):
        for path in ('core/a.c', 'core/b.c', 'core/c.h', 'core/d.h', 'tests/live/e.py'):
            self.plant(path, '#include "core/c.h"\n')
        self.plant('tests/live/f.c', '')
        self.plant('tests/live/g.py', "gcc('f.c')\n")
        modules = types.SimpleNamespace(
            MODULES={'core': ['a']}, UNIT_TESTS={}, WIDE_TESTS={}, PROGRAMS=[], FINGERPRINT=[],
            SCRIPT_TESTS={'tests/live': ['g']},
            STRESS_TESTS=[], TEST_SUPPORT={}, FUZZ_TARGETS=[], FUZZ_SUPPORT=[],
            BENCHMARKS=[], BENCH_PROGRAMS={})
        found = [s.split(':')[0] for s in check_style.check_orphans(self.top, modules)]
        self.assertEqual(['core/b.c', 'core/d.h', 'tests/live/e.py'], sorted(found))

    def test_layout(self):
        with open(os.path.join(tree.TOP, '.clang-format'), encoding='utf-8') as f:
            self.plant('.clang-format', f.read())
        self.plant('core/a.c', 'int  x;\n')
        self.plant('core/b.c', 'int x;\n')
        self.assertNamed(check_style.check_format(self.top, ['core/a.c', 'core/b.c']), 'core/a.c')


CRITERION = '''#include <criterion/criterion.h>
#include <stdlib.h>
static void late(void) { %s }
Test(a, passes) { cr_assert(1); }
Test(a, skips) { cr_skip_test("why"); }
Test(a, one, .fini = late) { %s }
'''


class Runner(Planted):
    def criterion(self, body, late='', compiler=('gcc',)):
        binary = self.build('test', *compiler, text=CRITERION % (late, body), libs=['-lcriterion'])
        return run_tests.run_criterion(binary)

    def script(self, text, timeout_s=20):
        return run_tests.run_program([sys.executable, self.plant('x.py', text)], timeout_s)

    def assertCounts(self, result, passed, failed, skipped):
        counts = (result.passed, result.failed, len(result.skipped))
        self.assertEqual(counts, (passed, failed, skipped), result.failures)

    def test_criterion(self):
        self.assertCounts(self.criterion('cr_assert(1);'), 2, 0, 1)
        self.assertCounts(self.criterion('cr_assert(0);'), 1, 1, 1)
        self.assertCounts(self.criterion('abort();'), 1, 1, 1)
        self.assertCounts(self.criterion('cr_assert(1);', late='cr_assert(0);'), 2, 1, 1)

    def test_criterion_leak(self):
        body = 'void *volatile p = malloc(3); p = NULL; cr_assert_null(p);'
        result = self.criterion(body, compiler=('clang', '-fsanitize=address'))
        self.assertCounts(result, 2, 1, 1)
        self.assertIn('LeakSanitizer', result.failures[0].said)

    def test_not_built(self):
        self.assertEqual(run_tests.run_criterion(os.path.join(self.top, 'none')).failed, 1)

    def test_script(self):
        self.assertCounts(self.script('print("7 passed, 0 failed")'), 7, 0, 0)
        self.assertCounts(self.script('print("SKIP x\\n7 passed, 0 failed, 1 skipped")'), 7, 0, 1)
        self.assertCounts(self.script('print("7 passed, 2 failed"); exit(1)'), 7, 2, 0)
        self.assertCounts(self.script('print("7 passed, 0 failed"); exit(1)'), 7, 1, 0)
        self.assertCounts(self.script('print("0 passed, 0 failed")'), 0, 1, 0)
        self.assertCounts(self.script('print("LeakSanitizer:\\n7 passed, 0 failed")'), 7, 1, 0)
        self.assertCounts(self.script('print("CHECK failed: x\\n7 passed, 0 failed")'), 7, 1, 0)
        self.assertCounts(self.script('import time; time.sleep(60)', timeout_s=0.5), 0, 1, 0)

    def test_script_without_a_count(self):
        result = run_tests.run_script(self.plant('x.py', 'print("hello")'), False)
        self.assertCounts(result, 0, 1, 0)

    def test_leaves_no_child(self):
        text = 'import subprocess\np = subprocess.Popen(["sleep", "60"])\nprint(p.pid)\n'
        said = run_tests.run([sys.executable, self.plant('x.py', text)], 20)[1]
        for _ in range(100):  # killed, yet it takes a moment to go
            try:
                state = tree.read('/proc', said.strip() + '/stat').split()[2]
            except (FileNotFoundError, ProcessLookupError):
                state = 'X'
            if state in 'ZX':
                return
            time.sleep(0.05)
        self.fail('the child is still alive')

    def test_foreign_library(self):
        program = self.build('x', 'gcc', text='int main(void) { return 0; }')
        self.assertEqual(run_tests.check_libraries(program).failed, 0)
        for name in ('libcrypto.so.3', 'libssl.so.3', 'libcurl.so.4'):
            library = os.path.join(self.top, name)
            self.build('y', 'gcc', '-shared', text='int y;')
            subprocess.run(['gcc', '-shared', '-Wl,-soname,' + name, '-o', library,
                            os.path.join(self.top, 'y.c')], check=True)
            program = self.build('x', 'gcc', text='extern int y; int main(void) { return y; }',
                                 libs=[library, '-Wl,-rpath,' + self.top])
            self.assertEqual(run_tests.check_libraries(program).failed, 1, name)


class Benchmarks(Planted):
    """A work that is not done, or that allocates, must not pass for a fast one."""
    LISTS = 'content core frame fwd lookup memcpy route secblock sip sr stored'.split()

    def check(self, body):
        """bench --check with one work whose run has this body; (exit code, all it said)."""
        text = '#include "bench/bench.h"\n#include <stdlib.h>\nvoid *volatile kept;\n' \
            'static void *setup(void) { static int s; return &s; }\n' \
            'static uint64_t run(void *s, uint64_t n) { (void)s; ' + body + ' }\n' \
            'static uint64_t want(const void *s, size_t i) { (void)s; return i; }\n' \
            'const struct bench bench_fwd_list[] = {{"planted", 1, 4, setup, run, want}, {0}};\n' \
            + ''.join('const struct bench bench_%s_list[] = {{0}};\n' % name
                      for name in self.LISTS if name != 'fwd') \
            + 'int main(int c, char **v) { return bench_main(c, v); }\n'
        libs = [os.path.join(tree.TOP, 'bench', name) for name in ('bench.c', 'bench_alloc.c')]
        out = self.build('planted', 'gcc', '-std=c17', '-D_GNU_SOURCE', '-I' + tree.TOP,
                         text=text, libs=libs)
        ran = subprocess.run([out, '--check'], capture_output=True, text=True)
        return ran.returncode, ran.stdout + ran.stderr

    SUM = 'uint64_t sum = 0; for (uint64_t i = 0; i < n; i++) { sum += i % 4; } return sum;'

    def test_right(self):
        self.assertEqual(self.check(self.SUM), (0, '1 passed, 0 failed\n'))

    def test_work_left_out(self):
        code, said = self.check(self.SUM.replace('i = 0', 'i = 2'))
        self.assertEqual(code, 1)
        self.assertIn('planted: the results add up to', said)

    def test_allocation(self):
        for call in ('malloc(8)', 'calloc(1, 8)', 'realloc(NULL, 8)', 'aligned_alloc(8, 8)'):
            code, said = self.check('kept = %s; ' % call + self.SUM)
            self.assertEqual(code, 1, call)
            self.assertIn('planted: 1 allocations', said)

    def test_counts(self):
        dump = 'desc: Trigger: Client Request: fwd/decode\nevents: Ir\ntotals: 3200\n'
        self.assertEqual(count_instructions.read_dump(dump), ('fwd/decode', 3200))
        self.assertIsNone(count_instructions.read_dump('desc: Trigger: Program termination\n'))
        self.assertEqual(count_instructions.compare({'a': 102.0}, {'a': 100.0}), (1, []))
        for counted in ({'a': 104.0}, {'a': 96.0}, {}, {'a': 100.0, 'b': 1.0}):
            self.assertNamed(count_instructions.compare(counted, {'a': 100.0})[1],
                             'b: is not recorded' if 'b' in counted else 'a: ')

    def test_verdict(self):
        work = bench_check.Work('w', 'a work', 'f', 2.0)
        for times, ok in (({'w': 20.0, 'f': 10.0}, True), ({'w': 21.0, 'f': 10.0}, False),
                          ({'w': 1.0}, False), ({'f': 1.0}, False)):
            rows = bench_check.judge(times, [work])
            self.assertEqual([row['ok'] for row in rows], [ok], times)
            self.assertEqual(' NO ' in bench_check.table(rows), not ok)
        runs = [{'run_name': 'w', 'run_type': 'iteration', 'cpu_time': t} for t in (1, 9, 2)]
        self.assertEqual(bench_check.medians({'benchmarks': runs}), {'w': 2})
        runs[1].update(error_occurred=True, error_message='wrong result')
        with self.assertRaisesRegex(ValueError, 'w: wrong result'):
            bench_check.medians({'benchmarks': runs})


class Build(Planted):
    def configure(self, **replace):
        """configure.py --check in a copy of what it reads, with one text replaced by another."""
        for path in ('configure.py', 'build.ninja', 'modules.py', 'tools/packages.py'):
            text = tree.read(tree.TOP, path)
            for name, (old, new) in replace.items():
                if path.startswith(name):
                    self.assertIn(old, text)
                    text = text.replace(old, new, 1)
            self.plant(path, text)
        sys.path.insert(0, tree.TOP)
        import modules
        import configure
        tables = [modules.MODULES, modules.UNIT_TESTS, modules.WIDE_TESTS, modules.TEST_SUPPORT,
                  {'tests/stress': modules.STRESS_TESTS,
                   'fuzz': modules.FUZZ_TARGETS + modules.FUZZ_SUPPORT,
                   'bench': sum(modules.BENCH_PROGRAMS.values(), modules.BENCHMARKS)}]
        self.assertTrue(configure.LAYERS)
        for folder, listed in (item for table in tables for item in table.items()):
            for name in listed:
                self.plant('%s/%s.c' % (folder, name), '')
        for path in modules.PROGRAMS + modules.FINGERPRINT:
            self.plant(path + '.c', '')
        for folder, listed in modules.SCRIPT_TESTS.items():
            for name in listed:
                self.plant('%s/%s.py' % (folder, name), '')
        return subprocess.run([sys.executable, os.path.join(self.top, 'configure.py'), '--check'],
                              capture_output=True, text=True)

    def test_fresh(self):
        ran = self.configure()
        self.assertEqual(ran.returncode, 0, ran.stderr)

    def test_stale(self):
        ran = self.configure(build=('-Wshadow', '-Wno-shadow'))
        self.assertEqual(ran.returncode, 1)
        self.assertIn('stale', ran.stderr)

    def test_missing_file(self):
        ran = self.configure(modules=("'core': names('''", "'core': names('''\n        aaa_none"))
        self.assertEqual(ran.returncode, 1)
        self.assertIn('core/aaa_none.c', ran.stderr)

    def test_no_machine_in_build_ninja(self):
        self.assertNotRegex(tree.read(tree.TOP, 'build.ninja'), r'(?m)(^|[\s=])/\w')

    def install(self, apt):
        """The install script with a made-up apt-get; returns (exit code, policy during, after)."""
        policy = self.plant('sbin/policy-rc.d', 'mine\n')
        seen = os.path.join(self.top, 'seen')
        fake = self.plant('bin/apt-get', '#!/bin/sh\n[ $1 = update ] && exit 0\n'
                          'sh %s; echo $? > %s\n%s\n' % (policy, seen, apt))
        os.chmod(fake, 0o755)
        path = os.path.join(self.top, 'bin') + ':' + os.environ['PATH']
        code = subprocess.run(['sh', '-c', debian.SCRIPT.replace('/usr/sbin', self.top + '/sbin'),
                               'sh', 'x'], env={**os.environ, 'PATH': path}).returncode
        return code, tree.read(self.top, 'seen').strip(), tree.read(self.top, 'sbin/policy-rc.d')

    def test_install_starts_no_service(self):
        self.assertEqual((0, '101', 'mine\n'), self.install('exit 0'))

    def test_failed_install_restores(self):
        code, during, after = self.install('exit 7')
        self.assertNotEqual(code, 0)
        self.assertEqual(('101', 'mine\n'), (during, after))


class Boringssl(Planted):
    """Building it, with a made-up apt-get and dpkg-query."""

    INDEX = ('MetaKey: main/binary-amd64/Packages\nRepo-URI: http://%s/\nRelease: bookworm\n'
             'Component: main\nOrigin: %s\nCreated-By: %s\n')

    def built(self, apt):
        """What it says: the prefix, or why not."""
        for name, script in (('apt-get', apt), ('dpkg-query', 'printf 13-2')):
            os.chmod(self.plant('bin/' + name, '#!/bin/sh\n%s\n' % script), 0o755)
        path = os.path.join(self.top, 'bin') + ':' + os.environ['PATH']
        ran = subprocess.run(
            [sys.executable, os.path.join(tree.TOP, 'tools/boringssl.py')], capture_output=True,
            text=True, cwd=self.top, env={**os.environ, 'PATH': path})
        return ran.returncode, ran.stdout.strip(), ran.stderr

    def test_sources_of_debian_alone(self):
        index = [self.INDEX % (host, origin, kind) for host, origin, kind in (
            ('a', 'Debian', 'Packages'), ('b', 'Other', 'Packages'), ('c', 'Debian', 'Sources'))]
        self.assertEqual(['deb-src [signed-by=%s] http://a/ bookworm main' % boringssl.KEYS],
                         boringssl.source_lines('\n'.join(index)))

    def test_no_source_package(self):
        index = self.INDEX % ('a', 'Debian', 'Packages')
        code, _, said = self.built('case "$*" in indextargets) echo "%s" ;; *update*) ;; '
                                   '*) echo no such package; exit 100 ;; esac' % index)
        self.assertEqual(code, 1)
        self.assertIn('the source package cannot be had', said)
        self.assertIn('no such package', said)

    def test_no_archive_of_debian(self):
        code, _, said = self.built('exit 0')
        self.assertEqual(code, 1)
        self.assertIn("none of Debian's archives", said)

    def test_built_once(self):
        self.plant('build/boringssl/version', boringssl.made_of('13-2'))
        self.assertEqual((0, 'build/boringssl', ''), self.built('exit 1'))
        for other in (boringssl.made_of('13-1'), '13-2'):  # or compiled in another way
            self.plant('build/boringssl/version', other)
            self.assertEqual(self.built('exit 1')[0], 1)

    @unittest.skipUnless(shutil.which('make'), 'no make')
    def test_compiled_in_two_ways(self):
        """Ed25519 by one compiler, the rest by the other, as `make` is told; hardened alike."""
        self.plant('debian/libcrypto.mk', 'CFLAGS += -here\nbuild: a.o %s\n\t@true\n%%.o:\n'
                   '\tmkdir -p $(@D)\n\techo $(CC) $(CFLAGS) > $@\n' % boringssl.QUICKER[0])
        self.plant('debian/libssl.mk', 'build:\n\t@true\n')
        for name in ('dpkg-buildflags', 'dpkg-architecture'):
            os.chmod(self.plant('bin/' + name, '#!/bin/sh\necho -O2 -hard\n'), 0o755)
        path = os.path.join(self.top, 'bin') + ':' + os.environ['PATH']
        with unittest.mock.patch.dict(os.environ, PATH=path):
            boringssl.compile_libraries(self.top)
        said = []
        for name in ('a.o', boringssl.QUICKER[0]):
            with open(os.path.join(self.top, name), encoding='utf-8') as f:
                said.append(f.read().strip())
        self.assertEqual(said, ['clang -O2 -hard -here', 'gcc -O2 -hard -O3 -here'])

    def test_for_speed(self):
        self.assertNotIn('OPENSSL_SMALL', ' '.join(boringssl.FLAGS.values()))


def main():
    ran = unittest.TextTestRunner(verbosity=0).run(
        unittest.defaultTestLoader.loadTestsFromModule(sys.modules['__main__']))
    failed = len(ran.failures) + len(ran.errors)
    print('%d passed, %d failed' % (ran.testsRun - failed, failed), flush=True)
    sys.exit(1 if failed else 0)


if __name__ == '__main__':
    main()
