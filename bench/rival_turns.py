# SPDX-License-Identifier: Apache-2.0
"""Servers that are alive at once, on the same processor, and are loaded in turn, a short slice
each: what the machine does in one moment it does to all of them (rival_slices.py has the
arithmetic).

A server is charged for all that its processes use from the beginning of one of its slices to the
beginning of its next: what it does later, by timers, while another has the load, is not forgotten,
and neither is what it does when it is idle.  That is so for each of them, us or not.  ksoftirqd is
charged to whose slice it is.  A slice ends when nothing of it is under way, and the next begins
when its server has stopped to work."""
import json
import os
import statistics
import time
from collections import namedtuple

import rival_slices

SETTLE_S, SETTLE_MAX_S = 0.002, 0.05
LOST_PER_THOUSAND = 5

# `generator`: a child that has been told --in-turn, with pipes; `server_ns`: what its server has
# used so far.
Member = namedtuple('Member', 'name generator server_ns')


class Wrong(Exception):
    """A slice that is no measurement."""


def ask(member, ms):
    """The line that its generator says of a slice; of 0 ms, that it stands ready."""
    if ms:
        member.generator.stdin.write('%d\n' % ms)
        member.generator.stdin.flush()
    line = member.generator.stdout.readline()
    if not line:
        raise Wrong('the generator of %s has ended' % member.name)
    return json.loads(line)


def settle(member):
    """Until its server does nothing for a moment."""
    deadline = time.monotonic() + SETTLE_MAX_S
    before = member.server_ns()
    while time.monotonic() < deadline:
        time.sleep(SETTLE_S)
        now = member.server_ns()
        if now == before:
            return
        before = now


def check(member, done, failed, ms, status=0):
    """That somebody was served, and hardly anybody not.  What fails is counted over all slices: of
    the calls of one, a single one is more than one in a thousand.  `status`: of the last response
    that was not 200, where the generator tells it; 0 when there was none."""
    if done == 0 or failed * 1000 > LOST_PER_THOUSAND * done:
        raise Wrong('%s: %d done and %d failed in %d ms%s' % (
            member.name, done, failed, ms, ', the last with %d' % status if status else ''))


def run(members, turns, ms, warm_ms, softirq_ns=lambda: 0):
    """{name: ([ns for an operation in each slice], operations in all, how many failed besides)};
    after a slice of each that does not count."""
    for m in members:
        ask(m, 0)
    for m in members:
        ask(m, warm_ms)  # some may be lost while it grows
        settle(m)
    done = [[] for _ in members]
    failed = [0 for _ in members]
    statuses = [0 for _ in members]
    charged = [[] for _ in members]
    begun = [None for _ in members]  # what each server had used at the beginning of its last slice
    for which in rival_slices.order(len(members), turns):
        m = members[which]
        now = m.server_ns()
        if begun[which] is not None:
            charged[which][-1] += now - begun[which]
        begun[which] = now
        softirq = softirq_ns()
        said = ask(m, ms)
        settle(m)
        check(m, said['done'], 0, ms, said.get('last_status', 0))
        done[which].append(said['done'])
        failed[which] += said['failed']
        statuses[which] = said.get('last_status', 0)
        charged[which].append(softirq_ns() - softirq)
    for which, m in enumerate(members):
        charged[which][-1] += m.server_ns() - begun[which]
        check(m, sum(done[which]), failed[which], ms * len(done[which]), statuses[which])
    return {m.name: ([c / d for c, d in zip(charged[i], done[i])], sum(done[i]), failed[i])
            for i, m in enumerate(members)}


def lines(measured):
    """What a source prints of them."""
    return [{'work': name, 'ns_per_op': statistics.median(costs), 'ops': ops, 'failed': failed,
             'slices': {'ns_per_op': costs}} for name, (costs, ops, failed) in measured.items()]


def in_one(printed):
    """The lines of programs that ran there and back: one for each work, with a slice of each."""
    costs = {}
    for line in printed:
        costs.setdefault(line['work'], []).append(line['ns_per_op'])
    return [{'work': work, 'ns_per_op': statistics.median(ns), 'slices': {'ns_per_op': ns}}
            for work, ns in costs.items()]


def softirq_reader(cpu):
    """A function that says what the kernel's thread for soft interrupts of a processor has used; 0
    where a container does not show it."""
    for pid in os.listdir('/proc'):
        try:
            with open('/proc/%s/comm' % pid, encoding='utf-8', errors='replace') as f:
                if f.read().strip() != 'ksoftirqd/%d' % cpu:
                    continue
        except OSError:
            continue  # no process, or one that has ended
        path = '/proc/%s/schedstat' % pid
        break
    else:
        return lambda: 0

    def read():
        with open(path, encoding='utf-8') as f:
            return int(f.read().split()[0])
    return read
