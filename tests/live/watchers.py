#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Who watches: alice, at one node, subscribes to presence.winfo of her own address and is told of
bob, at the other, who comes and goes (RFC 3857, 3858; docs/events.md); nobody else is told."""
import secrets
import xml.etree.ElementTree as ElementTree

from devices import LIMIT, Device, Two
from live import Folder, check, run, wait_for
from phone import first
from transports import NAME

ALICE = f'sip:alice@{NAME}'
XMLNS = '{urn:ietf:params:xml:ns:watcherinfo}'


class Dialog:
    """A subscription of `phone` to `event` of alice."""

    def __init__(self, phone, event, expected=200):
        self.phone, self.event, self.cseq = phone, event, 2
        self.call_id, self.tag = secrets.token_hex(8), secrets.token_hex(4)
        status, headers = phone.authenticated('SUBSCRIBE', ALICE, f'<{ALICE}>', self.call_id,
                                              self.tag, self.lines(600), LIMIT)
        check(status == expected, f'{phone.aor} subscribes to {event}: {status}')
        self.to = first(headers, 'to')
        self.target = first(headers, 'contact').strip('<>')
        self.routes = [v for n, v in reversed(headers) if n == 'record-route']

    def lines(self, seconds):
        return f'Event: {self.event}\r\nExpires: {seconds}\r\n'

    def end(self):
        self.cseq += 1
        status, _ = self.phone.request('SUBSCRIBE', self.target, self.to, self.call_id, self.cseq,
                                       self.tag, self.lines(0), routes=self.routes, limit=LIMIT)
        check(status == 200, f'{self.phone.aor} ends {self.event}: {status}')

    def notified(self):
        """(headers, body) of its NOTIFYs, in order, each once."""
        seen = {}
        for line, headers, body in self.phone.got:
            if line.startswith('NOTIFY') and first(headers, 'call-id') == self.call_id:
                seen[int(first(headers, 'cseq').split()[0])] = (headers, body)
        return [seen[k] for k in sorted(seen)]


def document(notify):
    """(version, [(uri, status, event)]) of a watcherinfo document, judged by RFC 3858 4."""
    headers, body = notify
    check(first(headers, 'content-type') == 'application/watcherinfo+xml',
          f'type: {first(headers, "content-type")}')
    root = ElementTree.fromstring(body)
    check(root.tag == XMLNS + 'watcherinfo' and root.get('state') == 'full', body)
    lists = root.findall(XMLNS + 'watcher-list')
    check(len(lists) == 1 and lists[0].get('resource') == ALICE and
          lists[0].get('package') == 'presence', body)
    watchers = lists[0].findall(XMLNS + 'watcher')
    check(len({w.get('id') for w in watchers}) == len(watchers), f'ids: {body}')
    return int(root.get('version')), [(w.text.strip(), w.get('status'), w.get('event'))
                                      for w in watchers]


def shows(dialog, expected):
    notified = dialog.notified()
    return bool(notified) and document(notified[-1])[1] == expected


def test_who_watches():
    with Folder() as folder, Two(folder) as x:
        phones = []
        for i in range(2):
            made = Device(x.account(i), NAME, f'127.0.0.1:{x.nodes[i].ports["UDP"]}')
            x.phones.append(made)
            check(made.register(limit=LIMIT) == 200, f'{made.aor} cannot register')
            phones.append(made)
        alice, bob = phones
        winfo = Dialog(alice, 'presence.winfo')
        wait_for('nobody watches', 10, lambda: shows(winfo, []))
        Dialog(bob, 'presence.winfo', 403)  # it is alice's alone
        watching = Dialog(bob, 'presence')
        wait_for('bob watches', 15,
                 lambda: shows(winfo, [(f'sip:bob@{NAME}', 'active', 'subscribe')]))
        check(first(watching.notified()[0][0], 'subscription-state').startswith('active'),
              'bob is told where alice is')
        watching.end()
        wait_for('bob does not watch', 15, lambda: shows(winfo, []))
        versions = [document(n)[0] for n in winfo.notified()]
        check(versions == list(range(versions[0], versions[0] + len(versions))),
              f'versions: {versions}')
        winfo.end()
        wait_for('the last word', 10, lambda: first(
            winfo.notified()[-1][0], 'subscription-state').startswith('terminated'))
        wait_for('no subscription is left', 10,
                 lambda: x.nodes[0].metric('sip_subscriptions') == 0)


if __name__ == '__main__':
    run([test_who_watches])
