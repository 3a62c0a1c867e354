"""What a comparison asks, and the records of its answer.

The tests behind a verdict are in `evidence`, the rules that read them in `pairwise`, the wording in `sentences`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from warmup_lab.comparison.arms import ArmSummary
from warmup_lab.comparison.lr_range import Lr50Ratio, UsableLr
from warmup_lab.comparison.statistics import Interval, PairedTest, Rate, check_margin
from warmup_lab.system import JsonRecord

PHRASES = {
    "better": ("is better than", "better"),
    "worse": ("is worse than", "worse"),
    "equivalent": ("is equivalent to", "equivalent within the margin"),
    "different_within_margin": ("differs, but by less than the margin, from", "different, but within the margin"),
    "fails_more": ("fails to learn more often than", "failing to learn more often"),
    "fails_less": ("fails to learn less often than", "failing to learn less often"),
    "both_fail": ("fails to learn in most runs, as does", "failing in most runs, like the reference"),
    "inconclusive": ("cannot be distinguished from", "inconclusive"),
}
"""By value of the verdict: what it says about an arm and its reference, and about a number of arms."""
FAVOURABLE = ("better", "fails_less")
UNFAVOURABLE = ("worse", "fails_more")
AS_GOOD = ("equivalent", "different_within_margin")
UNDECIDED = ("both_fail", "inconclusive")


@dataclass(frozen=True)
class Question:
    """What a sweep states before it runs. ValueError for a margin that is not positive and finite."""

    metric: str
    smaller_is_better: bool = True
    margin: float | None = None
    """The largest difference that does not matter, in the metric's unit. Without it, equivalence cannot be tested."""
    reference: str | None = None
    """The arm that all others are compared with. None: the one that differs only in warmup and has 10 % of it."""
    failure_margin: float = 0.2
    """The largest difference of failure rates that does not matter."""
    looks: tuple[int, ...] | None = None
    """Numbers of seeds at which the comparison is planned to be judged; None judges all seeds there are, once."""

    def __post_init__(self) -> None:
        check_margin(self.margin)

    def looks_at(self, num_seeds: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """All planned looks, and those that `num_seeds` seeds have reached. Without planned looks, one at all seeds."""
        planned = self.looks or (num_seeds,)
        return planned, tuple(look for look in planned if look <= num_seeds)


@dataclass(frozen=True)
class Verdict(JsonRecord):
    """One arm against its reference."""

    arm: str
    reference: str | None
    value: str
    """A key of `PHRASES`, or `reference` (it is the reference itself), `no_reference`, or `preliminary` (runs that the
    verdict needs have not ended)."""
    sentence: str = ""
    reason: str | None = None
    """Why nothing can be concluded."""
    test: PairedTest | None = None
    """The arm minus its reference over all seeds, failed runs included; see `outcomes`."""
    learned: PairedTest | None = None
    """The same over the seeds at which both learned. It selects on the outcome, so it never decides."""
    p_holm: float | None = None
    """p of no difference, adjusted; see `families` and `sequential`."""
    p_equivalent_holm: float | None = None
    p_failed_holm: float | None = None
    """p of equal failure rates, adjusted; None if lr was swept, where lr50 is compared instead."""
    excess_failures: float | None = None
    """One-sided 95 % upper bound of the arm's failure rate minus that of its reference."""


@dataclass(frozen=True)
class Level(JsonRecord):
    """The runs with one length of the warmup, over everything else that was varied."""

    warmup_percent: float
    failed: Rate
    mean: float | None
    """Mean of the metric as compared, failed runs included; None for rank metrics and without runs."""
    lr50: float | None = None
    """Geometric mean of lr50 over seeds and strata; None unless lr was swept."""
    lr_range: Interval | None = None
    """Smallest and largest learning rate behind `lr50`. Beyond them, lr50 is an extrapolation by half a step."""


@dataclass(frozen=True)
class WarmupTrend(JsonRecord):
    """A trend over the length of the warmup."""

    of: str
    """`metric`, `failures` or `lr50`."""
    z: float
    """Positive if the values rise with the length of the warmup."""
    p_value: float
    """At the last look."""
    p_adjusted: float
    """Adjusted within the families and over the looks."""
    num_seeds: int
    num_strata: int
    """Combinations of whatever else was varied, in each of which the lengths are ranked."""


@dataclass(frozen=True)
class LookPath(JsonRecord):
    """A test at every planned look that was reached."""

    name: str
    p_values: tuple[float | None, ...]
    """The test's own p-value at each look; None where it was not made."""
    p_adjusted: tuple[float | None, ...]
    """Adjusted over the looks so far and the families."""


@dataclass(frozen=True)
class LrLine(JsonRecord):
    """Arms that differ only in the learning rate, and their lr50 against that of a reference line."""

    name: str
    arms: tuple[str, ...]
    lrs: tuple[float, ...]
    usable: UsableLr
    reference: str | None = None
    """The line with the reference warmup, or with the first value of another setting; None for a reference itself."""
    differs_in: str | None = None
    """`warmup` or `setting`."""
    ratio: Lr50Ratio | None = None
    p_adjusted: float | None = None


@dataclass(frozen=True)
class Comparison(JsonRecord):
    """All arms and their verdicts, in the order of the table of runs."""

    metric: str
    smaller_is_better: bool
    margin: float | None
    headline: str
    """The result in one sentence."""
    arms: tuple[ArmSummary, ...]
    verdicts: tuple[Verdict, ...]
    trends: tuple[WarmupTrend, ...] = ()
    levels: tuple[Level, ...] = ()
    """The lengths of the warmup, rising; empty if only one was tried."""
    lr_lines: tuple[LrLine, ...] = ()
    """Empty unless lr was swept and some run failed."""
    looks: tuple[int, ...] = ()
    """All planned looks, in seeds."""
    look: int = 0
    """Seeds of the last look; 0 before the first."""
    path: tuple[LookPath, ...] = ()
    """Empty without planned looks."""
    failure_margin: float = 0.2
    """The largest difference of failure rates that does not matter."""
    preliminary: bool = False
    """Runs that the verdicts need have not ended: estimates only."""

    def verdict(self, name: str) -> Verdict:
        """The verdict on the arm with that name or alias. KeyError if there is none."""
        rows = {known: row for row, arm in enumerate(self.arms) for known in (arm.name, *arm.aliases)}
        return self.verdicts[rows[name]]

    def are_equivalent(self, row: int, other: int) -> bool:
        """Whether a verdict says that the two arms differ by less than the margin."""
        names = {self.arms[row].name, self.arms[other].name}
        verdicts = (self.verdicts[row], self.verdicts[other])
        return any(one.value in AS_GOOD and {one.arm, one.reference} == names for one in verdicts)

    def arm(self, name: str | None) -> ArmSummary:
        """The arm with that name."""
        return next(arm for arm in self.arms if arm.name == name)

    def trend(self, of: str) -> WarmupTrend | None:
        """The trend of `metric`, `failures` or `lr50`; None if it could not be tested."""
        return next((trend for trend in self.trends if trend.of == of), None)


def line_of(lines: Sequence[LrLine], name: str) -> LrLine:
    """The line with that name."""
    return next(line for line in lines if line.name == name)
