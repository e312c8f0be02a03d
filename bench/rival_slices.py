# SPDX-License-Identifier: Apache-2.0
"""The estimator of bench/rivals.py: how a ratio comes from slices that were measured there and
back.

Members (us, a floor, a rival) take turns in short slices: A B B A, or A B C C B A.  Of each member
there is a list of costs in the order of time, two for each turn, one on the way there and one on
the way back.  What changes steadily within a turn slows one half of it as much as it speeds up the
other, for any two of the members.

The ratio of a turn is what both halves of the one cost by what both halves of the other do: work
that is put off from one half to the other is not lost.  The ratio of a run is the median of its
turns; of an even number, the geometric mean of the middle two.  So to change the places of two
members gives exactly the inverse: the rule cannot favour one.  No slice is left out."""
import math
import statistics


def order(count, turns):
    """Which member has each slice: there and back."""
    there = list(range(count))
    return (there + there[::-1]) * turns


def turn_ratios(over, under):
    """The ratio of each turn, of two members' costs."""
    if len(over) != len(under) or len(over) % 2 != 0:
        raise ValueError('slices of %d and %d: both have two a turn' % (len(over), len(under)))
    return [(over[i] + over[i + 1]) / (under[i] + under[i + 1])
            for i in range(0, len(over), 2)]


def middle(ratios):
    """Their median; the same, inverted, of the inverted."""
    return math.exp(statistics.median(math.log(r) for r in ratios))


def quartiles(ratios):
    """(lower, upper), between which half of them lie."""
    if len(ratios) < 2:
        return (ratios[0], ratios[0])
    low, _, high = statistics.quantiles([math.log(r) for r in ratios], n=4, method='inclusive')
    return (math.exp(low), math.exp(high))
