"""The commands that the page shows, quoted for a shell, for the program that started the sweep."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from itertools import takewhile
from typing import Any


def run_command(comparison: Mapping[str, Any]) -> str:
    """Trains the first run of the sweep alone."""
    return shlex.join([*_program(comparison), *comparison["example_overrides"]])


def report_command(comparison: Mapping[str, Any], directory: str) -> str:
    """Builds the report of the sweep in `directory` again."""
    *program, last = _program(comparison)
    if last == "train":  # of `warmup-lab train`
        return shlex.join([*program, "report", directory])
    return shlex.join([*program, "-m", "warmup_lab.report", directory])


def _program(comparison: Mapping[str, Any]) -> list[str]:
    """The words of the sweep's command before its first argument: `python train.py` or `warmup-lab train`."""
    words = shlex.split(comparison["command"])
    return list(takewhile(lambda word: not word.startswith("-") and "=" not in word, words)) or ["python", "train.py"]
