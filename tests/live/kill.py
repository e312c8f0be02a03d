#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Peers that die and peers that leave (issue: Must hold 4)."""
import os
import signal
import threading
import time

from live import FULL, Demo, check, run, wait_for
from phone import Phone

REPAIR_S, COPIES_S, PEERS = 10, 60, 5
SIP_REGISTRATION = 1


class Phones:
    """All ten accounts, account i at peer i % PEERS."""

    def __init__(self, demo, **options):
        self.demo = demo
        self.all = [Phone(a, demo.domain, demo.peers[i % PEERS]['sip'], **options)
                    for i, a in enumerate(demo.accounts)]

    def __enter__(self):
        for phone in self.all:
            status = phone.register()
            check(status == 200, f'REGISTER of {phone.aor}: {status}')
        return self

    def __exit__(self, *exception):
        for phone in self.all:
            phone.close()

    def at(self, peer):
        return [p for i, p in enumerate(self.all) if i % PEERS == peer]

    def not_at(self, peer):
        return [p for i, p in enumerate(self.all) if i % PEERS != peer]


def is_readable(demo, peers, phones):
    for peer in peers:
        for phone in phones:
            answer = demo.ask(peer, cmd='fetch', name=phone.aor)
            if not answer.get('rows') or not answer['rows'][0].get('values'):
                return False
    return True


def copies(demo, peers):
    """How many peers hold each registration; none at all where they stand on one host."""
    held = {}
    for peer in peers:
        for row in demo.ask(peer, cmd='stored')['rows']:
            if row['kind'] == SIP_REGISTRATION and row['exists']:
                held.setdefault(row['resource'], set()).add((peer, row['shard']))
    return {resource: len(at) if len({peer for peer, _ in at}) > 1 else 0
            for resource, at in held.items()}


def has_copies(demo, peers, phones):
    held = copies(demo, peers)
    return len(held) == len(phones) and min(held.values()) >= 3


def call_until(caller, callee, end):
    while True:
        status, bye, why = caller.call(callee.aor, limit=max(1, end - time.monotonic()))
        if status == 200 and bye == 200:
            return
        check(time.monotonic() < end, f'{caller.aor} to {callee.aor}: {status} {bye} {why}')
        time.sleep(0.2)


def kill_one(victim, shards=1):
    with Demo(peers=PEERS, shards=shards) as demo, Phones(demo) as phones:
        survivors = [i for i in range(PEERS) if i != victim]
        wait_for('three copies before', COPIES_S,
                 lambda: has_copies(demo, range(PEERS), phones.all))
        demo.kill(victim)
        killed = time.monotonic()
        left = phones.not_at(victim)
        for i, caller in enumerate(left):
            call_until(caller, left[(i + 1) % len(left)], killed + REPAIR_S)
        called = time.monotonic() - killed
        wait_for('all registrations readable at all survivors', REPAIR_S - called,
                 lambda: is_readable(demo, survivors, phones.all))
        readable = time.monotonic() - killed
        wait_for('three copies of all registrations', COPIES_S - readable,
                 lambda: has_copies(demo, survivors, phones.all))
        print(f'  peer{victim + 1} killed: calls well after {called:.1f} s, all readable after '
              f'{readable:.1f} s, three copies after {time.monotonic() - killed:.1f} s')


def test_kill():
    for victim in range(PEERS) if FULL else [2]:
        kill_one(victim)


def test_kill_with_two_shards():
    kill_one(1, shards=2)


def test_leave():
    """SIGTERM while ten calls ring: they are set up, Leave is sent, the peer ends by itself."""
    with Demo(peers=PEERS) as demo, Phones(demo, answer_after=1.5) as phones:
        victim = 1
        results = []
        pairs = [(phones.at(0)[0], phones.at(victim)[0]), (phones.at(victim)[1], phones.at(2)[0]),
                 (phones.at(3)[0], phones.at(4)[0])]
        threads = [threading.Thread(target=lambda a=a, b=b: results.append(
            (a.call(b.aor, bye_limit=2), a.aor)))
                   for a, b in pairs for _ in range(3)]
        for thread in threads:
            thread.start()
        wait_for('all of them ring', 20, lambda: sum(p.rung for p in phones.all) == len(threads),
                 every=0.02)
        demo.kill(victim, signal.SIGTERM)
        begun = time.monotonic()
        for thread in threads:
            thread.join()
        for (status, _, why), who in results:
            check(status == 200, f'call of {who} begun before SIGTERM: {status} {why}')
        wait_for('the end of the leaving peer', 35,
                 lambda: not os.path.exists(demo.peers[victim]['ctl']))
        log = demo.log(victim)
        check('has left' in log, f'no Leave: {log[-500:]}')
        survivors = [i for i in range(PEERS) if i != victim]
        node = demo.peers[victim]['nodes'][0]['node_id']
        wait_for('the ring without it', 5, lambda: all(
            node not in row['successors'] + row['predecessors']
            for i in survivors for row in demo.ask(i, cmd='ring')['rows']))
        check(is_readable(demo, survivors, phones.all), 'a registration is lost')
        print(f'  gone {time.monotonic() - begun:.1f} s after SIGTERM, at the latest')


run([test_kill, test_kill_with_two_shards, test_leave])
