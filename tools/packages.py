# SPDX-License-Identifier: Apache-2.0
"""The tools and libraries that the build needs, and how each is found: with pkg-config and a small
program that is compiled, linked and run.  A failed probe keeps what the compiler said."""
import glob
import os
import re
import shutil
import subprocess
import tempfile
from collections import namedtuple

Tool = namedtuple('Tool', 'name minimum debian')
TOOLS = [
    Tool('gcc', '12', 'gcc'),
    Tool('g++', '12', 'g++'),
    Tool('gcc-ar', None, 'gcc'),
    Tool('clang', '14', 'clang'),
    Tool('ninja', '1.10', 'ninja-build'),
    Tool('pkg-config', None, 'pkg-config'),
]

# `used` is False for what the design names and no module needs yet.
Package = namedtuple('Package', 'name pc minimum debian used why header expression')
PACKAGES = [
    Package('liburing', 'liburing', '2.3', 'liburing-dev', True, 'asynchronous I/O',
            'liburing.h', 'io_uring_queue_exit != NULL'),
    Package('jemalloc', 'jemalloc', '5.2', 'libjemalloc-dev', True, 'allocator of the programs',
            'jemalloc/jemalloc.h', 'mallctl("epoch", NULL, NULL, NULL, 0) == 0'),
    Package('xxhash', 'libxxhash', '0.8', 'libxxhash-dev', True, 'hashing of tables',
            'xxhash.h', 'XXH3_64bits("", 0) != 1'),
    Package('confuse', 'libconfuse', '3.3', 'libconfuse-dev', True, 'configuration file',
            'confuse.h', 'confuse_version != NULL'),
    Package('xml2', 'libxml-2.0', '2.9.14', 'libxml2-dev', True, 'overlay document',
            'libxml/relaxng.h', 'xmlRelaxNGNewParserCtxt != NULL'),
    Package('jansson', 'jansson', '2.13', 'libjansson-dev', True, 'JSON',
            'jansson.h', 'json_null() != NULL'),
    Package('microhttpd', 'libmicrohttpd', '0.9.75', 'libmicrohttpd-dev', True,
            'metrics over HTTP', 'microhttpd.h', 'MHD_get_version() != NULL'),
    Package('lmdb', 'lmdb', '0.9.24', 'liblmdb-dev', True, 'persistence',
            'lmdb.h', 'mdb_version(NULL, NULL, NULL) != NULL'),
    Package('cares', 'libcares', '1.18', 'libc-ares-dev', True, 'DNS',
            'ares.h', 'ares_version(NULL) != NULL'),
    Package('pcap', 'libpcap', '1.10', 'libpcap-dev', True, 'capture files',
            'pcap/pcap.h', 'pcap_lib_version() != NULL'),
    Package('criterion', 'criterion', '2.4.1', 'libcriterion-dev', True, 'unit tests',
            'criterion/criterion.h', None),
    Package('benchmark', 'benchmark', '1.7', 'libbenchmark-dev', True, 'benchmarks',
            'benchmark/benchmark.h', None),
]
# These libraries bring a main of their own.
PROBES = {
    'criterion': '#include <criterion/criterion.h>\nTest(a, b) { cr_assert(1); }',
    'benchmark': '#include <benchmark/benchmark.h>\nBENCHMARK_MAIN();',
}
# The wrong headers do not compile; of a wrong library the probe does not say the right name.
BORINGSSL_PROBE = '''#include <openssl/ssl.h>
#include <stdio.h>
#ifndef OPENSSL_IS_BORINGSSL
#error "these are the headers of OpenSSL, not of BoringSSL"
#endif
int main(void) {
    SSL_CTX *context = SSL_CTX_new(DTLS_method());
    printf("%s\\n", SSLeay_version(0));
    return context == NULL;
}'''
BORINGSSL_DEBIAN = 'android-libboringssl-dev'


def say(args, **more):
    """What a command prints, and whether it went well."""
    ran = subprocess.run(args, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **more)
    return ran.returncode == 0, ran.stdout.strip()


def lacking(what, need, have, looked, debian, said=''):
    text = '%s\n  need:      %s\n  have:      %s\n  looked in: %s\n' % (what, need, have, looked)
    text += '  install:   ./configure.py --deps   (or: apt-get install %s)' % debian
    if said:
        text += '\n  the probe said:\n    ' + '\n    '.join(said.splitlines()[:20])
    return text


def version(text):
    return tuple(int(n) for n in re.findall(r'\d+', text))


def find_tool(tool):
    """None, or what is lacking."""
    need = tool.name + (' >= ' + tool.minimum if tool.minimum else '')
    path = shutil.which(tool.name)
    if not path:
        where = 'PATH=' + os.environ.get('PATH', '')
        return lacking(tool.name, need, 'nothing', where, tool.debian)
    if tool.minimum:
        said = say([path, '--version'])[1]
        have = re.search(r'\d+\.\d+(\.\d+)?', re.sub(r'\(.*?\)', '', said))
        if not have or version(have.group()) < version(tool.minimum):
            return lacking(tool.name, need, have.group() if have else said, path, tool.debian)
    return None


def probe(source, flags, compiler='gcc'):
    """Compiles, links and runs a program; returns (worked, what it and ldd said)."""
    language = 'c++' if compiler == 'g++' else 'c'
    with tempfile.TemporaryDirectory() as scratch:
        program = os.path.join(scratch, 'probe')
        ok, said = say([compiler, '-x', language, '-', '-x', 'none', '-o', program] + flags,
                       input=source + '\n')
        if not ok:
            return False, said
        ok, said = say([program])
        return ok, said + '\n' + say(['ldd', program])[1]


def find_sanitizers():
    """clang's runtime libraries are a package of their own.  None, or what is lacking."""
    ok, said = probe('int main(void) { return 0; }', ['-fsanitize=address,undefined'], 'clang')
    if not ok:
        return lacking('sanitizers', 'clang -fsanitize=address,undefined', 'clang without them',
                       say(['clang', '-print-resource-dir'])[1], 'libclang-rt-14-dev', said)
    return None


def find_package(package, found):
    """Enters (cflags, libs) into `found`, or returns what is lacking."""
    need = '%s >= %s (%s)' % (package.pc, package.minimum, package.why)
    ok, have = say(['pkg-config', '--modversion', package.pc])
    looked = 'pkg-config, its path ' + ':'.join(filter(None, [
        os.environ.get('PKG_CONFIG_PATH'), os.environ.get('PKG_CONFIG_LIBDIR')
        or say(['pkg-config', '--variable', 'pc_path', 'pkg-config'])[1]]))
    if not ok or version(have) < version(package.minimum):
        return lacking(package.name, need, have if ok else 'nothing', looked, package.debian)
    # -isystem: other people's headers need not pass our warnings
    cflags = say(['pkg-config', '--cflags', package.pc])[1]
    cflags = re.sub(r'(^|\s)-I\s*', r'\1-isystem ', cflags)
    libs = say(['pkg-config', '--libs', package.pc])[1]
    source = PROBES.get(package.name) or '#include <stddef.h>\n#include <%s>\nint main(void) ' \
        '{ return !(%s); }' % (package.header, package.expression)
    if package.name == 'benchmark':  # the one C++ library, linked by gcc
        libs += ' -lstdc++'
    ok, said = probe(source, cflags.split() + libs.split(),
                     'g++' if package.name == 'benchmark' else 'gcc')
    if not ok:
        return lacking(package.name + ' does not work', need, have, looked, package.debian, said)
    found[package.name] = (cflags, libs)
    return None


def find_boringssl(prefix, found):
    """As find_package.  Libraries by their full paths, so that none can mean OpenSSL's."""
    multiarch = say(['gcc', '-print-multiarch'])[1]
    if prefix:
        includes = [prefix + '/include', prefix + '/include/android', prefix + '/src/include']
        folders = ['/lib/' + multiarch, '/lib', '/build', '/build/ssl', '/build/crypto', '/ssl',
                   '/crypto', '']
        folders = [prefix + f for f in folders]
    else:
        includes = ['/usr/include/android']
        folders = ['/usr/lib/%s/android' % multiarch]
    include = next((d for d in includes if os.path.exists(d + '/openssl/ssl.h')), None)
    libraries = [next((path for folder in folders for end in ('so', 'a')
                       for path in glob.glob('%s/lib%s.%s' % (folder, stem, end))), None)
                 for stem in ('ssl', 'crypto')]
    need = 'BoringSSL (TLS, DTLS, signatures)'
    looked = ' '.join(includes + folders)
    have = 'headers in %s, libraries %s and %s' % (include, *libraries)
    if not include or None in libraries:
        return lacking('boringssl', need, have, looked, BORINGSSL_DEBIAN)
    cflags = '-isystem ' + include
    shared = sorted({os.path.dirname(n) for n in libraries if n.endswith('.so')})
    libs = ' '.join(libraries + ['-Wl,-rpath,' + d for d in shared] + ['-lstdc++', '-pthread'])
    ok, said = probe(BORINGSSL_PROBE, cflags.split() + libs.split())
    if not ok or not said.startswith('BoringSSL') or re.search(r'lib(ssl|crypto)\.so\.[1-9]', said):
        what = 'boringssl is not what it should be'
        return lacking(what, need, have, looked, BORINGSSL_DEBIAN, said)
    found['boringssl'] = (cflags, libs)
    return None


def find_all(prefix):
    """({package: (cflags, libs)}, [what is lacking])."""
    found = {}
    wrong = [w for w in map(find_tool, TOOLS) if w]
    if not wrong:
        wrong = [find_package(p, found) for p in PACKAGES if p.used]
        wrong += [find_boringssl(prefix, found), find_sanitizers()]
    return found, [w for w in wrong if w]
