#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""One account at two nodes: which of them is called first (q), what a registration query lists, a
user's own forward, a silent phone beside one that answers, messages that follow (issue 6, Build 3,
4 and 6; docs/events.md)."""
import os
import re
import secrets

from devices import Device, LIMIT, Two, ask
from live import Folder, check, chordial, run, wait_for
from phone import values
from transports import NAME

CAROL = {'user': f'carol@{NAME}', 'password': 'secret'}


class Both(Two):
    """Carol has an account at both nodes."""

    def __init__(self, folder, extra=''):
        super().__init__(folder, extra)
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


def test_a_silent_phone_at_the_other_node():
    """It has said nothing when another has answered: neither its node nor the caller's waits for
    timer B, and the caller, who may have one call under way here, can call again."""
    with Folder() as folder, Both(folder, 'limits {\n sip_proxies_per_account = 1\n}\n') as x:
        alice = x.caller()
        here, there = x.carol(0, ''), x.carol(1, '')
        here.answer_after, there.silent = 0.6, True
        uri = f'sip:{CAROL["user"]}'
        for i in range(1, 3):
            wait_for('a call to carol', 8, lambda: ask(alice, uri) == 200, every=0.5)
            check(len(here.invites) == i, 'it was carol')
            wait_for('the branch is over', 4,
                     lambda n=i: x.nodes[1].metric('sip_forks_silent') == n)
        check(len(there.invites) >= 2, 'the other phone was asked too')
        check(not any(line.startswith('CANCEL') for line, _, _ in there.got), 'RFC 3261 9.1')


def test_answered_elsewhere():
    """A phone at the other node rings until one here answers: it is told that this was no missed
    call (RFC 3326)."""
    with Folder() as folder, Both(folder) as x:
        alice, here, there = x.caller(), x.carol(0, ''), x.carol(1, '')
        here.answer_after, there.answer_after = 0.6, 30
        check(ask(alice, f'sip:{CAROL["user"]}') == 200, 'a call to carol')
        wait_for('CANCEL', 5, lambda: any(line.startswith('CANCEL') for line, _, _ in there.got))
        headers = next(h for line, h, _ in there.got if line.startswith('CANCEL'))
        check(values(headers, 'reason') == ['SIP;cause=200;text="Call completed elsewhere"'],
              f'Reason: {values(headers, "reason")}')
        there.respond('487 Request Terminated', there.invites[-1][1])


def test_messages_follow():
    """Kept at the node where carol was, as long as she is away, then brought to where she is."""
    extra = 'offline-messages = 600\nlimits {\n sip_offline_look_s = 2\n}\n'
    with Folder() as folder, Both(folder, extra) as x:
        alice, before = x.caller(), x.carol(0, '')
        check(before.register(0, limit=LIMIT) == 200, 'carol cannot leave')
        uri = f'sip:{CAROL["user"]}'
        for text in ('first', 'second'):
            status, _ = alice.authenticated('MESSAGE', uri, f'<{uri}>', secrets.token_hex(8), 'm',
                                            'Content-Type: text/plain\r\n', LIMIT, body=text)
            check(status == 202, f'a message to carol, who is away: {status}')
        check(x.nodes[0].metric('sip_offline') == 2, 'two are kept')
        after = x.carol(1, '')
        wait_for('both messages', 20,
                 lambda: [body for line, _, body in after.got if line.startswith('MESSAGE')]
                 == ['first', 'second'])
        wait_for('none is kept', 5, lambda: x.nodes[0].metric('sip_offline') == 0)
        check(x.nodes[0].metric('sip_offline_delivered') == 2, 'both were delivered')
        check(not [1 for line, _, _ in before.got if line.startswith('MESSAGE')], 'to her alone')


if __name__ == '__main__':
    run([test_the_higher_q_of_two_nodes, test_a_query_and_what_it_lists, test_a_forward,
         test_a_silent_phone_at_the_other_node, test_answered_elsewhere, test_messages_follow])
