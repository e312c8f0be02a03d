#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Fuzzes the targets of fuzz/ for a while, keeps what was found, and writes it into fuzz/LEDGER.md.

    tools/fuzz_campaign.py --hours 1 --jobs 2         everything, an hour, on two cores
    tools/fuzz_campaign.py --hours 0                  only what the ledger says is missing

The time is shared out by fuzz_targets.first_minutes; targets of families that reached their goal
get a quarter.  What libFuzzer and AFL++ find is merged into fuzz/corpus (minimised, capped; all of
it stays in build/fuzz/campaign).  Exit code 1 when an input crashed, 2 when a run failed.  Ctrl-C
ends the runs, writes the ledger for what ran, and leaves the rest for the next campaign."""
import argparse
import collections
import concurrent.futures
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import tree  # noqa: E402
import fuzz_engines  # noqa: E402
import fuzz_ledger  # noqa: E402
import fuzz_plot  # noqa: E402
import fuzz_targets  # noqa: E402
import fuzz_triage  # noqa: E402

SHARES = {'libfuzzer': 2, 'afl': 1}  # of a target's time, where both run
DONE_SHARE = 0.25
SHORTEST_S = 2
MERGE_TIMEOUT_S = 1200

Job = collections.namedtuple('Job', 'target engine seconds')


def arguments():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--hours', type=float, required=True, metavar='H',
                        help='of wall time, merging apart')
    parser.add_argument('--jobs', type=int, default=1, metavar='J', help='runs side by side')
    parser.add_argument('--targets', default='', metavar='A,B', help='all unless given')
    parser.add_argument('--engine', choices=['libfuzzer', 'afl', 'both'], default='both')
    parser.add_argument('--no-build', action='store_true', help='take the programs as they are')
    parser.add_argument('--build', default='build', metavar='DIR', help='with fuzz/ and afl/ in it')
    parser.add_argument('--work', default='build/fuzz/campaign', metavar='DIR')
    parser.add_argument('--corpus', default='fuzz/corpus', metavar='DIR')
    parser.add_argument('--ledger', default='fuzz/LEDGER.md', metavar='FILE')
    return parser.parse_args()


def say(text):
    print(text, flush=True)


# ---- what to run ----

def choose_targets(wanted, known):
    names = [n if n.startswith('fuzz_') else 'fuzz_' + n for n in wanted.split(',') if n]
    for name in names:
        if name not in known:
            sys.exit('fuzz_campaign.py: no target %s; there are: %s' % (name, ' '.join(known)))
    return names or known


def choose_engines(wanted):
    engines = ['libfuzzer', 'afl'] if wanted == 'both' else [wanted]
    if 'afl' in engines and not shutil.which('afl-fuzz'):
        if wanted == 'afl':
            sys.exit('fuzz_campaign.py: no afl-fuzz here: ./configure.py --deps=fuzz')
        say('AFL++ is not installed (./configure.py --deps=fuzz): libFuzzer alone')
        engines.remove('afl')
    return engines


def plan(targets, engines, ledger, total_s):
    """The jobs that share `total_s` seconds of all cores."""
    spent = {name: seconds for family, seconds in fuzz_ledger.missing(ledger, targets)
             for name in fuzz_targets.families(targets)[family]}
    weight = {name: fuzz_targets.first_minutes(name)
              * (DONE_SHARE if spent[name] >= fuzz_targets.GOAL_S else 1) for name in targets}
    whole, shares = sum(weight.values()), sum(SHARES[e] for e in engines)
    return [Job(name, engine, max(SHORTEST_S, total_s * weight[name] / whole
                                  * SHARES[engine] / shares))
            for engine in engines for name in targets]


def commit():
    """The commit's name, with a + when sources differ from it."""
    def git(*words):
        ran = subprocess.run(['git', *words], cwd=tree.TOP, stdout=subprocess.PIPE,
                             stderr=subprocess.DEVNULL, text=True, check=False)
        return ran.stdout.strip()
    dirty = git('status', '--porcelain', '--', '.', ':!fuzz/corpus', ':!fuzz/LEDGER.md')
    return (git('rev-parse', '--short=10', 'HEAD') or 'none') + ('+' if dirty else '')


# ---- corpora ----

def files_of(directory):
    return [p for p in fuzz_engines.listed(directory)]


def name_of(path):
    with open(path, 'rb') as f:
        return hashlib.sha1(f.read()).hexdigest()[:12]


def merge(binary, target, flag, into, sources):
    """libFuzzer's merge; it runs the inputs in processes of their own, so a crash is skipped."""
    command = [binary, flag, *fuzz_targets.limits(target), into,
               *(s for s in sources if os.path.isdir(s))]
    code, said = fuzz_triage.say(command, MERGE_TIMEOUT_S)
    if code != 0:
        say('merging %s failed:\n%s' % (target, said[-2000:]))
    return code == 0


def is_over(directory, limits):
    sizes = [os.path.getsize(p) for p in files_of(directory)]
    return len(sizes) > limits.files or sum(sizes) > 1024 * limits.kib


def drop_largest(directory, limits):
    """Keeps the smallest files that fit; the whole corpus is in the work directory."""
    dropped = 0
    for path in sorted(files_of(directory), key=os.path.getsize, reverse=True):
        if not is_over(directory, limits):
            break
        os.remove(path)
        dropped += 1
    return dropped


def shrink(binary, target, merged, committed, limits):
    """The smallest set of inputs with the coverage of all, in which those that are committed
    already stay; when that does not fit, the smallest set there is; then without the largest."""
    fresh = merged + '.small'
    for stays in (True, False):
        shutil.rmtree(fresh, ignore_errors=True)
        shutil.copytree(committed, fresh) if stays and os.path.isdir(committed) \
            else os.makedirs(fresh)
        if not merge(binary, target, '-merge=1' if stays else '-set_cover_merge=1', fresh,
                     [merged, committed]):
            return None
        if not is_over(fresh, limits):
            break
    return fresh, drop_largest(fresh, limits)


def keep(target, binary, work, corpus):
    """Merges what the engines found: all of it into work/TARGET/corpus, the minimised set into
    corpus/TARGET.  Returns a line for people."""
    place = os.path.join(work, target)
    committed = os.path.join(corpus, fuzz_targets.stem(target))
    whole, limits = os.path.join(place, 'corpus'), fuzz_targets.of(target)
    found = [os.path.join(place, 'new'), os.path.join(place, 'afl', 'default', 'queue')]
    os.makedirs(whole, exist_ok=True)
    if not merge(binary, target, '-merge=1', whole, [committed, *found]):
        return '  %-22s not merged' % target
    for directory in found:
        shutil.rmtree(directory, ignore_errors=True)
    small = shrink(binary, target, whole, committed, limits)
    if not small:
        return '  %-22s not minimised' % target
    fresh, dropped = small
    before = {name_of(p) for p in files_of(committed)}
    after = {name_of(p): p for p in files_of(fresh)}
    os.makedirs(committed, exist_ok=True)
    for path in files_of(committed):
        if name_of(path) not in after:
            os.remove(path)
    for name in set(after) - before:
        shutil.copyfile(after[name], os.path.join(committed, name))
    shutil.rmtree(fresh)
    size = sum(os.path.getsize(p) for p in files_of(committed))
    return '  %-22s %d files, %d KiB (%d new, %d gone%s)' % (
        target, len(files_of(committed)), -(-size // 1024), len(set(after) - before),
        len(before - set(after)), ', %d too large to keep' % dropped if dropped else '')


# ---- the campaign ----

class Campaign:
    def __init__(self, args, targets, engines, version):
        self.args, self.targets, self.version = args, targets, version
        self.engines = {e.name: e for e in (
            fuzz_engines.LibFuzzer(os.path.join(args.build, 'fuzz'), tree.TOP),
            fuzz_engines.Afl(os.path.join(args.build, 'afl'), tree.TOP)) if e.name in engines}
        self.reference = fuzz_engines.LibFuzzer(os.path.join(args.build, 'fuzz'), tree.TOP)
        self.children = fuzz_engines.Children()
        self.outcomes, self.crashes = [], 0

    def stop(self, number, frame):
        say('\nstopping')
        self.children.stop()

    def run(self, job):
        if self.children.is_stopping:
            return None
        place = os.path.join(self.args.work, job.target)
        os.makedirs(place, exist_ok=True)
        seeds = [d for d in (os.path.join(self.args.corpus, fuzz_targets.stem(job.target)),
                             os.path.join(place, 'corpus')) if os.path.isdir(d)]
        o = self.engines[job.engine].run(job.target, job.seconds, place, seeds, self.children)
        say('  %-22s %-9s %8.1f CPU s %11d executions %8d /s per core %6d edges %5d new%s' % (
            job.target, job.engine, o.cpu_s, o.executions, o.rate, o.edges, o.new_edges,
            '  %d INPUTS WENT WRONG' % len(o.artifacts) if o.artifacts else o.trouble))
        return o

    def fuzz(self, jobs):
        """Runs the jobs, those of one target never side by side: they share a directory."""
        lines = collections.defaultdict(list)
        for job in jobs:
            lines[job.target].append(job)
        order = sorted(lines.values(), key=lambda line: -sum(j.seconds for j in line))
        with concurrent.futures.ThreadPoolExecutor(max(1, self.args.jobs)) as pool:
            done = [pool.submit(lambda line: [self.run(job) for job in line], line)
                    for line in order]
            for future in concurrent.futures.as_completed(done):
                self.outcomes += [o for o in future.result() if o]

    def triage(self, outcome):
        """Prints the faults of a run; returns how many there are."""
        if not outcome.artifacts:
            return 0
        binaries = [self.reference.binary(outcome.target)]
        if outcome.engine == 'afl':
            binaries.append(self.engines['afl'].binary(outcome.target))
        binaries = [b for b in binaries if os.path.exists(b)]
        place = os.path.join(self.args.build, 'fuzz', 'crashes', outcome.target)
        faults, silent = fuzz_triage.sort_out(outcome.target, outcome.artifacts, binaries, place)
        for kind, where, again in faults:
            say('CRASH %s (%s): %s: %s\n  see it again:  %s'
                % (outcome.target, outcome.engine, kind, where, again))
        if silent:
            say('  %s (%s): %d of %d inputs showed nothing when run again'
                % (outcome.target, outcome.engine, silent, len(outcome.artifacts)))
        return len(faults)

    def enter(self):
        """Writes the ledger."""
        date = time.strftime('%Y-%m-%d %H:%M', time.gmtime())
        lines = []
        for o in self.outcomes:
            faults = self.triage(o)
            self.crashes += faults
            if o.executions > 0:
                lines.append(fuzz_ledger.Line(date, self.version, o.target, o.engine, o.cpu_s,
                                              o.executions, o.rate, o.edges, faults))
        fuzz_ledger.append(self.args.ledger, sorted(lines, key=lambda l: (l.target, l.engine)))

    def finish(self):
        if self.outcomes:
            self.enter()
            say(fuzz_plot.text(self.outcomes))
            picture = os.path.join(self.args.work, 'edges.svg')
            if fuzz_plot.svg(self.outcomes, picture):
                say('drawn in ' + picture)
        if not self.children.is_stopping and self.args.hours > 0:
            say('Corpora')
            with concurrent.futures.ThreadPoolExecutor(max(1, self.args.jobs)) as pool:
                for line in pool.map(lambda t: keep(t, self.reference.binary(t), self.args.work,
                                                    self.args.corpus), self.targets):
                    say(line)


def main():
    args = arguments()
    for name in ('build', 'work', 'corpus', 'ledger'):
        setattr(args, name, os.path.abspath(getattr(args, name)))
    sys.path.insert(0, tree.TOP)
    import modules
    known = modules.FUZZ_TARGETS
    if args.no_build:  # whatever stands there, which need not be ours
        known = sorted(n for n in os.listdir(os.path.join(args.build, 'fuzz'))
                       if n.startswith('fuzz_') and '.' not in n) or known
    targets, engines = choose_targets(args.targets, known), choose_engines(args.engine)
    ledger = fuzz_ledger.read(args.ledger)
    say(fuzz_ledger.show_missing(ledger, targets))
    if args.hours <= 0:
        return 0
    version = commit()  # of what is built now, not of what the tree is when the campaign ends
    if not args.no_build:
        wanted = ['build/%s/%s' % (mode, name) for name in targets
                  for mode in ['fuzz'] + (['afl'] if 'afl' in engines else [])]
        if subprocess.run(['ninja', '-C', tree.TOP, *wanted], check=False).returncode:
            return 2
    jobs = plan(targets, engines, ledger, args.hours * 3600 * max(1, args.jobs))
    say('%d runs on %d cores, about %.1f minutes'
        % (len(jobs), args.jobs, sum(j.seconds for j in jobs) / 60 / max(1, args.jobs)))
    campaign = Campaign(args, targets, engines, version)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, campaign.stop)
    campaign.fuzz(jobs)
    campaign.finish()
    say(fuzz_ledger.show_missing(fuzz_ledger.read(args.ledger), targets))
    if campaign.crashes:
        say('%d faults' % campaign.crashes)
        return 1
    return 2 if any(o.trouble for o in campaign.outcomes) else 0


if __name__ == '__main__':
    sys.exit(main())
