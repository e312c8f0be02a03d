#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A seed is a run, whoever compiled it (issue 5): runs the same scenarios in each of the programs
named (or commands, such as an emulator with a program) and compares what they print.  Exit status
1: one of them had another run."""
import shlex
import subprocess
import sys

# joining, storing, fetching; then churn and faults of all kinds; datagrams over bad lines; a plane;
# phones and disks while addresses change; a NAT; real TLS and DTLS
SCENARIOS = [
    '7 nodes=20 records=20 measure_s=5 kbr_interval_s=1',
    '8 nodes=12 records=20 run_s=120 churn_lifetime_s=120 mix_interval_s=10 load_lookups_per_s=2'
    ' load_stores_per_s=1 quiet_s=300 buggify=200',
    '9 nodes=10 records=20 links=2 line_kbit_per_s=2000 line_loss_ppm=20000'
    ' line_reorder_ppm=20000 line_duplicate_ppm=10000',
    '10 nodes=16 records=20 underlay=2 kill_percent=20 publish=1 shards=2',
    '11 nodes=10 records=20 phones=20 phone_loss_ppm=20000 call_every_s=20 run_s=60 disks=1'
    ' churn_lifetime_s=120 move_interval_s=20 disk_lost_percent=20 quiet_s=300',
    '12 nodes=10 records=10 links=2 nat_percent=20 nat_kind=2 settle_s=20',
    '13 nodes=8 crypto=1 links=1 publish=1 records=20 phones=12 call_every_s=20 run_s=60'
    ' churn_lifetime_s=100 load_lookups_per_s=2 quiet_s=300',
]


def main():
    runs = {}
    for program in sys.argv[1:]:
        done = subprocess.run(shlex.split(program) + SCENARIOS, capture_output=True, text=True,
                              check=False)
        runs[program] = done.stdout.splitlines()
        if done.returncode != 0:
            print(f'FAIL {program}: exit status {done.returncode}: {done.stderr[-500:]}')
            return 1
    lines = list(runs.values())
    failed = 0
    for at, scenario in enumerate(SCENARIOS):
        seen = {line[at] for line in lines}
        print(f'{min(seen)}: {scenario}')
        failed += len(seen) > 1
        for program, line in runs.items() if len(seen) > 1 else ():
            print(f'FAIL {program}: {line[at]}')
    print(f'{len(runs)} builds: {len(SCENARIOS) - failed} passed, {failed} failed')
    return 1 if failed or len(runs) < 2 else 0


sys.exit(main())
