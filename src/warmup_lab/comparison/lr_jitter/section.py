"""The result of a sweep of ramps and constant rates: the section `lr_jitter` of `comparison.json`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from warmup_lab.comparison import UNFINISHED, Sweep, Trace, counted_runs, log_median, mean_interval, wilson
from warmup_lab.comparison.lr_jitter.advice import no_recommendation, recommend
from warmup_lab.comparison.lr_jitter.climb import climb_reason, loss_climb
from warmup_lab.comparison.lr_jitter.gain import open_gain, warmup_gain
from warmup_lab.comparison.lr_jitter.onset import Onset, bin_by_lr, find_onset, median_jitter_lr
from warmup_lab.comparison.lr_jitter.progress import Progress, preliminary_headline, preliminary_sentences
from warmup_lab.comparison.lr_jitter.sentences import Findings, definition, headline, sentences
from warmup_lab.comparison.lr_jitter.survival import Start, Trial, nearest_multiple
from warmup_lab.runs import is_finished
from warmup_lab.system import to_json

RAMP = "exponentialramp"
_NUM_BINS = 16
_NOT_ENDED = "runs have not ended"
_SAME_IN_ALL_RAMPS = ["lr", "total_steps", "task", "model", "optimizer"]


def jitter_section(sweep: Sweep) -> dict[str, Any] | None:
    """The section; None for a sweep without probed ramps, or with ramps that differ in more than their seed.

    Cold runs are those of `constantlr`, warmed runs those of `warmupconstant` with a warmup above 0.
    """
    counted = counted_runs(sweep.runs)
    runs = counted[counted["status"].map(is_finished).astype(bool)]
    ramps = _probed_ramps(runs, sweep.traces)
    if ramps.empty or len(ramps[_SAME_IN_ALL_RAMPS].drop_duplicates()) > 1 or ramps["seed"].duplicated().any():
        return None
    onsets = _onsets(ramps, sweep.traces)
    total_steps, break_lrs = int(ramps["total_steps"].iloc[0]), _break_lrs(ramps, sweep.traces)
    curves = _curves(ramps, sweep.traces)
    climb = loss_climb(break_lrs, curves)
    jitter = median_jitter_lr(list(onsets.values()))
    if jitter.median is None and climb.explains(jitter):
        jitter = replace(jitter, reason=climb_reason(climb, jitter, total_steps))
    trials = _trials(counted, jitter.median) if jitter.median else []
    found = Findings(jitter, trials, warmup_gain(trials), break_lrs, total_steps, sweep.command)
    progress = _progress(counted)
    if progress.num_unfinished:
        advice, found = no_recommendation(_NOT_ENDED), replace(found, gain=open_gain(found.gain, _NOT_ENDED))
        words = {"headline": preliminary_headline(found, progress), "sentences": preliminary_sentences(found, progress)}
    else:
        advice = recommend(jitter.median, jitter.reason, trials)
        words = {"headline": headline(advice, found.gain, found.warmup), "sentences": sentences(advice, found)}
    section = words | {
        "definition": definition(next(iter(onsets.values())), total_steps),
        "recommendation": advice,
        "jitter_lr": jitter,
        "gain": found.gain,
        "largest_lr": found.largest,
        "ramp_break_lr": {"median": log_median(break_lrs), "seeds": break_lrs},
        "climb": climb,
        "trials": [_trial_row(trial) for trial in trials if trial.survived.total],
        "ramps": [
            {"run_id": run, "seed": int(seed), "break_lr": break_lr} | onset.to_dict()
            for (run, onset), seed, break_lr in zip(onsets.items(), ramps["seed"], break_lrs, strict=True)
        ],
        "curves": curves,
    }
    return to_json(section)  # type: ignore[no-any-return]


def _progress(counted: pd.DataFrame) -> Progress:
    """How many runs count, of all runs and of the ramps."""
    is_ramp, unfinished = counted["scheduler"] == RAMP, counted["status"] == UNFINISHED
    finished = counted["status"].map(is_finished).astype(bool)
    return Progress(
        len(counted), int(finished.sum()), int(unfinished.sum()), int(is_ramp.sum()), int((is_ramp & unfinished).sum())
    )


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
    """The constant rates in rising order, cold before warmed; also rates at which no run has ended."""
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
    lr, finished = float(runs["lr"].iloc[0]), runs[runs["status"].map(is_finished).astype(bool)]
    good = runs[(runs["status"] == "completed") & ~runs["failed_to_learn"].astype(bool)]
    guess_loss = runs["guess_loss"].dropna()
    losses = {int(seed): float(loss) for seed, loss in zip(good["seed"], good["eval_loss"], strict=True)}
    return Trial(
        start=start,
        lr=lr,
        multiple=nearest_multiple(lr, jitter_lr),
        warmup_steps=int(runs["warmup_steps"].iloc[0]),
        survived=wilson(len(good), len(finished)),
        survivors=tuple(losses),
        tried=tuple(map(int, finished["seed"])),
        eval_loss=losses,
        num_unfinished=int((runs["status"] == UNFINISHED).sum()),
        guess_loss=float(guess_loss.median()) if len(guess_loss) else None,
    )


def _trial_row(trial: Trial) -> dict[str, Any]:
    losses = np.array(list(trial.eval_loss.values()))
    mean = float(losses.mean()) if losses.size else None
    more = {"share": trial.survived.share, "eval_loss_mean": mean, "eval_loss_interval": mean_interval(losses)}
    return trial.to_dict() | to_json(more)  # type: ignore[no-any-return]
