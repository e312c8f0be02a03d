#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks that the layers in README.md are what the code does: which folder includes which,
and which symbols the objects of the debug build leave to others.  Include downward only."""
import os
import re
import sys
from fnmatch import fnmatch

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import tree  # noqa: E402

# What a file of a folder may include, as patterns on the path from the top.
MAY_INCLUDE = {
    'core': ['core/*'],
    'core/os': ['core/*', 'core/os/*'],
    'codec': ['codec/*', 'core/base.h', 'core/err.h', 'core/slice.h', 'core/address.h'],
    'link': ['link/*', 'codec/*', 'core/*'],
    'dht': ['dht/*', 'link/link.h', 'codec/*', 'core/*'],
    'sip': ['sip/*', 'dht/overlay.h', 'codec/*', 'core/*'],
    'node': ['node/*', 'sip/*', 'dht/*', 'link/*', 'codec/*', 'core/*'],
    'sim': ['sim/*', 'node/*', 'sip/*', 'dht/*', 'link/*', 'codec/*', 'core/*'],
    'cmd': [folder + '/*' for folder in tree.PRODUCT],
}
# Whose symbols: (source without extension, symbol).  sip/ and dht/ go through one door each.
MAY_USE = {
    'core': [('core/*', '*')],
    'core/os': [('core/*', '*')],
    'codec': [('codec/*', '*'), ('core/check', '*'), ('core/err', '*'), ('core/slice', '*'),
              ('core/address', '*')],
    'link': [('link/*', '*'), ('codec/*', '*'), ('core/*', '*')],
    'dht': [('dht/*', '*'), ('link/*', 'link_*'), ('codec/*', '*'), ('core/*', '*')],
    'sip': [('sip/*', '*'), ('dht/*', 'overlay_*'), ('codec/*', '*'), ('core/*', '*')],
    'node': [(folder + '/*', '*') for folder in ('node', 'sip', 'dht', 'link', 'codec', 'core')],
    'sim': [(folder + '/*', '*')
            for folder in ('sim', 'node', 'sip', 'dht', 'link', 'codec', 'core')],
    'cmd': [('*', '*')],
}
# What it may not even reach through the headers it includes.
MUST_NOT_REACH = {
    'sip': ['link/*', 'dht/chord*', 'dht/store*'],
    'codec': ['link/*', 'dht/*', 'sip/*', 'node/*'],
}

PURE_HEADERS = '''<inttypes.h> <limits.h> <stdalign.h> <stdarg.h> <stdbool.h> <stddef.h>
    <stdint.h> <string.h>'''.split()
# Library and system headers: which files may include what.  Files of core/os and cmd may include
# any system header, but of libraries only those named here.
SYSTEM_HEADERS = [
    ('*', PURE_HEADERS),
    ('core/*', ['<stdio.h>', '<xxhash.h>']),
    ('core/check.c', ['<stdlib.h>']),
    ('core/spsc.[ch]', ['<stdatomic.h>']),
    ('core/metric.c', ['<stdatomic.h>']),
    ('codec/sip_way_scan.h', ['<immintrin.h>']),
    ('core/os/*', ['<liburing.h>', '<liburing/*', '<jemalloc/*']),
    ('core/os/mailbox.c', ['<stdatomic.h>']),
    ('link/*', ['<stdio.h>']),
    ('link/tls_*', ['<openssl/*', '<stdlib.h>']),
    ('link/crypto_*', ['<openssl/*', '<stdlib.h>']),
    ('dht/*', ['<stdio.h>']),
    ('sip/*', ['<stdio.h>']),
    ('node/*', ['<stdio.h>', '<stdlib.h>', '<libxml/*']),
    ('sim/*', ['<stdio.h>', '<stdlib.h>']),
    ('cmd/*', ['<confuse.h>', '<jansson.h>', '<microhttpd.h>', '<lmdb.h>', '<ares.h>',
               '<pcap*']),
]
LIBRARY_HEADER = re.compile(
    r'<(openssl|liburing|jemalloc|libxml|xxhash|confuse|jansson|microhttpd|lmdb|ares|pcap'
    r'|stdatomic|criterion|benchmark|gnutls|curl)\b')

# Undefined symbols that are nobody's in this project.  gcc may call the first line from any code.
COMPILER = (r'mem(cpy|move|set|cmp)|__(memcpy|memmove|memset)_chk|__stack_chk_fail'
            r'|_GLOBAL_OFFSET_TABLE_|__tls_get_addr'
            r'|__(popcount|clz|ctz|ffs|bswap|udiv|umod|div|mod|mul)[sdt]i[2-4]')
STRINGS = COMPILER + r'|memchr|memrchr|memmem|str(len|nlen|cmp|ncmp|chr|rchr|spn|cspn|str)'
TEXT = STRINGS + r'|v?snprintf|__v?snprintf_chk'
ANYTHING = r'.*'
# It has no prefix of its own: capitals, and the ASN.1 converters.  It may allocate.
BORINGSSL = (r'[A-Z][A-Za-z0-9]*_\w+|(d2i|i2d|sk)_\w+|SHA(1|224|256|384|512)|MD5|HMAC'
             r'|malloc|calloc|realloc|free')
MAY_LEAVE_UNDEFINED = [
    ('core/*', TEXT + r'|XXH\w+'),
    ('core/check', r'abort|stderr|fputc|fputs|fflush|fprintf|vfprintf|fwrite'),
    ('core/os/*', ANYTHING),
    ('codec/*', COMPILER + r'|memchr|strlen'),
    ('codec/sip_*', r'__cpu_model|__cpu_indicator_init'),
    ('link/*', TEXT),
    ('link/tls_*', BORINGSSL),
    ('link/crypto_*', BORINGSSL),
    ('dht/*', TEXT),
    ('sip/*', TEXT),
    ('node/*', TEXT + r'|xml[A-Z]\w+'),
    ('sim/*', TEXT + r'|strto(l|ul|ll|ull|imax|umax)|__isoc23_strto\w+'),
    ('cmd/*', ANYTHING),
]
WHY = [
    (r'malloc|calloc|realloc|free|strn?dup|aligned_alloc|posix_memalign|asprintf|qsort',
     'allocates: take memory from core/arena or core/pool'),
    (r'time|clock_gettime|gettimeofday|clock|localtime\w*|gmtime\w*|nanosleep|usleep|sleep',
     'reads a clock: time arrives in struct turn'),
    (r'rand\w*|random|srand\w*|getrandom|getentropy|arc4random\w*',
     'is ambient randomness: it arrives in struct turn (core/rng.h)'),
    (r'read|write|send\w*|recv\w*|socket|open\w*|close|connect|bind|listen|accept\w*|epoll_\w+'
     r'|poll|ioctl|io_uring_\w+|mmap|munmap|pthread_\w+|syscall|fopen\w*|fread|fwrite|fclose',
     'talks to the system: only core/os and cmd do'),
    (r'printf|fprintf|puts|fputs|putchar|stderr|stdout|perror|fflush',
     'prints: log through core/log.h'),
    (r'__errno_location', 'reads errno: core/os turns it into enum err'),
    (r'__assert_fail', 'is assert: use CHECK'),
    (r'__ctype_\w+|toupper|tolower|strcasecmp|strncasecmp|strtod\w*',
     'depends on the locale: write the ASCII rule, or use the one in codec/'),
]


def check_includes(top, paths):
    """Sentences about include edges that the tables forbid."""
    wrong = []
    edges = {p: list(tree.includes(tree.read(top, p))) for p in paths}
    for path in paths:
        folder = tree.folder_of(path)
        if folder is None:
            continue
        for line, target in edges[path]:
            why = forbidden(path, folder, target)
            if why:
                wrong.append('%s:%d: includes %s: %s' % (path, line, target, why))
        for pattern in MUST_NOT_REACH.get(folder, []):
            chain = reach(path, pattern, edges)
            if len(chain) > 2:  # a direct edge is reported above
                wrong.append('%s: reaches %s, which %s/ must not see'
                             % (path, ' -> '.join(chain[1:]), folder))
    return wrong


def forbidden(path, folder, target):
    """Why `path` may not include `target`, None if it may."""
    if target.startswith('<'):
        if folder in ('core/os', 'cmd') and not LIBRARY_HEADER.match(target):
            return None
        allowed = [h for pattern, headers in SYSTEM_HEADERS if fnmatch(path, pattern)
                   for h in headers]
        if any(fnmatch(target, h) for h in allowed):
            return None
        return 'this file may not (SYSTEM_HEADERS in tools/check_layers.py)'
    if '/' not in target or target.startswith(('.', '/')):
        return 'write the path from the top, "folder/file.h"'
    if target.startswith('core/os/') and folder not in ('core/os', 'cmd'):
        return 'core/os/ is for cmd/ alone'
    if not any(fnmatch(target, p) for p in MAY_INCLUDE[folder]):
        return '%s/ may include only %s' % (folder, ' '.join(MAY_INCLUDE[folder]))
    return None


def reach(start, pattern, edges):
    """The shortest chain of includes from `start` to a file that matches, empty if none."""
    chains, seen = [[start]], {start}
    while chains:
        chain = chains.pop(0)
        for _, target in edges.get(chain[-1], []):
            if fnmatch(target, pattern):
                return chain + [target]
            if target not in seen:
                seen.add(target)
                chains.append(chain + [target])
    return []


def may_use(user, definer, symbol):
    """Whether code of `user` may name `symbol` of `definer` (both paths without extension)."""
    folder, other = tree.folder_of(user), tree.folder_of(definer)
    if other == 'core/os' and folder not in ('core/os', 'cmd'):
        return False
    return any(fnmatch(definer, where) and fnmatch(symbol, what) for where, what in MAY_USE[folder])


def check_symbols(objects):
    """`objects`: {source without extension: object}.  Sentences about forbidden symbols."""
    wrong = []
    table = tree.symbols(list(objects.values()))
    definer = {symbol: source for source, o in objects.items() for symbol in table[o][1]}
    for source, o in sorted(objects.items()):
        patterns = [p for where, p in MAY_LEAVE_UNDEFINED if fnmatch(source, where)]
        for symbol in sorted(table[o][0]):
            if symbol in definer:
                if not may_use(source, definer[symbol], symbol):
                    wrong.append('%s.c: uses %s of %s.c, which its layer may not know'
                                 % (source, symbol, definer[symbol]))
            elif not any(re.fullmatch(p, symbol) for p in patterns):
                plain = re.sub(r'^__(\w+)_chk$', r'\1', symbol)
                why = next((w for p, w in WHY if re.fullmatch(p, plain)),
                           'is neither defined in the project nor allowed by the tables of'
                           ' tools/check_layers.py')
                wrong.append('%s.c: calls %s, which %s' % (source, symbol, why))
    return wrong


def main():
    sys.path.insert(0, tree.TOP)
    import modules
    paths = tree.files(tree.TOP, '.c', '.h', '.def', '.cc')
    sources = [f + '/' + name for f, listed in modules.MODULES.items() for name in listed]
    objects = {s: os.path.join(tree.TOP, 'build/debug', s + '.o') for s in sources}
    unbuilt = [s for s, o in objects.items() if not os.path.exists(o)]
    if unbuilt:
        sys.exit('check_layers: not built, run `ninja debug` first: ' + ' '.join(unbuilt))
    wrong = check_includes(tree.TOP, paths) + check_symbols(objects)
    for sentence in wrong:
        print(sentence)
    print('check_layers: %d files, %d objects, %d broken rules'
          % (len(paths), len(objects), len(wrong)))
    sys.exit(1 if wrong else 0)


if __name__ == '__main__':
    main()
