"""Training logs of other programs as the folder of a sweep."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from warmup_lab.config import CompareConfig
from warmup_lab.library.logged_run import LoggedRun, read_log
from warmup_lab.metrics import positive_entropy
from warmup_lab.plan import digest_of
from warmup_lab.runs import Guessing, TrainingLog, write_logged_run
from warmup_lab.sweeps import Job
from warmup_lab.system import write_json


def import_runs(
    runs: Iterable[LoggedRun],
    folder: str | os.PathLike[str],
    *,
    entropy: float,
    majority_accuracy: float | None = None,
    metric: str | None = None,
    margin: float | None = None,
) -> Path:
    """Writes training logs of other programs as the folder of a sweep, which `warmup-lab report` and `load_runs` read.

    - A run *completed* if its log reaches `total_steps`; a last row of fewer updates may be missing. It *diverged* if
      it logged a loss that is not finite, or if it says so. Other logs are *errors*, and left out of comparisons.
    - A run *failed to learn* if the median loss of the last 10 % of its rows is at least 95 % of `entropy`, or if it
      diverged.
    - Oscillation needs a log with one row per update. Other logs give failures, final losses and usable learning rates.

    Args:
        runs: The runs. Settings and seed must differ between any two.
        folder: Where to write. The sweep has only these runs; those that were imported before are replaced.
        entropy: Entropy of the training labels in nats: the loss of guessing (log(C) for C balanced classes).
        majority_accuracy: Accuracy of always answering the most frequent label. A failed run counts as this
            where accuracies are compared.
        metric: Primary metric. Default: `eval_loss`, or `train_loss` if no log has that.
        margin: Largest difference of the metric that does not matter.

    Returns:
        `folder`.

    Raises:
        ValueError: a log or a setting is wrong; the message names the run.
    """
    directory, guessing = Path(folder), Guessing(positive_entropy(entropy), majority_accuracy)
    read = [(job_of(run), read_named(run)) for run in runs]
    if not read:
        raise ValueError("there are no runs to import")
    run_id, times = Counter(job.run_id for job, _ in read).most_common(1)[0]
    if times > 1:
        name = next(job.name for job, _ in read if job.run_id == run_id)
        raise ValueError(f"{times} runs have the settings and the seed of {name}: add what differs to their settings")
    has_eval_loss = any("loss" in log.evals.columns for _, log in read)
    compare = CompareConfig(metric=metric or ("eval_loss" if has_eval_loss else "train_loss"), margin=margin)
    study = directory.resolve().name
    for job, log in read:
        header = {"run_id": job.run_id, "study": study, "strategy": job.strategy}
        write_logged_run(directory / job.run_id, header, log, guessing)
    value = {
        "schema": 1,
        "study": study,
        "command": "",
        "compare": asdict(compare),
        "jobs": [asdict(job) for job, _ in read],
    }
    write_json(directory / "sweep.json", value, durable=True)
    return directory


def read_named(run: LoggedRun) -> TrainingLog:
    """`read_log`, with the name of the run in its errors."""
    try:
        return read_log(run)
    except ValueError as error:
        raise ValueError(f"{run_name(run)}: {error}") from error


def job_of(run: LoggedRun) -> Job:
    """The entry of `sweep.json`."""
    strategy, settings = run.strategy(), {key: str(value) for key, value in run.settings.items()}
    arm = {key: value for key, value in strategy.items() if key != "seed"} | {"settings": settings}
    overrides = {
        "task": run.task,
        "model": run.model,
        "scheduler": run.scheduler,
        "warmup_steps": run.warmup_steps,
        "optimizer": run.optimizer,
        "optimizer.lr": f"{run.lr:g}",
        **settings,
        "seed": run.seed,
    }
    return Job(
        overrides=[f"{key}={value}" for key, value in overrides.items()],
        run_id=digest_of(arm | {"seed": run.seed}),
        name=run_name(run),
        arm_id=digest_of(arm),
        strategy=strategy,
        asked=f"{100 * run.warmup_steps / run.total_steps:.3g} %",
    )


def run_name(run: LoggedRun) -> str:
    """For example `warmupcosine-w36-lr0.001-s0 adamw`."""
    settings = " ".join(f"{key}={value}" for key, value in run.settings.items())
    return f"{run.scheduler}-w{run.warmup_steps}-lr{run.lr:g}-s{run.seed} {run.optimizer} {settings}".rstrip()
