"""The decisions of a sweep with planned looks, in `looks.json`: the same results are looked at once."""

from __future__ import annotations

import hashlib
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from warmup_lab.comparison import LookDecision, decide_look
from warmup_lab.runs import read_result
from warmup_lab.system import write_json

FILE_NAME = "looks.json"


def decide_once(directory: Path, num_seeds: int) -> LookDecision:
    """The decision at the runs of `sweep.json`. A later command reads it from the file, also with another version.

    If results have changed since then, as those of runs that ended in an error and were retried, it decides again.

    Args:
        directory: folder of the sweep.
        num_seeds: seeds of this look.
    """
    stored, digest = _read(directory), _digest(directory)
    for look in stored:
        if look["digest"] == digest:
            return LookDecision(frozenset(look["open_arms"]), look["num_undecided"], look["has_tests"])
    if any(look["seeds"] == num_seeds for look in stored):
        text = f"results or settings have changed since the look at {num_seeds} seeds, so it is decided again"
        print(text, file=sys.stderr, flush=True)
    decision = decide_look(directory)
    values = asdict(decision) | {"open_arms": sorted(decision.open_arms)}
    looks = [*(look for look in stored if look["seeds"] < num_seeds), {"seeds": num_seeds, "digest": digest, **values}]
    write_json(directory / FILE_NAME, {"schema": 1, "looks": looks}, durable=True)
    return decision


def _read(directory: Path) -> list[dict[str, Any]]:
    """The stored looks; none if the file is missing or damaged."""
    try:
        looks: list[dict[str, Any]] = json.loads((directory / FILE_NAME).read_text(encoding="utf-8"))["looks"]
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return []
    return looks


def _digest(directory: Path) -> str:
    """SHA-256 of what a decision depends on: the question, the runs and their results."""
    listing = json.loads((directory / "sweep.json").read_text(encoding="utf-8"))
    question = {key: value for key, value in listing["compare"].items() if key != "budget_minutes"}
    run_ids = sorted({job["run_id"] for job in listing["jobs"]})
    digest = hashlib.sha256(json.dumps([question, listing["jobs"]], sort_keys=True).encode())
    for run_id in run_ids:
        digest.update(json.dumps(read_result(directory / run_id), sort_keys=True).encode())
    return digest.hexdigest()
