"""Recording a run in Weights & Biases, behind one small interface.

The local files are the record of a run. W&B holds a copy, and nothing here may stop, slow or end a run. Therefore
`Guard` makes every call into wandb, in a thread and with a time limit. After a failure the run is recorded again from
its first row, offline, and so are all later runs of the command (`command`). After a second failure one warning is
logged and nothing more is recorded.

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
from warmup_lab.tracking.command import Command, command_of
from warmup_lab.tracking.guard import CALL_SECONDS, Call, Guard, end_at_exit
from warmup_lab.tracking.names import GLOBAL_STEP, Row, history_row
from warmup_lab.tracking.service import end_service, has_ended, start_service
from warmup_lab.tracking.settings import checked_settings, is_disabled, load_wandb, local_reason, server_reason
from warmup_lab.tracking.wandb_run import (
    FINISH_SECONDS,
    INIT_SECONDS,
    TrackedRun,
    init_arguments,
    offline_hint,
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
        self,
        config: TrackingConfig,
        command: Command,
        arguments: dict[str, Any],
        *,
        local_reason: str = "",
        steps_per_epoch: int | None = None,
    ) -> None:
        """`arguments` are passed to `wandb.init`; `local_reason` says why this run is recorded offline in any case."""
        self._config, self._command, self._arguments = config, command, arguments
        self._log_every, self._steps_per_epoch = config.log_every, steps_per_epoch
        self._run: wandb.Run | None = None
        self._local_reason, self._is_online = local_reason, False
        self._unsent_update: Row | None = None
        self._guard = Guard(command, self._recover)
        self._guard.call(self._open, INIT_SECONDS + GRACE_SECONDS)

    def log(self, row: Row) -> None:
        is_evaluation = any(key.startswith("eval/") for key in row)
        if not is_evaluation and int(row["step"] or 0) % self._log_every:
            self._unsent_update = dict(row)
            return
        if is_evaluation:
            self._send_unsent_update()
        self._unsent_update = None
        self._send(dict(row), is_row=not is_evaluation)

    def call_with_run(
        self, function: Callable[[wandb.Run], object], seconds: float = CALL_SECONDS, *, is_row: bool = False
    ) -> None:
        """Queues a call of `function` with the open W&B run."""
        self._guard.call(lambda: self._run and function(self._run), seconds, is_row=is_row)

    def finish(self, summary: Mapping[str, Any], *, exit_code: int = 0) -> None:
        self._send_unsent_update()
        self.call_with_run(functools.partial(_update_summary, summary=summary))
        self.call_with_run(lambda run: run.finish(exit_code=exit_code), FINISH_SECONDS + GRACE_SECONDS)
        self._guard.end()
        if not self._command.is_sweep:
            self._command.wait()

    def abandon(self) -> None:
        self._guard.abandon(Call(lambda: self._run and self._run.finish(exit_code=255), CALL_SECONDS))

    @property
    def offline_reason(self) -> str:
        """Why the run is recorded offline; empty if it is online."""
        return self._local_reason or self._command.offline_reason

    def _open(self) -> None:
        """Opens the run: online, unless the command has found out that this is not possible."""
        settings = checked_settings()
        if not self.offline_reason and (reason := server_reason(settings)):
            self._go_offline(reason, logging.WARNING if self._config.mode == "online" else logging.INFO)
        self._is_online = not self.offline_reason
        self._guard.service = start_service(end_at_exit)
        self._run = open_run(self._config, self._is_online, self._arguments)
        if self._is_online:
            logger.info("W&B: %s", self._run.url)

    def _recover(self, reason: str, *, is_interrupted: bool) -> bool:
        """Prepares for recording the run again, offline, with the same id. Returns whether that can help."""
        service = self._guard.service
        if not is_interrupted and (service is None or not (self._is_online or has_ended(service))):
            return False
        if self._is_online:
            self._go_offline(reason, logging.WARNING)
        else:
            logger.warning("W&B failed (%s), so this run is recorded again", reason)
        end_service(service)  # it holds the id of the run
        self._run, self._guard.service = None, None
        return True

    def _go_offline(self, reason: str, level: int) -> None:
        """Notes that the command records offline, and says so once."""
        if self._command.go_offline(reason):
            _say_offline(reason, self._arguments, level)

    def _send_unsent_update(self) -> None:
        if self._unsent_update is not None:
            self._send(self._unsent_update, is_row=True)
            self._unsent_update = None

    def _send(self, row: Row, *, is_row: bool) -> None:
        named = history_row(row, self._steps_per_epoch)
        self.call_with_run(functools.partial(_log_row, row=named, step=int(row["step"] or 0)), is_row=is_row)


def _say_offline(reason: str, arguments: Mapping[str, Any], level: int) -> None:
    logger.log(level, "W&B is offline: %s. %s", reason, offline_hint(arguments["dir"]))


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
    command, settings = command_of(run.directory), load_wandb(config, run.directory)
    if command.is_unusable or not settings or is_disabled(config, settings):
        return None
    arguments, reason = init_arguments(config, run, settings), local_reason(config, settings)
    if reason:
        _say_offline(reason, arguments, logging.WARNING if config.mode == "online" else logging.INFO)
    return WandbTracker(config, command, arguments, local_reason=reason, steps_per_epoch=run.steps_per_epoch)
