#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""storage-ack = disk survives kill -9 and power failures (tools/crash_check.py, shortened), a disk
that lies about it is found out, and one that is full takes the promise away, not the service."""
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from live import CHORDIAL, FULL, HERE, Failure, check, run, wait_for

TOP = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(TOP, 'tools'))
import crash_check  # noqa: E402

crash_check.PRELOAD = os.path.join(HERE, 'power_loss.c')
RUNS = 100 if FULL else 10


def test_nothing_acknowledged_is_lost():
    c = crash_check.check(RUNS, seed=int(time.time()))
    print(f'  {c.runs} deaths: acked {c.acked}, lost {c.lost}, corrupt_starts {c.corrupt}, '
          f'{c.disk.torn} writes torn, {c.disk.dropped} dropped')
    check(c.acked > 100, f'only {c.acked} Stores were acknowledged')
    check(c.lost == 0 and c.corrupt == 0 and c.silent == 0,
          f'lost {c.lost}, corrupt_starts {c.corrupt}, unanswered {c.silent}')


def test_a_disk_that_lies_is_found_out():
    """The first test could not fail otherwise."""
    c = crash_check.check(12, mode='power', seed=3, lies=True)
    check(c.lost + c.corrupt > 0, f'{c.acked} acknowledged on a disk that keeps nothing: none lost')


class Node(crash_check.Check):
    """The same node, under a limit of file size in place of deaths."""

    def limited(self, size):
        command = f'ulimit -S -f {size // 1024}; exec {os.path.abspath(CHORDIAL)} run -c c.conf'
        self.said = os.path.join(self.folder, 'node.log')
        with open(self.said, 'w', encoding='utf-8') as out:
            self.node = subprocess.Popen(['bash', '-c', command], cwd=self.folder,
                                         stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        wait_for('the node', 30, lambda: 'ready\n' in self.text())

    def status(self):
        done = subprocess.run([os.path.abspath(CHORDIAL), 'ctl', '-s', 'control.sock', 'status',
                               '--json'], cwd=self.folder, capture_output=True, text=True,
                              timeout=10)
        check(done.returncode == 0, done.stderr)
        return json.loads(done.stdout)

    def load(self, ms):
        self.ask(f'load {ms}')
        self.answer()  # it has a link
        return self.answer()


def test_a_full_disk_takes_the_promise_and_not_the_service():
    folder = tempfile.mkdtemp(prefix='chordial-full.')
    node = None
    try:
        node = Node(folder, random.Random(1))
        node.limited(96 * 1024)  # room for a beginning
        first = node.load(1500)
        check(first['acked'] > 0 and first['end'] == 'time', f'{first}')
        wait_for('the alarm', 10, lambda: 'ALARM' in node.text())
        status = node.status()
        shard = status['shards'][0]['persist']
        check(not status['persistence']['well'] and status['persistence']['problem'],
              f'{status["persistence"]}')
        check(not shard['promised'], f'{shard}')
        node.look()
        check(node.lost == 0, 'what is in memory is not served')
        again = node.load(500)
        check(again['acked'] > 0, f'a full disk stops the service: {again}')
        subprocess.run(['prlimit', f'--pid={node.node.pid}', '--fsize=unlimited'], check=True)
        wait_for('the promise', 90, lambda: node.status()['shards'][0]['persist']['promised'])
        check(node.status()['persistence']['well'], 'well again')
        check('everything is written once more' in node.text(), node.text()[-1000:])
        node.node.send_signal(signal.SIGKILL)
        node.node.wait()
        node.start(False)
        node.look()
        check(node.lost == 0 and node.corrupt == 0,
              f'lost {node.lost} of what was written once more')
    finally:
        if node is not None:
            node.close()
        shutil.rmtree(folder, ignore_errors=True)


def test_a_broken_file_is_set_aside():
    folder = tempfile.mkdtemp(prefix='chordial-broken.')
    node = None
    try:
        node = Node(folder, random.Random(1))
        node.start(False)
        node.load(500)
        node.node.kill()
        node.node.wait()
        path = os.path.join(node.data, 'store.mdb')
        size = os.path.getsize(path)
        for harm in ('truncated', 'overwritten'):
            with open(path, 'r+b') as f:
                if harm == 'truncated':
                    f.truncate(size // 2)
                else:
                    f.seek(0)
                    f.write(os.urandom(max(8192, os.path.getsize(path))))
            begun = node.corrupt
            try:
                node.start(False)
            except crash_check.Failed as failed:
                raise Failure(f'{harm}: {failed}')
            check(node.corrupt == begun + 1 and 'starts EMPTY' in node.text(),
                  f'{harm}: {node.text()}')
            kept = [name for name in os.listdir(node.data) if 'corrupt-' in name]
            check(kept, f'{harm}: not kept: {os.listdir(node.data)}')
            node.load(300)
            node.node.kill()
            node.node.wait()
            time.sleep(1.1)  # the name has the second in it
    finally:
        if node is not None:
            node.close()
        shutil.rmtree(folder, ignore_errors=True)


run([test_nothing_acknowledged_is_lost, test_a_disk_that_lies_is_found_out,
     test_a_full_disk_takes_the_promise_and_not_the_service, test_a_broken_file_is_set_aside])
