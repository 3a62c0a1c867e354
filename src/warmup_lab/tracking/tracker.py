"""Recording a run in Weights & Biases, behind one small interface.

The local files are the record of a run. W&B holds a copy, and nothing here may stop, slow or end a run. Therefore
`Guard` makes every call into wandb, in a thread and with a time limit. After the first failure it logs one warning and
records nothing more.

History: rows have the names and the axis of transformers' `Trainer` (`names.history_row`). The W&B step of a row is
the row's `step`, so W&B merges an update and an evaluation with the same step into one row. `log_every` is applied here
and nowhere else. It skips updates, but an evaluation is always sent together with its update, and the last update is
always sent. W&B drops rows whose step is lower than that of an earlier row, so rows are sent in the order of their
steps.
"""

from __future__ import annotations

import functools
import logging
import math
import numbers
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from warmup_lab.config import TrackingConfig
from warmup_lab.tracking.guard import ABANDON_SECONDS, CALL_SECONDS, Guard, first_line
from warmup_lab.tracking.names import GLOBAL_STEP, Row, history_row
from warmup_lab.tracking.wandb_run import (
    FINISH_SECONDS,
    INIT_SECONDS,
    TrackedRun,
    init_arguments,
    is_disabled,
    load_wandb,
    offline_hint,
    offline_reason,
    open_run,
)

if TYPE_CHECKING:
    import wandb


logger = logging.getLogger(__name__)

GRACE_SECONDS = 15.0
"""The guard waits this much longer than wandb, so that wandb's own limit comes first."""


class Tracker(Protocol):
    """Records a run outside its folder. No method raises, and none blocks for long."""

    def log(self, row: Row) -> None:
        """Records an update or an evaluation: a row with `step` (0-based), and keys such as `loss` or `eval/loss`."""

    def finish(self, summary: Mapping[str, Any], *, exit_code: int = 0) -> None:
        """Ends the run. A nested `summary` is flattened to keys such as `oscillation/whole/roughness`.

        None removes a value that W&B took from the history, such as the `eval/loss` of a run that diverged later.
        """

    def abandon(self) -> None:
        """Closes an interrupted run within a few seconds. When the run resumes, its history is sent again."""


class NullTracker:
    """Records nothing."""

    def log(self, row: Row) -> None: ...

    def finish(self, summary: Mapping[str, Any], *, exit_code: int = 0) -> None: ...

    def abandon(self) -> None: ...


class WandbTracker:
    """Records one W&B run."""

    def __init__(
        self, config: TrackingConfig, *, online: bool, arguments: dict[str, Any], steps_per_epoch: int | None = None
    ) -> None:
        """`arguments` are passed to `wandb.init`."""
        self._guard = Guard()
        self._run: wandb.Run | None = None
        self._log_every, self._steps_per_epoch = config.log_every, steps_per_epoch
        self._unsent_update: Row | None = None
        self._guard.call(lambda: self._open(config, online, arguments), INIT_SECONDS + GRACE_SECONDS)

    def log(self, row: Row) -> None:
        is_evaluation = any(key.startswith("eval/") for key in row)
        if not is_evaluation and int(row["step"] or 0) % self._log_every:
            self._unsent_update = dict(row)
            return
        if is_evaluation:
            self._send_unsent_update()
        self._unsent_update = None
        self._send(dict(row))

    def call_with_run(self, function: Callable[[wandb.Run], object], seconds: float = CALL_SECONDS) -> None:
        """Queues a call of `function` with the open W&B run."""
        self._guard.call(lambda: self._run and function(self._run), seconds)

    def finish(self, summary: Mapping[str, Any], *, exit_code: int = 0) -> None:
        self._send_unsent_update()
        self.call_with_run(functools.partial(_update_summary, summary=summary))
        self.call_with_run(lambda run: run.finish(exit_code=exit_code), FINISH_SECONDS + GRACE_SECONDS)
        self._guard.close()

    def abandon(self) -> None:
        self._guard.clear()
        self.call_with_run(lambda run: run.finish(exit_code=255))
        self._guard.close(ABANDON_SECONDS)

    def _open(self, config: TrackingConfig, online: bool, arguments: dict[str, Any]) -> None:
        try:
            self._run = open_run(config, online, arguments)
        except Exception as error:
            if not online or self._guard.failed:
                raise
            logger.warning("W&B is offline: %s. %s", first_line(error), offline_hint(arguments["dir"]))
            # A new id, because the service still holds the id with which it failed.
            self._run = open_run(config, False, arguments | {"id": f"{arguments['id']}-offline"})
        else:
            if online:
                logger.info("W&B: %s", self._run.url)

    def _send_unsent_update(self) -> None:
        if self._unsent_update is not None:
            self._send(self._unsent_update)
            self._unsent_update = None

    def _send(self, row: Row) -> None:
        named = history_row(row, self._steps_per_epoch)
        self.call_with_run(functools.partial(_log_row, row=named, step=int(row["step"] or 0)))


def _log_row(run: wandb.Run, row: Row, step: int) -> None:
    run.log({key: value for key, value in row.items() if _is_value(value)}, step=step)


def _update_summary(run: wandb.Run, summary: Mapping[str, Any]) -> None:
    values = dict(_flat(summary))
    run.summary.update({key: value for key, value in values.items() if _is_value(value)})
    for key, value in values.items():
        if not _is_value(value):
            del run.summary[key]  # type: ignore[no-untyped-call]


def _flat(nested: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The leaves of a nested mapping by their path."""
    for key, value in nested.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}/")
        else:
            yield f"{prefix}{key}", value


def _is_value(value: Any) -> bool:
    """Whether W&B can draw or sort the value: it is not None, NaN or infinite."""
    return value is not None and (not isinstance(value, numbers.Real) or math.isfinite(value))


def _define_axis(run: wandb.Run) -> None:
    """The x axis of all metrics, defined as `Trainer` does."""
    run.define_metric(GLOBAL_STEP)
    run.define_metric("*", step_metric=GLOBAL_STEP, step_sync=True)


def start_tracker(config: TrackingConfig, run: TrackedRun, history: Sequence[Row] = ()) -> Tracker:
    """The tracker of one run.

    Args:
        config: whether and how to record.
        run: what identifies the run.
        history: rows that a resumed run has recorded before. They may be in any order, except that an update comes
            before the evaluation with the same step.

    Raises:
        ConfigError: `tracking.mode` is `online` and there is no usable API key, or wandb cannot be imported.
    """
    tracker: Tracker = NullTracker()
    if recorder := start_wandb(config, run):
        recorder.call_with_run(_define_axis)
        tracker = recorder
    for row in sorted(history, key=lambda row: row["step"] or 0):
        tracker.log(row)
    return tracker


def start_wandb(config: TrackingConfig, run: TrackedRun) -> WandbTracker | None:
    """The W&B tracker of a run, or None if nothing is to be recorded. Raises as `start_tracker` does."""
    if config.kind == "none" or is_disabled(config):
        return None
    settings = load_wandb(config, run.directory)
    if not settings or is_disabled(config, settings):
        return None
    arguments = init_arguments(config, run, settings)
    if reason := offline_reason(config, settings):
        level = logging.WARNING if config.mode == "online" else logging.INFO
        logger.log(level, "W&B is offline: %s. %s", reason, offline_hint(arguments["dir"]))
    return WandbTracker(config, online=not reason, arguments=arguments, steps_per_epoch=run.steps_per_epoch)
