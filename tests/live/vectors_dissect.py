#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""tshark as judge of our vectors (issue: Must hold 2): every whole message of tests/vectors, one
frame a packet, dissected by tshark's `reload`, compared with what `chordial decode` says of it:
each field stands at the same bytes, is the same field, and means the same.

Where a field stands is tools/vector_types.py's word, what it means is decode's; where tshark's
tables or code are wrong, BLIND says so, field by field, and the test counts how often."""
import calendar
import collections
import ipaddress
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import time
import xml.etree.ElementTree

from live import CHORDIAL, Folder, check, run

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..', 'tools'))
import vector_extra  # noqa: E402
import vector_types  # noqa: E402

DATA, RELOAD_PORT, CLIENT_PORT, LINKTYPE_RAW = 0x80, 6084, 40000, 101
FRONT = 20 + 20 + 8  # IP, TCP, framing
FILES = ['tests/vectors/message.jsonl', 'tests/vectors/own/message.jsonl']
OPTIONS = ['reload.nodeid_length:16', 'reload.topology_plugin:CHORD-RELOAD',
           'reload.defragment:FALSE',
           'uat:reload_kindids:"260","REDIR","DICTIONARY"', 'uat:reload_kindids:"4","ACL","ARRAY"',
           *(f'uat:reload_kindids:"{kind}","PRIVATE","{model}"' for kind, model in (
               (0xf0000001, 'SINGLE'), (0xf0000002, 'ARRAY'), (0xf0000003, 'DICTIONARY')))]

R, FWD, DEST = 'reload.', 'reload.forwarding.', 'reload.destination.data.'
BYTES = ('reload.opaque.data', 'reload.opaque.string')
# Our field, by its last two names or its last -> tshark's.
FIELDS = {
    'relo_token': FWD + 'token', 'overlay': FWD + 'overlay', 'version': FWD + 'version',
    'configuration_sequence': FWD + 'configuration_sequence', 'ttl': FWD + 'ttl',
    'fragment': FWD + 'fragment', 'header.length': R + 'length.32',
    'transaction_id': FWD + 'trans_id', 'max_response_length': FWD + 'max_response_length',
    'via_list.type': FWD + 'destination.type', 'destination_list.type': FWD + 'destination.type',
    'destination.type': FWD + 'destination.type', 'destinations.type': FWD + 'destination.type',
    'next_hop.type': FWD + 'destination.type', 'node_id': DEST + 'nodeid',
    'compact': FWD + 'destination.compressed_id', 'options.type': FWD + 'option.type',
    'options.flags': FWD + 'option.flags', 'routemode': R + 'routemode',
    'transport': R + 'extensiveroutingmode.transport', 'message_code': R + 'message.code',
    'extensions.type': R + 'message_extension.type', 'critical': R + 'message_extension.critical',
    'certificates.type': R + 'certificate.type', 'certificate': R + 'certificate',
    'algorithm.hash': R + 'hash_algorithm', 'algorithm.signature': R + 'signature_algorithm',
    'identity_type': R + 'signature.identity.type', 'hash_alg': R + 'signeridentityvalue.hash_alg',
    'requested_info': R + 'probe_information.type', 'probe_info.type': R + 'probe_information.type',
    'responsible_ppb': R + 'responsible_set', 'num_resources': R + 'num_resources',
    'uptime': R + 'uptime', 'joining_peer_id': R + 'joinreq.joining_peer_id',
    'leaving_peer_id': R + 'leavereq.leaving_peer_id', 'next_peer': R + 'chordroutequeryans.nodeid',
    'send_update': R + 'sendupdate', 'application': R + 'application',
    'addr_port.type': R + 'ipaddressport.type', 'rel_addr_port.type': R + 'ipaddressport.type',
    'ipaddressport.type': R + 'ipaddressport.type', 'addr': (R + 'ipv4addr', R + 'ipv6addr'),
    'server_address.type': R + 'ipaddressport.type', 'port': R + 'port',
    'overlay_link': R + 'overlaylink.type', 'priority': R + 'icecandidate.priority',
    'candidates.type': R + 'icecandidate.type', 'body.type': (
        R + 'chordupdate.type', R + 'configupdatereq.type'),
    'config_data': 'xml', 'body.kinds': (R + 'kindid', 'xml'),
    'probe_info.unknown': R + 'probe_information_data', 'value.value': (*BYTES, R + 'certificate'),
    'expiration': R + 'diagnostic.expiration', 'dMFlags': R + 'dmflags',
    'timestamp_initiated': R + 'diagnosticrequest.timestampinitiated',
    'leave.type': R + 'chordleavedata.type', 'predecessors': R + 'nodeid',
    'successors': R + 'nodeid', 'fingers': R + 'nodeid', 'replicas': R + 'nodeid',
    'response_id': R + 'ping.response_id', 'body.time': R + 'ping.time',
    'replica_number': R + 'store.replica_number', 'kind': R + 'kinddata.kind',
    'generation': R + 'generation_counter', 'generation_counter': R + 'generation_counter',
    'storage_time': R + 'storeddata.storage_time', 'lifetime': R + 'storeddata.lifetime',
    'exists': R + 'datavalue.exists', 'value_length': R + 'metadata.value_length',
    'hash_algorithm': R + 'hash_algorithm', 'index': R + 'arrayentry.index',
    'key': (R + 'nodeid', *BYTES), 'error_code': R + 'error_response.code',
    'unknown_kinds': R + 'kindid', 'iteration': R + 'turnserver.iteration',
    'sip.type': R + 'sipregistration.type', 'network_size': R + 'selftuning_data.network_size',
    'join_rate': R + 'selftuning_data.join_rate', 'leave_rate': R + 'selftuning_data.leave_rate',
}
LENGTHS = {'header.via_list': FWD + 'via_list.length', 'header.options': FWD + 'options.length',
           'header.destination_list': FWD + 'destination_list.length'}
TIMES = (R + 'storeddata.storage_time', R + 'ping.time', R + 'diagnostic.expiration',
         R + 'diagnosticrequest.timestampinitiated', R + 'diagnosticresponse.timestampreceived')
# Given to another dissector, or shown as nothing but a place.
HANDED_ON = (R + 'certificate', R + 'probe_information_data', 'xml')
# What a field that others stand in holds is compared there.
SKIPPED = {'message_body'}
# What tshark shows beside the fields: bits of one, and what it makes of them.
THEIRS = re.compile(r'reload\.forwarding\.(fragment|option\.flags?)\.|(?!reload\.)')


class Leaf:
    """A field of ours: where, what decode says, and how it is called."""

    def __init__(self, path, start, end, value, what):
        self.path, self.start, self.end, self.value, self.what = path, start, end, value, what
        words = [str(p) for p in path if not isinstance(p, int)]
        self.name, self.pair = words[-1], '.'.join(words[-2:])


def ask(lines):
    text = '\n'.join(json.dumps(line) for line in lines) + '\n'
    done = subprocess.run([CHORDIAL, 'decode', '--batch'], input=text, capture_output=True,
                          text=True, check=True, timeout=60)
    return [json.loads(line) for line in done.stdout.splitlines()]


def vectors():
    for path in FILES:
        with open(path, encoding='utf-8') as f:
            yield from (json.loads(line) for line in f)


def write_capture(path, messages):
    with open(path, 'wb') as f:
        f.write(struct.pack('=IHHiIII', 0xa1b2c3d4, 2, 4, 0, 0, 65535, LINKTYPE_RAW))
        sequence = 1
        for i, message in enumerate(messages):
            raw = struct.pack('!BI', DATA, i) + len(message).to_bytes(3, 'big') + message
            ip = struct.pack('!BBHHHBBH4s4s', 0x45, 0, 40 + len(raw), 0, 0, 64, 6, 0,
                             b'\x7f\0\0\1', b'\x7f\0\0\2')
            tcp = struct.pack('!HHIIBBHHH', CLIENT_PORT, RELOAD_PORT, sequence, 1, 0x50, 0x18,
                              65535, 0, 0)
            sequence += len(raw)
            packet = ip + tcp + raw
            f.write(struct.pack('=IIII', i, 0, len(packet), len(packet)) + packet)


def dissect(path):
    """Of each packet: the leaves under tshark's reload protocol."""
    command = ['tshark', '-r', path, '-T', 'pdml', *(w for o in OPTIONS for w in ('-o', o))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    check(done.returncode == 0, f'tshark: {done.stderr}')
    for packet in xml.etree.ElementTree.fromstring(done.stdout):
        protocols = [p for p in packet if p.get('name') == 'reload']
        yield [leaf for p in protocols for leaf in leaves(p)]


def leaves(field):
    for child in field:
        if child.get('hide') == 'yes':
            continue
        yield child
        yield from leaves(child)


def walk(answer, path):
    here = answer if path[0] == 'body' else answer['fields']
    for step in path:
        here = here[step]
    return here


def is_compact(answer, path):
    return bool(path) and 'compact' in walk(answer, path)


class Judged:
    """One message: what decode says, field by field, and what tshark does."""

    def __init__(self, line, answer, theirs):
        self.line, self.data = line, bytes.fromhex(line['hex'])
        self.answer, self.ours, self.inside = answer, [], []
        self.theirs = collections.defaultdict(list)
        for field in theirs:
            if int(field.get('size')):
                place = int(field.get('pos')) - FRONT, int(field.get('size'))
                self.theirs[place].append(field)
        self.used = set()

    def add(self, kind, data, answer, base, root):
        """The fields of a structure at `base`."""
        fields, seen = vector_types.decode(kind, data, self.line)
        check(fields == answer['fields'], f'{self.line["name"]}: {kind}: two decoders, two results')
        for f in seen:
            if f.start == f.end or f.path[-1] in SKIPPED and f.what == 'bytes':
                continue
            start = f.start
            if f.what == 'length':
                value = int.from_bytes(data[f.start:f.end], 'big')
            elif f.path[-1] == 'compact':
                start, value = f.start - 1, walk(answer, f.path)
            elif f.path[-1] == 'type' and is_compact(answer, f.path[:-1]):
                continue  # its first half
            else:
                value = walk(answer, f.path)
            self.ours.append(Leaf(root + f.path, base + start, base + f.end, value, f.what))

    def disagreements(self):
        for leaf in self.ours:
            said = self.say(leaf)
            yield leaf, said
        for place, fields in self.theirs.items():
            for f in fields:
                if id(f) not in self.used and not len(f) and not THEIRS.match(f.get('name')):
                    name = 'tshark', f.get('name')
                    yield Leaf(name, place[0], sum(place), f.get('show'), ''), 'is not ours'

    def say(self, leaf):
        """None, or how tshark sees it."""
        if leaf.what == 'length':
            wanted = LENGTHS.get(leaf.pair, f'reload.length.{8 * (leaf.end - leaf.start)}')
        else:
            wanted = FIELDS.get(leaf.pair) or FIELDS.get(leaf.name) or BYTES
        wanted = (wanted,) if isinstance(wanted, str) else wanted
        if leaf.pair in ('indices.first', 'indices.last'):
            return self.say_range(leaf)
        here = self.theirs.get((leaf.start, leaf.end - leaf.start), [])
        for f in here:
            if f.get('name') in wanted:
                self.used.add(id(f))
                return None if is_same(leaf.value, f) else f'{leaf.value} is {f.get("show")}'
        return 'is ' + (', '.join(f.get('name') for f in here) or 'nothing')


    def say_range(self, leaf):
        """tshark shows both ends of a range in the text of one field, whose length it has wrong."""
        is_last = leaf.name == 'last'
        for f in self.theirs.get((leaf.start - 4 * is_last, 16), []):
            ends = re.search(r'\[(-?\d+)-(-?\d+|end)\]', f.get('showname') or '')
            if f.get('name') == 'reload.arrayrange' and ends:
                self.used.add(id(f))
                said = int(ends.group(1 + is_last).replace('end', '-1'))
                said %= 2 ** 32  # it takes the int32 of the RFC at its word, we do not
                return None if said == leaf.value else f'{leaf.value} is {said}'
        return 'is nothing'


def is_same(value, field):
    """Does tshark's field mean our value?"""
    show, name = field.get('show'), field.get('name')
    if name in TIMES:
        return milliseconds(show) == int(value, 16)
    if isinstance(value, bool):
        return show in (('1', 'True') if value else ('0', 'False'))
    if name in ('reload.ipv4addr', 'reload.ipv6addr'):
        return ipaddress.ip_address(show) == ipaddress.ip_address(value)
    if isinstance(value, int) or value.startswith('0x'):
        number = value if isinstance(value, int) else int(value, 16)
        return int(show, 0) == number
    if name == 'reload.opaque.string':
        is_text = all(0x20 <= b < 0x7f for b in bytes.fromhex(value))
        return show.encode() == bytes.fromhex(value) if is_text else field.get('value') == value
    if name in HANDED_ON:
        return int(field.get('size')) == len(value) // 2
    if name == 'reload.forwarding.destination.compressed_id':
        return int(show, 0) == int(value, 16)
    return show.replace(':', '') == value


def milliseconds(show):
    found = re.fullmatch(r'(\w+ +\d+), (\d+) ([\d:]+)\.(\d+) UTC', show)
    if not found:
        return None  # beyond what tshark can represent
    day, year, clock, fraction = found.groups()
    cycles, year = divmod(int(year) - 1600, 400)  # the calendar repeats, strptime ends at 9999
    seconds = calendar.timegm(time.strptime(f'{day}, {1600 + year} {clock}',
                                            '%b %d, %Y %H:%M:%S'))
    return (seconds + cycles * 146097 * 86400) * 1000 + int(fraction[:3])


# Structures whose bytes stand in a field of others, by Kind-ID and by message code.
VALUES = {1: ('sip', 'SipRegistration'), 2: ('turn', 'TurnServer')}
INFO = {5: ('info', 'StoreAns'), 0xc: ('info', 'UnknownKinds')}
EXTENSIONS = {2: ('DiagnosticsRequest', 'DiagnosticsResponse'), 3: ('SelfTuningData',) * 2}


def inside(one):
    """(leaf, name for it, structure) of what is encoded in a field of bytes."""
    code = one.answer['fields']['contents']['message_code']
    for leaf in (leaf for leaf in one.ours if leaf.what == 'bytes'):
        around = walk(one.answer, leaf.path[:-1])
        found = None
        if leaf.name == 'extension_contents' and around['type'] in EXTENSIONS:
            found = 'extension', EXTENSIONS[around['type']][code % 2 == 0]
        elif leaf.name == 'option' and leaf.path[-3] == 'options' and around['type'] == 2:
            found = 'route', 'ExtensiveRoutingModeOption'
        elif leaf.name == 'overlay_specific_data' and code == 0x11:
            found = 'leave', 'ChordLeaveData'
        elif leaf.name == 'error_info':
            found = INFO.get(around['error_code'])
        elif leaf.name == 'value' and 'values' in leaf.path:
            found = VALUES.get(walk(one.answer, leaf.path[:3])['kind'])
        if found and leaf.value:
            yield leaf, *found


def judge(lines, patch=lambda data: data):
    """A Judged for each line; tshark sees patch(bytes)."""
    answers = ask(lines)
    with Folder() as folder:
        path = os.path.join(folder, 'vectors.pcap')
        write_capture(path, [patch(bytes.fromhex(line['hex'])) for line in lines])
        seen = list(dissect(path))
    check(len(seen) == len(lines), f'{len(lines)} messages, {len(seen)} dissected')
    judged = [Judged(*three) for three in zip(lines, answers, seen)]
    for one, answer in zip(judged, answers):
        one.add('Message', one.data, answer, 0, ())
    nested = [(one, *found) for one in judged for found in inside(one)]
    said = ask([{'type': kind, 'hex': leaf.value} for _, leaf, _, kind in nested])
    for (one, leaf, name, kind), answer in zip(nested, said):
        if 'fields' not in answer:
            continue  # random bytes under a type that means something
        one.ours.remove(leaf)
        one.add(kind, bytes.fromhex(leaf.value), answer, leaf.start, (name,))
    return judged


def translated(data):
    """The same message in the numbers of tshark's tables: two extensions changed places before
    their RFCs, PathTrack was 101 and 102."""
    header = 38 + sum(struct.unpack_from('!HHH', data, 32))
    code, body = struct.unpack_from('!HI', data, header)
    out = bytearray(data)
    struct.pack_into('!H', out, header, {0x27: 101, 0x28: 102}.get(code, code))
    at = header + 6 + body
    end = at + 4 + struct.unpack_from('!I', data, at)[0]
    at += 4
    while at < end:
        kind, _, length = struct.unpack_from('!HBI', data, at)
        struct.pack_into('!H', out, at, {2: 3, 3: 2}.get(kind, kind))
        at += 7 + length
    return bytes(out)


# (what tshark is wrong about, the disagreements that come of it: method, our or its field, verdict)
BLIND = [
    ('priority of a candidate: it reads the bytes of the address',
     r'\w+ (candidates\.priority is nothing|tshark\.reload\.icecandidate\.priority is not ours)'),
    ('the length in front of probe_info has no field of its own',
     r'ProbeAns body\.probe_info is (nothing|reload\.probeans)'),
    ('keys of a dictionary in a specifier: it reads them elsewhere, and counts bytes for keys',
     r'(Fetch|Stat)Req (specifiers\.keys is (nothing|reload\.storeddataspecifier\.keys)'
     r'|tshark\.reload\.(length\.16|opaque\.data|storeddataspecifier\.keys) is not ours)'),
    ('the value of a destination of a type of the future is not shown',
     r'\w+ via_list\.unknown is nothing'),
    ('extensions 2 and 3 have changed places since its draft: it reads either as the other',
     r'\w+ (extension\.\w+|(extensions|diagnostic_\w+_list)\.\w+|'
     r'tshark\.reload\.selftuning_data\.\w+) is '
     r'(nothing|not ours|reload\.selftuning_data\.network_size)'),
    ('PathTrack is 101 and 102 in its draft: it does not look into 0x27 and 0x28',
     r'PathTrack(Req|Ans) \S+ is nothing'),
]
# The same for what it sees after `translated`.
BLIND_TRANSLATED = [
    ('the bits of dMFlags are shifted by one, BANDWIDTH is one kind',
     r'\w+ tshark\.reload\.dmflags\.'),
    ('ext_length is the length of its list, which has none of its own: what is behind it is taken '
     'for the first item',
     r'\w+ ((request|extension)\.diagnostic_extensions_list|diagnostic_extensions_list\.\w+|'
     r'tshark\.reload\.diagnosticextension\.type) (\S+ )?is '),
    ('a response has no timestamp_initiated in its draft: all behind is taken for something else',
     r'(PathTrack|Ping)Ans ((response|extension|diagnostic_info_list)\.\w+|'
     r'tshark\.reload\.(diagnostic|length|opaque|extension)\S*) is '),
    ('random bytes in an extension of that type', r'\w+ extensions\.extension_contents is nothing'),
]


BLIND_BODIES = [
    *(entry for entry in BLIND if entry[0].startswith(('priority', 'the length in', 'keys of'))),
    ('the value of a destination or an address of a type of the future is not shown',
     r'\w+ \S+\.unknown is nothing'),
    ('a time that it cannot represent', r'PingAns body\.time 0x[89a-f]\S+ is '),
    ('values of a Kind that it does not know: it takes the answer for that of a single value',
     r'StatAns kind_responses\.unknown is reload\.storedmetadata'),
]
# Random bytes where it looks further: into XML, certificates, values of Kinds.
NOT_FOR_IT = {'ConfigUpdateReq', 'FetchAns', 'StoreReq', 'LeaveReq', 'PathTrackReq', 'PathTrackAns'}


def bodies():
    """The vectors of bodies, least and largest values and all, each in a message of nobody."""
    codes = {kind: code for code, kind in sorted(vector_types.BODIES.items(), reverse=True)}
    with open('tests/vectors/own/structure.jsonl', encoding='utf-8') as f:
        lines = [json.loads(line) for line in f]
    for line in lines:
        kind = line['type']
        if kind not in codes or kind in NOT_FOR_IT or 'kinds' in line or 'node_id_length' in line:
            continue
        fields = dict(vector_extra.GOOD_MESSAGE, contents={
            'message_code': codes[kind], 'message_body': line['hex'], 'extensions': []})
        fields['header'] = dict(vector_extra.HEADER,
                                length=len(vector_types.encode('Message', fields)))
        yield {'name': line['name'], 'type': 'Message', 'message': kind,
               'hex': vector_types.encode('Message', fields).hex()}


def compare(lines, blind, patch=None, wanted=lambda leaf: True):
    """Fields that agree; times each blind spot was hit; and the disagreements that are none."""
    agreed, excused, wrong = 0, collections.Counter(), []
    for one in judge(lines, patch or (lambda data: data)):
        for leaf, said in one.disagreements():
            if not wanted(leaf):
                continue
            if said is None:
                agreed += 1
                continue
            text = f'{one.line["message"]} {leaf.pair} {said}'
            reasons = [reason for reason, pattern in blind if re.match(pattern, text)]
            if reasons:
                excused[reasons[0]] += 1
            else:
                wrong.append(f'{one.line["name"]}: {leaf.pair} {said} at {leaf.start}')
    return agreed, excused, wrong


def report(agreed, excused, wrong, blind, what):
    print(f'{what}: {agreed} fields agree, {sum(excused.values())} in a blind spot of tshark, '
          f'{len(wrong)} disagree')
    for reason, _ in blind:
        print(f'  {excused[reason]:4} {reason}')
    check(not wrong, f'{len(wrong)} disagree: ' + '; '.join(wrong[:8]))
    stale = [reason for reason, _ in blind if not excused[reason]]
    check(not stale, f'blind spots that are none (any more): {stale}')


def test_every_field_of_every_message():
    start = time.monotonic()
    lines = list(vectors())
    agreed, excused, wrong = compare(lines, BLIND)
    report(agreed, excused, wrong, BLIND, f'{len(lines)} messages')
    check(agreed > 7000, f'only {agreed} fields were compared')
    print(f'{time.monotonic() - start:.1f} s')


def test_bodies_of_structures():
    lines = list(bodies())
    agreed, excused, wrong = compare(lines, BLIND_BODIES)
    report(agreed, excused, wrong, BLIND_BODIES, f'{len(lines)} bodies')
    check(agreed > 3000, f'only {agreed} fields were compared')


def test_what_its_tables_know_by_older_numbers():
    """Extensions and PathTrack once more, their code points put back to those of the drafts."""
    lines = [line for line in vectors() if line['message'].startswith('PathTrack') or any(
        e['type'] in EXTENSIONS for e in line['fields']['contents']['extensions'])]
    result = compare(lines, BLIND_TRANSLATED, translated, lambda leaf: leaf.path[0] in (
        'extension', 'tshark') or leaf.path[1:2] in (('request',), ('response',)) or
        leaf.name == 'extension_contents')
    report(*result, BLIND_TRANSLATED, f'{len(lines)} messages in the numbers of the drafts')
    check(result[0] > 30, f'only {result[0]} fields were compared')


def test_the_judge_judges():
    """A field that decode would tell wrongly, or read one byte too far, is noticed."""
    lines = [line for line in vectors() if line['name'] in (
        'message.StoreReq.dictionary', 'message.UpdateReq.full', 'message.RouteQueryReq.node')]
    judged = judge(lines)
    missed = []
    for one in judged:
        for leaf in list(one.ours):
            if one.say(leaf) is not None:
                continue
            value, end = leaf.value, leaf.end
            leaf.value = flipped(value)
            if one.say(leaf) is None and 'certificate' != leaf.name:
                missed.append(f'{leaf.pair}: {value} for {leaf.value}')
            leaf.value, leaf.end = value, end + 1
            if one.say(leaf) is None:
                missed.append(f'{leaf.pair}: a byte longer')
            leaf.end = end
    check(not missed, f'{len(missed)} changes were not noticed: {missed[:5]}')
    judged[0].used.clear()
    judged[0].ours = [leaf for leaf in judged[0].ours if leaf.name != 'ttl']
    check(any(said == 'is not ours' for _, said in judged[0].disagreements()),
          'a field that decode does not tell is not missed')


def flipped(value):
    """Another value of the same kind."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value ^ 1
    if re.search(r'[.:]', value):
        return '192.0.2.77' if '.' in value else '2001:db8::77'
    return value[:-1] + '%x' % (int(value[-1], 16) ^ 1)


def test_the_files_are_what_the_tool_makes():
    done = subprocess.run(['tools/make_vectors.py', '--check'], capture_output=True, text=True,
                          timeout=120)
    print(done.stdout.splitlines()[-1] if done.stdout else '')
    check(done.returncode == 0, done.stderr)


ALWAYS = [test_the_files_are_what_the_tool_makes]
if shutil.which('tshark'):
    run(ALWAYS + [test_every_field_of_every_message, test_bodies_of_structures,
                  test_what_its_tables_know_by_older_numbers, test_the_judge_judges])
else:
    print('SKIP vectors_dissect: tshark not installed, so nobody judges the fields')
    run(ALWAYS)
