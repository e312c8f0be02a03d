# SPDX-License-Identifier: Apache-2.0
"""What bench/rivals.py says: a table for the terminal, bench/REPORT.md, and plots by gnuplot."""
import os
import re
import shutil
import statistics
import subprocess
from collections import namedtuple

import rival_rows

Run = namedtuple('Run', 'rows judged samples errors commands seconds')

REPORT, PLOTS = 'bench/REPORT.md', 'bench/plots'
PLOT_HEAD = '''set terminal svg size 900,%d font "sans,12" background "white"
set output "%s"
set title "%s"
set grid x
set style fill solid 0.6
set yrange [-0.7:%g] reverse
unset key
'''


def number(value):
    """Four digits that count, at most; thousands with a comma."""
    if value is None:
        return '-'
    if isinstance(value, float) and abs(value) < 100:
        return '%.3g' % value
    return '{:,}'.format(int(round(value, 3 - len(str(int(abs(value)))))) if abs(value) >= 1e4
                         else int(round(value)))


def bound(judged, name):
    if judged[name] is None:
        return '-'
    sign = {'cost': '≤', 'near': '1 ±'}.get(judged['sense'], '≥')
    return '%s %.3g' % (sign, judged[name])


def spread(judged):
    return '%.2f … %.2f' % tuple(judged['spread']) if judged.get('spread') else '-'


def verdict(judged):
    if judged['ratio'] is None:
        return 'not measured'
    if judged['must'] is None:
        return 'failed' if judged.get('why') else ''
    if not judged['ok']:
        return 'NO'
    reached = judged['stretch'] is not None and rival_rows.holds(
        judged['sense'], judged['ratio'], judged['stretch'])
    return 'stretch' if reached else 'ok'


def set_aside(samples):
    """Sentences about runs that a program has set aside, since the machine stood still in them."""
    joined = {k: v for sample in samples for k, v in sample.items()}
    said = []
    for name in sorted(k for k in joined if k.endswith(':set_aside')):
        work = name.rpartition(':')[0]
        count = {k: round(joined.get('%s:%s' % (work, k), 0)) for k in (
            'set_aside', 'runs', 'long_turns', 'idle_jumps', 'paging_turns', 'uneven')}
        said.append('%s: %d of %d runs set aside, with %d turns that took longer than what they did'
                    ' (an idle loop has jumped %d times in as long); %d long turns that waited for'
                    ' pages count; %d repeats at a changed speed done again' % (work, *(
                        count[k] for k in ('set_aside', 'runs', 'long_turns', 'idle_jumps',
                                           'paging_turns', 'uneven'))))
    return said


def text_table(judged):
    lines = ['%-24s %12s %12s %8s %8s  %s' % ('work', 'ours', 'rival', 'ratio', 'must', '')]
    for j in judged:
        ratio = '-' if j['ratio'] is None else '%.3f' % j['ratio']
        lines.append('%-24s %12s %12s %8s %8s  %s' % (
            j['work'], number(j['ours']), number(j['rival']), ratio, bound(j, 'must'),
            j.get('why') or verdict(j)))
    return '\n'.join(lines)


def markdown(head, body):
    rows = [head, ['---'] * len(head)] + body
    return '\n'.join('| ' + ' | '.join(cells) + ' |' for cells in rows)


# ---- the machine ----------------------------------------------------------------------------


def first_line(argv):
    try:
        ran = subprocess.run(argv, capture_output=True, text=True, timeout=20)
    except OSError:
        return None
    return (ran.stdout or ran.stderr).strip().split('\n')[0] or None


def field(path, name):
    try:
        with open(path, encoding='utf-8') as f:
            match = re.search(r'^%s\s*:\s*(.*)$' % name, f.read(), re.M)
    except OSError:
        return None
    return match.group(1) if match else None


def boringssl():
    """Which one our programs were built with, as configure.py has noted it."""
    with open('build/config.ninja', encoding='utf-8') as f:
        libs = re.search(r'^boringssl_libs = (\S*)', f.read(), re.M).group(1)
    if libs.startswith('/usr/lib/'):
        return "Debian's package, compiled to be small"
    if libs.startswith(os.path.abspath('build/boringssl/')):
        return "Debian's source, compiled for speed (configure.py --deps=boringssl)"
    return 'another'


def machine():
    """[(what, which)] that a reader needs to judge the figures by; no names, no paths."""
    memory = field('/proc/meminfo', 'MemTotal')
    facts = [('processor', '%d × %s' % (os.cpu_count() or 1,
                                        field('/proc/cpuinfo', 'model name'))),
             ('memory', '%.0f GiB' % (int(memory.split()[0]) / 2**20) if memory else None),
             ('kernel', os.uname().release),
             ('load average before the report', '%.2f %.2f %.2f' % os.getloadavg()),
             ('compiler', first_line(['gcc', '--version'])),
             ('commit', first_line(['git', 'rev-parse', '--short', 'HEAD'])),
             ('BoringSSL', boringssl()),
             ('Kamailio', first_line(['kamailio', '-v'])),
             ('redis', first_line(['redis-server', '--version'])),
             ('OpenDHT', first_line(['pkg-config', '--modversion', 'opendht']))]
    return [(what, which) for what, which in facts if which]


# ---- REPORT.md ------------------------------------------------------------------------------


def row_table(rows, judged):
    body = [[r.text, number(j['ours']) + (' ' + r.unit if j['ours'] is not None else ''),
             '%s (%s)' % (number(j['rival']), r.rival_text),
             '-' if j['ratio'] is None else '%.3g' % j['ratio'], spread(j), bound(j, 'must'),
             bound(j, 'stretch'), verdict(j)] for r, j in zip(rows, judged)]
    return markdown(['work', 'ours', 'by', 'ratio', 'spread', 'must', 'stretch', ''], body)


def figure_values(expression, samples):
    return [v for v in (rival_rows.evaluate(expression, s) for s in samples) if v is not None]


def figure_table(figures, samples):
    body = []
    for text, expression in figures:
        values = figure_values(expression, samples)
        if values:
            middle = statistics.median(values)
            body.append([text, number(middle), number(1e9 / middle),
                         '%.2f … %.2f' % tuple(rival_rows.spread_of(values)), str(len(values))])
    return markdown(['floor or rival', 'ns of processor', 'per second and core', 'spread',
                     'rounds'], body)


def control_table(controls, samples):
    """Two measurements of one floor; '' when there is none."""
    body = []
    for text, own, general in controls:
        a, b = figure_values(own, samples), figure_values(general, samples)
        if a and b:
            a, b = statistics.median(a), statistics.median(b)
            body.append([text, number(a), number(b), '%.2f' % (a / b)])
    return markdown(['floor', 'there, ns', 'here, ns', 'ratio'], body) if body else ''


def series_table(samples):
    """Costs by size: [((source, size), [(work, number, ns)])], as rival_rows.flatten names them."""
    found = {}
    for name, value in (samples[0] if samples else {}).items():
        if '@' in name:
            work, size, count = name.split('@')
            source, work = work.split('.', 1)
            found.setdefault((source, size), []).append((work, float(count), value))
    return [(key, sorted(points)) for key, points in sorted(found.items())
            if len({count for _, count, _ in points}) > 1]


def command_lines(commands):
    """Which programs each source has started, once a round."""
    for source, started in commands.items():
        for i, command in enumerate(started):
            # the pids of a server are many and differ
            command = re.sub(r'(--server-pid \d+ ?)+', '--server-pid PID... ', command)
            yield '    %-18s %s' % (source if i == 0 else '', command.strip())


def render(run, facts, plots):
    """The text of bench/REPORT.md."""
    rounds = len(run.samples)
    parts = [
        '# Benchmarks: us, the floors and the rivals', '',
        'Written by `bench/rivals.py` (%d rounds, %d minutes). Do not edit: run it again.'
        % (rounds, round(run.seconds / 60)), '',
        'All figures are processor time by operations: of the measured thread, or of all the'
        ' processes of a server, never wall time. Server on one processor, generator on another.'
        ' What takes turns with what it is compared with, in short slices there and back, has the'
        ' median of the turns as its ratio and their quartiles as the spread; else it is the median'
        ' of the ratios of the rounds, and the spread the least and the largest of them, by the'
        ' median.'
        ' Absolute figures of one machine differ by a quarter from hour to hour, and more beside'
        ' other work; ratios of one run do not.', '',
        '## The machine', '', markdown(['', ''], [list(f) for f in facts]), '',
        '## What must hold', '', row_table(run.rows, run.judged), '']
    lacking = [j for j in run.judged if j.get('why')]
    if lacking:
        parts += ['Not measured, or found wrong by the program itself:', '']
        parts += ['- %s: %s' % (j['work'], j['why']) for j in lacking] + ['']
    aside = set_aside(run.samples)
    if aside:
        parts += ['The machine stands still now and then, which bench/steady.h tells from the work'
                  ' of a node:', '']
        parts += ['- ' + line for line in aside] + ['']
    parts += ['## Floors and rivals', '', figure_table(rival_rows.FIGURES, run.samples), '']
    controls = control_table(rival_rows.CONTROLS, run.samples)
    if controls:
        parts += ['Floors that stand beside ours in its own program, by the floors above:', '',
                  controls, '']
    for (source, size), points in series_table(run.samples):
        parts += ['## Cost by number of %s (%s)' % (size, source), '',
                  markdown(['work', size, 'ns'], [[w, number(x), number(y)] for w, x, y in points]),
                  '', *rival_rows.EXPLAINED.get((source, size), [])]
    parts += ['![%s](%s)' % (os.path.basename(p), os.path.relpath(p, 'bench')) for p in plots]
    parts += ['', '## Commands', '', '    bench/rivals.py --repeat %d' % rounds, '',
              'which starts, in each round and in this order:', '', *command_lines(run.commands)]
    return '\n'.join(parts) + '\n'


# ---- plots ----------------------------------------------------------------------------------


def quoted(text):
    return '"%s"' % text.replace('\\', '').replace('"', '').replace('_', '\\\\_')


def margin_plot(judged, out):
    """How much of what is allowed each row uses; below 1 is right."""
    rows = [j for j in judged if j['must'] and j['ratio'] and j['sense'] != 'near']
    if not rows:
        return None
    lines = []
    for i, j in enumerate(rows):
        low, high = j['spread'] or (1, 1)
        used = j['ratio'] / j['must'] if j['sense'] == 'cost' else j['must'] / j['ratio']
        ends = (used * low, used * high) if j['sense'] == 'cost' else (used / high, used / low)
        lines.append('%d %g %g %g %s' % (i, used, ends[0], ends[1], quoted(j['work'])))
    return PLOT_HEAD % (120 + 26 * len(rows), out, 'share of what is allowed (left of 1: holds)',
                        len(rows) - 0.3) + (
        'set arrow from 1, graph 0 to 1, graph 1 nohead lw 2\nset xrange [0:*]\n'
        '$data << END\n%s\nEND\n'
        'plot $data using 2:1:(0):2:($1-0.3):($1+0.3):ytic(5) with boxxyerror lc "#4477aa", \\\n'
        '  $data using 2:1:3:4 with xerrorbars pt 7 ps 0.3 lc "black"\n' % '\n'.join(lines))


def figure_plot(figures, samples, out):
    """Floors and rivals on a logarithmic axis, with least and largest."""
    lines = []
    for text, expression in figures:
        values = figure_values(expression, samples)
        if values:
            lines.append('%d %g %g %g %s' % (len(lines), statistics.median(values), min(values),
                                             max(values), quoted(text)))
    if not lines:
        return None
    return PLOT_HEAD % (120 + 22 * len(lines), out, 'ns of processor for an operation',
                        len(lines) - 0.3) + (
        'set logscale x\nset format x "10^{%%T}"\n$data << END\n%s\nEND\n'
        'plot $data using 2:1:3:4:ytic(5) with xerrorbars pt 7 ps 0.5 lc "#4477aa"\n'
        % '\n'.join(lines))


def series_plot(size, points, out):
    works = sorted({w for w, _, _ in points})
    text = ('set terminal svg size 900,400 font "sans,12" background "white"\nset output "%s"\n'
            'set title "cost by number of %s"\nset logscale x\nset xlabel "%s"\n'
            'set ylabel "ns"\nset yrange [0:*]\nset grid\nset key outside\n' % (out, size, size))
    plots = []
    for i, name in enumerate(works):
        data = ['%g %g' % (x, y) for w, x, y in points if w == name]
        text += '$d%d << END\n%s\nEND\n' % (i, '\n'.join(data))
        plots.append('$d%d using 1:2 with linespoints title %s' % (i, quoted(name)))
    return text + 'plot ' + ', '.join(plots) + '\n'


def draw(top, run, which=shutil.which):
    """Paths of the plots that were drawn; none without gnuplot."""
    if not which('gnuplot'):
        return []
    os.makedirs(os.path.join(top, PLOTS), exist_ok=True)
    wanted = [(PLOTS + '/margins.svg', lambda p: margin_plot(run.judged, p)),
              (PLOTS + '/figures.svg',
               lambda p: figure_plot(rival_rows.FIGURES, run.samples, p))]
    for (source, size), points in series_table(run.samples):
        wanted.append(('%s/%s-%s.svg' % (PLOTS, source, size),
                       lambda p, s=size, q=points: series_plot(s, q, p)))
    drawn = []
    for path, make in wanted:
        text = make(path)
        if text is None:
            continue
        ran = subprocess.run(['gnuplot', '-'], input=text, cwd=top, capture_output=True, text=True)
        if ran.returncode == 0:
            drawn.append(path)
        else:
            print('bench/rivals.py: gnuplot: ' + ran.stderr.strip()[:400])
    return drawn


def write(top, run):
    text = render(run, machine(), draw(top, run))
    with open(os.path.join(top, REPORT), 'w', encoding='utf-8') as f:
        f.write(text)
