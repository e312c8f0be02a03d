#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""chordial decode and encode as programs: every line gets one line of JSON whatever it is, answers
come when input pauses, captures are read however their streams are cut, people see what is wrong
and where."""
import json
import os
import select
import struct
import subprocess
import tempfile

from live import CHORDIAL, check
from live import run as run_tests

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
VECTORS = os.path.join(TOP, 'tests', 'vectors')


def messages():
    with open(os.path.join(VECTORS, 'message.jsonl'), encoding='utf-8') as f:
        return [json.loads(line) for line in f]


def run(*args, given=''):
    data = given if isinstance(given, bytes) else given.encode()
    return subprocess.run([CHORDIAL, *args], input=data, capture_output=True, timeout=60)


def batch(command, lines):
    """The answers to `lines`, each parsed; fails unless there is one JSON object for each."""
    ran = run(command, '--batch', given=b'\n'.join(lines) + b'\n')
    out = ran.stdout.split(b'\n')
    check(ran.returncode == 0 and ran.stderr == b'', 'said %r' % ran.stderr[:200])
    check(len(out) == len(lines) + 1 and out[-1] == b'',
          '%d answers to %d lines' % (len(out) - 1, len(lines)))
    answers = [json.loads(line) for line in out[:-1]]
    check(all(isinstance(a, dict) for a in answers), 'an answer is no object')
    return answers


HOSTILE = [
    b'', b'{', b'[]', b'null', b'1', b'"x"', b'{}', b'{"type":1,"hex":""}', b'\xff\xfe\x00',
    b'{"type":"PingReq"}', b'{"type":"PingReq","hex":5}', b'{"type":"PingReq","hex":"0"}',
    b'{"type":"PingReq","hex":"zz"}', b'{"type":"Nothing","hex":"00"}', b'{"type":"","hex":""}',
    b'{"type":"PingReq","hex":"0000","node_id_length":15}',
    b'{"type":"PingReq","hex":"0000","node_id_length":1e99}',
    b'{"type":"PingReq","hex":"0000","kinds":[]}',
    b'{"type":"PingReq","hex":"0000","kinds":{"x":1}}',
    b'{"type":"StoredData","hex":"00","data_model":"list"}', b'{"type":"PingReq","hex":"0000"',
    b'{"type":"PingReq","type":"PingReq","hex":"0000"}', b'{"type":"Message","hex":"00",'
    b'"overlay_name":7}', b'[' * 5000, b'{"a":' * 3000, b'{"type":"PingReq","hex":"' + b'0' * 200000
    + b'"}', b'{"type":"Ping\\u0000Req","hex":"0000"}', b'{"type":"\\ud800","hex":"0000"}',
]


def every_line_is_answered():
    good = b'{"type":"PingReq","hex":"0000"}'
    for command in ('decode', 'encode'):
        lines = [line for bad in HOSTILE for line in (bad, good)]
        answers = batch(command, lines)
        check(all('reject' in a for a in answers[0::2]), '%s took a hostile line: %s'
              % (command, [a for a in answers[0::2] if 'reject' not in a][:3]))
        if command == 'decode':
            check(all(a == {'fields': {'padding': ''}} for a in answers[1::2]),
                  'a good line between bad ones')
            check(all(isinstance(a['offset'], int) for a in answers[0::2]), 'no offset')


def what_is_encoded_decodes():
    vectors = messages()
    lines = [json.dumps(v).encode() for v in vectors]
    check([a.get('hex') for a in batch('encode', lines)] == [v['hex'] for v in vectors],
          'encode')
    decoded = batch('decode', lines)
    check([a.get('fields') for a in decoded] == [v['fields'] for v in vectors], 'decode')
    wrong = json.loads(json.dumps(vectors[0]))
    wrong['fields']['header']['ttl'] = 256
    wrong['fields']['header']['surplus'] = 1
    lacking = json.loads(json.dumps(vectors[0]))
    del lacking['fields']['contents']
    short = json.loads(json.dumps(vectors[0]))
    short['fields']['header']['length'] -= 1
    for v, what in ((wrong, 'ttl'), (lacking, 'contents'), (short, 'message_length')):
        answer = batch('encode', [json.dumps(v).encode()])[0]
        check(what in answer.get('reject', ''), '%s: %s' % (what, answer))


def encode_says_where():
    """The path to the field, in objects, lists and both."""
    with open(os.path.join(VECTORS, 'storage.jsonl'), encoding='utf-8') as f:
        store = next(v for v in map(json.loads, f) if v['name'] == 'StoreReq.three-kinds.p0')
    kinds = store['fields']['kind_data']
    place = next(i for i, k in enumerate(kinds) if k['kind'] == 1 and k['values'])

    def changed(vector, change):
        copy = json.loads(json.dumps(vector))
        change(copy['fields'])
        return json.dumps(copy).encode()

    message, stored = messages()[0], 'kind_data[%d].values[0].' % place
    stun = {'type': 'StunMessage', 'fields': {
        'class': 0, 'method': 1, 'transaction_id': '00' * 12, 'attributes': [
            {'type': 0x20, 'xor_mapped_address': {'family': 1, 'port': 70000,
                                                  'address': '192.0.2.1'}}]}}

    def value(f):
        return f['kind_data'][place]['values'][0]

    cases = (
        (changed(message, lambda f: f['header'].update(ttl=256)), 'header.ttl: '),
        (changed(message, lambda f: f['header'].update(surplus=1)),
         'header.surplus: this structure has no such field'),
        (changed(message, lambda f: f.update(surplus=1)), 'surplus: this structure'),
        (changed(message, lambda f: f.update(header=1)), 'header: an object'),
        (changed(message, lambda f: f['header'].update(destination_list=[{'compact': '8001'}, 7])),
         'header.destination_list[1]: an object'),
        (changed(message, lambda f: f['security_block']['signature'].pop('identity')),
         'security_block.signature.identity: this field is missing'),
        (changed(message, lambda f: f['contents'].update(message_body='0g')),
         'contents.message_body: wants hex digits'),
        (changed(message, lambda f: f['contents'].update(message_body='000')),
         'contents.message_body: wants an even number'),
        (changed(store, lambda f: value(f).update(storage_time='x')), stored + 'storage_time: '),
        (changed(store, lambda f: value(f)['value'].update(key=5)), stored + 'value.key: '),
        (changed(store, lambda f: value(f)['value'].update(other=5)), stored + 'value.other: '),
        (changed(store, lambda f: value(f)['value']['value'].update(exists=5)),
         stored + 'value.value.exists: '),
        (changed(store, lambda f: value(f).pop('signature')), stored + 'signature: this field'),
        (b'{"type":"ProbeReq","fields":{"requested_info":[1,2,300]}}', 'requested_info[2]: '),
        (b'{"type":"PingReq","fields":7}', 'fields: an object'),
        (json.dumps(stun).encode(), 'attributes[0].'),
    )
    for (line, what), answer in zip(cases, batch('encode', [line for line, _ in cases])):
        check(answer.get('reject', '').startswith(what), '%s: %s' % (what, answer))


def answers_come_when_input_pauses():
    child = subprocess.Popen([CHORDIAL, 'decode', '--batch'], stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE)
    try:
        for _ in range(3):
            child.stdin.write(b'{"type":"PingReq","hex":"0000"}\n')
            child.stdin.flush()
            ready = select.select([child.stdout], [], [], 10)[0]
            check(ready, 'no answer within 10 s of a line')
            check(json.loads(child.stdout.readline()) == {'fields': {'padding': ''}}, 'answer')
        child.stdin.close()
        check(child.wait(10) == 0, 'exit status')
    finally:
        child.kill()


def people_see_what_is_wrong():
    good = messages()[0]['hex']
    ran = run('decode', good)
    check(ran.returncode == 0 and b'probe_req' in ran.stdout and b'\033[' not in ran.stdout,
          ran.stdout[:300])
    check(b'\033[' in run('decode', '--color', 'always', good).stdout, 'colours when asked')
    ran = run('decode', good[:40])
    check(ran.returncode == 1 and b'refused at byte 20 of 20' in ran.stdout, ran.stdout)
    ran = run('decode', '--type', 'StoredDataSpecifier', '-k', '0xf0000001=array',
              'f0000001' + '00' * 8 + '000a' + '0008' + '00000001' + '00000002')
    check(ran.returncode == 0 and b'first' in ran.stdout, ran.stdout + ran.stderr)
    for words in ([], ['00', '--batch'], ['abc'], ['00'], ['--type', 'X', '00'],
                  ['--pcap', '/nonexistent'], ['-k', '1', '00']):
        ran = run('decode', *words)
        check(ran.returncode == 2 and ran.stderr.startswith(b'chordial decode: ')
              and ran.stdout == b'', '%s: %s' % (words, ran))
    types = run('decode', '--types').stdout.decode().splitlines()
    check('StoreReq' in types and 'STATUS_INFO' in types and len(types) > 70, types)
    check('SipMessage (--batch only)' in types, types)


def usage_errors_blame_the_right_thing():
    """What: where: what to do; each about what is wrong, on one line, whatever is given."""
    for words, what, where in (
            (['--node-id-length', '21', '00'], 'not a length of Node-IDs', '--node-id-length 21'),
            (['--node-id-length', '16x', '00'], 'not a length of Node-IDs', '--node-id-length 16x'),
            (['--color', 'blue', '00'], 'not a way to colour', '--color blue'),
            ([], 'wants one of', 'nothing is given'),
            (['--types', '00'], 'wants one of', 'more than one is given'),
            (['--batch', '--type', 'X'], 'does not go with --batch', '--type'),
            (['--batch', '--whole'], 'does not go with --batch', '--whole'),
            (['--batch', '-v'], 'does not go with --batch', '--verbose'),
            (['--batch', '--color', 'auto'], 'does not go with --batch', '--color'),
            (['--batch', '-k', '1=array'], 'does not go with --batch', '--kind'),
            (['--batch', '--node-id-length', '16'], 'does not go with --batch', '--node-id-length'),
            (['0g'], 'not hex', "byte 1 of the argument is 'g'"),
            (['000'], 'half a byte is missing', '3 hex digits'),
            ([os.path.abspath(__file__)], 'not hex but a file', __file__),
            (['--type', 'a\n\033[31m\302\233m', '00'], 'no such structure', 'a??[31m'),
            (['--pcap', '/nonexistent'], 'cannot read the capture', '/nonexistent')):
        ran = run('decode', *words)
        said = ran.stderr.decode()
        check(ran.returncode == 2 and ran.stdout == b'', '%s: %s' % (words, ran))
        check(said.startswith('chordial decode: ' + what) and where in said and
              said.count('\n') == 1 and said[:-1].isprintable() and said.count(where) == 1,
              '%s: %r' % (words, said))
    check('--pcap' in run('decode', __file__).stderr.decode(), 'a file')


def fragments_show_their_header():
    with open(os.path.join(VECTORS, 'fragment.jsonl'), encoding='utf-8') as f:
        pieces = [bytes.fromhex(p) for p in json.loads(next(f))['fragments']]
    for piece in pieces:
        framed = b'\x80\0\0\0\1' + len(piece).to_bytes(3, 'big') + piece
        for data in (piece, framed):
            ran = run('decode', data.hex())
            check(ran.returncode == 0 and b'ForwardingHeader' in ran.stdout and
                  b'bytes of payload' in ran.stdout and b'refused' not in ran.stdout, ran.stdout)
    ran = run('decode', pieces[0][:-1].hex())
    check(ran.returncode == 1 and b'refused' in ran.stdout, ran.stdout)
    with tempfile.TemporaryDirectory() as scratch:
        framed = [b'\x80\0\0\0\1' + len(p).to_bytes(3, 'big') + p for p in pieces]
        ran = run('decode', '-v', '--pcap', capture(scratch, framed))
        check(ran.returncode == 0 and ran.stdout.count(b'ForwardingHeader') == len(pieces) and
              b'refused' not in ran.stdout, ran.stdout[-800:])


# Bytes inside structures, and what people see of them.
SERVER = '05' + '01' '06' '7f000001' '17a4'  # a TurnServer: iteration, 127.0.0.1:6052
UNFOLDED = (
    ('ErrorResponse', {'error_code': 12, 'error_info': '08' '00000001' 'f0000001'},
     ('UnknownKinds', 'SIP-REGISTRATION')),
    ('MessageExtension', {'type': 3, 'critical': False, 'extension_contents': '00000007' * 3},
     ('SelfTuningData', 'network_size            7')),
    ('MessageExtension', {'type': 2, 'critical': False,
                          'extension_contents': '00' * 16 + '00000000000000ff' + '00' * 8},
     ('DiagnosticsRequest', 'dMFlags')),
    ('ForwardingOption', {'type': 2, 'flags': 0,
                          'option': '0101' '0106' '7f000001' '17a4' '02' '8001'},
     ('ExtensiveRoutingModeOption', '127.0.0.1:6052')),
    ('DiagnosticInfo', {'kind': 1, 'diagnostic_info_contents': '03'},
     ('STATUS_INFO', 'congestion              3')),
    ('SignerIdentity', {'identity_type': 1, 'hash_alg': 4, 'certificate_hash': '00' * 32},
     ('cert_hash', 'sha256')),
)
VALUES = (
    (1, '01' '000b' '0009' + b'sip:a@b.c'.hex(), ('SipRegistration', '"sip:a@b.c"')),
    (2, SERVER, ('TurnServer', '127.0.0.1:6052')),
    (4, '0001' '61' '00000001' '01', ('AccessControlListItem', 'allow_delegation        true')),
    (4, '01' '0003' '0001' '62' '0001' '61' '00000001' '00',
     ('NamedAccessControlListItem', 'resource_name')),
    (0x104, '00' '0002' '8001' '0000' '0001' '0002' '0000', ('RedirServiceProvider', 'level')),
    (4, 'ffff', ('ffff',)),  # what nobody can read stays bytes
)


def people_see_inside_bytes():
    with open(os.path.join(VECTORS, 'storage.jsonl'), encoding='utf-8') as f:
        single = next(v['fields'] for v in map(json.loads, f) if v['type'] == 'StoreKindData'
                      and v['fields']['kind'] == 2 and v['fields'].get('values'))
    cases = [(json.dumps({'type': t, 'fields': fields}).encode(), t, wanted)
             for t, fields, wanted in UNFOLDED]
    for kind, data, wanted in VALUES:
        inner = {'exists': True, 'value': data}
        inner = {1: {'key': '00', 'value': inner}, 2: inner, 4: {'index': 0, 'value': inner},
                 0x104: {'key': '00', 'value': inner}}[kind]
        block = dict(single, kind=kind, values=[dict(single['values'][0], value=inner)])
        cases.append((json.dumps({'type': 'StoreKindData', 'fields': block}).encode(),
                      'StoreKindData', wanted))
    for (_, t, wanted), answer in zip(cases, batch('encode', [line for line, _, _ in cases])):
        check('hex' in answer, '%s: %s' % (wanted, answer))
        ran = run('decode', '--type', t, answer['hex'])
        said = ran.stdout.decode()
        check(ran.returncode == 0 and all(w in said for w in wanted), '%s: %s' % (wanted, said))


def capture(directory, packets):
    """A capture of TCP segments that hold `packets`."""
    text, path = os.path.join(directory, 'hex'), os.path.join(directory, 'pcap')
    with open(text, 'w', encoding='ascii') as f:
        for data in packets:
            for at in range(0, len(data), 16):
                f.write('%06x %s\n' % (at, data[at:at + 16].hex(' ')))
            f.write('\n')
    subprocess.run(['text2pcap', '-q', '-T', '40000,6084', text, path], check=True,
                   capture_output=True)
    return path


def captures_are_read():
    stream, ack = b'', bytes.fromhex('8100000005' '0000003e')
    wire = [bytes.fromhex(m['hex']) for m in messages()[:12]]
    for i, m in enumerate(wire):
        stream += b'\x80' + i.to_bytes(4, 'big') + len(m).to_bytes(3, 'big') + m + ack
    with tempfile.TemporaryDirectory() as scratch:
        for size in (1, 7, 1000, 60000):
            step = max(size, len(stream) // 2000)  # a packet a byte makes large captures
            cut = [stream[i:i + step] for i in range(0, len(stream), step)]
            ran = run('decode', '--pcap', capture(scratch, cut))
            rows = ran.stdout.decode().splitlines()
            check(ran.returncode == 0 and len(rows) == 24, ran.stdout[-500:] + ran.stderr)
            check(b'24 frames and messages, 0 refused; 0 packets were' in ran.stderr, ran.stderr)
            check('data 11: ' in rows[22] and 'ack 5, received 0000003e' in rows[23], rows[22:])
        hurt = bytearray(wire[0])
        hurt[8 + 3] ^= 0xff
        hurt[10] = 9  # version
        path = capture(scratch, [b'GET / HTTP/1.0\r\n\r\n', bytes(hurt), wire[1]])
        ran = run('decode', '--pcap', path, '-v')
        check(ran.returncode == 1 and b'version' in ran.stdout, ran.stdout[-500:])
        check(b'2 frames and messages, 1 refused; 1 packet was' in ran.stderr, ran.stderr)
        with open(path, 'rb') as f:
            whole = f.read()
        with open(path, 'wb') as f:
            f.write(whole[:-10])
        ran = run('decode', '--pcap', path)
        check(ran.returncode == 1 and b'ends early' in ran.stderr, ran.stderr)


def raw_capture(directory, packets, protocol=6):
    """A capture of (sequence number, bytes), from port 40000 to 6084; UDP has no use for it."""
    path = os.path.join(directory, 'raw.pcap')
    with open(path, 'wb') as f:
        f.write(struct.pack('=IHHiIII', 0xa1b2c3d4, 2, 4, 0, 0, 65535, 101))
        for sequence, data in packets:
            if protocol == 6:
                head = struct.pack('!HHIIBBHHH', 40000, 6084, sequence & 0xffffffff, 1, 0x50, 0x18,
                                   65535, 0, 0)
            else:
                head = struct.pack('!HHHH', 40000, 6084, 8 + len(data), 0)
            ip = struct.pack('!BBHHHBBH4s4s', 0x45, 0, 20 + len(head) + len(data), 0, 0, 64,
                             protocol, 0, b'\x7f\0\0\1', b'\x7f\0\0\1')
            p = ip + head + data
            f.write(struct.pack('=IIII', 0, 0, len(p), len(p)) + p)
    return path


def framed_stream(count):
    """Frames of `count` messages, an ACK behind each; where each message begins."""
    stream, at = b'', []
    for i, m in enumerate(messages()[:count]):
        data = bytes.fromhex(m['hex'])
        at.append(len(stream))
        stream += b'\x80' + i.to_bytes(4, 'big') + len(data).to_bytes(3, 'big') + data
        stream += bytes.fromhex('8100000005' '0000003e')
    return stream, at


def pcap(path, items, refused=0, other=0, gaps=0):
    ran = run('decode', '--pcap', path)
    said = ran.stderr.decode()
    counts = [int(word) for word in said.replace(';', ' ').split() if word.isdigit()]
    check(counts[1:5] == [items, refused, other, gaps], said)
    return ran.stdout.decode(), said


def early_segments_wait():
    """Segments that changed places, came twice, or overlap: nothing is lost, nor at the wrap."""
    stream, _ = framed_stream(12)
    for first in (1000, 2 ** 32 - 3000):
        cut = [(first + i, stream[i:i + 500]) for i in range(0, len(stream), 500)]
        swapped = cut[:2]
        for i in range(2, len(cut), 2):
            swapped += reversed(cut[i:i + 2])
        late = cut[:3] + cut[4:11] + cut[3:4] + cut[11:]
        twice = [segment for pair in zip(cut, cut) for segment in pair]
        overlap = [(first + i, stream[i:i + 700]) for i in range(0, len(stream), 500)]
        with tempfile.TemporaryDirectory() as scratch:
            for order in (swapped, late, twice, overlap):
                rows, _ = pcap(raw_capture(scratch, order), 24)
                what = [row.split()[5] for row in rows.splitlines()]
                check(what == ['data', 'ack'] * 12, rows)


def reading_goes_on_behind_a_gap():
    """One lost segment costs the frames that it touches, no others."""
    stream, at = framed_stream(12)
    step = 500
    cut = [(1 + i, stream[i:i + step]) for i in range(0, len(stream), step)]
    with tempfile.TemporaryDirectory() as scratch:
        for lost in range(1, len(cut) - 1):
            begin, end = lost * step, (lost + 1) * step
            spans = list(zip(at, at[1:] + [len(stream)]))
            whole = [i for i, (a, b) in enumerate(spans) if b - 9 <= begin or a >= end]
            rows, _ = pcap_any(raw_capture(scratch, cut[:lost] + cut[lost + 1:]))
            seen = [int(row.split('data ')[1].split(':')[0]) for row in rows if 'data ' in row]
            check(seen == whole, 'without %d: %s instead of %s' % (lost, seen, whole))
        middle = [(77 + i, stream[at[0] + 20 + i:][:step])
                  for i in range(0, len(stream) - 20, step)]
        rows, _ = pcap_any(raw_capture(scratch, middle))
        check(sum('data ' in row for row in rows) == 11, rows)
        _, said = pcap(raw_capture(scratch, [(1, stream[:-20])]), 22)
        check('1 stream ends inside a frame' in said, said)


def pcap_any(path):
    ran = run('decode', '--pcap', path)
    check(b'0 refused' in ran.stderr, ran.stdout[-500:] + ran.stderr)
    return ran.stdout.decode().splitlines(), ran.stderr


def other_protocols_are_not_taken():
    """RTP begins with 0x80, too; so do ACKs that are none."""
    message = bytes.fromhex(messages()[0]['hex'])
    frame = b'\x80\0\0\0\1' + len(message).to_bytes(3, 'big') + message
    ack = bytes.fromhex('8100000005' '0000003e')
    rtp = [b'\x80\x08' + struct.pack('!HII', i, 160 * i, 7) + bytes(160) for i in range(20)]
    rtp += [b'\x81' + r[1:] for r in rtp]
    with tempfile.TemporaryDirectory() as scratch:
        packets = [(0, p) for p in rtp + [ack + b'\0', ack[:8], frame[:11], b'\xd2\x45']]
        rows, _ = pcap(raw_capture(scratch, packets, 17), 0, other=len(packets))
        check(rows == '', rows)
        rows, _ = pcap(raw_capture(scratch, [(0, ack), (0, frame), (0, message)], 17), 3)
        check('1 refused' in run('decode', '--pcap', raw_capture(
            scratch, [(0, frame[:100])], 17)).stderr.decode(), 'a frame that is cut short')
        http = b'GET / HTTP/1.0\r\n\r\n'
        pcap(raw_capture(scratch, [(1, http), (1 + len(http), frame)]), 1, other=1)


run_tests([every_line_is_answered, what_is_encoded_decodes, encode_says_where,
           answers_come_when_input_pauses, people_see_what_is_wrong,
           usage_errors_blame_the_right_thing, fragments_show_their_header,
           people_see_inside_bytes, captures_are_read, early_segments_wait,
           reading_goes_on_behind_a_gap, other_protocols_are_not_taken])
