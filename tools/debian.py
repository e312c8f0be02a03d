# SPDX-License-Identifier: Apache-2.0
"""Installs Debian packages without starting the services that some of them bring."""
import os
import shutil
import subprocess
import sys

import packages

BUILD = '''build-essential clang clang-format clang-tidy git libclang-rt-14-dev llvm ninja-build
    pkg-config python3'''.split() + [packages.BORINGSSL_DEBIAN]
BUILD += [t.debian for t in packages.TOOLS] + [p.debian for p in packages.PACKAGES]
TEST = '''baresip-core iproute2 kamailio linphone-cli openssl procps
    python3-prometheus-client sip-tester sipsak sipvicious tshark valgrind'''.split()
BENCH = '''gnuplot-nox kamailio libopendht-dev libosip2-dev libre-dev libsofia-sip-ua-dev
    linux-perf redis-server redis-tools'''.split()
FUZZ = '''afl++ gnuplot-nox'''.split()
ARM64 = '''gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user'''.split()
MORE = {'build': [], 'bench': BENCH, 'boringssl': [], 'fuzz': FUZZ, 'arm64': ARM64}
# What the simulator links, for another architecture.
FOREIGN = ['libc6-dev', packages.BORINGSSL_DEBIAN] + [
    p.debian for p in packages.PACKAGES if p.name in ('xml2', 'xxhash')]

# Run by root as `sh -c SCRIPT sh PACKAGE...`.  A policy-rc.d that says 101 forbids every start.
SCRIPT = '''set -eu
export DEBIAN_FRONTEND=noninteractive
policy=/usr/sbin/policy-rc.d
saved=$policy.chordial-saved
restore() {
    rm -f "$policy"
    if [ -e "$saved" ]; then mv "$saved" "$policy"; fi
}
trap restore EXIT
trap 'exit 1' HUP INT TERM
if [ -e "$policy" ] && [ ! -e "$saved" ]; then mv "$policy" "$saved"; fi
printf '#!/bin/sh\\nexit 101\\n' > "$policy"
chmod 755 "$policy"
apt-get update
apt-get install --yes --no-install-recommends "$@"
'''


def missing(wanted):
    listing = subprocess.run(['dpkg-query', '-W', '-f', '${Package} ${db:Status-Status}\\n'],
                             capture_output=True, text=True, check=True).stdout
    there = {line.split()[0] for line in listing.splitlines() if line.endswith(' installed')}
    return sorted(set(wanted) - there)


def install(what):
    """Installs what build and tests need (`what` is 'build' or 'boringssl'), and the rivals
    ('bench'), what a campaign can use ('fuzz') or compilers for another processor ('arm64')."""
    wanted = BUILD + TEST + MORE[what]
    if not shutil.which('dpkg-query') or not shutil.which('apt-get'):
        sys.exit('configure.py: --deps knows Debian only; install what stands for: '
                 + ' '.join(sorted(set(wanted))))
    todo = missing(wanted)
    if not todo:
        print('--deps: all %d packages are installed' % len(set(wanted)))
        return
    become = [] if os.geteuid() == 0 else ['sudo']
    if become and not shutil.which('sudo'):
        sys.exit('configure.py: --deps: not root, and no sudo: as root do: apt-get install '
                 + ' '.join(todo))
    print('--deps: installing ' + ' '.join(todo), flush=True)
    if subprocess.run(become + ['sh', '-c', SCRIPT, 'sh'] + todo).returncode:
        sys.exit('configure.py: --deps: apt-get failed; what it said stands above')


def unpack(architecture, root):
    """Unpacks what the simulator links, with all that it needs, below `root`, for another
    architecture.  apt gets lists and a status of its own, so the machine's packages stay as they
    are: two architectures of BoringSSL's package cannot be installed at once."""
    own = os.path.abspath(root + '/apt')
    for folder in ('lists', 'cache/archives/partial'):
        os.makedirs(os.path.join(own, folder), exist_ok=True)
    open(own + '/status', 'a', encoding='utf-8').close()
    apt = ['apt-get', '--yes', '--no-install-recommends', '-o', 'APT::Architecture=' + architecture,
           '-o', 'APT::Architectures::=' + architecture, '-o', f'Dir::State::Lists={own}/lists',
           '-o', f'Dir::State::status={own}/status', '-o', f'Dir::Cache={own}/cache',
           '-o', 'Debug::NoLocking=1', '-o', 'APT::Sandbox::User=']
    for step in (['update'], ['--download-only', 'install'] + FOREIGN):
        if subprocess.run(apt + step).returncode:
            sys.exit('configure.py: --deps: apt-get failed; what it said stands above')
    for name in sorted(os.listdir(own + '/cache/archives')):
        if name.endswith('.deb'):
            subprocess.run(['dpkg-deb', '-x', f'{own}/cache/archives/{name}', root], check=True)
