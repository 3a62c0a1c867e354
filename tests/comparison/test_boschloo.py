"""Boschloo's test for many runs, against scipy and against values found by hand."""

import itertools

import pytest
from scipy import stats

from warmup_lab.comparison.boschloo import boschloo_p, quick_boschloo_p


@pytest.mark.parametrize(("total", "other_total"), [(3, 3), (2, 5)])
def test_every_small_table_has_the_p_of_scipy(total, other_total):
    for count, other in itertools.product(range(total + 1), range(other_total + 1)):
        expected = stats.boschloo_exact([[count, other], [total - count, other_total - other]]).pvalue
        assert quick_boschloo_p(count, total, other, other_total) == pytest.approx(expected, rel=1e-9)
        assert boschloo_p(count, total, other, other_total) == expected


@pytest.mark.parametrize(("count", "total", "other", "other_total"), [(12, 90, 25, 110), (70, 80, 40, 60)])
def test_larger_tables_have_the_p_of_scipy(count, total, other, other_total):
    expected = stats.boschloo_exact([[count, other], [total - count, other_total - other]]).pvalue
    assert quick_boschloo_p(count, total, other, other_total) == pytest.approx(expected, rel=1e-9)


def test_six_of_eight_against_none():
    """2 * 73 / 2^16: at the common rate 1/2, 73 of the 2^16 outcomes are at least as extreme on that side."""
    assert quick_boschloo_p(6, 8, 0, 8) == pytest.approx(2 * 73 / 2**16)


def test_thousands_of_runs():
    """scipy 1.17.1 gives 0.0071304051524799465 for the first, in 100 s."""
    assert boschloo_p(0, 2000, 8, 2000) == pytest.approx(0.0071304051524799465, rel=1e-9)
    assert boschloo_p(0, 500, 500, 500) < 1e-250
    assert boschloo_p(250, 500, 250, 500) > 0.9
