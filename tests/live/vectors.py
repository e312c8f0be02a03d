#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""vector_test sees every changed value: copies of the golden vectors are altered, one line a file,
and exactly those lines must fail; and `chordial verify --batch` answers each line with one."""
import json
import os
import random
import re
import select
import subprocess
import tempfile

from live import CHORDIAL, FULL, check
from live import run as run_tests

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
VECTORS = os.path.join(TOP, 'tests', 'vectors')
OWN = os.path.join(VECTORS, 'own')
PROGRAM = os.path.join(os.path.dirname(os.path.abspath(CHORDIAL)), 'vector_test')
ROUNDS = 40 if FULL else 6

# Where a format keeps what is expected: any value inside of these may be changed.
EXPECTED = ['fields', 'body', 'body_type', 'signature_input', 'signature_valid', 'valid',
            'node_ids', 'user', 'spki', 'signer_node_id', 'alt_signature_value_if_prefixed',
            'resource_id', 'overlay', 'targets', 'data_value', 'hash_algorithm', 'verdict',
            'expect', 'message', 'blob_sha256', 'alt_signature_block_b64', 'relaxng', 'schema',
            'reject', 'offset', 'bytes', 'integrity', 'canonical']
# ... and inside of lists that also hold what is given.
INSIDE = {'frames': ['received', 'ack'], 'tests': ['responsible', 'next_hop']}


def read(folder):
    vectors = {}
    for name in sorted(os.listdir(folder)):
        if name.endswith('.jsonl'):
            with open(os.path.join(folder, name), encoding='utf-8') as f:
                vectors[name] = [json.loads(line) for line in f]
    return vectors


def write(folder, vectors):
    for name, lines in vectors.items():
        with open(os.path.join(folder, name), 'w', encoding='utf-8') as f:
            f.writelines(json.dumps(v) + '\n' for v in lines)


def run_vectors(folder):
    """(exit code, lines that failed as (file, line), the last line)."""
    ran = subprocess.run([PROGRAM, folder], capture_output=True, text=True, timeout=250)
    lines = ran.stdout.splitlines()
    found = [re.match(r'(.*):(\d+): ', line) for line in lines[:-1]]
    check(all(found), 'a line without place: ' + ran.stdout[:500])
    failed = {(os.path.basename(m.group(1)), int(m.group(2))) for m in found}
    check(len(failed) == len(found), 'a vector failed twice')
    return ran.returncode, failed, lines[-1] if lines else ran.stderr


def leaves(value, path=()):
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from leaves(item, path + (key,))
    elif isinstance(value, list) and value:
        for i, item in enumerate(value):
            yield from leaves(item, path + (i,))
    else:
        yield path


def expected_leaves(v):
    found = [p for key in EXPECTED if key in v for p in leaves(v[key], (key,))]
    for key, inner in INSIDE.items():
        found += [(key, i, k) for i, entry in enumerate(v.get(key, []))
                  for k in inner if k in entry]
    return [p for p in found if is_expected(v, p)]


def is_expected(v, path):
    """Not every value under those keys is: a message's name, a matter of taste."""
    if path[0] == 'verdict':  # of several that are right, one may be wrong
        return not isinstance(v['verdict'], list)
    if path[0] == 'valid':  # what is let in although it might be refused
        return v['name'] != 'cert.bad-subject'
    return True


def changed(value, rng):
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    if value in ([], {}, None):
        return [1]
    if value == '':
        return '00'
    start = 2 if value.startswith('0x') else 0
    digits = [i for i, c in enumerate(value) if c in '0123456789abcdef' and i >= start]
    i = rng.choice(digits) if digits else 0
    return value[:i] + rng.choice([c for c in '0123456789abcdef' if c != value[i]]) + value[i + 1:]


def alter(v, path, rng):
    place = v
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = changed(place[path[-1]], rng)


def flip_hex(v, rng):
    """A changed nibble of the bytes, where no other reading of them can be right."""
    i = rng.randrange(len(v['hex']))
    if 'fields' not in v:  # the signature is at the end of messages, and of certificates
        i = len(v['hex']) - 1 - rng.randrange(64)
    v['hex'] = v['hex'][:i] + rng.choice([c for c in '0123456789abcdef' if c != v['hex'][i]]) + \
        v['hex'][i + 1:]


def has_flippable_hex(v):
    if not v.get('hex') or v['type'] in ('RootCertificate', 'Receive'):
        return v.get('verdict') == 'accept'
    return 'fields' in v or v.get('signature_valid') is True or v.get('valid') is True


def copy_of(vectors):
    return {name: [json.loads(json.dumps(v)) for v in lines] for name, lines in vectors.items()}


def expect_failures(vectors, pick):
    """Alters a copy by `pick(file, lines)`, which gives an index or None; just those fail."""
    copy, wanted, told = copy_of(vectors), set(), []
    for name, lines in copy.items():
        index = pick(name, lines)
        if index is not None:
            wanted.add((name, index + 1))
            told.append('%s:%d %s' % (name, index + 1, json.dumps(lines[index])[:3000]))
    with tempfile.TemporaryDirectory() as folder:
        write(folder, copy)
        code, failed, last = run_vectors(folder)
    missed = [t for t in told if (t.split(' ')[0].rsplit(':', 1)[0],
                                  int(t.split(' ')[0].rsplit(':', 1)[1])) not in failed]
    check(not missed, 'not seen: ' + '\n'.join(missed))
    check(failed == wanted, 'failed too: %s' % sorted(failed - wanted))
    total = sum(len(lines) for lines in copy.values())
    check(last == '%d passed, %d failed' % (total - len(wanted), len(wanted)), last)
    check(code == (1 if wanted else 0), 'exit code %d' % code)
    return len(wanted)


def test_unchanged_vectors_pass():
    for folder in (VECTORS, OWN):
        check(expect_failures(read(folder), lambda name, lines: None) == 0, 'impossible')


def test_another_name_and_order_do_as_well():
    backwards = reversed(read(VECTORS).values())
    vectors = {'a-%02d.jsonl' % i: lines for i, lines in enumerate(backwards)}
    mixed = {'all.jsonl': [v for lines in vectors.values() for v in lines]}
    for some in (vectors, mixed):
        with tempfile.TemporaryDirectory() as folder:
            write(folder, some)
            code, failed, last = run_vectors(folder)
            check(code == 0 and not failed, '%s %s' % (last, sorted(failed)[:5]))


def test_changed_bytes_are_seen():
    rng = random.Random(1)
    vectors = read(VECTORS)

    def pick(name, lines):
        able = [i for i, v in enumerate(lines) if has_flippable_hex(v)]
        if able:
            index = rng.choice(able)
            flip_hex(lines[index], rng)
            return index
        return None
    for _ in range(ROUNDS):
        check(expect_failures(vectors, pick) > 12, 'hardly anything was changed')


def test_changed_expectations_are_seen():
    rng = random.Random(2)
    vectors = read(VECTORS)

    def pick(name, lines):
        able = [i for i, v in enumerate(lines) if expected_leaves(v)]
        if able:
            index = rng.choice(able)
            alter(lines[index], rng.choice(expected_leaves(lines[index])), rng)
            return index
        return None
    for _ in range(ROUNDS):
        check(expect_failures(vectors, pick) == len(vectors), 'a file was not changed')


def test_every_key_with_a_result_is_looked_at():
    """Each in every file that has it, so that no key is passed over by chance."""
    rng, seen = random.Random(5), set()
    for folder in (VECTORS, OWN):
        vectors = read(folder)
        for key in EXPECTED:
            def pick(name, lines, key=key):
                able = [(i, p) for i, v in enumerate(lines) for p in expected_leaves(v)
                        if p[0] == key]
                if not able:
                    return None
                index, path = rng.choice(able)
                alter(lines[index], path, rng)
                return index
            some = {name: lines for name, lines in vectors.items()
                    if any(key in v for v in lines) or name.startswith('certificate')}
            if any(key in v for lines in some.values() for v in lines):
                check(expect_failures(some, pick) > 0, key)
                seen.add(key)
    check(seen == set(EXPECTED), 'no vector has %s' % sorted(set(EXPECTED) - seen))


def broken(file, has, more):
    """Copies of the first line of `file` that `has` is true of, each with one thing of `more`."""
    line = next(v for v in read(os.path.dirname(file))[os.path.basename(file)] if has(v))
    return [{**line, **change} for change in more]


def test_what_contradicts_itself_fails():
    """A malformed line whose context is broken was not refused by a decoder; fields and "reject"
    exclude each other; a receiver with a Kind of no model is not set up."""
    contexts = [{'data_model': 'arrayx'}, {'data_model': 5}, {'kinds': {'1': 'foo'}},
                {'kinds': {'x': 'array'}}, {'node_id_length': 25}, {'overlay_name': 5}]
    bad = broken(os.path.join(VECTORS, 'malformed_storage.jsonl'),
                 lambda v: v.get('data_model') == 'array', contexts)
    bad += broken(os.path.join(OWN, 'malformed_structure.jsonl'), lambda v: v['offset'] > 0,
                  [{'reject': ''}, {'reject': 'trailin'}, {'reject': 5}, {'reject': None},
                   {'offset': '1'}, {'offset': None}, {'offset': 10 ** 9}, {'verdict': ['reject']}])
    bad += broken(os.path.join(OWN, 'golden.jsonl'), lambda v: True,
                  [{'verdict': 'reject'}, {'verdict': 'drop'}, {'verdict': 5}, {'bytes': '11'},
                   {'canonical': False}, {'canonical': 'no'}])
    bad += broken(os.path.join(VECTORS, 'message.jsonl'), lambda v: True, [{'verdict': 'reject'}])
    bad += broken(os.path.join(VECTORS, 'receive.jsonl'), lambda v: True, [
        {'receiver': {**read(VECTORS)['receive.jsonl'][0]['receiver'], 'kinds': kinds}}
        for kinds in ({'1': 'arrayx'}, {'1': 'foo'}, {'': 'array'}, {'1': None})])
    bad += broken(os.path.join(VECTORS, 'config.jsonl'), lambda v: 'schema' in v,
                  [{'schema': 'yes'}, {'schema': False}, {'relaxng': 'rejects'}, {'relaxng': 5},
                   {'verdict': 'reject'}])
    good = broken(os.path.join(OWN, 'golden.jsonl'), lambda v: True,
                  [{}, {'canonical': True}, {'verdict': 'accept'}])
    good += broken(os.path.join(VECTORS, 'config.jsonl'), lambda v: 'schema' in v,
                   [{'relaxng': 'accepts'}])
    with tempfile.TemporaryDirectory() as folder:
        roots = read(VECTORS)['certificate.jsonl']
        write(folder, {'a.jsonl': roots, 'bad.jsonl': bad, 'good.jsonl': good})
        _, failed, last = run_vectors(folder)
    check(failed == {('bad.jsonl', n + 1) for n in range(len(bad))},
          'passed: %s; failed: %s' % ([json.dumps(v)[:300] for i, v in enumerate(bad)
                                       if ('bad.jsonl', i + 1) not in failed],
                                      sorted(f for f in failed if f[0] != 'bad.jsonl')))
    check(last == '%d passed, %d failed' % (len(roots) + len(good), len(bad)), last)


def test_help_and_nameless_lines():
    ran = subprocess.run([PROGRAM, '--help'], capture_output=True, text=True)
    check(ran.returncode == 0 and 'exit codes:' in ran.stdout and 'README.md' in ran.stdout and
          not ran.stderr, ran.stdout)
    with tempfile.TemporaryDirectory() as folder:
        write(folder, {'x.jsonl': [{'type': 'PingReq', 'hex': '00'}, 5]})
        told = subprocess.run([PROGRAM, folder], capture_output=True, text=True).stdout
    check('x.jsonl:1: (no name, type PingReq): ' in told and
          'x.jsonl:2: (no name, no type): no JSON object' in told, told)


def test_what_is_no_vector_fails():
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, 'x.jsonl'), 'w', encoding='utf-8') as f:
            f.write('not JSON\n\n[]\n{}\n{"type":"Nonsense","hex":"00"}\n{"type":"Message"}\n'
                    '{"type":"Message","hex":"zz","fields":{}}\n{"type":"PingReq","hex":"0000"}\n'
                    '{"name":"good","type":"PingReq","hex":"0000","fields":{"padding":""}}\n')
        code, failed, last = run_vectors(folder)
        check(failed == {('x.jsonl', n) for n in range(1, 9)}, sorted(failed))
        check(code == 1 and last == '1 passed, 8 failed', last)
    for arguments in ([], ['/nonexistent'], ['a', 'b']):
        ran = subprocess.run([PROGRAM, *arguments], capture_output=True, text=True)
        check(ran.returncode == 2, 'exit code %d of %s' % (ran.returncode, arguments))


# ---- verify --batch

def verify(lines):
    data = b''.join(line + b'\n' for line in lines)
    ran = subprocess.run([CHORDIAL, 'verify', '--batch'], input=data, capture_output=True,
                         timeout=120)
    check(ran.returncode == 0 and not ran.stderr, ran.stderr.decode()[:500])
    answers = ran.stdout.split(b'\n')
    check(answers.pop() == b'' and len(answers) == len(lines),
          '%d answers to %d lines' % (len(answers), len(lines)))
    return [json.loads(a) for a in answers]


def questions():
    """The lines that verify is for, less their results, and those."""
    vectors = read(VECTORS)
    roots = [v['hex'] for v in vectors['certificate.jsonl'] if v['type'] == 'RootCertificate']
    times = ['2026-11-23T00:00:00Z', '2026-11-23T01:00:00.5+01:00', 1795392000, 1795392000000]
    for name in ('signature_good', 'signature_bad', 'message', 'data_signature', 'certificate',
                 'certificate_selfsigned'):
        for i, v in enumerate(vectors[name + '.jsonl']):
            line = {k: item for k, item in v.items() if k not in (
                'signature_valid', 'verdict', 'valid', 'why', 'fields', 'body', 'signature_input',
                'node_ids', 'user')}
            line['trust'], line['at'] = roots, times[i % len(times)]
            yield line, v


def test_verify_answers_as_the_vectors_say():
    asked = list(questions())
    for (line, v), answer in zip(asked, verify([json.dumps(q[0]).encode() for q in asked])):
        if v['type'] == 'RootCertificate':
            check(answer['valid'] is True, v['name'])
            continue
        key = 'valid' if v['type'] == 'Certificate' else 'signature_valid'
        if v.get('strength') != 'advisory':
            check(answer[key] == v[key], '%s: %s' % (v['name'], answer))
        check((answer['why'] is None) == answer[key], '%s: %s' % (v['name'], answer))
        for more in ('node_ids', 'user'):
            check(more not in v or answer[more] == v[more], '%s: %s' % (v['name'], answer))


def test_verify_lines_know_nothing_of_each_other():
    """A certificate that one line brought does not help the next, in whatever order."""
    rng = random.Random(3)
    asked = list(questions())
    lines = [json.dumps(q[0]).encode() for q in asked]
    wanted = dict(zip(lines, verify(lines)))
    for _ in range(3):
        rng.shuffle(lines)
        check(verify(lines) == [wanted[line] for line in lines], 'the order matters')


def test_verify_answers_whatever_comes():
    rng = random.Random(4)
    good = [json.dumps(q[0]).encode() for q in questions()]
    lines = [b'', b'{', b'[]', b'{}', b'null', b'"x"', b'\xff\xfe\x00', b'{"type":"Message"}',
             b'{"a":' * 3000, b'{"type":"Message","hex":"' + b'0' * (17 << 20) + b'"}',
             b'{"type":"Message","hex":"' + b'0' * (15 << 20) + b'","trust":[]}']
    for line in good:
        for _ in range(4):
            at = rng.randrange(len(line))
            lines.append(line[:at])
            byte = bytes([rng.randrange(256)]).replace(b'\n', b' ')
            lines.append(line[:at] + byte + line[at + 1:])
        some = json.loads(line)
        key = rng.choice(list(some))
        lines.append(json.dumps({k: v for k, v in some.items() if k != key}).encode())
        lines.append(json.dumps({**some, key: rng.choice(
            [None, 5, -1, 1e300, 'zz', '', [], {}, ['zz'], True, 'f' * 9000])}).encode())
    for line, answer in zip(lines, verify(lines)):
        keys = {'signature_valid', 'why'}, {'valid', 'node_ids', 'user', 'why'}
        check(set(answer) in keys, '%r: %s' % (line[:200], answer))


def test_verify_answers_when_input_pauses():
    child = subprocess.Popen([CHORDIAL, 'verify', '--batch'], stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE)
    try:
        for line, _ in list(questions())[:20]:
            child.stdin.write(json.dumps(line).encode() + b'\n')
            child.stdin.flush()
            ready, _, _ = select.select([child.stdout], [], [], 10)
            check(ready, 'no answer although input pauses')
            json.loads(child.stdout.readline())
        child.stdin.close()
        check(child.stdout.read() == b'' and child.wait(10) == 0, 'a bad end')
    finally:
        child.kill()
        child.wait()


def encoded(v, fields):
    """The message `v` with other fields, as bytes."""
    line = json.dumps({'type': 'Message', 'fields': fields}).encode() + b'\n'
    ran = subprocess.run([CHORDIAL, 'encode', '--batch'], input=line, capture_output=True,
                         timeout=60)
    answer = json.loads(ran.stdout)
    check('hex' in answer, '%s: %s' % (v['name'], answer))
    return answer['hex']


def test_another_overlay_in_a_message_misleads_nobody():
    """Header and bucket are not signed.  URIs of others there, and in a body, change nothing."""
    own, others = read(OWN), read(VECTORS)
    roots = [v['hex'] for v in own['certificate.jsonl'] if v['type'] == 'RootCertificate']
    uri = b'reload://0110' + b'ab' * 16 + b'@elsewhere.example/'
    foreign = next(v['hex'] for v in others['certificate.jsonl']
                   if v['name'] == 'cert.bad-other-overlay')
    check(b'@other.example.net' in bytes.fromhex(foreign), 'no certificate of another overlay')
    v = next(v for v in own['message.jsonl'] if v['signature_valid'])
    asked = []
    for place in ('bucket', 'options'):
        fields = json.loads(json.dumps(v['fields']))
        if place == 'bucket':
            fields['security_block']['certificates'].insert(
                0, {'type': 0, 'certificate': foreign})
            more = 3 + len(foreign) // 2
        else:
            value = bytes([len(uri)]) + uri
            fields['header']['options'] = [{'type': 200, 'flags': 0, 'option': value.hex()}]
            more = 4 + len(value)
        fields['header']['length'] += more
        asked.append({'type': 'Message', 'hex': encoded(v, fields), 'trust': roots,
                      'at': 1795392000})
    for answer in verify([json.dumps(line).encode() for line in asked]):
        check(answer == {'signature_valid': True, 'why': None}, answer)


def test_verify_says_what_is_wrong_with_a_line():
    good = next(line for line, v in questions() if v.get('valid') is True and v.get('user'))
    wrong = {'overlay_name: wants text': {'overlay_name': 5},
             'self_signed_permitted: wants true or false': {'self_signed_permitted': 'yes'},
             'digest: neither sha1 nor sha256': {'digest': 1},
             'trust: root 1 is not a certificate': {'trust': ['00']},
             'trust: root 2 is not a certificate': {'trust': [good['trust'][0], '']}}
    times = ['2026-02-30T00:00:00Z', '2025-02-29T00:00:00Z', '2026-04-31T12:00:00+01:00',
             '2026-00-10T00:00:00Z', '2026-1-1T00:00:00Z', ' 2026-01-01T00:00:00Z',
             '2026-11-23t00:00:00Z',
             '2026-01-01T00:00:00.Z', '2026-01-01T00:00:00+1:00', '2026-01-01T24:00:00Z']
    lines = [json.dumps({**good, **change}).encode() for change in wrong.values()]
    lines += [json.dumps({**good, 'at': at}).encode() for at in times]
    lines.append(json.dumps(good)[:-1].encode() + b', "at": 1795392000}')
    lines += [json.dumps({**good, 'at': at}).encode() for at in (
        '2028-02-29T00:00:00Z', '2026-12-31T23:59:60Z', '2026-11-23T00:00:00.123z')]
    answers = verify(lines)
    for why, answer in zip(wrong, answers):
        check(answer['why'] == why, answer)
    for at, answer in zip(times, answers[len(wrong):]):
        check(answer['why'].startswith('at: '), '%s: %s' % (at, answer))
    check('duplicate' in answers[len(wrong) + len(times)]['why'], answers[-4])
    check(all(answer['valid'] for answer in answers[-3:]), answers[-3:])


def test_verify_tells_people_what_to_give():
    vectors = read(VECTORS)
    root = [v['hex'] for v in vectors['certificate.jsonl'] if v['type'] == 'RootCertificate'][0]
    good = next(v for v in vectors['certificate.jsonl'] if v.get('valid') is True)
    message = next(v for v in vectors['message.jsonl'] if v['signature_valid'])['hex']
    frame = '8000000001%06x' % (len(message) // 2) + message
    with tempfile.TemporaryDirectory() as folder:
        empty, key = os.path.join(folder, 'empty'), os.path.join(OWN, 'keys', 'p256.key.pem')
        with open(empty, 'wb'):
            pass
        wrong = [([good['hex']], 'give --trust FILE'),
                 ([message], 'give --trust FILE'),
                 (['00', '--trust', root], 'neither a RELOAD message nor a certificate: 00'),
                 (['00'], 'give one of them, or a keystore'),
                 ([empty, '--trust', root], 'empty'),
                 ([key, '--trust', root], 'PEM text without a certificate'),
                 ([os.path.abspath(__file__), '--trust', root], 'neither'),
                 (['810000000000000000', '--trust', root], 'an ACK'),
                 (['8000000001000000', '--trust', root], 'neither'),
                 ([good['hex'], '--trust', root, '--self-signed', 'md5'], 'give sha1 or sha256'),
                 ([good['hex'], '--trust', '00'], 'trust: root 1 is not a certificate'),
                 ([good['hex'], '--trust', empty], 'trust: root 1 is not a certificate'),
                 ([good['hex'], '--trust', key], 'PEM text without a certificate'),
                 ([good['hex'], '--trust', root, '--at', '2026-02-30T00:00:00Z'], 'at: '),
                 (['--batch', '--trust', root], '--batch'), (['--batch', '--json'], '--batch'),
                 (['--batch', '--at', '5'], '--batch'), (['--batch', '--overlay', 'a'], '--batch'),
                 (['--batch', '--self-signed', 'sha1'], '--batch')]
        for words, told in wrong:
            ran = subprocess.run([CHORDIAL, 'verify', *words], capture_output=True, text=True,
                                 stdin=subprocess.DEVNULL)
            check(ran.returncode == 2 and told in ran.stderr and not ran.stdout,
                  '%s: %d %s %s' % (words, ran.returncode, ran.stderr, ran.stdout))
    for words, code in (([good['hex'], '--at', '1795392000'], 0),
                        ([good['hex'], '--at', '1795392000000'], 0),
                        ([good['hex'], '--at', '7'], 1),
                        ([frame, '--at', '1795392000'], 0), ([message, '--at', '1795392000'], 0)):
        ran = subprocess.run([CHORDIAL, 'verify', *words, '--trust', root], capture_output=True,
                             text=True)
        check(ran.returncode == code and not ran.stderr, '%s %s' % (words, ran.stderr))


def test_verify_for_people():
    vectors = read(VECTORS)['certificate.jsonl']
    root = [v['hex'] for v in vectors if v['type'] == 'RootCertificate'][0]
    for v in vectors[:3]:
        words = [CHORDIAL, 'verify', v['hex'], '--trust', root]
        ran = subprocess.run(words + ['--at', v['at']], capture_output=True, text=True)
        check(ran.returncode == 0 and v['user'] in ran.stdout and v['node_ids'][0] in ran.stdout,
              ran.stdout + ran.stderr)
        ran = subprocess.run(words + ['--at', '2099-01-01T00:00:00Z', '--json'],
                             capture_output=True, text=True)
        check(ran.returncode == 1 and json.loads(ran.stdout)['why'] == 'expired', ran.stdout)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, 'message')
        with open(path, 'wb') as f:
            f.write(bytes.fromhex(read(VECTORS)['message.jsonl'][0]['hex']))
        ran = subprocess.run([CHORDIAL, 'verify', path, '--trust', root, '--overlay',
                              'overlay.example.org'], capture_output=True, text=True)
        check(ran.returncode in (0, 1) and ran.stdout.startswith('signature'), ran.stdout)
    for words in ([], ['a', 'b'], ['/nonexistent'], ['--batch', 'x'], ['00', '--at', 'never']):
        ran = subprocess.run([CHORDIAL, 'verify', *words], capture_output=True, text=True)
        check(ran.returncode == 2 and not ran.stdout and ran.stderr.startswith('chordial verify'),
              '%s: %d %s' % (words, ran.returncode, ran.stderr))


run_tests([item for name, item in list(globals().items()) if name.startswith('test_')])
