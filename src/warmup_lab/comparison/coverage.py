"""Finished runs in the folder of a sweep that its report does not cover, and the command that covers all.

A run belongs to the report if the last start of the sweep listed it: after `seed=range(6)` and `seed=range(6,8)`, the
folder holds 8 runs of an arm, and the report is about 2.
"""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import yaml

from warmup_lab.comparison.run_table import UNFINISHED
from warmup_lab.comparison.table import Sweep
from warmup_lab.runs import is_finished, read_result
from warmup_lab.system import JsonRecord

_UNTRAINED = re.compile(r"(compare|tracking|hydra)[./]|(study|tracking|force|objective|checkpoint_every|output)$")
"""Keys that do not change what is trained."""
_NOT_SWEPT = ("experiment", "task", "model")
"""Keys of which a covering command has one value: other values bring other keys with them."""


@dataclass(frozen=True)
class Coverage(JsonRecord):
    """What of a folder the report covers."""

    finished: int
    """Finished runs of the report."""
    others: int
    """Other finished runs in the folder, without those of `replaced`."""
    replaced: int
    """Finished runs with the settings of a run of the report and another id: the data changed in between."""
    command: str | None
    """Covers all; None if no command does, or if the report covers all."""
    added_runs: int
    """Runs that this command would train in addition."""
    differs_in: tuple[str, ...]
    """Keys that only some of the runs set, so that no command covers all."""


@dataclass(frozen=True)
class _OtherRun:
    run_id: str
    cell: dict[str, str] | None
    """Its overrides that change what is trained; None if its folder does not have them."""


def coverage(sweep: Sweep, *, is_grid: bool) -> Coverage:
    """What of the folder the report covers; all of it unless the sweep is a grid.

    Other sweeps choose their runs. Those of an earlier or of another choice are no part of the question.
    """
    finished = int(sweep.runs["status"].map(is_finished).sum())
    if not is_grid:
        return Coverage(finished, 0, 0, None, 0, ())
    cells = [_cell(job["overrides"]) for job in sweep.jobs]
    own = {_key(cell) for cell in cells}
    found = _other_runs(sweep.directory, {job["run_id"] for job in sweep.jobs})
    others = [run for run in found if run.cell is None or _key(run.cell) not in own]
    known = [run.cell for run in others if run.cell is not None]
    command, added, differs_in = None, 0, _keys_of_some(cells + known)
    if known and len(known) == len(others) and sweep.command and not differs_in:
        command, added = _covering_command(sweep, cells, known)
    return Coverage(finished, len(others), len(found) - len(others), command, added, differs_in if others else ())


def with_true_reasons(sweep: Sweep) -> Sweep:
    """The sweep in which a run that left no result says so if its job has left one under another id."""
    waiting = sweep.runs.loc[sweep.runs["status"] == UNFINISHED, "run_id"]
    if waiting.empty:
        return sweep
    found = _other_runs(sweep.directory, {job["run_id"] for job in sweep.jobs})
    trained = {_key(run.cell): run.run_id for run in found if run.cell is not None}
    jobs = {job["run_id"]: job for job in sweep.jobs}
    runs = sweep.runs.copy()
    for row, run_id in waiting.items():
        other = trained.get(_key(_cell(jobs[run_id]["overrides"])))
        if other is not None and not (sweep.directory / run_id).exists():
            runs.loc[row, "error"] = (
                f"trained as {other} instead: its data, or another file that it reads, changed after the sweep was "
                "planned"
            )
    return replace(sweep, runs=runs)


def _other_runs(directory: Path, own: set[str]) -> list[_OtherRun]:
    """The finished runs in the folder that are not in the job list."""
    found = []
    for path in sorted(directory.glob("*/result.json")):
        folder = path.parent
        if folder.name in own:
            continue
        result = read_result(folder)
        if result is not None and is_finished(result["status"]) and result["run_id"] == folder.name:
            found.append(_OtherRun(folder.name, _stored_cell(folder / ".hydra" / "overrides.yaml")))
    return found


def _stored_cell(path: Path) -> dict[str, str] | None:
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return None
    return _cell(map(str, found)) if isinstance(found, list) else None


def _cell(overrides: Iterable[str]) -> dict[str, str]:
    pairs = (override.partition("=") for override in overrides)
    cell = {key.lstrip("+"): value for key, _, value in pairs}
    return {key: value for key, value in cell.items() if not _UNTRAINED.match(key)}


def _key(cell: Mapping[str, str]) -> frozenset[tuple[str, str]]:
    return frozenset(cell.items())


# --- the command that covers all


def _keys_of_some(cells: Sequence[Mapping[str, str]]) -> tuple[str, ...]:
    """Keys that only some cells have, or of which one command cannot have several values."""
    keys = dict.fromkeys(key for cell in cells for key in cell)
    return tuple(
        key
        for key in keys
        if any(key not in cell for cell in cells) or (key in _NOT_SWEPT and len({cell[key] for cell in cells}) > 1)
    )


def _covering_command(
    sweep: Sweep, cells: Sequence[Mapping[str, str]], known: Sequence[Mapping[str, str]]
) -> tuple[str, int]:
    """The command of the sweep with the values of all runs, and how many more runs that is."""
    every = [*cells, *known]
    values = {key: _sorted(dict.fromkeys(cell[key] for cell in every)) for key in cells[0]}
    wider = {key: found for key, found in values.items() if len(found) > len({cell[key] for cell in cells})}
    texts = {key: f"{key}={_text(found)}" for key, found in wider.items()}
    words = []
    for word in shlex.split(sweep.command):
        key = word.partition("=")[0]
        words += [texts.pop(key.lstrip("+"), "")] if key.lstrip("+") in wider else [word]
    added = 0 if sweep.compare.get("looks") else math.prod(map(len, values.values())) - len(set(map(_key, every)))
    return shlex.join([word for word in (*words, *texts.values()) if word]), max(added, 0)


def _sorted(values: Iterable[str]) -> list[str]:
    """Numbers by size, other values in the given order."""
    found = list(values)
    try:
        return sorted(found, key=float)
    except ValueError:
        return found


def _text(values: Sequence[str]) -> str:
    """The values as Hydra reads them: `range(8)` for the whole numbers 0 to 7."""
    if len(values) > 2 and all(value.isdecimal() for value in values):
        numbers = [int(value) for value in values]
        if numbers == list(range(numbers[0], numbers[-1] + 1)):
            return f"range({numbers[0]},{numbers[-1] + 1})" if numbers[0] else f"range({numbers[-1] + 1})"
    return ",".join(values)
