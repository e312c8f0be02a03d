#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Two nodes, alice's phones at the first, bob's at the second: phones over TLS and secure WebSocket
call each other across the overlay, and GRUU, Path, caller preferences and q values choose among
bob's devices (issue 6, Build 3 and 4)."""
import json
import os
import re
import secrets
import signal
import ssl
import subprocess

from live import CHORDIAL, Folder, check, chordial, free_ports, run, wait_for
from phone import Phone, first, parse, uri_of, values
from transports import NAME, certify
from wire_phone import WirePhone

LIMIT = 20


class Node:
    def __init__(self, folder, number, base, first_base, extra=''):
        self.folder, self.number, self.base = folder, number, base
        self.ports = {'UDP': base + 2, 'TLS': base + 3, 'WSS': base + 4}
        self.log = os.path.join(folder, f'log{number}')
        bootstrap = '' if base == first_base else f'bootstrap = {{"127.0.0.1:{first_base}"}}\n'
        with open(os.path.join(folder, f'n{number}.conf'), 'w', encoding='ascii') as f:
            f.write(f'overlay-document = "ca/overlay.xml"\npeers = peers{number}\n'
                    f'accounts = accounts{number}\noverlay-address = 127.0.0.1\n'
                    f'overlay-port = {base}\noverlay-sip-port = {base + 1}\n'
                    f'found-ring = {"no" if bootstrap else "now"}\n{bootstrap}shards = 1\n'
                    f'sip-address = 127.0.0.1\nsip-port = {base + 2}\nsip-tls-cert = tls.crt\n'
                    f'sip-tls-key = tls.key\nsip-tls-port = {base + 3}\n'
                    f'sip-wss-port = {base + 4}\ncontrol-socket = s{number}\n{extra}')
        with open(self.log, 'w', encoding='utf-8') as log:
            self.process = subprocess.Popen(
                [os.path.abspath(CHORDIAL), 'run', '-c', f'n{number}.conf'], cwd=folder,
                stderr=log)

    def text(self):
        with open(self.log, encoding='utf-8', errors='replace') as f:
            return f.read()

    def metric(self, name):
        return json.loads(chordial(self.folder, 'ctl', '-s', f's{self.number}', 'metrics',
                                   '--json'))[name]

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(40)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()


class Two:
    """The overlay of two nodes, with `extra` in their configurations."""

    def __init__(self, folder, extra=''):
        self.extra = extra
        base = free_ports(10, 29100, 31000)
        chordial(folder, 'ca', 'init', 'ca', '--overlay', NAME, '--bootstrap', f'127.0.0.1:{base}')
        for i, user in ((1, 'alice'), (2, 'bob')):
            chordial(folder, 'ca', 'issue', 'ca', '--user', f'host{i}@{NAME}', '--out',
                     f'peers{i}')
            chordial(folder, 'ca', 'issue', 'ca', '--user', f'{user}@{NAME}', '--password-stdin',
                     '--digest', 'md5', '--out', f'accounts{i}', given='secret\n')
        certify(folder, 'tls')
        self.context = ssl.create_default_context(cafile=os.path.join(folder, 'tls.crt'))
        self.folder, self.base, self.nodes, self.phones = folder, base, [], []

    def __enter__(self):
        try:
            for i in (1, 2):
                node = Node(self.folder, i, self.base + 5 * (i - 1), self.base,
                            self.extra)
                self.nodes.append(node)
                wait_for(f'node {i} is ready', 40, lambda n=node: 'ready' in n.text().splitlines())
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *exception):
        for p in self.phones:
            p.close()
        statuses = self.stop()
        if exception[0] is None:
            check(statuses == [0, 0], f'the nodes ended with {statuses}')

    def stop(self):
        return [node.stop() for node in reversed(self.nodes)]

    def account(self, i):
        return {'user': f'{("alice", "bob")[i]}@{NAME}', 'password': 'secret'}

    def phone(self, i, kind='UDP'):
        port = self.nodes[i].ports[kind]
        if kind == 'UDP':
            made = Phone(self.account(i), NAME, f'127.0.0.1:{port}')
        else:
            made = WirePhone(self.account(i), NAME, kind, '127.0.0.1', port, self.context)
        self.phones.append(made)
        return made

    def device(self, params='', lines='', busy=False):
        """One of bob's, registered; `params` of its Contact, more `lines` of the REGISTER."""
        made = Device(self.account(1), NAME, f'127.0.0.1:{self.nodes[1].ports["UDP"]}')
        self.phones.append(made)
        made.params, made.busy = params, busy
        status, headers = made.authenticated(
            'REGISTER', f'sip:{NAME}', f'<sip:{made.aor}>', secrets.token_hex(8), 'r', lines,
            limit=LIMIT)
        check(status == 200, f'a device of bob cannot register: {status}')
        return made, headers

    def caller(self):
        alice = self.phone(0)
        check(alice.register(limit=LIMIT) == 200, 'alice cannot register')
        return alice


class Device(Phone):
    """A phone with features, which remembers the calls that it got."""
    params, busy, silent = '', False, False

    def start(self, *args, **how):
        self.invites, self.got = [], []
        super().start(*args, **how)

    def send(self, text):
        if text.startswith('REGISTER'):
            text = text.replace(f'<{self.contact}>\r\n', f'<{self.contact}>{self.params}\r\n')
        super().send(text)

    def take(self, data):
        line, headers = parse(data)
        self.got.append((line, headers, data.partition(b'\r\n\r\n')[2].decode()))
        if line.startswith('INVITE'):
            self.invites.append((line, headers))
            if self.silent:
                return
            if self.busy:
                self.respond('486 Busy Here', headers)
                return
        super().take(data)


def ask(alice, uri, extra=''):
    """An INVITE by alice, of which only the final status counts; answered calls end by BYE."""
    call_id, tag = secrets.token_hex(8), secrets.token_hex(4)
    status, headers = alice.authenticated('INVITE', uri, f'<{uri}>', call_id, tag, extra, LIMIT)
    if status == 200:
        routes = list(reversed([r.strip() for v in values(headers, 'record-route')
                                for r in v.split(',')]))
        to, target = first(headers, 'to'), uri_of(first(headers, 'contact'))
        bye, _ = alice.request('BYE', target, to, call_id, 5, tag, routes=routes, limit=LIMIT)
        check(bye == 200, f'BYE: {bye}')
    return status


def test_tls_and_websocket_phones_at_two_nodes():
    with Folder() as folder, Two(folder) as x:
        for here, there in (('TLS', 'WSS'), ('WSS', 'TLS'), ('UDP', 'WSS')):
            alice, bob = x.phone(0, here), x.phone(1, there)
            for p in (alice, bob):
                check(p.register(limit=LIMIT) == 200, f'{p.aor} cannot register by {p.transport}')
            for caller, callee in ((alice, bob), (bob, alice)):
                result = caller.call(callee.aor, limit=LIMIT)
                check(result[:2] == (200, 200), f'{here} to {there}: {caller.aor}: {result}')
            for p in (alice, bob):
                check(p.register(0, limit=LIMIT) == 200, f'{p.aor} cannot leave')


def test_devices_of_the_callee():
    with Folder() as folder, Two(folder) as x:
        alice = x.caller()
        instance = '+sip.instance="<urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6>"'
        desk, headers = x.device(f';{instance};audio;q=1.0', 'Supported: gruu, path\r\n'
                                 'Path: <sip:127.0.0.1:29099;lr>\r\n')
        found = re.search(r'pub-gruu="([^"]*)"', ','.join(values(headers, 'contact')))
        check(found, f'no pub-gruu: {values(headers, "contact")}')
        soft, _ = x.device(';audio;video;q=0.5', 'Supported: path\r\n')

        check(ask(alice, found.group(1)) == 200, 'the GRUU leads nowhere')
        check((len(desk.invites), len(soft.invites)) == (1, 0), 'a GRUU is one device')
        routes = values(desk.invites[0][1], 'route')
        check(routes == ['<sip:127.0.0.1:29099;lr>'], f'Path has not become Route: {routes}')

        bob = f'sip:bob@{NAME}'
        check(ask(alice, bob, 'Accept-Contact: *;video;require;explicit\r\n') == 200, 'video')
        check((len(desk.invites), len(soft.invites)) == (1, 1), 'the desk phone has no video')
        check(ask(alice, bob, 'Reject-Contact: *;video\r\n') == 200, 'without video')
        check((len(desk.invites), len(soft.invites)) == (2, 1), 'one of them has video')
        status = ask(alice, bob, 'Accept-Contact: *;text;require;explicit\r\n')
        check(status == 480, f'nobody has text: {status}')

        check(ask(alice, bob) == 200, 'both')
        check((len(desk.invites), len(soft.invites)) == (3, 1), 'the higher q is called alone')
        desk.busy = True
        check(ask(alice, bob) == 200, 'the next')
        check((len(desk.invites), len(soft.invites)) == (4, 2), 'then the lower one')


if __name__ == '__main__':
    run([test_tls_and_websocket_phones_at_two_nodes, test_devices_of_the_callee])
