#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the seeds in fuzz/corpus from tests/vectors and tests/data: small inputs, each in the
layout that its target expects (see the head of fuzz/fuzz_*.c).  Writes what is missing and takes
nothing away, so that seeds which a campaign found stay.

    tools/fuzz_corpus.py          then commit fuzz/corpus"""
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
MODELS = ['single_value', 'array', 'dictionary']

# Vector type to the body that fuzz_message decodes it with, where not the same in snake case.
BODIES = {
    'AttachReqAns': 'attach', 'AppAttach': 'app_attach', 'ChordRouteQueryAns': 'route_query_ans',
    'StatReq': 'fetch_req', 'StatAns': 'fetch_ans', 'TurnServer': 'turn_server',
    'ChordLeaveData': 'chord_leave', 'ConfigUpdateReq': 'config_update',
    'ErrorResponse': 'error', 'SipRegistration': 'kind_sip', 'IceCandidate': 'candidates',
    'ProbeInformation': 'probes', 'FindKindData': 'finds', 'SecurityBlock': 'security',
}
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
</kind-block></required-kinds><configuration-signer>47112162e84c69ba</configuration-signer>
<bad-node>6eba45d31a900c06</bad-node></configuration><signature>AQIDBA==</signature></overlay>'''


def bodies():
    """The bodies in the order in which fuzz_message numbers them, from 1."""
    with open('codec/msgs.def', encoding='utf-8') as f:
        listed = re.findall(r'^MSG\((\w+),', f.read(), re.M)
    return listed + ['chord_update', 'chord_leave', 'config_update', 'error', 'kind_sip',
                     'candidates', 'probes', 'finds', 'uri', 'security']


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


def seeds_of(v, data, numbers):
    """(target, seed) for one vector."""
    kind, length = v['type'], v.get('node_id_length', 16) - 16
    if kind in ('Message', 'ForwardingHeader'):
        head = header_bytes(data)
        yield 'fwd', bytes([length, FLAGS_OVERLAY_LENGTH | 4, 0, 0]) + data[:head + 9]
        yield 'fwd', bytes([length, FLAGS_OVERLAY_LENGTH | 8, 3, 0x80, 1, 0x85, 2]) + data[:head]
    if kind == 'Message':
        yield 'message', bytes([0, length]) + data[header_bytes(data):]
    if kind == 'MessageContents':
        yield 'message', bytes([0, length]) + data
    body = BODIES.get(kind, snake(kind))
    if body in numbers:
        yield 'message', bytes([numbers.index(body) + 1, length]) + data
    if kind in STORED:
        models = [MODELS.index(v['data_model'])] if v.get('data_model') in MODELS else range(3)
        for model in models:
            yield 'stored', bytes([model, STORED[kind], length]) + data
    if kind == 'FramedMessage':
        yield 'frame', bytes([255, 255, 7]) + data + data


def sip_seeds():
    for path in sorted(glob('tests/data/rfc*/*.dat')):
        with open(path, 'rb') as f:
            yield 'sip', f.read()
    yield 'sip', b'\r\n\r\n'


def other_seeds():
    yield from sip_seeds()
    yield 'overlay_doc', b'\x01' + DOCUMENT.encode()
    yield 'overlay_doc', b'\x01' + re.sub(r'\n', '', DOCUMENT).encode()
    frames = bytes.fromhex('8000000000000003414243' '8100000000ffffffff' '8000000001000000')
    yield 'frame', bytes([0, 200, 1]) + frames
    yield 'message', bytes([bodies().index('uri') + 1, 0]) + \
        b'reload://' + b'0110' + b'ab' * 16 + b'@overlay.example.org/'


def put(target, seed):
    directory = 'fuzz/corpus/' + target
    os.makedirs(directory, exist_ok=True)
    with open(directory + '/' + hashlib.sha1(seed).hexdigest()[:12], 'wb') as f:
        f.write(seed)


def main():
    numbers, taken = bodies(), Counter()
    for v, data, is_bad in vectors():
        if len(data) > LARGEST:
            continue
        for target, seed in seeds_of(v, data, numbers):
            key = (target, v['type'], is_bad, seed[0], seed[1])
            taken[key] += 1
            if taken[key] <= (EACH_BAD if is_bad else EACH_GOOD):
                put(target, seed)
    for target, seed in other_seeds():
        put(target, seed)


if __name__ == '__main__':
    main()
