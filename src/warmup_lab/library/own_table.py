"""A user's own table of runs, in the columns that `comparison` reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from warmup_lab.library.factor import Factor, Value, value_text
from warmup_lab.library.table_columns import RunColumns, check_known, is_ranked, statuses
from warmup_lab.metrics import PAIRED_METRICS
from warmup_lab.runs import FINISHED

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
_NAN_HAS_A_MEANING = ("onset_step", "onset_lr", *PAIRED_METRICS)
"""Metrics that a run which did not fail may lack, such as the update at which its loss started to jitter."""


@dataclass(frozen=True)
class OwnTable:
    """A checked table of runs."""

    runs: pd.DataFrame
    """In the columns of `comparison.read_runs`."""
    metric: str
    """The name of the metric in `runs`, from which `comparison` knows what a failed run counts as."""
    factor: Factor
    arms: dict[str, dict[str, Value]]
    """The values of each arm, by its name."""
    lr_column: str | None
    """The column of learning rates, if it is not the factor."""


def read_own_table(
    table: pd.DataFrame, columns: RunColumns, by: Sequence[str], factor: Factor, lr_column: str | None
) -> OwnTable:
    """The runs of `table` with everything that the comparison needs.

    Raises:
        ValueError: two runs of an arm share a seed, or what a failed run counts as is missing.
    """
    values = _numbers(table, columns.metric)
    failed = _failed(table, columns.metric, columns.failed, values)
    rows: list[dict[str, Value]] = table[list(by)].to_dict("records")  # type: ignore[assignment]
    names = [" ".join(f"{name}={value_text(value)}" for name, value in row.items()) for row in rows]
    _check_seeds(names, table[columns.seed])
    lengths, shapes = zip(*(factor.code(row[factor.column]) for row in rows), strict=True)
    others = [tuple(row[name] for name in by if name not in (factor.column, lr_column)) for row in rows]
    ranked = is_ranked(columns.metric)
    known = columns.metric if ranked else "eval_accuracy" if columns.higher_is_better else "eval_loss"
    runs = pd.DataFrame(
        {
            "run_id": [str(row) for row in range(len(table))],
            "arm": names,
            # A number for each combination of the other columns. `comparison` compares arms of one scheduler only.
            "scheduler": pd.Series(others).factorize()[0].astype(str),
            "warmup_steps": lengths,
            "total_steps": factor.total,
            "lr": np.nan if lr_column is None else table[lr_column].to_numpy(dtype=np.float64),
            "seed": pd.factorize(table[columns.seed], sort=True)[0],
            "warmup": shapes,
            "status": statuses(table),
            "failed_to_learn": failed,
            known: values,
            "guess_loss": _of_guessing(table, columns.entropy),
            "guess_accuracy": _of_guessing(table, columns.majority_accuracy),
        }
    )
    if not ranked:
        _check_guess(runs, "guess_accuracy" if columns.higher_is_better else "guess_loss", columns.metric)
    return OwnTable(runs, known, factor, dict(zip(names, rows, strict=True)), lr_column)


def _failed(table: pd.DataFrame, metric: str, column: str | None, values: Floats) -> Flags:
    """Whether each run failed: marked in the column `failed`, or without a finite metric."""
    name = metric.rpartition("/")[2]
    if column is not None and not set(table[column].unique()) <= {False, True}:
        raise ValueError(f"the column {column!r} must be True for runs that failed and False for the others")
    marked = np.zeros(len(table), dtype=np.bool_) if column is None else table[column].to_numpy(dtype=np.bool_)
    if name not in _NAN_HAS_A_MEANING and metric not in _NAN_HAS_A_MEANING:
        return np.asarray(marked | ~np.isfinite(values))
    if column is None:
        raise ValueError(
            f"a missing {metric} does not mean that a run failed: name the column of failed runs as failed="
        )
    return marked


def _check_seeds(names: Sequence[str], seeds: pd.Series[Any]) -> None:
    pairs = pd.DataFrame({"arm": names, "seed": seeds.to_numpy()})
    twice = pairs[pairs.duplicated()]
    if len(twice):
        arm, seed = twice.iloc[0]
        raise ValueError(
            f"{arm} has several rows with {seeds.name}={value_text(seed)}: add the column that tells them apart to by, "
            "or keep one of them"
        )


def _numbers(table: pd.DataFrame, column: str) -> Floats:
    try:
        return pd.to_numeric(table[column]).to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError) as error:
        raise ValueError(f"the column {column!r} must have numbers: {error}") from None


def _of_guessing(table: pd.DataFrame, given: float | str | None) -> Floats | float:
    """A number, or the numbers of a column."""
    if not isinstance(given, str):
        return np.nan if given is None else float(given)
    check_known(table, given)
    return _numbers(table, given)


def _check_guess(runs: pd.DataFrame, column: str, metric: str) -> None:
    failed = runs["failed_to_learn"] & runs["status"].isin(FINISHED)
    if not (failed & runs[column].isna()).any():
        return
    argument, words = {
        "guess_loss": ("entropy", "the loss of guessing (the entropy of the training labels: log(C) for C balanced "
                       "classes)"),
        "guess_accuracy": ("majority_accuracy", "the accuracy of always answering with the most frequent label"),
    }[column]  # fmt: skip
    raise ValueError(
        f"{int(failed.sum())} of {len(runs)} runs failed, and in {metric} a failed run counts as guessing: pass "
        f"{argument}=, {words}, as a number or the name of a column"
    )
