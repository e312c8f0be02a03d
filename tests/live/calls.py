#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Two sipp phones at different nodes call each other (issue: Must hold 2)."""
from live import FULL, Demo, Folder, call_between, check, run

CALLS = 2000 if FULL else 200
RATE = 50


def call(demo, folder, caller_peer, callee_peer, calls):
    result = call_between(folder, demo, caller_peer, callee_peer, calls, RATE)
    for side, r in zip(('caller', 'callee'), result):
        check(r['failed'] == 0 and r['ok'] == calls, f'{side}: {r}')
        # a machine that others use may stand still for the 0.5 s of T1: once, not for each call
        check(r['retransmissions'] <= 1 + calls // 50, f'{side}: {r}')


def test_calls_between_nodes():
    with Folder() as folder, Demo() as demo:
        call(demo, folder, 0, 3, 1)
        before = sum(demo.metrics(i).get('sip_appattaches', 0) for i in range(5))
        call(demo, folder, 0, 3, CALLS)
        after = sum(demo.metrics(i).get('sip_appattaches', 0) for i in range(5))
        check(before > 0, 'the first call made no AppAttach')
        check(after == before, f'{after - before} further AppAttach between the same two peers')


def test_calls_at_one_node():
    with Folder() as folder, Demo(peers=1) as demo:
        call(demo, folder, 0, 0, 50)


def test_calls_with_two_shards():
    with Folder() as folder, Demo(peers=3, shards=2) as demo:
        call(demo, folder, 0, 2, 50)


def test_calls_on_epoll():
    with Folder() as folder, Demo(peers=3, extra=('--backend', 'epoll')) as demo:
        call(demo, folder, 0, 2, 50)


if __name__ == '__main__':
    run([test_calls_between_nodes, test_calls_at_one_node, test_calls_with_two_shards,
         test_calls_on_epoll])
