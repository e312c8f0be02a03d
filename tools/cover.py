#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the Criterion tests of the coverage build and the corpora of the fuzz targets, and reports
which lines they reached: a table here, line by line in build/coverage/html.

codec/ without sip_*, the RELOAD wire, must be reached to the shares in FLOOR, every reason of
codec/reject.def must be the answer to some vector: else it fails.

    ninja cover
    tools/cover.py --only codec     only the tests of codec/, the vectors and the corpora"""
import argparse
import collections
import glob
import json
import os
import re
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import tree  # noqa: E402

FLOOR = {'lines': 95, 'branches': 90}
CHORDIAL = 'build/coverage/chordial'
CORPUS_TIMEOUT_S = 900


def is_gated(path):
    """The codec of RELOAD and STUN; SIP has a gate of its own."""
    return path.startswith('codec/') and not path.startswith('codec/sip_')


def run_tests(binaries, raw):
    """Runs each binary; one profile each, which the processes of its tests merge into."""
    failed = []
    for binary in binaries:
        command = [binary, '--quiet']
        if binary.startswith('build/coverage/fuzz/'):
            corpus = 'fuzz/corpus/' + os.path.basename(binary).removeprefix('fuzz_')
            if not os.path.isdir(corpus):
                print(f'cover: {corpus}: no corpus')
                continue
            command = [binary, corpus]
        profile = os.path.join(tree.TOP, raw, binary.replace('/', '-') + '-%m.profraw')
        ran = subprocess.run(command, env={**os.environ, 'LLVM_PROFILE_FILE': profile},
                             stdout=subprocess.DEVNULL, timeout=CORPUS_TIMEOUT_S)
        if ran.returncode:
            failed.append(binary)
    return failed


def reject_reasons():
    """How many vectors are refused for each reason of codec/reject.def."""
    with open('codec/reject.def', encoding='utf-8') as f:
        counts = dict.fromkeys(re.findall(r'^REJECT\(\w+, "(\w+)"', f.read(), re.M), 0)
    lines = []
    for path in sorted(glob.glob('tests/vectors/**/*.jsonl', recursive=True)):
        with open(path, encoding='utf-8') as f:
            lines += [line for line in f if '"hex":' in line and '"type":' in line]
    said = subprocess.run([CHORDIAL, 'decode', '--batch'], input=''.join(lines), text=True,
                          stdout=subprocess.PIPE, check=True,
                          env={**os.environ, 'LLVM_PROFILE_FILE': os.devnull}).stdout
    for answer in said.splitlines():
        reason = json.loads(answer).get('reject', '').split(':')[0]
        if reason in counts:
            counts[reason] += 1
    return counts


def share(counts):
    return 100.0 * counts['covered'] / counts['count'] if counts['count'] else 100.0


def expanded_branches(functions):
    """Ways out of the branches of gated functions, and those that were taken, where each expansion
    of a macro counts: what msgs.def makes stands on a few lines, which a file's summary takes for
    a few branches.  A function of a header counts once, wherever it was compiled."""
    instances = collections.defaultdict(list)
    for f in functions:
        path = os.path.relpath(f['filenames'][0], tree.TOP)
        if is_gated(path):
            instances[path, f['name'].split(':')[-1]].append(f['branches'])
    counts = {'count': 0, 'covered': 0}
    for same in instances.values():
        same = [branches for branches in same if len(branches) == len(same[0])]
        for taken in zip(*same):  # one branch in each instance: [..., times true, times false, ...]
            counts['count'] += 2
            counts['covered'] += sum(any(b[way] for b in taken) for way in (4, 5))
    return counts


def gate(objects, common):
    """Prints lines and branches of what is gated; what falls short."""
    said = subprocess.run(['llvm-cov', 'export', *objects, *common], stdout=subprocess.PIPE,
                          check=True).stdout
    data = json.loads(said)['data'][0]
    files = {os.path.relpath(f['filename'], tree.TOP): f['summary'] for f in data['files']}
    total = {kind: {'count': 0, 'covered': 0} for kind in FLOOR}
    print('\ncodec/ without sip_*'.ljust(32) + 'lines'.rjust(17) + 'branches'.rjust(21))
    for path, summary in sorted(files.items()):
        if not is_gated(path) or not summary['lines']['count']:
            continue
        row = path.ljust(30)
        for kind in FLOOR:
            for what in total[kind]:
                total[kind][what] += summary[kind][what]
            row += f'{summary[kind]["covered"]:7}/{summary[kind]["count"]:<6}' \
                   f'{share(summary[kind]):5.1f} %'
        print(row)
    short = []
    rows = [('lines', total['lines'], FLOOR['lines']),
            ('branches', total['branches'], FLOOR['branches']),
            ('branches with macros expanded', expanded_branches(data['functions']),
             FLOOR['branches'])]
    for name, counts, least in rows:
        print(f'{name}: {counts["covered"]} of {counts["count"]}, {share(counts):.2f} % '
              f'(at least {least} %)')
        if share(counts) < least:
            short.append(f'{name} {share(counts):.2f} % < {least} %')
    return short


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n\n')[0])
    parser.add_argument('--only', choices=['codec'])
    args = parser.parse_args()
    os.chdir(tree.TOP)
    sys.path.insert(0, tree.TOP)
    import modules
    suites = {**modules.UNIT_TESTS, **modules.WIDE_TESTS}
    if args.only:
        suites = {d: suites[d] for d in ('tests/unit/codec', 'tests/vector')}
    binaries = ['build/coverage/%s/%s' % (directory, name)
                for directory, listed in suites.items() for name in listed]
    binaries += ['build/coverage/fuzz/' + name for name in modules.FUZZ_TARGETS]
    raw, merged, html = ('build/coverage/' + name for name in ('raw', 'all.profdata', 'html'))
    shutil.rmtree(raw, ignore_errors=True)
    failed = run_tests(binaries, raw)
    profiles = glob.glob(raw + '/*.profraw')
    subprocess.run(['llvm-profdata', 'merge', '-sparse', '-o', merged, *profiles], check=True)
    objects = [binaries[0]] + [word for b in binaries[1:] for word in ('-object', b)]
    common = ['-instr-profile=' + merged, '-ignore-filename-regex=^(tests|fuzz|bench)/|/tests/']
    subprocess.run(['llvm-cov', 'show', *objects, *common, '-format=html', '-show-branches=count',
                    '-output-dir=' + html], check=True)
    if not args.only:
        subprocess.run(['llvm-cov', 'report', *objects, *common, '-show-region-summary=false'],
                       check=True)
    wrong = gate(objects, common)
    reasons = reject_reasons()
    print('\nvectors refused for each reason:\n' +
          '\n'.join(f'{count:6} {name}' for name, count in reasons.items()))
    wrong += [f'no vector is refused as {name}' for name, count in reasons.items() if not count]
    wrong += [f'failed: {binary}' for binary in failed]
    sys.exit('cover: ' + '; '.join(wrong) if wrong else None)


if __name__ == '__main__':
    main()
