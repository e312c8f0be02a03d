#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""tshark as judge (issue: Must hold 5): what five peers said to each other over their trunks, from
the first byte of the ring to the end of the peers, decrypted with the key log and dissected by
tshark's `reload-framing` and `reload`: every frame is understood, none is malformed.

tshark does not look for RELOAD inside TLS (it does inside DTLS), so each trunk is decrypted first
(`-z follow,tls,raw`) and written again as plain TCP to port 6084.  There a packet is one frame as
our own little parser sees it: tshark 4.0 reads the length of a frame at the start of the segment,
not of the frame, and so cannot find the second frame of a segment."""
import collections
import os
import re
import shutil
import struct

from capture import Capture, dissect, is_blind_spot, tshark, why_not
from live import Demo, Folder, call_between, check, run

DATA, ACK = 0x80, 0x81
ACK_BYTES, DATA_HEADER, FORWARDING_HEADER = 9, 8, 38
RELOAD_PORT, FIRST_CLIENT_PORT = 6084, 40000
LINKTYPE_RAW = 101
ROUND_TRIP = 40  # hops and repetitions of one message that only a routing loop reaches

# One transmission: type, its sequence number, and of data the transaction and the message code.
Frame = collections.namedtuple('Frame', 'type sequence transaction code')


def record_a_call(folder):
    """Peers start, two phones register, one calls the other, the peers leave."""
    capture = Capture(os.path.join(folder, 'trunks.pcap'), 'tcp')
    try:
        with Demo() as demo:
            call_between(folder, demo, 0, 3)
            sent = sum(demo.metrics(i)['link_messages_out'] for i in range(len(demo.peers)))
            shutil.copy(demo.info['keylog'], os.path.join(folder, 'keylog'))
            ports = {n['overlay'].split(':')[1] for p in demo.peers for n in p['nodes']}
    finally:
        dropped = capture.stop()
    check(dropped == 0, f'the capture missed {dropped} packets')
    return ports, sent


def decrypt(folder, ports):
    """{tcp stream: [(direction, bytes of a TLS record)]} of each connection to an overlay port."""
    capture = os.path.join(folder, 'trunks.pcap')
    dials = tshark(capture, '-Y', 'tls.handshake.type == 1', '-T', 'fields', '-e', 'tcp.stream',
                   '-e', 'tcp.dstport')
    streams = {int(number): [] for number, port in (line.split() for line in dials.splitlines())
               if port in ports}
    follow = [word for n in streams for word in ('-z', f'follow,tls,raw,{n}')]
    said = tshark(capture, '-o', f'tls.keylog_file:{folder}/keylog', '-q', *follow)
    records = None
    for line in said.splitlines():
        found = re.match(r'Filter: tcp.stream eq (\d+)', line)
        if found:
            records = streams[int(found.group(1))]
        elif re.fullmatch(r'\t?[0-9a-f]+', line):
            records.append((line.startswith('\t'), bytes.fromhex(line.strip())))
    return streams


def split(stream, buffer):
    """Takes the whole frames from the front of `buffer`."""
    frames = []
    while len(buffer) >= DATA_HEADER:
        check(buffer[0] in (DATA, ACK), f'stream {stream}: a frame of type {buffer[0]:#x}')
        data = DATA_HEADER + int.from_bytes(buffer[5:8], 'big')
        length = ACK_BYTES if buffer[0] == ACK else data
        if len(buffer) < length:
            break
        frames.append(bytes(buffer[:length]))
        del buffer[:length]
    return frames


def parse(raw):
    """RFC 6940 6.6.2 and as much of 6.3.2 as leads to the message code."""
    kind, sequence = struct.unpack_from('!BI', raw)
    if kind == ACK:
        return Frame(kind, sequence, None, None)
    message = raw[DATA_HEADER:]
    transaction, = struct.unpack_from('!Q', message, 20)
    lists = struct.unpack_from('!HHH', message, 32)
    code, = struct.unpack_from('!H', message, FORWARDING_HEADER + sum(lists))
    return Frame(kind, sequence, transaction, code)


def packet(stream, direction, sequences, payload):
    """One TCP segment in IPv4 between a client port and 6084."""
    client, server = (FIRST_CLIENT_PORT + stream, b'\x7f\0\0\1'), (RELOAD_PORT, b'\x7f\0\0\2')
    source, target = (server, client) if direction else (client, server)
    ip = struct.pack('!BBHHHBBH4s4s', 0x45, 0, 40 + len(payload), 0, 0, 64, 6, 0, source[1],
                     target[1])
    tcp = struct.pack('!HHIIBBHHH', source[0], target[0], sequences[direction],
                      sequences[not direction], 0x50, 0x18, 65535, 0, 0)
    sequences[direction] += len(payload)
    return ip + tcp + payload


def write_plain(path, streams):
    """The frames of all trunks as a capture, one a packet, and what our parser sees in each."""
    frames = []
    with open(path, 'wb') as f:
        f.write(struct.pack('=IHHiIII', 0xa1b2c3d4, 2, 4, 0, 0, 65535, LINKTYPE_RAW))
        for stream, records in streams.items():
            check(records, f'stream {stream}: nothing could be decrypted')
            buffers, sequences = (bytearray(), bytearray()), [1, 1]
            for direction, record in records:
                buffers[direction].extend(record)
                for raw in split(stream, buffers[direction]):
                    p = packet(stream, direction, sequences, raw)
                    f.write(struct.pack('=IIII', len(frames), 0, len(p), len(p)) + p)
                    frames.append(parse(raw))
            check(not any(buffers), f'stream {stream} ends inside a frame')
    return frames


def read_all(path):
    """What tshark sees: frames, the messages' names, and (packet, complaint) of each complaint."""
    fields = ['frame.protocols', 'reload_framing.type', 'reload_framing.sequence',
              'reload_framing.ack_sequence', 'reload.forwarding.trans_id', 'reload.message.code',
              '_ws.col.Info', '_ws.expert.message', '_ws.malformed', 'reload.datavalue.exists',
              'reload.signature.identity.type']
    frames, names, complaints, excused = [], collections.Counter(), [], 0
    for number, row in enumerate(dissect(path, fields), 1):
        (protocols, kind, sequence, acked, transaction, code, info, expert, malformed, exists,
         identities) = row
        parts = protocols.split(':')
        if 'reload-framing' not in parts or (kind == str(DATA)) != ('reload' in parts):
            complaints.append((number, f'taken for {protocols}'))
            continue
        frames.append(Frame(int(kind), int(sequence or acked),
                            int(transaction, 16) if transaction else None,
                            int(code) if code else None))
        names[info] += 1
        expert = expert.split(',') if expert else []
        if not malformed and is_blind_spot(expert, exists.split(','), identities.split(',')):
            excused += 1
        elif expert or malformed:
            complaints.append((number, f'{info}: {malformed} {expert}'))
    return frames, names, complaints, excused


def test_every_frame_is_dissected():
    with Folder() as folder:
        ports, sent = record_a_call(folder)
        streams = decrypt(folder, ports)
        check(len(streams) >= 4, f'{len(streams)} trunks between five peers')
        plain = os.path.join(folder, 'plain.pcap')
        ours = write_plain(plain, streams)
        theirs, names, complaints, excused = read_all(plain)
        data = sum(f.type == DATA for f in ours)
        print(f'{len(streams)} trunks, {len(ours)} frames: {data} messages, {len(ours) - data} '
              f'ACKs; tshark dissected {len(theirs)}, malformed or unknown {len(complaints)}, '
              f'{excused} in its blind spot')
        print(', '.join(f'{count} {name}' for name, count in sorted(names.items())))
        check(not complaints, f'tshark complains about {len(complaints)}: {complaints[:5]}')
        check(len(ours) == len(theirs), f'{len(ours)} frames of ours, {len(theirs)} of tshark')
        wrong = [pair for pair in zip(ours, theirs) if pair[0] != pair[1]]
        check(not wrong, f'{len(wrong)} frames read in two ways: {wrong[:3]}')
        check(data >= sent, f'{sent} messages were sent, {data} captured')
        seen = collections.Counter((f.transaction, f.code) for f in ours if f.type == DATA)
        most = seen.most_common(1)[0]
        print(f'most often sent: {most[1]} times')
        check(most[1] < ROUND_TRIP, f'a message ran in circles: {most}')
        missing = [method for method in ('Attach', 'Join', 'Update', 'Store', 'Fetch', 'AppAttach',
                                         'Leave') if not names[method + ' Request']]
        check(not missing, f'never seen: {missing}')


def test_a_broken_frame_is_noticed():
    """The judge judges: the same tshark on frames that are cut short or say nonsense."""
    with Folder() as folder:
        path = os.path.join(folder, 'broken.pcap')
        header = struct.pack('!4sIHBBIIQIHHH', b'\xd2ELO', 1, 1, 10, 100, 0xc0000000, 300, 7, 0, 0,
                             0, 0)
        message = header + struct.pack('!HI', 9, 200) + bytes(300 - len(header) - 6)
        raw = struct.pack('!BI', DATA, 0) + len(message).to_bytes(3, 'big') + message
        streams = {0: [(False, raw)]}
        write_plain(path, streams)
        _, _, complaints, _ = read_all(path)
        check(complaints, 'a Fetch of nothing passes')


REASON = why_not('sipp')
if REASON:
    print(f'SKIP trunk_dissect: {REASON}')
    print('0 passed, 0 failed, 2 skipped')
else:
    run([test_every_frame_is_dissected, test_a_broken_frame_is_noticed])
