# SPDX-License-Identifier: Apache-2.0
"""A small SIP phone for the live tests, over UDP here and over the rest in wire_phone.py, written
apart from the program's own: registers with MD5 digest, calls, answers (after a while where
asked), hangs up; retransmits as RFC 3261 17 says."""
import hashlib
import re
import secrets
import socket
import threading
import time

from live import patience

T1 = 0.5


def parse(data):
    head, _, _ = data.decode('utf-8', 'replace').partition('\r\n\r\n')
    lines = head.split('\r\n')
    headers = []
    for line in lines[1:]:
        name, _, value = line.partition(':')
        headers.append((name.strip().lower(), value.strip()))
    return lines[0], headers


def values(headers, name):
    return [v for n, v in headers if n == name]


def first(headers, name):
    return next(iter(values(headers, name)), '')


def uri_of(address):
    found = re.search(r'<([^>]*)>', address)
    return found.group(1) if found else address.split(';')[0]


def md5(text):
    return hashlib.md5(text.encode()).hexdigest()


class Phone:
    """One account at one peer.  `answer_after` is how long it rings, in seconds."""

    def __init__(self, account, domain, server, answer_after=0.0):
        self.user = account['user'].split('@')[0]
        self.password = account['password']
        self.domain = domain
        self.aor = f'{self.user}@{domain}'
        host, port = server.rsplit(':', 1)
        family = socket.AF_INET6 if host.startswith('[') else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_DGRAM)
        self.socket.connect((host.strip('[]'), int(port)))
        self.socket.settimeout(0.2)
        own, own_port = self.socket.getsockname()[:2]
        self.start(f'[{own}]:{own_port}' if ':' in own else f'{own}:{own_port}', answer_after)

    def start(self, local, answer_after, transport='UDP', scheme='sip'):
        self.local = local
        self.transport = transport
        self.via = f'SIP/2.0/{transport} {local}'
        self.scheme = scheme
        parameter = '' if transport == 'UDP' else f';transport={transport.lower()}'
        self.contact = f'{scheme}:{self.user}@{local}' + parameter
        self.answer_after = answer_after
        self.waiting = {}  # (branch, method) -> [event, final response] (RFC 3261 17.1.3)
        self.dialogs = {}  # call-id of a call that we take -> 200
        self.taken = 0
        self.rung = 0
        self.lock = threading.Lock()
        self.running = True
        self.thread = threading.Thread(target=self.receive, daemon=True)
        self.thread.start()

    def close(self):
        self.running = False
        self.thread.join()
        self.socket.close()

    def send(self, text):
        try:
            self.socket.send(text.encode())
        except OSError:
            pass  # the node was killed: retransmission and time-out are for that

    # ---- receiving

    def receive(self):
        while self.running:
            try:
                data = self.socket.recv(65536)
            except socket.timeout:
                continue
            except OSError:
                time.sleep(0.05)
                continue
            self.take(data)

    def take(self, data):
        start, headers = parse(data)
        if start.startswith('SIP/2.0'):
            self.on_response(int(start.split()[1]), headers)
        elif start:
            self.on_request(start.split()[0], headers)

    def on_response(self, status, headers):
        branch = re.search(r'branch=([^;]*)', first(headers, 'via'))
        method = first(headers, 'cseq').split()[-1:]
        with self.lock:
            wait = self.waiting.get((branch.group(1), *method) if branch else None)
        if wait is not None:
            wait[2] = True  # something came
            if status >= 200:
                wait[1] = (status, headers)
                wait[0].set()

    def respond(self, status, headers, extra='', tag='t'):
        self.send(self.response(status, headers, extra, tag))

    def response(self, status, headers, extra='', tag='t'):
        to = first(headers, 'to')
        text = f'SIP/2.0 {status}\r\n'
        text += ''.join(f'Via: {v}\r\n' for v in values(headers, 'via'))
        text += ''.join(f'Record-Route: {v}\r\n' for v in values(headers, 'record-route'))
        text += f'From: {first(headers, "from")}\r\n'
        text += f'To: {to if ";tag=" in to else to + ";tag=" + tag}\r\n'
        text += f'Call-ID: {first(headers, "call-id")}\r\nCSeq: {first(headers, "cseq")}\r\n'
        contact = self.contact if 'sips:' in to else self.contact.replace('sips:', 'sip:')
        text += f'Contact: <{contact}>\r\n{extra}Content-Length: 0\r\n\r\n'
        return text

    def on_request(self, method, headers):
        call_id = first(headers, 'call-id')
        if method == 'INVITE':
            if call_id in self.dialogs:
                return
            self.dialogs[call_id] = None
            self.respond('180 Ringing', headers)
            self.rung += 1
            threading.Timer(self.answer_after, self.answer, [headers]).start()
        elif method == 'ACK':
            self.dialogs[call_id] = None
        else:
            self.respond('200 OK', headers)

    def answer(self, headers):
        call_id = first(headers, 'call-id')
        text = self.dialogs[call_id] = self.response('200 OK', headers)
        self.send(text)  # noted before: the ACK may be faster than this thread
        self.taken += 1
        for _ in range(8):  # 2xx over any transport (13.3.1.4)
            time.sleep(T1)
            if self.dialogs.get(call_id) is None or not self.running:
                return
            self.send(text)

    # ---- sending

    def request(self, method, uri, to, call_id, cseq, from_tag, extra='', routes=(), limit=32,
                body=''):
        """One request; (status, headers) of its final response, (408, []) when there is none."""
        branch = 'z9hG4bK' + secrets.token_hex(12)
        text = (f'{method} {uri} SIP/2.0\r\nVia: {self.via};branch={branch};rport\r\n'
                f'Max-Forwards: 70\r\n' + ''.join(f'Route: {r}\r\n' for r in routes) +
                f'From: <{self.scheme}:{self.aor}>;tag={from_tag}\r\nTo: {to}\r\n'
                f'Call-ID: {call_id}\r\n'
                f'CSeq: {cseq} {method}\r\nContact: <{self.contact}>\r\n'
                f'{extra}Content-Length: {len(body)}\r\n\r\n{body}')
        wait = [threading.Event(), (408, []), False]
        with self.lock:
            self.waiting[branch, method] = wait
        pause = T1
        end = time.monotonic() + limit * patience()
        self.send(text)
        while not wait[0].wait(min(pause, max(0.01, end - time.monotonic()))):
            if time.monotonic() >= end:
                break
            if self.transport == 'UDP' and not (method == 'INVITE' and wait[2]):
                self.send(text)
                pause = min(2 * pause, 4.0)
        status, headers = wait[1]
        if method == 'INVITE' and status >= 300 and status != 408:
            self.send(f'ACK {uri} SIP/2.0\r\n'
                      f'Via: {self.via};branch={branch};rport\r\n'
                      f'Max-Forwards: 70\r\nFrom: <{self.scheme}:{self.aor}>;tag={from_tag}\r\n'
                      f'To: {first(headers, "to")}\r\nCall-ID: {call_id}\r\nCSeq: {cseq} ACK\r\n'
                      f'Content-Length: 0\r\n\r\n')
        return status, headers

    def credentials(self, method, uri, headers):
        challenge = first(headers, 'www-authenticate') or first(headers, 'proxy-authenticate')
        name = 'Authorization' if first(headers, 'www-authenticate') else 'Proxy-Authorization'
        part = dict(re.findall(r'(\w+)="?([^",]*)"?', challenge))
        ha1 = md5(f'{self.user}:{part["realm"]}:{self.password}')
        ha2 = md5(f'{method}:{uri}')
        cnonce = secrets.token_hex(8)
        answer = md5(f'{ha1}:{part["nonce"]}:00000001:{cnonce}:auth:{ha2}')
        return (f'{name}: Digest username="{self.user}", realm="{part["realm"]}", '
                f'nonce="{part["nonce"]}", uri="{uri}", response="{answer}", algorithm=MD5, '
                f'qop=auth, nc=00000001, cnonce="{cnonce}"' +
                (f', opaque="{part["opaque"]}"' if 'opaque' in part else '') + '\r\n')

    def authenticated(self, method, uri, to, call_id, from_tag, extra='', limit=32, body=''):
        status, headers = self.request(method, uri, to, call_id, 1, from_tag, extra, limit=limit,
                                       body=body)
        if status in (401, 407):
            extra += self.credentials(method, uri, headers)
            status, headers = self.request(method, uri, to, call_id, 2, from_tag, extra,
                                           limit=limit, body=body)
        return status, headers

    def register(self, expires=3600, limit=32):
        status, _ = self.authenticated('REGISTER', f'{self.scheme}:{self.domain}',
                                       f'<{self.scheme}:{self.aor}>',
                                       secrets.token_hex(12), secrets.token_hex(6),
                                       f'Expires: {expires}\r\n', limit)
        return status

    def call(self, to_aor, limit=32, talk=0.02, bye_limit=None):
        """INVITE, ACK, BYE; (status of INVITE, status of BYE or None, Warning or '')."""
        call_id, tag, uri = secrets.token_hex(12), secrets.token_hex(6), f'{self.scheme}:{to_aor}'
        status, headers = self.authenticated('INVITE', uri, f'<{uri}>', call_id, tag, limit=limit)
        if status != 200:
            return status, None, first(headers, 'warning')
        routes = list(reversed([r.strip() for v in values(headers, 'record-route')
                                for r in v.split(',')]))
        target, to = uri_of(first(headers, 'contact')), first(headers, 'to')
        branch = 'z9hG4bK' + secrets.token_hex(12)
        self.send(f'ACK {target} SIP/2.0\r\nVia: {self.via};branch={branch};rport\r\n'
                  'Max-Forwards: 70\r\n' + ''.join(f'Route: {r}\r\n' for r in routes) +
                  f'From: <{self.scheme}:{self.aor}>;tag={tag}\r\nTo: {to}\r\n'
                  f'Call-ID: {call_id}\r\n'
                  'CSeq: 2 ACK\r\nContent-Length: 0\r\n\r\n')
        time.sleep(talk)
        bye, _ = self.request('BYE', target, to, call_id, 3, tag, routes=routes,
                              limit=bye_limit or limit)
        return status, bye, ''
