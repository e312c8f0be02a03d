# SPDX-License-Identifier: Apache-2.0
"""Inputs that went wrong: which of them are the same fault, and the smallest one of each."""
import hashlib
import os
import re
import subprocess
import tempfile
import time

import fuzz_targets

MINIMISE_S = 20  # for each of two tries
LARGE = 64  # bytes; below, libFuzzer is not asked
OURS = re.compile(r'#\d+ 0x[0-9a-f]+ in (\w+) (?!/build/|/usr/)')  # a frame with a source file
NOISE = {'check_failed', 'LLVMFuzzerTestOneInput', 'main', 'abort', 'raise'}


def say(command, timeout_s=120):
    """(exit code or None after a timeout, what was printed)."""
    try:
        ran = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, timeout=timeout_s, check=False)
    except subprocess.TimeoutExpired:
        return None, ''
    return ran.returncode, ran.stdout.decode('utf-8', 'replace')


def signature(said):
    """(kind, where) of a report, the same for the same fault; None when it says of none."""
    check = re.search(r'CHECK failed: (\S+?):\d+: (.*)', said)
    if check:
        return 'check', '%s: %s' % check.groups()
    runtime = re.search(r'(\S+?):(\d+):\d+: runtime error: (.*)', said)
    if runtime:
        return 'ubsan', '%s:%s: %s' % (os.path.basename(runtime.group(1)), runtime.group(2),
                                       re.sub(r'\b(0x)?[0-9a-f]*\d[0-9a-f]*\b', 'N',
                                              runtime.group(3)))
    error = re.search(r'ERROR: (\w+): ([\w-]+)', said)
    if not error:
        return None
    frames = [f for f in OURS.findall(said) if f not in NOISE and not f.startswith('__')]
    return error.group(2), ' < '.join(frames[:3]) or 'no frame of ours'


def examine(command, path):
    """The signature of what `command` says of the input at `path`, None when nothing is wrong."""
    code, said = say(command + [path])
    return None if code == 0 else signature(said)


def read(path):
    with open(path, 'rb') as f:
        return f.read()


def cut_down(data, is_it, end):
    """`data` without every piece that can go, large pieces first, until time is over."""
    step = max(1, len(data) // 2)
    while time.monotonic() < end:
        at, before = 0, len(data)
        while at < len(data) and time.monotonic() < end:
            shorter = data[:at] + data[at + step:]
            if is_it(shorter):
                data = shorter
            else:
                at += step
        if step == 1 and len(data) == before:
            break
        step = max(1, step // 2)
    return data


def minimise(command, path, wanted):
    """The bytes of an input as small as can be made in a while that still show `wanted`.

    libFuzzer is fast but may slip over to another fault, so it only has the first try."""
    data = read(path)
    with tempfile.TemporaryDirectory() as scratch:
        small = os.path.join(scratch, 'small')
        if len(data) > LARGE:
            say(command + ['-minimize_crash=1', '-max_total_time=%d' % MINIMISE_S,
                           '-exact_artifact_path=' + small, path], 4 * MINIMISE_S)
            if os.path.exists(small) and examine(command, small) == wanted:
                data = min(data, read(small), key=len)

        def is_it(shorter):
            with open(small, 'wb') as f:
                f.write(shorter)
            return examine(command, small) == wanted
        return cut_down(data, is_it, time.monotonic() + MINIMISE_S)


def sort_out(target, artifacts, binaries, place):
    """Keeps one input of each fault in `place`.

    `binaries` are tried in turn.  Returns ([(kind, where, command to see it again)], how many
    artifacts showed nothing again)."""
    faults, silent = {}, 0
    for path in sorted(artifacts, key=os.path.getsize):
        for binary in binaries:
            command = [binary] + [o for o in fuzz_targets.limits(target)
                                  if 'timeout' in o or 'limit' in o]
            found = examine(command, path)
            if found:
                break
        else:
            silent += 1
            continue
        if found not in faults:
            faults[found] = (command, path)
    kept = []
    os.makedirs(place, exist_ok=True)
    for (kind, where), (command, path) in faults.items():
        data = read(path) if kind == 'timeout' else minimise(command, path, (kind, where))
        name = '%s-%s' % (kind, hashlib.sha1(data).hexdigest()[:12])
        with open(os.path.join(place, name), 'wb') as f:
            f.write(data)
        again = command if kind in ('timeout', 'out-of-memory') else command[:1]
        kept.append((kind, where, ' '.join(again + [os.path.join(place, name)])))
    return kept, silent
