#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`chordial sim --pcap`: tshark finds in it every frame that was sent, over TCP and UDP, as what it
is, and nothing malformed."""
import collections
import os
import shutil
import subprocess
import sys
import tempfile

from simulated import check, finish, run_of, settings

FIELDS = ['frame.protocols', 'ip.proto', 'reload_framing.type', '_ws.col.Info',
          '_ws.expert.message', '_ws.malformed']
WORDS = settings('nodes=8', 'records=10', 'links=2', 'leave_percent=15', 'publish=1')


def dissect(path):
    words = ['-o', 'reload.nodeid_length:16', '-o', 'reload.topology_plugin:CHORD-RELOAD', '-o',
             'reload.defragment:TRUE', '-T', 'fields', '-E', 'separator=|', '-E', 'aggregator=,']
    said = subprocess.run(['tshark', '-r', path, *words, *(w for f in FIELDS for w in ('-e', f))],
                          capture_output=True, text=True, check=False, timeout=120)
    check(said.returncode == 0, f'tshark: {said.stderr}')
    return [line.split('|') for line in said.stdout.splitlines()]


def judge(run, packets):
    seen = collections.Counter()
    wrong = []
    for protocols, transport, kind, info, expert, malformed in packets:
        parts = protocols.split(':')
        is_data = kind == '128'
        # signed by nobody (RFC 6940 7.4.2.2): tshark prints its name, and then calls it unknown
        expert = '' if set(expert.split(',')) == {'Unknown identity type'} else expert
        if 'reload-framing' not in parts or is_data != ('reload' in parts) or expert or malformed:
            wrong.append((protocols, info, expert, malformed))
        if is_data:
            seen[info.split(' (')[0], transport] += 1
    names = {info for info, _ in seen}
    print(', '.join(f'{n} {name} over {"UDP" if transport == "17" else "TCP"}'
                    for (name, transport), n in sorted(seen.items())))
    check(not wrong, f'{len(wrong)} of {len(packets)} packets: {wrong[:3]}')
    sent = run['metrics'].get('link_messages_out', 0) if run else 0
    check(0 < sent <= sum(seen.values()), f'{sent} messages sent, {sum(seen.values())} captured')
    for name in ('Attach', 'Join', 'Update', 'Store', 'Fetch', 'Leave'):
        check(name + ' Request' in names, f'no {name} in {sorted(names)}')
    check({'6', '17'} == {transport for _, transport in seen}, 'not over both TCP and UDP')


if shutil.which('tshark') is None:
    print('SKIP capture: there is no tshark')
    print('0 passed, 0 failed, 1 skipped')
    sys.exit(0)
with tempfile.TemporaryDirectory() as temporary:
    capture = os.path.join(temporary, 'run.pcap')
    judge(run_of('baseline', 3, '--pcap', capture, *WORDS), dissect(capture))
finish()
