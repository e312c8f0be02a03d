#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""For fuzz/build.sh, which builds without ninja.

    tools/fuzz_sources.py [TARGET...]         prints what to compile, as shell variables
    tools/fuzz_sources.py --pack DIR TARGET   puts corpus, dictionary and options into DIR"""
import argparse
import os
import shlex
import shutil
import sys
import zipfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import tree  # noqa: E402
sys.path.insert(0, tree.TOP)
import fuzz_targets  # noqa: E402
import modules  # noqa: E402
import packages  # noqa: E402

# Nothing that opens a socket, and no program.
FOLDERS = [f for f in modules.MODULES if f not in ('core/os', 'cmd')]
PACKAGES = ('xxhash', 'xml2')


def flags():
    """(for the compiler, for the linker) of the libraries that the sources use."""
    found, wrong = {}, []
    wrong += [packages.find_package(p, found) for p in packages.PACKAGES if p.name in PACKAGES]
    wrong.append(packages.find_boringssl(os.environ.get('BORINGSSL'), found))
    if any(wrong):
        sys.exit('\n\n'.join(w for w in wrong if w))
    return [' '.join(pair[i] for pair in found.values()) for i in (0, 1)]


def show(targets):
    unknown = [t for t in targets if t not in modules.FUZZ_TARGETS]
    if unknown:
        known = ' '.join(modules.FUZZ_TARGETS)
        sys.exit('no target %s; there are: %s' % (' '.join(unknown), known))
    targets = targets or modules.FUZZ_TARGETS
    sources = ['%s/%s' % (folder, name) for folder in FOLDERS for name in modules.MODULES[folder]]
    sources += ['fuzz/' + t for t in targets]
    cflags, libs = flags()
    for name, value in (('TARGETS', ' '.join(targets)), ('SOURCES', ' '.join(sources)),
                        ('PACKAGE_CFLAGS', cflags), ('PACKAGE_LIBS', libs)):
        print('%s=%s' % (name, shlex.quote(value)))


def pack(out, target):
    corpus = os.path.join(tree.TOP, 'fuzz/corpus', fuzz_targets.stem(target))
    if os.path.isdir(corpus):
        path = os.path.join(out, target + '_seed_corpus.zip')
        with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as z:
            for name in sorted(os.listdir(corpus)):
                z.write(os.path.join(corpus, name), name)
    words = fuzz_targets.dictionary(target, tree.TOP)
    if words:
        shutil.copyfile(words, os.path.join(out, target + '.dict'))
    with open(os.path.join(out, target + '.options'), 'w', encoding='utf-8') as f:
        f.write('[libfuzzer]\n')
        for option in fuzz_targets.limits(target):
            f.write('%s = %s\n' % tuple(option[1:].split('=', 1)))
        if words:
            f.write('dict = %s.dict\n' % target)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--pack', nargs=2, metavar=('DIR', 'TARGET'))
    parser.add_argument('targets', nargs='*', metavar='TARGET')
    args = parser.parse_args()
    if args.pack and args.targets:
        parser.error('--pack takes one target')
    if args.pack:
        pack(*args.pack)
    else:
        show(args.targets)


if __name__ == '__main__':
    main()
