#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures us beside the machine's floors and our rivals, in the same run, and writes
bench/REPORT.md.

usage: bench/rivals.py [--quick] [--json] [--repeat N] [--only WORK] [--no-build] [--list]

--quick writes no report and takes less than 10 minutes; --json prints one object,
{"rows": [{"work", "ours", "rival", "ratio", "must", "ok", ...}, ...]}, and nothing else.
Exit code 1 when a row that must hold does not; one that was not measured does not."""
import argparse
import json
import os
import signal
import subprocess
import sys
import time

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(TOP, 'bench'))
import rival_report  # noqa: E402
import rival_rows  # noqa: E402
import rival_run  # noqa: E402

QUICK = {'ms': 250, 'quick': '--quick'}
FULL = {'ms': 1000, 'quick': ''}


def say(text):
    print(text, file=sys.stderr, flush=True)


STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def stop(_number, _frame):
    for number in STOPS:  # a second one shall not end the cleaning up
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def build():
    """What is measured is what stands in the tree."""
    ran = subprocess.run(['ninja', '-C', TOP, 'bench-programs', 'chordial'], capture_output=True,
                         text=True)
    if ran.returncode != 0:
        sys.exit('bench/rivals.py: ninja bench-programs chordial failed:\n' + ran.stdout[-3000:])


def measure(rig, sources, values, repeat):
    """([{figure: number} of each round], {source: why it failed}, {source: commands of its first
    round}).  In each round all run once, one after the other; a source that has failed is not run
    again."""
    samples, errors, commands = [], {}, {}
    for number in range(repeat):
        sample = {}
        for source in sources:
            if source.name in errors or not (source.rounds or number == 0):
                continue
            begin = time.monotonic()
            try:
                lines = rig.measure(source, {**values, 'repeat': repeat})
                sample.update(rival_rows.flatten(source.name, lines))
            except (rival_run.Failed, OSError, ValueError) as error:
                errors[source.name] = str(error)
                sample.update(salvage(source.name, getattr(error, 'said', '')))
            commands.setdefault(source.name, rig.take_commands())
            say('  round %d of %d: %-18s %6.1f s%s' % (
                number + 1, repeat, source.name, time.monotonic() - begin,
                '  ' + errors[source.name] if source.name in errors else ''))
        samples.append(sample)
    return rival_rows.join(samples), errors, commands


def salvage(name, said):
    """The figures that a program has printed before it failed: shown, and never ok."""
    try:
        return rival_rows.flatten(name, rival_run.read_lines(said))
    except (rival_run.Failed, ValueError):
        return {}


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--quick', action='store_true')
    parser.add_argument('--json', action='store_true')
    parser.add_argument('--repeat', type=int, default=5, metavar='N')
    parser.add_argument('--only', metavar='WORK', help='rows with WORK in their name')
    parser.add_argument('--no-build', action='store_true', help='run what is built')
    parser.add_argument('--list', action='store_true', help='the rows, and what they compare')
    args = parser.parse_args()
    rows = rival_rows.select(rival_rows.ROWS, args.only, args.quick)
    if args.list:
        for r in rows:
            print('%-22s %s; by: %s' % (r.work, r.text, r.rival_text))
        return
    if args.repeat < 5:
        parser.error('a median of fewer than 5 says little')
    if not rows:
        parser.error('no row has %r in its name; see --list' % args.only)
    for number in STOPS:
        signal.signal(number, stop)  # SIGINT too: a shell's background jobs begin with it ignored
    if not args.no_build:
        build()
    wanted = rival_rows.sources_of(rows, () if args.only else rival_rows.FIGURES)
    is_full = not (args.quick or args.only)
    sources = [s for s in rival_rows.SOURCES if s.name in wanted or (s.series and is_full)]
    begin = time.time()
    with rival_run.Rig(TOP, say) as rig:
        samples, errors, ran = measure(rig, sources, QUICK if args.quick else FULL, args.repeat)
    judged = [rival_rows.judge(r, samples, errors) for r in rows]
    if args.json:
        print(json.dumps({'rows': judged}))
    else:
        print(rival_report.text_table(judged))
        print(''.join(line + '\n' for line in rival_report.set_aside(samples)), end='')
    if is_full:
        run = rival_report.Run(rows, judged, samples, errors, ran, int(time.time() - begin))
        rival_report.write(TOP, run)
        say('wrote bench/REPORT.md')
    sys.exit(0 if all(j['ok'] for j in judged if j['must'] is not None) else 1)


if __name__ == '__main__':
    try:
        main()
    except KeyboardInterrupt:
        sys.exit('bench/rivals.py: stopped; everything that was started has been ended')
