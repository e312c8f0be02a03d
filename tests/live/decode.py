#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""chordial decode and encode as programs: every line gets one line of JSON whatever it is, answers
come when input pauses, captures are read however their streams are cut, people see what is wrong
and where."""
import json
import os
import select
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
                  ['--pcap', '/nonexistent'], ['--color', 'blue', '00'], ['-k', '1', '00'],
                  ['--node-id-length', '21', '00']):
        ran = run('decode', *words)
        check(ran.returncode == 2 and ran.stderr.startswith(b'chordial decode: ')
              and ran.stdout == b'', '%s: %s' % (words, ran))
    types = run('decode', '--types').stdout.decode().split()
    check('StoreReq' in types and 'STATUS_INFO' in types and len(types) > 70, types)


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
            check(b'24 frames and messages, 0 refused; 0 packets' in ran.stderr, ran.stderr)
            check('data 11: ' in rows[22] and 'ack 5, received 0000003e' in rows[23], rows[22:])
        hurt = bytearray(wire[0])
        hurt[8 + 3] ^= 0xff
        hurt[10] = 9  # version
        path = capture(scratch, [b'GET / HTTP/1.0\r\n\r\n', bytes(hurt), wire[1]])
        ran = run('decode', '--pcap', path, '-v')
        check(ran.returncode == 1 and b'version' in ran.stdout, ran.stdout[-500:])
        check(b'2 frames and messages, 1 refused; 1 packets' in ran.stderr, ran.stderr)
        with open(path, 'rb') as f:
            whole = f.read()
        with open(path, 'wb') as f:
            f.write(whole[:-10])
        ran = run('decode', '--pcap', path)
        check(ran.returncode == 1 and b'ends early' in ran.stderr, ran.stderr)


run_tests([every_line_is_answered, what_is_encoded_decodes, answers_come_when_input_pauses,
           people_see_what_is_wrong, captures_are_read])
