# SPDX-License-Identifier: Apache-2.0
"""Builds BoringSSL from Debian's source package, for speed.

Debian compiles it with -DOPENSSL_SMALL, which leaves out the assembly of P-256 and the larger
tables of Ed25519.  This builds the same sources, with the same hardening, without that flag:
libraries of the same interface, in PREFIX.  The compiler is Debian's, but for Ed25519 and X25519,
where there is no assembly and gcc is quicker than clang.  apt checks what it downloads by the
archive's signature, gets lists of its own and needs no root."""
import glob
import hashlib
import os
import re
import shutil
import subprocess
import sys

import packages

PREFIX = 'build/boringssl'
SOURCE = 'android-platform-external-boringssl'
KEYS = '/usr/share/keyrings/debian-archive-keyring.gpg'
# debian/rules of the package says the same, and -DOPENSSL_SMALL.
FLAGS = {
    'DEB_BUILD_MAINT_OPTIONS': 'hardening=+all optimize=-lto',
    'DEB_CPPFLAGS_MAINT_APPEND': '-DNDEBUG -UDEBUG -DBORINGSSL_ANDROID_SYSTEM'
                                 ' -DBORINGSSL_IMPLEMENTATION -DBORINGSSL_SHARED_LIBRARY'
                                 ' -fno-exceptions -fno-strict-aliasing',
    'DEB_CFLAGS_MAINT_APPEND': '-fPIC -gdwarf-4',
    'DEB_CXXFLAGS_MAINT_APPEND': '-fPIC -gdwarf-4',
    'DEB_LDFLAGS_MAINT_APPEND': '-fPIC',
}
# Objects that are not left to clang -O2: an Ed25519 signature costs 12 % less, to verify it 6 %.
# `make` finds them there when it builds the rest.
QUICKER = ['src/crypto/curve25519/curve25519.o']
QUICKER_CC, QUICKER_CFLAGS = 'gcc', ' -O3'


class NotBuilt(Exception):
    """Why not, and what can be done."""


def run(args, what, **more):
    ran = subprocess.run(args, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **more)
    if ran.returncode:
        last = '\n    '.join(ran.stdout.splitlines()[-10:])
        raise NotBuilt('%s\n  %s said:\n    %s' % (what, args[0], last))
    return ran.stdout


def source_lines(targets):
    """deb-src lines for Debian's own archives among what `apt-get indextargets` prints: whoever has
    their binary packages seldom has those of sources listed, too."""
    lines = set()
    for block in targets.split('\n\n'):
        field = dict(re.findall(r'^([A-Za-z-]+): (.*)$', block, re.M))
        if field.get('Created-By') == 'Packages' and field.get('Origin') == 'Debian':
            lines.add('deb-src [signed-by=%s] %s %s %s' % (KEYS, field['Repo-URI'],
                                                           field['Release'], field['Component']))
    return sorted(lines)


def download(work, version):
    lines = source_lines(run(['apt-get', 'indextargets'], 'apt cannot say where packages are from'))
    if not lines:
        raise NotBuilt("apt knows none of Debian's archives")
    for folder in ('lists/partial', 'cache/archives/partial'):
        os.makedirs(os.path.join(work, folder), exist_ok=True)
    with open(work + '/sources.list', 'w', encoding='utf-8') as f:
        f.write('\n'.join(lines) + '\n')
    apt = ['apt-get', '-o', f'Dir::Etc::SourceList={work}/sources.list',
           '-o', 'Dir::Etc::SourceParts=/dev/null', '-o', f'Dir::State::Lists={work}/lists',
           '-o', f'Dir::Cache={work}/cache', '-o', 'Debug::NoLocking=1',
           '-o', 'APT::Sandbox::User=']
    run(apt + ['update'], 'the lists of source packages cannot be had')
    run(apt + ['source', '--download-only', '%s=%s' % (SOURCE, version)],
        'the source package cannot be had', cwd=work)
    shutil.rmtree(work + '/source', ignore_errors=True)
    run(['dpkg-source', '--extract', glob.glob(work + '/*.dsc')[0], work + '/source'],
        'the source package cannot be unpacked', cwd=work)


def compile_libraries(source):
    env = {**os.environ, **FLAGS, 'CC': 'clang', 'CXX': 'clang++'}
    for name in ('CFLAGS', 'CXXFLAGS', 'CPPFLAGS', 'LDFLAGS'):
        env[name] = run(['dpkg-buildflags', '--get', name], 'no flags', env=env).strip()
    for name in ('DEB_HOST_ARCH', 'DEB_HOST_MULTIARCH'):
        env[name] = run(['dpkg-architecture', '-q' + name], 'no architecture').strip()
    env['LDFLAGS'] += " -Wl,-rpath,'$$ORIGIN'"  # before Debian's own, of its slower libcrypto
    run(['make', '-f', 'debian/libcrypto.mk', *QUICKER], 'Ed25519 cannot be compiled', cwd=source,
        env={**env, 'CC': QUICKER_CC, 'CFLAGS': env['CFLAGS'] + QUICKER_CFLAGS})
    for library in ('libcrypto', 'libssl'):
        run(['make', '-j%d' % os.cpu_count(), '-f', f'debian/{library}.mk', 'build'],
            library + ' cannot be compiled', cwd=source, env=env)


def made_of(version):
    """What the stamp says: the version, and how it was compiled."""
    how = [sorted(FLAGS.items()), QUICKER, QUICKER_CC, QUICKER_CFLAGS]
    return '%s %s' % (version, hashlib.sha256(repr(how).encode()).hexdigest()[:16])


def build():
    """The prefix of the libraries, which are built when they are not there, of another version
    than the package whose place they take, or compiled in another way.  Raises NotBuilt."""
    version = run(['dpkg-query', '-W', '-f', '${source:Version}', packages.BORINGSSL_DEBIAN],
                  'Debian\'s package is not installed')
    stamp = PREFIX + '/version'
    if os.path.exists(stamp) and open(stamp, encoding='utf-8').read() == made_of(version):
        return PREFIX
    work = os.path.abspath(PREFIX + '/work')
    shutil.rmtree(PREFIX, ignore_errors=True)
    os.makedirs(work)
    print('--deps: building BoringSSL %s from source' % version, flush=True)
    download(work, version)
    compile_libraries(work + '/source')
    os.makedirs(PREFIX + '/lib')
    for path in glob.glob(work + '/source/debian/out/lib*.so*'):
        shutil.copy(path, PREFIX + '/lib', follow_symlinks=False)
    shutil.copytree(work + '/source/src/include', PREFIX + '/include')
    shutil.rmtree(work)
    with open(stamp, 'w', encoding='utf-8') as f:
        f.write(made_of(version))
    return PREFIX


def is_for_speed(libs):
    """Whether what configure.py has found is this."""
    return os.path.abspath(PREFIX) + '/lib/' in libs


if __name__ == '__main__':
    try:
        print(build())
    except NotBuilt as why:
        sys.exit('boringssl.py: %s' % why)
