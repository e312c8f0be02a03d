# SPDX-License-Identifier: Apache-2.0
"""Captures on the loopback, and tshark as judge of what is in them."""
import os
import re
import select
import shutil
import signal
import subprocess

from live import Failure, Folder, check

DEMO_PORTS = '10000-32000'  # where `chordial demo` looks for free ports


class Capture:
    """dumpcap on the loopback; it runs before the first peer does."""

    def __init__(self, path, protocol):
        command = ['dumpcap', '-q', '-i', 'lo', '-f', f'{protocol} portrange {DEMO_PORTS}', '-w',
                   path]
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

    def stop(self):
        """How many packets the kernel had no room for."""
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
            Capture(os.path.join(folder, 'probe.pcap'), 'tcp').stop()
        except (PermissionError, Failure) as e:
            return f'no capture on the loopback: {e}'
    return None
