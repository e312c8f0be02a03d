#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes tests/vectors/own/stun.jsonl: STUN messages and what a decoder has to say of them.

The encoder here is a second one, written from RFC 8489 beside codec/stun.c and sharing nothing with
it but the names in codec/stun.def.  tests/vectors/own/STUN.md says what the lines mean.

    tools/stun_vectors.py            then commit the file
    tools/stun_vectors.py --check    writes nothing; fails when the file differs"""
import argparse
import hashlib
import hmac
import ipaddress
import json
import os
import re
import sys
import zlib

os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), '..'))

OUT = 'tests/vectors/own/stun.jsonl'
COOKIE = bytes.fromhex('2112a442')
TRANSACTION = bytes.fromhex('b7e7a701bc34d686fa87dfae')
REQUEST, INDICATION, SUCCESS, ERROR = range(4)
BINDING = 1
KEY = b'VOkJxbRl1RmTxUk/WvJxBt'  # the password in RFC 5769
SHA1, SHA256, FINGERPRINT = 0x0008, 0x001c, 0x8028


def attributes():
    """{field: (type, shape)} of codec/stun.def."""
    with open('codec/stun.def', encoding='utf-8') as f:
        rows = re.findall(r'^STUN_ATTR\(\w+, (0x\w+), "[^"]+", (\w+), (\w+),', f.read(), re.M)
    return {field: (int(number, 16), shape) for number, field, shape in rows}


ATTRIBUTES = attributes()


# ---- the other encoder

def u16(v):
    return v.to_bytes(2, 'big')


def padded(value):
    return value + bytes(-len(value) % 4)


def tlv(number, value):
    return u16(number) + u16(len(value)) + padded(value)


def header(kind, length, method=BINDING, transaction=TRANSACTION):
    word = (method & 0xf80) << 2 | (method & 0x70) << 1 | method & 0xf | (kind & 2) << 7 | \
        (kind & 1) << 4
    return u16(word) + u16(length) + COOKIE + transaction


def address(v, mask):
    ip = ipaddress.ip_address(v['address']).packed
    port = v['port'] ^ int.from_bytes(mask[:2], 'big')
    return bytes([0, v['family']]) + u16(port) + bytes(a ^ b for a, b in zip(ip, mask))


def algorithm(v):
    parameters = bytes.fromhex(v['parameters'])
    return u16(v['algorithm']) + u16(len(parameters)) + padded(parameters)


def value_of(shape, v, transaction):
    if shape == 'BYTES':
        return bytes.fromhex(v)
    if shape == 'ADDRESS':
        return address(v, bytes(16))
    if shape == 'XOR_ADDRESS':
        return address(v, COOKIE + transaction)
    if shape == 'ERROR':
        return bytes([0, 0, v['code'] // 100, v['code'] % 100]) + bytes.fromhex(v['reason'])
    if shape == 'TYPES':
        return b''.join(map(u16, v))
    if shape == 'ALGORITHM':
        return algorithm(v)
    if shape == 'ALGORITHMS':
        return b''.join(map(algorithm, v))
    return {'U32': lambda: v.to_bytes(4, 'big'), 'U64': lambda: int(v, 16).to_bytes(8, 'big'),
            'FLAG': lambda: b''}[shape]()


def encode_attribute(a, transaction):
    field, v = next((k, v) for k, v in a.items() if k != 'type')
    if field in ('unknown', 'ignored'):
        return tlv(a['type'], bytes.fromhex(v))
    number, shape = ATTRIBUTES[field]
    assert number == a['type']
    return tlv(number, value_of(shape, v, transaction))


def encode(fields):
    transaction = bytes.fromhex(fields['transaction_id'])
    body = b''.join(encode_attribute(a, transaction) for a in fields['attributes'])
    return header(fields['class'], len(body), fields['method'], transaction) + body


# ---- making fields

def attr(field, v):
    return {'type': ATTRIBUTES[field][0], field: v}


def text(field, words):
    return attr(field, words.encode().hex())


def at(where, port):
    family = 1 if '.' in where else 2
    return {'family': family, 'port': port, 'address': where}


def message(kind, *attrs, transaction=TRANSACTION):
    return {'class': kind, 'method': BINDING, 'transaction_id': transaction.hex(),
            'attributes': list(attrs)}


def with_integrity(fields, *kinds, key=KEY, length=None):
    """`fields` with these integrity attributes; the length in the header counts them (14.5)."""
    for name in kinds:
        size = length or (20 if name == 'sha1' else 32)
        before = bytearray(encode(fields))
        before[2:4] = u16(len(before) - 20 + 4 + size)
        mac = hmac.new(key, bytes(before), name).digest()[:size]
        field = 'message_integrity' + ('_sha256' if name == 'sha256' else '')
        fields['attributes'].append(attr(field, mac.hex()))
    return fields


def fingerprint(before):
    """Of bytes whose header counts the FINGERPRINT already (14.7)."""
    return zlib.crc32(before) ^ 0x5354554e


def sealed(fields, *kinds, **options):
    with_integrity(fields, *kinds, **options)
    before = bytearray(encode(fields))
    before[2:4] = u16(len(before) - 20 + 8)
    fields['attributes'].append(attr('fingerprint', fingerprint(bytes(before))))
    return fields


# ---- the lines

def good(name, rfc, fields, data=None, **more):
    line = {'name': name, 'type': 'StunMessage', 'rfc': rfc}
    made = encode(fields)
    data = data or made
    line['hex'] = data.hex()
    line['fields'] = fields
    if data != made:
        assert len(data) == len(made), name
        line['canonical'] = False
    if more.get('key') is not None:
        more['key'] = more['key'].hex()
    line.update(more)
    return line


def bad(name, rfc, reject, data, strength='must'):
    return {'name': name, 'type': 'StunMessage', 'rfc': rfc, 'hex': data.hex(),
            'verdict': 'reject', 'reject': reject, 'strength': strength}


def raw(*parts, kind=REQUEST, **options):
    """A message of these attributes as bytes."""
    body = b''.join(parts)
    return header(kind, len(body), **options) + body


def rfc_vectors():
    """RFC 5769; RFC 8489 B.1 with erratum 6268.  Their HMACs are checked against the key here."""
    def spaced(fields):
        """RFC 5769 pads with spaces, which the HMAC covers."""
        out = bytearray(encode(fields))
        place = 20
        while place < len(out):
            size = int.from_bytes(out[place + 2:place + 4], 'big')
            for i in range(place + 4 + size, place + 4 + size + -size % 4):
                out[i] = 0x20
            place += 4 + size + -size % 4
        return bytes(out)

    software = text('software', 'test vector')
    ends = {
        'request': ('9aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a2', 0xe57a3bcf),
        'ipv4': ('2b91f599fd9e90c38c7489f92af9ba53f06be7d7', 0xc07d4c96),
        'ipv6': ('a382954e4be67bf11784c97c8292c275bfe3ed41', 0xc8fb0b4c),
    }
    starts = {
        'request': (REQUEST, text('software', 'STUN test client'), attr('priority', 0x6e0001ff),
                    attr('ice_controlled', '0x932ff9b151263b36'), text('username', 'evtj:h6vY')),
        'ipv4': (SUCCESS, software, attr('xor_mapped_address', at('192.0.2.1', 32853))),
        'ipv6': (SUCCESS, software, attr('xor_mapped_address', at(
            '2001:db8:1234:5678:11:2233:4455:6677', 32853))),
    }
    for n, (name, (mac, crc)) in enumerate(ends.items(), 1):
        kind, *attrs = starts[name]
        fields = message(kind, *attrs, attr('message_integrity', mac), attr('fingerprint', crc))
        yield good('rfc5769_' + name, '5769 2.%d' % n, fields, spaced(fields), key=KEY,
                   integrity=True)
    transaction = bytes.fromhex('78ad3433c6ad72c029da412e')
    user = 'マトリックス'
    secret = (user + ':example.org:TheMatrIX').encode()
    fields = message(
        REQUEST, text('username', user), text('nonce', 'f//499k954d6OL34oL9FSTvy64sA'),
        text('realm', 'example.org'), attr('message_integrity',
                                           'f67024656dd64a3e02b8e0712e85c9a28ca89666'),
        transaction=transaction)
    yield good('rfc5769_long_term', '5769 2.4', fields, key=hashlib.md5(secret).digest(),
               integrity=True)
    start = [attr('userhash', hashlib.sha256((user + ':example.org').encode()).hexdigest()),
             text('nonce', 'obMatJos2AAACf//499k954d6OL34oL9FSTvy64sA'),
             text('realm', 'example.org')]
    fields = message(
        REQUEST, *start, attr('password_algorithm', {'algorithm': 2, 'parameters': ''}),
        attr('message_integrity_sha256',
             'b5c7bf005b6c52a21c51c5e892f81924136296cb927c43149309278cc6518e65'),
        transaction=transaction)
    yield good('rfc8489_b1_erratum_6268', '8489 B.1', fields,
               key=hashlib.sha256(secret).digest(), integrity=True)
    fields = message(REQUEST, *start, attr(
        'message_integrity_sha256',
        'e4686c8f0edeb59013e07090010a93efccbccc544c0a45d9f830aa6d6f735a01'),
        transaction=transaction)
    printed = bytearray(encode(fields))
    printed[2:4] = u16(0x9c)  # counts the header
    yield bad('rfc8489_b1_as_printed', '8489 B.1', 'message_length', bytes(printed))


def good_messages():
    for kind, name in enumerate(('request', 'indication', 'success', 'error')):
        yield good('bare_' + name, '8489 5', message(kind))
    check = [text('username', 'remote:local'), attr('priority', 0x6e7f1eff)]
    yield good('ice_check_controlling', '8445 7.1', sealed(
        message(REQUEST, *check, attr('ice_controlling', '0x0123456789abcdef'),
                attr('use_candidate', True)), 'sha1'), key=KEY, integrity=True)
    yield good('ice_check_controlled', '8445 7.1', sealed(
        message(REQUEST, *check, attr('ice_controlled', '0xffffffffffffffff')), 'sha1', 'sha256'),
        key=KEY, integrity=True)
    yield good('ice_keepalive', '8445 11', sealed(message(INDICATION)))
    answer = message(SUCCESS, attr('xor_mapped_address', at('198.51.100.7', 65535)))
    yield good('ice_answer', '8489 9.1.3', sealed(answer, 'sha256'), key=KEY, integrity=True)
    yield good('wrong_password', '8489 9.1.3', sealed(
        message(REQUEST, *check), 'sha1', key=b'wrong'), key=KEY, integrity=False)
    yield good('truncated_sha256', '8489 14.6', sealed(
        message(REQUEST, *check), 'sha256', length=16), key=KEY, integrity=False)
    conflict = message(ERROR, attr('error_code', {'code': 487, 'reason': b'Role Conflict'.hex()}))
    yield good('role_conflict', '8445 16.2', sealed(conflict, 'sha1'), key=KEY, integrity=True)
    yield good('unknown_attribute', '8489 14.13', message(
        ERROR, attr('error_code', {'code': 420, 'reason': b'Unknown Attribute'.hex()}),
        attr('unknown_attributes', [3, 0x7fff, 0x4001])))
    yield good('challenge', '8489 9.2.4', message(
        ERROR, attr('error_code', {'code': 401, 'reason': ''}), text('realm', 'example.org'),
        text('nonce', 'obMatJos2AAAB'), attr('password_algorithms', [
            {'algorithm': 2, 'parameters': ''}, {'algorithm': 1, 'parameters': ''}])))
    yield good('algorithm_parameters', '8489 14.11', message(
        ERROR, attr('password_algorithms', [{'algorithm': 0x8001, 'parameters': '0102030405'},
                                            {'algorithm': 1, 'parameters': ''}])))
    yield good('try_alternate', '8489 10', message(
        ERROR, attr('error_code', {'code': 300, 'reason': b'Try Alternate'.hex()}),
        attr('alternate_server', at('2001:db8::2', 3478)),
        text('alternate_domain', 'stun.example.org')))
    yield good('mapped_addresses', '8489 14.1', message(
        SUCCESS, attr('mapped_address', at('192.0.2.1', 5060)),
        attr('xor_mapped_address', at('2001:db8::1', 0))))
    for n in range(5):
        yield good('padding_%d' % n, '8489 14', message(REQUEST, text('software', 'abcd'[:n])))
    for code in (300, 399, 400, 699):
        yield good('error_%d' % code, '8489 14.8', message(
            ERROR, attr('error_code', {'code': code, 'reason': ''})))
    yield good('longest_username', '8489 14.3', message(REQUEST, text('username', 'u' * 763)))
    yield good('twice', '8489 14', message(REQUEST, text('software', 'one'),
                                           text('software', 'two')))
    yield good('unknown_types', '8489 14', message(
        REQUEST, {'type': 0, 'unknown': ''}, {'type': 3, 'unknown': '00000006'},
        {'type': 0x8000, 'unknown': 'ff'}, {'type': 0xffff, 'unknown': ''}))
    yield good('unknown_family', '8489 6.3.3', message(
        SUCCESS, {'type': 0x20, 'unknown': '0003aabb01020304'}))
    late = with_integrity(message(REQUEST, text('username', 'u')), 'sha1')
    late['attributes'] += [{'type': 6, 'ignored': b'late'.hex()}, {'type': 0x7777, 'ignored': ''},
                           {'type': 8, 'ignored': '00'}]
    yield good('behind_integrity', '8489 9', sealed(late, 'sha256'), key=KEY, integrity=True)


def tolerated():
    """What a receiver ignores although a sender must not send it."""
    reserved = message(ERROR, attr('error_code', {'code': 400, 'reason': ''}),
                       attr('mapped_address', at('192.0.2.1', 1)))
    yield good('reserved_bits', '8489 14.8', reserved, raw(
        tlv(9, bytes.fromhex('fffffc00')), tlv(1, bytes.fromhex('ff010001c0000201')), kind=ERROR))
    yield good('padding_not_zero', '8489 14', message(REQUEST, text('software', 'x')),
               raw(u16(0x8022) + u16(1) + b'x\xff\x80\x01'))


def bad_headers():
    whole = encode(sealed(message(REQUEST, text('username', 'a:b')), 'sha1'))
    for length in (0, 1, 3, 19):
        yield bad('cut_at_%d' % length, '8489 5', 'short', whole[:length])
    for length in (20, 24, len(whole) - 8, len(whole) - 1):
        yield bad('cut_at_%d' % length, '8489 5', 'message_length', whole[:length])
    yield bad('trailing', '8489 5', 'message_length', whole + bytes(4))
    for name, delta in (('more', 4), ('less', -4)):
        wrong = bytearray(whole)
        wrong[2:4] = u16(len(whole) - 20 + delta)
        yield bad('length_' + name, '8489 5', 'message_length', bytes(wrong))
    for n in (1, 2, 3):
        yield bad('length_plus_%d' % n, '8489 5', 'stun_alignment', header(REQUEST, n) + bytes(n))
    for first in (0x40, 0x80, 0xc0):
        yield bad('first_byte_%02x' % first, '8489 5', 'stun_bits',
                  bytes([first]) + whole[1:])
    yield bad('dtls_first_byte', '8489 5', 'stun_cookie', bytes.fromhex('16fefd0000') + bytes(40))
    yield bad('classic_rfc3489', '8489 11', 'stun_cookie',
              u16(1) + u16(0) + bytes.fromhex('00112233445566778899aabbccddeeff'))
    for method in (0, 2, 3, 0xfff):
        yield bad('method_%03x' % method, '8489 6.3', 'stun_method',
                  header(REQUEST, 0, method=method))


def bad_attributes():
    yield bad('attribute_overruns', '8489 14', 'inner_length', raw(u16(0x8022) + u16(5) + bytes(4)))
    yield bad('attribute_overruns_by_padding', '8489 14', 'inner_length',
              raw(u16(0x8022) + u16(4)))
    yield bad('attribute_length_max', '8489 14', 'inner_length', raw(u16(0x8022) + u16(0xffff)))
    sizes = {'mapped_address': (3, 7, 9), 'xor_mapped_address': (0, 7, 9),
             'alternate_server': (3, 19, 21), 'username': (764,), 'realm': (764,), 'nonce': (764,),
             'software': (764,), 'error_code': (0, 3, 768), 'unknown_attributes': (1, 3),
             'message_integrity': (0, 19, 21, 24, 32), 'userhash': (31, 33),
             'message_integrity_sha256': (0, 12, 15, 17, 36), 'password_algorithm': (0, 3),
             'password_algorithms': (0, 3), 'priority': (0, 3, 5, 8), 'use_candidate': (1, 4),
             'alternate_domain': (0, 256), 'ice_controlled': (0, 4, 7, 9),
             'ice_controlling': (0, 4, 7, 9), 'fingerprint': (0, 3, 5, 8)}
    for field, lengths in sizes.items():
        number = ATTRIBUTES[field][0]
        section = '8445 16.1' if number in (0x24, 0x25, 0x8029, 0x802a) else '8489 14'
        for n in lengths:
            family = b'\0\2' if n in (19, 21) else b'\0\1'
            content = (family + bytes(n))[:n] if 'address' in field or 'server' in field else \
                (b'\0\0\4\0' + bytes(n))[:n] if field == 'error_code' else bytes(n)
            strength = 'should' if n in (764, 768, 256) else 'must'
            yield bad('%s_of_%d' % (field, n), section, 'stun_value_length',
                      raw(tlv(number, content)), strength)
    yield bad('ipv4_family_ipv6_length', '8489 14.1', 'stun_value_length',
              raw(tlv(0x20, b'\0\1' + bytes(18)), kind=SUCCESS))
    yield bad('ipv6_family_ipv4_length', '8489 14.1', 'stun_value_length',
              raw(tlv(0x20, b'\0\2' + bytes(6)), kind=SUCCESS))
    for kind, number in ((0, 0), (2, 99), (7, 0), (4, 100), (3, 255)):
        yield bad('error_class_%d_number_%d' % (kind, number), '8489 14.8', 'stun_error_code',
                  raw(tlv(9, bytes([0, 0, kind, number])), kind=ERROR))
    yield bad('algorithm_cut', '8489 14.11', 'inner_length', raw(tlv(0x8002, bytes(6))))
    yield bad('algorithm_parameters_overrun', '8489 14.11', 'inner_length',
              raw(tlv(0x8002, bytes.fromhex('00010005aabbccdd'))))
    yield bad('two_algorithms_in_one', '8489 14.12', 'stun_value_length',
              raw(tlv(0x1d, bytes.fromhex('0001000000020000'))))


def bad_fingerprints():
    whole = encode(sealed(message(REQUEST, text('username', 'a:b')), 'sha1', 'sha256'))
    for name, place in (('value', len(whole) - 1), ('padding', 27), ('transaction', 8),
                        ('integrity', 40)):
        wrong = bytearray(whole)
        wrong[place] ^= 1
        yield bad('fingerprint_notices_' + name, '8489 14.7', 'stun_fingerprint', bytes(wrong))
    body = tlv(0x8022, b'soft')
    before = header(REQUEST, 16)
    yield bad('fingerprint_first', '8489 14.7', 'stun_behind_fingerprint',
              before + tlv(FINGERPRINT, fingerprint(before).to_bytes(4, 'big')) + body)
    yield bad('fingerprint_twice', '8489 14.7', 'stun_behind_fingerprint',
              before + 2 * tlv(FINGERPRINT, fingerprint(before).to_bytes(4, 'big')))
    before = header(REQUEST, 32)
    yield bad('fingerprint_before_integrity', '8489 14.7', 'stun_behind_fingerprint',
              before + tlv(FINGERPRINT, fingerprint(before).to_bytes(4, 'big')) +
              tlv(SHA1, bytes(20)))


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--check', action='store_true', help='compare, write nothing')
    args = parser.parse_args()
    groups = (rfc_vectors, good_messages, tolerated, bad_headers, bad_attributes, bad_fingerprints)
    lines = [line for group in groups for line in group()]
    names = [line['name'] for line in lines]
    assert len(names) == len(set(names)), 'two vectors of one name'
    made = ''.join(json.dumps(line) + '\n' for line in lines)
    if args.check:
        try:
            with open(OUT, encoding='utf-8') as f:
                is_same = f.read() == made
        except FileNotFoundError:
            is_same = False
        if not is_same:
            sys.exit('stun_vectors: not what the tool makes: ' + OUT)
    else:
        os.makedirs(os.path.dirname(OUT), exist_ok=True)
        with open(OUT, 'w', encoding='utf-8') as f:
            f.write(made)
    print('%d good, %d malformed' % (sum('fields' in v for v in lines),
                                     sum('reject' in v for v in lines)))


if __name__ == '__main__':
    main()
