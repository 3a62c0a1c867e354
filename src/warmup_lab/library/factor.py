"""The column of a user's own table whose values are compared, and how it takes the place of a warmup.

`comparison` compares arms that differ only in a warmup with the one that has 10 % of it. Here any column can take the
place of the warmup: its reference value is coded as 10 %, and every other value as a length that is far from 10 %.
A column of numbers keeps its order, so it gets the trend test. The values of a column of texts are coded as shapes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from warmup_lab.library.table_columns import is_number

if TYPE_CHECKING:
    import pandas as pd

Value = Any
"""A value of a column that tells arms apart: a number or a text."""


@dataclass(frozen=True)
class Factor:
    """The column whose values are compared."""

    column: str
    values: tuple[Value, ...]
    """Rising if ordered, else in order of appearance."""
    is_ordered: bool
    """Numbers. They get the trend test."""
    shares: tuple[float, ...] | None = None
    """The values as shares of the run, if they are lengths of a warmup."""
    reference: Value = None

    @property
    def total(self) -> int:
        """Length of a run in the code, so large that only the reference is near 10 % of it."""
        return 10 * (2 * len(self.values) + 10)

    def code(self, value: Value) -> tuple[int, str]:
        """Length and shape that stand for `value` in the columns that `comparison` reads."""
        tenth, place = self.total // 10, self.values.index(value)
        if not self.is_ordered:
            return tenth, "linear" if value == self.reference else self.label(value)
        distance = place - self.values.index(self.reference)
        return (tenth if distance == 0 else place if distance < 0 else 2 * tenth + place), "linear"

    def value_of(self, steps: int) -> Value:
        """The value of an ordered factor that is coded as this length."""
        return next(value for value in self.values if self.code(value)[0] == steps)

    def label(self, value: Value) -> str:
        """`dropout=0.1`."""
        return f"{self.column}={value_text(value)}"


def value_text(value: Value) -> str:
    """A number with as many digits as it needs.

    >>> value_text(0.1), value_text(1e-05), value_text(1234567), value_text("adamw")
    ('0.1', '1e-05', '1234567', 'adamw')
    """
    if not isinstance(value, float):
        return str(value)
    short = f"{value:g}"
    return short if float(short) == value else repr(value)


def read_factor(table: pd.DataFrame, column: str, reference: Value) -> Factor:
    """The factor, with its reference: the one stated, or the value that is about 10 % of warmup.

    Raises:
        ValueError: there is a single value, or no reference.
    """
    found: list[Value] = table[column].unique().tolist()
    is_ordered = is_number(table[column])
    values = tuple(sorted(found) if is_ordered else found)
    texts = ", ".join(value_text(value) for value in values)
    if len(values) < 2:
        raise ValueError(f"every row has {column}={texts}: there is nothing to compare")
    shares = _shares(table, column, values) if is_ordered else None
    if reference is None:
        away = [(round(abs(share - 0.1), 9), value) for share, value in zip(shares or (), values, strict=False)]
        near = [pair for pair in away if pair[0] < 0.025]
        if not near:
            raise ValueError(
                f"reference is missing: name the value of {column} that the others are compared with, one of {texts}"
            )
        reference = min(near)[1]
    if reference not in values:
        raise ValueError(f"reference={reference!r}: must be a value of {column}, one of {texts}")
    return Factor(column, values, is_ordered, shares, values[values.index(reference)])


def _shares(table: pd.DataFrame, column: str, values: Sequence[float]) -> tuple[float, ...] | None:
    """The values as shares of the run: from `warmup_ratio`, `warmup_percent`, or `warmup_steps` and `total_steps`."""
    name = column.lower()
    if "warmup" not in name:
        return None
    if "percent" in name:
        return tuple(value / 100 for value in values)
    if any(word in name for word in ("ratio", "share", "fraction", "proportion")):
        return tuple(values)
    totals: list[float] = table["total_steps"].unique().tolist() if "total_steps" in table else []
    return tuple(value / totals[0] for value in values) if len(totals) == 1 else None
