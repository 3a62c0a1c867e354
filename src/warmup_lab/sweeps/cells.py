"""The cells of a multirun: the interface of their sources, and the grid of all values."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, Protocol

from hydra.core.override_parser.types import Override

from warmup_lab.config import ConfigError


class CellSource(Protocol):
    """Gives the cells of a sweep in batches: a grid in one batch, others one batch after another."""

    def ask(self) -> Sequence[Sequence[str]]:
        """The overrides of each cell of the next batch; empty at the end."""

    def tell(self, results: Sequence[dict[str, Any] | None]) -> None:
        """Receives the content of `result.json` for each cell of the batch, or None for a job that left no result."""


class Grid:
    """All combinations of the given values, in the given order, as one batch."""

    def __init__(self, overrides: Sequence[Override]) -> None:
        """Raises `ConfigError` for an interval, which has no list of values."""
        for override in overrides:
            if override.is_sweep_override() and not override.is_discrete_sweep():
                key = override.get_key_element()
                raise ConfigError(
                    f"{override.input_line}: a grid needs values, such as {key}=1,2; use hydra/sweeper=optuna"
                )
        self._cells = [list(cell) for cell in itertools.product(*map(override_texts, overrides))]

    def ask(self) -> Sequence[Sequence[str]]:
        cells, self._cells = self._cells, []
        return cells

    def tell(self, results: Sequence[dict[str, Any] | None]) -> None: ...


def override_texts(override: Override) -> list[str]:
    """`KEY=VALUE` for each value that the override gives."""
    key = override.get_key_element()
    if override.is_sweep_override():
        return [f"{key}={value}" for value in override.sweep_string_iterator()]
    return [f"{key}={override.get_value_element_as_str()}"]
