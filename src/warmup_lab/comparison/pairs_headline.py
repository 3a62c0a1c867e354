"""The headline where no trend decides: what the comparisons of pairs show, or what would decide them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from warmup_lab.comparison.arms import WITHOUT_WARMUP, ArmSummary
from warmup_lab.comparison.failure_advice import remedy
from warmup_lab.comparison.more_seeds import more_seeds
from warmup_lab.comparison.naming import several_lrs
from warmup_lab.comparison.numbers import (
    capitalised,
    failure_counts,
    interval_text,
    p_text,
    percent_text,
    shown_levels,
)
from warmup_lab.comparison.sentences import before_first_look, count, ten_percent_subject
from warmup_lab.comparison.statistics import MIN_PAIRS
from warmup_lab.comparison.verdicts import AS_GOOD, FAVOURABLE, PHRASES, UNFAVOURABLE, Comparison, Verdict
from warmup_lab.schedules import warmup_title

_MIN_FOR_INTERVAL = 3
"""With 2 seeds, an interval says little more than that the spread is unknown."""


@dataclass(frozen=True)
class Words:
    """How the headline names what was compared."""

    subject: str
    """The reference: `10 % warmup`."""
    choice: str
    """What is undecided: `which of 3 warmup lengths is best`, the reference included."""
    name: Callable[[ArmSummary], str]
    """One of them: `no warmup`."""


def words_of(found: Comparison) -> Words:
    """Lengths of the warmup where nothing else was varied but lr, otherwise the names of the arms."""
    names = {
        name for verdict in found.verdicts if verdict.value in PHRASES for name in (verdict.arm, verdict.reference)
    }
    compared = [arm for arm in found.arms if arm.name in names]
    if not all_but_length_is_equal(compared):
        shapes = {warmup_title(arm.warmup) for arm in compared if arm.warmup_steps}
        subject = _subject(found, several_shapes=len(shapes) > 1)
        return Words(subject, f"which of {len(compared)} combinations is best", _own_name)
    rates, lengths = {arm.lr for arm in compared}, {arm.warmup_percent for arm in compared}
    exact = len({percent_text(length) for length in lengths}) < len(lengths)
    choice = f"which of {len(lengths)} warmup lengths is best"
    if len(lengths) == 2:
        first, second = dict.fromkeys(length_text(arm, exact=exact) for arm in compared)
        choice = f"whether {first} or {second} is better"
    if not several_lrs(rates):
        return Words(_subject(found), choice, partial(length_text, exact=exact))
    return Words(_subject(found), f"{choice} at {len(rates)} learning rates", partial(_length_and_lr, exact=exact))


def all_but_length_is_equal(arms: Sequence[ArmSummary]) -> bool:
    """Whether the arms differ only in the learning rate and in the length of the warmup."""
    shapes = {warmup_title(arm.warmup) for arm in arms if arm.warmup_steps}
    return len({_all_but_warmup_and_lr(arm) for arm in arms}) <= 1 and len(shapes) <= 1


def _all_but_warmup_and_lr(arm: ArmSummary) -> tuple[object, ...]:
    scheduler = arm.scheduler.lower()
    return WITHOUT_WARMUP.get(scheduler, scheduler), arm.total_steps, arm.setting


def _own_name(arm: ArmSummary) -> str:
    return arm.name


def length_text(arm: ArmSummary, *, exact: bool = False) -> str:
    """`10 % warmup`; in updates if `exact`, where percentages would look alike."""
    if not arm.warmup_steps:
        return "no warmup"
    return f"{arm.warmup_steps} updates of warmup" if exact else f"{percent_text(arm.warmup_percent)} warmup"


def _length_and_lr(arm: ArmSummary, *, exact: bool) -> str:
    return f"{length_text(arm, exact=exact)} at lr {arm.lr:g}"


def _subject(found: Comparison, *, several_shapes: bool = False) -> str:
    named = {verdict.reference for verdict in found.verdicts} - {None}
    references = [arm for arm in found.arms if arm.name in named]
    tenths = bool(references) and all(abs(arm.warmup_percent - 10) <= 2.5 for arm in references)
    if tenths or not references:
        shape = f"a {references[0].warmup} " if several_shapes and references else ""
        return f"{shape}{ten_percent_subject(found.arms, found.verdicts)}"
    return references[0].name if len(references) == 1 else "the reference"


# --------------------------------------------------------------------------------------------- headline


def is_tested(found: Comparison) -> bool:
    """Whether any arm was compared with another one."""
    return any(verdict.value in PHRASES for verdict in found.verdicts)


def pairs_headline(found: Comparison, words: Words | None = None) -> str:
    """One to three sentences: the claim, the numbers behind it, and what would decide what is open."""
    tested = [verdict for verdict in found.verdicts if verdict.value in PHRASES]
    words = words or words_of(found)
    subject = sentence_case(words.subject)
    if not tested:
        reasons = sorted({verdict.reason for verdict in found.verdicts if verdict.reason}) or ["nothing else was tried"]
        return f"Nothing can be concluded about {words.subject}: {'; '.join(reasons)}."
    better = [verdict for verdict in tested if verdict.value in FAVOURABLE]
    worse = [verdict for verdict in tested if verdict.value in UNFAVOURABLE]
    if better:
        return _better(better, worse, found, words)
    is_all = all(verdict.value != "no_reference" for verdict in found.verdicts)
    if worse and len(worse) == len(tested):
        others = "everything else" if is_all else "everything else that was compared with it"
        return f"Use {words.subject}: {others} is worse. {sentence_case(verdict_text(worse[0], found, words))}."
    if all(verdict.value in AS_GOOD for verdict in tested):
        others = "that was tried" if is_all else "that was compared with it"
        return f"{subject} is as good as everything else {others}: {_within(tested, found)}."
    if all(verdict.value == "both_fail" for verdict in tested):
        return _all_fail(found)
    if worse:
        text = f"Nothing else is shown to be better than {words.subject}: {verdict_text(worse[0], found, words)}."
        return text + _others(worse, found, words) + _what_is_open(found, tested, words)
    return f"Undecided: {_undecided(found, tested, words)}"


def _better(better: Sequence[Verdict], worse: Sequence[Verdict], found: Comparison, words: Words) -> str:
    """What is better than the reference; with several learning rates also where, and where it is worse."""
    text, shown = verdict_text(better[0], found, words), _others(better, found, words)
    arm = found.arm(better[0].arm)
    opposite = [one for one in worse if found.arm(one.arm).same_but_lr == arm.same_but_lr]
    if opposite and all(differ_in_length(found, one) for one in (better[0], opposite[0])):
        return f"It depends on the learning rate: {text}, but {verdict_text(opposite[0], found, words)}.{shown}"
    lrs = several_lrs(found.arm(one.arm).lr for one in found.verdicts if one.value in PHRASES)
    where = f" at lr {arm.lr:g}" if lrs and differ_in_length(found, better[0]) and arm.lr is not None else ""
    return f"{sentence_case(words.subject)} is not the best choice{where}: {text}.{shown}"


def differ_in_length(found: Comparison, verdict: Verdict) -> bool:
    """Whether the arm and its reference have warmups of different lengths at one learning rate."""
    if verdict.reference is None:
        return False
    arm, reference = found.arm(verdict.arm), found.arm(verdict.reference)
    return arm.lr == reference.lr and arm.warmup_steps != reference.warmup_steps


def sentence_case(text: str) -> str:
    """With a capital letter, unless the text begins with a number or the name of an arm."""
    return capitalised(text) if text.startswith(("a ", "no ")) else text


def _all_fail(found: Comparison) -> str:
    advice = remedy(found.arms)
    assert advice is not None
    return f"{advice.text}: most runs failed to learn with every combination tried, and {advice.why}."


def verdict_text(verdict: Verdict, found: Comparison, words: Words) -> str:
    """`X failed to learn in 5 of 12 runs, Y in 0 of 12` or `X is worse than Y (eval_loss +0.117 [0.043, 0.191])`."""
    arm, reference = (found.arm(name) for name in (verdict.arm, verdict.reference))
    first, second = words.name(arm), words.name(reference)
    if verdict.value in ("fails_more", "fails_less"):
        return (
            f"{first} failed to learn in {arm.failed.count} of {arm.failed.total} runs, {second} in "
            f"{reference.failed.count} of {reference.failed.total} (p = {p_text(verdict.p_failed_holm or 0.0)})"
        )
    test = verdict.test
    assert test is not None
    difference = "" if test.difference is None else f" {test.difference:+.3g}{interval_text(test.interval_95, '+.3g')}"
    where = " where both learned" if difference and test.rank_difference is not None else ""
    p = "" if verdict.p_holm is None else f", p = {p_text(verdict.p_holm)}"
    return f"{first} {PHRASES[verdict.value][0]} {second} ({found.metric}{difference}{where}{p})"


def _others(verdicts: Sequence[Verdict], found: Comparison, words: Words) -> str:
    """The arms with the same verdict as the first."""
    others = [words.name(found.arm(one.arm)) for one in verdicts[1:] if one.value == verdicts[0].value]
    if not others:
        return ""
    return f" The same holds for {', '.join(others[:3])}{' and others' * (len(others) > 3)}."


def _within(tested: Sequence[Verdict], found: Comparison) -> str:
    failed = [arm.failed for arm in found.arms]
    total = sum(rate.total for rate in failed)
    text = f"{found.metric} differs by less than {found.margin:g}"
    if sum(rate.count for rate in failed):
        return f"{text}, and the share of failed runs by less than {100 * found.failure_margin:.0f} percentage points"
    bound = max((verdict.excess_failures or 0.0 for verdict in tested), default=0.0)
    return (
        f"{text}. None of {total} runs failed, which excludes a failure rate more than "
        f"{100 * bound:.0f} percentage points higher"
    )


# ----------------------------------------------------------------------------------------- what is open


def _undecided(found: Comparison, tested: Sequence[Verdict], words: Words) -> str:
    if found.looks and not found.look:
        return f"{before_first_look(found.looks[0])}."
    pairs = [verdict.test.num_pairs for verdict in tested if verdict.test is not None]
    if pairs and max(pairs) < MIN_PAIRS:
        return f"{count(max(pairs), 'seed')}, and a test needs {MIN_PAIRS}.{_failures_so_far(found)}"
    seeds = count(max(pairs, default=0), "seed")
    good = sum(verdict.value in AS_GOOD for verdict in tested)
    text = f"{seeds} do not show {_choice(found, tested, words)}."
    if good:
        verb = "is" if good == 1 else "are"
        text += f" {good} of {len(tested)} {verb} as good as {words.subject} ({found.metric} within {found.margin:g})."
    few = [one for one in tested if one.test is not None and one.test.num_pairs < MIN_PAIRS]
    if few and few[0].test is not None:
        name = sentence_case(words.name(found.arm(few[0].arm)))
        text += f" {name} ended at {count(few[0].test.num_pairs, 'seed')} only, and a test needs {MIN_PAIRS}."
    return text + _what_is_open(found, tested, words)


def _choice(found: Comparison, tested: Sequence[Verdict], words: Words) -> str:
    if len(tested) == 1:
        first, second = (words.name(found.arm(name)) for name in (tested[0].arm, tested[0].reference))
        return f"whether {first} or {second} is better"
    return words.choice


def _what_is_open(found: Comparison, tested: Sequence[Verdict], words: Words) -> str:
    """The range of the differences that are undecided, the failures, and the seeds that would decide them."""
    return f"{_range(found, tested, words)}{_failures_so_far(found)}{_seeds(found)}"


def _range(found: Comparison, tested: Sequence[Verdict], words: Words) -> str:
    open_ = [verdict for verdict in tested if verdict.value == "inconclusive" and verdict.test is not None]
    tests = [verdict.test for verdict in open_ if verdict.test is not None]
    ends = [test.interval_95 for test in tests if test.interval_95 and test.num_pairs >= _MIN_FOR_INTERVAL]
    if not ends:
        return ""
    low, high = min(end[0] for end in ends), max(end[1] for end in ends)
    whose = (
        words.name(found.arm(open_[0].arm)) if len(open_) == 1 else "the others" if len(open_) == len(tested) else ""
    )
    whose = whose or f"{len(open_)} others"
    where = " where both learned" if any(test.rank_difference is not None for test in tests) else ""
    return (
        f" The {found.metric} of {whose} may differ from that of {words.subject} by {low:+.2g} to {high:+.2g}{where}."
    )


def _seeds(found: Comparison) -> str:
    sentence = more_seeds(found).sentence("at each learning rate" if several_lrs(arm.lr for arm in found.arms) else "")
    return f" {sentence}" if sentence else ""


def _failures_so_far(found: Comparison) -> str:
    """The failures of the shortest length, of about 10 % and of the longest; '' if none failed, or most with each."""
    shares = [level.failed.share for level in found.levels]
    if not any(shares) or min(shares) > 0.5:
        return ""
    tenth = min(found.levels, key=lambda level: abs(level.warmup_percent - 10))
    return f" {failure_counts(shown_levels(found.levels, tenth))}."
