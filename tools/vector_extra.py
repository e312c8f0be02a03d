# SPDX-License-Identifier: Apache-2.0
"""Vectors that nobody would come upon by generating: chosen good ones, and what is wrong at the
level of the whole structure.  GOOD: type -> lines; BAD: type -> (why, fields or bytes, context)."""
from vector_model import ENTRIES_MAX

NODE = bytes(range(16)).hex()
RESOURCE = '45a6b241a242c97f0492d382c390dfa3'  # of alice@example.org
TO_NODE = {'type': 1, 'node_id': NODE}
TO_RESOURCE = {'type': 2, 'resource_id': RESOURCE}
COMPACT = {'compact': '8001'}

# Structures that hold values of Kinds, whose data models a line may tell.
BY_KIND = {'StoreKindData', 'FetchKindResponse', 'StatKindResponse', 'StoredDataSpecifier',
           'StoreReq', 'FetchAns', 'StatAns', 'FetchReq', 'StatReq'}

HEADER = {
    'relo_token': '0xd2454c4f', 'overlay': '0x9aa32b8d', 'configuration_sequence': 22,
    'version': 10, 'ttl': 30, 'fragment': '0xc0000000', 'length': 57,
    'transaction_id': '0x0123456789abcdef', 'max_response_length': 0, 'via_list': [],
    'destination_list': [TO_RESOURCE], 'options': []}
NO_SIGNATURE = {'algorithm': {'hash': 0, 'signature': 0}, 'identity': {'identity_type': 3},
                'signature_value': ''}
CANDIDATE = {'addr_port': {'type': 1, 'v4addr_port': {'addr': '192.0.2.1', 'port': 6084}},
             'overlay_link': 4, 'foundation': '31', 'priority': 2130706431, 'type': 1,
             'extensions': []}
ROUTING = {'routemode': 1, 'transport': 1,
           'ipaddressport': {'type': 1, 'v4addr_port': {'addr': '192.0.2.1', 'port': 6084}},
           'destinations': [TO_NODE]}


def header(**changes):
    return {**HEADER, **changes}


def named(kind, *lines):
    return [{'name': name, 'fields': fields} for name, fields in lines]


GOOD = {
    'ForwardingHeader': named(
        'ForwardingHeader',
        ('most_entries', header(via_list=[COMPACT] * ENTRIES_MAX,
                                destination_list=[COMPACT] * (ENTRIES_MAX - 1) + [TO_RESOURCE])),
        ('first_fragment', header(fragment='0x80000000')),
        ('middle_fragment', header(fragment='0x80000400')),
        ('last_fragment', header(fragment='0xc0ffffff')),
        ('reserved_fragment_bits', header(fragment='0xff000000')),
        ('config_update_sequence', header(configuration_sequence=65535)),
        ('foreign_overlay', header(overlay='0x65b0781f'))),
    'DestinationList': named('DestinationList', ('uri', {'destinations': [TO_NODE]})),
    'StoredData': [
        {'name': 'synthetic', 'fields': {'storage_time': '0x' + '0' * 16, 'lifetime': 0,
                                         'value': {'exists': False, 'value': ''},
                                         'signature': NO_SIGNATURE}},
        {'name': 'append', 'data_model': 'array',
         'fields': {'storage_time': '0x0000018bcfe56800', 'lifetime': 86400,
                    'value': {'index': 0xffffffff, 'value': {'exists': True, 'value': '616263'}},
                    'signature': NO_SIGNATURE}}],
    'FetchReq': named('FetchReq', ('everything', {
        'resource': RESOURCE, 'specifiers': [
            {'kind': 2, 'generation': '0x' + '0' * 16},
            {'kind': 3, 'generation': '0x' + '0' * 16,
             'indices': [{'first': 0, 'last': 0xffffffff}]},
            {'kind': 1, 'generation': '0x' + '0' * 16, 'keys': []}]})),
    'FindAns': named('FindAns', ('nothing', {'results': [{'kind': 1, 'closest': '00' * 16}]})),
    'IceCandidate': named('IceCandidate', *(
        (name, dict(CANDIDATE, overlay_link=link))
        for name, link in (('dtls', 1), ('dtls_no_ice', 3), ('tls_no_ice', 4), ('exp_link', 5)))),
    'ExtensiveRoutingModeOption': named(
        'ExtensiveRoutingModeOption', ('rpr', dict(ROUTING, routemode=2, destinations=[
            TO_NODE, {'type': 1, 'node_id': 'f' * 32}]))),
    'SipRegistration': named(
        'SipRegistration',
        ('forwarded', {'type': 1, 'uri': b'sam@dht.example.org'.hex()}),
        ('prefers_sips', {'type': 2, 'contact_prefs': b'(sip.schemes=SIPS)'.hex(),
                          'destination_list': [TO_NODE]}),
        ('through_a_peer', {'type': 2, 'contact_prefs': '',
                            'destination_list': [TO_NODE, COMPACT]})),
    'DiagnosticsRequest': named('DiagnosticsRequest', *(
        (name, {'expiration': '0x0000018bcfe56800', 'timestamp_initiated': '0x0000018bcfe56418',
                'dMFlags': flags, 'diagnostic_extensions_list': extensions})
        for name, flags, extensions in (
            ('nothing', '0x' + '0' * 16, []), ('everything', '0x' + 'f' * 16, []),
            ('all_assigned', '0x000000000001fffe', []),
            ('local_kind', '0x' + '0' * 16,
             [{'kind': 0xf000, 'diagnostic_extension_contents': ''}])))),
}

GOOD_MESSAGE = {
    'header': HEADER, 'contents': {'message_code': 23, 'message_body': '0000', 'extensions': []},
    'security_block': {'certificates': [], 'signature': NO_SIGNATURE}}


def wrong_headers():
    yield 'token of another protocol', header(relo_token='0x52454c4f')
    yield 'token 0', header(relo_token='0x00000000')
    for version in (0, 1, 11, 255):  # 0.1 is what the drafts had
        yield f'version {version}', header(version=version)
    for fragment in ('0x00000000', '0x40000000', '0x40000400', '0x7fffffff'):
        yield f'fragment {fragment}', header(fragment=fragment)
    yield 'no destination', header(destination_list=[])
    yield 'a resource in the Via List', header(via_list=[TO_NODE, TO_RESOURCE])
    yield 'a resource before a node', header(destination_list=[TO_RESOURCE, TO_NODE])
    yield 'two resources', header(destination_list=[TO_RESOURCE, TO_RESOURCE])
    yield 'one via entry too many', header(via_list=[COMPACT] * (ENTRIES_MAX + 1))
    yield 'one destination too many', header(destination_list=[COMPACT] * (ENTRIES_MAX + 1))
    yield 'option of type 0', header(options=[{'type': 0, 'flags': 1, 'option': ''}])
    yield 'destination of type 0', header(destination_list=[{'type': 0, 'unknown': '00'}])


def wrong_lengths():
    """A Node-ID of another length than the overlay's."""
    short, long = b'\1\x0f' + bytes(15), b'\1\x11' + bytes(17)
    yield 'Node-ID of 15 bytes', short, {}
    yield 'Node-ID of 17 bytes', long, {}
    yield 'Node-ID of 17 bytes where there are 20', long, {'node_id_length': 20}
    yield 'resource longer than its frame', b'\2\x10\x10' + bytes(15), {}
    yield 'resource shorter than its frame', b'\2\x12\x10' + bytes(17), {}
    yield 'opaque id without its length', b'\3\0', {}
    yield 'opaque id of 254 bytes, said to be 255', b'\3\xff\xff' + bytes(254), {}
    yield 'half a compact id', b'\x80', {}
    yield 'no bytes', b'', {}


def plain(cases):
    return [(why, what, {}) for why, what in cases]


BAD = {
    'ForwardingHeader': plain(wrong_headers()),
    'Destination': list(wrong_lengths()),
    'FramedMessage': plain(
        (f'frame of type {n}', bytes([n]) + bytes(8)) for n in (0, 22, 127, 130)),
    'MessageContents': plain(
        (f'message code {code:#x}', {'message_code': code, 'message_body': '', 'extensions': []})
        for code in (0, 0x8000, 0xc000, 0xfffe)),
    'IpAddressPort': plain([
        ('IPv4 as long as IPv6', b'\1\x12' + bytes(18)),
        ('IPv6 as short as IPv4', b'\2\6' + bytes(6)),
        ('without a port', b'\1\4' + bytes(4)), ('type 0', b'\0\0')]),
    'IceCandidate': plain([
        ('candidate type 3, reserved', dict(CANDIDATE, type=3)),
        ('candidate type 0', dict(CANDIDATE, type=0)),
        ('candidate type 5', dict(CANDIDATE, type=5)),
        ('overlay link 0', dict(CANDIDATE, overlay_link=0))]),
    'ChordUpdate': plain([
        ('type 0', {'uptime': 1, 'type': 0}), ('type 4', {'uptime': 1, 'type': 4})]),
    'ChordLeaveData': plain([('type 0', {'type': 0}), ('type 3', {'type': 3})]),
    'StoreKindResponse': plain(
        (f'{n} bytes of Node-IDs', bytes(12) + n.to_bytes(2, 'big') + bytes(n))
        for n in (1, 15, 17, 33)) + [
            ('20-byte Node-IDs where there are 16', bytes(12) + b'\0\x14' + bytes(20), {})],
    'StoredDataSpecifier': plain([
        ('single value with a range', bytes.fromhex('00000002' + '00' * 8 + '0002' '0000')),
        ('list of ranges longer than its frame',
         bytes.fromhex('00000003' + '00' * 8 + '0002' '0008')),
        ('list of ranges shorter than its frame',
         bytes.fromhex('00000003' + '00' * 8 + '000a' '0000' + '00' * 8)),
        ('half a range', bytes.fromhex('00000003' + '00' * 8 + '0006' '0004' '00000000')),
        ('key longer than the list',
         bytes.fromhex('00000001' + '00' * 8 + '0005' '0003' '0002' '61'))
    ]),
    'SipRegistration': plain([
        ('route to nowhere', {'type': 2, 'contact_prefs': '', 'destination_list': []}),
        ('a compact id alone: two bytes of <3..2^16-1>',
         {'type': 2, 'contact_prefs': '', 'destination_list': [COMPACT]}),
        ('type 0', bytes(3)), ('nothing in it', b'\1\0\0'),
        ('URI longer than its frame', b'\1\0\2\0\1'),
        ('Node-ID of 15 bytes', bytes.fromhex('02001500000011010f') + bytes(15))]),
    'ExtensiveRoutingModeOption': plain([
        ('mode 0', dict(ROUTING, routemode=0)), ('transport 0', dict(ROUTING, transport=0)),
        ('no destination', dict(ROUTING, destinations=[]))]),
    'STATUS_INFO': plain((f'congestion {n}', bytes([n])) for n in (16, 0x80, 255)),
    'SOFTWARE_VERSION': plain([
        ('no NUL', b'1.0'), ('two NULs', b'1.0\0\0'), ('a NUL inside', b'1\0.0\0'),
        ('empty', b'')]),
    'INSTANCES_STORED': plain([('half an entry', bytes(6)), ('one and a half', bytes(18))]),
    'MESSAGES_SENT_RCVD': plain([('half an entry', bytes(9)), ('one and a half', bytes(27))]),
    'DiagnosticsRequest': plain([
        ('length once only', bytes(28)),
        ('the two lengths differ', bytes(24) + bytes.fromhex('00000006 00000000'))]),
    'DiagnosticsResponse': plain([
        ('length once only', bytes(29)),
        ('the two lengths differ', bytes(25) + bytes.fromhex('00000000 00000004') + bytes(4))]),
}
