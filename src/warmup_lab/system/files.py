"""Atomic writes and JSON. A reader sees the old file or the complete new one, also after `kill -9`."""

from __future__ import annotations

import dataclasses
import json
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yields a temporary path in the folder of `path`, and moves it to `path` if the block succeeds.

    If the block raises, the temporary file is removed and `path` stays unchanged.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Writes `value` as indented JSON; raises `ValueError` for NaN and infinities, which JSON does not have."""
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def to_json(value: Any) -> Any:
    """Converts dataclasses, tuples and numpy scalars to what JSON has; non-finite numbers become None."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = dataclasses.asdict(value)
    if isinstance(value, dict):
        return {str(key): to_json(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_json(entry) for entry in value]
    value = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(value, float) and not math.isfinite(value) else value


class JsonRecord:
    """Base class of the dataclasses that are written to JSON files."""

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON values: tuples become lists, non-finite numbers become None."""
        return to_json(self)  # type: ignore[no-any-return]


def shown_path(path: Path) -> str:
    """The path as messages show it: relative if it is under the working directory, otherwise absolute."""
    absolute, here = Path(os.path.normpath(path.absolute())), Path.cwd()
    return str(absolute.relative_to(here)) if absolute.is_relative_to(here) else str(absolute)
