#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Ten times of what a node can do, offered to it by phones and over the overlay.

Two cores cannot offer ten times of what one of them does, so the node gets a tenth of its own: it
is stopped (SIGSTOP) and goes on by turns, as a quota of the kernel would have it.  What it can do
then is measured first; ten times that many calls a second are begun, whatever becomes of them.
Calls that stood before must end well, the others are done or refused, and the node's memory grows
by no more than calls that are done leave behind.  A phone's datagrams may be lost in the socket of
a node that is stopped; over the overlay nothing is: the node before it notices that it is behind,
and refuses most."""
import json
import os
import secrets
import signal
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from live import CHORDIAL, Demo, check, patience, run, wait_for
from phone import Phone, first, uri_of, values

TURN_S, SHARE = 0.05, 0.1
STANDING = 4
SECONDS = 5
LEFT_BYTES = 2 * 320  # of a call that is done, for 32 s: two transactions; of a refused one nothing
GROWTH_KIB = 4096  # two pages, where they are large
WARM_UPS = 5


class Slow:
    """A process that gets SHARE of a processor, while the `with` lasts."""

    def __init__(self, pid):
        self.pid, self.is_over = pid, threading.Event()
        self.thread = threading.Thread(target=self.turns)

    def turns(self):
        while not self.is_over.wait(TURN_S * SHARE):
            os.kill(self.pid, signal.SIGSTOP)
            self.is_over.wait(TURN_S * (1 - SHARE))
            os.kill(self.pid, signal.SIGCONT)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.is_over.set()
        self.thread.join()
        os.kill(self.pid, signal.SIGCONT)


class Standing:
    """A call that has been answered, until it is ended."""

    def __init__(self, caller, callee):
        self.phone, self.call_id, self.tag = caller, secrets.token_hex(12), secrets.token_hex(6)
        uri = f'sip:{callee.aor}'
        status, headers = caller.authenticated('INVITE', uri, f'<{uri}>', self.call_id, self.tag)
        check(status == 200, f'INVITE: {status}')
        self.target, self.to = uri_of(first(headers, 'contact')), first(headers, 'to')
        self.routes = list(reversed([r.strip() for v in values(headers, 'record-route')
                                     for r in v.split(',')]))
        caller.send(f'ACK {self.target} SIP/2.0\r\nVia: {caller.via};branch=z9hG4bK'
                    f'{secrets.token_hex(12)};rport\r\nMax-Forwards: 70\r\n' +
                    ''.join(f'Route: {r}\r\n' for r in self.routes) +
                    f'From: <sip:{caller.aor}>;tag={self.tag}\r\nTo: {self.to}\r\n'
                    f'Call-ID: {self.call_id}\r\nCSeq: 2 ACK\r\nContent-Length: 0\r\n\r\n')

    def end(self):
        status, _ = self.phone.request('BYE', self.target, self.to, self.call_id, 3, self.tag,
                                       routes=self.routes)
        return status


def invite(demo, seconds, rate, *words):
    """Calls by `chordial load`; what it says when it has ended."""
    done = subprocess.run([CHORDIAL, 'load', '--demo', '-', '--kind', 'invite', '--json',
                           '--seconds', str(seconds), '--rate', str(rate), '--outstanding',
                           '64' if rate == 'max' else '20000', '--timeout-ms',
                           str(int(2000 * patience())), *map(str, words)],
                          input=json.dumps(demo.info), capture_output=True, text=True,
                          timeout=seconds + 60)
    check(done.stdout.startswith('{'), f'load: exit {done.returncode}: {done.stderr}')
    return json.loads(done.stdout)  # the exit code says whether any call was done: not under test


def datagrams_lost():
    """On this machine, in the sockets of those who did not read them in time."""
    with open('/proc/net/snmp', encoding='ascii') as f:
        names, values = (line.split()[1:] for line in f if line.startswith('Udp:'))
    return int(dict(zip(names, values))['RcvbufErrors'])


class Before:
    """The node before the overrun one, which is not stopped.  What it has refused, and how many
    calls have reached it: where others have the processor, datagrams are lost in its socket and
    the generator's, and nobody can refuse those.  It counts requests, also those that were sent
    again; ACK and BYE, one or two for each answer that came, are no calls."""

    def __init__(self, demo, peer):
        self.demo, self.peer, self.start = demo, peer, demo.metrics(peer)
        self.lost = datagrams_lost()

    def check(self, least, said):
        now = self.demo.metrics(self.peer)
        came, refused = (now[name] - self.start[name]
                         for name in ('sip_requests_in', 'sip_refused_overload'))
        errors, done = said['errors'], said['done']
        # 500: what it makes of the 503 of the overrun one (RFC 3261 16.7 step 6)
        refused += errors.get('status_500', 0)
        acked = errors.get('status_503', 0) + errors.get('status_500', 0)
        calls = min(said['begun'], came - acked - 2 * done)
        lost = datagrams_lost() - self.lost
        print(f'  {calls} calls of {said["begun"]} have come to the node before it, which refused '
              f'{refused}; {lost} datagrams were lost')
        check(refused >= least * (calls - done - lost),
              f'of {calls} {refused} were refused, {lost} lost: {said}')


def overrun(demo, phones, least, *words, near=None):
    """The flood, at the first node; calls that stand are ended while it lasts.  Of what is not done
    at least the share `least` is refused, by it or by the node before it, number `near`."""
    pid = demo.peers[0]['pid']
    with Slow(pid):
        capacity = max(invite(demo, 2, 'max', *words)['done_per_s'], 100)
    standing = [Standing(*phones) for _ in range(STANDING)]
    with Slow(pid):
        for _ in range(WARM_UPS):  # until all tables have been touched
            rss = demo.rss_kib(0)
            invite(demo, 2, int(10 * capacity), *words)
            if demo.rss_kib(0) - rss <= GROWTH_KIB // 2:
                break
        before, rss = demo.metrics(0), demo.rss_kib(0)
        node_before = None if near is None else Before(demo, near)
        ended = []
        talk = threading.Thread(target=lambda: ended.extend(c.end() for c in standing))
        talk.start()
        said = invite(demo, SECONDS, int(10 * capacity), *words)
        talk.join()
    after = demo.metrics(0)
    errors = said['errors']
    refused = errors.get('status_503', 0)
    growth = demo.rss_kib(0) - rss
    own = after['sip_refused_overload'] - before['sip_refused_overload']
    print(f'  it can do {capacity:.0f} calls a second; {said["offered_per_s"]:.0f} were begun: '
          f'{said["done"]} done, {said["errors"]}, {own} of these 503 by the node itself; '
          f'calls that stood: {ended}; RSS {rss} KiB and {growth}')
    check(said['offered_per_s'] > 5 * capacity, f'the generator is too slow: {said}')
    check(ended == [200] * STANDING, f'calls that stood ended with {ended}')
    if node_before is not None:
        node_before.check(least, said)
    else:
        check(refused >= least * (said['begun'] - said['done']), f'too few were refused: {said}')
    check(set(errors) <= {'status_503', 'status_500', 'timeout'}, f'others failed: {errors}')
    allowed = GROWTH_KIB + said['done'] * LEFT_BYTES // 1024
    check(growth <= allowed, f'RSS {rss} KiB and {growth}: more than {allowed}')
    wait_for('calls as ever', 30, lambda: phones[0].call(phones[1].aor, limit=10)[:2] == (200, 200))
    return said


def test_flood_of_phones():
    with Demo(peers=1) as demo:
        phones = [Phone(x, demo.domain, demo.peers[0]['sip']) for x in demo.accounts[:2]]
        try:
            check([p.register() for p in phones] == [200] * 2, 'phones cannot register')
            overrun(demo, phones, 0.2)
        finally:
            for p in phones:
                p.close()


def test_flood_of_the_overlay():
    with Demo(peers=2) as demo:
        phones = [Phone(x, demo.domain, demo.peers[0]['sip']) for x in demo.accounts[:2]]
        try:
            check([p.register() for p in phones] == [200] * 2, 'phones cannot register')
            overrun(demo, phones, 0.98, '--peer', 2, '--callees', 1, near=1)
        finally:
            for p in phones:
                p.close()


if __name__ == '__main__':
    run([test_flood_of_phones, test_flood_of_the_overlay])
