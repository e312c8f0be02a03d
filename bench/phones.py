#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Many phones at one node: all register, then all renew within a window (a storm, as after a power
cut), with digest, each from an address of its own (bench/phones.c).  Says how long it took, what
the phones were answered, and what a registration takes of the node's memory beside the overlay's.

    bench/phones.py [--phones 100000] [--window 60] [--json]"""
import argparse
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(HERE)
CHORDIAL = os.path.join(TOP, 'build/release/chordial')
PHONES = os.path.join(TOP, 'build/release/bench/phones')
DOMAIN = 'phones.example'
LIST = 10000  # accounts in one list: a file has 1 MiB at most


def fail(text):
    sys.exit('phones: ' + text)


def chordial(folder, *words):
    done = subprocess.run([CHORDIAL, *words], cwd=folder, capture_output=True, text=True)
    if done.returncode != 0:
        fail(f'{" ".join(words)}: {done.stderr}')
    return done.stdout


def enroll(folder, count):
    """An overlay of one node and its accounts."""
    chordial(folder, 'ca', 'init', 'ca', '--overlay', DOMAIN)
    chordial(folder, 'ca', 'issue', 'ca', '--user', 'host1@' + DOMAIN, '--out', 'peers')
    with open(os.path.join(folder, 'all'), 'w', encoding='ascii') as every:
        for first in range(0, count, LIST):
            lines = ''.join(f'phone{i}@{DOMAIN} secret{i}\n'
                            for i in range(first, min(first + LIST, count)))
            every.write(lines)
            with open(os.path.join(folder, 'list'), 'w', encoding='ascii') as f:
                f.write(lines)
            chordial(folder, 'ca', 'issue', 'ca', '--accounts', 'list', '--out', 'accounts')


def is_free(port, kind):
    with socket.socket(socket.AF_INET, kind) as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind(('127.0.0.1', port))
        except OSError:
            return False
    return True


def free_ports():
    """The first of three, below those that connections are given."""
    for port in random.sample(range(20000, 32000), 100):
        if all(is_free(port + i, kind) for i in range(3)
               for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM)):
            return port
    fail('no ports are free')


def configure(folder, name, count, port, bindings=0):
    room = 1024
    while room < 2 * count:
        room *= 2
    with open(os.path.join(folder, name), 'w', encoding='ascii') as f:
        f.write(f'''overlay-document = "ca/overlay.xml"
peers = peers
{'accounts = accounts' if count else ''}
overlay-address = 127.0.0.1
overlay-port = {port}
overlay-sip-port = {port + 1}
sip-address = 127.0.0.1
sip-port = {port + 2}
found-ring = if-alone
control-socket = n.sock
shards = 1
limits {{
    sip_bindings = {bindings or room}
    stored_sets = {2 * room}
    stored_values = {2 * room}
    stored_certificates = {room}
    stored_bytes = {4096 * room}
}}
''')


def loaded_bytes(folder, name):
    """Memory of `chordial check`, which loads all that a node loads and opens nothing: the program
    itself, some 10 MiB, is in it."""
    child = subprocess.Popen([CHORDIAL, 'check', '-c', name], cwd=folder,
                             stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        fail('check -c ' + name)
    return 1024 * usage.ru_maxrss


class Node:
    def __init__(self, folder, name):
        self.folder = folder
        begun = time.monotonic()
        self.log = os.path.join(folder, name + '.log')
        with open(self.log, 'w', encoding='utf-8') as log:
            self.process = subprocess.Popen([CHORDIAL, 'run', '-c', name], cwd=folder, stderr=log)
        while 'ready' not in self.lines():
            if self.process.poll() is not None or time.monotonic() - begun > 300:
                self.process.kill()
                fail('the node did not start: ' + '\n'.join(self.lines()[-5:]))
            time.sleep(0.05)
        self.start_s = time.monotonic() - begun

    def lines(self):
        with open(self.log, encoding='utf-8', errors='replace') as f:
            return f.read().splitlines()

    def rss_bytes(self):
        with open(f'/proc/{self.process.pid}/status', encoding='ascii') as f:
            return 1024 * next(int(line.split()[1]) for line in f if line.startswith('VmRSS'))

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def binding_bytes(folder, options):
    """What one more in the limit sip_bindings takes, as `chordial check` says."""
    budgets = []
    for bindings in (1024, 2048):
        configure(folder, 'budget', 0, options.port, bindings)
        told = json.loads(chordial(folder, 'check', '-c', 'budget', '--json'))
        budgets.append(told['memory_per_shard_bytes'])
    return (budgets[1] - budgets[0]) / 1024


def storm(folder, options):
    """What bench/phones says of its phases: {'register.done': 100000, ...}."""
    command = [PHONES, '--port', str(options.port + 2), '--accounts', os.path.join(folder, 'all'),
               '--domain', DOMAIN, '--window', str(options.window),
               '--patience', str(options.patience)]
    phones = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    said = {}
    for line in phones.stdout:
        if line.strip() == 'registered':
            phones.stdin.write('\n')
            phones.stdin.flush()
            continue
        name, value = line.split()
        said[name] = float(value)
    return said, phones.wait()


def measure(options):
    # in memory: how fast a disk takes a hundred thousand small files is not the matter
    memory = '/dev/shm' if os.access('/dev/shm', os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix='chordial-phones.', dir=memory) as folder:
        enroll(folder, options.phones)
        options.port = options.port or free_ports()  # now: enrolling takes its time
        configure(folder, 'empty', 0, options.port)
        configure(folder, 'full', options.phones, options.port)
        binding = binding_bytes(folder, options)
        account = loaded_bytes(folder, 'full') / options.phones
        with Node(folder, 'full') as node:
            said, status = storm(folder, options)
            told = json.loads(chordial(folder, 'ctl', '-s', 'n.sock', 'bindings', '--json'))
            said.update({'status': status, 'start_s': round(node.start_s, 1),
                         'rss_mib': node.rss_bytes() >> 20, 'bindings': len(told['bindings']),
                         'account_bytes': round(account),
                         'binding_bytes': round(binding)})
    return said


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--phones', type=int, default=100000)
    parser.add_argument('--window', type=int, default=60, help='seconds in which all renew')
    parser.add_argument('--patience', type=int, default=120, help='seconds until all must be done')
    parser.add_argument('--port', type=int, default=0,
                        help='the first of three; chosen where none is given')
    parser.add_argument('--json', action='store_true')
    options = parser.parse_args()
    said = measure(options)
    if options.json:
        print(json.dumps(said))
    else:
        for name, value in said.items():
            print(f'{name:24} {value}')
    sys.exit(0 if said['status'] == 0 else 1)


main()
