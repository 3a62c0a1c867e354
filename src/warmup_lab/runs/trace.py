"""The trace of a run (one row an update), its evaluations, and their Parquet files.

pyarrow is imported only where a file is written or read, so that training runs without it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from warmup_lab.system import atomic_path

Number = float | int | None

TRACE_COLUMNS = ("step", "epoch", "lr", "loss", "grad_norm")
"""`step`: 0-based index of the update. `epoch`: passes over the data before it. `lr`: learning rate that it used.
`loss`: mean over its examples before it, nats. `grad_norm`: global L2 norm of the gradient before clipping. Probes add
columns."""
EVAL_COLUMNS = ("step", "loss", "accuracy")
"""`step`: updates made before the evaluation. `loss` (nats) and `accuracy`: means over the validation examples. A task
with a metric of its own adds a column."""


class StepTable:
    """A table with one row per step. `step` is an integer; other columns are 64-bit floats, None if not measured."""

    def __init__(self, columns: Iterable[str]) -> None:
        self._columns: dict[str, list[Number]] = {name: [] for name in columns}

    def __len__(self) -> int:
        return len(self._columns["step"])

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(self._columns)

    def append(self, row: Mapping[str, Number]) -> None:
        """Appends a row, which must have exactly the columns of the table."""
        if row.keys() != self._columns.keys():
            raise KeyError(f"row has {sorted(row)}, table has {sorted(self._columns)}")
        for name, value in row.items():
            self._columns[name].append(value)

    def array(self, name: str) -> np.ndarray:
        """A column as a `(rows,)` array: int64 for `step`, otherwise float64 with NaN where nothing was measured."""
        if name == "step":
            return np.asarray(self._columns[name], dtype=np.int64)
        return np.asarray([np.nan if value is None else value for value in self._columns[name]], dtype=np.float64)

    def rows(self) -> list[dict[str, Number]]:
        names = self.columns
        return [dict(zip(names, values, strict=True)) for values in zip(*self._columns.values(), strict=True)]

    def to_lists(self) -> dict[str, list[Number]]:
        """The columns as plain lists, for a checkpoint."""
        return {name: list(values) for name, values in self._columns.items()}

    @classmethod
    def from_lists(cls, columns: Mapping[str, list[Number]]) -> StepTable:
        table = cls(columns)
        table._columns = {name: list(values) for name, values in columns.items()}
        return table

    def write(self, path: Path) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        fields = [(name, pa.int64() if name == "step" else pa.float64()) for name in self._columns]
        table = pa.table(self._columns, schema=pa.schema(fields))
        with atomic_path(path, durable=True) as temporary:
            pq.write_table(table, temporary)

    @classmethod
    def read(cls, path: Path) -> StepTable:
        import pyarrow.parquet as pq

        return cls.from_lists(pq.read_table(path).to_pydict())
