#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A new overlay document in a running overlay of three real nodes: it is given to one and reaches
all, takes effect, survives restarts; what is not signed, older or of another overlay reaches
nobody (RFC 6940 6.5.4; catalogue CU-1..CU-5, CF-2, CF-3); and what such a document may ask for."""
import json
import os
import shutil
import signal
import socket
import subprocess

from live import CHORDIAL, Folder, check, chordial, free_ports, run, wait_for

NAME = 'voice.example'
KIND = 0xf0000001
BINARY = os.path.abspath(CHORDIAL)


class Node:
    """One process with a folder of its own, `n<i>`, and its own copy of the document."""

    def __init__(self, top, i, port, shards):
        self.folder = os.path.join(top, f'n{i}')
        self.i = i
        self.user = f'host{i}@{NAME}'
        self.port = port + 2 * shards * i
        os.makedirs(self.folder)
        self.document = os.path.join(self.folder, 'overlay.xml')
        self.received = self.document + '.received'
        shutil.copy(os.path.join(top, 'ca', 'overlay.xml'), self.document)
        chordial(top, 'ca', 'issue', 'ca', '--user', self.user, '--nodes', str(shards), '--out',
                 os.path.join(self.folder, 'peers'))
        with open(os.path.join(self.folder, 'n.conf'), 'w', encoding='ascii') as f:
            f.write(f'''overlay-document = "overlay.xml"
peers = peers
overlay-address = 127.0.0.1
overlay-port = {self.port}
overlay-sip-port = {self.port + shards}
found-ring = {'if-alone' if i == 0 else 'no'}
control-socket = s
shards = {shards}
''')
        self.log = os.path.join(self.folder, 'log')
        self.process = None

    def has_port(self):
        """The kernel gives up the sockets of an io_uring some time after its process is gone."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            try:
                s.bind(('127.0.0.1', self.port))
            except OSError:
                return False
        return True

    def start(self):
        wait_for(f'the port of node {self.i}', 10, self.has_port)
        with open(self.log, 'w', encoding='utf-8') as log:
            self.process = subprocess.Popen([BINARY, 'run', '-c', 'n.conf'], cwd=self.folder,
                                            stderr=log)

    def is_ready(self):
        return 'ready' in self.text().splitlines()

    def text(self):
        with open(self.log, encoding='utf-8', errors='replace') as f:
            return f.read()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        check(self.process.wait(30) == 0, f'node {self.i}: ' + self.text()[-2000:])

    def ask(self, **request):
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(20)
            s.connect(os.path.join(self.folder, 's'))
            s.sendall(json.dumps(request).encode() + b'\n')
            data = b''
            while not data.endswith(b'\n'):
                part = s.recv(65536)
                check(part, f'node {self.i} hung up on {request}')
                data += part
        return json.loads(data)

    def sequences(self):
        """What the control thread says, and each shard."""
        status = self.ask(cmd='status')
        return [status['configuration_sequence'],
                *(row['configuration_sequence'] for row in status['rows'])]

    def store(self, value):
        return self.ask(cmd='store', name=self.user, kind=KIND, value=value.hex())['rows'][0]

    def fetch(self, user):
        return self.ask(cmd='fetch', name=user, kind=KIND)['rows'][0]


class Overlay:
    """Three nodes of two shards each."""

    def __init__(self, folder, shards=2, settings=()):
        self.folder = folder
        port = free_ports(6 * shards, 16000, 20000)
        chordial(folder, 'ca', 'init', 'ca', '--overlay', NAME, '--bootstrap', f'127.0.0.1:{port}')
        if settings:
            self.update(*settings)
        self.nodes = [Node(folder, i, port, shards) for i in range(3)]

    def __enter__(self):
        for node in self.nodes:
            node.start()
            wait_for(f'node {node.i} is ready', 40, node.is_ready)
        return self

    def __exit__(self, *exception):
        for node in self.nodes:
            if node.process is not None and node.process.poll() is None:
                node.process.kill()
                node.process.wait()

    def update(self, *words):
        return chordial(self.folder, 'ca', 'update', 'ca', *words)

    def give(self, node):
        """The authority's document, put into the place of the node's own, and reloaded."""
        shutil.copy(os.path.join(self.folder, 'ca', 'overlay.xml'), node.document)
        return node.ask(cmd='reload')

    def all_have(self, sequence):
        return all(set(node.sequences()) == {sequence} for node in self.nodes)


def replace_in(path, old, new):
    with open(path, encoding='utf-8') as f:
        text = f.read()
    check(old in text, f'{old} is not in {path}')
    with open(path, 'w', encoding='utf-8') as f:
        f.write(text.replace(old, new, 1))


def test_a_document_given_to_one_reaches_all():
    with Folder() as folder, Overlay(folder) as overlay:
        a, b, c = overlay.nodes
        check(overlay.all_have(1), 'they start with document 1')
        refused = a.store(b'no')
        check(not refused['ok'], f'a Kind that nobody knows: {refused}')
        overlay.update('--add-kind', f'{KIND}:single:user-match:1:1000', '--initial-ttl', '90')
        answer = overlay.give(b)
        check(answer['reloaded'] and answer['configuration_sequence'] == 2, str(answer))
        took = wait_for('document 2 everywhere', 30, lambda: overlay.all_have(2))
        print(f'    document 2 on three nodes after {took:.1f} s')
        for node in (a, c):
            check('node' in node.ask(cmd='status')['configuration_from'], 'by ConfigUpdate')
            check(os.path.exists(node.received), 'it is not kept for a restart')
        stored = a.store(b'yes')
        check(stored['ok'], f'the added Kind is refused: {stored}')
        found = c.fetch(a.user)
        check([v['value'] for v in found['values']] == [b'yes'.hex()], str(found))
        # the Kind goes, and with it what was stored
        overlay.update('--drop-kind', str(KIND))
        a_document = os.path.join(folder, 'ca', 'overlay.xml')
        shutil.copy(a_document, c.document)
        c.process.send_signal(signal.SIGHUP)
        wait_for('document 3 everywhere', 30, lambda: overlay.all_have(3))
        check(not c.fetch(a.user)['ok'], 'the Kind is still there')
        kinds = [row['kind'] for node in overlay.nodes for row in node.ask(cmd='stored')['rows']]
        check(KIND not in kinds, 'values of a Kind that is gone are still stored')
        check(sum(n.ask(cmd='metrics')['config_values_dropped'] for n in overlay.nodes) > 0,
              'nothing was discarded')


def test_what_may_not_be_taken_reaches_nobody():
    with Folder() as folder, Overlay(folder, shards=1) as overlay:
        a, b, _ = overlay.nodes
        overlay.update()
        check(overlay.give(a)['reloaded'], 'document 2')
        wait_for('document 2 everywhere', 30, lambda: overlay.all_have(2))
        # the same again, an older one, a changed one, one of another overlay
        check('not newer' in overlay.give(a)['why'], 'the same')
        overlay.update('--sequence', '1')
        check('not newer' in overlay.give(a)['why'], 'older')
        overlay.update('--sequence', '7')
        document = os.path.join(folder, 'ca', 'overlay.xml')
        replace_in(document, '<initial-ttl>100<', '<initial-ttl>101<')
        refused = overlay.give(a)
        check(not refused['reloaded'] and 'signature' in refused['why'], str(refused))
        chordial(folder, 'ca', 'init', 'other', '--overlay', 'other.example')
        chordial(folder, 'ca', 'update', 'other', '--sequence', '9')
        shutil.copy(os.path.join(folder, 'other', 'overlay.xml'), document)
        check(not overlay.give(a)['reloaded'], 'another overlay')
        check(overlay.all_have(2), 'something of that was taken')
        check(chordial(a.folder, 'ctl', '-s', 's', 'reload', status=1) is not None, 'exit status')
        check(b.ask(cmd='metrics')['configs_taken'] == 1, 'b took more than one')


def test_a_restart_begins_with_the_newest():
    with Folder() as folder, Overlay(folder, shards=1) as overlay:
        a, b, c = overlay.nodes
        overlay.update()
        c.stop()
        check(overlay.give(a)['reloaded'], 'document 2')
        wait_for('document 2 at two', 30,
                 lambda: set(a.sequences()) == set(b.sequences()) == {2})
        # b restarts with what it has received
        b.stop()
        b.start()
        wait_for('b is ready', 40, b.is_ready)
        status = b.ask(cmd='status')
        check(status['configuration_sequence'] == 2, str(status))
        check('received' in status['configuration_from'], status['configuration_from'])
        c.start()  # with the old one: it is told
        wait_for('c has document 2', 60, lambda: os.path.exists(c.received) and
                 set(c.sequences()) == {2})
        wait_for('c is ready', 40, c.is_ready)
        # a broken file beside the configured one is said, and passed over
        b.stop()
        with open(b.received, 'w', encoding='ascii') as f:
            f.write('no document')
        b.start()
        wait_for('b is ready again', 60, b.is_ready)
        check('passed over' in b.text(), b.text()[:2000])
        wait_for('and is told', 60, lambda: set(b.sequences()) == {2})


def test_an_excluded_node_leaves():
    with Folder() as folder, Overlay(folder, shards=1) as overlay:
        a, b, c = overlay.nodes
        overlay.update('--bad-node', c.ask(cmd='status')['rows'][0]['node_id'])
        check(overlay.give(c)['reloaded'], 'document 2')
        check(c.process.wait(40) == 0, c.text()[-2000:])
        check('LEAVING' in c.text(), c.text()[-2000:])
        # the others have it from c, or are given it; none has a link with c
        overlay.give(a)
        wait_for('document 2 at two', 30,
                 lambda: set(a.sequences()) == set(b.sequences()) == {2})
        check(all(row['user'] != c.user for n in (a, b) for row in n.ask(cmd='peers')['rows']),
              'c is still a neighbour')
        # nor does it start again
        c.start()
        check(c.process.wait(20) != 0 and 'banned' in c.text(), c.text())


def test_certificates_that_no_message_holds():
    """Six peers of one user, each with a certificate under that name: more than 2,000 bytes."""
    shards = 6
    settings = ('--max-message-size', '2000')
    with Folder() as folder, Overlay(folder, shards=shards, settings=settings) as overlay:
        nodes = overlay.nodes

        def count(metric):
            return [n.ask(cmd='metrics')[metric] for n in nodes]

        def found():
            answers = [asked.ask(cmd='fetch', name=node.user, kind=16)['rows'][0]
                       for asked, node in zip(nodes, (nodes[1], nodes[2], nodes[0]))]
            return [answer['value_total'] if answer['ok'] else 0 for answer in answers]

        wait_for('all certificates stored', 60, lambda: min(count('certificates_published'))
                 >= 2 * shards)
        # Of two peers that append to one array while the ring is being formed, at two owners, one
        # loses its element, and finds that 36 s later at the latest (dht/cert_usage).
        took = wait_for('all certificates there', 45, lambda: found() == [shards] * 3, every=1)
        print(f'    all after {took:.0f} s, {sum(count("certificates_gone"))} appended anew')


if __name__ == '__main__':
    run([test_a_document_given_to_one_reaches_all, test_what_may_not_be_taken_reaches_nobody,
         test_a_restart_begins_with_the_newest, test_an_excluded_node_leaves,
         test_certificates_that_no_message_holds])
