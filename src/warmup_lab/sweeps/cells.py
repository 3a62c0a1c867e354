"""The cells of a multirun: the interface of their sources, and the grid of all values."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any, Protocol

from hydra.core.override_parser.types import ChoiceSweep, Override, RangeSweep

from warmup_lab.config import ConfigError, require

MAX_CELLS = 1_000_000
"""A larger grid is refused before it is expanded, which would take hours and all memory."""


class CellSource(Protocol):
    """Gives the cells of a sweep in batches: a grid in one batch, others one batch after another."""

    def ask(self) -> Sequence[Sequence[str]]:
        """The overrides of each cell of the next batch; empty at the end."""

    def tell(self, results: Sequence[dict[str, Any] | None]) -> None:
        """Receives the content of `result.json` for each cell of the batch, or None for a job that left no result."""


class Grid:
    """All combinations of the given values, in the given order, as one batch."""

    def __init__(self, overrides: Sequence[Override]) -> None:
        """Raises `ConfigError` for an interval, which has no list of values, and for more than `MAX_CELLS` cells."""
        for override in overrides:
            if override.is_sweep_override() and not override.is_discrete_sweep():
                key = override.get_key_element()
                raise ConfigError(
                    f"{override.input_line}: a grid needs values, such as {key}=1,2; use hydra/sweeper=optuna"
                )
        num_cells = math.prod(map(_num_values, overrides))
        require(num_cells <= MAX_CELLS, f"{num_cells:,} cells are too many; at most {MAX_CELLS:,}")
        self._cells = [list(cell) for cell in itertools.product(*map(override_texts, overrides))]

    def ask(self) -> Sequence[Sequence[str]]:
        cells, self._cells = self._cells, []
        return cells

    def tell(self, results: Sequence[dict[str, Any] | None]) -> None: ...


def override_texts(override: Override) -> list[str]:
    """`KEY=VALUE` for each value that the override gives."""
    key = override.get_key_element()
    num_values = _num_values(override)
    require(num_values <= MAX_CELLS, f"{override.input_line}: {num_values:,} values are too many")
    if override.is_sweep_override():
        return [f"{key}={value}" for value in override.sweep_string_iterator()]
    return [f"{key}={override.get_value_element_as_str()}"]


def _num_values(override: Override) -> int:
    """How many values the override gives, without listing them.

    Raises:
        ConfigError: a range has no value, or no end.
    """
    value = override.value()
    if isinstance(value, ChoiceSweep):
        return len(value.list)
    if not isinstance(value, RangeSweep):
        return 1
    start, stop, step = value.start, value.stop, value.step
    assert start is not None
    assert stop is not None
    good = math.isfinite(start) and math.isfinite(stop) and math.isfinite(step) and step != 0
    require(good, f"{override.input_line}: a range has a finite start, end and step, and the step is not 0")
    count = math.ceil((stop - start) / step)
    require(count > 0, f"{override.input_line}: the range is empty")
    return count
