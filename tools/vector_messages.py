# SPDX-License-Identifier: Apache-2.0
"""Whole signed messages for tools/make_vectors.py: each method, each form of what stands around it.

Keys, certificates and signatures are made once (openssl) and kept in tests/vectors/own/keys: ECDSA
signatures differ each time, so what was signed before keeps its signature."""
import base64
import hashlib
import json
import os
import shutil
import subprocess
import tempfile

import vector_extra as extra
from vector_extra import COMPACT, TO_NODE, TO_RESOURCE
from vector_model import TOKEN, VERSION
from vector_types import BODIES, TYPES, decode, encode

KEYS = 'tests/vectors/own/keys'
OVERLAY_NAME = 'overlay.example.org'
OVERLAY = int.from_bytes(hashlib.sha1(OVERLAY_NAME.encode()).digest()[-4:], 'big')
TRUST = 'own'  # the root, by name
AT = '2026-11-23T00:00:00Z'
# name -> (genpkey words, algorithm pair, Node-IDs of its certificate)
SIGNERS = {
    'ed25519': (['ED25519'], (8, 7), 1),
    'p256': (['EC', '-pkeyopt', 'ec_paramgen_curve:P-256'], (4, 3), 1),
    'rsa2048': (['RSA', '-pkeyopt', 'rsa_keygen_bits:2048'], (4, 1), 1),
    'two_nodes': (['ED25519'], (8, 7), 2),
}
TIME = 1700000000000


def digest16(text):
    return hashlib.sha1(text.encode()).hexdigest()[:32]


def node_ids(signer):
    return [digest16(f'node {i} of {signer}') for i in range(SIGNERS[signer][2])]


# ---- keys ------------------------------------------------------------------------------------

CA_SETTINGS = '''[ca]
default_ca = it
[it]
new_certs_dir = {0}
database = {0}/index
serial = {0}/serial
default_md = {1}
policy = any
unique_subject = no
[any]
commonName = optional
'''


def openssl(*words, given=None):
    return subprocess.run(['openssl', *words], input=given, capture_output=True, check=True).stdout


def remake_keys():
    """A new root and new signers; all signatures are void then."""
    shutil.rmtree(KEYS, ignore_errors=True)
    os.makedirs(KEYS)
    with tempfile.TemporaryDirectory() as scratch:
        open(f'{scratch}/index', 'w', encoding='ascii').close()
        with open(f'{scratch}/serial', 'w', encoding='ascii') as f:
            f.write('5245')
        with open(f'{scratch}/conf', 'w', encoding='ascii') as f:
            f.write(CA_SETTINGS.format(scratch, 'default'))
        make_certificate(scratch, 'root', ['ED25519'], '/CN=RELOAD test vectors, not for use',
                         'basicConstraints=critical,CA:true\nkeyUsage=critical,keyCertSign\n')
        for name, (words, _, _) in SIGNERS.items():
            uris = ''.join(f',URI:reload://0110{one}@{OVERLAY_NAME}/' for one in node_ids(name))
            make_certificate(scratch, name, words, '/', 'basicConstraints=critical,CA:false\n'
                             'extendedKeyUsage=clientAuth,serverAuth\n'
                             f'subjectAltName=critical,email:{name}@{OVERLAY_NAME}{uris}\n')


def make_certificate(scratch, name, words, subject, extensions):
    key = f'{KEYS}/{name}.key.pem'
    openssl('genpkey', '-algorithm', *words, '-out', key)
    openssl('req', '-new', '-key', key, '-subj', subject, '-out', f'{scratch}/request')
    with open(f'{scratch}/extensions', 'w', encoding='ascii') as f:
        f.write(extensions)
    issuer = ['-selfsign'] if name == 'root' else ['-cert', f'{KEYS}/root.cert.pem']
    openssl('ca', '-batch', '-notext', '-config', f'{scratch}/conf', '-in', f'{scratch}/request',
            '-keyfile', f'{KEYS}/root.key.pem', *issuer, '-extfile', f'{scratch}/extensions',
            '-startdate', '20240101000000Z', '-enddate', '20510101000000Z',
            '-out', f'{KEYS}/{name}.cert.pem')


def read_certificate(name):
    with open(f'{KEYS}/{name}.cert.pem', encoding='ascii') as f:
        return base64.b64decode(''.join(f.read().split('-----')[2].split()))


class Keys:
    def __init__(self):
        self.der = {name: read_certificate(name) for name in ['root', *SIGNERS]}
        self.path = f'{KEYS}/signatures.json'
        self.known, self.used = {}, {}
        if os.path.exists(self.path):
            with open(self.path, encoding='ascii') as f:
                self.known = json.load(f)

    def save(self):
        with open(self.path, 'w', encoding='ascii') as f:
            json.dump(self.used, f, indent=0, sort_keys=True)
            f.write('\n')

    def sign(self, name, data):
        mark = f'{name} {hashlib.sha256(data).hexdigest()}'
        self.used[mark] = self.known.get(mark) or self.make_signature(name, data).hex()
        return self.used[mark]

    def make_signature(self, name, data):
        key = f'{KEYS}/{name}.key.pem'
        if SIGNERS[name][1] != (8, 7):
            return openssl('dgst', '-sha256', '-sign', key, given=data)
        with tempfile.NamedTemporaryFile() as f:
            f.write(data)
            f.flush()
            return openssl('pkeyutl', '-sign', '-rawin', '-inkey', key, '-in', f.name)

    def identity(self, name, node=0):
        der, ids = self.der[name], node_ids(name)
        if len(ids) == 1:
            return {'identity_type': 1, 'hash_alg': 4,
                    'certificate_hash': hashlib.sha256(der).hexdigest()}
        return {'identity_type': 2, 'hash_alg': 4, 'certificate_node_id_hash': hashlib.sha256(
            bytes.fromhex(ids[node]) + der).hexdigest()}

    def signature(self, name, prefix, node=0):
        """The Signature over `prefix` and the signer's identity; and what was signed."""
        identity = self.identity(name, node)
        data = prefix + encode('SignerIdentity', identity)
        pair = SIGNERS[name][1]
        return {'algorithm': {'hash': pair[0], 'signature': pair[1]}, 'identity': identity,
                'signature_value': self.sign(name, data)}, data


# ---- values ----------------------------------------------------------------------------------

MODELS = {1: 'dictionary', 2: 'single', 3: 'array', 4: 'array', 0x10: 'array', 0x104: 'dictionary'}
ENTRY = {'single': 'DataValue', 'array': 'ArrayEntry', 'dictionary': 'DictionaryEntry'}


class Values:
    """Makes signed StoredData and keeps a vector of each."""

    def __init__(self, keys):
        self.keys, self.lines = keys, []

    def one(self, resource, kind, place, value, signer='ed25519', exists=True, lifetime=86400):
        model = MODELS[kind]
        inner = {'exists': exists, 'value': value.hex()}
        placed = inner if model == 'single' else {
            'array': {'index': place}, 'dictionary': {'key': place}}[model] | {'value': inner}
        signed = dict(placed, index=0) if model == 'array' else placed
        time = '0x%016x' % (TIME + len(self.lines))
        prefix = (bytes.fromhex(resource) + kind.to_bytes(4, 'big') + bytes.fromhex(time[2:]) +
                  encode(ENTRY[model], signed))
        signature, data = self.keys.signature(signer, prefix)
        fields = {'storage_time': time, 'lifetime': lifetime, 'value': placed,
                  'signature': signature}
        self.lines.append({
            'name': f'datasig.{kind}.{len(self.lines)}', 'type': 'StoredData', 'data_model': model,
            'fields': fields, 'kind': kind, 'resource': resource, 'trust': TRUST, 'signer': signer,
            'certificate': self.keys.der[signer].hex(), 'signature_input': data.hex(),
            'signature_valid': True})
        return fields


def absent(model, place):
    inner = {'exists': False, 'value': ''}
    value = inner if model == 'single' else {
        'array': {'index': place}, 'dictionary': {'key': place}}[model] | {'value': inner}
    return {'storage_time': '0x' + '0' * 16, 'lifetime': 0, 'value': value,
            'signature': extra.NO_SIGNATURE}


def u64(n):
    return '0x%016x' % n


def text(s):
    return s.encode().hex()


ALICE, BOB = digest16('alice@' + OVERLAY_NAME), digest16('bob@' + OVERLAY_NAME)
A, B, C, D = (digest16(f'peer {i}') for i in range(4))
V4 = {'type': 1, 'v4addr_port': {'addr': '192.0.2.1', 'port': 6084}}
V6 = {'type': 2, 'v6addr_port': {'addr': '2001:db8::1', 'port': 65535}}


def turn(iteration, address):
    return encode('TurnServer', {'iteration': iteration, 'server_address': address})


def route(*nodes, prefs=''):
    return encode('SipRegistration', {
        'type': 2, 'contact_prefs': text(prefs),
        'destination_list': [{'type': 1, 'node_id': one} for one in nodes]})


def uri(aor):
    return encode('SipRegistration', {'type': 1, 'uri': text(aor)})


def acl(user, kind, may_delegate):
    return encode('AccessControlListItem', {'to_user': text(user), 'kind': kind,
                                            'allow_delegation': may_delegate})


def redir(node, name, level, number):
    return encode('RedirServiceProvider', {
        'type': 0, 'destination_list': [{'type': 1, 'node_id': node}], 'namespace': text(name),
        'level': level, 'node': number})


def block(kind, generation, values, name='generation'):
    return {'kind': kind, name: u64(generation), 'values': values}


def store_bodies(values):
    one = node_ids('ed25519')[0]
    turns = [values.one(one, 2, None, turn(1, V4))]
    yield 'single', {'resource': one, 'replica_number': 0, 'kind_data': [
        block(2, 0, turns, 'generation_counter')]}
    chain = [values.one(ALICE, 4, i, acl(f'user{i}', 0xf0000001, i < 2)) for i in range(3)]
    yield 'array', {'resource': ALICE, 'replica_number': 1, 'kind_data': [
        block(4, 7, chain, 'generation_counter')]}
    routes = [values.one(ALICE, 1, one, route(one)),
              values.one(ALICE, 1, B, route(B, C, prefs='(sip.schemes=SIPS)'), 'p256'),
              values.one(ALICE, 1, C, uri('bob@' + OVERLAY_NAME), 'two_nodes'),
              values.one(ALICE, 1, D, b'', exists=False, lifetime=0xffffffff)]
    yield 'dictionary', {'resource': ALICE, 'replica_number': 2, 'kind_data': [
        block(1, 2 ** 64 - 1, routes, 'generation_counter')]}
    services = [values.one(BOB, 0x104, one, redir(one, 'turn-server', 2, 37))]
    appended = [values.one(BOB, 3, 0xffffffff, values.keys.der['ed25519'])]
    yield 'two_kinds', {'resource': BOB, 'replica_number': 0, 'kind_data': [
        block(0x104, 1, services, 'generation_counter'),
        block(3, 1, appended, 'generation_counter')]}
    yield 'nothing', {'resource': BOB, 'replica_number': 0, 'kind_data': []}


def specifiers(**more):
    return [{'kind': 2, 'generation': u64(0)},
            {'kind': 3, 'generation': u64(1), 'indices': [{'first': 0, 'last': 0},
                                                          {'first': 5, 'last': 0xffffffff}]},
            {'kind': 1, 'generation': u64(2 ** 63), 'keys': [A, B]},
            {'kind': 0x104, 'generation': u64(0), 'keys': []}]


def fetch_answers(values):
    yield 'single', {'kind_responses': [block(2, 1, [values.one(A, 2, None, turn(255, V6))])]}
    yield 'array', {'kind_responses': [block(3, 3, [
        values.one(A, 3, 0, values.keys.der['two_nodes']), absent('array', 1),
        values.one(A, 3, 2, b'', exists=False)])]}
    yield 'dictionary', {'kind_responses': [
        block(1, 9, [values.one(ALICE, 1, A, route(A)), absent('dictionary', B)]),
        block(2, 0, [absent('single', None)])]}
    yield 'nothing', {'kind_responses': []}


def meta(kind, place, value, exists=True):
    digest = hashlib.sha256(len(value).to_bytes(4, 'big') + value).hexdigest()
    inner = {'exists': exists, 'value_length': len(value), 'hash_algorithm': 4 if exists else 0,
             'hash_value': digest if exists else ''}
    placed = inner if MODELS[kind] == 'single' else {
        'array': {'index': place}, 'dictionary': {'key': place}}[MODELS[kind]] | {'value': inner}
    return {'storage_time': u64(TIME), 'lifetime': 600, 'metadata': placed}


def stat_answers():
    yield 'single', {'kind_responses': [block(2, 1, [meta(2, None, b'abc')])]}
    yield 'array', {'kind_responses': [block(3, 1, [meta(3, 0, b''), meta(3, 7, b'', False)])]}
    yield 'dictionary', {'kind_responses': [block(1, 2, [meta(1, A, b'x' * 40)])]}


def candidates():
    host = {'addr_port': V4, 'overlay_link': 4, 'foundation': text('1'), 'priority': 2130706431,
            'type': 1, 'extensions': []}
    srflx = {'addr_port': V6, 'overlay_link': 1, 'foundation': text('f2'), 'priority': 1694498815,
             'type': 2, 'rel_addr_port': V4, 'extensions': [
                 {'name': text('generation'), 'value': text('0')}, {'name': '', 'value': ''}]}
    relay = dict(srflx, type=4, rel_addr_port=V6, overlay_link=3, priority=0, extensions=[])
    return [host, srflx, relay]


def diagnostic_request():
    return {'expiration': u64(TIME + 60000), 'timestamp_initiated': u64(TIME),
            'dMFlags': u64(0x1fffe), 'diagnostic_extensions_list': [
                {'kind': 0xf001, 'diagnostic_extension_contents': text('more')}]}


def diagnostic_response():
    kinds = [('STATUS_INFO', {'congestion': 3}), ('ROUTING_TABLE_SIZE', {'peers': 42}),
             ('PROCESS_POWER', {'mips': u64(9000)}),
             ('UPSTREAM_BANDWIDTH', {'kbit_per_s': u64(1000)}),
             ('DOWNSTREAM_BANDWIDTH', {'kbit_per_s': u64(8000)}),
             ('SOFTWARE_VERSION', {'version': text('chordial 1.0\0')}),
             ('MACHINE_UPTIME', {'seconds': u64(86400)}), ('APP_UPTIME', {'seconds': u64(60)}),
             ('MEMORY_FOOTPRINT', {'kilobytes': u64(20480)}),
             ('DATASIZE_STORED', {'bytes': u64(2 ** 33)}),
             ('INSTANCES_STORED', {'entries': [{'kind': 1, 'count': u64(5)},
                                               {'kind': 2, 'count': u64(0)}]}),
             ('MESSAGES_SENT_RCVD', {'entries': [{'code': 9, 'sent': u64(1), 'received': u64(2)}]}),
             ('EWMA_BYTES_SENT', {'bytes_per_s': 100}), ('EWMA_BYTES_RCVD', {'bytes_per_s': 200}),
             ('UNDERLAY_HOP', {'hops': 7}), ('BATTERY_STATUS', {'status': 128})]
    return {'expiration': u64(TIME + 60000), 'timestamp_initiated': u64(TIME),
            'timestamp_received': u64(TIME + 12), 'hop_counter': 28, 'diagnostic_info_list': [
                {'kind': i, 'diagnostic_info_contents': encode(kind, fields).hex()}
                for i, (kind, fields) in enumerate(kinds, 1)]}


def topology_bodies():
    yield 'ProbeReq', 0x1, 'all', {'requested_info': [1, 2, 3]}
    yield 'ProbeAns', 0x2, 'all', {'probe_info': [
        {'type': 1, 'responsible_ppb': 10 ** 9}, {'type': 2, 'num_resources': 12},
        {'type': 3, 'uptime': 0xffffffff}]}
    yield 'JoinReq', 0xf, 'plain', {'joining_peer_id': A, 'overlay_specific_data': ''}
    yield 'JoinAns', 0x10, 'plain', {'overlay_specific_data': ''}
    for name, fields in (('from_succ', {'type': 1, 'successors': [A, B]}),
                         ('from_pred', {'type': 2, 'predecessors': []})):
        yield 'LeaveReq', 0x11, name, {
            'leaving_peer_id': node_ids('ed25519')[0],
            'overlay_specific_data': encode('ChordLeaveData', fields).hex()}
    yield 'LeaveAns', 0x12, 'empty', {}
    yield 'UpdateReq', 0x13, 'peer_ready', {'uptime': 60, 'type': 1}
    yield 'UpdateReq', 0x13, 'neighbors', {'uptime': 61, 'type': 2, 'predecessors': [A, B],
                                           'successors': [C]}
    yield 'UpdateReq', 0x13, 'full', {'uptime': 0, 'type': 3, 'predecessors': [A, B, C],
                                      'successors': [D, C, B], 'fingers': sorted([A, B, C, D])}
    yield 'UpdateAns', 0x14, 'empty', {}
    for name, to in (('node', TO_NODE), ('resource', TO_RESOURCE), ('compact', COMPACT)):
        yield 'RouteQueryReq', 0x15, name, {'send_update': name == 'node', 'destination': to,
                                            'overlay_specific_data': ''}
    yield 'RouteQueryAns', 0x16, 'plain', {'next_peer': B}


def link_bodies():
    attach = {'ufrag': text('ufrag'), 'password': text('password of ICE'), 'role': text('passive'),
              'candidates': candidates(), 'send_update': True}
    yield 'AttachReq', 0x3, 'ice', attach
    yield 'AttachReq', 0x3, 'no_ice', dict(attach, ufrag='', password='', send_update=False,
                                           candidates=candidates()[:1])
    yield 'AttachAns', 0x4, 'ice', dict(attach, role=text('active'), send_update=False)
    app = {k: v for k, v in attach.items() if k != 'send_update'}
    yield 'AppAttachReq', 0x1d, 'sip', dict(app, application=5060)
    yield 'AppAttachAns', 0x1e, 'sips', dict(app, application=5061, role=text('active'))
    yield 'PingReq', 0x17, 'empty', {'padding': ''}
    yield 'PingReq', 0x17, 'padded', {'padding': '00' * 300}
    yield 'PingAns', 0x18, 'plain', {'response_id': u64(0xfedcba9876543210), 'time': u64(TIME)}
    xml = '<overlay><configuration instance-name="overlay.example.org"/></overlay>'
    yield 'ConfigUpdateReq', 0x21, 'config', {'type': 1, 'config_data': text(xml)}
    yield 'ConfigUpdateReq', 0x21, 'kinds', {'type': 2, 'kinds': [
        text('<kind-block><kind id="4026531841"/></kind-block>'), text('<kind-block/>')]}
    yield 'ConfigUpdateAns', 0x22, 'empty', {}
    yield 'PathTrackReq', 0x27, 'plain', {'destination': TO_NODE, 'request': diagnostic_request()}
    yield 'PathTrackAns', 0x28, 'plain', {'next_hop': TO_NODE, 'response': diagnostic_response()}


def storage_bodies(values):
    for name, body in store_bodies(values):
        yield 'StoreReq', 0x7, name, body
    yield 'StoreAns', 0x8, 'plain', {'kind_responses': [
        {'kind': 1, 'generation_counter': u64(8), 'replicas': [A, B]},
        {'kind': 3, 'generation_counter': u64(1), 'replicas': []}]}
    for method, code in (('FetchReq', 0x9), ('StatReq', 0x19)):
        yield method, code, 'all_models', {'resource': ALICE, 'specifiers': specifiers()}
        yield method, code, 'nothing', {'resource': ALICE, 'specifiers': []}
    for name, body in fetch_answers(values):
        yield 'FetchAns', 0xa, name, body
    for name, body in stat_answers():
        yield 'StatAns', 0x1a, name, body
    yield 'FindReq', 0xd, 'plain', {'resource': ALICE, 'kinds': [1, 2, 0x104]}
    yield 'FindAns', 0xe, 'plain', {'results': [{'kind': 1, 'closest': BOB},
                                                {'kind': 2, 'closest': '00' * 16}]}


def error_bodies():
    kinds = encode('UnknownKinds', {'unknown_kinds': [0xf0000001, 0xf0000002]}).hex()
    counters = encode('StoreAns', {'kind_responses': [
        {'kind': 1, 'generation_counter': u64(9), 'replicas': []}]}).hex()
    for code, info in ((0x2, text('not yours')), (0x3, ''), (0x5, counters), (0xa, text('ttl')),
                       (0xc, kinds), (0x14, text('malformed')), (0x19, A)):
        yield 'Error', 0xffff, f'{code:#x}', {'error_code': code, 'error_info': info}


# ---- around the body -------------------------------------------------------------------------

def routing(mode, *nodes):
    return encode('ExtensiveRoutingModeOption', {
        'routemode': mode, 'transport': 4, 'ipaddressport': V4 if mode == 1 else V6,
        'destinations': [{'type': 1, 'node_id': one} for one in nodes]}).hex()


OPAQUE, FUTURE = {'type': 3, 'opaque_id': '00112233445566778899aabbccddeeff'}, {
    'type': 100, 'unknown': '0102030405'}
# Via List, Destination List, options: one after the other.
AROUND = [
    ([], [TO_NODE], []),
    ([TO_NODE], [{'type': 1, 'node_id': A}, TO_RESOURCE], []),
    ([{'type': 1, 'node_id': B}, COMPACT, OPAQUE], [OPAQUE, TO_NODE], []),
    ([], [COMPACT, {'compact': 'ffff'}, TO_RESOURCE], [{'type': 64, 'flags': 1, 'option': ''}]),
    ([OPAQUE], [TO_NODE], [{'type': 64, 'flags': flags, 'option': '%02x' % flags}
                           for flags in (2, 4, 7)]),
    ([], [{'type': 1, 'node_id': 'f' * 32}], [
        {'type': 2, 'flags': 8, 'option': routing(1, node_ids('ed25519')[0])}]),
    ([TO_NODE], [TO_RESOURCE], [{'type': 2, 'flags': 12, 'option': routing(2, B, C)}]),
    ([FUTURE], [TO_NODE], []),
]
EXTENSIONS = {
    'ProbeReq': (3, 'SelfTuningData', {'network_size': 500, 'join_rate': 2880, 'leave_rate': 2881}),
    'ProbeAns': (3, 'SelfTuningData', {'network_size': 2 ** 32 - 1, 'join_rate': 0,
                                       'leave_rate': 1}),
    'PingReq': (2, 'DiagnosticsRequest', diagnostic_request()),
    'PingAns': (2, 'DiagnosticsResponse', diagnostic_response()),
}
SIGNER_OF = ['ed25519', 'ed25519', 'two_nodes', 'p256']
RSA_SIGNS = {('PingReq', 'empty'), ('FetchAns', 'dictionary')}


def signed(keys, index, method, code, name, body, extension):
    """One message, with the certificate that belongs to it."""
    signer = 'rsa2048' if (method, name) in RSA_SIGNS else SIGNER_OF[index % len(SIGNER_OF)]
    transaction = hashlib.sha256(f'{method}.{name}.{bool(extension)}'.encode()).hexdigest()[:16]
    data = encode(BODIES[code], body)
    contents = {'message_code': code, 'message_body': data.hex(), 'extensions': []}
    if extension:
        contents['extensions'].append({
            'type': extension[0], 'critical': False,
            'extension_contents': encode(extension[1], extension[2]).hex()})
    if index % 7 == 6:
        contents['extensions'].append({'type': 0x4242, 'critical': True,
                                       'extension_contents': '00'})
    signature, signed_bytes = keys.signature(
        signer, OVERLAY.to_bytes(4, 'big') + bytes.fromhex(transaction) +
        encode('MessageContents', contents), index % SIGNERS[signer][2])
    via, destinations, options = AROUND[index % len(AROUND)]
    is_config = method == 'ConfigUpdateReq'
    fields = {
        'header': {'relo_token': '0x%08x' % TOKEN, 'overlay': '0x%08x' % OVERLAY,
                   'configuration_sequence': 65535 if is_config else 22, 'version': VERSION,
                   'ttl': 30 - index % 3, 'fragment': '0xc0000000', 'length': 0,
                   'transaction_id': '0x' + transaction,
                   'max_response_length': 5000 if code % 2 and code != 0xffff else 0,
                   'via_list': via, 'destination_list': destinations, 'options': options},
        'contents': contents,
        'security_block': {'certificates': [
            {'type': 0, 'certificate': keys.der[signer].hex()}], 'signature': signature}}
    fields['header']['length'] = len(encode('Message', fields))
    return {'name': f'message.{method}.{name}' + ('.extended' if extension else ''),
            'type': 'Message', 'message': method, 'fields': fields, 'body_type': BODIES[code],
            'body': body, 'overlay_name': OVERLAY_NAME, 'trust': TRUST, 'signer': signer,
            'signature_input': signed_bytes.hex(), 'signature_valid': True}


def certificate_lines(keys):
    for name, der in keys.der.items():
        line = {'name': f'own.{name}', 'type': 'Certificate', 'hex': der.hex(),
                'overlay_name': OVERLAY_NAME, 'trust': TRUST, 'valid': True, 'at': AT,
                'strength': 'must'}
        if name == 'root':
            line = {'name': 'own.root', 'type': 'RootCertificate', 'id': TRUST, 'hex': der.hex()}
        else:
            line['node_ids'], line['user'] = node_ids(name), f'{name}@{OVERLAY_NAME}'
        yield dict(line, rfc='RFC 6940 11.3')


def make(with_bytes, remake):
    """(messages, stored values, certificates)"""
    if remake:
        remake_keys()
    keys = Keys()
    values = Values(keys)
    lines = []
    for method, code, name, body in [*topology_bodies(), *link_bodies(), *storage_bodies(values),
                                     *error_bodies()]:
        lines.append(signed(keys, len(lines), method, code, name, body, None))
        if method in EXTENSIONS:
            lines.append(signed(keys, len(lines), method, code, name, body, EXTENSIONS[method]))
    for line in lines:  # what decode says of the body beside the fields
        decode('Message', encode('Message', line['fields']), line)
        if TYPES['Message'].body != line['body']:
            raise AssertionError(line['name'])
    messages, stored = with_bytes(lines), with_bytes(values.lines)
    keys.save()
    return messages, stored, list(certificate_lines(keys))


# ---- malformed -------------------------------------------------------------------------------

EACH = 40


def edited(fields, **changes):
    """A message with other header fields; the length is put right where it is not given."""
    header = dict(fields['header'], **changes)
    fields = dict(fields, header=header)
    if 'length' not in changes:
        header['length'] = len(encode('Message', fields))
    return encode('Message', fields)


def by_hand(line):
    fields, data = line['fields'], bytes.fromhex(line['hex'])
    yield 'of another overlay', edited(fields, overlay='0x65b0781f')
    yield 'of no overlay', edited(fields, overlay='0x00000000')
    yield 'one byte longer than it says', edited(fields, length=len(data) - 1)
    yield 'one byte shorter than it says', edited(fields, length=len(data) + 1)
    yield 'says it is empty', edited(fields, length=0)
    yield 'a byte behind the SecurityBlock, counted', \
        edited(fields, length=len(data) + 1) + b'\0'
    yield 'the first of two fragments', edited(fields, fragment='0x80000000')
    yield 'the last of two fragments', edited(fields, fragment='0xc0000200')
    yield 'fragment bit clear', edited(fields, fragment='0x40000000')
    yield 'token of another protocol', edited(fields, relo_token='0xd2454c4e')
    yield 'version 0.1 of the drafts', edited(fields, version=1)
    yield 'no destination', edited(fields, destination_list=[])
    yield 'a resource in the Via List', edited(fields, via_list=[TO_RESOURCE])
    yield 'a resource before a node', edited(fields, destination_list=[TO_RESOURCE, TO_NODE])
    yield 'too many via entries', edited(fields, via_list=[COMPACT] * 161)
    for code in (0, 0x8000, 0xfffe):
        contents = dict(fields['contents'], message_code=code)
        yield f'message code {code:#x}', edited(dict(fields, contents=contents))


def wrong_bodies(line):
    """The frame is whole, the body is not what its code says."""
    for body, why in (('', 'is empty'), ('00', 'is one byte'), ('00' * 90, 'has 90 bytes of 0'),
                      (line['fields']['contents']['message_body'] + '00', 'has a byte too many')):
        contents = dict(line['fields']['contents'], message_body=body)
        yield f'body of {line["message"]} {why}', edited(dict(line['fields'], contents=contents))


def bare(line):
    """Without certificates, which would only make malformed messages large."""
    fields = dict(line['fields'], security_block=dict(line['fields']['security_block'],
                                                      certificates=[]))
    data = edited(fields)
    return dict(line, fields=decode('Message', data, line)[0], hex=data.hex())


def malformed(messages, judged, mutations, pick):
    out, candidates = [], []
    messages = [bare(line) for line in messages]
    small = sorted(messages, key=lambda line: len(line['hex']))[:12]
    plain = next(line for line in messages if line['name'] == 'message.RouteQueryAns.plain')
    for why, data in by_hand(plain):
        out.append(judged(plain, data, why))
    taken = set()
    for line in messages:
        if line['body_type'] not in taken:
            taken.add(line['body_type'])
            out += [v for v in (judged(line, data, why) for why, data in wrong_bodies(line)) if v]
    for line in small:
        data = bytes.fromhex(line['hex'])
        for wrong, why in mutations(data, decode('Message', data, line)[1]):
            v = judged(line, wrong, why)
            if v:
                candidates.append(v)
    if None in out:
        raise AssertionError(f'a malformed message is accepted: number {out.index(None)}')
    return out + pick(candidates, EACH)
