"""Why the runs of each arm failed to learn: unstable, too slow or stuck, as `metrics.failure_kind` judges a trace."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from warmup_lab.comparison.sentences import count
from warmup_lab.comparison.table import Sweep
from warmup_lab.metrics import FAILURE_KINDS, failure_kind
from warmup_lab.runs import is_finished

_UNKNOWN = "unknown"
_ADVICE = {
    "unstable": "unstable (diverged, or the loss rose: lower the learning rate or warm up longer)",
    "too_slow": "too slow (the loss was still falling at the end: raise the number of updates or the learning rate)",
    "stuck": "stuck (the loss neither rose nor fell at the end: try another learning rate)",
    _UNKNOWN: "too short to tell why",
}


def with_failure_kinds(arms: Sequence[dict[str, Any]], runs: pd.DataFrame, sweep: Sweep) -> list[dict[str, Any]]:
    """The arms of `comparison.json` with `failure_kinds`: the number of failed runs of each kind.

    `unknown` are failed runs with under 50 updates or without a trace.

    Args:
        arms: as in `comparison.json`.
        runs: the runs that count, a row a run.
        sweep: has their traces.
    """
    kinds: dict[str, Counter[str]] = {}
    for run in runs.to_dict("records"):
        if is_finished(run["status"]) and (run["failed_to_learn"] or run["status"] == "diverged"):
            kinds.setdefault(run["arm"], Counter())[_kind(run, sweep)] += 1
    return [arm | {"failure_kinds": _counts(kinds.get(name, Counter()) for name in _names(arm))} for arm in arms]


def _kind(run: Mapping[Any, Any], sweep: Sweep) -> str:
    if run["status"] == "diverged":
        return "unstable"
    trace = sweep.traces.get(run["run_id"])
    if trace is None or pd.isna(run["guess_loss"]):
        return _UNKNOWN
    return failure_kind(trace["loss"], entropy=run["guess_loss"], total_steps=run["total_steps"]) or _UNKNOWN


def _names(arm: Mapping[str, Any]) -> list[str]:
    return [arm["name"], *arm["aliases"]]


def _counts(found: Iterable[Counter[str]]) -> dict[str, int]:
    total: Counter[str] = sum(found, Counter())
    return {kind: total[kind] for kind in (*FAILURE_KINDS, _UNKNOWN)}


def failure_sentences(arms: Sequence[Mapping[str, Any]]) -> list[str]:
    """One sentence on how many failed runs are of each kind, and what helps; none if no run failed.

    For example `Of 13 failed runs, 9 were unstable (...), 4 were too slow (...).`
    """
    total = _counts(Counter(arm["failure_kinds"]) for arm in arms)
    found = {kind: number for kind, number in total.items() if number}
    num_failed = sum(found.values())
    if not found:
        return []
    if len(found) == 1:
        (kind,) = found
        return [f"{_all(num_failed)} {_ADVICE[kind]}."]
    parts = [f"{number} {'was' if number == 1 else 'were'} {_ADVICE[kind]}" for kind, number in found.items()]
    return [f"Of {num_failed} failed runs, {', '.join(parts)}."]


def _all(num_failed: int) -> str:
    return "The failed run was" if num_failed == 1 else f"All {count(num_failed, 'failed run')} were"
