#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""One account at two nodes: which of them is called first (q), what a registration query lists, and
a user's own forward (issue 6, Build 3 and 4; docs/events.md)."""
import os
import re
import secrets

from devices import Device, LIMIT, Two, ask
from live import Folder, check, chordial, run
from phone import values
from transports import NAME

CAROL = {'user': f'carol@{NAME}', 'password': 'secret'}


class Both(Two):
    """Carol has an account at both nodes."""

    def __init__(self, folder):
        super().__init__(folder)
        chordial(folder, 'ca', 'issue', 'ca', '--user', CAROL['user'], '--password-stdin',
                 '--digest', 'md5', '--nodes', '2', '--out', 'keys', given='secret\n')
        for i in (1, 2):
            name = f'{CAROL["user"]}.{i}.pem'
            os.rename(os.path.join(folder, 'keys', name),
                      os.path.join(folder, f'accounts{i}', name))

    def carol(self, node, params):
        made = Bare(CAROL, NAME, f'127.0.0.1:{self.nodes[node].ports["UDP"]}')
        self.phones.append(made)
        made.params = params
        check(made.register(limit=LIMIT) == 200, f'carol cannot register at node {node}')
        return made


class Bare(Device):
    """A device whose REGISTER has another Contact, or none, when it is told so."""
    instead = None

    def send(self, text):
        if text.startswith('REGISTER') and self.instead is not None:
            text = text.replace(f'Contact: <{self.contact}>\r\n', self.instead)
        super().send(text)


def register(phone, instead):
    phone.instead = instead
    try:
        return phone.authenticated('REGISTER', f'sip:{NAME}', f'<sip:{phone.aor}>',
                                   secrets.token_hex(8), 'r', limit=LIMIT)
    finally:
        phone.instead = None


def test_the_higher_q_of_two_nodes():
    with Folder() as folder, Both(folder) as x:
        alice = x.caller()
        low, high = x.carol(0, ';q=0.3'), x.carol(1, ';q=0.9')
        uri = f'sip:{CAROL["user"]}'
        check(ask(alice, uri) == 200, 'a call to carol')
        check((len(high.invites), len(low.invites)) == (1, 0), 'the higher q is called alone')
        high.busy = True
        check(ask(alice, uri) == 200, 'a call to carol, who is busy at one place')
        check((len(high.invites), len(low.invites)) == (2, 1), 'then the lower one')


def test_a_query_and_what_it_lists():
    with Folder() as folder, Both(folder) as x:
        alice = x.caller()
        here, there = x.carol(0, ''), x.carol(1, '')
        status, headers = register(here, '')
        check(status == 200, f'query: {status}')
        listed = values(headers, 'contact')
        check(len(listed) == 2 and any(here.contact in c for c in listed), f'listed: {listed}')
        found = [re.search(r'<(sip:carol@[^>]*;gr=[^>]*)>', c) for c in listed]
        gruu = next(f.group(1) for f in found if f)
        check(ask(alice, gruu) == 200, f'{gruu} leads nowhere')
        check((len(here.invites), len(there.invites)) == (0, 1), 'it is carol at the other node')


def test_a_forward():
    with Folder() as folder, Both(folder) as x:
        port = x.nodes[0].ports['UDP']
        alice = Bare(x.account(0), NAME, f'127.0.0.1:{port}')
        x.phones.append(alice)
        check(alice.register(limit=LIMIT) == 200, 'alice cannot register')
        bob, carol = x.phone(1), x.carol(1, '')
        check(bob.register(limit=LIMIT) == 200, 'bob cannot register')
        to_carol = f'Contact: <sip:{CAROL["user"]}>;expires=%d\r\n'
        check(register(alice, to_carol % 600)[0] == 200, 'the forward')
        check(ask(bob, f'sip:{alice.aor}') == 200, 'a call to alice, who is forwarded')
        check((len(alice.invites), len(carol.invites)) == (0, 1), 'carol gets it')
        check(ask(alice, f'sip:{bob.aor}') == 403, 'who is forwarded cannot call from there')
        check(register(alice, to_carol % 0)[0] == 200, 'no forward')
        check(ask(bob, f'sip:{alice.aor}') == 200, 'a call to alice')
        check((len(alice.invites), len(carol.invites)) == (1, 1), 'alice gets it')


if __name__ == '__main__':
    run([test_the_higher_q_of_two_nodes, test_a_query_and_what_it_lists, test_a_forward])
