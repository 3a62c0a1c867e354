"""Arms: which ones differ in a single thing, and which one each is compared with.

An arm is everything but the seed. Arms are paired by seed, because equal seeds mean equal initial weights and equal
data order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from warmup_lab.comparison.failure_kinds import FailureKinds
from warmup_lab.comparison.statistics import Interval, Rate
from warmup_lab.schedules import warmup_title
from warmup_lab.system import JsonRecord

WITHOUT_WARMUP = {"constantlr": "warmupconstant", "constant": "constant_with_warmup"}
"""Schedulers without a warmup, and the one that is the same curve with 0 updates of warmup."""


@dataclass(frozen=True)
class Arm(JsonRecord):
    """Everything but the seed."""

    name: str
    aliases: tuple[str, ...]
    """Other names under which the sweep asked for the same runs."""
    scheduler: str
    warmup_steps: int
    """Length of the warmup in updates."""
    total_steps: int
    """Length of the run in updates."""
    lr: float | None
    """Peak learning rate."""
    setting: tuple[str, ...]
    """Whatever else tells arms apart: task, model, optimizer, and free text."""
    warmup: str
    """Shape of the warmup."""

    @property
    def same_but_warmup(self) -> tuple[object, ...]:
        """Equal for two arms that differ only in the length or the shape of the warmup."""
        scheduler = self.scheduler.lower()
        return WITHOUT_WARMUP.get(scheduler, scheduler), self.total_steps, self.lr, self.setting

    @property
    def same_but_lr(self) -> tuple[object, ...]:
        """Equal for two arms that differ only in the learning rate."""
        return self.scheduler, warmup_title(self.warmup), self.warmup_steps, self.total_steps, self.setting


@dataclass(frozen=True)
class ArmSummary(Arm):
    """An arm with its counts, rates and mean."""

    warmup_percent: float
    """Length of the warmup in percent of the run."""
    num_runs: int
    num_learned: int
    num_errors: int
    """Runs that ended in an error."""
    num_unfinished: int
    """Runs without a result so far."""
    num_without_metric: int
    """Runs that learned and have no finite metric."""
    failed: Rate
    """Finished runs that failed to learn, diverged ones included."""
    diverged: Rate
    """Finished runs that diverged."""
    failure_kinds: FailureKinds
    """Why the failed ones failed."""
    mean: float | None
    """Mean of the metric over the runs that learned, in the metric's unit; None without such runs."""
    interval: Interval | None
    """The 95 % t-interval of `mean`."""


def index_of(arms: Sequence[Arm], name: str) -> int:
    """Position of the arm with that name or alias. ValueError lists the arms."""
    for index, arm in enumerate(arms):
        if name in (arm.name, *arm.aliases):
            return index
    raise ValueError(f"no arm is called {name!r}; the arms are: {', '.join(arm.name for arm in arms)}")


def reference_of(arms: Sequence[Arm], index: int, name: str | None = None) -> int | str:
    """Position of the arm that `arms[index]` is compared with, or the reason why there is none.

    `name` states the reference of every arm. Without it, the reference differs from the arm only in warmup and has
    `ceil(total_steps / 10)` updates of it. If the grid lacks that length, the nearest length takes its place, provided
    that it is not 0 and either rounds to 10 % or lies between 7.5 and 12.5 %: a verdict against 5 % is not a verdict
    against 10 %. Among several warmup shapes, the linear one is the reference.
    """
    if name is not None:
        return index_of(arms, name)
    total = arms[index].total_steps
    tenth, tolerance = -(-total // 10), max(1.0, total / 40)
    group = [arm for arm in arms if arm.same_but_warmup == arms[index].same_but_warmup]
    near = [arm for arm in group if arm.warmup_steps and abs(arm.warmup_steps - total / 10) < tolerance]
    near = [arm for arm in near if not warmup_title(arm.warmup)] or near
    if not near:
        tried = ", ".join(str(steps) for steps in sorted({arm.warmup_steps for arm in group}))
        about = f"about 10 % ({tenth} update{'s' * (tenth > 1)})"
        return f"{about} was not tried with otherwise equal settings; tried: {tried}"
    nearest = min((abs(arm.warmup_steps - tenth), arm.warmup_steps) for arm in near)[1]
    chosen = [arm.name for arm in near if arm.warmup_steps == nearest]
    if len(chosen) > 1:
        return f"{len(chosen)} arms could be the 10 % reference ({', '.join(chosen)}): set compare.reference to one"
    return index_of(arms, chosen[0])


def groups_over_length(arms: Sequence[Arm]) -> list[list[int]]:
    """Positions of arms that differ only in the length of the warmup, shortest first.

    An arm without warmup belongs to the group of every shape.
    """
    ordered = sorted(enumerate(arms), key=lambda item: item[1].warmup_steps)
    shapes: dict[tuple[object, ...], dict[str, None]] = {}
    for _, arm in ordered:
        shapes.setdefault(arm.same_but_warmup, {}).update({} if arm.warmup == "none" else {arm.warmup: None})
    groups: dict[tuple[object, ...], list[int]] = {}
    for index, arm in ordered:
        own = [arm.warmup] if arm.warmup != "none" else list(shapes[arm.same_but_warmup]) or ["none"]
        for shape in own:
            groups.setdefault((*arm.same_but_warmup, shape), []).append(index)
    return list(groups.values())


def groups_over_lr(arms: Sequence[Arm]) -> list[list[int]]:
    """Positions of arms that differ only in lr, smallest lr first. ValueError where two have the same lr."""
    groups: dict[tuple[object, ...], list[int]] = {}
    for index in sorted(range(len(arms)), key=lambda index: arms[index].lr or 0.0):
        arm = arms[index]
        group = groups.setdefault(arm.same_but_lr, [])
        twin = next((arms[other] for other in group if arms[other].lr == arm.lr), None)
        if twin is not None:
            raise ValueError(f"no column tells {twin.name} from {arm.name}: add a column called 'setting'")
        group.append(index)
    return list(groups.values())
