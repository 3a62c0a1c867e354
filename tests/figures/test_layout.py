"""Panels and lines of arms."""

import pytest
from fake_arms import make_arm

from warmup_lab.figures.layout import make_layout, short_percent, unique


@pytest.mark.parametrize(
    ("kinds", "rates", "panels", "lines"),
    [(1, 1, 1, 1), (2, 1, 1, 2), (2, 2, 1, 4), (1, 5, 1, 5), (2, 3, 2, 3), (3, 2, 2, 3), (2, 7, 7, 2), (6, 6, 6, 6)],
)
def test_lines_are_spread_over_as_few_panels_as_are_readable(kinds, rates, panels, lines):
    arms = [make_arm(3, scheduler=f"s{kind}", lr=10.0**-rate) for kind in range(kinds) for rate in range(rates)]
    layout = make_layout(arms)
    assert (len(layout.panels), len(layout.lines)) == (panels, lines)
    assert len({(arm["panel"], arm["line"]) for arm in layout.arms}) == len(arms)


def test_one_line_is_named_by_its_scheduler():
    layout = make_layout([make_arm(0), make_arm(10)])
    assert (layout.panels, layout.lines, layout.lengths) == ([""], ["warmuplinear"], [0, 10])
    assert {arm["family"] for arm in layout.arms} == {"warmuplinear"}
    assert not layout.several_lrs


def test_lines_of_several_rates_are_named_by_their_lr():
    layout = make_layout([make_arm(0, lr=1e-3), make_arm(0, lr=3e-3)])
    assert layout.lines == ["lr 0.001", "lr 0.003"]
    assert [arm["family"] for arm in layout.arms] == ["warmuplinear, lr 0.001", "warmuplinear, lr 0.003"]
    assert layout.several_lrs


def test_labels_give_updates_and_share():
    layout = make_layout([make_arm(0), make_arm(10)])
    assert layout.label(10) == ["10", "10 %"]
    assert layout.warmup_lines == ["0 updates of warmup (0 %)", "10 updates of warmup (10 %)"]
    assert layout.last_step == 99


def test_labels_give_no_share_if_runs_differ_in_length():
    layout = make_layout([make_arm(10), make_arm(10, total_steps=200)])
    assert layout.total_steps is None
    assert layout.label(10) == ["10"]
    assert layout.warmup_lines == ["10 updates of warmup"]
    assert [arm["kind"] for arm in layout.arms] == ["warmuplinear 100 updates", "warmuplinear 200 updates"]
    assert layout.last_step == 199


def test_short_percent_by_hand():
    shares = (2.2222, 10.13, 100, 0.0125, 0)
    assert [short_percent(share) for share in shares] == ["2.2 %", "10 %", "100 %", "0.013 %", "0 %"]


def test_unique_keeps_the_first_of_each():
    assert unique(["b", "a", "b", "c", "a"]) == ["b", "a", "c"]
