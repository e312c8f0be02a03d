# SPDX-License-Identifier: Apache-2.0
"""A strict reader of OpenMetrics text 1.0, for the tests: what it does not expect is a failure.
Debian's python3-prometheus-client reads the same text as a second judge (judge)."""
import math
import re
import subprocess

NAME = re.compile(r'[a-zA-Z_:][a-zA-Z0-9_:]*\Z')
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(,|\Z)')
SAMPLE = re.compile(r'([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)\Z')
NUMBER = re.compile(r'-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?\Z')
SUFFIXES = {'counter': ('_total',), 'gauge': ('',), 'info': ('_info',),
            'histogram': ('_bucket', '_count', '_sum')}
# What a system Python can import; the one that runs this may be another.
JUDGE = '''
import sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families
print(sum(len(f.samples) for f in text_string_to_metric_families(sys.stdin.read())))
'''


class Wrong(Exception):
    pass


def must(condition, line):
    if not condition:
        raise Wrong(line)


def labels_of(text, line):
    labels = {}
    at = 0
    while text and at < len(text):
        found = LABEL.match(text, at)
        must(found and found[1] not in labels, line)
        must(found[3] == '' or found.end() < len(text), line)
        labels[found[1]] = found[2]
        at = found.end()
    return labels


def check_histogram(name, samples):
    bounds = [(s[1]['le'], s[2]) for s in samples if s[0] == name + '_bucket']
    count = [s[2] for s in samples if s[0] == name + '_count']
    total = [s[2] for s in samples if s[0] == name + '_sum']
    must(len(count) == len(total) == 1 and bounds, name)
    must(bounds[-1][0] == '+Inf' and bounds[-1][1] == count[0], f'{name}: {bounds[-1]}, {count}')
    numbers = [float(bound) for bound, _ in bounds]
    must(numbers == sorted(set(numbers)), f'{name}: bounds')
    counts = [value for _, value in bounds]
    must(counts == sorted(counts), f'{name}: {counts}')
    must(all(s[0] != name + '_bucket' or set(s[1]) == {'le'} for s in samples), name)


class Family:
    def __init__(self):
        self.type = self.help = self.unit = None
        self.samples = []  # (name, labels, value)


def check_family(name, family):
    must(NAME.match(name) and family.samples and family.type in SUFFIXES, name)
    must(family.unit is None or name.endswith('_' + family.unit), f'{name}: {family.unit}')
    for sample, labels, value in family.samples:
        must(sample[len(name):] in SUFFIXES[family.type], f'{name}: {sample}')
        must(family.type == 'gauge' or value >= 0, f'{sample} {value}')
        must(family.type == 'histogram' or 'le' not in labels, sample)
    if family.type == 'histogram':
        check_histogram(name, family.samples)


def read_metadata(line, families):
    word, name, text = line[2:].split(' ', 2)
    must(word in ('TYPE', 'UNIT', 'HELP'), line)
    family = families[-1][1] if families and families[-1][0] == name else None
    if family is None:
        must(name not in dict(families), line + ': not in one piece')
        family = Family()
        families.append((name, family))
    must(not family.samples and getattr(family, word.lower()) is None, line)
    must(not re.search(r'\\(?![\\n"])', text), line)
    setattr(family, word.lower(), text)


def parse(text):
    """{family: Family}; Wrong says what is not as it should be."""
    must(text.endswith('\n# EOF\n'), text[-80:])
    families = []
    seen = set()
    for line in text[:-len('# EOF\n')].splitlines():
        must(line and line.isascii() and line == line.strip(), repr(line))
        if line.startswith('#'):
            must(line.startswith('# ') and len(line.split(' ')) >= 4, line)
            read_metadata(line, families)
            continue
        found = SAMPLE.match(line)
        must(found and families and NUMBER.match(found[3]), line)
        labels = labels_of(found[2], line)
        key = (found[1], tuple(sorted(labels.items())))
        must(key not in seen, line + ': twice')
        seen.add(key)
        name, family = families[-1]
        must(found[1].startswith(name), f'{line}: behind {name}')
        value = float(found[3])
        must(math.isfinite(value), line)
        family.samples.append((found[1], labels, value))
    for name, family in families:
        check_family(name, family)
    return dict(families)


def samples(families):
    """{sample name: [(labels, value)]}"""
    out = {}
    for family in families.values():
        for name, labels, value in family.samples:
            out.setdefault(name, []).append((labels, value))
    return out


def judge(text):
    """How many samples prometheus_client reads in it; None: it is not installed."""
    done = subprocess.run(['/usr/bin/python3', '-c', JUDGE], input=text, capture_output=True,
                          text=True, timeout=60)
    if 'ModuleNotFoundError' in done.stderr or done.returncode == 127:
        return None
    must(done.returncode == 0, done.stderr[-500:])
    return int(done.stdout)
