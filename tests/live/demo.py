#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`chordial demo` itself: what it prints, how fast, and that nothing is left behind."""
import glob
import json
import os
import pty
import select
import signal
import subprocess
import tempfile
import time

from live import CHORDIAL, Demo, Folder, check, patience, run, wait_for

CALL_KEYS = {'from', 'to', 'fetch_hops', 'fetch_us', 'appattach_us', 'invite_to_200_us', 'ok'}
FIRST_SCREEN_S = 5


def start(folder, *words, **options):
    return subprocess.Popen([CHORDIAL, 'demo', *words], env={**os.environ, 'TMPDIR': folder},
                            text=True, stderr=subprocess.PIPE, **options)


def processes_of(folder):
    """Processes that name the folder in their command line."""
    found = []
    for path in glob.glob('/proc/[0-9]*/cmdline'):
        try:
            with open(path, 'rb') as f:
                if folder.encode() in f.read():
                    found.append(path.split('/')[2])
        except OSError:
            pass
    return found


def check_gone(folder, what):
    wait_for(f'{what}: folder empty', 10, lambda: not os.listdir(folder))
    wait_for(f'{what}: no process left', 10, lambda: not processes_of(folder))


def test_once_json():
    with Folder() as folder:
        demo = start(folder, '--once', '--json', stdout=subprocess.PIPE)
        out, errors = demo.communicate(timeout=120)
        check(demo.returncode == 0, f'exit {demo.returncode}: {errors[-1000:]} {out}')
        result = json.loads(out)
        check(set(result) == {'peers', 'ring_ok', 'calls', 'killed', 'calls_after_kill',
                              'records_lost'}, f'keys: {sorted(result)}')
        check(result['peers'] == 5 and result['ring_ok'] and result['records_lost'] == 0, out)
        check(result['killed'].startswith('peer'), out)
        for call in result['calls'] + result['calls_after_kill']:
            check(CALL_KEYS <= set(call) and call['ok'], f'call: {call}')
        check(result['calls'] and result['calls_after_kill'], out)
        first = result['calls'][0]
        check(first['fetch_us'] > 0 and first['fetch_hops'] > 0 and first['appattach_us'] > 0,
              f'the first call has no Fetch or no AppAttach: {first}')
        check_gone(folder, 'after --once')


def test_once_two_shards():
    """With two shards a record may be at the callee's sibling, so only the outcome counts."""
    with Folder() as folder:
        demo = start(folder, '--once', '--json', '--shards', '2', stdout=subprocess.PIPE)
        out, errors = demo.communicate(timeout=120)
        check(demo.returncode == 0, f'exit {demo.returncode}: {errors[-1000:]} {out}')
        check_gone(folder, 'after --once --shards 2')


def test_once_with_baresip():
    with Folder() as folder:
        demo = start(folder, '--once', '--json', '--phones', 'baresip', stdout=subprocess.PIPE)
        out, errors = demo.communicate(timeout=120)
        check(demo.returncode == 0, f'exit {demo.returncode}: {errors[-1000:]} {out}')
        check_gone(folder, 'after --once --phones baresip')


def test_first_screen():
    with Folder() as folder:
        began = time.monotonic()
        demo = start(folder, '--once', stdout=subprocess.PIPE)
        line = demo.stdout.readline()
        took = time.monotonic() - began
        rest, _ = demo.communicate(timeout=120)
        check(demo.returncode == 0, line + rest)
        check('ring OK' in line, line)
        check('alice calls bob' in rest and 'SIGKILL' in rest, rest)
        check(took < FIRST_SCREEN_S * patience(), f'first screen after {took:.1f} s')
        print(f'  first screen after {took:.1f} s')


def test_hold():
    with Demo() as demo:
        info = demo.info
        check(set(info) == {'peers', 'domain', 'accounts', 'ca', 'keylog'}, f'{sorted(info)}')
        check(len(info['peers']) == 5 and len(info['accounts']) == 10, f'{info}')
        for peer in info['peers']:
            check(set(peer) == {'name', 'pid', 'nodes', 'sip', 'ctl'}, f'{peer}')
            check(os.path.exists(peer['ctl']) and len(peer['nodes']) == 1, f'{peer}')
        check(os.path.exists(os.path.join(info['ca'], 'root.key')), info['ca'])
        check(demo.ctl(0, 'status')['ready'], 'peer1 is not ready')
        bindings = sum(len(demo.ctl(i, 'bindings')['bindings']) for i in range(5))
        check(bindings == 0, f'{bindings} phones are registered')


def test_ends():
    """Whatever ends the demo, its peers and its folder go with it."""
    for number in signal.SIGTERM, signal.SIGINT, signal.SIGKILL:
        with Folder() as folder:
            demo = start(folder, '--hold', '--json', stdout=subprocess.PIPE)
            check(demo.stdout.readline().startswith('{'), 'no line')
            check(len(processes_of(folder)) >= 5, 'no peers')
            demo.send_signal(number)
            demo.communicate(timeout=60)
            check_gone(folder, f'after {number.name}')
    with Folder() as folder:  # in the middle of starting
        demo = start(folder, '--once', stdout=subprocess.DEVNULL)
        time.sleep(0.15)
        demo.send_signal(signal.SIGINT)
        demo.communicate(timeout=60)
        check_gone(folder, 'after SIGINT at the start')


def read_terminal(fd, wanted, seconds):
    """Reads until `wanted` has appeared; all that was read."""
    text, end = '', time.monotonic() + seconds
    while wanted not in text:
        ready, _, _ = select.select([fd], [], [], max(0, end - time.monotonic()))
        check(ready, f'no {wanted!r} on the screen within {seconds} s: {text[-1500:]}')
        text += os.read(fd, 65536).decode('utf-8', 'replace')
    return text


def test_live_keys():
    with Folder() as folder:
        ours, theirs = pty.openpty()
        demo = start(folder, stdin=theirs, stdout=theirs)
        os.close(theirs)
        try:
            read_terminal(ours, 'alice calls bob', 60)
            os.write(ours, b'4')
            read_terminal(ours, 'peer4 was killed', 60)
            os.write(ours, b'c')
            read_terminal(ours, 'INVITE', 60)
            read_terminal(ours, 'ring OK', 60)
            os.write(ours, b'q')
            demo.wait(60)
        finally:
            if demo.poll() is None:
                demo.kill()
            demo.communicate()
            os.close(ours)
        check(demo.returncode == 0, f'exit {demo.returncode}')
        check_gone(folder, 'after q')


def test_usage():
    for words in (['--once', '--hold'], ['--json'], ['--peers', '0'], ['--backend', 'x'], ['word']):
        with tempfile.TemporaryDirectory() as folder:
            demo = start(folder, *words, stdout=subprocess.PIPE)
            out, errors = demo.communicate(timeout=60)
            check(demo.returncode == 2 and not out and errors.startswith('chordial demo: '),
                  f'{words}: {demo.returncode} {out} {errors}')


run([test_once_json, test_once_two_shards, test_once_with_baresip, test_first_screen, test_hold,
     test_ends, test_live_keys, test_usage])
