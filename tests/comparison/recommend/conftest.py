"""Recommendations with made-up results, each made once for all tests of this folder."""

from functools import partial

import pytest
from fake_recommend import FakeRecommend, outcome

from warmup_lab.comparison.table import Sweep, read_sweep


@pytest.fixture(scope="session")
def decided(tmp_path_factory) -> Sweep:
    """Without warmup the loss is 0.2 larger at every seed."""
    return _made(FakeRecommend(tmp_path_factory.mktemp("recommend") / "decided"))


@pytest.fixture(scope="session")
def undecided(tmp_path_factory) -> Sweep:
    """The warmup makes no difference, and time ends after the first look."""
    same = partial(outcome, penalty=0.0)
    return _made(FakeRecommend(tmp_path_factory.mktemp("recommend") / "undecided", same, budget_minutes=5))


@pytest.fixture(scope="session")
def ramps_only(tmp_path_factory) -> Sweep:
    """The budget is enough for ramps alone."""
    return _made(FakeRecommend(tmp_path_factory.mktemp("recommend") / "ramps_only", budget_minutes=0.15))


@pytest.fixture(scope="session")
def shortened(tmp_path_factory) -> Sweep:
    """The budget is enough for ramps, and for 3 rates on runs of half of the updates."""
    return _made(FakeRecommend(tmp_path_factory.mktemp("recommend") / "shortened", budget_minutes=0.7))


@pytest.fixture(scope="session")
def interrupted(tmp_path_factory) -> Sweep:
    """Killed in the first look, after 8 of its 12 runs: 6 without warmup, and 2 with it."""
    sweep = FakeRecommend(tmp_path_factory.mktemp("recommend") / "interrupted")
    with pytest.raises(KeyboardInterrupt):
        sweep.run(until=1 + 4 + 24 + 8)
    return read_sweep(sweep.folder)


def _made(sweep: FakeRecommend) -> Sweep:
    sweep.run()
    return read_sweep(sweep.folder)
