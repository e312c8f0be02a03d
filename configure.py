#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Finds what the build needs and writes build.ninja (committed, the same on every machine) and
build/config.ninja (what was found here).  It compiles nothing but small probes."""
import argparse
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import namedtuple
from fnmatch import fnmatch

sys.dont_write_bytecode = True
os.chdir(os.path.dirname(os.path.abspath(__file__)))
import modules  # noqa: E402

# ---- packages -------------------------------------------------------------------------------

Tool = namedtuple('Tool', 'name minimum debian')
TOOLS = [
    Tool('gcc', '12', 'build-essential'),
    Tool('g++', '12', 'build-essential'),
    Tool('gcc-ar', None, 'build-essential'),
    Tool('clang', '14', 'clang'),
    Tool('ninja', '1.10', 'ninja-build'),
    Tool('pkg-config', None, 'pkg-config'),
]

# `used` is False for what the design names and no module needs yet; --deps installs it anyway.
Package = namedtuple('Package', 'name pc minimum debian used why probe')
PACKAGES = [
    Package('liburing', 'liburing', '2.3', 'liburing-dev', True, 'asynchronous I/O',
            '#include <liburing.h>\nint main(void) { struct io_uring r; return !&io_uring_queue_init || !&r; }'),
    Package('jemalloc', 'jemalloc', '5.2', 'libjemalloc-dev', True, 'allocator of the programs',
            '#include <jemalloc/jemalloc.h>\nint main(void) { return mallctl("epoch", 0, 0, 0, 0); }'),
    Package('xxhash', 'libxxhash', '0.8', 'libxxhash-dev', True, 'hashing of tables',
            '#include <xxhash.h>\nint main(void) { return XXH3_64bits("", 0) == 1; }'),
    Package('confuse', 'libconfuse', '3.3', 'libconfuse-dev', True, 'configuration file',
            '#include <confuse.h>\nint main(void) { return !confuse_version; }'),
    Package('xml2', 'libxml-2.0', '2.9.14', 'libxml2-dev', True, 'overlay document',
            '#include <libxml/relaxng.h>\nint main(void) { xmlRelaxNGCleanupTypes(); return 0; }'),
    Package('jansson', 'jansson', '2.13', 'libjansson-dev', True, 'JSON',
            '#include <jansson.h>\nint main(void) { json_decref(json_null()); return 0; }'),
    Package('microhttpd', 'libmicrohttpd', '0.9.75', 'libmicrohttpd-dev', False, 'metrics over HTTP',
            '#include <microhttpd.h>\nint main(void) { return !MHD_get_version(); }'),
    Package('lmdb', 'lmdb', '0.9.24', 'liblmdb-dev', False, 'persistence',
            '#include <lmdb.h>\nint main(void) { return !mdb_version(0, 0, 0); }'),
    Package('cares', 'libcares', '1.18', 'libc-ares-dev', False, 'DNS',
            '#include <ares.h>\nint main(void) { return !ares_version(0); }'),
    Package('pcap', 'libpcap', '1.10', 'libpcap-dev', False, 'capture files',
            '#include <pcap.h>\nint main(void) { return !pcap_lib_version(); }'),
    Package('criterion', 'criterion', '2.4.1', 'libcriterion-dev', True, 'unit tests',
            '#include <criterion/criterion.h>\nTest(a, b) { cr_assert(1); }'),
    Package('benchmark', 'benchmark', '1.7', 'libbenchmark-dev', True, 'benchmarks',
            '#include <benchmark/benchmark.h>\nBENCHMARK_MAIN();'),
]
# Wrong headers fail to compile, a wrong library fails to say its name when the probe runs.
BORINGSSL_PROBE = '''#include <openssl/ssl.h>
#include <stdio.h>
#ifndef OPENSSL_IS_BORINGSSL
#error "these are the headers of OpenSSL, not of BoringSSL"
#endif
int main(void) {
    SSL_CTX *ctx = SSL_CTX_new(DTLS_method());
    printf("%s %d", SSLeay_version(0), BORINGSSL_API_VERSION);
    return ctx == NULL || FIPS_mode() < 0;
}'''

DEBIAN = '''build-essential gcc g++ clang clang-format clang-tidy libclang-rt-14-dev llvm ninja-build
    pkg-config python3 git android-libboringssl-dev sip-tester sipsak baresip-core tshark openssl
    iproute2 procps valgrind'''.split() + [p.debian for p in PACKAGES]
DEBIAN_BENCH = 'kamailio redis-server redis-tools gnuplot-nox linux-perf'.split()


def die(text):
    sys.exit('configure.py: ' + text)


def version_tuple(text):
    return tuple(int(n) for n in re.findall(r'\d+', text))


def lacking(what, need, have, looked, debian, said=''):
    text = '%s\n  need:      %s\n  have:      %s\n  looked in: %s\n  install:   ' % (what, need, have, looked)
    text += './configure.py --deps   (or: apt-get install %s)' % debian
    if said.strip():
        text += '\n  the probe said:\n    ' + '\n    '.join(said.strip().splitlines()[:20])
    return text


def find_tool(tool):
    need = tool.name + (' >= ' + tool.minimum if tool.minimum else '')
    path = shutil.which(tool.name)
    if not path:
        return lacking(tool.name, need, 'nothing', 'PATH=' + os.environ.get('PATH', ''), tool.debian)
    if tool.minimum:
        said = subprocess.run([path, '--version'], capture_output=True, text=True).stdout
        have = re.search(r'\d+\.\d+(\.\d+)?', said.splitlines()[0].split(')')[-1] if said else '')
        if not have or version_tuple(have.group()) < version_tuple(tool.minimum):
            return lacking(tool.name, need, have.group() if have else 'unknown', path, tool.debian)
    return None


def probe(source, flags, language='c'):
    """Compiles, links and runs a small program; returns (worked, everything it said)."""
    with tempfile.TemporaryDirectory() as scratch:
        program = os.path.join(scratch, 'probe')
        command = ['g++' if language == 'c++' else 'gcc', '-x', language, '-', '-x', 'none', '-o', program]
        made = subprocess.run(command + flags, input=source + '\n', text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if made.returncode:
            return False, made.stdout
        ran = subprocess.run([program], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        ldd = subprocess.run(['ldd', program], capture_output=True, text=True).stdout
        return ran.returncode == 0, ran.stdout + '\n' + ldd


def find_package(package, found):
    need = '%s >= %s (%s)' % (package.pc, package.minimum, package.why)
    looked = 'pkg-config, path ' + (os.environ.get('PKG_CONFIG_PATH', '') + ':' + pkg_config(
        '--variable', 'pc_path', 'pkg-config')[1]).strip(':')
    ok, have = pkg_config('--modversion', package.pc)
    if not ok:
        return lacking(package.name, need, 'nothing', looked, package.debian)
    if not pkg_config('--atleast-version', package.minimum, package.pc)[0]:
        return lacking(package.name, need, have, looked, package.debian)
    cflags = re.sub(r'(^|\s)-I\s*', r'\1-isystem ', pkg_config('--cflags', package.pc)[1])
    libs = pkg_config('--libs', package.pc)[1]
    ok, said = probe(package.probe, cflags.split() + libs.split(),
                     'c++' if package.name == 'benchmark' else 'c')
    if not ok:
        return lacking(package.name + ' does not work', need, have, looked, package.debian, said)
    found[package.name] = (cflags, libs)
    return None


def pkg_config(*args):
    ran = subprocess.run(['pkg-config', *args], capture_output=True, text=True)
    return ran.returncode == 0, ran.stdout.strip()


def find_boringssl(prefix, found):
    """Full paths of the libraries, so that -lssl can never mean OpenSSL's; an rpath for shared ones."""
    multiarch = subprocess.run(['gcc', '-print-multiarch'], capture_output=True, text=True).stdout.strip()
    if prefix:
        prefix = os.path.abspath(prefix)
        includes = [prefix + '/include', prefix + '/include/android', prefix + '/src/include']
        folders = [prefix + '/lib', prefix + '/lib/' + multiarch, prefix + '/build', prefix + '/lib/android', prefix]
    else:
        includes = ['/usr/include/android']
        folders = ['/usr/lib/%s/android' % multiarch]
    need = 'BoringSSL (TLS, DTLS, signatures)'
    looked = ' '.join(includes + folders)
    include = next((d for d in includes if os.path.exists(d + '/openssl/ssl.h')), None)
    libraries = []
    for stem in ('ssl', 'crypto'):
        for folder in folders:
            pick = [n for pattern in ('%s/lib%s.so', '%s/lib%s.a', '%s/' + stem + '/lib%s.a',
                                      '%s/' + stem + '/lib%s.so') for n in glob.glob(pattern % (folder, stem))]
            if pick:
                libraries.append(pick[0])
                break
    if not include or len(libraries) < 2:
        have = 'headers ' + (include or 'none') + ', libraries ' + (' '.join(libraries) or 'none')
        return lacking('boringssl', need, have, looked, 'android-libboringssl-dev')
    cflags = '-isystem ' + include
    shared = {os.path.dirname(n) for n in libraries if n.endswith('.so')}
    libs = ' '.join(libraries + ['-Wl,-rpath,' + d for d in sorted(shared)] + ['-lstdc++', '-pthread'])
    ok, said = probe(BORINGSSL_PROBE, cflags.split() + libs.split())
    if not ok or not said.startswith('BoringSSL') or re.search(r'lib(ssl|crypto)\.so\.[1-9]', said):
        return lacking('boringssl does not work', need, 'something else: ' + include + ' '
                       + ' '.join(libraries), looked, 'android-libboringssl-dev', said)
    found['boringssl'] = (cflags, libs)
    return None


def find_all(prefix):
    wrong = [w for w in map(find_tool, TOOLS) if w]
    found = {}
    if not wrong:
        wrong = [w for w in (find_package(p, found) for p in PACKAGES if p.used) if w]
        wrong += [w for w in [find_boringssl(prefix, found)] if w]
    if wrong:
        die('something is missing\n\n' + '\n\n'.join(wrong))
    return found


# ---- the build --------------------------------------------------------------------------------

WARN = ('-Wall -Wextra -Wconversion -Wsign-conversion -Wshadow -Wswitch-enum -Wvla -Walloca -Wcast-qual '
        '-Wundef -Wstrict-prototypes -Wmissing-prototypes -Wimplicit-fallthrough -Werror')
WARN_GCC = '-Wframe-larger-than=4096 -Wlogical-op -Wduplicated-cond -Wcast-align=strict'
COMMON = '-std=c17 -D_GNU_SOURCE -I. -g -pthread -fno-strict-aliasing'
CHECKED = COMMON + ' -DCHORDIAL_DEBUG ' + WARN
ASAN = '-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer'
LINK = '-pthread -Wl,--as-needed'

Mode = namedtuple('Mode', 'name compiler cflags ldflags')
MODES = [
    Mode('release', 'gcc', COMMON + ' -O3 -flto=auto -fstack-protector-strong -D_FORTIFY_SOURCE=3 '
         + WARN + ' ' + WARN_GCC, LINK + ' -Wl,-z,relro,-z,now'),
    Mode('debug', 'gcc', CHECKED + ' ' + WARN_GCC + ' -Og -fstack-protector-strong', LINK),
    Mode('asan', 'clang', CHECKED + ' -O1 ' + ASAN, LINK + ' ' + ASAN),
    Mode('tsan', 'clang', CHECKED + ' -O1 -fsanitize=thread', LINK + ' -fsanitize=thread'),
    Mode('fuzz', 'clang', CHECKED + ' -O1 -fsanitize=fuzzer-no-link ' + ASAN, LINK + ' -fsanitize=fuzzer ' + ASAN),
    Mode('coverage', 'clang', CHECKED + ' -fprofile-instr-generate -fcoverage-mapping',
         LINK + ' -fprofile-instr-generate'),
]
# What an archive needs at link time, and which sources may see a package's headers.
LIBRARIES = {'core': ['xxhash'], 'core/os': ['liburing'], 'link': ['boringssl'], 'node': ['xml2'],
             'cmd': ['confuse', 'jansson', 'boringssl']}
HEADERS = [('core/*', 'xxhash'), ('core/os/*', 'liburing'), ('link/*_boring', 'boringssl'),
           ('tests/unit/link/test_*_boring', 'boringssl'), ('cmd/x509*', 'boringssl'), ('node/*', 'xml2'),
           ('cmd/*', 'confuse'), ('cmd/*', 'jansson'), ('tests/*', 'jansson'), ('tests/*', 'criterion')]
LAYERS = list(modules.MODULES)


class Ninja:
    def __init__(self):
        self.lines = ['# Written by configure.py from modules.py; edit those.', 'ninja_required_version = 1.10',
                      'builddir = build', 'include build/config.ninja', '']

    def rule(self, name, command, **more):
        self.lines += ['rule ' + name, '  command = ' + command]
        self.lines += ['  %s = %s' % (key, value) for key, value in more.items()] + ['']

    def build(self, out, rule, inputs, implicit=(), **more):
        self.lines.append('build %s: %s %s' % (out, rule, ' '.join(inputs))
                          + (' | ' + ' '.join(implicit) if implicit else ''))
        self.lines += ['  %s = %s' % (key, value) for key, value in more.items() if value]


def variables(packages, kind):
    return ' '.join('$%s_%s' % (p, kind) for p in packages)


def below(folder):
    """The folders whose archives a program of `folder` links, highest first."""
    reach = ['core', 'core/os'] if folder == 'core/os' else LAYERS[:LAYERS.index(folder) + 1]
    return [f for f in reversed(reach) if archive_sources(f)]


def archive(mode, folder):
    return 'build/%s/lib%s.a' % (mode, folder.replace('/', '_'))


def compile_c(n, mode, source):
    """`source` has no extension; returns the object."""
    out = 'build/%s/%s.o' % (mode, source)
    pkg = variables([p for pattern, p in HEADERS if fnmatch(source, pattern)], 'cflags')
    n.build(out, 'cc_' + mode, [source + '.c'], pkg=pkg)
    return out


def link(n, mode, out, objects, folder, extra=()):
    folders = below(folder)
    packages = list(extra) + [p for f in folders for p in LIBRARIES.get(f, [])]
    n.build(out, 'link_' + mode, objects + [archive(mode, f) for f in folders],
            libs=variables(dict.fromkeys(packages), 'libs'))
    return out


def archive_sources(folder):
    return [name for name in modules.MODULES[folder] if (folder, name) != ('cmd', 'main')]


def write_mode(n, mode):
    """Objects, archives and programs of one mode; returns what each group of targets holds."""
    made = {'lib': [], 'program': [], 'unit': [], 'wide': [], 'stress': [], 'fuzz': []}
    for folder in LAYERS:
        objects = [compile_c(n, mode, folder + '/' + name) for name in archive_sources(folder)]
        if objects:
            n.build(archive(mode, folder), 'ar', objects)
            made['lib'].append(archive(mode, folder))
    if 'main' in modules.MODULES['cmd'] and mode != 'fuzz':
        memory = ['jemalloc'] if mode in ('release', 'debug') else []
        main = compile_c(n, mode, 'cmd/main')
        made['program'].append(link(n, mode, 'build/%s/chordial' % mode, [main], 'cmd', memory))
    return made


def write_tests(n, mode, made):
    libs = ['criterion', 'jansson']
    support = [compile_c(n, mode, 'tests/support/' + name) for name in modules.TEST_SUPPORT]
    suites = [('unit', d, d[len('tests/unit/'):], t) for d, t in modules.UNIT_TESTS.items()]
    suites += [('wide', d, 'sim', t) for d, t in modules.WIDE_TESTS.items()]
    for group, directory, folder, tests in suites:
        for name in tests if mode in ('debug', 'asan', 'coverage') else []:
            source = directory + '/' + name
            objects = [compile_c(n, mode, source)] + support
            made[group].append(link(n, mode, 'build/%s/%s' % (mode, source), objects, folder, libs))
    for name in modules.STRESS_TESTS if mode in ('debug', 'tsan') else []:
        objects = [compile_c(n, mode, 'tests/stress/' + name)]
        made['stress'].append(link(n, mode, 'build/%s/tests/stress/%s' % (mode, name), objects, 'cmd'))
    for name in modules.FUZZ_TARGETS if mode == 'fuzz' else []:
        objects = [compile_c(n, mode, 'fuzz/' + name)]
        made['fuzz'].append(link(n, mode, 'build/fuzz/' + name, objects, 'sim'))


def generate():
    """The text of build.ninja."""
    n = Ninja()
    n.rule('configure', './configure.py $configure_args', generator='1', description='configure')
    n.build('build.ninja build/config.ninja', 'configure', [], ['configure.py', 'modules.py'])
    n.lines.append('')
    n.rule('ar', 'rm -f $out && gcc-ar rcs $out $in', description='ar $out')
    n.rule('symlink', 'ln -sfn $in $out', description='ln $out')
    n.rule('run', '$command', pool='console', description='$out')
    n.lines += ['pool lto', '  depth = 1', '']
    for m in MODES:
        n.lines += ['cflags_%s = %s' % (m.name, m.cflags), 'ldflags_%s = %s' % (m.name, m.ldflags)]
        n.rule('cc_' + m.name, '%s $cflags_%s $pkg -MMD -MF $out.d -c $in -o $out' % (m.compiler, m.name),
               depfile='$out.d', deps='gcc', description=m.name + ' $out')
        flags = '$cflags_release $ldflags_release' if m.name == 'release' else '$ldflags_' + m.name
        pool = {'pool': 'lto'} if m.name == 'release' else {}
        n.rule('link_' + m.name, '%s %s -o $out $in $libs' % (m.compiler, flags), description='link $out', **pool)
    made = {}
    for m in MODES:
        n.lines += ['', '# ---- ' + m.name]
        made[m.name] = write_mode(n, m.name)
        write_tests(n, m.name, made[m.name])
        n.build(m.name, 'phony', [t for group in made[m.name].values() for t in group
                                  if group is not made[m.name]['unit'] and group is not made[m.name]['wide']])
    n.lines += ['', '# ---- what people type']
    write_targets(n, made)
    return '\n'.join(n.lines) + '\n'


def write_targets(n, made):
    release, debug = made['release'], made['debug']
    top = release['lib']
    if release['program']:
        n.build('chordial', 'symlink', release['program'])
        top = ['chordial']
        n.build('demo', 'run', [], top, command='./chordial demo --once')
    n.lines.append('default ' + ' '.join(top or ['build.ninja']))
    tests = debug['unit'] + debug['wide']
    stress = debug['stress'] + made['tsan']['stress']
    n.build('tests', 'phony', tests)
    n.build('asan-tests', 'phony', made['asan']['unit'] + made['asan']['wide'])
    everything = tests + stress + made['asan']['unit'] + made['asan']['program'] + debug['lib'] + debug['program']
    n.build('test', 'run', [], top + everything + made['fuzz']['fuzz'], command='tools/run_tests.py')
    n.build('style', 'run', [], debug['lib'], command='tools/run_tests.py style')
    n.build('live-check', 'run', [], top + made['asan']['program'], command='tools/run_tests.py --full live')
    if made['fuzz']['fuzz']:
        n.build('fuzz-smoke', 'run', [], made['fuzz']['fuzz'], command='tools/run_tests.py fuzz')
    n.build('cover', 'run', [], made['coverage']['unit'] + made['coverage']['wide'], command='tools/cover.py')
    n.build('format', 'run', [], command='tools/check_style.py --format')
    n.build('tidy', 'run', [], command='tools/check_style.py --tidy')
    if modules.BENCHMARKS:
        objects = [compile_c(n, 'release', 'bench/' + name) for name in modules.BENCHMARKS]
        n.rule('cxx_release', 'g++ -std=c++17 -O3 -g -I. -Wall -Wextra -Werror $pkg -MMD -MF $out.d -c $in -o $out',
               depfile='$out.d', deps='gcc', description='release $out')
        n.build('build/release/bench/gbench.o', 'cxx_release', ['bench/gbench.cc'], pkg='$benchmark_cflags')
        link(n, 'release', 'build/release/benchmarks', objects + ['build/release/bench/gbench.o'], 'cmd', ['benchmark'])
        n.build('run-bench', 'run', [], ['build/release/benchmarks'], command='build/release/benchmarks')
        n.build('bench', 'phony', ['run-bench'])    # bench/ exists, a rule of that name would never run


def check_files():
    """Every name of modules.py must be a file, once."""
    wrong = []
    lists = {**modules.MODULES, **modules.UNIT_TESTS, **modules.WIDE_TESTS, 'tests/stress': modules.STRESS_TESTS,
             'tests/support': modules.TEST_SUPPORT, 'fuzz': modules.FUZZ_TARGETS, 'bench': modules.BENCHMARKS}
    for extension, table in (('.c', lists), ('.py', modules.SCRIPT_TESTS)):
        for folder, entries in table.items():
            wrong += ['%s: listed in modules.py under %r, no such file' % (path, folder) for path in
                      (folder + '/' + name + extension for name in entries) if not os.path.isfile(path)]
            if entries != sorted(set(entries)):
                wrong.append('modules.py: %r is not sorted, or names one twice' % folder)
    if wrong:
        die('\n  '.join(['modules.py and the tree differ'] + wrong))


def write_file(path, text):
    os.makedirs(os.path.dirname(path) or '.', exist_ok=True)
    with open(path + '.new', 'w') as f:
        f.write(text)
    os.replace(path + '.new', path)


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument('--deps', nargs='?', const='build', choices=['build', 'bench'],
                         help='first install what is missing from Debian 12 (bench: also the rivals)')
    options.add_argument('--boringssl', metavar='PREFIX', help="use this BoringSSL, not Debian's")
    options.add_argument('--check', action='store_true', help='only tell whether build.ninja is stale')
    args = options.parse_args()
    if args.deps:
        sys.path.insert(0, 'tools')
        import debian
        debian.install(DEBIAN + (DEBIAN_BENCH if args.deps == 'bench' else []))
    check_files()
    text = generate()
    if args.check:
        with open('build.ninja') as f:
            same = f.read() == text
        sys.exit(None if same else 'build.ninja is stale: run ./configure.py and commit it')
    found = find_all(args.boringssl)
    lines = ['# Written by configure.py: what it found on this machine.']
    lines.append('configure_args = ' + ('--boringssl=' + os.path.abspath(args.boringssl) if args.boringssl else ''))
    for name, (cflags, libs) in found.items():
        lines += ['%s_cflags = %s' % (name, cflags), '%s_libs = %s' % (name, libs)]
    write_file('build/config.ninja', '\n'.join(lines) + '\n')
    write_file('build.ninja', text)
    database = subprocess.run(['ninja', '-t', 'compdb', 'cc_debug'], capture_output=True, text=True, check=True)
    write_file('compile_commands.json', database.stdout)


if __name__ == '__main__':
    main()
