#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the Criterion tests of the coverage build and reports which lines they reached, as a table
here and line by line in build/coverage/html."""
import glob
import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import tree  # noqa: E402


def main():
    os.chdir(tree.TOP)
    sys.path.insert(0, tree.TOP)
    import modules
    binaries = ['build/coverage/%s/%s' % (directory, name)
                for table in (modules.UNIT_TESTS, modules.WIDE_TESTS)
                for directory, listed in table.items() for name in listed]
    if not binaries:
        sys.exit('cover: modules.py lists no Criterion test')
    raw, merged, html = ('build/coverage/' + name for name in ('raw', 'all.profdata', 'html'))
    shutil.rmtree(raw, ignore_errors=True)
    failed = []
    for binary in binaries:
        # one file per binary, which the processes of its tests merge into
        profile = os.path.join(tree.TOP, raw, binary.replace('/', '-') + '-%m.profraw')
        ran = subprocess.run([binary, '--quiet'], env={**os.environ, 'LLVM_PROFILE_FILE': profile})
        if ran.returncode:
            failed.append(binary)
    profiles = glob.glob(raw + '/*.profraw')
    subprocess.run(['llvm-profdata', 'merge', '-sparse', '-o', merged, *profiles], check=True)
    objects = [binaries[0]] + [word for b in binaries[1:] for word in ('-object', b)]
    common = ['-instr-profile=' + merged, '-ignore-filename-regex=^(tests|fuzz|bench)/|/tests/']
    subprocess.run(['llvm-cov', 'show', *objects, *common, '-format=html', '-output-dir=' + html],
                   check=True)
    subprocess.run(['llvm-cov', 'report', *objects, *common, '-show-region-summary=false'],
                   check=True)
    sys.exit('cover: failed: ' + ' '.join(failed) if failed else None)


if __name__ == '__main__':
    main()
