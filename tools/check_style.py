#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks what CONTRIBUTING.md promises about each file: sizes, banned calls, licence line, headers
that compile alone, names of exported symbols, no orphans, layout.  What exceeds a rule needs a
line in tools/style_allow.txt; such a line may only ever shrink (a ratchet).

--format lays the C files out with clang-format, --tidy runs clang-tidy on what is listed."""
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatch

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import tree  # noqa: E402

CEILINGS = {'file': 900, 'function': 90, 'nesting': 4, 'parameters': 7, 'symbol': 0}
COLUMNS = 100
ALLOW = 'tools/style_allow.txt'

TESTS = ['tests/*', 'bench/*', 'fuzz/*']
SYSTEM = ['core/os/*', 'cmd/*'] + TESTS
# (calls, what to use instead, files that may): everything else is an error.
BANNED = [
    ('strcpy stpcpy strcat strncpy strncat',
     'memcpy with a checked length, or a cursor (codec/rw.h)', []),
    ('sprintf vsprintf', 'snprintf with the size and a look at its result', []),
    ('gets scanf sscanf fscanf', 'a parser that reports where the fault is', []),
    ('atoi atol atoll atof', 'strtoul with its end pointer, or a parser of codec/', []),
    ('strtok strtok_r', 'a cursor on a struct slice', []),
    ('malloc calloc realloc reallocarray free strdup strndup asprintf vasprintf',
     'core/arena or core/pool', ['link/tls_*', 'link/crypto_*'] + SYSTEM),
    ('alloca', 'a fixed array or a pool', []),
    ('assert', 'CHECK or DCHECK (core/base.h)', []),
    ('rand srand random srandom drand48 rand_r', 'core/rng.h, the generator of struct turn', []),
    ('time gettimeofday clock_gettime clock', 'the time in struct turn', SYSTEM),
    ('localtime gmtime ctime asctime strerror inet_ntoa gethostbyname getpwnam readdir_r',
     'the re-entrant form (_r, or inet_ntop, getaddrinfo)', []),
    ('signal', 'sigaction', []),
    ('select', 'the engine of core/os, or poll', []),
    ('sleep usleep nanosleep', 'a timer', SYSTEM),
    ('setjmp longjmp', 'a return value', []),
    ('system popen', 'posix_spawn with an argument vector', []),
    ('exit _exit abort', 'a return value, or CHECK', ['core/check.c'] + SYSTEM),
    ('getenv setenv', 'a setting (node/settings)', SYSTEM),
]
ATOMIC = re.compile(r'\b(_Atomic|atomic_\w+|__atomic_\w+|__sync_\w+)\b')
ATOMIC_FILES = ['core/spsc.*', 'core/os/mailbox.*', 'core/metric.*',
                'core/histogram.*'] + TESTS
UNFINISHED = re.compile(r'\b(TO' r'DO|FIX' r'ME|XX' r'X|HA' r'CK)\b')
# Paths that exist on the machine of one developer only.
MACHINE_PATH = re.compile(r'(?<![\w.~/-])/(wo' r'rk|ro' r'ot|ho' r'me)/[\w.]')
TEXT = ('.c', '.h', '.def', '.cc', '.py', '.md', '.txt', '.conf', '.ninja', '.scenario')
TEXT_NAMES = ('.gitignore', '.clang-format', '.clang-tidy', '.editorconfig', 'run')
GOLDEN = ['tests/vectors/*', 'fuzz/corpus/*']
LICENCE = 'SPDX-License-Identifier: Apache-2.0'
NEEDS_LICENCE = ('.c', '.h', '.def', '.cc', '.py')


def functions(code):
    """(name, first line, lines, nesting, parameters) of each function body in comment-free C."""
    lines = code.split('\n')
    start = None
    for number, line in enumerate(lines):
        if line.rstrip() == '{':
            start = number
        elif start is not None and line.startswith('}'):
            head = first_line(lines, start)
            signature = ' '.join(lines[head:start])
            match = re.search(r'(\w+)\s*\(', re.sub(r'__attribute__\s*\(\(.*?\)\)', '', signature))
            if match:
                body = '\n'.join(lines[start:number + 1])
                yield (match.group(1), head + 1, number + 1 - head, nesting(body),
                       parameters(signature[match.end():]))
            start = None


def first_line(lines, start):
    """Where the signature begins whose body opens on line `start`."""
    head = start
    while head > 0 and lines[head - 1].strip() and not lines[head - 1].startswith(('#', '}', '{')) \
            and not lines[head - 1].rstrip().endswith(';'):
        head -= 1
    return head


def parameters(inside):
    """How many there are, from the text behind a signature's opening parenthesis."""
    if re.match(r'\s*(void\s*)?\)', inside):
        return 0
    depth, count = 1, 1
    for c in inside:
        depth += (c == '(') - (c == ')')
        if depth == 0:
            break
        count += depth == 1 and c == ','
    return count


def nesting(body):
    """The deepest stack of if, for, while, do and switch; braces of values do not count."""
    deepest, stack = 0, []
    for match in re.finditer(r'[{}]', body):
        if match.group() == '}':
            if stack:
                stack.pop()
            continue
        stack.append(is_control(body[:match.start()].rstrip()))
        deepest = max(deepest, sum(stack))
    return deepest


def is_control(before):
    if re.search(r'\b(else|do)$', before):
        return True
    if not before.endswith(')'):
        return False
    depth = 0
    for at in range(len(before) - 1, -1, -1):
        depth += (before[at] == ')') - (before[at] == '(')
        if depth == 0:
            word = re.search(r'(\w+)\s*$', before[:at])
            return bool(word) and word.group(1) != 'return' and word.group(1) != 'sizeof'
    return False


def check_sizes(path, text):
    """(kind, where, value, line) of everything that has a ceiling."""
    yield 'file', path, text.count('\n'), 1
    for name, line, length, depth, count in functions(tree.code_only(text)):
        where = path + ':' + name
        if not re.fullmatch(r'(Parameterized)?Test\w*', name):
            yield 'parameters', where, count, line
        yield 'function', where, length, line
        yield 'nesting', where, depth, line


def check_calls(path, code):
    for calls, instead, allowed in BANNED:
        if any(fnmatch(path, p) for p in allowed):
            continue
        # a call, not a member (x.free, x->free) or a name of ours (pool_free)
        for match in re.finditer(r'(?<![\w.>#])(%s)\s*\(' % calls.replace(' ', '|'), code):
            line = code.count('\n', 0, match.start()) + 1
            yield '%s:%d: %s() is banned here: use %s' % (path, line, match.group(1), instead)
    if not any(fnmatch(path, p) for p in ATOMIC_FILES):
        for match in ATOMIC.finditer(code):
            line = code.count('\n', 0, match.start()) + 1
            yield '%s:%d: %s outside of %s: hand it over by mailbox' % (
                path, line, match.group(), ' '.join(ATOMIC_FILES[:3]))
    match = re.search(r'#\s*if(def|\s.*defined).*\b(UNIT_?)?TEST\b', code)
    if match:
        line = code.count('\n', 0, match.start()) + 1
        yield '%s:%d: code that knows it is tested: inject through a seam' % (path, line)


def check_text(path, text):
    """What holds for every text file of the project."""
    if path.endswith(NEEDS_LICENCE) and LICENCE not in '\n'.join(text.split('\n')[:2]):
        yield '%s:1: no %s in the first two lines' % (path, LICENCE)
    if text and not text.endswith('\n'):
        yield path + ': the last line does not end'
    for number, line in enumerate(text.split('\n'), 1):
        here = '%s:%d: ' % (path, number)
        if UNFINISHED.search(line):
            yield here + 'unfinished: finish it, or open an issue and take the mark out'
        if MACHINE_PATH.search(line):
            yield here + 'a path of somebody\'s machine'
        if line != line.rstrip():
            yield here + 'space at the end of the line'
        if '\t' in line:
            yield here + 'a tab'
        if path.endswith(('.c', '.h', '.cc', '.py')) and len(line) > COLUMNS:
            yield here + '%d columns, at most %d' % (len(line), COLUMNS)


def check_header(path, text):
    if not re.search(r'^#pragma once$', text, re.M):
        yield path + ':1: a header without #pragma once'


def listed_sources(modules):
    """Every C file that modules.py names."""
    tables = [modules.MODULES, modules.UNIT_TESTS, modules.WIDE_TESTS, modules.TEST_SUPPORT,
              {'tests/stress': modules.STRESS_TESTS,
               'fuzz': modules.FUZZ_TARGETS + modules.FUZZ_SUPPORT,
               'bench': sum(modules.BENCH_PROGRAMS.values(), modules.BENCHMARKS)}]
    paths = {d + '/' + name for table in tables for d, listed in table.items() for name in listed}
    return {path + '.c' for path in paths | set(modules.PROGRAMS) | set(modules.FINGERPRINT)}


def check_orphans(top, modules):
    """C files that nothing builds, headers that nothing includes, tests that nobody runs."""
    listed = listed_sources(modules)
    sources = tree.files(top, '.c', '.h', '.def', '.cc')
    included = {t for p in sources for _, t in tree.includes(tree.read(top, p))}
    scripts = {d + '/' + n + '.py' for d, listed in modules.SCRIPT_TESTS.items() for n in listed}
    python = tree.files(top, '.py')
    # rival_run.py compiles against packages that the build does not ask for
    compilers = (scripts | {'bench/rival_run.py'}) & set(python)
    compiled = {os.path.dirname(p) + '/' + name for p in compilers
                for name in re.findall(r"'(?:bench/)?(\w+\.c)'", tree.read(top, p))}
    if 'tools/sip_differential.py' in python:
        text = tree.read(top, 'tools/sip_differential.py')
        compiled |= set(re.findall(r"'(tests/differential/\w+\.c)'", text))
    for path in sources:
        if path.endswith('.c') and path not in listed | compiled:
            yield path + ': not in modules.py, so nothing builds it'
        if path.endswith(('.h', '.def')) and path not in included:
            yield path + ': nothing includes it'
    importing = re.compile(r'^\s*(?:import|from)\s+(\w+)', re.M)
    imported = {m for p in python for m in importing.findall(tree.read(top, p))}
    for path in python:
        stem = os.path.basename(path)[:-3]
        if path.startswith('tests/') and path not in scripts and stem not in imported:
            yield path + ': not in SCRIPT_TESTS of modules.py, and nothing imports it'


def check_symbols(top, modules):
    """A measure for each exported name that does not start with the stem of its file."""
    sources = [d + '/' + n for d, entries in modules.MODULES.items() for n in entries]
    objects = {s: os.path.join(top, 'build/debug', s + '.o') for s in sources}
    unbuilt = [s for s, o in objects.items() if not os.path.exists(o)]
    if unbuilt:
        sys.exit('check_style: not built, run `ninja debug` first: ' + ' '.join(unbuilt))
    table = tree.symbols(list(objects.values()))
    for source, o in objects.items():
        stem = os.path.basename(source)
        for symbol in sorted(table[o][1]):
            if not re.match(r'%s(_|$)' % stem, symbol) and (source, symbol) != ('cmd/main', 'main'):
                yield 'symbol', '%s.c:%s' % (source, symbol), 1, 1


def check_headers_alone(top, headers):
    """Compiles each header by itself, with the flags its folder gets."""
    sys.path.insert(0, top)
    import configure
    found = tree.read(top, 'build/config.ninja')
    values = dict(re.findall(r'^(\w+) = (.*)$', found, re.M))

    debug = next(m.cflags for m in configure.MODES if m.name == 'debug')

    def compile_one(path):
        stem = os.path.splitext(path)[0]
        flags = [f for pattern, p in configure.HEADERS if fnmatch(stem, pattern)
                 for f in values.get(p + '_cflags', '').split()]
        command = ['gcc', *debug.split(), '-fsyntax-only', *flags, '-x', 'c', '-']
        ran = subprocess.run(command, cwd=top, input='#include "%s"\n' % path, text=True,
                             capture_output=True)
        return path + ': does not compile alone\n' + ran.stderr if ran.returncode else None
    with ThreadPoolExecutor(2) as pool:
        return [w for w in pool.map(compile_one, headers) if w]


def check_format(top, paths):
    if not paths:
        return
    ran = subprocess.run(['clang-format', '--dry-run', *paths], cwd=top, capture_output=True,
                         text=True)
    if ran.returncode:
        yield 'clang-format failed: ' + ran.stderr
    where = re.findall(r'^(\S+?):\d+:\d+: warning: code should', ran.stderr, re.M)
    for path in sorted(set(where)):
        yield path + ': layout differs from .clang-format: run `ninja format`'


def read_allowed(text):
    """{(kind, where): value}; a line is `kind where value reason...`."""
    allowed, wrong = {}, []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith('#'):
            continue
        words = line.split(None, 3)
        if len(words) < 4 or words[0] not in CEILINGS or not words[2].isdigit():
            wrong.append('%s:%d: want `kind where value reason`, kind one of %s'
                         % (ALLOW, number, ' '.join(CEILINGS)))
        else:
            allowed[words[0], words[1]] = int(words[2])
    return allowed, wrong


def ratchet(measures, allowed):
    """Sentences about measures above their ceiling, and about allowances that could shrink."""
    used = set()
    for kind, where, value, line in measures:
        key = (kind, where)
        if key in allowed:
            used.add(key)
            if value > allowed[key]:
                yield '%s: %s is %d, above the %d that %s allows' % (
                    where, kind, value, allowed[key], ALLOW)
            elif value <= CEILINGS[kind]:
                yield '%s: %s is %d now, within the rule: take its line out of %s' % (
                    where, kind, value, ALLOW)
            elif value < allowed[key]:
                yield '%s: %s is %d now: lower its line in %s' % (where, kind, value, ALLOW)
        elif value > CEILINGS[kind]:
            what = '%s is %d, at most %d (line %d)' % (kind, value, CEILINGS[kind], line)
            if kind == 'symbol':
                what = 'exported, but its name does not start with that of the file'
            yield '%s: %s' % (where, what)
    for key in sorted(set(allowed) - used):
        yield '%s: the line `%s %s` is about nothing: take it out' % (ALLOW, *key)


def check_sources(top):
    """Everything that needs only the text; returns (sentences, measures)."""
    wrong, measures = [], []
    for path in tree.files(top):
        is_text = path.endswith(TEXT) or os.path.basename(path) in TEXT_NAMES
        if not is_text or any(fnmatch(path, g) for g in GOLDEN):
            continue
        text = tree.read(top, path)
        wrong += check_text(path, text)
        if path.endswith(('.c', '.h', '.cc')):
            measures += check_sizes(path, text)
            wrong += check_calls(path, tree.code_only(text))
        elif path.endswith('.py'):
            measures.append(('file', path, text.count('\n'), 1))
        if path.endswith('.h'):
            wrong += check_header(path, text)
    return wrong, measures


def main():
    top = tree.TOP
    sys.path.insert(0, top)
    import modules
    formatted = tree.files(top, '.c', '.h', '.cc')
    if '--format' in sys.argv:
        sys.exit(subprocess.run(['clang-format', '-i', *formatted], cwd=top).returncode)
    if '--tidy' in sys.argv:
        sources = [d + '/' + n + '.c' for d, entries in modules.MODULES.items() for n in entries]
        command = ['clang-tidy', '-p', '.', '--quiet', '--extra-arg=-Wno-unknown-warning-option']
        with ThreadPoolExecutor(2) as pool:
            ran = list(pool.map(lambda s: subprocess.run(command + [s], cwd=top), sources))
        sys.exit(1 if any(r.returncode for r in ran) else 0)
    wrong, measures = check_sources(top)
    measures += check_symbols(top, modules)
    allowed, bad = read_allowed(tree.read(top, ALLOW))
    wrong += bad + list(ratchet(measures, allowed))
    wrong += check_orphans(top, modules)
    wrong += check_headers_alone(top, [p for p in formatted if p.endswith('.h')])
    wrong += check_format(top, formatted)
    for sentence in wrong:
        print(sentence)
    print('check_style: %d measures, %d broken rules' % (len(measures), len(wrong)))
    sys.exit(1 if wrong else 0)


if __name__ == '__main__':
    main()
