"""Medians, spreads and intervals, without more than the standard library."""
import random
import statistics


def median(values):
    return statistics.median(values)


def spread(values):
    """(lowest, highest)."""
    return min(values), max(values)


def ratio_interval(tops, bottoms, draws=4000, level=0.95):
    """Median ratio of pairs and its bootstrap interval.

    Pairs are drawn together: what disturbed one of a pair likely
    disturbed the other as well.
    """
    ratios = [top / bottom for top, bottom in zip(tops, bottoms)]
    source = random.Random(1)
    medians = sorted(
        statistics.median(source.choices(ratios, k=len(ratios)))
        for _ in range(draws))
    edge = int(draws * (1 - level) / 2)
    return statistics.median(ratios), medians[edge], medians[-1 - edge]
