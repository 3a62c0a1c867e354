"""The result of a sweep of ramps and constant rates: the section `lr_jitter` of `comparison.json`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from warmup_lab.comparison import Sweep, Trace, log_median, mean_interval, wilson
from warmup_lab.comparison.lr_jitter.advice import recommend
from warmup_lab.comparison.lr_jitter.gain import warmup_gain
from warmup_lab.comparison.lr_jitter.onset import Onset, bin_by_lr, find_onset, median_jitter_lr
from warmup_lab.comparison.lr_jitter.sentences import (
    Warmup,
    definition,
    gain_sentence,
    headline,
    jitter_sentence,
    limits_sentence,
    lr50_sentence,
    ramp_sentence,
)
from warmup_lab.comparison.lr_jitter.survival import STARTS, Start, Trial, largest_surviving, nearest_multiple
from warmup_lab.runs import is_finished
from warmup_lab.system import to_json

RAMP = "exponentialramp"
_NUM_BINS = 16
_SAME_IN_ALL_RAMPS = ["lr", "total_steps", "task", "model", "optimizer"]


def jitter_section(sweep: Sweep) -> dict[str, Any] | None:
    """The section; None for a sweep without probed ramps, or with ramps that differ in more than their seed.

    Cold runs are those of `constantlr`, warmed runs those of `warmupconstant` with a warmup above 0.
    """
    runs = sweep.runs[sweep.runs["status"].map(is_finished).astype(bool)]
    ramps = _probed_ramps(runs, sweep.traces)
    if ramps.empty or len(ramps[_SAME_IN_ALL_RAMPS].drop_duplicates()) > 1 or ramps["seed"].duplicated().any():
        return None
    onsets = _onsets(ramps, sweep.traces)
    jitter = median_jitter_lr(list(onsets.values()))
    trials = _trials(runs, jitter.median) if jitter.median else []
    largest = {start: largest_surviving(trials, start) for start in STARTS}
    gain = warmup_gain(trials)
    advice = recommend(jitter.median, jitter.reason, trials)
    break_lrs = _break_lrs(ramps, sweep.traces)
    total_steps = int(ramps["total_steps"].iloc[0])
    warmup = Warmup(max((trial.warmup_steps for trial in trials), default=0), total_steps)
    sentences = [gain_sentence(gain, warmup, sweep.command), lr50_sentence(gain, warmup)] if trials else []
    sentences += [jitter_sentence(jitter)] if jitter.median is not None else []
    sentences += [advice.lr_reason, advice.warmup_reason] if advice.lr is not None else []
    sentences += advice.cautions
    sentences += [limits_sentence(largest, trials), ramp_sentence(break_lrs, largest["cold"])] if trials else []
    section = {
        "headline": headline(advice, gain, warmup),
        "sentences": [sentence for sentence in sentences if sentence],
        "definition": definition(next(iter(onsets.values())), total_steps),
        "recommendation": advice,
        "jitter_lr": jitter,
        "gain": gain,
        "largest_lr": largest,
        "ramp_break_lr": {"median": log_median(break_lrs), "seeds": break_lrs},
        "trials": [_trial_row(trial) for trial in trials],
        "ramps": [
            {"run_id": run, "seed": int(seed), "break_lr": break_lr} | onset.to_dict()
            for (run, onset), seed, break_lr in zip(onsets.items(), ramps["seed"], break_lrs, strict=True)
        ],
        "curves": _curves(ramps, sweep.traces),
    }
    return to_json(section)  # type: ignore[no-any-return]


# ---------------------------------------------------------------------------------------------- ramps


def _probed_ramps(runs: pd.DataFrame, traces: Mapping[str, Trace]) -> pd.DataFrame:
    """The ramps that have an overshoot probe, in the order of their seeds."""
    probed = [run in traces and "overshoot" in traces[run] for run in runs["run_id"]]
    return runs[(runs["scheduler"] == RAMP) & np.array(probed, dtype=bool)].sort_values("seed")


def _onsets(ramps: pd.DataFrame, traces: Mapping[str, Trace]) -> dict[str, Onset]:
    """The start of the jitter in each ramp, by run id."""
    return {
        run: find_onset(traces[run]["overshoot"], traces[run]["lr"], total_steps=total_steps)
        for run, total_steps in zip(ramps["run_id"], ramps["total_steps"].tolist(), strict=True)
    }


def _break_lrs(ramps: pd.DataFrame, traces: Mapping[str, Trace]) -> list[float | None]:
    """The lr at which each ramp's loss had risen by more than its noise, or diverged; None if it did neither."""
    last_lrs = [float(traces[run]["lr"][-1]) for run in ramps["run_id"]]
    return [
        float(onset) if np.isfinite(onset) else last_lr if status == "diverged" else None
        for onset, status, last_lr in zip(ramps["whole/onset_lr"], ramps["status"], last_lrs, strict=True)
    ]


def _curves(ramps: pd.DataFrame, traces: Mapping[str, Trace]) -> list[dict[str, Any]]:
    """Share of overshoots with its 95 % Wilson interval, and median loss, over the lr: for all seeds and for each."""
    drawn = [traces[run] for run in ramps["run_id"]]
    lowest, highest = min(float(t["lr"][0]) for t in drawn), max(float(t["lr"][-1]) for t in drawn)
    edges = np.geomspace(lowest * 0.999, highest * 1.001, _NUM_BINS + 1)
    pooled = {name: np.concatenate([trace[name] for trace in drawn]) for name in ("overshoot", "loss", "lr")}
    middles = np.sqrt(edges[1:] * edges[:-1]).tolist()
    groups = {None: pooled} | dict(zip(map(int, ramps["seed"]), drawn, strict=True))
    return [
        {
            "seed": seed, "lr": middle, "overshoots": count, "probed": total, "share": count / total if total else None,
            "low": wilson(count, total).low, "high": wilson(count, total).high, "loss": loss,
        }
        for seed, trace in groups.items()
        for middle, (count, total, loss) in zip(
            middles, bin_by_lr(trace["overshoot"], trace["loss"], trace["lr"], edges.tolist()), strict=True
        )
    ]  # fmt: skip


# -------------------------------------------------------------------------------------- constant rates


def _trials(runs: pd.DataFrame, jitter_lr: float) -> list[Trial]:
    """The constant rates in rising order, cold before warmed."""
    cold = runs["scheduler"] == "constantlr"
    warmed = (runs["scheduler"] == "warmupconstant") & (runs["warmup_steps"] > 0)
    starts: dict[Start, pd.DataFrame] = {"cold": runs[cold], "warmed": runs[warmed]}
    found = [
        _trial(start, group, jitter_lr)
        for start, table in starts.items()
        for _, group in table.groupby(["lr", "warmup_steps"])
    ]
    return sorted(found, key=lambda trial: (trial.lr, trial.start))


def _trial(start: Start, runs: pd.DataFrame, jitter_lr: float) -> Trial:
    """The runs of one rate, one start and one warmup."""
    lr = float(runs["lr"].iloc[0])
    good = runs[(runs["status"] == "completed") & ~runs["failed_to_learn"].astype(bool)]
    losses = {int(seed): float(loss) for seed, loss in zip(good["seed"], good["eval_loss"], strict=True)}
    return Trial(
        start=start,
        lr=lr,
        multiple=nearest_multiple(lr, jitter_lr),
        warmup_steps=int(runs["warmup_steps"].iloc[0]),
        survived=wilson(len(good), len(runs)),
        survivors=tuple(losses),
        tried=tuple(map(int, runs["seed"])),
        eval_loss=losses,
    )


def _trial_row(trial: Trial) -> dict[str, Any]:
    losses = np.array(list(trial.eval_loss.values()))
    mean = float(losses.mean()) if losses.size else None
    more = {"share": trial.survived.share, "eval_loss_mean": mean, "eval_loss_interval": mean_interval(losses)}
    return trial.to_dict() | to_json(more)  # type: ignore[no-any-return]
