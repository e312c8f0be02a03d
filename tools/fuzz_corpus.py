#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the seeds in fuzz/corpus from tests/vectors and tests/data: small inputs, each in the
layout that its target expects (see the head of fuzz/fuzz_*.c).  Writes what is missing and takes
nothing away, so that seeds which a campaign found stay.

    tools/fuzz_corpus.py          then commit fuzz/corpus"""
import argparse
import hashlib
import json
import os
import re
from collections import Counter
from glob import glob

os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), '..'))

LARGEST = 1600  # bytes of a seed
EACH_GOOD, EACH_BAD = 4, 2  # seeds of a type
HEADER_FIXED = 38
FLAGS_OVERLAY_LENGTH = 3
NODE_ID = bytes(range(1, 17))
MODELS = ['single_value', 'array', 'dictionary']

# Vector type to the name of its body in fuzz/bodies.h, where not the same in snake case.
BODIES = {
    'AttachReqAns': 'attach', 'ChordRouteQueryAns': 'route_query_ans',
    'ChordLeaveData': 'chord_leave', 'ConfigUpdateReq': 'config_update', 'ErrorResponse': 'error',
}
# Vector type to the structure of fuzz_secblock.
SECURITY = {'SecurityBlock': 0, 'SignerIdentity': 1, 'Signature': 2, 'GenericCertificate': 3}
# Vector type to the structure of fuzz_stored.
STORED = {
    'StoredData': 0, 'StoreKindData': 1, 'FetchKindResponse': 1, 'StoreKindResponse': 2,
    'StoredDataSpecifier': 3, 'StoredMetaData': 4,
}
DOCUMENT = '''<?xml version="1.0"?><overlay xmlns="urn:ietf:params:xml:ns:p2p:config-base"
 xmlns:chord="urn:ietf:params:xml:ns:p2p:config-chord"><configuration instance-name="a.example"
 sequence="7" expiration="2038-01-01T00:00:00Z"><topology-plugin>CHORD-RELOAD</topology-plugin>
<node-id-length>16</node-id-length><root-cert>AQIDBA==</root-cert>
<bootstrap-node address="192.0.2.1" port="6084"/><initial-ttl>30</initial-ttl>
<clients-permitted>false</clients-permitted><no-ice>true</no-ice>
<max-message-size>5000</max-message-size><self-signed-permitted digest="sha1">true
</self-signed-permitted><chord:chord-update-interval>400</chord:chord-update-interval>
<chord:chord-ping-interval>30</chord:chord-ping-interval><chord:chord-reactive>true
</chord:chord-reactive><required-kinds><kind-block><kind name="SIP-REGISTRATION">
<data-model>DICTIONARY</data-model><access-control>USER-NODE-MATCH</access-control>
<max-count>7</max-count><max-size>100</max-size></kind><kind-signature>AAAA</kind-signature>
</kind-block><kind-block><kind id="4026531841"><data-model>ARRAY</data-model>
<access-control>NODE-MULTIPLE</access-control><max-node-multiple>3</max-node-multiple>
<max-count>22</max-count><max-size>4</max-size></kind><kind-signature>AQI=</kind-signature>
</kind-block></required-kinds><configuration-signer>47112162e84c69ba</configuration-signer>
<kind-signer>47112162e84c69ba</kind-signer>
<enrollment-server><url>https://a.example/</url></enrollment-server><turn-density>0</turn-density>
<overlay-link-protocol>TLS</overlay-link-protocol><shared-secret> x </shared-secret>
<mandatory-extension>urn:ietf:params:xml:ns:p2p:config-chord</mandatory-extension>
<e:x xmlns:e="urn:e" e:y="1">z<configuration/></e:x>
<bad-node>6eba45d31a900c06</bad-node></configuration><signature>AQIDBA==</signature></overlay>'''


def bodies():
    """{body: (target, its place in the list of that target)}."""
    places = {}
    for path in sorted(glob('fuzz/fuzz_body_*.c')):
        with open(path, encoding='utf-8') as f:
            listed = re.findall(r'\b(?:BODY|ALONE)\((\w+)\)', f.read())
        twice = set(listed) & set(places)
        if twice or len(listed) != len(set(listed)):
            raise ValueError('%s: listed twice: %s' % (path, ' '.join(twice or listed)))
        target = os.path.basename(path).removeprefix('fuzz_').removesuffix('.c')
        places.update({name: (target, place) for place, name in enumerate(listed)})
    return places


def snake(name):
    return re.sub(r'(?<!^)(?=[A-Z])', '_', name).lower()


def vectors():
    for path in sorted(glob('tests/vectors/*.jsonl')):
        with open(path, encoding='utf-8') as f:
            for line in f:
                v = json.loads(line)
                if 'hex' in v:
                    yield v, bytes.fromhex(v['hex']), 'malformed' in path


def header_bytes(message):
    if len(message) < HEADER_FIXED:
        return len(message)
    lists = [int.from_bytes(message[at:at + 2], 'big') for at in (32, 34, 36)]
    return HEADER_FIXED + sum(lists)


def plain_header():
    """The forwarding header of the first message of the vectors, to stand before contents."""
    first = next(data for v, data, is_bad in vectors() if v['type'] == 'Message' and not is_bad)
    return first[:header_bytes(first)]


def seeds_of(v, data, places, header):
    """(target, seed) for one vector."""
    kind, length = v['type'], v.get('node_id_length', 16) - 16
    if kind in ('Message', 'ForwardingHeader'):
        head = header_bytes(data)
        yield 'fwd', bytes([length, FLAGS_OVERLAY_LENGTH | 4, 0, 0]) + data[:head + 9]
        yield 'fwd', bytes([length, FLAGS_OVERLAY_LENGTH | 8, 3, 0x80, 1, 0x85, 2]) + data[:head]
    if kind == 'Message':
        yield 'message', bytes([length, 0]) + data
    if kind == 'MessageContents':
        yield 'message', bytes([0, 1]) + header + data
    body = BODIES.get(kind, snake(kind))
    if body in places:
        target, place = places[body]
        yield target, bytes([place, length]) + data
    if kind in STORED:
        models = [MODELS.index(v['data_model'])] if v.get('data_model') in MODELS else range(3)
        for model in models:
            yield 'stored', bytes([model, STORED[kind], length]) + data
    if kind in SECURITY:
        yield 'secblock', bytes([SECURITY[kind], length]) + u8(NODE_ID) + u8(b'contents') + data
    if kind == 'FramedMessage':
        yield 'frame', bytes([255, 255, 7]) + data + data


def certificate_seeds():
    """As fuzz_certificate.c numbers flags and names."""
    found = [(v, data) for v, data, _ in vectors()]
    root = next(data for v, data in found if v['type'] == 'RootCertificate')
    for v, data in found:
        if v['type'] == 'Certificate':
            flags = v.get('self_signed_permitted', False) | 2 * (v.get('digest') == 'sha256')
            yield bytes([flags, 0]) + u16(root) + data
    build, own = 4, 8 | 16
    node, user = b'\0' + u8(NODE_ID), b'\1' + u8(b'alice@example.org')
    uri = b'\2' + u8(b'reload://0110' + b'ab' * 16 + b'@overlay.example.org/')
    for flags in (build, build | 32, build | 64, build | own, build | own | 1, build | own | 3):
        yield bytes([flags, 0]) + user + node
        yield bytes([flags, 4]) + user + node + node
    for names in (user, node, user + user + node, user + node * 5, user + uri, uri * 2 + user,
                  user + node + b'\3' + u8(b'a.example'), user + node + b'\4' + u8(bytes(4)),
                  user + node + b'\5' + u8(b'\x88*\x03'), b'\1' + u8(b'a' * 129) + node,
                  b'\1' + u8(b'a\0b@c') + node, user + b'\0' + u8(b'\xff' * 20)):
        yield bytes([build, 0]) + names


def sip_seeds():
    for path in sorted(glob('tests/data/rfc*/*.dat')):
        with open(path, 'rb') as f:
            yield 'sip', f.read()
    yield 'sip', b'\r\n\r\n'


# ---- sequences of steps, as fuzz_link.c, fuzz_datagram.c and fuzz_node.c number them

def steps(path):
    """The numbers of enum step in a target."""
    with open(path, encoding='utf-8') as f:
        return {name: i for i, name in enumerate(re.findall(r'^    STEP_(\w+),', f.read(), re.M))}


def u16(data):
    return len(data).to_bytes(2, 'big') + data


def u8(data):
    return bytes([len(data)]) + data


def link_seeds():
    n = steps('fuzz/fuzz_link.c')
    meet = bytes([n['ACCEPT'], 0, n['HANDSHAKE'], 0, 1])
    frames = b''.join(bytes([n['FRAME'], 0]) + u16(b'm' * size) for size in (0, 5, 1000, 4999))
    send = bytes([n['SEND'], 0, 0, 1, 0, 3])
    wait = bytes([n['SLEEP'], 0, 100, 100])
    yield meet + frames + wait
    yield meet + send + bytes([n['ACK'], 0, 0]) + send + wait + wait
    yield meet + bytes([n['BYTES'], 0]) + u16(bytes([2, 0, 9, 0x80]) + bytes(8))
    yield meet + bytes([n['PLAIN'], 0]) + u16(bytes.fromhex('800000000000')) + \
        bytes([n['PLAIN'], 0]) + u16(bytes.fromhex('0003616263810000000000000000'))
    yield bytes([n['DIAL'], 0, 2, n['ANSWER_DIAL'], 1, n['HANDSHAKE'], 0, 2]) + frames + send + \
        bytes([n['CLOSE'], 0, 0])
    yield meet + bytes([n['DIAL'], 0, 1, n['ANSWER_DIAL'], 1, n['HANDSHAKE'], 1, 1]) + send + wait
    yield meet + send + bytes([n['DRY'], 0, 1, 0]) + frames + send + bytes([n['DRY'], 0, 0])
    yield meet + send + bytes([n['CLOSE_LINK'], 0]) + wait
    yield meet + bytes([n['FRAME'], 0]) + u16(b'm' * 5001)


def datagram_seeds():
    n = steps('fuzz/fuzz_datagram.c')

    def meet(host, who):  # announced, a whole handshake
        return bytes([n['ANNOUNCE'], host, who, n['HELLO'], host, who, n['DUE'], host])

    def frame(host, text):
        return bytes([n['FRAME'], host]) + u16(text)
    wait = bytes([n['SLEEP'], 0, 255, 200])
    send = bytes([n['SEND'], 0, 0, 3, 200, 3])
    ack = bytes([n['ACK'], 1, 0, 0])
    yield meet(1, 1) + frame(1, b'abc') + frame(1, b'abcd') + send + ack + wait
    yield bytes([n['HELLO'], 2, 2, n['DUE'], 2, n['ANNOUNCE'], 2, 2, n['DUE'], 2]) + send + wait
    yield bytes([n['DIAL'], 3, 1, n['ANSWER'], 3, 1]) + \
        b''.join(bytes([n['AGAIN'], 3, i, 0, 0, n['DUE'], 3]) for i in range(3)) + send + wait
    yield bytes([n['DIAL'], 1, 1, n['HELLO'], 1, 1, n['DUE'], 1, n['DUE'], 1]) + send + wait
    yield meet(1, 1) + meet(1, 1) + frame(1, b'new') + send + wait
    yield meet(1, 1) + meet(2, 2) + send + bytes([n['CLOSE_LINK'], 1]) + send + wait
    yield meet(1, 1) + send + bytes([n['DRY'], 0, 1, 0]) + send + frame(1, b'x') + \
        bytes([n['DRY'], 0, 0]) + wait + wait
    yield bytes([n['RAW'], 4]) + u16(bytes.fromhex('16fefd0000000000000000000d01') + bytes(12)) + \
        bytes([n['PLAIN'], 4]) + u16(b'x') + wait
    yield meet(1, 1) + bytes([n['PLAIN'], 1]) + u16(bytes.fromhex('8000000000ffffff00')) + ack
    for i in range(6):
        yield bytes([n['HELLO'], i, 1, n['HELLO'], i, 2]) * 3 + wait
    yield meet(1, 1) + b''.join(frame(1, bytes([i]) * 9) for i in range(40)) + \
        bytes([n['SEND'], 0, 4, 0, 40]) + ack + wait


def frag_seeds():
    n = steps('fuzz/fuzz_frag.c')
    lengths = b''.join(x.to_bytes(2, 'big') for x in (2000, 4500, 700))

    def piece(which, index, room, how=0):
        return bytes([n['PIECE'], which, index, room, how])

    def span(kind, which, first, length, *more):
        return bytes([n[kind], which]) + first.to_bytes(2, 'big') + length.to_bytes(2, 'big') + \
            bytes(more)
    room, count = 40, 3  # 2000 bytes where 720 may go at once
    sleep = bytes([n['SLEEP'], 150])
    for flags in range(8):
        head = bytes([flags]) + lengths
        for order in ((0, 1, 2), (2, 1, 0), (1, 0, 2), (0, 0, 1, 2), (0, 2)):
            yield head + b''.join(piece(0, i, room) for i in order)
        yield head + b''.join(piece(0, i, room, i % count) for i in range(count)) + sleep
        yield head + piece(1, 0, 255, 0x80) + b'\x08' + piece(1, 1, 255, 0xc1) + b'\x10'
        yield head + span('RANGE', 0, 0, 900, 0) + span('RANGE', 0, 600, 1400, 0)
        yield head + span('RANGE', 0, 0, 900, 0) + span('SPOIL', 0, 600, 1400, 4, 1, 7, 0) + \
            span('RANGE', 0, 0, 2000, 1)
        yield head + span('RANGE', 0, 0, 900, 0) + \
            span('FIELD', 0, 600, 400, 0x40, 0, 2, 0, 0) + sleep
        yield head + b''.join(piece(i % 3, i // 3, 8, i % 5) for i in range(30)) + sleep


def node_messages(n):
    """Steps that send the bodies of the vectors, one of each kind."""
    with open('codec/content.def', encoding='utf-8') as f:
        codes = [int(c, 16) for c in re.findall(r'^CONTENT\(\w+, (0x\w+)', f.read(), re.M)]
    seen = set()
    for v, data, _ in vectors():
        if v['type'] != 'Message' or v.get('message', '') in seen | {''} or len(data) > LARGEST:
            continue
        seen.add(v['message'])
        at = header_bytes(data)
        code = int.from_bytes(data[at:at + 2], 'big')
        body = data[at + 6:at + 6 + int.from_bytes(data[at + 2:at + 6], 'big')]
        if code not in codes:
            continue
        for to in (0, 2):
            yield bytes([n['MESSAGE'], 0, codes.index(code), 0, 1, len(seen) % 16, to, 1]) + \
                u16(body)


def node_seeds():
    n = steps('fuzz/fuzz_node.c')
    drain = bytes([1])
    meet = bytes([n['ACCEPT'], 0, 1, n['HANDSHAKE'], 0, 1, n['HEAR'], 0])
    wait = bytes([n['SLEEP'], 100, 50])
    hear = bytes([n['HEAR'], 0, n['SENT'], 0])
    for message in node_messages(n):
        yield drain + meet + message + hear + wait
    for is_app in (0, 0x20):
        candidate = bytes([10, 0, 0x17, 0xc4, 9])
        for body in (candidate, b'\x7f\x00\x17\xc4\x01', b'\xe0\x00\x17\xc4\x01'):
            yield drain + meet + bytes([n['ATTACH'], 0, 3, is_app, 1, 1, 0, 0]) + body + hear + \
                bytes([n['ANSWER_DIAL'], 1, n['HANDSHAKE'], 1, 1]) + wait
    for kind in range(5):
        for owner in (1, 0x81):
            for how in (0x00, 0x80):
                value = b'' if how else u16(b'value')
                yield drain + meet + bytes([n['STORE'], 0, 4, how, kind, owner, 1, 0, 90, 0]) + \
                    value + bytes([0, 2, 0]) + hear + wait
    for code in (0x10, 0x20, 0x00):
        yield drain + meet + wait + hear + bytes([n['ANSWER'], 0, 0, code, 1]) + u16(b'') + wait
    yield from node_sip_seeds(n, drain, wait)


def node_sip_seeds(n, drain, wait):
    def request(way, how, who, call, method, branch, *more):
        return bytes([n['REQUEST'], 0, way, how, who, call, method, branch, call]) + b''.join(more)

    def reply(way, how, status):
        return bytes([n['REPLY'], 0, way, how, status])
    alice, bob, to_bob, eve = 48, 69, 68, 51  # from % 5 and to / 16 % 5 of the identities
    register = request(1, 0x80, alice, 1, 0, 1) + request(1, 0x88, alice, 2, 0, 2)
    phones = register + request(2, 0, bob, 3, 0, 3) + request(2, 8, bob, 4, 0, 4)
    invite = request(1, 0, to_bob, 5, 1, 5) + request(1, 8 + 64, to_bob, 6, 1, 6)
    yield drain + register + wait
    yield drain + phones + invite + reply(2, 1, 1) + reply(2, 3, 3) + \
        request(1, 16, to_bob, 6, 2, 6) + request(1, 16, to_bob, 6, 3, 7) + wait
    yield drain + phones + invite + request(1, 0, to_bob, 6, 4, 6) + reply(2, 1, 10) + wait
    yield drain + phones + request(1, 8 + 4, to_bob, 5, 6, 5, u16(b'hello')) + reply(2, 1, 3) + wait
    for method in range(12):
        yield drain + phones + request(1, 8, to_bob, 5, method, 5) + wait
    extras = (b'Route: <sip:10.0.0.0:5060;lr>\r\n', b'Contact: *\r\nExpires: 0\r\n',
              b'Record-Route: <sip:a.example;lr>\r\n', b'Require: x\r\n',
              b'Contact: <sip:a@1.2.3.4>;+sip.instance="<urn:uuid:0>";reg-id=1\r\n')
    for extra in extras:
        for method in (0, 1):
            yield drain + register + request(1, 8 + 2, alice, 5, method, 5, u16(extra)) + wait
    tcp = bytes([n['ACCEPT'], 2, 7])
    yield drain + tcp + request(0x80, 0, alice, 1, 0, 1) + request(0x80, 8, alice, 2, 0, 2) + wait
    peer = bytes([n['ACCEPT'], 1, 7, n['HANDSHAKE'], 0, 1])
    yield drain + peer + request(0x80, 0, eve, 1, 1, 1) + reply(0x80, 1, 3) + wait
    for _, text in sip_seeds():
        if len(text) < 700:
            yield drain + tcp + bytes([n['DATAGRAM'], 5]) + u16(text) + bytes([n['BYTES'], 0]) + \
                u16(text) + wait


def diagnostic_seeds():
    """Of RFC 7851 there are no vectors: one well-formed structure of each kind."""
    def twice(data):
        return 2 * len(data).to_bytes(4, 'big') + data
    destination, times = b'\x01\x10' + NODE_ID, bytes(range(16))
    extension, info = b'\0\x09' + bytes([0, 0, 0, 2, 7, 8]), b'\0\x01' + u16(b'\x03')
    request = times + bytes(7) + b'\x1e' + twice(2 * extension)
    response = times + bytes(8) + b'\x04' + twice(info + info)
    structures = {
        'diagnostics_request': request, 'diagnostics_response': response,
        'path_track_req': destination + request, 'path_track_ans': b'\x80\x01' + response,
        'diagnostic_extension': extension, 'diagnostic_info': info, 'status_info': b'\x0f',
        'software_version': b'chordial 1\0', 'instances_stored': 2 * (bytes(11) + b'\x05'),
        'messages_sent_rcvd': 2 * (b'\0\x17' + bytes(16)), 'message_count': bytes(18),
        'instances_entry': bytes(12), 'underlay_hop': b'\x07', 'battery_status': b'\x01',
        'routing_table_size': bytes(4), 'ewma_bytes_sent': bytes(4), 'ewma_bytes_rcvd': bytes(4),
    }
    for body, (target, place) in bodies().items():
        if target == 'body_diagnostics':
            data = structures.get(body, bytes(8))
            yield target, bytes([place, 0]) + data
            yield target, bytes([place, 0x80]) + data + data
    place = bodies()['self_tuning_data'][1]
    yield 'body_topology', bytes([place, 0]) + bytes(range(12))
    place = bodies()['extensive_routing_mode'][1]
    yield 'body_attach', bytes([place, 0, 1, 3, 1, 6, 192, 0, 2, 1, 0x17, 0xc4]) + u8(destination)


def stun_seeds():
    with open('tests/vectors/own/stun.jsonl', encoding='utf-8') as f:
        for line in f:
            v = json.loads(line)
            if len(v['hex']) <= 2 * LARGEST:
                yield 'stun', b'\0' + bytes.fromhex(v['hex'])
            if 'fields' in v and len(v['fields']['attributes']) > 3:
                yield 'stun', b'\7' + bytes.fromhex(v['hex'])  # length, cookie, CRC put right


def ws_seeds():
    """Flags and cuts as fuzz_ws.c has them; requests, then lists of frames."""
    request = (b'GET /x HTTP/1.1\r\nHost: h\r\nUpgrade: h2c, websocket\r\nConnection: keep-alive, '
               b'Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nOrigin: https://a.b\r\n'
               b'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: chat, sip\r\n\r\n')
    yield 'ws', b'\0\1' + request
    yield 'ws', b'\0\2' + request + b'\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58'
    for old, new in ((b'GET', b'POST'), (b'13', b'8'), (b'==', b'='), (b'Host', b'X'),
                     (b'\r\n\r\n', b'\r\nContent-Length: 1\r\n\r\n'), (b'sip', b'x')):
        yield 'ws', b'\0\3' + request.replace(old, new)
    for frames in (b'\x81\4text\x82\2\xff\0\x89\4ping\x8a\0\x88\2\x03\xe8',
                   b'\1\2te\x89\0\0\0\x80\2xt', b'\1\3\xe2\x82\xac\x80\1\xff', b'\x88\1x',
                   b'\x81\xff\x3f\xff\x82\xff\x40\0\x81\xff\x40\1', b'\1\xff\x20\0\x80\xff\x30\0',
                   b'\x80\1x', b'\1\1x\1\1y', b'\xc1\1x', b'\x83\1x', b'\x09\1x'):
        for cuts in (b'\1', b'\xfe'):
            yield 'ws', b'\3' + cuts + frames
    yield 'ws', b'\7\5\x81\xff\x10\0'


def dns_seeds():
    """Type, flags, number of answers, records for the question of fuzz_dns.c."""
    own = b'\xc0\x0c'

    def number(n):
        return n.to_bytes(2, 'big')

    def name(text):
        return b''.join(bytes([len(p)]) + p for p in text.split(b'.')) + b'\0'

    def record(kind, data, owner=own, ttl=60):
        return owner + number(kind) + number(1) + ttl.to_bytes(4, 'big') + number(len(data)) + data

    def naptr(service, flags=b'\1s'):
        return (number(1) + number(2) + flags + bytes([len(service)]) + service + b'\0' +
                name(b'b.c'))

    a = record(1, bytes([192, 0, 2, 1]))
    srv = record(33, number(1) + number(60) + number(5060) + name(b'b.example'))
    for kind, records in ((0, [a]), (0, [a] * 9), (1, [record(28, bytes(range(16)))]),
                          (2, [srv]), (2, [srv, record(33, number(2) * 3 + b'\0')]),
                          (2, [record(33, number(2) * 3 + own)]),
                          (3, [record(35, naptr(b'SIP+D2U')), record(35, naptr(b'SIPS+D2T'))]),
                          (3, [record(35, naptr(b'x' * 20, b'\4SAPU'))]),
                          (0, [record(5, name(b'b')), record(1, b'abcd', name(b'b'))]),
                          (0, [record(5, name(b'b')), record(5, own, name(b'b'))]),
                          (0, [record(1, b'abc'), record(1, b'abcd', b'\xc0\x0e', 2 ** 31)])):
        yield bytes([kind, 0]) + number(len(records)) + b''.join(records)
    head = number(7) + number(0x8180) + number(1) + number(1) + number(0) * 2
    yield b'\0\1' + head + name(b'_sip._udp.a-1.example') + number(1) + number(1) + a
    yield b'\0\1' + head[:2] + number(0x8183) + head[4:] + name(b'x') + number(1) + number(1)


def pidf_seeds():
    root = b'<presence xmlns="urn:ietf:params:xml:ns:pidf" entity="pres:a@b">'
    tuple_ = b'<tuple id="t1"><status><basic>open</basic></status></tuple>'
    for prefix in (b'\0', b'\1'):
        yield prefix + root + tuple_ + b'</presence>'
        yield prefix + (b"<?xml version='1.0' encoding='utf-8'?><!-- c --><p:presence xmlns:p='x' "
                        b"xmlns:d=\"y\"><d:person id='x'/><?i j?><![CDATA[ <no> ]]><p:note "
                        b"xml:lang='de'>&amp;&#x20AC;\xc3\xa4</p:note ></p:presence >\n")
        yield prefix + root + b'<a>' * 15 + b'</a>' * 15 + b'</presence>'
        yield prefix + b'<!DOCTYPE presence [<!ENTITY a "b">]>' + root + b'&a;</presence>'
        yield prefix + b'<presence ' + b' '.join(b'a%d="1"' % i for i in range(25)) + b'/>'


def prefs_seeds():
    """Accept-Contact, contact_prefs, parameters of a Contact (fuzz_prefs.c)."""
    for seed in ((b'*;video;require;explicit',
                  b'(|(&(sip.audio=TRUE)(sip.video=TRUE)));q=0.5;steps=2',
                  b';audio;video;methods="INVITE,MESSAGE";+sip.instance="<urn:uuid:1>";reg-id=1'),
                 (b'*;audio;q=0.3, *;language="!de,en"',
                  b'(&(sip.automata=TRUE)(sip.methods=MESSAGE))',
                  b';automata;methods="MESSAGE";language="de,fr"'),
                 (b'*;priority="#>=2";x="<a b>"', b'(|(sip.schemes=SIP)(sip.schemes=SIPS));q=0.250',
                  b';priority="#3:5";description="<PC>";+acme.x'),
                 (b'', b'(!(sip.mobility=mobile))', b';mobility="fixed"'),
                 (b'*', b'(' * 12 + b'a=b' + b')' * 12 + b' ; Q=1.000 ; Steps=4',
                  b';q=0.1;expires=3'),
                 (b'*;a=;b', b'(a>=5)(b<=3);;q=;steps=99', b';a="\\"";b=""')):
        yield b'\0'.join(seed)


def parts_seeds():
    """Two values, sixty, and more than are kept, of an honest owner; then what hostile ones say of
    the extent (fuzz_store_parts.c)."""
    for model in (0, 1):
        for limit, values in ((40, b'\x10\x00' * 2), (255, b'\x20\x01' * 60),
                              (30, b'\x40\x07' * 79), (20, b'\x01\xff' * 20),
                              (60, b'\x08\x00' * 17)):
            yield bytes([2 | model, 0, limit]) + values
        yield bytes([2 | model, 6, 200]) + b'\xff\x00' * 40  # few buffers
    zeros = bytes(12)
    last = zeros + b'\xff\xff\xff\xfe' + bytes(9)  # of an array: as high as it gets
    for said in (b'', last, len(last).to_bytes(4, 'big') + last):
        yield b'\x00\x00' + len(said).to_bytes(2, 'big') + said + b'\x01\x02\xff\xff' * 40
    meta = b''.join(zeros + n.to_bytes(2, 'big') + bytes(n) + b'\x01' + bytes(4) + b'\x00\x00'
                    for n in (4, 300, 255, 0))
    yield b'\x01\x00' + len(meta).to_bytes(2, 'big') + meta + b'\x03\x09' * 9


def document_seeds():
    """The first byte as fuzz_overlay_doc.c has it; large base64 is cut short, it is all alike."""
    signed, foreign = b'\x21', b'\x61'
    yield signed + DOCUMENT.encode()
    yield foreign + re.sub(r'\n', '', DOCUMENT).encode()
    block = re.search(r'<kind-block>.*?</kind-block>', DOCUMENT, re.S).group()
    yield b'\x03' + block.encode()
    for name in ('config', 'config_bad'):
        with open('tests/vectors/%s.jsonl' % name, encoding='utf-8') as f:
            for line in f:
                text = re.sub(r'[A-Za-z0-9+/\n]{64,}={0,2}', 'AQIDBA==', json.loads(line)['xml'])
                if len(text) < 2 * LARGEST:
                    yield signed + text.encode()
                if text.count('<configuration ') > 1 and len(text) < 4 * LARGEST:
                    yield b'\x05' + text.encode()


def show_sip_seeds():
    """The messages, with a stream and pairs of URIs cut at a NUL among them."""
    yield from (text for _, text in sip_seeds())
    length = b'Content-Length: 0\r\n\r\n'
    yield b'A sip:a SIP/2.0\r\n' + length + b'\r\nSIP/2.0 200 OK\r\n' + length + b'A s'
    yield b'sip:%61@B;x=1?y=2&z=3\0sip:a@b;X=1;lr?z=3&y=2'
    yield b'tel:+1-201;a=b\0tel:+1(201);A=B'
    yield b'sip:[2001:db8::1]:5060;maddr=a\0sips:[2001:DB8:0::1]'


def sip_uri_seeds():
    """All that stand in the torture messages, and the pairs of RFC 3261 19.1.4."""
    with open('tests/unit/codec/sip_uri_pairs.h', encoding='ascii') as f:
        for a, b in re.findall(r'\{"([^"]*)",\s*"([^"]*)",', f.read()):
            yield a.encode() + b'\0' + b.encode()
    for _, text in sip_seeds():
        for uri in re.findall(rb'(?:sips?|tel):[^\s<>"]+', text)[:3]:
            yield uri
    yield b'sip:[2001:db8::1]:5060;maddr=a\0sip:[2001:DB8:0::1]:5060;maddr=A'
    yield b'tel:+1-201;a=b\0tel:+1(201);A=B'
    yield b'sip:%61:%62@h;%6c%72;a=%41?x=%20&y=\0urn:service:sos'


SIP_DECODERS = {b'via': 0, b'v': 0, b'from': 1, b'to': 1, b't': 1, b'contact': 1, b'm': 1,
                b'route': 1, b'cseq': 2, b'authorization': 3, b'event': 4, b'max-forwards': 5,
                b'expires': 5, b'accept': 7}


def sip_hdr_seeds():
    """Header values of the torture messages, behind the number of their decoder."""
    for _, text in sip_seeds():
        head = re.sub(rb'\r\n[ \t]+', b'\n', text.partition(b'\r\n\r\n')[0])
        for line in head.split(b'\r\n')[1:]:
            name, _, value = line.partition(b':')
            which = SIP_DECODERS.get(name.strip().lower())
            if which is not None and len(value) < 300:
                yield bytes([which]) + value.strip()
    yield b'\3Digest username="a", realm="b", nonce="c", uri="sip:d", response="00", qop=auth, ' \
        b'nc=00000001, cnonce="e", algorithm=SHA-256, opaque="", userhash=false, stale=TRUE'
    yield b'\4presence.winfo;id=7;a="b"'
    yield b'\6' + b'0.333'
    yield b'\x08;tag=a;b="c\\"d";e'
    yield b'\x09"a\\"b%41"'
    yield b'\x09%41%42c'


def sip_tx_seeds():
    n = {name: bytes([number]) for name, number in steps('fuzz/fuzz_sip_tx.c').items()}
    second, long = n['TIME'] + b'\x20', n['TIME'] + b'\xff'
    for which in (0, 2, 3, 0x20, 0x22, 0x30):  # INVITE, MESSAGE, OPTIONS; carol, nobody
        call = n['REQUEST'] + bytes([which, 1]) + second
        ring = n['RESPONSE'] + b'\x00\x01\x03'
        for status in (3, 10, 8, 16, 5):
            yield call + ring + n['RESPONSE'] + bytes([0x20, status]) + n['ACK_CANCEL'] + \
                b'\2\1' + n['IN_DIALOG'] + b'\0\0' + second
        yield call + ring + n['ACK_CANCEL'] + b'\1\1' + n['RESPONSE'] + b'\1\x03' + \
            n['RESPONSE'] + b'\0\x0b' + n['ACK_CANCEL'] + b'\0\1' + long
        yield call + n['AGAIN'] + b'\0' + long + long
        yield n['PEER'] + bytes([which, 2]) + second + n['RESPONSE'] + b'\x20\x03' + \
            n['PEER_CLOSES'] + b'\0' + long
        yield n['DRY'] + b'\x42' + call + n['DRY'] + b'\x81' + call + n['DRY'] + b'\0' + call
        yield n['OVERLAY'] + b'\x0f' + call + long + n['OVERLAY'] + b'\0' + call
    yield (n['REGISTER'] + b'\0') * 3 + n['REGISTER'] + b'\x03' + n['REQUEST'] + b'\0\1' + second
    yield n['RAW'] + b'\1' + u16(b'BYE sip:a SIP/2.0\r\n\r\n')


def record_seeds():
    n = steps('fuzz/fuzz_record.c')

    def step(name, *more, back=0):
        return bytes([n[name] | back << 7, *more])

    sends = b''.join(step('SEND', size) for size in (0, 3, 250)) + step('SEND', 9, back=1)
    yield sends + step('DELIVER', 2) + step('DELIVER', 0) + step('DELIVER', 0, back=1)
    yield sends + step('REPLAY', 1) * 3 + step('DELIVER', 1) + step('REPLAY', 0)
    yield sends + step('CUT', 0, 100) + step('CUT', 1, 5) + step('CUT', 2, 254)
    yield sends + step('FLIP', 0, 0, 0, 0) + step('FLIP', 1, 0, 5, 7) + step('FLIP', 2, 0, 30, 3)
    yield sends + step('JOIN', 0, 1) + step('JOIN', 2, 2) + step('REPLAY', 0)
    yield sends + b''.join(step('HEAD', 0, at, with_) for at in range(13) for with_ in (0, 255))
    yield sends + step('RAW', 0) + u16(bytes.fromhex('17fefd00010000000000010003616263'))
    yield sends + step('RAW', 0) + u16(bytes.fromhex('15fefd000000000000000100020100'))
    yield sends + step('RAW', 0) + u16(bytes.fromhex('16fefd00000000000000010000'))
    yield sends + step('SHUTDOWN', 0) + step('DELIVER', 0) + step('SEND', 1, back=1)


def tls_stream_seeds():
    n = steps('fuzz/fuzz_tls_stream.c')

    def step(name, how, more=b''):
        return bytes([n[name], how]) + more

    for first in (0, 1, 9):  # our role and how many records a key seals
        first = bytes([first])
        yield first + step('DATA', 9) + step('LARGE', 255) + step('FEED', 255) + step('READ', 0)
        yield first + (step('DATA', 20) + step('LEND', 7) + step('READ', 201)) * 9
        yield first + (step('KEY_UPDATE', 1) + step('LEND', 254)) * 9 + step('SAY', 9) * 9
        yield first + step('SAY', 1) * 12 + step('PULL', 0) + step('SHUTDOWN', 0) + step('PULL', 0)
        for inner in (b'\1\0\x15', b'\2\x28\x15', b'\x17', b'\0\0', b'\x18\0\0\x16',
                      b'\4\0\0\2\1\2\x16', b'\4\0\x16'):
            yield first + (step('MESSAGE', 0, bytes([len(inner)]) + inner) + step('LEND', 100)) * 2
        yield first + step('RAW', 0, b'\5\x17\3\3\x40\x11') + step('LEND', 200) + step('READ', 0)


def restore_seeds():
    n = steps('fuzz/fuzz_restore.c')
    yield b'\0'
    yield b'\1'
    for record in (0, 4, 9, 14):
        for name in ('DROP', 'FLIP_VALUE', 'FLIP_KEY', 'CUT', 'GROW', 'COPY', 'SWAP', 'SPLICE'):
            yield bytes([record & 1, n[name], record, 0, 12, 3, n[name], record + 1, 0, 7, 1])
    for key in (b'c' + bytes(32), b'n', b's' + bytes(20), b'v' + bytes(20), b''):
        yield bytes([0, n['RAW'], 0]) + u16(key) + u16(bytes(40))


def other_seeds():
    yield from sip_seeds()
    yield from (('sip_uri', seed) for seed in sip_uri_seeds())
    yield from (('sip_hdr', seed) for seed in sip_hdr_seeds())
    yield from (('sip_tx', seed) for seed in sip_tx_seeds())
    yield from (('record', seed) for seed in record_seeds())
    yield from (('tls_stream', seed) for seed in tls_stream_seeds())
    yield from (('restore', seed) for seed in restore_seeds())
    yield from (('show_sip', seed) for seed in show_sip_seeds())
    yield from diagnostic_seeds()
    yield from stun_seeds()
    yield from ws_seeds()
    yield from (('dns', seed) for seed in dns_seeds())
    yield from (('pidf', seed) for seed in pidf_seeds())
    yield from (('prefs', seed) for seed in prefs_seeds())
    yield from (('store_parts', seed) for seed in parts_seeds())
    yield from (('link', seed) for seed in link_seeds())
    yield from (('datagram', seed) for seed in datagram_seeds())
    yield from (('frag', seed) for seed in frag_seeds())
    yield from (('node', seed) for seed in node_seeds())
    yield from (('overlay_doc', seed) for seed in document_seeds())
    frames = bytes.fromhex('8000000000000003414243' '8100000000ffffffff' '8000000001000000')
    yield 'frame', bytes([0, 200, 1]) + frames
    yield from (('certificate', seed) for seed in certificate_seeds())
    yield 'body_config', bytes([bodies()['uri'][1], 0]) + \
        b'reload://' + b'0110' + b'ab' * 16 + b'@overlay.example.org/'


def put(target, seed):
    directory = 'fuzz/corpus/' + target
    os.makedirs(directory, exist_ok=True)
    with open(directory + '/' + hashlib.sha1(seed).hexdigest()[:12], 'wb') as f:
        f.write(seed)


def main():
    argparse.ArgumentParser(description=__doc__,
                            formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    places, header, taken = bodies(), plain_header(), Counter()
    for v, data, is_bad in vectors():
        if len(data) > LARGEST:
            continue
        for target, seed in seeds_of(v, data, places, header):
            which = v.get('message') if target == 'message' else None
            key = (target, v['type'], which, is_bad, seed[0], seed[1])
            taken[key] += 1
            if taken[key] <= (EACH_BAD if is_bad else EACH_GOOD):
                put(target, seed)
    for target, seed in other_seeds():
        put(target, seed)


if __name__ == '__main__':
    main()
