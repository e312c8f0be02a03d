#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""No lock of ours on a hot path (issue: Must hold 8): three peers of two shards each, 50 calls a
second between two of them while a third phone registers again and again, and for 10 s of it every
call of a lock function counted by who makes it (lock_count.c, preloaded into the peers).  Ours
must be 0; those of the libraries are printed.  With --transit: the counter itself and transit in
process alone (bench/rivals.py)."""
import collections
import os
import re
import struct
import subprocess
import sys
import threading
import time

from live import (CHORDIAL, HERE, Demo, Folder, Sipp, account_name, check, credentials,
                  phone_ports, register, run)
from phone import Phone

RATE, WINDOW_S, CALLS = 50, 10, 700
LINE = struct.Struct('120sQ')
OURS = 'program'

# Counts to be found: 7 in the program, 5 in its library; one thing of each kind.
CONTROL_PROGRAM = '''
#include <pthread.h>
#include <semaphore.h>
#include <sys/syscall.h>
#include <threads.h>
#include <unistd.h>
int library(void);
int main(void)
{
    static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
    static pthread_rwlock_t l = PTHREAD_RWLOCK_INITIALIZER;
    static mtx_t mtx;
    pthread_spinlock_t spin;
    sem_t s;
    int word = 0;
    int bad = pthread_spin_init(&spin, 0) + sem_init(&s, 0, 1) + mtx_init(&mtx, mtx_plain);
    bad += pthread_mutex_lock(&m) + pthread_mutex_unlock(&m) + pthread_mutex_trylock(&m);
    bad += pthread_rwlock_rdlock(&l) + pthread_spin_lock(&spin) + sem_wait(&s) + mtx_lock(&mtx);
    bad += (int)syscall(SYS_futex, &word, 1 /* wake */, 1, 0, 0, 0);
    return bad + library();
}
'''
CONTROL_LIBRARY = '''
#include <pthread.h>
int library(void)
{
    static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
    int bad = 0;
    for (int i = 0; i < 5; i++) {
        bad += pthread_mutex_lock(&m);
        bad += pthread_mutex_unlock(&m);
    }
    return bad;
}
'''


def compile_c(source, target, *options):
    done = subprocess.run(['gcc', '-std=gnu17', '-D_GNU_SOURCE', '-O2',
                           '-fno-optimize-sibling-calls', '-Wall', '-Wextra', '-Werror', '-o',
                           target, source, *options], capture_output=True, text=True)
    check(done.returncode == 0, f'gcc {source}: {done.stderr}')
    return target


def compile_counter(folder):
    return compile_c(os.path.join(HERE, 'lock_count.c'), os.path.join(folder, 'lock_count.so'),
                     '-shared', '-fPIC')


class Preloaded:
    """Programs started inside are counted, in files named after their process id."""

    def __init__(self, folder):
        self.counts = os.path.join(folder, 'counts')
        os.mkdir(self.counts)
        self.added = {'LD_PRELOAD': compile_counter(folder), 'LOCK_COUNT': self.counts}

    def __enter__(self):
        os.environ.update(self.added)
        return self

    def __exit__(self, *exception):
        for name in self.added:
            del os.environ[name]

    def read(self, pid):
        with open(os.path.join(self.counts, str(pid)), 'rb') as f:
            lines = LINE.iter_unpack(f.read())
        return collections.Counter({name.rstrip(b'\0').decode(): calls for name, calls in lines
                                    if name[0]})


def test_the_counter_counts():
    with Folder() as folder:
        sources = {}
        for name, text in (('library', CONTROL_LIBRARY), ('program', CONTROL_PROGRAM)):
            sources[name] = os.path.join(folder, name + '.c')
            with open(sources[name], 'w', encoding='ascii') as f:
                f.write(text)
        library = compile_c(sources['library'], os.path.join(folder, 'liblocks.so'), '-shared',
                            '-fPIC')
        program = compile_c(sources['program'], os.path.join(folder, 'locks'), library,
                            f'-Wl,-rpath,{folder}')
        preloaded = Preloaded(folder)
        with preloaded:
            process = subprocess.Popen([program])
        check(process.wait(10) == 0, f'the control ended with {process.returncode}')
        seen = preloaded.read(process.pid)
        check(seen[OURS] == 7 and seen['liblocks.so'] == 5, f'7 and 5 calls were seen as {seen}')


def test_nothing_of_ours_can_lock():
    """Of our own code only the thread that writes to the disk (cmd/persist_thread) names a lock
    function; what runs on a shard names none.  Libraries are separate."""
    lock = re.compile(r'\b(?:pthread_(?:mutex|rwlock|spin|cond|barrier)|sem|mtx|cnd)_\w+')
    archives = [os.path.join(os.path.dirname(CHORDIAL), f'lib{name}.a')
                for name in ('core', 'core_os', 'codec', 'link', 'dht', 'sip', 'node', 'cmd')]
    said = subprocess.run(['gcc-nm', '--undefined-only'] + archives, capture_output=True,
                          text=True)
    check(said.returncode == 0, f'gcc-nm: {said.stderr}')
    at, named = '', set()
    for line in said.stdout.splitlines():
        if line.endswith('.o:'):
            at = line[:-1]
        elif lock.search(line):
            named.add(at)
    check(named == {'persist_thread.o'}, f'lock functions are named in {sorted(named)}')


def difference(preloaded, pids, before):
    return {pid: preloaded.read(pid) - before[pid] for pid in pids}


def register_again(phone, stop):
    while not stop.is_set():
        phone.register()
        stop.wait(0.02)
    phone.close()


def load_and_count(folder, demo, preloaded):
    """Locks by peer and caller within 10 s of load, and what peer 0 did meanwhile."""
    caller, callee = demo.accounts[0], demo.accounts[1]
    port = phone_ports(2)
    register(folder, demo, 2, callee, port)
    register(folder, demo, 0, caller, port + 1)
    answering = Sipp(folder, 'callee', demo.peers[2]['sip'], port, CALLS)
    fields = [(account_name(caller), credentials(caller), demo.domain, account_name(callee))]
    calling = Sipp(folder, 'caller', demo.peers[0]['sip'], port + 1, CALLS, rate=RATE,
                   fields=fields, seconds=40)
    stop = threading.Event()
    phone = Phone(demo.accounts[5], demo.domain, demo.peers[0]['sip'])
    registering = threading.Thread(target=register_again, args=(phone, stop))
    registering.start()
    try:
        time.sleep(1)
        pids = [p['pid'] for p in demo.peers]
        before = {pid: preloaded.read(pid) for pid in pids}
        start = demo.metrics(0)
        time.sleep(WINDOW_S)
        locks = difference(preloaded, pids, before)
        end = demo.metrics(0)
        result = calling.wait()
    finally:
        stop.set()
        registering.join()
        calling.stop()
        answering.stop()
    check(result['ok'] == CALLS, f'caller: {result}')
    return locks, *(end[name] - start[name] for name in ('sip_calls_answered', 'sip_registers_ok'))


def test_no_lock_of_ours_under_load():
    with Folder() as folder:
        preloaded = Preloaded(folder)
        with preloaded:
            demo = Demo(peers=3, shards=2)
        with demo:
            locks, answered, registered = load_and_count(folder, demo, preloaded)
        total = collections.Counter()
        for found in locks.values():
            total.update(found)
        ours = total.pop(OURS, 0)
        print(f'{WINDOW_S} s of load, {answered} calls set up, {registered} registrations, 3 '
              f'peers of 2 shards: lock calls of ours: {ours}; of libraries: ' +
              (', '.join(f'{name} {calls}' for name, calls in total.most_common()) or 'none'))
        check(answered >= RATE * WINDOW_S * 0.5, f'only {answered} calls within {WINDOW_S} s')
        check(registered >= WINDOW_S, f'only {registered} registrations')
        check(ours == 0, f'{ours} lock calls of ours: {locks}')


def test_no_lock_of_ours_in_transit():
    """All of a run, start included: a node with TLS links that passes messages on, in process."""
    program = os.path.join(os.path.dirname(CHORDIAL), 'bench', 'transit')
    if not os.path.exists(program):
        print(f'skipped: {program} is built in release only')
        return
    with Folder() as folder:
        preloaded = Preloaded(folder)
        with preloaded:
            process = subprocess.Popen([program, '--repeats', '1', '--messages', '100000',
                                        'inside'], stdout=subprocess.PIPE, text=True)
        said = process.communicate(timeout=120)[0]
        check(process.returncode == 0, f'transit ended with {process.returncode}: {said}')
        seen = preloaded.read(process.pid)
    ours = seen.pop(OURS, 0)
    print(f'120,000 messages in transit: lock calls of ours: {ours}; of libraries: ' +
          (', '.join(f'{name} {calls}' for name, calls in seen.most_common()) or 'none'))
    check(seen, 'the counter saw nothing at all: BoringSSL locks when it makes a context')
    check(ours == 0, f'{ours} lock calls of ours in transit')


ALWAYS = [test_the_counter_counts, test_no_lock_of_ours_in_transit]
run(ALWAYS if '--transit' in sys.argv else
    ALWAYS + [test_nothing_of_ours_can_lock, test_no_lock_of_ours_under_load])
