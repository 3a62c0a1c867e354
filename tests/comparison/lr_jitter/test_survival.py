"""The largest surviving rates, and what warmup buys."""

from fake_trials import trials

from warmup_lab.comparison.lr_jitter.survival import gain, largest_surviving


def test_the_largest_lr_that_every_run_survived_and_whether_it_is_the_largest_tried():
    made = trials((0, 5, 4, 5, 3), (5, 5, 5, 5, 5))
    assert largest_surviving(made, "cold").lr == 0.008
    assert not largest_surviving(made, "cold").at_edge
    assert largest_surviving(made, "warmed").at_edge
    assert largest_surviving(trials((0,) * 5, (0,) * 5), "cold").lr is None


def gained(cold: tuple[int, ...], warmed: tuple[int, ...]):
    made = trials(cold, warmed)
    return gain(made, largest_surviving(made, "cold"), largest_surviving(made, "warmed"))


def test_what_warmup_buys():
    """Cold: seeds 0 to 2 survive 0.004, all 0.002. Warmed: all 0.004, seed 0 0.008. So 1 + 2 larger, 2 equal."""
    found = gained((5, 5, 3, 0, 0), (5, 5, 5, 1, 0))
    assert (found.ratio, found.bound) == (2.0, None)
    assert (found.seeds_larger, found.seeds_equal, found.seeds_smaller) == (3, 2, 0)
    assert found.p_value == 0.25  # 2 / 2**3
    same = gained((5, 5, 2, 0, 0), (5, 5, 3, 0, 0))
    assert same.ratio == 1.0
    assert "up to the same lr, 0.002, warmed and cold" in same.sentence
    assert gained((5, 5, 3, 0, 0), (5, 5, 5, 5, 5)).bound == "at least"
    assert gained((5, 5, 5, 5, 5), (5, 5, 3, 0, 0)).bound == "at most"
    assert gained((5, 5, 5, 5, 5), (5, 5, 5, 5, 5)).ratio is None
    nothing = gained((4, 4, 4, 4, 4), (5, 5, 5, 5, 4))
    assert nothing.ratio is None
    assert "at every rate that was tried, some cold runs failed" in nothing.sentence
