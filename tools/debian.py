# SPDX-License-Identifier: Apache-2.0
"""Installs Debian packages without starting the services that some of them bring."""
import os
import shutil
import subprocess
import sys

INSTALL_SCRIPT = '''set -eu
export DEBIAN_FRONTEND=noninteractive
policy=/usr/sbin/policy-rc.d
saved=$(mktemp -d)
restore() {
    rm -f "$policy"
    if [ -e "$saved/policy" ] || [ -L "$saved/policy" ]; then mv "$saved/policy" "$policy"; fi
    rmdir "$saved"
}
trap restore EXIT
trap 'exit 1' HUP INT TERM
if [ -e "$policy" ] || [ -L "$policy" ]; then mv "$policy" "$saved/policy"; fi
printf '#!/bin/sh\\nexit 101\\n' > "$policy"
chmod 755 "$policy"
apt-get update
apt-get install --yes --no-install-recommends "$@"
'''


def install(wanted):
    """Installs the Debian packages of `wanted` that are missing, starting no service."""
    if not shutil.which('dpkg-query') or not shutil.which('apt-get'):
        sys.exit('configure.py: --deps knows Debian only; install what stands for: ' + ' '.join(wanted))
    listing = subprocess.run(['dpkg-query', '-W', '-f', '${Package} ${db:Status-Status}\\n'],
                             capture_output=True, text=True, check=True).stdout
    present = {line.split()[0] for line in listing.splitlines() if line.endswith(' installed')}
    missing = sorted(set(wanted) - present)
    if not missing:
        print('--deps: everything is installed already (%d packages)' % len(set(wanted)))
        return
    print('--deps: installing ' + ' '.join(missing), flush=True)
    become = []
    if os.geteuid() != 0:
        become = ['sudo']
        if not shutil.which('sudo'):
            sys.exit('configure.py: --deps needs root: run it as root, or install sudo, or: apt-get install '
                + ' '.join(missing))
    if subprocess.run(become + ['sh', '-c', INSTALL_SCRIPT, 'sh'] + missing).returncode:
        sys.exit('configure.py: --deps: apt-get failed, its words stand above')
