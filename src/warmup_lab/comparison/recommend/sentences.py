"""The wording of a recommendation: the answer, what is open, and what each stage found."""

from __future__ import annotations

from collections.abc import Sequence

from warmup_lab.comparison import Interval, Rate, count, p_text, percent_text
from warmup_lab.comparison.recommend.choice import Choice, GridRow
from warmup_lab.comparison.recommend.confirmation import Confirmation
from warmup_lab.comparison.recommend.findings import Findings
from warmup_lab.comparison.recommend.ramp import RampResult, rates_to_try
from warmup_lab.comparison.recommend.use import Use
from warmup_lab.metrics import title_and_unit

MIN_CHOOSING = 3
"""With fewer seeds, the best of a few rates may be chance."""

# --- the answer


def headline(found: Findings, use: Use | None) -> str:
    """What to use, and what a warmup does; or what is known so far."""
    if found.choice is None or use is None:
        return _no_answer(found)
    confirmation, text = found.confirmation, _use_text(found, use)
    if confirmation is None or not confirmation.judged:
        return f"So far, not confirmed: {text}."
    other = _warmup_words(confirmation.sides["with"].warmup_steps, _total(found))
    effects = {
        "needed": ", which is better than none",
        "harmful": f", which is better than {other}",
        "same": f": {other} is as good, not better",
        "undecided": f". {other.capitalize()} was not shown to matter",
    }
    return f"Use {text}{effects[confirmation.effect]}."


def answer_sentence(found: Findings, use: Use | None) -> str:
    """The numbers behind the headline."""
    if found.choice is None or use is None:
        return _no_answer(found)
    confirmation, title = found.confirmation, title_and_unit(found.question.metric)[0]
    if confirmation is None or not confirmation.judged:
        text = f"{_use_text(found, use)} is {_best_of(found, found.choice)}.{_so_far(found, confirmation)}"
        return text[:1].upper() + text[1:]
    seeds = f"at {count(confirmation.judged, 'seed')} that took no part in the choice of the lr"
    is_shown = confirmation.p_value is not None and confirmation.effect in ("needed", "harmful")
    p = f"; p = {p_text(confirmation.p_value or 0.0)}" if is_shown else ""
    margin = f", and {found.question.margin:g} does not matter" if confirmation.effect == "same" else ""
    text = _contrast(confirmation, title)
    return f"{text[:1].upper()}{text[1:]}{margin} ({seeds}{p})."


def _no_answer(found: Findings) -> str:
    if found.confirmation is not None and found.confirmation.effect == "both_fail":
        return (
            f"No lr can be recommended: at lr {found.confirmation.lr:.3g}, the best of the rates tried, most runs of "
            "the confirmation failed to learn, with and without warmup."
        )
    if found.choice is not None:
        advice = "The runs may be too short (raise epochs or max_steps), or the data too hard."
        if found.ramp is not None and found.needs_longer_runs:
            advice = f"Ramps of {found.ramp.updates} updates did learn, so train longer than {_total(found)} updates."
        return (
            "No lr can be recommended: most runs failed to learn at every lr that was tried "
            f"({_listed(found.choice.lrs)}). {advice}"
        )
    if found.ramp is None:
        if found.plan.needed_minutes is None or found.plan.run_seconds is None:
            return "So far nothing is known: no ramp has finished."
        run, minutes = duration(found.plan.run_seconds), found.plan.needed_minutes
        return (
            f"The budget is too small for a ramp: one run takes {run}, and a recommendation needs about {minutes} min."
        )
    text = f"So far only the ramp is known, and no lr was tried: {ramp_sentence(found.ramp)}"
    if found.ramp.lr is None and not found.ramp.learned:
        return text
    return f"{text} Rates worth trying: {_listed(rates_to_try(found.ramp, 3))}."


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
    return percent_text(100 * steps / _total(found))


def _warmup_words(steps: int, total: int) -> str:
    return f"a warmup of {percent_text(100 * steps / total)}"


def _total(found: Findings) -> int:
    return found.plan.of_kind("grid")[0].updates


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
    row = next(row for row in found.grid if (row.lr, row.start) == (choice.lr, choice.start))
    return f"the best of {count(len(choice.lrs), 'lr')} at {count(len(row.values), 'seed')}"


# --- what is open


def unsure_sentences(found: Findings, use: Use | None) -> list[str]:
    """What the runs leave open, most important first."""
    choice, confirmation, text = found.choice, found.confirmation, []
    if found.interrupted:
        text.append(f"Interrupted: {count(sum(found.num_missing.values()), 'run')} left no result yet.")
    if choice is None or use is None:
        return text
    if confirmation is None or not confirmation.judged:
        text.append("The seeds that chose the lr favour it; no other seeds have confirmed it.")
    elif confirmation.effect == "undecided":
        text.append(_undecided(found, confirmation))
    if choice.metric == "eval_loss" and use.mean and found.guess_loss and use.mean > found.guess_loss:
        text.append(
            f"The evaluation loss is above that of guessing ({found.guess_loss:.2g}): the runs overfit, or learn "
            "nothing that carries over. Judge by accuracy (compare.metric=eval_accuracy), or train shorter."
        )
    if choice.edge:
        other = "smaller" if choice.edge == "smallest" else "larger"
        text.append(f"lr {choice.lr:.3g} is the {choice.edge} that was tried: a {other} one may be better.")
    if choice.alike:
        text.append(f"The choice of lr: {_listed(choice.alike)} did about as well on the seeds that chose.")
    if len(choice.lrs) > 1 and _num_choosing(found) < MIN_CHOOSING:
        text.append(f"The choice of lr: it rests on {count(_num_choosing(found), 'seed')}, so it may be chance.")
    if use.failed.count:
        text.append(f"{use.failed.count} of {use.failed.total} runs failed to learn even with this choice.")
    elif confirmation is not None and confirmation.judged:
        text.append(f"Rare failures: none of {use.failed.total} runs failed, which excludes rates above "
                    f"{100 * (use.failed.high or 0):.0f} %.")  # fmt: skip
    return text


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


# --- the stages


def ramp_sentence(ramp: RampResult) -> str:
    """Where the loss breaks on the ramps."""
    span = f"lr {ramp.start_lr:.2g} to {ramp.end_lr:.2g}"
    ramps = f"{count(len(ramp.seeds), 'ramp')} of {ramp.updates} updates from {span}"
    if ramp.lr is None:
        if not ramp.learned:
            return (
                f"{ramps[:1].upper()}{ramps[1:]} show nothing: the loss neither fell nor broke, so they were too short."
            )
        return f"The loss did not break on {ramps} ({ramp.num_broken} broke), so larger rates may work."
    assert ramp.low is not None
    assert ramp.high is not None
    spread = f" ({ramp.low:.2g} to {ramp.high:.2g})" if ramp.low != ramp.high else ""
    doubt = ""
    if ramp.early:
        doubt = " That is in the first quarter of the ramp, so the break may lie lower."
    elif not ramp.learned:
        doubt = " Nothing had been learned by then, so the break may lie lower."
    return f"The loss breaks at lr {ramp.lr:.2g}{spread} on {ramps}.{doubt}"


def grid_sentence(found: Findings) -> str:
    """Which rates were tried, and what was best."""
    choice = found.choice
    assert choice is not None
    title = title_and_unit(choice.metric)[0]
    cells = {(row.lr, row.start): _cell(row) for row in found.grid}
    parts = [f"lr {lr:.2g}: {cells.get((lr, 'without'), '-')} / {cells.get((lr, 'with'), '-')}" for lr in choice.lrs]
    return f"Mean {title} without / with warmup at {count(_num_choosing(found), 'seed')}: {'; '.join(parts)}."


def _cell(row: GridRow) -> str:
    if row.mean is None:
        return "-"
    failed = f" ({row.failed.count} of {row.failed.total} failed)" if row.failed.count else ""
    return f"{row.mean:.3g}{failed}"


def _num_choosing(found: Findings) -> int:
    return max((len(row.values) for row in found.grid), default=0)


def budget_sentence(found: Findings) -> str:
    """How long it took and what more needs; empty without a measured time."""
    plan = found.plan
    if plan.run_seconds is None:
        return ""
    text = f"One run takes about {duration(plan.run_seconds)}; the stages took {duration(plan.wall_seconds)}"
    if plan.budget_minutes is not None:
        text += f" of compare.budget_minutes={plan.budget_minutes:g}"
    if plan.needed_minutes is not None:
        what = "a recommendation" if plan.needed_for == "recommendation" else "the next look"
        text += f"; {what} needs about {plan.needed_minutes} min in all: compare.budget_minutes={plan.needed_minutes}"
    return f"{text}."


def duration(seconds: float) -> str:
    """One unit, about two digits.

    >>> duration(0.0123), duration(0.42), duration(42), duration(720), duration(8000)
    ('12 ms', '0.4 s', '42 s', '12 min', '2.2 h')
    """
    if seconds < 0.1:
        return f"{1000 * seconds:.2g} ms"
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def _listed(lrs: Sequence[float]) -> str:
    return ", ".join(f"{lr:.3g}" for lr in lrs)
