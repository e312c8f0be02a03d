# SPDX-License-Identifier: Apache-2.0
"""Captures on the loopback, and tshark as judge of what is in them."""
import os
import re
import select
import shutil
import signal
import socket
import subprocess

from live import Failure, Folder, check, wait_for

DEMO_PORTS = '10000-32000'  # where `chordial demo` looks for free ports
BUFFER_MIB = 32  # it may have to wait for a processor
LAST = ('127.77.77.1', ('127.0.0.1', 31999))  # from whom and where to: nobody else


class Capture:
    """dumpcap on the loopback; it runs before the first peer does."""

    def __init__(self, path, protocol):
        self.path, self.is_udp = path, protocol == 'udp'
        command = ['dumpcap', '-q', '-i', 'lo', '-B', str(BUFFER_MIB), '-f',
                   f'{protocol} portrange {DEMO_PORTS}', '-w', path]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE)
        said = b''
        while b'File: ' not in said:  # said when the socket is open
            ready, _, _ = select.select([self.process.stderr], [], [], 10)
            more = os.read(self.process.stderr.fileno(), 4096) if ready else b''
            if not more:
                self.process.kill()
                self.process.wait()
                raise PermissionError(said.decode(errors='replace').strip() or 'it said nothing')
            said += more

    def settle(self):
        """Until all that was sent before is in the file: dumpcap forgets what it has not yet
        fetched.  It fetches in order, so one more packet is sent and looked for."""
        source, target = LAST
        mark = socket.inet_aton(source) + socket.inet_aton(target[0])
        with socket.socket(type=socket.SOCK_DGRAM if self.is_udp else socket.SOCK_STREAM) as s:
            s.bind((source, 0))
            try:
                s.connect(target)
                s.send(b'last')
            except ConnectionRefusedError:
                pass  # its SYN is what counts

        def is_there():
            with open(self.path, 'rb') as f:
                return mark in f.read()
        wait_for('the last packet in the capture', 30, is_there)

    def stop(self):
        """How many packets the kernel had no room for."""
        self.settle()
        return self.end()

    def end(self):
        self.process.send_signal(signal.SIGINT)
        _, said = self.process.communicate(timeout=20)
        found = re.search(rb'received/dropped on interface .*: \d+/(\d+)', said)
        check(found, f'dumpcap did not say how it went: {said!r}')
        return int(found.group(1))


def tshark(capture, *words):
    done = subprocess.run(['tshark', '-r', capture, *words], capture_output=True, text=True,
                          timeout=60)
    check(done.returncode == 0, f'tshark: {done.stderr}')
    return done.stdout


def dissect(capture, fields, *words):
    """Rows with these fields, of all packets or of those that `words` choose."""
    said = tshark(capture, '-o', 'reload.nodeid_length:16', '-o',
                  'reload.topology_plugin:CHORD-RELOAD', '-o', 'reload.defragment:TRUE', *words,
                  '-T', 'fields', '-E', 'separator=|', '-E', 'aggregator=,',
                  *(word for field in fields for word in ('-e', field)))
    return [line.split('|') for line in said.splitlines()]


def is_blind_spot(expert, exists, identities):
    """What tshark's tables, older than the RFCs, complain about without cause."""
    # The value that stands for "there is none" is signed by nobody: SignerIdentityType none (3)
    # of RFC 6940 7.4.2.2; tshark prints its name and then calls it unknown.  (The other known
    # ones, version 0x0a and error 20 printed as "Unknown", raise no expert message.)
    return (set(expert) == {'Unknown identity type'} and len(expert) == identities.count('3')
            and exists.count('0') >= len(expert))


def why_not(*programs):
    """Why nothing can be captured here; None when it can."""
    missing = [name for name in ('dumpcap', 'tshark', *programs) if not shutil.which(name)]
    if missing:
        return f'{", ".join(missing)} not installed'
    with Folder() as folder:
        try:
            Capture(os.path.join(folder, 'probe.pcap'), 'tcp').end()
        except (PermissionError, Failure) as e:
            return f'no capture on the loopback: {e}'
    return None
