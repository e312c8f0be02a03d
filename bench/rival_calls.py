# SPDX-License-Identifier: Apache-2.0
"""Phones of bench/rivals.py that need a password: the dialog that rival_sip sends in, and the time
from INVITE to ringing through two nodes."""
import os
import secrets
import statistics
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))),
                                'tests', 'live'))
import phone  # noqa: E402


def registered(account, domain, server, **how):
    p = phone.Phone(account, domain, server, **how)
    status = p.register()
    if status != 200:
        raise OSError('REGISTER of %s: %d' % (p.aor, status))
    return p


def dialog(told, server):
    """Words for rival_sip: a call between two phones at one node, answered and never ended.  Their
    ports are free again."""
    a, b = (registered(account, told['domain'], server) for account in told['accounts'][:2])
    try:
        call_id, tag, uri = secrets.token_hex(12), secrets.token_hex(6), 'sip:' + b.aor
        status, headers = a.authenticated('INVITE', uri, '<%s>' % uri, call_id, tag)
        if status != 200:
            raise OSError('INVITE: %d' % status)
        b.dialogs[call_id] = None  # the 200 need not be repeated
        routes = [r.strip() for v in phone.values(headers, 'record-route') for r in v.split(',')]
        return ['--route', ','.join(reversed(routes)), '--target',
                phone.uri_of(phone.first(headers, 'contact')), '--to', b.aor,
                '--uac-port', a.local.rpartition(':')[2],
                '--uas-port', b.local.rpartition(':')[2]]
    finally:
        a.close()
        b.close()


class Line:
    """A registered phone whose socket is read by this thread alone: no thread of its own wakes up
    while time is taken."""

    def __init__(self, account, domain, server):
        self.phone = registered(account, domain, server)
        self.phone.running = False
        self.phone.thread.join()
        self.phone.socket.settimeout(5)

    def hear(self, begin):
        """The next message that begins so, as (first line, headers)."""
        while True:
            start, headers = phone.parse(self.phone.socket.recv(65536))
            if start.startswith(begin):
                return start, headers

    def close(self):
        self.phone.socket.close()


def ring(caller, callee):
    """Seconds that nodes take to carry an INVITE to the callee and its 180 back."""
    a, b = caller.phone, callee.phone
    call_id, tag, uri = secrets.token_hex(12), secrets.token_hex(6), 'sip:' + b.aor

    def say(method, cseq, branch, to, extra=''):
        a.send(f'{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {a.local};branch={branch};rport\r\n'
               f'Max-Forwards: 70\r\nFrom: <sip:{a.aor}>;tag={tag}\r\nTo: {to}\r\n'
               f'Call-ID: {call_id}\r\nCSeq: {cseq} {method}\r\n'
               f'Contact: <sip:{a.user}@{a.local}>\r\n{extra}Content-Length: 0\r\n\r\n')

    branches = ['z9hG4bK' + secrets.token_hex(12) for _ in range(2)]
    say('INVITE', 1, branches[0], f'<{uri}>')
    _, headers = caller.hear('SIP/2.0 407')
    say('ACK', 1, branches[0], phone.first(headers, 'to'))
    extra = a.credentials('INVITE', uri, headers)
    begin = time.monotonic()
    say('INVITE', 2, branches[1], f'<{uri}>', extra)
    _, asked = callee.hear('INVITE')
    there = time.monotonic()
    b.respond('180 Ringing', asked)
    back = time.monotonic()
    caller.hear('SIP/2.0 180')
    end = time.monotonic()
    b.respond('486 Busy Here', asked)
    _, headers = caller.hear('SIP/2.0 486')
    say('ACK', 2, branches[1], phone.first(headers, 'to'))
    callee.hear('ACK')
    return there - begin + end - back


def delays(told, again=20):
    """From INVITE to 180 through two nodes, less what the callee itself took, in nanoseconds:
    medians of the first call to each phone where the two nodes have no SIP connection yet, where
    they have, and of further calls, when the callee is cached."""
    domain, accounts, peers = told['domain'], told['accounts'], told['peers']
    caller = Line(accounts[0], domain, peers[0]['sip'])
    first, known, cached = [], [], []
    for i, account in enumerate(accounts[1:]):
        callee = Line(account, domain, peers[1 + i % (len(peers) - 1)]['sip'])
        (first if i < len(peers) - 1 else known).append(ring(caller, callee))
        cached += [ring(caller, callee) for _ in range(again)]
        callee.close()
    caller.close()
    return [{'work': 'delay_' + name, 'ns_per_op': 1e9 * statistics.median(took)}
            for name, took in (('first', first), ('known', known), ('cached', cached))]
