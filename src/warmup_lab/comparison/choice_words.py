"""How a recommendation says what it chose, and how far that is decided."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from warmup_lab.comparison.advised_arms import AdvisedArms
from warmup_lab.comparison.arms import Arm
from warmup_lab.comparison.naming import schedule_name
from warmup_lab.comparison.numbers import percent_text
from warmup_lab.comparison.open_questions import percent_of, preliminary_sentences, same_but_warmup_and_lr
from warmup_lab.comparison.sentences import count
from warmup_lab.comparison.verdicts import Comparison


@dataclass(frozen=True)
class Grounds:
    """Why an arm was chosen."""

    found: Comparison
    advised: AdvisedArms
    """The arms that the tests left."""
    alike: bool
    """Whether the seeds cannot tell another warmup from the chosen one, or are too few, and no test shows the two to be
    equivalent."""
    num_candidates: int
    metric: str
    """What chose."""

    @property
    def decide_warmup(self) -> bool:
        """Whether tests chose the warmup among all that were tried."""
        tested = self.advised.of_warmup and (self.advised.is_tested or not self.alike)
        return bool(self.advised.basis) and tested and not preliminary_sentences(self.found)

    @property
    def show_effect(self) -> bool:
        """Whether a trend over the length of the warmup is shown, and the best length is not."""
        is_whole = not preliminary_sentences(self.found)
        return self.advised.is_trend and is_whole and not self.decide_warmup

    def sentence(self, *, swept: bool, varied: tuple[bool, bool]) -> str:
        """How far the choice is decided, without a full stop.

        Args:
            swept: whether there are several learning rates.
            varied: as from `varied_in`.
        """
        tried, basis = self.num_candidates, self.advised.basis
        if tried == 1:
            return "only this combination has results"
        if preliminary_sentences(self.found):
            return f"the best observed so far of {tried} combinations"
        if not basis:
            return (
                f"the best observed of {tried} combinations, not shown to be better than the other{'s' * (tried > 2)}"
            )
        others = ["learning rate"] * swept + ["schedule"] * varied[0] + ["setting"] * varied[1]
        if self.advised.is_trend and self.alike:
            basis, others = "a trend over the length of the warmup is shown", ["exact length", *others]
        if not others:
            return basis
        verb = "are" if len(others) > 1 else "is"
        return f"{basis}; the {' and the '.join(others)} {verb} only the best observed, not tested"


def varied_in(arms: Sequence[Arm]) -> tuple[bool, bool]:
    """Whether the schedule or the shape of the warmup was varied, and whether any other setting was."""
    schedules = {same_but_warmup_and_lr(arm)[0] for arm in arms}
    shapes = {arm.warmup for arm in arms if arm.warmup_steps}
    return len(schedules) > 1 or len(shapes) > 1, len({(arm.total_steps, arm.setting) for arm in arms}) > 1


def chosen_text(arm: Arm, varied: tuple[bool, bool]) -> str:
    """`lr 0.001 with 10 % warmup (36 updates)`, with the schedule and the setting if they were varied."""
    share = percent_text(percent_of(arm))
    warmup = f"{share} warmup ({count(arm.warmup_steps, 'update')})" if arm.warmup_steps else "no warmup"
    parts = (schedule_name(arm.scheduler, arm.warmup) * varied[0], arm.setting[-1] * varied[1])
    lr = "" if arm.lr is None else f"lr {arm.lr:g} with "
    return f"{lr}{warmup}{''.join(f', {part}' for part in parts if part)}"
