#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Datagram links between real peers (DTLS-UDP-SR-NO-ICE, RFC 6940 6.6.3), with tshark as judge: it
finds RELOAD inside DTLS by itself, decrypts it with the key log, and every frame is understood,
none is malformed.  And nobody who was not announced gets one byte back (design.md 6)."""
import collections
import os
import select
import shutil
import socket
import time

from capture import Capture, dissect, is_blind_spot, tshark, why_not
from live import Demo, Folder, call_between, check, run, wait_for

PEERS = 5
DATA = 0x80
DATAGRAM_BYTES = 1232  # link_datagram_bytes
RECORD_HEADER = 13
DATA_RECORD = '23'  # the last of a train may be an alert
STRANGERS = 60
PARKED_S = 2.5

# What the capture holds as one packet: a datagram, or a train of them (the kernel cuts it behind
# the place where packets are captured); each is one record.  `lengths` leaves alerts out.
Packet = collections.namedtuple('Packet', 'protocols kinds port lengths info complaint')


def links_over(demo, kind):
    return [link for i in range(len(demo.peers)) for link in demo.ctl(i, 'links')['links']
            if link['over'] == kind and link['up']]


def total(demo, name):
    return sum(demo.metrics(i)[name] for i in range(len(demo.peers)))


def record_a_call(folder):
    """Peers 2 to 5 make their links by Attach: over DTLS.  Two phones, one call."""
    capture = Capture(os.path.join(folder, 'datagrams.pcap'), 'udp')
    facts = {}
    try:
        with Demo(peers=PEERS, extra=('--links', 'dtls')) as demo:
            call_between(folder, demo, 1, 3)
            facts['links'] = links_over(demo, 'dtls')
            for name in ('dht_cut', 'dht_reassembled', 'link_suspect', 'link_datagram_garbage',
                         'link_datagrams_stray'):
                facts[name] = total(demo, name)
            facts['ports'] = {n['overlay'].split(':')[1] for p in demo.peers for n in p['nodes']}
            shutil.copy(demo.info['keylog'], os.path.join(folder, 'keylog'))
    finally:
        facts['dropped'] = capture.stop()
    return facts


def read_all(folder, ports):
    """What tshark sees between overlay ports, but for alerts and handshakes."""
    fields = ['frame.protocols', 'reload_framing.type', 'udp.dstport', 'dtls.record.length',
              '_ws.col.Info', '_ws.expert.message', '_ws.malformed', 'reload.datavalue.exists',
              'reload.signature.identity.type', 'dtls.record.content_type']
    rows = dissect(os.path.join(folder, 'datagrams.pcap'), fields, '-Y', 'dtls', '-o',
                   f'tls.keylog_file:{folder}/keylog')
    packets, handshakes = [], 0
    for (protocols, kinds, port, lengths, info, expert, malformed, exists, identities,
         content) in rows:
        if port not in ports:
            continue
        expert = expert.split(',') if expert else []
        if not malformed and is_blind_spot(expert, exists.split(','), identities.split(',')):
            expert = []
        if DATA_RECORD not in content.split(','):
            handshakes += 1
            check(not malformed, f'{info}: {malformed}')
            continue
        packets.append(Packet(protocols.split(':'), kinds.split(','), port,
                              [RECORD_HEADER + int(n) for n, c
                               in zip(lengths.split(','), content.split(',')) if c == DATA_RECORD],
                              info,
                              f'{malformed} {expert}' if expert or malformed else ''))
    return packets, handshakes


def test_every_datagram_is_dissected():
    with Folder() as folder:
        facts = record_a_call(folder)
        check(facts['dropped'] == 0, f'the capture missed {facts["dropped"]} packets')
        check(len(facts['links']) >= 6, f'{len(facts["links"])} ends of DTLS links')
        packets, handshakes = read_all(folder, facts['ports'])
        foreign = [p for p in packets
                   if p.protocols.count('reload-framing') != len(p.lengths) or
                   (str(DATA) in p.kinds) != ('reload' in p.protocols)]
        complaints = [p for p in packets if p.complaint]
        names = collections.Counter(p.info for p in packets if not p.info.startswith('Fragm'))
        cut = sum(p.info.startswith('Fragm') for p in packets)
        print(f'{len(facts["links"])} ends of links, {handshakes} datagrams of handshakes, '
              f'{sum(len(p.lengths) for p in packets)} frames, {cut} fragments to be continued, '
              f'of which tshark '
              f'complains about {len(complaints)}')
        print(', '.join(f'{count} {name}' for name, count in sorted(names.items())))
        check(not foreign, f'{len(foreign)} are no frames for tshark: {foreign[:3]}')
        check(not complaints, f'tshark complains: {complaints[:3]}')
        check(facts['dht_cut'] > 0 and facts['dht_reassembled'] > 0 and cut > 0,
              f'nothing was cut: {facts}')
        largest = max(n for p in packets for n in p.lengths)
        check(largest <= DATAGRAM_BYTES, f'a datagram of {largest} bytes')
        for name in ('link_suspect', 'link_datagram_garbage', 'link_datagrams_stray'):
            check(facts[name] == 0, f'{name}: {facts[name]}')
        missing = [method for method in ('Update', 'Store', 'Fetch', 'AppAttach')
                   if not names[method + ' Request']]
        check(not missing, f'never seen: {missing}')


def client_hello(folder):
    """One that a peer has sent, off the wire."""
    said = tshark(os.path.join(folder, 'hello.pcap'), '-Y', 'dtls.handshake.type == 1', '-T',
                  'fields', '-e', 'udp.payload')
    check(said.split(), 'no ClientHello was sent')
    return bytes.fromhex(said.split()[0])


def test_strangers_get_nothing():
    with Folder() as folder:
        capture = Capture(os.path.join(folder, 'hello.pcap'), 'udp')
        try:
            demo = Demo(peers=4, extra=('--links', 'dtls'))
        except Exception:
            capture.stop()
            raise
        with demo:
            wait_for('DTLS links', 20, lambda: len(links_over(demo, 'dtls')) == 6)
            capture.stop()
            hello = client_hello(folder)
            before = {name: total(demo, name) for name in ('link_accepts', 'links_up')}
            sockets = []
            sent = 0
            for i in range(STRANGERS):
                s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                s.bind((f'127.0.1.{i + 1}', 0))
                sockets.append(s)
                for peer in demo.peers:
                    port = int(peer['nodes'][0]['overlay'].split(':')[1])
                    for junk in (hello, hello, b'', os.urandom(300), hello[:40],
                                 b'\x17\xfe\xfd\0\x01' + bytes(6) + b'\0\x20' + bytes(32)):
                        s.sendto(junk, ('127.0.0.1', port))
                        sent += len(junk)
            time.sleep(PARKED_S)
            for s in sockets[:4]:  # makes them look at what is parked
                for peer in demo.peers:
                    s.sendto(hello, ('127.0.0.1', int(peer['nodes'][0]['overlay'].split(':')[1])))
            answered, _, _ = select.select(sockets, [], [], 1)
            check(not answered, f'{len(answered)} strangers were answered')
            parked, expired, repeated, stray = (
                total(demo, name) for name in ('parked', 'parked_expired', 'parked_repeated',
                                               'link_datagrams_stray'))
            print(f'{sent} bytes in, none out; parked {parked}, expired {expired}, repeated '
                  f'{repeated}, stray {stray}')
            check(expired >= 4 * STRANGERS // 2, 'nothing was parked')
            check(stray >= 3 * 4 * STRANGERS, f'only {stray} strays counted')
            after = {name: total(demo, name) for name in before}
            check(after == before, f'{before} became {after}')
            for s in sockets:
                s.close()


REASON = why_not('sipp')
if REASON:
    print(f'SKIP datagram_dissect: {REASON}')
    print('0 passed, 0 failed, 2 skipped')
else:
    run([test_every_datagram_is_dissected, test_strangers_get_nothing])
