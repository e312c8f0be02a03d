#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""No lock of ours on a hot path (issue: Must hold 8): two peers of two shards under calls and
registrations, with every lock function counted by a preloaded library."""
import os
import struct
import subprocess
import threading
import time

from live import HERE, Demo, Folder, Sipp, account_name, check, register, run
from phone import Phone

SECONDS, RATE = 10, 50


def counts(folder, demo):
    """(from the program itself, from libraries) of all peers."""
    ours = others = 0
    for peer in demo.peers:
        with open(os.path.join(folder, str(peer['pid'])), 'rb') as f:
            a, b = struct.unpack('QQ', f.read(16))
        ours, others = ours + a, others + b
    return ours, others


def build(folder, source, name, *flags):
    path = os.path.join(folder, name)
    subprocess.run(['cc', '-O1', '-Wall', '-o', path, source, *flags], check=True)
    return path


def preload(folder, library):
    os.environ['LD_PRELOAD'] = library
    os.environ['LOCKS_FOLDER'] = folder


def end_preload():
    del os.environ['LD_PRELOAD'], os.environ['LOCKS_FOLDER']


CONTROL = '''
#include <pthread.h>
int main(void)
{
    static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
    for (int i = 0; i < 7; i++) {
        pthread_mutex_lock(&m);
        pthread_mutex_unlock(&m);
    }
    return 0;
}
'''


def test_the_counter_counts():
    with Folder() as folder:
        library = build(folder, os.path.join(HERE, 'locks.c'), 'locks.so', '-shared', '-fPIC', '-ldl')
        source = os.path.join(folder, 'control.c')
        with open(source, 'w', encoding='ascii') as f:
            f.write(CONTROL)
        program = build(folder, source, 'control', '-pthread')
        process = subprocess.Popen([program], env={**os.environ, 'LD_PRELOAD': library,
                                                   'LOCKS_FOLDER': folder})
        process.wait()
        with open(os.path.join(folder, str(process.pid)), 'rb') as f:
            check(struct.unpack('QQ', f.read(16))[0] == 7, 'the counter does not count')


def register_again(demo, stop):
    phone = Phone(demo.accounts[5], demo.domain, demo.peers[0]['sip'])
    while not stop.is_set():
        phone.register()
        time.sleep(0.02)
    phone.close()


def test_no_lock_under_load():
    with Folder() as folder:
        library = build(folder, os.path.join(HERE, 'locks.c'), 'locks.so', '-shared', '-fPIC', '-ldl')
        preload(folder, library)
        try:
            demo = Demo(peers=2, shards=2)
        finally:
            end_preload()
        with demo:
            caller, callee = demo.accounts[0], demo.accounts[1]
            register(folder, demo, 1, callee, 15090)
            register(folder, demo, 0, caller, 15091)
            calls = (SECONDS + 3) * RATE
            answering = Sipp(folder, 'callee', demo.peers[1]['sip'], 15090, calls)
            fields = [(account_name(caller), caller['password'], demo.domain,
                       account_name(callee))]
            stop = threading.Event()
            thread = threading.Thread(target=register_again, args=(demo, stop))
            thread.start()
            try:
                calling = Sipp(folder, 'caller', demo.peers[0]['sip'], 15091, calls, rate=RATE,
                               fields=fields)
                time.sleep(1.5)
                before, others_before = counts(folder, demo)
                time.sleep(SECONDS)
                after, others_after = counts(folder, demo)
                result = calling.wait()
            finally:
                answering.stop()
                stop.set()
                thread.join()
            check(result['ok'] == calls, f'calls: {result}')
            print(f'  lock calls during {SECONDS} s of load: {after - before} by the program, '
                  f'{others_after - others_before} inside libraries (TLS, allocator)')
            check(after == before, f'{after - before} locks of ours on a hot path')


run([test_the_counter_counts, test_no_lock_under_load])
