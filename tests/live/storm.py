#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A thousand phones register at one node and then renew within three seconds (bench/phones.py; the
hundred thousand of `ninja phones-check` differ in number only)."""
import json
import os
import subprocess
import sys

from live import HERE, check, free_ports, run

PHONES = 1000
TOP = os.path.dirname(os.path.dirname(HERE))


def test_a_storm_of_renewals():
    port = free_ports(3, 20000, 21000)
    command = [sys.executable, os.path.join(TOP, 'bench/phones.py'), '--phones', str(PHONES),
               '--window', '3', '--patience', '30', '--port', str(port), '--json']
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    check(done.returncode == 0, done.stdout + done.stderr)
    said = json.loads(done.stdout)
    for phase in ('register', 'refresh'):
        check(said[phase + '.done'] == PHONES and said[phase + '.status_200'] == PHONES, str(said))
        check(phase + '.status_403' not in said, 'somebody was banned: ' + str(said))
    check(said['bindings'] > 0 and said['refresh.status_200'] == PHONES, str(said))


run([test_a_storm_of_renewals])
