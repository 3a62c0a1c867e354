"""The cells of a grid."""

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from warmup_lab.config.errors import ConfigError
from warmup_lab.sweeps.cells import Grid


def parse(*words):
    return OverridesParser.create().parse_overrides(list(words))


def test_a_grid_is_one_batch_of_all_combinations_in_the_given_order():
    grid = Grid(parse("a=1,2", "b=x", "seed=range(2)"))
    assert grid.ask() == [
        ["a=1", "b=x", "seed=0"],
        ["a=1", "b=x", "seed=1"],
        ["a=2", "b=x", "seed=0"],
        ["a=2", "b=x", "seed=1"],
    ]
    assert grid.ask() == []


def test_a_grid_refuses_an_interval():
    with pytest.raises(ConfigError, match=r"optimizer.lr=interval.* a grid needs values, such as optimizer.lr=1,2"):
        Grid(parse("optimizer.lr=interval(1e-4, 1e-2)"))
