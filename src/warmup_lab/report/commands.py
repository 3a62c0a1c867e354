"""The commands that the page shows, quoted for a shell, for the program that started the sweep."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from itertools import takewhile
from typing import Any

_CONFIG_DIR = ("--config-dir", "-cd")


def run_command(comparison: Mapping[str, Any]) -> str:
    """Trains one run of the sweep alone, as the same run: with the same id."""
    overrides: Sequence[str] = comparison["example_overrides"]
    keys = {override.partition("=")[0].lstrip("+") for override in overrides}
    # `num_threads: auto` is every core in a single run and 1 in a multirun.
    threads = [] if "num_threads" in keys else ["num_threads=1"]
    return shlex.join([*_program(comparison), *_config_dir(comparison), *overrides, *threads])


def report_command(comparison: Mapping[str, Any], directory: str) -> str:
    """Builds the report of the sweep in `directory` again."""
    *program, last = _program(comparison)
    if last == "train":  # of `warmup-lab train`
        return shlex.join([*program, "report", directory])
    return shlex.join([*program, "-m", "warmup_lab.report", directory])


def _config_dir(comparison: Mapping[str, Any]) -> list[str]:
    """Hydra's flag for a folder of the user's own options, if the sweep was started with it."""
    words = shlex.split(comparison["command"])
    for number, word in enumerate(words):
        if word in _CONFIG_DIR:
            return words[number : number + 2]
        if word.startswith(tuple(f"{flag}=" for flag in _CONFIG_DIR)):
            return [word]
    return []


def _program(comparison: Mapping[str, Any]) -> list[str]:
    """The words of the sweep's command before its first argument: `python train.py` or `warmup-lab train`."""
    words = shlex.split(comparison["command"])
    return list(takewhile(lambda word: not word.startswith("-") and "=" not in word, words)) or ["python", "train.py"]
