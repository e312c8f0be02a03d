#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Our SIP parser and three others on the same messages: who accepts, and what is read of them.

    tools/sip_differential.py [--mutations N] [--show CLASS]     (ninja sip-differential)

Messages: those of RFC 4475 and RFC 5118, PROTOS-like cases, and mutations of the former with a
fixed seed.  Disagreements fall into classes: why we refuse (or that we accept), and which of the
others accept.  Each class is explained in docs/sip-differential.md; one that is not there, or a
field that is read differently in a way that is not there, makes this end with 1.
--show prints examples.

The others are libosip2, sofia-sip and libre (./configure.py --deps=bench); each runs as a process
of its own (tests/differential/judge_*.c), since some crash: that is a class, too."""
import argparse
import collections
import os
import random
import re
import shlex
import subprocess
import sys
from glob import glob

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import tree  # noqa: E402

OUT = 'build/release/differential'
DOCUMENT = 'docs/sip-differential.md'
FIELDS = ['method', 'call-id', 'cseq', 'branch', 'from-tag', 'to-tag']
# name: (source, pkg-config module)
OTHERS = {'osip': ('tests/differential/judge_osip.c', 'libosip2'),
          'sofia': ('tests/differential/judge_sofia.c', 'sofia-sip-ua'),
          're': ('tests/differential/judge_re.c', 'libre')}
STRIDE = 7
SEED = 4475

Answer = collections.namedtuple('Answer', 'accepts why fields')
CRASH = Answer(None, 'crash', ())


def build(name, source, module):
    done = subprocess.run(['pkg-config', '--cflags', '--libs', module], capture_output=True,
                          text=True)
    if done.returncode != 0:
        sys.exit(f'sip_differential.py: {done.stderr.strip()}: ./configure.py --deps=bench')
    program = f'{OUT}/judge_{name}'
    subprocess.run(['gcc', '-std=gnu17', '-O1', '-g', '-I.', '-w', '-o', program,
                    source, *shlex.split(done.stdout)], check=True)
    return program


# ---- messages

def mutations(messages, count):
    """One to three changes of a message: a byte, a piece gone, doubled, moved, or from another."""
    rng = random.Random(SEED)
    words = [b'\r\n', b' ', b'\t', b';', b',', b'"', b'<', b'>', b':', b'@', b'%', b'\\', b'\0',
             b'=', b'sip:', b';tag=x', b'0', b'9999999999', b'\xff', b'?', b'[', b'\r\n ', b'/']
    for _ in range(count):
        text = bytearray(rng.choice(messages))
        for _ in range(rng.randint(1, 3)):
            head = max(1, text.find(b'\r\n\r\n'))
            at = rng.randrange(head)
            length = rng.randint(1, 20)
            kind = rng.randrange(5)
            if kind == 0:
                text[at] = rng.randrange(256)
            elif kind == 1:
                del text[at:at + length]
            elif kind == 2:
                text[at:at] = text[at:at + length]
            elif kind == 3:
                text[at:at] = rng.choice(words)
            else:
                other = rng.choice(messages)
                start = rng.randrange(len(other))
                text[at:at + length] = other[start:start + length]
        yield bytes(text)


def torture():
    for path in sorted(glob('tests/data/rfc*/*.dat')):
        with open(path, 'rb') as f:
            yield f.read()


def protos():
    done = subprocess.run(['build/release/protos_cases', 'example.org', str(STRIDE)],
                          capture_output=True, check=True)
    data, at = done.stdout, 0
    while at < len(data):
        length = int.from_bytes(data[at:at + 4], 'big')
        yield data[at + 4:at + 4 + length]
        at += 4 + length


# ---- judges

def read_answer(line):
    verdict, *fields = line.split('\t')
    return Answer(verdict[0] == '+', verdict[1:], tuple(fields))


def ask(program, messages):
    """An answer for each; a judge that dies is started again behind what killed it."""
    answers = []
    while len(answers) < len(messages):
        given = b''.join(len(m).to_bytes(4, 'big') + m for m in messages[len(answers):])
        done = subprocess.run([program], input=given, capture_output=True, timeout=600)
        answers += [read_answer(line) for line in done.stdout.decode('latin-1').splitlines()]
        if len(answers) < len(messages):
            answers.append(CRASH)
    return answers


# ---- comparing

def classes(ours, others):
    """{class: [numbers]} of verdicts, then of fields that differ where all accept alike."""
    verdicts, fields = collections.defaultdict(list), collections.defaultdict(list)
    for number, mine in enumerate(ours):
        theirs = {name: answers[number] for name, answers in others.items()}
        for name in [n for n, a in theirs.items() if a.accepts is None]:
            verdicts[f'{name} crashes'].append(number)
        accepting = [n for n, a in theirs.items() if a.accepts]
        if not mine.accepts and accepting:
            verdicts[f'refused: {mine.why}'].append(number)
        elif mine.accepts and len(accepting) < len(theirs):
            missing = '+'.join(n for n, a in theirs.items() if a.accepts is False)
            if missing:
                verdicts[f'accepted, not by {missing}'].append(number)
        if mine.accepts:
            for name in accepting:
                for i, field in enumerate(FIELDS):
                    if mine.fields[i] != theirs[name].fields[i]:
                        fields[f'{field} differs from {name}'].append(number)
    return verdicts, fields


def known():
    """Classes that the document explains: the first cell of its tables, in backquotes."""
    if not os.path.exists(DOCUMENT):
        return set()
    return set(re.findall(r'^\| `([^`]+)` \|', tree.read(tree.TOP, DOCUMENT), re.M))


def example(messages, ours, others, number):
    text = messages[number][:700].decode('latin-1')
    lines = [f'  {name}: {answer.accepts} {answer.why} '
             + ' '.join(bytes.fromhex(f).decode('latin-1') if f != '.' else '.'
                        for f in answer.fields)
             for name, answer in [('ours', ours[number])]
             + [(n, a[number]) for n, a in others.items()]]
    return repr(text) + '\n' + '\n'.join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--mutations', type=int, default=5000)
    parser.add_argument('--show', metavar='CLASS', default='',
                        help='or all')
    parser.add_argument('--examples', type=int, default=3)
    args = parser.parse_args()
    os.chdir(tree.TOP)
    os.makedirs(OUT, exist_ok=True)
    programs = {name: build(name, *how) for name, how in OTHERS.items()}
    bases = list(torture())
    messages = bases + list(protos()) + list(mutations(bases, args.mutations))
    messages = [m for m in messages if len(m) <= 65000]
    ours = ask('build/release/judge_ours', messages)
    others = {name: ask(program, messages) for name, program in programs.items()}
    accepted = {n: sum(bool(a.accepts) for a in answers)
                for n, answers in [('ours', ours), *others.items()]}
    print(f'{len(messages)} messages; accepted: '
          + ', '.join(f'{n} {c}' for n, c in accepted.items()))
    explained, strange = known(), 0
    for table in classes(ours, others):
        for name, numbers in sorted(table.items(), key=lambda item: -len(item[1])):
            is_new = name not in explained
            strange += is_new
            print(f'{len(numbers):6} {name}' + (' (NOT EXPLAINED)' if is_new else ''))
            if args.show and args.show in ('all', name):
                for number in numbers[:args.examples]:
                    print(example(messages, ours, others, number))
    if strange:
        sys.exit(f'{strange} classes are not explained in {DOCUMENT}')


if __name__ == '__main__':
    main()
