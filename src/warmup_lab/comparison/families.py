"""Families of tests that share one error of 5 %.

Two families answer the question of a sweep: trends over an ordered factor, and comparisons of each arm with its
reference. Each has half of the error and is adjusted by Holm inside. A family whose tests all reject passes its half on
to the other (Bretz, Maurer, Brannath & Posch 2009, "A graphical approach to sequentially rejective multiple test
procedures"), so that the probability of any false rejection is at most 5 %. Two separate families at 5 % each have
8 to 11 %.
"""

from __future__ import annotations

from collections.abc import Sequence

from warmup_lab.comparison.statistics import holm

PValues = Sequence[float | None]


def share_error(trends: PValues, pairs: PValues) -> tuple[list[float | None], list[float | None]]:
    """Adjusted p-values of both families; an adjusted p of at most 5 % is significant.

    None is a test that was not made or that cannot reject; it does not count. A family without tests leaves the whole
    error to the other. With Holm-adjusted p-values h inside each family, a test of one family has the adjusted p

        min(2 h, max(h, 2 max h of the other family))

    where the second term applies once the other family has rejected all of its tests at half of the error.
    """
    holm_trends, holm_pairs = holm(trends), holm(pairs)
    return _with_passed_on(holm_trends, holm_pairs), _with_passed_on(holm_pairs, holm_trends)


def _with_passed_on(own: PValues, other: PValues) -> list[float | None]:
    others = [p for p in other if p is not None]
    if not others:
        return list(own)
    all_rejected_at = min(1.0, 2 * max(others))
    return [None if p is None else min(1.0, 2 * p, max(p, all_rejected_at)) for p in own]
