#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Finds what the build needs and writes build.ninja (committed, the same on every machine) and
build/config.ninja (what was found here).  It compiles nothing but small probes."""
import argparse
import os
import subprocess
import sys
from collections import namedtuple
from fnmatch import fnmatch

sys.dont_write_bytecode = True
os.chdir(os.path.dirname(os.path.abspath(__file__)))
sys.path[:0] = ['.', 'tools']
import modules  # noqa: E402
import packages  # noqa: E402

INPUTS = ['configure.py', 'modules.py', 'tools/packages.py']  # ninja re-runs us when one changes

# ---- flags ----------------------------------------------------------------------------------

WARN = ('-Wall -Wextra -Wconversion -Wsign-conversion -Wshadow -Wswitch-enum -Wvla -Walloca'
        ' -Wcast-qual -Wundef -Wstrict-prototypes -Wmissing-prototypes -Wimplicit-fallthrough'
        ' -Werror')
# the sanitizers' red zones make frames large, so only gcc's modes have a ceiling for them
WARN_GCC = WARN + ' -Wframe-larger-than=4096 -Wlogical-op -Wduplicated-cond -Wcast-align=strict'
BASE = '-std=c17 -D_GNU_SOURCE -I. -g -pthread -fno-strict-aliasing'
DEBUG = BASE + ' -DCHORDIAL_DEBUG'
PROTECT = '-fstack-protector-strong'
ASAN = '-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer'
LINK = '-pthread -Wl,--as-needed'

Mode = namedtuple('Mode', 'name compiler cflags ldflags')
MODES = [
    # By default the inlining of one call takes from a budget of all, so that code got slower which
    # nobody had touched (table/find by 18 %).
    # Two fields that were written one by one are not read back together: the processor would wait
    # until both are in the cache.
    Mode('release', 'gcc', f'{BASE} -O3 -fno-tree-slp-vectorize -flto=auto'
         f' --param=inline-unit-growth=100 {PROTECT} -D_FORTIFY_SOURCE=3 {WARN_GCC}',
         f'{LINK} -Wl,-z,relro,-z,now'),
    Mode('debug', 'gcc', f'{DEBUG} -Og {PROTECT} {WARN_GCC}', LINK),
    Mode('asan', 'clang', f'{DEBUG} -O1 {ASAN} {WARN}', f'{LINK} {ASAN}'),
    Mode('tsan', 'clang', f'{DEBUG} -O1 -fsanitize=thread {WARN}', f'{LINK} -fsanitize=thread'),
    # without the tracing of comparisons: the mutators and dictionaries know lengths and codes, and
    # to trace each cursor's check costs a third of all executions
    Mode('fuzz', 'clang',
         f'{DEBUG} -O2 -fsanitize=fuzzer-no-link -fno-sanitize-coverage=trace-cmp {ASAN} {WARN}',
         f'{LINK} -fsanitize=fuzzer {ASAN}'),
    # only for tools/fuzz_campaign.py: AFL++ is not among what the build asks for
    Mode('afl', 'AFL_QUIET=1 afl-clang-fast', f'{DEBUG} -O2 {ASAN}',
         f'{LINK} -fsanitize=fuzzer {ASAN}'),
    Mode('coverage', 'clang', f'{DEBUG} -fprofile-instr-generate -fcoverage-mapping {WARN}',
         f'{LINK} -fprofile-instr-generate'),
]
# Only what the simulator needs, for `ninja sim-fingerprint`: the same run by each of these.
FINGERPRINTS = [Mode(f'sim_{compiler}_{level}', compiler, f'{BASE} -{level}', LINK)
                for compiler in ('gcc', 'clang') for level in ('O0', 'O3')]
# The same for another processor, run by an emulator; `--deps=arm64` fetches what it is built from.
ARM64 = 'build/arm64'
ARM64_ANDROID = '/usr/lib/aarch64-linux-gnu/android'  # where Debian has BoringSSL
ARM64_BORINGSSL = (f'{ARM64}{ARM64_ANDROID}/libssl.so {ARM64}{ARM64_ANDROID}/libcrypto.so'
                   f' -Wl,-rpath,{ARM64_ANDROID}')
FINGERPRINT_ARM64 = Mode('sim_arm64', f'aarch64-linux-gnu-gcc --sysroot={ARM64}', f'{BASE} -O2',
                         LINK)
FUZZ_MODES = ('fuzz', 'afl')
CRITERION_MODES = ('debug', 'asan', 'coverage')
STRESS_MODES = ('debug', 'tsan')  # Criterion does not start under TSan, these have their own main
JEMALLOC_MODES = ('release', 'debug')  # a sanitizer brings an allocator of its own

# Which sources see the headers of which package, and what an archive's users must link.
HEADERS = [
    ('core/*', 'xxhash'),
    ('core/os/*', 'liburing'),
    ('link/crypto_*', 'boringssl'),
    ('link/tls_*', 'boringssl'),
    ('fuzz/fuzz_tls_*', 'boringssl'),
    ('node/*', 'xml2'),
    ('cmd/*', 'confuse'),
    ('cmd/*', 'jansson'),
    ('cmd/capture', 'pcap'),
    ('cmd/sim_files', 'pcap'),
    ('cmd/persist_lmdb', 'lmdb'),
    ('cmd/resolver', 'cares'),
    ('cmd/metrics_http', 'microhttpd'),
    ('bench/*_boring', 'boringssl'),
    ('bench/floor_udp_uring', 'liburing'),
    ('tests/*', 'criterion'),
    ('tests/*', 'jansson'),
    ('tests/*_boring', 'boringssl'),
    ('tests/unit/node/*', 'xml2'),
    ('tests/unit/link/bare_pair', 'boringssl'),
    ('tests/unit/link/test_crypto_*', 'boringssl'),
    ('tests/unit/link/test_tls_*', 'boringssl'),
]
LIBRARIES = {
    'core': ['xxhash'],
    'link': ['boringssl'],
    'node': ['xml2'],
    'core/os': ['liburing'],
    'cmd': ['confuse', 'jansson', 'boringssl', 'pcap', 'lmdb', 'cares', 'microhttpd'],
}
LAYERS = list(modules.MODULES)

# ---- the graph ------------------------------------------------------------------------------


class Ninja:
    """The lines of build.ninja."""

    def __init__(self, comment):
        self.lines = ['# ' + comment]
        self.made = set()  # objects, so that programs may share them

    def rule(self, name, command, **variables):
        self.lines += ['', 'rule ' + name, '  command = ' + command]
        self.lines += ['  %s = %s' % item for item in variables.items()]

    def build(self, outputs, rule, inputs, implicit=(), **variables):
        words = list(inputs) + (['|'] + list(implicit) if implicit else [])
        # one input a line where there are many: such lines merge
        between = ' $\n    ' if len(words) > 3 else ' '
        self.lines.append(between.join(['build %s: %s' % (outputs, rule)] + words))
        self.lines += ['  %s = %s' % item for item in variables.items() if item[1]]


def references(names, kind):
    return ' '.join('$%s_%s' % (name, kind) for name in dict.fromkeys(names))


def archive_sources(folder):
    return [name for name in modules.MODULES[folder] if (folder, name) != ('cmd', 'main')]


def archive(mode, folder):
    return 'build/%s/lib%s.a' % (mode, folder.replace('/', '_'))


def below(folder):
    """The folders whose archives a program of `folder` links, highest first."""
    reach = ['core', folder] if folder == 'core/os' else LAYERS[:LAYERS.index(folder) + 1]
    return [f for f in reversed(reach) if archive_sources(f)]


def compile_c(n, mode, source):
    """Compiles `source` (no extension), once, and returns the object."""
    out = 'build/%s/%s.o' % (mode, source)
    if out in n.made:
        return out
    n.made.add(out)
    wanted = [name for pattern, name in HEADERS if fnmatch(source, pattern)]
    flags = references(wanted, 'cflags')
    if source.split('/')[0] not in LAYERS:
        flags += ' -Wno-frame-larger-than'  # tests may use their stack as they like
    n.build(out, 'cc_' + mode, [source + '.c'], package_flags=flags)
    return out


def link(n, mode, out, objects, folder, extra=()):
    """Links `objects` with the archives of `folder` and below, and what those need."""
    folders = below(folder)
    libraries = list(extra) + [name for f in folders for name in LIBRARIES.get(f, [])]
    libs = references(libraries, 'libs')
    if mode == FINGERPRINT_ARM64.name:
        libs = libs.replace('$boringssl_libs', ARM64_BORINGSSL)
    if 'jemalloc' in extra:  # with LTO the linker sees too late that malloc is wanted
        libs = libs.replace('$jemalloc_libs',
                            '-Wl,--push-state,--no-as-needed $jemalloc_libs -Wl,--pop-state')
    n.build(out, 'link_' + mode, objects + [archive(mode, f) for f in folders], libs=libs)
    return out


def write_product(n, mode, shared):
    """Archives and programs of one mode: what `ninja MODE` builds."""
    made = []
    for folder in LAYERS:
        objects = [compile_c(n, mode, folder + '/' + name) for name in archive_sources(folder)]
        if objects:
            n.build(archive(mode, folder), 'ar', objects)
            made.append(archive(mode, folder))
    programs = ['cmd/main'] if 'main' in modules.MODULES['cmd'] else []
    for source in programs + modules.PROGRAMS if mode not in FUZZ_MODES else []:
        name = 'chordial' if source == 'cmd/main' else os.path.basename(source)
        objects = [compile_c(n, mode, source)] + shared.get(os.path.dirname(source), [])
        made.append(link(n, mode, 'build/%s/%s' % (mode, name), objects, 'cmd',
                         ['jemalloc'] if mode in JEMALLOC_MODES else []))
    return made


def write_shared(n, mode):
    """What tests and programs of one folder share, as objects of that folder."""
    return {folder: [compile_c(n, mode, folder + '/' + name) for name in listed]
            for folder, listed in modules.TEST_SUPPORT.items()}


def write_criterion(n, mode, shared):
    suites = [(d, d.removeprefix('tests/unit/'), t) for d, t in modules.UNIT_TESTS.items()]
    suites += [(d, 'cmd', t) for d, t in modules.WIDE_TESTS.items()]
    return [link(n, mode, 'build/%s/%s/%s' % (mode, directory, name),
                 [compile_c(n, mode, directory + '/' + name)] + shared.get(directory, []), folder,
                 ['criterion', 'jansson'])
            for directory, folder, tests in suites for name in tests]


def write_own_main(n, mode, directory, names, folder, out):
    return [link(n, mode, out + '/' + name, [compile_c(n, mode, directory + '/' + name)], folder)
            for name in names]


def write_replays(n):
    """The fuzz targets with a main that runs files, for tools/cover.py."""
    replay = compile_c(n, 'coverage', 'fuzz/replay')
    return [link(n, 'coverage', 'build/coverage/fuzz/' + name,
                 [compile_c(n, 'coverage', 'fuzz/' + name), replay], 'sim')
            for name in modules.FUZZ_TARGETS]


def write_rules(n):
    n.lines += ['ninja_required_version = 1.10', 'builddir = build', 'include build/config.ninja']
    n.rule('configure', './configure.py $configure_args', generator=1, description='configure')
    n.rule('ar', 'rm -f $out && gcc-ar rcs $out $in', description='ar $out')
    n.rule('symlink', 'ln -sfn $in $out', description='ln $out')
    n.rule('run', '$command', pool='console', description='$out')
    n.lines += ['', 'pool lto', '  depth = 1']
    for m in MODES + FINGERPRINTS + [FINGERPRINT_ARM64]:
        compiler = f'{m.compiler} $cflags_{m.name} $package_flags'
        lto = {'pool': 'lto'} if '-flto' in m.cflags else {}  # it compiles again, on all cores
        flags = f'$cflags_{m.name} $ldflags_{m.name}' if lto else f'$ldflags_{m.name}'
        n.lines += ['', f'cflags_{m.name} = {m.cflags}', f'ldflags_{m.name} = {m.ldflags}']
        n.rule('cc_' + m.name, compiler + ' -MMD -MF $out.d -c $in -o $out', depfile='$out.d',
               deps='gcc', description='cc $out')
        # A frame is judged where a function is compiled: link-time inlining makes larger ones.
        n.rule('link_' + m.name, f'{m.compiler} {flags} -Wno-frame-larger-than -o $out $in $libs',
               description='link $out', **lto)
    n.rule('cxx_release', 'g++ -std=c++17 -O3 -g -I. -Wall -Wextra -Werror $package_flags'
           ' -MMD -MF $out.d -c $in -o $out', depfile='$out.d', deps='gcc', description='c++ $out')


def generate():
    """The text of build.ninja."""
    n = Ninja('Written by configure.py from modules.py: edit those, then run ./configure.py.')
    write_rules(n)
    n.lines.append('')
    n.build('build.ninja build/config.ninja', 'configure', [], INPUTS)
    product, criterion, stress, fuzz = {}, {}, {}, {}
    for mode in (m.name for m in MODES):
        n.lines += ['', '# ---- ' + mode]
        shared = write_shared(n, mode) if mode not in FUZZ_MODES else {}
        product[mode] = write_product(n, mode, shared)
        if mode in CRITERION_MODES:
            criterion[mode] = write_criterion(n, mode, shared)
        if mode in STRESS_MODES:
            stress[mode] = write_own_main(n, mode, 'tests/stress', modules.STRESS_TESTS, 'cmd',
                                          'build/%s/tests/stress' % mode)
        if mode in FUZZ_MODES:
            fuzz[mode] = write_own_main(n, mode, 'fuzz', modules.FUZZ_TARGETS, 'sim',
                                        'build/' + mode)
        if mode == 'coverage':
            criterion[mode] += write_replays(n)
        n.build(mode, 'phony', product[mode] + fuzz.get(mode, []))
    n.lines += ['', '# ---- what people type']
    write_targets(n, product, criterion, stress['debug'] + stress['tsan'], fuzz['fuzz'])
    return '\n'.join(n.lines) + '\n'


def write_bench(n):
    objects = [compile_c(n, 'release', 'bench/' + name) for name in modules.BENCHMARKS]
    objects.append('build/release/bench/gbench.o')
    n.build(objects[-1], 'cxx_release', ['bench/gbench.cc'], package_flags='$benchmark_cflags')
    program = link(n, 'release', 'build/release/benchmarks', objects, 'cmd', ['benchmark'])
    # a target named bench with a command would never run: that is a folder's name
    n.build('run-bench', 'run', [], [program], command='bench/check.py')
    n.build('bench', 'phony', ['run-bench'])
    n.build('count-instructions', 'run', [], [program], command='tools/count_instructions.py')
    return [program] + write_bench_programs(n)


def write_bench_programs(n):
    """Programs of their own, which bench/rivals.py runs.  Returns what the tests need of them: the
    one that they run, and that the others compile; to link each takes ten seconds."""
    objects = {name: [compile_c(n, 'release', 'bench/' + source) for source in sources]
               for name, sources in modules.BENCH_PROGRAMS.items()}
    programs = {name: link(n, 'release', 'build/release/bench/' + name, made, 'cmd', ['jemalloc'])
                for name, made in objects.items()}
    n.build('bench-programs', 'phony', list(programs.values()))
    n.build('rivals', 'run', [], list(programs.values()), command='bench/rivals.py')
    n.build('phones-check', 'run', [], [programs['phones'], 'chordial'], command='bench/phones.py')
    return [programs['transit'], programs['phones']] + sorted(set(sum(objects.values(), [])))


def write_fingerprints(n):
    """One program of each of FINGERPRINTS, and the targets that compare their runs."""
    programs = []
    for mode in (m.name for m in FINGERPRINTS + [FINGERPRINT_ARM64]):
        for folder in below('sim'):
            objects = [compile_c(n, mode, folder + '/' + name) for name in archive_sources(folder)]
            n.build(archive(mode, folder), 'ar', objects)
        programs.append(link(n, mode, f'build/{mode}/fingerprint',
                             [compile_c(n, mode, source) for source in modules.FINGERPRINT],
                             'sim'))
    arm64 = programs.pop()
    n.build('sim-fingerprint', 'run', [], programs,
            command='tools/sim_fingerprint.py ' + ' '.join(programs))
    n.build('sim-fingerprint-arm64', 'run', [], [programs[-1], arm64],
            command=f'tools/sim_fingerprint.py {programs[-1]} "qemu-aarch64 -L {ARM64} {arm64}"')


def write_targets(n, product, criterion, stress, fuzz):
    top = product['release']
    if 'main' in modules.MODULES['cmd']:
        n.build('chordial', 'symlink', ['build/release/chordial'])
        top = top + ['chordial']
        n.build('demo', 'run', [], ['chordial'], command='./chordial demo --once')
    n.lines.append('default ' + ' '.join(['build.ninja'] + top))
    n.build('tests', 'phony', criterion['debug'] + stress)
    n.build('asan-tests', 'phony', criterion['asan'])
    bench = write_bench(n)
    n.build('test', 'run', [], top + ['debug', 'asan', 'tests', 'asan-tests'] + bench + fuzz,
            command='tools/run_tests.py')
    n.build('style', 'run', [], top + ['debug'], command='tools/run_tests.py style')
    n.build('live-check', 'run', [], top + ['asan'],
            command='tools/run_tests.py --full sim live alone')
    if 'tests/live/crash_load' in modules.PROGRAMS:
        n.build('crash-check', 'run', [], top, command='tools/crash_check.py')
        n.build('crash-check-long', 'run', [], top,
                command='tools/crash_check.py --runs 10000')
    n.build('sim-scale', 'run', [], top + ['debug', 'asan'],
            command='tests/sim/scale.py --full')
    write_fingerprints(n)
    n.build('sim-vs-real', 'run', [], top, command='tools/sim_vs_real.py')
    n.build('sim-check', 'run', [], top, command='tools/swarm.py --seeds 300')
    n.build('sim-swarm', 'run', [], top, command='tools/swarm.py --seeds 20000 --ledger')
    n.build('sip-differential', 'run', [], top, command='tools/sip_differential.py')
    n.build('cover', 'run', [], product['coverage'] + criterion['coverage'],
            command='tools/cover.py')
    n.build('format', 'run', [], command='tools/check_style.py --format')
    n.build('tidy', 'run', [], command='tools/check_style.py --tidy')
    if fuzz:
        n.build('fuzz-smoke', 'run', [], fuzz, command='tools/run_tests.py fuzz')
        n.build('fuzz-check', 'run', [], fuzz, command='tools/run_tests.py --full fuzz')


# ---- the program ----------------------------------------------------------------------------


def die(text):
    sys.exit('configure.py: ' + text)


def check_modules():
    """Every name in modules.py is a file, once, in order."""
    tables = [('.c', {**modules.MODULES, **modules.UNIT_TESTS, **modules.WIDE_TESTS,
                      'tests/stress': modules.STRESS_TESTS,
                      'fuzz': modules.FUZZ_TARGETS, 'bench': modules.BENCHMARKS}),
              ('.c', {'fuzz': modules.FUZZ_SUPPORT}),
              *(('.c', {'bench': listed}) for listed in modules.BENCH_PROGRAMS.values()),
              ('.c', modules.TEST_SUPPORT),
              ('.py', modules.SCRIPT_TESTS)]
    wrong = [path + '.c: listed in PROGRAMS, but there is no such file'
             for path in modules.PROGRAMS + modules.FINGERPRINT if not os.path.isfile(path + '.c')]
    for extension, table in tables:
        for folder, listed in table.items():
            paths = [folder + '/' + name + extension for name in listed]
            wrong += ["%s: listed under '%s', but there is no such file" % (path, folder)
                      for path in paths if not os.path.isfile(path)]
            if listed != sorted(set(listed)):
                wrong.append("the list '%s' is not sorted or names one twice" % folder)
    if wrong:
        die('\n  '.join(['modules.py and the tree differ:'] + wrong))


def write_file(path, text):
    os.makedirs(os.path.dirname(path) or '.', exist_ok=True)
    scratch = '%s.%d' % (path, os.getpid())
    with open(scratch, 'w', encoding='utf-8') as f:
        f.write(text)
    os.replace(scratch, path)


def built_boringssl(is_needed):
    """The prefix of a BoringSSL built for speed.  None: Debian's has to do."""
    import boringssl
    try:
        return boringssl.build()
    except boringssl.NotBuilt as why:
        if is_needed:
            die('--deps=boringssl: %s' % why)
        print("--deps: BoringSSL is Debian's, whose P-256 is slow: %s" % why)
        return None


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--deps', nargs='?', const='build',
                        choices=['build', 'bench', 'boringssl', 'fuzz', 'arm64'],
                        help='first install from Debian 12 what build and tests need'
                        ' (--deps=boringssl: and build BoringSSL for speed, and take it;'
                        ' --deps=bench: so, and also the rivals that benchmarks compare with;'
                        ' --deps=fuzz: also AFL++ for tools/fuzz_campaign.py;'
                        ' --deps=arm64: also what sim-fingerprint-arm64 is built from and run by)')
    parser.add_argument('--boringssl', metavar='PREFIX', help="another BoringSSL than Debian's")
    parser.add_argument('--check', action='store_true',
                        help='write nothing; fail when build.ninja is stale')
    args = parser.parse_args()
    if args.deps:
        import debian
        debian.install(args.deps)
        if args.deps == 'arm64':
            debian.unpack('arm64', ARM64)
        if args.deps in ('bench', 'boringssl') and not args.boringssl:
            args.boringssl = built_boringssl(is_needed=args.deps == 'boringssl')
    check_modules()
    text = generate()
    if args.check:
        with open('build.ninja', encoding='utf-8') as f:
            if f.read() != text:
                die('build.ninja is stale: run ./configure.py and commit what it writes')
        return
    prefix = os.path.abspath(args.boringssl) if args.boringssl else None
    found, lacking = packages.find_all(prefix)
    if lacking:
        die('not everything is there\n\n' + '\n\n'.join(lacking))
    config = ['# Written by configure.py: what it found on this machine.']
    config.append('configure_args =' + (' --boringssl=' + prefix if prefix else ''))
    for name, (cflags, libs) in found.items():
        config += ['%s_cflags = %s' % (name, cflags), '%s_libs = %s' % (name, libs)]
    write_file('build/config.ninja', '\n'.join(config) + '\n')
    write_file('build.ninja', text)
    database = subprocess.run(['ninja', '-t', 'compdb', 'cc_debug'], stdout=subprocess.PIPE,
                              text=True, check=True)
    write_file('compile_commands.json', database.stdout)


if __name__ == '__main__':
    main()
