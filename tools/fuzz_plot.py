# SPDX-License-Identifier: Apache-2.0
"""New edges over time: as text always, as SVG where gnuplot is installed."""
import os
import shutil
import subprocess

WIDTH = 60
BLOCKS = ' .:-=+*#%@'


def at(curve, start, seconds):
    """Edges beyond `start` that were known after so many seconds."""
    return max([edges for when, edges in curve if when <= seconds], default=start) - start


def text(outcomes):
    """One line a run: the share of its new edges that was there at each sixtieth of its time."""
    said = ['New edges over time (each line from its beginning to its end)']
    for o in outcomes:
        if not o.curve:
            continue
        end = max(o.curve[-1][0], 0.001)
        most = max(1, o.new_edges)
        steps = [at(o.curve, o.start_edges, end * (i + 1) / WIDTH) for i in range(WIDTH)]
        line = ''.join(BLOCKS[n * (len(BLOCKS) - 1) // most] for n in steps)
        said.append('  %-16s %-9s |%s| %d + %d, last after %.0f s'
                    % (o.target.removeprefix('fuzz_'), o.engine, line, o.start_edges, o.new_edges,
                       o.curve[-1][0] if o.new_edges else 0))
    return '\n'.join(said)


def svg(outcomes, path):
    """Draws into `path`; False when gnuplot is not there or fails."""
    drawn = [o for o in outcomes if len(o.curve) > 1]
    if not drawn or not shutil.which('gnuplot'):
        return False
    script = ['set terminal svg size 1000,600', "set output '%s'" % path,
              "set xlabel 'seconds'", "set ylabel 'new edges'", 'set key outside right',
              'set logscale x', 'set xrange [0.1:*]']
    plots, blocks = [], []
    for o in drawn:
        plots.append("'-' using 1:2 with steps title '%s %s'"
                     % (o.target.removeprefix('fuzz_').replace('_', ' '), o.engine))
        points = ['%f %d' % (max(0.1, when), edges - o.start_edges) for when, edges in o.curve]
        blocks.append('\n'.join(points + ['e']))
    script += ['plot ' + ', '.join(plots)] + blocks
    ran = subprocess.run(['gnuplot'], input='\n'.join(script) + '\n', text=True,
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    return ran.returncode == 0 and os.path.getsize(path) > 0
