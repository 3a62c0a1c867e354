"""What a comparison asks, and the records of its answer: a verdict on each arm.

The tests behind a verdict are in `pairwise`, its wording is in `sentences`.
"""

from __future__ import annotations

from dataclasses import dataclass

from warmup_lab.comparison.arms import ArmSummary
from warmup_lab.comparison.statistics import PairedTest, check_margin
from warmup_lab.system import JsonRecord

PHRASES = {
    "better": ("is better than", "better"),
    "worse": ("is worse than", "worse"),
    "equivalent": ("is equivalent to", "equivalent within the margin"),
    "different_within_margin": ("differs, but by less than the margin, from", "different, but within the margin"),
    "fails_more": ("fails to learn more often than", "failing to learn more often"),
    "fails_less": ("fails to learn less often than", "failing to learn less often"),
    "diverges_more": ("diverges more often than", "diverging more often"),
    "diverges_less": ("diverges less often than", "diverging less often"),
    "inconclusive": ("cannot be distinguished from", "inconclusive"),
}
"""By value of the verdict: what it says about an arm and its reference, and about a number of arms."""
FAVOURABLE = ("better", "fails_less", "diverges_less")
UNFAVOURABLE = ("worse", "fails_more", "diverges_more")
AS_GOOD = ("equivalent", "different_within_margin")


@dataclass(frozen=True)
class Question:
    """What a sweep states before it runs. ValueError for a margin that is not positive and finite."""

    metric: str
    smaller_is_better: bool = True
    margin: float | None = None
    """The largest difference that does not matter, in the metric's unit. Without it, equivalence cannot be tested."""
    reference: str | None = None
    """The arm that all others are compared with. None: the one that differs only in warmup and has 10 % of it."""

    def __post_init__(self) -> None:
        check_margin(self.margin)


@dataclass(frozen=True)
class Verdict(JsonRecord):
    """One arm against its reference."""

    arm: str
    reference: str | None
    value: str
    """A key of `PHRASES`, or `reference` (it is the reference itself), or `no_reference`."""
    sentence: str = ""
    reason: str | None = None
    """Why nothing can be concluded."""
    test: PairedTest | None = None
    """The arm minus its reference."""
    p_holm: float | None = None
    """p of no difference, adjusted. Each family spans all arms of the comparison; see `pairwise`."""
    p_equivalent_holm: float | None = None
    p_failed_holm: float | None = None
    p_diverged_holm: float | None = None


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

    def verdict(self, name: str) -> Verdict:
        """The verdict on the arm with that name or alias. KeyError if there is none."""
        rows = {known: row for row, arm in enumerate(self.arms) for known in (arm.name, *arm.aliases)}
        return self.verdicts[rows[name]]
