"""The stages of a recommendation as they were planned from measured times: `recommend.json` beside `sweep.json`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from warmup_lab.system import JsonRecord, write_json

FILE_NAME = "recommend.json"

StageKind = Literal["timing", "ramp", "grid", "confirm"]
KINDS: tuple[StageKind, ...] = ("timing", "ramp", "grid", "confirm")


@dataclass(frozen=True)
class Stage(JsonRecord):
    """The runs of one batch."""

    kind: StageKind
    """`timing`: a few updates. `ramp`: a rising lr. `grid`: a few rates. `confirm`: the chosen rate, other seeds."""
    seeds: tuple[int, ...]
    lrs: tuple[float, ...]
    """Peak learning rates; the end of a ramp."""
    updates: int
    """Updates of each run."""
    run_ids: tuple[str, ...] = ()
    expected_seconds: float | None = None
    """Estimated before the stage."""
    wall_seconds: float | None = None
    """Measured; None while the stage is unfinished."""


@dataclass(frozen=True)
class StoredPlan(JsonRecord):
    """All stages so far. The same command reads them, so it makes the same plan again."""

    identity: str
    """What was trained and asked. A plan of something else is not used."""
    budget_minutes: float | None
    stages: tuple[Stage, ...] = ()
    full_updates: int | None = None
    """Updates of a whole run. Those of the stages `grid` and `confirm` are shorter if the budget is small."""
    full_warmup_steps: int | None = None
    """Updates of its warmup."""
    run_seconds: float | None = None
    """Estimated seconds of a whole run."""
    needed_minutes: int | None = None
    """Budget that the next part needs, if the sweep ended because it did not fit."""
    needed_for: Literal["recommendation", "more seeds"] | None = None
    """What that budget allows."""
    needed_parts: str | None = None
    """What that budget is made of, in words."""
    kept_seconds: float | None = None
    """The part of it that the present runs have used already."""

    def of_kind(self, *kinds: StageKind) -> list[Stage]:
        """The stages of these kinds."""
        return [stage for stage in self.stages if stage.kind in kinds]

    @property
    def choosing(self) -> list[Stage]:
        """The stages that choose the lr: those of kind `grid` with the longest runs, as shorter ones say less.

        Longer ones that were begun and not ended do not count yet.
        """
        grids = self.of_kind("grid")
        ended = [stage for stage in grids if stage.wall_seconds is not None]
        longest = max((stage.updates for stage in ended or grids), default=0)
        return [stage for stage in grids if stage.updates == longest]

    @property
    def choosing_ids(self) -> set[str]:
        """Their runs."""
        return {run_id for stage in self.choosing for run_id in stage.run_ids}

    @property
    def run_updates(self) -> int | None:
        """Updates of the runs that choose the lr; None before they are planned."""
        return next((stage.updates for stage in self.choosing), None)

    @property
    def is_shortened(self) -> bool:
        """Whether these are shorter than a whole run."""
        return None not in (self.run_updates, self.full_updates) and self.run_updates != self.full_updates

    def run_ids(self, kind: StageKind) -> set[str]:
        """The runs of all stages of this kind."""
        return {run_id for stage in self.of_kind(kind) for run_id in stage.run_ids}

    @property
    def wall_seconds(self) -> float:
        """Seconds of all stages that have ended."""
        return sum(stage.wall_seconds or 0.0 for stage in self.stages)

    def without_need(self) -> StoredPlan:
        """The plan once the budget is enough."""
        return replace(self, needed_minutes=None, needed_for=None, needed_parts=None, kept_seconds=None)

    def write(self, directory: Path) -> bool:
        """Writes the plan beside the sweep, and returns whether the plan of another command was there.

        That one is set aside, as `recommend-<digest of its identity>.json`, so each command finds its own again.
        """
        present = read_plan(directory)
        is_other = present is not None and present.identity != self.identity
        if present is not None and is_other:
            (directory / FILE_NAME).replace(_set_aside(directory, present.identity))
        write_json(directory / FILE_NAME, {"schema": 1, **self.to_dict()})
        _set_aside(directory, self.identity).unlink(missing_ok=True)
        return is_other


def own_plan(directory: Path, identity: str) -> StoredPlan | None:
    """The plan of this identity, beside the sweep or set aside; None if there is none."""
    plans = _read(directory / FILE_NAME), _read(_set_aside(directory, identity))
    return next((plan for plan in plans if plan is not None and plan.identity == identity), None)


def _set_aside(directory: Path, identity: str) -> Path:
    return directory / f"recommend-{hashlib.sha256(identity.encode()).hexdigest()[:12]}.json"


def read_plan(directory: Path) -> StoredPlan | None:
    """The plan beside a sweep; None if there is none."""
    return _read(directory / FILE_NAME)


def _read(path: Path) -> StoredPlan | None:
    if not path.is_file():
        return None
    found = json.loads(path.read_text(encoding="utf-8"))
    del found["schema"]
    return StoredPlan(**found | {"stages": tuple(_stage(stage) for stage in found["stages"])})


def plan_of_jobs(directory: Path, jobs: Iterable[Mapping[str, Any]]) -> StoredPlan | None:
    """The plan beside a sweep if the sweep's jobs are its runs; None otherwise, as for a later grid in its folder."""
    plan, listed = read_plan(directory), {job["run_id"] for job in jobs}
    if plan is None:
        return None
    planned = {run_id for stage in plan.stages for run_id in stage.run_ids}
    known = tuple(stage for stage in plan.stages if listed.issuperset(stage.run_ids))
    return replace(plan, stages=known) if listed and planned.issuperset(listed) else None


def _stage(found: dict[str, Any]) -> Stage:
    lists = {key: tuple(found[key]) for key in ("seeds", "lrs", "run_ids")}
    known = {key: value for key, value in found.items() if key != "probed"}  # ramps used to be probed
    return Stage(**known | lists)
