"""The cells of a multirun: the grid of all values, or Optuna's search."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, Literal, Protocol

from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, Override, RangeSweep

from warmup_lab.config import ConfigError, require
from warmup_lab.runs import metric_of


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
        self._cells = [list(cell) for cell in itertools.product(*map(_values, overrides))]

    def ask(self) -> Sequence[Sequence[str]]:
        cells, self._cells = self._cells, []
        return cells

    def tell(self, results: Sequence[dict[str, Any] | None]) -> None: ...


def _values(override: Override) -> list[str]:
    key = override.get_key_element()
    if override.is_sweep_override():
        return [f"{key}={value}" for value in override.sweep_string_iterator()]
    return [f"{key}={override.get_value_element_as_str()}"]


class OptunaSearch:
    """Optuna's TPE over `interval(...)`, `range(...)`, `choice(...)` and comma-separated values.

    The tag `log` searches an interval on a logarithmic scale: `'optimizer.lr=tag(log, interval(1e-4, 1e-2))'`. A run
    that diverged or failed to learn is reported to Optuna as pruned, which TPE ranks below every run with a value. With
    the same sampler seed the search repeats itself, so the same command finds its finished runs and continues after
    them.
    """

    def __init__(
        self,
        overrides: Sequence[Override],
        *,
        num_trials: int,
        batch_size: int,
        direction: Literal["minimize", "maximize"],
        seed: int,
        objective: str,
    ) -> None:
        """Raises `ConfigError` if Optuna is missing, `direction` is unknown, or there is nothing to search.

        Args:
            overrides: fixed keys, and the keys to search.
            num_trials: number of cells in total.
            batch_size: number of cells in a batch.
            direction: of the objective.
            seed: of the sampler.
            objective: name of the metric to optimize, as for `metric_of`.
        """
        try:
            import optuna
        except ModuleNotFoundError:
            raise ConfigError("hydra/sweeper=optuna needs Optuna: pip install 'warmup-lab[optuna]'") from None
        require(direction in ("minimize", "maximize"), f"hydra.sweeper.direction={direction}: minimize or maximize")
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._optuna = optuna
        self._fixed = [_values(item)[0] for item in overrides if not item.is_sweep_override()]
        self._searched = {item.get_key_element(): _distribution(item) for item in overrides if item.is_sweep_override()}
        require(bool(self._searched), "nothing to search: give a key an interval(...), a range(...) or several values")
        self._num_left, self._batch_size, self._objective = num_trials, batch_size, objective
        self._study = optuna.create_study(direction=direction, sampler=optuna.samplers.TPESampler(seed=seed))
        self._trials: list[Any] = []

    def ask(self) -> Sequence[Sequence[str]]:
        count = min(self._batch_size, self._num_left)
        self._num_left -= count
        self._trials = [self._study.ask(self._searched) for _ in range(count)]
        return [self._fixed + [f"{key}={value}" for key, value in trial.params.items()] for trial in self._trials]

    def tell(self, results: Sequence[dict[str, Any] | None]) -> None:
        states = self._optuna.trial.TrialState
        for trial, result in zip(self._trials, results, strict=True):
            if result is None or result["status"] == "error":
                self._study.tell(trial, state=states.FAIL)
                continue
            value = metric_of(result, self._objective)
            if value is None or result["failed_to_learn"]:
                self._study.tell(trial, state=states.PRUNED)
            else:
                self._study.tell(trial, value)


def _distribution(override: Override) -> Any:
    """Optuna's distribution for one searched key."""
    from optuna import distributions

    value = override.value()
    if isinstance(value, IntervalSweep):
        start, end, log = value.start, value.end, "log" in value.tags
        assert start is not None
        assert end is not None
        if isinstance(start, int) and isinstance(end, int):
            return distributions.IntDistribution(start, end, log=log)
        return distributions.FloatDistribution(start, end, log=log)
    if isinstance(value, RangeSweep):
        return distributions.CategoricalDistribution(list(value.range()))
    assert isinstance(value, ChoiceSweep)
    return distributions.CategoricalDistribution([text.partition("=")[2] for text in _values(override)])
