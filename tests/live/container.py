#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""contrib/seccomp.json and contrib/Containerfile: the profile lists every system call that the
daemon makes, from its start over joining, calls and scrapes of its metrics to its end, on both back
ends; without io_uring in it the daemon runs on epoll and says so; the image has the libraries that
the daemon loads."""
import json
import os
import re
import signal
import subprocess
import sys

import seccomp_exec
from calls import call
from live import (CHORDIAL, HERE, Demo, Failure, Folder, check, free_ports, phone_ports, register,
                  run, wait_for)
from metrics import get

TOP = os.path.dirname(os.path.dirname(HERE))
PROFILE = os.path.join(TOP, 'contrib', 'seccomp.json')
CONTAINERFILE = os.path.join(TOP, 'contrib', 'Containerfile')
URING = 'io_uring_setup,io_uring_enter,io_uring_register'
CALLS = 20


class Confined:
    """Peer `index` of a demo, ended and started again under the profile."""

    def __init__(self, demo, index, *options, is_dead=False):
        folder = os.path.dirname(demo.info['keylog'])
        name = demo.peers[index]['name']
        if not is_dead:
            demo.kill(index)
        wait_for(f'{name} is gone', 10,
                 lambda: not os.path.exists(f'/proc/{demo.peers[index]["pid"]}/exe'))
        self.demo, self.index, self.name = demo, index, name
        self.log = os.path.join(folder, name + '.confined')
        self.metrics_port = free_ports(1, 29100, 29900)
        self.config = os.path.join(folder, name + '.confined.conf')
        with open(os.path.join(folder, name + '.conf'), encoding='utf-8') as f:
            text = f.read()
        with open(self.config, 'w', encoding='utf-8') as f:
            f.write(f'{text}\ndata-dir = "{name}.data"\nstorage-ack = disk\n'
                    f'metrics-listen = "127.0.0.1:{self.metrics_port}"\n')
        with open(self.log, 'w', encoding='utf-8') as log:
            self.process = subprocess.Popen(
                [sys.executable, seccomp_exec.__file__, *options, PROFILE,
                 os.path.abspath(CHORDIAL), 'run', '-c', self.config],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def text(self):
        with open(self.log, encoding='utf-8', errors='replace') as f:
            return f.read()

    def alive(self):
        code = self.process.poll()
        if code == -signal.SIGSYS:
            raise Failure(f'{self.name} makes a system call that {PROFILE} does not list: '
                          f'find it with strace -f\n{self.text()[-1000:]}')
        check(code is None, f'{self.name} has ended with {code}: {self.text()[-1000:]}')
        return True

    def is_ready(self):
        self.alive()
        try:
            rows = self.demo.ask(self.index, cmd='status')['rows']
        except (OSError, Failure):
            return False
        return all(row['ready'] for row in rows)

    def wait_ready(self):
        wait_for(f'{self.name} is in the ring', 40, self.is_ready)

    def scrape(self):
        for path in '/metrics', '/livez', '/readyz':
            status, _, text = get(self.metrics_port, path)
            self.alive()
            check(status == 200, f'{self.name}: {path}: {status}: {text[:200]}')

    def end(self):
        """SIGTERM: it drains, leaves and ends in peace, under the profile too."""
        self.alive()
        self.process.terminate()
        code = self.process.wait(60)
        check(code == 0, f'{self.name} ended with {code}: {self.text()[-1000:]}')

    def stop(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def through_confined(backend, options, expected):
    """Calls between two confined peers of two shards each, and a phone on TCP."""
    with Folder() as folder, Demo(peers=3, shards=2, extra=('--backend', backend)) as demo:
        peers = []
        try:
            peers += [Confined(demo, index, *options) for index in (1, 2)]
            for peer in peers:
                peer.wait_ready()
                check(f'backend {expected}' in peer.text(), peer.text()[:1000])
            call(demo, folder, 1, 2, CALLS)
            register(folder, demo, 1, demo.accounts[1], phone_ports(1),
                     transport='t1')
            for peer in peers:
                peer.scrape()
            for index in (1, 2):
                metrics = demo.metrics(index)
                check(metrics['persist_commits'] > 0 and metrics['persist_degraded'] == 0,
                      f'peer {index} keeps nothing: {metrics}')
            for peer in peers:
                peer.end()
            peers.append(Confined(demo, 1, *options, is_dead=True))  # on what it has kept
            peers[-1].wait_ready()
            check(' 0 records read' not in peers[-1].text(), peers[-1].text()[:1000])
            peers[-1].end()
        finally:
            for peer in peers:
                peer.stop()
        return [peer.text() for peer in peers]


def test_io_uring_under_the_profile():
    through_confined('io_uring', ['--kill'], 'io_uring')


def test_epoll_under_the_profile():
    through_confined('epoll', ['--kill'], 'epoll')


def test_epoll_where_io_uring_is_denied():
    for text in through_confined('auto', ['--without', URING], 'epoll'):
        check('io_uring_refused' in text, text[:1000])


def test_what_is_not_listed_is_seen():
    """The first two tests could not fail otherwise."""
    with Demo(peers=2) as demo:
        peer = Confined(demo, 1, '--kill', '--without', 'listen')
        try:
            check(peer.process.wait(20) == -signal.SIGSYS, 'listen was not denied')
        finally:
            peer.stop()


def test_the_profile_opens_no_door():
    with open(PROFILE, encoding='ascii') as f:
        profile = json.load(f)
    names = [name for entry in profile['syscalls'] for name in entry['names']]
    doors = {'add_key', 'bpf', 'chroot', 'delete_module', 'fork', 'init_module', 'keyctl', 'kill',
             'mknod', 'mount', 'pivot_root', 'process_vm_writev', 'ptrace', 'reboot', 'setns',
             'swapon', 'unshare', 'userfaultfd', 'vfork'}
    check(profile['defaultAction'] == 'SCMP_ACT_ERRNO', profile['defaultAction'])
    check(not doors & set(names), f'{sorted(doors & set(names))}')
    twice = {name for name in names if names.count(name) > 1} - {'socket'}
    check(not twice, f'listed twice: {sorted(twice)}')


def test_the_image_has_the_libraries():
    with open(CONTAINERFILE, encoding='ascii') as f:
        image = f.read().split('FROM debian:12-slim')[1]
    installed = set(re.findall(r'[a-z][a-z0-9.+-]+', image.split('rm -rf')[0]))
    needed = subprocess.run(['objdump', '-p', CHORDIAL], capture_output=True, text=True, check=True)
    loaded = subprocess.run(['ldd', CHORDIAL], capture_output=True, text=True, check=True)
    paths = dict(re.findall(r'(\S+) => (/\S+)', loaded.stdout))
    for library in re.findall(r'NEEDED\s+(\S+)', needed.stdout):
        if library.startswith(('libc.so', 'libm.so', 'libgcc_s', 'ld-linux')):
            continue
        path = os.path.realpath(paths[library])
        owner = subprocess.run(['dpkg', '-S', path.replace('/usr/lib', '*/lib')],
                               capture_output=True, text=True, check=False)
        package = owner.stdout.split(':')[0]
        check(package in installed, f'{library} is of {package}, which the image lacks')


if __name__ == '__main__':
    run([test_io_uring_under_the_profile, test_epoll_under_the_profile,
         test_epoll_where_io_uring_is_denied, test_what_is_not_listed_is_seen,
         test_the_profile_opens_no_door, test_the_image_has_the_libraries])
