#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The command line as people meet it: help, exit statuses, errors, check, one live node."""
import hashlib
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import threading

from attacker import STORE_ANS, Credential, Message, frame, vector
from live import CHORDIAL, Folder, check, chordial, free_ports, run, wait_for

COMMANDS = ['ca', 'ca init', 'ca issue', 'ca renew', 'ca update', 'check', 'ctl', 'decode',
            'encode', 'fetch', 'find', 'load', 'ping', 'resolve', 'route', 'run', 'sim', 'stat',
            'store', 'verify']
BINARY = os.path.abspath(CHORDIAL)
LOAD = ['load', '--kind', 'options', '--sip', '127.0.0.1:9']


def write(folder, name, text):
    with open(os.path.join(folder, name), 'w', encoding='utf-8') as f:
        f.write(text)


def make_node(folder, shards=1, more=''):
    """An overlay of one node in `folder`; its configuration is n.conf."""
    port = free_ports(2 * shards + 1, 21000, 31000)
    chordial(folder, 'ca', 'init', 'ca', '--overlay', 'voice.example')
    chordial(folder, 'ca', 'issue', 'ca', '--user', 'host1@voice.example', '--nodes', str(shards),
             '--out', 'peers')
    chordial(folder, 'ca', 'issue', 'ca', '--user', 'alice@voice.example', '--password-stdin',
             '--out', 'accounts', given='secret\n')
    write(folder, 'n.conf', f'''overlay-document = "ca/overlay.xml"
peers = peers
accounts = accounts
overlay-address = 127.0.0.1
overlay-port = {port}
overlay-sip-port = {port + shards}
sip-address = 127.0.0.1
sip-port = {port + 2 * shards}
found-ring = if-alone
control-socket = n.sock
shards = {shards}
{more}''')


class Node:
    def __init__(self, folder):
        self.log = os.path.join(folder, 'log')
        with open(self.log, 'w', encoding='utf-8') as log:
            self.process = subprocess.Popen([BINARY, 'run', '-c', 'n.conf'], cwd=folder, stderr=log)

    def __enter__(self):
        wait_for('ready', 15, lambda: 'ready' in self.lines())
        return self

    def __exit__(self, *exception):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def lines(self):
        with open(self.log, encoding='utf-8') as f:
            return f.read().splitlines()


def status_of(folder, name):
    """What a call to `name` would get: the node is asked."""
    command = [BINARY, 'resolve', '-s', 'n.sock', f'sip:{name}@voice.example', '--json']
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60)
    return json.loads(done.stdout)['status']


def test_help_of_each_command():
    for words in [[], *(c.split() for c in COMMANDS)]:
        text = chordial('.', *words, '--help')
        check('usage: chordial' in text and 'example:' in text, f'{words}: {text}')


def test_bad_usage_is_status_2():
    for words, hint in [([], 'usage'), (['chekc'], 'did you mean `check`'), (['run'], '-c FILE'),
                        (['check', '--cofnig', 'x'], 'did you mean --config'),
                        (['ctl'], 'wants a question'), (['ctl', 'stauts'], 'did you mean status'),
                        (['ca', 'init', 'x'], '--overlay'), (['ca', 'what'], 'init'),
                        (['sim', 'no-such'], 'no such scenario'),
                        (['sim', 'small', '--set', 'node=3'], 'nodes'),
                        (['sim', 'small', '--set', 'nodes=0'], '--set: nodes'),
                        (['sim', 'small', '--set', 'nat.kind=9'], '--set: nat_kind'),
                        (['sim', 'small', '--set', 'crypto=1', '--set', 'nodes=1000'],
                         'not with the other keys: --set: crypto'),
                        (['sim', 'small', '--trace', '/nowhere/x'], 'No such file'),
                        (['sim', 'small', '--ids', '/nowhere/x'], 'No such file'),
                        (['sim', 'small', '--faults', '/nowhere/x'], 'No such file'),
                        (['sim', 'small', '--faults-out', '/nowhere/x'], 'No such file'),
                        (['sim', 'small', '--repeat', '0'], '--repeat 0'),
                        (LOAD + ['--outstanding', '0'], '--outstanding 0'),
                        (LOAD + ['--server-pid', '2147483647'], '2147483647'),
                        (['ca', 'issue', 'x', '--user', 'a@b', '--out', 'y', '--nodes', '0'],
                         '--nodes 0'),
                        (['resolve', 'alice'], 'sip:USER@DOMAIN'),
                        (['resolve', '<sip:a@b.example>'], 'sip:USER@DOMAIN'),
                        (['check', '-c', 'missing.conf'], 'missing.conf'),
                        (['check', '-c', '.'], 'a folder'),
                        (['run', '-c', 'x', 'y'], 'too many: y'),
                        (['ca', 'renew', 'x'], 'DIR KEYSTORE...'), (['ping'], 'NODE-ID or NAME'),
                        (['ca', 'update', 'x', '--initial-ttl', '0'],
                         '--initial-ttl 0: give 1 to 255'),
                        (['fetch', 'x', '--kind', '0'], '--kind 0'),
                        (['fetch', ''], "not a name: ''"), (['ping', 'a' * 256], 'not a name'),
                        (['store', 'x'], 'nothing was given'), (['store'], 'NAME'),
                        (['store', 'x', '--text', 'a', '--value', '61'], 'given twice'),
                        (['store', 'x', '--value', 'zz'], 'hex digits'),
                        (['store', 'x', '--text', 'a' * 1025], 'at most 1024'),
                        (['store', 'x', '--text', 'a', '--lifetime', '0'], '--lifetime'),
                        (['stat', 'x', '--kind', '4294967296'], '4294967296'),
                        (['route'], 'NODE-ID or NAME'), (['find', 'x', 'y'], 'too many: y'),
                        (['resolve'], 'sip:U@D'),
                        (['sim'], 'SCENARIO'), (['demo', 'x'], 'too many: x')]:
        errors = chordial('.', *words, status=2)
        check(hint in errors, f'{words}: {errors}')


def test_two_keys_of_one_port():
    """`run` could not listen there, and says: see `chordial check`."""
    with Folder() as folder:
        make_node(folder)
        with open(os.path.join(folder, 'n.conf'), encoding='utf-8') as f:
            port = re.search(r'^overlay-port = (\d+)', f.read(), re.MULTILINE).group(1)
        for more in (f'sip-port = {port}\n', f'metrics-listen = "127.0.0.1:{port}"\n'):
            with open(os.path.join(folder, 'n.conf'), encoding='utf-8') as f:
                write(folder, 'two.conf', f.read() + '\n' + more)
            errors = chordial(folder, 'check', '-c', 'two.conf', status=2)
            check(f'127.0.0.1:{port}' in errors and 'two keys' in errors, errors)


def test_too_much_for_this_machine():
    """Pools that would take more memory than there is: said at once, instead of a death later."""
    with Folder() as folder:
        make_node(folder, more='limits { links = 60000000 }\n')
        for words in (['check', '-c', 'n.conf'], ['check', '-c', 'n.conf', '--json'],
                      ['run', '-c', 'n.conf']):
            errors = chordial(folder, *words, status=2)
            check('more memory than there is: limits' in errors and 'MiB' in errors, errors)
        done = subprocess.run([BINARY, 'check', '-c', 'n.conf', '--limits'], cwd=folder,
                              capture_output=True, text=True, check=False, timeout=60)
        check(done.returncode == 2 and ' 60000000 ' in done.stdout, f'what is too large: {done}')


def test_no_node_is_status_1():
    for words in [['ctl', 'status'], ['ping', 'x'], ['fetch', 'x'], ['resolve', 'sip:a@b'],
                  ['stat', 'x'], ['find', 'x'], ['route', 'x'], ['store', 'x', '--text', 'y']]:
        errors = chordial('.', *words, '-s', '/nowhere/x.sock', status=1)
        check('cannot reach the node' in errors, f'{words}: {errors}')


def test_load_says_what_is_not_there():
    """A port where nobody listens, and one where somebody else does, for streams of both sorts."""
    with Folder() as folder, socket.socket() as other:
        other.bind(('127.0.0.1', 0))
        at = '127.0.0.1:%d' % other.getsockname()[1]
        chordial(folder, 'ca', 'init', 'ca', '--overlay', 'a.example')
        kinds = [['forward', '--ca', 'ca', '--overlay'], ['options', '--transport', 'tls', '--sip']]
        for words in kinds:
            errors = chordial(folder, 'load', '--kind', *words, at, status=1)
            check(f'{at}: Connection refused; is the node running?' in errors, errors)
        words = [BINARY, 'load', '--kind', 'options', '--sip', at, '--seconds', '1', '--rate', '20',
                 '--timeout-ms', '200']
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
        check(done.returncode == 1 and '0 done  latency  of nothing' in done.stdout, f'{done}')
        other.listen()
        for words in kinds:
            errors = chordial(folder, 'load', '--timeout-ms', '500', '--kind', *words, at, status=1)
            check('no TLS with the node' in errors and '-port?' in errors, errors)


def test_version():
    text = chordial('.', '--version')
    check(text.startswith('chordial ') and len(text.splitlines()) == 1, text)


def check_json_says_the_same(text, facts):
    """Whatever the text says of a node has its key in the object."""
    said = [facts['overlay'], facts['host'], facts['overlay_at'], facts['overlay_advertised'],
            facts['storage_ack'], facts['firewall'], f'sequence {facts["sequence"]},',
            f'{facts["kinds"]} of the document', f'accounts      {facts["accounts"]}']
    said += [f'{row["address"]}, {row["by"]}' for row in facts['phones_at']]
    check(facts['phones_at'] and all(word in text for word in said), f'{text}\n{facts}')
    check(facts['kinds_refused'] == [] and facts['phones_certificate'] is None, str(facts))
    check(facts['foreign_domains'] is False and facts['foreign_tls'] is False, str(facts))


def test_check():
    with Folder() as folder:
        make_node(folder, shards=2)
        text = chordial(folder, 'check', '-c', 'n.conf')
        for word in ('firewall', 'memory', 'signature good', 'voice.example'):
            check(word in text, text)
        facts = json.loads(chordial(folder, 'check', '-c', 'n.conf', '--json'))
        check(facts['shards'] == 2 and len(facts['node_ids']) == 2, str(facts))
        check_json_says_the_same(text, facts)
        check('msgbuf_small' in chordial(folder, 'check', '-c', 'n.conf', '--limits'), 'limits')
        facts = json.loads(chordial(folder, 'check', '-c', 'n.conf', '--limits', '--json'))
        check(facts['limits']['msgbuf_small'] > 0, str(facts))
        with open(os.path.join(folder, 'n.conf'), encoding='utf-8') as f:
            good = f.read()
        write(folder, 'n.conf', good.replace('sip-port =', 'sip-prot ='))
        errors = chordial(folder, 'check', '-c', 'n.conf', status=2)
        check('did you mean' in errors and 'n.conf:' in errors, errors)
        write(folder, 'n.conf', good.replace('shards = 2', 'shards = 3'))
        check('chordial ca issue' in chordial(folder, 'run', '-c', 'n.conf', status=2), 'shards')
        write(folder, 'n.conf', good.replace('127.0.0.1', '192.0.2.1'))
        errors = chordial(folder, 'check', '-c', 'n.conf', status=2)
        check('an address of this machine' in errors, errors)
        write(folder, 'n.conf', good)
        judged = chordial(folder, 'verify', 'peers/host1@voice.example.1.pem', '--trust',
                          'ca/root.crt')
        check('valid' in judged and 'host1@voice.example' in judged, judged)
        os.chmod(os.path.join(folder, 'peers', 'host1@voice.example.1.pem'), 0o644)
        check('chmod 600' in chordial(folder, 'check', '-c', 'n.conf', status=2), 'mode')


def test_a_node_alone():
    with Folder() as folder:
        make_node(folder)
        with Node(folder) as node:
            status = json.loads(chordial(folder, 'ctl', '-s', 'n.sock', 'status', '--json'))
            check(status['ready'] and status['pid'] == node.process.pid, str(status))
            check(len(status['shards']) == 1, str(status))
            check(oct(os.stat(os.path.join(folder, 'n.sock')).st_mode)[-3:] == '600', 'mode')
            for question in ('status', 'peers', 'ring', 'links', 'stored', 'bindings', 'metrics',
                             'trace'):
                chordial(folder, 'ctl', '-s', 'n.sock', question)
                json.loads(chordial(folder, 'ctl', '-s', 'n.sock', question, '--json'))
            pong = json.loads(chordial(folder, 'ping', '-s', 'n.sock', 'alice@voice.example',
                                       '--json'))
            check(pong['node_id'] == status['shards'][0]['node_id'], str(pong))
            # the certificates of its accounts are published in the background
            wait_for('480', 10, lambda: status_of(folder, 'alice') == 480)
            check(status_of(folder, 'nobody') == 404, 'nobody')
            errors = chordial(folder, 'check', '-c', 'n.conf', status=2)
            check('running already' in errors, errors)
            node.process.send_signal(signal.SIGHUP)
            node.process.send_signal(signal.SIGTERM)
            check(node.process.wait(20) == 0, 'SIGTERM: ' + '\n'.join(node.lines()))
            check(not os.path.exists(os.path.join(folder, 'n.sock')), 'the socket is left')


ESCAPE = '\x1b]0;owned\x07'


def operation(folder, *words, status=0):
    """The object that an operation prints."""
    done = subprocess.run([BINARY, *words, '-s', 'n.sock', '--json'], cwd=folder, check=False,
                          capture_output=True, text=True, timeout=60)
    check(done.returncode == status, f'{words}: {done}')
    return json.loads(done.stdout)


def port_of(folder):
    """HOST:PORT of the node's overlay listener."""
    with open(os.path.join(folder, 'n.conf'), encoding='utf-8') as f:
        lines = f.read().splitlines()
    return '127.0.0.1:' + next(x for x in lines if x.startswith('overlay-port')).split()[-1]


def test_operations():
    with Folder() as folder:
        make_node(folder)
        with Node(folder):
            me = operation(folder, 'ctl', 'status')['shards'][0]['node_id']
            host = 'host1@voice.example'
            # A SIP-REGISTRATION: type 1 (a URI), with a terminal's orders in it.
            uri = 'sip:' + ESCAPE + '@a.example'
            value = '01' + f'{len(uri) + 2:04x}' + f'{len(uri):04x}' + uri.encode().hex()
            row = operation(folder, 'store', host, '--value', value, '--lifetime', '100')
            check(row['ok'] and row['kind'] == 1, str(row))
            row = operation(folder, 'fetch', host)
            check([v['key'] for v in row['values']] == [me], str(row))
            check(row['values'][0]['value'] == value and row['values'][0]['lifetime_s'] <= 100,
                  str(row))
            text = chordial(folder, 'fetch', host, '-s', 'n.sock')
            check('\x1b' not in text and '\x07' not in text and '@a.example' in text, repr(text))
            row = operation(folder, 'stat', host)
            (meta,) = row['values']
            content = bytes.fromhex(value)
            digest = hashlib.sha256(len(content).to_bytes(4, 'big') + content).hexdigest()
            check(meta['key'] == me and meta['value_bytes'] == len(content), str(row))
            check(meta['hash'] == digest and 0 < meta['lifetime_s'] <= 100, str(row))
            check(digest in chordial(folder, 'stat', host, '-s', 'n.sock'), 'stat for people')
            check(operation(folder, 'stat', 'nobody@voice.example')['values'] == [], 'nobody')
            check(operation(folder, 'stat', host, '--kind', '77', status=1)['error'] ==
                  'not_found', 'a Kind that there is not')
            errors = chordial(folder, 'stat', host, '--kind', '77', '-s', 'n.sock', status=1)
            check('no such Kind' in errors and 'RELOAD error' not in errors, errors)
            found = operation(folder, 'find', 'nobody@voice.example')
            check(found['found'] == row['resource'], str(found))
            check(row['resource'] in chordial(folder, 'find', host, '-s', 'n.sock'), 'find')
            check(operation(folder, 'find', host, '--kind', '77')['found'] is None, 'find 77')
            way = operation(folder, 'route', host)
            check(way['ok'] and [s['node_id'] for s in way['steps']] == [me], str(way))
            check(me in chordial(folder, 'route', me, '-s', 'n.sock'), 'route for people')
            # It signs for nobody else: not even for an account whose key it has.
            row = operation(folder, 'store', 'alice@voice.example', '--value', value, status=1)
            check(not row['ok'] and row['reload_error'] == 2, str(row))
            errors = chordial(folder, 'store', 'alice@voice.example', '--value', value, '-s',
                              'n.sock', status=1)
            check('may not write' in errors, errors)
            # Her own keystore does, without a node of hers.
            client = ['--node', port_of(folder), '--document', 'ca/overlay.xml', '--keystore',
                      'accounts/alice@voice.example.1.pem']
            words = [BINARY, 'store', 'alice@voice.example', '--value', value, *client, '--json']
            done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False,
                                  timeout=60)
            check(done.returncode == 0 and json.loads(done.stdout)['ok'], str(done))
            row = operation(folder, 'fetch', 'alice@voice.example')
            check([v['signer_user'] for v in row['values']] == ['alice@voice.example'], str(row))
            errors = chordial(folder, 'store', host, '--value', value, *client, status=1)
            check('error_forbidden' in errors, errors)
            for wrong, hint in [(['--keystore', 'none.pem'], 'none.pem'),
                                (['--node', '127.0.0.1'], 'HOST:PORT'),
                                (['-s', 'x'], 'or -s alone'),
                                (['--kind', '77'], '--kind 77'),
                                (['--document', 'n.conf'], 'n.conf')]:
                errors = chordial(folder, 'store', 'alice@voice.example', '--value', value,
                                  *client, *wrong, status=2)
                check(hint in errors, f'{wrong}: {errors}')
            check(operation(folder, 'store', host, '--remove')['ok'], 'remove')
            check(operation(folder, 'fetch', host)['values'] == [], 'it is still there')


MAILBOX = '(&(sip.automata=TRUE)(sip.methods=MESSAGE))'


def registration(node_id, prefs):
    """SIP-REGISTRATION of type 2, a route (RFC 7904 3)."""
    data = vector(prefs.encode(), 2) + vector(b'\x01\x10' + node_id, 2)
    return (b'\x02' + vector(data, 2)).hex()


def resolved(folder, status):
    """`resolve` of alice, for programs and for people; its exit status is 0 for 200 alone."""
    words = ['resolve', 'sip:alice@voice.example', '-s', 'n.sock']
    done = subprocess.run([BINARY, *words], cwd=folder, capture_output=True, text=True, timeout=60)
    row = operation(folder, *words[:2], status=0 if status == 200 else 1)
    check(row['status'] == status and done.returncode == (0 if status == 200 else 1), str(row))
    return row['values'], done.stdout


def test_what_a_caller_would_see():
    """Where there is only a mailbox nobody can be called; q and preferences are shown."""
    with Folder() as folder:
        make_node(folder)
        keystore = 'accounts/alice@voice.example.1.pem'
        node_id = Credential(os.path.join(folder, keystore)).node_id
        store = ['store', 'alice@voice.example', '--node', port_of(folder), '--document',
                 'ca/overlay.xml', '--keystore', keystore]
        with Node(folder):
            chordial(folder, *store, '--value', registration(node_id, MAILBOX))
            (value,), text = resolved(folder, 480)
            check(value['mailbox'] and value['route'] == [node_id.hex()], str(value))
            check('480 known, but not registered' in text and 'messages are kept' in text, text)
            prefs = '(&(sip.audio=TRUE));q=0.5;steps=2'
            chordial(folder, *store, '--value', registration(node_id, prefs))
            (value,), text = resolved(folder, 200)
            check(not value['mailbox'] and value['prefs'] == prefs, str(value))
            check(value['q_milli'] == 500 and 'q 0.500' in text and prefs in text, text)
            chordial(folder, *store, '--value', registration(node_id, ''))
            (value,), text = resolved(folder, 200)
            check(value['q_milli'] == 1000 and value['prefs'] == '' and ' q ' not in text, text)


def test_nobody_of_that_node_id():
    with Folder() as folder:
        make_node(folder)
        with Node(folder):
            errors = chordial(folder, 'ping', '0' * 31 + '1', '-s', 'n.sock', status=1)
            check('no answer in time' in errors and 'nobody of that Node-ID' in errors, errors)
            check('error 0' not in errors, errors)


class Liar:
    """A peer with a good certificate that answers a Store as if it had been done, once; `break_it`
    spoils the answer."""

    def __init__(self, folder, break_it):
        self.credential = Credential(os.path.join(folder, 'peers/host1@voice.example.1.pem'))
        self.break_it = break_it
        self.listener = socket.create_server(('127.0.0.1', 0))
        self.address = '127.0.0.1:%d' % self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self.serve, args=[folder], daemon=True)
        self.thread.start()

    def serve(self, folder):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.credential.path)
        context.load_verify_locations(os.path.join(folder, 'ca/root.crt'))
        context.verify_mode = ssl.CERT_OPTIONAL
        try:
            with context.wrap_socket(self.listener.accept()[0], server_side=True) as stream:
                stream.settimeout(20)
                data = b''
                while len(data) < 64:  # the transaction id is in sight
                    data += stream.recv(65536)
                answer = Message(self.credential, 'voice.example', bytes(16), STORE_ANS, b'\0\0')
                answer.transaction = data[8 + 20:8 + 28]
                self.break_it(answer)
                stream.sendall(frame(answer.bytes()))
                stream.recv(65536)  # its ACK; then the connection ends
        except OSError:
            pass

    def close(self):
        self.listener.close()
        self.thread.join(30)


def test_a_client_judges_the_answer():
    """`store` by a client: what no member of the overlay has signed is no answer."""
    with Folder() as folder:
        make_node(folder)
        stranger = os.path.join(folder, 'stranger.pem')
        subprocess.run(['openssl', 'req', '-x509', '-newkey', 'ed25519', '-nodes', '-subj', '/CN=x',
                        '-days', '2', '-keyout', stranger + '.key', '-out', stranger],
                       check=True, capture_output=True, timeout=60)
        with open(stranger, 'a', encoding='ascii') as out, \
                open(stranger + '.key', encoding='ascii') as key:
            out.write(key.read())
        for status, break_it in ((0, lambda m: None),
                                 (1, lambda m: setattr(m, 'flip_signature', True)),
                                 (1, lambda m: setattr(m, 'flip_contents', True)),
                                 (1, lambda m: setattr(m, 'is_signed', False)),
                                 (1, lambda m: setattr(m, 'signer', Credential(stranger)))):
            liar = Liar(folder, break_it)
            try:
                said = chordial(folder, 'store', 'alice@voice.example', '--text', 'x', '--node',
                                liar.address, '--document', 'ca/overlay.xml', '--keystore',
                                'accounts/alice@voice.example.1.pem', status=status)
                check(('stored as' if status == 0 else 'signature') in said, said)
            finally:
                liar.close()


def test_whose_addresses_an_overlay_takes():
    """--aor-domain of `ca update` is heeded by a node (RFC 7904 3.4)."""
    value = '01000b0009' + b'sip:a@b.c'.hex()
    words = ['store', 'alice@voice.example', '--value', value, '--document', 'ca/overlay.xml',
             '--keystore', 'accounts/alice@voice.example.1.pem', '--node']
    with Folder() as folder:
        make_node(folder)
        chordial(folder, 'ca', 'update', 'ca', '--aor-domain', r'other\.example')
        with Node(folder):
            errors = chordial(folder, *words, port_of(folder), status=1)
            check('error_forbidden' in errors, errors)
        chordial(folder, 'ca', 'update', 'ca', '--aor-domain', 'own')
        with Node(folder):
            text = chordial(folder, *words, port_of(folder))
            check('stored as kind 1' in text, text)
            text = chordial(folder, *words[:2], *words[4:], port_of(folder), '--remove')
            check('removed from kind 1' in text, text)


def test_the_authority_in_json():
    with Folder() as folder:
        made = json.loads(chordial(folder, 'ca', 'init', 'ca', '--overlay', 'a.example', '--json'))
        wanted = {'overlay': 'a.example', 'dir': 'ca', 'document': 'ca/overlay.xml'}
        check(made == wanted, f'{made}')
        made = json.loads(chordial(folder, 'ca', 'update', 'ca', '--json'))
        check(made == {'sequence': 2, 'document': 'ca/overlay.xml'}, f'{made}')
        made = json.loads(chordial(folder, 'ca', 'update', 'ca', '-o', 'next.xml', '--json'))
        check(made == {'sequence': 3, 'document': 'next.xml'}, f'{made}')


def test_what_is_refused_is_not_begun():
    """An order that fails makes no folder and changes no account."""
    with Folder() as folder:
        chordial(folder, 'ca', 'init', 'ca', '--overlay', 'a.example')
        for words in [['--user', 'x@b.example'], ['--user', 'x@a.example', '--digest', 'foo'],
                      ['--user', 'x@a.example', '--password-stdin']]:
            chordial(folder, 'ca', 'issue', 'ca', *words, '--out', 'keys', status=2)
            check(not os.path.exists(os.path.join(folder, 'keys')), f'{words}: a folder is left')
        chordial(folder, 'ca', 'issue', 'ca', '--user', 'x@a.example', '--out', 'keys')
        errors = chordial(folder, 'ca', 'issue', 'ca', '--user', 'x@a.example', '--out', 'keys',
                          status=1)
        check('keys/x@a.example.1.pem' in errors and 'chordial ca renew' in errors, errors)


def test_renewed_keystores():
    """ID-3: with its certificates made anew a node is the peer that it was."""
    with Folder() as folder:
        make_node(folder)
        ids = []
        for days in (1, 700):
            files = ['peers/host1@voice.example.1.pem', 'accounts/alice@voice.example.1.pem']
            told = json.loads(chordial(folder, 'ca', 'renew', 'ca', *files, '--days', str(days),
                                       '--json'))
            ids.append([row['node_id'] for row in told['keystores']])
            facts = json.loads(chordial(folder, 'check', '-c', 'n.conf', '--json'))
            check(facts['node_ids'] == ids[-1][:1], str(facts))
        check(ids[0] == ids[1], str(ids))
        with Node(folder):
            status = json.loads(chordial(folder, 'ctl', '-s', 'n.sock', 'status', '--json'))
            check(status['shards'][0]['node_id'] == ids[0][0], str(status))
        errors = chordial(folder, 'ca', 'renew', 'ca', 'ca/signer.pem', status=1)
        check('not on record' in errors, errors)


def test_the_admin_socket_stands_bad_clients():
    with Folder() as folder:
        make_node(folder, shards=2)
        path = os.path.join(folder, 'n.sock')
        with Node(folder) as node:
            for line in (b'nonsense\n', b'[]\n', b'{}\n', b'{"cmd":"what"}\n', b'{"cmd":7}\n',
                         b'{"cmd":"fetch"}\n', b'{"cmd":"ping","node":"zz"}\n',
                         b'{"cmd":"fetch","name":"' + b'x' * 300 + b'"}\n', b'\x00\xff\n',
                         b'x' * 8192):
                with socket.socket(socket.AF_UNIX) as s:
                    s.settimeout(5)
                    s.connect(path)
                    s.sendall(line)
                    check(b'error' in s.recv(1000), str(line[:40]))
            idle = []
            for _ in range(40):  # more than there is room for
                s = socket.socket(socket.AF_UNIX)
                s.connect(path)
                idle.append(s)
            for s in idle:
                s.close()
            # many requests on one connection, the answers read late
            with socket.socket(socket.AF_UNIX) as s:
                s.connect(path)  # with a timeout it would not wait for room in the backlog
                s.settimeout(10)
                s.sendall(b'{"cmd":"metrics"}\n' * 200)
                answers = s.makefile('rb')
                for _ in range(200):
                    check('links_up' in json.loads(answers.readline()), 'metrics')
            chordial(folder, 'ctl', '-s', 'n.sock', 'ring')
            node.process.send_signal(signal.SIGKILL)
            node.process.wait()
        with Node(folder) as node:  # takes over the socket that was left behind
            chordial(folder, 'ctl', '-s', 'n.sock', 'drain')
            check(node.process.wait(20) == 0, 'drain')


def test_another_program_answers():
    """What listens at -s need not be a node: it is told apart from one that is silent."""
    with Folder() as folder, socket.socket(socket.AF_UNIX) as other:
        other.bind(os.path.join(folder, 'n.sock'))
        other.listen()
        with subprocess.Popen([BINARY, 'ctl', '-s', 'n.sock', 'status'], cwd=folder, text=True,
                              stderr=subprocess.PIPE) as asking:
            connection, _ = other.accept()
            with connection:
                connection.sendall(b'220 ready\n')
                errors = asking.stderr.read()
        check(asking.returncode == 1 and 'not an answer of a node' in errors, errors)


def test_sim():
    first = json.loads(chordial('.', 'sim', 'small', '--seed', '5', '--json'))
    second = json.loads(chordial('.', 'sim', 'small', '--seed', '5', '--json'))
    other = json.loads(chordial('.', 'sim', 'small', '--seed', '6', '--json'))
    check(first['invariants']['broken'] == 0, str(first))
    check(first['fingerprint'] == second['fingerprint'], 'one seed, two runs')
    check(first['fingerprint'] != other['fingerprint'], 'two seeds, one run')


def test_no_openssl_in_the_daemon():
    """BoringSSL and OpenSSL in one process bind to each other's symbols."""
    listed = subprocess.run(['ldd', BINARY], capture_output=True, text=True, check=True).stdout
    for library in ('libcrypto.so.3', 'libcrypto.so.1', 'libssl.so.3', 'libssl.so.1', 'libcurl',
                    'libssh2', 'libxmlsec'):
        check(library not in listed, f'{library} is linked')
    check('android' in listed or 'libssl.so.0' in listed or 'boringssl' in listed or
          'libssl' not in listed, listed)


run([test_help_of_each_command, test_bad_usage_is_status_2, test_too_much_for_this_machine,
     test_two_keys_of_one_port,
     test_no_node_is_status_1, test_check,
     test_load_says_what_is_not_there, test_version, test_a_node_alone, test_operations,
     test_what_a_caller_would_see, test_nobody_of_that_node_id, test_a_client_judges_the_answer,
     test_whose_addresses_an_overlay_takes, test_the_authority_in_json,
     test_what_is_refused_is_not_begun,
     test_renewed_keystores,
     test_the_admin_socket_stands_bad_clients, test_another_program_answers, test_sim,
     test_no_openssl_in_the_daemon])
