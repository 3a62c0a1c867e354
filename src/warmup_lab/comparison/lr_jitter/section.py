"""What a sweep of ramps and constant rates came to: the section `lr_jitter` of `comparison.json`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from warmup_lab.comparison import Sweep, mean_interval, wilson
from warmup_lab.comparison.lr_jitter.advice import (
    MULTIPLES,
    Gain,
    Largest,
    Recommendation,
    Start,
    Trial,
    gain,
    largest_surviving,
    recommend,
)
from warmup_lab.comparison.lr_jitter.onset import (
    CONFIDENCE,
    WINDOW_SHARE,
    JitterRate,
    Onset,
    binned,
    find_onset,
    over_seeds,
)
from warmup_lab.runs import FINISHED
from warmup_lab.system import to_json

RAMP = "exponentialramp"
_NUM_BINS = 16
_ONE_QUESTION = ["lr", "total_steps", "task", "model", "optimizer"]


def jitter_section(sweep: Sweep) -> dict[str, Any] | None:
    """The section; None for a sweep without probed ramps, or with ramps that differ in more than their seed.

    Cold runs are those of `constantlr`, warmed ones those of `warmupconstant` with a warmup above 0.
    """
    runs = sweep.runs[sweep.runs["status"].isin(FINISHED)]
    probed = [run in sweep.traces and "overshoot" in sweep.traces[run] for run in runs["run_id"]]
    ramps = runs[(runs["scheduler"] == RAMP) & np.array(probed, dtype=bool)].sort_values("seed")
    if ramps.empty or len(ramps[_ONE_QUESTION].drop_duplicates()) > 1 or ramps["seed"].duplicated().any():
        return None
    onsets = {
        row["run_id"]: find_onset(
            sweep.traces[row["run_id"]]["overshoot"],
            sweep.traces[row["run_id"]]["lr"],
            total_steps=row["total_steps"],
        )
        for row in ramps.to_dict("records")
    }
    rate = over_seeds(list(onsets.values()))
    trials = _trials(runs, rate.median) if rate.median else []
    largest: dict[Start, Largest] = {start: largest_surviving(trials, start) for start in ("cold", "warmed")}
    found, advice = gain(trials, largest["cold"], largest["warmed"]), recommend(rate.median, rate.reason, trials)
    broke = _break_lrs(ramps, sweep)
    section = {
        "headline": _headline(rate, advice),
        "sentences": _sentences(rate, advice, found, largest, trials, broke),
        "definition": _definition(next(iter(onsets.values())), int(ramps["total_steps"].iloc[0])),
        "recommendation": advice,
        "jitter_lr": rate,
        "gain": found,
        "largest_lr": largest,
        "ramp_break_lr": {"median": _median(broke), "seeds": broke},
        "trials": [_trial_row(trial) for trial in trials],
        "ramps": [
            {"run_id": run, "seed": int(seed), "break_lr": end} | onset.to_dict()
            for (run, onset), seed, end in zip(onsets.items(), ramps["seed"], broke, strict=True)
        ],
        "curves": _curves(ramps, sweep),
    }
    return to_json(section)  # type: ignore[no-any-return]


def _trials(runs: pd.DataFrame, jitter_lr: float) -> list[Trial]:
    """The constant rates, in rising order, cold before warmed."""
    cold = runs["scheduler"] == "constantlr"
    warmed = (runs["scheduler"] == "warmupconstant") & (runs["warmup_steps"] > 0)
    starts: dict[Start, pd.DataFrame] = {"cold": runs[cold], "warmed": runs[warmed]}
    found = [
        _trial(start, float(group["lr"].iloc[0]), int(group["warmup_steps"].iloc[0]), group, jitter_lr)
        for start, table in starts.items()
        for _, group in table.groupby(["lr", "warmup_steps"])
    ]
    return sorted(found, key=lambda trial: (trial.lr, trial.start))


def _trial(start: Start, lr: float, warmup_steps: int, runs: pd.DataFrame, jitter_lr: float) -> Trial:
    good = runs[(runs["status"] == "completed") & ~runs["failed_to_learn"].astype(bool)]
    losses = {int(seed): float(loss) for seed, loss in zip(good["seed"], good["eval_loss"], strict=True)}
    multiple = next((known for known in MULTIPLES if math.isclose(lr / jitter_lr, known, rel_tol=0.02)), lr / jitter_lr)
    return Trial(
        start, lr, multiple, warmup_steps, wilson(len(good), len(runs)), tuple(losses), tuple(map(int, runs["seed"])),
        losses,
    )  # fmt: skip


def _trial_row(trial: Trial) -> dict[str, Any]:
    losses = np.array(list(trial.eval_loss.values()))
    mean = float(losses.mean()) if losses.size else None
    more = {"share": trial.survived.share, "eval_loss_mean": mean, "eval_loss_interval": mean_interval(losses)}
    return trial.to_dict() | to_json(more)  # type: ignore[no-any-return]


def _break_lrs(ramps: pd.DataFrame, sweep: Sweep) -> list[float | None]:
    """The lr at which each ramp's loss had climbed back 0.1 ln C, or diverged; None where it did neither."""
    ends = [float(sweep.traces[run]["lr"][-1]) for run in ramps["run_id"]]
    return [
        float(onset) if np.isfinite(onset) else end if status == "diverged" else None
        for onset, status, end in zip(ramps["whole/onset_lr"], ramps["status"], ends, strict=True)
    ]


def _median(rates: Sequence[float | None]) -> float | None:
    """Of rates on a logarithmic scale, one that is missing being above all; None where that is the median."""
    with np.errstate(invalid="ignore"):
        middle = float(np.median([math.inf if rate is None else math.log(rate) for rate in rates]))
    return math.exp(middle) if math.isfinite(middle) else None


def _curves(ramps: pd.DataFrame, sweep: Sweep) -> list[dict[str, Any]]:
    """Overshoot with its 95 % Wilson interval and the median loss over the lr, for all seeds and for each."""
    traces = [sweep.traces[run] for run in ramps["run_id"]]
    lowest, highest = min(float(t["lr"][0]) for t in traces), max(float(t["lr"][-1]) for t in traces)
    edges = np.geomspace(lowest * 0.999, highest * 1.001, _NUM_BINS + 1)
    pooled = {name: np.concatenate([trace[name] for trace in traces]) for name in ("overshoot", "loss", "lr")}
    middles = np.sqrt(edges[1:] * edges[:-1]).tolist()
    groups = {None: pooled} | dict(zip(map(int, ramps["seed"]), traces, strict=True))
    return [
        {
            "seed": seed, "lr": middle, "overshoots": count, "probed": total, "share": count / total if total else None,
            "low": wilson(count, total).low, "high": wilson(count, total).high, "loss": loss,
        }
        for seed, trace in groups.items()
        for middle, (count, total, loss) in zip(
            middles, binned(trace["overshoot"], trace["loss"], trace["lr"], edges.tolist()), strict=True
        )
    ]  # fmt: skip


# ---------------------------------------------------------------------------------------------- in sentences


def _headline(rate: JitterRate, advice: Recommendation) -> str:
    if advice.lr is None:
        return advice.lr_reason
    warmup = f"a warmup of {advice.warmup_steps} updates" if advice.warmup_steps else "no warmup"
    return f"Recommended: lr {advice.lr:.3g} with {warmup}. The loss starts to jitter at lr {rate.median:.2g}."


def _sentences(
    rate: JitterRate,
    advice: Recommendation,
    found: Gain,
    largest: dict[Start, Largest],
    trials: Sequence[Trial],
    broke: Sequence[float | None],
) -> list[str]:
    """The evidence in plain words: where the jitter starts, what to do and why, what warmup buys."""
    said = [_jitter_sentence(rate)] if rate.median is not None else []
    said += [advice.lr_reason, advice.warmup_reason] if advice.lr is not None else []
    said += advice.cautions
    if trials:
        said += [_limits_sentence(largest, trials), found.sentence, _ramp_sentence(broke, largest["cold"])]
    return said


def _jitter_sentence(rate: JitterRate) -> str:
    never = f", {rate.num_never} of them without jitter" if rate.num_never else ""
    unknown = f"; {rate.num_unknown} more say nothing" if rate.num_unknown else ""
    assert rate.low is not None
    assert rate.high is not None
    return (
        f"Along a ramp, updates start to raise the loss on their own batch more often than at a low lr from "
        f"{rate.median:.2g} on: median of {rate.num_seeds} seeds ({rate.low:.2g} to {rate.high:.2g}{never}{unknown}). "
        "The ramp is itself a warmup, so this rate was reached slowly."
    )


def _limits_sentence(largest: dict[Start, Largest], trials: Sequence[Trial]) -> str:
    steps = ", ".join(map(str, sorted({trial.warmup_steps for trial in trials if trial.start == "warmed"})))
    said = []
    for start, words in (("cold", "without warmup"), ("warmed", f"with a warmup of {steps} updates")):
        limit = largest[start]  # type: ignore[index]
        edge = ", the largest tried" if limit.at_edge else ""
        said.append(f"{words} up to lr {limit.lr:.3g}{edge}" if limit.lr else f"{words} at no lr that was tried")
    sizes = sorted({trial.survived.total for trial in trials})
    low = wilson(sizes[0], sizes[0]).low
    bound = f" (even {sizes[0]} of {sizes[0]} leaves a survival rate down to {100 * low:.0f} % possible)" if low else ""
    return f"At a constant lr all runs survived {', and '.join(said)}{bound}."


def _ramp_sentence(broke: Sequence[float | None], cold: Largest) -> str:
    middle = _median(broke)
    if middle is None:
        return "In most ramps the loss never climbed back by 0.1 ln C, so the rate at which a ramp breaks is not known."
    times = f", {middle / cold.lr:.2g} times the largest lr that survived cold" if cold.lr else ""
    return f"The ramps themselves broke (loss up again by 0.1 ln C, or diverged) at a median lr of {middle:.2g}{times}."


def _definition(onset: Onset, total_steps: int) -> str:
    return (
        f"A window of {100 * WINDOW_SHARE:.0f} % of the probed updates ({onset.window_size}) slides over the ramp's "
        f"{total_steps} updates. It stands out when the one-sided {100 * CONFIDENCE:g} % lower Wilson bound of its "
        "share of overshoots is above the one-sided upper bound of the low-lr rate, which is that of the calmest "
        f"quarter of the ramp before it ({onset.low_total} probed updates). The jitter starts at the first overshoot "
        "of the first such window. With constant rates 5 % of ramps at most raise a false alarm (simulated). A run "
        "survived that neither diverged nor failed to learn."
    )
