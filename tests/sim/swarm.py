#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""As many seeds of the swarm as three minutes have room for, at most 150; with --full 300."""
import os
import sys

FULL = '--full' in sys.argv
LIMIT = ['--seeds', '300'] if FULL else ['--seeds', '150', '--limit', '165']
TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
os.chdir(TOP)
os.execv(sys.executable, [sys.executable, 'tools/swarm.py'] + LIMIT)
