"""Two families that share one error, against the graphical procedure that defines them."""

from __future__ import annotations

import numpy as np
import pytest

from warmup_lab.comparison.families import share_error


def graphical(p_values: list[float], family: list[int], alpha: float) -> set[int]:
    """The sequentially rejective graph of Bretz et al. (2009), Algorithm 1, with transition weights by their rule.

    Inside a family the weight of a rejected test goes to the family's other tests in equal parts; the last test of a
    family gives its weight to the tests of the other family in equal parts.
    """
    count = len(p_values)
    sizes = {name: family.count(name) for name in set(family)}
    tiny = 1e-9
    weights = [1 / (len(sizes) * sizes[name]) for name in family]
    moves = np.zeros((count, count))
    for i in range(count):
        for j in range(count):
            same, several = family[i] == family[j], len(sizes) > 1
            if i != j and same:
                moves[i, j] = (1 - tiny * several) / (sizes[family[i]] - 1)
            elif not same:
                moves[i, j] = (tiny if sizes[family[i]] > 1 else 1.0) / sizes[family[j]]
    rejected: set[int] = set()
    while True:
        open_tests = [i for i in range(count) if i not in rejected and p_values[i] <= weights[i] * alpha * (1 + 1e-6)]
        if not open_tests:
            return rejected
        j = open_tests[0]
        rejected.add(j)
        left = [i for i in range(count) if i not in rejected]
        new_moves = np.zeros_like(moves)
        for i in left:
            weights[i] += weights[j] * moves[j, i]
            for k in left:
                loop = moves[i, j] * moves[j, i]
                if i != k and loop < 1:
                    new_moves[i, k] = (moves[i, k] + moves[i, j] * moves[j, k]) / (1 - loop)
        weights[j], moves = 0.0, new_moves


def test_adjusted_p_values_reject_what_the_graph_rejects():
    rng = np.random.default_rng(0)
    for _ in range(300):
        sizes = rng.integers(1, 4, size=2)
        trends, pairs = (list(rng.uniform(size=size) ** 4) for size in sizes)
        family = [0] * len(trends) + [1] * len(pairs)
        adjusted = [p for part in share_error(trends, pairs) for p in part]
        assert {i for i, p in enumerate(adjusted) if p <= 0.05} == graphical([*trends, *pairs], family, 0.05)


def test_by_hand():
    """Holm inside: 0.01, and 0.04, 0.04. At half of 5 % the trend rejects and passes its half on."""
    trends, pairs = share_error([0.01], [0.02, 0.04])
    assert trends == pytest.approx([0.02])
    assert pairs == pytest.approx([0.04, 0.04])


def test_tests_that_were_not_made_do_not_count():
    assert share_error([None], [0.02, None, 0.03]) == ([None], [0.04, None, 0.04])
    assert share_error([], [0.03]) == ([], [0.03])
