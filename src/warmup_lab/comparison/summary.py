"""The plain sentences under the headline of a report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from warmup_lab.comparison.arms import ArmSummary
from warmup_lab.comparison.failure_advice import failure_sentence
from warmup_lab.comparison.sentences import count

_MAX_NAMES = 3
"""Names in one list; the others are counted."""


def summary_sentences(
    parts: dict[str, Any], arms: Sequence[ArmSummary], own_answer: dict[str, Any] | None, *, advise: bool = True
) -> list[str]:
    """What was compared, what failed, and the smallest good warmup; `parts` as in `comparison.json`.

    A sweep of ramps, a search or a recommendation has sentences of its own and compares no warmups. Its runs fail where
    it looks for the limit, so it gives no advice against failures. Nor does a summary without `advise`, or one of a
    sweep in which some combination never failed.
    """
    if own_answer:
        stage = _stage(own_answer)
        failed = (
            _what_failed(parts["counts"], stage),
            failure_sentence(arms, advise=False),
            _failed_to_choose(own_answer),
            _failed_where(own_answer),
        )
        return [*own_answer["sentences"], _what_was_run(parts["counts"], stage), " ".join(filter(None, failed))]
    advise = advise and all(arm.failed.count for arm in arms if arm.failed.total)
    sentences = [
        _what_was_compared(parts) + what_was_held_equal(parts["warmups"]),
        " ".join(filter(None, (_what_failed(parts["counts"]), failure_sentence(arms, advise=advise)))),
        *([variance_sentence(parts["variance"])] if parts["variance"] else []),
        *smallest_sentences(parts["smallest_warmup"]),
    ]
    own = parts["own_best_lr"]
    if own and {arm["verdict"]["value"] for arm in own["arms"]} - {"both_fail", "reference"}:
        sentences.append(own["headline"])
    return sentences


def _runs(counts: dict[str, Any]) -> str:
    used = ", ".join(f"{what} {_listed(counts[what])}" for what in ("task", "model", "optimizer"))
    return f"{count(counts['runs'], 'run')} of {_listed(counts['total_steps'])} updates each ({used})"


def _what_was_run(counts: dict[str, Any], stage: str) -> str:
    used = f"{_runs(counts)}, at {count(counts['seeds'], 'seed')}"
    return f"Runs of the {stage}: {used}." if stage else f"{used}."


def _stage(own_answer: dict[str, Any]) -> str:
    """The stage of a recommendation that the counts are about; '' for another answer, which counts all runs."""
    plan = own_answer.get("plan")
    if not plan:
        return ""
    return (
        "confirmation" if any(stage["kind"] == "confirm" and stage["run_ids"] for stage in plan["stages"]) else "choice"
    )


def _failed_to_choose(own_answer: dict[str, Any]) -> str:
    """How many of the runs failed that chose the learning rate of a confirmation; '' for another answer."""
    if _stage(own_answer) != "confirmation":
        return ""
    rates = [row["failed"] for row in own_answer["grid"]]
    failed, total = sum(rate["count"] for rate in rates), sum(rate["total"] for rate in rates)
    return f"Before it, {failed} of {count(total, 'run')} of the choice failed to learn." if failed else ""


def _failed_where(own_answer: dict[str, Any]) -> str:
    """That runs fail only at the largest rates of a recommendation; '' for another answer, or if that is not so."""
    lr = own_answer.get("failing_from")
    if lr is None:
        return ""
    return (
        f"Runs failed only at lr {lr:.2g} or more, and every run at a smaller lr learned, so that lr may be too large."
    )


def _what_was_compared(parts: dict[str, Any]) -> str:
    counts, primary = parts["counts"], parts["primary"]
    pairs = sorted({arm["verdict"]["test"]["num_pairs"] for arm in parts["arms"] if arm["verdict"]["test"]})
    paired = f", {pairs[0]} to {pairs[-1]} pairs per comparison" if len(pairs) > 1 else ""
    if len(pairs) == 1 and pairs != [counts["seeds"]]:
        paired = f", {count(pairs[0], 'pair')} per comparison"
    margin = "no margin" if primary["margin"] is None else f"a margin of {primary['margin']:g}"
    better = "smaller" if primary["smaller_is_better"] else "larger"
    when = {True: "Stated in advance", False: "Stated after results were known", None: "The question"}
    return (
        f"{_runs(counts)}: {count(counts['arms'], 'combination')} at {count(counts['seeds'], 'seed')}{paired}. "
        f"{when[parts['stated_in_advance']]}: {primary['title']} ({better} is better), {margin}."
    )


def variance_sentence(split: dict[str, Any]) -> str:
    """How much of the variance of final quality lr and warmup explain; `split` as in `comparison.json`."""
    lr, warmup, interaction, rest = (f"{100 * split[part]:.0f} %" for part in ("lr", "warmup", "interaction", "rest"))
    return (
        f"Over lr {_span(split['lrs'], 'g')} and warmup {_span(split['warmup_percents'], '.3g')} %, lr explains {lr} "
        f"of the variance of {split['title']}, warmup {warmup}, their interaction {interaction}, the rest {rest}."
    )


def what_was_held_equal(warmups: Sequence[dict[str, Any]]) -> str:
    """A sentence on how warmups of several shapes compare in length and in T_eff; '' for a single shape.

    T_eff is the sum of 1 - warmup factor over the updates: what the warmup holds back. Warmups that were asked for with
    the same length are compared. Equal means within one update, because a length is a whole number of updates.

    Under a decay that starts at the end of the warmup, warmups of equal T_eff do not have the same sum of learning
    rates. So the sentence also gives `total_lr` if the rows have it: the sum of lr / peak lr over the run, in updates.
    """
    by_asked: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for one in warmups:
        by_asked.setdefault((one["asked"], one["total_steps"]), []).append(one)
    groups = [group for group in by_asked.values() if len({one["warmup"] for one in group}) > 1]
    shapes = list(dict.fromkeys(one["warmup"] for one in warmups))
    if len(shapes) < 2:
        return ""
    if not groups:
        return f" Warmups of {len(shapes)} shapes ({_listed(shapes)}) are not matched: no two were asked for alike."
    held = [shape for shape in shapes if any(one["warmup"] == shape for group in groups for one in group)]
    apart = [f"{one['warmup']} (T_eff {one['t_eff']:.4g})" for one in warmups if one["warmup"] not in held]
    others = f" Not matched: {_listed(apart)}." if apart else ""
    return f" Warmups of {len(held)} shapes ({_listed(held)}) {_matched_in(groups)}.{_total_lr(groups)}{others}"


def _total_lr(groups: Sequence[Sequence[dict[str, Any]]]) -> str:
    """The sum of the lr over the run, if it is known for all of them."""
    totals = [[one.get("total_lr") for one in group] for group in groups]
    if any(total is None for group in totals for total in group):
        return ""
    equal = all(max(group) - min(group) <= 1 for group in totals)  # type: ignore[type-var, operator]
    spans = "; ".join(_span(group, ".4g") for group in totals)  # type: ignore[arg-type]
    return f" Their total lr (sum of lr / peak lr over the run) is {'equal' if equal else 'not equal'}: {spans}."


def _matched_in(groups: Sequence[Sequence[dict[str, Any]]]) -> str:
    """Whether the warmups of each group are equal in T_eff, in length, or in neither."""
    spans = "; ".join(_span([one["t_eff"] for one in group], ".4g") for group in groups)
    if all(max(t) - min(t) <= 1 for t in ([one["t_eff"] for one in group] for group in groups)):
        return f"have equal T_eff (updates held back in all): {spans}"
    lengths = "; ".join(_span([one["warmup_steps"] for one in group], "d") for group in groups)
    if all(len({one["warmup_steps"] for one in group}) == 1 for group in groups):
        return f"have equal length ({lengths} updates) but different T_eff (updates held back in all): {spans}"
    return f"differ both in length ({lengths} updates) and in T_eff (updates held back in all): {spans}"


def _what_failed(counts: dict[str, Any], stage: str = "") -> str:
    of = f" of the {stage}" if stage else ""
    failed, diverged = counts["failed"], counts["diverged"]
    if not failed["total"]:
        text = "No run counts yet" if counts["early"] else "No run finished"
    elif not failed["count"]:
        text = f"Every finished run{of} learned"
    else:
        text = f"{failed['count']} of {count(failed['total'], 'finished run')}{of} failed to learn"
        text += f", {diverged['count']} of them by diverging" if diverged["count"] else ""
    return f"{text}{''.join(_left_out(counts))}."


def _left_out(counts: dict[str, Any]) -> list[str]:
    """Why runs do not count."""
    errors, unfinished, early = counts["errors"], counts["unfinished"], counts["early"]
    parts = []
    if errors:
        parts.append(f"; {count(errors, 'run')} ended in an error and {'is' if errors == 1 else 'are'} excluded")
    if unfinished:
        parts.append(f"; {count(unfinished, 'run')} {'has' if unfinished == 1 else 'have'} not ended")
    if early:
        why = "runs that diverge end first, so a run counts once a later one has made all of its updates"
        parts.append(f"; {early} more ended and {'does' if early == 1 else 'do'} not count yet ({why})")
    return parts


def smallest_sentences(found: list[dict[str, Any]]) -> list[str]:
    """The sentence of a single group of arms; for several groups, one sentence that gathers equal answers.

    Empty if no group has an answer.
    """
    if not any(one["arm"] for one in found):
        return []
    if len(found) == 1:
        return [found[0]["sentence"]]
    answers: dict[str, list[str]] = {}
    groups = [one for one in found if len(one["arms"]) > 1]
    for one in (one for one in groups if one["arm"]):
        answers.setdefault(f"{one['warmup_steps']} updates ({one['warmup_percent']:.3g} %)", []).append(one["family"])
    num_unknown = sum(one["arm"] is None for one in groups)
    if len(answers) == 1 and not num_unknown:
        ((answer, names),) = answers.items()
        return [f"Smallest warmup shown to be as good as the best, for each of {len(names)} sets of arms: {answer}."]
    parts = [f"{answer} for {_shortened(names)}" for answer, names in answers.items()]
    parts += [f"not known for {num_unknown} other set{'s' * (num_unknown != 1)} of arms"] if num_unknown else []
    return [f"Smallest warmup shown to be as good as the best: {'; '.join(parts)}."]


def _shortened(names: Sequence[str]) -> str:
    more = len(names) - _MAX_NAMES
    return ", ".join(names[:_MAX_NAMES]) + (f" and {more} more" if more > 0 else "")


def _span(values: Sequence[float], spec: str) -> str:
    low, high = f"{min(values):{spec}}", f"{max(values):{spec}}"
    return low if low == high else f"{low} to {high}"


def _listed(values: Sequence[Any]) -> str:
    return ", ".join(map(str, values))
