#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Kills a node that acknowledges Stores when they are on its disk (storage-ack = disk), again and
again under load, starts it on what is left, and looks whether everything that was acknowledged is
there and every database could be read.

usage: crash_check.py [--runs N] [--mode both|kill|power] [--seed S] [--json]

kill:   kill -9; the files are as the kernel has them.
power:  the power fails at the same moment: of what was written to data-dir and not synced a part is
        gone, a write is torn between sectors of 512 bytes, a name that was not synced with its
        folder may not be there (tests/live/power_loss.c writes down what was written).

Prints `acked N, lost N, corrupt_starts N`; exit code 1 unless the last two are 0."""
import argparse
import json
import os
import random
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
CHORDIAL = os.environ.get('CHORDIAL', os.path.join(TOP, 'build/release/chordial'))
PRELOAD = os.path.join(TOP, 'tests/live/power_loss.c')
MEMBERS = 48
LINE = struct.Struct('<QQIc3x')  # struct line of tests/live/power_loss.c
SECTOR = 512
CONFIG = '''overlay-document = "ca/overlay.xml"
peers = "peers"
overlay-address = "127.0.0.1"
overlay-port = {port}
overlay-sip-port = {sip_port}
found-ring = now
shards = 1
control-socket = "control.sock"
storage-ack = disk
data-dir = "{data}"
'''


class Failed(Exception):
    pass


def free_port():
    """Below those that the kernel gives away: nobody shall take it while the node is dead."""
    while True:
        port = random.SystemRandom().randrange(20000, 32000)
        with socket.socket() as s:
            try:
                s.bind(('127.0.0.1', port))
                return port
            except OSError:
                continue


def build_preload(folder):
    library = os.path.join(folder, 'power_loss.so')
    subprocess.run(['gcc', '-std=c17', '-D_GNU_SOURCE', '-O2', '-Wall', '-Wextra', '-Werror',
                    '-shared', '-fPIC', '-o', library,
                    PRELOAD], check=True)
    return library


class Disk:
    """What a disk holds, out of what it held at the last start and the log of what came since."""

    def __init__(self, folder, rng):
        self.folder, self.rng = folder, rng
        self.torn = self.dropped = 0

    def snapshot(self):
        self.files, self.names = {}, {}  # inode -> bytes, name -> inode
        for name in os.listdir(self.folder):
            path = os.path.join(self.folder, name)
            inode = os.stat(path).st_ino
            self.names[name] = inode
            with open(path, 'rb') as f:
                self.files[inode] = bytearray(f.read())

    @staticmethod
    def put(data, offset, piece):
        if len(data) < offset:
            data.extend(bytes(offset - len(data)))
        data[offset:offset + len(piece)] = piece

    def apply(self, change):
        kind, inode, offset, piece = change
        data = self.files.setdefault(inode, bytearray())
        if kind == b'T':
            data[offset:] = b''
            data.extend(bytes(max(0, offset - len(data))))
        else:
            self.put(data, offset, piece)

    def apply_part(self, change):
        """The power failed while this was on its way."""
        kind, inode, offset, piece = change
        if self.rng.random() < 0.3:
            self.dropped += 1
            return
        if kind == b'T' or self.rng.random() < 0.3:
            self.apply(change)
            return
        self.torn += 1
        at = 0
        while at < len(piece):
            end = min(len(piece), (offset + at) // SECTOR * SECTOR + SECTOR - offset)
            if self.rng.random() < 0.5:
                self.apply((kind, inode, offset + at, piece[at:end]))
            at = end

    def rename(self, change):
        kind, inode, text = change
        if kind == b'C':
            self.names[text] = inode
        elif kind == b'U':
            self.names.pop(text, None)
        else:
            before, after = text.split('\n')
            if before in self.names:
                self.names[after] = self.names.pop(before)

    def lines(self, log):
        with open(log, 'rb') as f:
            data = f.read()
        at = 0
        while at + LINE.size <= len(data):
            inode, offset, length, kind = LINE.unpack_from(data, at)
            at += LINE.size
            if at + length > len(data):
                break
            yield kind, inode, offset, data[at:at + length]
            at += length

    def lose_power(self, log):
        waiting, naming = [], []
        for kind, inode, offset, piece in self.lines(log):
            if kind in b'WT':
                waiting.append((kind, inode, offset, piece))
            elif kind == b'D':
                self.apply((kind, inode, offset, piece))
                # a later write wins over an earlier one to the same place, which is still waiting
                waiting = [w for w in waiting if w[1] != inode or w[0] == b'T' or
                           w[2] + len(w[3]) <= offset or offset + len(piece) <= w[2]]
            elif kind == b'S':
                for change in waiting:
                    if change[1] == inode:
                        self.apply(change)
                waiting = [w for w in waiting if w[1] != inode]
            elif kind == b'F':
                for change in naming:
                    self.rename(change)
                naming = []
            else:
                naming.append((kind, inode, piece.decode()))
        for change in waiting:
            self.apply_part(change)
        for change in naming[:self.rng.randint(0, len(naming))]:
            self.rename(change)
        shutil.rmtree(self.folder)
        os.mkdir(self.folder, 0o700)
        for name, inode in self.names.items():
            with open(os.path.join(self.folder, name), 'wb') as f:
                f.write(self.files.get(inode, b''))


class Check:
    """One node, one client, many deaths."""

    def __init__(self, folder, rng, lies=False):
        self.folder, self.rng, self.lies = folder, rng, lies
        self.port = free_port()
        self.data = os.path.join(folder, 'data')
        self.preload = build_preload(folder)
        self.acked = self.lost = self.corrupt = self.refused = self.runs = self.silent = 0
        self.node = None
        config = CONFIG.format(port=self.port, sip_port=free_port(), data=self.data)
        with open(os.path.join(folder, 'c.conf'), 'w', encoding='ascii') as f:
            f.write(config)
        for words in (['ca', 'init', 'ca', '--overlay', 'crash.example'],
                      ['ca', 'issue', 'ca', '--user', 'host1@crash.example', '--out', 'peers']):
            subprocess.run([os.path.abspath(CHORDIAL), *words], cwd=folder, check=True,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        client = os.path.join(os.path.dirname(os.path.abspath(CHORDIAL)), 'crash_load')
        self.client = subprocess.Popen(
            [client, os.path.join(folder, 'ca'), '127.0.0.1:%d' % self.port, str(MEMBERS)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.disk = Disk(self.data, rng)
        self.answer()

    def answer(self):
        line = self.client.stdout.readline()
        if not line:
            raise Failed('the client has ended: see above')
        return json.loads(line)

    def ask(self, command):
        self.client.stdin.write(command + '\n')
        self.client.stdin.flush()

    def start(self, power):
        environment = dict(os.environ)
        self.log = os.path.join(self.folder, 'power.log')
        if os.path.exists(self.log):
            os.unlink(self.log)
        if power:
            os.makedirs(self.data, 0o700, exist_ok=True)
            self.disk.snapshot()
            environment.update(LD_PRELOAD=self.preload, POWER_LOSS_DIR=self.data,
                               POWER_LOSS_LOG=self.log)
            if self.lies:
                environment['POWER_LOSS_LIE'] = '1'
        self.said = os.path.join(self.folder, 'node.log')
        with open(self.said, 'w', encoding='utf-8') as out:
            self.node = subprocess.Popen(
                [os.path.abspath(CHORDIAL), 'run', '-c', 'c.conf'], cwd=self.folder,
                env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        end = time.monotonic() + 30
        while 'ready\n' not in self.text():
            if self.node.poll() is not None or time.monotonic() > end:
                raise Failed('the node does not start:\n' + self.text())
            time.sleep(0.02)
        text = self.text()
        if 'set aside' in text or ', 0 broken' not in text:
            self.corrupt += 1
            if not self.lies:
                print(text, file=sys.stderr)

    def text(self):
        with open(self.said, encoding='utf-8', errors='replace') as f:
            return f.read()

    def look(self):
        self.ask('check')
        found = self.answer()
        self.lost += found['lost']
        self.silent += found['silent']
        if found['lost'] and not self.lies:
            print('run %d: %s\n%s' % (self.runs, found, self.text()), file=sys.stderr)

    def run(self, power):
        """One life: start, look, load, death."""
        self.start(power)
        self.look()
        self.ask('load 20000')
        self.answer()  # it has a link: on a busy machine that takes its time
        time.sleep(self.rng.uniform(0.03, 0.6))
        self.node.send_signal(signal.SIGKILL)
        self.node.wait()
        done = self.answer()
        self.acked += done['acked']
        self.refused += done['refused']
        if 'persist_degraded' in self.text():
            print('run %d: the disk was late: its promise was off\n%s' % (self.runs, self.text()),
                  file=sys.stderr)
        if power:
            self.disk.lose_power(self.log)
        self.runs += 1

    def finish(self):
        self.start(False)
        self.look()

    def close(self):
        for process in (self.node, self.client):
            if process is not None and process.poll() is None:
                process.kill()
                process.wait()


def check(runs, mode='both', seed=1, lies=False, progress=False):
    """The Check object after `runs` deaths and a last look."""
    rng = random.Random(seed)
    folder = tempfile.mkdtemp(prefix='chordial-crash.')
    c = None
    begun = time.monotonic()
    try:
        c = Check(folder, rng, lies)
        for i in range(runs):
            c.run(mode == 'power' or (mode == 'both' and i % 2 == 1))
            if progress and i % 20 == 19:
                print('%d runs, %d acked, %d lost, %d corrupt_starts, %.0f s'
                      % (i + 1, c.acked, c.lost, c.corrupt, time.monotonic() - begun),
                      file=sys.stderr, flush=True)
            if lies and (c.lost or c.corrupt):
                break  # found out: that is what was asked
        c.finish()
    finally:
        if c is not None:
            c.close()
        shutil.rmtree(folder, ignore_errors=True)
    c.seconds = time.monotonic() - begun
    return c


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--runs', type=int, default=1000)
    parser.add_argument('--mode', choices=('both', 'kill', 'power'), default='both')
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--json', action='store_true')
    args = parser.parse_args()
    try:
        c = check(args.runs, args.mode, args.seed, progress=not args.json)
    except Failed as failure:
        sys.exit('crash_check: %s' % failure)
    if args.json:
        print(json.dumps({'runs': c.runs, 'acked': c.acked, 'lost': c.lost,
                          'corrupt_starts': c.corrupt, 'refused': c.refused,
                          'unanswered': c.silent, 'writes_torn': c.disk.torn,
                          'writes_dropped': c.disk.dropped, 'seed': args.seed,
                          'seconds': round(c.seconds, 1)}))
    else:
        print('%d runs in %.0f s: %d writes torn, %d dropped, %d Stores refused, %d Fetches '
              'unanswered' % (c.runs, c.seconds, c.disk.torn, c.disk.dropped, c.refused, c.silent))
        print('acked %d, lost %d, corrupt_starts %d' % (c.acked, c.lost, c.corrupt))
    sys.exit(0 if c.lost == 0 and c.corrupt == 0 and c.silent == 0 and c.acked > 0 else 1)


if __name__ == '__main__':
    main()
