# SPDX-License-Identifier: Apache-2.0
"""Every structure that `chordial decode` knows, written down from the RFCs (not from
codec/msgs.def), and the section that defines it."""
import re

from vector_model import (ARRAY, DICTIONARY, FRAGMENT_LAST, FRAGMENT_OFFSET, Address, Block,
                          Boolean, Bytes, Context, Cursor, Destination, Extension, Frame, Header,
                          Identity, List, Node, Nodes, Nonzero, Num, Option, Placed, Reject,
                          Specifier, Struct, frame, need, when)

U8, U16, U32, U64 = Num(1), Num(2), Num(4), Num(8, digits=16)
ANY_DESTINATION = Destination()


def type_is(*wanted):
    return lambda m: m['type'] in wanted


def type_above(last):
    return lambda m: m['type'] > last


def not_zero(name):
    return lambda m: m[name] != 0


def choice(*values):
    """A selector whose arms all get their turn."""
    return Num(1, values, what='type')


EXTENSION = Struct(('name', Bytes(2)), ('value', Bytes(2)))
CANDIDATE = Struct(
    ('addr_port', Address()), ('overlay_link', choice(1, 3, 4, 255)),
    need(not_zero('overlay_link'), 'zero_type'), ('foundation', Bytes(1)), ('priority', U32),
    ('type', choice(1, 2, 4)), need(type_is(1, 2, 4), 'unknown_type'),
    when(type_is(2, 4), 'rel_addr_port', Address()), ('extensions', List(2, EXTENSION)))
ROLE = Bytes(1, [b'passive', b'active'])
PROBE = Struct(
    ('type', choice(1, 2, 3, 4, 255)), need(not_zero('type'), 'zero_type'),
    frame(1, when(type_is(1), 'responsible_ppb', U32), when(type_is(2), 'num_resources', U32),
          when(type_is(3), 'uptime', U32), when(type_above(3), 'unknown', Bytes(0))))
NODES = List(2, Node())

DATA_VALUE = Struct(('exists', Boolean()), ('value', Bytes(4)))
META_DATA = Struct(('exists', Boolean()), ('value_length', U32), ('hash_algorithm', U8),
                   ('hash_value', Bytes(1)))


class Algorithm:
    """SignatureAndHashAlgorithm of TLS 1.2: two bytes that are one field here."""
    PARTS = Struct(('hash', Num(1, (4, 8, 0, 255))), ('signature', Num(1, (1, 3, 7, 0, 255))))

    def enc(self, v, x):
        return self.PARTS.enc(v, x)

    def dec(self, c, path):
        if c.left() < 2:
            raise Reject('short', c.at)
        return self.PARTS.dec(c, path)

    def gen(self, g):
        return self.PARTS.gen(g)


SIGNATURE = Struct(('algorithm', Algorithm()),
                   ('identity', Identity()), ('signature_value', Bytes(2)))
STORED = Struct(frame(4, ('storage_time', U64), ('lifetime', U32),
                      ('value', Placed(None, DATA_VALUE)), ('signature', SIGNATURE)))
STORED_META = Struct(frame(4, ('storage_time', U64), ('lifetime', U32),
                           ('metadata', Placed(None, META_DATA))))
STORE_BLOCK = Block('generation_counter', STORED)
FETCH_BLOCK, STAT_BLOCK = Block('generation', STORED), Block('generation', STORED_META)
RESPONSE = Struct(('kind', U32), ('generation_counter', U64), ('replicas', Nodes()))
FIND_KIND = Struct(('kind', U32), ('closest', Bytes(1)))
KINDS = List(1, U32)

CERTIFICATE = Struct(('type', choice(0, 1, 255)), ('certificate', Bytes(2)))
SECURITY = Struct(('certificates', List(2, CERTIFICATE)), ('signature', SIGNATURE))
CONTENTS_FRONT = Struct(('message_code', Num(2, what='type')), ('message_body', Bytes(4)),
                        ('extensions', List(4, Extension())))

RESOURCE_NAME = Struct(
    ('type', choice(1, 2, 255)), need(not_zero('type'), 'zero_type'),
    frame(2, when(type_is(1), 'resource_name', Bytes(2)),
          when(type_above(1), 'unknown', Bytes(0))))
DIAGNOSTIC_EXTENSION = Struct(('kind', U16), ('diagnostic_extension_contents', Bytes(4)))
DIAGNOSTICS_REQUEST = Struct(
    ('expiration', U64), ('timestamp_initiated', U64), ('dMFlags', U64),
    ('diagnostic_extensions_list', List(4, DIAGNOSTIC_EXTENSION, twice=True)))
DIAGNOSTIC_INFO = Struct(('kind', U16), ('diagnostic_info_contents', Bytes(2)))
DIAGNOSTICS_RESPONSE = Struct(
    ('expiration', U64), ('timestamp_initiated', U64), ('timestamp_received', U64),
    ('hop_counter', U8), ('diagnostic_info_list', List(4, DIAGNOSTIC_INFO, twice=True)))
INSTANCES = Struct(('kind', U32), ('count', U64))
COUNT = Struct(('code', U16), ('sent', U64), ('received', U64))


class Contents:
    """MessageContents (RFC 6940 6.3.3)."""

    def enc(self, v, x):
        return CONTENTS_FRONT.enc(v, x)

    def dec(self, c, path):
        start = c.at
        code = int.from_bytes(c.data[start:start + 2], 'big') if c.left() >= 2 else 1
        if code == 0:
            raise Reject('zero_type', start)
        if 0x8000 <= code < 0xffff:
            raise Reject('reserved_code', start)
        return CONTENTS_FRONT.dec(c, path)

    def gen(self, g):
        return dict(CONTENTS_FRONT.gen(g), message_code=g.choose((1, 0xffff, 0x7fff, 0x26)))


class Message:
    """The whole: header, contents, security block, nothing behind."""
    HEADER, CONTENTS = Header(in_message=True), Contents()

    def enc(self, v, x):
        return (self.HEADER.enc(v['header'], x) + self.CONTENTS.enc(v['contents'], x) +
                SECURITY.enc(v['security_block'], x))

    def dec(self, c, path):
        out = {'header': self.HEADER.dec(c, path + ('header',))}
        fragment = int(out['header']['fragment'], 16)
        if fragment & (FRAGMENT_LAST | FRAGMENT_OFFSET) != FRAGMENT_LAST:
            raise Reject('fragment', c.at)
        body = c.at + 6
        out['contents'] = self.CONTENTS.dec(c, path + ('contents',))
        out['security_block'] = SECURITY.dec(c, path + ('security_block',))
        if c.at != c.end:
            raise Reject('trailing', c.at)
        kind = BODIES.get(out['contents']['message_code'])
        self.body_type, self.body = kind, None
        if kind:
            end = body + len(out['contents']['message_body']) // 2
            c.later.append(lambda: self.read_body(c, kind, body, end))
        return out

    def read_body(self, c, kind, start, end):
        inner = Cursor(c.data, c.x, start, end)
        inner.seen = c.seen
        self.body = TYPES[kind].dec(inner, ('body',))
        finish(inner)


class Destinations:
    """Without a length, as in a reload: URI (RFC 6940 14.15)."""
    LIST = Struct(('destinations', List(0, ANY_DESTINATION)))

    def enc(self, v, x):
        return self.LIST.enc(v, x)

    def dec(self, c, path):
        return self.LIST.dec(c, path)

    def gen(self, g):
        return self.LIST.gen(g)


class RouteList(List):
    """destination_list<3..2^16-1> of RFC 7904: a compact id alone has two bytes."""

    def __init__(self):
        super().__init__(2, ANY_DESTINATION, least=1)

    @staticmethod
    def is_long(v):
        return len(v) > 1 or len(v) == 1 and 'compact' not in v[0]

    def gen(self, g):
        v = super().gen(g)
        return v if self.is_long(v) else v + [{'compact': '8001'}]


EMPTY = Struct()
TYPES = {
    'Message': Message(), 'ForwardingHeader': Header(), 'MessageContents': Contents(),
    'SecurityBlock': SECURITY, 'FramedMessage': Frame(), 'Destination': ANY_DESTINATION,
    'DestinationList': Destinations(), 'ForwardingOption': Option(),
    'MessageExtension': Extension(),
    'ErrorResponse': Struct(('error_code', U16), ('error_info', Bytes(2))),
    'GenericCertificate': CERTIFICATE, 'SignerIdentity': Identity(), 'Signature': SIGNATURE,
    'IpAddressPort': Address(), 'StoredData': STORED, 'StoredMetaData': STORED_META,
    'DataValue': DATA_VALUE, 'ArrayEntry': Placed(ARRAY, DATA_VALUE),
    'DictionaryEntry': Placed(DICTIONARY, DATA_VALUE), 'MetaData': META_DATA,
    'ArrayEntryMeta': Placed(ARRAY, META_DATA),
    'DictionaryEntryMeta': Placed(DICTIONARY, META_DATA), 'StoreKindData': STORE_BLOCK,
    'FetchKindResponse': FETCH_BLOCK, 'StatKindResponse': STAT_BLOCK,
    'StoreKindResponse': RESPONSE, 'StoredDataSpecifier': Specifier(), 'LeaveAns': EMPTY,
    'UpdateAns': EMPTY, 'ConfigUpdateAns': EMPTY,
    'PingReq': Struct(('padding', Bytes(2))),
    'PingAns': Struct(('response_id', U64), ('time', U64)),
    'ProbeReq': Struct(('requested_info', List(1, Nonzero(1, (1, 2, 3, 255))))),
    'ProbeInformation': PROBE, 'ProbeAns': Struct(('probe_info', List(2, PROBE))),
    'IceExtension': EXTENSION, 'IceCandidate': CANDIDATE,
    'AttachReqAns': Struct(('ufrag', Bytes(1)), ('password', Bytes(1)), ('role', ROLE),
                           ('candidates', List(2, CANDIDATE)), ('send_update', Boolean())),
    'AppAttach': Struct(('ufrag', Bytes(1)), ('password', Bytes(1)), ('application', U16),
                        ('role', ROLE), ('candidates', List(2, CANDIDATE))),
    'JoinReq': Struct(('joining_peer_id', Node()), ('overlay_specific_data', Bytes(2))),
    'JoinAns': Struct(('overlay_specific_data', Bytes(2))),
    'LeaveReq': Struct(('leaving_peer_id', Node()), ('overlay_specific_data', Bytes(2))),
    'RouteQueryReq': Struct(('send_update', Boolean()), ('destination', ANY_DESTINATION),
                            ('overlay_specific_data', Bytes(2))),
    'ChordRouteQueryAns': Struct(('next_peer', Node())),
    'ChordUpdate': Struct(('uptime', U32), ('type', choice(1, 2, 3)),
                          need(type_is(1, 2, 3), 'unknown_type'),
                          when(type_is(2, 3), 'predecessors', NODES),
                          when(type_is(2, 3), 'successors', NODES),
                          when(type_is(3), 'fingers', NODES)),
    'ChordLeaveData': Struct(('type', choice(1, 2)), need(type_is(1, 2), 'unknown_type'),
                             when(type_is(1), 'successors', NODES),
                             when(type_is(2), 'predecessors', NODES)),
    'ConfigUpdateReq': Struct(('type', choice(1, 2, 3, 255)), need(not_zero('type'), 'zero_type'),
                              frame(4, when(type_is(1), 'config_data', Bytes(3)),
                                    when(type_is(2), 'kinds', List(3, Bytes(2))),
                                    when(type_above(2), 'unknown', Bytes(0)))),
    'StoreReq': Struct(('resource', Bytes(1)), ('replica_number', U8),
                       ('kind_data', List(4, STORE_BLOCK))),
    'StoreAns': Struct(('kind_responses', List(2, RESPONSE))),
    'FetchReq': Struct(('resource', Bytes(1)), ('specifiers', List(2, Specifier()))),
    'FetchAns': Struct(('kind_responses', List(4, FETCH_BLOCK))),
    'StatReq': Struct(('resource', Bytes(1)), ('specifiers', List(2, Specifier()))),
    'StatAns': Struct(('kind_responses', List(4, STAT_BLOCK))),
    'FindReq': Struct(('resource', Bytes(1)), ('kinds', KINDS)),
    'FindKindData': FIND_KIND, 'FindAns': Struct(('results', List(2, FIND_KIND))),
    'UnknownKinds': Struct(('unknown_kinds', KINDS)),
    'TurnServer': Struct(('iteration', U8), ('server_address', Address())),
    'SipRegistration': Struct(
        ('type', choice(1, 2, 3, 255)), need(not_zero('type'), 'zero_type'),
        frame(2, when(type_is(1), 'uri', Bytes(2)), when(type_is(2), 'contact_prefs', Bytes(2)),
              when(type_is(2), 'destination_list', RouteList()),
              need(lambda m: m['type'] != 2 or RouteList.is_long(m['destination_list']),
                   'empty_list'),
              when(type_above(2), 'unknown', Bytes(0)))),
    'ResourceNameExtension': RESOURCE_NAME,
    'AccessControlListItem': Struct(('to_user', Bytes(2)), ('kind', U32),
                                    ('allow_delegation', Boolean())),
    'NamedAccessControlListItem': Struct(('res_name_ext', RESOURCE_NAME), ('to_user', Bytes(2)),
                                         ('kind', U32), ('allow_delegation', Boolean())),
    'RedirServiceProvider': Struct(
        ('type', choice(0, 1, 255)), ('destination_list', List(2, ANY_DESTINATION)),
        ('namespace', Bytes(2)), ('level', U16), ('node', U16),
        frame(2, when(type_above(0), 'extension', Bytes(0)))),
    'SelfTuningData': Struct(('network_size', U32), ('join_rate', U32), ('leave_rate', U32)),
    'ExtensiveRoutingModeOption': Struct(
        ('routemode', choice(1, 2, 255)), need(not_zero('routemode'), 'zero_type'),
        ('transport', choice(1, 3, 4)), need(not_zero('transport'), 'zero_type'),
        ('ipaddressport', Address()), ('destinations', List(1, Destination(('node',)), least=1)),
        need(lambda m: m['destinations'], 'empty_list')),
    'DiagnosticExtension': DIAGNOSTIC_EXTENSION, 'DiagnosticsRequest': DIAGNOSTICS_REQUEST,
    'DiagnosticInfo': DIAGNOSTIC_INFO, 'DiagnosticsResponse': DIAGNOSTICS_RESPONSE,
    'PathTrackReq': Struct(('destination', ANY_DESTINATION), ('request', DIAGNOSTICS_REQUEST)),
    'PathTrackAns': Struct(('next_hop', ANY_DESTINATION), ('response', DIAGNOSTICS_RESPONSE)),
    'STATUS_INFO': Struct(('congestion', Num(1, (0, 15, 7))),
                          need(lambda m: m['congestion'] <= 15, 'reserved_bits')),
    'ROUTING_TABLE_SIZE': Struct(('peers', U32)), 'PROCESS_POWER': Struct(('mips', U64)),
    'UPSTREAM_BANDWIDTH': Struct(('kbit_per_s', U64)),
    'DOWNSTREAM_BANDWIDTH': Struct(('kbit_per_s', U64)),
    'SOFTWARE_VERSION': Struct(
        ('version', Bytes(0, [b'\0', b'x\0', b'chordial 1.0\0', b'a b\0'])),
        need(lambda m: m['version'].endswith('00') and b'\0' not in
             bytes.fromhex(m['version'])[:-1], 'c_string')),
    'MACHINE_UPTIME': Struct(('seconds', U64)), 'APP_UPTIME': Struct(('seconds', U64)),
    'MEMORY_FOOTPRINT': Struct(('kilobytes', U64)), 'DATASIZE_STORED': Struct(('bytes', U64)),
    'InstancesEntry': INSTANCES, 'INSTANCES_STORED': Struct(('entries', List(0, INSTANCES))),
    'MessageCount': COUNT, 'MESSAGES_SENT_RCVD': Struct(('entries', List(0, COUNT))),
    'EWMA_BYTES_SENT': Struct(('bytes_per_s', U32)),
    'EWMA_BYTES_RCVD': Struct(('bytes_per_s', U32)), 'UNDERLAY_HOP': Struct(('hops', U8)),
    'BATTERY_STATUS': Struct(('status', U8)),
}

# Where a structure is defined.
RFC = {
    '6940 6.3': 'Message', '6940 6.3.1.1': 'IpAddressPort', '6940 6.3.2': 'ForwardingHeader',
    '6940 6.3.2.2': 'Destination', '6940 14.15': 'DestinationList',
    '6940 6.3.2.3': 'ForwardingOption', '6940 6.3.3': 'MessageContents MessageExtension',
    '6940 6.3.3.1': 'ErrorResponse UnknownKinds',
    '6940 6.3.4': 'SecurityBlock GenericCertificate SignerIdentity Signature',
    '6940 6.6.2': 'FramedMessage', '6940 7': 'StoredData', '6940 7.4.1.1': 'StoreReq StoreKindData',
    '6940 7.2.1': 'DataValue', '6940 7.2.2': 'ArrayEntry', '6940 7.2.3': 'DictionaryEntry',
    '6940 7.4.1.2': 'StoreAns StoreKindResponse', '6940 7.4.2.1': 'FetchReq StoredDataSpecifier',
    '6940 7.4.2.2': 'FetchAns FetchKindResponse', '6940 7.4.3.1': 'StatReq',
    '6940 7.4.3.2': 'StatAns StatKindResponse StoredMetaData MetaData ArrayEntryMeta '
                    'DictionaryEntryMeta',
    '6940 7.4.4.1': 'FindReq', '6940 7.4.4.2': 'FindAns FindKindData',
    '6940 6.4.2.1': 'JoinReq JoinAns', '6940 6.4.2.2': 'LeaveReq LeaveAns',
    '6940 6.4.2.4.1': 'RouteQueryReq', '6940 10.8': 'ChordRouteQueryAns',
    '6940 6.4.2.5.1': 'ProbeReq', '6940 6.4.2.5.2': 'ProbeAns ProbeInformation',
    '6940 10.7': 'ChordUpdate UpdateAns', '6940 10.9': 'ChordLeaveData',
    '6940 6.5.1.1': 'AttachReqAns IceCandidate IceExtension', '6940 6.5.2.1': 'AppAttach',
    '6940 6.5.3.1': 'PingReq', '6940 6.5.3.2': 'PingAns', '6940 6.5.4.1': 'ConfigUpdateReq',
    '6940 6.5.4.2': 'ConfigUpdateAns', '6940 9': 'TurnServer', '7904 3.1': 'SipRegistration',
    '8076 5.2': 'ResourceNameExtension',
    '8076 4.2': 'AccessControlListItem NamedAccessControlListItem',
    '7374 4.1': 'RedirServiceProvider', '7363 6.5': 'SelfTuningData',
    '7263 5.2.2': 'ExtensiveRoutingModeOption',
    '7851 5.1': 'DiagnosticsRequest DiagnosticExtension',
    '7851 5.2': 'DiagnosticsResponse DiagnosticInfo',
    '7851 4.3.1.1': 'PathTrackReq', '7851 4.3.1.2': 'PathTrackAns',
    '7851 5.3': 'STATUS_INFO ROUTING_TABLE_SIZE PROCESS_POWER UPSTREAM_BANDWIDTH '
                'DOWNSTREAM_BANDWIDTH SOFTWARE_VERSION MACHINE_UPTIME APP_UPTIME MEMORY_FOOTPRINT '
                'DATASIZE_STORED InstancesEntry INSTANCES_STORED MessageCount MESSAGES_SENT_RCVD '
                'EWMA_BYTES_SENT EWMA_BYTES_RCVD UNDERLAY_HOP BATTERY_STATUS',
}
RFC = {name: 'RFC ' + where for where, names in RFC.items() for name in names.split()}

BODIES = {
    0x1: 'ProbeReq', 0x2: 'ProbeAns', 0x3: 'AttachReqAns', 0x4: 'AttachReqAns', 0x7: 'StoreReq',
    0x8: 'StoreAns', 0x9: 'FetchReq', 0xa: 'FetchAns', 0xd: 'FindReq', 0xe: 'FindAns',
    0xf: 'JoinReq', 0x10: 'JoinAns', 0x11: 'LeaveReq', 0x12: 'LeaveAns', 0x13: 'ChordUpdate',
    0x14: 'UpdateAns', 0x15: 'RouteQueryReq', 0x16: 'ChordRouteQueryAns', 0x17: 'PingReq',
    0x18: 'PingAns', 0x19: 'StatReq', 0x1a: 'StatAns', 0x1d: 'AppAttach', 0x1e: 'AppAttach',
    0x21: 'ConfigUpdateReq', 0x22: 'ConfigUpdateAns', 0x27: 'PathTrackReq', 0x28: 'PathTrackAns',
    0xffff: 'ErrorResponse',
}

def listed_types():
    """What codec/ says it decodes of RELOAD."""
    with open('codec/msgs.def', encoding='utf-8') as f:
        listed = re.findall(r'^MSG\(\w+, (\w+),', f.read(), re.M)
    with open('codec/show_core.c', encoding='utf-8') as f:
        listed += re.findall(r'^    \{"(\w+)", top_\w+, again_\w+\}', f.read(), re.M)
    return set(listed)


def finish(c):
    """The end of a structure that must have filled its bytes."""
    for check in c.later:
        check()
    if c.at != c.end:
        raise Reject('trailing', c.at)


def decode(kind, data, line=None):
    """(fields, where each stands); a Reject otherwise."""
    c = Cursor(data, Context(line))
    if line and line.get('overlay'):
        c.x.overlay = line['overlay']
    out = TYPES[kind].dec(c, ())
    finish(c)
    return out, c.seen


def encode(kind, fields, line=None):
    return TYPES[kind].enc(fields, Context(line))
