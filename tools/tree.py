# SPDX-License-Identifier: Apache-2.0
"""What the checks share: which files there are, C text without comments, symbols of objects."""
import os
import re
import subprocess
import sys

sys.dont_write_bytecode = True
TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

PRODUCT = ['core', 'core/os', 'codec', 'link', 'dht', 'sip', 'node', 'sim', 'cmd']
SKIPPED = {'.git', 'build', '__pycache__'}


def files(top, *extensions):
    """Paths below `top`, relative to it and sorted, with one of `extensions` (all when none)."""
    found = []
    for directory, folders, names in os.walk(top):
        folders[:] = [f for f in folders if f not in SKIPPED]
        for name in names:
            path = os.path.relpath(os.path.join(directory, name), top)
            if not extensions or name.endswith(extensions):
                found.append(path)
    return sorted(found)


def read(top, path):
    with open(os.path.join(top, path), encoding='utf-8', errors='replace') as f:
        return f.read()


NOISE = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


def code_only(text):
    """C text with comments and the insides of literals blanked; every line keeps its number."""
    def blank(match):
        word = match.group()
        return re.sub(r'[^\n]', ' ', word) if word[0] == '/' else '""'
    return NOISE.sub(blank, text)


def includes(text):
    """(line number, 'a/b.h' or '<x.h>') of each #include."""
    for number, line in enumerate(text.split('\n'), 1):
        match = re.match(r'\s*#\s*include\s*(?:"([^"]+)"|(<[^>]+>))', line)
        if match:
            yield number, match.group(1) or match.group(2)


def folder_of(path):
    """The product folder of a path, None outside of the product."""
    directory = os.path.dirname(path)
    return directory if directory in PRODUCT else None


def symbols(objects):
    """{object: (undefined names, defined global names)} by nm."""
    table = {o: (set(), set()) for o in objects}
    if not objects:
        return table
    listing = subprocess.run(['nm', '-A', '-g', '-P', *objects], stdout=subprocess.PIPE, text=True,
                             check=True)
    for line in listing.stdout.splitlines():
        where, rest = line.split(': ', 1)
        name, kind = rest.split()[:2]
        table[where][0 if kind in 'Uwv' else 1].add(name)
    return table
