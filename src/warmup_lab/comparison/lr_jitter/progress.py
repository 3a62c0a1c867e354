"""What is known before all runs of the search have ended: in an interrupted sweep, and between its stages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from warmup_lab.comparison import count
from warmup_lab.comparison.lr_jitter.onset import JitterLr
from warmup_lab.comparison.lr_jitter.sentences import Findings, jitter_sentence, lr50_sentence
from warmup_lab.comparison.lr_jitter.survival import STARTS, Start, Trial


@dataclass(frozen=True)
class Progress:
    """Numbers of runs that are planned so far."""

    num_runs: int
    num_counted: int
    """Runs that have ended and count; see `counted_runs`."""
    num_unfinished: int
    num_ramps: int
    num_unfinished_ramps: int


def preliminary_headline(found: Findings, progress: Progress) -> str:
    """How many runs count, and where the ramps that do jitter; nothing is recommended."""
    head = f"Preliminary, {progress.num_counted} of {count(progress.num_runs, 'run')}: nothing is recommended before"
    return f"{head} all have ended. {known_jitter(found.jitter)}"


def known_jitter(jitter: JitterLr) -> str:
    """`So far the loss starts to jitter at lr 0.0035 (median of 7 ramps, 0.0026 to 0.0054).`"""
    num_read = jitter.num_seeds + jitter.num_unknown
    if jitter.median is None:
        return (
            f"So far {count(num_read, 'ramp')} ended, and {jitter.num_seeds - jitter.num_never} show where it jitters."
        )
    span = "" if jitter.low is None or jitter.high is None else f", {jitter.low:.2g} to {jitter.high:.2g}"
    return f"So far the loss starts to jitter at lr {jitter.median:.2g} (median of {count(num_read, 'ramp')}{span})."


def preliminary_sentences(found: Findings, progress: Progress) -> list[str]:
    """Counts and estimates. What every run survived is not said: some have not ended."""
    parts = [jitter_sentence(found.jitter)] if found.jitter.median and not progress.num_unfinished_ramps else []
    parts += [survival_sentence(found.trials)] if any(trial.survived.total for trial in found.trials) else []
    if found.gain.ratio is not None and found.gain.interval is not None:
        low, high = found.gain.interval
        seeds = count(len(found.gain.at_seeds), "seed")
        parts.append(
            f"The ratio of the usable lr with a {found.warmup.words} to that without is {found.gain.ratio:.3g} "
            f"[{low:.3g}, {high:.3g}] so far, over the {seeds} whose runs at every rate have ended."
        )
        parts.append(lr50_sentence(found.gain, found.warmup))
    return parts


def survival_sentence(trials: Sequence[Trial]) -> str:
    """`At a constant lr, cold runs survived so far: 12 of 12 at 0.000875, 3 of 4 at 0.00124; warmed runs: ...`."""
    parts = [part for start in STARTS if (part := _survived(trials, start))]
    return f"Runs that survived a constant lr so far: {'; '.join(parts)}."


def _survived(trials: Sequence[Trial], start: Start) -> str:
    own = [trial for trial in trials if trial.start == start and trial.survived.total]
    return f"{start} {', '.join(f'{trial.survivors_of_tried} at {trial.lr:.3g}' for trial in own)}" if own else ""
