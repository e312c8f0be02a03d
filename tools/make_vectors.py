#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes tests/vectors/own: good and malformed encodings of every structure that codec/ decodes, and
whole signed messages (see the README there).

    tools/make_vectors.py            writes them anew; the same bytes, as long as nothing changed
    tools/make_vectors.py --check    writes nothing; fails where a file differs
    tools/make_vectors.py --remake   new test keys, certificates and signatures

Bytes come from `chordial encode --batch` ($CHORDIAL) and must equal those of vector_types.py, which
is written from the RFCs; verdicts come from there and must equal those of `decode`."""
import argparse
import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import vector_extra  # noqa: E402
import vector_messages  # noqa: E402
from vector_model import Context, Gen, Reject  # noqa: E402
from vector_types import RFC, TYPES, decode, encode, listed_types  # noqa: E402

OUT = 'tests/vectors/own'
CHORDIAL = os.environ.get('CHORDIAL', './build/release/chordial')
EMPTY = ('LeaveAns', 'UpdateAns', 'ConfigUpdateAns')  # nothing in them, whatever the context
MODES = ('min', 'max')  # then random
CONTEXT = ('node_id_length', 'data_model', 'kinds', 'overlay_name')
LARGEST_TO_MUTATE, MALFORMED_EACH = 600, 16
OTHER_KINDS = {'1': 'single', '2': 'array', '3': 'dictionary', '4026531841': 'array'}


def ask(command, lines):
    """What `chordial decode --batch` or encode answers to each line."""
    text = '\n'.join(json.dumps(line) for line in lines) + '\n'
    done = subprocess.run([CHORDIAL, command, '--batch'], input=text, capture_output=True,
                          text=True, check=True)
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    if len(answers) != len(lines):
        sys.exit(f'make_vectors: {len(lines)} lines, {len(answers)} answers')
    return answers


def die(line, text):
    sys.exit(f'make_vectors: {line["name"]}: {text}')


def overlay_of(line):
    return dict(line, overlay=vector_messages.OVERLAY) if 'overlay_name' in line else line


# ---- good ones -------------------------------------------------------------------------------


def contexts(kind):
    """Where a structure depends on more than its bytes: what else to say."""
    yield {}
    if kind in ('StoredData', 'StoredMetaData'):
        yield {'data_model': 'array'}
        yield {'data_model': 'dictionary'}
    if kind in EMPTY:
        yield {'node_id_length': 20}


def generated(kind):
    def one(name, context, mode, turn):
        g = Gen(f'{kind} {name}', mode, turn, Context(context))
        return {'name': f'{kind}.{name}', 'type': kind, **context,
                'fields': TYPES[kind].gen(g)}, g.uses_node
    uses_node = False
    for context in contexts(kind):
        mark = ''.join(f'{v}.' for v in context.values())
        for turn in range(7):
            mode = MODES[turn] if turn < len(MODES) else 'random'
            line, used = one(mark + (mode if turn < 2 else str(turn)), context, mode, turn)
            uses_node |= used
            yield line
    if uses_node:
        for length in (17, 20):
            for turn in range(2):
                context = {'node_id_length': length}
                yield one(f'node{length}.{turn}', context, MODES[1] if turn else 'random', turn)[0]
    if kind in vector_extra.BY_KIND:
        for turn in range(4):
            yield one(f'kinds.{turn}', {'kinds': OTHER_KINDS}, 'random', turn)[0]


def good_structures():
    lines, seen = [], set()
    for kind in TYPES:
        if kind == 'Message':
            continue
        made = list(generated(kind)) + [dict(line, type=kind, name=f'{kind}.{line["name"]}')
                                        for line in vector_extra.GOOD.get(kind, ())]
        for line in made:
            key = json.dumps({k: v for k, v in line.items() if k != 'name'}, sort_keys=True)
            if key not in seen:
                lines.append(line)
            seen.add(key)
    return lines


def with_bytes(lines):
    """Adds hex and rfc; both encoders and both decoders must agree."""
    out = []
    for line, answer in zip(lines, ask('encode', lines)):
        if 'hex' not in answer:
            die(line, f'encode refuses it: {answer}')
        if encode(line['type'], line['fields'], line).hex() != answer['hex']:
            die(line, 'the two encoders differ')
        data = bytes.fromhex(answer['hex'])
        if decode(line['type'], data, overlay_of(line))[0] != line['fields']:
            die(line, 'is decoded to other fields')
        made = {'name': line['name'], 'type': line['type'], 'hex': answer['hex']}
        out.append({**made, **{k: v for k, v in line.items() if k not in made},
                    'rfc': RFC[line['type']]})
    for line, answer in zip(out, ask('decode', out)):
        if answer.get('fields') != line['fields']:
            die(line, f'decode gives {answer}')
    return out


# ---- malformed ones --------------------------------------------------------------------------


def mutations(data, seen):
    """(bytes, why) of what can be wrong with the fields of a good encoding."""
    named = [(f, '.'.join(str(p) for p in f.path if not isinstance(p, int)) or 'it')
             for f in seen]
    yield data + b'\0', 'a byte behind the end'
    for field, name in named:
        if field.start < field.end:
            yield data[:field.start], f'ends before {name}'
            if field.end - field.start > 1:
                yield data[:(field.start + field.end) // 2], f'ends inside {name}'
    for field, name in named:
        size = field.end - field.start
        old = int.from_bytes(data[field.start:field.end], 'big')

        def put(value):
            return data[:field.start] + value.to_bytes(size, 'big') + data[field.end:]
        if field.what == 'length':
            for value, how in ((old + 1, 'one more'), (old - 1, 'one less'), (0, 'zero'),
                               (256 ** size - 1, 'the largest')):
                if 0 <= value < 256 ** size and value != old:
                    yield put(value), f'length of {name} is {how}'
        if field.what == 'boolean':
            yield put(2), f'{name} is 2'
            yield put(255), f'{name} is 255'
        if field.what == 'type':
            yield put(0), f'{name} is 0'
            yield put(3), f'{name} is 3'


def judged(line, data, why):
    """The malformed vector, or None when the bytes are good."""
    try:
        decode(line['type'], data, overlay_of(line))
    except Reject as e:
        context = {k: v for k, v in line.items() if k in CONTEXT}
        return {'name': '', 'type': line['type'], 'hex': data.hex(), **context,
                'verdict': 'reject', 'reject': e.reason, 'offset': e.offset, 'why': why,
                'rfc': RFC[line['type']]}
    return None


def pick(candidates, most):
    """The most different ones: first each reason, then each cause, then what comes."""
    chosen, rest, seen = [], candidates, set()
    for key in (lambda v: v['reject'], lambda v: (v['reject'], v['why'][:9]),
                lambda v: (v['reject'], v['why'])):
        later = []
        for v in rest:
            if len(chosen) < most and key(v) not in seen:
                seen.add(key(v))
                chosen.append(v)
            else:
                later.append(v)
        rest = later
    return chosen


def malformed_structures(good):
    out = []
    for kind in TYPES:
        candidates, seen = [], set()
        of_kind = [v for v in good if v['type'] == kind]
        for line in of_kind:
            data = bytes.fromhex(line['hex'])
            if len(data) > LARGEST_TO_MUTATE:
                continue
            for wrong, why in mutations(data, decode(kind, data, overlay_of(line))[1]):
                v = judged(line, wrong, why)
                if v and (v['hex'], v.get('node_id_length')) not in seen:
                    seen.add((v['hex'], v.get('node_id_length')))
                    candidates.append(v)
        if kind in EMPTY:
            candidates += [judged({'type': kind}, data, 'has a body') for data in (b'\1', bytes(4))]
        out += number(kind, pick(candidates, MALFORMED_EACH))
    return out


def by_hand():
    out = []
    for kind, cases in vector_extra.BAD.items():
        made = []
        for why, what, context in cases:
            line = {'type': kind, **context}
            data = what if isinstance(what, bytes) else encode(kind, what, line)
            v = judged(line, data, why)
            if v is None:
                die({'name': kind}, f'{why}: accepted')
            made.append(v)
        out += number(kind + '.hand', made)
    return out


def number(kind, lines):
    return [dict(line, name=f'{kind}.{line["reject"]}.{i}') for i, line in enumerate(lines)]


def check_verdicts(lines):
    wrong = []
    for line, answer in zip(lines, ask('decode', lines)):
        got = (answer.get('reject', 'accepted').split(':')[0], answer.get('offset'))
        if got != (line['reject'], line['offset']):
            wrong.append(f'{line["name"]} {line["why"]}: {line["reject"]} at {line["offset"]} is '
                         f'due, decode says {got}: {line["hex"]}')
    if wrong:
        sys.exit('make_vectors: ' + '\n  '.join(wrong[:20]))


# ---- files -----------------------------------------------------------------------------------


def make(remake):
    unknown = listed_types() ^ set(TYPES)
    if unknown or set(TYPES) != set(RFC):
        sys.exit(f'make_vectors: without vectors, or without a section, or gone: '
                 f'{sorted(unknown | set(TYPES) ^ set(RFC))}')
    good = with_bytes(good_structures())
    messages, stored, certificates = vector_messages.make(with_bytes, remake)
    malformed = malformed_structures(good) + by_hand()
    bad_messages = number('Message', vector_messages.malformed(messages, judged, mutations, pick))
    check_verdicts(malformed + bad_messages)
    return {'structure': good, 'malformed_structure': malformed, 'message': messages,
            'malformed_message': bad_messages, 'data_signature': stored,
            'certificate': certificates}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n\n')[0])
    parser.add_argument('--check', action='store_true')
    parser.add_argument('--remake', action='store_true')
    args = parser.parse_args()
    os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), '..'))
    stale, total = [], 0
    for name, lines in make(args.remake).items():
        path = f'{OUT}/{name}.jsonl'
        text = ''.join(json.dumps(line, separators=(',', ':')) + '\n' for line in lines)
        total += len(text)
        print(f'{name}: {len(lines)} vectors, {len(text)} bytes')
        if args.check:
            try:
                with open(path, encoding='utf-8') as f:
                    stale += [] if f.read() == text else [path]
            except FileNotFoundError:
                stale.append(path)
        else:
            os.makedirs(OUT, exist_ok=True)
            with open(path, 'w', encoding='utf-8') as f:
                f.write(text)
    if stale:
        sys.exit('make_vectors: not what the tool makes: ' + ' '.join(stale))
    print(f'{total} bytes in all')


if __name__ == '__main__':
    main()
