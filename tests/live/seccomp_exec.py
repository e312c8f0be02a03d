# SPDX-License-Identifier: Apache-2.0
"""seccomp_exec.py [--kill] [--without NAME,NAME] PROFILE COMMAND...: runs a command under a seccomp
profile in the format of Docker and the OCI, as a container runtime would: names are looked up for
this machine, unknown ones left out.  --kill ends the process at the first call that is not
listed (SIGSYS); else the profile's error is what it gets.  Of the format it knows what
contrib/seccomp.json uses, and refuses the rest."""
import ctypes
import glob
import json
import os
import platform
import re
import struct
import sys

# linux/filter.h, linux/seccomp.h, linux/audit.h
LOAD, JUMP_EQUAL, RETURN = 0x20, 0x15, 0x06
NR, ARCH, ARGS = 0, 4, 16  # offsets in struct seccomp_data
ALLOW, ERRNO, KILL_PROCESS = 0x7fff0000, 0x00050000, 0x80000000
AUDIT_ARCH = {'x86_64': 0xc000003e, 'aarch64': 0xc00000b7}
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, MODE_FILTER = 38, 22, 2


def numbers():
    """Name to number of each system call of this machine."""
    paths = (glob.glob('/usr/include/*/asm/unistd_64.h') if platform.machine() == 'x86_64'
             else ['/usr/include/asm-generic/unistd.h'])
    with open(paths[0], encoding='ascii') as f:
        return {name: int(number)
                for name, number in re.findall(r'#define __NR\w*?_(\w+)\s+(\d+)', f.read())}


class Fprog(ctypes.Structure):
    _fields_ = [('len', ctypes.c_ushort), ('filter', ctypes.c_char_p)]


def instruction(code, true, false, k):
    return struct.pack('=HBBI', code, true, false, k)


def rule(number, args):
    """Allows one call, with each argument as wanted; what does not match falls through."""
    tests = [(ARGS + 8 * arg['index'] + 4 * half, arg['value'] >> 32 * half & 0xffffffff)
             for arg in args for half in (0, 1)]
    body = b''
    for place, (offset, value) in enumerate(tests):
        rest = 2 * (len(tests) - place - 1) + 1  # instructions up to behind the return
        body += instruction(LOAD, 0, 0, offset) + instruction(JUMP_EQUAL, 0, rest, value)
    body += instruction(RETURN, 0, 0, ALLOW)
    return (instruction(LOAD, 0, 0, NR) +
            instruction(JUMP_EQUAL, 0, len(body) // 8, number) + body)


def program(profile, without, kills):
    """The profile as a filter."""
    known = numbers()
    if profile['defaultAction'] != 'SCMP_ACT_ERRNO':
        sys.exit(f'unknown default action {profile["defaultAction"]}')
    other = KILL_PROCESS if kills else ERRNO | profile['defaultErrnoRet']
    out = (instruction(LOAD, 0, 0, ARCH) +
           instruction(JUMP_EQUAL, 1, 0, AUDIT_ARCH[platform.machine()]) +
           instruction(RETURN, 0, 0, KILL_PROCESS))
    for entry in profile['syscalls']:
        args = entry.get('args', [])
        if (entry['action'] != 'SCMP_ACT_ALLOW' or any(a['op'] != 'SCMP_CMP_EQ' for a in args) or
                set(entry) - {'comment', 'names', 'action', 'args'}):
            sys.exit(f'unknown rule {entry}')
        for name in entry['names']:
            if name in known and name not in without:
                out += rule(known[name], args)
    return out + instruction(RETURN, 0, 0, other)


def main(args):
    kills, without = False, set()
    while args[0].startswith('--'):
        option = args.pop(0)
        if option == '--kill':
            kills = True
        elif option == '--without':
            without = set(args.pop(0).split(','))
        else:
            sys.exit(f'unknown option {option}')
    with open(args[0], encoding='ascii') as f:
        code = program(json.load(f), without, kills)
    libc = ctypes.CDLL(None, use_errno=True)
    filter_ = Fprog(len(code) // 8, code)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 or \
            libc.prctl(PR_SET_SECCOMP, MODE_FILTER, ctypes.byref(filter_), 0, 0) != 0:
        sys.exit(f'no seccomp: {os.strerror(ctypes.get_errno())}')
    os.execv(args[1], args[1:])


if __name__ == '__main__':
    main(sys.argv[1:])
