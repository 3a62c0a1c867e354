"""The log of a sweep's folder, `sweep_log.jsonl`: what was stated at each start, and which results reports have shown.

Lines are only ever appended, so a later start cannot replace what was stated first.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from warmup_lab.system import JsonRecord

FILE_NAME = "sweep_log.jsonl"
_DEFAULTS = {"metric": "eval_loss", "reference": None, "margin": None, "failure_margin": 0.2, "looks": None}
"""What a sweep states, with the values of a `sweep.json` that lacks a key. `budget_minutes` is no part of it."""


@dataclass(frozen=True)
class Statement(JsonRecord):
    """What one start of the sweep stated."""

    time: str | None
    """In UTC, such as `2026-11-26T19:40:00+00:00`; None if the change was found in `sweep.json` itself."""
    stated: dict[str, Any]
    """`metric`, `reference`, `margin`, `failure_margin` and `looks`."""
    finished: int = 0
    """Results that the folder held at that time."""
    shown: int = 0
    """Those of them that a report had shown."""


@dataclass(frozen=True)
class SeedBatch(JsonRecord):
    """Runs that one report judged together."""

    run_ids: tuple[str, ...]
    decided: bool
    """Whether no comparison was left undecided."""


@dataclass(frozen=True)
class SweepLog:
    """The content of the log. Empty for a folder of an earlier version."""

    starts: tuple[Statement, ...] = ()
    """What each start stated, without repetitions."""
    shown: frozenset[str] = frozenset()
    """The runs whose results a report has shown."""
    judged: tuple[SeedBatch, ...] = ()
    """Runs that reports have judged without planned looks, each run in the first report that judged it."""
    num_unreadable: int = 0
    """Damaged lines."""


def stated_keys(compare: Mapping[str, Any]) -> dict[str, Any]:
    """What `compare` states, without keys that say nothing about the question."""
    return {key: compare.get(key, default) for key, default in _DEFAULTS.items()}


def read_log(directory: Path) -> SweepLog:
    """The log of the folder. Damaged lines are skipped and counted."""
    starts: list[Statement] = []
    judged: list[SeedBatch] = []
    shown: set[str] = set()
    num_unreadable = 0
    for line in _lines(directory / FILE_NAME):
        try:
            event = json.loads(line)
            if event["event"] == "start":
                stated = stated_keys(event["stated"])
                if not starts or starts[-1].stated != stated:
                    starts.append(Statement(event["time"], stated, event["finished"], event["shown"]))
            else:
                shown.update(event["shown"])
                if event["judged"]:
                    judged.append(SeedBatch(tuple(event["judged"]), event["decided"]))
        except (ValueError, KeyError, TypeError, AttributeError):
            num_unreadable += 1
    return SweepLog(tuple(starts), frozenset(shown), tuple(judged), num_unreadable)


def record_start(directory: Path, command: str, compare: Mapping[str, Any]) -> None:
    """Notes what a start of the sweep states, unless it is what the last start stated. Call it under the sweep's lock.

    A `sweep.json` of a version without this log is noted first.
    """
    log, stated = read_log(directory), stated_keys(compare)
    if not log.starts and (found := _listing(directory)):
        _append(directory, _start_event(found["command"], stated_keys(found["compare"]), found["time"], 0, 0))
        log = read_log(directory)
    if log.starts and log.starts[-1].stated == stated:
        return
    finished = [path.parent.name for path in directory.glob("*/result.json")]
    shown = len(log.shown.intersection(finished))
    _append(directory, _start_event(command, stated, _now(), len(finished), shown))


def record_report(directory: Path, shown: Iterable[str], *, judged: Iterable[str] = (), decided: bool = False) -> None:
    """Notes which results a report shows and which runs it judges, those that are not noted yet."""
    log = read_log(directory)
    new = sorted(set(shown) - log.shown)
    before = {run_id for batch in log.judged for run_id in batch.run_ids}
    new_judged = sorted(set(judged) - before)
    if new or new_judged:
        event = {"event": "report", "time": _now(), "shown": new, "judged": new_judged, "decided": decided}
        _append(directory, event)


def _start_event(command: str, stated: dict[str, Any], time: str, finished: int, shown: int) -> dict[str, Any]:
    return {
        "event": "start", "time": time, "command": command, "stated": stated, "finished": finished, "shown": shown
    }  # fmt: skip


def _listing(directory: Path) -> dict[str, Any] | None:
    """Command, design and time of the `sweep.json` in the folder; None without a readable one."""
    path = directory / "sweep.json"
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        time = datetime.fromtimestamp(path.stat().st_mtime, UTC).isoformat(timespec="seconds")
        return {"command": found["command"], "compare": dict(found["compare"]), "time": time}
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def _lines(path: Path) -> list[str]:
    try:
        return [line for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    except FileNotFoundError:
        return []


def _append(directory: Path, event: dict[str, Any]) -> None:
    """Appends one line, after the end of a line that a killed process left incomplete."""
    path = directory / FILE_NAME
    text = json.dumps(event) + "\n"
    with path.open("ab+") as file:
        if file.seek(0, os.SEEK_END):
            file.seek(-1, os.SEEK_END)
            text = text if file.read(1) == b"\n" else f"\n{text}"
        file.write(text.encode())
        file.flush()
        os.fsync(file.fileno())


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
