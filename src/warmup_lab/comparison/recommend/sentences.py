"""The wording of a recommendation: the answer and what is open. `stage_sentences` words what each stage found."""

from __future__ import annotations

from warmup_lab.comparison import Interval, Rate, count, p_text, percent_text
from warmup_lab.comparison.recommend.choice import Choice
from warmup_lab.comparison.recommend.confirmation import Confirmation
from warmup_lab.comparison.recommend.failures import failing_from, lacks_updates
from warmup_lab.comparison.recommend.findings import Findings
from warmup_lab.comparison.recommend.ramp import rates_to_try
from warmup_lab.comparison.recommend.stage_sentences import (
    choosing_seeds,
    duration,
    listed,
    num_choosing,
    ramp_sentence,
)
from warmup_lab.comparison.recommend.use import Use, warmup_percent
from warmup_lab.metrics import title_and_unit

MIN_CHOOSING = 3
"""With fewer seeds, the best of a few rates may be chance."""
_FEW_UPDATES = 60
"""With fewer, hardly any lr learns."""

# --- the answer


def headline(found: Findings, use: Use | None) -> str:
    """What to use, and what a warmup does; or what is known so far."""
    if found.choice is None or use is None:
        return _no_answer(found)
    confirmation, text = found.confirmation, _use_text(found, use)
    if confirmation is None or not confirmation.judged:
        return f"So far, not confirmed: {text}."
    other = f"a warmup of {_percent(found, confirmation.sides['with'].warmup_steps)}"
    effects = {
        "needed": ", which is better than none.",
        "harmful": f", which is better than {other}.",
        "same": f": {other} is as good, not better.",
        "small": f": {other} is {_better_or_worse(found)}, but by less than the margin.",
        "undecided": f". {_why_undecided(found, use)}",
    }
    return f"Use {text}{effects[confirmation.effect]}"


def _better_or_worse(found: Findings) -> str:
    """Of the runs with warmup, by the means."""
    assert found.confirmation is not None
    without_minus_with = found.confirmation.difference or 0.0
    return "better" if (without_minus_with > 0) == found.question.smaller_is_better else "worse"


def _why_undecided(found: Findings, use: Use) -> str:
    """Why this start was taken where no test decides."""
    assert found.confirmation is not None
    sides = found.confirmation.sides
    if use.ground == "failures":
        fewer, more = sorted((side.failed for side in sides.values()), key=lambda rate: rate.count)
        other = "without" if use.start == "with" else "with"
        return (
            f"Fewer runs failed than {other} it ({fewer.count} against {more.count} of {more.total}), maybe by chance."
        )
    if use.ground == "no means":
        return f"{count(found.confirmation.judged, 'seed')} do not decide whether the warmup matters."
    if use.ground == "equal means":
        return "With a warmup the mean is the same, so the simpler one is used."
    other = "No warmup" if use.start == "with" else f"A warmup of {_percent(found, sides['with'].warmup_steps)}"
    return f"{other} did worse on average, maybe by chance."


def answer_sentence(found: Findings, use: Use | None) -> str:
    """The numbers behind the headline."""
    if found.choice is None or use is None:
        return _why_no_answer(found)
    confirmation, title = found.confirmation, title_and_unit(found.question.metric)[0]
    if confirmation is None or not confirmation.judged:
        return f"This lr is {_best_of(found, found.choice)}.{_so_far(found, confirmation)}"
    seeds = f"at {count(confirmation.judged, 'seed')} that took no part in the choice of the lr"
    is_shown = confirmation.p_value is not None and confirmation.effect in ("needed", "harmful")
    p = f"; p = {p_text(confirmation.p_value or 0.0)}" if is_shown else ""
    margin = f", equivalent within {found.question.margin:g} by test" if confirmation.effect == "same" else ""
    margin = f", less than {found.question.margin:g} by test" if confirmation.effect == "small" else margin
    text = _contrast(confirmation, title)
    other = f" The seeds that chose the lr favoured a start {found.choice.start} warmup."
    return f"{text[:1].upper()}{text[1:]}{margin} ({seeds}{p}).{other * (found.choice.start != use.start)}"


def _no_answer(found: Findings) -> str:
    if found.choice is None:
        if found.ramp is not None:
            return "So far only the ramp is known, and no lr was tried."
        if found.plan.needed_minutes is None or found.plan.run_seconds is None:
            return "So far nothing is known: no ramp has finished."
        return f"The budget is too small for a ramp: one run takes {duration(found.plan.run_seconds)}."
    longer = f": {found.total_updates} updates are too few" if found.advised_updates else ""
    if not found.choice.all_failed and found.confirmation is not None:
        where = f"at lr {found.confirmation.lr:.3g}, the best of the rates tried"
        return f"No lr can be recommended{longer}. Most runs of the confirmation failed to learn {where}."
    rates = f"from {found.choice.lrs[0]:.3g} to {found.choice.lrs[-1]:.3g}"
    return f"No lr can be recommended{longer}. Most runs failed to learn at every lr that was tried, {rates}."


def _why_no_answer(found: Findings) -> str:
    """What is known where no lr can be recommended, and what to do; '' before the first ramp has ended."""
    if found.choice is None:
        if found.ramp is None:
            return "No ramp was trained." if found.plan.needed_minutes else ""
        rates = f"Rates to try first: {listed(rates_to_try(found.ramp, 3))}."
        return f"{ramp_sentence(found.ramp)} {rates}"
    num_failed = sum(found.failures.values())
    if not lacks_updates(found.failures):
        unstable = f"{found.failures['unstable']} of {count(num_failed, 'failed run')} became unstable"
        smaller = "If you set a smaller optimizer.lr=..., it is tried too."
        return f"{unstable}: the rates are too large, or the data too hard. {smaller}"
    text = f"{num_failed - found.failures['unstable']} of {count(num_failed, 'failed run')} learned too little"
    if found.plan.is_shortened:
        updates = f"{found.plan.run_updates} of {found.total_updates} updates"
        return f"{text}. The budget allowed only {updates}."
    ramp = found.ramp
    learned = f"; ramps of {ramp.updates} updates did learn" if ramp is not None and ramp.learned else ""
    return f"{text}, without becoming unstable{learned}. Train longer: max_steps={found.advised_updates}."


def _so_far(found: Findings, confirmation: Confirmation | None) -> str:
    """The estimate from the seeds of a confirmation that has not reached its first look."""
    if confirmation is None:
        return ""
    title = title_and_unit(found.question.metric)[0]
    seeds = f"{count(confirmation.num_seeds, 'new seed')} of {confirmation.looks[0]}"
    return f" At {seeds}, {_contrast(confirmation, title)}; a verdict needs all of them."


def _use_text(found: Findings, use: Use) -> str:
    """`lr 0.0018 with 36 updates of warmup (10 %)`."""
    if not use.warmup_steps:
        return f"lr {use.lr:.3g} without warmup"
    return f"lr {use.lr:.3g} with {count(use.warmup_steps, 'update')} of warmup ({_percent(found, use.warmup_steps)})"


def _percent(found: Findings, steps: int) -> str:
    return percent_text(warmup_percent(steps, found.total_updates))


def _contrast(confirmation: Confirmation, title: str) -> str:
    """What changes without warmup: the failures if any run failed, and the metric."""
    without, with_ = confirmation.sides["without"], confirmation.sides["with"]
    parts = []
    if without.failed.count or with_.failed.count:
        parts.append(f"without warmup {_failed(without.failed)} failed to learn, with it {_failed(with_.failed)}")
    if without.mean is not None and with_.mean is not None:
        lead = f"{title} is" if parts else f"without warmup the {title} is"
        parts.append(f"{lead} {without.mean:.3g} against {with_.mean:.3g}{_difference(confirmation)}")
    if without.mean is None and confirmation.sentence:
        parts.append(confirmation.sentence.rstrip("."))
    return "; ".join(parts) or f"{title} has no value yet"


def _difference(confirmation: Confirmation) -> str:
    """`, +0.02 [-0.05, +0.09]`: without minus with warmup."""
    if confirmation.difference is None:
        return ""
    return f", {confirmation.difference:+.2g}{_bracket(confirmation.interval)}"


def _bracket(interval: Interval | None) -> str:
    return f" [{interval[0]:+.2g}, {interval[1]:+.2g}]" if interval else ""


def _failed(rate: Rate) -> str:
    return f"{rate.count} of {rate.total} runs" if rate.count else "none"


def _best_of(found: Findings, choice: Choice) -> str:
    rates = f"the best of {count(len(choice.lrs), 'lr')}" if len(choice.lrs) > 1 else "the only lr that was tried"
    rows = [row for row in found.grid if row.lr == choice.lr and row.mean is not None]
    means = " and ".join(f"{row.mean:.3g} {row.start}" for row in rows)
    return f"{rates} at {choosing_seeds(found)}: mean {title_and_unit(choice.metric)[0]} {means} warmup"


# --- what is open


def unsure_sentences(found: Findings, use: Use | None) -> list[str]:
    """What the runs leave open, most important first."""
    choice, confirmation, text = found.choice, found.confirmation, []
    if found.interrupted:
        text.append(f"Interrupted: {count(sum(found.num_missing.values()), 'run')} left no result yet.")
    if choice is None or use is None:
        return text
    if found.plan.is_shortened:
        updates = f"{found.plan.run_updates} of {found.total_updates} updates"
        text.append(
            f"The lr was chosen on runs of {updates}, to fit the budget. Short runs say less: the best lr of a longer "
            "run is often smaller."
        )
    if found.total_updates < _FEW_UPDATES:
        text.append(
            f"A run has only {found.total_updates} updates. With more (epochs or max_steps), another lr and another "
            "warmup may be better."
        )
    if confirmation is None or not confirmation.judged:
        text.append("The seeds that chose the lr favour it; no other seeds have confirmed it.")
        text.append("Whether a warmup matters was not tested.")
    elif confirmation.effect == "undecided":
        text.append(_undecided(found, confirmation))
    if choice.metric == "eval_loss" and use.mean and found.guess_loss and use.mean > found.guess_loss:
        text.append(
            f"The evaluation loss is above that of guessing ({found.guess_loss:.2g}): the runs overfit, or learn "
            "nothing that generalizes. Judge by accuracy (compare.metric=eval_accuracy), or train shorter."
        )
    text += [*_open_choice(found, choice), *_failure_sentences(found, use)]
    if not use.failed.count and confirmation is not None and confirmation.judged:
        text.append(f"Rare failures: none of {use.failed.total} runs failed, which excludes failure rates above "
                    f"{100 * (use.failed.high or 0):.0f} %.")  # fmt: skip
    return text


def _open_choice(found: Findings, choice: Choice) -> list[str]:
    """Why another rate may be better."""
    text, seeds = [], choosing_seeds(found)
    if choice.edge:
        other = "smaller" if choice.edge == "smallest" else "larger"
        text.append(f"lr {choice.lr:.3g} is the {choice.edge} that was tried: a {other} one may be better.")
    if choice.alike:
        rates = _with_means(found, choice, choice.alike)
        text.append(f"The choice of lr: {rates} scored within the margin of {found.question.margin:g} of it.")
    if choice.not_told_apart:
        rates = _with_means(found, choice, choice.not_told_apart)
        text.append(f"The choice of lr: {seeds} do not tell it apart from {rates}.")
    if len(choice.lrs) > 1 and num_choosing(found) < MIN_CHOOSING:
        text.append(f"The choice of lr: it rests on {seeds}, so it may be chance.")
    return text


def _with_means(found: Findings, choice: Choice, lrs: tuple[float, ...]) -> str:
    """`0.001 (with warmup, mean 0.31 against 0.3)`: the means at these rates and at the chosen one."""
    means = {row.lr: row.mean for row in found.grid if row.start == choice.start}
    return ", ".join(
        f"{lr:.3g} ({choice.start} warmup, mean {means[lr]:.3g} against {means[choice.lr]:.3g})" for lr in lrs
    )


def _failure_sentences(found: Findings, use: Use) -> list[str]:
    if not use.failed.count:
        return []
    why = "They became unstable: a smaller lr or a longer warmup may help."
    if failing_from(found.grid) == use.lr:
        why = "Every run at a smaller lr learned: a smaller lr may help."
    elif lacks_updates(found.failures):
        why = "They learned too little: more updates may help (max_steps or epochs), not a smaller lr."
    return [f"{use.failed.count} of {use.failed.total} runs failed to learn even with this choice. {why}"]


def _undecided(found: Findings, confirmation: Confirmation) -> str:
    left = [look for look in confirmation.looks if look > confirmation.judged]
    more = f"; the next planned look is at {left[0]} seeds" if left else ", and all planned seeds are used"
    text = f"Whether a warmup matters: {count(confirmation.judged, 'seed')} do not decide it{more}."
    if found.question.margin is None:
        text += (
            " No margin is stated, so the two cannot be called equivalent either: state compare.margin, the largest "
            "difference that does not matter."
        )
    return text
