#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Mixed faults, an hour of 64 peers, seed after seed (sim/scenarios/swarm.conf): 150 seeds, with
--full (`ninja live-check`) 300."""
import subprocess
import sys

words = ['tools/swarm.py', '--seeds', '300' if '--full' in sys.argv else '150']
sys.exit(subprocess.run([sys.executable] + words, check=False).returncode)
