#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Two sipp phones at different nodes call each other (issue: Must hold 2)."""
from live import (FULL, Demo, Folder, Sipp, account_name, check, credentials, register, run)

CALLS = 2000 if FULL else 200
RATE = 50


def call(demo, folder, caller_peer, callee_peer, calls, transport='u1', ports=(15070, 15071)):
    caller, callee = demo.accounts[0], demo.accounts[1]
    register(folder, demo, callee_peer, callee, ports[0], transport)
    register(folder, demo, caller_peer, caller, ports[1], transport)
    answering = Sipp(folder, 'callee', demo.peers[callee_peer]['sip'], ports[0], calls)
    try:
        fields = [(account_name(caller), credentials(caller), demo.domain, account_name(callee))]
        calling = Sipp(folder, 'caller', demo.peers[caller_peer]['sip'], ports[1], calls,
                       rate=RATE, fields=fields)
        result = calling.wait()
        answered = answering.wait()
    finally:
        answering.stop()
    for side, r in (('caller', result), ('callee', answered)):
        check(r['failed'] == 0 and r['ok'] == calls, f'{side}: {r}')
        check(r['retransmissions'] == 0, f'{side}: {r}')


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
