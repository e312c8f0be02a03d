#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""tshark as judge (issue: Must hold 5): what five peers said to each other over their trunks, from the
first bytes of the ring to the peers' end, decrypted with the key log and dissected by tshark's
reload-framing and reload dissectors.  Every frame must be understood, none be malformed.

tshark does not look for RELOAD inside TLS (it does inside DTLS), so the bytes of each trunk are
decrypted first (`-z follow,tls,raw`) and written as plain TCP to port 6084, one packet per TLS
record; finding the frames in them is left to tshark and compared with a parser of our own."""
import collections
import json
import os
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import time

from live import (Demo, Failure, Folder, Sipp, account_name, check, credentials, register, run,
                  wait_for)

DATA, ACK = 0x80, 0x81
DEMO_PORTS = (10000, 32000)  # cmd/demo_peer.c: where `chordial demo` looks for free ports
RELOAD_PORT = 6084
RELOAD_TOKEN = b'\xd2ELO'
OPTIONS = ['-o', 'reload.nodeid_length:16', '-o', 'reload.topology_plugin:CHORD-RELOAD',
           '-o', 'reload.defragment:TRUE']
