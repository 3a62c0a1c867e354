"""Executing one run: skip it if it is finished, resume it, or train it from the start."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from warmup_lab.config import ConfigError, is_url
from warmup_lab.system import run_lock, shown_path
from warmup_lab.training.console import Interrupted, StopSignal
from warmup_lab.training.launch import Launch, launched

if TYPE_CHECKING:
    from warmup_lab.plan import Plan
    from warmup_lab.training.processes import Processes

log = logging.getLogger(__name__)
_SWEEP_WAIT = 10.0
"""Seconds that a job of a sweep waits for another process. After `kill -9` of a sweep its workers need up to 5 s."""


def only_warnings_on_terminal() -> None:
    """Sends the log of a run to its `train.log` alone: a sweep shows one line for all of its runs."""
    for handler in logging.getLogger().handlers:
        if not isinstance(handler, logging.FileHandler):
            handler.setLevel(logging.WARNING)


def execute_run(plan: Plan, directory: Path, *, group: str | None = None, show_progress: bool = True) -> dict[str, Any]:
    """The result of the run in `directory`, which is trained or resumed unless it is finished.

    If several processes were launched for the run, each of them calls this function, and process 0 decides and writes.

    Args:
        plan: the run.
        directory: its folder.
        group: the sweep that the run belongs to.
        show_progress: shows a bar on a terminal, otherwise a line every few seconds.

    Raises:
        ConfigError: another process trains the run, or the folder holds another run.
    """
    launch = launched()
    if launch is None:
        from warmup_lab.training.processes import ALONE

        return _execute(plan, directory, group, show_progress, ALONE)
    with _connected(plan, launch) as processes:
        if processes.is_main:
            return _execute(plan, directory, group, show_progress, processes)
        return processes.broadcast(None) or _train_share(plan, directory, processes)


def _execute(
    plan: Plan, directory: Path, group: str | None, show_progress: bool, processes: Processes
) -> dict[str, Any]:
    """What `execute_run` does in a run's only process, or in process 0, which tells the others whether to train."""
    from warmup_lab.runs import finished_result

    # Without the lock, so that a finished run is reported even from a folder that cannot be written.
    ask_first = plan.config.force or is_url(plan.config.output)
    finished = None if ask_first else finished_result(directory, plan.run_id)
    if finished is None:
        try:
            with claimed_run(plan, directory, in_sweep=group is not None) as finished:
                if finished is None:
                    processes.broadcast(None)
                    return _train(plan, directory, group, show_progress, processes)
        except ConfigError as error:
            if group is not None:  # Hydra does not show the errors of the jobs of a sweep
                log.warning("%s: %s", plan.name, error)
            raise
    shown = shown_path(directory)
    log.info("%s is already %s; nothing to train (force=true trains it again)", shown, finished["status"])
    _report(finished, shown)
    return processes.broadcast(finished)


def _train(plan: Plan, directory: Path, group: str | None, show_progress: bool, processes: Processes) -> dict[str, Any]:
    from warmup_lab.training.loop import train

    log.info(_describe(plan) + (f", {processes.num} processes" if processes.num > 1 else ""))
    result = train(plan, directory, group=group, show_progress=show_progress, processes=processes)
    _report(result, shown_path(directory))
    return result


def _train_share(plan: Plan, directory: Path, processes: Processes) -> dict[str, Any]:
    """Trains in a process that does not write."""
    from warmup_lab.training.loop import train

    return train(plan, directory, show_progress=False, processes=processes)


@contextmanager
def _connected(plan: Plan, launch: Launch) -> Iterator[Processes]:
    """Connects the processes of the run. An error inside is reported to the others, which then end as well."""
    from warmup_lab.training.processes import connect

    try:
        processes = connect(plan, launch)
        # A launcher sends SIGTERM to all processes when one has failed. Noted here, it does not cut off what process 0
        # still has to write. SIGINT may reach the processes at different updates; the loop makes them agree.
        with StopSignal() as stop:
            try:
                yield processes
            except Exception:
                launch.told_to_stop = bool(stop.signal_number)
                raise
    except Interrupted:  # in all processes at the same update
        raise
    except BaseException as error:
        launch.report(error)
        raise


@contextmanager
def claimed_run(plan: Plan, directory: Path, *, in_sweep: bool) -> Iterator[dict[str, Any] | None]:
    """Holds the lock of the run's folder; inside, no other process trains the run. Damaged files are set aside.

    Args:
        plan: the run.
        directory: its folder.
        in_sweep: waits for a process that is about to end, such as a worker of a killed sweep.

    Yields:
        The result if the run is finished, so there is nothing to train; None otherwise.

    Raises:
        ConfigError: another process holds the lock, or the folder holds another run.
    """
    from warmup_lab.runs import (
        check_output_works,
        published_run,
        read_run,
        remove_leftovers,
        reset_run,
        set_aside_damaged,
    )

    published = published_run(plan.config.output, directory)
    with run_lock(directory, wait=_SWEEP_WAIT if in_sweep else 0):
        if published:
            check_output_works(plan.config.output)
            published.fetch()
        found, shown = read_run(directory, plan.run_id), shown_path(directory)
        remove_leftovers(directory)
        if published and found.damaged:
            raise ConfigError(f"{published.store.url}: {found.problem}: remove it there to train the run again")
        if found.damaged:
            names = ", ".join(set_aside_damaged(found))
            log.warning("%s: %s: set aside as %s; the run is trained again", shown, found.problem, names)
        if plan.config.force:
            reset_run(directory)
        elif found.refused:
            raise ConfigError(f"{shown} {found.problem}: choose another folder, remove this one, or set force=true")
        yield None if plan.config.force else found.finished


def hand_over(plan: Plan, directory: Path, result: dict[str, Any], how: str) -> float | None:
    """Reports a run of a multirun that is already trained; returns the metric `objective`. `how` goes to its log."""
    from warmup_lab.runs import metric_of

    only_warnings_on_terminal()
    log.info(_describe(plan))
    log.info(how)
    _report(result, shown_path(directory))
    return metric_of(result, plan.config.objective)


def _describe(plan: Plan) -> str:
    config = plan.config
    return (
        f"{plan.name}: {config.task.title}, {config.model.title}, {config.optimizer.name}, "
        f"peak lr {config.optimizer.lr:g}, {plan.describe_warmup()}, "
        f"{plan.device} {plan.precision}, {plan.num_threads} thread{'s' * (plan.num_threads > 1)}"
    )


def _report(result: dict[str, Any], directory: str) -> None:
    metrics, speed = result["metrics"], result["speed"]
    numbers = [f"{key.replace('_', ' ')} {_number(value)}" for key, value in metrics.items() if key != "oscillation"]
    oscillation = metrics["oscillation"]
    roughness = ", ".join(f"{_number(oscillation[window]['roughness'])} {window}" for window in oscillation)
    log.info("%s after %s: %s", result["status"], _duration(speed), ", ".join(numbers))
    log.info("roughness of the loss: %s; largest rise: %s", roughness, _number(oscillation["whole"]["max_rise"]))
    if result["failed_to_learn"]:
        log.info("failed to learn: the loss ended near that of guessing, so its oscillation means nothing")
    log.info("results are in %s: result.json, trace.parquet, evals.parquet, train.log", directory)


def _duration(speed: dict[str, Any]) -> str:
    rate = speed["updates_per_second"]
    return f"{speed['seconds']:.1f} s ({rate:.{0 if rate >= 10 else 2}f} updates/s)"


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.4f}"
